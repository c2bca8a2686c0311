//! The node's own client: one message to the server and back, over a TCP connection of its own.

use core::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use syscalls::addr::Sockaddr;
use syscalls::epoll::{EPOLLIN, EPOLLOUT};
use syscalls::socket::{IP_BIND_ADDRESS_NO_PORT, SHUT_WR, SO_ERROR, TCP_NODELAY};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::listener::stream_socket;
use super::{Engine, Polled, SyscallError, Token};

/// How long a round trip may stand still. It must be over before Maelstrom gives up on the request,
/// after 5 s: a reply that comes later does harm.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(4);

/// Round trips from one address. Each leaves a port in `TIME_WAIT`, and the kernel looks for a free
/// one by trying them in turn: that gets slow long before none is left.
const CONNECTS_PER_SOURCE_ADDRESS: u64 = 4096;

/// Why a round trip has no echo to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundTripError {
    /// Nothing was sent: the connection could not be made, or was not accepted.
    NotSent(SyscallError),
    /// The connection broke when some bytes may have been sent.
    Broken(SyscallError),
    /// The server ended the connection before all had come back.
    Truncated {
        /// Bytes that were to come back.
        expected: usize,
        /// Bytes that did.
        came: usize,
    },
    /// Nothing moved for [`STALL_TIMEOUT`].
    Stalled,
}

/// The client's end of a round trip.
struct Client<K: Kernel> {
    polled: Polled<K>,
    /// Since when nothing has moved, as far as known.
    stalled_since: Option<Duration>,
}

