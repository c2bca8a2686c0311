//! Throughput where server and load generator may use all CPUs: what more
//! threads are worth, and what the load generator takes of the machine.

use anyhow::Result;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.all)?;
    let load = Load {
        cpus: Some(bench.cpus.all),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok(values(&report))
}
