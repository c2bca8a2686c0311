//! The JSON form of messages: parsing requests and serializing replies.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::error::Error;
use crate::json;

/// A message whose sender can be answered, with the fields of its body still as JSON text.
///
/// Parsing has two steps, so that a request with a malformed field still gets an error reply.
#[derive(Debug)]
pub struct Message<'a> {
    /// The sender.
    pub src: Cow<'a, str>,
    /// The addressee; `None` if it is missing or not a string.
    pub dest: Option<Cow<'a, str>>,
    /// The fields of the body.
    pub body: Body<'a>,
}

/// The body fields that requests use; others are ignored. If a name occurs twice, the last
/// occurrence wins, as in most JSON parsers.
#[derive(Debug, Default)]
pub struct Body<'a> {
    pub r#type: Option<&'a RawValue>,
    pub msg_id: Option<&'a RawValue>,
    pub in_reply_to: Option<&'a RawValue>,
    pub node_id: Option<&'a RawValue>,
    pub node_ids: Option<&'a RawValue>,
    pub port: Option<&'a RawValue>,
    pub data: Option<&'a RawValue>,
    pub echo: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// Parses `line`.
    ///
    /// # Errors
    /// The reason for which the line cannot be answered.
    pub fn parse(line: &'a [u8]) -> Result<Message<'a>, String> {
        let line = std::str::from_utf8(line)
            .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let Line { src, dest, body } = parse_line(line).map_err(|error| reason(line, &error))?;
        let src = src.and_then(text).ok_or("src: expected a Unicode string")?;
        let dest = dest.and_then(text);
        let body = body.ok_or("body: expected an object, found none")?;
        Ok(Message { src, dest, body })
    }
}

/// Describes `error` in `line` without its position, because serde's "line 1" would contradict the number of
/// the line in the input. Does not quote JSON of the wrong type, because payload is never logged.
fn reason(line: &str, error: &serde_json::Error) -> String {
    if error.is_data() {
        let is_object = line.trim_start().starts_with('{');
        let wrong = if is_object { "body: " } else { "" };
        return format!("{wrong}expected an object");
    }
    let text = error.to_string();
    let reason = text.split(" at line ").next();
    reason.unwrap_or_default().to_owned()
}

/// The fields of a message. The body is parsed in the same pass, because scanning the text is half the
/// cost of a line.
#[derive(Default)]
struct Line<'a> {
    src: Option<&'a RawValue>,
    dest: Option<&'a RawValue>,
    body: Option<Body<'a>>,
}

fn parse_line(line: &str) -> serde_json::Result<Line<'_>> {
    let mut json = serde_json::Deserializer::from_str(line);
    let message = json.deserialize_map(LineVisitor)?;
    json.end()?;
    Ok(message)
}

struct LineVisitor;

