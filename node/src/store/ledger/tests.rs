//! The ledger against a disk that fails, fills up, loses power, and a process that is killed.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, sync::mpsc, thread};

use comity_core::{
    crypto::{HybridSigner, Seed},
    ids::{Origin, Time},
    ledger::{Checkpoint, Salt, Tree, bundle_entries, leaf_entry, leaf_hash, verify_consistency, verify_inclusion},
    proto::{Algorithm, CasePart, KeyRole, NodePart, RecordKind},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::{
    disk::crash::POINTS,
    store::{frame::Batch, segments::segment_path},
};

mod quick;

/// Small enough that a few records fill one.
const SMALL: Shape = Shape { segment: 16 << 10, ..SHAPE };

fn keys() -> LedgerKeys {
    LedgerKeys { kek: [(1, DataKey::new([2; 32])), (2, DataKey::new([3; 32]))].into(), ..keys_before() }
}

/// Those of the time before the key-encryption key was turned.
fn keys_before() -> LedgerKeys {
    LedgerKeys { node: DataKey::new([1; 32]), kek: [(1, DataKey::new([2; 32]))].into() }
}

fn request(n: u8) -> RequestId {
    RequestId::new([n; 16])
}

/// A record that names itself `n` in every part.
pub(in crate::store) fn record(request: Option<RequestId>, n: u64) -> Record {
    let salt = [7; 32];
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let context = format!("context {n}").into_bytes();
    Record {
        kind: RecordKind::EventSent,
        request,
        leaf: leaf_entry(&Salt(salt), &Digest::new(id), &context),
        node: NodePart { record_id: id.to_vec(), recorded_ms: n, ..NodePart::default() },
        case: CasePart { salt: salt.to_vec(), context, header: n.to_be_bytes().to_vec(), ..CasePart::default() },
        body: format!("body {n}").into_bytes(),
        secret: Some(Zeroizing::new(id)),
    }
}

fn check_record(stored: &StoredRecord, n: u64) {
    assert_eq!(stored.kind, RecordKind::EventSent);
    assert_eq!(stored.node.recorded_ms, n);
    assert_eq!(stored.body, format!("body {n}").into_bytes());
    assert_eq!(stored.case.as_ref().expect("case").header, n.to_be_bytes());
    assert_eq!(stored.secret.as_ref().expect("secret")[..8], n.to_be_bytes());
    assert_eq!(stored.expected_leaf(), Some(stored.leaf));
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("folder");
    let folder = home.path().join("ledger");
    (home, folder)
}

fn open(folder: &Path) -> (Ledger, Opened) {
    open_known(folder, None)
}

fn open_known(folder: &Path, known: Option<u64>) -> (Ledger, Opened) {
    Ledger::open_on(&Disk::default(), folder, keys(), known, SMALL).expect("opened")
}

fn append(ledger: &Ledger, records: Vec<Record>) -> Result<Committed, StoreFault> {
    ledger.append(records)?.wait()
}

/// Appends records `from..until`, one by one, of requests in turn and of none.
fn fill(ledger: &Ledger, from: u64, until: u64) {
    for n in from..until {
        let of = u8::try_from(n % 3).expect("small");
        append(ledger, vec![record((of > 0).then(|| request(of)), n)]).expect("appended");
    }
}

fn code<T>(result: Result<T, StoreFault>) -> &'static str {
    result.err().expect("refused").code()
}

fn signed(ledger: &Ledger, size: u64) -> Vec<u8> {
    let seeds = [Seed::new([1; 32]), Seed::new([2; 32])];
    let signer = HybridSigner::new(KeyRole::Checkpoint, &seeds[0], Algorithm::MlDsa44, &seeds[1]).expect("keys");
    let origin: Origin = "xa.demo.test/ledger/1".parse().expect("origin");
    let root = ledger.root_at(size).expect("root");
    Checkpoint { origin, size, root }.sign(&signer, Time(1_000)).expect("signed").into_bytes()
}

