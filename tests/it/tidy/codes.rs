//! Every stable error code that code can print stands in one table, `node/rules/codes.toml`, with
//! what happened, why and what to do; and the table names no code that nothing prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{none, root, source::Source, source::item_end, source::line_of, source::words, sources};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    code: Vec<Row>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    code: String,
    what: String,
    why: String,
    #[serde(rename = "do")]
    remedy: String,
}

#[test]
fn every_code_is_explained_and_every_explanation_used() {
    let text = fs::read_to_string(root().join("node/rules/codes.toml")).expect("the table of codes reads");
    let rows = rows(&text).expect("the table of codes parses");
    let sources: Vec<Source> = sources().into_iter().filter(|s| s.path.starts_with("node/")).collect();
    let printed: Vec<Printed> = sources.iter().flat_map(printed).collect();
    assert!(!printed.is_empty(), "no source prints a code: the rule would pass for nothing");
    none(&unexplained(&printed, &rows), "each code has an entry in node/rules/codes.toml; to begin with:\n");
    none(&unused(&sources, &rows), "each entry in node/rules/codes.toml is a code something prints");
    none(&unfit(&rows), "each entry has its own code and says what, why and what to do");
}

fn rows(text: &str) -> Result<Vec<Row>, toml::de::Error> {
    toml::from_str::<Table>(text).map(|table| table.code)
}

/// A code as one place in the source prints it.
struct Printed {
    place: String,
    code: String,
    /// What follows the code, if this is its text and not only its name.
    text: String,
}

/// Drafts of the missing entries, in order of code.
fn unexplained(printed: &[Printed], rows: &[Row]) -> Vec<String> {
    let known: BTreeSet<&str> = rows.iter().map(|row| row.code.as_str()).collect();
    let mut missing: BTreeMap<&str, &Printed> = BTreeMap::new();
    for found in printed.iter().filter(|found| !known.contains(found.code.as_str())) {
        let kept = missing.entry(&found.code).or_insert(found);
        *kept = if kept.text.is_empty() { found } else { *kept };
    }
    missing.values().map(|found| draft(found)).collect()
}

/// The text of an error has the three parts an entry needs; the entry may then say more.
fn draft(found: &Printed) -> String {
    let by_semicolon = found.text.split("; ").collect::<Vec<_>>();
    let parts = if by_semicolon.len() > 2 { by_semicolon } else { found.text.split(['.', ';']).collect() };
    let sentence = |part: Option<&&str>| {
        let part = part.map_or("", |p| p.trim().trim_end_matches('.'));
        let mut letters = part.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase().to_string()).unwrap_or_default();
        toml::Value::String(format!("{first}{}.", letters.as_str())).to_string()
    };
    let [what, why, remedy] = [0, 1, 2].map(|n| sentence(parts.get(n)));
    let Printed { code, place, .. } = found;
    format!("# {place}\n[[code]]\ncode = \"{code}\"\nwhat = {what}\nwhy = {why}\ndo = {remedy}\n")
}

fn unused(sources: &[Source], rows: &[Row]) -> Vec<String> {
    let named = |code: &str| {
        let in_literal = |literal: &str| literal == code || literal.starts_with(&format!("{code}:"));
        sources.iter().any(|s| s.literals.iter().any(|(_, literal)| in_literal(literal)))
    };
    rows.iter().filter(|row| !named(&row.code)).map(|row| row.code.clone()).collect()
}

fn unfit(rows: &[Row]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    // A brace is a value left over from the error's own text, which an explanation does not have.
    let ended = |text: &str| text.ends_with('.') && text.len() > 1 && text.trim() == text && !text.contains('{');
    let bad = |row: &&Row| {
        let said = [&row.what, &row.why, &row.remedy].iter().all(|text| ended(text));
        !seen.insert(row.code.clone()) || !is_code(&row.code) || !said
    };
    rows.iter().filter(bad).map(|row| format!("{}: twice, ill-formed, or not three sentences", row.code)).collect()
}

/// Codes this file can print, each with its place: texts that begin `room.kebab-name: `, and what
/// functions called `code` return.
fn printed(source: &Source) -> Vec<Printed> {
    let bodies: Vec<(usize, usize)> = words(&source.product, "fn code")
        .map(|at| (line_of(&source.product, at), line_of(&source.product, item_end(&source.product, at))))
        .collect();
    let code = |(line, literal): &(usize, String)| {
        let returned = bodies.iter().any(|(from, to)| (*from..=*to).contains(line));
        let (code, text) = literal.split_once(": ").or_else(|| returned.then_some((literal.as_str(), "")))?;
        let text = text.split("\\\n").map(str::trim_start).collect();
        is_code(code).then(|| Printed { place: format!("{}:{line}", source.path), code: code.to_owned(), text })
    };
    source.literals.iter().filter_map(code).collect()
}

/// `room.kebab-name`, lower case.
fn is_code(text: &str) -> bool {
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.').is_some_and(|(room, name)| word(room) && word(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "[[code]]\ncode = \"store.full\"\nwhat = \"A.\"\nwhy = \"B.\"\ndo = \"C.\"\n";

    fn source(text: &str) -> Source {
        Source::new("node/src/store.rs", text)
    }

    #[test]
    fn codes_without_an_entry_are_found() {
        let rows = rows(TABLE).expect("parses");
        let check = |text: &str, missing: usize| {
            let found = unexplained(&printed(&source(text)), &rows);
            assert_eq!(found.len(), missing, "{text}: {found:?}");
        };
        check("#[error(\"store.full: no room; the disk is full; free some\")]", 0);
        check("#[error(\"store.torn: the tail is torn\")]", 1);
        check("fn code(&self) -> &str { match self { A => \"store.torn\" } }", 1);
        check("let path = \"store.lock\"; let text = \"note: x\";", 0);
        check("#[cfg(test)]\nmod tests { const A: &str = \"store.torn: x\"; }", 0);
    }

    #[test]
    fn drafts_are_made_of_the_text() {
        let missing = printed(&source("#[error(\"store.torn: no record; the tail \\\n    is torn; cut it\")]"));
        let draft = rows(&unexplained(&missing, &[]).concat()).expect("parses");
        let [row] = &draft[..] else { panic!("one entry") };
        assert_eq!([&row.what[..], &row.why, &row.remedy], ["No record.", "The tail is torn.", "Cut it."]);
    }

    #[test]
    fn entries_nothing_prints_are_found() {
        let rows = rows(TABLE).expect("parses");
        assert!(unused(&[source("let c = \"store.full\";")], &rows).is_empty());
        assert_eq!(unused(&[source("// store.full")], &rows), ["store.full"]);
    }

    #[test]
    fn unfit_entries_are_found() {
        let of = |text: &str| unfit(&rows(text).expect("parses")).len();
        assert_eq!(of(TABLE), 0);
        assert_eq!(of(&[TABLE, TABLE].concat()), 1);
        for unsaid in ["", ".", "B", "{why}."] {
            assert_eq!(of(&TABLE.replace("B.", unsaid)), 1);
        }
        assert_eq!(of(&TABLE.replace("store.full", "Store Full")), 1);
        assert!(rows(&TABLE.replace("why", "because")).is_err());
    }
}
