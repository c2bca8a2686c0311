//! What the kernel's limits leave room for.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use crate::shape::Shape;

/// Files that a process has open besides its connections; all of the servers
/// get by with fewer.
const OTHER_FILES: u64 = 100;

/// Raises the soft limit on open files to the hard one. Child processes
/// inherit it.
///
/// # Errors
/// If the kernel refuses, which it does not for a value up to the hard limit.
pub fn raise_open_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Returns why this kernel, as configured, cannot hold so many connections with
/// so many messages in flight; `None` if it can.
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
    // Beyond its memory TCP drops segments, and all connections wait for timers.
    let (bytes, memory) = (shape.connections * shape.size * in_flight, tcp_memory()?);
    Ok((bytes > memory).then(|| {
        let mib = |bytes| bytes / (1024 * 1024);
        format!(
            "it has {} MiB in flight, and TCP may use {} MiB (net.ipv4.tcp_mem)",
            mib(bytes),
            mib(memory)
        )
    }))
}

/// Bytes that all TCP sockets of the machine may use together.
fn tcp_memory() -> Result<u64> {
    let thresholds = fs::read_to_string("/proc/sys/net/ipv4/tcp_mem")?;
    let pages = thresholds
        .split_whitespace()
        .nth(2)
        .context("tcp_mem has three numbers")?;
    let page = sysconf(SysconfVar::PAGE_SIZE)?.context("pages have a size")?;
    Ok(pages.parse::<u64>()? * u64::try_from(page)?)
}
