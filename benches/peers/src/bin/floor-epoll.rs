//! The minimal epoll echo server: `epoll_wait`, `read` into one buffer, `write`. It makes other calls only
//! when a connection opens, ends or does not accept a whole write.
//!
//! Not for production: it exits on an unexpected error.

use std::ffi::c_int;

use clap::Parser;
use peers::bare::{accept, checked, listen, watch, would_block};
use peers::{Command, SHARED_BUFFER};

/// The most events of one wait.
const EVENTS: usize = 256;

fn main() {
    let listener = listen(&Command::parse());
    // SAFETY: the call takes no pointer.
    let epoll = checked(unsafe { libc::epoll_create1(0) });
    watch(epoll, libc::EPOLL_CTL_ADD, listener, libc::EPOLLIN);

    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut buffer = vec![0_u8; SHARED_BUFFER];
    // The unwritten bytes of each descriptor, nearly always none.
    let mut unsent: Vec<Vec<u8>> = Vec::new();
    loop {
        // SAFETY: `events` holds EVENTS events.
        let count =
            checked(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), EVENTS as c_int, -1) });
        for event in &events[..count as usize] {
            let fd = event.u64 as c_int;
            if fd == listener {
                let connection = accept(listener);
                watch(epoll, libc::EPOLL_CTL_ADD, connection, libc::EPOLLIN);
                if unsent.len() <= connection as usize {
                    unsent.resize(connection as usize + 1, Vec::new());
                }
                continue;
            }
            let kept = &mut unsent[fd as usize];
            let lasts = if kept.is_empty() {
                echo(epoll, fd, &mut buffer, kept)
            } else {
                flush(epoll, fd, kept)
            };
            if !lasts {
                kept.clear();
                // SAFETY: the descriptor is the connection's own and is not used afterwards.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// Reads once and writes once. Returns whether the connection stays open.
fn echo(epoll: c_int, fd: c_int, buffer: &mut [u8], unsent: &mut Vec<u8>) -> bool {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    if read <= 0 {
        return read < 0 && would_block();
    }
    let read = &buffer[..read as usize];
    let Some(written) = write(fd, read) else {
        return false;
    };
    if written < read.len() {
        unsent.extend_from_slice(&read[written..]);
        watch(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT);
    }
    true
}

/// Writes the unsent bytes. When none are left, the server waits for input again.
fn flush(epoll: c_int, fd: c_int, unsent: &mut Vec<u8>) -> bool {
    let Some(written) = write(fd, unsent) else {
        return false;
    };
    unsent.drain(..written);
    if unsent.is_empty() {
        watch(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN);
    }
    true
}

/// Writes once. Returns the number of bytes written, or `None` if the connection is broken.
fn write(fd: c_int, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes from `bytes`.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written)
        .ok()
        .or_else(|| would_block().then_some(0))
}
