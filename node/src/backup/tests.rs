use std::fs;

use comity_core::ids::{NetworkName, PartyCode};
use comity_core::proto::Backup;
use tempfile::TempDir;

use super::{
    chain::{Chain, PIECE, Secret},
    *,
};
use crate::keys::{Passphrase, Purpose, RecoveryKey};

fn passphrase() -> Passphrase {
    Passphrase::new(Zeroizing::new("correct horse battery staple".to_owned()), Purpose::Open).expect("usable")
}

fn recovery(home: &TempDir, name: &str) -> RecoveryKey {
    RecoveryKey::create(&home.path().join(name), &passphrase()).expect("made")
}

fn node(generation: u32, key: u8) -> NodeKey {
    NodeKey::of(generation, &DataKey::new([key; 32]))
}

fn made(disk: &Disk, home: &TempDir, recipients: &[&RecoveryKey]) -> Chain {
    let recipients = recipients.iter().map(|key| (key.public().id(), key.public().clone())).collect();
    let head = BackupChain {
        party: "XA".to_owned(),
        network: "test.comity.test".to_owned(),
        chain: vec![7; 16],
        made_ms: 5,
        ..BackupChain::default()
    };
    let secret = Secret(DataKey::new([9; 32]));
    Chain::make(disk, home.path(), head, &recipients, (&secret, &node(1, 1))).expect("made")
}

fn list(number: u64) -> Backup {
    Backup { version: 1, number, root: vec![3; 32], ..Backup::default() }
}

/// each recipient alone opens it, beside the node's keys of that time; nobody else, and nothing less.
#[test]
fn opening_takes_a_recovery_key_and_the_nodes_own() {
    let home = tempfile::tempdir().expect("folder");
    let [one, two, stranger] = ["one", "two", "stranger"].map(|name| recovery(&home, name));
    let chain = made(&Disk::default(), &home, &[&one, &two]);
    chain.put_list(&list(1)).expect("written");
    let (name, _) = chain.put(b"content").expect("written");
    let held = |generation: u32| (generation == 1).then(|| node(1, 1));
    for key in [&one, &two] {
        let opened = Chain::recover(&chain.folder, key, &held).expect("opens");
        assert_eq!(
            (opened.list(1).expect("reads"), &opened.get(&name).expect("reads")[..]),
            (list(1), &b"content"[..])
        );
    }
    let code = |key: &RecoveryKey, held: &dyn Fn(u32) -> Option<NodeKey>| {
        let opened = Chain::recover(&chain.folder, key, held).and_then(|chain| chain.list(1));
        opened.err().map(|fault| fault.code())
    };
    assert_eq!(code(&stranger, &held), Some("backup.not-a-recipient"));
    assert_eq!(code(&one, &|_| None), Some("backup.dead"));
    assert_eq!(code(&one, &|generation| Some(node(generation, 2))), Some("backup.wrong-keys"));
    assert_eq!(code(&one, &held), None);
}

/// the same content is one piece, also in the next backup, and any size comes back.
#[test]
fn pieces_are_written_once_and_come_back() {
    let home = tempfile::tempdir().expect("folder");
    let [one, two] = ["one", "two"].map(|name| recovery(&home, name));
    let chain = made(&Disk::default(), &home, &[&one, &two]);
    for size in [0, 1, 65_535, 65_536, 65_537, PIECE - 1, PIECE] {
        let plain: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let (name, written) = chain.put(&plain).expect("written");
        assert!(written > size as u64);
        assert_eq!(chain.put(&plain).expect("there"), (name, 0));
        assert_eq!(*chain.get(&name).expect("reads"), plain);
        let sealed = fs::read(chain.path(&name)).expect("reads");
        assert!(plain.len() < 64 || !sealed.windows(64).any(|window| window == &plain[..64]), "nothing is readable");
    }
}

