//! The trace of every call, with successes and failures, is what strace shows of the same process.
//!
//! This test starts itself a second time, under strace. The process in there makes the calls and
//! writes its own trace of them.

mod every_call;
mod strace;

use std::collections::BTreeSet;
use std::env;
use std::ffi::CString;
use std::fmt::Write;

use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
use syscalls::process::exit_group;
use syscalls::trace::{Form, Trace, Traced};
use syscalls::{CALLS, Inherited, Linux};

use strace::{TempFile, assert_same_lines, calls_of_the_layer, name, strace};

/// Names the file for the trace, and so tells the process that it is the second one.
const TRACE_TO: &str = "SYSCALLS_TRACE_TO";

/// What the second process ends with.
const EXIT_CODE: i32 = 7;

#[test]
fn decoded_calls_are_those_of_strace() {
    if let Some(file) = env::var_os(TRACE_TO) {
        second_process(file.as_encoded_bytes(), Form::Calls);
    }
    let (own, strace) = two_traces("decoded_calls_are_those_of_strace", &[]);
    assert_same_lines(&own, &strace);
    // None has been forgotten.
    let made: BTreeSet<_> = own.iter().filter_map(|line| name(line)).collect();
    let all: BTreeSet<_> = CALLS.iter().map(|call| call.name).collect();
    assert_eq!(made, all);
    let failed: BTreeSet<_> = own.iter().filter(|line| line.contains(" = -1 E")).collect();
    let failed: BTreeSet<_> = failed.iter().filter_map(|line| name(line)).collect();
    let cannot_fail = BTreeSet::from(["exit_group"]);
    assert_eq!(
        &all - &failed,
        cannot_fail,
        "each is seen to fail, but for these"
    );
}

#[test]
fn registers_are_those_of_strace() {
    if let Some(file) = env::var_os(TRACE_TO) {
        second_process(file.as_encoded_bytes(), Form::Registers);
    }
    // strace shows each call's number, and all arguments as they are in the registers.
    let options = ["-n", "-e", "raw=all"];
    let (own, strace) = two_traces("registers_are_those_of_strace", &options);
    assert_same_lines(&own, &strace);
}

/// Runs the test `test` of this program under strace. Returns the lines of its own trace, and those
/// of strace.
fn two_traces(test: &str, options: &[&str]) -> (Vec<String>, Vec<String>) {
    let own = TempFile::new(&format!("{test}.own"));
    let theirs = TempFile::new(&format!("{test}.strace"));
    let this = env::current_exe().expect("a path");
    let output = strace(options, &theirs.0, this)
        // One thread, so that all calls of the test are one process's.
        .args(["--exact", test, "--test-threads=1"])
        .env(TRACE_TO, &own.0)
        .output()
        .expect("strace runs");
    assert_eq!(
        output.status.code(),
        Some(EXIT_CODE),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let own_lines = own.read().lines().map(String::from).collect();
    (own_lines, calls_of_the_layer(&theirs.read(), &own.0))
}

fn second_process(file: &[u8], form: Form) -> ! {
    let file = CString::new(file).expect("a path has no NUL");
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    let file = openat(Linux, &file, flags, 0o600).expect("a file for the trace");
    let trace = Trace::new(Inherited::new(file), form);
    let kernel = Traced::new(Linux, &trace);
    every_call::every_call(&kernel);
    exit_group(&kernel, EXIT_CODE)
}
