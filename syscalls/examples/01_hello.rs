//! # 1. One system call
//!
//! A program asks the kernel for something by putting numbers into registers and executing one
//! instruction. This program asks the kernel to write text to descriptor 1. A descriptor is the number of a
//! file, socket or device that a program has open; 1 is standard output. Run it in the project's directory:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 01_hello
//! ```
//!
//! ```text
//! Hello from one instruction.
//! The kernel returned 28.
//! Hello through Fd.
//! ```

use core::arch::asm;

use syscalls::{Errno, Linux, stdout};

// In `asm!`, `in("rdi") 1` puts 1 into `rdi` before the instruction. `inlateout("rax") 1 => result` puts 1
// into `rax`, and takes `result` out of `rax` afterwards. `lateout("rcx") _` declares a *clobber*: the
// instruction overwrites `rcx`, and the value is not used. The options declare what the instruction does not
// change: the stack and the flags.

/// Calls `write(1, text, text.len())` and returns the result that the kernel left in `rax`.
#[cfg(target_arch = "x86_64")]
fn write_to_stdout(text: &str) -> isize {
    let result: isize;
    // SAFETY: `write` reads the `text.len()` bytes of `text`, and changes no memory. The
    // instruction changes only the registers that are declared here.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") 1_isize => result, // in: the number of write; out: the result
            in("rdi") 1,                        // 1st argument: the descriptor
            in("rsi") text.as_ptr(),            // 2nd argument: where the bytes are
            in("rdx") text.len(),               // 3rd argument: how many
            lateout("rcx") _,                   // The processor saves the return address here …
            lateout("r11") _,                   // … and the flags here.
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Calls `write(1, text, text.len())` and returns the result that the kernel left in `x0`.
#[cfg(target_arch = "aarch64")]
fn write_to_stdout(text: &str) -> isize {
    let result: isize;
    // SAFETY: `write` reads the `text.len()` bytes of `text`, and changes no memory. The
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
    // The result is the number of bytes that the kernel wrote: all 28.
    let count = write_to_stdout("Hello from one instruction.\n");
    println!("The kernel returned {count}.");
    // The same call by this project's library, `syscalls` (the package `rawecho-syscalls`). `stdout` returns
    // a descriptor as the type `Fd`, whose method `write` knows the number and turns an error into an `Err`.
    // `Linux` means the real kernel; program 6 passes others.
    stdout(Linux).write(b"Hello through Fd.\n")?;
    Ok(())
}

// Try:
// - Change the descriptor (`rdi`; on aarch64 the `1_isize` of `x0`) to 99. What does the kernel return?
//   (Program 2 explains the number.)
// - Change the number of the call (`rax` or `x8`) to 9999. Error 38 is ENOSYS: there is no such call.
// - Undo the changes, run the program once more, and then run
//   `strace -e trace=write target/debug/examples/01_hello >/dev/null`: `println!` makes the same call.
