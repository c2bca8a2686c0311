//! One accepted connection, whose bytes are echoed until the end of its stream.

use syscalls::epoll::{EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::polled::Polled;
use super::totals::Tally;

/// The most reads of one connection in one turn, so that a busy connection does not starve the others.
const MAX_READS_PER_TURN: usize = 4;

/// The events that a connection waits for when it has no unwritten bytes.
///
/// They are edge-triggered: epoll reports each arrival once, in the order of arrival. With level-triggered
/// events, the kernel would check each reported connection again in the next wait. If more bytes had arrived,
/// it would report the connection before those that have waited longer.
const INPUT: u32 = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

/// The state of a connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The connection waits for the events for which it is already registered.
    Input,
    /// The connection must wait for these epoll events, some of which may have happened already.
    Wait(u32),
    /// The connection is finished, and must be closed.
    Close,
}

/// An accepted connection.
///
/// The bytes that a write does not accept are kept, and written before the next read. A peer's end of stream
/// is therefore read only when all its bytes have been written back, and a connection buffers at most the
/// bytes of one read.
#[derive(Debug)]
pub struct Connection<K: Kernel> {
    pub polled: Polled<K>,
    /// Bytes that a write did not accept. They stay here until all of them have been written.
    unwritten: Vec<u8>,
    /// The number of bytes of `unwritten` that have been written since.
    written: usize,
}

impl<K: Kernel> Connection<K> {
    /// Wraps `socket`, which has just been accepted.
    pub fn new(socket: Socket<K>) -> Connection<K> {
        Connection {
            polled: Polled::new(socket),
            unwritten: Vec::new(),
            written: 0,
        }
    }

    /// Returns the size of the buffer of unwritten bytes, of which some may have been written since.
    pub fn unsent_bytes(&self) -> usize {
        self.unwritten.len()
    }

    /// Echoes the available bytes, through `buffer`, and counts them in `tally`. `reported` holds the events
    /// that epoll reported, or is 0.
    pub fn serve(&mut self, reported: u32, buffer: &mut [u8], tally: &mut Tally) -> Next {
        if !self.unwritten.is_empty() {
            let Ok(count) = self.write(&self.unwritten[self.written..], tally) else {
                return Next::Close;
            };
            self.written += count;
            if self.written < self.unwritten.len() {
                return Next::Wait(EPOLLOUT);
            }
            // Free the memory: a connection without unwritten bytes has none.
            self.unwritten = Vec::new();
            self.written = 0;
        }
        // A read that does not fill the buffer has emptied the socket, and epoll reports when more bytes
        // arrive. That saves a read that would return EAGAIN (`epoll(7)`, question 9). But the end of the
        // stream (EPOLLRDHUP) and an error have been reported already, and a read stops at urgent data
        // (EPOLLPRI).
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

    /// Writes as many of `bytes` as the socket accepts, possibly none, and counts them.
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
