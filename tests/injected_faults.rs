//! Every call of the program fails in every way that its manual page lists. `strace -e inject` injects the
//! failures into the real program, while it handles a fixed sequence of requests and outside clients, the
//! session.
//!
//! | when the call fails | what must hold |
//! |---|---|
//! | once (the first call, and one in the middle) | at most one request or one client fails, the reply names the error, and the next try succeeds; interruptions and spurious events have no visible effect |
//! | every third time | each reply is correct, or an error of the right kind |
//! | always | the same, or the node exits with an error and its reason |
//!
//! The node never hangs or panics, and it makes at most [`MAX_CALLS`] calls.
//!
//! strace skips a call that it makes fail. A failed `close` therefore leaves its descriptor open, which Linux
//! never does. The peer gets no end of file, and waits until the node gives up on the connection.

mod common;
#[path = "common/strace.rs"]
mod strace;

use std::collections::BTreeMap;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::{Finished, Node, TIMEOUT};
use serde_json::{Value, json};
use strace::Trace;
use syscalls::CALLS;

/// The calls that the session makes, with the errors of their manual pages. `ip(7)` and `tcp(7)` add
/// errors for socket calls, and `accept(2)` adds pending network errors. A seccomp filter may refuse any
/// call with `EPERM` or `ENOSYS`. 0 is not an error but a result: end of file, no event, or no byte written.
#[rustfmt::skip]
const FAULTS: &[(&str, &str)] = &[
    ("rt_sigaction", "EFAULT EINVAL EPERM ENOSYS"),
    ("prlimit64", "EFAULT EINVAL EPERM ESRCH ENOSYS"),
    ("clock_gettime", "EACCES EFAULT EINVAL ENODEV EOPNOTSUPP EPERM ENOSYS"),
    ("epoll_create1", "EINVAL EMFILE ENFILE ENOMEM EPERM ENOSYS"),
    ("epoll_ctl", "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM ENOSYS"),
    ("epoll_pwait", "0 EBADF EFAULT EINTR EINVAL EPERM ENOSYS"),
    ("ppoll", "0 EFAULT EINTR EINVAL ENOMEM EPERM ENOSYS"),
    ("read", "0 EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ECONNRESET ETIMEDOUT ENOMEM EPERM ENOSYS"),
    ("write", "0 EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE \
               ECONNRESET ENOBUFS ENOMEM ENOSYS"),
    ("close", "EBADF EINTR EIO ENOSPC EDQUOT EPERM ENOSYS"),
    ("socket", "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT EPERM ENOSYS"),
    ("setsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK ENOMEM EPERM ENOSYS"),
    ("bind", "EACCES EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM \
              ENOTDIR ENOTSOCK EROFS EPERM ENOSYS"),
    ("listen", "EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP EPERM ENOSYS"),
    ("getsockname", "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK EPERM ENOSYS"),
    ("getsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK EPERM ENOSYS"),
    ("accept4", "EAGAIN EBADF ECONNABORTED EFAULT EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM ENOTSOCK \
                 EOPNOTSUPP EPERM EPROTO ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT ETIMEDOUT ENETDOWN \
                 ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH ENETUNREACH ENOSYS"),
    ("connect", "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED \
                 EFAULT EINPROGRESS EINTR EISCONN ENETUNREACH ENOTSOCK EPERM EPROTOTYPE ETIMEDOUT ENOSYS"),
    ("shutdown", "EBADF EINVAL ENOTCONN ENOTSOCK EPERM ENOSYS"),
];

/// Calls that the program cannot start without.
const NEEDED: &[&str] = &["epoll_create1"];

/// Calls that Rust's runtime and the C library make, for memory, the signal stack and the exit. The program
/// cannot handle their errors.
const RUNTIME: &[&str] = &[
    "brk",
    "mmap",
    "mremap",
    "munmap",
    "madvise",
    "sigaltstack",
    "exit_group",
];

/// Results that make the program repeat the call. They must have no visible effect.
const UNNOTICED: &[(&str, &str)] = &[
    ("epoll_pwait", "0"),
    ("epoll_pwait", "EINTR"),
    ("ppoll", "0"),
    ("ppoll", "EINTR"),
    ("read", "EINTR"),
    ("read", "EAGAIN"),
    ("write", "0"),
    ("write", "EINTR"),
    ("write", "EAGAIN"),
    ("accept4", "EINTR"),
    ("accept4", "EAGAIN"),
];

