//! Charter and profiles change while nodes exchange: everybody learns of it, who was away catches up, and who may not act
//! any more is let in nowhere, from the moment it counts.

use comity_core::{
    crypto::PublicKey,
    proto::{KeyRole, Profile, Revocation, RoleKey},
};
use serde_json::{Value, json};

use crate::{
    officials::{Officials, import},
    rig::{Federation, Node, now, run, wait_until},
    story::{Case, one_story},
};

fn party(node: &Node, code: &str) -> Value {
    node.look(&format!("/v1/parties/{code}"))["party"].clone()
}

fn knows(node: &Node, code: &str, version: u64) -> bool {
    party(node, code)["profile"] == version
}

#[track_caller]
fn taken(answer: (i32, String)) {
    assert_eq!(answer.0, 0, "{}", answer.1);
}

/// The codes of what a node says there is to look after.
fn warnings(node: &Node) -> Vec<String> {
    let status = node.look("/v1/status");
    let warnings = status["warnings"].as_array().expect("a list").iter();
    warnings.map(|warning| warning["code"].as_str().expect("a code").to_owned()).collect()
}

fn declare(says: &str) -> impl FnOnce(&mut Profile) + '_ {
    move |draft| {
        let (code, value) = ("TEST".to_owned(), says.to_owned());
        draft.declarations = vec![comity_core::proto::Declaration { code, value }];
    }
}

/// Revokes all record keys from a day ago.
fn revoke_record_keys(draft: &mut Profile) {
    let record = draft.keys.iter().filter(|key| key.role() == KeyRole::Record);
    let id = |key: &RoleKey| PublicKey::from(key).id();
    let revoked = record.map(|key| Revocation {
        key_id: id(key).as_bytes().to_vec(),
        from_ms: now() - 24 * 3600 * 1000,
        reason: "stolen".to_owned(),
    });
    draft.revocations = revoked.collect();
    draft.revocations.sort_by(|a, b| a.key_id.cmp(&b.key_id));
}

#[test]
fn what_one_publishes_all_learn_and_who_was_away_catches_up() {
    let mut federation = Federation::of(3);
    let mut officials = Officials::of(&federation);
    let first = federation.nodes[0].data.join("charter/profiles/XB.dsse");
    let first = std::fs::read(first).expect("reads");

    let two = officials.profile("XB", declare("two"));
    taken(import(&federation, &federation.nodes[1], "two.dsse", &two));
    wait_until("all know the second", || federation.nodes.iter().all(|node| knows(node, "XB", 2)));
    let case = Case::new();
    case.complete(&federation.nodes[0], &federation.nodes[1]);

    // Corvia is away, and what it missed reaches it through whoever it meets.
    assert_eq!(federation.nodes[2].stop(), 0);
    let three = officials.profile("XB", declare("three"));
    taken(import(&federation, &federation.nodes[1], "three.dsse", &three));
    wait_until("Arvia knows the third", || knows(&federation.nodes[0], "XB", 3));
    federation.nodes[2].start(&[]);
    federation.linked();
    wait_until("Corvia caught up", || knows(&federation.nodes[2], "XB", 3));

    // What is older, and what contradicts, is refused by name; nothing of it stays.
    let (code, said) = import(&federation, &federation.nodes[0], "one.dsse", &first);
    assert!(code == 1 && said.contains("profile.roll-back: "), "{said}");
    let mut other = Officials::of(&federation);
    other.profiles.clone_from(&officials.profiles);
    other.profiles.get_mut("XB").expect("known").version = 2;
    let forked = other.profile("XB", declare("a third of another kind"));
    let (code, said) = import(&federation, &federation.nodes[0], "forked.dsse", &forked);
    assert!(code == 1 && said.contains("profile.fork: "), "{said}");
    // Whoever has the proof hands it on: everybody is warned, and keeps it.
    let warned = |node: &Node| warnings(node).contains(&"profile.fork".to_owned());
    assert!(warned(&federation.nodes[0]));
    wait_until("all know that there are two", || federation.nodes.iter().all(warned));
    assert!(knows(&federation.nodes[0], "XB", 3));

    // By file, for a site without a line: all of it, and nothing that was not known.
    let file = federation.folder.path().join("newest.comity");
    let data = |node: &Node| node.data.to_str().expect("text").to_owned();
    let file = file.to_str().expect("text");
    let (code, _, said) = run(&["roster", "export", file, "--data", &data(&federation.nodes[0])]);
    assert_eq!(code, 0, "{said}");
    let (code, out, said) = run(&["roster", "import", file, "--data", &data(&federation.nodes[2])]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("profile of XB, version 3: was known"), "{out}");

    // All of it is still known after every node was killed.
    for node in &mut federation.nodes {
        node.kill();
    }
    federation.start();
    assert!(federation.nodes.iter().all(|node| knows(node, "XB", 3)));
    one_story(&federation.nodes, &[case]);
}

