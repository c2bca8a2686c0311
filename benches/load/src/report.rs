//! What a run found out: one JSON object on stdout.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The result of one run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// The mode that ran.
    pub mode: String,
    /// `epoll`, or `blocking` for one connection with one message in flight.
    pub driver: String,
    /// Connections that were open at the same time.
    pub connections: u64,
    /// Bytes in a message.
    pub size: u64,
    /// Messages in flight on each connection.
    pub in_flight: u64,
    /// Messages a second that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Bytes that came back in them, in messages.
    pub messages_per_second: f64,
    /// Bytes that came back in them. As many went the other way.
    pub bytes_per_second: f64,
    /// Messages that came back from start to end, warm-up and greetings
    /// included: what a trace of the whole server has to be divided by.
    pub messages_in_all: f64,
    /// From sending (or when it was due) to having the last byte back.
    pub latency_us: Latency,
    /// CPU seconds that the load generator used while it measured.
    pub load_cpu_seconds: f64,
    /// CPU seconds that the server used meanwhile, if its process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
}

/// Quantiles in microseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The largest.
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
