//! The index is no truth: a node whose index was thrown away answers the same.

use std::fs;

use serde_json::{Value, json};

use crate::rig::{Federation, Node, fresh_id, smallest_request, wait_until};

#[test]
fn a_node_without_its_index_answers_the_same() {
    let mut federation = Federation::of(2);
    let id = fresh_id();
    let opening = json!({
        "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central",
        "fields": smallest_request(),
    });
    federation.nodes[0].insist("/v1/requests", &opening);
    let paths = ["/v1/requests".to_owned(), format!("/v1/requests/{id}"), "/v1/outbox".to_owned()];
    let receipted = |node: &Node| node.look(&paths[1])["events"][0]["receipts"][0]["delivery"] == "receipted";
    wait_until("Belmar's receipt is on disk", || receipted(&federation.nodes[0]));
    let looks = |node: &Node| -> Vec<Value> { paths.iter().map(|path| node.look(path)).collect() };
    let before = looks(&federation.nodes[0]);

    assert_eq!(federation.nodes[0].stop(), 0);
    fs::remove_dir_all(federation.nodes[0].data.join("index")).expect("removed");
    federation.nodes[0].start(&[]);
    federation.linked();
    assert_eq!(looks(&federation.nodes[0]), before);
}
