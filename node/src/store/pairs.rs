//! The index on sled: ordered pairs of bytes that can be thrown away at any time.
//!
//! The only file that names sled. It holds ids, codes, times and digests, no text, no secret and no
//! sole copy. sled's own flush does not reach the disk by itself, opening can panic, and so can reading what was changed
//! on disk. So it is sealed when it is closed, and one whose seal is broken is not opened; one that nobody closed, as after
//! a crash, is read whole while it is opened. What does not open or read is set aside and begun anew, and whoever fills
//! the index starts from the first record.
//! What was applied is seen at once by all clones and goes into the database with [`SledPairs::settle`], many
//! records in one transaction: each transaction of sled wakes threads and writes to its log, which cost
//! more than the rows. Start with [`SledPairs::open`].

use std::{
    collections::BTreeMap,
    fs, io,
    iter::Peekable,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use comity_core::index::{Change, IndexFault, Pair, Pairs};

use super::{
    StoreFault,
    seal::{self, Sealed},
};
use crate::{disk::Disk, telemetry::guarded};

/// Enough for the upper nodes of a year's requests; sled's default of 1 GiB is not for one room.
const CACHE_BYTES: u64 = 16 << 20;
/// Half a second of index lost in a power cut is half a second of replay.
const FLUSH_MS: u64 = 500;
/// Changes that wait to be settled, when nobody settles them before: a few hundred records, under a megabyte.
const AHEAD_MAX: usize = 4096;
/// The one tree all pairs are in, so that one batch can cover all of them.
const TREE: &str = "index";

/// What an open found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairsOpened {
    /// Where the earlier index was put, if it would not open.
    pub set_aside: Option<PathBuf>,
}

/// The index on disk. Cheap to clone; all clones see one set of pairs.
#[derive(Clone)]
pub struct SledPairs {
    folder: Arc<Path>,
    database: sled::Db,
    tree: sled::Tree,
    ahead: Arc<RwLock<Ahead>>,
    rebuilt: Arc<OnceLock<String>>,
}

/// What was applied and is not in the database yet: a value, or that there is none any more.
type Ahead = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl SledPairs {
    /// Opens the index in `folder`, or makes it. One that was changed after it was closed, or will not open, or does not
    /// read, is renamed and an empty one begun.
    ///
    /// # Errors
    /// When even an empty one cannot be made.
    pub fn open(folder: &Path) -> Result<(Self, PairsOpened), StoreFault> {
        let sealed = seal::take(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        let opened = Self::open_or_begin(folder, sealed)?;
        seal::opened(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        Ok(opened)
    }

    fn open_or_begin(folder: &Path, sealed: Sealed) -> Result<(Self, PairsOpened), StoreFault> {
        let found = folder.symlink_metadata().is_ok();
        if found
            && sealed != Sealed::Broken
            && let Some(pairs) = try_open(folder, sealed)
        {
            return Ok((pairs, PairsOpened { set_aside: None }));
        }
        let set_aside = if found { Some(set_aside(folder)?) } else { None };
        Disk::default().folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        let failed = || io::Error::other("the index database does not open");
        let pairs = try_open(folder, Sealed::Open)
            .ok_or_else(|| StoreFault::Unreadable { path: folder.to_owned(), source: Arc::new(failed()) })?;
        Ok((pairs, PairsOpened { set_aside }))
    }

    /// Notes that the index is being built anew from the ledger, and why: people are told as long as the node runs.
    pub fn say_rebuilt(&self, why: String) {
        tracing::warn!(target: "store", code = "store.index-rebuilt", "the index is built anew from the ledger: {why}");
        self.rebuilt.get_or_init(|| why);
    }

    /// Why the index was built anew at this start, if it was.
    #[must_use]
    pub fn rebuilt(&self) -> Option<&str> {
        self.rebuilt.get().map(String::as_str)
    }

    /// Removes everything, for building it anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear(&mut self) -> Result<(), IndexFault> {
        let mut ahead = self.ahead_mut();
        ahead.clear();
        self.tree.clear().map_err(failed)
    }

    /// Puts all that was applied into the database, in one transaction. What a crash before it loses is
    /// replayed at the next start.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle(&self) -> Result<(), IndexFault> {
        self.settle_all(&mut self.ahead_mut())
    }

    fn settle_all(&self, ahead: &mut Ahead) -> Result<(), IndexFault> {
        if ahead.is_empty() {
            return Ok(());
        }
        let mut all = sled::Batch::default();
        for (key, value) in ahead.iter() {
            match value {
                Some(value) => all.insert(key.as_slice(), value.as_slice()),
                None => all.remove(key.as_slice()),
            }
        }
        self.tree.apply_batch(all).map_err(failed)?;
        ahead.clear();
        Ok(())
    }

    // The lock is held while the database is asked, so that no change is between the two.
    fn ahead(&self) -> RwLockReadGuard<'_, Ahead> {
        self.ahead.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead_mut(&self) -> RwLockWriteGuard<'_, Ahead> {
        self.ahead.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands everything to the system, and seals it: before a clean end, so that the next start replays nothing and knows
    /// if something was changed meanwhile. Nothing may be applied after this.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close(&self) -> Result<(), IndexFault> {
        self.settle()?;
        self.database.flush().map_err(failed)?;
        if let Err(fault) = seal::put(&self.folder) {
            tracing::debug!(target: "store", %fault, "the index is not sealed; the next start reads it whole");
        }
        Ok(())
    }
}

