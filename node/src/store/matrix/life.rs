//! A small life of all that lasts: a ledger, a desk and what a witness holds on it, on a disk that may fail at any call;
//! and what must be found whatever happened to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use comity_core::{
    crypto::{DataKey, HybridSigner, Seed},
    ids::{Digest, LedgerIndex, RequestId, Time},
    ledger::{Checkpoint, checkpoint},
    proto::{Algorithm, KeyRole},
    record::Record,
};
use zeroize::Zeroizing;

use crate::{
    disk::Disk,
    store::{
        Desk, DeskChange, Ledger, LedgerKeys, Pending, StoreFault, StoredRecord, desk, ledger, look_at_slots,
        segments::Shape,
    },
    witness::sample::{Witness, origin},
};

/// Two or three appends fill a segment.
const LEDGER: Shape = Shape { segment: 32 << 10, ..ledger::SHAPE };
const DESK: Shape = Shape { segment: 16 << 10, ..desk::SHAPE };
/// A desk of this size is written anew when most of it is overtaken.
const COMPACT_BYTES_MIN: u64 = 2 << 10;
/// Records of one append are numbered from so many times its own number.
const EACH: u64 = 1_000;

/// One thing that was asked for.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// The number of the append, and the request of each of its records.
    Append(u64, Vec<Option<RequestId>>),
    /// A checkpoint of this size.
    Save(u64),
    /// Keys and values of the desk, together.
    Put(Vec<(String, Option<String>)>),
    /// As a witness, of so many records of another ledger.
    Cosign(u64),
    Destroy(RequestId),
    /// Key-encryption keys up to this generation are destroyed.
    Retire(u32),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done, as the so-manieth thing anybody was told; of an append where it stands.
    Told(usize, u64),
    /// Not done, and nothing of it may ever be seen.
    Refused,
    /// The process ended before anybody was told.
    Open,
}

/// All that was asked for, in its order.
#[derive(Default)]
pub(super) struct Story {
    deeds: Vec<(Deed, Outcome)>,
    told: usize,
    appends: u64,
}

/// The process has ended: killed, or by itself after a fault that allows nothing more.
pub(super) struct Ended;

/// One Party's disk over all its lives.
pub(super) struct Party {
    pub(super) disk: Disk,
    root: PathBuf,
    story: Mutex<Story>,
    /// The newest generation of the key-encryption key. Keys lie elsewhere and are made before they are used.
    newest: AtomicU32,
}

/// What a process has open.
struct Open<'p> {
    party: &'p Party,
    ledger: Ledger,
    desk: Desk,
    witness: Witness,
}

