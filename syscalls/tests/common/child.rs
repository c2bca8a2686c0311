//! A process of its own, for what would harm the test program.

use syscalls::Linux;
use syscalls::process::exit_group;

/// How `child`, in a process of its own, ends: its exit code, or the signal that killed it.
pub fn in_child(child: impl FnOnce() -> i32) -> Result<i32, i32> {
    // SAFETY: the child makes calls and leaves.
    let process = unsafe { libc::fork() };
    if process == 0 {
        exit_group(&Linux, child());
    }
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
