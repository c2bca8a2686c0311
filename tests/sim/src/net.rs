//! TCP connections: two ends, and two flows of bytes between them, with a delay.

use core::net::SocketAddr;
use std::collections::VecDeque;

use syscalls::Errno;
use syscalls::epoll::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};

/// The end that connected, and the end that was accepted, as indices.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// The number of bytes after which a smaller buffer grows to [`GROWN`] bytes. A kernel's buffers grow too, and
/// a long stream would take too many calls byte by byte.
const GROWS_AFTER: usize = 2_000;
const GROWN: usize = 4_096;

/// The owner of the connecting end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The outside client with this index.
    Outside(usize),
    /// The program, by its attempt with this index.
    Inside(usize),
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client's connect request is in flight.
    Connecting,
    /// Established, and in the listener's queue.
    Queued,
    /// Accepted by the program.
    Accepted,
    /// Never established, or aborted before it was accepted.
    Failed,
}

/// Whether the end of a stream has been sent, and has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    Not,
    Sent,
    Arrived,
}

/// Bytes from one end to the other.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) in_flight: VecDeque<u8>,
    pub(crate) ready: VecDeque<u8>,
    /// The most bytes in the flow: the capacity of both sockets' buffers.
    pub(crate) capacity: usize,
    /// The number of bytes that have been sent so far.
    carried: usize,
    pub(crate) fin: Fin,
}

impl Flow {
    fn new(capacity: usize) -> Flow {
        Flow {
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
            capacity,
            carried: 0,
            fin: Fin::Not,
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.capacity
            .saturating_sub(self.in_flight.len() + self.ready.len())
    }

    /// Returns whether the network has bytes or an end to deliver.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.in_flight.is_empty() || self.fin == Fin::Sent
    }
}

/// One end of a connection.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Whether its last descriptor is closed.
    pub(crate) closed: bool,
    pub(crate) shut_read: bool,
    pub(crate) shut_write: bool,
    /// Whether the connection has been reset, by the other end or by the network, or could not be established.
    pub(crate) reset: bool,
    /// The error that the next call reports: `SO_ERROR`.
    pub(crate) error: Option<Errno>,
    /// The number of its events so far. An edge-triggered registration reports again when this changes.
    pub(crate) event_count: u64,
}

/// A connection. It is kept until the end of the run.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) owner: Owner,
    pub(crate) phase: Phase,
    /// The address of each end.
    pub(crate) addresses: [SocketAddr; 2],
    pub(crate) ends: [End; 2],
    /// `flows[e]` goes from end `e` to the other.
    pub(crate) flows: [Flow; 2],
    /// The time at which the network acts next.
    pub(crate) due: u64,
    /// The reason why the connection may end before all its bytes are echoed, if there is one.
    pub(crate) excuse: Option<String>,
    /// The bytes that the program has read at the server's end and not yet written back.
    pub(crate) owed: VecDeque<u8>,
    pub(crate) server_saw_end: bool,
    /// The bytes that the program's own client has written.
    pub(crate) sent: Vec<u8>,
    /// The bytes that it has read.
    pub(crate) came: Vec<u8>,
    /// Whether it has read end of file.
    pub(crate) client_saw_end: bool,
    /// Whether `accept4`, or `epoll_ctl` on the listener, failed while the connection was in the queue. The
    /// program may then close its listener without having served the connection.
    pub(crate) refused_while_queued: bool,
    pub(crate) queued_at_call: u64,
    pub(crate) accepted_at_call: u64,
    /// The error with which the connect fails in the background, if it does.
    pub(crate) fails: Option<Errno>,
    /// Whether a fault has suspended deliveries on it, for less than 8 seconds.
    pub(crate) was_silent: bool,
}

impl Conn {
    pub(crate) fn new(owner: Owner, addresses: [SocketAddr; 2], capacities: [usize; 2]) -> Conn {
        Conn {
            owner,
            phase: Phase::Connecting,
            addresses,
            ends: Default::default(),
            flows: capacities.map(Flow::new),
            due: u64::MAX,
            excuse: None,
            owed: VecDeque::new(),
            server_saw_end: false,
            sent: Vec::new(),
            came: Vec::new(),
            client_saw_end: false,
            refused_while_queued: false,
            queued_at_call: 0,
            accepted_at_call: 0,
            fails: None,
            was_silent: false,
        }
    }

    pub(crate) fn established(&self) -> bool {
        matches!(self.phase, Phase::Queued | Phase::Accepted)
    }