impl Party {
    pub(super) fn new(root: &Path) -> Self {
        Self { disk: Disk::default(), root: root.to_owned(), story: Mutex::default(), newest: AtomicU32::new(1) }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that are left when so much had been told.
    fn keys(&self, told: usize) -> LedgerKeys {
        let gone = self
            .story()
            .firm(told, |deed| if let Deed::Retire(number) = deed { Some(u64::from(*number)) } else { None });
        let left = u32::try_from(gone).expect("few") + 1..=self.newest.load(Ordering::SeqCst);
        let kek = left.map(|number| (number, DataKey::new([u8::try_from(number + 1).expect("few"); 32])));
        LedgerKeys { node: DataKey::new([1; 32]), kek: kek.collect() }
    }

    /// Everything a store does in its days: first files, appends, key slots, drafts, cosigning, checkpoints, the next
    /// segment, keys destroyed; after a clean stop a desk written anew and slots under the next key-encryption key, of
    /// which the one before goes, and after an unclean stop a tail that was torn.
    pub(super) fn daily(&self) -> Result<(), Ended> {
        let open = self.open()?;
        open.append(&[Some(1), None], 40)?;
        open.put(&[("draft", Some("1"))])?;
        open.save()?;
        open.cosign(12)?;
        for size in [3_000, 9_000, 14_000, 20_000] {
            open.append(&[Some(2), Some(1), Some(3)], size)?;
        }
        open.put(&[("left", Some("1")), ("right", Some("1"))])?;
        open.cosign(30)?;
        open.save()?;
        open.destroy(1)?;
        for n in 0..24 {
            open.put(&[("often", Some(&format!("{n} {}", "x".repeat(100))))])?;
        }
        open.put(&[("draft", None), ("left", Some("2")), ("right", Some("2"))])?;
        drop(open);
        self.newest.fetch_add(1, Ordering::SeqCst);
        let open = self.open()?;
        assert!(self.retire(), "an open promises");
        open.append(&[Some(4), Some(2)], 9_000)?;
        open.append(&[None], 25_000)?;
        open.save()?;
        drop(open);
        self.tear()?;
        let open = self.open()?;
        open.append(&[Some(2), Some(5)], 100)?;
        open.cosign(40)?;
        open.put(&[("draft", Some("2"))])
    }

    /// So many records that the tree has full tiles on disk.
    pub(super) fn tall(&self) -> Result<(), Ended> {
        let open = self.open()?;
        for _ in 0..3 {
            open.append(&[None; 84], 40)?;
        }
        open.save()?;
        open.append(&[Some(1); 12], 40)?;
        open.append(&[None], 40)?;
        drop(open);
        self.open()?.append(&[None], 40)
    }

    /// Some writers at once, an office at its desk and a witness beside them.
    pub(super) fn crowd(&self) -> Result<(), Ended> {
        let open = &self.open()?;
        thread::scope(|scope| {
            let of = |writer: u8| {
                move || {
                    for n in 0..5_u8 {
                        open.append(&[Some(writer), None, Some(n + 10)], usize::from(n) * 900)?;
                        open.put(&[(&format!("of {writer}"), Some(&n.to_string()))])?;
                    }
                    open.save()
                }
            };
            let writers: Vec<_> = (1..5).map(|writer| scope.spawn(of(writer))).collect();
            for size in [3, 9, 20, 21, 50] {
                open.cosign(size)?;
            }
            writers.into_iter().try_for_each(|writer| writer.join().expect("no writer panics"))
        })
    }

    /// What a process does that starts after another ended: it is asked again for what may not have been answered, and
    /// goes on, under the next key-encryption key.
    pub(super) fn go_on(&self) -> Result<(), Ended> {
        self.newest.fetch_add(1, Ordering::SeqCst);
        let open = self.open()?;
        assert!(self.retire(), "an open promises");
        let again = self
            .story()
            .deeds
            .iter()
            .filter_map(|(deed, _)| if let Deed::Cosign(size) = deed { Some(*size) } else { None })
            .max();
        if let Some(size) = again.filter(|size| *size >= open.witness.held()) {
            open.cosign(size)?;
        }
        open.save()?;
        open.append(&[Some(2), None, Some(7)], 2_000)?;
        open.put(&[("left", Some("3")), ("right", Some("3"))])?;
        open.save()?;
        open.cosign(60)
    }

    fn open(&self) -> Result<Open<'_>, Ended> {
        let keys = self.keys(usize::MAX);
        let ledger = open_ledger(&self.disk, &self.root, keys).map_err(|_| Ended)?;
        let desk = open_desk(&self.disk, &self.root).map_err(|_| Ended)?;
        let witness = Witness::open(&desk);
        Ok(Open { party: self, ledger, desk, witness })
    }

    /// The key-encryption keys before the newest are destroyed if nothing needs them, as the slots say without any key: to
    /// whoever asks beside a process that runs, or after one that ended. False if they say nothing of the kind.
    pub(super) fn retire(&self) -> bool {
        let newest = self.newest.load(Ordering::SeqCst);
        let seen = look_at_slots(&self.root.join("ledger")).expect("legible");
        let free = seen.promised == newest && seen.live.keys().all(|number| *number == newest);
        if free {
            let mut story = self.story();
            self.disk.faults.mark();
            story.told += 1;
            let told = Outcome::Told(story.told - 1, 0);
            story.deeds.push((Deed::Retire(newest - 1), told));
        }
        free
    }

    /// Half a batch behind the last one, as a kill within its write leaves it.
    fn tear(&self) -> Result<(), Ended> {
        let segments = self.root.join("ledger/segments");
        let names = std::fs::read_dir(&segments).expect("listed").map(|entry| entry.expect("entry").path());
        let of = |path: PathBuf| {
            let bytes = std::fs::read(&path).expect("read");
            (path, bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
        };
        let last = names.map(of).filter(|(_, used)| *used > 64).max();
        let (path, used) = last.expect("something was appended");
        let file = self.disk.open(&path).map_err(|_| Ended)?;
        file.write_at(&[0x5a; 300], used).map_err(|_| Ended)
    }
}

impl Open<'_> {
    /// Notes what came of a deed.
    fn done(&self, deed: Deed, result: Result<u64, StoreFault>) -> Result<(), Ended> {
        let mut story = self.party.story();
        let ended = self.party.disk.faults.is_killed() || result.as_ref().is_err_and(StoreFault::is_fatal);
        let outcome = match result {
            Ok(at) => {
                self.party.disk.faults.mark();
                story.told += 1;
                Outcome::Told(story.told - 1, at)
            }
            Err(_) if ended => Outcome::Open,
            Err(_) => Outcome::Refused,
        };
        story.deeds.push((deed, outcome));
        if ended { Err(Ended) } else { Ok(()) }
    }