/// The most calls of one run, whatever fails. A run without a fault makes about 200 calls. A node in a busy
/// loop makes more than the limit in a second.
const MAX_CALLS: usize = 5_000;

/// The number of concurrent runs. A run waits most of the time.
const CONCURRENT_RUNS: usize = 8;

/// The bytes of the large message, which take the server several reads.
const LARGE: usize = 256 << 10;

/// The calls that the session makes only after another fault, each with that fault.
const PROVOKED: &[(&str, &str)] = &[
    // The node's connection is not accepted at once, so the node reads its SO_ERROR.
    ("getsockopt", "accept4:error=EAGAIN:when=1"),
];

/// The timeout of an outside client that may get no answer.
const SHORT_TIMEOUT: Duration = Duration::from_millis(500);

/// The timeout where a failed `close` leaves the connection of one client open: more than the time after
/// which the node gives up on a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);

/// When a run's call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Only the n-th call of the program fails, counted from 1.
    Once(usize),
    EveryThird,
    Always,
}

/// The fault of one run: the call that fails, its result, and when.
#[derive(Clone, Copy, Debug)]
struct Cell {
    call: &'static str,
    fault: &'static str,
    when: When,
}

/// The outcome of a run.
#[derive(Debug, Default)]
struct Outcome {
    /// The error replies.
    errors: Vec<Value>,
    /// Outside clients that were not served.
    broken: usize,
    /// The node's exit status and output.
    end: Option<Finished>,
}

fn node_answers_or_gives_a_reason_when_calls_fail() {
    check_cells(|call, fault, times| {
        let mut when = vec![When::Once(1)];
        if times > 1 {
            when.push(When::Once(times / 2 + 1));
        }
        // After each failed `close`, a run waits seconds until the node gives up on the connection.
        if call == "close" {
            return when;
        }
        when.push(When::EveryThird);
        // A call that always returned one of these would make no progress. No kernel does that.
        if !UNNOTICED.contains(&(call, fault)) {
            when.push(When::Always);
        }
        when
    });
}

fn node_answers_or_gives_a_reason_when_any_single_call_fails() {
    check_cells(|_, _, times| (1..=times).map(When::Once).collect());
}

/// Runs the session once for each fault, and checks the outcomes. `when` chooses the calls that fail, from
/// the call's name, the result and the number of such calls in the session.
fn check_cells(when: fn(&str, &str, usize) -> Vec<When>) {
    let reference = reference();
    let mut cells = Vec::new();
    for &(call, errnos) in FAULTS {
        // A provoked call is made once.
        let times = reference.calls.get(call).copied().unwrap_or(1);
        for fault in errnos.split_whitespace() {
            let cell = |when| Cell { call, fault, when };
            cells.extend(when(call, fault, times).into_iter().map(cell));
        }
    }
    check_all(&cells, &reference);
}

/// The numbers of calls in a run without a fault.
struct Reference {
    /// The calls that the loader and Rust's runtime make before the program's first one.
    skipped: BTreeMap<String, usize>,
    /// The program's own calls.
    calls: BTreeMap<String, usize>,
}

/// The number of runs without a fault. Some calls depend on timing, so the lowest count of these runs is
/// used. Nearly every run with a fault then makes the call that is to fail.
const REFERENCES: usize = 5;

fn reference() -> Reference {
    let mut all = (0..REFERENCES).map(|_| one_reference());
    let mut lowest = all.next().expect("REFERENCES is not 0");
    for Reference { calls, .. } in all {
        for (call, count) in calls {
            let known = lowest.calls.entry(call).or_insert(count);
            *known = count.min(*known);
        }
    }
    lowest
}

fn one_reference() -> Reference {
    let (outcome, trace) = run(None);
    assert_eq!(outcome.errors, Vec::<Value>::new());
    assert_eq!(outcome.broken, 0);
    let (before, own) = trace.split();
    let count = |calls: &[String]| {
        let mut counts = BTreeMap::new();
        for call in calls {
            *counts.entry(call.clone()).or_insert(0) += 1;
        }
        counts
    };
    let reference = Reference {
        skipped: count(&before),
        calls: count(&own),
    };
    let mut seen: Vec<&str> = reference.calls.keys().map(|call| call.as_str()).collect();
    seen.retain(|call| !RUNTIME.contains(call));
    seen.extend(PROVOKED.iter().map(|(call, _)| *call));
    seen.sort_unstable();
    // The session may also make a provoked call without that fault.
    seen.dedup();
    let mut listed: Vec<&str> = FAULTS.iter().map(|(call, _)| *call).collect();
    listed.sort_unstable();
    assert_eq!(
        seen, listed,
        "the calls of the session, and those of FAULTS"
    );
    reference
}

