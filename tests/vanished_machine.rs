//! A client's machine becomes unreachable, as if the cable were cut. Its connections end
//! within [`PEER_TIMEOUT`], whether they were idle or had bytes in flight, and their descriptors are
//! freed.
//!
//! Two network namespaces and a virtual cable between them represent two machines. Creating them takes root
//! (`CAP_SYS_ADMIN`, `CAP_NET_ADMIN`), and the timeout takes a minute, so the test runs only on request:
//! `cargo test --test vanished_machine -- --ignored`.

mod common;

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use common::{Node, client, converse, eventually, with_pipes};
use rawecho::engine::PEER_TIMEOUT;

/// Addresses reserved for documentation (RFC 5737): the server's and the client's.
const SERVER: &str = "192.0.2.1";
const CLIENT: &str = "192.0.2.2";

/// The ends of the cable.
const SERVER_END: &str = "to-client";
const CLIENT_END: &str = "to-server";

/// The tolerance. Linux's timers may expire late by an eighth of their time, and a busy machine adds delay.
const LATE: Duration = Duration::from_secs(20);

/// The earliest end of a connection. Keepalive probes begin after half of the timeout.
const EARLIEST: Duration = Duration::from_secs(PEER_TIMEOUT.as_secs() / 2);

/// A machine: a network namespace, which is deleted when this is dropped.
struct Machine(String);

impl Machine {
    fn new(name: &str) -> Machine {
        let machine = Machine(format!("rawecho-{name}-{}", process::id()));
        ip(&["netns", "add", &machine.0]);
        machine.ip(&["link", "set", "lo", "up"]);
        machine
    }

    /// Runs `ip` with `args` on this machine.
    fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.0], args].concat());
    }

    /// Gives this machine's end of the cable an address.
    fn plug_in(&self, end: &str, address: &str) {
        self.ip(&["address", "add", &format!("{address}/24"), "dev", end]);
        self.ip(&["link", "set", end, "up"]);
    }

    /// Connects to `server` from this machine.
    fn client(&self, server: SocketAddr) -> TcpStream {
        let namespace = File::open(format!("/run/netns/{}", self.0)).expect("the namespace");
        // A thread can be in another namespace than the rest of the process. A socket stays in the namespace
        // in which it was created.
        let connect = move || {
            // SAFETY: the call takes no pointer, and affects only this thread.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "setns");
            client(server)
        };
        thread::spawn(connect).join().expect("connected")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output();
    let done = done.expect("ip is missing: apt-get install iproute2");
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {args:?}: {why}");
}

#[test]
#[ignore = "takes root, network namespaces and more than a minute"]
fn connections_to_a_vanished_peer_end_by_peer_timeout() {
    let (here, there) = (Machine::new("server"), Machine::new("client"));
    let cable = ["type", "veth", "peer", CLIENT_END, "netns", &there.0];
    here.ip(&[&["link", "add", SERVER_END], &cable[..]].concat());
    here.plug_in(SERVER_END, SERVER);
    there.plug_in(CLIENT_END, CLIENT);

    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        &here.0,
        env!("CARGO_BIN_EXE_rawecho"),
        "--bind",
        SERVER,
    ]);
    with_pipes(&mut command);
    let mut node = Node::spawn(&mut command).initialized();
    let port = node.listen().port();
    let server = SocketAddr::new(SERVER.parse().expect("an address"), port);
    let before = node.descriptors();

    let silent = there.client(server);
    converse(&silent, b"the last message");
    let mut busy = there.client(server);
    converse(&busy, b"before the end");
    let (_, bytes) = node.stats();
    // From here on, nothing reaches the client's machine, because the server sends to a MAC address that no
    // network card has. The server still receives the client's last bytes.
    const ABSENT_MAC: &str = "02:00:00:00:00:99";
    here.ip(&[
        "neigh",
        "replace",
        CLIENT,
        "lladdr",
        ABSENT_MAC,
        "dev",
        SERVER_END,
        "nud",
        "permanent",
    ]);
    const LAST_WORDS: &[u8] = b"last words";
    busy.write_all(LAST_WORDS).expect("write");
    eventually("the bytes are echoed, to no receiver", || {
        (node.stats().1 == bytes + LAST_WORDS.len() as u64).then_some(())
    });
    // From here on, nothing leaves the client's machine either.
    there.ip(&["link", "set", CLIENT_END, "down"]);
    let gone = Instant::now();
    assert_eq!(node.descriptors().len(), before.len() + 2);

    let mut open = 2;
    while open > 0 {
        thread::sleep(Duration::from_millis(500));
        node.send("other clients are served");
        let left = node.descriptors().len() - before.len();
        if left < open {
            println!("{left} left after {:?}", gone.elapsed());
            assert!(gone.elapsed() > EARLIEST, "too early: {:?}", gone.elapsed());
            open = left;
        }
        assert!(gone.elapsed() < PEER_TIMEOUT + LATE, "{open} still open");
    }
    assert_eq!(node.descriptors(), before);
    node.finish_well();
}
