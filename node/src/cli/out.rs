//! Where a command speaks: results on standard output, talk on standard error.
//!
//! Writing never fails a command: a reader that went away (`| head`) has seen enough.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

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
        drop(writeln!(io::stdout().lock(), "{text}"));
    }

    /// A result for programs.
    pub(crate) fn object(self, value: &Value) {
        self.line(value);
    }

    /// A result as the node gave it, or as `text` makes it readable.
    pub(crate) fn either(self, value: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json { self.object(value) } else { self.line(&text(value)) }
    }

    /// What people may like to know, beside the result.
    pub(crate) fn say(self, text: &impl Display) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }
}
