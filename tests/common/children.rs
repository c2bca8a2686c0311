//! Starting programs, and closing descriptors of which they have no copy.
//!
//! A child has copies of all descriptors of the test process until it executes its program, those of other
//! tests included. A reader that is closed meanwhile is still open in that child, and a writer does not get
//! the error that the test expects.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Held while a child does not execute its program yet.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts `command`. When this returns, it executes its program and has no copies any more.
pub fn spawn(command: &mut Command) -> Child {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    // The kernel lets the parent of a `vfork` continue before `execve` closes the child's copies. This
    // stream ends when it has closed them.
    let (mut stream, copy) = UnixStream::pair().expect("a pair");
    let child = command.spawn().expect("the program starts");
    drop(copy);
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    child
}

/// Closes `end`, so that no process has it open when this returns.
pub fn close_for_good<T>(end: T) {
    let _none = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    drop(end);
}
