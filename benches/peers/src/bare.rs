//! The code that the floors share, on bare `libc`. A floor exits if a call fails unexpectedly.

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind};
use std::mem::{size_of, zeroed};

use crate::{Command, announce};

/// The maximum that the kernel allows by default (`net.core.somaxconn`).
const BACKLOG: c_int = 4096;

/// Accepts the next connection, makes it non-blocking and disables Nagle's algorithm.
///
/// # Panics
/// If a call fails.
pub fn accept(listener: c_int) -> c_int {
    // SAFETY: null requests no address, and the option's value is an int.
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

/// Listens on the port of the command line, and announces it.
///
/// # Panics
/// If a call fails.
pub fn listen(command: &Command) -> c_int {
    let (listener, address) = listen_on(command.port);
    announce((command.address().ip(), u16::from_be(address.sin_port)).into());
    listener
}

/// Listens on `port` of 127.0.0.1, or on a free port if it is 0. Returns the socket and its address.
///
/// # Panics
/// If a call fails.
pub fn listen_on(port: u16) -> (c_int, libc::sockaddr_in) {
    // SAFETY: all pointers point to locals of the type that the call expects.
    unsafe {
        let listener = checked(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        checked(libc::bind(listener, (&raw const address).cast(), length));
        checked(libc::listen(listener, BACKLOG));
        checked(libc::getsockname(
            listener,
            (&raw mut address).cast(),
            &mut length,
        ));
        (listener, address)
    }
}

/// Returns the result of a call that must not fail.
///
/// # Panics
/// If the call has failed.
pub fn checked(result: c_int) -> c_int {
    assert!(result >= 0, "{}", Error::last_os_error());
    result
}

/// Changes the events that epoll reports for a descriptor.
///
/// # Panics
/// If the call fails.
pub fn watch(epoll: c_int, operation: c_int, fd: c_int, events: c_int) {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: fd as u64,
    };
    // SAFETY: the kernel reads one event.
    checked(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) });
}

/// Returns whether the last call failed with `EAGAIN`.
pub fn would_block() -> bool {
    Error::last_os_error().kind() == ErrorKind::WouldBlock
}
