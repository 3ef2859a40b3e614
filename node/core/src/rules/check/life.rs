//! Whether a table of steps is a life: every state reached, every name known, no two rows for one step, a form for each step
//! that says what its guards read.

use super::{At, Joining};
use crate::ids::StepCode;
use crate::rules::form::{FieldRule, Form};
use crate::rules::life::{DRAFT, Family, SETTLED, StepRow, To};
use crate::rules::read::Found;
use crate::rules::rows::Code;
use crate::rules::{Rules, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The steps every state of every life accepts; each needs a form, and no table may take its name.
pub(in crate::rules) const COMMON: [&str; 6] =
    ["note", "question", "answer", "status-report", "urgency-change", "translation"];

impl Joining {
    pub(super) fn families(&mut self, found: &mut Found, rules: &mut Rules) {
        let by_code = self.index(&mut found.families, |row| (row.code.clone(), &row.source));
        for (at, family) in &found.families {
            self.states(at, family);
            for row in &family.rows {
                self.row(at, family, row);
            }
            self.once(at, family);
            self.reached(at, family);
        }
        rules.families = by_code.into_iter().map(|(code, family)| (code, Arc::new(family))).collect();
    }

    fn states(&mut self, at: &At, family: &Family) {
        let names: BTreeSet<&Code> = family.states.iter().map(|state| &state.name).collect();
        self.says(names.len() != family.states.len(), at, || "a state stands in the table twice".to_owned());
        let draft = family.states.first().is_some_and(|state| state.name.as_str() == DRAFT);
        self.says(!draft, at, || "the first state must be `draft`".to_owned());
    }

    fn row(&mut self, at: &At, family: &Family, row: &StepRow) {
        let step = &row.step;
        let known = |state: &Code| family.state(state.as_str()).is_some();
        for state in row.from.iter().filter(|state| !known(state)) {
            self.says(true, at, || format!("{step} leads from {state}, which is no state; name one"));
        }
        let ends: Vec<&str> = match &row.to {
            To::State(state) => vec![state.as_str()],
            To::Settled => SETTLED.to_vec(),
            To::Stays | To::Resumed => Vec::new(),
        };
        for state in ends.into_iter().filter(|state| family.state(state).is_none()) {
            self.says(true, at, || format!("{step} leads to {state}, which is no state; name one"));
        }
        self.says(row.from.is_empty(), at, || format!("{step} leads from no state; name one"));
        for other in row.needs.iter().chain(&row.bars).filter(|code| !is_step(family, code)) {
            self.says(true, at, || format!("{step} looks for {other}, which is no step; name one"));
        }
        let common = COMMON.contains(&step.as_str());
        self.says(common, at, || format!("{step} is a step of every procedure; give it another name"));
        let opens = row.from.iter().any(|state| state.as_str() == DRAFT);
        let asks = !opens || row.by.side() == Side::Requesting;
        self.says(!asks, at, || format!("{step} opens a request and is not of the requesting side"));
        for code in family.yields.iter().filter(|code| !is_step(family, code)) {
            self.says(true, at, || format!("{code} yields and is no step; name one"));
        }
    }

    /// For one state, step and side there is at most one row; and one side takes a step always in the same name.
    fn once(&mut self, at: &At, family: &Family) {
        let mut seen = BTreeSet::new();
        let mut named: BTreeMap<(&StepCode, Side), _> = BTreeMap::new();
        for row in &family.rows {
            let side = row.by.side();
            for from in &row.from {
                let again = !seen.insert((from, &row.step, side));
                self.says(again, at, || format!("{} has two rows from {from}; keep one", row.step));
            }
            let other = named.insert((&row.step, side), row.by.actor()).is_some_and(|actor| actor != row.by.actor());
            self.says(other, at, || format!("{} is taken in two names on one side; give one another name", row.step));
        }
    }

    fn reached(&mut self, at: &At, family: &Family) {
        let mut reached = BTreeSet::from([DRAFT]);
        while let Some(more) = family.rows.iter().find_map(|row| {
            let from = row.from.iter().find(|from| reached.contains(from.as_str()))?;
            family.ends(row, from).into_iter().find(|end| !reached.contains(end))
        }) {
            reached.insert(more);
        }
        for state in family.states.iter().filter(|state| !reached.contains(state.name.as_str())) {
            self.says(true, at, || format!("no step leads to {}; add one or take it out", state.name));
        }
    }

    /// Each step of each procedure has its form, each form its step, and guards find the facts they read.
    pub(super) fn steps_have_forms(&mut self, found: &Found, rules: &Rules) {
        for (at, procedure) in &found.procedures {
            let Some(code) = &procedure.family else { continue };
            let Some(family) = rules.families.get(code) else {
                self.refers(false, at, "family", code);
                continue;
            };
            let common = COMMON.iter().filter_map(|step| StepCode::parse(step).ok());
            let steps: BTreeSet<StepCode> = family.rows.iter().map(|row| row.step.clone()).chain(common).collect();
            for step in &steps {
                let missing = rules.form(&procedure.code, step).is_none();
                let place = format!("{}/{step}", procedure.code);
                self.refers(!missing, at, "form", &place);
            }
            for row in &family.rows {
                if let Some(form) = rules.form(&procedure.code, &row.step) {
                    self.guards_read(at, row, form);
                }
            }
            let own = rules.forms.values().filter(|form| *form.procedure() == procedure.code && !form.is_record());
            for form in own.filter(|form| !steps.contains(form.step())) {
                self.says(true, at, || {
                    format!("{} has a form for {}, which is no step of it", procedure.code, form.step())
                });
            }
            for state in family.states.iter().filter_map(|state| state.until.as_ref()) {
                let said = rules.forms().any(|form| {
                    *form.procedure() == procedure.code && form.field(state).is_some_and(|field| field.fact)
                });
                self.says(!said && !self.torn, at, || format!("no form of {} says {state} as a fact", procedure.code));
            }
        }
    }

    fn guards_read(&mut self, at: &At, row: &StepRow, form: &Form) {
        for key in row.guards.iter().flat_map(|guard| guard.reads()) {
            let said = form.field(key).is_some_and(|FieldRule { fact, .. }| *fact);
            self.says(!said && !self.torn, at, || {
                format!("the form {} does not say {key} as a fact, which a guard of the step reads", form.id())
            });
        }
    }
}

fn is_step(family: &Family, code: &Code) -> bool {
    family.rows.iter().any(|row| row.step.as_str() == code.as_str())
}
