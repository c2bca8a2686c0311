//! The program as the first process of a container. A process with PID 1 is not terminated by
//! signals that it does not handle, except SIGKILL from outside its PID namespace.

mod common;

use std::fs;
use std::process::Command;

use common::{Node, with_pipes};

/// Starts the program with the command line `args` as PID 1 of a PID namespace, under `unshare(1)`, which
/// exits with the program's status.
fn first_process(args: &[&str]) -> Node {
    let mut command = Command::new("unshare");
    command.args(witness::PID_1);
    command.arg(env!("CARGO_BIN_EXE_rawecho")).args(args);
    Node::spawn(with_pipes(&mut command))
}

/// Sends `SIGTERM` to the child of `unshare`.
fn terminate(unshare: &Node) {
    let pid = unshare.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let child = children.expect("/proc").trim().parse().expect("one child");
    // SAFETY: the call takes no pointer.
    assert_eq!(unsafe { libc::kill(child, libc::SIGTERM) }, 0);
}

fn sigterm_ends_the_node_with_pid_1() {
    let mut node = first_process(&[]).initialized();
    terminate(&node);
    assert_eq!(node.wait().code(), Some(128 + libc::SIGTERM));
    assert_eq!(node.finish().stderr, "");
}

fn sigterm_ends_serve_with_pid_1() {
    let mut node = first_process(&["serve", "--port=0"]);
    assert!(node.line().contains("listening"));
    terminate(&node);
    assert!(node.line().contains("stopped"));
    assert!(node.wait().success());
}

/// The exit status is 128 plus the signal's number, as a shell shows it for a killed process.
fn sigterm_ends_the_node() {
    let mut node = Node::n1();
    node.signal(libc::SIGTERM);
    assert_eq!(node.wait().code(), Some(128 + libc::SIGTERM));
}

witness::tests! {
    sigterm_ends_the_node_with_pid_1: PidNamespaces;
    sigterm_ends_serve_with_pid_1: PidNamespaces;
    sigterm_ends_the_node;
}
