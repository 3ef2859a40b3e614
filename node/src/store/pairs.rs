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
//!
//! sled keeps old bytes in its files long after a key was removed. So the index lies in numbered *generations*, and
//! [`SledPairs::rewrite`] copies what there is into the next one and removes the one before, while it is in use;
//! [`SledPairs::clear`] does the same with nothing in it.

use std::{
    collections::BTreeMap,
    fs, io,
    iter::Peekable,
    mem,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use comity_core::index::{Change, IndexFault, Pair, Pairs};

use super::{
    StoreFault,
    seal::{self, Sealed},
};
use crate::{
    disk::{Disk, crash::crash_point},
    telemetry::guarded,
};

/// Enough for the upper nodes of a year's requests; sled's default of 1 GiB is not for one room.
const CACHE_BYTES: u64 = 16 << 20;
/// Half a second of index lost in a power cut is half a second of replay.
const FLUSH_MS: u64 = 500;
/// Changes that wait to be settled, when nobody settles them before: a few hundred records, under a megabyte.
const AHEAD_MAX: usize = 4096;
/// The one tree all pairs are in, so that one batch can cover all of them.
const TREE: &str = "index";
/// A tree that a copied generation has once all of it is there.
const WHOLE: &str = "whole";
/// Pairs copied in one transaction.
const COPIED_AT_ONCE: usize = 1024;

/// What an open found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairsOpened {
    /// Where the earlier index was put, if it would not open.
    pub set_aside: Option<PathBuf>,
}

/// The index on disk. Cheap to clone; all clones see one set of pairs.
#[derive(Clone)]
pub struct SledPairs {
    home: Arc<RwLock<Home>>,
    /// One copy at a time.
    rewriting: Arc<Mutex<()>>,
    rebuilt: Arc<OnceLock<String>>,
}

struct Home {
    folder: PathBuf,
    number: u32,
    open: Open,
    /// What was applied and is not in the database yet: a value, or that there is none any more.
    ahead: Ahead,
    /// While the database is copied it does not change: what is applied meanwhile waits.
    copying: bool,
}

struct Open {
    database: sled::Db,
    tree: sled::Tree,
}

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
            && let Ok(Some(home)) = newest(folder, sealed)
        {
            return Ok((Self::over(home), PairsOpened { set_aside: None }));
        }
        let set_aside = if found { Some(set_aside(folder)?) } else { None };
        Disk::default().folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        let failed = || io::Error::other("the index database does not open");
        let home = newest(folder, Sealed::Open)?
            .ok_or_else(|| StoreFault::Unreadable { path: folder.to_owned(), source: Arc::new(failed()) })?;
        Ok((Self::over(home), PairsOpened { set_aside }))
    }

    fn over(home: Home) -> Self {
        Self { home: Arc::new(RwLock::new(home)), rewriting: Arc::default(), rebuilt: Arc::default() }
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

    /// Removes everything, for building it anew from this on. sled removes one pair after the other, so that a crash would leave some:
    /// a new database takes the place of this one instead, and a crash leaves one of the two.
    ///
    /// # Errors
    /// When a database fails. Either the index is then as it was, or it is empty and the one before lies beside it until the
    /// next start.
    pub fn clear(&mut self, first: &[Change]) -> Result<(), IndexFault> {
        let _one_at_a_time = self.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, number) = {
            let home = self.home();
            (home.folder.clone(), home.number)
        };
        let target = generation(&folder, number + 1);
        let fresh = empty(&target)?;
        fresh.tree.apply_batch(batch_of(first)).map_err(failed)?;
        let fresh = whole(fresh)?;
        let mut home = self.home_mut();
        home.ahead.clear();
        home.number = number + 1;
        let before = mem::replace(&mut home.open, fresh);
        drop(home);
        close(before, &generation(&folder, number));
        // A crash here leaves both: the higher is whole and counts.
        crash_point("store.index-cleared");
        removed(&generation(&folder, number))
    }

    /// Puts all that was applied into the database, in one transaction. What a crash before it loses is
    /// replayed at the next start.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle(&self) -> Result<(), IndexFault> {
        self.home_mut().settle()
    }

    /// Copies all pairs into a fresh database and removes the one before, so that no file holds what was removed; and with it
    /// whatever was set aside earlier. The index stays in use meanwhile.
    ///
    /// # Errors
    /// When a database fails; the index is then as it was.
    pub fn rewrite(&self) -> Result<(), IndexFault> {
        let _one_at_a_time = self.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, number, tree) = {
            let mut home = self.home_mut();
            home.settle()?;
            home.copying = true;
            (home.folder.clone(), home.number, home.open.tree.clone())
        };
        let target = generation(&folder, number + 1);
        let copied = copy(&tree, &target);
        drop(tree);
        let mut home = self.home_mut();
        home.copying = false;
        let fresh = match copied {
            Ok(fresh) => fresh,
            Err(fault) => {
                drop(home);
                removed(&target)?;
                return Err(fault);
            }
        };
        home.number = number + 1;
        let before = mem::replace(&mut home.open, fresh);
        drop(home);
        close(before, &generation(&folder, number));
        // A crash here leaves both: the higher is whole and counts.
        removed(&generation(&folder, number))?;
        aside_before(&folder).iter().try_for_each(|aside| removed(aside))
    }

    // The lock is held while the database is asked, so that no change is between the two.
    fn home(&self) -> RwLockReadGuard<'_, Home> {
        self.home.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn home_mut(&self) -> RwLockWriteGuard<'_, Home> {
        self.home.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands everything to the system, and seals it: before a clean end, so that the next start replays nothing and knows
    /// if something was changed meanwhile. Nothing may be applied after this.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close(&self) -> Result<(), IndexFault> {
        let mut home = self.home_mut();
        home.settle()?;
        home.open.database.flush().map_err(failed)?;
        if let Err(fault) = seal::put(&home.folder) {
            tracing::debug!(target: "store", %fault, "the index is not sealed; the next start reads it whole");
        }
        Ok(())
    }
}

