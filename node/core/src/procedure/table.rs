//! What every family has: a table of rows, how the row of a step is found, and how a step is judged by it.
//!
//! A family says what its kinds, steps and guards are ([`Life`]); nothing is known here of any of them, so that
//! one way of judging, one printed page and one set of tests serve all families.

use super::{Act, Refusal, Side, StepRow};
use crate::rules::{Procedure, Rules};
use std::fmt::Debug;

/// The life of a family: its kinds of state, its steps, its guards and the table that joins them.
pub trait Life: Debug + Copy + 'static {
    /// Where a request stands, with its facts.
    type State: Debug + Clone + PartialEq;
    /// The same without facts.
    type Kind: Debug + Copy + Ord + 'static;
    /// What can be done beside the common steps.
    type Step: Debug + Copy + Eq + 'static;
    /// What must hold besides state and side.
    type Guard: Debug + Copy + Eq + 'static;

    /// The title of its page.
    const TITLE: &'static str;
    /// The file that holds its table.
    const FILE: &'static str;
    /// The state before anything is signed.
    const DRAFT: Self::State;
    /// All kinds.
    const KINDS: &'static [Self::Kind];
    /// All steps.
    const STEPS: &'static [Self::Step];
    /// All guards.
    const GUARDS: &'static [Self::Guard];
    /// All lawful steps. For one kind, step and side there is at most one row.
    const TABLE: &'static [Row<Self>];

    /// The kind of a state.
    fn kind(state: &Self::State) -> Self::Kind;
    /// The name of a kind.
    fn name(kind: Self::Kind) -> &'static str;
    /// True if a kind ends with its time.
    fn can_lapse(kind: Self::Kind) -> bool;
    /// The code of a step.
    fn code(step: Self::Step) -> &'static str;
    /// The name of a guard, and what it demands in words for people.
    fn guard(guard: Self::Guard) -> (&'static str, &'static str);
    /// Of two acts that do not know of each other, the one with the lower rank is applied first.
    fn rank(act: &Act) -> u8;

    /// What is wrong with a step, in words, as far as a guard looks at it.
    ///
    /// # Errors
    /// When the step lacks a fact that the guard reads.
    fn wrong(judging: &Judging<'_, Self>, guard: Self::Guard) -> Result<Option<String>, Refusal>;
    /// The state after a step whose guard holds.
    ///
    /// # Errors
    /// When the step lacks a fact that the state keeps.
    fn take(judging: &Judging<'_, Self>, step: Self::Step) -> Result<Self::State, Refusal>;
}

/// One row: from these kinds, this step leads there.
#[derive(Debug, Clone, Copy)]
pub struct Row<L: Life> {
    /// From where.
    pub from: &'static [L::Kind],
    /// The step.
    pub step: L::Step,
    /// To where.
    pub to: To<L::Kind>,
    /// The guard.
    pub guard: L::Guard,
    /// The same for the outside.
    pub row: StepRow,
}

impl<L: Life> Row<L> {
    /// True if it leads this side on from this kind.
    pub(super) fn fits(&self, kind: L::Kind, side: Side) -> bool {
        self.row.side == side && self.from.contains(&kind)
    }
}

/// Where a row of a table leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To<K> {
    /// The kind stays.
    Stays,
    /// To this kind.
    Kind(K),
    /// To disputed, acknowledged or delivered, as all that was handed over stands.
    Settled,
    /// Back to where a suspension began.
    Resumed,
}

/// One step under judgement.
#[derive(Debug)]
pub struct Judging<'a, L: Life> {
    pub(super) state: &'a L::State,
    pub(super) act: &'a Act,
    pub(super) rules: &'a Rules,
    pub(super) procedure: &'a Procedure,
}

impl<L: Life> Judging<'_, L> {
    /// The state after the step: it is in the table, its guard holds, and its facts can be read.
    pub(super) fn after(&self) -> Result<L::State, Refusal> {
        let row = self.find()?;
        if let Some(why) = L::wrong(self, row.guard)? {
            let (guard, _) = L::guard(row.guard);
            return Err(Refusal::Guard { guard, why });
        }
        L::take(self, row.step)
    }

    pub(super) fn wrong_state(&self) -> Refusal {
        Refusal::WrongState { step: self.act.step.clone(), state: L::name(L::kind(self.state)) }
    }

    fn find(&self) -> Result<&'static Row<L>, Refusal> {
        let (step, side) = (&self.act.step, self.act.side);
        let rows = || L::TABLE.iter().filter(|row| row.row.step == step.as_str());
        if rows().next().is_none() {
            return Err(Refusal::UnknownStep(step.clone()));
        }
        if !rows().any(|row| row.row.side == side) {
            return Err(Refusal::WrongSide { step: step.clone(), side });
        }
        let kind = L::kind(self.state);
        rows().find(|row| row.fits(kind, side)).ok_or_else(|| self.wrong_state())
    }
}

/// The rows open to a side: those whose guard cannot hold now are left out.
pub(super) fn open_rows<L: Life>(
    state: &L::State,
    side: Side,
    can_hold: impl Fn(L::Guard) -> bool,
) -> Vec<&'static StepRow> {
    let kind = L::kind(state);
    L::TABLE.iter().filter(|row| row.fits(kind, side) && can_hold(row.guard)).map(|row| &row.row).collect()
}
