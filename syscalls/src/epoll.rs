//! Waiting for events on many descriptors: `epoll(7)`.
//!
//! ```
//! use syscalls::epoll::{EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, Epoll, EpollEvent};
//! use syscalls::event::{EFD_CLOEXEC, eventfd2};
//! use syscalls::{Errno, Linux};
//!
//! let counters = [eventfd2(Linux, 0, EFD_CLOEXEC)?, eventfd2(Linux, 0, EFD_CLOEXEC)?];
//! let epoll = Epoll::new(Linux, EPOLL_CLOEXEC)?;
//! for (index, counter) in counters.iter().enumerate() {
//!     let data = index as u64; // epoll returns it with each event of this descriptor
//!     epoll.ctl(EPOLL_CTL_ADD, counter, EpollEvent { events: EPOLLIN, data })?;
//! }
//!
//! let mut events = [EpollEvent::default(); 8];
//! assert_eq!(epoll.wait(&mut events, 0), Ok(0)); // both counters are 0
//! counters[1].write(&1_u64.to_ne_bytes())?;
//! assert_eq!(epoll.wait(&mut events, -1), Ok(1));
//! assert_eq!(events[0], EpollEvent { events: EPOLLIN, data: 1 });
//! # Ok::<(), Errno>(())
//! ```
//!
//! # Why not `io_uring`
//!
//! epoll reports that a call would not block, and the program then makes the call. With `io_uring(7)`, the
//! program writes requests into a ring in memory that it shares with the kernel. The kernel carries them out
//! and writes the results into a second ring. One `io_uring_enter` submits many requests.
//!
//! The server uses epoll because a trace then shows each `read` and `write` of an echo, whereas strace sees
//! only `io_uring_enter`. With `io_uring`, the kernel would also use buffers after the call has returned,
//! which the types of this crate do not describe. Some systems forbid `io_uring`
//! (`kernel.io_uring_disabled`, seccomp filters of containers). To compare the server on your machine with
//! two on `io_uring`, monoio and glommio, at 1 to 10,000 connections:
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
    /// The operations of `epoll_ctl`: `include/uapi/linux/eventpoll.h`.
    EPOLL_OPERATIONS: i32 {
        /// Add a descriptor to the set.
        EPOLL_CTL_ADD = 1;
        /// Remove a descriptor from the set. (Closing the last descriptor of its open file does that, too.)
        EPOLL_CTL_DEL = 2;
        /// Change the events to wait for.
        EPOLL_CTL_MOD = 3;
    }
}

constants! {
    /// Events to wait for and to report: `include/uapi/linux/eventpoll.h`.
    EPOLL_EVENTS: u32 {
        /// Data or the end of the stream can be read.
        EPOLLIN = 0x1;
        /// Urgent data can be read.
        EPOLLPRI = 0x2;
        /// Data can be written.
        EPOLLOUT = 0x4;
        /// An error is pending. Always reported.
        EPOLLERR = 0x8;
        /// A hang-up: both directions of a connection are shut down, it was reset, or the last writer of a
        /// pipe has closed it. The end of the peer's stream alone is not a hang-up. Always reported.
        EPOLLHUP = 0x10;
        /// The peer has shut down its sending side. Since Linux 2.6.17.
        EPOLLRDHUP = 0x2000;
        /// If several sets wait for the same file, wake at least one of them instead of all. Since Linux 4.5.
        EPOLLEXCLUSIVE = 1 << 28;
        /// Report one event, then none until `EPOLL_CTL_MOD` arms the descriptor again.
        EPOLLONESHOT = 1 << 30;
        /// Edge-triggered: report changes of the state instead of the state.
        EPOLLET = 1 << 31;
    }
}

