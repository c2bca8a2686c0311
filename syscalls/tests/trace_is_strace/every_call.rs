//! Makes every call of the crate except `exit_group`, with success and with errors, and with the arguments
//! that strace shows in a special form.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::ffi::{CStr, CString};
use std::iter;

use syscalls::addr::{AF_INET, AF_INET6, AF_UNIX, Sockaddr};
use syscalls::epoll::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE,
    EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, Epoll, EpollEvent,
};
use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, eventfd2};
use syscalls::io::{
    IoSlice, IoSliceMut, O_APPEND, O_CLOEXEC, O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC,
    O_WRONLY, openat,
};
use syscalls::message::{RecvMessage, SendMessage};
use syscalls::poll::{POLLIN, POLLOUT, POLLPRI, PollFd, ppoll};
use syscalls::process::{RLIMIT_NOFILE, Rlimit, prlimit64};
use syscalls::signal::{
    SFD_CLOEXEC, SFD_NONBLOCK, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGHUP, SIGINT, SIGKILL,
    SIGPIPE, SIGTERM, SigSet, rt_sigaction_exit, rt_sigaction_ignore, rt_sigprocmask, signalfd4,
};
use syscalls::socket::{
    IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, Linger, MSG_DONTWAIT, MSG_MORE,
    MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITFORONE, SHUT_RD, SHUT_RDWR, SHUT_WR,
    SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_RCVBUF, SO_REUSEADDR, SO_REUSEPORT,
    SO_SNDBUF, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_IP, SOL_SOCKET, SOL_TCP,
    TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY, TCP_USER_TIMEOUT,
};
use syscalls::time::{CLOCK_MONOTONIC, Timespec, clock_gettime};
use syscalls::{Errno, Fd, Inherited, Kernel, Socket, into_result};

const FLAGS: i32 = SOCK_CLOEXEC | SOCK_NONBLOCK;

/// A descriptor that is not open.
const CLOSED: usize = 12345;

/// Makes every call except `exit_group` through `kernel`. Calls that need an address use `loopback`.
pub fn every_call<K: Kernel>(kernel: &K, loopback: IpAddr) {
    files(kernel);
    let any_port = SocketAddr::new(loopback, 0);
    streams(kernel, any_port);
    options(kernel);
    unusual_arguments(kernel);
    pairs(kernel);
    datagrams(kernel, any_port);
    epolls(kernel);
    polls(kernel);
    signals(kernel);
    process(kernel);
}

fn fails<T>(outcome: Result<T, Errno>, expected: Errno) {
    assert_eq!(outcome.err(), Some(expected));
}

/// Makes a call with arguments that no typed call passes, and asserts that it fails with `expected`.
fn refused<K: Kernel, const N: usize>(kernel: &K, nr: usize, args: [usize; N], expected: Errno) {
    // SAFETY: in this file, each address is null or that of memory that is large enough for the call, and no
    // such call succeeds.
    let result = unsafe { kernel.syscall(nr, args) };
    assert_eq!(into_result(result), Err(expected), "{nr}");
}

/// Returns the address of `value`, which the kernel may write to.
fn at<T>(value: &mut T) -> usize {
    (&raw mut *value).expose_provenance()
}

/// Waits for `events` on `fd`. Even over loopback, data may arrive after the call that sent it has returned.
fn wait_for<K: Kernel>(fd: &Fd<K>, events: i16) {
    let mut fds = [PollFd::new(fd, events)];
    assert_eq!(
        ppoll(fd.kernel(), &mut fds, Some(Duration::from_secs(10))),
        Ok(1)
    );
}

