//! Which CPUs a program runs on.

use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::options::Options;

/// The CPUs of server and load.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// Where servers run.
    pub server: CpuSet,
    /// Where the load generator runs.
    pub load: CpuSet,
    /// All that this process may use.
    pub all: CpuSet,
}

impl Cpus {
    /// One CPU for the servers and another for the load.
    ///
    /// # Errors
    /// If there are not two.
    pub fn choose(options: &Options) -> Result<Self> {
        let all = sched_getaffinity(this_thread())?;
        let allowed = || (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu) == Ok(true));
        let last = allowed().next_back().context("no CPU")?;
        let first = allowed().next().context("no CPU")?;
        let (server, load) = (
            options.server_cpu.unwrap_or(last),
            options.load_cpu.unwrap_or(first),
        );
        ensure!(
            server != load,
            "server and load need a CPU each, both would run on {server}"
        );
        Ok(Self {
            server: only(server)?,
            load: only(load)?,
            all,
        })
    }
}

fn only(cpu: usize) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    Ok(set)
}

/// Starts a program on the given CPUs: a child inherits the set of the thread
/// that starts it, so this thread goes there for a moment.
///
/// # Errors
/// If it does not start.
pub fn spawn_on(cpus: CpuSet, command: &mut Command) -> Result<Child> {
    let before = sched_getaffinity(this_thread())?;
    sched_setaffinity(this_thread(), &cpus)?;
    let child = command.spawn();
    sched_setaffinity(this_thread(), &before)?;
    child.with_context(|| format!("{command:?}"))
}

/// What the scheduler's calls take for the calling thread.
fn this_thread() -> Pid {
    Pid::from_raw(0)
}
