//! Every measurement as it was made: `raw.jsonl`, a header and then one
//! measurement a line, written as they come so that none is lost.

use std::fs::{File, read_to_string};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Header;
use crate::sample::Sample;

/// Name of the file in the folder of results.
pub const NAME: &str = "raw.jsonl";

/// A whole run.
pub struct Run {
    /// Where, when, how.
    pub header: Header,
    /// What was measured.
    pub samples: Vec<Sample>,
}

/// The file of a run that goes on.
pub struct Writer(File);

impl Writer {
    /// Starts the file anew.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: &Path, header: &Header) -> Result<Self> {
        let mut writer = Self(File::create(folder.join(NAME))?);
        writer.line(header)?;
        Ok(writer)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        writeln!(self.0, "{}", serde_json::to_string(value)?)?;
        Ok(())
    }
}

/// Reads a run back.
///
/// # Errors
/// If the file is not one of these.
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
