//! Compares call numbers, error numbers with their names and messages, and constants with the C
//! library's on this architecture.
//!
//! The tests compare whole tables, so one of them fails for a new row of the crate without a counterpart in
//! `SYS`, `OPTIONS` or `FAMILIES`.

use syscalls::{CALLS, ConstantTable};

use crate::{FAMILIES, Family};

#[path = "../common/sources.rs"]
mod sources;

/// Expands to a table of the C library's call numbers, each with its name.
macro_rules! sys {
    ($($number:ident)*) => { &[$((stringify!($number), ::libc::$number)),*] };
}

const SYS: &[(&str, ::libc::c_long)] = sys! {
    SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect
    SYS_getsockname SYS_getpeername SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg
    SYS_recvmmsg SYS_shutdown SYS_setsockopt SYS_getsockopt
    SYS_read SYS_write SYS_readv SYS_writev SYS_openat SYS_close
    SYS_ppoll SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_signalfd4
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_clock_gettime SYS_prlimit64 SYS_exit_group
};

pub fn call_numbers_match_libc() {
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
            Some(call.nr as ::libc::c_long),
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

/// Compares the names and messages of errors by `strerrorname_np` and `strerrordesc_np`, which glibc has and
/// musl lacks.
#[cfg(target_env = "gnu")]
pub mod errors {
    use std::ffi::{CStr, c_char, c_int};

    use syscalls::{Errno, MAX_ERRNO};

    unsafe extern "C" {
        /// Returns the name of an error number, or null. glibc has it since 2.32.
        safe fn strerrorname_np(number: c_int) -> *const c_char;
        /// Returns the text of `strerror` in the C locale, or null. glibc has it since 2.32.
        safe fn strerrordesc_np(number: c_int) -> *const c_char;
    }

    pub fn error_names_and_messages_match_libc() {
        for number in 1..=MAX_ERRNO as u16 {
            let errno = Errno::new(number);
            let [name, message] = [strerrorname_np, strerrordesc_np].map(|text| {
                let text = text(number.into());
                // SAFETY: a result that is not null is a string that the C library never changes.
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
}

pub fn constants_match_libc() {
    for Family { name, ours, libc } in FAMILIES {
        // The C library may give `EPOLLET` (bit 31) another sign. Its 32 bits are the same.
        let bits = |names: ConstantTable| -> Vec<_> {
            names
                .iter()
                .map(|&(name, value)| (name, value as u32))
                .collect()
        };
        assert_eq!(bits(ours), bits(libc), "{name}: ours, and libc's");
    }
    assert_eq!(syscalls::io::UIO_MAXIOV, ::libc::UIO_MAXIOV as usize);
}

pub fn every_constant_family_is_compared() {
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
            "add {name} to `families!` in syscalls/tests/numbers/main.rs, its constants to \
             syscalls/tests/numbers/x86_64.txt and syscalls/tests/numbers/aarch64.txt, and their \
             header to `HEADERS` in syscalls/tests/numbers/kernel.rs"
        );
    }
}

macro_rules! options {
    ($($name:ident $level:ident)*) => {
        const OPTIONS: &[(&str, i32, i32)] = &[$((stringify!($name), ::libc::$level, ::libc::$name)),*];
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

pub fn socket_options_match_libc() {
    assert_eq!(
        syscalls::socket::SOCKET_OPTIONS,
        OPTIONS,
        "ours, and libc's"
    );
}
