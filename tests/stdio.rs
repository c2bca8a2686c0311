//! Standard input and output: lines of every form, from and to every kind of file, with a parent
//! that reads slowly, has closed its end, or has set an unusual mode.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::children::close_for_good;
use common::{
    INIT, INIT_OK, Node, TIMEOUT, client, converse, eventually, file_with, program, with_pipes,
};
use rawecho::stdio::MAX_LINE_BYTES;
use serde_json::json;

const STATS: &str = r#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_stats","msg_id":2}}"#;
const STATS_OK: &str = r#"{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_stats_ok", "in_reply_to": 2, "total_connections": 0, "total_bytes": 0, "msg_id": 1}}"#;

/// Checks that a node with the input `input` replies `INIT_OK` and `STATS_OK` and exits with success.
#[track_caller]
fn both_answered(input: impl AsRef<[u8]>) {
    let mut node = Node::start(&[]);
    node.write(input);
    let finished = node.finish();
    assert_eq!(finished.stdout, format!("{INIT_OK}\n{STATS_OK}\n"));
    assert_eq!(finished.stderr, "");
    assert!(finished.status.success());
}

#[test]
fn lf_crlf_and_a_missing_line_ending_are_accepted() {
    both_answered(format!("{INIT}\n{STATS}\n"));
    both_answered(format!("{INIT}\r\n{STATS}\r\n"));
    // The last line has no newline.
    both_answered(format!("{INIT}\n{STATS}"));
    both_answered(format!("{INIT}\n{STATS}\r"));
}

#[test]
fn blank_lines_are_ignored() {
    both_answered(format!("\n\r\n{INIT}\n\n \t \n\r\n  {STATS}  \n\n   "));
}

#[test]
fn empty_input_ends_the_node_with_success() {
    Node::start(&[]).finish_well();
    let nothing = Node::spawn(
        program()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    nothing.finish_well();
}

#[test]
fn requests_before_end_of_input_are_answered() {
    let mut node = Node::n1();
    node.listen();
    // All requests fit into a pipe.
    let data = "z".repeat(15_000);
    for _ in 0..3 {
        node.ask(json!({"type": "tcp_echo_send", "data": data}));
    }
    let finished = node.finish();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.contains(&data)));
    assert!(finished.status.success());
}

