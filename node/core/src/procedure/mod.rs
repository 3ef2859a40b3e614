//! What the law of a procedure makes of the signed events of a thread.
//!
//! Decides whether a step is lawful, where a request stands, whose turn it is and which clocks run. It
//! never reads a body, a clock of the machine or anything but the acts handed in: state is a function
//! of the *set* of events, the same on every node and for every order of arrival. When something was
//! recorded here is therefore not looked at; what counts is what the author signed.
//! Start at [`fold`] and [`permits`]; the tables of steps are data, in `node/rules/families`.
//! The rule for what happens at once is written down in `node/decisions/concurrent-steps.md`.

mod clocks;
mod common;
mod course;
mod delivery;
mod drawing;
mod facts;
mod guard;
mod order;
mod refusal;
#[cfg(test)]
pub(crate) mod tests;
mod windows;

pub use crate::rules::Side;
pub use clocks::clocks;
pub(crate) use common::TRANSLATES_AN_OWN_ACT;
pub use common::{Common, Signed};
pub use course::{Course, Said, Taken};
pub use delivery::{Delivery, DeliveryState, ManifestRef};
pub use drawing::{LAPSED, drawing};
pub use refusal::Refusal;

use crate::ids::{EventId, PartyCode, ProcedureCode, StepCode, Time};
use crate::proto::{ActorKind, Fact};
use crate::rules::{Basis, Code, Family, Procedure, Rules};
use guard::Judging;
pub(crate) use guard::sending;
use order::Line;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// The instruments that bind the two Parties towards each other.
    pub in_force: BTreeSet<Code>,
    /// The reservations and declarations of the requested Party.
    pub reservations: BTreeSet<Code>,
}

/// A step that is open to a side. Its form is always `<procedure>/<step>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'r> {
    /// The step's code.
    pub step: &'r str,
    /// Who may take it.
    pub side: Side,
}

impl Open<'_> {
    /// The step's code as an id.
    #[must_use]
    pub fn code(&self) -> StepCode {
        StepCode::parse(self.step).expect("rules are read with well-formed steps")
    }
}

/// The life a procedure follows, and the procedure.
///
/// # Errors
/// When the rules have no such procedure or it is not offered yet.
fn known<'r>(rules: &'r Rules, code: &ProcedureCode) -> Result<(&'r Arc<Family>, &'r Procedure), Refusal> {
    let unknown = || Refusal::UnknownProcedure(code.clone());
    Ok((rules.family(code).ok_or_else(unknown)?, rules.procedure(code).ok_or_else(unknown)?))
}

/// Of two acts that do not know of each other, the one with the lower rank is applied first: acts of the requested side
/// before what the requesting side did without knowing of them; of the latter, what yields last.
fn rank(family: &Family, act: &Act) -> u8 {
    match act.side {
        Side::Requested => 0,
        Side::Requesting if family.yields.iter().any(|step| step.as_str() == act.step.as_str()) => 2,
        Side::Requesting => 1,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The procedure.
    pub procedure: ProcedureCode,
    /// The life it follows.
    pub family: Arc<Family>,
    /// What the events made of it.
    pub course: Course,
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
    pub fn name(&self) -> &str {
        if self.is_lapsed() { LAPSED } else { self.course.state().as_str() }
    }

    /// Until when what it holds lasts, if its state ends with time.
    #[must_use]
    pub fn holds_until(&self) -> Option<Time> {
        guard::holds_until(&self.family, &self.course)
    }

    /// True if the time has run out in which the measure holds.
    #[must_use]
    pub fn is_lapsed(&self) -> bool {
        self.holds_until().is_some_and(|until| self.now >= until)
    }

    /// True if nothing but notes, questions and answers can follow.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.family.is_final(self.course.state().as_str()) || self.is_lapsed()
    }

    /// When it is closed without another act: at once, if it is closed; nothing if somebody must act first.
    #[must_use]
    pub fn closes(&self) -> Option<Time> {
        if self.is_closed() { Some(Time(0)) } else { self.holds_until() }
    }

    /// What the instrument it rests on says of the procedure.
    #[must_use]
    pub fn basis<'r>(&self, rules: &'r Rules) -> Option<&'r Basis> {
        rules.basis(&self.procedure, &self.course.code(course::INSTRUMENT)?)
    }

    /// What was handed over in it, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        self.course.deliveries()
    }
}

