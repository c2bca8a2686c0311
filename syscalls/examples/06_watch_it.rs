//! # 6. A kernel of your own
//!
//! Each typed call goes through the trait `Kernel`. `Linux` is the real kernel, and `Traced` logs each
//! call. This program adds a kernel that fails every third call. Run it:
//!
//! ```console
//! $ cargo run -q -p rawecho-syscalls --example 06_watch_it
//! ```
//!
//! ```text
//! socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = …
//! ⋮
//! read(…, "hi", 64) = 2
//! write(…, "hi", 2) = 2
//! ⋮
//! ```
//!
//! Then the program serves again and prints the registers of each call. The output begins like this:
//! ```text x86_64
//! rax=41 (socket) rdi=0x2 rsi=0x1 rdx=0x0 -> rax=…
//! ⋮
//! ```
//! ```text aarch64
//! x8=198 (socket) x0=0x2 x1=0x1 x2=0x0 -> x0=…
//! ⋮
//! ```
//! Finally, every third call fails:
//! ```text
//! call 3, listen, fails
//! served: Err(ENOMEM (12): Cannot allocate memory)
//! ```

use core::cell::Cell;
use core::net::{Ipv4Addr, SocketAddr};

use syscalls::addr::AF_INET;
use syscalls::socket::SOCK_STREAM;
use syscalls::trace::{Format, Trace, Traced};
use syscalls::{Call, Errno, Kernel, Linux, Socket, stdout};

/// The real kernel, but every third call fails with `ENOMEM`. The cell counts the calls.
#[derive(Clone)]
struct FailsEveryThird<'c>(&'c Cell<u32>);

// SAFETY: each result is that of Linux, or an error, which creates no descriptor and changes no memory.
unsafe impl Kernel for FailsEveryThird<'_> {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        let count = self.0.get() + 1;
        self.0.set(count);
        if count % 3 == 0 {
            println!("call {count}, {}, fails", Call::by_number(nr).unwrap().name);
            return Errno::ENOMEM.to_result();
        }
        // SAFETY: the caller upholds the contract of the call.
        unsafe { Linux.syscall(nr, args) }
    }
}

/// Echoes to one client. Only the server's calls go through `kernel`.
fn serve_one<K: Kernel>(kernel: K) -> Result<(), Errno> {
    let listener = Socket::new(kernel, AF_INET, SOCK_STREAM, 0)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let client = Socket::new(Linux, AF_INET, SOCK_STREAM, 0)?;
    client.connect(&listener.getsockname()?)?;
    client.write(b"hi")?;
    let (connection, _addr) = listener.accept()?;
    let mut buf = [0; 64];
    let count = connection.read(&mut buf)?;
    connection.write(&buf[..count])?;
    Ok(())
}

/// Runs the program.
pub fn main() {
    let calls = Trace::new(stdout(Linux), Format::Calls);
    println!("served: {:?}", serve_one(Traced::new(Linux, &calls)));
    let registers = Trace::new(stdout(Linux), Format::Registers);
    println!("served: {:?}", serve_one(Traced::new(Linux, &registers)));
    println!("served: {:?}", serve_one(FailsEveryThird(&Cell::new(0))));
}

// Try:
// - Fail with `Errno::EINTR`, and wrap each of the server's calls: `retry_on_eintr(|| listener.listen(1))?`.
//   (For `Socket::new`, pass `kernel.clone()`.) Now the server succeeds. `close` fails in `drop`, which ignores
//   the error. Why must `close` and `connect` not be repeated? (See `retry_on_eintr` in `errno.rs`.)
// - Fail every fourth call instead of every third. Which line of `serve_one` returns the error?
