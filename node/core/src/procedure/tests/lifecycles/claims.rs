//! What the file claims of a step, held against its table, its forms and the clocks of the instruments.

use super::{ANY, LAPSED, Place, Row, SYSTEM, common};
use crate::ids::StepCode;
use crate::rules::{Basis, ClockUse, Code, Family, Guard, Procedure, Role, Rules, Side, StepRow, To};
use serde::Deserialize;
use std::collections::BTreeSet;

/// A step of ours by which a row of the reference is fulfilled, or part of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// Those of the row, if it is left out.
    #[serde(default)]
    pub(super) family: Vec<String>,
    /// Left out for what the clock does and nobody signs.
    pub(super) step: Option<String>,
    /// In whose name, as tables print it.
    pub(super) by: String,
    /// All states the step is taken from, if it is left out.
    #[serde(default)]
    pub(super) from: Vec<String>,
    /// States; or `stays`, or `resumed` for where it was before.
    pub(super) to: Vec<String>,
    #[serde(default)]
    pub(super) guards: Vec<String>,
    /// At least one of these steps must have been taken, or none of them.
    #[serde(default)]
    pub(super) after: Vec<String>,
    #[serde(default)]
    pub(super) not_after: Vec<String>,
    /// Fields of its form.
    #[serde(default)]
    pub(super) says: Vec<String>,
    /// Grounds that are open under each instrument of the family that opens any.
    #[serde(default)]
    pub(super) grounds: Vec<String>,
    /// Clocks that start with it.
    #[serde(default)]
    pub(super) starts: Vec<String>,
    /// Clocks under which it is taken: they run in the states it is taken from.
    #[serde(default)]
    pub(super) runs: Vec<String>,
    /// Clocks that stand still where it leads.
    #[serde(default)]
    pub(super) pauses: Vec<String>,
}

impl Claim {
    /// The codes of the families it is about.
    pub(super) fn families<'c>(&'c self, row: &'c Row) -> &'c [String] {
        if self.family.is_empty() { &row.family } else { &self.family }
    }

    fn step(&self) -> &str {
        self.step.as_deref().unwrap_or(LAPSED)
    }
}

/// Holds a row of the reference against our tables, and notes what it names.
pub(super) fn hold(rules: &Rules, row: &Row, named: &mut BTreeSet<Place>) -> Vec<String> {
    let mut wrong = Vec::new();
    let explained = !row.because.is_empty() || !row.missing.is_empty();
    for code in &row.family {
        if !explained && !row.steps.iter().any(|claim| claim.families(row).contains(code)) {
            wrong.push(format!("says nothing of {code}"));
        }
    }
    if !explained && row.steps.is_empty() && row.alerts.is_none() {
        wrong.push("says nothing of what stands for it, nor why not".to_owned());
    }
    if row.alerts.as_ref().is_some_and(|alerts| alerts != rules.alerts()) {
        wrong.push(format!("the alerts are {:?}", rules.alerts()));
    }
    for claim in &row.steps {
        let all = rules.families().filter(|_| claim.families(row).is_empty()).map(|family| family.code.to_string());
        let codes: Vec<String> = claim.families(row).iter().cloned().chain(all).collect();
        if common::ROWS.iter().any(|own| Some(own.step) == claim.step.as_deref()) {
            hold_common(claim, named, &mut wrong);
            continue;
        }
        for code in codes {
            let Some(family) = rules.families().find(|family| family.code.as_str() == code) else {
                wrong.push(format!("there is no family {code}"));
                continue;
            };
            Holding { rules, family, claim, wrong: &mut wrong }.hold(named);
        }
    }
    if !explained {
        wrong.extend(differences(row).into_iter().map(|said| format!("{said} and does not say why")));
    }
    wrong
}

