//! Sends hostile lines to the node's standard input: nearly valid messages from a grammar, some with
//! changed bytes, and a collection of JSON that has crashed parsers. The node keeps running and answers
//! each line at most once, and a second parser accepts its replies as JSON.

mod common;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use common::Node;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use tinyjson::JsonValue;

/// The longest line that the node parses, in bytes.
const MAX_LINE_BYTES: usize = rawecho::stdio::MAX_LINE_BYTES;

/// A node that receives hostile lines.
struct Victim {
    node: Node,
    /// The `msg_id` of the node's next message.
    next: f64,
}

type Object = HashMap<String, JsonValue>;

impl Victim {
    fn new() -> Victim {
        let mut node = Node::start(&[]);
        node.write_line(common::INIT);
        assert_eq!(node.line(), common::INIT_OK);
        Victim { node, next: 1.0 }
    }

    /// Sends `line`, and returns the body of the reply to it, if there is one.
    fn send(&mut self, line: &[u8]) -> Option<Object> {
        assert!(!line.contains(&b'\n'), "one line");
        self.node.write_line(line);
        self.probe();
        let (name, body) = self.receive();
        if is_answer_to_probe(&body) {
            return None;
        }
        if name != NAME {
            // The line was an `init` with another `node_id`, so the node ignored the probe.
            self.rename(name);
            self.probe();
        }
        let (_, next) = self.receive();
        assert!(is_answer_to_probe(&next), "a second reply: {next:?}");
        Some(body)
    }

    /// Sends a request whose reply is known. A reply before that one answers the hostile line.
    fn probe(&mut self) {
        self.node.write_line(format!(
            r#"{{"src":"c1","dest":"{NAME}","body":{{"type":"tcp_echo_stats","msg_id":{PROBE}}}}}"#
        ));
    }

    /// Changes the `node_id` from `name` to [`NAME`], the addressee of the hostile lines.
    fn rename(&mut self, name: String) {
        let name = JsonValue::from(name).stringify().expect("text");
        self.node.write_line(format!(
            r#"{{"src":"c1","dest":{name},"body":{{"type":"init","msg_id":1,"node_id":"{NAME}","node_ids":["{NAME}"]}}}}"#
        ));
        let (name, body) = self.receive();
        assert_eq!(name, NAME, "{body:?}");
    }

    /// Reads the next message. Returns its sender and its body.
    fn receive(&mut self) -> (String, Object) {
        let line = self.node.line();
        let message: JsonValue = line
            .parse()
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        let mut message: Object = message.try_into().expect("an object");
        assert_eq!(message.len(), 3, "{line}");
        let name: String = take(&mut message, "src");
        let _: String = take(&mut message, "dest");
        let body: Object = take(&mut message, "body");
        assert_eq!(body["msg_id"], JsonValue::from(self.next), "{line}");
        self.next += 1.0;
        let r#type: &String = body["type"].get().expect("a string");
        assert!(r#type == "error" || r#type.ends_with("_ok"), "{line}");
        (name, body)
    }

    /// Checks that the node still answers, exits with success, and has reported only ignored lines on
    /// standard error.
    fn finish(mut self) {
        self.send(br#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_stop","msg_id":1}}"#);
        let end = self.node.finish();
        assert!(end.status.success(), "{}: {}", end.status, end.stderr);
        assert_eq!(end.stdout, "");
        for line in end.stderr.lines() {
            assert!(line.starts_with("rawecho: line "), "{line}");
        }
    }
}

/// The `node_id` of the node.
const NAME: &str = "n1";

/// The `msg_id` of the probes. No hostile line has it.
const PROBE: u32 = 271_828_182;

fn is_answer_to_probe(body: &Object) -> bool {
    body.get("in_reply_to") == Some(&JsonValue::from(f64::from(PROBE)))
}

fn take<T: tinyjson::InnerAsRef + TryFrom<JsonValue>>(object: &mut Object, name: &str) -> T
where
    T::Error: std::fmt::Debug,
{
    object.remove(name).expect(name).try_into().expect(name)
}

/// Returns an `echo` request of `value`.
fn echo(value: &str) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"echo","msg_id":7,"echo":{value}}}}}"#)
}

/// The expected outcome of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// A reply that is not an error.
    Ok,
    /// An error reply with this code.
    Error(f64),
    /// No reply.
    Ignored,
}

