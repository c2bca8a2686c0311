//! # 3. An echo server from eight numbers
//!
//! socket, bind, listen, getsockname, accept, read, write, close: each is a number and its arguments.
//! `accept` and `read` wait until there is something to do, so one client is served after the other. Run
//! the first command, and the second when the first has printed its line:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 03_socket_by_number &
//! Listening on 127.0.0.1, port 7007.
//! $ echo hi | nc -N 127.0.0.1 7007
//! hi
//! $ kill %1
//! ```
//!
//! If port 7007 is in use, name another port, or 0 for any free one: `--example 03_socket_by_number 0`.

use std::env;

use syscalls::addr::SockaddrIn;
use syscalls::{Errno, Kernel, Linux, into_result};

/// The numbers of socket, bind, listen and getsockname; of accept, read, write and close.
#[cfg(target_arch = "x86_64")]
const NUMBERS: [[usize; 4]; 2] = [[41, 49, 50, 51], [43, 0, 1, 3]];
#[cfg(target_arch = "aarch64")]
const NUMBERS: [[usize; 4]; 2] = [[198, 200, 201, 204], [202, 63, 64, 57]];
const AF_INET: usize = 2;
const SOCK_STREAM: usize = 1; // TCP

/// Returns the address of `variable` as a number. `expose_provenance` does what a cast to `usize` does. Its
/// name states the purpose: the compiler must assume that other code, here the kernel, turns the number into
/// a pointer again and changes the variable.
fn at<T>(variable: &mut T) -> usize {
    (&raw mut *variable).expose_provenance()
}

/// Issues call `number`.
///
/// # Safety
/// Each argument that the call uses as an address must point to memory that the call may read or write.
unsafe fn call<const N: usize>(number: usize, args: [usize; N]) -> Result<usize, Errno> {
    // SAFETY: the caller upholds the contract.
    into_result(unsafe { Linux.syscall(number, args) })
}

/// Runs the server on the port that the first argument names.
pub fn main() -> Result<(), Errno> {
    let port = env::args().nth(1).unwrap_or("7007".into());
    let port: u16 = port.parse().expect("the port is a number");
    let [socket, bind, listen, getsockname] = NUMBERS[0];
    let [accept, read, write, close] = NUMBERS[1];
    let mut addr = SockaddrIn {
        sin_family: AF_INET as u16,
        sin_port: port.to_be(), // in network byte order: the most significant byte first
        sin_addr: [127, 0, 0, 1],
        sin_zero: [0; 8],
    };
    let mut addr_len = size_of::<SockaddrIn>() as u32;
    let mut buffer = [0_u8; 4096];
    let [addr_at, len_at, buffer_at] = [at(&mut addr), at(&mut addr_len), at(&mut buffer)];
    // SAFETY: each address is that of a variable above, and each length is at most its size.
    unsafe {
        let listener = call(socket, [AF_INET, SOCK_STREAM, 0])?;
        call(bind, [listener, addr_at, addr_len as usize])?;
        call(listen, [listener, 16])?; // 17 clients may wait for accept: Linux queues one more
        call(getsockname, [listener, addr_at, len_at])?; // which port it is, if `port` was 0
        let port = u16::from_be(addr.sin_port);
        println!("Listening on 127.0.0.1, port {port}.");
        loop {
            let client = call(accept, [listener, 0, 0])?; // a new descriptor for this client
            // 0 bytes: the client has shut down its sending side.
            while let len @ 1.. = call(read, [client, buffer_at, buffer.len()])? {
                let mut sent = 0;
                while sent < len {
                    sent += call(write, [client, buffer_at + sent, len - sent])?; // may write only a part
                }
            }
            call(close, [client])?;
        }
    }
}

// Try:
// - Connect two clients with `nc 127.0.0.1 7007`. The second gets no echo until the first ends.
// - End the server while a client is connected, and start it again: bind fails with EADDRINUSE. The kernel
//   keeps the old connection for about a minute. Another port works at once, and so does this one if
//   SO_REUSEADDR is set before bind, in both runs.
