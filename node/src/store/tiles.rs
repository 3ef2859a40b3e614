//! Full tiles of the tree as files, laid out as tlog-tiles has them: what lets the tree stay out of memory (SPEC `[F-7]`).
//!
//! Nothing here is the truth. A tile is written without a sync once its records are on disk; each that is read back is
//! held against the tile above it, and one that is missing, torn or changed is made again from the records. Start with
//! [`OnDisk`].

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    ids::Digest,
    ledger::{Edge, LeafEntry, Resource, TILE_WIDTH, Tile, TileId, Tiles, leaf_hash},
};

use super::{Damage, DamageKind, StoreFault, record, segments::Shelf};
use crate::disk::Disk;

/// Tiles kept in memory, of 16 KiB each: proofs of new records and of those an officer looks at stand on the same few.
const KEPT_MAX: usize = 64;

/// The folder of tiles.
pub(super) struct TileFolder {
    disk: Disk,
    /// Holds the folder `tile`, as the prefix of a log does.
    prefix: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Completed, with records that may not be on disk yet. Handed out, and not yet written.
    fresh: BTreeMap<TileId, Arc<Tile>>,
    /// Read or written lately, and when, counted in uses.
    lately: BTreeMap<TileId, (u64, Arc<Tile>)>,
    uses: u64,
}

impl Kept {
    fn find(&mut self, id: TileId) -> Option<Arc<Tile>> {
        if let Some(tile) = self.fresh.get(&id) {
            return Some(Arc::clone(tile));
        }
        self.uses += 1;
        let (used, tile) = self.lately.get_mut(&id)?;
        *used = self.uses;
        Some(Arc::clone(tile))
    }

    fn add(&mut self, id: TileId, tile: Arc<Tile>) {
        if self.lately.len() >= KEPT_MAX {
            let oldest = self.lately.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id);
            oldest.and_then(|id| self.lately.remove(&id));
        }
        self.uses += 1;
        self.lately.insert(id, (self.uses, tile));
    }
}

impl TileFolder {
    pub(super) fn new(disk: &Disk, prefix: &Path) -> Self {
        Self { disk: disk.clone(), prefix: prefix.to_owned(), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: TileId) -> PathBuf {
        self.prefix.join(Resource::Tile(id, TILE_WIDTH).to_string())
    }

    /// Takes a tile that was just completed. It is written by the next [`Self::settle`], after its records.
    pub(super) fn take(&self, id: TileId, tile: Tile) {
        self.kept().fresh.insert(id, Arc::new(tile));
    }

    /// Writes what was taken. A crash within leaves tiles missing or torn, which are made again when they are read.
    pub(super) fn settle(&self) {
        let fresh: Vec<_> = self.kept().fresh.iter().map(|(id, tile)| (*id, Arc::clone(tile))).collect();
        for (id, tile) in fresh {
            self.write(id, &tile);
            let mut kept = self.kept();
            kept.fresh.remove(&id);
            kept.add(id, tile);
        }
    }

    /// Writes a tile that an open or a verification recomputed, unless it is there as it must be: `thorough` compares
    /// its content too.
    pub(super) fn ensure(&self, id: TileId, tile: &Tile, thorough: bool) {
        let path = self.path(id);
        let bytes = tile.to_bytes(TILE_WIDTH);
        let as_it_must_be = match thorough {
            true => fs::read(&path).is_ok_and(|found| found == bytes),
            false => fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64),
        };
        if !as_it_must_be {
            self.write(id, tile);
        }
    }

    /// A tile that cannot be written is no loss: it is made again whenever it is needed.
    fn write(&self, id: TileId, tile: &Tile) {
        let path = self.path(id);
        let written = || -> io::Result<()> {
            self.folders(path.parent().unwrap_or(&self.prefix))?;
            self.disk.create(&path)?.write_at(&tile.to_bytes(TILE_WIDTH), 0)
        };
        if let Err(fault) = written() {
            tracing::debug!(target: "store", row = id.row, number = id.number, %fault, "a tile was not written");
        }
    }

    fn folders(&self, path: &Path) -> io::Result<()> {
        if path == self.prefix || path.is_dir() {
            return Ok(());
        }
        path.parent().map_or(Ok(()), |parent| self.folders(parent))?;
        self.disk.folder(path)
    }

    fn read(&self, id: TileId) -> Option<Tile> {
        Tile::from_bytes(&fs::read(self.path(id)).ok()?, TILE_WIDTH).ok()
    }
}

/// The tiles of a ledger with what they are proved by: its edge above them, its records below.
pub(super) struct OnDisk<'l> {
    pub(super) edge: &'l Edge,
    pub(super) tiles: &'l TileFolder,
    pub(super) shelf: &'l Shelf,
}

