//! The text of the report, in Markdown.

use std::fmt::Write;

use super::{number, spread};
use crate::machine::Header;
use crate::results::{Better, Results};
use crate::sample::{Cell, Measure, Metric};
use crate::servers::{
    FEW_CONNECTIONS, FLOOR_EPOLL, FLOOR_POLL, FLOOR_SPIN, RAWECHO, RAWECHO_SPIN0,
};
use crate::targets::{Met, Verdict, verdicts};

/// The tables: title, measure and metric.
const TABLES: [(&str, Measure, Metric); 22] = [
    ("Throughput, messages/s", Measure::Closed, Metric::PerSecond),
    ("Latency, p50 in µs", Measure::Closed, Metric::P50),
    ("Latency, p99 in µs", Measure::Closed, Metric::P99),
    ("Latency, p99.9 in µs", Measure::Closed, Metric::P999),
    ("Latency, slowest in µs", Measure::Closed, Metric::Slowest),
    (
        "A busy loop on each CPU: messages/s",
        Measure::Neighbours,
        Metric::PerSecond,
    ),
    (
        "Gaps of 0.5 ms, twice a second: messages/s",
        Measure::Gaps,
        Metric::PerSecond,
    ),
    (
        "A client that thinks: messages/s",
        Measure::Thinking,
        Metric::PerSecond,
    ),
    (
        "A client that thinks: server CPU µs/message",
        Measure::Thinking,
        Metric::ServerCpu,
    ),
    (
        "From 100 ms after a change from one connection: messages/s",
        Measure::Change,
        Metric::PerSecond,
    ),
    (
        "Open loop: server CPU µs/message",
        Measure::Rate,
        Metric::ServerCpu,
    ),
    (
        "Open loop: p50 in µs from when a message was due",
        Measure::Rate,
        Metric::P50,
    ),
    (
        "Open loop: p99 in µs from when a message was due",
        Measure::Rate,
        Metric::P99,
    ),
    (
        "Connections/s: connect, echo, close",
        Measure::Connect,
        Metric::PerSecond,
    ),
    (
        "Server CPU µs/connection",
        Measure::Connect,
        Metric::ServerCpu,
    ),
    (
        "Resident memory added by idle connections, KiB",
        Measure::Idle,
        Metric::Rss,
    ),
    ("System calls/message", Measure::Syscalls, Metric::Syscalls),
    (
        "Heap allocations/message",
        Measure::Allocations,
        Metric::Allocations,
    ),
    (
        "Server and load generator on one CPU: messages/s",
        Measure::OneCpu,
        Metric::PerSecond,
    ),
    (
        "No CPU pinning: messages/s",
        Measure::Workers,
        Metric::PerSecond,
    ),
    (
        "No CPU pinning: CPUs used by the server",
        Measure::Workers,
        Metric::ServerShare,
    ),
    (
        "No CPU pinning: CPUs used by the load generator",
        Measure::Workers,
        Metric::LoadShare,
    ),
];

/// Returns the whole report. `plots` are the files to show, each with its alternative text.
pub fn render<'a>(results: &Results, plots: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    head(&mut text, &results.header);
    targets(&mut text, results);
    for (file, alternative) in plots {
        text += &format!("![{alternative}]({file})\n\n");
    }
    duels(&mut text, results);
    polling(&mut text, results);
    for (title, measure, metric) in TABLES {
        table(&mut text, results, title, measure, metric);
    }
    node(&mut text, results);
    failures(&mut text, results);
    text
}

fn head(text: &mut String, header: &Header) {
    let Header {
        date,
        command,
        cpu,
        cores,
        kernel,
        open_files,
        load_average,
        rounds,
        seconds,
        ..
    } = header;
    *text += "# Results\n\n";
    *text += &format!("Measured on {date} in `benches/` with\n\n    {command}\n\n");
    *text += &format!(
        "on {cores} × {cpu}, Linux {kernel}, at most {open_files} open files; \
         load average over the minute before the start: {load_average}. \
         Rounds: {rounds}; most measurements last {seconds} s. \
         A figure is the median of the rounds, with the minimum and the maximum in parentheses; \
         a ratio is computed within each round, and its median is shown. \
         A cell is connections × bytes in a message × messages in flight. \
         Every measurement is in `raw.jsonl`, which the repository leaves out.\n\n"
    );
    for missing in &header.missing {
        *text += &format!("Not measured: {missing}.\n\n");
    }
}

fn targets(text: &mut String, results: &Results) {
    *text += "## Targets\n\n| what | target | found | met |\n| --- | --- | --- | --- |\n";
    for verdict in verdicts(results) {
        let met = match verdict.met {
            Met::Yes => "yes",
            Met::WithinSpread => "within spread",
            Met::No => "**no**",
            Met::Open => "–",
        };
        let Verdict {
            what,
            target,
            found,
            ..
        } = verdict;
        *text += &format!("| {what} | {target} | {found} | {met} |\n");
    }
    *text += "\nyes: the median reaches the target. \
              Within spread: the median does not, but at least one round does. \
              No: no round does. \
              A target for several cells has the worst verdict of its cells.\n\n";
}

