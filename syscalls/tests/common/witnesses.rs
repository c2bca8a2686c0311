//! Checks that the tests that cover every call have a case for each call of the table.

use std::collections::BTreeSet;

use syscalls::CALLS;

/// Asserts that every call of the table is in `seen`. `remedy` states what to add, and to which file.
pub fn assert_every_call(seen: &BTreeSet<&str>, remedy: &str) {
    let all: BTreeSet<_> = CALLS.iter().map(|call| call.name).collect();
    let lacking: Vec<_> = all.difference(seen).collect();
    assert!(lacking.is_empty(), "{remedy}: {lacking:?}");
}
