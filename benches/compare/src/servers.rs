//! The table of servers. To add a server, add a row.

use std::fmt;

/// A server and how to start it.
#[derive(Debug)]
pub struct Server {
    /// The name in the report and on the command line.
    pub name: &'static str,
    /// The role in the comparison.
    pub role: Role,
    /// The program to build.
    pub program: Program,
    /// The arguments before `--port 0`.
    pub arguments: &'static [&'static str],
}

/// Why a server is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// rawecho itself.
    Subject,
    /// rawecho with other options. It is measured if the command line names it, and in the measures
    /// that are about the option.
    Variant,
    /// A server that rawecho must at least equal.
    Peer,
    /// The minimum of work for an epoll server.
    Floor,
    /// The most that busy-polling can gain. It serves one connection at a time.
    SpinFloor,
    /// The throughput of few connections with unconditional busy-polling.
    PollFloor,
    /// The minimum of work for one thread to echo over a new connection.
    OnceFloor,
}

/// The source of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// The project itself.
    Rawecho,
    /// A binary of this workspace.
    Cargo(&'static str),
    /// `peers/foreign/floor-poll.c`, which the C compiler builds.
    FloorPoll,
    /// `peers/foreign/libuv.c`, which the C compiler builds.
    Libuv,
    /// `peers/foreign/go`, which Go builds.
    Go,
}

/// rawecho with its default options.
pub const RAWECHO: &str = "rawecho";

/// rawecho without busy-polling.
pub const RAWECHO_SPIN0: &str = "rawecho-spin0";

/// rawecho with two threads.
pub const RAWECHO_WORKERS2: &str = "rawecho-workers2";

/// rawecho with two threads and without busy-polling.
pub const RAWECHO_WORKERS2_SPIN0: &str = "rawecho-workers2-spin0";

/// The floor of an epoll server: the plots show throughput as a share of this server's.
pub const FLOOR_EPOLL: &str = "floor-epoll";

/// The most that busy-polling can gain.
pub const FLOOR_SPIN: &str = "floor-spin";

/// The floor with unconditional busy-polling.
pub const FLOOR_POLL: &str = "floor-poll";

/// The largest number of connections for which busy-polling may pay. Cells of the grid up to this number
/// include the servers that show its gain.
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
        RAWECHO_WORKERS2_SPIN0,
        Role::Variant,
        Program::Rawecho,
        &["serve", "--workers", "2", "--spin", "0"],
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

/// Returns the role of the server `name`.
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
