//! One message at a time on one blocking socket. A round trip takes only a `write` and a `read`, so that
//! the server's share of the time is as large as possible.
//!
//! The client may wait between an echo and its next message, its think time. It busy-waits, because a timer
//! would add about 50 µs.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::nanoseconds;
use crate::connection::Connection;
use crate::open::STALL;
use crate::pattern::{MAX_IO, Pattern};
use crate::recorder::{Phase, Recorder};

/// Repeatedly sends a message of `size` bytes, waits for its echo and busy-waits for `think`, until the
/// recorder has measured long enough.
///
/// # Errors
/// If the connection breaks, a byte is wrong or the server sends nothing for [`STALL`].
///
/// # Panics
/// If `size` is more than [`MAX_IO`]: the client does not read while it writes,
/// so a message larger than the kernel's buffers would never be complete.
pub fn run(
    connection: &mut Connection,
    size: u64,
    think: Duration,
    pattern: &Pattern,
    recorder: &mut Recorder,
) -> Result<()> {
    assert!(size <= MAX_IO as u64, "a message of {size} bytes");
    let mut buffer = [0; MAX_IO];
    let mut before = recorder.now();
    while recorder.tick(before)? != Phase::Over {
        let goal = connection.sent() + size;
        connection.send_up_to(goal, pattern)?;
        while connection.received() < goal {
            let length = connection.receive(pattern, &mut buffer)?;
            ensure!(length > 0, "the server sent nothing for {STALL:?}");
            recorder.count(length);
        }
        let after = recorder.now();
        recorder.message(before, after);
        before = after;
        while before < after + nanoseconds(think) {
            before = recorder.now();
        }
    }
    Ok(())
}
