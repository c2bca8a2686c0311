//! # 5. Many clients in one thread
//!
//! epoll holds a set of descriptors and reports which of them are ready. It reports a state
//! (level-triggered: "there is data to read") or a change (edge-triggered: "new data has arrived").
//! Three clients send six bytes each, and the server reads two bytes at a time. A round is one return of
//! `epoll_pwait` with events. Run it:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 05_many_clients
//! ```
//!
//! ```text
//! level-triggered, one read per event: 18 bytes, rounds: 3
//! edge-triggered, one read per event: 6 bytes, rounds: 1
//! edge-triggered, reads until EAGAIN: 18 bytes, rounds: 1
//! ```

use core::net::{Ipv4Addr, SocketAddr};

use syscalls::addr::AF_INET;
use syscalls::epoll::{EPOLL_CTL_ADD, EPOLLET, EPOLLIN, Epoll, EpollEvent};
use syscalls::poll::{POLLIN, PollFd, ppoll};
use syscalls::socket::{SOCK_NONBLOCK, SOCK_STREAM, Socket};
use syscalls::{Errno, Linux};

/// Serves the clients with epoll. `flags` contains the events to wait for. With `drain`, each event is
/// followed by reads until `EAGAIN`. Returns the number of bytes read, and the number of rounds.
fn serve(flags: u32, drain: bool) -> Result<(usize, usize), Errno> {
    let listener = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(3)?;
    let epoll = Epoll::new(Linux, 0)?;
    let (mut clients, mut connections) = (vec![], vec![]);
    for number in 0..3 {
        let client = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
        client.connect(&listener.getsockname()?)?;
        client.write(b"abcdef")?;
        let (connection, _address) = listener.accept4(SOCK_NONBLOCK)?;
        // Wait for the data: this program compares epoll's modes, not the speed of the network.
        ppoll(&Linux, &mut [PollFd::new(&connection, POLLIN)], None)?;
        // `data` comes back with each event. Here it is the connection's index.
        let (events, data) = (flags, number as u64);
        epoll.ctl(EPOLL_CTL_ADD, &connection, EpollEvent { events, data })?;
        clients.push(client);
        connections.push(connection);
    }
    let (mut bytes, mut rounds) = (0, 0);
    let mut events = [EpollEvent::default(); 16];
    loop {
        let count = epoll.wait(&mut events, 0)?; // 0 ms: does not wait, so the program ends
        if count == 0 {
            return Ok((bytes, rounds));
        }
        rounds += 1;
        for event in &events[..count] {
            let connection = &connections[event.data as usize];
            // Non-blocking: a read that finds nothing fails with EAGAIN and does not wait.
            while let Ok(count) = connection.read(&mut [0; 2]) {
                bytes += count;
                if !drain {
                    break;
                }
            }
        }
    }
}

/// Runs the program.
pub fn main() -> Result<(), Errno> {
    let (bytes, rounds) = serve(EPOLLIN, false)?;
    println!("level-triggered, one read per event: {bytes} bytes, rounds: {rounds}");
    let (bytes, rounds) = serve(EPOLLIN | EPOLLET, false)?;
    println!("edge-triggered, one read per event: {bytes} bytes, rounds: {rounds}");
    let (bytes, rounds) = serve(EPOLLIN | EPOLLET, true)?;
    println!("edge-triggered, reads until EAGAIN: {bytes} bytes, rounds: {rounds}");
    Ok(())
}

// Try:
// - Wait for 1000 ms instead of 0. The second server still misses 12 bytes, because no new data arrives.
// - At the end of the `loop` body, add `if rounds == 1 { clients[0].write(b"gh")?; }`. The second server
//   reads 8 bytes in 2 rounds: the event for the new bytes lets it read two of the old ones.
// - Import `EPOLLONESHOT`, and pass `EPOLLIN | EPOLLONESHOT` to the first server: 6 bytes in 1 round. After
//   each event, call `epoll.ctl` with `EPOLL_CTL_MOD`, which arms the connection again: 18 bytes in 3.
