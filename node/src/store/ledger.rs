//! The ledger on disk: records sealed under the right keys, in the log, hashed into the tree.
//!
//! Decides where a record stands and when it counts; what it says is core's. Frames keep what
//! duplicate detection needs under the node's key and everything else under the request's, so that
//! destroying one slot erases a request and leaves the tree valid. Serves SPEC `[L-*]`, `[F-*]`.
//!
//! Start with [`Ledger::open`] and [`Ledger::append`].

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, atomic::AtomicBool},
    thread,
};

use super::{
    Damage, DamageKind, Pending, StoreFault,
    book::LedgerBook,
    copy::Part,
    look::LookOver,
    notes::Notes,
    record::{Opener, StoredRecord},
    segments::{self, Shape, Shelf, Stretch},
    slots::{self, Slots},
    tiles::{OnDisk, TileFolder},
    walk::{Ground, Outcome, Planter, Verified, walk},
    writer::Writer,
};
use crate::disk::Disk;
use comity_core::{
    crypto::DataKey,
    ids::{Digest, LedgerIndex, RequestId},
    ledger::{Appended, Edge, LedgerFault, Resource, TILE_WIDTH, TileId, bundle_bytes, checkpoint},
    record::Record,
};

/// One segment: a first start waits 70 ms for it, a rebuild reads it in one piece, and a batch that
/// does not fit at its end wastes at most a quarter, in practice the size of one append.
const SEGMENT: u64 = 16 << 20;

pub(super) const SHAPE: Shape =
    Shape { name: "ledger", segment: SEGMENT, points: ["store.batch-written", "store.batch-synced"] };

/// The audit tree: a record takes under a KiB, so one segment holds some 5,000 of them, a busy day.
const AUDIT_SHAPE: Shape =
    Shape { name: "audit", segment: 4 << 20, points: ["audit.batch-written", "audit.batch-synced"] };

/// The keys a ledger is opened with.
pub struct LedgerKeys {
    /// For node parts, which last for ever, and for records outside requests.
    pub node: DataKey,
    /// Wrap the data keys of requests, by generation: the newest what is new, and at an open all that was there.
    pub kek: BTreeMap<u32, DataKey>,
}

/// What an open found.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// Records in the ledger, readable or not.
    pub size: u64,
    /// Records the tree covers: all of them unless there is damage.
    pub proven: u64,
    /// The tree's root over the proven ones.
    pub root: Digest,
    /// Bytes of an interrupted batch that were cut.
    pub torn_bytes: u64,
    /// Key slots that were wrapped anew, under the newest key-encryption key.
    pub turned: u64,
    /// Why nothing can be appended.
    pub read_only: Option<Damage>,
}

/// Records that are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The first of this append.
    pub first: LedgerIndex,
    /// How many there are.
    pub count: u64,
    /// The ledger's size after the batch they were written in.
    pub size: u64,
    /// The root at that size.
    pub root: Digest,
}

impl Committed {
    /// The tokens without which nothing is sent, one for each record in order.
    pub fn appended(&self) -> impl Iterator<Item = Appended> + use<> {
        let size = self.size;
        (self.first.0..self.first.0 + self.count).map(move |index| Appended::on_disk(LedgerIndex(index), size))
    }
}

/// An open ledger. Shared by reference; dropping it finishes what was submitted.
pub struct Ledger {
    pub(super) shelf: Arc<Shelf>,
    edge: Arc<RwLock<Edge>>,
    tiles: Arc<TileFolder>,
    pub(super) slots: Arc<Slots>,
    opener: Opener,
    writer: Option<Writer<LedgerBook>>,
    /// The damage that was found first, by the open or later, and as far as the tree can be believed.
    broken: OnceLock<(Damage, u64)>,
    /// The newest signed checkpoint.
    notes: Mutex<Notes>,
    /// Whose faults tests call up while it is open.
    #[cfg(test)]
    disk: Disk,
}

