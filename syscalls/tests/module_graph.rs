//! Checks that no two modules of the crate import each other, directly or through others, so that each can be
//! read after the modules that it imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The source text of each module, by its name, such as `trace::line`.
type Sources = BTreeMap<String, String>;

/// Reads `dir` and the directories in it. `prefix` is the path of the module in `dir/mod.rs`.
fn read(dir: &Path, prefix: &str, sources: &mut Sources) {
    for entry in fs::read_dir(dir).expect("the sources") {
        let path = entry.expect("a directory entry").path();
        let stem = path.file_stem().expect("a name").to_str().expect("UTF-8");
        let module = match prefix {
            "" => stem.to_owned(),
            prefix => format!("{prefix}::{stem}"),
        };
        if path.is_dir() {
            read(&path, &module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let module = match stem {
                "mod" => prefix.to_owned(),
                _ => module,
            };
            sources.insert(module, text);
        }
    }
}

/// Splits `list` at the commas that are not inside braces.
fn split_list(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, vec![]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

/// Expands the tree of a `use` declaration into paths: `a::{b, c::d}` into `a::b` and `a::c::d`.
fn expand(tree: &str, paths: &mut Vec<String>) {
    match tree.split_once('{') {
        None => paths.push(tree.trim().to_owned()),
        Some((head, rest)) => {
            let inner = rest.trim_end().strip_suffix('}').expect("a closing brace");
            for part in split_list(inner).into_iter().map(str::trim) {
                if !part.is_empty() {
                    expand(&format!("{}{part}", head.trim()), paths);
                }
            }
        }
    }
}

/// Returns the paths of all `use` declarations of a file, of any visibility, before its first `#[cfg(test)]`.
fn uses(text: &str) -> Vec<String> {
    let mut paths = vec![];
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    for (at, _) in text.match_indices("use ") {
        let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
        if matches!(line.trim(), "" | "pub" | "pub(crate)" | "pub(super)") {
            let tree = text[at + 4..].split(';').next().expect("a declaration");
            expand(&tree.replace('\n', " "), &mut paths);
        }
    }
    paths
}

/// Returns the modules that each module imports.
fn imports(sources: &Sources) -> BTreeMap<&str, BTreeSet<String>> {
    // The names that the crate's root re-exports, each with its module.
    let exports: BTreeMap<String, String> = uses(&sources["lib"])
        .iter()
        .filter_map(|path| path.rsplit_once("::"))
        .map(|(module, name)| (name.to_owned(), module.to_owned()))
        .collect();
    let mut imports = BTreeMap::new();
    for (module, text) in sources.iter().filter(|(module, _)| *module != "lib") {
        let children: Vec<_> = sources
            .keys()
            .filter_map(|other| other.strip_prefix(&format!("{module}::")))
            .collect();
        let mut imported = BTreeSet::new();
        for path in uses(text) {
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            let full = if let Some(path) = path.strip_prefix("crate::") {
                path.to_owned()
            } else if let Some(path) = path.strip_prefix("super::") {
                format!("{parent}::{path}")
                    .trim_start_matches("::")
                    .to_owned()
            } else if children.iter().any(|child| path.starts_with(child)) {
                format!("{module}::{path}")
            } else {
                continue; // a path of another crate
            };
            let full = match exports.get(&full) {
                Some(module) => format!("{module}::{full}"),
                None => full,
            };
            // Find the longest prefix of the path that is a module.
            let of = (1..=full.split("::").count())
                .rev()
                .map(|n| full.split("::").take(n).collect::<Vec<_>>().join("::"))
                .find(|prefix| sources.contains_key(prefix));
            imported.insert(
                of.unwrap_or_else(|| panic!("{module} imports {path}, which is in no module")),
            );
        }
        imports.insert(module.as_str(), imported);
    }
    imports
}

#[test]
fn imports_of_modules_have_no_cycle() {
    let mut sources = Sources::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&src, "", &mut sources);
    let mut left = imports(&sources);
    assert!(left.len() > 20, "{left:?}");
    assert!(left["fd"].contains("errno"), "{:?}", left["fd"]);
    // Repeatedly remove the modules that import only removed modules, until none is left.
    while !left.is_empty() {
        let remaining: BTreeSet<String> = left.keys().map(|&module| module.to_owned()).collect();
        let before = left.len();
        left.retain(|_, imported| !imported.is_disjoint(&remaining));
        assert_ne!(
            left.len(),
            before,
            "these modules of syscalls/src import each other in a cycle, or import a module that does: {left:#?}"
        );
    }
}
