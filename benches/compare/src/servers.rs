//! The table of servers: a row is all it takes to add one.

use std::fmt;

/// A server and how to start it.
#[derive(Debug)]
pub struct Server {
    /// As the report calls it.
    pub name: &'static str,
    /// Its part in the comparison.
    pub role: Role,
    /// What has to be built for it.
    pub program: Program,
    /// What it is started with, besides `--port 0`.
    pub arguments: &'static [&'static str],
}

/// Why a server is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is what this is about.
    Subject,
    /// The same with other options: measured when asked for, and where the
    /// option is what is asked about.
    Variant,
    /// To be at least as good as it.
    Peer,
    /// The least an epoll server can do.
    Floor,
    /// The most that polling can bring. It serves one connection at a time.
    SpinFloor,
    /// What polling brings to few connections, if it is done in any case.
    PollFloor,
    /// The least one thread can do for an echo on a connection of its own.
    OnceFloor,
}

/// Where a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// The project.
    Rawecho,
    /// A binary of this workspace.
    Cargo(&'static str),
    /// `peers/foreign/floor-poll.c`, by the C compiler.
    FloorPoll,
    /// `peers/foreign/libuv.c`, by the C compiler.
    Libuv,
    /// `peers/foreign/go`, by Go.
    Go,
}

/// The one that all is about.
pub const RAWECHO: &str = "rawecho";

/// The same without busy polling.
pub const RAWECHO_SPIN0: &str = "rawecho-spin0";

/// The same with two threads.
pub const RAWECHO_WORKERS2: &str = "rawecho-workers2";

/// What all throughput is a share of.
pub const FLOOR_EPOLL: &str = "floor-epoll";

/// What polling can bring at most.
pub const FLOOR_SPIN: &str = "floor-spin";

/// What polling brings to few connections, if it is done in any case.
pub const FLOOR_POLL: &str = "floor-poll";

/// Up to as many connections, polling may pay: the grid then has the servers that show what it brings.
pub const FEW_CONNECTIONS: u64 = 10;

/// All servers, in the order of the report.
pub const SERVERS: &[Server] = &[
    row(RAWECHO, Role::Subject, Program::Rawecho, &["serve"]),
    row(
        RAWECHO_SPIN0,
        Role::Variant,
        Program::Rawecho,
        &["serve", "--spin", "0"],
    ),
    row(
        "rawecho-spin20",
        Role::Variant,
        Program::Rawecho,
        &["serve", "--spin", "20"],
    ),
    row(
        "rawecho-spin200",
        Role::Variant,
        Program::Rawecho,
        &["serve", "--spin", "200"],
    ),
    row(
        "rawecho-spin1000",
        Role::Variant,
        Program::Rawecho,
        &["serve", "--spin", "1000"],
    ),
    row(
        RAWECHO_WORKERS2,
        Role::Variant,
        Program::Rawecho,
        &["serve", "--workers", "2"],
    ),
    row(
        "tokio",
        Role::Peer,
        Program::Cargo("tokio"),
        &["--runtime", "current-thread"],
    ),
    row(
        "tokio-multi",
        Role::Peer,
        Program::Cargo("tokio"),
        &["--runtime", "multi-thread"],
    ),
    row("mio", Role::Peer, Program::Cargo("mio"), &[]),
    row("smol", Role::Peer, Program::Cargo("smol"), &[]),
    row("monoio", Role::Peer, Program::Cargo("monoio"), &[]),
    row("glommio", Role::Peer, Program::Cargo("glommio"), &[]),
    row("std", Role::Peer, Program::Cargo("std"), &[]),
    row("libuv", Role::Peer, Program::Libuv, &[]),
    row("go", Role::Peer, Program::Go, &[]),
    row(FLOOR_EPOLL, Role::Floor, Program::Cargo("floor-epoll"), &[]),
    row(
        FLOOR_SPIN,
        Role::SpinFloor,
        Program::Cargo("floor-spin"),
        &[],
    ),
    row(FLOOR_POLL, Role::PollFloor, Program::FloorPoll, &[]),
    row(
        "floor-once",
        Role::OnceFloor,
        Program::Cargo("floor-once"),
        &[],
    ),
];

const fn row(
    name: &'static str,
    role: Role,
    program: Program,
    arguments: &'static [&'static str],
) -> Server {
    Server {
        name,
        role,
        program,
        arguments,
    }
}

/// The part that the server of this name has in the comparison.
pub fn role(name: &str) -> Option<Role> {
    SERVERS
        .iter()
        .find(|server| server.name == name)
        .map(|server| server.role)
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
