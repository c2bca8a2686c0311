//! Checks that the hand-written assembly passes each argument in the right register and returns the result.
//! For every call, with success and with error (`exit_group` cannot fail), it must agree with `sc` (another
//! crate's assembly) and with the C library's `syscall`: in the result, and in the bytes that the kernel
//! writes to memory.
//!
//! `registers.rs` checks that a call changes nothing else.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::{env, fs, io, mem, process, ptr};

use syscalls::addr::AF_INET;
use syscalls::socket::{SOCK_CLOEXEC, SOCK_STREAM};
use syscalls::{CALLS, Kernel, Linux, MAX_ERRNO, Socket};

#[path = "common/witnesses.rs"]
mod witnesses;
use witnesses::assert_every_call;

/// A function that issues a call by its number. It returns the result, or the negative error number.
type Path = unsafe fn(usize, &[usize]) -> isize;

const PATHS: [(&str, Path); 3] = [("by hand", by_hand), ("sc", by_sc), ("libc", by_libc)];

unsafe fn by_hand(nr: usize, args: &[usize]) -> isize {
    // SAFETY: the caller upholds the call's contract.
    let result = unsafe {
        match *args {
            [] => Linux.syscall(nr, []),
            [a] => Linux.syscall(nr, [a]),
            [a, b] => Linux.syscall(nr, [a, b]),
            [a, b, c] => Linux.syscall(nr, [a, b, c]),
            [a, b, c, d] => Linux.syscall(nr, [a, b, c, d]),
            [a, b, c, d, e] => Linux.syscall(nr, [a, b, c, d, e]),
            [a, b, c, d, e, f] => Linux.syscall(nr, [a, b, c, d, e, f]),
            _ => panic!("too many arguments"),
        }
    };
    result as isize
}

/// Issues a call as the expansion of `sc::syscall!` does. The macro itself takes a name, not a number.
unsafe fn by_sc(nr: usize, args: &[usize]) -> isize {
    // SAFETY: the caller upholds the call's contract.
    let result = unsafe {
        match *args {
            [] => sc::syscall0(nr),
            [a] => sc::syscall1(nr, a),
            [a, b] => sc::syscall2(nr, a, b),
            [a, b, c] => sc::syscall3(nr, a, b, c),
            [a, b, c, d] => sc::syscall4(nr, a, b, c, d),
            [a, b, c, d, e] => sc::syscall5(nr, a, b, c, d, e),
            [a, b, c, d, e, f] => sc::syscall6(nr, a, b, c, d, e, f),
            _ => panic!("too many arguments"),
        }
    };
    result as isize
}

unsafe fn by_libc(nr: usize, args: &[usize]) -> isize {
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    let [a, b, c, d, e, f] = six;
    // SAFETY: the caller upholds the call's contract. A call ignores registers beyond its arguments.
    let result = unsafe { libc::syscall(nr as libc::c_long, a, b, c, d, e, f) };
    if result == -1 {
        -(io::Error::last_os_error().raw_os_error().unwrap() as isize)
    } else {
        result as isize
    }
}

/// One run of a scenario through one of the paths, with everything that it observed.
struct Run {
    path: Path,
    seen: Vec<String>,
    succeeded: BTreeSet<&'static str>,
    failed: BTreeSet<&'static str>,
}

impl Run {
    /// Issues the call and returns its result, which may differ from run to run.
    fn issue(&mut self, name: &str, args: &[usize]) -> isize {
        let call = CALLS.iter().find(|call| call.name == name).expect(name);
        assert_eq!(args.len(), call.arguments.len(), "{name}'s arguments");
        // SAFETY: the scenarios pass addresses of live variables, or addresses without memory.
        let result = unsafe { (self.path)(call.nr, args) };
        if (-(MAX_ERRNO as isize)..0).contains(&result) {
            self.failed.insert(call.name);
        } else {
            self.succeeded.insert(call.name);
        }
        result
    }

    /// Issues the call and notes its result.
    fn call(&mut self, name: &str, args: &[usize]) {
        let result = self.issue(name, args);
        self.note(name, result);
    }

    /// Issues a call that makes a descriptor, whose number may differ from run to run. Notes the descriptor's
    /// flags, such as `FD_CLOEXEC`, and the file's, such as `O_NONBLOCK`.
    fn open(&mut self, name: &str, args: &[usize]) -> OwnedFd {
        let fd = self.issue(name, args);
        assert!(fd >= 0, "{name} failed with {fd}");
        let fd = fd as RawFd;
        // SAFETY: `fcntl` passes no memory.
        let flags = unsafe {
            [
                libc::fcntl(fd, libc::F_GETFD),
                libc::fcntl(fd, libc::F_GETFL),
            ]
        };
        self.note(name, flags);
        // SAFETY: the call has just opened it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    fn note(&mut self, what: &str, value: impl std::fmt::Debug) {
        self.seen.push(format!("{what}: {value:?}"));
    }
}

