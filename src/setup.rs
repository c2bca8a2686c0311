//! What the process asks of the kernel for itself, before it serves anybody.

use syscalls::process::{RLIMIT_NOFILE, Rlimit, prlimit64};
use syscalls::signal::{self, SIGPIPE};
use syscalls::{Errno, Kernel};

use crate::engine::SyscallError;
use crate::stdio::diagnostic;

/// Ignores `SIGPIPE` and raises the limit of open descriptors as far as it goes.
///
/// A write to a connection or a pipe that nobody reads any more then fails with `EPIPE`, whatever
/// disposition the parent left; and many connections work in a shell that allows 1,024 files.
/// Neither is worth giving up for: what fails is told on standard error.
pub fn prepare<K: Kernel>(kernel: &K) {
    let tell =
        |call, errno: Errno| diagnostic(kernel, format_args!("{}", SyscallError::new(call, errno)));
    if let Err(errno) = signal::rt_sigaction_ignore(kernel, SIGPIPE) {
        tell("rt_sigaction", errno);
    }
    if let Err(errno) = raise_descriptor_limit(kernel) {
        tell("prlimit64", errno);
    }
}

fn raise_descriptor_limit<K: Kernel>(kernel: &K) -> Result<(), Errno> {
    let limit = prlimit64(kernel, RLIMIT_NOFILE, None)?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = Rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        prlimit64(kernel, RLIMIT_NOFILE, Some(raised))?;
    }
    Ok(())
}
