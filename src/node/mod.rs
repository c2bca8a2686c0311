//! The Maelstrom node: reads JSON requests from standard input, acts on them with the echo engine,
//! and writes JSON replies to standard output.
//!
//! Start here to follow a request: [`run`] takes it from the input, and `Node::handle` parses and answers it.
//! `request` holds the types of requests, `wire` the JSON of requests and replies, and `error` Maelstrom's
//! error codes.

mod error;
mod request;
mod wire;

use core::net::{IpAddr, SocketAddr};
use std::mem;
use std::time::Duration;

use syscalls::{Errno, Kernel};

use crate::engine::{Counts, Engine, RoundTripError};
use crate::stdio::{
    ExitReason, Input, Line, MAX_LINE_BYTES, MAX_RETAINED_BYTES, Output, diagnostic,
};
pub use error::{Code, Error};
use request::Request;
use wire::{Message, Outgoing, Reply};

/// The time for which `tcp_echo_stop` waits for open connections to end before it closes them.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of bytes of collected replies at which they are written, even if more requests are waiting.
const FLUSH_BYTES: usize = 64 * 1024;

/// The number of round trips whose replies are batched into one write while more requests are waiting
/// and no round trip blocks. Each write wakes the reader, which costs about a tenth of a round trip;
/// 16 round trips take about a millisecond.
const MAX_ROUND_TRIPS_PER_FLUSH: u32 = 16;

/// The port number with which `bind` picks a free port.
const ANY_PORT: u16 = 0;

/// Runs a node until its input ends. The node's server runs on `engine`, and listens on the address `bind`
/// after a request has started it.
///
/// # Errors
/// Returns the reason if the node has to exit before the end of its input.
pub fn run<K: Kernel>(kernel: K, engine: Engine<K>, bind: IpAddr) -> Result<(), ExitReason> {
    let mut input = Input::new(kernel.clone());
    let mut output = Output::new(kernel.clone());
    let echo = Vec::new();
    let mut node = Node {
        kernel,
        engine,
        bind,
        id: None,
        next_msg_id: 0,
        round_trips: 0,
        echo,
    };
    while !input.ended() {
        while let Some((number, line)) = input.next_line() {
            match line {
                Line::Bytes(line) => node.handle(number, line, &mut output)?,
                Line::TooLong => {
                    node.diagnostic(number, &format!("longer than {MAX_LINE_BYTES} bytes"))
                }
            }
            if output.lines.len() >= FLUSH_BYTES || node.round_trips >= MAX_ROUND_TRIPS_PER_FLUSH {
                node.flush(&mut output)?;
            }
        }
        node.flush(&mut output)?;
        if !input.ended() {
            input.fill(&mut node.engine)?;
        }
    }
    Ok(())
}

/// A node of a Maelstrom network.
struct Node<K: Kernel> {
    kernel: K,
    engine: Engine<K>,
    bind: IpAddr,
    /// The node's id; `None` before `init`.
    id: Option<String>,
    /// The `msg_id` of the next reply.
    next_msg_id: u64,
    /// Round trips since the last flush.
    round_trips: u32,
    /// The buffer for echoed bytes, kept to reuse its memory.
    echo: Vec<u8>,
}

impl<K: Kernel> Node<K> {
    /// Reports on standard error why line `number` is ignored.
    fn diagnostic(&self, number: u64, reason: &str) {
        diagnostic(
            &self.kernel,
            format_args!("line {number} is ignored: {reason}"),
        );
    }

    /// Writes the collected replies.
    fn flush(&mut self, output: &mut Output<K>) -> Result<(), ExitReason> {
        self.round_trips = 0;
        output.flush(&mut self.engine)
    }

