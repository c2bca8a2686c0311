//! The error of a failed system call, with a hint.

use core::net::SocketAddr;
use std::fmt;

use syscalls::{CALLS, Errno};

/// A system call that failed. `Display` adds a hint on how to resolve the failure:
/// `bind 127.0.0.1:8080: EADDRINUSE (98): Address already in use; choose another port, or 0 for a free one`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallError {
    /// The call's name.
    pub call: &'static str,
    /// The address of the call, if it has one.
    pub address: Option<SocketAddr>,
    /// The error number that the kernel returned.
    pub errno: Errno,
}

impl SyscallError {
    /// Creates the error of `call`, which failed with `errno`.
    pub fn new(call: &'static str, errno: Errno) -> SyscallError {
        SyscallError {
            call,
            address: None,
            errno,
        }
    }

    /// Creates the error of `call` for `address`, which failed with `errno`.
    pub fn with_address(call: &'static str, address: SocketAddr, errno: Errno) -> SyscallError {
        SyscallError {
            call,
            address: Some(address),
            errno,
        }
    }

    /// Returns the name of the system call: the first word of `call`, which may be longer ("write to standard
    /// output").
    fn name(&self) -> &'static str {
        self.call.split(' ').next().unwrap_or(self.call)
    }

    /// Writes the hint.
    fn hint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let text = match (name, self.errno) {
            // A filter is the usual cause of this errno. Only `accept4` (firewall rules) and `epoll_ctl` (a
            // file that is always ready) have another cause here.
            (_, Errno::EPERM) => {
                return write!(f, "allow {name} in the seccomp profile or security policy");
            }
            (_, Errno::ENOSYS) => {
                write!(f, "allow {name} in the seccomp profile")?;
                let call = CALLS.iter().find(|call| call.name == name);
                return call.map_or(Ok(()), |call| write!(f, "; it needs Linux {}", call.since));
            }
            (_, Errno::EADDRINUSE) => "choose another port, or 0 for a free one",
            ("bind", Errno::EACCES) => {
                "choose a port from 1024 on, or run with CAP_NET_BIND_SERVICE"
            }
            ("bind", Errno::EADDRNOTAVAIL) => "give --bind an address of this machine",
            (_, Errno::EADDRNOTAVAIL) => "no local port is left: try again in a minute",
            ("clone", Errno::EAGAIN) => {
                "use fewer --workers, or raise the limit of threads (ulimit -u)"
            }
            ("epoll_ctl", Errno::ENOSPC) => "raise /proc/sys/fs/epoll/max_user_watches",
            ("read", Errno::EBADF) => "open the descriptor for reading",
            ("read", Errno::EISDIR) => "it is a directory: give a pipe or a file",
            ("write", Errno::EBADF) => "open the descriptor for writing",
            ("write", Errno::EFBIG) => "raise the limit of file sizes (ulimit -f)",
            ("write", Errno::ENOSPC | Errno::EDQUOT) => "free space on the disk",
            (_, Errno::EMFILE) => "close connections, or raise the limit (ulimit -n)",
            (_, Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                "the machine is out of resources: try again later"
            }
            (_, Errno::ECONNREFUSED) => "start the server again",
            (_, Errno::ETIMEDOUT) => "the connection made no progress: try again",
            ("write", Errno::EPIPE) => "the reader closed its end",
            (_, Errno::ECONNRESET | Errno::EPIPE) => {
                "the other end closed the connection: try again"
            }
            (_, Errno::EAFNOSUPPORT) => "the kernel lacks this address family: give --bind another",
            _ => return write!(f, "see {name}(2)"),
        };
        f.write_str(text)
    }
}

impl fmt::Display for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)?;
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        write!(f, ": {}; ", self.errno)?;
        self.hint(f)
    }
}

impl std::error::Error for SyscallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let advised = [
            ("bind", Errno::EADDRINUSE, "choose another port"),
            ("bind", Errno::EACCES, "from 1024 on"),
            ("bind", Errno::EPERM, "allow bind in the seccomp profile"),
            ("accept4", Errno::EPERM, "allow accept4 in"),
            ("ppoll", Errno::ENOSYS, "allow ppoll in"),
            ("ppoll", Errno::ENOSYS, "needs Linux 2.6.16"),
            ("bind", Errno::EADDRNOTAVAIL, "an address of this machine"),
            ("connect", Errno::EADDRNOTAVAIL, "in a minute"),
            ("clone", Errno::EAGAIN, "fewer --workers"),
            ("epoll_ctl", Errno::ENOSPC, "max_user_watches"),
            ("read of standard input", Errno::EBADF, "for reading"),
            ("read of standard input", Errno::EISDIR, "directory"),
            ("write to standard output", Errno::EBADF, "for writing"),
            ("write to standard output", Errno::ENOSPC, "free space"),
            ("write to standard output", Errno::EDQUOT, "free space"),
            ("write to standard output", Errno::EFBIG, "ulimit -f"),
            ("write to standard output", Errno::EIO, "see write(2)"),
            ("connect", Errno::ETIMEDOUT, "try again"),
            ("accept4", Errno::EMFILE, "ulimit -n"),
            ("accept4", Errno::ENFILE, "out of resources"),
            ("socket", Errno::ENOBUFS, "out of resources"),
            ("epoll_ctl", Errno::ENOMEM, "out of resources"),
            ("connect", Errno::ECONNREFUSED, "start the server"),
            ("read", Errno::ECONNRESET, "the other end"),
            (
                "write to standard output",
                Errno::EPIPE,
                "the reader closed its end",
            ),
            ("socket", Errno::EAFNOSUPPORT, "--bind another"),
            ("bind", Errno::EINVAL, "see bind(2)"),
            ("shutdown", Errno::ENOTCONN, "see shutdown(2)"),
        ];
        for (call, errno, advice) in advised {
            let text = SyscallError::new(call, errno).to_string();
            assert!(
                text.starts_with(&format!("{call}: {}", errno.name())),
                "{text}"
            );
            assert!(text.contains(advice), "{text}");
        }
    }
}
