//! Signals: ignoring them, blocking them, and reading them from a descriptor. The only handler is one that
//! ends the process, because an event loop does not need asynchronous callbacks.
//!
//! A signal is a message from the kernel or from a process, and interrupts a thread. Ctrl-C, for example,
//! sends `SIGINT`. By default most signals end the process. A program can *ignore* a signal, *block* it (it
//! stays pending until it is unblocked), or name a function, its *handler*, for which the kernel interrupts
//! the thread at any instruction.
//!
//! ```
//! use syscalls::signal::{
//!     SFD_CLOEXEC, SIG_BLOCK, SIGNALFD_SIGINFO_SIZE, SIGUSR1, SigSet, rt_sigprocmask, signalfd4,
//! };
//! use syscalls::{Errno, Kernel, Linux, into_result};
//!
//! let set = SigSet::new(&[SIGUSR1]);
//! rt_sigprocmask(&Linux, SIG_BLOCK, set)?; // blocked, so that the signal waits to be read
//! let signals = signalfd4(Linux, set, SFD_CLOEXEC)?;
//! // SAFETY: neither call passes memory, and the signal is blocked.
//! unsafe {
//!     let thread = into_result(Linux.syscall(sc::nr::GETTID, []))?;
//!     into_result(Linux.syscall(sc::nr::TKILL, [thread, SIGUSR1 as usize]))?;
//! }
//! let mut info = [0; SIGNALFD_SIGINFO_SIZE];
//! assert_eq!(signals.read(&mut info), Ok(SIGNALFD_SIGINFO_SIZE));
//! assert_eq!(info[..4], SIGUSR1.to_ne_bytes()); // the signal's number
//! # Ok::<(), Errno>(())
//! ```
//!
//! # What restarts after a signal
//!
//! A signal with a handler interrupts a call that waits. The kernel then either restarts the call or lets
//! it fail with `EINTR`. The flag `SA_RESTART` of the handler asks for a restart. A program with handlers can
//! use this library, so both can happen to this crate's calls:
//!
//! | call | handler with `SA_RESTART` | handler without `SA_RESTART` |
//! |---|---|---|
//! | `read`, `readv`, `write`, `writev` (pipe, socket, terminal) | restarted | `EINTR` |
//! | `openat` (of a FIFO) | restarted | `EINTR` |
//! | `accept`, `accept4`, `connect` | restarted | `EINTR` |
//! | `sendto`, `sendmsg`, `sendmmsg`, `recvfrom`, `recvmsg`, `recvmmsg` | restarted | `EINTR` |
//! | `epoll_pwait`, `ppoll` | `EINTR` | `EINTR` |
//!
//! - A call that has already transferred something returns the number of bytes or messages instead.
//! - The calls of a socket with a timeout (`SO_RCVTIMEO`, `SO_SNDTIMEO`, which this crate does not have)
//!   are never restarted. `recvmmsg` with a timeout argument is restarted with the full timeout, contrary
//!   to signal(7).
//! - After `connect` failed with `EINTR`, the attempt of a TCP socket continues. Wait until the socket is
//!   writable and read [`SO_ERROR`](crate::socket::SO_ERROR). (On Linux, another blocking `connect` waits for
//!   the same attempt, and so does a restarted one.) The attempt of an `AF_UNIX` socket has ended: call
//!   `connect` again.
//! - An ignored or blocked signal does not interrupt a call. A stop of the process (Ctrl-Z) followed by a
//!   continue interrupts it even without a handler: `epoll_pwait` then fails with `EINTR`, and `ppoll`
//!   continues.
//!
//! # How a restart works
//!
//! Inside the kernel, some calls that a signal interrupts return `EINTR` itself, and are never restarted.
//! The others return one of four numbers that only a tracer sees (`include/linux/errno.h`). Before the
//! kernel returns to the program, the code that delivers signals decides what happens. The column "no
//! handler runs" applies, for example, to a process that was stopped and continued.
//!
//! | returned inside the kernel | no handler runs | handler with `SA_RESTART` | handler without `SA_RESTART` |
//! |---|---|---|---|
//! | `EINTR` (`epoll_pwait`; a call of a socket with a timeout) | `EINTR` | `EINTR` | `EINTR` |
//! | `ERESTARTSYS` | again | again | `EINTR` |
//! | `ERESTARTNOINTR` | again | again | again |
//! | `ERESTARTNOHAND` (`ppoll`) | again | `EINTR` | `EINTR` |
//! | `ERESTART_RESTARTBLOCK` (`nanosleep`) | again, by `restart_syscall(2)` for the time that is left | `EINTR` | `EINTR` |
//!
//! "Again" means that this code moves the saved program counter back by the length of the instruction,
//! 2 bytes on x86_64 and 4 on aarch64, and restores the register that the result has overwritten (`orig_ax`,
//! the number, and `orig_x0`, the first argument). The handler, if any, runs first. Then the program
//! executes the same `syscall` or `svc` once more, and sees only the second result. A handler can observe
//! the restart: the program counter in its `ucontext_t` points to the instruction, or behind it if the call
//! will fail. `tests/questions.rs` checks this, and `strace` shows `ERESTARTSYS`. Source:
//! `arch_do_signal_or_restart` in `arch/x86/kernel/signal.c` and `arch/arm64/kernel/signal.c`.
//!
//! A program with handlers must expect `EINTR` from every call in the first table.
//! [`retry_on_eintr`](crate::retry_on_eintr) makes the call again. Do not use it for `connect` (see above),
//! nor for a wait with a timeout: compute the time that is left, and wait for that time.
//! Source: signal(7), "Interruption of system calls and library functions by signal handlers";
//! `tests/restarts.rs` interrupts each call.