    fn append(&self, requests: &[Option<u8>], bytes: usize) -> Result<(), Ended> {
        let number = {
            let mut story = self.party.story();
            story.appends += 1;
            story.appends
        };
        let requests: Vec<Option<RequestId>> =
            requests.iter().map(|of| of.map(|of| RequestId::new([of; 16]))).collect();
        let share = bytes / requests.len();
        let records = (number * EACH..).zip(&requests).map(|(n, of)| record(*of, n, share)).collect();
        let appended = self.ledger.append(records).and_then(Pending::wait);
        self.done(Deed::Append(number, requests), appended.map(|committed| committed.first.0))
    }

    /// Signs what is there now; of nothing there is no checkpoint.
    fn save(&self) -> Result<(), Ended> {
        let size = self.ledger.size();
        if size == 0 {
            return Ok(());
        }
        let note = note(size, self.ledger.root_at(size).expect("it is there"));
        self.done(Deed::Save(size), self.ledger.save_checkpoint(&note).map(|()| size))
    }

    fn put(&self, pairs: &[(&str, Option<&str>)]) -> Result<(), Ended> {
        let change = |(key, value): &(&str, Option<&str>)| match value {
            Some(value) => DeskChange::Put(key.as_bytes().to_vec(), Zeroizing::new(value.as_bytes().to_vec())),
            None => DeskChange::Delete(key.as_bytes().to_vec()),
        };
        let done = self.desk.apply(pairs.iter().map(change).collect()).and_then(Pending::wait);
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(ToOwned::to_owned))).collect();
        self.done(Deed::Put(pairs), done.map(|()| 0))
    }

    fn cosign(&self, size: u64) -> Result<(), Ended> {
        let answer = self.witness.add(&self.desk, size).map_err(|code| match code {
            "store.write-failed" | "store.stopped" => StoreFault::Stopped,
            "store.disk-full" | "store.unreadable" => StoreFault::DiskFull,
            other => panic!("{other}"),
        });
        self.done(Deed::Cosign(size), answer)
    }

    fn destroy(&self, request: u8) -> Result<(), Ended> {
        let request = RequestId::new([request; 16]);
        self.done(Deed::Destroy(request), self.ledger.destroy_keys(request).map(|()| 0))
    }
}

fn open_ledger(disk: &Disk, root: &Path, keys: LedgerKeys) -> Result<Ledger, StoreFault> {
    let (ledger, opened) = Ledger::open_on(disk, &root.join("ledger"), keys, None, LEDGER)?;
    assert_eq!(opened.read_only, None, "the ledger takes appends");
    Ok(ledger)
}

fn open_desk(disk: &Disk, root: &Path) -> Result<Desk, StoreFault> {
    let (desk, opened) = Desk::open_on(disk, &root.join("desk"), DataKey::new([3; 32]), DESK, COMPACT_BYTES_MIN)?;
    assert_eq!(opened.read_only, None, "the desk takes changes");
    Ok(desk)
}

/// A record that names itself `n` in every part, and has a body of this size besides.
fn record(request: Option<RequestId>, n: u64, bytes: usize) -> Record {
    let body = [&n.to_be_bytes()[..], &vec![b'.'; bytes]].concat();
    Record { body, ..ledger::tests::record(request, n) }
}

fn id_of(n: u64) -> [u8; 32] {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    id
}

/// Signed notes by size and root.
type Notes = BTreeMap<(u64, [u8; 32]), Vec<u8>>;

