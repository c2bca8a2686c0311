//! Checks the register tables at the top of `src/arch/*.rs`: which registers a call changes. All other
//! registers, the flags, the vector registers and the memory below the stack pointer must keep their
//! values.
//!
//! There are two kinds of checks. The first one tests the kernel: a piece of assembly fills all registers,
//! executes the instruction, and stores all registers. The second one tests the declarations of the `asm!`
//! blocks, on which the compiler relies: it keeps values in registers and in the red zone across this crate's
//! functions, and the values must survive. (Only an optimized build keeps them there, so the workspace's
//! `Cargo.toml` optimizes this package in tests too.)

use std::arch::{asm, global_asm};
use std::hint::black_box;
use std::mem::offset_of;

use syscalls::arch::{self, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

/// General registers, by their number in machine code.
#[cfg(target_arch = "x86_64")]
const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
#[cfg(target_arch = "aarch64")]
const NAMES: [&str; 31] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30",
];

/// The registers that [`probe`] loads and stores.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Machine {
    vectors: [u128; 32],
    general: [u64; 32],
    flags: u64,
    /// The address of the instruction after the one that enters the kernel.
    next: u64,
}

/// The memory around the stack pointer while [`probe`] runs.
#[repr(C, align(16))]
struct Stack {
    /// The memory below the stack pointer, which a call must not change. It is far larger than the 128 bytes
    /// of the red zone.
    below: [u64; 512],
    /// The stack pointer points here.
    before: Machine,
    after: Machine,
    /// A copy of the last word of `below`: on x86_64, reading the flags overwrites that word.
    last_below: u64,
    /// The caller's stack pointer, while `probe` runs.
    saved: u64,
}

unsafe extern "C" {
    /// Loads the registers from `before`, executes the instruction, and stores the registers to `after`.
    fn probe(before: *mut Machine);
}

#[cfg(target_arch = "x86_64")]
global_asm!(
    r"
    .global probe
    probe:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [rdi + {saved}], rsp
        mov rsp, rdi

        mov rax, [rsp - 8]                      # the next line overwrites it
        push qword ptr [rsp + {flags}]
        popfq
        mov [rsp - 8], rax
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
            movdqu xmm\n, [rsp + 16 * \n]
        .endr
        mov rax, [rsp + {general}]
        mov rcx, [rsp + {general} + 8]
        mov rdx, [rsp + {general} + 16]
        mov rbx, [rsp + {general} + 24]
        mov rbp, [rsp + {general} + 40]
        mov rsi, [rsp + {general} + 48]
        mov rdi, [rsp + {general} + 56]
        .irp n, 8,9,10,11,12,13,14,15
            mov r\n, [rsp + {general} + 8 * \n]
        .endr

        syscall
    2:
        mov [rsp + {after} + {general}], rax
        mov [rsp + {after} + {general} + 8], rcx
        mov [rsp + {after} + {general} + 16], rdx
        mov [rsp + {after} + {general} + 24], rbx
        mov [rsp + {after} + {general} + 32], rsp
        mov [rsp + {after} + {general} + 40], rbp
        mov [rsp + {after} + {general} + 48], rsi
        mov [rsp + {after} + {general} + 56], rdi
        .irp n, 8,9,10,11,12,13,14,15
            mov [rsp + {after} + {general} + 8 * \n], r\n
        .endr
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
            movdqu [rsp + {after} + 16 * \n], xmm\n
        .endr
        mov rax, [rsp - 8]
        mov [rsp + {last_below}], rax
        pushfq
        pop qword ptr [rsp + {after} + {flags}]
        lea rax, [rip + 2b]
        mov [rsp + {after} + {next}], rax

        mov rsp, [rsp + {saved}]
        cld
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
    ",
    general = const offset_of!(Machine, general),
    flags = const offset_of!(Machine, flags),
    next = const offset_of!(Machine, next),
    after = const offset_of!(Stack, after) - offset_of!(Stack, before),
    last_below = const offset_of!(Stack, last_below) - offset_of!(Stack, before),
    saved = const offset_of!(Stack, saved) - offset_of!(Stack, before),
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    r"
    .global probe
    probe:
        stp x29, x30, [sp, -160]!
        stp x19, x20, [sp, 16]
        stp x21, x22, [sp, 32]
        stp x23, x24, [sp, 48]
        stp x25, x26, [sp, 64]
        stp x27, x28, [sp, 80]
        stp d8, d9, [sp, 96]
        stp d10, d11, [sp, 112]
        stp d12, d13, [sp, 128]
        stp d14, d15, [sp, 144]
        mov x9, sp
        str x9, [x0, {saved}]
        mov sp, x0

        ldr x9, [sp, {flags}]
        msr nzcv, x9
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
            ldr q\n, [sp, 16 * \n]
        .endr
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
            ldr x\n, [sp, {general} + 8 * \n]
        .endr

        svc 0
    2:
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
            str x\n, [sp, {after} + {general} + 8 * \n]
        .endr
        .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
            str q\n, [sp, {after} + 16 * \n]
        .endr
        mrs x9, nzcv
        str x9, [sp, {after} + {flags}]
        adr x9, 2b
        str x9, [sp, {after} + {next}]
        ldr x9, [sp, -8]
        str x9, [sp, {last_below}]

        ldr x9, [sp, {saved}]
        mov sp, x9
        ldp x19, x20, [sp, 16]
        ldp x21, x22, [sp, 32]
        ldp x23, x24, [sp, 48]
        ldp x25, x26, [sp, 64]
        ldp x27, x28, [sp, 80]
        ldp d8, d9, [sp, 96]
        ldp d10, d11, [sp, 112]
        ldp d12, d13, [sp, 128]
        ldp d14, d15, [sp, 144]
        ldp x29, x30, [sp], 160
        ret
    ",
    general = const offset_of!(Machine, general),
    flags = const offset_of!(Machine, flags),
    next = const offset_of!(Machine, next),
    after = const offset_of!(Stack, after) - offset_of!(Stack, before),
    last_below = const offset_of!(Stack, last_below) - offset_of!(Stack, before),
    saved = const offset_of!(Stack, saved) - offset_of!(Stack, before),
);

