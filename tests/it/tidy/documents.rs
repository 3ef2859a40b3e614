//! Documents and the tree they describe: no trailing space, no dead link, nothing at the top level
//! that has no room of its own.

use std::{collections::BTreeSet, fs};

use super::{files, none, root};

/// What lies at the top, besides dotfiles, licence texts and what cargo builds.
const TOP_LEVEL: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "README.md", "node", "proto", "deploy", "examples", "tests", "target"];

/// Output kept as it was printed may end a line in a space.
const AS_PRINTED: [&str; 2] = [".snap", ".lock"];
/// Inputs of the fuzzer are bytes, also where they happen to be text.
const CORPORA: &str = "tests/fuzz/corpus/";

#[test]
fn no_line_ends_in_space() {
    let kept = |path: &str| path.starts_with(CORPORA) || AS_PRINTED.iter().any(|end| path.ends_with(end));
    let written = files().into_iter().filter(|(path, _)| !kept(path));
    none(&written.flat_map(|(path, text)| ragged(&path, &text)).collect::<Vec<_>>(), "no space at the end of a line");
}

#[test]
fn links_lead_somewhere() {
    let files = files();
    let exists = |path: &str| root().join(path).exists();
    let anchors =
        |path: &str| files.iter().find(|(name, _)| name == path).map(|(_, text)| headings(text)).unwrap_or_default();
    let documents = files.iter().filter(|(path, _)| path.ends_with(".md"));
    let dead: Vec<String> = documents.flat_map(|(path, text)| dead_links(path, text, exists, anchors)).collect();
    none(&dead, "every relative link in a document leads to a file, and to a heading if it names one");
}

#[test]
fn top_level_holds_only_rooms() {
    let names = fs::read_dir(root()).expect("root reads");
    let names = names.map(|entry| entry.expect("entry reads").file_name().to_string_lossy().into_owned());
    none(&strangers(names), "the top level holds the rooms, the manifests, the licences and dotfiles");
}

#[test]
fn the_full_run_runs_what_the_readme_promises() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("file reads");
    none(&unpromised(&read("README.md"), &read(".ci/run")), "README's commands are those .ci/run runs");
}

fn ragged(path: &str, text: &str) -> Vec<String> {
    let ends_in_space = |line: &str| line.ends_with([' ', '\t', '\r']);
    let bad = text.split('\n').enumerate().filter(|(_, line)| ends_in_space(line));
    bad.map(|(n, _)| format!("{path}:{}", n + 1)).collect()
}

fn strangers(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = |name: &str| name.starts_with('.') || name.starts_with("LICENSE") || TOP_LEVEL.contains(&name);
    names.filter(|name| !known(name)).collect()
}

/// Commands in the README's fenced blocks that begin with `cargo` and that the full run never runs.
fn unpromised(readme: &str, run: &str) -> Vec<String> {
    let mut fenced = false;
    let mut missing = Vec::new();
    for line in readme.lines().map(str::trim) {
        fenced ^= line.starts_with("```");
        let command = line.trim_start_matches("$ ").split('#').next().unwrap_or_default().trim();
        if fenced && command.starts_with("cargo ") && !run.contains(command) {
            missing.push(format!("README.md: `{command}` is not in .ci/run"));
        }
    }
    missing
}

fn dead_links(
    path: &str,
    text: &str,
    exists: impl Fn(&str) -> bool,
    anchors: impl Fn(&str) -> BTreeSet<String>,
) -> Vec<String> {
    let dead = |(line, link): (usize, String)| {
        let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(f, h)| (f, Some(h)));
        let target = if file.is_empty() { path.to_owned() } else { beside(path, file) };
        let missing_heading = heading.is_some_and(|h| target.ends_with(".md") && !anchors(&target).contains(h));
        (!exists(&target) || missing_heading).then(|| format!("{path}:{line}: {link}"))
    };
    links(text).into_iter().filter(|(_, link)| !is_outside(link)).filter_map(dead).collect()
}

fn is_outside(link: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// Targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (n, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        out.extend(targets.map(|(target, _)| (n + 1, target.to_owned())));
    }
    out
}

/// The path `link` means when it stands in the document at `path`.
fn beside(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Anchors a reader's browser makes of the headings: lower case, words joined by hyphens.
fn headings(text: &str) -> BTreeSet<String> {
    let slug = |title: &str| {
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let titles = text.lines().filter(|l| l.starts_with('#')).map(|l| l.trim_start_matches('#'));
    titles.map(slug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_space_is_found() {
        assert_eq!(ragged("a.md", "x\ny \nz\t\n"), ["a.md:2", "a.md:3"]);
        assert!(ragged("a.md", "x\n\ny").is_empty());
    }

    #[test]
    fn dead_links_are_found() {
        let exists = |path: &str| ["a/b.md", "README.md"].contains(&path);
        let anchors = |_: &str| headings("# One: two, three\n");
        let check = |link: &str, dead: usize| {
            let found = dead_links("a/b.md", &format!("see [it]({link})."), exists, anchors);
            assert_eq!(found.len(), dead, "{link}: {found:?}");
        };
        check("b.md", 0);
        check("../README.md", 0);
        check("../README.md#one-two-three", 0);
        check("#one-two-three", 0);
        check("https://example.test/nothing", 0);
        check("c.md", 1);
        check("../b.md", 1);
        check("b.md#four", 1);
        assert!(links("`[a](b)` and\n```\n[c](d)\n```\n").is_empty());
    }

    #[test]
    fn strangers_at_the_top_are_found() {
        let names = ["README.md", ".ci", "LICENSE-MIT", "notes.txt", "docs"].map(String::from);
        assert_eq!(strangers(names.into_iter()), ["notes.txt", "docs"]);
    }

    #[test]
    fn promises_not_kept_are_found() {
        let readme = "```\n$ cargo test --workspace   # all\ncargo run -- demo\n```\ncargo fmt\n";
        assert_eq!(unpromised(readme, "cargo test --workspace").len(), 1);
        assert!(unpromised(readme, "cargo test --workspace; cargo run -- demo").is_empty());
    }
}
