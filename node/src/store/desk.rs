//! The desk: what must last but proves nothing. Drafts, idempotency keys, feed positions, jobs.
//!
//! Small keys and values, all in memory, each change on disk before it is answered. The same log as
//! the ledger without a tree, encrypted, and written anew at an open once most of it is overtaken, or when asked to, so
//! that nothing stays that was removed ([`Desk::rewrite`]).
//! Never holds the only copy of anything that was promised to a peer. Start with [`Desk::open`].

use std::{
    collections::BTreeMap,
    fs, iter, mem,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use comity_core::crypto::DataKey;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{
    Damage, DamageKind, Pending, StoreFault,
    frame::Batch,
    scan::Visit,
    segments::{self, Found, Shape, Shelf, Tail},
    writer::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Book, Writer},
};
use crate::disk::{Disk, UNFINISHED, crash::crash_point};

/// Twice a full batch: the desk is small, and each generation prepares two of these.
const SEGMENT: u64 = 8 << 20;
/// Below this nothing is gained by writing the desk anew.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// Names: an id or two under a prefix.
pub(super) const DESK_KEY_MAX: usize = 1024;
/// What a change takes on disk beyond its key and value.
const OVERHEAD: usize = 64;
const NONCE: usize = 12;
const VERSION: u8 = 1;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const BINDING: &[u8] = b"comity desk v1\0";

pub(super) const SHAPE: Shape =
    Shape { name: "desk", segment: SEGMENT, points: ["store.desk-written", "store.desk-synced"] };

type Entries = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// One change of the desk.
#[derive(Clone, PartialEq, Eq)]
pub enum DeskChange {
    /// Sets the value of a key.
    Put(Vec<u8>, Zeroizing<Vec<u8>>),
    /// Removes a key; fine if there is none.
    Delete(Vec<u8>),
}

impl DeskChange {
    /// What it takes on disk.
    fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) => put_bytes(key, value),
            Self::Delete(key) => OVERHEAD + key.len(),
        }
    }

    /// Changes in their order, in parts each of which [`Desk::apply`] takes.
    pub fn parts(changes: impl IntoIterator<Item = Self>) -> impl Iterator<Item = Vec<Self>> {
        let mut left = changes.into_iter().peekable();
        iter::from_fn(move || {
            let first = left.next()?;
            let (mut bytes, mut part) = (first.bytes(), vec![first]);
            let fits = |change: &Self, bytes: usize, many: usize| {
                bytes + change.bytes() <= BATCH_BYTES_MAX && many < BATCH_RECORDS_MAX
            };
            while let Some(change) = left.next_if(|change| fits(change, bytes, part.len())) {
                bytes += change.bytes();
                part.push(change);
            }
            Some(part)
        })
    }
}

/// What an open found.
#[derive(Debug, Clone, Copy)]
pub struct DeskOpened {
    /// Keys on the desk.
    pub keys: usize,
    /// Bytes of an interrupted change that were cut.
    pub torn_bytes: u64,
    /// Whether the desk was written anew.
    pub compacted: bool,
    /// Why nothing can be changed; what is shown is as of before the damage.
    pub read_only: Option<Damage>,
}

/// An open desk. Shared by reference; dropping it finishes what was submitted.
pub struct Desk {
    entries: Arc<RwLock<Entries>>,
    writer: Option<Writer<DeskBook>>,
    read_only: Option<Damage>,
    failed: Failed,
}

/// Set once nothing more can be put on the desk.
type Failed = Arc<watch::Sender<Option<StoreFault>>>;

impl Desk {
    /// Opens the desk in `folder`, or makes it.
    ///
    /// # Errors
    /// When files cannot be read or made, or the key is not that of this desk.
    pub fn open(folder: &Path, key: DataKey) -> Result<(Self, DeskOpened), StoreFault> {
        Self::open_on(&Disk::default(), folder, key, SHAPE, COMPACT_BYTES_MIN)
    }