/// A note over this size and root, signed once.
fn note(size: u64, root: Digest) -> Vec<u8> {
    static SIGNER: OnceLock<HybridSigner> = OnceLock::new();
    static NOTES: Mutex<Notes> = Mutex::new(Notes::new());
    let pair = || {
        HybridSigner::new(KeyRole::Checkpoint, &Seed::new([1; 32]), Algorithm::MlDsa44, &Seed::new([2; 32]))
            .expect("keys")
    };
    let sign = || {
        let checkpoint = Checkpoint { origin: origin("XB"), size, root };
        checkpoint.sign(SIGNER.get_or_init(pair), Time(1_000)).expect("signed").into_bytes()
    };
    NOTES.lock().expect("whole").entry((size, *root.as_bytes())).or_insert_with(sign).clone()
}

/// What must be found in `root` by whoever opens it, when so much had been told: every acknowledged record in its place and
/// whole, nothing that was refused, no half of an append; no checkpoint ahead of the records, and none of those that were
/// kept gone; the desk as it was told; the witness nowhere behind an answer; destroyed keys destroyed.
impl Party {
    pub(super) fn verify(&self, root: &Path, disk: &Disk, told: Option<usize>) {
        let keys = self.keys(told.unwrap_or(usize::MAX));
        let story = self.story();
        let told = told.unwrap_or(story.told);
        let ledger = open_ledger(disk, root, keys).expect("the ledger opens");
        verify_records(&story, told, &ledger);
        let saved = ledger.checkpoint().map_or(0, |note| checkpoint::parse_unverified(&note).expect("a note").size);
        assert!(saved <= ledger.size(), "a checkpoint of {saved} ahead of {} records", ledger.size());
        let kept = story.firm(told, |deed| if let Deed::Save(size) = deed { Some(*size) } else { None });
        assert!(saved >= kept, "the checkpoint of {kept} is gone, {saved} is there");
        let verified = ledger.verify(&mut |_| ()).expect("the ledger verifies");
        assert_eq!(verified.records, ledger.size());
        drop(ledger);
        let desk = open_desk(disk, root).expect("the desk opens");
        verify_desk(&story, told, &desk);
        let answered = story.firm(told, |deed| if let Deed::Cosign(size) = deed { Some(*size) } else { None });
        let held = Witness::open(&desk).held();
        assert!(held >= answered, "cosigned {answered} records, {held} are held");
    }
}

impl Party {
    /// What a start makes of files of which one was changed. Whatever it is, nothing wrong is shown: says the code of the
    /// refusal, or that nothing is missing.
    pub(super) fn look_at(&self, root: &Path, what: &str) -> &'static str {
        let keys = || self.keys(usize::MAX);
        let (keys, story) = ([keys(), keys()], self.story());
        let disk = Disk::default();
        disk.faults.watch(root, None);
        let said = look_at_ledger(&story, &disk, root, keys, what);
        let desk = match Desk::open_on(&disk, &root.join("desk"), DataKey::new([3; 32]), DESK, COMPACT_BYTES_MIN) {
            Err(fault) => return fault.code(),
            Ok((desk, opened)) => {
                let told = if opened.read_only.is_some() { 0 } else { story.told };
                verify_desk(&story, told, &desk);
                opened.read_only.map_or("as it was", |damage| damage.code())
            }
        };
        if said == "as it was" { desk } else { said }
    }
}

fn look_at_ledger(story: &Story, disk: &Disk, root: &Path, keys: [LedgerKeys; 2], what: &str) -> &'static str {
    let [keys, keys_again] = keys;
    let (ledger, opened) = match Ledger::open_on(disk, &root.join("ledger"), keys, None, LEDGER) {
        Err(fault) => return fault.code(),
        Ok(open) => open,
    };
    // Of closed segments an open reads outlines: what is wrong behind them the walk finds, and each open from then on.
    let walked = ledger.verify(&mut |_| ());
    let Some(damage) = ledger.read_only() else {
        walked.expect("it verifies");
        verify_records(story, story.told, &ledger);
        return "as it was";
    };
    assert!(opened.read_only.is_none_or(|found| found == damage), "{what}");
    let numbers: BTreeMap<u64, u64> = story.deeds.iter().flat_map(|(deed, outcome)| told_at(deed, *outcome)).collect();
    for index in 0..ledger.size() {
        if let Ok(stored) = ledger.read(LedgerIndex(index)) {
            verify_record(&stored, numbers[&index], stored.case.is_none().then_some(true));
        }
    }
    let refused = ledger.append(vec![record(None, 1, 1)]).err().expect("nothing is appended");
    assert_eq!(refused.code(), "store.read-only", "{what}");
    drop(ledger);
    let (_, again) = Ledger::open_on(disk, &root.join("ledger"), keys_again, None, LEDGER).expect("it opens as before");
    assert_eq!(again.read_only, Some(damage), "{what}, at the next start");
    damage.code()
}

