//! Event counters, by which one thread wakes another: `eventfd(2)`.
//!
//! ```
//! use syscalls::event::{EFD_CLOEXEC, eventfd2};
//! use syscalls::{Errno, Linux};
//!
//! let counter = eventfd2(Linux, 0, EFD_CLOEXEC)?;
//! counter.write(&2_u64.to_ne_bytes())?;
//! counter.write(&3_u64.to_ne_bytes())?;
//! let mut value = [0; 8];
//! counter.read(&mut value)?;
//! assert_eq!(u64::from_ne_bytes(value), 5); // and the counter is 0 again
//! # Ok::<(), Errno>(())
//! ```

use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Flags of `eventfd2`: `include/uapi/linux/eventfd.h`; before Linux 6.7, `include/linux/eventfd.h`.
    EVENTFD_FLAGS: i32 {
        /// A read subtracts 1 instead of the whole value. Since Linux 2.6.30.
        EFD_SEMAPHORE = 1;
        /// Close the descriptor when the process executes another program.
        EFD_CLOEXEC = 0o2000000;
        /// Return `EAGAIN` instead of blocking in a read or a write.
        EFD_NONBLOCK = 0o4000;
    }
}

/// Creates a counter with the value `initval`. Writing 8 bytes (a `u64` in native byte order) adds that
/// number to the counter. Reading 8 bytes returns the value and sets the counter to 0. A read blocks while
/// the counter is 0.
///
#[doc = call_doc!(eventfd2)]
///
/// aarch64 has no `eventfd`, the older call without flags: its table omits calls that a newer call
/// replaces.
///
/// # Errors
/// - `EINVAL`: a flag is unknown.
/// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
/// - `ENOMEM`: the kernel is out of memory.
pub fn eventfd2<K: Kernel>(kernel: K, initval: u32, flags: i32) -> Result<Fd<K>, Errno> {
    // SAFETY: no memory is passed, and the call only creates a descriptor.
    let fd = into_result(unsafe {
        kernel.syscall(sc::nr::EVENTFD2, [initval as usize, flags as usize])
    })?;
    // SAFETY: the call succeeded, so the result is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}
