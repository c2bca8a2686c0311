//! Runs code in a child process, because the code would end or change the test program.

// Each test file uses a part of this module.
#![allow(dead_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use syscalls::Linux;
use syscalls::process::exit_group;

/// Returns the lock under which child processes run. While a test holds it, no child of another test has
/// copies of the process's descriptors. A copy would keep a file open after the test has closed its
/// descriptor.
pub fn no_children() -> MutexGuard<'static, ()> {
    static CHILDREN: Mutex<()> = Mutex::new(());
    // The lock protects no data, so a panic while it is held does no harm.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes `end`. No child process holds a copy of it when this returns.
pub fn close_for_good<T>(end: T) {
    let _none = no_children();
    drop(end);
}

/// Runs `child` in a child process. Returns its exit code, or the signal that killed it. `child` must not
/// panic, because locks of other threads may be held forever in the child.
pub fn in_child(child: impl FnOnce() -> i32) -> Result<i32, i32> {
    let _others = no_children();
    // SAFETY: the child only makes system calls and exits.
    let process = unsafe { libc::fork() };
    if process == 0 {
        exit_group(&Linux, child());
    }
    wait_for_end(process)
}

/// Waits for the child `process` to end. Returns its exit code, or the signal that killed it.
pub fn wait_for_end(process: i32) -> Result<i32, i32> {
    let mut status = 0;
    // SAFETY: the status is written to a variable.
    let ended = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(ended, process);
    if libc::WIFSIGNALED(status) {
        Err(libc::WTERMSIG(status))
    } else {
        Ok(libc::WEXITSTATUS(status))
    }
}
