//! Checks each reply against its request and the calls that the simulated kernel has seen.

use serde_json::Value;
use syscalls::Errno;

use crate::world::{Attempt, Count, MILLISECOND, World};

/// Maelstrom's error codes that the program uses.
const TIMEOUT: u64 = 0;
const NOT_SUPPORTED: u64 = 10;
const UNAVAILABLE: u64 = 11;
const MALFORMED: u64 = 12;
const CRASH: u64 = 13;
const ABORT: u64 = 14;
const PRECONDITION: u64 = 22;

/// The time without progress, in nanoseconds, after which a request may end with [`TIMEOUT`].
const STALL_TIMEOUT: u64 = rawecho::engine::STALL_TIMEOUT.as_nanos() as u64;

/// The errors of a call that failed because the process or the machine has no free descriptor or memory.
/// The shortage may be temporary.
const SHORTAGES: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];

/// The kind of a request, with the fields that determine its reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RequestKind {
    Init {
        id: String,
    },
    Start {
        port: u16,
    },
    Send {
        data: String,
    },
    Echo {
        json: String,
    },
    Stats,
    Stop,
    Unknown,
    /// A request whose field of this name is malformed or missing.
    Malformed(&'static str),
    NoMessageId,
}

/// A request that must be answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) src: String,
    pub(crate) dest: String,
    pub(crate) msg_id: u64,
    pub(crate) kind: RequestKind,
    /// The offset in the input at which its line ends.
    pub(crate) end: usize,
}

/// The running server.
#[derive(Clone, Copy, Debug)]
struct Server {
    port: u16,
    /// The index of the attempt that made its listener.
    attempt: usize,
}

/// The state of the protocol, derived from the replies so far.
#[derive(Debug)]
pub(crate) struct Model {
    requests: Vec<Request>,
    /// The number of the call that completed the reading of each request's line.
    read_at: Vec<u64>,
    pub(crate) answered: usize,
    id: Option<String>,
    listening: Option<Server>,
    /// The number of the program's attempts that belong to answered requests.
    attempts: usize,
    /// The number of the last call that closed a socket of those attempts.
    attempts_until: u64,
}

impl Model {
    pub(crate) fn new(requests: Vec<Request>) -> Model {
        Model {
            requests,
            read_at: Vec::new(),
            answered: 0,
            id: None,
            listening: None,
            attempts: 0,
            attempts_until: 0,
        }
    }

    /// Records that the program has read the input up to offset `taken` in call number `call`.
    pub(crate) fn read_up_to(&mut self, taken: usize, call: u64) {
        while let Some(request) = self.requests.get(self.read_at.len()) {
            if request.end > taken {
                break;
            }
            self.read_at.push(call);
        }
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.requests.len() - self.answered
    }

    /// Returns the number of attempts that belong to answered requests.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts
    }
}

/// A reply without the parts that all replies have.
struct Reply<'a> {
    /// The text between `"type": ` and `, "msg_id": `.
    own: &'a str,
}

type Checked = Result<(), String>;

