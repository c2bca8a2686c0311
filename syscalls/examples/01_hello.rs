//! # 1. One system call
//!
//! A program asks the kernel for something by putting numbers into registers and executing one
//! instruction. Here the program asks it to write text to standard output, descriptor 1: first with
//! the bare instruction, then through this crate's type for a descriptor. Run it:
//!
//! ```console
//! $ cargo run -q -p syscalls --example 01_hello
//! ```
//!
//! ```text
//! Hello from one instruction.
//! The kernel returned 28: it took 28 bytes.
//! Hello through Fd.
//! ```

use core::arch::asm;

use syscalls::{Errno, Linux, stdout};

/// Calls `write(1, text, text.len())` and returns what the kernel left in `rax`.
#[cfg(target_arch = "x86_64")]
fn write_to_stdout(text: &str) -> isize {
    let result: isize;
    // SAFETY: `write` reads `text.len()` bytes at `text`, which are there, and changes no memory. The
    // instruction changes only the registers that are declared here.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") 1_isize => result, // in: the number of write; out: the result
            in("rdi") 1,                        // 1st argument: the descriptor
            in("rsi") text.as_ptr(),            // 2nd argument: where the bytes are
            in("rdx") text.len(),               // 3rd argument: how many
            lateout("rcx") _,                   // The processor keeps the return address here …
            lateout("r11") _,                   // … and the flags here.
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Calls `write(1, text, text.len())` and returns what the kernel left in `x0`.
#[cfg(target_arch = "aarch64")]
fn write_to_stdout(text: &str) -> isize {
    let result: isize;
    // SAFETY: `write` reads `text.len()` bytes at `text`, which are there, and changes no memory. The
    // instruction changes only the register that is declared here.
    unsafe {
        asm!(
            "svc 0",
            in("x8") 64,                        // the number of write: not the same as on x86_64
            inlateout("x0") 1_isize => result,  // in: the descriptor; out: the result
            in("x1") text.as_ptr(),             // 2nd argument: where the bytes are
            in("x2") text.len(),                // 3rd argument: how many
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Runs the program.
pub fn main() -> Result<(), Errno> {
    let count = write_to_stdout("Hello from one instruction.\n");
    write_to_stdout(&format!(
        "The kernel returned {count}: it took {count} bytes.\n"
    ));
    // The same call in a type: it knows the number, and turns an error into an `Err`.
    stdout(Linux).write(b"Hello through Fd.\n")?;
    Ok(())
}

// Try:
// - Pass descriptor 99 in place of 1. What does the kernel return? (Program 2 explains the number.)
// - Pass number 9999 in place of 1 or 64. Error 38 is ENOSYS: the kernel has no such call.
// - Run `strace -e trace=write target/debug/examples/01_hello`: one line for each instruction.
