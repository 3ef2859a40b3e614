//! Exported ledgers of every shape, whole and with one thing wrong.

use std::{fs, path::Path};

use comity_core::{
    crypto::sha256,
    ids::{Digest, Origin, Time},
    ledger::{Checkpoint, Fork, LeafEntry, Resource, Salt, TILE_WIDTH, Tree, bundle_bytes, leaf_entry, leaf_hash},
    proto,
};
use prost::Message as _;
use tempfile::TempDir;

use super::{Checked, DOCUMENTS, Folder, POLICY, TlogFault, check, check_fork};
use crate::witness::sample::{charter, checkpoint, cosigned, party, profile};

const LATER: Time = Time(1_800_000_060_000);

fn entry(n: u64) -> LeafEntry {
    leaf_entry(&Salt([7; 32]), &sha256(&[&n.to_be_bytes()]), b"context")
}

fn tree(entries: &[LeafEntry]) -> Tree {
    let mut tree = Tree::new();
    for entry in entries {
        tree.push(leaf_hash(entry));
    }
    tree
}

fn note(tree: &Tree, by: &str, witnesses: &[&str]) -> Vec<u8> {
    cosigned(&checkpoint("XA", tree, tree.size()), by, witnesses, LATER)
}

fn bundle(envelopes: Vec<Vec<u8>>) -> Vec<u8> {
    proto::Bundle { envelopes }.encode_to_vec()
}

/// An export of XA's ledger with so many records, witnessed by XB and XC.
fn exported(size: u64) -> (TempDir, Folder) {
    let home = tempfile::tempdir().expect("folder");
    let into = home.path().join("xa");
    let unfinished = Folder::begin(&into).expect("begun");
    let tree = tree(&(0..size).map(entry).collect::<Vec<_>>());
    let put = |name: &str, bytes: &[u8]| unfinished.put(name, bytes).expect("written");
    for resource in Resource::tiles(size).chain(Resource::entries(size)) {
        let bytes = match resource {
            Resource::Tile(id, width) => tree.tile_bytes(id, width).expect("tile"),
            Resource::Entries(number, width) => {
                let entries: Vec<_> = (number * TILE_WIDTH..number * TILE_WIDTH + width).map(entry).collect();
                bundle_bytes(&entries)
            }
            Resource::Checkpoint => unreachable!("no tile and no bundle"),
        };
        put(&resource.to_string(), &bytes);
    }
    put(DOCUMENTS, &bundle(vec![charter().0, profile("XA", "XA"), profile("XB", "XB"), profile("XC", "XC")]));
    put("checkpoint", &note(&tree, "XA", &["XB", "XC"]));
    let folder = unfinished.finish().expect("finished");
    (home, folder)
}

fn checked(folder: &Folder) -> Result<Checked, TlogFault> {
    check(folder, charter().1, LATER, &mut |_, _| ())
}

fn code(folder: &Folder) -> &'static str {
    checked(folder).map_or_else(|fault| fault.code(), |_| "holds")
}

/// [L-13]
#[test]
fn an_export_holds_from_a_fingerprint_alone() {
    for size in [1, 255, 256, 257, 600, 66_000] {
        let (_home, folder) = exported(size);
        let mut told = Vec::new();
        let found = check(&folder, charter().1, LATER, &mut |done, all| told.push((done, all))).expect("holds");
        assert_eq!(told.last(), Some(&(size, size)));
        assert!(told.is_sorted());
        assert_eq!((found.party, found.charter), (party("XA"), 1));
        assert_eq!((found.witnessed.checkpoint().size, found.witnessed.is_met()), (size, true));
        assert_eq!(found.witnessed.since(), Some(LATER));
        assert_eq!((found.policy_fits, found.left_out), (None, vec![]));
    }
}

