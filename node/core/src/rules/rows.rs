//! The rows rule files are made of. Each can only be read whole: a missing or unknown key, a
//! missing source or mark, or a word outside its closed set is a mistake.

use crate::ids::{AuthorityId, Digest, EventId, ItemId, PartyCode, ProcedureCode, RequestId, StepCode};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A code from a closed list: letters, digits and `. - _`, never a sentence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(String);

/// The longest code of any list in use has 26 characters; the rest is room.
const CODE_MAX: usize = 64;

impl Code {
    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        (!text.is_empty() && text.len() <= CODE_MAX && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a code is letters, digits and `. - _`, at most 64"))
    }
}

/// How well the source of a figure was seen when the file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Seen in the source.
    S,
    /// General knowledge, to be confirmed in the source before it is relied on.
    G,
    /// Our own proposal; no instrument says so.
    P,
}

impl Mark {
    /// The letter in the files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S => "s",
            Self::G => "g",
            Self::P => "p",
        }
    }
}

/// Who must act while a clock runs, or may lengthen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The side that asks.
    Requesting,
    /// The side that is asked.
    Requested,
    /// A service provider.
    Provider,
    /// The authority that enforces an order against a provider.
    EnforcingAuthority,
    /// A court, judge, minister or supervisory authority.
    ReviewBody,
}

/// In what a clock counts. Days are calendar days; hours never pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Sixty minutes, through nights and holidays.
    Hour,
    /// A calendar day.
    Day,
    /// A day that is neither weekend nor holiday where the actor sits.
    WorkingDay,
    /// A calendar month.
    Month,
}

impl Unit {
    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::WorkingDay => "working day",
            Self::Month => "month",
        }
    }
}

/// A deadline rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockRule {
    /// For example `D01`.
    pub id: Code,
    /// What it is for, in words.
    pub title: String,
    /// What starts it, for example `measure-taken`.
    pub start_event: Code,
    /// How many of `unit`.
    pub duration: u32,
    /// In what it counts.
    pub unit: Unit,
    /// Whose clock it is.
    pub actor: Actor,
    /// What its end means, for example `lapse`.
    pub on_expiry: Code,
    /// Who may lengthen it.
    pub extendable_by: Vec<Actor>,
    /// True if the end has an effect in law; else it only marks and alerts.
    pub legal_effect: bool,
    /// The instrument it comes from.
    pub instrument: Code,
    /// The article.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// What a ground may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroundKind {
    /// Refuse.
    Refuse,
    /// Postpone.
    Postpone,
    /// Attach a condition.
    Condition,
    /// Use another measure.
    OtherMeasure,
    /// Consult first.
    Consult,
    /// Return, and ask for what is missing.
    Return,
    /// Say that it cannot be done.
    Impossible,
    /// Suspend until a court has looked at it.
    Suspend,
    /// Named only to be barred: never valid alone.
    Blocked,
}

/// A coded reason to refuse, postpone or attach a condition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// For example `R-POL`.
    pub code: Code,
    /// In words.
    pub title: String,
    /// What it may be used for.
    pub kinds: Vec<GroundKind>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

impl Ground {
    /// True if it is named only to be barred: no instrument may open it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.kinds.iter().all(|kind| *kind == GroundKind::Blocked)
    }
}

/// One of the closed list of ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// For example `executed_full`.
    pub code: Code,
    /// In words.
    pub title: String,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// An offence as all Parties of a network code it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offence {
    /// For example `CC-01`.
    pub code: Code,
    /// In words.
    pub name: String,
    /// Per instrument, the articles that establish it.
    #[serde(default)]
    pub articles: BTreeMap<Code, Vec<String>>,
    /// Per instrument, articles that may apply beside or by the conduct of the case.
    #[serde(default)]
    pub related: BTreeMap<Code, Vec<String>>,
    /// True if it belongs to the categories of the lists of EIO, EAW and EER for which dual criminality is not verified.
    #[serde(default)]
    pub listed: bool,
    /// International Classification of Crime for Statistical Purposes.
    pub iccs: Vec<String>,
    /// How well those digits were seen.
    pub iccs_mark: Mark,
    /// Classes of the common taxonomy of law enforcement and CSIRTs.
    pub classes: Vec<String>,
    /// How well those names were seen.
    pub classes_mark: Mark,
    /// Where the row is found.
    pub source: String,
    /// How well the row was seen.
    pub mark: Mark,
}

impl Offence {
    /// True if one of the articles `first..=last` of the instrument establishes it.
    #[must_use]
    pub fn is_established_by(&self, instrument: &Code, first: u32, last: u32) -> bool {
        let within = |article: &String| article.parse::<u32>().is_ok_and(|number| (first..=last).contains(&number));
        self.articles.get(instrument).is_some_and(|articles| articles.iter().any(within))
    }
}

