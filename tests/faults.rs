//! The engine over the real kernel, with failures that a test injects. Waiting for an event that
//! never comes takes no real time, because the test controls the clock.

mod common;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use common::TIMEOUT;
use rawecho::engine::{
    Engine, MAX_UNSENT_BYTES, MIN_READ_BYTES, Polling, READ_BUFFER_BYTES, RoundTripError,
    STALL_TIMEOUT, SyscallError,
};
use syscalls::{Errno, Kernel, Linux};

/// The treatment of a call.
#[derive(Clone, Copy, PartialEq)]
enum Intercept {
    /// The call reaches the kernel.
    Served,
    /// The call does not reach the kernel, and returns this result.
    Answered(usize),
    /// The call does not reach the kernel, and fails with this error.
    Failed(Errno),
    /// The call reaches the kernel, and returns this error regardless of its result.
    FailedAfter(Errno),
}
use Intercept::{Answered, Failed, FailedAfter, Served};

/// Chooses the treatment of a call by its number and arguments. It may change the arguments.
type Interceptor = dyn Fn(libc::c_long, &mut [usize]) -> Intercept;

/// The real kernel with an interceptor in front of it.
#[derive(Clone)]
struct Faulty(Rc<Interceptor>);

// SAFETY: an interceptor returns an error, or a count that a call over the same bytes can return.
unsafe impl Kernel for Faulty {
    unsafe fn syscall<const N: usize>(&self, nr: usize, mut args: [usize; N]) -> usize {
        let intercept = (self.0)(nr as libc::c_long, &mut args);
        // SAFETY: the caller upholds the call's contract. The tests only shorten a buffer or change a
        // timeout.
        let serve = || unsafe { Linux.syscall(nr, args) };
        match intercept {
            Served => serve(),
            Answered(result) => result,
            Failed(errno) => errno.to_result(),
            FailedAfter(errno) => {
                serve();
                errno.to_result()
            }
        }
    }
}

/// Returns an engine over `kernel` that does not busy-poll, which would take real time.
fn engine(kernel: Faulty) -> Engine<Faulty> {
    let polling = Polling::new(Duration::ZERO);
    Engine::new(kernel, polling).expect("an epoll set")
}

/// Returns a listening engine over a kernel with the interceptor `intercept`, and its address.
fn listening(
    intercept: impl Fn(libc::c_long, &mut [usize]) -> Intercept + 'static,
) -> (Engine<Faulty>, SocketAddr) {
    let mut engine = engine(Faulty(Rc::new(intercept)));
    let server = engine
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .expect("a free port");
    (engine, server)
}

/// Makes a round trip of `len` bytes. Checks the echo if it succeeds, and returns the result.
fn round_trip(
    engine: &mut Engine<Faulty>,
    server: SocketAddr,
    len: usize,
) -> Result<(), RoundTripError> {
    let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let mut echo = Vec::new();
    engine.round_trip(server, &message, &mut echo, &mut || {})?;
    assert!(echo == message, "{len} bytes came back changed");
    Ok(())
}

/// Returns an interceptor that treats the first call `nr` as `intercept` says. All other calls reach the
/// kernel.
fn first(
    nr: libc::c_long,
    intercept: Intercept,
) -> impl Fn(libc::c_long, &mut [usize]) -> Intercept {
    let over = Cell::new(false);
    move |call, _| match call == nr && !over.replace(true) {
        true => intercept,
        false => Served,
    }
}

/// Answers a `clock_gettime` with `args` at time `now`.
fn answer_clock(now: Duration, args: &[usize]) -> Intercept {
    let now = libc::timespec {
        tv_sec: now.as_secs() as i64,
        tv_nsec: now.subsec_nanos().into(),
    };
    // SAFETY: the caller passed the address of a timespec.
    unsafe { (args[1] as *mut libc::timespec).write(now) };
    Answered(0)
}

#[test]
fn round_trip_succeeds_with_short_reads_and_writes() {
    for at_most in [1, 7, 1000] {
        let (mut engine, server) = listening(move |call, args| {
            if call == libc::SYS_read || call == libc::SYS_write {
                args[2] = args[2].min(at_most);
            }
            Served
        });
        for len in [0, 1, 6, 7, 8, 5000] {
            assert_eq!(round_trip(&mut engine, server, len), Ok(()));
        }
        assert_eq!(engine.totals().bytes, 5022);
    }
}

