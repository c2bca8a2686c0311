//! The Maelstrom node: JSON requests in, JSON replies out.

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
use crate::workers::Workers;
pub use error::{Code, Error};
use request::Request;
use wire::{Message, Outgoing, Reply};

/// How long `tcp_echo_stop` lets open conversations go on.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Replies are written out when there are this many bytes of them, or nothing more to do.
const FLUSH_BYTES: usize = 64 * 1024;

/// Round trips whose replies are written together, while there are more requests to handle and none
/// has to wait. A write wakes whoever reads, which takes a tenth of a round trip; so many take about
/// a millisecond.
const MAX_ROUND_TRIPS_PER_FLUSH: u32 = 16;

/// The port number that stands for any free one.
const ANY_PORT: u16 = 0;

/// Runs a node until its input ends. Its server, which will listen on the address `bind`, is
/// `engine` with the help of `workers`.
///
/// # Errors
/// Why it had to stop before.
pub fn run<K: Kernel>(
    kernel: K,
    engine: Engine<K>,
    workers: Workers<K>,
    bind: IpAddr,
) -> Result<(), ExitReason> {
    let mut input = Input::new(kernel.clone());
    let mut output = Output::new(kernel.clone());
    let echo = Vec::new();
    let mut node = Node {
        kernel,
        engine,
        workers,
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
    workers: Workers<K>,
    bind: IpAddr,
    /// The node's name, once `init` has told it.
    id: Option<String>,
    /// The `msg_id` of the next message that the node sends.
    next_msg_id: u64,
    /// Round trips since the replies were last written out.
    round_trips: u32,
    /// What came back from the last round trip. Kept for its memory.
    echo: Vec<u8>,
}

impl<K: Kernel> Node<K> {
    /// Tells people why line `number` gets no answer.
    fn diagnostic(&self, number: u64, reason: &str) {
        diagnostic(
            &self.kernel,
            format_args!("line {number} is ignored: {reason}"),
        );
    }

    /// Writes the replies out.
    fn flush(&mut self, output: &mut Output<K>) -> Result<(), ExitReason> {
        self.round_trips = 0;
        output.flush(&mut self.engine)
    }

    /// Handles line `number` of the input, and adds the reply, if there is one, to `output`.
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
        // Before `init` the node has whatever name it is called by.
        let Some(dest) = dest.filter(|dest| self.id.as_ref().is_none_or(|id| dest == id)) else {
            self.diagnostic(number, "dest: expected this node's id");
            return Ok(());
        };
        if body.in_reply_to.is_some_and(|id| id.get() != "null") {
            return Ok(());
        }
        let request = Request::parse(&body, self.id.is_some());
        if matches!(request, Ok(Request::TcpEchoStop)) {
            // Nobody's reply waits for another's.
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

    /// Does what a request asks for. What comes back over a connection goes into `echo`, and before
    /// that is waited for, the earlier replies in `output` are written out.
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
                let echoed = std::str::from_utf8(echo).map_err(garbled)?;
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
                self.workers.stop(&mut self.engine, DRAIN_TIMEOUT);
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
                let echo = serde_json::from_slice(echo).map_err(garbled)?;
                Ok(Reply::EchoOk { echo })
            }
        }
    }

    /// Sends `message` to the server and back. Nobody's reply waits for another's: if this has to
    /// wait, those in `output` are written out before.
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
        let started = self.workers.start(&mut self.engine, address);
        started.map_err(|failure| {
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

/// What came back over a connection is not what any server may send.
fn garbled(error: impl std::error::Error) -> Error {
    Error::new(
        Code::Crash,
        format!("what came back is garbled: {error}; try again"),
    )
}
