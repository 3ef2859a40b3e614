//! Tests of the vault: what is taken in comes out, what is received goes on after a kill, and whatever
//! changes at rest is found and named.

use std::{collections::BTreeMap, fs, io::Read as _};

use comity_core::object::{HEADER, chunk_offset, header, object_size};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    pack::{FRAME, frame},
    *,
};

const REQUEST: RequestId = RequestId::new([5; 16]);
const DELIVERY: EventId = EventId::new([6; 32]);

fn content_key(request: &RequestId) -> Option<DataKey> {
    (*request == REQUEST).then(|| DataKey::new([9; 32]))
}

struct Home {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Home {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("runtime");
        Self { folder: tempfile::tempdir().expect("folder"), runtime }
    }

    fn open(&self) -> (Vault, VaultOpened) {
        self.open_on(&Disk::default())
    }

    fn open_on(&self, disk: &Disk) -> (Vault, VaultOpened) {
        let path = self.folder.path().join("vault");
        Vault::open_on(disk, &path, Arc::new(content_key), self.runtime.handle().clone()).expect("opened")
    }

    /// All files below `objects/`.
    fn packs(&self) -> Vec<PathBuf> {
        let shelves = fs::read_dir(self.folder.path().join("vault/objects")).expect("read");
        let packs = shelves.flat_map(|shelf| fs::read_dir(shelf.expect("entry").path()).expect("read"));
        packs.map(|pack| pack.expect("entry").path()).collect()
    }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u64).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

/// Takes pieces of plaintext in and seals them with a manifest.
fn put(vault: &Vault, all: &[Vec<u8>]) -> (Vec<Sealed>, Sealed) {
    let mut intake = vault.begin(REQUEST).expect("begun");
    let put = |plain: &Vec<u8>| {
        let mut item = intake.open().expect("opened");
        plain.chunks(70_000).for_each(|piece| item.write(piece).expect("written"));
        item.finish().expect("finished")
    };
    let sealed = all.iter().map(put).collect();
    (sealed, intake.seal(b"the list").expect("sealed"))
}

fn plain(vault: &Vault, item: &ItemId) -> Vec<u8> {
    vault.plain(item).expect("held").read_whole().expect("opens")
}

#[test]
fn what_is_taken_in_comes_out_also_after_a_restart() {
    let home = Home::new();
    let (vault, opened) = home.open();
    assert_eq!(opened, VaultOpened { held: 0, swept: 0 });
    let sizes = [0, 1, 65_535, 65_536, 65_537, 300_000];
    let all: Vec<Vec<u8>> = sizes.iter().map(|size| bytes(*size, 1)).collect();
    let (sealed, manifest) = put(&vault, &all);
    let check = |vault: &Vault| {
        for (sealed, plain_bytes) in sealed.iter().zip(&all) {
            assert_eq!((sealed.size, sealed.sha256), (plain_bytes.len() as u64, sha256(plain_bytes)));
            assert_eq!(plain(vault, &sealed.item), *plain_bytes);
            vault.verify(&sealed.item, &sealed.sha256).expect("whole");
        }
        assert_eq!(vault.read_manifest(&manifest.item).expect("reads"), b"the list");
        assert_eq!(vault.manifests(&REQUEST), [manifest.item]);
    };
    check(&vault);
    assert_eq!(home.packs().len(), 2, "one pack and its hashes");
    drop(vault);
    let (vault, opened) = home.open();
    assert_eq!(opened, VaultOpened { held: sizes.len() + 1, swept: 0 });
    check(&vault);
}

#[test]
fn a_range_opens_alone() {
    let home = Home::new();
    let (vault, _) = home.open();
    let all = bytes(200_000, 2);
    let (sealed, _) = put(&vault, std::slice::from_ref(&all));
    let mut reader = vault.plain(&sealed[0].item).expect("held");
    for at in [0, 65_535, 65_536, 150_000, 199_999] {
        reader.seek(at as u64);
        let mut piece = vec![0; 100.min(all.len() - at)];
        reader.read_exact(&mut piece).expect("reads");
        assert_eq!(piece, all[at..at + piece.len()], "{at}");
    }
}

