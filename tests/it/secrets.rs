//! What must not be seen is planted and looked for: texts of forms, evidence and its names, the passphrase,
//! in logs at their loudest, in what operators pass on, and in the memory a crash could leave behind.

use std::{fs, os::unix::fs::MetadataExt as _};

use comity_core::ids::hex;
use serde_json::json;

use crate::{
    handover::{RECORD, assistance},
    rig::{Federation, fresh_id, run, tell, wait_until},
};

/// Each stands for a secret of its kind and occurs nowhere else.
const CANARIES: [(&str, &str); 7] = [
    ("a text of a form", "canary-facts-5f1b"),
    ("a text of a draft", "canary-draft-83aa"),
    ("a key that is not in a form", "canary-field-99e0"),
    ("a path that is no route", "canary-route-2c71"),
    ("evidence", "canary-evidence-d04e"),
    ("the name of evidence", "canary-name-7b36"),
    ("the passphrase", "correct horse battery staple"),
];

/// Every way a secret may be written.
fn forms(canary: &str) -> [String; 3] {
    use base64::Engine as _;
    // Three places in a stream of bytes give three texts; the middle of each is enough to look for.
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(canary);
    [canary.to_owned(), hex(canary.as_bytes()), base64[..base64.len() - 2].to_owned()]
}

#[test]
fn what_is_secret_is_in_no_log_and_in_nothing_that_is_passed_on() {
    let mut federation = Federation::stopped(2);
    for node in &mut federation.nodes {
        node.start(&[("COMITY_LOG", "net=trace,store=trace,runtime=trace,api=trace,evidence=trace")]);
        assert!(node.answers_or_ended());
    }
    federation.linked();
    let [arvia, belmar] = &federation.nodes[..] else { panic!("two nodes") };
    let canary = |kind: &str| CANARIES.iter().find(|(name, _)| *name == kind).expect("planted").1;

    let id = fresh_id();
    let mut fields = assistance();
    fields["offence.facts"] = json!({ "lang": "en", "text": canary("a text of a form") });
    let opening = json!({
        "request_id": id, "procedure": "MLA-STORED", "recipients": ["XB"], "authority": "central", "fields": fields,
    });
    arvia.insist("/v1/requests", &opening);
    wait_until("the request arrives", || {
        belmar.get(&format!("/v1/requests/{id}")).is_some_and(|(code, _)| code == 200)
    });
    let draft = json!({ "procedure": "PRES", "fields": { "offence.facts": { "lang": "en", "text": canary("a text of a draft") } } });
    let drafted = arvia.voice().ask("PUT", &format!("/v1/drafts/{}", fresh_id()), Some(&draft));
    assert_eq!(drafted.expect("answered").0, 200);
    // Mistakes of clients, each with something that may be a fact of a case.
    let unknown = json!({ "step": "note", "authority": "central", "command_id": fresh_id(),
        "fields": { canary("a key that is not in a form"): canary("a text of a form") } });
    assert_eq!(belmar.post(&format!("/v1/requests/{id}/steps"), &unknown).expect("answered").0, 422);
    assert_eq!(
        belmar.post("/v1/requests", &json!({ canary("a key that is not in a form"): 1 })).expect("answered").0,
        400
    );
    let nowhere = format!("/v1/{0}?name={0}", canary("a path that is no route"));
    assert_eq!(arvia.get(&nowhere).expect("answered").0, 404);
    let folder = federation.folder.path().join("evidence");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join(canary("the name of evidence")), canary("evidence")).expect("written");
    let data = belmar.data.to_str().expect("a plain path");
    let mut add = vec!["--data", data, "evidence", "add", &id, folder.to_str().expect("a plain path")];
    add.extend(RECORD.iter().flat_map(|set| ["--set", set]));
    let (code, _, said) = run(&add);
    assert_eq!(code, 0, "{said}");

    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for node in &federation.nodes {
        let bundle = federation.folder.path().join(format!("{}.json", node.code));
        let data = node.data.to_str().expect("a plain path");
        let (code, _, said) = run(&["--data", data, "support", bundle.to_str().expect("a plain path")]);
        assert_eq!(code, 0, "{said}");
        let again = run(&["--data", data, "support", bundle.to_str().expect("a plain path")]);
        assert_ne!(again.0, 0, "a file that is there is not written over");
        seen.push((format!("{} support bundle", node.code), fs::read(&bundle).expect("reads")));
        for command in ["status", "peers", "metrics", "doctor"] {
            let (_, out, err) = run(&["--data", data, command]);
            seen.push((format!("{} {command}", node.code), [out, err].concat().into_bytes()));
        }
        seen.push((format!("{} log", node.code), fs::read(node.data.with_extension("log")).expect("reads")));
    }
    let log = seen.iter().find(|(what, _)| what == "XA log").map(|(_, log)| log.len());
    assert!(log.is_some_and(|bytes| bytes > 2_000), "the log is loud enough to give something away: {log:?}");
    for (kind, canary) in CANARIES {
        for form in forms(canary) {
            for (what, bytes) in &seen {
                let found = bytes.windows(form.len()).any(|part| part == form.as_bytes());
                assert!(!found, "{what} holds {kind} as {form}");
            }
        }
    }
    tell(&format!("{} canaries in {} outputs: none was seen", CANARIES.len(), seen.len()));
}

/// A crash leaves no core file, and nobody of the same user looks into the process.
#[test]
fn a_node_leaves_no_core_file_and_is_not_looked_into() {
    let federation = Federation::of(1);
    let process = federation.nodes[0].process();
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("reads");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // What is not dumpable belongs to root; for a test that is root itself this says nothing.
    let owner = |path: String| fs::metadata(path).expect("there").uid();
    assert_eq!(owner(format!("/proc/{process}/environ")), 0);
}
