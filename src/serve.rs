//! The server alone, without Maelstrom: it serves until it gets a signal.

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
use crate::workers::Workers;

/// How long open conversations may go on after the first signal. A second one ends them at once.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The signals that end the server.
const END: SigSet = SigSet::new(&[SIGINT, SIGTERM]);

/// Blocks the signals that end the server, and returns a descriptor from which they are read. It
/// must come before any thread starts: a thread that did not block them would be killed by them.
///
/// # Errors
/// `rt_sigprocmask`'s and `signalfd4`'s.
pub fn end_signals<K: Kernel>(kernel: &K) -> Result<Fd<K>, SyscallError> {
    rt_sigprocmask(kernel, SIG_BLOCK, END)
        .map_err(|errno| SyscallError::new("rt_sigprocmask", errno))?;
    signalfd4(kernel.clone(), END, SFD_CLOEXEC | SFD_NONBLOCK)
        .map_err(|errno| SyscallError::new("signalfd4", errno))
}

/// Serves on `address` with `engine` and `workers` until one of `signals` comes. Writes a line of
/// JSON when it listens, and one with the totals at the end.
///
/// # Errors
/// Why it had to stop before.
pub fn run<K: Kernel>(
    kernel: K,
    mut engine: Engine<K>,
    workers: &Workers<K>,
    signals: &Fd<K>,
    address: SocketAddr,
) -> Result<(), ExitReason> {
    let mut output = Output::new(kernel);
    let address = workers.start(&mut engine, address)?;
    json::write_line(&mut output.lines, &Status::Listening(address));
    flush(&mut output, &mut engine, signals)?;
    wait_for_signal(&mut engine, signals)?;
    // A second signal is to wake the engine while it stops.
    engine.watch(signals, Watch::Input)?;
    workers.stop(&mut engine, SHUTDOWN_TIMEOUT);
    json::write_line(
        &mut output.lines,
        &Status::Stopped(address, engine.totals()),
    );
    flush(&mut output, &mut engine, signals)
}

/// Writes a status line, unless a signal comes while there is no room for it: who does not read
/// cannot keep the server from ending.
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
            // Somebody else in the process has taken it.
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(SyscallError::new("read of the signal", errno)),
            Ok(_) => return Ok(()),
        }
    }
}

/// What the server says of itself.
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
