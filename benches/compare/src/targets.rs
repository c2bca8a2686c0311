//! The targets for rawecho, and whether a run meets them.

use crate::report::{number, spread};
use crate::results::{Better, Duel, Results, Spread};
use crate::sample::{Cell, Measure, Metric};
use crate::servers::{
    FEW_CONNECTIONS, FLOOR_EPOLL, FLOOR_POLL, FLOOR_SPIN, RAWECHO, RAWECHO_SPIN0, RAWECHO_WORKERS2,
    RAWECHO_WORKERS2_SPIN0,
};

/// Throughput as a share of `floor-epoll`'s, in every cell: at least.
const OF_THE_FLOOR: f64 = 0.97;
/// Round trips on one connection, relative to the best peer: at least.
const ROUND_TRIPS: f64 = 2.5;
/// The cell of the round trips.
pub const ROUND_TRIP: Cell = Cell {
    connections: 1,
    size: 64,
    in_flight: 1,
    think: 0,
    rate: 0,
};
/// Throughput of one and two connections, relative to `floor-poll`: at least.
const OF_POLLING: f64 = 0.95;
/// Throughput relative to the better of polling and not polling: at least.
const OF_THE_BETTER: f64 = 0.97;
/// Throughput with gaps, relative to `floor-poll`: at least.
const WITH_GAPS: f64 = 0.93;
/// CPU time for a message of a client that thinks, relative to rawecho without busy-polling: at most.
const FOR_THINKING: f64 = 2.0;
/// CPU time for a message at a fixed rate, relative to the best peer: at most.
const AT_A_RATE: f64 = 1.1;
/// Round trips on a CPU shared with the client, relative to rawecho without busy-polling: at least.
const SHARED: f64 = 0.98;
/// Throughput of two threads, relative to the same without busy-polling: at least.
const THREADS: f64 = 0.98;
/// Heap allocations for each message that count as none: at most one in a thousand messages.
const NONE: f64 = 0.001;
/// System calls for each message: at most.
const SYSCALLS: f64 = 2.1;
/// KiB of memory of all idle connections together: at most.
const IDLE: f64 = 2048.0;
/// The rate of `tcp_echo_send` as a share of `floor-once`'s: at least.
const OF_ONCE: f64 = 0.85;
/// `tcp_echo_stats` lines a second: at least.
const LINES: f64 = 500_000.0;
/// KiB by which the node's memory may grow and still count as flat, because allocators return and
/// take pages.
const FLAT: f64 = 64.0;
/// Milliseconds from exec to `init_ok`: at most.
const START: f64 = 2.0;
/// Size of the binary in KiB: at most.
const BINARY: f64 = 600.0;

/// One target, with its result.
pub struct Verdict {
    /// The figure.
    pub what: String,
    /// The target for the figure.
    pub target: String,
    /// The measured figure.
    pub found: String,
    /// Whether the figure meets the target.
    pub met: Met,
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// No round meets it.
    No,
    /// At least one round meets it, but the median does not.
    WithinSpread,
    /// The median meets it.
    Yes,
    /// There is no target, or this run did not measure the figure.
    Open,
}

/// A bound of a figure.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn met(self, found: Spread) -> Met {
        let (median, best) = match self {
            Self::AtLeast(limit) => (found.median >= limit, found.max >= limit),
            Self::AtMost(limit) => (found.median <= limit, found.min <= limit),
        };
        match (median, best) {
            (true, _) => Met::Yes,
            (_, true) => Met::WithinSpread,
            _ => Met::No,
        }
    }
}

/// Returns all targets with their results.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::from(grid(results));
    verdicts.extend(few_connections(results));
    verdicts.extend(polling(results));
    verdicts.extend(rates(results));
    verdicts.extend(server(results));
    verdicts.extend(workers(results));
    verdicts.extend(node(results));
    verdicts
}

/// Returns the targets for every cell of the grid.
fn grid(results: &Results) -> [Verdict; 3] {
    let peers = |metric, better| {
        move |cell| results.against_best_peer(RAWECHO, Measure::Closed, cell, metric, better)
    };
    let floor = |cell| {
        let pair = [RAWECHO, FLOOR_EPOLL];
        results.duel(Measure::Closed, cell, Metric::PerSecond, pair)
    };
    let closed = results.cells(Measure::Closed);
    [
        every_cell(
            "throughput, every cell",
            "at least the best peer's",
            &closed,
            peers(Metric::PerSecond, Better::More),
            Goal::AtLeast(1.0),
        ),
        every_cell(
            "throughput, every cell",
            "at least 0.97 of the epoll floor's",
            &closed,
            floor,
            Goal::AtLeast(OF_THE_FLOOR),
        ),
        every_cell(
            "p99 latency, every cell",
            "at most the best peer's",
            &closed,
            peers(Metric::P99, Better::Less),
            Goal::AtMost(1.0),
        ),
    ]
}

