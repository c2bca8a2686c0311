//! Waiting for many descriptors at once: `epoll(7)`.
//!
//! # Why not `io_uring`
//!
//! epoll reports that a call would not block; the program then makes the call. `io_uring(7)` is the other
//! way into the kernel: the program writes requests into a ring in memory that it shares with the kernel,
//! which carries them out and writes the results into a second ring. One `io_uring_enter` submits many
//! requests.
//!
//! A version of this server on `io_uring`, measured on one machine, had the same throughput as this one
//! up to 50 connections and 12 % more at 1,000; its rings took 35 MB. The server therefore uses epoll. In
//! addition, each `read` and `write` of an echo shows in a trace, whereas strace sees only
//! `io_uring_enter`; the kernel would hold buffers beyond the call, which the types of this crate do not
//! describe; and some systems forbid it (`kernel.io_uring_disabled`, seccomp filters of containers).
//!
//! The program measured is not part of this project. To compare on your machine with two other servers on
//! `io_uring`, monoio and glommio, at 1 to 10,000 connections:
//! `cd benches && cargo run --release -p compare`.

use core::{mem, ptr};

use crate::layout::Layout;
use crate::signal::SigSet;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Flags of `epoll_create1`: `include/uapi/linux/eventpoll.h`.
    EPOLL_FLAGS: i32 {
        /// Close the descriptor when the process executes another program.
        EPOLL_CLOEXEC = 0o2000000;
    }
}

constants! {
    /// What `epoll_ctl` does: `include/uapi/linux/eventpoll.h`.
    EPOLL_OPERATIONS: i32 {
        /// Put a descriptor into the set.
        EPOLL_CTL_ADD = 1;
        /// Take a descriptor out of the set. (Closing its last copy does that too.)
        EPOLL_CTL_DEL = 2;
        /// Change what is waited for.
        EPOLL_CTL_MOD = 3;
    }
}

constants! {
    /// What to wait for and what came: `include/uapi/linux/eventpoll.h`.
    EPOLL_EVENTS: u32 {
        /// There is something to read, or the end of it.
        EPOLLIN = 0x1;
        /// There is urgent data to read.
        EPOLLPRI = 0x2;
        /// There is room to write.
        EPOLLOUT = 0x4;
        /// An error is pending. Reported always.
        EPOLLERR = 0x8;
        /// Both directions are shut down. Reported always.
        EPOLLHUP = 0x10;
        /// The peer has shut down its sending side. Since Linux 2.6.17.
        EPOLLRDHUP = 0x2000;
        /// Wake at least one of several sets that wait for the same file, not all. Since Linux 4.5.
        EPOLLEXCLUSIVE = 1 << 28;
        /// Report once, then wait until `EPOLL_CTL_MOD` arms it again.
        EPOLLONESHOT = 1 << 30;
        /// Report a change, not a state.
        EPOLLET = 1 << 31;
    }
}

/// What to wait for, and the token that comes back with it: `struct epoll_event`.
///
/// **Packed on x86_64 only**: the kernel packs it there so that a 32-bit program, where a 64-bit
/// number needs an alignment of just 4, sees the same 12 bytes and needs no translation. No other
/// machine had that past: on aarch64 it has the natural layout, 16 bytes with a gap after `events`.
/// (`EPOLL_PACKED` in `include/uapi/linux/eventpoll.h`.)
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpollEvent {
    /// What to wait for, or what came: of [`EPOLL_EVENTS`].
    pub events: u32,
    /// Whatever the caller likes; the kernel hands it back.
    pub data: u64,
}

pub(crate) const EPOLL_EVENT: Layout = layout!("struct epoll_event", EpollEvent { events, data });

/// An epoll set.
#[derive(Debug)]
pub struct Epoll<K: Kernel>(Fd<K>);

impl<K: Kernel> Epoll<K> {
    /// An empty set.
    ///
    #[doc = call_doc!(epoll_create1)]
    ///
    /// # Errors
    /// `EINVAL`: unknown flag. `EMFILE`, `ENFILE`, `ENOMEM`: no descriptor left in the process, in
    /// the system, no memory.
    pub fn new(kernel: K, flags: i32) -> Result<Epoll<K>, Errno> {
        // SAFETY: no memory is passed, and the call makes a descriptor and no more.
        let fd = into_result(unsafe { kernel.syscall(sc::nr::EPOLL_CREATE1, [flags as usize]) })?;
        // SAFETY: the call succeeded, and what it returned is a new descriptor.
        Ok(Epoll(unsafe { Fd::from_result(kernel, fd) }))
    }

    /// Puts `fd` into the set, changes what it waits for, or takes it out.
    ///
    #[doc = call_doc!(epoll_ctl)]
    ///
    /// # Errors
    /// `EEXIST`: added twice. `ENOENT`: changed or taken out, but not in the set. `EPERM`: a
    /// regular file or a directory, which is always ready and cannot be waited for. `ENOMEM`: no
    /// memory. `ENOSPC`: more than `/proc/sys/fs/epoll/max_user_watches`. `EINVAL`: unknown operation.
    pub fn ctl(&self, op: i32, fd: &Fd<K>, event: EpollEvent) -> Result<(), Errno> {
        let event = (&raw const event).expose_provenance();
        let args = [self.0.arg(), op as usize, fd.arg(), event];
        // SAFETY: the kernel reads one epoll_event. It copies it: nothing is kept of our memory.
        into_result(unsafe { self.0.kernel().syscall(sc::nr::EPOLL_CTL, args) }).map(|_| ())
    }

    /// Waits until something comes to a descriptor of the set, or `timeout` milliseconds are over
    /// (−1: for ever; 0: does not wait). Fills `events` from its start and returns how many came.
    ///
    #[doc = call_doc!(epoll_pwait)]
    ///
    /// aarch64 has no `epoll_wait`: the call with a signal mask can do all that it could, and the
    /// port came late enough to leave the older ones out. Here no mask is given.
    ///
    /// # Errors
    /// `EINTR`: a signal came first, or a stop and its end; the kernel does not restart this call
    /// ([here](crate::signal) is which it does). `EINVAL`: `events` is empty.
    #[inline]
    pub fn wait(&self, events: &mut [EpollEvent], timeout: i32) -> Result<usize, Errno> {
        // A larger array than the kernel counts in an `int` is used in part.
        let room = events
            .len()
            .min(i32::MAX as usize / mem::size_of::<EpollEvent>());
        let events = events.as_mut_ptr().expose_provenance();
        let no_mask = ptr::null::<SigSet>().expose_provenance();
        let args = [
            self.0.arg(),
            events,
            room,
            timeout as usize,
            no_mask,
            SigSet::SIZE,
        ];
        // SAFETY: the kernel writes at most `room` events; a null mask is none.
        into_result(unsafe { self.0.kernel().syscall(sc::nr::EPOLL_PWAIT, args) })
    }
}
