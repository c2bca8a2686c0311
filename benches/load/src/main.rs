//! `load`: generates load for an echo server and prints the measurements as JSON.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use load::open::{GREETING, open};
use load::pattern::{MAX_IO, Pattern};
use load::pool::Pool;
use load::recorder::Recorder;
use load::report::Report;
use load::shape::{Shape, Span};
use load::{blocking, closed, connect, idle, limits, rate};
use nix::unistd::Pid;

/// Load for a TCP echo server on 127.0.0.1. Checks every byte that comes back.
#[derive(Parser)]
struct Command {
    /// Port that the server listens on
    #[arg(long)]
    port: u16,
    /// Process of the server, to measure its CPU time
    #[arg(long)]
    server_pid: Option<i32>,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Keep a number of messages in flight on each connection
    Closed {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        span: Span,
        /// Messages in flight on each connection
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        in_flight: u64,
        /// Microseconds from an echo to the next message; needs one connection with one small message in flight
        #[arg(long, default_value_t = 0)]
        think: u64,
        /// How to wait for the server
        #[arg(long, value_enum, default_value_t = Driver::Auto)]
        driver: Driver,
    },
    /// Send at a fixed rate, and count latency from when a message was due
    Rate {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        span: Span,
        /// Messages a second over all connections
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
        rate: u64,
    },
    /// Open connections and hold them until stdin ends
    Idle {
        #[command(flatten)]
        shape: Shape,
    },
    /// Connect, echo one message and close, repeatedly
    Connect {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        span: Span,
    },
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Driver {
    /// `blocking` for one message of at most 64 KiB on one connection, else `epoll`
    Auto,
    /// Non-blocking sockets behind one epoll
    Epoll,
}

fn main() -> Result<()> {
    let command = Command::parse();
    limits::raise_open_files()?;
    let report = run(&command)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn run(command: &Command) -> Result<Report> {
    let port = command.port;
    let server = command.server_pid.map(Pid::from_raw);
    let pattern = Pattern::new();
    match command.mode {
        Mode::Closed {
            shape,
            span,
            in_flight,
            think,
            driver,
        } => {
            if let Some(obstacle) = limits::obstacle(shape, in_flight)? {
                bail!("the load exceeds a limit: {obstacle}");
            }
            let mut connections = open(shape.connections, port, &pattern)?;
            let bytes_in_flight = shape.connections * shape.size * in_flight;
            let mut recorder = Recorder::start(span, bytes_in_flight, server)?;
            let small = shape.connections == 1 && in_flight == 1 && shape.size <= MAX_IO as u64;
            let driver = if small && driver == Driver::Auto {
                let (connection, think) = (&mut connections[0], Duration::from_micros(think));
                blocking::run(connection, shape.size, think, &pattern, &mut recorder)?;
                "blocking"
            } else {
                ensure!(
                    think == 0,
                    "--think needs one connection with one message in flight, of at most 64 KiB, and the driver auto"
                );
                let mut pool = Pool::new(connections, pattern)?;
                closed::run(&mut pool, shape, in_flight, &mut recorder)?;
                "epoll"
            };
            let report = Report {
                in_flight,
                ..report("closed", driver, shape, &recorder)
            };
            Ok(recorder.finish(report))
        }
        Mode::Rate { shape, span, rate } => {
            let connections = open(shape.connections, port, &pattern)?;
            let mut pool = Pool::new(connections, pattern)?;
            let mut recorder = Recorder::start(span, 0, server)?;
            rate::run(&mut pool, shape, rate, &mut recorder)?;
            let report = Report {
                rate: Some(rate),
                ..report("rate", "epoll", shape, &recorder)
            };
            Ok(recorder.finish(report))
        }
        Mode::Idle { shape } => {
            let mut connections = open(shape.connections, port, &pattern)?;
            idle::run(&mut connections, shape, &pattern)?;
            let messages = 2.0 * shape.connections as f64;
            Ok(Report {
                messages_in_all: messages,
                ..blank("idle", "blocking", shape)
            })
        }
        Mode::Connect { shape, span } => {
            let mut recorder = Recorder::start(span, 0, server)?;
            let finished = connect::run(port, shape, &pattern, &mut recorder)?;
            let report = blank("connect", "blocking", shape);
            Ok(recorder.finish(Report {
                in_flight: 1,
                messages_in_all: finished as f64,
                ..report
            }))
        }
    }
}

/// Returns a report whose number of messages includes the greetings, one on each connection.
fn report(mode: &str, driver: &str, shape: Shape, recorder: &Recorder) -> Report {
    let greetings = (shape.connections * GREETING) as f64 / shape.size as f64;
    let messages_in_all = recorder.bytes() as f64 / shape.size as f64 + greetings;
    Report {
        messages_in_all,
        ..blank(mode, driver, shape)
    }
}

fn blank(mode: &str, driver: &str, shape: Shape) -> Report {
    Report {
        mode: mode.into(),
        driver: driver.into(),
        connections: shape.connections,
        size: shape.size,
        ..Report::default()
    }
}
