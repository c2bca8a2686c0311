//! Draws the input lines of a run: valid and malformed requests, and lines that get no reply.

use fastrand::Rng;
use serde_json::json;

use crate::faults::choose;
use crate::model::{Request, RequestKind};

/// The ports that start requests name. 0 picks a free port.
const PORTS: [u16; 4] = [8080, 8080, 9090, 0];

/// Lengths of messages: empty, small, around the size of a buffer, and the largest capacity of a connection.
const LENGTHS: [usize; 8] = [0, 1, 11, 100, 1_000, 5_000, 66_000, 200_000];

/// The fields of which one is malformed or missing in a malformed request.
const FIELDS: [&str; 5] = ["port", "data", "type", "node_id", "echo"];

/// A line of the input.
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    /// The request, if the line gets a reply.
    pub(crate) request: Option<Request>,
    /// Whether it is written only after the outside clients have finished.
    pub(crate) last: bool,
}

/// Draws the lines of a run.
pub(crate) fn draw(rng: &mut Rng) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut ids = 0;
    let mut add = |rng: &mut Rng, kind: RequestKind, last| {
        ids += 1;
        lines.push(Line {
            last,
            ..line(rng, kind, ids)
        });
    };
    if rng.u8(..8) == 0 {
        let early = draw_kind(rng);
        add(rng, early, false);
    }
    add(rng, RequestKind::Init { id: "n1".into() }, false);
    if rng.u8(..16) != 0 {
        let port = *choose(rng, &PORTS);
        add(rng, RequestKind::Start { port }, false);
    }
    for _ in 0..rng.u8(..14) {
        let next = draw_kind(rng);
        add(rng, next, false);
    }
    add(rng, RequestKind::Stats, true);
    if rng.bool() {
        for last in [RequestKind::Stop, RequestKind::Stats] {
            add(rng, last, true);
        }
    }
    if rng.bool() {
        let port = *choose(rng, &PORTS);
        let data = "after all".into();
        for last in [
            RequestKind::Start { port },
            RequestKind::Send { data },
            RequestKind::Stats,
        ] {
            add(rng, last, true);
        }
    }
    for i in (0..=lines.len()).rev() {
        if rng.u8(..16) == 0 {
            let last = lines.get(i).is_some_and(|line| line.last);
            // Before `init`, the node accepts any `dest`.
            let named = i > 1;
            lines.insert(i, noise(rng, last, named));
        }
    }
    lines
}

fn draw_kind(rng: &mut Rng) -> RequestKind {
    match rng.u8(..32) {
        0..12 => RequestKind::Send { data: data(rng) },
        12..16 => RequestKind::Echo {
            json: any_json(rng),
        },
        16..20 => RequestKind::Stats,
        20..22 => RequestKind::Stop,
        22..26 => RequestKind::Start {
            port: *choose(rng, &PORTS),
        },
        26 => RequestKind::Init { id: "n1".into() },
        27 => RequestKind::Unknown,
        28..30 => RequestKind::Malformed(FIELDS[rng.usize(..FIELDS.len())]),
        30 => RequestKind::NoMessageId,
        _ => RequestKind::Send {
            data: "hello world".into(),
        },
    }
}

fn data(rng: &mut Rng) -> String {
    let length = match rng.u8(..16) {
        0 => *choose(rng, &LENGTHS),
        _ => *choose(rng, &LENGTHS[..6]),
    };
    if length <= 100 && rng.bool() {
        return [
            "",
            "\0",
            "\"\\\u{7}\r\n\t",
            "😀 שלום",
            "\u{2028}é",
            "a\u{fffd}",
        ]
        .into_iter()
        .cycle()
        .skip(rng.usize(..6))
        .take(rng.usize(1..6))
        .collect();
    }
    (0..length).map(|_| rng.alphanumeric()).collect()
}