/// The calls that `serve` makes at its start, with a worker thread, and their errors.
#[rustfmt::skip]
const START_FAULTS: &[(&str, &str)] = &[
    ("rt_sigprocmask", "EFAULT EINVAL EPERM ENOSYS"),
    ("signalfd4", "EBADF EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM ENOSYS"),
    ("eventfd2", "EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM ENOSYS"),
    ("epoll_create1", "EINVAL EMFILE ENFILE ENOMEM EPERM ENOSYS"),
    ("clone,clone3", "EAGAIN ENOMEM EPERM"),
    // Not EPERM, by which `epoll_ctl` reports that a file does not support epoll and so is always ready.
    ("epoll_ctl", "EBADF EINVAL ENOMEM ENOSPC ENOSYS"),
    ("socket", "EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM EPERM ENOSYS"),
    ("setsockopt", "EINVAL ENOPROTOOPT ENOMEM EPERM ENOSYS"),
    ("bind", "EACCES EADDRINUSE EADDRNOTAVAIL EPERM ENOSYS"),
    ("listen", "EADDRINUSE EOPNOTSUPP EPERM ENOSYS"),
    ("getsockname", "EINVAL ENOBUFS EPERM ENOSYS"),
];

fn serve_gives_a_reason_when_it_cannot_start() {
    for &(call, errnos) in START_FAULTS {
        for errno in errnos.split_whitespace() {
            // musl makes one call of this name before the program starts.
            let first = match call {
                "rt_sigprocmask" if cfg!(target_env = "musl") => 2,
                _ => 1,
            };
            let inject = format!("{call}:error={errno}:when={first}");
            let args = ["serve", "--port", "0", "--workers", "2"];
            let (node, trace) = strace::start(&args, &[&inject]);
            let Finished {
                status,
                stdout,
                stderr,
            } = node.finish();
            let injected = trace.read().injected;
            assert!(!injected.is_empty(), "{inject}: {stderr}");
            assert_eq!(status.code(), Some(1), "{inject}: {stderr}");
            assert_eq!(stdout, "", "{inject}");
            // glibc's pthread_create reports ENOMEM as EAGAIN. musl's reports every error as EAGAIN.
            let named = match (call, errno) {
                ("clone,clone3", "EPERM") if cfg!(target_env = "gnu") => "clone: EPERM",
                ("clone,clone3", _) => "clone: EAGAIN",
                _ => errno,
            };
            assert!(stderr.contains(named), "{inject}: {stderr}");
            let (_, hint) = stderr.split_once("; ").expect("a hint");
            assert_ne!(hint.trim(), "", "{inject}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{inject}: {stderr}");
        }
    }
}

/// Which calls of `serve` are refused: the first one, the second and all later ones, or all.
const REFUSED_WHEN: [fn(usize) -> String; 3] = [
    |skipped| format!("{}", skipped + 1),
    |skipped| format!("{}+", skipped + 2),
    |skipped| format!("{}+", skipped + 1),
];

fn serve_continues_or_gives_a_reason_when_a_call_is_refused() {
    let (end, trace) = serve_one_client(&[]);
    assert!(end.status.success(), "{end:?}");
    let (before, own) = trace.split();
    let made = CALLS.iter().map(|call| call.name);
    let made = made.filter(|name| *name != "exit_group" && own.iter().any(|own| own == name));
    let mut cells = Vec::new();
    for call in made {
        let skipped = before.iter().filter(|before| *before == call).count();
        // The C library makes the later calls of this name, and ignores their results.
        let count = if call == "rt_sigprocmask" {
            1
        } else {
            REFUSED_WHEN.len()
        };
        for when in &REFUSED_WHEN[..count] {
            let cell = |errno| format!("{call}:error={errno}:when={}", when(skipped));
            cells.extend(["EPERM", "ENOSYS"].map(|errno| (call, cell(errno))));
        }
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CONCURRENT_RUNS {
            scope.spawn(|| {
                while let Some((call, inject)) = cells.get(next.fetch_add(1, Relaxed)) {
                    let (end, trace) = serve_one_client(&[inject]);
                    // If another thread's call interrupts the line of a call, the resumed part does not name
                    // the descriptor.
                    let to_stderr = ["write(2, ", "<... write resumed>"];
                    let stderr_failed = (trace.injected.iter())
                        .any(|line| to_stderr.iter().any(|start| line.starts_with(start)));
                    match end.status.code() {
                        Some(0) => {}
                        Some(1) if stderr_failed || end.stderr.contains(call) => {}
                        _ => panic!("{inject}: {end:?}\n{}", trace.injected.join("\n")),
                    }
                }
            });
        }
    });
}

