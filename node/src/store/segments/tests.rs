//! A log against torn tails, flipped bits, rubbish, missing files and a full disk.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Eight sectors: a few batches fill it.
const SHAPE: Shape = Shape { name: "test", segment: 4096, points: ["test.written", "test.synced"] };

#[derive(Default)]
struct Seen(Vec<Vec<u8>>);

impl Visit for Seen {
    fn record(&mut self, index: u64, payload: &[u8]) -> Result<(), DamageKind> {
        assert_eq!(index, self.0.len() as u64);
        self.0.push(payload.to_vec());
        Ok(())
    }
}

struct Log {
    tail: Option<Tail>,
    shelf: Arc<Shelf>,
    found: Found,
    seen: Vec<Vec<u8>>,
}

impl Log {
    fn open(folder: &Path, known: u64) -> Self {
        Self::open_on(&Disk::default(), folder, known)
    }

    fn open_on(disk: &Disk, folder: &Path, known: u64) -> Self {
        let mut seen = Seen::default();
        let (tail, shelf, found) = open(disk, folder, SHAPE, known, &mut seen).expect("opened");
        Self { tail, shelf, found, seen: seen.0 }
    }

    fn append(&mut self, payloads: &[&[u8]]) -> Result<(), StoreFault> {
        let tail = self.tail.as_mut().expect("not damaged");
        let mut batch = Batch::default();
        payloads.iter().for_each(|payload| batch.push(payload));
        tail.reserve(batch.len())?;
        self.shelf.extend(tail.commit(batch, [7; 32])?);
        Ok(())
    }
}

fn log() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("folder");
    let folder = home.path().join("segments");
    (home, folder)
}

/// Three batches of three, two and two records; the last begins where this says.
fn three_batches(folder: &Path) -> (usize, usize) {
    let mut log = Log::open(folder, 0);
    log.append(&[b"alpha", b"", b"gamma"]).expect("appended");
    log.append(&[b"delta", &[0xee; 300]]).expect("appended");
    let start = log.tail.as_ref().expect("tail").at;
    log.append(&[b"eta", b"theta"]).expect("appended");
    let end = log.tail.as_ref().expect("tail").at;
    (usize::try_from(start).expect("small"), usize::try_from(end).expect("small"))
}

