//! One form: which fields a step's body has, which must be filled in, and which of them are facts.
//!
//! Facts are what the record keeps readable after the body is gone, and all that the state of a
//! request is ever computed from; free text can never be one. Start at [`Form::check`].

use super::rows::{Code, CodeList, Mark, is_language};
use crate::ids::{ProcedureCode, StepCode};
use crate::proto::{Body, Fact, Field, Value, value};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Free text with its language; identifiers without a language say `zxx`.
    Text,
    /// A code of a list: needs no translation.
    Code,
    /// A whole number.
    Integer,
    /// Yes or no.
    Flag,
    /// A moment.
    Time,
    /// A calendar date.
    Date,
}

impl Kind {
    /// The word in files and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Code => "code",
            Self::Integer => "integer",
            Self::Flag => "flag",
            Self::Time => "time",
            Self::Date => "date",
        }
    }
}

/// A value another field is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    /// For flags.
    Flag(bool),
    /// For codes.
    Code(String),
}

impl Literal {
    /// True if it is this value.
    pub fn is(&self, value: &value::Kind) -> bool {
        match self {
            Self::Flag(flag) => *value == value::Kind::Flag(*flag),
            Self::Code(code) => matches!(value, value::Kind::Code(other) if other == code),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Code(code) => f.write_str(code),
        }
    }
}

/// When a field must be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Required {
    /// In every body of this form.
    Always,
    /// Never; it may be.
    Never,
    /// When another field has one of these values.
    When {
        /// The other field.
        field: String,
        /// The values.
        is: Vec<Literal>,
    },
    /// When another field is filled in.
    With(String),
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// Lower-case labels joined by dots, for example `data.relation`.
    pub key: String,
    /// What it holds.
    pub kind: Kind,
    /// How many values it may have: 1 unless the file says otherwise.
    #[serde(default = "one")]
    pub list: usize,
    /// When it must be filled in.
    pub required: Required,
    /// True if it is copied into the record. Not for text.
    #[serde(default)]
    pub fact: bool,
    /// True if only the node itself can fill it in, from what rests in its vault.
    #[serde(default)]
    pub by_node: bool,
    /// Codes: the list they come from.
    pub codes: Option<Code>,
    /// Codes: those of the list that this field takes; all if empty.
    #[serde(default)]
    pub only: Vec<Code>,
    /// Text: the most characters.
    pub max: Option<usize>,
    /// Integers: the least.
    pub least: Option<i64>,
    /// Integers: the most.
    pub most: Option<i64>,
    /// Flags: the only answer the instrument allows.
    pub must: Option<bool>,
    /// What people see beside it.
    pub label: String,
    /// What helps to fill it in.
    #[serde(default)]
    pub help: String,
    /// The article that asks for it.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

const fn one() -> usize {
    1
}

/// What is wrong with a field of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The body names another form.
    Form(String),
    /// The body names another version of the form.
    Version(u32),
    /// The form has no such field.
    Unknown,
    /// Fields must ascend by key, each once.
    Order,
    /// It must be filled in.
    Missing,
    /// At least one of these must be filled in.
    MissingOneOf(Vec<String>),
    /// It has no value, or an empty text.
    Empty,
    /// More values than this.
    TooMany(usize),
    /// Not of this kind.
    Kind(Kind),
    /// Longer than this many characters.
    TooLong(usize),
    /// Text with control characters.
    Unprintable,
    /// Not a language tag.
    Language,
    /// Not a code of this list.
    Code(String),
    /// Outside these bounds.
    Range(i64, i64),
    /// Only this answer is possible.
    Must(bool),
    /// Not a calendar date `YYYY-MM-DD`.
    Date,
    /// It lies before the named field.
    Before(String),
    /// It has not as many values as the named field.
    Unpaired(String),
    /// A text of it is not in the language that the named field says.
    OtherLanguage(String),
}

