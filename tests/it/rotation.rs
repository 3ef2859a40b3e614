//! Keys of a node are turned while it exchanges with another, and nothing that was signed, sealed or kept
//! before is lost by it.
//!
//! ```text
//! arvia ---- PRES ----> belmar      belmar turns its keys, revokes the old ones in its next profile
//! ```
//!
//! The new profile is put into both folders and both nodes are started again.

use std::{fs, path::Path};

use comity_core::{
    crypto::PublicKey,
    proto::{Algorithm, KeyRole, Profile, Revocation, RoleKey},
};
use serde_json::Value;

use crate::officials::Officials;
use crate::rig::{Federation, Node, now, private, run, wait_until};
use crate::story::{Case, one_story};

const DAY: u64 = 24 * 3600 * 1000;
/// Time for two debug builds to start and exchange before a key ends.
const AWHILE: u64 = 15_000;

#[test]
fn keys_are_turned_while_two_nodes_exchange() {
    let mut federation = Federation::of(2);
    let mut cases = vec![Case::new()];
    complete(&federation, &cases[0]);

    // New keys beside a running node; until the profile names them, they wait.
    let mut made = vec![roll(&federation, &["record"])];
    federation.nodes[1].stop();
    federation.nodes[1].start(&[]);
    assert!(federation.nodes[1].answers_or_ended());
    federation.linked();
    assert!(doctor(&federation.nodes[1]).contains("not in the profile: record 2"));
    assert_eq!(in_use(&federation, "record"), [1, 1], "both halves of the first");

    // An event is sealed to the old key and owed while Belmar is away.
    assert_eq!(federation.nodes[1].stop(), 0);
    cases.push(Case::new());
    cases[1].note(&federation.nodes[0].insist("/v1/requests", &cases[1].opening()));
    made.extend(["checkpoint", "seal", "directory"].map(|role| roll(&federation, &[role])));
    assert_eq!(federation.nodes[0].stop(), 0);
    republish(&federation, &made);

    // It arrives after the turn; whatever Belmar answers is signed by new keys, since the old ones are revoked.
    federation.start();
    for role in ["record", "checkpoint", "directory"] {
        assert_eq!(in_use(&federation, role), [2, 2]);
    }
    assert_eq!(in_use(&federation, "seal"), [2]);
    complete(&federation, &cases[1]);
    cases.push(Case::new());
    complete(&federation, &cases[2]);
    one_story(&federation.nodes, &cases);
    assert!(doctor(&federation.nodes[1]).contains("; ended: record 1, checkpoint 1, directory 1, seal 1"));

    // The old keys go, but for the one that something may be sealed to; the ledger verifies without them.
    for role in ["record", "checkpoint", "directory"] {
        let (code, _, said) = key(&federation, &["retire", role, "1"]);
        assert_eq!(code, 0, "{said}");
    }
    let (code, _, said) = key(&federation, &["retire", "seal", "1"]);
    assert!(code == 2 && said.starts_with("keys.still-needed: "), "{code} {said}");
    let (code, _, said) = key(&federation, &["retire", "record", "2"]);
    assert!(code == 2 && said.starts_with("keys.still-needed: "), "{code} {said}");
    assert_eq!(federation.nodes[1].stop(), 0);
    let (code, verified, _) = comity(&federation, &["ledger", "verify"]);
    assert!(code == 0 && verified.contains("\"ok\":true"), "{verified}");
    federation.nodes[1].start(&[]);
    assert!(federation.nodes[1].answers_or_ended());
    federation.linked();
    cases.push(Case::new());
    complete(&federation, &cases[3]);
    one_story(&federation.nodes, &cases);
}

/// While the node runs one pair of checkpoint keys ends and another begins: what is proved to a peer after that
/// moment is proved under the other, also where the ledger has not grown.
#[test]
fn a_checkpoint_is_signed_again_when_its_keys_end() {
    let mut federation = Federation::stopped(2);
    let made = roll(&federation, &["checkpoint"]);
    let turn = now() + AWHILE;
    publish(&federation, &[made], turn, turn);
    federation.start();
    let cases = [Case::new(), Case::new()];
    complete(&federation, &cases[0]);
    let note = |federation: &Federation| federation.nodes[1].look("/v1/ledger")["checkpoint"].clone();
    let before = note(&federation);
    wait_until("the old keys have ended", || now() > turn);
    complete(&federation, &cases[1]);
    assert_ne!(note(&federation), before);
    one_story(&federation.nodes, &cases);
    assert!(federation.nodes[1].log().contains("another generation of checkpoint keys signs from now on"));
}

