//! Every clause of the specification is named by a test, and every clause that code cites exists.
//! A clause is defined by a line of `proto/SPEC.md` that starts with its tag in bold.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, none, sources};

const SPECIFICATION: &str = "proto/SPEC.md";
/// Known bytes count as tests: the file that holds them says which clause they are for.
const VECTORS: &str = "proto/vectors/";
/// These files speak of tags in general and test no clause.
const ABOUT_TAGS: &str = "tests/it/tidy";

#[test]
fn every_clause_is_tested_and_every_citation_exists() {
    let files = files();
    let Some((_, specification)) = files.iter().find(|(path, _)| path == SPECIFICATION) else {
        return crate::skip("proto/SPEC.md is not there, so no clause can be checked");
    };
    let sources: Vec<_> = sources().into_iter().filter(|s| !s.path.starts_with(ABOUT_TAGS)).collect();
    let (inside, outside): (Vec<_>, Vec<_>) = sources.iter().partition(|s| s.path.starts_with("tests/"));
    let whole = inside.iter().map(|s| s.text.clone());
    let vectors = files.iter().filter(|(path, _)| path.starts_with(VECTORS)).map(|(_, text)| text.clone());
    let tests: String = whole.chain(outside.iter().map(|s| s.test_text())).chain(vectors).collect();
    none(&untested(specification, &tests), "each clause of SPEC.md is named by a test or a vector");
    let cited = sources.iter().flat_map(|s| undefined(specification, &s.path, &s.text));
    none(&cited.collect::<Vec<_>>(), "each clause that code cites is defined in SPEC.md");
    none(&repeated(specification), "each clause is defined once");
}

fn untested(specification: &str, tests: &str) -> Vec<String> {
    let named: BTreeSet<&str> = tags(tests).map(|(_, tag)| tag).collect();
    let untested = definitions(specification).filter(|(_, tag)| !named.contains(tag));
    untested.map(|(line, tag)| format!("{SPECIFICATION}:{line}: {tag} is named by no test")).collect()
}

fn undefined(specification: &str, path: &str, text: &str) -> Vec<String> {
    let defined: BTreeSet<&str> = definitions(specification).map(|(_, tag)| tag).collect();
    let stray = tags(text).filter(|(_, tag)| !defined.contains(tag));
    stray.map(|(line, tag)| format!("{path}:{line}: {tag} is not defined")).collect()
}

fn repeated(specification: &str) -> Vec<String> {
    let mut first = BTreeMap::new();
    let again = |(line, tag)| {
        let before = first.insert(tag, line)?;
        Some(format!("{SPECIFICATION}:{line}: {tag} is defined again (first in line {before})"))
    };
    definitions(specification).filter_map(again).collect()
}

/// Tags at the start of a line, in bold: `**[X-n]**`.
fn definitions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    let bold = lines.filter_map(|(n, line)| Some((n + 1, line.strip_prefix("**")?.split_once("**")?.0)));
    bold.filter(|(_, tag)| is_tag(tag))
}

/// Tags anywhere: one or two capitals, a hyphen, a number, in square brackets.
fn tags(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(n, line)| {
        line.match_indices('[').filter_map(move |(at, _)| {
            let end = line[at..].find(']')?;
            let tag = &line[at..=at + end];
            is_tag(tag).then_some((n + 1, tag))
        })
    })
}

fn is_tag(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inner.and_then(|t| t.split_once('-')).is_some_and(|(letters, number)| {
        (1..=2).contains(&letters.len())
            && letters.bytes().all(|b| b.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIFICATION: &str = "# Spec\n**[L-1]** One. See [L-2].\n**[L-2]** Two.\nText **[L-3]** is no definition.\n";

    #[test]
    fn clauses_without_a_test_are_found() {
        assert_eq!(untested(SPECIFICATION, "// [L-1] [L-2]").len(), 0);
        assert_eq!(untested(SPECIFICATION, "// [L-1], a[L - 2], [l-2], [L-22]").len(), 1);
    }

    #[test]
    fn citations_of_nothing_are_found() {
        assert_eq!(undefined(SPECIFICATION, "x.rs", "//! Serves `[L-1]` and `[L-*]`.\nlet a = b[c - 1];").len(), 0);
        assert_eq!(undefined(SPECIFICATION, "x.rs", "/// SPEC `[L-3]`"), ["x.rs:1: [L-3] is not defined"]);
    }

    #[test]
    fn second_definitions_are_found() {
        assert!(repeated(SPECIFICATION).is_empty());
        assert_eq!(repeated("**[L-1]** a\n**[L-1]** b\n").len(), 1);
    }
}
