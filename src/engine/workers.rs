//! Threads that serve connections beside the main one.
//!
//! The main thread accepts all connections and distributes them round-robin among the workers and itself.
//! There is therefore one accept queue, and only one thread handles a shortage of descriptors. The main
//! thread always serves the node's own client, so a round trip needs no wake-up.

use std::sync::Arc;
use std::time::Duration;

use syscalls::epoll::EPOLLIN;
use syscalls::{Kernel, Socket};

use super::connections::Connections;
use super::mailbox::{Command, Mailbox, Wake};
use super::poller::Poller;
use super::polling::Polling;
use super::syscall_error::SyscallError;
use super::token::Token;
use super::totals::Totals;

/// The main thread's handle of the workers, of which there may be none. Dropping the handle ends the workers.
#[derive(Debug)]
pub struct Workers<K: Kernel> {
    mailboxes: Vec<Arc<Mailbox<K>>>,
    /// The eventfd to which a worker writes when it has finished draining; `None` without workers.
    wake: Option<Arc<Wake<K>>>,
    /// The thread that gets the next connection: 0 is the main thread, `i + 1` the worker with mailbox `i`.
    next: usize,
}

/// A worker. Its own thread [runs](Worker::run) it.
#[derive(Debug)]
pub struct Worker<K: Kernel> {
    poller: Poller<K>,
    connections: Connections<K>,
    mailbox: Arc<Mailbox<K>>,
}

impl<K: Kernel> Workers<K> {
    /// Creates an empty set of workers: the main thread serves alone.
    pub fn none() -> Workers<K> {
        Workers {
            mailboxes: Vec::new(),
            wake: None,
            next: 0,
        }
    }

    /// Creates `count` workers, whose connections count into `totals`. The caller starts their
    /// threads. Registers with `main` the eventfd through which workers wake the main thread.
    ///
    /// # Errors
    /// Those of `eventfd2`, `epoll_create1` and `epoll_ctl`.
    pub fn new(
        count: usize,
        main: &Poller<K>,
        polling: Polling,
        totals: &Arc<Totals>,
    ) -> Result<(Workers<K>, Vec<Worker<K>>), SyscallError> {
        let kernel = main.kernel();
        let wake = Arc::new(Wake::new(kernel)?);
        let watch = |poller: &Poller<K>, wake: &Wake<K>| {
            let added = poller.add(wake.fd(), EPOLLIN, Token::Wake);
            added.map_err(|errno| SyscallError::new("epoll_ctl", errno))
        };
        watch(main, &wake)?;
        let worker = |_| {
            let poller = Poller::new(kernel.clone(), polling)?;
            let mailbox = Mailbox::new(kernel, Arc::clone(&wake))?;
            watch(&poller, mailbox.waker())?;
            Ok(Worker {
                poller,
                connections: Connections::new(Arc::clone(totals)),
                mailbox: Arc::new(mailbox),
            })
        };
        let workers = (0..count).map(worker).collect::<Result<Vec<_>, _>>()?;
        let mailboxes = workers.iter().map(|worker| Arc::clone(&worker.mailbox));
        let handle = Workers {
            mailboxes: mailboxes.collect(),
            wake: Some(wake),
            next: 0,
        };
        Ok((handle, workers))
    }

    /// Hands an accepted connection over to the worker whose turn it is.
    ///
    /// # Errors
    /// Returns the socket if it is the main thread's turn, or if the worker cannot take it.
    pub fn hand_over(&mut self, socket: Socket<K>) -> Result<(), Socket<K>> {
        let turn = self.next;
        self.next = (turn + 1) % (self.mailboxes.len() + 1);
        match turn.checked_sub(1) {
            Some(worker) => self.mailboxes[worker].post(socket),
            None => Err(socket),
        }
    }

    /// Commands each worker to close each connection when the peer ends it, and the others after `timeout`.
    pub fn drain(&self, timeout: Duration) {
        for mailbox in &self.mailboxes {
            mailbox.command(Command::Drain(timeout));
        }
    }

    /// Returns whether any worker has not finished draining.
    pub fn are_draining(&self) -> bool {
        self.mailboxes.iter().any(|mailbox| mailbox.is_draining())
    }

    /// Resets the eventfd that woke the main thread.
    pub fn reset_wake(&self) {
        if let Some(wake) = &self.wake {
            wake.reset();
        }
    }
}

