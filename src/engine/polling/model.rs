//! A model of a server, its clients and two processors, on a simulated clock.
//!
//! All times are in nanoseconds. The clients share one thread, on its own processor or on the server's. A
//! sleeping thread takes `wake` to run again. A busy neighbour and the thread take turns, a time slice each. A
//! thread that has used less of the processor than its neighbour runs as soon as it wakes up, much as under
//! Linux's scheduler before 6.6.

use std::time::Duration;

use super::Polling;

pub const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;

/// The cost of a wait that finds an event, and of reading and writing one message.
const WAIT: u64 = MICRO / 2;
const ECHO: u64 = 5 * MICRO;

/// The cost of an epoll call that finds nothing.
const EMPTY: u64 = 350;

/// The sender's cost of waking the other side.
const WAKER: u64 = MICRO;

/// A thread's own cost of going to sleep and waking up.
const SWITCH: u64 = 3 * MICRO;

/// The cost of reading the clock.
const LOOK: u64 = 80;

/// The scheduler's time slice, which a busy neighbour uses up.
const SLICE: i64 = 3 * MILLI as i64;

/// How a server waits: it sleeps at once, polls after each event, or lets [`Polling`] decide.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "each model holds a single one")]
pub enum Policy {
    Never,
    Always,
    Decides(Polling),
}

/// The behaviour of the clients.
#[derive(Clone, Copy, Debug)]
pub enum Clients {
    /// Each sends its next message `think` after an echo.
    Closed { count: usize, think: u64 },
    /// They send a message every `interval`, regardless of the server.
    Regular { interval: u64 },
    /// The same at random times: `interval` is the mean.
    Random { interval: u64 },
}

/// A machine and its load.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub wake: u64,
    pub clients: Clients,
    pub one_cpu: bool,
    pub neighbours: bool,
    /// Whether the server's processor stands still for 0.5 ms every half second.
    pub gaps: bool,
    pub seed: u64,
}

impl Situation {
    pub fn new(wake_micros: u64, clients: Clients) -> Situation {
        Situation {
            wake: wake_micros * MICRO,
            clients,
            one_cpu: false,
            neighbours: false,
            gaps: false,
            seed: 1,
        }
    }
}

/// What a server did in a period.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub messages: u64,
    pub nanoseconds: u64,
    pub cpu: u64,
}

impl Done {
    /// Returns the messages echoed per second.
    pub fn rate(self) -> f64 {
        self.messages as f64 * 1e9 / self.nanoseconds as f64
    }

    /// Returns the server's processor time for a message.
    pub fn cpu_per_message(self) -> f64 {
        self.cpu as f64 / self.messages as f64
    }
}

/// A thread on a processor that it may share with a busy neighbour.
#[derive(Clone, Copy, Debug, Default)]
struct Thread {
    now: u64,
    cpu: u64,
    /// The processor time that it has used, minus its neighbour's.
    lead: i64,
}

impl Thread {
    fn run(&mut self, time: u64, world: &mut World, server: bool) {
        self.now += time;
        self.cpu += time;
        if world.at.neighbours {
            self.lead += time as i64;
            if self.lead >= SLICE {
                self.now += SLICE as u64;
                self.lead = 0;
            }
        }
        if server && world.at.gaps && self.now >= world.next_gap {
            self.now += MILLI / 2;
            world.next_gap += 500 * MILLI;
        }
    }

    /// Sleeps until `until`, and wakes up.
    fn sleep(&mut self, until: u64, world: &mut World, server: bool) {
        let slept = until.saturating_sub(self.now);
        self.now = self.now.max(until);
        if world.at.neighbours {
            self.lead -= slept as i64;
            // It runs first, unless it has used more than its share.
            if self.lead > 0 {
                self.now += self.lead as u64;
                self.lead = 0;
            }
            self.lead = self.lead.max(-SLICE);
        } else if !world.at.one_cpu {
            self.now += world.jitter(world.at.wake);
        }
        self.run(SWITCH, world, server);
    }
}

