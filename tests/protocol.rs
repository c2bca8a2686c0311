//! Every request of the protocol, and its reply. [`Node::request`] returns the whole body of a
//! reply, so each comparison also proves that there is no extra field.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use common::{INIT, INIT_OK, Node, assert_end, client, converse, eventually};
use rawecho::node::DRAIN_TIMEOUT;
use serde_json::json;

#[test]
fn requests_in_maelstroms_format_are_answered() {
    let mut node = Node::start(&[]);
    node.write_line(r#"{"id":0,"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#);
    assert_eq!(
        node.line(),
        r#"{"src": "n0", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}"#
    );
    node.write_line(r#"{"id":2,"src":"c2","dest":"n0","body":{"echo":"Please echo 66","type":"echo","msg_id":1}}"#);
    assert_eq!(
        node.line(),
        r#"{"src": "n0", "dest": "c2", "body": {"type": "echo_ok", "in_reply_to": 1, "echo": "Please echo 66", "msg_id": 1}}"#
    );
    node.finish_well();
}

#[test]
fn fields_may_be_in_any_order_and_unknown_ones_are_ignored() {
    let mut node = Node::n1();
    let server = node.listen();
    node.write_line(
        r#" {"x": [{"src": 1}], "body" :{"data":"d", "\u006dsg_id" : 7,"y":null,"type":"tcp_echo_send"}, "dest":"n1","id":-3,"src" : "c1"} "#,
    );
    assert_eq!(
        node.reply_to(7),
        json!({"type": "tcp_echo_send_ok", "echoed": "d", "bytes": 1})
    );
    converse(&client(server), b"outside");
    node.finish_well();
}

#[test]
fn second_init_is_answered() {
    let mut node = Node::start(&[]);
    node.write_line(INIT);
    assert_eq!(node.line(), INIT_OK);
    node.write_line(INIT);
    assert_eq!(
        node.line(),
        INIT_OK.replace(r#""msg_id": 0"#, r#""msg_id": 1"#)
    );
    node.finish_well();
}

#[test]
fn start_reports_the_chosen_port_and_is_idempotent() {
    let mut node = Node::n1();
    let server = node.listen();
    converse(&client(server), b"hello");
    // A second start on that port is answered the same way, and changes nothing.
    let again = node.request(json!({"type": "tcp_echo_start", "port": server.port()}));
    assert_eq!(
        again,
        json!({"type": "tcp_echo_start_ok", "status": "listening", "port": server.port()})
    );
    converse(&client(server), b"hello again");
    node.finish_well();
}

#[test]
fn start_listens_on_the_given_port() {
    let (node, server) = Node::listening_on_unused_port();
    converse(&client(server), b"hello");
    node.finish_well();
}

#[test]
fn each_send_makes_a_connection() {
    let (mut node, _) = Node::listening();
    node.send("hello world");
    node.send("and again");
    assert_eq!(node.stats(), (2, 20));
    node.finish_well();
}

#[test]
fn stats_cover_all_clients_of_the_node() {
    let mut node = Node::n1();
    assert_eq!(node.stats(), (0, 0));
    let server = node.listen();
    assert_eq!(node.stats(), (0, 0));
    node.send("12345");
    assert_eq!(node.stats(), (1, 5));
    converse(&client(server), b"1234567");
    assert_eq!(node.stats(), (2, 12));
    // A silent client counts as a connection. The client cannot observe when it is accepted.
    let _silent = client(server);
    eventually("the silent client is counted", || {
        (node.stats() == (3, 12)).then_some(())
    });
    // The counters cover the life of the node: a stop does not reset them.
    node.request(json!({"type": "tcp_echo_stop"}));
    assert_eq!(node.stats(), (3, 12));
    node.listen();
    node.send("1");
    assert_eq!(node.stats(), (4, 13));
    node.finish_well();
}

#[test]
fn stop_frees_the_port() {
    let (mut node, server) = Node::listening_on_unused_port();
    node.send("before");
    for _ in 0..3 {
        assert_eq!(
            node.request(json!({"type": "tcp_echo_stop"})),
            json!({"type": "tcp_echo_stop_ok", "status": "stopped", "port": server.port()})
        );
        TcpStream::connect(server).expect_err("nothing listens");
        // The port is free for other processes.
        drop(std::net::TcpListener::bind(server).expect("the port is free"));
        // The node can listen again when no child of another test has a copy of that listener.
        let start = json!({"type": "tcp_echo_start", "port": server.port()});
        eventually("the node listens again", || {
            (node.request(start.clone())["status"] == "listening").then_some(())
        });
        node.send("after");
        converse(&client(server), b"after");
    }
    node.finish_well();
}

#[test]
fn stop_lets_open_connections_finish() {
    while !connection_finishes_during_a_stop() {}
}

/// Checks that a connection finishes during a stop. Returns false if the test itself took as long as the
/// drain timeout, because the run then proves nothing.
fn connection_finishes_during_a_stop() -> bool {
    let (mut node, server) = Node::listening();
    let mut talking = client(server);
    converse(&talking, b"before the stop");
    let begin = Instant::now();
    let stop = node.ask(json!({"type": "tcp_echo_stop"}));
    // Once a connect is refused, the stop has begun.
    eventually("the listener is closed", || {
        TcpStream::connect(server).err()
    });
    let mut talk = || {
        let (mut echo, mut rest) = ([0; 15], String::new());
        talking.write_all(b"during the stop")?;
        talking.read_exact(&mut echo)?;
        talking.write_all(b"to the end")?;
        talking.shutdown(std::net::Shutdown::Write)?;
        talking.read_to_string(&mut rest)?;
        std::io::Result::Ok((echo, rest))
    };
    let talked = talk();
    if begin.elapsed() >= DRAIN_TIMEOUT {
        return false;
    }
    let (echo, rest) = talked.expect("no reset");
    assert_eq!((&echo, &*rest), (b"during the stop", "to the end"));
    assert_eq!(
        node.reply_to(stop),
        json!({"type": "tcp_echo_stop_ok", "status": "stopped", "port": server.port()})
    );
    node.finish_well();
    true
}

#[test]
fn stop_closes_connections_after_the_drain_timeout() {
    let (mut node, server) = Node::listening();
    let idle = client(server);
    converse(&idle, b"hello");
    let begin = Instant::now();
    node.request(json!({"type": "tcp_echo_stop"}));
    assert!(
        begin.elapsed() >= DRAIN_TIMEOUT,
        "the drain timeout elapses"
    );
    assert_end(&idle);
    node.listen();
    node.send("works at once");
    node.finish_well();
}

#[test]
fn echo_starts_a_server_if_none_is_running() {
    let mut node = Node::n1();
    let echo = json!({"type": "echo", "echo": "Please echo 35"});
    let echo_ok = json!({"type": "echo_ok", "echo": "Please echo 35"});
    assert_eq!(node.request(echo.clone()), echo_ok);
    // The JSON text, with its quotes, went through the server.
    assert_eq!(node.stats(), (1, 16));
    assert_eq!(node.request(echo), echo_ok);
    assert_eq!(node.stats(), (2, 32));
    let stopped = node.request(json!({"type": "tcp_echo_stop"}));
    assert_eq!(stopped["status"], "stopped");
    node.finish_well();
}

#[test]
fn echo_uses_the_running_server() {
    let (mut node, server) = Node::listening();
    assert_eq!(
        node.request(json!({"type": "echo", "echo": [1, null, {"a": "b"}]})),
        json!({"type": "echo_ok", "echo": [1, null, {"a": "b"}]})
    );
    assert_eq!(
        node.request(json!({"type": "tcp_echo_stop"}))["port"],
        server.port()
    );
    node.finish_well();
}

/// Each value comes back as exactly the same text, with a space after each colon and comma.
#[test]
fn echo_returns_any_json_value() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let cases = [
        ("null", "null"),
        ("\"\"", "\"\""),
        ("-0.0", "-0.0"),
        ("1E+400", "1E+400"),
        (
            "123456789012345678901234567890.10",
            "123456789012345678901234567890.10",
        ),
        (
            r#""\u00e9\/\ud83d\ude00 😀""#,
            r#""\u00e9\/\ud83d\ude00 😀""#,
        ),
        (r#"{"a":1,"a":[],"b":{}}"#, r#"{"a": 1, "a": [], "b": {}}"#),
        ("[ 1 ,\t2,{ } ]", "[1, 2, {}]"),
        (r#""a,b:c \" d""#, r#""a,b:c \" d""#),
        (&deep, &deep),
    ];
    let mut node = Node::start(&[]);
    node.write_line(INIT);
    node.line();
    for (i, (value, expected)) in (1..).zip(cases) {
        node.write_line(format!(
            r#"{{"src":"c1","dest":"n1","body":{{"type":"echo","msg_id":{i},"echo":{value}}}}}"#
        ));
        assert_eq!(
            node.line(),
            format!(
                r#"{{"src": "n1", "dest": "c1", "body": {{"type": "echo_ok", "in_reply_to": {i}, "echo": {expected}, "msg_id": {i}}}}}"#
            )
        );
    }
    node.finish_well();
}

/// Requests that are written before any reply is read are answered in order.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let (mut node, _) = Node::listening();
    let asked: Vec<(u64, String)> = (0..200)
        .map(|i| {
            let data = format!("number {i}");
            (
                node.ask(json!({"type": "tcp_echo_send", "data": data})),
                data,
            )
        })
        .collect();
    for (id, data) in asked {
        assert_eq!(
            node.reply_to(id),
            json!({"type": "tcp_echo_send_ok", "echoed": data, "bytes": data.len()})
        );
    }
    assert_eq!(node.stats().0, 200);
    node.finish_well();
}
