//! Times in nanoseconds, as integers small enough to keep one for every message in flight.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// A clock that counts nanoseconds from its creation.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Creates a clock that starts at zero now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the nanoseconds since the start.
    pub fn now(&self) -> u64 {
        nanoseconds(self.0.elapsed())
    }
}

/// Converts a duration to nanoseconds.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("no run takes 500 years")
}

/// Returns the CPU time, user and system, that all threads of process `pid` have used.
///
/// This is the scheduler's own count in nanoseconds. `utime` and `stime` of `/proc/PID/stat` have ticks of
/// 10 ms.
///
/// # Errors
/// If there is no such process.
pub fn cpu_time(pid: Pid) -> nix::Result<Duration> {
    clock_gettime(ClockId::pid_cpu_clock_id(pid)?).map(Duration::from)
}