use core::{mem, ptr};

use crate::layout::Layout;
use crate::process::exit_group;
use crate::{Errno, Fd, Kernel, Linux, into_result};

constants! {
    /// Signals: `include/uapi/asm-generic/signal.h`; x86_64 and aarch64 agree on them.
    SIGNALS: i32 {
        /// The terminal was closed.
        SIGHUP = 1;
        /// Interrupt from the keyboard (Ctrl-C).
        SIGINT = 2;
        /// Quit from the keyboard (`Ctrl-\`).
        SIGQUIT = 3;
        /// An illegal instruction.
        SIGILL = 4;
        /// A breakpoint.
        SIGTRAP = 5;
        /// `abort(3)`.
        SIGABRT = 6;
        /// An access to a mapped page that has no memory, such as one beyond the end of the file.
        SIGBUS = 7;
        /// An arithmetic error: on x86_64 an integer division by zero or one that overflows. (aarch64
        /// divides by zero without a trap: the result is 0.)
        SIGFPE = 8;
        /// Kill. It cannot be handled, blocked or ignored.
        SIGKILL = 9;
        /// For the program's own use.
        SIGUSR1 = 10;
        /// An access to memory that is not mapped, or without permission.
        SIGSEGV = 11;
        /// For the program's own use.
        SIGUSR2 = 12;
        /// A write to a pipe or connection whose other end is closed.
        SIGPIPE = 13;
        /// The timer of `alarm(2)`.
        SIGALRM = 14;
        /// A request to terminate.
        SIGTERM = 15;
        /// Not used by the kernel.
        SIGSTKFLT = 16;
        /// A child process has ended, stopped or continued.
        SIGCHLD = 17;
        /// Continue after a stop.
        SIGCONT = 18;
        /// Stop. It cannot be handled, blocked or ignored.
        SIGSTOP = 19;
        /// A stop from the keyboard (Ctrl-Z).
        SIGTSTP = 20;
        /// A read from the terminal in the background.
        SIGTTIN = 21;
        /// A write to the terminal in the background.
        SIGTTOU = 22;
        /// Urgent data on a socket.
        SIGURG = 23;
        /// The process exceeded its limit of processor time.
        SIGXCPU = 24;
        /// The process exceeded its limit of the size of a file.
        SIGXFSZ = 25;
        /// The timer of the processor time that the process uses in user mode: `setitimer(2)`.
        SIGVTALRM = 26;
        /// The timer of the processor time that the process uses in user and kernel mode.
        SIGPROF = 27;
        /// The size of the terminal's window changed.
        SIGWINCH = 28;
        /// A descriptor with `O_ASYNC` is ready. `fcntl(F_SETOWN)` names the receiver.
        SIGIO = 29;
        /// Power failure.
        SIGPWR = 30;
        /// A system call that a seccomp filter forbids.
        SIGSYS = 31;
    }
}

constants! {
    /// The operations of `rt_sigprocmask`: `include/uapi/asm-generic/signal-defs.h`.
    SIGPROCMASK_HOW: i32 {
        /// Block these signals in addition.
        SIG_BLOCK = 0;
        /// Unblock these signals.
        SIG_UNBLOCK = 1;
        /// Block exactly these signals.
        SIG_SETMASK = 2;
    }
}

