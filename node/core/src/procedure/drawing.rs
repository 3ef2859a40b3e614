//! The page of a family, printed from its table, so that the page people read cannot differ from what is judged.

use super::common;
use crate::rules::{ClockUse, Family, Guard, Role, Rules, Side, StepRow, To};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The name of the one state that no event leads to.
pub const LAPSED: &str = "lapsed";

/// The page about a family: its drawing (Mermaid), its steps, its guards, and the clocks that run in its states.
#[must_use]
pub fn drawing(rules: &Rules, family: &Family) -> String {
    let mut page = format!(
        "# {}: states and steps\n\nPrinted from the table in `{}.toml` by a test; \
         write it anew with `COMITY_BLESS=1`.\n\n```mermaid\nstateDiagram-v2\n    [*] --> draft\n",
        family.title, family.code
    );
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    for row in &family.rows {
        for from in &row.from {
            for to in family.ends(row, from) {
                line(&format!("    {from} --> {to}: {} ({})", row.step, row.by.short()));
            }
        }
    }
    for state in family.states.iter().filter(|state| state.until.is_some()) {
        line(&format!("    {} --> {LAPSED}: by the clock, never signed (SYS)", state.name));
    }
    line("```\n\n| From | To | By | Guard or timer | Step |\n|---|---|---|---|---|");
    for row in &family.rows {
        let from = row.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let demands = demands(rules, family, row).join("; ");
        line(&format!("| {from} | {} | {} | {demands} | {} |", leads(&row.to), row.by.short(), row.step));
    }
    for row in common::ROWS {
        let by = if row.side == Side::Requesting { Role::Requesting } else { Role::Requested };
        line(&format!("| any but draft | stays | {} | {} | {} |", by.short(), row.guard, row.step));
    }
    line("\n| Guard | Holds if |\n|---|---|");
    let named: BTreeSet<Guard> = family.rows.iter().flat_map(|row| &row.guards).copied().collect();
    for guard in named {
        line(&format!("| {} | {} |", guard.name(), guard.says()));
    }
    page
}

/// What a row demands, and which clocks its step starts under some instrument.
fn demands(rules: &Rules, family: &Family, row: &StepRow) -> Vec<String> {
    let listed = |codes: &[crate::rules::Code]| codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let mut demands: Vec<String> = row.guards.iter().map(|guard| guard.name().to_owned()).collect();
    if !row.needs.is_empty() {
        demands.push(format!("after {}", listed(&row.needs)));
    }
    if !row.bars.is_empty() {
        demands.push(format!("not after {}", listed(&row.bars)));
    }
    let of_family = rules.procedures().filter(|row| row.family.as_ref() == Some(&family.code));
    let starts = of_family.flat_map(|procedure| rules.bases(&procedure.code)).flat_map(|basis| {
        let form = rules.form(&basis.procedure, &row.step);
        let says = move |key: &String| form.is_some_and(|form| form.field(key).is_some_and(|field| field.fact));
        let after = |usage: &&ClockUse| usage.after.iter().any(|step| step.as_str() == row.step.as_str());
        basis.clocks.iter().filter(move |usage| after(usage) || usage.from.iter().any(&says))
    });
    let clocks: BTreeSet<String> = starts.map(|usage| usage.clock.to_string()).collect();
    if !clocks.is_empty() {
        demands.push(format!("starts {}", clocks.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if !row.article.is_empty() {
        demands.push(row.article.clone());
    }
    demands
}

fn leads(to: &To) -> &str {
    match to {
        To::Stays => "stays",
        To::State(state) => state.as_str(),
        To::Settled => "disputed, acknowledged or delivered",
        To::Resumed => "where it was",
    }
}
