//! Throughput right after a change: one connection, then the cell's.

use anyhow::Result;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

/// The seconds after the change that are not measured: the time that a server has to adapt.
const ADAPT: f64 = 0.1;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    let one = Cell {
        connections: 1,
        ..cell
    };
    bench.run_load(&running, &Load::closed(one))?;
    let load = Load {
        warmup: Some(ADAPT),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok(values(&report))
}
