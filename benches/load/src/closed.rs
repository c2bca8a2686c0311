//! Closed loop: each connection keeps a fixed number of messages in flight.

use std::ops::Range;

use anyhow::{Result, ensure};
use fastrand::Rng;

use crate::open::{GREETING, STALL};
use crate::pool::{Events, Pool};
use crate::recorder::{Phase, Recorder};
use crate::shape::Shape;

/// The seed of the order in which connections send their first messages. It is the same for all servers.
const ORDER: u64 = 1;

/// Keeps `in_flight` messages in flight on every connection until the recorder has measured long enough,
/// then waits for the last echoes.
///
/// Without the wait, a server that serves a few connections well and starves the others would show the
/// short latency of the few.
///
/// The connections send their first messages in random order. If they sent in the order of opening, the
/// messages of thousands of connections would arrive for seconds in the order in which the server's
/// connections lie in memory. Meanwhile, a server that keeps that order is faster, by 15 % at 10,000 × 1 KiB.
/// Once the order has become random, it is not.
///
/// # Errors
/// If a connection breaks, a byte is wrong or the server sends nothing for [`STALL`].
pub fn run(pool: &mut Pool, shape: Shape, in_flight: u64, recorder: &mut Recorder) -> Result<()> {
    let mut sent_at = SentAt::new(pool.len(), in_flight);
    let now = recorder.now();
    let mut order: Vec<usize> = (0..pool.len()).collect();
    Rng::with_seed(ORDER).shuffle(&mut order);
    for index in order {
        sent_at.set(index, 0..in_flight, now);
        pool.send(index, in_flight * shape.size)?;
    }
    let mut missing = pool.len() as u64 * in_flight;
    let mut events = Events::new();
    while missing > 0 {
        let over = recorder.tick(recorder.now())? == Phase::Over;
        let ready = pool.wait(&mut events, STALL)?;
        ensure!(ready.len() > 0, "the server sent nothing for {STALL:?}");
        for ready in ready {
            if ready.writable {
                pool.flush(ready.index)?;
            }
            if ready.readable {
                pool.receive(&ready, |pool, length, position| {
                    let back = take(ready.index, length, position, shape, &sent_at, recorder);
                    let count = back.end - back.start;
                    if over {
                        missing -= count;
                    } else if count > 0 {
                        // Each echo lets the connection send one more message.
                        sent_at.set(ready.index, back, recorder.now());
                        pool.send(ready.index, count * shape.size)?;
                    }
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}

/// Records the bytes that came back on a connection, and returns the messages that they complete.
fn take(
    index: usize,
    length: usize,
    position: u64,
    shape: Shape,
    sent_at: &SentAt,
    recorder: &mut Recorder,
) -> Range<u64> {
    recorder.count(length);
    let after = position - GREETING;
    let messages = (after - length as u64) / shape.size..after / shape.size;
    if !messages.is_empty() {
        let now = recorder.now();
        for message in messages.clone() {
            recorder.message(sent_at.get(index, message), now);
        }
    }
    messages
}

/// The time at which each message in flight was sent: a ring for each connection, in which a message
/// replaces the one whose echo let it be sent.
struct SentAt {
    times: Vec<u64>,
    in_flight: u64,
}

impl SentAt {
    fn new(connections: usize, in_flight: u64) -> Self {
        Self {
            times: vec![0; connections * in_flight as usize],
            in_flight,
        }
    }

    fn get(&self, connection: usize, message: u64) -> u64 {
        self.times[self.place(connection, message)]
    }

    fn set(&mut self, connection: usize, messages: Range<u64>, now: u64) {
        for message in messages {
            let place = self.place(connection, message);
            self.times[place] = now;
        }
    }

    fn place(&self, connection: usize, message: u64) -> usize {
        (connection as u64 * self.in_flight + message % self.in_flight) as usize
    }
}
