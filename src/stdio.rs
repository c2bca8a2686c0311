//! Line-based standard input and output that never block the engine, and diagnostics on standard
//! error.
//!
//! The process shares standard input and output with its parent, and `O_NONBLOCK` belongs to the open file
//! description, not to a process. This module therefore does not change it. A read waits for epoll first. A
//! write first polls for space, and is short enough to fit.

use std::fmt;
use std::io::BufRead;
use std::time::Duration;

use syscalls::poll::{POLLOUT, PollFd, ppoll};
use syscalls::{Errno, Inherited, Kernel, retry_on_eintr, stderr, stdin, stdout};

use crate::engine::{Engine, SyscallError, Watch};

/// The longest input line that is accepted, in bytes. Without a limit, a stream without a newline
/// would exhaust memory. This limit allows 32 MiB of data even if much of it is escaped.
pub const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

/// The smallest buffer space for a read from standard input, in bytes: the default capacity of a pipe.
const READ_BYTES: usize = 64 * 1024;

/// The capacity that an empty buffer may keep, in bytes. A larger one, grown for a long line, is
/// released.
pub const MAX_RETAINED_BYTES: usize = 1024 * 1024;

/// The longest write, in bytes, that does not block on a pipe that is ready for output: `PIPE_BUF`
/// in pipe(7).
const PIPE_BUF: usize = 4096;

/// The delay before a call that failed unexpectedly is retried.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// The reason for which the program has to exit early.
#[derive(Debug)]
pub enum ExitReason {
    /// The reader of standard output closed its end.
    OutputClosed,
    /// The input that the owner of the engine watches became ready while standard output was full.
    Interrupted,
    /// A required system call failed.
    Failed(SyscallError),
}

impl From<SyscallError> for ExitReason {
    fn from(failure: SyscallError) -> ExitReason {
        ExitReason::Failed(failure)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::OutputClosed => {
                SyscallError::new("write to standard output", Errno::EPIPE).fmt(f)
            }
            ExitReason::Interrupted => f.write_str("interrupted while standard output was full"),
            ExitReason::Failed(failure) => failure.fmt(f),
        }
    }
}

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The bytes of the line, without the newline.
    Bytes(&'a [u8]),
    /// The line was longer than [`MAX_LINE_BYTES`] and has been discarded.
    TooLong,
}

/// Standard input, split into lines.
#[derive(Debug)]
pub struct Input<K: Kernel> {
    fd: Inherited<K>,
    buffer: Vec<u8>,
    /// `buffer[start..end]` has been read and not yet returned as lines.
    start: usize,
    end: usize,
    /// `buffer[start..searched]` contains no newline.
    searched: usize,
    /// The number of lines returned so far.
    lines: u64,
    /// Whether the rest of an overlong line is being discarded.
    skipping: bool,
    ended: bool,
}

impl<K: Kernel> Input<K> {
    /// Returns a reader of standard input with an empty buffer.
    pub fn new(kernel: K) -> Input<K> {
        Input {
            fd: stdin(kernel),
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            lines: 0,
            skipping: false,
            ended: false,
        }
    }

