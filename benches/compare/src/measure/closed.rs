//! Throughput and latency with a fixed number of messages in flight.

use anyhow::Result;
use nix::sched::CpuSet;

use super::{under_load, values};
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
    let load = Load {
        cpus: Some(load_cpus),
        ..Load::closed(cell)
    };
    Ok(values(&under_load(bench, server, server_cpus, &load)?))
}