/// an audit tree holds from the same fingerprint, by its Party's keys alone; under another Party's name it does not.
#[test]
fn an_audit_tree_holds_from_a_fingerprint_alone() {
    let signed = |of: &str, by: &str| {
        let (home, folder) = exported(600);
        let tree = tree(&(0..600).map(entry).collect::<Vec<_>>());
        let origin = Origin::of_tree(of).expect("origin");
        let audit = Checkpoint { origin, ..checkpoint("XA", &tree, 600) };
        fs::write(home.path().join("xa/checkpoint"), cosigned(&audit, by, &[], LATER)).expect("written");
        (home, folder)
    };
    let (_home, folder) = signed("xa.demo.test/audit", "XA");
    let found = checked(&folder).expect("holds");
    assert_eq!((found.party, found.policy.witnesses.len(), found.witnessed.is_met()), (party("XA"), 0, true));
    let (_home, folder) = signed("xb.demo.test/audit", "XA");
    assert_eq!(code(&folder), "checkpoint.no-ed25519");
    let (_home, folder) = signed("xx.demo.test/audit", "XA");
    assert_eq!(code(&folder), TlogFault::UnknownLedger(Origin::of_tree("xx.demo.test/audit").expect("origin")).code());
}

fn change(path: &Path, how: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(path).expect("read");
    let mut bytes = before.clone();
    how(&mut bytes);
    fs::write(path, bytes).expect("written");
    before
}

#[test]
fn one_thing_wrong_in_any_file_is_named() {
    let (home, folder) = exported(600);
    let root = home.path().join("xa");
    let check = |name: &str, how: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let path = root.join(name);
        let before = change(&path, how);
        assert_eq!(code(&folder), expected, "{name}");
        fs::write(&path, before).expect("written");
    };
    let flip: &dyn Fn(&mut Vec<u8>) = &|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle + 10] ^= 1;
    };
    let cut: &dyn Fn(&mut Vec<u8>) = &|bytes| bytes.truncate(bytes.len() - 1);
    let swell: &dyn Fn(&mut Vec<u8>) = &|bytes| bytes.resize(100 << 10, 0);
    let names = Resource::tiles(600).chain(Resource::entries(600)).map(|resource| resource.to_string());
    for name in names {
        check(&name, flip, "tlog.wrong-tile");
        check(&name, cut, if name.contains("entries") { "ledger.bad-tile" } else { "tlog.wrong-tile" });
        check(&name, swell, "tlog.unreadable");
        let moved = root.join("moved");
        fs::rename(root.join(&name), &moved).expect("moved");
        assert_eq!(code(&folder), "tlog.unreadable", "{name}");
        fs::rename(moved, root.join(&name)).expect("moved back");
    }
    check("tile/entries/000", &|bytes| bytes[2] = 2, "ledger.bad-leaf");
    // A letter of base64 for another: any other byte would make it no note at all.
    let letter: &dyn Fn(&mut Vec<u8>) = &|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    };
    check("checkpoint", letter, "checkpoint.bad-signature");
    check("checkpoint", cut, "checkpoint.malformed");
    check("checkpoint", swell, "tlog.unreadable");
    check(DOCUMENTS, cut, "tlog.no-documents");
    assert_eq!(code(&folder), "holds");
}

#[test]
fn entries_and_tiles_that_agree_with_each_other_still_need_the_root() {
    let (home, folder) = exported(100);
    let entries: Vec<_> = (1..101).map(entry).collect();
    let other = tree(&entries);
    let put = |name: &str, bytes: Vec<u8>| fs::write(home.path().join("xa").join(name), bytes).expect("written");
    put("tile/entries/000.p/100", bundle_bytes(&entries));
    let tile = Resource::tiles(100).next().expect("one");
    let Resource::Tile(id, width) = tile else { panic!("no tile") };
    put(&tile.to_string(), other.tile_bytes(id, width).expect("tile"));
    assert_eq!(code(&folder), "tlog.wrong-root");
    // Whoever has the keys can sign that; the witnesses' lines are about what they saw.
    put("checkpoint", note(&other, "XA", &[]));
    assert!(!checked(&folder).expect("holds").witnessed.is_met());
}