/// Runs `serve` with a worker, echoes with one client, and stops it with a signal.
fn serve_one_client(injects: &[&str]) -> (Finished, Trace) {
    let args = ["serve", "--port", "0", "--workers", "2"];
    let (mut node, trace) = strace::start(&args, injects);
    let mut line = String::new();
    let stdout = node.stdout.as_mut().expect("a pipe");
    stdout.read_line(&mut line).expect("UTF-8");
    if let Ok(status) = serde_json::from_str::<Value>(&line) {
        let port = status["port"].as_u64().expect("a port") as u16;
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        if let Ok(client) = TcpStream::connect_timeout(&server, TIMEOUT) {
            client
                .set_read_timeout(Some(SHORT_TIMEOUT))
                .expect("a timeout");
            let Exchange { sent, received, .. } = quick_client(client);
            assert!(sent.starts_with(&received), "the echo differs");
        }
        node.signal(libc::SIGTERM);
    }
    (node.finish(), trace.read())
}

/// Runs all cells and checks them.
fn check_all(cells: &[Cell], reference: &Reference) {
    let (next, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CONCURRENT_RUNS {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Relaxed)) {
                    let skipped = reference.skipped.get(cell.call).copied().unwrap_or(0);
                    let (outcome, trace) = run(Some((cell, skipped)));
                    if trace.injected.is_empty() {
                        // With other timing, the session made fewer of these calls.
                        missed.fetch_add(1, Relaxed);
                    }
                    if let Err(reason) = check(cell, &outcome, &trace) {
                        let injected = trace.injected.join("\n");
                        let text = format!("{cell:?}: {reason}\n{injected}\n{outcome:?}");
                        wrong.lock().expect("no panic").push(text);
                    }
                }
            });
        }
    });
    let (missed, wrong) = (missed.into_inner(), wrong.into_inner().expect("no panic"));
    println!("{} cells, {missed} of them without a fault", cells.len());
    assert!(
        wrong.is_empty(),
        "{} cells failed:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(
        missed * 10 <= cells.len(),
        "{missed} of {} cells had no fault",
        cells.len()
    );
}

/// Runs the session, with the fault of `cell` if there is one. The number beside the cell is the count of
/// such calls before the program's own.
fn run(cell: Option<(&Cell, usize)>) -> (Outcome, Trace) {
    let inject = cell.map(|(Cell { call, fault, when }, skipped)| {
        let first = skipped + 1;
        let when = match when {
            When::Once(n) => format!("{}", skipped + n),
            When::EveryThird => format!("{first}+3"),
            When::Always => format!("{first}+"),
        };
        let result = if *fault == "0" { "retval" } else { "error" };
        format!("{call}:{result}={fault}:when={when}")
    });
    let provoked = PROVOKED
        .iter()
        .filter(|(call, _)| cell.is_some_and(|(cell, _)| cell.call == *call));
    let injects: Vec<&str> = provoked
        .map(|(_, inject)| *inject)
        .chain(inject.as_deref())
        .collect();
    let (node, trace) = strace::start(&[], &injects);
    let once = cell.is_none_or(|(cell, _)| matches!(cell.when, When::Once(_)));
    let ends = cell.is_none_or(|(cell, _)| cell.call != "close");
    // These results have no visible effect, so every client gets its answer.
    let unnoticed = cell.is_some_and(|(cell, _)| UNNOTICED.contains(&(cell.call, cell.fault)));
    let mut session = Session {
        node,
        tries: if once { 2 } else { 1 },
        // A client that is never accepted, or whose connection is never closed, gets no answer.
        timeout: match (once || unnoticed, ends) {
            (true, true) => TIMEOUT,
            (true, false) => CLOSE_TIMEOUT,
            (false, _) => SHORT_TIMEOUT,
        },
        next_id: 1,
        outcome: Outcome::default(),
    };
    let _ = session.all();
    let Session {
        node, mut outcome, ..
    } = session;
    let end = node.finish();
    assert!(!end.stderr.contains("strace:"), "{}", end.stderr);
    outcome.end = Some(end);
    (outcome, trace.read())
}

