//! Plots of the grid: a panel for each message size and number of messages in flight. A panel shows the
//! numbers of connections from left to right. For each of them it shows the servers side by side, with a
//! dot for the median and a line from the minimum to the maximum.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{self, GRID, INK, PAPER};
use crate::results::{Results, Spread};
use crate::sample::{Cell, Measure, Metric};
use crate::servers::{FLOOR_EPOLL, RAWECHO};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: (u32, u32) = (620, 330);
/// The height of title and legend.
const HEAD: u32 = 92;
/// The width of a server's name in the legend.
const NAME: u32 = 130;
/// The largest number of steps on a linear axis. If a logarithmic axis has more, only powers of ten
/// have labels.
const LINES: f64 = 8.0;
/// The share of a column's width that its servers occupy.
const CROWD: f64 = 0.84;

/// The scale of the vertical axis.
#[derive(Clone, Copy)]
enum Scale {
    /// Linear, from zero.
    FromZero,
    /// Logarithmic, for values that differ by several powers of ten.
    Logarithmic,
}

impl Scale {
    fn height(self, value: f64) -> f64 {
        match self {
            Self::FromZero => value,
            Self::Logarithmic => value.log10(),
        }
    }
}

/// A figure to plot over the grid.
struct Plot<'a> {
    title: &'a str,
    /// Returns a server's figure in a cell.
    value: &'a dyn Fn(Cell, &'static str) -> Option<Spread>,
    /// The scale of the vertical axis.
    scale: Scale,
    /// Returns the label of a value on the axis.
    label: &'a dyn Fn(f64) -> String,
    /// The servers shown.
    servers: Vec<&'static str>,
}

/// Draws messages a second as a share of the floor's. Returns whether there
/// was anything to draw.
///
/// # Errors
/// If the file cannot be written.
pub fn throughput(results: &Results, file: &Path) -> Result<bool> {
    let mut servers = results.servers_of_grid();
    servers.retain(|name| *name != FLOOR_EPOLL);
    let share = |cell, name| {
        let pair = [name, FLOOR_EPOLL];
        Some(
            results
                .duel(Measure::Closed, cell, Metric::PerSecond, pair)?
                .ratio,
        )
    };
    let plot = Plot {
        title: "Throughput as a share of floor-epoll's (more is better)",
        value: &share,
        scale: Scale::FromZero,
        label: &|share| format!("{:.0} %", share * 100.0),
        servers,
    };
    draw(results, &plot, file)
}

/// Draws the 99th percentile of latency. Returns whether there was anything to draw.
///
/// # Errors
/// If the file cannot be written.
pub fn latency(results: &Results, file: &Path) -> Result<bool> {
    let p99 = |cell, name| results.spread(Measure::Closed, cell, name, Metric::P99);
    let label = |microseconds: f64| match microseconds {
        us if us >= 1e6 => format!("{} s", us / 1e6),
        us if us >= 1e3 => format!("{} ms", us / 1e3),
        us => format!("{us} µs"),
    };
    let plot = Plot {
        title: "99th percentile of latency (less is better, the axis is logarithmic)",
        value: &p99,
        scale: Scale::Logarithmic,
        label: &label,
        servers: results.servers_of_grid(),
    };
    draw(results, &plot, file)
}

fn draw(results: &Results, plot: &Plot, file: &Path) -> Result<bool> {
    let cells = results.cells(Measure::Closed);
    let drawn = |cell: &Cell| {
        plot.servers
            .iter()
            .any(|name| (plot.value)(*cell, name).is_some())
    };
    let mut kinds: Vec<_> = cells
        .iter()
        .filter(|it| drawn(it))
        .map(|it| (it.size, it.in_flight))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Ok(false);
    }
    let mut columns: Vec<_> = kinds.iter().map(|kind| kind.1).collect();
    columns.sort_unstable();
    columns.dedup();
    let rows = kinds.len().div_ceil(columns.len());
    let size = (PANEL.0 * columns.len() as u32, PANEL.1 * rows as u32 + HEAD);

    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&PAPER).map_err(failed)?;
    let (head, body) = root.split_vertically(HEAD);
    legend(&head, plot)?;
    for (panel, (size, in_flight)) in body.split_evenly((rows, columns.len())).iter().zip(kinds) {
        let cells: Vec<Cell> = cells
            .iter()
            .filter(|cell| cell.size == size && cell.in_flight == in_flight)
            .copied()
            .collect();
        draw_panel(panel, plot, &cells)?;
    }
    root.present().map_err(failed)?;
    Ok(true)
}

fn legend(area: &Area, plot: &Plot) -> Result<()> {
    let text = ("sans-serif", 20).into_font().color(&INK);
    area.draw(&Text::new(plot.title, (16, 12), text))
        .map_err(failed)?;
    let small = ("sans-serif", 14).into_font().color(&INK);
    let in_a_row = (area.dim_in_pixel().0 / NAME) as usize;
    for (nth, name) in plot.servers.iter().enumerate() {
        let (x, y) = (
            24 + NAME as i32 * (nth % in_a_row) as i32,
            50 + 22 * (nth / in_a_row) as i32,
        );
        let colour = palette::of(name).filled();
        area.draw(&Circle::new((x, y), radius(name), colour))
            .map_err(failed)?;
        area.draw(&Text::new(*name, (x + 10, y - 7), small.clone()))
            .map_err(failed)?;
    }
    Ok(())
}

