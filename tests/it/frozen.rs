//! Version 1 of everything that is signed or stored: folders of a network made once, which every later build must open, verify
//! and go on with. `tests/frozen/v1.tar.gz` is never made anew; what changes a shape is a version 2 beside it.
//!
//! ```text
//! v1.tar.gz: arvia and belmar, stopped; recovery keys and a chain of backups; an exported ledger; facts.json
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::backup::Shelf;
use crate::faults::is_there;
use crate::handover::Case;
use crate::rig::{Federation, Node, fresh_id, now, preservation, run, wait_until};
use crate::skip;

/// The variable that lets the folders be made: by hand, for a version that has none.
const MAKE: &str = "COMITY_FREEZE";
/// Arvia and Belmar, and Corvia as their witness.
const PARTIES: usize = 3;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace").join("tests/frozen/v1.tar.gz")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn sha256(bytes: &[u8]) -> String {
    comity_core::ids::hex(&Sha256::digest(bytes))
}

/// Those folders, stopped, and what was known of them when they were made.
fn opened() -> (Federation, Value) {
    let mut federation = Federation::stopped(PARTIES);
    let folder = federation.folder.path().to_owned();
    fs::remove_dir_all(folder.join("exercise")).expect("removed");
    let unpacked = Command::new("tar").args(["-xzf", text(&kept()), "-C", text(&folder)]).status().expect("tar runs");
    assert!(unpacked.success());
    let facts = fs::read(folder.join("facts.json")).expect("reads");
    let facts: Value = serde_json::from_slice(&facts).expect("JSON");
    // Keys and documents have their time: nodes live on in theirs.
    let clock = facts["clock"].as_str().expect("a time").to_owned();
    for node in &mut federation.nodes {
        node.under(&["faketime", "--exclude-monotonic", "-f", &clock]);
    }
    (federation, facts)
}

/// What a stopped node's folder says of its ledger.
fn ledger_of(node: &Node, folder: &Path) -> Value {
    let passphrase = folder.join("passphrase");
    let verify = ["--json", "--data", text(&node.data), "ledger", "verify", "--passphrase-file", text(&passphrase)];
    let (code, verified, said) = run(&verify);
    assert_eq!(code, 0, "{}: {said}", node.code);
    let verified: Value = serde_json::from_str(&verified).expect("an object");
    json!({ "records": verified["records"], "root": verified["root"], "erased": verified["erased"] })
}

/// What a running node shows of requests.
fn shown_by(node: &Node, requests: &[&str]) -> Value {
    let thread = |id: &&str| {
        let (status, thread) = node.get(&format!("/v1/requests/{id}")).expect("answered");
        json!({ "id": id, "status": status, "state": thread["standing"]["state"], "events": thread["events"] })
    };
    requests.iter().map(thread).collect()
}

/// Of what is shown of requests, what stays: receipts become witnessed, deadlines draw near.
fn lasting(shown: &Value) -> Vec<Value> {
    let event = |event: &Value| {
        ["event_id", "author", "step", "parents", "fields", "facts", "index", "recorded"]
            .map(|fact| event[fact].clone())
    };
    let request = |request: &Value| {
        let events = request["events"].as_array().into_iter().flatten().map(event);
        json!({ "id": request["id"], "status": request["status"], "state": request["state"], "events": events.collect::<Vec<_>>() })
    };
    shown.as_array().expect("a list").iter().map(request).collect()
}

