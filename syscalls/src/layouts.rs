//! The list of the structs that pass between a program and the kernel.

use crate::layout::Layout;
use crate::{addr, epoll, io, message, poll, process, signal, socket, time};

/// The layout of every struct that this crate passes to the kernel. [`layout`](crate::layout) has an
/// example.
pub static LAYOUTS: &[Layout] = &[
    addr::SOCKADDR_IN,
    addr::SOCKADDR_IN6,
    epoll::EPOLL_EVENT,
    io::IOVEC,
    io::IOVEC_MUT,
    message::MSGHDR,
    message::MMSGHDR_SEND,
    message::MMSGHDR_RECV,
    poll::POLLFD,
    process::RLIMIT64,
    signal::SIGACTION,
    signal::SIGSET,
    socket::LINGER,
    time::TIMESPEC,
];
