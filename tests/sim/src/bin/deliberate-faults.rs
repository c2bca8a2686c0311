//! Tests the simulator by mutation. Applies one deliberate fault after the other to a copy of the source, and
//! reports the number of seeds until the simulator finds the fault, and the violated invariant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use indicatif::{ProgressBar, ProgressStyle};

const HELP: &str = "\
Applies each patch of tests/sim/mutants to a copy of the source and runs the simulator on it.

Usage: cargo run --profile sim -p sim --bin deliberate-faults -- [--seeds N] [NAME]

  --seeds N  most seeds to try for each fault [default: 50000]
  NAME       only the faults whose name contains NAME
";

/// The parts of the source that the copy needs. `tests` contains test files and packages that `Cargo.toml`
/// names.
const PARTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "src",
    "syscalls",
    "tests",
];

/// The parts of the simulator's output that report a violation, and a run that hangs.
const FOUND: &str = " violates ";
const HUNG: &str = ": the program hangs";

/// The outcome of one fault.
enum Outcome {
    Found { seeds: u64, invariant: String },
    NotFound,
    Broken(String),
}

fn main() -> ExitCode {
    let mut seeds = 50_000;
    let mut only = String::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--seeds" => match args.next().and_then(|value| value.parse().ok()) {
                Some(number) => seeds = number,
                None => {
                    eprintln!("--seeds: expected a number\n{HELP}");
                    return ExitCode::from(2);
                }
            },
            "--help" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            name => only = name.into(),
        }
    }
    match find_all(seeds, &only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}

/// Tries each fault whose name contains `only`, and prints the outcomes. Returns whether all faults were
/// found.
fn find_all(seeds: u64, only: &str) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let work = root.join("target/deliberate-faults");
    let tree = work.join("tree");
    let mut patches = Vec::new();
    let listed = fs::read_dir(root.join("tests/sim/mutants")).map_err(|error| error.to_string())?;
    for entry in listed {
        let path = entry.map_err(|error| error.to_string())?.path();
        if name_of(&path).contains(only) && path.extension().is_some_and(|is| is == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    let bar = ProgressBar::new(patches.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    println!("| fault | seeds | violated invariant |\n|---|---:|---|");
    let mut all = true;
    for patch in &patches {
        bar.set_message(name_of(patch));
        let outcome = copy(&root, &tree)
            .and_then(|()| find(patch, &tree, &work.join("target"), seeds))
            .unwrap_or_else(Outcome::Broken);
        bar.inc(1);
        let (seeds, text) = match outcome {
            Outcome::Found { seeds, invariant } => (seeds.to_string(), invariant),
            Outcome::NotFound => {
                all = false;
                (format!("> {seeds}"), "**not found**".into())
            }
            Outcome::Broken(reason) => {
                all = false;
                ("–".into(), format!("**not tried**: {reason}"))
            }
        };
        let name = name_of(patch);
        bar.suspend(|| println!("| {name} | {seeds} | {text} |"));
    }
    bar.finish_and_clear();
    Ok(all)
}

fn name_of(patch: &Path) -> String {
    patch
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Copies the source to `tree`. An unchanged file keeps its modification time, so cargo does not build it
/// again.
fn copy(root: &Path, tree: &Path) -> Result<(), String> {
    fs::create_dir_all(tree).map_err(|error| error.to_string())?;
    for part in PARTS {
        copy_path(&root.join(part), &tree.join(part))
            .map_err(|error| format!("{part}: {error}"))?;
    }
    Ok(())
}

fn copy_path(from: &Path, to: &PathBuf) -> std::io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_path(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let content = fs::read(from)?;
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content)?;
    }
    Ok(())
}

/// Applies `patch`, builds, and runs seeds.
fn find(patch: &Path, tree: &Path, target: &Path, seeds: u64) -> Result<Outcome, String> {
    let patched = Command::new("patch")
        .args(["-p1", "--quiet", "--no-backup-if-mismatch", "--input"])
        .arg(patch)
        .current_dir(tree)
        .output()
        .map_err(|error| format!("patch: {error}"))?;
    if !patched.status.success() {
        return Err("the patch does not apply".into());
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "sim", "--package", "sim"])
        .args(["--bin", "sim", "--target-dir"])
        // Most faults are found within a few seeds, so save time in the build instead of in the run.
        .env("CARGO_PROFILE_SIM_OPT_LEVEL", "1")
        .env("CARGO_INCREMENTAL", "1")
        .arg(target)
        .current_dir(tree)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err("the patched source does not build".into());
    }
    let run = Command::new(target.join("sim/sim"))
        .args(["--seeds", &seeds.to_string(), "--brief"])
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("sim: {error}"))?;
    let printed = String::from_utf8_lossy(&run.stdout);
    let Some(line) = printed
        .lines()
        .find(|line| line.starts_with("seed ") && (line.contains(FOUND) || line.contains(HUNG)))
    else {
        return Ok(Outcome::NotFound);
    };
    let words = line.trim_start_matches("seed ");
    let number: String = words.chars().take_while(char::is_ascii_digit).collect();
    let seed: u64 = number.parse().map_err(|_| line.to_string())?;
    let invariant = match line.split_once(FOUND) {
        Some((_, rest)) => rest.split('"').nth(1).unwrap_or(rest).to_string(),
        None => "the program does not hang".into(),
    };
    Ok(Outcome::Found {
        seeds: seed + 1,
        invariant,
    })
}