#[test]
fn input_may_arrive_byte_by_byte() {
    let mut node = Node::start(&[]);
    for byte in format!("{INIT}\n{STATS}\n").bytes() {
        node.write([byte]);
        thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(node.line(), INIT_OK);
    assert_eq!(node.line(), STATS_OK);
    node.finish_well();
}

/// While a line is incomplete, the node serves its clients. It answers the request when the rest arrives.
#[test]
fn partial_line_does_not_delay_clients() {
    let (mut node, server) = Node::listening();
    let (half, rest) = STATS.split_at(30);
    node.write(half);
    for _ in 0..10 {
        converse(&client(server), b"served meanwhile");
    }
    node.write_line(rest);
    assert_eq!(node.reply_to(2)["total_connections"], 10);
    node.finish_well();
}

#[test]
fn input_and_output_may_be_files() {
    let output = file_with(b"");
    let node = Node::spawn(
        program()
            .stdin(file_with(format!("{INIT}\n{STATS}").as_bytes()))
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(Stdio::piped()),
    );
    let finished = node.finish();
    assert!(finished.status.success());
    assert_eq!(finished.stderr, "");
    let mut written = String::new();
    std::io::Seek::rewind(&mut &output).expect("rewind");
    (&output).read_to_string(&mut written).expect("UTF-8");
    assert_eq!(written, format!("{INIT_OK}\n{STATS_OK}\n"));
}

/// The node also answers sends if its input is a file, which is always ready.
#[test]
fn sends_from_a_file_are_answered() {
    let start = r#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_start","msg_id":2,"port":0}}"#;
    let send =
        r#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_send","msg_id":3,"data":"hello"}}"#;
    let input = format!("{INIT}\n{start}\n{}", format!("{send}\n").repeat(1000));
    let node = Node::spawn(
        program()
            .stdin(file_with(input.as_bytes()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let finished = node.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let echoed = finished
        .stdout
        .lines()
        .filter(|line| line.contains(r#""echoed": "hello""#));
    assert_eq!(echoed.count(), 1000);
}

#[test]
fn output_may_be_dev_null() {
    let mut node = Node::spawn(
        program()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped()),
    );
    node.write(format!("{INIT}\n{STATS}\n").repeat(1000));
    node.finish_well();
}

/// A line of exactly the maximum length is parsed; a longer one is not.
#[test]
fn line_over_the_maximum_length_is_not_parsed() {
    let mut node = Node::n1();
    for len in [MAX_LINE_BYTES, MAX_LINE_BYTES + 1] {
        node.write_line(vec![b'x'; len]);
        assert_eq!(node.stats(), (0, 0));
    }
    let finished = node.finish();
    assert!(finished.status.success());
    let reported: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(
        reported[0].contains("line 2 ") && reported[0].contains("expected value"),
        "{reported:?}"
    );
    assert!(
        reported[1].contains("line 4 ") && reported[1].contains(&MAX_LINE_BYTES.to_string()),
        "{reported:?}"
    );
}

#[test]
fn overlong_line_is_not_stored() {
    const MUCH: usize = 3 * MAX_LINE_BYTES;
    let (mut node, server) = Node::listening();
    let open = client(server);
    let before = node.memory();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..MUCH / piece.len() {
        node.write(&piece);
    }
    converse(&open, b"served in the middle of it");
    node.write("\n");
    node.send("next");
    let held = node.peak_memory() - before;
    // The node buffers an overlong line up to the maximum length.
    assert!(held < 2 * MAX_LINE_BYTES as u64, "{held} bytes");
    let kept = node.memory().saturating_sub(before);
    assert!(kept < MAX_LINE_BYTES as u64 / 2, "{kept} bytes");
    // An overlong line that ends without a newline is an error too.
    for _ in 0..MAX_LINE_BYTES / piece.len() + 1 {
        node.write(&piece);
    }
    let finished = node.finish();
    assert!(finished.status.success());
    let reported: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(
        reported[0].contains("line 3 ") && reported[1].contains("line 5 "),
        "{reported:?}"
    );
}

/// While the reader of the replies is slow, the node waits for it and still serves its clients.
#[test]
fn slow_reader_of_the_output_does_not_delay_clients() {
    const REPLIES: usize = 20;
    let (mut node, server) = Node::listening();
    let open = client(server);
    let mut stdin = node.stdin.take().expect("a pipe");
    // Far more than all pipes hold.
    let data = "w".repeat(100_000);
    let writer = thread::spawn({
        let send = json!({"type": "tcp_echo_send", "data": data, "msg_id": 3});
        let line = json!({"src": "c1", "dest": "n1", "body": send}).to_string() + "\n";
        move || {
            for _ in 0..REPLIES {
                stdin.write_all(line.as_bytes()).expect("write to the node");
            }
        }
    });
    for _ in 0..50 {
        converse(&open, b"served meanwhile");
        converse(&client(server), b"new ones too");
        thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..REPLIES {
        assert_eq!(node.reply_to(3)["echoed"], data);
    }
    writer.join().expect("all is written");
    node.finish_well();
}

/// Waiting for a slow reader costs no processor time.
#[test]
fn waiting_for_the_reader_uses_no_processor() {
    let mut node = Node::n1();
    node.ask(json!({"type": "echo", "echo": "w".repeat(1_000_000)}));
    let pipe = node.stdout.as_ref().expect("a pipe").get_ref().as_raw_fd();
    let bytes_in_pipe = || {
        let mut count: libc::c_int = 0;
        // SAFETY: the kernel writes one int.
        let outcome = unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut count) };
        assert_eq!(outcome, 0);
        count
    };
    // Once the node writes, it does not sleep before the pipe is full.
    eventually("the pipe is full", || {
        (bytes_in_pipe() > 0 && node.sleeps()).then_some(())
    });
    node.uses_no_processor();
    assert_eq!(node.reply()["type"], "echo_ok");
    node.finish_well();
}

/// Sets the disposition of `SIGPIPE` that the program inherits.
fn sigpipe(command: &mut Command, disposition: libc::sighandler_t) -> &mut Command {
    // SAFETY: the closure only makes a system call between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGPIPE, disposition);
            Ok(())
        })
    }
}

/// Checks that the program exits with code 1 and reports the reason: the reader of its output closed its end.
#[track_caller]
fn ends_for_a_closed_output(mut node: Node) {
    assert_eq!(node.wait().code(), Some(1));
    let reason =
        "rawecho: write to standard output: EPIPE (32): Broken pipe; the reader closed its end\n";
    assert_eq!(node.finish().stderr, reason);
}

#[test]
fn closed_output_ends_the_node_with_a_reason() {
    for disposition in [libc::SIG_DFL, libc::SIG_IGN] {
        let mut node = Node::spawn(sigpipe(with_pipes(&mut program()), disposition));
        close_for_good(node.stdout.take());
        node.write_line(INIT);
        ends_for_a_closed_output(node);
    }
}

#[test]
fn output_closed_during_a_reply_ends_the_node_with_a_reason() {
    let mut node = Node::n1();
    node.ask(json!({"type": "echo", "echo": "w".repeat(1_000_000)}));
    // One byte of the reply shows that the node is writing it.
    let mut stdout = node.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("a reply");
    close_for_good(stdout);
    ends_for_a_closed_output(node);
}

#[test]
fn closed_output_fails_help() {
    for option in ["--help", "--version"] {
        let (gone, theirs) = UnixStream::pair().expect("a pair");
        close_for_good(gone);
        let mut command = program();
        with_pipes(command.arg(option)).stdout(OwnedFd::from(theirs));
        ends_for_a_closed_output(Node::spawn(sigpipe(&mut command, libc::SIG_DFL)));
    }
}

/// The node ignores SIGPIPE, whatever disposition it inherits. A client that resets its connection while the
/// node writes does not kill the node.
#[test]
fn sigpipe_never_kills() {
    for disposition in [libc::SIG_DFL, libc::SIG_IGN] {
        let mut node = Node::spawn(sigpipe(with_pipes(&mut program()), disposition)).initialized();
        let server = node.listen();
        let status = node.proc("status");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.expect("SigIgn").trim(), 16).expect("a mask");
        assert!(ignored & 1 << (libc::SIGPIPE - 1) != 0, "{ignored:x}");
        // A SIGPIPE from another process.
        node.signal(libc::SIGPIPE);
        for _ in 0..20 {
            let mut gone = client(server);
            gone.write_all(&[0; 300_000]).expect("write");
            // Dropping the client resets the connection, because it has not read its echo.
            drop(gone);
        }
        node.send("still here");
        node.finish_well();
    }
}

