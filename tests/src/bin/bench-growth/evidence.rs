//! The same bytes of evidence in more and more hand-overs, all asked for at once: from the first order until the last
//! is on disk, verified.

use tokio::time::Instant;

use crate::{
    Loose,
    figures::{Column, memory, processor, show},
    handover::Case,
    rig::{Node, tell, wait_until},
};

/// Hand-overs at once.
const COUNTS: [u64; 4] = [1, 5, 20, 50];

const COLUMNS: [Column; 8] = [
    ("transfers", "at once", 0),
    ("mb_each", "MB each", 1),
    ("seconds", "s", 2),
    ("mb_per_s", "MB/s", 0),
    ("cpu_s_per_gb", "CPU s/GB, both", 2),
    ("taker_mib", "taker at most, MiB", 1),
    ("giver_mib", "giver at most, MiB", 1),
    ("pauses", "waits seen", 0),
];

/// Prints a row for each count.
pub(crate) fn run(most: u64, mib: u64, as_json: bool) -> Result<(), Loose> {
    let mut rows = Vec::new();
    for count in COUNTS.into_iter().filter(|count| *count <= most) {
        tell(&format!("{count} at once"));
        rows.push(measure(count, mib << 20)?);
    }
    show("comity/bench-growth-evidence/v1", &COLUMNS, &rows, as_json);
    tell("memory is what no file stands behind, at most while they were under way");
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
fn measure(count: u64, all: u64) -> Result<Vec<f64>, Loose> {
    let case = Case::new();
    let each = usize::try_from(all / count)?;
    let deliveries: Vec<String> = (0..count).map(|n| case.part_handed_over(each, n)).collect();
    let moved = (all / count * count) as f64;
    let nodes = [case.arvia(), case.belmar()];
    let used = || nodes.map(|node| processor(node.process())).iter().sum::<std::time::Duration>();
    let (mut most, mut pauses, mut left) = ([0.0_f64; 2], 0_u32, deliveries.len());
    let (began, before) = (Instant::now(), used());
    for delivery in &deliveries {
        case.ask_to_fetch(delivery);
    }
    wait_until("all is fetched", || {
        for (most, node) in most.iter_mut().zip(nodes) {
            *most = most.max(anonymous(node));
        }
        // From the last on: each is looked at until it is done, and then the one before it.
        while left > 0 {
            match case.progress(&deliveries[left - 1])["stage"].as_str() {
                Some("done") => left -= 1,
                Some("waiting") => {
                    pauses += 1;
                    break;
                }
                Some("failed") => panic!("{}", case.progress(&deliveries[left - 1])),
                _ => break,
            }
        }
        left == 0
    });
    let (took, cpu) = (began.elapsed().as_secs_f64(), (used() - before).as_secs_f64());
    let gb = moved / 1e9;
    let mb_each = moved / 1e6 / count as f64;
    Ok(vec![count as f64, mb_each, took, gb * 1e3 / took, cpu / gb, most[0], most[1], f64::from(pauses)])
}

fn anonymous(node: &Node) -> f64 {
    memory(node.process(), "RssAnon")
}
