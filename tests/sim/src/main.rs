//! Runs a range of seeds in parallel, or a single seed, with its trace if requested.

use std::collections::BTreeMap;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sim::{Counts, Fault, Omissions, Report};

const HELP: &str = "\
Runs the node in simulated worlds, each determined by a seed, and checks its invariants.

Usage: cargo run --profile sim -p sim -- [--seeds N] [--from S] [--jobs J] [--brief]
       cargo run --profile sim -p sim -- --seed X [--trace]

  --seeds N   number of seeds [default: 10000]
  --from S    first seed [default: 0]
  --jobs J    number of threads [default: one for each core]
  --brief     do not search for the shortest trace
  --seed X    run only this seed
  --trace     show the calls of that seed, even without a violation
";

/// The real time after which a run is reported as hanging. A program that keeps making calls exceeds
/// the limit on calls earlier.
const HUNG: Duration = Duration::from_secs(120);

/// The interval at which the main thread checks whether the runs have ended, or hang.
const TICK: Duration = Duration::from_millis(100);

/// The number of lines shown of the shortest trace: its last ones, which lead to the violation.
const SHOWN: usize = 120;

struct Arguments {
    seeds: u64,
    from: u64,
    jobs: usize,
    seed: Option<u64>,
    trace: bool,
    brief: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        seeds: 10_000,
        from: 0,
        jobs: thread::available_parallelism().map_or(1, Into::into),
        seed: None,
        trace: false,
        brief: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64, String> {
            let value = args.next().unwrap_or_default();
            let number = value.parse();
            number.map_err(|_| format!("{arg}: expected a number, found {value:?}"))
        };
        match &*arg {
            "--seeds" => parsed.seeds = number()?,
            "--from" => parsed.from = number()?,
            "--jobs" => parsed.jobs = number()?.clamp(1, 1_024) as usize,
            "--seed" => parsed.seed = Some(number()?),
            "--trace" => parsed.trace = true,
            "--brief" => parsed.brief = true,
            "--help" => {
                print!("{HELP}");
                process::exit(0);
            }
            _ => return Err(format!("unknown argument {arg:?}\n{HELP}")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    if cfg!(panic = "abort") {
        eprintln!(
            "a violation must unwind the program, but this profile aborts on panic: use --profile sim"
        );
        return ExitCode::from(2);
    }
    match arguments() {
        Ok(Arguments {
            seed: Some(seed),
            trace,
            ..
        }) => one(seed, trace),
        Ok(arguments) => many(&arguments),
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let report = sim::run(seed, &Omissions::default(), trace);
    if trace {
        for line in &report.trace {
            println!("{line}");
        }
    }
    println!(
        "seed {seed}: {} calls, {} replies, {} bytes echoed",
        report.calls, report.answered, report.bytes
    );
    print_faults(&report.faults);
    match report.violation {
        None => ExitCode::SUCCESS,
        Some(_) => {
            print_shortest(seed, &report);
            print_violation(seed, &report);
            ExitCode::FAILURE
        }
    }
}

/// The progress of all threads.
#[derive(Default)]
struct Sum {
    faults: Counts,
    calls: u64,
    answered: u64,
    bytes: u64,
    most_owed: usize,
    /// The reports of the seeds that show a violation.
    failed: BTreeMap<u64, Report>,
    /// The seed that each thread runs, and since when.
    at: BTreeMap<usize, (u64, Instant)>,
}

fn lock(sum: &Mutex<Sum>) -> MutexGuard<'_, Sum> {
    sum.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn many(arguments: &Arguments) -> ExitCode {
    let end = arguments.from.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.from);
    // No thread starts a seed after the lowest failing one. All seeds before it run, so the lowest is reported.
    let stop = AtomicU64::new(end);
    let sum = Mutex::new(Sum::default());
    let started = Instant::now();
    let bar = ProgressBar::with_draw_target(Some(arguments.seeds), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} seeds, {per_sec}, {eta} left",
    ) {
        bar.set_style(style);
    }
    thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs)
            .map(|worker| {
                let (next, stop, sum, bar) = (&next, &stop, &sum, &bar);
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= stop.load(Ordering::Relaxed) {
                            lock(sum).at.remove(&worker);
                            return;
                        }
                        lock(sum).at.insert(worker, (seed, Instant::now()));
                        let report = sim::run(seed, &Omissions::default(), false);
                        bar.inc(1);
                        let mut sum = lock(sum);
                        sum.faults.add(&report.faults);
                        sum.calls += report.calls;
                        sum.answered += report.answered as u64;
                        sum.bytes += report.bytes;
                        sum.most_owed = sum.most_owed.max(report.most_owed);
                        if report.violation.is_some() {
                            stop.fetch_min(seed, Ordering::Relaxed);
                            sum.failed.insert(seed, report);
                        }
                    }
                })
            })
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            thread::sleep(TICK);
            let late = |(_, since): &&(u64, Instant)| since.elapsed() > HUNG;
            let hung = lock(&sum).at.values().find(late).map(|&(seed, _)| seed);
            if let Some(seed) = hung {
                bar.abandon();
                println!("seed {seed}: the program hangs: it makes no call");
                process::exit(1);
            }
        }
    });
    bar.finish_and_clear();
    let sum = sum.into_inner().unwrap_or_default();
    print_faults(&sum.faults);
    let run = stop.into_inner().min(end) - arguments.from + u64::from(!sum.failed.is_empty());
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s ({:.0}/s): {} calls, {} replies, {} bytes echoed, at most {} buffered by a connection",
        HumanCount(run),
        run as f64 / seconds,
        HumanCount(sum.calls),
        HumanCount(sum.answered),
        HumanCount(sum.bytes),
        HumanCount(sum.most_owed as u64),
    );
    match sum.failed.first_key_value() {
        None => ExitCode::SUCCESS,
        Some((&seed, report)) => {
            if !arguments.brief {
                print_shortest(seed, report);
            }
            print_violation(seed, report);
            ExitCode::FAILURE
        }
    }
}

fn print_faults(faults: &Counts) {
    println!("{:>12}  fault", "times");
    for (&fault, &count) in Fault::ALL.iter().zip(&faults.0) {
        if count > 0 {
            println!("{:>12}  {}", HumanCount(count).to_string(), fault.text());
        }
    }
}

fn print_violation(seed: u64, report: &Report) {
    if let Some(violation) = &report.violation {
        println!(
            "\nseed {seed} violates {:?}: {}",
            violation.invariant, violation.seen
        );
        println!("to reproduce: cargo run --profile sim -p sim -- --seed {seed}");
    }
}

/// Prints the shortest trace that shows the violation of `seed`.
fn print_shortest(seed: u64, report: &Report) {
    let Some(violation) = &report.violation else {
        return;
    };
    let (omissions, shortest) = sim::shrink(seed, violation.invariant);
    let calls = &shortest.trace;
    let skipped = calls.len().saturating_sub(SHOWN);
    if skipped > 0 {
        println!("({skipped} lines before)");
    }
    for line in &calls[skipped..] {
        println!("{line}");
    }
    if let Some(violation) = &shortest.violation {
        println!("shortest: {}", violation.seen);
    }
    println!(
        "omitted: {} clients, {} lines of the input, {} kinds of fault",
        omissions.clients.len(),
        omissions.lines.len(),
        omissions.faults.len()
    );
}