impl<K: Kernel> Drop for Workers<K> {
    fn drop(&mut self) {
        for mailbox in &self.mailboxes {
            // A worker that does not get the command ends with the process.
            mailbox.command(Command::Shutdown);
        }
    }
}

impl<K: Kernel> Worker<K> {
    /// Serves connections and carries out commands until the shutdown command.
    ///
    /// # Errors
    /// That of `epoll_pwait`, if it fails repeatedly. This worker's connections are then closed, and the
    /// other threads continue without it.
    pub fn run(mut self) -> Result<(), SyscallError> {
        let ended = self.serve();
        self.mailbox.close();
        ended
    }

    fn serve(&mut self) -> Result<(), SyscallError> {
        loop {
            let has_mail = self.turn(None)?;
            if !has_mail {
                continue;
            }
            let mail = self.mailbox.take();
            for socket in mail.sockets {
                self.connections.insert(socket);
            }
            match mail.command {
                None => {}
                Some(Command::Drain(timeout)) => self.drain(timeout)?,
                Some(Command::Shutdown) => return Ok(()),
            }
        }
    }

    /// Waits for at most `timeout`, and serves the connections that are ready. Returns whether there is
    /// mail.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<bool, SyscallError> {
        let first_turns = self.connections.just_accepted();
        let timeout = match first_turns {
            0 => timeout,
            _ => Some(Duration::ZERO),
        };
        let mut has_mail = false;
        for i in 0..self.poller.wait(timeout)? {
            match self.poller.event(i) {
                (Token::Connection(key), events) => {
                    self.connections.serve(key, events, &self.poller);
                }
                _ => has_mail = true,
            }
        }
        self.connections
            .serve_just_accepted(first_turns, &self.poller);
        self.poller.echoed(self.connections.take_echoed_bytes());
        Ok(has_mail)
    }

    /// Serves until all connections have ended, `timeout` has elapsed or there is another command. Then
    /// closes the remaining connections.
    fn drain(&mut self, timeout: Duration) -> Result<(), SyscallError> {
        let deadline = self.poller.now() + timeout;
        while self.connections.len() > 0 && !self.mailbox.has_command() {
            let left = deadline.saturating_sub(self.poller.now());
            if left.is_zero() {
                break;
            }
            if self.turn(Some(left))? && !self.mailbox.has_command() {
                self.mailbox.waker().reset();
            }
        }
        self.connections.clear();
        self.mailbox.drained();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::scripted::{Script, Step};

    #[test]
    fn connections_are_handed_out_in_turn() {
        let setup = [
            Step::new("epoll_create1").returns(3),
            Step::new("eventfd2").returns(4),
            Step::new("epoll_ctl").arg(0, 3).arg(2, 4),
            // Two workers: an epoll set and an eventfd each.
            Step::new("epoll_create1").returns(5),
            Step::new("eventfd2").returns(6),
            Step::new("epoll_ctl").arg(0, 5).arg(2, 6),
            Step::new("epoll_create1").returns(7),
            Step::new("eventfd2").returns(8),
            Step::new("epoll_ctl").arg(0, 7).arg(2, 8),
        ];
        let socket = Step::new("socket").returns(9);
        let wake = |worker| Step::new("write").arg(0, worker).returns(8);
        let steps = [
            &setup[..],
            &[socket, socket, wake(6), socket, wake(8)],
            // The workers have not read their mailboxes yet, so further connections need no wake-up.
            &[socket, socket, socket],
            // The workers end with the last handle.
            &[wake(6), wake(8)],
        ]
        .concat();
        let script = Script::new(&steps);
        let polling = Polling::new(Duration::ZERO);
        let main = Poller::new(script.kernel(), polling).expect("an epoll set");
        let (mut workers, each) =
            Workers::new(2, &main, polling, &Arc::default()).expect("two workers");
        let taken = [(); 6].map(|()| {
            let socket = Socket::new(script.kernel(), 2, 1, 0).expect("a socket");
            workers.hand_over(socket).is_ok()
        });
        assert_eq!(taken, [false, true, true, false, true, true]);
        drop(workers);
        let taken = each.iter().map(|worker| worker.mailbox.has_command());
        assert_eq!(taken.collect::<Vec<_>>(), [true, true]);
        script.assert_finished();
    }
}
