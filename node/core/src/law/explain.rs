//! The law explained: for two Parties, a day and the facts, each instrument that could carry a request, whether it may, what it
//! demands, which clocks would run and which grounds are open; each with its article and how well that was seen.

use super::{NotOffered, Weighed, binds, closed, closing, declared, languages, periods, replaced_by, short_of};
use crate::ids::{PartyCode, ProcedureCode, Time};
use crate::profile::Trust;
use crate::rules::{
    Basis, ClockRule, ClockUse, Code, Condition, Document, Ground, GroundUse, Instrument, Literal, Mark, Notice,
    Procedure, Rules,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Who would ask.
    pub from: &'a PartyCode,
    /// Who would be asked.
    pub to: &'a PartyCode,
    /// When.
    pub at: Time,
    /// By which procedure; by any, if it is left out.
    pub procedure: Option<&'a ProcedureCode>,
    /// About what.
    pub about: Weighed,
    /// What else is known, as facts of the request, for example `urgency.level`.
    pub facts: BTreeMap<String, Literal>,
}

/// One instrument as the basis of one procedure, between these Parties, on this day.
#[derive(Debug, Clone)]
pub struct Opinion<'r> {
    /// The procedure.
    pub procedure: &'r Procedure,
    /// The instrument.
    pub instrument: &'r Instrument,
    /// What it says of the procedure.
    pub basis: &'r Basis,
    /// Why it cannot carry the request, in words; empty if it can.
    pub against: Vec<String>,
    /// An instrument that takes its place between these Parties.
    pub replaced_by: Option<Code>,
    /// The clocks that would run.
    pub clocks: Vec<Deadline<'r>>,
    /// The grounds it knows.
    pub grounds: Vec<GroundView<'r>>,
    /// What a request must be accompanied by.
    pub documents: &'r [Document],
    /// What must be told to whom.
    pub notices: &'r [Notice],
    /// The languages the requested Party takes, most preferred first.
    pub languages: Vec<String>,
}

impl Opinion<'_> {
    /// True if a request may be based on it.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.against.is_empty()
    }
}

/// A clock that would run.
#[derive(Debug, Clone)]
pub struct Deadline<'r> {
    /// Its rule.
    pub rule: &'r ClockRule,
    /// How many of its units, where the requested Party has declared another period.
    pub declared: Option<u32>,
    /// What must hold for it to run and is not known yet, in words.
    pub provided: Vec<String>,
    /// The rule by which it may be lengthened, and with which step.
    pub longer: Option<(&'r ClockRule, &'r Code)>,
}

/// A ground, and whether it is open for these facts.
#[derive(Debug, Clone)]
pub struct GroundView<'r> {
    /// The ground.
    pub ground: &'r Ground,
    /// Why it is closed, in words; nothing if it is open.
    pub closed: Option<String>,
    /// True if the request must be refused where it holds.
    pub mandatory: bool,
    /// Where it is found.
    pub source: &'r str,
    /// How well the source was seen.
    pub mark: Mark,
}

/// Every procedure with every instrument it could be based on; those that can carry the request first.
#[must_use]
pub fn explain<'r>(rules: &'r Rules, trust: &Trust, question: &Question<'_>) -> Vec<Opinion<'r>> {
    let asked = |row: &&Procedure| question.procedure.is_none_or(|code| *code == row.code);
    let made = declared(rules, trust, question.to, question.at);
    let periods = periods(rules, &made);
    let reserved: BTreeSet<Code> = made.keys().cloned().collect();
    let reading = Reading { rules, trust, question, made, reserved, periods };
    let rows = rules.procedures().filter(asked);
    let mut opinions: Vec<Opinion<'r>> =
        rows.flat_map(|row| rules.bases(&row.code).filter_map(|basis| reading.opinion(row, basis))).collect();
    opinions.sort_by_key(|opinion| !opinion.is_offered() || opinion.replaced_by.is_some());
    opinions
}

struct Reading<'a, 'r> {
    rules: &'r Rules,
    trust: &'a Trust,
    question: &'a Question<'a>,
    made: BTreeMap<Code, String>,
    reserved: BTreeSet<Code>,
    periods: BTreeMap<Code, u32>,
}

