//! The command line, by GNU's conventions: one table of options, used for parsing and for `--help`.

use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use rawecho::engine::Polling;
use rawecho::serve::SHUTDOWN_TIMEOUT;
use syscalls::trace::Format;

const VERSION: &str = concat!(
    "rawecho ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("RAWECHO_TARGET"),
    ")\n"
);

/// The command that runs the TCP server alone.
const SERVE: &str = "serve";

/// The port on which `serve` listens by default, as in the README's examples.
const DEFAULT_PORT: u16 = 8080;

/// The allowed number of serving threads. More threads than CPUs gain nothing.
const WORKERS: RangeInclusive<usize> = 1..=64;

/// The allowed limits of busy-polling, in microseconds. A wait of more than 10 ms gains little from polling:
/// waking a sleeping thread takes 5 to 60 µs.
const SPIN_MICROS: RangeInclusive<u64> = 0..=10_000;

/// The column at which an option's description starts.
const HELP_COLUMN: usize = 24;

/// The action that the command line requests.
#[derive(Debug)]
pub enum Command {
    /// Runs with these options.
    Run(Options),
    /// Writes this text and exits.
    Show(String),
}

/// The options of a run.
#[derive(Debug)]
pub struct Options {
    /// The port of the server alone; `None` for a node.
    pub serve: Option<u16>,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The number of serving threads, the main one included.
    pub workers: usize,
    /// The limit of busy-polling before a sleep.
    pub spin: Duration,
    /// The output and the format of the trace, if there is one.
    pub trace: Option<TraceTo>,
}

/// The destination of the trace, and its format.
#[derive(Debug)]
pub enum TraceTo {
    /// Standard error, in this format.
    Stderr(Format),
    /// The file of this name, in strace's format.
    File(String),
}

/// The command line as far as it has been parsed.
struct Parsed {
    serve: bool,
    port: Option<u16>,
    options: Options,
    /// The text to write instead of running.
    show: Option<String>,
}

/// One option.
struct Definition {
    short: Option<char>,
    long: &'static str,
    value: Value,
    /// Whether the option belongs to `serve` only.
    serve_only: bool,
    help: fn() -> String,
    /// Applies the option with its value, if it has one.
    apply: fn(&mut Parsed, Option<&str>) -> Result<(), String>,
}

/// Whether an option takes a value, with the placeholder that `--help` shows for it.
#[derive(Clone, Copy)]
enum Value {
    None,
    Required(&'static str),
    /// The value is given only as `--option=VALUE`.
    Optional(&'static str),
}

const OPTIONS: &[Definition] = &[
    Definition {
        short: None,
        long: "bind",
        value: Value::Required("ADDR"),
        serve_only: false,
        help: || {
            let default = Ipv4Addr::LOCALHOST;
            format!("listen on this IP address of the machine [default: {default}]")
        },
        apply: |parsed, value| {
            let address = parse_value(value, |_| true);
            parsed.options.bind = address.map_err(|found| expected("an IP address", &found))?;
            Ok(())
        },
    },
    Definition {
        short: None,
        long: "port",
        value: Value::Required("PORT"),
        serve_only: true,
        help: || format!("listen on this port, 0 for any free one [default: {DEFAULT_PORT}]"),
        apply: |parsed, value| {
            parsed.port = Some(integer(value, &(0..=u16::MAX))?);
            Ok(())
        },
    },
    Definition {
        short: None,
        long: "workers",
        value: Value::Required("N"),
        serve_only: false,
        help: || {
            let (least, most) = (WORKERS.start(), WORKERS.end());
            format!("serve with N threads, {least} to {most} [default: {least}]")
        },
        apply: |parsed, value| {
            parsed.options.workers = integer(value, &WORKERS)?;
            Ok(())
        },
    },
    Definition {
        short: None,
        long: "spin",
        value: Value::Required("MICROS"),
        serve_only: false,
        help: || {
            let (most, default) = (SPIN_MICROS.end(), Polling::DEFAULT.as_micros());
            format!(
                "while polling echoes more than sleeping, poll for up to\n\
                 MICROS microseconds before a sleep; 0 to {most}, 0 turns\n\
                 it off [default: {default}]"
            )
        },
        apply: |parsed, value| {
            parsed.options.spin = Duration::from_micros(integer(value, &SPIN_MICROS)?);
            Ok(())
        },
    },
    Definition {
        short: None,
        long: "trace",
        value: Value::Optional("FILE"),
        serve_only: false,
        help: || {
            "write each system call, as strace does, to standard error\n\
             or to FILE; regs in place of FILE writes the registers of\n\
             each to standard error"
                .into()
        },
        apply: |parsed, value| {
            parsed.options.trace = Some(match value {
                None => TraceTo::Stderr(Format::Calls),
                Some("regs") => TraceTo::Stderr(Format::Registers),
                Some("") => return Err(expected("regs or a file's name", "")),
                Some(file) => TraceTo::File(file.into()),
            });
            Ok(())
        },
    },
    Definition {
        short: Some('h'),
        long: "help",
        value: Value::None,
        serve_only: false,
        help: || "show this text and exit".into(),
        apply: |parsed, _| {
            parsed.show = Some(help(parsed.serve));
            Ok(())
        },
    },
    Definition {
        short: Some('V'),
        long: "version",
        value: Value::None,
        serve_only: false,
        help: || "show the version and the machine it is built for, and exit".into(),
        apply: |parsed, _| {
            parsed.show = Some(VERSION.into());
            Ok(())
        },
    },
];

/// Parses the arguments that follow the program's name.
///
/// # Errors
/// A message that names the invalid argument and the reason.
pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut parsed = Parsed {
        serve: false,
        port: None,
        options: Options {
            serve: None,
            bind: Ipv4Addr::LOCALHOST.into(),
            workers: *WORKERS.start(),
            spin: Polling::DEFAULT,
            trace: None,
        },
        show: None,
    };
    let mut options_ended = false;
    while let Some(arg) = args.next() {
        if options_ended || !arg.starts_with('-') || arg == "-" {
            if arg != SERVE || parsed.serve {
                return Err(format!("unexpected argument {arg:?}"));
            }
            parsed.serve = true;
        } else if arg == "--" {
            options_ended = true;
        } else if let Some(option) = arg.strip_prefix("--") {
            parsed.long(option, &mut args)?;
        } else {
            parsed.short(&arg[1..])?;
        }
        if let Some(text) = parsed.show {
            return Ok(Command::Show(text));
        }
    }
    parsed.options.serve = match (parsed.serve, parsed.port) {
        (true, port) => Some(port.unwrap_or(DEFAULT_PORT)),
        (false, None) => None,
        (false, Some(_)) => return Err(format!("--port: only {SERVE} has this option")),
    };
    Ok(Command::Run(parsed.options))
}

impl Parsed {
    /// Parses the option `--written`, whose value may be the next argument.
    fn long(
        &mut self,
        written: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let (name, mut value) = match written.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (written, None),
        };
        let option = OPTIONS.iter().find(|option| option.long == name);
        let option = option.ok_or_else(|| unknown(name))?;
        match option.value {
            Value::None if value.is_some() => return Err(format!("--{name} takes no value")),
            Value::Required(placeholder) if value.is_none() => {
                let next = rest.next();
                value = Some(next.ok_or_else(|| format!("--{name}: {placeholder} is missing"))?);
            }
            _ => {}
        }
        (option.apply)(self, value.as_deref()).map_err(|reason| format!("--{name}: {reason}"))
    }

