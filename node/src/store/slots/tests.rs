//! Slots on a real disk, and on one that fails.

use tempfile::TempDir;

use super::{
    super::DamageKind,
    slot::{CRC, GENERATION, NONCE},
    *,
};

fn request(n: u8) -> RequestId {
    RequestId::new([n; 16])
}

fn open(home: &TempDir, kek: u8) -> Result<(Slots, Option<Damage>), StoreFault> {
    let opened = Slots::open(&Disk::default(), &home.path().join(FOLDER), [(1, DataKey::new([kek; 32]))].into());
    opened.map(|(slots, _, damage)| (slots, damage))
}

fn exposed(keys: &RequestKeys) -> ([u8; 32], [u8; 32]) {
    (*keys.proof.expose(), *keys.content.expose())
}

#[test]
fn keys_last_until_they_are_destroyed() {
    let home = tempfile::tempdir().expect("folder");
    let (slots, damage) = open(&home, 1).expect("opened");
    assert_eq!(damage, None);
    let (one, first) = slots.ensure(request(1)).expect("allocated");
    let (two, second) = slots.ensure(request(2)).expect("allocated");
    slots.sync().expect("synced");
    assert_eq!((one, two), (1, 2), "slot 0 is the node's own");
    assert_ne!(exposed(&first), exposed(&second));
    drop(slots);
    let (slots, _) = open(&home, 1).expect("opened");
    let (again, keys) = slots.ensure(request(1)).expect("found");
    assert_eq!((again, exposed(&keys)), (one, exposed(&first)));
    assert_eq!(slots.state().open.len(), 1, "kept open");
    slots.destroy(request(1)).expect("destroyed");
    assert!(slots.state().open.is_empty());
    assert!(slots.keys(one).expect("read").is_none(), "gone at once");
    slots.destroy(request(1)).expect("and once more");
    slots.destroy(request(9)).expect("never there");
    let after = fs::read(home.path().join("slots/000000.keys")).expect("read");
    assert_eq!(after[SLOT..][NONCE.start..CRC], [0; CRC - NONCE.start]);
    drop(slots);
    let (slots, _) = open(&home, 1).expect("opened");
    assert!(slots.keys(one).expect("read").is_none());
    assert_eq!(slots.ensure(request(1)).err().expect("refused").code(), "store.erased");
    assert_eq!(exposed(&slots.keys(two).expect("read").expect("live")), exposed(&second));
    assert_eq!(slots.ensure(request(3)).expect("allocated").0, 3, "a destroyed slot is not used again");
}

#[test]
fn a_second_file_follows_the_first() {
    let home = tempfile::tempdir().expect("folder");
    let (slots, _) = open(&home, 1).expect("opened");
    slots.state().next = SLOTS_PER_FILE;
    let (slot, keys) = slots.ensure(request(1)).expect("allocated");
    slots.sync().expect("synced");
    assert_eq!(slot, SLOTS_PER_FILE);
    drop(slots);
    let (slots, _) = open(&home, 1).expect("opened");
    assert_eq!(exposed(&slots.keys(slot).expect("read").expect("live")), exposed(&keys));
    assert_eq!(slots.ensure(request(2)).expect("allocated").0, slot + 1);
}

#[test]
fn only_so_many_are_kept_open() {
    let home = tempfile::tempdir().expect("folder");
    let (slots, _) = open(&home, 1).expect("opened");
    let of = |n: u16| RequestId::new(std::array::from_fn(|at| n.to_be_bytes()[at % 2]));
    let all: Vec<_> = (0..300).map(|n| slots.ensure(of(n)).expect("allocated")).collect();
    for (slot, keys) in &all {
        assert_eq!(exposed(&slots.keys(*slot).expect("read").expect("live")), exposed(keys));
    }
    assert_eq!(slots.state().open.len(), OPEN_MAX);
}

#[test]
fn a_wrong_key_or_a_flipped_bit_is_named() {
    let home = tempfile::tempdir().expect("folder");
    let (slots, _) = open(&home, 1).expect("opened");
    slots.ensure(request(1)).expect("allocated");
    slots.ensure(request(2)).expect("allocated");
    slots.sync().expect("synced");
    drop(slots);
    assert_eq!(open(&home, 2).err().expect("refused").code(), "store.wrong-key");
    let path = home.path().join("slots/000000.keys");
    let whole = fs::read(&path).expect("read");
    for at in 2 * SLOT..3 * SLOT {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).expect("written");
        let (slots, damage) = open(&home, 1).expect("opened");
        let damage = damage.expect("damage");
        assert_eq!((damage.kind, damage.code()), (DamageKind::Slot { slot: 2 }, "store.bad-slot"));
        assert_eq!(slots.keys(2).err().expect("refused").code(), "store.bad-slot");
        assert!(slots.keys(1).expect("read").is_some());
    }
}

/// The keys of these generations.
fn keks(generations: &[u32]) -> BTreeMap<u32, DataKey> {
    generations.iter().map(|n| (*n, DataKey::new([u8::try_from(*n).expect("small"); 32]))).collect()
}

