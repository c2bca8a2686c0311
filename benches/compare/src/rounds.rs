//! Runs the measurements, round after round.
//!
//! A round measures each cell on all servers that take part in it, one right after the other, in a random
//! order. Other load on the machine then affects all servers alike, and the ratio of two servers is computed
//! within a round. Only the first round includes the measures for which [`Measure::once`] is true.

use std::time::Instant;

use anyhow::Result;
use fastrand::Rng;
use load::limits;
use load::shape::Shape;

use crate::bench::Bench;
use crate::estimate;
use crate::machine::Header;
use crate::measure;
use crate::raw::{Run, Writer};
use crate::sample::{Cell, Measure, Outcome, Sample};
use crate::servers::Server;

/// Runs all measurements of the options.
///
/// # Errors
/// If the results cannot be written. A failed measurement is not an error but a result.
pub fn run(bench: &Bench, mut header: Header) -> Result<Run> {
    header.missing = bench
        .programs
        .missing()
        .map(|(program, why)| format!("{program:?}: {why}"))
        .collect();
    let mut plan = bench.options.plan();
    header.missing.extend(leave_out(&mut plan)?);
    let mut writer = Writer::create(&bench.options.out()?, &header)?;
    let mut samples = Vec::new();
    let (start, rounds) = (Instant::now(), bench.options.rounds());
    let expected = estimate::minutes(bench, &plan);
    for round in 0..rounds {
        for (nth, &(measure, cell)) in plan.iter().enumerate() {
            if round > 0 && measure.once() {
                continue;
            }
            let minutes = start.elapsed().as_secs_f64() / 60.0;
            let progress = format!(
                "round {} of {rounds}, {}/{}",
                round + 1,
                nth + 1,
                plan.len()
            );
            eprintln!("{minutes:5.1} of about {expected:.0} min: {progress}: {measure:?} {cell}");
            let mut contestants = bench.contestants(measure, cell);
            Rng::with_seed(round << 32 | nth as u64).shuffle(&mut contestants);
            for server in contestants {
                let sample = take(bench, measure, cell, server, round);
                writer.line(&sample)?;
                samples.push(sample);
            }
        }
    }
    Ok(Run { header, samples })
}

/// Removes the loads that exceed a limit of this machine from the plan, and returns the reasons.
fn leave_out(plan: &mut Vec<(Measure, Cell)>) -> Result<Vec<String>> {
    let mut too_much = Vec::new();
    for (measure, cell) in std::mem::take(plan) {
        let shape = Shape {
            connections: cell.connections,
            size: cell.size,
        };
        match limits::obstacle(shape, cell.in_flight)? {
            None => plan.push((measure, cell)),
            Some(why) => too_much.push(format!("{measure:?} {cell}: {why}")),
        }
    }
    Ok(too_much)
}

fn take(bench: &Bench, measure: Measure, cell: Cell, server: &Server, round: u64) -> Sample {
    let outcome = match measure::take(bench, measure, cell, server) {
        Ok(values) => Outcome::Values(values),
        Err(error) => {
            eprintln!("           {server}: {error:#}");
            Outcome::Failed(format!("{error:#}"))
        }
    };
    Sample {
        measure,
        cell,
        server: server.name.into(),
        round,
        outcome,
    }
}
