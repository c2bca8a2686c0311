//! The command line: GNU's conventions, and the options that have no test file of their own.

mod common;

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;

use common::{Finished, Node, client, converse, program};
use serde_json::json;

fn run(args: &[&str]) -> Finished {
    Node::start(args).finish()
}

/// The error escapes the byte that is not UTF-8, so that it does not show the name of another file.
fn argument_that_is_not_utf8_is_a_usage_error() {
    let output = program()
        .arg(OsStr::from_bytes(b"--trace=log\xff"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(r"log\xFF"), "{stderr}");
    assert!(stderr.contains("UTF-8; see rawecho --help"), "{stderr}");
}

fn usage_errors_exit_with_2_and_point_to_help() {
    let cases: &[(&[&str], &str)] = &[
        (&["--bind"], "--bind"),
        (&["--bind", ""], "--bind"),
        (&["--bind", "localhost"], "localhost"),
        (&["--bind", "127.0.0.1:8080"], "127.0.0.1:8080"),
        (&["--bind", "127.0.0.256"], "127.0.0.256"),
        (&["--bind", "127.0.0.1", "8080"], "8080"),
        (&["--bind", "127.0.0.1", "--bind"], "ADDR is missing"),
        (&["--bind="], "--bind"),
        (&["--bind=localhost"], "localhost"),
        (&["--workers", "0"], "--workers"),
        (&["--workers", "65"], "--workers"),
        (&["--workers", "two"], "two"),
        (&["--spin", "-1"], "--spin"),
        (&["--spin", "10001"], "--spin"),
        (&["--port", "80"], "--port"),
        (&["serve", "--port", "65536"], "65536"),
        (&["--port=80"], "only serve"),
        (&["serve", "serve"], "serve"),
        (&["serve", "--port=x"], "from 0 to 65535"),
        (&["-x"], "-x"),
        (&["-"], "-"),
        (&["--", "--help"], "unexpected argument"),
        (&["--help=3"], "takes no value"),
        (&[""], ""),
        (&["help"], "help"),
        (&["--HELP"], "did you mean --help?"),
        (&["--wrokers", "2"], "did you mean --workers?"),
        (&["serve", "--prot=80"], "did you mean --port?"),
        (&["--frobnicate"], "unknown option \"--frobnicate\";"),
        (&["line\nbreak"], "break"),
    ];
    for (args, mention) in cases {
        let finished = run(args);
        assert_eq!(finished.status.code(), Some(2), "{args:?}");
        assert_eq!(finished.stdout, "", "{args:?}");
        let line = finished.stderr.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "{args:?}: one line: {line}");
        assert!(line.contains(mention), "{args:?}: {line}");
        assert!(line.contains("--help"), "{args:?}: a hint: {line}");
    }
}

/// Runs a command line that prints a text and exits. Returns the text.
#[track_caller]
fn shown(args: &[&str]) -> String {
    let Finished {
        status,
        stdout,
        stderr,
    } = run(args);
    assert!(status.success(), "{args:?}");
    assert_eq!(stderr, "", "{args:?}");
    stdout
}

