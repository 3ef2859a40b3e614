//! One bit flipped anywhere in the files of ledger and desk: it is named, healed or without effect, and nothing wrong is
//! ever shown.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Party, is_all};
use crate::disk::journal::{Dice, write_sparse};

/// Bits flipped in each file, and when all is asked for.
const FLIPS: [usize; 2] = [10, 300];
/// Behind what is used a file is zeros; a little of that is tried too.
const BEHIND: usize = 64;

#[test]
fn a_flipped_bit_is_named_or_healed_or_changes_nothing() {
    let home = tempfile::tempdir().expect("folder");
    let root = home.path().join("data");
    fs::create_dir(&root).expect("made");
    let party = Party::new(&root);
    party.disk.faults.watch(&root, None);
    assert!(party.tall().is_ok() && party.daily().is_ok(), "nothing fails on a sound disk");
    let mut files = BTreeMap::new();
    read(&root, &root, &mut files);
    let kinds = ["seg", "keys", "checkpoint", "tile", "desk", "outline"];
    let mut table: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let dice = &mut Dice::new(11);
    for (path, bytes) in &files {
        let kind = kinds.into_iter().rfind(|kind| path.to_string_lossy().contains(kind)).expect("a known kind");
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        for _ in 0..FLIPS[usize::from(is_all())] {
            let (at, bit) = (dice.throw((used + BEHIND).min(bytes.len())), dice.throw(8));
            let copy = home.path().join("copy");
            lay_out(&files, &copy);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::remove_file(copy.join(path)).expect("there");
            write_sparse(&copy.join(path), &flipped);
            let said = party.look_at(&copy, &format!("{} at {at}", path.display()));
            *table.entry((kind, said)).or_default() += 1;
            if kind == "tile" {
                assert_eq!(&fs::read(copy.join(path)).expect("there"), bytes, "a tile is healed");
            }
            fs::remove_dir_all(&copy).expect("removed");
        }
    }
    let lines: Vec<String> =
        table.iter().map(|((kind, said), count)| format!("| {kind} | {said} | {count} |")).collect();
    eprintln!("\n| flipped in | then | cases |\n|---|---|---|\n{}", lines.join("\n"));
    for kind in kinds {
        assert!(table.keys().any(|(of, _)| *of == kind), "{kind}: such a file was there");
    }
}

fn read(root: &Path, folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            read(root, &path, into);
        } else {
            into.insert(path.strip_prefix(root).expect("within").to_owned(), fs::read(&path).expect("read"));
        }
    }
}

fn lay_out(files: &BTreeMap<PathBuf, Vec<u8>>, into: &Path) {
    for (path, bytes) in files {
        fs::create_dir_all(into.join(path).parent().expect("within")).expect("made");
        write_sparse(&into.join(path), bytes);
    }
}
