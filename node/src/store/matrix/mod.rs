//! The fault matrix: a life of the store is lived once on a sound disk, to know its calls, and then once for each of them
//! and each way in which it can go wrong. After each, what was acknowledged is there, and nothing else is (SPEC `[F-1]`).
//!
//! A normal run takes an even sample, and says of how many. All of it, and more power cuts:
//!
//! ```text
//! COMITY_FAULTS=all COMITY_CUTS=10000 cargo test --release -p comity --lib store::matrix -- --nocapture
//! ```

mod flips;
mod index;
mod life;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::disk::{
    Disk,
    faults::{Call, Fault, Plan, Site},
    journal::Dice,
};
use life::{Ended, Party};

/// Every so-manieth case is run unless all are asked for.
const SAMPLE: usize = 13;
/// Power cuts unless more are asked for.
const CUTS: usize = 1_000;

/// A life to be lived.
type Life = fn(&Party) -> Result<(), Ended>;

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn is_all() -> bool {
    std::env::var("COMITY_FAULTS").is_ok_and(|text| text == "all")
}

/// The calls of a life on a sound disk.
fn sites(life: Life) -> Vec<(Site, bool)> {
    let home = tempfile::tempdir().expect("folder");
    let party = Party::new(home.path());
    party.disk.faults.watch(home.path(), None);
    assert!(life(&party).is_ok(), "nothing fails on a sound disk");
    let sites = party.disk.faults.sites();
    party.verify(home.path(), &party.disk, None);
    sites
}

/// Each call and each way it can go wrong.
fn plans(sites: Vec<(Site, bool)>) -> Vec<Plan> {
    let each = |(site, wide): (Site, bool)| {
        let halves = |fault: Fault| if wide && fault.is_sudden() { 2 } else { 1 };
        let pairs: Vec<_> =
            Fault::ALL.into_iter().flat_map(|fault| (0..halves(fault)).map(move |half| (fault, half == 1))).collect();
        pairs.into_iter().map(move |(fault, half)| Plan { site: site.clone(), fault, half })
    };
    sites.into_iter().flat_map(each).collect()
}

/// One life in which one call goes wrong, the start after it, and the life after that; and at its end, or between, a
/// power cut.
fn live_through(plan: &Plan, life: Life, seed: u64) {
    let home = tempfile::tempdir().expect("folder");
    let root = home.path().join("data");
    fs::create_dir(&root).expect("made");
    let party = Party::new(&root);
    let faults = &party.disk.faults;
    faults.watch(&root, Some(plan.clone()));
    let ended = life(&party).is_err();
    assert!(faults.recover(), "it is met");
    assert!(ended || plan.fault != Fault::Kill, "nobody outlives a kill");
    // Whoever destroys old keys now believes the files as a system shows them after a failed sync.
    party.retire();
    let so_far = faults.journal().len();
    party.verify(&root, &party.disk, None);
    assert!(party.go_on().is_ok(), "it goes on");
    party.verify(&root, &party.disk, None);
    let journal = faults.journal();
    let dice = &mut Dice::new(seed);
    for after in [so_far, so_far + dice.throw(journal.len() - so_far), journal.len()] {
        let left = tempfile::tempdir_in(home.path()).expect("folder");
        let told = journal.cut(after, dice, left.path());
        verify_image(&party, left.path(), told);
        // And once more: the first start may have changed something.
        verify_image(&party, left.path(), told);
    }
}

/// What a power cut left is opened as by a node that starts.
fn verify_image(party: &Party, image: &Path, told: usize) {
    let disk = Disk::default();
    disk.faults.watch(image, None);
    party.verify(image, &disk, Some(told));
}

/// Cases run, by call and fault.
#[derive(Default)]
struct Table(BTreeMap<(Call, Fault), usize>);

impl Table {
    fn told(&self, life: &str, of: usize) -> String {
        let cell = |call: Call, fault: Fault| self.0.get(&(call, fault)).copied().unwrap_or(0);
        let mut text = format!(
            "\n| {life}: call | EIO | ENOSPC | killed | full from here | read-only from here |\n|---|---|---|---|---|---|\n"
        );
        let calls = [
            (Call::Open, "open"),
            (Call::Create, "open, new or emptied"),
            (Call::Write, "write"),
            (Call::Sync, "fdatasync, fsync"),
            (Call::Rename, "rename"),
            (Call::Mkdir, "mkdir"),
            (Call::Unlink, "unlink, rmdir"),
        ];
        for (call, name) in calls {
            let [eio, enospc, kill, full, frozen] = Fault::ALL.map(|fault| cell(call, fault));
            writeln!(text, "| {name} | {eio} | {enospc} | {kill} | {full} | {frozen} |").expect("text");
        }
        let run: usize = self.0.values().sum();
        writeln!(text, "| ftruncate | no such call | | | | |\nrun: {run} of {of} cases").expect("text");
        text
    }
}

/// Runs the cases, every `step`th of them; panics with those that failed.
fn run(life: &str, lived: Life, plans: &[Plan], step: usize) {
    let (mut table, mut failed) = (Table::default(), Vec::new());
    for (seed, plan) in (0..).zip(plans).step_by(step) {
        *table.0.entry((plan.site.call, plan.fault)).or_default() += 1;
        if catch_unwind(AssertUnwindSafe(|| live_through(plan, lived, seed))).is_err() {
            failed.push(format!("{plan:?}"));
        }
    }
    eprintln!("{}", table.told(life, plans.len()));
    assert!(failed.is_empty(), "{} cases of {life} failed:\n{}", failed.len(), failed.join("\n"));
}

/// [F-1], [F-4], [F-6]: whatever call fails, in whatever way.
#[test]
fn every_call_of_a_life_may_fail() {
    let step = if is_all() { 1 } else { SAMPLE };
    run("a daily life", Party::daily, &plans(sites(Party::daily)), step);
}

/// [F-7]: calls that concern tiles; the others are those of a daily life.
#[test]
fn every_call_about_tiles_may_fail() {
    let mut plans = plans(sites(Party::tall));
    plans.retain(|plan| plan.site.path.starts_with("ledger/tile"));
    run("tiles", Party::tall, &plans, 1);
}

/// [F-1]: power cuts at any step of a life on a sound disk, with one writer and with some at once.
#[test]
fn the_power_may_go_at_any_step() {
    let count = number("COMITY_CUTS", CUTS);
    let lives: [(&str, Life, usize); 3] =
        [("daily", Party::daily, 4), ("crowd", Party::crowd, 4), ("tall", Party::tall, 2)];
    for (name, life, tenths) in lives {
        let home = tempfile::tempdir().expect("folder");
        let root = home.path().join("data");
        fs::create_dir(&root).expect("made");
        let party = Party::new(&root);
        party.disk.faults.watch(&root, None);
        assert!(life(&party).is_ok(), "nothing fails on a sound disk");
        let journal = party.disk.faults.journal();
        let images = home.path().join("images");
        fs::create_dir(&images).expect("made");
        let cuts = count * tenths / 10;
        let mut failed = Vec::new();
        journal.cuts(cuts, 7, &images, |after, image, told| {
            if catch_unwind(AssertUnwindSafe(|| verify_image(&party, image, told))).is_err() {
                failed.push(after);
            }
        });
        eprintln!("power cuts in a {name} life of {} steps: {cuts}", journal.len());
        assert!(failed.is_empty(), "after these steps of a {name} life: {failed:?}");
    }
}
