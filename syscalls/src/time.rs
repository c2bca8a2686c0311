//! The monotonic clock.
//!
//! ```
//! use syscalls::time::{CLOCK_MONOTONIC, clock_gettime};
//! use syscalls::{Errno, Linux};
//!
//! let begin = clock_gettime(&Linux, CLOCK_MONOTONIC)?;
//! let elapsed = clock_gettime(&Linux, CLOCK_MONOTONIC)?.checked_sub(begin);
//! assert!(elapsed.is_some()); // never negative
//! # Ok::<(), Errno>(())
//! ```

use core::ptr;
use core::time::Duration;

use crate::layout::Layout;
use crate::{Errno, Kernel, into_result};

constants! {
    /// Clocks: `include/uapi/linux/time.h`.
    CLOCKS: i32 {
        /// The time since a fixed point in the past. It is never set back.
        CLOCK_MONOTONIC = 1;
    }
}

/// A time or a duration: `struct timespec`, `include/uapi/linux/time_types.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Whole seconds.
    pub tv_sec: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub tv_nsec: i64,
}

pub(crate) const TIMESPEC: Layout = layout!("struct timespec", Timespec { tv_sec, tv_nsec });

impl Timespec {
    /// Returns the address of `timeout`, which the kernel may write to, or null for `None`.
    pub(crate) fn address(timeout: &mut Option<Timespec>) -> usize {
        timeout
            .as_mut()
            .map_or(ptr::null_mut(), ptr::from_mut)
            .expose_provenance()
    }
}

impl From<Duration> for Timespec {
    fn from(span: Duration) -> Timespec {
        let tv_sec = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Timespec {
            tv_sec,
            tv_nsec: span.subsec_nanos().into(),
        }
    }
}

/// Returns the time of `clock` (of [`CLOCKS`]).
///
#[doc = call_doc!(clock_gettime)]
///
/// The C library usually reads this clock without entering the kernel. The kernel maps a small library, the
/// vDSO, into each process. Its function `__vdso_clock_gettime` (`__kernel_clock_gettime` on aarch64)
/// computes the time from a page of data that the kernel updates. (The function makes the system call if the
/// machine's clock source can be read only in the kernel.) `execve` passes the vDSO's address in the
/// auxiliary vector as `AT_SYSINFO_EHDR` (`vdso(7)`, `getauxval(3)`). The vDSO also computes random numbers
/// (x86_64: since Linux 6.11, aarch64: since 6.12) and, on x86_64, the number of the processor. These
/// functions need no privilege and change nothing in the kernel. On aarch64, the vDSO also contains the code
/// to which a signal handler returns (`__kernel_rt_sigreturn`).
///
/// This function makes the system call, so that a simulated kernel and a tracer receive it. The cost on one
/// virtual machine, as `cargo run -q -p rawecho-syscalls --release --example cost` measured it:
///
/// ```text
///    168.1 ns  getppid, which does next to nothing in the kernel
///    172.1 ns  clock_gettime by system call
///     27.1 ns  clock_gettime through the vDSO, as libc calls it
/// ```
///
/// # Errors
/// - `EINVAL`: the clock is unknown. Every kernel has [`CLOCK_MONOTONIC`].
#[inline]
pub fn clock_gettime<K: Kernel>(kernel: &K, clock: i32) -> Result<Duration, Errno> {
    let mut now = Timespec::default();
    let args = [clock as usize, (&raw mut now).expose_provenance()];
    // SAFETY: the kernel writes one timespec to `now`.
    into_result(unsafe { kernel.syscall(sc::nr::CLOCK_GETTIME, args) })?;
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}
