//! An echo server with nothing between it and the kernel: no standard library, no C library, no
//! start-up code but its own. It prints its port on standard output and serves one connection after
//! the other until it is killed.
//!
//! ```text
//! cargo run -p syscalls --release --features freestanding --example freestanding
//! ```
//!
//! Where such a program starts, there is no caller. The kernel jumps to `_start` with the stack
//! pointer at the arguments (`argc`, `argv`, the environment: `execve(2)`) and no return address,
//! so the way out is a call, too.

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr};
use core::panic::PanicInfo;

use syscalls::addr::{AF_INET, Sockaddr};
use syscalls::process::exit_group;
use syscalls::signal::{self, SIGPIPE};
use syscalls::socket::{SOCK_CLOEXEC, SOCK_STREAM};
use syscalls::{Errno, Fd, Linux, Socket, retry_on_eintr, stdout};

#[cfg(panic = "unwind")]
compile_error!(
    "panics that unwind need the standard library: build this in the release profile, whose \
     panics abort"
);

// The ABI wants the outermost frame marked by a zero frame pointer, and the stack pointer a
// multiple of 16 before a call. The kernel has seen to the latter.
#[cfg(target_arch = "x86_64")]
global_asm!(".global _start", "_start:", "xor ebp, ebp", "call {}", sym start);
#[cfg(target_arch = "aarch64")]
global_asm!(".global _start", "_start:", "mov x29, 0", "bl {}", sym start);

extern "C" fn start() -> ! {
    // It comes zeroed from the kernel. An array on the stack would need `memset`, which is the C
    // library's.
    static mut BUFFER: [u8; 64 * 1024] = [0; 64 * 1024];
    let buf = &raw mut BUFFER;
    // SAFETY: this function runs once, and the program has one thread: nobody else has it.
    let buf = unsafe { &mut *buf };
    let Err(errno) = serve(buf);
    exit_group(&Linux, errno.number().into())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit_group(&Linux, 101)
}

fn serve(buf: &mut [u8]) -> Result<Infallible, Errno> {
    // A peer that is gone must not end the server.
    signal::rt_sigaction_ignore(&Linux, SIGPIPE)?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)?;
    listener.bind(&Sockaddr::from(any_port))?;
    listener.listen(128)?;
    if let Some(addr) = listener.getsockname()?.to_ip() {
        print_line(addr.port())?;
    }
    loop {
        let (connection, _peer) = retry_on_eintr(|| listener.accept4(SOCK_CLOEXEC))?;
        // What goes wrong with one connection is no matter of the next.
        let _ = echo(&connection, buf);
    }
}

/// Writes back what it reads, until the peer has no more to say.
fn echo(connection: &Socket<Linux>, buf: &mut [u8]) -> Result<(), Errno> {
    loop {
        let count = retry_on_eintr(|| connection.read(buf))?;
        if count == 0 {
            return Ok(());
        }
        write_all(connection, &buf[..count])?;
    }
}

fn write_all(fd: &Fd<Linux>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let count = retry_on_eintr(|| fd.write(bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Prints `number` in decimal digits.
fn print_line(mut number: u16) -> Result<(), Errno> {
    let mut line = *b"     \n";
    for digit in line[..5].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    write_all(&stdout(Linux), &line)
}
