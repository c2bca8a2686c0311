//! Measures the time that a system call takes on this machine:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --release --example cost
//! ```
//!
//! Each line is the lowest of ten averages over 100,000 calls, in nanoseconds.

use std::hint::black_box;
use std::time::Instant;

use syscalls::time::{CLOCK_MONOTONIC, clock_gettime};
use syscalls::{Kernel, Linux};

const CALLS: u32 = 100_000;

/// Prints the time that `call` takes, and `what`.
fn measure(what: &str, mut call: impl FnMut()) {
    let averages = (0..10).map(|_| {
        let begin = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        begin.elapsed().as_nanos() as f64 / f64::from(CALLS)
    });
    let least = averages.fold(f64::INFINITY, f64::min);
    println!("{least:8.1} ns  {what}");
}

fn main() {
    measure("getppid, which does next to nothing in the kernel", || {
        // SAFETY: no memory is passed.
        black_box(unsafe { Linux.syscall(sc::nr::GETPPID, []) });
    });
    measure("clock_gettime by system call", || {
        black_box(clock_gettime(&Linux, CLOCK_MONOTONIC)).expect("a time");
    });
    measure("clock_gettime through the vDSO, as libc calls it", || {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the time is written to a variable.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        black_box(time);
    });
    #[cfg(target_arch = "x86_64")]
    measure("getppid by int 0x80, the way into the 32-bit table", || {
        let mut result = 64_usize; // getppid's number there
        // SAFETY: no memory is passed. The registers that older kernels set to 0 are declared.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") result, lateout("r8") _, lateout("r9") _,
                lateout("r10") _, lateout("r11") _);
        }
        black_box(result);
    });
}
