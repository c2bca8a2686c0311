//! Tests the tables of [`syscalls::signal`]: which interrupted calls the kernel restarts after a handler with
//! `SA_RESTART`, and which fail with `EINTR` after any handler.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, mem, process, ptr, thread};

use syscalls::addr::{AF_INET, AF_UNIX, Sockaddr};
use syscalls::epoll::{EPOLL_CLOEXEC, Epoll, EpollEvent};
use syscalls::io::{IoSlice, IoSliceMut, O_RDONLY, O_WRONLY, openat};
use syscalls::message::{RecvMessage, SendMessage};
use syscalls::poll::{POLLIN, PollFd, ppoll};
use syscalls::process::exit_group;
use syscalls::socket::{MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_STREAM};
use syscalls::{Errno, Linux, Socket, retry_on_eintr};

/// The signal whose handler has `SA_RESTART`.
const RESTARTING: i32 = libc::SIGUSR1;
/// The signal whose handler does not have `SA_RESTART`.
const PLAIN: i32 = libc::SIGUSR2;

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

fn install_handlers() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for (signal, flags) in [(RESTARTING, libc::SA_RESTART), (PLAIN, 0)] {
            // SAFETY: all zero bits are a valid action, and the handler only counts.
            unsafe {
                let mut action: libc::sigaction = mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = flags;
                assert_eq!(
                    libc::sigaction(signal, &raw const action, ptr::null_mut()),
                    0
                );
            }
        }
    });
}

/// The number of signals that a restarted call must survive.
const SIGNALS: usize = 20;

/// Waits until a thread sleeps in a call or has ended. `stat` is the path of its `/proc/…/stat` file, in
/// which the state follows the name in parentheses (proc_pid_stat(5)).
fn wait_until_asleep(stat: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Ok(text) = fs::read_to_string(stat) {
        let (_, fields) = text.rsplit_once(") ").expect("a name in parentheses");
        if fields.starts_with('S') {
            return;
        }
        assert!(Instant::now() < deadline, "not asleep: {text}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sends `signal` up to [`SIGNALS`] times to a thread that waits in `call`. If the thread still waits then,
/// ends its wait by `release`. Returns the result of `call`.
fn interrupt<T: Send>(
    signal: i32,
    call: impl FnOnce() -> Result<T, Errno> + Send,
    release: impl FnOnce(),
) -> Result<T, Errno> {
    install_handlers();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            // SAFETY: no memory is passed.
            sender.send(unsafe { libc::gettid() }).unwrap();
            call()
        });
        let id = receiver.recv().unwrap();
        let state = format!("/proc/self/task/{id}/stat");
        for _ in 0..SIGNALS {
            wait_until_asleep(&state);
            if waiting.is_finished() {
                break;
            }
            let before = HANDLED.load(Ordering::Relaxed);
            // SAFETY: no memory is passed. If the thread has ended, the call fails.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, signal) };
            if sent != 0 {
                break;
            }
            while HANDLED.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
            // The handler has started. Give it time to return, and the call time to return or restart.
            thread::sleep(Duration::from_millis(1));
        }
        if !waiting.is_finished() {
            release();
        }
        waiting.join().unwrap()
    })
}

/// Asserts that the call that `make` prepares is restarted after a handler with `SA_RESTART`, and fails after
/// one without it. `make` returns the call, and a function that ends its wait.
fn restarts<T, C, R>(make: impl Fn() -> (C, R))
where
    T: Send + PartialEq + std::fmt::Debug,
    C: FnOnce() -> Result<T, Errno> + Send,
    R: FnOnce(),
{
    let (call, release) = make();
    let outcome = interrupt(RESTARTING, call, release);
    assert!(outcome.is_ok(), "with SA_RESTART: {outcome:?}");
    let (call, release) = make();
    assert_eq!(
        interrupt(PLAIN, call, release),
        Err(Errno::EINTR),
        "without SA_RESTART"
    );
}

fn unix() -> [Socket<Linux>; 2] {
    let (a, b) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    [a, b]
}

/// Receives all available bytes, so that there is space again.
fn drain(socket: &Socket<Linux>) {
    while socket.recvfrom(&mut [0; 1024], MSG_DONTWAIT).is_ok() {}
}