    /// Returns whether the input has ended and every line has been returned.
    pub fn ended(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// Returns the next complete line in the buffer and its number, counted from 1.
    pub fn next_line(&mut self) -> Option<(u64, Line<'_>)> {
        let newline = find_newline(&self.buffer[self.searched..self.end]);
        let (line, next) = match newline {
            Some(found) => (self.start..self.searched + found, self.searched + found + 1),
            // The last line may lack its newline.
            None if self.ended && self.start < self.end => (self.start..self.end, self.end),
            None => {
                self.searched = self.end;
                if !self.skipping && self.end - self.start <= MAX_LINE_BYTES {
                    return None;
                }
                // Discard what has been read of the line, and report it once.
                self.start = self.end;
                let told = std::mem::replace(&mut self.skipping, true);
                return (!told).then_some((self.lines + 1, Line::TooLong));
            }
        };
        self.start = next;
        self.searched = next;
        self.lines += 1;
        if std::mem::take(&mut self.skipping) {
            return self.next_line();
        }
        if line.len() > MAX_LINE_BYTES {
            return Some((self.lines, Line::TooLong));
        }
        Some((self.lines, Line::Bytes(&self.buffer[line])))
    }

    /// Reads more input. Runs the engine until standard input is ready.
    ///
    /// # Errors
    /// Those of `read` on standard input, and of the engine's loop.
    pub fn fill(&mut self, engine: &mut Engine<K>) -> Result<(), SyscallError> {
        self.make_room();
        let mut retries = RetryBudget::new();
        loop {
            match engine.watch(&self.fd, Watch::Input) {
                Ok(true) => while !engine.turn(None)?.input {},
                Ok(false) => {
                    engine.turn(Some(Duration::ZERO))?;
                }
                Err(failure) => {
                    retries.wait(engine, failure)?;
                    continue;
                }
            }
            match retry_on_eintr(|| self.fd.read(&mut self.buffer[self.end..])) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                // The open file description has O_NONBLOCK set, and another process has read the input first.
                Err(Errno::EAGAIN) => {
                    engine.turn(Some(RETRY_DELAY))?;
                    continue;
                }
                Err(errno) => {
                    retries.wait(engine, SyscallError::new("read of standard input", errno))?;
                    continue;
                }
            }
            return Ok(());
        }
    }

    /// Makes space for at least [`READ_BYTES`] bytes after `end`.
    fn make_room(&mut self) {
        if self.start == self.end && self.buffer.len() > MAX_RETAINED_BYTES {
            self.buffer = vec![0; READ_BYTES];
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        self.end -= self.start;
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < READ_BYTES {
            let doubled = (self.end + READ_BYTES).max(2 * self.buffer.len());
            self.buffer
                .resize(doubled.min(MAX_LINE_BYTES + 2 * READ_BYTES), 0);
        }
    }
}

/// Returns the position of the first newline in `bytes`. Uses the standard library's search, which
/// examines many bytes at a time.
fn find_newline(mut bytes: &[u8]) -> Option<usize> {
    let all = bytes;
    let passed = bytes.skip_until(b'\n').expect("memory can be read");
    all[..passed].ends_with(b"\n").then(|| passed - 1)
}

/// Standard output. Collects lines and writes them together.
#[derive(Debug)]
pub struct Output<K: Kernel> {
    fd: Inherited<K>,
    /// Lines that have not been written yet.
    pub lines: Vec<u8>,
}

impl<K: Kernel> Output<K> {
    /// Returns a writer to standard output without any lines.
    pub fn new(kernel: K) -> Output<K> {
        Output {
            fd: stdout(kernel),
            lines: Vec::new(),
        }
    }

    /// Writes all lines. Runs the engine while standard output is full.
    ///
    /// # Errors
    /// - [`ExitReason::OutputClosed`]: the reader has closed its end.
    /// - [`ExitReason::Interrupted`]: the owner watches its input, and the input became ready while
    ///   standard output was full.
    /// - [`ExitReason::Failed`]: another failure of `write`, or of the engine's loop.
    pub fn flush(&mut self, engine: &mut Engine<K>) -> Result<(), ExitReason> {
        let mut written = 0;
        let mut retries = RetryBudget::new();
        while written < self.lines.len() {
            match self.write_without_waiting(&self.lines[written..]) {
                Ok(count) => {
                    written += count;
                    retries = RetryBudget::new();
                }
                Err(SyscallError {
                    errno: Errno::EAGAIN,
                    ..
                }) => match engine.watch(&self.fd, Watch::Output) {
                    Ok(true) => {
                        let ready = loop {
                            let ready = engine.turn(None)?;
                            if ready.output || ready.input {
                                break ready;
                            }
                        };
                        if ready.input {
                            self.lines.drain(..written);
                            return Err(ExitReason::Interrupted);
                        }
                        retries = RetryBudget::new();
                    }
                    Ok(false) => {
                        engine.turn(Some(RETRY_DELAY))?;
                    }
                    Err(failure) => retries.wait(engine, failure)?,
                },
                Err(SyscallError {
                    errno: Errno::EPIPE,
                    ..
                }) => return Err(ExitReason::OutputClosed),
                Err(failure) => retries.wait(engine, failure)?,
            }
        }
        self.lines.clear();
        self.lines.shrink_to(MAX_RETAINED_BYTES);
        Ok(())
    }

