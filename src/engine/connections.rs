//! The accepted connections: a table of slots, the count of unsent bytes, and serving.

use std::num::NonZeroU32;
use std::sync::Arc;

use syscalls::{Kernel, Socket};

use super::connection::{Connection, Next};
use super::poller::Poller;
use super::token::Token;
use super::totals::{Tally, Totals};

/// The most bytes of one read. All connections of a thread share the read buffer, so an idle connection needs
/// no buffer. A connection whose peer does not read buffers at most this many bytes.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The number of bytes that all connections of a thread may buffer before each read is limited to
/// [`MIN_READ_BYTES`].
pub const MAX_UNSENT_BYTES: usize = 64 * 1024 * 1024;

/// The size of a read when [`MAX_UNSENT_BYTES`] is reached.
pub const MIN_READ_BYTES: usize = 1024;

/// Identifies one connection. A later connection reuses the index with the next generation, so a late event
/// for a closed connection does not reach the connection that reuses its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub index: u32,
    pub generation: NonZeroU32,
}

#[derive(Debug)]
struct Slot<K: Kernel> {
    generation: NonZeroU32,
    connection: Option<Connection<K>>,
}

impl<K: Kernel> Slot<K> {
    /// Drops the connection, which closes it. The next connection in the slot gets another generation.
    fn vacate(&mut self) {
        self.connection = None;
        self.generation = self.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
    }
}

/// The connections of one thread, in a table with free slots.
#[derive(Debug)]
pub struct Connections<K: Kernel> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    /// Connections that have not had their first turn. They are not in the epoll set yet, because a client
    /// that sends at once has often sent by the next turn, and may even be done.
    just_accepted: Vec<Key>,
    /// The size of all buffers of unwritten bytes.
    unsent_bytes: usize,
    buffer: Box<[u8]>,
    tally: Tally,
}

impl<K: Kernel> Connections<K> {
    /// Creates an empty table, whose connections count into `totals`.
    pub fn new(totals: Arc<Totals>) -> Connections<K> {
        Connections {
            slots: Vec::new(),
            free: Vec::new(),
            just_accepted: Vec::new(),
            unsent_bytes: 0,
            buffer: vec![0; READ_BUFFER_BYTES].into(),
            tally: Tally::new(totals),
        }
    }

    /// Adds an accepted connection. The next
    /// [`serve_just_accepted`](Connections::serve_just_accepted) serves it.
    pub fn insert(&mut self, socket: Socket<K>) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: NonZeroU32::MIN,
                connection: None,
            });
            // A descriptor is an i32, so the number of connections fits into a u32.
            u32::try_from(self.slots.len() - 1).expect("fewer slots than descriptors")
        });
        let slot = &mut self.slots[index as usize];
        assert!(slot.connection.is_none(), "a free slot is empty");
        slot.connection = Some(Connection::new(socket));
        let key = Key {
            index,
            generation: slot.generation,
        };
        self.just_accepted.push(key);
        key
    }

    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns the number of connections that have not had their first turn.
    pub fn just_accepted(&self) -> usize {
        self.just_accepted.len()
    }

    /// Echoes on connection `key` until it would block or its turn is over. `reported` holds the events that
    /// epoll reported, or is 0. Returns whether the connection was closed.
    pub fn serve(&mut self, key: Key, reported: u32, poller: &Poller<K>) -> bool {
        let room = MAX_UNSENT_BYTES
            .saturating_sub(self.unsent_bytes)
            .clamp(MIN_READ_BYTES, READ_BUFFER_BYTES);
        // The connection may have been closed since epoll reported the event.
        let Some(connection) = find(&mut self.slots, key) else {
            return false;
        };
        self.unsent_bytes -= connection.unsent_bytes();
        let open = match connection.serve(reported, &mut self.buffer[..room], &mut self.tally) {
            Next::Input => true,
            // A connection that cannot be registered (the kernel has no memory) cannot be served.
            Next::Wait(events) => connection
                .polled
                .wait_for(poller, Token::Connection(key), events)
                .is_ok(),
            Next::Close => false,
        };
        if open {
            self.unsent_bytes += connection.unsent_bytes();
        } else {
            self.remove(key);
        }
        !open
    }

    /// Serves the first `count` newly accepted connections. Returns whether any of them was closed.
    pub fn serve_just_accepted(&mut self, count: usize, poller: &Poller<K>) -> bool {
        let mut closed = false;
        for i in 0..count {
            closed |= self.serve(self.just_accepted[i], 0, poller);
        }
        self.just_accepted.drain(..count);
        closed
    }

    /// Returns how many bytes were written back since the last call.
    pub fn take_echoed_bytes(&mut self) -> usize {
        self.tally.take_recent_bytes()
    }

    /// Drops connection `key`, which closes it.
    fn remove(&mut self, key: Key) {
        let slot = &mut self.slots[key.index as usize];
        assert!(
            slot.generation == key.generation,
            "a connection is removed once"
        );
        slot.vacate();
        self.free.push(key.index);
    }

    /// Drops all connections, which closes them.
    pub fn clear(&mut self) {
        for (index, slot) in (0..).zip(&mut self.slots) {
            if slot.connection.is_some() {
                slot.vacate();
                self.free.push(index);
            }
        }
        self.just_accepted.clear();
        self.unsent_bytes = 0;
    }
}

