//! The tree over a ledger's leaves (RFC 6962), its proofs, and the two checks of such proofs.
//!
//! Decides roots, inclusion paths and growth (consistency) paths. Never sees a record or a leaf
//! entry, only leaf hashes. Start with [`Edge`], which stands on tiles kept elsewhere, and [`Tree`], which keeps
//! them itself; [`verify_inclusion`] and [`verify_consistency`] need no tree and are safe on anything a peer may
//! send. Serves SPEC `[L-*]`.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use super::{
    LedgerFault,
    tile::{HASH, TILE_LEVELS, TILE_WIDTH, Tile, TileId},
};
use crate::{
    crypto::sha256,
    ids::{Digest, LedgerIndex},
};

/// The longest path looked at: no tree counted in 64 bits is deeper. A longer one is refused
/// before any hashing.
pub const PATH_MAX: usize = 64;

/// RFC 6962 section 2.1: inner nodes are hashed under 0x01.
const NODE_PREFIX: [u8; 1] = [0x01];

/// Where full tiles are kept, so that a tree need not hold them all.
pub trait Tiles {
    /// Why a tile is not given.
    type Fault: From<LedgerFault>;

    /// A tile that was full when the tree had the size it has now.
    ///
    /// # Errors
    /// When it cannot be had.
    fn tile(&self, id: TileId) -> Result<Arc<Tile>, Self::Fault>;
}

/// The right edge of an append-only tree: the growing tile of each row, a few dozen KiB for any size. With [`Tiles`] for
/// what lies left of it, it answers everything.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    rows: Vec<Tile>,
    size: u64,
}

impl Edge {
    /// The edge of a tree of a size whose growing tiles are known, from the leaves up. That they are of one tree only its
    /// root can show.
    ///
    /// # Errors
    /// When a tile has not the width it must have at this size.
    pub fn of_tiles(size: u64, rows: Vec<Tile>) -> Result<Self, LedgerFault> {
        let edge = Self { rows, size };
        let grown = |(row, tile): (usize, &Tile)| tile.hashes().len() as u64 == edge.growing(row).width_in(size);
        let next = edge.growing(edge.rows.len()).width_in(size);
        if edge.rows.iter().enumerate().all(grown) && next == 0 { Ok(edge) } else { Err(LedgerFault::BadTile) }
    }

