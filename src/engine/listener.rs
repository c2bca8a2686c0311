//! The listening socket: binding, accepting, and backing off when accepting fails.

use core::net::SocketAddr;
use std::time::Duration;

use syscalls::addr::{AF_INET, AF_INET6, Sockaddr};
use syscalls::epoll::EPOLLIN;
use syscalls::socket::{
    IPPROTO_IP, SO_KEEPALIVE, SO_OOBINLINE, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM,
    SocketOption, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY, TCP_USER_TIMEOUT,
};
use syscalls::{Errno, Kernel, Socket, retry_on_eintr};

use super::poller::Poller;
use super::syscall_error::SyscallError;
use super::token::Token;

/// The length of the accept queue. The kernel limits it to `net.core.somaxconn`, whose default is 4096 since
/// Linux 5.4.
pub const BACKLOG: u16 = 4096;

/// The number of failed connections that `accept4` may report in a row before accepting backs off. One failed
/// connection says nothing about the next, but retrying after many in a row would be a busy loop.
const MAX_FAILED_ACCEPTS: u32 = 32;

/// How long accepting backs off when no descriptor or no memory is left, unless a connection of this thread
/// closes. Another thread or process may free a resource in that time. The time is short compared with a
/// client's timeout, and long compared with the cost of a retry.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a peer may be unreachable (powered off, unplugged) before its connection is dropped. The kernel
/// starts to probe a peer that has been silent for half of this time. The same limit applies to a peer that
/// is alive but does not acknowledge pending bytes.
pub const PEER_TIMEOUT: Duration = Duration::from_secs(PEER_TIMEOUT_SECONDS as u64);
const PEER_TIMEOUT_SECONDS: u8 = 60;

/// The number of probes of a silent peer, in the second half of [`PEER_TIMEOUT`].
const KEEPALIVE_PROBES: i32 = 3;

/// The result of accepting.
#[derive(Debug)]
pub enum Accept<K: Kernel> {
    /// A connection, and its peer.
    Accepted(Socket<K>, Sockaddr),
    /// The queue is empty.
    Empty,
    /// The process or the machine lacks a resource. Accepting has backed off.
    Exhausted(Errno),
}

/// The listening socket.
#[derive(Debug)]
pub struct Listener<K: Kernel> {
    socket: Socket<K>,
    address: SocketAddr,
    /// The time at which a backed-off listener resumes. Until then the socket is not in the epoll set, where
    /// its queue would keep the loop awake.
    resume_at: Option<Duration>,
}

/// Creates a non-blocking stream socket for the family of `address`.
///
/// # Errors
/// Those of `socket`: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`; `EAFNOSUPPORT` without IPv6.
pub fn stream_socket<K: Kernel>(
    kernel: &K,
    address: SocketAddr,
) -> Result<Socket<K>, SyscallError> {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    Socket::new(
        kernel.clone(),
        family,
        SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
        IPPROTO_IP,
    )
    .map_err(|errno| SyscallError::new("socket", errno))
}

impl<K: Kernel> Listener<K> {
    /// Listens on `address`; port 0 picks a free port. Registers the socket with `poller`.
    ///
    /// # Errors
    /// Those of `socket`, `setsockopt`, `bind` (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`), `listen`,
    /// `getsockname` and `epoll_ctl`. No descriptor stays open.
    pub fn bind(poller: &Poller<K>, address: SocketAddr) -> Result<Listener<K>, SyscallError> {
        const HALF: i32 = PEER_TIMEOUT_SECONDS as i32 / 2;
        // Accepted sockets inherit these options, which saves the calls for each of them.
        const OPTIONS: [(SocketOption<i32>, i32); 8] = [
            (SO_REUSEADDR, 1),
            (SO_OOBINLINE, 1),
            (SO_KEEPALIVE, 1),
            (TCP_NODELAY, 1),
            (TCP_KEEPIDLE, HALF),
            (TCP_KEEPINTVL, HALF / KEEPALIVE_PROBES),
            (TCP_KEEPCNT, KEEPALIVE_PROBES),
            (TCP_USER_TIMEOUT, PEER_TIMEOUT_SECONDS as i32 * 1000),
        ];
        let socket = stream_socket(poller.kernel(), address)?;
        let failed = |call| move |errno| SyscallError::with_address(call, address, errno);
        for (option, value) in OPTIONS {
            socket
                .setsockopt(option, value)
                .map_err(failed("setsockopt"))?;
        }
        socket
            .bind(&Sockaddr::from(address))
            .map_err(failed("bind"))?;
        socket
            .listen(i32::from(BACKLOG))
            .map_err(failed("listen"))?;
        let name = socket.getsockname().map_err(failed("getsockname"))?;
        let listener = Listener {
            socket,
            address: name
                .to_ip()
                .expect("an internet socket has an internet address"),
            resume_at: None,
        };
        listener.watch(poller).map_err(failed("epoll_ctl"))?;
        Ok(listener)
    }

