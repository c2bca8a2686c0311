//! Tells the program which target it is built for, for `--version`. `syscalls/build.rs` stops the build
//! for a target that is not supported.

use std::env;

fn main() {
    // Without a line like this one, cargo would build the package anew after any change in its folder.
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=RAWECHO_TARGET={target}");
}