/// Returns the targets for few connections, where busy-polling may pay.
fn few_connections(results: &Results) -> [Verdict; 2] {
    let closed = results.cells(Measure::Closed);
    let small = |cell: &Cell| cell.size <= 1024 && cell.in_flight == 1;
    [
        every_cell(
            "1 and 2 connections, up to 1 KiB",
            "at least 0.95 of floor-poll's",
            &closed,
            |cell| {
                let pair = [RAWECHO, FLOOR_POLL];
                let duel = results.duel(Measure::Closed, cell, Metric::PerSecond, pair);
                duel.filter(|_| small(&cell) && cell.connections <= 2)
            },
            Goal::AtLeast(OF_POLLING),
        ),
        every_cell(
            "3 to 10 connections",
            OF_THE_BETTER_OF_BOTH,
            &closed,
            |cell| {
                let duel = against_the_better(results, Measure::Closed, cell);
                duel.filter(|_| (3..=FEW_CONNECTIONS).contains(&cell.connections))
            },
            Goal::AtLeast(OF_THE_BETTER),
        ),
    ]
}

/// The target of [`OF_THE_BETTER`].
const OF_THE_BETTER_OF_BOTH: &str =
    "at least 0.97 of the better of floor-poll's and that without busy-polling";

/// Compares the throughput with the better of polling and not polling: the comparison with the lower ratio.
fn against_the_better(results: &Results, measure: Measure, cell: Cell) -> Option<Duel> {
    let duels = [FLOOR_POLL, RAWECHO_SPIN0]
        .map(|other| results.duel(measure, cell, Metric::PerSecond, [RAWECHO, other]));
    let duels = duels.into_iter().flatten();
    duels.min_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median))
}

/// Returns the targets for the situations in which it is hard to tell whether busy-polling pays.
fn polling(results: &Results) -> [Verdict; 5] {
    let of_the_better = |what, measure| {
        every_cell(
            what,
            OF_THE_BETTER_OF_BOTH,
            &results.cells(measure),
            |cell| against_the_better(results, measure, cell),
            Goal::AtLeast(OF_THE_BETTER),
        )
    };
    let against =
        |measure, metric, other| move |cell| results.duel(measure, cell, metric, [RAWECHO, other]);
    [
        of_the_better("a busy loop on each CPU", Measure::Neighbours),
        every_cell(
            "gaps of 0.5 ms, twice a second",
            "at least 0.93 of floor-poll's",
            &results.cells(Measure::Gaps),
            against(Measure::Gaps, Metric::PerSecond, FLOOR_POLL),
            Goal::AtLeast(WITH_GAPS),
        ),
        of_the_better("a client that thinks", Measure::Thinking),
        every_cell(
            "the same: server CPU/message",
            "at most twice that without busy-polling",
            &results.cells(Measure::Thinking),
            against(Measure::Thinking, Metric::ServerCpu, RAWECHO_SPIN0),
            Goal::AtMost(FOR_THINKING),
        ),
        of_the_better("100 ms after a change from 1 connection", Measure::Change),
    ]
}

/// Returns the targets for the open loop.
fn rates(results: &Results) -> [Verdict; 3] {
    let against_peers = |what, target, metric, limit| {
        every_cell(
            what,
            target,
            &results.cells(Measure::Rate),
            |cell| results.against_best_peer(RAWECHO, Measure::Rate, cell, metric, Better::Less),
            Goal::AtMost(limit),
        )
    };
    [
        against_peers(
            "open loop: server CPU/message",
            "at most 1.1 × the best peer's",
            Metric::ServerCpu,
            AT_A_RATE,
        ),
        against_peers(
            "open loop: p50 latency",
            "at most the best peer's",
            Metric::P50,
            1.0,
        ),
        against_peers(
            "open loop: p99 latency",
            "at most the best peer's",
            Metric::P99,
            1.0,
        ),
    ]
}

