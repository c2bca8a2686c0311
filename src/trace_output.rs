//! The output of `--trace`. The calls that open it and write to it are not traced.

use std::ffi::CString;

use rawecho::stdio::diagnostic;
use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
use syscalls::trace::{Format, Trace};
use syscalls::{Errno, Inherited, Linux, retry_on_eintr, stderr};

use crate::command_line::TraceTo;

/// Opens the output of a trace.
///
/// # Errors
/// The text of a diagnostic, if the file cannot be opened.
pub fn open(to: &TraceTo) -> Result<Trace<Linux>, String> {
    let trace = match to {
        TraceTo::Stderr(form) => Trace::new(stderr(Linux), *form),
        TraceTo::File(name) => {
            let path = CString::new(name.as_str()).map_err(|error| error.to_string())?;
            // The umask of the process removes permissions from this mode.
            const MODE: u32 = 0o666;
            let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
            let file = retry_on_eintr(|| openat(Linux, &path, flags, MODE)).map_err(|errno| {
                format!("--trace={name}: {errno}; name a file that can be written")
            })?;
            Trace::new(Inherited::new(file), Format::Calls)
        }
    };
    Ok(trace.on_failure(report))
}

/// Reports the first failure of a trace.
fn report(call: &'static str, errno: Errno) {
    diagnostic(
        &Linux,
        format_args!("--trace: {call}: {errno}; continuing, but the trace is incomplete"),
    );
}