/// The one guard of the house: sled may panic on files it does not understand. Nothing of ours is
/// shared with it while it opens. What nobody closed is read whole here, since reading may panic as well.
fn try_open(folder: &Path, sealed: Sealed) -> Option<SledPairs> {
    let open = || {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_MS));
        let database = config.open().ok()?;
        let tree = database.open_tree(TREE).ok()?;
        if sealed == Sealed::Open && tree.iter().any(|pair| pair.is_err()) {
            return None;
        }
        let (ahead, rebuilt) = (Arc::default(), Arc::default());
        Some(SledPairs { folder: Arc::from(folder), database, tree, ahead, rebuilt })
    };
    guarded(AssertUnwindSafe(open)).ok().flatten()
}

/// Puts what is in the place of the index out of the way, whatever it is.
fn set_aside(folder: &Path) -> Result<PathBuf, StoreFault> {
    let aside = free_name(folder);
    fs::rename(folder, &aside).map_err(StoreFault::unreadable(folder))?;
    Ok(aside)
}

fn free_name(folder: &Path) -> PathBuf {
    let base = folder.file_name().unwrap_or_default().to_string_lossy();
    (1_u32..)
        .map(|n| folder.with_file_name(format!("{base}.bad-{n}")))
        .find(|path| !path.exists())
        .expect("some number below four thousand million is free")
}

fn failed(fault: sled::Error) -> IndexFault {
    tracing::error!(target: "store", %fault, "index failed");
    IndexFault::Unavailable
}

impl Pairs for SledPairs {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let ahead = self.ahead();
        match ahead.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.tree.get(key).map_err(failed)?.map(|value| value.to_vec())),
        }
    }

    fn range(&self, from: &[u8], until: &[u8], max: usize) -> Result<Vec<Pair>, IndexFault> {
        if from >= until {
            return Ok(Vec::new()); // sled panics on a range that ends before it starts.
        }
        let ahead = self.ahead();
        let changed = ahead.range(from.to_vec()..until.to_vec()).peekable();
        let settled = self.tree.range(from..until);
        let settled = settled.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(failed));
        Merged { changed, settled: settled.peekable() }.take(max).collect()
    }

    fn apply(&mut self, batch: &[Change]) -> Result<(), IndexFault> {
        let mut ahead = self.ahead_mut();
        for change in batch {
            match change {
                Change::Put(key, value) => ahead.insert(key.clone(), Some(value.clone())),
                Change::Delete(key) => ahead.insert(key.clone(), None),
            };
        }
        if ahead.len() >= AHEAD_MAX { self.settle_all(&mut ahead) } else { Ok(()) }
    }
}

/// Pairs of the database under what was changed since, ascending.
struct Merged<'a, C: Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>, S: Iterator<Item = Result<Pair, IndexFault>>>
{
    changed: Peekable<C>,
    settled: Peekable<S>,
}

