//! The server echoes to clients of many kinds, which use the standard library's TCP, while the node
//! continues to handle its requests.

mod common;
#[allow(dead_code, reason = "other test files use the rest")]
#[path = "common/sockets.rs"]
mod sockets;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Node, TIMEOUT, assert_end, client, converse, eventually, pattern};
use rawecho::engine::READ_BUFFER_BYTES;
use serde_json::json;
use sockets::reset_at_close;

/// Closes the connection with a reset.
fn reset(client: TcpStream) {
    reset_at_close(&client);
}

/// Writes until the socket has accepted no byte for a second or `at_most` bytes are written. Returns the
/// number of bytes written.
fn push(mut client: &TcpStream, at_most: usize) -> usize {
    client
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    let piece = pattern(READ_BUFFER_BYTES);
    let mut taken = 0;
    while taken < at_most {
        match client.write(&piece[taken % piece.len()..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("write: {error}"),
        }
    }
    taken
}

/// Sends all `bytes` and shuts down the sending side, as `nc -N` and `ncat` do. Reads the whole echo, then
/// end of file.
fn half_close(server: SocketAddr, bytes: &[u8]) {
    let mut reader = client(server);
    let mut writer = reader.try_clone().expect("a second handle");
    let mut echo = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).expect("write");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        reader.read_to_end(&mut echo).expect("no reset");
    });
    assert!(echo == bytes, "{} of {} bytes", echo.len(), bytes.len());
}

#[test]
fn two_thousand_concurrent_clients_are_echoed() {
    // Concurrent tests of this program need descriptors too.
    let crowd = witness::crowd(2000, 600);
    let (mut node, server) = Node::listening();
    let clients: Vec<TcpStream> = (0..crowd).map(|_| client(server)).collect();
    let text = |i: usize| format!("I am client number {i}");
    for (i, mut client) in clients.iter().enumerate() {
        client.write_all(text(i).as_bytes()).expect("write");
    }
    node.send("in the middle of them");
    for (i, mut client) in clients.iter().enumerate().rev() {
        let mut echo = vec![0; text(i).len()];
        client.read_exact(&mut echo).expect("the whole echo");
        assert_eq!(echo, text(i).as_bytes());
    }
    // All connections are still open.
    for (i, client) in clients.iter().enumerate() {
        converse(client, text(crowd - i).as_bytes());
    }
    assert_eq!(node.stats().0, crowd as u64 + 1);
    drop(clients);
    node.send("after them");
    node.finish_well();
}

#[test]
fn half_closed_clients_get_all_their_bytes() {
    let (node, server) = Node::listening();
    for len in [
        0,
        1,
        1000,
        READ_BUFFER_BYTES,
        READ_BUFFER_BYTES + 1,
        10_000_000,
    ] {
        half_close(server, &pattern(len));
    }
    node.finish_well();
}

/// The client reads only when all buffers, the server's and the sockets', are full.
#[test]
fn late_reader_gets_all_its_bytes() {
    let (node, server) = Node::listening();
    let mut late = client(server);
    let sent = push(&late, 64 << 20);
    late.shutdown(Shutdown::Write).expect("shutdown");
    let mut echo = Vec::new();
    late.read_to_end(&mut echo).expect("no reset");
    assert_eq!(echo.len(), sent);
    assert!(echo == pattern(READ_BUFFER_BYTES).repeat(sent / READ_BUFFER_BYTES + 1)[..sent]);
    node.finish_well();
}

#[test]
fn reset_does_not_affect_other_clients() {
    let (mut node, server) = Node::listening();
    let before = node.descriptors();
    let bystander = client(server);
    for round in 0..50 {
        // Reset at once; after sending some bytes; after reading their echo; with many bytes in flight.
        reset(client(server));
        let mut talker = client(server);
        talker.write_all(b"never mind").expect("write");
        reset(talker);
        let talker = client(server);
        converse(&talker, b"hello");
        reset(talker);
        let mut talker = client(server);
        talker.set_nonblocking(true).expect("O_NONBLOCK");
        while talker.write(&[7; 100_000]).is_ok() {}
        reset(talker);
        converse(&bystander, format!("round {round}").as_bytes());
        node.send("own");
    }
    drop(bystander);
    eventually("every descriptor is closed again", || {
        (node.descriptors() == before).then_some(())
    });
    node.finish_well();
}

