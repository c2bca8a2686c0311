//! The table of the calls that this crate issues.
//!
//! The documentation of each typed call, the table at [`CALLS`] and the form of a call in a trace are
//! generated from this table. The number passed to the kernel is that of [`sc::nr`]; an assertion at
//! compile time checks that this table has the same number. `CONTRIBUTING.md` explains how to add a call.

use crate::addr::ADDRESS_FAMILIES;
use crate::argument::{Arg, Arg::*, Pointee::*};
use crate::epoll::{EPOLL_FLAGS, EPOLL_OPERATIONS};
use crate::event::EVENTFD_FLAGS;
use crate::process::RESOURCES;
use crate::signal::{SIGNALFD_FLAGS, SIGPROCMASK_HOW};
use crate::socket::{MESSAGE_FLAGS, OPTION_LEVELS, SHUTDOWN_HOW, SOCKET_FLAGS};
use crate::time::CLOCKS;

/// One system call: its name, its numbers and its prototype.
///
/// ```
/// use syscalls::Call;
///
/// let nr = if cfg!(target_arch = "x86_64") { 0 } else { 63 };
/// let read = Call::by_number(nr).unwrap();
/// assert_eq!((read.name, read.x86_64, read.aarch64), ("read", 0, 63));
/// assert_eq!(read.arguments, ["fd", "buf", "count"]);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Call {
    /// Its name, as in section 2 of the manual.
    pub name: &'static str,
    /// Its number on the architecture that the crate is built for.
    pub nr: usize,
    /// Its number on x86_64: `arch/x86/entry/syscalls/syscall_64.tbl`.
    pub x86_64: usize,
    /// Its number on aarch64: `include/uapi/asm-generic/unistd.h`.
    pub aarch64: usize,
    /// The names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// The kind of each argument.
    pub(crate) kinds: &'static [Arg],
    /// Its prototype in C. (To the kernel, each argument is a 64-bit register and each result a
    /// `long`: `SYSCALL_DEFINEn` in `include/linux/syscalls.h`.)
    pub signature: &'static str,
    /// The first version of Linux that has the call on any architecture: syscalls(2). The ports to x86_64
    /// (in the 2.4 series) and aarch64 (3.7) have had each older call of the table from their start. On
    /// i386, one call, `socketcall`, did the work of the socket calls until Linux 4.3 added separate calls
    /// (`recvmmsg` and `sendmmsg` had their own numbers before); x86_64 and aarch64 never had `socketcall`
    /// (socketcall(2)).
    pub since: &'static str,
}

impl Call {
    /// Returns the call with number `nr` on this architecture, if the table has it.
    pub fn by_number(nr: usize) -> Option<&'static Call> {
        CALLS.iter().find(|call| call.nr == nr)
    }
}

/// Expands to the cells of a table row: the register of each argument.
macro_rules! registers {
    (($register:literal $($registers:literal)*) $argument:ident $($arguments:ident)*) => {
        concat!(" `", $register, "` |", registers!(($($registers)*) $($arguments)*))
    };
    (($($registers:literal)*)) => { "" };
}

/// Expands to the line under the head of a table column.
macro_rules! rule {
    ($argument:ident) => {
        "---|"
    };
}

/// Expands to the names, joined with commas.
macro_rules! list {
    ($first:ident $($rest:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($rest))*) };
}
pub(crate) use list;

