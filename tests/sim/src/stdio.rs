//! The program's standard input, output and error, and who is at their other ends.

use fastrand::Rng;
use syscalls::epoll::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};

/// `PIPE_BUF`: poll says that there is room in a pipe when there is room for so much.
pub(crate) const PIPE_BUF: usize = 4096;

/// What stands behind a descriptor that the program was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipe: a read or write that finds nothing or no room waits.
    Pipe,
    /// A pipe which the parent has made non-blocking.
    NonblockingPipe,
    /// A regular file: epoll refuses it.
    File,
}

/// Standard input: the script's lines come through it.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) kind: Kind,
    pub(crate) script: Vec<u8>,
    /// `script[..fed]` has been written into the pipe, `script[..taken]` has been read from it.
    pub(crate) fed: usize,
    pub(crate) taken: usize,
    pub(crate) capacity: usize,
    /// The writer has closed its end.
    pub(crate) closed: bool,
    pub(crate) due: u64,
    pub(crate) rng: Rng,
    /// Before these offsets the writer waits: for so many replies, or for the clients to be done.
    pub(crate) gates: Vec<Gate>,
    /// What the writer writes at once at the most.
    pub(crate) piece: u32,
    pub(crate) pause: u64,
}

/// The writer of the input waits at an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    pub(crate) at: usize,
    /// Until so many replies have been read.
    pub(crate) replies: usize,
    /// Until the clients outside are done.
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
    /// Bytes in the pipe.
    pub(crate) held: usize,
    pub(crate) capacity: usize,
    /// The reader has gone.
    pub(crate) broken: bool,
    pub(crate) due: u64,
    pub(crate) rng: Rng,
    pub(crate) piece: u32,
    pub(crate) pause: u64,
    /// The reader goes away when it has read so many bytes.
    pub(crate) closes_after: Option<usize>,
    pub(crate) read: usize,
    /// What was written and is not yet a whole line.
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
