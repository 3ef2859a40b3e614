//! What ten years of charters and profiles cost a node of 196 Parties: to a late joiner, to whoever checks all of it,
//! at each change, and at a start; each beside the signatures and hashes it cannot do without.
//!
//! ```text
//! cargo run --release -p comity-tests --bin bench-roster -- [folder]
//! ```
//!
//! The documents are made once below the folder, some 700 MB, which takes a minute or two; a folder that has them is
//! used as it is. Each task runs in a process of its own, on one thread, so that memory is its alone; what is compared is
//! processor time, since others may use the cores too. It measures and
//! asserts nothing but that every document holds; figures and their reading are in `node/BENCHMARKS.md`.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "bench-roster/material.rs"]
mod material;

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    hint::black_box,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use comity::bench::process::memory_kib;
use comity_core::{
    crypto::{HybridSigner, Seed, sha256},
    ids::{Digest, LedgerIndex, PartyCode, unhex},
    index::{Index, MemoryPairs, RecordView},
    profile::{Book, Kind, signing_message},
    proto::{self, Algorithm, KeyRole, NodePart, RecordKind},
    rules::{Rules, SHIPPED},
};
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use self::material::{END, Place};

type Loose = Box<dyn std::error::Error + Send + Sync>;

/// The list of documents, below the folder; its first line is the fingerprint.
const LIST: &str = "list";
/// Pairs verified for the baseline, beyond which the mean is taken.
const BARE_MAX: usize = 5_000;
const CALLS: u32 = 200;

