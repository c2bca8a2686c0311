//! Checks a load against the kernel's limits.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use crate::shape::Shape;

/// Descriptors for everything but connections. Every server needs fewer.
const OTHER_FILES: u64 = 100;

/// Raises the soft limit of open files to the hard one. Child processes inherit it.
///
/// # Errors
/// If the kernel refuses, which it does not for a value up to the hard limit.
pub fn raise_open_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Returns the limit that a load exceeds: `shape.connections` connections, each with `in_flight` messages in
/// flight. Returns `None` if it exceeds none.
///
/// # Errors
/// If a limit cannot be read.
pub fn obstacle(shape: Shape, in_flight: u64) -> Result<Option<String>> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if shape.connections + OTHER_FILES > files {
        return Ok(Some(format!(
            "a process may have {files} files open (RLIMIT_NOFILE), enough for {} connections",
            files.saturating_sub(OTHER_FILES)
        )));
    }
    // When TCP exceeds its memory, it drops segments, and all connections wait for retransmission timers.
    let (bytes, memory) = (shape.connections * shape.size * in_flight, tcp_memory()?);
    Ok((bytes > memory).then(|| {
        let mib = |bytes| bytes / (1024 * 1024);
        format!(
            "the load has {} MiB in flight, and TCP may use {} MiB (net.ipv4.tcp_mem)",
            mib(bytes),
            mib(memory)
        )
    }))
}

/// Returns the number of bytes that all TCP sockets of the machine may use together.
fn tcp_memory() -> Result<u64> {
    let thresholds = fs::read_to_string("/proc/sys/net/ipv4/tcp_mem")?;
    let pages = thresholds
        .split_whitespace()
        .nth(2)
        .context("tcp_mem has three numbers")?;
    let page = sysconf(SysconfVar::PAGE_SIZE)?.context("pages have a size")?;
    Ok(pages.parse::<u64>()? * u64::try_from(page)?)
}
