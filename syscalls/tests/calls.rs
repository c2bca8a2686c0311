//! Checks each typed call against the running kernel: its success, and errors that a program can provoke.
//! The standard library or the C library confirms most effects, at the other end of a connection where there
//! is one. Most tests of sockets run over IPv4 and over IPv6.
//!
//! For each call there is a test whose name starts with the name of the call.

use std::ffi::CString;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Once;
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, process, thread};

use syscalls::addr::{AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, Sockaddr};
use syscalls::epoll::*;
use syscalls::event::*;
use syscalls::io::*;
use syscalls::message::{RecvMessage, SendMessage};
use syscalls::poll::*;
use syscalls::process::*;
use syscalls::signal::*;
use syscalls::socket::*;
use syscalls::{CALLS, Errno, Fd, Linux, stdin, time};

#[path = "common/child.rs"]
mod child;
use child::close_for_good;

/// The loopback address for tests that are not about addresses.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn domain(ip: IpAddr) -> i32 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// Makes SIGALRM end the test program after 120 s: a call with an argument in the wrong register may block
/// forever.
fn set_alarm() {
    static ALARM: Once = Once::new();
    // SAFETY: no memory is passed.
    ALARM.call_once(|| assert_eq!(unsafe { libc::alarm(120) }, 0));
}

fn tcp(ip: IpAddr) -> Socket<Linux> {
    set_alarm();
    Socket::new(Linux, domain(ip), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP).expect("a socket")
}

fn udp(ip: IpAddr) -> Socket<Linux> {
    set_alarm();
    let socket =
        Socket::new(Linux, domain(ip), SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP).expect("a socket");
    socket
        .bind(&SocketAddr::new(ip, 0).into())
        .expect("a free port");
    socket
}

fn listener(ip: IpAddr) -> (Socket<Linux>, SocketAddr) {
    let socket = tcp(ip);
    socket
        .bind(&SocketAddr::new(ip, 0).into())
        .expect("a free port");
    socket.listen(16).expect("a bound socket");
    let addr = name(&socket);
    (socket, addr)
}

/// Returns the ends of a connection: this crate's socket, and the standard library's.
fn connection(ip: IpAddr) -> (Socket<Linux>, TcpStream) {
    let (listener, addr) = listener(ip);
    let client = TcpStream::connect(addr).expect("a listener");
    let (server, _peer) = listener.accept4(SOCK_CLOEXEC).expect("a connection");
    (server, client)
}

/// Returns the ends of a socket pair: this crate's, and the standard library's.
fn pair() -> (Fd<Linux>, UnixStream) {
    set_alarm();
    let (a, b) = UnixStream::pair().expect("a pair");
    (own(a), b)
}

/// Takes ownership of a descriptor of the standard library.
fn own(fd: impl IntoRawFd) -> Fd<Linux> {
    // SAFETY: `into_raw_fd` gives up the ownership.
    unsafe { Fd::from_raw(Linux, fd.into_raw_fd()) }
}

fn name(socket: &Socket<Linux>) -> SocketAddr {
    let name = socket.getsockname().expect("a name");
    name.to_ip().expect("an internet address")
}

/// Returns a socket that is bound and does not listen, and its address, which refuses connections. The
/// address of a closed listener may accept them: another socket may listen there, or a child may hold the
/// listener open.
fn port_without_listener(ip: IpAddr) -> (Socket<Linux>, SocketAddr) {
    let socket = tcp(ip);
    let any_port = SocketAddr::new(ip, 0);
    socket.bind(&any_port.into()).expect("a free port");
    let address = name(&socket);
    (socket, address)
}

/// Returns whether `FD_CLOEXEC` is set for `fd`, and whether `O_NONBLOCK` is.
fn flags(fd: &Fd<Linux>) -> (bool, bool) {
    // SAFETY: no memory is passed.
    let [fd_flags, fl_flags] =
        [libc::F_GETFD, libc::F_GETFL].map(|get| unsafe { libc::fcntl(fd.as_raw(), get) });
    assert!(fd_flags >= 0 && fl_flags >= 0, "{fd:?} is open");
    (
        fd_flags & libc::FD_CLOEXEC != 0,
        fl_flags & libc::O_NONBLOCK != 0,
    )
}

