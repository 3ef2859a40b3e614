//! The law as data: procedures, forms, clocks, grounds, outcomes, offences and instruments, read
//! from the files in `node/rules/`.
//!
//! Decides what a rule file may say and refuses a set of files as a whole, every mistake at once.
//! It never decides a case and holds no figure of law itself: each figure stands in a file with its
//! source and a mark for how well that source was seen. Start at [`Rules::parse`]; [`Form`] is what
//! drafting, checking and the record of facts share.

mod basis;
mod check;
mod form;
mod life;
mod read;
mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod shipped;
#[cfg(test)]
mod tests;

pub use basis::{
    Basis, ClockUse, Closing, Condition, Declaration, DeclarationKind, Document, GroundUse, Longer, Measured, Needed,
    NeverFor, Notice, Threshold,
};
pub(crate) use form::is_date;
pub use form::{FieldRule, Form, FormMistake, Kind, Literal, Required, Wrong};
pub use life::{DRAFT, Family, Guard, Role, StateRow, StepRow, To, actor_name};
pub(crate) use rows::is_language;
pub use rows::{
    Actor, ClockRule, Code, CodeList, ErasureGround, Ground, GroundKind, Instrument, Listed, Mark, Modifier, Offence,
    Outcome, Pattern, Procedure, Retention, Unit,
};
pub use shipped::SHIPPED;

use crate::crypto::sha256;
use crate::ids::{Digest, ProcedureCode, StepCode};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The code list of reasons for which a request may be held back from erasure.
pub const HOLD_REASONS: &str = "hold-reasons";

/// On which side of a request someone acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The side that asks.
    Requesting,
    /// The side that is asked.
    Requested,
}

impl Side {
    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Requesting => Self::Requested,
            Self::Requested => Self::Requesting,
        }
    }

    /// The word in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requesting => "requesting",
            Self::Requested => "requested",
        }
    }

    /// The side as messages and rows carry it; nothing if it is of no kind.
    #[must_use]
    pub fn read(wire: i32) -> Option<Self> {
        match crate::proto::Side::try_from(wire).ok()? {
            crate::proto::Side::Requesting => Some(Self::Requesting),
            crate::proto::Side::Requested => Some(Self::Requested),
            crate::proto::Side::Unspecified => None,
        }
    }
}

impl From<Side> for crate::proto::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Requesting => Self::Requesting,
            Side::Requested => Self::Requested,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("rules.bad-file: {file} line {line}, {place}: {why}. Correct the file and start again")]
pub struct RuleMistake {
    /// The file's name as it was handed in.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The path of the key, for example `form[PRES/request].field[data.relation].kind`.
    pub place: String,
    /// What is wrong and, where it is known, what would be right.
    pub why: String,
}

impl RuleMistake {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "rules.bad-file"
    }
}

/// Everything the rule files say, checked and joined.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    digest: [u8; 32],
    alerts: Vec<u8>,
    procedures: BTreeMap<ProcedureCode, Procedure>,
    families: BTreeMap<Code, Arc<Family>>,
    bases: BTreeMap<ProcedureCode, BTreeMap<Code, Basis>>,
    declarations: BTreeMap<Code, Declaration>,
    forms: BTreeMap<String, Form>,
    clocks: BTreeMap<Code, ClockRule>,
    grounds: BTreeMap<Code, Ground>,
    outcomes: BTreeMap<Code, Outcome>,
    offences: BTreeMap<Code, Offence>,
    modifiers: BTreeMap<Code, Modifier>,
    instruments: BTreeMap<Code, Instrument>,
    retention: BTreeMap<ProcedureCode, Retention>,
    erasure: BTreeMap<Code, ErasureGround>,
    lists: BTreeMap<Code, Arc<CodeList>>,
}