/// Returns the address of a variable that the kernel reads or writes.
fn at<T: ?Sized>(variable: &mut T) -> usize {
    ptr::from_mut(variable).cast::<u8>().expose_provenance()
}

fn fd(of: &impl AsRawFd) -> usize {
    of.as_raw_fd() as usize
}

/// An address at which no memory is mapped.
const NOWHERE: usize = 8;
/// A number that is never an open descriptor: −1.
const CLOSED: usize = -1isize as usize;

const LEN_IN: usize = mem::size_of::<libc::sockaddr_in>();

fn sockaddr(addr: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(addr) = addr else {
        panic!("an IPv4 address");
    };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*addr.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn empty() -> libc::sockaddr_in {
    let mut addr = sockaddr((Ipv4Addr::UNSPECIFIED, 0).into());
    addr.sin_family = 0;
    addr
}

/// Returns whether the kernel wrote `expected`, with its length.
fn is(addr: &libc::sockaddr_in, len: u32, expected: SocketAddr) -> bool {
    let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
    len as usize == LEN_IN && expected == (ip, u16::from_be(addr.sin_port)).into()
}

fn connecting(run: &mut Run) {
    let (inet, stream) = (libc::AF_INET as usize, libc::SOCK_STREAM as usize);
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as usize;
    run.call("socket", &[9999, stream, 0]);
    run.call("socket", &[inet, stream, 9999]);
    let socket = run.open(
        "socket",
        &[inet, stream | flags, libc::IPPROTO_TCP as usize],
    );

    // A server: bind, listen, getsockname, accept.
    let mut any = sockaddr((Ipv4Addr::LOCALHOST, 0).into());
    run.call("bind", &[CLOSED, at(&mut any), LEN_IN]);
    run.call("bind", &[fd(&socket), at(&mut any), LEN_IN]);
    run.call("bind", &[fd(&socket), at(&mut any), LEN_IN]);
    run.call("listen", &[CLOSED, 8]);
    run.call("listen", &[fd(&socket), 8]);
    let (mut addr, mut len) = (empty(), LEN_IN as u32);
    run.call("getsockname", &[fd(&socket), NOWHERE, at(&mut len)]);
    run.call("getsockname", &[fd(&socket), at(&mut addr), at(&mut len)]);
    let port = u16::from_be(addr.sin_port);
    let listener = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    run.note("a port was picked", (port != 0, is(&addr, len, listener)));
    run.call("accept", &[fd(&socket), 0, 0]);
    run.call("accept4", &[fd(&socket), 0, 0, 0]);
    run.call("accept4", &[fd(&socket), 0, 0, 1]);
    for (name, flags) in [("accept", None), ("accept4", Some(flags))] {
        let client = TcpStream::connect(listener).expect("the listener accepts");
        // SAFETY: no memory is passed. (This makes the listener blocking, so accept waits until the connection
        // is queued.)
        unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, 0) };
        let (mut addr, mut len) = (empty(), LEN_IN as u32);
        let args = [fd(&socket), at(&mut addr), at(&mut len)];
        let _connection = run.open(name, &[&args[..], flags.as_slice()].concat());
        let local = client.local_addr().expect("a connected socket's address");
        run.note("the peer", is(&addr, len, local));
    }

    // A client: connect, getpeername, shutdown.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let remote = listener.local_addr().expect("a listener's address");
    let socket = run.open("socket", &[inet, stream, 0]);
    let (mut addr, mut len) = (empty(), LEN_IN as u32);
    run.call("getpeername", &[fd(&socket), at(&mut addr), at(&mut len)]);
    run.call("shutdown", &[fd(&socket), libc::SHUT_WR as usize]);
    let mut to = sockaddr(remote);
    run.call("connect", &[fd(&socket), at(&mut to), 3]);
    run.call("connect", &[fd(&socket), at(&mut to), LEN_IN]);
    run.call("connect", &[fd(&socket), at(&mut to), LEN_IN]);
    run.call("getpeername", &[fd(&socket), at(&mut addr), at(&mut len)]);
    run.note("the peer", is(&addr, len, remote));
    let (mut accepted, _) = listener.accept().expect("the connection just made");
    run.call("shutdown", &[fd(&socket), libc::SHUT_WR as usize]);
    run.note(
        "the peer reads",
        accepted.read(&mut [0; 1]).expect("end of file"),
    );
    // A port that is bound and has no listener refuses connections.
    let bound = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0).expect("a socket");
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    bound.bind(&any_port.into()).expect("a free port");
    let refuses = bound.getsockname().expect("a bound socket");
    let mut to = sockaddr(refuses.to_ip().expect("an IPv4 address"));
    let socket = run.open("socket", &[inet, stream, 0]);
    run.call("connect", &[fd(&socket), at(&mut to), LEN_IN]);
}