impl Home {
    fn settle(&mut self) -> Result<(), IndexFault> {
        if self.ahead.is_empty() || self.copying {
            return Ok(());
        }
        let mut all = sled::Batch::default();
        for (key, value) in &self.ahead {
            match value {
                Some(value) => all.insert(key.as_slice(), value.as_slice()),
                None => all.remove(key.as_slice()),
            }
        }
        self.open.tree.apply_batch(all).map_err(failed)?;
        self.ahead.clear();
        Ok(())
    }
}

fn batch_of(changes: &[Change]) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for change in changes {
        match change {
            Change::Put(key, value) => batch.insert(key.as_slice(), value.as_slice()),
            Change::Delete(key) => batch.remove(key.as_slice()),
        }
    }
    batch
}

fn generation(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}"))
}

/// The generation that counts: the highest that is whole, or the only one. All others go, and whatever else lies there.
/// None if one does not open.
fn newest(folder: &Path, sealed: Sealed) -> Result<Option<Home>, StoreFault> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreFault::unreadable(folder))? {
        let path = entry.map_err(StoreFault::unreadable(folder))?.path();
        match path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) {
            Some(number) => numbers.push(number),
            None => swept(&path)?,
        }
    }
    numbers.sort_unstable();
    let home = |number, open| Home { folder: folder.to_owned(), number, open, ahead: Ahead::new(), copying: false };
    while let Some(number) = numbers.pop() {
        let Some(open) = try_open(&generation(folder, number), sealed) else { return Ok(None) };
        if numbers.is_empty() || open.database.tree_names().iter().any(|name| name == WHOLE.as_bytes()) {
            numbers.iter().try_for_each(|number| swept(&generation(folder, *number)))?;
            return Ok(Some(home(number, open)));
        }
        close(open, &generation(folder, number));
        swept(&generation(folder, number))?;
    }
    Ok(try_open(&generation(folder, 0), sealed).map(|open| home(0, open)))
}

/// Threads of sled hold a database a moment longer than its handle, and may still write. Its lock is the last they let
/// go of.
fn close(open: Open, folder: &Path) {
    let file = fs::File::open(folder.join("db"));
    drop(open);
    drop(file.map(|file| file.lock())); // without the file there is nothing to wait for
}

fn swept(path: &Path) -> Result<(), StoreFault> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    gone.map_err(StoreFault::unreadable(path))
}

fn removed(folder: &Path) -> Result<(), IndexFault> {
    match fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
            tracing::error!(target: "store", %fault, "an index that was left behind was not removed");
            Err(IndexFault::Unavailable)
        }
        _ => Ok(()),
    }
}

