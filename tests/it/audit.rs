//! The audit tree of a real node: what was shown is on record however the process ends, and what is on record is signed.
//!
//! ```text
//! an officer --- asks ---> arvia ... killed right after the answer ... started again --- is asked who asked
//! ```

use std::fs;

use serde_json::{Value, json};

use crate::rig::{Federation, Node, copy, fresh_id, private, run, smallest_request, wait_until};

fn opened(node: &Node) -> String {
    let id = fresh_id();
    let fields = smallest_request();
    let opening = json!({ "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central", "fields": fields });
    node.insist("/v1/requests", &opening);
    id
}

fn newest(node: &Node) -> Value {
    node.look("/v1/audit?limit=1")["entries"][0].clone()
}

fn start_again(node: &mut Node) {
    node.start(&[]);
    assert!(node.answers_or_ended(), "it starts again");
}

/// [A-3]: the answer came, so the record is there, though the process was killed at once and had signed nothing.
#[test]
fn what_was_shown_is_on_record_after_a_kill() {
    let mut federation = Federation::stopped(1);
    let node = &mut federation.nodes[0];
    start_again(node);
    let id = opened(node);
    for _ in 0..5 {
        let shown = node.get(&format!("/v1/requests/{id}"));
        node.kill();
        assert_eq!(shown.map(|(status, _)| status), Some(200));
        start_again(node);
        let last = newest(node);
        assert_eq!((&last["kind"], &last["request_id"], &last["status"]), (&json!("access"), &json!(id), &json!(200)));
        assert_eq!(last["user"], owner_of(node));
    }
    let missing = node.get(&format!("/v1/requests/{}", fresh_id())).expect("answered").1;
    node.kill();
    start_again(node);
    let last = newest(node);
    assert_eq!((&last["call"], &last["code"]), (&missing["request_id"], &json!("api.unknown-request")));
}

/// Who owns the data folder runs the node and this test.
fn owner_of(node: &Node) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(&node.data).expect("is there").uid()
}

/// [A-4]: signed at the end of one life and the beginning of the next; exported and checked from the charter alone; what
/// was taken away behind the checkpoint is noticed, and then nothing is shown.
#[test]
fn it_is_signed_exported_and_missed() {
    let mut federation = Federation::stopped(1);
    let node = &mut federation.nodes[0];
    start_again(node);
    let id = opened(node);
    node.look(&format!("/v1/requests/{id}"));
    let early = federation.folder.path().join("early");
    fs::create_dir(&early).expect("made");
    copy(&federation.nodes[0].data.join("audit"), &early);
    let node = &mut federation.nodes[0];
    node.look(&format!("/v1/requests/{id}"));
    assert_eq!(node.stop(), 0);
    start_again(node);
    let list = node.look("/v1/audit");
    assert_eq!((&list["size"], &list["signed"]), (&json!(3), &json!(3)), "signed when it stopped");
    let data = node.data.to_str().expect("a plain path").to_owned();
    let told = run(&["--data", &data, "audit", "list", "--request", &id]);
    assert_eq!((told.0, told.1.matches(" POST /v1/requests").count()), (0, 1), "{}", told.1);
    assert_eq!(told.1.matches("GET /v1/requests/{request_id}").count(), 2, "{}", told.1);
    assert_eq!(run(&["--data", &data, "audit", "verify"]).0, 0);
    let words = fs::read_to_string(node.data.join("comity.toml")).expect("reads");
    let fingerprint = words.lines().find_map(|line| line.strip_prefix("charter = ")).expect("its charter");
    let fingerprint = fingerprint.trim_matches('"').to_owned();
    let folder = federation.folder.path().join("exported");
    let folder = folder.to_str().expect("a plain path");
    let node = &mut federation.nodes[0];
    let exported = run(&["--data", &data, "audit", "export", folder]);
    assert_eq!(exported.0, 0, "{}", exported.2);
    let checked = run(&["audit", "verify", folder, "--fingerprint", &fingerprint]);
    assert_eq!(
        (checked.0, checked.1.contains("xa.exercise.comity.test/audit")),
        (0, true),
        "{} {}",
        checked.1,
        checked.2
    );
    let proof = node.voice().ask("GET", "/v1/audit/1/tlog-proof", None);
    assert_eq!(proof.map(|(status, _)| status), Some(200));
    node.stop();

    // Somebody brings back the folder as it was before the second look, but with the checkpoint of now.
    let checkpoint = fs::read(node.data.join("audit/checkpoint")).expect("reads");
    fs::remove_dir_all(node.data.join("audit")).expect("removed");
    fs::create_dir(node.data.join("audit")).expect("made");
    copy(&early, &node.data.join("audit"));
    private(&node.data.join("audit/checkpoint"), &checkpoint);
    start_again(node);
    let (status, refused) = node.get(&format!("/v1/requests/{id}")).expect("answers");
    assert_eq!((status, &refused["code"]), (503, &json!("audit.damaged")), "{refused}");
    let verified = node.voice().ask("POST", "/v1/audit/verify", None).expect("answers").1;
    assert_eq!((&verified["ok"], &verified["code"]), (&json!(false), &json!("store.records-missing")));
    wait_until("the doctor says so", || {
        let (status, ready) = node.get("/v1/ready").expect("answers");
        status == 503 && ready.to_string().contains("audit.damaged")
    });
}