macro_rules! calls {
    ($(
        $name:ident $nr:ident $x86_64:literal $aarch64:literal ($($argument:ident: $kind:expr),*)
        $since:literal $function:literal $signature:literal;
    )*) => {
        /// Expands to the table of calls for the documentation, and the targets of its links.
        macro_rules! call_table {
            () => { concat!(
                "| call | x86_64 | aarch64 | arguments | since Linux |\n|---|---|---|---|---|\n",
                $(
                    "| [`", stringify!($name), "`] | ", $x86_64, " | ", $aarch64, " | ",
                    $crate::calls::list!($($argument)*), " | ", $since, " |\n",
                )*
                "\n",
                $("[`", stringify!($name), "`]: crate::", $function, "\n",)*
            ) };
        }
        /// The calls that this crate issues, in the order of the table below.
        ///
        /// The number goes into `rax` (`x8` on aarch64), the arguments go into `rdi`, `rsi`, `rdx`,
        /// `r10`, `r8` and `r9` (`x0` to `x5`), and the result comes back in `rax` (`x0`).
        ///
        #[doc = call_table!()]
        ///
        /// # Minimum kernel version
        ///
        /// On x86_64, Linux has had all of these calls since 3.0. On aarch64, every version has them: the port
        /// began with 3.7. (Rust's standard library needs 3.2 and 4.1.) Some constants are newer:
        /// [`SO_REUSEPORT`](crate::socket::SO_REUSEPORT) needs 3.9,
        /// [`IP_BIND_ADDRESS_NO_PORT`](crate::socket::IP_BIND_ADDRESS_NO_PORT) 4.2 and
        /// [`EPOLLEXCLUSIVE`](crate::epoll::EPOLLEXCLUSIVE) 4.5. A kernel that lacks a call returns
        /// `ENOSYS`; one that lacks a socket option returns `ENOPROTOOPT`.
        ///
        /// # Example
        ///
        /// ```
        /// use syscalls::CALLS;
        ///
        /// // No number is used twice.
        /// let mut numbers: Vec<_> = CALLS.iter().map(|call| call.nr).collect();
        /// numbers.sort_unstable();
        /// assert!(numbers.is_sorted_by(|a, b| a < b));
        /// ```
        pub static CALLS: &[Call] = &[$(Call {
            name: stringify!($name),
            nr: sc::nr::$nr,
            x86_64: $x86_64,
            aarch64: $aarch64,
            arguments: &[$(stringify!($argument)),*],
            kinds: &[$($kind),*],
            signature: $signature,
            since: $since,
        }),*];

        $(const _: () = assert!(sc::nr::$nr == if cfg!(target_arch = "x86_64") { $x86_64 } else { $aarch64 });)*

        /// Expands to the start of a typed call's documentation: its prototype in C, and the registers of
        /// the number and of each argument on each architecture.
        macro_rules! call_doc {
            $(($name) => { concat!(
                "```c\n", $signature, ";\n```\n\n",
                "| | number |", $(" `", stringify!($argument), "` |",)* " result |\n",
                "|---|---|", $(rule!($argument),)* "---|\n",
                "| x86_64 | `rax` = ", $x86_64, " |",
                registers!(("rdi" "rsi" "rdx" "r10" "r8" "r9") $($argument)*), " `rax` |\n",
                "| aarch64 | `x8` = ", $aarch64, " |",
                registers!(("x0" "x1" "x2" "x3" "x4" "x5") $($argument)*), " `x0` |\n\n",
                "Manual: [", stringify!($name), "(2)](https://man7.org/linux/man-pages/man2/",
                stringify!($name), ".2.html). Since Linux ", $since, ".\n",
            ) };)*
        }
    };
}

const FAMILY: Arg = One(ADDRESS_FAMILIES, "AF_???");
const LEVEL: Arg = One(OPTION_LEVELS, "SOL_??"); // strace also shows two question marks here
const MSG: Arg = Any(MESSAGE_FLAGS, "MSG_???");

