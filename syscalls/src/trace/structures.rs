//! Structures of more than one piece, and those that point elsewhere.

use core::fmt::{self, Display, Write};

use super::memory::{bytes, object, objects};
use super::values::{Family, Flags, Pointer, Quoted, list};
use crate::addr::{AF_INET, AF_INET6, SockaddrIn, SockaddrIn6};
use crate::io::IoSlice;
use crate::message::{MsgHdr, RecvMessage, SendMessage};
use crate::poll::{POLL_EVENTS, PollFd};
use crate::socket::{Linger, MESSAGE_FLAGS, SOCKET_OPTIONS, SOL_IP, SOL_SOCKET, SOL_TCP};
use crate::{Errno, Linux};

/// Shows the object at `at`.
///
/// # Safety
/// As for [`object`].
pub unsafe fn show<T: Copy + Display>(at: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    match unsafe { object::<T>(at) } {
        Some(object) => write!(out, "{object}"),
        None => write!(out, "{}", Pointer(at)),
    }
}

/// Shows the address of `len` bytes at `at`.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn address(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    const FAMILY: usize = size_of::<u16>();
    const V4: usize = size_of::<SockaddrIn>();
    const V6: usize = size_of::<SockaddrIn6>();
    if at == 0 || len < FAMILY {
        return write!(out, "{}", Pointer(at));
    }
    // SAFETY: there are two bytes at least, and any two are a family.
    let family: u16 = unsafe { object(at) }.unwrap_or_default();
    match (i32::from(family), len) {
        // SAFETY: there are bytes enough for it, and any are a sockaddr_in.
        (AF_INET, V4..) => unsafe { show::<SockaddrIn>(at, out) },
        // SAFETY: there are bytes enough for it, and any are a sockaddr_in6.
        (AF_INET6, V6..) => unsafe { show::<SockaddrIn6>(at, out) },
        (_, FAMILY) => write!(out, "{{sa_family={}}}", Family(family)),
        _ => {
            // SAFETY: the caller vouches for all of them.
            let data = Quoted(unsafe { bytes(at + FAMILY, len - FAMILY) });
            write!(out, "{{sa_family={}, sa_data={data}}}", Family(family))
        }
    }
}

