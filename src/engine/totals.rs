//! The counters of the server, over the life of the process.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters that `tcp_echo_stats` reports. All threads share them.
///
/// Relaxed ordering suffices. A thread that serves a connection counts its bytes before it closes the
/// connection. The kernel's locks order the close before the read of the end of the stream. A thread that has
/// read the end therefore reads counters that include the connection.
#[derive(Debug, Default)]
pub struct Totals {
    connections: AtomicU64,
    bytes: AtomicU64,
}

/// The values of the counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes written back to peers.
    pub bytes: u64,
}

impl Totals {
    /// Counts an accepted connection.
    pub fn add_connection(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Counts bytes that a write has accepted.
    pub fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }

    /// Returns the values of the counters.
    pub fn get(&self) -> Counts {
        Counts {
            connections: self.connections.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// The counters of one thread: the shared totals, and a count of its own.
#[derive(Debug)]
pub struct Tally {
    totals: Arc<Totals>,
    recent_bytes: usize,
}

impl Tally {
    /// Creates the counters of a thread that adds to `totals`.
    pub fn new(totals: Arc<Totals>) -> Tally {
        Tally {
            totals,
            recent_bytes: 0,
        }
    }

    /// Counts bytes that a write has accepted. Call this right after the write, because the peer may read the
    /// bytes and then request the totals.
    pub fn add_bytes(&mut self, count: usize) {
        self.totals.add_bytes(count);
        self.recent_bytes += count;
    }

    /// Returns the bytes that this thread counted since the last call.
    pub fn take_recent_bytes(&mut self) -> usize {
        mem::take(&mut self.recent_bytes)
    }

    /// Returns the totals of all threads.
    #[cfg(test)]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}
