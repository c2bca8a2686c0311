//! What the process asks of the kernel for itself, before it serves anybody.

use syscalls::process::{RLIMIT_NOFILE, Rlimit, prlimit64};
use syscalls::signal::{self, SIGPIPE};
use syscalls::{Errno, Kernel};

use crate::engine::Failure;

/// Ignores `SIGPIPE` and raises the limit of open descriptors as far as it goes.
///
/// A write to a connection or a pipe that nobody reads any more then fails with `EPIPE`, whatever
/// disposition the parent left; and many connections work in a shell that allows 1,024 files.
///
/// # Errors
/// `rt_sigaction`'s and `prlimit64`'s.
pub fn prepare<K: Kernel>(kernel: &K) -> Result<(), Failure> {
    let failed = |call| move |errno: Errno| Failure::new(call, errno);
    signal::ignore(kernel, SIGPIPE).map_err(failed("rt_sigaction"))?;
    let limit = prlimit64(kernel, RLIMIT_NOFILE, None).map_err(failed("prlimit64"))?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = Rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        prlimit64(kernel, RLIMIT_NOFILE, Some(raised)).map_err(failed("prlimit64"))?;
    }
    Ok(())
}
