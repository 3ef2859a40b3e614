//! What one instrument says of one procedure: articles, grounds, clocks, thresholds, documents, notices.
//!
//! Decides what such a row may say and how a row that is `like` another is completed. Whether the instrument is in
//! force between two Parties is for the charter to say, and what follows from all of it for `law`. Start at [`Basis`].

use super::form::Literal;
use super::rows::{Code, Mark};
use crate::ids::ProcedureCode;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An instrument as the basis of a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The procedure.
    pub procedure: ProcedureCode,
    /// The instrument.
    pub instrument: Code,
    /// The articles, for example `29`.
    pub articles: String,
    /// Between which offices it goes, in words.
    pub channel: String,
    /// The grounds on which it may be refused, postponed or made conditional.
    pub grounds: Vec<GroundUse>,
    /// The clocks it runs.
    pub clocks: Vec<ClockUse>,
    /// What offence, penalty or sentence must reach.
    pub thresholds: Vec<Threshold>,
    /// The categories of data it reaches; all if empty.
    pub categories: Vec<Code>,
    /// The bases of emergency it demands one of; none if it is not for emergencies alone.
    pub emergencies: Vec<Code>,
    /// The offences it is for; all if empty.
    pub offences: Vec<Code>,
    /// The declarations of the requested Party that close it, each in whole or for some categories.
    pub closed_by: Vec<Closing>,
    /// The declaration of the requested Party without which no person renounces speciality; none if it needs none.
    pub renounced_with: Option<Code>,
    /// The article by which the order itself says how urgent it is, so that no word of one side changes its periods; none if
    /// the urgency may change.
    pub urgency_fixed_by: Option<String>,
    /// The article by which the two sides consult before a refusal; none if they need not.
    pub consulted_by: Option<String>,
    /// The declaration by which the requested Party names the languages it takes; what its profile says of languages, if none.
    pub languages_by: Option<Code>,
    /// What a request must be accompanied by.
    pub documents: Vec<Document>,
    /// What must be told to whom.
    pub notices: Vec<Notice>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

impl Basis {
    /// How a ground is open here, if it is.
    #[must_use]
    pub fn ground(&self, code: &Code) -> Option<&GroundUse> {
        self.grounds.iter().find(|usage| usage.code == *code)
    }

    /// The clock that plays a part which a guard knows by name.
    #[must_use]
    pub fn clock(&self, part: &str) -> Option<&Code> {
        let plays = |usage: &&ClockUse| usage.part.as_ref().is_some_and(|named| named.as_str() == part);
        self.clocks.iter().find(plays).map(|usage| &usage.clock)
    }

    /// The clocks that play one of these parts: of those that a condition keeps apart, one for each.
    pub fn playing<'b>(&'b self, parts: &'b [&str]) -> impl Iterator<Item = &'b ClockUse> {
        self.clocks.iter().filter(|usage| usage.part.as_ref().is_some_and(|part| parts.contains(&part.as_str())))
    }
}

/// The same as a file says it: for several procedures at once, and perhaps like another instrument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasisRow {
    pub(super) instrument: Code,
    pub(super) procedures: Vec<Code>,
    pub(super) articles: String,
    #[serde(default)]
    pub(super) channel: String,
    /// The instrument whose row fills in what this one leaves out.
    pub(super) like: Option<Code>,
    /// Clocks of that row, and those that run in their place here.
    #[serde(default)]
    pub(super) instead: BTreeMap<Code, Code>,
    pub(super) grounds: Option<Vec<GroundUse>>,
    pub(super) clocks: Option<Vec<ClockUse>>,
    pub(super) thresholds: Option<Vec<Threshold>>,
    pub(super) categories: Option<Vec<Code>>,
    pub(super) emergencies: Option<Vec<Code>>,
    pub(super) offences: Option<Vec<Code>>,
    pub(super) closed_by: Option<Vec<Closing>>,
    pub(super) renounced_with: Option<Code>,
    pub(super) urgency_fixed_by: Option<String>,
    pub(super) consulted_by: Option<String>,
    pub(super) languages_by: Option<Code>,
    pub(super) documents: Option<Vec<Document>>,
    pub(super) notices: Option<Vec<Notice>>,
    pub(super) source: String,
    pub(super) mark: Mark,
}