// name, constant in `sc::nr`, number on x86_64, number on aarch64, arguments with their kinds, first
// version of Linux, typed function, prototype
calls! {
    socket SOCKET 41 198 (domain: FAMILY, type: SocketType, protocol: Protocol) "2.0" "Socket::new"
        "int socket(int domain, int type, int protocol)";
    socketpair SOCKETPAIR 53 199 (domain: FAMILY, type: SocketType, protocol: Unsigned,
        sv: Out(Pair)) "2.0" "Socket::pair"
        "int socketpair(int domain, int type, int protocol, int sv[2])";
    bind BIND 49 200 (sockfd: Int, addr: In(Address), addrlen: Int) "2.0" "Socket::bind"
        "int bind(int sockfd, const struct sockaddr *addr, int addrlen)";
    listen LISTEN 50 201 (sockfd: Int, backlog: Int) "2.0" "Socket::listen"
        "int listen(int sockfd, int backlog)";
    accept ACCEPT 43 202 (sockfd: Int, addr: Out(Address), addrlen: Out(Length)) "2.0" "Socket::accept"
        "int accept(int sockfd, struct sockaddr *addr, int *addrlen)";
    accept4 ACCEPT4 288 242 (sockfd: Int, addr: Out(Address), addrlen: Out(Length),
        flags: Any(SOCKET_FLAGS, "SOCK_???")) "2.6.28" "Socket::accept4"
        "int accept4(int sockfd, struct sockaddr *addr, int *addrlen, int flags)";
    connect CONNECT 42 203 (sockfd: Int, addr: In(Address), addrlen: Int) "2.0" "Socket::connect"
        "int connect(int sockfd, const struct sockaddr *addr, int addrlen)";
    getsockname GETSOCKNAME 51 204 (sockfd: Int, addr: Out(Address), addrlen: Out(Length)) "2.0" "Socket::getsockname"
        "int getsockname(int sockfd, struct sockaddr *addr, int *addrlen)";
    getpeername GETPEERNAME 52 205 (sockfd: Int, addr: Out(Address), addrlen: Out(Length)) "2.0" "Socket::getpeername"
        "int getpeername(int sockfd, struct sockaddr *addr, int *addrlen)";
    sendto SENDTO 44 206 (sockfd: Int, buf: In(Bytes), len: Size, flags: MSG, addr: In(Address),
        addrlen: Int) "2.0" "Socket::sendto"
        "ssize_t sendto(int sockfd, const void *buf, size_t len, int flags, const struct sockaddr *addr, int addrlen)";
    recvfrom RECVFROM 45 207 (sockfd: Int, buf: Out(Bytes), len: Size, flags: MSG,
        addr: Out(Address), addrlen: Out(Length)) "2.0" "Socket::recvfrom"
        "ssize_t recvfrom(int sockfd, void *buf, size_t len, int flags, struct sockaddr *addr, int *addrlen)";
    sendmsg SENDMSG 46 211 (sockfd: Int, msg: In(Message), flags: MSG) "2.0" "Socket::sendmsg"
        "ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)";
    recvmsg RECVMSG 47 212 (sockfd: Int, msg: Out(Message), flags: MSG) "2.0" "Socket::recvmsg"
        "ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)";
    sendmmsg SENDMMSG 307 269 (sockfd: Int, msgvec: Out(MessagesSent), vlen: Unsigned, flags: MSG) "3.0" "Socket::sendmmsg"
        "int sendmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags)";
    recvmmsg RECVMMSG 299 243 (sockfd: Int, msgvec: Out(MessagesReceived), vlen: Unsigned,
        flags: MSG, timeout: Out(TimeLeft)) "2.6.33" "Socket::recvmmsg"
        "int recvmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout)";
    shutdown SHUTDOWN 48 210 (sockfd: Int, how: One(SHUTDOWN_HOW, "SHUT_???")) "2.0" "Socket::shutdown"
        "int shutdown(int sockfd, int how)";
    setsockopt SETSOCKOPT 54 208 (sockfd: Int, level: LEVEL, optname: OptionName,
        optval: In(OptionValue), optlen: Int) "2.0" "Socket::setsockopt"
        "int setsockopt(int sockfd, int level, int optname, const void *optval, int optlen)";
    getsockopt GETSOCKOPT 55 209 (sockfd: Int, level: LEVEL, optname: OptionName,
        optval: Out(OptionValue), optlen: Out(Length)) "2.0" "Socket::getsockopt"
        "int getsockopt(int sockfd, int level, int optname, void *optval, int *optlen)";
    read READ 0 63 (fd: Int, buf: Out(Bytes), count: Size) "1.0" "Fd::read"
        "ssize_t read(int fd, void *buf, size_t count)";
    write WRITE 1 64 (fd: Int, buf: In(Bytes), count: Size) "1.0" "Fd::write"
        "ssize_t write(int fd, const void *buf, size_t count)";
    readv READV 19 65 (fd: Int, iov: Out(Buffers), iovcnt: Size) "2.0" "Fd::readv"
        "ssize_t readv(int fd, const struct iovec *iov, int iovcnt)";
    writev WRITEV 20 66 (fd: Int, iov: In(Buffers), iovcnt: Size) "2.0" "Fd::writev"
        "ssize_t writev(int fd, const struct iovec *iov, int iovcnt)";
    openat OPENAT 257 56 (dirfd: Directory, pathname: In(Path), flags: OpenFlags, mode: Mode) "2.6.16" "io::openat"
        "int openat(int dirfd, const char *pathname, int flags, mode_t mode)";
    close CLOSE 3 57 (fd: Int) "1.0" "Fd::close"
        "int close(int fd)";
    ppoll PPOLL 271 73 (fds: In(Polled), nfds: Unsigned, tmo_p: In(Time), sigmask: In(Signals(4)),
        sigsetsize: Size) "2.6.16" "poll::ppoll"
        "int ppoll(struct pollfd *fds, unsigned int nfds, struct timespec *tmo_p, const sigset_t *sigmask, size_t sigsetsize)";
    epoll_create1 EPOLL_CREATE1 291 20 (flags: Any(EPOLL_FLAGS, "EPOLL_???")) "2.6.27" "epoll::Epoll::new"
        "int epoll_create1(int flags)";
    epoll_ctl EPOLL_CTL 233 21 (epfd: Int, op: One(EPOLL_OPERATIONS, "EPOLL_CTL_???"), fd: Int,
        event: In(Event)) "2.6" "epoll::Epoll::ctl"
        "int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)";
    epoll_pwait EPOLL_PWAIT 281 22 (epfd: Int, events: Out(Events), maxevents: Int, timeout: Int,
        sigmask: In(Signals(5)), sigsetsize: Size) "2.6.19" "epoll::Epoll::wait"
        "int epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *sigmask, size_t sigsetsize)";
    eventfd2 EVENTFD2 290 19 (initval: Unsigned, flags: Any(EVENTFD_FLAGS, "EFD_???")) "2.6.27" "event::eventfd2"
        "int eventfd2(unsigned int initval, int flags)";
    signalfd4 SIGNALFD4 289 74 (fd: Int, mask: In(Signals(2)), sizemask: Size,
        flags: Any(SIGNALFD_FLAGS, "SFD_???")) "2.6.27" "signal::signalfd4"
        "int signalfd4(int fd, const sigset_t *mask, size_t sizemask, int flags)";
    rt_sigaction RT_SIGACTION 13 134 (signum: Signal, act: In(Action), oldact: Out(Action),
        sigsetsize: Size) "2.2" "signal::rt_sigaction_ignore"
        "int rt_sigaction(int signum, const struct sigaction *act, struct sigaction *oldact, size_t sigsetsize)";
    rt_sigprocmask RT_SIGPROCMASK 14 135 (how: One(SIGPROCMASK_HOW, "SIG_???"),
        set: In(Signals(3)), oldset: Out(Signals(3)), sigsetsize: Size) "2.2" "signal::rt_sigprocmask"
        "int rt_sigprocmask(int how, const sigset_t *set, sigset_t *oldset, size_t sigsetsize)";
    clock_gettime CLOCK_GETTIME 228 113 (clockid: One(CLOCKS, "CLOCK_???"), tp: Out(Time)) "2.6" "time::clock_gettime"
        "int clock_gettime(clockid_t clockid, struct timespec *tp)";
    prlimit64 PRLIMIT64 302 261 (pid: Int, resource: One(RESOURCES, "RLIMIT_???"),
        new_limit: In(Limit), old_limit: Out(Limit)) "2.6.36" "process::prlimit64"
        "int prlimit64(pid_t pid, int resource, const struct rlimit64 *new_limit, struct rlimit64 *old_limit)";
    exit_group EXIT_GROUP 231 94 (status: Int) "2.6" "process::exit_group"
        "void exit_group(int status)";
}
