//! Compares each line of `syscalls/src/one_echo.md` with a new trace of the program on this machine.
//! Descriptors and ports may differ from run to run, but equal ones must stay equal. Memory addresses are not
//! compared.

use std::collections::HashMap;
use std::env;
use std::ffi::CString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rawecho::engine::{Engine, Polling, Ready};
use syscalls::arch::NAME;
use syscalls::io::{O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY, openat};
use syscalls::trace::{Format, Trace, Traced};
use syscalls::{CALLS, Inherited, Linux};

const TEXT: &str = include_str!("../syscalls/src/one_echo.md");

#[test]
fn documented_calls_match_a_fresh_trace() {
    let shown: Vec<_> = lines_of_text()
        .filter(|line| {
            CALLS
                .iter()
                .any(|call| line.starts_with(&format!("{}(", call.name)))
        })
        .collect();
    assert_same(&shown, Format::Calls, calls_with_placeholders);
}

#[test]
fn documented_registers_match_a_fresh_trace() {
    let head = format!("{NAME}: ");
    let shown: Vec<_> = lines_of_text()
        .filter_map(|line| line.strip_prefix(&head))
        .map(str::trim_start)
        .collect();
    assert_same(&shown, Format::Registers, registers_with_placeholders);
}

fn lines_of_text() -> impl Iterator<Item = &'static str> {
    TEXT.lines().map(str::trim_start)
}

/// The most traces to compare. On a busy machine, bytes may arrive late even over loopback. The client
/// or the server then repeats a call, and the trace differs.
const MAX_TRACES: usize = 20;

fn assert_same(shown: &[&str], format: Format, with_placeholders: fn(&[&str]) -> Vec<String>) {
    let mut traces = (0..MAX_TRACES).map(|_| trace_of_one_echo(format));
    let is_same = |trace: &String| {
        with_placeholders(&trace.lines().collect::<Vec<_>>()) == with_placeholders(shown)
    };
    if traces.any(|trace| is_same(&trace)) {
        return;
    }
    let fresh = trace_of_one_echo(format);
    let fresh: Vec<_> = fresh.lines().collect();
    let stale = format!(
        "syscalls/src/one_echo.md, on the left, is stale on {NAME}. The new trace is:\n{}\n",
        fresh.join("\n")
    );
    for (shown, fresh) in with_placeholders(shown)
        .iter()
        .zip(&with_placeholders(&fresh))
    {
        assert_eq!(shown, fresh, "{stale}");
    }
    assert_eq!(shown.len(), fresh.len(), "{stale}");
}

/// Returns the trace of one round trip, and of the wait after it.
fn trace_of_one_echo(format: Format) -> String {
    let name = format!("rawecho-one-echo-{}-{format:?}", std::process::id());
    let file = env::temp_dir().join(name);
    let path = CString::new(file.clone().into_os_string().into_encoded_bytes()).expect("no NUL");
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    let fd = openat(Linux, &path, flags, 0o600).expect("a file for the trace");
    let trace = Trace::new(Inherited::new(fd), format);

    let polling = Polling::new(Duration::ZERO);
    let mut engine = Engine::new(Traced::new(Linux, &trace), polling).expect("an epoll set");
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = engine.start(any_port).expect("a port");
    let so_far = fs::metadata(&file).expect("the trace").len();
    let mut echo = Vec::new();
    let outcome = engine.round_trip(server, b"hello world", &mut echo, &mut || {});
    let idle = engine.turn(Some(Duration::ZERO)).expect("an epoll set");
    let text = fs::read_to_string(&file).expect("the trace");
    let _ = fs::remove_file(&file);
    outcome.expect("an echo");
    assert_eq!(idle, Ready::default());
    assert_eq!(echo, b"hello world");
    text[so_far as usize..].to_owned()
}

/// Placeholders for numbers that differ from run to run, numbered in the order in which they occur.
#[derive(Default)]
struct Placeholders(HashMap<(&'static str, String), usize>);

impl Placeholders {
    fn name(&mut self, what: &'static str, number: &str) -> String {
        let count = self.0.len();
        let index = *self.0.entry((what, number.to_owned())).or_insert(count);
        format!("{what}#{index}")
    }
}

/// Returns whether the call's first argument is a descriptor, and whether it returns one.
fn takes_and_returns_descriptor(name: &str) -> (bool, bool) {
    let call = CALLS.iter().find(|call| call.name == name);
    let call = call.unwrap_or_else(|| panic!("no call {name}"));
    let takes = ["fd", "sockfd", "epfd"].contains(&call.arguments[0]);
    (takes, ["socket", "accept4"].contains(&name))
}

/// Replaces the descriptors and ports of lines such as `read(5, "", 65536) = 0` by placeholders.
fn calls_with_placeholders(lines: &[&str]) -> Vec<String> {
    let mut placeholders = Placeholders::default();
    let mut replace = |line: &str| {
        let (name, rest) = line.split_once('(').expect("a call");
        let (args, result) = rest.rsplit_once(") = ").expect("a result");
        let (takes, returns) = takes_and_returns_descriptor(name);
        let mut args = args.to_owned();
        if takes {
            let end = args.find(',').unwrap_or(args.len());
            let descriptor = placeholders.name("descriptor", &args[..end]);
            args.replace_range(..end, &descriptor);
        }
        if let Some((before, after)) = args.split_once("htons(") {
            let (port, after) = after.split_once(')').expect("a port");
            args = format!("{before}htons({}){after}", placeholders.name("port", port));
        }
        let result = if returns {
            placeholders.name("descriptor", result)
        } else {
            result.to_owned()
        };
        format!("{name}({args}) = {result}")
    };
    lines.iter().map(|line| replace(line)).collect()
}

/// Replaces the descriptors and addresses of lines such as
/// `rax=0 (read) rdi=0x5 rsi=0x7ffcb77c7080 rdx=0x10000 -> rax=0x0` by placeholders.
fn registers_with_placeholders(lines: &[&str]) -> Vec<String> {
    let mut placeholders = Placeholders::default();
    let mut replace = |line: &str| {
        let (call, result) = line.split_once(" -> ").expect("a result");
        let (number, call) = call.split_once(" (").expect("a name");
        let (name, registers) = call.split_once(')').expect("a name");
        let (takes, returns) = takes_and_returns_descriptor(name);
        let mut words = vec![number.to_owned(), name.to_owned()];
        for (i, word) in registers.split_whitespace().enumerate() {
            let (register, value) = word.split_once('=').expect("a register");
            let value = match value {
                _ if i == 0 && takes => placeholders.name("descriptor", value),
                // Null is the same in each run.
                "0x0" => value.to_owned(),
                _ if is_address(name, i) => "address".to_owned(),
                _ => value.to_owned(),
            };
            words.push(format!("{register}={value}"));
        }
        let (register, value) = result.split_once('=').expect("a register");
        let value = if returns {
            placeholders.name("descriptor", value)
        } else {
            value.to_owned()
        };
        words.push(format!("{register}={value}"));
        words.join(" ")
    };
    lines.iter().map(|line| replace(line)).collect()
}

/// Returns whether argument `i` of call `name` is an address, by its type in C.
fn is_address(name: &str, i: usize) -> bool {
    let call = CALLS.iter().find(|call| call.name == name);
    let parameters = call.and_then(|call| call.signature.split_once('('));
    let (_, parameters) = parameters.unwrap_or_else(|| panic!("no call {name}"));
    let parameter = parameters.split(',').nth(i);
    parameter.is_some_and(|parameter| parameter.contains('*'))
}
