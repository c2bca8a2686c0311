//! Protocol errors: Maelstrom's codes and a text.

use crate::engine::RoundTripError;

/// Maelstrom's error codes (its `doc/protocol.md`, "Errors"). [`Timeout`](Code::Timeout) and
/// [`Crash`](Code::Crash) are indefinite; all others are definite: the operation did not happen and
/// will not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The connection made no progress in time. The bytes may or may not have been echoed.
    Timeout = 0,
    /// The request type is unknown.
    NotSupported = 10,
    /// The request cannot be served now; a retry may succeed.
    TemporarilyUnavailable = 11,
    /// The request has a missing or malformed field.
    MalformedRequest = 12,
    /// The connection broke after bytes were sent, or the echo was corrupt. The bytes may or may not have
    /// been echoed.
    Crash = 13,
    /// The request failed for another reason, and had no effect.
    Abort = 14,
    /// The state of the node does not allow the request.
    PreconditionFailed = 22,
}

/// The content of an error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of error.
    pub code: Code,
    /// The failure, and how to resolve it.
    pub text: String,
}

impl Error {
    /// Creates an error of kind `code`.
    pub fn new(code: Code, text: impl Into<String>) -> Error {
        Error {
            code,
            text: text.into(),
        }
    }
}

impl From<RoundTripError> for Error {
    fn from(error: RoundTripError) -> Error {
        match error {
            RoundTripError::NotSent(failure) => {
                Error::new(Code::TemporarilyUnavailable, failure.to_string())
            }
            RoundTripError::Broken(failure) => Error::new(Code::Crash, failure.to_string()),
            RoundTripError::Truncated {
                sent,
                expected,
                received,
            } => Error::new(
                match sent {
                    0 => Code::TemporarilyUnavailable,
                    _ => Code::Crash,
                },
                format!("the connection ended after {received} of {expected} bytes; try again"),
            ),
            RoundTripError::Stalled => Error::new(
                Code::Timeout,
                format!(
                    "the connection made no progress for {} s and was closed; try again",
                    crate::engine::STALL_TIMEOUT.as_secs()
                ),
            ),
        }
    }
}
