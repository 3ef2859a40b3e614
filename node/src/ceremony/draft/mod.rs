//! Drafts: charter, profile and directory as TOML that people read and edit before anybody signs.
//!
//! A draft says the same as the document it becomes: document to draft to document gives the same bytes. Lists need
//! not be sorted by hand, keys may be named by their `.pub` files, times are RFC 3339. An unknown field is refused with
//! its line. Start at [`charter`], [`profile`], [`directory`] or [`roll`].

pub(super) mod charter;
pub(super) mod directory;
pub(super) mod profile;
pub(super) mod roll;

use std::path::Path;

use comity_core::{
    crypto::role_name,
    ids::{Digest, Time, hex, unhex},
    proto::{HybridKey, KeyRole, Quorum},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CeremonyFault, Holder, files};
use crate::time;

/// A charter for 200 Parties with keys in hexadecimal is twice its bytes.
const DRAFT_MAX: usize = 8 << 20;

#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// Reads a draft of this schema.
fn read<T: DeserializeOwned>(path: &Path, schema: &str) -> Result<T, CeremonyFault> {
    let text = files::read_text(path, DRAFT_MAX)?;
    let head: Head = parse(path, &text)?;
    if head.schema != schema {
        let why = format!("its schema is {}, and {schema} is needed here", head.schema);
        return Err(CeremonyFault::Draft { path: path.to_owned(), why });
    }
    parse(path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, CeremonyFault> {
    let said = |why: toml::de::Error| why.to_string().trim_end().to_owned();
    toml::from_str(text).map_err(|why| CeremonyFault::Draft { path: path.to_owned(), why: said(why) })
}

/// True if a draft is one of a directory.
///
/// # Errors
/// When it does not read as a draft.
pub(crate) fn is_directory_draft(path: &Path) -> Result<bool, CeremonyFault> {
    let head: Head = parse(path, &files::read_text(path, DRAFT_MAX)?)?;
    Ok(head.schema == directory::DIRECTORY_SCHEMA)
}

/// The draft as text, each comment before the first line that begins as it says.
fn text_of(draft: &impl Serialize, comments: &[(&str, &str)]) -> String {
    let plain = toml::to_string(draft).expect("a draft has texts, numbers and lists of them");
    let mut waiting: Vec<&(&str, &str)> = comments.iter().collect();
    plain.lines().fold(String::new(), |text, line| {
        let due = waiting.iter().position(|(begins, _)| line.starts_with(begins)).map(|place| waiting.remove(place));
        let comment: String =
            due.map(|(_, comment)| comment.lines().map(|line| format!("# {line}\n")).collect()).unwrap_or_default();
        text + &comment + line + "\n"
    })
}

/// A time as drafts write it; TOML's own dates are read as well.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
struct Moment(u64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a time such as 2026-03-01T00:00:00Z")]
enum Written {
    Text(String),
    Own(toml::value::Datetime),
}

impl TryFrom<Written> for Moment {
    type Error = comity_core::ids::Malformed;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let text = match written {
            Written::Text(text) => text,
            Written::Own(own) => own.to_string(),
        };
        time::parse_rfc3339(&text).map(|time| Self(time.0))
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        plain(moment.0)
    }
}

impl Moment {
    /// A time that may be open, which documents write as zero.
    fn open(ms: u64) -> Option<Self> {
        (ms != 0).then_some(Self(ms))
    }

    fn ms(moment: Option<Self>) -> u64 {
        moment.map_or(0, |moment| moment.0)
    }
}

/// RFC 3339 without decimals that are zero.
pub(super) fn plain(ms: u64) -> String {
    time::rfc3339(Time(ms)).replace(".000Z", "Z")
}

/// Bytes in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = comity_core::ids::Malformed;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        unhex(&text, "hexadecimal").map(Self)
    }
}

impl From<Hex> for String {
    fn from(bytes: Hex) -> Self {
        hex(&bytes.0)
    }
}

/// The id of the version before; version 1 has none.
fn previous(bytes: &[u8]) -> Option<Hex> {
    (!bytes.is_empty()).then(|| Hex(bytes.to_vec()))
}