fn draw_panel(area: &Area, plot: &Plot, cells: &[Cell]) -> Result<()> {
    let pairs = cells
        .iter()
        .flat_map(|cell| plot.servers.iter().map(|name| (*cell, *name)));
    let lines = lines(
        plot.scale,
        pairs.filter_map(|(cell, name)| (plot.value)(cell, name)),
    );
    let height = |value| plot.scale.height(value);
    let (bottom, top) = (height(lines[0]), height(lines[lines.len() - 1]));
    let title = format!("{} in flight", cells[0]);
    let title = title.split_once(" × ").map_or("", |(_, rest)| rest);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 15).into_font().color(&INK))
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..cells.len() as f64, bottom..top)
        .map_err(failed)?;

    let label = ("sans-serif", 13).into_font().color(&INK);
    let left = label.pos(Pos::new(HPos::Right, VPos::Center));
    let below = label.pos(Pos::new(HPos::Center, VPos::Top));
    let absolute = area.strip_coord_spec();
    for place in 1..cells.len() {
        let ends = [(place as f64, bottom), (place as f64, top)];
        chart
            .draw_series([PathElement::new(ends, GRID)])
            .map_err(failed)?;
    }
    // If the axis spans many powers of ten, there is only room for the labels of the powers.
    let many = lines.len() as f64 > LINES + 1.0;
    let whole = |value: f64| height(value).fract().abs() < 1e-6;
    for line in lines {
        let ends = [(0.0, height(line)), (cells.len() as f64, height(line))];
        let colour = match plot.scale {
            // The floor's throughput (100 %), and zero.
            Scale::FromZero if line == 0.0 || line == 1.0 => INK,
            _ => GRID,
        };
        chart
            .draw_series([PathElement::new(ends, colour)])
            .map_err(failed)?;
        if many && !whole(line) {
            continue;
        }
        let at = chart.backend_coord(&ends[0]);
        put(
            &absolute,
            (plot.label)(line),
            (at.0 - 6, at.1),
            left.clone(),
        )?;
    }
    let width = CROWD / plot.servers.len() as f64;
    for (place, cell) in cells.iter().enumerate() {
        let middle = chart.backend_coord(&(place as f64 + 0.5, bottom));
        let text = match cell.connections {
            1 => "1 connection".into(),
            many => format!("{many}"),
        };
        put(&absolute, text, (middle.0, middle.1 + 6), below.clone())?;
        for (nth, name) in plot.servers.iter().enumerate() {
            let Some(Spread { min, median, max }) = (plot.value)(*cell, name) else {
                continue;
            };
            let x = place as f64 + (1.0 - CROWD) / 2.0 + width * (nth as f64 + 0.5);
            let colour = palette::of(name);
            let whisker = [(x, height(min)), (x, height(max))];
            chart
                .draw_series([PathElement::new(whisker, colour.stroke_width(1))])
                .map_err(failed)?;
            let dot = Circle::new((x, height(median)), radius(name), colour.filled());
            chart.draw_series([dot]).map_err(failed)?;
        }
    }
    Ok(())
}

/// Returns the values at which an axis has lines. All spreads are between the first and the last.
fn lines(scale: Scale, spreads: impl Iterator<Item = Spread>) -> Vec<f64> {
    let all = Spread::of(spreads.flat_map(|spread| [spread.min, spread.max]));
    let Some(Spread { min, max, .. }) = all else {
        return vec![0.0, 1.0];
    };
    match scale {
        Scale::FromZero => {
            let steps = round_numbers(-2..6);
            let step = steps.into_iter().find(|step| max / step <= LINES);
            let step = step.unwrap_or(max);
            let last = (max / step).ceil().max(1.0) as u32;
            (0..=last).map(|line| f64::from(line) * step).collect()
        }
        Scale::Logarithmic => {
            let mut lines = round_numbers(0..8);
            // Keep one line at or below the minimum and one at or above the maximum.
            let first = lines.iter().rposition(|line| *line <= min).unwrap_or(0);
            lines.drain(..first);
            let last = lines.iter().position(|line| *line >= max);
            lines.truncate(last.map_or(lines.len(), |last| last + 1));
            lines
        }
    }
}

/// Returns 1, 2, 5, 10, 20, 50 and so on, for these powers of ten.
fn round_numbers(powers: Range<i32>) -> Vec<f64> {
    powers
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
        .collect()
}

fn put(area: &Area, text: String, at: (i32, i32), style: TextStyle) -> Result<()> {
    let (left, top) = area.get_base_pixel();
    area.draw(&Text::new(text, (at.0 - left, at.1 - top), style))
        .map_err(failed)
}

/// Returns the radius of a server's dot. rawecho has a larger dot than the others.
fn radius(name: &str) -> i32 {
    if name == RAWECHO { 5 } else { 3 }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}