fn pairs(run: &mut Run) {
    let (unix, stream) = (libc::AF_UNIX as usize, libc::SOCK_STREAM as usize);
    let mut sv: [RawFd; 2] = [-1; 2];
    run.call("socketpair", &[unix, stream, 0, NOWHERE]);
    run.call("socketpair", &[unix, stream, 0, at(&mut sv)]);
    // SAFETY: the call has just opened both.
    let [mut a, mut b] = sv.map(|fd| unsafe { UnixStream::from_raw_fd(fd) });
    a.write_all(b"pair").expect("space for four bytes");
    let mut buf = [0; 4];
    b.read_exact(&mut buf).expect("four bytes");
    run.note("through the pair", buf);
}

fn options(run: &mut Run) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (socket, level) = (fd(&listener), libc::SOL_SOCKET as usize);
    let linger = libc::SO_LINGER as usize;
    let mut value = libc::linger {
        l_onoff: 1,
        l_linger: 77,
    };
    let size = mem::size_of::<libc::linger>();
    run.call("setsockopt", &[socket, level, linger, at(&mut value), 3]);
    run.call("setsockopt", &[socket, level, 9999, at(&mut value), size]);
    run.call("setsockopt", &[socket, level, linger, at(&mut value), size]);
    let (mut value, mut len) = ([0; 3], 3 * 4u32);
    run.call(
        "getsockopt",
        &[socket, level, linger, at(&mut value), NOWHERE],
    );
    run.call(
        "getsockopt",
        &[socket, level, 9999, at(&mut value), at(&mut len)],
    );
    run.call(
        "getsockopt",
        &[socket, level, linger, at(&mut value), at(&mut len)],
    );
    run.note("linger", (value, len));
}

fn messages(run: &mut Run) {
    let [a, b] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    let [from, to] = [&a, &b].map(|socket| socket.local_addr().expect("a bound socket's address"));
    let mut addr = sockaddr(to);
    let (dont_wait, peek) = (libc::MSG_DONTWAIT as usize, libc::MSG_PEEK as usize);

    let mut text = *b"datagram";
    let mut long = [0; 70_000];
    run.call("sendto", &[fd(&a), at(&mut text), 8, 0, 0, 0]);
    run.call(
        "sendto",
        &[fd(&a), at(&mut long), 70_000, 0, at(&mut addr), LEN_IN],
    );
    run.call(
        "sendto",
        &[fd(&a), at(&mut text), 8, 0, at(&mut addr), LEN_IN],
    );
    let (mut buf, mut peer, mut len) = ([0; 16], empty(), LEN_IN as u32);
    for flags in [peek, 0, dont_wait] {
        let args = [fd(&b), at(&mut buf), 16, flags, at(&mut peer), at(&mut len)];
        run.call("recvfrom", &args);
        run.note("received", (buf, is(&peer, len, from)));
    }

    // One message in two buffers, then two messages in one call.
    let mut iov = [(&mut text[..4]), (&mut buf[..4])].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: 4,
    });
    // SAFETY: all zero bits are a msghdr.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = ptr::from_mut(&mut addr).cast();
    header.msg_namelen = LEN_IN as u32;
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = 2;
    run.call("sendmsg", &[CLOSED, at(&mut header), 0]);
    run.call("sendmsg", &[fd(&a), at(&mut header), 0]);
    let mut many = [header; 2].map(|msg_hdr| libc::mmsghdr {
        msg_hdr,
        msg_len: 0,
    });
    run.call("sendmmsg", &[CLOSED, at(&mut many), 2, 0]);
    run.call("sendmmsg", &[fd(&a), at(&mut many), 2, 0]);
    run.note("lengths", many.map(|message| message.msg_len));

    let [mut left, mut right] = [[0u8; 5], [0; 5]];
    let mut iov = [&mut left, &mut right].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: 5,
    });
    header.msg_name = ptr::null_mut();
    header.msg_namelen = 0;
    header.msg_iov = iov.as_mut_ptr();
    run.call("recvmsg", &[fd(&b), at(&mut header), 0]);
    run.note("received", (left, right));
    let mut many = [header; 3].map(|msg_hdr| libc::mmsghdr {
        msg_hdr,
        msg_len: 0,
    });
    let mut timeout = [3i64, 0];
    run.call("recvmmsg", &[fd(&b), at(&mut many), 2, 0, at(&mut timeout)]);
    run.note("lengths", many.map(|message| message.msg_len));
    run.call(
        "recvmmsg",
        &[fd(&b), at(&mut many), 3, dont_wait, at(&mut timeout)],
    );
    timeout[1] = -1;
    run.call(
        "recvmmsg",
        &[fd(&b), at(&mut many), 3, dont_wait, at(&mut timeout)],
    );
    run.call("recvmsg", &[fd(&b), at(&mut header), dont_wait]);
}