fn set_nonblocking(fd: &Fd<Linux>) {
    // SAFETY: no memory is passed.
    let result = unsafe { libc::fcntl(fd.as_raw(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(result, 0);
}

/// Returns an option whose value is an `int`, as the C library's `getsockopt` reads it.
fn libc_option(socket: &Socket<Linux>, level: i32, option: i32) -> i32 {
    let (mut value, mut len) = (-1i32, 4);
    // SAFETY: the kernel writes four bytes to `value`, and `len`.
    let done = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw(), level, option, value, &raw mut len)
    };
    assert_eq!((done, len), (0, 4), "{}", io::Error::last_os_error());
    value
}

/// Runs `test` in a child process, where it can lower limits and drop capabilities. `test` returns whether it
/// succeeded.
fn in_child(test: impl FnOnce() -> bool) {
    let ended = child::in_child(|| i32::from(!test()));
    assert_eq!(ended, Ok(0), "the test in the child failed");
}

/// Lowers the child's descriptor limit to 0, so that it can open no descriptor. Returns whether that
/// succeeded.
fn no_more_descriptors() -> bool {
    let limit = prlimit64(&Linux, RLIMIT_NOFILE, None);
    let none = limit.map(|limit| Rlimit {
        rlim_cur: 0,
        ..limit
    });
    none.is_ok_and(|none| prlimit64(&Linux, RLIMIT_NOFILE, Some(none)).is_ok())
}

/// Drops all capabilities of the child, so that it has no special rights even as root. Returns whether that
/// succeeded. (A change to another user ID would drop them too, but a user namespace may have only one.)
fn drop_capabilities() -> bool {
    // `struct __user_cap_header_struct` of `include/uapi/linux/capability.h`: the version, and 0 for this
    // thread.
    let mut header = [0x2008_0522_u32, 0];
    // Two of `struct __user_cap_data_struct`, with no capability at all.
    let none = [0_u32; 6];
    // SAFETY: the kernel reads both, which are as long as this version demands, and may write the
    // version that it prefers.
    unsafe { libc::syscall(libc::SYS_capset, &raw mut header, &raw const none) == 0 }
}

fn every_call_has_a_test() {
    let tests = include_str!("calls.rs");
    let is_tested = |name: &str| tests.contains(&format!("\nfn {name}_"));
    let lacking: Vec<_> = CALLS
        .iter()
        .map(|call| call.name)
        .filter(|name| !is_tested(name))
        .collect();
    assert!(
        lacking.is_empty(),
        "add a test `fn NAME_…` to {} for each of {lacking:?}",
        file!()
    );
    for (option, ..) in SOCKET_OPTIONS {
        let test = format!("sockopt({option}");
        assert!(tests.contains(&test), "{option} is not tested");
    }
}

// The sockets' own calls.

fn socket_has_the_family_type_and_flags_asked_for(ip: IpAddr) {
    let libc_family = if ip.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let family = domain(ip);
    for ty in [SOCK_STREAM, SOCK_DGRAM] {
        let socket = Socket::new(Linux, family, ty | SOCK_NONBLOCK, IPPROTO_IP).unwrap();
        assert_eq!(flags(&socket), (false, true));
        assert_eq!(
            libc_option(&socket, libc::SOL_SOCKET, libc::SO_DOMAIN),
            libc_family
        );
        assert_eq!(libc_option(&socket, libc::SOL_SOCKET, libc::SO_TYPE), ty);
    }
    let socket = Socket::new(Linux, family, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    assert_eq!(flags(&socket), (true, false));
}

fn socket_fails_with_the_documented_errors() {
    let error = |family, ty, protocol| Socket::new(Linux, family, ty, protocol).unwrap_err();
    assert_eq!(error(9999, SOCK_STREAM, 0), Errno::EAFNOSUPPORT);
    assert_eq!(
        error(AF_INET, SOCK_STREAM, IPPROTO_UDP),
        Errno::EPROTONOSUPPORT
    );
    assert_eq!(error(AF_INET, 15, 0), Errno::EINVAL);
    in_child(|| {
        no_more_descriptors()
            && Socket::new(Linux, AF_INET, SOCK_STREAM, 0).is_err_and(|e| e == Errno::EMFILE)
    });
}

fn socketpair_connects_two_sockets() {
    let (a, b) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    assert_eq!([flags(&a), flags(&b)], [(true, false); 2]);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let mut buf = [0; 8];
        assert_eq!(from.write(b"pair"), Ok(4));
        assert_eq!(to.read(&mut buf), Ok(4));
        assert_eq!(&buf[..4], b"pair");
    }
    let error = Socket::pair(Linux, AF_INET, SOCK_STREAM, 0).unwrap_err();
    assert_eq!(error, Errno::EOPNOTSUPP);
}

fn bind_sets_the_local_address(ip: IpAddr) {
    // Bind to a port that was free a moment ago. If another test has taken it since, try another port.
    let bound = (0..100).find_map(|_| {
        let free = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        let socket = tcp(ip);
        match socket.bind(&free.into()) {
            Err(Errno::EADDRINUSE) => None,
            outcome => Some(outcome.map(|()| (socket, free))),
        }
    });
    let (socket, free) = bound.expect("a free port").unwrap();
    assert_eq!(name(&socket), free);
    assert_eq!(
        socket.bind(&free.into()),
        Err(Errno::EINVAL),
        "already bound"
    );
}

fn bind_fails_with_the_documented_errors(ip: IpAddr) {
    let taken = TcpListener::bind((ip, 0)).unwrap();
    let addr = taken.local_addr().unwrap();
    assert_eq!(tcp(ip).bind(&addr.into()), Err(Errno::EADDRINUSE));
    // An address that is reserved for documentation.
    let documentation = if ip.is_ipv4() {
        "192.0.2.1"
    } else {
        "2001:db8::1"
    };
    let elsewhere = SocketAddr::new(documentation.parse().unwrap(), 0).into();
    assert_eq!(tcp(ip).bind(&elsewhere), Err(Errno::EADDRNOTAVAIL));
}

fn bind_to_a_privileged_port_fails_without_capabilities(ip: IpAddr) {
    let (socket, privileged) = (tcp(ip), SocketAddr::new(ip, 1).into());
    in_child(|| drop_capabilities() && socket.bind(&privileged) == Err(Errno::EACCES));
}

fn listen_lets_clients_connect(ip: IpAddr) {
    let socket = tcp(ip);
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    let addr = name(&socket);
    assert!(
        TcpStream::connect(addr).is_err(),
        "bound, but not listening"
    );
    socket.listen(1).unwrap();
    TcpStream::connect(addr).unwrap();
}

fn listen_fails_with_the_documented_errors(ip: IpAddr) {
    assert_eq!(udp(ip).listen(1), Err(Errno::EOPNOTSUPP));
    // With SO_REUSEADDR, two sockets can bind to one port, but only one of them can listen on it.
    let [first, second] = [tcp(ip), tcp(ip)];
    first.setsockopt(SO_REUSEADDR, 1).unwrap();
    second.setsockopt(SO_REUSEADDR, 1).unwrap();
    first.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    second.bind(&name(&first).into()).unwrap();
    first.listen(1).unwrap();
    assert_eq!(second.listen(1), Err(Errno::EADDRINUSE));
}

fn accept_returns_the_connection_and_its_peer(ip: IpAddr) {
    let (listener, addr) = listener(ip);
    let mut client = TcpStream::connect(addr).unwrap();
    let (connection, peer) = listener.accept().unwrap();
    assert_eq!(peer.to_ip(), Some(client.local_addr().unwrap()));
    assert_eq!(flags(&connection), (false, false));
    connection.write(b"hello").unwrap();
    let mut buf = [0; 5];
    client.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"hello");
}

fn accept4_sets_the_flags(ip: IpAddr) {
    let (listener, addr) = listener(ip);
    for (flag, expected) in [
        (0, (false, false)),
        (SOCK_CLOEXEC, (true, false)),
        (SOCK_NONBLOCK, (false, true)),
        (SOCK_CLOEXEC | SOCK_NONBLOCK, (true, true)),
    ] {
        let client = TcpStream::connect(addr).unwrap();
        let (connection, peer) = listener.accept4(flag).unwrap();
        assert_eq!(peer.to_ip(), Some(client.local_addr().unwrap()));
        assert_eq!(flags(&connection), expected);
    }
}

fn accept4_fails_with_the_documented_errors() {
    let (listener, addr) = listener(LOOPBACK);
    set_nonblocking(&listener);
    let error = |socket: &Socket<Linux>, flags| socket.accept4(flags).unwrap_err();
    assert_eq!(error(&listener, 0), Errno::EAGAIN);
    assert_eq!(error(&listener, 1), Errno::EINVAL, "an unknown flag");
    assert_eq!(error(&tcp(LOOPBACK), 0), Errno::EINVAL, "not listening");
    assert_eq!(
        error(&udp(LOOPBACK), 0),
        Errno::EOPNOTSUPP,
        "UDP has no connections"
    );
    let _client = TcpStream::connect(addr).unwrap();
    in_child(|| no_more_descriptors() && listener.accept4(0).is_err_and(|e| e == Errno::EMFILE));
    listener.accept4(0).expect("the connection is still queued");
}

fn connect_reaches_a_listener(ip: IpAddr) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let socket = tcp(ip);
    socket.connect(&addr.into()).unwrap();
    let (_connection, peer) = listener.accept().unwrap();
    assert_eq!(peer, name(&socket));
    assert_eq!(socket.connect(&addr.into()), Err(Errno::EISCONN));
}

