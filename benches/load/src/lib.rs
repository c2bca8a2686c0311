//! A load generator for TCP echo servers that checks every byte that comes
//! back.
//!
//! One thread, so that one CPU is all it takes from the machine it shares with
//! the server. The parts are a library because `compare` reads the reports.

pub mod blocking;
pub mod clock;
pub mod closed;
pub mod connect;
pub mod connection;
pub mod idle;
pub mod limits;
pub mod open;
pub mod pattern;
pub mod pool;
pub mod rate;
pub mod recorder;
pub mod report;
pub mod shape;
