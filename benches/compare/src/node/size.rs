//! The size of the release binary.

use std::fs;

use anyhow::Result;

use crate::bench::Bench;
use crate::sample::{Metric, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let bytes = fs::metadata(bench.path(server)?)?.len();
    Ok(Values::from([(Metric::KiB, bytes as f64 / 1024.0)]))
}
