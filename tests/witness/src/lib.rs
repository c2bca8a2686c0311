//! Decides which outside witnesses this machine has, and runs the tests that need them.
//!
//! A witness is anything outside the project that a test compares with or needs: strace, the kernel's
//! headers, IPv6. A test whose witness is absent is reported as ignored, with the reason in the output
//! of `cargo test`. With `RAWECHO_WITNESSES=all` in the environment it fails instead; `.ci/run` sets
//! that.
//!
//! The decision is made when the tests run, not when they are built, because a test binary may run on another
//! machine. A file of such tests has `harness = false` in `Cargo.toml`, and names its tests at the end:
//!
//! ```no_run
//! use witness::Witness::Strace;
//!
//! fn calls_match_strace() {}
//! fn lines_are_split_at_newlines() {}
//!
//! witness::tests! {
//!     calls_match_strace: Strace;
//!     lines_are_split_at_newlines;
//! }
//! ```
//!
//! A function that is left out of the list is dead code, which the lint step of `.ci/run` refuses.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::{env, fs};

use libtest_mimic::{Arguments, Completion, Trial};

/// The environment variable that decides what an absent witness means: `all` makes it a failure.
const DEMAND: &str = "RAWECHO_WITNESSES";

/// An outside witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// `strace(1)`.
    Strace,
    /// The IPv6 loopback address, `::1`.
    Ipv6,
    /// The kernel's headers and a C compiler for x86_64.
    HeadersX86_64,
    /// The kernel's headers and a C compiler for aarch64.
    HeadersAarch64,
    /// A port that takes a privilege to bind: port 1, unless the machine is configured otherwise.
    PrivilegedPorts,
    /// The GNU C library in this test binary, for tests that cannot pass with musl.
    Glibc,
    /// Permission to create a PID namespace, for tests of a process with PID 1.
    PidNamespaces,
    /// Rust's standard library for static builds with musl, for this machine.
    MuslTarget,
    /// Rust's standard library for static builds with musl for aarch64, and `qemu-aarch64(1)` to run them.
    Aarch64Program,
}

impl Witness {
    /// Returns why the witness is absent and how to install it, or `None` if it is present.
    pub fn absence(self) -> Option<String> {
        match self {
            Witness::Strace => {
                let works = succeeds(Command::new("strace").arg("--version"));
                (!works).then(|| "needs strace: apt-get install strace".into())
            }
            Witness::Ipv6 => TcpListener::bind((Ipv6Addr::LOCALHOST, 0))
                .err()
                .map(|error| {
                    format!("needs ::1 (sysctl net.ipv6.conf.lo.disable_ipv6=0): {error}")
                }),
            Witness::HeadersX86_64 => headers_absence("x86_64", "amd64"),
            Witness::HeadersAarch64 => headers_absence("aarch64", "arm64"),
            Witness::PrivilegedPorts => {
                const FIRST_FREE: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
                let first_free = fs::read_to_string(FIRST_FREE).unwrap_or_default();
                let port_1_is_free = first_free.trim().parse().is_ok_and(|port: u16| port <= 1);
                port_1_is_free.then(|| {
                    format!("needs a port that takes a privilege: write 1024 to {FIRST_FREE}")
                })
            }
            Witness::PidNamespaces => {
                let works = succeeds(Command::new("unshare").args(PID_1).arg("true"));
                (!works)
                    .then(|| "needs unshare(1) and user namespaces: unshare --user --pid".into())
            }
            Witness::MuslTarget => musl_absence(env::consts::ARCH),
            Witness::Aarch64Program => musl_absence("aarch64").or_else(|| {
                let works = succeeds(Command::new("qemu-aarch64").arg("--version"));
                (!works).then(|| "needs qemu-aarch64: apt-get install qemu-user".into())
            }),
            Witness::Glibc => (!cfg!(target_env = "gnu"))
                .then(|| "needs glibc: build for a target whose name ends with -gnu".into()),
        }
    }
}

