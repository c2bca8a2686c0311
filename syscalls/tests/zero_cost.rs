//! Checks that a typed call adds no cost: in a release build, `Fd::<Linux>::read` loads the call's number,
//! enters the kernel and checks for an error, without a function call or a use of the stack.
//!
//! The test compiles `examples/read_hot_path.rs` to assembly for this architecture, and for the other one if
//! its standard library is installed.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[path = "common/cargo.rs"]
mod cargo;

/// The instructions to look for on one architecture.
struct Expected {
    target: &'static str,
    /// The instruction that loads the number of `read`.
    number: &'static str,
    /// The instruction that enters the kernel.
    enter: &'static str,
    /// The instructions that may compare the result with the range of errors. One of them must occur.
    check: &'static [&'static str],
    /// Words that show a function call, an unconditional jump or a use of the stack.
    banned: &'static [&'static str],
}

const X86_64: Expected = Expected {
    target: "x86_64-unknown-linux-gnu",
    number: "xorl %eax, %eax",
    enter: "syscall",
    check: &["cmpq $-4095, %rax", "cmpq $-4096, %rax"],
    banned: &[
        "call", "callq", "jmp", "push", "pushq", "pop", "popq", "rsp", "rbp",
    ],
};

const AARCH64: Expected = Expected {
    target: "aarch64-unknown-linux-gnu",
    number: "mov w8, #63",
    enter: "svc #0",
    check: &["cmn x0, #1, lsl #12", "cmn x0, #4095"],
    banned: &["bl", "blr", "b", "br", "sp", "x29", "x30"],
};

/// Returns the instructions of the function `read_hot_path` in a release build for `target`.
fn instructions(target: &str) -> Vec<String> {
    let listing = cargo::target_dir().join(format!("read_hot_path-{target}.s"));
    let emit = format!("--emit=asm={}", listing.display());
    cargo::run(cargo::release("rustc", "read_hot_path", target).args(["--", &emit]));

    let listing = fs::read_to_string(listing).expect("the listing");
    let after_label = listing
        .split_once("\nread_hot_path:")
        .expect("the function")
        .1;
    let body = after_label.split_once(".Lfunc_end").expect("its end").0;
    body.lines()
        .map(|line| line.trim().replace('\t', " "))
        // Skip directives, labels and comments.
        .filter(|line| !line.is_empty() && !line.starts_with(['.', '#', '/']))
        .collect()
}

fn check(expected: &Expected) {
    let code = instructions(expected.target);
    println!("{}:\n    {}", expected.target, code.join("\n    "));
    let place = |wanted: &[&str]| {
        let places: Vec<_> = (0..code.len())
            .filter(|&n| wanted.contains(&code[n].as_str()))
            .collect();
        assert_eq!(places.len(), 1, "one of {wanted:?} in {code:#?}");
        places[0]
    };
    let number = place(&[expected.number]);
    let enter = place(&[expected.enter]);
    let check = place(expected.check);
    assert!(number < enter && enter < check, "the order of {code:#?}");
    for line in &code {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        let banned = words.find(|word| expected.banned.contains(word));
        assert_eq!(banned, None, "in {code:#?}");
    }
    // The other instructions load the descriptor, select the result and return.
    assert!(code.len() <= 9, "{code:#?}");
}

fn is_installed(target: &str) -> bool {
    let rustc = env::var("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .expect("rustc");
    let dir = String::from_utf8(output.stdout).expect("a path");
    Path::new(dir.trim()).is_dir()
}

#[test]
fn typed_read_compiles_without_function_call_or_stack_use() {
    let (here, other) = match syscalls::arch::NAME {
        "x86_64" => (X86_64, AARCH64),
        _ => (AARCH64, X86_64),
    };
    check(&here);
    if is_installed(other.target) {
        check(&other);
    } else {
        println!(
            "skipped: the standard library of {} is not installed",
            other.target
        );
    }
}
