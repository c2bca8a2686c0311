//! One echo conversation, from the server's side.

use syscalls::epoll::{EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::polled::Polled;
use super::totals::Tally;

/// Reads in one turn of one connection, so that a busy one does not starve the others.
const MAX_READS_PER_TURN: usize = 4;

/// What a connection waits for while all is written back.
///
/// Edge-triggered: once for each time that something comes, in the order in which it comes. Level-
/// triggered, the kernel would look at each connection once more in the next wait, to find nothing,
/// and report those that it has just reported before those that have waited longer.
const INPUT: u32 = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

/// What a connection needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// What it waits for already.
    Input,
    /// These epoll events, of which some may be there by now.
    Wait(u32),
    /// Nothing: the conversation is over.
    Close,
}

/// An accepted connection.
///
/// What a write did not take is kept and written first, and until then nothing more is read. So a
/// peer's end of stream is only ever seen when all its bytes have gone back, and the memory that a
/// connection holds is bounded by one read.
#[derive(Debug)]
pub struct Connection<K: Kernel> {
    pub polled: Polled<K>,
    /// Read, and not yet written.
    unwritten: Vec<u8>,
    /// How much of `unwritten` has been written since.
    written: usize,
}

impl<K: Kernel> Connection<K> {
    /// The conversation over `socket`, at its beginning.
    pub fn new(socket: Socket<K>) -> Connection<K> {
        Connection {
            polled: Polled::new(socket),
            unwritten: Vec::new(),
            written: 0,
        }
    }

    /// Bytes that have been read and not yet written back.
    pub fn unsent_bytes(&self) -> usize {
        self.unwritten.len()
    }

    /// Echoes what has come, through `buffer`, and counts it in `tally`. `reported` is what epoll
    /// reported for it, or 0.
    pub fn serve(&mut self, reported: u32, buffer: &mut [u8], tally: &mut Tally) -> Next {
        if !self.unwritten.is_empty() {
            let Ok(count) = self.write(&self.unwritten[self.written..], tally) else {
                return Next::Close;
            };
            self.written += count;
            if self.written < self.unwritten.len() {
                return Next::Wait(EPOLLOUT);
            }
            // The memory goes back too: a connection that has caught up holds none.
            self.unwritten = Vec::new();
            self.written = 0;
        }
        // A read that does not fill the buffer has emptied the socket, and epoll tells when more
        // comes: that saves the read that finds nothing (`epoll(7)`, question 9). But it has told
        // already of the end of the stream (EPOLLRDHUP) and of an error, and at urgent data
        // (EPOLLPRI) a read stops short of what is behind it.
        let short_is_all = reported == EPOLLIN && self.polled.waits_for(INPUT);
        for _ in 0..MAX_READS_PER_TURN {
            let came = match retry_on_eintr(|| self.polled.socket.read(buffer)) {
                Ok(0) => return Next::Close,
                Ok(count) => &buffer[..count],
                Err(Errno::EAGAIN) => break,
                Err(_) => return Next::Close,
            };
            let Ok(count) = self.write(came, tally) else {
                return Next::Close;
            };
            if count < came.len() {
                self.unwritten = came[count..].to_vec();
                return Next::Wait(EPOLLOUT);
            }
            if short_is_all && came.len() < buffer.len() {
                return Next::Input;
            }
        }
        Next::Wait(INPUT)
    }

    /// Writes what the socket takes of `bytes`, which may be nothing, and counts it.
    fn write(&self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Errno> {
        match retry_on_eintr(|| self.polled.socket.write(bytes)) {
            Ok(count) => {
                tally.add_bytes(count);
                Ok(count)
            }
            Err(Errno::EAGAIN) => Ok(0),
            Err(errno) => Err(errno),
        }
    }
}
