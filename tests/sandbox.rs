//! The system calls that a sandbox must allow: those of the static release binary, which
//! `.ci/static-binary` builds. `tests/data/sandbox/` lists them for each architecture.
//!
//! The lists come from observation. The tests run the program through its main uses under strace, or
//! under qemu-user for aarch64 on another machine, and compare the calls with the list in both
//! directions. They then run the same uses under a seccomp filter that allows the listed calls and
//! kills the process at any other call. The seccomp profile for containers and the unit in
//! `SECURITY.md` must name the same calls.
//!
//! On x86_64, `BLESS=1 RAWECHO_WITNESSES=all cargo test --test sandbox` writes the lists, the profile and the
//! unit again.
//!
//! The tests build that binary themselves, because other builds make other calls. A plain `cargo build` links
//! glibc, and the calls depend on its version.

mod common;
#[path = "common/strace.rs"]
mod strace;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::env::{self, consts::ARCH};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{Node, client, converse, unused_port, with_pipes};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::{Value, json};

/// The architectures that have a list.
const ARCHES: [&str; 2] = ["x86_64", "aarch64"];

/// Calls that depend on timing, and when the program makes them.
const DEPEND_ON_TIMING: &[(&str, &str)] = &[
    ("exit", "a worker ends before the process does"),
    ("futex", "two threads contend for a lock"),
];

/// Calls that runc may make between the installation of the filter and `execve`: it closes descriptors, and
/// Go's runtime schedules goroutines. runc 1.1 or 1.3 does not start without `fstat`, `fstatfs`,
/// `getdents64`, `openat2`, `rt_sigreturn` and `statx`. Other versions and other timing need the others.
const RUNC: [&str; 12] = [
    "fcntl",
    "fstat",
    "fstatfs",
    "getdents64",
    "getpid",
    "madvise",
    "nanosleep",
    "openat2",
    "rt_sigreturn",
    "sched_yield",
    "statx",
    "tgkill",
];

/// The length limit of a line of `SECURITY.md`.
const MAX_LINE_BYTES: usize = 110;

/// The names of system calls.
type Calls = BTreeSet<String>;

/// Returns the path of a file of this repository.
fn repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn list_path(arch: &str) -> PathBuf {
    repository(format!("tests/data/sandbox/{arch}.txt"))
}

/// Reads the list of `arch`.
fn list(arch: &str) -> Calls {
    let text = fs::read_to_string(list_path(arch)).expect("the list");
    text.lines()
        .filter_map(|line| line.split('#').next()?.split_whitespace().next())
        .map(String::from)
        .collect()
}

fn list_text(arch: &str, calls: &Calls) -> String {
    let mut text = format!(
        "# The system calls of the static release binary for {arch}: its own, and those of Rust's\n\
         # runtime and of musl around them. Written by\n\
         # BLESS=1 RAWECHO_WITNESSES=all cargo test --test sandbox\n"
    );
    for call in calls {
        let when = DEPEND_ON_TIMING.iter().find(|(name, _)| name == call);
        let when = when.map_or(String::new(), |(_, when)| format!(" # when {when}"));
        text += &format!("{call}{when}\n");
    }
    text
}

/// Compares `observed` with the list of `arch`. With BLESS, writes the list and the files derived from it.
fn assert_listed(arch: &str, mut observed: Calls) {
    let depend_on_timing = DEPEND_ON_TIMING.iter().map(|(name, _)| name.to_string());
    observed.extend(depend_on_timing);
    if blesses() {
        // Two tests write the list of the machine's own architecture, one for IPv4 and one for IPv6.
        static WRITTEN: Mutex<BTreeMap<String, Calls>> = Mutex::new(BTreeMap::new());
        let mut written = WRITTEN.lock().expect("no panic");
        let calls = written.entry(arch.into()).or_default();
        calls.append(&mut observed);
        fs::write(list_path(arch), list_text(arch, calls)).expect("the list");
        for (path, text) in [container_profile(), systemd_unit()] {
            fs::write(repository(path), text).expect("a file");
        }
        return;
    }
    let listed = list(arch);
    let missing: Vec<_> = observed.difference(&listed).collect();
    let unused: Vec<_> = listed.difference(&observed).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "{}: the binary also makes {missing:?}, and never makes {unused:?}; BLESS=1 writes the list",
        list_path(arch).display()
    );
}

