//! The demo as anybody runs it first: it must pass, say what it did, go on, and leave nothing running.

use std::{fs, io::BufRead as _, io::BufReader, process::Stdio};

use serde_json::Value;

use crate::rig::{comity, run, wait_until};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object on each line")).collect()
}

#[test]
fn the_demo_passes_and_goes_on_in_an_old_folder() {
    let folder = tempfile::Builder::new().prefix("comity-demo-it-").tempdir().expect("folder");
    let dir = folder.path().join("demo");
    let dir = dir.to_str().expect("a plain path");

    let (code, out, err) = run(&["--json", "demo", "--once", "--dir", dir]);
    assert_eq!(code, 0, "{out}{err}");
    let told = lines(&out);
    let of = |what: &str| told.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    assert_eq!(of("founded").len(), 1);
    let steps: Vec<&str> = of("signed").iter().map(|line| line["step"].as_str().expect("a step")).collect();
    let preservation = ["request", "acknowledge", "preserve", "extend", "confirm-extension"];
    let assistance = ["request", "acknowledge", "accept-with-conditions", "accept-conditions", "begin-execution"];
    let hand_over = ["deliver", "accept-terms", "take-custody", "close"];
    assert_eq!(steps, [&preservation[..], &assistance, &hand_over].concat());
    assert!(of("receipted").iter().all(|line| line["receipt"]["delivery"] == "receipted"));
    assert_eq!(of("receipted").len(), steps.len());
    assert!(of("verified").iter().all(|line| line["ok"] == true) && of("verified").len() == 3);
    assert_eq!(
        (&of("outsider")[0]["learned"], &of("outsider")[0]["size"]),
        (&Value::Bool(false), &Value::from(4)),
        "charter and profiles"
    );
    assert!(
        of("witnessed").len() == 3
            && of("witnessed").iter().all(|line| line["by"].as_array().is_some_and(|by| by.len() == 2))
    );
    assert_eq!(of("ended")[0]["ok"], true);
    for name in ["fingerprint", "ledger/checkpoint", "ledger/documents", "ledger/policy", "ledger/tile"] {
        assert!(fs::metadata(folder.path().join("demo/outside").join(name)).is_ok(), "{name}");
    }

    let (code, out, err) = run(&["--json", "demo", "--once", "--dir", dir]);
    assert_eq!(code, 0, "{out}{err}");
    let told = lines(&out);
    assert!(told.iter().any(|line| line["what"] == "goes-on") && !told.iter().any(|line| line["what"] == "founded"));
    let verified = told.iter().find(|line| line["what"] == "verified").expect("verified");
    assert_eq!(verified["verified"]["records"], 52, "both runs are in the one ledger");
}

/// A mistyped folder shows before anything is made.
#[test]
fn a_folder_that_is_not_there_ends_the_demo_at_once() {
    let folder = tempfile::Builder::new().prefix("comity-demo-it-").tempdir().expect("folder");
    let places = ["demo", "nowhere"].map(|name| folder.path().join(name));
    let [dir, nowhere] = places.each_ref().map(|path| path.to_str().expect("a plain path"));
    let (code, _, err) = run(&["demo", "--once", "--dir", dir, "--evidence", nowhere]);
    assert!(code != 0 && err.contains("cli.disk") && err.contains("nowhere"), "{code}: {err}");
    assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0, "nothing was made");
}

#[test]
fn killing_the_demo_ends_its_nodes() {
    let folder = tempfile::Builder::new().prefix("comity-demo-it-").tempdir().expect("folder");
    let mut command = comity();
    command.args(["--json", "demo", "--dir"]).arg(folder.path().join("demo")).stdout(Stdio::piped());
    let mut demo = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let mut out = BufReader::new(demo.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("\"stays\"") {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("reads"), 0, "the demo ended before it invited");
    }
    let children = children_of(demo.id());
    assert_eq!(children.len(), 3);
    demo.kill().expect("killed");
    demo.wait().expect("ended");
    wait_until("the nodes end with the demo", || children.iter().all(|child| !is_alive(*child)));
}

/// Processes whose parent this is, as the system's process table has them.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a process table").filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = parent.to_string();
    ids.filter(|id| stat(*id).is_some_and(|fields| fields.get(1) == Some(&parent))).collect()
}

fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

/// What follows the name in `/proc/<id>/stat`: state, parent, and more.
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    Some(after.split(' ').map(str::to_owned).collect())
}

/// Each case ends as its table says, with both ledgers whole and nothing learned by the third Party.
#[test]
fn every_case_is_carried_through() {
    for (case, last, steps) in [("emergency", "closed", 6), ("extradition", "closed", 12), ("epoc", "closed", 9)] {
        let (code, out, err) = run(&["--json", "demo", "--once", "--case", case]);
        assert_eq!(code, 0, "{case}: {out}{err}");
        let told = lines(&out);
        let of = |what: &str| told.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
        assert_eq!(of("signed").len(), steps, "{case}: {out}");
        assert_eq!(of("receipted").last().expect("acts")["state"], last, "{case}");
        assert!(of("verified").iter().all(|line| line["ok"] == true) && of("verified").len() == 3, "{case}");
        assert_eq!(of("outsider")[0]["learned"], false, "{case}");
        assert_eq!(of("ended")[0]["ok"], true, "{case}");
    }
}
