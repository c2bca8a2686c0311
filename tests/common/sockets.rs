//! Socket operations that the standard library lacks.

use std::io;
use std::mem;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Connects a client that sets `options` (level, name, value) before it connects.
pub fn client_with(server: SocketAddrV4, options: &[(i32, i32, libc::c_int)]) -> TcpStream {
    // SAFETY: the call takes no pointer.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(raw >= 0, "socket: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new, and nothing else owns it.
    let client = TcpStream::from(unsafe { OwnedFd::from_raw_fd(raw) });
    for (level, name, value) in options {
        set(&client, *level, *name, value);
    }
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: server.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(server.ip().octets()),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: the pointer and the length describe `address`.
    let result = unsafe {
        let len = mem::size_of_val(&address) as libc::socklen_t;
        libc::connect(raw, (&raw const address).cast(), len)
    };
    assert_eq!(result, 0, "connect: {}", io::Error::last_os_error());
    client
}

/// Makes a later close reset the connection: `SO_LINGER` with 0 seconds.
pub fn reset_at_close(socket: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set(socket, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// Sets a socket option. `T` must be the type that the option's manual page names.
fn set<T>(socket: &TcpStream, level: libc::c_int, name: libc::c_int, value: &T) {
    // SAFETY: the pointer and the length describe `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "setsockopt {level} {name}");
}
