//! Requests that are let go: what was planted in forms, drafts and evidence is looked for in every file of the node,
//! as bytes and with every key it still has; and erasures that are cut off at each durable step.
//!
//! ```text
//! arvia --- MLA-STORED ---> belmar      belmar hands over evidence; both erase; what others hold still proves
//! ```

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::handover::{Case, RECORD, assistance};
use crate::rig::{Federation, Node, fresh_id, preservation, run, wait_until};

/// Each stands in one kind of place and occurs nowhere else.
const PLANTED: [&str; 6] = [
    "planted-facts-77c1",
    "planted-draft-18e4",
    "planted-evidence-93aa",
    "planted-name-5d02",
    "planted-description-c0b9",
    "planted-note-4f4f",
];

/// Steps an erasure takes after its intent, each of which it may be cut off at, and the first time it comes there.
const CUT_OFF_AT: [&str; 5] =
    ["store.slot-destroyed", "store.desk-copied", "store.desk-renamed", "store.batch-written", "store.batch-synced"];

fn text(text: &str) -> Value {
    json!({ "lang": "en", "text": text })
}

/// Every file below a folder that holds the text, or the text in hexadecimal.
fn files_with(folder: &Path, part: &str) -> Vec<String> {
    let forms = [part.as_bytes().to_vec(), comity_core::ids::hex(part.as_bytes()).into_bytes()];
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).expect("reads").filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                let bytes = fs::read(&path).expect("reads");
                if forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_slice())) {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}

/// How many files lie below a folder.
fn files_in(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("reads").filter_map(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { files_in(&entry.path()) } else { 1 }).sum()
}

fn erase(node: &Node, id: &str) -> Value {
    node.insist(&format!("/v1/requests/{id}/erasure"), &json!({ "ground": "court-order" }))
}

fn code(answer: Option<(u16, Value)>) -> (u16, String) {
    let (status, body) = answer.expect("answered");
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// A request for assistance that was carried out to its end, with a secret in every place that takes one.
fn planted() -> Case {
    let case = Case::new();
    case.step(case.arvia(), "note", &json!({ "message": text("planted-note-4f4f") }));
    let draft = json!({ "procedure": "PRES", "fields": { "offence.facts": text("planted-draft-18e4") } });
    for node in [case.arvia(), case.belmar()] {
        let kept = node.voice().ask("PUT", &format!("/v1/drafts/{}", case.id), Some(&draft));
        assert_eq!(kept.expect("answered").0, 200);
    }
    let folder = case.federation.folder.path().join("evidence");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("planted-name-5d02"), "planted-evidence-93aa").expect("written");
    let mut add = vec!["add", case.id.as_str(), folder.to_str().expect("a plain path")];
    let described = RECORD.iter().map(|set| match *set {
        "exhibit.description=Files" => "exhibit.description=planted-description-c0b9",
        other => other,
    });
    add.extend(described.flat_map(|set| ["--set", set]));
    let (sealed_code, sealed) = case.typed(case.belmar(), &add);
    assert_eq!(sealed_code, 0, "{sealed}");
    fs::remove_dir_all(&folder).expect("removed");
    let delivery = case.deliver(&sealed, "deliver", &["outcome=executed_full"]);
    case.accept_terms(&delivery);
    case.ask_to_fetch(&delivery);
    case.wait_for_stage(&delivery, "done");
    case.take_custody(&delivery);
    case.step(case.arvia(), "close", &json!({}));
    for node in [case.arvia(), case.belmar()] {
        wait_until("it is closed and nothing is owed", || {
            case.state_at(node) == "closed" && node.look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty)
        });
    }
    case
}

/// [F-10], [F-4]: of both sides nothing is found again; the other's proofs hold, and so does everything else.
#[test]
fn nothing_of_an_erased_request_is_found_again() {
    let mut case = planted();
    let id = case.id.clone();
    let (opening, other) = (assistance(), fresh_id());
    let kept = json!({ "request_id": other, "procedure": "MLA-STORED", "recipients": ["XB"], "authority": "central", "fields": opening });
    case.arvia().insist("/v1/requests", &kept);
    wait_until("the other request arrives", || {
        case.belmar().get(&format!("/v1/requests/{other}")).is_some_and(|answer| answer.0 == 200)
    });
    let before = case.belmar().look(&format!("/v1/requests/{other}"))["events"].clone();
    for node in &case.federation.nodes {
        let index = node.data.join("index");
        wait_until("the index is on disk", || !files_with(&index, "take-custody").is_empty());
    }
    for place in 0..2 {
        let node = &case.federation.nodes[place];
        let erased = erase(node, &id);
        assert_eq!((&erased["state"], &erased["ground"]), (&json!("erased"), &json!("court-order")), "{erased}");
        assert_eq!(erase(node, &id), erased, "asked again it is the same");
        assert_eq!(code(node.get(&format!("/v1/requests/{id}"))), (410, "request.erased".into()));
        assert_eq!(node.look(&format!("/v1/requests/{id}/erasure")), erased);
        assert_eq!(code(node.get(&format!("/v1/drafts/{id}"))), (404, "api.unknown-draft".into()));
        assert!(files_in(&node.data.join("vault/objects")) == 0, "no sealed object rests here");
        let found = node.verifies();
        assert!(found["erased"].as_u64().is_some_and(|erased| erased > 5), "{found}");
        let pages = node.look("/v1/events?limit=500");
        assert!(pages["events"].as_array().expect("a list").iter().any(|item| item["kind"] == "erasure"));
    }
    assert_eq!(case.belmar().look(&format!("/v1/requests/{other}"))["events"], before, "the other request is whole");
    for node in &mut case.federation.nodes {
        assert_eq!(node.stop(), 0);
        for part in PLANTED {
            assert_eq!(files_with(&node.data, part), [""; 0], "{part}");
        }
        // Steps that only the erased request took stand in no row of the index, which is not encrypted.
        assert_eq!(files_with(&node.data.join("index"), "take-custody"), [""; 0]);
        fs::remove_dir_all(node.data.join("index")).expect("removed");
        node.start(&[]);
        assert!(node.answers_or_ended());
    }
    case.federation.linked();
    for node in [case.arvia(), case.belmar()] {
        assert_eq!(code(node.get(&format!("/v1/requests/{id}"))), (410, "request.erased".into()));
        node.verifies();
    }
    assert_eq!(case.belmar().look(&format!("/v1/requests/{other}"))["events"], before);
}