/// A chain that was begun and has no backup yet does not hide the one before it.
#[test]
fn the_newest_backup_is_found_behind_a_chain_without_one() {
    let home = tempfile::tempdir().expect("folder");
    let [one, two] = ["one", "two"].map(|name| recovery(&home, name));
    let root = home.path().join("root");
    fs::create_dir(&root).expect("made");
    let recipients = [&one, &two].map(|key| (key.public().id(), key.public().clone())).into();
    for made_ms in [5, 6] {
        let head = BackupChain { chain: vec![made_ms; 16], made_ms: made_ms.into(), ..BackupChain::default() };
        let secret = Secret(DataKey::new([made_ms; 32]));
        let chain = Chain::make(&Disk::default(), &root, head, &recipients, (&secret, &node(1, 1))).expect("made");
        if made_ms == 5 {
            chain.put_list(&list(1)).expect("written");
        }
    }
    let held = |_: u32| Some(node(1, 1));
    assert_eq!(verify(&root, None, &one, &held).expect("found").number, 1);
    assert_eq!(verify(&root, Some(2), &one, &held).expect_err("none").code(), "backup.none");
}

/// Whatever is changed, cut off or exchanged in a folder of backups is found and named.
#[test]
fn every_change_is_found() {
    let home = tempfile::tempdir().expect("folder");
    let [one, two] = ["one", "two"].map(|name| recovery(&home, name));
    let chain = made(&Disk::default(), &home, &[&one, &two]);
    let names = [&b"first content"[..], &b"other content"[..]].map(|plain| chain.put(plain).expect("written").0);
    let list = chain.put_list(&list(1)).expect("written");
    let paths = names.map(|name| chain.path(&name));
    let held = |_: u32| Some(node(1, 1));
    let reads = || -> Result<(), BackupFault> {
        for key in [&one, &two] {
            let opened = Chain::recover(&chain.folder, key, &held)?;
            opened.list(1)?;
            names.iter().try_for_each(|name| opened.get(name).map(drop))?;
        }
        Ok(())
    };
    reads().expect("all of it reads");
    for path in [&paths[0], &list, &chain.folder.join("chain")] {
        let whole = fs::read(path).expect("reads");
        for at in (0..whole.len()).step_by(whole.len().div_ceil(97)) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(path, changed).expect("written");
            assert!(reads().is_err(), "byte {at} of {}", path.display());
        }
        fs::write(path, &whole[..whole.len() - 1]).expect("written");
        assert_eq!(reads().expect_err("cut off").code(), "backup.damaged");
        fs::remove_file(path).expect("removed");
        assert_eq!(reads().expect_err("missing").code(), "backup.damaged");
        fs::write(path, whole).expect("written");
    }
    fs::copy(&paths[1], &paths[0]).expect("exchanged");
    assert_eq!(reads().expect_err("another's").code(), "backup.damaged");
}

/// A disk that is full or fails leaves no half file, and the next try goes through.
#[test]
fn a_full_backup_disk_leaves_nothing_half() {
    let home = tempfile::tempdir().expect("folder");
    let [one, two] = ["one", "two"].map(|name| recovery(&home, name));
    let disk = Disk::default();
    let chain = made(&disk, &home, &[&one, &two]);
    disk.faults.set_space(Some(100));
    assert_eq!(chain.put(&[1; 5000]).expect_err("no room").code(), "backup.disk");
    disk.faults.set_space(None);
    disk.faults.fail_syncs(true);
    assert_eq!(chain.put(&[1; 5000]).expect_err("no sync").code(), "backup.disk");
    assert_eq!(chain.put_list(&list(1)).expect_err("no sync").code(), "backup.disk");
    assert_eq!(chain.numbers().expect("listed"), [0; 0]);
    disk.faults.fail_syncs(false);
    let (name, _) = chain.put(&[1; 5000]).expect("written");
    chain.put_list(&list(1)).expect("written");
    assert_eq!((chain.get(&name).expect("reads").len(), chain.numbers().expect("listed")), (5000, vec![1]));
}

#[test]
fn recipients_are_two_different_keys_at_least() {
    let home = tempfile::tempdir().expect("folder");
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let [one, two] = ["one", "two"].map(|name| recipient_text(recovery(&home, name).public()));
    let paths = [file("one.pub", &one), file("again.pub", &one), file("two.pub", &two)];
    let code = |paths: &[PathBuf]| recipient::read_all(paths).err().map(|fault| fault.code());
    assert_eq!(code(&[]), Some("backup.too-few-recipients"));
    assert_eq!(code(&paths[..2]), Some("backup.too-few-recipients"));
    assert_eq!(code(&paths), None);
    for bad in
        ["", "schema = 1", &one.replace("recovery-key/v1", "holder-key/v1"), &one.replace("19 = \"", "19 = \"00")]
    {
        assert_eq!(code(&[paths[0].clone(), file("bad.pub", bad)]), Some("backup.bad-recipient"), "{bad}");
    }
    assert_eq!(code(&[home.path().join("none.pub")]), Some("backup.bad-recipient"));
}

