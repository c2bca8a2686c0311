//! The file `raw.jsonl`: a header, then one line for each measurement. A line is written as soon as its
//! measurement is made, so an aborted run loses none.

use std::fs::{File, read_to_string};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Header;
use crate::sample::Sample;

/// The name of the file in the directory of results.
pub const NAME: &str = "raw.jsonl";

/// A whole run.
pub struct Run {
    /// The conditions of the run.
    pub header: Header,
    /// The measurements, in order.
    pub samples: Vec<Sample>,
}

/// The file of a run in progress.
pub struct Writer(File);

impl Writer {
    /// Creates the file, or truncates it, and writes the header.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(folder: &Path, header: &Header) -> Result<Self> {
        let mut writer = Self(File::create(folder.join(NAME))?);
        writer.line(header)?;
        Ok(writer)
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        writeln!(self.0, "{}", serde_json::to_string(value)?)?;
        Ok(())
    }
}

/// Reads the run in the file at `path`.
///
/// # Errors
/// If the file cannot be read or does not have this format.
pub fn read(path: &Path) -> Result<Run> {
    let text = read_to_string(path)?;
    let (header, samples) = text.split_once('\n').context("no header")?;
    let samples = samples
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    Ok(Run {
        header: serde_json::from_str(header)?,
        samples,
    })
}
