//! A counter that one thread adds to and another waits for.

use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Flags of `eventfd2`: `include/uapi/linux/eventfd.h`; before Linux 6.7, `include/linux/eventfd.h`.
    EVENTFD_FLAGS: i32 {
        /// A read takes 1 instead of all. Since Linux 2.6.30.
        EFD_SEMAPHORE = 1;
        /// Close the descriptor when the process executes another program.
        EFD_CLOEXEC = 0o2000000;
        /// Never wait in a read or a write.
        EFD_NONBLOCK = 0o4000;
    }
}

/// A counter, `initval` at first. Writing 8 bytes (a `u64` of this machine) adds to it. Reading 8
/// bytes takes its value and sets it to 0, and waits while it is 0.
///
#[doc = call_doc!(eventfd2)]
///
/// aarch64 has no `eventfd`, the same call without flags: it was superseded before the port.
///
/// # Errors
/// `EINVAL`: unknown flag. `EMFILE`, `ENFILE`, `ENOMEM`: no descriptor left in the process, in the
/// system, no memory.
pub fn eventfd2<K: Kernel>(kernel: K, initval: u32, flags: i32) -> Result<Fd<K>, Errno> {
    // SAFETY: no memory is passed, and the call makes a descriptor and no more.
    let fd = into_result(unsafe {
        kernel.syscall(sc::nr::EVENTFD2, [initval as usize, flags as usize])
    })?;
    // SAFETY: the call succeeded, and what it returned is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}
