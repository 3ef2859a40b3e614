//! Why the law does not let a step be taken. A refusal is an answer and part of the record; it is no error.

use super::Side;
use crate::ids::{EventId, ProcedureCode, StepCode};
use crate::rules::Code;

/// The law says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such procedure, or this version has no table for it.
    #[error(
        "procedure.unknown: the step was not taken; this node does not know the procedure {0}. Compare versions and rule files"
    )]
    UnknownProcedure(ProcedureCode),
    /// The procedure has no such step.
    #[error("procedure.unknown-step: the step was not taken; the procedure has no step {0}. Choose one of its table")]
    UnknownStep(StepCode),
    /// The table has no such step from here.
    #[error("procedure.wrong-state: {step} was not taken; the request stands at {state}. See which steps are open")]
    WrongState {
        /// The step.
        step: StepCode,
        /// Where the request stands.
        state: Code,
    },
    /// The step belongs to the other side.
    #[error(
        "procedure.wrong-side: {step} was not taken; it does not belong to the {side} side. The other side must take it"
    )]
    WrongSide {
        /// The step.
        step: StepCode,
        /// Who tried.
        side: Side,
    },
    /// The step is taken in another name than the table says.
    #[error(
        "procedure.wrong-actor: {step} was not taken; it is not taken in the name of {actor}. See who takes it in the table"
    )]
    WrongActor {
        /// The step.
        step: StepCode,
        /// In whose name it was.
        actor: &'static str,
    },
    /// The instrument does not bind both Parties at the time.
    #[error(
        "procedure.not-in-force: the request was not taken; {0} does not bind both Parties towards each other at this time. Ask: comity law explain"
    )]
    NotInForce(Code),
    /// The requested Party has declared that it does not execute such requests.
    #[error(
        "procedure.closed-by-declaration: the request was not taken; the requested Party has declared {0}, which closes it. Ask: comity law explain"
    )]
    ClosedByDeclaration(Code),
    /// A guard of the table does not hold.
    #[error("procedure.guard: the step was not taken; {guard} does not hold: {why}")]
    Guard {
        /// The guard, by its name in the table.
        guard: &'static str,
        /// Which part of it, in words, and what would be right.
        why: String,
    },
    /// The event lacks a fact that its form makes mandatory, or the fact cannot be read.
    #[error("procedure.missing-fact: the step was not taken; it does not say {0}. Fill it in")]
    MissingFact(String),
    /// The event names a parent that is not known here.
    #[error("procedure.unknown-parent: the step was not judged; its parent {0} is not known here. Wait for it")]
    UnknownParent(EventId),
    /// The event descends from a void one.
    #[error("procedure.void-parent: the step was not taken; it follows {0}, which a member refused. Sign it anew")]
    VoidParent(EventId),
    /// The ground, or the renunciation of speciality, is open only where the Party made a reservation.
    #[error(
        "procedure.no-reservation: the step was not taken; what it relies on needs the reservation {0}, which the Party did not make. Rely on something else"
    )]
    NoReservation(Code),
    /// The event descends from itself; only a broken digest could do that.
    #[error("procedure.cycle: the event was set aside; it descends from itself. Report it")]
    Cycle,
}

impl Refusal {
    /// The stable code, as it goes over the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownProcedure(_) => "procedure.unknown",
            Self::UnknownStep(_) => "procedure.unknown-step",
            Self::WrongState { .. } => "procedure.wrong-state",
            Self::WrongSide { .. } => "procedure.wrong-side",
            Self::WrongActor { .. } => "procedure.wrong-actor",
            Self::NotInForce(_) => "procedure.not-in-force",
            Self::ClosedByDeclaration(_) => "procedure.closed-by-declaration",
            Self::Guard { .. } => "procedure.guard",
            Self::MissingFact(_) => "procedure.missing-fact",
            Self::UnknownParent(_) => "procedure.unknown-parent",
            Self::VoidParent(_) => "procedure.void-parent",
            Self::NoReservation(_) => "procedure.no-reservation",
            Self::Cycle => "procedure.cycle",
        }
    }
}
