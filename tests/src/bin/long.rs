//! The long runs: real processes, many faults, one table line each. What is lost, what is there twice, what
//! reached somebody it was not for.
//!
//! ```text
//! cargo run --release -p comity-tests --bin long -- kills --rounds 200 --seed 7
//! cargo run --release -p comity-tests --bin long -- backlog --events 10000
//! cargo run --release -p comity-tests --bin long -- evidence-kills --rounds 20 --seed 7
//! ```
//!
//! The program is `comity` beside this one, or what `--comity PATH` names; build it first. Files lie below the
//! folder for temporary files, or below `--dir DIR`. Everything goes with this process, also when that is
//! killed.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

// Shared with the integration tests, which use more of it.
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../backlog.rs"]
mod backlog;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../handover.rs"]
mod handover;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../lan.rs"]
mod lan;
#[path = "../place.rs"]
mod place;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../rig.rs"]
mod rig;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../story.rs"]
mod story;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use backlog::{Differences, Feed, Owed, Passed};
use handover::bytes;
use lan::Lan;
use rig::{Federation, now, tell, wait_until};
use story::{Case, Tally, kill_in_the_middle, one_story};

type Loose = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "long [--comity PATH] [--dir DIR] kills [--rounds N] [--seed S]
long [--comity PATH] [--dir DIR] backlog [--events N]
long [--comity PATH] [--dir DIR] evidence-kills [--rounds N] [--seed S] [--mib N]";
/// What may be set, and to what if it is not.
const NUMBERS: [(&str, u64); 4] = [("--rounds", 200), ("--seed", 0x5eed), ("--events", 10_000), ("--mib", 200)];
/// Threads of a backlog.
const THREADS: usize = 100;

fn main() -> Result<(), Loose> {
    let mut told = BTreeMap::from(NUMBERS);
    let (mut what, mut paths) = (String::new(), BTreeMap::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--comity" | "--dir" => drop(paths.insert(argument.clone(), PathBuf::from(value()?))),
            name if name.starts_with("--") => *told.get_mut(name).ok_or(USAGE)? = value()?.parse()?,
            name => what = name.to_owned(),
        }
    }
    let (program, dir) = (paths.remove("--comity"), paths.remove("--dir"));
    let _janitor = place::prepare("long", program, dir)?;
    let number = |name: &str| told[name];
    println!("| run | cases | faults | lost | twice | leaked | more |\n|---|---|---|---|---|---|---|");
    let clean = match what.as_str() {
        "kills" => kills(number("--rounds"), number("--seed")),
        "backlog" => pass_backlog(usize::try_from(number("--events"))?),
        "evidence-kills" => evidence_kills(number("--rounds"), number("--seed"), usize::try_from(number("--mib"))?)?,
        _ => return Err(USAGE.into()),
    };
    clean.then_some(()).ok_or_else(|| "something is not as it was promised".into())
}

struct Line {
    run: &'static str,
    cases: usize,
    faults: u64,
    tally: Tally,
    more: String,
}

impl Line {
    /// Prints it; true if nothing is wrong.
    fn print(&self) -> bool {
        let Self { run, cases, faults, tally: Tally { lost, twice, leaked }, more } = self;
        println!("| {run} | {cases} | {faults} | {lost} | {twice} | {leaked} | {more} |");
        self.tally == Tally::default()
    }
}

/// Numbers from a seed, so that a run can be asked for again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }
}

/// Arvia and Belmar die at random in the middle of acts; Corvia looks on and may learn nothing.
fn kills(rounds: u64, seed: u64) -> bool {
    let mut federation = Federation::of(3);
    let mut random = Random(seed);
    let (mut cases, mut fell) = (Vec::new(), [0; 3]);
    let began = now();
    for round in 0..rounds {
        let case = Case::new();
        let drawn = random.next();
        let (side, delay) = (usize::from(drawn & 1 == 1), Duration::from_millis((drawn >> 1) % 60));
        kill_in_the_middle(&mut federation, side, delay, &case);
        let acknowledged = case.acknowledged.lock().expect("nobody panics with it").len();
        fell[acknowledged] += 1;
        let node = &mut federation.nodes[side];
        node.start(&[]);
        assert!(node.answers_or_ended(), "round {round}: {} starts again", node.code);
        case.complete(&federation.nodes[0], &federation.nodes[1]);
        tell(&format!("round {round}: {} after {delay:?}, {acknowledged} acknowledged", federation.nodes[side].code));
        cases.push(case);
    }
    let tally = Tally::of(&federation.nodes[..2], &federation.nodes[2..], &cases);
    let more =
        format!("seed {seed}; none, one, both acts acknowledged when it fell: {fell:?}; {} s", (now() - began) / 1_000);
    let clean = Line { run: "kills", cases: cases.len(), faults: rounds, tally, more }.print();
    one_story(&federation.nodes[..2], &cases);
    clean
}

