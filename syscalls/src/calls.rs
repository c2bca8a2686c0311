//! The one table of the calls that this crate issues.
//!
//! Each typed call's documentation, the list in the crate's front page and the names in a trace
//! come from here. The number in use is [`sc::nr`]'s; the build stops if this table differs.

/// One system call.
#[derive(Debug)]
pub struct Call {
    /// Its name, as in section 2 of the manual.
    pub name: &'static str,
    /// Its number on the machine that this is built for.
    pub nr: usize,
    /// Its number on x86_64: `arch/x86/entry/syscalls/syscall_64.tbl`.
    pub x86_64: usize,
    /// Its number on aarch64: `include/uapi/asm-generic/unistd.h`.
    pub aarch64: usize,
    /// The names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// Its prototype in C. (To the kernel, each argument is a 64-bit register and each result a
    /// `long`: `SYSCALL_DEFINEn` in `include/linux/syscalls.h`.)
    pub signature: &'static str,
    /// The first Linux that has it on any architecture: syscalls(2). x86_64 came in the 2.4 series and
    /// aarch64 with 3.7, so a port has an older call from the port's own start. i386 had one call
    /// `socketcall` for all socket calls, and has the single ones since 4.3; x86_64 and aarch64 never
    /// had `socketcall` (socketcall(2)).
    pub since: &'static str,
}

impl Call {
    /// The table's row for call number `nr` of this machine.
    pub fn by_number(nr: usize) -> Option<&'static Call> {
        CALLS.iter().find(|call| call.nr == nr)
    }
}

/// A table row's cells: the register of each argument.
macro_rules! registers {
    (($register:literal $($registers:literal)*) $argument:ident $($arguments:ident)*) => {
        concat!(" `", $register, "` |", registers!(($($registers)*) $($arguments)*))
    };
    (($($registers:literal)*)) => { "" };
}

/// The line under a table column's head.
macro_rules! rule {
    ($argument:ident) => {
        "---|"
    };
}

