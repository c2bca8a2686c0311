//! The clock.

use core::ptr;
use core::time::Duration;

use crate::layout::Layout;
use crate::{Errno, Kernel, into_result};

constants! {
    /// Clocks: `include/uapi/linux/time.h`.
    CLOCKS: i32 {
        /// Counts since some fixed point, and is never set back.
        CLOCK_MONOTONIC = 1;
    }
}

/// A span of time: `struct timespec`, `include/uapi/linux/time_types.h`.
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
    /// Returns the address of a timeout that the kernel may write to, or null for none.
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

/// Returns the time on `clock` (of [`CLOCKS`]): for [`CLOCK_MONOTONIC`], the time since a fixed point
/// in the past, by a clock that is never set back.
///
#[doc = call_doc!(clock_gettime)]
///
/// A C library reads this clock without entering the kernel: the kernel maps a small library into
/// each process, the vDSO, whose `__vdso_clock_gettime` (`__kernel_clock_gettime` on aarch64) computes
/// the time from a page of data that the kernel keeps up to date. `execve` passes its address in the
/// auxiliary vector as `AT_SYSINFO_EHDR` (`vdso(7)`, `getauxval(3)`). Only calls that just read belong
/// there: the time, the processor's number, and since Linux 6.11 random numbers.
///
/// This function makes the call, so that a simulated kernel or a tracer gets it too. The price, on one
/// virtual machine, by `cargo run -q -p syscalls --release --example cost`:
///
/// ```text
///    168.1 ns  getppid, which does next to nothing in the kernel
///    172.1 ns  clock_gettime by system call
///     27.1 ns  clock_gettime through the vDSO, as libc calls it
/// ```
///
/// # Errors
/// `EINVAL`: the kernel has no such clock. [`CLOCK_MONOTONIC`] is in every kernel that has the call.
#[inline]
pub fn clock_gettime<K: Kernel>(kernel: &K, clock: i32) -> Result<Duration, Errno> {
    let mut now = Timespec::default();
    let args = [clock as usize, (&raw mut now).expose_provenance()];
    // SAFETY: the kernel writes one timespec to `now`.
    into_result(unsafe { kernel.syscall(sc::nr::CLOCK_GETTIME, args) })?;
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}
