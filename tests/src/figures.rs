//! Figures of nodes that run, and how figures are shown: as a table or for programs.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Duration;

use comity::bench::process;
use serde_json::{Map, Value, json};

/// Processor time of a node that runs.
pub(crate) fn processor(process: u32) -> Duration {
    process::processor(process).expect("it runs")
}

/// Its memory in MiB, by the name of a line.
#[allow(clippy::cast_precision_loss, reason = "no process has so much")]
pub(crate) fn memory(process: u32, line: &str) -> f64 {
    process::memory_kib(process, line).expect("it runs") as f64 / 1024.0
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