fn connect_on_a_nonblocking_socket_completes_later(ip: IpAddr) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let socket = tcp(ip);
    set_nonblocking(&socket);
    assert_eq!(socket.connect(&addr.into()), Err(Errno::EINPROGRESS));
    assert_eq!(wait_for(&socket, POLLOUT), POLLOUT);
    assert_eq!(socket.getsockopt(SO_ERROR), Ok(0));

    let (_port, refuses) = port_without_listener(ip);
    let socket = tcp(ip);
    set_nonblocking(&socket);
    assert_eq!(socket.connect(&refuses.into()), Err(Errno::EINPROGRESS));
    assert_eq!(wait_for(&socket, POLLOUT), POLLOUT | POLLERR | POLLHUP);
    let refused = i32::from(Errno::ECONNREFUSED.number());
    assert_eq!(socket.getsockopt(SO_ERROR), Ok(refused));
    assert_eq!(
        socket.getsockopt(SO_ERROR),
        Ok(0),
        "the first read cleared the error"
    );
}

fn wait_for(fd: &Fd<Linux>, events: i16) -> i16 {
    let mut fds = [PollFd::new(fd, events)];
    assert_eq!(
        ppoll(&Linux, &mut fds, Some(Duration::from_secs(10))),
        Ok(1)
    );
    fds[0].revents()
}

fn connect_fails_with_the_documented_errors(ip: IpAddr) {
    let (_port, refuses) = port_without_listener(ip);
    assert_eq!(tcp(ip).connect(&refuses.into()), Err(Errno::ECONNREFUSED));

    // When the accept queue is full, a connect stays in progress.
    let (full, addr) = listener(ip);
    full.listen(0).unwrap();
    let sockets: Vec<_> = (0..8).map(|_| tcp(ip)).collect();
    let again = sockets.iter().map(|socket| {
        set_nonblocking(socket);
        let _ = socket.connect(&addr.into());
        socket.connect(&addr.into())
    });
    assert!(again.into_iter().any(|again| again == Err(Errno::EALREADY)));
}

fn getsockname_and_getpeername_match_the_other_end(ip: IpAddr) {
    let (server, client) = connection(ip);
    assert_eq!(name(&server), client.peer_addr().unwrap());
    let peer = server.getpeername().unwrap();
    assert_eq!(peer.to_ip(), Some(client.local_addr().unwrap()));
    assert_eq!(peer.family(), domain(ip));
}

fn getpeername_fails_without_a_peer() {
    assert_eq!(tcp(LOOPBACK).getpeername().unwrap_err(), Errno::ENOTCONN);
}

fn shutdown_ends_the_given_directions(ip: IpAddr) {
    let (server, mut client) = connection(ip);
    server.shutdown(SHUT_WR).unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "end of file");
    client.write_all(b"still").unwrap();
    let mut buf = [0; 8];
    assert_eq!(server.read(&mut buf), Ok(5));
    assert_eq!(&buf[..5], b"still");
    assert_eq!(server.write(b"x"), Err(Errno::EPIPE));

    let (server, _client) = connection(ip);
    server.shutdown(SHUT_RD).unwrap();
    assert_eq!(server.read(&mut buf), Ok(0));

    let (server, mut client) = connection(ip);
    server.shutdown(SHUT_RDWR).unwrap();
    assert_eq!(server.read(&mut buf), Ok(0));
    assert_eq!(client.read(&mut buf).unwrap(), 0);
    assert_eq!(tcp(ip).shutdown(SHUT_WR), Err(Errno::ENOTCONN));
    assert_eq!(connection(ip).0.shutdown(9999), Err(Errno::EINVAL));
}

fn setsockopt_sets_what_the_c_library_reads(ip: IpAddr) {
    let (socket, _client) = connection(ip);
    let is = |level, option| libc_option(&socket, level, option);
    for on in [1, 0] {
        socket.setsockopt(SO_REUSEADDR, on).unwrap();
        socket.setsockopt(SO_REUSEPORT, on).unwrap();
        socket.setsockopt(SO_KEEPALIVE, on).unwrap();
        socket.setsockopt(SO_OOBINLINE, on).unwrap();
        socket.setsockopt(TCP_NODELAY, on).unwrap();
        assert_eq!(is(libc::SOL_SOCKET, libc::SO_REUSEADDR), on);
        assert_eq!(is(libc::SOL_SOCKET, libc::SO_REUSEPORT), on);
        assert_eq!(is(libc::SOL_SOCKET, libc::SO_KEEPALIVE), on);
        assert_eq!(is(libc::SOL_SOCKET, libc::SO_OOBINLINE), on);
        assert_eq!(is(libc::IPPROTO_TCP, libc::TCP_NODELAY), on);
    }
    socket.setsockopt(SO_SNDBUF, 50_000).unwrap();
    socket.setsockopt(SO_RCVBUF, 60_000).unwrap();
    assert_eq!(is(libc::SOL_SOCKET, libc::SO_SNDBUF), 2 * 50_000);
    assert_eq!(is(libc::SOL_SOCKET, libc::SO_RCVBUF), 2 * 60_000);
    socket.setsockopt(TCP_KEEPIDLE, 11).unwrap();
    socket.setsockopt(TCP_KEEPINTVL, 12).unwrap();
    socket.setsockopt(TCP_KEEPCNT, 13).unwrap();
    socket.setsockopt(TCP_USER_TIMEOUT, 14_000).unwrap();
    assert_eq!(is(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), 11);
    assert_eq!(is(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL), 12);
    assert_eq!(is(libc::IPPROTO_TCP, libc::TCP_KEEPCNT), 13);
    assert_eq!(is(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT), 14_000);

    if ip.is_ipv4() {
        let (level, option, on) = (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        // SAFETY: the kernel reads one int.
        let libcs = unsafe {
            let on = (&raw const on).cast();
            libc::setsockopt(socket.as_raw(), level, option, on, 4)
        };
        if libcs == 0 {
            socket.setsockopt(IP_BIND_ADDRESS_NO_PORT, 0).unwrap();
            assert_eq!(is(level, option), 0);
            socket.setsockopt(IP_BIND_ADDRESS_NO_PORT, 1).unwrap();
            assert_eq!(is(level, option), 1);
        } else {
            // qemu-user does not know the option.
            let lacks = socket.setsockopt(IP_BIND_ADDRESS_NO_PORT, 1);
            assert_eq!(lacks, Err(Errno::ENOPROTOOPT));
        }
    }

    assert_eq!(socket.setsockopt(TCP_KEEPCNT, 0), Err(Errno::EINVAL));
    assert_eq!(udp(ip).setsockopt(TCP_NODELAY, 1), Err(Errno::ENOPROTOOPT));
}

fn setsockopt_linger_resets_the_connection(ip: IpAddr) {
    let (socket, mut client) = connection(ip);
    let reset = Linger {
        l_onoff: 1,
        l_linger: 0,
    };
    socket.setsockopt(SO_LINGER, reset).unwrap();
    assert_eq!(socket.getsockopt(SO_LINGER), Ok(reset));
    drop(socket);
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

fn getsockopt_reads_what_the_standard_library_sets(ip: IpAddr) {
    let (socket, _client) = connection(ip);
    // SAFETY: the standard library only borrows the descriptor.
    let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(socket.as_raw()) });
    for on in [true, false] {
        stream.set_nodelay(on).unwrap();
        assert_eq!(socket.getsockopt(TCP_NODELAY), Ok(on.into()));
    }
    let unknown = udp(ip).getsockopt(TCP_NODELAY).unwrap_err();
    let expected = if ip.is_ipv4() {
        Errno::EOPNOTSUPP
    } else {
        Errno::ENOPROTOOPT
    };
    assert_eq!(unknown, expected);
}

