//! Expedited preservation of stored data (BC 29 and 30; UNCC 42 and 43).
//!
//! A draft is local and unsigned. Preservation lapses by the clock, which no event says. Withdrawal before
//! the data are preserved ends the request; after that it releases them. From a follow-up on, the
//! data stay until the decision on that other request. Start at [`TABLE`].

mod judge;
mod state;
#[cfg(test)]
mod tests;

pub use state::{Measure, Request, State};

use super::{Act, Judging, Life, Refusal, Row, Side, StepRow, To, end, table};
use crate::clock::{Calendar, Running};
use crate::rules::{Procedure, Rules};

/// The kinds of state, without their facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing is signed.
    Draft,
    /// The request is signed.
    Requested,
    /// A person on the requested side has taken it up.
    Acknowledged,
    /// The requested side warned that preservation will not suffice or would do harm.
    Warned,
    /// The data are preserved.
    Preserved,
    /// They are, and the requesting side asked for longer.
    ExtensionAsked,
    /// The request for mutual assistance was sent; the data stay until its decision.
    FollowedUp,
    /// Refused on a ground.
    Refused,
    /// It cannot be done.
    CannotPreserve,
    /// No longer needed.
    Released,
    /// Withdrawn before anything was preserved.
    Withdrawn,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Draft,
        Self::Requested,
        Self::Acknowledged,
        Self::Warned,
        Self::Preserved,
        Self::ExtensionAsked,
        Self::FollowedUp,
        Self::Refused,
        Self::CannotPreserve,
        Self::Released,
        Self::Withdrawn,
    ];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Acknowledged => "acknowledged",
            Self::Warned => "warned",
            Self::Preserved => "preserved",
            Self::ExtensionAsked => "extension_asked",
            Self::FollowedUp => "followed_up",
            Self::Refused => "refused",
            Self::CannotPreserve => "cannot_preserve",
            Self::Released => "released",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// True if no step of the table changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Refused | Self::CannotPreserve | Self::Released | Self::Withdrawn => true,
            Self::Draft
            | Self::Requested
            | Self::Acknowledged
            | Self::Warned
            | Self::Preserved
            | Self::ExtensionAsked
            | Self::FollowedUp => false,
        }
    }

    /// True if it ends with its time.
    #[must_use]
    pub const fn can_lapse(self) -> bool {
        matches!(self, Self::Preserved | Self::ExtensionAsked)
    }

    /// Whose move is awaited.
    #[must_use]
    pub const fn turn(self) -> Option<Side> {
        match self {
            Self::Draft | Self::Warned | Self::Preserved => Some(Side::Requesting),
            Self::Requested | Self::Acknowledged | Self::ExtensionAsked => Some(Side::Requested),
            Self::FollowedUp | Self::Refused | Self::CannotPreserve | Self::Released | Self::Withdrawn => None,
        }
    }
}

/// What can be done in this family beside the common steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask.
    Request,
    /// Take it up.
    Acknowledge,
    /// Warn that it will not suffice or would do harm (BC 29(6)).
    WarnInsufficient,
    /// Have it executed nevertheless.
    Proceed,
    /// Say that the data are preserved.
    Preserve,
    /// Say that it cannot be done.
    CannotPreserve,
    /// Refuse.
    Refuse,
    /// Ask for longer.
    Extend,
    /// Say that the data are preserved longer.
    ConfirmExtension,
    /// Say that the request for mutual assistance was sent.
    FollowUp,
    /// Say that the data are no longer needed.
    Release,
    /// Take the request back.
    Withdraw,
    /// Disclose a path through another State (BC 30).
    DisclosePath,
}

impl Step {
    /// All steps.
    pub const ALL: &'static [Self] = &[
        Self::Request,
        Self::Acknowledge,
        Self::WarnInsufficient,
        Self::Proceed,
        Self::Preserve,
        Self::CannotPreserve,
        Self::Refuse,
        Self::Extend,
        Self::ConfirmExtension,
        Self::FollowUp,
        Self::Release,
        Self::Withdraw,
        Self::DisclosePath,
    ];

    /// The step's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Acknowledge => "acknowledge",
            Self::WarnInsufficient => "warn-insufficient",
            Self::Proceed => "proceed",
            Self::Preserve => "preserve",
            Self::CannotPreserve => "cannot-preserve",
            Self::Refuse => "refuse",
            Self::Extend => "extend",
            Self::ConfirmExtension => "confirm-extension",
            Self::FollowUp => "follow-up",
            Self::Release => "release",
            Self::Withdraw => "withdraw",
            Self::DisclosePath => "disclose-path",
        }
    }
}

