//! Ledgers watched by others: three nodes, each witnessed by the two others, so that none may be away.

use std::{fs, os::unix::fs::DirBuilderExt as _};

use serde_json::{Value, json};

use crate::rig::{Federation, Node, copy, fresh_id, run, smallest_request, wait_until};

fn federation() -> Federation {
    let mut federation = Federation::stopped(3);
    federation.nodes.iter_mut().for_each(|node| node.set("COMITY_WITNESS__BEAT", "1s"));
    federation.start();
    federation
}

/// A request of Arvia's that Belmar has receipted.
fn request(federation: &Federation) -> String {
    let id = fresh_id();
    let opening = json!({
        "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central",
        "fields": smallest_request(),
    });
    federation.nodes[0].insist("/v1/requests", &opening);
    wait_until("Belmar's receipt is on disk", || receipt(&federation.nodes[0], &id)["delivery"] == "receipted");
    id
}

fn receipt(arvia: &Node, id: &str) -> Value {
    arvia.look(&format!("/v1/requests/{id}"))["events"][0]["receipts"][0].clone()
}

fn witnessed(node: &Node) -> u64 {
    node.look("/v1/ledger")["witnessed"]["size"].as_u64().unwrap_or(0)
}

#[test]
fn receipts_become_witnessed_and_a_witness_that_was_away_catches_up() {
    let mut federation = federation();
    let first = request(&federation);
    wait_until("it is witnessed", || receipt(&federation.nodes[0], &first)["witnessed"] == true);
    let ledger = federation.nodes[1].look("/v1/ledger");
    let by: Vec<&str> =
        ledger["witnessed"]["by"].as_array().expect("a list").iter().filter_map(|one| one["party"].as_str()).collect();
    assert_eq!((by, &ledger["witnesses_needed"]), (vec!["XA", "XC"], &json!(2)));

    // Without Corvia no quorum is reached; receipts go on.
    federation.nodes[2].kill();
    let before = witnessed(&federation.nodes[1]);
    let second = request(&federation);
    let signed = |node: &Node| node.look("/v1/ledger")["signed"].as_u64().expect("a size");
    assert!(signed(&federation.nodes[1]) > before);
    assert_eq!(receipt(&federation.nodes[0], &second)["witnessed"], false);
    federation.nodes[2].start(&[]);
    assert!(federation.nodes[2].answers_or_ended());
    wait_until("the second is witnessed", || receipt(&federation.nodes[0], &second)["witnessed"] == true);

    // What was reached is known again after a restart, before anybody is asked.
    assert_eq!(federation.nodes[0].stop(), 0);
    federation.nodes[1].kill();
    federation.nodes[0].start(&[]);
    assert!(federation.nodes[0].answers_or_ended());
    wait_until("it is read from the desk", || receipt(&federation.nodes[0], &second)["witnessed"] == true);
    assert!(witnessed(&federation.nodes[0]) > 0);
}

/// [N-5]: Arvia holds what Belmar signed and hides it; Corvia's word is enough.
#[test]
fn a_node_put_back_from_a_copy_signs_nothing_though_one_peer_hides_what_it_holds() {
    let mut federation = federation();
    let (data, kept) = (federation.nodes[1].data.clone(), federation.folder.path().join("kept"));
    assert_eq!(federation.nodes[1].stop(), 0);
    fs::DirBuilder::new().mode(0o700).create(&kept).expect("made");
    copy(&data, &kept);
    federation.nodes[1].start(&[]);
    assert!(federation.nodes[1].answers_or_ended());
    let lost = request(&federation);
    wait_until("Corvia has seen it too", || receipt(&federation.nodes[0], &lost)["witnessed"] == true);

    assert_eq!((federation.nodes[0].stop(), federation.nodes[1].stop()), (0, 0));
    fs::remove_dir_all(federation.nodes[0].data.join("desk")).expect("Arvia forgets");
    fs::remove_dir_all(&data).expect("the disk is lost");
    fs::rename(&kept, &data).expect("the copy is put back");
    for node in [0, 1] {
        federation.nodes[node].start(&[]);
        assert!(federation.nodes[node].answers_or_ended());
    }
    let belmar = &federation.nodes[1];
    wait_until("nothing is recorded any more", || belmar.look("/v1/status")["read_only"] == "store.records-missing");
    let opening = json!({
        "request_id": fresh_id(), "procedure": "PRES", "recipients": ["XC"], "authority": "central",
        "fields": smallest_request(),
    });
    let (status, problem) = belmar.post("/v1/requests", &opening).expect("it answers");
    assert_eq!((status >= 400, &problem["code"]), (true, &json!("store.read-only")), "{problem}");
    let ledger = belmar.look("/v1/ledger");
    assert!(ledger["signed"].as_u64() <= ledger["size"].as_u64(), "{ledger}");
}

#[test]
fn a_running_node_and_its_export_are_checked_from_the_fingerprint_alone() {
    let federation = federation();
    request(&federation);
    let arvia = &federation.nodes[0];
    wait_until("all of it is witnessed", || witnessed(arvia) == arvia.look("/v1/ledger")["size"].as_u64().unwrap_or(0));
    let data = arvia.data.to_str().expect("a path");
    let charter = format!("{data}/charter/charter.dsse");
    let (code, said, _) = run(&["--json", "verify", &charter]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let fingerprint = said["id"].as_str().expect("an id");
    assert_eq!(code, 0);
    let into = federation.folder.path().join("handed-over");
    let into = into.to_str().expect("a path");
    assert_eq!(run(&["--data", data, "ledger", "export", into]).0, 0);
    let checks: [&[&str]; 2] = [
        &["--json", "ledger", "verify", into, "--fingerprint", fingerprint],
        &["--json", "--data", data, "ledger", "verify", "--fingerprint", fingerprint],
    ];
    for check in checks {
        let (code, said, why) = run(check);
        assert_eq!(code, 0, "{said}{why}");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            (&said["witnessed"], &said["policy_fits"], &said["party"]),
            (&json!(true), &json!(true), &json!("XA"))
        );
        assert_eq!(said["records"], arvia.look("/v1/ledger")["size"]);
    }
    // Wrong use is told apart from a ledger that does not hold.
    assert_eq!(run(&["--data", data, "ledger", "export", into]).0, 2, "something is there");
    assert_eq!(run(&["ledger", "verify", into]).0, 2, "without a fingerprint");
    let other = "0".repeat(64);
    let (code, _, why) = run(&["ledger", "verify", into, "--fingerprint", &other]);
    assert_eq!((code, why.contains("tlog.other-charter")), (1, true), "{why}");
}
