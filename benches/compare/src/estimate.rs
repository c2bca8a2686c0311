//! Estimates how long a run takes.

use crate::bench::Bench;
use crate::measure::disturbed;
use crate::options::Options;
use crate::sample::{Cell, Measure};

/// Seconds to start and stop a server and a load generator.
const START: f64 = 0.04;

/// Seconds to open and close a connection.
const CONNECTION: f64 = 60e-6;

/// Returns the minutes that a plan takes.
pub fn minutes(bench: &Bench, plan: &[(Measure, Cell)]) -> f64 {
    let seconds = plan.iter().map(|&(measure, cell)| {
        let servers = bench.contestants(measure, cell).len() as f64;
        let rounds = if measure.once() {
            1
        } else {
            bench.options.rounds()
        };
        rounds as f64 * servers * one(&bench.options, measure, cell)
    });
    seconds.sum::<f64>() / 60.0
}

/// Returns the seconds that one measurement took on one machine.
fn one(options: &Options, measure: Measure, cell: Cell) -> f64 {
    let own = match measure {
        Measure::Closed
        | Measure::Thinking
        | Measure::Rate
        | Measure::Connect
        | Measure::Workers
        | Measure::OneCpu => options.warmup + options.seconds(),
        Measure::Neighbours | Measure::Gaps => options.warmup + disturbed::SECONDS,
        Measure::Change => 2.0 * (options.warmup + options.seconds()),
        Measure::Idle | Measure::Send | Measure::Echo => 0.5,
        Measure::Syscalls => 1.7,
        Measure::Allocations => 5.0,
        Measure::LineAllocations => 18.0,
        Measure::Stats => 1.0,
        Measure::Lines => 1.5 * (1 + options.million_lines) as f64,
        Measure::Start => 0.1,
        Measure::Size => 0.0,
    };
    own + START + CONNECTION * cell.connections as f64
}
