//! Limits, addresses and socket options, as observed from outside the process, and the node's behaviour when
//! it runs out of descriptors.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use common::{Node, assert_end, client, converse, eventually, program_with_open_files};
use rawecho::engine::{
    MAX_UNSENT_BYTES, MIN_READ_BYTES, PEER_TIMEOUT, READ_BUFFER_BYTES, STALL_TIMEOUT,
};
use rawecho::node::DRAIN_TIMEOUT;
use rawecho::serve::SHUTDOWN_TIMEOUT;
use rawecho::stdio::MAX_LINE_BYTES;
use rlimit::{Resource, getrlimit};
use serde_json::json;

/// The README's table of limits states the values of the constants that it names.
#[test]
fn readme_limits_match_the_constants() {
    let readme = include_str!("../README.md");
    let (_, limits) = readme.split_once("\n## Limits\n").expect("a section");
    let mebibytes = |bytes: usize| format!("{} MiB", bytes >> 20);
    let kibibytes = |bytes: usize| format!("{} KiB", bytes >> 10);
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    for (name, value) in [
        ("stdio::MAX_LINE_BYTES", mebibytes(MAX_LINE_BYTES)),
        ("engine::READ_BUFFER_BYTES", kibibytes(READ_BUFFER_BYTES)),
        ("engine::MAX_UNSENT_BYTES", mebibytes(MAX_UNSENT_BYTES)),
        ("MIN_READ_BYTES", kibibytes(MIN_READ_BYTES)),
        ("engine::PEER_TIMEOUT", seconds(PEER_TIMEOUT)),
        ("engine::STALL_TIMEOUT", seconds(STALL_TIMEOUT)),
        ("node::DRAIN_TIMEOUT", seconds(DRAIN_TIMEOUT)),
        ("serve::SHUTDOWN_TIMEOUT", seconds(SHUTDOWN_TIMEOUT)),
    ] {
        let rows = limits.lines().filter(|row| row.starts_with("| "));
        let row = rows
            .into_iter()
            .find(|row| row.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("no row names {name}"));
        assert!(row.contains(&value), "{name} is {value}: {row}");
    }
}

/// A TCP socket of a node, as `/proc` shows it.
#[derive(Debug)]
struct TcpSocket {
    fd: RawFd,
    local: SocketAddrV4,
    listens: bool,
}

/// One end of a connection, or a listener, in `/proc/PID/net/tcp`.
struct Row {
    local: SocketAddrV4,
    state: u8,
    inode: String,
}

/// `TCP_LISTEN` and `TCP_TIME_WAIT` of the kernel's `include/net/tcp_states.h`.
const LISTEN: u8 = 10;
const TIME_WAIT: u8 = 6;

/// Returns the rows of the node's `/proc/PID/net/tcp`.
fn table(node: &Node) -> Vec<Row> {
    let table = node.proc("net/tcp");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields[1].split_once(':').expect("ADDRESS:PORT");
        // The text shows the address's four bytes in memory, in network byte order, as one native integer.
        let address = u32::from_str_radix(address, 16).expect("hexadecimal");
        let port = u16::from_str_radix(port, 16).expect("hexadecimal");
        Row {
            local: SocketAddrV4::new(Ipv4Addr::from(address.to_ne_bytes()), port),
            state: u8::from_str_radix(fields[3], 16).expect("hexadecimal"),
            inode: fields[9].into(),
        }
    };
    table.lines().skip(1).map(row).collect()
}

/// Returns the node's open TCP sockets over IPv4, and the number of its sockets of other kinds.
fn sockets(node: &Node) -> (Vec<TcpSocket>, usize) {
    let table = table(node);
    let (mut sockets, mut others) = (Vec::new(), 0);
    for fd in node.descriptors() {
        let target = fs::read_link(format!("/proc/{}/fd/{fd}", node.pid())).expect("a link");
        let target = target.to_string_lossy();
        let Some(inode) = target.strip_prefix("socket:[") else {
            continue;
        };
        match table
            .iter()
            .find(|row| row.inode == inode.trim_end_matches(']'))
        {
            Some(row) => sockets.push(TcpSocket {
                fd,
                local: row.local,
                listens: row.state == LISTEN,
            }),
            None => others += 1,
        }
    }
    (sockets, others)
}

