//! The simulated socket calls.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use syscalls::Errno;
use syscalls::addr::{AF_INET, AF_INET6};
use syscalls::socket::{
    IPPROTO_IP, IPPROTO_TCP, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM,
    SOL_SOCKET, SOL_TCP,
};

use crate::faults::{Fault, choose};
use crate::memory::Memory;
use crate::net::{CLIENT, Conn, Fin, Owner, Phase, SERVER};
use crate::world::{Actor, Attempt, File, MILLISECOND, Socket, State, World};

/// The default of `net.core.somaxconn` since Linux 5.4.
const SOMAXCONN: usize = 4096;

/// The numbers of the socket options that the simulator implements.
const REUSEADDR: i32 = 2;
const ERROR: i32 = 4;
const LINGER: i32 = 13;
const NODELAY: i32 = 1;
const BIND_ADDRESS_NO_PORT: i32 = 24;

const INT: usize = 4;
const SOCKADDR_IN: usize = 16;
const SOCKADDR_IN6: usize = 28;

/// The capacities of a connection in each direction, in bytes. A few connections get tiny ones, so that a call
/// transfers only a few bytes.
const SMALL: [usize; 3] = [1, 7, 100];
const CAPACITIES: [usize; 5] = [512, 4_096, 65_536, 200_000, 200_000];

/// The first ephemeral port. The kernel assigns an ephemeral port to a client that has not bound a port.
pub(crate) const EPHEMERAL: u16 = 32_768;

impl World {
    fn socket_at(&mut self, call: &'static str, fd: usize) -> Result<usize, Errno> {
        match self.file(call, fd)? {
            File::Socket(socket) => Ok(socket),
            _ => Err(self.misused(call, Errno::ENOTSOCK)),
        }
    }

    pub(crate) fn socket(
        &mut self,
        family: usize,
        kind: usize,
        protocol: usize,
    ) -> Result<usize, Errno> {
        let (family, kind, protocol) = (family as i32, kind as i32, protocol as i32);
        if family != AF_INET && family != AF_INET6 {
            return Err(self.misused("socket", Errno::EAFNOSUPPORT));
        }
        let flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        if kind & !flags != SOCK_STREAM || ![IPPROTO_IP, IPPROTO_TCP].contains(&protocol) {
            return Err(self.misused("socket", Errno::EINVAL));
        }
        let attempt = self.attempts.len();
        self.attempts.push(Attempt {
            moved_at: self.now,
            ..Attempt::default()
        });
        let index = self.sockets.len();
        let opened = if self.happens(Fault::SocketFails) {
            let errnos = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
            Err(*choose(&mut self.rng, &errnos))
        } else {
            self.open(File::Socket(index))
        };
        match opened {
            Ok(fd) => {
                self.sockets.push(Socket {
                    ipv4: family == AF_INET,
                    nonblocking: kind & SOCK_NONBLOCK != 0,
                    aborts: false,
                    reuses_address: false,
                    no_delay: false,
                    late_port: false,
                    local: None,
                    state: State::Fresh,
                    attempt: Some(attempt),
                    closed: false,
                });
                Ok(fd)
            }
            Err(errno) => {
                self.blame_attempt(attempt, "socket", errno);
                self.attempts[attempt].closed_at = Some(self.calls);
                Err(errno)
            }
        }
    }