#[test]
fn non_reading_client_is_bounded_and_does_not_delay_others() {
    const CLIENTS: usize = 4;
    const MUCH: usize = 64 << 20;
    let (mut node, server) = Node::listening();
    let bystander = client(server);
    let before = node.memory();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let non_reader = client(server);
                let taken = push(&non_reader, MUCH);
                assert!(taken > 1 << 20, "megabytes: {taken}");
                assert!(taken < MUCH, "the server stops reading");
                converse(&client(server), b"another client");
                // Dropping the client resets the connection, because it has not read its echo.
            });
        }
        for i in 0..100 {
            node.send(&format!("meanwhile {i}"));
            converse(&bystander, b"meanwhile");
        }
        let growth = eventually("the server has stopped reading", || {
            (node.stats().0 == 101 + 2 * CLIENTS as u64)
                .then(|| node.memory().saturating_sub(before))
        });
        // One read for each of the 2 * CLIENTS clients, and an allowance for the allocator.
        let bound = (2 * CLIENTS * READ_BUFFER_BYTES) as u64 + (2 << 20);
        assert!(growth < bound, "{growth} bytes more, over {bound}");
    });
    node.send("afterwards");
    node.finish_well();
}

#[test]
fn slow_writers_are_echoed() {
    let (mut node, server) = Node::listening();
    let bytes = pattern(300);
    let slow: Vec<TcpStream> = (0..20).map(|_| client(server)).collect();
    for (i, byte) in bytes.iter().enumerate() {
        for client in &slow {
            converse(client, &[*byte]);
        }
        if i % 50 == 0 {
            node.send("between two bytes");
        }
    }
    for client in &slow {
        client.shutdown(Shutdown::Write).expect("shutdown");
        assert_end(client);
    }
    assert_eq!(node.stats(), (26, 20 * 300 + 6 * 17));
    node.finish_well();
}

/// The client reads the beginning of a long echo byte by byte.
#[test]
fn slow_reader_gets_all_its_bytes() {
    let (node, server) = Node::listening();
    let mut slow = client(server);
    let mut writer = slow.try_clone().expect("a second handle");
    let bytes = pattern(10_000_000);
    thread::scope(|scope| {
        let bytes = &bytes;
        scope.spawn(move || {
            writer.write_all(bytes).expect("write");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut echo = vec![0; 2000];
        for byte in echo.chunks_mut(1) {
            slow.read_exact(byte).expect("a byte");
        }
        slow.read_to_end(&mut echo).expect("no reset");
        assert!(echo == *bytes);
    });
    node.finish_well();
}

/// Clients that send and read as fast as they can starve neither other clients nor the node's own sends.
#[test]
fn busy_clients_do_not_starve_others() {
    let (mut node, server) = Node::listening();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let busy = client(server);
                let bytes = pattern(1 << 20);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut buffer = vec![0; 1 << 20];
                        while (&busy).read(&mut buffer).expect("no reset") > 0 {}
                    });
                    while !done.load(Ordering::Relaxed) {
                        (&busy).write_all(&bytes).expect("write");
                    }
                    busy.shutdown(Shutdown::Write).expect("shutdown");
                });
            });
        }
        for i in 0..50 {
            node.send(&format!("own {i}"));
            converse(&client(server), b"calm");
        }
        done.store(true, Ordering::Relaxed);
    });
    node.finish_well();
}