/// A signal interrupts about every second call that it can. An interrupted `connect` continues, so it must
/// not be repeated.
#[test]
fn round_trip_succeeds_when_calls_are_interrupted() {
    let calls = Cell::new(0);
    let (mut engine, server) = listening(move |call, _| {
        calls.set(calls.get() + 1);
        match call {
            libc::SYS_read | libc::SYS_write | libc::SYS_accept4 | libc::SYS_epoll_pwait
                if calls.get() % 2 == 0 =>
            {
                Failed(Errno::EINTR)
            }
            libc::SYS_connect if calls.get() % 2 == 0 => FailedAfter(Errno::EINTR),
            _ => Served,
        }
    });
    for i in 0..100 {
        assert_eq!(round_trip(&mut engine, server, i * 5000), Ok(()));
    }
    assert_eq!(engine.totals().connections, 100);
}

/// The end of the stream never comes. The wait takes no real time, because the clock jumps.
#[test]
fn round_trip_fails_after_the_stall_timeout() {
    let waited = Rc::new(Cell::new(Duration::ZERO));
    let clock = Rc::clone(&waited);
    let (swallowed, turns) = (Cell::new(false), Cell::new(0));
    let (mut engine, server) = listening(move |call, args| match call {
        libc::SYS_shutdown if !swallowed.replace(true) => Answered(0),
        libc::SYS_epoll_pwait => {
            turns.set(turns.get() + 1);
            assert!(turns.get() < 1000, "the round trip does not end");
            clock.set(clock.get() + Duration::from_millis(args[3] as u64));
            args[3] = 0;
            Served
        }
        libc::SYS_clock_gettime => answer_clock(clock.get(), args),
        _ => Served,
    });
    assert_eq!(
        round_trip(&mut engine, server, 10),
        Err(RoundTripError::Stalled)
    );
    assert_eq!(waited.get(), STALL_TIMEOUT);
    assert_eq!(round_trip(&mut engine, server, 10), Ok(()));
}

/// Injects one fault into one round trip, and checks its result. The next round trip succeeds.
#[test]
fn fault_gives_its_error_and_the_next_round_trip_succeeds() {
    use RoundTripError::{Broken, NotSent};
    type Expected = fn(SocketAddr) -> Result<(), RoundTripError>;
    let cases: &[(libc::c_long, Errno, Expected)] = &[
        (libc::SYS_connect, Errno::ECONNREFUSED, |server| {
            Err(NotSent(SyscallError::with_address(
                "connect",
                server,
                Errno::ECONNREFUSED,
            )))
        }),
        // Interrupted before the connection began: the client has no port.
        (libc::SYS_connect, Errno::EINTR, |server| {
            Err(NotSent(SyscallError::with_address(
                "connect",
                server,
                Errno::EINTR,
            )))
        }),
        // A temporary shortage.
        (libc::SYS_accept4, Errno::EMFILE, |_| Ok(())),
        (libc::SYS_accept4, Errno::ENFILE, |_| Ok(())),
        (libc::SYS_accept4, Errno::ENOBUFS, |_| Ok(())),
        (libc::SYS_accept4, Errno::ENOMEM, |_| Ok(())),
        // The process is broken, or a seccomp filter refuses the call.
        (libc::SYS_accept4, Errno::ENOSYS, |server| {
            Err(NotSent(SyscallError::with_address(
                "accept4",
                server,
                Errno::ENOSYS,
            )))
        }),
        // These errors concern an earlier connection, not this one.
        (libc::SYS_accept4, Errno::ECONNABORTED, |_| Ok(())),
        (libc::SYS_accept4, Errno::EPROTO, |_| Ok(())),
        (libc::SYS_accept4, Errno::EHOSTUNREACH, |_| Ok(())),
        // The client writes first, so no byte has been sent.
        (libc::SYS_write, Errno::ECONNRESET, |_| {
            Err(NotSent(SyscallError::new("write", Errno::ECONNRESET)))
        }),
        (libc::SYS_write, Errno::EPIPE, |_| {
            Err(NotSent(SyscallError::new("write", Errno::EPIPE)))
        }),
        (libc::SYS_write, Errno::EAGAIN, |_| Ok(())),
        (libc::SYS_shutdown, Errno::ENOTCONN, |_| {
            Err(Broken(SyscallError::new("shutdown", Errno::ENOTCONN)))
        }),
        // The server reads first. It closes the connection, which resets it because bytes are unread.
        (libc::SYS_read, Errno::ECONNRESET, |_| {
            Err(Broken(SyscallError::new("read", Errno::ECONNRESET)))
        }),
        (libc::SYS_read, Errno::EAGAIN, |_| Ok(())),
    ];
    for (call, errno, expected) in cases {
        let (mut engine, server) = listening(first(*call, Failed(*errno)));
        let outcome = round_trip(&mut engine, server, 1000);
        assert_eq!(outcome, expected(server), "{call} {errno}");
        assert_eq!(
            round_trip(&mut engine, server, 1000),
            Ok(()),
            "after {call} {errno}"
        );
    }
}

