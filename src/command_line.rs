//! The command line.

use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use std::ops::RangeInclusive;
use std::time::Duration;

use rawecho::engine::Spin;
use syscalls::trace::Format;

const HELP: &str = "\
A TCP echo server behind Maelstrom's protocol: JSON requests on standard input, one on each line,
and replies on standard output. With `serve`, the TCP server alone.

Usage: rawecho [OPTIONS]
       rawecho serve [--port PORT] [OPTIONS]

Options:
  --bind ADDR     listen on this IP address of the machine [default: 127.0.0.1]
  --workers N     serve with N threads, 1 to 64 [default: 1]
  --spin MICROS   poll for at most so long before sleeping, while a lone client is served;
                  0 to 10000, 0 turns it off [default: 60]
  --port PORT     with serve: listen on this port, 0 for any free one [default: 8080]
  --trace         write each system call to standard error, as strace does
  --trace=FILE    write them to this file
  --trace=regs    write the registers of each to standard error
  --help          show this text
  --version       show the version and the machine it is built for

Requests: init, tcp_echo_start, tcp_echo_send, tcp_echo_stats, tcp_echo_stop, echo.
With serve, SIGINT or SIGTERM ends the server when its conversations have ended, for which it
waits 5 seconds; a second signal ends it at once.
";

const VERSION: &str = concat!(
    "rawecho ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("RAWECHO_TARGET"),
    ")\n"
);

/// The port that `serve` listens on if none is given: the one that the task uses.
const DEFAULT_PORT: u16 = 8080;

/// Threads that serve. More of them than processors bring nothing.
const WORKERS: RangeInclusive<usize> = 1..=64;

/// Microseconds of polling. What takes longer than the upper end is no quick answer.
const SPIN_MICROS: RangeInclusive<u64> = 0..=10_000;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// To run with these options.
    Run(Options),
    /// To show this text.
    Show(&'static str),
}

/// How to run.
#[derive(Debug)]
pub struct Options {
    /// The port of the server alone, or none for a node.
    pub serve: Option<u16>,
    /// The address to listen on.
    pub bind: IpAddr,
    /// How many threads serve, the main one included.
    pub workers: usize,
    /// How long to poll before sleeping.
    pub spin: Duration,
    /// Where to write the system calls down, if at all.
    pub trace: Option<TraceTo>,
}

/// Where system calls are written down, and how.
#[derive(Debug)]
pub enum TraceTo {
    /// To standard error.
    Stderr(Format),
    /// To this file, as strace does.
    File(String),
}

/// Reads the arguments that follow the program's name. The error says what is wrong with them.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = args.peekable();
    let mut options = Options {
        serve: args.next_if(|arg| arg == "serve").map(|_| DEFAULT_PORT),
        bind: Ipv4Addr::LOCALHOST.into(),
        workers: *WORKERS.start(),
        spin: Spin::DEFAULT,
        trace: None,
    };
    while let Some(arg) = args.next() {
        match (arg.as_str(), &mut options.serve) {
            ("--bind", _) => options.bind = value(&arg, "an IP address", args.next(), |_| true)?,
            ("--workers", _) => {
                let expected = "an integer from 1 to 64";
                options.workers = value(&arg, expected, args.next(), |n| WORKERS.contains(n))?;
            }
            ("--spin", _) => {
                let expected = "an integer from 0 to 10000";
                let micros = value(&arg, expected, args.next(), |n| SPIN_MICROS.contains(n))?;
                options.spin = Duration::from_micros(micros);
            }
            ("--port", Some(port)) => {
                *port = value(&arg, "an integer from 0 to 65535", args.next(), |_| true)?;
            }
            ("--trace", _) => options.trace = Some(TraceTo::Stderr(Format::Calls)),
            ("--trace=regs", _) => options.trace = Some(TraceTo::Stderr(Format::Registers)),
            ("--trace=", _) => return Err("--trace=: expected regs or a file's name".into()),
            ("--help", _) => return Ok(Command::Show(HELP)),
            ("--version", _) => return Ok(Command::Show(VERSION)),
            (other, _) => match other.strip_prefix("--trace=") {
                Some(file) => options.trace = Some(TraceTo::File(file.into())),
                None => return Err(format!("unknown argument {arg:?}")),
            },
        }
    }
    Ok(Command::Run(options))
}

/// The value of `option`.
fn value<T: FromStr>(
    option: &str,
    expected: &str,
    found: Option<String>,
    allowed: impl FnOnce(&T) -> bool,
) -> Result<T, String> {
    let found = found.ok_or_else(|| format!("{option}: expected {expected} after it"))?;
    let value = found.parse().ok().filter(allowed);
    value.ok_or_else(|| format!("{option}: expected {expected}, found {found:?}"))
}
