//! Counts the heap allocations of a whole run of a program, with valgrind.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::servers::Server;

/// A run of a program under valgrind.
pub struct Valgrind {
    log: PathBuf,
}

impl Valgrind {
    /// Returns the command that runs a server under valgrind, without the server's arguments.
    ///
    /// # Errors
    /// If valgrind is not installed or the server was not built.
    pub fn of(bench: &Bench, server: &Server) -> Result<(Self, Command)> {
        let there = Command::new("valgrind")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        ensure!(there.is_ok_and(|it| it.success()), "needs valgrind");
        let log = bench.options.out()?.join("valgrind.txt");
        let mut command = Command::new("valgrind");
        command
            .arg("--leak-check=no")
            .arg(format!("--log-file={}", log.display()))
            .arg(bench.path(server)?);
        Ok((Self { log }, command))
    }

    /// Returns the number of allocations. The program must have exited.
    ///
    /// # Errors
    /// If valgrind's log has no total.
    pub fn allocations(self) -> Result<f64> {
        let text = fs::read_to_string(&self.log)?;
        fs::remove_file(&self.log)?;
        counted(&text).with_context(|| format!("no total in {text}"))
    }
}

/// Returns the number in `total heap usage: 1,234 allocs, …`.
fn counted(log: &str) -> Option<f64> {
    let (_, total) = log.rsplit_once("total heap usage: ")?;
    let (count, _) = total.split_once(" allocs")?;
    count.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocation_count_is_parsed() {
        let log = "==7== HEAP SUMMARY:\n==7==     in use at exit: 544 bytes in 1 blocks\n\
                   ==7==   total heap usage: 1,034 allocs, 33 frees, 73,330 bytes allocated\n";
        assert_eq!(counted(log), Some(1034.0));
        assert_eq!(counted("==7== HEAP SUMMARY:"), None);
    }
}
