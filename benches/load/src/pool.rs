//! Many connections behind one epoll.

use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::connection::Connection;
use crate::pattern::{MAX_IO, Pattern};

/// Events taken from the kernel at once: many enough to make the call cheap,
/// few enough that the last is not stale when its turn comes.
const EVENTS: usize = 256;

/// Non-blocking connections, each with the position it wants to have sent up to.
pub struct Pool {
    epoll: Epoll,
    members: Vec<Member>,
    pattern: Pattern,
    buffer: Box<[u8; MAX_IO]>,
}

struct Member {
    connection: Connection,
    goal: u64,
    /// Whether the kernel's buffer was full, so that epoll also tells of room in it.
    full: bool,
}

/// What epoll said of one connection.
pub struct Ready {
    /// Which one it is.
    pub index: usize,
    /// Whether something can be read.
    pub readable: bool,
    /// Whether something can be written again.
    pub writable: bool,
}

/// The events of one wait.
pub struct Events([EpollEvent; EVENTS]);

impl Events {
    /// Room for a wait's events.
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
    /// Takes over open connections.
    ///
    /// # Errors
    /// If the kernel refuses one of them.
    pub fn new(connections: Vec<Connection>, pattern: Pattern) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut members = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            connection.stream().set_nonblocking(true)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
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

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits up to `patience` for something to be ready.
    ///
    /// # Errors
    /// If the wait itself fails.
    pub fn wait<'e>(
        &self,
        events: &'e mut Events,
        patience: Duration,
    ) -> Result<impl ExactSizeIterator<Item = Ready> + use<'e>> {
        let timeout = EpollTimeout::try_from(patience)?;
        let count = match self.epoll.wait(&mut events.0, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        Ok(events.0[..count].iter().map(|event| Ready {
            index: event.data() as usize,
            // A broken connection is told of by the read that finds it.
            readable: event.events() != EpollFlags::EPOLLOUT,
            writable: event.events().contains(EpollFlags::EPOLLOUT),
        }))
    }

    /// Lets connection `index` send `bytes` more, now or when there is room.
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

    /// Sends what connection `index` could not send before.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn flush(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let full = !member.connection.send_up_to(member.goal, &self.pattern)?;
        if full != member.full {
            member.full = full;
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, full);
            let mut event = EpollEvent::new(flags, index as u64);
            self.epoll.modify(member.connection.stream(), &mut event)?;
        }
        Ok(())
    }

    /// Reads once from connection `index`. Returns the bytes that were there
    /// and the position in its stream behind them.
    ///
    /// # Errors
    /// As for [`Connection::receive`].
    pub fn receive(&mut self, index: usize) -> Result<(usize, u64)> {
        let connection = &mut self.members[index].connection;
        let length = connection.receive(&self.pattern, &mut self.buffer)?;
        Ok((length, connection.received()))
    }
}