impl Rules {
    /// Reads a whole set of files; names serve messages only.
    ///
    /// # Errors
    /// Every mistake found, in order of file and line.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, Vec<RuleMistake>> {
        let mut found = read::read(files);
        let rules = Self { digest: digest(files), ..check::join(&mut found) };
        found.mistakes.sort();
        found.mistakes.dedup();
        if found.mistakes.is_empty() { Ok(rules) } else { Err(found.mistakes) }
    }

    /// SHA-256 over the texts of all files, whatever they are called and in whichever order they were handed in: equal texts
    /// say the same. What was worked out under other texts may not hold under these.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        Digest::new(self.digest)
    }

    /// At which parts of a clock, in percent and ascending, people are alerted.
    #[must_use]
    pub fn alerts(&self) -> &[u8] {
        &self.alerts
    }

    /// A procedure by its code.
    #[must_use]
    pub fn procedure(&self, code: &ProcedureCode) -> Option<&Procedure> {
        self.procedures.get(code)
    }

    /// All procedures, ascending by code.
    pub fn procedures(&self) -> impl Iterator<Item = &Procedure> {
        self.procedures.values()
    }

    /// The life a procedure follows; none if it is not offered.
    #[must_use]
    pub fn family(&self, procedure: &ProcedureCode) -> Option<&Arc<Family>> {
        self.procedures.get(procedure)?.family.as_ref().and_then(|code| self.families.get(code))
    }

    /// All families, ascending by code.
    pub fn families(&self) -> impl Iterator<Item = &Arc<Family>> {
        self.families.values()
    }

    /// What an instrument says of a procedure, if the procedure may be based on it.
    #[must_use]
    pub fn basis(&self, procedure: &ProcedureCode, instrument: &Code) -> Option<&Basis> {
        self.bases.get(procedure)?.get(instrument)
    }

    /// All instruments a procedure may be based on, ascending by code.
    pub fn bases(&self, procedure: &ProcedureCode) -> impl Iterator<Item = &Basis> {
        self.bases.get(procedure).into_iter().flat_map(BTreeMap::values)
    }

    /// What the law lets a Party declare under a code.
    #[must_use]
    pub fn declaration(&self, code: &Code) -> Option<&Declaration> {
        self.declarations.get(code)
    }

    /// All declarations the law knows, ascending by code.
    pub fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.declarations.values()
    }

    /// The form a step of a procedure carries: its id is always `<procedure>/<step>`.
    #[must_use]
    pub fn form(&self, procedure: &ProcedureCode, step: &StepCode) -> Option<&Form> {
        self.form_by_id(&format!("{procedure}/{step}"))
    }

    /// A form by its id, for example `PRES/request`.
    #[must_use]
    pub fn form_by_id(&self, id: &str) -> Option<&Form> {
        self.forms.get(id)
    }

    /// All forms, ascending by id.
    pub fn forms(&self) -> impl Iterator<Item = &Form> {
        self.forms.values()
    }

    /// A clock rule by its id, for example `D01`.
    #[must_use]
    pub fn clock(&self, id: &Code) -> Option<&ClockRule> {
        self.clocks.get(id)
    }

    /// All clock rules, ascending by id.
    pub fn clocks(&self) -> impl Iterator<Item = &ClockRule> {
        self.clocks.values()
    }

    /// A ground for refusal, postponement or condition by its code.
    #[must_use]
    pub fn ground(&self, code: &Code) -> Option<&Ground> {
        self.grounds.get(code)
    }

    /// All grounds, ascending by code.
    pub fn grounds(&self) -> impl Iterator<Item = &Ground> {
        self.grounds.values()
    }

    /// All outcomes, ascending by code.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.values()
    }

    /// An offence by its code, for example `CC-01`.
    #[must_use]
    pub fn offence(&self, code: &Code) -> Option<&Offence> {
        self.offences.get(code)
    }

    /// All offences, ascending by code.
    pub fn offences(&self) -> impl Iterator<Item = &Offence> {
        self.offences.values()
    }

    /// All modifiers of offences, ascending by code.
    pub fn modifiers(&self) -> impl Iterator<Item = &Modifier> {
        self.modifiers.values()
    }

    /// An instrument by its code, for example `BC`.
    #[must_use]
    pub fn instrument(&self, code: &Code) -> Option<&Instrument> {
        self.instruments.get(code)
    }

    /// All instruments, ascending by code.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.instruments.values()
    }

    /// How long requests of a procedure are kept after their end; for ever if nothing is said.
    #[must_use]
    pub fn retention(&self, procedure: &ProcedureCode) -> Option<&Retention> {
        self.retention.get(procedure)
    }

    /// A ground on which a request may be erased.
    #[must_use]
    pub fn erasure_ground(&self, code: &Code) -> Option<&ErasureGround> {
        self.erasure.get(code)
    }

    /// All grounds on which a request may be erased, ascending by code.
    pub fn erasure_grounds(&self) -> impl Iterator<Item = &ErasureGround> {
        self.erasure.values()
    }

    /// A code list by its id; grounds, outcomes, offences, modifiers and instruments are lists too.
    #[must_use]
    pub fn list(&self, id: &Code) -> Option<&CodeList> {
        self.lists.get(id).map(Arc::as_ref)
    }
}

fn digest(files: &[(&str, &str)]) -> [u8; 32] {
    let mut texts: Vec<Digest> = files.iter().map(|(_, text)| sha256(&[text.as_bytes()])).collect();
    texts.sort();
    let texts: Vec<&[u8]> = texts.iter().map(|text| &text.as_bytes()[..]).collect();
    *sha256(&[b"comity rules v1\0", &texts.concat()]).as_bytes()
}
