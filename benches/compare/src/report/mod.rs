//! The report: a Markdown file and three plots.

mod bars;
mod markdown;
mod palette;
mod panels;

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::results::{Results, Spread};

/// Writes all of the report into `folder`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    let throughput = panels::throughput(results, &folder.join("throughput.svg"))?;
    let latency = panels::latency(results, &folder.join("latency.svg"))?;
    let summary = bars::summary(results, &folder.join("summary.svg"))?;
    let plots = [
        (summary, "summary.svg", "One figure for each question"),
        (
            throughput,
            "throughput.svg",
            "Throughput as a share of the floor's",
        ),
        (latency, "latency.svg", "99th percentile of latency"),
    ];
    let drawn = plots
        .iter()
        .filter(|(drawn, ..)| *drawn)
        .map(|(_, file, text)| (*file, *text));
    fs::write(folder.join("README.md"), markdown::render(results, drawn))?;
    eprintln!("written to {}", folder.display());
    Ok(())
}

/// Formats a number with up to three decimals, none from 100, and commas between thousands.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".into();
    }
    if magnitude < 1.0 {
        return format!("{value:.3}");
    }
    if magnitude < 10.0 {
        return format!("{value:.2}");
    }
    if magnitude < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{magnitude:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

/// Formats a median with its minimum and maximum.
pub fn spread(Spread { min, median, max }: Spread) -> String {
    if min == max {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(min), number(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown = [
            0.0,
            0.1234,
            1.234,
            12.34,
            123.4,
            1234.0,
            1_234_567.0,
            -1234.0,
        ]
        .map(number);
        assert_eq!(
            shown,
            [
                "0",
                "0.123",
                "1.23",
                "12.3",
                "123",
                "1,234",
                "1,234,567",
                "-1,234"
            ]
        );
    }
}