/// What may be said of any offence, for example that a minor is the victim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modifier {
    /// For example `attempt-aiding`.
    pub code: Code,
    /// In words.
    pub title: String,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// A treaty or act that procedures stand on. Whom it binds is for the charter to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// For example `BC`.
    pub code: Code,
    /// Its name.
    pub name: String,
    /// Its number in its series.
    pub number: String,
    /// What was seen of its status; data for people, never for decisions.
    pub status: String,
    /// The day before which it applies between nobody, whatever a charter says.
    pub applies_from: Option<String>,
    /// Instruments that must bind the two Parties as well.
    #[serde(default)]
    pub needs: Vec<Code>,
    /// True if it is a model that treaties follow, and binds nobody itself.
    #[serde(default)]
    pub model: bool,
    /// Instruments it takes the place of between Parties that both bind.
    #[serde(default)]
    pub replaces: Vec<Code>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// A kind of demand. On which instruments it may be based stands in rows of their own ([`Basis`](super::Basis)), so that a
/// treaty can be added by a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// For example `PRES`.
    #[serde(deserialize_with = "parsed")]
    pub code: ProcedureCode,
    /// In words.
    pub name: String,
    /// Which life it follows, for example `preservation`; none if it is not offered yet.
    pub family: Option<Code>,
    /// Rises when a form or figure of it changes.
    pub version: u32,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// How long what a node holds of a request is kept after the request ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Of which procedure.
    #[serde(deserialize_with = "parsed")]
    pub procedure: ProcedureCode,
    /// How many of `unit`.
    pub duration: u32,
    /// In what it counts.
    pub unit: Unit,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// On what a request may be erased once it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureGround {
    /// For example `retention-over`.
    pub code: Code,
    /// In words.
    pub title: String,
    /// True if it does not wait for the end of retention.
    pub early: bool,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// One code of a list with its words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The code.
    pub code: Code,
    /// In words.
    pub label: String,
}

/// The shape of codes that no file can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// ISO 3166-1 alpha-2.
    Party,
    /// An authority's id in its Party's profile.
    Authority,
    /// A request of this network.
    Request,
    /// An event of this network.
    Event,
    /// An item of evidence.
    Item,
    /// A SHA-256 or BLAKE3 digest.
    Digest,
    /// A step of a procedure.
    Step,
    /// A field of a form.
    Field,
    /// A BCP 47 language tag.
    Language,
    /// A name of the IANA time zone database.
    TimeZone,
}

impl Pattern {
    /// True if the text has this shape.
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Party => PartyCode::parse(text).is_ok(),
            Self::Authority => AuthorityId::parse(text).is_ok(),
            Self::Request => text.parse::<RequestId>().is_ok(),
            Self::Event => text.parse::<EventId>().is_ok(),
            Self::Item => text.parse::<ItemId>().is_ok(),
            Self::Digest => text.parse::<Digest>().is_ok(),
            Self::Step => StepCode::parse(text).is_ok(),
            Self::Field => super::form::is_key(text),
            Self::Language => is_language(text),
            Self::TimeZone => is_time_zone(text),
        }
    }

    /// A text of this shape, to show what one looks like.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Party => "XC",
            Self::Authority | Self::Step | Self::Field => "centre",
            Self::Request | Self::Item => "00000000000000000000000000000000",
            Self::Event | Self::Digest => "0000000000000000000000000000000000000000000000000000000000000000",
            Self::Language => "en",
            Self::TimeZone => "Europe/Vienna",
        }
    }
}

/// A language tag of two or three letters and subtags of up to eight (BCP 47, shape only).
pub(crate) fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_lowercase()));
    primary
        && text.len() <= 35
        && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A name such as `Europe/Vienna`: the shape only, for the database itself lies outside the core.
fn is_time_zone(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+');
    text.len() <= CODE_MAX && text.split('/').all(|part| !part.is_empty() && part.bytes().all(plain))
}

/// Which codes a field may carry: a closed list or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeList {
    /// For example `urgency`.
    pub id: Code,
    /// The codes in the order people should see them; empty if there is a pattern.
    #[serde(default)]
    pub codes: Vec<Listed>,
    /// The shape of the codes where they cannot be listed.
    pub pattern: Option<Pattern>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

impl CodeList {
    /// True if the list or its pattern knows the code.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        match self.pattern {
            Some(pattern) => pattern.fits(code),
            None => self.codes.iter().any(|listed| listed.code.as_str() == code),
        }
    }

    /// The words for a listed code.
    #[must_use]
    pub fn label(&self, code: &str) -> Option<&str> {
        self.codes.iter().find(|listed| listed.code.as_str() == code).map(|listed| listed.label.as_str())
    }
}

/// Reads any of the typed ids from its text.
pub(super) fn parsed<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(input)?.parse().map_err(D::Error::custom)
}
