//! The program `rawecho`: parses the command line, then runs the node, the server or `--help`.

#![forbid(unsafe_code)]
// An `as` cast must keep the value.
#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

mod command_line;
mod trace_output;

use core::net::SocketAddr;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread;

use rawecho::engine::{Engine, Polling, SyscallError};
use rawecho::stdio::{ExitReason, diagnostic};
use rawecho::{node, serve, setup};
use syscalls::trace::{Trace, Traced};
use syscalls::{Errno, Kernel, Linux, retry_on_eintr, stdout};

use command_line::{Command, Options};

/// The exit code for an invalid command line, by convention.
const USAGE_ERROR: u8 = 2;

/// The trace of `--trace`. It is static because every thread writes to it until the process ends.
static TRACE: OnceLock<Trace<Linux>> = OnceLock::new();

fn main() -> ExitCode {
    let args = env::args_os().skip(1).map(OsString::into_string);
    let args: Result<Vec<String>, OsString> = args.collect();
    let command = args
        .map_err(|arg| format!("{arg:?} is not UTF-8"))
        .and_then(|args| command_line::parse(args.into_iter()));
    match command {
        Ok(Command::Run(options)) => match options.trace.as_ref().map(trace_output::open) {
            None => run(Linux, &options),
            Some(Ok(trace)) => {
                let trace = TRACE.get_or_init(|| trace);
                match run(Traced::new(Linux, trace), &options) {
                    // `trace_output` has already reported the failure on standard error.
                    code if trace.failed() && code == ExitCode::SUCCESS => ExitCode::FAILURE,
                    code => code,
                }
            }
            Some(Err(reason)) => {
                diagnostic(&Linux, format_args!("{reason}"));
                ExitCode::FAILURE
            }
        },
        Ok(Command::Show(text)) => show(&text),
        Err(reason) => {
            diagnostic(&Linux, format_args!("{reason}; see rawecho --help"));
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Runs the node or the server, depending on `options`. Makes its system calls through `kernel`.
fn run<K: Kernel + Send + Sync + 'static>(kernel: K, options: &Options) -> ExitCode {
    match try_run(&kernel, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            diagnostic(&kernel, format_args!("{reason}"));
            ExitCode::FAILURE
        }
    }
}

fn try_run<K: Kernel + Send + Sync + 'static>(
    kernel: &K,
    options: &Options,
) -> Result<(), ExitReason> {
    setup::prepare(kernel);
    // Block the signals before the workers start, because threads inherit the signal mask.
    let signals = match options.serve {
        Some(_) => Some(serve::end_signals(kernel)?),
        None => {
            setup::end_on_sigterm(kernel);
            None
        }
    };
    let polling = Polling::new(options.spin);
    let mut engine = Engine::new(kernel.clone(), polling)?;
    // The main thread serves as well.
    for worker in engine.add_workers(options.workers - 1, polling)? {
        let kernel = kernel.clone();
        let run = move || {
            if let Err(failure) = worker.run() {
                diagnostic(
                    &kernel,
                    format_args!("{failure}; continuing without this worker"),
                );
            }
        };
        thread::Builder::new()
            .name("worker".into())
            .spawn(run)
            .map_err(|error| {
                let number = error.raw_os_error().and_then(|it| u16::try_from(it).ok());
                // An error without a number comes from Rust's library, for lack of memory.
                SyscallError::new("clone", number.map_or(Errno::EAGAIN, Errno::new))
            })?;
    }
    match (options.serve, signals) {
        (Some(port), Some(signals)) => {
            let address = SocketAddr::new(options.bind, port);
            serve::run(kernel.clone(), engine, &signals, address)
        }
        _ => node::run(kernel.clone(), engine, options.bind),
    }
}

/// Writes `text` to standard output.
fn show(text: &str) -> ExitCode {
    // The text is shorter than PIPE_BUF, so a pipe accepts all of it in one write.
    match retry_on_eintr(|| stdout(Linux).write(text.as_bytes())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(errno) => {
            let failure = SyscallError::new("write to standard output", errno);
            diagnostic(&Linux, format_args!("{failure}"));
            ExitCode::FAILURE
        }
    }
}
