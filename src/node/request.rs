//! Requests: typed, parsed from the fields of a message body.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::{Code, Error};
use super::wire::{self, Body};

/// The maximum length in bytes of request text quoted in an error: enough to recognize it.
const MAX_EXCERPT_BYTES: usize = 64;

/// A complete, well-formed request.
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
    /// Parses the request in `body`. Before the node is `initialized`, only `init` is accepted.
    ///
    /// # Errors
    /// - [`Code::MalformedRequest`]: a field is missing or malformed.
    /// - [`Code::TemporarilyUnavailable`]: the node is not `initialized`, and the request is not `init`.
    /// - [`Code::NotSupported`]: the request type is unknown.
    pub fn parse(body: &Body<'a>, initialized: bool) -> Result<Request<'a>, Error> {
        if !body.msg_id.is_some_and(wire::is_integer) {
            return Err(ill_typed("msg_id", "an integer", body.msg_id));
        }
        let r#type = field("type", "a Unicode string", body.r#type, wire::text)?;
        if !initialized && r#type != "init" {
            let text = "the node has no id yet; send init first";
            return Err(Error::new(Code::TemporarilyUnavailable, text));
        }
        Ok(match &*r#type {
            "init" => {
                let node_id = field("node_id", "a Unicode string", body.node_id, wire::text)?;
                let is_list = |ids| wire::is_array_of_strings(ids).then_some(());
                field(
                    "node_ids",
                    "an array of Unicode strings",
                    body.node_ids,
                    is_list,
                )?;
                Request::Init { node_id }
            }
            "tcp_echo_start" => {
                let number = |port: &RawValue| port.get().parse().ok();
                let port = field("port", "an integer from 0 to 65535", body.port, number)?;
                Request::TcpEchoStart { port }
            }
            "tcp_echo_send" => {
                let data = field("data", "a Unicode string", body.data, wire::text)?;
                Request::TcpEchoSend { data }
            }
            "tcp_echo_stats" => Request::TcpEchoStats,
            "tcp_echo_stop" => Request::TcpEchoStop,
            "echo" => {
                let text = |echo| wire::is_text_throughout(echo).then_some(echo);
                let echo = field("echo", "JSON whose strings are Unicode", body.echo, text)?;
                Request::Echo { echo }
            }
            unknown => {
                let text = format!("type: unknown request type {}", excerpt(unknown));
                return Err(Error::new(Code::NotSupported, text));
            }
        })
    }
}

/// Converts the `value` of the field `name` with `read`.
///
/// # Errors
/// [`Code::MalformedRequest`], if the field is missing or `read` returns `None`.
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

/// Returns the beginning of `text`, for quoting in an error.
fn excerpt(text: &str) -> Cow<'_, str> {
    let cut = (0..=MAX_EXCERPT_BYTES)
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    if text.len() <= MAX_EXCERPT_BYTES {
        text.into()
    } else {
        format!("{}…", &text[..cut]).into()
    }
}