/// Compares rawecho in every cell with the best peer of that cell, and with the floor.
fn duels(text: &mut String, results: &Results) {
    let cells = results.cells(Measure::Closed);
    if cells.is_empty() {
        return;
    }
    *text += "## rawecho against the best peer and the floor\n\n\
              | cell | messages/s | best peer | ratio | ratio to floor-epoll | p99 µs | lowest p99 of a peer | ratio |\n\
              | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for cell in cells {
        let best = |metric, better| {
            let duel = results.against_best_peer(RAWECHO, Measure::Closed, cell, metric, better);
            let ours = results.spread(Measure::Closed, cell, RAWECHO, metric);
            [
                ours.map(spread),
                duel.as_ref()
                    .map(|duel| format!("{} {}", duel.other, spread(duel.theirs))),
                duel.as_ref().map(|duel| number(duel.ratio.median)),
            ]
        };
        let floor = results.duel(
            Measure::Closed,
            cell,
            Metric::PerSecond,
            [RAWECHO, FLOOR_EPOLL],
        );
        let [throughput, peer, ratio] = best(Metric::PerSecond, Better::More);
        let [p99, least, latency_ratio] = best(Metric::P99, Better::Less);
        let floor = floor.map(|duel| number(duel.ratio.median));
        row(
            text,
            cell,
            [throughput, peer, ratio, floor, p99, least, latency_ratio],
        );
    }
    *text += "\n";
}

/// Compares few connections with and without busy-polling, and with the floors that poll.
fn polling(text: &mut String, results: &Results) {
    let few = |cell: &Cell| cell.connections <= FEW_CONNECTIONS && cell.in_flight == 1;
    let cells = results.cells(Measure::Closed).into_iter();
    let mut cells = cells.filter(few).peekable();
    if cells.peek().is_none() {
        return;
    }
    let servers = [RAWECHO, RAWECHO_SPIN0, FLOOR_EPOLL, FLOOR_POLL, FLOOR_SPIN];
    *text += &format!(
        "## Few connections, with and without busy-polling: messages/s\n\n\
         | cell | {} | rawecho to {FLOOR_POLL} | rawecho to {RAWECHO_SPIN0} |\n| --- |{}\n",
        servers.join(" | "),
        " --- |".repeat(servers.len() + 2)
    );
    for cell in cells {
        let (measure, metric) = (Measure::Closed, Metric::PerSecond);
        let found = servers.map(|name| results.spread(measure, cell, name, metric).map(spread));
        let ratios = [FLOOR_POLL, RAWECHO_SPIN0].map(|other| {
            let duel = results.duel(measure, cell, metric, [RAWECHO, other]);
            duel.map(|duel| spread(duel.ratio))
        });
        row(text, cell, found.into_iter().chain(ratios));
    }
    *text += "\n";
}

/// Writes a table of the measured servers in all cells of a measure. That of the grid leaves out servers that
/// are measured with few connections only.
fn table(text: &mut String, results: &Results, title: &str, measure: Measure, metric: Metric) {
    let servers = match measure {
        Measure::Closed => results.servers_of_grid(),
        _ => results.servers(measure),
    };
    if servers.is_empty() {
        return;
    }
    let rule = " --- |".repeat(servers.len());
    *text += &format!(
        "## {title}\n\n| cell | {} |\n| --- |{rule}\n",
        servers.join(" | ")
    );
    for cell in results.cells(measure) {
        let found = servers
            .iter()
            .map(|name| results.spread(measure, cell, name, metric));
        row(text, cell, found.map(|found| found.map(spread)));
    }
    *text += "\n";
}

fn row(text: &mut String, cell: Cell, columns: impl IntoIterator<Item = Option<String>>) {
    write!(text, "| {cell} |").expect("a write to a string succeeds");
    for column in columns {
        *text += &format!(" {} |", column.unwrap_or_else(|| "–".into()));
    }
    *text += "\n";
}

fn node(text: &mut String, results: &Results) {
    let lines = format!(
        "resident memory added by {} million lines, KiB",
        results.header.million_lines
    );
    let rows = [
        (
            "`tcp_echo_send`/s, 11 bytes, a new connection each",
            Measure::Send,
            Metric::PerSecond,
        ),
        ("`tcp_echo_stats`/s", Measure::Stats, Metric::PerSecond),
        (
            "`echo`/s, 11 bytes, through TCP",
            Measure::Echo,
            Metric::PerSecond,
        ),
        (
            "heap allocations/`tcp_echo_send`",
            Measure::LineAllocations,
            Metric::SendAllocations,
        ),
        (
            "heap allocations/`tcp_echo_stats`",
            Measure::LineAllocations,
            Metric::StatsAllocations,
        ),
        (
            "heap allocations/`echo`",
            Measure::LineAllocations,
            Metric::EchoAllocations,
        ),
        (&lines, Measure::Lines, Metric::Rss),
        (
            "time from exec to `init_ok`, ms",
            Measure::Start,
            Metric::Milliseconds,
        ),
        ("size of the binary, KiB", Measure::Size, Metric::KiB),
    ];
    let mut found = String::new();
    for (what, measure, metric) in rows {
        for server in results.servers(measure) {
            if let Some(figure) = results.spread(measure, Cell::default(), server, metric) {
                found += &format!("| {what} | {server} | {} |\n", spread(figure));
            }
        }
    }
    if !found.is_empty() {
        *text += "## The node\n\n| what | of | figure |\n| --- | --- | --- |\n";
        *text += &found;
        *text += "\n";
    }
}

fn failures(text: &mut String, results: &Results) {
    let failures = results.failures();
    if failures.is_empty() {
        return;
    }
    *text += "## Failed measurements\n\n| what | cell | server | times | why |\n| --- | --- | --- | --- | --- |\n";
    for ((measure, cell, server), (times, why)) in failures {
        *text += &format!("| {measure:?} | {cell} | {server} | {times} | {why} |\n");
    }
    *text += "\n";
}
