//! A running node, its requests and its replies.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::pin::spawn_on;
use crate::servers::Server;

/// The size of a read of the replies: the capacity of a pipe.
const PIPE: usize = 64 * 1024;

/// The `msg_id` of the first message of a batch, after `init` and `tcp_echo_start`.
pub const FIRST: u64 = 3;

/// A node that has answered `init`.
pub struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Node {
    /// Starts a node on the servers' CPU. Returns it with the time from exec to `init_ok`.
    ///
    /// # Errors
    /// If the node does not start or does not answer `init_ok`.
    pub fn start(bench: &Bench, server: &Server) -> Result<(Self, Duration)> {
        Self::start_by(bench, Command::new(bench.path(server)?))
    }

    /// Starts the node with `command`, and otherwise does the same as [`start`](Self::start).
    ///
    /// # Errors
    /// See [`start`](Self::start).
    pub fn start_by(bench: &Bench, mut command: Command) -> Result<(Self, Duration)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let before = Instant::now();
        let mut child = spawn_on(bench.cpus.server, &mut command)?;
        let stdin = child.stdin.take();
        let stdout = BufReader::with_capacity(PIPE, child.stdout.take().context("piped")?);
        let mut node = Self {
            child,
            stdin,
            stdout,
        };
        let init = json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"]});
        let reply = node.ask(&init)?;
        let took = before.elapsed();
        ensure!(reply["type"] == "init_ok", "init: {reply}");
        Ok((node, took))
    }

    /// Sends `tcp_echo_start` with a free port.
    ///
    /// # Errors
    /// If the node does not answer `tcp_echo_start_ok`.
    pub fn listen(&mut self) -> Result<()> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let reply = self.ask(&json!({"type": "tcp_echo_start", "msg_id": 2, "port": free}))?;
        ensure!(
            reply["type"] == "tcp_echo_start_ok",
            "tcp_echo_start: {reply}"
        );
        Ok(())
    }

    /// Returns the node's process id.
    ///
    /// # Errors
    /// If the process id is out of range.
    pub fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// Sends all of `batch` and passes the replies to `take` as they arrive, until each line has a reply.
    /// Returns how long that took.
    ///
    /// # Errors
    /// If the node exits or closes its standard output.
    pub fn run(&mut self, batch: &Batch, mut take: impl FnMut(&[u8])) -> Result<Duration> {
        let mut stdin = self.stdin.take().context("the node's stdin is closed")?;
        let stdout = &mut self.stdout;
        let before = Instant::now();
        let took = thread::scope(|scope| {
            let writer = scope.spawn(|| stdin.write_all(batch.text.as_bytes()));
            let mut chunk = [0; PIPE];
            let mut missing = batch.lines;
            while missing > 0 {
                let length = stdout.read(&mut chunk)?;
                ensure!(length > 0, "the node ended with {missing} replies to go");
                let lines = chunk[..length]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count() as u64;
                missing = missing
                    .checked_sub(lines)
                    .context("more replies than requests")?;
                take(&chunk[..length]);
            }
            let took = before.elapsed();
            writer.join().expect("the writer does not panic")?;
            Ok(took)
        })?;
        self.stdin = Some(stdin);
        Ok(took)
    }

    /// Closes the node's stdin and waits for its exit.
    ///
    /// # Errors
    /// If the node's exit status is not 0.
    pub fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }

    fn ask(&mut self, body: &Value) -> Result<Value> {
        let request = json!({"src": "c1", "dest": "n1", "body": body});
        writeln!(
            self.stdin.as_mut().context("the node's stdin is closed")?,
            "{request}"
        )?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let reply: Value = serde_json::from_str(&line).with_context(|| format!("{line:?}"))?;
        Ok(reply["body"].clone())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A destructor cannot report an error.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Many requests, one on each line.
pub struct Batch {
    text: String,
    lines: u64,
}

impl Batch {
    /// Makes one request of type `kind` for each `msg_id` in `ids`. `fields` are the further fields, with a
    /// comma before each, or empty.
    pub fn new(kind: &str, fields: &str, ids: Range<u64>) -> Self {
        let mut text = String::new();
        for id in ids.clone() {
            writeln!(
                text,
                r#"{{"src":"c1","dest":"n1","body":{{"type":"{kind}","msg_id":{id}{fields}}}}}"#
            )
            .expect("a write to a string succeeds");
        }
        Self {
            text,
            lines: ids.end - ids.start,
        }
    }
}

/// Returns how many requests of a kind a node answers in a second. The requests are written to its stdin as
/// fast as it reads them.
///
/// # Errors
/// If a request gets no reply, or a reply's body is not as expected.
pub fn per_second(
    bench: &Bench,
    server: &Server,
    requests: u64,
    [kind, fields]: [&str; 2],
    expected: impl Fn(&Value) -> bool,
) -> Result<f64> {
    let (mut node, _) = Node::start(bench, server)?;
    node.listen()?;
    let ids = FIRST..FIRST + requests;
    let batch = Batch::new(kind, fields, ids.clone());
    let mut replies = Vec::new();
    let took = node.run(&batch, |chunk| replies.extend_from_slice(chunk))?;
    node.stop()?;
    check(&replies, ids, expected)?;
    Ok(requests as f64 / took.as_secs_f64())
}

/// Checks that there is a reply to each `msg_id`, in order, whose body is as expected.
///
/// # Errors
/// If a reply is missing or wrong. The error shows the wrong reply.
fn check(replies: &[u8], ids: Range<u64>, expected: impl Fn(&Value) -> bool) -> Result<()> {
    let mut lines = replies.split(|byte| *byte == b'\n');
    for id in ids {
        let line = lines.next().context("fewer replies than requests")?;
        let reply: Value = serde_json::from_slice(line)?;
        let body = &reply["body"];
        ensure!(
            body["in_reply_to"] == id && expected(body),
            "wrong reply to {id}: {reply}"
        );
    }
    Ok(())
}
