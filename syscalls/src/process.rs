//! The resource limits of the process, and its end.
//!
//! ```
//! use syscalls::process::{RLIMIT_NOFILE, prlimit64};
//! use syscalls::{Errno, Linux};
//!
//! let limit = prlimit64(&Linux, RLIMIT_NOFILE, None)?;
//! assert!(limit.rlim_cur <= limit.rlim_max);
//! # Ok::<(), Errno>(())
//! ```
//!
//! # Why there is no `fork`, `vfork` or `clone`
//!
//! These calls return twice: once in the caller, and once in the new process or thread. After `fork`, the
//! child has a copy of the memory, but only the thread that called `fork`. A lock that another thread held
//! therefore stays locked. In the child, safe code could not rely on any lock, not even on that of the
//! allocator.
//!
//! After `vfork`, the child uses the parent's memory *and stack*, and the parent is suspended until the
//! child calls `execve` or ends. If the child returns from the function that called `vfork`, its later calls
//! overwrite that function's stack frame, and the parent then returns to a wrong address. A function of Rust
//! or C therefore cannot wrap `vfork`: the wrapper itself would return. (glibc's `vfork` keeps the return
//! address in a register during the call, `sysdeps/unix/sysv/linux/x86_64/vfork.S`. C compilers recognize
//! `vfork` by its name as a function that returns twice.) vfork(2) permits the child only to call `_exit` or
//! a function of the `exec` family. `posix_spawn(3)` creates the process and executes the program in one
//! function, and gives the child its own stack. In `tests/questions.rs`, assembly executes `vfork`, and the
//! child changes a variable of its parent.

use core::ptr;

use crate::layout::Layout;
use crate::{Errno, Kernel, into_result};

constants! {
    /// Resources with a limit: `include/uapi/asm-generic/resource.h`.
    RESOURCES: i32 {
        /// One more than the highest descriptor number that a call may return.
        RLIMIT_NOFILE = 7;
    }
}

/// A limit: `struct rlimit64`, `include/uapi/linux/resource.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit in force. The process may set it to any value up to `rlim_max`.
    pub rlim_cur: u64,
    /// The maximum of `rlim_cur`. A process without `CAP_SYS_RESOURCE` can only lower it.
    pub rlim_max: u64,
}

pub(crate) const RLIMIT64: Layout = layout!("struct rlimit64", Rlimit { rlim_cur, rlim_max });

/// Returns this process's limit on `resource`, and sets it to `new` if that is `Some`.
///
#[doc = call_doc!(prlimit64)]
///
/// # Errors
/// - `EINVAL`: the resource is unknown, or `rlim_cur` is above `rlim_max`.
/// - `EPERM`: `new` raises `rlim_max` without `CAP_SYS_RESOURCE`, or sets the `rlim_max` of
///   `RLIMIT_NOFILE` above `/proc/sys/fs/nr_open`.
pub fn prlimit64<K: Kernel>(
    kernel: &K,
    resource: i32,
    new: Option<Rlimit>,
) -> Result<Rlimit, Errno> {
    const THIS_PROCESS: usize = 0;
    let mut old = Rlimit::default();
    let new = new
        .as_ref()
        .map_or(ptr::null(), ptr::from_ref)
        .expose_provenance();
    let args = [
        THIS_PROCESS,
        resource as usize,
        new,
        (&raw mut old).expose_provenance(),
    ];
    // SAFETY: the kernel reads one rlimit64 at `new` unless that is null, and writes one to `old`.
    into_result(unsafe { kernel.syscall(sc::nr::PRLIMIT64, args) })?;
    Ok(old)
}

/// Ends the process with all its threads. The parent receives the lowest 8 bits of `status`.
///
#[doc = call_doc!(exit_group)]
///
/// No destructor runs and no buffer is flushed. (The call `exit` ends only the calling thread.)
///
/// ```no_run
/// use syscalls::{Linux, process::exit_group};
///
/// exit_group(&Linux, 3) // the shell's `$?` is 3
/// ```
pub fn exit_group<K: Kernel>(kernel: &K, status: i32) -> ! {
    loop {
        // SAFETY: no memory is passed, and no code of the process runs afterwards.
        unsafe { kernel.syscall(sc::nr::EXIT_GROUP, [status as usize]) };
    }
}
