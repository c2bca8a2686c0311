//! Checks that the crate works without a C library: `examples/07_freestanding.rs`, an echo server of a few
//! kilobytes, is a static program that loads no library, and serves an ordinary client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::{env, fs, thread};

#[path = "common/cargo.rs"]
mod cargo;

/// The target that this test is built for.
const TARGET: &str = match (cfg!(target_arch = "x86_64"), cfg!(target_env = "musl")) {
    (true, false) => "x86_64-unknown-linux-gnu",
    (true, true) => "x86_64-unknown-linux-musl",
    (false, false) => "aarch64-unknown-linux-gnu",
    (false, true) => "aarch64-unknown-linux-musl",
};

/// The path of the program, which is built once for all tests. A virtual machine has no cargo: `.ci/kernels`
/// copies the program into it.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    if Path::new(env!("CARGO")).exists() {
        let mut build = cargo::release("build", "07_freestanding", TARGET);
        cargo::run(build.args(["--features", "freestanding"]));
    }
    let dir = cargo::target_dir().join(TARGET);
    dir.join("release/examples/07_freestanding")
});

#[test]
fn program_is_small_and_statically_linked() {
    let elf = fs::read(&*PROGRAM).expect("the program");
    assert!(elf.len() < 16 * 1024, "{} bytes", elf.len());

    // The ELF header and its program headers: elf(5).
    let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap());
    assert_eq!(&elf[..5], b"\x7fELF\x02", "a 64-bit ELF file");
    const ET_EXEC: u16 = 2;
    assert_eq!(
        u16_at(16),
        ET_EXEC,
        "it has a fixed address, because no loader would relocate it"
    );
    let (headers, size, count) = (
        u64_at(32) as usize,
        u16_at(54) as usize,
        u16_at(56) as usize,
    );
    let types: Vec<u32> = (0..count).map(|n| u32_at(headers + n * size)).collect();
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    assert!(types.contains(&PT_LOAD), "{types:?}");
    assert!(
        !types.contains(&PT_INTERP),
        "the program requests a dynamic linker"
    );
    assert!(
        !types.contains(&PT_DYNAMIC),
        "the program requests dynamic linking"
    );
}

/// The running server, killed when the test ends.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start() -> Server {
        // If the environment names a runner for programs of this target, run the program by it, as cargo does.
        let runner = format!(
            "CARGO_TARGET_{}_RUNNER",
            TARGET.to_uppercase().replace('-', "_")
        );
        let mut command = match env::var(runner) {
            Ok(runner) => {
                let mut words = runner.split_whitespace();
                let mut command = Command::new(words.next().expect("a runner"));
                command.args(words).arg(&*PROGRAM);
                command
            }
            Err(_) => Command::new(&*PROGRAM),
        };
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let port: u16 = line.trim().parse().expect("a port");
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        Server { process, addr }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).expect("the server listens")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it is still running");
        self.process.wait().expect("its end");
    }
}

/// Sends `data`, shuts down the sending side, and returns the bytes that come back until end of file.
fn round_trip(connection: TcpStream, data: &[u8]) -> Vec<u8> {
    let mut echo = vec![];
    thread::scope(|scope| {
        scope.spawn(|| {
            (&connection).write_all(data).expect("the server reads");
            connection.shutdown(Shutdown::Write).expect("connected");
        });
        (&connection).read_to_end(&mut echo).expect("the echo");
    });
    echo
}

#[test]
fn server_echoes_every_connection() {
    let server = Server::start();
    for n in 0..300 {
        let data = format!("connection {n}");
        assert_eq!(
            round_trip(server.connect(), data.as_bytes()),
            data.as_bytes()
        );
    }
    // All but the first of these connections wait in the accept queue.
    let waiting: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for connection in waiting {
        assert_eq!(round_trip(connection, b"at last"), b"at last");
    }
    let megabyte: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
    assert_eq!(round_trip(server.connect(), &megabyte), megabyte);
    assert_eq!(round_trip(server.connect(), b""), b"");
}

#[test]
fn server_survives_a_reset() {
    let server = Server::start();
    for _ in 0..20 {
        let mut connection = server.connect();
        connection
            .write_all(&[0; 100_000])
            .expect("the server reads");
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the kernel reads one `linger`.
        let set = unsafe {
            libc::setsockopt(
                connection.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of_val(&linger) as u32,
            )
        };
        assert_eq!(set, 0);
        drop(connection);
        assert_eq!(round_trip(server.connect(), b"still here"), b"still here");
    }
}