fn open_with(disk: &Disk, home: &TempDir, generations: &[u32]) -> Result<(Slots, u64, Option<Damage>), StoreFault> {
    Slots::open(disk, &home.path().join(FOLDER), keks(generations))
}

fn seen(home: &TempDir) -> SlotsSeen {
    look_at_slots(home.path()).expect("it can be told")
}

fn numbered(n: u32) -> RequestId {
    RequestId::new(std::array::from_fn(|at| n.to_be_bytes()[at % 4]))
}

/// Keys by slot and request.
type Kept = Vec<(u32, RequestId, ([u8; 32], [u8; 32]))>;

/// Slots under the first generation, so many in each of some files; every tenth is destroyed, and not told of.
fn fill(home: &TempDir, files: u32, each: u32) -> (Kept, Vec<(u32, RequestId)>) {
    let (slots, _, _) = open_with(&Disk::default(), home, &[1]).expect("opened");
    let (mut kept, mut erased) = (Kept::new(), Vec::new());
    for n in 0..files * each {
        if n % each == 0 && n > 0 {
            slots.state().next = n / each * SLOTS_PER_FILE;
        }
        let (slot, keys) = slots.ensure(numbered(n)).expect("allocated");
        kept.push((slot, numbered(n), exposed(&keys)));
    }
    slots.sync().expect("synced");
    for at in (0..kept.len()).rev().step_by(10) {
        let (slot, request, _) = kept.remove(at);
        slots.destroy(request).expect("destroyed");
        erased.push((slot, request));
    }
    (kept, erased)
}

#[track_caller]
fn check_all(slots: &Slots, (kept, erased): &(Kept, Vec<(u32, RequestId)>)) {
    for (slot, request, keys) in kept {
        let (at, found) = slots.ensure(*request).expect("it reads");
        assert_eq!((at, exposed(&found)), (*slot, *keys));
    }
    for (slot, request) in erased {
        assert!(slots.keys(*slot).expect("it reads").is_none(), "what is erased stays erased");
        assert_eq!(slots.ensure(*request).err().expect("refused").code(), "store.erased");
    }
}

/// [F-5]: hundreds of slots over three files are wrapped under the next generation, and open without the one before.
#[test]
fn everything_opens_after_a_turn_and_without_the_key_before() {
    let home = tempfile::tempdir().expect("folder");
    assert_eq!(seen(&home), SlotsSeen::default(), "there is nothing yet");
    let all = fill(&home, 3, 150);
    let live = |number| SlotsSeen { promised: number, live: [(number, all.0.len() as u64)].into() };
    assert_eq!(seen(&home), live(1));
    let copy = tempfile::tempdir().expect("folder");
    fs::create_dir(copy.path().join(FOLDER)).expect("made");
    for file in 0..3 {
        fs::copy(path_in(&home.path().join(FOLDER), file), path_in(&copy.path().join(FOLDER), file)).expect("copied");
    }

    let (slots, turned, damage) = open_with(&Disk::default(), &home, &[1, 2]).expect("opened");
    assert_eq!((turned, damage), (all.0.len() as u64, None));
    check_all(&slots, &all);
    assert_eq!(seen(&home), live(2));
    let (new, _) = slots.ensure(numbered(9_999)).expect("allocated");
    slots.sync().expect("synced");
    slots.destroy(numbered(9_999)).expect("destroyed");
    drop(slots);
    let (slots, turned, damage) = open_with(&Disk::default(), &home, &[2]).expect("opened without the old one");
    assert_eq!((turned, damage), (0, None));
    check_all(&slots, &all);
    assert!(slots.keys(new).expect("it reads").is_none());
    drop(slots);

    // A copy of the time before does not open with what is left, and is not changed by trying.
    let before = fs::read(path_in(&copy.path().join(FOLDER), 0)).expect("read");
    let fault = open_with(&Disk::default(), &copy, &[2]).err().expect("refused");
    assert!(matches!(&fault, StoreFault::KekGone { generation: 1, slots, .. } if *slots == all.0.len()), "{fault}");
    assert_eq!(fault.code(), "store.key-encryption-key-gone");
    assert_eq!(fs::read(path_in(&copy.path().join(FOLDER), 0)).expect("read"), before);

    // One old file among new ones is enough to be noticed, and is turned as long as its key is there.
    fs::copy(path_in(&copy.path().join(FOLDER), 1), path_in(&home.path().join(FOLDER), 1)).expect("put back");
    assert_eq!(seen(&home).live.len(), 2);
    assert_eq!(open_with(&Disk::default(), &home, &[2]).err().expect("refused").code(), fault.code());
    let (slots, turned, _) = open_with(&Disk::default(), &home, &[1, 2, 3]).expect("opened");
    assert_eq!(turned, all.0.len() as u64, "what two generations wrap");
    check_all(&slots, &all);
    assert_eq!(seen(&home), live(3));
    assert_eq!(open_with(&Disk::default(), &home, &[]).err().expect("refused").code(), "store.wrong-key");
}

