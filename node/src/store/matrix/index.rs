//! The index, damaged in every way one may think of: what was closed and changed is set aside; of what nobody closed at
//! least nothing is shown that is not a state it once had. It never ends the process.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use comity_core::index::{Change, Pair, Pairs as _};

use crate::store::SledPairs;

/// Batches of the life before, some sled pages full.
const BATCHES: u64 = 900;
/// So many keys are there at a time.
const LIVE: u64 = 400;
/// Places of a file at which a bit is flipped.
const FLIPS: usize = 12;

/// What happens to all of it.
type ToFolder<'h> = &'h dyn Fn(&Path);

/// What happens to one file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Deleted,
    Cut(usize, usize),
    Longer,
    Flipped(usize),
    Zeros,
    HalfZeros,
    Foreign,
    Folder,
}

fn harms() -> Vec<Harm> {
    let cuts = [(0, 4), (1, 4), (2, 4), (3, 4), (99, 100)].map(|(part, of)| Harm::Cut(part, of));
    let others = [Harm::Deleted, Harm::Longer, Harm::Zeros, Harm::HalfZeros, Harm::Foreign, Harm::Folder];
    cuts.into_iter().chain(others).chain((0..FLIPS).map(Harm::Flipped)).collect()
}

impl Harm {
    fn make(self, path: &Path) {
        let mut bytes = fs::read(path).expect("read");
        let len = bytes.len();
        match self {
            Self::Deleted => return fs::remove_file(path).expect("removed"),
            Self::Folder => {
                fs::remove_file(path).expect("removed");
                return fs::create_dir(path).expect("made");
            }
            Self::Cut(part, of) => bytes.truncate(len * part / of),
            Self::Longer => bytes.push(1),
            Self::Flipped(n) => {
                // Spread over what is not zeros, which is where something stands.
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                bytes[used * n / FLIPS] ^= 1 << (n % 8);
            }
            Self::Zeros => bytes.fill(0),
            Self::HalfZeros => bytes[len / 2..].fill(0),
            Self::Foreign => bytes = b"This is no index. ".repeat(300),
        }
        fs::write(path, bytes).expect("written");
    }
}

fn value(n: u64) -> Vec<u8> {
    let len = usize::try_from(n * 37 % 900).expect("small");
    [&n.to_be_bytes()[..], &vec![b'v'; len]].concat()
}

/// What the index held after so many batches.
fn state(batches: u64) -> Vec<Pair> {
    let keys = batches.saturating_sub(LIVE)..batches;
    let position = (batches > 0).then(|| (b"position".to_vec(), batches.to_be_bytes().to_vec()));
    keys.map(|n| (key(n), value(n))).chain(position).collect()
}

fn key(n: u64) -> Vec<u8> {
    [b"k", &n.to_be_bytes()[..]].concat()
}

fn held(pairs: &SledPairs) -> Vec<Pair> {
    pairs.range(b"", b"z", usize::MAX).expect("it answers")
}

/// An index that was lived with and closed, as its files and its seal.
fn template(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = home.join("index");
    let (mut pairs, opened) = SledPairs::open(&folder).expect("opened");
    assert_eq!(opened.set_aside, None);
    for n in 0..BATCHES {
        let mut batch =
            vec![Change::Put(key(n), value(n)), Change::Put(b"position".to_vec(), (n + 1).to_be_bytes().to_vec())];
        batch.extend(n.checked_sub(LIVE).map(|old| Change::Delete(key(old))));
        pairs.apply(&batch).expect("applied");
        pairs.settle().expect("settled");
    }
    assert_eq!(held(&pairs), state(BATCHES));
    pairs.close().expect("closed");
    let files = files(&folder, home);
    drop(pairs);
    files
        .into_iter()
        .chain([(PathBuf::from("index.seal"), fs::read(home.join("index.seal")).expect("sealed"))])
        .collect()
}

fn files(folder: &Path, home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path, home));
        } else {
            found.insert(path.strip_prefix(home).expect("within").to_owned(), fs::read(&path).expect("read"));
        }
    }
    found
}

/// Puts the files into an empty folder, sealed or not.
fn lay_out(files: &BTreeMap<PathBuf, Vec<u8>>, home: &Path, sealed: bool) {
    for (path, bytes) in files {
        if sealed || path != Path::new("index.seal") {
            fs::create_dir_all(home.join(path).parent().expect("within")).expect("made");
            fs::write(home.join(path), bytes).expect("written");
        }
    }
    fs::create_dir_all(home.join("index/000000/blobs")).expect("made");
}

