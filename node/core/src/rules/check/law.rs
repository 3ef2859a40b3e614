//! Whether what instruments say of procedures leads somewhere: grounds, clocks, steps, states, categories, declarations.

use super::{At, Joining};
use crate::ids::ProcedureCode;
use crate::rules::Rules;
use crate::rules::basis::{Basis, BasisRow, DeclarationKind};
use crate::rules::form::{Form, Kind, Literal, is_date};
use crate::rules::life::{Family, Guard};
use crate::rules::read::Found;
use crate::rules::rows::{Code, Ground};

impl Joining {
    pub(super) fn instruments(&mut self, found: &Found, rules: &Rules) {
        for (at, row) in &found.instruments {
            let bad = row.applies_from.as_ref().is_some_and(|date| !is_date(date));
            self.says(bad, at, || "`applies_from` is not a date; write YYYY-MM-DD".to_owned());
            for other in row.needs.iter().chain(&row.replaces) {
                self.refers(rules.instruments.contains_key(other), at, "instrument", other);
            }
        }
    }

    pub(super) fn declarations(&mut self, found: &Found, rules: &Rules) {
        for (at, row) in &found.declarations {
            if let Some(instrument) = &row.instrument {
                self.refers(rules.instruments.contains_key(instrument), at, "instrument", instrument);
            }
            let codes = (row.kind == DeclarationKind::Code) == row.codes.is_empty();
            self.says(codes, at, || "`codes` belongs to the kind `code`, and each needs it".to_owned());
            let bounds = [row.clock.is_some(), row.least.is_some(), row.most.is_some()];
            let period = row.kind == DeclarationKind::Period;
            let fits = bounds.iter().all(|there| *there == period);
            self.says(!fits, at, || {
                "`clock`, `least` and `most` belong to the kind `period`, which needs all".to_owned()
            });
            if let Some(clock) = &row.clock {
                self.refers(rules.clocks.contains_key(clock), at, "clock", clock);
            }
        }
    }

    pub(super) fn procedures(&mut self, found: &mut Found, rules: &mut Rules) {
        rules.procedures = self.index(&mut found.procedures, |row| (row.code.clone(), &row.source));
    }

    /// Rows that are like another come after it, whatever their order in the files; a row may be like one that is complete
    /// in itself.
    pub(super) fn bases(&mut self, found: &mut Found, rules: &mut Rules) {
        let (alike, whole): (Vec<_>, Vec<_>) = found.bases.iter().partition(|(_, row)| row.like.is_some());
        for (at, row) in whole.into_iter().chain(alike) {
            self.says(row.source.trim().is_empty(), at, || "`source` is empty".to_owned());
            self.refers(rules.instruments.contains_key(&row.instrument), at, "instrument", &row.instrument);
            for code in &row.procedures {
                let procedure = ProcedureCode::parse(code.as_str()).ok();
                let procedure = procedure.filter(|code| rules.procedures.contains_key(code));
                self.refers(procedure.is_some(), at, "procedure", code);
                if let Some(procedure) = procedure {
                    self.basis(at, row, procedure, rules);
                }
            }
        }
    }

    fn basis(&mut self, at: &At, row: &BasisRow, procedure: ProcedureCode, rules: &mut Rules) {
        let like = row.like.as_ref().map(|code| rules.basis(&procedure, code));
        let missing = row.like.as_ref().filter(|_| !self.torn && like == Some(None));
        self.says(missing.is_some(), at, || {
            let code = missing.map_or("", Code::as_str);
            format!("it is like {code}, on which {procedure} is not based")
        });
        let basis = row.basis(procedure.clone(), like.flatten());
        if let Some(family) = rules.family(&procedure).cloned() {
            self.clock_uses(at, &basis, &family);
            let guarded = family.rows.iter().any(|row| row.guards.contains(&Guard::ConsultedWhereDue));
            self.says(basis.consulted_by.is_some() && !guarded, at, || {
                format!("`consulted_by` has no effect in {procedure}, whose life asks for no consultation; take it out")
            });
        }
        self.refers_to_rows(at, &basis, rules);
        let held = rules.bases.entry(procedure.clone()).or_default();
        let twice = held.insert(row.instrument.clone(), basis).is_some();
        self.says(twice, at, || format!("{} stands for {procedure} twice; take one out", row.instrument));
    }

    /// What clocks and declarations look at is said as a fact by some form of the procedure, and can have the values they name:
    /// a misspelt fact would let go what is to be held.
    pub(super) fn facts_are_said(&mut self, found: &Found, rules: &Rules) {
        if self.torn {
            return;
        }
        for (at, row) in &found.bases {
            let procedures = row.procedures.iter().filter_map(|code| ProcedureCode::parse(code.as_str()).ok());
            for procedure in procedures.filter(|code| rules.family(code).is_some()) {
                let Some(basis) = rules.basis(&procedure, &row.instrument) else { continue };
                let forms = || rules.forms().filter(|form| *form.procedure() == procedure);
                let keys =
                    basis.clocks.iter().flat_map(|usage| usage.from.iter().chain(&usage.until).chain(&usage.before));
                for key in keys.filter(|key| !forms().any(|form| form.field(key).is_some_and(|field| field.fact))) {
                    self.says(true, at, || format!("no form of {procedure} says {key} as a fact, which a clock reads"));
                }
                let of_closings = basis.closed_by.iter().filter_map(|closing| closing.unless.as_ref());
                for condition in basis.clocks.iter().flat_map(|usage| &usage.when).chain(of_closings) {
                    let can = |literal: &Literal| forms().any(|form| can_say(form, &condition.fact, literal));
                    let empty = condition.is.is_empty() && condition.not.is_empty();
                    let known = !empty && condition.is.iter().chain(&condition.not).all(can);
                    self.says(!known, at, || {
                        format!("no form of {procedure} says {} as a fact of such a value; correct it", condition.fact)
                    });
                }
            }
        }
    }

