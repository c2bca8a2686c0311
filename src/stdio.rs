//! Lines in, lines out, without ever keeping the engine from its connections.
//!
//! Standard input and output are the parent's too, so they are left in the mode in which they came:
//! `O_NONBLOCK` belongs to the open file, not to this process. A read waits for epoll first, and a
//! write asks for room first and fits into it.

use std::fmt;
use std::io::BufRead;
use std::time::Duration;

use syscalls::poll::{POLLOUT, PollFd, ppoll};
use syscalls::{Errno, Inherited, Kernel, retry_on_eintr, stderr, stdin, stdout};

use crate::engine::{Engine, SyscallError, Watch};

/// The longest line that is taken in, in bytes. Without a limit a stream with no newline would fill
/// the memory. This one leaves room for 32 MiB of data even if much of it is escaped.
pub const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that one read of the input takes: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// The memory that a buffer keeps once it is empty. A long line's is given back.
pub const MAX_RETAINED_BYTES: usize = 1024 * 1024;

/// Bytes that a pipe takes at once if it has room at all: `pipe(7)`, `PIPE_BUF`. A longer write
/// could wait for the reader.
const PIPE_BUF: usize = 4096;

/// How long to wait before a call is tried again that should have worked.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// Why the program ends before its time.
#[derive(Debug)]
pub enum ExitReason {
    /// Whoever read the replies has gone.
    OutputClosed,
    /// The owner's input was ready before there was room for the output.
    Interrupted,
    /// A call failed that the program cannot do without.
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
            ExitReason::Interrupted => f.write_str("interrupted while standard output had no room"),
            ExitReason::Failed(failure) => failure.fmt(f),
        }
    }
}

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes, without the newline.
    Bytes(&'a [u8]),
    /// It was longer than [`MAX_LINE_BYTES`], and is gone.
    TooLong,
}

/// Standard input, cut into lines.
#[derive(Debug)]
pub struct Input<K: Kernel> {
    fd: Inherited<K>,
    buffer: Vec<u8>,
    /// What has come and is not yet handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// There is no newline before this.
    searched: usize,
    /// How many lines have been handed out.
    lines: u64,
    /// In the middle of a line that is too long.
    skipping: bool,
    ended: bool,
}

impl<K: Kernel> Input<K> {
    /// Standard input.
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

    /// Whether the last line has been handed out.
    pub fn ended(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// The next line that has come in full, with its number, counted from 1.
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
                // Let go of what there is of it, and tell once.
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

    /// Waits for more input, turning the engine meanwhile, and takes it in.
    ///
    /// # Errors
    /// Those of read on standard input, and of the engine's loop.
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
                // The parent has set O_NONBLOCK, and somebody else has been faster.
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

    /// Sees to it that there are [`READ_BYTES`] bytes of room after `end`.
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

/// Where the first newline in `bytes` is. By the library's search, many bytes at a time.
fn find_newline(mut bytes: &[u8]) -> Option<usize> {
    let all = bytes;
    let passed = bytes.skip_until(b'\n').expect("memory can be read");
    all[..passed].ends_with(b"\n").then(|| passed - 1)
}

/// Standard output: lines are collected, and written together.
#[derive(Debug)]
pub struct Output<K: Kernel> {
    fd: Inherited<K>,
    /// Lines that are not yet written.
    pub lines: Vec<u8>,
}

impl<K: Kernel> Output<K> {
    /// Standard output.
    pub fn new(kernel: K) -> Output<K> {
        Output {
            fd: stdout(kernel),
            lines: Vec::new(),
        }
    }

    /// Writes all lines out, turning the engine while the reader is slow.
    ///
    /// # Errors
    /// [`ExitReason::OutputClosed`] if there is no reader any more; [`ExitReason::Interrupted`] if the owner's input
    /// is watched and comes while there is no room; what else write and the engine's loop fail with.
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

    /// Writes out what there is room for at once. What is not written stays, and if there was a
    /// failure, [`flush`](Output::flush) meets it again.
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

    /// Writes from `lines`, no more than [`PIPE_BUF`], if there is room.
    fn write_without_waiting(&self, lines: &[u8]) -> Result<usize, SyscallError> {
        let piece = &lines[..lines.len().min(PIPE_BUF)];
        let mut fds = [PollFd::new(&self.fd, POLLOUT)];
        match retry_on_eintr(|| ppoll(self.fd.kernel(), &mut fds, Some(Duration::ZERO))) {
            Ok(0) => return Err(SyscallError::new("ppoll", Errno::EAGAIN)),
            // Not looked at closer: whatever else than room has come, write says it better.
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
    /// Retries, [`RETRY_DELAY`] apart, after which a failure is treated as permanent.
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

/// Writes a diagnostic to standard error. It is dropped if there is no room for it, because a full
/// pipe must not stop the program. If the kernel keeps refusing `ppoll`, which would tell whether there
/// is room, the write goes ahead and may block: the program must not end without a reason.
pub fn diagnostic<K: Kernel>(kernel: &K, line: fmt::Arguments<'_>) {
    let fd = stderr(kernel.clone());
    let mut fds = [PollFd::new(&fd, POLLOUT)];
    let mut retries = 0..RetryBudget::MAX_RETRIES;
    let ready = loop {
        match retry_on_eintr(|| ppoll(kernel, &mut fds, Some(Duration::ZERO))) {
            // Perhaps a temporary shortage of memory.
            Err(_) if retries.next().is_some() => {}
            ready => break ready,
        }
    };
    if ready != Ok(0) {
        let mut line = format!("rawecho: {line}").into_bytes();
        line.truncate(PIPE_BUF - 1);
        line.push(b'\n');
        // There is no other place to report a failure of this.
        let _ = retry_on_eintr(|| fd.write(&line));
    }
}
