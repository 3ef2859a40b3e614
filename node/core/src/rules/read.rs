//! From text to rows. Each row is read on its own, so that one wrong row hides no other; what rows
//! say about each other is for `check`.

use super::RuleMistake;
use super::basis::{BasisRow, Declaration};
use super::form::FieldRule;
use super::life::Family;
use super::rows::{
    ClockRule, Code, CodeList, ErasureGround, Ground, Instrument, Mark, Modifier, Offence, Outcome, Procedure,
    Retention, parsed,
};
use crate::ids::StepCode;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a row stands.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) place: String,
}

impl At {
    pub(super) fn mistake(&self, why: impl Into<String>) -> RuleMistake {
        RuleMistake { file: self.file.clone(), line: self.line, place: self.place.clone(), why: why.into() }
    }
}

/// Rows with their places.
pub(super) type Rows<T> = Vec<(At, T)>;

/// When people are alerted, for every clock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    pub(super) percent: Vec<u8>,
    pub(super) source: String,
    #[serde(rename = "mark")]
    pub(super) _mark: Mark,
}

/// A group of fields that forms include by its id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupHead {
    pub(super) id: Code,
    #[serde(default)]
    pub(super) one_of: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) ordered: Vec<(String, String)>,
}

/// What a form says beside its fields. It is the form of one procedure, of all that follow a life or one of some lives, or of
/// all: the nearer one counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FormHead {
    pub(super) procedure: Option<Code>,
    /// One family or several that share the step.
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) family: Vec<Code>,
    #[serde(deserialize_with = "parsed")]
    pub(super) step: StepCode,
    /// True if it is no step of the thread but a record kept beside it.
    #[serde(default)]
    pub(super) record: bool,
    pub(super) version: u32,
    pub(super) title: String,
    #[serde(default)]
    pub(super) include: Vec<Code>,
    #[serde(default)]
    pub(super) one_of: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) ordered: Vec<(String, String)>,
    /// Lists of one length: the values of one belong to those of the other.
    #[serde(default)]
    pub(super) paired: Vec<(String, String)>,
    /// Texts, and the field that names the language they are in.
    #[serde(default)]
    pub(super) spoken: Vec<(String, String)>,
    pub(super) source: String,
    pub(super) mark: Mark,
}

fn one_or_more<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Code>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Some {
        One(Code),
        More(Vec<Code>),
    }
    Ok(match Some::deserialize(input)? {
        Some::One(code) => vec![code],
        Some::More(codes) => codes,
    })
}

/// A group or form with its fields.
#[derive(Debug)]
pub(super) struct Fielded<T> {
    pub(super) head: T,
    pub(super) fields: Rows<FieldRule>,
}

/// All rows of all files, and what was wrong so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) mistakes: Vec<RuleMistake>,
    pub(super) alerts: Rows<Alerts>,
    pub(super) procedures: Rows<Procedure>,
    pub(super) families: Rows<Family>,
    pub(super) bases: Rows<BasisRow>,
    pub(super) declarations: Rows<Declaration>,
    pub(super) clocks: Rows<ClockRule>,
    pub(super) grounds: Rows<Ground>,
    pub(super) outcomes: Rows<Outcome>,
    pub(super) offences: Rows<Offence>,
    pub(super) modifiers: Rows<Modifier>,
    pub(super) instruments: Rows<Instrument>,
    pub(super) retention: Rows<Retention>,
    pub(super) erasure: Rows<ErasureGround>,
    pub(super) lists: Rows<CodeList>,
    pub(super) groups: Rows<Fielded<GroupHead>>,
    pub(super) forms: Rows<Fielded<FormHead>>,
    /// A file could not be read to its end: what seems to be missing may stand there.
    pub(super) torn: bool,
    /// Rows that could not be read: `section[id]`. They are not reported as missing too.
    pub(super) broken: BTreeSet<String>,
}

/// Reads every row of every file.
pub(super) fn read(files: &[(&str, &str)]) -> Found {
    let mut found = Found::default();
    for (name, text) in files {
        File { name, text }.read(&mut found);
    }
    found
}

type Node<'a> = Spanned<DeValue<'a>>;

