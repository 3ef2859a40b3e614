//! Custody statements: the links of the chain of custody that are no acts of the thread.
//!
//! A Party signs one when it puts items under seal, when it releases their keys, and when it has read
//! all that arrived again. It goes into the signer's own ledger, not to the peer; the peer's side of a
//! hand-over is an event of the thread. Each names the one before it about the same manifest.

use prost::Message as _;

use super::ManifestFault;
use crate::{
    ids::{AuthorityId, Digest, EventId, NetworkName, Origin, PartyCode, RequestId, Time},
    proto::{self, CustodyAct},
    wire::{CUSTODY_MAX, strict},
};

/// Payload type of a custody statement.
pub const CUSTODY_TYPE: &str = "application/vnd.comity.custody.v1";

/// One statement, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The network.
    pub network: NetworkName,
    /// The Party that signs.
    pub party: PartyCode,
    /// Which of its authorities.
    pub authority: AuthorityId,
    /// The ledger in which it stands.
    pub origin: Origin,
    /// The request.
    pub request: RequestId,
    /// What was done.
    pub act: CustodyAct,
    /// When, by the signer's clock.
    pub time: Time,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// How many items it lists.
    pub items: u64,
    /// Bytes of plaintext, all items together.
    pub bytes: u64,
    /// Release and verification: the event that handed over.
    pub delivery: Option<EventId>,
    /// Release: the event that accepted the terms.
    pub acceptance: Option<EventId>,
    /// This Party's statement before about the same manifest.
    pub previous: Option<Digest>,
}

impl Statement {
    /// Reads a statement strictly (SPEC `[M-4]`).
    ///
    /// # Errors
    /// On the first rule broken.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, ManifestFault> {
        let wire: proto::Custody = strict(bytes, CUSTODY_MAX)?;
        let act = wire.act();
        let (delivered, accepted) = match act {
            _ if wire.act != act as i32 => return Err(ManifestFault::Content("the custody act is not known")),
            CustodyAct::Unspecified => return Err(ManifestFault::Content("the custody act is not known")),
            CustodyAct::Seal => (false, false),
            CustodyAct::Verify => (true, false),
            CustodyAct::Release => (true, true),
        };
        if wire.delivery.is_empty() == delivered || wire.acceptance.is_empty() == accepted {
            return Err(ManifestFault::Content("a custody statement names other events than its act needs"));
        }
        let event = |bytes: &[u8]| (!bytes.is_empty()).then(|| EventId::from_slice(bytes)).transpose();
        Ok(Self {
            network: NetworkName::parse(&wire.network)?,
            party: PartyCode::parse(&wire.party)?,
            authority: AuthorityId::parse(&wire.authority)?,
            origin: Origin::parse(&wire.origin)?,
            request: RequestId::from_slice(&wire.request_id)?,
            act,
            time: Time(wire.time_ms),
            manifest: Digest::from_slice(&wire.manifest)?,
            items: wire.items,
            bytes: wire.bytes,
            delivery: event(&wire.delivery)?,
            acceptance: event(&wire.acceptance)?,
            previous: (!wire.previous.is_empty()).then(|| Digest::from_slice(&wire.previous)).transpose()?,
        })
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let event = |id: Option<EventId>| id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        proto::Custody {
            network: self.network.to_string(),
            party: self.party.to_string(),
            authority: self.authority.to_string(),
            origin: self.origin.to_string(),
            request_id: self.request.as_bytes().to_vec(),
            act: self.act as i32,
            time_ms: self.time.0,
            manifest: self.manifest.as_bytes().to_vec(),
            items: self.items,
            bytes: self.bytes,
            delivery: event(self.delivery),
            acceptance: event(self.acceptance),
            previous: self.previous.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        }
        .encode_to_vec()
    }
}