/// Where a set of acts leaves a request at a moment. Void acts and what descends from them count for nothing;
/// acts that do not fit at their turn are set aside and listed.
///
/// # Errors
/// When the procedure is not known or not offered.
pub fn fold(rules: &Rules, procedure: &ProcedureCode, acts: &[Act], now: Time) -> Result<Standing, Refusal> {
    let (family, procedure) = known(rules, procedure)?;
    let line = Line::of(acts, |act| rank(family, act));
    let mut standing = Standing {
        procedure: procedure.code.clone(),
        family: Arc::clone(family),
        course: Course::draft(),
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
    known_acts: &[Act],
    act: &Act,
    setting: &Setting,
) -> Result<(), Refusal> {
    let past = past(known_acts, act)?;
    let mut standing = fold(rules, procedure, &past, act.time)?;
    let (_, procedure) = known(rules, procedure)?;
    take(&mut standing, act, rules, procedure)?;
    // A request names its instrument; so does a request for extradition that follows one for arrest.
    if let Some(instrument) = act.code_if_any(course::INSTRUMENT) {
        may_be_asked(rules, procedure, &standing.course, &instrument, setting)?;
    }
    has_reservation(rules, &standing, act, setting)
}

/// In whose name a side takes a step: the table says so. The common steps are an authority's.
///
/// # Errors
/// When the procedure is not known.
pub fn actor_of(rules: &Rules, procedure: &ProcedureCode, step: &StepCode, side: Side) -> Result<ActorKind, Refusal> {
    let (family, _) = known(rules, procedure)?;
    let row = family.rows.iter().find(|row| row.step == *step && row.by.side() == side);
    Ok(row.map_or(ActorKind::Authority, |row| row.by.actor()))
}

/// Whose move is awaited: of the side whose turn it is, unless that side waits for an answer.
#[must_use]
pub fn whose_turn(standing: &Standing) -> Option<Side> {
    let state = standing.family.state(standing.course.state().as_str());
    let turn = state.filter(|_| !standing.is_lapsed()).and_then(|state| state.turn);
    let asked_by = |side: Side| standing.common.open_questions.values().any(|asker| *asker == side);
    match turn {
        Some(side) if asked_by(side) => Some(side.other()),
        Some(side) => Some(side),
        None if asked_by(Side::Requesting) => Some(Side::Requested),
        None if asked_by(Side::Requested) => Some(Side::Requesting),
        None => None,
    }
}

/// The steps open to a side, those of the table first. Those whose guard cannot hold now are left out.
#[must_use]
pub fn next_steps(standing: &Standing, side: Side) -> Vec<Open<'_>> {
    let (course, lapsed) = (&standing.course, standing.is_lapsed());
    let fits = |row: &&crate::rules::StepRow| {
        row.fits(course.state().as_str(), side)
            && guard::has_what_it_needs(row, course)
            && guard::barred_by(row, course).is_none()
            && row.guards.iter().all(|guard| guard::can_hold(*guard, course, lapsed))
    };
    let own = standing.family.rows.iter().filter(fits);
    let mut open: Vec<Open<'_>> = own.map(|row| Open { step: row.step.as_str(), side }).collect();
    let shared = common::open_rows(&standing.common, side).filter(|_| !course.is_draft());
    open.extend(shared.map(|step| Open { step, side }));
    open
}

fn take(standing: &mut Standing, act: &Act, rules: &Rules, procedure: &Procedure) -> Result<(), Refusal> {
    if common::knows(&act.step) {
        if standing.course.is_draft() {
            return Err(Refusal::WrongState { step: act.step.clone(), state: standing.course.state().clone() });
        }
        let fixed = standing.basis(rules).and_then(|basis| basis.urgency_fixed_by.as_deref());
        let before = standing.common.is_urgent();
        standing.common.take(act, fixed, &standing.course)?;
        if common::changes_urgency(&act.step) {
            standing.course.hear_urgency(act, before && standing.common.is_urgent());
        } else {
            standing.course.hear(act);
        }
    } else {
        let family = &standing.family;
        standing.course = Judging { family, course: &standing.course, act, rules, procedure }.after()?;
        standing.common.note_envelope(act);
    }
    standing.common.note_signed(act);
    Ok(())
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

/// A request may be asked if its instrument binds both Parties, and no declaration of the requested one closes it.
fn may_be_asked(
    rules: &Rules,
    procedure: &Procedure,
    course: &Course,
    instrument: &Code,
    setting: &Setting,
) -> Result<(), Refusal> {
    let protocols = course.codes(course::PROTOCOLS);
    if let Some(code) = [instrument].into_iter().chain(&protocols).find(|code| !setting.in_force.contains(*code)) {
        return Err(Refusal::NotInForce(code.clone()));
    }
    let basis = rules.basis(&procedure.code, instrument);
    let asked = course.codes("data.categories");
    match basis.and_then(|basis| {
        crate::law::closing(basis, &setting.reservations, &asked, |condition| clocks::holds(condition, course))
    }) {
        Some(code) => Err(Refusal::ClosedByDeclaration(code.clone())),
        None => Ok(()),
    }
}

/// A ground or a condition that is open only with a reservation, and speciality that is renounced only with one, need that the
/// Party made it.
fn has_reservation(rules: &Rules, standing: &Standing, act: &Act, setting: &Setting) -> Result<(), Refusal> {
    let basis = standing.basis(rules);
    let terms = act.codes("conditions").into_iter().chain(act.codes("terms.codes"));
    let named = act.code_if_any("ground").into_iter().chain(terms);
    let needed = named.filter_map(|code| basis?.ground(&code)?.only_with.as_ref());
    let renounced = act.flag("speciality.renounced").is_ok_and(|renounced| renounced);
    let renounced = basis.and_then(|basis| basis.renounced_with.as_ref()).filter(|_| renounced);
    match needed.chain(renounced).find(|reservation| !setting.reservations.contains(*reservation)) {
        Some(reservation) => Err(Refusal::NoReservation(reservation.clone())),
        None => Ok(()),
    }
}
