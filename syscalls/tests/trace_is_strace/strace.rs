//! Runs strace(1) on a process that writes its own trace, and extracts the calls that both must show.
//!
//! Both see the same registers and the same memory, so even pointers, ports and times are equal. This file
//! removes from strace's output:
//!
//! 1. the thread ID at the start of each line, the lines of other threads, and lines about signals and exits;
//! 2. the calls before the trace file was opened;
//! 3. calls that are not in the crate's table, such as those for heap memory (`brk`, `mmap`) and for threads;
//! 4. the trace's own calls, which are those on its descriptor.
//!
//! A call that strace shows in two parts, because another thread's call came between them, becomes one line.
//! The `data` of an epoll event gets the form that strace 6.12 shows. `tests/trace_is_strace.rs` also removes
//! the final `exit_group`, which the C library makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use syscalls::CALLS;

/// A temporary file, which is removed when this is dropped.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str) -> TempFile {
        let name = format!("rawecho-{}-{name}", std::process::id());
        TempFile(std::env::temp_dir().join(name))
    }

    pub fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_else(|error| panic!("{}: {error}", self.0.display()))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns a command that runs `program` under strace. strace writes to `output`.
pub fn strace(options: &[&str], output: &Path, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-a1", "-o"]).arg(output);
    command.args(options).arg("--").arg(program.as_ref());
    command
}

/// Returns the calls in strace's output that the crate made, in the thread that wrote its own trace to the
/// file `trace`.
pub fn calls_of_the_layer(strace: &str, trace: &Path) -> Vec<String> {
    let lines = strace.lines().map(|line| {
        let (process, call) = line.split_once(' ').expect("a thread ID");
        (process, call.trim_start())
    });
    let opened = format!("openat(AT_FDCWD, \"{}\", ", trace.display());
    let mut lines = lines.skip_while(|(_, call)| !call.contains(&opened));
    let (process, call) = lines.next().expect("the trace is opened");
    let (_, descriptor) = call.rsplit_once(" = ").expect("a result");
    let descriptor: u32 = descriptor.parse().expect("a descriptor");
    let own = [
        format!("write({descriptor}, "),
        format!("write({descriptor:#x}, "), // with the option `raw`
        format!("ppoll([{{fd={descriptor}, events=POLLOUT}}], "),
    ];
    let mut calls = Vec::new();
    let mut begun = String::new();
    for (_, line) in lines.filter(|&(of, _)| of == process) {
        if let Some(beginning) = line.strip_suffix(UNFINISHED) {
            begun = beginning.to_owned();
            continue;
        }
        let call = match line.split_once(RESUMED) {
            Some((_, end)) => std::mem::take(&mut begun) + end,
            None => line.to_owned(),
        };
        let known = name(&call).is_some_and(|name| CALLS.iter().any(|call| call.name == name));
        if known && !own.iter().any(|own| call.contains(own)) {
            calls.push(spelling_of_6_12(&call));
        }
    }
    calls
}

/// Converts a call from strace's output to the form of strace 6.12. Later versions show the `data` of a
/// `struct epoll_event` as one hexadecimal number: `data=0x3`. Version 6.12 and earlier ones, and this crate's
/// trace, show `data={u32=3, u64=3}`.
fn spelling_of_6_12(call: &str) -> String {
    let mut parts = call.split(", data=");
    let mut spelled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_at(part.find('}').expect("the end of a struct"));
        let digits = number.strip_prefix("0x").unwrap_or(number);
        spelled += &match u64::from_str_radix(digits, 16) {
            Ok(data) => format!(", data={{u32={}, u64={data}}}{rest}", data as u32),
            // The call has this form already.
            Err(_) => format!(", data={part}"),
        };
    }
    spelled
}

/// The marks that strace writes when another thread's call comes between the two parts of a call: at the end
/// of the first part, and at the start of the second.
const UNFINISHED: &str = " <unfinished ...>";
const RESUMED: &str = " resumed>";

/// Returns the name of the call in a line of strace's output. With option `-n`, the call's number precedes it.
pub fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    name.rsplit(' ').next()
}

/// Asserts that both traces have the same lines. Panics at the first difference.
pub fn assert_same_lines(ours: &[String], theirs: &[String]) {
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(
            ours, theirs,
            "call {i}: the trace on the left, strace on the right"
        );
    }
    let common = ours.len().min(theirs.len());
    assert_eq!(ours[common..], theirs[common..], "one trace has more calls");
}