/// What an open made of it.
#[derive(Debug, PartialEq, Eq, Clone, Copy, PartialOrd, Ord)]
enum Made {
    /// All is there as it was.
    Whole,
    /// A state from before: what is missing is applied again.
    Earlier,
    /// Begun anew, and what was there is kept beside it.
    Anew,
}

/// Opens what is there, however it was harmed, and goes on with it.
fn open(home: &Path, what: &str) -> Made {
    let folder = home.join("index");
    let (mut pairs, opened) = SledPairs::open(&folder).expect(what);
    let held = held(&pairs);
    let position = held.last().map_or(0, |(_, value)| u64::from_be_bytes(value[..].try_into().expect("eight bytes")));
    assert_eq!(held, state(position), "{what}: a state it once had");
    pairs.apply(&[Change::Put(b"more".to_vec(), b"1".to_vec())]).expect("applied");
    pairs.close().expect("closed");
    match opened.set_aside {
        Some(aside) => {
            assert!(held.is_empty() && aside.symlink_metadata().is_ok(), "{what}");
            Made::Anew
        }
        None if position == BATCHES => Made::Whole,
        None => Made::Earlier,
    }
}

#[test]
fn an_index_harmed_in_any_way_is_set_aside_or_shows_what_it_once_held() {
    let home = tempfile::tempdir().expect("folder");
    let files = template(home.path());
    let mut table: BTreeMap<(bool, Made), usize> = BTreeMap::new();
    let mut number = 0;
    let mut case = |sealed: bool, what: &str, harm: &dyn Fn(&Path)| {
        number += 1;
        let home = home.path().join(format!("case-{number}"));
        lay_out(&files, &home, sealed);
        harm(&home);
        let made = open(&home, &format!("{what}, {}", if sealed { "closed" } else { "not closed" }));
        *table.entry((sealed, made)).or_default() += 1;
        fs::remove_dir_all(&home).expect("removed");
        made
    };
    for sealed in [true, false] {
        assert_eq!(case(sealed, "nothing", &|_| ()), Made::Whole);
        for path in files.keys().filter(|path| path.starts_with("index")) {
            for harm in harms() {
                let made = case(sealed, &format!("{} {harm:?}", path.display()), &|home| harm.make(&home.join(path)));
                assert!(!sealed || made == Made::Anew, "{} {harm:?} shows", path.display());
            }
        }
        let whole: [(&str, ToFolder<'_>); 4] = [
            ("the folder is a file", &|home| {
                fs::remove_dir_all(home.join("index")).expect("removed");
                fs::write(home.join("index"), b"a file").expect("written");
            }),
            ("the folder is a link to nowhere", &|home| {
                fs::remove_dir_all(home.join("index")).expect("removed");
                std::os::unix::fs::symlink("nowhere", home.join("index")).expect("made");
            }),
            ("a foreign file is in it", &|home| fs::write(home.join("index/readme"), b"hello").expect("written")),
            ("nothing is in it", &|home| {
                fs::remove_dir_all(home.join("index")).expect("removed");
                fs::create_dir(home.join("index")).expect("made");
            }),
        ];
        for (what, harm) in whole {
            let made = case(sealed, what, harm);
            assert!(!sealed || made == Made::Anew, "{what}");
        }
    }
    assert_eq!(
        case(true, "a foreign seal", &|home| fs::write(home.join("index.seal"), b"?").expect("written")),
        Made::Anew
    );
    case(true, "no folder", &|home| fs::remove_dir_all(home.join("index")).expect("removed"));
    eprintln!("the index harmed, closed before or not, and what became of it: {table:?}");
}

/// An index whose opening ended the process, in whatever way, is not opened again.
#[test]
fn what_ended_the_process_while_it_opened_is_not_opened_again() {
    let home = tempfile::tempdir().expect("folder");
    let files = template(home.path());
    let home = home.path().join("again");
    lay_out(&files, &home, false);
    fs::write(home.join("index.seal"), b"being opened\n").expect("written");
    assert_eq!(open(&home, "after an opening that never ended"), Made::Anew);
}
