//! What rawecho is to reach, and whether it does.

use crate::report::{number, spread};
use crate::results::{Better, Duel, Results, Spread};
use crate::sample::{Cell, Measure, Metric};
use crate::servers::RAWECHO;

/// Share of the floor's throughput in every cell.
const OF_THE_FLOOR: f64 = 0.97;
/// Round trips on one connection, against the best peer.
const ROUND_TRIPS: f64 = 2.5;
/// The cell of the round trips.
pub const ROUND_TRIP: Cell = Cell {
    connections: 1,
    size: 64,
    in_flight: 1,
};
/// System calls for each message.
const SYSCALLS: f64 = 2.1;
/// KiB of memory that the idle connections take together.
const IDLE: f64 = 2048.0;
/// Share of the rate of one thread that does all of `tcp_echo_send` itself.
const OF_ONCE: f64 = 0.85;
/// Lines a second.
const LINES: f64 = 500_000.0;
/// KiB by which the node's memory may move and still be flat: allocators give
/// pages back and take them.
const FLAT: f64 = 64.0;
/// Milliseconds from exec to `init_ok`.
const START: f64 = 2.0;
/// KiB of the binary.
const BINARY: f64 = 600.0;

/// One target.
pub struct Verdict {
    /// What is measured.
    pub what: &'static str,
    /// What it has to be.
    pub target: String,
    /// What it is.
    pub found: String,
    /// Whether that will do.
    pub met: Met,
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Yes.
    Yes,
    /// No.
    No,
    /// This run did not measure it.
    Unknown,
}

/// All targets that a comparison can tell of.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let peers = |metric, better| {
        move |cell| results.against_best_peer(Measure::Closed, cell, metric, better)
    };
    let floor = |cell| {
        results.duel(
            Measure::Closed,
            cell,
            Metric::PerSecond,
            [RAWECHO, "floor-epoll"],
        )
    };
    let best_peer = |measure, metric, better| {
        let cell = results.cells(measure).first().copied()?;
        results.against_best_peer(measure, cell, metric, better)
    };
    let only = |measure, metric| {
        results.spread(measure, *results.cells(measure).first()?, RAWECHO, metric)
    };
    let round_trip =
        results.against_best_peer(Measure::Closed, ROUND_TRIP, Metric::PerSecond, Better::More);
    let send = results.duel(
        Measure::Send,
        Cell::default(),
        Metric::PerSecond,
        [RAWECHO, "floor-once"],
    );
    let cpu = best_peer(Measure::Rate, Metric::ServerCpu, Better::Less);
    let connect = best_peer(Measure::Connect, Metric::PerSecond, Better::More);
    vec![
        every_cell(
            "throughput, every cell",
            "at least the best peer's median, within its spread",
            results,
            peers(Metric::PerSecond, Better::More),
            not_below,
            Better::More,
        ),
        every_cell(
            "throughput, every cell",
            "at least 0.97 of the epoll floor",
            results,
            floor,
            |duel| duel.ratio.median >= OF_THE_FLOOR,
            Better::More,
        ),
        one(
            "1 connection, 64 B, round trips/s",
            "at least 2.5 × the best peer",
            round_trip,
            |duel| duel.ratio.median >= ROUND_TRIPS,
        ),
        every_cell(
            "p99 latency, every cell",
            "no worse than the best peer's, within its spread",
            results,
            peers(Metric::P99, Better::Less),
            |duel| duel.ours.median <= duel.theirs.max,
            Better::Less,
        ),
        one(
            "server CPU µs/message at 50,000/s",
            "the least of all peers",
            cpu,
            |duel| duel.ours.median <= duel.theirs.median,
        ),
        value(
            "system calls/message, 50 connections",
            "at most",
            SYSCALLS,
            only(Measure::Syscalls, Metric::Syscalls),
        ),
        value(
            "KiB for 10,000 idle connections",
            "under",
            IDLE,
            only(Measure::Idle, Metric::Rss),
        ),
        one(
            "connections/s",
            "at least the best peer, within its spread",
            connect,
            not_below,
        ),
        one(
            "`tcp_echo_send`/s",
            "at least 0.85 of the one-thread floor",
            send,
            |duel| duel.ratio.median >= OF_ONCE,
        ),
        at_least(
            "`tcp_echo_stats`/s",
            LINES,
            only(Measure::Stats, Metric::PerSecond),
        ),
        value(
            "KiB more after the node's millions of lines",
            "flat, within",
            FLAT,
            only(Measure::Lines, Metric::Rss),
        ),
        value(
            "ms from exec to `init_ok`",
            "under",
            START,
            only(Measure::Start, Metric::Milliseconds),
        ),
        value(
            "KiB of the binary",
            "under",
            BINARY,
            only(Measure::Size, Metric::KiB),
        ),
    ]
}

/// At least the other's median, or the least that it had in a round.
fn not_below(duel: &Duel) -> bool {
    duel.ours.median >= duel.theirs.min
}

fn one(
    what: &'static str,
    target: &str,
    duel: Option<Duel>,
    reached: impl Fn(&Duel) -> bool,
) -> Verdict {
    let found = duel.as_ref().map(|duel| {
        let (ours, theirs) = (number(duel.ours.median), number(duel.theirs.median));
        format!(
            "{ours}, {} {theirs}: ratio {}",
            duel.other,
            spread(duel.ratio)
        )
    });
    verdict(
        what,
        target.into(),
        found,
        duel.is_some_and(|duel| reached(&duel)),
    )
}

fn every_cell(
    what: &'static str,
    target: &str,
    results: &Results,
    duel: impl Fn(Cell) -> Option<Duel>,
    reached: impl Fn(&Duel) -> bool,
    better: Better,
) -> Verdict {
    let duels: Vec<Duel> = results
        .cells(Measure::Closed)
        .into_iter()
        .filter_map(duel)
        .collect();
    let by_ratio = |a: &&Duel, b: &&Duel| a.ratio.median.total_cmp(&b.ratio.median);
    let worst = match better {
        Better::More => duels.iter().min_by(by_ratio),
        Better::Less => duels.iter().max_by(by_ratio),
    };
    let good = duels.iter().filter(|duel| reached(duel)).count();
    let found = worst.map(|worst| {
        let ratio = spread(worst.ratio);
        format!(
            "{good} of {} cells; worst: {ratio} of {} at {}",
            duels.len(),
            worst.other,
            worst.cell
        )
    });
    verdict(what, target.into(), found, good == duels.len())
}

fn value(what: &'static str, bound: &str, limit: f64, found: Option<Spread>) -> Verdict {
    let reached = found.is_some_and(|found| found.median <= limit);
    verdict(
        what,
        format!("{bound} {}", number(limit)),
        found.map(spread),
        reached,
    )
}

fn at_least(what: &'static str, limit: f64, found: Option<Spread>) -> Verdict {
    let reached = found.is_some_and(|found| found.median >= limit);
    verdict(
        what,
        format!("at least {}", number(limit)),
        found.map(spread),
        reached,
    )
}

fn verdict(what: &'static str, target: String, found: Option<String>, reached: bool) -> Verdict {
    let met = match (&found, reached) {
        (None, _) => Met::Unknown,
        (_, true) => Met::Yes,
        (_, false) => Met::No,
    };
    Verdict {
        what,
        target,
        found: found.unwrap_or_else(|| "not measured".into()),
        met,
    }
}
