//! Sending and receiving messages on a [`Socket`]: the `send` and `recv` families.
//!
//! ```
//! use syscalls::addr::AF_UNIX;
//! use syscalls::io::IoSlice;
//! use syscalls::message::SendMessage;
//! use syscalls::socket::{MSG_DONTWAIT, SOCK_DGRAM};
//! use syscalls::{Errno, Linux, Socket};
//!
//! let (ours, theirs) = Socket::pair(Linux, AF_UNIX, SOCK_DGRAM, 0)?;
//! ours.sendto(b"first", 0, None)?;
//! let bufs = [IoSlice::new(b"sec"), IoSlice::new(b"tion")];
//! ours.sendmsg(&SendMessage::new(&bufs, None), 0)?;
//!
//! let mut buf = [0; 16];
//! for expected in ["first", "section"] {
//!     let (count, _sender) = theirs.recvfrom(&mut buf, 0)?;
//!     assert_eq!(&buf[..count], expected.as_bytes());
//! }
//! let empty = theirs.recvfrom(&mut buf, MSG_DONTWAIT);
//! assert_eq!(empty.err(), Some(Errno::EAGAIN));
//! # Ok::<(), Errno>(())
//! ```
//!
//! x86_64 and aarch64 have no calls `send` and `recv`: the C library implements them by `sendto` and
//! `recvfrom` without an address. A message can carry more than bytes, such as open descriptors for another
//! process (*ancillary data*, `cmsg(3)`). This crate does not support ancillary data: each received
//! descriptor would need an `Fd` that closes it.

use core::marker::PhantomData;
use core::time::Duration;

use crate::addr::Sockaddr;
use crate::io::{IoSlice, IoSliceMut};
use crate::layout::Layout;
use crate::time::Timespec;
use crate::{Errno, Kernel, Socket, into_result};

/// The kernel's `struct user_msghdr`, `include/linux/socket.h`; the C library's `struct msghdr` has
/// the same layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MsgHdr {
    pub msg_name: usize,
    pub msg_namelen: u32,
    pub msg_iov: usize,
    pub msg_iovlen: usize,
    pub msg_control: usize,
    pub msg_controllen: usize,
    pub msg_flags: u32,
}

pub(crate) const MSGHDR: Layout = layout!(
    "struct msghdr",
    MsgHdr {
        msg_name,
        msg_namelen,
        msg_iov,
        msg_iovlen,
        msg_control,
        msg_controllen,
        msg_flags
    }
);

/// A message to send: `struct mmsghdr`, `include/linux/socket.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SendMessage<'a> {
    pub(crate) msg_hdr: MsgHdr,
    pub(crate) msg_len: u32,
    borrowed: PhantomData<(&'a [IoSlice<'a>], &'a Sockaddr)>,
}

pub(crate) const MMSGHDR_SEND: Layout =
    layout!("struct mmsghdr", SendMessage<'static> { msg_hdr, msg_len });

impl<'a> SendMessage<'a> {
    /// Makes a message of the bytes of `bufs` in order, to be sent to `addr`, or, if that is `None`, to the
    /// connection's peer.
    pub fn new(bufs: &'a [IoSlice<'a>], addr: Option<&'a Sockaddr>) -> SendMessage<'a> {
        let msg_hdr = MsgHdr {
            msg_name: addr.map_or(0, Sockaddr::ptr_arg),
            msg_namelen: addr.map_or(0, |addr| addr.len_arg() as u32),
            msg_iov: bufs.as_ptr().expose_provenance(),
            msg_iovlen: bufs.len(),
            msg_control: 0,
            msg_controllen: 0,
            msg_flags: 0,
        };
        SendMessage {
            msg_hdr,
            msg_len: 0,
            borrowed: PhantomData,
        }
    }

    /// Returns the number of bytes of this message that [`sendmmsg`](Socket::sendmmsg) sent.
    pub fn bytes_sent(&self) -> usize {
        self.msg_len as usize
    }
}

/// Buffers for a message to receive: `struct mmsghdr`, `include/linux/socket.h`.
#[repr(C)]
#[derive(Debug)]
pub struct RecvMessage<'a> {
    pub(crate) msg_hdr: MsgHdr,
    pub(crate) msg_len: u32,
    borrowed: PhantomData<&'a mut [IoSliceMut<'a>]>,
}