/// Returns the calls of all architectures. libseccomp skips a name that the machine does not know.
fn union() -> Calls {
    ARCHES.iter().flat_map(|arch| list(arch)).collect()
}

/// A file that is generated from the lists: its path and its text.
type Derived = (&'static str, String);

/// Returns the profile for `docker run --security-opt seccomp=FILE`.
fn container_profile() -> Derived {
    let allow = |names: Vec<String>| json!({"names": names, "action": "SCMP_ACT_ALLOW"});
    let own = union();
    let of_runc = RUNC.map(String::from).into_iter();
    let of_runc = allow(of_runc.filter(|name| !own.contains(name)).collect());
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [allow(own.into_iter().collect()), of_runc],
    });
    let text = serde_json::to_string_pretty(&profile).expect("JSON");
    ("tests/data/sandbox/seccomp.json", text + "\n")
}

/// Returns `SECURITY.md` with the unit for systemd. systemd joins the names of several `SystemCallFilter=`.
fn systemd_unit() -> Derived {
    const PAGE: &str = "SECURITY.md";
    const KEY: &str = "SystemCallFilter=";
    let mut filter = vec![String::from(KEY)];
    for call in union() {
        let line = filter.last_mut().expect("a line");
        if line == KEY {
            line.push_str(&call);
        } else if line.len() + 1 + call.len() <= MAX_LINE_BYTES {
            line.push_str(&format!(" {call}"));
        } else {
            filter.push(format!("{KEY}{call}"));
        }
    }
    let text = fs::read_to_string(repository(PAGE)).expect("the page");
    let mut lines: Vec<&str> = text.lines().collect();
    let is_filter = |line: &&&str| line.starts_with(KEY);
    let begin = lines.iter().take_while(|line| !is_filter(line)).count();
    let count = lines[begin..].iter().take_while(is_filter).count();
    assert_ne!(count, 0, "{PAGE} has a unit");
    lines.splice(begin..begin + count, filter.iter().map(String::as_str));
    (PAGE, lines.join("\n") + "\n")
}

#[track_caller]
fn assert_current((path, expected): Derived) {
    // With BLESS, the tests that write the lists write these files too.
    if !blesses() {
        let text = fs::read_to_string(repository(path)).expect("the file");
        assert_eq!(text, expected, "{path} names other calls than the lists");
    }
}

fn container_profile_allows_the_listed_calls() {
    assert_current(container_profile());
}

fn systemd_unit_allows_the_listed_calls() {
    assert_current(systemd_unit());
}

/// Returns a path in the tests' directory, a different one each time.
fn unused_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "sandbox.{}.{}",
        std::process::id(),
        COUNT.fetch_add(1, Relaxed)
    );
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn blesses() -> bool {
    env::var_os("BLESS").is_some()
}

/// Builds the static release binary for `arch`, and returns its path. A guest of `.ci/kernels` has no
/// cargo, but `.ci/kernels` has put the binary at that path.
fn release_binary(arch: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if Path::new(env!("CARGO")).exists() {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().expect("no panic");
        let mut build = Command::new(repository(".ci/static-binary"));
        let output = build.arg(arch).arg(dir).output().expect("a script");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{build:?}: {stderr}");
    }
    dir.join(format!("{arch}-unknown-linux-musl/release/rawecho"))
}

