//! The measures of a server. Similar ones share a file.

mod allocations;
mod change;
mod closed;
mod connect;
pub mod disturbed;
mod idle;
mod rate;
mod syscalls;

use anyhow::Result;
use load::report::Report;
use nix::sched::CpuSet;

use crate::bench::{Bench, Load};
use crate::node;
use crate::sample::{Cell, Measure, Metric, Values};
use crate::servers::Server;

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// Measures one server once.
///
/// # Errors
/// If the server or the load generator fails, or an echo is wrong.
pub fn take(bench: &Bench, measure: Measure, cell: Cell, server: &Server) -> Result<Values> {
    let cpus = &bench.cpus;
    match measure {
        Measure::Closed | Measure::Thinking => {
            closed::take(bench, cell, server, [cpus.server, cpus.load])
        }
        Measure::Neighbours => disturbed::by_neighbours(bench, cell, server),
        Measure::Gaps => disturbed::by_gaps(bench, cell, server),
        Measure::Change => change::take(bench, cell, server),
        Measure::Rate => rate::take(bench, cell, server),
        Measure::Connect => connect::take(bench, cell, server),
        Measure::Idle => idle::take(bench, cell, server),
        Measure::Syscalls => syscalls::take(bench, cell, server),
        Measure::Allocations => allocations::take(bench, cell, server),
        // Not pinned: shows the gain of more threads, and the CPU time of the load generator.
        Measure::Workers => closed::take(bench, cell, server, [cpus.all; 2]),
        // A server that busy-polls here competes with the load generator for the CPU.
        Measure::OneCpu => closed::take(bench, cell, server, [cpus.server; 2]),
        Measure::Send => node::send::take(bench, server),
        Measure::Stats => node::stats::take(bench, server),
        Measure::Echo => node::echo::take(bench, server),
        Measure::LineAllocations => node::allocations::take(bench, server),
        Measure::Lines => node::lines::take(bench, server),
        Measure::Start => node::start::take(bench, server),
        Measure::Size => node::size::take(bench, server),
    }
}

/// Starts a server on `cpus`, runs one load against it and stops it.
fn under_load(bench: &Bench, server: &Server, cpus: CpuSet, load: &Load) -> Result<Report> {
    let running = bench.start(server, cpus)?;
    let report = bench.run_load(&running, load)?;
    running.stop()?;
    Ok(report)
}

/// Returns the figures in a load generator's report.
fn values(report: &Report) -> Values {
    let mut values = Values::from([
        (Metric::PerSecond, report.messages_per_second),
        (Metric::P50, report.latency_us.p50),
        (Metric::P99, report.latency_us.p99),
        (Metric::P999, report.latency_us.p999),
        (Metric::Slowest, report.latency_us.max),
        (Metric::LoadShare, report.load_cpu_seconds / report.seconds),
    ]);
    if let Some(cpu) = report.server_cpu_seconds {
        let messages = report.messages_per_second * report.seconds;
        values.insert(Metric::ServerCpu, cpu / messages * MICROSECONDS);
        values.insert(Metric::ServerShare, cpu / report.seconds);
    }
    values
}
