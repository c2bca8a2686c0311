//! Round trips where server and load generator have one CPU between them: who
//! polls there keeps the other from the work it waits for.

use anyhow::Result;

use super::values;
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let running = bench.start(server, bench.cpus.server)?;
    let load = Load {
        cpus: Some(bench.cpus.server),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok(values(&report))
}
