//! Checks that the programs of the course in `examples/` print the output that their comments and
//! `examples/README.md` show, and do not exceed their maximum length. (`freestanding.rs` runs the last program.)
//!
//! To run an example, a test starts this test program a second time, and that process calls the example's
//! `main`. The examples therefore run wherever this test does, even in a virtual machine without cargo.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Command, Stdio, exit};

#[path = "../examples/02_errors.rs"]
mod errors;
#[path = "../examples/04_half_close.rs"]
mod half_close;
#[path = "../examples/01_hello.rs"]
mod hello;
#[path = "../examples/05_many_clients.rs"]
mod many_clients;
#[path = "../examples/03_socket_by_number.rs"]
mod socket_by_number;
#[path = "../examples/06_watch_it.rs"]
mod watch_it;

macro_rules! sources {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("../examples/", $name, ".rs")))),*] };
}

const SOURCES: [(&str, &str); 7] = sources! {
    "01_hello" "02_errors" "03_socket_by_number" "04_half_close" "05_many_clients" "06_watch_it"
    "07_freestanding"
};

const README: &str = include_str!("../examples/README.md");

/// The maximum number of lines of a program, without blank lines: short enough to read in one go.
const MAX_LINES: usize = 80;

/// The environment variable that is set in the second process.
const IS_PROGRAM: &str = "SYSCALLS_COURSE_PROGRAM";

fn source(name: &str) -> &'static str {
    let found = SOURCES.iter().find(|(of, _)| *of == name);
    found.expect("the name of a program").1
}

/// Returns the text of the `//!` comment at the start of `source`.
fn head(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}

/// Returns the code blocks in `text` that show this architecture's output. The fence of a block ends with
/// "text", alone or followed by a space and the architecture's name.
fn output_blocks(text: &str) -> Vec<&str> {
    let here = format!("```text {}\n", syscalls::arch::NAME);
    let mut blocks = vec![];
    for (at, _) in text.match_indices("```text") {
        let rest = &text[at..];
        for fence in ["```text\n", &here] {
            if let Some(body) = rest.strip_prefix(fence) {
                blocks.push(body.split_once("```").expect("the block's end").0);
            }
        }
    }
    blocks
}

/// Returns whether `line` is `expected`, in which `…` stands for any text.
fn matches(line: &str, expected: &str) -> bool {
    match expected.split_once('…') {
        None => line == expected,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.into_iter().any(|end| matches(&line[end..], rest))
        }),
    }
}

/// Asserts that `lines` matches `expected`, in which a line `⋮` stands for any number of lines.
fn compare(mut lines: &[&str], expected: &str) {
    let mut skipping = false;
    for expected in expected.lines() {
        if expected == "⋮" {
            skipping = true;
            continue;
        }
        match lines.iter().position(|line| matches(line, expected)) {
            Some(at) if at == 0 || skipping => lines = &lines[at + 1..],
            _ => panic!("expected the line {expected:?}, found {lines:#?}"),
        }
        skipping = false;
    }
    assert!(
        lines.is_empty() || skipping,
        "unexpected lines at the end: {lines:#?}"
    );
}

/// Returns the command that starts this program again, to run the example of the test `test`.
fn second_process(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command
        // Example 3 reads its port from the first argument: 0 means any free port. The test harness takes it
        // for the name of a test, and no test has this name.
        .args([
            "0",
            test,
            "--exact",
            "-q",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(IS_PROGRAM, "1");
    command
}

/// The text that the test harness prints before the test runs.
const PRELUDE: &str = "\nrunning 1 test\n";

fn prints_the_documented_output(name: &str, test: &str) {
    let output = second_process(test).output().expect("the program");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let lines: Vec<_> = text.strip_prefix(PRELUDE).expect(&text).lines().collect();
    let head = head(source(name));
    let expected = output_blocks(&head).concat();
    assert!(!expected.is_empty(), "the head of {name} shows no output");
    compare(&lines, &expected);
}

macro_rules! programs {
    ($($test:ident: $name:literal, $main:expr;)*) => {
        $(#[test]
        fn $test() {
            if env::var_os(IS_PROGRAM).is_some() {
                let _ = $main;
                exit(0);
            }
            prints_the_documented_output($name, stringify!($test));
        })*
    };
}

programs! {
    hello_prints_the_documented_output: "01_hello", hello::main().unwrap();
    errors_prints_the_documented_output: "02_errors", errors::main().unwrap();
    half_close_prints_the_documented_output: "04_half_close", half_close::main().unwrap();
    many_clients_prints_the_documented_output: "05_many_clients", many_clients::main().unwrap();
    watch_it_prints_the_documented_output: "06_watch_it", watch_it::main();
}

#[test]
fn socket_by_number_serves_clients_one_after_the_other() {
    if env::var_os(IS_PROGRAM).is_some() {
        panic!("the server ended: {:?}", socket_by_number::main());
    }
    let mut server = second_process("socket_by_number_serves_clients_one_after_the_other")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    let line = stdout.lines().nth(2).expect("a third line").expect("text");
    let head = head(source("03_socket_by_number"));
    let shown = head.lines().find(|line| line.starts_with("Listening"));
    let (before, after) = shown
        .expect("the line")
        .split_once("7007")
        .expect("the port");
    assert!(line.starts_with(before) && line.ends_with(after), "{line}");
    let port: u16 = line[before.len()..line.len() - after.len()]
        .parse()
        .expect("a port");

    // The second client connects, and writes, while the server serves the first.
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
    let (mut first, mut second) = (connect(), connect());
    second.write_all(b"second").expect("a connection");
    for (client, data) in [(&mut first, "first"), (&mut second, "")] {
        client.write_all(data.as_bytes()).expect("a connection");
        client.shutdown(Shutdown::Write).expect("a connection");
    }
    let mut echo = String::new();
    first.read_to_string(&mut echo).expect("the echo");
    second.read_to_string(&mut echo).expect("the echo");
    assert_eq!(echo, "firstsecond");
    server.kill().expect("it is still running");
    server.wait().expect("its end");
}

#[test]
fn course_page_shows_each_program_and_its_output() {
    for (name, source) in SOURCES {
        assert!(
            README.contains(&format!("({name}.rs)")),
            "no link to {name}"
        );
        let head = head(source);
        let command = head.split_once("$ cargo").expect("a command").1;
        let command = command
            .lines()
            .next()
            .expect("a line")
            .trim_end_matches(" &");
        assert!(
            README.contains(command),
            "examples/README.md lacks: cargo{command}"
        );
        for block in output_blocks(&head) {
            assert!(
                README.contains(block),
                "examples/README.md lacks, for {name}:\n{block}"
            );
        }
    }
}

#[test]
fn each_program_is_short_and_ends_with_things_to_try() {
    for (name, source) in SOURCES {
        let lines = source
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        assert!(lines <= MAX_LINES, "examples/{name}.rs has {lines} lines");
        let (_, end) = source.split_once("\n// Try:\n").expect(name);
        assert!(
            end.lines().all(|line| line.starts_with("// ")),
            "{name}:\n{end}"
        );
        let count = end.lines().filter(|line| line.starts_with("// - ")).count();
        assert!((2..=3).contains(&count), "{name}: {count} things to try");
    }
}
