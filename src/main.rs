//! The program: what the command line asks for, put together.

#![forbid(unsafe_code)]

mod command_line;

use core::net::SocketAddr;
use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use rawecho::engine::{Engine, Spin, Totals};
use rawecho::stdio::{Stop, note};
use rawecho::workers::Workers;
use rawecho::{node, serve, setup};
use syscalls::{Kernel, Linux, retry, stdout};

use command_line::{Command, Options};

/// The exit code for a command line that cannot be understood, as most programs have it.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let args = env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    match command_line::parse(args) {
        Ok(Command::Run(options)) => run(Linux, &options),
        Ok(Command::Show(text)) => show(text),
        Err(reason) => {
            note(&Linux, format_args!("{reason}; see rawecho --help"));
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Runs what `options` say over `kernel`.
fn run<K: Kernel + Send + Sync + 'static>(kernel: K, options: &Options) -> ExitCode {
    match try_run(&kernel, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::OutputClosed) => ExitCode::FAILURE,
        Err(Stop::Failed(failure)) => {
            note(&kernel, format_args!("{failure}"));
            ExitCode::FAILURE
        }
    }
}

fn try_run<K: Kernel + Send + Sync + 'static>(kernel: &K, options: &Options) -> Result<(), Stop> {
    setup::prepare(kernel);
    // Before the workers start: they inherit which signals are blocked.
    let signals = options
        .serve
        .map(|_| serve::end_signals(kernel))
        .transpose()?;
    let (spin, totals) = (Spin::new(options.spin), Arc::new(Totals::default()));
    let engine = Engine::new(kernel.clone(), spin, Arc::clone(&totals))?;
    // The main thread is one of them.
    let workers = Workers::spawn(kernel, options.workers - 1, spin, &totals)?;
    match (options.serve, signals) {
        (Some(port), Some(signals)) => {
            let address = SocketAddr::new(options.bind, port);
            serve::run(kernel.clone(), engine, &workers, &signals, address)
        }
        _ => node::run(kernel.clone(), engine, workers, options.bind),
    }
}

/// Writes `text` to standard output.
fn show(text: &str) -> ExitCode {
    // It is shorter than what a pipe holds, so one write takes all of it.
    match retry(|| stdout(Linux).write(text.as_bytes())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
