//! Mutual assistance regarding stored data: search, seizure, disclosure (BC 31 with 23, 25, 27, 28; UNCC 44 and 40).
//!
//! The automatic receipt is a matter of delivery and no state; `acknowledge` is a person's act. The report of execution
//! and the manifest of what is handed over are one signed act, so *executed* and *delivered* are one state. What is
//! handed over has a life of its own beside the request's: offered, terms accepted, in custody, or disputed
//! and replaced ([`Delivery`]). Before a refusal or postponement the two sides consult. Start at [`TABLE`].

mod delivery;
mod guard;
mod judge;
mod state;
#[cfg(test)]
mod tests;

pub use delivery::{Delivery, DeliveryState, ManifestRef};
pub use guard::{GUARDS, Guard};
pub use state::{File, Phase, Request, State};

use super::{Act, Common, Judging, Life, Refusal, Row, Side, StepRow, To, end, table};
use crate::clock::{Calendar, Running};
use crate::ids::Time;
use crate::rules::{Procedure, Rules};

/// The kinds of state, without their facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing is signed.
    Draft,
    /// The request is signed.
    Issued,
    /// It was returned because something is missing.
    ReturnedIncomplete,
    /// Another authority is competent.
    Forwarded,
    /// A person on the requested side has taken it up.
    UnderReview,
    /// The two sides consult before a decision.
    Consultation,
    /// It would be executed under conditions.
    ConditionsProposed,
    /// It will be executed.
    Accepted,
    /// Execution has begun.
    Executing,
    /// A court has suspended execution.
    Suspended,
    /// A part was handed over; more will follow.
    PartiallyExecuted,
    /// Everything was handed over.
    Delivered,
    /// The requesting side disputes a hand-over.
    Disputed,
    /// All that was handed over is in the requesting side's custody.
    Acknowledged,
    /// Closed.
    Closed,
    /// It could not be executed.
    NotExecuted,
    /// Refused on a ground.
    Refused,
    /// Postponed on a ground.
    Postponed,
    /// Withdrawn.
    Withdrawn,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Draft,
        Self::Issued,
        Self::ReturnedIncomplete,
        Self::Forwarded,
        Self::UnderReview,
        Self::Consultation,
        Self::ConditionsProposed,
        Self::Accepted,
        Self::Executing,
        Self::Suspended,
        Self::PartiallyExecuted,
        Self::Delivered,
        Self::Disputed,
        Self::Acknowledged,
        Self::Closed,
        Self::NotExecuted,
        Self::Refused,
        Self::Postponed,
        Self::Withdrawn,
    ];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Issued => "issued",
            Self::ReturnedIncomplete => "returned_incomplete",
            Self::Forwarded => "forwarded",
            Self::UnderReview => "under_review",
            Self::Consultation => "consultation",
            Self::ConditionsProposed => "conditions_proposed",
            Self::Accepted => "accepted",
            Self::Executing => "executing",
            Self::Suspended => "suspended",
            Self::PartiallyExecuted => "partially_executed",
            Self::Delivered => "delivered",
            Self::Disputed => "disputed",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
            Self::NotExecuted => "not_executed",
            Self::Refused => "refused",
            Self::Postponed => "postponed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// True if no step of the table changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Forwarded | Self::Closed | Self::NotExecuted | Self::Withdrawn => true,
            Self::Draft
            | Self::Issued
            | Self::ReturnedIncomplete
            | Self::UnderReview
            | Self::Consultation
            | Self::ConditionsProposed
            | Self::Accepted
            | Self::Executing
            | Self::Suspended
            | Self::PartiallyExecuted
            | Self::Delivered
            | Self::Disputed
            | Self::Acknowledged
            | Self::Refused
            | Self::Postponed => false,
        }
    }

    /// Whose move is awaited.
    #[must_use]
    pub const fn turn(self) -> Option<Side> {
        match self {
            Self::Draft
            | Self::ReturnedIncomplete
            | Self::Consultation
            | Self::ConditionsProposed
            | Self::Delivered
            | Self::Acknowledged => Some(Side::Requesting),
            Self::Issued
            | Self::UnderReview
            | Self::Accepted
            | Self::Executing
            | Self::Suspended
            | Self::PartiallyExecuted
            | Self::Disputed
            | Self::Postponed => Some(Side::Requested),
            Self::Forwarded | Self::Closed | Self::NotExecuted | Self::Refused | Self::Withdrawn => None,
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
    /// Return it because something is missing.
    ReturnIncomplete,
    /// Supply what was missing.
    Complete,
    /// Say that another authority is competent.
    Forward,
    /// Consult before a refusal, a postponement or conditions (BC 27(6)).
    Consult,
    /// Answer that.
    AnswerConsultation,
    /// Wait for the answer no longer.
    EndConsultation,
    /// Decide to execute.
    Accept,
    /// Decide to execute under conditions (BC 28(2)).
    AcceptWithConditions,
    /// Be bound by them (BC 28(3)).
    AcceptConditions,
    /// Say that they cannot be accepted.
    DeclineConditions,
    /// Refuse.
    Refuse,
    /// Postpone (BC 27(5)).
    Postpone,
    /// Ask to reconsider, with new facts.
    Reconsider,
    /// Take up a postponed request again.
    ResumeReview,
    /// Say that execution has begun.
    BeginExecution,
    /// Say that a court has suspended execution.
    Suspend,
    /// Say that the suspension has ended.
    Resume,
    /// Say that it cannot be executed.
    CannotExecute,
    /// Hand over a part; more will follow.
    DeliverPart,
    /// Report execution and hand over the rest, or everything.
    Deliver,
    /// Hand over in place of what was disputed.
    Redeliver,
    /// Be bound by the terms of a hand-over.
    AcceptTerms,
    /// Say what is wrong with a hand-over.
    Dispute,
    /// Take custody of what was handed over and verified.
    TakeCustody,
    /// Close.
    Close,
    /// Take the request back.
    Withdraw,
}

impl Step {
    /// All steps.
    pub const ALL: &'static [Self] = &[
        Self::Request,
        Self::Acknowledge,
        Self::ReturnIncomplete,
        Self::Complete,
        Self::Forward,
        Self::Consult,
        Self::AnswerConsultation,
        Self::EndConsultation,
        Self::Accept,
        Self::AcceptWithConditions,
        Self::AcceptConditions,
        Self::DeclineConditions,
        Self::Refuse,
        Self::Postpone,
        Self::Reconsider,
        Self::ResumeReview,
        Self::BeginExecution,
        Self::Suspend,
        Self::Resume,
        Self::CannotExecute,
        Self::DeliverPart,
        Self::Deliver,
        Self::Redeliver,
        Self::AcceptTerms,
        Self::Dispute,
        Self::TakeCustody,
        Self::Close,
        Self::Withdraw,
    ];

    /// The step's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Acknowledge => "acknowledge",
            Self::ReturnIncomplete => "return-incomplete",
            Self::Complete => "complete",
            Self::Forward => "forward",
            Self::Consult => "consult",
            Self::AnswerConsultation => "answer-consultation",
            Self::EndConsultation => "end-consultation",
            Self::Accept => "accept",
            Self::AcceptWithConditions => "accept-with-conditions",
            Self::AcceptConditions => "accept-conditions",
            Self::DeclineConditions => "decline-conditions",
            Self::Refuse => "refuse",
            Self::Postpone => "postpone",
            Self::Reconsider => "reconsider",
            Self::ResumeReview => "resume-review",
            Self::BeginExecution => "begin-execution",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::CannotExecute => "cannot-execute",
            Self::DeliverPart => "deliver-part",
            Self::Deliver => "deliver",
            Self::Redeliver => "redeliver",
            Self::AcceptTerms => "accept-terms",
            Self::Dispute => "dispute",
            Self::TakeCustody => "take-custody",
            Self::Close => "close",
            Self::Withdraw => "withdraw",
        }
    }
}

