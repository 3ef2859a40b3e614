//! How mistakes in settings read: all of them, each with its source and key.

use std::{fmt, path::PathBuf};

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// No such setting.
    UnknownKey {
        /// As it was written.
        key: String,
        /// The file, environment variable or flag.
        origin: String,
        /// Settings that are near.
        known: String,
    },
    /// A value that is not allowed there.
    BadValue {
        /// The setting.
        key: String,
        /// The file, environment variable or flag.
        origin: String,
        /// What was found; settings are never secret.
        found: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A setting without a default that nobody gave.
    Missing {
        /// The setting.
        key: &'static str,
        /// The file it belongs in.
        file: PathBuf,
        /// What may stand there.
        allowed: &'static str,
    },
}

impl Mistake {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "config.unknown-key",
            Self::BadValue { .. } => "config.bad-value",
            Self::Missing { .. } => "config.missing-key",
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code();
        match self {
            Self::UnknownKey { key, origin, known } => {
                write!(f, "{code}: {origin}: {key}: there is no such setting. Known are {known}")
            }
            Self::BadValue { key, origin, found, allowed } => {
                write!(f, "{code}: {origin}: {key}: it must be {allowed}; found {}", shortened(found))
            }
            Self::Missing { key, file, allowed } => {
                write!(f, "{code}: {}: {key}: it is not set and has no default. It must be {allowed}", file.display())
            }
        }
    }
}

/// Enough to recognise a value by, however long it is.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Why a node has no settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// The file is not there.
    #[error("config.no-file: the node does not start: {} is not there. Make one with: comity init", .0.display())]
    NoFile(PathBuf),
    /// The file cannot be read as TOML.
    #[error("config.unreadable: the node does not start: {path} cannot be read: {why}. Correct it and start again")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the TOML reader says.
        why: String,
    },
    /// Something in file, environment or flags is wrong.
    #[error("config.mistakes: the node does not start: settings to correct: {}.{}", .0.len(), listed(.0))]
    Mistakes(Vec<Mistake>),
}

impl ConfigFault {
    /// The stable code, as in `comity explain CODE`. Each mistake has its own besides.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFile(_) => "config.no-file",
            Self::Unreadable { .. } => "config.unreadable",
            Self::Mistakes(_) => "config.mistakes",
        }
    }
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}
