//! Minutes to print: what was signed, by which keys, and lines for people to fill in by hand.
//!
//! Names, places and dates are for those present: the program knows keys and invents nobody. The same text serves as
//! Markdown and as plain text.

use super::{
    Beside, Document, Standing, fingerprint_block, next_steps,
    rows::rows,
    show::{signatures, state, title, told_changes, warnings},
};

const BLANK: &str = "______________________________";
/// Lines for those present: a founding has a handful of officers and a witness or two.
const PRESENT: usize = 6;

/// The minutes of a document as it stands.
pub(crate) fn minutes(document: &Document, beside: &Beside, standing: &Standing) -> String {
    let mut text = format!("# Minutes: {}\n\n", title(document));
    text += &format!("Place: {BLANK}\n\nDate and time: {BLANK}\n\n");
    text += &section("Present", &present());
    text += &section("What was signed", &said(document));
    text += &section("Fingerprint", &fingerprint_block("Fingerprint", &document.id()));
    text += &section("Keys that signed", &signatures(document, standing));
    if let Some(changes) = told_changes(document, beside) {
        text += &section("Changes", &changes);
    }
    text +=
        &section("Result", &format!("{}\n", [vec![state(document, standing)], warnings(standing)].concat().join("\n")));
    text += &section("What comes next", &format!("{}\n", next_steps(document, standing)));
    text += &format!(
        "Those present compared the fingerprint with what their own machines showed, word by word.\n\n\
         Signed by hand: {BLANK}  {BLANK}\n"
    );
    text
}

/// Indented, so that Markdown prints it as it stands.
fn section(heading: &str, body: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    format!("## {heading}\n\n{}\n", body.lines().map(line).collect::<String>())
}

fn present() -> String {
    let line = |n: usize| format!("{n}. Office: {BLANK}  Key: ____________  Signature: {BLANK}\n");
    (1..=PRESENT).map(line).collect()
}

fn said(document: &Document) -> String {
    rows(&document.paper).into_iter().map(|(what, said)| format!("{what}: {said}\n")).collect()
}
