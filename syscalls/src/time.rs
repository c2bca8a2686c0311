//! The clock.

use core::time::Duration;

use crate::layout::Layout;
use crate::{Errno, Kernel, check};

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

impl From<Duration> for Timespec {
    fn from(span: Duration) -> Timespec {
        let tv_sec = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Timespec {
            tv_sec,
            tv_nsec: span.subsec_nanos().into(),
        }
    }
}

/// The time since a fixed point in the past, by a clock that is never set back.
///
#[doc = call_doc!(clock_gettime)]
///
/// A C library reads this clock without entering the kernel, from a page that the kernel maps into
/// each process (`vdso(7)`). Here the call is made, so that a simulated kernel is asked too.
///
/// # Errors
/// None that a kernel of this century returns for this clock.
#[inline]
pub fn monotonic<K: Kernel>(kernel: &K) -> Result<Duration, Errno> {
    let mut now = Timespec::default();
    let args = [CLOCK_MONOTONIC as usize, (&raw mut now).expose_provenance()];
    // SAFETY: the kernel writes one timespec to `now`.
    check(unsafe { kernel.syscall(sc::nr::CLOCK_GETTIME, args) })?;
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}