// Messages.

fn sendto_and_recvfrom_carry_datagrams_with_addresses(ip: IpAddr) {
    let (ours, theirs) = (udp(ip), UdpSocket::bind((ip, 0)).unwrap());
    let (here, there) = (name(&ours), theirs.local_addr().unwrap());
    let mut buf = [0; 16];
    assert_eq!(ours.sendto(b"ping", 0, Some(&there.into())), Ok(4));
    assert_eq!(theirs.recv_from(&mut buf).unwrap(), (4, here));
    theirs.send_to(b"pong!", here).unwrap();
    let (count, from) = ours.recvfrom(&mut buf, MSG_PEEK).unwrap();
    assert_eq!((&buf[..count], from.to_ip()), (&b"pong!"[..], Some(there)));
    let (count, from) = ours.recvfrom(&mut buf, 0).unwrap();
    assert_eq!((&buf[..count], from.to_ip()), (&b"pong!"[..], Some(there)));
    assert_eq!(
        ours.recvfrom(&mut buf, MSG_DONTWAIT).unwrap_err(),
        Errno::EAGAIN
    );
}

/// Checks that a `Sockaddr`, which has space for an internet address, holds only the first bytes of a longer
/// address, and that a call reads only these.
fn overlong_address_is_truncated_and_not_read_beyond() {
    let unix = |name: &str| {
        // With the family and the zero byte before an abstract name, these 25 bytes fill a `Sockaddr`.
        let name = format!("{name:x<15}{:0>10}", process::id());
        unix::net::SocketAddr::from_abstract_name(name).expect("a name")
    };
    let bound = |address: &unix::net::SocketAddr| UnixDatagram::bind_addr(address).expect("bind");
    let here = unix("here");
    let ours = Socket::new(Linux, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0).unwrap();
    // SAFETY: the call takes no pointer, and nothing else uses the file that it replaces.
    let same = unsafe { libc::dup2(bound(&here).as_raw_fd(), ours.as_raw()) };
    assert_eq!(same, ours.as_raw());
    let begins = unix("there");
    let name = begins.as_abstract_name().expect("a name");
    let long = [name, &[b'y'; 60]].concat();
    let long = unix::net::SocketAddr::from_abstract_name(long).expect("a name");
    let (namesake, sender) = (bound(&begins), bound(&long));
    sender.send_to_addr(b"ping", &here).unwrap();
    let mut buf = [0; 16];
    let (count, from) = ours.recvfrom(&mut buf, 0).unwrap();
    assert_eq!((count, from.family(), from.to_ip()), (4, AF_UNIX, None));
    assert_eq!(ours.sendto(b"pong!", 0, Some(&from)), Ok(5));
    namesake.set_nonblocking(true).unwrap();
    assert_eq!(namesake.recv(&mut buf).unwrap(), 5);
}

fn sendto_fails_with_the_documented_errors(ip: IpAddr) {
    let socket = udp(ip);
    let here = name(&socket).into();
    assert_eq!(socket.sendto(b"x", 0, None), Err(Errno::EDESTADDRREQ));
    assert_eq!(
        socket.sendto(&[0; 70_000], 0, Some(&here)),
        Err(Errno::EMSGSIZE)
    );
    assert_eq!(tcp(ip).sendto(b"x", MSG_NOSIGNAL, None), Err(Errno::EPIPE));
    let (a, _b) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM, 0).unwrap();
    assert_eq!(a.sendto(b"x", 0, Some(&here)), Err(Errno::EISCONN));
    let unconnected = Socket::new(Linux, AF_UNIX, SOCK_STREAM, 0).unwrap();
    assert_eq!(unconnected.sendto(b"x", 0, None), Err(Errno::ENOTCONN));
    // Without MSG_NOSIGNAL, SIGPIPE would kill the child.
    let (a, b) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM, 0).unwrap();
    close_for_good(b);
    in_child(|| {
        // SAFETY: the default disposition has no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        a.sendto(b"x", MSG_NOSIGNAL, None) == Err(Errno::EPIPE)
    });
}

fn recvfrom_on_a_connection_returns_no_address(ip: IpAddr) {
    let (server, mut client) = connection(ip);
    client.write_all(b"stream").unwrap();
    let mut buf = [0; 6];
    let (count, from) = server.recvfrom(&mut buf, MSG_WAITALL).unwrap();
    assert_eq!((count, from.family(), from.to_ip()), (6, AF_UNSPEC, None));
    assert_eq!(tcp(ip).recvfrom(&mut buf, 0).unwrap_err(), Errno::ENOTCONN);
}

fn sendmsg_gathers_and_recvmsg_scatters(ip: IpAddr) {
    let (ours, theirs) = (udp(ip), UdpSocket::bind((ip, 0)).unwrap());
    let (here, there) = (name(&ours), Sockaddr::from(theirs.local_addr().unwrap()));
    let parts = [
        IoSlice::new(b"gath"),
        IoSlice::new(b""),
        IoSlice::new(b"ered"),
    ];
    assert_eq!(
        ours.sendmsg(&SendMessage::new(&parts, Some(&there)), 0),
        Ok(8)
    );
    let mut buf = [0; 16];
    assert_eq!(theirs.recv_from(&mut buf).unwrap(), (8, here));
    assert_eq!(&buf[..8], b"gathered");

    theirs.send_to(b"scattered", here).unwrap();
    let (mut left, mut right) = ([0; 3], [0; 4]);
    let mut parts = [IoSliceMut::new(&mut left), IoSliceMut::new(&mut right)];
    let mut message = RecvMessage::new(&mut parts);
    assert_eq!(ours.recvmsg(&mut message, 0), Ok(7));
    assert_eq!(message.flags(), MSG_TRUNC, "two bytes did not fit");
    assert_eq!((&left, &right), (b"sca", b"tter"));
}

fn sendmsg_fails_with_the_documented_errors() {
    let socket = udp(LOOPBACK);
    let parts = [IoSlice::new(b"x"); UIO_MAXIOV + 1];
    let too_many = SendMessage::new(&parts, None);
    assert_eq!(socket.sendmsg(&too_many, 0), Err(Errno::EMSGSIZE));
    let one = SendMessage::new(&parts[..1], None);
    assert_eq!(socket.sendmsg(&one, 0), Err(Errno::EDESTADDRREQ));
}