/// The family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assistance {}

impl Life for Assistance {
    type State = State;
    type Kind = Kind;
    type Step = Step;
    type Guard = Guard;

    const TITLE: &'static str = "Mutual assistance";
    const FILE: &'static str = "assistance.rs";
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

    fn can_lapse(_: Kind) -> bool {
        false
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

const fn row(from: &'static [Kind], step: Step, side: Side, to: To<Kind>, guard: Guard) -> Row<Assistance> {
    Row { from, step, to, guard, row: StepRow { step: step.code(), side, guard: guard.name() } }
}

const fn to(kind: Kind) -> To<Kind> {
    To::Kind(kind)
}

const NEW: &[Kind] = &[Kind::Issued, Kind::UnderReview];
const RUNNING: &[Kind] = &[Kind::Accepted, Kind::Executing, Kind::PartiallyExecuted];
const POSSIBLE: &[Kind] = &[Kind::UnderReview, Kind::Accepted, Kind::Executing];
const HANDED_OVER: &[Kind] = &[Kind::Delivered, Kind::Disputed];
const MORE_TO_COME: &[Kind] = &[Kind::PartiallyExecuted, Kind::Suspended];
const OFFERED: &[Kind] = &[Kind::PartiallyExecuted, Kind::Suspended, Kind::Delivered, Kind::Disputed];
const UNDELIVERED: &[Kind] = &[
    Kind::Issued,
    Kind::ReturnedIncomplete,
    Kind::UnderReview,
    Kind::Consultation,
    Kind::ConditionsProposed,
    Kind::Accepted,
    Kind::Executing,
    Kind::Suspended,
    Kind::PartiallyExecuted,
    Kind::Refused,
    Kind::Postponed,
];

/// All lawful steps. For one kind, step and side there is at most one row.
pub const TABLE: &[Row<Assistance>] = {
    use Guard as G;
    use Kind as K;
    use Side::{Requested as Rd, Requesting as Rq};
    use Step as S;
    &[
        row(&[K::Draft], S::Request, Rq, to(K::Issued), G::BasedOnInstrument),
        row(NEW, S::ReturnIncomplete, Rd, to(K::ReturnedIncomplete), G::None),
        row(&[K::ReturnedIncomplete], S::Complete, Rq, to(K::Issued), G::None),
        row(NEW, S::Forward, Rd, to(K::Forwarded), G::None),
        row(&[K::Issued], S::Acknowledge, Rd, to(K::UnderReview), G::None),
        row(&[K::UnderReview], S::Consult, Rd, to(K::Consultation), G::None),
        row(&[K::Consultation], S::AnswerConsultation, Rq, to(K::UnderReview), G::None),
        row(&[K::Consultation], S::EndConsultation, Rd, to(K::UnderReview), G::None),
        row(&[K::UnderReview], S::Accept, Rd, to(K::Accepted), G::PartNamesGround),
        row(&[K::UnderReview], S::AcceptWithConditions, Rd, to(K::ConditionsProposed), G::None),
        row(&[K::ConditionsProposed], S::AcceptConditions, Rq, to(K::Accepted), G::None),
        row(&[K::ConditionsProposed], S::DeclineConditions, Rq, to(K::UnderReview), G::None),
        row(&[K::UnderReview, K::Suspended], S::Refuse, Rd, to(K::Refused), G::ConsultedBefore),
        row(&[K::UnderReview], S::Postpone, Rd, to(K::Postponed), G::ConsultedBefore),
        row(&[K::Refused, K::Postponed], S::Reconsider, Rq, to(K::UnderReview), G::None),
        row(&[K::Postponed], S::ResumeReview, Rd, to(K::UnderReview), G::None),
        row(&[K::Accepted], S::BeginExecution, Rd, to(K::Executing), G::None),
        row(RUNNING, S::Suspend, Rd, to(K::Suspended), G::None),
        row(&[K::Suspended], S::Resume, Rd, To::Resumed, G::None),
        row(POSSIBLE, S::CannotExecute, Rd, to(K::NotExecuted), G::None),
        row(RUNNING, S::DeliverPart, Rd, to(K::PartiallyExecuted), G::NamesManifest),
        row(RUNNING, S::Deliver, Rd, To::Settled, G::NamesManifest),
        row(&[K::PartiallyExecuted], S::Redeliver, Rd, To::Stays, G::ReplacesDisputed),
        row(&[K::Disputed], S::Redeliver, Rd, To::Settled, G::ReplacesDisputed),
        row(OFFERED, S::AcceptTerms, Rq, To::Stays, G::OffersTerms),
        row(MORE_TO_COME, S::Dispute, Rq, To::Stays, G::IsOpen),
        row(HANDED_OVER, S::Dispute, Rq, To::Settled, G::IsOpen),
        row(MORE_TO_COME, S::TakeCustody, Rq, To::Stays, G::VerifiedWhole),
        row(HANDED_OVER, S::TakeCustody, Rq, To::Settled, G::VerifiedWhole),
        row(&[K::Acknowledged], S::Close, Rq, to(K::Closed), G::None),
        row(&[K::Acknowledged], S::Close, Rd, to(K::Closed), G::None),
        row(UNDELIVERED, S::Withdraw, Rq, to(K::Withdrawn), G::None),
    ]
};

/// Acts of the requested side before what the requesting side did without knowing of them; of the latter, the
/// withdrawal last.
fn rank(act: &Act) -> u8 {
    match act.side {
        Side::Requested => 0,
        Side::Requesting if act.step.as_str() == Step::Withdraw.code() => 2,
        Side::Requesting => 1,
    }
}

/// The rows of the table open to a side: those whose guard cannot hold now are left out.
pub(super) fn open_rows(state: &State, side: Side) -> Vec<&'static StepRow> {
    let any = |fits: fn(&Delivery) -> bool| state.deliveries().iter().any(fits);
    table::open_rows::<Assistance>(state, side, |guard| match guard {
        Guard::ConsultedBefore => state.may_decide_against(),
        Guard::ReplacesDisputed => any(Delivery::is_disputed),
        Guard::OffersTerms => any(Delivery::is_offered),
        Guard::IsOpen => any(Delivery::is_open),
        Guard::VerifiedWhole => any(Delivery::is_accepted),
        Guard::None | Guard::BasedOnInstrument | Guard::PartNamesGround | Guard::NamesManifest => true,
    })
}

/// The clocks that run: taking the request up, checking that it is complete, saying how it stands.
pub(super) fn clocks(
    state: &State,
    common: &Common,
    rules: &Rules,
    procedure: &Procedure,
    calendar: &Calendar,
) -> Vec<Running> {
    let Some(file) = state.file() else { return Vec::new() };
    let issued = file.issued;
    let heard = common.heard.map_or(file.heard, |spoken| spoken.max(file.heard));
    let roles: &[(&str, Time)] = match state.kind() {
        Kind::Issued => &[("acknowledge", issued), ("completeness", issued)],
        Kind::UnderReview => &[("completeness", issued), ("status", heard)],
        Kind::Consultation
        | Kind::ConditionsProposed
        | Kind::Accepted
        | Kind::Executing
        | Kind::Suspended
        | Kind::PartiallyExecuted
        | Kind::Postponed => &[("status", heard)],
        Kind::Draft
        | Kind::ReturnedIncomplete
        | Kind::Forwarded
        | Kind::Delivered
        | Kind::Disputed
        | Kind::Acknowledged
        | Kind::Closed
        | Kind::NotExecuted
        | Kind::Refused
        | Kind::Withdrawn => &[],
    };
    let running = |(role, since): &(&str, Time)| {
        let rule = procedure.clock(role, &file.request.instrument).and_then(|id| rules.clock(id))?;
        Some(Running::new(rule, *since, end(*since, rule, calendar)))
    };
    roles.iter().filter_map(running).collect()
}
