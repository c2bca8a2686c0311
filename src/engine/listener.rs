//! The listening socket: starting, accepting, pausing, stopping.

use core::net::SocketAddr;
use std::time::Duration;

use syscalls::addr::{AF_INET, AF_INET6, Sockaddr};
use syscalls::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, Epoll, EpollEvent};
use syscalls::socket::{
    IPPROTO_IP, SO_KEEPALIVE, SO_OOBINLINE, SO_REUSEADDR, SO_REUSEPORT, SOCK_CLOEXEC,
    SOCK_NONBLOCK, SOCK_STREAM, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY,
    TCP_USER_TIMEOUT,
};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::{Connection, Engine, SyscallError, Token};

/// Connections that may wait to be accepted. The kernel cuts it to `net.core.somaxconn`, whose
/// default is the same.
const BACKLOG: i32 = 4096;

/// Connections accepted in one turn, so that a flood of new ones does not starve the others.
const MAX_ACCEPTS_PER_TURN: usize = 64;

/// How long accepting rests when no descriptor or no memory is left and no connection ends
/// meanwhile: somebody else may have freed some. Short against a client's patience, long against
/// the cost of a try.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a peer may be gone (its machine off, its cable cut) before its connection is dropped.
/// It is probed when it has been silent for half of that. The same time holds for a peer that lives
/// but takes none of the bytes that wait for it.
pub const PEER_TIMEOUT: Duration = Duration::from_secs(60);

/// Probes of a silent peer, in the second half of [`PEER_TIMEOUT`].
const KEEPALIVE_PROBES: i32 = 3;

/// Whether other engines listen on the same port, among which the kernel spreads the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReusePort {
    /// None does.
    Off,
    /// Others may join this one, once it listens.
    Allow,
    /// This one joins another.
    Join,
}

/// How stopping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every connection had ended, or had its time.
    Complete,
    /// The owner's input came first.
    Interrupted,
}

/// The listening socket.
#[derive(Debug)]
pub struct Listener<K: Kernel> {
    socket: Socket<K>,
    /// Where it listens, with the port that the kernel picked.
    pub address: SocketAddr,
    /// Whether other engines listen on the same port.
    pub shared: bool,
    /// Until when accepting rests, if it does. Until then the socket is out of the epoll set: what
    /// waits in its queue would keep the loop awake.
    paused_until: Option<Duration>,
}

/// A stream socket for `address`'s family that never waits.
pub fn stream_socket<K: Kernel>(
    kernel: &K,
    address: SocketAddr,
) -> Result<Socket<K>, SyscallError> {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    Socket::new(
        kernel.clone(),
        family,
        SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
        IPPROTO_IP,
    )
    .map_err(|errno| SyscallError::new("socket", errno))
}

