//! The echo engine: a listener, its connections and the node's own client in one epoll loop.
//!
//! [`Engine::turn`] waits for one batch of events and handles it. Each file holds one part, which can be read
//! alone:
//!
//! | file | holds |
//! |---|---|
//! | `poller` | the epoll set, the clock, and whether a wait polls (`polling`) |
//! | `listener` | the listening socket and its back-off |
//! | `connections` | the accepted connections (`connection`), their slots and unsent bytes |
//! | `client` | one round trip of the node's own client |
//! | `workers` | the other threads that serve connections, each with a `mailbox` |
//! | `token`, `polled` | the owner of an event; a socket and its registration |
//! | `totals`, `syscall_error` | the counters; the error of a failed call |

mod client;
mod connection;
mod connections;
mod listener;
mod mailbox;
mod polled;
mod poller;
mod polling;
mod syscall_error;
mod token;
mod totals;
mod workers;

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use syscalls::{Errno, Fd, Kernel};

use client::{Client, Clients, Stall};
use connections::Connections;
use listener::{ACCEPT_BACKOFF, Accept, BACKLOG, Listener};
use poller::Poller;
use token::Token;
use workers::Workers;

pub use client::{RoundTripError, STALL_TIMEOUT};
pub use connections::{MAX_UNSENT_BYTES, MIN_READ_BYTES, READ_BUFFER_BYTES};
pub use listener::PEER_TIMEOUT;
pub use poller::Watch;
pub use polling::Polling;

pub use syscall_error::SyscallError;
pub use totals::{Counts, Totals};
pub use workers::Worker;

/// The most connections accepted in one turn, so that many new ones do not delay the others.
const MAX_ACCEPTS_PER_TURN: u16 = 64;

/// The interval at which the main thread checks on a worker that has not finished at the drain timeout. The
/// worker will finish, but a seccomp filter may refuse the write with which it wakes the main thread.
const WORKER_RECHECK: Duration = Duration::from_millis(1);

/// The descriptors of the engine's owner (the node or the `serve` command) that a turn found ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The descriptor watched as [`Watch::Input`] is ready.
    pub input: bool,
    /// The descriptor watched as [`Watch::Output`] is ready.
    pub output: bool,
}

/// The outcome of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every connection ended, or was closed after the timeout.
    Complete,
    /// The owner's input became ready before that.
    Interrupted,
}

/// A TCP echo server that runs in its caller's thread, in each call of [`turn`](Engine::turn).
#[derive(Debug)]
pub struct Engine<K: Kernel> {
    poller: Poller<K>,
    listener: Option<Listener<K>>,
    connections: Connections<K>,
    clients: Clients,
    /// The address of the node's own client, until its connection is accepted.
    pending_client: Option<SocketAddr>,
    workers: Workers<K>,
    totals: Arc<Totals>,
}

