//! Checks that each struct has the layout of the C library's on this architecture: its size, its
//! alignment, and where each field starts and ends.
//!
//! The kernel's `struct sigaction` and `sigset_t` differ from the C library's. The tests in `numbers/`
//! compare them, and other structs too, with the kernel's headers.

use std::collections::BTreeSet;
use std::mem::{align_of, size_of};

use syscalls::layout::{Field, Layout, size_of_field};
use syscalls::signal::{SIGNALFD_SIGINFO_SIZE, SigSet};
use syscalls::socket::Socket;
use syscalls::{Fd, LAYOUTS, Linux};

#[path = "common/sources.rs"]
mod sources;

macro_rules! libc_layout {
    ($name:literal, $type:ident { $($field:ident),* }) => {
        Layout {
            name: $name,
            size: size_of::<libc::$type>(),
            align: align_of::<libc::$type>(),
            fields: &[$(Field {
                name: stringify!($field),
                offset: std::mem::offset_of!(libc::$type, $field),
                size: size_of_field(|of: libc::$type| of.$field),
            }),*],
        }
    };
}

/// The C library's structs.
const LIBC: &[Layout] = &[
    libc_layout!(
        "struct sockaddr_in",
        sockaddr_in {
            sin_family,
            sin_port,
            sin_addr,
            sin_zero
        }
    ),
    libc_layout!(
        "struct sockaddr_in6",
        sockaddr_in6 {
            sin6_family,
            sin6_port,
            sin6_flowinfo,
            sin6_addr,
            sin6_scope_id
        }
    ),
    libc_layout!("struct epoll_event", epoll_event { events, u64 }),
    libc_layout!("struct iovec", iovec { iov_base, iov_len }),
    libc_layout!(
        "struct msghdr",
        msghdr {
            msg_name,
            msg_namelen,
            msg_iov,
            msg_iovlen,
            msg_control,
            msg_controllen,
            msg_flags
        }
    ),
    libc_layout!("struct mmsghdr", mmsghdr { msg_hdr, msg_len }),
    libc_layout!(
        "struct pollfd",
        pollfd {
            fd,
            events,
            revents
        }
    ),
    libc_layout!("struct rlimit64", rlimit64 { rlim_cur, rlim_max }),
    libc_layout!("struct linger", linger { l_onoff, l_linger }),
    libc_layout!("struct timespec", timespec { tv_sec, tv_nsec }),
];

/// The kernel's structs that the C library declares differently. (In musl's `struct msghdr`, `msg_iovlen` is
/// an `int` and `msg_controllen` a `socklen_t`, as POSIX requires, each with padding. In the kernel's and
/// glibc's, both are a `size_t`.)
const KERNEL_ONLY: &[&str] = if cfg!(target_env = "musl") {
    &[
        "struct sigaction",
        "sigset_t",
        "struct msghdr",
        "struct mmsghdr",
    ]
} else {
    &["struct sigaction", "sigset_t"]
};

#[test]
fn every_struct_matches_the_c_library() {
    for ours in LAYOUTS {
        if KERNEL_ONLY.contains(&ours.name) {
            continue;
        }
        let libc = LIBC
            .iter()
            .find(|libc| libc.name == ours.name)
            .unwrap_or_else(|| panic!("{} has no counterpart in `LIBC`", ours.name));
        let layout = |of: &Layout| -> (usize, usize, Vec<Field>) {
            (of.size, of.align, of.fields.iter().map(c_name).collect())
        };
        let (ours_is, libc_is) = (layout(ours), layout(libc));
        assert_eq!(ours_is, libc_is, "{}: ours, and libc's", ours.name);
    }
}

/// Returns `field` with its name in C. The `libc` crate names the union `data` after its member `u64`.
fn c_name(&field: &Field) -> Field {
    match field.name {
        "u64" => Field {
            name: "data",
            ..field
        },
        _ => field,
    }
}

/// Returns the word at the start of `text`.
fn word(text: &str) -> String {
    let letters = text.trim_start().chars();
    letters.take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn every_repr_c_struct_is_listed() {
    let sources = sources::read();
    let listed: BTreeSet<String> = sources
        .split("layout!(")
        .filter_map(|call| call.split_once(','))
        .map(|(_name, ours)| word(ours))
        .collect();
    let mut lines = sources.lines();
    while let Some(line) = lines.next() {
        if !(line.starts_with("#[") && line.contains("repr(C")) {
            continue;
        }
        let item = lines
            .find(|line| !line.starts_with("#["))
            .expect("the item after the attribute");
        // A union needs no `layout!`: its members are listed structs and an integer.
        if let Some((_, name)) = item.split_once("struct ") {
            assert!(listed.contains(&word(name)), "no layout! for {item}");
        }
    }
}

#[test]
fn epoll_event_is_packed_on_x86_64_only() {
    let event = LAYOUTS
        .iter()
        .find(|layout| layout.name == "struct epoll_event")
        .expect("it is listed");
    let expected = if cfg!(target_arch = "x86_64") {
        (12, 1, 4)
    } else {
        (16, 8, 8)
    };
    assert_eq!((event.size, event.align, event.fields[1].offset), expected);
}

#[test]
fn types_without_a_layout_have_the_expected_size() {
    assert_eq!(SIGNALFD_SIGINFO_SIZE, size_of::<libc::signalfd_siginfo>());
    assert_eq!(std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo), 0);
    // The size of the kernel's `sigset_t`: `rt_sigaction` fails with `EINVAL` for any other `sigsetsize`.
    assert_eq!(SigSet::SIZE, 8);
    // `Linux` has size 0, so a descriptor has the size of its number.
    assert_eq!(size_of::<Fd<Linux>>(), size_of::<libc::c_int>());
    assert_eq!(size_of::<Socket<Linux>>(), size_of::<libc::c_int>());
}
