//! `tcp_echo_stats`: the cost of the JSON lines alone, because the request does no I/O of its own.

use anyhow::Result;

use super::driver::per_second;
use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;

/// Requests in a measurement: a second's work at the target of 500,000 a second.
const REQUESTS: u64 = 500_000;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let rate = per_second(bench, server, REQUESTS, ["tcp_echo_stats", ""], |body| {
        body["type"] == "tcp_echo_stats_ok"
            && body["total_connections"] == 0
            && body["total_bytes"] == 0
    })?;
    Ok(Values::from([(Metric::PerSecond, rate)]))
}