/// A send fails when a shortage of descriptors lasts for the whole stall timeout. The wait takes no
/// real time, because the clock jumps.
#[test]
fn lasting_shortage_fails_after_the_stall_timeout() {
    for (short, name) in [(libc::SYS_accept4, "accept4"), (libc::SYS_socket, "socket")] {
        let lasts = Rc::new(Cell::new(false));
        let waited = Rc::new(Cell::new(Duration::ZERO));
        let (is_short, clock) = (Rc::clone(&lasts), Rc::clone(&waited));
        let (mut engine, server) = listening(move |call, args| match call {
            call if call == short && is_short.get() => Failed(Errno::EMFILE),
            libc::SYS_epoll_pwait => {
                clock.set(clock.get() + Duration::from_millis(args[3] as u64));
                args[3] = 0;
                Served
            }
            libc::SYS_clock_gettime => answer_clock(clock.get(), args),
            _ => Served,
        });
        lasts.set(true);
        let failure = match name {
            "accept4" => SyscallError::with_address(name, server, Errno::EMFILE),
            _ => SyscallError::new(name, Errno::EMFILE),
        };
        let outcome = round_trip(&mut engine, server, 10);
        assert_eq!(outcome, Err(RoundTripError::NotSent(failure)));
        assert_eq!(waited.get(), STALL_TIMEOUT, "{name}");
        lasts.set(false);
        assert_eq!(round_trip(&mut engine, server, 10), Ok(()));
    }
}

/// If every port of 127.0.0.1 is in use, the client binds another address. If that fails too,
/// nothing has been sent.
#[test]
fn client_binds_another_address_when_no_port_is_left() {
    let bound = Cell::new(None);
    let (mut engine, server) = listening(move |call, args| match call {
        libc::SYS_bind => {
            bound.set(Some(args[0]));
            Served
        }
        libc::SYS_connect if bound.get() != Some(args[0]) => Failed(Errno::EADDRNOTAVAIL),
        _ => Served,
    });
    for _ in 0..3 {
        assert_eq!(round_trip(&mut engine, server, 1000), Ok(()));
    }
    let (mut engine, server) = listening(|call, _| match call {
        libc::SYS_connect => Failed(Errno::EADDRNOTAVAIL),
        _ => Served,
    });
    let failure = SyscallError::with_address("connect", server, Errno::EADDRNOTAVAIL);
    for _ in 0..3 {
        assert_eq!(
            round_trip(&mut engine, server, 1000),
            Err(RoundTripError::NotSent(failure))
        );
    }
}