/// Duplicates the node's descriptor `fd` into this process.
fn borrow(node: &Node, fd: RawFd) -> OwnedFd {
    // SAFETY: the calls take no pointer, and each returns a new descriptor.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, node.pid(), 0);
        assert!(
            process >= 0,
            "pidfd_open: {}",
            std::io::Error::last_os_error()
        );
        let process = OwnedFd::from_raw_fd(process as RawFd);
        let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0);
        assert!(
            copy >= 0,
            "pidfd_getfd: {}",
            std::io::Error::last_os_error()
        );
        OwnedFd::from_raw_fd(copy as RawFd)
    }
}

fn option(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> libc::c_int {
    let mut value: libc::c_int = -1;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointers are to `value` and to its length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &mut len,
        )
    };
    assert_eq!(result, 0, "getsockopt: {}", std::io::Error::last_os_error());
    value
}

#[test]
fn soft_limit_of_open_files_is_raised() {
    let (_, hard) = getrlimit(Resource::NOFILE).expect("the limit of open files");
    let node = Node::spawn(&mut program_with_open_files(1024.min(hard), hard)).initialized();
    let limits = node.proc("limits");
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = open_files.expect("a line").split_whitespace();
    assert_eq!(numbers.next().expect("the soft limit"), hard.to_string());
    assert_eq!(numbers.next().expect("the hard limit"), hard.to_string());
    node.finish_well();
}

#[test]
fn connections_may_exceed_the_soft_limit() {
    let (_, hard) = getrlimit(Resource::NOFILE).expect("the limit of open files");
    let mut node = Node::spawn(&mut program_with_open_files(64, hard)).initialized();
    let server = node.listen();
    let clients: Vec<TcpStream> = (0..100).map(|_| client(server)).collect();
    for client in &clients {
        converse(client, b"hello");
    }
    assert_eq!(node.stats(), (100, 500));
    node.finish_well();
}

#[test]
fn node_listens_on_loopback_only() {
    let (node, server) = Node::listening();
    let (sockets, others) = sockets(&node);
    assert_eq!((sockets.len(), others), (1, 0), "one socket: {sockets:?}");
    assert!(sockets[0].listens);
    assert_eq!(
        sockets[0].local,
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, server.port())
    );
    node.finish_well();
}

#[test]
fn no_socket_is_open_before_start() {
    let mut node = Node::n1();
    let (none, others) = sockets(&node);
    assert_eq!((none.len(), others), (0, 0));
    node.listen();
    node.send("hello");
    assert_eq!(
        sockets(&node).0.len(),
        1,
        "the client and its peer are closed"
    );
    node.request(json!({"type": "tcp_echo_stop"}));
    assert_eq!(sockets(&node).0.len(), 0);
    node.finish_well();
}

