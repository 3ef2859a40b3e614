//! The persisted life of a request for assistance: what lasts through all of it, and the phase it is in.

use super::{Delivery, Kind};
use crate::ids::{RequestId, Time};
use crate::rules::Code;

/// What the request said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was signed.
    pub at: Time,
    /// On which instrument it is based.
    pub instrument: Code,
    /// The offences.
    pub offences: Vec<Code>,
    /// The preservation it follows up.
    pub preservation: Option<RequestId>,
}

/// What lasts from the request to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What the request said.
    pub request: Request,
    /// When it was signed or, after a return, completed: what the requested side then has is checked anew.
    pub issued: Time,
    /// True once the two sides have consulted (BC 27(6)).
    pub consulted: bool,
    /// The conditions the requesting side is bound by.
    pub conditions: Vec<Code>,
    /// What was handed over, in order.
    pub deliveries: Vec<Delivery>,
    /// When the requested side last took a step.
    pub heard: Time,
}

/// Where a request is, with what belongs to that alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It is signed.
    Issued,
    /// Something is missing.
    ReturnedIncomplete,
    /// Another authority is competent.
    Forwarded,
    /// A person has it.
    UnderReview,
    /// The two sides consult.
    Consultation {
        /// About what.
        about: Vec<Code>,
    },
    /// It would be executed under conditions.
    ConditionsProposed {
        /// Which.
        conditions: Vec<Code>,
    },
    /// It will be executed.
    Accepted,
    /// Execution has begun.
    Executing,
    /// A court has suspended execution.
    Suspended {
        /// What goes on when that ends.
        from: Box<Phase>,
    },
    /// A part was handed over.
    PartiallyExecuted,
    /// Everything was handed over.
    Delivered,
    /// Something of it is disputed.
    Disputed,
    /// All of it is in custody.
    Acknowledged,
    /// Closed.
    Closed,
    /// It could not be executed.
    NotExecuted {
        /// Why.
        outcome: Code,
    },
    /// Refused.
    Refused {
        /// On which ground.
        ground: Code,
    },
    /// Postponed.
    Postponed {
        /// On which ground.
        ground: Code,
    },
    /// Withdrawn.
    Withdrawn,
}

impl Phase {
    const fn kind(&self) -> Kind {
        match self {
            Self::Issued => Kind::Issued,
            Self::ReturnedIncomplete => Kind::ReturnedIncomplete,
            Self::Forwarded => Kind::Forwarded,
            Self::UnderReview => Kind::UnderReview,
            Self::Consultation { .. } => Kind::Consultation,
            Self::ConditionsProposed { .. } => Kind::ConditionsProposed,
            Self::Accepted => Kind::Accepted,
            Self::Executing => Kind::Executing,
            Self::Suspended { .. } => Kind::Suspended,
            Self::PartiallyExecuted => Kind::PartiallyExecuted,
            Self::Delivered => Kind::Delivered,
            Self::Disputed => Kind::Disputed,
            Self::Acknowledged => Kind::Acknowledged,
            Self::Closed => Kind::Closed,
            Self::NotExecuted { .. } => Kind::NotExecuted,
            Self::Refused { .. } => Kind::Refused,
            Self::Postponed { .. } => Kind::Postponed,
            Self::Withdrawn => Kind::Withdrawn,
        }
    }

    /// Where everything that was handed over leaves a request whose last hand-over was made.
    pub(super) fn settled(deliveries: &[Delivery]) -> Self {
        if deliveries.iter().any(Delivery::is_disputed) {
            Self::Disputed
        } else if deliveries.iter().all(Delivery::is_done) {
            Self::Acknowledged
        } else {
            Self::Delivered
        }
    }
}

/// The life of a request for assistance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is signed.
    Draft,
    /// The request is signed.
    Live {
        /// What lasts.
        file: File,
        /// Where it is.
        phase: Phase,
        /// Since when.
        since: Time,
    },
}

impl State {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Draft => Kind::Draft,
            Self::Live { phase, .. } => phase.kind(),
        }
    }

    /// What lasts, once the request is signed.
    #[must_use]
    pub const fn file(&self) -> Option<&File> {
        match self {
            Self::Draft => None,
            Self::Live { file, .. } => Some(file),
        }
    }

    /// What was handed over, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        self.file().map_or(&[], |file| &file.deliveries)
    }

    /// True if a refusal or postponement needs no consultation any more: there was one, or a court spoke.
    #[must_use]
    pub fn may_decide_against(&self) -> bool {
        self.kind() == Kind::Suspended || self.file().is_some_and(|file| file.consulted)
    }
}
