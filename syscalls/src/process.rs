//! The process's own limits, and its end.

use core::ptr;

use crate::layout::Layout;
use crate::{Errno, Kernel, into_result};

constants! {
    /// Resources that are limited: `include/uapi/asm-generic/resource.h`.
    RESOURCES: i32 {
        /// One more than the highest descriptor number that a call may return.
        RLIMIT_NOFILE = 7;
    }
}

/// A limit: `struct rlimit64`, `include/uapi/linux/resource.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit in force. The process may set it to anything up to `rlim_max`.
    pub rlim_cur: u64,
    /// The ceiling of `rlim_cur`. Without privilege it can only be lowered.
    pub rlim_max: u64,
}

pub(crate) const RLIMIT64: Layout = layout!("struct rlimit64", Rlimit { rlim_cur, rlim_max });

/// Returns this process's limit on `resource`, and sets it to `new` if that is given.
///
#[doc = call_doc!(prlimit64)]
///
/// # Errors
/// `EINVAL`: unknown resource, or `rlim_cur` above `rlim_max`. `EPERM`: `rlim_max` raised without
/// `CAP_SYS_RESOURCE`, or `RLIMIT_NOFILE` set above `/proc/sys/fs/nr_open`.
pub fn prlimit64<K: Kernel>(
    kernel: &K,
    resource: i32,
    new: Option<Rlimit>,
) -> Result<Rlimit, Errno> {
    const THIS_PROCESS: usize = 0;
    let mut old = Rlimit::default();
    let new = new
        .as_ref()
        .map_or(ptr::null(), ptr::from_ref)
        .expose_provenance();
    let args = [
        THIS_PROCESS,
        resource as usize,
        new,
        (&raw mut old).expose_provenance(),
    ];
    // SAFETY: the kernel reads one rlimit64 at `new` unless that is null, and writes one to `old`.
    into_result(unsafe { kernel.syscall(sc::nr::PRLIMIT64, args) })?;
    Ok(old)
}

/// Ends the process with all its threads. A parent sees the lowest 8 bits of `status`.
///
#[doc = call_doc!(exit_group)]
///
/// Nothing is unwound, flushed or dropped. (Plain `exit` ends just the calling thread.)
pub fn exit_group<K: Kernel>(kernel: &K, status: i32) -> ! {
    loop {
        // SAFETY: no memory is passed, and with the process gone no code is left to be misled.
        unsafe { kernel.syscall(sc::nr::EXIT_GROUP, [status as usize]) };
    }
}