/// Finds connection `key`, if it is still open.
fn find<K: Kernel>(slots: &mut [Slot<K>], key: Key) -> Option<&mut Connection<K>> {
    let slot = slots.get_mut(key.index as usize)?;
    if slot.generation == key.generation {
        slot.connection.as_mut()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use syscalls::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT};
    use syscalls::scripted::{Script, Scripted, Step};
    use syscalls::{Errno, Linux};

    use super::super::polling::Polling;

    fn connections() -> Connections<Linux> {
        Connections::new(Arc::default())
    }

    fn socket() -> Socket<Linux> {
        let socket = Socket::new(
            Linux,
            syscalls::addr::AF_INET,
            syscalls::socket::SOCK_STREAM,
            syscalls::socket::IPPROTO_IP,
        );
        socket.expect("a socket")
    }

    #[test]
    fn stale_key_never_reaches_a_new_connection() {
        let mut connections = connections();
        let first = connections.insert(socket());
        connections.remove(first);
        assert_eq!(connections.len(), 0);
        let second = connections.insert(socket());
        assert_eq!(first.index, second.index, "the slot is used again");
        assert!(find(&mut connections.slots, first).is_none());
        assert!(find(&mut connections.slots, second).is_some());
    }

    #[test]
    #[should_panic(expected = "removed once")]
    fn double_remove_panics() {
        let mut connections = connections();
        let key = connections.insert(socket());
        connections.remove(key);
        connections.remove(key);
    }

    /// Returns a table with one connection, descriptor 4, over a kernel whose script begins with `SETUP`.
    fn one_connection<'s>(
        script: &'s Script<'s>,
    ) -> (Poller<Scripted<'s>>, Connections<Scripted<'s>>, Key) {
        let poller =
            Poller::new(script.kernel(), Polling::new(Duration::ZERO)).expect("an epoll set");
        let mut connections = Connections::new(Arc::default());
        let key = connections.insert(Socket::new(script.kernel(), 2, 1, 0).expect("a socket"));
        (poller, connections, key)
    }

    const SETUP: [Step<'_>; 2] = [
        Step::new("epoll_create1").returns(3),
        Step::new("socket").returns(4),
    ];

    #[test]
    fn serve_keeps_bytes_that_a_write_does_not_take() {
        let steps = [
            SETUP[0],
            SETUP[1],
            Step::new("read").writes(b"hello world"),
            Step::new("write").arg(2, 11).returns(5),
            Step::new("epoll_ctl").arg(1, EPOLL_CTL_ADD as usize),
            // The socket accepts bytes again: the rest is written before the next read.
            Step::new("write").arg(2, 6).returns(6),
            Step::new("read").fails(Errno::EAGAIN),
            Step::new("epoll_ctl").arg(1, EPOLL_CTL_MOD as usize),
            // The end of the stream.
            Step::new("read").returns(0),
        ];
        let script = Script::new(&steps);
        let (poller, mut connections, key) = one_connection(&script);
        assert!(!connections.serve_just_accepted(1, &poller));
        assert_eq!(connections.unsent_bytes, 6);
        assert_eq!(connections.tally.totals().get().bytes, 5);
        assert!(!connections.serve(key, EPOLLOUT, &poller));
        assert_eq!(connections.unsent_bytes, 0);
        assert_eq!(connections.tally.totals().get().bytes, 11);
        assert_eq!(connections.len(), 1);
        assert!(connections.serve(key, EPOLLIN, &poller), "it is closed");
        assert!(!connections.serve(key, EPOLLIN, &poller), "a late event");
        script.assert_finished();
        assert_eq!((connections.len(), script.closed()), (0, 1));
    }

    #[test]
    fn serve_closes_a_connection_that_cannot_be_registered() {
        let steps = [
            SETUP[0],
            SETUP[1],
            Step::new("read").fails(Errno::EAGAIN),
            Step::new("epoll_ctl").fails(Errno::ENOSPC),
        ];
        let script = Script::new(&steps);
        let (poller, mut connections, _) = one_connection(&script);
        assert!(connections.serve_just_accepted(1, &poller));
        assert_eq!((connections.len(), script.closed()), (0, 1));
    }

    #[test]
    fn reads_get_smaller_when_many_bytes_are_unsent() {
        for (unsent, room) in [
            (0, READ_BUFFER_BYTES),
            (MAX_UNSENT_BYTES - 5000, 5000),
            (MAX_UNSENT_BYTES, MIN_READ_BYTES),
        ] {
            let steps = [
                SETUP[0],
                SETUP[1],
                Step::new("read").arg(2, room).fails(Errno::EAGAIN),
                Step::new("epoll_ctl"),
            ];
            let script = Script::new(&steps);
            let (poller, mut connections, _) = one_connection(&script);
            connections.unsent_bytes = unsent;
            connections.serve_just_accepted(1, &poller);
            script.assert_finished();
        }
    }

    #[test]
    fn clear_closes_all() {
        let mut connections = connections();
        let keys = [(); 3].map(|()| connections.insert(socket()));
        connections.remove(keys[1]);
        connections.clear();
        assert_eq!(connections.len(), 0);
        for key in keys {
            assert!(find(&mut connections.slots, key).is_none());
        }
    }
}