#[test]
fn what_is_appended_is_read_and_proven_after_a_reopen() {
    let (_home, folder) = home();
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.torn_bytes, opened.read_only), (0, 0, None));
    let committed = append(&ledger, vec![record(Some(request(1)), 0), record(None, 1)]).expect("appended");
    assert_eq!((committed.first, committed.count, committed.size), (LedgerIndex(0), 2, 2));
    let tokens: Vec<_> = committed.appended().map(|token| (token.index().0, token.size())).collect();
    assert_eq!(tokens, [(0, 2), (1, 2)]);
    fill(&ledger, 2, 120);
    drop(ledger);
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.proven, opened.torn_bytes), (120, 120, 0));
    assert_eq!(ledger.root_at(2).expect("root"), committed.root);
    assert_eq!(ledger.root_at(120).expect("root"), opened.root);
    for (n, stored) in (0..).zip(ledger.iterate(LedgerIndex(0))) {
        let stored = stored.expect("read");
        check_record(&stored, n);
        let path = ledger.prove(stored.index, 120).expect("path");
        verify_inclusion(&leaf_hash(&stored.leaf), stored.index, 120, &path, &opened.root).expect("proven");
    }
    let growth = ledger.consistency(2, 120).expect("path");
    verify_consistency(2, &committed.root, 120, &opened.root, &growth).expect("grew");
    assert_eq!(code(ledger.read(LedgerIndex(120))), "store.no-such-record");
    assert_eq!(ledger.root_at(121).expect_err("refused").code(), "ledger.size-beyond-tree");
    let mut told = 0;
    let verified = ledger.verify(&mut |size| told = size).expect("verified");
    assert_eq!((verified, told), (Verified { records: 120, commits: 119, erased: 0 }, 120));
}

/// Batches of 32 records, so that many take few syncs.
fn pour(ledger: &Ledger, from: u64, until: u64) {
    for start in (from..until).step_by(32) {
        append(ledger, (start..until.min(start + 32)).map(|n| record(None, n)).collect()).expect("appended");
    }
}

/// The tree over the records of [`pour`], from core's own.
fn oracle(size: u64) -> Tree {
    let mut tree = Tree::new();
    for n in 0..size {
        tree.push(leaf_hash(&record(None, n).leaf));
    }
    tree
}

fn check_tree(ledger: &Ledger, oracle: &Tree, sizes: &[u64]) {
    for size in sizes {
        assert_eq!(ledger.root_at(*size).expect("root"), oracle.root_at(*size).expect("root"), "{size}");
        for index in [0, 255, 256, 300, 511, 512, 599].map(LedgerIndex).into_iter().filter(|index| index.0 < *size) {
            assert_eq!(ledger.prove(index, *size).expect("path"), oracle.inclusion(index, *size).expect("path"));
        }
        let growth = ledger.consistency(77.min(*size), *size).expect("path");
        assert_eq!(growth, oracle.consistency(77.min(*size), *size).expect("path"));
    }
}