struct File<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> File<'a> {
    fn read(&self, found: &mut Found) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = self.at(error.span().map_or(0, |span| span.start), String::new());
            found.mistakes.push(at.mistake(format!("not TOML: {}", error.message())));
            found.torn = true;
        }
        if errors.is_empty() {
            for (key, node) in table.into_inner() {
                self.section(found, key.get_ref(), node);
            }
        }
    }

    fn section(&self, found: &mut Found, section: &str, node: Node<'a>) {
        let Found { mistakes, broken, .. } = found;
        let mut reading = Reading { file: self, section, mistakes, broken };
        match section {
            "alerts" => {
                let at = self.at(node.span().start, section.to_owned());
                found.alerts.extend(reading.row(at.clone(), &at.place, node));
            }
            "procedure" => found.procedures.extend(reading.rows(node, "code")),
            "family" => found.families.extend(reading.rows(node, "code")),
            "basis" => found.bases.extend(reading.rows(node, "instrument")),
            "declaration" => found.declarations.extend(reading.rows(node, "code")),
            "clock" => found.clocks.extend(reading.rows(node, "id")),
            "ground" => found.grounds.extend(reading.rows(node, "code")),
            "outcome" => found.outcomes.extend(reading.rows(node, "code")),
            "offence" => found.offences.extend(reading.rows(node, "code")),
            "modifier" => found.modifiers.extend(reading.rows(node, "code")),
            "instrument" => found.instruments.extend(reading.rows(node, "code")),
            "retention" => found.retention.extend(reading.rows(node, "procedure")),
            "erasure" => found.erasure.extend(reading.rows(node, "code")),
            "list" => found.lists.extend(reading.rows(node, "id")),
            "group" => found.groups.extend(reading.fielded(node, "id")),
            "form" => found.forms.extend(reading.fielded(node, "step")),
            other => {
                let at = self.at(node.span().start, other.to_owned());
                mistakes.push(at.mistake("no such section; known are alerts, procedure, family, basis, declaration, clock, ground, outcome, offence, modifier, instrument, retention, erasure, list, group and form"));
            }
        }
    }

    fn at(&self, offset: usize, place: String) -> At {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        At { file: self.name.to_owned(), line, place }
    }
}

struct Reading<'f, 'a> {
    file: &'f File<'a>,
    section: &'f str,
    mistakes: &'f mut Vec<RuleMistake>,
    broken: &'f mut BTreeSet<String>,
}

impl<'a> Reading<'_, 'a> {
    fn rows<T: DeserializeOwned>(&mut self, node: Node<'a>, id: &str) -> Rows<T> {
        let mut rows = Vec::new();
        for (at, node) in self.places(node, self.section.to_owned(), id) {
            let place = at.place.clone();
            rows.extend(self.row(at, &place, node));
        }
        rows
    }

    fn fielded<T: DeserializeOwned>(&mut self, node: Node<'a>, id: &str) -> Rows<Fielded<T>> {
        let mut rows = Vec::new();
        for (at, mut node) in self.places(node, self.section.to_owned(), id) {
            let place = at.place.clone();
            let nodes = take(&mut node, "field").map(|n| self.places(n, format!("{place}.field"), "key"));
            let mut fields = Vec::new();
            for (at, node) in nodes.into_iter().flatten() {
                // A wrong field makes its whole group or form unusable, but not missing.
                fields.extend(self.row(at, &place, node));
            }
            let head = self.row(at, &place, node);
            rows.extend(head.map(|(at, head)| (at, Fielded { head, fields })));
        }
        rows
    }

    /// Every element of an array of tables with its place, named by its own id where it has one.
    fn places(&mut self, node: Node<'a>, section: String, id: &str) -> Vec<(At, Node<'a>)> {
        let start = node.span().start;
        let DeValue::Array(array) = node.into_inner() else {
            self.mistakes.push(self.file.at(start, section).mistake("an array of tables was expected"));
            return Vec::new();
        };
        let place = |(number, node): (usize, Node<'a>)| {
            let own = node.get_ref().get(id).and_then(|value| value.get_ref().as_str());
            let place = own.map_or_else(|| format!("{section}[{number}]"), |own| format!("{section}[{own}]"));
            (self.file.at(node.span().start, place), node)
        };
        array.into_iter().enumerate().map(place).collect()
    }

    fn row<T: DeserializeOwned>(&mut self, at: At, breaks: &str, node: Node<'a>) -> Option<(At, T)> {
        match T::deserialize(node.into_deserializer()) {
            Ok(row) => Some((at, row)),
            Err(error) => {
                let line = error.span().map_or(at.line, |span| self.file.at(span.start, String::new()).line);
                let why = error.message().to_owned();
                self.mistakes.push(At { line, ..at }.mistake(why));
                self.broken.insert(breaks.to_owned());
                None
            }
        }
    }
}

fn take<'a>(node: &mut Node<'a>, key: &str) -> Option<Node<'a>> {
    match node.get_mut() {
        DeValue::Table(table) => table.remove(key),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    }
}
