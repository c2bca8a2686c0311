//! Builds an example, for tests that examine the binary.

use std::path::PathBuf;
use std::process::Command;

/// The directory of such builds: beside the test's own, which cargo may have locked.
pub fn target_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Returns the command `cargo SUBCOMMAND` for a release build of the example `name` for `target`.
pub fn release(subcommand: &str, name: &str, target: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([subcommand, "--locked", "--release", "--example", name])
        // The dependencies of the tests are built too, and need no optimization. The crate itself is optimized.
        .args(["--config", "profile.release.package.'*'.opt-level=0"])
        .args(["--target", target, "--target-dir"])
        .arg(target_dir());
    if target.ends_with("-musl") {
        // Rust adds musl's start files for such a target, even if nothing is to be linked.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Clink-self-contained=no");
    }
    cargo
}

/// Runs `command`, and fails the test if that fails.
pub fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