fn bytes(run: &mut Run) {
    let (mut a, mut b) = UnixStream::pair().expect("a pair");
    let mut text = *b"0123456789";
    run.call("write", &[CLOSED, at(&mut text), 10]);
    run.call("write", &[fd(&a), NOWHERE, 10]);
    run.call("write", &[fd(&a), at(&mut text), 7]);
    let mut buf = [0; 16];
    let count = b.read(&mut buf).expect("the bytes");
    run.note("arrived", (count, buf));
    let mut iov = [(&mut text[2..4]), (&mut buf[5..8])].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    });
    run.call("writev", &[fd(&a), at(&mut iov), 1025]);
    run.call("writev", &[fd(&a), at(&mut iov), 2]);
    let count = b.read(&mut buf).expect("the bytes");
    run.note("arrived", (count, buf));

    a.write_all(b"abcdefgh").expect("space");
    let mut buf = [0; 16];
    run.call("read", &[CLOSED, at(&mut buf), 3]);
    run.call("read", &[fd(&b), NOWHERE, 3]);
    run.call("read", &[fd(&b), at(&mut buf), 3]);
    run.note("arrived", buf);
    let [mut left, mut right] = [[0u8; 2], [0; 2]];
    let mut iov = [&mut left, &mut right].map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: 2,
    });
    run.call("readv", &[CLOSED, at(&mut iov), 2]);
    run.call("readv", &[fd(&b), at(&mut iov), 2]);
    run.note("arrived", (left, right));
}

fn files(run: &mut Run) {
    let dir = env::temp_dir();
    fs::create_dir_all(&dir).expect("a directory for temporary files");
    let path = dir.join(format!("syscalls-asm-{}", process::id()));
    let here = libc::AT_FDCWD as usize;
    let mut c_path = CString::new(path.to_str().unwrap())
        .unwrap()
        .into_bytes_with_nul();
    run.call("openat", &[here, at(&mut c_path[..]), 0, 0]);
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
    let args = [here, at(&mut c_path[..]), flags as usize, 0o400];
    let file = run.open("openat", &args);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    run.note("mode", mode);
    run.call("openat", &args);
    fs::remove_file(&path).expect("the file");
    run.call("close", &[fd(&file)]);
    // Do not close the number again: another thread may have reused it.
    mem::forget(file);
    run.call("close", &[CLOSED]);
}

