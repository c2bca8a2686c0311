//! Checks every number that the crate takes from the kernel: of calls and errors, of constants, and in struct
//! layouts.
//!
//! `kernel` compares them with tables in the repository that were made from the kernel's headers, and
//! compares those tables with the installed headers. `libc` compares all but the layouts with the C library.
//! (`../layouts.rs` compares the layouts.)

mod kernel;
mod libc;

use syscalls::ConstantTable;

use kernel::*;
use libc::*;

/// A table of the crate, and the same constants from the C library.
struct Family {
    name: &'static str,
    ours: ConstantTable,
    libc: ConstantTable,
}

macro_rules! families {
    ($($module:ident::$family:ident { $($name:ident)* })*) => {
        const FAMILIES: &[Family] = &[$(Family {
            name: stringify!($family),
            ours: syscalls::$module::$family,
            libc: &[$((stringify!($name), ::libc::$name as i64)),*],
        }),*];
    };
}

families! {
    addr::ADDRESS_FAMILIES { AF_UNSPEC AF_UNIX AF_INET AF_INET6 }
    epoll::EPOLL_FLAGS { EPOLL_CLOEXEC }
    epoll::EPOLL_OPERATIONS { EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD }
    epoll::EPOLL_EVENTS {
        EPOLLIN EPOLLPRI EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDHUP EPOLLEXCLUSIVE EPOLLONESHOT EPOLLET
    }
    event::EVENTFD_FLAGS { EFD_SEMAPHORE EFD_CLOEXEC EFD_NONBLOCK }
    io::OPEN_FLAGS {
        O_RDONLY O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND O_NONBLOCK O_CLOEXEC
    }
    io::AT_DIRECTORIES { AT_FDCWD }
    poll::POLL_EVENTS { POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL }
    process::RESOURCES { RLIMIT_NOFILE }
    signal::SIGNALS {
        SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2
        SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG
        SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS
    }
    signal::SIGPROCMASK_HOW { SIG_BLOCK SIG_UNBLOCK SIG_SETMASK }
    signal::SIGNALFD_FLAGS { SFD_CLOEXEC SFD_NONBLOCK }
    socket::SOCKET_TYPES { SOCK_STREAM SOCK_DGRAM }
    socket::SOCKET_FLAGS { SOCK_CLOEXEC SOCK_NONBLOCK }
    socket::PROTOCOLS { IPPROTO_IP IPPROTO_TCP IPPROTO_UDP }
    socket::SHUTDOWN_HOW { SHUT_RD SHUT_WR SHUT_RDWR }
    socket::MESSAGE_FLAGS {
        MSG_OOB MSG_PEEK MSG_TRUNC MSG_DONTWAIT MSG_WAITALL MSG_NOSIGNAL MSG_MORE MSG_WAITFORONE
    }
    socket::OPTION_LEVELS { SOL_SOCKET SOL_IP SOL_TCP }
    time::CLOCKS { CLOCK_MONOTONIC }
}

#[cfg(target_env = "gnu")]
use libc::errors::error_names_and_messages_match_libc;

#[cfg(not(target_env = "gnu"))]
fn error_names_and_messages_match_libc() {
    unreachable!("the test runs only with glibc")
}

witness::tests! {
    call_numbers_match_kernel_tables;
    error_numbers_match_kernel_tables;
    constants_match_kernel_tables;
    structs_match_kernel_tables;
    tables_match_x86_64_headers: HeadersX86_64;
    tables_match_aarch64_headers: HeadersAarch64;
    call_numbers_match_libc;
    constants_match_libc;
    every_constant_family_is_compared;
    socket_options_match_libc;
    error_names_and_messages_match_libc: Glibc;
}