    /// The hashes of the growing tiles, one behind the other, from the leaves up.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tiles().flat_map(|(_, tile)| tile.to_bytes(tile.hashes().len() as u64)).collect()
    }

    /// Reads what [`Self::to_bytes`] gave of a tree of this size. That it is of one tree only its root can show.
    ///
    /// # Errors
    /// When a tree of this size has more or fewer of them.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, LedgerFault> {
        let (mut rows, mut rest, mut hashes) = (Vec::new(), bytes, size);
        while hashes > 0 {
            let width = hashes % TILE_WIDTH;
            let len = usize::try_from(width).expect("below 256") * HASH;
            let (tile, after) = rest.split_at_checked(len).ok_or(LedgerFault::BadTile)?;
            rows.push(Tile::from_bytes(tile, width)?);
            (rest, hashes) = (after, hashes / TILE_WIDTH);
        }
        if rest.is_empty() { Self::of_tiles(size, rows) } else { Err(LedgerFault::BadTile) }
    }

    /// The growing tiles, from the leaves up.
    pub fn tiles(&self) -> impl Iterator<Item = (TileId, &Tile)> {
        self.rows.iter().enumerate().map(|(row, tile)| (self.growing(row), tile))
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf and completes every subtree that ends with it. Full tiles leave the edge and are handed out, from
    /// the leaves up.
    pub fn push(&mut self, leaf_hash: Digest, mut full: impl FnMut(TileId, Tile)) -> LedgerIndex {
        let index = LedgerIndex(self.size);
        let mut hash = leaf_hash;
        for row in 0.. {
            if row == self.rows.len() {
                self.rows.push(Tile::default());
            }
            let Some(root) = self.rows[row].push(hash) else { break };
            full(self.growing(row), std::mem::take(&mut self.rows[row]));
            hash = root;
        }
        self.size += 1;
        index
    }

    /// The growing tile of a row.
    fn growing(&self, row: usize) -> TileId {
        let row = u8::try_from(row).expect("there are eight rows");
        TileId { row, number: self.size.checked_shr(TILE_LEVELS * (u32::from(row) + 1)).unwrap_or(0) }
    }

    /// The root over all leaves. Of no leaves it is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        range_root(0, self.size, &mut |level, offset| {
            let (id, within, place) = TileId::of(level, offset);
            Ok::<_, Infallible>(
                self.held(id)
                    .and_then(|tile| tile.hash(within, place))
                    .expect("a subtree that ends a tree is not full beyond its tile, so the tile grows"),
            )
        })
        .unwrap_or_else(|never| match never {})
    }

    fn held(&self, id: TileId) -> Option<&Tile> {
        self.rows.get(usize::from(id.row)).filter(|_| self.growing(usize::from(id.row)) == id)
    }

    fn hash_at<T: Tiles>(&self, (level, offset): (u32, u64), tiles: &T) -> Result<Digest, T::Fault> {
        let (id, within, place) = TileId::of(level, offset);
        let hash = match self.held(id) {
            Some(tile) => tile.hash(within, place),
            None => tiles.tile(id)?.hash(within, place),
        };
        hash.ok_or_else(|| LedgerFault::BadTile.into())
    }

    /// The root this tree had at an earlier size.
    ///
    /// # Errors
    /// When the tree has not reached that size, or a tile cannot be had.
    pub fn root_at<T: Tiles>(&self, size: u64, tiles: &T) -> Result<Digest, T::Fault> {
        self.holds(size)?;
        range_root(0, size, &mut |level, offset| self.hash_at((level, offset), tiles))
    }

    /// The path from a leaf to the root at a size, leaf side first (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// When the index is not below the size, the tree has not reached it, or a tile cannot be had.
    pub fn inclusion<T: Tiles>(&self, index: LedgerIndex, size: u64, tiles: &T) -> Result<Vec<Digest>, T::Fault> {
        self.holds(size)?;
        if index.0 >= size {
            return Err(LedgerFault::IndexBeyondSize { index: index.0, size }.into());
        }
        let mut hash_at = |level, offset| self.hash_at((level, offset), tiles);
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + left_width(end - start);
            if index.0 < middle {
                path.push(range_root(middle, end, &mut hash_at)?);
                end = middle;
            } else {
                path.push(range_root(start, middle, &mut hash_at)?);
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
    /// When `from` exceeds `to`, the tree has not reached `to`, or a tile cannot be had.
    pub fn consistency<T: Tiles>(&self, from: u64, to: u64, tiles: &T) -> Result<Vec<Digest>, T::Fault> {
        self.holds(to)?;
        if from > to {
            return Err(LedgerFault::Shrinks { from, to }.into());
        }
        let mut path = Vec::new();
        if from == 0 {
            return Ok(path);
        }
        let mut hash_at = |level, offset| self.hash_at((level, offset), tiles);
        let (mut start, mut end) = (0, to);
        while end != from {
            let middle = start + left_width(end - start);
            if from <= middle {
                path.push(range_root(middle, end, &mut hash_at)?);
                end = middle;
            } else {
                path.push(range_root(start, middle, &mut hash_at)?);
                start = middle;
            }
        }
        // A verifier that knows the older root needs no copy of it.
        if start > 0 {
            path.push(range_root(start, end, &mut hash_at)?);
        }
        path.reverse();
        Ok(path)
    }

    /// The bytes of a tile at the width it has in a tree of some size, this one or an earlier.
    ///
    /// # Errors
    /// When this tree has no tile so wide there, or it cannot be had.
    pub fn tile_bytes<T: Tiles>(&self, id: TileId, width: u64, tiles: &T) -> Result<Vec<u8>, T::Fault> {
        if width == 0 || id.width_in(self.size) < width {
            return Err(LedgerFault::BadTile.into());
        }
        Ok(match self.held(id) {
            Some(tile) => tile.to_bytes(width),
            None => tiles.tile(id)?.to_bytes(width),
        })
    }

    /// The root of a full tile as the tile above it has it: what a tile read back must lead to.
    ///
    /// # Errors
    /// When no such tile is full in this tree, or the one above cannot be had.
    pub fn root_of<T: Tiles>(&self, id: TileId, tiles: &T) -> Result<Digest, T::Fault> {
        if id.width_in(self.size) < TILE_WIDTH {
            return Err(LedgerFault::BadTile.into());
        }
        self.hash_at((TILE_LEVELS * (u32::from(id.row) + 1), id.number), tiles)
    }

    fn holds(&self, size: u64) -> Result<(), LedgerFault> {
        if size <= self.size { Ok(()) } else { Err(LedgerFault::SizeBeyondTree { size, held: self.size }) }
    }
}

/// An append-only tree held in memory whole, about 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    edge: Edge,
    full: Kept,
}

