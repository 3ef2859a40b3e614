//! An open that reads outlines instead of closed segments: it sees the same ledger, whatever happened to outlines, and
//! damage it did not see is found by looking over.

use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::store::outline;

/// Records of [`pour`] that fill some segments of the small kind.
const MANY: u64 = 320;

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder.join("segments")).expect("read").map(|e| e.expect("read").path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    found.sort();
    found
}

/// Which segments have an outline.
fn outlined(folder: &Path) -> Vec<usize> {
    let all = segments(folder);
    (0..all.len()).filter(|at| outline::path(&all[*at]).exists()).collect()
}

fn poured() -> (TempDir, PathBuf, Tree) {
    let (home, folder) = home();
    let (ledger, _) = open(&folder);
    pour(&ledger, 0, MANY);
    drop(ledger);
    (home, folder, oracle(MANY))
}

/// Opens, and tells what looking over finds.
fn look_over(folder: &Path) -> (Arc<Ledger>, Opened, Receiver<Damage>) {
    let (ledger, opened) = open(folder);
    let ledger = Arc::new(ledger);
    let (told, heard) = sync_channel(1); // one walk tells of one damage
    ledger.look_over(move |damage| told.send(damage).expect("heard")).expect("started").finish();
    (ledger, opened, heard)
}

fn unread(ledger: &Ledger) -> usize {
    ledger.shelf.stretches().iter().filter(|stretch| !stretch.chapter.is_read).count()
}

fn check_whole(folder: &Path, oracle: &Tree, size: u64) -> Ledger {
    let (ledger, opened) = open(folder);
    assert_eq!((opened.size, opened.proven, opened.read_only), (size, size, None));
    assert_eq!(opened.root, oracle.root());
    for (n, stored) in (0..).zip(ledger.iterate(LedgerIndex(0))) {
        check_record(&stored.expect("read"), n);
    }
    ledger
}

/// [F-9]: of closed segments the outline is read and nothing else.
#[test]
fn closed_segments_are_opened_by_their_outlines() {
    let (_home, folder, oracle) = poured();
    let used = open(&folder).0.shelf.stretches().len();
    assert!(used > 4, "{used}");
    assert_eq!(outlined(&folder), (0..used - 1).collect::<Vec<_>>());
    let ledger = check_whole(&folder, &oracle, MANY);
    assert_eq!(unread(&ledger), used - 1);
    check_tree(&ledger, &oracle, &[1, 255, 256, 300, MANY]);
    assert_eq!(ledger.verify(&mut |_| ()).expect("whole").records, MANY);
    pour(&ledger, MANY, 2 * MANY);
    drop(ledger);
    let oracle = super::oracle(2 * MANY);
    let (ledger, _, heard) = look_over(&folder);
    assert_eq!((unread(&ledger) > used, heard.try_recv().is_err()), (true, true));
    check_tree(&ledger, &oracle, &[256, MANY, 600, 2 * MANY]);
}

/// [F-9]: whatever an outline has become, the ledger is the same and the outline is made again.
#[test]
fn an_outline_that_is_lost_torn_changed_or_of_elsewhere_is_made_again() {
    let (_home, folder, oracle) = poured();
    let (_other_home, other, _) = poured();
    let all = segments(&folder);
    let at = |number: usize| outline::path(&all[number]);
    let whole = fs::read(at(1)).expect("read");
    let mut changed = whole.clone();
    changed[200] ^= 1;
    let longer = [&whole[..], &[0]].concat();
    let spoiled = [
        None,
        Some(vec![]),
        Some(whole[..100].to_vec()),
        Some(vec![0; whole.len()]),
        Some(changed),
        Some(longer),
        Some(fs::read(at(0)).expect("read")),
        Some(fs::read(at(2)).expect("read")),
        Some(fs::read(outline::path(&segments(&other)[1])).expect("read")),
    ];
    for bytes in spoiled {
        match &bytes {
            None => fs::remove_file(at(1)).expect("removed"),
            Some(bytes) => fs::write(at(1), bytes).expect("written"),
        }
        let ledger = check_whole(&folder, &oracle, MANY);
        assert_eq!(unread(&ledger), ledger.shelf.stretches().len() - 2, "only that one is read");
        assert_eq!(fs::read(at(1)).expect("read"), whole);
    }
    // Under a node that runs, a walk does without.
    let ledger = check_whole(&folder, &oracle, MANY);
    fs::remove_file(at(1)).expect("removed");
    fs::write(at(3), b"").expect("written");
    assert_eq!(ledger.verify(&mut |_| ()).expect("whole").records, MANY);
    drop(ledger);
    for number in outlined(&folder) {
        fs::remove_file(at(number)).expect("removed");
    }
    drop(check_whole(&folder, &oracle, MANY));
    assert_eq!(fs::read(at(1)).expect("read"), whole);
}