impl Tiles for OnDisk<'_> {
    type Fault = StoreFault;

    fn tile(&self, id: TileId) -> Result<Arc<Tile>, StoreFault> {
        if let Some(tile) = self.tiles.kept().find(id) {
            return Ok(tile);
        }
        // What stands above is proved in the same way, up to the edge, which was computed here.
        let root = self.edge.root_of(id, self)?;
        let tile = match self.tiles.read(id).filter(|tile| tile.root() == Some(root)) {
            Some(tile) => tile,
            None => self.rebuilt(id, &root)?,
        };
        let tile = Arc::new(tile);
        self.tiles.kept().add(id, Arc::clone(&tile));
        Ok(tile)
    }
}

impl OnDisk<'_> {
    fn rebuilt(&self, id: TileId, root: &Digest) -> Result<Tile, StoreFault> {
        let tile = self.of_records(id)?;
        if tile.root() != Some(*root) {
            let record = id.number.saturating_add(1).saturating_mul(TILE_WIDTH);
            return Err(StoreFault::Damaged(Damage { kind: DamageKind::Root, record, segment: 0, offset: 0 }));
        }
        tracing::warn!(
            target: "store", code = "store.tile-rebuilt", row = id.row, number = id.number,
            "a tile was missing or changed and was made again from the records"
        );
        self.tiles.write(id, &tile);
        Ok(tile)
    }

    /// All below it is read: for a tile of leaves 256 records, for one above it as many for each of its hashes.
    fn of_records(&self, id: TileId) -> Result<Tile, StoreFault> {
        let mut tile = Tile::default();
        for below in id.number * TILE_WIDTH..(id.number + 1) * TILE_WIDTH {
            let hash = match id.row.checked_sub(1) {
                None => leaf_hash(&self.leaf(below)?),
                Some(row) => {
                    let below = self.of_records(TileId { row, number: below })?;
                    below.root().expect("a tile made of 256 hashes is full")
                }
            };
            tile.push(hash);
        }
        Ok(tile)
    }

    /// The leaf entry of a record.
    pub(super) fn leaf(&self, index: u64) -> Result<LeafEntry, StoreFault> {
        let payload = self.shelf.read(index)?;
        let damaged = |kind| StoreFault::Damaged(Damage { kind, record: index, segment: 0, offset: 0 });
        record::leaf_of(&payload).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(n: u8) -> Tile {
        let mut tile = Tile::default();
        for byte in 0..=255 {
            tile.push(Digest::new([byte ^ n; 32]));
        }
        tile
    }

    #[test]
    fn what_is_taken_is_found_before_and_after_it_is_written() {
        let home = tempfile::tempdir().expect("folder");
        let tiles = TileFolder::new(&Disk::default(), home.path());
        let id = TileId { row: 0, number: 1234 };
        tiles.take(id, tile(1));
        assert!(!home.path().join("tile").exists());
        assert_eq!(tiles.kept().find(id).as_deref(), Some(&tile(1)));
        tiles.settle();
        assert!(tiles.kept().fresh.is_empty());
        assert_eq!(tiles.kept().find(id).as_deref(), Some(&tile(1)));
        let path = home.path().join("tile/0/x001/234");
        assert_eq!(fs::read(&path).expect("written"), tile(1).to_bytes(TILE_WIDTH));
        fs::write(&path, tile(2).to_bytes(TILE_WIDTH)).expect("changed");
        tiles.ensure(id, &tile(1), false);
        assert_eq!(tiles.read(id), Some(tile(2)), "its length is right");
        tiles.ensure(id, &tile(1), true);
        assert_eq!(tiles.read(id), Some(tile(1)));
        fs::write(&path, b"torn").expect("changed");
        tiles.ensure(id, &tile(1), false);
        assert_eq!(tiles.read(id), Some(tile(1)));
    }

    #[test]
    fn only_so_many_are_kept_and_the_least_used_goes() {
        let home = tempfile::tempdir().expect("folder");
        let tiles = TileFolder::new(&Disk::default(), home.path());
        let id = |number| TileId { row: 0, number };
        for number in 0..KEPT_MAX as u64 {
            tiles.kept().add(id(number), Arc::new(tile(0)));
        }
        assert!(tiles.kept().find(id(0)).is_some());
        tiles.kept().add(id(1000), Arc::new(tile(0)));
        assert_eq!(tiles.kept().lately.len(), KEPT_MAX);
        assert!(tiles.kept().find(id(0)).is_some());
        assert!(tiles.kept().find(id(1)).is_none());
    }

    #[test]
    fn a_tile_that_cannot_be_written_is_no_fault() {
        let home = tempfile::tempdir().expect("folder");
        fs::write(home.path().join("tile"), b"in the way").expect("written");
        let tiles = TileFolder::new(&Disk::default(), home.path());
        tiles.take(TileId { row: 0, number: 0 }, tile(1));
        tiles.settle();
        assert!(tiles.kept().find(TileId { row: 0, number: 0 }).is_some());
    }
}
