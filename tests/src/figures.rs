//! What the system counts of a process: processor time and memory. And how figures are shown, as a table or for
//! programs.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{fs, time::Duration};

use serde_json::{Map, Value, json};

/// The unit of processor time in /proc on every Linux this runs on.
const TICK_MS: u64 = 10;

/// Processor time of a process, all threads, in the system's hundredths of a second.
pub(crate) fn processor(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name in brackets may hold anything; user and system time are the 12th and 13th after it.
    let rest = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = rest.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * TICK_MS)
}

/// Memory of a process in MiB, by the name of a line: `VmRSS` is what is resident, `RssAnon` what of it no file
/// stands behind.
#[allow(clippy::cast_precision_loss, reason = "no process has so much")]
pub(crate) fn memory(process: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let told = status.lines().find_map(|told| told.strip_prefix(line)?.strip_prefix(':')).expect("a line");
    let kib: u64 = told.trim().trim_end_matches(" kB").parse().expect("a number");
    kib as f64 / 1024.0
}

/// A column: its name for programs, its head for people, and the places shown.
pub(crate) type Column = (&'static str, &'static str, usize);

/// Prints rows of figures, as a table or as one JSON object.
pub(crate) fn show(schema: &str, columns: &[Column], rows: &[Vec<f64>], as_json: bool) {
    if as_json {
        let row = |row: &Vec<f64>| -> Map<String, Value> {
            columns.iter().zip(row).map(|((key, ..), figure)| ((*key).to_owned(), json!(figure))).collect()
        };
        println!("{}", json!({ "schema": schema, "rows": rows.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    let heads: Vec<&str> = columns.iter().map(|(_, head, _)| *head).collect();
    println!("| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows {
        let cells: Vec<String> = columns.iter().zip(row).map(|((.., places), f)| format!("{f:.places$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}