/// The flags that arithmetic sets and, on x86_64, the direction flag: on x86_64 carry, parity, auxiliary
/// carry, zero, sign, direction and overflow; on aarch64 negative, zero, carry and overflow.
#[cfg(target_arch = "x86_64")]
const FLAGS: u64 = 0xcd5;
#[cfg(target_arch = "aarch64")]
const FLAGS: u64 = 0xf000_0000;

/// Issues a call with all registers filled, and asserts that only the registers of `src/arch`'s tables have
/// changed. Returns the result.
fn survives(nr: usize, args: &[usize], flags: u64) -> usize {
    let number = |name: &str| NAMES.iter().position(|other| *other == name).unwrap();
    let mut before = Machine {
        vectors: std::array::from_fn(|n| {
            0x0101_0101_0101_0101_0101_0101_0101_0101 * (n as u128 + 1)
        }),
        general: std::array::from_fn(|n| 0x1111_0000_2222_0000 + n as u64),
        flags,
        next: 0,
    };
    before.general[number(arch::NUMBER_REGISTER)] = nr as u64;
    for (register, arg) in arch::ARGUMENT_REGISTERS.iter().zip(args) {
        before.general[number(register)] = *arg as u64;
    }
    let mut stack = Box::new(Stack {
        below: std::array::from_fn(|n| 0x3333_0000_4444_0000 + n as u64),
        before,
        after: before,
        last_below: 0,
        saved: 0,
    });
    // SAFETY: `probe` uses only the memory of `stack`, and restores the registers that a callee must preserve.
    unsafe { probe(&raw mut stack.before) };
    let Stack {
        below,
        mut after,
        last_below,
        ..
    } = *stack;

    let result = after.general[number(arch::RESULT_REGISTER)];
    after.general[number(arch::RESULT_REGISTER)] = before.general[number(arch::RESULT_REGISTER)];
    #[cfg(target_arch = "x86_64")]
    {
        let [rcx, r11, rsp] = ["rcx", "r11", "rsp"].map(number);
        assert_eq!(
            after.general[rsp],
            (&raw const stack.before).addr() as u64,
            "rsp"
        );
        // If the kernel uses FRED, the processor saves the return address and the flags on the kernel's
        // stack, and both registers keep their values.
        let documented = [after.next, after.flags];
        let kept = [before.general[rcx], before.general[r11]];
        let found = [after.general[rcx], after.general[r11]];
        assert!(
            found == documented || found == kept,
            "rcx and r11 are {found:x?}, not {documented:x?}"
        );
        for register in [rcx, r11, rsp] {
            after.general[register] = before.general[register];
        }
        // The interrupt flag and bit 1 are always set in user mode.
        after.flags &= FLAGS;
    }
    after.next = before.next;
    for (n, name) in NAMES.iter().enumerate() {
        assert_eq!(
            after.general[n], before.general[n],
            "{name} after call {nr}"
        );
    }
    assert_eq!(
        after.vectors, before.vectors,
        "the vector registers after call {nr}"
    );
    assert_eq!(after.flags, before.flags, "the flags after call {nr}");
    let mut expected: [u64; 512] = std::array::from_fn(|n| 0x3333_0000_4444_0000 + n as u64);
    assert_eq!(
        last_below, expected[511],
        "the word below the stack pointer"
    );
    // On x86_64, `probe` itself has overwritten this word.
    expected[511] = below[511];
    assert_eq!(below, expected, "the memory below the stack pointer");
    result as usize
}