impl World {
    /// Records that the program has written `bytes` to standard output, and checks each complete line.
    pub(crate) fn replies_written(&mut self, bytes: &[u8]) {
        self.stdout.line.extend(bytes);
        while let Some(end) = self.stdout.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.stdout.line.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            if let Err(reason) = self.check_reply(&line) {
                let line: String = line.chars().take(200).collect();
                self.violated(
                    "every request gets exactly one correct reply",
                    format!("{reason}; the reply was {line}"),
                );
                return;
            }
        }
    }

    fn check_reply(&mut self, line: &str) -> Checked {
        let index = self.model.answered;
        let request = self.model.requests.get(index).cloned();
        let request = request.ok_or("the reply has no request")?;
        let Some(&read_at) = self.model.read_at.get(index) else {
            return Err("the request has not been read yet".into());
        };
        let src = self.model.id.as_ref().unwrap_or(&request.dest);
        let head = format!(
            "{{\"src\": \"{src}\", \"dest\": \"{}\", \"body\": {{\"type\": ",
            request.src
        );
        let tail = format!(", \"msg_id\": {index}}}}}");
        let is_init = matches!(request.kind, RequestKind::Init { .. });
        let head = match &request.kind {
            RequestKind::Init { id } => format!(
                "{{\"src\": \"{id}\", \"dest\": \"{}\", \"body\": {{\"type\": ",
                request.src
            ),
            _ => head,
        };
        let own = line
            .strip_prefix(&*head)
            .and_then(|line| line.strip_suffix(&*tail))
            .ok_or_else(|| format!("expected {head} … {tail}"))?;
        if serde_json::from_str::<Value>(line).is_err() {
            return Err("the reply is not JSON".into());
        }
        let reply = Reply { own };
        let result = if request.kind == RequestKind::NoMessageId {
            reply.error(None, MALFORMED, "msg_id")
        } else if let RequestKind::Malformed(field @ ("node_id" | "type")) = request.kind {
            reply.error(Some(request.msg_id), MALFORMED, field)
        } else if self.model.id.is_none() && !is_init {
            reply.error(Some(request.msg_id), UNAVAILABLE, "init")
        } else {
            self.check_answer(&request, read_at, &reply)
        };
        result.map_err(|reason| {
            format!(
                "for request {} ({:?}): {reason}",
                request.msg_id,
                shorten(&request.kind)
            )
        })?;
        self.model.answered += 1;
        self.step();
        Ok(())
    }

    fn check_answer(&mut self, request: &Request, read_at: u64, reply: &Reply<'_>) -> Checked {
        let id = request.msg_id;
        match &request.kind {
            RequestKind::Init { id: node } => {
                reply.is(&format!("\"init_ok\", \"in_reply_to\": {id}"))?;
                self.model.id = Some(node.clone());
                Ok(())
            }
            &RequestKind::Start { port } => match self.model.listening.map(|server| server.port) {
                Some(running) if running == port || port == 0 => reply.started(id, running),
                Some(running) => reply.error(Some(id), PRECONDITION, &running.to_string()),
                None => match self.check_start(port, id, reply)? {
                    Some(got) => reply.started(id, got),
                    None => Ok(()),
                },
            },
            RequestKind::Send { data } => {
                if self.model.listening.is_none() {
                    return reply.error(Some(id), PRECONDITION, "");
                }
                if !self.check_round_trip(data.as_bytes(), id, reply)? {
                    return Ok(());
                }
                let echoed = reply.between(
                    &format!("\"tcp_echo_send_ok\", \"in_reply_to\": {id}, \"echoed\": "),
                    &format!(", \"bytes\": {}", data.len()),
                )?;
                match serde_json::from_str::<String>(echoed) {
                    Ok(echoed) if echoed == *data => Ok(()),
                    _ => Err("the echo is not the data of the request".into()),
                }
            }
            RequestKind::Echo { json } => {
                if self.model.listening.is_none() && self.check_start(0, id, reply)?.is_none() {
                    return Ok(());
                }
                if !self.check_round_trip(json.as_bytes(), id, reply)? {
                    return Ok(());
                }
                let echo = reply.between(
                    &format!("\"echo_ok\", \"in_reply_to\": {id}, \"echo\": "),
                    "",
                )?;
                let [came, sent] =
                    [echo, json].map(|json| serde_json::from_str::<Value>(json).ok());
                if came.is_none() || came != sent {
                    return Err("the echo is not the value of the request".into());
                }
                Ok(())
            }
            RequestKind::Stats => self.check_stats(id, read_at, reply),
            RequestKind::Stop => self.check_stop(id, reply),
            RequestKind::Unknown => reply.error(Some(id), NOT_SUPPORTED, "type"),
            RequestKind::Malformed(field) => reply.error(Some(id), MALFORMED, field),
            RequestKind::NoMessageId => unreachable!("answered before"),
        }
    }

    /// Takes the first attempt that belongs to no answered request, and returns its index.
    fn next_attempt(&mut self) -> Result<usize, String> {
        let next = self.model.attempts;
        if next >= self.attempts.len() {
            return Err("the program made no socket for the request".into());
        }
        self.model.attempts += 1;
        let closed_at = self.attempts[next].closed_at.unwrap_or(0);
        self.model.attempts_until = self.model.attempts_until.max(closed_at);
        Ok(next)
    }

    /// Checks the start of a server. Returns its port, or `None` if the start failed and `reply` is the
    /// right error.
    fn check_start(
        &mut self,
        port: u16,
        id: u64,
        reply: &Reply<'_>,
    ) -> Result<Option<u16>, String> {
        let index = self.next_attempt()?;
        let attempt = &self.attempts[index];
        if let Some((call, errno)) = attempt.failure {
            let code = if errno == Errno::EADDRINUSE {
                UNAVAILABLE
            } else {
                ABORT
            };
            if attempt.closed_at.is_none() {
                return Err("the socket is still open".into());
            }
            reply.error(Some(id), code, call)?;
            reply.error(Some(id), code, &format!(": {errno}"))?;
            return Ok(None);
        }
        let got = attempt.port;
        if !(attempt.listened && attempt.watched) {
            return Err("the server does not listen".into());
        }
        if port != 0 && port != got {
            return Err(format!("the server listens on {got}"));
        }
        self.model.listening = Some(Server {
            port: got,
            attempt: index,
        });
        Ok(Some(got))
    }

    /// Checks the stop of the server, and `reply` to it.
    fn check_stop(&mut self, id: u64, reply: &Reply<'_>) -> Checked {
        let Some(Server { port, attempt }) = self.model.listening.take() else {
            return reply.error(Some(id), PRECONDITION, "");
        };
        let Some(closed_at) = self.attempts[attempt].closed_at else {
            return Err("the listener is still open".into());
        };
        if self
            .conns
            .iter()
            .any(|conn| conn.was_open_before(closed_at))
        {
            return Err("a connection is still open".into());
        }
        self.model.attempts_until = self.model.attempts_until.max(closed_at);
        reply.is(&format!(
            "\"tcp_echo_stop_ok\", \"in_reply_to\": {id}, \"status\": \"stopped\", \"port\": {port}"
        ))
    }

    /// Takes the attempts to connect for one message, and returns the last one, which decides the
    /// outcome. The program retries while it gets no socket, and once from another address when no
    /// port is left.
    fn last_attempt_to_connect(&mut self) -> Result<usize, String> {
        let first = self.next_attempt()?;
        let (mut last, mut other_address) = (first, false);
        loop {
            let attempt = &self.attempts[last];
            match attempt.excuses.last() {
                Some(("socket", errno)) if SHORTAGES.contains(errno) => {
                    let tried_for = attempt.moved_at - self.attempts[first].moved_at;
                    if tried_for + MILLISECOND >= STALL_TIMEOUT {
                        return Ok(last);
                    }
                    other_address = false;
                }
                Some((_, Errno::EADDRNOTAVAIL)) if !other_address => other_address = true,
                _ => return Ok(last),
            }
            last = self.next_attempt()?;
        }
    }

    /// Checks the round trip of `message`. Returns whether the message came back; if it did not,
    /// `reply` is the right error.
    fn check_round_trip(
        &mut self,
        message: &[u8],
        id: u64,
        reply: &Reply<'_>,
    ) -> Result<bool, String> {
        let attempt = self.last_attempt_to_connect()?;
        let attempt = &self.attempts[attempt];
        let silent = attempt.conn.is_some_and(|conn| self.conns[conn].was_silent);
        let (sent, came, accepted, ended) = match attempt.conn {
            Some(conn) => {
                let conn = &self.conns[conn];
                let accepted = conn.phase == crate::net::Phase::Accepted;
                (
                    &conn.sent[..],
                    &conn.came[..],
                    accepted,
                    conn.client_saw_end,
                )
            }
            None => (&[][..], &[][..], false, false),
        };
        if attempt.closed_at.is_none() {
            return Err("the client's connection is still open".into());
        }
        if !message.starts_with(sent) {
            return Err("other bytes were sent".into());
        }
        if !message.starts_with(came) {
            return Err("other bytes came back".into());
        }
        let Some(code) = reply.code() else {
            if came != message || !ended {
                return Err(format!(
                    "{} of {} bytes came back, and end of file did{}",
                    came.len(),
                    message.len(),
                    if ended { "" } else { " not" }
                ));
            }
            return Ok(true);
        };
        let names = |Attempt { excuses, .. }: &Attempt| {
            let names = excuses
                .iter()
                .map(|(call, errno)| format!("{call} {}", errno.name()));
            names.collect::<Vec<_>>().join(", ")
        };
        let excuse = |errno| attempt.excuses.iter().any(|&(_, excuse)| excuse == errno);
        let timed_out = reply.own.contains("ETIMEDOUT") && !excuse(Errno::ETIMEDOUT);
        let short = reply.own.contains("accept4") && SHORTAGES.iter().any(|&errno| excuse(errno));
        let gave_up = code == TIMEOUT || timed_out || short;
        match code {
            CRASH | TIMEOUT if sent.is_empty() => {
                return Err(
                    "no byte was sent, but the code is for a failure after the first byte".into(),
                );
            }
            _ if gave_up && attempt.stood_still < STALL_TIMEOUT => {
                return Err(format!(
                    "the connection made no progress for only {} ns",
                    attempt.stood_still
                ));
            }
            UNAVAILABLE if timed_out && silent => {}
            _ if code != TIMEOUT && attempt.excuses.is_empty() => {
                return Err(format!("no call failed, but the code is {code}"));
            }
            TIMEOUT if !silent => {
                return Err("the code is a timeout, but the network was not silent".into());
            }
            UNAVAILABLE if !sent.is_empty() => {
                return Err(format!("{} bytes were sent", sent.len()));
            }
            UNAVAILABLE => {
                let reported = |(_, errno): &(_, Errno)| reply.own.contains(errno.name());
                let ended = reply.own.contains("the connection ended after 0 of");
                if !ended && !attempt.excuses.iter().any(reported) {
                    return Err(format!(
                        "the error text mentions none of the failures: {}",
                        names(attempt)
                    ));
                }
            }
            CRASH if !accepted => {
                return Err("the connection was not accepted".into());
            }
            TIMEOUT | CRASH => {}
            _ => return Err(format!("code {code} after: {}", names(attempt))),
        }
        reply.error(Some(id), code, "")?;
        Ok(false)
    }

    /// Checks that the counters had the values in `reply` at some moment between the reading of the
    /// request and now. If a socket of an earlier request was closed after that reading, the interval
    /// begins with that close.
    fn check_stats(&mut self, id: u64, read_at: u64, reply: &Reply<'_>) -> Checked {
        let from = read_at.max(self.model.attempts_until);
        let sum = |(connections, bytes): (u64, u64), count: &Count| {
            (connections + count.connections, bytes + count.bytes)
        };
        let (settled, later): (Vec<&Count>, Vec<_>) =
            self.counts.iter().partition(|count| count.since <= from);
        let first = settled.into_iter().fold((0, 0), sum);
        let mut possible = vec![first];
        for count in later {
            possible.push(sum(possible[possible.len() - 1], count));
        }
        let last = possible[possible.len() - 1];
        let reported = reply
            .between(
                &format!("\"tcp_echo_stats_ok\", \"in_reply_to\": {id}, \"total_connections\": "),
                "",
            )?
            .split_once(", \"total_bytes\": ")
            .and_then(|(connections, bytes)| {
                Some((connections.parse().ok()?, bytes.parse().ok()?))
            });
        let is_right = |reported: (u64, u64)| {
            if self.threads.len() == 1 {
                possible.contains(&reported)
            } else {
                // Different threads update the counters in any order.
                (first.0..=last.0).contains(&reported.0) && (first.1..=last.1).contains(&reported.1)
            }
        };
        if reported.is_some_and(is_right) {
            return Ok(());
        }
        Err(format!(
            "the counters were {} to {} connections and {} to {} bytes",
            first.0, last.0, first.1, last.1
        ))
    }
}