/// Belmar is away while events for it are recorded, and comes back.
fn pass_backlog(events: usize) -> bool {
    let lan = Lan::of(3).map_err(|why| tell(&format!("on loopback: {why}"))).ok();
    let mut federation = Federation::stopped(3);
    match &lan {
        Some(lan) => lan.house(&mut federation, None),
        None => federation.nodes.iter_mut().for_each(|node| node.set("COMITY_LOG", "net=debug")),
    }
    federation.start();
    federation.nodes[1].stop();
    let began = now();
    let owed = Owed::record(&federation.nodes[0], "XB", THREADS.min(events), events.div_ceil(THREADS));
    tell(&format!("{} events recorded in {} ms", owed.count(), now() - began));
    let [arvia, belmar, corvia] = &mut federation.nodes[..] else { unreachable!("three") };
    let passed = Passed::watch(arvia, belmar, &owed);
    tell(&passed.told());
    let found = passed.differences;
    let more = format!(
        "{}; first receipt {} ms after the start, all {} ms; oldest event was receipt {}; \
         {} deliveries; {} threads out of order; {} numbers missing",
        if lan.is_some() { "namespaces" } else { "loopback" },
        passed.first_ms,
        passed.all_ms,
        passed.oldest,
        passed.sent,
        found.disordered,
        found.gaps,
    );
    let tally = Tally { lost: found.lost, twice: found.twice, leaked: Feed::default().next(corvia).len() };
    let clean = Line { run: "backlog", cases: passed.events, faults: 1, tally, more }.print();
    clean && found == Differences::default()
}

/// Giver or taker dies while evidence is fetched: what was verified is not fetched again, what arrives is what
/// was sent.
fn evidence_kills(rounds: u64, seed: u64, mib: usize) -> Result<bool, Loose> {
    let mut case = handover::Case::new();
    let home = case.federation.folder.path().to_owned();
    let folder = home.join("files");
    fs::create_dir(&folder)?;
    fs::write(folder.join("large"), bytes(mib << 20, seed))?;
    let delivery = case.handed_over(&folder);
    let (mut random, size) = (Random(seed), (mib as u64) << 20);
    let (mut worst, mut again, mut during) = (0, 0, 0);
    let began = now();
    case.ask_to_fetch(&delivery);
    for round in 0..rounds {
        let drawn = random.next();
        let place = round * (size / (rounds + 1)) + (drawn >> 1) % (size / (rounds + 1));
        let side = usize::from(drawn & 1 == 1);
        let mut had = 0;
        wait_until("it comes so far", || {
            had = case.moved(&delivery).0;
            had >= place
        });
        during += u64::from(case.progress(&delivery)["stage"] != "done");
        case.kill_and_start(side, &[]);
        // What is found again is all that is there before anything is fetched.
        let mut found = 0;
        wait_until("it goes on", || {
            let (bytes, fetched) = case.moved(&delivery);
            found = if side == 0 { bytes.saturating_sub(fetched) } else { bytes };
            fetched > 0 || case.progress(&delivery)["stage"] == "done"
        });
        let lost = had.saturating_sub(found);
        worst = worst.max(lost);
        again += lost;
        let whose = case.federation.nodes[side].code;
        tell(&format!("round {round}: {whose} at {} MiB, {lost} verified bytes to fetch again", had >> 20));
    }
    wait_until("all is fetched", || case.progress(&delivery)["stage"] == "done");
    let took = now() - began;
    case.take_custody(&delivery);
    let received = home.join("received");
    let (code, said) = case.export(&received);
    let same = code == 0 && same_file(&folder, &received)?;
    let tally = Tally { lost: usize::from(!same), twice: 0, leaked: 0 };
    let more = format!(
        "seed {seed}; {mib} MiB in {} s; verified bytes fetched again: {worst} at most by one kill, {again} in all; \
         twice and leaked are not looked at{}",
        took / 1_000,
        if same { String::new() } else { format!("; NOT THE SAME: {said}") },
    );
    Ok(Line { run: "evidence-kills", cases: 1, faults: during, tally, more }.print())
}

fn same_file(ours: &Path, theirs: &Path) -> Result<bool, Loose> {
    Ok(fs::read(ours.join("large"))? == fs::read(theirs.join("large"))?)
}
