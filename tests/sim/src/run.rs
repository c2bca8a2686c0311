//! Runs the whole node in the simulated world of one seed, and shrinks a run that shows a violation.

use core::net::IpAddr;
use std::thread;

use rawecho::engine::{Engine, Polling, Worker};
use rawecho::node;
use rawecho::setup;
use rawecho::stdio::ExitReason;
use syscalls::Kernel;
use syscalls::trace::Traced;

use crate::faults::{Counts, Fault};
use crate::kernel::Sim;
use crate::plan::{self, Omissions};
use crate::threads::MAIN;
use crate::trace;
use crate::world::{File, Violation, World};

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The first violation, if there was one.
    pub violation: Option<Violation>,
    /// The number of times that each kind of fault happened.
    pub faults: Counts,
    /// The number of system calls that the program made.
    pub calls: u64,
    /// The largest number of bytes that one connection had read and not written.
    pub most_owed: usize,
    /// The number of answered requests.
    pub answered: usize,
    /// The number of echoed bytes.
    pub bytes: u64,
    /// The system calls, if a trace was requested.
    pub trace: Vec<String>,
    clients: usize,
    lines: usize,
}

/// Runs the node in the world of `seed` without `omissions`. Records the system calls if `trace` is set.
pub fn run(seed: u64, omissions: &Omissions, trace: bool) -> Report {
    let (plan, faults) = plan::draw(seed, omissions);
    let program = Program {
        bind: plan.bind,
        spin: plan.spin,
        workers: plan.workers,
    };
    let (lines, clients) = (plan.lines, plan.all_clients);
    let mut world = World::new(plan, faults);
    world.trace = trace.then(Vec::new);
    let sim = Sim::new(world);
    let outcome = if trace {
        let trace = trace::of(&sim);
        program.run(&sim, Traced::new(sim.clone(), &trace))
    } else {
        program.run(&sim, sim.clone())
    };
    let mut world = sim.world();
    if let Some(stop) = outcome {
        world.check_the_end(stop);
    }
    // An inherited descriptor is never dropped, so neither is the handle of the kernel in it. Replace the
    // world behind these handles, so that its memory is freed.
    let mut world = std::mem::replace(&mut *world, World::calm());
    let bytes = world.counts.iter().map(|count| count.bytes).sum();
    Report {
        violation: world.violation.take(),
        faults: world.faults.counts.clone(),
        calls: world.calls,
        most_owed: world.most_owed,
        answered: world.model.answered,
        bytes,
        trace: world.trace.take().unwrap_or_default(),
        clients,
        lines,
    }
}

/// The program under test, from its start to its exit.
struct Program {
    bind: IpAddr,
    spin: Polling,
    workers: usize,
}

impl Program {
    /// Runs the program with all its threads on `kernel`, which is `sim` or passes its calls to `sim`.
    /// Returns the program's result, or `None` if a violation ended the run.
    fn run<K: Kernel + Send + Sync>(&self, sim: &Sim, kernel: K) -> Option<Result<(), ExitReason>> {
        thread::scope(|scope| {
            let start = |worker: Worker<K>| {
                let id = sim.new_thread();
                scope.spawn(move || {
                    if let Some(Err(failure)) = sim.in_thread(id, || worker.run()) {
                        let mut world = sim.world();
                        world.violated("a worker survives every fault", failure.to_string());
                    }
                });
            };
            sim.in_thread(MAIN, || self.main(kernel, start))
        })
    }

    fn main<K: Kernel>(&self, kernel: K, start: impl Fn(Worker<K>)) -> Result<(), ExitReason> {
        setup::prepare(&kernel);
        let mut engine = Engine::new(kernel.clone(), self.spin)?;
        let workers = engine.add_workers(self.workers, self.spin)?;
        workers.into_iter().for_each(start);
        node::run(kernel, engine, self.bind)
    }
}