/// Events, and the caller's value that epoll returns with them: `struct epoll_event`.
///
/// **Packed on x86_64 only**: there the struct has the same 12 bytes as in a 32-bit program, where a 64-bit
/// number is aligned to 4 bytes. The kernel therefore need not convert the struct of a 32-bit program. On
/// other architectures the struct has the natural layout: on aarch64, 16 bytes with 4 bytes of padding after
/// `events`. (`EPOLL_PACKED` in `include/uapi/linux/eventpoll.h`.)
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpollEvent {
    /// The events to wait for, or the events that occurred: some of [`EPOLL_EVENTS`].
    pub events: u32,
    /// A value of the caller's choice. The kernel returns it with each event.
    pub data: u64,
}

pub(crate) const EPOLL_EVENT: Layout = layout!("struct epoll_event", EpollEvent { events, data });

/// An epoll set: descriptors, and the events to wait for on each.
#[derive(Debug)]
pub struct Epoll<K: Kernel>(Fd<K>);

impl<K: Kernel> Epoll<K> {
    /// Creates an empty set.
    ///
    #[doc = call_doc!(epoll_create1)]
    ///
    /// # Errors
    /// - `EINVAL`: a flag is unknown.
    /// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
    /// - `ENOMEM`: the kernel is out of memory.
    pub fn new(kernel: K, flags: i32) -> Result<Epoll<K>, Errno> {
        // SAFETY: no memory is passed, and the call only creates a descriptor.
        let fd = into_result(unsafe { kernel.syscall(sc::nr::EPOLL_CREATE1, [flags as usize]) })?;
        // SAFETY: the call succeeded, so the result is a new descriptor.
        Ok(Epoll(unsafe { Fd::from_result(kernel, fd) }))
    }

    /// Adds `fd` to the set, changes its events, or removes it.
    ///
    #[doc = call_doc!(epoll_ctl)]
    ///
    /// # Errors
    /// - `EEXIST`: `op` is [`EPOLL_CTL_ADD`], and the set has the descriptor already.
    /// - `ENOENT`: `op` is [`EPOLL_CTL_MOD`] or [`EPOLL_CTL_DEL`], and the set does not have the descriptor.
    /// - `EPERM`: `fd` is a regular file or a directory. epoll does not support these, because they are always
    ///   ready.
    /// - `ENOMEM`: the kernel is out of memory.
    /// - `ENOSPC`: the user has `/proc/sys/fs/epoll/max_user_watches` descriptors in sets already.
    /// - `EINVAL`: `op` is unknown; `op` is [`EPOLL_CTL_MOD`], and [`EPOLLEXCLUSIVE`] is set now or was set
    ///   earlier; or [`EPOLLEXCLUSIVE`] is set with an event that it does not allow (epoll_ctl(2)).
    pub fn ctl(&self, op: i32, fd: &Fd<K>, event: EpollEvent) -> Result<(), Errno> {
        let event = (&raw const event).expose_provenance();
        let args = [self.0.arg(), op as usize, fd.arg(), event];
        // SAFETY: the kernel copies one epoll_event and keeps no address.
        into_result(unsafe { self.0.kernel().syscall(sc::nr::EPOLL_CTL, args) }).map(|_| ())
    }

    /// Waits for events for at most `timeout` milliseconds (−1: indefinitely; 0: without waiting). Stores
    /// the events at the start of `events` and returns their number.
    ///
    #[doc = call_doc!(epoll_pwait)]
    ///
    /// aarch64 has no `epoll_wait`: `epoll_pwait` without a signal mask does the same. This function passes
    /// no mask.
    ///
    /// # Errors
    /// - `EINTR`: a signal handler interrupted the call, or the process was stopped and continued. The kernel
    ///   never restarts this call (see [which calls restart](crate::signal)).
    /// - `EINVAL`: `events` is empty.
    #[inline]
    pub fn wait(&self, events: &mut [EpollEvent], timeout: i32) -> Result<usize, Errno> {
        // With more than `EP_MAX_EVENTS` (`INT_MAX / sizeof(struct epoll_event)`), the call fails with EINVAL.
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
        // SAFETY: the kernel writes at most `room` events, and reads no mask at a null address.
        into_result(unsafe { self.0.kernel().syscall(sc::nr::EPOLL_PWAIT, args) })
    }
}