/// The node does not change the mode of standard input and output, which it shares with its parent.
#[test]
fn mode_of_inherited_descriptors_is_unchanged() {
    let mode = |node: &Node, fd: i32| {
        let info = node.proc(&format!("fdinfo/{fd}"));
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        i32::from_str_radix(flags.expect("flags").trim(), 8).expect("octal") & libc::O_NONBLOCK
    };
    let (mut node, server) = Node::listening();
    node.send(&"x".repeat(1_000_000));
    converse(&client(server), b"hello");
    assert_eq!([0, 1, 2].map(|fd| mode(&node, fd)), [0; 3]);
    node.finish_well();
}

/// Starts a node whose standard input and output are one socket. Returns the node and both ends of the
/// socket.
fn on_a_socket() -> (Node, UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let handle = || OwnedFd::from(theirs.try_clone().expect("a handle"));
    let node = Node::spawn(
        program()
            .stdin(handle())
            .stdout(handle())
            .stderr(Stdio::piped()),
    );
    (node, ours, theirs)
}

fn is_nonblocking(socket: &UnixStream) -> bool {
    // SAFETY: the call takes no pointer.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK != 0
}

/// Standard input and output are one socket, blocking or not. The node writes a long reply, and
/// its reader waits before it reads.
#[test]
fn input_and_output_may_be_one_socket_in_either_mode() {
    for nonblocking in [false, true] {
        let (node, mut ours, theirs) = on_a_socket();
        theirs.set_nonblocking(nonblocking).expect("a mode");
        let text = "s".repeat(1_000_000);
        let echo = json!({"type": "echo", "echo": text, "msg_id": 2});
        let echo = json!({"src": "c1", "dest": "n1", "body": echo});
        ours.write_all(format!("{INIT}\n{echo}\n").as_bytes())
            .expect("write");
        thread::sleep(Duration::from_millis(100));
        ours.shutdown(Shutdown::Write).expect("shutdown");
        let mut lines = BufReader::new(&ours)
            .lines()
            .map(|line| line.expect("a line"));
        assert_eq!(lines.next().as_deref(), Some(INIT_OK));
        assert!(lines.next().expect("a reply").contains(&text));
        assert_eq!(
            is_nonblocking(&theirs),
            nonblocking,
            "the mode is unchanged"
        );
        node.finish_well();
    }
}

/// If standard error is a socket whose buffer is full, diagnostics are dropped and the node continues.
#[test]
fn full_standard_error_does_not_block_the_node() {
    let (errors, theirs) = UnixStream::pair().expect("a pair");
    let mut node = Node::spawn(
        program()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(OwnedFd::from(theirs)),
    )
    .initialized();
    // Far more than a socket holds.
    for _ in 0..20 {
        node.write("rubbish\n".repeat(1000));
        assert_eq!(node.stats(), (0, 0));
    }
    drop(errors);
    node.write("rubbish\n".repeat(10));
    assert_eq!(node.stats(), (0, 0));
    node.finish_well();
}

/// A parent may have closed the standard streams. Rust's runtime opens `/dev/null` in their place.
#[test]
fn closed_standard_streams_are_handled() {
    let mut command = program();
    command.stdout(Stdio::piped());
    // SAFETY: the closure only makes system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::close(0);
            libc::close(2);
            Ok(())
        });
    }
    Node::spawn(&mut command).finish_well();
}

/// The node writes only replies to standard output.
#[test]
fn stdout_holds_replies_only() {
    let mut node = Node::start(&[]);
    node.write(format!(
        "rubbish\n{INIT}\n{}\n{STATS}\n",
        "x".repeat(100_000)
    ));
    let finished = node.finish();
    assert_eq!(finished.stdout, format!("{INIT_OK}\n{STATS_OK}\n"));
    assert_eq!(finished.stderr.lines().count(), 2);
}
