//! What runs did: so that a long run can say what stands behind "every promise was kept".

use std::{collections::BTreeMap, fmt};

use super::byzantine::Trick;

/// Something that is counted, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Runs,
    Steps,
    Commands,
    Acts,
    Records,
    Refusals,
    Erasures,
    ErasuresCut,
    Holds,
    Releases,
    LateActs,
    LateCopies,
    Deliveries,
    Answers,
    UnderFaults,
    Lost,
    Doubled,
    Overtaken,
    Cuts,
    OneWayCuts,
    Partitions,
    Crashes,
    IndexesLost,
    FullDisks,
    SlowDisks,
    ClockJumps,
    FalseFrames,
    Checks,
    FramesSearched,
    RecordsSearched,
    LostActs,
    AppliedTwice,
    Leaked,
}

impl What {
    const fn label(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Steps => "steps",
            Self::Commands => "commands given",
            Self::Acts => "acts on record",
            Self::Records => "records",
            Self::Refusals => "refusals given",
            Self::Erasures => "requests erased",
            Self::ErasuresCut => "erasures cut off by a crash",
            Self::Holds => "holds",
            Self::Releases => "holds released",
            Self::LateActs => "late acts refused: erased",
            Self::LateCopies => "late copies of what is erased",
            Self::Deliveries => "deliveries sent",
            Self::Answers => "answers sent",
            Self::UnderFaults => "of both under faults",
            Self::Lost => "frames lost",
            Self::Doubled => "frames doubled",
            Self::Overtaken => "frames overtaken",
            Self::Cuts => "links cut",
            Self::OneWayCuts => "links cut one way",
            Self::Partitions => "partitions",
            Self::Crashes => "crashes",
            Self::IndexesLost => "indexes lost",
            Self::FullDisks => "full disks",
            Self::SlowDisks => "slow disks",
            Self::ClockJumps => "clock jumps",
            Self::FalseFrames => "false frames",
            Self::Checks => "checks of all ledgers",
            Self::FramesSearched => "frames searched for leaks",
            Self::RecordsSearched => "records searched for leaks",
            Self::LostActs => "LOST",
            Self::AppliedTwice => "DUPLICATED",
            Self::Leaked => "LEAKED",
        }
    }
}

/// Totals of one run or many.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    rows: BTreeMap<What, u64>,
    fates: BTreeMap<(Trick, String), u64>,
    not_done: BTreeMap<&'static str, u64>,
}

impl Count {
    pub(super) fn add(&mut self, what: What, many: usize) {
        *self.rows.entry(what).or_default() += many as u64;
    }

    pub(super) fn one(&mut self, what: What) {
        self.add(what, 1);
    }

    pub(super) fn of(&self, what: What) -> u64 {
        self.rows.get(&what).copied().unwrap_or(0)
    }

    /// An act was not done, and why.
    pub(super) fn not_done(&mut self, code: &'static str) {
        *self.not_done.entry(code).or_default() += 1;
    }

    /// A false frame met this.
    pub(super) fn fate(&mut self, trick: Trick, code: String) {
        *self.fates.entry((trick, code)).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (what, many) in &other.rows {
            *self.rows.entry(*what).or_default() += many;
        }
        for (fate, many) in &other.fates {
            *self.fates.entry(fate.clone()).or_default() += many;
        }
        for (code, many) in &other.not_done {
            *self.not_done.entry(code).or_default() += many;
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, many) in &self.rows {
            writeln!(f, "  {:<28} {many:>12}", what.label())?;
        }
        for (code, many) in &self.not_done {
            writeln!(f, "  {:<28} {many:>12}  {code}", "not done")?;
        }
        for ((trick, code), many) in &self.fates {
            writeln!(f, "  {:<28} {many:>12}  {code}", trick.label())?;
        }
        Ok(())
    }
}
