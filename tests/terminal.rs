//! The node at a terminal: a person types requests and ends the input with Ctrl-D.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;
use std::ptr;

use common::{INIT, INIT_OK, Node, program};
use serde_json::json;

/// Opens a pseudo-terminal. Returns the person's end (the master) and the program's. The terminal does not
/// echo the input or translate newlines.
fn terminal() -> (File, OwnedFd) {
    let (mut person, mut program) = (-1, -1);
    // SAFETY: the call writes the two descriptors, and the null pointers are allowed.
    let result = unsafe {
        libc::openpty(
            &mut person,
            &mut program,
            ptr::null_mut(),
            ptr::null(),
            ptr::null(),
        )
    };
    assert_eq!(result, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: both descriptors are open, and nothing else owns them.
    let terminal = unsafe { (File::from_raw_fd(person), OwnedFd::from_raw_fd(program)) };
    // SAFETY: a `termios` consists of integers. tcgetattr writes them and tcsetattr reads them.
    unsafe {
        let mut mode: libc::termios = mem::zeroed();
        assert_eq!(libc::tcgetattr(program, &mut mode), 0);
        mode.c_lflag &= !libc::ECHO;
        mode.c_oflag &= !libc::OPOST;
        assert_eq!(libc::tcsetattr(program, libc::TCSANOW, &mode), 0);
    }
    terminal
}

fn node_at(terminal: OwnedFd) -> Node {
    Node::spawn(
        program()
            .stdin(terminal.try_clone().expect("a second handle"))
            .stdout(terminal)
            .stderr(Stdio::piped()),
    )
}

#[test]
fn requests_typed_at_a_terminal_are_answered() {
    let (mut person, theirs) = terminal();
    let node = node_at(theirs);
    let mut lines = BufReader::new(person.try_clone().expect("a second handle")).lines();
    writeln!(person, "{INIT}").expect("write");
    assert_eq!(lines.next().expect("a line").expect("UTF-8"), INIT_OK);
    let echo = json!({"type": "echo", "msg_id": 2, "echo": "typed"});
    writeln!(
        person,
        "{}",
        json!({"src": "c1", "dest": "n1", "body": echo})
    )
    .expect("write");
    let reply = lines.next().expect("a line").expect("UTF-8");
    assert!(reply.contains(r#""echo": "typed""#), "{reply}");
    const CTRL_D: &[u8] = &[4];
    person.write_all(CTRL_D).expect("write");
    node.finish_well();
}
