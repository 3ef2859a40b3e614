//! What rows say about each other: ids once, references that exist, forms put together from groups.

mod law;
mod life;

use super::form::{FieldRule, Form, Kind, Literal, Required, leans_on, wrong_rule};
use super::read::{At, Fielded, FormHead, Found, GroupHead, Rows};
use super::rows::{Code, CodeList, Listed, Mark};
use super::{RuleMistake, Rules};
use crate::ids::ProcedureCode;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

/// Joins all rows into rules; what does not fit is added to the mistakes found.
pub(super) fn join(found: &mut Found) -> Rules {
    let mut joining = Joining { torn: found.torn, broken: std::mem::take(&mut found.broken), mistakes: Vec::new() };
    let mut rules = Rules { alerts: joining.alerts(found), ..Rules::default() };
    rules.clocks = joining.index(&mut found.clocks, |row| (row.id.clone(), &row.source));
    rules.grounds = joining.index(&mut found.grounds, |row| (row.code.clone(), &row.source));
    rules.outcomes = joining.index(&mut found.outcomes, |row| (row.code.clone(), &row.source));
    rules.offences = joining.index(&mut found.offences, |row| (row.code.clone(), &row.source));
    rules.modifiers = joining.index(&mut found.modifiers, |row| (row.code.clone(), &row.source));
    rules.instruments = joining.index(&mut found.instruments, |row| (row.code.clone(), &row.source));
    rules.retention = joining.index(&mut found.retention, |row| (row.procedure.clone(), &row.source));
    rules.erasure = joining.index(&mut found.erasure, |row| (row.code.clone(), &row.source));
    rules.declarations = joining.index(&mut found.declarations, |row| (row.code.clone(), &row.source));
    joining.lists(found, &mut rules);
    joining.clocks(found, &rules);
    joining.instruments(found, &rules);
    joining.offences(found, &rules);
    joining.declarations(found, &rules);
    joining.families(found, &mut rules);
    joining.procedures(found, &mut rules);
    joining.bases(found, &mut rules);
    joining.retention(found, &rules);
    joining.forms(found, &mut rules);
    joining.steps_have_forms(found, &rules);
    joining.facts_are_said(found, &rules);
    found.mistakes.append(&mut joining.mistakes);
    rules
}

struct Joining {
    torn: bool,
    broken: BTreeSet<String>,
    mistakes: Vec<RuleMistake>,
}

impl Joining {
    fn says(&mut self, bad: bool, at: &At, why: impl FnOnce() -> String) {
        if bad {
            self.mistakes.push(at.mistake(why()));
        }
    }

    /// A reference to a row that is neither there nor already reported as unreadable.
    fn refers(&mut self, known: bool, at: &At, section: &str, id: &impl Display) {
        let excused = self.torn || self.broken.contains(&format!("{section}[{id}]"));
        self.says(!known && !excused, at, || format!("there is no {section} {id}; add it or correct the reference"));
    }

    /// Rows by id, each id once, each with a source. The rows keep their places for later questions.
    fn index<T: Clone, K: Ord + Display>(
        &mut self,
        rows: &mut Rows<T>,
        id_and_source: impl Fn(&T) -> (K, &String),
    ) -> BTreeMap<K, T> {
        let mut by_id = BTreeMap::new();
        for (at, row) in rows.iter() {
            let (id, source) = id_and_source(row);
            self.says(source.trim().is_empty(), at, || "`source` is empty".to_owned());
            let twice = by_id.contains_key(&id);
            self.says(twice, at, || format!("{id} stands in the files twice; take one out"));
            by_id.entry(id).or_insert_with(|| row.clone());
        }
        by_id
    }

    fn alerts(&mut self, found: &Found) -> Vec<u8> {
        let mut all = Vec::new();
        for (at, alerts) in &found.alerts {
            let bad = !crate::wire::ascending(&alerts.percent) || alerts.percent.iter().any(|p| !(1..100).contains(p));
            self.says(bad, at, || "`percent` must ascend between 1 and 99".to_owned());
            self.says(alerts.source.trim().is_empty(), at, || "`source` is empty".to_owned());
            self.says(!all.is_empty(), at, || "alerts stand in the files twice; take one out".to_owned());
            all.clone_from(&alerts.percent);
        }
        all
    }

