//! The drawing of a family, printed from its table, so that the page people read cannot differ from the code.

use super::{Family, LAPSED, StepRow, To, assistance, common, preservation};
use std::fmt::Write as _;

/// What a page is printed from.
struct Sheet {
    title: &'static str,
    file: &'static str,
    rows: Vec<Line>,
    lapse: Vec<&'static str>,
    guards: Vec<(&'static str, &'static str)>,
}

/// One row of a table: from these states, this step, to that one.
struct Line {
    from: Vec<&'static str>,
    to: To<&'static str>,
    row: StepRow,
}

/// The page about a family: its drawing (Mermaid), its steps and its guards.
#[must_use]
pub fn drawing(family: Family) -> String {
    page(&match family {
        Family::Preservation => preservation_sheet(),
        Family::Assistance => assistance_sheet(),
    })
}

fn preservation_sheet() -> Sheet {
    use preservation::{GUARDS, Kind, Row, TABLE};
    let line = |row: &Row| Line {
        from: row.from.iter().map(|kind| kind.name()).collect(),
        to: row.to.map_or(To::Stays, |kind| To::Kind(kind.name())),
        row: row.row,
    };
    Sheet {
        title: "Preservation",
        file: "preservation.rs",
        rows: TABLE.iter().map(line).collect(),
        lapse: Kind::ALL.iter().filter(|kind| kind.can_lapse()).map(|kind| kind.name()).collect(),
        guards: GUARDS.iter().map(|guard| (guard.name(), guard.says())).collect(),
    }
}

fn assistance_sheet() -> Sheet {
    use assistance::{GUARDS, Row, TABLE};
    let line = |row: &Row| Line {
        from: row.from.iter().map(|kind| kind.name()).collect(),
        to: match row.to {
            To::Stays => To::Stays,
            To::Kind(kind) => To::Kind(kind.name()),
            To::Settled => To::Settled,
            To::Resumed => To::Resumed,
        },
        row: row.row,
    };
    Sheet {
        title: "Mutual assistance",
        file: "assistance.rs",
        rows: TABLE.iter().map(line).collect(),
        lapse: Vec::new(),
        guards: GUARDS.iter().map(|guard| (guard.name(), guard.says())).collect(),
    }
}

fn page(sheet: &Sheet) -> String {
    let mut page = format!(
        "# {}: states and steps\n\nPrinted from the table in `{}` by a test; \
         write it anew with `COMITY_BLESS=1`.\n\n```mermaid\nstateDiagram-v2\n    [*] --> draft\n",
        sheet.title, sheet.file
    );
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    for Line { from, to, row } in &sheet.rows {
        for from in from {
            for to in ends(*to, from) {
                line(&format!("    {from} --> {to}: {} ({})", row.step, row.side));
            }
        }
    }
    for kind in &sheet.lapse {
        line(&format!("    {kind} --> {LAPSED}: by the clock, never signed"));
    }
    line("```\n\n| From | Step | Side | To | Guard |\n|---|---|---|---|---|");
    for Line { from, to, row } in &sheet.rows {
        let to = match to {
            To::Stays => "stays",
            To::Kind(kind) => kind,
            To::Settled => "disputed, acknowledged or delivered",
            To::Resumed => "where it was",
        };
        line(&format!("| {} | {} | {} | {to} | {} |", from.join(", "), row.step, row.side, row.guard));
    }
    for row in common::ROWS {
        line(&format!("| any but draft | {} | {} | stays | {} |", row.step, row.side, row.guard));
    }
    line("\n| Guard | Holds if |\n|---|---|");
    for (name, says) in &sheet.guards {
        line(&format!("| {name} | {says} |"));
    }
    page
}

/// Where a row can lead from one state, as arrows.
fn ends(to: To<&'static str>, from: &'static str) -> Vec<&'static str> {
    match to {
        To::Stays => vec![from],
        To::Kind(kind) => vec![kind],
        To::Settled => vec!["disputed", "acknowledged", "delivered"],
        To::Resumed => vec!["accepted", "executing", "partially_executed"],
    }
}