/// The kernel chooses the client's source address for the first 4096 round trips. Later clients bind
/// 127.0.0.2, because so many ports in `TIME_WAIT` slow down the kernel's search for a free one.
#[test]
fn source_address_changes_after_many_clients() {
    const CONNECTS_PER_SOURCE_ADDRESS: usize = 4096;
    let sources = Rc::new(RefCell::new(Vec::new()));
    let bound = Rc::clone(&sources);
    let (mut engine, server) = listening(move |call, args| {
        if call == libc::SYS_bind {
            // SAFETY: the caller passed the address of an IPv4 address.
            let address = unsafe { *(args[1] as *const libc::sockaddr_in) };
            let ip = u32::from_be(address.sin_addr.s_addr);
            bound.borrow_mut().push(Ipv4Addr::from_bits(ip));
        }
        Served
    });
    // Discard the address that the listener has bound.
    sources.take();
    for _ in 0..CONNECTS_PER_SOURCE_ADDRESS {
        assert_eq!(round_trip(&mut engine, server, 1), Ok(()));
    }
    assert!(sources.take().is_empty());
    for _ in 0..2 {
        assert_eq!(round_trip(&mut engine, server, 1), Ok(()));
    }
    assert_eq!(sources.take(), [Ipv4Addr::new(127, 0, 0, 2); 2]);
}

/// The client reads end of file before any byte has come back.
#[test]
fn truncated_echo_gets_code_13() {
    let (client, over) = (Cell::new(usize::MAX), Cell::new(false));
    let (mut engine, server) = listening(move |call, args| match call {
        libc::SYS_connect => {
            client.set(args[0]);
            Served
        }
        libc::SYS_read if args[0] == client.get() && !over.replace(true) => Answered(0),
        _ => Served,
    });
    let truncated = Err(RoundTripError::Truncated {
        sent: 1000,
        expected: 1000,
        received: 0,
    });
    assert_eq!(round_trip(&mut engine, server, 1000), truncated);
    assert_eq!(round_trip(&mut engine, server, 1000), Ok(()));
}