    fn address(
        &mut self,
        call: &'static str,
        ipv4: bool,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<SocketAddr, Errno> {
        let family = u16::from_ne_bytes(memory.array(at)?);
        let port = u16::from_be_bytes(memory.array(at + 2)?);
        let ip: IpAddr = match i32::from(family) {
            AF_INET if ipv4 && len >= SOCKADDR_IN => {
                Ipv4Addr::from(memory.array::<4>(at + 4)?).into()
            }
            AF_INET6 if !ipv4 && len >= SOCKADDR_IN6 => {
                Ipv6Addr::from(memory.array::<16>(at + 8)?).into()
            }
            _ => return Err(self.misused(call, Errno::EAFNOSUPPORT)),
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// Writes `address` at `at`, truncated to the length that is stored at `len_at`.
    fn put_address(
        &mut self,
        address: SocketAddr,
        at: usize,
        len_at: usize,
        memory: &Memory<'_>,
    ) -> Result<(), Errno> {
        let mut bytes = Vec::new();
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        bytes.extend((family as u16).to_ne_bytes());
        bytes.extend(address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => {
                bytes.extend(ip.octets());
                bytes.resize(SOCKADDR_IN, 0);
            }
            IpAddr::V6(ip) => {
                bytes.extend([0; 4]);
                bytes.extend(ip.octets());
                bytes.resize(SOCKADDR_IN6, 0);
            }
        }
        let Ok(room) = memory.u32(len_at) else {
            return Err(self.misused("a call that returns an address", Errno::EFAULT));
        };
        let room = (room as usize).min(bytes.len());
        memory.write(at, &bytes[..room])?;
        memory.write(len_at, &(bytes.len() as u32).to_ne_bytes())
    }

    pub(crate) fn bind(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("bind", fd)?;
        let ipv4 = self.sockets[socket].ipv4;
        let mut address = self.address("bind", ipv4, at, len, memory)?;
        if !matches!(self.sockets[socket].state, State::Fresh) {
            return Err(self.misused("bind", Errno::EINVAL));
        }
        if self.happens(Fault::PortTaken) {
            self.blame(socket, "bind", Errno::EADDRINUSE);
            return Err(Errno::EADDRINUSE);
        }
        if self.happens(Fault::BindFails) {
            let errno = *choose(&mut self.rng, &[Errno::EACCES, Errno::EADDRNOTAVAIL]);
            self.blame(socket, "bind", errno);
            return Err(errno);
        }
        if self.sockets[socket].late_port {
            // The socket has no port until it connects.
        } else if address.port() == 0 {
            address.set_port(40_000 + self.rng.u16(..10_000));
        }
        let taken = address.port() != 0
            && self.sockets.iter().any(|other| {
                !other.closed
                    && other.local == Some(address)
                    && matches!(other.state, State::Bound | State::Listening { .. })
            });
        if taken {
            self.blame(socket, "bind", Errno::EADDRINUSE);
            return Err(Errno::EADDRINUSE);
        }
        let socket = &mut self.sockets[socket];
        socket.local = Some(address);
        socket.state = State::Bound;
        if let Some(attempt) = socket.attempt {
            self.attempts[attempt].port = address.port();
        }
        Ok(0)
    }

    pub(crate) fn listen(&mut self, fd: usize, backlog: usize) -> Result<usize, Errno> {
        let socket = self.socket_at("listen", fd)?;
        if !matches!(self.sockets[socket].state, State::Bound) {
            return Err(self.misused("listen", Errno::EINVAL));
        }
        if self.happens(Fault::ListenFails) {
            let errno = *choose(&mut self.rng, &[Errno::EADDRINUSE, Errno::EOPNOTSUPP]);
            self.blame(socket, "listen", errno);
            return Err(errno);
        }
        if self.strict && !self.sockets[socket].reuses_address {
            self.violated("a restart can bind at once", "bind without SO_REUSEADDR");
        }
        if self.strict && !self.sockets[socket].no_delay {
            self.violated("small messages are sent at once", "no TCP_NODELAY");
        }
        self.sockets[socket].state = State::Listening {
            queue: VecDeque::new(),
            backlog: (backlog as u32 as usize).min(SOMAXCONN),
            failed: false,
            failure: None,
        };
        self.stopping_since = None;
        if let Some(attempt) = self.sockets[socket].attempt {
            self.attempts[attempt].listened = true;
        }
        Ok(0)
    }

    pub(crate) fn accept(
        &mut self,
        fd: usize,
        at: usize,
        len_at: usize,
        flags: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let listener = self.socket_at("accept4", fd)?;
        let flags = flags as i32;
        if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0
            || !matches!(self.sockets[listener].state, State::Listening { .. })
        {
            return Err(self.misused("accept4", Errno::EINVAL));
        }
        for (fault, errno) in [
            (Fault::AcceptEmfile, Errno::EMFILE),
            (Fault::AcceptEnfile, Errno::ENFILE),
            (Fault::AcceptEnobufs, Errno::ENOBUFS),
            (Fault::AcceptEnomem, Errno::ENOMEM),
        ] {
            if self.happens(fault) {
                self.blame_accept(listener, errno);
                return Err(errno);
            }
        }
        if let State::Listening { failed, .. } = &mut self.sockets[listener].state {
            *failed = false;
        }
        // The kernel reserves the descriptor first, even if no connection is queued.
        if !self.has_descriptor() {
            self.faults.counts.count(Fault::DescriptorLimit);
            self.blame_accept(listener, Errno::EMFILE);
            return Err(Errno::EMFILE);
        }
        if self.happens(Fault::AcceptInterrupted) {
            return Err(Errno::EINTR);
        }
        if self.happens(Fault::AcceptUnrelated) {
            let errnos = [
                Errno::EPROTO,
                Errno::ENETDOWN,
                Errno::ENOPROTOOPT,
                Errno::EHOSTDOWN,
                Errno::ENONET,
                Errno::EHOSTUNREACH,
                Errno::EOPNOTSUPP,
                Errno::ENETUNREACH,
            ];
            return Err(*choose(&mut self.rng, &errnos));
        }
        let State::Listening { queue, .. } = &mut self.sockets[listener].state else {
            unreachable!("it listens");
        };
        let Some(&conn) = queue.front() else {
            if !self.sockets[listener].nonblocking {
                self.violated("only the loop's wait blocks", "accept4 blocks");
            }
            return Err(Errno::EAGAIN);
        };
        if self.faults.happens(Fault::AcceptAgain) {
            if let State::Listening { queue, .. } = &self.sockets[listener].state {
                for &conn in queue {
                    self.conns[conn].refused_while_queued = true;
                }
            }
            self.step();
            return Err(Errno::EAGAIN);
        }
        if let State::Listening { queue, .. } = &mut self.sockets[listener].state {
            queue.pop_front();
        }
        self.step();
        if self.happens(Fault::AcceptAborted) {
            self.blame_conn(conn, "accept4", Errno::ECONNABORTED);
            self.blame_conn(conn, "reset", Errno::ECONNRESET);
            self.conns[conn].close(SERVER, true);
            self.conns[conn].phase = Phase::Failed;
            self.wake_owner(conn);
            return Err(Errno::ECONNABORTED);
        }
        self.conns[conn].phase = Phase::Accepted;
        self.conns[conn].accepted_at_call = self.calls;
        let index = self.sockets.len();
        let new = Socket {
            nonblocking: flags & SOCK_NONBLOCK != 0,
            aborts: false,
            local: Some(self.conns[conn].addresses[SERVER]),
            state: State::Stream { conn, end: SERVER },
            attempt: None,
            closed: false,
            ..self.sockets[listener]
        };
        self.sockets.push(new);
        let new = self.open(File::Socket(index))?;
        let peer = self.conns[conn].addresses[CLIENT];
        if at != 0 {
            self.put_address(peer, at, len_at, memory)?;
        }
        self.client_moved(conn);
        self.count(1, 0);
        Ok(new)
    }

    /// Returns the lowest free port for a client, so that ports are reused soon.
    pub(crate) fn ephemeral_port(&mut self) -> u16 {
        // A port stays in use while its connection is queued, even if the client has closed its end.
        let conns = &self.conns;
        self.ports.retain(|_, &mut conn| {
            let conn = &conns[conn];
            conn.phase == Phase::Queued || !conn.ends[CLIENT].closed
        });
        let taken = self.ports.keys().zip(EPHEMERAL..);
        EPHEMERAL + taken.take_while(|&(&port, free)| port == free).count() as u16
    }

    /// Creates a connection to `server` whose connect request is in flight.
    pub(crate) fn new_conn(&mut self, owner: Owner, server: SocketAddr) -> usize {
        let client = SocketAddr::new(server.ip(), self.ephemeral_port());
        let small = self.rng.u8(..16) == 0;
        let capacities =
            [(); 2].map(|()| *choose(&mut self.rng, if small { &SMALL } else { &CAPACITIES }));
        let conn = self.conns.len();
        self.ports.insert(client.port(), conn);
        self.conns
            .push(Conn::new(owner, [client, server], capacities));
        conn
    }

    pub(crate) fn connect(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("connect", fd)?;
        let ipv4 = self.sockets[socket].ipv4;
        let server = self.address("connect", ipv4, at, len, memory)?;
        match self.sockets[socket].state {
            State::Fresh | State::Bound => {}
            State::Stream { conn, .. } => {
                let errno = if self.conns[conn].established() {
                    Errno::EISCONN
                } else {
                    Errno::EALREADY
                };
                return Err(self.misused("connect", errno));
            }
            _ => return Err(self.misused("connect", Errno::EINVAL)),
        }
        if self.happens(Fault::ConnectFails) {
            let errnos = [
                Errno::ECONNREFUSED,
                Errno::EADDRNOTAVAIL,
                Errno::ENETUNREACH,
                Errno::ETIMEDOUT,
            ];
            let errno = *choose(&mut self.rng, &errnos);
            self.blame(socket, "connect", errno);
            return Err(errno);
        }
        let attempt = self.sockets[socket].attempt.unwrap_or_default();
        let conn = self.new_conn(Owner::Inside(attempt), server);
        if let Some(bound) = self.sockets[socket].local {
            self.conns[conn].addresses[CLIENT].set_ip(bound.ip());
        }
        self.sockets[socket].local = Some(self.conns[conn].addresses[CLIENT]);
        self.sockets[socket].state = State::Stream { conn, end: CLIENT };
        self.attempts[attempt].conn = Some(conn);
        self.attempts[attempt].moved_at = self.now;
        for errno in self.accept_back_offs() {
            self.blame_attempt(attempt, "accept4", errno);
        }
        self.step();
        if self.happens(Fault::ConnectFailsLater) {
            let errno = *choose(&mut self.rng, &[Errno::ECONNREFUSED, Errno::ETIMEDOUT]);
            self.conns[conn].fails = Some(errno);
        }
        let interrupted = self.happens(Fault::ConnectInterrupted);
        let delay = if self.happens(Fault::ConnectPends) {
            self.conns[conn].was_silent = true;
            self.rng.u64(..5_000 * MILLISECOND)
        } else if interrupted || !self.quick || self.conns[conn].fails.is_some() {
            self.delay()
        } else {
            0
        };
        if delay > 0 {
            self.schedule_in(Actor::Network(conn), delay);
        } else {
            self.schedule_in(Actor::Network(conn), 0);
            self.advance(self.now);
        }
        if interrupted {
            return Err(Errno::EINTR);
        }
        if self.conns[conn].phase == Phase::Connecting {
            if !self.sockets[socket].nonblocking {
                self.violated("only the loop's wait blocks", "connect blocks");
            }
            return Err(Errno::EINPROGRESS);
        }
        if let Some(errno) = self.conns[conn].ends[CLIENT].error.take() {
            return Err(errno);
        }
        Ok(0)
    }

    /// Returns the last accept error of each listener that is not registered in epoll, because its
    /// accept backs off after that error.
    fn accept_back_offs(&self) -> Vec<Errno> {
        let reason = |listener: usize| {
            let mut sets = self.epolls.iter().flat_map(|epoll| &epoll.set);
            let watched = sets.any(|entry| self.table[entry.fd] == Some(File::Socket(listener)));
            match self.sockets[listener].state {
                State::Listening { failure, .. } if !watched => failure,
                _ => None,
            }
        };
        let listeners = self.listeners(|_| true);
        listeners.into_iter().filter_map(reason).collect()
    }

    pub(crate) fn getsockname(
        &mut self,
        fd: usize,
        at: usize,
        len_at: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("getsockname", fd)?;
        if self.happens(Fault::GetsocknameFails) {
            self.blame(socket, "getsockname", Errno::ENOBUFS);
            return Err(Errno::ENOBUFS);
        }
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let address = self.sockets[socket].local.unwrap_or(nowhere);
        self.put_address(address, at, len_at, memory)?;
        Ok(0)
    }

    pub(crate) fn getpeername(
        &mut self,
        fd: usize,
        at: usize,
        len_at: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("getpeername", fd)?;
        match self.sockets[socket].state {
            State::Stream { conn, end } if self.conns[conn].established() => {
                let address = self.conns[conn].addresses[1 - end];
                self.put_address(address, at, len_at, memory)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTCONN),
        }
    }

    pub(crate) fn shutdown(&mut self, fd: usize, how: usize) -> Result<usize, Errno> {
        let socket = self.socket_at("shutdown", fd)?;
        let how = how as i32;
        if ![SHUT_RD, SHUT_WR, SHUT_RDWR].contains(&how) {
            return Err(self.misused("shutdown", Errno::EINVAL));
        }
        let State::Stream { conn, end } = self.sockets[socket].state else {
            return Err(self.misused("shutdown", Errno::ENOTCONN));
        };
        if self.conns[conn].established() && self.happens(Fault::ShutdownFails) {
            self.blame(socket, "shutdown", Errno::ENOTCONN);
            self.reset(conn, Errno::ECONNRESET);
        }
        let state = &self.conns[conn];
        let over = state.flows.iter().all(|flow| flow.fin == Fin::Arrived);
        if state.ends[end].reset || over || !state.established() {
            self.blame(socket, "shutdown", Errno::ENOTCONN);
            return Err(Errno::ENOTCONN);
        }
        self.client_moved(conn);
        if how != SHUT_WR {
            self.conns[conn].ends[end].shut_read = true;
        }
        if how != SHUT_RD {
            self.conns[conn].shut_write(end);
            self.kick(conn);
        }
        self.step();
        Ok(0)
    }

    pub(crate) fn setsockopt(
        &mut self,
        fd: usize,
        level: usize,
        name: usize,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("setsockopt", fd)?;
        if len < INT {
            return Err(self.misused("setsockopt", Errno::EINVAL));
        }
        let Ok(value) = memory.u32(at) else {
            return Err(self.misused("setsockopt", Errno::EFAULT));
        };
        if self.happens(Fault::SetsockoptFails) {
            let errno = *choose(&mut self.rng, &[Errno::ENOBUFS, Errno::ENOPROTOOPT]);
            self.blame(socket, "setsockopt", errno);
            return Err(errno);
        }
        let on = value != 0;
        match (level as i32, name as i32) {
            (SOL_SOCKET, REUSEADDR) => self.sockets[socket].reuses_address = on,
            (SOL_SOCKET, LINGER) => {
                if len < 2 * INT {
                    return Err(self.misused("setsockopt", Errno::EINVAL));
                }
                self.sockets[socket].aborts = on && memory.u32(at + INT)? == 0;
            }
            (IPPROTO_IP, BIND_ADDRESS_NO_PORT) => self.sockets[socket].late_port = on,
            (SOL_TCP, NODELAY) => self.sockets[socket].no_delay = on,
            (SOL_SOCKET | SOL_TCP, _) => {}
            _ => return Err(self.misused("setsockopt", Errno::ENOPROTOOPT)),
        }
        Ok(0)
    }

    pub(crate) fn getsockopt(
        &mut self,
        fd: usize,
        level: usize,
        name: usize,
        at: usize,
        len_at: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.socket_at("getsockopt", fd)?;
        if memory.u32(len_at).is_ok_and(|len| (len as usize) < INT) {
            return Err(self.misused("getsockopt", Errno::EINVAL));
        }
        if self.happens(Fault::GetsockoptFails) {
            self.blame(socket, "getsockopt", Errno::ENOBUFS);
            return Err(Errno::ENOBUFS);
        }
        let value = match (level as i32, name as i32) {
            (SOL_SOCKET, ERROR) => match self.sockets[socket].state {
                State::Stream { conn, end } => {
                    let error = self.conns[conn].ends[end].error.take();
                    error.map_or(0, |errno| u32::from(errno.number()))
                }
                _ => 0,
            },
            (SOL_SOCKET, REUSEADDR) => u32::from(self.sockets[socket].reuses_address),
            (SOL_TCP, NODELAY) => u32::from(self.sockets[socket].no_delay),
            _ => return Err(self.misused("getsockopt", Errno::ENOPROTOOPT)),
        };
        memory.write(at, &value.to_ne_bytes())?;
        memory.write(len_at, &(INT as u32).to_ne_bytes())?;
        Ok(0)
    }

    pub(crate) fn close_socket(&mut self, socket: usize) {
        self.sockets[socket].closed = true;
        let attempt = self.sockets[socket].attempt;
        if let Some(attempt) = attempt {
            let attempt = &mut self.attempts[attempt];
            attempt.closed_at = Some(self.calls);
            attempt.stood_still = self.now - attempt.moved_at;
        }
        let state = std::mem::replace(&mut self.sockets[socket].state, State::Fresh);
        match state {
            State::Fresh | State::Bound => {}
            State::Listening { queue, failed, .. } => {
                let previous_call = self.thread().previous_call;
                for conn in queue {
                    let state = &self.conns[conn];
                    let came_late = state.queued_at_call >= previous_call;
                    let refused = state.refused_while_queued || failed;
                    if !(came_late || refused || self.exiting) {
                        self.violated(
                            "every connected client is served",
                            format!("the listener is closed with connection {conn} in its queue"),
                        );
                    }
                    self.blame_conn(conn, "close of the listener", Errno::ECONNRESET);
                    self.conns[conn].close(SERVER, true);
                    self.wake_owner(conn);
                }
                let set_up = attempt.is_none_or(|attempt| self.attempts[attempt].watched);
                if set_up && !self.all_connections_closed() {
                    self.stopping_since = Some(self.now);
                }
            }
            State::Stream { conn, end } => {
                if end == SERVER {
                    self.server_closes(conn);
                } else {
                    // The program may close its own client early. The check of the reply handles this case.
                    let excuse = &mut self.conns[conn].excuse;
                    excuse.get_or_insert_with(|| "its client is closed".into());
                }
                if self.conns[conn].phase == Phase::Connecting {
                    // The connect request is withdrawn.
                    self.conns[conn].phase = Phase::Failed;
                }
                let aborts = self.sockets[socket].aborts;
                self.conns[conn].close(end, aborts);
                if end == SERVER {
                    self.wake_owner(conn);
                    if self.all_connections_closed() {
                        self.stopping_since = None;
                    }
                }
                self.kick(conn);
            }
        }
    }
}