/// A preservation that was asked for and withdrawn.
fn withdrawn(federation: &Federation) -> String {
    let id = fresh_id();
    let [arvia, belmar] = &federation.nodes[..] else { panic!("two nodes") };
    let opening = preservation(&id);
    arvia.insist("/v1/requests", &opening);
    let withdraw = json!({ "command_id": fresh_id(), "step": "withdraw", "authority": "central",
        "fields": { "release.reason": "not-needed" } });
    arvia.insist(&format!("/v1/requests/{id}/steps"), &withdraw);
    wait_until("it is withdrawn and receipted on both sides", || {
        let there =
            belmar.get(&format!("/v1/requests/{id}")).is_some_and(|(_, a)| a["standing"]["state"] == "withdrawn");
        there && arvia.look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty)
    });
    id
}

/// Cut off at each durable step after the intent, an erasure is finished at the next start without anybody asking again.
#[test]
fn an_erasure_cut_off_anywhere_is_finished_at_the_next_start() {
    let mut federation = Federation::of(2);
    for point in CUT_OFF_AT {
        let id = withdrawn(&federation);
        // The intent is a batch of its own: the second batch is the erasure.
        let at = if point.starts_with("store.batch") { format!("{point}:2") } else { point.to_owned() };
        let node = &mut federation.nodes[0];
        assert_eq!(node.stop(), 0);
        node.start(&[("COMITY_CRASH_AT", &at)]);
        assert!(node.answers_or_ended(), "{point}");
        drop(node.post(&format!("/v1/requests/{id}/erasure"), &json!({ "ground": "court-order" })));
        wait_until(&format!("it dies at {point}"), || node.has_ended());
        node.kill();
        node.start(&[]);
        assert!(node.answers_or_ended(), "{point}: it starts again");
        wait_until(&format!("{point}: it is finished"), || {
            node.get(&format!("/v1/requests/{id}/erasure")).is_some_and(|(_, erased)| erased["state"] == "erased")
        });
        let erasures = node.look("/v1/events?limit=500")["events"].clone();
        let of = |kind: &str| {
            let all = erasures.as_array().expect("a list").iter();
            all.filter(|item| item["kind"] == kind && item["request_id"] == id.as_str()).count()
        };
        assert_eq!((of("erasure-intent"), of("erasure")), (1, 1), "{point}");
        node.verifies();
        federation.linked();
    }
}

/// A hold goes before every ground, outlasts a restart without its index, and is shown.
#[test]
fn a_hold_keeps_a_request_whatever_is_asked() {
    let mut federation = Federation::of(2);
    let id = withdrawn(&federation);
    let data = federation.nodes[0].data.clone();
    let typed =
        |arguments: &[&str]| run(&[&["--data", data.to_str().expect("a plain path"), "request"], arguments].concat());
    let (exit, _, said) = typed(&["erase", &id, "--ground", "retention-over"]);
    assert!(exit != 0 && said.contains("erase.too-early"), "{said}");
    let (exit, held, said) = typed(&["hold", &id, "--reason", "proceedings"]);
    assert!(exit == 0 && held.starts_with("held (proceedings) since "), "{said}");
    let node = &mut federation.nodes[0];
    assert_eq!(node.stop(), 0);
    fs::remove_dir_all(node.data.join("index")).expect("removed");
    node.start(&[]);
    assert!(node.answers_or_ended());
    let (exit, _, said) = typed(&["erase", &id, "--ground", "court-order"]);
    assert!(exit != 0 && said.contains("erase.held"), "{said}");
    let (_, shown, _) = typed(&["show", &id]);
    assert!(shown.contains("held (proceedings) since "), "{shown}");
    assert_eq!(typed(&["release-hold", &id]).0, 0);
    let (exit, erased, said) = typed(&["erase", &id, "--ground", "court-order"]);
    assert!(exit == 0 && erased.contains("court-order"), "{said}");
    let (exit, shown, _) = typed(&["show", &id]);
    assert!(exit == 0 && shown.contains("erased") && !shown.contains("withdrawn"), "{shown}");
}
