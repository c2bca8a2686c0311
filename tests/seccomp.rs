//! The program under a real seccomp filter, as in a container. When the filter refuses a call, the program
//! either continues or exits with a reason on standard error.

mod common;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;

use common::{Finished, INIT, Node, converse, program, with_pipes};
use rlimit::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use serde_json::{Value, json};
use syscalls::{CALLS, Call, Errno};

/// Calls that the loader or Rust's runtime needs to start the program, and calls that report a reason.
const NEEDED_TO_START_OR_REPORT: &[&str] = &[
    "read",
    "write",
    "close",
    "openat",
    "exit_group",
    "rt_sigaction",
];

/// The soft limit of open files at the start. The hard limit is twice that, so the program may raise it.
const OPEN_FILES: u64 = 100;

/// The errors that container profiles return.
const REFUSALS: [Errno; 2] = [Errno::EPERM, Errno::ENOSYS];

/// Starts the program with the command line `args` under a filter that answers `call` with `errno`.
fn start(args: &[&str], call: &Call, errno: Errno) -> Node {
    start_with_rules(args, call, Vec::new(), errno)
}

/// Starts the program as [`start`] does, but refuses only the calls that match one of `rules`, if there are
/// any.
fn start_with_rules(args: &[&str], call: &Call, rules: Vec<SeccompRule>, errno: Errno) -> Node {
    let number = i64::try_from(call.nr).expect("a call's number");
    let filter = SeccompFilter::new(
        BTreeMap::from([(number, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.number().into()),
        std::env::consts::ARCH.try_into().expect("a known machine"),
    );
    let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    let mut command = program();
    with_pipes(command.args(args));
    let prepare = move || {
        setrlimit(Resource::NOFILE, OPEN_FILES, 2 * OPEN_FILES)?;
        apply_filter(&filter).map_err(io::Error::other)
    };
    // SAFETY: the closure makes three system calls and allocates no memory. The filter is built before
    // the fork.
    unsafe { command.pre_exec(prepare) };
    Node::spawn(&mut command)
}

/// Calls `check` for every call that can be refused, with each errno.
fn each_refusal(mut check: impl FnMut(&'static Call, Errno)) {
    for call in CALLS {
        // Rust's runtime first checks the standard descriptors with `poll`, which is `ppoll` on aarch64, and
        // aborts if that call is refused.
        let needed = NEEDED_TO_START_OR_REPORT.contains(&call.name)
            || call.name == "ppoll" && cfg!(target_arch = "aarch64");
        if !needed {
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
        // The program may have exited before it reads the requests.
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
            // Without these calls, the program may have exited, or it never replies.
            if !["accept4", "epoll_ctl", "epoll_pwait"].contains(&call.name) {
                let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)));
                converse(&client.expect("the server listens"), b"hello");
            }
            node.signal(libc::SIGTERM);
        }
        assert_ended_for_a_reason(&node.finish(), call, errno);
    });
}

#[test]
fn refused_descriptor_limit_reports_the_limit_in_effect() {
    let prlimit64 = CALLS.iter().find(|call| call.name == "prlimit64");
    let prlimit64 = prlimit64.expect("a call of the table");
    // Refuse only calls whose argument `new_limit` is not null: those that set the limit.
    let set = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
    let set = set
        .and_then(|set| SeccompRule::new(vec![set]))
        .expect("a rule");
    let limit = format!("; continuing with the limit of {OPEN_FILES} open files\n");
    let cases = [
        (vec![set], &*limit),
        (
            Vec::new(),
            "; continuing with the parent's limit of open files (ulimit -n)\n",
        ),
    ];
    for (rules, ending) in cases {
        let node = start_with_rules(&[], prlimit64, rules, Errno::EPERM);
        let Finished { status, stderr, .. } = node.initialized().finish();
        assert!(status.success(), "{stderr}");
        let start = "rawecho: prlimit64: EPERM (1): ";
        assert!(
            stderr.starts_with(start) && stderr.ends_with(ending),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
