//! A server killed under load and restarted at once on the same port: the new server listens,
//! whatever state the kernel still keeps for the old connections.

mod common;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use common::{Node, eventually};
use serde_json::json;

const RESTARTS: usize = 50;
const CLIENTS: usize = 8;

/// Echoes that a server has to serve before it is killed.
const LOAD: u64 = 100;

/// Sends to the server until it is killed, and counts the echoes. Connects only while the server is
/// `up`. Without a listener, the kernel may connect a client to itself if the port is in the ephemeral
/// range, and this connection would occupy the port.
fn talk(server: SocketAddr, up: &RwLock<()>, echoes: &AtomicU64) -> io::Result<()> {
    let mut client = {
        let _up = up.read().expect("no panic");
        TcpStream::connect_timeout(&server, common::TIMEOUT)?
    };
    client.set_read_timeout(Some(common::TIMEOUT))?;
    let sent = [7; 1000];
    let mut received = [0; 1000];
    loop {
        client.write_all(&sent)?;
        client.read_exact(&mut received)?;
        assert_eq!(sent, received);
        echoes.fetch_add(1, Relaxed);
    }
}

#[test]
fn port_is_free_after_kill() {
    let (node, server) = Node::listening_on_unused_port();
    let up = RwLock::new(());
    let (end, echoes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !end.load(Relaxed) {
                    // Fails when the server is killed.
                    let _ = talk(server, &up, &echoes);
                }
            });
        }
        let mut node = node;
        for _ in 0..RESTARTS {
            let before = echoes.load(Relaxed);
            eventually("the server is under load", || {
                (echoes.load(Relaxed) >= before + LOAD).then_some(())
            });
            let down = up.write().expect("no panic");
            // Dropping the node sends SIGKILL.
            drop(node);
            node = Node::n1();
            let reply = node.request(json!({"type": "tcp_echo_start", "port": server.port()}));
            assert_eq!(reply["status"], "listening", "{reply}");
            drop(down);
            node.send("at once");
        }
        end.store(true, Relaxed);
    });
}