/// Runs the program through its main uses: node and server, with workers, with a trace, until end of input
/// and until a signal. `start` starts the program with a command line. The program listens on `address`.
fn run_scenarios(address: IpAddr, start: &dyn Fn(&[&str]) -> Node) {
    let bind = format!("--bind={address}");
    node_answers(start(&[&bind]), address);
    let trace = unused_path();
    let option = format!("--trace={}", trace.display());
    node_answers(start(&[&bind, "--workers=3", &option]), address);
    fs::remove_file(&trace).expect("the trace");
    node_answers_readme(start(&[]));
    node_sends_while_clients_wait(start(&[&bind]), address);
    node_ends_on_sigterm(start(&[]));
    serves(start(&["serve", &bind, "--port=0"]), address);
    serves(
        start(&["serve", &bind, "--port=0", "--workers=3", "--spin=10000"]),
        address,
    );
    for option in ["--help", "--version"] {
        let end = start(&[option]).finish();
        assert!(
            end.status.success() && end.stdout.contains("rawecho"),
            "{end:?}"
        );
    }
}

/// Sends requests of each kind and a large message, and connects an outside client.
fn node_answers(node: Node, address: IpAddr) {
    let mut node = node.initialized();
    for _ in 0..2 {
        let server = SocketAddr::new(address, node.listen().port());
        node.send("hello");
        node.send(&"large ".repeat(200_000));
        let outside = client(server);
        converse(&outside, b"hello");
        drop(outside);
        node.stats();
        assert_eq!(
            node.request(json!({"type": "tcp_echo_stop"}))["type"],
            "tcp_echo_stop_ok"
        );
    }
    node.finish_well();
}

