//! # The `svc` instruction: aarch64
//!
//! | role | register | afterwards |
//! |---|---|---|
//! | number | `x8` (the kernel reads its lower half, `w8`) | unchanged |
//! | 1st argument | `x0` | overwritten by the result |
//! | 2nd argument | `x1` | unchanged |
//! | 3rd argument | `x2` | unchanged |
//! | 4th argument | `x3` | unchanged |
//! | 5th argument | `x4` | unchanged |
//! | 6th argument | `x5` | unchanged |
//! | result | `x0` | −4095 … −1 is `-errno`, any other value a success ([exceptions](crate::MAX_ERRNO)) |
//! | – | all others, flags (`NZCV`), vector registers, stack | unchanged |
//!
//! **What the operands of `asm!` mean:** `in("x8") nr` puts `nr` into `x8`, which the instruction does not
//! change. `inlateout("x0") a1 => result` puts `a1` into `x0` before the instruction and takes `result` out
//! of `x0` afterwards. No operand declares a *clobber*, a register that the instruction overwrites with a
//! value that is not used. The options declare what the instruction does not change: `nostack`, the
//! program's stack; `preserves_flags`, the flags.
//!
//! **Why nothing is clobbered:** the processor saves the return address and the flags in registers that
//! only the kernel can access (`ELR_EL1`, `SPSR_EL1`), and `eret` takes them from there. The kernel
//! saves `x0` to `x30` at entry and restores them at exit, except the result in `x0`. (On a host with
//! [VHE](super), read EL2 for EL1.)
//!
//! **Why `preserves_flags`:** `eret` restores the flags from `SPSR_EL1`.
//!
//! **Why `nostack`:** exception level 1 has its own stack pointer. Below the program's `sp` the kernel
//! writes only the frame of a signal handler. aarch64 has no red zone.
//!
//! **Why memory is not declared:** as on [x86_64](super::x86_64), `asm!` is assumed to read and write
//! memory.
//!
//! **Why `inlateout` and `lateout`:** as on [x86_64](super::x86_64). Here the result replaces the first
//! argument in `x0`, so one operand declares both. The number stays in `x8`, which is a plain `in`.
//!
//! **Why `svc 0`:** the instruction has a 16-bit operand for use by the operating system. Linux ignores
//! it; 0 is the convention.
//!
//! **What a call leaves of SVE and SME state** (not needed to make a call): SVE is the Scalable Vector
//! Extension, SME the Scalable Matrix Extension. `v0` to `v31` keep their 128 bits. With SVE, a call sets
//! the bits beyond 128 of `z0` to `z31`, the predicate registers and `FFR` to zero. With SME, a call ends
//! streaming mode and preserves `ZA`. Code for Rust's aarch64 targets uses none of these unless it is
//! built for such a processor. (`Documentation/arch/arm64/sve.rst`, section 3; `sme.rst`, section 4;
//! `fpsimd_syscall_enter` in `arch/arm64/kernel/entry-common.c`.)
//!
//! Sources: `syscall(2)`; the entry code, `arch/arm64/kernel/entry.S` and
//! `arch/arm64/kernel/syscall.c`; Arm's Architecture Reference Manual for A-profile, `SVC`;
//! the Procedure Call Standard (AAPCS64), <https://github.com/ARM-software/abi-aa>.

use core::arch::asm;

/// The architecture's name, as in Rust's `target_arch`.
pub const NAME: &str = "aarch64";
/// The register that carries the call's number.
pub const NUMBER_REGISTER: &str = "x8";
/// The registers that carry the arguments, in order.
pub const ARGUMENT_REGISTERS: [&str; 6] = ["x0", "x1", "x2", "x3", "x4", "x5"];
/// The register that carries the result.
pub const RESULT_REGISTER: &str = "x0";

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
            "svc 0",
            in("x8") nr,
            lateout("x0") result,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
            in("x1") a2,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
            in("x1") a2,
            in("x2") a3,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
            in("x1") a2,
            in("x2") a3,
            in("x3") a4,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
            in("x1") a2,
            in("x2") a3,
            in("x3") a4,
            in("x4") a5,
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
            "svc 0",
            in("x8") nr,
            inlateout("x0") a1 => result,
            in("x1") a2,
            in("x2") a3,
            in("x3") a4,
            in("x4") a5,
            in("x5") a6,
            options(nostack, preserves_flags),
        );
    }
    result
}
