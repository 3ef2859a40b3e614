//! Which networks are run under which seeds, and what a long run says at its end.

use std::sync::Mutex;

use super::{Count, Plan, What, run};

/// Seeds that once found a defect.
const REGRESSIONS: &[u64] = &[
    6, // a late wish to retry, after the receipt, led to a second receipt
];

const TWO: Plan = Plan { nodes: 2, steps: 1_200, requests: 4, calm: 1, hostile: false };
const THREE: Plan = Plan { nodes: 3, ..TWO };
const FIVE: Plan = Plan { nodes: 5, steps: 2_400, requests: 6, ..TWO };
const THIRTY: Plan = Plan { nodes: 30, steps: 9_000, requests: 12, calm: 8, hostile: false };
const HOSTILE_AMONG_THREE: Plan = Plan { hostile: true, ..THREE };
const HOSTILE_AMONG_FIVE: Plan = Plan { hostile: true, ..FIVE };
const HOSTILE_AMONG_THIRTY: Plan = Plan { hostile: true, ..THIRTY };

/// Networks of the long run, for its last word.
const NETWORKS: usize = 7;

/// What all networks did so far, and how many of them are through.
static TOTAL: Mutex<(usize, Option<Count>)> = Mutex::new((0, None));

/// Prints how to replay a seed if the run under it panics.
struct Replay(u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "a failing test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed. Replay: COMITY_SIM_SEED={0} cargo test -p comity-core sim::", self.0);
        }
    }
}

fn set(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds of an ordinary run are few; of a long one, as many as asked for, a part of them in large
/// networks, which do as much in one run as small ones in many.
fn seeds(ordinary: u64, part: u64) -> Vec<u64> {
    match (set("COMITY_SIM_SEED"), set("COMITY_SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => REGRESSIONS.iter().copied().chain(0..count.div_ceil(part)).collect(),
        (None, None) => REGRESSIONS.iter().copied().take(usize::from(part == 1)).chain(0..ordinary).collect(),
    }
}

fn runs(name: &str, plan: Plan, seeds: &[u64]) -> Count {
    let mut count = Count::default();
    for seed in seeds {
        let _replay = Replay(*seed);
        count.merge(&run(*seed, plan));
    }
    assert!(count.of(What::Records) > 0, "the runs recorded something");
    if set("COMITY_SIM_SEEDS").is_some() {
        say(name, &count);
    }
    count
}

#[expect(clippy::print_stdout, reason = "a long run says what it did")]
fn say(name: &str, count: &Count) {
    let mut total = TOTAL.lock().expect("nothing fails under it");
    total.0 += 1;
    total.1.get_or_insert_default().merge(count);
    println!("{name}:\n{count}");
    if let (NETWORKS, Some(all)) = (total.0, &total.1) {
        println!("all networks:\n{all}");
    }
}

#[test]
fn two_engines_keep_every_promise_under_faults() {
    let count = runs("2 engines", TWO, &seeds(6, 1));
    let met = [What::Erasures, What::ErasuresCut, What::Holds, What::Releases, What::LateActs, What::LateCopies]
        .map(|what| (what, count.of(what)));
    let is_one_seed = set("COMITY_SIM_SEED").is_some();
    assert!(is_one_seed || met.iter().all(|(_, many)| *many > 0), "all that letting go meets was met: {met:?}");
}

#[test]
fn three_engines_keep_every_promise_under_faults() {
    runs("3 engines", THREE, &seeds(3, 1));
}

#[test]
fn five_engines_keep_every_promise_under_faults() {
    runs("5 engines", FIVE, &seeds(1, 2));
}

#[test]
fn thirty_engines_keep_every_promise_under_faults() {
    runs("30 engines", THIRTY, &seeds(1, 20));
}

#[test]
fn two_honest_engines_keep_every_promise_beside_a_hostile_one() {
    runs("3 engines, one hostile", HOSTILE_AMONG_THREE, &seeds(4, 1));
}

#[test]
fn four_honest_engines_keep_every_promise_beside_a_hostile_one() {
    runs("5 engines, one hostile", HOSTILE_AMONG_FIVE, &seeds(1, 2));
}

#[test]
fn many_honest_engines_keep_every_promise_beside_a_hostile_one() {
    runs("30 engines, one hostile", HOSTILE_AMONG_THIRTY, &seeds(1, 20));
}
