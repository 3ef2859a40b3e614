//! Backups of a node that works meanwhile, and having it again from one: nothing acknowledged before is missing, nothing that was
//! erased comes back, and what does not hold is refused by name.
//!
//! ```text
//! arvia --- requests ---> belmar      arvia is copied, goes on, is lost, and is put back
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::handover::{Case, RECORD};
use crate::officials::Officials;
use crate::rig::{Federation, Node, fresh_id, preservation, run, wait_until};

/// Where everything of the backups of one node lies.
pub(crate) struct Shelf {
    home: PathBuf,
    passphrase: PathBuf,
}

impl Shelf {
    /// Makes two recovery keys and has the node write its backups here, from its next start on.
    pub(crate) fn of(federation: &mut Federation) -> Self {
        let home = federation.folder.path().join("shelf");
        let shelf = Self { passphrase: federation.folder.path().join("passphrase"), home };
        fs::create_dir(&shelf.home).expect("made");
        fs::create_dir(shelf.backups()).expect("made");
        for name in ["one", "two"] {
            let folder = shelf.home.join(name);
            let (code, _, said) = run(&[
                "key",
                "create",
                text(&folder),
                "--role",
                "recovery",
                "--passphrase-file",
                text(&shelf.passphrase),
            ]);
            assert_eq!(code, 0, "{said}");
        }
        let recipients = ["one.pub", "two.pub"].map(|name| text(&shelf.home.join(name)).to_owned()).join(",");
        let node = &mut federation.nodes[0];
        node.set("COMITY_BACKUP__FOLDER", text(&shelf.backups()));
        node.set("COMITY_BACKUP__RECIPIENTS", &recipients);
        node.set("COMITY_BACKUP__ERASURES", text(&shelf.erasures()));
        assert_eq!(node.stop(), 0);
        node.start(&[]);
        assert!(node.answers_or_ended());
        federation.linked();
        shelf
    }

