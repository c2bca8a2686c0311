//! Passes the name of the build target to the program, for `--version`. (`syscalls/build.rs` rejects an
//! unsupported target.)

use std::env;

fn main() {
    // Without this line, cargo would rebuild the package after any change in its directory.
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=RAWECHO_TARGET={target}");
}
