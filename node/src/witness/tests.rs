//! What is held of a ledger, with a hostile ledger, a disk that takes nothing, and many who ask at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use comity_core::{
    crypto::{DataKey, sha256},
    founding::sign_profile,
    ids::{Digest, Origin, PartyCode},
    ledger::{Checkpoint, Fork, Tree, VerifiedCheckpoint},
    profile::{Book, Trust},
    proto::{self, AddCheckpoint, Grown, KeyRole, Path},
};
use prost::Message as _;
use tempfile::TempDir;

use super::{
    hold::{Denied, Hold, Known},
    sample::{self, NOW, charter, checkpoint, origin, owned, pair, party, profile},
};
use crate::store::Desk;

fn trust() -> Trust {
    let (signed, fingerprint) = charter();
    let mut book = Book::found(&signed, fingerprint).expect("holds");
    for code in ["XA", "XB", "XC"] {
        book.accept(&profile(code, code), NOW).expect("accepted");
    }
    book.trust()
}

/// A history: those of two numbers differ from the tenth record on.
fn history(number: u64) -> Tree {
    let mut tree = Tree::new();
    for n in 0..60_u64 {
        let of = if n < 10 { 0 } else { number };
        tree.push(sha256(&[&n.to_be_bytes(), &of.to_be_bytes()]));
    }
    tree
}

fn note(code: &str, tree: &Tree, size: u64) -> Vec<u8> {
    sample::cosigned(&checkpoint(code, tree, size), code, &[], NOW)
}

fn cosigned(tree: &Tree, size: u64, by: &[&str]) -> Vec<u8> {
    sample::cosigned(&checkpoint("XA", tree, size), "XA", by, NOW)
}

fn nodes(path: Vec<Digest>) -> Vec<Vec<u8>> {
    path.iter().map(|node| node.as_bytes().to_vec()).collect()
}

fn add(tree: &Tree, from: u64, to: u64) -> AddCheckpoint {
    let path = nodes(tree.consistency(from.min(to), to).expect("path"));
    AddCheckpoint { old_size: from, path, checkpoint: note("XA", tree, to) }
}

fn seen(tree: &Tree, size: u64) -> Arc<VerifiedCheckpoint> {
    let keys = owned(&pair(KeyRole::Checkpoint, "XA"));
    Arc::new(VerifiedCheckpoint::verify(&note("XA", tree, size), &origin("XA"), &keys).expect("verifies"))
}

/// A witness, Belmar, with a desk on disk.
struct Town {
    trust: Trust,
    us: PartyCode,
    desk: Desk,
    hold: Hold,
    home: TempDir,
}

impl Town {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("folder");
        let (desk, _) = Desk::open(&home.path().join("desk"), DataKey::new([1; 32])).expect("opened");
        Self { trust: trust(), us: party("XB"), hold: Hold::open(&desk), desk, home }
    }

    /// The same after a restart.
    fn again(self) -> Self {
        let Self { trust, us, desk, home, .. } = self;
        drop(desk);
        let (desk, _) = Desk::open(&home.path().join("desk"), DataKey::new([1; 32])).expect("opened");
        Self { trust, us, hold: Hold::open(&desk), desk, home }
    }

    fn known(&self) -> Known<'_> {
        Known { trust: &self.trust, us: &self.us, desk: &self.desk, now: NOW }
    }

    fn add(&self, ask: &AddCheckpoint) -> Result<u64, Denied> {
        self.hold.add(self.known(), &party("XA"), ask).map(|taken| taken.size)
    }

    fn prove(&self, sizes: &[u64], answer: &Grown) -> Result<(), Denied> {
        self.hold.prove(self.known(), &origin("XA"), sizes, answer)
    }

    fn sizes(&self, all: Vec<Arc<VerifiedCheckpoint>>) -> Result<Vec<u64>, Denied> {
        self.hold.sizes(self.known(), &origin("XA"), all)
    }
}

fn grown(tree: &Tree, sizes: &[u64], to: u64, witnessed: Option<(u64, &[&str])>) -> Grown {
    let path = |size| Path { nodes: nodes(tree.consistency(size, to).expect("path")) };
    let (note_then, path_then) = match witnessed {
        Some((size, by)) => (cosigned(tree, size, by), Some(path(size))),
        None => (Vec::new(), None),
    };
    let paths = sizes.iter().map(|size| path(*size)).collect();
    Grown { checkpoint: note("XA", tree, to), paths, witnessed: note_then, witnessed_path: path_then }
}

