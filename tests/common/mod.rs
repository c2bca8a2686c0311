//! Code that the tests share. A [`Node`] is the built program, started with pipes to its streams.
//!
//! Nothing here may hang. A watchdog kills a node whose input or output makes no progress for [`TIMEOUT`],
//! which ends reads from the node and writes to it. Sockets have timeouts.

// Each test file is a program of its own and uses only a part of this module.
#![allow(dead_code)]

pub mod children;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rlimit::{Resource, setrlimit};
use serde_json::{Value, json};

/// The time limit for every wait. It is far above what any machine needs, so it ends only failed
/// tests.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// The first message to a node, which names it n1.
pub const INIT: &str = r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}"#;

/// The reply to [`INIT`].
pub const INIT_OK: &str =
    r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}"#;

/// Returns the command that starts the program.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rawecho"))
}

/// Returns a port of 127.0.0.1 without a listener, a different one each time. The port is below Linux's
/// default range of ephemeral ports, so the kernel does not give it to another socket while a test has freed
/// it for a moment.
pub fn unused_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    /// The number of ports for each process, so that concurrent processes rarely use the same port.
    const EACH: u32 = 100;
    static USED: AtomicU32 = AtomicU32::new(0);
    let begin = process::id().wrapping_mul(EACH);
    loop {
        let offset = begin.wrapping_add(USED.fetch_add(1, Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("a port");
        // Do not try to listen: a child that another test forks meanwhile would have a copy of the listener.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}

/// Connects the standard streams of `command` to pipes.
pub fn with_pipes(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// Returns the command that starts the program with pipes to its standard streams, and with `soft` and `hard`
/// as its limits of open files.
pub fn program_with_open_files(soft: u64, hard: u64) -> Command {
    let mut command = program();
    with_pipes(&mut command);
    // SAFETY: the closure only makes a system call between fork and exec.
    unsafe {
        command.pre_exec(move || setrlimit(Resource::NOFILE, soft, hard));
    }
    command
}

/// The exit status and the output of a node.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// The rest of the standard output, after what the test had read.
    pub stdout: String,
    pub stderr: String,
}

/// A running node. It is killed when it is dropped.
pub struct Node {
    child: Arc<Mutex<Child>>,
    pid: u32,
    /// The node's standard input and output, if the command connected them to pipes.
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
    /// Notifies the watchdog of progress.
    progress: Sender<()>,
    /// The `msg_id`s of the next request and of the next reply.
    request_id: u64,
    reply_id: u64,
}

impl Node {
    /// Starts a node with the command line `args`.
    pub fn start(args: &[&str]) -> Node {
        Node::spawn(with_pipes(program().args(args)))
    }

    /// Starts a node and initializes it as n1.
    pub fn n1() -> Node {
        Node::start(&[]).initialized()
    }

    /// Starts a node that listens on a port that the kernel picks. Returns the node and the server's address.
    pub fn listening() -> (Node, SocketAddr) {
        let mut node = Node::n1();
        let server = node.listen();
        (node, server)
    }

    /// Starts `command`, whose streams the caller has set up.
    pub fn spawn(command: &mut Command) -> Node {
        let mut child = children::spawn(command);
        let stderr = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).expect("read stderr");
                String::from_utf8(text).expect("stderr is UTF-8")
            })
        });
        let (progress, reports) = channel();
        let mut node = Node {
            pid: child.id(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr,
            child: Arc::new(Mutex::new(child)),
            progress,
            request_id: 1,
            reply_id: 0,
        };
        let watched = Arc::clone(&node.child);
        thread::spawn(move || {
            loop {
                match reports.recv_timeout(TIMEOUT) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("no progress for {TIMEOUT:?}: the node is killed");
                        // Has no effect on a node that has been waited for.
                        watched.lock().expect("no panic").kill().expect("kill");
                        return;
                    }
                }
            }
        });
        node.report_progress();
        node
    }

    fn report_progress(&mut self) {
        // The send fails after the watchdog has killed the node. The node's streams then report its exit.
        let _ = self.progress.send(());
    }

    /// Initializes the node as n1, and returns it.
    pub fn initialized(mut self) -> Node {
        assert_eq!(
            self.request(json!({"type": "init", "node_id": "n1", "node_ids": ["n1"]})),
            json!({"type": "init_ok"})
        );
        self
    }

    /// Starts the server on a port that the kernel picks. Returns that port of 127.0.0.1, which is not the
    /// server's address if the node was started with `--bind`.
    pub fn listen(&mut self) -> SocketAddr {
        let reply = self.request(json!({"type": "tcp_echo_start", "port": 0}));
        let port = reply["port"].as_u64().expect("a port");
        assert_eq!(
            reply,
            json!({"type": "tcp_echo_start_ok", "status": "listening", "port": port})
        );
        assert!((1..=65535).contains(&port), "{port}");
        SocketAddr::from(([127, 0, 0, 1], port as u16))
    }

    /// Starts a node that listens on an [unused port](unused_port). Returns the node and the server's address.
    pub fn listening_on_unused_port() -> (Node, SocketAddr) {
        let mut node = Node::n1();
        let port = node.listen_on_unused_port();
        (node, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Starts the server on an [unused port](unused_port). Returns the port.
    pub fn listen_on_unused_port(&mut self) -> u16 {
        let port = unused_port();
        assert_eq!(
            self.request(json!({"type": "tcp_echo_start", "port": port})),
            json!({"type": "tcp_echo_start_ok", "status": "listening", "port": port})
        );
        port
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Writes `bytes` to the node's standard input.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        for piece in bytes.as_ref().chunks(1 << 20) {
            let stdin = self.stdin.as_mut().expect("a pipe that is open");
            stdin.write_all(piece).expect("write to the node");
            self.report_progress();
        }
    }

    /// Writes `line` and a newline to the node's standard input.
    pub fn write_line(&mut self, line: impl AsRef<[u8]>) {
        self.write(line);
        self.write("\n");
    }

    /// Reads the next line of the standard output. Returns it without its newline.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let stdout = self.stdout.as_mut().expect("a pipe that is open");
            let piece = stdout.fill_buf().expect("read from the node");
            if piece.is_empty() {
                let status = self.wait();
                let stderr = self.stderr.take().map(|text| text.join());
                panic!("no reply; the node ended: {status}; stderr: {stderr:?}");
            }
            let end = piece.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(piece.len(), |newline| newline + 1);
            line.extend_from_slice(&piece[..count]);
            stdout.consume(count);
            self.report_progress();
        }
        line.pop();
        String::from_utf8(line).expect("UTF-8")
    }

    /// Reads the node's next message, which must be for `c1`, and checks its envelope and its `msg_id`.
    /// Returns the rest of the body, with `in_reply_to`.
    pub fn reply(&mut self) -> Value {
        let line = self.line();
        let mut message: Value = serde_json::from_str(&line).expect("a line of JSON");
        let mut body = message["body"].take();
        assert_eq!(message, json!({"src": "n1", "dest": "c1", "body": null}));
        let msg_id = body.as_object_mut().expect("an object").remove("msg_id");
        assert_eq!(msg_id, Some(json!(self.reply_id)), "{line}");
        self.reply_id += 1;
        body
    }

    /// Writes the request `body`, from `c1`, and returns its `msg_id`.
    pub fn ask(&mut self, body: Value) -> u64 {
        let body = body.to_string();
        self.ask_text(&body[1..body.len() - 1])
    }

    /// Writes a request with the body's `fields`, which are JSON text. Returns its `msg_id`.
    pub fn ask_text(&mut self, fields: &str) -> u64 {
        let (id, line) = self.request_line(fields);
        self.write(line);
        id
    }

    /// Writes a request for each of `fields` as [`ask_text`](Node::ask_text) does, but all at once, so that
    /// the node reads them together. Returns their `msg_id`s.
    pub fn ask_at_once<'f>(&mut self, fields: impl IntoIterator<Item = &'f str>) -> Vec<u64> {
        let requests = fields.into_iter().map(|fields| self.request_line(fields));
        let (ids, lines): (Vec<u64>, Vec<String>) = requests.unzip();
        self.write(lines.concat());
        ids
    }

    /// Returns the next `msg_id`, and the line of a request with that ID and the body's `fields`.
    fn request_line(&mut self, fields: &str) -> (u64, String) {
        let id = self.request_id;
        self.request_id += 1;
        let body = format!(r#"{{"msg_id":{id},{fields}}}"#);
        let line = format!(r#"{{"src":"c1","dest":"n1","body":{body}}}"#);
        (id, line + "\n")
    }

    /// Reads the reply to request `id`. Returns its whole body without the `msg_id`s.
    pub fn reply_to(&mut self, id: u64) -> Value {
        let mut body = self.reply();
        let in_reply_to = body
            .as_object_mut()
            .expect("an object")
            .remove("in_reply_to");
        assert_eq!(in_reply_to, Some(json!(id)), "{body}");
        body
    }

    /// Sends the request `body`. Returns the reply's whole body without the `msg_id`s.
    pub fn request(&mut self, body: Value) -> Value {
        let id = self.ask(body);
        self.reply_to(id)
    }

    /// Sends `data` through the server and checks the echo.
    pub fn send(&mut self, data: &str) {
        assert_eq!(
            self.request(json!({"type": "tcp_echo_send", "data": data})),
            json!({"type": "tcp_echo_send_ok", "echoed": data, "bytes": data.len()})
        );
    }

    /// Returns the counters: connections and bytes.
    pub fn stats(&mut self) -> (u64, u64) {
        let reply = self.request(json!({"type": "tcp_echo_stats"}));
        let [connections, bytes] =
            ["total_connections", "total_bytes"].map(|name| reply[name].as_u64().expect(name));
        assert_eq!(
            reply,
            json!({"type": "tcp_echo_stats_ok", "total_connections": connections, "total_bytes": bytes})
        );
        (connections, bytes)
    }

    /// Checks that the reply to the request `body` is the error `code`, whose text contains all of `mentions`.
    #[track_caller]
    pub fn fails(&mut self, body: Value, code: u64, mentions: &[&str]) {
        let reply = self.request(body.clone());
        assert_error(&reply, code, mentions);
    }

    /// Closes the node's standard input and waits for its exit.
    pub fn finish(mut self) -> Finished {
        self.stdin = None;
        let mut stdout = String::new();
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_string(&mut stdout).expect("UTF-8");
        }
        let status = self.wait();
        let stderr = self.stderr.take().map(|text| text.join().expect("UTF-8"));
        Finished {
            status,
            stdout,
            stderr: stderr.unwrap_or_default(),
        }
    }

    /// Calls [`finish`](Node::finish), and checks that the node has succeeded, has written nothing to standard
    /// error and has written nothing more to standard output.
    #[track_caller]
    pub fn finish_well(self) {
        let Finished {
            status,
            stdout,
            stderr,
        } = self.finish();
        assert!(status.success(), "{status}: {stderr}");
        assert_eq!((&*stdout, &*stderr), ("", ""));
    }

    /// Waits for the node's exit. Does not close the node's standard input.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the node ends", || {
            self.child
                .lock()
                .expect("no panic")
                .try_wait()
                .expect("wait")
        })
    }

    /// Sends the node a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // The node is a child that has not been waited for, so no other process can have its ID.
        let child = self.child.lock().expect("no panic");
        // SAFETY: the call takes no pointer.
        let result = unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        assert_eq!(result, 0, "kill");
    }

    /// Returns the text of the node's `/proc/PID/name`.
    pub fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).expect(name)
    }

    /// Returns a number of the node's `/proc/PID/status`, such as `VmRSS` (in kB).
    pub fn status_number(&self, name: &str) -> u64 {
        self.status_field(name).parse().expect(name)
    }

    /// Returns the first word of a field of the node's `/proc/PID/status`.
    pub fn status_field(&self, name: &str) -> String {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.strip_prefix(':')?.split_whitespace().next());
        word.expect(name).into()
    }

    /// Returns the resident memory of the node, in bytes.
    pub fn memory(&self) -> u64 {
        self.status_number("VmRSS") * 1024
    }

    /// Returns the peak of the node's resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status_number("VmHWM") * 1024
    }

    /// Returns the numbers of the node's open descriptors.
    pub fn descriptors(&self) -> BTreeSet<RawFd> {
        let folder = format!("/proc/{}/fd", self.pid);
        let entries = fs::read_dir(folder).expect("the node runs");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.to_string_lossy().parse().expect("a number"))
            .collect()
    }

    /// Returns whether the node's main thread is asleep in a system call.
    pub fn sleeps(&self) -> bool {
        self.status_field("State") == "S"
    }

    /// Waits until the node is asleep, and checks that it then neither wakes up nor uses the
    /// processor for half a second.
    #[track_caller]
    pub fn stays_asleep(&self) {
        eventually("the node sleeps", || self.sleeps().then_some(()));
        let wake_ups = || self.status_number("voluntary_ctxt_switches");
        let before = (wake_ups(), self.processor_time());
        thread::sleep(Duration::from_millis(500));
        assert_eq!(
            (wake_ups(), self.processor_time()),
            before,
            "the node woke up"
        );
    }

    /// Checks that the node uses at most a tenth of the processor for a second.
    #[track_caller]
    pub fn uses_no_processor(&self) {
        let before = self.processor_time();
        thread::sleep(Duration::from_secs(1));
        let used = self.processor_time() - before;
        assert!(used < Duration::from_millis(100), "{used:?} in a second");
    }

    /// Returns the processor time that the node has used.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in parentheses, may contain any character. utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum();
        // SAFETY: the call takes no pointer.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
        Duration::from_millis(ticks * 1000 / per_second)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            // Fails only if the node has exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Checks that `reply` is the error `code`, whose text contains all of `mentions`.
