//! The least that an epoll echo server can do: `epoll_wait`, `read` into one
//! buffer, `write`. All else happens only when a connection comes, ends or
//! does not take a write.
//!
//! Not a server to use: it ends when a call fails that ought not to.

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind};
use std::mem::{size_of, zeroed};

use clap::Parser;
use peers::{Command, SHARED_BUFFER, announce};

/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// As much as the kernel allows (`net.core.somaxconn`).
const BACKLOG: c_int = 4096;

fn main() {
    let listener = listen(Command::parse());
    // SAFETY: takes no pointer.
    let epoll = checked(unsafe { libc::epoll_create1(0) });
    watch(epoll, libc::EPOLL_CTL_ADD, listener, libc::EPOLLIN);

    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut buffer = vec![0_u8; SHARED_BUFFER];
    // What a write did not take, by descriptor. Nearly always empty.
    let mut unsent: Vec<Vec<u8>> = Vec::new();
    loop {
        // SAFETY: `events` has room for EVENTS of them.
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
                // SAFETY: the descriptor is a connection's, and out of use from here on.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// One read and one write. Returns whether the connection lasts.
fn echo(epoll: c_int, fd: c_int, buffer: &mut [u8], unsent: &mut Vec<u8>) -> bool {
    // SAFETY: the kernel writes into `buffer`, no more than its length.
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

/// Writes what is left, and reads again when nothing is.
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

/// How much the kernel took; `None` if the connection is broken.
fn write(fd: c_int, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the kernel reads from `bytes`, no more than its length.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written)
        .ok()
        .or_else(|| would_block().then_some(0))
}

fn would_block() -> bool {
    Error::last_os_error().kind() == ErrorKind::WouldBlock
}

fn watch(epoll: c_int, operation: c_int, fd: c_int, events: c_int) {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: fd as u64,
    };
    // SAFETY: the kernel reads one event.
    checked(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) });
}

fn accept(listener: c_int) -> c_int {
    // SAFETY: no address is asked for, and the option is an int.
    unsafe {
        let connection = checked(libc::accept4(
            listener,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        ));
        let on: c_int = 1;
        checked(libc::setsockopt(
            connection,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast::<c_void>(),
            size_of::<c_int>() as libc::socklen_t,
        ));
        connection
    }
}

fn listen(command: Command) -> c_int {
    // SAFETY: all pointers are to locals of the type the call expects.
    unsafe {
        let listener = checked(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = command.port.to_be();
        address.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        checked(libc::bind(listener, (&raw const address).cast(), length));
        checked(libc::listen(listener, BACKLOG));
        checked(libc::getsockname(
            listener,
            (&raw mut address).cast(),
            &mut length,
        ));
        announce((command.address().ip(), u16::from_be(address.sin_port)).into());
        listener
    }
}

/// The result of a call that must not fail.
fn checked(result: c_int) -> c_int {
    assert!(result >= 0, "{}", Error::last_os_error());
    result
}
