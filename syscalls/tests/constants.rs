//! Proves that the numbers of the calls, the error numbers with their names and messages, and every
//! constant are the C library's on this architecture.
//!
//! Each comparison goes through a whole table of the crate, so what is added there without a
//! counterpart here fails.

use std::ffi::{CStr, c_char, c_int};

use syscalls::{CALLS, ConstantTable, Errno, MAX_ERRNO};

#[path = "common/sources.rs"]
mod sources;

/// The C library's numbers of calls, by the calls' names.
macro_rules! sys {
    ($($number:ident)*) => { &[$((stringify!($number), libc::$number)),*] };
}

const SYS: &[(&str, libc::c_long)] = sys! {
    SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect
    SYS_getsockname SYS_getpeername SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg
    SYS_recvmmsg SYS_shutdown SYS_setsockopt SYS_getsockopt
    SYS_read SYS_write SYS_readv SYS_writev SYS_openat SYS_close
    SYS_ppoll SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_signalfd4
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_clock_gettime SYS_prlimit64 SYS_exit_group
};

#[test]
fn the_numbers_of_the_calls_are_libcs() {
    let libcs = |name: &str| {
        SYS.iter()
            .find(|(sys, _)| sys.strip_prefix("SYS_") == Some(name))
    };
    let lacking: Vec<_> = CALLS
        .iter()
        .map(|call| call.name)
        .filter(|name| libcs(name).is_none())
        .collect();
    assert!(
        lacking.is_empty(),
        "add to `SYS` in {}: {lacking:?}",
        file!()
    );
    for call in CALLS {
        let name = call.name;
        let libcs = libcs(name);
        assert_eq!(
            Some(call.nr as libc::c_long),
            libcs.map(|sys| sys.1),
            "{name}"
        );
        let here = if cfg!(target_arch = "x86_64") {
            call.x86_64
        } else {
            call.aarch64
        };
        assert_eq!(call.nr, here, "{name}");
    }
}

unsafe extern "C" {
    /// glibc since 2.32: the name of an error number, or null.
    safe fn strerrorname_np(number: c_int) -> *const c_char;
    /// glibc since 2.32: what `strerror` says in the C locale, or null.
    safe fn strerrordesc_np(number: c_int) -> *const c_char;
}

#[test]
fn the_errors_are_libcs_with_their_names_and_messages() {
    for number in 1..=MAX_ERRNO as u16 {
        let errno = Errno::new(number);
        let [name, message] = [strerrorname_np, strerrordesc_np].map(|text| {
            let text = text(number.into());
            // SAFETY: what is not null is a string that the C library never changes.
            (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap())
        });
        assert_eq!(errno.name(), name.unwrap_or("E?"), "the name of {number}");
        let unknown = "Unknown error";
        assert_eq!(
            errno.message(),
            message.unwrap_or(unknown),
            "the message of {number}"
        );
        assert_eq!(
            Errno::ALL.contains(&errno),
            name.is_some(),
            "{errno} in Errno::ALL"
        );
    }
}

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
            libc: &[$((stringify!($name), libc::$name as i64)),*],
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

#[test]
fn the_constants_are_libcs() {
    for Family { name, ours, libc } in FAMILIES {
        // The two may disagree on the sign of bit 31 (`EPOLLET`), which no register carries.
        let bits = |names: ConstantTable| -> Vec<_> {
            names
                .iter()
                .map(|&(name, value)| (name, value as u32))
                .collect()
        };
        assert_eq!(bits(ours), bits(libc), "{name}: ours, and libc's");
    }
    assert_eq!(syscalls::io::UIO_MAXIOV, libc::UIO_MAXIOV as usize);
}

#[test]
fn no_family_is_left_out() {
    let sources = sources::read();
    for declaration in sources.split("\nconstants! {").skip(1) {
        let name = declaration
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with("///"))
            .and_then(|line| line.split(':').next())
            .expect("a family's name");
        assert!(
            FAMILIES.iter().any(|family| family.name == name),
            "add {name} to `families!` in {}",
            file!()
        );
    }
}

macro_rules! options {
    ($($name:ident $level:ident)*) => {
        const OPTIONS: &[(&str, i32, i32)] = &[$((stringify!($name), libc::$level, libc::$name)),*];
    };
}

options! {
    SO_REUSEADDR SOL_SOCKET
    SO_ERROR SOL_SOCKET
    SO_SNDBUF SOL_SOCKET
    SO_RCVBUF SOL_SOCKET
    SO_KEEPALIVE SOL_SOCKET
    SO_OOBINLINE SOL_SOCKET
    SO_LINGER SOL_SOCKET
    SO_REUSEPORT SOL_SOCKET
    IP_BIND_ADDRESS_NO_PORT SOL_IP
    TCP_NODELAY SOL_TCP
    TCP_KEEPIDLE SOL_TCP
    TCP_KEEPINTVL SOL_TCP
    TCP_KEEPCNT SOL_TCP
    TCP_USER_TIMEOUT SOL_TCP
}

#[test]
fn the_socket_options_are_libcs() {
    assert_eq!(
        syscalls::socket::SOCKET_OPTIONS,
        OPTIONS,
        "ours, and libc's"
    );
}
