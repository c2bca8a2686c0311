//! A function with one `read` only, whose machine code can be inspected:
//!
//! ```text
//! cargo rustc -p rawecho-syscalls --release --example read_hot_path -- --emit asm=/dev/stdout
//! ```
//!
//! `tests/zero_cost.rs` inspects it for both architectures.

#![no_std]

use syscalls::{Fd, Linux};

/// Reads from `fd`. Returns the number of bytes, or −1.
#[unsafe(no_mangle)]
pub fn read_hot_path(fd: &Fd<Linux>, buf: &mut [u8]) -> isize {
    match fd.read(buf) {
        Ok(count) => count as isize,
        Err(_) => -1,
    }
}
