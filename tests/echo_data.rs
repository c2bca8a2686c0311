//! `data` of every kind and length comes back exactly.

mod common;

use common::{Node, eventually};
use serde_json::json;

#[test]
fn empty_data_is_echoed() {
    let (mut node, _) = Node::listening();
    node.send("");
    assert_eq!(node.stats(), (1, 0));
    node.finish_well();
}

#[test]
fn every_character_is_echoed() {
    let (mut node, _) = Node::listening();
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    // A few long texts, so that each character also occurs between many others.
    for some in all.chunks(200_000) {
        node.send(&some.iter().collect::<String>());
    }
    node.finish_well();
}

/// Sends every byte value that JSON text can contain, as UTF-8 and as `\u` escapes. JSON text is UTF-8, which
/// has all byte values except C0, C1 and F5 to FF.
#[test]
fn every_utf8_byte_is_echoed() {
    let text: String = ('\0'..='\u{7ff}')
        .chain(('\u{800}'..='\u{ffff}').step_by(97))
        .chain(('\u{10000}'..=char::MAX).step_by(997))
        .collect();
    let mut seen = [false; 256];
    text.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let missing: Vec<usize> = (0..256).filter(|&byte| !seen[byte]).collect();
    assert_eq!(
        missing,
        [vec![0xc0, 0xc1], (0xf5..=0xff).collect()].concat()
    );

    let (mut node, _) = Node::listening();
    node.send(&text);
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    let id = node.ask_text(&format!(r#""type":"tcp_echo_send","data":"{escaped}""#));
    assert_eq!(
        node.reply_to(id),
        json!({"type": "tcp_echo_send_ok", "echoed": text, "bytes": text.len()})
    );
    node.finish_well();
}

#[test]
fn escapes_and_control_characters_are_echoed() {
    let (mut node, _) = Node::listening();
    for text in [
        "\0",
        "a\0b",
        "\"",
        "\\",
        "\\\"\\",
        "\n",
        "\r\n",
        "line one\nline two\n",
        "\u{7f}\u{80}\u{9f}",
        "\u{2028}\u{2029}\u{feff}",
        "😀👩‍👩‍👧‍👦🏳️‍🌈",
        "שלום עולם \u{202e}مرحبا\u{202c}",
        "e\u{301}\u{fffd}\u{10ffff}\u{ffff}",
        r#"{"src":"c1"}"#,
    ] {
        node.send(text);
    }
    node.finish_well();
}

/// Non-ASCII text is written as UTF-8, and only the characters that JSON must escape are escaped.
#[test]
fn echo_is_written_as_utf8() {
    let (mut node, _) = Node::listening();
    node.ask_text(r#""type":"tcp_echo_send","data":"\u00e9\ud83d\ude00\/\u0000\n""#);
    let line = node.line();
    assert!(
        line.contains(r#""echoed": "é😀/\u0000\n", "bytes": 9, "#),
        "{line}"
    );
    node.finish_well();
}

/// The lengths, up to 1 MiB, include those around the 64 KiB of a pipe and of a read.
#[test]
fn data_of_lengths_around_powers_of_two_is_echoed() {
    let (mut node, _) = Node::listening();
    for power in 0..=20 {
        for len in [(1 << power) - 1, 1 << power, (1 << power) + 1] {
            node.send(&"x".repeat(len));
        }
    }
    node.finish_well();
}

#[test]
fn thirty_two_mebibytes_are_echoed_and_freed() {
    const LEN: usize = 32 * 1024 * 1024;
    let (mut node, _) = Node::listening();
    let before = node.memory();
    let numbers: String = (0..10_000).map(|i| i.to_string()).collect();
    let data = &numbers.repeat(LEN / numbers.len() + 1)[..LEN];
    // Compare the text, because parsing it would take most of the time.
    let id = node.ask_text(&format!(r#""type":"tcp_echo_send","data":"{data}""#));
    let msg_id = id - 1;
    let expected = format!(
        r#"{{"src": "n1", "dest": "c1", "body": {{"type": "tcp_echo_send_ok", "in_reply_to": {id}, "echoed": "{data}", "bytes": {LEN}, "msg_id": {msg_id}}}}}"#
    );
    assert!(node.line() == expected, "32 MiB came back changed");
    eventually("the node frees the memory", || {
        (node.memory() < before + LEN as u64 / 2).then_some(())
    });
    node.finish_well();
}
