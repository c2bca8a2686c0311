//! The one instruction that enters the kernel, in seven arities, for each machine.
//!
//! `x86_64.rs` and `aarch64.rs` have the same order and the same shape. Read them side by side:
//! `diff -y syscalls/src/arch/x86_64.rs syscalls/src/arch/aarch64.rs`.
//!
#![doc = include_str!("../call_path.svg")]

// The documentation shows both.
#[cfg(any(target_arch = "aarch64", doc))]
pub mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(any(target_arch = "x86_64", doc))]
pub mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