/// Checks that `outcome` is allowed after the fault of `cell`.
fn check(cell: &Cell, outcome: &Outcome, trace: &Trace) -> Result<(), String> {
    let &Cell { call, fault, when } = cell;
    let end = outcome.end.as_ref().expect("the node has exited");
    if end.stderr.contains("panicked") {
        return Err("a panic".into());
    }
    // A descriptor whose `close` strace has skipped stays in the epoll set, which reports it at each wait.
    let counts = |name: &&String| call != "close" || *name != "epoll_pwait";
    let calls = trace.calls.iter().filter(counts).count();
    if calls > MAX_CALLS {
        return Err(format!("{calls} calls"));
    }
    let injected_into = |start: &str| trace.injected.iter().any(|line| line.starts_with(start));
    let output_closed = call == "write" && fault == "EPIPE" && injected_into("write(1, ");
    let may_end = output_closed || NEEDED.contains(&call) || when == When::Always;
    // The node cannot report a failed write to standard error.
    let says_why = end.stderr.contains(fault) || injected_into("write(2, ");
    match end.status.code() {
        Some(0) => {}
        Some(1) if may_end && says_why => {}
        _ => return Err("wrong exit code, or no reason on standard error".into()),
    }
    for error in &outcome.errors {
        check_error(error, fault).map_err(|reason| format!("{reason}: {error}"))?;
    }
    // At end of input the node exits, so no later request or client is answered.
    let ended = call == "read" && fault == "0" && injected_into("read(0, ");
    if ended {
        return Ok(());
    }
    let failures = outcome.errors.len() + outcome.broken;
    if UNNOTICED.contains(&(call, fault)) && when != When::Always && failures > 0 {
        return Err("the fault has a visible effect".into());
    }
    if matches!(when, When::Once(_)) && failures > 1 {
        return Err("more than one request or client failed".into());
    }
    Ok(())
}

/// Checks that `error` is an allowed reply when a call fails with `fault`.
fn check_error(error: &Value, fault: &str) -> Result<(), &'static str> {
    let text = error["text"].as_str().ok_or("no text")?;
    let named = fault != "0" && text.contains(fault);
    match error["code"].as_u64() {
        // No byte was sent, or the failure is permanent.
        Some(11 | 14) if named => Ok(()),
        Some(11) if text.contains("ETIMEDOUT") || text.contains("ended after 0 of") => Ok(()),
        // The connection broke at the client's end, or at the server's end, which the client sees as an
        // early end of file.
        Some(13) if named || text.contains("ended after") || text.contains("ECONNRESET") => Ok(()),
        // One side did not see the end of the stream.
        Some(0) => Ok(()),
        // The start had failed.
        Some(22) if text.contains("tcp_echo_start first") => Ok(()),
        _ => Err("wrong error reply"),
    }
}

/// The session of a run: all requests and outside clients.
struct Session {
    node: Node,
    /// The number of tries for each request and client.
    tries: usize,
    /// The read timeout of an outside client.
    timeout: Duration,
    next_id: u64,
    outcome: Outcome,
}

impl Session {
    /// Runs the whole session. Returns `None` if the node exits before the session ends.
    fn all(&mut self) -> Option<()> {
        self.ask(&json!({"type": "init", "node_id": "n1", "node_ids": ["n1"]}))?;
        self.listen_and_talk(&"x".repeat(LARGE), late_reader)?;
        self.ask(&json!({"type": "tcp_echo_stats"}))?;
        self.ask(&json!({"type": "tcp_echo_stop"}))?;
        // A second server in the same node works like the first.
        self.listen_and_talk("", quick_client)
    }