/// The options with which `unshare(1)` runs a command as PID 1 of a PID namespace.
pub const PID_1: [&str; 4] = ["--user", "--map-root-user", "--pid", "--fork"];

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn musl_absence(arch: &str) -> Option<String> {
    // A guest of `.ci/kernels` has no cargo. Its copy of the program is where cargo would build it.
    if !Path::new(env!("CARGO")).exists() {
        return None;
    }
    let target = format!("{arch}-unknown-linux-musl");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    let output = command.args(["--print=target-libdir", "--target", &target]);
    let library = output
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    let is_there = library.is_some_and(|library| Path::new(library.trim()).is_dir());
    (!is_there).then(|| format!("needs Rust's target {target}: rustup target add {target}"))
}

fn headers_absence(arch: &str, debian: &str) -> Option<String> {
    if headers(arch).is_some() && compiler(arch).is_some() {
        return None;
    }
    let packages = if arch == env::consts::ARCH {
        "linux-libc-dev gcc".into()
    } else {
        format!(
            "linux-libc-dev-{debian}-cross gcc-{}-linux-gnu",
            arch.replace('_', "-")
        )
    };
    Some(format!(
        "needs the kernel's headers and a C compiler for {arch}: apt-get install {packages}"
    ))
}

/// Returns a C compiler for `arch`: the one with the GNU name or, for the machine's own architecture, `cc`.
pub fn compiler(arch: &str) -> Option<String> {
    let gnu = format!("{arch}-linux-gnu-gcc");
    let own = (arch == env::consts::ARCH).then(|| "cc".to_owned());
    [Some(gnu), own]
        .into_iter()
        .flatten()
        .find(|name| succeeds(Command::new(name).arg("--version")))
}

/// Returns the include directories of the kernel's headers for `arch`, if they are installed. Debian has a
/// directory for the machine's own architecture and one for each cross package. Fedora, Arch and Alpine have
/// those of the machine's own architecture in `/usr/include`.
pub fn headers(arch: &str) -> Option<Vec<PathBuf>> {
    let plain = PathBuf::from("/usr/include");
    let own = plain.join(format!("{arch}-linux-gnu"));
    let cross = PathBuf::from(format!("/usr/{arch}-linux-gnu/include"));
    let has_asm = |dir: &Path| dir.join("asm/errno.h").is_file();
    if has_asm(&own) {
        Some(vec![own, plain])
    } else if has_asm(&cross) {
        Some(vec![cross])
    } else if arch == env::consts::ARCH && has_asm(&plain) {
        Some(vec![plain])
    } else {
        None
    }
}

/// Returns whether the environment demands every witness. Panics if [`DEMAND`] has a value other than
/// `all`.
fn demanded() -> bool {
    match env::var(DEMAND) {
        Ok(value) => {
            assert_eq!(value, "all", "{DEMAND}: expected all, or no such variable");
            true
        }
        Err(_) => false,
    }
}

/// Reports that a test runs in a reduced form (at a smaller scale, or on another port), or makes it fail if
/// every witness is demanded. The line goes directly to standard error, which the test harness does not
/// capture.
fn reduced(what: &str) {
    assert!(!demanded(), "{what} ({DEMAND}=all)");
    // Nothing can be done if standard error fails.
    let _ = writeln!(std::io::stderr(), "reduced: {what}");
}

/// Returns how many clients a crowd may have: `wanted`, or as many as this process's hard limit of
/// open files allows besides `others` descriptors. Raises the soft limit to the hard one.
pub fn crowd(wanted: usize, others: usize) -> usize {
    let (_, hard) = rlimit::increase_nofile_limit(u64::MAX)
        .and_then(|_| rlimit::getrlimit(rlimit::Resource::NOFILE))
        .expect("the limit of open files");
    let hard = usize::try_from(hard).unwrap_or(usize::MAX);
    let allowed = hard.saturating_sub(others);
    assert!(
        allowed > 0,
        "the hard limit of open files (ulimit -Hn) is {hard}; the tests need more than {others}"
    );
    if allowed < wanted {
        reduced(&format!(
            "{allowed} clients instead of {wanted}: the hard limit of open files (ulimit -Hn) is {hard}"
        ));
    }
    allowed.min(wanted)
}