#[test]
fn thousands_of_small_files_share_a_pack() {
    let home = Home::new();
    let (vault, _) = home.open();
    let all: Vec<Vec<u8>> = (0..3_000).map(|n| bytes(n % 900, 3)).collect();
    let (sealed, _) = put(&vault, &all);
    assert_eq!(home.packs().len(), 2);
    for place in [0, 1, 1_499, 2_999] {
        assert_eq!(plain(&vault, &sealed[place].item), all[place]);
    }
}

#[test]
fn what_was_not_sealed_is_gone_after_a_restart() {
    let home = Home::new();
    let (vault, _) = home.open();
    let mut intake = vault.begin(REQUEST).expect("begun");
    let mut item = intake.open().expect("opened");
    item.write(&bytes(100_000, 4)).expect("written");
    drop(item);
    let mut item = intake.open().expect("opened");
    item.write(b"second").expect("written");
    item.finish().expect("finished");
    // As a kill would: nothing of the intake's own end runs.
    std::mem::forget(intake);
    let partial = || fs::read_dir(home.folder.path().join("vault/partial")).expect("read").count();
    assert_eq!(partial(), 2);
    drop(vault);
    let (_, opened) = home.open();
    assert_eq!((opened.held, partial()), (0, 0));
}

/// Items whose manifest's slot never came: a kill between the two.
#[test]
fn items_without_their_manifest_do_not_count() {
    let home = Home::new();
    let (vault, _) = home.open();
    let (sealed, manifest) = put(&vault, &[bytes(10, 5), bytes(20, 6)]);
    drop(vault);
    let path = home.folder.path().join("vault/keys/000000.items");
    let mut slots = fs::read(&path).expect("read");
    slots[2 * 256..3 * 256].fill(0);
    fs::write(&path, slots).expect("written");
    let (vault, opened) = home.open();
    assert_eq!(opened, VaultOpened { held: 0, swept: 2 });
    assert!(!vault.holds(&sealed[0].item) && !vault.holds(&manifest.item));
    assert_eq!(home.packs().len(), 0, "and their pack is gone");
}

#[test]
fn a_destroyed_item_opens_for_nobody() {
    let home = Home::new();
    let (vault, _) = home.open();
    let (sealed, _) = put(&vault, &[bytes(10, 7), bytes(20, 8)]);
    vault.destroy(&sealed[0].item).expect("destroyed");
    vault.destroy(&sealed[0].item).expect("and once more");
    assert_eq!(vault.key(&sealed[0].item).err().expect("gone").code(), "evidence.not-held");
    drop(vault);
    let (vault, _) = home.open();
    assert!(!vault.holds(&sealed[0].item) && vault.holds(&sealed[1].item));
    assert_eq!(plain(&vault, &sealed[1].item), bytes(20, 8));
    let slots = fs::read(home.folder.path().join("vault/keys/000000.items")).expect("read");
    assert_eq!(slots[108..168], [0; 60], "its wrapped key is overwritten");
}

/// [F-10]: of an erased request neither key nor bytes nor sizes stay, and of others everything does.
#[test]
fn all_of_a_request_goes_and_nothing_of_another() {
    let home = Home::new();
    let (vault, _) = home.open();
    let (sealed, manifest) = put(&vault, &[bytes(10, 7), bytes(70_000, 8)]);
    let given = given(&[5_000, 6_000]);
    expect(&vault, &given);
    let mut under_way = receiver(&vault, &given);
    under_way.begin(&given[0].item).expect("begun");
    under_way.write(&given[0].object, None).expect("written");
    under_way.close().expect("closed");
    let partial = || fs::read_dir(home.folder.path().join("vault/partial")).expect("read").count();
    vault.erase(&RequestId::new([1; 16]), &|_| true).expect("there is nothing of it");
    assert!(vault.holds(&sealed[0].item) && partial() > 0 && home.packs().len() == 2);
    vault.erase(&REQUEST, &|delivery| *delivery != DELIVERY).expect("erased");
    vault.erase(&REQUEST, &|delivery| *delivery != DELIVERY).expect("and once more");
    let check = |vault: &Vault| {
        for item in sealed.iter().map(|one| one.item).chain(given.iter().map(|one| one.item)).chain([manifest.item]) {
            assert!(!vault.holds(&item));
            assert_eq!(vault.key(&item).err().expect("gone").code(), "evidence.not-held");
        }
        assert!(vault.manifests(&REQUEST).is_empty());
        assert_eq!((home.packs().len(), partial()), (0, 0));
        let slots = fs::read(home.folder.path().join("vault/keys/000000.items")).expect("read");
        for slot in slots.chunks(256).take_while(|slot| slot[0] != 0) {
            assert!(slot[36..252].iter().all(|byte| *byte == 0), "no place, size, root or key");
        }
    };
    check(&vault);
    drop(vault);
    check(&home.open().0);
}

