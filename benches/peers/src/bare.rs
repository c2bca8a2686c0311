//! The code that the floors share: bare `libc`. They exit if a call fails that must not.

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind};
use std::mem::{size_of, zeroed};

use crate::{Command, announce};

/// As much as the kernel allows (`net.core.somaxconn`).
const BACKLOG: c_int = 4096;

/// Takes the next connection: without Nagle's delay, and no call on it waits.
///
/// # Panics
/// If there is none, or the kernel refuses.
pub fn accept(listener: c_int) -> c_int {
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

/// Listens where the command line says, and announces it.
///
/// # Panics
/// If the kernel refuses.
pub fn listen(command: &Command) -> c_int {
    let (listener, address) = listen_on(command.port);
    announce((command.address().ip(), u16::from_be(address.sin_port)).into());
    listener
}

/// Listens on `port` of 127.0.0.1, 0 for any. Returns the socket and where it listens.
///
/// # Panics
/// If the kernel refuses.
pub fn listen_on(port: u16) -> (c_int, libc::sockaddr_in) {
    // SAFETY: all pointers are to locals of the type the call expects.
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

/// The result of a call that must not fail.
///
/// # Panics
/// If it failed.
pub fn checked(result: c_int) -> c_int {
    assert!(result >= 0, "{}", Error::last_os_error());
    result
}

/// Changes the events that epoll reports for a descriptor.
///
/// # Panics
/// If the kernel refuses.
pub fn watch(epoll: c_int, operation: c_int, fd: c_int, events: c_int) {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: fd as u64,
    };
    // SAFETY: the kernel reads one event.
    checked(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) });
}

/// Whether the call before failed only because it would have had to wait.
pub fn would_block() -> bool {
    Error::last_os_error().kind() == ErrorKind::WouldBlock
}
