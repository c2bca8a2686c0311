//! Heap allocations of the node for each line: the difference between a run and one with twice as many
//! lines, so that the allocations for the start cancel out.

use anyhow::Result;

use super::driver::{Batch, FIRST, Node};
use super::send::DATA;
use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;
use crate::valgrind::Valgrind;

/// Lines in the shorter run.
const LINES: u64 = 2_000;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let kinds = [
        (Metric::StatsAllocations, "tcp_echo_stats", String::new()),
        (
            Metric::SendAllocations,
            "tcp_echo_send",
            format!(r#","data":"{DATA}""#),
        ),
        (
            Metric::EchoAllocations,
            "echo",
            format!(r#","echo":"{DATA}""#),
        ),
    ];
    let mut values = Values::new();
    for (metric, kind, fields) in kinds {
        let few = count(bench, server, kind, &fields, LINES)?;
        let many = count(bench, server, kind, &fields, 2 * LINES)?;
        values.insert(metric, (many - few) / LINES as f64);
    }
    Ok(values)
}

/// Returns the allocations of one run of a node that answers `lines` requests.
fn count(bench: &Bench, server: &Server, kind: &str, fields: &str, lines: u64) -> Result<f64> {
    let (valgrind, command) = Valgrind::of(bench, server)?;
    let (mut node, _) = Node::start_by(bench, command)?;
    node.listen()?;
    node.run(&Batch::new(kind, fields, FIRST..FIRST + lines), |_| {})?;
    node.stop()?;
    valgrind.allocations()
}