/// The unsent bytes of all connections together are bounded. Bytes that a stop discards no longer
/// count.
#[test]
fn unsent_bytes_are_bounded() {
    const CLIENTS: usize = MAX_UNSENT_BYTES / READ_BUFFER_BYTES;
    // This process holds both ends of each connection, and of one more.
    let crowd = witness::crowd(2 * CLIENTS + 2, 100) / 2;
    let asked_for = Rc::new(Cell::new(0));
    let last_read = Rc::clone(&asked_for);
    // Every read of the server is full, and no client accepts a byte of its echo.
    let (mut engine, server) = listening(move |call, args| match call {
        libc::SYS_read => {
            last_read.set(args[2]);
            Answered(args[2])
        }
        libc::SYS_write => Failed(Errno::EAGAIN),
        _ => Served,
    });
    let serve_one_more = |engine: &mut Engine<Faulty>, server| {
        asked_for.set(0);
        let client = TcpStream::connect(server).expect("connect");
        while asked_for.get() == 0 {
            engine.turn(Some(TIMEOUT)).expect("a turn");
        }
        (client, asked_for.get())
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS.min(crowd) {
        let (client, read) = serve_one_more(&mut engine, server);
        assert_eq!(read, READ_BUFFER_BYTES);
        clients.push(client);
    }
    if crowd > CLIENTS {
        assert_eq!(serve_one_more(&mut engine, server).1, MIN_READ_BYTES);
    }
    engine.stop(Duration::ZERO);
    let server = engine.start(server).expect("the port is free");
    assert_eq!(
        serve_one_more(&mut engine, server).1,
        READ_BUFFER_BYTES,
        "after the stop"
    );
}

/// A connection that always has data gets a bounded number of reads in a turn.
#[test]
fn busy_connection_yields_after_bounded_reads() {
    let reads = Rc::new(Cell::new(0));
    let counter = Rc::clone(&reads);
    let (mut engine, server) = listening(move |call, args| match call {
        libc::SYS_read => {
            counter.set(counter.get() + 1);
            // Bounded, so that this test ends if the engine does not yield.
            match counter.get() {
                ..1000 => Answered(args[2]),
                _ => Failed(Errno::EAGAIN),
            }
        }
        libc::SYS_write => Answered(args[2]),
        _ => Served,
    });
    let mut talker = TcpStream::connect(server).expect("connect");
    talker.write_all(b"and so on").expect("write");
    while reads.get() == 0 {
        engine.turn(Some(TIMEOUT)).expect("a turn");
    }
    assert!(reads.get() <= 16, "{} reads in one turn", reads.get());
}

/// Returns a listening engine, its address, and the number of its `accept4` calls. `accept` chooses the
/// treatment of each `accept4`. The clock stands still, and every wait is short.
fn accepting(
    accept: impl Fn() -> Intercept + 'static,
) -> (Engine<Faulty>, SocketAddr, Rc<Cell<usize>>) {
    let tries = Rc::new(Cell::new(0));
    let counter = Rc::clone(&tries);
    let (engine, server) = listening(move |call, args| match call {
        libc::SYS_accept4 => {
            counter.set(counter.get() + 1);
            accept()
        }
        libc::SYS_epoll_pwait => {
            args[3] = 1;
            Served
        }
        libc::SYS_clock_gettime => answer_clock(Duration::ZERO, args),
        _ => Served,
    });
    (engine, server, tries)
}

/// An aborted connection is skipped. After many in a row, accept backs off to avoid a busy loop.
#[test]
fn accept_backs_off_after_repeated_errors() {
    let (mut engine, server, tries) = accepting(|| Failed(Errno::ECONNABORTED));
    let _client = TcpStream::connect(server).expect("connect");
    for _ in 0..100 {
        engine.turn(None).expect("a turn");
    }
    assert!((2..100).contains(&tries.get()), "{} tries", tries.get());
}

/// A freed descriptor is used at once, before the accept back-off has elapsed.
#[test]
fn accept_resumes_when_a_connection_closes() {
    let full = Rc::new(Cell::new(false));
    let is_full = Rc::clone(&full);
    let (mut engine, server, _) = accepting(move || match is_full.get() {
        true => Failed(Errno::EMFILE),
        false => Served,
    });
    let turns = |engine: &mut Engine<Faulty>| {
        for _ in 0..100 {
            engine.turn(None).expect("a turn");
        }
        engine.totals().connections
    };
    let first = TcpStream::connect(server).expect("connect");
    assert_eq!(turns(&mut engine), 1);
    full.set(true);
    let _second = TcpStream::connect(server).expect("connect");
    assert_eq!(turns(&mut engine), 1);
    full.set(false);
    assert_eq!(turns(&mut engine), 1, "accept still backs off");
    drop(first);
    assert_eq!(turns(&mut engine), 2);
}

/// A send does not fail because an earlier shortage started an accept back-off, even if the send's
/// own connection takes a moment to arrive.
#[test]
fn send_succeeds_during_accept_back_off() {
    let tries = Cell::new(0);
    let (mut engine, server) = listening(move |call, _| match call {
        libc::SYS_accept4 => {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 => Failed(Errno::EMFILE),
                2 => Failed(Errno::EAGAIN),
                _ => Served,
            }
        }
        _ => Served,
    });
    let _client = TcpStream::connect(server).expect("connect");
    engine.turn(Some(TIMEOUT)).expect("a turn");
    assert_eq!(round_trip(&mut engine, server, 10), Ok(()));
}

/// A stop accepts every queued connection, with one more `accept4` to find the queue empty.
#[test]
fn stop_accepts_queued_connections() {
    let (mut engine, server, tries) = accepting(|| Served);
    let _clients = [(); 3].map(|()| TcpStream::connect(server).expect("connect"));
    engine.stop(Duration::ZERO);
    assert_eq!((engine.totals().connections, tries.get()), (3, 4));
}

/// A failed start leaves no descriptor open, and the next one succeeds.
#[test]
fn failed_start_leaves_nothing_open() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for (call, name) in [
        (libc::SYS_setsockopt, "setsockopt"),
        (libc::SYS_bind, "bind"),
        (libc::SYS_listen, "listen"),
        (libc::SYS_getsockname, "getsockname"),
        (libc::SYS_epoll_ctl, "epoll_ctl"),
    ] {
        let kernel = Faulty(Rc::new(first(call, Failed(Errno::ENOMEM))));
        let mut engine = engine(kernel);
        assert_eq!(
            engine.start(address),
            Err(SyscallError::with_address(name, address, Errno::ENOMEM))
        );
        assert_eq!(engine.address(), None);
        let server = engine.start(address).expect("the next one works");
        assert_eq!(round_trip(&mut engine, server, 10), Ok(()));
    }
}