impl Wrong {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "form.wrong-form",
            Self::Version(_) => "form.wrong-version",
            Self::Unknown => "form.unknown-field",
            Self::Order => "form.out-of-order",
            Self::Missing => "form.missing-field",
            Self::MissingOneOf(_) => "form.missing-one-of",
            Self::Empty => "form.empty-field",
            Self::TooMany(_) => "form.too-many",
            Self::Kind(_) => "form.wrong-kind",
            Self::TooLong(_) => "form.too-long",
            Self::Unprintable => "form.unprintable",
            Self::Language => "form.bad-language",
            Self::Code(_) => "form.unknown-code",
            Self::Range(..) => "form.out-of-range",
            Self::Must(_) => "form.not-possible",
            Self::Date => "form.bad-date",
            Self::Before(_) => "form.wrong-period",
            Self::Unpaired(_) => "form.unpaired",
            Self::OtherLanguage(_) => "form.other-language",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => write!(f, "the body is a {form}; write it on the form of this step"),
            Self::Version(version) => write!(f, "version {version} of the form is not in use; draft it anew"),
            Self::Unknown => f.write_str("the form has no such field; take it out"),
            Self::Order => f.write_str("fields ascend by key, each once; put it in its place"),
            Self::Missing => f.write_str("it is not filled in; fill it in"),
            Self::MissingOneOf(keys) => write!(f, "none of {} is filled in; fill in at least one", keys.join(", ")),
            Self::Empty => f.write_str("it is empty; fill it in or take it out"),
            Self::TooMany(most) => write!(f, "it takes at most {most} values; take some out"),
            Self::Kind(kind) => write!(f, "it holds a {}; write it so", kind.as_str()),
            Self::TooLong(most) => write!(f, "it takes at most {most} characters; shorten it or attach a paper"),
            Self::Unprintable => f.write_str("it holds control characters; take them out"),
            Self::Language => f.write_str("its language is not a BCP 47 tag; say for example en, or zxx for none"),
            Self::Code(list) => write!(f, "it is not a code of the list {list}; choose one"),
            Self::Range(least, most) => write!(f, "it must lie between {least} and {most}; correct it"),
            Self::Must(answer) => write!(f, "only {answer} is possible here; without it the step cannot be taken"),
            Self::Date => f.write_str("it is not a calendar date; write YYYY-MM-DD"),
            Self::Before(other) => write!(f, "it lies before {other}; correct one of them"),
            Self::Unpaired(other) => {
                write!(f, "it needs as many values as {other}, in the same order; complete one of them")
            }
            Self::OtherLanguage(other) => {
                write!(f, "a text is not in the language that {other} names; correct one of them")
            }
        }
    }
}

/// One thing wrong with a body, field by field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {wrong} ({article})", wrong.code())]
pub struct FormMistake {
    /// The field's key.
    pub field: String,
    /// What is wrong.
    pub wrong: Wrong,
    /// The article that asks for the field, or the form's own source.
    pub article: String,
}

impl FormMistake {
    /// The stable code, for example `form.missing-field`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.wrong.code()
    }
}

/// The form of one step of one procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub(super) procedure: ProcedureCode,
    pub(super) step: StepCode,
    pub(super) record: bool,
    pub(super) version: u32,
    pub(super) title: String,
    pub(super) source: String,
    pub(super) mark: Mark,
    pub(super) fields: Vec<FieldRule>,
    pub(super) places: BTreeMap<String, usize>,
    pub(super) one_of: Vec<Vec<String>>,
    pub(super) ordered: Vec<(String, String)>,
    pub(super) paired: Vec<(String, String)>,
    pub(super) spoken: Vec<(String, String)>,
    pub(super) lists: BTreeMap<Code, Arc<CodeList>>,
}

