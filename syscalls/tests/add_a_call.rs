//! Checks that `CONTRIBUTING.md` describes every step of adding a call. The test adds two calls to a copy of
//! the project, one of them exactly as the page describes, and checks the output of the project's own tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../CONTRIBUTING.md");

/// The same steps for `sendfile(2)`, without explanations.
const SENDFILE: &str = r#"
In `syscalls/src/calls.rs`, before the line `exit_group EXIT_GROUP 231 94 (status: Int) "2.6" "process::exit_group"`:

```rust
    sendfile SENDFILE 40 71 (out_fd: Int, in_fd: Int, offset: Out(Offset), count: Size) "2.2" "Fd::sendfile"
        "ssize_t sendfile(int out_fd, int in_fd, off_t *offset, size_t count)";
```

In `syscalls/src/io.rs`, before the line `/// Writes from several buffers, one after the other.`:

```rust
    /// Writes at most `count` bytes of the file `from`, starting at `offset`, which it advances.
    ///
    #[doc = call_doc!(sendfile)]
    ///
    /// # Errors
    /// - Those of [`write`](Fd::write).
    /// - `EINVAL`: `from` is not a file that can be mapped.
    pub fn sendfile(&self, from: &Fd<K>, offset: &mut u64, count: usize) -> Result<usize, Errno> {
        let offset = (&raw mut *offset).expose_provenance();
        let args = [self.arg(), from.arg(), offset, count];
        // SAFETY: the kernel reads and writes one offset.
        into_result(unsafe { self.kernel().syscall(sc::nr::SENDFILE, args) })
    }

```

In `syscalls/tests/asm.rs`, before the line `let mut time = [-1i64; 2];`:

```rust
    let file = fs::File::open("/proc/self/exe").expect("a file");
    let (_ours, theirs) = UnixStream::pair().expect("a pair");
    let mut offset = 1u64;
    run.call("sendfile", &[fd(&theirs), fd(&file), at(&mut offset), 3]);
    run.note("offset", offset);
    run.call("sendfile", &[fd(&theirs), CLOSED, at(&mut offset), 3]);
```

In `syscalls/tests/calls.rs`, before the line `// The sockets' own calls.`:

```rust
fn sendfile_copies_a_part_of_a_file() {
    let (ours, mut theirs) = pair();
    let file = own(fs::File::open("/proc/self/exe").unwrap());
    let mut offset = 1;
    assert_eq!(ours.sendfile(&file, &mut offset, 3), Ok(3));
    assert_eq!(offset, 4);
    let mut read = [0; 3];
    theirs.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"ELF");
}

```

In `syscalls/tests/calls.rs`, before the line `[each loopback] {`:

```rust
    sendfile_copies_a_part_of_a_file;
```

In `syscalls/tests/trace_is_strace/every_call.rs`, before the line `clock_gettime(k, CLOCK_MONOTONIC).unwrap();`:

```rust
    let file = openat(k.clone(), c"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0).unwrap();
    let (ours, _theirs) = Socket::pair(k.clone(), AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0).unwrap();
    let mut offset = 1;
    ours.sendfile(&file, &mut offset, 3).unwrap();
    ours.sendfile(&file, &mut offset, 0).unwrap();
    fails(ours.sendfile(&ours, &mut offset, 3), Errno::ESPIPE);
```

In `syscalls/tests/numbers/libc.rs`, before the line `SYS_ppoll SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_signalfd4`:

```rust
    SYS_sendfile
```
"#;

/// The tests that fail until they cover a new call.
const TESTS: [&str; 5] = [
    "asm",
    "calls",
    "every_call_traced",
    "trace_is_strace",
    "numbers",
];

/// A text to insert into a file.
struct Edit<'t> {
    file: &'t str,
    /// The line before which the text is inserted, without leading and trailing spaces.
    anchor: &'t str,
    text: &'t str,
}

impl Edit<'_> {
    fn is_in_source(&self) -> bool {
        self.file.contains("/src/")
    }

    fn make(&self, copy: &Path) {
        let path = copy.join(self.file);
        let text = fs::read_to_string(&path).expect(self.file);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if line.trim() == self.anchor {
                let (before, after) = text.split_at(start);
                fs::write(&path, [before, self.text, after].concat()).expect(self.file);
                return;
            }
            start += line.len();
        }
        panic!("{} has no line {:?}", self.file, self.anchor);
    }
}

/// Returns the edits that `page` describes, each as "In `FILE`, before the line `LINE`:" and a block of Rust.
fn edits(page: &str) -> Vec<Edit<'_>> {
    let mut edits = vec![];
    for part in page.split("\nIn `").skip(1) {
        let (file, rest) = part.split_once("`, before the line `").expect(part);
        let (anchor, rest) = rest.split_once("`:\n\n```rust\n").expect(part);
        let (text, _) = rest.split_once("```").expect(part);
        edits.push(Edit { file, anchor, text });
    }
    edits
}

/// Copies the directory `from` to `to`, without build output, `.git` and the separate project `benches`.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if ["target", ".git", "benches"].contains(&name.to_str().expect("UTF-8")) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a file");
        }
    }
}

/// Runs [`TESTS`] in the copy. Returns whether all passed, and their output.
fn run_tests(copy: &Path) -> (bool, String) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(copy).args([
        "test",
        "-p",
        "rawecho-syscalls",
        "--locked",
        "--no-fail-fast",
    ]);
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("add-a-call-target");
    cargo
        .arg("--target-dir")
        .arg(target)
        .env("RUSTFLAGS", "-D warnings");
    let output = cargo.output().expect("cargo");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn adding_a_call_takes_two_source_files_and_failing_tests_name_the_test_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the project");
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("add-a-call");
    let _ = fs::remove_dir_all(&dir);
    copy(root, &dir);
    let pages = [("getrandom", edits(PAGE)), ("sendfile", edits(SENDFILE))];

    for (call, edits) in &pages {
        let edits = edits.iter().filter(|edit| edit.is_in_source());
        let files: BTreeSet<_> = edits.clone().map(|edit| edit.file).collect();
        assert_eq!(files.len(), 2, "source files for {call}: {files:?}");
        edits.for_each(|edit| edit.make(&dir));
    }
    let (passed, text) = run_tests(&dir);
    assert!(
        !passed,
        "no test fails without cases for the new calls:\n{text}"
    );
    for (call, edits) in &pages {
        for edit in edits.iter().filter(|edit| !edit.is_in_source()) {
            let mut lines = text.lines();
            // A family of constants may have the call's name in capitals: `GETRANDOM_FLAGS`.
            let names_it =
                |line: &str| line.contains(edit.file) && line.to_lowercase().contains(call);
            assert!(
                lines.any(names_it),
                "for {call}, no test names {}:\n{text}",
                edit.file
            );
        }
    }

    for (_, edits) in &pages {
        let edits = edits.iter().filter(|edit| !edit.is_in_source());
        edits.for_each(|edit| edit.make(&dir));
    }
    let (passed, text) = run_tests(&dir);
    assert!(passed, "after all edits:\n{text}");
}
