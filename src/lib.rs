//! A TCP echo server that reaches the Linux kernel by hand, as a Maelstrom node.
//!
//! [`engine`] serves the connections, alone or with the help of [`workers`]. [`node`] speaks
//! Maelstrom's protocol, and [`serve`] does without. All of them do everything that leaves the
//! process through a [`syscalls::Kernel`].

#![forbid(unsafe_code)]

pub mod engine;
mod json;
pub mod node;
pub mod serve;
pub mod setup;
pub mod stdio;
pub mod workers;
