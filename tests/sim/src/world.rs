//! Contains everything outside the program: the kernel's state, the network, the clients, and time.
//!
//! Time is a number of nanoseconds. Each call adds a little to it. When all threads of the program wait, time
//! jumps to the next event or deadline. All actors (the clients, the network, the writer of the requests and
//! the reader of the replies) are scheduled in one agenda, ordered by time and then by insertion, so that the
//! seed determines every event.

use core::net::SocketAddr;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use fastrand::Rng;
use rawecho::engine::{Polling, READ_BUFFER_BYTES, STALL_TIMEOUT};
use rawecho::node::DRAIN_TIMEOUT;
use syscalls::Errno;

use crate::clients::Client;
use crate::epoll::Epoll;
use crate::faults::{Fault, Faults};
use crate::model::Model;
use crate::net::{CLIENT, Conn, Fin, Owner, Phase, SERVER};
use crate::plan::Plan;
use crate::stdio::{Input, Output};
use crate::threads::{MAIN, Thread};

/// Units of time, in nanoseconds.
pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The time that a call takes, in nanoseconds.
const CALL_COST: u64 = 500;

/// The largest number of calls that the program may make without progress. A busy loop makes more.
const IDLE_CALLS: i64 = 3_000;

/// The number of further calls that each step of progress allows. It covers a whole busy-poll, because the
/// next step may come at its end.
const CALLS_PER_STEP: i64 = 64 + (Polling::DEFAULT.as_nanos() / CALL_COST as u128) as i64;

/// The largest number of calls of a run. A run that makes progress needs fewer.
const MAX_CALLS: u64 = 3_000_000;

/// The longest simulated duration of a run. A run that makes progress takes less.
const MAX_TIME: u64 = 3_600 * SECOND;

/// The simulated time at which a run begins.
const START_TIME: u64 = 1_000 * SECOND;

/// The tolerance of a deadline: the simulator may wake the program late.
const DEADLINE_TOLERANCE: u64 = 300 * MILLISECOND;

/// A violation of an invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// The observation that contradicts it.
    pub seen: String,
}

/// The object behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Stdin,
    Stdout,
    Stderr,
    Epoll(usize),
    Event(usize),
    Socket(usize),
}

#[derive(Debug)]
pub(crate) enum State {
    Fresh,
    Bound,
    Listening {
        queue: VecDeque<usize>,
        backlog: usize,
        /// Whether the last `accept4` ran out of a resource, or an `epoll_ctl` has failed since.
        failed: bool,
        /// The error of the last such failure.
        failure: Option<Errno>,
    },
    Stream {
        conn: usize,
        end: usize,
    },
}

/// A socket of the program.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) ipv4: bool,
    pub(crate) nonblocking: bool,
    /// `SO_LINGER` with a timeout of 0: closing resets the connection.
    pub(crate) aborts: bool,
    pub(crate) reuses_address: bool,
    pub(crate) no_delay: bool,
    /// `IP_BIND_ADDRESS_NO_PORT`.
    pub(crate) late_port: bool,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) state: State,
    pub(crate) attempt: Option<usize>,
    pub(crate) closed: bool,
}

/// An attempt of the program to make a socket for a request: a listener or a client of its own.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) listened: bool,
    /// Whether its listener has been registered in epoll.
    pub(crate) watched: bool,
    pub(crate) port: u16,
    /// The first call that failed while the server was set up.
    pub(crate) failure: Option<(&'static str, Errno)>,
    /// The failed calls that may be the reason for its failure, with their errors.
    pub(crate) excuses: Vec<(&'static str, Errno)>,
    pub(crate) conn: Option<usize>,
    /// The time of its last progress.
    pub(crate) moved_at: u64,
    /// The time without progress until it was closed.
    pub(crate) stood_still: u64,
    /// The number of the call that closed it.
    pub(crate) closed_at: Option<u64>,
}

/// An actor outside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    Client(usize),
    Network(usize),
    Stdin,
    Stdout,
}

