//! The server's CPU time for each message, and its latency, at fixed rates.

use anyhow::{Result, ensure};

use super::{under_load, values};
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

/// The share of the rate that a server must reach. Below it, the figures are not those for this rate.
const KEPT_UP: f64 = 0.95;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let more = vec!["--rate".into(), cell.rate.to_string()];
    let load = Load {
        mode: "rate",
        cell,
        more,
        ..Load::default()
    };
    let report = under_load(bench, server, bench.cpus.server, &load)?;
    let reached = report.messages_per_second;
    ensure!(
        reached >= KEPT_UP * cell.rate as f64,
        "reached {reached:.0} messages/s of {}",
        cell.rate
    );
    Ok(values(&report))
}
