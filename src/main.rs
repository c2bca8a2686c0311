//! The command line: `rawecho [--bind ADDR]` runs a Maelstrom node.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr};
use std::env;
use std::process::ExitCode;

use rawecho::node::{self, Stop, note};
use rawecho::setup;
use syscalls::{Linux, retry, stdout};

const HELP: &str = "\
A TCP echo server behind Maelstrom's protocol: JSON requests on standard input, a line each, replies
on standard output.

Usage: rawecho [--bind ADDR]

Options:
  --bind ADDR  listen on this IP address of the machine [default: 127.0.0.1]
  --help       show this text
  --version    show the version and the machine it is built for

Requests: init, tcp_echo_start, tcp_echo_send, tcp_echo_stats, tcp_echo_stop, echo.
";

const VERSION: &str = concat!(
    "rawecho ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("RAWECHO_TARGET"),
    ")\n"
);

/// The exit code for a command line that cannot be understood, as most programs have it.
const USAGE_ERROR: u8 = 2;

/// What the command line asks for.
enum Command {
    Run { bind: IpAddr },
    Show(&'static str),
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bind" => {
                let value = args
                    .next()
                    .ok_or("--bind: expected an IP address after it")?;
                bind = value
                    .parse()
                    .map_err(|_| format!("--bind: expected an IP address, found {value:?}"))?;
            }
            "--help" => return Ok(Command::Show(HELP)),
            "--version" => return Ok(Command::Show(VERSION)),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    Ok(Command::Run { bind })
}

fn main() -> ExitCode {
    let args = env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    let outcome = match parse(args) {
        Ok(Command::Run { bind }) => setup::prepare(&Linux)
            .map_err(Stop::Failed)
            .and_then(|()| node::run(Linux, bind)),
        Ok(Command::Show(text)) => {
            // Shorter than a pipe's buffer, so one write takes all of it.
            return match retry(|| stdout(Linux).write(text.as_bytes())) {
                Ok(_) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Err(reason) => {
            note(&Linux, format_args!("{reason}; see rawecho --help"));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::OutputClosed) => ExitCode::FAILURE,
        Err(Stop::Failed(failure)) => {
            note(&Linux, format_args!("{failure}"));
            ExitCode::FAILURE
        }
    }
}
