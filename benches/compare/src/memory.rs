//! Reads how much memory a process uses.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// Memory in KiB, from `/proc/PID/smaps_rollup`, which is exact. The `VmRSS` of `/proc/PID/status`
/// is inaccurate, because the kernel counts pages in batches (`proc_pid_status(5)`).
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The resident set size.
    pub rss: f64,
    /// The proportional set size: each page divided by the number of processes that share it.
    pub pss: f64,
}

impl Memory {
    /// Reads the memory that process `pid` uses now.
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
