//! Records bytes, latencies and CPU time between the warm-up and the end.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use nix::unistd::Pid;

use crate::clock::{Clock, cpu_time, nanoseconds};
use crate::report::Report;
use crate::shape::Span;

/// Significant digits of a latency. Its error is at most 0.1 %, far below the spread between runs.
const DIGITS: u8 = 3;

/// The longest latency that is recorded, in nanoseconds. It is far above all deadlines here.
const LONGEST: u64 = 60_000_000_000;

/// The least number of round trips, on average over the messages in flight, before measuring begins. The first
/// one fills the kernel's buffers, which takes seconds for much data. A server that fills them fast is not
/// always fast afterwards.
const WARMUP_ROUND_TRIPS: u64 = 2;

/// The least number of round trips, on average over the messages in flight, while measuring.
const MEASURED_ROUND_TRIPS: u64 = 3;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Load without measurement.
    WarmUp,
    /// Load that is measured.
    Measuring,
    /// The measurement is complete.
    Over,
}

/// The measured window of a run.
pub struct Recorder {
    clock: Clock,
    server: Option<Pid>,
    opens: u64,
    closes: u64,
    seconds: u64,
    bytes_in_flight: u64,
    phase: Phase,
    began: Reading,
    ended: Reading,
    bytes: u64,
    histogram: Histogram<u64>,
}

/// All counters at one moment.
#[derive(Clone, Copy, Default)]
struct Reading {
    at: u64,
    bytes: u64,
    load_cpu: Duration,
    server_cpu: Option<Duration>,
}

impl Recorder {
    /// Starts the clock. `bytes_in_flight` bytes are in flight at any time. If `span` is too short for their
    /// round trips, warm-up and measurement last longer. `server` is the process whose CPU time is read.
    ///
    /// # Errors
    /// If the histogram cannot be created.
    pub fn start(span: Span, bytes_in_flight: u64, server: Option<Pid>) -> Result<Self> {
        let (opens, seconds) = (nanoseconds(span.warmup), nanoseconds(span.seconds));
        Ok(Self {
            clock: Clock::start(),
            server,
            opens,
            closes: opens + seconds,
            seconds,
            bytes_in_flight,
            phase: Phase::WarmUp,
            began: Reading::default(),
            ended: Reading::default(),
            bytes: 0,
            histogram: Histogram::new_with_max(LONGEST, DIGITS)?,
        })
    }

    /// Returns the nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Returns the earliest time at which measuring begins.
    pub fn opens(&self) -> u64 {
        self.opens
    }

    /// Returns the earliest time at which measuring ends.
    pub fn closes(&self) -> u64 {
        self.closes
    }

    /// Advances the phase to time `now` and returns it. Reads the counters when measuring begins and when it
    /// ends.
    ///
    /// # Errors
    /// If the server's process has exited.
    pub fn tick(&mut self, now: u64) -> Result<Phase> {
        if self.phase == Phase::WarmUp && now >= self.opens && self.turned(0, WARMUP_ROUND_TRIPS) {
            self.began = self.read()?;
            self.closes = self.began.at + self.seconds;
            self.phase = Phase::Measuring;
        }
        let measured = now >= self.closes && self.turned(self.began.bytes, MEASURED_ROUND_TRIPS);
        if self.phase == Phase::Measuring && measured {
            self.ended = self.read()?;
            self.phase = Phase::Over;
        }
        Ok(self.phase)
    }

    /// Returns whether the messages in flight have completed `turns` round trips on average since byte `bytes`.
    fn turned(&self, bytes: u64, turns: u64) -> bool {
        self.bytes - bytes >= turns * self.bytes_in_flight
    }

    /// Counts bytes that came back.
    pub fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Returns the number of bytes that came back so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records the latency of a message that was sent, or due, at `from` and came back at `to`, except during
    /// the warm-up.
    pub fn message(&mut self, from: u64, to: u64) {
        if self.phase != Phase::WarmUp {
            self.histogram.saturating_record(to.saturating_sub(from));
        }
    }

    /// Adds the measurements to a report, whose `size` must be set.
    pub fn finish(self, report: Report) -> Report {
        let (began, ended) = (self.began, self.ended);
        let seconds = (ended.at - began.at) as f64 / 1e9;
        let bytes_per_second = (ended.bytes - began.bytes) as f64 / seconds;
        let server_cpu = ended
            .server_cpu
            .zip(began.server_cpu)
            .map(|(end, start)| end - start);
        Report {
            seconds,
            bytes_per_second,
            messages_per_second: bytes_per_second / report.size as f64,
            latency_us: (&self.histogram).into(),
            load_cpu_seconds: (ended.load_cpu - began.load_cpu).as_secs_f64(),
            server_cpu_seconds: server_cpu.map(|cpu| cpu.as_secs_f64()),
            ..report
        }
    }

    fn read(&self) -> Result<Reading> {
        Ok(Reading {
            at: self.now(),
            bytes: self.bytes,
            load_cpu: cpu_time(Pid::this())?,
            server_cpu: self.server.map(cpu_time).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_span_lasts_until_bytes_in_flight_are_back() {
        let span = Span {
            seconds: Duration::ZERO,
            warmup: Duration::ZERO,
        };
        let mut recorder = Recorder::start(span, 100, None).unwrap();
        let mut phases = Vec::new();
        for bytes in [0, 199, 1, 299, 1] {
            recorder.count(bytes);
            phases.push(recorder.tick(recorder.now()).unwrap());
        }
        use Phase::{Measuring, Over, WarmUp};
        assert_eq!(phases, [WarmUp, WarmUp, Measuring, Measuring, Over]);
    }

    #[test]
    fn long_span_lasts_for_its_duration() {
        let second = Duration::from_secs(1);
        let span = Span {
            seconds: second,
            warmup: second,
        };
        let mut recorder = Recorder::start(span, 0, None).unwrap();
        recorder.count(1000);
        assert_eq!(recorder.tick(0).unwrap(), Phase::WarmUp);
        assert_eq!(recorder.tick(1_000_000_000).unwrap(), Phase::Measuring);
        assert_eq!(recorder.tick(1_000_000_000).unwrap(), Phase::Measuring);
    }
}