pub(crate) const MMSGHDR_RECV: Layout =
    layout!("struct mmsghdr", RecvMessage<'static> { msg_hdr, msg_len });

impl<'a> RecvMessage<'a> {
    /// Makes a message that is received into `bufs`, each filled before the next, without the sender's
    /// address.
    pub fn new(bufs: &'a mut [IoSliceMut<'_>]) -> RecvMessage<'a> {
        let msg_hdr = MsgHdr {
            msg_name: 0,
            msg_namelen: 0,
            msg_iov: bufs.as_mut_ptr().expose_provenance(),
            msg_iovlen: bufs.len(),
            msg_control: 0,
            msg_controllen: 0,
            msg_flags: 0,
        };
        RecvMessage {
            msg_hdr,
            msg_len: 0,
            borrowed: PhantomData,
        }
    }

    /// Returns the number of bytes that [`recvmmsg`](Socket::recvmmsg) received.
    pub fn bytes_received(&self) -> usize {
        self.msg_len as usize
    }

    /// Returns the flags that the kernel set for the message, such as
    /// [`MSG_TRUNC`](crate::socket::MSG_TRUNC): recvmsg(2) lists them.
    pub fn flags(&self) -> i32 {
        self.msg_hdr.msg_flags as i32
    }
}

impl<K: Kernel> Socket<K> {
    /// Sends `buf` to `addr`, or, if that is `None`, to the connection's peer. Returns the number of bytes
    /// sent.
    ///
    #[doc = call_doc!(sendto)]
    ///
    /// # Errors
    /// - Those of [`Fd::write`](crate::Fd::write). With `MSG_NOSIGNAL`, the process gets no `SIGPIPE`.
    /// - `EMSGSIZE`: `buf` is too long for a datagram.
    /// - `EDESTADDRREQ`: there is neither an address nor a peer.
    /// - `ENOTCONN`: the socket is not connected. (TCP returns `EPIPE`.)
    /// - `EISCONN`: there is an address, and the socket is a connected stream socket of `AF_UNIX`. (A
    ///   connected datagram socket sends to the address. TCP ignores the address.)
    pub fn sendto(&self, buf: &[u8], flags: i32, addr: Option<&Sockaddr>) -> Result<usize, Errno> {
        let (name, name_len) = addr.map_or((0, 0), |addr| (addr.ptr_arg(), addr.len_arg()));
        let buf_at = buf.as_ptr().expose_provenance();
        let args = [
            self.arg(),
            buf_at,
            buf.len(),
            flags as usize,
            name,
            name_len,
        ];
        // SAFETY: the kernel reads at most `buf.len()` bytes of `buf`, and `name_len` bytes of the
        // address unless it is null.
        into_result(unsafe { self.kernel().syscall(sc::nr::SENDTO, args) })
    }

    /// Receives up to `buf.len()` bytes. Returns the number of bytes and the sender's address. A TCP socket
    /// returns no address: the family is then `AF_UNSPEC`.
    ///
    /// If a datagram is longer than `buf`, its last bytes are discarded without an error.
    /// [`recvmsg`](Socket::recvmsg) reports the loss as `MSG_TRUNC` in [the flags](RecvMessage::flags).
    ///
    #[doc = call_doc!(recvfrom)]
    ///
    /// # Errors
    /// - Those of [`Fd::read`](crate::Fd::read).
    /// - `ENOTCONN`: the socket is not connected.
    pub fn recvfrom(&self, buf: &mut [u8], flags: i32) -> Result<(usize, Sockaddr), Errno> {
        let mut from = Sockaddr::zeroed();
        let [addr, len] = from.out_args();
        let buf_at = buf.as_mut_ptr().expose_provenance();
        let args = [self.arg(), buf_at, buf.len(), flags as usize, addr, len];
        // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`, at most `*len` bytes of
        // address to `from`, and its length.
        let count = into_result(unsafe { self.kernel().syscall(sc::nr::RECVFROM, args) })?;
        Ok((count, from))
    }

