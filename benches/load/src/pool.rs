//! Many connections behind one epoll, edge-triggered.
//!
//! With level-triggered events, the kernel puts a connection that it reports
//! straight back into its ready list, ahead of those that become ready after
//! the call returns. Replies would not be read in the order of arrival. Where
//! server and load generator are about equally fast, p99 would double, and
//! would describe the load generator, not the server.

use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::connection::Connection;
use crate::pattern::{MAX_IO, Pattern};

/// The most events of one wait: enough to make the call cheap, and few enough that the last event is not
/// stale when it is handled.
const EVENTS: usize = 256;

/// Non-blocking connections, each with the number of bytes to send on it in total.
pub struct Pool {
    epoll: Epoll,
    members: Vec<Member>,
    pattern: Pattern,
    buffer: Box<[u8; MAX_IO]>,
}

struct Member {
    connection: Connection,
    goal: u64,
    /// Whether the kernel's buffer was full. Epoll then reports when it has space again.
    full: bool,
}

/// The events that epoll reports for one connection.
pub struct Ready {
    /// The connection's index.
    pub index: usize,
    /// Whether it is readable.
    pub readable: bool,
    /// Whether it is writable.
    pub writable: bool,
    /// Whether the connection has ended or is broken, after the bytes that can still be read.
    over: bool,
}

/// The events of one wait.
pub struct Events([EpollEvent; EVENTS]);

impl Events {
    /// Creates a buffer for the events of a wait.
    pub fn new() -> Self {
        Self([EpollEvent::empty(); EVENTS])
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// Makes open connections non-blocking and registers them with epoll.
    ///
    /// # Errors
    /// If the kernel refuses one of them.
    pub fn new(connections: Vec<Connection>, pattern: Pattern) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // A full buffer needs no other registration, because this one includes EPOLLOUT.
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        let mut members = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            connection.stream().set_nonblocking(true)?;
            let event = EpollEvent::new(flags, index as u64);
            epoll.add(connection.stream(), event)?;
            members.push(Member {
                goal: connection.sent(),
                connection,
                full: false,
            });
        }
        Ok(Self {
            epoll,
            members,
            pattern,
            buffer: Box::new([0; MAX_IO]),
        })
    }

    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits for events for at most `timeout`.
    ///
    /// # Errors
    /// If the wait itself fails.
    pub fn wait<'e>(
        &self,
        events: &'e mut Events,
        timeout: Duration,
    ) -> Result<impl ExactSizeIterator<Item = Ready> + use<'e>> {
        let timeout = EpollTimeout::try_from(timeout)?;
        let count = match self.epoll.wait(&mut events.0, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        Ok(events.0[..count].iter().map(|event| {
            let flags = event.events();
            Ready {
                index: event.data() as usize,
                // A broken connection counts as readable: the read returns its error.
                readable: flags != EpollFlags::EPOLLOUT,
                writable: flags.contains(EpollFlags::EPOLLOUT),
                over: !(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT).contains(flags),
            }
        }))
    }

    /// Sends `bytes` more bytes on connection `index`, now or when the kernel's buffer has space.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn send(&mut self, index: usize, bytes: u64) -> Result<()> {
        let member = &mut self.members[index];
        member.goal += bytes;
        if member.full {
            Ok(())
        } else {
            self.flush(index)
        }
    }

    /// Sends the bytes that connection `index` could not send before.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn flush(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        member.full = !member.connection.send_up_to(member.goal, &self.pattern)?;
        Ok(())
    }

    /// Reads all bytes that an event reports. For each read, calls `take` with the number of bytes and the
    /// position in the stream after them.
    ///
    /// Epoll does not report the same bytes again, so none may be left. All are read when a read does not fill
    /// the buffer, or when every byte that had been sent before this call has come back. Bytes that arrive
    /// later cause an event of their own, so `take` may send more without an endless loop here.
    ///
    /// # Errors
    /// Those of [`Connection::receive`] and of `take`.
    pub fn receive(
        &mut self,
        ready: &Ready,
        mut take: impl FnMut(&mut Self, usize, u64) -> Result<()>,
    ) -> Result<()> {
        let sent = self.members[ready.index].connection.sent();
        loop {
            let connection = &mut self.members[ready.index].connection;
            let length = connection.receive(&self.pattern, &mut self.buffer)?;
            let position = connection.received();
            if length > 0 {
                take(self, length, position)?;
            }
            let all = length < MAX_IO || position >= sent;
            // Only a read after the last byte reports that the connection has ended.
            if all && (length == 0 || !ready.over) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Returns a pool of one connection, and the server's end of it.
    fn pair() -> (Pool, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let connection = Connection::new(client, 0);
        (Pool::new(vec![connection], Pattern::new()).unwrap(), server)
    }

    /// Handles events until `goal` bytes are back, and sends `more` bytes after the first of them.
    fn receive_up_to(goal: u64, mut more: u64, pool: &mut Pool) -> Result<()> {
        let mut events = Events::new();
        let mut back = 0;
        while back < goal {
            let ready = pool.wait(&mut events, TIMEOUT)?;
            assert!(ready.len() > 0, "nothing after {back} bytes");
            for ready in ready {
                if ready.writable {
                    pool.flush(ready.index)?;
                }
                if ready.readable {
                    pool.receive(&ready, |pool, _, position| {
                        back = position;
                        pool.send(0, std::mem::take(&mut more))
                    })?;
                }
            }
        }
        Ok(())
    }

    #[test]
    fn pool_sends_and_receives_every_byte() {
        // More than the kernel's buffers hold, so that both directions fill up.
        const BYTES: u64 = 32 << 20;
        let (mut pool, mut server) = pair();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                loop {
                    let length = server.read(&mut buffer).unwrap();
                    if length == 0 {
                        break;
                    }
                    server.write_all(&buffer[..length]).unwrap();
                }
            });
            pool.send(0, BYTES).unwrap();
            receive_up_to(2 * BYTES, BYTES, &mut pool).unwrap();
            drop(pool);
        });
    }

    #[test]
    fn early_end_of_stream_is_an_error() {
        let (mut pool, mut server) = pair();
        pool.send(0, 1000).unwrap();
        let mut half = [0; 500];
        server.read_exact(&mut half).unwrap();
        server.write_all(&half).unwrap();
        server.shutdown(std::net::Shutdown::Write).unwrap();
        let error = receive_up_to(1000, 0, &mut pool).unwrap_err();
        assert!(error.to_string().contains("ended connection 0 at byte 500"));
    }

    #[test]
    fn reset_is_an_error() {
        let (mut pool, server) = pair();
        pool.send(0, 1000).unwrap();
        // Closing with unread bytes resets the connection.
        drop(server);
        receive_up_to(1000, 0, &mut pool).unwrap_err();
    }
}
