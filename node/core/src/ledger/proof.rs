//! One record proven to stand in one ledger, and the token that says a record is on disk.
//!
//! Decides whether a proof holds under a checkpoint that was verified before. Never verifies
//! signatures itself: that costs more than all the hashing, and one checkpoint serves many proofs
//! (see [`VerifiedCheckpoint`]). One shape serves as receipt, as the author's own proof on
//! delivery, and beside a refusal. Start with [`RecordProof::parse`]. Serves SPEC `[L-*]`.

use prost::Message as _;

use super::{
    Checkpoint, Context, LedgerFault, PATH_MAX, Salt, VerifiedCheckpoint, leaf_entry, leaf_hash, verify_inclusion,
};
use crate::{
    ids::{Digest, LedgerIndex, Time},
    proto::{self, RecordKind},
    wire::{PROOF_MAX, strict},
};

/// A proof as read: well formed, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    record_id: Digest,
    context: Context,
    context_bytes: Vec<u8>,
    salt: Salt,
    index: LedgerIndex,
    path: Vec<Digest>,
    note: Vec<u8>,
}

impl RecordProof {
    /// Writes a proof: the record's id, exact context bytes and salt, its index, the path to the
    /// root of the checkpoint, and that checkpoint's note.
    #[must_use]
    pub fn build(
        record_id: &Digest,
        context_bytes: &[u8],
        salt: &Salt,
        index: LedgerIndex,
        path: &[Digest],
        note: &[u8],
    ) -> Vec<u8> {
        proto::RecordProof {
            record_id: record_id.as_bytes().to_vec(),
            context: context_bytes.to_vec(),
            salt: salt.0.to_vec(),
            index: index.0,
            path: path.iter().map(|node| node.as_bytes().to_vec()).collect(),
            checkpoint: note.to_vec(),
        }
        .encode_to_vec()
    }

    /// Reads a proof strictly.
    ///
    /// # Errors
    /// When the bytes are too long or not canonical, a part has the wrong length, the path is
    /// longer than [`PATH_MAX`], or the context is not acceptable.
    pub fn parse(bytes: &[u8]) -> Result<Self, LedgerFault> {
        let wire: proto::RecordProof = strict(bytes, PROOF_MAX).map_err(LedgerFault::ProofMalformed)?;
        if wire.path.len() > PATH_MAX {
            return Err(LedgerFault::PathLength(wire.path.len()));
        }
        let digest = |bytes: &[u8], part| Digest::from_slice(bytes).map_err(|_| LedgerFault::ProofField(part));
        Ok(Self {
            record_id: digest(&wire.record_id, "record id")?,
            context: Context::from_bytes(&wire.context)?,
            context_bytes: wire.context,
            salt: wire.salt.try_into().map(Salt).map_err(|_| LedgerFault::ProofField("salt"))?,
            index: LedgerIndex(wire.index),
            path: wire.path.iter().map(|node| digest(node, "path")).collect::<Result<_, _>>()?,
            note: wire.checkpoint,
        })
    }

    /// The record this proof claims to be about.
    #[must_use]
    pub fn record_id(&self) -> &Digest {
        &self.record_id
    }

    /// The checkpoint's bytes, to verify or to compare with one verified before.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The circumstances the proof claims.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Judges the proof: about this record, of this kind, in the tree of this checkpoint, which
    /// must be the very one the proof carries.
    ///
    /// # Errors
    /// When record, kind or checkpoint are others, or the path does not lead to the root.
    pub fn verify(
        &self,
        record_id: &Digest,
        kind: RecordKind,
        verified: &VerifiedCheckpoint,
    ) -> Result<ProvenRecord, LedgerFault> {
        if self.record_id != *record_id {
            return Err(LedgerFault::OtherRecord);
        }
        if self.context.kind != kind {
            return Err(LedgerFault::OtherKind);
        }
        if self.note != verified.note() {
            return Err(LedgerFault::OtherCheckpoint);
        }
        let checkpoint = verified.checkpoint();
        let leaf = leaf_hash(&leaf_entry(&self.salt, &self.record_id, &self.context_bytes));
        verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(ProvenRecord { index: self.index, context: self.context.clone(), checkpoint: checkpoint.clone() })
    }
}

/// A record that stands in a ledger under a verified checkpoint. Only [`RecordProof::verify`]
/// makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    index: LedgerIndex,
    context: Context,
    checkpoint: Checkpoint,
}

impl ProvenRecord {
    /// Its place in the ledger.
    #[must_use]
    pub fn index(&self) -> LedgerIndex {
        self.index
    }

    /// When it was recorded, as the leaf binds it.
    #[must_use]
    pub fn recorded(&self) -> Time {
        self.context.recorded
    }

    /// The circumstances the leaf binds.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The ledger, size and root it was proven under.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The token without which nothing is sent: a record of ours is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    index: LedgerIndex,
    size: u64,
}

impl Appended {
    /// States that the record at `index` is on disk in a ledger that now has `size` records.
    ///
    /// For the store alone, after the flush that covers the record has returned (and for the
    /// store's twin in simulations). Called anywhere else it is a lie that can lose an
    /// acknowledged record.
    ///
    /// # Panics
    /// When the index is not below the size: the store miscounted and must not go on.
    #[must_use]
    pub fn on_disk(index: LedgerIndex, size: u64) -> Self {
        assert!(index.0 < size, "an appended record lies below the ledger's size");
        Self { index, size }
    }

    /// The record's place.
    #[must_use]
    pub fn index(&self) -> LedgerIndex {
        self.index
    }

    /// The ledger's size once the batch with this record was on disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}
