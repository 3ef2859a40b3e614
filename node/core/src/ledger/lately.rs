//! Checkpoints that verified lately, so that many proofs under one note cost its two verifications once; and those of
//! which nobody has asked yet whether they continue what was seen before.
//!
//! Every checkpoint of a peer is verified here, in whatever it came; so here is where none is overlooked. It answers as
//! [`VerifiedCheckpoint::verify`] would, for the same note, origin and keys. Serves SPEC `[L-*]` and `[N-3]`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{LedgerFault, VerifiedCheckpoint};
use crate::{crypto::PublicKey, ids::Origin};

/// Notes of one ledger that are remembered: a peer's deliveries and receipts on their way stand under its newest
/// few.
const KEPT_MAX: usize = 4;
/// Checkpoints of one ledger that wait to be proven: a minute's worth in an ordinary hour, and four MiB.
const UNPROVEN_MAX: usize = 1024;

/// The last notes of one ledger that verified, newest last. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LatelyVerified(Arc<Mutex<Lately>>);

#[derive(Debug, Default)]
struct Lately {
    kept: Vec<Remembered>,
    unproven: Vec<Arc<VerifiedCheckpoint>>,
    overlooked: u64,
}

#[derive(Debug)]
struct Remembered {
    /// All keys that were known: a note is judged by each line in a known key's name.
    keys: Vec<PublicKey>,
    verified: Arc<VerifiedCheckpoint>,
}

impl LatelyVerified {
    /// As [`VerifiedCheckpoint::verify`]. Whoever asks meanwhile about the same ledger waits for this answer, since
    /// it is mostly about the same note.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::verify`]; only what verified is remembered.
    pub fn verify<'k>(
        &self,
        note: &[u8],
        origin: &Origin,
        keys: impl IntoIterator<Item = &'k PublicKey> + Clone,
    ) -> Result<Arc<VerifiedCheckpoint>, LedgerFault> {
        let mut lately = self.lock();
        let same = |known: &&Remembered| {
            known.verified.note() == note
                && known.verified.checkpoint().origin == *origin
                && known.keys.iter().eq(keys.clone())
        };
        if let Some(known) = lately.kept.iter().rev().find(same) {
            return Ok(Arc::clone(&known.verified));
        }
        let verified = Arc::new(VerifiedCheckpoint::verify(note, origin, keys.clone())?);
        if lately.kept.len() >= KEPT_MAX {
            lately.kept.remove(0);
        }
        lately.kept.push(Remembered { keys: keys.into_iter().cloned().collect(), verified: Arc::clone(&verified) });
        if lately.unproven.len() < UNPROVEN_MAX {
            lately.unproven.push(Arc::clone(&verified));
        } else {
            lately.overlooked += 1;
        }
        Ok(verified)
    }

    /// How many wait to be proven.
    #[must_use]
    pub fn unproven(&self) -> usize {
        self.lock().unproven.len()
    }

    /// The largest of those of a ledger that wait to be proven.
    #[must_use]
    pub fn largest_unproven(&self, origin: &Origin) -> Option<Arc<VerifiedCheckpoint>> {
        let lately = self.lock();
        let of = lately.unproven.iter().filter(|one| one.checkpoint().origin == *origin);
        of.max_by_key(|one| one.checkpoint().size).cloned()
    }

    /// Takes those that wait to be proven, and how many more there were than are kept.
    #[must_use]
    pub fn take_unproven(&self) -> (Vec<Arc<VerifiedCheckpoint>>, u64) {
        let mut lately = self.lock();
        (std::mem::take(&mut lately.unproven), std::mem::take(&mut lately.overlooked))
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::HybridSigner,
        ids::{Digest, Time},
        ledger::{
            Checkpoint,
            checkpoint::tests::{origin, signer},
        },
    };

    fn note(size: u64) -> Vec<u8> {
        let checkpoint = Checkpoint { origin: origin(), size, root: Digest::new([9; 32]) };
        checkpoint.sign(&signer(1), Time(1_800_000_000_000)).expect("signed").into_bytes()
    }

    fn ask(
        lately: &LatelyVerified,
        note: &[u8],
        signer: &HybridSigner,
    ) -> Result<Arc<VerifiedCheckpoint>, LedgerFault> {
        lately.verify(note, &origin(), signer.public())
    }

    #[test]
    fn a_note_is_verified_once_and_only_for_the_same_question() {
        let (lately, first) = (LatelyVerified::default(), note(1));
        let verified = ask(&lately, &first, &signer(1)).expect("verifies");
        assert!(Arc::ptr_eq(&verified, &ask(&lately, &first, &signer(1)).expect("verifies")));
        assert_eq!(ask(&lately, &first, &signer(2)), Err(LedgerFault::NoEd25519));
        let half = lately.verify(&first, &origin(), [signer(1).public()[0]]);
        assert_eq!(half, Err(LedgerFault::NoMlDsa));
        let elsewhere = Origin::parse("xb.demo.test/ledger/1").expect("origin");
        assert_eq!(lately.verify(&first, &elsewhere, signer(1).public()), Err(LedgerFault::OtherOrigin));
    }

    #[test]
    fn a_changed_note_is_judged_by_itself() {
        let (lately, mut note) = (LatelyVerified::default(), note(1));
        ask(&lately, &note, &signer(1)).expect("verifies");
        let last = note.len() - 4;
        note[last] ^= 1;
        assert!(ask(&lately, &note, &signer(1)).is_err());
        assert!(ask(&lately, &note, &signer(1)).is_err(), "what did not verify is not remembered");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let lately = LatelyVerified::default();
        let first = ask(&lately, &note(1), &signer(1)).expect("verifies");
        for size in 2..=KEPT_MAX as u64 + 1 {
            ask(&lately, &note(size), &signer(1)).expect("verifies");
        }
        assert_eq!(lately.lock().kept.len(), KEPT_MAX);
        assert_eq!(Arc::strong_count(&first), 2, "it waits only to be proven");
        drop(lately.take_unproven());
        assert_eq!(Arc::strong_count(&first), 1, "the first is forgotten");
    }
    /// [N-3]
    #[test]
    fn each_new_one_waits_once_to_be_proven() {
        let lately = LatelyVerified::default();
        let notes = [note(1), note(2)];
        for which in [0, 1, 1, 0] {
            ask(&lately, &notes[which], &signer(1)).expect("verifies");
        }
        assert!(ask(&lately, &note(3), &signer(2)).is_err());
        assert_eq!(lately.unproven(), 2);
        let (unproven, overlooked) = lately.take_unproven();
        let sizes: Vec<u64> = unproven.iter().map(|one| one.checkpoint().size).collect();
        assert_eq!((sizes, overlooked, lately.unproven()), (vec![1, 2], 0, 0));
    }
}
