//! A child process that serves, and ends when it is dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::CpuSet;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::pin::spawn_on;

/// How long a server may take to end after SIGTERM before it is killed. rawecho
/// gives open connections 5 s to finish.
const GRACE: Duration = Duration::from_secs(10);

/// How often to look whether it has.
const GLANCE: Duration = Duration::from_millis(2);

/// A server that listens.
pub struct Running {
    child: Child,
    /// The process to measure and to end: the child, or what strace runs.
    pub pid: Pid,
    /// Where it listens.
    pub port: u16,
    /// Kept open: the server may have more to say, and must not get SIGPIPE.
    _stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// If it ends, or says something else than that it listens.
    pub fn start(command: &mut Command, cpus: CpuSet) -> Result<Self> {
        let mut child = spawn_on(cpus, command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{command:?} ended before it listened: {}", child.wait()?);
        }
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let port = said["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        let port = port.with_context(|| format!("no port in {line}"))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        Ok(Self {
            child,
            pid,
            port,
            _stdout: stdout,
        })
    }

    /// Ends the server and waits for it.
    ///
    /// # Errors
    /// If it does not end when told to.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM)?;
        ensure!(self.ended_within(GRACE)?, "does not end on SIGTERM");
        Ok(())
    }

    fn ended_within(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            sleep(GLANCE);
        }
        Ok(false)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Nothing is left to tell of an error to.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
