//! What the law of a procedure makes of the signed events of a thread.
//!
//! Decides whether a step is lawful, where a request stands, whose turn it is and which clocks run. It
//! never reads a body, a clock of the machine or anything but the acts handed in: state is a function
//! of the *set* of events, the same on every node and for every order of arrival. When something was
//! recorded here is therefore not looked at; what counts is what the author signed.
//! Start at [`fold`] and [`permits`]; each family of procedures has a file with a table of steps.
//! The rule for what happens at once is written down in `node/decisions/concurrent-steps.md`.

pub mod assistance;
mod common;
mod drawing;
mod facts;
mod ground;
mod order;
pub mod preservation;
mod refusal;
mod table;
#[cfg(test)]
mod tests;

pub use crate::rules::Side;
pub use assistance::{Delivery, DeliveryState, ManifestRef};
pub use common::Common;
pub use drawing::drawing;
pub use refusal::Refusal;
pub use table::{Judging, Life, Row, To};

use crate::clock::{Calendar, Running, due, due_at_the_earliest};
use crate::ids::{EventId, PartyCode, ProcedureCode, StepCode, Time};
use crate::proto::Fact;
use crate::rules::{ClockRule, Code, Procedure, Rules};
use assistance::Assistance;
use order::Line;
use preservation::Preservation;
use std::collections::{BTreeMap, BTreeSet};

/// One signed event of a thread, as far as the law looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// The event.
    pub id: EventId,
    /// What it does.
    pub step: StepCode,
    /// Who signed it.
    pub author: PartyCode,
    /// On which side of the request that Party stands.
    pub side: Side,
    /// The latest events of the thread its author had seen.
    pub parents: Vec<EventId>,
    /// When its author says it was signed.
    pub time: Time,
    /// When it was recorded here: for people to see, never for the state.
    pub recorded: Time,
    /// What its form marks as facts.
    pub facts: Vec<Fact>,
    /// True if a member refused it. What descends from it is void too.
    pub void: bool,
}

/// What must be known of the Parties, besides the acts, to judge a new step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// The reservations of the requested Party under the request's instrument.
    pub reservations: BTreeSet<Code>,
}

/// One row of a family's table, as the outside sees it. Its form is always `<procedure>/<step>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    /// The step's code.
    pub step: &'static str,
    /// Who may take it.
    pub side: Side,
    /// The guard that must hold, by name.
    pub guard: &'static str,
}

impl StepRow {
    /// The step's code as an id.
    #[must_use]
    pub fn code(&self) -> StepCode {
        StepCode::parse(self.step).expect("a test reads every row of every table")
    }
}

/// Which table of steps a procedure follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Preservation of stored data.
    Preservation,
    /// Mutual assistance.
    Assistance,
}

impl Family {
    /// The family of a procedure.
    ///
    /// # Errors
    /// When the rules have no such procedure or this version has no table for it.
    pub fn of<'r>(rules: &'r Rules, code: &ProcedureCode) -> Result<(Self, &'r Procedure), Refusal> {
        let unknown = || Refusal::UnknownProcedure(code.clone());
        let procedure = rules.procedure(code).ok_or_else(unknown)?;
        match procedure.family.as_str() {
            "preservation" => Ok((Self::Preservation, procedure)),
            "assistance" => Ok((Self::Assistance, procedure)),
            _ => Err(unknown()),
        }
    }

    const fn start(self) -> State {
        match self {
            Self::Preservation => State::Preservation(Preservation::DRAFT),
            Self::Assistance => State::Assistance(Assistance::DRAFT),
        }
    }

    /// Of two acts that do not know of each other, the one with the lower rank is applied first.
    fn rank(self, act: &Act) -> u8 {
        match self {
            Self::Preservation => Preservation::rank(act),
            Self::Assistance => Assistance::rank(act),
        }
    }
}

/// Where a request stands in its family's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Preservation of stored data.
    Preservation(preservation::State),
    /// Mutual assistance.
    Assistance(assistance::State),
}

