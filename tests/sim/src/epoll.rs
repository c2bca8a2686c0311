//! The epoll set.

use syscalls::epoll::{EPOLLERR, EPOLLHUP, EPOLLONESHOT, EpollEvent};

/// Where the token lies in an epoll event, and how long one is.
pub(crate) const DATA: usize = core::mem::offset_of!(EpollEvent, data);
pub(crate) const EVENT: usize = core::mem::size_of::<EpollEvent>();

/// A descriptor in the set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    pub(crate) fd: usize,
    pub(crate) events: u32,
    pub(crate) data: u64,
    /// With `EPOLLONESHOT`: not reported since it was armed.
    pub(crate) armed: bool,
}

impl Registration {
    pub(crate) fn new(fd: usize, events: u32, data: u64) -> Registration {
        Registration {
            fd,
            events,
            data,
            armed: true,
        }
    }

    /// What of `events` is reported.
    pub(crate) fn of(&self, events: u32) -> u32 {
        if self.armed {
            events & (self.events | EPOLLERR | EPOLLHUP)
        } else {
            0
        }
    }

    pub(crate) fn reported(&mut self) {
        if self.events & EPOLLONESHOT != 0 {
            self.armed = false;
        }
    }
}

/// How many tokens of closed descriptors are remembered, to be reported once more.
const REMEMBERED: usize = 8;

/// An epoll set, in the order in which descriptors came.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    pub(crate) set: Vec<Registration>,
    /// The last tokens, with their events, of descriptors that have been closed or taken out.
    pub(crate) gone: Vec<(u32, u64)>,
}

impl Epoll {
    pub(crate) fn position(&self, fd: usize) -> Option<usize> {
        self.set.iter().position(|entry| entry.fd == fd)
    }

    pub(crate) fn remove(&mut self, position: usize) {
        let Registration { events, data, .. } = self.set.remove(position);
        if self.gone.len() == REMEMBERED {
            self.gone.remove(0);
        }
        self.gone.push((events, data));
    }
}