/// Full tiles in memory: none is ever missing.
#[derive(Debug, Clone, Default)]
struct Kept(BTreeMap<TileId, Arc<Tile>>);

impl Tiles for Kept {
    type Fault = LedgerFault;

    fn tile(&self, id: TileId) -> Result<Arc<Tile>, LedgerFault> {
        self.0.get(&id).cloned().ok_or(LedgerFault::BadTile)
    }
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
        self.edge.size()
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf_hash: Digest) -> LedgerIndex {
        let full = &mut self.full.0;
        self.edge.push(leaf_hash, |id, tile| drop(full.insert(id, Arc::new(tile))))
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// As [`Edge::root_at`].
    ///
    /// # Errors
    /// When the tree has not reached that size.
    pub fn root_at(&self, size: u64) -> Result<Digest, LedgerFault> {
        self.edge.root_at(size, &self.full)
    }

    /// As [`Edge::inclusion`].
    ///
    /// # Errors
    /// When the index is not below the size, or the tree has not reached it.
    pub fn inclusion(&self, index: LedgerIndex, size: u64) -> Result<Vec<Digest>, LedgerFault> {
        self.edge.inclusion(index, size, &self.full)
    }

    /// As [`Edge::consistency`].
    ///
    /// # Errors
    /// When `from` exceeds `to`, or the tree has not reached `to`.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Digest>, LedgerFault> {
        self.edge.consistency(from, to, &self.full)
    }

    /// As [`Edge::tile_bytes`].
    ///
    /// # Errors
    /// When this tree has no tile so wide there.
    pub fn tile_bytes(&self, id: TileId, width: u64) -> Result<Vec<u8>, LedgerFault> {
        self.edge.tile_bytes(id, width, &self.full)
    }
}