    /// That of a network whose folder this is.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { home: folder.join("shelf"), passphrase: folder.join("passphrase") }
    }

    /// `comity backup create`.
    pub(crate) fn create(&self, node: &Node) -> Value {
        create(node)
    }

    fn backups(&self) -> PathBuf {
        self.home.join("backups")
    }

    pub(crate) fn erasures(&self) -> PathBuf {
        self.home.join("erasures")
    }

    /// `comity backup …` by whoever has a recovery key and the node's key folder.
    pub(crate) fn offline(&self, words: &[&str], keys: &Path) -> (i32, String, String) {
        let (folder, recovery) = (self.backups(), self.home.join("two"));
        let passphrase = text(&self.passphrase);
        let opening = ["--recovery", text(&recovery), "--keys", text(keys), "--passphrase-file", passphrase];
        let verb = ["backup", words[0], text(&folder)];
        let rest = ["--recovery-passphrase-file", passphrase];
        run(&[&verb[..], &words[1..], &opening[..], &rest[..]].concat())
    }

    pub(crate) fn restore(&self, to: &Path, keys: &Path, erasures: &Path) -> (i32, String, String) {
        self.offline(&["restore", "--to", text(to), "--erasures", text(erasures)], keys)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn create(node: &Node) -> Value {
    let (code, made, said) = run(&["--data", text(&node.data), "--json", "backup", "create"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&made).expect("one object")
}

fn ask(node: &Node) -> String {
    let id = fresh_id();
    node.insist("/v1/requests", &preservation(&id));
    id
}

/// Takes the data folder away as a burned machine does, but for the keys, of which there is a copy elsewhere.
fn lose(node: &mut Node) -> PathBuf {
    node.kill();
    let broken = node.data.with_extension("broken");
    fs::rename(&node.data, &broken).expect("moved");
    broken.join("keys")
}

fn copy_folder(from: &Path, to: &Path) {
    let made = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("copies");
    assert!(made.success());
}

/// [R-3], [R-5], [R-6]: what was acknowledged before a backup is in it, whatever else went on; what is put back records nothing.
#[test]
fn a_backup_of_a_working_node_is_whole() {
    let mut federation = Federation::of(2);
    let shelf = Shelf::of(&mut federation);
    let node = &federation.nodes[0];
    let before: Vec<String> = (0..3).map(|_| ask(node)).collect();
    let stop = AtomicBool::new(false);
    let made: Vec<(Vec<String>, Value)> = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ask(node);
            }
        });
        let mut acknowledged = before;
        let mut made = Vec::new();
        for _ in 0..3 {
            acknowledged.push(ask(node));
            let known = acknowledged.clone();
            made.push((known, create(node)));
        }
        stop.store(true, Ordering::Relaxed);
        busy.join().expect("asked");
        made
    });
    let numbers: Vec<&Value> = made.iter().map(|(_, made)| &made["number"]).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(made.windows(2).all(|two| two[0].1["chain"] == two[1].1["chain"]), "they share a chain");
    let proved = node.insist("/v1/backups/verify", &json!({}));
    assert_eq!((&proved["number"], &proved["size"]), (&json!(3), &made[2].1["size"]));
    let keys = lose(&mut federation.nodes[0]);
    let data = federation.nodes[0].data.clone();
    for (number, (known, made)) in (1..).zip(&made) {
        let scratch = shelf.home.join(format!("rehearsal-{number}"));
        let number = number.to_string();
        let erasures = shelf.erasures();
        let words = ["restore", "--number", &number, "--to", text(&scratch), "--erasures", text(&erasures)];
        let (code, put, said) = shelf.offline(&words, &keys);
        assert_eq!(code, 0, "{said}");
        assert!(put.contains(&format!("{} records, all verified", made["size"])), "{put}");
        assert!(put.contains(made["root"].as_str().expect("text")), "{put}");
        if number == "3" {
            fs::rename(&scratch, &data).expect("moved");
            copy_folder(&keys, &data.join("keys"));
            let node = &mut federation.nodes[0];
            node.start(&[]);
            assert!(node.answers_or_ended(), "{}", node.log());
            for id in known {
                assert_eq!(node.look(&format!("/v1/requests/{id}"))["request_id"], id.as_str());
            }
            assert_eq!(node.look("/v1/status")["read_only"], "store.restored");
            let (status, refused) = node.post("/v1/requests", &preservation(&fresh_id())).expect("answered");
            assert_eq!((status, &refused["code"]), (503, &json!("store.read-only")), "{refused}");
            assert_eq!(node.look("/v1/ledger")["size"], made["size"], "nothing was recorded");
        }
    }
}