/// [L-10]: what a log of some size consists of, and nothing beyond it.
#[test]
fn the_ledger_is_laid_out_in_tiles_and_bundles() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    pour(&ledger, 0, 600);
    let oracle = oracle(600);
    check_tree(&ledger, &oracle, &[1, 256, 300, 511, 512, 513, 600]);
    for size in [1, 255, 256, 257, 512, 600] {
        for resource in Resource::tiles(size).chain(Resource::entries(size)) {
            let bytes = ledger.resource(resource, size).expect("read").expect("there");
            match resource {
                Resource::Tile(id, width) => assert_eq!(bytes, oracle.tile_bytes(id, width).expect("tile")),
                Resource::Entries(number, width) => {
                    let entries = bundle_entries(&bytes, width).expect("bundle");
                    for (n, entry) in (number * TILE_WIDTH..).zip(entries) {
                        assert_eq!(entry, record(None, n).leaf);
                    }
                }
                Resource::Checkpoint => panic!("neither tile nor bundle"),
            }
        }
    }
    let beyond =
        ["checkpoint", "tile/0/002.p/1", "tile/0/001.p/1", "tile/1/000.p/2", "tile/2/000.p/1", "tile/entries/001.p/1"];
    for path in beyond {
        let resource = Resource::parse(path).expect("a path");
        assert_eq!(ledger.resource(resource, 256).expect("asked"), None, "{path}");
    }
    // A narrower tile of an older checkpoint is still given.
    let older = ledger.resource(Resource::parse("tile/0/000.p/9").expect("a path"), 600).expect("read");
    assert_eq!(older.expect("there").len(), 9 * 32);
    let far = Resource::parse("tile/0/x018/x446/x744/x073/x709/x551/615").expect("a path");
    assert_eq!(ledger.resource(far, 600).expect("asked"), None);
    assert_eq!(code(ledger.resource(Resource::Entries(0, 1), 601)), "ledger.size-beyond-tree");
    drop(ledger);
    let (ledger, _) = open(&folder);
    check_tree(&ledger, &oracle, &[600]);
}

/// [F-7]: tiles are a copy: lost, torn or changed they are made again and nobody sees a difference.
#[test]
fn tiles_that_are_lost_torn_or_changed_are_made_again() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    pour(&ledger, 0, 600);
    let oracle = oracle(600);
    drop(ledger);
    let path = folder.join("tile/0/001");
    let whole = fs::read(&path).expect("read");
    let mut changed = whole.clone();
    changed[5000] ^= 1;
    let older = fs::read(folder.join("tile/0/000")).expect("read");
    for bytes in [None, Some(vec![]), Some(whole[..4096].to_vec()), Some(vec![0; 8192]), Some(changed), Some(older)] {
        let spoil = || match &bytes {
            None => fs::remove_file(&path).expect("removed"),
            Some(bytes) => fs::write(&path, bytes).expect("written"),
        };
        // Under a node that runs: when it is next read from the disk.
        let (ledger, _) = open(&folder);
        spoil();
        check_tree(&ledger, &oracle, &[513, 600]);
        assert_eq!(fs::read(&path).expect("read"), whole);
        // Between two runs, and by a verification.
        drop(ledger);
        spoil();
        let (ledger, opened) = open(&folder);
        assert_eq!(opened.read_only, None);
        assert_eq!(ledger.verify(&mut |_| ()).expect("whole").records, 600);
        assert_eq!(fs::read(&path).expect("read"), whole);
    }
    fs::remove_dir_all(folder.join("tile")).expect("removed");
    let (ledger, _) = open(&folder);
    check_tree(&ledger, &oracle, &[600]);
}

#[test]
fn sixty_four_writers_find_everything_acknowledged_in_its_place() {
    const WRITERS: u64 = 64;
    const EACH: u64 = 12;
    let (_home, folder) = home();
    let (ledger, _) = Ledger::open(&folder, keys(), None).expect("opened");
    let (told, heard) = mpsc::sync_channel(usize::try_from(WRITERS * EACH).expect("small"));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (ledger, told) = (&ledger, told.clone());
            scope.spawn(move || {
                for n in writer * EACH..(writer + 1) * EACH {
                    let of = u8::try_from(writer % 7).expect("small");
                    let done = append(ledger, vec![record(Some(request(of)), n)]).expect("appended");
                    told.send((done.first, n)).expect("heard");
                }
            });
        }
    });
    drop((ledger, told));
    let acknowledged: BTreeMap<_, _> = heard.into_iter().collect();
    let (ledger, opened) = Ledger::open(&folder, keys(), Some(WRITERS * EACH)).expect("opened");
    assert_eq!((opened.size, acknowledged.len() as u64), (WRITERS * EACH, WRITERS * EACH));
    for (index, n) in acknowledged {
        check_record(&ledger.read(index).expect("read"), n);
    }
    let verified = ledger.verify(&mut |_| ()).expect("verified");
    assert!(verified.commits < verified.records, "writers share syncs: {verified:?}");
}

