//! The `serve` command: the TCP server without Maelstrom, until SIGINT or SIGTERM arrives.

use core::net::SocketAddr;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use syscalls::signal::{
    SFD_CLOEXEC, SFD_NONBLOCK, SIG_BLOCK, SIGINT, SIGNALFD_SIGINFO_SIZE, SIGTERM, SigSet,
    rt_sigprocmask, signalfd4,
};
use syscalls::{Errno, Fd, Kernel, retry_on_eintr};

use crate::engine::{Counts, Engine, SyscallError, Watch};
use crate::json;
use crate::stdio::{ExitReason, Output};

/// How long open connections may continue after the first signal. A second signal closes them at
/// once.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The signals that end the server.
const END: SigSet = SigSet::new(&[SIGINT, SIGTERM]);

/// Blocks the signals that end the server, and returns a descriptor from which they are read.
///
/// Call this before the first thread starts, because threads inherit the signal mask. The kernel could
/// deliver a signal to a thread that does not block it, and the default action would kill the process.
///
/// # Errors
/// Those of `rt_sigprocmask` and `signalfd4`.
pub fn end_signals<K: Kernel>(kernel: &K) -> Result<Fd<K>, SyscallError> {
    rt_sigprocmask(kernel, SIG_BLOCK, END)
        .map_err(|errno| SyscallError::new("rt_sigprocmask", errno))?;
    signalfd4(kernel.clone(), END, SFD_CLOEXEC | SFD_NONBLOCK)
        .map_err(|errno| SyscallError::new("signalfd4", errno))
}

/// Serves on `address` with `engine` until a signal can be read from `signals`. Writes a line of JSON
/// once the server listens, and another with the totals at the end.
///
/// # Errors
/// The failure that ended the server before a signal did.
pub fn run<K: Kernel>(
    kernel: K,
    mut engine: Engine<K>,
    signals: &Fd<K>,
    address: SocketAddr,
) -> Result<(), ExitReason> {
    let mut output = Output::new(kernel);
    let address = engine.start(address)?;
    json::write_line(&mut output.lines, &Status::Listening(address));
    flush(&mut output, &mut engine, signals)?;
    wait_for_signal(&mut engine, signals)?;
    // A second signal must wake the engine while it drains connections.
    engine.watch(signals, Watch::Input)?;
    engine.stop(SHUTDOWN_TIMEOUT);
    json::write_line(
        &mut output.lines,
        &Status::Stopped(address, engine.totals()),
    );
    flush(&mut output, &mut engine, signals)
}

/// Writes a status line. If a signal arrives while standard output is full, the line is abandoned,
/// so that a stalled reader cannot prevent the shutdown.
fn flush<K: Kernel>(
    output: &mut Output<K>,
    engine: &mut Engine<K>,
    signals: &Fd<K>,
) -> Result<(), ExitReason> {
    engine.watch(signals, Watch::Input)?;
    match output.flush(engine) {
        Err(ExitReason::Interrupted) => Ok(()),
        written => written,
    }
}

fn wait_for_signal<K: Kernel>(engine: &mut Engine<K>, signals: &Fd<K>) -> Result<(), SyscallError> {
    loop {
        engine.watch(signals, Watch::Input)?;
        while !engine.turn(None)?.input {}
        match retry_on_eintr(|| signals.read(&mut [0; SIGNALFD_SIGINFO_SIZE])) {
            // The event was spurious: no signal is pending.
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(SyscallError::new("read of the signal", errno)),
            Ok(_) => return Ok(()),
        }
    }
}

/// A status line of the server.
enum Status {
    Listening(SocketAddr),
    Stopped(SocketAddr, Counts),
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (status, address, counts) = match self {
            Status::Listening(address) => ("listening", address, None),
            Status::Stopped(address, counts) => ("stopped", address, Some(counts)),
        };
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("status", status)?;
        line.serialize_entry("address", &address.ip())?;
        line.serialize_entry("port", &address.port())?;
        if let Some(Counts { connections, bytes }) = counts {
            line.serialize_entry("total_connections", connections)?;
            line.serialize_entry("total_bytes", bytes)?;
        }
        line.end()
    }
}