fn files<K: Kernel>(k: &K) {
    let open = |path: &CStr, flags| openat(k.clone(), path, flags, 0o640);
    // Two threads of a test program may make every call at the same time, so each has its own file.
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(format!("every-call-{process}-{thread:?}"));
    let path = &*CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
    let file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC).unwrap();
    drop(openat(k.clone(), path, O_WRONLY | O_CREAT, 0o7).unwrap());
    drop(open(path, O_WRONLY | O_APPEND | O_NONBLOCK).unwrap());
    let again = open(path, O_RDONLY).unwrap();
    std::fs::remove_file(path.to_str().unwrap()).unwrap();
    fails(open(path, O_RDONLY), Errno::ENOENT);
    fails(open(c"/", O_RDWR | O_CREAT), Errno::EISDIR);
    let long = c"no \"such\"\x01\xff file; its path is longer than thirty-two bytes";
    fails(open(long, O_RDONLY), Errno::ENOENT);
    refused(
        k,
        sc::nr::OPENAT,
        [CLOSED, c"x".as_ptr().expose_provenance(), 0, 0],
        Errno::EBADF,
    );

    for bytes in [
        &b""[..],
        b"plain",
        b"exactly thirty-two bytes of text",
        b"exactly thirty-three bytes of it.",
        b"\0\x01\x02 \t\n\x0b\x0c\r\x1b\"\\'\x7f\x80\xff/~",
        b"\x07\x080\x1f9\x1f/\x1f:\x001",
        // strace shows 32 bytes. A digit after them does not lengthen an octal escape at the end.
        b"thirty-one bytes, and then comes\x015",
        b"thirty-one bytes, then this one\x015",
        &[0xff; 40],
    ] {
        file.write(bytes).unwrap();
    }
    let three = [
        IoSlice::new(b"one"),
        IoSlice::new(b""),
        IoSlice::new(&[b'x'; 33]),
    ];
    file.writev(&three).unwrap();
    file.writev(&[]).unwrap();
    let many = [IoSlice::new(b"m"); 33];
    file.writev(&many).unwrap();
    file.writev(&many[..32]).unwrap();

    let mut buf = [0; 100];
    again.read(&mut buf[..20]).unwrap();
    again.read(&mut buf).unwrap();
    again.read(&mut []).unwrap();
    let (mut a, mut b, mut c) = ([0; 3], [0; 50], [0; 5000]);
    let mut bufs = [&mut a[..], &mut b, &mut c].map(IoSliceMut::new);
    again.readv(&mut bufs).unwrap();
    again.readv(&mut bufs).unwrap();
    again.read(&mut buf).unwrap();
    fails(again.write(b"only to be read"), Errno::EBADF);
    fails(again.writev(&three), Errno::EBADF);
    let directory = open(c"/", O_RDONLY).unwrap();
    fails(directory.read(&mut buf), Errno::EISDIR);
    fails(directory.readv(&mut bufs), Errno::EISDIR);
    directory.close().unwrap();
    refused(
        k,
        sc::nr::READ,
        [CLOSED, at(&mut buf), buf.len()],
        Errno::EBADF,
    );
    refused(k, sc::nr::READ, [usize::MAX, 0, 0], Errno::EBADF);
    refused(k, sc::nr::CLOSE, [CLOSED], Errno::EBADF);
}

