//! Throughput while another process or thread takes CPU time from the server.

use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::{under_load, values};
use crate::bench::{Bench, Load};
use crate::pin::spawn_on;
use crate::sample::{Cell, Values};
use crate::servers::Server;

/// The duration of a measurement: many time slices of the scheduler, and several gaps.
pub const SECONDS: f64 = 2.0;

/// The time for which the real-time thread takes the CPU, and the time between two gaps. A hypervisor might
/// do the same.
const GAP: Duration = Duration::from_micros(500);
const PERIOD: Duration = Duration::from_millis(500);

/// Measures with a busy loop on the server's CPU and another one on the load generator's.
pub fn by_neighbours(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let _neighbours = [bench.cpus.server, bench.cpus.load]
        .into_iter()
        .map(Neighbour::start)
        .collect::<Result<Vec<_>>>()?;
    take(bench, cell, server)
}

/// Measures while a real-time thread takes the server's CPU for [`GAP`] twice a second.
///
/// # Errors
/// If this process may not start a real-time thread, which needs `CAP_SYS_NICE` or an
/// `RLIMIT_RTPRIO` of at least 1.
pub fn by_gaps(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let gaps = Gaps::start(bench.cpus.server)?;
    let values = take(bench, cell, server)?;
    gaps.stop()?;
    Ok(values)
}

fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let load = Load {
        seconds: Some(SECONDS),
        ..Load::closed(cell)
    };
    let report = under_load(bench, server, bench.cpus.server, &load)?;
    Ok(values(&report))
}

/// A process that never sleeps, killed when dropped.
struct Neighbour(Child);

impl Neighbour {
    fn start(cpus: CpuSet) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        Ok(Self(spawn_on(cpus, &mut command)?))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // A destructor cannot report an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A thread with the real-time policy `SCHED_FIFO`, which preempts all normal threads on its CPU.
struct Gaps {
    /// Ends the thread when dropped.
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Gaps {
    /// Starts the thread and waits until it has the policy.
    fn start(cpu: CpuSet) -> Result<Self> {
        let (end, ended) = channel();
        let (sender, started) = channel();
        let thread = spawn(move || {
            let real_time = become_real_time(cpu);
            let failed = real_time.is_err();
            // The receiver is open, because it waits for this result.
            let _ = sender.send(real_time);
            if failed {
                return;
            }
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let begin = Instant::now();
                while begin.elapsed() < GAP {}
            }
        });
        started.recv()??;
        Ok(Self { end, thread })
    }

    fn stop(self) -> Result<()> {
        drop(self.end);
        let panicked = |_| anyhow!("the thread of the gaps panicked");
        self.thread.join().map_err(panicked)
    }
}

/// Moves the calling thread to `cpu` and gives it the policy `SCHED_FIFO`.
fn become_real_time(cpu: CpuSet) -> Result<()> {
    sched_setaffinity(Pid::from_raw(0), &cpu)?;
    let priority = ThreadPriorityValue::try_from(1).map_err(|why| anyhow!(why))?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| anyhow!("{error:?}"))
    .context("a real-time thread needs CAP_SYS_NICE or an RLIMIT_RTPRIO of at least 1")
}