impl<K: Kernel> Engine<K> {
    /// Creates an engine that does not listen yet. `polling` decides whether its waits busy-poll.
    ///
    /// # Errors
    /// Those of `epoll_create1`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(kernel: K, polling: Polling) -> Result<Engine<K>, SyscallError> {
        let totals = Arc::default();
        Ok(Engine {
            poller: Poller::new(kernel, polling)?,
            listener: None,
            connections: Connections::new(Arc::clone(&totals)),
            clients: Clients::new(),
            pending_client: None,
            workers: Workers::none(),
            totals,
        })
    }

    /// Adds `count` workers, which share the connections. The caller starts their threads.
    ///
    /// # Errors
    /// Those of `eventfd2`, `epoll_create1` and `epoll_ctl`.
    pub fn add_workers(
        &mut self,
        count: usize,
        polling: Polling,
    ) -> Result<Vec<Worker<K>>, SyscallError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let (workers, each) = Workers::new(count, &self.poller, polling, &self.totals)?;
        self.workers = workers;
        Ok(each)
    }

    /// Returns the counters, over all starts and stops.
    pub fn totals(&self) -> Counts {
        self.totals.get()
    }

    /// Returns the address on which the engine listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(Listener::address)
    }

    /// Arms a one-shot watch on `fd`: the next turn that finds it ready reports it. Returns false for a
    /// file that is always ready: a regular file, or `/dev/null`.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `EBADF` if `fd` is not open, `ENOMEM`, `ENOSPC`.
    pub fn watch(&self, fd: &Fd<K>, watch: Watch) -> Result<bool, SyscallError> {
        self.poller.watch(fd, watch)
    }

    /// Listens on `address`; port 0 picks a free port. Returns the address with that port.
    ///
    /// # Errors
    /// Those of `socket`, `setsockopt`, `bind`, `listen`, `getsockname` and `epoll_ctl`. No
    /// descriptor stays open.
    ///
    /// # Panics
    /// If the engine already listens.
    pub fn start(&mut self, address: SocketAddr) -> Result<SocketAddr, SyscallError> {
        assert!(self.listener.is_none(), "one listener at a time");
        let listener = self.listener.insert(Listener::bind(&self.poller, address)?);
        Ok(listener.address())
    }

    /// Waits for events for at most `timeout` (`None`: without a limit), and handles them.
    ///
    /// # Errors
    /// That of `epoll_pwait`, if it fails repeatedly with an errno other than `EINTR`.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<Ready, SyscallError> {
        // Connections that this turn accepts are served in the next turn.
        let first_turns = self.connections.just_accepted();
        let timeout = match (first_turns, &mut self.listener) {
            (0, None) => timeout,
            (0, Some(listener)) => shorter(timeout, listener.resume(&mut self.poller)),
            _ => Some(Duration::ZERO),
        };
        let mut ready = Ready::default();
        let mut closed = false;
        for i in 0..self.poller.wait(timeout)? {
            match self.poller.event(i) {
                (Token::Input, _) => ready.input = true,
                (Token::Output, _) => ready.output = true,
                (Token::Wake, _) => self.workers.reset_wake(),
                // The round trip itself tries to send and receive.
                (Token::Client, _) => {}
                (Token::Listener, _) => {
                    // A shortage does not end the loop, because accepting backs off.
                    let _ = self.accept();
                }
                (Token::Connection(key), events) => {
                    closed |= self.connections.serve(key, events, &self.poller);
                }
            }
        }
        closed |= self
            .connections
            .serve_just_accepted(first_turns, &self.poller);
        if closed {
            self.descriptor_freed();
        }
        self.poller.echoed(self.connections.take_echoed_bytes());
        Ok(ready)
    }

    /// Accepts at most [`MAX_ACCEPTS_PER_TURN`] queued connections, and none after the pending client's.
    /// Returns whether more may be queued.
    ///
    /// # Errors
    /// The errno of `accept4`, if accepting has backed off.
    fn accept(&mut self) -> Result<bool, Errno> {
        for _ in 0..MAX_ACCEPTS_PER_TURN {
            let Some(listener) = &mut self.listener else {
                return Ok(false);
            };
            match listener.accept(&mut self.poller) {
                Accept::Accepted(socket, peer) => {
                    self.totals.add_connection();
                    if self.pending_client.is_some() && self.pending_client == peer.to_ip() {
                        self.pending_client = None;
                        self.connections.insert(socket);
                        break;
                    }
                    if let Err(socket) = self.workers.hand_over(socket) {
                        self.connections.insert(socket);
                    }
                }
                Accept::Empty => return Ok(false),
                Accept::Exhausted(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    /// Lets accepting resume, because a descriptor was closed.
    fn descriptor_freed(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.descriptor_freed();
        }
    }

    /// Stops listening and serves the open connections until they end, until `timeout` has elapsed or until
    /// the owner's input is ready. Then closes the remaining connections. The port is free afterwards.
    pub fn stop(&mut self, timeout: Duration) -> Drain {
        // Queued connections are established, and closing the listener would reset them, so accept them. The
        // length of the queue bounds their number.
        let mut batches = 0..BACKLOG / MAX_ACCEPTS_PER_TURN;
        while batches.next().is_some() && self.accept() == Ok(true) {}
        self.listener = None;
        self.workers.drain(timeout);
        // If the loop fails, it cannot serve the connections.
        let drain = self.drain(timeout).unwrap_or(Drain::Complete);
        self.connections.clear();
        drain
    }

    fn drain(&mut self, timeout: Duration) -> Result<Drain, SyscallError> {
        let deadline = self.poller.now() + timeout;
        while self.connections.len() > 0 || self.workers.are_draining() {
            let mut left = deadline.saturating_sub(self.poller.now());
            if left.is_zero() {
                self.connections.clear();
                if !self.workers.are_draining() {
                    break;
                }
                left = WORKER_RECHECK;
            }
            if self.turn(Some(left))?.input {
                return Ok(Drain::Interrupted);
            }
        }
        Ok(Drain::Complete)
    }

    /// Sends `message` to the server at `server` over a new connection and stores the echo in `echo`. Serves
    /// all connections in the meantime.
    ///
    /// The client sends no byte before the server has accepted its connection. A shortage of descriptors is
    /// therefore an error before the first byte. After the last byte, the client shuts down its sending side
    /// and reads to the end of the stream. On success, both ends are closed when this returns.
    ///
    /// On the loopback interface, a round trip usually does not block. If it has to wait, it calls
    /// `before_waiting` first.
    ///
    /// # Errors
    /// See [`RoundTripError`]. The client's end is closed after an error too.
    pub fn round_trip(
        &mut self,
        server: SocketAddr,
        message: &[u8],
        echo: &mut Vec<u8>,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<(), RoundTripError> {
        echo.clear();
        let outcome = self
            .connect(server, message, before_waiting)
            .and_then(|mut client| {
                self.wait_until_accepted(&mut client, server, before_waiting)?;
                self.exchange(&mut client, echo, before_waiting)
            });
        self.pending_client = None;
        self.descriptor_freed();
        outcome
    }

    /// Starts to connect. Retries a shortage of sockets for at most [`STALL_TIMEOUT`].
    fn connect<'m>(
        &mut self,
        server: SocketAddr,
        message: &'m [u8],
        before_waiting: &mut dyn FnMut(),
    ) -> Result<Client<'m, K>, RoundTripError> {
        let mut stall = Stall::default();
        loop {
            let failure = match self.clients.connect(self.poller.kernel(), server, message) {
                Ok(client) => {
                    self.pending_client = client.address;
                    return Ok(client);
                }
                Err(failure) => failure,
            };
            // Only for `socket`: a retry after `connect` could make a second connection.
            let passes = failure.call == "socket" && is_shortage(failure.errno);
            let left = match passes {
                true => stall.time_left(self.poller.now()),
                false => Duration::ZERO,
            };
            if left.is_zero() {
                return Err(RoundTripError::NotSent(failure));
            }
            before_waiting();
            self.turn(Some(left.min(ACCEPT_BACKOFF)))
                .map_err(RoundTripError::NotSent)?;
        }
    }

    /// Waits until the server has accepted the connection of `client`. Retries a shortage for at most
    /// [`STALL_TIMEOUT`].
    fn wait_until_accepted(
        &mut self,
        client: &mut Client<'_, K>,
        server: SocketAddr,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<(), RoundTripError> {
        let not_accepted =
            |errno| RoundTripError::NotSent(SyscallError::with_address("accept4", server, errno));
        let mut shortage = None;
        loop {
            // On the loopback interface, the connection is queued by now.
            let accepted = self.accept();
            if self.pending_client.is_none() {
                client.accepted();
                return Ok(());
            }
            match accepted {
                Ok(_) => {}
                Err(errno) if is_shortage(errno) => shortage = Some(errno),
                Err(errno) => return Err(not_accepted(errno)),
            }
            client.check_connecting(server)?;
            before_waiting();
            let left = match (client.wait_for_events(&mut self.poller, false), shortage) {
                (Ok(left), _) => left,
                (Err(failure), Some(errno)) if failure.is_timeout() => {
                    return Err(not_accepted(errno));
                }
                (Err(failure), _) => return Err(failure),
            };
            self.turn(Some(left))
                .map_err(|failure| client.failed_with(failure))?;
        }
    }

    /// Sends the message and reads the echo at the same time, until the end of the stream.
    fn exchange(
        &mut self,
        client: &mut Client<'_, K>,
        echo: &mut Vec<u8>,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<(), RoundTripError> {
        loop {
            let timeout = if client.write()? {
                Duration::ZERO
            } else {
                before_waiting();
                client.wait_for_events(&mut self.poller, true)?
            };
            self.serve_for(timeout)
                .map_err(|failure| client.failed_with(failure))?;
            if self.clients.read(client, echo)? {
                return Ok(());
            }
        }
    }

    /// Runs the server for at most `timeout`.
    fn serve_for(&mut self, timeout: Duration) -> Result<(), SyscallError> {
        let first_turns = self.connections.just_accepted();
        if timeout.is_zero() && first_turns == self.connections.len() {
            // No connection is in the epoll set, and all that were queued before the client's have been
            // accepted, so a wait would hardly find an event. The next turn finds later ones.
            if self
                .connections
                .serve_just_accepted(first_turns, &self.poller)
            {
                self.descriptor_freed();
            }
            Ok(())
        } else {
            self.turn(Some(timeout)).map(drop)
        }
    }
}

/// Returns whether `errno` reports a shortage, which may be temporary.
fn is_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM
    )
}

/// Returns the shorter of two timeouts. `None` means no limit.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
