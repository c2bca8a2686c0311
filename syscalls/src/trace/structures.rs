//! Formats structures that have a variable part or point to other memory, as strace does.

use core::fmt::{self, Display, Write};

use super::memory::{bytes, object, objects};
use super::values::{Family, Flags, Pointer, Quoted, list};
use crate::addr::{AF_INET, AF_INET6, SockaddrIn, SockaddrIn6};
use crate::io::IoSlice;
use crate::message::{MsgHdr, RecvMessage, SendMessage};
use crate::poll::{POLL_EVENTS, PollFd};
use crate::socket::{Linger, MESSAGE_FLAGS, SOCKET_OPTIONS, SOL_IP, SOL_SOCKET, SOL_TCP};
use crate::{Errno, Linux};

/// Writes the object at `at`.
///
/// # Safety
/// The requirements of [`object`] apply.
pub(super) unsafe fn show<T: Copy + Display>(at: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
    match unsafe { object::<T>(at) } {
        Some(object) => write!(out, "{object}"),
        None => write!(out, "{}", Pointer(at)),
    }
}

/// Writes the socket address of `len` bytes at `at`.
///
/// # Safety
/// The requirements of [`bytes`] apply.
pub(super) unsafe fn address(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    const FAMILY: usize = size_of::<u16>();
    const V4: usize = size_of::<SockaddrIn>();
    const V6: usize = size_of::<SockaddrIn6>();
    if at == 0 || len < FAMILY {
        return write!(out, "{}", Pointer(at));
    }
    // SAFETY: there are at least two bytes, and any two bytes are a valid family.
    let family: u16 = unsafe { object(at) }.unwrap_or_default();
    match (i32::from(family), len) {
        // SAFETY: there are enough bytes, and any bytes are a valid sockaddr_in.
        (AF_INET, V4..) => unsafe { show::<SockaddrIn>(at, out) },
        // SAFETY: there are enough bytes, and any bytes are a valid sockaddr_in6.
        (AF_INET6, V6..) => unsafe { show::<SockaddrIn6>(at, out) },
        (_, FAMILY) => write!(out, "{{sa_family={}}}", Family(family)),
        _ => {
            // SAFETY: the caller guarantees all `len` bytes.
            let data = Quoted(unsafe { bytes(at + FAMILY, len - FAMILY) });
            write!(out, "{{sa_family={}, sa_data={data}}}", Family(family))
        }
    }
}

/// Writes the `len` buffers at `at`, which hold `data` bytes in total, each filled before the next.
///
/// # Safety
/// The requirements of [`objects`] apply. In addition, the bytes that a buffer holds must be initialized
/// and must not change.
pub(super) unsafe fn buffers(
    at: usize,
    len: usize,
    mut data: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
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
            // SAFETY: the caller guarantees the bytes that the buffer holds.
            let bytes = Quoted(unsafe { bytes(iov_base, filled) });
            write!(out, "{{iov_base={bytes}, iov_len={iov_len}}}")
        },
    )
}

/// Writes the `len` buffers at `at` without their contents.
///
/// # Safety
/// The requirements of [`objects`] apply.
pub(super) unsafe fn unread_buffers(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
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

/// Writes a message that holds `data` bytes.
///
/// # Safety
/// The requirements of [`address`] apply to the message's address, and those of [`buffers`] to its
/// buffers.
pub(super) unsafe fn message(header: MsgHdr, data: usize, out: &mut dyn Write) -> fmt::Result {
    let MsgHdr {
        msg_name,
        msg_namelen,
        msg_iov,
        msg_iovlen,
        msg_controllen,
        msg_flags,
        .. // This crate does not offer ancillary data.
    } = header;
    out.write_str("{msg_name=")?;
    // SAFETY: the caller upholds the contract.
    unsafe { address(msg_name, msg_namelen as usize, out) }?;
    write!(out, ", msg_namelen={msg_namelen}, msg_iov=")?;
    // SAFETY: the caller upholds the contract.
    unsafe { buffers(msg_iov, msg_iovlen, data, out) }?;
    let flags = Flags(msg_flags, MESSAGE_FLAGS, "MSG_???");
    write!(
        out,
        ", msg_iovlen={msg_iovlen}, msg_controllen={msg_controllen}, msg_flags={flags}}}"
    )
}

/// Writes the `len` messages at `at`, of which the first `sent` have been sent.
///
/// # Safety
/// The requirements of [`objects`] apply, and for each message those of [`message`].
pub(super) unsafe fn messages_sent(
    at: usize,
    len: usize,
    sent: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
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
            // SAFETY: the caller upholds the contract.
            unsafe { message(msg_hdr, usize::MAX, out) }?;
            if i < sent {
                write!(out, ", msg_len={msg_len}")?;
            }
            out.write_char('}')
        },
    )
}