/// An increment of the program's counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// The number of the call from which on the counters must include it. This is the thread's next
    /// call, because a thread counts the effect of a call right after it.
    pub(crate) since: u64,
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) calls: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, Actor)>>,
    scheduled: u64,
    pub(crate) faults: Faults,
    pub(crate) rng: Rng,
    /// Whether most bytes are delivered as soon as they are sent.
    pub(crate) quick: bool,
    /// The open file of each descriptor.
    pub(crate) table: Vec<Option<File>>,
    /// The soft limit of descriptors.
    pub(crate) limit: u64,
    pub(crate) hard_limit: u64,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) epolls: Vec<Epoll>,
    /// The counters of the eventfds.
    pub(crate) events: Vec<u64>,
    pub(crate) clients: Vec<Client>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) model: Model,
    /// Whether violations are recorded. They are not when the simulator is compared with a real
    /// kernel.
    pub(crate) strict: bool,
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) trace_line: Vec<u8>,
    pub(crate) trace_ended: bool,
    /// The number of calls that the program may still make without progress.
    credit: i64,
    pub(crate) ignores_sigpipe: bool,
    /// Whether the program has seen the end of its input, or that its output is closed. It may close
    /// connections early then.
    pub(crate) exiting: bool,
    /// The time at which the program closed its listener, if a connection that it accepted before is still
    /// open.
    pub(crate) stopping_since: Option<u64>,
    /// The increments of the counters, in order.
    pub(crate) counts: Vec<Count>,
    pub(crate) threads: Vec<Thread>,
    /// The index of the running thread.
    pub(crate) running: usize,
    /// The clients' ports in use, each with its connection.
    pub(crate) ports: BTreeMap<u16, usize>,
    /// The largest number of bytes that the program had read from one connection and not written back.
    pub(crate) most_owed: usize,
}

impl World {
    pub(crate) fn new(plan: Plan, faults: Faults) -> World {
        let Plan {
            rng,
            quick,
            limit,
            hard_limit,
            clients,
            stdin,
            stdout,
            stderr,
            requests,
            ..
        } = plan;
        let mut world = World {
            now: START_TIME,
            calls: 0,
            agenda: BinaryHeap::new(),
            scheduled: 0,
            faults,
            rng,
            quick,
            table: [File::Stdin, File::Stdout, File::Stderr].map(Some).into(),
            limit,
            hard_limit,
            sockets: Vec::new(),
            attempts: Vec::new(),
            conns: Vec::new(),
            epolls: Vec::new(),
            events: Vec::new(),
            clients: Vec::new(),
            stdin,
            stdout,
            stderr,
            model: Model::new(requests),
            strict: true,
            violation: None,
            trace: None,
            trace_line: Vec::new(),
            trace_ended: false,
            credit: IDLE_CALLS,
            ignores_sigpipe: false,
            exiting: false,
            stopping_since: None,
            counts: Vec::new(),
            threads: vec![Thread::default()],
            running: MAIN,
            ports: BTreeMap::new(),
            most_owed: 0,
        };
        world.clients = clients.into_iter().map(Client::new).collect();
        for i in 0..world.clients.len() {
            let start = world.now + world.clients[i].plan.start;
            world.schedule(Actor::Client(i), start);
        }
        world.schedule(Actor::Stdin, world.now);
        world
    }

    /// Records that an invariant does not hold. Only the first violation is kept.
    pub(crate) fn violated(&mut self, invariant: &'static str, seen: impl Into<String>) {
        if !self.strict {
            return;
        }
        let seen = seen.into();
        self.remark(|| format!("{invariant}: {seen}"));
        self.violation.get_or_insert(Violation { invariant, seen });
    }

    /// Records that the program made an invalid call, and returns the error `errno` for it.
    pub(crate) fn misused(&mut self, call: &str, errno: Errno) -> Errno {
        if self.strict {
            self.violated("every call is valid", format!("{call} would fail: {errno}"));
        }
        errno
    }

    // Time and the agenda.

    fn due(&mut self, actor: Actor) -> &mut u64 {
        match actor {
            Actor::Client(i) => &mut self.clients[i].due,
            Actor::Network(i) => &mut self.conns[i].due,
            Actor::Stdin => &mut self.stdin.due,
            Actor::Stdout => &mut self.stdout.due,
        }
    }

    /// Schedules `actor` at time `at`, unless it is scheduled earlier.
    pub(crate) fn schedule(&mut self, actor: Actor, at: u64) {
        let due = self.due(actor);
        if *due > at {
            *due = at;
            self.scheduled += 1;
            self.agenda.push(Reverse((at, self.scheduled, actor)));
        }
    }

