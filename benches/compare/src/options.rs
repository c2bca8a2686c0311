//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::paths::benches;
use crate::sample::{Cell, Measure};

/// Measures rawecho and its peers side by side and writes the report.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Run 3 short rounds with a smaller grid, to check that everything works
    #[arg(long)]
    pub quick: bool,
    /// Number of rounds [default: 5, quick: 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// Seconds that most measurements last [default: 0.5, quick: 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds of load before a measurement
    #[arg(long, default_value_t = 0.15)]
    pub warmup: f64,
    /// Groups of measures to run
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Group::value_variants().to_vec())]
    pub measures: Vec<Group>,
    /// Servers to compare with rawecho, by name [default: all but the variants of rawecho]
    #[arg(long, value_delimiter = ',')]
    pub servers: Option<Vec<String>>,
    /// Numbers of connections in the grid [default: 1,2,3,4,8,10,50,1000,10000, quick: 1,2,50,1000]
    #[arg(long, value_delimiter = ',')]
    connections: Option<Vec<u64>>,
    /// Message sizes in the grid [default: 64,1024,16384,65536, quick: 64,16384]
    #[arg(long, value_delimiter = ',')]
    sizes: Option<Vec<u64>>,
    /// Messages in flight on each connection of the grid
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    in_flight: Vec<u64>,
    /// CPU of the servers [default: the last one allowed]
    #[arg(long)]
    pub server_cpu: Option<usize>,
    /// CPU of the load generator [default: the first one allowed]
    #[arg(long)]
    pub load_cpu: Option<usize>,
    /// Program to measure as rawecho [default: built from the project]
    #[arg(long)]
    pub rawecho: Option<PathBuf>,
    /// Millions of lines over which the node's memory must stay flat
    #[arg(long, default_value_t = 10)]
    pub million_lines: u64,
    /// Directory of the report [default: benches/results]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only write the report again, from the measurements in this file
    #[arg(long)]
    pub from: Option<PathBuf>,
}

/// A group of measures that the command line can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Throughput and latency: connections × size × messages in flight
    Grid,
    /// Throughput where busy-polling may not pay: busy CPUs, preemption, think times, a change of load
    Polling,
    /// CPU time and latency at 1,000, 10,000 and 50,000 messages a second
    Rate,
    /// Connections accepted, echoed and closed
    Connect,
    /// Memory of idle connections
    Idle,
    /// System calls for each message, counted by strace
    Syscalls,
    /// Heap allocations for each message, counted by valgrind
    Allocations,
    /// Server and load generator on one CPU
    OneCpu,
    /// More than one thread, not pinned
    Workers,
    /// The Maelstrom node, driven by JSON lines
    Node,
}

/// The largest number of connections, in the grid and in `idle`.
const MANY: u64 = 10_000;

/// The number of connections in measures that do not vary it.
const SOME: u64 = 50;

/// The bytes of a message in measures that do not vary the size.
const SMALL: u64 = 64;

/// The messages a second of the open loop.
const RATES: [u64; 3] = [1_000, 10_000, 50_000];

/// The think times of a client, in microseconds: shorter than the 60 µs for which rawecho busy-polls at most,
/// longer, and much longer.
const THINK: [u64; 3] = [10, 100, 1_000];

impl Options {
    /// Returns the number of rounds.
    pub fn rounds(&self) -> u64 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Returns the seconds that most measurements last.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.3 } else { 0.5 })
    }

    /// Returns the directory of the report.
    pub fn out(&self) -> Result<PathBuf> {
        match &self.out {
            Some(given) => Ok(given.clone()),
            None => Ok(benches()?.join("results")),
        }
    }

    /// Returns the measures and cells of one round, in order.
    pub fn plan(&self) -> Vec<(Measure, Cell)> {
        self.measures
            .iter()
            .flat_map(|group| self.measures_of(*group))
            .collect()
    }

    fn measures_of(&self, group: Group) -> Vec<(Measure, Cell)> {
        let some = Cell {
            connections: SOME,
            size: SMALL,
            in_flight: 1,
            ..Cell::default()
        };
        match group {
            Group::Grid => self.grid(),
            Group::Polling => {
                let cell = |connections, think| Cell {
                    connections,
                    think,
                    ..some
                };
                let thinking = THINK.map(|think| (Measure::Thinking, cell(1, think)));
                let few = |measure| [1, 2].map(|connections| (measure, cell(connections, 0)));
                let mut plan = vec![(Measure::Change, cell(2, 0))];
                plan.extend(thinking);
                plan.extend(few(Measure::Neighbours));
                plan.extend(few(Measure::Gaps));
                plan
            }
            Group::Rate => RATES
                .map(|rate| (Measure::Rate, Cell { rate, ..some }))
                .to_vec(),
            Group::Connect => vec![(Measure::Connect, some)],
            Group::Allocations => vec![(Measure::Allocations, some)],
            Group::OneCpu => vec![(
                Measure::OneCpu,
                Cell {
                    connections: 1,
                    ..some
                },
            )],
            Group::Idle => vec![(
                Measure::Idle,
                Cell {
                    connections: MANY,
                    ..some
                },
            )],
            Group::Syscalls => vec![(Measure::Syscalls, some)],
            Group::Workers => {
                vec![
                    (Measure::Workers, some),
                    (
                        Measure::Workers,
                        Cell {
                            in_flight: 16,
                            ..some
                        },
                    ),
                ]
            }
            Group::Node => Measure::NODE
                .map(|measure| (measure, Cell::default()))
                .to_vec(),
        }
    }

    fn grid(&self) -> Vec<(Measure, Cell)> {
        let or = |given: &Option<Vec<u64>>, quick: &[u64], full: &[u64]| {
            given.clone().unwrap_or_else(|| {
                if self.quick {
                    quick.into()
                } else {
                    full.into()
                }
            })
        };
        let all_connections = or(
            &self.connections,
            &[1, 2, SOME, 1000],
            &[1, 2, 3, 4, 8, 10, SOME, 1000, MANY],
        );
        let sizes = or(&self.sizes, &[SMALL, 16384], &[SMALL, 1024, 16384, 65536]);
        let mut cells = Vec::new();
        for &in_flight in &self.in_flight {
            // Cells with 2 to 9 connections show only busy-polling, for which 16 in flight leave no time.
            let matters = |connections: &&u64| {
                self.connections.is_some() || in_flight == 1 || !(2..10).contains(*connections)
            };
            for &connections in all_connections.iter().filter(matters) {
                for &size in &sizes {
                    cells.push((
                        Measure::Closed,
                        Cell {
                            connections,
                            size,
                            in_flight,
                            ..Cell::default()
                        },
                    ));
                }
            }
        }
        cells
    }
}
