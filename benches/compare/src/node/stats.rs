//! `tcp_echo_stats`: what the JSON lines cost, for there is nothing else to it.

use anyhow::Result;

use super::driver::{Batch, FIRST, Node, check};
use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;

/// Requests in a measurement: about a second's work.
const REQUESTS: u64 = 500_000;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let (mut node, _) = Node::start(bench, server)?;
    node.listen()?;
    let ids = FIRST..FIRST + REQUESTS;
    let batch = Batch::new("tcp_echo_stats", "", ids.clone());
    let mut replies = Vec::new();
    let took = node.run(&batch, |chunk| replies.extend_from_slice(chunk))?;
    node.stop()?;
    check(&replies, ids, |body| {
        body["type"] == "tcp_echo_stats_ok"
            && body["total_connections"] == 0
            && body["total_bytes"] == 0
    })?;
    Ok(Values::from([(
        Metric::PerSecond,
        batch.len() as f64 / took.as_secs_f64(),
    )]))
}