    pub(crate) fn schedule_in(&mut self, actor: Actor, delay: u64) {
        self.schedule(actor, self.now + delay);
    }

    /// Runs all events up to time `until`.
    pub(crate) fn advance(&mut self, until: u64) {
        while let Some(&Reverse((at, _, actor))) = self.agenda.peek() {
            if at > until || self.violation.is_some() {
                break;
            }
            self.agenda.pop();
            // Skip an outdated entry: the actor has been rescheduled since.
            if *self.due(actor) != at {
                continue;
            }
            *self.due(actor) = u64::MAX;
            self.now = self.now.max(at);
            match actor {
                Actor::Client(i) => self.client_acts(i),
                Actor::Network(i) => self.network_acts(i),
                Actor::Stdin => self.stdin_acts(),
                Actor::Stdout => self.stdout_acts(),
            }
        }
        self.now = self.now.max(until);
    }

    /// Returns the time of the next event.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.agenda.peek().map(|&Reverse((at, ..))| at)
    }

    /// Describes the requests and the clients that are not finished, for a message.
    pub(crate) fn pending_work(&self) -> String {
        let clients = self.clients.iter().enumerate();
        let waiting = clients
            .filter(|(_, client)| !client.is_done() && client.must_finish())
            .map(|(i, client)| {
                format!(
                    "client {i} has {} of {} bytes back",
                    client.received, client.sent
                )
            })
            .collect::<Vec<_>>();
        let unanswered = self.model.unanswered();
        let unread = self.stdin.available();
        format!(
            "{unanswered} requests are not answered, {unread} bytes of input are not read; waiting clients: [{}]",
            waiting.join(", ")
        )
    }

    // The start of each call.

    pub(crate) fn enter(&mut self) {
        self.calls += 1;
        self.advance(self.now + CALL_COST);
        if !self.strict {
            return;
        }
        self.credit -= 1;
        if self.credit < 0 {
            self.violated(
                "no busy loop",
                format!(
                    "the allowance of calls without progress is used up; {}",
                    self.pending_work()
                ),
            );
        }
        if self.calls > MAX_CALLS {
            self.violated("calls are bounded", format!("{MAX_CALLS} calls"));
        }
        if self.now > START_TIME + MAX_TIME {
            let waiting = self.pending_work();
            let seen = format!("the run takes more than an hour; {waiting}");
            self.violated("requests and clients finish", seen);
        }
        self.check_deadlines();
    }

    /// Records progress, which allows the program further calls.
    pub(crate) fn step(&mut self) {
        self.credit = (self.credit + CALLS_PER_STEP).min(IDLE_CALLS);
    }

    fn check_deadlines(&mut self) {
        let limit = STALL_TIMEOUT.as_nanos() as u64 + DEADLINE_TOLERANCE;
        if let Some(attempt) = self.attempts.last() {
            let still = self.now - attempt.moved_at;
            if attempt.conn.is_some() && attempt.closed_at.is_none() && still > limit {
                self.violated(
                    "a request ends in time",
                    format!("no progress for {} ms", still / MILLISECOND),
                );
            }
        }
        let timeout = DRAIN_TIMEOUT.as_nanos() as u64 + DEADLINE_TOLERANCE;
        if let Some(since) = self.stopping_since {
            if self.now - since > timeout {
                self.violated(
                    "a stop ends in time",
                    format!(
                        "connections stay open for {} ms",
                        (self.now - since) / MILLISECOND
                    ),
                );
            }
        }
    }

    /// Returns whether `fault` happens now. A fault counts as progress, so that handling it does not
    /// use up the program's allowance of calls.
    pub(crate) fn happens(&mut self, fault: Fault) -> bool {
        let happens = self.faults.happens(fault);
        if happens {
            self.step();
        }
        happens
    }

    // The errors that replies may report.

    /// Records that `call` on `socket` has failed, so that a reply may report the error.
    pub(crate) fn blame(&mut self, socket: usize, call: &'static str, errno: Errno) {
        if let State::Stream { conn, .. } = self.sockets[socket].state {
            self.blame_conn(conn, call, errno);
            return;
        }
        if let State::Listening { .. } = self.sockets[socket].state {
            // No connection is accepted while the listener is not registered in epoll.
            self.blame_accept(socket, errno);
        }
        if let Some(attempt) = self.sockets[socket].attempt {
            self.blame_attempt(attempt, call, errno);
        }
    }

    pub(crate) fn blame_conn(&mut self, conn: usize, call: &'static str, errno: Errno) {
        let excuse = &mut self.conns[conn].excuse;
        excuse.get_or_insert_with(|| format!("{call}: {errno}"));
        if let Owner::Inside(attempt) = self.conns[conn].owner {
            self.blame_attempt(attempt, call, errno);
        }
    }

    pub(crate) fn blame_attempt(&mut self, attempt: usize, call: &'static str, errno: Errno) {
        let attempt = &mut self.attempts[attempt];
        if !attempt.watched {
            attempt.failure.get_or_insert((call, errno));
        }
        attempt.excuses.push((call, errno));
    }

    /// Records that `accept4` has failed for lack of a resource, or that `listener` could not be registered in
    /// epoll. The program then backs off accept.
    pub(crate) fn blame_accept(&mut self, listener: usize, errno: Errno) {
        if let State::Listening {
            queue,
            failed,
            failure,
            ..
        } = &mut self.sockets[listener].state
        {
            (*failed, *failure) = (true, Some(errno));
            for &conn in queue.iter() {
                self.conns[conn].refused_while_queued = true;
            }
        }
        if let Some(attempt) = self.open_client() {
            self.blame_attempt(attempt, "accept4", errno);
        }
    }

    /// Returns the attempt of the program's own client whose connection is open, if there is one.
    pub(crate) fn open_client(&self) -> Option<usize> {
        let last = self.attempts.last()?;
        (last.conn.is_some() && last.closed_at.is_none()).then_some(self.attempts.len() - 1)
    }

    // The network.

    /// Delivers what is in flight on `conn`, at once or later.
    pub(crate) fn kick(&mut self, conn: usize) {
        if !self.conns[conn]
            .flows
            .iter()
            .any(|flow| flow.is_under_way())
        {
            return;
        }
        if !self.conns[conn].was_silent && self.happens(Fault::Silence) {
            self.conns[conn].was_silent = true;
            let delay = self.rng.u64(4 * SECOND..8 * SECOND);
            self.remark(|| {
                format!(
                    "silence on connection {conn} for {} ms",
                    delay / MILLISECOND
                )
            });
            // Set the time directly: the silence delays an earlier delivery, too.
            self.conns[conn].due = self.now + delay;
            self.scheduled += 1;
            let entry = (self.now + delay, self.scheduled, Actor::Network(conn));
            self.agenda.push(Reverse(entry));
            return;
        }
        // Delivery is scheduled already, or the connection is silent.
        if self.conns[conn].due != u64::MAX {
            return;
        }
        if self.quick && self.rng.u8(..8) != 0 {
            self.network_acts(conn);
        } else {
            let delay = self.delay();
            self.schedule_in(Actor::Network(conn), delay);
        }
    }

    /// Draws the delay of the network.
    pub(crate) fn delay(&mut self) -> u64 {
        if self.happens(Fault::Slow) {
            self.rng.u64(..200 * MILLISECOND)
        } else {
            self.rng.u64(..100 * MICROSECOND)
        }
    }

    fn network_acts(&mut self, conn: usize) {
        if self.conns[conn].phase == Phase::Failed {
            return;
        }
        if self.conns[conn].phase == Phase::Connecting {
            self.connect_request_arrives(conn);
        }
        if self.conns[conn].established() && self.happens(Fault::Reset) {
            self.remark(|| format!("the network resets connection {conn}"));
            self.blame_conn(conn, "reset", Errno::ECONNRESET);
            self.reset(conn, Errno::ECONNRESET);
        }
        let quick = self.quick;
        for from in [CLIENT, SERVER] {
            let to = 1 - from;
            let state = &mut self.conns[conn];
            let flow = &mut state.flows[from];
            if !flow.is_under_way() {
                continue;
            }
            if state.ends[to].closed {
                if !flow.in_flight.is_empty() {
                    flow.in_flight.clear();
                    state.reset(from, Errno::ECONNRESET);
                }
                if flow_ends(&mut state.flows[from]) && from == SERVER {
                    self.wake_owner(conn);
                }
                self.wake_owner(conn);
                continue;
            }
            let all = flow.in_flight.len();
            let count = if quick || all == 0 || self.rng.bool() {
                all
            } else {
                self.rng.usize(1..=all)
            };
            let came: Vec<u8> = flow.in_flight.drain(..count).collect();
            flow.ready.extend(came);
            if flow.in_flight.is_empty() && flow.fin == Fin::Sent && (quick || self.rng.bool()) {
                flow.fin = Fin::Arrived;
            }
            state.ends[to].event_count += 1;
            if to == CLIENT {
                self.wake_owner(conn);
            }
        }
        if self.conns[conn]
            .flows
            .iter()
            .any(|flow| flow.is_under_way())
            && self.conns[conn].due == u64::MAX
        {
            let delay = self.delay();
            self.schedule_in(Actor::Network(conn), delay);
        }
    }

    /// Handles the arrival of the connect request.
    fn connect_request_arrives(&mut self, conn: usize) {
        let server = self.conns[conn].addresses[SERVER];
        let fails = self.conns[conn].fails;
        let listener = self.listener_at(server);
        let errno = match (fails, listener) {
            (Some(errno), _) => Some(errno),
            (None, None) => Some(Errno::ECONNREFUSED),
            (None, Some(listener)) => {
                let calls = self.calls;
                if let State::Listening { queue, .. } = &mut self.sockets[listener].state {
                    queue.push_back(conn);
                }
                let conn = &mut self.conns[conn];
                conn.phase = Phase::Queued;
                conn.queued_at_call = calls;
                None
            }
        };
        if let Some(errno) = errno {
            self.conns[conn].phase = Phase::Failed;
            self.conns[conn].reset(CLIENT, errno);
            self.blame_conn(conn, "connect", errno);
        }
    }

    /// Resets `conn` at both ends.
    pub(crate) fn reset(&mut self, conn: usize, errno: Errno) {
        for end in [CLIENT, SERVER] {
            self.conns[conn].reset(end, errno);
        }
        self.wake_owner(conn);
    }

    /// Wakes the outside client that owns `conn`, if one does.
    pub(crate) fn wake_owner(&mut self, conn: usize) {
        if let Owner::Outside(client) = self.conns[conn].owner {
            let delay = self.clients[client].gap();
            self.schedule_in(Actor::Client(client), delay);
        }
    }

    /// Returns the socket that listens on `address`.
    pub(crate) fn listener_at(&mut self, address: SocketAddr) -> Option<usize> {
        self.some_listener(|socket| socket.local == Some(address))
    }

    /// Returns any socket that listens.
    pub(crate) fn any_listener(&mut self) -> Option<usize> {
        self.some_listener(|_| true)
    }

    fn some_listener(&mut self, right: impl Fn(&Socket) -> bool) -> Option<usize> {
        self.listeners(right).first().copied()
    }

    /// Returns the listening sockets for which `right` is true.
    pub(crate) fn listeners(&self, right: impl Fn(&Socket) -> bool) -> Vec<usize> {
        let listens = |socket: &Socket| {
            !socket.closed && matches!(socket.state, State::Listening { .. }) && right(socket)
        };
        let sockets = self.sockets.iter().enumerate();
        let listeners = sockets.filter(|(_, socket)| listens(socket));
        listeners.map(|(i, _)| i).collect()
    }

    // The program's use of its connections.

    pub(crate) fn count(&mut self, connections: u64, bytes: u64) {
        self.threads[self.running].uncounted = Some(self.counts.len());
        self.counts.push(Count {
            since: u64::MAX,
            connections,
            bytes,
        });
    }

    /// Records that thread `id` makes a call, which means that it has counted the effect of its last
    /// one.
    pub(crate) fn settle_count(&mut self, id: usize) {
        if let Some(i) = self.threads[id].uncounted.take() {
            self.counts[i].since = self.calls;
        }
    }

    /// Records that the program has read `bytes` at the server's end of `conn`. Empty `bytes` mean end of
    /// file.
    pub(crate) fn server_read(&mut self, conn: usize, bytes: &[u8]) {
        let state = &mut self.conns[conn];
        state.server_saw_end |= bytes.is_empty();
        state.owed.extend(bytes);
        let owed = state.owed.len();
        self.most_owed = self.most_owed.max(owed);
        if owed > READ_BUFFER_BYTES {
            self.violated(
                "memory per connection is bounded",
                format!("connection {conn} buffers {owed} bytes that are read and not written"),
            );
        }
    }

    /// Records that the program writes `bytes` at the server's end of `conn`, of which the kernel
    /// accepts `count`.
    pub(crate) fn server_writes(&mut self, conn: usize, bytes: &[u8], count: usize) {
        let state = &mut self.conns[conn];
        let right =
            bytes.len() <= state.owed.len() && bytes.iter().zip(&state.owed).all(|(a, b)| a == b);
        if !right {
            let owed = state.owed.len();
            self.violated(
                "each client gets its own bytes, in order, without duplicates",
                format!(
                    "{} bytes are written to connection {conn} that are not the next of its {owed} bytes to echo",
                    bytes.len()
                ),
            );
            return;
        }
        state.owed.drain(..count);
        self.count(0, count as u64);
    }

    /// Records that the program closes the server's end of `conn`.
    pub(crate) fn server_closes(&mut self, conn: usize) {
        let timeout = DRAIN_TIMEOUT.as_nanos() as u64;
        let now = self.now;
        let timed_out = self
            .stopping_since
            .is_some_and(|since| now - since >= timeout);
        let state = &mut self.conns[conn];
        let finished = state.server_saw_end && state.owed.is_empty();
        if finished || state.excuse.is_some() {
            return;
        }
        if self.exiting || timed_out {
            state.excuse = Some("the program stops".into());
            if let Owner::Inside(attempt) = state.owner {
                self.blame_attempt(attempt, "stop", Errno::ECONNRESET);
            }
            return;
        }
        let owed = state.owed.len();
        self.violated(
            "a connection ends when every byte is echoed",
            format!("connection {conn} is closed early: {owed} bytes are not echoed"),
        );
    }

    /// Returns whether the program has closed the server's end of every accepted connection.
    pub(crate) fn all_connections_closed(&self) -> bool {
        !self
            .conns
            .iter()
            .any(|conn| conn.phase == Phase::Accepted && !conn.ends[SERVER].closed)
    }

    // The processes at the other ends of standard input and output.

    fn stdin_acts(&mut self) {
        if self.stdin.closed {
            return;
        }
        let over = self.clients_are_done();
        let replies = self.model.answered;
        let input = &mut self.stdin;
        let gate = input
            .gates
            .iter()
            .find(|gate| gate.at >= input.fed && (gate.replies > replies || gate.clients && !over))
            .map_or(input.script.len(), |gate| gate.at);
        let room = input.capacity - input.available();
        let most = room.min(gate - input.fed);
        if most > 0 {
            input.fed += most.min(input.rng.u32(1..=input.piece) as usize);
        } else if input.fed == input.script.len() {
            input.closed = true;
            self.remark(|| "standard input ends".into());
            return;
        } else {
            // The next reply, end of a client or read of the input schedules the writer again.
            return;
        }
        let delay = input.rng.u64(..=input.pause);
        self.schedule_in(Actor::Stdin, delay);
    }

    fn stdout_acts(&mut self) {
        let output = &mut self.stdout;
        let count = output.held.min(output.rng.u32(1..=output.piece) as usize);
        output.held -= count;
        output.read += count;
        if output.closes_after.is_some_and(|most| output.read >= most) && !output.broken {
            output.broken = true;
            self.remark(|| "the reader of standard output closes its end".into());
            return;
        }
        if output.held > 0 {
            let mut delay = output.rng.u64(..=output.pause);
            if self.happens(Fault::OutputSlow) {
                delay = self.rng.u64(..SECOND);
            }
            self.schedule_in(Actor::Stdout, delay);
        }
    }

    /// Returns whether all outside clients that must finish have done so.
    fn clients_are_done(&self) -> bool {
        self.clients
            .iter()
            .all(|client| client.is_done() || !client.must_finish())
    }
}

/// Marks the FIN of `flow` as arrived at a closed end, if it has been sent. Returns whether it had been sent.
fn flow_ends(flow: &mut crate::net::Flow) -> bool {
    let ends = flow.fin == Fin::Sent;
    if ends {
        flow.fin = Fin::Arrived;
    }
    ends
}
