//! Typed Linux system calls for x86_64 and aarch64, issued by hand-written assembly.
//!
//! To make a system call, a program puts the call's number and arguments into registers, executes one
//! instruction and reads the result from one register. This crate does that, with types that prevent
//! misuse: a descriptor has an owner, a buffer has a length, an error is an [`Errno`]. The crate needs
//! neither the C library nor Rust's standard library.
//!
//! ```
//! use syscalls::addr::AF_UNIX;
//! use syscalls::socket::SOCK_STREAM;
//! use syscalls::{Errno, Linux, Socket};
//!
//! let (ours, theirs) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM, 0)?;
//! ours.write(b"hello")?;
//! let mut buf = [0; 16];
//! let count = theirs.read(&mut buf)?;
//! assert_eq!(&buf[..count], b"hello");
//! // An error has the kernel's number. `accept` fails because this socket does not listen:
//! assert_eq!(theirs.accept().err(), Some(Errno::EINVAL));
//! # Ok::<(), Errno>(())
//! ```
//!
//! # The path of a call
//!
//! For `theirs.read(&mut buf)` above:
//!
//! 1. [`Fd::read`] turns its arguments into three integers: the descriptor's number, the buffer's
//!    address, the buffer's length.
//! 2. [`Kernel::syscall`] takes the call's number and these integers. Every typed call goes through
//!    this trait. [`Linux`] is the real kernel and has size 0; tests replace it, and a [tracer](trace)
//!    wraps it.
//! 3. [`arch::syscall3`] puts each integer into its register and executes the instruction, `syscall` or
//!    `svc 0`. The processor switches to kernel mode and jumps to the kernel's entry point.
//! 4. The kernel finds the call by its number, checks the arguments, does the work, and stores the result in
//!    a register. If the call must wait, the kernel suspends the thread. The kernel does not check
//!    beforehand that an address is mapped. If a copy from or to the address faults, the kernel handles the
//!    fault: it provides the page and continues the copy. If the address is not valid, the call returns
//!    `EFAULT` instead.
//! 5. [`into_result`] distinguishes a result from an error by one comparison.
//!
//! # Where to read on
//!
//! | to learn | read |
//! |---|---|
//! | by running and changing small programs | the course in `examples/README.md` |
//! | how a call enters the kernel, and what is left of steps 1 to 5 in a release build | [`arch`] |
//! | which calls the crate has, their numbers, and the oldest kernel that has them | [`CALLS`] |
//! | which arguments a call takes and which errors it returns | the call's page, such as [`Fd::read`] |
//! | how calls work together | [`one_echo`] |
//! | what often goes wrong | [`pitfalls`] |
//! | which test checks a claim | [`verification`] |
#![no_std]
#![warn(unreachable_pub)]

#[macro_use]
mod constants;
#[macro_use]
mod calls;
#[macro_use]
pub mod layout;

pub mod addr;
pub mod arch;
mod argument;
pub mod epoll;
mod errno;
pub mod event;
mod fd;
pub mod io;
mod kernel;
mod layouts;
pub mod message;
/// Walks through one echo, system call by system call, on both architectures.
///
#[doc = include_str!("one_echo.svg")]
///
#[doc = include_str!("one_echo.md")]
pub mod one_echo {}
/// Lists often overlooked facts about system calls, each with the page that explains it.
///
#[doc = include_str!("pitfalls.md")]
pub mod pitfalls {}
pub mod poll;
pub mod process;
pub mod scripted;
pub mod signal;
pub mod socket;
pub mod time;
pub mod trace;
/// Lists the claims of this documentation, each with the test that checks it.
///
#[doc = include_str!("verification.md")]
pub mod verification {}

pub use calls::{CALLS, Call};
pub use constants::ConstantTable;
pub use errno::{Errno, MAX_ERRNO, into_result, retry_on_eintr};
pub use fd::{Fd, Inherited, stderr, stdin, stdout};
pub use kernel::{Kernel, Linux};
pub use layouts::LAYOUTS;
pub use socket::Socket;