impl<'r> Reading<'_, 'r> {
    fn opinion(&self, procedure: &'r Procedure, basis: &'r Basis) -> Option<Opinion<'r>> {
        let instrument = self.rules.instrument(&basis.instrument)?;
        Some(Opinion {
            procedure,
            instrument,
            basis,
            against: self.against(procedure, instrument, basis),
            replaced_by: self.replaced_by(instrument),
            clocks: self.clocks(basis),
            grounds: basis.grounds.iter().filter_map(|usage| self.ground(usage)).collect(),
            documents: &basis.documents,
            notices: &basis.notices,
            languages: self.languages(procedure, basis),
        })
    }

    /// The clocks that would run: a rule that plays two parts is one of them.
    fn clocks(&self, basis: &'r Basis) -> Vec<Deadline<'r>> {
        let mut known = BTreeSet::new();
        let deadlines = basis.clocks.iter().filter_map(|usage| self.deadline(usage));
        deadlines.filter(|deadline| known.insert(&deadline.rule.id)).collect()
    }

    fn binds(&self, instrument: &Instrument) -> Result<(), NotOffered> {
        let between = [self.question.from, self.question.to];
        binds(self.rules, self.trust.charter(), instrument, between, self.question.at)
    }

    /// Why an instrument cannot carry the request: each reason, so that nobody asks twice.
    fn against(&self, procedure: &Procedure, instrument: &Instrument, basis: &Basis) -> Vec<String> {
        let (from, to) = (self.question.from, self.question.to);
        let mut against = Vec::new();
        if procedure.family.is_none() {
            against.push(format!("{} is not offered yet", procedure.code));
        }
        match self.binds(instrument) {
            Ok(()) => {}
            Err(NotOffered::NotBinding) => {
                against.push(format!("it is not in force between {from} and {to} on that day"))
            }
            Err(NotOffered::OnlyAModel) => {
                against.push("it is a model for treaties and binds nobody by itself".to_owned())
            }
            Err(NotOffered::NotBefore(date)) => against.push(format!("it applies from {date} on")),
            Err(NotOffered::Needs(code)) => against.push(format!("it needs {code} in force between {from} and {to}")),
        }
        if let Some(code) = closing(basis, &self.reserved, &self.question.about.categories, |_| true) {
            let title = self.rules.declaration(code).map_or("", |row| &row.title);
            against.push(format!("{to} has declared {code}: {title}"));
        }
        against.extend(short_of(basis, &self.question.about));
        against
    }

    fn languages(&self, procedure: &Procedure, basis: &Basis) -> Vec<String> {
        let asked = self.question;
        let urgent = asked.about.emergency.is_some();
        languages(self.trust, (&procedure.code, Some(basis)), asked.to, &self.made, urgent, asked.at)
    }

    fn replaced_by(&self, instrument: &Instrument) -> Option<Code> {
        let between = [self.question.from, self.question.to];
        let other = replaced_by(self.rules, self.trust.charter(), instrument, between, self.question.at);
        other.map(|other| other.code.clone())
    }

    fn ground(&self, usage: &'r GroundUse) -> Option<GroundView<'r>> {
        let ground = self.rules.ground(&usage.code)?;
        let named = usage.only_with.as_ref().filter(|code| self.reserved.contains(code));
        let closed = match &usage.only_with {
            Some(code) if named.is_none() => {
                Some(format!("it needs the reservation {code}, which {} has not made", self.question.to))
            }
            Some(_) | None => closed(self.rules, usage, &self.question.about, named),
        };
        Some(GroundView { ground, closed, mandatory: usage.mandatory, source: &usage.source, mark: usage.mark })
    }

    fn deadline(&self, usage: &'r ClockUse) -> Option<Deadline<'r>> {
        let rule = self.rules.clock(&usage.clock)?;
        let mut provided = Vec::new();
        for condition in &usage.when {
            match self.question.facts.get(&condition.fact) {
                Some(known) if !condition.holds(|literals| literals.contains(known)) => return None,
                Some(_) => {}
                None => provided.push(in_words(condition)),
            }
        }
        let longer = usage.longer.as_ref();
        let longer = longer.and_then(|longer| Some((self.rules.clock(&longer.clock)?, &longer.after)));
        Some(Deadline { rule, declared: self.periods.get(&rule.id).copied(), provided, longer })
    }
}

fn in_words(condition: &Condition) -> String {
    let joined = |literals: &[Literal]| literals.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    match (condition.is.is_empty(), condition.not.is_empty()) {
        (false, true) => format!("{} is {}", condition.fact, joined(&condition.is)),
        (true, false) => format!("{} is not {}", condition.fact, joined(&condition.not)),
        (false, false) => format!("{} is {} and not {}", condition.fact, joined(&condition.is), joined(&condition.not)),
        (true, true) => format!("{} is said", condition.fact),
    }
}
