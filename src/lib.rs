//! A TCP echo server that reaches the Linux kernel by hand, as a Maelstrom node.
//!
//! [`engine`] serves the connections, [`node`] speaks the protocol. Both do everything that leaves
//! the process through a [`syscalls::Kernel`].

#![forbid(unsafe_code)]

pub mod engine;
pub mod node;
pub mod setup;