    fn listen_and_talk(&mut self, data: &str, outside: fn(TcpStream) -> Exchange) -> Option<()> {
        let started = self.ask(&json!({"type": "tcp_echo_start", "port": 0}))?;
        for data in ["hello", data] {
            let reply = self.ask(&json!({"type": "tcp_echo_send", "data": data}))?;
            if reply["type"] != "error" {
                assert!(reply["echoed"] == data, "the echo differs");
                assert_eq!(reply["bytes"], data.len());
            }
        }
        let value = json!({"echo": [1, "x"]});
        let reply = self.ask(&json!({"type": "echo", "echo": value}))?;
        if reply["type"] != "error" {
            assert_eq!(reply["echo"], value);
        }
        if let Some(port) = started["port"].as_u64() {
            let server = SocketAddr::from(([127, 0, 0, 1], port as u16));
            self.outside_client(server, outside);
        }
        Some(())
    }

    /// Sends a request until its reply is not an error, at most `tries` times. Returns the last reply, or
    /// `None` if the node has exited.
    fn ask(&mut self, body: &Value) -> Option<Value> {
        let mut reply = None;
        for _ in 0..self.tries {
            let mut body = body.clone();
            body["msg_id"] = json!(self.next_id);
            self.next_id += 1;
            let mut request = json!({"src": "c1", "dest": "n1", "body": body}).to_string();
            request.push('\n');
            let stdin = self.node.stdin.as_mut().expect("a pipe");
            stdin.write_all(request.as_bytes()).ok()?;
            let mut line = String::new();
            let stdout = self.node.stdout.as_mut().expect("a pipe");
            stdout.read_line(&mut line).expect("UTF-8");
            if !line.ends_with('\n') {
                return None;
            }
            let mut answer: Value = serde_json::from_str(&line).expect("JSON");
            let answer = answer["body"].take();
            assert_eq!(answer["in_reply_to"], body["msg_id"], "{answer}");
            if answer["type"] != "error" {
                return Some(answer);
            }
            self.outcome.errors.push(answer.clone());
            reply = Some(answer);
        }
        reply
    }

    /// Connects with the standard library and runs `talk`. Counts the client as broken if it does not get its
    /// whole echo.
    fn outside_client(&mut self, server: SocketAddr, talk: fn(TcpStream) -> Exchange) {
        for _ in 0..self.tries {
            if let Ok(client) = TcpStream::connect_timeout(&server, TIMEOUT) {
                client
                    .set_read_timeout(Some(self.timeout))
                    .expect("a timeout");
                let Exchange {
                    sent,
                    received,
                    ended,
                } = talk(client);
                assert!(sent.starts_with(&received), "the echo differs");
                if ended.is_ok() && sent == received {
                    return;
                }
            }
            self.outcome.broken += 1;
        }
    }
}

/// The bytes that an outside client sent and received, and the result of reading to the end.
struct Exchange {
    sent: Vec<u8>,
    received: Vec<u8>,
    ended: io::Result<()>,
}

fn quick_client(mut client: TcpStream) -> Exchange {
    let sent = b"from outside".to_vec();
    // Reading to the end reports a failure too.
    let _ = client.write_all(&sent);
    read_to_end(client, sent)
}

/// Sends until all buffers are full, the client's and the server's, and only then reads.
fn late_reader(mut client: TcpStream) -> Exchange {
    const PIECE: &[u8] = &[b'.'; 64 << 10];
    /// All buffers are full if no write succeeds for this time.
    const STILL: Duration = Duration::from_millis(10);
    let mut sent = Vec::new();
    let mut moved = true;
    client.set_nonblocking(true).expect("a socket");
    loop {
        match client.write(PIECE) {
            Ok(count) => sent.extend(&PIECE[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && moved => {
                thread::sleep(STILL);
                moved = false;
                continue;
            }
            Err(_) => break,
        }
        moved = true;
    }
    client.set_nonblocking(false).expect("a socket");
    read_to_end(client, sent)
}

fn read_to_end(mut client: TcpStream, sent: Vec<u8>) -> Exchange {
    let mut received = Vec::new();
    let ended = client
        .shutdown(Shutdown::Write)
        .and_then(|()| client.read_to_end(&mut received).map(|_| ()));
    Exchange {
        sent,
        received,
        ended,
    }
}

witness::tests! {
    node_answers_or_gives_a_reason_when_calls_fail: Strace;
    #[ignore = "about 10,000 runs, one for each fault of each call of the session: --ignored runs it"]
    node_answers_or_gives_a_reason_when_any_single_call_fails: Strace;
    serve_gives_a_reason_when_it_cannot_start: Strace;
    serve_continues_or_gives_a_reason_when_a_call_is_refused: Strace;
}