#[test]
fn what_is_appended_is_read_again_across_segments() {
    let (_home, folder) = log();
    let mut log = Log::open(&folder, 0);
    let payloads: Vec<Vec<u8>> = (0..60_u8).map(|n| vec![n; usize::from(n) * 30]).collect();
    for pair in payloads.chunks(2) {
        log.append(&[&pair[0], &pair[1]]).expect("appended");
    }
    for (index, payload) in (0..).zip(&payloads) {
        assert_eq!(&log.shelf.read(index).expect("read"), payload);
    }
    let running = log.tail.as_ref().expect("tail").standing.running;
    assert!(log.tail.as_ref().expect("tail").number > 10);
    drop(log);
    let log = Log::open(&folder, 60);
    assert_eq!((log.found.size, log.found.torn_bytes, log.found.damage), (60, 0, None));
    assert_eq!((log.found.root, log.tail.as_ref().expect("tail").standing.running), ([7; 32], running));
    assert_eq!(log.seen, payloads);
    assert_eq!(log.shelf.read(60).expect_err("beyond").code(), "store.no-such-record");
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let (_home, folder) = log();
    let mut log = Log::open(&folder, 0);
    assert_eq!(log.append(&[&[1; 4000]]).expect_err("refused").code(), "store.too-large");
    log.append(&[&[1; 3800]]).expect("fits");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_written_over() {
    let (_home, folder) = log();
    let (start, end) = three_batches(&folder);
    let path = segment_path(&folder, 0);
    let whole = fs::read(&path).expect("read");
    for torn_at in start..end {
        let mut torn = whole.clone();
        torn[torn_at..].fill(0);
        fs::write(&path, &torn).expect("written");
        let mut log = Log::open(&folder, 5);
        assert_eq!((log.found.size, log.found.damage), (5, None), "torn at {torn_at}");
        assert_eq!(log.found.torn_bytes > 0, torn[start..].iter().any(|byte| *byte != 0), "torn at {torn_at}");
        log.append(&[b"again"]).expect("appended");
        drop(log);
        let log = Log::open(&folder, 6);
        assert_eq!((log.found.size, log.found.torn_bytes, log.found.damage), (6, 0, None));
        assert_eq!(log.seen[5], b"again");
    }
}

#[test]
fn a_tail_that_lost_any_sectors_is_torn_not_damaged() {
    let (_home, folder) = log();
    let (_, start) = three_batches(&folder);
    let mut log = Log::open(&folder, 0);
    log.append(&[&[0xaa; 900], &[0xbb; 900]]).expect("appended");
    let end = usize::try_from(log.tail.as_ref().expect("tail").at).expect("small");
    drop(log);
    let path = segment_path(&folder, 0);
    let whole = fs::read(&path).expect("read");
    let sectors: Vec<usize> = (start / 512..=(end - 1) / 512).collect();
    for kept in 0..1_u32 << sectors.len() {
        let mut torn = whole.clone();
        for (_, sector) in sectors.iter().enumerate().filter(|(bit, _)| kept >> bit & 1 == 0) {
            torn[start.max(sector * 512)..(sector + 1) * 512].fill(0);
        }
        fs::write(&path, &torn).expect("written");
        let log = Log::open(&folder, 7);
        let expected = if torn == whole { 9 } else { 7 };
        assert_eq!((log.found.size, log.found.damage), (expected, None), "kept {kept:b}");
    }
}

#[test]
fn a_known_checkpoint_forbids_cutting() {
    let (_home, folder) = log();
    let (start, end) = three_batches(&folder);
    let path = segment_path(&folder, 0);
    let mut torn = fs::read(&path).expect("read");
    torn[end - 3..].fill(0);
    fs::write(&path, &torn).expect("written");
    let log = Log::open(&folder, 6);
    let damage = log.found.damage.expect("damage");
    let kind = DamageKind::Missing { known: 6 };
    assert_eq!(damage, Damage { kind, record: 5, segment: 0, offset: start as u64 });
    assert!(log.tail.is_none());
    assert_eq!(fs::read(&path).expect("read"), torn, "evidence is left as it is");
    assert_eq!(log.seen.len(), 5);
}

#[test]
fn any_flipped_bit_is_damage_and_never_another_record() {
    let (_home, folder) = log();
    let (_, end) = three_batches(&folder);
    let original = Log::open(&folder, 0).seen;
    let path = segment_path(&folder, 0);
    let whole = fs::read(&path).expect("read");
    for at in 0..end + 16 {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).expect("written");
        let log = Log::open(&folder, 0);
        let kind = log.found.damage.map(|damage| damage.kind);
        let expected = match at {
            _ if at < SEGMENT_HEAD => Some(DamageKind::Segment),
            _ if at < end => Some(DamageKind::Frame),
            _ => None, // The slack behind the last commit holds nothing; it is cut.
        };
        assert_eq!(kind, expected, "byte {at}");
        assert_eq!(log.seen, original[..log.seen.len()], "byte {at}");
        let mut unreadable = 0;
        for (index, payload) in (0..log.shelf.size()).zip(&original) {
            match log.shelf.read(index) {
                Ok(read) => assert_eq!(&read, payload, "byte {at}, record {index}"),
                Err(fault) => {
                    assert_eq!(fault.code(), "store.bad-frame");
                    unreadable += 1;
                }
            }
        }
        // The mark in the head is needed to tell commits: without it only the start is found.
        assert!(unreadable <= 3 || (24..40).contains(&at), "byte {at}: {unreadable} unreadable");
    }
}

