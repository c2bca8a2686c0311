//! A [`Kernel`] that logs each system call made through it, in the format of `strace(1)` or as register
//! values.
//!
//! [`Traced`] wraps another kernel. It passes every call on unchanged and writes one line for it to a
//! [`Trace`]:
//!
//! ```
//! use std::ffi::CString;
//!
//! use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
//! use syscalls::trace::{Format, Trace, Traced};
//! use syscalls::{Errno, Inherited, Linux, event::eventfd2};
//!
//! let path = std::env::temp_dir().join(format!("syscalls-trace-{}", std::process::id()));
//! let c_path = CString::new(path.to_str().unwrap()).unwrap();
//! let file = openat(Linux, &c_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)?;
//! let trace = Trace::new(Inherited::new(file), Format::Calls);
//!
//! let counter = eventfd2(Traced::new(Linux, &trace), 7, 0)?;
//! counter.read(&mut [0; 8])?;
//!
//! let text = std::fs::read_to_string(&path).unwrap();
//! # std::fs::remove_file(path).unwrap();
//! let number = counter.as_raw();
//! assert_eq!(
//!     text,
//!     format!("eventfd2(7, 0) = {number}\nread({number}, \"\\7\\0\\0\\0\\0\\0\\0\\0\", 8) = 8\n"),
//! );
//! # Ok::<(), Errno>(())
//! ```
//!
//! The format is that of `strace -a1`; a test compares the two line by line. Names come from the tables
//! of constants and from [`CALLS`](crate::CALLS). An unknown value is shown by number, as in strace. The
//! trace differs from strace's output in four ways:
//!
//! - An interrupted call: strace shows the kernel's `ERESTARTSYS` and similar numbers. The process sees
//!   `EINTR`, or nothing if the kernel restarts the call.
//! - The network interface of a link-local IPv6 address: strace shows its name, this trace its index.
//! - Threads: a line is written when its call ends, and does not show the thread.
//! - An argument that points to memory that is not mapped: strace shows the address. Here the contract of
//!   [`Kernel::syscall`] forbids such an argument.
//!
//! **A full pipe does not block the program:** lines are dropped, and the next line that fits states how
//! many. (strace would stop the program until the pipe is read.) A write to a file waits for the file system.
//! A failed write, for example to a full disk, also drops the line, and the
//! [first failure is reported](Trace::on_failure). The trace's own calls are not traced. A write to a pipe
//! without a reader raises `SIGPIPE`: a program that traces to a pipe must
//! [ignore](crate::signal::rt_sigaction_ignore) this signal, as Rust's runtime does before `main`.

mod decode;
mod line;
mod memory;
mod registers;
mod structures;
mod values;

use crate::Kernel;
use decode::Decoder;
use line::Line;
pub use line::{Format, Trace};
use registers::Registers;

/// The kernel `K`, with every call logged. [The module](self) has an example.
#[derive(Debug)]
pub struct Traced<'t, K: Kernel> {
    kernel: K,
    trace: &'t Trace<K>,
}

impl<'t, K: Kernel> Traced<'t, K> {
    /// Wraps `kernel`. Its calls are logged to `trace`.
    pub fn new(kernel: K, trace: &'t Trace<K>) -> Traced<'t, K> {
        Traced { kernel, trace }
    }
}

impl<K: Kernel> Clone for Traced<'_, K> {
    fn clone(&self) -> Self {
        Traced::new(self.kernel.clone(), self.trace)
    }
}

// SAFETY: every call and every result is `K`'s, unchanged.
unsafe impl<K: Kernel> Kernel for Traced<'_, K> {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        let mut line = Line::new(self.trace);
        // Writing to a line never fails: the trace counts lines that it drops.
        match self.trace.format {
            Format::Calls => {
                // SAFETY: the caller upholds the contract of the arguments until this function returns.
                let decoder = unsafe { Decoder::new(nr, &args) };
                let _ = decoder.before(&mut line);
                if nr == sc::nr::EXIT_GROUP {
                    let _ = decoder.never_returns(&mut line);
                    line.end();
                }
                // SAFETY: the caller upholds the contract of the call.
                let result = unsafe { self.kernel.syscall(nr, args) };
                // SAFETY: this is the result of the call that the decoder was made for.
                let _ = unsafe { decoder.after(result, &mut line) };
                result
            }
            Format::Registers => {
                let registers = Registers { nr, args: &args };
                let _ = registers.before(&mut line);
                if nr == sc::nr::EXIT_GROUP {
                    line.end();
                }
                // SAFETY: the caller upholds the contract of the call.
                let result = unsafe { self.kernel.syscall(nr, args) };
                let _ = registers.after(result, &mut line);
                result
            }
        }
    }
}
