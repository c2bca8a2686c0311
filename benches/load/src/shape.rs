//! What a load looks like.

use std::time::Duration;

use clap::Args;

/// How many bytes go where.
#[derive(Args, Clone, Copy, Debug)]
pub struct Shape {
    /// Connections open at the same time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
    /// Bytes in a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub size: u64,
}

/// How long it lasts.
#[derive(Args, Clone, Copy, Debug)]
pub struct Span {
    /// Seconds that are measured; more in a closed loop with much data in flight
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of the same load before them; likewise
    #[arg(long, default_value = "0.2", value_parser = seconds)]
    pub warmup: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