/// What must hold besides state and side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    None,
    /// The request names an instrument of the procedure.
    BasedOnInstrument,
    /// The requested side warns once; then the requesting side has decided.
    WarnsOnce,
    /// The measure was taken by now and holds at least as long as the instrument demands.
    HoldsLongEnough,
    /// The preservation has not lapsed when the step is signed.
    StillHolds,
    /// It has not lapsed, and more time is asked for than there is.
    AsksForLonger,
    /// The new end lies after the present one.
    EndsLater,
    /// The ground is open in this procedure, to this Party, for these offences.
    GroundIsOpen,
}

/// All guards.
pub const GUARDS: &[Guard] = &[
    Guard::None,
    Guard::BasedOnInstrument,
    Guard::WarnsOnce,
    Guard::HoldsLongEnough,
    Guard::StillHolds,
    Guard::AsksForLonger,
    Guard::EndsLater,
    Guard::GroundIsOpen,
];

impl Guard {
    /// The name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BasedOnInstrument => "based-on-instrument",
            Self::WarnsOnce => "warns-once",
            Self::HoldsLongEnough => "holds-long-enough",
            Self::StillHolds => "still-holds",
            Self::AsksForLonger => "asks-for-longer",
            Self::EndsLater => "ends-later",
            Self::GroundIsOpen => "ground-is-open",
        }
    }

    /// What it demands, for people.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::None => "always",
            Self::BasedOnInstrument => "the request names an instrument of the procedure",
            Self::WarnsOnce => "the requesting side has not already decided upon a warning (BC 29(6))",
            Self::HoldsLongEnough => {
                "the measure was taken by now and holds at least the period of the instrument (BC 29(7))"
            }
            Self::StillHolds => "the preservation has not lapsed when the step is signed",
            Self::AsksForLonger => "it has not lapsed, and more time is asked for than there is",
            Self::EndsLater => "the new end lies after the present one",
            Self::GroundIsOpen => {
                "the ground is open in the procedure; with the reservation it needs; not for offences it is closed to (BC 29(4), (5))"
            }
        }
    }
}

/// The family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preservation {}

impl Life for Preservation {
    type State = State;
    type Kind = Kind;
    type Step = Step;
    type Guard = Guard;

    const TITLE: &'static str = "Preservation";
    const FILE: &'static str = "preservation.rs";
    const DRAFT: State = State::Draft;
    const KINDS: &'static [Kind] = Kind::ALL;
    const STEPS: &'static [Step] = Step::ALL;
    const GUARDS: &'static [Guard] = GUARDS;
    const TABLE: &'static [Row<Self>] = TABLE;

    fn kind(state: &State) -> Kind {
        state.kind()
    }

    fn name(kind: Kind) -> &'static str {
        kind.name()
    }

    fn can_lapse(kind: Kind) -> bool {
        kind.can_lapse()
    }

    fn code(step: Step) -> &'static str {
        step.code()
    }

    fn guard(guard: Guard) -> (&'static str, &'static str) {
        (guard.name(), guard.says())
    }

    fn rank(act: &Act) -> u8 {
        rank(act)
    }

    fn wrong(judging: &Judging<'_, Self>, guard: Guard) -> Result<Option<String>, Refusal> {
        judging.wrong(guard)
    }

    fn take(judging: &Judging<'_, Self>, step: Step) -> Result<State, Refusal> {
        judging.take(step)
    }
}

const fn row(from: &'static [Kind], step: Step, side: Side, to: To<Kind>, guard: Guard) -> Row<Preservation> {
    Row { from, step, to, guard, row: StepRow { step: step.code(), side, guard: guard.name() } }
}

const fn to(kind: Kind) -> To<Kind> {
    To::Kind(kind)
}

