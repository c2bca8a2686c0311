//! Tests the documentation's claims about calls and the kernel: restarts as a handler sees them, the signal
//! restorer, the upper half of an argument, the numbers of 32-bit and x32 calls, structures that change during
//! a call, descriptors that are closed while in use, `fork` by number, `vfork`, writes of two threads, the
//! accept queue, the reuse of ports, addresses of sends, the timeout of `recvmmsg`, and the end of a
//! connection.

use std::arch::global_asm;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{
    io::{Read, Write},
    mem, process, ptr, thread,
};

use syscalls::addr::{AF_INET, Sockaddr};
use syscalls::io::IoSliceMut;
use syscalls::message::RecvMessage;
use syscalls::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, PollFd, ppoll};
use syscalls::process::exit_group;
use syscalls::socket::{
    Linger, MSG_DONTWAIT, MSG_PEEK, MSG_WAITFORONE, SHUT_RD, SHUT_WR, SO_LINGER, SO_REUSEADDR,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM,
};
use syscalls::{Errno, Fd, Kernel, Linux, Socket, into_result};

#[path = "common/child.rs"]
mod child;
use child::{close_for_good, in_child, no_children, wait_for_end};

// A `read` with symbols for the instruction that enters the kernel and for the next one.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".global questions_read, questions_instruction, questions_after",
    "questions_read: xor eax, eax",
    "questions_instruction: syscall",
    "questions_after: ret",
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".global questions_read, questions_instruction, questions_after",
    "questions_read: mov x8, 63",
    "questions_instruction: svc 0",
    "questions_after: ret",
);

unsafe extern "C" {
    fn questions_read(fd: usize, buf: *mut u8, len: usize) -> isize;
    static questions_instruction: u8;
    static questions_after: u8;
}

/// Returns the address of the instruction that enters the kernel, and of the next one.
fn addresses() -> [usize; 2] {
    [
        (&raw const questions_instruction).addr(),
        (&raw const questions_after).addr(),
    ]
}

/// The program counter at which the program continues, as the last handler saw it.
static PROGRAM_COUNTER: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes a valid context to a handler with SA_SIGINFO.
    let machine = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let at = machine.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    let at = machine.pc as usize;
    PROGRAM_COUNTER.store(at, Ordering::SeqCst);
}

/// Returns whether the thread `id` of this process sleeps in a call.
fn sleeps(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat"));
    stat.expect("a thread").contains(") S ")
}

/// Sends `signal`, whose handler has `flags`, to a thread that waits in `questions_read`. Returns the program
/// counter that the handler saw, and the result of the read.
fn interrupted_read(signal: i32, flags: i32) -> (usize, isize) {
    // SAFETY: all zero bits are a valid action, and the handler only stores a number.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        assert_eq!(
            libc::sigaction(signal, &raw const action, ptr::null_mut()),
            0
        );
    }
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let fd = theirs.as_raw_fd() as usize;
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        // SAFETY: no memory is passed.
        sender.send(unsafe { libc::gettid() }).expect("a receiver");
        let mut byte = 0;
        // SAFETY: the kernel writes one byte to `byte`.
        unsafe { questions_read(fd, &raw mut byte, 1) }
    });
    let id = receiver.recv().expect("the thread");
    loop {
        thread::sleep(Duration::from_millis(5));
        if !sleeps(id) {
            continue;
        }
        PROGRAM_COUNTER.store(0, Ordering::SeqCst);
        // SAFETY: no memory is passed. If the thread has ended, the call fails with ESRCH.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, signal) };
        while PROGRAM_COUNTER.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let at = PROGRAM_COUNTER.load(Ordering::SeqCst);
        if addresses().contains(&at) {
            let _ = ours.write(b"x"); // ends a restarted read
            return (at, reader.join().expect("the thread"));
        }
    }
}

#[test]
fn restarted_call_is_the_same_instruction_executed_again() {
    let [instruction, after] = addresses();
    let length = if cfg!(target_arch = "x86_64") { 2 } else { 4 };
    assert_eq!(
        after - instruction,
        length,
        "the instruction's length in bytes"
    );
    // Each of the two sets of flags has its own signal.
    let restarted = interrupted_read(libc::SIGUSR1, libc::SA_RESTART);
    assert_eq!(
        restarted,
        (instruction, 1),
        "moved back by the instruction's length"
    );
    let interrupted = interrupted_read(libc::SIGUSR2, 0);
    let eintr = -isize::from(Errno::EINTR.number() as i16);
    assert_eq!(interrupted, (after, eintr), "not moved");
}

