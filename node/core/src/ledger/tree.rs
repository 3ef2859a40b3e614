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
mod tests;
