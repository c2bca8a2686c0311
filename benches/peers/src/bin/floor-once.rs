//! The minimal calls of one thread for one echo on a connection of its own:
//! socket, connect, accept, write, read, write, read, close, close.
//!
//! The node's `tcp_echo_send`, which does the same, is compared with this floor.

use std::ffi::c_int;
use std::io::Error;
use std::mem::size_of;
use std::ptr::null_mut;
use std::time::Instant;

use clap::Parser;
use peers::bare::{checked, listen_on};

#[derive(Parser)]
struct Command {
    /// Number of echoes
    #[arg(long, default_value_t = 10_000)]
    count: u32,
    /// Bytes to echo
    #[arg(long, default_value_t = 11)]
    size: usize,
}

fn main() {
    let Command { count, size } = Command::parse();
    let message: Vec<u8> = (0..size).map(|at| at as u8).collect();
    let mut buffer = vec![0; size];
    let (listener, address) = listen_on(0);
    let start = Instant::now();
    for _ in 0..count {
        buffer.fill(0);
        once(listener, &address, &message, &mut buffer);
        assert_eq!(buffer, message, "other bytes came back");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        r#"{{"count": {count}, "per_second": {}}}"#,
        f64::from(count) / seconds
    );
}

fn once(listener: c_int, address: &libc::sockaddr_in, message: &[u8], buffer: &mut [u8]) {
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: `length` is the length of `address`, and null requests no address.
    let (client, server) = unsafe {
        let client = checked(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
        checked(libc::connect(
            client,
            std::ptr::from_ref(address).cast(),
            length,
        ));
        (
            client,
            checked(libc::accept(listener, null_mut(), null_mut())),
        )
    };
    write(client, message);
    read(server, buffer);
    write(server, buffer);
    read(client, buffer);
    // SAFETY: this function owns both descriptors and does not use them again.
    unsafe {
        checked(libc::close(client));
        checked(libc::close(server));
    }
}

/// Writes a message. It is far smaller than the kernel's buffers, so one call writes all of it.
fn write(fd: c_int, bytes: &[u8]) {
    // SAFETY: the kernel reads at most `bytes.len()` bytes from `bytes`.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(written, bytes.len() as isize, "{}", Error::last_os_error());
}

/// Reads a message. On loopback, all of it has arrived when the write returns.
fn read(fd: c_int, buffer: &mut [u8]) {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    assert_eq!(read, buffer.len() as isize, "{}", Error::last_os_error());
}