macro_rules! calls {
    ($($name:ident $nr:ident $x86_64:literal $aarch64:literal ($($argument:ident)*) $since:literal $signature:literal;)*) => {
        /// The calls, in the order of the crate's front page.
        pub static CALLS: &[Call] = &[$(Call {
            name: stringify!($name),
            nr: sc::nr::$nr,
            x86_64: $x86_64,
            aarch64: $aarch64,
            arguments: &[$(stringify!($argument)),*],
            signature: $signature,
            since: $since,
        }),*];

        $(const _: () = assert!(sc::nr::$nr == if cfg!(target_arch = "x86_64") { $x86_64 } else { $aarch64 });)*

        /// The head of a typed call's documentation: its C signature, and where the number and
        /// each argument go on each machine.
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

calls! {
    socket SOCKET 41 198 (domain type protocol) "2.0"
        "int socket(int domain, int type, int protocol)";
    socketpair SOCKETPAIR 53 199 (domain type protocol sv) "2.0"
        "int socketpair(int domain, int type, int protocol, int sv[2])";
    bind BIND 49 200 (sockfd addr addrlen) "2.0"
        "int bind(int sockfd, const struct sockaddr *addr, int addrlen)";
    listen LISTEN 50 201 (sockfd backlog) "2.0"
        "int listen(int sockfd, int backlog)";
    accept ACCEPT 43 202 (sockfd addr addrlen) "2.0"
        "int accept(int sockfd, struct sockaddr *addr, int *addrlen)";
    accept4 ACCEPT4 288 242 (sockfd addr addrlen flags) "2.6.28"
        "int accept4(int sockfd, struct sockaddr *addr, int *addrlen, int flags)";
    connect CONNECT 42 203 (sockfd addr addrlen) "2.0"
        "int connect(int sockfd, const struct sockaddr *addr, int addrlen)";
    getsockname GETSOCKNAME 51 204 (sockfd addr addrlen) "2.0"
        "int getsockname(int sockfd, struct sockaddr *addr, int *addrlen)";
    getpeername GETPEERNAME 52 205 (sockfd addr addrlen) "2.0"
        "int getpeername(int sockfd, struct sockaddr *addr, int *addrlen)";
    sendto SENDTO 44 206 (sockfd buf len flags addr addrlen) "2.0"
        "ssize_t sendto(int sockfd, const void *buf, size_t len, int flags, const struct sockaddr *addr, int addrlen)";
    recvfrom RECVFROM 45 207 (sockfd buf len flags addr addrlen) "2.0"
        "ssize_t recvfrom(int sockfd, void *buf, size_t len, int flags, struct sockaddr *addr, int *addrlen)";
    sendmsg SENDMSG 46 211 (sockfd msg flags) "2.0"
        "ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)";
    recvmsg RECVMSG 47 212 (sockfd msg flags) "2.0"
        "ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)";
    sendmmsg SENDMMSG 307 269 (sockfd msgvec vlen flags) "3.0"
        "int sendmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags)";
    recvmmsg RECVMMSG 299 243 (sockfd msgvec vlen flags timeout) "2.6.33"
        "int recvmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout)";
    shutdown SHUTDOWN 48 210 (sockfd how) "2.0"
        "int shutdown(int sockfd, int how)";
    setsockopt SETSOCKOPT 54 208 (sockfd level optname optval optlen) "2.0"
        "int setsockopt(int sockfd, int level, int optname, const void *optval, int optlen)";
    getsockopt GETSOCKOPT 55 209 (sockfd level optname optval optlen) "2.0"
        "int getsockopt(int sockfd, int level, int optname, void *optval, int *optlen)";
    read READ 0 63 (fd buf count) "1.0"
        "ssize_t read(int fd, void *buf, size_t count)";
    write WRITE 1 64 (fd buf count) "1.0"
        "ssize_t write(int fd, const void *buf, size_t count)";
    readv READV 19 65 (fd iov iovcnt) "2.0"
        "ssize_t readv(int fd, const struct iovec *iov, int iovcnt)";
    writev WRITEV 20 66 (fd iov iovcnt) "2.0"
        "ssize_t writev(int fd, const struct iovec *iov, int iovcnt)";
    openat OPENAT 257 56 (dirfd pathname flags mode) "2.6.16"
        "int openat(int dirfd, const char *pathname, int flags, mode_t mode)";
    close CLOSE 3 57 (fd) "1.0"
        "int close(int fd)";
    ppoll PPOLL 271 73 (fds nfds tmo_p sigmask sigsetsize) "2.6.16"
        "int ppoll(struct pollfd *fds, unsigned int nfds, struct timespec *tmo_p, const sigset_t *sigmask, size_t sigsetsize)";
    epoll_create1 EPOLL_CREATE1 291 20 (flags) "2.6.27"
        "int epoll_create1(int flags)";
    epoll_ctl EPOLL_CTL 233 21 (epfd op fd event) "2.6"
        "int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)";
    epoll_pwait EPOLL_PWAIT 281 22 (epfd events maxevents timeout sigmask sigsetsize) "2.6.19"
        "int epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *sigmask, size_t sigsetsize)";
    eventfd2 EVENTFD2 290 19 (initval flags) "2.6.27"
        "int eventfd2(unsigned int initval, int flags)";
    signalfd4 SIGNALFD4 289 74 (fd mask sizemask flags) "2.6.27"
        "int signalfd4(int fd, const sigset_t *mask, size_t sizemask, int flags)";
    rt_sigaction RT_SIGACTION 13 134 (signum act oldact sigsetsize) "2.2"
        "int rt_sigaction(int signum, const struct sigaction *act, struct sigaction *oldact, size_t sigsetsize)";
    rt_sigprocmask RT_SIGPROCMASK 14 135 (how set oldset sigsetsize) "2.2"
        "int rt_sigprocmask(int how, const sigset_t *set, sigset_t *oldset, size_t sigsetsize)";
    clock_gettime CLOCK_GETTIME 228 113 (clockid tp) "2.6"
        "int clock_gettime(clockid_t clockid, struct timespec *tp)";
    prlimit64 PRLIMIT64 302 261 (pid resource new_limit old_limit) "2.6.36"
        "int prlimit64(pid_t pid, int resource, const struct rlimit64 *new_limit, struct rlimit64 *old_limit)";
    exit_group EXIT_GROUP 231 94 (status) "2.6"
        "void exit_group(int status)";
}