#[track_caller]
pub fn assert_error(reply: &Value, code: u64, mentions: &[&str]) {
    let text = reply["text"].as_str().unwrap_or_default();
    assert_eq!(
        *reply,
        json!({"type": "error", "code": code, "text": text}),
        "expected error {code}"
    );
    for mention in mentions {
        assert!(text.contains(mention), "{text:?} lacks {mention:?}");
    }
}

/// Calls `ready` until it returns a value. Panics if none has come after [`TIMEOUT`].
#[track_caller]
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Connects an outside client with the standard library's TCP.
pub fn client(server: SocketAddr) -> TcpStream {
    let client = TcpStream::connect_timeout(&server, TIMEOUT).expect("connect");
    client.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    client.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
    client
}

/// Sends `bytes` to the server and checks their echo. The connection stays open.
#[track_caller]
pub fn converse(mut client: &TcpStream, bytes: &[u8]) {
    client.write_all(bytes).expect("write");
    let mut echo = vec![0; bytes.len()];
    client.read_exact(&mut echo).expect("the whole echo");
    assert!(echo == bytes, "{} bytes came back changed", bytes.len());
}

/// Checks that the server has closed its side without sending more bytes.
#[track_caller]
pub fn assert_end(mut client: &TcpStream) {
    assert_eq!(client.read(&mut [0]).expect("no reset"), 0, "the end");
}

/// Returns an unnamed file that contains `bytes`, with its offset at the beginning.
pub fn file_with(bytes: &[u8]) -> File {
    let name = format!(
        "rawecho-{}-{:?}",
        std::process::id(),
        thread::current().id()
    );
    let path = std::env::temp_dir().join(name);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a temporary file");
    fs::remove_file(&path).expect("remove it");
    file.write_all(bytes).expect("write");
    file.rewind().expect("rewind");
    file
}

/// Returns `len` bytes in which every shift and swap shows: the numbers from 0, as little-endian `u64`s.
pub fn pattern(len: usize) -> Vec<u8> {
    (0u64..).flat_map(u64::to_le_bytes).take(len).collect()
}