    fn lists(&mut self, found: &mut Found, rules: &mut Rules) {
        let lists = self.index(&mut found.lists, |row| (row.id.clone(), &row.source));
        for (at, list) in &found.lists {
            let codes: BTreeSet<&Code> = list.codes.iter().map(|listed| &listed.code).collect();
            self.says(codes.len() != list.codes.len(), at, || "a code stands in the list twice".to_owned());
            let both = list.codes.is_empty() == list.pattern.is_none();
            self.says(both, at, || "a list has either `codes` or a `pattern`".to_owned());
            let reserved = TABLES.contains(&list.id.as_str());
            self.says(reserved, at, || "this list is made from the rows of its own section".to_owned());
        }
        rules.lists = lists.into_iter().map(|(id, list)| (id, Arc::new(list))).collect();
        let tables = [
            listed("grounds", rules.grounds.values().map(|row| (&row.code, &row.title))),
            listed("outcomes", rules.outcomes.values().map(|row| (&row.code, &row.title))),
            listed("offences", rules.offences.values().map(|row| (&row.code, &row.name))),
            listed("modifiers", rules.modifiers.values().map(|row| (&row.code, &row.title))),
            listed("instruments", rules.instruments.values().map(|row| (&row.code, &row.name))),
            listed("erasure-grounds", rules.erasure.values().map(|row| (&row.code, &row.title))),
            listed("reservations", rules.declarations.values().map(|row| (&row.code, &row.title))),
        ];
        rules.lists.extend(tables.into_iter().map(|list| (list.id.clone(), Arc::new(list))));
    }

    fn clocks(&mut self, found: &Found, rules: &Rules) {
        for (at, clock) in &found.clocks {
            self.says(clock.duration == 0, at, || "`duration` must be at least 1".to_owned());
            self.refers(rules.instruments.contains_key(&clock.instrument), at, "instrument", &clock.instrument);
        }
    }

    fn offences(&mut self, found: &Found, rules: &Rules) {
        for (at, offence) in &found.offences {
            for instrument in offence.articles.keys().chain(offence.related.keys()) {
                self.refers(rules.instruments.contains_key(instrument), at, "instrument", instrument);
            }
        }
    }

    fn retention(&mut self, found: &Found, rules: &Rules) {
        for (at, row) in &found.retention {
            self.says(row.duration == 0, at, || "`duration` must be at least 1".to_owned());
            self.refers(rules.procedures.contains_key(&row.procedure), at, "procedure", &row.procedure);
        }
    }

    fn forms(&mut self, found: &mut Found, rules: &mut Rules) {
        let mut groups = BTreeMap::new();
        for (at, group) in &found.groups {
            let twice = groups.insert(group.head.id.clone(), group).is_some();
            self.says(twice, at, || format!("group {} stands in the files twice; take one out", group.head.id));
            self.fields(&group.fields);
        }
        // Of two forms of one step that of the procedure comes before that of its family, and that before the one for all.
        let mut forms: Vec<_> = found.forms.iter().collect();
        forms.sort_by_key(|(_, form)| (form.head.procedure.is_none(), form.head.family.is_empty()));
        let mut nearness: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for (at, row) in forms {
            self.fields(&row.fields);
            let near = (row.head.procedure.is_none(), row.head.family.is_empty());
            for procedure in self.procedures_of(at, &row.head, rules) {
                let form = self.form(at, row, procedure, &groups, rules);
                let held = nearness.get(&form.id());
                let twice = held.is_some_and(|held| *held == near);
                self.says(twice, at, || format!("form {} stands in the files twice; take one out", form.id()));
                if held.is_none() {
                    self.whole(at, &form, rules);
                    nearness.insert(form.id(), near);
                    rules.forms.insert(form.id(), form);
                }
            }
        }
    }

    /// The procedures a form belongs to: one, those of a family that have the step, or all.
    fn procedures_of(&mut self, at: &At, head: &FormHead, rules: &Rules) -> Vec<ProcedureCode> {
        let of = |families: &[Code]| -> Vec<ProcedureCode> {
            let follows = |family: &Code| families.is_empty() || families.contains(family);
            let rows = rules.procedures.values().filter(|row| row.family.as_ref().is_some_and(follows));
            rows.map(|row| row.code.clone()).collect()
        };
        match (&head.procedure, head.family.as_slice()) {
            (Some(code), []) => {
                let procedure = ProcedureCode::parse(code.as_str()).ok();
                let known = procedure.as_ref().is_some_and(|code| rules.procedures.contains_key(code));
                self.refers(known, at, "procedure", code);
                procedure.into_iter().collect()
            }
            (None, families) => {
                for family in families {
                    self.refers(rules.families.contains_key(family), at, "family", family);
                }
                of(families)
            }
            (Some(_), [_, ..]) => {
                self.says(true, at, || "a form belongs to a `procedure` or to a `family`, not to both".to_owned());
                Vec::new()
            }
        }
    }

    fn fields(&mut self, fields: &Rows<FieldRule>) {
        for (at, field) in fields {
            self.mistakes.extend(wrong_rule(field).into_iter().map(|why| at.mistake(why)));
        }
    }