extern "C" fn do_nothing(_signal: i32) {}

#[test]
fn handler_without_restorer_kills_the_process_on_x86_64_only() {
    let ended = in_child(|| {
        // SAFETY: no memory is passed. (Rust's runtime has a handler for this signal.)
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        // The handler, the flags (without SA_RESTORER), the restorer and the mask.
        let mut action = [do_nothing as *const () as usize, 0, 0, 0];
        let at = (&raw mut action).expose_provenance();
        // SAFETY: the kernel reads one action. The handler does nothing.
        unsafe { Linux.syscall(sc::nr::RT_SIGACTION, [libc::SIGUSR1 as usize, at, 0, 8]) };
        // SAFETY: no memory is passed.
        unsafe { libc::raise(libc::SIGUSR1) };
        7
    });
    let expected = if cfg!(target_arch = "x86_64") {
        Err(libc::SIGSEGV)
    } else {
        Ok(7)
    };
    assert_eq!(ended, expected);
}

#[test]
fn kernel_ignores_the_upper_half_of_a_number_and_of_an_int() {
    const UPPER: usize = 0xdead_beef << 32;
    // SAFETY: no memory is passed, and nothing else owns the descriptor.
    let close = |nr, fd: usize| into_result(unsafe { Linux.syscall(nr, [fd]) });
    let nr = sc::nr::CLOSE;
    let open = || fs::File::open("/proc/self/exe").expect("a file");
    for (nr, upper) in [(nr, 0), (nr, UPPER), (nr | UPPER, 0)] {
        let fd = mem::ManuallyDrop::new(open()).as_raw_fd() as usize;
        assert_eq!(close(nr, fd | upper), Ok(0), "{nr:#x} {upper:#x}");
    }
    // A size has 64 bits, and the kernel uses all of them.
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let args = [ours.as_raw_fd() as usize, 0, UPPER];
    // SAFETY: nothing is at address 0, so the kernel reads nothing.
    let result = into_result(unsafe { Linux.syscall(sc::nr::WRITE, args) });
    assert_eq!(result, Err(Errno::EFAULT), "the upper half counts");
}

#[test]
fn readv_copies_the_list_of_buffers_before_it_fills_them() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let (mut named, mut other) = ([0_u8; 4], [0_u8; 4]);
    let named_at = (&raw mut named).expose_provenance();
    let other_at = (&raw mut other).expose_provenance();
    // Two `struct iovec`. The first buffer is the second entry of the list.
    let mut list = [[0; 2], [named_at, 4]];
    let list_at = (&raw mut list).expose_provenance();
    let entry_len = size_of::<[usize; 2]>();
    list[0] = [list_at + entry_len, entry_len];

    let new_entry = [other_at.to_ne_bytes(), 4_usize.to_ne_bytes()].concat();
    let message = [&new_entry[..], b"data"].concat();
    ours.write_all(&message).expect("a connection");
    let args = [theirs.as_raw_fd() as usize, list_at, 2];
    // SAFETY: each buffer is a variable above, and each length is its size.
    let count = into_result(unsafe { Linux.syscall(sc::nr::READV, args) });
    assert_eq!(count, Ok(message.len()));
    assert_eq!(list[1], [other_at, 4], "the call has overwritten the list");
    assert_eq!((&named, &other), (b"data", &[0; 4]));
}

#[test]
fn closed_descriptor_keeps_its_file_for_a_read_that_waits_and_its_number_is_reused() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let fd = theirs.into_raw_fd();
    let read = move || {
        let mut byte = 0_u8;
        // SAFETY: the kernel writes one byte to `byte`.
        let count = unsafe { libc::read(fd, (&raw mut byte).cast(), 1) };
        (count, byte)
    };
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        // SAFETY: no memory is passed.
        sender.send(unsafe { libc::gettid() }).expect("a receiver");
        read()
    });
    let id = receiver.recv().expect("the thread");
    while !sleeps(id) {
        thread::sleep(Duration::from_millis(5));
    }
    // `dup2` closes the descriptor and gives its number to another file, atomically.
    let (mut another, its_peer) = UnixStream::pair().expect("a pair");
    // SAFETY: no memory is passed, and only this test uses the number.
    assert_eq!(unsafe { libc::dup2(its_peer.as_raw_fd(), fd) }, fd);
    another.write_all(b"2").expect("a connection");
    ours.write_all(b"1").expect("the reader has the other end");
    assert_eq!(reader.join().expect("the thread"), (1, b'1'));
    assert_eq!(read(), (1, b'2'));
    // SAFETY: no memory is passed, and only this test uses the number.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