/// Returns the port of the task's samples: 8080, or a free one if another program uses it.
pub fn task_port() -> u16 {
    const TASK_PORT: u16 = 8080;
    let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, TASK_PORT)) else {
        return TASK_PORT;
    };
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("an address").port();
    reduced(&format!(
        "port {port} instead of {TASK_PORT} for the task's samples: {error}"
    ));
    port
}

/// A test, with the witnesses that it needs.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its name, as `cargo test` shows it.
    pub name: &'static str,
    /// The function that it runs, which panics on failure.
    pub run: fn(),
    /// The witnesses that it needs.
    pub needs: &'static [Witness],
    /// The reason why it runs only on request (`--ignored`), if it does.
    pub on_request: Option<&'static str>,
}

/// Runs `tests` as the standard harness would, with its command line.
pub fn run(tests: &[Test]) -> ExitCode {
    let demanded = demanded();
    // Look for each witness once, and only if a test needs it.
    static ABSENCES: Mutex<BTreeMap<Witness, Option<String>>> = Mutex::new(BTreeMap::new());
    let absence = |witness: Witness| {
        let mut absences = ABSENCES.lock().expect("no test runs in here");
        absences
            .entry(witness)
            .or_insert_with(|| witness.absence())
            .clone()
    };
    let trial = |test: &Test| {
        let Test {
            name,
            run,
            needs,
            on_request,
        } = *test;
        let trial = Trial::ignorable_test(name, move || {
            match needs.iter().find_map(|&witness| absence(witness)) {
                Some(reason) if demanded => Err(format!("{reason} ({DEMAND}=all)").into()),
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => {
                    run();
                    Ok(Completion::Completed)
                }
            }
        });
        trial
            .with_ignored_flag(on_request.is_some())
            .with_kind(on_request.unwrap_or_default())
    };
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, tests.iter().map(trial).collect());
    let absences = ABSENCES.lock().expect("all tests have ended");
    for (witness, reason) in absences.iter() {
        if let Some(reason) = reason {
            let count = tests
                .iter()
                .filter(|test| test.needs.contains(witness))
                .count();
            println!("absent witness: {reason}; tests here that need it: {count}");
        }
    }
    conclusion.exit_code()
}

/// Defines `main` as the harness of the named tests. The witnesses that a test needs follow its name, and
/// `#[ignore = "why"]` precedes a test that runs only on request. A test under `[each loopback]` takes an
/// address. It runs with 127.0.0.1, and with `::1` as a second test that needs [`Witness::Ipv6`].
#[macro_export]
macro_rules! tests {
    (
        $($(#[ignore = $why:literal])? $name:ident $(: $($witness:ident),+)?;)*
        $([each loopback] {
            $($either:ident $(: $($needed:ident),+)?;)+
        })?
    ) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[
                $($crate::Test {
                    name: stringify!($name),
                    run: $name,
                    needs: &[$($($crate::Witness::$witness),+)?],
                    on_request: None$(.or(Some($why)))?,
                },)*
                $($(
                    $crate::Test {
                        name: concat!(stringify!($either), "_ipv4"),
                        run: || $either(std::net::Ipv4Addr::LOCALHOST.into()),
                        needs: &[$($($crate::Witness::$needed),+)?],
                        on_request: None,
                    },
                    $crate::Test {
                        name: concat!(stringify!($either), "_ipv6"),
                        run: || $either(std::net::Ipv6Addr::LOCALHOST.into()),
                        needs: &[$crate::Witness::Ipv6, $($($crate::Witness::$needed),+)?],
                        on_request: None,
                    },
                )+)?
            ])
        }
    };
}

/// Reads a file of the kernel's headers for `arch`, such as `asm/errno.h`, if it exists.
pub fn header(arch: &str, name: &str) -> Option<String> {
    headers(arch)?
        .iter()
        .find_map(|dir| fs::read_to_string(dir.join(name)).ok())
}