    pub(super) fn open_on(
        disk: &Disk,
        folder: &Path,
        key: DataKey,
        shape: Shape,
        compact_min: u64,
    ) -> Result<(Self, DeskOpened), StoreFault> {
        disk.folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        let number = sweep(disk, folder)?;
        let mut loaded = load(disk, &generation(folder, number), &key, shape)?;
        let torn_bytes = loaded.found.torn_bytes;
        let overtaken = loaded.found.damage.is_none() && loaded.is_mostly_overtaken(compact_min);
        let mut compacted = false;
        if overtaken {
            // The old tail's threads end here: nothing else may touch the old generation any more.
            loaded.tail = None;
            let written = compact(disk, folder, number, &key, shape, mem::take(&mut loaded.entries));
            compacted = written.is_ok();
            if let Err(fault) = written {
                tracing::warn!(target: "store", code = fault.code(), "the desk was not written anew");
            }
            loaded = load(disk, &generation(folder, sweep(disk, folder)?), &key, shape)?;
        }
        let read_only = loaded.found.damage;
        let opened = DeskOpened { keys: loaded.entries.len(), torn_bytes, compacted, read_only };
        let entries = Arc::new(RwLock::new(loaded.entries));
        let failed = Failed::default();
        let place = Place { disk: disk.clone(), folder: folder.to_owned(), key, shape };
        let book = |tail| DeskBook { tail, place, entries: Arc::clone(&entries), failed: Arc::clone(&failed) };
        let writer = loaded.tail.map(|tail| Writer::start(shape.name, book(tail))).transpose()?;
        Ok((Self { entries, writer, read_only, failed }, opened))
    }

    /// Makes all changes together; the answer comes once they are on disk.
    ///
    /// # Errors
    /// [`StoreFault::ReadOnly`], [`StoreFault::Busy`], [`StoreFault::TooLarge`] at once; what the
    /// disk says, later.
    pub fn apply(&self, changes: Vec<DeskChange>) -> Result<Pending<()>, StoreFault> {
        for change in &changes {
            let (DeskChange::Put(key, _) | DeskChange::Delete(key)) = change;
            if key.len() > DESK_KEY_MAX {
                return Err(StoreFault::TooLarge { bytes: key.len(), max: DESK_KEY_MAX });
            }
        }
        self.submit(DeskEntry::Changes(changes))
    }

    /// Writes the desk anew from what lies on it and removes what it was written in, so that no file holds what was removed
    /// or overtaken. The answer comes once that is so; changes go on meanwhile, behind it.
    ///
    /// # Errors
    /// As [`Self::apply`]; the desk is then as it was.
    pub fn rewrite(&self) -> Result<Pending<()>, StoreFault> {
        self.submit(DeskEntry::Rewrite)
    }

    fn submit(&self, entry: DeskEntry) -> Result<Pending<()>, StoreFault> {
        match (&self.writer, self.read_only) {
            (Some(writer), _) => writer.submit(entry),
            (None, Some(damage)) => Err(StoreFault::ReadOnly(damage)),
            (None, None) => Err(StoreFault::Stopped),
        }
    }

    /// Sets one value.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<Pending<()>, StoreFault> {
        self.apply(vec![DeskChange::Put(key.to_vec(), Zeroizing::new(value.to_vec()))])
    }

    /// Removes one key.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn delete(&self, key: &[u8]) -> Result<Pending<()>, StoreFault> {
        self.apply(vec![DeskChange::Delete(key.to_vec())])
    }

    /// Waits until the disk has failed under the desk: what it is to keep is promised like everything else, so whoever
    /// runs on it must end.
    pub async fn failed(&self) -> StoreFault {
        let mut failed = self.failed.subscribe();
        let seen = failed.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        seen.unwrap_or(StoreFault::Stopped)
    }

    /// The value of a key, as of the last change on disk.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All keys that begin with `prefix`, in order, with their values.
    #[must_use]
    pub fn range(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Zeroizing<Vec<u8>>)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let from = entries.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// One life of the log, between two rewritings.
fn generation(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}"))
}