#[test]
fn a_slot_is_on_disk_before_the_record_that_needs_it() {
    let (_home, folder) = home();
    let disk = Disk::default();
    let (ledger, _) = Ledger::open_on(&disk, &folder, keys(), None, SMALL).expect("opened");
    fill(&ledger, 0, 1);
    let of = |told: Vec<String>| told.into_iter().filter(|line| !line.ends_with(".new")).collect::<Vec<_>>();
    disk.faults.told();
    append(&ledger, vec![record(Some(request(1)), 1), record(Some(request(2)), 2)]).expect("appended");
    let slots_first =
        ["write 000000.keys", "write 000000.keys", "sync 000000.keys", "write 000000.seg", "sync 000000.seg"];
    assert_eq!(of(disk.faults.told()), slots_first);
    append(&ledger, vec![record(Some(request(1)), 3)]).expect("appended");
    assert_eq!(of(disk.faults.told()), slots_first[3..], "a known request needs no slot");
}

#[test]
fn an_erased_request_stays_proven_and_takes_no_more() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 9);
    ledger.destroy_keys(request(1)).expect("destroyed");
    let check = |ledger: &Ledger| {
        let erased = ledger.read(LedgerIndex(4)).expect("read");
        assert_eq!((erased.node.recorded_ms, erased.case, erased.secret), (4, None, None));
        assert!(erased.body.is_empty(), "what a seal key could open is gone with the rest");
        check_record(&ledger.read(LedgerIndex(5)).expect("read"), 5);
        assert_eq!(code(append(ledger, vec![record(Some(request(1)), 9)])), "store.erased");
        assert_eq!(ledger.verify(&mut |_| ()).expect("verified").erased, 3);
    };
    check(&ledger);
    drop(ledger);
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.read_only), (9, None));
    check(&ledger);
    fill(&ledger, 11, 12);
    // [F-4]: nothing of a record stands in the clear but its leaf.
    let bytes = fs::read(segment_path(&folder.join("segments"), 0)).expect("read");
    assert!(!bytes.windows(5).any(|window| window == b"body "), "no body rests as it travelled");
}

#[test]
fn wrong_keys_are_refused_and_change_nothing() {
    let (_home, folder) = home();
    fill(&open(&folder).0, 0, 3);
    let with = |node, kek| LedgerKeys { node: DataKey::new([node; 32]), kek: [(2, DataKey::new([kek; 32]))].into() };
    for keys in [with(9, 3), with(1, 9), with(3, 1)] {
        assert_eq!(code(Ledger::open_on(&Disk::default(), &folder, keys, None, SMALL)), "store.wrong-key");
    }
    // A generation that is not there is another thing than a wrong key.
    assert_eq!(
        code(Ledger::open_on(&Disk::default(), &folder, keys_before(), None, SMALL)),
        "store.key-encryption-key-gone"
    );
    assert_eq!(open(&folder).1.size, 3);
}

#[test]
fn a_record_opens_only_in_its_place() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 4);
    let payload = ledger.shelf.read(1).expect("read");
    check_record(&ledger.opener.open(1, &payload).expect("opens"), 1);
    assert_eq!(code(ledger.opener.open(2, &payload)), "store.bad-record");
}

