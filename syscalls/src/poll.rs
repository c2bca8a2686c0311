//! Waiting for a few descriptors at once.

use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::time::Duration;

use crate::layout::Layout;
use crate::signal::SigSet;
use crate::time::Timespec;
use crate::{Errno, Fd, Kernel, Linux, into_result};

constants! {
    /// What to wait for and what came: `include/uapi/asm-generic/poll.h`.
    POLL_EVENTS: i16 {
        /// There is something to read.
        POLLIN = 0x1;
        /// There is urgent data to read.
        POLLPRI = 0x2;
        /// There is room to write.
        POLLOUT = 0x4;
        /// An error is pending. Reported always.
        POLLERR = 0x8;
        /// The other end is gone. Reported always.
        POLLHUP = 0x10;
        /// The descriptor is not open. Reported always.
        POLLNVAL = 0x20;
    }
}

/// One descriptor to wait for: `struct pollfd`, `include/uapi/asm-generic/poll.h`.
///
/// It borrows the descriptor, which thus stays open:
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
/// It is polled by the kernel in which it is open. In another, its number would be another's:
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
    /// Waits for `events` (of [`POLL_EVENTS`]) on `fd`.
    pub fn new(fd: &'fd Fd<K>, events: i16) -> PollFd<'fd, K> {
        PollFd {
            fd: fd.as_raw(),
            events,
            revents: 0,
            borrowed: PhantomData,
        }
    }

    /// What came: 0, or some of [`POLL_EVENTS`].
    pub fn revents(&self) -> i16 {
        self.revents
    }
}

// Derived, these would ask the same of `K`.
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

/// Waits until something comes to one of `fds`, or `timeout` is over (`None`: for ever). Returns to
/// how many of them something came.
///
/// The kernel writes the time that was left to the timeout, which C's `ppoll` hides. So does this
/// function: it passes a copy.
///
#[doc = call_doc!(ppoll)]
///
/// aarch64 has no `poll`: `ppoll` can do all that it could.
///
/// # Errors
/// `EINTR`: a signal came first; the kernel does not restart this call ([here](crate::signal) is
/// which it does). `EINVAL`: more descriptors than `RLIMIT_NOFILE`. `ENOMEM`: no memory.
pub fn ppoll<K: Kernel>(
    kernel: &K,
    fds: &mut [PollFd<'_, K>],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    // The kernel writes the time that is left into it, so it has to be a copy that may change.
    let mut timeout = timeout.map(Timespec::from);
    let timeout = Timespec::address(&mut timeout);
    let fds_at = fds.as_mut_ptr().expose_provenance();
    let no_mask = ptr::null::<SigSet>().expose_provenance();
    let args = [fds_at, fds.len(), timeout, no_mask, SigSet::SIZE];
    // SAFETY: the kernel reads `fds` and writes each `revents`; it reads and writes one timespec
    // unless `timeout` is null; a null mask is none.
    into_result(unsafe { kernel.syscall(sc::nr::PPOLL, args) })
}