    fn refers_to_rows(&mut self, at: &At, basis: &Basis, rules: &Rules) {
        for usage in &basis.grounds {
            self.refers(rules.grounds.contains_key(&usage.code), at, "ground", &usage.code);
            self.says(usage.source.trim().is_empty(), at, || format!("ground {} has an empty `source`", usage.code));
            let barred = rules.grounds.get(&usage.code).is_some_and(Ground::is_blocked);
            self.says(barred, at, || {
                format!("ground {} is named only to be barred; no instrument opens it", usage.code)
            });
            if let Some(code) = &usage.only_with {
                self.refers(rules.declarations.contains_key(code), at, "declaration", code);
            }
            for code in [&usage.closed_with, &usage.open_with].into_iter().flatten() {
                self.refers(rules.instruments.contains_key(code), at, "instrument", code);
            }
        }
        for usage in &basis.clocks {
            for clock in [Some(&usage.clock), usage.longer.as_ref().map(|longer| &longer.clock)].into_iter().flatten() {
                self.refers(rules.clocks.contains_key(clock), at, "clock", clock);
            }
        }
        for code in [&basis.renounced_with, &basis.languages_by].into_iter().flatten() {
            self.refers(rules.declarations.contains_key(code), at, "declaration", code);
        }
        let languages = basis.languages_by.as_ref().and_then(|code| rules.declarations.get(code));
        let other = languages.filter(|row| row.kind != DeclarationKind::Languages);
        self.says(other.is_some(), at, || "`languages_by` names a declaration that is not one of languages".to_owned());
        for closing in &basis.closed_by {
            self.refers(rules.declarations.contains_key(&closing.code), at, "declaration", &closing.code);
        }
        let of_thresholds = basis.thresholds.iter().flat_map(|row| &row.categories);
        let of_closings = basis.closed_by.iter().flat_map(|row| &row.categories);
        for code in basis.categories.iter().chain(of_thresholds).chain(of_closings) {
            self.listed("data-categories", code, at, rules);
        }
        for code in &basis.emergencies {
            self.listed("emergency-bases", code, at, rules);
        }
        for document in &basis.documents {
            self.listed("documents", &document.code, at, rules);
            if let Some(code) = &document.dropped_with {
                self.refers(rules.instruments.contains_key(code), at, "instrument", code);
            }
        }
        for code in basis.thresholds.iter().flat_map(|row| &row.unless).chain(&basis.offences) {
            self.refers(rules.offences.contains_key(code), at, "offence", code);
        }
    }

    fn listed(&mut self, list: &str, code: &Code, at: &At, rules: &Rules) {
        let list = Code::parse(list).and_then(|id| rules.lists.get(&id));
        let known = list.is_some_and(|list| list.has(code.as_str()));
        self.says(!known && !self.torn, at, || format!("no list knows {code}; correct it"));
    }

    fn clock_uses(&mut self, at: &At, basis: &Basis, family: &Family) {
        let step = |code: &Code| {
            family.rows.iter().any(|row| row.step.as_str() == code.as_str())
                || super::life::COMMON.contains(&code.as_str())
        };
        for usage in &basis.clocks {
            let clock = &usage.clock;
            let named = usage.after.iter().chain(usage.longer.as_ref().map(|longer| &longer.after));
            for code in named.filter(|code| !step(code)) {
                self.says(true, at, || format!("{clock} waits for {code}, which is no step of {}", basis.procedure));
            }
            let states = usage.during.iter().chain(&usage.pauses);
            for code in states.filter(|code| family.state(code.as_str()).is_none()) {
                self.says(true, at, || format!("{clock} runs in {code}, which is no state of {}", basis.procedure));
            }
            let starts = !usage.after.is_empty() || !usage.from.is_empty() || usage.heard;
            self.says(!starts, at, || format!("{clock} never starts: it needs `after`, `from` or `heard`"));
        }
        for code in basis.notices.iter().map(|notice| &notice.step).filter(|code| !step(code)) {
            self.says(true, at, || format!("a notice is told by {code}, which is no step of {}", basis.procedure));
        }
    }
}

/// True if a form says this fact, and it can have this value.
fn can_say(form: &Form, key: &str, literal: &Literal) -> bool {
    form.field(key).filter(|field| field.fact).is_some_and(|field| match literal {
        Literal::Flag(_) => field.kind == Kind::Flag,
        Literal::Code(code) => field.kind == Kind::Code && form.codes(field).is_some_and(|list| list.has(code)),
    })
}
