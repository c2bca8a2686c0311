//! Closed loop: each connection keeps a fixed number of messages in flight.

use std::ops::Range;

use anyhow::{Result, ensure};
use fastrand::Rng;

use crate::open::{GREETING, STALL};
use crate::pool::{Events, Pool};
use crate::recorder::{Phase, Recorder};
use crate::shape::Shape;

/// Seed of the order in which connections send for the first time: the same for all servers.
const ORDER: u64 = 1;

/// Keeps `in_flight` messages in flight on every connection until the
/// recorder has seen enough, then waits for those that have not come back.
///
/// Without the wait a server that serves a few connections well and lets the
/// others starve would show a short latency: that of the few.
///
/// The first messages go in no order. In the order of opening, those of thousands of connections
/// would for seconds come in the order in which the server's memory of them lies, and a server
/// that never changes their order would be the faster for it: measured, by 15 % at 10,000 × 1 KiB,
/// and by nothing when the order has worn off.
///
/// # Errors
/// If a connection breaks, a byte is wrong or the server gets stuck.
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
                        // Each message makes room for the one that is `in_flight` later.
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

/// Records what came back on a connection and returns the messages it completed.
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

/// When each message in flight was sent: a ring for each connection, in which
/// a message takes the place of the one whose return let it go.
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