/// Urgent data keeps its place: the server echoes every byte unchanged.
#[test]
fn urgent_data_is_echoed_in_place() {
    let (node, server) = Node::listening();
    let mut urgent = client(server);
    urgent.write_all(b"ab").expect("write");
    // SAFETY: the pointer and the length describe one byte.
    let sent = unsafe { libc::send(urgent.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1, "send");
    urgent.write_all(b"cd").expect("write");
    urgent.shutdown(Shutdown::Write).expect("shutdown");
    let mut echo = String::new();
    urgent.read_to_string(&mut echo).expect("no reset");
    assert_eq!(echo, "ab!cd");
    node.finish_well();
}

/// While SIGSTOP suspends the node, one client sends bytes, one sends an urgent byte among others, and one
/// sends bytes and the end of its stream. Each client's input becomes one event, and the node handles all of
/// it without waiting for another event.
#[test]
fn data_and_end_of_stream_in_one_event_are_both_handled() {
    let (node, server) = Node::listening();
    let urgently = |client: &TcpStream, byte: u8| {
        // SAFETY: the pointer and the length describe one byte.
        let sent = unsafe {
            libc::send(
                client.as_raw_fd(),
                (&raw const byte).cast(),
                1,
                libc::MSG_OOB,
            )
        };
        assert_eq!(sent, 1, "send");
    };
    let [bytes, urgent, ended] = [(); 3].map(|()| client(server));
    for client in [&bytes, &urgent, &ended] {
        // The echo shows that the connection is registered.
        converse(client, b"hello");
    }
    node.signal(libc::SIGSTOP);
    eventually("the node is suspended", || {
        node.proc("status").contains("State:\tT").then_some(())
    });
    (&bytes).write_all(b"abcd").expect("write");
    (&urgent).write_all(b"ab").expect("write");
    urgently(&urgent, b'!');
    (&urgent).write_all(b"cd").expect("write");
    (&ended).write_all(b"abcd").expect("write");
    ended.shutdown(Shutdown::Write).expect("shutdown");
    node.signal(libc::SIGCONT);
    for (mut client, expected) in [(&bytes, "abcd"), (&urgent, "ab!cd"), (&ended, "abcd")] {
        let mut echo = vec![0; expected.len()];
        client.read_exact(&mut echo).expect("the whole echo");
        assert_eq!(String::from_utf8_lossy(&echo), expected);
    }
    assert_end(&ended);
    node.finish_well();
}

/// Neither idle connections nor a connection with a blocked echo use processor time.
#[test]
fn idle_clients_use_no_processor() {
    let (mut node, server) = Node::listening();
    let idle: Vec<TcpStream> = (0..100).map(|_| client(server)).collect();
    for client in &idle {
        converse(client, b"hello");
    }
    // One more client does not read, so its echo is blocked.
    let non_reader = client(server);
    push(&non_reader, 64 << 20);
    non_reader.shutdown(Shutdown::Write).expect("shutdown");
    node.send("before");
    node.uses_no_processor();
    node.finish_well();
}

/// Four kinds of clients connect at the same time, from eight threads.
#[test]
fn mixed_clients_are_echoed_concurrently() {
    let (mut node, server) = Node::listening();
    thread::scope(|scope| {
        for i in 0..8_usize {
            scope.spawn(move || {
                for round in 0..40 {
                    let bytes = pattern((i + 1) * (round + 1) * 97);
                    match (i + round) % 4 {
                        0 => half_close(server, &bytes),
                        1 => converse(&client(server), &bytes),
                        2 => reset(client(server)),
                        _ => drop(client(server)),
                    }
                }
            });
        }
        for i in 0..200 {
            node.send(&"y".repeat(i * 100));
        }
    });
    eventually("all connections are counted", || {
        (node.stats().0 == 200 + 8 * 40).then_some(())
    });
    node.finish_well();
}

/// When its input ends, the node does not wait for open connections.
#[test]
fn end_of_input_closes_connections() {
    let (node, server) = Node::listening();
    let open = client(server);
    converse(&open, b"hello");
    node.finish_well();
    assert_end(&open);
    eventually("nothing listens", || {
        TcpStream::connect_timeout(&server, TIMEOUT).err()
    });
}

/// A stop serves clients that have connected and have not been accepted. They connect while the
/// node is suspended, and they are more than the node accepts in one turn.
#[test]
fn stop_drains_the_accept_queue() {
    let (mut node, server) = Node::listening();
    node.signal(libc::SIGSTOP);
    let mut waiting: Vec<TcpStream> = (0..100).map(|_| client(server)).collect();
    for client in &mut waiting {
        client.write_all(b"hello").expect("write");
        client.shutdown(Shutdown::Write).expect("shutdown");
    }
    let stop = node.ask(json!({"type": "tcp_echo_stop"}));
    node.signal(libc::SIGCONT);
    assert_eq!(node.reply_to(stop)["status"], "stopped");
    for client in &mut waiting {
        let mut echo = String::new();
        client.read_to_string(&mut echo).expect("no reset");
        assert_eq!(echo, "hello");
    }
    assert_eq!(node.stats(), (100, 500));
    node.finish_well();
}
