//! Communication between the main thread and a worker: a mailbox with an eventfd for each direction.
//!
//! The sender changes the slot and then writes to the eventfd. The receiver resets the eventfd and then reads
//! the slot. In this order, no message is lost. Each side waits in its own epoll set, and serves connections
//! in the meantime.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK, eventfd2};
use syscalls::{Errno, Fd, Kernel, Socket, retry_on_eintr};

use super::syscall_error::SyscallError;

/// A command to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Close each connection as soon as it ends, and the remaining ones after this time.
    Drain(Duration),
    /// End the thread.
    Shutdown,
}

/// The contents of a mailbox for the worker.
#[derive(Debug)]
pub struct Mail<K: Kernel> {
    /// Accepted connections, to be served.
    pub sockets: Vec<Socket<K>>,
    /// The command to carry out after the connections have been added.
    pub command: Option<Command>,
}

/// A mailbox for one command and any number of connections, which the main thread sends to a worker.
#[derive(Debug)]
pub struct Mailbox<K: Kernel> {
    slot: Mutex<Slot<K>>,
    /// Wakes the worker.
    wake: Wake<K>,
    /// Wakes the main thread. All mailboxes have the same one.
    wake_main: Arc<Wake<K>>,
}

#[derive(Debug)]
struct Slot<K: Kernel> {
    mail: Mail<K>,
    /// Whether the worker has a [`Command::Drain`] that it has not finished.
    draining: bool,
    /// Whether the worker has ended.
    closed: bool,
}

impl<K: Kernel> Mail<K> {
    fn none() -> Mail<K> {
        Mail {
            sockets: Vec::new(),
            command: None,
        }
    }
}

impl<K: Kernel> Mailbox<K> {
    /// Creates an empty mailbox.
    ///
    /// # Errors
    /// Those of `eventfd2`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(kernel: &K, wake_main: Arc<Wake<K>>) -> Result<Mailbox<K>, SyscallError> {
        Ok(Mailbox {
            slot: Mutex::new(Slot {
                mail: Mail::none(),
                draining: false,
                closed: false,
            }),
            wake: Wake::new(kernel)?,
            wake_main,
        })
    }

    fn slot(&self) -> MutexGuard<'_, Slot<K>> {
        self.slot.lock().expect("no thread panics with the lock")
    }

    // The main thread's side.

    /// Hands `socket` over to the worker.
    ///
    /// # Errors
    /// The socket, if the worker has ended or cannot be woken.
    pub fn post(&self, socket: Socket<K>) -> Result<(), Socket<K>> {
        let mut slot = self.slot();
        if slot.closed {
            return Err(socket);
        }
        slot.mail.sockets.push(socket);
        // The first connection wakes the worker for all that follow.
        let is_first = slot.mail.sockets.len() == 1;
        drop(slot);
        if !is_first || self.wake.write().is_ok() {
            return Ok(());
        }
        match self.slot().mail.sockets.pop() {
            Some(socket) => Err(socket),
            // The worker woke for another reason, and has taken the connection.
            None => Ok(()),
        }
    }

    /// Gives the worker `command`. A worker that cannot be woken does not get it.
    pub fn command(&self, command: Command) {
        let mut slot = self.slot();
        slot.mail.command = Some(command);
        slot.draining = matches!(command, Command::Drain(_)) && !slot.closed;
        drop(slot);
        if self.wake.write().is_err() {
            let mut slot = self.slot();
            slot.mail.command = None;
            slot.draining = false;
        }
    }

    /// Returns whether the worker has a [`Command::Drain`] that it has not finished.
    pub fn is_draining(&self) -> bool {
        self.slot().draining
    }

    // The worker's side.

    /// Returns the descriptor that is readable when there is mail.
    pub fn waker(&self) -> &Wake<K> {
        &self.wake
    }

    /// Takes the contents of the mailbox.
    pub fn take(&self) -> Mail<K> {
        self.wake.reset();
        mem::replace(&mut self.slot().mail, Mail::none())
    }

    /// Returns whether there is a command that has not been taken.
    pub fn has_command(&self) -> bool {
        self.slot().mail.command.is_some()
    }

    /// Reports that a [`Command::Drain`] is finished.
    pub fn drained(&self) {
        self.slot().draining = false;
        // If this write fails, the main thread notices when its own wait times out.
        let _ = self.wake_main.write();
    }

    /// Reports that the worker has ended. Closes the connections that are still in the mailbox.
    pub fn close(&self) {
        let mut slot = self.slot();
        slot.closed = true;
        let left = mem::replace(&mut slot.mail, Mail::none());
        drop(slot);
        drop(left);
        self.drained();
    }
}

/// The number of attempts to write to an eventfd. A failed write is retried, because the other thread may
/// wait for it.
const MAX_WRITES: u32 = 16;

/// An eventfd: readable after a write, until it is reset.
#[derive(Debug)]
pub struct Wake<K: Kernel>(Fd<K>);

