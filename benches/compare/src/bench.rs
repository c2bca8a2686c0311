//! The environment of every measurement: the programs, the CPUs and the options.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use load::limits;
use load::report::Report;
use nix::sched::CpuSet;

use crate::options::Options;
use crate::pin::{Cpus, spawn_on};
use crate::programs::Programs;
use crate::running::Running;
use crate::sample::{Cell, Measure};
use crate::servers::{
    FEW_CONNECTIONS, FLOOR_EPOLL, FLOOR_POLL, RAWECHO, RAWECHO_SPIN0, RAWECHO_WORKERS2,
    RAWECHO_WORKERS2_SPIN0, Role, SERVERS, Server, role,
};

/// The servers that are measured with the load generator on their CPU, beside rawecho.
const ON_ONE_CPU: [&str; 4] = ["tokio", "mio", "std", FLOOR_EPOLL];

/// The servers that show what busy-polling gains and costs, beside rawecho.
const WITH_AND_WITHOUT_POLLING: [&str; 2] = [RAWECHO_SPIN0, FLOOR_POLL];

/// The servers whose allocations valgrind counts, beside rawecho. Go does not allocate with
/// `malloc`, and valgrind supports `io_uring` only in part.
const COUNTED: [&str; 6] = ["tokio", "mio", "smol", "std", "libuv", FLOOR_EPOLL];

/// The environment of a run's measurements.
pub struct Bench {
    /// The command line.
    pub options: Options,
    /// The CPUs of the servers and of the load generator.
    pub cpus: Cpus,
    /// The programs that could be built.
    pub programs: Programs,
}