fn waiting(run: &mut Run) {
    let (mut a, b) = UnixStream::pair().expect("a pair");
    a.write_all(b"x").expect("space");
    let mut mask = 0u64;

    let mut fds = [&a, &b].map(|stream| libc::pollfd {
        fd: stream.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let mut time = [3i64, 0];
    run.call("ppoll", &[at(&mut fds), 2, at(&mut time), at(&mut mask), 8]);
    run.note("ready", fds.map(|pollfd| pollfd.revents));
    run.call("ppoll", &[at(&mut fds), 2, at(&mut time), at(&mut mask), 7]);
    run.call("ppoll", &[NOWHERE, 2, 0, 0, 0]);

    run.call("epoll_create1", &[1]);
    let epoll = run.open("epoll_create1", &[libc::EPOLL_CLOEXEC as usize]);
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 0x0123_4567_89ab_cdef,
    };
    let [add, modify] = [libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD].map(|op| op as usize);
    run.call("epoll_ctl", &[fd(&epoll), modify, fd(&b), at(&mut event)]);
    run.call("epoll_ctl", &[fd(&epoll), add, fd(&b), at(&mut event)]);
    run.call("epoll_ctl", &[fd(&epoll), add, fd(&b), at(&mut event)]);
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
    let [set, room] = [fd(&epoll), at(&mut events)];
    run.call("epoll_pwait", &[set, room, 2, 3000, at(&mut mask), 8]);
    run.note("ready", events.map(|event| (event.events, event.u64)));
    run.call("epoll_pwait", &[set, room, 2, 3000, at(&mut mask), 7]);
    run.call("epoll_pwait", &[set, room, 0, 3000, 0, 0]);
    run.call("epoll_pwait", &[fd(&a), room, 2, 3000, 0, 0]);

    run.call("eventfd2", &[5, 9999]);
    let event = run.open("eventfd2", &[5, libc::EFD_NONBLOCK as usize]);
    let mut count = 0u64;
    run.call("read", &[fd(&event), at(&mut count), 8]);
    run.note("count", count);

    let mut set = 1u64 << (libc::SIGUSR2 - 1);
    let flags = libc::SFD_CLOEXEC as usize;
    run.call("signalfd4", &[CLOSED, at(&mut set), 8, 9999]);
    drop(run.open("signalfd4", &[CLOSED, at(&mut set), 8, flags]));
}

fn process_calls(run: &mut Run) {
    let signal = libc::SIGUSR2 as usize;
    let mut action = [0usize; 4];
    run.call("rt_sigaction", &[signal, 0, at(&mut action), 7]);
    run.call("rt_sigaction", &[signal, 0, at(&mut action), 8]);
    run.note("action", action);
    run.call(
        "rt_sigaction",
        &[libc::SIGKILL as usize, at(&mut action), 0, 8],
    );

    let (mut set, mut old) = (1u64 << (signal - 1), !0u64);
    let [block, unblock] = [libc::SIG_BLOCK, libc::SIG_UNBLOCK].map(|how| how as usize);
    run.call("rt_sigprocmask", &[9999, at(&mut set), 0, 8]);
    run.call("rt_sigprocmask", &[block, at(&mut set), at(&mut old), 8]);
    run.note("blocked before", old);
    run.call("rt_sigprocmask", &[unblock, at(&mut set), at(&mut old), 8]);
    run.note("blocked before", old);

    let mut time = [-1i64; 2];
    run.call("clock_gettime", &[9999, at(&mut time)]);
    run.call(
        "clock_gettime",
        &[libc::CLOCK_MONOTONIC as usize, at(&mut time)],
    );
    run.note(
        "a time",
        time[0] >= 0 && (0..1_000_000_000).contains(&time[1]),
    );

    let mut limit = [0u64; 2];
    run.call("prlimit64", &[0, 9999, 0, at(&mut limit)]);
    run.call(
        "prlimit64",
        &[0, libc::RLIMIT_NOFILE as usize, 0, at(&mut limit)],
    );
    run.note("limit", limit);
    run.call(
        "prlimit64",
        &[0, libc::RLIMIT_NOFILE as usize, at(&mut limit), 0],
    );

    // SAFETY: the child calls the kernel and does nothing else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        run.issue("exit_group", &[42]);
    }
    let mut status = 0;
    // SAFETY: the status is written to a variable.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    run.note("exit status", (ended == child, libc::WEXITSTATUS(status)));
    // `exit_group` does not return when it succeeds.
    run.succeeded.insert("exit_group");
}

const SCENARIOS: [fn(&mut Run); 8] = [
    connecting,
    pairs,
    options,
    messages,
    bytes,
    files,
    waiting,
    process_calls,
];

#[test]
fn three_ways_into_the_kernel_agree_on_every_call() {
    // A call with an argument in the wrong register may block forever. SIGALRM then ends the test program.
    // SAFETY: no memory is passed.
    unsafe { libc::alarm(30) };
    let (mut succeeded, mut failed) = (BTreeSet::new(), BTreeSet::from(["exit_group"]));
    for scenario in SCENARIOS {
        let seen = PATHS.map(|(name, path)| {
            let mut run = Run {
                path,
                seen: vec![],
                succeeded: BTreeSet::new(),
                failed: BTreeSet::new(),
            };
            scenario(&mut run);
            succeeded.append(&mut run.succeeded);
            failed.append(&mut run.failed);
            (name, run.seen)
        });
        let [(_, by_hand), others @ ..] = seen;
        for (name, other) in others {
            assert_eq!(by_hand, other, "by hand, and by {name}");
        }
    }
    let remedy = |outcome| format!("add to a scenario in {}, so that it {outcome}", file!());
    assert_every_call(&succeeded, &remedy("succeeds"));
    assert_every_call(&failed, &remedy("fails"));
}