fn previous_bytes(previous: Option<&Hex>) -> Vec<u8> {
    previous.map_or_else(Vec::new, |id| id.0.clone())
}

/// Says that this is the version after the one with this id.
fn after(version: &mut u64, previous: &mut Vec<u8>, id: Digest) {
    *version = version.saturating_add(1);
    *previous = id.as_bytes().to_vec();
}

/// A holder's public keys, or the file that has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "the name of a .pub file, or ed25519 and ml_dsa_65 in lower-case hexadecimal")]
enum Key {
    File(String),
    Inline(Pair),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    ed25519: Hex,
    ml_dsa_65: Hex,
}

/// Holders and how many of them must sign.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signers {
    threshold: u32,
    keys: Vec<Key>,
}

impl Signers {
    fn of(quorum: Option<&Quorum>) -> Self {
        let Some(quorum) = quorum else { return Self::default() };
        let key = |key: &HybridKey| {
            Key::Inline(Pair { ed25519: Hex(key.ed25519.clone()), ml_dsa_65: Hex(key.ml_dsa_65.clone()) })
        };
        Self { threshold: quorum.threshold, keys: quorum.keys.iter().map(key).collect() }
    }

    /// The files are looked for beside the draft.
    fn to_wire(&self, role: KeyRole, folder: &Path) -> Result<Quorum, CeremonyFault> {
        let key = |key: &Key| match key {
            Key::Inline(pair) => Ok(HybridKey { ed25519: pair.ed25519.0.clone(), ml_dsa_65: pair.ml_dsa_65.0.clone() }),
            Key::File(name) => key_of_file(&folder.join(name), role),
        };
        let mut keys = self.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| a.ed25519.cmp(&b.ed25519));
        Ok(Quorum { keys, threshold: self.threshold })
    }
}

fn key_of_file(path: &Path, role: KeyRole) -> Result<HybridKey, CeremonyFault> {
    let holder = Holder::read(path)?;
    if holder.role == role {
        return Ok(holder.key);
    }
    let why = format!("its role is {}, not {}", role_name(holder.role), role_name(role));
    Err(CeremonyFault::Holder { path: path.to_owned(), why })
}

/// Sorts texts that need no order of their own.
fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort();
    texts
}

/// The folder files are named from in a draft.
fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct One {
        schema: String,
        at: Moment,
    }

    fn check(text: &str, expected: Result<u64, &str>) {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("draft.toml");
        std::fs::write(&path, text).expect("written");
        let found = read::<One>(&path, "comity/one/v1").map(|one| one.at.0);
        match expected {
            Ok(ms) => assert_eq!(found.expect(text), ms),
            Err(part) => {
                let said = found.expect_err(text).to_string();
                assert!(said.starts_with("ceremony.bad-draft: ") && said.contains(part), "{said}");
            }
        }
    }

    #[test]
    fn times_are_quoted_or_not_and_mistakes_have_a_line() {
        let with = |at: &str| format!("schema = \"comity/one/v1\"\n{at}\n");
        check(&with("at = \"2026-03-01T13:05:09Z\""), Ok(1_772_370_309_000));
        check(&with("at = 2026-03-01T13:05:09Z"), Ok(1_772_370_309_000));
        check(&with("at = 2026-03-01T14:05:09.250+01:00"), Ok(1_772_370_309_250));
        check(&with("at = 2026-03-01"), Err("line 2"));
        check(&with("at = \"tomorrow\""), Err("line 2"));
        check(&with("at = 2026-03-01T13:05:09Z\ncolour = 1"), Err("line 3"));
        check("schema = \"comity/two/v1\"\n", Err("comity/two/v1"));
        check("at = 1\n", Err("schema"));
    }

    #[test]
    fn comments_stand_before_what_they_explain() {
        let one = One { schema: "s".to_owned(), at: Moment(0) };
        let text = text_of(&one, &[("at", "When.\nIn UTC.")]);
        assert_eq!(text, "schema = \"s\"\n# When.\n# In UTC.\nat = \"1970-01-01T00:00:00Z\"\n");
    }
}
