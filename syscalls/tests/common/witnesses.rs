//! Each call of the table has a witness in each of the tests that look at every call.

use std::collections::BTreeSet;

use syscalls::CALLS;

/// Fails unless every call of the table is in `seen`. `remedy` says what to add, and in which file.
pub fn assert_every_call(seen: &BTreeSet<&str>, remedy: &str) {
    let all: BTreeSet<_> = CALLS.iter().map(|call| call.name).collect();
    let lacking: Vec<_> = all.difference(seen).collect();
    assert!(lacking.is_empty(), "{remedy}: {lacking:?}");
}
