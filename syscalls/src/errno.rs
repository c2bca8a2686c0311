//! Error numbers, and the comparison that distinguishes an error from a result.

use core::fmt;

/// The largest error number: `MAX_ERRNO` in `include/linux/err.h`.
///
/// The kernel has one register for the result. It reports failure by returning `-errno`, so a value
/// in −4095 … −1 is an error. No call of this crate returns such a value when it succeeds: counts and
/// descriptors are not negative. Nor does `mmap`: the last page of the address space, where such a number
/// would be an address, is never mapped.
///
/// Other calls can return such a value on success. `fcntl(F_GETOWN)` returns the number of a process
/// group as a negative number; a C library that checks the result as above mistakes a number greater than
/// −4096 for an error (fcntl(2), BUGS; the comment at `F_GETOWN` in `fs/fcntl.c`). glibc therefore uses
/// `F_GETOWN_EX`, which writes the number to memory. `getpriority` returns 20 − nice, 1 to 40, to avoid
/// negative results.
///
/// # What the C library's wrapper adds
///
/// The kernel has no `errno` variable. The wrapper tests for −4095 … −1 with one unsigned comparison, as
/// [`into_result`] does. For an error, the wrapper stores the number in thread-local storage
/// (`__errno_location`), so that each thread has its own `errno`, and returns −1. Some wrappers are
/// cancellation points as well: while such a call waits, `pthread_cancel(3)` may end the thread
/// (pthreads(7) lists them). A call by the bare instruction is not a cancellation point. To see a wrapper:
/// `gdb -batch -ex 'disassemble read' /lib/x86_64-linux-gnu/libc.so.6`.
///
/// # What a bare call bypasses
///
/// The C library keeps state in the process and assumes that calls go through its wrappers. A program that
/// uses Rust's `std` is linked with the C library. In such a program, these calls by number break that
/// state:
///
/// | call by number | effect |
/// |---|---|
/// | `fork`, `vfork`, `clone` | No `pthread_atfork(3)` handler runs. (The wrappers of `vfork` and `clone` run none either.) If the child has a copy of the memory, the C library's locks are not reset: if another thread held the lock of `malloc`, the child waits forever when it allocates. The C library also caches the thread's ID: in the child, the cached ID is that of the parent's thread. (Up to 2.24, glibc cached the process's ID too: getpid(2).) |
/// | `setuid`, `setgid`, `setgroups` and their relatives | Changes the calling thread only. In the kernel, each thread has its own credentials; the wrapper sends each other thread a signal, whose handler makes the same call (nptl(7)). |
/// | `exit_group`, and `exit` in the last thread | No `atexit(3)` handler runs, and the data in the buffer of `stdout` is lost. |
/// | any call on a descriptor that a `FILE` uses | Bypasses the buffer of the `FILE`: the data of a `write`, for example, precedes the data that the `FILE` still buffers. The wrappers bypass it too. |
/// | `rt_sigaction`, `rt_sigprocmask` | Can ignore, handle or block signals 32 and 33, which the C library uses for cancellation, timers and `setuid`. The wrapper `sigaction` rejects these signals, and `sigprocmask` does not block them (nptl(7)). |
/// | `brk`, `munmap` of its memory, `set_robust_list`, `arch_prctl(ARCH_SET_FS)` | The C library loses its heap, its list of robust mutexes or its thread-local storage. |
///
/// The table contains these calls of this crate: [`exit_group`](crate::process::exit_group),
/// [`rt_sigaction_ignore`](crate::signal::rt_sigaction_ignore),
/// [`rt_sigaction_exit`](crate::signal::rt_sigaction_exit),
/// [`rt_sigprocmask`](crate::signal::rt_sigprocmask), and any call on a descriptor that a `FILE` uses. For
/// the other calls, the C library's wrappers keep no state.
pub const MAX_ERRNO: usize = 4095;

/// A Linux error number: `errno(3)`.
///
/// ```
/// use syscalls::Errno;
///
/// let errno = Errno::EADDRINUSE;
/// assert_eq!((errno.number(), errno.name()), (98, "EADDRINUSE"));
/// assert_eq!(errno.to_string(), "EADDRINUSE (98): Address already in use");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $number:literal, $message:literal;)*) => {
        impl Errno {
            $(#[doc = concat!($message, " (", $number, ").")] pub const $name: Errno = Errno($number);)*

            /// Every error number of `include/uapi/asm-generic/errno-base.h` and `errno.h`.
            pub const ALL: &[Errno] = &[$(Errno::$name),*];

            /// Returns the symbolic name, such as `"EAGAIN"`, or `"E?"` for a number that is not in
            /// [`ALL`](Errno::ALL).
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* _ => "E?" }
            }

            /// Returns the message of glibc's `strerror(3)` in the C locale, or `"Unknown error"` for a number
            /// that is not in [`ALL`](Errno::ALL).
            pub const fn message(self) -> &'static str {
                match self { $(Errno::$name => $message,)* _ => "Unknown error" }
            }
        }
    };
}