/// The places of an append, and the numbers of its records.
fn told_at(deed: &Deed, outcome: Outcome) -> Vec<(u64, u64)> {
    match (deed, outcome) {
        (Deed::Append(number, requests), Outcome::Told(_, at)) => {
            (0..requests.len() as u64).map(|n| (at + n, number * EACH + n)).collect()
        }
        _ => Vec::new(),
    }
}

impl Story {
    fn is_firm(outcome: Outcome, told: usize) -> bool {
        matches!(outcome, Outcome::Told(number, _) if number < told)
    }

    /// The largest of what had been told.
    fn firm(&self, told: usize, of: impl Fn(&Deed) -> Option<u64>) -> u64 {
        let firm = self.deeds.iter().filter(|(_, outcome)| Self::is_firm(*outcome, told));
        firm.filter_map(|(deed, _)| of(deed)).max().unwrap_or(0)
    }
}

fn verify_records(story: &Story, told: usize, ledger: &Ledger) {
    let mut destroyed = BTreeMap::new();
    let mut appends = BTreeMap::new();
    for (deed, outcome) in &story.deeds {
        match deed {
            Deed::Destroy(request) => drop(destroyed.insert(*request, Story::is_firm(*outcome, told))),
            Deed::Append(number, requests) => drop(appends.insert(*number, (requests, *outcome))),
            Deed::Save(_) | Deed::Put(_) | Deed::Cosign(_) | Deed::Retire(_) => {}
        }
    }
    let mut seen = BTreeSet::new();
    let mut records = ledger.iterate(LedgerIndex(0)).map(|stored| stored.expect("a record reads"));
    while let Some(first) = records.next() {
        let number = first.node.recorded_ms / EACH;
        let (requests, outcome) = appends.get(&number).expect("somebody asked for it");
        assert_ne!(*outcome, Outcome::Refused, "append {number} was refused");
        assert!(seen.insert(number), "append {number} is there twice");
        if let Outcome::Told(_, at) = outcome {
            assert_eq!(first.index.0, *at, "append {number} is where it was told");
        }
        let mut next = Some(first);
        for (n, of) in (number * EACH..).zip(*requests) {
            let stored = next.take().or_else(|| records.next()).expect("an append is whole");
            verify_record(&stored, n, of.and_then(|of| destroyed.get(&of).copied()));
        }
    }
    for (number, (_, outcome)) in appends {
        assert!(!Story::is_firm(outcome, told) || seen.contains(&number), "append {number} was told and is not there");
    }
}

/// `destroyed` says whether it was asked for to destroy its keys, and was told to be done.
fn verify_record(stored: &StoredRecord, n: u64, destroyed: Option<bool>) {
    assert_eq!((stored.node.recorded_ms, &stored.node.record_id[..]), (n, &id_of(n)[..]));
    let Some(case) = &stored.case else { return assert!(destroyed.is_some(), "the keys of record {n} are gone") };
    assert_ne!(destroyed, Some(true), "record {n} can still be read");
    assert_eq!((&case.header[..], &stored.body[..8]), (&n.to_be_bytes()[..], &n.to_be_bytes()[..]));
    assert!(stored.body[8..].iter().all(|byte| *byte == b'.'));
    assert_eq!(stored.expected_leaf(), Some(stored.leaf));
}

fn verify_desk(story: &Story, told: usize, desk: &Desk) {
    let mut allowed: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for (deed, outcome) in &story.deeds {
        let Deed::Put(pairs) = deed else { continue };
        for (key, value) in pairs {
            let values = allowed.entry(key).or_insert_with(|| vec![None]);
            if Story::is_firm(*outcome, told) {
                values.clear();
            }
            if *outcome != Outcome::Refused {
                values.push(value.as_deref());
            }
        }
    }
    let found = |key: &str| desk.get(key.as_bytes()).map(|value| String::from_utf8(value.to_vec()).expect("text"));
    for (key, values) in allowed {
        let found = found(key);
        assert!(values.contains(&found.as_deref()), "{key} is {found:?} and may be one of {values:?}");
    }
    assert_eq!(found("left"), found("right"), "what changes together is there together");
}