const OPEN: &[Kind] = &[Kind::Requested, Kind::Acknowledged];
const UNDECIDED: &[Kind] = &[Kind::Requested, Kind::Acknowledged, Kind::Warned];
const HELD: &[Kind] = &[Kind::Preserved, Kind::ExtensionAsked];
const KEPT: &[Kind] = &[Kind::Preserved, Kind::ExtensionAsked, Kind::FollowedUp];
const EVER_KEPT: &[Kind] = &[Kind::Preserved, Kind::ExtensionAsked, Kind::FollowedUp, Kind::Released];

/// All lawful steps. For one kind, step and side there is at most one row.
pub const TABLE: &[Row<Preservation>] = {
    use Guard as G;
    use Kind as K;
    use Side::{Requested as Rd, Requesting as Rq};
    use Step as S;
    &[
        row(&[K::Draft], S::Request, Rq, to(K::Requested), G::BasedOnInstrument),
        row(&[K::Requested], S::Acknowledge, Rd, to(K::Acknowledged), G::None),
        row(OPEN, S::WarnInsufficient, Rd, to(K::Warned), G::WarnsOnce),
        row(&[K::Warned], S::Proceed, Rq, to(K::Acknowledged), G::None),
        row(OPEN, S::Preserve, Rd, to(K::Preserved), G::HoldsLongEnough),
        row(UNDECIDED, S::CannotPreserve, Rd, to(K::CannotPreserve), G::None),
        row(UNDECIDED, S::Refuse, Rd, to(K::Refused), G::GroundIsOpen),
        row(&[K::Preserved], S::Extend, Rq, to(K::ExtensionAsked), G::AsksForLonger),
        row(&[K::ExtensionAsked], S::ConfirmExtension, Rd, to(K::Preserved), G::EndsLater),
        row(HELD, S::FollowUp, Rq, to(K::FollowedUp), G::StillHolds),
        row(KEPT, S::Release, Rq, to(K::Released), G::None),
        row(UNDECIDED, S::Withdraw, Rq, to(K::Withdrawn), G::None),
        row(KEPT, S::Withdraw, Rq, to(K::Released), G::None),
        row(EVER_KEPT, S::DisclosePath, Rd, To::Stays, G::None),
    ]
};

/// Decisions of the requested side before what the requesting side did without knowing of them; of the latter,
/// withdrawal and release last.
fn rank(act: &Act) -> u8 {
    let ends = [Step::Withdraw, Step::Release].iter().any(|step| step.code() == act.step.as_str());
    match act.side {
        Side::Requested => 0,
        Side::Requesting if ends => 2,
        Side::Requesting => 1,
    }
}

/// The rows of the table open to a side: those whose guard cannot hold any more are left out.
pub(super) fn open_rows(state: &State, side: Side, lapsed: bool) -> Vec<&'static StepRow> {
    let insisted = state.is_insisted();
    table::open_rows::<Preservation>(state, side, |guard| match guard {
        Guard::StillHolds | Guard::AsksForLonger => !lapsed,
        Guard::WarnsOnce => !insisted,
        Guard::None | Guard::BasedOnInstrument | Guard::HoldsLongEnough | Guard::EndsLater | Guard::GroundIsOpen => {
            true
        }
    })
}

/// The clocks that run: how long the data are held and, beside it, the domestic order where it ends before.
pub(super) fn clocks(state: &State, rules: &Rules, procedure: &Procedure, calendar: &Calendar) -> Vec<Running> {
    let Some((request, measure)) = state.request().zip(state.measure()) else { return Vec::new() };
    if state.kind().is_final() {
        return Vec::new();
    }
    let rule = |role| procedure.clock(role, &request.instrument).and_then(|id| rules.clock(id));
    let holds =
        rule("holds").filter(|_| state.kind().can_lapse()).map(|rule| Running::new(rule, measure.since, measure.until));
    let renew = rule("renew").and_then(|rule| {
        let end = end(measure.ordered, rule, calendar);
        let matters = state.holds_until().is_none_or(|until| end < until);
        matters.then(|| Running::new(rule, measure.ordered, end))
    });
    holds.into_iter().chain(renew).collect()
}