constants! {
    /// Flags of `signalfd4`: `include/uapi/linux/signalfd.h`.
    SIGNALFD_FLAGS: i32 {
        /// Close the descriptor when the process executes another program.
        SFD_CLOEXEC = 0o2000000;
        /// Return `EAGAIN` instead of blocking in a read.
        SFD_NONBLOCK = 0o4000;
    }
}

/// A set of signals: the kernel's `sigset_t`, 64 bits. (The C library's type has 1024 bits, of which the
/// library passes the first 64 to the kernel.)
///
/// Each call with a set has an argument `sigsetsize`, the size of the set in bytes. The argument came with
/// the real-time signals in Linux 2.2. These signals did not fit into the 32-bit sets of the older calls
/// `sigaction` and `sigprocmask`. New calls replaced the older ones, and their size argument allows the set
/// to grow again. The kernel accepts only its own size, 8, and fails with `EINVAL` for any other
/// (sigaction(2), "C library/kernel differences"; `kernel/signal.c`).
///
/// ```
/// use syscalls::signal::{SIGINT, SIGTERM, SIGUSR1, SigSet};
///
/// let set = SigSet::new(&[SIGINT, SIGTERM]);
/// assert!(set.contains(SIGTERM));
/// assert!(!set.contains(SIGUSR1));
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(u64);

pub(crate) const SIGSET: Layout = layout!("sigset_t", SigSet {});

impl SigSet {
    /// Makes the set of `signals`.
    pub const fn new(signals: &[i32]) -> SigSet {
        let (mut set, mut i) = (0, 0);
        while i < signals.len() {
            set |= 1 << (signals[i] - 1);
            i += 1;
        }
        SigSet(set)
    }

    /// Returns whether `signal` is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }

    /// The argument `sigsetsize`: the size of the kernel's set, in bytes.
    pub const SIZE: usize = mem::size_of::<SigSet>();
}

/// The kernel's `struct sigaction` (`include/uapi/asm-generic/signal.h`; on x86_64 from
/// `arch/x86/include/uapi/asm/signal.h`, with the same layout). The C library's struct has another layout.
///
/// `sa_restorer` is the address to which a handler returns: code that calls `rt_sigreturn`, which restores
/// the registers that the kernel saved on the stack. On x86_64 the kernel runs a handler only if
/// `SA_RESTORER` is set. Without the flag it kills the process with `SIGSEGV` (`tests/questions.rs`). The
/// kernel does not check the address, which is used only when the handler returns. On aarch64 the code is
/// in the vDSO. The C library's `sigaction` sets the flag and the address. The only handler of this crate
/// never returns, so the crate sets the flag on x86_64 and leaves the address 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SigAction {
    pub sa_handler: usize,
    pub sa_flags: usize,
    pub sa_restorer: usize,
    pub sa_mask: SigSet,
}

