//! Compares call numbers, error numbers and constants with the kernel's headers for both architectures, and
//! struct layouts with the headers for this architecture.
//!
//! `x86_64.txt` and `aarch64.txt` contain the values from the headers. They are written by
//! `BLESS=1 RAWECHO_WITNESSES=all cargo test -p rawecho-syscalls --test numbers headers`, on a machine with
//! the headers and a C compiler for both architectures. Where the headers are installed, the tests also
//! compare the two files with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::{env, fs};

use syscalls::layout::Layout;
use syscalls::socket::SOCKET_OPTIONS;
use syscalls::{CALLS, Errno, LAYOUTS};
use witness::header;

use crate::FAMILIES;

const TABLES: [(&str, &str); 2] = [
    ("x86_64", include_str!("x86_64.txt")),
    ("aarch64", include_str!("aarch64.txt")),
];

fn table_of(arch: &str) -> &'static str {
    let table = TABLES.iter().find(|(name, _)| *name == arch);
    table.expect("a table for each architecture").1
}

/// The facts of a table: `call accept` is `43`, `layout struct pollfd` is `size 8, align 4, fd 0 4, …`.
type Facts = BTreeMap<String, String>;

fn parse(table: &str) -> Facts {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let (name, value) = row.split_once(" = ").expect("NAME = VALUE");
        (name.to_owned(), value.to_owned())
    })
    .collect()
}

/// Returns the facts of `table` whose name starts with `kind`, by the rest of their names.
fn of_kind(table: &str, kind: &str) -> Facts {
    parse(table)
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(kind)?.trim().to_owned(), value)))
        .collect()
}

pub fn call_numbers_match_kernel_tables() {
    for (arch, table) in TABLES {
        let numbers = of_kind(table, "call ");
        for call in CALLS {
            let ours = match arch {
                "x86_64" => call.x86_64,
                _ => call.aarch64,
            };
            let kernels = numbers.get(call.name).map(String::as_str);
            assert_eq!(
                Some(&*ours.to_string()),
                kernels,
                "{} on {arch}: correct its row in syscalls/src/calls.rs",
                call.name
            );
        }
    }
}

pub fn error_numbers_match_kernel_tables() {
    let ours: Facts = Errno::ALL
        .iter()
        .map(|errno| (errno.name().to_owned(), errno.number().to_string()))
        .collect();
    for (arch, table) in TABLES {
        let kernels = of_kind(table, "errno ");
        assert_eq!(
            ours, kernels,
            "syscalls/src/errno.rs, and the table of {arch}"
        );
    }
}

/// The prefixes of constants that the UAPI headers do not have. The kernel defines them in
/// `include/linux/socket.h`, `include/linux/net.h` and, before 6.7, `include/linux/eventfd.h`. The C library
/// repeats the definitions.
const NOT_IN_UAPI: [&str; 7] = ["AF_", "SOCK_", "SHUT_", "MSG_", "SOL_IP", "SOL_TCP", "EFD_"];

/// Returns all constants in use: the family, the name and the value.
fn constants() -> impl Iterator<Item = (&'static str, &'static str, i64)> {
    let families = FAMILIES.iter().flat_map(|family| {
        let constants = family.ours.iter();
        constants.map(|&(name, value)| (family.name, name, value))
    });
    let options = SOCKET_OPTIONS
        .iter()
        .map(|&(name, _, option)| ("SOCKET_OPTIONS", name, i64::from(option)));
    families.chain(options)
}

pub fn constants_match_kernel_tables() {
    let mut lacking = Vec::new();
    for (arch, table) in TABLES {
        let kernels = of_kind(table, "constant ");
        for (family, name, ours) in constants() {
            match kernels.get(name) {
                // The headers may give `EPOLLET` (bit 31) another sign. Its 32 bits are the same.
                Some(value) => assert_eq!(
                    ours as u32,
                    value.parse::<i64>().expect("a number") as u32,
                    "{name} on {arch}"
                ),
                None if NOT_IN_UAPI.iter().any(|prefix| name.starts_with(prefix)) => {}
                None => lacking.push(format!("{name} of {family} on {arch}")),
            }
        }
    }
    assert!(
        lacking.is_empty(),
        "add to syscalls/tests/numbers/x86_64.txt and syscalls/tests/numbers/aarch64.txt, and the \
         header to `HEADERS` in syscalls/tests/numbers/kernel.rs: {lacking:?}"
    );
}

/// Returns the UAPI header that defines a struct, and the struct's name in it. Returns `None` for a struct
/// that no UAPI header defines: `layouts.rs` compares it with the C library's.
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
        other => panic!("name the header of {other} in syscalls/tests/numbers/kernel.rs"),
    })
}