#[test]
fn damage_in_the_middle_names_the_record_and_spares_the_others() {
    let (_home, folder) = log();
    three_batches(&folder);
    let path = segment_path(&folder, 0);
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes.windows(5).position(|window| window == b"delta").expect("there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    let log = Log::open(&folder, 7);
    let damage = log.found.damage.expect("damage");
    assert_eq!((damage.kind, damage.record, damage.segment), (DamageKind::Frame, 3, 0));
    assert_eq!(damage.offset, (at - FRAME_HEAD) as u64);
    assert!(damage.to_string().starts_with("store.bad-frame: record 3 in segment 0 "), "{damage}");
    assert_eq!((log.found.intact, log.found.size), (3, 7));
    assert_eq!(log.shelf.read(3).expect_err("damaged").code(), "store.bad-frame");
    for (index, expected) in [(0, &b"alpha"[..]), (4, &[0xee; 300]), (5, b"eta"), (6, b"theta")] {
        assert_eq!(log.shelf.read(index).expect("read"), expected);
    }
}

#[test]
fn records_behind_a_lost_commit_keep_their_numbers() {
    let (_home, folder) = log();
    let (start, _) = three_batches(&folder);
    let path = segment_path(&folder, 0);
    let mut bytes = fs::read(&path).expect("read");
    // The second commit keeps its length but nothing that shows it was one.
    bytes[start - COMMIT_FRAME + 4..start].fill(0xa5);
    fs::write(&path, &bytes).expect("written");
    let log = Log::open(&folder, 0);
    assert_eq!((log.found.intact, log.found.size), (3, 7));
    for (index, expected) in [(3, &b"delta"[..]), (4, &[0xee; 300]), (5, b"eta"), (6, b"theta")] {
        assert_eq!(log.shelf.read(index).expect("read"), expected);
    }
}

#[test]
fn damage_before_a_torn_tail_is_not_cut_with_it() {
    let (_home, folder) = log();
    let (_, end) = three_batches(&folder);
    let path = segment_path(&folder, 0);
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes.windows(5).position(|window| window == b"delta").expect("there");
    bytes[at] ^= 1;
    bytes[end - 1] = 0;
    fs::write(&path, &bytes).expect("written");
    let log = Log::open(&folder, 0);
    let damage = log.found.damage.expect("damage");
    assert_eq!((damage.kind, damage.record), (DamageKind::Frame, 3));
    assert_eq!(fs::read(&path).expect("read"), bytes);
}

#[test]
fn zeros_in_a_record_do_not_make_it_torn_once_another_segment_follows() {
    let (_home, folder) = log();
    let mut log = Log::open(&folder, 0);
    log.append(&[&[0; 3000]]).expect("appended");
    log.append(&[&[1; 3000]]).expect("appended");
    drop(log);
    let path = segment_path(&folder, 0);
    let mut bytes = fs::read(&path).expect("read");
    bytes[1500] ^= 1;
    fs::write(&path, &bytes).expect("written");
    let log = Log::open(&folder, 0);
    let damage = log.found.damage.expect("damage");
    assert_eq!((damage.kind, damage.record), (DamageKind::Frame, 0));
    assert_eq!(log.shelf.read(1).expect("read"), [1; 3000]);
}

#[test]
fn a_missing_or_exchanged_segment_is_damage() {
    let (_home, folder) = log();
    let mut log = Log::open(&folder, 0);
    for n in 0..4 {
        log.append(&[&[n; 3000]]).expect("appended");
    }
    drop(log);
    let check = |kind, record| {
        let log = Log::open(&folder, 0);
        let damage = log.found.damage.expect("damage");
        assert_eq!((damage.kind, damage.record), (kind, record));
        assert_eq!(log.shelf.read(3).expect("read"), [3; 3000]);
    };
    let [one, two] = [1, 2].map(|number| segment_path(&folder, number));
    let aside = folder.join("aside");
    fs::rename(&one, &aside).expect("moved");
    check(DamageKind::Segment, 1);
    fs::rename(&two, &one).expect("moved");
    fs::rename(&aside, &two).expect("moved");
    let log = Log::open(&folder, 0);
    assert_eq!(log.found.damage.expect("damage").kind, DamageKind::Segment);
}

#[test]
fn a_commit_frame_inside_a_record_is_no_commit() {
    let (_home, folder) = log();
    let mut log = Log::open(&folder, 0);
    let (forged, _) = Batch::default().close(&[0; 32], 9, [1; 32], Mark::new([5; 16]));
    log.append(&[b"first"]).expect("appended");
    log.append(&[&[1; 100], &forged]).expect("appended");
    let end = usize::try_from(log.tail.as_ref().expect("tail").at).expect("small");
    drop(log);
    let path = segment_path(&folder, 0);
    let mut torn = fs::read(&path).expect("read");
    torn[end - 50..].fill(0);
    fs::write(&path, torn).expect("written");
    let log = Log::open(&folder, 0);
    assert_eq!((log.found.size, log.found.damage), (1, None));
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let (_home, folder) = log();
    let disk = Disk::default();
    let mut log = Log::open_on(&disk, &folder, 0);
    log.append(&[&[1; 3000]]).expect("first segment");
    log.append(&[&[2; 3000]]).expect("prepared ahead");
    disk.faults.set_space(Some(1000));
    log.append(&[&[3; 3000]]).ok();
    for _ in 0..3 {
        assert_eq!(log.append(&[&[4; 3000]]).expect_err("full").code(), "store.disk-full");
    }
    log.append(&[&[5; 300]]).expect("a small one still fits");
    disk.faults.set_space(None);
    log.append(&[&[6; 3000]]).expect("room again");
    let size = log.shelf.size();
    drop(log);
    let log = Log::open(&folder, size);
    assert_eq!((log.found.size, log.found.torn_bytes, log.found.damage), (size, 0, None));
    assert_eq!(log.seen.last(), Some(&vec![6; 3000]));
}

#[test]
fn half_a_write_is_fatal_and_never_a_commit() {
    let (_home, folder) = log();
    let disk = Disk::default();
    let mut log = Log::open_on(&disk, &folder, 0);
    log.append(&[b"one"]).expect("appended");
    disk.faults.fail_writes(true);
    let fault = log.append(&[&[2; 1000]]).expect_err("failed");
    assert!(fault.is_fatal() && fault.code() == "store.write-failed");
    assert_eq!(log.shelf.size(), 1);
    drop(log);
    let log = Log::open(&folder, 1);
    assert_eq!((log.found.size, log.found.damage), (1, None));
    assert!(log.found.torn_bytes > 0);
}

#[test]
fn what_is_found_at_a_start_is_synced_before_it_is_used() {
    let (_home, folder) = log();
    three_batches(&folder);
    let disk = Disk::default();
    let log = Log::open_on(&disk, &folder, 0);
    assert_eq!(log.found.size, 7);
    assert_eq!(disk.faults.told()[..2], ["write 000000.seg", "sync 000000.seg"], "the last batch, once more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in the files, an open never panics and never shows a record that was
    /// not written at that place.
    #[test]
    fn rubbish_never_reads_as_a_record(at in 0_usize..4096, rubbish in prop::collection::vec(any::<u8>(), 1..600)) {
        let (_home, folder) = log();
        three_batches(&folder);
        let original = Log::open(&folder, 0).seen;
        let path = segment_path(&folder, 0);
        let mut bytes = fs::read(&path).expect("read");
        let until = (at + rubbish.len()).min(bytes.len());
        bytes[at..until].copy_from_slice(&rubbish[..until - at]);
        fs::write(&path, bytes).expect("written");
        let log = Log::open(&folder, 0);
        prop_assert!(log.seen == original[..log.seen.len()]);
        for index in 0..log.shelf.size() {
            if let Ok(read) = log.shelf.read(index) {
                prop_assert_eq!(Some(&read), original.get(usize::try_from(index).expect("small")));
            }
        }
    }
}
