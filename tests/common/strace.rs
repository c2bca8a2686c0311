//! A node under `strace`, which shows the node's system calls and can make them fail.

// Each test file is a program of its own and uses only a part of this module.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::common::{Node, eventually, program, with_pipes};

/// Seconds until `timeout` kills a node. No node returns the exit status that results.
const LIMIT: &str = "60";

/// The file to which strace writes the calls of a running node.
pub struct Log(PathBuf);

/// The system calls of a node.
#[derive(Debug)]
pub struct Trace {
    /// The names of the calls, in order.
    pub calls: Vec<String>,
    /// The line of each of these calls.
    pub lines: Vec<String>,
    /// The number of calls before the program's own first one.
    own: usize,
    /// The lines of calls whose results strace has injected.
    pub injected: Vec<String>,
}

/// Starts a node with the command line `args` under strace, with an `--inject=` for each of `injects`.
pub fn start(args: &[&str], injects: &[&str]) -> (Node, Log) {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--signal=KILL", LIMIT, "strace"]);
    let log = write_log(&mut command);
    command.args(injects.iter().map(|inject| format!("--inject={inject}")));
    (spawn(&mut command, args), log)
}

/// Starts `program`, another build of the program, with the command line `args` under strace.
pub fn start_program(program: &Path, args: &[&str]) -> (Node, Log) {
    let mut command = Command::new("strace");
    let log = write_log(&mut command);
    let node = Node::spawn(with_pipes(command.arg(program).args(args)));
    (node, log)
}

/// Makes `strace` write the calls of all threads to a file.
fn write_log(strace: &mut Command) -> Log {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}.{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("strace.{name}"));
    // -D makes the node, and not strace, the child of the process that started strace.
    strace.args(["-D", "-f", "-q", "-s", "16", "-o"]).arg(&log);
    Log(log)
}

/// Appends the program and its `args` to the command `strace`, and starts the command as a node.
pub fn spawn(strace: &mut Command, args: &[&str]) -> Node {
    Node::spawn(with_pipes(strace.arg(program().get_program()).args(args)))
}

impl Log {
    /// Waits until strace has written the node's exit, and reads the whole file.
    pub fn read(self) -> Trace {
        let text = eventually(
            &format!("strace writes the node's exit to {:?}", self.0),
            || {
                let text = fs::read_to_string(&self.0).ok()?;
                let (first, _) = text.split_once(' ')?;
                let (last, what) = text.lines().last()?.split_once(' ')?;
                (first == last && what.trim_start().starts_with("+++ ")).then_some(text)
            },
        );
        fs::remove_file(&self.0).expect("remove the log");
        let mut trace = Trace {
            calls: Vec::new(),
            lines: Vec::new(),
            own: 0,
            injected: Vec::new(),
        };
        for line in text.lines() {
            let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
            let Some((name, _)) = line.split_once('(') else {
                continue;
            };
            // The program's own calls begin with the `rt_sigaction` before this `prlimit64`.
            if line.starts_with("prlimit64(0, RLIMIT_NOFILE") && trace.own == 0 {
                trace.own = trace.calls.len() - 1;
            }
            trace.calls.push(name.into());
            trace.lines.push(line.into());
            if line.ends_with("(INJECTED)") {
                trace.injected.push(line.into());
            }
        }
        trace
    }
}

impl Trace {
    /// Splits the calls into those before the program's own first one, and the rest.
    pub fn split(&self) -> (Vec<String>, Vec<String>) {
        let (before, own) = self.calls.split_at(self.own);
        (before.into(), own.into())
    }
}