impl Ledger {
    /// Opens the ledger in `folder`, or makes it. `known` is a size some peer vouches for; the saved
    /// checkpoint is looked at in any case. With damage the ledger opens for reading only.
    ///
    /// # Errors
    /// When files cannot be read or made, or the keys are not those of this ledger.
    pub fn open(folder: &Path, keys: LedgerKeys, known: Option<u64>) -> Result<(Self, Opened), StoreFault> {
        Self::open_on(&Disk::default(), folder, keys, known, SHAPE)
    }

    /// Opens the audit tree in `folder`, or makes it: a ledger of the node's own records, all under this one key.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_audit(folder: &Path, key: &DataKey) -> Result<(Self, Opened), StoreFault> {
        // None of its records names a request's keys: its slots stay empty.
        let keys = LedgerKeys { node: key.clone(), kek: [(1, key.clone())].into() };
        Self::open_on(&Disk::default(), folder, keys, None, AUDIT_SHAPE)
    }

    pub(super) fn open_on(
        disk: &Disk,
        folder: &Path,
        keys: LedgerKeys,
        known: Option<u64>,
        shape: Shape,
    ) -> Result<(Self, Opened), StoreFault> {
        disk.folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        let (slots, turned, bad_slot) = Slots::open(disk, &folder.join(slots::FOLDER), keys.kek)?;
        let slots = Arc::new(slots);
        let (notes, saved) = Notes::read(disk, folder)?;
        let tiles = Arc::new(TileFolder::new(disk, folder));
        let mut planted = Planter::new(&tiles);
        let known = known.unwrap_or(0).max(notes.size());
        let (tail, shelf, found) = segments::open(disk, &folder.join("segments"), shape, known, &mut planted)?;
        let Planter { edge, .. } = planted;
        let opener = Opener::new(keys.node, Arc::clone(&slots));
        opener.check_key(&shelf)?;
        let planted = OnDisk { edge: &edge, tiles: &tiles, shelf: &shelf };
        let read_only = found.damage.or(bad_slot).or_else(|| disagreement(&planted, &found, &saved));
        let opened = Opened {
            size: found.size,
            proven: found.intact,
            root: edge.root_at(found.intact, &planted)?,
            torn_bytes: found.torn_bytes,
            turned,
            read_only,
        };
        let edge = Arc::new(RwLock::new(edge));
        let writer = match tail {
            Some(tail) if read_only.is_none() => {
                let tree = (Arc::clone(&edge), Arc::clone(&tiles));
                let book = LedgerBook::new(tail, Arc::clone(&shelf), tree, opener.clone());
                Some(Writer::start(shape.name, book)?)
            }
            _ => None,
        };
        let broken = read_only.map_or_else(OnceLock::new, |damage| (damage, opened.proven).into());
        let ledger = Self {
            shelf,
            edge,
            tiles,
            slots,
            opener,
            writer,
            broken,
            notes: Mutex::new(notes),
            #[cfg(test)]
            disk: disk.clone(),
        };
        Ok((ledger, opened))
    }

    /// Hands records to the writer: all of them will stand together, or none. The answer comes
    /// after the sync that covers them.
    ///
    /// # Errors
    /// [`StoreFault::ReadOnly`], [`StoreFault::Busy`], [`StoreFault::TooLarge`] at once; what the
    /// disk says, later.
    pub fn append(&self, records: Vec<Record>) -> Result<Pending<Committed>, StoreFault> {
        match (self.read_only(), &self.writer) {
            (Some(damage), _) => Err(StoreFault::ReadOnly(damage)),
            (None, Some(writer)) => writer.submit(records),
            (None, None) => Err(StoreFault::Stopped),
        }
    }

    /// The faults of its disk.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &crate::disk::faults::Faults {
        &self.disk.faults
    }

    /// From now on nothing is appended: what is here turned out not to be what it should be. What was submitted before is
    /// finished.
    pub fn forbid(&self, damage: Damage) {
        self.broken.get_or_init(|| (damage, u64::MAX)); // the tree is what it was
    }

    /// Records that can be asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shelf.size()
    }

    /// Why nothing can be appended, if so.
    #[must_use]
    pub fn read_only(&self) -> Option<Damage> {
        self.broken.get().map(|(damage, _)| *damage)
    }

    /// One record, opened as far as its keys still exist.
    ///
    /// # Errors
    /// [`StoreFault::NoSuchRecord`], [`StoreFault::Damaged`], or when the disk does not answer.
    pub fn read(&self, index: LedgerIndex) -> Result<StoredRecord, StoreFault> {
        self.opener.open(index.0, &self.shelf.read(index.0)?)
    }

    /// All records from an index on, as many as there are now.
    pub fn iterate(&self, from: LedgerIndex) -> impl Iterator<Item = Result<StoredRecord, StoreFault>> + '_ {
        (from.0..self.size()).map(|index| self.read(LedgerIndex(index)))
    }

    /// The path from a record to the root at a size, leaf side first.
    ///
    /// # Errors
    /// When the index is not below the size, the tree does not reach it, or a tile is damaged beyond repair.
    pub fn prove(&self, index: LedgerIndex, size: u64) -> Result<Vec<Digest>, StoreFault> {
        self.on_tree(size, |edge, tiles| edge.inclusion(index, size, tiles))
    }

    /// The path that shows the ledger at one size to be a beginning of it at another.
    ///
    /// # Errors
    /// When `from` exceeds `to`, the tree does not reach it, or a tile is damaged beyond repair.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Digest>, StoreFault> {
        self.on_tree(to, |edge, tiles| edge.consistency(from, to, tiles))
    }

    /// The root at a size.
    ///
    /// # Errors
    /// When the tree does not reach it, or a tile is damaged beyond repair.
    pub fn root_at(&self, size: u64) -> Result<Digest, StoreFault> {
        self.on_tree(size, |edge, tiles| edge.root_at(size, tiles))
    }

    /// A tile or an entry bundle of this ledger as tlog-tiles lays it out, if it lies within the tree of this size.
    /// The checkpoint is kept elsewhere: none.
    ///
    /// # Errors
    /// When a record or tile is damaged beyond repair, or the tree does not reach the size.
    pub fn resource(&self, resource: Resource, size: u64) -> Result<Option<Vec<u8>>, StoreFault> {
        let within = |id: TileId, width: u64| width > 0 && id.width_in(size) >= width;
        self.on_tree(size, |edge, tiles| match resource {
            Resource::Tile(id, width) if within(id, width) => edge.tile_bytes(id, width, tiles).map(Some),
            Resource::Entries(number, width) if within(TileId { row: 0, number }, width) => {
                let first = number * TILE_WIDTH;
                let leaves: Result<Vec<_>, _> = (first..first + width).map(|index| tiles.leaf(index)).collect();
                leaves.map(|leaves| Some(bundle_bytes(&leaves)))
            }
            Resource::Tile(..) | Resource::Entries(..) | Resource::Checkpoint => Ok(None),
        })
    }

    /// The tree runs ahead of the disk while a batch is in flight; nobody is shown that part.
    fn on_tree<T>(
        &self,
        size: u64,
        ask: impl Fn(&Edge, &OnDisk<'_>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let held = self.broken.get().map_or(u64::MAX, |(_, proven)| *proven).min(self.size());
        if size > held {
            return Err(LedgerFault::SizeBeyondTree { size, held }.into());
        }
        let edge = self.edge.read().unwrap_or_else(PoisonError::into_inner);
        ask(&edge, &OnDisk { edge: &edge, tiles: &self.tiles, shelf: &self.shelf })
    }

    /// Destroys the data keys of a request; returns once that is on disk. Its records stay, and
    /// stay proven, but nothing of their case can be read any more.
    ///
    /// # Errors
    /// Fatal, when the disk does not confirm it.
    pub fn destroy_keys(&self, request: RequestId) -> Result<(), StoreFault> {
        self.slots.destroy(request)
    }

    /// The content key of a request, while it exists. None is made here.
    ///
    /// # Errors
    /// When its slot is damaged or does not read.
    pub fn content_key(&self, request: RequestId) -> Result<Option<DataKey>, StoreFault> {
        let Some(slot) = self.slots.find(request) else { return Ok(None) };
        Ok(self.slots.keys(slot)?.map(|keys| keys.content))
    }

    /// Keeps a signed checkpoint of this ledger, unless a larger one is kept already. From then on
    /// an open that finds fewer records is damage.
    ///
    /// # Errors
    /// When the note is none, counts more records than are on disk, or cannot be written.
    pub fn save_checkpoint(&self, note: &[u8]) -> Result<(), StoreFault> {
        let size = checkpoint::parse_unverified(note).map_err(|_| StoreFault::NotACheckpoint)?.size;
        if size > self.size() {
            return Err(StoreFault::NotACheckpoint);
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if size <= notes.size() {
            return Ok(());
        }
        notes.keep(note, size)
    }

    /// The file of the kept checkpoint as it is, not read while it is written; nothing before the first.
    pub(super) fn copy_note(&self) -> Result<Vec<Part>, StoreFault> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let file = notes.copy()?;
        Ok(file.map(|bytes| Part::of_bytes(super::notes::FILE.to_owned(), bytes)).into_iter().collect())
    }

    /// The size of the checkpoint last saved; 0 if none was.
    #[must_use]
    pub fn signed(&self) -> u64 {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).size()
    }

    /// The checkpoint last saved, read anew.
    pub fn checkpoint(&self) -> Option<Vec<u8>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).note()
    }

    /// Walks everything, with all processors: each checksum, the chain, each leaf that can still be recomputed, the root
    /// at each commit. `progress` is told how many records are done. Damage makes the ledger read-only.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] names the first that does not match.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, StoreFault> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        self.walked(self.shelf.stretches(), Some(&self.opener), (threads, &AtomicBool::new(false)), progress)
    }

    /// Walks, in a thread of the lowest priority, what the open took from outlines without reading it: each checksum, the
    /// chain and the tree, as an open that reads it all. Damage makes the ledger read-only, here and at each start
    /// to come, and `told` hears of it. Dropping the handle ends the walk.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn look_over(self: &Arc<Self>, told: impl FnOnce(Damage) + Send + 'static) -> Result<LookOver, StoreFault> {
        let mut unread = self.shelf.stretches();
        unread.truncate(unread.iter().rposition(|stretch| !stretch.chapter.is_read).map_or(0, |last| last + 1));
        let ledger = Arc::clone(self);
        LookOver::start(move |stop| match ledger.walked(unread, None, (1, stop), &mut |_| ()) {
            Ok(_) => {}
            Err(StoreFault::Damaged(damage)) => told(damage),
            Err(fault) => tracing::warn!(target: "store", code = fault.code(), "the ledger was not looked over"),
        })
    }

    fn walked(
        &self,
        stretches: Vec<Stretch>,
        opener: Option<&Opener>,
        (threads, stop): (usize, &AtomicBool),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verified, StoreFault> {
        // What was put back from a backup is not all there was, and nothing in it is wrong for that.
        if let Some(damage) = self.read_only().filter(|damage| damage.kind != DamageKind::Restored) {
            return Err(StoreFault::Damaged(damage));
        }
        let ground = Ground { shelf: &self.shelf, tiles: &self.tiles, opener, stop };
        match walk(&ground, stretches, threads, progress)? {
            Outcome::Whole(verified) => Ok(verified),
            Outcome::Damaged(damage, proven) => {
                self.shelf.doubt(damage.segment);
                self.broken.set((damage, proven)).ok(); // the damage that was found first stands
                Err(StoreFault::Damaged(damage))
            }
        }
    }
}

type Saved = Result<Option<checkpoint::Checkpoint>, Damage>;

/// Where the tree of what was read differs from what the last commit or the checkpoint states.
fn disagreement(planted: &OnDisk<'_>, found: &segments::Found, saved: &Saved) -> Option<Damage> {
    let edge = planted.edge;
    let root_damage = |record| Damage { kind: DamageKind::Root, record, segment: 0, offset: 0 };
    if edge.size() > 0 && edge.root().as_bytes() != &found.root {
        return Some(root_damage(edge.size()));
    }
    match saved {
        Err(damage) => Some(*damage),
        Ok(Some(saved)) if edge.root_at(saved.size, planted).ok() != Some(saved.root) => Some(root_damage(saved.size)),
        Ok(_) => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
