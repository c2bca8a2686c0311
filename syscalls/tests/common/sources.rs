//! The crate's sources, for tests that search them for items that a table omits.

use std::fs;
use std::path::Path;

/// Returns the text of the files directly in `src`, or an empty string if the test binary runs on a machine
/// without them.
pub fn read() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let Ok(entries) = fs::read_dir(dir) else {
        return String::new();
    };
    let files = entries.map(|entry| entry.expect("a directory entry").path());
    files
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).expect("a source file"))
        .collect()
}
