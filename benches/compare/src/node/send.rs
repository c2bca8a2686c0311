//! `tcp_echo_send`: each request opens a connection, echoes 11 bytes and closes it. The floor does only
//! this.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::driver::per_second;
use crate::bench::Bench;
use crate::pin::spawn_on;
use crate::sample::{Metric, Values};
use crate::servers::{Role, Server};

/// The data that is echoed.
pub const DATA: &str = "hello world";

/// Requests in a measurement. Each uses a port, which Linux does not reuse for a second. With more requests,
/// the kernel's search for a free port would dominate the measurement.
pub const REQUESTS: u64 = 5_000;

pub fn take(bench: &Bench, server: &Server) -> Result<Values> {
    let per_second = match server.role {
        Role::OnceFloor => floor(bench, server)?,
        _ => node(bench, server)?,
    };
    Ok(Values::from([(Metric::PerSecond, per_second)]))
}

fn node(bench: &Bench, server: &Server) -> Result<f64> {
    let fields = format!(r#","data":"{DATA}""#);
    per_second(
        bench,
        server,
        REQUESTS,
        ["tcp_echo_send", &fields],
        |body| {
            body["type"] == "tcp_echo_send_ok"
                && body["echoed"] == DATA
                && body["bytes"] == DATA.len()
        },
    )
}

fn floor(bench: &Bench, server: &Server) -> Result<f64> {
    let mut command = Command::new(bench.path(server)?);
    command.args([
        "--count",
        &REQUESTS.to_string(),
        "--size",
        &DATA.len().to_string(),
    ]);
    let output = spawn_on(bench.cpus.server, command.stdout(Stdio::piped()))?.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{server} ended with {}",
        output.status
    );
    let said: Value = serde_json::from_slice(&output.stdout)?;
    said["per_second"].as_f64().context("no rate in its output")
}
