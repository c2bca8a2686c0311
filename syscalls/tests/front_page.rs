//! Proves that the table of calls in the crate's front page (`src/lib.rs`) is the one that the code
//! goes by. `BLESS=1 cargo test -p syscalls --test front_page` writes it anew.

use std::{env, fs};

use syscalls::CALLS;

const FRONT_PAGE: &str = include_str!("../src/lib.rs");

/// The line under the table's head.
const RULE: &str = "//! |---|---|---|---|---|\n";

/// The table's rows as `CALLS` has them.
fn rows() -> String {
    CALLS
        .iter()
        .map(|call| {
            let arguments = call.arguments.join(", ");
            let (name, x86_64, aarch64) = (call.name, call.x86_64, call.aarch64);
            format!(
                "//! | [`{name}`] | {x86_64} | {aarch64} | {arguments} | {} |\n",
                call.since
            )
        })
        .collect()
}

#[test]
fn the_table_of_calls_is_right() {
    let (before, rest) = FRONT_PAGE.split_once(RULE).expect("the table's head");
    let (table, after) = rest.split_at(rest.find("//!\n").expect("the table's end"));
    if env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs");
        let page = [before, RULE, &rows(), after].concat();
        fs::write(path, page).expect("the front page");
    } else {
        assert_eq!(table, rows(), "BLESS=1 writes it anew");
    }
}

#[test]
fn each_call_leads_to_its_function() {
    for call in CALLS {
        let link = format!("\n//! [`{}`]: ", call.name);
        assert!(FRONT_PAGE.contains(&link), "{} has no link", call.name);
    }
}