impl Form {
    /// For example `PRES/request`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.procedure, self.step)
    }

    /// The procedure it belongs to.
    #[must_use]
    pub const fn procedure(&self) -> &ProcedureCode {
        &self.procedure
    }

    /// The step it belongs to.
    #[must_use]
    pub const fn step(&self) -> &StepCode {
        &self.step
    }

    /// True if it is no step of the thread but a record kept beside it, such as that of a manifest.
    #[must_use]
    pub const fn is_record(&self) -> bool {
        self.record
    }

    /// The version every body of it must name.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What people see above it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the form as a whole is found.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How well that source was seen.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// A field by its key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&FieldRule> {
        self.places.get(key).and_then(|place| self.fields.get(*place))
    }

    /// All fields in the order a draft should show them.
    pub fn template(&self) -> impl Iterator<Item = &FieldRule> {
        self.fields.iter()
    }

    /// Sets of fields of which at least one must be filled in.
    #[must_use]
    pub fn one_of(&self) -> &[Vec<String>] {
        &self.one_of
    }

    /// The code list a field of this form draws on.
    #[must_use]
    pub fn codes(&self, field: &FieldRule) -> Option<&CodeList> {
        field.codes.as_ref().and_then(|id| self.lists.get(id)).map(Arc::as_ref)
    }

    /// Everything that is wrong with a body; empty if it may be signed.
    #[must_use]
    pub fn check(&self, body: &Body) -> Vec<FormMistake> {
        if body.form != self.id() {
            return vec![self.mistake("form", Wrong::Form(body.form.clone()))];
        }
        if body.form_version != self.version {
            return vec![self.mistake("form_version", Wrong::Version(body.form_version))];
        }
        let mut mistakes = Vec::new();
        let mut last: Option<&str> = None;
        for field in &body.fields {
            if last.is_some_and(|last| last >= field.key.as_str()) {
                mistakes.push(self.mistake(&field.key, Wrong::Order));
            }
            last = Some(&field.key);
            mistakes.extend(self.check_field(field).into_iter().map(|wrong| self.mistake(&field.key, wrong)));
        }
        self.check_whole(&Filled::new(body), &mut mistakes);
        mistakes
    }

    /// The facts of a body, ascending by key; a list gives one fact for each value, its key followed
    /// by `.00`, `.01` and so on. Of a body that does not pass [`Form::check`] they mean nothing.
    #[must_use]
    pub fn facts(&self, body: &Body) -> Vec<Fact> {
        let mut facts = Vec::new();
        for field in &body.fields {
            let Some(rule) = self.field(&field.key).filter(|rule| rule.fact) else { continue };
            for (place, value) in field.values.iter().take(rule.list).enumerate() {
                if kind_of(value) != Some(rule.kind) || rule.kind == Kind::Text {
                    continue;
                }
                let key = if rule.list == 1 { field.key.clone() } else { format!("{}.{place:02}", field.key) };
                facts.push(Fact { key, value: Some(value.clone()) });
            }
        }
        facts.sort_by(|a, b| a.key.cmp(&b.key));
        facts
    }

    fn mistake(&self, key: &str, wrong: Wrong) -> FormMistake {
        let article = self.field(key).map_or(&self.source, |rule| &rule.source).clone();
        FormMistake { field: key.to_owned(), wrong, article }
    }

    fn check_field(&self, field: &Field) -> Vec<Wrong> {
        let Some(rule) = self.field(&field.key) else { return vec![Wrong::Unknown] };
        if field.values.is_empty() {
            return vec![Wrong::Empty];
        }
        if field.values.len() > rule.list {
            return vec![Wrong::TooMany(rule.list)];
        }
        field.values.iter().filter_map(|value| self.check_value(rule, value)).collect()
    }

    fn check_value(&self, rule: &FieldRule, value: &Value) -> Option<Wrong> {
        if kind_of(value) != Some(rule.kind) {
            return Some(Wrong::Kind(rule.kind));
        }
        match value.kind.as_ref()? {
            value::Kind::Text(text) => wrong_text(rule, &text.lang, &text.text),
            value::Kind::Code(code) => self.wrong_code(rule, code),
            value::Kind::Integer(number) => {
                let (least, most) = (rule.least.unwrap_or(i64::MIN), rule.most.unwrap_or(i64::MAX));
                (!(least..=most).contains(number)).then_some(Wrong::Range(least, most))
            }
            value::Kind::Flag(flag) => rule.must.filter(|must| must != flag).map(Wrong::Must),
            value::Kind::TimeMs(ms) => (*ms > TIME_MAX_MS).then_some(Wrong::Date),
            value::Kind::Date(date) => (!is_date(date)).then_some(Wrong::Date),
        }
    }

    fn wrong_code(&self, rule: &FieldRule, code: &str) -> Option<Wrong> {
        let listed = self.codes(rule).is_some_and(|list| list.has(code));
        let taken = rule.only.is_empty() || rule.only.iter().any(|only| only.as_str() == code);
        let name = rule.codes.as_ref().map_or_else(String::new, Code::to_string);
        (!listed || !taken).then_some(Wrong::Code(name))
    }

    fn check_whole(&self, filled: &Filled<'_>, mistakes: &mut Vec<FormMistake>) {
        for rule in &self.fields {
            if !filled.has(&rule.key) && filled.requires(&rule.required) {
                mistakes.push(self.mistake(&rule.key, Wrong::Missing));
            }
        }
        for keys in &self.one_of {
            if let Some(first) = keys.first().filter(|_| !keys.iter().any(|key| filled.has(key))) {
                mistakes.push(self.mistake(first, Wrong::MissingOneOf(keys.clone())));
            }
        }
        for (from, until) in &self.ordered {
            if filled.rank(from).zip(filled.rank(until)).is_some_and(|(from, until)| until < from) {
                mistakes.push(self.mistake(until, Wrong::Before(from.clone())));
            }
        }
        for (one, other) in &self.paired {
            if filled.values(one).len() != filled.values(other).len() {
                mistakes.push(self.mistake(other, Wrong::Unpaired(one.clone())));
            }
        }
        for (texts, language) in &self.spoken {
            if !filled.speaks(texts, language) {
                mistakes.push(self.mistake(texts, Wrong::OtherLanguage(language.clone())));
            }
        }
    }
}

/// The end of the year 9999: the last moment calendars of this product can show.
const TIME_MAX_MS: u64 = 253_402_300_799_999;

/// A body's fields by key.
struct Filled<'a> {
    fields: BTreeMap<&'a str, &'a [Value]>,
}