/// Writes the `len` received messages at `at`.
///
/// # Safety
/// The requirements of [`objects`] apply, and for each message those of [`message`].
pub(super) unsafe fn messages_received(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // Messages of both directions have the same layout, and a `SendMessage` can be copied.
    const {
        assert!(size_of::<SendMessage<'_>>() == size_of::<RecvMessage<'_>>());
        assert!(
            core::mem::offset_of!(SendMessage<'_>, msg_len)
                == core::mem::offset_of!(RecvMessage<'_>, msg_len)
        );
    }
    // SAFETY: the caller upholds the contract.
    let messages = unsafe { objects::<SendMessage<'_>>(at, len) };
    list(
        messages,
        out,
        |SendMessage {
             msg_hdr, msg_len, ..
         },
         out| {
            out.write_str("{msg_hdr=")?;
            // SAFETY: the caller upholds the contract.
            unsafe { message(msg_hdr, msg_len as usize, out) }?;
            write!(out, ", msg_len={msg_len}}}")
        },
    )
}

/// Writes the requested events of the `len` descriptors at `at`.
///
/// # Safety
/// The requirements of [`objects`] apply.
pub(super) unsafe fn polled(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
    let fds = unsafe { objects::<PollFd<'_, Linux>>(at, len) };
    list(fds, out, |PollFd { fd, events, .. }, out| {
        write!(out, "{{fd={fd}, events={}}}", poll_events(events))
    })
}

/// Writes the reported events of the `len` descriptors at `at`, without the descriptors that have none.
///
/// # Safety
/// The requirements of [`objects`] apply.
pub(super) unsafe fn ready(at: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    // SAFETY: the caller upholds the contract.
    let fds = unsafe { objects::<PollFd<'_, Linux>>(at, len) };
    let ready = fds.filter(|fd| fd.revents != 0);
    list(ready, out, |PollFd { fd, revents, .. }, out| {
        write!(out, "{{fd={fd}, revents={}}}", poll_events(revents))
    })
}

fn poll_events(events: i16) -> Flags {
    Flags(u32::from(events as u16), POLL_EVENTS, "POLL???")
}

/// Returns the name of the socket option with this level and number.
fn option((level, number): (i32, i32)) -> Option<&'static str> {
    let mut options = SOCKET_OPTIONS.iter();
    let known = options.find(|&&(_, of, option)| (of, option) == (level, number));
    known.map(|&(name, ..)| name)
}

/// Writes the name of option `number` of `level`.
pub(super) fn option_name(level: i32, number: i32, out: &mut dyn Write) -> fmt::Result {
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

/// Writes the value, of `len` bytes at `at`, of the socket option with this level and number. `written`
/// is true if the call has written the value, and false if it reads the value.
///
/// # Safety
/// The requirements of [`bytes`] apply.
pub(super) unsafe fn option_value(
    id: (i32, i32),
    written: bool,
    at: usize,
    len: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    const LINGER: usize = size_of::<Linger>();
    const INT: usize = size_of::<i32>();
    match (option(id), len) {
        // SAFETY: there are enough bytes, and any bytes are a valid linger.
        (Some("SO_LINGER"), LINGER..) => unsafe { show::<Linger>(at, out) },
        (name, INT..) => {
            // SAFETY: there are enough bytes, and any bytes are a valid int.
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
