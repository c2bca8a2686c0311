//! Chooses the CPUs of a program and starts it there.

use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::options::Options;

/// The CPUs of the servers and of the load generator.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    /// The servers' CPU.
    pub server: CpuSet,
    /// The load generator's CPU.
    pub load: CpuSet,
    /// All CPUs that this process may use.
    pub all: CpuSet,
}

impl Cpus {
    /// Chooses one CPU for the servers and another one for the load generator.
    ///
    /// # Errors
    /// If both would be the same CPU.
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
            "server and load generator need different CPUs: both would run on {server}"
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

/// Starts a program on the given CPUs. A child inherits the CPU set of the thread that starts it, so this
/// thread changes its own set and restores it afterwards.
///
/// # Errors
/// If the program does not start.
pub fn spawn_on(cpus: CpuSet, command: &mut Command) -> Result<Child> {
    let before = sched_getaffinity(this_thread())?;
    sched_setaffinity(this_thread(), &cpus)?;
    let child = command.spawn();
    sched_setaffinity(this_thread(), &before)?;
    child.with_context(|| format!("{command:?}"))
}

/// Returns the id by which the scheduler's calls know the calling thread: 0.
fn this_thread() -> Pid {
    Pid::from_raw(0)
}
