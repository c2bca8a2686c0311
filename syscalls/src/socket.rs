//! Sockets: `socket(7)`, `tcp(7)`. [`message`](crate::message) has the calls that send and receive
//! messages.
//!
//! A TCP connection within one program, and one echo over it:
//!
//! ```
//! use core::net::{Ipv4Addr, SocketAddr};
//!
//! use syscalls::addr::AF_INET;
//! use syscalls::socket::{SHUT_WR, SOCK_CLOEXEC, SOCK_STREAM};
//! use syscalls::{Errno, Linux, Socket};
//!
//! let listener = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)?;
//! listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?; // port 0: any free port
//! listener.listen(16)?;
//!
//! let client = Socket::new(Linux, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)?;
//! client.connect(&listener.getsockname()?)?;
//! let (server, peer) = listener.accept4(SOCK_CLOEXEC)?;
//! assert_eq!(peer.to_ip(), client.getsockname()?.to_ip());
//!
//! client.write(b"hello")?;
//! client.shutdown(SHUT_WR)?;
//! let mut buf = [0; 16];
//! let count = server.read(&mut buf)?;
//! server.write(&buf[..count])?;
//! assert_eq!(server.read(&mut buf), Ok(0)); // the client sends no more
//! let count = client.read(&mut buf)?;
//! assert_eq!(&buf[..count], b"hello");
//! # Ok::<(), Errno>(())
//! ```

use core::marker::PhantomData;
use core::ops::Deref;
use core::{fmt, mem};

use crate::addr::Sockaddr;
use crate::layout::Layout;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Socket types: `include/linux/net.h`.
    SOCKET_TYPES: i32 {
        /// A connection that carries a stream of bytes in order, such as TCP.
        SOCK_STREAM = 1;
        /// Messages of bounded length. Over UDP they can be lost or reordered; within the machine
        /// (`AF_UNIX`) they arrive in order.
        SOCK_DGRAM = 2;
    }
}

constants! {
    /// Flags in the type argument of `socket` and in the flags argument of `accept4`: `include/linux/net.h`.
    SOCKET_FLAGS: i32 {
        /// Close the descriptor when the process executes another program.
        SOCK_CLOEXEC = 0o2000000;
        /// Return `EAGAIN`, or from `connect` `EINPROGRESS`, instead of blocking.
        SOCK_NONBLOCK = 0o4000;
    }
}

constants! {
    /// Protocols: `include/uapi/linux/in.h`.
    PROTOCOLS: i32 {
        /// The default protocol of the type.
        IPPROTO_IP = 0;
        /// TCP.
        IPPROTO_TCP = 6;
        /// UDP.
        IPPROTO_UDP = 17;
    }
}

constants! {
    /// The directions that `shutdown` ends: `include/linux/net.h`.
    SHUTDOWN_HOW: i32 {
        /// Receiving: a read of an empty queue returns 0. TCP does not notify the peer, and still
        /// accepts its data.
        SHUT_RD = 0;
        /// Sending: the peer reads the end of the stream.
        SHUT_WR = 1;
        /// Both directions.
        SHUT_RDWR = 2;
    }
}

constants! {
    /// Flags of the sending and receiving calls: `include/linux/socket.h`.
    MESSAGE_FLAGS: i32 {
        /// Urgent data.
        MSG_OOB = 0x1;
        /// Leave the data in the queue.
        MSG_PEEK = 0x2;
        /// The message was cut to the buffer's length.
        MSG_TRUNC = 0x20;
        /// Return `EAGAIN` instead of blocking in this call.
        MSG_DONTWAIT = 0x40;
        /// Wait until the whole buffer is filled.
        MSG_WAITALL = 0x100;
        /// Raise no `SIGPIPE` if the connection is closed.
        MSG_NOSIGNAL = 0x4000;
        /// More data follows: do not send a partial segment yet.
        MSG_MORE = 0x8000;
        /// In `recvmmsg`: wait for the first message only. Since Linux 2.6.34.
        MSG_WAITFORONE = 0x10000;
    }
}

constants! {
    /// Levels of socket options: `SOL_SOCKET` in `include/uapi/asm-generic/socket.h`, the others
    /// in `include/linux/socket.h`.
    OPTION_LEVELS: i32 {
        /// Options of any socket.
        SOL_SOCKET = 1;
        /// Options of IPv4.
        SOL_IP = 0;
        /// Options of TCP.
        SOL_TCP = 6;
    }
}

