//! Connections accepted, echoed on and closed.

use anyhow::Result;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    let load = Load {
        mode: "connect",
        cell,
        ..Load::default()
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok(values(&report))
}
