//! What the scenarios together must have shown: each clock to the second, each ground that an instrument opens, and that it is
//! closed where the instrument closes it.

use super::{Answer, Scenario, moment, term};
use crate::ids::Time;
use crate::rules::sample::shipped;
use crate::rules::{Code, GroundUse};
use std::collections::BTreeSet;

/// Facts that name a ground, a condition among them.
const NAMING: &[&str] = &[
    "ground",
    "conditions",
    "terms.codes",
    "postponed.ground",
    "objection.ground",
    "consult.ground",
    "contact.ground",
];

/// A second, which is how near to its end a clock is looked at.
const SECOND: u64 = 1_000;

/// What the scenarios have shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Clocks that ran, were not over a second before their end and were over at it.
    edges: BTreeSet<Code>,
    /// Clocks that lengthened another, or that a refusal rested on.
    named: BTreeSet<Code>,
    /// Grounds a lawful act named.
    open: BTreeSet<Code>,
    /// Grounds on which a refusal was refused, with the instrument.
    closed: BTreeSet<(Code, Code)>,
}

impl Shown {
    /// Takes note of a scenario.
    pub(super) fn add(&mut self, scenario: &Scenario) {
        let answers = &scenario.answers;
        for clock in answers.iter().filter_map(|answer| answer.clock.as_ref()) {
            let at = |over: bool| -> Vec<Time> {
                let of = |answer: &&Answer| answer.clock.as_ref() == Some(clock) && answer.over == Some(over);
                answers.iter().filter(of).map(|answer| moment(&answer.at)).collect()
            };
            let (before, after) = (at(false), at(true));
            if before.iter().any(|before| after.iter().any(|after| before.plus_ms(SECOND) == *after)) {
                self.edges.insert(term(clock));
                let longer = answers.iter().filter(|answer| answer.clock.as_ref() == Some(clock));
                self.named.extend(longer.filter_map(|answer| answer.lengthened_by.as_deref()).map(term));
            }
        }
        for answer in answers.iter().filter(|answer| answer.refused.is_some()) {
            let words = answer.because.iter().flat_map(|because| because.split(' '));
            self.named.extend(words.filter_map(Code::parse).filter(|code| shipped().clock(code).is_some()));
            let closed = grounds(&answer.says).map(|ground| (term(&scenario.instrument), ground));
            self.closed.extend(closed);
        }
        let lawful = answers.iter().filter(|answer| answer.refused.is_none()).map(|answer| &answer.says);
        self.open.extend(scenario.given.iter().map(|done| &done.says).chain(lawful).flat_map(grounds));
    }

    /// What is missing, in words.
    pub(super) fn missing(&self) -> Vec<String> {
        let rules = shipped();
        let clocks = rules.clocks().map(|rule| &rule.id).filter(|id| id.as_str() != OF_THE_HOUSE);
        let clocks = clocks.filter(|id| !self.edges.contains(*id) && !self.named.contains(*id));
        let clocks = clocks.map(|id| format!("no scenario stands at the end of {id}"));
        let opened = || rules.procedures().flat_map(|row| rules.bases(&row.code));
        let codes: BTreeSet<&Code> = opened().flat_map(|basis| &basis.grounds).map(|usage| &usage.code).collect();
        let open = codes.into_iter().filter(|code| !self.open.contains(*code));
        let open = open.map(|code| format!("no scenario relies on {code}"));
        let barred =
            rules.grounds().filter(|row| row.is_blocked() && !self.closed.iter().any(|(_, code)| *code == row.code));
        let barred = barred.map(|row| format!("no scenario is refused {}", row.code));
        let limited = opened()
            .flat_map(|basis| basis.grounds.iter().filter(|usage| is_limited(usage)).map(move |usage| (basis, usage)));
        let limited: BTreeSet<(Code, Code)> =
            limited.map(|(basis, usage)| (basis.instrument.clone(), usage.code.clone())).collect();
        let limited = limited.iter().filter(|pair| !self.closed.contains(*pair));
        let limited = limited.map(|(instrument, code)| format!("no scenario is refused {code} under {instrument}"));
        clocks.chain(open).chain(barred).chain(limited).collect()
    }
}

/// True if an instrument closes the ground for some requests, or to some Parties.
const fn is_limited(usage: &GroundUse) -> bool {
    usage.only_with.is_some()
        || usage.never_for.is_some()
        || usage.closed_with.is_some()
        || usage.closed_from_months.is_some()
}

/// The clock of the second officer runs within a Party, in no request; the stories of officers stand at its end.
const OF_THE_HOUSE: &str = "EYES-2ND";

/// The grounds that an act says.
fn grounds(says: &std::collections::BTreeMap<String, toml::Value>) -> impl Iterator<Item = Code> {
    let values = says.iter().filter(|(key, _)| NAMING.contains(&key.as_str())).map(|(_, value)| value);
    let texts = values.flat_map(|value| {
        let many = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        many.iter().filter_map(toml::Value::as_str)
    });
    texts.filter_map(Code::parse)
}