fn streams<K: Kernel>(k: &K, any: SocketAddr) {
    let family = if any.is_ipv4() { AF_INET } else { AF_INET6 };
    let socket = |flags, protocol| Socket::new(k.clone(), family, SOCK_STREAM | flags, protocol);
    let server = socket(FLAGS, IPPROTO_IP).unwrap();
    fails(server.getpeername(), Errno::ENOTCONN);
    fails(server.accept4(FLAGS), Errno::EINVAL);
    server.bind(&Sockaddr::from(any)).unwrap();
    let here = server.getsockname().unwrap();
    fails(server.bind(&here), Errno::EINVAL);
    server.listen(16).unwrap();
    fails(server.accept4(FLAGS), Errno::EAGAIN);
    fails(server.accept(), Errno::EAGAIN);

    let other = socket(SOCK_CLOEXEC, IPPROTO_TCP).unwrap();
    fails(other.bind(&here), Errno::EADDRINUSE);
    fails(other.shutdown(SHUT_RD), Errno::ENOTCONN);
    let client = socket(SOCK_NONBLOCK, IPPROTO_TCP).unwrap();
    fails(client.connect(&here), Errno::EINPROGRESS);
    wait_for(&server, POLLIN);
    let (accepted, _) = server.accept4(FLAGS).unwrap();
    other.connect(&here).unwrap();
    fails(other.connect(&here), Errno::EISCONN);
    wait_for(&server, POLLIN);
    let (second, _) = server.accept().unwrap();
    drop(server.accept4(0));
    wait_for(&client, POLLOUT);
    client.getpeername().unwrap();
    fails(client.read(&mut [0; 10]), Errno::EAGAIN);
    client.sendto(b"with a flag", MSG_NOSIGNAL, None).unwrap();
    wait_for(&accepted, POLLIN);
    accepted.recvfrom(&mut [0; 4], MSG_DONTWAIT).unwrap();
    accepted
        .recvfrom(&mut [0; 64], MSG_PEEK | MSG_DONTWAIT)
        .unwrap();
    fails(second.recvfrom(&mut [0; 64], MSG_DONTWAIT), Errno::EAGAIN);
    client.shutdown(SHUT_WR).unwrap();
    accepted.read(&mut [0; 64]).unwrap();
    wait_for(&accepted, POLLIN);
    accepted.read(&mut [0; 64]).unwrap();
    accepted.shutdown(SHUT_RDWR).unwrap();
    let late = client.sendto(b"too late", MSG_NOSIGNAL | MSG_MORE | MSG_OOB, None);
    fails(late, Errno::EPIPE);
    fails(client.write(b"too late"), Errno::EPIPE);
    // Closing a socket with unread bytes resets the connection.
    other.write(b"unread").unwrap();
    wait_for(&second, POLLIN);
    drop(second);
    fails(other.read(&mut [0; 10]), Errno::ECONNRESET);
    // A port that is bound and has no listener refuses connections.
    let bound = socket(SOCK_CLOEXEC, IPPROTO_TCP).unwrap();
    bound.bind(&Sockaddr::from(any)).unwrap();
    let refuses = bound.getsockname().unwrap();
    let late = socket(FLAGS, IPPROTO_IP).unwrap();
    fails(late.connect(&refuses), Errno::EINPROGRESS);
    wait_for(&late, POLLOUT);
    assert_eq!(
        late.getsockopt(SO_ERROR),
        Ok(Errno::ECONNREFUSED.number().into())
    );
    // Addresses with other text forms.
    for ip in [
        "0.0.0.0",
        "255.1.2.3",
        "::",
        "::102:304",
        "::ffff:1.2.3.4",
        "2001:db8::1:0:0:5",
    ] {
        let _ = late.connect(&Sockaddr::from(SocketAddr::new(ip.parse().unwrap(), 9)));
    }
}

fn options<K: Kernel>(k: &K) {
    let socket = Socket::new(k.clone(), AF_INET, SOCK_STREAM | FLAGS, IPPROTO_IP).unwrap();
    for option in [
        SO_REUSEADDR,
        SO_SNDBUF,
        SO_RCVBUF,
        SO_KEEPALIVE,
        SO_OOBINLINE,
        SO_REUSEPORT,
        IP_BIND_ADDRESS_NO_PORT,
        TCP_NODELAY,
        TCP_KEEPIDLE,
        TCP_KEEPINTVL,
        TCP_KEEPCNT,
        TCP_USER_TIMEOUT,
    ] {
        socket.setsockopt(option, 1).unwrap();
    }
    for option in [
        SO_REUSEADDR,
        SO_SNDBUF,
        SO_RCVBUF,
        SO_KEEPALIVE,
        SO_OOBINLINE,
        SO_REUSEPORT,
        SO_ERROR,
        IP_BIND_ADDRESS_NO_PORT,
        TCP_NODELAY,
        TCP_KEEPIDLE,
        TCP_KEEPINTVL,
        TCP_KEEPCNT,
        TCP_USER_TIMEOUT,
    ] {
        socket.getsockopt(option).unwrap();
    }
    fails(socket.setsockopt(TCP_KEEPCNT, -1), Errno::EINVAL);
    fails(socket.setsockopt(SO_ERROR, 1), Errno::ENOPROTOOPT);
    let linger = Linger {
        l_onoff: 1,
        l_linger: 5,
    };
    socket.setsockopt(SO_LINGER, linger).unwrap();
    assert_eq!(socket.getsockopt(SO_LINGER), Ok(linger));
    let datagrams = Socket::new(k.clone(), AF_INET, SOCK_DGRAM, IPPROTO_UDP).unwrap();
    fails(datagrams.setsockopt(TCP_NODELAY, 1), Errno::ENOPROTOOPT);
    fails(datagrams.getsockopt(TCP_NODELAY), Errno::EOPNOTSUPP);
    let (socket, mut value, mut len) = (socket.as_raw() as usize, 1i32, 8u32);
    for level in [SOL_SOCKET, SOL_IP, SOL_TCP].map(|level| level as usize) {
        let (value, len) = (at(&mut value), at(&mut len));
        refused(
            k,
            sc::nr::SETSOCKOPT,
            [socket, level, 9999, value, 4],
            Errno::ENOPROTOOPT,
        );
        refused(
            k,
            sc::nr::GETSOCKOPT,
            [socket, level, 9999, value, len],
            Errno::ENOPROTOOPT,
        );
    }
    let short = [socket, SOL_SOCKET as usize, 2, at(&mut value), 3];
    refused(k, sc::nr::SETSOCKOPT, short, Errno::EINVAL);
    let unknown = [socket, 9999, 9999, at(&mut value), 4];
    refused(k, sc::nr::SETSOCKOPT, unknown, Errno::ENOPROTOOPT);
    let closed = [CLOSED, SOL_SOCKET as usize, 2, at(&mut value), at(&mut len)];
    refused(k, sc::nr::GETSOCKOPT, closed, Errno::EBADF);
}

