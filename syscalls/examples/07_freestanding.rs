//! # 7. Nothing between the program and the kernel
//!
//! An echo server without the standard library and the C library, and with its own start-up code. It
//! prints its port and serves one connection after the other until it is killed. Run it:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --release --features freestanding --example 07_freestanding
//! ```
//!
//! The kernel starts the program at `_start` with the arguments on the stack, and with no return address.
//! The program therefore ends by the system call `exit_group`. (With the feature `freestanding`, `build.rs`
//! passes flags to the linker that leave out start-up code and libraries.)

#![no_std]
#![no_main]

use core::net::{Ipv4Addr, SocketAddr};

use syscalls::addr::AF_INET;
use syscalls::process::exit_group;
use syscalls::signal::{SIGPIPE, rt_sigaction_ignore};
use syscalls::socket::{SOCK_CLOEXEC, SOCK_STREAM};
use syscalls::{Errno, Linux, Socket, retry_on_eintr, stdout};

#[cfg(panic = "unwind")]
compile_error!("build with --release: panics that unwind need the standard library");

// A frame pointer of 0 marks `_start` for a debugger as a function without a caller. `call` (`bl` on aarch64)
// calls the function that `sym start` puts in place of `{}`. Before this instruction, as at the start of the
// program, the stack pointer is a multiple of 16.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(".global _start", "_start:", "xor ebp, ebp", "call {}", sym start);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(".global _start", "_start:", "mov x29, 0", "bl {}", sym start);

extern "C" fn start() -> ! {
    static mut BUFFER: [u8; 64 * 1024] = [0; 64 * 1024]; // zeroing it on the stack would need libc's `memset`
    let buffer = &raw mut BUFFER;
    // SAFETY: this function runs once, in the only thread, so there is no other reference.
    let Err(errno) = serve(unsafe { &mut *buffer });
    exit_group(&Linux, errno.number().into())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit_group(&Linux, 101)
}

fn serve(buf: &mut [u8]) -> Result<core::convert::Infallible, Errno> {
    rt_sigaction_ignore(&Linux, SIGPIPE)?; // otherwise a write after a reset ends the server
    let listener = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(128)?;
    let addr = listener.getsockname()?.to_ip();
    print_line(addr.map_or(0, |addr| addr.port()))?;
    loop {
        let (connection, _peer) = retry_on_eintr(|| listener.accept4(SOCK_CLOEXEC))?;
        let _ = echo(&connection, buf); // An error of one connection does not end the server.
    }
}

/// Writes back the bytes that it reads, until the peer ends its stream.
fn echo(connection: &Socket<Linux>, buf: &mut [u8]) -> Result<(), Errno> {
    loop {
        let count = retry_on_eintr(|| connection.read(buf))?;
        if count == 0 {
            return Ok(());
        }
        let mut sent = 0;
        while sent < count {
            sent += retry_on_eintr(|| connection.write(&buf[sent..count]))?;
        }
    }
}

/// Prints `number` in decimal digits.
fn print_line(mut number: u16) -> Result<(), Errno> {
    let mut line = *b"     \n";
    for digit in line[..5].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    stdout(Linux).write(&line).map(|_| ())
}

// Try:
// - Run `strace target/release/examples/07_freestanding` and `strace target/debug/examples/01_hello`. After
//   `execve`, program 7 makes only its own calls. Program 1 makes about 60 before its first `write`. Why?
// - Build it again with its symbols (add `--config profile.release.strip=false` to the command above), end
//   it with Ctrl-C, and read `_start` (on x86_64 add `-M intel`):
//   `objdump -d --disassemble=_start target/release/examples/07_freestanding`.