impl<'a> Filled<'a> {
    fn new(body: &'a Body) -> Self {
        Self { fields: body.fields.iter().map(|field| (field.key.as_str(), field.values.as_slice())).collect() }
    }

    fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    fn values(&self, key: &str) -> &'a [Value] {
        self.fields.get(key).copied().unwrap_or_default()
    }

    /// True if every text of a field is in the language a code names.
    fn speaks(&self, texts: &str, language: &str) -> bool {
        let named = self.values(language).first().and_then(|value| value.kind.as_ref());
        let in_it = |value: &Value| match (value.kind.as_ref(), named) {
            (Some(value::Kind::Text(text)), Some(value::Kind::Code(code))) => text.lang == *code,
            // Another kind, or none, is a mistake of its own.
            _ => true,
        };
        self.values(texts).iter().all(in_it)
    }

    fn requires(&self, required: &Required) -> bool {
        match required {
            Required::Always => true,
            Required::Never => false,
            Required::When { field, is } => {
                let mut kinds = self.values(field).iter().filter_map(|value| value.kind.as_ref());
                kinds.any(|kind| is.iter().any(|literal| literal.is(kind)))
            }
            Required::With(other) => self.has(other),
        }
    }

    /// Where a single date or time stands among others of its kind.
    fn rank(&self, key: &str) -> Option<(u64, &'a str)> {
        match self.fields.get(key)?.first()?.kind.as_ref()? {
            value::Kind::TimeMs(ms) => Some((*ms, "")),
            value::Kind::Date(date) => Some((0, date)),
            value::Kind::Text(_) | value::Kind::Code(_) | value::Kind::Integer(_) | value::Kind::Flag(_) => None,
        }
    }
}

fn kind_of(value: &Value) -> Option<Kind> {
    value.kind.as_ref().map(|kind| match kind {
        value::Kind::Text(_) => Kind::Text,
        value::Kind::Code(_) => Kind::Code,
        value::Kind::Integer(_) => Kind::Integer,
        value::Kind::Flag(_) => Kind::Flag,
        value::Kind::TimeMs(_) => Kind::Time,
        value::Kind::Date(_) => Kind::Date,
    })
}

fn wrong_text(rule: &FieldRule, lang: &str, text: &str) -> Option<Wrong> {
    let most = rule.max.unwrap_or(0);
    if text.trim().is_empty() {
        Some(Wrong::Empty)
    } else if !is_language(lang) {
        Some(Wrong::Language)
    } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        Some(Wrong::Unprintable)
    } else {
        (text.chars().count() > most).then_some(Wrong::TooLong(most))
    }
}

/// Exactly `YYYY-MM-DD` and a day that exists, so that one day has one text.
pub(crate) fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}

/// Why a field rule cannot be used, if so; the form's other keys and lists are known to the caller.
pub(super) fn wrong_rule(rule: &FieldRule) -> Vec<String> {
    let mut wrongs = Vec::new();
    let mut says = |bad: bool, why: &str| {
        if bad {
            wrongs.push(why.to_owned());
        }
    };
    says(
        !is_key(&rule.key),
        "`key` must be labels of a-z, 0-9 and hyphens, each beginning with a letter, joined by dots",
    );
    says(rule.list == 0 || rule.list > LIST_MAX, "`list` must be 1 to 99");
    says(rule.fact && rule.kind == Kind::Text, "`fact` is not for text");
    says((rule.kind == Kind::Text) != rule.max.is_some(), "`max` belongs to text, and each text needs it");
    says((rule.kind == Kind::Code) != rule.codes.is_some(), "`codes` belongs to codes, and each code needs it");
    says(rule.kind != Kind::Code && !rule.only.is_empty(), "`only` is for codes");
    says(
        rule.kind != Kind::Integer && (rule.least.is_some() || rule.most.is_some()),
        "`least` and `most` are for integers",
    );
    says(rule.kind != Kind::Flag && rule.must.is_some(), "`must` is for flags");
    says(rule.label.trim().is_empty(), "`label` is empty");
    says(rule.source.trim().is_empty(), "`source` is empty");
    wrongs
}

/// Two digits follow the key of a fact that comes from a list.
const LIST_MAX: usize = 99;

pub(super) fn is_key(text: &str) -> bool {
    text.len() <= 64
        && text.split('.').all(|label| {
            label.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Every key another key of the form leans on.
pub(super) fn leans_on(required: &Required) -> BTreeSet<&str> {
    match required {
        Required::Always | Required::Never => BTreeSet::new(),
        Required::When { field, .. } => BTreeSet::from([field.as_str()]),
        Required::With(field) => BTreeSet::from([field.as_str()]),
    }
}
