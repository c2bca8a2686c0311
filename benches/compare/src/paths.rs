//! Where this workspace is.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The folder `benches`, as the `cargo run` at work knows it. The one this was
/// compiled in may have moved.
///
/// # Errors
/// If this was not started by `cargo run`.
pub fn benches() -> Result<PathBuf> {
    let compare = env::var_os("CARGO_MANIFEST_DIR").context("start this by `cargo run`")?;
    let parent = PathBuf::from(compare).parent().map(Into::into);
    parent.context("compare/ is in benches/")
}
