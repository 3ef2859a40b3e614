//! The persisted life of a preservation: each state with the facts it owns.

use super::Kind;
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
}

/// What was done to preserve the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Whether all of it could be done.
    pub outcome: Code,
    /// When the measure was taken.
    pub taken: Time,
    /// Since when the present period runs.
    pub since: Time,
    /// Until when the data are preserved.
    pub until: Time,
    /// When the domestic order was made or last renewed.
    pub ordered: Time,
    /// How many paths through other States were disclosed.
    pub paths: u32,
}

/// The life of a preservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is signed.
    Draft,
    /// The request is signed.
    Requested {
        /// What it said.
        request: Request,
    },
    /// A person on the requested side has taken it up.
    Acknowledged {
        /// What the request said.
        request: Request,
        /// When it was taken up.
        at: Time,
        /// True if the requesting side was warned and wants it executed nevertheless.
        insisted: bool,
    },
    /// The requested side warned.
    Warned {
        /// What the request said.
        request: Request,
        /// Of what.
        kinds: Vec<Code>,
        /// When.
        at: Time,
    },
    /// The data are preserved.
    Preserved {
        /// What the request said.
        request: Request,
        /// What was done.
        measure: Measure,
    },
    /// The requesting side asked for longer.
    ExtensionAsked {
        /// What the request said.
        request: Request,
        /// What was done.
        measure: Measure,
        /// Until when it is asked for.
        until: Time,
    },
    /// The request for mutual assistance was sent.
    FollowedUp {
        /// What the request said.
        request: Request,
        /// What was done.
        measure: Measure,
        /// That request, if it goes through this exchange.
        linked: Option<RequestId>,
        /// When this was said.
        at: Time,
    },
    /// Refused.
    Refused {
        /// What the request said.
        request: Request,
        /// On which ground.
        ground: Code,
        /// When.
        at: Time,
    },
    /// It cannot be done.
    CannotPreserve {
        /// What the request said.
        request: Request,
        /// How it ended.
        outcome: Code,
        /// When.
        at: Time,
    },
    /// No longer needed.
    Released {
        /// What the request said.
        request: Request,
        /// What was done.
        measure: Measure,
        /// When.
        at: Time,
    },
    /// Withdrawn before anything was preserved.
    Withdrawn {
        /// What the request said.
        request: Request,
        /// When.
        at: Time,
    },
}

impl State {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Draft => Kind::Draft,
            Self::Requested { .. } => Kind::Requested,
            Self::Acknowledged { .. } => Kind::Acknowledged,
            Self::Warned { .. } => Kind::Warned,
            Self::Preserved { .. } => Kind::Preserved,
            Self::ExtensionAsked { .. } => Kind::ExtensionAsked,
            Self::FollowedUp { .. } => Kind::FollowedUp,
            Self::Refused { .. } => Kind::Refused,
            Self::CannotPreserve { .. } => Kind::CannotPreserve,
            Self::Released { .. } => Kind::Released,
            Self::Withdrawn { .. } => Kind::Withdrawn,
        }
    }

    /// What the request said; `None` in a draft.
    #[must_use]
    pub const fn request(&self) -> Option<&Request> {
        match self {
            Self::Draft => None,
            Self::Requested { request }
            | Self::Acknowledged { request, .. }
            | Self::Warned { request, .. }
            | Self::Preserved { request, .. }
            | Self::ExtensionAsked { request, .. }
            | Self::FollowedUp { request, .. }
            | Self::Refused { request, .. }
            | Self::CannotPreserve { request, .. }
            | Self::Released { request, .. }
            | Self::Withdrawn { request, .. } => Some(request),
        }
    }

    /// What was done to preserve the data, if it was.
    #[must_use]
    pub const fn measure(&self) -> Option<&Measure> {
        match self {
            Self::Preserved { measure, .. }
            | Self::ExtensionAsked { measure, .. }
            | Self::FollowedUp { measure, .. }
            | Self::Released { measure, .. } => Some(measure),
            Self::Draft
            | Self::Requested { .. }
            | Self::Acknowledged { .. }
            | Self::Warned { .. }
            | Self::Refused { .. }
            | Self::CannotPreserve { .. }
            | Self::Withdrawn { .. } => None,
        }
    }

    pub(super) const fn measure_mut(&mut self) -> Option<&mut Measure> {
        match self {
            Self::Preserved { measure, .. }
            | Self::ExtensionAsked { measure, .. }
            | Self::FollowedUp { measure, .. }
            | Self::Released { measure, .. } => Some(measure),
            Self::Draft
            | Self::Requested { .. }
            | Self::Acknowledged { .. }
            | Self::Warned { .. }
            | Self::Refused { .. }
            | Self::CannotPreserve { .. }
            | Self::Withdrawn { .. } => None,
        }
    }

    /// True if the requesting side was warned and wants it executed nevertheless.
    #[must_use]
    pub const fn is_insisted(&self) -> bool {
        matches!(self, Self::Acknowledged { insisted: true, .. })
    }

    /// When it lapses if nothing more happens.
    #[must_use]
    pub fn holds_until(&self) -> Option<Time> {
        self.measure().filter(|_| self.kind().can_lapse()).map(|measure| measure.until)
    }
}
