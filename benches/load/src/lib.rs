//! A load generator for TCP echo servers that checks every byte that comes back.
//!
//! It has one thread, so that it takes only one CPU of the machine that it shares with the server. It is a
//! library because `compare` reads its reports.

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
