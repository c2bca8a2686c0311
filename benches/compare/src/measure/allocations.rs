//! Heap allocations for each message: a server's count after a short load and
//! after a long one, so that what it does to start and to accept drops out.

use anyhow::Result;

use crate::bench::{Bench, Load};
use crate::running::Running;
use crate::sample::{Cell, Metric, Values};
use crate::servers::Server;
use crate::valgrind::Valgrind;

/// In valgrind, a server does some 5,000 messages a second.
const SHORT: f64 = 0.5;
const LONG: f64 = 2.0;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let (few_allocations, few) = count(bench, cell, server, SHORT)?;
    let (many_allocations, many) = count(bench, cell, server, LONG)?;
    let each = (many_allocations - few_allocations) / (many - few);
    Ok(Values::from([(Metric::Allocations, each)]))
}

/// The allocations in a server's life, and the messages in it.
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
