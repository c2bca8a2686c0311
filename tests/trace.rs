//! `--trace`: where it writes, and that it never does the program any harm.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use common::{INIT, Node, program};
use serde_json::json;
use syscalls::arch::NUMBER;
use syscalls::{CALLS, find};

/// Whether `line` is a call, all of it.
fn is_call(line: &str) -> bool {
    let name = line.split('(').next();
    let known = CALLS.iter().any(|call| Some(call.name) == name);
    known && line.contains(") = ")
}

/// Sends a message and stops; what it does to the counters is as without a trace.
fn works(mut node: Node) -> Node {
    node.listen();
    node.send("hello world");
    let stats = node.request(json!({"type": "tcp_echo_stats"}));
    let expected = json!({"type": "tcp_echo_stats_ok", "total_connections": 1, "total_bytes": 11});
    assert_eq!(stats, expected);
    node
}

#[test]
fn calls_on_stderr() {
    let finished = works(Node::start(&["--trace"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        assert!(is_call(line), "{line}");
    }
    assert!(finished.stderr.contains("accept4("));
}

#[test]
fn calls_of_several_threads() {
    let finished = works(Node::start(&["--trace", "--workers", "3"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        assert!(is_call(line), "{line}");
    }
}

#[test]
fn registers_on_stderr() {
    let finished = works(Node::start(&["--trace=regs"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        let rest = line.strip_prefix(&format!("{NUMBER}="));
        let (number, rest) = rest.and_then(|rest| rest.split_once(' ')).expect(line);
        let call = find(number.parse().expect(line)).expect(line);
        assert!(rest.starts_with(&format!("({}) ", call.name)), "{line}");
    }
}

#[test]
fn calls_in_a_file() {
    let file = std::env::temp_dir().join(format!("rawecho-trace-{}", std::process::id()));
    fs::write(&file, "what was there before\n").expect("a file");
    let option = format!("--trace={}", file.display());
    let finished = works(Node::start(&[&option]).initialized()).finish();
    let text = fs::read_to_string(&file).expect("the trace");
    fs::remove_file(&file).expect("a file");
    assert!(finished.status.success());
    assert_eq!(finished.stderr, "");
    for line in text.lines() {
        assert!(is_call(line), "{line}");
    }
    // From the first call to the last.
    assert!(text.starts_with("rt_sigaction(SIGPIPE, "), "{text}");
    assert!(
        text.lines()
            .last()
            .is_some_and(|line| line.starts_with("close(")),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_opened() {
    let finished = Node::start(&["--trace=/no/such/directory"]).finish();
    assert_eq!(finished.status.code(), Some(1));
    assert_eq!(finished.stdout, "");
    assert_eq!(finished.stderr.lines().count(), 1);
    for word in ["--trace=/no/such/directory", "ENOENT"] {
        assert!(finished.stderr.contains(word), "{}", finished.stderr);
    }
    let finished = Node::start(&["--trace="]).finish();
    assert_eq!(finished.status.code(), Some(2));
}

#[test]
fn a_full_disk() {
    let finished = works(Node::start(&["--trace=/dev/full"]).initialized()).finish();
    assert!(finished.status.success());
}

#[test]
fn a_reader_that_is_gone() {
    let mut child = piped(&mut program()).spawn().expect("the program starts");
    drop(child.stderr.take());
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    ask(&mut input, &mut output, INIT);
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_reader_that_does_not_read() {
    let mut child = piped(&mut program()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut errors = child.stderr.take().expect("a pipe");
    // Each makes some lines, together more than a pipe holds. All are answered nevertheless.
    for _ in 0..200 {
        ask(&mut input, &mut output, INIT);
    }
    // The reader wakes up.
    let mut text = vec![0; 32 * 1024];
    errors.read_exact(&mut text).expect("the trace");
    ask(&mut input, &mut output, INIT);
    drop(input);
    errors.read_to_end(&mut text).expect("the trace");
    assert!(child.wait().expect("it ends").success());

    let text = String::from_utf8(text).expect("ASCII");
    let (before, after) = text
        .split_once("\n\n... no room for ")
        .expect("lines are missing");
    let (missing, after) = after.split_once(" lines ...\n").expect("a whole line");
    assert!(missing.parse::<u64>().expect("a number") > 100, "{missing}");
    for line in before.lines().chain(after.lines()) {
        assert!(is_call(line), "{line}");
    }
    let last = after.lines().last();
    assert!(
        last.is_some_and(|line| line.starts_with("close(")),
        "{after}"
    );
}

fn piped(command: &mut Command) -> &mut Command {
    let command = command.arg("--trace").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn ask(input: &mut impl Write, output: &mut impl BufRead, request: &str) {
    writeln!(input, "{request}").expect("it is read");
    let mut reply = String::new();
    output.read_line(&mut reply).expect("a reply");
    assert!(reply.contains("init_ok"), "{reply}");
}