// The numbers are those of include/uapi/asm-generic/errno-base.h and errno.h, which x86_64 and
// aarch64 share. 41 and 58 are unused: they were EWOULDBLOCK and EDEADLOCK, now other names for
// EAGAIN and EDEADLK.
errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    ESRCH = 3, "No such process";
    EINTR = 4, "Interrupted system call";
    EIO = 5, "Input/output error";
    ENXIO = 6, "No such device or address";
    E2BIG = 7, "Argument list too long";
    ENOEXEC = 8, "Exec format error";
    EBADF = 9, "Bad file descriptor";
    ECHILD = 10, "No child processes";
    EAGAIN = 11, "Resource temporarily unavailable";
    ENOMEM = 12, "Cannot allocate memory";
    EACCES = 13, "Permission denied";
    EFAULT = 14, "Bad address";
    ENOTBLK = 15, "Block device required";
    EBUSY = 16, "Device or resource busy";
    EEXIST = 17, "File exists";
    EXDEV = 18, "Invalid cross-device link";
    ENODEV = 19, "No such device";
    ENOTDIR = 20, "Not a directory";
    EISDIR = 21, "Is a directory";
    EINVAL = 22, "Invalid argument";
    ENFILE = 23, "Too many open files in system";
    EMFILE = 24, "Too many open files";
    ENOTTY = 25, "Inappropriate ioctl for device";
    ETXTBSY = 26, "Text file busy";
    EFBIG = 27, "File too large";
    ENOSPC = 28, "No space left on device";
    ESPIPE = 29, "Illegal seek";
    EROFS = 30, "Read-only file system";
    EMLINK = 31, "Too many links";
    EPIPE = 32, "Broken pipe";
    EDOM = 33, "Numerical argument out of domain";
    ERANGE = 34, "Numerical result out of range";
    EDEADLK = 35, "Resource deadlock avoided";
    ENAMETOOLONG = 36, "File name too long";
    ENOLCK = 37, "No locks available";
    ENOSYS = 38, "Function not implemented";
    ENOTEMPTY = 39, "Directory not empty";
    ELOOP = 40, "Too many levels of symbolic links";
    ENOMSG = 42, "No message of desired type";
    EIDRM = 43, "Identifier removed";
    ECHRNG = 44, "Channel number out of range";
    EL2NSYNC = 45, "Level 2 not synchronized";
    EL3HLT = 46, "Level 3 halted";
    EL3RST = 47, "Level 3 reset";
    ELNRNG = 48, "Link number out of range";
    EUNATCH = 49, "Protocol driver not attached";
    ENOCSI = 50, "No CSI structure available";
    EL2HLT = 51, "Level 2 halted";
    EBADE = 52, "Invalid exchange";
    EBADR = 53, "Invalid request descriptor";
    EXFULL = 54, "Exchange full";
    ENOANO = 55, "No anode";
    EBADRQC = 56, "Invalid request code";
    EBADSLT = 57, "Invalid slot";
    EBFONT = 59, "Bad font file format";
    ENOSTR = 60, "Device not a stream";
    ENODATA = 61, "No data available";
    ETIME = 62, "Timer expired";
    ENOSR = 63, "Out of streams resources";
    ENONET = 64, "Machine is not on the network";
    ENOPKG = 65, "Package not installed";
    EREMOTE = 66, "Object is remote";
    ENOLINK = 67, "Link has been severed";
    EADV = 68, "Advertise error";
    ESRMNT = 69, "Srmount error";
    ECOMM = 70, "Communication error on send";
    EPROTO = 71, "Protocol error";
    EMULTIHOP = 72, "Multihop attempted";
    EDOTDOT = 73, "RFS specific error";
    EBADMSG = 74, "Bad message";
    EOVERFLOW = 75, "Value too large for defined data type";
    ENOTUNIQ = 76, "Name not unique on network";
    EBADFD = 77, "File descriptor in bad state";
    EREMCHG = 78, "Remote address changed";
    ELIBACC = 79, "Can not access a needed shared library";
    ELIBBAD = 80, "Accessing a corrupted shared library";
    ELIBSCN = 81, ".lib section in a.out corrupted";
    ELIBMAX = 82, "Attempting to link in too many shared libraries";
    ELIBEXEC = 83, "Cannot exec a shared library directly";
    EILSEQ = 84, "Invalid or incomplete multibyte or wide character";
    ERESTART = 85, "Interrupted system call should be restarted";
    ESTRPIPE = 86, "Streams pipe error";
    EUSERS = 87, "Too many users";
    ENOTSOCK = 88, "Socket operation on non-socket";
    EDESTADDRREQ = 89, "Destination address required";
    EMSGSIZE = 90, "Message too long";
    EPROTOTYPE = 91, "Protocol wrong type for socket";
    ENOPROTOOPT = 92, "Protocol not available";
    EPROTONOSUPPORT = 93, "Protocol not supported";
    ESOCKTNOSUPPORT = 94, "Socket type not supported";
    EOPNOTSUPP = 95, "Operation not supported";
    EPFNOSUPPORT = 96, "Protocol family not supported";
    EAFNOSUPPORT = 97, "Address family not supported by protocol";
    EADDRINUSE = 98, "Address already in use";
    EADDRNOTAVAIL = 99, "Cannot assign requested address";
    ENETDOWN = 100, "Network is down";
    ENETUNREACH = 101, "Network is unreachable";
    ENETRESET = 102, "Network dropped connection on reset";
    ECONNABORTED = 103, "Software caused connection abort";
    ECONNRESET = 104, "Connection reset by peer";
    ENOBUFS = 105, "No buffer space available";
    EISCONN = 106, "Transport endpoint is already connected";
    ENOTCONN = 107, "Transport endpoint is not connected";
    ESHUTDOWN = 108, "Cannot send after transport endpoint shutdown";
    ETOOMANYREFS = 109, "Too many references: cannot splice";
    ETIMEDOUT = 110, "Connection timed out";
    ECONNREFUSED = 111, "Connection refused";
    EHOSTDOWN = 112, "Host is down";
    EHOSTUNREACH = 113, "No route to host";
    EALREADY = 114, "Operation already in progress";
    EINPROGRESS = 115, "Operation now in progress";
    ESTALE = 116, "Stale file handle";
    EUCLEAN = 117, "Structure needs cleaning";
    ENOTNAM = 118, "Not a XENIX named type file";
    ENAVAIL = 119, "No XENIX semaphores available";
    EISNAM = 120, "Is a named type file";
    EREMOTEIO = 121, "Remote I/O error";
    EDQUOT = 122, "Disk quota exceeded";
    ENOMEDIUM = 123, "No medium found";
    EMEDIUMTYPE = 124, "Wrong medium type";
    ECANCELED = 125, "Operation canceled";
    ENOKEY = 126, "Required key not available";
    EKEYEXPIRED = 127, "Key has expired";
    EKEYREVOKED = 128, "Key has been revoked";
    EKEYREJECTED = 129, "Key was rejected by service";
    EOWNERDEAD = 130, "Owner died";
    ENOTRECOVERABLE = 131, "State not recoverable";
    ERFKILL = 132, "Operation not possible due to RF-kill";
    EHWPOISON = 133, "Memory page has hardware error";
}

