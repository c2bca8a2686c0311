//! Opens many connections.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};

use crate::connection::Connection;
use crate::pattern::{MAX_IO, Pattern};

/// The time without bytes from the server after which a run fails. It is long enough for several
/// retransmissions of a dropped segment: with TCP's minimum timeout of 0.2 s, five take about 6 s.
pub const STALL: Duration = Duration::from_secs(10);

/// Bytes echoed on a new connection before it counts as open. To the client, a connection in the kernel's
/// backlog looks open even if the server has not accepted it.
pub const GREETING: u64 = 64;

/// The number of connections opened before their greetings are awaited. It is below 128, the smallest
/// backlog of the servers, so no SYN is dropped.
const BATCH: u64 = 64;

/// The number of connections from one address before the next is used. By default, Linux has 28,232 ephemeral
/// ports for each pair of addresses. It tries the odd or the even ones first, one after the other, and a closed
/// connection keeps its port in TIME_WAIT. The search becomes slow well before half of them are in use.
const PER_SOURCE: u64 = 4_000;

/// The number of source addresses. After 800,000 connections, the ports of the first address can be used
/// again: on loopback, Linux reuses a port in TIME_WAIT after a second (`net.ipv4.tcp_tw_reuse` is 2).
const SOURCES: u64 = 200;

/// Connects for the `nth` time to the server at `port`, with a blocking socket.
///
/// # Errors
/// If a limit is reached (descriptors, ports) or the connection is refused.
pub fn dial(nth: u64, port: u16) -> Result<TcpStream> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let source = (nth / PER_SOURCE) % SOURCES;
    if source > 0 {
        let address = Ipv4Addr::new(127, 0, 0, 1 + source as u8);
        // Otherwise, bind would look for a port that is free for every destination.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        bind(
            socket.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(address, 0)),
        )?;
    }
    let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    connect(socket.as_raw_fd(), &SockaddrIn::from(server)).context("connect")?;
    Ok(TcpStream::from(socket))
}

/// Opens `count` connections and echoes [`GREETING`] bytes over each.
///
/// # Errors
/// If not all can be opened. The error says how many were open before the batch that failed.
pub fn open(count: u64, port: u16, pattern: &Pattern) -> Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count as usize);
    while (connections.len() as u64) < count {
        let done = connections.len();
        open_batch(&mut connections, count, port, pattern)
            .with_context(|| format!("stopped at {done} of {count} connections"))?;
    }
    Ok(connections)
}

fn open_batch(
    connections: &mut Vec<Connection>,
    count: u64,
    port: u16,
    pattern: &Pattern,
) -> Result<()> {
    let first = connections.len() as u64;
    for key in first..count.min(first + BATCH) {
        let stream = dial(key, port)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STALL))?;
        // Reset the connection on close: no TIME_WAIT, and no wait for bytes in flight.
        setsockopt(
            &stream,
            sockopt::Linger,
            &nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            },
        )?;
        let mut connection = Connection::new(stream, key);
        connection.send_up_to(GREETING, pattern)?;
        connections.push(connection);
    }
    let mut buffer = [0; MAX_IO];
    for connection in &mut connections[first as usize..] {
        while connection.received() < GREETING {
            let length = connection.receive(pattern, &mut buffer)?;
            ensure!(length > 0, "no answer to a greeting within {STALL:?}");
        }
    }
    Ok(())
}
