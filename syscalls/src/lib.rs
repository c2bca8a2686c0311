//! # Linux system calls from the instruction up
//!
//! How a program asks the kernel for something, on x86_64 and on aarch64: put the call's number
//! and arguments into registers, execute one instruction, look at one register. This crate is that
//! and no more, with types around it that make it hard to use wrongly.
//!
#![doc = include_str!("one_echo.md")]
#![no_std]

#[macro_use]
mod constants;
#[macro_use]
mod calls;
#[macro_use]
pub mod layout;

pub mod addr;
pub mod arch;
pub mod epoll;
mod errno;
pub mod event;
mod fd;
pub mod io;
mod kernel;
pub mod message;
pub mod poll;
pub mod process;
pub mod signal;
pub mod socket;
pub mod time;
pub mod trace;

pub use calls::{CALLS, Call, find};
pub use constants::Names;
pub use errno::{Errno, MAX_ERRNO, check, retry};
pub use fd::{Fd, Inherited, stderr, stdin, stdout};
pub use kernel::{Kernel, Linux};
pub use socket::Socket;