fn recvmsg_fails_with_the_documented_errors() {
    let socket = udp(LOOPBACK);
    let mut buf = [0; 8];
    let mut part = [IoSliceMut::new(&mut buf)];
    let mut message = RecvMessage::new(&mut part);
    assert_eq!(
        socket.recvmsg(&mut message, MSG_DONTWAIT),
        Err(Errno::EAGAIN)
    );
    let mut parts: Vec<_> = (0..=UIO_MAXIOV).map(|_| IoSliceMut::new(&mut [])).collect();
    let mut too_many = RecvMessage::new(&mut parts);
    assert_eq!(socket.recvmsg(&mut too_many, 0), Err(Errno::EMSGSIZE));
}

fn sendmmsg_sends_several_messages(ip: IpAddr) {
    let (ours, theirs) = (udp(ip), UdpSocket::bind((ip, 0)).unwrap());
    let there = Sockaddr::from(theirs.local_addr().unwrap());
    let parts = ["one", "three", "seventeen"].map(|text| [IoSlice::new(text.as_bytes())]);
    let mut messages = parts
        .each_ref()
        .map(|part| SendMessage::new(part, Some(&there)));
    assert_eq!(ours.sendmmsg(&mut messages, 0), Ok(3));
    assert_eq!(messages.map(|message| message.bytes_sent()), [3, 5, 9]);
    let mut buf = [0; 16];
    for text in ["one", "three", "seventeen"] {
        let count = theirs.recv(&mut buf).unwrap();
        assert_eq!(&buf[..count], text.as_bytes());
    }
    let mut nowhere = [SendMessage::new(&parts[0], None)];
    assert_eq!(ours.sendmmsg(&mut nowhere, 0), Err(Errno::EDESTADDRREQ));
}

fn recvmmsg_receives_several_messages(ip: IpAddr) {
    let (ours, theirs) = (udp(ip), UdpSocket::bind((ip, 0)).unwrap());
    theirs.send_to(b"one", name(&ours)).unwrap();
    theirs.send_to(b"three", name(&ours)).unwrap();
    let mut bufs = [[0; 8]; 3];
    let mut parts = bufs.each_mut().map(|buf| [IoSliceMut::new(buf)]);
    let mut messages = parts.each_mut().map(|part| RecvMessage::new(part));
    let at_once = ours.recvmmsg(&mut messages, MSG_WAITFORONE, None);
    if at_once == Ok(1) {
        // The second message had not arrived yet.
        assert_eq!(ours.recvmmsg(&mut messages[1..2], 0, None), Ok(1));
    } else {
        assert_eq!(at_once, Ok(2));
    }
    assert_eq!(messages.map(|message| message.bytes_received()), [3, 5, 0]);
    assert_eq!((&bufs[0][..3], &bufs[1][..5]), (&b"one"[..], &b"three"[..]));
}

fn recvmmsg_fails_or_returns_without_waiting_for_its_timeout() {
    let socket = udp(LOOPBACK);
    let mut buf = [0; 8];
    let mut part = [IoSliceMut::new(&mut buf)];
    let mut messages = [RecvMessage::new(&mut part)];
    let error = socket
        .recvmmsg(&mut messages, MSG_DONTWAIT, None)
        .unwrap_err();
    assert_eq!(error, Errno::EAGAIN);
    // The kernel checks the timeout only after each message (recvmmsg(2), BUGS). Here one message has arrived,
    // and the call asks for one, so it returns at once.
    socket.sendto(b"x", 0, Some(&name(&socket).into())).unwrap();
    let timeout = Some(Duration::from_secs(60));
    assert_eq!(socket.recvmmsg(&mut messages, 0, timeout), Ok(1));
}

// Bytes and files.

fn read_returns_the_available_bytes() {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"0123456789").unwrap();
    let mut buf = [b'-'; 6];
    assert_eq!(ours.read(&mut buf[..4]), Ok(4));
    assert_eq!(&buf, b"0123--");
    assert_eq!(ours.read(&mut []), Ok(0));
    assert_eq!(ours.read(&mut buf), Ok(6));
    assert_eq!(&buf, b"456789");
    drop(theirs);
    assert_eq!(ours.read(&mut buf), Ok(0), "end of file");
}

fn read_fails_with_the_documented_errors(ip: IpAddr) {
    let mut buf = [0; 8];
    let (ours, _theirs) = pair();
    set_nonblocking(&ours);
    assert_eq!(ours.read(&mut buf), Err(Errno::EAGAIN));
    let root = openat(Linux, c"/", O_RDONLY, 0).unwrap();
    assert_eq!(root.read(&mut buf), Err(Errno::EISDIR));
    let (_, write_end) = pipe();
    assert_eq!(write_end.read(&mut buf), Err(Errno::EBADF));
    let (server, client) = connection(ip);
    // Closing with unread data resets the connection.
    server.write(b"unread").unwrap();
    client.peek(&mut buf).unwrap();
    drop(client);
    assert_eq!(server.read(&mut buf), Err(Errno::ECONNRESET));
}

fn pipe() -> (Fd<Linux>, Fd<Linux>) {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors, which nothing else owns.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (Fd::from_raw(Linux, fds[0]), Fd::from_raw(Linux, fds[1]))
    }
}

fn write_returns_the_number_of_bytes_accepted(ip: IpAddr) {
    let (ours, mut theirs) = pair();
    assert_eq!(ours.write(b"hello"), Ok(5));
    assert_eq!(ours.write(b""), Ok(0));
    let mut buf = [0; 8];
    assert_eq!(theirs.read(&mut buf).unwrap(), 5);
    assert_eq!(&buf[..5], b"hello");

    let (server, mut client) = connection(ip);
    set_nonblocking(&server);
    let much = vec![7; 64 << 20];
    let taken = server.write(&much).unwrap();
    assert!(taken > 0 && taken < much.len(), "{taken} bytes");
    server.shutdown(SHUT_WR).unwrap();
    let mut all = vec![];
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), taken);
}

fn write_fails_with_the_documented_errors() {
    let (read_end, write_end) = pipe();
    assert_eq!(read_end.write(b"x"), Err(Errno::EBADF));
    set_nonblocking(&write_end);
    while write_end.write(&[0; 4096]).is_ok() {}
    assert_eq!(write_end.write(b"x"), Err(Errno::EAGAIN));
    close_for_good(read_end);
    // Rust's start-up code ignores SIGPIPE.
    assert_eq!(write_end.write(b"x"), Err(Errno::EPIPE));
}

