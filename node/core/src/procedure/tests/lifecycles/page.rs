//! The page of the reference tables: their rows, and what stands for them here.

use super::{Claim, File, Own, Row, every_family};
use std::fmt::Write as _;

/// The page, in Markdown.
pub(super) fn page(file: &File) -> String {
    let mut page = String::from(
        "# The reference tables of lifecycles, and what stands for them here\n\n\
         Printed from `tests/scenarios/lifecycles.toml` by a test that holds it against the tables; write it anew with \
         `COMITY_BLESS=1`.\nRQ: requesting side. RD: requested side. SP: provider. EA: enforcing authority. RV: review body. \
         SYS: the clock, which nobody signs.\n",
    );
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string does not fail");
    for section in &file.section {
        line(&format!("\n## {} {}\n", section.number, section.title));
        line("| From | To | By | Guard or timer | Steps here | Because |\n|---|---|---|---|---|---|");
        for row in file.row.iter().filter(|row| row.section == section.number) {
            let steps: Vec<String> = row.steps.iter().map(|claim| fulfils(row, claim)).collect();
            let alerts = row.alerts.iter().map(|alerts| format!("alerts at {alerts:?} percent"));
            let steps = steps.into_iter().chain(alerts).collect::<Vec<_>>().join("<br>");
            let missing = Some(&row.missing).filter(|missing| !missing.is_empty());
            let missing = missing.map(|missing| format!("**Not here:** {missing}"));
            let because = Some(row.because.clone()).filter(|because| !because.is_empty());
            let because = because.into_iter().chain(missing).collect::<Vec<_>>().join(" ");
            line(&format!("| {} | {} | {} | {} | {steps} | {because} |", row.from, row.to, row.by, row.guard));
        }
    }
    line("\n## Ours only\n\n| Family | Step | By | From | Because |\n|---|---|---|---|---|");
    for Own { family, step, by, from, because } in &file.ours_only {
        let all = |names: &[String], none: &str| if names.is_empty() { none.to_owned() } else { names.join(", ") };
        let (step, by, from) =
            (all(step, "all no row names"), all(by, "as the table says"), all(from, "as the table says"));
        let family = if *family == every_family() { "every family".to_owned() } else { family.join(", ") };
        line(&format!("| {family} | {step} | {by} | {from} | {because} |"));
    }
    page
}

/// A step, in a line.
fn fulfils(row: &Row, claim: &Claim) -> String {
    let mut text = String::new();
    if row.family.len() != 1 && !claim.families(row).is_empty() {
        text.push_str(&format!("{}: ", claim.families(row).join(", ")));
    }
    let from = if claim.from.is_empty() { "wherever it is taken".to_owned() } else { claim.from.join(", ") };
    match &claim.step {
        Some(step) => text.push_str(&format!("`{step}` ({}), ", claim.by)),
        None => text.push_str(&format!("{}, ", claim.by)),
    }
    text.push_str(&format!("{from} → {}", claim.to.join(", ")));
    let demands = [
        ("guarded by", &claim.guards),
        ("after", &claim.after),
        ("not after", &claim.not_after),
        ("says", &claim.says),
        ("grounds", &claim.grounds),
        ("starts", &claim.starts),
        ("under", &claim.runs),
        ("stops", &claim.pauses),
    ];
    for (word, names) in demands.into_iter().filter(|(_, names)| !names.is_empty()) {
        text.push_str(&format!("; {word} {}", names.join(", ")));
    }
    text
}
