//! The drawing of a family, printed from its table, so that the page people read cannot differ from the code.

use super::{Assistance, Family, LAPSED, Life, Preservation, Row, To, common};
use std::fmt::Write as _;

/// The page about a family: its drawing (Mermaid), its steps and its guards.
#[must_use]
pub fn drawing(family: Family) -> String {
    match family {
        Family::Preservation => page::<Preservation>(),
        Family::Assistance => page::<Assistance>(),
    }
}

fn page<L: Life>() -> String {
    let mut page = format!(
        "# {}: states and steps\n\nPrinted from the table in `{}` by a test; \
         write it anew with `COMITY_BLESS=1`.\n\n```mermaid\nstateDiagram-v2\n    [*] --> draft\n",
        L::TITLE,
        L::FILE
    );
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    for Row { from, to, row, .. } in L::TABLE {
        for from in from.iter().map(|kind| L::name(*kind)) {
            for to in ends::<L>(*to, from) {
                line(&format!("    {from} --> {to}: {} ({})", row.step, row.side));
            }
        }
    }
    for kind in L::KINDS.iter().filter(|kind| L::can_lapse(**kind)) {
        line(&format!("    {} --> {LAPSED}: by the clock, never signed", L::name(*kind)));
    }
    line("```\n\n| From | Step | Side | To | Guard |\n|---|---|---|---|---|");
    for Row { from, to, row, .. } in L::TABLE {
        let from = from.iter().map(|kind| L::name(*kind)).collect::<Vec<_>>().join(", ");
        line(&format!("| {from} | {} | {} | {} | {} |", row.step, row.side, says::<L>(*to), row.guard));
    }
    for row in common::ROWS {
        line(&format!("| any but draft | {} | {} | stays | {} |", row.step, row.side, row.guard));
    }
    line("\n| Guard | Holds if |\n|---|---|");
    for (name, says) in L::GUARDS.iter().map(|guard| L::guard(*guard)) {
        line(&format!("| {name} | {says} |"));
    }
    page
}

fn says<L: Life>(to: To<L::Kind>) -> &'static str {
    match to {
        To::Stays => "stays",
        To::Kind(kind) => L::name(kind),
        To::Settled => "disputed, acknowledged or delivered",
        To::Resumed => "where it was",
    }
}

/// Where a row can lead from one state, by name.
pub(super) fn ends<L: Life>(to: To<L::Kind>, from: &'static str) -> Vec<&'static str> {
    match to {
        To::Stays => vec![from],
        To::Kind(kind) => vec![L::name(kind)],
        To::Settled => vec!["disputed", "acknowledged", "delivered"],
        To::Resumed => vec!["accepted", "executing", "partially_executed"],
    }
}