fn main() -> Result<(), Loose> {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    let task = |name: Option<&str>| [JOIN, WALK, BEGIN].into_iter().find(|task| name == Some(task.0));
    if let (Some(task), Some(folder)) = (task(first.as_deref()), arguments.next()) {
        return run(&task, Path::new(&folder));
    }
    let folder = first.map_or_else(|| env::temp_dir().join("comity-bench-roster"), PathBuf::from);
    if !folder.join(LIST).exists() {
        fs::create_dir_all(&folder)?;
        let began = Instant::now();
        let (fingerprint, places) = material::make(&folder)?;
        let lines: Vec<String> = places.iter().map(Place::line).collect();
        fs::write(folder.join(LIST), format!("{fingerprint}\n{}\n", lines.join("\n")))?;
        eprintln!("{} documents made in {:.0} s", places.len(), began.elapsed().as_secs_f64());
    }
    println!(
        "| Task | documents | MB | pairs of signatures | s | processor, s | the bare signatures, s | SHA-256 of the bytes, s | what is bare beside it | at most, MiB | after it, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (task, _) in [JOIN, WALK, BEGIN] {
        let done = Command::new(env::current_exe()?).arg(task).arg(&folder).status()?;
        if !done.success() {
            return Err(format!("{task} failed").into());
        }
    }
    Ok(())
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What is done, by its name.
type Task = (&'static str, fn(&Shelf) -> Result<(Book, Vec<usize>), Loose>);

const JOIN: Task = ("join", join);
const WALK: Task = ("walk", walk);
const BEGIN: Task = ("begin", begin);

/// The documents and where they lie.
struct Shelf {
    fingerprint: Digest,
    places: Vec<Place>,
    files: Vec<File>,
}

impl Shelf {
    fn open(folder: &Path) -> Result<Self, Loose> {
        let list = fs::read_to_string(folder.join(LIST))?;
        let (fingerprint, lines) = list.split_once('\n').ok_or("an empty list")?;
        Ok(Self {
            fingerprint: Digest::from_slice(&unhex(fingerprint, "digest")?)?,
            places: lines.lines().map(Place::read).collect::<Result<_, _>>()?,
            files: (0..3).map(|n| File::open(folder.join(n.to_string()))).collect::<Result<_, _>>()?,
        })
    }

    fn read(&self, place: &Place) -> Result<Vec<u8>, Loose> {
        let mut bytes = vec![0; place.len];
        self.files[place.file].read_exact_at(&mut bytes, place.offset)?;
        Ok(bytes)
    }

    /// The first charter opened, and the places of all other documents in their order.
    fn found(&self) -> Result<(Book, impl Iterator<Item = usize>), Loose> {
        let book = Book::found(&self.read(&self.places[0])?, self.fingerprint)?;
        Ok((book, 1..self.places.len()))
    }
}

/// Who joins late is handed every charter, and of each Party the newest of each kind, and sees all of it now.
fn join(shelf: &Shelf) -> Result<(Book, Vec<usize>), Loose> {
    let (mut book, rest) = shelf.found()?;
    let mut newest: BTreeMap<(Kind, Option<&PartyCode>, u64), usize> = BTreeMap::new();
    for place in rest {
        let Place { kind, party, version, .. } = &shelf.places[place];
        let number = if *kind == Kind::Charter { *version } else { 0 };
        newest.insert((*kind, party.as_ref(), number), place);
    }
    for place in newest.values() {
        book.accept(&shelf.read(&shelf.places[*place])?, END)?;
    }
    Ok((book, [0].into_iter().chain(newest.into_values()).collect()))
}

/// Every document there ever was, each judged as on its day.
fn walk(shelf: &Shelf) -> Result<(Book, Vec<usize>), Loose> {
    let (mut book, rest) = shelf.found()?;
    for place in rest {
        let at = &shelf.places[place];
        book.accept(&shelf.read(at)?, at.seen)?;
    }
    Ok((book, (0..shelf.places.len()).collect()))
}

/// A node starts: the index says which documents stand, and each is entered again.
fn begin(shelf: &Shelf) -> Result<(Book, Vec<usize>), Loose> {
    let rules = Rules::parse(SHIPPED).map_err(|mistakes| format!("{mistakes:?}"))?;
    let mut index = Index::new(MemoryPairs::default());
    for (at, place) in (0..).zip(&shelf.places) {
        let node = NodePart {
            record_id: sha256(&[&u64::to_be_bytes(at)]).as_bytes().to_vec(),
            recorded_ms: place.seen.0,
            peer: place.party.as_ref().map(PartyCode::to_string).unwrap_or_default(),
            code: place.kind.name().to_owned(),
            version: place.version,
            ..NodePart::default()
        };
        let (index_at, kind) = (LedgerIndex(at), RecordKind::RosterChange);
        index.apply(RecordView { index: index_at, kind, node: &node, case: None }, &rules)?;
    }
    let began = processor();
    let mut standing: Vec<usize> = Vec::new();
    for at in index.standing_documents()? {
        standing.push(usize::try_from(at.0)?);
    }
    let heads = (0..shelf.places.len()).filter(|place| shelf.places[*place].kind == Kind::Head);
    standing.extend(heads);
    eprintln!("which of {} rows stand: {:.2} s", shelf.places.len(), processor().saturating_sub(began).as_secs_f64());
    let (mut book, _) = shelf.found()?;
    for place in &standing {
        let at = &shelf.places[*place];
        book.resume(&shelf.read(at)?, at.seen)?;
    }
    eprintln!("started after: {:.2} s", processor().saturating_sub(began).as_secs_f64());
    Ok((book, standing))
}

fn run((name, task): &Task, folder: &Path) -> Result<(), Loose> {
    let shelf = Shelf::open(folder)?;
    let process = std::process::id();
    let before = memory_kib(process, "VmRSS")?;
    let (began, worked) = (Instant::now(), processor());
    let (book, taken) = task(&shelf)?;
    let (took, worked) = (began.elapsed(), processor().saturating_sub(worked));
    let [most, after] = ["VmHWM", "VmRSS"].map(|line| memory_kib(process, line));
    let (most, after) = (most?, after?);
    let (pairs, bytes, hashed) = counted(&shelf, &taken)?;
    let bare = bare(pairs)?;
    println!(
        "| {name} | {} | {:.0} | {pairs} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
        taken.len(),
        bytes as f64 / 1e6,
        took.as_secs_f64(),
        worked.as_secs_f64(),
        bare.as_secs_f64(),
        hashed.as_secs_f64(),
        (bare + hashed).as_secs_f64() / worked.as_secs_f64(),
        most as f64 / 1024.0,
        after.saturating_sub(before) as f64 / 1024.0,
    );
    if *name != WALK.0 {
        each_change(&book);
    }
    Ok(())
}

/// What is asked of a book at each change and in each exchange.
fn each_change(book: &Book) {
    let trust = book.trust();
    let held = trust.held();
    let mean = |what: &str, call: &dyn Fn() -> usize| {
        let began = processor();
        let sum: usize = (0..CALLS).map(|_| call()).sum();
        let micros = processor().saturating_sub(began).as_secs_f64() * 1e6 / f64::from(CALLS);
        eprintln!("{what}: {micros:.0} us (of {})", sum / CALLS as usize);
    };
    mean("all known as one answer", &|| black_box(book.trust()).charter().parties().len());
    mean("what is held", &|| black_box(trust.held()).parties.len());
    mean("what is held, encoded", &|| black_box(trust.held()).encode_to_vec().len());
    mean("what a peer lacks that holds all", &|| black_box(trust.lacking(&held)).len());
    mean("what one lacks that holds nothing", &|| black_box(trust.lacking(&proto::RosterHeld::default())).len());
}

/// How many pairs of signatures these documents bear, their bytes, and how long it takes to hash them.
fn counted(shelf: &Shelf, taken: &[usize]) -> Result<(usize, usize, Duration), Loose> {
    let (mut pairs, mut bytes, mut hashed) = (0, 0, Duration::ZERO);
    for place in taken {
        let envelope = shelf.read(&shelf.places[*place])?;
        let began = processor();
        black_box(sha256(&[&envelope]));
        hashed += processor().saturating_sub(began);
        bytes += envelope.len();
        pairs += proto::Envelope::decode(&envelope[..])?.signatures.len() / 2;
    }
    Ok((pairs, bytes, hashed))
}

/// As many pairs verified with the same library.
fn bare(pairs: usize) -> Result<Duration, Loose> {
    let seed = |n| Seed::new([n; 32]);
    let signer = HybridSigner::new(KeyRole::Root, &seed(1), Algorithm::MlDsa65, &seed(2))?;
    let message = signing_message(&sha256(&[b"a document"]));
    let (signatures, keys) = (signer.sign_pair(&message)?, signer.public());
    let signature = |key: usize| signatures.iter().find(|signature| signature.key_id == keys[key].id().as_bytes());
    let [one, other] = [0, 1].map(signature);
    let (one, other) = one.zip(other).ok_or("a pair has two")?;
    let calls = pairs.min(BARE_MAX);
    let began = processor();
    for _ in 0..calls {
        keys[0].verify(&message, &one.signature)?;
        keys[1].verify(&message, &other.signature)?;
    }
    Ok(processor().saturating_sub(began).mul_f64(pairs as f64 / calls.max(1) as f64))
}
