//! Formats values as strace does.

use core::fmt::{self, Display, Formatter, Write};
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::ConstantTable;
use crate::addr::{ADDRESS_FAMILIES, SockaddrIn, SockaddrIn6};
use crate::epoll::{EPOLL_EVENTS, EpollEvent};
use crate::io::{O_RDWR, O_WRONLY, OPEN_FLAGS};
use crate::process::Rlimit;
use crate::signal::{SIGNALS, SigAction, SigSet};
use crate::socket::{Linger, SOCKET_FLAGS, SOCKET_TYPES};
use crate::time::Timespec;

/// The number of elements of an array, and of bytes of a string, that are shown: the default of strace's
/// option `-s`.
pub(super) const SHOWN: usize = 32;

/// A memory address.
pub(super) struct Pointer(pub usize);

impl Display for Pointer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("NULL"),
            address => write!(f, "{address:#x}"),
        }
    }
}

/// A value, the table that names it, and the text for a value that is not in the table, such as
/// `AF_???`.
pub(super) struct Name(pub u32, pub ConstantTable, pub &'static str);

/// Returns the name of `value` in the table `names`.
pub(super) fn name(value: u32, names: ConstantTable) -> Option<&'static str> {
    let named = names.iter().find(|&&(_, named)| named as u32 == value);
    named.map(|&(name, _)| name)
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Name(value, names, unknown) = *self;
        match name(value, names) {
            Some(name) => f.write_str(name),
            None => write!(f, "{value:#x} /* {unknown} */"),
        }
    }
}

/// A set of flags, the table that names them, and the text for a set without any flag of the table, such
/// as `MSG_???`.
pub(super) struct Flags(pub u32, pub ConstantTable, pub &'static str);

impl Display for Flags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Flags(mut left, names, unknown) = *self;
        if left == 0 {
            return f.write_str("0");
        }
        let mut separator = "";
        for &(name, flag) in names {
            let flag = flag as u32;
            if flag != 0 && left & flag == flag {
                write!(f, "{separator}{name}")?;
                separator = "|";
                left &= !flag;
            }
        }
        match (left, separator) {
            (0, _) => Ok(()),
            (_, "") => write!(f, "{left:#x} /* {unknown} */"),
            _ => write!(f, "{separator}{left:#x}"),
        }
    }
}

/// The type argument of `socket`: a type, with flags in the bits above it.
pub(super) struct SocketType(pub u32);

/// The bits that hold the type: `SOCK_TYPE_MASK` in `include/linux/net.h`.
const SOCK_TYPE_MASK: u32 = 0xf;

impl Display for SocketType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unknown = "SOCK_???";
        let flags = self.0 & !SOCK_TYPE_MASK;
        match (name(self.0 & SOCK_TYPE_MASK, SOCKET_TYPES), flags) {
            (Some(name), 0) => f.write_str(name),
            (Some(name), _) => write!(f, "{name}|{}", Flags(flags, SOCKET_FLAGS, unknown)),
            (None, _) => Flags(self.0, SOCKET_FLAGS, unknown).fmt(f),
        }
    }
}

/// The flags of `openat`. The lowest two bits are not flags: they hold one of three access modes.
pub(super) struct OpenFlags(pub u32);

impl Display for OpenFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let way = self.0 & (O_WRONLY | O_RDWR) as u32;
        f.write_str(name(way, OPEN_FLAGS).unwrap_or("O_ACCMODE"))?;
        match self.0 & !way {
            0 => Ok(()),
            flags => write!(f, "|{}", Flags(flags, OPEN_FLAGS, "O_???")),
        }
    }
}

/// A string in C syntax, truncated after [`SHOWN`] bytes.
pub(super) struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        quote(shown, f)?;
        f.write_str(if shown.len() < self.0.len() {
            "..."
        } else {
            ""
        })
    }
}

/// Bytes in hexadecimal as a string in C syntax, truncated after [`SHOWN`] bytes.
pub(super) struct QuotedHex<'a>(pub &'a [u8]);

impl Display for QuotedHex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        f.write_char('"')?;
        for byte in shown {
            write!(f, "\\x{byte:02x}")?;
        }
        f.write_str(if shown.len() < self.0.len() {
            "\"..."
        } else {
            "\""
        })
    }
}

/// A path in C syntax. The kernel accepts at most `PATH_MAX` bytes, the NUL included
/// (`include/uapi/linux/limits.h`), and strace shows at most as many.
pub(super) struct QuotedPath<'a>(pub &'a [u8]);

const PATH_MAX: usize = 4096;

impl Display for QuotedPath<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(PATH_MAX - 1)];
        quote(shown, f)?;
        f.write_str(if shown.len() < self.0.len() {
            "..."
        } else {
            ""
        })
    }
}

fn quote(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b'\t' => f.write_str("\\t")?,
            b'\n' => f.write_str("\\n")?,
            b'\x0b' => f.write_str("\\v")?,
            b'\x0c' => f.write_str("\\f")?,
            b'\r' => f.write_str("\\r")?,
            b' '..=b'~' => f.write_char(byte.into())?,
            // Write all three digits if the next byte is an octal digit, which would otherwise belong to
            // the escape.
            _ if matches!(bytes.get(i + 1), Some(b'0'..=b'7')) => write!(f, "\\{byte:03o}")?,
            _ => write!(f, "\\{byte:o}")?,
        }
    }
    f.write_char('"')
}

