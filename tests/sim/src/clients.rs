//! The outside clients: each is a small script that connects, sends, and disconnects in its own
//! way.

use fastrand::Rng;

use crate::net::{CLIENT, Owner, Phase, SERVER};
use crate::world::{Actor, MICROSECOND, MILLISECOND, State, World};

/// How a client disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// Sends everything, shuts down its side, reads to the end of the stream, and closes.
    AfterTheEnd,
    /// Closes when the whole echo has arrived.
    AfterTheEcho,
    /// Closes after sending at least this many bytes, whatever has been echoed.
    Closing(u32),
    /// Resets after sending at least this many bytes. Those in flight are lost.
    Resetting(u32),
    /// Never reads, and resets after this time.
    WithoutReading(u64),
    /// Does not disconnect by itself.
    Never,
}

/// The script of a client.
#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) seed: u64,
    /// The time from the start of the run to its first connect.
    pub(crate) start: u64,
    pub(crate) bytes: u32,
    /// The most bytes that it writes or reads in one call.
    pub(crate) piece: u32,
    /// The longest delay between an event and its next action.
    pub(crate) gap: u64,
    pub(crate) disconnect: Disconnect,
    /// The number of bytes after which it pauses once, and for how long.
    pub(crate) pause: Option<(u32, u64)>,
}

/// The outcome of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client finished as planned.
    Completed,
    /// No server listened at any attempt to connect.
    Refused,
    /// The connection ended early.
    CutOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting { tries: u32 },
    Connected { conn: usize },
    Done(Outcome),
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) plan: ClientPlan,
    pub(crate) stage: Stage,
    pub(crate) sent: u32,
    pub(crate) received: u32,
    shut: bool,
    paused_until: u64,
    connected_at: u64,
    pub(crate) due: u64,
    rng: Rng,
}

/// The number of retries if no server listens.
const MAX_RETRIES: u32 = 6;