/// A permanently broken epoll set ends the loop with an error, so that the loop does not run forever.
/// The loop tolerates transient failures.
#[test]
fn lasting_epoll_errors_end_the_loop() {
    let broken = Rc::new(Cell::new(true));
    let is_broken = Rc::clone(&broken);
    let (mut engine, _) = listening(move |call, _| match call {
        libc::SYS_epoll_pwait if is_broken.get() => Failed(Errno::EBADF),
        libc::SYS_epoll_pwait => Answered(0),
        _ => Served,
    });
    let failures =
        |engine: &mut Engine<Faulty>| (0..100).find_map(|i| Some((i, engine.turn(None).err()?)));
    for _ in 0..100 {
        broken.set(true);
        assert!(engine.turn(None).is_ok(), "a single failure");
        broken.set(false);
        assert!(engine.turn(None).is_ok());
    }
    broken.set(true);
    let failure = SyscallError::new("epoll_pwait", Errno::EBADF);
    assert_eq!(failures(&mut engine), Some((15, failure)));
}

/// An engine that busy-polls for its one client, over a kernel whose clock advances by `step` at
/// each reading and where no wait takes time.
struct Lone {
    engine: Engine<Faulty>,
    client: TcpStream,
    /// The numbers of polls, and of waits that would have slept, since they were last read.
    waits: Rc<Cell<(u32, u32)>>,
}

impl Lone {
    fn new(step: Duration) -> Lone {
        let waits = Rc::new(Cell::new((0, 0)));
        let (seen, now) = (Rc::clone(&waits), Cell::new(Duration::ZERO));
        let steps = Rc::new(Cell::new(Duration::from_millis(1)));
        let step_now = Rc::clone(&steps);
        let intercept = move |call, args: &mut [usize]| match call {
            libc::SYS_epoll_pwait => {
                let (polls, sleeps) = seen.get();
                seen.set(match args[3] {
                    0 => (polls + 1, sleeps),
                    _ => (polls, sleeps + 1),
                });
                args[3] = 0;
                Served
            }
            libc::SYS_clock_gettime => {
                now.set(now.get() + step_now.get());
                answer_clock(now.get(), args)
            }
            _ => Served,
        };
        let kernel = Faulty(Rc::new(intercept));
        let polling = Polling::new(Duration::from_micros(60));
        let mut engine = Engine::new(kernel, polling).expect("an epoll set");
        let server = engine
            .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port");
        let client = TcpStream::connect(server).expect("connect");
        let mut lone = Lone {
            engine,
            client,
            waits,
        };
        // Long enough for a trial, which polling wins because an event is always ready.
        for _ in 0..200 {
            lone.client.write_all(b"x").expect("write");
            lone.turn(None);
        }
        steps.set(step);
        lone
    }

    /// Runs one turn. Returns how often it polled, and how often it would have slept.
    fn turn(&mut self, timeout: Option<Duration>) -> (u32, u32) {
        self.waits.take();
        self.engine.turn(timeout).expect("a turn");
        self.waits.get()
    }
}

/// The number of polls between two readings of the clock. One more poll precedes the first reading.
const ROUND: u32 = 8;

#[test]
fn loop_polls_before_it_sleeps() {
    const STEP: Duration = Duration::from_micros(8);
    let mut lone = Lone::new(STEP);
    assert_eq!(lone.turn(None), (1 + 8 * ROUND, 1), "for 60 µs");
    for _ in 1..16 {
        assert_eq!(lone.turn(None), (1 + 8 * ROUND, 1));
    }
    assert_eq!(
        lone.turn(None),
        (0, 1),
        "after 16 turns that polled in vain"
    );
    let mut lone = Lone::new(STEP);
    lone.client.write_all(b"x").expect("write");
    assert_eq!(lone.turn(None), (1, 0), "the first poll finds an event");
    let limit = Duration::from_micros(40);
    let mut lone = Lone::new(STEP);
    let polled = lone.turn(Some(limit));
    assert_eq!(polled, (1 + 5 * ROUND, 1), "for at most the turn's timeout");
    let mut lone = Lone::new(STEP);
    assert_eq!(lone.turn(Some(Duration::ZERO)), (1, 0), "a timeout of 0");
    assert_eq!(
        lone.turn(None),
        (1 + 8 * ROUND, 1),
        "the last turn did not count"
    );
}