    /// Sends one message and returns the number of bytes sent.
    ///
    #[doc = call_doc!(sendmsg)]
    ///
    /// # Errors
    /// - Those of [`sendto`](Socket::sendto).
    /// - `EMSGSIZE`: there are more than `UIO_MAXIOV` buffers.
    pub fn sendmsg(&self, message: &SendMessage<'_>, flags: i32) -> Result<usize, Errno> {
        let header = (&raw const message.msg_hdr).expose_provenance();
        // SAFETY: the header describes an address and buffers that `message` borrows, and the
        // kernel only reads them.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::SENDMSG, [self.arg(), header, flags as usize])
        })
    }

    /// Receives one message and returns the number of bytes received.
    ///
    #[doc = call_doc!(recvmsg)]
    ///
    /// # Errors
    /// - Those of [`recvfrom`](Socket::recvfrom).
    /// - `EMSGSIZE`: there are more than `UIO_MAXIOV` buffers.
    pub fn recvmsg(&self, message: &mut RecvMessage<'_>, flags: i32) -> Result<usize, Errno> {
        let header = (&raw mut message.msg_hdr).expose_provenance();
        // SAFETY: the header describes buffers that `message` borrows mutably; the kernel writes
        // at most their lengths, and the header's own lengths and flags.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::RECVMSG, [self.arg(), header, flags as usize])
        })
    }

    /// Sends several messages in one call and returns the number of messages sent.
    /// [`bytes_sent`](SendMessage::bytes_sent) returns the number of bytes of each message.
    ///
    #[doc = call_doc!(sendmmsg)]
    ///
    /// # Errors
    /// - Those of [`sendmsg`](Socket::sendmsg), if the first message fails. If a later message fails, the
    ///   call returns the number of messages before it.
    pub fn sendmmsg(&self, messages: &mut [SendMessage<'_>], flags: i32) -> Result<usize, Errno> {
        let at = messages.as_mut_ptr().expose_provenance();
        let args = [self.arg(), at, messages.len(), flags as usize];
        // SAFETY: as for `sendmsg`, for each message; the kernel writes each one's `msg_len`.
        into_result(unsafe { self.kernel().syscall(sc::nr::SENDMMSG, args) })
    }

    /// Receives several messages in one call and returns their number.
    /// [`bytes_received`](RecvMessage::bytes_received) returns the number of bytes of each message.
    ///
    /// The kernel compares `timeout` with the clock only after each message (`recvmmsg(2)`, BUGS). A blocking
    /// call therefore waits for the first message without a limit. With `MSG_WAITFORONE` it waits for no
    /// later message; without that flag it waits for each later message without a limit, too. To wait for a
    /// limited time, call [`ppoll`](crate::poll::ppoll) first. The kernel overwrites the timeout with the
    /// time that is left. This function passes a copy.
    ///
    #[doc = call_doc!(recvmmsg)]
    ///
    /// # Errors
    /// - Those of [`recvmsg`](Socket::recvmsg), if the first message fails.
    pub fn recvmmsg(
        &self,
        messages: &mut [RecvMessage<'_>],
        flags: i32,
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        // A copy, because the kernel overwrites the timeout with the time that is left.
        let mut timeout = timeout.map(Timespec::from);
        let timeout = Timespec::address(&mut timeout);
        let at = messages.as_mut_ptr().expose_provenance();
        let args = [self.arg(), at, messages.len(), flags as usize, timeout];
        // SAFETY: as for `recvmsg`, for each message; the kernel writes each one's `msg_len`, and
        // reads and writes one timespec unless that is null.
        into_result(unsafe { self.kernel().syscall(sc::nr::RECVMMSG, args) })
    }
}
