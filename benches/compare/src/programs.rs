//! Builds the programs and returns their paths.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::options::Options;
use crate::paths::benches;
use crate::servers::{Program, SERVERS};

/// The paths of the programs, or the reasons why they could not be built.
pub struct Programs {
    built: HashMap<Program, Result<PathBuf, String>>,
    /// The load generator.
    pub load: PathBuf,
}

impl Programs {
    /// Builds the load generator and the programs of the servers for whose names `wanted` is true. A
    /// program that needs a tool that is not installed is left out and reported.
    ///
    /// # Errors
    /// If a Rust program does not build.
    pub fn build(options: &Options, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let benches = benches()?;
        let release = cargo(&benches)?;
        let mut built = HashMap::new();
        for server in SERVERS.iter().filter(|server| wanted(server.name)) {
            if built.contains_key(&server.program) {
                continue;
            }
            let program = match server.program {
                Program::Cargo(name) => Ok(release.join(name)),
                Program::Rawecho => Ok(match &options.rawecho {
                    Some(given) => fs::canonicalize(given).context("--rawecho")?,
                    None => cargo(&benches.join(".."))?.join("rawecho"),
                }),
                Program::FloorPoll => floor_poll(&benches).map_err(|error| format!("{error:#}")),
                Program::Libuv => libuv(&benches).map_err(|error| format!("{error:#}")),
                Program::Go => go(&benches).map_err(|error| format!("{error:#}")),
            };
            if let Err(why) = &program {
                eprintln!("{server} is left out: {why}");
            }
            built.insert(server.program, program);
        }
        Ok(Self {
            built,
            load: release.join("load"),
        })
    }

    /// Returns the path of a program, or `None` if it could not be built.
    pub fn path(&self, program: Program) -> Option<&Path> {
        self.built.get(&program)?.as_deref().ok()
    }

    /// Returns the programs that could not be built, each with the reason.
    pub fn missing(&self) -> impl Iterator<Item = (Program, &str)> {
        self.built
            .iter()
            .filter_map(|(program, built)| Some((*program, built.as_ref().err()?.as_str())))
    }
}

/// Builds the workspace in `folder` and returns the directory of its binaries.
fn cargo(folder: &Path) -> Result<PathBuf> {
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--workspace", "--bins"])
        .current_dir(folder);
    run(build)?;
    let mut metadata = Command::new("cargo");
    metadata
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(folder);
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.output()?.stdout)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("no target directory")?;
    Ok(Path::new(target).join("release"))
}

fn floor_poll(benches: &Path) -> Result<PathBuf> {
    c_program(benches, "floor-poll", &[]).context("needs a C compiler")
}

fn libuv(benches: &Path) -> Result<PathBuf> {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libuv"])
        .output();
    let flags = flags.context("needs pkg-config and libuv1-dev")?;
    ensure!(flags.status.success(), "needs libuv1-dev");
    let flags = String::from_utf8(flags.stdout)?;
    c_program(
        benches,
        "libuv",
        &flags.split_whitespace().collect::<Vec<_>>(),
    )
}

/// Compiles `peers/foreign/NAME.c`.
fn c_program(benches: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let binary = foreign(benches)?.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).arg(&binary);
    cc.arg(benches.join("peers/foreign").join(name).with_extension("c"));
    cc.args(flags);
    run(cc)?;
    Ok(binary)
}

fn go(benches: &Path) -> Result<PathBuf> {
    let binary = foreign(benches)?.join("go");
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(benches.join("peers/foreign/go"));
    run(go).context("needs golang-go")?;
    Ok(binary)
}

fn foreign(benches: &Path) -> Result<PathBuf> {
    let folder = benches.join("target/foreign");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn run(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
