//! What a leaf says about its record besides the record's id.
//!
//! Decides the strict reading and writing of contexts: a context that exists as a [`Context`] has
//! every part. The exact bytes are what a leaf is bound to, so they are kept beside it and never
//! written again from the parts (SPEC `[L-*]`, `[W-1]`).

use prost::Message as _;

use super::LedgerFault;
use crate::{
    ids::{Digest, Time},
    proto::{self, RecordKind},
    wire::{PROOF_MAX, strict},
};

/// An event goes to the members of one thread, and a network has at most about 200 Parties; 256
/// digests are under 9 KiB and leave a proof room for its path and checkpoint.
pub const SLIPS_MAX: usize = 256;

/// The circumstances of a record, fixed when it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// What was recorded.
    pub kind: RecordKind,
    /// When, by the recorder's clock, which never runs backwards within a ledger.
    pub recorded: Time,
    /// The charter in force at the recorder.
    pub charter: Digest,
    /// The profile at the recorder of whoever signed; the recorder's own when nobody else did.
    pub profile: Digest,
    /// [`super::signatures_digest`] of the signatures as received, or of none.
    pub signatures: Digest,
    /// [`super::slip_digest`] of each delivery slip, in recipient order.
    pub slips: Vec<Digest>,
}

impl Context {
    /// The bytes a leaf is made over.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        proto::Context {
            kind: self.kind.into(),
            recorded_ms: self.recorded.0,
            charter: self.charter.as_bytes().to_vec(),
            profile: self.profile.as_bytes().to_vec(),
            signatures: self.signatures.as_bytes().to_vec(),
            slips: self.slips.iter().map(|slip| slip.as_bytes().to_vec()).collect(),
        }
        .encode_to_vec()
    }

    /// Reads exactly what [`Self::to_bytes`] writes, of a record that may stand in a ledger others see. An approval stands in
    /// none (SPEC `[O-6]`): its kind is as unknown here as it was when version 1 was closed.
    ///
    /// # Errors
    /// When the bytes are not canonical, the kind is unknown, a digest is missing or has another
    /// length, or there are too many slips.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerFault> {
        let context = Self::of_the_house(bytes)?;
        if context.kind == RecordKind::Approval {
            return Err(LedgerFault::ContextField("kind"));
        }
        Ok(context)
    }

    /// The same of a record that may stand in an audit tree.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn of_the_house(bytes: &[u8]) -> Result<Self, LedgerFault> {
        let wire: proto::Context = strict(bytes, PROOF_MAX).map_err(LedgerFault::ContextMalformed)?;
        let kind = RecordKind::try_from(wire.kind).unwrap_or(RecordKind::Unspecified);
        if kind == RecordKind::Unspecified {
            return Err(LedgerFault::ContextField("kind"));
        }
        if wire.slips.len() > SLIPS_MAX {
            return Err(LedgerFault::ContextField("slips"));
        }
        let digest = |bytes: &[u8], part| Digest::from_slice(bytes).map_err(|_| LedgerFault::ContextField(part));
        Ok(Self {
            kind,
            recorded: Time(wire.recorded_ms),
            charter: digest(&wire.charter, "charter")?,
            profile: digest(&wire.profile, "profile")?,
            signatures: digest(&wire.signatures, "signatures")?,
            slips: wire.slips.iter().map(|slip| digest(slip, "slips")).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireFault;

    fn context() -> Context {
        Context {
            kind: RecordKind::EventSent,
            recorded: Time(1_700_000_000_123),
            charter: Digest::new([1; 32]),
            profile: Digest::new([2; 32]),
            signatures: Digest::new([3; 32]),
            slips: vec![Digest::new([4; 32]), Digest::new([5; 32])],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Context::from_bytes(&context().to_bytes()), Ok(context()));
        let bare = Context { slips: vec![], ..context() };
        assert_eq!(Context::from_bytes(&bare.to_bytes()), Ok(bare));
        let house = Context { kind: RecordKind::Approval, ..context() };
        assert_eq!(Context::from_bytes(&house.to_bytes()), Err(LedgerFault::ContextField("kind")));
        assert_eq!(Context::of_the_house(&house.to_bytes()), Ok(house));
    }

    fn check(change: impl Fn(&mut proto::Context), expected: LedgerFault) {
        let mut wire = proto::Context::decode(&context().to_bytes()[..]).expect("decodes");
        change(&mut wire);
        assert_eq!(Context::from_bytes(&wire.encode_to_vec()), Err(expected));
    }

    #[test]
    fn every_part_is_required() {
        check(|c| c.kind = 0, LedgerFault::ContextField("kind"));
        check(|c| c.kind = 15, LedgerFault::ContextField("kind"));
        check(|c| c.kind = -1, LedgerFault::ContextField("kind"));
        check(|c| c.charter.clear(), LedgerFault::ContextField("charter"));
        check(|c| c.profile.truncate(31), LedgerFault::ContextField("profile"));
        check(|c| c.signatures.push(0), LedgerFault::ContextField("signatures"));
        check(|c| c.slips[1].clear(), LedgerFault::ContextField("slips"));
        check(|c| c.slips = vec![vec![9; 32]; SLIPS_MAX + 1], LedgerFault::ContextField("slips"));
        check(|c| c.slips = vec![vec![9; 32]; 1000], LedgerFault::ContextMalformed(WireFault::TooLarge));
    }

    #[test]
    fn loose_bytes_are_refused() {
        let good = context().to_bytes();
        let loose = [&good[..], &[0x38, 0x01]].concat();
        assert_eq!(Context::from_bytes(&loose), Err(LedgerFault::ContextMalformed(WireFault::NotCanonical)));
        let torn = &good[..good.len() - 1];
        assert_eq!(Context::from_bytes(torn), Err(LedgerFault::ContextMalformed(WireFault::Undecodable)));
    }
}
