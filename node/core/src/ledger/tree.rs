//! The tree over a ledger's leaves (RFC 6962), its proofs, and the two checks of such proofs.
//!
//! Decides roots, inclusion paths and growth (consistency) paths. Never sees a record or a leaf
//! entry, only leaf hashes. Start with [`Tree`]; [`verify_inclusion`] and [`verify_consistency`]
//! need no tree and are safe on anything a peer may send. Serves SPEC `[L-*]`.

use super::LedgerFault;
use crate::{
    crypto::sha256,
    ids::{Digest, LedgerIndex},
};

/// The longest path looked at: no tree counted in 64 bits is deeper. A longer one is refused
/// before any hashing.
pub const PATH_MAX: usize = 64;

/// RFC 6962 section 2.1: inner nodes are hashed under 0x01.
const NODE_PREFIX: [u8; 1] = [0x01];

/// An append-only tree held as the hashes of its complete subtrees, about 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[l][i]` is the root over leaves `i << l .. (i + 1) << l`, and is there as soon as
    /// all of them are.
    levels: Vec<Vec<Digest>>,
    size: u64,
}

impl Tree {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf and completes every subtree that ends with it.
    pub fn push(&mut self, leaf_hash: Digest) -> LedgerIndex {
        let index = LedgerIndex(self.size);
        let mut hash = leaf_hash;
        for level in 0..=self.size.trailing_ones() {
            let offset = self.size >> level;
            if level > 0 {
                hash = node_hash(&self.hash_at(level - 1, offset << 1), &hash);
            }
            self.keep(level, hash);
        }
        self.size += 1;
        index
    }

