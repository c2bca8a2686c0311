//! Formats a call as strace does: `name(argument, …) = result`.

use core::fmt::{self, Write};

use super::memory::{bytes, object, objects, string};
use super::structures::{
    address, buffers, message, messages_received, messages_sent, option_name, option_value, polled,
    ready, show, unread_buffers,
};
use super::values::{
    Flags, Name, OpenFlags, Pointer, Quoted, QuotedHex, QuotedPath, Signal, SocketType, list, name,
};
use crate::addr::{AF_INET, AF_INET6};
use crate::argument::{Arg, Pointee};
use crate::epoll::{EPOLL_CTL_DEL, EpollEvent};
use crate::io::{AT_DIRECTORIES, O_CREAT};
use crate::message::MsgHdr;
use crate::process::Rlimit;
use crate::signal::{SigAction, SigSet};
use crate::socket::PROTOCOLS;
use crate::time::Timespec;
use crate::{Call, Errno, into_result};

/// Formats one call.
///
/// Like strace, it formats the memory that the call reads before the call, while that memory is
/// unchanged, and the memory that the call writes after the call.
pub(super) struct Decoder<'c> {
    nr: usize,
    args: &'c [usize],
    kinds: &'static [Arg],
    /// The length at [`Pointee::Length`] before the call.
    room: Option<u32>,
    /// The time at [`Pointee::TimeLeft`] before the call.
    time: Option<Timespec>,
    /// The offset at [`Pointee::Offset`] before the call.
    offset: Option<u64>,
}