#[test]
fn keys_come_from_the_documents_and_those_from_the_fingerprint() {
    let (home, folder) = exported(3);
    let put = |name: &str, bytes: &[u8]| fs::write(home.path().join("xa").join(name), bytes).expect("written");
    let documents = |envelopes: &[Vec<u8>]| put(DOCUMENTS, &bundle(envelopes.to_vec()));
    let other = check(&folder, Digest::new([1; 32]), LATER, &mut |_, _| ()).expect_err("refused");
    assert_eq!(other.code(), "tlog.other-charter");
    assert!(other.is_finding());
    documents(&[charter().0]);
    assert_eq!(code(&folder), "tlog.unknown-ledger");
    // A profile that another Party's root keys signed is no profile.
    documents(&[charter().0, profile("XA", "XB")]);
    assert_eq!(code(&folder), "tlog.unknown-ledger");
    documents(&[charter().0, profile("XA", "XA"), profile("XB", "XC")]);
    let found = checked(&folder).expect("holds");
    assert_eq!((found.left_out.len(), found.witnessed.is_met(), found.witnessed.by.len()), (1, false, 0));
    let entries: Vec<_> = (0..3).map(entry).collect();
    put("checkpoint", &note(&tree(&entries), "XB", &["XB", "XC"]));
    assert_eq!(code(&folder), "checkpoint.no-ed25519");
}

/// [N-2]: a fork is proven to anybody by a file.
#[test]
fn a_fork_in_a_file_is_checked_from_the_fingerprint() {
    let trees = [0, 100].map(|from| tree(&(from..from + 5).map(entry).collect::<Vec<_>>()));
    let notes = trees.each_ref().map(|tree| note(tree, "XA", &[]));
    let fork = Fork::of(&notes[0], &notes[1]).expect("a fork");
    let file = fork.to_file(vec![charter().0, profile("XA", "XA")]);
    let check = |file: &[u8], fingerprint| check_fork(file, fingerprint, LATER).map_err(|fault| fault.code());
    let (whose, found) = check(&file, charter().1).expect("holds");
    assert_eq!((whose, found.size), (party("XA"), 5));
    assert_eq!(check(&file, Digest::new([1; 32])), Err("tlog.other-charter"));
    assert_eq!(check(&fork.to_file(vec![charter().0]), charter().1), Err("tlog.unknown-ledger"));
    let by_another = Fork::of(&notes[0], &note(&trees[1], "XB", &[])).expect("in form");
    let file = by_another.to_file(vec![charter().0, profile("XA", "XA")]);
    assert_eq!(check(&file, charter().1), Err("checkpoint.no-ed25519"));
    assert_eq!(check(b"rubbish", charter().1), Err("ledger.no-fork"));
}

#[test]
fn a_policy_beside_it_must_say_the_same() {
    let (home, folder) = exported(3);
    let text = checked(&folder).expect("holds").policy.to_text().expect("all keys are known");
    fs::write(home.path().join("xa").join(POLICY), &text).expect("written");
    assert_eq!(checked(&folder).expect("holds").policy_fits, Some(true));
    fs::write(home.path().join("xa").join(POLICY), text.replace("quorum both", "quorum none")).expect("written");
    assert_eq!(checked(&folder).expect("holds").policy_fits, Some(false));
}

#[test]
fn an_export_appears_whole_or_not_at_all() {
    let home = tempfile::tempdir().expect("folder");
    let into = home.path().join("xa");
    let unfinished = Folder::begin(&into).expect("begun");
    unfinished.put("tile/0/000.p/1", b"half").expect("written");
    drop(unfinished);
    assert!(!into.exists(), "interrupted");
    let again = Folder::begin(&into).expect("begun");
    again.put("checkpoint", b"whole").expect("written");
    again.finish().expect("finished");
    assert!(into.join("checkpoint").exists() && !into.join("tile").exists());
    assert_eq!(Folder::begin(&into).err().map(|fault| fault.code()), Some("tlog.exists"));
    assert_eq!(fs::read_dir(home.path()).expect("read").count(), 1);
}
