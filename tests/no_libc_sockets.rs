//! No socket call goes through the C library: neither the built program nor the sources can call its
//! wrappers.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSymbol, SymbolKind};

/// Returns whether `name` is a function of the C library that makes socket or epoll calls.
fn is_socket_wrapper(name: &str) -> bool {
    let families = ["send", "recv", "epoll_"];
    let names = [
        "socket",
        "socketpair",
        "bind",
        "listen",
        "accept",
        "accept4",
        "connect",
        "setsockopt",
        "getsockopt",
        "getsockname",
        "getpeername",
        "shutdown",
        "getaddrinfo",
    ];
    names.contains(&name) || families.iter().any(|family| name.starts_with(family))
}

/// The wrappers that the C library calls itself, to get the machine's addresses from the kernel. A static
/// program contains them even if it does not call them.
const USED_BY_LIBC: [&str; 5] = ["socket", "bind", "getsockname", "sendto", "recvmsg"];

/// Returns the socket wrappers that the program at `path` imports or, if it is static, contains.
fn socket_wrappers(path: impl AsRef<Path>) -> BTreeSet<String> {
    let bytes = fs::read(path).expect("the program's file");
    let elf = object::File::parse(&*bytes).expect("an ELF file");
    let is_static = elf.section_by_name(".interp").is_none();
    let symbols = elf.dynamic_symbols().chain(elf.symbols());
    // Leave out the names of source files, which can be the same as those of functions.
    let names: BTreeSet<&str> = symbols
        .filter(|symbol| symbol.kind() != SymbolKind::File)
        .filter_map(|symbol| symbol.name().ok())
        .collect();
    assert!(names.len() > 10, "a stripped static program has no symbols");
    names
        .into_iter()
        .filter(|name| is_socket_wrapper(name) && !(is_static && USED_BY_LIBC.contains(name)))
        .map(String::from)
        .collect()
}

#[test]
fn program_imports_no_socket_wrapper() {
    assert_eq!(
        socket_wrappers(env!("CARGO_BIN_EXE_rawecho")),
        BTreeSet::new()
    );
}

/// This test program calls the wrappers, because it listens with the standard library.
#[test]
fn scanner_detects_libc_socket_imports() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    TcpStream::connect(address).expect("connect");
    listener.accept().expect("accept");
    let found = socket_wrappers(std::env::current_exe().expect("this program"));
    for name in ["setsockopt", "listen", "accept4", "connect"] {
        assert!(found.contains(name), "{name}: {found:?}");
    }
}

/// Returns all `.rs` files under `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => vec![],
        })
        .collect()
}

/// Returns the numbers of the lines at which `source` could use the standard library's networking or a C
/// function.
fn forbidden_lines(source: &str) -> Vec<usize> {
    let is_forbidden = |line: &str| {
        let line: String = line.split_whitespace().collect();
        let group = line.strip_prefix("usestd::{").unwrap_or_default();
        line.contains("std::net")
            || line.contains("std::os::fd")
            || line.contains("std::os::unix::net")
            || line.contains("libc::")
            // Declares C functions. `extern "C" fn` defines one, or is the type of a pointer to one.
            || line.contains("extern\"C\"{")
            || group
                .split([',', '{', '}'])
                .any(|name| name == "net" || name.starts_with("net::"))
    };
    let lines = source.lines().enumerate();
    lines
        .filter(|(_, line)| is_forbidden(line))
        .map(|(i, _)| i + 1)
        .collect()
}

#[test]
fn no_source_uses_std_net() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [
        sources(&root.join("src")),
        sources(&root.join("syscalls/src")),
    ]
    .concat();
    assert!(sources.len() > 20, "{sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source");
        assert_eq!(forbidden_lines(&text), [0; 0], "{}", path.display());
    }
}

#[test]
fn scanner_detects_std_net_in_sources() {
    for line in [
        "use std::net::TcpStream;",
        "let x = std :: net :: TcpListener::bind(a);",
        "use std::{io, net};",
        "use std::{net::{self, TcpStream}, io};",
        "unsafe extern \"C\" { fn socket() -> i32; }",
    ] {
        assert_eq!(forbidden_lines(line), [1], "{line}");
    }
    assert_eq!(
        forbidden_lines(
            "use core::net::SocketAddr;\nuse std::{io, network};\nextern \"C\" fn handler(signal: i32) {}"
        ),
        [0; 0]
    );
}