fn erased_at(n: u8) -> Erased {
    Erased {
        request: RequestId::new([n; 16]),
        ground: "court-order".to_owned(),
        begun: Time(1_760_000_000_000 + u64::from(n)),
    }
}

/// the list only grows, is whole after any fault, and is of one Party.
#[test]
fn the_list_of_erasures_is_whole_or_refused() {
    let home = tempfile::tempdir().expect("folder");
    let path = home.path().join("erasures");
    let (party, network) =
        (PartyCode::parse("XA").expect("a code"), NetworkName::parse("test.comity.test").expect("a name"));
    let disk = Disk::default();
    let list = ErasureList::on(&disk, &path, &party, &network);
    assert_eq!(list.read().expect("none yet"), None);
    assert_eq!(list.complete(false, || Ok(vec![])).expect("made"), []);
    assert_eq!(
        list.complete(false, || Ok(vec![erased_at(2), erased_at(1)])).expect("added"),
        [erased_at(1), erased_at(2)]
    );
    disk.faults.fail_syncs(true);
    assert_eq!(list.complete(false, || Ok(vec![erased_at(3)])).expect_err("no sync").code(), "backup.disk");
    disk.faults.fail_syncs(false);
    assert_eq!(list.read().expect("as before"), Some(vec![erased_at(1), erased_at(2)]));
    assert_eq!(list.complete(false, || Ok(vec![erased_at(1), erased_at(3)])).expect("added").len(), 3);
    let gone = ErasureList::on(&disk, &home.path().join("not-mounted"), &party, &network);
    assert_eq!(gone.complete(true, || Ok(vec![])).expect_err("was there").code(), "backup.no-erasure-list");
    let threads = list.clone();
    std::thread::scope(|scope| {
        for n in 10..14 {
            let list = threads.clone();
            scope.spawn(move || list.complete(true, || Ok(vec![erased_at(n)])).expect("added"));
        }
    });
    assert_eq!(list.read().expect("whole").map(|list| list.len()), Some(7), "none was written over");
    let other = ErasureList::on(&disk, &path, &PartyCode::parse("XB").expect("a code"), &network);
    assert_eq!(other.complete(false, || Ok(vec![])).expect_err("of another").code(), "backup.no-erasure-list");
    let whole = fs::read_to_string(&path).expect("reads");
    for bad in [&whole[..whole.len() - 1], &whole[1..], "", &whole.replace(" court", "  court"), &format!("{whole}x\n")]
    {
        fs::write(&path, bad).expect("written");
        assert_eq!(list.read().expect_err("not whole").code(), "backup.no-erasure-list", "{bad}");
    }
}

#[test]
fn the_note_of_a_restored_folder_reads_back() {
    let home = tempfile::tempdir().expect("folder");
    assert_eq!(Restored::read(home.path()).expect("none"), None);
    let note = Restored {
        made: Time(1_760_000_000_000),
        put_back: Time(1_760_000_001_000),
        size: 7,
        root: Digest::new([4; 32]),
        erased: vec![erased_at(1)],
    };
    note.write(&Disk::default(), home.path()).expect("written");
    assert_eq!(Restored::read(home.path()).expect("reads"), Some(note));
    fs::create_dir(home.path().join("restore.new")).expect("made");
    assert_eq!(Restored::read(home.path()).expect_err("not finished").code(), "backup.not-whole");
    fs::remove_dir(home.path().join("restore.new")).expect("removed");
    Restored::done(home.path()).expect("removed");
    assert_eq!(Restored::read(home.path()).expect("none"), None);
    fs::write(home.path().join(RESTORED_FILE), "schema = \"x\"").expect("written");
    assert_eq!(Restored::read(home.path()).expect_err("damaged").code(), "backup.damaged");
}
