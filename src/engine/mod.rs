//! The echo engine: one thread, one epoll set, one loop.
//!
//! The listener, every accepted connection, the node's own client and the descriptors that its
//! owner watches all stand in one epoll set. [`Engine::turn`] handles one batch of what is ready.

mod connection;
mod connections;
mod listener;
mod polled;
mod round_trip;
mod spin;
mod syscall_error;
mod token;
mod totals;

use core::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use syscalls::epoll::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLIN, EPOLLONESHOT, EPOLLOUT, Epoll, EpollEvent,
};
use syscalls::time::{CLOCK_MONOTONIC, clock_gettime};
use syscalls::{Errno, Fd, Kernel};

use connection::{Connection, Next};
use connections::{Connections, Key};
use listener::Listener;
pub use listener::{Drain, PEER_TIMEOUT, ReusePort};
use polled::Polled;
pub use round_trip::{RoundTripError, STALL_TIMEOUT};
pub use spin::Spin;
pub use syscall_error::SyscallError;
use token::Token;
pub use totals::{Counts, Totals};

/// Bytes that one read takes at the most. The buffer is the engine's, so an idle connection holds
/// none; a connection whose peer does not read holds at most this much.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that all connections together may hold before reads get smaller.
pub const MAX_UNSENT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that one read takes at the least, however much is held: enough to go on slowly.
pub const MIN_READ_BYTES: usize = 1024;

/// Events taken from epoll at once: enough that many busy connections share the cost of a wait.
const MAX_EVENTS_PER_TURN: usize = 256;

/// How often `epoll_pwait` may fail in a row with something other than `EINTR`. Such an error tells
/// of a broken process (`EBADF`, say): trying for ever would spin.
const MAX_WAIT_FAILURES: u32 = 16;

/// A descriptor of the engine's owner, to be waited for along with everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Until there is something to read.
    Input,
    /// Until there is room to write.
    Output,
    /// Until a worker has carried out its order.
    Workers,
}

/// Which of its owner's descriptors a turn found ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The one watched as [`Watch::Input`].
    pub input: bool,
    /// The one watched as [`Watch::Output`].
    pub output: bool,
    /// The one watched as [`Watch::Workers`].
    pub workers: bool,
}

/// A TCP echo server that lives in its caller's thread: it works while [`turn`](Engine::turn) runs.
#[derive(Debug)]
pub struct Engine<K: Kernel> {
    kernel: K,
    epoll: Epoll<K>,
    listener: Option<Listener<K>>,
    connections: Connections<K>,
    /// Accepted since the last turn. They are not in the epoll set yet: a client that has something
    /// to say has often said it by the next turn, and may even be done.
    fresh: Vec<Key>,
    /// The address of the node's own client, until its connection is accepted.
    awaited: Option<SocketAddr>,
    /// How many clients of its own the node has had.
    clients: u64,
    /// Where the node's own clients come from, if not from where the kernel puts them.
    source: Option<Ipv4Addr>,
    buffer: Box<[u8]>,
    events: Box<[EpollEvent]>,
    wait_failures: u32,
    /// When the clock was last looked at.
    time: Duration,
    /// Bytes that connections have read and not yet written back.
    held: usize,
    spin: Spin,
    totals: Arc<Totals>,
}

impl<K: Kernel> Engine<K> {
    /// An engine that serves nobody yet. It counts into `totals`, which others may share, and
    /// polls as `spin` says.
    ///
    /// # Errors
    /// `epoll_create1`'s: no descriptor or no memory left.
    pub fn new(kernel: K, spin: Spin, totals: Arc<Totals>) -> Result<Engine<K>, SyscallError> {
        let epoll = Epoll::new(kernel.clone(), EPOLL_CLOEXEC)
            .map_err(|errno| SyscallError::new("epoll_create1", errno))?;
        Ok(Engine {
            kernel,
            epoll,
            listener: None,
            connections: Connections::default(),
            fresh: Vec::new(),
            awaited: None,
            clients: 0,
            source: None,
            buffer: vec![0; READ_BUFFER_BYTES].into(),
            events: vec![EpollEvent::default(); MAX_EVENTS_PER_TURN].into(),
            wait_failures: 0,
            time: Duration::ZERO,
            held: 0,
            spin,
            totals,
        })
    }

    /// What has been done so far, over all starts and stops.
    pub fn totals(&self) -> Counts {
        self.totals.get()
    }

    /// The time on the kernel's clock. (That call cannot fail but for a bad address. Should it
    /// fail all the same, time stands still for once.)
    fn now(&mut self) -> Duration {
        self.time = clock_gettime(&self.kernel, CLOCK_MONOTONIC).unwrap_or(self.time);
        self.time
    }

