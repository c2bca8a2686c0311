//! The memory of idle connections.

use std::io::{BufRead, BufReader, Read};
use std::process::{Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::{Bench, report, shape};
use crate::memory::Memory;
use crate::pin::spawn_on;
use crate::sample::{Cell, Metric, Values};
use crate::servers::Server;

/// The time that a server has to settle before its memory is read.
const SETTLE: Duration = Duration::from_millis(200);

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    sleep(SETTLE);
    let before = Memory::of(running.pid)?;

    let mut command = bench.load(&running);
    command.arg("idle").args(shape(cell)).stdin(Stdio::piped());
    let mut load = spawn_on(bench.cpus.load, &mut command)?;
    let mut stdout = BufReader::new(load.stdout.take().context("stdout is piped")?);
    let mut said = String::new();
    // Either all connections are open, or the load generator has failed, which `report` finds.
    stdout.read_line(&mut said)?;
    sleep(SETTLE);
    let after = Memory::of(running.pid)?;

    drop(load.stdin.take());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest)?;
    let Output { status, stderr, .. } = load.wait_with_output()?;
    report(&Output {
        status,
        stdout: rest,
        stderr,
    })?;
    running.stop()?;
    Ok(Values::from([
        (Metric::Rss, after.rss - before.rss),
        (Metric::Pss, after.pss - before.pss),
    ]))
}
