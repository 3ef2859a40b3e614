//! Which law applies between two Parties: what may be asked on which instrument, what that demands, which clocks would run
//! and which grounds are open.
//!
//! Decides from rules, charter and profiles; it looks at no request and keeps nothing. Start at [`explain`].

mod explain;
mod papers;
mod warn;
mod weigh;

pub use explain::{Deadline, GroundView, Opinion, Question, explain};
pub use papers::{Person, lacking};
pub use warn::{Sending, Warning, warnings};
pub use weigh::{Weighed, closed, short_of};

use crate::clock::Calendar;
use crate::ids::{AuthorityId, PartyCode, ProcedureCode, Time};
use crate::profile::{Charter, Trust};
use crate::rules::{Basis, Closing, Code, Condition, Declaration, DeclarationKind, Instrument, Rules};
use jiff::civil::Weekday;
use std::collections::{BTreeMap, BTreeSet};

/// Why an instrument cannot carry a request between two Parties at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOffered {
    /// The charter does not show it in force between them.
    NotBinding,
    /// It applies between nobody before this day.
    NotBefore(String),
    /// It is a model for treaties and binds nobody itself.
    OnlyAModel,
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
    if instrument.model {
        return Err(NotOffered::OnlyAModel);
    }
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

/// An instrument that binds both and takes the place of this one between them, perhaps by procedures of its own.
fn replaced_by<'r>(
    rules: &'r Rules,
    charter: &Charter,
    instrument: &Instrument,
    between: [&PartyCode; 2],
    at: Time,
) -> Option<&'r Instrument> {
    let binding = |other: &Instrument| binds(rules, charter, other, between, at).is_ok();
    rules.instruments().find(|other| other.replaces.contains(&instrument.code) && binding(other))
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
        let mut within = asked.iter().map(|code| row.categories.contains(code));
        let reached = if row.alone { !asked.is_empty() && within.all(|is| is) } else { within.any(|is| is) };
        (row.categories.is_empty() || reached) && !row.unless.as_ref().is_some_and(&says)
    };
    let made = |row: &&Closing| declared.contains(&row.code);
    basis.closed_by.iter().filter(made).find(closes).map(|row| &row.code)
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

/// The languages a Party takes in a procedure, most preferred first: those it has [`declared`] where the instrument lets it,
/// else those of its profile.
fn languages(
    trust: &Trust,
    (procedure, basis): (&ProcedureCode, Option<&Basis>),
    party: &PartyCode,
    declared: &BTreeMap<Code, String>,
    urgent: bool,
    now: Time,
) -> Vec<String> {
    let by = basis.and_then(|basis| basis.languages_by.as_ref());
    match by.and_then(|code| declared.get(code)) {
        Some(named) => words(named).map(str::to_owned).collect(),
        None => trust
            .profile(party, now)
            .map_or_else(Vec::new, |profile| profile.languages(procedure.as_str(), urgent).to_vec()),
    }
}

/// Of what a Party has [`declared`], the periods in place of those of the rules, per clock.
#[must_use]
pub fn periods(rules: &Rules, declared: &BTreeMap<Code, String>) -> BTreeMap<Code, u32> {
    let period = |(code, value): (&Code, &String)| {
        let row = rules.declaration(code).filter(|row| row.kind == DeclarationKind::Period)?;
        Some((row.clock.clone()?, value.parse().ok()?))
    };
    declared.iter().filter_map(period).collect()
}

/// The calendar a Party counts by in a procedure: the zone of the authority that speaks for it there, the holidays of its
/// directory, and the days on which it has [`declared`] that nobody works.
#[must_use]
pub fn calendar(
    trust: &Trust,
    party: &PartyCode,
    procedure: &ProcedureCode,
    authority: Option<&AuthorityId>,
    declared: &BTreeMap<Code, String>,
    now: Time,
) -> Calendar {
    let Some(profile) = trust.profile(party, now) else { return Calendar::utc() };
    let competent = || {
        let acts =
            |row: &&crate::proto::Authority| row.powers.iter().any(|power| power.procedure == procedure.as_str());
        profile.authorities().values().find(acts)
    };
    let office = authority.and_then(|id| profile.authorities().get(id)).or_else(competent);
    let zone = office.map_or("UTC", |office| office.time_zone.as_str());
    let holidays = trust.directory(party).map(|directory| directory.holidays()).unwrap_or_default();
    let weekend = declared.iter().find(|(code, _)| code.as_str() == WEEKEND);
    let weekend = weekend.map_or_else(Vec::new, |(_, value)| weekdays(value));
    Calendar::of(zone, holidays.iter().map(String::as_str), &weekend)
}

/// The declaration by which a Party names its days of rest.
const WEEKEND: &str = "CALENDAR.WEEKEND";

fn weekdays(value: &str) -> Vec<Weekday> {
    let named = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let day = |word: &str| named.iter().find(|(name, _)| *name == word).map(|(_, day)| *day);
    words(value).filter_map(day).collect()
}

/// The words of a declaration that lists several.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ' ']).filter(|word| !word.is_empty())
}

/// True if a value is one that the rule lets a Party declare.
fn fits(row: &Declaration, value: &str) -> bool {
    match row.kind {
        DeclarationKind::Flag | DeclarationKind::Text => true,
        DeclarationKind::Languages => !value.is_empty() && words(value).all(crate::rules::is_language),
        DeclarationKind::Weekdays => {
            let count = words(value).count();
            (1..=6).contains(&count) && weekdays(value).len() == count
        }
        DeclarationKind::Code => row.codes.iter().any(|code| code.as_str() == value),
        DeclarationKind::Period => value.parse::<u32>().is_ok_and(|count| {
            row.least.is_none_or(|least| least <= count) && row.most.is_none_or(|most| count <= most)
        }),
    }
}
