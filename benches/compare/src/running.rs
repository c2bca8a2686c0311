//! A server as a child process, which is killed when it is dropped.

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

/// The time that a server has to exit after SIGTERM before it is killed. rawecho gives open connections
/// 5 s to finish.
const GRACE: Duration = Duration::from_secs(10);

/// The interval at which the server's exit is checked.
const GLANCE: Duration = Duration::from_millis(2);

/// A listening server.
pub struct Running {
    child: Child,
    /// The server's process: the child, or the child of strace.
    pub pid: Pid,
    /// The port on which the server listens.
    pub port: u16,
    /// Stays open, so that the server does not get SIGPIPE when it writes more.
    _stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// If the server exits or does not report a port.
    pub fn start(command: &mut Command, cpus: CpuSet) -> Result<Self> {
        let mut child = spawn_on(cpus, command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{command:?} exited before it listened: {}", child.wait()?);
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

    /// Sends SIGTERM to the server and waits for its exit.
    ///
    /// # Errors
    /// If the server does not exit in time.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM)?;
        ensure!(self.ended_within(GRACE)?, "does not exit on SIGTERM");
        Ok(())
    }

    fn ended_within(&mut self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
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
            // A destructor cannot report an error.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
