//! The epoll set.

use syscalls::epoll::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLONESHOT, EpollEvent};

/// The offset of the token in an epoll event, and the size of an event.
pub(crate) const DATA: usize = core::mem::offset_of!(EpollEvent, data);
pub(crate) const EVENT: usize = core::mem::size_of::<EpollEvent>();

/// A descriptor in the set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    pub(crate) fd: usize,
    pub(crate) events: u32,
    pub(crate) data: u64,
    /// Whether it may report. With `EPOLLONESHOT`, it may not after a report, until it is armed again.
    pub(crate) armed: bool,
    /// With `EPOLLET`: the descriptor's event count when it was last reported.
    pub(crate) reported_at: Option<u64>,
}

impl Registration {
    pub(crate) fn new(fd: usize, events: u32, data: u64) -> Registration {
        Registration {
            fd,
            events,
            data,
            armed: true,
            reported_at: None,
        }
    }

    /// Returns which of `events` are reported. `event_count` returns the descriptor's event count.
    pub(crate) fn of(&self, events: u32, event_count: impl FnOnce() -> u64) -> u32 {
        let wanted = events & (self.events | EPOLLERR | EPOLLHUP);
        let is_new = || self.events & EPOLLET == 0 || self.reported_at != Some(event_count());
        if self.armed && wanted != 0 && is_new() {
            wanted
        } else {
            0
        }
    }

    pub(crate) fn reported(&mut self, event_count: u64) {
        self.reported_at = Some(event_count);
        if self.events & EPOLLONESHOT != 0 {
            self.armed = false;
        }
    }
}

/// The number of past registrations that are kept, to report stale events for them.
const REMEMBERED: usize = 8;

/// An epoll set.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    /// The registrations, oldest first.
    pub(crate) set: Vec<Registration>,
    /// The events and tokens of the descriptors that were closed or removed most recently.
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