/// [N-1], [F-8]: what is answered is on disk, and never goes back.
#[test]
fn what_is_cosigned_is_held_over_a_restart_and_only_grows() {
    let (town, tree) = (Town::new(), history(1));
    assert_eq!(town.add(&add(&tree, 0, 12)), Ok(12));
    let town = town.again();
    assert_eq!(town.hold.standing(&origin("XA")).size, 12);
    assert_eq!(town.add(&add(&tree, 0, 30)), Err(Denied::Conflict(12)));
    assert_eq!(town.add(&add(&tree, 12, 30)), Ok(30));
    assert_eq!(town.add(&add(&tree, 30, 30)), Ok(30), "asked again after an answer that was lost");
    assert_eq!(town.add(&add(&tree, 12, 12)), Err(Denied::Conflict(30)));
    assert_eq!(town.add(&add(&tree, 12, 40)), Err(Denied::Conflict(30)));
    let mut unproven = add(&tree, 30, 40);
    unproven.path.swap(0, 1);
    assert!(matches!(town.add(&unproven), Err(Denied::Unproven(_))));
    unproven.path = vec![vec![0; 31]];
    assert!(matches!(town.add(&unproven), Err(Denied::Unproven(_))));
    unproven.path = vec![vec![0; 32]; 65];
    assert!(matches!(town.add(&unproven), Err(Denied::Unproven(_))));
    assert_eq!(town.again().hold.standing(&origin("XA")).size, 30);
}

/// What is known once XA's ledger has been put back to so many records of a history, and another has taken its place.
fn succeeded(left: &Tree, size: u64) -> Trust {
    let (signed, fingerprint) = charter();
    let mut book = Book::found(&signed, fingerprint).expect("holds");
    let first = profile("XA", "XA");
    book.accept(&first, NOW).expect("accepted");
    let before = book.trust().declared(&party("XA")).expect("accepted").id();
    let first = proto::Envelope::decode(&first[..]).expect("an envelope");
    let mut next = proto::Profile::decode(&first.header[..]).expect("a profile");
    (next.version, next.previous) = (2, before.as_bytes().to_vec());
    let root = left.root_at(size).expect("held").as_bytes().to_vec();
    next.ledgers.push(proto::Ledger { origin: second().to_string(), size, root });
    book.accept(&sign_profile(&next, &[&pair(KeyRole::Root, "XA")]).expect("signed"), NOW).expect("accepted");
    book.trust()
}

fn second() -> Origin {
    origin("XA").as_str().replace("/ledger/1", "/ledger/2").parse().expect("an origin")
}

/// [N-1], [L-14]: what a ledger begins with is held before anything of it is seen, and the one before it ends.
#[test]
fn a_successor_leads_on_from_what_was_left() {
    let (mut town, before) = (Town::new(), history(1));
    assert_eq!(town.add(&add(&before, 0, 30)), Ok(30));
    let ask = |tree: &Tree, from: u64, to: u64| {
        let next = Checkpoint { origin: second(), ..checkpoint("XA", tree, to) };
        AddCheckpoint { checkpoint: sample::cosigned(&next, "XA", &[], NOW), ..add(tree, from, to) }
    };
    let after = history(2);
    assert_eq!(town.add(&ask(&after, 0, 20)), Err(Denied::NotYours), "no profile names it yet");
    town.trust = succeeded(&before, 8);
    assert_eq!(town.add(&add(&before, 30, 40)), Err(Denied::NotYours), "the one before is written no more");
    assert_eq!(town.add(&ask(&after, 0, 20)), Err(Denied::Conflict(8)));
    assert_eq!(town.add(&ask(&after, 8, 20)), Ok(20));
    town.trust = succeeded(&before, 12);
    let town = Town { hold: Hold::open(&Town::new().desk), ..town };
    assert!(matches!(town.add(&ask(&after, 12, 20)), Err(Denied::Unproven(_))), "it leads on from something else");
    assert_eq!(town.add(&ask(&before, 12, 20)), Ok(20));
}

