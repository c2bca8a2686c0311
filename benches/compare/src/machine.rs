//! Where, when and how a run was made.

use std::env::args;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::options::Options;

/// What a reader has to know of a run, apart from its numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The day it was made.
    pub date: String,
    /// The command that made it.
    pub command: String,
    /// Model of the CPU.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// Version of Linux.
    pub kernel: String,
    /// Most files a process may have open.
    pub open_files: u64,
    /// Tasks that wanted a CPU in the minute before the run, on average.
    pub load_average: String,
    /// How often everything was measured.
    pub rounds: u64,
    /// Seconds of one measurement.
    pub seconds: f64,
    /// Millions of lines the node got for the measure of its memory.
    pub million_lines: u64,
    /// What could not be built or is too much for this machine, and why.
    pub missing: Vec<String>,
}

impl Header {
    /// Describes this machine and this moment.
    ///
    /// # Errors
    /// If `/proc` or `date` cannot be read.
    pub fn now(options: &Options) -> Result<Self> {
        let date = Command::new("date").args(["-u", "+%F"]).output()?.stdout;
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let loadavg = fs::read_to_string("/proc/loadavg")?;
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let given = args()
            .skip(1)
            .map(|argument| format!(" {argument}"))
            .collect::<String>();
        let separator = if given.is_empty() { "" } else { " --" };
        Ok(Self {
            date: String::from_utf8(date)?.trim().into(),
            command: format!("cargo run --release -p compare{separator}{given}"),
            cpu: model.context("no model name in /proc/cpuinfo")?.1.into(),
            cores: available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .into(),
            open_files: hard,
            load_average: loadavg.split_whitespace().next().unwrap_or_default().into(),
            rounds: options.rounds(),
            seconds: options.seconds(),
            million_lines: options.million_lines,
            missing: Vec::new(),
        })
    }
}