    /// Returns the address of the socket, with the port that the kernel picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds the socket to the epoll set.
    fn watch(&self, poller: &Poller<K>) -> Result<(), Errno> {
        poller.add(&self.socket, EPOLLIN, Token::Listener)
    }

    /// Accepts one connection, if one is queued. Backs off if accepting fails.
    pub fn accept(&mut self, poller: &mut Poller<K>) -> Accept<K> {
        let mut failed = 0;
        loop {
            match retry_on_eintr(|| self.socket.accept4(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
                Ok((socket, peer)) => return Accept::Accepted(socket, peer),
                Err(Errno::EAGAIN) => return Accept::Empty,
                Err(errno) if concerns_one_connection(errno) && failed < MAX_FAILED_ACCEPTS => {
                    failed += 1;
                }
                Err(errno) => {
                    self.back_off(poller);
                    return Accept::Exhausted(errno);
                }
            }
        }
    }

    /// Removes the socket from the epoll set for [`ACCEPT_BACKOFF`].
    fn back_off(&mut self, poller: &mut Poller<K>) {
        self.resume_at = Some(poller.now() + ACCEPT_BACKOFF);
        // The socket may have been removed already. If this fails for another reason, the next event tries
        // again.
        let _ = poller.remove(&self.socket);
    }

    /// Makes the next [`resume`](Listener::resume) end the back-off, because a descriptor was closed.
    pub fn descriptor_freed(&mut self) {
        if let Some(at) = &mut self.resume_at {
            *at = Duration::ZERO;
        }
    }

    /// Ends the back-off if its time is over. Returns how long the back-off still lasts.
    pub fn resume(&mut self, poller: &mut Poller<K>) -> Option<Duration> {
        let left = self.resume_at?.saturating_sub(poller.now());
        if !left.is_zero() {
            return Some(left);
        }
        match self.watch(poller) {
            // EEXIST: the removal had failed.
            Ok(()) | Err(Errno::EEXIST) => {
                self.resume_at = None;
                None
            }
            Err(_) => {
                self.back_off(poller);
                Some(ACCEPT_BACKOFF)
            }
        }
    }
}

/// Returns whether a failed accept concerns only the connection that it would have returned, so that the next
/// one may succeed: accept(2), "Error handling". Other errors concern the process or the machine.
fn concerns_one_connection(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::ETIMEDOUT
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use syscalls::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL};
    use syscalls::scripted::{Script, Scripted, Step};

    use super::super::polling::Polling;

    const LISTENER: usize = 4;

