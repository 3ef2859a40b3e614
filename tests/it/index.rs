//! The index is no truth: a node whose index was thrown away answers the same.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::rig::{Federation, Node, fresh_id, smallest_request, wait_until};

/// Two nodes of which Arvia has asked something and has Belmar's receipt, and what Arvia then shows of that.
fn exchanged() -> (Federation, impl Fn(&Node) -> Vec<Value>) {
    let federation = Federation::of(2);
    let id = fresh_id();
    let opening = json!({
        "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central",
        "fields": smallest_request(),
    });
    federation.nodes[0].insist("/v1/requests", &opening);
    let paths = ["/v1/requests".to_owned(), format!("/v1/requests/{id}"), "/v1/outbox".to_owned()];
    let receipted = |node: &Node| node.look(&paths[1])["events"][0]["receipts"][0]["delivery"] == "receipted";
    wait_until("Belmar's receipt is on disk", || receipted(&federation.nodes[0]));
    (federation, move |node: &Node| paths.iter().map(|path| node.look(path)).collect())
}

#[test]
fn a_node_without_its_index_answers_the_same() {
    let (mut federation, looks) = exchanged();
    let before = looks(&federation.nodes[0]);

    assert_eq!(federation.nodes[0].stop(), 0);
    fs::remove_dir_all(federation.nodes[0].data.join("index")).expect("removed");
    federation.nodes[0].start(&[]);
    federation.linked();
    assert_eq!(looks(&federation.nodes[0]), before);
}

/// What it is, whether the node was killed before, and how it is done.
type Harm<'h> = (&'h str, bool, &'h dyn Fn(&Path));

/// The index of a stopped or killed node, harmed: it is set aside and built anew, said, and nothing else changes.
#[test]
fn a_harmed_index_is_set_aside_and_said_and_answers_are_the_same() {
    let (mut federation, looks) = exchanged();
    let before = looks(&federation.nodes[0]);
    let flipped = |index: &Path| {
        let path = index.join("000000/db");
        let mut bytes = fs::read(&path).expect("read");
        let used = bytes.iter().rposition(|byte| *byte != 0).expect("something is in it");
        bytes[used / 2] ^= 4;
        fs::write(path, bytes).expect("written");
    };
    let overwritten = |index: &Path| {
        for entry in fs::read_dir(index.join("000000")).expect("listed") {
            let path = entry.expect("entry").path();
            if path.is_file() {
                fs::write(path, [0xa5; 4096]).expect("written");
            }
        }
    };
    let a_file = |index: &Path| {
        fs::remove_dir_all(index).expect("removed");
        fs::write(index, b"a file").expect("written");
    };
    let harms: [Harm<'_>; 4] = [
        ("a flipped bit", false, &flipped),
        ("overwritten after a kill", true, &overwritten),
        ("a file in its place", false, &a_file),
        ("a file in its place after a kill", true, &a_file),
    ];
    for (what, killed, harm) in harms {
        let arvia = &mut federation.nodes[0];
        if killed {
            arvia.kill()
        } else {
            assert_eq!(arvia.stop(), 0)
        }
        harm(&arvia.data.join("index"));
        arvia.start(&[]);
        assert!(arvia.answers_or_ended(), "{what}: it starts: {}", arvia.log());
        assert_eq!(looks(arvia), before, "{what}");
        let warned = arvia.look("/v1/status")["warnings"].to_string();
        assert!(warned.contains("store.index-rebuilt") && warned.contains("index.bad-"), "{what}: {warned}");
        assert!(arvia.log().contains("store.index-rebuilt"), "{what}");
    }
    // A clean stop and start says nothing more.
    let arvia = &mut federation.nodes[0];
    assert_eq!(arvia.stop(), 0);
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    assert!(!arvia.look("/v1/status")["warnings"].to_string().contains("store.index-rebuilt"));
}