    /// Parses the short options `letters`, none of which takes a value.
    fn short(&mut self, letters: &str) -> Result<(), String> {
        for letter in letters.chars() {
            let option = OPTIONS.iter().find(|option| option.short == Some(letter));
            let option =
                option.ok_or_else(|| format!("unknown option {:?}", format!("-{letter}")))?;
            (option.apply)(self, None)?;
            if self.show.is_some() {
                break;
            }
        }
        Ok(())
    }
}

/// Parses `value` as a `T` that is `allowed`. The error is `value` itself.
fn parse_value<T: FromStr>(
    value: Option<&str>,
    allowed: impl FnOnce(&T) -> bool,
) -> Result<T, String> {
    let found = value.unwrap_or_default();
    let parsed = found.parse().ok().filter(allowed);
    parsed.ok_or_else(|| found.into())
}

fn integer<T: FromStr + PartialOrd + Display>(
    value: Option<&str>,
    range: &RangeInclusive<T>,
) -> Result<T, String> {
    let (least, most) = (range.start(), range.end());
    parse_value(value, |number| range.contains(number))
        .map_err(|found| expected(&format!("an integer from {least} to {most}"), &found))
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found:?}")
}

/// Returns the message for the unknown option `name`, with the most similar known option.
fn unknown(name: &str) -> String {
    let distances = OPTIONS.iter().map(|option| {
        let distance = edit_distance(&name.to_lowercase(), option.long);
        (distance, option.long)
    });
    let unknown = format!("unknown option {:?}", format!("--{name}"));
    match distances.min() {
        // If more edits are needed, the names have little in common.
        Some((distance, nearest)) if distance <= nearest.len() / 2 => {
            format!("{unknown}, did you mean --{nearest}?")
        }
        _ => unknown,
    }
}

/// Returns the number of insertions, deletions and replacements of a character that turn `from`
/// into `to` (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

/// Returns the text of `--help`, for `serve` or for the node.
fn help(serve: bool) -> String {
    let (about, usage, more) = if serve {
        (
            "A TCP echo server.",
            "Usage: rawecho serve [OPTION]...",
            format!(
                "SIGINT or SIGTERM ends the server once its connections have ended, for which it waits\n\
                 up to {} seconds; a second signal ends it at once. It writes a line of JSON when it\n\
                 listens, and one with its totals at the end.",
                SHUTDOWN_TIMEOUT.as_secs()
            ),
        )
    } else {
        (
            "A TCP echo server behind Maelstrom's protocol: JSON requests on standard input, one on each\n\
             line, and replies on standard output.",
            "Usage: rawecho [OPTION]...\n       \
             rawecho serve [OPTION]...   the TCP server alone; see rawecho serve --help",
            "Requests: init, tcp_echo_start, tcp_echo_send, tcp_echo_stats, tcp_echo_stop, echo."
                .into(),
        )
    };
    let mut options = String::new();
    for option in OPTIONS.iter().filter(|option| serve || !option.serve_only) {
        let short = option
            .short
            .map_or("    ".into(), |short| format!("-{short}, "));
        let value = match option.value {
            Value::None => String::new(),
            Value::Required(name) => format!("={name}"),
            Value::Optional(name) => format!("[={name}]"),
        };
        let left = format!("  {short}--{}{value}", option.long);
        let right = (option.help)().replace('\n', &format!("\n{:HELP_COLUMN$}", ""));
        options += &format!("{left:HELP_COLUMN$}{right}\n");
    }
    format!("{about}\n\n{usage}\n\nOptions:\n{options}\n{more}\n")
}
