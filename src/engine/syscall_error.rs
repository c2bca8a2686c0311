//! A call that failed, in words.

use core::net::SocketAddr;
use std::fmt;

use syscalls::Errno;

/// A system call that failed: `bind 127.0.0.1:8080: EADDRINUSE (98): Address already in use; …`,
/// with what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallError {
    /// The call's name.
    pub call: &'static str,
    /// The address that the call was about, if any.
    pub address: Option<SocketAddr>,
    /// What the kernel answered.
    pub errno: Errno,
}

impl SyscallError {
    /// `call` failed with `errno`.
    pub fn new(call: &'static str, errno: Errno) -> SyscallError {
        SyscallError {
            call,
            address: None,
            errno,
        }
    }

    /// `call`, for `address`, failed with `errno`.
    pub fn with_address(call: &'static str, address: SocketAddr, errno: Errno) -> SyscallError {
        SyscallError {
            call,
            address: Some(address),
            errno,
        }
    }

    /// What whoever reads of the failure can do about it.
    fn hint(&self) -> &'static str {
        match self.errno {
            Errno::EADDRINUSE => "choose another port, or 0 for a free one",
            Errno::EACCES | Errno::EPERM if self.call == "bind" => {
                "choose a port from 1024 on, or run with CAP_NET_BIND_SERVICE"
            }
            Errno::EADDRNOTAVAIL if self.call == "bind" => "give --bind an address of this machine",
            Errno::EADDRNOTAVAIL => "no local port is left: try again in a minute",
            Errno::EMFILE => "close connections, or raise the limit (ulimit -n)",
            Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => {
                "the machine is out of resources: try again later"
            }
            Errno::ECONNREFUSED => "start the server again",
            Errno::ECONNRESET | Errno::EPIPE => "the connection broke: try again",
            Errno::EAFNOSUPPORT => "the kernel lacks this address family: give --bind another",
            _ => "see the call's page in section 2 of the manual",
        }
    }
}

impl fmt::Display for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)?;
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        write!(f, ": {}; {}", self.errno, self.hint())
    }
}

impl std::error::Error for SyscallError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each failure with a word of what helps. A port that needs a privilege is bind's matter only.
    #[test]
    fn every_failure_says_what_to_do() {
        let advised = [
            ("bind", Errno::EADDRINUSE, "choose another port"),
            ("bind", Errno::EACCES, "from 1024 on"),
            ("bind", Errno::EPERM, "from 1024 on"),
            ("accept4", Errno::EPERM, "section 2"),
            ("bind", Errno::EADDRNOTAVAIL, "an address of this machine"),
            ("connect", Errno::EADDRNOTAVAIL, "in a minute"),
            ("accept4", Errno::EMFILE, "ulimit -n"),
            ("accept4", Errno::ENFILE, "out of resources"),
            ("socket", Errno::ENOBUFS, "out of resources"),
            ("epoll_ctl", Errno::ENOMEM, "out of resources"),
            ("connect", Errno::ECONNREFUSED, "start the server"),
            ("read", Errno::ECONNRESET, "the connection broke"),
            ("write", Errno::EPIPE, "the connection broke"),
            ("socket", Errno::EAFNOSUPPORT, "--bind another"),
            ("shutdown", Errno::ENOTCONN, "section 2"),
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