impl<K: Kernel> Engine<K> {
    /// Where the engine listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.address)
    }

    /// Listens on `address`; port 0 picks a free one. Returns where it listens now.
    ///
    /// # Errors
    /// Those of socket, setsockopt, bind, listen, getsockname and epoll_ctl. Nothing is left open.
    ///
    /// # Panics
    /// If it listens already.
    pub fn start(
        &mut self,
        address: SocketAddr,
        sharing: ReusePort,
    ) -> Result<SocketAddr, SyscallError> {
        assert!(self.listener.is_none(), "one listener at a time");
        let socket = stream_socket(&self.kernel, address)?;
        let failed = |call| move |errno| SyscallError::with_address(call, address, errno);
        let half = (PEER_TIMEOUT / 2).as_secs() as i32;
        // Every accepted socket inherits what is set here, which saves the calls on each.
        let options = [
            (SO_REUSEADDR, 1),
            (SO_OOBINLINE, 1),
            (SO_KEEPALIVE, 1),
            (TCP_NODELAY, 1),
            (TCP_KEEPIDLE, half),
            (TCP_KEEPINTVL, half / KEEPALIVE_PROBES),
            (TCP_KEEPCNT, KEEPALIVE_PROBES),
            (TCP_USER_TIMEOUT, PEER_TIMEOUT.as_millis() as i32),
        ];
        for (option, value) in options {
            socket
                .setsockopt(option, value)
                .map_err(failed("setsockopt"))?;
        }
        let share = || {
            socket
                .setsockopt(SO_REUSEPORT, 1)
                .map_err(failed("setsockopt"))
        };
        if sharing == ReusePort::Join {
            share()?;
        }
        socket
            .bind(&Sockaddr::from(address))
            .map_err(failed("bind"))?;
        socket.listen(BACKLOG).map_err(failed("listen"))?;
        // Not before: it would share the port with another program of the same user that shares
        // its own, and neither would be told.
        if sharing == ReusePort::Allow {
            share()?;
        }
        let name = socket.getsockname().map_err(failed("getsockname"))?;
        let address = name
            .to_ip()
            .expect("an internet socket has an internet address");
        wait_for_connections(&self.epoll, &socket).map_err(failed("epoll_ctl"))?;
        self.listener = Some(Listener {
            socket,
            shared: sharing != ReusePort::Off,
            address,
            paused_until: None,
        });
        Ok(address)
    }

    /// Stops listening, serves the open connections until they end, but for `patience` at the most
    /// and no longer than until its owner's input is ready, and closes those that are left. The
    /// port is free then.
    pub fn stop(&mut self, patience: Duration) -> Drain {
        // Those that wait in the queue have been connected to: closing the listener would reset
        // them. There are no more of them than the queue holds.
        let mut batches = 0..BACKLOG as usize / MAX_ACCEPTS_PER_TURN;
        while batches.next().is_some() && self.accept() == Ok(true) {}
        self.listener = None;
        // If the clock or the loop fails, the patience is over.
        let stopped = self
            .serve_until_all_end(patience)
            .unwrap_or(Drain::Complete);
        self.fresh.clear();
        self.connections.clear();
        self.held = 0;
        stopped
    }

    fn serve_until_all_end(&mut self, patience: Duration) -> Result<Drain, SyscallError> {
        let deadline = self.now() + patience;
        while self.connections.len() > 0 {
            let left = deadline.saturating_sub(self.now());
            if left.is_zero() {
                break;
            }
            if self.turn(Some(left))?.input {
                return Ok(Drain::Interrupted);
            }
        }
        Ok(Drain::Complete)
    }

    /// Accepts waiting connections: a bounded number of them, and none after the one that is
    /// [awaited](Engine::awaited). Returns whether more may be waiting.
    ///
    /// # Errors
    /// What the process or the machine is short of. Accepting rests for a while then.
    pub(super) fn accept(&mut self) -> Result<bool, Errno> {
        let mut failed = 0;
        for _ in 0..MAX_ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else {
                return Ok(false);
            };
            match retry_on_eintr(|| listener.socket.accept4(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
                Ok((socket, peer)) => {
                    self.totals.add_connection();
                    self.fresh
                        .push(self.connections.insert(Connection::new(socket)));
                    if self.awaited.is_some() && self.awaited == peer.to_ip() {
                        self.awaited = None;
                        break;
                    }
                }
                Err(Errno::EAGAIN) => return Ok(false),
                // One after the other, though, is no matter of one connection: it would spin.
                Err(errno)
                    if concerns_one_connection(errno) && failed < MAX_ACCEPTS_PER_TURN / 2 =>
                {
                    failed += 1;
                }
                Err(errno) => {
                    self.pause_accepting();
                    return Err(errno);
                }
            }
        }
        Ok(true)
    }

    /// Takes the listener out of the epoll set for a while.
    fn pause_accepting(&mut self) {
        let until = self.now() + ACCEPT_BACKOFF;
        let Some(listener) = &mut self.listener else {
            return;
        };
        listener.paused_until = Some(until);
        // It may be out already. If this fails for another reason, its next event tries again.
        let _ = self
            .epoll
            .ctl(EPOLL_CTL_DEL, &listener.socket, EpollEvent::default());
    }

    /// A descriptor has been closed: accepting may go on.
    pub(super) fn descriptor_freed(&mut self) {
        if let Some(Listener {
            paused_until: Some(until),
            ..
        }) = &mut self.listener
        {
            *until = Duration::ZERO;
        }
    }

    /// Puts a paused listener back into the epoll set if its time has come. Returns how long the
    /// coming wait may take: `timeout`, or less if accepting is to go on before.
    pub(super) fn resume_accepting(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        let Some(Listener {
            paused_until: Some(until),
            ..
        }) = self.listener
        else {
            return timeout;
        };
        let mut left = until.saturating_sub(self.now());
        if left.is_zero() {
            let Some(listener) = &mut self.listener else {
                return timeout;
            };
            match wait_for_connections(&self.epoll, &listener.socket) {
                // EEXIST: taking it out had failed.
                Ok(()) | Err(Errno::EEXIST) => {
                    listener.paused_until = None;
                    return timeout;
                }
                Err(_) => {
                    self.pause_accepting();
                    left = ACCEPT_BACKOFF;
                }
            }
        }
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }
}

/// Puts the listening `socket` into the epoll set.
fn wait_for_connections<K: Kernel>(epoll: &Epoll<K>, socket: &Socket<K>) -> Result<(), Errno> {
    let event = EpollEvent {
        events: EPOLLIN,
        data: Token::Listener.pack(),
    };
    epoll.ctl(EPOLL_CTL_ADD, socket, event)
}

/// Whether a failed accept is about the connection that it would have returned, so that the next one
/// may be fine: `accept(2)`, "Error handling". The others tell
/// that the process or the machine is short of something.
fn concerns_one_connection(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::ETIMEDOUT
    )
}
