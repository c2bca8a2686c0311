//! What the server has done over the life of the process.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters that `tcp_echo_stats` reports. Several engines may share them.
///
/// No order among threads is asked for here: whoever has seen a connection's end (a system call
/// that orders memory) finds it counted.
#[derive(Debug, Default)]
pub struct Totals {
    connections: AtomicU64,
    bytes: AtomicU64,
}

/// What the counters stood at.
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

    /// Counts bytes that a write has taken.
    pub fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }

    /// What the counters stand at.
    pub fn get(&self) -> Counts {
        Counts {
            connections: self.connections.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// What one thread counts: into the totals, and for itself.
#[derive(Debug)]
pub struct Tally {
    totals: Arc<Totals>,
    recent_bytes: usize,
}

impl Tally {
    /// Counts into `totals`.
    pub fn new(totals: Arc<Totals>) -> Tally {
        Tally {
            totals,
            recent_bytes: 0,
        }
    }

    /// Counts bytes that a write has taken, at once: the peer may have them, and ask for the totals.
    pub fn add_bytes(&mut self, count: usize) {
        self.totals.add_bytes(count);
        self.recent_bytes += count;
    }

    /// Returns the bytes that this thread counted since the last call.
    pub fn take_recent_bytes(&mut self) -> usize {
        mem::take(&mut self.recent_bytes)
    }

    /// The totals of all threads.
    #[cfg(test)]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}
