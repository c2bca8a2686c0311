//! Proves that the calls' numbers, the error numbers and the structs are the kernel's own, from its
//! UAPI headers.
//!
//! Numbers are compared for both architectures on any machine. The headers come with Debian's and
//! Ubuntu's packages `linux-libc-dev` and, for the other architecture, `linux-libc-dev-arm64-cross`
//! or `linux-libc-dev-amd64-cross`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use syscalls::layout::Layout;
use syscalls::{CALLS, Errno, LAYOUTS};

const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Where `arch`'s headers are: in the place for a machine's own, or in the cross package's.
fn include_dirs(arch: &str) -> Vec<PathBuf> {
    let own = PathBuf::from(format!("/usr/include/{arch}-linux-gnu"));
    let cross = PathBuf::from(format!("/usr/{arch}-linux-gnu/include"));
    if own.join("asm").is_dir() {
        return vec![own, PathBuf::from("/usr/include")];
    }
    if cross.join("asm").is_dir() {
        return vec![cross];
    }
    let debian = if arch == "x86_64" { "amd64" } else { "arm64" };
    panic!(
        "the kernel's headers for {arch} are in neither {} nor {}: install the package \
         linux-libc-dev on such a machine, or linux-libc-dev-{debian}-cross on another",
        own.display(),
        cross.display()
    );
}

/// The text of `arch`'s header `<name>`, if it has one.
fn header(arch: &str, name: &str) -> Option<String> {
    let dirs = include_dirs(arch);
    dirs.iter()
        .find_map(|dir| fs::read_to_string(dir.join(name)).ok())
}

/// Every `#define PREFIXname number` in `text`.
fn definitions(text: &str, prefix: &str) -> BTreeMap<String, usize> {
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define")?.split_whitespace();
        let name = words.next()?.strip_prefix(prefix)?;
        Some((name.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(define).collect()
}

#[test]
fn the_numbers_of_the_calls_are_the_kernels() {
    for arch in ARCHITECTURES {
        // aarch64 has a file of its own since the headers of 6.11, and the generic one before.
        let text = header(arch, "asm/unistd_64.h")
            .or_else(|| header(arch, "asm-generic/unistd.h"))
            .expect("the header that numbers the calls");
        let numbers = definitions(&text, "__NR_");
        for call in CALLS {
            let ours = match arch {
                "x86_64" => call.x86_64,
                _ => call.aarch64,
            };
            let kernels = numbers.get(call.name).copied();
            assert_eq!(Some(ours), kernels, "{} on {arch}", call.name);
        }
    }
}

#[test]
fn the_error_numbers_are_the_kernels() {
    let ours: BTreeMap<String, usize> = Errno::ALL
        .iter()
        .map(|errno| (errno.name().to_owned(), errno.number().into()))
        .collect();
    for arch in ARCHITECTURES {
        let own = header(arch, "asm/errno.h").expect("asm/errno.h");
        assert_eq!(
            own.trim(),
            "#include <asm-generic/errno.h>",
            "{arch} has error numbers of its own"
        );
        let mut kernels = BTreeMap::new();
        for file in ["asm-generic/errno-base.h", "asm-generic/errno.h"] {
            let text = header(arch, file).expect("a header of error numbers");
            // `EWOULDBLOCK` and `EDEADLOCK` are defined by another name, not by a number.
            let mut errnos = definitions(&text, "");
            kernels.append(&mut errnos);
        }
        assert_eq!(ours, kernels, "ours, and those in {arch}'s headers");
    }
}

/// The UAPI header that defines a struct, and the struct's name in it. The kernel keeps the rest to
/// itself, and `layouts.rs` compares those with the C library's.
fn uapi(layout: &Layout) -> Option<(&'static str, &'static str)> {
    Some(match layout.name {
        "struct sockaddr_in" => ("linux/in.h", "struct sockaddr_in"),
        "struct sockaddr_in6" => ("linux/in6.h", "struct sockaddr_in6"),
        "struct epoll_event" => ("linux/eventpoll.h", "struct epoll_event"),
        "struct iovec" => ("linux/uio.h", "struct iovec"),
        "struct pollfd" => ("asm/poll.h", "struct pollfd"),
        "struct rlimit64" => ("linux/resource.h", "struct rlimit64"),
        "struct timespec" => ("linux/time_types.h", "struct __kernel_timespec"),
        "struct sigaction" => ("asm/signal.h", "struct sigaction"),
        "sigset_t" => ("asm/signal.h", "sigset_t"),
        "struct msghdr" | "struct mmsghdr" | "struct linger" => return None,
        other => panic!("where is {other} defined?"),
    })
}

/// The name that the kernel's header gives the field.
fn field_in_c(field: &str) -> &str {
    match field {
        // glibc and the manual say `sin_zero`; to the kernel it is padding.
        "sin_zero" => "__pad",
        field => field,
    }
}

#[test]
fn the_structs_are_those_of_the_kernels_headers() {
    let arch = syscalls::arch::NAME;
    for layout in LAYOUTS {
        let Some((header, name)) = uapi(layout) else {
            continue;
        };
        let Layout { size, align, .. } = layout;
        let mut c = format!(
            "#include <linux/types.h>\n#include <stddef.h>\n#include <{header}>\n\
             _Static_assert(sizeof({name}) == {size}, \"size\");\n\
             _Static_assert(_Alignof({name}) == {align}, \"alignment\");\n"
        );
        for field in layout.fields {
            let in_c = field_in_c(field.name);
            writeln!(
                c,
                "_Static_assert(offsetof({name}, {in_c}) == {}, \"{in_c}\");\n\
                 _Static_assert(sizeof((({name} *)0)->{in_c}) == {}, \"{in_c}\");",
                field.offset, field.size
            )
            .expect("a string takes all");
        }
        compile(arch, &c);
    }
}

/// Has `arch`'s C compiler check `source`.
fn compile(arch: &str, source: &str) {
    let compiler = format!("{arch}-linux-gnu-gcc");
    let mut command = Command::new(&compiler);
    command.args(["-fsyntax-only", "-x", "c"]);
    for dir in include_dirs(arch) {
        command.arg("-isystem").arg(Path::new(&dir));
    }
    let mut child = command
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{compiler}: {error}: install the package gcc, or gcc-{arch}-linux-gnu")
        });
    let mut stdin = child.stdin.take().expect("a pipe to the compiler");
    stdin.write_all(source.as_bytes()).expect("the source");
    drop(stdin);
    let status = child.wait().expect("the compiler's end");
    assert!(status.success(), "{compiler} refuses:\n{source}");
}
