//! The instruction that enters the kernel, for each architecture: one function for each number of
//! arguments, 0 to 6.
//!
//! ```
//! use syscalls::arch;
//!
//! let nr = if cfg!(target_arch = "x86_64") { 1 } else { 64 };
//! let text = "written by the instruction alone\n";
//! // `expose_provenance` returns the address as a number. The kernel makes a pointer from it.
//! // SAFETY: `write` reads `text.len()` bytes at `text`.
//! let result = unsafe { arch::syscall3(nr, 1, text.as_ptr().expose_provenance(), text.len()) };
//! assert_eq!(result, text.len());
//! ```
//!
//! The modules [`x86_64`] and [`aarch64`] have the same structure and can be read side by side.
//!
#![doc = include_str!("../call_path.svg")]
//!
//! # What is left in a release build
//!
//! ```
//! # use syscalls::{Fd, Linux};
//! fn read(fd: &Fd<Linux>, buf: &mut [u8]) -> isize {
//!     fd.read(buf).map_or(-1, |count| count as isize)
//! }
//! ```
//!
//! The machine code of this function, as Rust 1.95 compiles it. The address and the length of the buffer
//! are in their registers already. The x86_64 column is in AT&T syntax: the source comes first, `%` marks a
//! register, `$` a constant.
//!
//! | x86_64 | aarch64 | |
//! |---|---|---|
//! | `movslq (%rdi), %rdi` | `ldrsw x0, [x0]` | load the descriptor |
//! | `xorl %eax, %eax` | `mov w8, #63` | the number of `read` |
//! | `syscall` | `svc #0` | into the kernel and back |
//! | `cmpq $-4095, %rax` | `cmn x0, #1, lsl #12` | is it an error? |
//! | `movq $-1, %rcx`<br>`cmovaeq %rcx, %rax` | `csinv x0, x0, xzr, ls` | then the result is −1 |
//! | `retq` | `ret` | |
//!
//! # From the instruction to the call's function
//!
//! Names such as `IA32_LSTAR` and `VBAR_EL1` are registers of the processor that only the kernel can access.
//! When it boots, Linux writes the address of its entry code into them. Exception level 0 is Arm's name for
//! user mode, level 1 for kernel mode. (On a host with virtualization host extensions, VHE, the kernel runs
//! at level 2: read EL2 for EL1.) A vector is one entry in a table of entry points. Page tables map a
//! program's addresses to memory. `sysret`, `iret` and `eret` return to the program. The names of the
//! kernel's functions and files, here and in the rest of this documentation, are those of Linux 6.18.
//!
//! | | x86_64 | aarch64 |
//! |---|---|---|
//! | the processor | keeps the return address in `rcx` and the flags in `r11`, enters kernel mode, jumps to the address in `IA32_LSTAR` | keeps the return address in `ELR_EL1`, the flags in `SPSR_EL1` and the cause in `ESR_EL1`, enters exception level 1, jumps to `VBAR_EL1` + 0x400 |
//! | the entry code | `entry_SYSCALL_64`: `swapgs` finds this processor's data, then the page tables (if they are [separate](x86_64)) and the stack are switched | a vector shared with page faults; the page tables are switched if they are separate (`UNMAP_KERNEL_AT_EL0`); the stack pointer of level 1 is in use already; `el0t_64_sync_handler` sees by `ESR_EL1` that it was `svc` |
//! | saves the registers | as a `struct pt_regs` on the kernel's stack | the same |
//! | finds the function | `do_syscall_64`: the lower half of `rax`, compared with the number of calls; a `switch` in `x64_sys_call` (older kernels: a table) | `el0_svc_common`: the lower half of `x8`, likewise; a table |
//! | calls it | `__x64_sys_read(regs)`, which takes its arguments out of `pt_regs` | `__arm64_sys_read(regs)` |
//! | goes back | stores the result in `pt_regs`, delivers signals or switches threads if it must, restores the registers, `sysret`, or `iret` if `sysret` cannot restore them | the same, `eret` |
//!
//! The number is bounded by a mask as well (`array_index_nospec`), so that not even speculative
//! execution continues with a number that is out of range. Sources: `arch/x86/entry/entry_64.S`,
//! `syscall_64.c`; `arch/arm64/kernel/entry.S`, `entry-common.c`, `syscall.c`.
//!
//! As root, `bpftrace -e 'kprobe:__x64_sys_socket { print(kstack); }'` shows the kernel's stack when the
//! function runs. `cargo run -q -p rawecho-syscalls --release --example cost` measures what a call costs.
//!
//! # Why the numbers differ
//!
//! Each architecture has its own table. That of x86_64 has grown in order of time since the port was
//! made. It never reuses a number: a call that was removed, such as `create_module`, returns `ENOSYS`.
//! aarch64 uses the table that the kernel has for new ports (`include/uapi/asm-generic/unistd.h`): ordered
//! by subject, without calls that a newer call replaces, such as `open` and `epoll_wait`. A call that both
//! got since Linux 5.1 has the same number in both.
//!
//! # Arguments of 32 bits
//!
//! A register has 64 bits, and an `int` argument is in the lower 32. `SYSCALL_DEFINEn` declares each
//! argument as a `long` and casts it to its type, so the kernel ignores the upper half and extends the
//! sign itself. This crate casts `i32 as usize`, which extends the sign, and `u32 as usize`, which
//! fills with zeros; for an `int` either would do. It matters for arguments that are 64 bits wide: a
//! `size_t` or a pointer must be whole. `tests/questions.rs` closes a descriptor whose upper half is
//! 0xdeadbeef, and writes with a length whose upper half counts.
//!
//! # What can see a call, or change it
//!
//! | | sees | when |
//! |---|---|---|
//! | syscall user dispatch | the address of the instruction; sends `SIGSYS` to the process itself | before all else; only where the architecture uses the generic system call entry (x86_64, not aarch64) |
//! | `ptrace(2)`, as strace uses it | all registers and the process's memory; may change them | at entry and at exit |
//! | `seccomp(2)` | a `struct seccomp_data`: number, architecture, instruction's address, six arguments; not what a pointer points to | after ptrace, so that it sees the changes |
//! | tracepoints, audit | number and arguments | after these |
//! | [`Traced`](crate::trace::Traced) | the calls made through [`Kernel`](crate::Kernel) in this program, not those of libc or std | before the instruction |
//!
//! The order is that of `syscall_trace_enter` (`kernel/entry/syscall-common.c`, `arch/arm64/kernel/ptrace.c`).
//! A filter must compare the architecture first: the same number is another call in another table.
//! `tests/seccomp.rs` installs a filter that fails one descriptor's `close`.
//!
//! # Pointers and time of check
//!
//! An address is only a number. The memory behind it can change between a check and its use, by another
//! thread or another process that shares it. The kernel therefore copies a structure once, by
//! `copy_from_user`, and checks and uses the copy. Code in the kernel that read the memory twice was a
//! source of vulnerabilities ("double fetch"). For `readv`, the array of buffers is copied before the
//! first byte is read: `tests/questions.rs` lets a `readv` overwrite its own array and sees the old one
//! used. The bytes of a buffer, which have no meaning to the kernel, are copied while the call runs.
//!
//! Code outside of the call cannot do the same. A seccomp filter sees the six numbers and cannot follow a
//! pointer. A tracer (`ptrace(2)`) or supervisor (`seccomp_unotify(2)`) can read the program's memory, but
//! the kernel reads it again afterwards, and by then it may be different. seccomp_unotify(2) therefore
//! warns that such a check must not decide what is safe. A policy on paths or addresses belongs into the
//! kernel, after the copy: a security module, or `landlock(7)`.
//!
//! In this crate, a `&[u8]` stays unchanged during a call because Rust's borrow rules forbid another
//! thread to write to it. No such rule binds another process that maps the same file.

// The documentation shows both.
#[cfg(any(target_arch = "aarch64", doc))]
pub mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(any(target_arch = "x86_64", doc))]
pub mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
