//! The [`Kernel`] trait, through which every typed call is made, and [`Linux`].

use crate::arch;

/// Answers system calls.
///
/// The typed calls of this crate are generic over this trait. [`Linux`] is the real kernel. Tests replace
/// it with a simulated kernel, and [`Traced`](crate::trace::Traced) wraps another implementation.
///
/// This implementation counts the calls and passes them on to Linux:
///
/// ```
/// use std::cell::Cell;
///
/// use syscalls::event::{EFD_CLOEXEC, eventfd2};
/// use syscalls::{Errno, Kernel, Linux};
///
/// #[derive(Clone)]
/// struct Counting<'c>(&'c Cell<u32>);
///
/// // SAFETY: each result is that of Linux.
/// unsafe impl Kernel for Counting<'_> {
///     unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
///         self.0.set(self.0.get() + 1);
///         // SAFETY: the caller upholds the contract of the call.
///         unsafe { Linux.syscall(nr, args) }
///     }
/// }
///
/// let count = Cell::new(0);
/// let event = eventfd2(Counting(&count), 1, EFD_CLOEXEC)?;
/// event.read(&mut [0; 8])?;
/// drop(event);
/// assert_eq!(count.get(), 3); // eventfd2, read, close
/// # Ok::<(), Errno>(())
/// ```
///
/// # Safety
/// Safe code that makes typed calls relies on the returned descriptors and on the written memory. An
/// implementation must therefore meet these conditions:
///
/// - A call returns a result that Linux could return, or an error. A call that succeeds in creating a
///   descriptor returns a number that has no other owner. If an implementation over [`Linux`] returned 0
///   for a new socket, [`Fd`](crate::Fd) would close standard input.
/// - A call writes only what Linux would write, and only where Linux would.
/// - The implementation keeps no address after it returns, unless Linux would.
/// - A descriptor number denotes the same open file for every clone of a value. For any other value of the
///   type, it either denotes that file too, or is harmless when passed to that value. (Two simulations, for
///   example, each have their own descriptors.)
///
/// Safe code cannot implement the trait:
///
/// ```compile_fail,E0200
/// #[derive(Clone)]
/// struct Liar;
///
/// impl syscalls::Kernel for Liar {
///     unsafe fn syscall<const N: usize>(&self, _: usize, _: [usize; N]) -> usize {
///         0
///     }
/// }
/// ```
pub unsafe trait Kernel: Clone {
    /// Issues call `nr` with `N` arguments (0 to 6) and returns the value of the result register:
    /// −4095 … −1 for an error, see [`into_result`](crate::into_result).
    ///
    /// # Safety
    /// The caller upholds the contract of call `nr`. Wherever the call reads or writes memory, at an address
    /// in an argument or in a structure, that memory may be read or written. The effect of the call on the
    /// process (on its descriptors, mappings, signal handlers …) does not break what other code relies on.
    ///
    /// An implementation written in Rust may access that memory itself. Therefore the provenance of each such
    /// address is exposed (`expose_provenance`), and the memory that the call reads is initialized. Until
    /// this function returns, no other code changes that memory, or reads memory that the call writes.
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize;
}

/// The kernel that this machine runs. The type has size 0. In a release build, a call through it compiles to
/// the instruction that enters the kernel and those that load its registers: see [`arch`].
///
/// ```
/// use syscalls::{Errno, Kernel, Linux, into_result};
///
/// // Any call, by number. `getppid` is not among the typed calls.
/// let nr = if cfg!(target_arch = "x86_64") { 110 } else { 173 };
/// // SAFETY: `getppid` takes no argument and changes nothing.
/// let parent = into_result(unsafe { Linux.syscall(nr, []) })?;
/// assert_eq!(parent, std::os::unix::process::parent_id() as usize);
/// # Ok::<(), Errno>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linux;

// SAFETY: this is the real kernel, and the value has no state.
unsafe impl Kernel for Linux {
    #[inline(always)]
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        const { assert!(N <= 6, "a system call takes at most six arguments") };
        // SAFETY: the caller upholds the contract of the call, which is what each function requires.
        unsafe {
            match *args.as_slice() {
                [] => arch::syscall0(nr),
                [a1] => arch::syscall1(nr, a1),
                [a1, a2] => arch::syscall2(nr, a1, a2),
                [a1, a2, a3] => arch::syscall3(nr, a1, a2, a3),
                [a1, a2, a3, a4] => arch::syscall4(nr, a1, a2, a3, a4),
                [a1, a2, a3, a4, a5] => arch::syscall5(nr, a1, a2, a3, a4, a5),
                [a1, a2, a3, a4, a5, a6] => arch::syscall6(nr, a1, a2, a3, a4, a5, a6),
                _ => unreachable!(),
            }
        }
    }
}