#[test]
fn without_the_content_key_nothing_opens() {
    let home = Home::new();
    let (vault, _) = home.open();
    let (sealed, _) = put(&vault, &[bytes(10, 9)]);
    assert_eq!(vault.begin(RequestId::new([1; 16])).err().expect("refused").code(), "evidence.no-content-key");
    drop(vault);
    let path = home.folder.path().join("vault");
    let (vault, _) = Vault::open(&path, Arc::new(|_| None), home.runtime.handle().clone()).expect("opened");
    assert_eq!(vault.plain(&sealed[0].item).err().expect("closed").code(), "evidence.no-content-key");
}

/// Every byte of what rests: changed, it is found and named, in the object, its frame, its hashes, its slot.
#[test]
fn a_changed_byte_at_rest_is_found_and_named() {
    let home = Home::new();
    let (vault, _) = home.open();
    let (sealed, _) = put(&vault, &[bytes(40_000, 10)]);
    let item = sealed[0].item;
    let verdict = |vault: &Vault| vault.verify(&item, &sealed[0].sha256).map_err(|fault| fault.code());
    assert_eq!(verdict(&vault), Ok(()));
    assert_eq!(vault.verify(&item, &sha256(b"other")).err().map(|fault| fault.code()), Some("evidence.wrong-digest"));
    let packs = home.packs();
    let pack = packs.iter().find(|path| path.extension().is_none()).expect("a pack");
    let hashes = packs.iter().find(|path| path.extension().is_some()).expect("its hashes");
    let object = object_size(40_000).expect("small");
    let at = |offset: u64| FRAME as u64 + offset;
    let places = [
        (pack, 9, "evidence.bad-frame"),
        (pack, 17, "evidence.bad-frame"),
        (pack, at(0), "object.bad-header"),
        (pack, at(20), "object.other-item"),
        (pack, at(50), "object.wrong-key"),
        (pack, at(chunk_offset(0)), "object.bad-chunk"),
        (pack, at(object - 1), "object.bad-chunk"),
        (hashes, 0, "evidence.bad-hashes"),
        (hashes, 70, "evidence.bad-hashes"),
    ];
    for (path, place, code) in places {
        let whole = fs::read(path).expect("read");
        let mut changed = whole.clone();
        changed[usize::try_from(place).expect("small")] ^= 0x40;
        fs::write(path, &changed).expect("written");
        assert_eq!(verdict(&vault), Err(code), "{place}");
        fs::write(path, &whole).expect("restored");
    }
    fs::write(pack, &fs::read(pack).expect("read")[..200]).expect("cut");
    assert!(verdict(&vault).is_err());
    drop(vault);
    let slots = home.folder.path().join("vault/keys/000000.items");
    let whole = fs::read(&slots).expect("read");
    for place in (0..256).step_by(7) {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&slots, changed).expect("written");
        let path = home.folder.path().join("vault");
        let opened = Vault::open(&path, Arc::new(content_key), home.runtime.handle().clone());
        assert_eq!(opened.err().expect("refused").code(), "evidence.bad-slot", "{place}");
    }
}

/// Objects of a giver: sealed bytes, key, root and digest.
struct Given {
    item: ItemId,
    key: ItemKey,
    object: Vec<u8>,
    root: Digest,
    sha256: Digest,
}

fn given(sizes: &[usize]) -> Vec<Given> {
    let home = Home::new();
    let (vault, _) = home.open();
    let all: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| bytes(*size, n.to_le_bytes()[0])).collect();
    let (sealed, _) = put(&vault, &all);
    let give = |sealed: &Sealed| {
        let stored = vault.object(&sealed.item).expect("held");
        let mut object = vec![0; usize::try_from(stored.size()).expect("small")];
        let mut read = 0;
        while read < object.len() {
            read += stored.read_at(read as u64, &mut object[read..]).expect("reads");
        }
        let key = vault.key(&sealed.item).expect("key");
        Given { item: sealed.item, key, object, root: sealed.root, sha256: sealed.sha256 }
    };
    sealed.iter().map(give).collect()
}

