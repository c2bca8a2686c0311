//! One measurement: of what, under which load, of which server, in which round.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Closed loop.
    Closed,
    /// Fixed rate.
    Rate,
    /// Connect, echo, close.
    Connect,
    /// Memory of idle connections.
    Idle,
    /// System calls for each message.
    Syscalls,
    /// Heap allocations for each message.
    Allocations,
    /// Closed loop, nothing pinned.
    Workers,
    /// Closed loop, server and load generator on one CPU.
    OneCpu,
    /// The node's `tcp_echo_send`.
    Send,
    /// The node's `tcp_echo_stats`.
    Stats,
    /// The node's `echo`.
    Echo,
    /// Heap allocations of the node for each line.
    LineAllocations,
    /// The node's memory over millions of lines.
    Lines,
    /// From exec to `init_ok`.
    Start,
    /// Size of the binary.
    Size,
}

impl Measure {
    /// Those that go through the node's JSON lines.
    pub const NODE: [Self; 7] = [
        Self::Send,
        Self::Stats,
        Self::Echo,
        Self::LineAllocations,
        Self::Lines,
        Self::Start,
        Self::Size,
    ];

    /// Whether one round tells all: there is no chance in it.
    pub fn once(self) -> bool {
        matches!(
            self,
            Self::Allocations | Self::LineAllocations | Self::Lines | Self::Size
        )
    }
}

/// The load: how many connections, bytes in a message, messages in flight. All
/// are zero where the load generator has no part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// Open at the same time.
    pub connections: u64,
    /// Bytes in a message.
    pub size: u64,
    /// Messages in flight on each connection.
    pub in_flight: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("–");
        }
        let size = match self.size {
            size if size % 1024 == 0 => format!("{} KiB", size / 1024),
            size => format!("{size} B"),
        };
        write!(f, "{} × {size} × {}", self.connections, self.in_flight)
    }
}

/// A number that a measurement yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Messages, connections or lines a second.
    PerSecond,
    /// Median latency in microseconds.
    P50,
    /// 99 % of all messages took less, in microseconds.
    P99,
    /// 99.9 % of all messages took less, in microseconds.
    P999,
    /// The slowest message, in microseconds.
    Slowest,
    /// CPU microseconds of the server for each message.
    ServerCpu,
    /// Share of one CPU that the server took.
    ServerShare,
    /// Share of one CPU that the load generator took.
    LoadShare,
    /// Growth of resident memory in KiB.
    Rss,
    /// Growth of proportional memory (shared pages divided) in KiB.
    Pss,
    /// System calls for each message.
    Syscalls,
    /// Heap allocations for each message.
    Allocations,
    /// Heap allocations for each `tcp_echo_stats`.
    StatsAllocations,
    /// Heap allocations for each `tcp_echo_send`.
    SendAllocations,
    /// Heap allocations for each `echo`.
    EchoAllocations,
    /// Milliseconds.
    Milliseconds,
    /// Size in KiB.
    KiB,
}

/// What a measurement yields.
pub type Values = BTreeMap<Metric, f64>;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What was measured.
    pub measure: Measure,
    /// Under which load.
    #[serde(flatten)]
    pub cell: Cell,
    /// Of which server.
    pub server: String,
    /// In which round.
    pub round: u64,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a measurement ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With numbers.
    Values(Values),
    /// With an error.
    Failed(String),
}
