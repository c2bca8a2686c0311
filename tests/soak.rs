//! A soak test of any duration: requests, and outside clients of all kinds, at the same time. Every
//! reply and every byte is checked. At the end the node has as many descriptors as at the start, and hardly
//! more memory than after a third of the time.
//!
//! An ordinary run takes [`SECONDS`]. To run it for an hour:
//! `SOAK_SECONDS=3600 cargo test --release --test soak -- --nocapture`. The run uses every idle CPU.
//! `SOAK_PAUSE_MS=10` leaves most of the CPU time to other programs, by a pause between the messages of
//! a client.

mod common;
#[allow(dead_code, reason = "other test files use the rest")]
#[path = "common/sockets.rs"]
mod sockets;

use std::env;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{Node, assert_end, client, converse, eventually, pattern};
use sockets::reset_at_close;

/// The duration if `SOAK_SECONDS` is not set.
const SECONDS: u64 = 3;

/// The most requests in flight.
const WINDOW: usize = 64;

/// The most bytes by which the node's memory may grow after the first third of the time.
const MAX_GROWTH: u64 = 4 << 20;

/// The most bytes of an ordinary client's message.
const MAX_SHORT_BYTES: usize = 5_000;

/// The parameters and the counters of the outside clients.
struct Outside {
    server: SocketAddr,
    until: Instant,
    pause: Duration,
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Outside {
    /// Runs one client after the other until the time is over. Each gets its number.
    fn repeat(&self, talk: fn(&Outside, usize)) {
        for number in 0.. {
            if self.over() {
                break;
            }
            talk(self, number);
            thread::sleep(self.pause);
        }
    }

    fn over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn connect(&self) -> TcpStream {
        self.connections.fetch_add(1, Relaxed);
        client(self.server)
    }

    fn converse(&self, client: &TcpStream, bytes: &[u8]) {
        converse(client, bytes);
        thread::sleep(self.pause);
        self.bytes.fetch_add(bytes.len() as u64, Relaxed);
    }
}

/// Sends one message and closes, as most clients do.
fn short(outside: &Outside, number: usize) {
    let client = outside.connect();
    outside.converse(&client, &pattern(number % MAX_SHORT_BYTES));
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_end(&client);
}

/// Sends continuously until the time is over.
fn long(outside: &Outside, _: usize) {
    let client = outside.connect();
    for length in (1..100_000).step_by(997).cycle() {
        if outside.over() {
            break;
        }
        outside.converse(&client, &pattern(length));
    }
}

/// Resets the connection, with or without unread bytes.
fn broken(outside: &Outside, number: usize) {
    let mut client = outside.connect();
    reset_at_close(&client);
    client
        .write_all(&pattern(number % MAX_SHORT_BYTES))
        .expect("write");
    if number % 2 == 0 && number % MAX_SHORT_BYTES > 0 {
        client.read_exact(&mut [0]).expect("the first byte");
    }
}

/// Opens many idle connections, and then sends on one of them.
fn idle(outside: &Outside, number: usize) {
    const MANY: usize = 100;
    let clients: Vec<TcpStream> = (0..MANY).map(|_| outside.connect()).collect();
    thread::sleep(Duration::from_millis(100));
    outside.converse(&clients[number % MANY], b"I am still here");
}

/// Sends one byte at a time.
fn slow(outside: &Outside, _: usize) {
    let client = outside.connect();
    for byte in 0..100 {
        outside.converse(&client, &[byte]);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reads only when the server accepts no more bytes.
fn late(outside: &Outside, _: usize) {
    const PIECE: usize = 1 << 20;
    /// All buffers are full if no write succeeds for this time.
    const STILL: Duration = Duration::from_millis(10);
    let mut client = outside.connect();
    let piece = pattern(PIECE);
    let (mut sent, mut still) = (0, false);
    client.set_nonblocking(true).expect("a socket");
    loop {
        match client.write(&piece[sent % PIECE..]) {
            Ok(count) => {
                sent += count;
                still = false;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && !still => {
                thread::sleep(STILL);
                still = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("write: {error}"),
        }
    }
    client.set_nonblocking(false).expect("a socket");
    client.shutdown(Shutdown::Write).expect("shutdown");
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("no reset");
    assert_eq!(received.len(), sent);
    assert!(received.chunks(PIECE).all(|chunk| piece.starts_with(chunk)));
    outside.bytes.fetch_add(sent as u64, Relaxed);
}

/// Writes requests until the time is over, and passes on the expected reply to each.
fn ask(stdin: ChildStdin, outside: &Outside, replies: &SyncSender<String>) -> ChildStdin {
    let mut stdin = BufWriter::new(stdin);
    for i in 0.. {
        if outside.over() {
            break;
        }
        let data = "→".repeat(i % 50);
        let (request, reply) = if i % 10 == 0 {
            (
                format!(r#""type":"echo","echo":["{data}"]"#),
                format!(r#"{{"type": "echo_ok", "in_reply_to": {i}, "echo": ["{data}"]"#),
            )
        } else {
            let bytes = data.len();
            (
                format!(r#""type":"tcp_echo_send","data":"{data}""#),
                format!(
                    r#"{{"type": "tcp_echo_send_ok", "in_reply_to": {i}, "echoed": "{data}", "bytes": {bytes}"#
                ),
            )
        };
        writeln!(
            stdin,
            r#"{{"src":"c1","dest":"n1","body":{{"msg_id":{i},{request}}}}}"#
        )
        .expect("write to the node");
        stdin.flush().expect("write to the node");
        // Blocks while too many requests are in flight.
        replies.send(reply).expect("the receiver is open");
        thread::sleep(outside.pause);
    }
    stdin.into_inner().expect("flushed")
}

#[test]
fn mixed_load_leaks_neither_memory_nor_descriptors() {
    const KINDS: [fn(&Outside, usize); 6] = [short, long, broken, idle, slow, late];
    let number =
        |name, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let seconds = number("SOAK_SECONDS", SECONDS);
    let (mut node, server) = Node::listening();
    let begun = Instant::now();
    let descriptors = node.descriptors();
    let outside = &Outside {
        server,
        until: begun + Duration::from_secs(seconds),
        pause: Duration::from_millis(number("SOAK_PAUSE_MS", 0)),
        connections: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let (mut sends, mut settled) = (0, None);
    let stdin = node.stdin.take().expect("a pipe");
    let (replies, expected) = sync_channel(WINDOW);
    let stdin = thread::scope(|scope| {
        for kind in KINDS {
            scope.spawn(move || outside.repeat(kind));
        }
        let asking = scope.spawn(move || ask(stdin, outside, &replies));
        for reply in expected {
            let msg_id = sends + 2;
            assert_eq!(
                node.line(),
                format!(r#"{{"src": "n1", "dest": "c1", "body": {reply}, "msg_id": {msg_id}}}}}"#)
            );
            sends += 1;
            if settled.is_none() && begun.elapsed() * 3 >= Duration::from_secs(seconds) {
                settled = Some(node.memory());
            }
        }
        asking.join().expect("no panic")
    });
    let memory = node.memory();
    eventually("all descriptors are free", || {
        (node.descriptors() == descriptors).then_some(())
    });
    let settled = settled.expect("time has passed");
    let (connections, bytes) = (
        outside.connections.load(Relaxed),
        outside.bytes.load(Relaxed),
    );
    println!(
        "{seconds} s: {sends} requests, {connections} outside clients, {} MiB echoed to them, no error; \
         resident memory {} KiB after a third, {} KiB at the end; {} descriptors before and after",
        bytes >> 20,
        settled >> 10,
        memory >> 10,
        descriptors.len(),
    );
    assert!(
        memory <= settled + MAX_GROWTH,
        "memory grew from {settled} to {memory} bytes"
    );
    // The counters are exact. The last connections may not be accepted yet.
    node.stdin = Some(stdin);
    let stats = format!(r#""total_connections": {}, "#, sends + connections);
    eventually("all connections are counted", || {
        node.write_line(r#"{"src":"c1","dest":"n1","body":{"type":"tcp_echo_stats","msg_id":0}}"#);
        node.line().contains(&stats).then_some(())
    });
    node.finish_well();
}
