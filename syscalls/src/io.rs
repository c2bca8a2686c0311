//! Reading, writing and opening files. Except for [`openat`], the calls are methods of [`Fd`].
//!
//! ```
//! use syscalls::io::{IoSlice, O_CLOEXEC, O_CREAT, O_RDWR, O_TRUNC, openat};
//! use syscalls::{Errno, Linux};
//!
//! let path = std::env::temp_dir().join(format!("syscalls-io-{}", std::process::id()));
//! let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
//! let flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
//! let file = openat(Linux, &c_path, flags, 0o600)?;
//! let count = file.writev(&[IoSlice::new(b"two buffers, "), IoSlice::new(b"one call")])?;
//! assert_eq!(count, 21);
//!
//! let again = openat(Linux, &c_path, O_CLOEXEC, 0)?;
//! let mut buf = [0; 64];
//! assert_eq!(again.read(&mut buf), Ok(21));
//! assert_eq!(again.read(&mut buf), Ok(0)); // the end of the file
//! # std::fs::remove_file(path).unwrap();
//! # Ok::<(), Errno>(())
//! ```

use core::ffi::CStr;
use core::marker::PhantomData;

use crate::layout::Layout;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Flags of `open(2)`: `include/uapi/asm-generic/fcntl.h`. These have the same values on x86_64 and
    /// aarch64. (Others, such as `O_DIRECT`, differ.)
    OPEN_FLAGS: i32 {
        /// Open for reading only.
        O_RDONLY = 0;
        /// Open for writing only.
        O_WRONLY = 0o1;
        /// Open for reading and writing.
        O_RDWR = 0o2;
        /// Create the file if it does not exist.
        O_CREAT = 0o100;
        /// Truncate an existing file to length 0.
        O_TRUNC = 0o1000;
        /// Write at the end of the file.
        O_APPEND = 0o2000;
        /// Return `EAGAIN` instead of blocking in a read or a write.
        O_NONBLOCK = 0o4000;
        /// Close the descriptor when the process executes another program.
        O_CLOEXEC = 0o2000000;
    }
}

constants! {
    /// Special values of the directory argument of `openat(2)`: `include/uapi/linux/fcntl.h`.
    AT_DIRECTORIES: i32 {
        /// Relative paths start at the current directory.
        AT_FDCWD = -100;
    }
}

/// The largest number of buffers that one `readv` or `writev` takes: `UIO_MAXIOV` in
/// `include/uapi/linux/uio.h`.
pub const UIO_MAXIOV: usize = 1024;

/// A buffer to write from: `struct iovec`, `include/uapi/linux/uio.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoSlice<'a> {
    /// An address with exposed provenance, so that a kernel or tracer written in Rust can read from it.
    pub(crate) iov_base: usize,
    pub(crate) iov_len: usize,
    bytes: PhantomData<&'a [u8]>,
}

