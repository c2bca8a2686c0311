//! Checks that the trace of every call, whether it succeeds or fails, equals strace's output for the same
//! process.
//!
//! Each test starts its own program a second time, under strace. The second process makes the calls and
//! writes its own trace of them.

mod every_call;
mod strace;
#[path = "../common/witnesses.rs"]
mod witnesses;

use std::collections::BTreeSet;
use std::env;
use std::ffi::CString;
use std::net::IpAddr;

use syscalls::arch::{ARGUMENT_REGISTERS, NUMBER_REGISTER, RESULT_REGISTER};
use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
use syscalls::process::exit_group;
use syscalls::trace::{Format, Trace, Traced};
use syscalls::{Inherited, Linux, into_result};

use witnesses::assert_every_call;

use strace::{TempFile, assert_same_lines, calls_of_the_layer, name, strace};

/// The environment variable with the file for the trace. It is set in the second process only.
const TRACE_TO: &str = "SYSCALLS_TRACE_TO";

/// The exit code of the second process.
const EXIT_CODE: i32 = 7;

fn decoded_calls_match_strace(loopback: IpAddr) {
    if let Some(file) = env::var_os(TRACE_TO) {
        second_process(file.as_encoded_bytes(), Format::Calls, loopback);
    }
    let (own, strace) = two_traces("decoded_calls_match_strace", loopback, &[]);
    assert_same_lines(&own, &strace);
    // Every call has been made, and has failed at least once.
    let made: BTreeSet<_> = own.iter().filter_map(|line| name(line)).collect();
    let remedy = "add to syscalls/tests/trace_is_strace/every_call.rs";
    assert_every_call(&made, remedy);
    let failed: BTreeSet<_> = own.iter().filter(|line| line.contains(" = -1 E")).collect();
    let mut failed: BTreeSet<_> = failed.iter().filter_map(|line| name(line)).collect();
    assert!(failed.insert("exit_group"), "exit_group cannot fail");
    assert_every_call(&failed, &format!("{remedy}, so that it fails"));
}

fn registers_match_strace(loopback: IpAddr) {
    if let Some(file) = env::var_os(TRACE_TO) {
        second_process(file.as_encoded_bytes(), Format::Registers, loopback);
    }
    // strace shows each call's number, and its arguments as register values. It decodes only `openat` and
    // `ppoll`, because `calls_of_the_layer` searches for those of the trace in their decoded form.
    let options = ["-n", "-e", "raw=!openat,ppoll"];
    let decoded = |line: &String| ["openat", "ppoll"].contains(&name(line).expect("a call"));
    let (own, mut strace) = two_traces("registers_match_strace", loopback, &options);
    let mut own: Vec<_> = own.iter().map(|line| from_registers(line)).collect();
    own.retain(|line| !decoded(line));
    strace.retain(|line| !decoded(line));
    assert_same_lines(&own, &strace);
}

/// Converts a line such as `rax=3 (close) rdi=0x5 -> rax=0x0` to the line that strace writes with the options
/// `-n -e raw=all`.
fn from_registers(line: &str) -> String {
    let value = |part: &str, register: &str| {
        let (name, value) = part.split_once("=").expect("a register");
        assert_eq!(name, register, "{line}");
        match value {
            "0x0" => "0".to_owned(),
            value => value.to_owned(),
        }
    };
    let (call, result) = match line.split_once(" -> ") {
        Some((call, result)) => (call, Some(result)),
        None => (line, None),
    };
    let (number, call) = call.split_once(" (").expect("a name");
    let (name, args) = call.split_once(')').expect("a name");
    let args: Vec<_> = args.split_whitespace().zip(ARGUMENT_REGISTERS).collect();
    let args: Vec<_> = args
        .into_iter()
        .map(|(arg, register)| value(arg, register))
        .collect();
    let result = match result.map(|result| result.split_once(' ').unwrap_or((result, ""))) {
        None => "?".to_owned(),
        Some((result, "")) => value(result, RESULT_REGISTER),
        Some((result, error)) => {
            let result = value(result, RESULT_REGISTER);
            let digits = result.trim_start_matches("0x");
            let result = usize::from_str_radix(digits, 16).expect("a number");
            let errno = into_result(result).expect_err("an error");
            assert_eq!(error, format!("(-{})", errno.name()));
            format!("-1 {} ({})", errno.name(), errno.message())
        }
    };
    let number: usize = value(number, NUMBER_REGISTER).parse().expect("a number");
    format!("[{number:4}] {name}({}) = {result}", args.join(", "))
}

/// Runs the test `test` for `loopback` under strace, in a second process of this program. Returns
/// the lines of its own trace, and those of strace.
fn two_traces(test: &str, loopback: IpAddr, options: &[&str]) -> (Vec<String>, Vec<String>) {
    let family = if loopback.is_ipv4() { "ipv4" } else { "ipv6" };
    let test = format!("{test}_{family}");
    let own = TempFile::new(&format!("{test}.own"));
    let theirs = TempFile::new(&format!("{test}.strace"));
    let this = env::current_exe().expect("a path");
    let output = strace(options, &theirs.0, this)
        // With one test thread, the main thread makes all calls of the test.
        .args(["--exact", &test, "--test-threads=1"])
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

fn second_process(file: &[u8], form: Format, loopback: IpAddr) -> ! {
    let file = CString::new(file).expect("a path has no NUL");
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    let file = openat(Linux, &file, flags, 0o600).expect("a file for the trace");
    let trace = Trace::new(Inherited::new(file), form);
    let kernel = Traced::new(Linux, &trace);
    every_call::every_call(&kernel, loopback);
    exit_group(&kernel, EXIT_CODE)
}

// With musl, strace would show more calls of the table: musl calls `rt_sigprocmask` when it creates a thread
// or a child.
witness::tests! {
    [each loopback] {
        decoded_calls_match_strace: Strace, Glibc;
        registers_match_strace: Strace, Glibc;
    }
}
