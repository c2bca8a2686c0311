//! The socket calls: `socket(7)`, `tcp(7)`.

use core::marker::PhantomData;
use core::ops::Deref;
use core::{fmt, mem};

use crate::addr::Sockaddr;
use crate::layout::Layout;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Kinds of socket: `include/linux/net.h`.
    SOCKET_TYPES: i32 {
        /// A connection that carries a stream of bytes in order: TCP.
        SOCK_STREAM = 1;
        /// Messages of bounded length, unordered: UDP.
        SOCK_DGRAM = 2;
    }
}

constants! {
    /// Flags that go into the type argument of `socket`, and into `accept4`'s: `include/linux/net.h`.
    SOCKET_FLAGS: i32 {
        /// Close the descriptor when the process executes another program.
        SOCK_CLOEXEC = 0o2000000;
        /// Never wait in a call on it.
        SOCK_NONBLOCK = 0o4000;
    }
}

constants! {
    /// Protocols: `include/uapi/linux/in.h`.
    PROTOCOLS: i32 {
        /// The one that the type implies.
        IPPROTO_IP = 0;
        /// TCP.
        IPPROTO_TCP = 6;
        /// UDP.
        IPPROTO_UDP = 17;
    }
}

constants! {
    /// Which side `shutdown` ends: `include/linux/net.h`.
    SHUTDOWN_HOW: i32 {
        /// Receive no more.
        SHUT_RD = 0;
        /// Send no more: the peer reads the end of the stream.
        SHUT_WR = 1;
        /// Neither.
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
        /// Do not wait in this call.
        MSG_DONTWAIT = 0x40;
        /// Wait for the full length.
        MSG_WAITALL = 0x100;
        /// No `SIGPIPE` if the peer is gone.
        MSG_NOSIGNAL = 0x4000;
        /// More follows: hold back a partial segment.
        MSG_MORE = 0x8000;
        /// In `recvmmsg`: wait for the first message only. Since Linux 2.6.34.
        MSG_WAITFORONE = 0x10000;
    }
}

constants! {
    /// Where a socket option belongs: `SOL_SOCKET` in `include/uapi/asm-generic/socket.h`, the others
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

/// What [`Socket::setsockopt`] and [`Socket::getsockopt`] work on. The type of its value is part of
/// it, so that the length which the kernel is told is always right.
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
/// A value of another type is no value of the option:
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
    /// 0: off, `close` returns at once and what is unsent goes out in the background.
    pub l_onoff: i32,
    /// If on: seconds that `close` waits. With 0 it resets the connection.
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
    /// The options: name, level, number. `include/uapi/asm-generic/socket.h`,
    /// `include/uapi/linux/tcp.h`.
    SOCKET_OPTIONS {
        /// Bind to a port of which old connections are still in `TIME_WAIT`.
        SO_REUSEADDR: i32 = SOL_SOCKET, 2;
        /// The pending error, a number of [`Errno`] or 0. Reading it clears it.
        SO_ERROR: i32 = SOL_SOCKET, 4;
        /// The send buffer's size in bytes. The kernel doubles what it is given.
        SO_SNDBUF: i32 = SOL_SOCKET, 7;
        /// The receive buffer's size in bytes. The kernel doubles what it is given.
        SO_RCVBUF: i32 = SOL_SOCKET, 8;
        /// Probe a silent peer.
        SO_KEEPALIVE: i32 = SOL_SOCKET, 9;
        /// Keep urgent data in its place in the stream.
        SO_OOBINLINE: i32 = SOL_SOCKET, 10;
        /// What `close` does about unsent data.
        SO_LINGER: Linger = SOL_SOCKET, 13;
        /// Let several sockets listen on one port; the kernel spreads connections over them. Since
        /// Linux 3.9.
        SO_REUSEPORT: i32 = SOL_SOCKET, 15;
        /// Leave the choice of the port to `connect`, when `bind` is given port 0. Since Linux
        /// 4.2.
        IP_BIND_ADDRESS_NO_PORT: i32 = SOL_IP, 24;
        /// Send small segments at once (no Nagle algorithm).
        TCP_NODELAY: i32 = SOL_TCP, 1;
        /// Seconds of silence before the first keepalive probe.
        TCP_KEEPIDLE: i32 = SOL_TCP, 4;
        /// Seconds between keepalive probes.
        TCP_KEEPINTVL: i32 = SOL_TCP, 5;
        /// Unanswered keepalive probes before the connection is dropped.
        TCP_KEEPCNT: i32 = SOL_TCP, 6;
        /// Milliseconds that sent data may stay unacknowledged before the connection is dropped.
        /// Since Linux 2.6.37.
        TCP_USER_TIMEOUT: i32 = SOL_TCP, 18;
    }
}

