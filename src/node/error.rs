//! Errors of the protocol: Maelstrom's codes, with a text.

use crate::engine::RoundTripError;

/// Maelstrom's error codes (its `doc/protocol.md`, "Errors"). All but [`Timeout`](Code::Timeout)
/// and [`Crash`](Code::Crash) are definite: what was asked for has not happened and will not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Nothing moved in time. The bytes may or may not have been echoed.
    Timeout = 0,
    /// No such request.
    NotSupported = 10,
    /// Not now; a later try may succeed.
    TemporarilyUnavailable = 11,
    /// The request is not what it should be.
    MalformedRequest = 12,
    /// Broken halfway. The bytes may or may not have been echoed.
    Crash = 13,
    /// Failed, and the same request will fail again.
    Abort = 14,
    /// The state of the node does not allow it.
    PreconditionFailed = 22,
}

/// An error reply's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of error.
    pub code: Code,
    /// What went wrong and what to do, for people.
    pub text: String,
}

impl Error {
    /// An error of kind `code`.
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
            RoundTripError::Truncated { expected, came } => Error::new(
                Code::Crash,
                format!("the connection ended after {came} of {expected} bytes; try again"),
            ),
            RoundTripError::Stalled => Error::new(
                Code::Timeout,
                format!(
                    "nothing moved on the connection for {} s, so it was closed; try again",
                    crate::engine::STALL_TIMEOUT.as_secs()
                ),
            ),
        }
    }
}