impl BasisRow {
    /// The basis of one of its procedures; what the row leaves out is as in `like`.
    pub(super) fn basis(&self, procedure: ProcedureCode, like: Option<&Basis>) -> Basis {
        fn own<T: Clone>(row: Option<&Vec<T>>, like: Option<&Vec<T>>) -> Vec<T> {
            row.or(like).cloned().unwrap_or_default()
        }
        fn one<T: Clone>(row: &Option<T>, like: Option<&Option<T>>) -> Option<T> {
            row.as_ref().or_else(|| like.and_then(Option::as_ref)).cloned()
        }
        let mut clocks = own(self.clocks.as_ref(), like.map(|like| &like.clocks));
        for usage in &mut clocks {
            if let Some(other) = self.instead.get(&usage.clock) {
                usage.clock = other.clone();
            }
        }
        let channel = if self.channel.is_empty() { like.map_or("", |like| &like.channel) } else { &self.channel };
        Basis {
            procedure,
            instrument: self.instrument.clone(),
            articles: self.articles.clone(),
            channel: channel.to_owned(),
            grounds: own(self.grounds.as_ref(), like.map(|like| &like.grounds)),
            clocks,
            thresholds: own(self.thresholds.as_ref(), like.map(|like| &like.thresholds)),
            categories: own(self.categories.as_ref(), like.map(|like| &like.categories)),
            emergencies: own(self.emergencies.as_ref(), like.map(|like| &like.emergencies)),
            offences: own(self.offences.as_ref(), like.map(|like| &like.offences)),
            closed_by: own(self.closed_by.as_ref(), like.map(|like| &like.closed_by)),
            renounced_with: one(&self.renounced_with, like.map(|like| &like.renounced_with)),
            urgency_fixed_by: one(&self.urgency_fixed_by, like.map(|like| &like.urgency_fixed_by)),
            consulted_by: one(&self.consulted_by, like.map(|like| &like.consulted_by)),
            languages_by: one(&self.languages_by, like.map(|like| &like.languages_by)),
            documents: own(self.documents.as_ref(), like.map(|like| &like.documents)),
            notices: own(self.notices.as_ref(), like.map(|like| &like.notices)),
            source: self.source.clone(),
            mark: self.mark,
        }
    }
}

/// How a ground is open under an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroundUse {
    /// The ground.
    pub code: Code,
    /// Open only to a Party that made this reservation.
    pub only_with: Option<Code>,
    /// Closed when one of the offences is established by these articles.
    pub never_for: Option<NeverFor>,
    /// Closed where the request rests on this instrument as well, for example a protocol.
    pub closed_with: Option<Code>,
    /// Open only where it does.
    pub open_with: Option<Code>,
    /// Closed when an offence is one of those a list of the instrument names, and its penalty reaches this many months.
    pub closed_from_months: Option<u32>,
    /// True if nobody may leave it out: where it holds, the request must be refused.
    #[serde(default)]
    pub mandatory: bool,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// A range of articles of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeverFor {
    /// The instrument.
    pub instrument: Code,
    /// The first article.
    pub first: u32,
    /// The last article, itself included.
    pub last: u32,
}

