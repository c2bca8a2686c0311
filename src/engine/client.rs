//! The node's own client: one message to the server and back, over a connection of its own.

use core::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use syscalls::addr::Sockaddr;
use syscalls::epoll::{EPOLLIN, EPOLLOUT};
use syscalls::socket::{IP_BIND_ADDRESS_NO_PORT, SHUT_WR, SO_ERROR, TCP_NODELAY};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::connections::READ_BUFFER_BYTES;
use super::listener::stream_socket;
use super::polled::Polled;
use super::poller::Poller;
use super::syscall_error::SyscallError;
use super::token::Token;

/// How long a round trip may make no progress. This is less than the 5 s after which Maelstrom gives up on a
/// request, so that Maelstrom gets the error reply of a stalled send in time.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(4);

/// The number of round trips from one source address before the next one is used. Each leaves a port in
/// `TIME_WAIT`. The kernel searches for a free port by trying one after the other, which becomes slow long
/// before none is left.
const CONNECTS_PER_SOURCE_ADDRESS: u64 = 4096;

/// Why a round trip failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundTripError {
    /// No byte was sent.
    NotSent(SyscallError),
    /// The connection broke after some bytes were sent.
    Broken(SyscallError),
    /// The server closed the connection before the whole echo arrived.
    Truncated {
        /// Bytes that were sent.
        sent: usize,
        /// Bytes that were expected back.
        expected: usize,
        /// Bytes that came back.
        received: usize,
    },
    /// Some bytes were sent, and then the connection made no progress for [`STALL_TIMEOUT`].
    Stalled,
}

impl RoundTripError {
    /// Returns whether the connection made no progress for [`STALL_TIMEOUT`].
    pub fn is_timeout(&self) -> bool {
        match self {
            RoundTripError::NotSent(failure) => failure.errno == Errno::ETIMEDOUT,
            RoundTripError::Stalled => true,
            RoundTripError::Broken(_) | RoundTripError::Truncated { .. } => false,
        }
    }
}

/// The state that all round trips share: their source address and a buffer.
#[derive(Debug)]
pub struct Clients {
    /// The number of round trips so far.
    count: u64,
    /// The address to which clients bind; `None` if the kernel chooses it.
    source: Option<Ipv4Addr>,
    buffer: Box<[u8]>,
}

/// The client's end of one round trip.
#[derive(Debug)]
pub struct Client<'m, K: Kernel> {
    polled: Polled<K>,
    /// The client's own address.
    pub address: Option<SocketAddr>,
    message: &'m [u8],
    /// The number of bytes of `message` that have been sent.
    sent: usize,
    /// Whether the sending side has been shut down, which follows the last byte.
    shut: bool,
    stall: Stall,
}

/// The time of the first check after the last progress of a round trip; `None` before that check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall(Option<Duration>);

impl Stall {
    /// Records progress.
    pub fn moved(&mut self) {
        self.0 = None;
    }

    /// Returns how much of [`STALL_TIMEOUT`] is left at `now`, or zero. The timeout begins with the first
    /// call after the last progress.
    pub fn time_left(&mut self, now: Duration) -> Duration {
        let since = *self.0.get_or_insert(now);
        STALL_TIMEOUT.saturating_sub(now.saturating_sub(since))
    }
}

impl Clients {
    /// Creates the state before the first round trip.
    pub fn new() -> Clients {
        Clients {
            count: 0,
            source: None,
            buffer: vec![0; READ_BUFFER_BYTES].into(),
        }
    }