#[test]
fn a_node_without_a_key_that_its_profile_allows_does_not_start() {
    let mut federation = Federation::stopped(2);
    let made = ["record", "checkpoint", "seal"].map(|role| roll(&federation, &[role]));
    republish(&federation, &made);
    fs::remove_dir_all(federation.nodes[1].data.join("keys/seal-2")).expect("removed");
    let belmar = &mut federation.nodes[1];
    belmar.start(&[]);
    assert!(!belmar.answers_or_ended());
    assert!(belmar.log().contains("keys.not-in-profile: the node does not start; its seal keys"), "{}", belmar.log());
}

/// Belmar dies at each step of the turn; whatever it held before opens after, also when the old key is gone.
#[test]
fn the_key_that_wraps_data_keys_is_turned_though_the_node_dies_on_the_way() {
    let mut federation = Federation::of(2);
    let mut cases = vec![Case::new(), Case::new(), Case::new()];
    cases.iter().for_each(|case| complete(&federation, case));
    let retire = |federation: &Federation, generation| {
        let (code, _, said) = key(federation, &["retire", "key-encryption", generation]);
        (code, said.split_once(": ").map(|(code, _)| code.to_owned()).unwrap_or_default())
    };
    let refused = |code: &str| (2, code.to_owned());
    assert_eq!(wrapped(&federation), [(1, 3)]);
    assert_eq!(roll(&federation, &["key-encryption"])["generation"], 2);
    assert_eq!(retire(&federation, "1"), refused("keys.still-needed"), "the node that runs wraps under it");

    assert_eq!(federation.nodes[1].stop(), 0);
    for (point, left) in [
        ("store.slot-turned", [(1, 2), (2, 1)]),
        ("store.slot-turned:2", [(1, 0), (2, 3)]),
        ("store.slots-turned", [(1, 0), (2, 3)]),
    ] {
        let belmar = &mut federation.nodes[1];
        belmar.start(&[("COMITY_CRASH_AT", point)]);
        wait_until(&format!("it dies at {point}"), || belmar.has_ended());
        belmar.kill();
        assert_eq!(wrapped(&federation), left, "{point}");
        assert_eq!(retire(&federation, "1"), refused("keys.still-needed"), "{point}: nothing is promised");
    }
    federation.nodes[1].start(&[]);
    assert!(federation.nodes[1].answers_or_ended());
    federation.linked();
    cases.push(Case::new());
    complete(&federation, &cases[3]);
    assert_eq!(wrapped(&federation), [(1, 0), (2, 4)]);
    assert_eq!(retire(&federation, "2"), refused("keys.still-needed"), "the newest");
    assert_eq!(retire(&federation, "1").0, 0, "beside the node that runs");
    assert_eq!(retire(&federation, "1"), refused("keys.unknown-generation"));

    // Without its date nobody knows how old the key is.
    assert_eq!(federation.nodes[1].stop(), 0);
    fs::remove_file(federation.nodes[1].data.join("keys/data-kek-2/data-kek-2.made")).expect("removed");
    let (code, verified, _) = comity(&federation, &["ledger", "verify"]);
    assert!(code == 0 && verified.contains("\"ok\":true"), "{verified}");
    federation.nodes[1].start(&[]);
    assert!(federation.nodes[1].answers_or_ended());
    federation.linked();
    let warned = |node: &Node| node.look("/v1/status")["warnings"].to_string().contains("keys.key-encryption-due");
    assert_eq!([0, 1].map(|node| warned(&federation.nodes[node])), [false, true]);
    cases.push(Case::new());
    complete(&federation, &cases[4]);
    one_story(&federation.nodes, &cases);
}

/// Slots wrapped by each generation of Belmar's key-encryption key.
fn wrapped(federation: &Federation) -> Vec<(u64, u64)> {
    let (code, listed, said) = key(federation, &["list"]);
    assert_eq!(code, 0, "{said}");
    let listed: Value = serde_json::from_str(&listed).expect("an object");
    let generations = listed["key_encryption"].as_array().expect("generations").iter();
    let of = |one: &Value, name: &str| one[name].as_u64().expect("a number");
    generations.map(|one| (of(one, "generation"), of(one, "slots"))).collect()
}

