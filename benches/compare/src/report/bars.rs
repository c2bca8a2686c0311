//! Bar charts: a panel for each question, a bar for each server, the best server at the top.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{self, INK, PAPER};
use super::spread;
use crate::results::{Better, Results, Spread};
use crate::sample::{Cell, Measure, Metric};
use crate::targets::ROUND_TRIP;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const COLUMNS: usize = 2;
const WIDTH: u32 = 600;
/// From one bar to the next.
const STEP: i32 = 22;
const BAR: i32 = 15;
/// The title of a panel.
const HEAD: i32 = 40;
/// The start of the bars, right of the names.
const LEFT: i32 = 110;
/// The length from the start of the bars to the end of the longest whisker. A bar's value is drawn to the right
/// of its whisker.
const LONGEST: f64 = 310.0;

/// A question: its title, and the measurements that answer it.
struct Question {
    title: &'static str,
    measure: Measure,
    /// The cell, or `None` for the measure's first one.
    cell: Option<Cell>,
    metric: Metric,
    better: Better,
}

const QUESTIONS: [Question; 11] = [
    round_trips("Round trips/s, 1 connection, 64 B", 1),
    round_trips("Round trips/s, 2 connections, 64 B", 2),
    round_trips("Round trips/s, 4 connections, 64 B", 4),
    round_trips("Round trips/s, 10 connections, 64 B", 10),
    at_50_000("Server CPU µs/message at 50,000/s", Metric::ServerCpu),
    at_50_000("p99 latency in µs at 50,000/s", Metric::P99),
    ask(
        "KiB for 10,000 idle connections",
        Measure::Idle,
        Metric::Rss,
        Better::Less,
    ),
    ask(
        "Connections/s: connect, echo, close",
        Measure::Connect,
        Metric::PerSecond,
        Better::More,
    ),
    ask(
        "System calls/message, 50 connections",
        Measure::Syscalls,
        Metric::Syscalls,
        Better::Less,
    ),
    ask(
        "Round trips/s, client on the server's CPU",
        Measure::OneCpu,
        Metric::PerSecond,
        Better::More,
    ),
    ask(
        "Heap allocations/message",
        Measure::Allocations,
        Metric::Allocations,
        Better::Less,
    ),
];

const fn ask(title: &'static str, measure: Measure, metric: Metric, better: Better) -> Question {
    Question {
        title,
        measure,
        cell: None,
        metric,
        better,
    }
}

const fn round_trips(title: &'static str, connections: u64) -> Question {
    Question {
        cell: Some(Cell {
            connections,
            ..ROUND_TRIP
        }),
        ..ask(title, Measure::Closed, Metric::PerSecond, Better::More)
    }
}

const fn at_50_000(title: &'static str, metric: Metric) -> Question {
    Question {
        cell: Some(Cell {
            connections: 50,
            rate: 50_000,
            ..ROUND_TRIP
        }),
        ..ask(title, Measure::Rate, metric, Better::Less)
    }
}

/// A question with its answers.
struct Panel {
    title: String,
    bars: Vec<(&'static str, Spread)>,
}

impl Panel {
    /// Returns the panel of a question, or `None` if the run has not measured it.
    fn of(question: &Question, results: &Results) -> Option<Self> {
        let Question {
            title,
            measure,
            cell,
            metric,
            better,
        } = *question;
        let cell = cell.or_else(|| results.cells(measure).first().copied())?;
        let names = results.servers(measure).into_iter();
        let mut bars: Vec<_> = names
            .filter_map(|name| Some((name, results.spread(measure, cell, name, metric)?)))
            .collect();
        bars.sort_by(|a, b| a.1.median.total_cmp(&b.1.median));
        if better == Better::More {
            bars.reverse();
        }
        let hint = if better == Better::More {
            "more"
        } else {
            "less"
        };
        (!bars.is_empty()).then(|| Self {
            title: format!("{title} ({hint} is better)"),
            bars,
        })
    }
}

/// Draws a panel for each question that the run has measured. Returns whether there is any.
///
/// # Errors
/// If the file cannot be written.
pub fn summary(results: &Results, file: &Path) -> Result<bool> {
    let panels: Vec<_> = QUESTIONS
        .iter()
        .filter_map(|it| Panel::of(it, results))
        .collect();
    if panels.is_empty() {
        return Ok(false);
    }

    let rows = panels.chunks(COLUMNS);
    let height = rows.clone().map(row_height).sum();
    let root = SVGBackend::new(file, (WIDTH * COLUMNS as u32, height)).into_drawing_area();
    root.fill(&PAPER).map_err(failed)?;
    let mut rest = root.clone();
    for row in rows {
        let (above, below) = rest.split_vertically(row_height(row));
        for (area, panel) in above.split_evenly((1, COLUMNS)).iter().zip(row) {
            draw(area, panel)?;
        }
        rest = below;
    }
    root.present().map_err(failed)?;
    Ok(true)
}

/// Returns the height of a row: that of its panel with the most bars.
fn row_height(panels: &[Panel]) -> u32 {
    let most = panels.iter().map(|panel| panel.bars.len()).max();
    (HEAD + STEP * (most.unwrap_or(0) as i32 + 1)) as u32
}

fn draw(area: &Area, panel: &Panel) -> Result<()> {
    let title = ("sans-serif", 16).into_font().color(&INK);
    area.draw(&Text::new(panel.title.clone(), (14, 12), title))
        .map_err(failed)?;
    let text = ("sans-serif", 13).into_font().color(&INK);
    let name_style = text.pos(Pos::new(HPos::Right, VPos::Center));
    let value_style = text.pos(Pos::new(HPos::Left, VPos::Center));
    let top = panel
        .bars
        .iter()
        .map(|(_, spread)| spread.max)
        .fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (value.max(0.0) / top * LONGEST) as i32;
    for (nth, (name, found)) in panel.bars.iter().enumerate() {
        let middle = HEAD + STEP * nth as i32 + STEP / 2;
        let colour = palette::by_role(name);
        let corners = [
            (LEFT, middle - BAR / 2),
            (x(found.median).max(LEFT + 1), middle + BAR / 2),
        ];
        area.draw(&Rectangle::new(corners, colour.filled()))
            .map_err(failed)?;
        let whisker = [(x(found.min), middle), (x(found.max), middle)];
        // A light rim makes the whisker visible on a dark bar.
        for style in [PAPER.stroke_width(3), INK.stroke_width(1)] {
            area.draw(&PathElement::new(whisker, style))
                .map_err(failed)?;
        }
        area.draw(&Text::new(*name, (LEFT - 8, middle), name_style.clone()))
            .map_err(failed)?;
        let end = x(found.max) + 8;
        area.draw(&Text::new(
            spread(*found),
            (end, middle),
            value_style.clone(),
        ))?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}
