//! A call that failed, in words.

use core::net::SocketAddr;
use std::fmt;

use syscalls::Errno;

/// A system call that failed: `bind 127.0.0.1:8080: EADDRINUSE (98): Address already in use; …`,
/// with what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The call's name.
    pub call: &'static str,
    /// The address that the call was about, if any.
    pub address: Option<SocketAddr>,
    /// What the kernel answered.
    pub errno: Errno,
}

impl Failure {
    /// `call` failed with `errno`.
    pub fn new(call: &'static str, errno: Errno) -> Failure {
        Failure {
            call,
            address: None,
            errno,
        }
    }

    /// `call`, for `address`, failed with `errno`.
    pub fn at(call: &'static str, address: SocketAddr, errno: Errno) -> Failure {
        Failure {
            call,
            address: Some(address),
            errno,
        }
    }

    /// What whoever reads of the failure can do about it.
    fn advice(&self) -> &'static str {
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)?;
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        write!(f, ": {}; {}", self.errno, self.advice())
    }
}

impl std::error::Error for Failure {}