impl<'a> Reply<'a> {
    fn is(&self, expected: &str) -> Checked {
        if self.own == expected {
            Ok(())
        } else {
            Err(format!("expected {expected}"))
        }
    }

    fn started(&self, id: u64, port: u16) -> Checked {
        self.is(&format!(
            "\"tcp_echo_start_ok\", \"in_reply_to\": {id}, \"status\": \"listening\", \"port\": {port}"
        ))
    }

    fn between(&self, head: &str, tail: &str) -> Result<&'a str, String> {
        self.own
            .strip_prefix(head)
            .and_then(|own| own.strip_suffix(tail))
            .ok_or_else(|| format!("expected {head} … {tail}"))
    }

    /// Returns the error code, if the reply is an error.
    fn code(&self) -> Option<u64> {
        let (_, rest) = self
            .own
            .strip_prefix("\"error\"")?
            .split_once("\"code\": ")?;
        rest.split_once(',')?.0.parse().ok()
    }

    /// Checks that the reply is an error with `code` whose text contains `part`.
    fn error(&self, id: Option<u64>, code: u64, part: &str) -> Checked {
        let id = id.map_or(String::new(), |id| format!(", \"in_reply_to\": {id}"));
        let text = self.between(&format!("\"error\"{id}, \"code\": {code}, \"text\": "), "")?;
        match serde_json::from_str::<String>(text) {
            Ok(text) if text.contains(part) => Ok(()),
            _ => Err(format!("expected a text that contains {part:?}")),
        }
    }
}

/// Shortens the data of a request, for a message.
fn shorten(kind: &RequestKind) -> RequestKind {
    let cut = |text: &str| text.chars().take(16).collect::<String>();
    match kind {
        RequestKind::Send { data } => RequestKind::Send { data: cut(data) },
        RequestKind::Echo { json } => RequestKind::Echo { json: cut(json) },
        other => other.clone(),
    }
}