#[test]
fn only_what_the_charter_assigns_is_cosigned_and_only_for_its_own_party() {
    let (town, tree) = (Town::new(), history(1));
    let of = |from: &str, note: Vec<u8>| {
        let ask = AddCheckpoint { old_size: 0, path: vec![], checkpoint: note };
        town.hold.add(town.known(), &party(from), &ask).map(|taken| taken.size)
    };
    assert_eq!(of("XC", note("XA", &tree, 3)), Err(Denied::NotYours));
    assert_eq!(of("XC", note("XC", &tree, 3)), Err(Denied::NotAssigned));
    let forged = checkpoint("XA", &tree, 3).sign(&pair(KeyRole::Checkpoint, "XC"), NOW).expect("signed");
    assert!(matches!(of("XA", forged.into_bytes()), Err(Denied::Checkpoint(_))));
    assert!(matches!(of("XA", b"no note".to_vec()), Err(Denied::Checkpoint(_))));
    assert_eq!(of("XA", note("XA", &tree, 3)), Ok(3));
}

/// [N-2]: two of one size.
#[test]
fn a_fork_is_kept_and_ends_cosigning_for_good() {
    let (town, honest, other) = (Town::new(), history(1), history(2));
    assert_eq!(town.add(&add(&honest, 0, 20)), Ok(20));
    let fork = AddCheckpoint { old_size: 0, path: vec![], checkpoint: note("XA", &other, 20) };
    let Err(Denied::ForkSeen(proof)) = town.add(&fork) else { panic!("a fork") };
    assert!(proof.ends_with(&fork.checkpoint), "both notes are the proof");
    assert_eq!(town.add(&add(&honest, 20, 30)), Err(Denied::Forked));
    let town = town.again();
    assert!(town.hold.standing(&origin("XA")).forked);
    assert_eq!(town.add(&add(&honest, 20, 30)), Err(Denied::Forked));
    assert_eq!(town.sizes(vec![]), Err(Denied::Forked));
}

/// [N-2]: whoever shows it.
#[test]
fn a_fork_that_a_peer_shows_counts_under_the_keys_of_whom_it_is_about() {
    let (town, honest, other) = (Town::new(), history(1), history(2));
    let fork = Fork::of(&note("XA", &honest, 20), &note("XA", &other, 20)).expect("a fork");
    assert_eq!(town.hold.take_fork(town.known(), fork.clone()), Ok(true));
    assert_eq!(town.hold.take_fork(town.known(), fork.clone()), Ok(false), "it was known");
    let town = town.again();
    assert_eq!(town.hold.forks(), [fork]);
    assert_eq!(town.add(&add(&honest, 0, 30)), Err(Denied::Forked));
    let forged = |n: u8| {
        let root = Digest::new([n; 32]);
        let forged = Checkpoint { origin: origin("XC"), size: 20, root };
        forged.sign(&pair(KeyRole::Checkpoint, "XA"), NOW).expect("signed").into_bytes()
    };
    let forged = Fork::of(&forged(1), &forged(2)).expect("in form");
    assert!(matches!(town.hold.take_fork(town.known(), forged), Err(Denied::Checkpoint(_))));
    assert!(!town.hold.standing(&origin("XC")).forked);
}

#[test]
fn two_receipts_under_different_trees_are_a_fork_before_anything_is_asked() {
    let (town, honest, other) = (Town::new(), history(1), history(2));
    assert_eq!(town.sizes(vec![seen(&honest, 20), seen(&honest, 20)]), Ok(vec![20]));
    assert!(matches!(town.sizes(vec![seen(&other, 20)]), Err(Denied::ForkSeen(_))));
}

