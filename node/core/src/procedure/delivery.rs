//! What was handed over, and how far that is: a life of its own beside the request's.

use super::{Act, Refusal};
use crate::ids::{Digest, EventId, ItemId};
use crate::rules::Code;

/// The manifest of a hand-over, as the signed event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRef {
    /// The object it rests in.
    pub item: ItemId,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// BLAKE3 of that object.
    pub root: Digest,
    /// Its bytes.
    pub size: u64,
    /// Items it lists.
    pub items: u64,
    /// Bytes of plaintext, all items together.
    pub bytes: u64,
}

impl ManifestRef {
    /// Reads the facts of a hand-over.
    pub(super) fn read(act: &Act) -> Result<Self, Refusal> {
        Ok(Self {
            item: id(act, "manifest.item")?,
            digest: id(act, "manifest.digest")?,
            root: id(act, "manifest.root")?,
            size: act.count("manifest.size")?,
            items: act.count("manifest.items")?,
            bytes: act.count("manifest.bytes")?,
        })
    }
}

/// Reads a fact that is an id or digest.
pub(super) fn id<T: std::str::FromStr>(act: &Act, key: &str) -> Result<T, Refusal> {
    act.code(key)?.as_str().parse().map_err(|_| Refusal::MissingFact(key.to_owned()))
}

/// A hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event that handed over.
    pub event: EventId,
    /// What.
    pub manifest: ManifestRef,
    /// On which terms of use.
    pub terms: Vec<Code>,
    /// How far it is.
    pub state: DeliveryState,
}

/// How far a hand-over is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    /// Nothing of it may move yet.
    Offered,
    /// The taker is bound by the terms; keys and bytes may move.
    TermsAccepted {
        /// The event that accepted.
        acceptance: EventId,
    },
    /// The taker says what is wrong with it.
    Disputed {
        /// What.
        reasons: Vec<Code>,
    },
    /// The taker has verified all of it and signed for it.
    InCustody {
        /// The event that took it.
        event: EventId,
    },
    /// Another hand-over stands in its place.
    Replaced {
        /// The event that handed over instead.
        by: EventId,
    },
}

impl Delivery {
    /// True if its terms wait to be accepted.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.state == DeliveryState::Offered
    }

    /// True if keys and bytes may move.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.state, DeliveryState::TermsAccepted { .. })
    }

    /// True if the taker may still accept, take or dispute it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_offered() || self.is_accepted()
    }

    /// True if the giver has to replace it.
    #[must_use]
    pub const fn is_disputed(&self) -> bool {
        matches!(self.state, DeliveryState::Disputed { .. })
    }

    /// True if nothing is left to do about it.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, DeliveryState::InCustody { .. } | DeliveryState::Replaced { .. })
    }
}
