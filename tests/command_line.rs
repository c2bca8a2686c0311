//! The command line: `--bind ADDR`, `--help`, `--version`, and nothing else.

mod common;

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;

use common::{Finished, Node, client, converse, program};
use serde_json::json;

fn run(args: &[&str]) -> Finished {
    Node::start(args).finish()
}

/// A name that cannot be told as it is could be another file's.
#[test]
fn an_argument_that_is_no_text() {
    let output = program()
        .arg(OsStr::from_bytes(b"--trace=log\xff"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(r"log\xFF"), "{stderr}");
    assert!(stderr.contains("UTF-8; see rawecho --help"), "{stderr}");
}

#[test]
fn usage_errors() {
    let cases: &[(&[&str], &str)] = &[
        (&["--bind"], "--bind"),
        (&["--bind", ""], "--bind"),
        (&["--bind", "localhost"], "localhost"),
        (&["--bind", "127.0.0.1:8080"], "127.0.0.1:8080"),
        (&["--bind", "127.0.0.256"], "127.0.0.256"),
        (&["--bind", "127.0.0.1", "8080"], "8080"),
        (&["--bind", "127.0.0.1", "--bind"], "--bind"),
        (&["--workers", "0"], "--workers"),
        (&["--workers", "65"], "--workers"),
        (&["--workers", "two"], "two"),
        (&["--spin", "-1"], "--spin"),
        (&["--spin", "10001"], "--spin"),
        (&["--port", "80"], "--port"),
        (&["serve", "--port", "65536"], "65536"),
        (&["--bind", "::1", "serve"], "serve"),
        (&["-h"], "-h"),
        (&["--"], "--"),
        (&[""], ""),
        (&["help"], "help"),
        (&["--HELP"], "--HELP"),
        (&["line\nbreak"], "break"),
    ];
    for (args, mention) in cases {
        let finished = run(args);
        assert_eq!(finished.status.code(), Some(2), "{args:?}");
        assert_eq!(finished.stdout, "", "{args:?}");
        let line = finished.stderr.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "{args:?}: one line: {line}");
        assert!(line.contains(mention), "{args:?}: {line}");
        assert!(line.contains("--help"), "{args:?}: what to do: {line}");
    }
}

#[test]
fn help() {
    let Finished {
        status,
        stdout,
        stderr,
    } = run(&["--help"]);
    assert!(status.success());
    assert_eq!(stderr, "");
    for word in [
        "--bind ADDR",
        "--help",
        "--version",
        "127.0.0.1",
        "tcp_echo_send",
    ] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
}

#[test]
fn version() {
    let Finished {
        status,
        stdout,
        stderr,
    } = run(&["--version"]);
    assert!(status.success());
    assert_eq!(stderr, "");
    let expected = format!(
        "rawecho {} ({}-",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    assert!(stdout.starts_with(&expected), "{stdout}");
    assert_eq!(stdout.lines().count(), 1);
}

/// What `--bind` names is where the server listens, and nowhere else.
#[test]
fn bind_to_another_loopback_address() {
    let mut node = Node::start(&["--bind", "127.1.2.3"]).initialized();
    let port = node.listen().port();
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

/// A machine without IPv6 says so, by the same error that others get from it.
#[test]
fn bind_to_ipv6() {
    let address: IpAddr = "::1".parse().expect("an address");
    let mut node = Node::start(&["--bind", "::1"]).initialized();
    match TcpListener::bind((address, 0)) {
        Ok(_) => {
            let port = node.listen().port();
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
        }
        Err(error) => {
            let errno = error.raw_os_error().expect("an errno");
            let start = json!({"type": "tcp_echo_start", "port": 0});
            node.fails(start, 14, &[&format!("({errno})")]);
        }
    }
    node.finish_well();
}

/// The last of several counts, as with most programs.
#[test]
fn bind_twice() {
    let mut node = Node::start(&["--bind", "192.0.2.1", "--bind", "127.0.0.1"]).initialized();
    let server = node.listen();
    converse(&client(server), b"outside");
    node.finish_well();
}