/// Writes `[a, b, c]`, truncated after [`SHOWN`] elements.
pub(super) fn list<T>(
    elements: impl Iterator<Item = T>,
    out: &mut dyn Write,
    mut show: impl FnMut(T, &mut dyn Write) -> fmt::Result,
) -> fmt::Result {
    out.write_char('[')?;
    for (i, element) in elements.enumerate() {
        out.write_str(if i > 0 { ", " } else { "" })?;
        if i == SHOWN {
            out.write_str("...")?;
            break;
        }
        show(element, out)?;
    }
    out.write_char(']')
}

impl Display for SockaddrIn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{sa_family={}, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
            Family(self.sin_family),
            u16::from_be(self.sin_port),
            Ipv4Addr::from(self.sin_addr)
        )
    }
}

impl Display for SockaddrIn6 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{sa_family={}, sin6_port=htons({}), sin6_flowinfo=htonl({}), \
             inet_pton(AF_INET6, \"{}\", &sin6_addr), sin6_scope_id={}}}",
            Family(self.sin6_family),
            u16::from_be(self.sin6_port),
            u32::from_be(self.sin6_flowinfo),
            Ipv6(self.sin6_addr.into()),
            self.sin6_scope_id
        )
    }
}

/// An address family, as a structure holds it.
pub(super) struct Family(pub u16);

impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Name(self.0.into(), ADDRESS_FAMILIES, "AF_???").fmt(f)
    }
}

/// An IPv6 address in the notation of `inet_ntop(3)`, which writes the last 32 bits of an
/// "IPv4-compatible" address in IPv4 notation.
struct Ipv6(Ipv6Addr);

impl Display for Ipv6 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                let bits = u32::from(high) << 16 | u32::from(low);
                write!(f, "::{}", Ipv4Addr::from_bits(bits))
            }
            _ => self.0.fmt(f),
        }
    }
}

impl Display for EpollEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let EpollEvent { events, data } = *self;
        let events = Flags(events, EPOLL_EVENTS, "EPOLL???");
        let low = data as u32;
        write!(f, "{{events={events}, data={{u32={low}, u64={data}}}}}")
    }
}

impl Display for Timespec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // strace shows the nanoseconds without a sign.
        let (seconds, nanoseconds) = (self.tv_sec, self.tv_nsec as u64);
        write!(f, "{{tv_sec={seconds}, tv_nsec={nanoseconds}}}")
    }
}

impl Display for Linger {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Linger { l_onoff, l_linger } = self;
        write!(f, "{{l_onoff={l_onoff}, l_linger={l_linger}}}")
    }
}

impl Display for Rlimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (cur, max) = (Limit(self.rlim_cur), Limit(self.rlim_max));
        write!(f, "{{rlim_cur={cur}, rlim_max={max}}}")
    }
}

/// One value of an [`Rlimit`].
struct Limit(u64);

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("RLIM64_INFINITY"),
            limit if limit > 1024 && limit % 1024 == 0 => write!(f, "{}*1024", limit / 1024),
            limit => limit.fmt(f),
        }
    }
}

/// The number of the first real-time signal: `SIGRTMIN` in `include/uapi/asm-generic/signal.h`.
/// Real-time signals have no individual names.
const SIGRTMIN: i32 = 32;

/// The number of the last signal: `_NSIG` in the same header.
const LAST_SIGNAL: i32 = 64;

/// A signal, with `prefix` before its name.
pub(super) struct Signal(pub i32, pub &'static str);

impl Display for Signal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Signal(number, prefix) = *self;
        match (name(number as u32, SIGNALS), number) {
            (Some(name), _) => write!(f, "{prefix}{}", name.trim_start_matches("SIG")),
            (None, SIGRTMIN) => write!(f, "{prefix}RTMIN"),
            (None, SIGRTMIN..=LAST_SIGNAL) => write!(f, "{prefix}RT_{}", number - SIGRTMIN),
            _ => number.fmt(f),
        }
    }
}

/// Writes the signals of the set: `[INT TERM]`. If the set has at least two thirds of all signals, it
/// writes those that the set lacks: `~[KILL STOP]`.
impl Display for SigSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let signals = 1..=LAST_SIGNAL;
        let count = signals
            .clone()
            .filter(|&signal| self.contains(signal))
            .count();
        let most = count >= LAST_SIGNAL as usize * 2 / 3;
        let mut separator = if most { "~[" } else { "[" };
        for signal in signals.filter(|&signal| self.contains(signal) != most) {
            write!(f, "{separator}{}", Signal(signal, ""))?;
            separator = " ";
        }
        f.write_str(if separator == " " { "" } else { separator })?;
        f.write_char(']')
    }
}

/// The flags of `struct sigaction` that this crate sets.
const SIGACTION_FLAGS: ConstantTable = &[("SA_RESTORER", SigAction::SA_RESTORER as i64)];

impl Display for SigAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{sa_handler=")?;
        match self.sa_handler {
            SigAction::SIG_DFL => f.write_str("SIG_DFL")?,
            SigAction::SIG_IGN => f.write_str("SIG_IGN")?,
            handler => Pointer(handler).fmt(f)?,
        }
        let flags = Flags(self.sa_flags as u32, SIGACTION_FLAGS, "SA_???");
        write!(f, ", sa_mask={}, sa_flags={flags}", self.sa_mask)?;
        if self.sa_flags & SigAction::SA_RESTORER != 0 {
            write!(f, ", sa_restorer={}", Pointer(self.sa_restorer))?;
        }
        f.write_char('}')
    }
}
