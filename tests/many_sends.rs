//! One node makes a hundred thousand sends without an error. Each send makes a connection, one end of which
//! stays in `TIME_WAIT` and keeps its port in use.

mod common;

use std::io::{BufWriter, Write};
use std::thread;

use common::Node;

#[test]
fn hundred_thousand_sends_succeed() {
    const SENDS: usize = 100_000;
    let (mut node, _) = Node::listening();
    let descriptors = node.descriptors();
    let data = |i: usize| format!("message {i}");
    let stdin = node.stdin.take().expect("a pipe");
    let mut stdin = BufWriter::new(stdin);
    // Write and read at the same time, because a pipe holds only some of the lines.
    let writer = thread::spawn(move || {
        for i in 0..SENDS {
            let data = data(i);
            writeln!(
                stdin,
                r#"{{"src":"c1","dest":"n1","body":{{"type":"tcp_echo_send","msg_id":{i},"data":"{data}"}}}}"#
            )
            .expect("write to the node");
        }
        stdin.into_inner().expect("flush")
    });
    for i in 0..SENDS {
        let (data, bytes, msg_id) = (data(i), data(i).len(), i + 2);
        assert_eq!(
            node.line(),
            format!(
                r#"{{"src": "n1", "dest": "c1", "body": {{"type": "tcp_echo_send_ok", "in_reply_to": {i}, "echoed": "{data}", "bytes": {bytes}, "msg_id": {msg_id}}}}}"#
            )
        );
    }
    assert_eq!(node.descriptors(), descriptors, "nothing is left open");
    node.stdin = Some(writer.join().expect("all is written"));
    let bytes: usize = (0..SENDS).map(|i| data(i).len()).sum();
    node.write_line(r#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_stats","msg_id":1}}"#);
    let msg_id = SENDS + 2;
    assert_eq!(
        node.line(),
        format!(
            r#"{{"src": "n1", "dest": "c1", "body": {{"type": "tcp_echo_stats_ok", "in_reply_to": 1, "total_connections": {SENDS}, "total_bytes": {bytes}, "msg_id": {msg_id}}}}}"#
        )
    );
    node.finish_well();
}
