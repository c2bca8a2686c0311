//! Finds the directory of this workspace.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Returns the directory `benches`, from the environment that `cargo run` sets. The directory that this
/// program was compiled in may have moved since.
///
/// # Errors
/// If `cargo run` did not start this program.
pub fn benches() -> Result<PathBuf> {
    let compare = env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo run`")?;
    let parent = PathBuf::from(compare).parent().map(Into::into);
    parent.context("compare/ is in benches/")
}