impl<'a, C, S> Iterator for Merged<'a, C, S>
where
    C: Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    S: Iterator<Item = Result<Pair, IndexFault>>,
{
    type Item = Result<Pair, IndexFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((changed, _)) = self.changed.peek() else { return self.settled.next() };
            match self.settled.peek() {
                Some(Err(_)) => return self.settled.next(),
                Some(Ok((settled, _))) if settled < *changed => return self.settled.next(),
                Some(Ok((settled, _))) if settled == *changed => drop(self.settled.next()),
                Some(Ok(_)) | None => {}
            }
            if let Some((key, Some(value))) = self.changed.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: &[u8]) -> Change {
        Change::Put(key.to_vec(), value.to_vec())
    }

    /// Lets go of a database within one process: threads of sled hold it a moment longer than its handle, and may
    /// still write. Its lock is the last it lets go of.
    fn let_go(pairs: SledPairs, folder: &Path) {
        drop(pairs);
        let file = fs::File::open(folder.join("db")).expect("sled's file");
        while file.try_lock().is_err() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn pairs_are_ordered_and_last() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("index");
        let (mut pairs, opened) = SledPairs::open(&folder).expect("opened");
        assert_eq!(opened.set_aside, None);
        pairs.apply(&[put(b"b", b"2"), put(b"a", b"1"), put(b"c", b"3")]).expect("applied");
        pairs.apply(&[Change::Delete(b"b".to_vec()), put(b"d", b"4")]).expect("applied");
        pairs.close().expect("closed");
        let_go(pairs, &folder);
        let (mut pairs, _) = SledPairs::open(&folder).expect("opened");
        assert_eq!(pairs.get(b"b"), Ok(None));
        assert_eq!(pairs.get(b"c"), Ok(Some(b"3".to_vec())));
        let keys = |from: &[u8], until: &[u8], max| {
            let found = pairs.range(from, until, max).expect("answered");
            found.into_iter().map(|(key, _)| key).collect::<Vec<_>>().concat()
        };
        assert_eq!(keys(b"a", b"z", 9), b"acd");
        assert_eq!(keys(b"a", b"d", 9), b"ac");
        assert_eq!(keys(b"a", b"z", 2), b"ac");
        assert_eq!(keys(b"z", b"a", 9), b"");
        assert_eq!(keys(b"a", b"a", 9), b"");
        pairs.clear().expect("cleared");
        assert_eq!(pairs.get(b"c"), Ok(None));
    }

    /// Whatever is settled when, the pairs answer like a map in memory, and a clone like them.
    #[test]
    fn what_waits_and_what_is_settled_are_one_map() {
        use proptest::prelude::*;
        let key = || (0_u8..12).prop_map(|key| vec![key]);
        let change = || {
            let put = (key(), 0_u8..9).prop_map(|(key, value)| Change::Put(key, vec![value]));
            prop_oneof![put, key().prop_map(Change::Delete)]
        };
        let step = (prop::collection::vec(change(), 1..4), any::<bool>());
        let asked = (key(), key(), 0_usize..8);
        let home = tempfile::tempdir().expect("folder");
        let folder = std::cell::Cell::new(0);
        proptest!(ProptestConfig::with_cases(64), |(steps in prop::collection::vec((step, asked), 1..20))| {
            folder.set(folder.get() + 1);
            let (mut pairs, _) = SledPairs::open(&home.path().join(folder.get().to_string())).expect("opened");
            let (clone, mut memory) = (pairs.clone(), comity_core::index::MemoryPairs::default());
            for ((changes, settle), (from, until, max)) in steps {
                pairs.apply(&changes).expect("applied");
                memory.apply(&changes).expect("applied");
                if settle {
                    pairs.settle().expect("settled");
                }
                prop_assert_eq!(clone.get(&from), memory.get(&from));
                prop_assert_eq!(clone.range(&from, &until, max), memory.range(&from, &until, max));
            }
        });
    }

    #[test]
    fn a_crowd_that_waits_is_settled_unasked() {
        let home = tempfile::tempdir().expect("folder");
        let (mut pairs, _) = SledPairs::open(home.path()).expect("opened");
        for n in 0..AHEAD_MAX as u64 {
            assert_eq!(pairs.ahead().len() as u64, n);
            pairs.apply(&[put(&n.to_be_bytes(), b"1")]).expect("applied");
        }
        assert!(pairs.ahead().is_empty());
        assert_eq!(pairs.get(&7_u64.to_be_bytes()), Ok(Some(b"1".to_vec())));
    }

    #[test]
    fn an_index_that_will_not_open_is_set_aside() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("index");
        for n in 1..3 {
            let (mut pairs, _) = SledPairs::open(&folder).expect("opened");
            pairs.apply(&[put(b"a", b"1")]).expect("applied");
            pairs.close().expect("closed");
            let_go(pairs, &folder);
            for entry in fs::read_dir(&folder).expect("listed") {
                let path = entry.expect("entry").path();
                if path.is_file() {
                    fs::write(&path, [0xa5; 4096]).expect("overwritten");
                }
            }
            let (pairs, opened) = SledPairs::open(&folder).expect("opened anew");
            assert_eq!(opened.set_aside, Some(home.path().join(format!("index.bad-{n}"))));
            assert_eq!(pairs.get(b"a"), Ok(None));
            let_go(pairs, &folder);
        }
    }
}
