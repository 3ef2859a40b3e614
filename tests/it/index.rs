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

/// A treaty of Arvia and Belmar on preservation, under which an answer is due within twenty days; without [`ANSWER`] at leisure.
const TREATY: &str = r#"
[[instrument]]
code = "XA-XB-2001"
name = "Treaty on preservation between Arvia and Belmar"
number = "2001/4"
status = "in force"
source = "Treaty series of Arvia 2001/4"
mark = "s"

[[clock]]
id = "XA-XB-ANSWER"
title = "The Party asked says within this time what it does"
start_event = "request-received"
duration = 20
unit = "day"
actor = "requested"
on_expiry = "remind"
extendable_by = []
legal_effect = false
instrument = "XA-XB-2001"
source = "article 3"
mark = "s"

[[basis]]
instrument = "XA-XB-2001"
procedures = ["PRES"]
articles = "1 to 5"
like = "BC"
clocks = [
  { clock = "D01", part = "holds", after = ["confirm-extension"], from = ["measure.taken"], until = "measure.until", during = ["preserved", "extension_asked"] },
  { clock = "XA-XB-ANSWER", after = ["request"], during = ["requested"] },
]
source = "Treaty series of Arvia 2001/4"
mark = "s"
"#;
/// The line of it by which the clock runs.
const ANSWER: &str = "  { clock = \"XA-XB-ANSWER\", after = [\"request\"], during = [\"requested\"] },\n";

/// Which requests stand where deadlines are looked up, with when they are due as the law at hand has it.
fn due(node: &Node) -> Vec<(Value, Value)> {
    let inbox = node.look("/v1/inbox?due=true");
    let rows = inbox["requests"].as_array().expect("a list").iter();
    rows.map(|row| (row["request_id"].clone(), row["due"].clone())).collect()
}

/// How often a node has said that it builds its index anew for another law; never among the warnings.
#[track_caller]
fn for_another_law(node: &Node) -> usize {
    assert!(!node.look("/v1/status")["warnings"].to_string().contains("store.index-rebuilt"), "it is no fault");
    node.log().lines().filter(|line| line.contains("store.index-rebuilt") && line.contains("rule files")).count()
}

fn again(node: &mut Node) {
    assert_eq!(node.stop(), 0);
    node.start(&[]);
    assert!(node.answers_or_ended(), "it starts: {}", node.log());
}

/// Rule files that changed between two starts: deadlines are looked up as the new law has them, and nothing is built anew
/// where nothing changed.
#[test]
fn an_index_of_another_law_is_built_anew_and_one_of_this_law_is_not() {
    let leisurely = TREATY.replace(ANSWER, "");
    let mut federation = Federation::under(2, &leisurely);
    federation.start();
    let id = fresh_id();
    let mut fields = smallest_request();
    fields["reference.instrument"] = json!("XA-XB-2001");
    let opening = json!({ "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central", "fields": fields });
    let arvia = &mut federation.nodes[0];
    arvia.insist("/v1/requests", &opening);
    let law = arvia.data.join("rules/treaty.toml");
    again(arvia);
    assert_eq!((due(arvia), for_another_law(arvia)), (vec![], 0), "nothing changed, and no clock runs");

    assert_eq!(arvia.stop(), 0);
    fs::write(&law, TREATY).expect("written");
    // Where the old rows are gone and none of the new is there, the process ends; the next start finishes it.
    arvia.start(&[("COMITY_CRASH_AT", "store.index-cleared")]);
    wait_until("it dies", || arvia.has_ended());
    arvia.kill();
    arvia.start(&[]);
    assert!(arvia.answers_or_ended(), "it starts: {}", arvia.log());
    let shown = due(arvia);
    assert!(shown.len() == 1 && shown[0].0 == id && shown[0].1.is_string(), "{shown:?}");
    let said = for_another_law(arvia);
    assert!(said >= 1, "{}", arvia.log());
    again(arvia);
    assert_eq!((due(arvia), for_another_law(arvia)), (shown.clone(), said), "nothing changed");

    // As from nothing.
    assert_eq!(arvia.stop(), 0);
    fs::remove_dir_all(arvia.data.join("index")).expect("removed");
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    assert_eq!(due(arvia), shown);

    assert_eq!(arvia.stop(), 0);
    fs::write(&law, leisurely).expect("written");
    arvia.start(&[]);
    assert!(arvia.answers_or_ended());
    assert_eq!((due(arvia), for_another_law(arvia)), (vec![], said + 1));
}