/// [F-5]: the power goes at each operation of a turn; what was not synced is lost or not. Each slot is then under one
/// generation or the other, the next start goes on, and what is promised is on disk.
#[test]
fn a_turn_may_stop_anywhere() {
    for (operations, seed) in (0..).map(|n| (n / 2, n)) {
        let home = tempfile::tempdir().expect("folder");
        let all = fill(&home, 2, 12);
        let disk = Disk::default();
        disk.faults.stop_after(operations);
        let ended = open_with(&disk, &home, &[1, 2]).is_err();
        let mut state = seed * 7 + 3;
        disk.faults.lose_power(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 63 == 1
        });
        let left = seen(&home);
        assert_eq!(left.live.values().sum::<u64>(), all.0.len() as u64, "after {operations}");
        if left.promised == 2 {
            assert_eq!(left.live.keys().collect::<Vec<_>>(), [&2], "after {operations}: what is promised is kept");
        }
        let (slots, turned, damage) = open_with(&Disk::default(), &home, &[1, 2]).expect("opened");
        assert_eq!((turned, damage), (left.live.get(&1).copied().unwrap_or(0), None), "after {operations}");
        check_all(&slots, &all);
        drop(slots);
        check_all(&open_with(&Disk::default(), &home, &[2]).expect("opened").0, &all);
        if !ended {
            assert!(operations > 24, "a turn is many operations");
            break;
        }
    }
}

/// A failed sync leaves slots that read as new and are not on disk: nothing is promised before all were written again.
#[test]
fn a_turn_whose_sync_failed_is_written_again() {
    let home = tempfile::tempdir().expect("folder");
    let all = fill(&home, 3, 20);
    let disk = Disk::default();
    disk.faults.fail_syncs(true);
    let fault = open_with(&disk, &home, &[1, 2]).err().expect("the process ends");
    assert!(fault.is_fatal(), "{fault}");
    let left = seen(&home);
    assert_eq!((left.promised, left.live.keys().collect::<Vec<_>>()), (1, vec![&2]), "they only seem to be new");
    let disk = Disk::default();
    let (slots, turned, _) = open_with(&disk, &home, &[1, 2]).expect("opened");
    assert_eq!(turned, 0);
    check_all(&slots, &all);
    let first_file = |disk: &Disk| {
        let told = disk.faults.told();
        told.into_iter().filter_map(|done| done.strip_suffix(" 000000.keys").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(
        first_file(&disk),
        ["write", "write", "sync", "write", "sync"],
        "all of it in two pieces, then the promise"
    );
    assert_eq!(seen(&home).promised, 2);
    let disk = Disk::default();
    drop(open_with(&disk, &home, &[1, 2]).expect("opened"));
    assert_eq!(first_file(&disk), ["sync"], "from then on only the last ones are written again");
}

#[test]
fn a_changed_generation_is_found() {
    let home = tempfile::tempdir().expect("folder");
    let all = fill(&home, 1, 5);
    let path = path_in(&home.path().join(FOLDER), 0);
    let whole = fs::read(&path).expect("read");
    let number = all.0[1].0 as usize;
    let changed = |generation: &[u8], checksum: bool| {
        let mut bytes = whole.clone();
        let slot = &mut bytes[number * SLOT..][..SLOT];
        slot[GENERATION].copy_from_slice(generation);
        if checksum {
            let crc = crc32c::crc32c(&slot[..CRC]).to_le_bytes();
            slot[CRC..].copy_from_slice(&crc);
        }
        fs::write(&path, bytes).expect("written");
    };
    for bit in 0..32 {
        changed(&(1_u32 ^ (1 << bit)).to_le_bytes(), false);
        for generations in [&[1][..], &[1, 2]] {
            let (slots, turned, damage) = open_with(&Disk::default(), &home, generations).expect("opened");
            assert_eq!((turned, damage.expect("found").code()), (0, "store.bad-slot"), "bit {bit}");
            let read = all.0.iter().filter(|(slot, _, _)| slots.keys(*slot).is_ok()).count();
            assert_eq!(read, all.0.len() - 1, "the others read");
        }
        assert_eq!(look_at_slots(home.path()).expect_err("refused").code(), "store.bad-slot");
    }
    // Whoever fits the checksum to it does not fit the wrapping.
    let code = |generation: u32, generations: &[u32]| {
        changed(&generation.to_le_bytes(), true);
        match open_with(&Disk::default(), &home, generations) {
            Err(fault) => fault.code(),
            Ok((_, _, damage)) => damage.expect("found").code(),
        }
    };
    assert_eq!(code(0, &[1]), "store.bad-slot");
    assert_eq!(code(2, &[1]), "store.key-encryption-key-gone");
    assert_eq!(code(2, &[1, 2]), "store.wrong-key");
    assert_eq!(code(7, &[1, 2]), "store.key-encryption-key-gone");
}