fn any_json(rng: &mut Rng) -> String {
    let text = data(rng);
    match rng.u8(..5) {
        0 => "null".into(),
        1 => json!({ "a": [1, 2.5, { "b:,": text }], "c": [] }).to_string(),
        2 => format!("[ {} , {{ }},\t-7 ]", rng.u32(..)),
        3 => json!(text).to_string(),
        _ => format!("\"Please echo {}\"", rng.u32(..)),
    }
}

/// Returns the line of a request of kind `kind`, with message ID `id`.
fn line(rng: &mut Rng, kind: RequestKind, id: u64) -> Line {
    let src = format!("c{}", rng.u8(..3));
    let dest = "n1";
    let has_id = kind != RequestKind::NoMessageId;
    let body = match &kind {
        RequestKind::Init { id } => {
            format!("\"type\":\"init\",\"node_id\":\"{id}\",\"node_ids\":[\"{id}\"]")
        }
        RequestKind::Start { port } => format!("\"type\":\"tcp_echo_start\",\"port\":{port}"),
        RequestKind::Send { data } => {
            format!("\"type\":\"tcp_echo_send\",\"data\":{}", json!(data))
        }
        RequestKind::Echo { json } => format!("\"type\":\"echo\",\"echo\":{json}"),
        RequestKind::Stats => "\"type\":\"tcp_echo_stats\"".into(),
        RequestKind::Stop => "\"type\":\"tcp_echo_stop\",\"unknown\":{}".into(),
        RequestKind::Unknown => "\"type\":\"tcp_echo_fly\"".into(),
        RequestKind::Malformed("port") => "\"type\":\"tcp_echo_start\",\"port\":65536".into(),
        RequestKind::Malformed("data") => "\"type\":\"tcp_echo_send\",\"data\":\"\\ud800\"".into(),
        RequestKind::Malformed("node_id") => {
            "\"type\":\"init\",\"node_id\":1,\"node_ids\":[]".into()
        }
        RequestKind::Malformed("echo") => "\"type\":\"echo\"".into(),
        RequestKind::Malformed(_) => "\"type\":7".into(),
        RequestKind::NoMessageId => "\"type\":\"tcp_echo_stats\",\"msg_id\":\"1\"".into(),
    };
    let msg_id = if has_id {
        format!(",\"msg_id\":{id}")
    } else {
        String::new()
    };
    // The fields have one of two orders.
    let text = if rng.bool() {
        format!("{{\"src\":\"{src}\",\"dest\":\"{dest}\",\"body\":{{{body}{msg_id}}}}}")
    } else {
        let msg_id = msg_id.trim_start_matches(',');
        let comma = if has_id { "," } else { "" };
        format!(
            "{{\"id\":{id},\"body\":{{{msg_id}{comma}{body}}}, \"dest\": \"{dest}\",\"src\":\"{src}\"}}"
        )
    };
    let ending = if rng.u8(..8) == 0 { "\r\n" } else { "\n" };
    Line {
        text: (text + ending).into_bytes(),
        request: Some(Request {
            src,
            dest: dest.into(),
            msg_id: id,
            kind,
            end: 0,
        }),
        last: false,
    }
}

/// Returns a line that gets no reply.
fn noise(rng: &mut Rng, last: bool, named: bool) -> Line {
    let texts: [&[u8]; 8] = [
        b"\n",
        b"  \r\n",
        b"not JSON\n",
        b"[1, 2]\n",
        b"\xff\xfe\n",
        b"{\"src\":\"c1\",\"dest\":\"n1\"}\n",
        b"{\"src\":\"c1\",\"dest\":\"n2\",\"body\":{\"type\":\"tcp_echo_stats\",\"msg_id\":7}}\n",
        b"{\"src\":\"c1\",\"dest\":\"n1\",\"body\":{\"type\":\"echo_ok\",\"in_reply_to\":0,\"msg_id\":7}}\n",
    ];
    Line {
        text: choose(rng, if named { &texts } else { &texts[..6] }).to_vec(),
        request: None,
        last,
    }
}