/// Messages in flight: the arrival and the sending time of each.
type Queue = std::collections::VecDeque<(u64, u64)>;

#[derive(Debug)]
struct World {
    at: Situation,
    random: u64,
    next_gap: u64,
}

impl World {
    /// Returns a number from a seeded generator (xorshift64*).
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    /// Returns `time` changed by at most a tenth, and sometimes increased by an interrupt.
    fn jitter(&mut self, time: u64) -> u64 {
        let interrupt = if self.random() % 1000 == 0 {
            20 * MICRO
        } else {
            0
        };
        time * (900 + self.random() % 200) / 1000 + interrupt
    }
}

#[derive(Debug)]
pub struct Model {
    policy: Policy,
    server: Thread,
    client: Thread,
    /// The messages to the server, ordered by arrival, and those to the clients.
    requests: Queue,
    replies: Queue,
    /// The times at which closed-loop clients send their next messages.
    thinking: Vec<u64>,
    next_open: u64,
    server_sleeps: bool,
    client_sleeps: bool,
    world: World,
    done: Done,
}

impl Model {
    pub fn new(policy: Policy, at: Situation) -> Model {
        let mut model = Model {
            policy,
            server: Thread::default(),
            client: Thread::default(),
            requests: Queue::new(),
            replies: Queue::new(),
            thinking: Vec::new(),
            next_open: 0,
            server_sleeps: false,
            client_sleeps: false,
            world: World {
                at,
                random: 0x9E37_79B9_7F4A_7C15 ^ at.seed,
                next_gap: 100 * MILLI,
            },
            done: Done::default(),
        };
        model.change(at);
        model
    }

    /// Changes the situation.
    pub fn change(&mut self, at: Situation) {
        self.world.at = at;
        let now = self.client.now.max(self.server.now);
        self.client.now = now;
        self.server.now = now;
        self.requests.clear();
        self.replies.clear();
        self.thinking.clear();
        self.next_open = now;
        if let Clients::Closed { count, .. } = at.clients {
            self.thinking = (0..count as u64).map(|i| now + i * MICRO).collect();
        }
    }

    /// Returns whether the server polls now.
    pub fn polls(&self) -> bool {
        match self.policy {
            Policy::Never => false,
            Policy::Always => true,
            Policy::Decides(polling) => polling.wanted().is_some(),
        }
    }

    /// Runs for `time`. Returns what the server did.
    pub fn run(&mut self, time: Duration) -> Done {
        let began = self.server.now;
        let cpu = self.server.cpu;
        self.done = Done::default();
        let until = began + time.as_nanos() as u64;
        while self.server.now < until {
            self.turn(until);
        }
        self.done.nanoseconds = self.server.now - began;
        self.done.cpu = self.server.cpu - cpu;
        self.done
    }

    /// Returns whether a request has arrived by the server's time.
    fn ready(&self) -> bool {
        self.requests
            .front()
            .is_some_and(|first| first.0 <= self.server.now)
    }

    /// Runs one turn of the server.
    fn turn(&mut self, until: u64) {
        self.clients_until(self.server.now);
        if !self.ready() {
            if self.polls() {
                self.poll();
            }
            if !self.ready() {
                self.server_sleeps = true;
                while self.requests.is_empty() {
                    let next = self.client_event();
                    if next > until {
                        self.server.now = self.server.now.max(until);
                        return;
                    }
                    self.clients_until(next.max(self.client.now) + 1);
                }
                self.server_sleeps = false;
                let first = self.requests.front().expect("a request").0;
                self.server.sleep(first, &mut self.world, true);
                if self.world.at.one_cpu {
                    self.server.now = self.server.now.max(self.client.now);
                }
                self.clients_until(self.server.now);
            }
        }
        self.server.run(WAIT, &mut self.world, true);
        let mut served = 0;
        let began = self.server.now;
        while self.requests.front().is_some_and(|first| first.0 <= began) {
            let (_, sent) = self.requests.pop_front().expect("a request");
            let mut cost = self.world.jitter(ECHO);
            if self.client_sleeps && self.replies.is_empty() {
                cost += WAKER;
            }
            self.server.run(cost, &mut self.world, true);
            self.replies.push_back((self.server.now, sent));
            served += 1;
        }
        self.done.messages += served;
        if let Policy::Decides(polling) = &mut self.policy {
            if served > 0 && polling.echoed(64 * served) {
                polling.look(Duration::from_nanos(self.server.now));
                self.server.run(LOOK, &mut self.world, true);
            }
        }
    }

