//! # Linux system calls from the instruction up
//!
//! How a program asks the kernel for something, on x86_64 and on aarch64: put the call's number
//! and arguments into registers, execute one instruction, look at one register. This crate is that
//! and no more, with types around it that make it hard to use wrongly.
//!
//! ## The story of a call
//!
//! A program reads from a connection: `connection.read(&mut buf)`.
//!
//! 1. [`Fd::read`] makes three numbers of it: the descriptor, the slice's address, its length. The
//!    types vouch for them: the descriptor is open because its owner is, and all of the slice is
//!    the caller's to change.
//! 2. [`Kernel::syscall`] is the seam that every call goes through. Tests put a kernel of their own
//!    there, and a [tracer](trace) stands in between. [`Linux`] is the real one. It has no size.
//! 3. [`arch::syscall3`] says which number goes to which register, and executes the instruction:
//!    `syscall` or `svc 0`. The processor switches to kernel mode and jumps to an address that the
//!    kernel has set: on x86_64 the one for `syscall` (the register `IA32_LSTAR`), on aarch64 the one
//!    for every exception from a program (`VBAR_EL1` + 0x400). Page faults go there too; the kernel
//!    tells them apart by a class in `ESR_EL1`.
//! 4. The kernel finds the call by its number, checks each argument (an address of memory that is
//!    not the program's is an error, `EFAULT`, not a crash), does what was asked or puts the thread
//!    to sleep until it can, leaves the result in a register, and returns.
//! 5. [`into_result`] tells by one comparison whether that is a count or an [`Errno`].
//!
//! In a release build nothing is left of it but this (here as Rust 1.95 compiles it, for a caller
//! that takes −1 for any error):
//!
//! ```text
//! x86_64                   aarch64
//! movslq (%rdi), %rdi      ldrsw x0, [x0]         the descriptor; the rest is in its place already
//! xorl %eax, %eax          mov w8, #63            the number of read
//! syscall                  svc #0                 into the kernel, and back
//! cmpq $-4095, %rax        cmn x0, #1, lsl #12    is it an error?
//! movq $-1, %rcx
//! cmovaeq %rcx, %rax       csinv x0, x0, xzr, ls  then it is −1
//! retq                     ret
//! ```
//!
//! ## The calls
//!
//! The number goes into `rax` (`x8` on aarch64), the arguments go into `rdi`, `rsi`, `rdx`, `r10`,
//! `r8` and `r9` (`x0` to `x5`), the result comes back in `rax` (`x0`).
//!
#![doc = calls::call_table!()]
//!
//! ## How old the kernel may be
//!
//! All calls are there since Linux 3.0 on x86_64, and since 3.7, the first one, on aarch64. (Rust's
//! standard library, which this crate does without, asks for 3.2 and 4.1.) Of the constants, a
//! few are younger: [`SO_REUSEPORT`](socket::SO_REUSEPORT) came with 3.9,
//! [`IP_BIND_ADDRESS_NO_PORT`](socket::IP_BIND_ADDRESS_NO_PORT) with 4.2 and
//! [`EPOLLEXCLUSIVE`](epoll::EPOLLEXCLUSIVE) with 4.5. Where the kernel lacks a call, it answers
//! `ENOSYS`; where it lacks an option, `ENOPROTOOPT`.
//!
//! ## What surprises
//!
//! | | explained at |
//! |---|---|
//! | x86_64's 4th argument is in `r10`, where C has it in `rcx` | [`arch::x86_64`] |
//! | `rcx` and `r11` are lost in a call on x86_64; aarch64 loses nothing | [`arch::x86_64`], [`arch::aarch64`] |
//! | a result from −4095 to −1 is an error (but see `fcntl(F_GETOWN)`) | [`MAX_ERRNO`] |
//! | aarch64 has no `epoll_wait`, `poll`, `eventfd`, `open` | [`epoll_pwait`], [`ppoll`], [`eventfd2`], [`openat`] |
//! | neither machine has `send` and `recv` | [`message`] |
//! | `struct epoll_event` is packed on x86_64, and nowhere else | [`EpollEvent`](epoll::EpollEvent) |
//! | the kernel's `sigset_t` and `struct sigaction` are not the C library's | [`SigSet`](signal::SigSet) |
//! | the kernel writes to the timeout of `ppoll` and `recvmmsg` | [`ppoll`], [`recvmmsg`] |
//! | a call that a signal interrupts may restart, or fail with `EINTR` | [`signal`] |
//! | `connect` must not be issued again after `EINTR`, nor `close` | [`connect`], [`close`] |
//! | a write to a peer that is gone kills the process | [`write`] |
//!
//! ## How all this is known
//!
//! | claim | test |
//! |---|---|
//! | calls, errors, constants and structs have the kernel headers' values, on both architectures | `tests/numbers/` |
//! | numbers, error messages and constants are the C library's | `tests/numbers/` |
//! | structs lie in memory as the C library's do | `tests/layouts.rs` |
//! | each argument is in its place: three ways into the kernel agree | `tests/asm.rs` |
//! | registers, flags, vector registers and the red zone survive a call | `tests/registers.rs` |
//! | a typed read is the instruction and no more | `tests/zero_cost.rs` |
//! | it stands without a C library: a server of 2 kB | `tests/freestanding.rs` |
//! | each call does what its documentation says, the errors too | `tests/calls.rs` |
//! | what restarts after a signal | `tests/restarts.rs` |
//! | a trace is what strace writes | `tests/trace_is_strace/` |
//! | safe code reaches its own memory and descriptors only, by Miri | `tests/rust_kernel.rs` |
//! | the table of calls above is the one that the code is made from | `src/calls.rs` |
//! | the course in `examples/` prints what it says | `tests/course.rs` |
//! | no two modules import each other | `tests/module_graph.rs` |
//! | restarts, the restorer, `int 0x80`, the upper half of an argument | `tests/questions.rs` |
//! | a seccomp filter sees the number and the arguments | `tests/seccomp.rs` |
//! | the guide to adding a call is complete | `tests/add_a_call.rs` |
#![no_std]

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
/// Walks through one echo, system call by system call, on both architectures. Read it after the
/// crate's front page.
///
#[doc = include_str!("one_echo.svg")]
///
#[doc = include_str!("one_echo.md")]
pub mod one_echo {}
pub mod poll;
pub mod process;
pub mod signal;
pub mod socket;
pub mod time;
pub mod trace;

pub use calls::{CALLS, Call};
pub use constants::ConstantTable;
pub use errno::{Errno, MAX_ERRNO, into_result, retry_on_eintr};
pub use fd::{Fd, Inherited, stderr, stdin, stdout};
pub use kernel::{Kernel, Linux};
pub use layouts::LAYOUTS;
pub use socket::Socket;
