//! A longer and longer ledger: appends, and in a process of its own, so that its memory can be told, opening,
//! proving and verifying.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{fs, hint::black_box, path::Path, process::Command, thread, time::Duration};

use comity::bench::{
    Load,
    ledger::{Reopened, drive_ledger},
    rank,
};
use comity_core::crypto::sha256;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Loose,
    figures::{Column, memory, show},
    rig::{FOLDER, tell},
};

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const WRITERS: usize = 64;
const RECORD: usize = 1024;
/// Proofs whose times are ranked.
const PROOFS: usize = 5_000;
/// The limit of the cores is taken over this.
const HASHING: Duration = Duration::from_secs(1);
/// A leaf and a node of the tree: a mark and two digests.
const NODE: usize = 65;

const COLUMNS: [Column; 10] = [
    ("records", "records", 0),
    ("appends_per_s", "appends a second", 0),
    ("append_p99_ms", "p99 ms", 2),
    ("open_ms", "open ms", 1),
    ("resident_mib", "memory after it, MiB", 1),
    ("grown_mib", "of that by opening", 1),
    ("proof_p50_us", "proof p50, us", 1),
    ("proof_p99_us", "proof p99, us", 1),
    ("verified_per_s", "verified a second", 0),
    ("beside_hashing", "beside hashing", 2),
];

/// Prints a row for each size.
pub(crate) fn run(most: u64, as_json: bool) -> Result<(), Loose> {
    let mut rows = Vec::new();
    for records in SIZES.into_iter().filter(|records| *records <= most) {
        tell(&format!("{records} records"));
        let folder = FOLDER.get().ok_or("no folder")?.join(records.to_string());
        rows.push(measure(records, &folder)?);
        fs::remove_dir_all(&folder)?;
    }
    show("comity/bench-growth-ledger/v1", &COLUMNS, &rows, as_json);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
fn measure(records: u64, folder: &Path) -> Result<Vec<f64>, Loose> {
    let written = drive_ledger(folder, Load { records, writers: WRITERS, bytes: RECORD })?;
    let hashing = hashed_per_s();
    let output = Command::new(std::env::current_exe()?).arg("reopen").arg(folder).output()?;
    let told: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("it was not opened again: {}", String::from_utf8_lossy(&output.stderr)))?;
    let figure = |name: &str| told[name].as_f64().ok_or_else(|| format!("no figure {name}"));
    let verified = figure("verified_per_s")?;
    let mut row = vec![records as f64, written.per_s, written.p99.as_secs_f64() * 1e3];
    for name in ["open_ms", "resident_mib", "grown_mib", "proof_p50_us", "proof_p99_us"] {
        row.push(figure(name)?);
    }
    row.extend([verified, verified / hashing]);
    Ok(row)
}

/// Opens the ledger in this process, which has done nothing else, and prints what that and the rest took.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(crate) fn reopened(folder: &Path) -> Result<(), Loose> {
    let resident = || memory(std::process::id(), "VmRSS");
    let before = resident();
    let again = Reopened::open(folder)?;
    let after = resident();
    let proofs = again.proofs(PROOFS);
    let (verify, verified) = again.verify()?;
    let us = |percent| rank(&proofs, percent).as_secs_f64() * 1e6;
    println!(
        "{}",
        json!({
            "open_ms": again.open.as_secs_f64() * 1e3, "resident_mib": after, "grown_mib": after - before,
            "proof_p50_us": us(50), "proof_p99_us": us(99),
            "verified_per_s": verified.records as f64 / verify.as_secs_f64(),
        })
    );
    Ok(())
}

/// Records a second that all cores together can hash: the bytes of each, its leaf and its node of the tree. Neither
/// side has signatures in it: these records carry none.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
fn hashed_per_s() -> f64 {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hash = || {
        let (record, node, began, mut count) = (vec![7; RECORD], [7; NODE], Instant::now(), 0_u64);
        while began.elapsed() < HASHING {
            for _ in 0..100 {
                black_box((sha256(&[&record]), sha256(&[&node]), sha256(&[&node])));
            }
            count += 100;
        }
        count as f64 / began.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..cores).map(|_| scope.spawn(hash)).collect();
        all.into_iter().map(|one| one.join().expect("hashing does not panic")).sum()
    })
}
