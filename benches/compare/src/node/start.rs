//! The time that a node takes from exec to `init_ok`.

use std::time::Duration;

use anyhow::Result;

use super::driver::Node;
use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;

/// The number of starts in a round, of which the median counts. At the first start, the binary may not be
/// in the page cache.
const STARTS: usize = 21;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let (node, took) = Node::start(bench, server)?;
        node.stop()?;
        times.push(took);
    }
    times.sort_unstable();
    let median: Duration = times[STARTS / 2];
    Ok(Values::from([(
        Metric::Milliseconds,
        median.as_secs_f64() * 1e3,
    )]))
}