static FORK_HANDLER_RAN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn fork_handler() {
    FORK_HANDLER_RAN.store(1, Ordering::SeqCst);
}

#[test]
fn fork_by_number_skips_the_handlers_of_the_c_library() {
    let ran = || FORK_HANDLER_RAN.load(Ordering::SeqCst) as i32;
    // SAFETY: the handler only stores a number.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(fork_handler)) };
    assert_eq!(registered, 0);
    assert_eq!(in_child(ran), Ok(1));
    // `clone` with only SIGCHLD as its flags is `fork`, a call that aarch64 does not have.
    let args = [libc::SIGCHLD as usize, 0, 0, 0, 0];
    let _others = no_children();
    // SAFETY: the child only exits.
    let child = into_result(unsafe { Linux.syscall(sc::nr::CLONE, args) }).expect("a child");
    if child == 0 {
        exit_group(&Linux, ran());
    }
    assert_eq!(wait_for_end(child as i32), Ok(0));
}

/// Returns an IPv4 socket. `ty` is its type and flags.
fn socket(ty: i32) -> Socket<Linux> {
    Socket::new(Linux, AF_INET, ty | SOCK_CLOEXEC, 0).expect("a socket")
}

/// Returns a socket of type `ty` with a port of its own.
fn bound(ty: i32) -> Socket<Linux> {
    let socket = socket(ty);
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).expect("a free port");
    socket
}

fn name(socket: &Socket<Linux>) -> Sockaddr {
    socket.getsockname().expect("a name")
}

/// Returns the two ends of a TCP connection.
fn connection() -> [Socket<Linux>; 2] {
    let listener = bound(SOCK_STREAM);
    listener.listen(1).expect("a bound socket");
    let client = socket(SOCK_STREAM);
    client.connect(&name(&listener)).expect("a connection");
    [client, listener.accept4(SOCK_CLOEXEC).expect("a client").0]
}

/// Returns the ends of a pipe: the read end and the write end.
fn pipe() -> [fs::File; 2] {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors, which nothing else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        ends.map(|fd| fs::File::from_raw_fd(fd))
    }
}

/// Waits for one of `events`, an error or a hang-up. Returns the events that happened.
fn wait_for(fd: &Fd<Linux>, events: i16) -> i16 {
    let mut fds = [PollFd::new(fd, events)];
    assert_eq!(ppoll(&Linux, &mut fds, None), Ok(1));
    fds[0].revents()
}

/// Closes `socket` so that its peer receives a reset.
fn reset(socket: Socket<Linux>) {
    let at_once = Linger {
        l_onoff: 1,
        l_linger: 0,
    };
    socket.setsockopt(SO_LINGER, at_once).expect("the option");
    drop(socket);
}

/// Runs `call` in a child process that does not ignore `SIGPIPE`. Returns the error number of `call`, or 0 if
/// it succeeded, or the signal that killed the child.
fn with_sigpipe(call: impl FnOnce() -> Result<usize, Errno>) -> Result<i32, i32> {
    in_child(|| {
        // SAFETY: no memory is passed. (Rust's runtime ignores this signal.)
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        call().map_or_else(|errno| i32::from(errno.number()), |_| 0)
    })
}

#[test]
fn first_call_after_a_reset_fails_with_econnreset_and_later_writes_with_epipe_and_sigpipe() {
    let [client, server] = connection();
    reset(server);
    wait_for(&client, 0);
    let write = || client.write(b"x");
    let econnreset = i32::from(Errno::ECONNRESET.number());
    assert_eq!(with_sigpipe(write), Ok(econnreset), "no signal");
    assert_eq!(with_sigpipe(write), Err(libc::SIGPIPE));
    assert_eq!(write(), Err(Errno::EPIPE));
    assert_eq!(client.read(&mut [0; 8]), Ok(0));

    let [client, server] = connection();
    reset(server);
    wait_for(&client, 0);
    assert_eq!(client.read(&mut [0; 8]), Err(Errno::ECONNRESET));
    assert_eq!(client.read(&mut [0; 8]), Ok(0));
    assert_eq!(client.write(b"x"), Err(Errno::EPIPE));
}