impl<K: Kernel> Wake<K> {
    /// Creates an eventfd that is not readable.
    ///
    /// # Errors
    /// Those of `eventfd2`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(kernel: &K) -> Result<Wake<K>, SyscallError> {
        eventfd2(kernel.clone(), 0, EFD_CLOEXEC | EFD_NONBLOCK)
            .map(Wake)
            .map_err(|errno| SyscallError::new("eventfd2", errno))
    }

    /// Returns the descriptor, for registration with epoll.
    pub fn fd(&self) -> &Fd<K> {
        &self.0
    }

    /// Adds 1 to the counter, which wakes the thread that waits for the eventfd. The counter is far from its
    /// maximum, so the kernel does not refuse the write, but a seccomp filter may.
    fn write(&self) -> Result<(), Errno> {
        let write = || retry_on_eintr(|| self.0.write(&1u64.to_ne_bytes()));
        let mut written = write();
        for _ in 1..MAX_WRITES {
            if written.is_ok() {
                break;
            }
            written = write();
        }
        written.map(drop)
    }

    /// Sets the counter to 0. (If the counter is 0 already, the read fails with `EAGAIN`.)
    pub fn reset(&self) {
        let _ = retry_on_eintr(|| self.0.read(&mut [0; 8]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::scripted::{Script, Scripted, Step};

    const WAKES: [Step<'_>; 2] = [
        Step::new("eventfd2").returns(3),
        Step::new("eventfd2").returns(4),
    ];
    const WORKER: Step<'_> = Step::new("write").arg(0, 4).returns(8);
    const MAIN: Step<'_> = Step::new("write").arg(0, 3).returns(8);
    const SOCKET: Step<'_> = Step::new("socket").returns(5);
    const RESET: Step<'_> = Step::new("read").arg(0, 4).returns(8);

    fn mailbox<'s>(script: &'s Script<'s>) -> Mailbox<Scripted<'s>> {
        let wake_main = Wake::new(&script.kernel()).expect("an eventfd");
        Mailbox::new(&script.kernel(), Arc::new(wake_main)).expect("an eventfd")
    }

    fn socket<'s>(script: &'s Script<'s>) -> Socket<Scripted<'s>> {
        Socket::new(script.kernel(), 2, 1, 0).expect("a socket")
    }

    #[test]
    fn first_socket_wakes_the_worker_for_all() {
        let steps = [
            WAKES[0], WAKES[1], SOCKET, WORKER, SOCKET, RESET, SOCKET, WORKER,
        ];
        let script = Script::new(&steps);
        let mailbox = mailbox(&script);
        assert!(mailbox.post(socket(&script)).is_ok());
        assert!(mailbox.post(socket(&script)).is_ok());
        assert_eq!(mailbox.take().sockets.len(), 2);
        assert!(mailbox.post(socket(&script)).is_ok());
        script.assert_finished();
    }

    #[test]
    fn socket_comes_back_from_a_worker_that_cannot_be_woken() {
        let mut steps = vec![WAKES[0], WAKES[1], SOCKET];
        steps.extend([WORKER.fails(Errno::EPERM); MAX_WRITES as usize]);
        steps.push(RESET.fails(Errno::EAGAIN));
        let script = Script::new(&steps);
        let mailbox = mailbox(&script);
        assert!(mailbox.post(socket(&script)).is_err());
        assert!(mailbox.take().sockets.is_empty());
        script.assert_finished();
        assert_eq!(script.closed(), 1);
    }

    #[test]
    fn drain_ends_when_the_worker_reports_it() {
        let steps = [WAKES[0], WAKES[1], WORKER, RESET, MAIN];
        let script = Script::new(&steps);
        let mailbox = mailbox(&script);
        let drain = Command::Drain(Duration::ZERO);
        mailbox.command(drain);
        assert!(mailbox.is_draining() && mailbox.has_command());
        assert_eq!(mailbox.take().command, Some(drain));
        assert!(mailbox.is_draining() && !mailbox.has_command());
        mailbox.drained();
        assert!(!mailbox.is_draining());
        script.assert_finished();
    }

    #[test]
    fn command_is_taken_back_from_a_worker_that_cannot_be_woken() {
        let mut steps = WAKES.to_vec();
        steps.extend([WORKER.fails(Errno::EPERM); MAX_WRITES as usize]);
        let script = Script::new(&steps);
        let mailbox = mailbox(&script);
        mailbox.command(Command::Drain(Duration::ZERO));
        assert!(!mailbox.is_draining() && !mailbox.has_command());
    }

    #[test]
    fn closed_mailbox_rejects_sockets_and_commands() {
        let steps = [WAKES[0], WAKES[1], SOCKET, WORKER, MAIN, SOCKET, WORKER];
        let script = Script::new(&steps);
        let mailbox = mailbox(&script);
        mailbox.post(socket(&script)).expect("it is open");
        mailbox.close();
        assert_eq!(script.closed(), 1, "what was in it");
        assert!(mailbox.post(socket(&script)).is_err());
        mailbox.command(Command::Drain(Duration::ZERO));
        assert!(!mailbox.is_draining());
        script.assert_finished();
    }
}
