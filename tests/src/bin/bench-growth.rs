//! How figures change as things grow: with more live nodes, a longer ledger, more evidence under way at once.
//!
//! ```text
//! cargo run --release -p comity-tests --bin bench-growth -- nodes [--events N]
//! cargo run --release -p comity-tests --bin bench-growth -- ledger
//! cargo run --release -p comity-tests --bin bench-growth -- evidence [--mib N]
//! ```
//!
//! `--most N` leaves out what is larger, `--json` prints one object. The program is `comity` beside this one, or
//! what `--comity PATH` names; build it first. Files lie below the folder for temporary files, or below `--dir
//! DIR`. It measures and asserts nothing; figures and their reading are in `node/BENCHMARKS.md`.

// Shared with the integration tests and the long runs, which use more of it.
#[path = "../figures.rs"]
mod figures;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../handover.rs"]
mod handover;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../lan.rs"]
mod lan;
#[path = "../place.rs"]
mod place;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../rig.rs"]
mod rig;

#[path = "bench-growth/evidence.rs"]
mod evidence;
#[path = "bench-growth/ledger.rs"]
mod ledger;
#[path = "bench-growth/nodes.rs"]
mod nodes;
#[path = "bench-growth/sending.rs"]
mod sending;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

type Loose = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "bench-growth [--comity PATH] [--dir DIR] [--json] [--most N] nodes [--events N]
bench-growth [--dir DIR] [--json] [--most N] ledger
bench-growth [--comity PATH] [--dir DIR] [--json] [--most N] evidence [--mib N]";
/// What may be set, and to what if it is not.
const NUMBERS: [(&str, u64); 3] = [("--events", 2_000), ("--mib", 1_024), ("--most", u64::MAX)];

fn main() -> Result<(), Loose> {
    let mut numbers = BTreeMap::from(NUMBERS);
    let (mut words, mut paths, mut as_json) = (Vec::new(), BTreeMap::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--json" => as_json = true,
            "--comity" | "--dir" => drop(paths.insert(argument.clone(), PathBuf::from(value()?))),
            name if name.starts_with("--") => *numbers.get_mut(name).ok_or(USAGE)? = value()?.parse()?,
            word => words.push(word.to_owned()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["reopen", folder] = &words[..] {
        return ledger::reopened(Path::new(folder));
    }
    let _janitor = place::prepare("bench-growth", paths.remove("--comity"), paths.remove("--dir"))?;
    let most = numbers["--most"];
    match &words[..] {
        ["nodes"] => nodes::run(most, numbers["--events"], as_json),
        ["ledger"] => ledger::run(most, as_json),
        ["evidence"] => evidence::run(most, numbers["--mib"], as_json),
        _ => Err(USAGE.into()),
    }
}