#[test]
fn write_to_a_closed_peer_succeeds_once_and_then_fails_with_epipe_and_sigpipe() {
    let [client, server] = connection();
    drop(server);
    assert_eq!(client.read(&mut [0; 8]), Ok(0), "end of file");
    assert_eq!(client.write(b"x"), Ok(1), "the kernel accepts the byte");
    wait_for(&client, 0); // until the reset that answers it
    assert_eq!(with_sigpipe(|| client.write(b"x")), Err(libc::SIGPIPE));
    assert_eq!(client.write(b"x"), Err(Errno::EPIPE));
}

#[test]
fn pollhup_reports_the_end_of_both_directions_or_a_reset_or_a_pipe_without_writers() {
    let [client, server] = connection();
    server.shutdown(SHUT_WR).expect("a connection");
    assert_eq!(wait_for(&client, POLLIN), POLLIN, "one direction has ended");
    client.shutdown(SHUT_WR).expect("a connection");
    assert_eq!(wait_for(&client, POLLIN), POLLIN | POLLHUP);

    let [client, server] = connection();
    drop(server);
    assert_eq!(wait_for(&client, POLLIN), POLLIN, "the peer has closed");

    let [client, server] = connection();
    reset(server);
    let events = wait_for(&client, POLLIN);
    assert_eq!(events, POLLIN | POLLERR | POLLHUP);

    let [reader, writer] = pipe();
    // SAFETY: `File` has just given up the descriptor.
    let reader = unsafe { Fd::from_raw(Linux, reader.into_raw_fd()) };
    let another = writer.try_clone().expect("a descriptor");
    drop(writer);
    let mut fds = [PollFd::new(&reader, POLLIN)];
    let now = Some(Duration::ZERO);
    assert_eq!(ppoll(&Linux, &mut fds, now), Ok(0), "a writer is left");
    drop(another);
    assert_eq!(wait_for(&reader, POLLIN), POLLHUP);
}

#[test]
fn shut_rd_ends_reads_of_an_empty_queue_and_sends_nothing_to_the_peer() {
    let [client, server] = connection();
    server.shutdown(SHUT_RD).expect("a connection");
    assert_eq!(server.read(&mut [0; 8]), Ok(0), "the queue is empty");
    assert_eq!(client.write(b"taken"), Ok(5));
    // `poll` reports POLLIN for the end of the stream too, so it does not show when the data has arrived.
    let mut buf = [0; 8];
    while server.recvfrom(&mut buf, MSG_PEEK).expect("a connection").0 == 0 {
        thread::yield_now();
    }
    assert_eq!(server.read(&mut buf), Ok(5));
    assert_eq!(&buf[..5], b"taken");
    let nothing = client.recvfrom(&mut buf, MSG_DONTWAIT);
    assert_eq!(nothing.err(), Some(Errno::EAGAIN), "neither FIN nor RST");
}

#[test]
fn listen_queues_one_connection_more_than_its_backlog() {
    for backlog in [0, 1, 16] {
        let listener = bound(SOCK_STREAM);
        listener.listen(backlog).expect("a bound socket");
        let queued: Vec<_> = (0..=backlog)
            .map(|_| {
                let client = socket(SOCK_STREAM);
                client
                    .connect(&name(&listener))
                    .expect("space in the queue");
                client
            })
            .collect();
        let waiting = socket(SOCK_STREAM | SOCK_NONBLOCK);
        let begun = waiting.connect(&name(&listener));
        assert_eq!(begun, Err(Errno::EINPROGRESS));
        let mut fds = [PollFd::new(&waiting, POLLOUT)];
        assert_eq!(ppoll(&Linux, &mut fds, Some(Duration::ZERO)), Ok(0));
        drop(queued);
    }
}

