//! All accepted connections, each under a key that is never used again.

use std::num::NonZeroU32;

use syscalls::Kernel;

use super::Connection;

/// Names one connection. The index is reused for a later one with the next generation, so an
/// event for a connection that is gone can never reach its successor.
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

/// The connections, in a table with free places.
#[derive(Debug)]
pub struct Connections<K: Kernel> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
}

impl<K: Kernel> Default for Connections<K> {
    fn default() -> Connections<K> {
        Connections {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<K: Kernel> Connections<K> {
    /// Takes in a connection.
    pub fn insert(&mut self, connection: Connection<K>) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: NonZeroU32::MIN,
                connection: None,
            });
            // Descriptors are numbered by an i32, so there can be no more connections than that.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        assert!(
            slot.connection.is_none(),
            "a free place holds no connection"
        );
        slot.connection = Some(connection);
        Key {
            index,
            generation: slot.generation,
        }
    }

    /// The connection named `key`, if it is still there.
    pub fn get(&mut self, key: Key) -> Option<&mut Connection<K>> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation {
            slot.connection.as_mut()
        } else {
            None
        }
    }

    /// Drops, and so closes, the connection named `key`.
    pub fn remove(&mut self, key: Key) {
        let slot = &mut self.slots[key.index as usize];
        assert!(
            slot.generation == key.generation,
            "a connection is removed once"
        );
        slot.connection = None;
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.free.push(key.index);
    }

    /// Drops, and so closes, all of them.
    pub fn clear(&mut self) {
        for index in 0..self.slots.len() {
            let Slot {
                generation,
                connection,
            } = &self.slots[index];
            if connection.is_some() {
                self.remove(Key {
                    index: index as u32,
                    generation: *generation,
                });
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::Linux;

    fn connection() -> Connection<Linux> {
        let socket = syscalls::Socket::new(
            Linux,
            syscalls::addr::AF_INET,
            syscalls::socket::SOCK_STREAM,
            syscalls::socket::IPPROTO_IP,
        );
        Connection::new(socket.expect("a socket"))
    }

    #[test]
    fn a_key_never_reaches_a_successor() {
        let mut connections = Connections::default();
        let first = connections.insert(connection());
        connections.remove(first);
        assert_eq!(connections.len(), 0);
        let second = connections.insert(connection());
        assert_eq!(first.index, second.index, "the place is used again");
        assert!(connections.get(first).is_none());
        assert!(connections.get(second).is_some());
    }

    #[test]
    #[should_panic(expected = "removed once")]
    fn a_double_close_is_caught() {
        let mut connections = Connections::default();
        let key = connections.insert(connection());
        connections.remove(key);
        connections.remove(key);
    }

    #[test]
    fn clear_closes_all() {
        let mut connections = Connections::default();
        let keys = [(); 3].map(|()| connections.insert(connection()));
        connections.remove(keys[1]);
        connections.clear();
        assert_eq!(connections.len(), 0);
        assert!(keys.iter().all(|&key| connections.get(key).is_none()));
    }
}
