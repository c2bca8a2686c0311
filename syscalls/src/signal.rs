//! Signals: ignored, blocked, or read from a descriptor. Handlers are not offered: a program with
//! an event loop has no use for code that runs between any two of its instructions.
//!
//! # What restarts after a signal
//!
//! A signal with a handler ends a call that waits. Then the kernel may issue the call again (it sets
//! the program counter back to the instruction that entered it), or the call fails with `EINTR`. A
//! library can be called by a program with handlers, so both can happen to this crate's calls:
//!
//! | call | handler with `SA_RESTART` | handler without |
//! |---|---|---|
//! | `read`, `readv`, `write`, `writev` (pipe, socket, terminal) | restarted | `EINTR` |
//! | `openat` (of a FIFO) | restarted | `EINTR` |
//! | `accept`, `accept4`, `connect` | restarted | `EINTR` |
//! | `sendto`, `sendmsg`, `sendmmsg`, `recvfrom`, `recvmsg`, `recvmmsg` | restarted | `EINTR` |
//! | `epoll_pwait`, `ppoll` | `EINTR` | `EINTR` |
//!
//! - A call that has moved some bytes already returns their number instead of either.
//! - With a timeout on the socket (`SO_RCVTIMEO`, `SO_SNDTIMEO`: not offered here), its calls are
//!   never restarted. `recvmmsg` with a timeout argument is, and waits for all of it again, though
//!   signal(7) says otherwise.
//! - `connect` that failed with `EINTR` goes on in the background, and must not be issued again.
//! - Without a handler, an ignored or blocked signal interrupts nothing. But stopping the process
//!   (Ctrl-Z) and letting it go on does: `epoll_pwait` fails with `EINTR` then, and `ppoll` goes on.
//!
//! # How a restart works
//!
//! A call that a signal interrupts returns one of four numbers that a program never sees
//! (`include/linux/errno.h`). On the way out of the kernel, the code that delivers signals decides:
//!
//! | from the call | no handler | handler with `SA_RESTART` | handler without |
//! |---|---|---|---|
//! | `ERESTARTSYS` | again | again | `EINTR` |
//! | `ERESTARTNOINTR` | again | again | again |
//! | `ERESTARTNOHAND` (`ppoll`) | again | `EINTR` | `EINTR` |
//! | `ERESTART_RESTARTBLOCK` (`nanosleep`) | again, by `restart_syscall(2)` for the time that is left | `EINTR` | `EINTR` |
//!
//! "Again" means: it moves the saved program counter back by the length of the instruction, 2 bytes on
//! x86_64 and 4 on aarch64, and puts back the register that the result has overwritten (`orig_ax`, the
//! number, and `orig_x0`, the first argument). The handler runs first. Then the program executes the
//! same `syscall` or `svc` once more and notices nothing. A handler can look: the program counter in
//! its `ucontext_t` is at the instruction, or after it if the call is to fail.
//! `tests/questions.rs` does that, and `strace` shows `ERESTARTSYS`. Source: `do_signal` in
//! `arch/arm64/kernel/signal.c`, `arch_do_signal_or_restart` in `arch/x86/kernel/signal.c`.
//!
//! So each call that can wait stands in a [`retry_on_eintr`](crate::retry_on_eintr) or an event loop that tries again.
//! Source: signal(7), "Interruption of system calls and library functions by signal handlers";
//! `tests/restarts.rs` tries each.

use core::{mem, ptr};

use crate::layout::Layout;
use crate::{Errno, Fd, Kernel, into_result};

