//! The house rules a compiler cannot see, as ordinary tests: which room may name which, how long
//! things may grow, that documents speak the truth. Each rule is a function from text to breaches,
//! so that a test beside it can show the rule failing.
//!
//! These read the tree and change nothing. Start with [`rooms`].

mod clauses;
mod codes;
mod documents;
mod rooms;
mod sizes;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::Source;

/// Fails with every breach on a line of its own.
fn none(breaches: &[String], rule: &str) {
    assert!(breaches.is_empty(), "{rule}\n  {}", breaches.join("\n  "));
}

/// The folder that holds the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the node's folder lies in the workspace")
}

/// Every file of ours, as (path from the root with forward slashes, content), in order of path.
/// Left out: what is built (`target`), what is hidden (but `.ci` is ours) and what is not text.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("found below the root").to_string_lossy().replace('\\', "/");
        Some((name, String::from_utf8(fs::read(&path).expect("file reads")).ok()?))
    };
    paths.into_iter().filter_map(named).collect()
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder reads") {
        let path = entry.expect("entry reads").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        let hidden_folder = path.is_dir() && name.starts_with('.') && name != ".ci";
        if hidden_folder || name == "target" || name == ".git" || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// Every Rust source of ours that people write, read and split into code, literals and tests.
fn sources() -> Vec<Source> {
    let ours = |path: &str| ["proto/", "node/", "tests/"].iter().any(|room| path.starts_with(room));
    let written = |path: &str| path.ends_with(".rs") && !sizes::GENERATED.contains(&path);
    source::read(files().into_iter().filter(|(path, _)| ours(path) && written(path)))
}
