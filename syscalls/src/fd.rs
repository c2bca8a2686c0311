//! File descriptors, owned and borrowed.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr;

use crate::{Errno, Kernel, into_result};

/// A file descriptor that is closed when it is dropped.
///
/// An `Fd` owns the descriptor, a `&Fd` borrows it. The descriptor is never closed twice, and never
/// while it is borrowed. `Fd<Linux>` has the size of the number, 4 bytes.
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
/// A closed descriptor cannot be used:
///
/// ```compile_fail,E0382
/// # use syscalls::{Linux, event::eventfd2};
/// let counter = eventfd2(Linux, 7, 0)?;
/// counter.close()?;
/// counter.read(&mut [0; 8])?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
///
/// A borrow cannot outlive the owner, not even in another thread:
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
/// A borrower cannot close the descriptor:
///
/// ```compile_fail,E0507
/// # use syscalls::{Fd, Linux};
/// fn borrower(fd: &Fd<Linux>) {
///     fd.close();
/// }
/// ```
///
/// # Threads
///
/// Threads may use one descriptor at the same time: `Fd<Linux>` is `Send` and `Sync`, and `read` and
/// `write` take `&self`. The order of the calls of two threads is not defined. A write to a pipe of at most
/// `PIPE_BUF` bytes (4096) is atomic. Longer writes, and writes to a stream socket, can interleave with those
/// of another thread (pipe(7)).
///
/// ```
/// use syscalls::{Errno, Linux, event::eventfd2};
///
/// let counter = eventfd2(Linux, 0, 0)?;
/// std::thread::scope(|scope| {
///     let reader = scope.spawn(|| counter.read(&mut [0; 8])); // blocks until the counter is not 0
///     assert_eq!(counter.write(&1_u64.to_ne_bytes()), Ok(8));
///     assert_eq!(reader.join().unwrap(), Ok(8));
/// });
/// # Ok::<(), Errno>(())
/// ```
///
/// In the kernel, a descriptor has no owner: any thread may close any number. A call holds a reference to
/// the open file until it returns. A `read` that is blocked when another thread closes its descriptor
/// therefore remains blocked, and then reads from the old file (close(2), "Multithreaded processes and
/// close()"). But the number is free, and the next file that any thread opens may get it. A thread that
/// then makes another call with the number uses the wrong file. Safe code cannot make this mistake with
/// an `Fd`, because [`close`](Fd::close) takes the `Fd` by value, when no borrow is left.
/// `tests/questions.rs` makes the mistake with bare numbers.
///
/// To end a blocked `read` of a socket, call [`shutdown`](crate::Socket::shutdown). For another descriptor,
/// let the thread wait in [`ppoll`](crate::poll::ppoll) for that descriptor and for one on which it can be
/// woken.
pub struct Fd<K: Kernel> {
    raw: i32,
    kernel: K,
}

impl<K: Kernel> Fd<K> {
    /// Takes ownership of descriptor `raw`.
    ///
    /// # Safety
    /// `raw` is open in `kernel`, and no other code closes it or relies on it staying open.
    ///
    /// ```
    /// use syscalls::{Errno, Fd, Kernel, Linux, into_result};
    ///
    /// // SAFETY: no memory is passed, and the call only creates a descriptor.
    /// let raw = into_result(unsafe { Linux.syscall(sc::nr::EVENTFD2, [7, 0]) })?;
    /// // SAFETY: the descriptor is new, so it has no other owner.
    /// let fd = unsafe { Fd::from_raw(Linux, raw as i32) };
    /// let mut counter = [0; 8];
    /// assert_eq!(fd.read(&mut counter), Ok(8));
    /// assert_eq!(u64::from_ne_bytes(counter), 7);
    /// # Ok::<(), Errno>(())
    /// ```
    #[inline(always)]
    pub unsafe fn from_raw(kernel: K, raw: i32) -> Fd<K> {
        debug_assert!(raw >= 0, "a descriptor is never negative");
        Fd { raw, kernel }
    }