    /// Starts to connect to `server`, for a round trip of `message`. If no local port is left, tries once
    /// more from the next source address.
    ///
    /// # Errors
    /// Those of `socket`, `setsockopt`, `bind`, `connect` and `getsockname`.
    pub fn connect<'m, K: Kernel>(
        &mut self,
        kernel: &K,
        server: SocketAddr,
        message: &'m [u8],
    ) -> Result<Client<'m, K>, SyscallError> {
        let mut begun = self.begin_to_connect(kernel, server);
        let no_port = |failure: &SyscallError| failure.errno == Errno::EADDRNOTAVAIL;
        if begun.as_ref().is_err_and(no_port) {
            self.next_source(server);
            begun = self.begin_to_connect(kernel, server);
        }
        self.count += 1;
        if self.count % CONNECTS_PER_SOURCE_ADDRESS == 0 {
            self.next_source(server);
        }
        let (socket, address) = begun?;
        Ok(Client {
            polled: Polled::new(socket),
            address,
            message,
            sent: 0,
            shut: false,
            stall: Stall::default(),
        })
    }

    /// Returns a socket that is connecting to `server`, and the socket's local address.
    fn begin_to_connect<K: Kernel>(
        &self,
        kernel: &K,
        server: SocketAddr,
    ) -> Result<(Socket<K>, Option<SocketAddr>), SyscallError> {
        let failed = |call| move |errno| SyscallError::with_address(call, server, errno);
        let socket = stream_socket(kernel, server)?;
        socket
            .setsockopt(TCP_NODELAY, 1)
            .map_err(failed("setsockopt"))?;
        if let Some(source) = self.source {
            // The kernel picks the port in `connect`, and the port need only be free for that destination.
            // A kernel without the option (before 4.2, or emulated) picks a port now, which works too.
            let _ = socket.setsockopt(IP_BIND_ADDRESS_NO_PORT, 1);
            let source = SocketAddr::from((source, 0));
            socket
                .bind(&Sockaddr::from(source))
                .map_err(failed("bind"))?;
        }
        let begun = match socket.connect(&Sockaddr::from(server)) {
            Ok(()) => Ok(()),
            // The connect continues in the background, interrupted or not.
            Err(errno @ (Errno::EINPROGRESS | Errno::EINTR)) => Err(errno),
            Err(errno) => return Err(failed("connect")(errno)),
        };
        let address = socket.getsockname().map_err(failed("getsockname"))?.to_ip();
        match begun {
            // A connect that was interrupted before it had a port does not continue.
            Err(errno) if address.is_none_or(|address| address.port() == 0) => {
                Err(failed("connect")(errno))
            }
            _ => Ok((socket, address)),
        }
    }

    /// Changes to another source address of this machine, whose ports are not in `TIME_WAIT`. All of
    /// 127.0.0.0/8 is local, and reaches a server on 127.0.0.0/8 or 0.0.0.0. For another server, the kernel
    /// chooses the address.
    fn next_source(&mut self, server: SocketAddr) {
        if let SocketAddr::V4(server) = server {
            let last = self.source.unwrap_or(Ipv4Addr::LOCALHOST);
            let next = Ipv4Addr::from_bits(last.to_bits() + 1);
            let local = server.ip().is_loopback() || server.ip().is_unspecified();
            self.source = (local && next.is_loopback()).then_some(next);
        }
    }

    /// Reads for `client` and appends the bytes to `echo`. Returns whether the round trip is complete.
    ///
    /// # Errors
    /// - [`RoundTripError::Truncated`]: the server closed the connection early.
    /// - The error of `read`.
    pub fn read<K: Kernel>(
        &mut self,
        client: &mut Client<'_, K>,
        echo: &mut Vec<u8>,
    ) -> Result<bool, RoundTripError> {
        loop {
            match retry_on_eintr(|| client.polled.socket.read(&mut self.buffer)) {
                Ok(0) if echo.len() < client.message.len() => {
                    return Err(RoundTripError::Truncated {
                        sent: client.sent,
                        expected: client.message.len(),
                        received: echo.len(),
                    });
                }
                Ok(0) => return Ok(true),
                Ok(count) => echo.extend_from_slice(&self.buffer[..count]),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(errno) => return Err(client.failed("read", errno)),
            }
            client.stall.moved();
        }
    }
}

