//! How the C structs that pass between a program and the kernel lie in memory.
//!
//! The compiler reports here what it made of this crate's `#[repr(C)]` types. The tests compare
//! that with the C library's structs and with the kernel's own headers.

/// One C struct.
#[derive(Debug)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Its size in bytes, padding included.
    pub size: usize,
    /// What its address must be a multiple of.
    pub align: usize,
    /// Its fields' names in C, each with its distance from the start in bytes.
    pub fields: &'static [(&'static str, usize)],
}

/// The layout of a type as C's `$name`. The fields have C's names.
macro_rules! layout {
    ($name:literal, $type:ty { $($field:ident),* }) => {
        $crate::layout::Layout {
            name: $name,
            size: core::mem::size_of::<$type>(),
            align: core::mem::align_of::<$type>(),
            fields: &[$((stringify!($field), core::mem::offset_of!($type, $field))),*],
        }
    };
}

/// Every struct that this crate hands to the kernel.
pub static LAYOUTS: &[Layout] = &[
    crate::addr::SOCKADDR_IN,
    crate::addr::SOCKADDR_IN6,
    crate::epoll::EPOLL_EVENT,
    crate::io::IOVEC,
    crate::io::IOVEC_MUT,
    crate::message::MSGHDR,
    crate::message::MMSGHDR_SEND,
    crate::message::MMSGHDR_RECV,
    crate::poll::POLLFD,
    crate::process::RLIMIT64,
    crate::signal::SIGACTION,
    crate::signal::SIGSET,
    crate::socket::LINGER,
    crate::time::TIMESPEC,
];
