//! valgrind, which counts the heap allocations in a program's life.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::servers::Server;

/// A run of a program in valgrind.
pub struct Valgrind {
    log: PathBuf,
}

impl Valgrind {
    /// The command that runs a server in it, to be given arguments.
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

    /// How many there were, once the program has ended.
    ///
    /// # Errors
    /// If valgrind has not said so.
    pub fn allocations(self) -> Result<f64> {
        let text = fs::read_to_string(&self.log)?;
        fs::remove_file(&self.log)?;
        counted(&text).with_context(|| format!("no total in {text}"))
    }
}

/// The number in `total heap usage: 1,234 allocs, …`.
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