    /// The root over all leaves. Of no leaves it is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.range_root(0, self.size)
    }

    /// The root this tree had at an earlier size.
    ///
    /// # Errors
    /// When the tree has not reached that size.
    pub fn root_at(&self, size: u64) -> Result<Digest, LedgerFault> {
        self.holds(size)?;
        Ok(self.range_root(0, size))
    }

    /// The path from a leaf to the root at a size, leaf side first (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// When the index is not below the size, or the tree has not reached it.
    pub fn inclusion(&self, index: LedgerIndex, size: u64) -> Result<Vec<Digest>, LedgerFault> {
        self.holds(size)?;
        if index.0 >= size {
            return Err(LedgerFault::IndexBeyondSize { index: index.0, size });
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + left_width(end - start);
            if index.0 < middle {
                path.push(self.range_root(middle, end));
                end = middle;
            } else {
                path.push(self.range_root(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The path that shows the tree at `from` to be a beginning of the tree at `to` (RFC 6962
    /// section 2.1.2). Empty when the sizes are equal or the older tree had no leaves.
    ///
    /// # Errors
    /// When `from` exceeds `to`, or the tree has not reached `to`.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Digest>, LedgerFault> {
        self.holds(to)?;
        if from > to {
            return Err(LedgerFault::Shrinks { from, to });
        }
        let mut path = Vec::new();
        if from == 0 {
            return Ok(path);
        }
        let (mut start, mut end) = (0, to);
        while end != from {
            let middle = start + left_width(end - start);
            if from <= middle {
                path.push(self.range_root(middle, end));
                end = middle;
            } else {
                path.push(self.range_root(start, middle));
                start = middle;
            }
        }
        // A verifier that knows the older root needs no copy of it.
        if start > 0 {
            path.push(self.range_root(start, end));
        }
        path.reverse();
        Ok(path)
    }

    fn holds(&self, size: u64) -> Result<(), LedgerFault> {
        if size <= self.size { Ok(()) } else { Err(LedgerFault::SizeBeyondTree { size, held: self.size }) }
    }

    /// The root over leaves `start..end`, where `start` is a multiple of a power of two not less
    /// than the width: what every split of RFC 6962 yields, so the complete subtrees lie aligned.
    fn range_root(&self, start: u64, end: u64) -> Digest {
        let mut root = None;
        let mut end = end;
        while end > start {
            let level = (end - start).trailing_zeros();
            end -= 1 << level;
            let left = self.hash_at(level, end >> level);
            root = Some(root.map_or(left, |right| node_hash(&left, &right)));
        }
        root.unwrap_or_else(|| sha256(&[]))
    }

    /// The only way hashes are read, so that tiles on disk can stand behind it one day.
    fn hash_at(&self, level: u32, offset: u64) -> Digest {
        let held = usize::try_from(level).ok().zip(usize::try_from(offset).ok());
        *held
            .and_then(|(level, offset)| self.levels.get(level)?.get(offset))
            .expect("callers ask only for complete subtrees below the size, and those are kept")
    }

    fn keep(&mut self, level: u32, hash: Digest) {
        let level = usize::try_from(level).expect("there are at most 64 levels");
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(hash);
    }
}

/// Checks that a leaf stands at `index` in the tree of this size and root (RFC 9162 section
/// 2.1.3.2).
///
/// # Errors
/// When index, path length or root do not fit.
pub fn verify_inclusion(
    leaf_hash: &Digest,
    index: LedgerIndex,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), LedgerFault> {
    if index.0 >= size {
        return Err(LedgerFault::IndexBeyondSize { index: index.0, size });
    }
    let bad_length = LedgerFault::PathLength(path.len());
    if path.len() > PATH_MAX {
        return Err(bad_length);
    }
    let mut walk = Walk { node: index.0, last: size - 1 };
    let mut hash = *leaf_hash;
    for sibling in path {
        hash = match walk.step().ok_or_else(|| bad_length.clone())? {
            Sibling::Left => node_hash(sibling, &hash),
            Sibling::Right => node_hash(&hash, sibling),
        };
    }
    match (walk.last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(LedgerFault::WrongRoot),
        _ => Err(bad_length),
    }
}

/// Checks that the tree of size `to` begins with the tree of size `from` (RFC 9162 section
/// 2.1.4.2). Equal sizes need equal roots and no path; a tree without leaves begins every tree.
///
/// # Errors
/// When sizes, path length or either root do not fit.
pub fn verify_consistency(
    from: u64,
    from_root: &Digest,
    to: u64,
    to_root: &Digest,
    path: &[Digest],
) -> Result<(), LedgerFault> {
    if from > to {
        return Err(LedgerFault::Shrinks { from, to });
    }
    if from == 0 || from == to {
        return verify_trivial(from, from_root, to, to_root, path);
    }
    let bad_length = LedgerFault::PathLength(path.len());
    if path.len() > PATH_MAX {
        return Err(bad_length);
    }
    // The older root is itself a complete subtree of the newer tree when its size is a power of
    // two; then the path leaves it out.
    let (first, rest) = match path.split_first() {
        None => return Err(bad_length),
        Some(_) if from.is_power_of_two() => (from_root, path),
        Some(split) => split,
    };
    let shared = (from - 1).trailing_ones();
    let mut walk = Walk { node: (from - 1) >> shared, last: (to - 1) >> shared };
    let (mut older, mut newer) = (*first, *first);
    for sibling in rest {
        match walk.step().ok_or_else(|| bad_length.clone())? {
            Sibling::Left => {
                older = node_hash(sibling, &older);
                newer = node_hash(sibling, &newer);
            }
            Sibling::Right => newer = node_hash(&newer, sibling),
        }
    }
    match (walk.last, older == *from_root, newer == *to_root) {
        (0, true, true) => Ok(()),
        (0, false, _) => Err(LedgerFault::WrongOldRoot),
        (0, true, false) => Err(LedgerFault::WrongRoot),
        _ => Err(bad_length),
    }
}

fn verify_trivial(
    from: u64,
    from_root: &Digest,
    to: u64,
    to_root: &Digest,
    path: &[Digest],
) -> Result<(), LedgerFault> {
    if !path.is_empty() {
        return Err(LedgerFault::PathLength(path.len()));
    }
    if from == 0 && *from_root != sha256(&[]) {
        return Err(LedgerFault::WrongOldRoot);
    }
    if from == to && from_root != to_root {
        return Err(LedgerFault::WrongRoot);
    }
    Ok(())
}

/// On which side of the node being climbed the next hash of a path lies.
enum Sibling {
    Left,
    Right,
}

/// A climb from a node towards the root: the node's offset in its level, and that of the level's
/// last node. At the root `last` is zero.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// Goes up past one sibling, first skipping levels where the last node has none. `None` at
    /// the root, where a path must have ended.
    fn step(&mut self) -> Option<Sibling> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last { Sibling::Left } else { Sibling::Right };
        if self.node == self.last {
            let skipped = self.node.trailing_zeros();
            self.node >>= skipped;
            self.last >>= skipped;
        }
        self.node >>= 1;
        self.last >>= 1;
        Some(side)
    }
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&NODE_PREFIX, left.as_bytes(), right.as_bytes()])
}

