//! The kinds of argument in the table of calls, which decide how the trace shows each argument.

use crate::ConstantTable;

/// The kind of an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    /// A descriptor, or another number that may be negative.
    Int,
    /// A number of 32 bits.
    Unsigned,
    /// A size in bytes.
    Size,
    /// One constant of a family, and the text that strace shows for an unknown one.
    One(ConstantTable, &'static str),
    /// Flags of a family, and the text that strace shows for unknown ones.
    Any(ConstantTable, &'static str),
    /// A directory's descriptor, or `AT_FDCWD`.
    Directory,
    /// A socket's type and flags.
    SocketType,
    /// A socket's protocol. Argument 0 is the family.
    Protocol,
    /// The name of a socket option. The previous argument is its level.
    OptionName,
    /// Flags of `openat`.
    OpenFlags,
    /// Permissions of a new file. Shown only if the flags, the previous argument, contain `O_CREAT`.
    Mode,
    /// A signal's number.
    Signal,
    /// The address of data that the call reads. Decoded before the call.
    In(Pointee),
    /// The address of data that the call writes. Decoded after the call.
    Out(Pointee),
    /// An argument of a call that is not in the table.
    Unknown,
}

/// The data at an address. For data of variable length (except a path, which ends with a NUL), the next
/// argument is the length before the call (of the data that the call reads, or of the buffer that the call
/// writes), and the call's result is the length of the written data. For an address or an option's value
/// that the call writes, the next argument points to both lengths instead: [`Length`](Pointee::Length).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pointee {
    /// A file's path. It ends with a NUL.
    Path,
    /// Bytes, shown as text.
    Bytes,
    /// Bytes that are not text, shown in hexadecimal, such as those of `getrandom(2)`.
    #[allow(dead_code, reason = "no call in the table has this form in strace yet")]
    HexBytes,
    /// Buffers: `struct iovec`.
    Buffers,
    /// A socket address: `struct sockaddr`.
    Address,
    /// The length of an address or a value. Before the call, it is the size of the buffer.
    Length,
    /// A position in a file, which the call advances, as `sendfile(2)` does.
    #[allow(dead_code, reason = "no call in the table has this form in strace yet")]
    Offset,
    /// A socket option's value. The two previous arguments are its level and name.
    OptionValue,
    /// A message: `struct msghdr`.
    Message,
    /// Messages to send, in which the call writes the number of bytes sent: `struct mmsghdr`.
    MessagesSent,
    /// Messages to receive: `struct mmsghdr`.
    MessagesReceived,
    /// Events to wait for: `struct epoll_event`. Ignored if the operation, two arguments before, is
    /// `EPOLL_CTL_DEL`.
    Event,
    /// Events that occurred: `struct epoll_event`.
    Events,
    /// Descriptors to wait for: `struct pollfd`.
    Polled,
    /// A time or a duration: `struct timespec`.
    Time,
    /// A timeout, then the time that is left of it: `struct timespec`.
    TimeLeft,
    /// A set of signals. The argument with this index is its size.
    Signals(usize),
    /// A signal's disposition: `struct sigaction`.
    Action,
    /// A limit: `struct rlimit64`.
    Limit,
    /// Two descriptors.
    Pair,
}
