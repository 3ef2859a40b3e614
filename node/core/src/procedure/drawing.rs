//! The drawing of a family, printed from its table, so that the page people read cannot differ from the code.

use super::{Family, LAPSED, common, preservation};
use std::fmt::Write as _;

/// The page about a family: its drawing (Mermaid), its steps and its guards.
#[must_use]
pub fn drawing(family: Family) -> String {
    match family {
        Family::Preservation => preservation_page(),
    }
}

fn preservation_page() -> String {
    use preservation::{GUARDS, TABLE};
    let mut page = String::from(
        "# Preservation: states and steps\n\nPrinted from the table in `preservation.rs` by a test; \
         write it anew with `COMITY_BLESS=1`.\n\n```mermaid\nstateDiagram-v2\n    [*] --> draft\n",
    );
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    for row in TABLE {
        for from in row.from {
            let to = row.to.unwrap_or(*from);
            line(&format!("    {} --> {}: {} ({})", from.name(), to.name(), row.row.step, row.row.side));
        }
    }
    for kind in preservation::Kind::ALL.iter().filter(|kind| kind.can_lapse()) {
        line(&format!("    {} --> {LAPSED}: by the clock, never signed", kind.name()));
    }
    line("```\n\n| From | Step | Side | To | Guard |\n|---|---|---|---|---|");
    for row in TABLE {
        let from: Vec<&str> = row.from.iter().map(|kind| kind.name()).collect();
        let to = row.to.map_or("stays", preservation::Kind::name);
        line(&format!("| {} | {} | {} | {to} | {} |", from.join(", "), row.row.step, row.row.side, row.row.guard));
    }
    for row in common::ROWS {
        line(&format!("| any but draft | {} | {} | stays | {} |", row.step, row.side, row.guard));
    }
    line("\n| Guard | Holds if |\n|---|---|");
    for guard in GUARDS {
        line(&format!("| {} | {} |", guard.name(), guard.says()));
    }
    page
}
