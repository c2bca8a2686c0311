//! System calls for each message, counted by strace over the whole run of the server.
//!
//! The count includes the few hundred calls for the start and for accepting 50 connections. Many thousand
//! messages make their share small.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::bench::{Bench, Load};
use crate::running::Running;
use crate::sample::{Cell, Metric, Values};
use crate::servers::Server;

/// The duration of the load. Under strace, a server echoes about 10,000 messages a second.
const SECONDS: f64 = 1.5;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let summary = bench.options.out()?.join("strace.txt");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-c", "-U", "name,calls", "-o"])
        .arg(&summary);
    command
        .arg(bench.path(server)?)
        .args(server.arguments)
        .args(["--port", "0"]);
    let mut running = Running::start(&mut command, bench.cpus.server).context("needs strace")?;
    running.pid = only_child(running.pid)?;
    let load = Load {
        seconds: Some(SECONDS),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    let calls = total(&fs::read_to_string(&summary)?)?;
    fs::remove_file(summary)?;
    Ok(Values::from([(
        Metric::Syscalls,
        calls / report.messages_in_all,
    )]))
}

/// Returns the process that strace runs.
fn only_child(strace: Pid) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"))?;
    let first = children
        .split_whitespace()
        .next()
        .context("strace has no child")?;
    Ok(Pid::from_raw(first.parse()?))
}

/// Returns the number of calls in the line `total` of strace's summary.
fn total(summary: &str) -> Result<f64> {
    let line = summary
        .lines()
        .find(|line| line.trim_start().starts_with("total"));
    let count = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    count.with_context(|| format!("no total in {summary}"))
}
