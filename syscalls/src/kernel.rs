//! The seam: everything that crosses from the program to the kernel goes through [`Kernel`].

use crate::arch;

/// Something that answers system calls.
///
/// The typed calls of this crate are written once, over this trait. [`Linux`] is the real thing;
/// tests put a simulated kernel in its place, and a tracer can stand between the two.
///
/// # Safety
/// Safe callers of the typed calls hold descriptors and memory on the strength of the answers, so an
/// implementation answers as Linux would, or with an error:
///
/// - A call that succeeds in making a descriptor returns a number that no other owner has. An
///   implementation over [`Linux`] that returned 0 for a new socket would make [`Fd`](crate::Fd)
///   close standard input.
/// - A call writes to memory what Linux would write, and nowhere else.
/// - It keeps no address beyond the call, unless Linux would.
/// - A descriptor means the same to every clone, and to every other value of the type. If values have
///   descriptors of their own, as two simulations have, then a number of one must be harmless to
///   the other.
///
/// Safe code cannot implement it:
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
    /// Issues call `nr` with `N` arguments (0 to 6) and returns what the kernel left in the
    /// result register: −4095 … −1 for an error, see [`into_result`](crate::into_result).
    ///
    /// # Safety
    /// As for the call that `nr` names: each argument that it takes for an address must point to
    /// memory that may be read or written as the call does, and its effect on the process (on its
    /// descriptors, mappings, signal handlers …) must not break what other code relies on.
    ///
    /// Besides, a kernel may be written in Rust. So that memory has been exposed
    /// (`expose_provenance`), what the call reads is initialized, and the memory stays as it is
    /// until this returns.
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize;
}

/// The kernel that this machine runs. It has no size, and a call through it is the bare
/// instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linux;

// SAFETY: it is the real kernel, and has no state.
unsafe impl Kernel for Linux {
    #[inline(always)]
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        const { assert!(N <= 6, "a system call takes at most six arguments") };
        // SAFETY: the caller's promise is the one that each arity asks for.
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