/// Makes calls with numbers and flags that have no name, and with null addresses.
fn unusual_arguments<K: Kernel>(k: &K) {
    const INET: usize = AF_INET as usize;
    let socket = Socket::new(k.clone(), AF_INET, SOCK_STREAM, IPPROTO_IP).unwrap();
    let s = socket.as_raw() as usize;
    refused(k, sc::nr::SOCKET, [INET, 15, 0], Errno::EINVAL);
    refused(
        k,
        sc::nr::SOCKET,
        [INET, 15 | SOCK_CLOEXEC as usize, 0],
        Errno::EINVAL,
    );
    refused(k, sc::nr::SOCKET, [INET, 1 | 0x100, 0], Errno::EINVAL);
    refused(
        k,
        sc::nr::SOCKET,
        [INET, 1 | 0x100 | FLAGS as usize, 0],
        Errno::EINVAL,
    );
    refused(k, sc::nr::SOCKET, [INET, 1, 9999], Errno::EINVAL);
    refused(k, sc::nr::SOCKET, [99, 1, 0], Errno::EAFNOSUPPORT);
    refused(k, sc::nr::SOCKET, [0, 1, 0], Errno::EAFNOSUPPORT);
    let (mut pair, mut event) = ([0i32; 2], EpollEvent::default());
    let no_pair = [INET, 1, 250, at(&mut pair)];
    refused(k, sc::nr::SOCKETPAIR, no_pair, Errno::EPROTONOSUPPORT);
    refused(k, sc::nr::BIND, [s, 0, 0], Errno::EINVAL);
    refused(k, sc::nr::LISTEN, [usize::MAX, usize::MAX], Errno::EBADF);
    refused(k, sc::nr::ACCEPT, [usize::MAX, 0, 0], Errno::EBADF);
    refused(k, sc::nr::ACCEPT4, [s, 0, 0, 0x100], Errno::EINVAL);
    refused(
        k,
        sc::nr::ACCEPT4,
        [s, 0, 0, FLAGS as usize | 0x100],
        Errno::EINVAL,
    );
    refused(k, sc::nr::GETSOCKNAME, [CLOSED, 0, 0], Errno::EBADF);
    refused(k, sc::nr::SHUTDOWN, [s, 9], Errno::EINVAL);
    refused(k, sc::nr::SENDTO, [s, 0, 0, 1 << 24, 0, 0], Errno::EPIPE);
    refused(
        k,
        sc::nr::RECVFROM,
        [s, 0, 0, 1 << 24, 0, 0],
        Errno::ENOTCONN,
    );
    refused(k, sc::nr::EPOLL_CREATE1, [0x7], Errno::EINVAL);
    refused(k, sc::nr::EVENTFD2, [1, 0x70], Errno::EINVAL);
    let no_operation = [s, 77, s, at(&mut event)];
    refused(k, sc::nr::EPOLL_CTL, no_operation, Errno::EINVAL);
    let pair = Socket::pair(k.clone(), AF_INET, SOCK_STREAM, IPPROTO_IP);
    fails(pair, Errno::EOPNOTSUPP);
}

