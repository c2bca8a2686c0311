//! A socket, and what epoll is to tell of it.

use syscalls::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLET, Epoll, EpollEvent};
use syscalls::{Errno, Kernel, Socket};

use super::Token;

/// A socket that gets into the epoll set when it first has to wait. One for which all goes at once
/// never does.
#[derive(Debug)]
pub struct Polled<K: Kernel> {
    pub socket: Socket<K>,
    /// The epoll events that are waited for; 0 while it is not in the set.
    events: u32,
}

impl<K: Kernel> Polled<K> {
    /// `socket`, not in the set.
    pub fn new(socket: Socket<K>) -> Polled<K> {
        Polled { socket, events: 0 }
    }

    /// Whether it waits for `events`, and no others.
    pub fn waits_for(&self, events: u32) -> bool {
        self.events == events
    }

    /// Has `epoll` report `events`, and no others, under `token`. Those that are there are reported
    /// again, edge-triggered or not.
    ///
    /// # Errors
    /// `epoll_ctl`'s: `ENOMEM`, `ENOSPC`.
    pub fn wait_for(&mut self, epoll: &Epoll<K>, token: Token, events: u32) -> Result<(), Errno> {
        if self.waits_for(events) && events & EPOLLET == 0 {
            return Ok(());
        }
        let op = if self.waits_for(0) {
            EPOLL_CTL_ADD
        } else {
            EPOLL_CTL_MOD
        };
        let data = token.pack();
        epoll.ctl(op, &self.socket, EpollEvent { events, data })?;
        self.events = events;
        Ok(())
    }
}
