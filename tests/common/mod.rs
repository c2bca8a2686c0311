//! Code that the tests share. A [`Node`] is the built program, started with pipes to its streams.
//!
//! Nothing here may hang. Reads and writes of a node end when it does, and a node that shows no
//! sign of life for [`PATIENCE`] is killed; sockets have time-outs.

// Each test file is a program of its own and uses a part of this.
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
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The first message to a node that is to be called n1.
pub const INIT: &str = r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}"#;

/// The answer to [`INIT`].
pub const INIT_OK: &str =
    r#"{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}"#;

/// The program, not yet started.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rawecho"))
}

/// Returns a port of 127.0.0.1 without a listener, a different one each time. It is below the ports
/// that the kernel hands out: a test that frees it for a moment does not lose it to the socket of
/// another test.
pub fn unused_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    /// Ports for each process: those that run at the same time rarely meet.
    const EACH: u32 = 100;
    static USED: AtomicU32 = AtomicU32::new(0);
    let begin = process::id().wrapping_mul(EACH);
    loop {
        let offset = begin.wrapping_add(USED.fetch_add(1, Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("a port");
        // Not by listening: a child that another test forks meanwhile would hold the listener.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}

/// Connects the streams of `command` to pipes.
pub fn with_pipes(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// The program with pipes to its streams and these limits of open files, not yet started.
pub fn program_with_open_files(soft: u64, hard: u64) -> Command {
    let mut command = program();
    with_pipes(&mut command);
    // SAFETY: nothing but a system call happens between fork and exec.
    unsafe {
        command.pre_exec(move || setrlimit(Resource::NOFILE, soft, hard));
    }
    command
}

/// How a node ended, and what it said until then.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// What of the standard output had not been read before.
    pub stdout: String,
    pub stderr: String,
}

/// A running node. It is killed when it is dropped.
pub struct Node {
    child: Arc<Mutex<Child>>,
    pid: u32,
    /// The node's standard input and output, unless the command had them go elsewhere.
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
    /// Tells the watchdog of each sign of life.
    alive: Sender<()>,
    /// The `msg_id`s of the next request and of the next reply.
    request_id: u64,
    reply_id: u64,
}

impl Node {
    /// A node with the command line `args`, before `init`.
    pub fn start(args: &[&str]) -> Node {
        Node::spawn(with_pipes(program().args(args)))
    }

    /// A node that knows that it is n1.
    pub fn n1() -> Node {
        Node::start(&[]).initialized()
    }

    /// A node that listens on a port that the kernel picked, and where.
    pub fn listening() -> (Node, SocketAddr) {
        let mut node = Node::n1();
        let server = node.listen();
        (node, server)
    }

    /// Starts `command`, whose streams are set up already.
    pub fn spawn(command: &mut Command) -> Node {
        let mut child = children::spawn(command);
        let stderr = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).expect("read stderr");
                String::from_utf8(text).expect("stderr is UTF-8")
            })
        });
        let (alive, signs_of_life) = channel();
        let mut node = Node {
            pid: child.id(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr,
            child: Arc::new(Mutex::new(child)),
            alive,
            request_id: 1,
            reply_id: 0,
        };
        let watched = Arc::clone(&node.child);
        thread::spawn(move || {
            loop {
                match signs_of_life.recv_timeout(PATIENCE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("no sign of life for {PATIENCE:?}: the node is killed");
                        // Harmless once it has been waited for.
                        watched.lock().expect("no panic").kill().expect("kill");
                        return;
                    }
                }
            }
        });
        node.signal_life();
        node
    }

    fn signal_life(&mut self) {
        // The watchdog is gone once it has done its work; then the node's streams tell.
        let _ = self.alive.send(());
    }

    /// The same node after `init`.
    pub fn initialized(mut self) -> Node {
        assert_eq!(
            self.request(json!({"type": "init", "node_id": "n1", "node_ids": ["n1"]})),
            json!({"type": "init_ok"})
        );
        self
    }

    /// Starts the server on a port that the kernel picks. Returns where it listens, if the node was
    /// not told to bind elsewhere.
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

    /// A node that listens on an [unused port](unused_port), and where.
    pub fn listening_on_unused_port() -> (Node, SocketAddr) {
        let mut node = Node::n1();
        let port = unused_port();
        assert_eq!(
            node.request(json!({"type": "tcp_echo_start", "port": port})),
            json!({"type": "tcp_echo_start_ok", "status": "listening", "port": port})
        );
        (node, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Writes `bytes`, as they are.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        for piece in bytes.as_ref().chunks(1 << 20) {
            let stdin = self.stdin.as_mut().expect("a pipe that is open");
            stdin.write_all(piece).expect("write to the node");
            self.signal_life();
        }
    }

    /// Writes `line` and a newline.
    pub fn write_line(&mut self, line: impl AsRef<[u8]>) {
        self.write(line);
        self.write("\n");
    }

    /// The next line of the standard output, without its newline.
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
            self.signal_life();
        }
        line.pop();
        String::from_utf8(line).expect("UTF-8")
    }

    /// The next message of the node, for `c1`. Its envelope and its `msg_id` are checked, and what
    /// is left of the body is returned with `in_reply_to`.
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

    /// Writes a request with the body's `fields` in JSON as they are, and returns its `msg_id`.
    pub fn ask_text(&mut self, fields: &str) -> u64 {
        let (id, line) = self.request_line(fields);
        self.write(line);
        id
    }

    /// Writes a request for each of `fields` as [`ask_text`](Node::ask_text) does, but all at once,
    /// so that one read finds them. Returns their `msg_id`s.
    pub fn ask_at_once<'f>(&mut self, fields: impl IntoIterator<Item = &'f str>) -> Vec<u64> {
        let requests = fields.into_iter().map(|fields| self.request_line(fields));
        let (ids, lines): (Vec<u64>, Vec<String>) = requests.unzip();
        self.write(lines.concat());
        ids
    }

    /// The next `msg_id`, and the line of a request with it and the body's `fields`.
    fn request_line(&mut self, fields: &str) -> (u64, String) {
        let id = self.request_id;
        self.request_id += 1;
        let body = format!(r#"{{"msg_id":{id},{fields}}}"#);
        let line = format!(r#"{{"src":"c1","dest":"n1","body":{body}}}"#);
        (id, line + "\n")
    }

    /// The reply to request `id`: its whole body, but for the `msg_id`s.
    pub fn reply_to(&mut self, id: u64) -> Value {
        let mut body = self.reply();
        let in_reply_to = body
            .as_object_mut()
            .expect("an object")
            .remove("in_reply_to");
        assert_eq!(in_reply_to, Some(json!(id)), "{body}");
        body
    }

    /// Asks, and returns the reply's whole body, but for the `msg_id`s.
    pub fn request(&mut self, body: Value) -> Value {
        let id = self.ask(body);
        self.reply_to(id)
    }

    /// Sends `data` through the server and checks what came back.
    pub fn send(&mut self, data: &str) {
        assert_eq!(
            self.request(json!({"type": "tcp_echo_send", "data": data})),
            json!({"type": "tcp_echo_send_ok", "echoed": data, "bytes": data.len()})
        );
    }

    /// The counters: connections and bytes.
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

    /// The request `body` is answered with the error `code`, whose text contains all of `mentions`.
    #[track_caller]
    pub fn fails(&mut self, body: Value, code: u64, mentions: &[&str]) {
        let reply = self.request(body.clone());
        assert_error(&reply, code, mentions);
    }

    /// Ends the input, and waits for the node to end.
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

    /// [`finish`](Node::finish) for a node that must have written nothing to standard error.
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

    /// Waits for the node to end by itself.
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
        // The node is our child: until we wait for it, no other process can get its number.
        let child = self.child.lock().expect("no panic");
        // SAFETY: no memory is passed.
        let result = unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        assert_eq!(result, 0, "kill");
    }

    /// The text of `/proc/PID/name` of the node.
    pub fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).expect(name)
    }

    /// A number of `/proc/PID/status`, such as `VmRSS` (in kB).
    pub fn status_number(&self, name: &str) -> u64 {
        self.status_field(name).parse().expect(name)
    }

    /// The first word of a field of `/proc/PID/status`.
    pub fn status_field(&self, name: &str) -> String {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.strip_prefix(':')?.split_whitespace().next());
        word.expect(name).into()
    }

    /// The memory that the node holds, in bytes.
    pub fn memory(&self) -> u64 {
        self.status_number("VmRSS") * 1024
    }

    /// The most memory that the node has held since it was started.
    pub fn peak_memory(&self) -> u64 {
        self.status_number("VmHWM") * 1024
    }

    /// The numbers of the descriptors that the node has open.
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
        assert_eq!((wake_ups(), self.processor_time()), before, "it woke up");
    }

    /// Checks that the node uses at most a tenth of the processor for a second.
    #[track_caller]
    pub fn uses_no_processor(&self) {
        let before = self.processor_time();
        thread::sleep(Duration::from_secs(1));
        let used = self.processor_time() - before;
        assert!(used < Duration::from_millis(100), "{used:?} in a second");
    }

    /// The processor time that the node has used.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum();
        // SAFETY: no memory is passed.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
        Duration::from_millis(ticks * 1000 / per_second)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            // It may have ended already; nothing else can go wrong.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `reply` is the error `code`, whose text contains all of `mentions`.
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

/// Waits until `ready` has something to return.
#[track_caller]
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// An outside client, by the standard library.
pub fn client(server: SocketAddr) -> TcpStream {
    let client = TcpStream::connect_timeout(&server, PATIENCE).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    client
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out");
    client
}

/// Sends `bytes` to the server and expects the echo. The connection stays open.
#[track_caller]
pub fn converse(mut client: &TcpStream, bytes: &[u8]) {
    client.write_all(bytes).expect("write");
    let mut echo = vec![0; bytes.len()];
    client.read_exact(&mut echo).expect("all comes back");
    assert!(echo == bytes, "{} bytes came back changed", bytes.len());
}

/// Checks that the server has closed its side without sending more bytes.
#[track_caller]
pub fn assert_end(mut client: &TcpStream) {
    assert_eq!(client.read(&mut [0]).expect("no reset"), 0, "the end");
}

/// A file without a name that holds `bytes`, at its beginning.
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

/// Returns `len` bytes that reveal every shift and swap: the numbers from 0 on.
pub fn pattern(len: usize) -> Vec<u8> {
    (0u64..).flat_map(u64::to_le_bytes).take(len).collect()
}
