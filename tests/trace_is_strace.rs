//! Runs `rawecho --trace=FILE` under `strace(1)` and compares both traces line by line: they show the
//! same calls, with the same arguments and results. `syscalls/tests/trace_is_strace/strace.rs` lists
//! which lines of strace's output the comparison leaves out.

#[path = "common/children.rs"]
mod children;
#[path = "../syscalls/tests/trace_is_strace/strace.rs"]
mod strace;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use syscalls::addr::{AF_INET, Sockaddr};
use syscalls::socket::{IPPROTO_IP, Linger, SO_LINGER, SOCK_CLOEXEC, SOCK_STREAM};
use syscalls::{Linux, Socket};

use children::{close_for_good, spawn};
use strace::{TempFile, assert_same_lines, calls_of_the_layer, strace};

/// Returns the line of a request with the fields `body`.
fn request(body: &str) -> String {
    format!("{{\"src\": \"c1\", \"dest\": \"n1\", \"body\": {{\"msg_id\": 1, {body}}}}}\n")
}

const INIT: &str = r#""type": "init", "node_id": "n1", "node_ids": ["n1"]"#;
const START: &str = r#""type": "tcp_echo_start", "port": 0"#;
const STATS: &str = r#""type": "tcp_echo_stats""#;
const STOP: &str = r#""type": "tcp_echo_stop""#;

fn start_on(port: u16) -> String {
    format!(r#""type": "tcp_echo_start", "port": {port}"#)
}

fn send(data: &str) -> String {
    format!(r#""type": "tcp_echo_send", "data": "{data}""#)
}

/// The program, which runs under strace.
struct Run {
    strace: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    own: TempFile,
    theirs: TempFile,
}

impl Run {
    fn new(name: &str, args: &[&str], input: Stdio) -> Run {
        let own = TempFile::new(&format!("{name}.own"));
        let theirs = TempFile::new(&format!("{name}.strace"));
        let mut command = strace(&[], &theirs.0, env!("CARGO_BIN_EXE_rawecho"));
        command
            .args(args)
            .arg(format!("--trace={}", own.0.display()))
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut strace = spawn(&mut command);
        let input = strace.stdin.take();
        let output = BufReader::new(strace.stdout.take().expect("a pipe"));
        Run {
            strace,
            input,
            output,
            own,
            theirs,
        }
    }

    fn write(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("a pipe");
        input
            .write_all(line.as_ref())
            .expect("the program reads it");
    }

    /// Reads the next line that the program writes.
    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        line
    }

    /// Sends a request, and returns the reply.
    fn ask(&mut self, body: &str) -> String {
        self.write(request(body));
        self.read_line()
    }

    /// Returns the ID of the process that strace runs.
    fn process(&self) -> String {
        let strace = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"));
        children.expect("strace has children").trim().to_owned()
    }

    /// Closes the program's input, waits for its exit and compares the traces. Returns its exit status
    /// and its trace.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.input.take());
        // Read the rest of the output, so that the program does not block on a full pipe.
        let _ = self.output.read_to_end(&mut Vec::new());
        let status = self.strace.wait().expect("strace ends");
        let own: Vec<_> = self.own.read().lines().map(String::from).collect();
        let mut theirs = calls_of_the_layer(&self.theirs.read(), &self.own.0);
        let exit = theirs.pop().expect("the C library ends the process");
        assert!(exit.starts_with("exit_group("), "{exit}");
        assert_same_lines(&own, &theirs);
        (status, own)
    }
}

/// Checks that one of the lines `calls` shows `call` and contains `what`.
fn assert_seen(calls: &[String], call: &str, what: &str) {
    let seen = calls
        .iter()
        .any(|line| strace::name(line) == Some(call) && line.contains(what));
    assert!(
        seen,
        "there is no {call} with {what} in\n{}",
        calls.join("\n")
    );
}