impl State {
    fn is_draft(&self) -> bool {
        match self {
            Self::Preservation(state) => *state == preservation::State::Draft,
            Self::Assistance(state) => *state == assistance::State::Draft,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Preservation(state) => state.kind().name(),
            Self::Assistance(state) => state.kind().name(),
        }
    }

    fn after(&self, act: &Act, rules: &Rules, procedure: &Procedure) -> Result<Self, Refusal> {
        match self {
            Self::Preservation(state) => {
                Judging::<Preservation> { state, act, rules, procedure }.after().map(Self::Preservation)
            }
            Self::Assistance(state) => {
                Judging::<Assistance> { state, act, rules, procedure }.after().map(Self::Assistance)
            }
        }
    }
}

/// An act that did not fit the state at its turn, because its author could not know of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The act.
    pub id: EventId,
    /// Why it did not fit.
    pub refusal: Refusal,
}

/// Where a request stands at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The procedure.
    pub procedure: ProcedureCode,
    /// What the events made of it.
    pub state: State,
    /// What every procedure has: urgency, confidentiality, open questions.
    pub common: Common,
    /// The acts that did not fit, in their order.
    pub set_aside: Vec<SetAside>,
    /// The latest events: the parents of whatever is signed next. Ascending.
    pub heads: Vec<EventId>,
    /// The moment.
    pub now: Time,
}

impl Standing {
    /// The state's name; `lapsed` if its time has run out, which is computed and never signed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.is_lapsed() { LAPSED } else { self.state.name() }
    }

    /// True if the time has run out in which the measure holds.
    #[must_use]
    pub fn is_lapsed(&self) -> bool {
        match &self.state {
            State::Preservation(state) => state.holds_until().is_some_and(|until| self.now >= until),
            State::Assistance(_) => false,
        }
    }

    /// True if nothing but notes, questions and answers can follow.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.state {
            State::Preservation(state) => state.kind().is_final() || self.is_lapsed(),
            State::Assistance(state) => state.kind().is_final(),
        }
    }

    /// When it is closed without another act: at once, if it is closed; nothing if somebody must act first.
    #[must_use]
    pub fn closes(&self) -> Option<Time> {
        match &self.state {
            _ if self.is_closed() => Some(Time(0)),
            State::Preservation(state) => state.holds_until(),
            State::Assistance(_) => None,
        }
    }

    /// What was handed over in it, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        match &self.state {
            State::Preservation(_) => &[],
            State::Assistance(state) => state.deliveries(),
        }
    }
}

/// The name of the one state that no event leads to.
pub const LAPSED: &str = "lapsed";

/// Where a set of acts leaves a request at a moment. Void acts and what descends from them count for nothing;
/// acts that do not fit at their turn are set aside and listed.
///
/// # Errors
/// When there is no table for the procedure.
pub fn fold(rules: &Rules, procedure: &ProcedureCode, acts: &[Act], now: Time) -> Result<Standing, Refusal> {
    let (family, procedure) = Family::of(rules, procedure)?;
    let line = Line::of(acts, |act| family.rank(act));
    let mut standing = Standing {
        procedure: procedure.code.clone(),
        state: family.start(),
        common: Common::default(),
        set_aside: line.rings.into_iter().map(|id| SetAside { id, refusal: Refusal::Cycle }).collect(),
        heads: line.heads,
        now,
    };
    for act in line.acts {
        if let Err(refusal) = take(&mut standing, act, rules, procedure) {
            standing.set_aside.push(SetAside { id: act.id, refusal });
        }
    }
    Ok(standing)
}

/// Whether a step is lawful from where its own causal past leaves the request. `known` may hold more of the
/// thread than that past; the rest is not looked at, so both sides judge alike.
///
/// # Errors
/// The first reason why it is not.
pub fn permits(
    rules: &Rules,
    procedure: &ProcedureCode,
    known: &[Act],
    act: &Act,
    setting: &Setting,
) -> Result<(), Refusal> {
    let past = past(known, act)?;
    let mut standing = fold(rules, procedure, &past, act.time)?;
    let (_, procedure) = Family::of(rules, procedure)?;
    has_reservation(procedure, act, setting)?;
    take(&mut standing, act, rules, procedure)
}