/// An outline with a good checksum that says what is not so.
#[test]
fn an_outline_that_was_made_up_is_not_believed() {
    let (_home, folder, oracle) = poured();
    let path = outline::path(&segments(&folder)[1]);
    let whole = fs::read(&path).expect("read");
    // The commits before and after, the end, the count, the tree.
    for at in [32, 40, 72, 104, 112, 144, 176, 180, whole.len() - 20] {
        let mut wrong = whole.clone();
        wrong[at] ^= 1;
        fs::write(&path, resealed(wrong)).expect("written");
        drop(check_whole(&folder, &oracle, MANY));
        assert_eq!(fs::read(&path).expect("read"), whole, "byte {at}");
    }
}

/// The places of a made-up outline name another record's frame, and none: neither is shown, until the walk sees it.
#[test]
fn another_records_frame_is_never_shown() {
    let (_home, folder, oracle) = poured();
    let path = outline::path(&segments(&folder)[1]);
    let mut bytes = fs::read(&path).expect("read");
    let second: [u8; 4] = bytes[188..192].try_into().expect("four");
    bytes[184..188].copy_from_slice(&second);
    bytes[188..192].copy_from_slice(&(u32::from_le_bytes(second) + 1).to_le_bytes());
    fs::write(&path, resealed(bytes)).expect("written");
    let (ledger, opened) = open(&folder);
    let first = ledger.shelf.stretches()[1].chapter.before.size;
    assert_eq!((opened.size, opened.read_only), (MANY, None));
    assert_eq!(code(ledger.read(LedgerIndex(first))), "store.bad-record");
    assert_eq!(code(ledger.read(LedgerIndex(first + 1))), "store.bad-frame");
    drop(ledger);
    let (ledger, _, heard) = look_over(&folder);
    assert!(heard.try_recv().is_err(), "the ledger is whole");
    check_record(&ledger.read(LedgerIndex(first)).expect("read"), first);
    check_record(&ledger.read(LedgerIndex(first + 1)).expect("read"), first + 1);
    drop(ledger);
    drop(check_whole(&folder, &oracle, MANY));
}

/// With the checksum its bytes ask for.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..len]).to_le_bytes();
    bytes[len..].copy_from_slice(&checksum);
    bytes
}

/// Killed when the next segment is not yet written: the closed one is the last, and goes on if there is room.
#[test]
fn an_outline_ends_to_count_when_its_segment_goes_on() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    let large = |n| Record { body: vec![0xbb; 9000], ..record(None, n) };
    append(&ledger, vec![large(0)]).expect("appended");
    append(&ledger, vec![large(1)]).expect("appended");
    drop(ledger);
    let [first, second] = [0, 1].map(|n| segments(&folder)[n].clone());
    assert_eq!(outlined(&folder), [0]);
    let kept = fs::read(outline::path(&first)).expect("read");
    let mut bytes = fs::read(&second).expect("read");
    bytes[64..].fill(0);
    fs::write(&second, bytes).expect("written");
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, unread(&ledger)), (1, 1), "by its outline");
    append(&ledger, vec![record(None, 1)]).expect("fits behind the first");
    drop(ledger);
    assert_eq!(fs::read(outline::path(&first)).expect("read"), kept, "of before");
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.read_only, unread(&ledger)), (2, None, 0));
    append(&ledger, vec![large(2)]).expect("appended");
    drop(ledger);
    assert_ne!(fs::read(outline::path(&first)).expect("read"), kept);
    let (ledger, opened) = open(&folder);
    assert_eq!((opened.size, opened.read_only, unread(&ledger)), (3, None, 1));
    check_record(&ledger.read(LedgerIndex(1)).expect("read"), 1);
}

