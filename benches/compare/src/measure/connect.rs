//! Connections accepted, echoed on and closed.

use anyhow::Result;

use super::{under_load, values};
use crate::bench::{Bench, Load};
use crate::sample::{Cell, Values};
use crate::servers::Server;

pub fn take(bench: &Bench, cell: Cell, server: &Server) -> Result<Values> {
    let load = Load {
        mode: "connect",
        cell,
        ..Load::default()
    };
    let report = under_load(bench, server, bench.cpus.server, &load)?;
    Ok(values(&report))
}
