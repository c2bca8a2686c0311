//! One echo conversation, from the server's side.

use syscalls::epoll::{EPOLLIN, EPOLLOUT};
use syscalls::{Errno, Kernel, Socket, retry};

use super::{Polled, Totals};

/// Reads in one turn of one connection, so that a busy one does not starve the others.
const READS_PER_TURN: usize = 4;

/// What a connection needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// One of these epoll events.
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
    pub fn held(&self) -> usize {
        self.unwritten.len()
    }

    /// Echoes what has come, through `buffer`, and counts it in `totals`.
    pub fn serve(&mut self, buffer: &mut [u8], totals: &Totals) -> Next {
        if !self.unwritten.is_empty() {
            let Ok(count) = self.write(&self.unwritten[self.written..], totals) else {
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
        for _ in 0..READS_PER_TURN {
            let came = match retry(|| self.polled.socket.read(buffer)) {
                Ok(0) => return Next::Close,
                Ok(count) => &buffer[..count],
                Err(Errno::EAGAIN) => break,
                Err(_) => return Next::Close,
            };
            let Ok(count) = self.write(came, totals) else {
                return Next::Close;
            };
            if count < came.len() {
                self.unwritten = came[count..].to_vec();
                return Next::Wait(EPOLLOUT);
            }
            // A short read has most likely emptied the socket, and epoll tells if not. But one
            // that is not in the set yet asks on: a client that is done needs no place there.
            if came.len() < buffer.len() && self.polled.is_waiting() {
                break;
            }
        }
        Next::Wait(EPOLLIN)
    }

    /// Writes what the socket takes of `bytes`, which may be nothing, and counts it.
    fn write(&self, bytes: &[u8], totals: &Totals) -> Result<usize, Errno> {
        match retry(|| self.polled.socket.write(bytes)) {
            Ok(count) => {
                totals.add_bytes(count);
                Ok(count)
            }
            Err(Errno::EAGAIN) => Ok(0),
            Err(errno) => Err(errno),
        }
    }
}
