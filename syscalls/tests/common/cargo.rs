//! Builds an example, for tests that run it or examine its machine code.

use std::path::PathBuf;
use std::process::Command;

/// Returns the target directory of these builds. It is not the one that the test itself was built in, because
/// cargo may hold a lock on that.
pub fn target_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Returns the command `cargo SUBCOMMAND` for a release build of the example `name` for `target`.
pub fn release(subcommand: &str, name: &str, target: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([subcommand, "--locked", "--release", "--example", name])
        // Build the dependencies of the tests without optimization. The crate itself is optimized.
        .args(["--config", "profile.release.package.'*'.opt-level=0"])
        .args(["--target", target, "--target-dir"])
        .arg(target_dir());
    if target.ends_with("-musl") {
        // For musl, rustc adds musl's start files, even to a program that has its own `_start`.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Clink-self-contained=no");
    }
    cargo
}

/// Runs `command`. Panics if it fails.
pub fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
