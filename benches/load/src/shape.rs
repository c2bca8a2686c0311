//! The size and the duration of a load.

use std::time::Duration;

use clap::Args;

/// The size of a load.
#[derive(Args, Clone, Copy, Debug)]
pub struct Shape {
    /// Connections open at the same time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
    /// Bytes in a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub size: u64,
}

/// The duration of a load.
#[derive(Args, Clone, Copy, Debug)]
pub struct Span {
    /// Seconds to measure; a closed loop with much data in flight takes longer
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of the same load before the measurement; a closed loop with much data in flight takes longer
    #[arg(long, default_value = "0.2", value_parser = seconds)]
    pub warmup: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("expected a number, found {text}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