#[test]
fn so_reuseaddr_allows_a_port_with_connections_if_the_earlier_socket_set_it_too() {
    // Each pair: whether the earlier listener sets the option, and whether the later one does.
    for (earlier, later) in [(false, false), (false, true), (true, false), (true, true)] {
        let option = |socket: &Socket<Linux>, on| {
            let set = socket.setsockopt(SO_REUSEADDR, i32::from(on));
            set.expect("the option");
        };
        let listener = socket(SOCK_STREAM);
        option(&listener, earlier);
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        listener.bind(&any_port.into()).expect("a free port");
        listener.listen(1).expect("a bound socket");
        let address = name(&listener);
        let client = socket(SOCK_STREAM);
        client.connect(&address).expect("a connection");
        let (_open, _) = listener.accept4(SOCK_CLOEXEC).expect("a client");

        let bind = || {
            let again = socket(SOCK_STREAM);
            option(&again, later);
            again.bind(&address).and_then(|()| again.listen(1))
        };
        assert_eq!(bind(), Err(Errno::EADDRINUSE), "while it listens");
        close_for_good(listener);
        let expected = match earlier && later {
            true => Ok(()),
            false => Err(Errno::EADDRINUSE),
        };
        assert_eq!(bind(), expected, "{earlier}, {later}");
    }
}

#[test]
fn connected_datagram_socket_sends_to_a_given_address_and_tcp_ignores_it() {
    let mut buf = [0; 8];
    let [ours, peer, other] = [(); 3].map(|()| bound(SOCK_DGRAM));
    ours.connect(&name(&peer)).expect("a peer");
    assert_eq!(ours.sendto(b"udp", 0, Some(&name(&other))), Ok(3));
    assert_eq!(other.read(&mut buf), Ok(3));

    let [peer, other] = ["peer", "other"].map(|which| {
        let name = format!("syscalls-questions-{}-{which}", process::id());
        let name = unix::net::SocketAddr::from_abstract_name(name).expect("a name");
        (UnixDatagram::bind_addr(&name).expect("a free name"), name)
    });
    let ours = UnixDatagram::unbound().expect("a socket");
    ours.connect_addr(&peer.1).expect("a peer");
    assert_eq!(ours.send_to_addr(b"unix", &other.1).ok(), Some(4));
    assert_eq!(other.0.recv(&mut buf).ok(), Some(4));

    let [client, server] = connection();
    let elsewhere = name(&bound(SOCK_STREAM));
    assert_eq!(client.sendto(b"tcp", 0, Some(&elsewhere)), Ok(3));
    assert_eq!(server.read(&mut buf), Ok(3));
}

#[test]
fn recvmmsg_waits_for_its_first_message_beyond_the_timeout() {
    for flags in [0, MSG_WAITFORONE] {
        let receiver = bound(SOCK_DGRAM);
        let sender = bound(SOCK_DGRAM);
        let address = name(&receiver);
        let (id_sender, id_receiver) = mpsc::channel();
        let waiting = thread::spawn(move || {
            // SAFETY: no memory is passed.
            id_sender
                .send(unsafe { libc::gettid() })
                .expect("a receiver");
            let mut buf = [0; 8];
            let mut part = [IoSliceMut::new(&mut buf)];
            let mut messages = [RecvMessage::new(&mut part)];
            receiver.recvmmsg(&mut messages, flags, Some(Duration::from_millis(1)))
        });
        let id = id_receiver.recv().expect("the thread");
        // The timeout is 1 ms. A call that it ended would receive nothing.
        thread::sleep(Duration::from_millis(20));
        while !sleeps(id) && !waiting.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        sender.sendto(b"x", 0, Some(&address)).expect("a receiver");
        assert_eq!(waiting.join().expect("the thread"), Ok(1));
    }
}

/// Writes `len` bytes `count` times in each of two threads: `a` in one, `b` in the other. Returns all bytes
/// in the order in which they are read.
fn two_writers<W: Write + Send>(
    writer: &(impl Fn() -> W + Sync),
    mut reader: impl Read,
    [len, count]: [usize; 2],
) -> Vec<u8> {
    let mut all = vec![0; 2 * len * count];
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for byte in *b"ab" {
            let sender = sender.clone();
            scope.spawn(move || {
                // SAFETY: no memory is passed.
                sender.send(unsafe { libc::gettid() }).expect("a receiver");
                let text = vec![byte; len];
                let mut writer = writer();
                for _ in 0..count {
                    // This call blocks until all bytes are written.
                    assert_eq!(writer.write(&text).expect("a reader"), len);
                }
            });
        }
        // Wait until both threads sleep in a write that lacks space.
        for id in [(); 2].map(|()| receiver.recv().expect("a thread")) {
            while !sleeps(id) {
                thread::sleep(Duration::from_millis(5));
            }
        }
        reader.read_exact(&mut all).expect("the bytes");
    });
    all
}

