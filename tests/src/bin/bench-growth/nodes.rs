//! More and more live nodes on one machine, all linked to all, one of them with requests for all others in turn.

use std::time::Duration;

use crate::{
    Loose,
    figures::{Column, memory, processor, show},
    rig::{Federation, Node, pause, tell},
    sending::{IN_FLIGHT, send},
};

/// Nodes: as many as there are codes for users at the last.
const SIZES: [usize; 5] = [2, 5, 10, 20, 40];
/// So long nobody says anything but pings.
const REST: Duration = Duration::from_secs(10);

const COLUMNS: [Column; 8] = [
    ("nodes", "nodes", 0),
    ("per_s", "acknowledged a second", 0),
    ("p50_ms", "p50 ms", 0),
    ("p99_ms", "p99 ms", 0),
    ("author_mib", "author, MiB", 1),
    ("other_mib", "another, mean, MiB", 1),
    ("idle_mib", "idle before, mean, MiB", 1),
    ("idle_percent", "idle, % of a core each", 2),
];

/// Prints a row for each size.
pub(crate) fn run(most: u64, events: u64, as_json: bool) -> Result<(), Loose> {
    let mut rows = Vec::new();
    for count in SIZES.into_iter().filter(|count| *count as u64 <= most) {
        tell(&format!("{count} nodes"));
        rows.push(measure(count, events)?);
    }
    show("comity/bench-growth-nodes/v1", &COLUMNS, &rows, as_json);
    tell(&format!("{events} events each, {IN_FLIGHT} under way"));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a few nodes")]
fn measure(count: usize, events: u64) -> Result<Vec<f64>, Loose> {
    let federation = Federation::of(count);
    let nodes = &federation.nodes;
    let (idle_mib, before) = (mean(nodes.iter().map(resident)), used(nodes));
    pause(REST);
    let idle = (used(nodes) - before).as_secs_f64() / REST.as_secs_f64() / count as f64;
    let to: Vec<&'static str> = nodes[1..].iter().map(|node| node.code).collect();
    let sent = send(&nodes[0], &to, events)?;
    let [p50, p99] = [sent.p50, sent.p99].map(|wait| wait.as_secs_f64() * 1e3);
    let others = mean(nodes[1..].iter().map(resident));
    Ok(vec![count as f64, sent.per_s, p50, p99, resident(&nodes[0]), others, idle_mib, 100.0 * idle])
}

fn resident(node: &Node) -> f64 {
    memory(node.process(), "VmRSS")
}

fn used(nodes: &[Node]) -> Duration {
    nodes.iter().map(|node| processor(node.process())).sum()
}

#[allow(clippy::cast_precision_loss, reason = "a few nodes")]
fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = figures.len() as f64;
    figures.sum::<f64>() / count
}