impl<K: Kernel> Client<'_, K> {
    /// Checks whether the connect has failed in the background.
    ///
    /// # Errors
    /// [`RoundTripError::NotSent`] with the error of the connect, or with that of `getsockopt`.
    pub fn check_connecting(&self, server: SocketAddr) -> Result<(), RoundTripError> {
        let not_sent =
            |call, errno| RoundTripError::NotSent(SyscallError::with_address(call, server, errno));
        match self.polled.socket.getsockopt(SO_ERROR) {
            Ok(pending) => match u16::try_from(pending) {
                Ok(errno @ 1..) => Err(not_sent("connect", Errno::new(errno))),
                _ => Ok(()),
            },
            Err(errno) => Err(not_sent("getsockopt", errno)),
        }
    }

    /// Records that the server has accepted the connection, which is progress.
    pub fn accepted(&mut self) {
        self.stall.moved();
    }

    /// Sends as much of the message as the socket accepts, and shuts the sending side down after the last
    /// byte. Returns whether it made progress.
    ///
    /// # Errors
    /// Those of `write` and `shutdown`.
    pub fn write(&mut self) -> Result<bool, RoundTripError> {
        let mut moved = false;
        if self.sent < self.message.len() {
            match retry_on_eintr(|| self.polled.socket.write(&self.message[self.sent..])) {
                Ok(count) => {
                    self.sent += count;
                    moved = true;
                }
                Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(self.failed("write", errno)),
            }
        }
        if self.sent == self.message.len() && !self.shut {
            let shut = self.polled.socket.shutdown(SHUT_WR);
            shut.map_err(|errno| self.failed("shutdown", errno))?;
            self.shut = true;
            moved = true;
        }
        if moved {
            self.stall.moved();
        }
        Ok(moved)
    }

    /// Registers the client's events with `poller`: bytes to read, and space to send if the connection is
    /// `accepted` and the sending side is not shut down. (epoll also reports a failed connect.) Returns how
    /// long the client may wait for them.
    ///
    /// # Errors
    /// - [`RoundTripError::Stalled`], or `ETIMEDOUT` if no byte was sent: no progress for [`STALL_TIMEOUT`].
    /// - The error of `epoll_ctl`.
    pub fn wait_for_events(
        &mut self,
        poller: &mut Poller<K>,
        accepted: bool,
    ) -> Result<Duration, RoundTripError> {
        let events = match accepted && !self.shut {
            true => EPOLLIN | EPOLLOUT,
            false => EPOLLIN,
        };
        self.polled
            .wait_for(poller, Token::Client, events)
            .map_err(|errno| self.failed("epoll_ctl", errno))?;
        match self.stall.time_left(poller.now()) {
            Duration::ZERO if self.sent == 0 => {
                let call = if accepted { "write" } else { "connect" };
                Err(self.failed(call, Errno::ETIMEDOUT))
            }
            Duration::ZERO => Err(RoundTripError::Stalled),
            left => Ok(left),
        }
    }

    /// Returns the failure of `call` as that of the round trip. If a byte was sent, the failure is
    /// indefinite, because the server may have echoed the byte.
    pub fn failed(&self, call: &'static str, errno: Errno) -> RoundTripError {
        self.failed_with(SyscallError::new(call, errno))
    }

    /// Returns `failure` as that of the round trip.
    pub fn failed_with(&self, failure: SyscallError) -> RoundTripError {
        match self.sent {
            0 => RoundTripError::NotSent(failure),
            _ => RoundTripError::Broken(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::scripted::{Script, Scripted, Step};

    use super::super::polling::Polling;

    const SERVER: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// Returns a client that sends `message`, over a kernel whose next step is `socket`.
    fn client<'s>(script: &'s Script<'s>, message: &'s [u8]) -> Client<'s, Scripted<'s>> {
        let socket = stream_socket(&script.kernel(), SERVER).expect("a socket");
        Client {
            polled: Polled::new(socket),
            address: None,
            message,
            sent: 0,
            shut: false,
            stall: Stall::default(),
        }
    }

    #[test]
    fn sends_all_then_shuts_down_then_reads_to_the_end() {
        let steps = [
            Step::new("socket").returns(4),
            Step::new("write").arg(2, 5).returns(3),
            Step::new("read").writes(b"he"),
            Step::new("read").fails(Errno::EAGAIN),
            Step::new("write").arg(2, 2).returns(2),
            Step::new("shutdown").arg(1, SHUT_WR as usize),
            Step::new("read").writes(b"llo"),
            Step::new("read").returns(0),
        ];
        let script = Script::new(&steps);
        let (mut clients, mut echo) = (Clients::new(), Vec::new());
        let mut client = client(&script, b"hello");
        assert_eq!(client.write(), Ok(true));
        assert_eq!(clients.read(&mut client, &mut echo), Ok(false));
        assert_eq!(client.write(), Ok(true));
        assert_eq!(clients.read(&mut client, &mut echo), Ok(true));
        assert_eq!(echo, b"hello");
        assert_eq!(client.write(), Ok(false), "nothing is left to send");
        script.assert_finished();
    }

    #[test]
    fn premature_end_is_truncated() {
        let steps = [
            Step::new("socket").returns(4),
            Step::new("write").returns(5),
            Step::new("shutdown"),
            Step::new("read").writes(b"hell"),
            Step::new("read").returns(0),
        ];
        let script = Script::new(&steps);
        let mut client = client(&script, b"hello");
        client.write().expect("it is sent");
        let truncated = RoundTripError::Truncated {
            sent: 5,
            expected: 5,
            received: 4,
        };
        let read = Clients::new().read(&mut client, &mut Vec::new());
        assert_eq!(read, Err(truncated));
    }

    #[test]
    fn failure_is_definite_until_a_byte_is_sent() {
        let broken = Errno::ECONNRESET;
        for (sent, expected) in [
            (0, RoundTripError::NotSent as fn(SyscallError) -> _),
            (1, RoundTripError::Broken as fn(SyscallError) -> _),
        ] {
            let steps = [
                Step::new("socket").returns(4),
                Step::new("write").fails(broken),
                Step::new("read").fails(broken),
            ];
            let script = Script::new(&steps);
            let mut client = client(&script, b"hello");
            client.sent = sent;
            let failure = |call| expected(SyscallError::new(call, broken));
            assert_eq!(client.write(), Err(failure("write")));
            let read = Clients::new().read(&mut client, &mut Vec::new());
            assert_eq!(read, Err(failure("read")));
            script.assert_finished();
        }
    }

    #[test]
    fn stall_timeout_counts_from_the_last_progress() {
        let mut stall = Stall::default();
        let begin = Duration::from_secs(10);
        assert_eq!(stall.time_left(begin), STALL_TIMEOUT);
        let second = Duration::from_secs(1);
        assert_eq!(stall.time_left(begin + second), STALL_TIMEOUT - second);
        assert_eq!(stall.time_left(begin + STALL_TIMEOUT), Duration::ZERO);
        stall.moved();
        assert_eq!(stall.time_left(begin + STALL_TIMEOUT), STALL_TIMEOUT);
    }

    #[test]
    fn timeout_reports_whether_a_byte_was_sent() {
        let timed_out = SyscallError::new("connect", Errno::ETIMEDOUT);
        for (sent, expected) in [
            (0, RoundTripError::NotSent(timed_out)),
            (1, RoundTripError::Stalled),
        ] {
            let begin = Duration::from_secs(1);
            let steps = [
                Step::new("epoll_create1").returns(3),
                Step::new("socket").returns(4),
                Step::new("epoll_ctl"),
                Step::new("clock_gettime").time(begin),
                Step::new("clock_gettime").time(begin + STALL_TIMEOUT),
            ];
            let script = Script::new(&steps);
            let polling = Polling::new(Duration::ZERO);
            let mut poller = Poller::new(script.kernel(), polling).expect("an epoll set");
            let mut client = client(&script, b"hello");
            client.sent = sent;
            let mut wait = || client.wait_for_events(&mut poller, false);
            assert_eq!(wait(), Ok(STALL_TIMEOUT));
            assert_eq!(wait(), Err(expected));
            script.assert_finished();
        }
    }

    #[test]
    fn connect_tries_the_next_source_address_when_no_port_is_left() {
        let no_port = Step::new("connect").fails(Errno::EADDRNOTAVAIL);
        let steps = [
            Step::new("socket").returns(4),
            Step::new("setsockopt"),
            no_port,
            Step::new("socket").returns(4),
            Step::new("setsockopt"),
            Step::new("setsockopt"),
            Step::new("bind"),
            Step::new("connect"),
            Step::new("getsockname"),
        ];
        let script = Script::new(&steps);
        let mut clients = Clients::new();
        let client = clients.connect(&script.kernel(), SERVER, b"");
        assert!(client.is_ok());
        assert_eq!(clients.source, Some(Ipv4Addr::new(127, 0, 0, 2)));
        script.assert_finished();
    }
}