/// Whatever bit of a closed segment flips: an open that reads all of it, and one that reads outlines and looks over, end
/// in the same damage, then and at every later start.
#[test]
fn damage_in_a_closed_segment_is_found_by_looking_over() {
    // Many commits in a segment, so that damage lies before and behind some of its own.
    const MANY: u64 = 130;
    let (_home, folder) = home();
    fill(&open(&folder).0, 0, MANY);
    let path = segments(&folder)[1].clone();
    let saved = fs::read(outline::path(&path)).expect("read");
    let whole = fs::read(&path).expect("read");
    let end = whole.iter().rposition(|byte| *byte != 0).expect("used") + 1;
    for at in (0..64).step_by(9).chain((64..end + 40).step_by(487)).chain(end - 60..end + 3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).expect("written");
        let (ledger, opened, heard) = look_over(&folder);
        let found = opened.read_only.or_else(|| heard.try_recv().ok()).unwrap_or_else(|| panic!("byte {at}"));
        assert_eq!(ledger.read_only(), Some(found));
        assert_eq!(code(append(&ledger, vec![record(None, MANY)])), "store.read-only");
        assert_eq!(code(ledger.verify(&mut |_| ())), found.code());
        if found.kind != DamageKind::Segment {
            assert_eq!(ledger.root_at(MANY).expect_err("not proven").code(), "ledger.size-beyond-tree");
        }
        for n in 0..MANY {
            ledger
                .read(LedgerIndex(n))
                .map_or_else(|fault| assert_eq!(fault.code(), "store.bad-frame"), |stored| check_record(&stored, n));
        }
        drop(ledger);
        let (_, again) = open(&folder);
        assert_eq!(again.read_only, Some(found), "byte {at}, at the next start");
        fs::write(&path, &whole).expect("put back");
        fs::write(outline::path(&path), &saved).expect("put back");
    }
    assert_eq!(open(&folder).1.read_only, None);
}

/// The first of several is named, whichever thread meets which.
#[test]
fn the_first_damage_is_named() {
    let (_home, folder, _) = poured();
    let (ledger, _) = open(&folder);
    for number in [3, 1, 2] {
        let path = &segments(&folder)[number];
        let mut bytes = fs::read(path).expect("read");
        bytes[100] ^= 1;
        fs::write(path, bytes).expect("written");
    }
    let first = ledger.shelf.stretches()[1].chapter.before.size;
    let Err(StoreFault::Damaged(damage)) = ledger.verify(&mut |_| ()) else { panic!("damaged") };
    assert_eq!((damage.code(), damage.segment, damage.record), ("store.bad-frame", 1, first));
    assert_eq!(ledger.read_only(), Some(damage));
    assert_eq!(ledger.root_at(first).expect("before the damage"), oracle(first).root());
    drop(ledger);
    assert_eq!(open(&folder).1.read_only, Some(damage));
}

#[test]
fn a_segment_that_is_missing_is_seen_at_once() {
    let (_home, folder, _) = poured();
    fs::remove_file(&segments(&folder)[2]).expect("removed");
    let damage = open(&folder).1.read_only.expect("damage");
    assert_eq!((damage.code(), damage.segment), ("store.bad-segment", 2));
}

/// Nothing depends on whether an outline can be written.
#[test]
fn an_outline_that_cannot_be_written_is_no_fault() {
    let (_home, folder) = home();
    let (ledger, _) = open(&folder);
    let first = segments(&folder)[0].clone();
    fs::create_dir(outline::path(&first)).expect("in the way");
    pour(&ledger, 0, MANY);
    drop(ledger);
    let ledger = check_whole(&folder, &oracle(MANY), MANY);
    assert!(!ledger.shelf.stretches().is_empty());
}