#[test]
fn a_saved_checkpoint_is_held_against_the_files() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 6);
    assert_eq!(code(ledger.save_checkpoint(b"not a note")), "store.not-a-checkpoint");
    let (four, six) = (signed(&ledger, 4), signed(&ledger, 6));
    let beyond = String::from_utf8(six.clone()).expect("text").replacen("\n6\n", "\n7\n", 1);
    assert_eq!(code(ledger.save_checkpoint(beyond.as_bytes())), "store.not-a-checkpoint");
    ledger.save_checkpoint(&six).expect("saved");
    ledger.save_checkpoint(&four).expect("an older one is left aside");
    assert_eq!(ledger.checkpoint(), Some(six.clone()));
    drop(ledger);
    let last = tear_last_batch(&folder);
    let (ledger, opened) = open(&folder);
    let damage = opened.read_only.expect("damage");
    assert_eq!((damage.kind, damage.code()), (DamageKind::Missing { known: 6 }, "store.records-missing"));
    assert_eq!(code(append(&ledger, vec![record(None, 6)])), "store.read-only");
    check_record(&ledger.read(LedgerIndex(4)).expect("read"), 4);
    drop(ledger);
    fs::write(segment_path(&folder.join("segments"), 0), last).expect("put back");
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.read_only), (6, None));
    drop(ledger);
    // Another root at the same size.
    let other = String::from_utf8(six).expect("text").replacen("\n6\n", "\n5\n", 1);
    fs::remove_file(folder.join("checkpoint")).expect("removed");
    let (mut notes, _) = Notes::read(&Disk::default(), &folder).expect("read");
    notes.keep(other.as_bytes(), 5).expect("kept");
    assert_eq!(open(&folder).1.read_only.expect("damage").code(), "store.bad-root");
    fs::write(folder.join("checkpoint"), b"rubbish").expect("written");
    assert_eq!(open(&folder).1.read_only.expect("damage").code(), "store.bad-checkpoint");
    fs::remove_file(folder.join("checkpoint")).expect("removed");
    assert_eq!(open_known(&folder, Some(7)).1.read_only.expect("damage").code(), "store.records-missing");
}

/// Zeros the last byte used in the first segment; returns the segment as it was.
fn tear_last_batch(folder: &Path) -> Vec<u8> {
    let path = segment_path(&folder.join("segments"), 0);
    let whole = fs::read(&path).expect("read");
    let last = whole.iter().rposition(|byte| *byte != 0).expect("used");
    let mut torn = whole.clone();
    torn[last] = 0;
    fs::write(&path, torn).expect("written");
    whole
}

#[test]
fn damage_leaves_the_ledger_readable_and_names_the_record() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 9);
    let root = ledger.root_at(4).expect("root");
    drop(ledger);
    let path = segment_path(&folder.join("segments"), 0);
    let mut bytes = fs::read(&path).expect("read");
    let leaf = record(None, 4).leaf;
    let at = bytes.windows(33).position(|window| window == leaf.as_bytes()).expect("there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    let (ledger, opened) = open(&folder);
    let damage = opened.read_only.expect("damage");
    assert_eq!((damage.code(), damage.record), ("store.bad-frame", 4));
    assert_eq!((opened.size, opened.proven, opened.root), (9, 4, root));
    assert_eq!(code(append(&ledger, vec![record(None, 9)])), "store.read-only");
    assert_eq!(ledger.root_at(5).expect_err("refused").code(), "ledger.size-beyond-tree");
    assert_eq!(code(ledger.verify(&mut |_| ())), "store.bad-frame");
    for n in (0..9).filter(|n| *n != 4) {
        check_record(&ledger.read(LedgerIndex(n)).expect("read"), n);
    }
    assert_eq!(code(ledger.read(LedgerIndex(4))), "store.bad-frame");
}

#[test]
fn a_wrong_leaf_or_root_is_found() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 2);
    let wrong = Record { leaf: record(None, 9).leaf, ..record(Some(request(1)), 2) };
    append(&ledger, vec![wrong]).expect("appended");
    assert_eq!(code(ledger.verify(&mut |_| ())), "store.bad-leaf");
    let payload = ledger.shelf.read(0).expect("read");
    drop(ledger);
    // A batch with a good chain whose commit states another root.
    let segments = folder.join("segments");
    let tiles = TileFolder::new(&Disk::default(), &folder);
    let mut planter = Planter::new(&tiles);
    let (tail, _, _) = segments::open(&Disk::default(), &segments, SMALL, 0, &mut planter).expect("opened");
    let mut batch = Batch::default();
    batch.push(&payload);
    tail.expect("undamaged").commit(batch, [9; 32]).expect("committed");
    let (_, opened) = open(&folder);
    assert_eq!(opened.read_only.expect("damage").code(), "store.bad-root");
}