impl<'a> Visitor<'a> for LineVisitor {
    type Value = Line<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Line<'a>, A::Error> {
        let mut line = Line::default();
        while let Some(key) = map.next_key_seed(Text)? {
            match &*key {
                "src" => line.src = Some(map.next_value()?),
                "dest" => line.dest = Some(map.next_value()?),
                "body" => line.body = Some(map.next_value_seed(BodyVisitor)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(line)
    }
}

struct BodyVisitor;

impl<'a> DeserializeSeed<'a> for BodyVisitor {
    type Value = Body<'a>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Body<'a>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for BodyVisitor {
    type Value = Body<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Body<'a>, A::Error> {
        let mut body = Body::default();
        while let Some(key) = map.next_key_seed(Text)? {
            let field = match &*key {
                "type" => &mut body.r#type,
                "msg_id" => &mut body.msg_id,
                "in_reply_to" => &mut body.in_reply_to,
                "node_id" => &mut body.node_id,
                "node_ids" => &mut body.node_ids,
                "port" => &mut body.port,
                "data" => &mut body.data,
                "echo" => &mut body.echo,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(body)
    }
}

/// A string, borrowed from the JSON text unless it has escapes.
struct Text;

impl<'a> DeserializeSeed<'a> for Text {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Cow<'a, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Text {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Returns the string that `json` represents. Returns `None` if `json` is not a string, or if the string has
/// an unpaired surrogate and is therefore not Unicode text.
pub fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    Text.deserialize(&mut serde_json::Deserializer::from_str(json.get()))
        .ok()
}

/// Returns whether all strings in `json` are Unicode text. JSON's grammar allows an unpaired surrogate
/// (`"\ud800"`), which many parsers reject.
pub fn is_text_throughout(json: &RawValue) -> bool {
    // In JSON a backslash always begins an escape and is followed by an ASCII character.
    let mut rest = json.get();
    while let Some(at) = rest.find('\\') {
        rest = &rest[at..];
        rest = match code_unit(rest) {
            Some(0xd800..0xdc00) => match code_unit(&rest[ESCAPE_BYTES..]) {
                Some(0xdc00..0xe000) => &rest[2 * ESCAPE_BYTES..],
                _ => return false,
            },
            Some(0xdc00..0xe000) => return false,
            Some(_) => &rest[ESCAPE_BYTES..],
            None => &rest[2..],
        };
    }
    true
}

/// The length in bytes of an escape `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// Returns the UTF-16 code unit of the `\uXXXX` escape at the start of `json`, if there is one.
fn code_unit(json: &str) -> Option<u16> {
    u16::from_str_radix(json.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Returns whether `json` is an integer, of any size.
pub fn is_integer(json: &RawValue) -> bool {
    let digits = json.get().strip_prefix('-').unwrap_or(json.get());
    digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether `json` is an array of Unicode strings.
pub fn is_array_of_strings(json: &RawValue) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(json.get())
        .is_ok_and(|items| items.iter().all(|item| text(item).is_some()))
}

/// The type-specific fields of a reply.
#[derive(Debug)]
pub enum Reply<'a> {
    InitOk,
    TcpEchoStartOk {
        port: u16,
    },
    TcpEchoSendOk {
        echoed: &'a str,
    },
    TcpEchoStatsOk {
        total_connections: u64,
        total_bytes: u64,
    },
    TcpEchoStopOk {
        port: u16,
    },
    EchoOk {
        echo: &'a RawValue,
    },
    Error(Error),
}

/// A message from this node.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub src: &'a str,
    pub dest: &'a str,
    /// The request's `msg_id` as JSON text; `None` if it is missing or not an integer.
    pub in_reply_to: Option<&'a RawValue>,
    pub reply: Reply<'a>,
    pub msg_id: u64,
}

impl Outgoing<'_> {
    /// Appends the message to `line`, followed by a newline.
    pub fn write(&self, line: &mut Vec<u8>) {
        json::write_line(line, self);
    }
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_map(None)?;
        message.serialize_entry("src", self.src)?;
        message.serialize_entry("dest", self.dest)?;
        message.serialize_entry("body", &OutgoingBody(self))?;
        message.end()
    }
}

/// The body of a message, with its fields in the order of the README's examples.
struct OutgoingBody<'a>(&'a Outgoing<'a>);

impl Serialize for OutgoingBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Outgoing {
            in_reply_to,
            reply,
            msg_id,
            ..
        } = self.0;
        let mut body = serializer.serialize_map(None)?;
        let r#type = match reply {
            Reply::InitOk => "init_ok",
            Reply::TcpEchoStartOk { .. } => "tcp_echo_start_ok",
            Reply::TcpEchoSendOk { .. } => "tcp_echo_send_ok",
            Reply::TcpEchoStatsOk { .. } => "tcp_echo_stats_ok",
            Reply::TcpEchoStopOk { .. } => "tcp_echo_stop_ok",
            Reply::EchoOk { .. } => "echo_ok",
            Reply::Error(_) => "error",
        };
        body.serialize_entry("type", r#type)?;
        if let Some(in_reply_to) = in_reply_to {
            body.serialize_entry("in_reply_to", in_reply_to)?;
        }
        match reply {
            Reply::InitOk => {}
            Reply::TcpEchoStartOk { port } => {
                body.serialize_entry("status", "listening")?;
                body.serialize_entry("port", port)?;
            }
            Reply::TcpEchoSendOk { echoed } => {
                body.serialize_entry("echoed", echoed)?;
                body.serialize_entry("bytes", &echoed.len())?;
            }
            Reply::TcpEchoStatsOk {
                total_connections,
                total_bytes,
            } => {
                body.serialize_entry("total_connections", total_connections)?;
                body.serialize_entry("total_bytes", total_bytes)?;
            }
            Reply::TcpEchoStopOk { port } => {
                body.serialize_entry("status", "stopped")?;
                body.serialize_entry("port", port)?;
            }
            Reply::EchoOk { echo } => body.serialize_entry("echo", echo)?,
            Reply::Error(Error { code, text }) => {
                body.serialize_entry("code", &(*code as u8))?;
                body.serialize_entry("text", text)?;
            }
        }
        body.serialize_entry("msg_id", msg_id)?;
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn last_of_repeated_fields_counts() {
        let line = r#"{"src": 1, "body": {"port": 3}, "x": [{}], "src": "c1",
            "body": {"data": 1, "y": {}, "\u0064ata": 2}}"#;
        let Message { src, dest, body } = Message::parse(line.as_bytes()).expect("a message");
        assert_eq!((&*src, dest), ("c1", None));
        assert_eq!(body.data.map(RawValue::get), Some("2"));
        assert!(body.port.is_none());
    }

    #[test]
    fn non_object_is_rejected_with_a_reason() {
        for (line, reason) in [
            ("", "EOF"),
            ("[]", "expected an object"),
            ("1", "expected an object"),
            ("{", "EOF"),
            ("{}x", "trailing"),
            (r#"{"src":"c1",}"#, "trailing comma"),
            (r#"{"src":"c1","body":[]}"#, "body: expected an object"),
            (r#"{"src":"c1","body":null}"#, "body: expected an object"),
            (r#"{"src":"c1"}"#, "body: expected an object"),
        ] {
            let told = Message::parse(line.as_bytes()).expect_err(line);
            assert!(told.starts_with(reason), "{line}: {told}");
        }
    }

    #[test]
    fn integers_of_any_size_are_accepted_and_other_values_are_not() {
        for json in ["0", "-1", "123456789012345678901234567890"] {
            assert!(is_integer(raw(json)), "{json}");
        }
        for json in ["1.0", "1e3", "\"1\"", "null", "true", "[1]", "{}"] {
            assert!(!is_integer(raw(json)), "{json}");
        }
    }

    #[test]
    fn lone_surrogate_in_any_string_is_found() {
        for json in [
            r#"[1]"#,
            r#"{"\ud83d\ude00\\ud800":"\u00e9\\"}"#,
            r#""\"\\""#,
        ] {
            assert!(is_text_throughout(raw(json)), "{json}");
        }
        for json in [
            r#"["\ud800"]"#,
            r#"{"a":{"\udfff":1}}"#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud800é""#,
            r#""\\\udc00""#,
        ] {
            assert!(!is_text_throughout(raw(json)), "{json}");
        }
    }

    #[test]
    fn string_with_a_lone_surrogate_is_not_text() {
        assert_eq!(text(raw(r#""\ud83d\ude00""#)).as_deref(), Some("😀"));
        for json in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800x""#,
            r#""\ude00\ud83d""#,
        ] {
            assert!(text(raw(json)).is_none(), "{json}");
        }
    }
}