/// Returns the targets for the server.
fn server(results: &Results) -> [Verdict; 6] {
    let connections = results.cells(Measure::Connect).first().and_then(|cell| {
        let (measure, metric) = (Measure::Connect, Metric::PerSecond);
        results.against_best_peer(RAWECHO, measure, *cell, metric, Better::More)
    });
    let one_cpu = results.duel(
        Measure::OneCpu,
        ROUND_TRIP,
        Metric::PerSecond,
        [RAWECHO, RAWECHO_SPIN0],
    );
    let found = |measure, metric| figure(results, measure, metric);
    [
        round_trips(results),
        one(
            "the same, client on the server's CPU",
            "at least 0.98 of that without busy-polling",
            one_cpu,
            Goal::AtLeast(SHARED),
        ),
        value(
            "system calls/message, 50 connections",
            "at most 2.1",
            found(Measure::Syscalls, Metric::Syscalls),
            Goal::AtMost(SYSCALLS),
        ),
        value(
            "heap allocations/message, 50 connections",
            "0",
            found(Measure::Allocations, Metric::Allocations),
            Goal::AtMost(NONE),
        ),
        value(
            "KiB for 10,000 idle connections",
            "at most 2,048",
            found(Measure::Idle, Metric::Rss),
            Goal::AtMost(IDLE),
        ),
        one(
            "connections/s",
            "at least the best peer's",
            connections,
            Goal::AtLeast(1.0),
        ),
    ]
}

/// Returns the targets for the node and its binary.
fn node(results: &Results) -> Vec<Verdict> {
    let send = results.duel(
        Measure::Send,
        Cell::default(),
        Metric::PerSecond,
        [RAWECHO, "floor-once"],
    );
    let found = |measure, metric| figure(results, measure, metric);
    let allocations = |what, metric| {
        let found = found(Measure::LineAllocations, metric);
        value(what, "0", found, Goal::AtMost(NONE))
    };
    vec![
        one(
            "`tcp_echo_send`/s",
            "at least 0.85 of the one-thread floor's",
            send,
            Goal::AtLeast(OF_ONCE),
        ),
        value(
            "`tcp_echo_stats`/s",
            "at least 500,000",
            found(Measure::Stats, Metric::PerSecond),
            Goal::AtLeast(LINES),
        ),
        reported(
            "`echo`/s",
            found(Measure::Echo, Metric::PerSecond).map(spread),
        ),
        allocations("heap allocations/`tcp_echo_send`", Metric::SendAllocations),
        allocations(
            "heap allocations/`tcp_echo_stats`",
            Metric::StatsAllocations,
        ),
        allocations("heap allocations/`echo`", Metric::EchoAllocations),
        value(
            &format!(
                "resident memory added by {} million lines, KiB",
                results.header.million_lines
            ),
            "flat, within 64",
            found(Measure::Lines, Metric::Rss),
            Goal::AtMost(FLAT),
        ),
        value(
            "time from exec to `init_ok`, ms",
            "at most 2",
            found(Measure::Start, Metric::Milliseconds),
            Goal::AtMost(START),
        ),
        value(
            "size of the binary, KiB",
            "at most 600",
            found(Measure::Size, Metric::KiB),
            Goal::AtMost(BINARY),
        ),
    ]
}

/// Returns rawecho's figure in a measure that has one cell.
fn figure(results: &Results, measure: Measure, metric: Metric) -> Option<Spread> {
    results.spread(measure, *results.cells(measure).first()?, RAWECHO, metric)
}

/// Compares round trips with the best peer, and with the most that busy-polling can gain: where a wake-up
/// is cheap, no server can reach 2.5 times a peer's.
fn round_trips(results: &Results) -> Verdict {
    let against_peer = |one| {
        let (measure, metric) = (Measure::Closed, Metric::PerSecond);
        results.against_best_peer(one, measure, ROUND_TRIP, metric, Better::More)
    };
    let mut verdict = one(
        "1 connection, 64 B, round trips/s",
        "at least 2.5 × the best peer's",
        against_peer(RAWECHO),
        Goal::AtLeast(ROUND_TRIPS),
    );
    let most = results.duel(
        Measure::Closed,
        ROUND_TRIP,
        Metric::PerSecond,
        [RAWECHO, FLOOR_SPIN],
    );
    if let (Some(most), Some(limit)) = (most, against_peer(FLOOR_SPIN)) {
        verdict.found += &format!(
            "; {} of {FLOOR_SPIN}'s, which are {} × the best peer's and the most that busy-polling can gain here",
            spread(most.ratio),
            spread(limit.ratio),
        );
    }
    verdict
}

