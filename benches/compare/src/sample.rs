//! One measurement: its measure, its load, its server and its round.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::number;

/// The measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Closed loop.
    Closed,
    /// Closed loop, with a busy loop on the server's CPU and one on the load generator's.
    Neighbours,
    /// Closed loop, with a real-time thread that takes the server's CPU for 0.5 ms twice a second.
    Gaps,
    /// Closed loop, with a client that thinks before each message.
    Thinking,
    /// Closed loop, right after a load with one connection.
    Change,
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
    /// The time from exec to `init_ok`.
    Start,
    /// Size of the binary.
    Size,
}

impl Measure {
    /// The measures of the node and its binary.
    pub const NODE: [Self; 7] = [
        Self::Send,
        Self::Stats,
        Self::Echo,
        Self::LineAllocations,
        Self::Lines,
        Self::Start,
        Self::Size,
    ];

    /// The measures of situations in which it is hard to tell whether busy-polling pays.
    pub const POLLING: [Self; 4] = [Self::Neighbours, Self::Gaps, Self::Thinking, Self::Change];

    /// Returns whether one round suffices, because the figure does not vary by chance.
    pub fn once(self) -> bool {
        matches!(
            self,
            Self::Allocations | Self::LineAllocations | Self::Lines | Self::Size
        )
    }
}

/// A load. All fields are zero in a measure without the load generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// Connections open at the same time.
    pub connections: u64,
    /// Bytes in a message.
    pub size: u64,
    /// Messages in flight on each connection.
    pub in_flight: u64,
    /// Microseconds that the client thinks before each message.
    #[serde(default)]
    pub think: u64,
    /// Messages a second over all connections, in an open loop.
    #[serde(default)]
    pub rate: u64,
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
        write!(f, "{} × {size} × {}", self.connections, self.in_flight)?;
        match (self.think, self.rate) {
            (0, 0) => Ok(()),
            (0, rate) => write!(f, ", {}/s", number(rate as f64)),
            (think, _) => write!(f, ", thinking {think} µs"),
        }
    }
}

/// The figures of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Messages, connections or lines a second.
    PerSecond,
    /// Median latency in microseconds.
    P50,
    /// 99th percentile of latency in microseconds.
    P99,
    /// 99.9th percentile of latency in microseconds.
    P999,
    /// Latency of the slowest message in microseconds.
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

/// The figures of one measurement.
pub type Values = BTreeMap<Metric, f64>;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The measure.
    pub measure: Measure,
    /// The load.
    #[serde(flatten)]
    pub cell: Cell,
    /// The server's name.
    pub server: String,
    /// The round, from 0.
    pub round: u64,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its figures.
    Values(Values),
    /// The error that made it fail.
    Failed(String),
}