/// A request of each fate, evidence handed over, a draft, a hold, a turned key, witnesses, a backup, an export.
fn make() -> (Federation, Value) {
    let mut case = Case::among(PARTIES);
    let shelf = Shelf::of(&mut case.federation);
    let delivery = case.part_handed_over(70_000, 7);
    case.ask_to_fetch(&delivery);
    case.wait_for_stage(&delivery, "done");
    case.take_custody(&delivery);
    let gone = fresh_id();
    case.arvia().insist("/v1/requests", &preservation(&gone));
    let withdraw = json!({ "command_id": fresh_id(), "step": "withdraw", "authority": "central",
        "fields": { "release.reason": "not-needed" } });
    case.arvia().insist(&format!("/v1/requests/{gone}/steps"), &withdraw);
    let idle = |node: &Node| node.look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty);
    wait_until("nothing is owed", || idle(case.arvia()) && idle(case.belmar()));
    let first = shelf.create(case.arvia());
    case.arvia().insist(&format!("/v1/requests/{gone}/erasure"), &json!({ "ground": "court-order" }));
    let open = fresh_id();
    case.arvia().insist("/v1/requests", &preservation(&open));
    let held = case.arvia().voice().ask(
        "PUT",
        &format!("/v1/requests/{open}/hold"),
        Some(&json!({ "reason": "proceedings" })),
    );
    assert_eq!(held.expect("answered").0, 200);
    let draft = json!({ "procedure": "PRES", "fields": { "offence.facts": { "lang": "en", "text": "a draft" } } });
    let drafted = fresh_id();
    assert_eq!(
        case.arvia().voice().ask("PUT", &format!("/v1/drafts/{drafted}"), Some(&draft)).expect("answered").0,
        200
    );
    wait_until("nothing is owed, and all of it is witnessed", || {
        let own = case.arvia().look("/v1/ledger");
        idle(case.arvia()) && idle(case.belmar()) && own["witnessed"]["size"] == own["size"]
    });
    let passphrase = case.federation.folder.path().join("passphrase");
    let data = case.federation.nodes[0].data.clone();
    let roll = ["key", "roll", "key-encryption", "--data", text(&data), "--passphrase-file", text(&passphrase)];
    assert_eq!(run(&roll).0, 0);
    let node = &mut case.federation.nodes[0];
    assert_eq!(node.stop(), 0);
    node.start(&[]);
    assert!(node.answers_or_ended());
    case.federation.linked();
    let second = shelf.create(case.arvia());
    let exported = case.federation.folder.path().join("exported");
    assert_eq!(run(&["--data", text(&data), "ledger", "export", text(&exported)]).0, 0);
    let requests = [case.id.as_str(), &gone, &open];
    let shown: Vec<Value> = case.federation.nodes.iter().map(|node| shown_by(node, &requests)).collect();
    let settings = fs::read_to_string(data.join("comity.toml")).expect("reads");
    let fingerprint =
        settings.lines().find_map(|line| line.strip_prefix("charter = ")).expect("pinned").trim_matches('"');
    let seconds = now() / 1000 + 60;
    for node in &mut case.federation.nodes {
        assert_eq!(node.stop(), 0);
    }
    let folder = case.federation.folder.path().to_owned();
    let ledgers: Vec<Value> = case.federation.nodes.iter().map(|node| ledger_of(node, &folder)).collect();
    let facts = json!({
        "clock": format!("@{}", date(seconds)), "fingerprint": fingerprint, "case": case.id, "gone": gone, "open": open,
        "drafted": drafted, "delivery": delivery, "shown": shown, "ledgers": ledgers, "backups": [first, second],
    });
    (case.federation, facts)
}

/// As `faketime` reads it, in UTC.
fn date(seconds: u64) -> String {
    let shown = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d %H:%M:%S"]).output();
    String::from_utf8(shown.expect("date runs").stdout).expect("text").trim().to_owned()
}

/// Makes the folders of this version: once, by hand. `COMITY_FREEZE=1 cargo test … -- --ignored frozen::`
#[test]
#[ignore = "makes what must never be made anew"]
fn folders_of_this_version_are_made() {
    assert!(std::env::var_os(MAKE).is_some(), "{MAKE} says that it is meant");
    assert!(!kept().exists(), "version 1 is there, and stays as it is");
    let (federation, facts) = make();
    let folder = federation.folder.path();
    let facts = serde_json::to_vec_pretty(&facts).expect("JSON");
    fs::write(folder.join("facts.json"), facts).expect("written");
    let what = ["exercise", "passphrase", "shelf", "exported", "facts.json"];
    let packed =
        Command::new("tar").args(["-I", "gzip -9n", "-cf", text(&kept()), "-C", text(folder)]).args(what).status();
    assert!(packed.expect("tar runs").success());
}