/// A socket option and the type of its value, so that the length passed to the kernel is always right.
/// For [`Socket::setsockopt`] and [`Socket::getsockopt`].
///
/// ```
/// use syscalls::addr::AF_INET;
/// use syscalls::socket::{Linger, SO_LINGER, SOCK_STREAM, Socket, TCP_NODELAY};
/// use syscalls::{Errno, Linux};
///
/// let socket = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
/// socket.setsockopt(TCP_NODELAY, 1)?;
/// socket.setsockopt(SO_LINGER, Linger { l_onoff: 1, l_linger: 0 })?;
/// # Ok::<(), Errno>(())
/// ```
///
/// A value of the wrong type does not compile:
///
/// ```compile_fail,E0308
/// # use syscalls::addr::AF_INET;
/// # use syscalls::socket::{Linger, SO_LINGER, SOCK_STREAM, Socket};
/// # let socket = Socket::new(syscalls::Linux, AF_INET, SOCK_STREAM, 0)?;
/// socket.setsockopt(SO_LINGER, 1)?;
/// # Ok::<(), syscalls::Errno>(())
/// ```
pub struct SocketOption<T> {
    level: i32,
    name: i32,
    value: PhantomData<T>,
}

mod sealed {
    pub trait OptionValue: Copy + Default {}
    impl OptionValue for i32 {}
    impl OptionValue for super::Linger {}
}
use sealed::OptionValue;

/// The value of [`SO_LINGER`]: `struct linger`, `include/linux/socket.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linger {
    /// 0: off. `close` returns at once, and the kernel sends the unsent data in the background.
    pub l_onoff: i32,
    /// If on: the maximum number of seconds that `close` waits until the unsent data has been sent. With 0,
    /// `close` resets the connection.
    pub l_linger: i32,
}

pub(crate) const LINGER: Layout = layout!("struct linger", Linger { l_onoff, l_linger });

