//! The machine, the date and the options of a run.

use std::env::args;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::options::Options;

/// The conditions of a run, which the report states before its figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The date of the run (UTC).
    pub date: String,
    /// The command line of the run.
    pub command: String,
    /// Model of the CPU.
    pub cpu: String,
    /// The number of CPUs that this process may use.
    pub cores: usize,
    /// The version of Linux.
    pub kernel: String,
    /// The hard limit of open files.
    pub open_files: u64,
    /// The one-minute load average at the start of the run.
    pub load_average: String,
    /// The number of rounds. Each measures every cell once, but some measures are only in the first.
    pub rounds: u64,
    /// The seconds that a measurement lasts, unless its measure or its load needs another duration.
    pub seconds: f64,
    /// The number of lines, in millions, that the measure of the node's memory sends.
    pub million_lines: u64,
    /// The programs that could not be built and the loads that exceed a limit of this machine, each
    /// with the reason.
    pub missing: Vec<String>,
}

impl Header {
    /// Describes this machine at the present time.
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
