//! The benchmarks of the program itself, small: that they measure what they say and leave nothing behind.
//! How fast anything is is not asked here.

use std::fs;

use serde_json::Value;

use crate::rig::run;

fn measured(arguments: &[&str]) -> Value {
    let place = tempfile::Builder::new().prefix("comity-bench-it-").tempdir().expect("folder");
    let dir = place.path().to_str().expect("a plain path");
    let (code, out, err) = run(&[&["--json", "bench"], arguments, &["--dir", dir]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(fs::read_dir(place.path()).expect("reads").count(), 0, "nothing is left");
    serde_json::from_str(&out).expect("one object")
}

fn above_zero(of: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let figure = of.pointer(pointer).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0), "{pointer}: {of}");
    }
}

#[test]
fn the_ledger_is_measured_beside_a_plain_file() {
    let measured = measured(&["ledger", "--records", "300", "--writers", "5", "--rounds", "2"]);
    assert_eq!((&measured["schema"], &measured["records"]), (&"comity/bench-ledger/v1".into(), &300.into()));
    above_zero(&measured, &["/ledger/per_s", "/plain_file/per_s", "/one_synced_append/p50_ms", "/verified_per_s"]);
    let disk = measured["ledger"]["disk"].as_f64().expect("a figure");
    assert!(disk > 1.0, "what is signed and sealed is no smaller than what went in: {disk}");
}

#[test]
fn requests_between_two_nodes_are_measured_until_their_receipts() {
    let measured = measured(&["exchange", "--events", "5", "--in-flight", "2"]);
    assert_eq!((&measured["schema"], &measured["events"]), (&"comity/bench-exchange/v1".into(), &5.into()));
    above_zero(&measured, &["/per_s", "/limit_per_s", "/p50_ms", "/p99_ms", "/author_cpu_us", "/recipient_cpu_us"]);
    let order = ["/p50_ms", "/p99_ms"].map(|of| measured.pointer(of).and_then(Value::as_f64));
    assert!(order[0] <= order[1], "{measured}");
}

#[test]
fn evidence_is_measured_beside_the_same_files_written_and_synced() {
    let measured = measured(&["evidence", "--mib", "2", "--files", "3", "--rounds", "2"]);
    assert_eq!((&measured["schema"], &measured["files"]), (&"comity/bench-evidence/v1".into(), &3.into()));
    let rates = ["/written_mb_per_s", "/sealed_mb_per_s", "/fetched_mb_per_s", "/limit_mb_per_s"];
    above_zero(&measured, &rates);
    above_zero(&measured, &["/chunk_us/seal", "/chunk_us/open", "/chunk_us/root", "/chunk_us/digest"]);
}

#[test]
fn a_folder_that_takes_nothing_says_so() {
    let (code, _, err) = run(&["bench", "ledger", "--records", "10", "--dir", "/proc/nowhere"]);
    assert!(code == 1 && err.contains("cli.disk") && err.contains("/proc/nowhere"), "{code}: {err}");
    let (code, _, _) = run(&["bench", "ledger", "--records", "0"]);
    assert_eq!(code, 2);
}