    /// Returns whether it was accepted before `call` and the server's end is still open.
    pub(crate) fn was_open_before(&self, call: u64) -> bool {
        self.phase == Phase::Accepted && !self.ends[SERVER].closed && self.accepted_at_call < call
    }

    /// Returns the number of bytes that a read at `end` would return now, if no fault is injected.
    pub(crate) fn readable(&self, end: usize) -> usize {
        if self.ends[end].shut_read {
            0
        } else {
            self.flows[1 - end].ready.len()
        }
    }

    /// Returns whether a read at `end` would return end of file or an error.
    pub(crate) fn is_at_end(&self, end: usize) -> bool {
        let this = &self.ends[end];
        self.readable(end) == 0
            && (this.error.is_some()
                || this.reset
                || this.shut_read
                || self.flows[1 - end].fin == Fin::Arrived)
    }

    /// Reads up to `len` bytes at `end`.
    pub(crate) fn read(&mut self, end: usize, len: usize) -> Result<Vec<u8>, Errno> {
        let count = self.readable(end).min(len);
        if count > 0 {
            return Ok(self.flows[1 - end].ready.drain(..count).collect());
        }
        if let Some(errno) = self.ends[end].error.take() {
            return Err(errno);
        }
        if self.is_at_end(end) {
            return Ok(Vec::new());
        }
        Err(Errno::EAGAIN)
    }

    /// Returns the number of bytes that a write at `end` would accept.
    pub(crate) fn writable(&mut self, end: usize) -> Result<usize, Errno> {
        let this = &mut self.ends[end];
        if let Some(errno) = this.error.take() {
            return Err(errno);
        }
        if this.shut_write || this.reset {
            return Err(Errno::EPIPE);
        }
        match self.flows[end].room() {
            0 => Err(Errno::EAGAIN),
            _ if !self.established() => Err(Errno::EAGAIN),
            room => Ok(room),
        }
    }

    pub(crate) fn write(&mut self, end: usize, bytes: &[u8]) {
        let flow = &mut self.flows[end];
        flow.in_flight.extend(bytes);
        flow.carried += bytes.len();
        if flow.carried > GROWS_AFTER {
            flow.capacity = flow.capacity.max(GROWN);
        }
    }

    /// Returns the events that epoll and poll report for `end`.
    pub(crate) fn events(&self, end: usize) -> u32 {
        let this = &self.ends[end];
        if this.reset {
            let error = if this.error.is_some() { EPOLLERR } else { 0 };
            return EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP | error;
        }
        if !self.established() {
            return 0;
        }
        let mut events = 0;
        let peer_ended = self.flows[1 - end].fin == Fin::Arrived;
        if self.readable(end) > 0 || peer_ended || this.shut_read {
            events |= EPOLLIN;
        }
        if peer_ended || this.shut_read {
            events |= EPOLLRDHUP;
        }
        if (peer_ended || this.shut_read) && this.shut_write {
            events |= EPOLLHUP;
        }
        // As in the kernel, `end` is reported as writable only when a third of the buffer is free.
        let flow = &self.flows[end];
        if this.shut_write || (flow.room() > 0 && flow.room() >= flow.capacity / 3) {
            events |= EPOLLOUT;
        }
        events
    }

    /// Notifies `end` that the connection is reset.
    pub(crate) fn reset(&mut self, end: usize, errno: Errno) {
        let peer_ended = self.flows[1 - end].fin == Fin::Arrived;
        let this = &mut self.ends[end];
        if this.closed || this.reset {
            return;
        }
        this.reset = true;
        this.event_count += 1;
        this.error = Some(if peer_ended && errno == Errno::ECONNRESET {
            Errno::EPIPE
        } else {
            errno
        });
        self.flows[end].in_flight.clear();
        self.flows[1 - end].in_flight.clear();
    }

    /// Closes `end`. Returns whether that resets the other end, which it does if bytes are unread or
    /// `abort` is set.
    pub(crate) fn close(&mut self, end: usize, abort: bool) -> bool {
        let unread = self.readable(end) > 0;
        let this = &mut self.ends[end];
        this.closed = true;
        if this.reset {
            return false;
        }
        if abort || unread {
            self.flows[end].in_flight.clear();
            self.reset(1 - end, Errno::ECONNRESET);
            return true;
        }
        self.shut_write(end);
        false
    }

    pub(crate) fn shut_write(&mut self, end: usize) {
        self.ends[end].shut_write = true;
        if self.flows[end].fin == Fin::Not {
            self.flows[end].fin = Fin::Sent;
        }
    }
}