    /// Takes ownership of the descriptor that a call has just returned.
    ///
    /// # Safety
    /// `result` is the number of a new descriptor, as a successful call of `kernel` returned it.
    #[inline(always)]
    pub(crate) unsafe fn from_result(kernel: K, result: usize) -> Fd<K> {
        // SAFETY: the descriptor is new and open, and nothing else owns it. The kernel returns an
        // `int`, so the cast loses nothing.
        unsafe { Fd::from_raw(kernel, result as i32) }
    }

    /// Returns the number, for diagnostics. It has no meaning after the descriptor is closed.
    #[inline(always)]
    pub fn as_raw(&self) -> i32 {
        self.raw
    }

    /// Returns the number as an argument of a call.
    #[inline(always)]
    pub(crate) fn arg(&self) -> usize {
        self.raw as usize
    }

    /// Returns the kernel in which the descriptor is open.
    #[inline(always)]
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Closes the descriptor and returns any error. Dropping an `Fd` also closes it, and ignores errors.
    ///
    #[doc = call_doc!(close)]
    ///
    /// The number is free for reuse even if the call fails, so do not retry `close`.
    ///
    /// # Errors
    /// - `EIO`, `ENOSPC`, `EDQUOT`: an earlier write to the file failed.
    /// - `EINTR`: a signal handler interrupted the call. The descriptor is closed.
    pub fn close(self) -> Result<(), Errno> {
        let (raw, kernel) = self.into_parts();
        // SAFETY: `self` owned the descriptor and no longer exists, so nothing closes it again.
        into_result(unsafe { kernel.syscall(sc::nr::CLOSE, [raw as usize]) }).map(|_| ())
    }

    /// Splits the `Fd` into its number and its kernel, without closing the descriptor.
    fn into_parts(self) -> (i32, K) {
        let fd = ManuallyDrop::new(self);
        // SAFETY: `fd` is neither used again nor dropped, so the kernel has one owner.
        (fd.raw, unsafe { ptr::read(&fd.kernel) })
    }
}

impl<K: Kernel> Drop for Fd<K> {
    fn drop(&mut self) {
        // SAFETY: `self` owns the descriptor, and `close` does not drop the `Fd`. The result is
        // ignored: the descriptor is closed in any case.
        unsafe { self.kernel.syscall(sc::nr::CLOSE, [self.arg()]) };
    }
}

impl<K: Kernel> fmt::Debug for Fd<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fd({})", self.raw)
    }
}

/// A descriptor that stays open until the process ends, such as standard output. It dereferences to an
/// [`Fd`] but does not give up ownership, so safe code cannot close it.
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
/// Safe code cannot move the `Fd` out of it:
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
/// Safe code cannot exchange it for another descriptor, or close it:
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

/// Gives a shared borrow only: `DerefMut` would allow [`swap`](core::mem::swap) to take the descriptor.
impl<K: Kernel> Deref for Inherited<K> {
    type Target = Fd<K>;

    #[inline(always)]
    fn deref(&self) -> &Fd<K> {
        &self.0
    }
}

/// Drops the kernel and leaves the descriptor open.
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

/// Returns standard input, descriptor 0: `stdin(3)`.
pub fn stdin<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 0)
}

/// Returns standard output, descriptor 1: `stdout(3)`.
pub fn stdout<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 1)
}

/// Returns standard error, descriptor 2: `stderr(3)`.
pub fn stderr<K: Kernel>(kernel: K) -> Inherited<K> {
    inherited(kernel, 2)
}

fn inherited<K: Kernel>(kernel: K, raw: i32) -> Inherited<K> {
    // SAFETY: 0, 1 and 2 belong to the whole program, and `Inherited` never closes them. They are
    // open from the start: Rust's runtime opens `/dev/null` for each that the parent left closed.
    // (In a program without that runtime, a call on a closed one fails with EBADF, or uses a file that
    // was opened later and got its number.)
    Inherited::new(unsafe { Fd::from_raw(kernel, raw) })
}
