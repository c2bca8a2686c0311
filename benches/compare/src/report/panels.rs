//! The grid as a panel for each size and number of messages in flight: in each
//! the connections from left to right, and at each the servers side by side, a
//! dot for the median and a line from the least to the most.

use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::number;
use super::palette::{self, GRID, INK, PAPER};
use crate::results::{Results, Spread};
use crate::sample::{Cell, Measure, Metric};
use crate::servers::{FLOOR_EPOLL, RAWECHO};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: (u32, u32) = (620, 250);
/// Title and legend.
const HEAD: u32 = 92;
/// Width of a server's name in the legend.
const NAME: u32 = 130;
/// Lines that an axis has room for.
const LINES: i32 = 8;
/// Of the width that a number of connections has, what its servers take.
const CROWD: f64 = 0.84;

/// A question to the grid.
struct Plot<'a> {
    title: &'a str,
    /// What a server did in a cell.
    value: &'a dyn Fn(Cell, &'static str) -> Option<Spread>,
    /// Each line of the axis is so many times the one below.
    base: f64,
    /// What such a line is called.
    label: &'a dyn Fn(f64) -> String,
    /// Who is in it.
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
        base: std::f64::consts::SQRT_2,
        label: &number,
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
        title: "99th percentile of latency (less is better)",
        value: &p99,
        base: 10.0,
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
    let scale = |value: f64| value.log(plot.base);
    let lines = axis(plot, cells);
    let bottom = f64::from(*lines.start());
    let title = format!("{} in flight", cells[0]);
    let title = title.split_once(" × ").map_or("", |(_, rest)| rest);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 15).into_font().color(&INK))
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..cells.len() as f64, bottom..f64::from(*lines.end()))
        .map_err(failed)?;

    let label = ("sans-serif", 13).into_font().color(&INK);
    let left = label.pos(Pos::new(HPos::Right, VPos::Center));
    let below = label.pos(Pos::new(HPos::Center, VPos::Top));
    let absolute = area.strip_coord_spec();
    for place in 1..cells.len() {
        let ends = [
            (place as f64, bottom),
            (place as f64, f64::from(*lines.end())),
        ];
        chart
            .draw_series([PathElement::new(ends, GRID)])
            .map_err(failed)?;
    }
    let step = (lines.end() - lines.start()) / LINES + 1;
    for line in lines.clone().filter(|line| line % step == 0) {
        let ends = [(0.0, line as f64), (cells.len() as f64, line as f64)];
        let colour = if line == 0 && plot.base < 2.0 {
            INK
        } else {
            GRID
        };
        chart
            .draw_series([PathElement::new(ends, colour)])
            .map_err(failed)?;
        let at = chart.backend_coord(&ends[0]);
        put(
            &absolute,
            (plot.label)(plot.base.powi(line)),
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
            let whisker = [(x, scale(min)), (x, scale(max))];
            chart
                .draw_series([PathElement::new(whisker, colour.stroke_width(1))])
                .map_err(failed)?;
            let dot = Circle::new((x, scale(median)), radius(name), colour.filled());
            chart.draw_series([dot]).map_err(failed)?;
        }
    }
    Ok(())
}

/// The lines of the axis that have all values between them, as powers of the base.
fn axis(plot: &Plot, cells: &[Cell]) -> RangeInclusive<i32> {
    let pairs = cells
        .iter()
        .flat_map(|cell| plot.servers.iter().map(|name| (*cell, *name)));
    let spreads = pairs.filter_map(|(cell, name)| (plot.value)(cell, name));
    let all = Spread::of(spreads.flat_map(|spread| [spread.min, spread.max]));
    let Some(Spread { min, max, .. }) = all else {
        return 0..=1;
    };
    min.log(plot.base).floor() as i32..=max.log(plot.base).ceil() as i32
}

fn put(area: &Area, text: String, at: (i32, i32), style: TextStyle) -> Result<()> {
    let (left, top) = area.get_base_pixel();
    area.draw(&Text::new(text, (at.0 - left, at.1 - top), style))
        .map_err(failed)
}

/// rawecho has to be found at once.
fn radius(name: &str) -> i32 {
    if name == RAWECHO { 5 } else { 3 }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}
