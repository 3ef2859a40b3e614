//! Whether the facts of a request reach what an instrument demands, and whether a ground is open for them.
//!
//! Asked by the guards of a table and by whoever wants to know the law before drafting, so that both give one answer.

use crate::rules::{Basis, Code, GroundUse, Measured, Rules, Threshold};

/// What a request is about, as far as the law looks at it. What is not known is not held against it here: the form of a
/// procedure says what must be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weighed {
    /// The offences.
    pub offences: Vec<Code>,
    /// Imprisonment for life is possible.
    pub life: bool,
    /// The highest penalty under the law of the requesting Party, in months.
    pub penalty_months: Option<u64>,
    /// The highest penalty for the same act under the law of the requested Party, in months.
    pub penalty_months_requested: Option<u64>,
    /// The sentence imposed or what is left of it, in months, if there is one.
    pub sentence_months: Option<u64>,
    /// The categories of data.
    pub categories: Vec<Code>,
    /// The protocols the request rests on beside its instrument.
    pub protocols: Vec<Code>,
    /// The basis of an emergency, if it is one.
    pub emergency: Option<Code>,
}

/// Everything that keeps a request from being based on an instrument, in words; nothing if it may be.
#[must_use]
pub fn short_of(basis: &Basis, about: &Weighed) -> Vec<String> {
    let mut short = Vec::new();
    let outside = |listed: &[Code], asked: &[Code]| -> Vec<String> {
        asked.iter().filter(|code| !listed.is_empty() && !listed.contains(code)).map(ToString::to_string).collect()
    };
    let categories = outside(&basis.categories, &about.categories);
    if !categories.is_empty() {
        let reached = joined(&basis.categories);
        short.push(format!("it does not reach {}; it reaches {reached} ({})", categories.join(", "), basis.source));
    }
    if !basis.offences.is_empty() && !about.offences.iter().any(|code| basis.offences.contains(code)) {
        short.push(format!("it is for {} only ({})", joined(&basis.offences), basis.source));
    }
    let urgent = about.emergency.as_ref().is_some_and(|code| basis.emergencies.contains(code));
    if !basis.emergencies.is_empty() && !urgent {
        short.push(format!("it is for emergencies only: {} ({})", joined(&basis.emergencies), basis.source));
    }
    short.extend(basis.thresholds.iter().filter_map(|threshold| below(threshold, about)));
    short
}

fn joined(codes: &[Code]) -> String {
    codes.iter().map(Code::as_str).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a request under a threshold. A sentence is measured by the threshold for sentences alone, a charge by
/// that for penalties.
fn below(threshold: &Threshold, about: &Weighed) -> Option<String> {
    let concerns =
        |listed: &[Code], asked: &[Code]| listed.is_empty() || asked.iter().any(|code| listed.contains(code));
    let excused = about.offences.iter().any(|code| threshold.unless.contains(code));
    if excused || !concerns(&threshold.categories, &about.categories) {
        return None;
    }
    let least = u64::from(threshold.months);
    let short = |months: Option<u64>| months.filter(|months| *months < least);
    let penalty = if about.life { None } else { short(about.penalty_months) };
    let (found, what) = match (threshold.of, about.sentence_months) {
        (Measured::Sentence, sentence) => (short(sentence), "a sentence"),
        (Measured::Penalty | Measured::PenaltyInBoth, Some(_)) => (None, ""),
        (Measured::Penalty, None) => (penalty, "a highest penalty"),
        (Measured::PenaltyInBoth, None) => {
            (penalty.or_else(|| short(about.penalty_months_requested)), "a highest penalty in both States")
        }
    };
    found.map(|months| format!("it demands {what} of at least {least} months, not {months} ({})", threshold.source))
}

/// Why a ground is closed for a request about this, in words; nothing if it is open. `named` is the reservation relied on.
#[must_use]
pub fn closed(rules: &Rules, usage: &GroundUse, about: &Weighed, named: Option<&Code>) -> Option<String> {
    let code = &usage.code;
    if let Some(reservation) = usage.only_with.as_ref().filter(|needed| named != Some(*needed)) {
        return Some(format!("{code} must name the reservation it relies on, {reservation}. Name it"));
    }
    if let Some(protocol) = usage.closed_with.as_ref().filter(|code| about.protocols.contains(code)) {
        return Some(format!("{code} is closed where {protocol} applies ({}). Choose another ground", usage.source));
    }
    if let Some(protocol) = usage.open_with.as_ref().filter(|code| !about.protocols.contains(code)) {
        return Some(format!("{code} is open only where {protocol} applies ({}). Choose another ground", usage.source));
    }
    let barred = usage.never_for.as_ref().and_then(|range| {
        let mut offences = about.offences.iter().filter_map(|code| rules.offence(code));
        offences.find(|row| row.is_established_by(&range.instrument, range.first, range.last))
    });
    if let Some(row) = barred {
        return Some(format!("{code} is closed for {} ({}). Choose another ground", row.code, row.source));
    }
    let reaches = |least: &u32| about.life || about.penalty_months.is_some_and(|months| months >= u64::from(*least));
    let listed = |code: &Code| rules.offence(code).is_some_and(|row| row.listed);
    let least = usage.closed_from_months.filter(reaches).filter(|_| about.offences.iter().any(listed))?;
    Some(format!(
        "{code} is closed for an offence of the list that is punished with at least {least} months ({}). Choose another ground",
        usage.source
    ))
}
