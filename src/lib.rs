//! A TCP echo server and Maelstrom node that reaches the Linux kernel by its own system calls.
//!
//! [`engine`] serves the connections, on one thread or several. [`node`] speaks Maelstrom's protocol;
//! [`serve`] is the server without that protocol. All of them make their system calls through a
//! [`syscalls::Kernel`].
//!
//! This library is internal to the program `rawecho`: it exists so that the program's tests, its
//! simulator and its benchmarks can call its parts. Its API changes without notice. The crate
//! `rawecho-syscalls` is the one to build on.

#![forbid(unsafe_code)]
// An `as` cast must keep the value.
#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

pub mod engine;
mod json;
pub mod node;
pub mod serve;
pub mod setup;
pub mod stdio;