#[test]
fn after_a_failed_sync_nothing_more_is_written() {
    let (_home, folder) = home();
    let disk = Disk::default();
    let (ledger, _) = Ledger::open_on(&disk, &folder, keys(), None, SMALL).expect("opened");
    fill(&ledger, 0, 3);
    disk.faults.fail_syncs(true);
    let waiting: Vec<_> = (3..6).filter_map(|n| ledger.append(vec![record(None, n)]).ok()).collect();
    for pending in waiting {
        let fault = pending.wait().expect_err("not acknowledged");
        assert!(fault.is_fatal(), "{fault}");
    }
    disk.faults.fail_syncs(false);
    assert_eq!(code(append(&ledger, vec![record(None, 6)])), "store.stopped");
    assert_eq!(ledger.size(), 3);
    check_record(&ledger.read(LedgerIndex(2)).expect("reading goes on"), 2);
    drop(ledger);
    let (ledger, opened) = open_known(&folder, Some(3));
    assert_eq!(opened.read_only, None);
    for (n, stored) in (0..).zip(ledger.iterate(LedgerIndex(0))) {
        check_record(&stored.expect("read"), n);
    }
}

#[test]
fn a_full_disk_refuses_without_loss_and_recovers() {
    let (_home, folder) = home();
    let disk = Disk::default();
    let (ledger, _) = Ledger::open_on(&disk, &folder, keys(), None, SMALL).expect("opened");
    disk.faults.set_space(Some(20_000));
    let large = |n| Record { body: vec![5; 5000], ..record(Some(request(1)), n) };
    let mut kept = 0;
    let refused = loop {
        match append(&ledger, vec![large(kept)]) {
            Ok(done) => kept = done.size,
            Err(fault) => break fault,
        }
    };
    assert_eq!(refused.code(), "store.disk-full");
    assert!(!refused.is_fatal() && kept > 2);
    assert_eq!(code(append(&ledger, vec![large(kept)])), "store.disk-full");
    disk.faults.set_space(None);
    let done = append(&ledger, vec![large(kept)]).expect("room again");
    assert_eq!((done.first.0, ledger.verify(&mut |_| ()).expect("verified").records), (kept, kept + 1));
    drop(ledger);
    assert_eq!(open_known(&folder, Some(kept + 1)).1.read_only, None);
}

#[test]
fn limits_are_checked_at_once() {
    let (_home, folder) = home();
    let (ledger, _) = Ledger::open(&folder, keys(), None).expect("opened");
    let large = Record { body: vec![0; 4 << 20], ..record(None, 0) };
    assert_eq!(code(ledger.append(vec![large])), "store.too-large");
    let many = (0..257).map(|n| record(None, n)).collect();
    assert_eq!(code(ledger.append(many)), "store.too-large");
    let nothing = append(&ledger, vec![]).expect("nothing to do");
    assert_eq!((nothing.count, nothing.size), (0, 0));
}

/// Small and repeatable (xorshift64): which unsynced sectors survive.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 60 & 1 == 1
    }
}

