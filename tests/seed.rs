//! The sample sessions of the task that rawecho was built for, byte for byte.

mod common;

use std::sync::{Mutex, MutexGuard};

use common::Node;

/// Returns port 8080, which the samples name, or a free port if another program uses 8080. Only one test at a
/// time can use the port, until it drops the guard.
fn task_port() -> (MutexGuard<'static, ()>, u16) {
    static TASK_PORT: Mutex<()> = Mutex::new(());
    let guard = TASK_PORT
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    (guard, witness::task_port())
}

/// Returns a sample with `port` in place of 8080.
fn on(port: u16, sample: &str) -> String {
    sample.replace("8080", &port.to_string())
}

/// Checks that the node replies to `input` with exactly `expected`, and exits with success.
#[track_caller]
fn assert_replies(input: &str, expected: &str) {
    let (_only_one, port) = task_port();
    let mut node = Node::start(&[]);
    node.write(on(port, input));
    let finished = node.finish();
    assert_eq!(finished.stdout, on(port, expected));
    assert_eq!(finished.stderr, "");
    assert!(finished.status.success());
}

#[test]
fn start_sample_gets_its_replies() {
    assert_replies(
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}
{"src":"c1","dest":"n1","body":{"type":"tcp_echo_start","msg_id":2,"port":8080}}
"#,
        r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_start_ok", "in_reply_to": 2, "status": "listening", "port": 8080, "msg_id": 1}}
"#,
    );
}

#[test]
fn send_sample_gets_its_replies() {
    assert_replies(
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}
{"src":"c1","dest":"n1","body":{"type":"tcp_echo_start","msg_id":2,"port":8080}}
{"src":"c1","dest":"n1","body":{"type":"tcp_echo_send","msg_id":3,"data":"hello world"}}
"#,
        r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_start_ok", "in_reply_to": 2, "status": "listening", "port": 8080, "msg_id": 1}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_send_ok", "in_reply_to": 3, "echoed": "hello world", "bytes": 11, "msg_id": 2}}
"#,
    );
}

/// The README's first command, whose input is this file.
#[test]
fn readme_hello_example_is_answered() {
    assert_replies(
        include_str!("data/hello.jsonl"),
        r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_start_ok", "in_reply_to": 2, "status": "listening", "port": 8080, "msg_id": 1}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_send_ok", "in_reply_to": 3, "echoed": "hello world", "bytes": 11, "msg_id": 2}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_stats_ok", "in_reply_to": 4, "total_connections": 1, "total_bytes": 11, "msg_id": 3}}
"#,
    );
}
