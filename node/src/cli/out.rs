//! Where a command speaks: results on standard output, talk on standard error.
//!
//! Writing never fails a command: a reader that went away (`| head`) has seen enough. What people read may come from a peer or a
//! file: nothing in it moves the cursor or turns the line.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use comity_core::wire::is_showable;
use serde_json::Value;

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// One object per result, for programs.
    pub(crate) json: bool,
}

impl Out {
    /// A line or more of a result for people.
    pub(crate) fn line(self, text: &impl Display) {
        drop(writeln!(io::stdout().lock(), "{}", plain(&text.to_string())));
    }

    /// A result for programs.
    pub(crate) fn object(self, value: &Value) {
        drop(writeln!(io::stdout().lock(), "{value}"));
    }

    /// A result as the node gave it, or as `text` makes it readable.
    pub(crate) fn either(self, value: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json { self.object(value) } else { self.line(&text(value)) }
    }

    /// What people may like to know, beside the result.
    pub(crate) fn say(self, text: &impl Display) {
        drop(writeln!(io::stderr().lock(), "{}", plain(&text.to_string())));
    }
}

/// The text with a mark in the place of each letter that a terminal would obey instead of showing it.
fn plain(text: &str) -> String {
    let letter = |letter| if is_showable(letter) || matches!(letter, '\n' | '\t') { letter } else { '\u{fffd}' };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_it_is_shown() {
        let check = |text: &str, shown: &str| assert_eq!(plain(text), shown);
        check("a\tb\nc", "a\tb\nc");
        check("\u{1b}[2K\rok", "\u{fffd}[2K\u{fffd}ok");
        check("x\u{202e}fdp.exe", "x\u{fffd}fdp.exe");
    }
}