    /// Has the coming turns report, once, when `fd` is ready. Returns false for a descriptor that
    /// cannot be waited for because it is always ready: a regular file, or `/dev/null`.
    ///
    /// Once, because its owner is not always about to use it: a level that nobody acts on would
    /// keep the loop awake.
    ///
    /// # Errors
    /// `epoll_ctl`'s: `EBADF` if `fd` is not open, `ENOMEM`, `ENOSPC`.
    pub fn watch(&self, fd: &Fd<K>, watch: Watch) -> Result<bool, SyscallError> {
        let (events, token) = match watch {
            Watch::Input => (EPOLLIN, Token::Input),
            Watch::Output => (EPOLLOUT, Token::Output),
            Watch::Workers => (EPOLLIN, Token::Workers),
        };
        let event = EpollEvent {
            events: events | EPOLLONESHOT,
            data: token.pack(),
        };
        let armed = match self.epoll.ctl(EPOLL_CTL_MOD, fd, event) {
            // A regular file is refused as such before it is found missing.
            Err(Errno::ENOENT | Errno::EPERM) => self.epoll.ctl(EPOLL_CTL_ADD, fd, event),
            armed => armed,
        };
        match armed {
            Ok(()) => Ok(true),
            Err(Errno::EPERM) => Ok(false),
            Err(errno) => Err(SyscallError::new("epoll_ctl", errno)),
        }
    }

    /// Waits until something is ready, for at most `timeout` (`None`: for ever), and handles it.
    ///
    /// # Errors
    /// `epoll_pwait`'s, if it fails again and again for another reason than a signal.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<Ready, SyscallError> {
        let timeout = if self.fresh.is_empty() {
            self.resume_accepting(timeout)
        } else {
            Some(Duration::ZERO)
        };
        let count = self.wait(timeout)?;
        // Those accepted before this turn. Those that it accepts have their turn in the next.
        let fresh = self.fresh.len();
        let mut ready = Ready::default();
        for i in 0..count {
            let EpollEvent { data, events } = self.events[i];
            let token = Token::unpack(data);
            self.spin.served(token, count == 1);
            match token {
                Token::Input => ready.input = true,
                Token::Output => ready.output = true,
                Token::Workers => ready.workers = true,
                // The round trip looks for itself what it can do now.
                Token::Client => {}
                Token::Listener => {
                    // What it lacks is no failure of the loop: it tries again later.
                    let _ = self.accept();
                }
                Token::Connection(key) => self.serve(key, events),
            }
        }
        self.serve_fresh(fresh);
        Ok(ready)
    }

    /// Has the first `count` of those that are fresh have their turn.
    fn serve_fresh(&mut self, count: usize) {
        for i in 0..count {
            self.serve(self.fresh[i], 0);
        }
        self.fresh.drain(..count);
    }

    /// Waits for events, and puts them into `self.events`. Returns how many came.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<usize, SyscallError> {
        let spin = if timeout == Some(Duration::ZERO) {
            None
        } else {
            self.spin.wanted()
        };
        if let Some(limit) = spin {
            let count = self.spin(timeout.map_or(limit, |timeout| timeout.min(limit)))?;
            if count > 0 {
                return Ok(count);
            }
        }
        self.poll(timeout)
    }

    /// One `epoll_pwait`.
    fn poll(&mut self, timeout: Option<Duration>) -> Result<usize, SyscallError> {
        match self.epoll.wait(&mut self.events, milliseconds(timeout)) {
            Ok(count) => {
                self.wait_failures = 0;
                Ok(count)
            }
            // Not retried: the caller's deadline may have passed meanwhile.
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => {
                self.wait_failures += 1;
                if self.wait_failures < MAX_WAIT_FAILURES {
                    Ok(0)
                } else {
                    Err(SyscallError::new("epoll_pwait", errno))
                }
            }
        }
    }

    /// Lets one connection go on as far as it can now. `reported` is what epoll has said of it.
    fn serve(&mut self, key: Key, reported: u32) {
        // An event of this same batch may have been for a connection that is closed by now.
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let room = MAX_UNSENT_BYTES
            .saturating_sub(self.held)
            .clamp(MIN_READ_BYTES, READ_BUFFER_BYTES);
        self.held -= connection.held();
        let goes_on = match connection.serve(reported, &mut self.buffer[..room], &self.totals) {
            Next::Input => true,
            // A connection that cannot be waited for (no memory in the kernel) cannot be served.
            Next::Wait(events) => connection
                .polled
                .wait_for(&self.epoll, Token::Connection(key), events)
                .is_ok(),
            Next::Close => false,
        };
        if goes_on {
            self.held += connection.held();
        } else {
            self.connections.remove(key);
            self.descriptor_freed();
        }
    }
}

/// A timeout as `epoll_pwait` wants it: rounded up, so that no one wakes before the time is over.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    const FOR_EVER: i32 = -1;
    let rounded_up = |timeout: Duration| timeout.as_nanos().div_ceil(1_000_000);
    timeout.map_or(FOR_EVER, |timeout| {
        i32::try_from(rounded_up(timeout)).unwrap_or(i32::MAX)
    })
}
