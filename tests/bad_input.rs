//! Bad input gets the right error and has no lasting effect: after each case the next valid request
//! gets the right reply. Each row of a table is a named case.

mod common;

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;

use common::{
    INIT, INIT_OK, Node, assert_error, client, converse, eventually, program, unused_port,
    with_pipes,
};
use serde_json::{Value, json};

/// Lines that cannot be answered: each causes one line on stderr, with the line's number and a
/// reason, and nothing on stdout.
fn unanswerable_lines_are_reported_and_skipped() {
    let body = r#""body":{"type":"tcp_echo_stats","msg_id":1}"#;
    let object = |fields: &[&str]| format!("{{{}}}", fields.join(",")).into_bytes();
    let to = r#""dest":"n1""#;
    let from = r#""src":"c1""#;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no JSON", b"hello".into(), "expected"),
        ("half an object", br#"{"src":"c1","#.into(), "EOF"),
        (
            "two objects",
            [object(&[from, to, body]), object(&[from, to, body])].concat(),
            "trailing",
        ),
        (
            "a trailing comma",
            object(&[from, to, body, ""]),
            "trailing comma",
        ),
        (
            "single quotes",
            b"{'src':'c1'}".into(),
            "key must be a string",
        ),
        ("an array", b"[]".into(), "object"),
        ("a string", br#""src""#.into(), "object"),
        ("a number", b"42".into(), "object"),
        ("null", b"null".into(), "object"),
        ("an empty object", b"{}".into(), "src"),
        ("no src", object(&[to, body]), "src"),
        ("src not a string", object(&[r#""src":1"#, to, body]), "src"),
        ("src null", object(&[r#""src":null"#, to, body]), "src"),
        (
            "src a lone surrogate",
            object(&[r#""src":"\udc00""#, to, body]),
            "src: expected a Unicode string",
        ),
        ("no body", object(&[from, to]), "body"),
        ("body null", object(&[from, to, r#""body":null"#]), "body"),
        (
            "body a string",
            object(&[from, to, r#""body":"init""#]),
            "body",
        ),
        (
            "body an array",
            object(&[from, to, r#""body":["init"]"#]),
            "body",
        ),
        (
            "not UTF-8",
            b"{\"src\":\"c1\",\"dest\":\"n1\",\"body\":{\"type\":\"\xff\"}}".into(),
            "UTF-8",
        ),
        ("UTF-8 cut short", b"\xe2\x82".into(), "UTF-8"),
        ("UTF-8 overlong", b"\"\xc0\xaf\"".into(), "UTF-8"),
        ("a surrogate in UTF-8", b"\"\xed\xa0\x80\"".into(), "UTF-8"),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf".into(), object(&[from, to, body])].concat(),
            "expected",
        ),
        (
            "UTF-16",
            "{}".encode_utf16().flat_map(u16::to_be_bytes).collect(),
            "expected",
        ),
        ("a NUL", b"\0".into(), "expected"),
        (
            "a bare control character",
            object(&["\"src\":\"c\t1\"", to, body]),
            "control character",
        ),
        ("long garbage", vec![b'x'; 1_000_000], "expected"),
        ("no dest", object(&[from, body]), "dest"),
        (
            "dest not a string",
            object(&[from, r#""dest":1"#, body]),
            "dest",
        ),
        (
            "dest of another node",
            object(&[from, r#""dest":"n2""#, body]),
            "dest",
        ),
    ];
    let mut node = Node::n1();
    let mut lines = 1;
    let mut reported = Vec::new();
    for (name, line, reason) in &cases {
        node.write_line(line);
        lines += 1;
        reported.push((*name, lines, *reason));
        assert_eq!(node.stats(), (0, 0), "after {name}");
        lines += 1;
    }
    let finished = node.finish();
    assert!(finished.status.success());
    let stderr: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(stderr.len(), reported.len(), "{stderr:#?}");
    for ((name, number, reason), line) in reported.into_iter().zip(stderr) {
        assert!(line.contains(&format!("line {number} ")), "{name}: {line}");
        assert!(line.contains(reason), "{name}: {line}");
        assert!(
            line.len() < 200,
            "{name}: the line of {} bytes is too long",
            line.len()
        );
    }
}

/// Each row has a name, the fields besides `msg_id`, the code, and the words that the text must contain.
fn malformed_bodies_get_code_12_and_unknown_types_code_10() {
    let cases = [
        (
            "init without node_id",
            r#""type":"init","node_ids":["n1"]"#,
            12,
            ["node_id:", "string"],
        ),
        (
            "node_id ill-typed",
            r#""type":"init","node_id":1,"node_ids":["n1"]"#,
            12,
            ["node_id:", "string"],
        ),
        (
            "node_id a lone surrogate",
            r#""type":"init","node_id":"\ud83d","node_ids":["n1"]"#,
            12,
            ["node_id:", "Unicode string"],
        ),
        (
            "init without node_ids",
            r#""type":"init","node_id":"n1""#,
            12,
            ["node_ids:", "array"],
        ),
        (
            "node_ids ill-typed",
            r#""type":"init","node_id":"n1","node_ids":"n1""#,
            12,
            ["node_ids:", "array"],
        ),
        (
            "one of node_ids ill-typed",
            r#""type":"init","node_id":"n1","node_ids":["n1",2]"#,
            12,
            ["node_ids:", "strings"],
        ),
        (
            "one of node_ids a lone surrogate",
            r#""type":"init","node_id":"n1","node_ids":["n1","\ud83d"]"#,
            12,
            ["node_ids:", "Unicode strings"],
        ),
        (
            "start without port",
            r#""type":"tcp_echo_start""#,
            12,
            ["port:", "65535"],
        ),
        (
            "port null",
            r#""type":"tcp_echo_start","port":null"#,
            12,
            ["port:", "65535"],
        ),
        (
            "port a string",
            r#""type":"tcp_echo_start","port":"8080""#,
            12,
            ["port:", "\"8080\""],
        ),
        (
            "port a list",
            r#""type":"tcp_echo_start","port":[8080]"#,
            12,
            ["port:", "[8080]"],
        ),
        (
            "port a boolean",
            r#""type":"tcp_echo_start","port":true"#,
            12,
            ["port:", "true"],
        ),
        (
            "port not an integer",
            r#""type":"tcp_echo_start","port":80.5"#,
            12,
            ["port:", "80.5"],
        ),
        (
            "port with a fraction",
            r#""type":"tcp_echo_start","port":8080.0"#,
            12,
            ["port:", "8080.0"],
        ),
        (
            "port with an exponent",
            r#""type":"tcp_echo_start","port":8e3"#,
            12,
            ["port:", "8e3"],
        ),
        (
            "port below the range",
            r#""type":"tcp_echo_start","port":-1"#,
            12,
            ["port:", "-1"],
        ),
        (
            "port above the range",
            r#""type":"tcp_echo_start","port":65536"#,
            12,
            ["port:", "65536"],
        ),
        (
            "port far above the range",
            r#""type":"tcp_echo_start","port":18446744073709559696"#,
            12,
            ["port:", "18446744073709559696"],
        ),
        (
            "send without data",
            r#""type":"tcp_echo_send""#,
            12,
            ["data:", "string"],
        ),
        (
            "data null",
            r#""type":"tcp_echo_send","data":null"#,
            12,
            ["data:", "string"],
        ),
        (
            "data a number",
            r#""type":"tcp_echo_send","data":5"#,
            12,
            ["data:", "string"],
        ),
        (
            "data a list",
            r#""type":"tcp_echo_send","data":["hello"]"#,
            12,
            ["data:", "string"],
        ),
        (
            "half a surrogate pair, the first",
            r#""type":"tcp_echo_send","data":"\ud83d""#,
            12,
            ["data:", "Unicode string"],
        ),
        (
            "half a surrogate pair, the second",
            r#""type":"tcp_echo_send","data":"a\ude00b""#,
            12,
            ["data:", "Unicode string"],
        ),
        (
            "surrogates in the wrong order",
            r#""type":"tcp_echo_send","data":"\ude00\ud83d""#,
            12,
            ["data:", "Unicode string"],
        ),
        (
            "data given twice, last one bad",
            r#""type":"tcp_echo_send","data":"x","data":1"#,
            12,
            ["data:", "string"],
        ),
        (
            "echo without echo",
            r#""type":"echo""#,
            12,
            ["echo:", "JSON"],
        ),
        (
            "echo with a lone surrogate",
            r#""type":"echo","echo":{"a":["\ud83d"]}"#,
            12,
            ["echo:", "whose strings are Unicode"],
        ),
        ("no type", r#""data":"hello""#, 12, ["type:", "string"]),
        ("type null", r#""type":null"#, 12, ["type:", "string"]),
        (
            "type ill-typed",
            r#""type":["init"]"#,
            12,
            ["type:", "string"],
        ),
        (
            "type a lone surrogate",
            r#""type":"ec\ud83dho""#,
            12,
            ["type:", "Unicode string"],
        ),
        (
            "unknown type",
            r#""type":"tcp_echo_dance""#,
            10,
            ["type:", "tcp_echo_dance"],
        ),
        (
            "type in upper case",
            r#""type":"ECHO","echo":1"#,
            10,
            ["type:", "ECHO"],
        ),
        (
            "a reply's type",
            r#""type":"echo_ok","echo":1"#,
            10,
            ["type:", "echo_ok"],
        ),
        ("empty type", r#""type":"""#, 10, ["type:", ""]),
    ];
    let (mut node, _) = Node::listening();
    for (name, fields, code, mentions) in cases {
        let id = node.ask_text(fields);
        let reply = node.reply_to(id);
        println!("{name}: {reply}");
        assert_error(&reply, code, &mentions);
        node.send(name);
    }
    node.finish_well();
}

/// The error has no `in_reply_to`, because the request's `msg_id` is missing or malformed.
fn unusable_msg_id_gets_an_error_without_in_reply_to() {
    let (mut node, _) = Node::listening();
    for msg_id in [
        "",
        r#","msg_id":null"#,
        r#","msg_id":"7""#,
        r#","msg_id":7.0"#,
        r#","msg_id":[7]"#,
    ] {
        for fields in [
            r#""type":"tcp_echo_stats""#,
            r#""type":"tcp_echo_send","data":1"#,
            r#""type":"x""#,
        ] {
            node.write_line(format!(
                r#"{{"src":"c1","dest":"n1","body":{{{fields}{msg_id}}}}}"#
            ));
            assert_error(&node.reply(), 12, &["msg_id:", "integer"]);
            node.send("next");
        }
    }
    node.finish_well();
}

/// A `msg_id` may be an integer of any size and sign. The reply repeats it unchanged.
fn unusual_msg_ids_are_repeated_unchanged() {
    let mut node = Node::n1();
    for id in ["0", "-5", "18446744073709551616"] {
        node.write_line(format!(
            r#"{{"src":"c1","dest":"n1","body":{{"type":"tcp_echo_dance","msg_id":{id}}}}}"#
        ));
        let line = node.line();
        assert!(
            line.contains(&format!(r#""in_reply_to": {id}, "code": 10, "#)),
            "{line}"
        );
    }
    node.finish_well();
}

fn errors_have_the_task_format() {
    let mut node = Node::n1();
    node.write_line(r#"{"src":"c1","dest":"n1","body":{"type":"nonsense","msg_id":9}}"#);
    let line = node.line();
    let text = serde_json::from_str::<Value>(&line).expect("JSON")["body"]["text"].to_string();
    assert_eq!(
        line,
        format!(
            r#"{{"src": "n1", "dest": "c1", "body": {{"type": "error", "in_reply_to": 9, "code": 10, "text": {text}, "msg_id": 1}}}}"#
        )
    );
    node.finish_well();
}

fn requests_before_init_get_code_11() {
    let mut node = Node::start(&[]);
    for body in [
        json!({"type": "tcp_echo_start", "port": 0}),
        json!({"type": "tcp_echo_send", "data": "too early"}),
        json!({"type": "tcp_echo_stats"}),
        json!({"type": "tcp_echo_stop"}),
        json!({"type": "echo", "echo": 1}),
    ] {
        node.fails(body, 11, &["init"]);
    }
    // A refused init has no effect.
    node.fails(json!({"type": "init", "node_id": "n1"}), 12, &["node_ids:"]);
    node.fails(json!({"type": "tcp_echo_stats"}), 11, &["init"]);
    let mut node = node.initialized();
    assert_eq!(node.stats(), (0, 0));
    node.finish_well();
}

fn replies_are_ignored() {
    let (mut node, _) = Node::listening();
    for fields in [
        r#""type":"tcp_echo_send","data":"x","in_reply_to":1"#,
        r#""type":"error","code":11,"text":"x","in_reply_to":0"#,
        r#""type":5,"in_reply_to":1"#,
    ] {
        node.ask_text(fields);
        node.send("next");
    }
    assert_eq!(node.stats(), (3, 12));
    assert!(node.finish().status.success());
}

fn send_and_stop_without_server_get_code_22() {
    let mut node = Node::n1();
    let send = json!({"type": "tcp_echo_send", "data": "x"});
    let stop = json!({"type": "tcp_echo_stop"});
    for body in [&send, &stop] {
        node.fails(body.clone(), 22, &["tcp_echo_start"]);
    }
    node.listen();
    node.send("now");
    node.request(stop.clone());
    for body in [send, stop] {
        node.fails(body, 22, &["tcp_echo_start"]);
    }
    node.listen();
    node.send("and again");
    node.finish_well();
}

fn start_on_a_second_port_gets_code_22() {
    let (mut node, server) = Node::listening();
    let open = client(server);
    converse(&open, b"before");
    let other = unused_port();
    node.fails(
        json!({"type": "tcp_echo_start", "port": other}),
        22,
        &[&server.port().to_string()],
    );
    TcpStream::connect(("127.0.0.1", other)).expect_err("nothing listens there");
    // The running server is unaffected.
    converse(&open, b"after");
    converse(&client(server), b"new");
    node.send("own");
    node.finish_well();
}

fn port_in_use_gets_code_11() {
    let owner = TcpListener::bind(("127.0.0.1", unused_port())).expect("an unused port");
    let server = owner.local_addr().expect("an address");
    let mut node = Node::n1();
    let before = node.descriptors();
    let start = json!({"type": "tcp_echo_start", "port": server.port()});
    let text = format!("bind {server}: EADDRINUSE (98): Address already in use");
    node.fails(start.clone(), 11, &[&text]);
    node.fails(json!({"type": "tcp_echo_send", "data": "x"}), 22, &[]);
    assert_eq!(node.descriptors(), before, "nothing is left open");
    drop(owner);
    // A child that another test has just forked has a copy of the owner's socket until its `execve`.
    eventually("the port is free", || {
        let reply = node.request(start.clone());
        let listens = reply["status"] == "listening";
        if !listens {
            assert_error(&reply, 11, &[&text]);
        }
        listens.then_some(())
    });
    node.send("now");
    node.finish_well();
}

/// The address is reserved for documentation (RFC 5737), so no machine should have it.
fn foreign_bind_address_gets_code_14() {
    let mut node = Node::start(&["--bind", "192.0.2.1"]).initialized();
    let before = node.descriptors();
    let text = "bind 192.0.2.1:0: EADDRNOTAVAIL (99): Cannot assign requested address";
    for _ in 0..2 {
        node.fails(json!({"type": "tcp_echo_start", "port": 0}), 14, &[text]);
        node.fails(json!({"type": "echo", "echo": 1}), 14, &[text]);
    }
    assert_eq!(node.descriptors(), before, "nothing is left open");
    assert_eq!(node.stats(), (0, 0));
    node.finish_well();
}

fn privileged_port_gets_code_14() {
    let mut command = program();
    with_pipes(&mut command);
    const CAP_NET_BIND_SERVICE: libc::c_ulong = 10;
    // SAFETY: the closure only makes a system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Takes the capability from root too. For other users the call fails, and they do not have it.
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0);
            Ok(())
        });
    }
    let mut node = Node::spawn(&mut command).initialized();
    node.fails(
        json!({"type": "tcp_echo_start", "port": 1}),
        14,
        &["bind 127.0.0.1:1: EACCES (13): Permission denied"],
    );
    node.listen();
    node.send("next");
    node.finish_well();
}

/// The lone surrogate is in a field that the node ignores, and JSON's grammar allows it.
fn ignored_fields_may_contain_lone_surrogates() {
    let mut node = Node::n1();
    let id = node.ask_text(r#""type":"tcp_echo_stats","note":"\ud800""#);
    assert_eq!(node.reply_to(id)["type"], "tcp_echo_stats_ok");
    node.finish_well();
}

fn init_succeeds_after_unparsable_lines() {
    let mut node = Node::start(&[]);
    node.write("rubbish\n\n\r\n   \n");
    node.write_line(INIT);
    assert_eq!(node.line(), INIT_OK);
    let finished = node.finish();
    assert!(finished.status.success());
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

witness::tests! {
    unanswerable_lines_are_reported_and_skipped;
    malformed_bodies_get_code_12_and_unknown_types_code_10;
    unusable_msg_id_gets_an_error_without_in_reply_to;
    unusual_msg_ids_are_repeated_unchanged;
    errors_have_the_task_format;
    requests_before_init_get_code_11;
    replies_are_ignored;
    send_and_stop_without_server_get_code_22;
    start_on_a_second_port_gets_code_22;
    port_in_use_gets_code_11;
    foreign_bind_address_gets_code_14;
    privileged_port_gets_code_14: PrivilegedPorts;
    ignored_fields_may_contain_lone_surrogates;
    init_succeeds_after_unparsable_lines;
}