/// Shows the `len` buffers at `at`, filled one after the other with `data` bytes in all.
///
/// # Safety
/// As for [`objects`]; and the bytes that a buffer holds are initialized, and stay as they are.
pub unsafe fn buffers(at: usize, len: usize, mut data: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    let buffers = unsafe { objects::<IoSlice<'_>>(at, len) };
    list(
        buffers,
        out,
        |IoSlice {
             iov_base, iov_len, ..
         },
         out| {
            let filled = iov_len.min(data);
            data -= filled;
            // SAFETY: the caller vouches for the bytes that the buffer holds.
            let bytes = Quoted(unsafe { bytes(iov_base, filled) });
            write!(out, "{{iov_base={bytes}, iov_len={iov_len}}}")
        },
    )
}

/// Shows the `len` buffers at `at`, with nothing in them.
///
/// # Safety
/// As for [`objects`].
pub unsafe fn unread_buffers(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    let buffers = unsafe { objects::<IoSlice<'_>>(at, len) };
    list(
        buffers,
        out,
        |IoSlice {
             iov_base, iov_len, ..
         },
         out| {
            let at = Pointer(iov_base);
            write!(out, "{{iov_base={at}, iov_len={iov_len}}}")
        },
    )
}

/// Shows a message that holds `data` bytes.
///
/// # Safety
/// Its address and its buffers are as [`address`] and [`buffers`] ask for.
pub unsafe fn message(header: MsgHdr, data: usize, out: &mut dyn Write) -> fmt::Result {
    let MsgHdr {
        msg_name,
        msg_namelen,
        msg_iov,
        msg_iovlen,
        msg_controllen,
        msg_flags,
        .. // Ancillary data is not offered by this crate.
    } = header;
    out.write_str("{msg_name=")?;
    // SAFETY: the caller's promise, handed on.
    unsafe { address(msg_name, msg_namelen as usize, out) }?;
    write!(out, ", msg_namelen={msg_namelen}, msg_iov=")?;
    // SAFETY: the caller's promise, handed on.
    unsafe { buffers(msg_iov, msg_iovlen, data, out) }?;
    let flags = Flags(msg_flags, MESSAGE_FLAGS, "MSG_???");
    write!(
        out,
        ", msg_iovlen={msg_iovlen}, msg_controllen={msg_controllen}, msg_flags={flags}}}"
    )
}

/// Shows the `len` messages at `at`, of which the first `sent` have been sent.
///
/// # Safety
/// As for [`objects`] and, for each of them, [`message`].
pub unsafe fn messages_sent(
    at: usize,
    len: usize,
    sent: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    let messages = unsafe { objects::<SendMessage<'_>>(at, len) };
    list(
        messages.enumerate(),
        out,
        |(
            i,
            SendMessage {
                msg_hdr, msg_len, ..
            },
        ),
         out| {
            out.write_str("{msg_hdr=")?;
            // SAFETY: the caller's promise, handed on.
            unsafe { message(msg_hdr, usize::MAX, out) }?;
            if i < sent {
                write!(out, ", msg_len={msg_len}")?;
            }
            out.write_char('}')
        },
    )
}

/// Shows the `len` messages at `at`, which have been received.
///
/// # Safety
/// As for [`objects`] and, for each of them, [`message`].
pub unsafe fn messages_received(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // A message is laid out alike for both directions, and this one can be copied.
    const {
        assert!(size_of::<SendMessage<'_>>() == size_of::<RecvMessage<'_>>());
        assert!(
            core::mem::offset_of!(SendMessage<'_>, msg_len)
                == core::mem::offset_of!(RecvMessage<'_>, msg_len)
        );
    }
    // SAFETY: the caller's promise, handed on.
    let messages = unsafe { objects::<SendMessage<'_>>(at, len) };
    list(
        messages,
        out,
        |SendMessage {
             msg_hdr, msg_len, ..
         },
         out| {
            out.write_str("{msg_hdr=")?;
            // SAFETY: the caller's promise, handed on.
            unsafe { message(msg_hdr, msg_len as usize, out) }?;
            write!(out, ", msg_len={msg_len}}}")
        },
    )
}

/// Shows what is waited for on the `len` descriptors at `at`.
///
/// # Safety
/// As for [`objects`].
pub unsafe fn polled(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    let fds = unsafe { objects::<PollFd<'_, Linux>>(at, len) };
    list(fds, out, |PollFd { fd, events, .. }, out| {
        write!(out, "{{fd={fd}, events={}}}", poll_events(events))
    })
}

/// Shows what came to the `len` descriptors at `at`, without those to which nothing came.
///
/// # Safety
/// As for [`objects`].
pub unsafe fn ready(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller's promise, handed on.
    let fds = unsafe { objects::<PollFd<'_, Linux>>(at, len) };
    let ready = fds.filter(|fd| fd.revents != 0);
    list(ready, out, |PollFd { fd, revents, .. }, out| {
        write!(out, "{{fd={fd}, revents={}}}", poll_events(revents))
    })
}

fn poll_events(events: i16) -> Flags {
    Flags(u32::from(events as u16), POLL_EVENTS, "POLL???")
}

/// The name of the socket option with this level and number.
fn option((level, number): (i32, i32)) -> Option<&'static str> {
    let mut options = SOCKET_OPTIONS.iter();
    let known = options.find(|&&(_, of, option)| (of, option) == (level, number));
    known.map(|&(name, ..)| name)
}

/// Shows the name of option `number` of `level`.
pub fn option_name(level: i32, number: i32, out: &mut dyn Write) -> fmt::Result {
    if let Some(name) = option((level, number)) {
        return out.write_str(name);
    }
    let unknown = match level {
        SOL_SOCKET => "SO_???",
        SOL_IP => "IP_???",
        SOL_TCP => "TCP_???",
        _ => return write!(out, "{}", number as u32),
    };
    write!(out, "{number:#x} /* {unknown} */")
}

/// Shows the value, of `len` bytes at `at`, of the socket option with this level and number. Has
/// the call `written` it, or does it read it?
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn option_value(
    id: (i32, i32),
    written: bool,
    at: usize,
    len: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    const LINGER: usize = size_of::<Linger>();
    const INT: usize = size_of::<i32>();
    match (option(id), len) {
        // SAFETY: there are bytes enough for it, and any are a linger.
        (Some("SO_LINGER"), LINGER..) => unsafe { show::<Linger>(at, out) },
        (name, INT..) => {
            // SAFETY: there are bytes enough for it, and any are an int.
            let value: i32 = unsafe { object(at) }.unwrap_or_default();
            match (name, value) {
                (Some("SO_ERROR"), 1..=4095) if written => {
                    write!(out, "[{}]", Errno::new(value as u16).name())
                }
                _ => write!(out, "[{value}]"),
            }
        }
        _ => write!(out, "{}", Pointer(at)),
    }
}