fn readv_fills_buffers_in_order() {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"vector").unwrap();
    let (mut a, mut b, mut c) = ([0; 2], [0; 3], [b'-'; 3]);
    let mut bufs = [&mut a[..], &mut b[..], &mut c[..]].map(IoSliceMut::new);
    assert_eq!(ours.readv(&mut bufs), Ok(6));
    assert_eq!((&a, &b, &c), (b"ve", b"cto", b"r--"));

    set_nonblocking(&ours);
    assert_eq!(
        ours.readv(&mut [IoSliceMut::new(&mut a)]),
        Err(Errno::EAGAIN)
    );
    let mut too_many: Vec<_> = (0..=UIO_MAXIOV).map(|_| IoSliceMut::new(&mut [])).collect();
    assert_eq!(ours.readv(&mut too_many), Err(Errno::EINVAL));
}

fn writev_sends_buffers_in_order() {
    let (ours, mut theirs) = pair();
    let bufs = [&b"ve"[..], b"", b"cto", b"r"].map(IoSlice::new);
    assert_eq!(ours.writev(&bufs), Ok(6));
    let mut buf = [0; 8];
    assert_eq!(theirs.read(&mut buf).unwrap(), 6);
    assert_eq!(&buf[..6], b"vector");

    let too_many = [IoSlice::new(b"x"); UIO_MAXIOV + 1];
    assert_eq!(ours.writev(&too_many), Err(Errno::EINVAL));
    close_for_good(theirs);
    assert_eq!(ours.writev(&bufs), Err(Errno::EPIPE));
}

fn openat_opens_and_creates() {
    let dir = env::temp_dir();
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("syscalls-openat-{}", process::id()));
    let c_path = CString::new(path.to_str().unwrap()).unwrap();
    let create = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    let file = openat(Linux, &c_path, create, 0o400).unwrap();
    assert_eq!(flags(&file), (true, false));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o400
    );
    file.write(b"first").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let more = openat(Linux, &c_path, O_WRONLY | O_APPEND, 0).unwrap();
    more.write(b", second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first, second");
    let both = openat(Linux, &c_path, O_RDWR, 0).unwrap();
    let mut buf = [0; 5];
    assert_eq!(both.read(&mut buf), Ok(5));
    assert_eq!(&buf, b"first");
    drop(openat(Linux, &c_path, create, 0).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"", "truncated");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    in_child(|| {
        drop_capabilities()
            && openat(Linux, &c_path, O_RDONLY, 0).is_err_and(|e| e == Errno::EACCES)
    });
    fs::remove_file(&path).unwrap();
    let error = |flags| openat(Linux, &c_path, flags, 0).unwrap_err();
    assert_eq!(error(O_RDONLY), Errno::ENOENT);
    assert_eq!(openat(Linux, c"/", O_WRONLY, 0).unwrap_err(), Errno::EISDIR);
    in_child(|| {
        no_more_descriptors() && openat(Linux, c"/", 0, 0).is_err_and(|e| e == Errno::EMFILE)
    });
}

fn close_and_drop_close_once() {
    let (ours, mut theirs) = pair();
    let number = ours.as_raw();
    assert_eq!(ours.close(), Ok(()));
    assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0, "end of file");
    let (ours, mut theirs) = pair();
    drop(ours);
    assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0, "end of file");
    // The child has no other thread that could open a file, so the number stays free.
    in_child(|| {
        // SAFETY: nothing in this process uses the file that another test may have opened with this number.
        unsafe { libc::close(number) };
        // SAFETY: nothing relies on the number in this process.
        let fd = unsafe { Fd::from_raw(Linux, number) };
        fd.close() == Err(Errno::EBADF)
    });
}

fn close_is_not_called_for_inherited_descriptors() {
    {
        let inherited = stdin(Linux);
        assert_eq!(inherited.as_raw(), 0);
    }
    // SAFETY: no memory is passed.
    let flags = unsafe { libc::fcntl(0, libc::F_GETFD) };
    assert!(flags >= 0, "descriptor 0 is still open");
}

// Waiting.

fn ppoll_reports_events() {
    let (ours, mut theirs) = pair();
    assert_eq!(wait_for(&ours, POLLIN | POLLOUT), POLLOUT);
    theirs.write_all(b"x").unwrap();
    assert_eq!(wait_for(&ours, POLLIN | POLLOUT), POLLIN | POLLOUT);
    let (quiet, _other) = pair();
    let mut fds = [PollFd::new(&quiet, POLLIN), PollFd::new(&ours, POLLIN)];
    assert_eq!(ppoll(&Linux, &mut fds, None), Ok(1));
    assert_eq!(fds.map(|fd| fd.revents()), [0, POLLIN]);
    close_for_good(theirs);
    assert_eq!(wait_for(&ours, POLLIN), POLLIN | POLLHUP);
}

fn ppoll_returns_after_its_timeout() {
    let (quiet, _other) = pair();
    let mut fds = [PollFd::new(&quiet, POLLIN)];
    let (start, timeout) = (Instant::now(), Duration::from_millis(30));
    assert_eq!(ppoll(&Linux, &mut fds, Some(timeout)), Ok(0));
    assert!(start.elapsed() >= timeout);
    assert_eq!(ppoll(&Linux, &mut [], Some(Duration::ZERO)), Ok(0));
    in_child(|| {
        no_more_descriptors() && ppoll(&Linux, &mut fds, Some(Duration::ZERO)) == Err(Errno::EINVAL)
    });
}

fn epoll_create1_accepts_only_known_flags() {
    Epoll::new(Linux, 0).unwrap();
    Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    assert_eq!(Epoll::new(Linux, 1).unwrap_err(), Errno::EINVAL);
    in_child(|| no_more_descriptors() && Epoll::new(Linux, 0).is_err_and(|e| e == Errno::EMFILE));
}

/// Returns the events of one call, which waits for at most 10 s, or not at all if `wait` is false.
fn events(set: &Epoll<Linux>, wait: bool) -> Vec<(u32, u64)> {
    let mut events = [EpollEvent::default(); 8];
    let count = set
        .wait(&mut events, if wait { 10_000 } else { 0 })
        .unwrap();
    events[..count]
        .iter()
        .map(|event| (event.events, event.data))
        .collect()
}

fn epoll_ctl_adds_modifies_and_deletes() {
    let set = Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    let (ours, mut theirs) = pair();
    let token = 0x0123_4567_89ab_cdef;
    let wait = |events| EpollEvent {
        events,
        data: token,
    };
    set.ctl(EPOLL_CTL_ADD, &ours, wait(EPOLLIN)).unwrap();
    assert_eq!(events(&set, false), []);
    set.ctl(EPOLL_CTL_MOD, &ours, wait(EPOLLIN | EPOLLOUT))
        .unwrap();
    assert_eq!(events(&set, true), [(EPOLLOUT, token)]);
    theirs.write_all(b"x").unwrap();
    assert_eq!(events(&set, true), [(EPOLLIN | EPOLLOUT, token)]);
    set.ctl(EPOLL_CTL_DEL, &ours, EpollEvent::default())
        .unwrap();
    assert_eq!(events(&set, false), []);

    // An edge-triggered registration reports each arrival once. A one-shot registration reports only once,
    // until it is modified.
    set.ctl(EPOLL_CTL_ADD, &ours, wait(EPOLLIN | EPOLLET))
        .unwrap();
    assert_eq!(events(&set, true), [(EPOLLIN, token)]);
    assert_eq!(events(&set, false), []);
    set.ctl(EPOLL_CTL_MOD, &ours, wait(EPOLLIN | EPOLLONESHOT))
        .unwrap();
    assert_eq!(events(&set, true), [(EPOLLIN, token)]);
    theirs.write_all(b"y").unwrap();
    assert_eq!(events(&set, false), []);
    set.ctl(EPOLL_CTL_MOD, &ours, wait(EPOLLRDHUP)).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(events(&set, true), [(EPOLLRDHUP, token)]);
    close_for_good(theirs);
    assert_eq!(events(&set, true), [(EPOLLRDHUP | EPOLLHUP, token)]);
    close_for_good(ours);
    assert_eq!(events(&set, false), [], "closing the descriptor removed it");
}