fn empty(folder: &Path) -> Result<Open, IndexFault> {
    removed(folder)?;
    try_open(folder, Sealed::Whole).ok_or(IndexFault::Unavailable) // there is nothing in it yet
}

/// From here on it counts.
fn whole(fresh: Open) -> Result<Open, IndexFault> {
    fresh.database.flush().map_err(failed)?;
    fresh.database.open_tree(WHOLE).map_err(failed)?;
    fresh.database.flush().map_err(failed)?;
    Ok(fresh)
}

fn copy(from: &sled::Tree, folder: &Path) -> Result<Open, IndexFault> {
    let fresh = empty(folder)?;
    let mut batch = sled::Batch::default();
    for (count, pair) in (1..).zip(from.iter()) {
        let (key, value) = pair.map_err(failed)?;
        batch.insert(key, value);
        if count % COPIED_AT_ONCE == 0 {
            fresh.tree.apply_batch(mem::take(&mut batch)).map_err(failed)?;
        }
    }
    fresh.tree.apply_batch(batch).map_err(failed)?;
    whole(fresh)
}

/// The one guard of the house: sled may panic on files it does not understand. Nothing of ours is
/// shared with it while it opens. What nobody closed is read whole here, since reading may panic as well.
fn try_open(folder: &Path, sealed: Sealed) -> Option<Open> {
    let open = || {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_MS));
        let database = config.open().ok()?;
        let tree = database.open_tree(TREE).ok()?;
        if sealed == Sealed::Open && tree.iter().any(|pair| pair.is_err()) {
            return None;
        }
        Some(Open { database, tree })
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

/// Indexes that did not open once.
fn aside_before(folder: &Path) -> Vec<PathBuf> {
    let base = folder.file_name().unwrap_or_default().to_string_lossy();
    (1_u32..).map(|n| folder.with_file_name(format!("{base}.bad-{n}"))).take_while(|path| path.exists()).collect()
}

fn failed(fault: sled::Error) -> IndexFault {
    tracing::error!(target: "store", %fault, "index failed");
    IndexFault::Unavailable
}

