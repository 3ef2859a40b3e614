//! Whether a checkpoint continues what is held of its ledger: what a witness asks before it cosigns, and what anybody asks
//! of every checkpoint it is shown.
//!
//! Decides when a ledger is taken to have grown, when the other side must prove from elsewhere, and when two checkpoints
//! contradict each other. Keeps nothing: what is held, and that it is on disk before anything is said, is for whoever
//! asks. C2SP tlog-witness, and stricter in one thing: everything seen counts as held, not only what was cosigned.
//! Start with [`continues`]. Serves SPEC `[N-*]`.

use super::{Checkpoint, LedgerFault, verify_consistency};
use crate::ids::Digest;

/// Why a checkpoint is not taken for the continuation of what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotContinued {
    /// The proof does not begin at the size held, or the checkpoint is smaller: prove from there.
    Conflict(u64),
    /// The same size has two roots: with both signatures this is proof of a fork.
    Fork,
    /// The path proves nothing.
    Unproven(LedgerFault),
}

/// Judges a checkpoint whose signatures were checked. `old_size` and `path` are what the ledger gives as proof; nothing is
/// held of a ledger never seen, and then its word counts.
///
/// # Errors
/// When it does not continue what is held.
pub fn continues(
    held: Option<&Checkpoint>,
    old_size: u64,
    path: &[Digest],
    next: &Checkpoint,
) -> Result<(), NotContinued> {
    let (size, root) = held.map_or((0, None), |held| (held.size, Some(held.root)));
    if size == next.size && root.is_some_and(|root| root != next.root) {
        return Err(NotContinued::Fork);
    }
    if old_size != size || next.size < size {
        return Err(NotContinued::Conflict(size));
    }
    match root {
        None if path.is_empty() => Ok(()),
        None => Err(NotContinued::Unproven(LedgerFault::PathLength(path.len()))),
        Some(root) => verify_consistency(size, &root, next.size, &next.root, path).map_err(NotContinued::Unproven),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::sha256,
        ledger::{Tree, checkpoint::tests::origin},
    };

    fn tree(leaves: impl IntoIterator<Item = u64>) -> Tree {
        let mut tree = Tree::new();
        for n in leaves {
            tree.push(sha256(&[&n.to_be_bytes()]));
        }
        tree
    }

    fn at(tree: &Tree, size: u64) -> Checkpoint {
        Checkpoint { origin: origin(), size, root: tree.root_at(size).expect("held") }
    }

    /// [N-1]
    #[test]
    fn a_ledger_that_grew_is_continued_from_what_is_held() {
        let tree = tree(0..40);
        let path = |from, to| tree.consistency(from, to).expect("path");
        let held = at(&tree, 17);
        assert_eq!(continues(None, 0, &[], &held), Ok(()));
        assert_eq!(continues(Some(&held), 17, &path(17, 40), &at(&tree, 40)), Ok(()));
        assert_eq!(continues(Some(&held), 17, &[], &held), Ok(()));
        let conflict = |old, path: &[Digest], next: &Checkpoint| continues(Some(&held), old, path, next);
        assert_eq!(conflict(16, &path(16, 40), &at(&tree, 40)), Err(NotContinued::Conflict(17)));
        assert_eq!(conflict(0, &[], &at(&tree, 40)), Err(NotContinued::Conflict(17)));
        assert_eq!(conflict(17, &[], &at(&tree, 16)), Err(NotContinued::Conflict(17)));
        assert_eq!(continues(None, 3, &path(3, 17), &held), Err(NotContinued::Conflict(0)));
    }

    #[test]
    fn another_history_is_a_fork_or_unproven() {
        let (honest, other) = (tree(0..40), tree((0..16).chain(100..124)));
        let held = at(&honest, 20);
        assert_eq!(continues(Some(&held), 20, &[], &at(&other, 20)), Err(NotContinued::Fork));
        assert_eq!(continues(Some(&held), 7, &[], &at(&other, 20)), Err(NotContinued::Fork));
        for to in 21..=40 {
            let path = other.consistency(20, to).expect("path");
            let found = continues(Some(&held), 20, &path, &at(&other, to));
            assert!(matches!(found, Err(NotContinued::Unproven(_))), "{to}");
        }
        let first = continues(None, 0, &[held.root], &held);
        assert_eq!(first, Err(NotContinued::Unproven(LedgerFault::PathLength(1))));
    }

    proptest! {
        /// Whoever follows these answers holds one history, whatever order it is shown things in.
        #[test]
        fn what_is_held_only_grows_and_never_turns(steps in prop::collection::vec((any::<bool>(), 1_u64..30, 0_u64..30), 1..30)) {
            let histories = [tree(0..30), tree((0..9).chain(50..71))];
            let mut held: Option<Checkpoint> = None;
            let mut seen: Vec<Checkpoint> = Vec::new();
            for (honest, size, old) in steps {
                let history = &histories[usize::from(honest)];
                let next = at(history, size);
                let path = history.consistency(old.min(size), size).expect("path");
                if continues(held.as_ref(), old, &path, &next).is_ok() {
                    prop_assert!(held.as_ref().is_none_or(|held| held.size <= size));
                    seen.push(next.clone());
                    held = Some(next);
                }
            }
            let one = |history: &Tree| seen.iter().all(|one| history.root_at(one.size) == Ok(one.root));
            prop_assert!(histories.iter().any(one));
        }
    }
}