/// How a clock runs under an instrument: from what on, in which states, until when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockUse {
    /// The clock rule.
    pub clock: Code,
    /// The part by which a guard knows it, for example `holds`.
    pub part: Option<Code>,
    /// The steps it starts with: the latest of them.
    #[serde(default)]
    pub after: Vec<Code>,
    /// The facts that say when it starts, as of the step that said the latest of them.
    #[serde(default)]
    pub from: Vec<String>,
    /// True if it starts anew with each word of the requested side.
    #[serde(default)]
    pub heard: bool,
    /// The states in which it runs.
    pub during: Vec<Code>,
    /// The states, among those, in which it stands still. Only where the law allows it.
    #[serde(default)]
    pub pauses: Vec<Code>,
    /// The fact that says its end, where an act has set one.
    pub until: Option<String>,
    /// True if that end counts only where it is later than that of the period.
    #[serde(default)]
    pub longest: bool,
    /// It runs only if it ends before what this fact says.
    pub before: Option<String>,
    /// It runs only if all of this holds.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// A step that lengthens it, and by which rule.
    pub longer: Option<Longer>,
}

/// A fact the request has said, and the values that fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The fact. Of a list, any of its values.
    pub fact: String,
    /// The values that fit.
    #[serde(default)]
    pub is: Vec<Literal>,
    /// The values that do not.
    #[serde(default)]
    pub not: Vec<Literal>,
}

impl Condition {
    /// True if it holds. `any` tells whether the fact has any of these values.
    pub fn holds(&self, any: impl Fn(&[Literal]) -> bool) -> bool {
        (self.is.is_empty() || any(&self.is)) && !any(&self.not)
    }
}

/// What lengthens a clock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Longer {
    /// The step.
    pub after: Code,
    /// The rule whose period is added, once.
    pub clock: Code,
}

/// What a figure of the request must reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// The highest penalty the law of the requesting Party threatens.
    Penalty,
    /// The highest penalty both laws threaten.
    PenaltyInBoth,
    /// The sentence imposed, or what is left of it.
    Sentence,
}

/// A threshold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// What is measured.
    pub of: Measured,
    /// At least so many months.
    pub months: u32,
    /// Only for these categories of data; all if empty.
    #[serde(default)]
    pub categories: Vec<Code>,
    /// Not for these offences.
    #[serde(default)]
    pub unless: Vec<Code>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// A declaration of the requested Party that closes a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// The declaration or reservation.
    pub code: Code,
    /// For these categories of data; for all if empty.
    #[serde(default)]
    pub categories: Vec<Code>,
    /// True if it closes a request for those categories and nothing else.
    #[serde(default)]
    pub alone: bool,
    /// It closes nothing where the request says this.
    pub unless: Option<Condition>,
}

/// When a document is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needed {
    /// Always.
    Always,
    /// When the person was convicted.
    Convicted,
    /// When the person was tried in absence.
    InAbsentia,
    /// If there is one: its absence only warns.
    IfAny,
}

/// A document of a set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its code in the list `documents`.
    pub code: Code,
    /// When it is needed.
    pub needed: Needed,
    /// Not needed where the request rests on this instrument as well, for example a protocol.
    pub dropped_with: Option<Code>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// What must be told to whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What must be told, in words.
    pub of: String,
    /// To whom, in words.
    pub to: String,
    /// The step that tells it.
    pub step: Code,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}

/// What a declaration may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclarationKind {
    /// Made or not; it has no value.
    Flag,
    /// A list of languages, the most preferred first.
    Languages,
    /// Days of the week in English, small letters.
    Weekdays,
    /// One of the codes the row lists.
    Code,
    /// A period in the unit of the clock it replaces, within the bounds of the row.
    Period,
    /// Free words for people.
    Text,
}

/// What the law lets a Party declare. A declaration that no row knows is shown to people and has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// For example `BC.29.4`.
    pub code: Code,
    /// The instrument that lets it be made; none for what a Party says of itself.
    pub instrument: Option<Code>,
    /// In words.
    pub title: String,
    /// What its value is.
    pub kind: DeclarationKind,
    /// Codes: those it may be.
    #[serde(default)]
    pub codes: Vec<Code>,
    /// Periods: the clock it sets, and within which bounds.
    pub clock: Option<Code>,
    /// Periods: the least.
    pub least: Option<u32>,
    /// Periods: the most.
    pub most: Option<u32>,
    /// Where it is found.
    pub source: String,
    /// How well the source was seen.
    pub mark: Mark,
}