impl Pairs for SledPairs {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let home = self.home();
        match home.ahead.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(home.open.tree.get(key).map_err(failed)?.map(|value| value.to_vec())),
        }
    }

    fn range(&self, from: &[u8], until: &[u8], max: usize) -> Result<Vec<Pair>, IndexFault> {
        if from >= until {
            return Ok(Vec::new()); // sled panics on a range that ends before it starts.
        }
        let home = self.home();
        let changed = home.ahead.range(from.to_vec()..until.to_vec()).peekable();
        let settled = home.open.tree.range(from..until);
        let settled = settled.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(failed));
        Merged { changed, settled: settled.peekable() }.take(max).collect()
    }

    fn apply(&mut self, batch: &[Change]) -> Result<(), IndexFault> {
        let mut home = self.home_mut();
        for change in batch {
            match change {
                Change::Put(key, value) => home.ahead.insert(key.clone(), Some(value.clone())),
                Change::Delete(key) => home.ahead.insert(key.clone(), None),
            };
        }
        if home.ahead.len() >= AHEAD_MAX { home.settle() } else { Ok(()) }
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

    /// Lets go of a database within one process.
    fn let_go(pairs: SledPairs, folder: &Path) {
        drop(pairs);
        let file = fs::File::open(folder.join("000000/db")).expect("sled's file");
        file.lock().expect("let go of");
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
        pairs.apply(&[put(b"e", b"5")]).expect("applied");
        pairs.clear(&[put(b"a", b"begun")]).expect("cleared");
        assert_eq!((pairs.get(b"c"), pairs.get(b"e")), (Ok(None), Ok(None)));
        assert_eq!(pairs.get(b"a"), Ok(Some(b"begun".to_vec())));
        assert!(folder.join("000001").exists() && !folder.join("000000").exists());
        pairs.apply(&[put(b"f", b"6")]).expect("applied");
        pairs.close().expect("closed");
        drop(pairs);
        fs::File::open(folder.join("000001/db")).expect("there").lock().expect("let go of");
        let (pairs, opened) = SledPairs::open(&folder).expect("opened");
        assert_eq!((opened.set_aside, pairs.get(b"c"), pairs.get(b"f")), (None, Ok(None), Ok(Some(b"6".to_vec()))));
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
            assert_eq!(pairs.home().ahead.len() as u64, n);
            pairs.apply(&[put(&n.to_be_bytes(), b"1")]).expect("applied");
        }
        assert!(pairs.home().ahead.is_empty());
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
            for entry in fs::read_dir(folder.join("000000")).expect("listed") {
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

    /// All bytes of all files below a folder.
    fn bytes_below(folder: &Path) -> Vec<u8> {
        let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("entry").path());
        entries
            .flat_map(|path| if path.is_dir() { bytes_below(&path) } else { fs::read(path).expect("read") })
            .collect()
    }

    fn shows(folder: &Path, part: &[u8]) -> bool {
        bytes_below(folder).windows(part.len()).any(|window| window == part)
    }

    /// What is there goes to the files, and nobody closes them.
    fn flush(pairs: &SledPairs) {
        pairs.settle().expect("settled");
        pairs.home().open.database.flush().expect("flushed");
    }

    /// A key removed stays in sled's files; after a rewriting it is nowhere, and the index goes on.
    #[test]
    fn what_was_removed_is_in_no_file_once_rewritten() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("index");
        fs::create_dir_all(home.path().join("index.bad-1")).expect("made");
        fs::write(home.path().join("index.bad-1/db"), b"planted-row").expect("written");
        let (mut pairs, _) = SledPairs::open(&folder).expect("opened");
        let mut clone = pairs.clone();
        for n in 0..3 * COPIED_AT_ONCE as u64 {
            pairs.apply(&[put(&n.to_be_bytes(), b"kept")]).expect("applied");
        }
        pairs.apply(&[put(b"x", b"planted-row")]).expect("applied");
        flush(&pairs);
        pairs.apply(&[Change::Delete(b"x".to_vec())]).expect("applied");
        flush(&pairs);
        assert!(shows(&folder, b"planted-row"), "or this proves nothing");
        let before = pairs.range(b"", b"\xff", usize::MAX).expect("answered");
        for number in 1..3 {
            pairs.rewrite().expect("rewritten");
            assert!(!shows(home.path(), b"planted-row"));
            assert_eq!(clone.range(b"", b"\xff", usize::MAX).expect("answered"), before);
            assert!(folder.join(format!("{number:06}")).exists() && !folder.join("000000").exists());
        }
        clone.apply(&[put(b"y", b"after")]).expect("applied");
        assert_eq!(pairs.get(b"y"), Ok(Some(b"after".to_vec())));
        pairs.close().expect("flushed");
        drop(clone);
        drop(pairs);
        fs::File::open(folder.join("000002/db")).expect("there").lock().expect("let go of");
        let (pairs, _) = SledPairs::open(&folder).expect("opened");
        assert_eq!(pairs.get(b"y"), Ok(Some(b"after".to_vec())));
        assert_eq!(pairs.get(&7_u64.to_be_bytes()), Ok(Some(b"kept".to_vec())));
    }

    /// What a crash leaves while one is copied, and behind it.
    #[test]
    fn a_copy_that_was_interrupted_does_not_count() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join("index");
        let (mut pairs, _) = SledPairs::open(&folder).expect("opened");
        pairs.apply(&[put(b"a", b"1")]).expect("applied");
        flush(&pairs);
        let_go(pairs, &folder);
        let half = try_open(&generation(&folder, 1), Sealed::Open).expect("opened");
        half.tree.insert(b"a", b"half").expect("put");
        half.database.flush().expect("flushed");
        close(half, &generation(&folder, 1));
        fs::write(folder.join("db"), b"of another layout").expect("written");
        let (pairs, _) = SledPairs::open(&folder).expect("opened");
        assert_eq!(pairs.get(b"a"), Ok(Some(b"1".to_vec())));
        assert!(!folder.join("000001").exists() && !folder.join("db").exists());
        let_go(pairs, &folder);
        let whole = try_open(&generation(&folder, 1), Sealed::Open).expect("opened");
        whole.tree.insert(b"a", b"whole").expect("put");
        whole.database.open_tree(WHOLE).expect("marked");
        whole.database.flush().expect("flushed");
        close(whole, &generation(&folder, 1));
        let (pairs, _) = SledPairs::open(&folder).expect("opened");
        assert_eq!(pairs.get(b"a"), Ok(Some(b"whole".to_vec())));
        assert!(!folder.join("000000").exists());
    }
}
