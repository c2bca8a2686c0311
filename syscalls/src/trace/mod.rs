//! A kernel that writes down what it is asked: each call as `strace(1)` shows it, or its registers.
//!
//! [`Traced`] stands between the typed calls and the kernel behind it. It hands every call on
//! unchanged, and writes one line about it to a [`Trace`]:
//!
//! ```text
//! accept4(4, {sa_family=AF_INET, sin_port=htons(40992), sin_addr=inet_addr("127.0.0.1")}, [28 => 16], SOCK_CLOEXEC|SOCK_NONBLOCK) = 5
//! ```
//!
//! The format is that of `strace -a1`, and a test holds it to that, line by line. Names come from
//! the tables beside the constants and from [`CALLS`](crate::CALLS): what they do not list is shown
//! as strace shows what it does not know, by number. Some things it cannot show as strace does:
//!
//! - A call that a signal interrupts: strace sees the kernel's `ERESTARTSYS` and its kin, the
//!   process sees `EINTR`, or nothing if the kernel restarts the call.
//! - The name of a link-local IPv6 address's network interface. Here it is its number.
//! - Threads. A line stands where its call has ended, and does not tell whose it is.
//! - Memory that is not there. strace shows the address; here it may not be passed in the first
//!   place, by the contract of [`Kernel::syscall`].
//!
//! **Tracing never blocks the program.** A line is written only if there is room for it: if standard
//! error is a full pipe, lines are dropped, and the trace says how many when there is room again.
//! (strace would stop the program until the pipe is read.) A failed write, to a full disk for
//! example, also drops the line, and the [first failure is reported](Trace::on_failure). The trace's
//! own calls go to the kernel behind it and are not traced. A write to a pipe without a reader raises
//! `SIGPIPE`. A program that traces to a pipe must
//! [ignore](crate::signal::rt_sigaction_ignore) it, as Rust's runtime does at its start.

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

/// The kernel `K`, with every call written down.
#[derive(Debug)]
pub struct Traced<'t, K: Kernel> {
    kernel: K,
    trace: &'t Trace<K>,
}

impl<'t, K: Kernel> Traced<'t, K> {
    /// `kernel`, written down to `trace`.
    pub fn new(kernel: K, trace: &'t Trace<K>) -> Traced<'t, K> {
        Traced { kernel, trace }
    }
}

impl<K: Kernel> Clone for Traced<'_, K> {
    fn clone(&self) -> Self {
        Traced::new(self.kernel.clone(), self.trace)
    }
}

// SAFETY: every call and every answer is `K`'s, unchanged.
unsafe impl<K: Kernel> Kernel for Traced<'_, K> {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        let mut line = Line::new(self.trace);
        // A line that finds no room is the trace's business, so writing to it never fails.
        match self.trace.format {
            Format::Calls => {
                // SAFETY: the caller vouches for the arguments until this function returns.
                let decoder = unsafe { Decoder::new(nr, &args) };
                let _ = decoder.before(&mut line);
                if nr == sc::nr::EXIT_GROUP {
                    let _ = decoder.never_returns(&mut line);
                    line.end();
                }
                // SAFETY: the caller's promise, handed on.
                let result = unsafe { self.kernel.syscall(nr, args) };
                // SAFETY: this is the call, and its result.
                let _ = unsafe { decoder.after(result, &mut line) };
                result
            }
            Format::Registers => {
                let registers = Registers { nr, args: &args };
                let _ = registers.before(&mut line);
                if nr == sc::nr::EXIT_GROUP {
                    line.end();
                }
                // SAFETY: the caller's promise, handed on.
                let result = unsafe { self.kernel.syscall(nr, args) };
                let _ = registers.after(result, &mut line);
                result
            }
        }
    }
}
