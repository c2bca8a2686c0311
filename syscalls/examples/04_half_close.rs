//! # 4. How a connection ends
//!
//! A TCP connection has two directions, and each can be ended separately. This program is both the client
//! and the server, so the order of the steps is fixed. Run it:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 04_half_close
//! ```
//!
//! ```text
//! The server read 8 bytes, then 0: the client ended its sending side.
//! The client read "answer": the other direction still works.
//! The client read 0: the server has closed.
//! The server closed a connection with unread data in it.
//! The client's read: Err(ECONNRESET (104): Connection reset by peer)
//! The client's write: Err(EPIPE (32): Broken pipe)
//! ```

use core::net::{Ipv4Addr, SocketAddr};

use syscalls::addr::AF_INET;
use syscalls::poll::{POLLIN, PollFd, ppoll};
use syscalls::signal::{SIGPIPE, rt_sigaction_ignore};
use syscalls::socket::{SHUT_WR, SOCK_STREAM};
use syscalls::{Errno, Linux, Socket};

/// Connects a new client to `listener`, and returns the client's socket and the server's.
fn connection(listener: &Socket<Linux>) -> Result<[Socket<Linux>; 2], Errno> {
    let client = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
    // The kernel completes the connection and queues it. `accept` takes it out of the queue.
    client.connect(&listener.getsockname()?)?;
    let (server, _client_address) = listener.accept()?;
    Ok([client, server])
}

/// Runs the program.
pub fn main() -> Result<(), Errno> {
    // The first call after a reset returns ECONNRESET. A write after that returns EPIPE and raises SIGPIPE,
    // which ends a process that does not ignore it.
    rt_sigaction_ignore(&Linux, SIGPIPE)?;
    let listener = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let mut buf = [0; 64];

    let [client, server] = connection(&listener)?;
    client.write(b"question")?;
    client.shutdown(SHUT_WR)?; // sends a FIN segment: the end of the client's stream
    let (first, second) = (server.read(&mut buf)?, server.read(&mut buf)?);
    println!("The server read {first} bytes, then {second}: the client ended its sending side.");
    server.write(b"answer")?;
    let count = client.read(&mut buf)?;
    let text = String::from_utf8_lossy(&buf[..count]);
    println!("The client read {text:?}: the other direction still works.");
    drop(server); // closes the socket, which sends a FIN segment, too
    let count = client.read(&mut buf)?;
    println!("The client read {count}: the server has closed.");

    let [client, server] = connection(&listener)?;
    client.write(b"never read")?;
    // Wait until the data has arrived. Otherwise close would find no unread data.
    ppoll(&Linux, &mut [PollFd::new(&server, POLLIN)], None)?;
    drop(server); // sends a RST segment, which aborts the connection: the data is lost (RFC 2525, 2.17)
    println!("The server closed a connection with unread data in it.");
    // The read reports the reset, so the write gets EPIPE.
    println!("The client's read: {:?}", client.read(&mut buf));
    println!("The client's write: {:?}", client.write(b"more"));
    Ok(())
}

// Try:
// - Leave `client.shutdown(SHUT_WR)` out. Which call now waits forever, and for what?
// - Leave `rt_sigaction_ignore` out. Rust's runtime ignores SIGPIPE before `main`, so nothing
//   changes. Program 7 has no such runtime.
// - Let the server read "never read" before it closes. What do the client's calls return now? The write
//   succeeds: `Ok` means that the kernel took the bytes. The peer answers with RST, and the next write fails
//   with EPIPE.
