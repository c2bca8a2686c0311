//! `--trace`: where the trace is written, that it never blocks the program, and how the program reports a
//! trace that cannot be written.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::children::{close_for_good, spawn};
use common::{Finished, Node, program, with_pipes};
use syscalls::arch::NUMBER_REGISTER;
use syscalls::{CALLS, Call};

/// Returns whether `line` is one whole call.
fn is_call(line: &str) -> bool {
    let name = line.split('(').next();
    let known = CALLS.iter().any(|call| Some(call.name) == name);
    known && line.contains(") = ")
}

/// Checks that the node works as it does without a trace.
fn works(mut node: Node) -> Node {
    node.listen();
    node.send("hello world");
    assert_eq!(node.stats(), (1, 11));
    node
}

#[test]
fn trace_writes_calls_to_stderr() {
    let finished = works(Node::start(&["--trace"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        assert!(is_call(line), "{line}");
    }
    assert!(finished.stderr.contains("accept4("));
}

#[test]
fn trace_lines_of_several_threads_do_not_mix() {
    let finished = works(Node::start(&["--trace", "--workers", "3"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        assert!(is_call(line), "{line}");
    }
}

#[test]
fn trace_writes_registers_to_stderr() {
    let finished = works(Node::start(&["--trace=regs"]).initialized()).finish();
    assert!(finished.status.success());
    for line in finished.stderr.lines() {
        let rest = line.strip_prefix(&format!("{NUMBER_REGISTER}="));
        let (number, rest) = rest.and_then(|rest| rest.split_once(' ')).expect(line);
        let call = Call::by_number(number.parse().expect(line)).expect(line);
        assert!(rest.starts_with(&format!("({}) ", call.name)), "{line}");
    }
}

#[test]
fn trace_file_is_overwritten_with_all_calls() {
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
    // The trace begins with the first call and ends with the last.
    assert!(text.starts_with("rt_sigaction(SIGPIPE, "), "{text}");
    assert!(
        text.lines()
            .last()
            .is_some_and(|line| line.starts_with("close(")),
        "{text}"
    );
}

#[test]
fn unopenable_trace_file_ends_the_program() {
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

/// Checks that the node worked until end of input and reported the failed trace once.
#[track_caller]
fn assert_trace_failed(finished: Finished, errno: &str) {
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let start = format!("rawecho: --trace: write: {errno} (");
    assert!(finished.stderr.starts_with(&start), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

#[test]
fn full_device_is_reported_once_and_in_the_exit_code() {
    let finished = works(Node::start(&["--trace=/dev/full"]).initialized()).finish();
    assert_trace_failed(finished, "ENOSPC");
}

/// The trace fails after some lines, as on a real disk.
#[test]
fn full_disk_is_reported_once_and_in_the_exit_code() {
    let file = std::env::temp_dir().join(format!("rawecho-full-disk-{}", std::process::id()));
    let mut command = program();
    with_pipes(command.arg(format!("--trace={}", file.display())));
    // The limit of a file's size simulates a full disk.
    // SAFETY: the call reads `limit`, and `signal` takes no pointer to memory.
    let limited = || unsafe {
        let limit = libc::rlimit {
            rlim_cur: 1000,
            rlim_max: 1000,
        };
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure only makes two system calls between fork and exec.
    unsafe { command.pre_exec(limited) };
    let finished = works(Node::spawn(&mut command).initialized()).finish();
    let written = fs::read(&file).expect("the trace").len();
    fs::remove_file(&file).expect("a file");
    assert_eq!(written, 1000);
    assert_trace_failed(finished, "EFBIG");
}

#[test]
fn closed_pipe_is_reported_once_and_in_the_exit_code() {
    let fifo = std::env::temp_dir().join(format!("rawecho-closed-pipe-{}", std::process::id()));
    let mut mkfifo = spawn(Command::new("mkfifo").arg(&fifo));
    assert!(mkfifo.wait().expect("mkfifo exits").success(), "mkfifo");
    let node = Node::start(&[&format!("--trace={}", fifo.display())]);
    let reader = File::open(&fifo).expect("the node opens the pipe too");
    close_for_good(reader);
    fs::remove_file(&fifo).expect("a file");
    assert_trace_failed(works(node.initialized()).finish(), "EPIPE");
}

/// If standard error has no reader, only the exit code can report the failure.
#[test]
fn stderr_without_a_reader_shows_in_the_exit_code() {
    let (reader, writer) = pipe();
    let node = Node::spawn(traced().stderr(writer));
    close_for_good(reader);
    let finished = works(node.initialized()).finish();
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn trace_drops_lines_when_its_reader_is_slow() {
    let (mut reader, writer) = pipe();
    let mut node = Node::spawn(traced().stderr(writer)).initialized();
    // The requests make more lines than a pipe holds. All of them get a reply.
    for _ in 0..200 {
        node.stats();
    }
    // The reader now reads.
    let mut text = vec![0; 32 * 1024];
    reader.read_exact(&mut text).expect("the trace");
    node.stats();
    assert!(node.finish().status.success());
    reader.read_to_end(&mut text).expect("the trace");

    let text = String::from_utf8(text).expect("ASCII");
    let (before, after) = text.split_once("\n\n... ").expect("some lines are missing");
    let (missing, after) = after
        .split_once(" lines dropped ...\n")
        .expect("a whole line");
    let missing: u64 = missing.parse().expect("a number");
    assert!(missing > 100, "{missing}");
    for line in before.lines().chain(after.lines()) {
        assert!(is_call(line), "{line}");
    }
    let last = after.lines().last();
    assert!(
        last.is_some_and(|line| line.starts_with("close(")),
        "{after}"
    );
}

/// Returns the command that starts the program with `--trace`.
fn traced() -> Command {
    let mut command = program();
    command.arg("--trace");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Returns the two ends of a pipe: the read end and the write end.
fn pipe() -> (File, File) {
    let mut ends = [-1; 2];
    // SAFETY: the call writes two descriptors.
    let outcome = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(outcome, 0);
    // SAFETY: both descriptors are open, and nothing else owns them.
    ends.map(|end| unsafe { File::from_raw_fd(end) }).into()
}