/// Sends the requests of the README's first example, which arrive together with end of input.
fn node_answers_readme(mut node: Node) {
    let requests = fs::read_to_string(repository("tests/data/hello.jsonl")).expect("a file");
    node.write(requests.replace("8080", &unused_port().to_string()));
    let end = node.finish();
    assert!(end.status.success(), "{end:?}");
    assert!(end.stdout.contains(r#""echoed": "hello world""#), "{end:?}");
}

/// Makes a send whose connection is not the next one in the accept queue, because many clients have connected
/// while the node was suspended.
fn node_sends_while_clients_wait(node: Node, address: IpAddr) {
    const MORE_THAN_A_TURN_ACCEPTS: usize = 200;
    let mut node = node.initialized();
    let server = SocketAddr::new(address, node.listen().port());
    node.signal(libc::SIGSTOP);
    let clients: Vec<_> = (0..MORE_THAN_A_TURN_ACCEPTS)
        .map(|_| client(server))
        .collect();
    let id = node.ask(json!({"type": "tcp_echo_send", "data": "hello"}));
    node.signal(libc::SIGCONT);
    assert_eq!(node.reply_to(id)["type"], "tcp_echo_send_ok");
    drop(clients);
    node.finish_well();
}

fn node_ends_on_sigterm(node: Node) {
    let mut node = node.initialized();
    node.signal(libc::SIGTERM);
    assert_eq!(node.wait().code(), Some(128 + libc::SIGTERM));
}

/// Stops a server with a signal while clients are connected.
fn serves(mut node: Node, address: IpAddr) {
    let status: Value = serde_json::from_str(&node.line()).expect("JSON");
    let port = status["port"].as_u64().expect("a port");
    let clients = [(); 4].map(|()| client(SocketAddr::new(address, port as u16)));
    for _ in 0..50 {
        for client in &clients {
            converse(client, b"hello");
        }
    }
    node.signal(libc::SIGTERM);
    drop(clients);
    assert!(
        node.line()
            .contains(r#""total_connections": 4, "total_bytes": 1000"#)
    );
    assert!(node.wait().success());
    assert_eq!(node.finish().stderr, "");
}

/// Runs the program under strace and compares its calls with the list.
fn release_binary_makes_the_listed_calls(address: IpAddr) {
    let binary = release_binary(ARCH);
    let logs = RefCell::new(Vec::new());
    run_scenarios(address, &|args| {
        let (node, log) = strace::start_program(&binary, args);
        logs.borrow_mut().push(log);
        node
    });
    // The second line of an unfinished call has a parenthesis too, but no name before it.
    let is_name = |call: &str| !call.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (listed, mut observed) = (list(ARCH), Calls::new());
    for trace in logs.into_inner().into_iter().map(strace::Log::read) {
        for (call, line) in trace.calls.into_iter().zip(trace.lines) {
            if is_name(&call) && observed.insert(call.clone()) && !listed.contains(&call) {
                eprintln!("not listed: {line}");
            }
        }
    }
    assert_listed(ARCH, observed);
}

/// Runs the program under qemu-user and compares its calls with the list.
fn aarch64_binary_makes_the_listed_calls() {
    let binary = release_binary("aarch64");
    // qemu-user loads the program itself, so its trace has no `execve`.
    let observed = RefCell::new(Calls::from(["execve".into()]));
    let logs = RefCell::new(Vec::new());
    run_scenarios(Ipv4Addr::LOCALHOST.into(), &|args| {
        let log = unused_path();
        let mut command = Command::new("qemu-aarch64");
        command.arg("-strace").arg("-D").arg(&log).arg(&binary);
        let node = Node::spawn(with_pipes(command.args(args)));
        logs.borrow_mut().push((node.pid(), log));
        node
    });
    for (pid, log) in logs.into_inner() {
        let text = fs::read_to_string(&log).expect("the calls");
        fs::remove_file(&log).expect("remove the log");
        // If a call blocks, no newline separates it from the next thread's call.
        for call in text.split(&format!("{pid} ")).skip(1) {
            if let Some((name, _)) = call.split_once('(') {
                observed.borrow_mut().insert(name.into());
            }
        }
    }
    assert_listed("aarch64", observed.into_inner());
}

/// Returns a filter that allows the calls of `names` and kills the process at any other call.
fn filter(names: &Calls) -> BpfProgram {
    let table = repository(format!("syscalls/tests/numbers/{ARCH}.txt"));
    let table = fs::read_to_string(table).expect("the table of numbers");
    let numbers: BTreeMap<&str, i64> = table
        .lines()
        .filter_map(|line| line.strip_prefix("call ")?.split_once(" = "))
        .map(|(name, number)| (name, number.parse().expect("a number")))
        .collect();
    let rules = names.iter().map(|name| (numbers[&**name], Vec::new()));
    let filter = SeccompFilter::new(
        rules.collect(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        ARCH.try_into().expect("a known machine"),
    );
    filter.and_then(TryInto::try_into).expect("a filter")
}

/// Starts the release binary under [`filter`].
fn start_filtered(args: &[&str], names: &Calls) -> Node {
    let filter = filter(names);
    let mut command = Command::new(release_binary(ARCH));
    with_pipes(command.args(args));
    let prepare = move || apply_filter(&filter).map_err(std::io::Error::other);
    // SAFETY: the closure makes two system calls and allocates no memory. The filter is built before
    // the fork.
    unsafe { command.pre_exec(prepare) };
    Node::spawn(&mut command)
}

fn release_binary_works_with_the_listed_calls_only(address: IpAddr) {
    // Another test may be writing the list.
    if !blesses() {
        let names = list(ARCH);
        run_scenarios(address, &|args| start_filtered(args, &names));
    }
}

/// The filter kills a program that makes a call that is not in the list.
fn release_binary_is_killed_at_a_call_that_is_not_listed() {
    if blesses() {
        return;
    }
    let mut names = list(ARCH);
    assert!(names.remove("listen"));
    let mut node = start_filtered(&[], &names).initialized();
    node.ask(json!({"type": "tcp_echo_start", "port": 0}));
    assert_eq!(node.wait().signal(), Some(libc::SIGSYS));
}

witness::tests! {
    container_profile_allows_the_listed_calls;
    systemd_unit_allows_the_listed_calls;
    aarch64_binary_makes_the_listed_calls: Aarch64Program;
    release_binary_is_killed_at_a_call_that_is_not_listed: MuslTarget;
    [each loopback] {
        release_binary_makes_the_listed_calls: Strace, MuslTarget;
        release_binary_works_with_the_listed_calls_only: MuslTarget;
    }
}