    /// Writes as much as standard output accepts without blocking, and keeps the rest. Ignores a failure,
    /// which [`flush`](Output::flush) will meet again and report.
    pub fn write_now(&mut self) {
        let mut written = 0;
        while written < self.lines.len() {
            match self.write_without_waiting(&self.lines[written..]) {
                Ok(count) => written += count,
                Err(_) => break,
            }
        }
        self.lines.drain(..written);
    }

    /// Writes at most the first [`PIPE_BUF`] bytes of `lines`. Returns `EAGAIN` instead of blocking.
    fn write_without_waiting(&self, lines: &[u8]) -> Result<usize, SyscallError> {
        let piece = &lines[..lines.len().min(PIPE_BUF)];
        let mut fds = [PollFd::new(&self.fd, POLLOUT)];
        match retry_on_eintr(|| ppoll(self.fd.kernel(), &mut fds, Some(Duration::ZERO))) {
            Ok(0) => return Err(SyscallError::new("ppoll", Errno::EAGAIN)),
            // The events are not examined: without POLLOUT among them, the write returns the error.
            Ok(_) => {}
            Err(errno) => return Err(SyscallError::new("ppoll", errno)),
        }
        retry_on_eintr(|| self.fd.write(piece))
            .map_err(|errno| SyscallError::new("write to standard output", errno))
    }
}

/// Retries a failing call a bounded number of times: a temporary shortage may clear.
struct RetryBudget(u32);

impl RetryBudget {
    /// The number of retries, [`RETRY_DELAY`] apart, after which a failure is treated as permanent.
    const MAX_RETRIES: u32 = 16;

    fn new() -> RetryBudget {
        RetryBudget(RetryBudget::MAX_RETRIES)
    }

    /// Runs the engine for [`RETRY_DELAY`], or returns `failure` if no retry is left.
    fn wait<K: Kernel>(
        &mut self,
        engine: &mut Engine<K>,
        failure: SyscallError,
    ) -> Result<(), SyscallError> {
        self.0 = self.0.checked_sub(1).ok_or(failure)?;
        engine.turn(Some(RETRY_DELAY))?;
        Ok(())
    }
}

/// Writes a diagnostic to standard error. Drops the diagnostic if standard error is full, because a full pipe
/// must not stop the program. If every `ppoll` fails, it is unknown whether standard error is full. The
/// diagnostic is then written, and may block, because the program must not end without a reason.
pub fn diagnostic<K: Kernel>(kernel: &K, line: fmt::Arguments<'_>) {
    let fd = stderr(kernel.clone());
    let mut fds = [PollFd::new(&fd, POLLOUT)];
    let mut retries = 0..RetryBudget::MAX_RETRIES;
    let ready = loop {
        match retry_on_eintr(|| ppoll(kernel, &mut fds, Some(Duration::ZERO))) {
            // Retry, because a shortage of memory may be temporary.
            Err(_) if retries.next().is_some() => {}
            ready => break ready,
        }
    };
    if ready != Ok(0) {
        let mut line = format!("rawecho: {line}").into_bytes();
        line.truncate(PIPE_BUF - 1);
        line.push(b'\n');
        // A failure of standard error cannot be reported anywhere else.
        let _ = retry_on_eintr(|| fd.write(&line));
    }
}
