//! Everything that can be wrong with a tree, a checkpoint or a proof: one enum, one code each.
//!
//! Decides nothing: whether a fault is a peer's misconduct or our own mistake depends on whose bytes
//! were read, and only the caller knows that.

use crate::wire::WireFault;

/// Why a tree does not answer, or why a checkpoint or proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerFault {
    /// A stored leaf entry has another length or an unknown version byte.
    #[error("ledger.bad-leaf: no leaf was read; it is not a version 1 leaf entry of 33 bytes; verify the ledger")]
    BadLeaf,
    /// A tile or bundle of another length than its place in the tree gives it.
    #[error(
        "ledger.bad-tile: nothing was read; a tile or bundle has not the hashes or entries its place in the tree demands; fetch it again, and verify the ledger"
    )]
    BadTile,
    /// Two notes that do not contradict each other, or are none.
    #[error(
        "ledger.no-fork: nothing is proven; these are not two checkpoints of one ledger and size with two roots; compare what was handed over"
    )]
    NoFork,
    /// An index at or beyond the size it was asked or claimed for.
    #[error(
        "ledger.index-beyond-size: nothing is proven; the index is not below the size; ask within the size; index {index}, size {size}"
    )]
    IndexBeyondSize {
        /// The index asked for or claimed.
        index: u64,
        /// The size it must be below.
        size: u64,
    },
    /// A size this tree has not reached.
    #[error(
        "ledger.size-beyond-tree: nothing was computed; this ledger is not that large; ask within its size; size {size}, held {held}"
    )]
    SizeBeyondTree {
        /// The size asked for.
        size: u64,
        /// The leaves the tree holds.
        held: u64,
    },
    /// Growth from a larger size to a smaller one.
    #[error(
        "ledger.shrinks: no growth is proven; the older size is the larger; keep both checkpoints and compare; from {from}, to {to}"
    )]
    Shrinks {
        /// The size said to be older.
        from: u64,
        /// The size said to be newer.
        to: u64,
    },
    /// A path that is too short or too long for its index and size.
    #[error(
        "proof.path-length: the proof does not hold; its path has not the length its sizes demand; ask the peer for the proof again; nodes {0}"
    )]
    PathLength(usize),
    /// A well-formed path that leads to another root.
    #[error(
        "proof.wrong-root: the proof does not hold; its path leads to another root than the checkpoint's; keep it as evidence"
    )]
    WrongRoot,
    /// A growth proof that does not start from the older root.
    #[error(
        "proof.wrong-old-root: the growth is not proven; its path does not lead to the older root; keep both checkpoints as evidence"
    )]
    WrongOldRoot,
    /// Bytes that are not a canonical proof.
    #[error("proof.malformed: no proof was read; {0}; ask the peer for the proof again")]
    ProofMalformed(WireFault),
    /// A part of a proof with an impossible length.
    #[error("proof.bad-field: no proof was read; one part has the wrong length; ask the peer for the proof again; {0}")]
    ProofField(&'static str),
    /// A valid shape about another record than the one asked about.
    #[error("proof.other-record: the proof does not serve; it is about another record; match proofs by record id")]
    OtherRecord,
    /// A record of another kind than the proof must show.
    #[error(
        "proof.other-kind: the proof does not serve; the record is of another kind than required; ask for the right proof"
    )]
    OtherKind,
    /// A verified checkpoint that is not the one the proof carries.
    #[error(
        "proof.other-checkpoint: the proof was not judged; the verified checkpoint is not the one it carries; verify that one first"
    )]
    OtherCheckpoint,
    /// Bytes that are not a canonical context.
    #[error("context.malformed: no context was read; {0}; ask the peer for the proof again")]
    ContextMalformed(WireFault),
    /// A part of a context that is missing, unknown or of the wrong length.
    #[error(
        "context.bad-field: no context was read; one part is not acceptable; ask the peer for the proof again; {0}"
    )]
    ContextField(&'static str),
    /// A note longer than any honest checkpoint.
    #[error(
        "checkpoint.too-large: the checkpoint was not read; it exceeds the limit; ask for one with fewer signatures"
    )]
    NoteTooLarge,
    /// A note that breaks the form; the value says where.
    #[error("checkpoint.malformed: the checkpoint was not read; it breaks the signed-note form; ask for it again; {0}")]
    NoteMalformed(&'static str),
    /// More signature lines than are looked at.
    #[error(
        "checkpoint.too-many-signatures: the checkpoint was not read; it has more lines than the limit; ask for one with fewer"
    )]
    TooManySignatures,
    /// A checkpoint of a tree without leaves.
    #[error(
        "checkpoint.empty: the checkpoint does not serve; a tree without records proves nothing; wait for the first record"
    )]
    Empty,
    /// A checkpoint of another ledger.
    #[error(
        "checkpoint.other-origin: the checkpoint does not serve; it names another ledger; compare the origin with the peer's profile"
    )]
    OtherOrigin,
    /// No line by a known Ed25519 checkpoint key.
    #[error(
        "checkpoint.no-ed25519: the checkpoint does not count; no known Ed25519 key signed it; fetch the Party's newest profile"
    )]
    NoEd25519,
    /// No line by a known ML-DSA-44 checkpoint key.
    #[error(
        "checkpoint.no-ml-dsa: the checkpoint does not count; no known ML-DSA-44 key signed it; fetch the Party's newest profile"
    )]
    NoMlDsa,
    /// A line that names a known key and does not verify under it.
    #[error(
        "checkpoint.bad-signature: the checkpoint does not count; a line in a known key's name does not verify; ask for it again"
    )]
    BadSignature,
    /// Two lines by one known key.
    #[error("checkpoint.repeated-signature: the checkpoint does not count; one key signed it twice; ask for it again")]
    RepeatedSignature,
    /// The signer is not a checkpoint pair of Ed25519 and ML-DSA-44.
    #[error(
        "checkpoint.cannot-sign: no checkpoint was signed; the signer is not an Ed25519 and ML-DSA-44 pair of the checkpoint role; check the key files"
    )]
    CannotSign,
}