    /// Returns a listener over a kernel whose script begins with `SETUP`, and its poller.
    fn listening<'s>(script: &'s Script<'s>) -> (Poller<Scripted<'s>>, Listener<Scripted<'s>>) {
        let poller =
            Poller::new(script.kernel(), Polling::new(Duration::ZERO)).expect("an epoll set");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let socket = stream_socket(poller.kernel(), address).expect("a socket");
        let listener = Listener {
            socket,
            address,
            resume_at: None,
        };
        (poller, listener)
    }

    const SETUP: [Step<'_>; 2] = [
        Step::new("epoll_create1").returns(3),
        Step::new("socket").returns(LISTENER),
    ];

    fn script_after_setup<'s>(steps: &[Step<'s>]) -> Vec<Step<'s>> {
        [&SETUP, steps].concat()
    }

    #[test]
    fn failed_bind_closes_the_socket() {
        for (failing, options) in [("setsockopt", 0), ("bind", 8), ("listen", 8)] {
            let mut steps = SETUP.to_vec();
            steps.extend([Step::new("setsockopt"); 8].iter().take(options));
            if failing == "listen" {
                steps.push(Step::new("bind"));
            }
            steps.push(Step::new(failing).fails(Errno::ENOMEM));
            let script = Script::new(&steps);
            let poller =
                Poller::new(script.kernel(), Polling::new(Duration::ZERO)).expect("an epoll set");
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
            let failure = Listener::bind(&poller, address).expect_err("it fails");
            let expected = SyscallError::with_address(failing, address, Errno::ENOMEM);
            assert_eq!(failure, expected);
            script.assert_finished();
            assert_eq!(script.closed(), 1, "{failing}");
        }
    }

    #[test]
    fn accept_skips_failed_connections() {
        let steps = script_after_setup(&[
            Step::new("accept4").fails(Errno::ECONNABORTED),
            Step::new("accept4").fails(Errno::EINTR),
            Step::new("accept4").fails(Errno::EPROTO),
            Step::new("accept4").returns(5),
            Step::new("accept4").fails(Errno::EAGAIN),
        ]);
        let script = Script::new(&steps);
        let (mut poller, mut listener) = listening(&script);
        assert!(matches!(listener.accept(&mut poller), Accept::Accepted(..)));
        assert!(matches!(listener.accept(&mut poller), Accept::Empty));
        assert_eq!(listener.resume(&mut poller), None);
        script.assert_finished();
    }

    #[test]
    fn accept_backs_off_after_many_failed_connections() {
        let aborted = Step::new("accept4").fails(Errno::ECONNABORTED);
        let mut steps = SETUP.to_vec();
        steps.extend([aborted; MAX_FAILED_ACCEPTS as usize + 1]);
        steps.push(Step::new("clock_gettime").time(Duration::ZERO));
        steps.push(Step::new("epoll_ctl").arg(1, EPOLL_CTL_DEL as usize));
        let script = Script::new(&steps);
        let (mut poller, mut listener) = listening(&script);
        let accepted = listener.accept(&mut poller);
        assert!(matches!(accepted, Accept::Exhausted(Errno::ECONNABORTED)));
        script.assert_finished();
    }

    #[test]
    fn accept_resumes_after_the_back_off_or_a_freed_descriptor() {
        let begin = Duration::from_secs(1);
        let later = begin + ACCEPT_BACKOFF / 4;
        let clock = |time| Step::new("clock_gettime").time(time);
        let remove = Step::new("epoll_ctl").arg(1, EPOLL_CTL_DEL as usize);
        let add = Step::new("epoll_ctl")
            .arg(1, EPOLL_CTL_ADD as usize)
            .arg(2, LISTENER);
        let full = Step::new("accept4").fails(Errno::EMFILE);
        let steps = script_after_setup(&[
            // The back-off elapses.
            full,
            clock(begin),
            remove,
            clock(later),
            clock(begin + ACCEPT_BACKOFF),
            add,
            // A descriptor is freed, but the first attempt to resume fails.
            full,
            clock(begin),
            remove,
            clock(later),
            add.fails(Errno::ENOMEM),
            clock(later),
            remove.fails(Errno::ENOENT),
            clock(later + ACCEPT_BACKOFF),
            add.fails(Errno::EEXIST),
        ]);
        let script = Script::new(&steps);
        let (mut poller, mut listener) = listening(&script);
        let exhausted = listener.accept(&mut poller);
        assert!(matches!(exhausted, Accept::Exhausted(Errno::EMFILE)));
        let left = listener.resume(&mut poller);
        assert_eq!(left, Some(ACCEPT_BACKOFF * 3 / 4));
        assert_eq!(listener.resume(&mut poller), None);
        assert_eq!(listener.resume(&mut poller), None, "and no call is made");

        let exhausted = listener.accept(&mut poller);
        assert!(matches!(exhausted, Accept::Exhausted(Errno::EMFILE)));
        listener.descriptor_freed();
        assert_eq!(listener.resume(&mut poller), Some(ACCEPT_BACKOFF));
        assert_eq!(listener.resume(&mut poller), None);
        script.assert_finished();
    }
}
