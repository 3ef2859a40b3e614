//! `comity explain CODE`: what a stable code means and what to do, from the one table of codes.
//!
//! The table is compiled in, so that this works without a node and without a data folder.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::json;

use super::{Done, fault::CliFault, out::Out};

const TABLE: &str = include_str!("../../rules/codes.toml");

/// What is close enough to be offered: a slip of two letters, or what it begins with.
const SLIPS_MAX: usize = 2;
/// How many near misses are offered.
const NEAR_MAX: usize = 3;

#[derive(Deserialize)]
struct Table {
    code: Vec<Row>,
}

/// One code.
#[derive(Deserialize)]
pub(crate) struct Row {
    code: String,
    what: String,
    why: String,
    #[serde(rename = "do")]
    pub(crate) remedy: String,
}

static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| toml::from_str::<Table>(TABLE).expect("a tidy test reads the table of codes").code);

/// The entry of a code.
pub(crate) fn find(code: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.code == code)
}

/// The command.
pub(crate) fn explain(code: &str, out: Out) -> Done {
    let code = code.trim().trim_end_matches(':');
    let row = find(code).ok_or_else(|| CliFault::UnknownCode { code: code.to_owned(), near: near_misses(code) })?;
    if out.json {
        out.object(&json!({
            "schema": "comity/code/v1", "code": row.code, "what": row.what, "why": row.why, "do": row.remedy,
        }));
    } else {
        out.line(&format!("{}\n\nWhat: {}\nWhy:  {}\nDo:   {}", row.code, row.what, row.why, row.remedy));
    }
    Ok(super::Verdict::Fine)
}

fn near_misses(code: &str) -> String {
    let name = |code: &str| code.split_once('.').map_or(code, |(_, name)| name).to_owned();
    let score = |known: &str| {
        let slips = slips(code, known).min(slips(&name(code), &name(known)) + 1);
        let begins = !code.is_empty() && (known.starts_with(code) || name(known).starts_with(code));
        if begins { 0 } else { slips }
    };
    let mut near: Vec<(usize, &str)> = ROWS.iter().map(|row| (score(&row.code), row.code.as_str())).collect();
    near.retain(|(slips, _)| *slips <= SLIPS_MAX);
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(NEAR_MAX).map(|(_, code)| code).collect();
    if near.is_empty() {
        return " Codes read room.name, as an error message begins".to_owned();
    }
    format!(" Did you mean {}?", near.join(", "))
}

/// How many letters must be changed, added or taken away to make one text of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let check = |a, b, n| assert_eq!(slips(a, b), n, "{a} {b}");
        check("", "abc", 3);
        check("abc", "abc", 0);
        check("abc", "abd", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn near_misses_are_offered() {
        let check = |code: &str, expected: &str| assert!(near_misses(code).contains(expected), "{}", near_misses(code));
        check("wire.too-larg", "wire.too-large");
        check("undecodable", "wire.undecodable");
        check("crypto.bad-", "crypto.bad-key");
        check("zzzzzzzzzz", "Codes read");
    }
}
