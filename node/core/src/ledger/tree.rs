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
