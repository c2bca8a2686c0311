//! The server alone. With any number of threads and any busy-polling time, clients get their bytes, the
//! counters are exact, and signals stop the server gracefully.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Stdio};
use std::time::Instant;

use common::{Node, assert_end, client, converse, eventually, program};
use serde_json::{Value, json};

/// A running server.
struct Server {
    node: Node,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let mut command = program();
        command.arg("serve").args(["--port", "0"]).args(args);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = Node::spawn(&mut command);
        let mut stdout = node.stdout.take().expect("a pipe");
        let status = line(&mut stdout);
        let port = status["port"].as_u64().expect("a port");
        let expected = json!({"status": "listening", "address": "127.0.0.1", "port": port});
        assert_eq!(status, expected);
        let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
        Server {
            node,
            stdout,
            address,
        }
    }

    fn signal(&self, signal: i32) {
        self.node.signal(signal);
    }

    /// Checks that the server exits with success and reports this number of connections and bytes.
    #[track_caller]
    fn ends(mut self, connections: u64, bytes: u64) {
        let expected = json!({
            "status": "stopped", "address": "127.0.0.1", "port": self.address.port(),
            "total_connections": connections, "total_bytes": bytes,
        });
        assert_eq!(line(&mut self.stdout), expected);
        assert!(self.node.wait().success());
        assert_eq!(self.node.finish().stderr, "");
    }
}

fn line(stdout: &mut impl BufRead) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("UTF-8");
    serde_json::from_str(&line).expect("a line of JSON")
}

/// Returns whether no server listens on `server`, which can then be bound. (A connect would show this too,
/// but a listening server would count it.)
fn is_free(server: SocketAddr) -> bool {
    TcpListener::bind(server).is_ok()
}

#[test]
fn sigint_and_sigterm_end_serve() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let server = Server::start(&[]);
        converse(&client(server.address), b"hello");
        server.signal(signal);
        server.ends(1, 5);
    }
}

#[test]
fn connections_continue_after_the_first_signal() {
    let server = Server::start(&[]);
    let talker = client(server.address);
    converse(&talker, b"before");
    server.signal(libc::SIGTERM);
    eventually("the server stops listening", || {
        is_free(server.address).then_some(())
    });
    converse(&talker, b"after");
    drop(talker);
    server.ends(1, 11);
}

#[test]
fn second_signal_ends_serve_at_once() {
    for workers in ["1", "3"] {
        let server = Server::start(&["--workers", workers]);
        let silent = client(server.address);
        converse(&silent, b"hello");
        let begin = Instant::now();
        server.signal(libc::SIGTERM);
        eventually("the server stops listening", || {
            is_free(server.address).then_some(())
        });
        server.signal(libc::SIGINT);
        server.ends(1, 5);
        assert!(
            begin.elapsed() < rawecho::serve::SHUTDOWN_TIMEOUT,
            "the server waits for its connections"
        );
        assert_end(&silent);
    }
}

/// Two signals end the server even if its standard output is full.
#[test]
fn signals_end_serve_when_output_is_full() {
    let (mut full, _unread) = UnixStream::pair().expect("a pair");
    full.set_nonblocking(true).expect("a mode");
    while full.write(&[0; 1024]).is_ok() {}
    let mut command = program();
    command.args(["serve", "--port", "0"]).stdin(Stdio::null());
    command.stdout(OwnedFd::from(full)).stderr(Stdio::piped());
    let mut node = Node::spawn(&mut command);
    let signals = |node: &Node, set: &str| {
        let set = u64::from_str_radix(&node.status_field(set), 16).expect("a set of signals");
        set & 1 << (libc::SIGTERM - 1) != 0
    };
    // An emulator such as qemu-user blocks signals at its own start too, but does not sleep then.
    eventually("signals are blocked, and the server waits to write", || {
        (signals(&node, "SigBlk") && node.sleeps()).then_some(())
    });
    node.signal(libc::SIGTERM);
    eventually("the signal is read", || {
        (!signals(&node, "ShdPnd")).then_some(())
    });
    node.signal(libc::SIGTERM);
    assert!(node.wait().success());
    assert_eq!(node.finish().stderr, "");
}

#[test]
fn workers_share_the_clients_and_the_counts() {
    let server = Server::start(&["--workers", "3"]);
    let clients: Vec<_> = (0..200).map(|_| client(server.address)).collect();
    for (i, client) in clients.iter().enumerate() {
        converse(client, format!("client {i:03}").as_bytes());
    }
    drop(clients);
    server.signal(libc::SIGTERM);
    server.ends(200, 200 * 10);
}

#[test]
fn node_with_workers_answers_like_one_without() {
    let mut node = Node::start(&["--workers", "3"]).initialized();
    for round in 1..=3 {
        let server = node.listen();
        for i in 0..50 {
            node.send(&format!("send {i:02}"));
        }
        let outside = client(server);
        converse(&outside, b"outside");
        // A thread counts the bytes after the write, when the client may already have them.
        outside.shutdown(Shutdown::Write).expect("shutdown");
        assert_end(&outside);
        assert_eq!(node.stats(), (round * 51, round * (50 * 7 + 7)));
        let stopped =
            json!({"type": "tcp_echo_stop_ok", "status": "stopped", "port": server.port()});
        assert_eq!(node.request(json!({"type": "tcp_echo_stop"})), stopped);
        eventually("the port is free", || is_free(server).then_some(()));
    }
    node.finish_well();
}

#[test]
fn single_client_is_served_with_and_without_polling() {
    for spin in ["0", "60", "10000"] {
        let server = Server::start(&["--spin", spin]);
        let lone = client(server.address);
        for _ in 0..300 {
            converse(&lone, b"ping");
        }
        drop(lone);
        server.signal(libc::SIGTERM);
        server.ends(1, 1200);
    }
}

/// An idle server sleeps, whatever its busy-polling time.
#[test]
fn idle_server_sleeps() {
    let server = Server::start(&["--spin", "10000"]);
    let lone = client(server.address);
    for _ in 0..100 {
        converse(&lone, b"ping");
    }
    server.node.stays_asleep();
    drop(lone);
    server.signal(libc::SIGTERM);
    server.ends(1, 400);
}

#[test]
fn port_in_use_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    assert_taken(address);
    drop(taken);
    // With workers, a server shares its port only with its own workers.
    let sharing = Server::start(&["--workers", "2"]);
    assert_taken(sharing.address);
    sharing.signal(libc::SIGTERM);
    sharing.ends(0, 0);
}

/// Checks that no other server can listen on `address`, and that it reports `EADDRINUSE`.
fn assert_taken(address: SocketAddr) {
    for workers in ["1", "2"] {
        let port = address.port().to_string();
        let refused = Node::start(&["serve", "--port", &port, "--workers", workers]).finish();
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(refused.stdout, "");
        let reported = format!("rawecho: bind {address}: EADDRINUSE (98): Address already in use");
        assert!(refused.stderr.starts_with(&reported), "{}", refused.stderr);
    }
}