    fn form(
        &mut self,
        at: &At,
        row: &Fielded<FormHead>,
        procedure: ProcedureCode,
        groups: &BTreeMap<Code, &Fielded<GroupHead>>,
        rules: &Rules,
    ) -> Form {
        let head = &row.head;
        let mut form = Form {
            procedure,
            step: head.step.clone(),
            record: head.record,
            version: head.version,
            title: head.title.clone(),
            source: head.source.clone(),
            mark: head.mark,
            fields: Vec::new(),
            places: BTreeMap::new(),
            one_of: head.one_of.clone(),
            ordered: head.ordered.clone(),
            paired: head.paired.clone(),
            spoken: head.spoken.clone(),
            lists: BTreeMap::new(),
        };
        for id in &head.include {
            self.refers(groups.contains_key(id), at, "group", id);
            if let Some(group) = groups.get(id) {
                form.one_of.extend(group.head.one_of.iter().cloned());
                form.ordered.extend(group.head.ordered.iter().cloned());
                form.fields.extend(group.fields.iter().map(|(_, field)| field.clone()));
            }
        }
        form.fields.extend(row.fields.iter().map(|(_, field)| field.clone()));
        form.lists = rules.lists.clone();
        form.lists.retain(|id, _| form.fields.iter().any(|field| field.codes.as_ref() == Some(id)));
        for (place, field) in form.fields.iter().enumerate() {
            let twice = form.places.insert(field.key.clone(), place).is_some();
            self.says(twice, at, || format!("the field {} stands in the form twice", field.key));
        }
        form
    }

    /// What can only be judged when a form stands whole.
    fn whole(&mut self, at: &At, form: &Form, rules: &Rules) {
        self.says(form.source.trim().is_empty(), at, || "`source` is empty".to_owned());
        for field in &form.fields {
            if let Some(id) = &field.codes {
                self.refers(rules.lists.contains_key(id), at, "list", id);
            }
            for code in &field.only {
                let known = form.codes(field).is_none_or(|list| list.has(code.as_str()));
                self.says(!known, at, || format!("the field {} takes {code}, which its list has not", field.key));
            }
            for key in leans_on(&field.required) {
                self.key(at, form, key);
            }
            self.condition(at, form, field);
        }
        for key in form.one_of.iter().flatten() {
            self.key(at, form, key);
        }
        for key in form.ordered.iter().flat_map(|(from, until)| [from, until]) {
            self.key(at, form, key);
            let ranks = form.field(key).is_none_or(|field| matches!(field.kind, Kind::Time | Kind::Date));
            self.says(!ranks, at, || format!("only times and dates can be ordered, not {key}"));
        }
        for key in form.paired.iter().chain(&form.spoken).flat_map(|(one, other)| [one, other]) {
            self.key(at, form, key);
        }
        for (texts, language) in &form.spoken {
            let kinds = form.field(texts).zip(form.field(language)).map(|(texts, said)| (texts.kind, said.kind));
            let fits = kinds.is_none_or(|kinds| kinds == (Kind::Text, Kind::Code));
            self.says(!fits, at, || {
                format!("{texts} holds no text, or {language} no code, so that it names no language")
            });
        }
    }

    fn key(&mut self, at: &At, form: &Form, key: &str) {
        let excused = self.broken.contains(&at.place) || self.torn;
        self.says(form.field(key).is_none() && !excused, at, || format!("the form has no field {key}"));
    }

    /// A condition compares with a value the other field can have.
    fn condition(&mut self, at: &At, form: &Form, field: &FieldRule) {
        let Required::When { field: other, is } = &field.required else { return };
        let Some(rule) = form.field(other) else { return };
        for literal in is {
            let possible = match literal {
                Literal::Flag(_) => rule.kind == Kind::Flag,
                Literal::Code(code) => rule.kind == Kind::Code && form.codes(rule).is_none_or(|list| list.has(code)),
            };
            self.says(!possible, at, || format!("{} waits for a value that {other} cannot have", field.key));
        }
    }
}

/// Sections whose rows are code lists too.
const TABLES: [&str; 7] =
    ["grounds", "outcomes", "offences", "modifiers", "instruments", "erasure-grounds", "reservations"];

fn listed<'a>(id: &str, rows: impl Iterator<Item = (&'a Code, &'a String)>) -> CodeList {
    CodeList {
        id: Code::parse(id).expect("names of sections are codes"),
        codes: rows.map(|(code, label)| Listed { code: code.clone(), label: label.clone() }).collect(),
        pattern: None,
        source: "rows of the section".to_owned(),
        mark: Mark::P,
    }
}
