//! Computes medians, spreads and ratios of the measurements.

use std::collections::BTreeMap;

use crate::machine::Header;
use crate::raw::Run;
use crate::sample::{Cell, Measure, Metric, Outcome, Sample};
use crate::servers::{Role, SERVERS, role};

/// All measurements of a run.
pub struct Results {
    /// The conditions of the run.
    pub header: Header,
    samples: Vec<Sample>,
}

impl From<Run> for Results {
    fn from(Run { header, samples }: Run) -> Self {
        Self { header, samples }
    }
}

/// The median of some values, with their minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median: the mean of the middle two of an even number of values.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Returns the spread of `values`, or `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { min, median, max })
    }
}

/// Whether a larger or a smaller figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger, as for throughput.
    More,
    /// Smaller, as for latency.
    Less,
}

/// The comparison of a server, mostly rawecho, with another one in one cell.
#[derive(Clone, Debug)]
pub struct Duel {
    /// The load.
    pub cell: Cell,
    /// The name of the other server.
    pub other: &'static str,
    /// The figures of the first server.
    pub ours: Spread,
    /// The figures of the other server.
    pub theirs: Spread,
    /// The first server's figure divided by the other's, computed within each round.
    pub ratio: Spread,
}

impl Results {
    /// Returns the loads of a measure, in order.
    pub fn cells(&self, measure: Measure) -> Vec<Cell> {
        let mut cells: Vec<_> = self
            .samples
            .iter()
            .filter(|it| it.measure == measure)
            .map(|it| it.cell)
            .collect();
        cells.sort_by_key(|cell| {
            let Cell {
                connections,
                size,
                in_flight,
                think,
                rate,
            } = *cell;
            (in_flight, connections, size, think, rate)
        });
        cells.dedup();
        cells
    }

    /// Returns the servers with a measurement of `measure`, even a failed one, in the order of the table.
    pub fn servers(&self, measure: Measure) -> Vec<&'static str> {
        let tried = |name| {
            self.samples
                .iter()
                .any(|it| it.measure == measure && it.server == name)
        };
        SERVERS
            .iter()
            .map(|server| server.name)
            .filter(|name| tried(*name))
            .collect()
    }

    /// Returns the servers that were measured with the grid's largest number of connections. Others are
    /// measured with few connections only.
    pub fn servers_of_grid(&self) -> Vec<&'static str> {
        let grid = |sample: &&Sample| sample.measure == Measure::Closed;
        let most = self
            .samples
            .iter()
            .filter(grid)
            .map(|it| it.cell.connections)
            .max();
        let mut servers = self.servers(Measure::Closed);
        servers.retain(|name| {
            let mut samples = self.samples.iter().filter(grid);
            samples.any(|it| it.server == *name && Some(it.cell.connections) == most)
        });
        servers
    }

    /// Returns the spread of a server's figure over the rounds.
    pub fn spread(
        &self,
        measure: Measure,
        cell: Cell,
        server: &str,
        metric: Metric,
    ) -> Option<Spread> {
        Spread::of(self.by_round(measure, cell, server, metric).into_values())
    }

    /// Returns the failed measurements: how often each failed, and the last reason.
    pub fn failures(&self) -> BTreeMap<(Measure, Cell, &str), (usize, &str)> {
        let mut failures = BTreeMap::new();
        for sample in &self.samples {
            if let Outcome::Failed(why) = &sample.outcome {
                let key = (sample.measure, sample.cell, sample.server.as_str());
                let entry = failures.entry(key).or_insert((0, ""));
                *entry = (entry.0 + 1, why);
            }
        }
        failures
    }

    /// Compares server `one` with the peer that has the best median.
    pub fn against_best_peer(
        &self,
        one: &'static str,
        measure: Measure,
        cell: Cell,
        metric: Metric,
        better: Better,
    ) -> Option<Duel> {
        let median = |name: &&str| Some(self.spread(measure, cell, name, metric)?.median);
        let names = self.servers(measure).into_iter();
        let measured = names
            .filter(|name| role(name) == Some(Role::Peer))
            .filter_map(|name| Some((name, median(&name)?)));
        let best = match better {
            Better::More => measured.max_by(|a, b| a.1.total_cmp(&b.1)),
            Better::Less => measured.min_by(|a, b| a.1.total_cmp(&b.1)),
        };
        self.duel(measure, cell, metric, [one, best?.0])
    }

    /// Compares server `one` with server `other`.
    pub fn duel(
        &self,
        measure: Measure,
        cell: Cell,
        metric: Metric,
        [one, other]: [&'static str; 2],
    ) -> Option<Duel> {
        let ours = self.by_round(measure, cell, one, metric);
        let theirs = self.by_round(measure, cell, other, metric);
        let both = ours
            .iter()
            .filter_map(|(round, ours)| Some(ours / theirs.get(round)?));
        Some(Duel {
            cell,
            other,
            ratio: Spread::of(both)?,
            ours: Spread::of(ours.into_values())?,
            theirs: Spread::of(theirs.into_values())?,
        })
    }

    fn by_round(
        &self,
        measure: Measure,
        cell: Cell,
        server: &str,
        metric: Metric,
    ) -> BTreeMap<u64, f64> {
        let wanted = |sample: &&Sample| {
            sample.measure == measure && sample.cell == cell && sample.server == server
        };
        let value = |sample: &Sample| match &sample.outcome {
            Outcome::Values(values) => Some((sample.round, *values.get(&metric)?)),
            Outcome::Failed(_) => None,
        };
        self.samples
            .iter()
            .filter(wanted)
            .filter_map(value)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_count_is_the_mean_of_the_middle_two() {
        let odd = Spread {
            min: 1.0,
            median: 2.0,
            max: 9.0,
        };
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(odd));
        let even = Spread {
            min: 1.0,
            median: 2.5,
            max: 9.0,
        };
        assert_eq!(Spread::of([9.0, 1.0, 2.0, 3.0]), Some(even));
        assert_eq!(Spread::of([]), None);
    }
}