impl World {
    /// Checks the invariants that must hold when the program has exited with `stop`.
    fn check_the_end(&mut self, stop: Result<(), ExitReason>) {
        if self.violation.is_some() {
            return;
        }
        match stop {
            Ok(()) => {
                if !self.stdin.closed || self.stdin.taken < self.stdin.script.len() {
                    self.violated("the node runs until end of input", "it exited earlier");
                }
                let unanswered = self.model.unanswered();
                if unanswered > 0 {
                    self.violated(
                        "every request gets exactly one correct reply",
                        format!("{unanswered} requests got no reply"),
                    );
                }
                let tried = self.attempts.len() - self.model.attempts();
                if tried > 0 {
                    self.violated(
                        "every action belongs to a request",
                        format!("{tried} attempts to make a socket have no request"),
                    );
                }
            }
            Err(ExitReason::OutputClosed) => {
                if !self.stdout.broken {
                    self.violated(
                        "the node exits only for a reason",
                        "standard output is open",
                    );
                }
            }
            Err(ExitReason::Interrupted) => {
                self.violated(
                    "the node exits only for a reason",
                    "it exited because input arrived",
                );
            }
            Err(ExitReason::Failed(failure)) => {
                self.violated("the node survives every fault", failure.to_string());
            }
        }
        if !self.stdout.line.is_empty() && !self.stdout.broken {
            self.violated(
                "standard output has only whole lines",
                "the last line lacks its newline",
            );
        }
        self.check_clients();
        let own = [File::Stdin, File::Stdout, File::Stderr].map(Some);
        let left = self
            .table
            .iter()
            .filter(|file| file.is_some() && !own.contains(file));
        let left = left.count();
        if left > 0 {
            self.violated(
                "every descriptor is closed",
                format!("{left} are still open"),
            );
        }
        let line = String::from_utf8_lossy(&self.stderr.line).into_owned();
        if line.lines().any(|line| !line.starts_with("rawecho: ")) {
            self.violated("standard error has only diagnostics", line);
        }
    }
}

/// Omits the parts of the run of `seed` one after another, and keeps an omission if the run still violates
/// `invariant`, in no more calls than before. Returns the omissions, and the report of that run with its trace.
pub fn shrink(seed: u64, invariant: &str) -> (Omissions, Report) {
    let mut omissions = Omissions::default();
    let shows = |omissions: &Omissions| {
        let report = run(seed, omissions, false);
        let same = |violation: &Violation| violation.invariant == invariant;
        report
            .violation
            .as_ref()
            .is_some_and(same)
            .then_some(report.calls)
    };
    let mut best = shows(&omissions).unwrap_or(u64::MAX);
    let whole = run(seed, &omissions, false);
    loop {
        let before = best;
        let mut attempts: Vec<Omissions> = Vec::new();
        let mut attempt = |omission: &dyn Fn(&mut Omissions) -> bool, omissions: &Omissions| {
            let mut more = omissions.clone();
            if omission(&mut more) {
                attempts.push(more);
            }
        };
        for client in 0..whole.clients {
            attempt(&|omissions| omissions.clients.insert(client), &omissions);
        }
        for line in (0..whole.lines).rev() {
            attempt(&|omissions| omissions.lines.insert(line), &omissions);
        }
        attempt(
            &|omissions| !std::mem::replace(&mut omissions.alone, true),
            &omissions,
        );
        for &fault in Fault::ALL {
            attempt(&|omissions| omissions.faults.insert(fault), &omissions);
        }
        for more in attempts {
            // Add this omission to those that were accepted after it was proposed.
            let mut merged = omissions.clone();
            merged.clients.extend(&more.clients);
            merged.lines.extend(&more.lines);
            merged.faults.extend(&more.faults);
            merged.alone |= more.alone;
            if let Some(calls) = shows(&merged) {
                if calls <= best {
                    (best, omissions) = (calls, merged);
                }
            }
        }
        if best >= before {
            let report = run(seed, &omissions, true);
            return (omissions, report);
        }
    }
}
