//! The most that busy-polling can gain: one connection at a time, `epoll_wait`
//! with a zero timeout in a loop, `read` and `write`. It does not sleep while a
//! connection is open. With one message in flight, a server that busy-polls
//! epoll can come close to this floor but not exceed it.
//!
//! Not for production: it uses a whole CPU and serves only one client at a time.

use std::ffi::c_int;

use clap::Parser;
use peers::bare::{accept, checked, listen, watch, would_block};
use peers::{Command, SHARED_BUFFER};

fn main() {
    let listener = listen(&Command::parse());
    // SAFETY: the call takes no pointer.
    let epoll = checked(unsafe { libc::epoll_create1(0) });
    let mut buffer = vec![0_u8; SHARED_BUFFER];
    loop {
        let connection = accept(listener);
        watch(epoll, libc::EPOLL_CTL_ADD, connection, libc::EPOLLIN);
        loop {
            wait(epoll);
            if !echo(connection, &mut buffer) {
                break;
            }
        }
        // SAFETY: the descriptor is the connection's own and is not used afterwards.
        unsafe { libc::close(connection) };
    }
}

/// Polls until the connection is readable.
fn wait(epoll: c_int) {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: the kernel writes at most one event.
    while checked(unsafe { libc::epoll_wait(epoll, &mut event, 1, 0) }) == 0 {}
}

/// Reads once and writes all of it. Returns whether the connection stays open.
fn echo(fd: c_int, buffer: &mut [u8]) -> bool {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    let Ok(read) = usize::try_from(read) else {
        return would_block();
    };
    let mut rest = &buffer[..read];
    while !rest.is_empty() {
        // SAFETY: the kernel reads at most `rest.len()` bytes from `rest`.
        let written = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) => rest = &rest[written..],
            Err(_) if would_block() => {}
            Err(_) => return false,
        }
    }
    read > 0
}
