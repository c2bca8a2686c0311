//! What passes through the node is nobody else's business: without `--trace`, none of it is ever
//! written to standard error, not even of lines that cannot be understood.

mod common;

use common::{Node, client, converse};
use serde_json::json;

/// What must not be seen.
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
