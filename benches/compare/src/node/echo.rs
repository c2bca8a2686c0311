//! `echo`, Maelstrom's own workload. Its value goes through TCP as well.

use anyhow::Result;

use super::driver::per_second;
use super::send::{DATA, REQUESTS};
use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let fields = format!(r#","echo":"{DATA}""#);
    let rate = per_second(bench, server, REQUESTS, ["echo", &fields], |body| {
        body["type"] == "echo_ok" && body["echo"] == DATA
    })?;
    Ok(Values::from([(Metric::PerSecond, rate)]))
}