fn help_lists_the_options_of_the_node() {
    let help = shown(&["--help"]);
    for word in [
        "--bind=ADDR",
        "--workers=N",
        "--spin=MICROS",
        "--trace[=FILE]",
        "-h, --help",
        "-V, --version",
        "127.0.0.1",
        "tcp_echo_send",
        "serve --help",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(!help.contains("--port"), "only serve has it: {help}");
    assert_eq!(shown(&["-h"]), help);
    // The arguments before and after `--help` have no effect.
    assert_eq!(shown(&["--workers", "2", "--help", "--nonsense"]), help);
}

fn serve_help_lists_the_options_of_serve() {
    let help = shown(&["serve", "--help"]);
    for word in [
        "rawecho serve",
        "--port=PORT",
        "8080",
        "--bind=ADDR",
        "SIGTERM",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(
        !help.contains("tcp_echo_send"),
        "serve has no requests: {help}"
    );
    assert_eq!(shown(&["serve", "-h"]), help);
}

fn version_names_the_version_and_the_target() {
    let version = shown(&["--version"]);
    let expected = format!(
        "rawecho {} ({}-",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    assert!(version.starts_with(&expected), "{version}");
    assert_eq!(version.lines().count(), 1);
    assert_eq!(shown(&["-V"]), version);
    assert_eq!(shown(&["-Vh"]), version);
}

fn help_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::create("/dev/full").expect("a device");
    let output = program().arg("--help").stdout(full).output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("ENOSPC"), "{stderr}");
}

/// Tests both ways to write a value, for each option that requires one. `--` ends the options, and the
/// command may follow it.
fn values_follow_an_equals_sign_or_a_space() {
    let spaces = [
        "serve",
        "--bind",
        "127.1.2.3",
        "--port",
        "0",
        "--workers",
        "2",
        "--spin",
        "0",
    ];
    let equals = [
        "--bind=127.1.2.3",
        "--port=0",
        "--workers=2",
        "--spin=0",
        "--",
        "serve",
    ];
    // An emulator such as qemu-user adds threads of its own.
    let mut alone = Node::start(&["serve", "--port", "0"]);
    alone.line();
    let threads_of_one = alone.status_number("Threads");
    for args in [&spaces[..], &equals[..]] {
        let mut server = Node::start(args);
        let status: serde_json::Value = serde_json::from_str(&server.line()).expect("JSON");
        assert_eq!(status["address"], "127.1.2.3", "{args:?}");
        assert_ne!(status["port"], 8080, "{args:?}");
        let threads = server.status_number("Threads");
        assert_eq!(threads, threads_of_one + 1, "{args:?}");
        server.signal(libc::SIGTERM);
        assert!(server.finish().status.success(), "{args:?}");
    }
}

/// With `--bind`, the server listens only on the named address.
fn bind_option_limits_listening_to_its_address() {
    let mut node = Node::start(&["--bind", "127.1.2.3"]).initialized();
    let port = node.listen_on_unused_port();
    node.send("through 127.1.2.3");
    converse(
        &client(SocketAddr::from(([127, 1, 2, 3], port))),
        b"outside",
    );
    TcpStream::connect(("127.0.0.1", port)).expect_err("not there");
    assert_eq!(
        node.request(json!({"type": "echo", "echo": 1})),
        json!({"type": "echo_ok", "echo": 1})
    );
    node.finish_well();
}

fn bind_option_accepts_ipv6() {
    let address = IpAddr::from(Ipv6Addr::LOCALHOST);
    let mut node = Node::start(&["--bind", "::1"]).initialized();
    let port = node.listen_on_unused_port();
    node.send("through ::1");
    converse(&client(SocketAddr::new(address, port)), b"outside");
    TcpStream::connect(("127.0.0.1", port)).expect_err("not there");
    node.request(json!({"type": "tcp_echo_stop"}));
    let owner = TcpListener::bind((address, 0)).expect("bind");
    let taken = owner.local_addr().expect("an address").port();
    node.fails(
        json!({"type": "tcp_echo_start", "port": taken}),
        11,
        &[&format!("bind [::1]:{taken}: EADDRINUSE (98)")],
    );
    node.finish_well();
}

/// The last of several `--bind` options takes effect, as in most programs.
fn last_of_repeated_bind_options_takes_effect() {
    let mut node = Node::start(&["--bind", "192.0.2.1", "--bind", "127.0.0.1"]).initialized();
    let server = node.listen();
    converse(&client(server), b"outside");
    node.finish_well();
}

witness::tests! {
    argument_that_is_not_utf8_is_a_usage_error;
    usage_errors_exit_with_2_and_point_to_help;
    help_lists_the_options_of_the_node;
    serve_help_lists_the_options_of_serve;
    version_names_the_version_and_the_target;
    help_that_cannot_be_written_is_an_error;
    values_follow_an_equals_sign_or_a_space;
    bind_option_limits_listening_to_its_address;
    bind_option_accepts_ipv6: Ipv6;
    last_of_repeated_bind_options_takes_effect;
}