/// The stack size for the second parser, which recurses for each level of nesting.
const DEEP_STACK: usize = 1 << 30;

#[test]
fn hostile_json_samples_get_an_answer_or_a_report() {
    let thread = thread::Builder::new().stack_size(DEEP_STACK);
    let outcome = thread.spawn(hostile_collection).expect("a thread").join();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

fn hostile_collection() {
    use Expected::{Error, Ignored, Ok};
    let nested =
        |open: &str, close: &str, times: usize| [open.repeat(times), close.repeat(times)].concat();
    let deep = nested("[", "]", 100_000);
    let body = |fields: &str| format!(r#"{{"src":"c1","dest":"n1","body":{{{fields}}}}}"#);
    #[rustfmt::skip]
    let lines: Vec<(Vec<u8>, Expected)> = vec![
        // The node gets another name. The lines after this one are for its former name.
        (body(r#""type":"init","msg_id":1,"node_id":"n2","node_ids":[]"#).into(), Ok),
        // Deep nesting: of the message, of an ignored value, of a value that is used.
        (deep.clone().into(), Ignored),
        ("[".repeat(100_000).into(), Ignored),
        (r#"{"a":"#.repeat(100_000).into(), Ignored),
        (nested(r#"{"body":"#, "}", 100_000).into(), Ignored),
        (body(&format!(r#""type":"tcp_echo_stats","msg_id":1,"x":{deep}"#)).into(), Ok),
        (echo(&deep).into(), Ok),
        (echo(&nested("[", "]", 50)).into(), Ok),
        (echo(&nested(r#"{"a":["#, "]}", 20).replace("[]", "[1]")).into(), Ok),
        // Numbers.
        (echo("1e999").into(), Ok),
        (echo("-0").into(), Ok),
        (echo(&"9".repeat(10_000)).into(), Ok),
        (echo(&format!("0.{}1", "0".repeat(10_000))).into(), Ok),
        (echo("1e-999999999999999999999").into(), Ok),
        (echo("NaN").into(), Ignored),
        (echo("Infinity").into(), Ignored),
        (echo("01").into(), Ignored),
        (echo("+1").into(), Ignored),
        (echo(".5").into(), Ignored),
        (echo("1.").into(), Ignored),
        (echo("0x10").into(), Ignored),
        (body(&format!(r#""type":"tcp_echo_stats","msg_id":{}"#, "9".repeat(400))).into(), Ok),
        (body(r#""type":"tcp_echo_stats","msg_id":1e0"#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_start","msg_id":1,"port":1e999"#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_start","msg_id":1,"port":-0"#).into(), Error(12.0)),
        // Repeated fields: the last one counts.
        (body(r#""type":"nonsense","msg_id":1,"type":"tcp_echo_stats""#).into(), Ok),
        (body(r#""type":"tcp_echo_stats","msg_id":1,"type":7"#).into(), Error(12.0)),
        (br#"{"src":"c1","src":"c2","dest":"n1","body":{},"body":{"type":"tcp_echo_stats","msg_id":1}}"#.to_vec(), Ok),
        (body(r#""ty\u0070e":"tcp_echo_stats","msg_id":1"#).into(), Ok),
        // Escapes: every valid one, and some invalid ones.
        (echo(r#""\"\\\/\b\f\n\r\t\u0000\u001f\u2028\ud83d\ude00""#).into(), Ok),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\"\\\/\b\f\n\r\t\u0000\u007f\u2028\ud83d\ude00""#).into(), Ok),
        (echo(r#"{"\ud800":1}"#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\ud800""#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\udc00\ud800""#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\ud800\u0041""#).into(), Error(12.0)),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\x41""#).into(), Ignored),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\u00g0""#).into(), Ignored),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\u004""#).into(), Ignored),
        (body(r#""type":"tcp_echo_send","msg_id":1,"data":"\"#).into(), Ignored),
        // Bytes that are not UTF-8, or that JSON does not allow.
        (body("\"type\":\"tcp_echo_send\",\"msg_id\":1,\"data\":\"\0\"").into(), Ignored),
        (body("\"type\":\"tcp_echo_send\",\"msg_id\":1,\"data\":\"\x1f\"").into(), Ignored),
        (body("\"type\":\"tcp_echo_send\",\"msg_id\":1,\"data\":\"\x7f\u{feff}\"").into(), Ok),
        (b"\0".repeat(1000), Ignored),
        ([b"\xef\xbb\xbf", echo("1").as_bytes()].concat(), Ignored),
        ([echo("1").as_bytes(), b"\r"].concat(), Ok),
        (echo("\r[\r1\r]\r").into(), Ok),
        ([echo("1").as_bytes(), b"\0"].concat(), Ignored),
        ([echo("1").as_bytes(), echo("2").as_bytes()].concat(), Ignored),
        ([echo("1").as_bytes(), b","].concat(), Ignored),
        (b"\xff".to_vec(), Ignored),
        (b"\xe2\x82".to_vec(), Ignored),
        (echo("\"~\"").bytes().map(|byte| if byte == b'~' { 0xe2 } else { byte }).collect(), Ignored),
        // An emoji in CESU-8, an overlong slash, a code point above U+10FFFF.
        ([br#"{"src":""#.as_slice(), b"\xed\xa0\xbd\xed\xb8\x80", br#""}"#].concat(), Ignored),
        ([br#"{"src":""#.as_slice(), b"\xc0\xaf", br#""}"#].concat(), Ignored),
        ([br#"{"src":""#.as_slice(), b"\xf4\x90\x80\x80", br#""}"#].concat(), Ignored),
        // Almost JSON, and JSON that is not a message.
        (b"{'src':'c1'}".to_vec(), Ignored),
        (b"{src:1}".to_vec(), Ignored),
        (echo("[1,]").into(), Ignored),
        (echo("/* 1 */ 1").into(), Ignored),
        (echo("True").into(), Ignored),
        (b"null".to_vec(), Ignored),
        (br#"["c1","n1",{"type":"tcp_echo_stats","msg_id":1}]"#.to_vec(), Ignored),
        (body("").into(), Error(12.0)),
        // Lines of the maximum length, and of one byte more.
        ("[".repeat(MAX_LINE_BYTES).into(), Ignored),
        (echo(&format!("\"{}\"", "x".repeat(MAX_LINE_BYTES - echo("\"\"").len()))).into(), Ok),
        (echo(&format!("\"{}\"", "x".repeat(MAX_LINE_BYTES + 1 - echo("\"\"").len()))).into(), Ignored),
        (b"\\".repeat(MAX_LINE_BYTES + 1), Ignored),
    ];
    let mut victim = Victim::new();
    for (line, expected) in &lines {
        let reply = victim.send(line);
        let found = match reply.as_ref() {
            None => Ignored,
            Some(body) => match body.get("code") {
                Some(code) => Error(*code.get().expect("a number")),
                None => Ok,
            },
        };
        let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
        assert_eq!(
            found,
            *expected,
            "{shown} ({} bytes): {reply:?}",
            line.len()
        );
    }
    victim.finish();
}

/// Generates a JSON value or nearly valid JSON.
fn value() -> impl Strategy<Value = String> {
    let number = select(vec![
        "0",
        "-0",
        "1",
        "42",
        "65535",
        "65536",
        "-1",
        "1.0",
        "1e3",
        "1E+400",
        "18446744073709551616",
        "0.1e-7",
        "01",
        "1.",
        "-",
        "NaN",
    ]);
    let character = prop_oneof![
        8 => any::<char>().prop_map(String::from),
        4 => "[ -~]",
        1 => select(vec![
            r"\n", r"\u0000", r#"\""#, r"\\", r"\/", r"\ud83d\ude00", r"\ud800", r"\udfff", r"\x", r"\u12",
        ])
        .prop_map(String::from),
    ];
    let string = proptest::collection::vec(character, 0..8)
        .prop_map(|characters| format!("\"{}\"", characters.concat()));
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "nul", ""]).prop_map(String::from),
        number.prop_map(String::from),
        string,
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let name = select(vec!["\"a\"", "\"type\"", "\"msg_id\"", "\"\"", "a"]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((name, inner), 0..6).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .into_iter()
                    .map(|(name, value)| format!("{name}:{value}"))
                    .collect();
                format!("{{{}}}", fields.join(" , "))
            }),
        ]
    })
}

/// Generates a field of a message's body, mostly with a value that suits its name.
fn field() -> impl Strategy<Value = String> {
    let likely = prop_oneof![
        4 => select(vec![
            "init", "tcp_echo_start", "tcp_echo_send", "tcp_echo_stats", "tcp_echo_stop", "echo",
            "echo_ok", "error", "",
        ])
        .prop_map(|r#type| format!(r#""type":"{type}""#)),
        4 => select(vec!["0", "1", "-7", "123456789012345678901234567890"])
            .prop_map(|id| format!(r#""msg_id":{id}"#)),
        // No fixed port, because another program may use it.
        1 => select(vec!["0", "-1", "65536", "1.0"]).prop_map(|port| format!(r#""port":{port}"#)),
        1 => Just(r#""node_id":"n1","node_ids":["n1"]"#.to_string()),
        1 => "[a-z]{0,9}".prop_map(|data| format!(r#""data":"{data}""#)),
        1 => select(vec!["null", "1"]).prop_map(|id| format!(r#""in_reply_to":{id}"#)),
    ];
    let names = select(vec![
        "type",
        "msg_id",
        "data",
        "echo",
        "node_id",
        "node_ids",
        "in_reply_to",
        "unknown",
        r"d\u0061ta",
    ]);
    prop_oneof![
        3 => likely,
        1 => (names, value()).prop_map(|(name, value)| format!("\"{name}\":{value}")),
    ]
}

/// Generates a line: mostly a message, in which some bytes may be changed.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(field(), 0..8)
        .prop_map(|fields| format!("{{{}}}", fields.join(",")));
    let echo = value().prop_map(|value| format!(r#"{{"type":"echo","msg_id":1,"echo":{value}}}"#));
    let send =
        value().prop_map(|data| format!(r#"{{"msg_id":1,"data":{data},"type":"tcp_echo_send"}}"#));
    let start = Just(r#"{"type":"tcp_echo_start","port":0,"msg_id":1}"#.to_string());
    let body = prop_oneof![8 => body, 4 => echo, 4 => send, 1 => start];
    let message = (body, any::<bool>()).prop_map(|(body, first)| {
        let envelope = r#""src":"c1","id":1,"dest":"n1""#;
        if first {
            format!(r#"{{"body":{body},{envelope}}}"#)
        } else {
            format!(r#" {{ {envelope} , "body" : {body} }} "#)
        }
    });
    let odd_message = (value(), value(), value())
        .prop_map(|(src, dest, body)| format!(r#"{{"src":{src},"dest":{dest},"body":{body}}}"#));
    let text =
        prop_oneof![6 => message, 1 => odd_message, 1 => value()].prop_map(String::into_bytes);
    let no_change = Just(Vec::new());
    let changes = proptest::collection::vec((any::<Index>(), any::<u8>(), 0..4u8), 1..4);
    let line = (text, prop_oneof![2 => no_change, 1 => changes]).prop_map(|(mut line, changes)| {
        for (place, byte, kind) in changes {
            let place = place.index(line.len() + 1);
            match kind {
                0 => line.insert(place, byte),
                1 => line.truncate(place),
                _ if place == line.len() => {}
                2 => line[place] = byte,
                _ => drop(line.remove(place)),
            }
        }
        line
    });
    prop_oneof![9 => line, 1 => proptest::collection::vec(any::<u8>(), 0..64)].prop_map(
        |mut line| {
            line.retain(|&byte| byte != b'\n');
            line
        },
    )
}

#[test]
fn generated_lines_get_an_answer_or_a_report() {
    const LINES: u32 = 5_000;
    let config = Config {
        cases: LINES,
        failure_persistence: None,
        ..Config::default()
    };
    // A failure discards the node: the search for the shortest failing line starts a new one.
    let victim = RefCell::new(Some(Victim::new()));
    let (answered, errors) = (RefCell::new(0), RefCell::new(0));
    let outcome = TestRunner::new(config).run(&line(), |line| {
        let mut current = victim.take().unwrap_or_else(Victim::new);
        if let Some(reply) = current.send(&line) {
            *answered.borrow_mut() += 1;
            *errors.borrow_mut() += u32::from(reply.contains_key("code"));
        }
        victim.replace(Some(current));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (answered, errors) = (answered.into_inner(), errors.into_inner());
    println!("{LINES} lines: {answered} answered, {errors} of them with an error");
    // If almost no generated line is valid, the grammar tests little.
    assert!(
        errors > LINES / 20 && answered - errors > LINES / 50,
        "{answered} answered, {errors} of them with an error"
    );
    victim.take().expect("the last node").finish();
}