/// The generation that counts: the highest with a finished name, or the first. Removes what a
/// crash during rewriting left.
fn sweep(disk: &Disk, folder: &Path) -> Result<u32, StoreFault> {
    let mut finished = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreFault::unreadable(folder))? {
        let path = entry.map_err(StoreFault::unreadable(folder))?.path();
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            disk.remove_folder(&path).map_err(StoreFault::unreadable(&path))?;
        } else if let Some(number) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) {
            finished.push(number);
        }
    }
    finished.sort_unstable();
    let newest = finished.pop().unwrap_or(0);
    // The one that counts must have its name for good before the others lose theirs.
    disk.sync_folder(folder).map_err(StoreFault::unreadable(folder))?;
    for number in finished {
        let path = generation(folder, number);
        disk.remove_folder(&path).map_err(StoreFault::unreadable(&path))?;
    }
    Ok(newest)
}

/// Writes what is on the desk into a fresh generation and puts that in place of the old one. If it
/// fails the old one is as it was.
fn compact(
    disk: &Disk,
    folder: &Path,
    number: u32,
    key: &DataKey,
    shape: Shape,
    entries: Entries,
) -> Result<(), StoreFault> {
    let target = generation(folder, number + 1);
    let unfinished = target.with_extension(UNFINISHED);
    let fresh = load(disk, &unfinished, key, shape)?;
    let tail = fresh.tail.expect("an empty log has no damage");
    let place = Place { disk: disk.clone(), folder: folder.to_owned(), key: key.clone(), shape };
    let mut book = DeskBook { tail, place, entries: Arc::default(), failed: Failed::default() };
    for part in DeskChange::parts(entries.into_iter().map(|(key, value)| DeskChange::Put(key, value))) {
        book.write(part)?;
    }
    drop(book);
    // A crash here leaves both, the new one without its name: the old one counts.
    crash_point("store.desk-copied");
    disk.rename(&unfinished, &target).map_err(StoreFault::writing("renaming the new desk"))?;
    // A crash here leaves both with names: the higher counts, and holds the same.
    crash_point("store.desk-renamed");
    Ok(())
}

/// A generation as read.
struct Loaded {
    entries: Entries,
    tail: Option<Tail>,
    found: Found,
    /// Bytes of all changes and of those that still count.
    bytes: (u64, u64),
}

impl Loaded {
    fn is_mostly_overtaken(&self, min: u64) -> bool {
        let (all, live) = self.bytes;
        all >= min && live < all / 2
    }
}

fn load(disk: &Disk, folder: &Path, key: &DataKey, shape: Shape) -> Result<Loaded, StoreFault> {
    let mut reader = Reader { key, entries: Entries::new(), all: 0 };
    let (tail, shelf, found) = segments::open(disk, folder, shape, 0, &mut reader)?;
    check_key(&shelf, key)?;
    let live = reader.entries.iter().map(|(key, value)| put_bytes(key, value) as u64).sum();
    Ok(Loaded { entries: reader.entries, tail, found, bytes: (reader.all, live) })
}

/// A wrong key shows on the first change that can be read.
fn check_key(shelf: &Shelf, key: &DataKey) -> Result<(), StoreFault> {
    let Ok(payload) = shelf.read(0) else { return Ok(()) };
    unseal(key, 0, &payload).map(|_| ()).map_err(|_| StoreFault::WrongKey { what: "the desk" })
}

struct Reader<'a> {
    key: &'a DataKey,
    entries: Entries,
    all: u64,
}

impl Visit for Reader<'_> {
    fn record(&mut self, index: u64, payload: &[u8]) -> Result<(), DamageKind> {
        let change = unseal(self.key, index, payload)?;
        self.all += change.bytes() as u64;
        make(&mut self.entries, change);
        Ok(())
    }
}

