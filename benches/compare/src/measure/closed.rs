//! Throughput and latency with a fixed number of messages in flight.

use anyhow::Result;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    let report = bench.run_load(&running, &Load::closed(cell))?;
    running.stop()?;
    Ok(values(&report))
}
