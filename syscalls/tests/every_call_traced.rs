//! Checks that every call has a line in the trace. Unlike `trace_is_strace`, this needs no strace, so it also
//! runs in a virtual machine with a real arm64 kernel.

#[path = "trace_is_strace/every_call.rs"]
mod every_call;
#[path = "common/witnesses.rs"]
mod witnesses;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::net::IpAddr;
use std::{env, fs};

use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
use syscalls::trace::{Format, Trace, Traced};
use syscalls::{Inherited, Linux};

fn every_call_has_a_trace_line(loopback: IpAddr) {
    let file = env::temp_dir().join(format!(
        "every-call-traced-{}-{loopback}",
        std::process::id()
    ));
    let path = CString::new(file.clone().into_os_string().into_encoded_bytes()).expect("no NUL");
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    let fd = openat(Linux, &path, flags, 0o600).expect("a file for the trace");
    let trace = Trace::new(Inherited::new(fd), Format::Calls);
    every_call::every_call(&Traced::new(Linux, &trace), loopback);
    let text = fs::read_to_string(&file).expect("the trace");
    let _ = fs::remove_file(&file);
    // `every_call` does not make `exit_group`, which would end the test program.
    let mut made = BTreeSet::from(["exit_group"]);
    for line in text.lines() {
        let (name, rest) = line.split_once('(').expect(line);
        made.insert(name);
        assert!(rest.contains(") = "), "{line}");
    }
    let remedy = "add to syscalls/tests/trace_is_strace/every_call.rs";
    witnesses::assert_every_call(&made, remedy);
}

witness::tests! {
    [each loopback] {
        every_call_has_a_trace_line;
    }
}
