//! The growth of the node's memory over millions of lines.

use anyhow::Result;

use super::driver::{Batch, FIRST, Node};
use crate::bench::Bench;
use crate::memory::Memory;
use crate::sample::{Metric, Values};
use crate::servers::Server;

const MILLION: u64 = 1_000_000;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let (mut node, _) = Node::start(bench, server)?;
    node.listen()?;
    let batch = Batch::new("tcp_echo_stats", "", FIRST..FIRST + MILLION);
    // The first million brings the memory to its steady state.
    node.run(&batch, |_| {})?;
    let before = Memory::of(node.pid()?)?;
    for _ in 0..bench.options.million_lines {
        node.run(&batch, |_| {})?;
    }
    let after = Memory::of(node.pid()?)?;
    node.stop()?;
    Ok(Values::from([
        (Metric::Rss, after.rss - before.rss),
        (Metric::Pss, after.pss - before.pss),
    ]))
}