#[test]
fn call_changes_only_the_documented_registers() {
    let pid = std::process::id() as usize;
    let no_fd = usize::MAX;
    let ebadf = -9isize as usize;
    for flags in [0, FLAGS] {
        assert_eq!(survives(sc::nr::GETPID, &[], flags), pid);
        assert_eq!(survives(sc::nr::SCHED_YIELD, &[], flags), 0);
        assert_eq!(survives(sc::nr::CLOSE, &[no_fd], flags), ebadf);
        assert_eq!(survives(sc::nr::READ, &[no_fd, 0, 0], flags), ebadf);
        let mut now = [0u64; 2];
        let now_at = (&raw mut now).expose_provenance();
        assert_eq!(survives(sc::nr::CLOCK_GETTIME, &[1, now_at], flags), 0);
        assert_ne!(black_box(now), [0; 2]);
        // This call sleeps, so the processor runs other code before it returns.
        let timeout = [0u64, 2_000_000];
        let timeout_at = (&raw const timeout).expose_provenance();
        assert_eq!(survives(sc::nr::PPOLL, &[0, 0, timeout_at, 0, 8], flags), 0);
        assert_eq!(
            survives(sc::nr::RECVFROM, &[no_fd, 0, 0, 0, 0, 0], flags),
            ebadf
        );
        assert_eq!(survives(4095, &[], flags), -38isize as usize, "ENOSYS");
    }
}

/// Holds 13 values across a call, nearly as many as x86_64 has general registers, and asserts that all
/// survive.
macro_rules! hold {
    ($call:expr) => {{
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g] = black_box([1u64, 2, 3, 4, 5, 6, 7]);
        let [mut h, mut i, mut j, mut k, mut l, mut m] = black_box([8u64, 9, 10, 11, 12, 13]);
        // The two blocks contain no instruction. Each requires all values in registers at once.
        macro_rules! in_registers {
                    () => {
                        asm!(
                            "/* {} {} {} {} {} {} {} {} {} {} {} {} {} */",
                            inout(reg) a, inout(reg) b, inout(reg) c, inout(reg) d, inout(reg) e,
                            inout(reg) f, inout(reg) g, inout(reg) h, inout(reg) i, inout(reg) j,
                            inout(reg) k, inout(reg) l, inout(reg) m,
                            options(nomem, nostack, preserves_flags)
                        )
                    };
                }
        // SAFETY: the blocks contain no instruction, and the call accesses only memory of the test.
        let result = unsafe {
            in_registers!();
            let result = $call;
            in_registers!();
            result
        };
        assert_eq!([a, b, c, d, e, f, g], [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!([h, i, j, k, l, m], [8, 9, 10, 11, 12, 13]);
        result
    }};
}

#[test]
fn values_in_registers_survive_a_call() {
    let pid = std::process::id() as usize;
    let no_fd = black_box(usize::MAX);
    let zero = black_box(0);
    let ebadf = -9isize as usize;
    assert_eq!(hold!(syscall0(sc::nr::GETPID)), pid);
    assert_eq!(hold!(syscall1(sc::nr::CLOSE, no_fd)), ebadf);
    assert_eq!(hold!(syscall2(sc::nr::LISTEN, no_fd, zero)), ebadf);
    assert_eq!(hold!(syscall3(sc::nr::READ, no_fd, zero, zero)), ebadf);
    assert_eq!(
        hold!(syscall4(sc::nr::ACCEPT4, no_fd, zero, zero, zero)),
        ebadf
    );
    let mut no_time = [0u64; 2];
    let timeout = (&raw mut no_time).expose_provenance();
    assert_eq!(
        hold!(syscall5(sc::nr::PPOLL, zero, zero, timeout, zero, 8)),
        0
    );
    assert_eq!(
        hold!(syscall6(
            sc::nr::RECVFROM,
            no_fd,
            zero,
            zero,
            zero,
            zero,
            zero
        )),
        ebadf
    );
}

/// Makes a system call from a leaf function. On x86_64, the compiler keeps the variables of such a function
/// below the stack pointer, because the blocks in `src/arch` declare that they do not use the stack. Returns
/// the offset of the variables from the stack pointer, and whether they survive the call.
#[inline(never)]
fn leaf(call: usize, arg: usize) -> (isize, bool) {
    let mut words = [0u64; 12];
    for (n, word) in words.iter_mut().enumerate() {
        // SAFETY: `word` is a variable of this function.
        unsafe { (&raw mut *word).write_volatile(n as u64) };
    }
    let stack_pointer: usize;
    // SAFETY: the instruction copies a register, and the caller passes a call that accesses no memory.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) stack_pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) stack_pointer, options(nomem, nostack, preserves_flags));
        syscall1(call, arg);
    }
    let mut intact = true;
    for (n, word) in words.iter().enumerate() {
        // SAFETY: `word` is a variable of this function.
        intact &= unsafe { (&raw const *word).read_volatile() } == n as u64;
    }
    (
        (&raw const words).addr().wrapping_sub(stack_pointer) as isize,
        intact,
    )
}

#[test]
fn red_zone_survives_a_call() {
    let (place, intact) = leaf(sc::nr::CLOSE, usize::MAX);
    assert!(intact);
    if cfg!(target_arch = "x86_64") {
        assert!(
            (-128..0).contains(&place),
            "the variables are at rsp{place:+}"
        );
    } else {
        // The ABI of Linux on aarch64 has no red zone.
        assert!(place >= 0, "the variables are at sp{place:+}");
    }
}
