//! Socket addresses in the kernel's layout: `ip(7)`, `ipv6(7)`.
//!
//! ```
//! use core::net::SocketAddr;
//!
//! use syscalls::addr::{AF_INET, Sockaddr};
//!
//! let addr: SocketAddr = "127.0.0.1:7007".parse().unwrap();
//! let sockaddr = Sockaddr::from(addr);
//! assert_eq!(sockaddr.family(), AF_INET);
//! assert_eq!(sockaddr.to_ip(), Some(addr));
//! ```
//!
//! Ports and IPv4 addresses are in network byte order, the most significant byte first, whereas both
//! architectures store the least significant byte first. Port 7007 is 0x1b5f: the bytes `1b 5f` in memory.

use core::fmt;
use core::mem;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::layout::Layout;

constants! {
    /// Address families: `include/linux/socket.h`.
    ADDRESS_FAMILIES: i32 {
        /// No family.
        AF_UNSPEC = 0;
        /// Between processes of one host.
        AF_UNIX = 1;
        /// IPv4.
        AF_INET = 2;
        /// IPv6.
        AF_INET6 = 10;
    }
}

/// An IPv4 address and port: `struct sockaddr_in`, `include/uapi/linux/in.h`.
///
/// Aligned as in C, where the address is a 32-bit number.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SockaddrIn {
    /// [`AF_INET`].
    pub sin_family: u16,
    /// The port, in network byte order (the most significant byte first).
    pub sin_port: u16,
    /// The address, in network byte order.
    pub sin_addr: [u8; 4],
    /// Padding to the size of `struct sockaddr`, 16 bytes.
    pub sin_zero: [u8; 8],
}

pub(crate) const SOCKADDR_IN: Layout = layout!(
    "struct sockaddr_in",
    SockaddrIn {
        sin_family,
        sin_port,
        sin_addr,
        sin_zero
    }
);

/// An IPv6 address and port: `struct sockaddr_in6`, `include/uapi/linux/in6.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SockaddrIn6 {
    /// [`AF_INET6`].
    pub sin6_family: u16,
    /// The port, in network byte order.
    pub sin6_port: u16,
    /// The traffic class and the flow label, in network byte order.
    pub sin6_flowinfo: u32,
    /// The address, in network byte order.
    pub sin6_addr: [u8; 16],
    /// For a link-local address: the index of its network interface.
    pub sin6_scope_id: u32,
}

pub(crate) const SOCKADDR_IN6: Layout = layout!(
    "struct sockaddr_in6",
    SockaddrIn6 {
        sin6_family,
        sin6_port,
        sin6_flowinfo,
        sin6_addr,
        sin6_scope_id
    }
);

#[repr(C)]
#[derive(Clone, Copy)]
union Storage {
    family: u16,
    v4: SockaddrIn,
    v6: SockaddrIn6,
}

/// A socket address with its length, as calls take and return it.
///
/// A `Sockaddr` is made from a [`SocketAddr`], or written by a call, so its length fits its family. If
/// an address is longer than an internet address, as an `AF_UNIX` path can be, the kernel writes only its
/// first 28 bytes. A later call with this `Sockaddr` passes only these 28 bytes.
#[derive(Clone, Copy)]
pub struct Sockaddr {
    storage: Storage,
    /// `socklen_t`: the length of the address. For an `AF_UNIX` path, the kernel can return a length greater
    /// than the size of the storage. The storage then holds only the start of the address.
    len: u32,
}

impl Sockaddr {
    /// The size of the buffer for an address that the kernel writes: the size of the longest internet
    /// address.
    pub(crate) const CAPACITY: u32 = mem::size_of::<Storage>() as u32;

    /// Makes a zeroed address, which a call then overwrites.
    pub(crate) fn zeroed() -> Sockaddr {
        let v6 = SockaddrIn6 {
            sin6_family: AF_UNSPEC as u16,
            ..SockaddrIn6::default()
        };
        Sockaddr {
            storage: Storage { v6 },
            len: Sockaddr::CAPACITY,
        }
    }

    /// Returns the location of the address, as an argument of a call.
    pub(crate) fn ptr_arg(&self) -> usize {
        (&raw const self.storage).expose_provenance()
    }

    /// Returns the length of the stored address, as an argument of a call.
    pub(crate) fn len_arg(&self) -> usize {
        self.len.min(Sockaddr::CAPACITY) as usize
    }

    /// Returns the locations of the address and its length, for a call that writes both.
    pub(crate) fn out_args(&mut self) -> [usize; 2] {
        [
            (&raw mut self.storage).expose_provenance(),
            (&raw mut self.len).expose_provenance(),
        ]
    }

    /// Returns the address family (see [`ADDRESS_FAMILIES`]), or [`AF_UNSPEC`] if there is no address.
    pub fn family(&self) -> i32 {
        if (self.len as usize) < mem::size_of::<u16>() {
            return AF_UNSPEC;
        }
        // SAFETY: every field of the union starts with the family, all of the storage is initialized, and
        // any bits are a valid u16.
        i32::from(unsafe { self.storage.family })
    }

    /// Returns the internet address and port, or `None` for another family.
    pub fn to_ip(&self) -> Option<SocketAddr> {
        match self.family() {
            AF_INET if self.len as usize >= mem::size_of::<SockaddrIn>() => {
                // SAFETY: all of the storage is initialized, and any bits are valid for it.
                let v4 = unsafe { self.storage.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr);
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 if self.len as usize >= mem::size_of::<SockaddrIn6>() => {
                // SAFETY: all of the storage is initialized, and any bits are valid for it.
                let v6 = unsafe { self.storage.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr);
                let (port, flow) = (u16::from_be(v6.sin6_port), u32::from_be(v6.sin6_flowinfo));
                Some(SocketAddrV6::new(ip, port, flow, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

impl From<SocketAddr> for Sockaddr {
    fn from(addr: SocketAddr) -> Sockaddr {
        // `zeroed` also initializes the bytes beyond the shorter field.
        let mut sockaddr = Sockaddr::zeroed();
        match addr {
            SocketAddr::V4(addr) => {
                sockaddr.storage.v4 = SockaddrIn {
                    sin_family: AF_INET as u16,
                    sin_port: addr.port().to_be(),
                    sin_addr: addr.ip().octets(),
                    sin_zero: [0; 8],
                };
                sockaddr.len = mem::size_of::<SockaddrIn>() as u32;
            }
            SocketAddr::V6(addr) => {
                sockaddr.storage.v6 = SockaddrIn6 {
                    sin6_family: AF_INET6 as u16,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo().to_be(),
                    sin6_addr: addr.ip().octets(),
                    sin6_scope_id: addr.scope_id(),
                };
                sockaddr.len = mem::size_of::<SockaddrIn6>() as u32;
            }
        }
        sockaddr
    }
}

impl fmt::Debug for Sockaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_ip() {
            Some(addr) => write!(f, "{addr}"),
            None => write!(f, "address of family {}", self.family()),
        }
    }
}
