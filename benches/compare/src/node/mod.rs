//! The Maelstrom node, driven by its JSON lines on stdin and stdout.

pub mod allocations;
pub mod echo;
pub mod lines;
pub mod send;
pub mod size;
pub mod start;
pub mod stats;

mod driver;