/// Returns a listener and its address.
fn listener(backlog: i32) -> (Socket<Linux>, Sockaddr) {
    let listener = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
    listener.bind(&any_port).unwrap();
    listener.listen(backlog).unwrap();
    let addr = listener.getsockname().unwrap();
    (listener, addr)
}

/// Waits until a connection is in the listener's queue: `connect` may return before it is queued.
fn wait_until_queued(listener: &Socket<Linux>) {
    let mut fds = [PollFd::new(listener, POLLIN)];
    assert_eq!(ppoll(&Linux, &mut fds, None), Ok(1));
}

fn client() -> Socket<Linux> {
    Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap()
}

#[test]
fn interrupted_reads_are_restarted() {
    let [ours, theirs] = &unix();
    let release = || assert_eq!(theirs.write(b"x"), Ok(1));
    restarts(|| (|| ours.read(&mut [0; 1]), release));
    restarts(|| (|| ours.readv(&mut [IoSliceMut::new(&mut [0; 1])]), release));
    restarts(|| {
        (
            || ours.recvfrom(&mut [0; 1], 0).map(|(count, _from)| count),
            release,
        )
    });
    restarts(|| {
        let call = || {
            let mut buf = [0; 1];
            let mut part = [IoSliceMut::new(&mut buf)];
            ours.recvmsg(&mut RecvMessage::new(&mut part), 0)
        };
        (call, release)
    });
    // According to signal(7), the timeout argument of `recvmmsg` prevents the restart. In fact it does not.
    for timeout in [None, Some(Duration::from_secs(60))] {
        restarts(|| {
            let call = move || {
                let mut buf = [0; 1];
                let mut part = [IoSliceMut::new(&mut buf)];
                ours.recvmmsg(&mut [RecvMessage::new(&mut part)], 0, timeout)
            };
            (call, release)
        });
    }
}

#[test]
fn interrupted_writes_are_restarted() {
    let [ours, theirs] = &unix();
    let release = || drain(theirs);
    // Send until there is no space left.
    let fill = || while ours.sendto(&[0; 1024], MSG_DONTWAIT, None).is_ok() {};
    macro_rules! restarts_when_full {
        ($call:expr) => {
            restarts(|| {
                fill();
                ($call, release)
            })
        };
    }
    restarts_when_full!(|| ours.write(b"x"));
    restarts_when_full!(|| ours.writev(&[IoSlice::new(b"x")]));
    restarts_when_full!(|| ours.sendto(b"x", 0, None));
    restarts_when_full!(|| ours.sendmsg(&SendMessage::new(&[IoSlice::new(b"x")], None), 0));
    restarts_when_full!(|| {
        let part = [IoSlice::new(b"x")];
        ours.sendmmsg(&mut [SendMessage::new(&part, None)], 0)
    });
}

#[test]
fn interrupted_accept_and_connect_are_restarted() {
    let (listening, addr) = &listener(16);
    let release = || client().connect(addr).unwrap();
    restarts(|| {
        (
            || {
                listening
                    .accept()
                    .map(|(socket, _peer)| socket.as_raw() >= 0)
            },
            release,
        )
    });
    restarts(|| {
        (
            || {
                listening
                    .accept4(0)
                    .map(|(socket, _peer)| socket.as_raw() >= 0)
            },
            release,
        )
    });

    restarts(|| {
        // A connection that is not accepted fills the queue, so the next connect waits.
        let (listening, addr) = listener(0);
        let first = client();
        first.connect(&addr).unwrap();
        wait_until_queued(&listening);
        let call = move || {
            let _first = first;
            client().connect(&addr)
        };
        (call, move || {
            listening.accept().unwrap();
            mem::forget(listening);
        })
    });
}

