//! How much memory a process has.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// Memory in KiB, from `/proc/PID/smaps_rollup`: exact, where the `VmRSS` of
/// `/proc/PID/status` lags behind by up to 64 pages for each thread.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Pages in memory.
    pub rss: f64,
    /// The same, each divided by the number of processes that share it.
    pub pss: f64,
}

impl Memory {
    /// What process `pid` has now.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: Pid) -> Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            value.with_context(|| format!("no {name} in smaps_rollup"))
        };
        Ok(Self {
            rss: field("Rss:")?,
            pss: field("Pss:")?,
        })
    }
}
