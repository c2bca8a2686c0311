//! Process-wide settings that the program changes before it serves: `SIGPIPE`, `SIGTERM` and the limit of
//! open descriptors.

use syscalls::Kernel;
use syscalls::process::{RLIMIT_NOFILE, Rlimit, prlimit64};
use syscalls::signal::{self, SIGPIPE, SIGTERM};

use crate::stdio::diagnostic;

/// Ignores `SIGPIPE` and raises the soft limit of open descriptors to the hard limit.
///
/// A write to a connection or a pipe without a reader then fails with `EPIPE`, whatever disposition
/// the parent left. The server can hold more connections than the usual soft limit of 1,024 files
/// allows. Neither setting is required: a failure is reported on standard error, and the program
/// continues.
pub fn prepare<K: Kernel>(kernel: &K) {
    if let Err(errno) = signal::rt_sigaction_ignore(kernel, SIGPIPE) {
        diagnostic(
            kernel,
            format_args!("rt_sigaction: {errno}; continuing with the parent's SIGPIPE disposition"),
        );
    }
    raise_descriptor_limit(kernel);
}

/// Makes `SIGTERM` end the process, even if it has PID 1, as a container's first process does.
///
/// A failure is reported on standard error, and the program continues: unless the parent ignores `SIGTERM`, a
/// process whose PID is not 1 ends on it anyway.
pub fn end_on_sigterm<K: Kernel>(kernel: &K) {
    if let Err(errno) = signal::rt_sigaction_exit(kernel, SIGTERM) {
        diagnostic(
            kernel,
            format_args!("rt_sigaction: {errno}; continuing with the parent's SIGTERM disposition"),
        );
    }
}

fn raise_descriptor_limit<K: Kernel>(kernel: &K) {
    let limit = match prlimit64(kernel, RLIMIT_NOFILE, None) {
        Ok(limit) => limit,
        Err(errno) => {
            return diagnostic(
                kernel,
                format_args!(
                    "prlimit64: {errno}; continuing with the parent's limit of open files (ulimit -n)"
                ),
            );
        }
    };
    if limit.rlim_cur < limit.rlim_max {
        let raised = Rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        if let Err(errno) = prlimit64(kernel, RLIMIT_NOFILE, Some(raised)) {
            let kept = limit.rlim_cur;
            diagnostic(
                kernel,
                format_args!("prlimit64: {errno}; continuing with the limit of {kept} open files"),
            );
        }
    }
}
