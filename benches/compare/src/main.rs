//! `compare`: builds all servers, measures them side by side and writes the
//! report. See `benches/README.md`.

use std::fs;

use anyhow::{Context, Result};
use clap::Parser;

mod bench;
mod estimate;
mod machine;
mod measure;
mod memory;
mod node;
mod options;
mod paths;
mod pin;
mod programs;
mod raw;
mod report;
mod results;
mod rounds;
mod running;
mod sample;
mod servers;
mod targets;
mod valgrind;

use crate::bench::Bench;
use crate::machine::Header;
use crate::options::Options;
use crate::results::Results;

fn main() -> Result<()> {
    let options = Options::parse();
    let out = options.out()?;
    fs::create_dir_all(&out)?;
    let run = match &options.from {
        Some(path) => raw::read(path).with_context(|| path.display().to_string())?,
        None => {
            let header = Header::now(&options)?;
            let bench = Bench::prepare(options.clone())?;
            rounds::run(&bench, header)?
        }
    };
    report::write(&Results::from(run), &out)
}
