//! The report of a run: one JSON object, the last line on stdout.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The result of one run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// The mode that ran.
    pub mode: String,
    /// How the load generator waited for the server: `epoll` or `blocking`.
    pub driver: String,
    /// Connections that were open at the same time.
    pub connections: u64,
    /// Bytes in a message.
    pub size: u64,
    /// Messages in flight on each connection, or 0 if the mode does not fix them.
    pub in_flight: u64,
    /// Messages a second that the run was to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Seconds of the measurement.
    pub seconds: f64,
    /// Bytes that came back in a second of the measurement, as a number of messages.
    pub messages_per_second: f64,
    /// Bytes that came back in a second of the measurement. In the steady state, as many are sent.
    pub bytes_per_second: f64,
    /// Messages that came back from start to end, with those of the warm-up and the greetings: the divisor
    /// for counts of the server's whole run.
    pub messages_in_all: f64,
    /// Time from sending a message, or from when it was due, until its last byte came back.
    pub latency_us: Latency,
    /// CPU seconds that the load generator used during the measurement.
    pub load_cpu_seconds: f64,
    /// CPU seconds that the server used during the measurement, if its process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
}

/// Quantiles in microseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}