/// Runs until the power goes after `operations`, loses what was not synced, opens again.
fn lose_power_after(operations: u64, seed: u64) {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    fill(&ledger, 0, 2);
    drop(ledger);
    let disk = Disk::default();
    let (ledger, _) = Ledger::open_on(&disk, &folder, keys(), None, SMALL).expect("opened");
    disk.faults.stop_after(operations);
    let mut acknowledged = 2;
    for n in 2..14 {
        let of = u8::try_from(n % 5).expect("small");
        let body = vec![0xb0; usize::try_from(n * 333).expect("small")];
        let records = vec![record(Some(request(of)), n * 2), Record { body, ..record(None, n * 2 + 1) }];
        match append(&ledger, records) {
            Ok(done) => acknowledged = done.size,
            Err(_) => break,
        }
    }
    drop(ledger);
    disk.faults.lose_power(coin(seed));
    let told = format!("power lost after {operations} operations, seed {seed}");
    let (ledger, opened) = open_known(&folder, Some(acknowledged));
    assert_eq!(opened.read_only, None, "{told}");
    assert!(opened.size >= acknowledged && opened.size <= acknowledged + 2, "{told}");
    for index in (2..opened.size).step_by(2) {
        check_record(&ledger.read(LedgerIndex(index)).expect("read"), index + 2);
    }
    assert_eq!(ledger.verify(&mut |_| ()).expect("verified").records, opened.size, "{told}");
    fill(&ledger, 90, 93);
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    for operations in 0..60 {
        for seed in 0..2 {
            lose_power_after(operations, seed * 1000 + operations);
        }
    }
}

/// Not a test of its own: the process that [`killed_at_every_named_step`] starts and that ends
/// itself at the step named in its environment. Acknowledged sizes go to a file, appended and
/// closed before the next step.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var("COMITY_TEST_CHILD") else { return };
    let folder = PathBuf::from(folder);
    // Once opened with the newer keys it does not open with these alone.
    if let Ok((ledger, _)) = Ledger::open_on(&Disk::default(), &folder.join("ledger"), keys_before(), Some(0), SMALL) {
        let first = append(&ledger, vec![record(Some(request(0)), ledger.size())]).expect("appended");
        fs::write(folder.join("acknowledged"), first.size.to_string()).expect("written");
    }
    let (ledger, _) = open(&folder.join("ledger"));
    let from = ledger.size();
    for n in from..from + 60 {
        let of = u8::try_from(n % 5).expect("small");
        let done = append(&ledger, vec![record(Some(request(of)), n)]).expect("appended");
        fs::write(folder.join("acknowledged"), done.size.to_string()).expect("written");
        if n % 8 == 7 {
            ledger.save_checkpoint(&signed(&ledger, done.size)).expect("saved");
        }
    }
    ledger.destroy_keys(request(9)).expect("nothing to destroy");
    append(&ledger, vec![record(Some(request(9)), from + 60)]).expect("appended");
    ledger.destroy_keys(request(9)).expect("destroyed");
}

#[test]
fn killed_at_every_named_step() {
    let elsewhere = ["store.desk-", "store.index-"];
    let ours = |point: &&str| point.starts_with("store.") && !elsewhere.iter().any(|other| point.starts_with(other));
    for point in POINTS.into_iter().filter(ours) {
        let (home, folder) = home();
        if point == "store.tail-cut" {
            fill(&open(&folder).0, 0, 3);
            tear_last_batch(&folder);
        }
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "store::ledger::tests::child_that_is_killed"])
            .env("COMITY_TEST_CHILD", home.path())
            .env("COMITY_CRASH_AT", point)
            .output()
            .expect("started");
        assert!(!child.status.success(), "{point} is never reached");
        let acknowledged = fs::read_to_string(home.path().join("acknowledged")).ok();
        let acknowledged = acknowledged.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (ledger, opened) = open_known(&folder, Some(acknowledged));
        assert_eq!(opened.read_only, None, "{point}");
        for (n, stored) in (0..acknowledged.min(60)).zip(ledger.iterate(LedgerIndex(0))) {
            check_record(&stored.expect("read"), n);
        }
        assert_eq!(ledger.verify(&mut |_| ()).expect("verified").records, opened.size, "{point}");
        fill(&ledger, 100, 103);
    }
}
