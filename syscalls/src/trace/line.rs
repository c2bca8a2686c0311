//! The destination of a trace, and the buffer of one line.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use crate::poll::{POLLOUT, PollFd, ppoll};
use crate::{Errno, Inherited, Kernel, retry_on_eintr};

/// The format of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// As in strace: names, structures, strings.
    Calls,
    /// Register values: `rax=3 (close) rdi=0x5 -> rax=0x0`.
    Registers,
}

/// The destination and the format of a trace.
#[derive(Debug)]
pub struct Trace<K: Kernel> {
    fd: Inherited<K>,
    pub(super) format: Format,
    /// The number of lines dropped since the last one that was written.
    dropped: AtomicU64,
    /// Whether a call of the trace itself has failed.
    failed: AtomicBool,
    report: fn(&'static str, Errno),
}

impl<K: Kernel> Trace<K> {
    /// Makes a trace that is written to `fd`. The descriptor stays open, so that the last calls are traced,
    /// too.
    pub fn new(fd: Inherited<K>, format: Format) -> Trace<K> {
        Trace {
            fd,
            format,
            dropped: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            report: |_, _| (),
        }
    }

    /// Sets the function that is called when a call of the trace itself fails for the first time, with the
    /// call's name and the error. Later failures are not reported.
    pub fn on_failure(mut self, report: fn(&'static str, Errno)) -> Trace<K> {
        self.report = report;
        self
    }

    /// Returns whether a call of the trace itself has failed. Lines are then missing.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn fail(&self, call: &'static str, errno: Errno) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            (self.report)(call, errno);
        }
    }
}

/// The maximum size of one write. A pipe that `poll` reports as writable accepts this many bytes without
/// blocking, and writes them atomically: `pipe(7)`, `PIPE_BUF`.
const PIPE_BUF: usize = 4096;

/// A line under construction. Dropping it writes it, in one write if it is not longer than [`PIPE_BUF`].
pub(super) struct Line<'t, K: Kernel> {
    trace: &'t Trace<K>,
    buffer: [u8; PIPE_BUF],
    len: usize,
    /// The number of lines dropped before this line, which this line reports.
    dropped: u64,
    /// Set once a part of the line was dropped. The rest is dropped, too.
    lost: bool,
}

impl<'t, K: Kernel> Line<'t, K> {
    pub(super) fn new(trace: &'t Trace<K>) -> Line<'t, K> {
        let mut line = Line {
            trace,
            buffer: [0; PIPE_BUF],
            len: 0,
            dropped: trace.dropped.swap(0, Ordering::Relaxed),
            lost: false,
        };
        if line.dropped > 0 {
            // The previous line may have been cut off, so this line starts with a newline.
            let dropped = line.dropped;
            let _ = writeln!(line, "\n... {dropped} lines dropped ...");
        }
        line
    }

    /// Ends and writes the line. `drop` then does nothing.
    pub(super) fn end(&mut self) {
        if self.len == 0 {
            return;
        }
        let _ = self.write_char('\n');
        self.flush();
        if self.lost {
            let dropped = self.dropped + 1;
            self.trace.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    fn flush(&mut self) {
        let mut left = &self.buffer[..self.len];
        while !left.is_empty() && !self.lost {
            match self.write_some(left) {
                Some(count) => left = &left[count..],
                None => self.lost = true,
            }
        }
        self.len = 0;
    }

    /// Writes some of `bytes` if that does not block, and returns the number of bytes written. Returns `None`
    /// if the write would block or fails.
    fn write_some(&self, bytes: &[u8]) -> Option<usize> {
        let fd = &self.trace.fd;
        let mut fds = [PollFd::new(fd, POLLOUT)];
        let ready = retry_on_eintr(|| ppoll(fd.kernel(), &mut fds, Some(Duration::ZERO)));
        let failed = |call| move |errno| self.trace.fail(call, errno);
        if ready.map_err(failed("ppoll")).ok()? == 0 {
            return None;
        }
        let written = retry_on_eintr(|| fd.write(bytes)).map_err(failed("write"));
        written.ok().filter(|&count| count > 0)
    }
}

impl<K: Kernel> Write for Line<'_, K> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == PIPE_BUF {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl<K: Kernel> Drop for Line<'_, K> {
    fn drop(&mut self) {
        self.end();
    }
}