impl Errno {
    /// Makes an error from `number`, a positive error number. The kernel's headers need not define it.
    ///
    /// # Panics
    /// Panics if `number` is not in 1 … [`MAX_ERRNO`].
    pub const fn new(number: u16) -> Errno {
        assert!(number >= 1 && number as usize <= MAX_ERRNO);
        Errno(number)
    }

    /// Returns the number, which is positive.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the value of the result register for this error: `-errno`, as an unsigned number.
    ///
    /// ```
    /// use syscalls::Errno;
    ///
    /// assert_eq!(Errno::EBADF.to_result() as isize, -9);
    /// ```
    pub const fn to_result(self) -> usize {
        (self.0 as usize).wrapping_neg()
    }
}

/// Converts the value of the result register into a result or an error.
///
/// ```
/// use syscalls::{Errno, into_result};
///
/// assert_eq!(into_result(3), Ok(3));
/// assert_eq!(into_result(-11_isize as usize), Err(Errno::EAGAIN));
/// // The lowest error value. The value below it is a result.
/// assert_eq!(into_result(-4095_isize as usize), Err(Errno::new(4095)));
/// assert_eq!(into_result(-4096_isize as usize), Ok(0xffff_ffff_ffff_f000));
/// ```
#[inline(always)]
pub const fn into_result(result: usize) -> Result<usize, Errno> {
    if result > usize::MAX - MAX_ERRNO {
        Err(Errno(result.wrapping_neg() as u16))
    } else {
        Ok(result)
    }
}

/// Repeats `call` while it fails with `EINTR`.
///
/// ```
/// use syscalls::{Errno, retry_on_eintr};
///
/// let mut results = [Err(Errno::EINTR), Err(Errno::EINTR), Ok(5)].into_iter();
/// assert_eq!(retry_on_eintr(|| results.next().unwrap()), Ok(5));
/// ```
///
/// Do not use it for these calls:
///
/// - `connect`: on a TCP socket, the interrupted attempt continues in the background. Wait until the socket
///   is writable and read [`SO_ERROR`](crate::socket::SO_ERROR).
/// - `close`: the descriptor is closed already, and another file may have its number.
/// - `epoll_pwait` and `ppoll` with a timeout: each repetition would wait for the whole timeout again.
#[inline]
pub fn retry_on_eintr<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            outcome => return outcome,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.0, self.message())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Errno {}