#[test]
fn write_to_a_pipe_is_atomic_up_to_pipe_buf_and_longer_ones_interleave() {
    let switches = |all: &[u8]| all.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let duplicate = |writer: &fs::File| writer.try_clone().expect("a descriptor");

    let [reader, writer] = pipe();
    let all = two_writers(&|| duplicate(&writer), reader, [libc::PIPE_BUF, 256]);
    assert!(all.chunks(libc::PIPE_BUF).all(|write| switches(write) == 0));

    let [reader, writer] = pipe();
    let all = two_writers(&|| duplicate(&writer), reader, [1 << 20, 1]);
    assert!(switches(&all) > 1, "the writes do not interleave");

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let all = two_writers(&|| ours.try_clone().expect("one"), theirs, [16 << 20, 1]);
    assert!(
        switches(&all) > 1,
        "the writes do not interleave on a socket"
    );
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;

    use super::*;

    /// Issues call `nr` of the 32-bit table by `int 0x80`, with three arguments.
    unsafe fn int_0x80(nr: usize, [a, b, c]: [usize; 3]) -> isize {
        let result: isize;
        // SAFETY: the caller upholds the call's contract; every register that changes is declared.
        unsafe {
            asm!(
                // `asm!` does not allow `rbx`, the register of the first argument, as an operand.
                "xchg rbx, {a}",
                "int 0x80",
                "xchg rbx, {a}",
                a = inout(reg) a => _,
                inlateout("rax") nr => result,
                in("rcx") b,
                in("rdx") c,
                lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            );
        }
        result
    }

    /// Runs only on x86_64, because qemu-user, which runs the tests of the other architecture, turns `vfork`
    /// into `fork`.
    #[test]
    fn vfork_child_uses_the_memory_of_its_parent() {
        let mut variable = 1_u32;
        let child: isize;
        let _others = no_children();
        // SAFETY: the child changes `variable` and exits, without a use of the stack. Every register that
        // changes is declared.
        unsafe {
            asm!(
                "mov eax, {vfork}",
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "mov dword ptr [{variable}], 7", // in the child
                "xor edi, edi",
                "mov eax, {exit}",
                "syscall",
                "2:",
                vfork = const sc::nr::VFORK,
                exit = const sc::nr::EXIT,
                variable = in(reg) &raw mut variable,
                out("rax") child,
                out("rcx") _,
                out("rdi") _,
                out("r11") _,
            );
        }
        assert_eq!(wait_for_end(child as i32), Ok(0));
        assert_eq!(variable, 7);
    }

    #[test]
    fn int_0x80_uses_the_32_bit_table_and_truncates_pointers() {
        const GETPID: usize = 20; // on x86_64 that is the number of writev
        const WRITE: usize = 4; // on x86_64 that is the number of stat
        let ended = in_child(|| {
            // A page above 4 GiB. Its address truncated to 32 bits is 0x1000, where the process has no page.
            let wanted = ptr::without_provenance_mut((5 << 32) + 0x1000);
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: nothing is at that address, or the call fails.
            let page = unsafe { libc::mmap(wanted, 4096, protection, flags, -1, 0) };
            assert_eq!(page, wanted);
            let at = page.addr();
            let (ours, _theirs) = UnixStream::pair().expect("a pair");
            let fd = ours.as_raw_fd() as usize;
            // SAFETY: `getpid` takes no memory, and `write` only reads.
            let (pid, written) =
                unsafe { (int_0x80(GETPID, [0; 3]), int_0x80(WRITE, [fd, at, 1])) };
            // SAFETY: no memory is passed.
            let right = pid == unsafe { libc::getpid() } as isize;
            i32::from(!right) + 2 * i32::from(written != -14)
        });
        // On a kernel without support for 32-bit programs, the instruction raises SIGSEGV.
        let expected = [Ok(0), Err(libc::SIGSEGV)];
        assert!(
            expected.contains(&ended),
            "{ended:?}: exit code 1 is a wrong PID; 2 is a result other than EFAULT"
        );
    }

    #[test]
    fn x32_number_fails_or_makes_the_same_call() {
        const X32: usize = 1 << 30; // __X32_SYSCALL_BIT
        // SAFETY: no memory is passed.
        let result = into_result(unsafe { Linux.syscall(sc::nr::GETPPID | X32, []) });
        // SAFETY: no memory is passed.
        let parent = unsafe { libc::getppid() } as usize;
        assert!(
            [Err(Errno::ENOSYS), Ok(parent)].contains(&result),
            "{result:?}"
        );
    }
}