pub(crate) const IOVEC: Layout = layout!("struct iovec", IoSlice<'static> { iov_base, iov_len });

impl<'a> IoSlice<'a> {
    /// Describes the buffer `bytes`.
    pub fn new(bytes: &'a [u8]) -> IoSlice<'a> {
        IoSlice {
            iov_base: bytes.as_ptr().expose_provenance(),
            iov_len: bytes.len(),
            bytes: PhantomData,
        }
    }
}

/// A buffer to read into: `struct iovec`, `include/uapi/linux/uio.h`.
#[repr(C)]
#[derive(Debug)]
pub struct IoSliceMut<'a> {
    iov_base: usize,
    iov_len: usize,
    bytes: PhantomData<&'a mut [u8]>,
}

pub(crate) const IOVEC_MUT: Layout =
    layout!("struct iovec", IoSliceMut<'static> { iov_base, iov_len });

impl<'a> IoSliceMut<'a> {
    /// Describes the buffer `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> IoSliceMut<'a> {
        IoSliceMut {
            iov_base: bytes.as_mut_ptr().expose_provenance(),
            iov_len: bytes.len(),
            bytes: PhantomData,
        }
    }
}

impl<K: Kernel> Fd<K> {
    /// Reads up to `buf.len()` bytes and returns the number of bytes read. 0 means the end of the file,
    /// or that the peer has shut down its sending side.
    ///
    #[doc = call_doc!(read)]
    ///
    /// # Errors
    /// - `EAGAIN`: there is nothing to read now, and the descriptor is non-blocking.
    /// - `EINTR`: a signal handler interrupted the call before it read anything
    ///   ([which calls restart](crate::signal)).
    /// - `ECONNRESET`: the peer reset the connection. The first call after the reset returns this error; later
    ///   reads return 0.
    /// - `ETIMEDOUT`: the peer's host no longer responds.
    /// - `EBADF`: the descriptor is not open for reading.
    /// - `EISDIR`: the descriptor is that of a directory.
    ///
    /// ```
    /// use syscalls::{Errno, Linux, event::{EFD_NONBLOCK, eventfd2}};
    ///
    /// let counter = eventfd2(Linux, 0, EFD_NONBLOCK)?;
    /// assert_eq!(counter.read(&mut [0; 8]), Err(Errno::EAGAIN));
    /// # Ok::<(), Errno>(())
    /// ```
    #[inline(always)]
    pub fn read(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        let args = [self.arg(), buf.as_mut_ptr().expose_provenance(), buf.len()];
        // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`, which is borrowed mutably.
        into_result(unsafe { self.kernel().syscall(sc::nr::READ, args) })
    }

    /// Writes up to `buf.len()` bytes and returns the number of bytes written, which may be less.
    ///
    #[doc = call_doc!(write)]
    ///
    /// # Errors
    /// - `EAGAIN`: the buffer of the pipe or socket is full, and the descriptor is non-blocking.
    /// - `EINTR`: a signal handler interrupted the call before it wrote anything.
    /// - `EPIPE`: the reader of the pipe or the peer of an `AF_UNIX` socket has closed, the sending side is
    ///   shut down, or the connection was reset and an earlier call has returned `ECONNRESET`. The process
    ///   also gets `SIGPIPE`, which by default kills it: see
    ///   [`rt_sigaction_ignore`](crate::signal::rt_sigaction_ignore).
    /// - `ECONNRESET`: the peer reset the connection, and no call has returned this error yet. The process
    ///   gets no signal.
    /// - `ENOSPC`, `EIO`, `EFBIG`: the file's device is full, the device failed, or the file is too large.
    /// - `EBADF`: the descriptor is not open for writing.
    ///
    /// After the peer of a TCP connection has closed its socket, a write still succeeds: the kernel takes the
    /// bytes, and the peer answers with a reset. A write after that fails with `EPIPE`. (The kernel reports a
    /// reset as `EPIPE` instead of `ECONNRESET` if it came after the end of the peer's stream.)
    ///
    /// To write all of a buffer, repeat the call with the rest:
    ///
    /// ```
    /// use syscalls::{Errno, Fd, Linux, retry_on_eintr, stdout};
    ///
    /// fn write_all(fd: &Fd<Linux>, mut bytes: &[u8]) -> Result<(), Errno> {
    ///     while !bytes.is_empty() {
    ///         let count = retry_on_eintr(|| fd.write(bytes))?;
    ///         bytes = &bytes[count..];
    ///     }
    ///     Ok(())
    /// }
    ///
    /// assert_eq!(write_all(&stdout(Linux), b"all of it\n"), Ok(()));
    /// ```
    #[inline(always)]
    pub fn write(&self, buf: &[u8]) -> Result<usize, Errno> {
        let args = [self.arg(), buf.as_ptr().expose_provenance(), buf.len()];
        // SAFETY: the kernel reads at most `buf.len()` bytes of `buf`.
        into_result(unsafe { self.kernel().syscall(sc::nr::WRITE, args) })
    }

    /// Reads into several buffers in order, and returns the number of bytes read. Each buffer is filled
    /// before the next.
    ///
    #[doc = call_doc!(readv)]
    ///
    /// # Errors
    /// - Those of [`read`](Fd::read).
    /// - `EINVAL`: there are more than [`UIO_MAXIOV`] buffers.
    #[inline]
    pub fn readv(&self, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        let args = [
            self.arg(),
            bufs.as_mut_ptr().expose_provenance(),
            bufs.len(),
        ];
        // SAFETY: each `IoSliceMut` is an iovec over memory that it borrows mutably, and the
        // kernel writes at most the length of each.
        into_result(unsafe { self.kernel().syscall(sc::nr::READV, args) })
    }

    /// Writes from several buffers, one after the other.
    /// Returns the number of bytes written.
    ///
    #[doc = call_doc!(writev)]
    ///
    /// # Errors
    /// - Those of [`write`](Fd::write).
    /// - `EINVAL`: there are more than [`UIO_MAXIOV`] buffers.
    #[inline]
    pub fn writev(&self, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let args = [self.arg(), bufs.as_ptr().expose_provenance(), bufs.len()];
        // SAFETY: each `IoSlice` is an iovec over memory that it borrows, and the kernel reads at
        // most the length of each.
        into_result(unsafe { self.kernel().syscall(sc::nr::WRITEV, args) })
    }
}

/// Opens the file at `path`, relative to the current directory. A file that `O_CREAT` creates gets the
/// permissions `mode` without those in the process's umask.
///
#[doc = call_doc!(openat)]
///
/// Some files give access to the process itself: a write to `/proc/self/mem` changes its memory. As with
/// [`std`'s file API](https://doc.rust-lang.org/std/os/unix/io/index.html#procselfmem-and-similar-os-features),
/// this function's types give no guarantee about the effect of such a file.
///
/// aarch64 has no `open`: its table omits calls that a newer call replaces.
///
/// # Errors
/// - `ENOENT`: the file or a directory of the path does not exist.
/// - `EACCES`: the permissions of the file or of a directory of the path do not allow it.
/// - `EISDIR`: the path is a directory, and the flags ask for writing.
/// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
/// - `EINTR`: a signal handler interrupted the call while it waited, for example for the other end of a FIFO.
pub fn openat<K: Kernel>(kernel: K, path: &CStr, flags: i32, mode: u32) -> Result<Fd<K>, Errno> {
    let path = path.as_ptr().expose_provenance();
    let args = [AT_FDCWD as usize, path, flags as usize, mode as usize];
    // SAFETY: the kernel reads `path` up to its NUL; the call only creates a descriptor.
    let fd = into_result(unsafe { kernel.syscall(sc::nr::OPENAT, args) })?;
    // SAFETY: the call succeeded, so the result is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}
