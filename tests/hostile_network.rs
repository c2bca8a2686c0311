//! Hostile clients: random bytes, some of them urgent, in random pieces with random ends, and
//! floods of connections that are abandoned at once. Each client gets its own bytes back unchanged
//! or its connection ends. It receives nothing else, and the node keeps none of its resources.

mod common;
#[allow(dead_code, reason = "other test files use the rest")]
#[path = "common/sockets.rs"]
mod sockets;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use common::{Node, client, converse, eventually};
use sockets::reset_at_close;

/// A pseudo-random number generator, splitmix64, whose numbers are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Sends `bytes`, the last of them as urgent data.
fn send_urgently(client: &TcpStream, bytes: &[u8]) {
    // SAFETY: the pointer and the length describe `bytes`.
    let count = unsafe {
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        libc::send(
            client.as_raw_fd(),
            data,
            len,
            libc::MSG_OOB | libc::MSG_NOSIGNAL,
        )
    };
    assert_eq!(count, bytes.len() as isize, "all of it fits");
}

/// Runs one client with random actions, which `seed` determines.
fn talk(server: SocketAddr, seed: u64) {
    const PIECES: u64 = 20;
    const LONGEST: u64 = 3000;
    let random = &mut Random(seed);
    let mut client = client(server);
    let mut sent = Vec::new();
    let mut received = Vec::new();
    for _ in 0..random.below(PIECES) {
        let count = 1 + random.below(LONGEST);
        let piece = random.bytes(count);
        if random.below(3) == 0 {
            send_urgently(&client, &piece);
        } else {
            client.write_all(&piece).expect("write");
        }
        sent.extend(piece);
        if random.below(2) == 0 {
            let mut some = vec![0; (sent.len() - received.len()).min(LONGEST as usize)];
            let count = client.read(&mut some).expect("the echo");
            assert_ne!(count, 0, "the server closed the connection early");
            received.extend_from_slice(&some[..count]);
        }
        assert!(
            sent.starts_with(&received),
            "seed {seed}: other bytes came back"
        );
    }
    match random.below(4) {
        0 => reset_at_close(&client),
        1 => client.shutdown(Shutdown::Both).expect("shutdown"),
        _ => {
            client.shutdown(Shutdown::Write).expect("shutdown");
            client.read_to_end(&mut received).expect("no reset");
            assert!(
                received == sent,
                "seed {seed}: {} of {} bytes",
                received.len(),
                sent.len()
            );
        }
    }
}

#[test]
fn random_client_actions_echo_or_close() {
    const CLIENTS: u64 = 400;
    const AT_ONCE: u64 = 8;
    let (mut node, server) = Node::listening();
    let before = node.descriptors();
    thread::scope(|scope| {
        for first in 0..AT_ONCE {
            scope.spawn(move || {
                for seed in (first..CLIENTS).step_by(AT_ONCE as usize) {
                    talk(server, seed);
                }
            });
        }
    });
    node.send("afterwards");
    eventually("all descriptors are free", || {
        (node.descriptors() == before).then_some(())
    });
    assert_eq!(node.stats().0, CLIENTS + 1);
    node.finish_well();
}

#[test]
fn abandoned_connections_free_their_descriptors() {
    const ROUNDS: usize = 5;
    let flood = witness::crowd(1000, 100);
    let (mut node, server) = Node::listening();
    let bystander = client(server);
    converse(&bystander, b"before");
    let before = node.descriptors();
    for round in 0..ROUNDS {
        let clients: Vec<_> = (0..flood).map(|_| client(server)).collect();
        for (i, mut client) in clients.into_iter().enumerate() {
            // Reset, with or without bytes in flight, or just closed.
            if i % 3 > 0 {
                reset_at_close(&client);
            }
            if i % 2 == 0 {
                client.write_all(b"goodbye").expect("write");
            }
        }
        converse(&bystander, b"meanwhile");
        node.send(&format!("round {round}"));
    }
    eventually("all descriptors are free", || {
        (node.descriptors() == before).then_some(())
    });
    node.finish_well();
}
