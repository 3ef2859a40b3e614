//! What speaks against a request as it is drafted or stands, though nothing forbids it: an operator is told before it is sent,
//! and both sides as long as it is so.

use super::{Person, declared, lacking, languages, replaced_by};
use crate::ids::{PartyCode, ProcedureCode, Time};
use crate::profile::Trust;
use crate::rules::{Basis, Code, Rules};

/// A request, as far as warnings look at it.
#[derive(Debug, Clone)]
pub struct Sending<'a> {
    /// The procedure.
    pub procedure: &'a ProcedureCode,
    /// Who asks, and who is asked.
    pub between: [&'a PartyCode; 2],
    /// The instrument it rests on.
    pub instrument: Option<Code>,
    /// It is urgent or an emergency.
    pub urgent: bool,
    /// The language its texts are in.
    pub original: Option<Code>,
    /// The languages they are translated into.
    pub translations: Vec<Code>,
    /// The person sought, where it is about one.
    pub person: Option<Person>,
    /// The documents named as sent.
    pub sent: Vec<Code>,
    /// The protocols it rests on beside its instrument.
    pub protocols: Vec<Code>,
}

/// Something to look after before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable code, as in `comity explain CODE`.
    pub code: &'static str,
    /// The field it is about.
    pub field: &'static str,
    /// What is not as it should be, and what to do.
    pub detail: String,
}

/// Everything to look after.
#[must_use]
pub fn warnings(rules: &Rules, trust: &Trust, sending: &Sending<'_>, now: Time) -> Vec<Warning> {
    let basis = sending.instrument.as_ref().and_then(|code| rules.basis(sending.procedure, code));
    let mut found: Vec<Warning> = not_taken(rules, trust, basis, sending, now).into_iter().collect();
    if let Some(basis) = basis {
        found.extend(wanting(basis, sending));
        found.extend(replaced(rules, trust, basis, sending, now));
    }
    found
}

/// The requested Party takes requests in other languages, and there is no translation into one of them.
fn not_taken(rules: &Rules, trust: &Trust, basis: Option<&Basis>, sending: &Sending<'_>, now: Time) -> Option<Warning> {
    let original = sending.original.as_ref()?;
    let [_, to] = sending.between;
    let taken = languages(trust, (sending.procedure, basis), to, &declared(rules, trust, to, now), sending.urgent, now);
    let understood = |tag: &Code| taken.iter().any(|range| primary(range) == primary(tag.as_str()));
    if taken.is_empty() || [original].into_iter().chain(&sending.translations).any(understood) {
        return None;
    }
    let (taken, procedure) = (taken.join(", "), sending.procedure);
    Some(Warning {
        code: "law.language-not-taken",
        field: "language.original",
        detail: format!(
            "{to} takes {taken} in {procedure}, and the texts are in {original}. Send a translation into one of them, by the step translation"
        ),
    })
}

/// `en` of `en-GB`: who takes the one reads the other.
fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

/// Documents without which the request goes, but should not.
fn wanting<'b>(basis: &'b Basis, sending: &Sending<'_>) -> impl Iterator<Item = Warning> + use<'b> {
    let absent = sending.person.map(|person| lacking(basis, person, &sending.sent, &sending.protocols).1);
    absent.into_iter().flatten().map(|document| Warning {
        code: "law.document-wanting",
        field: "documents.sent",
        detail: format!("{} is not among the documents ({}). Add it if there is one", document.code, document.source),
    })
}

/// Another instrument takes the place of the one it rests on.
fn replaced(rules: &Rules, trust: &Trust, basis: &Basis, sending: &Sending<'_>, now: Time) -> Option<Warning> {
    let instrument = rules.instrument(&basis.instrument)?;
    let other = replaced_by(rules, trust.charter(), instrument, sending.between, now)?;
    let [from, to] = sending.between;
    Some(Warning {
        code: "law.replaced",
        field: "reference.instrument",
        detail: format!(
            "{} takes the place of {} between {from} and {to}. Ask: comity law explain",
            other.code, instrument.code
        ),
    })
}
