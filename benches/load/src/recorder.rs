//! Counts what happens between the warm-up and the end.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use nix::unistd::Pid;

use crate::clock::{Clock, cpu_time, nanoseconds};
use crate::report::Report;
use crate::shape::Span;

/// Digits that a latency is kept to: 0.1 %, far below the spread between runs.
const DIGITS: u8 = 3;

/// The longest latency that is told apart from longer ones, in nanoseconds:
/// far above all deadlines here.
const LONGEST: u64 = 60_000_000_000;

/// Round trips that every message in flight completes before measuring begins. The first one
/// fills the kernel's buffers, which takes seconds where there is a lot of data; the servers that
/// are fast at that are not always those that are fast afterwards.
const TURNS_BEFORE: u64 = 2;

/// How often it has to come back while measuring.
const TURNS_MEASURED: u64 = 3;

/// Whether the time that is measured has come, lasts or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Load without measurement.
    WarmUp,
    /// What happens now counts.
    Measuring,
    /// Enough.
    Over,
}

/// The measured window of a run.
pub struct Recorder {
    clock: Clock,
    server: Option<Pid>,
    opens: u64,
    closes: u64,
    seconds: u64,
    on_the_way: u64,
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
    /// Starts the clock. `on_the_way` is how many bytes are at any time: what measuring waits for
    /// and lasts for, if `span` is too short for that. `server` is the process whose CPU time is
    /// read too.
    ///
    /// # Errors
    /// If the histogram cannot be made.
    pub fn start(span: Span, on_the_way: u64, server: Option<Pid>) -> Result<Self> {
        let (opens, seconds) = (nanoseconds(span.warmup), nanoseconds(span.seconds));
        Ok(Self {
            clock: Clock::start(),
            server,
            opens,
            closes: opens + seconds,
            seconds,
            on_the_way,
            phase: Phase::WarmUp,
            began: Reading::default(),
            ended: Reading::default(),
            bytes: 0,
            histogram: Histogram::new_with_max(LONGEST, DIGITS)?,
        })
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// When measuring begins.
    pub fn opens(&self) -> u64 {
        self.opens
    }

    /// When measuring ends.
    pub fn closes(&self) -> u64 {
        self.closes
    }

    /// Tells what time it is: reads the counters when the warm-up is over and
    /// again at the end.
    ///
    /// # Errors
    /// If the server has gone.
    pub fn tick(&mut self, now: u64) -> Result<Phase> {
        if self.phase == Phase::WarmUp && now >= self.opens && self.turned(0, TURNS_BEFORE) {
            self.began = self.read()?;
            self.closes = self.began.at + self.seconds;
            self.phase = Phase::Measuring;
        }
        let measured = now >= self.closes && self.turned(self.began.bytes, TURNS_MEASURED);
        if self.phase == Phase::Measuring && measured {
            self.ended = self.read()?;
            self.phase = Phase::Over;
        }
        Ok(self.phase)
    }

    /// Whether every message in flight has completed `turns` round trips since byte `bytes`.
    fn turned(&self, bytes: u64, turns: u64) -> bool {
        self.bytes - bytes >= turns * self.on_the_way
    }

    /// Counts bytes that came back.
    pub fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Bytes that came back so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts a message that was sent, or due, at `from` and came back at `to`.
    pub fn message(&mut self, from: u64, to: u64) {
        if self.phase != Phase::WarmUp {
            self.histogram.saturating_record(to.saturating_sub(from));
        }
    }

    /// Writes the measurements into a report that knows its size.
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
