//! # The `syscall` instruction: x86_64
//!
//! | role | register | afterwards |
//! |---|---|---|
//! | number | `rax` | overwritten by the result |
//! | 1st argument | `rdi` | unchanged |
//! | 2nd argument | `rsi` | unchanged |
//! | 3rd argument | `rdx` | unchanged |
//! | 4th argument | `r10` | unchanged |
//! | 5th argument | `r8` | unchanged |
//! | 6th argument | `r9` | unchanged |
//! | result | `rax` | −4095 … −1 is `-errno`, any other value a success ([exceptions](crate::MAX_ERRNO)) |
//! | – | `rcx` | overwritten: the address of the next instruction |
//! | – | `r11` | overwritten: the flags before the call, without `RF` |
//! | – | all others, flags, vector registers, stack | unchanged |
//!
//! **What the operands of `asm!` mean:** `inlateout("rax") nr => result` puts `nr` into `rax` before the
//! instruction and takes `result` out of `rax` afterwards. `in("rdi") a1` puts `a1` into `rdi`, which the
//! instruction does not change. `lateout("rcx") _` declares a *clobber*: the instruction overwrites `rcx`,
//! and the value is not used. The options declare what the instruction does not change: `nostack`, the
//! program's stack; `preserves_flags`, the flags.
//!
//! **Why `r10` and not `rcx`:** a C function takes its 4th argument in `rcx`. But `syscall` has to save
//! the return address and the flags without touching memory, because the stack pointer still points to
//! the program's stack. The processor therefore saves them in `rcx` and `r11`, and `sysret` takes them
//! from there. `rcx` cannot carry an argument, and both registers are declared as clobbered below.
//!
//! (FRED is a newer mechanism to enter the kernel and to return. With it, the processor saves the address
//! and the flags in memory, and a call does not change `rcx` and `r11`. Do not rely on either behaviour.)
//!
//! **Why `preserves_flags`:** the kernel returns with the flags that it saved at entry.
//!
//! **Why `nostack`:** the kernel switches to its own stack. Below the program's `rsp` the kernel writes
//! only the frame of a signal handler. The frame starts below the red zone, the 128 bytes below `rsp` that
//! a leaf function may use without moving `rsp`.
//!
//! **Why memory is not declared:** Rust assumes that `asm!` reads and writes any memory that it can
//! reach, unless an option (`nomem`, `readonly`) says otherwise. C's `asm` needs the clobber `"memory"`,
//! without which a compiler may omit the stores to a buffer before a `write`.
//!
//! **Why `inlateout` and `lateout`:** `late` states that the outputs are written after all inputs are read.
//! With named registers, as here, `inout` and `out` would compile to the same code. The result replaces the
//! number in `rax`, so one operand declares both.
//!
//! **Why not `int 0x80`:** it is the entry for 32-bit programs. It works in a 64-bit program too, but
//! the kernel then looks the number up in the 32-bit table (4 is `write` there and `stat` here), takes the
//! arguments from `ebx`, `ecx`, `edx`, `esi`, `edi` and `ebp`, and truncates each to 32 bits. A pointer to
//! the stack, above 4 GiB, becomes another address: at best the call fails with `EFAULT`. A kernel without
//! support for 32-bit programs kills the process with `SIGSEGV`. (`do_int80_emulation` in
//! `arch/x86/entry/syscall_32.c`; `tests/questions.rs` accepts both outcomes.) `int 0x80` is also slower:
//! `cargo run -q -p rawecho-syscalls --release --example cost` measures both instructions.
//!
//! **What x32 is:** an ABI with 32-bit pointers and the 64-bit registers. It uses the same instruction and
//! sets bit 30 of the number. Most kernels have x32 disabled, and such a number fails with `ENOSYS`. This
//! crate does not build for x32. (`do_syscall_x32` in `syscall_64.c`.)
//!
//! **What KPTI does, and what it costs** (not needed to make a call): KPTI is kernel page-table isolation. On
//! a processor that is vulnerable to Meltdown, the program's page tables contain nothing of the kernel except
//! the entry code and its data (`cpu_entry_area`: descriptor tables and entry stacks). The entry code switches
//! to the kernel's tables by a write to `CR3`, and the exit code switches back. (`SWITCH_TO_KERNEL_CR3` in
//! `arch/x86/entry/calling.h`; `arch/x86/mm/pti.c`.) Each write takes "on the order of a hundred cycles"
//! (`Documentation/arch/x86/pti.rst`, "Runtime Cost"), so a call costs some 200 cycles more, 70 ns at 3 GHz.
//! On a processor without PCID, each write also flushes the TLB. These figures are derived from the
//! kernel's documentation: the machine on which the figures of this crate were measured is not vulnerable.
//! `cat /sys/devices/system/cpu/vulnerabilities/meltdown` shows whether yours is. To measure the cost there,
//! run `cargo run -q -p rawecho-syscalls --release --example cost` after a boot with `pti=on` on the kernel's
//! command line, then after a boot with `pti=off`.
//!
//! Sources: the System V ABI's AMD64 supplement, section A.2.1 ("Calling Conventions" of the
//! Linux kernel), <https://gitlab.com/x86-psABIs/x86-64-ABI>; the entry code,
//! `arch/x86/entry/entry_64.S`; `syscall(2)`; Intel's manual, volume 2B, `SYSCALL`.

use core::arch::asm;

/// The architecture's name, as in Rust's `target_arch`.
pub const NAME: &str = "x86_64";
/// The register that carries the call's number.
pub const NUMBER_REGISTER: &str = "rax";
/// The registers that carry the arguments, in order.
pub const ARGUMENT_REGISTERS: [&str; 6] = ["rdi", "rsi", "rdx", "r10", "r8", "r9"];
/// The register that carries the result.
pub const RESULT_REGISTER: &str = "rax";

/// Issues call `nr` with no argument.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall0(nr: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with one argument.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall1(nr: usize, a1: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with two arguments.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall2(nr: usize, a1: usize, a2: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            in("rsi") a2,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with three arguments.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall3(nr: usize, a1: usize, a2: usize, a3: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            in("rsi") a2,
            in("rdx") a3,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with four arguments.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall4(nr: usize, a1: usize, a2: usize, a3: usize, a4: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            in("rsi") a2,
            in("rdx") a3,
            in("r10") a4,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with five arguments.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall5(nr: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            in("rsi") a2,
            in("rdx") a3,
            in("r10") a4,
            in("r8") a5,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Issues call `nr` with six arguments.
///
/// # Safety
/// The arguments must be as call `nr` requires: see [`Kernel::syscall`](crate::Kernel::syscall).
#[inline(always)]
pub unsafe fn syscall6(
    nr: usize,
    a1: usize,
    a2: usize,
    a3: usize,
    a4: usize,
    a5: usize,
    a6: usize,
) -> usize {
    let result;
    // SAFETY: the caller upholds the call's contract; every register that changes is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => result,
            in("rdi") a1,
            in("rsi") a2,
            in("rdx") a3,
            in("r10") a4,
            in("r8") a5,
            in("r9") a6,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}