/// Returns the port in `reply`.
fn port(reply: &str) -> u16 {
    let (_, rest) = reply
        .split_once("\"port\": ")
        .unwrap_or_else(|| panic!("{reply}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("{reply}"))
}

/// Returns a port of `address` that is in use until the returned listener is dropped.
fn taken_port(address: IpAddr) -> (u16, TcpListener) {
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    (listener.local_addr().expect("an address").port(), listener)
}

/// Connects, sends `bytes` and reads them back. Returns the open connection.
fn client(server: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(server).expect("the server listens");
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    client.write_all(bytes).expect("the server reads it");
    let mut echo = vec![0; bytes.len()];
    client.read_exact(&mut echo).expect("an echo");
    assert_eq!(echo, bytes);
    client
}

fn trace_of_a_session_with_errors_matches_strace() {
    let mut run = Run::new("session", &[], Stdio::piped());
    let (taken, _listener) = taken_port(Ipv4Addr::LOCALHOST.into());
    // Before `init`.
    run.ask(STATS);
    run.ask(INIT);
    for nonsense in [
        "not JSON\n",
        "{}\n",
        "\n",
        "{\"src\": \"c1\", \"dest\": \"n2\", \"body\": {}}\n",
    ] {
        run.write(nonsense);
    }
    run.write(b"\xff\xfe\0 not UTF-8\n");
    run.ask(r#""type": "tcp_echo_start", "port": 70000"#);
    run.ask(r#""type": "no such request""#);
    run.ask(&send("nothing listens"));
    run.ask(&start_on(taken));
    // A privileged port: the bind fails unless the test has the privilege.
    run.ask(&start_on(1));
    run.ask(STOP);

    let port = port(&run.ask(START));
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for data in [
        "",
        "hello",
        r#"a \"quoted\" \\ line\n\tand control \u0000\u001f1\u007f"#,
        "żółw",
    ] {
        let reply = run.ask(&send(data));
        assert!(reply.contains("tcp_echo_send_ok"), "{reply}");
    }
    // More than the socket buffers hold.
    run.ask(&send(&"large ".repeat(1_000_000)));
    run.ask(r#""type": "echo", "echo": {"any": ["JSON", 1, null]}"#);
    run.ask(STATS);

    // Outside clients: one stays connected, one shuts down and reads to the end, one sends nothing, and
    // one resets its connection.
    let every_byte: Vec<u8> = (0..=255).collect();
    let stays = client(server, &every_byte);
    let leaves = client(server, b"and goes");
    leaves
        .shutdown(std::net::Shutdown::Write)
        .expect("connected");
    let _ = (&leaves).read_to_end(&mut Vec::new());
    let silent = TcpStream::connect(server).expect("the server listens");
    let resets = client_that_resets(server);
    // The reply comes after the connection to reset is registered with epoll.
    run.ask(STATS);
    close_for_good(resets);
    run.ask(STATS);
    drop((stays, silent));
    run.ask(STOP);
    run.ask(STATS);

    let (status, calls) = run.end();
    assert!(status.success());
    assert_seen(&calls, "bind", "= -1 EADDRINUSE");
    assert_seen(&calls, "connect", "= -1 EINPROGRESS");
    assert_seen(&calls, "accept4", "= -1 EAGAIN");
    assert_seen(&calls, "read", "= -1 EAGAIN");
    assert_seen(&calls, "read", "= -1 ECONNRESET");
    assert_seen(&calls, "read", r#""\0\1\2\3"#);
    assert_seen(&calls, "write", "\"..., ");
    assert_seen(&calls, "write", "rawecho: line 3");
    assert_seen(&calls, "epoll_pwait", "EPOLLIN|EPOLLERR|EPOLLHUP");
}

/// Connects and gets an echo. Dropping the returned socket resets the connection.
fn client_that_resets(server: SocketAddr) -> Socket<Linux> {
    let client =
        Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_IP).expect("a socket");
    client
        .connect(&Sockaddr::from(server))
        .expect("the server listens");
    client.write(b"x").expect("connected");
    assert_eq!(client.read(&mut [0]), Ok(1));
    let at_once = Linger {
        l_onoff: 1,
        l_linger: 0,
    };
    client.setsockopt(SO_LINGER, at_once).expect("an option");
    client
}

fn trace_of_ipv6_and_file_input_matches_strace() {
    let (taken, _listener) = taken_port(Ipv6Addr::LOCALHOST.into());
    let input = TempFile::new("input.jsonl");
    let bodies = [
        INIT,
        &start_on(taken),
        START,
        &send("hello"),
        &send("again, by IPv6"),
        STATS,
        STOP,
        START,
    ];
    let lines: String = bodies.iter().map(|body| request(body)).collect();
    // The last line has no newline.
    fs::write(&input.0, lines.trim_end()).expect("a file");
    let file = File::open(&input.0).expect("a file");
    let run = Run::new("ipv6", &["--bind", "::1"], file.into());
    let (status, calls) = run.end();
    assert!(status.success());
    assert_seen(&calls, "bind", "= -1 EADDRINUSE");
    assert_seen(&calls, "epoll_ctl", "= -1 EPERM");
    assert_seen(
        &calls,
        "accept4",
        r#"inet_pton(AF_INET6, "::1", &sin6_addr)"#,
    );
}

fn trace_of_failed_bind_and_closed_output_matches_strace() {
    let elsewhere = IpAddr::from([192, 0, 2, 1]).to_string();
    let mut run = Run::new("closed-output", &["--bind", &elsewhere], Stdio::piped());
    run.ask(INIT);
    run.ask(START);
    // Close the output, so that the next reply has no reader.
    let strace_out = std::mem::replace(&mut run.output, BufReader::new(closed_output()));
    close_for_good(strace_out);
    run.write(request(STATS));
    let (status, calls) = run.end();
    assert!(!status.success());
    assert_seen(&calls, "bind", "= -1 EADDRNOTAVAIL");
    assert_seen(&calls, "write", "= -1 EPIPE");
}

/// Returns the standard output of a program that has exited.
fn closed_output() -> ChildStdout {
    let mut child = spawn(Command::new("true").stdout(Stdio::piped()));
    let output = child.stdout.take().expect("a pipe");
    child.wait().expect("`true` exits");
    output
}

fn trace_of_serve_matches_strace() {
    let mut run = Run::new("serve", &["serve", "--port", "0"], Stdio::null());
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&run.read_line())));
    drop(client(server, b"hello"));
    let process: i32 = run.process().parse().expect("one process");
    // SAFETY: the call takes no pointer. The process still runs, so no other process has its ID.
    assert_eq!(unsafe { libc::kill(process, libc::SIGTERM) }, 0);
    let (status, calls) = run.end();
    assert!(status.success());
    assert_seen(&calls, "signalfd4", "[INT TERM]");
    assert_seen(&calls, "read", ", 128) = 128");
}

witness::tests! {
    trace_of_a_session_with_errors_matches_strace: Strace;
    trace_of_ipv6_and_file_input_matches_strace: Strace, Ipv6;
    trace_of_failed_bind_and_closed_output_matches_strace: Strace;
    trace_of_serve_matches_strace: Strace;
}
