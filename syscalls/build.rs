//! Stops the build for a target that this crate does not support, and passes linker flags for the example
//! `07_freestanding`.

use std::env;

fn main() {
    // Without this line, cargo would run this script again after any change in the package's directory.
    println!("cargo::rerun-if-changed=build.rs");
    let fact = |name: &str| env::var(name).unwrap_or_default();
    let (arch, os) = (fact("CARGO_CFG_TARGET_ARCH"), fact("CARGO_CFG_TARGET_OS"));
    let width = fact("CARGO_CFG_TARGET_POINTER_WIDTH");
    if os != "linux" || !matches!(arch.as_str(), "x86_64" | "aarch64") || width != "64" {
        println!(
            "cargo::error=rawecho issues Linux system calls by number and instruction, \
             which it knows for 64-bit x86_64 and aarch64 Linux only, not for {}",
            fact("TARGET")
        );
    }
    if env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        // `examples/07_freestanding.rs` defines `_start` itself and links with no library.
        for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
            println!("cargo::rustc-link-arg-examples={arg}");
        }
    }
}
