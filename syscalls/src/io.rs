//! Bytes in and out of a descriptor, and opening a file.

use core::ffi::CStr;
use core::marker::PhantomData;

use crate::layout::Layout;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// The flags of `open(2)` in use: `include/uapi/asm-generic/fcntl.h`. They are the same on
    /// x86_64 and aarch64 (others, such as `O_DIRECT`, are not).
    OPEN_FLAGS: i32 {
        /// Open for reading only.
        O_RDONLY = 0;
        /// Open for writing only.
        O_WRONLY = 0o1;
        /// Open for reading and writing.
        O_RDWR = 0o2;
        /// Create the file if it does not exist.
        O_CREAT = 0o100;
        /// Cut an existing file to length 0.
        O_TRUNC = 0o1000;
        /// Write at the end of the file.
        O_APPEND = 0o2000;
        /// Never wait in a read or a write.
        O_NONBLOCK = 0o4000;
        /// Close the descriptor when the process executes another program.
        O_CLOEXEC = 0o2000000;
    }
}

constants! {
    /// What may stand for a directory in `openat(2)`: `include/uapi/linux/fcntl.h`.
    AT_DIRECTORIES: i32 {
        /// Relative paths start at the current directory.
        AT_FDCWD = -100;
    }
}

/// The number of buffers that one `readv` or `writev` takes: `UIO_MAXIOV` in
/// `include/uapi/linux/uio.h`.
pub const UIO_MAXIOV: usize = 1024;

/// A buffer to write from: `struct iovec`, `include/uapi/linux/uio.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoSlice<'a> {
    /// An exposed address, which a kernel or a tracer that is written in Rust can read from.
    pub(crate) iov_base: usize,
    pub(crate) iov_len: usize,
    bytes: PhantomData<&'a [u8]>,
}

pub(crate) const IOVEC: Layout = layout!("struct iovec", IoSlice<'static> { iov_base, iov_len });

impl<'a> IoSlice<'a> {
    /// The buffer `bytes`.
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
    /// The buffer `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> IoSliceMut<'a> {
        IoSliceMut {
            iov_base: bytes.as_mut_ptr().expose_provenance(),
            iov_len: bytes.len(),
            bytes: PhantomData,
        }
    }
}

impl<K: Kernel> Fd<K> {
    /// Reads what is there, at most `buf.len()` bytes, and returns how many; 0 means the end of
    /// the file, or that the peer has shut down its side.
    ///
    #[doc = call_doc!(read)]
    ///
    /// # Errors
    /// `EAGAIN`: nothing there now, on a non-blocking descriptor. `EINTR`: a signal came first
    /// ([which calls restart](crate::signal)). `ECONNRESET`:
    /// the peer reset the connection. `ETIMEDOUT`: the peer's machine no longer answers. `EBADF`:
    /// not open for reading. `EISDIR`: a directory.
    #[inline(always)]
    pub fn read(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        let args = [self.arg(), buf.as_mut_ptr().expose_provenance(), buf.len()];
        // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`, which is ours to change.
        into_result(unsafe { self.kernel().syscall(sc::nr::READ, args) })
    }

    /// Writes as much of `buf` as fits, and returns how many bytes that was.
    ///
    #[doc = call_doc!(write)]
    ///
    /// # Errors
    /// `EAGAIN`: no room now, on a non-blocking descriptor. `EINTR`: a signal came before the
    /// first byte. `EPIPE`: the reader or the peer is gone; the process gets `SIGPIPE` too, which
    /// kills it unless it is [ignored](crate::signal::rt_sigaction_ignore). `ECONNRESET`: the peer reset the
    /// connection. `ENOSPC`, `EIO`, `EFBIG`: from a file's device. `EBADF`: not open for writing.
    #[inline(always)]
    pub fn write(&self, buf: &[u8]) -> Result<usize, Errno> {
        let args = [self.arg(), buf.as_ptr().expose_provenance(), buf.len()];
        // SAFETY: the kernel reads at most `buf.len()` bytes of `buf`.
        into_result(unsafe { self.kernel().syscall(sc::nr::WRITE, args) })
    }

    /// Reads into several buffers, each filled before the next.
    ///
    #[doc = call_doc!(readv)]
    ///
    /// # Errors
    /// As for [`read`](Fd::read); `EINVAL`: more than [`UIO_MAXIOV`] buffers.
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
    ///
    #[doc = call_doc!(writev)]
    ///
    /// # Errors
    /// As for [`write`](Fd::write); `EINVAL`: more than [`UIO_MAXIOV`] buffers.
    #[inline]
    pub fn writev(&self, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let args = [self.arg(), bufs.as_ptr().expose_provenance(), bufs.len()];
        // SAFETY: each `IoSlice` is an iovec over memory that it borrows, and the kernel reads at
        // most the length of each.
        into_result(unsafe { self.kernel().syscall(sc::nr::WRITEV, args) })
    }
}

/// Opens the file at `path`, relative to the current directory. A file that `O_CREAT` makes gets
/// the permissions `mode`, less the process's umask.
///
#[doc = call_doc!(openat)]
///
/// Some files reach into the process itself: a write to `/proc/self/mem` changes any of its memory. As
/// for [`std`'s file API](https://doc.rust-lang.org/std/os/unix/io/index.html#procselfmem-and-similar-os-features),
/// what such a file does is outside of what types can promise.
///
/// aarch64 has no `open`: calls that a newer one can express were left out of its table.
///
/// # Errors
/// `ENOENT`: no such file or directory. `EACCES`: no permission. `EISDIR`: a directory, opened for
/// writing. `EMFILE`, `ENFILE`: no descriptor left in the process, in the system. `EINTR`: a signal
/// came while waiting (a FIFO, say).
pub fn openat<K: Kernel>(kernel: K, path: &CStr, flags: i32, mode: u32) -> Result<Fd<K>, Errno> {
    let path = path.as_ptr().expose_provenance();
    let args = [AT_FDCWD as usize, path, flags as usize, mode as usize];
    // SAFETY: the kernel reads `path` up to its NUL, and the call makes a descriptor and no more.
    let fd = into_result(unsafe { kernel.syscall(sc::nr::OPENAT, args) })?;
    // SAFETY: the call succeeded, and what it returned is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}