/// The values of `sa_handler` that are not addresses (`include/uapi/asm-generic/signal-defs.h`), and a flag.
impl SigAction {
    /// The signal's default action.
    pub(crate) const SIG_DFL: usize = 0;
    /// The kernel discards the signal.
    pub(crate) const SIG_IGN: usize = 1;
    /// The flag that says that `sa_restorer` has a value: `arch/x86/include/uapi/asm/signal.h`, and the same
    /// number in `arch/arm64/include/uapi/asm/signal.h`.
    pub(crate) const SA_RESTORER: usize = 0x0400_0000;
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

/// Ignores `signal` from now on, whether or not the process inherited this setting from its parent.
///
#[doc = call_doc!(rt_sigaction)]
///
/// # Errors
/// - `EINVAL`: the signal does not exist or cannot be ignored (`SIGKILL`, `SIGSTOP`).
///
/// ```
/// use syscalls::signal::{SIGHUP, SIGKILL, rt_sigaction_ignore};
/// use syscalls::{Errno, Linux};
///
/// rt_sigaction_ignore(&Linux, SIGHUP)?;
/// assert_eq!(rt_sigaction_ignore(&Linux, SIGKILL), Err(Errno::EINVAL));
/// # Ok::<(), Errno>(())
/// ```
pub fn rt_sigaction_ignore<K: Kernel>(kernel: &K, signal: i32) -> Result<(), Errno> {
    let action = SigAction {
        sa_handler: SigAction::SIG_IGN,
        sa_flags: 0,
        sa_restorer: 0,
        sa_mask: SigSet::default(),
    };
    rt_sigaction(kernel, signal, &action)
}

/// Makes `signal` end the process with exit status 128 + `signal`, the status that a shell shows for a
/// process that the signal killed.
///
/// Like the default action of `SIGTERM`, this ends the process, and it also works in a process with PID 1,
/// such as the first process of a container. For such a process, the kernel discards each signal without a
/// handler, except `SIGKILL` and `SIGSTOP` from outside the container (pid_namespaces(7)).
///
#[doc = call_doc!(rt_sigaction)]
///
/// # Errors
/// - `EINVAL`: the signal does not exist or cannot have a handler (`SIGKILL`, `SIGSTOP`).
pub fn rt_sigaction_exit<K: Kernel>(kernel: &K, signal: i32) -> Result<(), Errno> {
    let action = SigAction {
        sa_handler: (exit as extern "C" fn(i32) -> ! as *const ()).expose_provenance(),
        // The handler never returns, but x86_64 runs no handler without this flag.
        sa_flags: if cfg!(target_arch = "x86_64") {
            SigAction::SA_RESTORER
        } else {
            0
        },
        sa_restorer: 0,
        sa_mask: SigSet::default(),
    };
    rt_sigaction(kernel, signal, &action)
}

/// Ends the process. This is the handler of [`rt_sigaction_exit`]. It gets no argument besides the signal,
/// so the only kernel that it can use is [`Linux`].
extern "C" fn exit(signal: i32) -> ! {
    exit_group(&Linux, 128 + signal)
}

fn rt_sigaction<K: Kernel>(kernel: &K, signal: i32, action: &SigAction) -> Result<(), Errno> {
    let old = ptr::null_mut::<SigAction>().expose_provenance();
    let args = [
        signal as usize,
        ptr::from_ref(action).expose_provenance(),
        old,
        SigSet::SIZE,
    ];
    // SAFETY: the kernel reads one sigaction. Its handler, if any, only ends the process, which breaks
    // nothing wherever it interrupts the program.
    into_result(unsafe { kernel.syscall(sc::nr::RT_SIGACTION, args) }).map(|_| ())
}

/// Changes the set of signals that are blocked in this thread, and returns the previous set.
///
#[doc = call_doc!(rt_sigprocmask)]
///
/// # Errors
/// - `EINVAL`: `how` is not in [`SIGPROCMASK_HOW`].
pub fn rt_sigprocmask<K: Kernel>(kernel: &K, how: i32, set: SigSet) -> Result<SigSet, Errno> {
    let mut old = SigSet::default();
    let (set, old_at) = (
        (&raw const set).expose_provenance(),
        (&raw mut old).expose_provenance(),
    );
    let args = [how as usize, set, old_at, SigSet::SIZE];
    // SAFETY: the kernel reads one set and writes one. A blocked signal stays pending, which cannot break
    // memory safety.
    into_result(unsafe { kernel.syscall(sc::nr::RT_SIGPROCMASK, args) })?;
    Ok(old)
}

/// Creates a descriptor from which the blocked signals of `mask` can be read, as records of
/// [`SIGNALFD_SIGINFO_SIZE`] bytes.
///
#[doc = call_doc!(signalfd4)]
///
/// # Errors
/// - `EINVAL`: a flag is unknown.
/// - `EMFILE`, `ENFILE`: the process or the system has too many open files.
/// - `ENOMEM`: the kernel is out of memory.
pub fn signalfd4<K: Kernel>(kernel: K, mask: SigSet, flags: i32) -> Result<Fd<K>, Errno> {
    const NEW: usize = -1isize as usize;
    let args = [
        NEW,
        (&raw const mask).expose_provenance(),
        SigSet::SIZE,
        flags as usize,
    ];
    // SAFETY: the kernel reads one set; the call only creates a descriptor.
    let fd = into_result(unsafe { kernel.syscall(sc::nr::SIGNALFD4, args) })?;
    // SAFETY: the call succeeded, and with fd −1 its result is a new descriptor.
    Ok(unsafe { Fd::from_result(kernel, fd) })
}

/// The size of `struct signalfd_siginfo`, `include/uapi/linux/signalfd.h`. Its first four bytes
/// are the signal's number.
pub const SIGNALFD_SIGINFO_SIZE: usize = 128;
