//! Five hundred clients of a node that may open 64 files. The node serves the clients that it has accepted.
//! The others wait in the accept queue, which costs the node nothing, until a connection closes.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use common::{Node, client, eventually, program_with_open_files};

const FILES: u64 = 64;
const CLIENTS: usize = 500;

/// Returns whether the one byte that `client` has sent has come back.
fn served(mut client: &TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(count) => {
            assert_eq!(count, 1, "no end of the stream");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

/// Moves the served clients from `waiting` to `inside`.
fn let_in(waiting: &mut Vec<TcpStream>, inside: &mut Vec<TcpStream>) {
    let (done, rest) = waiting.drain(..).partition(served);
    *waiting = rest;
    inside.extend::<Vec<_>>(done);
}

#[test]
fn queued_clients_are_served_as_descriptors_become_free() {
    let crowd = witness::crowd(CLIENTS, 100);
    let mut node = Node::spawn(&mut program_with_open_files(FILES, FILES)).initialized();
    let server = node.listen();
    let mut waiting: Vec<TcpStream> = (0..crowd)
        .map(|_| {
            let mut client = client(server);
            client.write_all(b"?").expect("write");
            client.set_nonblocking(true).expect("a socket");
            client
        })
        .collect();
    let mut inside: Vec<TcpStream> = Vec::new();
    eventually("a client is served for each descriptor", || {
        let_in(&mut waiting, &mut inside);
        // The node itself needs some: its streams, the epoll set, the listener.
        (inside.len() as u64 >= FILES - 16).then_some(())
    });
    assert!(inside.len() < FILES as usize);
    node.uses_no_processor();
    node.stats();
    eventually("all are served", || {
        inside.clear();
        let_in(&mut waiting, &mut inside);
        waiting.is_empty().then_some(())
    });
    assert_eq!(node.stats(), (crowd as u64, crowd as u64));
    drop(inside);
    eventually("their descriptors are free", || {
        (node.descriptors().len() < 16).then_some(())
    });
    node.send("as ever");
    node.finish_well();
}