constants! {
    /// Signals: `include/uapi/asm-generic/signal.h`; x86_64 and aarch64 agree on them.
    SIGNALS: i32 {
        /// The terminal is gone.
        SIGHUP = 1;
        /// Interrupt from the keyboard (Ctrl-C).
        SIGINT = 2;
        /// Quit from the keyboard (Ctrl-\).
        SIGQUIT = 3;
        /// An instruction that the processor does not know.
        SIGILL = 4;
        /// A breakpoint.
        SIGTRAP = 5;
        /// The program has given up: `abort(3)`.
        SIGABRT = 6;
        /// An access to a mapping that has nothing behind it, such as a file beyond its end.
        SIGBUS = 7;
        /// An arithmetic error: on x86_64 an integer division by zero or one that overflows. (aarch64
        /// divides by zero without a trap: the result is 0.)
        SIGFPE = 8;
        /// The end, without being asked.
        SIGKILL = 9;
        /// For the program's own use.
        SIGUSR1 = 10;
        /// Memory that is not mapped.
        SIGSEGV = 11;
        /// For the program's own use.
        SIGUSR2 = 12;
        /// A write to a pipe or connection that nobody reads any more.
        SIGPIPE = 13;
        /// The timer of `alarm(2)`.
        SIGALRM = 14;
        /// A request to end.
        SIGTERM = 15;
        /// Not used by the kernel.
        SIGSTKFLT = 16;
        /// A child process has ended or stopped.
        SIGCHLD = 17;
        /// Go on after a stop.
        SIGCONT = 18;
        /// A stop, without being asked.
        SIGSTOP = 19;
        /// A stop from the keyboard (Ctrl-Z).
        SIGTSTP = 20;
        /// A read from the terminal in the background.
        SIGTTIN = 21;
        /// A write to the terminal in the background.
        SIGTTOU = 22;
        /// Urgent data on a socket.
        SIGURG = 23;
        /// The limit of processor time.
        SIGXCPU = 24;
        /// The limit of a file's size.
        SIGXFSZ = 25;
        /// A timer of the process's own time.
        SIGVTALRM = 26;
        /// A timer of the process's time, the kernel's for it included.
        SIGPROF = 27;
        /// The terminal's window has another size.
        SIGWINCH = 28;
        /// A descriptor is ready, if `fcntl(F_SETOWN)` has asked for this signal.
        SIGIO = 29;
        /// The power fails.
        SIGPWR = 30;
        /// A call that is forbidden to the process.
        SIGSYS = 31;
    }
}

constants! {
    /// What `rt_sigprocmask` does with the set: `include/uapi/asm-generic/signal-defs.h`.
    SIGPROCMASK_HOW: i32 {
        /// Block these signals too.
        SIG_BLOCK = 0;
        /// Block these signals no more.
        SIG_UNBLOCK = 1;
        /// Block these signals and no other.
        SIG_SETMASK = 2;
    }
}

constants! {
    /// Flags of `signalfd4`: `include/uapi/linux/signalfd.h`.
    SIGNALFD_FLAGS: i32 {
        /// Close the descriptor when the process executes another program.
        SFD_CLOEXEC = 0o2000000;
        /// Never wait in a read.
        SFD_NONBLOCK = 0o4000;
    }
}

/// A set of signals: the kernel's `sigset_t`, 64 bits. (The C library's type has 1024 bits; it passes
/// the first 64 to the kernel.)
///
/// Each call with a set has an argument `sigsetsize`, the size of the set in bytes. It came with the
/// real-time signals in Linux 2.2: they did not fit into the 32 bits of the older `sigaction` and
/// `sigprocmask`, so new calls took their place, whose set can grow again. The kernel accepts no size
/// but its own, 8, and fails with `EINVAL` for another (sigaction(2), "C library/kernel
/// differences"; `kernel/signal.c`).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(u64);

pub(crate) const SIGSET: Layout = layout!("sigset_t", SigSet {});

impl SigSet {
    /// The set of `signals`.
    pub const fn new(signals: &[i32]) -> SigSet {
        let (mut set, mut i) = (0, 0);
        while i < signals.len() {
            set |= 1 << (signals[i] - 1);
            i += 1;
        }
        SigSet(set)
    }

    /// Whether `signal` is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }

    /// The argument `sigsetsize`: the kernel's size of the set, in bytes.
    pub const SIZE: usize = mem::size_of::<SigSet>();
}

