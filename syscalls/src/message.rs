//! Messages in and out of a socket: the `send` and `recv` families.
//!
//! x86_64 and aarch64 have no `send` and `recv`: they are `sendto` and `recvfrom` without an
//! address. Ancillary data (`cmsg(3)`) is left out: descriptors that arrive in it would need an
//! owner before they can be used safely.

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
    /// The bytes of `bufs`, one after the other, for `addr`, or for the connection's peer.
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

    /// After [`sendmmsg`](Socket::sendmmsg): the bytes sent of this message.
    pub fn bytes_sent(&self) -> usize {
        self.msg_len as usize
    }
}

/// Room for a message to receive: `struct mmsghdr`, `include/linux/socket.h`.
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
    /// Room in `bufs`, each filled before the next. The sender's address is left out.
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

    /// After [`recvmmsg`](Socket::recvmmsg): the bytes received.
    pub fn bytes_received(&self) -> usize {
        self.msg_len as usize
    }

    /// What the kernel says of the message: 0 or some of [`MESSAGE_FLAGS`](crate::socket::MESSAGE_FLAGS),
    /// such as `MSG_TRUNC`.
    pub fn flags(&self) -> i32 {
        self.msg_hdr.msg_flags as i32
    }
}

impl<K: Kernel> Socket<K> {
    /// Sends `buf` to `addr`, or to the connection's peer, and returns how many bytes were taken.
    ///
    #[doc = call_doc!(sendto)]
    ///
    /// # Errors
    /// As for [`Fd::write`](crate::Fd::write), but `MSG_NOSIGNAL` spares the `SIGPIPE`. `EMSGSIZE`:
    /// too long for a datagram. `EDESTADDRREQ`: no address, and no peer. `ENOTCONN`: not connected,
    /// for which TCP says `EPIPE`. `EISCONN`: an address, but connected (TCP lets it pass).
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
        // SAFETY: the kernel reads at most `buf.len()` bytes of `buf`, and the address, no more
        // than there is of it, unless it is null.
        into_result(unsafe { self.kernel().syscall(sc::nr::SENDTO, args) })
    }

    /// Receives at most `buf.len()` bytes; returns how many, and the sender's address (of family
    /// `AF_UNSPEC` on a connection).
    ///
    #[doc = call_doc!(recvfrom)]
    ///
    /// # Errors
    /// As for [`Fd::read`](crate::Fd::read); `ENOTCONN`: not connected.
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

    /// Sends one message, and returns how many bytes were taken.
    ///
    #[doc = call_doc!(sendmsg)]
    ///
    /// # Errors
    /// As for [`sendto`](Socket::sendto); `EMSGSIZE`: also for more than `UIO_MAXIOV` buffers.
    pub fn sendmsg(&self, message: &SendMessage<'_>, flags: i32) -> Result<usize, Errno> {
        let header = (&raw const message.msg_hdr).expose_provenance();
        // SAFETY: the header describes an address and buffers that `message` borrows, and the
        // kernel only reads them.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::SENDMSG, [self.arg(), header, flags as usize])
        })
    }

    /// Receives one message, and returns how many bytes it had.
    ///
    #[doc = call_doc!(recvmsg)]
    ///
    /// # Errors
    /// As for [`recvfrom`](Socket::recvfrom); `EMSGSIZE`: more than `UIO_MAXIOV` buffers.
    pub fn recvmsg(&self, message: &mut RecvMessage<'_>, flags: i32) -> Result<usize, Errno> {
        let header = (&raw mut message.msg_hdr).expose_provenance();
        // SAFETY: the header describes buffers that `message` borrows mutably; the kernel writes
        // at most their lengths, and the header's own lengths and flags.
        into_result(unsafe {
            self.kernel()
                .syscall(sc::nr::RECVMSG, [self.arg(), header, flags as usize])
        })
    }

    /// Sends several messages in one call, and returns how many went out. Each tells
    /// [how much of it](SendMessage::bytes_sent).
    ///
    #[doc = call_doc!(sendmmsg)]
    ///
    /// # Errors
    /// As for [`sendmsg`](Socket::sendmsg), if the first message fails.
    pub fn sendmmsg(&self, messages: &mut [SendMessage<'_>], flags: i32) -> Result<usize, Errno> {
        let at = messages.as_mut_ptr().expose_provenance();
        let args = [self.arg(), at, messages.len(), flags as usize];
        // SAFETY: as for `sendmsg`, for each message; the kernel writes each one's `msg_len`.
        into_result(unsafe { self.kernel().syscall(sc::nr::SENDMMSG, args) })
    }

    /// Receives several messages in one call, and returns how many. Each tells
    /// [how long it is](RecvMessage::bytes_received).
    ///
    /// `timeout` is looked at after each message only: without `MSG_WAITFORONE`, a call that has
    /// some messages and waits for more can wait past it (`recvmmsg(2)`, BUGS). The kernel writes the
    /// time that was left to it; here, to a copy.
    ///
    #[doc = call_doc!(recvmmsg)]
    ///
    /// # Errors
    /// As for [`recvmsg`](Socket::recvmsg), if the first message fails.
    pub fn recvmmsg(
        &self,
        messages: &mut [RecvMessage<'_>],
        flags: i32,
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        // The kernel writes the time that is left into it, so it has to be a copy that may change.
        let mut timeout = timeout.map(Timespec::from);
        let timeout = Timespec::address(&mut timeout);
        let at = messages.as_mut_ptr().expose_provenance();
        let args = [self.arg(), at, messages.len(), flags as usize, timeout];
        // SAFETY: as for `recvmsg`, for each message; the kernel writes each one's `msg_len`, and
        // reads and writes one timespec unless that is null.
        into_result(unsafe { self.kernel().syscall(sc::nr::RECVMMSG, args) })
    }
}