fn pairs<K: Kernel>(k: &K) {
    let (a, b) = Socket::pair(k.clone(), AF_UNIX, SOCK_DGRAM | FLAGS, 0).unwrap();
    a.getsockname().unwrap();
    a.getpeername().unwrap();
    a.sendto(b"longer than its room", 0, None).unwrap();
    b.recvfrom(&mut [0; 4], MSG_TRUNC).unwrap();

    let hello = [IoSlice::new(b"hello"), IoSlice::new(b" \xffworld")];
    let message = SendMessage::new(&hello, None);
    let (mut x, mut y) = ([0; 3], [0; 40]);
    let mut bufs = [&mut x[..], &mut y].map(IoSliceMut::new);
    a.sendmsg(&message, MSG_NOSIGNAL).unwrap();
    b.recvmsg(&mut RecvMessage::new(&mut bufs), MSG_DONTWAIT)
        .unwrap();
    fails(
        b.recvmsg(&mut RecvMessage::new(&mut bufs), 0),
        Errno::EAGAIN,
    );
    a.sendmsg(&message, 0).unwrap();
    b.recvmsg(&mut RecvMessage::new(&mut bufs[..1]), 0).unwrap();
    a.sendmsg(&SendMessage::new(&[], None), 0).unwrap();
    b.recvmsg(&mut RecvMessage::new(&mut []), 0).unwrap();

    let mut batch = [message, SendMessage::new(&hello[..1], None)];
    a.sendmmsg(&mut batch, MSG_NOSIGNAL).unwrap();
    let mut bytes = [[0; 8]; 40];
    let mut bufs: Vec<_> = bytes.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
    let mut room: Vec<_> = bufs.iter_mut().map(|b| RecvMessage::new(b)).collect();
    b.recvmmsg(
        &mut room[..3],
        MSG_DONTWAIT,
        Some(Duration::from_millis(1500)),
    )
    .unwrap();
    fails(b.recvmmsg(&mut room, MSG_WAITFORONE, None), Errno::EAGAIN);
    let wait = Some(Duration::from_nanos(7));
    fails(b.recvmmsg(&mut room, 0, wait), Errno::EAGAIN);
    assert_eq!(b.recvmmsg(&mut [], 0, None), Ok(0));
    a.sendmmsg(&mut batch, 0).unwrap();
    b.recvmmsg(&mut room, MSG_WAITFORONE, None).unwrap();

    // Send 32 messages, which strace shows in full, then 40 at a time until the send buffer is full.
    let mut many = [message; 40];
    assert_eq!(a.sendmmsg(&mut many[..32], 0), Ok(32));
    b.recvmmsg(&mut room, MSG_DONTWAIT, None).unwrap();
    while a.sendmmsg(&mut many, 0).is_ok() {}
    b.recvmmsg(&mut room, MSG_DONTWAIT, None).unwrap();
    drop(b);
    fails(a.sendto(b"nobody is there", 0, None), Errno::ECONNREFUSED);
    fails(a.sendmsg(&message, 0), Errno::ENOTCONN);
    fails(a.sendmmsg(&mut many[..2], 0), Errno::ENOTCONN);
}