#[test]
fn who_may_not_act_is_let_in_nowhere_and_comes_back() {
    let federation = Federation::of(3);
    let mut officials = Officials::of(&federation);
    let [arvia, belmar, corvia] = &federation.nodes[..] else { unreachable!("three") };

    // One root key of Belmar stops it: nobody keeps a link with it.
    taken(import(&federation, arvia, "stop.dsse", &officials.suspension("XB")));
    wait_until("Belmar is out", || arvia.links() == 1 && corvia.links() == 1 && party(corvia, "XB")["acts"] == false);
    assert!(warnings(corvia).contains(&"profile.suspended".to_owned()));
    let case = Case::new();
    let (status, refused) = arvia.post("/v1/requests", &case.opening()).expect("an answer");
    assert_eq!((status, &refused["code"]), (409, &Value::from("profile.no-seal-key")));

    // Its threshold lets it go on; Belmar itself takes in what it is told by file.
    let on = officials.profile("XB", declare("again"));
    taken(import(&federation, arvia, "on.dsse", &on));
    taken(import(&federation, belmar, "on.dsse", &on));
    federation.linked();
    case.complete(arvia, belmar);

    // The charter withdraws Corvia at a time to come, and then it is out, without anybody doing anything.
    let at = now() + 4_000;
    let charter = officials.charter(&[], |draft| draft.parties[2].withdrawn_ms = at);
    taken(import(&federation, arvia, "charter-2.dsse", &charter));
    wait_until("all know the charter", || {
        federation.nodes.iter().all(|node| node.look("/v1/status")["charter"]["version"] == 2)
    });
    assert!(now() < at, "before it counts");
    wait_until("Corvia is out", || arvia.links() == 1 && belmar.links() == 1 && corvia.links() == 0);
    assert!(now() >= at, "not before its time");
    assert_eq!(party(belmar, "XC")["acts"], false);
    let last = Case::new();
    last.complete(arvia, belmar);
    let cases = [case, last];
    one_story(&federation.nodes[..2], &cases);

    // Belmar says that its record key was stolen a day ago: what was recorded under it is not void, and marked.
    let marks = |case: &Case| -> Vec<Value> {
        let events = arvia.look(&format!("/v1/requests/{}", case.id))["events"].clone();
        let by_belmar = events.as_array().expect("events").iter().filter(|event| event["author"] == "XB");
        by_belmar.map(|event| event["marks"].clone()).collect()
    };
    assert_eq!(marks(&cases[1]), [json!([])]);
    let stolen = officials.profile("XB", revoke_record_keys);
    taken(import(&federation, belmar, "stolen.dsse", &stolen));
    wait_until("Arvia knows", || knows(arvia, "XB", 3));
    assert_eq!(marks(&cases[1]), [json!(["profile.disputed"])]);
    for node in &federation.nodes {
        let (code, out, said) = run(&["ledger", "verify", "--data", node.data.to_str().expect("text")]);
        assert!(code == 0 && out.contains("whole: "), "{out}{said}");
    }
}

/// All transport keys of Belmar are new, and nobody knows the profile that names them but Belmar: it shows it in the
/// lobbies of the others, and is let in.
#[test]
fn who_has_new_transport_keys_shows_its_profile_and_is_let_in() {
    let mut federation = Federation::of(3);
    let mut officials = Officials::of(&federation);
    let case = Case::new();
    let arvia = &federation.nodes[0];
    case.note(&arvia.insist("/v1/requests", &case.opening()));

    assert_eq!(federation.nodes[1].stop(), 0);
    let made = crate::rotation::roll(&federation, &["transport"]);
    assert_eq!(made["generation"], 2);
    let node = officials.node(&federation.nodes[1].data, "XB");
    let profile = officials.profile("XB", |draft| draft.nodes = vec![node]);
    crate::rig::private(&federation.nodes[1].data.join("charter/profiles/XB.dsse"), &profile);
    federation.nodes[1].start(&[]);
    federation.linked();
    assert!([0, 2].iter().all(|place| knows(&federation.nodes[*place], "XB", 2)));
    case.complete(&federation.nodes[0], &federation.nodes[1]);
    one_story(&federation.nodes[..2], &[case]);
}
