//! Five hundred clients connect to a node that may open 64 files. The node serves the clients that it has
//! accepted. The others wait in the accept queue, without using the node's processor time, until a connection
//! closes.

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
            assert_eq!(count, 1, "the server closed the connection");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

/// Moves the clients that have been served from `waiting` to `accepted`.
fn move_served(waiting: &mut Vec<TcpStream>, accepted: &mut Vec<TcpStream>) {
    let (done, rest) = waiting.drain(..).partition(served);
    *waiting = rest;
    accepted.extend::<Vec<_>>(done);
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
    let mut accepted: Vec<TcpStream> = Vec::new();
    eventually("a client is served for each descriptor", || {
        move_served(&mut waiting, &mut accepted);
        // The node itself needs some: its streams, the epoll set, the listener.
        (accepted.len() as u64 >= FILES - 16).then_some(())
    });
    assert!(accepted.len() < FILES as usize);
    node.uses_no_processor();
    node.stats();
    eventually("all are served", || {
        accepted.clear();
        move_served(&mut waiting, &mut accepted);
        waiting.is_empty().then_some(())
    });
    assert_eq!(node.stats(), (crowd as u64, crowd as u64));
    drop(accepted);
    eventually("the clients' descriptors are free", || {
        (node.descriptors().len() < 16).then_some(())
    });
    node.send("afterwards");
    node.finish_well();
}
