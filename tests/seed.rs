//! The sample sessions of the task that rawecho was built for, byte for byte.

mod common;

use std::sync::{Mutex, MutexGuard};

use common::Node;

/// The samples name port 8080, which only one test at a time can use. Returns that port, or another one if
/// another program uses it.
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

#[track_caller]
fn answers(input: &str, expected: &str) {
    let (_only_one, port) = task_port();
    let mut node = Node::start(&[]);
    node.write(on(port, input));
    let finished = node.finish();
    assert_eq!(finished.stdout, on(port, expected));
    assert_eq!(finished.stderr, "");
    assert!(finished.status.success());
}

#[test]
fn start_echo_server() {
    answers(
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}
{"src":"c1","dest":"n1","body":{"type":"tcp_echo_start","msg_id":2,"port":8080}}
"#,
        r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_start_ok", "in_reply_to": 2, "status": "listening", "port": 8080, "msg_id": 1}}
"#,
    );
}

#[test]
fn echo_data_back_correctly() {
    answers(
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
    answers(
        include_str!("data/hello.jsonl"),
        r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_start_ok", "in_reply_to": 2, "status": "listening", "port": 8080, "msg_id": 1}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_send_ok", "in_reply_to": 3, "echoed": "hello world", "bytes": 11, "msg_id": 2}}
{"src": "n1", "dest": "c1", "body": {"type": "tcp_echo_stats_ok", "in_reply_to": 4, "total_connections": 1, "total_bytes": 11, "msg_id": 3}}
"#,
    );
}