/// [N-3]: every checkpoint seen must be proven to lead to the newest.
#[test]
fn all_that_was_seen_must_lead_to_what_is_shown() {
    let (town, honest, other) = (Town::new(), history(1), history(2));
    assert_eq!(town.sizes(vec![seen(&honest, 15), seen(&honest, 4)]), Ok(vec![4, 15]));
    assert_eq!(town.prove(&[4, 15], &grown(&honest, &[4, 15], 30, None)), Ok(()));
    let standing = town.hold.standing(&origin("XA"));
    assert_eq!((standing.size, standing.unproven), (30, 0));
    // One of another history does not lead to the first one, however it is answered.
    assert_eq!(town.sizes(vec![seen(&other, 35)]), Ok(vec![30, 35]));
    for answer in [grown(&honest, &[30, 35], 40, None), grown(&other, &[30, 35], 40, None)] {
        assert!(matches!(town.prove(&[30, 35], &answer), Err(Denied::Unproven(_))));
    }
    let short = Grown { paths: vec![Path::default()], ..grown(&honest, &[30], 40, None) };
    assert!(matches!(town.prove(&[30, 35], &short), Err(Denied::Unproven(_))));
    assert_eq!(town.hold.standing(&origin("XA")).unproven, 1, "it waits on");
    // Fewer records than it has signed before.
    assert_eq!(town.prove(&[30, 35], &grown(&honest, &[], 20, None)), Err(Denied::RolledBack));
    assert!(town.hold.standing(&origin("XA")).rolled_back);
    assert_eq!(town.hold.standing(&origin("XA")).size, 30);
}

/// [N-4]: witnessed is what a quorum cosigned and what leads to the newest.
#[test]
fn witnessed_is_what_a_quorum_cosigned() {
    let (town, tree, other) = (Town::new(), history(1), history(2));
    let witnessed = |town: &Town| town.hold.standing(&origin("XA")).witnessed;
    assert_eq!(town.prove(&[], &grown(&tree, &[], 20, Some((12, &["XB"])))), Ok(()));
    assert_eq!(witnessed(&town), 0, "one of two");
    assert_eq!(town.prove(&[20], &grown(&tree, &[20], 30, Some((25, &["XB", "XC"])))), Ok(()));
    let town = town.again();
    assert_eq!(witnessed(&town), 25);
    assert_eq!(town.hold.standing(&origin("XA")).since, Some(NOW));
    assert_eq!(town.prove(&[30], &grown(&tree, &[30], 31, Some((14, &["XB", "XC"])))), Ok(()));
    assert_eq!(witnessed(&town), 25, "it does not go back");
    let mut foreign = grown(&tree, &[31], 40, None);
    foreign.witnessed = cosigned(&other, 35, &["XB", "XC"]);
    foreign.witnessed_path = grown(&other, &[35], 40, None).paths.pop();
    assert!(matches!(town.prove(&[31], &foreign), Err(Denied::Unproven(_))));
}

/// What cannot be kept is not said, and held in memory no more than on disk.
#[test]
fn a_desk_that_takes_nothing_cosigns_nothing() {
    let (town, tree) = (Town::new(), history(1));
    assert_eq!(town.add(&add(&tree, 0, 12)), Ok(12));
    let Town { trust, us, desk, home, .. } = town;
    drop(desk);
    let segment = walk(home.path());
    let mut bytes = std::fs::read(&segment).expect("read");
    bytes[80] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let (desk, opened) = Desk::open(&home.path().join("desk"), DataKey::new([1; 32])).expect("opened");
    assert!(opened.read_only.is_some());
    let town = Town { trust, us, hold: Hold::open(&desk), desk, home };
    assert_eq!(town.add(&add(&tree, 0, 30)), Err(Denied::NotKept("store.read-only")));
    assert_eq!(town.hold.standing(&origin("XA")).size, 0);
}

/// The first segment of the desk.
fn walk(folder: &std::path::Path) -> std::path::PathBuf {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("read").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    let found = entries.iter().find(|path| path.extension().is_some_and(|ending| ending == "seg"));
    found.cloned().unwrap_or_else(|| walk(entries.iter().find(|path| path.is_dir()).expect("a folder within")))
}

/// Whoever asks at the same moment, no answer is behind one that was given before.
#[test]
fn answers_never_go_back_under_concurrency() {
    let (town, tree) = (Town::new(), history(1));
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..8_u64 {
            let (town, tree, answered) = (&town, &tree, &answered);
            scope.spawn(move || {
                let mut held = 0;
                for size in (1 + worker..60).step_by(3) {
                    let before = answered.load(Ordering::SeqCst);
                    match town.add(&add(tree, held, size)) {
                        Ok(taken) => {
                            assert!(taken >= before, "{taken} after {before}");
                            answered.fetch_max(taken, Ordering::SeqCst);
                            held = taken;
                        }
                        Err(Denied::Conflict(size)) => held = size,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let held = town.again().hold.standing(&origin("XA")).size;
    assert_eq!(held, answered.load(Ordering::SeqCst));
}
