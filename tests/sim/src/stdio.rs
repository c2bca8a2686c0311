//! The program's standard input, output and error, and the processes at their other ends.

use fastrand::Rng;
use syscalls::epoll::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};

/// `PIPE_BUF`: poll reports a simulated pipe as writable when it has space for this many bytes. Linux does so
/// when one of the pipe's page-sized buffers is free.
pub(crate) const PIPE_BUF: usize = 4096;

/// The file behind a descriptor that the program inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipe: a read from an empty one and a write to a full one block.
    Pipe,
    /// A pipe that the parent has made non-blocking.
    NonblockingPipe,
    /// A regular file: epoll refuses it.
    File,
}

/// Standard input, which delivers the script's lines.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) kind: Kind,
    pub(crate) script: Vec<u8>,
    /// The length of the part of `script` that has been written into the pipe.
    pub(crate) fed: usize,
    /// The length of the part that has been read from it.
    pub(crate) taken: usize,
    pub(crate) capacity: usize,
    /// Whether the writer has closed its end.
    pub(crate) closed: bool,
    pub(crate) due: u64,
    pub(crate) rng: Rng,
    /// Offsets at which the writer waits for replies, or for the clients to finish.
    pub(crate) gates: Vec<Gate>,
    /// The most bytes that the writer writes at once.
    pub(crate) piece: u32,
    /// The longest time between two of its writes.
    pub(crate) pause: u64,
}

/// A pause of the input's writer at an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    pub(crate) at: usize,
    /// The number of replies that the program must have written first.
    pub(crate) replies: usize,
    /// Whether the outside clients must have finished first.
    pub(crate) clients: bool,
}

impl Input {
    pub(crate) fn available(&self) -> usize {
        self.fed - self.taken
    }

    pub(crate) fn events(&self) -> u32 {
        let data = if self.available() > 0 { EPOLLIN } else { 0 };
        let hung_up = if self.closed { EPOLLHUP } else { 0 };
        data | hung_up
    }
}

/// Standard output or standard error.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) kind: Kind,
    /// The number of bytes in the pipe.
    pub(crate) held: usize,
    pub(crate) capacity: usize,
    /// Whether the reader has closed its end.
    pub(crate) broken: bool,
    pub(crate) due: u64,
    pub(crate) rng: Rng,
    /// The most bytes that the reader reads at once.
    pub(crate) piece: u32,
    /// The longest time between two of its reads.
    pub(crate) pause: u64,
    /// The reader closes its end after this many bytes.
    pub(crate) closes_after: Option<usize>,
    pub(crate) read: usize,
    /// The bytes of standard output that are not yet a whole line, or all bytes of standard error.
    pub(crate) line: Vec<u8>,
}

impl Output {
    pub(crate) fn new(kind: Kind, capacity: usize, rng: Rng) -> Output {
        Output {
            kind,
            held: 0,
            capacity,
            broken: false,
            due: u64::MAX,
            rng,
            piece: 1 << 16,
            pause: 1_000,
            closes_after: None,
            read: 0,
            line: Vec::new(),
        }
    }

    pub(crate) fn room(&self) -> usize {
        if self.kind == Kind::File {
            usize::MAX
        } else {
            self.capacity - self.held
        }
    }

    pub(crate) fn events(&self) -> u32 {
        let room = if self.room() >= PIPE_BUF { EPOLLOUT } else { 0 };
        let broken = if self.broken { EPOLLERR } else { 0 };
        room | broken
    }
}