fn epoll_ctl_fails_with_the_documented_errors() {
    let set = Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    let (ours, _theirs) = pair();
    let none = EpollEvent::default();
    assert_eq!(set.ctl(EPOLL_CTL_MOD, &ours, none), Err(Errno::ENOENT));
    assert_eq!(set.ctl(EPOLL_CTL_DEL, &ours, none), Err(Errno::ENOENT));
    assert_eq!(set.ctl(9999, &ours, none), Err(Errno::EINVAL));
    set.ctl(EPOLL_CTL_ADD, &ours, none).unwrap();
    assert_eq!(set.ctl(EPOLL_CTL_ADD, &ours, none), Err(Errno::EEXIST));
    let directory = openat(Linux, c"/", O_RDONLY, 0).unwrap();
    assert_eq!(set.ctl(EPOLL_CTL_ADD, &directory, none), Err(Errno::EPERM));
    let file = own(fs::File::open("/proc/self/exe").unwrap());
    assert_eq!(set.ctl(EPOLL_CTL_ADD, &file, none), Err(Errno::EPERM));
}

fn epoll_pwait_fills_the_events_from_the_start() {
    let set = Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    for (token, (ours, _)) in pairs.iter().enumerate() {
        let event = EpollEvent {
            events: EPOLLOUT,
            data: token as u64,
        };
        set.ctl(EPOLL_CTL_ADD, ours, event).unwrap();
    }
    let mut events = [EpollEvent::default(); 32];
    assert_eq!(set.wait(&mut events[..6], -1), Ok(6), "as many as fit");
    assert_eq!(set.wait(&mut events, -1), Ok(20));
    let mut tokens: Vec<u64> = events[..20].iter().map(|event| event.data).collect();
    tokens.sort();
    assert_eq!(tokens, (0..20).collect::<Vec<_>>());
    assert_eq!(events[20], EpollEvent::default());

    assert_eq!(set.wait(&mut [], 0), Err(Errno::EINVAL));
    let empty = Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    let start = Instant::now();
    assert_eq!(empty.wait(&mut events, 30), Ok(0));
    assert!(start.elapsed() >= Duration::from_millis(30));
}

fn eventfd2_creates_a_counter_or_a_semaphore() {
    let counter = eventfd2(Linux, 5, EFD_NONBLOCK | EFD_CLOEXEC).unwrap();
    assert_eq!(flags(&counter), (true, true));
    let mut count = [0; 8];
    assert_eq!(counter.write(&7u64.to_ne_bytes()), Ok(8));
    assert_eq!(counter.read(&mut count), Ok(8));
    assert_eq!(u64::from_ne_bytes(count), 12);
    assert_eq!(
        counter.read(&mut count),
        Err(Errno::EAGAIN),
        "the counter is 0"
    );
    assert_eq!(
        counter.read(&mut count[..7]),
        Err(Errno::EINVAL),
        "a read takes at least 8 bytes"
    );
    assert_eq!(counter.write(&(u64::MAX - 1).to_ne_bytes()), Ok(8));
    assert_eq!(
        counter.write(&1u64.to_ne_bytes()),
        Err(Errno::EAGAIN),
        "the counter is at its maximum"
    );

    let semaphore = eventfd2(Linux, 2, EFD_SEMAPHORE | EFD_NONBLOCK).unwrap();
    for expected in [Ok(8), Ok(8), Err(Errno::EAGAIN)] {
        assert_eq!(semaphore.read(&mut count), expected);
        assert_eq!(u64::from_ne_bytes(count), 1);
    }
    assert_eq!(eventfd2(Linux, 0, 9999).unwrap_err(), Errno::EINVAL);
    in_child(|| no_more_descriptors() && eventfd2(Linux, 0, 0).is_err_and(|e| e == Errno::EMFILE));
}

// The process.

/// Returns the signals below 32 that are blocked in this thread, as the C library reports them.
fn blocked() -> Vec<i32> {
    // SAFETY: the kernel writes a set, and `sigismember` reads it.
    unsafe {
        let mut set = mem::zeroed();
        assert_eq!(
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set),
            0
        );
        (1..32)
            .filter(|&signal| libc::sigismember(&raw const set, signal) == 1)
            .collect()
    }
}

fn rt_sigprocmask_changes_the_mask_of_this_thread() {
    // Use a separate thread, because the test changes its signal mask.
    let test = || {
        let [int, term] = [SIGINT, SIGTERM].map(|signal| SigSet::new(&[signal]));
        assert_eq!(blocked(), []);
        assert_eq!(
            rt_sigprocmask(&Linux, SIG_BLOCK, int),
            Ok(SigSet::default())
        );
        assert_eq!(rt_sigprocmask(&Linux, SIG_BLOCK, term), Ok(int));
        assert_eq!(blocked(), [libc::SIGINT, libc::SIGTERM]);
        let both = SigSet::new(&[SIGINT, SIGTERM]);
        assert_eq!(rt_sigprocmask(&Linux, SIG_UNBLOCK, int), Ok(both));
        assert!(both.contains(SIGINT) && both.contains(SIGTERM) && !both.contains(SIGPIPE));
        assert_eq!(blocked(), [libc::SIGTERM]);
        assert_eq!(rt_sigprocmask(&Linux, SIG_SETMASK, int), Ok(term));
        assert_eq!(blocked(), [libc::SIGINT]);
        assert_eq!(rt_sigprocmask(&Linux, 9999, int), Err(Errno::EINVAL));
    };
    thread::spawn(test).join().unwrap();
}

