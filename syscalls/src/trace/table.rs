//! What each argument of each call is.

use sc::nr;

use crate::ConstantTable;
use crate::addr::ADDRESS_FAMILIES;
use crate::epoll::{EPOLL_FLAGS, EPOLL_OPERATIONS};
use crate::event::EVENTFD_FLAGS;
use crate::process::RESOURCES;
use crate::signal::{SIGNALFD_FLAGS, SIGPROCMASK_HOW};
use crate::socket::{MESSAGE_FLAGS, OPTION_LEVELS, SHUTDOWN_HOW, SOCKET_FLAGS};
use crate::time::CLOCKS;

/// An argument.
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
    /// Bytes.
    Bytes,
    /// Buffers: `struct iovec`.
    Buffers,
    /// An internet address or another: `struct sockaddr`.
    Address,
    /// Of an address or a value: the room for it, then its length.
    Length,
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

const FAMILY: Arg = Arg::One(ADDRESS_FAMILIES, "AF_???");
const LEVEL: Arg = Arg::One(OPTION_LEVELS, "SOL_??"); // two question marks in strace, too
const MSG: Arg = Arg::Any(MESSAGE_FLAGS, "MSG_???");

/// The arguments of call `nr`; none if this crate does not issue it.
pub fn arguments(nr: usize) -> Option<&'static [Arg]> {
    use Arg::*;
    use Pointee::*;
    Some(match nr {
        nr::SOCKET => &[FAMILY, SocketType, Protocol],
        nr::SOCKETPAIR => &[FAMILY, SocketType, Unsigned, Out(Pair)],
        nr::BIND | nr::CONNECT => &[Int, In(Address), Int],
        nr::LISTEN => &[Int, Int],
        nr::ACCEPT | nr::GETSOCKNAME | nr::GETPEERNAME => &[Int, Out(Address), Out(Length)],
        nr::ACCEPT4 => &[
            Int,
            Out(Address),
            Out(Length),
            Any(SOCKET_FLAGS, "SOCK_???"),
        ],
        nr::SENDTO => &[Int, In(Bytes), Size, MSG, In(Address), Int],
        nr::RECVFROM => &[Int, Out(Bytes), Size, MSG, Out(Address), Out(Length)],
        nr::SENDMSG => &[Int, In(Message), MSG],
        nr::RECVMSG => &[Int, Out(Message), MSG],
        nr::SENDMMSG => &[Int, Out(MessagesSent), Unsigned, MSG],
        nr::RECVMMSG => &[Int, Out(MessagesReceived), Unsigned, MSG, Out(TimeLeft)],
        nr::SHUTDOWN => &[Int, One(SHUTDOWN_HOW, "SHUT_???")],
        nr::SETSOCKOPT => &[Int, LEVEL, OptionName, In(OptionValue), Int],
        nr::GETSOCKOPT => &[Int, LEVEL, OptionName, Out(OptionValue), Out(Length)],
        nr::READ => &[Int, Out(Bytes), Size],
        nr::WRITE => &[Int, In(Bytes), Size],
        nr::READV => &[Int, Out(Buffers), Size],
        nr::WRITEV => &[Int, In(Buffers), Size],
        nr::OPENAT => &[Directory, In(Path), OpenFlags, Mode],
        nr::CLOSE => &[Int],
        nr::PPOLL => &[In(Polled), Unsigned, In(Time), In(Signals(4)), Size],
        nr::EPOLL_CREATE1 => &[Any(EPOLL_FLAGS, "EPOLL_???")],
        nr::EPOLL_CTL => &[Int, One(EPOLL_OPERATIONS, "EPOLL_CTL_???"), Int, In(Event)],
        nr::EPOLL_PWAIT => &[Int, Out(Events), Int, Int, In(Signals(5)), Size],
        nr::EVENTFD2 => &[Unsigned, Any(EVENTFD_FLAGS, "EFD_???")],
        nr::SIGNALFD4 => &[Int, In(Signals(2)), Size, Any(SIGNALFD_FLAGS, "SFD_???")],
        nr::RT_SIGACTION => &[Signal, In(Action), Out(Action), Size],
        nr::RT_SIGPROCMASK => &[
            One(SIGPROCMASK_HOW, "SIG_???"),
            In(Signals(3)),
            Out(Signals(3)),
            Size,
        ],
        nr::CLOCK_GETTIME => &[One(CLOCKS, "CLOCK_???"), Out(Time)],
        nr::PRLIMIT64 => &[Int, One(RESOURCES, "RLIMIT_???"), In(Limit), Out(Limit)],
        nr::EXIT_GROUP => &[Int],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CALLS;

    #[test]
    fn every_argument_of_every_call_is_known() {
        for call in CALLS {
            let arguments = arguments(call.nr).map(<[Arg]>::len);
            assert_eq!(arguments, Some(call.arguments.len()), "{}", call.name);
        }
    }
}