fn put_bytes(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

fn make(entries: &mut Entries, change: DeskChange) {
    match change {
        DeskChange::Put(key, value) => drop(entries.insert(key, value)),
        DeskChange::Delete(key) => drop(entries.remove(&key)),
    }
}

/// The payload of one change: nonce, then version, act, key length, key and value under the desk's
/// key, bound to its place.
fn seal(key: &DataKey, index: u64, change: &DeskChange) -> Vec<u8> {
    let (act, name, value): (u8, &[u8], &[u8]) = match change {
        DeskChange::Put(name, value) => (PUT, name, value),
        DeskChange::Delete(name) => (DELETE, name, &[]),
    };
    let len = u32::try_from(name.len()).expect("keys are below DESK_KEY_MAX").to_le_bytes();
    let plain = Zeroizing::new([&[VERSION, act], &len[..], name, value].concat());
    let nonce: [u8; NONCE] = super::random();
    [&nonce[..], &key.seal(nonce, &binding(index), &plain)].concat()
}

fn unseal(key: &DataKey, index: u64, payload: &[u8]) -> Result<DeskChange, DamageKind> {
    let (nonce, sealed) = payload.split_first_chunk::<NONCE>().ok_or(DamageKind::Record)?;
    let plain = key.open(*nonce, &binding(index), sealed).map_err(|_| DamageKind::Record)?;
    parse(&plain).ok_or(DamageKind::Record)
}

fn parse(plain: &[u8]) -> Option<DeskChange> {
    let ([version, act], rest) = plain.split_first_chunk::<2>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (name, value) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    match (*version, *act) {
        (VERSION, PUT) => Some(DeskChange::Put(name.to_vec(), Zeroizing::new(value.to_vec()))),
        (VERSION, DELETE) if value.is_empty() => Some(DeskChange::Delete(name.to_vec())),
        _ => None,
    }
}

fn binding(index: u64) -> Vec<u8> {
    [BINDING, &index.to_be_bytes()].concat()
}

/// What the writer is asked for.
enum DeskEntry {
    Changes(Vec<DeskChange>),
    Rewrite,
}

/// Where a desk lies, and what it takes to open it.
struct Place {
    disk: Disk,
    folder: PathBuf,
    key: DataKey,
    shape: Shape,
}

struct DeskBook {
    tail: Tail,
    place: Place,
    entries: Arc<RwLock<Entries>>,
    failed: Failed,
}

impl DeskBook {
    /// The disk has failed under the desk: whoever runs on it is told.
    fn ended(&self, fault: StoreFault) -> StoreFault {
        self.failed.send_replace(Some(fault.clone()));
        fault
    }

    /// Puts changes on disk, then shows them.
    fn write(&mut self, changes: Vec<DeskChange>) -> Result<(), StoreFault> {
        let mut batch = Batch::default();
        for change in &changes {
            batch.push(&seal(&self.place.key, self.tail.size() + batch.count(), change));
        }
        if batch.count() > 0 {
            self.tail.reserve(batch.len())?;
            self.tail.commit(batch, [0; 32]).map_err(|fault| self.ended(fault))?;
        }
        let mut shown = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        changes.into_iter().for_each(|change| make(&mut shown, change));
        Ok(())
    }

    /// The next generation takes the place of this one. Once it has its name it counts, so from there on whatever fails ends
    /// the writer: what went into the old one would be lost.
    fn rewrite(&mut self) -> Result<(), StoreFault> {
        let Place { disk, folder, key, shape } = &self.place;
        let number = sweep(disk, folder)?;
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        compact(disk, folder, number, key, *shape, entries)?;
        let ended = |_| StoreFault::Stopped;
        let fresh = load(disk, &generation(folder, number + 1), key, *shape).map_err(ended)?;
        self.tail = fresh.tail.ok_or(StoreFault::Stopped)?;
        sweep(disk, folder).map_err(ended).map(drop)
    }
}

impl Book for DeskBook {
    type Entry = DeskEntry;
    type Done = ();

    fn bytes(entry: &Self::Entry) -> usize {
        match entry {
            DeskEntry::Changes(changes) => changes.iter().map(DeskChange::bytes).sum(),
            DeskEntry::Rewrite => 0,
        }
    }

    fn records(entry: &Self::Entry) -> usize {
        match entry {
            DeskEntry::Changes(changes) => changes.len(),
            DeskEntry::Rewrite => 0,
        }
    }

    fn room(&self) -> usize {
        self.tail.room()
    }

    /// All changes of a batch are one write; the desk is then written anew if anybody wants that.
    fn commit(&mut self, entries: Vec<Self::Entry>) -> Result<Vec<Result<(), StoreFault>>, StoreFault> {
        let (mut changes, mut wanted) = (Vec::new(), Vec::new());
        for entry in entries {
            wanted.push(matches!(entry, DeskEntry::Rewrite));
            if let DeskEntry::Changes(more) = entry {
                changes.extend(more);
            }
        }
        self.write(changes)?;
        let rewritten = if wanted.contains(&true) { self.rewrite() } else { Ok(()) };
        match rewritten {
            Err(fault) if fault.is_fatal() => Err(self.ended(fault)),
            rewritten => Ok(wanted.into_iter().map(|wanted| if wanted { rewritten.clone() } else { Ok(()) }).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { segment: 16 << 10, ..SHAPE };

    fn key() -> DataKey {
        DataKey::new([3; 32])
    }

    fn open(folder: &Path) -> (Desk, DeskOpened) {
        Desk::open_on(&Disk::default(), folder, key(), SMALL, 4096).expect("opened")
    }

    fn put(desk: &Desk, name: &str, value: &str) {
        desk.put(name.as_bytes(), value.as_bytes()).expect("taken").wait().expect("put");
    }

    fn get(desk: &Desk, name: &str) -> Option<String> {
        desk.get(name.as_bytes()).map(|value| String::from_utf8(value.to_vec()).expect("text"))
    }

    #[test]
    fn what_was_put_is_there_after_a_reopen() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let (desk, _) = open(&folder);
        put(&desk, "draft/1", "one");
        put(&desk, "draft/2", "two");
        put(&desk, "feed", "7");
        put(&desk, "draft/1", "one again");
        desk.delete(b"draft/2").expect("taken").wait().expect("deleted");
        desk.delete(b"nothing").expect("taken").wait().expect("deleted");
        drop(desk);
        let (desk, opened) = open(&folder);
        assert_eq!((opened.keys, opened.torn_bytes, opened.read_only), (2, 0, None));
        assert_eq!(get(&desk, "draft/1").as_deref(), Some("one again"));
        assert_eq!(get(&desk, "draft/2"), None);
        let names: Vec<_> = desk.range(b"draft/").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b"draft/1"]);
        assert_eq!(desk.range(b"").len(), 2);
    }

    #[test]
    fn nothing_on_the_desk_is_readable_on_disk() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        put(&open(&folder).0, "a-name-on-the-desk", "a-value-on-the-desk");
        let bytes = fs::read(folder.join("000000/000000.seg")).expect("read");
        assert!(!bytes.windows(11).any(|window| window == b"on-the-desk"));
        let wrong = Desk::open(&folder, DataKey::new([4; 32])).err().expect("refused");
        assert_eq!(wrong.code(), "store.wrong-key");
    }

    #[test]
    fn an_overtaken_desk_is_written_anew() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let (desk, _) = open(&folder);
        for n in 0..200 {
            put(&desk, &format!("key/{}", n % 5), &format!("value {n}"));
        }
        drop(desk);
        let (desk, opened) = open(&folder);
        assert!(opened.compacted);
        assert!(!folder.join("000000").exists() && folder.join("000001").exists());
        put(&desk, "more", "x");
        drop(desk);
        let (desk, opened) = open(&folder);
        assert!(!opened.compacted);
        assert_eq!(opened.keys, 6);
        assert_eq!(get(&desk, "key/4").as_deref(), Some("value 199"));
    }

    /// [F-10]: with its key in hand, nothing that was taken off the desk is in a file of it.
    #[test]
    fn what_was_removed_is_in_no_file_once_rewritten() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let (desk, _) = open(&folder);
        put(&desk, "draft/1", "planted");
        put(&desk, "draft/2", "kept");
        desk.delete(b"draft/1").expect("taken").wait().expect("deleted");
        // As whoever has a copy of the folder and the key reads it.
        let found = || {
            let mut opened = Vec::new();
            for entry in fs::read_dir(&folder).expect("listed") {
                let stolen = tempfile::tempdir().expect("folder");
                for file in fs::read_dir(entry.expect("entry").path()).expect("listed") {
                    let file = file.expect("entry").path();
                    fs::copy(&file, stolen.path().join(file.file_name().expect("named"))).expect("copied");
                }
                let log = segments::open(&Disk::default(), stolen.path(), SMALL, 0, &mut Nothing);
                let (_tail, shelf, log) = log.expect("opens");
                for index in 0..log.size {
                    match unseal(&key(), index, &shelf.read(index).expect("read")).expect("ours") {
                        DeskChange::Put(name, value) => opened.push([name, value.to_vec()].concat()),
                        DeskChange::Delete(name) => opened.push(name),
                    }
                }
            }
            opened
        };
        let planted = |found: Vec<Vec<u8>>| found.iter().any(|bytes| bytes.ends_with(b"planted"));
        assert!(planted(found()), "or this proves nothing");
        desk.rewrite().expect("taken").wait().expect("rewritten");
        assert_eq!(found(), [b"draft/2kept"]);
        put(&desk, "draft/3", "after");
        desk.rewrite().expect("taken").wait().expect("and once more");
        assert_eq!((get(&desk, "draft/2").as_deref(), get(&desk, "draft/3").as_deref()), (Some("kept"), Some("after")));
        drop(desk);
        let (desk, opened) = open(&folder);
        assert_eq!((opened.keys, get(&desk, "draft/1")), (2, None));
        assert!(folder.join("000002").exists() && !folder.join("000001").exists());
    }

    struct Nothing;

    impl Visit for Nothing {
        fn record(&mut self, _: u64, _: &[u8]) -> Result<(), DamageKind> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_refuses_a_rewriting_and_the_desk_goes_on() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let disk = Disk::default();
        let (desk, _) = Desk::open_on(&disk, &folder, key(), SMALL, 4096).expect("opened");
        put(&desk, "key", "value");
        disk.faults.set_space(Some(0));
        let refused = desk.rewrite().expect("taken").wait().expect_err("no room");
        assert_eq!(refused.code(), "store.disk-full");
        disk.faults.set_space(None);
        put(&desk, "key", "again");
        desk.rewrite().expect("taken").wait().expect("rewritten");
        drop(desk);
        assert_eq!(get(&open(&folder).0, "key").as_deref(), Some("again"));
    }

    #[test]
    fn a_failed_rewriting_leaves_the_old_desk() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let (desk, _) = open(&folder);
        for n in 0..200 {
            put(&desk, "key", &format!("value {n}"));
        }
        drop(desk);
        let disk = Disk::default();
        disk.faults.set_space(Some(0));
        let (desk, opened) = Desk::open_on(&disk, &folder, key(), SMALL, 4096).expect("opened");
        assert!(!opened.compacted);
        assert_eq!(get(&desk, "key").as_deref(), Some("value 199"));
        put(&desk, "key", "still writable");
        drop(desk);
        let (desk, opened) = open(&folder);
        assert!(opened.compacted);
        assert_eq!(get(&desk, "key").as_deref(), Some("still writable"));
    }

    #[test]
    fn unfinished_and_older_generations_are_swept() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        put(&open(&folder).0, "key", "value");
        // As a crash after the renaming leaves it, and one while copying.
        fs::rename(folder.join("000000"), folder.join("000002")).expect("moved");
        fs::create_dir_all(folder.join("000001")).expect("made");
        fs::create_dir_all(folder.join("000003.new")).expect("made");
        let (desk, opened) = open(&folder);
        assert_eq!((opened.keys, get(&desk, "key").as_deref()), (1, Some("value")));
        assert!(!folder.join("000001").exists() && !folder.join("000003.new").exists());
    }

    /// Not a test of its own: the process [`killed_at_every_named_step`] starts.
    #[test]
    fn child_that_is_killed() {
        let Ok(folder) = std::env::var("COMITY_TEST_DESK") else { return };
        let folder = PathBuf::from(folder);
        for round in 0..2 {
            let (desk, _) = open(&folder.join("desk"));
            for n in 0..100 {
                let value = (round * 100 + n).to_string();
                put(&desk, &format!("key/{}", n % 3), &value);
                fs::write(folder.join("acknowledged"), value).expect("written");
            }
        }
    }

    #[test]
    fn killed_at_every_named_step() {
        for point in ["store.desk-written:5", "store.desk-synced:5", "store.desk-copied", "store.desk-renamed"] {
            let home = tempfile::tempdir().expect("folder");
            let child = std::process::Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "store::desk::tests::child_that_is_killed"])
                .env("COMITY_TEST_DESK", home.path())
                .env("COMITY_CRASH_AT", point)
                .output()
                .expect("started");
            assert!(!child.status.success(), "{point} is never reached");
            let acknowledged = fs::read_to_string(home.path().join("acknowledged")).expect("some were");
            let (desk, opened) = open(&home.path().join("desk"));
            assert_eq!(opened.read_only, None, "{point}");
            let newest =
                (0..3).filter_map(|n| get(&desk, &format!("key/{n}"))).filter_map(|text| text.parse().ok()).max();
            let acknowledged: u64 = acknowledged.parse().expect("a number");
            // One more may be there: the one in flight, of which nobody was told.
            assert!(newest == Some(acknowledged) || newest == Some(acknowledged + 1), "{point}: {newest:?}");
        }
    }

    #[test]
    fn a_damaged_desk_is_read_only() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("desk");
        let (desk, _) = open(&folder);
        put(&desk, "one", "1");
        let path = folder.join("000000/000000.seg");
        let before = fs::read(&path).expect("read");
        put(&desk, "two", "2");
        put(&desk, "three", "3");
        drop(desk);
        let mut bytes = fs::read(&path).expect("read");
        let changed = (0..bytes.len()).find(|at| before[*at] != bytes[*at]).expect("differs");
        bytes[changed + 12] ^= 4;
        fs::write(&path, bytes).expect("written");
        let (desk, opened) = open(&folder);
        assert_eq!(opened.read_only.expect("damage").code(), "store.bad-frame");
        assert_eq!((get(&desk, "one").as_deref(), get(&desk, "three")), (Some("1"), None));
        assert_eq!(desk.put(b"x", b"y").err().expect("refused").code(), "store.read-only");
    }

    /// However many there are and however large: each part is taken, and all of it is there.
    #[test]
    fn any_number_of_changes_is_put_in_parts() {
        let home = tempfile::tempdir().expect("folder");
        let (desk, _) = Desk::open(&home.path().join("desk"), key()).expect("opened");
        let small = (0..2 * BATCH_RECORDS_MAX + 1).map(|n| (format!("small/{n:06}"), 1));
        let large = (0..6).map(|n| (format!("large/{n}"), 1 << 20));
        let rows = small.chain(large).map(|(name, len)| DeskChange::Put(name.into_bytes(), vec![7; len].into()));
        let rows: Vec<DeskChange> = rows.collect();
        let parts: Vec<_> = DeskChange::parts(rows.clone()).collect();
        assert!(parts.concat() == rows, "in their order, none left out");
        for part in parts {
            desk.apply(part).expect("taken").wait().expect("put");
        }
        assert_eq!(desk.range(b"").len(), rows.len());
        assert_eq!(DeskChange::parts([]).count(), 0);
    }

    #[test]
    fn limits_are_checked_before_anything_is_written() {
        let home = tempfile::tempdir().expect("folder");
        let (desk, _) = Desk::open(&home.path().join("desk"), key()).expect("opened");
        let code =
            |key: usize, value: usize| desk.put(&vec![b'k'; key], &vec![0; value]).err().map(|fault| fault.code());
        assert_eq!(code(DESK_KEY_MAX + 1, 1), Some("store.too-large"));
        assert_eq!(code(1, BATCH_BYTES_MAX), Some("store.too-large"));
        assert_eq!(code(DESK_KEY_MAX, BATCH_BYTES_MAX - 2048), None);
    }
}
