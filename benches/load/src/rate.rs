//! Open loop: messages are sent at fixed times, whatever the server does.
//!
//! Latency counts from the time at which a message was due, not from the time at which it could be sent. A
//! stall of the server therefore counts for every message that had to wait, which avoids coordinated
//! omission.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::nanoseconds;
use crate::open::GREETING;
use crate::pool::{Events, Pool};
use crate::recorder::{Phase, Recorder};
use crate::shape::Shape;

/// The time after the measurement in which the last messages must come back.
const DRAIN: Duration = Duration::from_secs(5);

const NANOSECONDS: u128 = 1_000_000_000;

/// Sends `rate` messages a second, on all connections in turn, until the recorder has measured long enough.
/// Then waits for the last echoes.
///
/// It busy-polls epoll: after a sleep it would be late by more than the 20 µs between two messages at
/// 50,000/s, and the load generator has a CPU of its own.
///
/// # Errors
/// If a connection breaks, a byte is wrong or messages do not come back.
pub fn run(pool: &mut Pool, shape: Shape, rate: u64, recorder: &mut Recorder) -> Result<()> {
    let plan = Plan {
        rate,
        connections: pool.len() as u64,
        size: shape.size,
    };
    let all = plan.due_at(recorder.closes());
    let mut events = Events::new();
    let mut sent = 0;
    loop {
        let now = recorder.now();
        let over = recorder.tick(now)? == Phase::Over;
        if over && recorder.bytes() == all * shape.size {
            return Ok(());
        }
        let missing = all - recorder.bytes() / shape.size;
        ensure!(
            now < recorder.closes() + nanoseconds(DRAIN),
            "{missing} messages have not come back {DRAIN:?} after the end"
        );
        let due = plan.due_at(now).min(all);
        while sent < due {
            pool.send((sent % plan.connections) as usize, shape.size)?;
            sent += 1;
        }
        for ready in pool.wait(&mut events, Duration::ZERO)? {
            if ready.writable {
                pool.flush(ready.index)?;
            }
            if ready.readable {
                pool.receive(&ready, |_, length, position| {
                    take(ready.index, length, position, plan, recorder);
                    Ok(())
                })?;
            }
        }
    }
}

/// Records the bytes that came back on a connection.
fn take(index: usize, length: usize, position: u64, plan: Plan, recorder: &mut Recorder) {
    recorder.count(length);
    let after = position - GREETING;
    let now = recorder.now();
    for message in (after - length as u64) / plan.size..after / plan.size {
        let due = plan.time_of(message * plan.connections + index as u64);
        if due >= recorder.opens() {
            recorder.message(due, now);
        }
    }
}

/// The times at which messages are due. Message `n` goes to connection `n % connections`.
#[derive(Clone, Copy)]
struct Plan {
    rate: u64,
    connections: u64,
    size: u64,
}

impl Plan {
    /// Returns how many messages are due by `now`.
    fn due_at(self, now: u64) -> u64 {
        (u128::from(now) * u128::from(self.rate) / NANOSECONDS) as u64
    }

    /// Returns the time at which message `nth` is due: the first time by which more than `nth` are due.
    fn time_of(self, nth: u64) -> u64 {
        ((u128::from(nth) + 1) * NANOSECONDS).div_ceil(u128::from(self.rate)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_due_at_its_time_and_not_before() {
        let plan = Plan {
            rate: 49_999,
            connections: 3,
            size: 64,
        };
        for nth in 0..1000 {
            let time = plan.time_of(nth);
            assert_eq!((plan.due_at(time - 1), plan.due_at(time)), (nth, nth + 1));
        }
    }
}