/// What is signed and stored in version 1 verifies without any node, whatever the day.
#[test]
fn folders_of_version_1_verify() {
    let (federation, facts) = opened();
    let folder = federation.folder.path();
    for (node, ledger) in federation.nodes.iter().zip(facts["ledgers"].as_array().expect("a list")) {
        assert!(ledger["root"].is_string());
        assert_eq!(ledger_of(node, folder), *ledger, "{}", node.code);
    }
    let fingerprint = facts["fingerprint"].as_str().expect("text");
    let (code, _, said) = run(&["ledger", "verify", text(&folder.join("exported")), "--fingerprint", fingerprint]);
    assert_eq!(code, 0, "{said}");
    let shelf = Shelf::at(folder);
    let keys = federation.nodes[0].data.join("keys");
    for (number, code_wanted) in [("1", 0), ("2", 2)] {
        // The key-encryption key turned between the two: the second begins a chain of its own.
        let (code, _, said) = shelf.offline(&["verify", "--number", number], &keys);
        assert_eq!(code, code_wanted, "{number}: {said}");
    }
    let scratch = folder.join("rehearsal");
    let (code, put, said) = shelf.restore(&scratch, &keys, &shelf.erasures());
    assert!(code == 0 && put.contains("all verified"), "{said}");
}

/// Nodes of this build live on in folders of version 1: they show what was there, and exchange.
#[test]
fn nodes_go_on_in_folders_of_version_1() {
    if !is_there("faketime") {
        return skip("faketime is not installed");
    }
    let (mut federation, facts) = opened();
    for node in &mut federation.nodes {
        node.start(&[]);
    }
    for node in &mut federation.nodes {
        assert!(node.answers_or_ended(), "{}: {}", node.code, node.log());
    }
    federation.linked();
    let named = |name: &str| facts[name].as_str().expect("text").to_owned();
    let (case, gone, open) = (named("case"), named("gone"), named("open"));
    for (node, shown) in federation.nodes.iter().zip(facts["shown"].as_array().expect("a list")) {
        let found = shown_by(node, &[&case, &gone, &open]);
        assert_eq!(lasting(&found), lasting(shown), "{}", node.code);
    }
    let [arvia, belmar, _] = &federation.nodes[..] else { panic!("three nodes") };
    assert_eq!(arvia.look(&format!("/v1/requests/{gone}/erasure"))["state"], "erased");
    assert_eq!(arvia.look(&format!("/v1/drafts/{}", named("drafted")))["procedure"], "PRES");
    assert_eq!(arvia.look(&format!("/v1/requests/{open}"))["kept"]["hold"]["reason"], "proceedings");
    let out = federation.folder.path().join("out");
    let (code, _, said) = run(&["--data", text(&arvia.data), "evidence", "export", &case, text(&out)]);
    assert_eq!(code, 0, "{said}");
    let file = files_named(&out, "file").pop().expect("exported");
    assert_eq!(sha256(&fs::read(file).expect("reads")), sha256(&crate::handover::bytes(70_000, 7)));
    let id = fresh_id();
    arvia.insist("/v1/requests", &preservation(&id));
    wait_until("a new request arrives", || belmar.get(&format!("/v1/requests/{id}")).is_some_and(|a| a.0 == 200));
    for node in [arvia, belmar] {
        node.verifies();
    }
}

fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let listed = Command::new("find").arg(folder).args(["-type", "f", "-name", name]).stderr(Stdio::inherit()).output();
    let listed = String::from_utf8(listed.expect("find runs").stdout).expect("text");
    listed.lines().map(PathBuf::from).collect()
}