fn datagrams<K: Kernel>(k: &K, any: SocketAddr) {
    let family = if any.is_ipv4() { AF_INET } else { AF_INET6 };
    let socket = Socket::new(k.clone(), family, SOCK_DGRAM | FLAGS, IPPROTO_UDP).unwrap();
    socket.bind(&Sockaddr::from(any)).unwrap();
    fails(socket.sendto(b"where to?", 0, None), Errno::EDESTADDRREQ);
    fails(socket.listen(1), Errno::EOPNOTSUPP);
    let here = socket.getsockname().unwrap();
    let hello = [IoSlice::new(b"hello"), IoSlice::new(b" world")];
    let message = SendMessage::new(&hello, Some(&here));
    socket
        .sendto(b"to myself", MSG_DONTWAIT, Some(&here))
        .unwrap();
    socket.sendmsg(&message, 0).unwrap();
    socket.sendmmsg(&mut [message, message], 0).unwrap();
    let mut buf = [0; 100];
    for _ in 0..4 {
        wait_for(&socket, POLLIN);
        socket.recvfrom(&mut buf, 0).unwrap();
    }
    fails(socket.recvfrom(&mut buf, 0), Errno::EAGAIN);
}

fn epolls<K: Kernel>(k: &K) {
    let epoll = Epoll::new(k.clone(), EPOLL_CLOEXEC).unwrap();
    drop(Epoll::new(k.clone(), 0).unwrap());
    let counter = eventfd2(k.clone(), 3, EFD_CLOEXEC | EFD_NONBLOCK).unwrap();
    let semaphore = eventfd2(k.clone(), u32::MAX, EFD_SEMAPHORE).unwrap();
    let ctl = |op, fd, events, data| epoll.ctl(op, fd, EpollEvent { events, data });
    ctl(EPOLL_CTL_ADD, &counter, EPOLLIN | EPOLLET, 0x1_0000_0002).unwrap();
    ctl(EPOLL_CTL_ADD, &semaphore, EPOLLIN | EPOLLOUT, u64::MAX).unwrap();
    let twice = ctl(EPOLL_CTL_ADD, &counter, EPOLLRDHUP | EPOLLERR | EPOLLPRI, 7);
    fails(twice, Errno::EEXIST);
    ctl(EPOLL_CTL_MOD, &counter, EPOLLIN | EPOLLONESHOT | 1 << 20, 9).unwrap();
    let mut events = [EpollEvent::default(); 64];
    epoll.wait(&mut events[..8], 0).unwrap();
    epoll.wait(&mut events[..1], -1).unwrap();
    ctl(EPOLL_CTL_DEL, &counter, 0, 0).unwrap();
    fails(ctl(EPOLL_CTL_DEL, &counter, 0, 0), Errno::ENOENT);
    ctl(EPOLL_CTL_MOD, &semaphore, 1 << 20, 0).unwrap();
    epoll.wait(&mut events, 1).unwrap();
    ctl(EPOLL_CTL_DEL, &semaphore, 0, 0).unwrap();
    ctl(EPOLL_CTL_ADD, &semaphore, EPOLLEXCLUSIVE | EPOLLIN, 0).unwrap();
    fails(epoll.wait(&mut [], 1), Errno::EINVAL);
    // Wait for more events than strace shows.
    let counters: Vec<_> = iter::repeat_with(|| eventfd2(k.clone(), 0, 0).unwrap())
        .take(40)
        .collect();
    for (i, counter) in counters.iter().enumerate() {
        ctl(EPOLL_CTL_ADD, counter, EPOLLOUT, i as u64).unwrap();
    }
    epoll.wait(&mut events[..32], 0).unwrap();
    assert_eq!(epoll.wait(&mut events, 0), Ok(41));
    counter.write(&5u64.to_ne_bytes()).unwrap();
    counter.read(&mut [0; 8]).unwrap();
    fails(counter.read(&mut [0; 8]), Errno::EAGAIN);
}

