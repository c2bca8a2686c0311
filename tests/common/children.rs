//! Functions that start child processes, and that close descriptors of which no child has a copy.
//!
//! Between `fork` and `execve`, a child has copies of all descriptors of the test process, including those of
//! other tests. If a test closes the read end of a pipe in that time, the child's copy keeps it open. A writer
//! then does not get the error that the test expects.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Locked while a child is between `fork` and `execve`.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts `command`. When this returns, `execve` has closed the child's copies of this process's descriptors.
pub fn spawn(command: &mut Command) -> Child {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    // The kernel lets the parent of a `vfork` continue before `execve` closes the child's copies. `stream`
    // reaches end of file when `execve` has closed the child's copy of the other end.
    let (mut stream, copy) = UnixStream::pair().expect("a pair");
    let child = command.spawn().expect("the program starts");
    drop(copy);
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    child
}

/// Drops `end` while no child has a copy of it, so that it is closed for good when this returns.
pub fn close_for_good<T>(end: T) {
    let _no_child = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    drop(end);
}