#[test]
fn connect_after_eintr_waits_for_the_same_attempt_on_tcp_and_starts_another_on_unix() {
    // A connection that is not accepted fills the queue, so the next connect waits.
    let (listening, addr) = listener(0);
    client().connect(&addr).unwrap();
    wait_until_queued(&listening);
    let second = &client();
    let interrupted = interrupt(PLAIN, || second.connect(&addr), || ());
    assert_eq!(interrupted, Err(Errno::EINTR));
    let port = second.getsockname().unwrap();
    listening.accept().unwrap();
    assert_eq!(second.connect(&addr), Ok(()));
    let (_, peer) = listening.accept().unwrap();
    assert_eq!(peer.to_ip(), port.to_ip(), "from the same port");

    let unix = || Socket::new(Linux, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    let listening = unix();
    // This address is only a family, so the kernel picks an abstract name (unix(7), "Autobind feature").
    listening.bind(&listening.getsockname().unwrap()).unwrap();
    listening.listen(0).unwrap();
    let addr = listening.getsockname().unwrap();
    let [first, second] = &[unix(), unix()];
    first.connect(&addr).unwrap();
    let interrupted = interrupt(PLAIN, || second.connect(&addr), || ());
    assert_eq!(interrupted, Err(Errno::EINTR));
    listening.accept().unwrap();
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(listening.as_raw(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(
        listening.accept().err(),
        Some(Errno::EAGAIN),
        "EINTR ended the attempt"
    );
    assert_eq!(second.connect(&addr), Ok(()));
    listening.accept().unwrap();
}

#[test]
fn interrupted_open_of_a_fifo_is_restarted() {
    let dir = env::temp_dir();
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("syscalls-restarts-{}", process::id()));
    let path = &CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    restarts(|| {
        let call = || openat(Linux, path, O_RDONLY, 0).map(|fd| fd.as_raw() >= 0);
        (call, || drop(openat(Linux, path, O_WRONLY, 0).unwrap()))
    });
    fs::remove_file(path.to_str().unwrap()).unwrap();
}

#[test]
fn epoll_pwait_and_ppoll_are_not_restarted_after_a_handler() {
    let set = &Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    for signal in [RESTARTING, PLAIN] {
        let long = Some(Duration::from_secs(60));
        let epoll = interrupt(
            signal,
            || set.wait(&mut [EpollEvent::default()], 60_000),
            || (),
        );
        assert_eq!(epoll, Err(Errno::EINTR));
        let poll = interrupt(signal, || ppoll(&Linux, &mut [], long), || ());
        assert_eq!(poll, Err(Errno::EINTR));
        let poll = interrupt(signal, || ppoll(&Linux, &mut [], None), || ());
        assert_eq!(poll, Err(Errno::EINTR));
    }
}

#[test]
fn retry_on_eintr_issues_the_call_again() {
    let [ours, theirs] = &unix();
    let release = || assert_eq!(theirs.write(b"x"), Ok(1));
    let outcome = interrupt(PLAIN, || retry_on_eintr(|| ours.read(&mut [0; 1])), release);
    assert_eq!(outcome, Ok(1));
}

/// Stops and continues a child that waits in `call` and has no handler. Returns whether the call then waited
/// for the rest of its timeout and returned 0. (If not, it failed with `EINTR`.)
fn continues_after_a_stop(call: impl FnOnce() -> Result<usize, Errno>) -> bool {
    // SAFETY: the child only makes system calls and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        exit_group(
            &Linux,
            match call() {
                Ok(0) => 0,
                Err(Errno::EINTR) => 1,
                _ => 2,
            },
        );
    }
    wait_until_asleep(&format!("/proc/{child}/stat"));
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    unsafe {
        libc::kill(child, libc::SIGSTOP);
        assert_eq!(
            libc::waitpid(child, &raw mut status, libc::WUNTRACED),
            child
        );
        assert!(libc::WIFSTOPPED(status));
        libc::kill(child, libc::SIGCONT);
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => true,
        (true, 1) => false,
        _ => panic!("the child ended with {status:#x}"),
    }
}

#[test]
fn stop_without_a_handler_interrupts_epoll_pwait_but_not_ppoll() {
    let set = &Epoll::new(Linux, EPOLL_CLOEXEC).unwrap();
    assert!(!continues_after_a_stop(
        || set.wait(&mut [EpollEvent::default()], 60_000)
    ));
    assert!(continues_after_a_stop(|| ppoll(
        &Linux,
        &mut [],
        Some(Duration::from_secs(2))
    )));
}
