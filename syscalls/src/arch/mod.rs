//! The instruction that enters the kernel, for each architecture: one function for each number of
//! arguments, 0 to 6.
//!
//! ```
//! use syscalls::arch;
//!
//! let nr = if cfg!(target_arch = "x86_64") { 1 } else { 64 };
//! let text = "written by the instruction alone\n";
//! // `expose_provenance` returns the address as a number, from which the kernel makes a pointer.
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
//! Rust 1.95 compiles this function to the machine code below. It contains no instruction for the address
//! and the length of the buffer, because the function receives them in the registers where the call takes
//! them. The x86_64 column is in AT&T syntax: the source comes first, `%` marks a register, `$` a constant.
//!
//! | x86_64 | aarch64 | |
//! |---|---|---|
//! | `movslq (%rdi), %rdi` | `ldrsw x0, [x0]` | load the descriptor |
//! | `xorl %eax, %eax` | `mov w8, #63` | the number of `read` |
//! | `syscall` | `svc #0` | enter the kernel and return |
//! | `cmpq $-4095, %rax` | `cmn x0, #1, lsl #12` | compare the result with −4095 (aarch64: −4096) |
//! | `movq $-1, %rcx`<br>`cmovaeq %rcx, %rax` | `csinv x0, x0, xzr, ls` | if it is an error, return −1 |
//! | `retq` | `ret` | |
//!
//! # From the instruction to the call's function
//!
//! `IA32_LSTAR` and `VBAR_EL1` are registers of the processor that only the kernel can access. When it boots,
//! Linux writes the address of its entry code into them. Exception level 0 is Arm's name for user mode,
//! level 1 for kernel mode. (On a host with virtualization host extensions, VHE, the kernel runs at level 2:
//! read EL2 for EL1.) A vector is one entry in a table of entry points. Page tables map a program's addresses
//! to memory. `sysret`, `iret` and `eret` return to the program. The names of the kernel's functions and files,
//! here and in the rest of this documentation, are those of Linux 6.18.
//!
//! | | x86_64 | aarch64 |
//! |---|---|---|
//! | the processor | saves the return address in `rcx` and the flags in `r11`, enters kernel mode, jumps to the address in `IA32_LSTAR` | saves the return address in `ELR_EL1`, the flags in `SPSR_EL1` and the cause in `ESR_EL1`, enters exception level 1, jumps to `VBAR_EL1` + 0x400 |
//! | the entry code | `entry_SYSCALL_64`: `swapgs` gives access to the kernel's data of this processor; then the code switches the page tables (if they are [separate](x86_64)) and the stack | the code at the vector, which page faults use too, switches the page tables if they are separate (`UNMAP_KERNEL_AT_EL0`); the processor itself has switched to the stack pointer of level 1; `el0t_64_sync_handler` reads from `ESR_EL1` that the cause was `svc` |
//! | saves the registers | as a `struct pt_regs` on the kernel's stack | the same |
//! | finds the function | `do_syscall_64` compares the lower half of `rax` with the number of calls; then a `switch` in `x64_sys_call` (older kernels: a table) | `el0_svc_common` and `invoke_syscall` do the same with the lower half of `x8`; then a table |
//! | calls it | `__x64_sys_read(regs)`, which takes its arguments out of `pt_regs` | `__arm64_sys_read(regs)`, likewise |
//! | returns | stores the result in `pt_regs`, delivers signals or switches threads if it must, restores the registers, executes `sysret`, or `iret` if `sysret` cannot restore them | the same, with `eret` |
//!
//! A mask (`array_index_nospec`) also bounds the number, so that speculative execution cannot use a number
//! that is out of range. Sources: `arch/x86/entry/entry_64.S`, `syscall_64.c`;
//! `arch/arm64/kernel/entry.S`, `entry-common.c`, `syscall.c`.
//!
//! As root, `bpftrace -e 'kprobe:__x64_sys_socket { print(kstack); }'` shows the kernel's stack each time
//! a program calls `socket`. `cargo run -q -p rawecho-syscalls --release --example cost` measures the time
//! that a call takes.
//!
//! # Why the numbers differ
//!
//! Each architecture has its own table. The table of x86_64 has grown in chronological order since the port
//! was made. The number of a removed call, such as `create_module`, is not reused and returns `ENOSYS`.
//! aarch64 uses the table that the kernel has for new ports (`scripts/syscall.tbl`; before Linux 6.11,
//! `include/uapi/asm-generic/unistd.h`). Its original part is ordered by subject, later calls follow in
//! chronological order, and it omits calls that a newer call replaces, such as `open` and `epoll_wait`.
//! A call that Linux 5.1 or later added to both tables has the same number in both.
//!
//! # Arguments of 32 bits
//!
//! A register has 64 bits. An `int` argument uses the lower 32. `SYSCALL_DEFINEn` declares each argument as
//! a `long` and casts it to its type, so the kernel ignores the upper half of an `int` and extends the sign
//! itself. This crate casts `i32 as usize`, which extends the sign, and `u32 as usize`, which fills with
//! zeros; for an `int`, the kernel treats both alike. The upper half matters for an argument of 64 bits,
//! such as a `size_t` or a pointer. `tests/questions.rs` closes a descriptor whose register has the upper
//! half 0xdeadbeef, and shows that `write` uses the upper half of its length.
//!
//! # What can see a call, or change it
//!
//! | | sees | when |
//! |---|---|---|
//! | syscall user dispatch | the address of the instruction; sends `SIGSYS` to the process itself | first; only on an architecture with the generic system call entry (x86_64, not aarch64) |
//! | `ptrace(2)`, as strace uses it | all registers and the process's memory; may change them | at entry and at exit |
//! | `seccomp(2)` | a `struct seccomp_data`: number, architecture, instruction's address, six arguments; not what a pointer points to | after ptrace, so that it sees a tracer's changes |
//! | tracepoints, audit | number and arguments | after seccomp |
//! | [`Traced`](crate::trace::Traced) | the calls made through [`Kernel`](crate::Kernel) in this program, not those of libc or std | before the instruction |
//!
//! The order is that of `syscall_trace_enter` (`kernel/entry/syscall-common.c`, `arch/arm64/kernel/ptrace.c`).
//! A filter must compare the architecture first, because the same number means another call in another
//! architecture's table. `tests/seccomp.rs` installs a filter that makes `close` of one descriptor fail. (The
//! test omits the comparison, because its process makes native calls only.)
//!
//! # Pointers and time of check
//!
//! An address is only a number. Another thread, or another process that shares the memory, can change the
//! memory between a check and its use. The kernel therefore copies a structure once, by `copy_from_user`,
//! and checks and uses the copy. Kernel code that read the memory twice has caused vulnerabilities ("double
//! fetch"). `readv` copies the array of buffers before it reads the first byte: in `tests/questions.rs`, a
//! `readv` overwrites its own array, and the kernel uses its copy. The kernel does not interpret the bytes
//! of a buffer, and copies them while the call runs.
//!
//! A check outside of the call cannot use the kernel's copy. A seccomp filter sees the six arguments and
//! cannot follow a pointer. A tracer (`ptrace(2)`) or supervisor (`seccomp_unotify(2)`) can read the
//! program's memory, but the kernel reads the memory again after the check, and another thread may have
//! changed it. seccomp_unotify(2) therefore warns not to implement a security policy with such a check. A
//! policy on paths or addresses belongs in the kernel, after the copy: in a security module, or in
//! `landlock(7)`.
//!
//! In this crate, a `&[u8]` stays unchanged during a call because Rust's borrow rules do not allow another
//! thread to write to it. The rules do not restrict another process that maps the same file.

// The documentation contains both architectures.
#[cfg(any(target_arch = "aarch64", doc))]
pub mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(any(target_arch = "x86_64", doc))]
pub mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