macro_rules! socket_options {
    ($(#[$about:meta])* $family:ident { $($(#[$doc:meta])* $name:ident: $value:ty = $level:ident, $number:expr;)* }) => {
        $($(#[$doc])* pub const $name: SocketOption<$value> =
            SocketOption { level: $level, name: $number, value: PhantomData };)*
        $(#[$about])*
        pub const $family: &[(&str, i32, i32)] = &[$((stringify!($name), $level, $number)),*];
    };
}

socket_options! {
    /// The options: name, level, number. `include/uapi/asm-generic/socket.h`, `include/uapi/linux/in.h`,
    /// `include/uapi/linux/tcp.h`.
    SOCKET_OPTIONS {
        /// Allow `bind` to a TCP port that still has connections, in any state, if no socket listens on it.
        /// The earlier socket must have set the option too (socket(7), NOTES).
        SO_REUSEADDR: i32 = SOL_SOCKET, 2;
        /// The pending error: the number of an [`Errno`], or 0. Reading clears it.
        SO_ERROR: i32 = SOL_SOCKET, 4;
        /// The send buffer's size in bytes. The kernel sets twice the value.
        SO_SNDBUF: i32 = SOL_SOCKET, 7;
        /// The receive buffer's size in bytes. The kernel sets twice the value.
        SO_RCVBUF: i32 = SOL_SOCKET, 8;
        /// Send keepalive probes on an idle connection.
        SO_KEEPALIVE: i32 = SOL_SOCKET, 9;
        /// Leave urgent data in the stream.
        SO_OOBINLINE: i32 = SOL_SOCKET, 10;
        /// Whether `close` waits until unsent data has been sent, or discards the data.
        SO_LINGER: Linger = SOL_SOCKET, 13;
        /// Allow several sockets to listen on one port. The kernel distributes connections over them.
        /// Since Linux 3.9.
        SO_REUSEPORT: i32 = SOL_SOCKET, 15;
        /// For `bind` with port 0: choose the port in `connect`. Since Linux 4.2.
        IP_BIND_ADDRESS_NO_PORT: i32 = SOL_IP, 24;
        /// Send small segments at once (no Nagle algorithm).
        TCP_NODELAY: i32 = SOL_TCP, 1;
        /// Idle seconds before the first keepalive probe.
        TCP_KEEPIDLE: i32 = SOL_TCP, 4;
        /// Seconds between keepalive probes.
        TCP_KEEPINTVL: i32 = SOL_TCP, 5;
        /// Unanswered keepalive probes before the connection is dropped.
        TCP_KEEPCNT: i32 = SOL_TCP, 6;
        /// Milliseconds that data may stay unacknowledged, or unsent because the peer's window is 0,
        /// before the connection is dropped. Overrides `TCP_KEEPCNT`. Since Linux 2.6.37.
        TCP_USER_TIMEOUT: i32 = SOL_TCP, 18;
    }
}

/// A socket: an [`Fd`] with the socket calls. [The module](self) has an example.
pub struct Socket<K: Kernel>(Fd<K>);

impl<K: Kernel> Socket<K> {
    /// Creates a socket.
    ///
    #[doc = call_doc!(socket)]
    ///
    /// # Errors
    /// - `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EINVAL`: the kernel does not support the family, the protocol
    ///   or a flag.
    /// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
    /// - `ENOBUFS`, `ENOMEM`: the kernel is out of memory.
    /// - `EACCES`: the process may not create a socket of this type or protocol.
    ///
    /// ```
    /// use syscalls::addr::AF_INET6;
    /// use syscalls::socket::{SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM};
    /// use syscalls::{Errno, Linux, Socket};
    ///
    /// match Socket::new(Linux, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) {
    ///     Ok(socket) => assert!(socket.as_raw() > 2),
    ///     Err(errno) => assert_eq!(errno, Errno::EAFNOSUPPORT), // a kernel without IPv6
    /// }
    /// ```
    pub fn new(kernel: K, domain: i32, ty: i32, protocol: i32) -> Result<Socket<K>, Errno> {
        let args = [domain as usize, ty as usize, protocol as usize];
        // SAFETY: no memory is passed, and the call only creates a descriptor.
        let fd = into_result(unsafe { kernel.syscall(sc::nr::SOCKET, args) })?;
        // SAFETY: the call succeeded, so the result is a new descriptor.
        Ok(Socket(unsafe { Fd::from_result(kernel, fd) }))
    }

    /// Creates two sockets that are connected to each other.
    ///
    #[doc = call_doc!(socketpair)]
    ///
    /// # Errors
    /// - Those of [`new`](Socket::new).
    /// - `EOPNOTSUPP`: the protocol, such as TCP, does not support pairs.
    pub fn pair(
        kernel: K,
        domain: i32,
        ty: i32,
        protocol: i32,
    ) -> Result<(Socket<K>, Socket<K>), Errno> {
        let mut sv = [-1i32; 2];
        let sv_at = (&raw mut sv).expose_provenance();
        let args = [domain as usize, ty as usize, protocol as usize, sv_at];
        // SAFETY: the kernel writes two ints to `sv`.
        into_result(unsafe { kernel.syscall(sc::nr::SOCKETPAIR, args) })?;
        // SAFETY: the call succeeded, so `sv` holds two new descriptors.
        let [a, b] = sv.map(|fd| Socket(unsafe { Fd::from_raw(kernel.clone(), fd) }));
        Ok((a, b))
    }

    /// Assigns `addr` to the socket. For port 0 the kernel picks a free port, which
    /// [`getsockname`](Socket::getsockname) returns.
    ///
    #[doc = call_doc!(bind)]
    ///
    /// # Errors
    /// - `EADDRINUSE`: another socket has the address.
    /// - `EACCES`: the port is below `net.ipv4.ip_unprivileged_port_start`, and the process lacks
    ///   `CAP_NET_BIND_SERVICE`.
    /// - `EADDRNOTAVAIL`: `addr` is not an address of this host.
    /// - `EINVAL`: the socket has an address already.
    pub fn bind(&self, addr: &Sockaddr) -> Result<(), Errno> {
        let args = [self.arg(), addr.ptr_arg(), addr.len_arg()];
        // SAFETY: the kernel reads `len_arg` bytes of the address, which is that long.
        into_result(unsafe { self.kernel().syscall(sc::nr::BIND, args) }).map(|_| ())
    }

    /// Starts to accept connections. Up to `backlog` + 1 connections wait for [`accept4`](Socket::accept4).
    /// The kernel limits `backlog` to `net.core.somaxconn`.
    ///
    #[doc = call_doc!(listen)]
    ///
    /// # Errors
    /// - `EADDRINUSE`: another socket listens on the port.
    /// - `EOPNOTSUPP`: a socket of this type cannot listen.
    pub fn listen(&self, backlog: i32) -> Result<(), Errno> {
        let args = [self.arg(), backlog as usize];
        // SAFETY: no memory is passed.
        into_result(unsafe { self.kernel().syscall(sc::nr::LISTEN, args) }).map(|_| ())
    }

    /// Accepts the next waiting connection. Returns its socket and the peer's address.
    ///
    /// Prefer [`accept4`](Socket::accept4), which sets the flags of the new descriptor atomically.
    ///
    #[doc = call_doc!(accept)]
    ///
    /// # Errors
    /// - Those of [`accept4`](Socket::accept4).
    pub fn accept(&self) -> Result<(Socket<K>, Sockaddr), Errno> {
        let mut peer = Sockaddr::zeroed();
        let [addr, len] = peer.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of the address to `peer`, and its length to `len`.
        let fd = into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::ACCEPT, [self.arg(), addr, len])
        })?;
        // SAFETY: the call succeeded, so the result is a new descriptor.
        Ok((
            Socket(unsafe { Fd::from_result(self.kernel().clone(), fd) }),
            peer,
        ))
    }

    /// Accepts the next waiting connection. Returns its socket, with `flags` (of [`SOCKET_FLAGS`]), and
    /// the peer's address.
    ///
    #[doc = call_doc!(accept4)]
    ///
    /// # Errors
    /// - `EAGAIN`: no connection is waiting, and the socket is non-blocking.
    /// - `ECONNABORTED`, `EPROTO`, and network errors such as `ENETDOWN` or `EHOSTUNREACH`: this
    ///   connection failed before it was accepted. The next call may succeed.
    /// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
    /// - `ENOBUFS`, `ENOMEM`: the kernel is out of memory.
    /// - `EINTR`: a signal handler interrupted the call.
    /// - `EPERM`: a firewall rule forbids the connection.
    /// - `EINVAL`: the socket does not listen, or a flag is unknown.
    #[inline]
    pub fn accept4(&self, flags: i32) -> Result<(Socket<K>, Sockaddr), Errno> {
        let mut peer = Sockaddr::zeroed();
        let [addr, len] = peer.out_args();
        let args = [self.arg(), addr, len, flags as usize];
        // SAFETY: the kernel writes at most `*len` bytes of the address to `peer`, and its length to `len`.
        let fd = into_result(unsafe { self.kernel().syscall(sc::nr::ACCEPT4, args) })?;
        // SAFETY: the call succeeded, so the result is a new descriptor.
        Ok((
            Socket(unsafe { Fd::from_result(self.kernel().clone(), fd) }),
            peer,
        ))
    }

    /// Connects to `addr`. A non-blocking TCP socket connects in the background: it becomes writable when
    /// the attempt has ended, and [`SO_ERROR`] is then the result.
    ///
    #[doc = call_doc!(connect)]
    ///
    /// # Errors
    /// - `EINPROGRESS`: the socket is non-blocking, and connects in the background.
    /// - `EAGAIN`: an `AF_UNIX` socket is non-blocking, and the listener's queue is full.
    /// - `EINTR`: a signal handler interrupted the call. A TCP socket continues to connect in the background:
    ///   do not retry, but wait until it is writable and read [`SO_ERROR`]. The attempt of an `AF_UNIX` socket
    ///   has ended: call `connect` again.
    /// - `ECONNREFUSED`: no socket listens at the address.
    /// - `EADDRNOTAVAIL`: no local port is free.
    /// - `ETIMEDOUT`, `ENETUNREACH`, `EHOSTUNREACH`: the host cannot be reached.
    /// - `EALREADY`, `EISCONN`: an earlier attempt is in progress, or has connected the socket.
    pub fn connect(&self, addr: &Sockaddr) -> Result<(), Errno> {
        let args = [self.arg(), addr.ptr_arg(), addr.len_arg()];
        // SAFETY: the kernel reads `len_arg` bytes of the address, which is that long.
        into_result(unsafe { self.kernel().syscall(sc::nr::CONNECT, args) }).map(|_| ())
    }

    /// Returns the socket's own address.
    ///
    #[doc = call_doc!(getsockname)]
    ///
    /// # Errors
    /// - `ENOBUFS`: the kernel is out of memory.
    pub fn getsockname(&self) -> Result<Sockaddr, Errno> {
        let mut name = Sockaddr::zeroed();
        let [addr, len] = name.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of the address to `name`, and its length to `len`.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::GETSOCKNAME, [self.arg(), addr, len])
        })?;
        Ok(name)
    }

    /// Returns the peer's address.
    ///
    #[doc = call_doc!(getpeername)]
    ///
    /// # Errors
    /// - `ENOTCONN`: the socket is not connected.
    /// - `ENOBUFS`: the kernel is out of memory.
    pub fn getpeername(&self) -> Result<Sockaddr, Errno> {
        let mut name = Sockaddr::zeroed();
        let [addr, len] = name.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of the address to `name`, and its length to `len`.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::GETPEERNAME, [self.arg(), addr, len])
        })?;
        Ok(name)
    }

    /// Ends one or both directions (of [`SHUTDOWN_HOW`]) of the connection, for every descriptor of
    /// the socket.
    ///
    #[doc = call_doc!(shutdown)]
    ///
    /// # Errors
    /// - `ENOTCONN`: the socket is not connected, or is no longer connected.
    pub fn shutdown(&self, how: i32) -> Result<(), Errno> {
        // SAFETY: no memory is passed.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::SHUTDOWN, [self.arg(), how as usize])
        })
        .map(|_| ())
    }

    /// Sets `option` to `value`.
    ///
    #[doc = call_doc!(setsockopt)]
    ///
    /// # Errors
    /// - `ENOPROTOOPT`: the socket does not have the option.
    /// - `EINVAL`: the value is not valid.
    #[allow(private_bounds)] // The trait is sealed: only this crate implements it for types of values.
    pub fn setsockopt<T: OptionValue>(
        &self,
        option: SocketOption<T>,
        value: T,
    ) -> Result<(), Errno> {
        let at = (&raw const value).expose_provenance();
        let (level, name) = (option.level as usize, option.name as usize);
        let args = [self.arg(), level, name, at, mem::size_of::<T>()];
        // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`.
        into_result(unsafe { self.kernel().syscall(sc::nr::SETSOCKOPT, args) }).map(|_| ())
    }

    /// Returns the value of `option`.
    ///
    #[doc = call_doc!(getsockopt)]
    ///
    /// # Errors
    /// - `ENOPROTOOPT`: the socket does not have the option.
    /// - `EOPNOTSUPP`: the same, for an option of TCP on a UDP socket of IPv4.
    ///
    /// ```
    /// use syscalls::addr::AF_INET;
    /// use syscalls::socket::{SOCK_STREAM, Socket, TCP_NODELAY};
    /// use syscalls::{Errno, Linux};
    ///
    /// let socket = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
    /// assert_eq!(socket.getsockopt(TCP_NODELAY), Ok(0));
    /// socket.setsockopt(TCP_NODELAY, 1)?;
    /// assert_eq!(socket.getsockopt(TCP_NODELAY), Ok(1));
    /// # Ok::<(), Errno>(())
    /// ```
    #[allow(private_bounds)]
    pub fn getsockopt<T: OptionValue>(&self, option: SocketOption<T>) -> Result<T, Errno> {
        let mut value = T::default();
        let mut len = mem::size_of::<T>() as u32;
        let (at, len_at) = (
            (&raw mut value).expose_provenance(),
            (&raw mut len).expose_provenance(),
        );
        let (level, name) = (option.level as usize, option.name as usize);
        let args = [self.arg(), level, name, at, len_at];
        // SAFETY: the kernel writes at most `len` bytes to `value`, and their number to `len`. A `T` consists
        // of integers, so any bits are valid.
        into_result(unsafe { self.kernel().syscall(sc::nr::GETSOCKOPT, args) })?;
        Ok(value)
    }
}

/// A socket is a descriptor: it can be read, written and polled.
impl<K: Kernel> Deref for Socket<K> {
    type Target = Fd<K>;

    #[inline(always)]
    fn deref(&self) -> &Fd<K> {
        &self.0
    }
}

impl<K: Kernel> fmt::Debug for Socket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.0.as_raw())
    }
}