/// The kernel's `struct sigaction` (`include/uapi/asm-generic/signal.h`; on x86_64 from
/// `arch/x86/include/uapi/asm/signal.h`, with the same layout). The C library's differs.
///
/// `sa_restorer` is where a handler returns to: code that calls `rt_sigreturn`, which takes the saved
/// registers from the stack. On x86_64 the program has to bring it and say so with `SA_RESTORER`;
/// without it, the kernel cannot deliver the signal and kills the process with `SIGSEGV`. aarch64 has
/// the code in the vDSO. The C library fills it in unseen. (`tests/questions.rs`.) This crate installs
/// no handlers, so it is 0 here.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SigAction {
    pub sa_handler: usize,
    pub sa_flags: usize,
    sa_restorer: usize,
    pub sa_mask: SigSet,
}

/// What `sa_handler` may be besides an address: `include/uapi/asm-generic/signal-defs.h`.
impl SigAction {
    /// The kernel does what is usual for the signal.
    pub const SIG_DFL: usize = 0;
    /// The signal is thrown away.
    pub const SIG_IGN: usize = 1;
}

pub(crate) const SIGACTION: Layout = layout!(
    "struct sigaction",
    SigAction {
        sa_handler,
        sa_flags,
        sa_restorer,
        sa_mask
    }
);

/// Ignores `signal` from now on, whatever the parent process had set.
///
#[doc = call_doc!(rt_sigaction)]
///
/// # Errors
/// `EINVAL`: no such signal, or one that cannot be ignored (`SIGKILL`, `SIGSTOP`).
pub fn rt_sigaction_ignore<K: Kernel>(kernel: &K, signal: i32) -> Result<(), Errno> {
    let action = SigAction {
        sa_handler: SigAction::SIG_IGN,
        sa_flags: 0,
        sa_restorer: 0,
        sa_mask: SigSet::default(),
    };
    let old = ptr::null_mut::<SigAction>().expose_provenance();
    let args = [
        signal as usize,
        (&raw const action).expose_provenance(),
        old,
        SigSet::SIZE,
    ];
    // SAFETY: the kernel reads one sigaction. No handler is installed, so no code runs that could
    // break anything.
    into_result(unsafe { kernel.syscall(sc::nr::RT_SIGACTION, args) }).map(|_| ())
}

/// Changes which signals are blocked in this thread, and returns those that were before.
///
#[doc = call_doc!(rt_sigprocmask)]
///
/// # Errors
/// `EINVAL`: `how` is none of [`SIGPROCMASK_HOW`].
pub fn rt_sigprocmask<K: Kernel>(kernel: &K, how: i32, set: SigSet) -> Result<SigSet, Errno> {
    let mut old = SigSet::default();
    let (set, old_at) = (
        (&raw const set).expose_provenance(),
        (&raw mut old).expose_provenance(),
    );
    let args = [how as usize, set, old_at, SigSet::SIZE];
    // SAFETY: the kernel reads one set and writes one. A blocked signal waits, and breaks nothing.
    into_result(unsafe { kernel.syscall(sc::nr::RT_SIGPROCMASK, args) })?;
    Ok(old)
}

/// A descriptor from which blocked signals are read, one [`SIGNALFD_SIGINFO_SIZE`]-byte record each.
///
#[doc = call_doc!(signalfd4)]
///
/// # Errors
/// `EINVAL`: unknown flag. `EMFILE`, `ENFILE`, `ENOMEM`: no descriptor left in the process, in the
/// system, no memory.
pub fn signalfd4<K: Kernel>(kernel: K, mask: SigSet, flags: i32) -> Result<Fd<K>, Errno> {
    const NEW: usize = -1isize as usize;
    let args = [
        NEW,
        (&raw const mask).expose_provenance(),
        SigSet::SIZE,
        flags as usize,
    ];
    // SAFETY: the kernel reads one set, and the call makes a descriptor and no more.
    let fd = into_result(unsafe { kernel.syscall(sc::nr::SIGNALFD4, args) })?;
    // SAFETY: the call succeeded with fd −1, so what it returned is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}

/// The size of `struct signalfd_siginfo`, `include/uapi/linux/signalfd.h`. Its first four bytes
/// are the signal's number.
pub const SIGNALFD_SIGINFO_SIZE: usize = 128;
