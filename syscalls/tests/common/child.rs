//! Runs code in a child process, because it would end or change the test program.

use syscalls::Linux;
use syscalls::process::exit_group;

/// Runs `child` in a child process. Returns its exit code, or the signal that killed it.
pub fn in_child(child: impl FnOnce() -> i32) -> Result<i32, i32> {
    // SAFETY: the child only makes system calls, and ends.
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