    /// Polls until a request arrives or the limit has elapsed.
    fn poll(&mut self) {
        let limit = match self.policy {
            Policy::Decides(polling) => polling.wanted().expect("wants to poll"),
            _ => Polling::DEFAULT,
        };
        let end = self.server.now + limit.as_nanos() as u64;
        let mut brought = false;
        while !brought && self.server.now < end {
            // Every poll before the next event finds nothing.
            let request = self.requests.front().map_or(u64::MAX, |first| first.0);
            let event = request
                .min(self.client.now.max(self.client_event()))
                .min(end);
            let polls = event.saturating_sub(self.server.now).div_ceil(EMPTY).max(1);
            self.server.run(polls * EMPTY, &mut self.world, true);
            // On one processor, the clients run only while the server sleeps.
            if !self.world.at.one_cpu {
                self.clients_until(self.server.now);
            }
            brought = self.ready();
        }
        if let Policy::Decides(polling) = &mut self.policy {
            polling.polled(brought);
        }
    }

    /// Returns the time of the clients' next event.
    fn client_event(&self) -> u64 {
        let reply = self.replies.front().map_or(u64::MAX, |first| first.0);
        let thought = self.thinking.iter().copied().min().unwrap_or(u64::MAX);
        let open = match self.world.at.clients {
            Clients::Closed { .. } => u64::MAX,
            _ => self.next_open,
        };
        reply.min(thought).min(open)
    }

    /// Returns the time until the next message of an open loop.
    fn open_interval(&mut self) -> Option<u64> {
        match self.world.at.clients {
            Clients::Closed { .. } => None,
            Clients::Regular { interval } => Some(interval),
            Clients::Random { interval } => {
                let chance = (self.world.random() % 1_000_000 + 1) as f64 / 1e6;
                Some((-chance.ln() * interval as f64) as u64)
            }
        }
    }

    /// Runs the clients' thread until its time is `until`.
    fn clients_until(&mut self, until: u64) {
        if self.world.at.one_cpu && !self.server_sleeps {
            return;
        }
        loop {
            let event = self.client_event();
            if self.client.now.max(event) >= until {
                self.client_sleeps = event > self.client.now;
                return;
            }
            if let Some(interval) = self.open_interval() {
                // Open-loop clients never sleep, and their processor time does not matter.
                self.client.now = self.client.now.max(event);
                if self.next_open <= event {
                    self.requests.push_back((event, event));
                    self.next_open += interval;
                } else {
                    self.replies.pop_front();
                }
                continue;
            }
            if self.world.at.one_cpu {
                self.client.now = self.client.now.max(self.server.now);
            }
            if event > self.client.now {
                self.client.sleep(event, &mut self.world, false);
            }
            let now = self.client.now;
            let thought = self.thinking.iter().position(|&time| time <= now);
            let mut cost = self.world.jitter(ECHO);
            if self.server_sleeps && self.requests.is_empty() {
                cost += WAKER;
            }
            if let Some(index) = thought {
                self.thinking.swap_remove(index);
                self.client.run(cost, &mut self.world, false);
                self.requests.push_back((self.client.now, self.client.now));
            } else {
                self.replies.pop_front();
                let Clients::Closed { think, .. } = self.world.at.clients else {
                    unreachable!()
                };
                if think == 0 {
                    self.client.run(cost, &mut self.world, false);
                    self.requests.push_back((self.client.now, self.client.now));
                } else {
                    let think = self.world.jitter(think);
                    self.thinking.push(self.client.now + think);
                }
            }
        }
    }
}
