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
/// A C library reads this clock without entering the kernel, from a page that the kernel maps into
/// each process (`vdso(7)`). This function makes the call, so that a simulated kernel or a tracer
/// gets it too.
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
