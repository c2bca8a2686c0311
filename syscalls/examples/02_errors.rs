//! # 2. What comes back
//!
//! The kernel has one register for the result. A value from −4095 to −1 is an error number with a
//! minus sign; any other value is a success. This program makes three calls fail. Run it:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 02_errors
//! ```
//!
//! ```text
//! close(999) left -9 in the register: Err(EBADF (9): Bad file descriptor)
//! write from address 1: Err(EFAULT (14): Bad address)
//! read, interrupted by a signal: Err(EINTR (4): Interrupted system call)
//! ```

use std::time::Duration;
use std::{mem, ptr, thread};

use syscalls::addr::AF_UNIX;
use syscalls::socket::SOCK_STREAM;
use syscalls::{Errno, Kernel, Linux, Socket, into_result};

extern "C" fn handler(_signal: i32) {}

/// Makes `handler` the handler of SIGUSR1, by the C library's `sigaction`: the crate `syscalls` can only
/// install a handler that ends the process.
fn handle_sigusr1() {
    // SAFETY: a `sigaction` with all bytes zero is valid: no flags, an empty mask. The handler does nothing.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        // The libc crate has this one field for C's `sa_handler` and `sa_sigaction`.
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = 0; // without SA_RESTART: an interrupted call fails
        libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut());
    }
}

/// Runs the program.
pub fn main() -> Result<(), Errno> {
    // `Linux.syscall` issues any call by number and returns the result register unchanged. `sc::nr` (of the
    // crate `sc`) has the numbers of all calls.
    // SAFETY: no memory is passed, and descriptor 999 is not open.
    let result = unsafe { Linux.syscall(sc::nr::CLOSE, [999]) };
    let (register, outcome) = (result as isize, into_result(result));
    println!("close(999) left {register} in the register: {outcome:?}");

    // The kernel does not check beforehand that an address is mapped. If the copy from the address faults,
    // the kernel handles the fault, and the call returns EFAULT. If the program itself read the address, it
    // would be killed with SIGSEGV.
    let (ours, theirs) = Socket::pair(Linux, AF_UNIX, SOCK_STREAM, 0)?;
    // SAFETY: nothing is at address 1, so the kernel reads nothing.
    let result = unsafe { Linux.syscall(sc::nr::WRITE, [ours.as_raw() as usize, 1, 5]) };
    println!("write from address 1: {:?}", into_result(result));

    // A read of an empty socket waits. A signal is a message from the kernel or another process, such as
    // Ctrl-C. Its handler is a function that interrupts the thread. Here the signal ends the wait, and the
    // call fails.
    handle_sigusr1();
    // SAFETY: no memory is passed.
    let (process, this_thread) = unsafe { (libc::getpid(), libc::gettid()) };
    thread::spawn(move || {
        // The first signal may arrive before the read waits, so this thread sends more.
        loop {
            thread::sleep(Duration::from_millis(20));
            // SAFETY: no memory is passed. If the thread has ended, the call fails with ESRCH.
            unsafe { libc::syscall(libc::SYS_tgkill, process, this_thread, libc::SIGUSR1) };
        }
    });
    let outcome = theirs.read(&mut [0; 16]);
    println!("read, interrupted by a signal: {outcome:?}");
    Ok(())
}

// Try:
// - Set `sa_flags` to `libc::SA_RESTART`: the kernel issues the read again after each signal, and
//   the program waits until Ctrl-C. `strace -f` shows each restart as ERESTARTSYS.
// - Read address 1 in Rust: `unsafe { ptr::with_exposed_provenance::<u8>(1).read_volatile() };`.
// - Print all error numbers that Linux defines: `println!("{:#?}", Errno::ALL)`.