/// Returns byte `i` of client `id`'s message.
fn byte(id: usize, i: u32) -> u8 {
    // The period is not a power of two, so that data displaced by the size of a buffer differs.
    (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ (i % 251) as u8 ^ (id as u8).wrapping_mul(37)
}

impl Client {
    pub(crate) fn new(plan: ClientPlan) -> Client {
        Client {
            rng: Rng::with_seed(plan.seed),
            plan,
            stage: Stage::Connecting { tries: 0 },
            sent: 0,
            received: 0,
            shut: false,
            paused_until: 0,
            connected_at: 0,
            due: u64::MAX,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// Returns whether the client keeps reading, and must therefore get its whole echo.
    pub(crate) fn must_finish(&self) -> bool {
        matches!(
            self.plan.disconnect,
            Disconnect::AfterTheEnd | Disconnect::AfterTheEcho
        )
    }

    pub(crate) fn gap(&mut self) -> u64 {
        self.rng.u64(..=self.plan.gap)
    }

    fn piece(&mut self) -> u32 {
        self.rng.u32(1..=self.plan.piece)
    }
}

impl World {
    pub(crate) fn client_acts(&mut self, id: usize) {
        match self.clients[id].stage {
            Stage::Connecting { tries } => self.client_connects(id, tries),
            Stage::Connected { conn } => {
                self.client_proceeds(id, conn);
                self.kick(conn);
            }
            Stage::Done(_) => {}
        }
    }

    fn client_connects(&mut self, id: usize, tries: u32) {
        let Some(listener) = self.any_listener() else {
            if tries == MAX_RETRIES {
                self.client_is_done(id, Outcome::Refused);
                return;
            }
            self.clients[id].stage = Stage::Connecting { tries: tries + 1 };
            let delay = self.clients[id].rng.u64(..100 * MILLISECOND);
            self.schedule_in(Actor::Client(id), delay);
            return;
        };
        if let State::Listening { queue, backlog, .. } = &self.sockets[listener].state {
            if queue.len() >= *backlog {
                // The kernel drops the request, and the client's kernel retransmits it. Linux queues one
                // connection more than `backlog` before it drops requests.
                self.schedule_in(Actor::Client(id), 1_000 * MILLISECOND);
                return;
            }
        }
        let Some(server) = self.sockets[listener].local else {
            return;
        };
        let conn = self.new_conn(Owner::Outside(id), server);
        let calls = self.calls;
        self.conns[conn].phase = Phase::Queued;
        self.conns[conn].queued_at_call = calls;
        if let State::Listening { queue, .. } = &mut self.sockets[listener].state {
            queue.push_back(conn);
        }
        self.remark(|| format!("client {id} connects: connection {conn}"));
        let now = self.now;
        let client = &mut self.clients[id];
        client.connected_at = now;
        client.stage = Stage::Connected { conn };
        let delay = client.gap();
        self.schedule_in(Actor::Client(id), delay);
        if let Disconnect::WithoutReading(after) = self.clients[id].plan.disconnect {
            // Schedule the disconnect here, because no other event may cause it.
            self.schedule_in(Actor::Client(id), delay.min(after));
        }
    }

    fn client_proceeds(&mut self, id: usize, conn: usize) {
        let now = self.now;
        let client = &mut self.clients[id];
        let state = &mut self.conns[conn];
        if state.ends[CLIENT].reset {
            state.close(CLIENT, false);
            self.disconnect_client(id, conn, Outcome::CutOff);
            return;
        }
        if now < client.paused_until {
            let until = client.paused_until;
            self.schedule(Actor::Client(id), until);
            return;
        }
        let Disconnect::WithoutReading(after) = client.plan.disconnect else {
            if self.client_reads(id, conn) {
                return;
            }
            self.client_writes(id, conn);
            self.client_may_disconnect(id, conn);
            return;
        };
        if now >= client.connected_at + after {
            self.client_disconnects_early(id, conn, true);
            return;
        }
        let until = client.connected_at + after;
        self.client_writes(id, conn);
        if self.clients[id].due == u64::MAX {
            self.schedule(Actor::Client(id), until);
        }
    }

    /// Reads once. Returns whether the client is done.
    fn client_reads(&mut self, id: usize, conn: usize) -> bool {
        let piece = self.clients[id].piece() as usize;
        let Ok(bytes) = self.conns[conn].read(CLIENT, piece) else {
            return false;
        };
        let client = &mut self.clients[id];
        if bytes.is_empty() {
            let complete = client.shut && client.received == client.sent;
            if !complete && self.conns[conn].excuse.is_none() {
                let seen = format!(
                    "client {id} reads end of file after {} of {} bytes",
                    client.received, client.sent
                );
                self.violated("a connection ends when every byte is echoed", seen);
            }
            let planned = complete && self.clients[id].sent == self.clients[id].plan.bytes;
            let outcome = if planned {
                Outcome::Completed
            } else {
                Outcome::CutOff
            };
            self.conns[conn].close(CLIENT, false);
            self.disconnect_client(id, conn, outcome);
            return true;
        }
        for &came in &bytes {
            if client.received >= client.sent || came != byte(id, client.received) {
                let seen = format!("client {id} reads {came:#04x} as byte {}", client.received);
                let invariant = "each client gets its own bytes, in order, without duplicates";
                self.violated(invariant, seen);
                return true;
            }
            client.received += 1;
        }
        // The flow has space again.
        self.kick(conn);
        false
    }

    fn client_writes(&mut self, id: usize, conn: usize) {
        let now = self.now;
        let client = &mut self.clients[id];
        if let Some((after, pause)) = client.plan.pause {
            if client.sent >= after {
                client.plan.pause = None;
                client.paused_until = now + pause;
                self.schedule(Actor::Client(id), now + pause);
                return;
            }
        }
        let left = client.plan.bytes - client.sent;
        let piece = client.piece().min(left) as usize;
        let state = &mut self.conns[conn];
        let count = match state.writable(CLIENT) {
            Ok(room) => room.min(piece),
            Err(_) => 0,
        };
        if count > 0 {
            let bytes: Vec<u8> = (client.sent..client.sent + count as u32)
                .map(|i| byte(id, i))
                .collect();
            state.write(CLIENT, &bytes);
            client.sent += count as u32;
        }
        if client.plan.disconnect == Disconnect::AfterTheEnd
            && client.sent == client.plan.bytes
            && !client.shut
            && client.plan.pause.is_none()
        {
            client.shut = true;
            state.shut_write(CLIENT);
        }
        let more = client.sent < client.plan.bytes && state.flows[CLIENT].room() > 0;
        if more || state.readable(CLIENT) > 0 || state.is_at_end(CLIENT) {
            let gap = client.gap();
            self.schedule_in(Actor::Client(id), gap.max(MICROSECOND));
        }
    }

    fn client_may_disconnect(&mut self, id: usize, conn: usize) {
        let client = &self.clients[id];
        match client.plan.disconnect {
            Disconnect::AfterTheEcho
                if client.sent == client.plan.bytes && client.received == client.sent =>
            {
                self.conns[conn].close(CLIENT, false);
                self.disconnect_client(id, conn, Outcome::Completed);
            }
            Disconnect::Closing(after) if client.sent >= after => {
                self.client_disconnects_early(id, conn, false);
            }
            Disconnect::Resetting(after) if client.sent >= after => {
                self.client_disconnects_early(id, conn, true);
            }
            _ => {}
        }
    }

    /// Disconnects the client before it has read its whole echo.
    fn client_disconnects_early(&mut self, id: usize, conn: usize, resets: bool) {
        self.remark(|| format!("client {id} disconnects"));
        let excuse = &mut self.conns[conn].excuse;
        excuse.get_or_insert_with(|| "its client has disconnected".into());
        self.conns[conn].close(CLIENT, resets);
        self.disconnect_client(id, conn, Outcome::Completed);
    }

    fn disconnect_client(&mut self, id: usize, conn: usize, outcome: Outcome) {
        self.kick(conn);
        self.client_is_done(id, outcome);
    }

    fn client_is_done(&mut self, id: usize, outcome: Outcome) {
        self.clients[id].stage = Stage::Done(outcome);
        self.remark(|| format!("client {id} is done: {outcome:?}"));
        self.schedule_in(Actor::Stdin, 0);
    }

    /// Checks that every client that keeps reading has received its whole echo, unless its connection has an
    /// excuse, or the program closed it with nothing left to echo.
    pub(crate) fn check_clients(&mut self) {
        for id in 0..self.clients.len() {
            let client = &self.clients[id];
            let (stage, sent, received) = (client.stage, client.sent, client.received);
            let must_finish = client.must_finish();
            let unfinished = match stage {
                Stage::Done(Outcome::CutOff) | Stage::Connected { .. } => must_finish,
                _ => false,
            };
            let excused = self.conns.iter().any(|conn| {
                conn.owner == Owner::Outside(id)
                    && (conn.excuse.is_some() || conn.ends[SERVER].closed && conn.owed.is_empty())
            });
            if unfinished && !excused && !self.exiting {
                let seen = format!("client {id} has {received} of {sent} bytes back");
                self.violated("requests and clients finish", seen);
            }
        }
    }
}