/// The root over leaves `start..end`, where `start` is a multiple of a power of two not less
/// than the width: what every split of RFC 6962 yields, so the complete subtrees lie aligned.
fn range_root<E>(start: u64, end: u64, hash_at: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let mut root = None;
    let mut end = end;
    while end > start {
        let level = (end - start).trailing_zeros();
        end -= 1 << level;
        let left = hash_at(level, end >> level)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(root.unwrap_or_else(|| sha256(&[])))
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

pub(super) fn node_hash(left: &Digest, right: &Digest) -> Digest {
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

    /// Three rows of tiles are not reached by tests of every pair; these sizes are walked by themselves.
    #[test]
    fn every_size_to_a_thousand_is_proved_as_another_implementation_does() {
        let mut oracle = Oracle::new();
        let mut tree = Tree::new();
        for size in 1..=1000 {
            oracle.push(leaf(size - 1));
            tree.push(hash(&leaf(size - 1)));
            let root = tree.root();
            assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
            for n in [0, size / 3, size / 2, size * 7 / 11, size - 1] {
                let path = tree.inclusion(LedgerIndex(n), size).expect("path");
                assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
                assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
            }
            for from in [1, size / 3, size / 2, size.next_power_of_two() / 2, size - 1, size] {
                let Some(from) = Some(from).filter(|from| *from > 0) else { continue };
                let path = tree.consistency(from, size).expect("path");
                assert_eq!(oracle.prove_consistency(at(size - from)).as_bytes(), bytes(&path), "{from} to {size}");
                let older = tree.root_at(from).expect("held");
                assert_eq!(verify_consistency(from, &older, size, &root, &path), Ok(()), "{from} to {size}");
            }
        }
    }

    /// One tree that grows, asked at sizes nobody chose: 20,000 leaves, or `COMITY_TREE_LEAVES`, as the full run sets it
    /// to ten million.
    #[test]
    fn random_sizes_are_proved_as_another_implementation_does() {
        let leaves = std::env::var("COMITY_TREE_LEAVES").map_or(20_000, |text| text.parse().expect("a number"));
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut sizes: Vec<u64> = (0..24).map(|_| 1 + random(leaves)).chain([leaves]).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let (mut tree, mut oracle, mut roots) = (Tree::new(), Oracle::new(), Vec::new());
        for size in sizes {
            for n in tree.size()..size {
                oracle.push(leaf(n));
                tree.push(hash(&leaf(n)));
            }
            let root = tree.root();
            assert_eq!(oracle.root().as_bytes()[..], root.as_bytes()[..], "{size}");
            for n in (0..20).map(|_| random(size)) {
                let path = tree.inclusion(LedgerIndex(n), size).expect("path");
                assert_eq!(oracle.prove_inclusion(at(n)).as_bytes(), bytes(&path), "{n} in {size}");
                assert_eq!(verify_inclusion(&hash(&leaf(n)), LedgerIndex(n), size, &path, &root), Ok(()));
            }
            for (from, older) in &roots {
                let path = tree.consistency(*from, size).expect("path");
                assert_eq!(oracle.prove_consistency(at(size - from)).as_bytes(), bytes(&path), "{from} to {size}");
                assert_eq!(verify_consistency(*from, older, size, &root, &path), Ok(()));
                assert_eq!(tree.root_at(*from), Ok(*older));
            }
            roots.push((size, root));
        }
    }

    #[test]
    fn an_edge_is_known_by_its_growing_tiles() {
        for size in [0, 1, 255, 256, 257, 600, 65_536, 65_793] {
            let tree = tree(size);
            let growing = |row| {
                let id = tree.edge.growing(usize::from(row));
                let width = id.width_in(size);
                let bytes = if width == 0 { Ok(vec![]) } else { tree.tile_bytes(id, width) };
                Tile::from_bytes(&bytes.expect("held"), width).expect("reads")
            };
            let rows = (0..8_u8).take_while(|row| TileId { row: *row, number: 0 }.width_in(size) > 0);
            let rows: Vec<Tile> = rows.map(growing).collect();
            let edge = Edge::of_tiles(size, rows.clone()).expect("fits");
            assert_eq!((edge.root(), edge.size()), (tree.root(), size));
            let bytes = edge.to_bytes();
            let again = Edge::from_bytes(size, &bytes).expect("reads");
            assert_eq!((again.root(), again.to_bytes()), (tree.root(), bytes.clone()));
            assert!(Edge::from_bytes(size + 1, &bytes).is_err(), "{size}");
            assert!(Edge::from_bytes(size, &[&bytes[..], &[0]].concat()).is_err(), "{size}");
            assert!(size == 0 || Edge::from_bytes(size, &bytes[1..]).is_err(), "{size}");
            assert!(Edge::of_tiles(size + 1, rows.clone()).is_err(), "{size}");
            assert!(size == 0 || Edge::of_tiles(size, rows[..rows.len() - 1].to_vec()).is_err(), "{size}");
        }
    }

    #[test]
    fn a_tile_is_given_as_wide_as_it_was() {
        let tree = tree(600);
        let tile = |row, number, width| tree.tile_bytes(TileId { row, number }, width);
        let leaves: Vec<u8> = (256..512).flat_map(|n| *hash(&leaf(n)).as_bytes()).collect();
        assert_eq!(tile(0, 1, 256), Ok(leaves.clone()));
        assert_eq!(tile(0, 1, 7), Ok(leaves[..224].to_vec()));
        assert_eq!(tile(0, 2, 88).map(|bytes| bytes.len()), Ok(88 * 32));
        assert_eq!(tile(1, 0, 1), Ok(tree.root_at(256).expect("held").as_bytes().to_vec()));
        for (row, number, width) in
            [(0, 2, 89), (0, 3, 1), (1, 0, 3), (1, 0, 0), (2, 0, 1), (60, 0, 1), (0, u64::MAX, 1)]
        {
            assert_eq!(tile(row, number, width), Err(LedgerFault::BadTile), "{row} {number} {width}");
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
