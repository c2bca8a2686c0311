//! The kinds of argument that a call can have: what the table of calls says of each, and how the trace
//! shows it.

use crate::ConstantTable;

/// The kind of an argument.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// A descriptor, or another number that may be negative.
    Int,
    /// A number of 32 bits.
    Unsigned,
    /// A number of bytes.
    Size,
    /// One of a family of constants, and how strace calls those that it does not know.
    One(ConstantTable, &'static str),
    /// Any of a family of flags, and how strace calls those that it does not know.
    Any(ConstantTable, &'static str),
    /// A directory's descriptor, or `AT_FDCWD`.
    Directory,
    /// A socket's type and flags.
    SocketType,
    /// A socket's protocol. Argument 0 is the family.
    Protocol,
    /// The name of a socket option. The argument before is its level.
    OptionName,
    /// Flags of `openat`.
    OpenFlags,
    /// Permissions of a new file. Not shown unless the flags, the argument before, ask for one.
    Mode,
    /// A signal's number.
    Signal,
    /// The address of something that the call reads: shown before the call.
    In(Pointee),
    /// The address of something that the call writes: shown after the call.
    Out(Pointee),
    /// An argument of a call that is not in the table.
    Unknown,
}

/// What an argument is the address of. Where that has a length, the length is the next argument;
/// as much of it is written as the call returns.
#[derive(Clone, Copy, Debug)]
pub enum Pointee {
    /// A file's path. It ends with a NUL.
    Path,
    /// Bytes, shown as text.
    Bytes,
    /// Bytes that are not text, shown in hexadecimal, as those of `getrandom(2)`.
    #[allow(
        dead_code,
        reason = "no call of the table has this form of strace's yet"
    )]
    HexBytes,
    /// Buffers: `struct iovec`.
    Buffers,
    /// An internet address or another: `struct sockaddr`.
    Address,
    /// Of an address or a value: the room for it, then its length.
    Length,
    /// A position in a file, which the call advances, as `sendfile(2)` does.
    #[allow(
        dead_code,
        reason = "no call of the table has this form of strace's yet"
    )]
    Offset,
    /// A socket option's value. The two arguments before are its level and name.
    OptionValue,
    /// A message: `struct msghdr`.
    Message,
    /// Messages of which the call writes how much was sent: `struct mmsghdr`.
    MessagesSent,
    /// Messages that are received: `struct mmsghdr`.
    MessagesReceived,
    /// What to wait for, unless the operation, the argument two before, is to do so no more:
    /// `struct epoll_event`.
    Event,
    /// What came: `struct epoll_event`.
    Events,
    /// Descriptors to wait for: `struct pollfd`.
    Polled,
    /// A span of time: `struct timespec`.
    Time,
    /// A span of time, then what is left of it: `struct timespec`.
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
