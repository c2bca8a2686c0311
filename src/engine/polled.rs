//! A socket, and the events that it is registered for.

use syscalls::epoll::EPOLLET;
use syscalls::{Errno, Kernel, Socket};

use super::poller::Poller;
use super::token::Token;

/// A socket that is registered with epoll when an operation on it first has to wait.
#[derive(Debug)]
pub struct Polled<K: Kernel> {
    pub socket: Socket<K>,
    /// The events for which the socket is registered; 0 while it is not in the set.
    events: u32,
}

impl<K: Kernel> Polled<K> {
    /// Wraps `socket`, which is not in the set.
    pub fn new(socket: Socket<K>) -> Polled<K> {
        Polled { socket, events: 0 }
    }

    /// Returns whether the socket is registered for exactly `events`.
    pub fn waits_for(&self, events: u32) -> bool {
        self.events == events
    }

    /// Registers exactly `events` with `poller`, to be reported with `token`. Events that have already
    /// happened are reported again, edge-triggered or not.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `ENOMEM`, `ENOSPC`.
    pub fn wait_for(&mut self, poller: &Poller<K>, token: Token, events: u32) -> Result<(), Errno> {
        if self.waits_for(events) && events & EPOLLET == 0 {
            return Ok(());
        }
        if self.waits_for(0) {
            poller.add(&self.socket, events, token)?;
        } else {
            poller.modify(&self.socket, events, token)?;
        }
        self.events = events;
        Ok(())
    }
}
