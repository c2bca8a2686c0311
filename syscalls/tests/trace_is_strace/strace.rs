//! The outside witness: `strace(1)` looks at the same process that writes its own trace.
//!
//! Both see the same registers and the same memory, so nothing need be forgiven: pointers, ports
//! and times are equal too. What this file leaves out of strace's output is all that it leaves out:
//!
//! 1. the process's number at the start of each line, and lines about signals and its exit;
//! 2. what came before the trace was opened;
//! 3. calls that the layer has no name for: memory for the heap (`brk`, `mmap` …), threads;
//! 4. the trace's own calls: those on its descriptor;
//! 5. the final `exit_group`, if it is the C library's.
//!
//! A call that strace shows in two pieces, because another thread came between, is put together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use syscalls::CALLS;

/// A file of this test's own. It is removed at the end.
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

/// `program`, to be run under strace, which writes to `output`.
pub fn strace(options: &[&str], output: &Path, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-a1", "-o"]).arg(output);
    command.args(options).arg("--").arg(program.as_ref());
    command
}

/// The calls that the layer made in the process that wrote a trace to the file `trace`, out of
/// what strace says of that process.
pub fn calls_of_the_layer(strace: &str, trace: &Path) -> Vec<String> {
    let lines = strace.lines().map(|line| {
        let (process, call) = line.split_once(' ').expect("a process's number");
        (process, call.trim_start())
    });
    let opened = format!("openat(AT_FDCWD, \"{}\", ", trace.display());
    let mut lines = lines.skip_while(|(_, call)| !call.contains(&opened));
    let (process, call) = lines.next().expect("the trace is opened");
    let (_, descriptor) = call.rsplit_once(" = ").expect("a result");
    let descriptor: u32 = descriptor.parse().expect("a descriptor");
    let own = [
        format!("write({descriptor}, "),
        format!("write({descriptor:#x}, "), // as the option `raw` has it
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

/// strace 6.13 and later show what `struct epoll_event` carries as one number in hexadecimal,
/// `data=0x3`, where 6.12 and earlier, and the trace, show `data={u32=3, u64=3}`.
fn spelling_of_6_12(call: &str) -> String {
    let mut parts = call.split(", data=");
    let mut spelled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_at(part.find('}').expect("the end of a struct"));
        let digits = number.strip_prefix("0x").unwrap_or(number);
        spelled += &match u64::from_str_radix(digits, 16) {
            Ok(data) => format!(", data={{u32={}, u64={data}}}{rest}", data as u32),
            // It is spelled so already.
            Err(_) => format!(", data={part}"),
        };
    }
    spelled
}

/// The marks that strace writes when another thread's call comes between the two parts of a call: at the end of
/// the first part, and at the start of the second.
const UNFINISHED: &str = " <unfinished ...>";
const RESUMED: &str = " resumed>";

/// The name of the call in a line of strace's output. With option `-n` its number is before it.
pub fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    name.rsplit(' ').next()
}

/// Stops at the first line that differs.
pub fn assert_same_lines(ours: &[String], theirs: &[String]) {
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(
            ours, theirs,
            "call {i}: the trace on the left, strace on the right"
        );
    }
    let common = ours.len().min(theirs.len());
    assert_eq!(
        ours[common..],
        theirs[common..],
        "one of them has more calls"
    );
}
