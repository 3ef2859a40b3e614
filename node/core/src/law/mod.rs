//! Which law applies between two Parties: what may be asked on which instrument, what that demands, which clocks would run
//! and which grounds are open.
//!
//! Decides from rules, charter and profiles; it looks at no request and keeps nothing. Start at [`in_force`].

mod weigh;

pub use weigh::{Weighed, closed, short_of};

use crate::ids::{PartyCode, Time};
use crate::profile::{Charter, Trust};
use crate::rules::{Basis, Closing, Code, Condition, Declaration, DeclarationKind, Instrument, Rules};
use std::collections::{BTreeMap, BTreeSet};

/// Why an instrument cannot carry a request between two Parties at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOffered {
    /// The charter does not show it in force between them.
    NotBinding,
    /// It applies between nobody before this day.
    NotBefore(String),
    /// It needs another instrument between them that is not in force.
    Needs(Code),
}

/// Whether an instrument binds two Parties towards each other at a moment.
///
/// # Errors
/// The first reason why it does not.
pub fn binds(
    rules: &Rules,
    charter: &Charter,
    instrument: &Instrument,
    between: [&PartyCode; 2],
    at: Time,
) -> Result<(), NotOffered> {
    let [one, other] = between;
    if let Some(date) = instrument.applies_from.as_ref().filter(|date| crate::clock::day(at) < **date) {
        return Err(NotOffered::NotBefore(date.clone()));
    }
    if !charter.binds(instrument.code.as_str(), one, other, at) {
        return Err(NotOffered::NotBinding);
    }
    let lacking = instrument
        .needs
        .iter()
        .find(|code| !rules.instrument(code).is_some_and(|_| charter.binds(code.as_str(), one, other, at)));
    lacking.map_or(Ok(()), |code| Err(NotOffered::Needs(code.clone())))
}

/// All instruments that bind two Parties towards each other at a moment.
#[must_use]
pub fn in_force(rules: &Rules, charter: &Charter, between: [&PartyCode; 2], at: Time) -> BTreeSet<Code> {
    let bind = |row: &&Instrument| binds(rules, charter, row, between, at).is_ok();
    rules.instruments().filter(bind).map(|row| row.code.clone()).collect()
}

/// The declaration of the requested Party that closes a basis for these categories of data. `says` tells whether the request
/// meets a condition; before there is a request, what depends on one closes nothing.
#[must_use]
pub fn closing<'b>(
    basis: &'b Basis,
    declared: &BTreeSet<Code>,
    asked: &[Code],
    says: impl Fn(&Condition) -> bool,
) -> Option<&'b Code> {
    let closes = |row: &&Closing| {
        let asked = row.categories.is_empty() || asked.iter().any(|code| row.categories.contains(code));
        asked && declared.contains(&row.code) && !row.unless.as_ref().is_some_and(&says)
    };
    basis.closed_by.iter().find(closes).map(|row| &row.code)
}

/// What a Party declared in charter and profile, as far as the law lets it: code and value. What no rule knows, and what
/// lies outside the bounds of its rule, has no effect.
#[must_use]
pub fn declared(rules: &Rules, trust: &Trust, party: &PartyCode, now: Time) -> BTreeMap<Code, String> {
    let by_charter = trust.charter().reservations(party).map(|code| (code.as_str(), ""));
    let profile = trust.profile(party, now);
    let by_profile = profile.into_iter().flat_map(|profile| profile.declarations());
    let all = by_charter.chain(by_profile).filter_map(|(code, value)| Some((Code::parse(code)?, value)));
    let lawful = |code: &Code, value: &str| rules.declaration(code).is_some_and(|row| fits(row, value));
    all.filter(|(code, value)| lawful(code, value)).map(|(code, value)| (code, value.to_owned())).collect()
}

/// True if a value is one that the rule lets a Party declare.
fn fits(row: &Declaration, value: &str) -> bool {
    match row.kind {
        DeclarationKind::Flag | DeclarationKind::Text => true,
        DeclarationKind::Languages => {
            !value.is_empty() && value.split([',', ' ']).filter(|tag| !tag.is_empty()).all(crate::rules::is_language)
        }
        DeclarationKind::Code => row.codes.iter().any(|code| code.as_str() == value),
        DeclarationKind::Period => value.parse::<u32>().is_ok_and(|count| {
            row.least.is_none_or(|least| least <= count) && row.most.is_none_or(|most| count <= most)
        }),
    }
}