/// [R-4], [R-5]: an erasure made after a backup reaches into it; without the newest list nothing is put back.
#[test]
fn what_was_erased_after_a_backup_does_not_come_back() {
    let mut case = Case::new();
    let mut officials = Officials::of(&case.federation);
    let shelf = Shelf::of(&mut case.federation);
    let id = case.id.clone();
    let folder = case.federation.folder.path().join("evidence");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("log"), vec![7; 300_000]).expect("written");
    let mut add = vec!["add", case.id.as_str(), text(&folder)];
    add.extend(RECORD.iter().flat_map(|set| ["--set", *set]));
    let (code, sealed) = case.typed(case.arvia(), &add);
    assert_eq!(code, 0, "{sealed}");
    let draft = json!({ "procedure": "PRES", "fields": { "offence.facts": { "lang": "en", "text": "a draft" } } });
    let kept = case.arvia().voice().ask("PUT", &format!("/v1/drafts/{id}"), Some(&draft));
    assert_eq!(kept.expect("answered").0, 200);
    let other = ask(case.arvia());
    let first = create(case.arvia());
    assert_eq!(first["erasures"], 0);
    let old_list = shelf.home.join("old-list");
    fs::copy(shelf.erasures(), &old_list).expect("copied");
    case.step(case.arvia(), "withdraw", &json!({ "release.reason": "not-needed" }));
    wait_until("nothing is owed", || case.arvia().look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty));
    case.arvia().insist(&format!("/v1/requests/{id}/erasure"), &json!({ "ground": "court-order" }));
    let list = fs::read_to_string(shelf.erasures()).expect("reads");
    assert!(list.contains(&format!("{id} court-order ")), "{list}");
    let keys = lose(&mut case.federation.nodes[0]);
    let scratch = shelf.home.join("rehearsal");
    let (code, put, said) = shelf.restore(&scratch, &keys, &shelf.erasures());
    assert_eq!(code, 0, "{said}");
    assert!(put.contains("1 requests in the list; the keys of "), "{put}");
    let stray = files_below(&scratch.join("vault/objects"));
    assert!(stray.is_empty(), "no sealed object of it is there: {stray:?}");
    let (code, _, said) = shelf.restore(&shelf.home.join("none"), &keys, &shelf.home.join("no-list"));
    assert!(code == 2 && said.contains("backup.no-erasure-list"), "{said}");
    let (code, _, said) = shelf.restore(&scratch, &keys, &shelf.erasures());
    assert!(code == 2 && said.contains("backup.folder-in-use"), "{said}");
    let node = &mut case.federation.nodes[0];
    fs::rename(&scratch, &node.data).expect("moved");
    copy_folder(&keys, &node.data.join("keys"));
    node.start(&[]);
    assert!(node.answers_or_ended(), "{}", node.log());
    let (_, gone) = node.get(&format!("/v1/requests/{id}")).expect("answered");
    assert!(!gone.to_string().contains("hospital"), "nothing of it can be read: {gone}");
    assert_eq!(node.get(&format!("/v1/drafts/{id}")).expect("answered").0, 404);
    assert_eq!(node.look(&format!("/v1/requests/{other}"))["request_id"], other.as_str());
    let verified = node.verifies();
    assert!(verified["erased"].as_u64().is_some_and(|erased| erased > 3), "{verified}");
    goes_on_under_another_name(&mut case.federation, &mut officials, &put);
    let node = case.arvia();
    wait_until("the erasure is on record again", || {
        node.get(&format!("/v1/requests/{id}/erasure")).is_some_and(|(_, erased)| erased["state"] == "erased")
    });
    assert_eq!(node.get(&format!("/v1/requests/{id}")).expect("answered").0, 410);
    assert!(!node.data.join("restored").exists());
    ask(node);
    assert_eq!(create(node)["number"], 1, "a chain of its own");
    // What the peer holds of it is not taken back: the request is erased here, whoever brings it.
    for node in [node, case.belmar()] {
        wait_until("nothing is owed", || node.look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty));
    }
    assert_eq!(node.get(&format!("/v1/requests/{id}")).expect("answered").0, 410);
    the_same_backup_once_more(&mut case.federation, &shelf);
}

/// [R-6]: what the root keys said of a ledger that was put back says nothing of the next one put back from the same backup.
fn the_same_backup_once_more(federation: &mut Federation, shelf: &Shelf) {
    let node = &mut federation.nodes[0];
    let profile = fs::read(node.data.join("charter/profiles/XA.dsse")).expect("reads");
    node.kill();
    fs::remove_dir_all(node.data.with_extension("broken")).expect("removed");
    let keys = lose(node);
    let first = fs::read_dir(shelf.backups()).expect("reads").map(|chain| chain.expect("an entry").path());
    let holds_two = |chain: &PathBuf| !chain.join("000002.backup").exists();
    let first = first
        .filter(holds_two)
        .min_by_key(|chain| fs::metadata(chain.join("chain")).expect("is there").modified().expect("dated"));
    let (folder, recovery) = (first.expect("the first chain"), shelf.home.join("two"));
    let (passphrase, erasures, to) = (text(&shelf.passphrase), shelf.erasures(), federation.nodes[0].data.clone());
    let (code, _, said) = run(&[
        "backup",
        "restore",
        text(&folder),
        "--to",
        text(&to),
        "--erasures",
        text(&erasures),
        "--recovery",
        text(&recovery),
        "--keys",
        text(&keys),
        "--passphrase-file",
        passphrase,
        "--recovery-passphrase-file",
        passphrase,
    ]);
    assert_eq!(code, 0, "{said}");
    copy_folder(&keys, &to.join("keys"));
    fs::write(to.join("charter/profiles/XA.dsse"), profile).expect("written");
    let node = &mut federation.nodes[0];
    node.start(&[]);
    assert!(node.answers_or_ended(), "{}", node.log());
    assert_eq!(node.look("/v1/status")["read_only"], "store.restored");
    assert!(node.data.join("restored").exists());
}