/// How what stands for a row goes by other names than the row.
fn differences(row: &Row) -> Vec<String> {
    let words = |text: &str| -> BTreeSet<String> {
        let word = |part: char| !part.is_ascii_alphanumeric() && part != '_';
        text.split(word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (from, to) = (words(&row.from), words(&row.to));
    let mut by = words(&row.by);
    if by.remove("both") {
        by.extend(["RQ", "RD"].map(str::to_owned));
    }
    let fixed = |name: &&String| !["stays", "resumed"].contains(&name.as_str());
    let states: BTreeSet<&String> =
        row.steps.iter().flat_map(|claim| claim.from.iter().chain(&claim.to)).filter(fixed).collect();
    let strange = states.iter().filter(|state| !from.contains(**state) && !to.contains(**state));
    let strange = strange.map(|state| format!("calls a state {state}"));
    let reached: BTreeSet<&String> = row.steps.iter().flat_map(|claim| &claim.to).collect();
    let missing = to.iter().filter(|state| !reached.contains(*state)).map(|state| format!("does not lead to {state}"));
    let actors: BTreeSet<&str> = row.steps.iter().filter_map(|claim| claim.by.split(' ').next()).collect();
    let other = actors.iter().filter(|actor| !by.contains(**actor)).map(|actor| format!("lets {actor} act"));
    strange.chain(missing).chain(other).collect()
}

/// A step that every state accepts.
fn hold_common(claim: &Claim, named: &mut BTreeSet<Place>, wrong: &mut Vec<String>) {
    let fits = |own: &&common::Row| Some(own.step) == claim.step.as_deref() && actor(own) == claim.by;
    let Some(own) = common::ROWS.iter().find(fits) else {
        wrong.push(format!("{} does not take {}", claim.by, claim.step()));
        return;
    };
    if claim.to != ["stays"] || !claim.from.is_empty() {
        wrong.push(format!("{} is taken in every state and changes none", own.step));
    }
    let strange = claim.guards.iter().filter(|guard| *guard != own.guard);
    wrong.extend(strange.map(|guard| format!("{guard} does not stand on {}", own.step)));
    let more = [&claim.after, &claim.not_after, &claim.says, &claim.grounds, &claim.starts, &claim.runs, &claim.pauses];
    if more.iter().any(|names| !names.is_empty()) {
        wrong.push(format!("{} demands nothing but its guard", own.step));
    }
    named.insert(common_place(own));
}

fn actor(row: &common::Row) -> &'static str {
    if row.side == Side::Requesting { Role::Requesting.short() } else { Role::Requested.short() }
}

/// The place of a common step.
pub(super) fn common_place(row: &common::Row) -> Place {
    Place { family: String::new(), step: row.step.to_owned(), by: actor(row).to_owned(), from: ANY.to_owned() }
}

/// A claim under the eye of one family.
struct Holding<'a> {
    rules: &'a Rules,
    family: &'a Family,
    claim: &'a Claim,
    wrong: &'a mut Vec<String>,
}

impl<'a> Holding<'a> {
    fn say(&mut self, mistake: String) {
        self.wrong.push(mistake);
    }

    fn hold(&mut self, named: &mut BTreeSet<Place>) {
        self.names_states();
        if self.claim.step.is_none() {
            self.holds_by_the_clock(named);
            return;
        }
        let rows = self.rows();
        for (row, from) in &rows {
            named.insert(Place::new(self.family, row.step.as_str(), row.by.short(), from.as_str()));
            self.leads(row, from);
            self.demands(row);
        }
        self.leads_to_all(&rows);
        self.says(&rows);
        for (row, from) in &rows {
            self.clocks(row, from);
        }
    }

    fn names_states(&mut self) {
        let of = &self.family.code;
        let fixed = ["stays", "resumed", LAPSED];
        let names = self.claim.from.iter().chain(self.claim.to.iter().filter(|name| !fixed.contains(&name.as_str())));
        let unknown = names.filter(|name| self.family.state(name).is_none());
        let unknown: Vec<_> = unknown.map(|name| format!("{of} has no state {name}")).collect();
        self.wrong.extend(unknown);
        let strange = self.claim.guards.iter().filter(|name| !Guard::ALL.iter().any(|guard| guard.name() == **name));
        self.wrong.extend(strange.map(|name| format!("there is no guard {name}")));
        if self.claim.to.is_empty() {
            self.say(format!("{} leads nowhere", self.claim.step()));
        }
    }

