//! Crowds of 5,000 clients of the worst kinds: clients that send and never read, clients that send
//! a byte at a time, and silent clients. The node's memory stays within its documented limits, and a
//! well-behaved client keeps its latency.
//!
//! An ordinary run leaves out the test that measures the latency. To run it:
//! `cargo test --release --test crowds -- --ignored --nocapture`.

mod common;
#[allow(dead_code, reason = "other test files use the rest")]
#[path = "common/sockets.rs"]
mod sockets;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::{Node, client, converse, eventually};
use rawecho::engine::{MAX_UNSENT_BYTES, MIN_READ_BYTES, READ_BUFFER_BYTES};
use sockets::client_with;

/// The number of clients in a crowd, if the limit of open files allows it.
const CLIENTS: usize = 5_000;

/// Descriptors that this process and the node need for other things.
const OTHER_FILES: usize = 100;

/// The bytes of memory that a connection without buffered data uses: its entries in the tables, including
/// spare capacity.
const BYTES_PER_CLIENT: usize = 256;

/// An allowance in bytes for the allocator and the kernel's rounding.
const SLACK: usize = 4 << 20;

/// Returns the most memory that a crowd of `clients` may use while the server buffers no bytes.
fn idle_bytes(clients: usize) -> u64 {
    (clients * BYTES_PER_CLIENT + SLACK) as u64
}

/// Serializes the crowds: the machine may have memory and descriptors for only one of them.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects a crowd of ordinary clients.
fn crowd(server: SocketAddr) -> Vec<TcpStream> {
    let clients = witness::crowd(CLIENTS, OTHER_FILES);
    (0..clients).map(|_| client(server)).collect()
}

/// Connects a crowd for [`fill_all_buffers`], with small kernel buffers: the bytes must end up in the node's
/// own memory, and the kernel's memory would not suffice for so many buffers of the usual size.
fn crowd_with_small_buffers(server: SocketAddr) -> Vec<TcpStream> {
    /// The kernel raises this to its own minimum.
    const MIN_RECEIVE_BUFFER: libc::c_int = 1;
    /// Large enough that the server reads large pieces.
    const SEND_BUFFER: libc::c_int = 24 << 10;
    /// The server's send buffer grows with the segment size.
    const SEGMENT_BYTES: libc::c_int = 536;
    let SocketAddr::V4(server) = server else {
        panic!("an IPv4 address");
    };
    let options = [
        (libc::SOL_SOCKET, libc::SO_RCVBUF, MIN_RECEIVE_BUFFER),
        (libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER),
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG, SEGMENT_BYTES),
    ];
    (0..witness::crowd(CLIENTS, OTHER_FILES))
        .map(|_| client_with(server, &options))
        .collect()
}