/// Returns the field's name in the kernel's header.
fn field_in_c(field: &str) -> &str {
    match field {
        // glibc calls the field `sin_zero`, the kernel's header `__pad`.
        "sin_zero" => "__pad",
        field => field,
    }
}

pub fn structs_match_kernel_tables() {
    let kernels = of_kind(table_of(syscalls::arch::NAME), "layout ");
    for layout in LAYOUTS {
        if uapi(layout).is_none() {
            continue;
        }
        let mut ours = format!("size {}, align {}", layout.size, layout.align);
        for field in layout.fields {
            let in_c = field_in_c(field.name);
            write!(ours, ", {in_c} {} {}", field.offset, field.size).expect("a string");
        }
        assert_eq!(Some(&ours), kernels.get(layout.name), "{}", layout.name);
    }
}

pub fn tables_match_x86_64_headers() {
    table_matches_headers("x86_64");
}

pub fn tables_match_aarch64_headers() {
    table_matches_headers("aarch64");
}

/// Compares the table of `arch` with the installed headers, or writes the table if `BLESS` is set. Headers of
/// another version than the table's may have more names or lack some. A name in both must have the same
/// value, and the headers must have every call and error of the crate.
fn table_matches_headers(arch: &str) {
    let live = facts(arch);
    let path = format!("{}/tests/numbers/{arch}.txt", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("BLESS").is_some() {
        fs::write(path, table_text(arch, &live)).expect("the table");
        return;
    }
    for (name, value) in parse(table_of(arch)) {
        if let Some(live) = live.get(&name) {
            assert_eq!(&value, live, "{name} on {arch}: the table, and the headers");
        }
    }
    let used = CALLS.iter().map(|call| format!("call {}", call.name));
    let used = used.chain(
        Errno::ALL
            .iter()
            .map(|errno| format!("errno {}", errno.name())),
    );
    let missing: Vec<_> = used.filter(|name| !live.contains_key(name)).collect();
    assert!(missing.is_empty(), "not in {arch}'s headers: {missing:?}");
}

/// Returns every `#define PREFIXname number` in `text`.
fn definitions(text: &str, prefix: &str) -> BTreeMap<String, usize> {
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define")?.split_whitespace();
        let name = words.next()?.strip_prefix(prefix)?;
        Some((name.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(define).collect()
}

/// Returns the facts of `arch`'s installed headers.
fn facts(arch: &str) -> Facts {
    let mut facts = Facts::new();
    // aarch64 has `asm/unistd_64.h` since the headers of 6.11. Before, it used the generic file.
    let calls = header(arch, "asm/unistd_64.h")
        .or_else(|| header(arch, "asm-generic/unistd.h"))
        .expect("the header that numbers the calls");
    for (name, number) in definitions(&calls, "__NR_") {
        // `__NR_syscalls` is the number of calls, and `arch_specific_syscall` marks a range of numbers.
        if name != "syscalls" && name != "arch_specific_syscall" {
            facts.insert(format!("call {name}"), number.to_string());
        }
    }
    // The generic file numbers some calls once for 32 and 64 bits, under a name with `__NR3264_`. It then
    // defines the names for each width by these, first those for 64 bits.
    let shared = definitions(&calls, "__NR3264_");
    let names = calls.rsplit_once("#if __BITS_PER_LONG == 64");
    let names = names.and_then(|(_, names)| names.split_once("#else"));
    for line in names.map_or("", |(names, _)| names).lines() {
        let of_both = line.strip_prefix("#define __NR_");
        let of_both = of_both.and_then(|line| line.split_once(" __NR3264_"));
        if let Some((name, number)) = of_both.and_then(|(name, by)| Some((name, shared.get(by)?))) {
            facts.insert(format!("call {name}"), number.to_string());
        }
    }
    let own = header(arch, "asm/errno.h").expect("asm/errno.h");
    assert_eq!(
        own.trim(),
        "#include <asm-generic/errno.h>",
        "{arch} has error numbers of its own"
    );
    for file in ["asm-generic/errno-base.h", "asm-generic/errno.h"] {
        // `definitions` skips `EWOULDBLOCK` and `EDEADLOCK`, which are defined by another name, not by a
        // number.
        let text = header(arch, file).expect("a header of error numbers");
        for (name, number) in definitions(&text, "") {
            facts.insert(format!("errno {name}"), number.to_string());
        }
    }
    let answers = values_from_compiler(arch);
    for (_, name, _) in constants() {
        if let Some(value) = answers.get(name) {
            facts.insert(format!("constant {name}"), value.to_string());
        }
    }
    for layout in LAYOUTS {
        if uapi(layout).is_none() {
            continue;
        }
        let answer = |what: &str| answers[&format!("{} {what}", layout.name)];
        let mut text = format!("size {}, align {}", answer("size"), answer("align"));
        for field in layout.fields {
            let in_c = field_in_c(field.name);
            let [offset, size] = ["offset", "size"].map(|what| answer(&format!("{in_c} {what}")));
            write!(text, ", {in_c} {offset} {size}").expect("a string");
        }
        facts.insert(format!("layout {}", layout.name), text);
    }
    facts.insert("version".into(), answers["LINUX_VERSION_CODE"].to_string());
    facts
}

fn table_text(arch: &str, facts: &Facts) -> String {
    let code: u32 = facts["version"].parse().expect("a number");
    let version = format!("{}.{}.{}", code >> 16, code >> 8 & 255, code & 255);
    let mut text = format!(
        "# Facts about {arch} from the UAPI headers of Linux {version}. Written by\n\
         # BLESS=1 RAWECHO_WITNESSES=all cargo test -p rawecho-syscalls --test numbers headers\n\
         # call NAME = NUMBER, constant NAME = VALUE, errno NAME = NUMBER,\n\
         # layout TYPE = size, align, each field with its offset and size.\n"
    );
    for (name, value) in facts.iter().filter(|&(name, _)| name != "version") {
        writeln!(text, "{name} = {value}").expect("a string");
    }
    text
}

/// The headers to include for constants and for the version, in addition to those of `uapi`.
/// `linux/eventfd.h` is missing, because headers before 6.7 do not have it.
const HEADERS: &[&str] = &[
    "linux/version.h",
    "linux/fcntl.h",
    "linux/tcp.h",
    "linux/signalfd.h",
    "linux/time.h",
    "asm/socket.h",
    "linux/in.h",
    "linux/eventpoll.h",
];

/// Compiles a C file for `arch` that contains every constant, size and offset, and returns their values. The
/// compiler writes them to its assembly output, as for the kernel's own `asm-offsets.h`.
fn values_from_compiler(arch: &str) -> BTreeMap<String, i64> {
    // The headers use `__force`, an annotation for sparse, which the compiler does not know.
    let mut c = String::from("#define __force\n#include <stddef.h>\n#include <linux/types.h>\n");
    let uapi_headers = LAYOUTS.iter().filter_map(uapi).map(|(header, _)| header);
    for header in uapi_headers
        .chain(HEADERS.iter().copied())
        .collect::<BTreeSet<_>>()
    {
        writeln!(c, "#include <{header}>").expect("a string");
    }
    c += "#define SAY(name, value) __asm__ volatile(\"\\n->\" name \" = %c0\" :: \"i\"((int)(value)))\n";
    c += "void say(void) {\n";
    let names = constants().map(|(_, name, _)| name);
    for name in names.chain(["LINUX_VERSION_CODE"]) {
        writeln!(c, "#ifdef {name}\nSAY(\"{name}\", {name});\n#endif").expect("a string");
    }
    for layout in LAYOUTS {
        let Some((_, in_c)) = uapi(layout) else {
            continue;
        };
        let name = layout.name;
        writeln!(
            c,
            "SAY(\"{name} size\", sizeof({in_c}));\nSAY(\"{name} align\", _Alignof({in_c}));"
        )
        .expect("a string");
        for field in layout.fields {
            let field = field_in_c(field.name);
            writeln!(
                c,
                "SAY(\"{name} {field} offset\", offsetof({in_c}, {field}));\n\
                 SAY(\"{name} {field} size\", sizeof((({in_c} *)0)->{field}));"
            )
            .expect("a string");
        }
    }
    c += "}\n";
    let assembly = compile(arch, &c);
    let answers = assembly.lines().filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("->")?.split_once(" = ")?;
        Some((name.to_owned(), value.parse().expect("a number")))
    });
    answers.collect()
}

/// Compiles `source` to assembly for `arch`.
fn compile(arch: &str, source: &str) -> String {
    let compiler = witness::compiler(arch).expect("the test runs only with a compiler");
    let mut command = Command::new(&compiler);
    command.args(["-S", "-w", "-x", "c", "-o", "-"]);
    for dir in witness::headers(arch).expect("the test runs only with the headers") {
        command.arg("-isystem").arg(dir);
    }
    let mut child = command
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe to the compiler");
    stdin.write_all(source.as_bytes()).expect("the source");
    drop(stdin);
    let output = child.wait_with_output().expect("the compiler's exit");
    assert!(
        output.status.success(),
        "{compiler} does not compile:\n{source}"
    );
    String::from_utf8(output.stdout).expect("assembly is text")
}
