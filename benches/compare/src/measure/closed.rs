//! Throughput and latency with a fixed number of messages in flight.

use anyhow::Result;
use nix::sched::CpuSet;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

/// Measures with the server and the load generator on these CPUs.
pub fn take(
    bench: &Bench,
    cell: Cell,
    server: &Server,
    [server_cpus, load_cpus]: [CpuSet; 2],
) -> Result<Values> {
    let running = bench.start(server, server_cpus)?;
    let load = Load {
        cpus: Some(load_cpus),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok(values(&report))
}