fn expect(vault: &Vault, given: &[Given]) {
    let expected = |one: &Given| Expected {
        item: one.item,
        key: one.key.clone(),
        size: one.object.len() as u64,
        root: one.root,
        kind: ItemKind::Item,
    };
    vault.expect(REQUEST, &given.iter().map(expected).collect::<Vec<_>>()).expect("kept");
}

fn receiver(vault: &Vault, given: &[Given]) -> Receiver {
    let digests: BTreeMap<ItemId, Digest> = given.iter().map(|one| (one.item, one.sha256)).collect();
    vault.receiver(&DELIVERY, 0, &|item| digests.get(item).copied()).expect("opened")
}

#[test]
fn what_is_received_rests_as_it_was_sealed() {
    let given = given(&[0, 100, 70_000, 400_000]);
    let home = Home::new();
    let (vault, _) = home.open();
    expect(&vault, &given);
    let mut receiver = receiver(&vault, &given);
    for one in &given {
        assert!(!vault.holds(&one.item));
        receiver.begin(&one.item).expect("begun");
        one.object.chunks(16_384).for_each(|group| receiver.write(group, None).expect("written"));
        receiver.finish(&one.sha256).expect("whole");
    }
    assert_eq!(receiver.whole().count(), given.len());
    receiver.close().expect("closed");
    drop(vault);
    let (vault, opened) = home.open();
    assert_eq!(opened.held, given.len());
    given.iter().for_each(|one| vault.verify(&one.item, &one.sha256).expect("whole"));
}

/// Killed at any place: what was written is found again, less than a chunk of it is lost, and it goes on.
#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    let given = given(&[500, 60_000, 300_000]);
    let whole: Vec<u8> = given
        .iter()
        .flat_map(|one| [&frame(&one.item, one.object.len() as u64)[..], &one.object[..]].concat())
        .collect();
    for cut in (0..whole.len()).step_by(20_011).chain([63, 64, 65, whole.len() - 1, whole.len()]) {
        let home = Home::new();
        let (vault, _) = home.open();
        expect(&vault, &given);
        let name = home.folder.path().join(format!("vault/partial/{DELIVERY}-0.pack"));
        fs::write(&name, &whole[..cut]).expect("written");
        fs::write(name.with_extension("hashes"), b"whatever was there").expect("written");
        let mut receiver = receiver(&vault, &given);
        let found: usize = given
            .iter()
            .filter(|one| receiver.whole().any(|item| item == one.item))
            .map(|one| one.object.len() + FRAME)
            .sum();
        let found = found
            + receiver.unfinished().map_or(0, |item| usize::try_from(receiver.offset(&item)).expect("small") + FRAME);
        assert!(found <= cut && cut - found < 65_552 + HEADER, "{cut}: {found}");
        let missing: Vec<&Given> = given.iter().filter(|one| !receiver.whole().any(|item| item == one.item)).collect();
        let (first, rest): (Vec<&Given>, Vec<&Given>) =
            missing.into_iter().partition(|one| receiver.unfinished() == Some(one.item));
        for one in first.into_iter().chain(rest) {
            let offset = usize::try_from(receiver.offset(&one.item)).expect("small");
            receiver.begin(&one.item).expect("begun");
            one.object[offset..].chunks(16_384).for_each(|group| receiver.write(group, None).expect("written"));
            receiver.finish(&one.sha256).expect("whole");
        }
        receiver.close().expect("closed");
        given.iter().for_each(|one| vault.verify(&one.item, &one.sha256).expect("whole"));
    }
}

/// What a power cut made of the bytes is not believed.
#[test]
fn garbage_in_a_partial_pack_is_fetched_again() {
    let given = given(&[200_000]);
    let one = &given[0];
    let mut left = [&frame(&one.item, one.object.len() as u64)[..], &one.object[..]].concat();
    left[FRAME + 70_000] ^= 1;
    let home = Home::new();
    let (vault, _) = home.open();
    expect(&vault, &given);
    fs::write(home.folder.path().join(format!("vault/partial/{DELIVERY}-0.pack")), left).expect("written");
    let receiver = receiver(&vault, &given);
    assert_eq!(receiver.offset(&one.item), chunk_offset(1), "the first chunk holds, the second does not");
}