impl Bench {
    /// Builds the programs and chooses the CPUs.
    ///
    /// # Errors
    /// If a Rust program does not build, the command line names an unknown server, or there are not
    /// two CPUs.
    pub fn prepare(options: Options) -> Result<Self> {
        for name in options.servers.iter().flatten() {
            let known = || {
                SERVERS
                    .iter()
                    .map(|server| server.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            if !SERVERS.iter().any(|server| server.name == name) {
                bail!("unknown server {name}; the servers are {}", known());
            }
        }
        // The servers inherit the limit.
        limits::raise_open_files()?;
        let cpus = Cpus::choose(&options)?;
        let programs = Programs::build(&options, |name| {
            name == RAWECHO || role(name) == Some(Role::OnceFloor) || asked_for(&options, name)
        })?;
        Ok(Self {
            options,
            cpus,
            programs,
        })
    }

    /// Returns the servers that take part in a measure, in the order of the table.
    pub fn contestants(&self, measure: Measure, cell: Cell) -> Vec<&'static Server> {
        let takes_part = |server: &&Server| {
            self.programs.path(server.program).is_some()
                && (asked_for(&self.options, server.name) || is_the_question(measure, cell, server))
                && fits(measure, cell, server)
        };
        SERVERS.iter().filter(takes_part).collect()
    }

    /// Returns the path of a server's program.
    ///
    /// # Errors
    /// If the program could not be built.
    pub fn path(&self, server: &Server) -> Result<PathBuf> {
        let path = self.programs.path(server.program);
        Ok(path
            .with_context(|| format!("{server} was not built"))?
            .into())
    }

    /// Starts a server on the given CPUs.
    ///
    /// # Errors
    /// If the server does not report that it listens.
    pub fn start(&self, server: &Server, cpus: CpuSet) -> Result<Running> {
        let mut command = Command::new(self.path(server)?);
        command.args(server.arguments).args(["--port", "0"]);
        Running::start(&mut command, cpus)
    }

    /// Returns the command that runs the load generator against `server`.
    pub fn load(&self, server: &Running) -> Command {
        let mut command = Command::new(&self.programs.load);
        command.args(["--port", &server.port.to_string()]);
        command.args(["--server-pid", &server.pid.to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the load generator against `server` and returns its report.
    ///
    /// # Errors
    /// If the load generator fails.
    pub fn run_load(&self, server: &Running, load: &Load) -> Result<Report> {
        let mut command = self.load(server);
        command
            .arg(load.mode)
            .args(shape(load.cell))
            .args(&load.more);
        let seconds = load.seconds.unwrap_or_else(|| self.options.seconds());
        command.args(["--seconds", &seconds.to_string()]);
        let warmup = load.warmup.unwrap_or(self.options.warmup);
        command.args(["--warmup", &warmup.to_string()]);
        let cpus = load.cpus.unwrap_or(self.cpus.load);
        report(&spawn_on(cpus, &mut command)?.wait_with_output()?)
    }
}

/// A load with a duration.
#[derive(Default)]
pub struct Load {
    /// The load generator's mode.
    pub mode: &'static str,
    /// Connections and message size.
    pub cell: Cell,
    /// Further arguments of the mode.
    pub more: Vec<String>,
    /// The duration, if it is not that of the options.
    pub seconds: Option<f64>,
    /// The seconds of load before the measurement, if they are not those of the options.
    pub warmup: Option<f64>,
    /// The load generator's CPUs, if they are not those of [`Cpus::load`].
    pub cpus: Option<CpuSet>,
}

impl Load {
    /// Returns a closed loop with the cell's number of messages in flight.
    pub fn closed(cell: Cell) -> Self {
        let mut more = vec!["--in-flight".into(), cell.in_flight.to_string()];
        if cell.think > 0 {
            more.extend(["--think".into(), cell.think.to_string()]);
        }
        Self {
            mode: "closed",
            cell,
            more,
            ..Self::default()
        }
    }
}

/// Returns the load generator's arguments for a cell.
pub fn shape(cell: Cell) -> [String; 4] {
    [
        "--connections".into(),
        cell.connections.to_string(),
        "--size".into(),
        cell.size.to_string(),
    ]
}

/// Parses the report, the last line of the load generator's output.
///
/// # Errors
/// If the load generator failed, with the reason from its standard error, or wrote no report.
pub fn report(output: &Output) -> Result<Report> {
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason
            .split("\n\nStack backtrace")
            .next()
            .unwrap_or_default();
        bail!(
            "{}",
            reason.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout
        .lines()
        .last()
        .context("the load generator wrote no report")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// Returns whether a measure includes this server even if the command line does not name it.
fn is_the_question(measure: Measure, cell: Cell, server: &Server) -> bool {
    match (measure, server.name) {
        (_, RAWECHO)
        | (Measure::Workers, RAWECHO_WORKERS2 | RAWECHO_WORKERS2_SPIN0)
        | (Measure::OneCpu, RAWECHO_SPIN0) => true,
        (Measure::Closed, RAWECHO_SPIN0) => cell.connections <= FEW_CONNECTIONS,
        // `fits` restricts it to the servers that the measure is about.
        (measure, _) if Measure::POLLING.contains(&measure) => true,
        (Measure::Send, _) => server.role == Role::OnceFloor,
        _ => false,
    }
}

/// Returns whether a measure applies to a server.
fn fits(measure: Measure, cell: Cell, server: &Server) -> bool {
    match (measure, server.role) {
        (_, Role::Subject) => true,
        (Measure::Send, role) => role == Role::OnceFloor,
        (_, Role::OnceFloor) => false,
        (measure, _) if Measure::NODE.contains(&measure) => false,
        (measure, _) if Measure::POLLING.contains(&measure) => {
            WITH_AND_WITHOUT_POLLING.contains(&server.name)
        }
        (Measure::Closed, Role::SpinFloor) => cell.connections == 1,
        (Measure::Closed, Role::PollFloor) => {
            cell.connections <= FEW_CONNECTIONS && cell.in_flight == 1
        }
        (_, Role::SpinFloor | Role::PollFloor) => false,
        (_, Role::Variant) => true,
        (Measure::OneCpu, _) => ON_ONE_CPU.contains(&server.name),
        (Measure::Allocations, _) => COUNTED.contains(&server.name),
        _ => true,
    }
}

fn asked_for(options: &Options, name: &str) -> bool {
    match &options.servers {
        Some(names) => names.iter().any(|it| it == name),
        None => SERVERS
            .iter()
            .any(|it| it.name == name && it.role != Role::Variant),
    }
}