    /// Handles line `number` of the input, and appends the reply, if any, to `output`.
    fn handle(
        &mut self,
        number: u64,
        line: &[u8],
        output: &mut Output<K>,
    ) -> Result<(), ExitReason> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let Message { src, dest, body } = match Message::parse(line) {
            Ok(message) => message,
            Err(reason) => {
                self.diagnostic(number, &reason);
                return Ok(());
            }
        };
        // Before `init`, any `dest` is accepted.
        let Some(dest) = dest.filter(|dest| self.id.as_ref().is_none_or(|id| dest == id)) else {
            self.diagnostic(number, "dest: expected this node's id");
            return Ok(());
        };
        if body.in_reply_to.is_some_and(|id| id.get() != "null") {
            return Ok(());
        }
        let request = Request::parse(&body, self.id.is_some());
        if matches!(request, Ok(Request::TcpEchoStop)) {
            // Draining may take a second, which must not delay earlier replies.
            self.flush(output)?;
        }
        let mut echo = mem::take(&mut self.echo);
        let reply = request.and_then(|request| self.answer(request, &mut echo, output));
        let message = Outgoing {
            src: self.id.as_deref().unwrap_or(&dest),
            dest: &src,
            in_reply_to: body.msg_id.filter(|id| wire::is_integer(id)),
            reply: reply.unwrap_or_else(Reply::Error),
            msg_id: self.next_msg_id,
        };
        message.write(&mut output.lines);
        self.next_msg_id += 1;
        echo.clear();
        echo.shrink_to(MAX_RETAINED_BYTES);
        self.echo = echo;
        Ok(())
    }

    /// Executes a request. Echoed bytes go into `echo`. If a round trip has to block, the earlier replies
    /// in `output` are written first.
    fn answer<'e>(
        &mut self,
        request: Request<'_>,
        echo: &'e mut Vec<u8>,
        output: &mut Output<K>,
    ) -> Result<Reply<'e>, Error> {
        match request {
            Request::Init { node_id } => {
                self.id = Some(node_id.into_owned());
                Ok(Reply::InitOk)
            }
            Request::TcpEchoStart { port } => self.start(port),
            Request::TcpEchoSend { data } => {
                let server = self.engine.address().ok_or_else(no_server)?;
                self.round_trip(server, data.as_bytes(), echo, output)?;
                let echoed = std::str::from_utf8(echo).map_err(corrupt)?;
                Ok(Reply::TcpEchoSendOk { echoed })
            }
            Request::TcpEchoStats => {
                let Counts { connections, bytes } = self.engine.totals();
                Ok(Reply::TcpEchoStatsOk {
                    total_connections: connections,
                    total_bytes: bytes,
                })
            }
            Request::TcpEchoStop => {
                let server = self.engine.address().ok_or_else(no_server)?;
                self.engine.stop(DRAIN_TIMEOUT);
                Ok(Reply::TcpEchoStopOk {
                    port: server.port(),
                })
            }
            Request::Echo { echo: value } => {
                let server = match self.engine.address() {
                    Some(server) => server,
                    None => self.listen(ANY_PORT)?,
                };
                self.round_trip(server, value.get().as_bytes(), echo, output)?;
                let echo = serde_json::from_slice(echo).map_err(corrupt)?;
                Ok(Reply::EchoOk { echo })
            }
        }
    }

    /// Sends `message` to the server and reads its echo. If the round trip has to block, the earlier replies
    /// in `output` are written first, so that they are not delayed.
    fn round_trip(
        &mut self,
        server: SocketAddr,
        message: &[u8],
        echo: &mut Vec<u8>,
        output: &mut Output<K>,
    ) -> Result<(), RoundTripError> {
        self.round_trips += 1;
        self.engine
            .round_trip(server, message, echo, &mut || output.write_now())
    }

    fn start(&mut self, port: u16) -> Result<Reply<'static>, Error> {
        let port = match self.engine.address().map(|address| address.port()) {
            None => self.listen(port)?.port(),
            Some(running) if port == running || port == ANY_PORT => running,
            Some(running) => {
                let text =
                    format!("the server listens on port {running}; send tcp_echo_stop first");
                return Err(Error::new(Code::PreconditionFailed, text));
            }
        };
        Ok(Reply::TcpEchoStartOk { port })
    }

    fn listen(&mut self, port: u16) -> Result<SocketAddr, Error> {
        let address = SocketAddr::new(self.bind, port);
        self.engine.start(address).map_err(|failure| {
            let code = match failure.errno {
                Errno::EADDRINUSE => Code::TemporarilyUnavailable,
                _ => Code::Abort,
            };
            Error::new(code, failure.to_string())
        })
    }
}

fn no_server() -> Error {
    Error::new(
        Code::PreconditionFailed,
        "no server is listening; send tcp_echo_start first",
    )
}

/// Returns the error for an echo that is not valid text or JSON, and therefore differs from the data sent.
fn corrupt(error: impl std::error::Error) -> Error {
    Error::new(
        Code::Crash,
        format!("the echoed data is corrupt: {error}; try again"),
    )
}