#[track_caller]
fn complete(federation: &Federation, case: &Case) {
    case.complete(&federation.nodes[0], &federation.nodes[1]);
}

/// A command about Belmar's folder, answered for programs.
fn comity(federation: &Federation, arguments: &[&str]) -> (i32, String, String) {
    let passphrase = federation.folder.path().join("passphrase");
    let data = &federation.nodes[1].data;
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (data, passphrase) = (text(data), text(&passphrase));
    run(&[arguments, &["--data", &data, "--passphrase-file", &passphrase, "--json"]].concat())
}

pub(crate) fn key(federation: &Federation, arguments: &[&str]) -> (i32, String, String) {
    comity(federation, &[&["key"], arguments].concat())
}

/// The public halves of a new generation of Belmar's keys.
pub(crate) fn roll(federation: &Federation, arguments: &[&str]) -> Value {
    let (code, made, said) = key(federation, &[&["roll"], arguments].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&made).expect("an object")
}

/// The generation in use of each half of Belmar's keys of a role.
fn in_use(federation: &Federation, role: &str) -> Vec<u64> {
    let (code, listed, said) = key(federation, &["list"]);
    assert_eq!(code, 0, "{said}");
    let listed: Value = serde_json::from_str(&listed).expect("an object");
    let keys = listed["keys"].as_array().expect("keys").iter();
    let used = keys.filter(|key| key["role"] == role && key["in_use"] == true);
    used.map(|key| key["generation"].as_u64().expect("a number")).collect()
}

fn doctor(node: &Node) -> String {
    let mut said = String::new();
    wait_until("the doctor answers", || {
        let (_, findings, _) = run(&["doctor", "--data", node.data.to_str().expect("text")]);
        said = findings;
        said.contains("keys")
    });
    said
}

/// Puts the next version of Belmar's profile into both folders: it names the new keys as well, and revokes the old
/// ones of their roles from now on.
pub(crate) fn republish(federation: &Federation, made: &[Value]) {
    publish(federation, made, now() - DAY, now());
}

/// The same with other dates: when the new keys begin, and from when on the old ones are revoked.
fn publish(federation: &Federation, made: &[Value], begin: u64, end: u64) {
    let new: Vec<PublicKey> = made.iter().flat_map(|made| made["keys"].as_array().expect("keys")).map(public).collect();
    let signed = Officials::of(federation).profile("XB", |draft| name_keys(draft, new, begin, end));
    for node in &federation.nodes {
        private(&node.data.join("charter/profiles/XB.dsse"), &signed);
    }
}

/// Names new keys in a profile, and revokes those of their roles that are there.
fn name_keys(draft: &mut Profile, new: Vec<PublicKey>, begin: u64, end: u64) {
    let id = |key: &RoleKey| PublicKey::from(key).id();
    let old = draft.keys.iter().filter(|old| new.iter().any(|new| new.role == old.role()));
    let revoked =
        old.map(|old| Revocation { key_id: id(old).as_bytes().to_vec(), from_ms: end, reason: "turned".to_owned() });
    draft.revocations.extend(revoked.collect::<Vec<_>>());
    draft.revocations.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    draft.keys.extend(new.into_iter().map(|key| RoleKey {
        role: key.role.into(),
        algorithm: key.algorithm.into(),
        public_key: key.bytes,
        not_before_ms: begin,
        not_after_ms: begin + 90 * DAY,
    }));
    draft.keys.sort_by_key(id);
}

fn public(half: &Value) -> PublicKey {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = |name: &str| half[name].as_str().expect("a text");
    let role = match text("role") {
        "record" => KeyRole::Record,
        "checkpoint" => KeyRole::Checkpoint,
        "directory" => KeyRole::Directory,
        "seal" => KeyRole::Seal,
        other => panic!("{other}"),
    };
    let algorithm = match text("algorithm") {
        "ed25519" => Algorithm::Ed25519,
        "ml-dsa-44" => Algorithm::MlDsa44,
        "ml-dsa-65" => Algorithm::MlDsa65,
        "mlkem768-x25519" => Algorithm::Mlkem768X25519,
        other => panic!("{other}"),
    };
    let key = PublicKey { role, algorithm, bytes: STANDARD.decode(text("public_key")).expect("base64") };
    assert_eq!(key.id().to_string(), text("key_id"));
    key
}