#[test]
fn what_is_not_what_was_signed_is_not_kept() {
    let given = given(&[100_000, 100_000]);
    let (home, [one, two]) = (Home::new(), [&given[0], &given[1]]);
    let (vault, _) = home.open();
    expect(&vault, &given);
    let mut receiver = receiver(&vault, &given);
    let mut take = |one: &Given, object: &[u8], sha256: &Digest| {
        receiver.begin(&one.item)?;
        receiver.write(object, None)?;
        receiver.finish(sha256)
    };
    let code = |taken: Result<(), VaultFault>| taken.err().map(|fault| fault.code());
    assert_eq!(code(take(one, &one.object, &two.sha256)), Some("evidence.wrong-digest"));
    let longer = [&one.object[..], b"x"].concat();
    assert_eq!(code(take(one, &longer, &one.sha256)), Some("evidence.too-long"));
    drop(receiver);
    let mut receiver = self::receiver(&vault, &given);
    assert!(receiver.whole().any(|item| item == one.item), "its bytes lay there, and they are what was signed");
    receiver.begin(&two.item).expect("begun");
    assert_eq!(code(receiver.begin(&one.item)), Some("evidence.not-held"), "nothing else before it is whole");
    assert_eq!(code(receiver.write(&one.object, None)), Some("object.other-item"));
}

/// Ten tebibytes: header, a chunk in the middle and the last one are there, the rest is a hole.
#[test]
fn sizes_are_counted_in_64_bits() {
    use std::os::unix::fs::FileExt as _;
    const PLAIN: u64 = (10 << 40) + 5;
    let home = Home::new();
    let (vault, _) = home.open();
    let (item, key) = (ItemId::new([3; 16]), ItemKey::new([4; 32]));
    let size = object_size(PLAIN).expect("fits");
    let row = Row {
        request: REQUEST,
        kind: ItemKind::Item,
        state: SlotState::Held,
        pack: PackId([1; 16]),
        offset: 0,
        hashes: 0,
        size,
        root: Digest::new([0; 32]),
        batch: catalogue::NO_BATCH,
    };
    let path = home.folder.path().join("vault/objects/01/010101010101010101010101010101");
    fs::create_dir_all(path.parent().expect("shelf")).expect("made");
    let pack = fs::File::create(&path).expect("made");
    pack.write_all_at(&frame(&item, size), 0).expect("written");
    pack.write_all_at(&header(&item, &key), FRAME as u64).expect("written");
    let last = comity_core::object::chunks(PLAIN) - 1;
    for (index, plain, is_last) in [(last / 2, vec![7; 65_536], false), (last, vec![8; 5], true)] {
        let sealed = comity_core::object::seal_chunk(&item, &key, index, is_last, &plain);
        pack.write_all_at(&sealed, FRAME as u64 + chunk_offset(index)).expect("written");
    }
    assert_eq!(pack.metadata().expect("facts").len(), FRAME as u64 + size);
    vault.0.catalogue.add(&[(item, row, &key)]).expect("kept");
    let mut reader = vault.plain(&item).expect("held");
    assert_eq!(reader.size(), PLAIN);
    for (at, expected) in [(PLAIN - 5, vec![8; 5]), (last / 2 * 65_536 + 10, vec![7; 100])] {
        reader.seek(at);
        let mut piece = vec![0; expected.len()];
        reader.read_exact(&mut piece).expect("reads");
        assert_eq!(piece, expected);
    }
    reader.seek(0);
    assert!(reader.read(&mut [0; 10]).is_err(), "a hole is no chunk");
}

#[test]
fn a_full_disk_refuses_and_keeps_what_is_there() {
    let home = Home::new();
    let disk = Disk::default();
    let (vault, _) = home.open_on(&disk);
    let (sealed, _) = put(&vault, &[bytes(1_000, 1)]);
    disk.faults.set_space(Some(100_000));
    let mut intake = vault.begin(REQUEST).expect("begun");
    let mut item = intake.open().expect("opened");
    let refused = bytes(400_000, 2).chunks(70_000).find_map(|piece| item.write(piece).err());
    assert_eq!(refused.expect("refused").code(), "evidence.disk-full");
    drop(item);
    drop(intake);
    disk.faults.set_space(None);
    let (more, _) = put(&vault, &[bytes(400_000, 3)]);
    assert_eq!(plain(&vault, &sealed[0].item), bytes(1_000, 1));
    assert_eq!(plain(&vault, &more[0].item), bytes(400_000, 3));
    assert!(vault.has_room(1 << 60).is_err() && vault.has_room(0).is_ok());
}

