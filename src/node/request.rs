//! What a request asks for, read from the fields of its body.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::{Code, Error};
use super::wire::{self, Body};

/// Bytes of a request's own text that an error repeats: enough to recognize it by.
const EXCERPT: usize = 64;

/// A request that is complete and well-formed.
#[derive(Debug)]
pub enum Request<'a> {
    Init { node_id: Cow<'a, str> },
    TcpEchoStart { port: u16 },
    TcpEchoSend { data: Cow<'a, str> },
    TcpEchoStats,
    TcpEchoStop,
    Echo { echo: &'a RawValue },
}

impl<'a> Request<'a> {
    /// Reads the request of `body`. Only `init` is taken from a node that is not `initialized`.
    pub fn parse(body: &Body<'a>, initialized: bool) -> Result<Request<'a>, Error> {
        if !body.msg_id.is_some_and(wire::is_integer) {
            return Err(ill_typed("msg_id", "an integer", body.msg_id));
        }
        let r#type = field("type", "a string", body.r#type, wire::text)?;
        if !initialized && r#type != "init" {
            let text = "this node has no id yet; send it init first";
            return Err(Error::new(Code::TemporarilyUnavailable, text));
        }
        Ok(match &*r#type {
            "init" => {
                let node_id = field("node_id", "a string", body.node_id, wire::text)?;
                let is_list = |ids| wire::is_array_of_strings(ids).then_some(());
                field("node_ids", "an array of strings", body.node_ids, is_list)?;
                Request::Init { node_id }
            }
            "tcp_echo_start" => {
                let number = |port: &RawValue| port.get().parse().ok();
                let port = field("port", "an integer from 0 to 65535", body.port, number)?;
                Request::TcpEchoStart { port }
            }
            "tcp_echo_send" => {
                let data = field("data", "a string of Unicode text", body.data, wire::text)?;
                Request::TcpEchoSend { data }
            }
            "tcp_echo_stats" => Request::TcpEchoStats,
            "tcp_echo_stop" => Request::TcpEchoStop,
            "echo" => {
                let text = |echo| wire::is_text_throughout(echo).then_some(echo);
                let echo = field("echo", "any JSON of Unicode text", body.echo, text)?;
                Request::Echo { echo }
            }
            unknown => {
                let text = format!("type: this node knows no {}", excerpt(unknown));
                return Err(Error::new(Code::NotSupported, text));
            }
        })
    }
}

/// The field `name` as `read` reads it.
fn field<'a, T>(
    name: &str,
    expected: &str,
    value: Option<&'a RawValue>,
    read: impl FnOnce(&'a RawValue) -> Option<T>,
) -> Result<T, Error> {
    value
        .and_then(read)
        .ok_or_else(|| ill_typed(name, expected, value))
}

fn ill_typed(name: &str, expected: &str, found: Option<&RawValue>) -> Error {
    let found = found.map_or("none".into(), |found| excerpt(found.get()));
    Error::new(
        Code::MalformedRequest,
        format!("{name}: expected {expected}, found {found}"),
    )
}

/// The beginning of `text`, to repeat in an error.
fn excerpt(text: &str) -> Cow<'_, str> {
    let cut = (0..=EXCERPT)
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    if text.len() <= EXCERPT {
        text.into()
    } else {
        format!("{}…", &text[..cut]).into()
    }
}
