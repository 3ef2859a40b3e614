//! The proof that a Party shows different ledgers: two checkpoints of one size with two roots, both signed by its keys.
//!
//! Decides what is such a proof. It needs nobody's word: whoever has the Party's keys can check it, for ever. Start with
//! [`Fork::of`] and [`Fork::parse`]. Serves SPEC `[N-2]`.

use prost::Message as _;

use super::{Checkpoint, LedgerFault, NOTE_MAX, VerifiedCheckpoint, checkpoint::parse_unverified};
use crate::{
    crypto::PublicKey,
    ids::{Digest, Origin, Time},
    proto::ForkProof,
    wire::{DOCUMENT_MAX, strict},
};

/// Two notes that contradict each other; whose signatures they bear is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Ascending by their bytes, so that two who saw the same two have the same proof.
    notes: [Vec<u8>; 2],
    checkpoints: [Checkpoint; 2],
}

/// A fork proven under a Party's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// Which ledger.
    pub origin: Origin,
    /// At which size.
    pub size: u64,
    /// The two roots, and when each was signed by the signer's own clock.
    pub roots: [(Digest, Time); 2],
}

impl Fork {
    /// Puts two notes together; none if they do not contradict each other.
    #[must_use]
    pub fn of(one: &[u8], other: &[u8]) -> Option<Self> {
        let mut notes = [one.to_vec(), other.to_vec()];
        notes.sort();
        let checkpoints = [parse_unverified(&notes[0]).ok()?, parse_unverified(&notes[1]).ok()?];
        let [a, b] = &checkpoints;
        let contradict = a.origin == b.origin && a.size == b.size && a.root != b.root;
        contradict.then_some(Self { notes, checkpoints })
    }

    /// As it travels and is kept.
    #[must_use]
    pub fn to_wire(&self) -> ForkProof {
        let [one, other] = self.notes.clone();
        ForkProof { one, other, documents: Vec::new() }
    }

    /// Reads one as it travels.
    ///
    /// # Errors
    /// [`LedgerFault::NoFork`] when the notes are too long or not of one ledger and size with two roots.
    pub fn from_wire(wire: &ForkProof) -> Result<Self, LedgerFault> {
        if wire.one.len() > NOTE_MAX || wire.other.len() > NOTE_MAX {
            return Err(LedgerFault::NoFork);
        }
        Self::of(&wire.one, &wire.other).ok_or(LedgerFault::NoFork)
    }

    /// The proof as a file, with the documents from which the keys follow.
    #[must_use]
    pub fn to_file(&self, documents: Vec<Vec<u8>>) -> Vec<u8> {
        ForkProof { documents, ..self.to_wire() }.encode_to_vec()
    }

    /// Reads a file: the fork and its documents, which are not judged here.
    ///
    /// # Errors
    /// [`LedgerFault::NoFork`] when it is none.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<Vec<u8>>), LedgerFault> {
        let wire: ForkProof = strict(bytes, FORK_FILE_MAX).map_err(|_| LedgerFault::NoFork)?;
        Ok((Self::from_wire(&wire)?, wire.documents))
    }

    /// Which ledger it is about.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.checkpoints[0].origin
    }

    /// Checks both notes under the ledger's keys. Keys that ended since count, for a fork does not pass; keys that are
    /// revoked do not, or whoever stole one could make forks for ever.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::verify`], for the first note that does not hold.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k PublicKey> + Clone) -> Result<Forked, LedgerFault> {
        let check = |note: &[u8]| {
            let verified = VerifiedCheckpoint::verify(note, self.origin(), keys.clone())?;
            Ok::<_, LedgerFault>((verified.checkpoint().root, verified.signed()))
        };
        let roots = [check(&self.notes[0])?, check(&self.notes[1])?];
        Ok(Forked { origin: self.origin().clone(), size: self.checkpoints[0].size, roots })
    }
}

/// A file: two notes, charters of some years and one profile.
pub const FORK_FILE_MAX: usize = 2 * NOTE_MAX + 4 * DOCUMENT_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::checkpoint::tests::{checkpoint, signer};

    const NOW: Time = Time(1_800_000_000_000);

    fn note(root: u8, size: u64, by: u8) -> Vec<u8> {
        let checkpoint = Checkpoint { root: Digest::new([root; 32]), size, ..checkpoint() };
        checkpoint.sign(&signer(by), NOW).expect("signed").into_bytes()
    }

    /// [N-2]
    #[test]
    fn two_roots_of_one_size_are_a_fork_whoever_shows_them() {
        let (one, other) = (note(1, 7, 1), note(2, 7, 1));
        let fork = Fork::of(&one, &other).expect("a fork");
        assert_eq!(Fork::of(&other, &one), Some(fork.clone()));
        let found = fork.verify(signer(1).public()).expect("proven");
        let mut roots = found.roots.map(|(root, at)| (root.as_bytes()[0], at));
        roots.sort_unstable();
        assert_eq!((found.size, roots), (7, [(1, NOW), (2, NOW)]));
        assert_eq!(Fork::from_wire(&fork.to_wire()), Ok(fork.clone()));
        let file = fork.to_file(vec![b"document".to_vec()]);
        assert_eq!(Fork::parse(&file), Ok((fork, vec![b"document".to_vec()])));
    }

    #[test]
    fn nothing_else_is_one() {
        let good = note(1, 7, 1);
        for other in [note(1, 7, 1), note(2, 8, 1), b"no note".to_vec(), vec![]] {
            assert_eq!(Fork::of(&good, &other), None);
        }
        let origin = Origin::parse("xb.demo.test/ledger/1").expect("origin");
        let elsewhere = Checkpoint { origin, root: Digest::new([2; 32]), size: 7 };
        let elsewhere = elsewhere.sign(&signer(1), NOW).expect("signed").into_bytes();
        assert_eq!(Fork::of(&good, &elsewhere), None);
        let half = Fork::of(&good, &note(2, 7, 5)).expect("in form");
        assert!(half.verify(signer(1).public()).is_err(), "one of them is signed by somebody else");
        assert_eq!(Fork::parse(b"rubbish"), Err(LedgerFault::NoFork));
        let long = ForkProof { one: vec![b'\n'; NOTE_MAX + 1], other: good, documents: vec![] };
        assert_eq!(Fork::from_wire(&long), Err(LedgerFault::NoFork));
    }
}