impl<'c> Decoder<'c> {
    /// Prepares to format call `nr` with `args`, which is about to be made.
    ///
    /// # Safety
    /// The requirements of [`Kernel::syscall`](crate::Kernel::syscall) apply for as long as the decoder
    /// is in use. Therefore an argument that the table of calls declares as a pointer points to the declared
    /// object, or is null. All `unsafe` code below relies on this.
    pub(super) unsafe fn new(nr: usize, args: &'c [usize]) -> Decoder<'c> {
        let kinds = Call::by_number(nr).map_or(&[][..], |call| call.kinds);
        let (mut room, mut time, mut offset) = (None, None, None);
        for (&kind, &arg) in kinds.iter().zip(args) {
            match kind {
                // SAFETY: the call reads a length there, unless the pointer is null.
                Arg::Out(Pointee::Length) => room = unsafe { object(arg) },
                // SAFETY: the call reads a timespec there, unless the pointer is null.
                Arg::Out(Pointee::TimeLeft) => time = unsafe { object(arg) },
                // SAFETY: the call reads an offset there, unless the pointer is null.
                Arg::Out(Pointee::Offset) => offset = unsafe { object(arg) },
                _ => {}
            }
        }
        Decoder {
            nr,
            args,
            kinds,
            room,
            time,
            offset,
        }
    }

    /// Writes the call up to its first output argument.
    pub(super) fn before(&self, out: &mut dyn Write) -> fmt::Result {
        match Call::by_number(self.nr) {
            Some(call) => write!(out, "{}(", call.name)?,
            None => write!(out, "syscall_{:#x}(", self.nr)?,
        }
        (0..self.first_out()).try_for_each(|i| self.argument(i, None, out))
    }

    /// Writes the rest of a call that does not return.
    pub(super) fn never_returns(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str(") = ?")
    }

    /// Writes the rest of the call, which has returned `result`.
    ///
    /// # Safety
    /// The call must have been made and have returned `result`.
    pub(super) unsafe fn after(&self, result: usize, out: &mut dyn Write) -> fmt::Result {
        let outcome = into_result(result);
        let mut rest = self.first_out()..self.args.len();
        rest.try_for_each(|i| self.argument(i, Some(outcome), out))?;
        match outcome {
            Ok(result) => {
                write!(out, ") = {result}")?;
                self.comment(result, out)
            }
            Err(errno) => write!(out, ") = -1 {} ({})", errno.name(), errno.message()),
        }
    }

    /// Returns the index of the first output argument, which is formatted after the call.
    fn first_out(&self) -> usize {
        let out = |kind: &Arg| matches!(kind, Arg::Out(_));
        self.kinds.iter().position(out).unwrap_or(self.args.len())
    }

    /// Writes argument `i` and the comma before it. `outcome` is the call's result, once it has been
    /// made.
    fn argument(
        &self,
        i: usize,
        outcome: Option<Result<usize, Errno>>,
        out: &mut dyn Write,
    ) -> fmt::Result {
        let kind = self.kinds.get(i).copied().unwrap_or(Arg::Unknown);
        if matches!(kind, Arg::Mode) && self.args[i - 1] as i32 & O_CREAT == 0 {
            return Ok(());
        }
        out.write_str(if i > 0 { ", " } else { "" })?;
        match (kind, outcome) {
            (Arg::In(pointee), _) => self.memory(i, pointee, None, out),
            (Arg::Out(pointee), Some(Ok(result))) => self.memory(i, pointee, Some(result), out),
            (Arg::Out(pointee), _) => self.unwritten(i, pointee, out),
            _ => self.number(i, kind, out),
        }
    }

    /// Writes an argument that is not a pointer to known memory.
    fn number(&self, i: usize, kind: Arg, out: &mut dyn Write) -> fmt::Result {
        let arg = self.args[i];
        // The kernel uses only the lowest 32 bits of a register for an int.
        let (int, unsigned) = (arg as i32, arg as u32);
        match kind {
            Arg::Int => write!(out, "{int}"),
            Arg::Unsigned => write!(out, "{unsigned}"),
            Arg::Size => write!(out, "{arg}"),
            Arg::One(names, unknown) => write!(out, "{}", Name(unsigned, names, unknown)),
            Arg::Any(names, unknown) => write!(out, "{}", Flags(unsigned, names, unknown)),
            Arg::Directory => match name(unsigned, AT_DIRECTORIES) {
                Some(name) => out.write_str(name),
                None => write!(out, "{int}"),
            },
            Arg::SocketType => write!(out, "{}", SocketType(unsigned)),
            Arg::Protocol => match self.args[0] as i32 {
                AF_INET | AF_INET6 => {
                    write!(out, "{}", Name(unsigned, PROTOCOLS, "IPPROTO_???"))
                }
                _ => write!(out, "{unsigned}"),
            },
            Arg::OptionName => option_name(self.args[i - 1] as i32, int, out),
            Arg::OpenFlags => write!(out, "{}", OpenFlags(unsigned)),
            Arg::Mode => write!(out, "0{unsigned:02o}"),
            Arg::Signal => write!(out, "{}", Signal(int, "SIG")),
            Arg::In(_) | Arg::Out(_) | Arg::Unknown => write!(out, "{}", Pointer(arg)),
        }
    }

    /// Writes the memory that argument `i` points to: the data that the call will read, or, if there is a
    /// `result`, the data that the call has written.
    fn memory(
        &self,
        i: usize,
        pointee: Pointee,
        result: Option<usize>,
        out: &mut dyn Write,
    ) -> fmt::Result {
        let arg = self.args[i];
        if arg == 0 {
            return write!(out, "{}", Pointer(arg));
        }
        let next = self.args.get(i + 1).copied().unwrap_or(0);
        // The number of elements that the call has written is its result, but at most the capacity in
        // the next argument: some calls can return a greater number.
        let count = result.map_or(next, |result| result.min(next));
        let bytes_in_all = result.unwrap_or(usize::MAX);
        let room = self.room.unwrap_or_default();
        // SAFETY: by the contract of `new`, `arg` points to the object that `pointee` declares. Before the
        // call, the next argument is the number of initialized elements, and the memory that they in turn
        // point to is initialized, too. After the call, the elements that it has written are initialized:
        // their number is the result, or the length at the address in the next argument.
        unsafe {
            let length = || object::<u32>(next).unwrap_or_default();
            match pointee {
                Pointee::Path => write!(out, "{}", QuotedPath(string(arg))),
                Pointee::Bytes => write!(out, "{}", Quoted(bytes(arg, count))),
                Pointee::HexBytes => write!(out, "{}", QuotedHex(bytes(arg, count))),
                Pointee::Offset => match (self.offset.unwrap_or_default(), result) {
                    (before, None | Some(0)) => write!(out, "[{before}]"),
                    (before, Some(_)) => {
                        let after = object::<u64>(arg).unwrap_or_default();
                        write!(out, "[{before}] => [{after}]")
                    }
                },
                Pointee::Buffers => buffers(arg, next, bytes_in_all, out),
                Pointee::Address if result.is_none() => address(arg, next, out),
                Pointee::Address => address(arg, length().min(room) as usize, out),
                Pointee::Length => match object::<u32>(arg).unwrap_or_default() {
                    length if length == room => write!(out, "[{room}]"),
                    length => write!(out, "[{room} => {length}]"),
                },
                Pointee::OptionValue => {
                    let option = (self.args[i - 2] as i32, self.args[i - 1] as i32);
                    let (written, len) = match result {
                        None => (false, next),
                        Some(_) => (true, length() as usize),
                    };
                    option_value(option, written, arg, len, out)
                }
                Pointee::Message => message(object(arg).unwrap_or_default(), bytes_in_all, out),
                Pointee::MessagesSent => messages_sent(arg, next, count, out),
                Pointee::MessagesReceived => messages_received(arg, count, out),
                Pointee::Event if self.args[i - 2] == EPOLL_CTL_DEL as usize => {
                    write!(out, "{}", Pointer(arg))
                }
                Pointee::Event => show::<EpollEvent>(arg, out),
                Pointee::Events => list(objects::<EpollEvent>(arg, count), out, |event, out| {
                    write!(out, "{event}")
                }),
                Pointee::Polled => polled(arg, next, out),
                Pointee::Time => show::<Timespec>(arg, out),
                Pointee::TimeLeft => self.unwritten(i, pointee, out),
                Pointee::Signals(size) if self.args[size] != SigSet::SIZE => {
                    write!(out, "{}", Pointer(arg))
                }
                Pointee::Signals(_) => show::<SigSet>(arg, out),
                Pointee::Action => show::<SigAction>(arg, out),
                Pointee::Limit => show::<Rlimit>(arg, out),
                Pointee::Pair => list(objects::<i32>(arg, 2), out, |fd, out| write!(out, "{fd}")),
            }
        }
    }

    /// Writes the value that an output argument had before the call, or the address if the decoder does not
    /// read the value.
    fn unwritten(&self, i: usize, pointee: Pointee, out: &mut dyn Write) -> fmt::Result {
        let arg = self.args[i];
        let next = self.args.get(i + 1).copied().unwrap_or(0);
        match (pointee, self.room, self.time) {
            (Pointee::Offset, ..) if arg != 0 => {
                write!(out, "[{}]", self.offset.unwrap_or_default())
            }
            (Pointee::Length, Some(room), _) => write!(out, "[{room}]"),
            (Pointee::TimeLeft, _, Some(time)) => write!(out, "{time}"),
            // SAFETY: by the contract of `new`, there are as many buffers as the next argument says.
            (Pointee::Buffers, ..) if arg != 0 => unsafe { unread_buffers(arg, next, out) },
            // SAFETY: as above, for messages.
            (Pointee::MessagesSent, ..) if arg != 0 => unsafe { messages_sent(arg, next, 0, out) },
            (Pointee::Message, ..) if arg != 0 => {
                // SAFETY: by the contract of `new`, `arg` points to a message that the call may read.
                let MsgHdr { msg_namelen, .. } = unsafe { object(arg) }.unwrap_or_default();
                write!(out, "{{msg_namelen={msg_namelen}}}")
            }
            _ => write!(out, "{}", Pointer(arg)),
        }
    }

    /// Writes the comment that strace adds to `result`, if any.
    fn comment(&self, result: usize, out: &mut dyn Write) -> fmt::Result {
        match (self.nr, self.args) {
            (sc::nr::PPOLL | sc::nr::RECVMMSG, _) if result == 0 => out.write_str(" (Timeout)"),
            (sc::nr::PPOLL, &[fds, count, time, ..]) => {
                out.write_str(" (")?;
                // SAFETY: by the contract of `new`, there are `count` elements at `fds`.
                unsafe { ready(fds, count, out) }?;
                // SAFETY: the call has written the remaining time there, unless the pointer is null.
                if let Some(left) = unsafe { object::<Timespec>(time) } {
                    write!(out, ", left {left}")?;
                }
                out.write_char(')')
            }
            (sc::nr::RECVMMSG, &[.., time]) => {
                // SAFETY: the call has written the remaining time there, unless the pointer is null.
                match unsafe { object::<Timespec>(time) } {
                    Some(left) => write!(out, " (left {left})"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