/// The largest power of two below a width of at least two: where RFC 6962 splits.
fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

    /// Sizes to this one cover every shape of the upper levels: past 64 a seventh begins.
    const SIZES: u64 = 70;

    fn leaf(n: u64) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    fn hash(leaf: &[u8]) -> Digest {
        sha256(&[&[0], leaf])
    }

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::new();
        for n in 0..size {
            assert_eq!(tree.push(hash(&leaf(n))), LedgerIndex(n));
        }
        tree
    }

    fn oracle(size: u64) -> Oracle {
        let mut oracle = Oracle::new();
        (0..size).for_each(|n| oracle.push(leaf(n)));
        oracle
    }

    fn bytes(path: &[Digest]) -> Vec<u8> {
        path.iter().flat_map(|node| *node.as_bytes()).collect()
    }

    fn at(n: u64) -> usize {
        usize::try_from(n).expect("small")
    }

    #[test]
    fn roots_are_the_published_ones() {
        // The leaves and roots of the Certificate Transparency reference trees.
        let leaves: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let mut tree = Tree::new();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tree.root().to_string(), empty);
        for one in leaves {
            tree.push(hash(one));
        }
        let check = |size, root: &str| assert_eq!(tree.root_at(size).expect("held").to_string(), root, "{size}");
        check(0, empty);
        check(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        check(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        check(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        check(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn every_inclusion_path_is_what_another_implementation_makes_and_accepts() {
        let tree = tree(SIZES);
        for size in 1..=SIZES {
            let oracle = oracle(size);
            let root = tree.root_at(size).expect("held");
            assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
            for n in 0..size {
                let path = tree.inclusion(LedgerIndex(n), size).expect("path");
                assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
                let ours = InclusionProof::<Sha256>::from_bytes(bytes(&path));
                RootHash::<Sha256>::new((*root.as_bytes()).into(), size)
                    .verify_inclusion(&leaf(n), n, &ours)
                    .expect("accepted elsewhere");
                assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
            }
        }
    }

    #[test]
    fn every_consistency_path_is_what_another_implementation_makes_and_accepts() {
        let tree = tree(SIZES);
        for to in 1..=SIZES {
            let oracle = oracle(to);
            let new = tree.root_at(to).expect("held");
            for from in 1..=to {
                let old = tree.root_at(from).expect("held");
                let path = tree.consistency(from, to).expect("path");
                assert_eq!(oracle.prove_consistency(at(to - from)).as_bytes(), bytes(&path), "{from} to {to}");
                let ours = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&path)).expect("digests");
                RootHash::<Sha256>::new((*new.as_bytes()).into(), to)
                    .verify_consistency(&RootHash::new((*old.as_bytes()).into(), from), &ours)
                    .expect("accepted elsewhere");
                assert_eq!(verify_consistency(from, &old, to, &new, &path), Ok(()), "{from} to {to}");
            }
        }
    }

    #[test]
    fn inclusion_is_refused_for_any_other_leaf_index_length_or_root() {
        let tree = tree(SIZES);
        for size in 1..=SIZES {
            let root = tree.root_at(size).expect("held");
            for n in 0..size {
                let path = tree.inclusion(LedgerIndex(n), size).expect("path");
                let verify = |leaf: &Digest, index, path: &[Digest], root: &Digest| {
                    verify_inclusion(leaf, LedgerIndex(index), size, path, root)
                };
                let good = hash(&leaf(n));
                assert_eq!(verify(&root, n, &path, &good).is_ok(), size == 1, "roles swapped");
                assert_eq!(verify(&hash(b"other"), n, &path, &root), Err(LedgerFault::WrongRoot));
                assert_eq!(verify(&good, n, &path, &hash(b"other")), Err(LedgerFault::WrongRoot));
                for other in (0..size + 2).filter(|other| *other != n) {
                    assert!(verify(&good, other, &path, &root).is_err(), "{n} as {other} in {size}");
                }
                let longer = [&path[..], &[good]].concat();
                assert_eq!(verify(&good, n, &longer, &root), Err(LedgerFault::PathLength(path.len() + 1)));
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(verify(&good, n, shorter, &root), Err(LedgerFault::PathLength(shorter.len())));
                }
            }
        }
    }

    #[test]
    fn growth_is_refused_for_any_other_root_or_length() {
        let tree = tree(SIZES);
        let other = hash(b"other");
        for to in 1..=SIZES {
            let new = tree.root_at(to).expect("held");
            for from in 1..to {
                let old = tree.root_at(from).expect("held");
                let path = tree.consistency(from, to).expect("path");
                let verify = |old: &Digest, new: &Digest, path: &[Digest]| verify_consistency(from, old, to, new, path);
                assert!(verify(&other, &new, &path).is_err());
                assert_eq!(verify(&old, &other, &path), Err(LedgerFault::WrongRoot));
                assert!(verify(&new, &old, &path).is_err());
                let longer = [&path[..], &[old]].concat();
                assert_eq!(verify(&old, &new, &longer), Err(LedgerFault::PathLength(longer.len())));
                let shorter = &path[..path.len() - 1];
                assert_eq!(verify(&old, &new, shorter), Err(LedgerFault::PathLength(shorter.len())));
                for n in 0..path.len() {
                    let mut forged = path.clone();
                    forged[n] = other;
                    assert!(verify(&old, &new, &forged).is_err(), "{n} of {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_forked_history_does_not_pass_as_growth() {
        let honest = tree(40);
        let mut forked = tree(20);
        for n in 0..20 {
            forked.push(hash(&leaf(n + 1000)));
        }
        let path = forked.consistency(30, 40).expect("path");
        let (old, new) = (honest.root_at(30).expect("held"), forked.root());
        assert_eq!(verify_consistency(30, &old, 40, &new, &path), Err(LedgerFault::WrongOldRoot));
    }

    #[test]
    fn equal_and_empty_trees_need_no_path() {
        let (empty, one, two) = (sha256(&[]), hash(b"one"), hash(b"two"));
        let check = |from, old, to, new, path: &[Digest], expected| {
            assert_eq!(verify_consistency(from, &old, to, &new, path), expected, "{from} to {to}");
        };
        check(5, one, 5, one, &[], Ok(()));
        check(5, one, 5, two, &[], Err(LedgerFault::WrongRoot));
        check(5, one, 5, one, &[two], Err(LedgerFault::PathLength(1)));
        check(0, empty, 5, one, &[], Ok(()));
        check(0, empty, 0, empty, &[], Ok(()));
        check(0, two, 5, one, &[], Err(LedgerFault::WrongOldRoot));
        check(0, empty, 0, one, &[], Err(LedgerFault::WrongRoot));
        check(0, empty, 5, one, &[two], Err(LedgerFault::PathLength(1)));
        check(6, one, 5, two, &[], Err(LedgerFault::Shrinks { from: 6, to: 5 }));
        check(4, one, 5, two, &[], Err(LedgerFault::PathLength(0)));
        assert_eq!(tree(5).consistency(0, 5), Ok(vec![]));
        assert_eq!(tree(5).consistency(5, 5), Ok(vec![]));
    }

    #[test]
    fn a_tree_answers_only_within_its_size() {
        let tree = tree(5);
        let beyond = |size| LedgerFault::SizeBeyondTree { size, held: 5 };
        assert_eq!(tree.root_at(6), Err(beyond(6)));
        assert_eq!(tree.inclusion(LedgerIndex(0), u64::MAX), Err(beyond(u64::MAX)));
        assert_eq!(tree.inclusion(LedgerIndex(5), 5), Err(LedgerFault::IndexBeyondSize { index: 5, size: 5 }));
        assert_eq!(tree.inclusion(LedgerIndex(0), 0), Err(LedgerFault::IndexBeyondSize { index: 0, size: 0 }));
        assert_eq!(tree.consistency(1, 6), Err(beyond(6)));
        assert_eq!(tree.consistency(4, 3), Err(LedgerFault::Shrinks { from: 4, to: 3 }));
    }

    #[test]
    fn the_largest_sizes_neither_overflow_nor_pass() {
        let one = hash(b"one");
        let inclusion = |index, size, nodes| verify_inclusion(&one, LedgerIndex(index), size, &vec![one; nodes], &one);
        for index in [0, 1, u64::MAX / 2, u64::MAX - 2, u64::MAX - 1] {
            for nodes in 0..=66 {
                assert!(inclusion(index, u64::MAX, nodes).is_err());
            }
        }
        assert_eq!(inclusion(0, u64::MAX, 64), Err(LedgerFault::WrongRoot));
        assert_eq!(inclusion(0, u64::MAX, 65), Err(LedgerFault::PathLength(65)));
        for index in [5, 6, u64::MAX] {
            assert_eq!(inclusion(index, 5, 3), Err(LedgerFault::IndexBeyondSize { index, size: 5 }));
        }
        assert_eq!(inclusion(0, 0, 0), Err(LedgerFault::IndexBeyondSize { index: 0, size: 0 }));
        for from in [1, 2, 3, 1 << 63, (1 << 63) + 1, u64::MAX - 1] {
            for nodes in 0..=66 {
                let path = vec![one; nodes];
                assert!(verify_consistency(from, &one, u64::MAX, &hash(b"two"), &path).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_peer_sends_is_judged_without_panic(
            index: u64, from: u64, to: u64, nodes in 0_usize..70, fill: u8,
        ) {
            let (path, one) = (vec![Digest::new([fill; 32]); nodes], hash(b"one"));
            prop_assert!(verify_inclusion(&one, LedgerIndex(index), to, &path, &hash(b"two")).is_err());
            let grown = verify_consistency(from, &one, to, &hash(b"two"), &path);
            prop_assert!(grown.is_err());
        }

        #[test]
        fn one_changed_bit_in_a_path_is_refused(size in 2_u64..400, index: u64, place: usize, bit in 0_u8..8) {
            let (tree, index) = (tree(size), index % size);
            let mut path: Vec<[u8; 32]> =
                tree.inclusion(LedgerIndex(index), size).expect("path").iter().map(|n| *n.as_bytes()).collect();
            let (node, byte) = (place / 32 % path.len(), place % 32);
            path[node][byte] ^= 1 << bit;
            let path: Vec<Digest> = path.into_iter().map(Digest::new).collect();
            let judged = verify_inclusion(&hash(&leaf(index)), LedgerIndex(index), size, &path, &tree.root());
            prop_assert_eq!(judged, Err(LedgerFault::WrongRoot));
        }
    }
}
