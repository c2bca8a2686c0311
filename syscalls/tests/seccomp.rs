//! Checks that a seccomp filter sees the number and the argument that this crate passes to the kernel.

use syscalls::{Errno, Kernel, Linux, into_result};

#[path = "common/child.rs"]
mod child;
use child::in_child;

#[test]
fn seccomp_filter_sees_the_number_and_the_argument() {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};
    let instruction = |code: u32, k: u32, jf: u8| sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    const ARGUMENT_0: u32 = 16; // its offset in `struct seccomp_data`; the number is at 0
    let fail = libc::SECCOMP_RET_ERRNO | u32::from(Errno::EPERM.number());
    let ended = in_child(|| {
        let mut filter = [
            instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0),
            instruction(BPF_JMP | BPF_JEQ | BPF_K, sc::nr::CLOSE as u32, 3),
            instruction(BPF_LD | BPF_W | BPF_ABS, ARGUMENT_0, 0),
            instruction(BPF_JMP | BPF_JEQ | BPF_K, 998, 1),
            instruction(BPF_RET | BPF_K, fail, 0),
            instruction(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW, 0),
        ];
        let program = sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the kernel copies the program, which makes `close` of 998 fail.
        unsafe {
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ) != 0
            {
                return 1;
            }
        }
        // SAFETY: no memory is passed, and neither number is an open descriptor.
        let close = |fd| into_result(unsafe { Linux.syscall(sc::nr::CLOSE, [fd]) });
        i32::from(close(998) != Err(Errno::EPERM) || close(999) != Err(Errno::EBADF)) * 2
    });
    assert_eq!(
        ended,
        Ok(0),
        "exit code 1: the filter is not installed; 2: it does not refuse `close` of 998, or refuses 999"
    );
}