/// What one receiver thought it had is not believed after the disk refused; what lies there is, and it goes on.
#[test]
fn a_full_disk_stops_a_receiver_and_another_goes_on() {
    let given = given(&[60_000, 400_000]);
    let home = Home::new();
    let disk = Disk::default();
    let (vault, _) = home.open_on(&disk);
    expect(&vault, &given);
    let take = |receiver: &mut Receiver, one: &Given| {
        receiver.begin(&one.item)?;
        let offset = usize::try_from(receiver.offset(&one.item)).expect("small");
        one.object[offset..].chunks(16_384).try_for_each(|group| receiver.write(group, None))?;
        receiver.finish(&one.sha256)
    };
    let mut first = receiver(&vault, &given);
    take(&mut first, &given[0]).expect("there is room");
    disk.faults.set_space(Some(300_000));
    assert_eq!(take(&mut first, &given[1]).expect_err("refused").code(), "evidence.disk-full");
    drop(first);
    disk.faults.set_space(None);
    let mut second = receiver(&vault, &given);
    assert!(second.whole().eq([given[0].item]) && second.offset(&given[1].item) > 100_000, "most of it is found");
    take(&mut second, &given[1]).expect("taken");
    second.close().expect("closed");
    given.iter().for_each(|one| vault.verify(&one.item, &one.sha256).expect("whole"));
}

/// After a failed sync nothing counts as here; what lies on disk is found by the next receiver.
#[test]
fn a_failing_sync_of_what_was_received_promises_nothing() {
    let given = given(&[90_000]);
    let home = Home::new();
    let disk = Disk::default();
    let (vault, _) = home.open_on(&disk);
    expect(&vault, &given);
    let mut first = receiver(&vault, &given);
    first.begin(&given[0].item).expect("begun");
    given[0].object.chunks(16_384).for_each(|group| first.write(group, None).expect("written"));
    first.finish(&given[0].sha256).expect("whole");
    disk.faults.fail_syncs(true);
    assert_eq!(first.close().expect_err("refused").code(), "evidence.write-failed");
    disk.faults.fail_syncs(false);
    assert_eq!(first.whole().count(), 0);
    first.close().expect("nothing is left to put away");
    assert!(!vault.holds(&given[0].item));
    drop(first);
    let mut second = receiver(&vault, &given);
    assert!(second.whole().eq([given[0].item]));
    second.close().expect("closed");
    vault.verify(&given[0].item, &given[0].sha256).expect("whole");
}

/// A lot goes on after a file the disk did not take.
#[test]
fn a_lot_goes_on_without_the_file_that_was_refused() {
    let home = Home::new();
    let disk = Disk::default();
    let (vault, _) = home.open_on(&disk);
    let mut intake = vault.begin(REQUEST).expect("begun");
    let mut put = |plain: &[u8]| {
        let mut item = intake.open()?;
        plain.chunks(70_000).try_for_each(|piece| item.write(piece))?;
        item.finish()
    };
    let before = put(&bytes(1_000, 1)).expect("taken");
    disk.faults.set_space(Some(100_000));
    assert_eq!(put(&bytes(400_000, 2)).expect_err("refused").code(), "evidence.disk-full");
    disk.faults.set_space(None);
    let after = put(&bytes(90_000, 3)).expect("taken");
    intake.seal(b"list").expect("sealed");
    assert_eq!(plain(&vault, &before.item), bytes(1_000, 1));
    assert_eq!(plain(&vault, &after.item), bytes(90_000, 3));
}

#[test]
fn a_failing_sync_promises_nothing() {
    let home = Home::new();
    let disk = Disk::default();
    let (vault, _) = home.open_on(&disk);
    let mut intake = vault.begin(REQUEST).expect("begun");
    let mut item = intake.open().expect("opened");
    item.write(b"x").expect("written");
    let item = item.finish().expect("finished").item;
    disk.faults.fail_syncs(true);
    assert_eq!(intake.seal(b"list").expect_err("refused").code(), "evidence.write-failed");
    disk.faults.fail_syncs(false);
    assert!(!vault.holds(&item));
    drop(vault);
    assert_eq!(home.open().1.held, 0);
}
