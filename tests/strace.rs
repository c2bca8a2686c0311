//! The node under the real `strace`: the socket calls of a start and a send, and failures that `strace`
//! injects.

mod common;
#[path = "common/strace.rs"]
mod strace;

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use common::{Node, client, converse};
use rawecho::engine::STALL_TIMEOUT;
use serde_json::json;

/// The fields of a request that sends a message.
const SEND: &str = r#""type":"tcp_echo_send","data":"x""#;

/// Starts a node under `strace` with `options`, and initializes it as n1. strace writes the calls to stderr.
fn under_strace(options: &[&str]) -> Node {
    let mut command = Command::new("strace");
    command
        .args(["--follow-forks", "--quiet=all", "--signal=none"])
        .args(options);
    strace::spawn(&mut command, &[]).initialized()
}

/// Starts and initializes a node under `strace`, which injects `fault` and discards its own output. `fault`
/// begins with the names of the calls that fail.
fn with_fault(fault: &str) -> Node {
    let (calls, _) = fault.split_once(':').expect("CALLS:FAULT");
    let [trace, inject] = [format!("--trace={calls}"), format!("--inject={fault}")];
    under_strace(&[&trace, &inject, "--output=/dev/null"])
}

fn start_and_send_make_the_expected_calls() {
    let mut node = under_strace(&["--trace=%network,read,write,close"]);
    let server = node.listen();
    node.send("hello world");
    let finished = node.finish();
    assert!(finished.status.success());

    let any = format!(
        r#"{{sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("{}")}}"#,
        server.ip()
    );
    let here = any.replace("(0)", &format!("({})", server.port()));
    // The calls come in this order, with other calls between them. LISTENER, CLIENT and SERVER stand for
    // descriptors. A call with an arrow returns the descriptor that the arrow points to.
    let expected = [
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, -> LISTENER",
        "setsockopt(LISTENER, SOL_SOCKET, SO_REUSEADDR, [1], 4)",
        "setsockopt(LISTENER, SOL_TCP, TCP_NODELAY, [1], 4)",
        &format!("bind(LISTENER, {any}, 16)"),
        "listen(LISTENER, 4096)",
        &format!("getsockname(LISTENER, {here}, "),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, -> CLIENT",
        "setsockopt(CLIENT, SOL_TCP, TCP_NODELAY, [1], 4)",
        &format!("connect(CLIENT, {here}, 16)"),
        "accept4(LISTENER, -> SERVER",
        r#"write(CLIENT, "hello world", 11)"#,
        "shutdown(CLIENT, SHUT_WR)",
        r#"read(SERVER, "hello world","#,
        r#"write(SERVER, "hello world", 11)"#,
        r#"read(SERVER, "","#,
        "close(SERVER)",
        r#"read(CLIENT, "hello world","#,
        r#"read(CLIENT, "","#,
        "close(CLIENT)",
        "close(LISTENER)",
    ];
    let mut descriptors: HashMap<&str, &str> = HashMap::new();
    // Bytes may arrive late. A call then returns EAGAIN, and is made again.
    let calls = finished.stderr.lines();
    let mut calls = calls.filter(|line| !line.contains(" = -1 EAGAIN "));
    for step in expected {
        let (call, returns) = match step.split_once("-> ") {
            Some((call, name)) => (call, Some(name)),
            None => (step, None),
        };
        let call = descriptors
            .iter()
            .fold(call.to_string(), |call, (name, fd)| call.replace(name, fd));
        let found = calls.find(|line| line.starts_with(&call));
        let line = found
            .unwrap_or_else(|| panic!("no {call} in the expected order:\n{}", finished.stderr));
        let (_, result) = line.rsplit_once(" = ").expect("a result");
        if let Some(name) = returns {
            descriptors.insert(name, result);
        }
    }
}

/// strace changes a byte of the server's write, and the reply must contain the changed byte. The server's
/// write is the fourth: two replies and the client's write precede it.
fn reply_holds_the_bytes_that_the_server_echoed() {
    let mut node = with_fault("write:poke_enter=@arg2=58:when=4");
    node.listen();
    assert_eq!(
        node.request(json!({"type": "tcp_echo_send", "data": "hello"})),
        json!({"type": "tcp_echo_send_ok", "echoed": "Xello", "bytes": 5})
    );
    node.send("hello");
    node.finish_well();
}

fn refused_connection_gets_code_11() {
    let mut node = with_fault("connect:error=ECONNREFUSED:when=1");
    let server = node.listen();
    let text = format!("connect {server}: ECONNREFUSED (111): Connection refused");
    node.fails(json!({"type": "tcp_echo_send", "data": "x"}), 11, &[&text]);
    node.send("next");
    node.finish_well();
}

/// `shutdown` returns ENOTCONN when the peer has reset the connection while bytes are in flight.
fn broken_connection_gets_code_13() {
    let mut node = with_fault("shutdown:error=ENOTCONN:when=1");
    node.listen();
    node.fails(
        json!({"type": "tcp_echo_send", "data": "x"}),
        13,
        &["ENOTCONN (107)"],
    );
    node.send("next");
    node.finish_well();
}

/// End of file never arrives, because strace skips the client's `shutdown`.
fn stalled_send_gets_code_0() {
    let mut node = with_fault("shutdown:retval=0:when=1");
    node.listen();
    let begin = Instant::now();
    node.fails(json!({"type": "tcp_echo_send", "data": "x"}), 0, &["4 s"]);
    assert!(begin.elapsed() >= STALL_TIMEOUT);
    // No request gets two replies: the next reply is the next request's.
    node.send("next");
    assert_eq!(node.stats(), (2, 5));
    node.finish_well();
}