/// Whose move is awaited: of the side whose turn it is, unless that side waits for an answer.
#[must_use]
pub fn whose_turn(standing: &Standing) -> Option<Side> {
    let turn = match &standing.state {
        State::Preservation(_) if standing.is_lapsed() => None,
        State::Preservation(state) => state.kind().turn(),
        State::Assistance(state) => state.kind().turn(),
    };
    let asked_by = |side: Side| standing.common.open_questions.values().any(|asker| *asker == side);
    match turn {
        Some(side) if asked_by(side) => Some(side.other()),
        Some(side) => Some(side),
        None if asked_by(Side::Requesting) => Some(Side::Requested),
        None if asked_by(Side::Requested) => Some(Side::Requesting),
        None => None,
    }
}

/// The steps open to a side, those of the family first.
#[must_use]
pub fn next_steps(standing: &Standing, side: Side) -> Vec<&'static StepRow> {
    let own = match &standing.state {
        State::Preservation(state) => preservation::open_rows(state, side, standing.is_lapsed()),
        State::Assistance(state) => assistance::open_rows(state, side),
    };
    let shared = if standing.state.is_draft() { Vec::new() } else { common::open_rows(&standing.common, side) };
    own.into_iter().chain(shared).collect()
}

/// The clocks that run, as the calendar of the side that is bound by them counts.
#[must_use]
pub fn clocks(rules: &Rules, standing: &Standing, calendar: &Calendar) -> Vec<Running> {
    let Some(procedure) = rules.procedure(&standing.procedure) else { return Vec::new() };
    match &standing.state {
        State::Preservation(state) => preservation::clocks(state, rules, procedure, calendar),
        State::Assistance(state) => assistance::clocks(state, &standing.common, rules, procedure, calendar),
    }
}

fn take(standing: &mut Standing, act: &Act, rules: &Rules, procedure: &Procedure) -> Result<(), Refusal> {
    if common::knows(&act.step) {
        if standing.state.is_draft() {
            return Err(Refusal::WrongState { step: act.step.clone(), state: standing.state.name() });
        }
        return standing.common.take(act);
    }
    standing.state = standing.state.after(act, rules, procedure)?;
    standing.common.note_envelope(act);
    Ok(())
}

/// When a period ends. A date beyond the calendar is counted plainly: a late alert would be worse than a rough one.
fn end(since: Time, rule: &ClockRule, calendar: &Calendar) -> Time {
    due(since, rule, calendar).unwrap_or_else(|_| due_at_the_earliest(since, rule))
}

/// Everything an act descends from.
fn past(known: &[Act], act: &Act) -> Result<Vec<Act>, Refusal> {
    let by_id: BTreeMap<EventId, &Act> = known.iter().map(|known| (known.id, known)).collect();
    let mut past = BTreeMap::new();
    let mut next: Vec<EventId> = act.parents.clone();
    while let Some(id) = next.pop() {
        if past.contains_key(&id) || id == act.id {
            continue;
        }
        let parent = by_id.get(&id).ok_or(Refusal::UnknownParent(id))?;
        if parent.void {
            return Err(Refusal::VoidParent(id));
        }
        past.insert(id, (*parent).clone());
        next.extend(&parent.parents);
    }
    Ok(past.into_values().collect())
}

/// A ground that is open only with a reservation needs that the Party made it.
fn has_reservation(procedure: &Procedure, act: &Act, setting: &Setting) -> Result<(), Refusal> {
    let ground = act.code_if_any("ground").and_then(|ground| procedure.ground(&ground));
    match ground.and_then(|usage| usage.only_with.as_ref()) {
        Some(reservation) if !setting.reservations.contains(reservation) => {
            Err(Refusal::NoReservation(reservation.clone()))
        }
        Some(_) | None => Ok(()),
    }
}
