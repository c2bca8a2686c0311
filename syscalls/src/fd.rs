//! File descriptors, owned and borrowed.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr;

use crate::{Errno, Kernel, into_result};

/// A file descriptor that is closed when it is dropped.
///
/// The owner is `Fd`, a borrower takes `&Fd`: the descriptor cannot be closed under a borrower,
/// and is closed exactly once. `Fd<Linux>` is the bare 4-byte number.
///
/// ```
/// use syscalls::event::{EFD_CLOEXEC, eventfd2};
/// use syscalls::{Errno, Fd, Linux};
///
/// fn count(counter: &Fd<Linux>) -> Result<u64, Errno> {
///     let mut value = [0; 8];
///     counter.read(&mut value)?;
///     Ok(u64::from_ne_bytes(value))
/// }
///
/// let counter = eventfd2(Linux, 7, EFD_CLOEXEC)?;
/// assert_eq!(count(&counter), Ok(7));
/// counter.close()?;
/// # Ok::<(), Errno>(())
/// ```
///
/// What is closed cannot be used:
///
/// ```compile_fail,E0382
/// # use syscalls::{Linux, event::eventfd2};
/// let counter = eventfd2(Linux, 7, 0)?;
/// counter.close()?;
/// counter.read(&mut [0; 8])?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// What is borrowed cannot outlive its owner, not even in another thread:
///
/// ```compile_fail,E0597
/// # use syscalls::{Linux, event::eventfd2};
/// let waiting = {
///     let counter = eventfd2(Linux, 7, 0)?;
///     let borrowed = &counter;
///     std::thread::spawn(move || borrowed.read(&mut [0; 8]))
/// };
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// Nor can it be closed by its borrower:
///
/// ```compile_fail,E0507
/// # use syscalls::{Fd, Linux};
/// fn borrower(fd: &Fd<Linux>) {
///     fd.close();
/// }
/// ```
pub struct Fd<K: Kernel> {
    raw: i32,
    kernel: K,
}

impl<K: Kernel> Fd<K> {
    /// Takes over descriptor `raw`.
    ///
    /// # Safety
    /// `raw` is open in `kernel`, and nothing else closes it or relies on it staying open.
    #[inline(always)]
    pub unsafe fn from_raw(kernel: K, raw: i32) -> Fd<K> {
        debug_assert!(raw >= 0, "a descriptor is never negative");
        Fd { raw, kernel }
    }

    /// The descriptor that a call has just returned.
    ///
    /// # Safety
    /// `result` is what a successful call of `kernel` returned for a new descriptor.
    #[inline(always)]
    pub(crate) unsafe fn from_result(kernel: K, result: usize) -> Fd<K> {
        // SAFETY: a new descriptor is open, and this is the first that hears of it. The kernel
        // returns an `int`, so the cast drops nothing.
        unsafe { Fd::from_raw(kernel, result as i32) }
    }

    /// The number, for messages. It says nothing once the descriptor is closed.
    #[inline(always)]
    pub fn as_raw(&self) -> i32 {
        self.raw
    }

    /// The number as an argument of a call.
    #[inline(always)]
    pub(crate) fn arg(&self) -> usize {
        self.raw as usize
    }

    /// The kernel in which the descriptor is open.
    #[inline(always)]
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Closes the descriptor and tells how that went. Dropping it closes it too, silently.
    ///
    #[doc = call_doc!(close)]
    ///
    /// The number is free for reuse whatever this returns, so a close must never be retried.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, `EDQUOT`: an earlier write to a file failed. `EINTR`: interrupted, closed
    /// all the same.
    pub fn close(self) -> Result<(), Errno> {
        let (raw, kernel) = self.into_parts();
        // SAFETY: the descriptor was ours to close, and has no owner now that could close it again.
        into_result(unsafe { kernel.syscall(sc::nr::CLOSE, [raw as usize]) }).map(|_| ())
    }

    /// The number and the kernel of a descriptor that `drop` no longer closes.
    fn into_parts(self) -> (i32, K) {
        let fd = ManuallyDrop::new(self);
        // SAFETY: `fd` is neither used again nor dropped, so the kernel has one owner.
        (fd.raw, unsafe { ptr::read(&fd.kernel) })
    }
}

impl<K: Kernel> Drop for Fd<K> {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours to close, and `close` does not get here. A server can do
        // nothing about a failed close, and the descriptor is gone either way.
        unsafe { self.kernel.syscall(sc::nr::CLOSE, [self.arg()]) };
    }
}

impl<K: Kernel> fmt::Debug for Fd<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fd({})", self.raw)
    }
}

/// A descriptor that stays open for the whole life of the process, such as one that the process was
/// started with. It lends its [`Fd`] and never gives it away, so safe code cannot close it.
///
/// ```
/// use syscalls::{Linux, stderr};
///
/// stderr(Linux).write(b"still open\n")?;
/// drop(stderr(Linux));
/// stderr(Linux).write(b"and still\n")?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// The owner cannot be moved out of it:
///
/// ```compile_fail,E0507
/// # use syscalls::{Linux, stdin};
/// drop(*stdin(Linux));
/// ```
///
/// ```compile_fail,E0308
/// # use std::mem::ManuallyDrop;
/// # use syscalls::{Linux, stdin};
/// drop(ManuallyDrop::into_inner(stdin(Linux)));
/// ```
///
/// ```compile_fail,E0616
/// # use syscalls::{Linux, stdin};
/// let fd = stdin(Linux).0;
/// ```
///
/// Nor can it be exchanged for another, or closed:
///
/// ```compile_fail,E0596
/// # use syscalls::{Linux, event::eventfd2, stdin};
/// let mut mine = eventfd2(Linux, 0, 0)?;
/// core::mem::swap(&mut mine, &mut *stdin(Linux));
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// ```compile_fail,E0507
/// # use syscalls::{Linux, stdin};
/// stdin(Linux).close()?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
pub struct Inherited<K: Kernel>(ManuallyDrop<Fd<K>>);

impl<K: Kernel> Inherited<K> {
    /// Keeps `fd` open until the process ends.
    pub fn new(fd: Fd<K>) -> Inherited<K> {
        Inherited(ManuallyDrop::new(fd))
    }
}

/// A shared borrow only. `DerefMut` would allow [`swap`](core::mem::swap) to take the descriptor.
impl<K: Kernel> Deref for Inherited<K> {
    type Target = Fd<K>;

    #[inline(always)]
    fn deref(&self) -> &Fd<K> {
        &self.0
    }
}

/// Lets go of the kernel, not of the descriptor.
impl<K: Kernel> Drop for Inherited<K> {
    fn drop(&mut self) {
        // SAFETY: this runs once, and nothing uses the field afterwards.
        drop(unsafe { ManuallyDrop::take(&mut self.0) }.into_parts());
    }
}

impl<K: Kernel> fmt::Debug for Inherited<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inherited({})", self.as_raw())
    }
}

/// Standard input, descriptor 0: `stdin(3)`.
pub fn stdin<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 0)
}

/// Standard output, descriptor 1: `stdout(3)`.
pub fn stdout<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 1)
}

/// Standard error, descriptor 2: `stderr(3)`.
pub fn stderr<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 2)
}

fn inherited<K: Kernel>(kernel: K, raw: i32) -> Inherited<K> {
    // SAFETY: 0, 1 and 2 belong to the whole program, and `Inherited` never closes them. They are
    // open from the start: Rust's runtime opens `/dev/null` for each that the parent left closed.
    // (A program without that runtime gets EBADF, or shares what it opened first.)
    Inherited::new(unsafe { Fd::from_raw(kernel, raw) })
}
