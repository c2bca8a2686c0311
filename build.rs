//! Passes the target of the build to the program, for `--version`. `syscalls/build.rs` stops the build
//! for a target that is not supported.

use std::env;

fn main() {
    // Without such a line, cargo would rebuild the package after any change in its directory.
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=RAWECHO_TARGET={target}");
}
