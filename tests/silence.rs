//! Payload is never logged: without `--trace`, no part of it is written to standard error, not even
//! for lines that cannot be parsed.

mod common;

use common::{Node, client, converse};
use serde_json::json;

/// The payload that must not appear.
const SECRET: &str = "hunter2";

#[test]
fn no_payload_is_logged() {
    let (mut node, server) = Node::listening();
    node.send(SECRET);
    assert_eq!(
        node.request(json!({"type": "echo", "echo": [SECRET]}))["echo"],
        json!([SECRET])
    );
    converse(&client(server), SECRET.as_bytes());
    let lines = [
        SECRET.to_string(),
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!("{{\"{SECRET}\"}}"),
        format!("{{\"{SECRET}\":1}}"),
        format!("{{\"src\":\"{SECRET}\",\"dest\":\"n1\"}}"),
        format!("{{\"src\":[\"{SECRET}\"],\"dest\":\"n1\",\"body\":{{}}}}"),
        format!("{{\"src\":\"c1\",\"dest\":\"{SECRET}\",\"body\":{{}}}}"),
        format!("{{\"src\":\"c1\",\"dest\":\"n1\",\"body\":\"{SECRET}\"}}"),
        format!("{{\"src\":\"c1\",\"dest\":\"n1\",\"body\":{{\"data\":\"{SECRET}\\x\"}}}}"),
        format!("{{\"src\":\"c1\",\"dest\":\"n1\",\"body\":{{\"data\":\"{SECRET}"),
    ];
    for line in &lines {
        node.write_line(line);
    }
    node.stats();
    let end = node.finish();
    assert!(!end.stderr.contains(SECRET), "{}", end.stderr);
    assert_eq!(end.stderr.lines().count(), lines.len(), "{}", end.stderr);
}