/// The root keys name the ledger that follows what Arvia's node has now.
fn goes_on_under_another_name(federation: &mut Federation, officials: &mut Officials, said: &str) {
    let (size, root) =
        said.split_once("--succeed ").and_then(|(_, named)| named.split_once(':')).expect("size and root");
    let root = comity_core::ids::unhex(&root[..64], "root").expect("digits");
    let size = size.parse().expect("a number");
    let named = officials.profile("XA", |profile| {
        let origin = profile.ledgers[0].origin.replace("/ledger/1", "/ledger/2");
        profile.ledgers.push(comity_core::proto::Ledger { origin, size, root });
    });
    let node = &mut federation.nodes[0];
    assert_eq!(node.stop(), 0);
    fs::write(node.data.join("charter/profiles/XA.dsse"), named).expect("written");
    node.start(&[]);
    assert!(node.answers_or_ended(), "{}", node.log());
    assert_eq!(node.look("/v1/status")["read_only"], Value::Null);
    federation.linked();
}

/// A list from before an erasure that the backup itself knows of is refused.
#[test]
fn an_old_list_a_changed_piece_and_an_interrupted_restore_are_refused() {
    let mut federation = Federation::of(2);
    let shelf = Shelf::of(&mut federation);
    let node = &federation.nodes[0];
    let id = ask(node);
    create(node);
    let old_list = shelf.home.join("old-list");
    fs::copy(shelf.erasures(), &old_list).expect("copied");
    let withdraw = json!({ "command_id": fresh_id(), "step": "withdraw", "authority": "central",
        "fields": { "release.reason": "not-needed" } });
    node.insist(&format!("/v1/requests/{id}/steps"), &withdraw);
    wait_until("nothing is owed", || node.look("/v1/outbox")["peers"].as_array().is_some_and(Vec::is_empty));
    node.insist(&format!("/v1/requests/{id}/erasure"), &json!({ "ground": "court-order" }));
    assert_eq!(create(node)["erasures"], 1);
    let keys = lose(&mut federation.nodes[0]);
    let scratch = shelf.home.join("rehearsal");
    let (code, _, said) = shelf.restore(&scratch, &keys, &old_list);
    assert!(code == 2 && said.contains("backup.old-erasure-list"), "{said}");
    // Interrupted: as a crash leaves it, with one folder moved to its place already.
    fs::create_dir_all(scratch.join("restore.new/vault")).expect("made");
    fs::create_dir_all(scratch.join("ledger/segments")).expect("made");
    fs::write(scratch.join("restored"), "as written before the first move").expect("written");
    std::process::Command::new("chmod").args(["-R", "go=", text(&scratch)]).status().expect("closed");
    let (code, _, said) = shelf.restore(&scratch, &keys, &shelf.erasures());
    assert_eq!(code, 0, "{said}");
    assert!(!scratch.join("restore.new").exists());
    let pieces = files_below(&shelf.backups());
    let piece = pieces.iter().find(|path| path.to_string_lossy().contains("/pieces/")).expect("some");
    let mut bytes = fs::read(piece).expect("reads");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(piece, bytes).expect("written");
    let (first, second) = (shelf.offline(&["verify", "--number", "1"], &keys), shelf.offline(&["verify"], &keys));
    let found = [&first, &second].iter().any(|(code, _, said)| *code == 1 && said.contains("backup.damaged"));
    assert!(found, "{first:?} {second:?}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