impl LedgerFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadLeaf => "ledger.bad-leaf",
            Self::BadTile => "ledger.bad-tile",
            Self::NoFork => "ledger.no-fork",
            Self::IndexBeyondSize { .. } => "ledger.index-beyond-size",
            Self::SizeBeyondTree { .. } => "ledger.size-beyond-tree",
            Self::Shrinks { .. } => "ledger.shrinks",
            Self::PathLength(_) => "proof.path-length",
            Self::WrongRoot => "proof.wrong-root",
            Self::WrongOldRoot => "proof.wrong-old-root",
            Self::ProofMalformed(_) => "proof.malformed",
            Self::ProofField(_) => "proof.bad-field",
            Self::OtherRecord => "proof.other-record",
            Self::OtherKind => "proof.other-kind",
            Self::OtherCheckpoint => "proof.other-checkpoint",
            Self::ContextMalformed(_) => "context.malformed",
            Self::ContextField(_) => "context.bad-field",
            Self::NoteTooLarge => "checkpoint.too-large",
            Self::NoteMalformed(_) => "checkpoint.malformed",
            Self::TooManySignatures => "checkpoint.too-many-signatures",
            Self::Empty => "checkpoint.empty",
            Self::OtherOrigin => "checkpoint.other-origin",
            Self::NoEd25519 => "checkpoint.no-ed25519",
            Self::NoMlDsa => "checkpoint.no-ml-dsa",
            Self::BadSignature => "checkpoint.bad-signature",
            Self::RepeatedSignature => "checkpoint.repeated-signature",
            Self::CannotSign => "checkpoint.cannot-sign",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_text_begins_with_its_own_code() {
        let all = [
            LedgerFault::BadLeaf,
            LedgerFault::BadTile,
            LedgerFault::NoFork,
            LedgerFault::IndexBeyondSize { index: 2, size: 1 },
            LedgerFault::SizeBeyondTree { size: 2, held: 1 },
            LedgerFault::Shrinks { from: 2, to: 1 },
            LedgerFault::PathLength(65),
            LedgerFault::WrongRoot,
            LedgerFault::WrongOldRoot,
            LedgerFault::ProofMalformed(WireFault::Undecodable),
            LedgerFault::ProofField("salt"),
            LedgerFault::OtherRecord,
            LedgerFault::OtherKind,
            LedgerFault::OtherCheckpoint,
            LedgerFault::ContextMalformed(WireFault::NotCanonical),
            LedgerFault::ContextField("kind"),
            LedgerFault::NoteTooLarge,
            LedgerFault::NoteMalformed("size line"),
            LedgerFault::TooManySignatures,
            LedgerFault::Empty,
            LedgerFault::OtherOrigin,
            LedgerFault::NoEd25519,
            LedgerFault::NoMlDsa,
            LedgerFault::BadSignature,
            LedgerFault::RepeatedSignature,
            LedgerFault::CannotSign,
        ];
        for fault in &all {
            assert!(fault.to_string().starts_with(&format!("{}: ", fault.code())), "{fault}");
        }
        let codes: BTreeSet<_> = all.iter().map(LedgerFault::code).collect();
        assert_eq!(codes.len(), all.len());
    }
}