    /// The rows it is about, with the states they are taken from there.
    fn rows(&mut self) -> Vec<(&'a StepRow, &'a Code)> {
        let (family, claim) = (self.family, self.claim);
        let (of, step, by) = (&family.code, claim.step(), &claim.by);
        if !StepCode::parse(step).is_ok_and(|step| family.knows(&step)) {
            self.say(format!("{of} has no step {step}"));
            return Vec::new();
        }
        let own = |row: &&StepRow| row.step.as_str() == step && row.by.short() == by.as_str();
        let own: Vec<&StepRow> = family.rows.iter().filter(own).collect();
        if own.is_empty() {
            self.say(format!("{by} does not take {step} in {of}"));
            return Vec::new();
        }
        let places = own.iter().flat_map(|row| row.from.iter().map(move |from| (*row, from)));
        let wanted = |from: &Code| claim.from.is_empty() || claim.from.iter().any(|name| name == from.as_str());
        let places: Vec<_> = places.filter(|(_, from)| wanted(from)).collect();
        for name in claim.from.iter().filter(|name| !places.iter().any(|(_, from)| from.as_str() == **name)) {
            self.say(format!("{step} does not lead on from {name} in {of}"));
        }
        places
    }

    /// Where a row leads, in the words of a claim.
    fn ends(&self, row: &'a StepRow, from: &'a Code) -> Vec<&'a str> {
        match &row.to {
            To::Stays => vec!["stays"],
            To::Resumed => vec!["resumed"],
            To::State(_) | To::Settled => self.family.ends(row, from),
        }
    }

    fn leads(&mut self, row: &'a StepRow, from: &'a Code) {
        let ends = self.ends(row, from);
        if !ends.iter().any(|end| self.claim.to.iter().any(|to| to == end)) {
            self.say(format!("{} leads from {from} to {} in {}", row.step, ends.join(" or "), self.family.code));
        }
    }

    fn leads_to_all(&mut self, rows: &[(&'a StepRow, &'a Code)]) {
        let ends: BTreeSet<&str> = rows.iter().flat_map(|(row, from)| self.ends(row, from)).collect();
        let strange = self.claim.to.iter().filter(|to| !ends.contains(to.as_str()));
        let (step, of) = (self.claim.step(), &self.family.code);
        let strange: Vec<_> = strange.map(|to| format!("{step} does not lead to {to} in {of}")).collect();
        self.wrong.extend(strange);
    }

    fn demands(&mut self, row: &StepRow) {
        let (claim, step) = (self.claim, &row.step);
        let guards = claim.guards.iter().filter(|name| !row.guards.iter().any(|guard| guard.name() == **name));
        self.wrong.extend(guards.map(|name| format!("{name} does not stand on {step}")));
        let lacks = |codes: &[Code], name: &str| !codes.iter().any(|code| code.as_str() == name);
        let needs = claim.after.iter().filter(|name| lacks(&row.needs, name));
        self.wrong.extend(needs.map(|name| format!("{step} does not ask for {name} before it")));
        let bars = claim.not_after.iter().filter(|name| lacks(&row.bars, name));
        self.wrong.extend(bars.map(|name| format!("{step} is not barred by {name}")));
    }

    /// The procedures that live this life.
    fn procedures(&self) -> Vec<&'a Procedure> {
        let own = |row: &&Procedure| row.family.as_ref() == Some(&self.family.code);
        self.rules.procedures().filter(own).collect()
    }

    fn bases(&self) -> Vec<&'a Basis> {
        self.procedures().into_iter().flat_map(|procedure| self.rules.bases(&procedure.code)).collect()
    }

    fn says(&mut self, rows: &[(&'a StepRow, &'a Code)]) {
        let Some((row, _)) = rows.first() else { return };
        for procedure in self.procedures() {
            let form = self.rules.form(&procedure.code, &row.step);
            let unsaid = |key: &&String| form.is_none_or(|form| form.field(key).is_none());
            let unsaid = self.claim.says.iter().filter(unsaid);
            self.wrong.extend(unsaid.map(|key| format!("{}/{} does not say {key}", procedure.code, row.step)));
        }
        for basis in self.bases().into_iter().filter(|basis| !basis.grounds.is_empty()) {
            let open = |code: &str| Code::parse(code).is_some_and(|code| basis.ground(&code).is_some());
            let closed = self.claim.grounds.iter().filter(|code| !open(code));
            let by = (&basis.instrument, &basis.procedure);
            self.wrong.extend(closed.map(|code| format!("{code} is not open under {} in {}", by.0, by.1)));
        }
    }

    /// The rows of a clock, under every instrument that runs it in this life.
    fn uses(&mut self, id: &str) -> Vec<(&'a Basis, &'a ClockUse)> {
        let of = &self.family.code;
        if Code::parse(id).is_none_or(|id| self.rules.clock(&id).is_none()) {
            self.say(format!("there is no clock {id}"));
            return Vec::new();
        }
        let uses = self.bases().into_iter().flat_map(|basis| basis.clocks.iter().map(move |usage| (basis, usage)));
        let uses: Vec<_> = uses.filter(|(_, usage)| usage.clock.as_str() == id).collect();
        if uses.is_empty() {
            self.say(format!("no instrument runs {id} in {of}"));
        }
        uses
    }

    fn clocks(&mut self, row: &'a StepRow, from: &'a Code) {
        let (claim, ends) = (self.claim, self.family.ends(row, from));
        let meets = |states: &[Code]| states.iter().any(|state| ends.contains(&state.as_str()));
        for id in &claim.starts {
            for (basis, usage) in self.uses(id) {
                if !self.starts(basis, usage, row) {
                    self.say(format!("{} does not start {id} under {}", row.step, basis.instrument));
                }
                if !usage.during.is_empty() && !meets(&usage.during) && !meets(&usage.pauses) {
                    self.say(format!("{id} does not run where {} leads", row.step));
                }
            }
        }
        for id in &claim.runs {
            if self.uses(id).iter().any(|(_, usage)| !usage.during.contains(from)) {
                self.say(format!("{id} does not run in {from}"));
            }
        }
        for id in &claim.pauses {
            if self.uses(id).iter().any(|(_, usage)| !meets(&usage.pauses)) {
                self.say(format!("{id} does not stand still in {}", ends.join(" or ")));
            }
        }
    }

    /// Whether a clock starts with a step, with a moment its form says, or with any word of the side that takes it.
    fn starts(&self, basis: &Basis, usage: &ClockUse, row: &StepRow) -> bool {
        let form = self.rules.form(&basis.procedure, &row.step);
        let said = |key: &String| form.and_then(|form| form.field(key)).is_some_and(|field| field.fact);
        let after = usage.after.iter().any(|step| step.as_str() == row.step.as_str());
        after || usage.from.iter().any(said) || usage.heard && row.by.side() == Side::Requested
    }

    /// What lapses by the clock: the states hold until a moment at which the clock ends.
    fn holds_by_the_clock(&mut self, named: &mut BTreeSet<Place>) {
        let (family, claim) = (self.family, self.claim);
        if claim.by != SYSTEM || claim.to != [LAPSED] {
            self.say(format!("without a step only {SYSTEM} leads on, to {LAPSED}"));
        }
        for state in claim.from.iter().filter_map(|name| family.state(name)) {
            let Some(until) = &state.until else {
                self.say(format!("{} does not lapse in {}", state.name, family.code));
                continue;
            };
            named.insert(Place::new(family, LAPSED, SYSTEM, state.name.as_str()));
            for id in &claim.runs {
                let ends = |usage: &ClockUse| usage.during.contains(&state.name) && usage.until.as_ref() == Some(until);
                if self.uses(id).iter().any(|(_, usage)| !ends(usage)) {
                    self.say(format!("{} does not lapse with {id}", state.name));
                }
            }
        }
    }
}