fn polls<K: Kernel>(k: &K) {
    let silent = eventfd2(k.clone(), 0, 0).unwrap();
    let full = eventfd2(k.clone(), 1, 0).unwrap();
    let mut fds = [
        PollFd::new(&silent, POLLIN),
        PollFd::new(&full, POLLIN | POLLOUT | POLLPRI),
    ];
    ppoll(k, &mut fds, Some(Duration::from_secs(3))).unwrap();
    ppoll(k, &mut fds, None).unwrap();
    ppoll(k, &mut fds[..1], Some(Duration::ZERO)).unwrap();
    ppoll(k, &mut fds[..1], Some(Duration::from_micros(1500))).unwrap();
    ppoll(k, &mut [], Some(Duration::ZERO)).unwrap();
    let mut many = [PollFd::new(&silent, POLLOUT); 40];
    ppoll(k, &mut many, Some(Duration::ZERO)).unwrap();
    ppoll(k, &mut many[..32], Some(Duration::ZERO)).unwrap();
    // SAFETY: nothing relies on this number, and nothing closes it.
    let closed = Inherited::new(unsafe { Fd::from_raw(k.clone(), 9999) });
    let mut closed = [
        PollFd::new(&closed, POLLIN | 0x800),
        PollFd::new(&closed, 0),
    ];
    ppoll(k, &mut closed, Some(Duration::ZERO)).unwrap();
    let mut time = Timespec {
        tv_sec: 0,
        tv_nsec: -1,
    };
    refused(
        k,
        sc::nr::PPOLL,
        [at(&mut fds), 2, at(&mut time), 0, 8],
        Errno::EINVAL,
    );
    let (mut time, mut mask) = (Timespec::default(), SigSet::new(&[SIGTERM]));
    let bad_mask = [at(&mut fds), 1, at(&mut time), at(&mut mask), 7];
    refused(k, sc::nr::PPOLL, bad_mask, Errno::EINVAL);
}

fn signals<K: Kernel>(k: &K) {
    let set = |signals: &[i32]| SigSet::new(signals);
    let first = |count| set(&(1..=count).collect::<Vec<i32>>());
    rt_sigaction_ignore(k, SIGPIPE).unwrap();
    fails(rt_sigaction_ignore(k, SIGKILL), Errno::EINVAL);
    fails(rt_sigaction_ignore(k, 99), Errno::EINVAL);
    rt_sigaction_ignore(k, 32).unwrap();
    rt_sigaction_ignore(k, 64).unwrap();
    rt_sigaction_exit(k, SIGTERM).unwrap();
    fails(rt_sigaction_exit(k, SIGKILL), Errno::EINVAL);
    rt_sigprocmask(k, SIG_BLOCK, set(&[SIGINT, SIGTERM])).unwrap();
    rt_sigprocmask(k, SIG_UNBLOCK, set(&[SIGHUP, 32, 33, 34, 64])).unwrap();
    for count in [1, 41, 42, 63, 64, 0] {
        rt_sigprocmask(k, SIG_SETMASK, first(count)).unwrap();
    }
    fails(rt_sigprocmask(k, 9, first(3)), Errno::EINVAL);
    let mut large = [first(3); 2];
    refused(
        k,
        sc::nr::RT_SIGPROCMASK,
        [0, at(&mut large), 0, 16],
        Errno::EINVAL,
    );
    let fd = signalfd4(
        k.clone(),
        set(&[SIGINT, SIGTERM]),
        SFD_CLOEXEC | SFD_NONBLOCK,
    )
    .unwrap();
    fails(fd.read(&mut [0; 128]), Errno::EAGAIN);
    drop(signalfd4(k.clone(), SigSet::default(), 0).unwrap());
    fails(signalfd4(k.clone(), set(&[SIGINT]), 1), Errno::EINVAL);
}

fn process<K: Kernel>(k: &K) {
    clock_gettime(k, CLOCK_MONOTONIC).unwrap();
    let no_clock = [99, at(&mut Timespec::default())];
    refused(k, sc::nr::CLOCK_GETTIME, no_clock, Errno::EINVAL);
    let old = prlimit64(k, RLIMIT_NOFILE, None).unwrap();
    let limit = |rlim_cur| Some(Rlimit { rlim_cur, ..old });
    for cur in [100, 1024, 1025, 2048] {
        // The kernel refuses a soft limit above the hard one. The trace shows this error too.
        let outcome = prlimit64(k, RLIMIT_NOFILE, limit(cur)).map(|_| ());
        let possible = cur <= old.rlim_max;
        assert_eq!(outcome, possible.then_some(()).ok_or(Errno::EINVAL));
    }
    let above = Rlimit {
        rlim_cur: u64::MAX,
        rlim_max: 4096,
    };
    fails(prlimit64(k, RLIMIT_NOFILE, Some(above)), Errno::EINVAL);
    fails(prlimit64(k, 77, None), Errno::EINVAL);
}