/// Duplicates the node's sockets and reads their options: REUSEADDR, NODELAY, KEEPALIVE and its times,
/// USER_TIMEOUT, O_NONBLOCK, FD_CLOEXEC.
#[test]
fn sockets_have_the_expected_options() {
    let (node, server) = Node::listening();
    let open = client(server);
    converse(&open, b"hello");
    let (sockets, _) = sockets(&node);
    assert_eq!(sockets.len(), 2, "a listener and a connection: {sockets:?}");
    for socket in &sockets {
        let info = node.proc(&format!("fdinfo/{}", socket.fd));
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.expect("flags").trim(), 8).expect("octal");
        assert!(flags & libc::O_NONBLOCK != 0, "O_NONBLOCK: {socket:?}");
        assert!(flags & libc::O_CLOEXEC != 0, "FD_CLOEXEC: {socket:?}");
        let handle = borrow(&node, socket.fd);
        if socket.listens {
            assert_eq!(option(&handle, libc::SOL_SOCKET, libc::SO_REUSEADDR), 1);
        } else {
            assert_eq!(option(&handle, libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
            assert_eq!(option(&handle, libc::SOL_SOCKET, libc::SO_KEEPALIVE), 1);
            // The kernel drops an unreachable peer after a timeout, with or without bytes in flight.
            let tcp = |name| option(&handle, libc::IPPROTO_TCP, name) as u64;
            let probes = tcp(libc::TCP_KEEPINTVL) * tcp(libc::TCP_KEEPCNT);
            let dropped = Duration::from_secs(tcp(libc::TCP_KEEPIDLE) + probes);
            assert_eq!(dropped, PEER_TIMEOUT);
            let unanswered = Duration::from_millis(tcp(libc::TCP_USER_TIMEOUT));
            assert_eq!(unanswered, PEER_TIMEOUT);
        }
    }
    node.finish_well();
}

/// The server's end closes first and enters TIME_WAIT. The same node and another one can listen on its
/// port at once.
#[test]
fn port_can_be_reused_during_time_wait() {
    let (mut node, server) = Node::listening_on_unused_port();
    let open = client(server);
    converse(&open, b"hello");
    assert_eq!(
        node.request(json!({"type": "tcp_echo_stop"}))["status"],
        "stopped"
    );
    assert_end(&open);
    drop(open);
    let waits = |node: &Node| {
        let mut rows = table(node).into_iter();
        rows.any(|row| row.local.port() == server.port() && row.state == TIME_WAIT)
    };
    eventually("an end in TIME_WAIT", || waits(&node).then_some(()));
    let start = json!({"type": "tcp_echo_start", "port": server.port()});
    assert_eq!(node.request(start.clone())["status"], "listening");
    node.send("the same node");
    node.finish_well();
    let mut node = Node::n1();
    assert!(waits(&node), "still");
    assert_eq!(node.request(start)["status"], "listening");
    node.send("another node");
    node.finish_well();
}

#[test]
fn descriptor_exhaustion_fails_sends_and_delays_new_clients() {
    const LIMIT: RawFd = 64;
    let mut node =
        Node::spawn(&mut program_with_open_files(LIMIT as u64, LIMIT as u64)).initialized();
    // The node may have inherited further descriptors from the tests, with higher numbers.
    let free = |node: &Node| LIMIT as usize - node.descriptors().range(..LIMIT).count();
    let server = node.listen();
    let send = json!({"type": "tcp_echo_send", "data": "hello"});
    let sent = json!({"type": "tcp_echo_send_ok", "echoed": "hello", "bytes": 5});
    let mut clients = Vec::new();
    let one_more = |clients: &mut Vec<TcpStream>| {
        clients.push(client(server));
        converse(clients.last().expect("one"), b"one more");
    };
    while free(&node) > 1 {
        one_more(&mut clients);
    }
    // One descriptor is left, which suffices for the send's client but not for the accepted end.
    node.fails(
        send.clone(),
        11,
        &[&format!("accept4 {server}: EMFILE (24)")],
    );
    one_more(&mut clients);
    assert_eq!(free(&node), 0);
    node.fails(send.clone(), 11, &["socket: EMFILE (24)"]);
    // Accepted clients are served. New ones wait.
    let mut waiting = client(server);
    waiting.write_all(b"waiting").expect("write");
    for client in &clients {
        converse(client, b"still here");
    }
    node.uses_no_processor();
    // When one client closes, the next is accepted.
    clients.pop();
    let mut echo = [0; 7];
    waiting.read_exact(&mut echo).expect("the echo");
    assert_eq!(&echo, b"waiting");
    assert_eq!(free(&node), 0);
    // More clients close while a send waits for a descriptor.
    let waiting_send = node.ask(send);
    clients.truncate(clients.len() - 3);
    assert_eq!(node.reply_to(waiting_send), sent);
    for _ in 0..100 {
        node.send("hello");
    }
    node.finish_well();
}