/// Sends on every client of `crowd` until the server accepts no more, and never reads.
fn fill_all_buffers(crowd: &[TcpStream]) {
    const PIECE: &[u8] = &[b'!'; READ_BUFFER_BYTES];
    for client in crowd {
        client.set_nonblocking(true).expect("a socket");
    }
    let mut quiet_rounds = 0;
    while quiet_rounds < 2 {
        quiet_rounds += 1;
        for mut client in crowd {
            match client.write(PIECE) {
                Ok(sent) => quiet_rounds = if sent == 0 { quiet_rounds } else { 0 },
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn memory_of_non_reading_clients_is_bounded() {
    let _alone = alone();
    let (mut node, server) = Node::listening();
    let bystander = client(server);
    converse(&bystander, b"before");
    let before = node.memory();
    let crowd = crowd_with_small_buffers(server);
    fill_all_buffers(&crowd);
    converse(&bystander, b"meanwhile");
    node.send("meanwhile");
    let held = node.peak_memory() - before;
    let clients = crowd.len();
    println!("{clients} clients that never read: {} KiB used", held >> 10);
    let unsent = MAX_UNSENT_BYTES + clients * MIN_READ_BYTES + READ_BUFFER_BYTES;
    let bound = idle_bytes(clients) + unsent as u64;
    assert!(held <= bound, "{held} bytes are held, over {bound}");
    assert!(
        // A smaller crowd uses less memory.
        held >= (MAX_UNSENT_BYTES / 2 / CLIENTS * clients) as u64,
        "the crowd uses too little memory for a test: {held} bytes"
    );
    // The node works after the crowd has left.
    drop(crowd);
    node.send("afterwards");
    converse(&bystander, b"afterwards");
    node.finish_well();
}

#[test]
fn slow_writers_use_no_buffer_memory() {
    let _alone = alone();
    let (mut node, server) = Node::listening();
    let before = node.memory();
    let crowd = crowd(server);
    for byte in b"abc" {
        for mut client in &crowd {
            client.write_all(&[*byte]).expect("write");
        }
        node.send("between two bytes");
        for mut client in &crowd {
            let mut echo = [0];
            client.read_exact(&mut echo).expect("the echo");
            assert_eq!(echo, [*byte]);
        }
    }
    let held = node.peak_memory() - before;
    println!("{} slow writers: {} KiB used", crowd.len(), held >> 10);
    let bound = idle_bytes(crowd.len());
    assert!(held <= bound, "{held} bytes are held, over {bound}");
    drop(crowd);
    node.finish_well();
}

#[test]
fn silent_clients_use_no_buffer_memory() {
    let _alone = alone();
    let (mut node, server) = Node::listening();
    let before = node.memory();
    let crowd = crowd(server);
    converse(crowd.last().expect("a client"), b"the last one is accepted");
    node.send("meanwhile");
    let held = node.peak_memory() - before;
    println!("{} silent clients: {} KiB used", crowd.len(), held >> 10);
    let bound = idle_bytes(crowd.len());
    assert!(held <= bound, "{held} bytes are held, over {bound}");
    eventually("all clients are counted", || {
        (node.stats().0 == crowd.len() as u64 + 1).then_some(())
    });
    // Half of the clients reset their connections.
    for client in crowd.iter().step_by(2) {
        sockets::reset_at_close(client);
    }
    drop(crowd);
    node.send("afterwards");
    node.finish_well();
}

/// Returns the median latency of many echoes to a client that waits for each of them.
fn latency(client: &TcpStream) -> Duration {
    const ECHOES: usize = 10_000;
    client.set_nodelay(true).expect("a socket");
    let mut times: Vec<Duration> = (0..ECHOES)
        .map(|_| {
            let begun = Instant::now();
            converse(client, b"a well-behaved client");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ECHOES / 2]
}

#[test]
#[ignore = "measures latency, which takes a release build and an idle machine"]
fn well_behaved_client_keeps_its_latency() {
    /// Each client of a full crowd sends a byte a second.
    const PAUSE: Duration = Duration::from_nanos(1_000_000_000 / CLIENTS as u64);
    let (node, server) = Node::listening();
    let quick = client(server);
    let alone = latency(&quick);
    println!("alone: {alone:?}");
    let check = |what: &str, time: Duration| {
        println!("{CLIENTS} clients, {what}: {time:?}");
        assert!(
            time <= 2 * alone,
            "{CLIENTS} clients, {what}: {time:?}, alone {alone:?}"
        );
    };
    let silent = crowd(server);
    check("silent", latency(&quick));
    let end = AtomicBool::new(false);
    let time = thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = Instant::now();
            for mut client in silent.iter().cycle() {
                if end.load(Relaxed) {
                    break;
                }
                client.write_all(b".").expect("write");
                next += PAUSE;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let time = latency(&quick);
        end.store(true, Relaxed);
        time
    });
    check("sending a byte a second", time);
    drop(silent);
    let non_readers = crowd_with_small_buffers(server);
    fill_all_buffers(&non_readers);
    check("never reading", latency(&quick));
    drop(non_readers);
    node.finish_well();
}
