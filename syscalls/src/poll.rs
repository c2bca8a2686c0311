//! Waiting for events on a few descriptors: `poll(2)`.
//!
//! ```
//! use std::time::Duration;
//!
//! use syscalls::event::{EFD_CLOEXEC, eventfd2};
//! use syscalls::poll::{POLLIN, PollFd, ppoll};
//! use syscalls::{Errno, Linux};
//!
//! let empty = eventfd2(Linux, 0, EFD_CLOEXEC)?;
//! let ready = eventfd2(Linux, 1, EFD_CLOEXEC)?;
//! let mut fds = [PollFd::new(&empty, POLLIN), PollFd::new(&ready, POLLIN)];
//! assert_eq!(ppoll(&Linux, &mut fds, Some(Duration::from_secs(1))), Ok(1));
//! assert_eq!(fds.map(|fd| fd.revents()), [0, POLLIN]);
//! # Ok::<(), Errno>(())
//! ```

use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::time::Duration;

use crate::layout::Layout;
use crate::signal::SigSet;
use crate::time::Timespec;
use crate::{Errno, Fd, Kernel, Linux, into_result};

constants! {
    /// Events to wait for and to report: `include/uapi/asm-generic/poll.h`.
    POLL_EVENTS: i16 {
        /// Data or the end of the stream can be read.
        POLLIN = 0x1;
        /// Urgent data can be read.
        POLLPRI = 0x2;
        /// Data can be written.
        POLLOUT = 0x4;
        /// An error is pending. Always reported.
        POLLERR = 0x8;
        /// A hang-up: both directions of a connection are shut down, it was reset, or the last writer of a
        /// pipe has closed it. The end of the peer's stream alone is not a hang-up. Always reported.
        POLLHUP = 0x10;
        /// The descriptor is not open. Always reported.
        POLLNVAL = 0x20;
    }
}

/// A descriptor and the events to wait for: `struct pollfd`, `include/uapi/asm-generic/poll.h`.
///
/// A `PollFd` borrows the descriptor, which therefore stays open:
///
/// ```compile_fail,E0505
/// use syscalls::poll::{POLLIN, PollFd, ppoll};
/// use syscalls::{Linux, event::eventfd2};
///
/// let fd = eventfd2(Linux, 0, 0)?;
/// let mut fds = [PollFd::new(&fd, POLLIN)];
/// fd.close()?;
/// ppoll(&Linux, &mut fds, None)?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// Only the kernel in which the descriptor is open can poll it:
///
/// ```compile_fail,E0308
/// use syscalls::poll::{PollFd, ppoll};
/// use syscalls::trace::Traced;
/// use syscalls::{Fd, Linux};
///
/// fn poll_elsewhere(fd: &Fd<Traced<'_, Linux>>) {
///     let _ = ppoll(&Linux, &mut [PollFd::new(fd, 0)], None);
/// }
/// ```
#[repr(C)]
pub struct PollFd<'fd, K: Kernel> {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) revents: i16,
    borrowed: PhantomData<&'fd Fd<K>>,
}

pub(crate) const POLLFD: Layout = layout!(
    "struct pollfd",
    PollFd<'static, Linux> {
        fd,
        events,
        revents
    }
);

impl<'fd, K: Kernel> PollFd<'fd, K> {
    /// Describes a wait for `events` (of [`POLL_EVENTS`]) on `fd`.
    pub fn new(fd: &'fd Fd<K>, events: i16) -> PollFd<'fd, K> {
        PollFd {
            fd: fd.as_raw(),
            events,
            revents: 0,
            borrowed: PhantomData,
        }
    }

    /// Returns the events that the last [`ppoll`] reported: 0, or some of [`POLL_EVENTS`].
    pub fn revents(&self) -> i16 {
        self.revents
    }
}

// `derive` would add the bound `K: Copy`, which a kernel need not meet.
impl<K: Kernel> Clone for PollFd<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kernel> Copy for PollFd<'_, K> {}

impl<K: Kernel> fmt::Debug for PollFd<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PollFd {
            fd,
            events,
            revents,
            ..
        } = self;
        write!(f, "PollFd({fd}, {events:#x}, {revents:#x})")
    }
}

/// Waits for events on `fds` for at most `timeout` (`None`: indefinitely). Returns the number of
/// descriptors with events.
///
/// The kernel overwrites the timeout with the time that is left. This function passes a copy, as C's
/// `ppoll` does.
///
#[doc = call_doc!(ppoll)]
///
/// aarch64 has no `poll`: its table omits calls that a newer call replaces.
///
/// # Errors
/// - `EINTR`: a signal handler interrupted the call. The kernel does not restart it then (see
///   [which calls restart](crate::signal)).
/// - `EINVAL`: there are more descriptors than `RLIMIT_NOFILE`.
/// - `ENOMEM`: the kernel is out of memory.
pub fn ppoll<K: Kernel>(
    kernel: &K,
    fds: &mut [PollFd<'_, K>],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    // A copy, because the kernel overwrites the timeout with the time that is left.
    let mut timeout = timeout.map(Timespec::from);
    let timeout = Timespec::address(&mut timeout);
    let fds_at = fds.as_mut_ptr().expose_provenance();
    let no_mask = ptr::null::<SigSet>().expose_provenance();
    let args = [fds_at, fds.len(), timeout, no_mask, SigSet::SIZE];
    // SAFETY: the kernel reads `fds` and writes each `revents`. It reads and writes one timespec
    // unless `timeout` is null, and reads no mask at a null address.
    into_result(unsafe { kernel.syscall(sc::nr::PPOLL, args) })
}