fn signalfd4_reads_a_blocked_signal() {
    let test = || {
        let set = SigSet::new(&[SIGTERM]);
        rt_sigprocmask(&Linux, SIG_BLOCK, set).unwrap();
        let signals = signalfd4(Linux, set, SFD_CLOEXEC | SFD_NONBLOCK).unwrap();
        assert_eq!(flags(&signals), (true, true));
        let mut info = [0; SIGNALFD_SIGINFO_SIZE];
        assert_eq!(signals.read(&mut info), Err(Errno::EAGAIN));
        // SAFETY: the signal goes to this thread, which blocks it.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGTERM) };
        assert_eq!(signals.read(&mut info), Ok(SIGNALFD_SIGINFO_SIZE));
        assert_eq!(i32::from_ne_bytes(info[..4].try_into().unwrap()), SIGTERM);
        assert_eq!(signalfd4(Linux, set, 9999).unwrap_err(), Errno::EINVAL);
    };
    thread::spawn(test).join().unwrap();
    in_child(|| {
        let set = SigSet::new(&[SIGTERM]);
        no_more_descriptors() && signalfd4(Linux, set, 0).is_err_and(|e| e == Errno::EMFILE)
    });
}

fn rt_sigaction_ignores_a_signal() {
    // The default action of this signal is to do nothing, so ignoring it does not affect other tests.
    let signal = libc::SIGWINCH;
    rt_sigaction_ignore(&Linux, signal).unwrap();
    // SAFETY: the kernel writes one action.
    let handler = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        assert_eq!(
            libc::sigaction(signal, std::ptr::null(), &raw mut action),
            0
        );
        action.sa_sigaction
    };
    assert_eq!(handler, libc::SIG_IGN);
    for signal in [libc::SIGKILL, libc::SIGSTOP, 0, 65] {
        assert_eq!(rt_sigaction_ignore(&Linux, signal), Err(Errno::EINVAL));
    }
    let (read_end, write_end) = pipe();
    close_for_good(read_end);
    in_child(|| {
        // SAFETY: the default disposition has no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        rt_sigaction_ignore(&Linux, SIGPIPE).is_ok() && write_end.write(b"x") == Err(Errno::EPIPE)
    });
}

fn rt_sigaction_exit_makes_a_signal_end_the_process_with_code_128_plus_its_number() {
    let ended = child::in_child(|| {
        let installed = rt_sigaction_exit(&Linux, SIGTERM);
        // SAFETY: no memory is passed.
        unsafe { libc::raise(SIGTERM) };
        i32::from(installed.is_ok())
    });
    assert_eq!(ended, Ok(128 + SIGTERM));
    for signal in [libc::SIGKILL, libc::SIGSTOP, 0, 65] {
        assert_eq!(rt_sigaction_exit(&Linux, signal), Err(Errno::EINVAL));
    }
}

fn clock_gettime_agrees_with_the_c_library() {
    let libcs = || {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the kernel writes one timespec.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        assert_eq!(result, 0);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let (before, ours, after) = (
        libcs(),
        time::clock_gettime(&Linux, time::CLOCK_MONOTONIC).unwrap(),
        libcs(),
    );
    assert!(
        before <= ours && ours <= after,
        "{before:?} {ours:?} {after:?}"
    );
}

fn prlimit64_reads_and_sets_a_limit() {
    let mut libcs = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut libcs) };
    assert_eq!(result, 0);
    let limit = prlimit64(&Linux, RLIMIT_NOFILE, None).unwrap();
    assert_eq!(
        (limit.rlim_cur, limit.rlim_max),
        (libcs.rlim_cur, libcs.rlim_max)
    );
    assert_eq!(prlimit64(&Linux, 9999, None), Err(Errno::EINVAL));
    let soft_above_hard = Rlimit {
        rlim_cur: 9,
        rlim_max: 8,
    };
    assert_eq!(
        prlimit64(&Linux, RLIMIT_NOFILE, Some(soft_above_hard)),
        Err(Errno::EINVAL)
    );
    in_child(|| {
        let low = Rlimit {
            rlim_cur: 20,
            rlim_max: 30,
        };
        let high = Rlimit {
            rlim_cur: 20,
            rlim_max: 31,
        };
        drop_capabilities()
            && prlimit64(&Linux, RLIMIT_NOFILE, Some(low)) == Ok(limit)
            && prlimit64(&Linux, RLIMIT_NOFILE, None) == Ok(low)
            && prlimit64(&Linux, RLIMIT_NOFILE, Some(high)) == Err(Errno::EPERM)
    });
}

fn exit_group_ends_the_process_with_the_lowest_8_bits_of_its_argument() {
    let ended = child::in_child(|| exit_group(&Linux, 0x1_2a));
    assert_eq!(ended, Ok(0x2a));
}

witness::tests! {
    every_call_has_a_test;
    socket_fails_with_the_documented_errors;
    socketpair_connects_two_sockets;
    accept4_fails_with_the_documented_errors;
    getpeername_fails_without_a_peer;
    overlong_address_is_truncated_and_not_read_beyond;
    sendmsg_fails_with_the_documented_errors;
    recvmsg_fails_with_the_documented_errors;
    recvmmsg_fails_or_returns_without_waiting_for_its_timeout;
    read_returns_the_available_bytes;
    write_fails_with_the_documented_errors;
    readv_fills_buffers_in_order;
    writev_sends_buffers_in_order;
    openat_opens_and_creates;
    close_and_drop_close_once;
    close_is_not_called_for_inherited_descriptors;
    ppoll_reports_events;
    ppoll_returns_after_its_timeout;
    epoll_create1_accepts_only_known_flags;
    epoll_ctl_adds_modifies_and_deletes;
    epoll_ctl_fails_with_the_documented_errors;
    epoll_pwait_fills_the_events_from_the_start;
    eventfd2_creates_a_counter_or_a_semaphore;
    rt_sigprocmask_changes_the_mask_of_this_thread;
    signalfd4_reads_a_blocked_signal;
    rt_sigaction_ignores_a_signal;
    rt_sigaction_exit_makes_a_signal_end_the_process_with_code_128_plus_its_number;
    clock_gettime_agrees_with_the_c_library;
    prlimit64_reads_and_sets_a_limit;
    exit_group_ends_the_process_with_the_lowest_8_bits_of_its_argument;
    [each loopback] {
        socket_has_the_family_type_and_flags_asked_for;
        bind_sets_the_local_address;
        bind_fails_with_the_documented_errors;
        bind_to_a_privileged_port_fails_without_capabilities: PrivilegedPorts;
        listen_lets_clients_connect;
        listen_fails_with_the_documented_errors;
        accept_returns_the_connection_and_its_peer;
        accept4_sets_the_flags;
        connect_reaches_a_listener;
        connect_on_a_nonblocking_socket_completes_later;
        connect_fails_with_the_documented_errors;
        getsockname_and_getpeername_match_the_other_end;
        shutdown_ends_the_given_directions;
        setsockopt_sets_what_the_c_library_reads;
        setsockopt_linger_resets_the_connection;
        getsockopt_reads_what_the_standard_library_sets;
        sendto_and_recvfrom_carry_datagrams_with_addresses;
        sendto_fails_with_the_documented_errors;
        recvfrom_on_a_connection_returns_no_address;
        sendmsg_gathers_and_recvmsg_scatters;
        sendmmsg_sends_several_messages;
        recvmmsg_receives_several_messages;
        read_fails_with_the_documented_errors;
        write_returns_the_number_of_bytes_accepted;
    }
}