/// Returns the target for two threads, and for each cell the gain of the second thread with the CPU time that
/// the load generator uses.
fn workers(results: &Results) -> Vec<Verdict> {
    let cpus = results.header.cores;
    let cells = results.cells(Measure::Workers);
    let polling = every_cell(
        "2 threads, no CPU pinning",
        "at least 0.98 of the same without busy-polling",
        &cells,
        |cell| {
            let pair = [RAWECHO_WORKERS2, RAWECHO_WORKERS2_SPIN0];
            results.duel(Measure::Workers, cell, Metric::PerSecond, pair)
        },
        Goal::AtLeast(THREADS),
    );
    let each = |cell| {
        let pair = [RAWECHO_WORKERS2, RAWECHO];
        let duel = results.duel(Measure::Workers, cell, Metric::PerSecond, pair);
        let load = results.spread(Measure::Workers, cell, RAWECHO_WORKERS2, Metric::LoadShare);
        let found = duel.zip(load).map(|(duel, load)| {
            format!(
                "{} × 1 thread; of {cpus} CPUs the load generator used {}",
                spread(duel.ratio),
                spread(load)
            )
        });
        reported(&format!("2 threads, {cell}, no CPU pinning"), found)
    };
    let gains = cells.iter().copied().map(each);
    std::iter::once(polling).chain(gains).collect()
}

fn one(what: &str, target: &str, duel: Option<Duel>, goal: Goal) -> Verdict {
    let found = duel.as_ref().map(|duel| {
        let (ours, theirs) = (number(duel.ours.median), number(duel.theirs.median));
        let ratio = spread(duel.ratio);
        format!("{ours}, {} {theirs}: ratio {ratio}", duel.other)
    });
    verdict(what, target, found, duel.map(|duel| goal.met(duel.ratio)))
}

fn every_cell(
    what: &str,
    target: &str,
    cells: &[Cell],
    duel: impl Fn(Cell) -> Option<Duel>,
    goal: Goal,
) -> Verdict {
    let duels: Vec<Duel> = cells.iter().copied().filter_map(duel).collect();
    let by_ratio = |a: &&Duel, b: &&Duel| a.ratio.median.total_cmp(&b.ratio.median);
    let worst = match goal {
        Goal::AtLeast(_) => duels.iter().min_by(by_ratio),
        Goal::AtMost(_) => duels.iter().max_by(by_ratio),
    };
    let count = |met| {
        duels
            .iter()
            .filter(|duel| goal.met(duel.ratio) == met)
            .count()
    };
    let found = worst.map(|worst| {
        format!(
            "yes in {}, within spread in {}, no in {} of {} cells; worst: {} of {} at {}",
            count(Met::Yes),
            count(Met::WithinSpread),
            count(Met::No),
            duels.len(),
            spread(worst.ratio),
            worst.other,
            worst.cell
        )
    });
    let met = duels.iter().map(|duel| goal.met(duel.ratio)).min();
    verdict(what, target, found, met)
}

fn value(what: &str, target: &str, found: Option<Spread>, goal: Goal) -> Verdict {
    let met = found.map(|found| goal.met(found));
    verdict(what, target, found.map(spread), met)
}

/// Returns a figure without a target.
fn reported(what: &str, found: Option<String>) -> Verdict {
    verdict(what, "–", found, None)
}

fn verdict(what: &str, target: &str, found: Option<String>, met: Option<Met>) -> Verdict {
    Verdict {
        what: what.into(),
        target: target.into(),
        found: found.unwrap_or_else(|| "not measured".into()),
        met: met.unwrap_or(Met::Open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_met_by_the_median_or_within_the_spread_or_not_at_all() {
        let found = Spread {
            min: 1.0,
            median: 2.0,
            max: 3.0,
        };
        let at_least = [2.0, 3.0, 3.1].map(|limit| Goal::AtLeast(limit).met(found));
        assert_eq!(at_least, [Met::Yes, Met::WithinSpread, Met::No]);
        let at_most = [2.0, 1.0, 0.9].map(|limit| Goal::AtMost(limit).met(found));
        assert_eq!(at_most, [Met::Yes, Met::WithinSpread, Met::No]);
    }
}