/// Of two requests that arrive together, the second one stalls. The reply to the first is written
/// before the node waits for the second.
fn reply_does_not_wait_for_the_next_request() {
    let inject = "--inject=shutdown:retval=0:when=2";
    let mut node = under_strace(&["--trace=shutdown,write", inject]);
    node.listen();
    let ids = node.ask_at_once([SEND; 2]);
    assert_eq!(node.reply_to(ids[0])["type"], "tcp_echo_send_ok");
    assert_eq!(node.reply_to(ids[1])["code"], 0);
    let trace = node.finish().stderr;
    let (_, since) = trace.split_once("shutdown(").expect("the first request");
    assert_eq!(since.matches("write(1, ").count(), 2, "{trace}");
}

/// Writes `count` send requests at once, and reads the replies.
fn send_at_once(node: &mut Node, count: usize) {
    for id in node.ask_at_once(std::iter::repeat_n(SEND, count)) {
        node.reply_to(id);
    }
}

/// Replies to sends that do not block are written together, but at most a bounded number of them.
fn replies_are_written_in_batches_of_at_most_16() {
    const AT_MOST: usize = 16;
    let mut node = under_strace(&["--trace=connect,write"]);
    node.listen();
    send_at_once(&mut node, 4 * AT_MOST);
    let trace = node.finish().stderr;
    let between = trace.split("write(1, ");
    let most = between.map(|calls| calls.matches("connect(").count()).max();
    assert!(
        most <= Some(AT_MOST),
        "{most:?} sends are replied to by one write"
    );
}

/// Each send also serves the connections of other clients.
fn outside_clients_are_served_between_sends() {
    const SENDS: usize = 32;
    let mut node = under_strace(&["--trace=connect,epoll_pwait"]);
    let server = node.listen();
    let other = client(server);
    converse(&other, b"hello");
    send_at_once(&mut node, SENDS);
    let trace = node.finish().stderr;
    let sends: Vec<&str> = trace.split("connect(").skip(1).collect();
    assert_eq!(sends.len(), SENDS);
    for calls in sends {
        assert!(calls.contains("epoll_pwait("), "{trace}");
    }
}

/// In the steady state a message takes one read and one write besides the wait. Connections are
/// registered edge-triggered, so the server omits the read that would return EAGAIN.
fn message_takes_one_read_and_one_write() {
    let mut node = under_strace(&["--trace=read,write,close,epoll_ctl"]);
    let server = node.listen();
    let client = client(server);
    // The server may read the first messages before it registers the connection.
    for i in 0..9 {
        converse(&client, format!("message {i}").as_bytes());
    }
    // A reply to the node's input shows that the server has handled the last message.
    node.stats();
    drop(client);
    let trace = node.finish().stderr;
    let (before, since) = trace
        .split_once("\"message 8\"")
        .expect("a read of message 8");
    let (_, fd) = before
        .rsplit_once("read(")
        .expect("the read that got message 8");
    let fd = fd.trim_end_matches(", ");
    let added = format!("EPOLL_CTL_ADD, {fd}, {{events=EPOLLIN|EPOLLPRI|EPOLLRDHUP|EPOLLET, ");
    assert!(before.contains(&added), "{trace}");
    let on_it = [
        format!("read({fd}, "),
        format!("write({fd}, "),
        format!("close({fd})"),
    ];
    let calls: Vec<&str> = since
        .lines()
        .skip(1)
        .filter(|line| on_it.iter().any(|call| line.starts_with(call)))
        .collect();
    let [echo, end, close] = *calls else {
        panic!("expected a write, a read of the end and a close: {calls:?}");
    };
    assert!(
        echo.contains("\"message 8\"") && end.ends_with("= 0"),
        "{calls:?}"
    );
    assert!(close.starts_with("close("), "{calls:?}");
}

fn failed_start_gets_code_14_and_the_next_succeeds() {
    for (fault, text) in [
        (
            "socket:error=ENFILE:when=1",
            "socket: ENFILE (23): Too many open files in system",
        ),
        (
            "listen:error=EOPNOTSUPP:when=1",
            "listen 127.0.0.1:0: EOPNOTSUPP (95): Operation not supported",
        ),
        (
            "setsockopt:error=ENOPROTOOPT:when=1",
            "setsockopt 127.0.0.1:0: ENOPROTOOPT (92): Protocol not available",
        ),
    ] {
        let mut node = with_fault(fault);
        node.fails(json!({"type": "tcp_echo_start", "port": 0}), 14, &[text]);
        node.listen();
        node.send("next");
        node.finish_well();
    }
}

/// From the 20th call of each name on, strace interrupts every third. The loader's calls come before that.
fn sends_succeed_when_calls_are_interrupted() {
    let mut node = with_fault("read,write,accept4,epoll_pwait,ppoll:error=EINTR:when=20+3");
    node.listen();
    for i in 0..30 {
        node.send(&"x".repeat(i * 1000));
    }
    node.finish_well();
}

witness::tests! {
    start_and_send_make_the_expected_calls: Strace;
    reply_holds_the_bytes_that_the_server_echoed: Strace;
    refused_connection_gets_code_11: Strace;
    broken_connection_gets_code_13: Strace;
    stalled_send_gets_code_0: Strace;
    reply_does_not_wait_for_the_next_request: Strace;
    replies_are_written_in_batches_of_at_most_16: Strace;
    outside_clients_are_served_between_sends: Strace;
    message_takes_one_read_and_one_write: Strace;
    failed_start_gets_code_14_and_the_next_succeeds: Strace;
    sends_succeed_when_calls_are_interrupted: Strace;
}