impl<K: Kernel> Engine<K> {
    /// Sends `message` to the server at `server` over a new connection, and puts what comes back
    /// into `echo`, while serving everybody else too.
    ///
    /// The client says nothing before the server has accepted it, so that running out of
    /// descriptors is an error with nothing sent. When all is written it shuts its side down, and
    /// it reads to the end of the stream: so both ends are closed when this returns.
    ///
    /// On the loopback interface all of that goes without waiting, as a rule. If it has to wait, it
    /// calls `before_waiting` before it does.
    ///
    /// # Errors
    /// See [`RoundTripError`]. The connection is closed then, too.
    pub fn round_trip(
        &mut self,
        server: SocketAddr,
        message: &[u8],
        echo: &mut Vec<u8>,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<(), RoundTripError> {
        echo.clear();
        let outcome = self
            .connect(server, before_waiting)
            .and_then(|mut client| self.exchange(&mut client, message, echo, before_waiting));
        self.awaited = None;
        self.descriptor_freed();
        outcome
    }

    /// Connects, and waits until the server has accepted the connection.
    fn connect(
        &mut self,
        server: SocketAddr,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<Client<K>, RoundTripError> {
        let not_sent = |call| {
            move |errno| RoundTripError::NotSent(SyscallError::with_address(call, server, errno))
        };
        let mut begun = self.begin_to_connect(server);
        let no_port = |failure: &SyscallError| failure.errno == Errno::EADDRNOTAVAIL;
        if begun.as_ref().is_err_and(no_port) {
            self.next_source(server);
            begun = self.begin_to_connect(server);
        }
        self.clients += 1;
        if self.clients % CONNECTS_PER_SOURCE_ADDRESS == 0 {
            self.next_source(server);
        }
        let (socket, address) = begun.map_err(RoundTripError::NotSent)?;
        self.awaited = address;
        let mut client = Client {
            polled: Polled::new(socket),
            stalled_since: None,
        };
        loop {
            // On the loopback interface the connection is there by now.
            let accepted = self.accept();
            if self.awaited.is_none() {
                client.stalled_since = None;
                return Ok(client);
            }
            if let Err(errno) = accepted {
                return Err(not_sent("accept4")(errno));
            }
            // Another engine may accept it, which does not tell. That it is connected must do.
            let listener = self.listener.as_ref();
            let shared = listener.is_some_and(|listener| listener.shared);
            if shared && client.polled.socket.getpeername().is_ok() {
                return Ok(client);
            }
            let pending = client
                .polled
                .socket
                .getsockopt(SO_ERROR)
                .map_err(not_sent("getsockopt"))?;
            if let Ok(errno @ 1..) = u16::try_from(pending) {
                return Err(not_sent("connect")(Errno::new(errno)));
            }
            let events = if shared { EPOLLIN | EPOLLOUT } else { EPOLLIN };
            before_waiting();
            self.wait_for(&mut client, events, RoundTripError::NotSent)?;
        }
    }

    /// A socket on its way to `server`, and its own address.
    fn begin_to_connect(
        &self,
        server: SocketAddr,
    ) -> Result<(Socket<K>, Option<SocketAddr>), SyscallError> {
        let failed = |call| move |errno| SyscallError::with_address(call, server, errno);
        let socket = stream_socket(&self.kernel, server)?;
        socket
            .setsockopt(TCP_NODELAY, 1)
            .map_err(failed("setsockopt"))?;
        if let Some(source) = self.source {
            // The port is picked when the destination is known, and need only differ for that. A
            // kernel without the option (before 4.2, or emulated) picks one now: just as well.
            let _ = socket.setsockopt(IP_BIND_ADDRESS_NO_PORT, 1);
            let source = SocketAddr::from((source, 0));
            socket
                .bind(&Sockaddr::from(source))
                .map_err(failed("bind"))?;
        }
        let begun = match socket.connect(&Sockaddr::from(server)) {
            Ok(()) => Ok(()),
            // Interrupted or not, it goes on in the background.
            Err(errno @ (Errno::EINPROGRESS | Errno::EINTR)) => Err(errno),
            Err(errno) => return Err(failed("connect")(errno)),
        };
        let address = socket.getsockname().map_err(failed("getsockname"))?.to_ip();
        match begun {
            // If it has got as far as a port, that is: what comes before can be interrupted, too.
            Err(errno) if address.is_none_or(|address| address.port() == 0) => {
                Err(failed("connect")(errno))
            }
            _ => Ok((socket, address)),
        }
    }

    /// Has the coming clients come from another address of this machine, whose ports are not taken
    /// by connections in `TIME_WAIT`: all of 127.0.0.0/8 is local.
    fn next_source(&mut self, server: SocketAddr) {
        if let SocketAddr::V4(server) = server {
            let last = self.source.unwrap_or(Ipv4Addr::LOCALHOST);
            let next = Ipv4Addr::from_bits(last.to_bits() + 1);
            let local = server.ip().is_loopback() || server.ip().is_unspecified();
            self.source = (local && next.is_loopback()).then_some(next);
        }
    }

    /// Writes `message` and reads `echo`, both at once, until the end of the stream.
    fn exchange(
        &mut self,
        client: &mut Client<K>,
        message: &[u8],
        echo: &mut Vec<u8>,
        before_waiting: &mut dyn FnMut(),
    ) -> Result<(), RoundTripError> {
        let broken = |call| move |errno| RoundTripError::Broken(SyscallError::new(call, errno));
        let mut unwritten = message;
        let mut shut = false;
        loop {
            let mut moved = false;
            if !unwritten.is_empty() {
                match retry_on_eintr(|| client.polled.socket.write(unwritten)) {
                    Ok(count) => {
                        unwritten = &unwritten[count..];
                        moved = true;
                    }
                    Err(Errno::EAGAIN) => {}
                    Err(errno) => return Err(broken("write")(errno)),
                }
            }
            if unwritten.is_empty() && !shut {
                client
                    .polled
                    .socket
                    .shutdown(SHUT_WR)
                    .map_err(broken("shutdown"))?;
                shut = true;
                moved = true;
            }
            // The server's side of it.
            if moved {
                client.stalled_since = None;
                let fresh = self.fresh.len();
                if fresh == self.connections.len() {
                    // Epoll could tell of nobody: the listener has just been asked.
                    self.serve_fresh(fresh);
                } else {
                    self.turn(Some(Duration::ZERO))
                        .map_err(RoundTripError::Broken)?;
                }
            } else {
                let events = if shut { EPOLLIN } else { EPOLLIN | EPOLLOUT };
                before_waiting();
                let queued = self.awaited.is_some();
                self.wait_for(client, events, RoundTripError::Broken)?;
                if queued && self.awaited.is_none() {
                    // With workers the connection may be accepted only now, which is progress.
                    client.stalled_since = None;
                }
            }
            loop {
                match retry_on_eintr(|| client.polled.socket.read(&mut self.buffer)) {
                    Ok(0) if echo.len() < message.len() => {
                        let (expected, came) = (message.len(), echo.len());
                        return Err(RoundTripError::Truncated { expected, came });
                    }
                    Ok(0) => return Ok(()),
                    Ok(count) => echo.extend_from_slice(&self.buffer[..count]),
                    Err(Errno::EAGAIN) => break,
                    Err(errno) => return Err(broken("read")(errno)),
                }
                client.stalled_since = None;
            }
        }
    }

    /// Turns the loop until something comes to it, which need not be one of `events` for the
    /// client. A failure is of the kind `failed`.
    fn wait_for(
        &mut self,
        client: &mut Client<K>,
        events: u32,
        failed: fn(SyscallError) -> RoundTripError,
    ) -> Result<(), RoundTripError> {
        client
            .polled
            .wait_for(&self.epoll, Token::Client, events)
            .map_err(|errno| failed(SyscallError::new("epoll_ctl", errno)))?;
        let now = self.now();
        let since = *client.stalled_since.get_or_insert(now);
        let left = STALL_TIMEOUT.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            return Err(RoundTripError::Stalled);
        }
        self.turn(Some(left)).map_err(failed)?;
        Ok(())
    }
}
