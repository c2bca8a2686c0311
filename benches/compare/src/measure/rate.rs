//! CPU time of the server for each message at a rate that all can keep up with.

use anyhow::{Result, ensure};

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

/// Messages a second.
const RATE: f64 = 50_000.0;

/// A server that falls behind by more has not done the work it is charged for.
const KEPT_UP: f64 = 0.95;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    let more = vec!["--rate".into(), RATE.to_string()];
    let load = Load {
        mode: "rate",
        cell,
        more,
        ..Load::default()
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    let reached = report.messages_per_second;
    ensure!(
        reached >= KEPT_UP * RATE,
        "reached {reached:.0} messages/s of {RATE}"
    );
    Ok(values(&report))
}