/// A socket: a descriptor with the socket calls.
pub struct Socket<K: Kernel>(Fd<K>);

impl<K: Kernel> Socket<K> {
    /// A new, unbound socket.
    ///
    #[doc = call_doc!(socket)]
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EINVAL`: the kernel lacks the family, the protocol or a
    /// flag. `EMFILE`, `ENFILE`: no descriptor left in the process, in the system. `ENOBUFS`,
    /// `ENOMEM`: no memory. `EACCES`: not allowed.
    pub fn new(kernel: K, domain: i32, ty: i32, protocol: i32) -> Result<Socket<K>, Errno> {
        let args = [domain as usize, ty as usize, protocol as usize];
        // SAFETY: no memory is passed, and the call makes a descriptor and no more.
        let fd = into_result(unsafe { kernel.syscall(sc::nr::SOCKET, args) })?;
        // SAFETY: the call succeeded, and what it returned is a new descriptor.
        Ok(Socket(unsafe { Fd::from_result(kernel, fd) }))
    }

    /// Two sockets that are connected to each other.
    ///
    #[doc = call_doc!(socketpair)]
    ///
    /// # Errors
    /// As for [`new`](Socket::new); `EOPNOTSUPP`: the protocol has no pairs (TCP has none).
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

    /// Gives the socket its own address. Port 0: the kernel picks a free one, see
    /// [`getsockname`](Socket::getsockname).
    ///
    #[doc = call_doc!(bind)]
    ///
    /// # Errors
    /// `EADDRINUSE`: another socket has it. `EACCES`: a port below
    /// `net.ipv4.ip_unprivileged_port_start` without `CAP_NET_BIND_SERVICE`. `EADDRNOTAVAIL`: not
    /// an address of this machine. `EINVAL`: bound already.
    pub fn bind(&self, addr: &Sockaddr) -> Result<(), Errno> {
        let args = [self.arg(), addr.ptr_arg(), addr.len_arg()];
        // SAFETY: the kernel reads the address, and no more than there is of it.
        into_result(unsafe { self.kernel().syscall(sc::nr::BIND, args) }).map(|_| ())
    }

    /// Accepts connections from now on; up to `backlog` of them (at most `net.core.somaxconn`) wait
    /// for [`accept4`](Socket::accept4).
    ///
    #[doc = call_doc!(listen)]
    ///
    /// # Errors
    /// `EADDRINUSE`: another socket listens on the port. `EOPNOTSUPP`: not that kind of socket.
    pub fn listen(&self, backlog: i32) -> Result<(), Errno> {
        let args = [self.arg(), backlog as usize];
        // SAFETY: no memory is passed.
        into_result(unsafe { self.kernel().syscall(sc::nr::LISTEN, args) }).map(|_| ())
    }

    /// Takes the next waiting connection: a new socket, and its peer's address.
    ///
    /// The program uses [`accept4`](Socket::accept4), which sets the new descriptor's flags without
    /// a moment in which they are not set.
    ///
    #[doc = call_doc!(accept)]
    ///
    /// # Errors
    /// As for [`accept4`](Socket::accept4).
    pub fn accept(&self) -> Result<(Socket<K>, Sockaddr), Errno> {
        let mut peer = Sockaddr::zeroed();
        let [addr, len] = peer.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of address to `peer`, and its length.
        let fd = into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::ACCEPT, [self.arg(), addr, len])
        })?;
        // SAFETY: the call succeeded, and what it returned is a new descriptor.
        Ok((
            Socket(unsafe { Fd::from_result(self.kernel().clone(), fd) }),
            peer,
        ))
    }

    /// Takes the next waiting connection: a new socket with `flags` (of [`SOCKET_FLAGS`]), and its
    /// peer's address.
    ///
    #[doc = call_doc!(accept4)]
    ///
    /// # Errors
    /// `EAGAIN`: none is waiting, on a non-blocking socket. `ECONNABORTED`, `EPROTO`, and network
    /// errors such as `ENETDOWN` or `EHOSTUNREACH`: that connection failed before it was taken;
    /// the next may be fine. `EMFILE`, `ENFILE`: no descriptor left in the process, in the system.
    /// `ENOBUFS`, `ENOMEM`: no memory. `EINTR`: a signal came first. `EPERM`: a firewall forbids it.
    /// `EINVAL`: not listening.
    #[inline]
    pub fn accept4(&self, flags: i32) -> Result<(Socket<K>, Sockaddr), Errno> {
        let mut peer = Sockaddr::zeroed();
        let [addr, len] = peer.out_args();
        let args = [self.arg(), addr, len, flags as usize];
        // SAFETY: the kernel writes at most `*len` bytes of address to `peer`, and its length.
        let fd = into_result(unsafe { self.kernel().syscall(sc::nr::ACCEPT4, args) })?;
        // SAFETY: the call succeeded, and what it returned is a new descriptor.
        Ok((
            Socket(unsafe { Fd::from_result(self.kernel().clone(), fd) }),
            peer,
        ))
    }

    /// Connects to `addr`. On a non-blocking socket the connection is made in the background: the
    /// socket is writable when that has ended, and [`SO_ERROR`] tells how.
    ///
    #[doc = call_doc!(connect)]
    ///
    /// # Errors
    /// `EINPROGRESS`: under way in the background. `EINTR`: the same, after a signal: never retry,
    /// wait. `ECONNREFUSED`: nobody listens. `EADDRNOTAVAIL`: no local port is left. `ETIMEDOUT`,
    /// `ENETUNREACH`, `EHOSTUNREACH`: no way there. `EALREADY`, `EISCONN`: called before.
    pub fn connect(&self, addr: &Sockaddr) -> Result<(), Errno> {
        let args = [self.arg(), addr.ptr_arg(), addr.len_arg()];
        // SAFETY: the kernel reads the address, and no more than there is of it.
        into_result(unsafe { self.kernel().syscall(sc::nr::CONNECT, args) }).map(|_| ())
    }

    /// The socket's own address.
    ///
    #[doc = call_doc!(getsockname)]
    ///
    /// # Errors
    /// `ENOBUFS`: no memory.
    pub fn getsockname(&self) -> Result<Sockaddr, Errno> {
        let mut name = Sockaddr::zeroed();
        let [addr, len] = name.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of address to `name`, and its length.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::GETSOCKNAME, [self.arg(), addr, len])
        })?;
        Ok(name)
    }

    /// The peer's address.
    ///
    #[doc = call_doc!(getpeername)]
    ///
    /// # Errors
    /// `ENOTCONN`: not connected. `ENOBUFS`: no memory.
    pub fn getpeername(&self) -> Result<Sockaddr, Errno> {
        let mut name = Sockaddr::zeroed();
        let [addr, len] = name.out_args();
        // SAFETY: the kernel writes at most `*len` bytes of address to `name`, and its length.
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
    /// `ENOTCONN`: not connected (any more).
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
    /// `ENOPROTOOPT`: the socket does not know the option. `EINVAL`: not a possible value.
    #[allow(private_bounds)] // the values that options have are ours to list
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

    /// The value of `option`.
    ///
    #[doc = call_doc!(getsockopt)]
    ///
    /// # Errors
    /// `ENOPROTOOPT`: the socket does not know the option; an IPv4 UDP socket says `EOPNOTSUPP` to
    /// TCP's.
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
        // SAFETY: the kernel writes at most `len` bytes to `value`, and how many. Whatever bits it
        // writes are a `T`, which is made of integers.
        into_result(unsafe { self.kernel().syscall(sc::nr::GETSOCKOPT, args) })?;
        Ok(value)
    }
}

/// A socket is a descriptor: it is read, written and polled like any other.
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
