//! Heap allocations for each message: the difference between a short and a long load, so that the
//! allocations for the start and for accepting cancel out.

use anyhow::Result;

use crate::bench::{Bench, Load};
use crate::running::Running;
use crate::sample::{Cell, Metric, Values};
use crate::servers::Server;
use crate::valgrind::Valgrind;

/// The seconds of the two loads. Under valgrind, a server echoes about 5,000 messages a second.
const SHORT: f64 = 0.5;
const LONG: f64 = 2.0;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let (few_allocations, few) = count(bench, cell, server, SHORT)?;
    let (many_allocations, many) = count(bench, cell, server, LONG)?;
    let each = (many_allocations - few_allocations) / (many - few);
    Ok(Values::from([(Metric::Allocations, each)]))
}

/// Returns the allocations and the messages of one run of a server.
fn count(bench: &Bench, cell: Cell, server: &Server, seconds: f64) -> Result<(f64, f64)> {
    let (valgrind, mut command) = Valgrind::of(bench, server)?;
    command.args(server.arguments).args(["--port", "0"]);
    let running = Running::start(&mut command, bench.cpus.server)?;
    let load = Load {
        seconds: Some(seconds),
        ..Load::closed(cell)
    };
    let report = bench.run_load(&running, &load)?;
    running.stop()?;
    Ok((valgrind.allocations()?, report.messages_in_all))
}
