//! The program under a real seccomp filter, as in a container: each call that the filter refuses ends
//! the program with a reason on standard error, or does not end it.

mod common;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use common::{Finished, INIT, Node, converse, program};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::{Value, json};
use syscalls::{CALLS, Call, Errno};

/// Calls that the loader or the language's runtime cannot start the program without, or that are the
/// only way to give a reason.
const NEEDED_TO_START_OR_SAY: &[&str] = &[
    "read",
    "write",
    "close",
    "openat",
    "exit_group",
    "rt_sigaction",
];

/// What container profiles answer with.
const REFUSALS: [Errno; 2] = [Errno::EPERM, Errno::ENOSYS];

/// Starts the program with the command line `args` under a filter that answers `call` with `errno`.
fn start(args: &[&str], call: &Call, errno: Errno) -> Node {
    let number = i64::try_from(call.nr).expect("a call's number");
    let filter = SeccompFilter::new(
        BTreeMap::from([(number, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.number().into()),
        std::env::consts::ARCH.try_into().expect("a known machine"),
    );
    let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    let mut command = program();
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: installing the filter, made before, takes two system calls and no memory.
    unsafe { command.pre_exec(move || apply_filter(&filter).map_err(io::Error::other)) };
    Node::spawn(&mut command)
}

/// Calls `check` for every call that can be refused, with each errno.
fn each_refusal(mut check: impl FnMut(&'static Call, Errno)) {
    for call in CALLS {
        if !NEEDED_TO_START_OR_SAY.contains(&call.name) {
            for errno in REFUSALS {
                check(call, errno);
            }
        }
    }
}

#[track_caller]
fn assert_ended_for_a_reason(end: &Finished, call: &Call, errno: Errno) {
    match end.status.code() {
        Some(0) => {}
        Some(1) if end.stderr.contains(call.name) && end.stderr.contains(errno.name()) => {}
        _ => panic!("{} {}: {end:?}", call.name, errno.name()),
    }
}

#[test]
fn node_answers_or_gives_a_reason_when_a_call_is_refused() {
    each_refusal(|call, errno| {
        let mut node = start(&[], call, errno);
        let request = |body: Value| json!({"src": "c1", "dest": "n1", "body": body}).to_string();
        let start = request(json!({"type": "tcp_echo_start", "port": 0, "msg_id": 2}));
        let echo = request(json!({"type": "echo", "echo": "hello", "msg_id": 3}));
        // It may have ended before it reads them.
        let stdin = node.stdin.as_mut().expect("a pipe");
        let _ = io::Write::write_all(stdin, format!("{INIT}\n{start}\n{echo}\n").as_bytes());
        let end = node.finish();
        assert_ended_for_a_reason(&end, call, errno);
        if end.status.success() {
            assert_eq!(end.stdout.lines().count(), 3, "{}: {end:?}", call.name);
        }
    });
}

#[test]
fn serve_works_or_gives_a_reason_when_a_call_is_refused() {
    each_refusal(|call, errno| {
        let mut node = start(&["serve", "--port=0", "--workers=2"], call, errno);
        let mut line = String::new();
        let stdout = node.stdout.as_mut().expect("a pipe");
        io::BufRead::read_line(stdout, &mut line).expect("UTF-8");
        if let Ok(status) = serde_json::from_str::<Value>(&line) {
            let port = status["port"].as_u64().expect("a port") as u16;
            if call.name != "accept4" && call.name != "epoll_ctl" {
                let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)));
                converse(&client.expect("it listens"), b"hello");
            }
            node.signal(libc::SIGTERM);
        }
        assert_ended_for_a_reason(&node.finish(), call, errno);
    });
}
