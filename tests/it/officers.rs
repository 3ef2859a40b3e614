//! Two officers, each with a key of their own: a Party that requires them, as its people meet it. SPEC `[O-*]`.
//!
//! ```text
//! desk --- asks ---> arvia ... refused; duty-1 signs, arvia is killed, duty-2 signs ... ---> belmar
//! ```

use std::fs;

use serde_json::{Value, json};

use crate::rig::{Federation, Node, fresh_id, run, smallest_request, wait_until};

/// Arvia's house: its folder, and the files its people carry.
struct House {
    federation: Federation,
}

impl House {
    fn at(&self, name: &str) -> String {
        self.federation.folder.path().join(name).display().to_string()
    }

    fn arvia(&self) -> &Node {
        &self.federation.nodes[0]
    }

    fn data(&self) -> String {
        self.arvia().data.display().to_string()
    }

    /// Runs a command of people at Arvia: `@name` is a file of theirs, `@@name` one in its data folder.
    fn does(&self, words: &str) -> (i32, String, String) {
        let word = |word: &str| match (word.strip_prefix("@@"), word.strip_prefix('@')) {
            (Some(name), _) => self.arvia().data.join(name).display().to_string(),
            (None, Some(name)) => self.at(name),
            (None, None) => word.to_owned(),
        };
        let words: Vec<String> = words.split_whitespace().map(word).collect();
        let data = self.data();
        let arguments: Vec<&str> = ["--data", &data].into_iter().chain(words.iter().map(String::as_str)).collect();
        run(&arguments)
    }

    #[track_caller]
    fn fine(&self, words: &str) -> String {
        let (code, out, err) = self.does(words);
        assert_eq!(code, 0, "{words}: {out}{err}");
        out
    }

    /// A command that is refused with this code.
    #[track_caller]
    fn refused(&self, words: &str, code: &str) {
        let (exit, out, err) = self.does(words);
        assert!(exit != 0 && err.contains(code), "{words}: {exit} {out}{err}");
    }

    /// Belmar's and Arvia's nodes, linked; Arvia's root keys have declared that two officers are required.
    fn strict() -> Self {
        let house = Self { federation: Federation::of(2) };
        let documents = "--charter @@charter/charter.dsse";
        house.fine(&format!("profile draft --after @@charter/profiles/XA.dsse {documents} --out @profile.toml"));
        let mut draft = fs::read_to_string(house.at("profile.toml")).expect("reads");
        draft += "\n[[declaration]]\ncode = \"FOUR-EYES\"\nvalue = \"required\"\n";
        fs::write(house.at("profile.toml"), draft).expect("written");
        let before = format!("{documents} --after @@charter/profiles/XA.dsse");
        house.fine(&format!("profile propose @profile.toml {before} --out @proposed.dsse"));
        let root = "--keys @exercise/offline/root-arvia --passphrase-file @passphrase";
        house.fine(&format!("profile sign @proposed.dsse {documents} {root} --out @signed.dsse"));
        house.fine(&format!("profile collect @proposed.dsse @signed.dsse {documents} --out @XA.dsse"));
        house.fine("roster import @XA.dsse");
        for officer in ["duty-1", "duty-2", "duty-3"] {
            house.fine(&format!("key create @{officer} --role officer --passphrase-file @passphrase"));
        }
        house
    }

    /// Installs a roll of three officers, with more lines.
    fn roll(&self, number: u32, more: &str) {
        let documents = "--charter @@charter/charter.dsse --profile @XA.dsse";
        let after = if number == 1 { String::new() } else { format!("--after @roll-{}.dsse", number - 1) };
        self.fine(&format!("officer roll draft {documents} {after} --out @roll-{number}.toml"));
        let mut draft = fs::read_to_string(self.at(&format!("roll-{number}.toml"))).expect("reads");
        if number == 1 {
            for (officer, sides) in
                [("duty-1", "\"requesting\", \"requested\""), ("duty-2", "\"requesting\""), ("duty-3", "\"requested\"")]
            {
                draft += &format!(
                    "\n[[officer]]\nid = \"{officer}\"\nkey = \"{officer}.pub\"\nauthority = \"central\"\nsides = [{sides}]\n\
                     from = \"2026-01-01T00:00:00Z\"\n"
                );
            }
        }
        fs::write(self.at(&format!("roll-{number}.toml")), draft + more).expect("written");
        let keys = "--keys @@keys --passphrase-file @passphrase";
        self.fine(&format!("officer roll sign @roll-{number}.toml {documents} {keys} --out @roll-{number}.dsse"));
        self.fine(&format!("officer roll install @roll-{number}.dsse"));
    }

    fn approves(&self, id: &str, officer: &str, more: &str) -> String {
        format!("request approve {id} --officer {officer} --key @{officer} --passphrase-file @passphrase {more}")
    }

    /// Asks for a request to Belmar; it is refused with this code.
    #[track_caller]
    fn asks_in_vain(&self, id: &str, code: &str, emergency: bool) {
        let (status, refused) = self.arvia().post("/v1/requests", &request(id, emergency)).expect("answers");
        assert_eq!((status, &refused["code"]), (409, &json!(code)), "{refused}");
    }

    #[track_caller]
    fn belmar_has(&self, id: &str) {
        let belmar = &self.federation.nodes[1];
        wait_until("belmar has the request", || {
            belmar.get(&format!("/v1/requests/{id}")).is_some_and(|(status, _)| status == 200)
        });
    }

    fn killed_and_started(&mut self, environment: &[(&str, &str)]) {
        self.federation.nodes[0].kill();
        self.federation.nodes[0].start(environment);
        assert!(self.federation.nodes[0].answers_or_ended(), "it starts again");
    }

    fn waiting(&self) -> Vec<Value> {
        self.arvia().look("/v1/approvals")["waiting"].as_array().expect("a list").clone()
    }
}

fn request(id: &str, emergency: bool) -> Value {
    let mut fields = smallest_request();
    if emergency {
        fields["urgency.level"] = json!("emergency");
        fields["urgency.reason"] = json!({ "lang": "en", "text": "A hospital is held to ransom." });
        fields["urgency.basis"] = json!("life-or-safety");
    }
    json!({ "request_id": id, "procedure": "PRES", "recipients": ["XB"], "authority": "central", "fields": fields })
}

/// [O-1] to [O-6]: refused, approved by two with a kill between, sent; in an emergency by one; absences; a deputy.
#[test]
fn two_officers_let_it_leave() {
    let mut house = House::strict();
    let id = fresh_id();
    house.asks_in_vain(&id, "approval.no-roll", false);
    house.roll(1, "");
    house.asks_in_vain(&id, "approval.needed", false);
    let shown = house.fine(&house.approves(&id, "duty-1", ""));
    for seen in ["They will be deleted.", "PRES/request", "XB", "another officer must approve"] {
        assert!(shown.contains(seen), "{seen}: {shown}");
    }
    house.killed_and_started(&[]);
    assert_eq!(house.waiting()[0]["approvals"][0]["officer"], "duty-1", "what was acknowledged is there");
    house.refused(&house.approves(&id, "duty-1", ""), "approval.same-officer");
    house.refused(&house.approves(&id, "duty-3", ""), "approval.no-power");
    house.asks_in_vain(&id, "approval.needed", false);
    // It dies when the second approval is on record and not on the desk yet: nothing was acknowledged, it is brought again.
    house.killed_and_started(&[("COMITY_CRASH_AT", "audit.batch-synced")]);
    let (code, ..) = house.does(&house.approves(&id, "duty-2", ""));
    assert_ne!(code, 0);
    house.killed_and_started(&[]);
    let sent = house.fine(&house.approves(&id, "duty-2", ""));
    assert!(sent.contains("request signed: event"), "{sent}");
    house.belmar_has(&id);
    assert!(house.waiting().is_empty());

    // In an emergency one suffices, the second is owed, and that outlasts a kill.
    let urgent = fresh_id();
    house.asks_in_vain(&urgent, "approval.needed", true);
    house.fine(&house.approves(&urgent, "duty-1", "--break-glass life-or-safety"));
    house.belmar_has(&urgent);
    house.killed_and_started(&[]);
    let owed = || house.arvia().look("/v1/status")["warnings"].to_string().contains("approval.second-owed");
    assert!(owed());
    house.refused(&house.approves(&urgent, "duty-1", ""), "approval.same-officer");
    let later = house.fine(&house.approves(&urgent, "duty-2", ""));
    assert!(later.contains("nothing is owed any more"), "{later}");
    assert!(!owed());

    // Who is away does not count, until a deputy is named.
    let third = fresh_id();
    let away = "\n[[absence]]\nofficer = \"duty-2\"\nfrom = \"2026-01-01T00:00:00Z\"\n";
    house.roll(2, away);
    house.asks_in_vain(&third, "approval.needed", false);
    house.fine(&house.approves(&third, "duty-1", ""));
    house.refused(&house.approves(&third, "duty-2", ""), "approval.absent");
    house.roll(3, "\n[[deputy]]\nof = \"duty-2\"\nby = \"duty-3\"\nfrom = \"2026-01-01T00:00:00Z\"\n");
    house.refused("officer roll install @roll-1.dsse", "profile.roll-back");
    house.fine(&house.approves(&third, "duty-3", "--only"));
    assert_eq!(house.waiting()[0]["ready"], true);
    let done = house.arvia().insist("/v1/requests", &request(&third, false));
    assert_eq!(done["request_id"], third, "by the call that any client makes");
    house.belmar_has(&third);
    let roll = house.fine("officer roll show");
    assert!(roll.contains("duty-3 stands in for duty-2") && roll.contains("duty-2 is away"), "{roll}");

    // Each is on record with the event it became, and nobody else was told anything.
    let audit = house.arvia().look("/v1/audit?limit=500");
    let entries = audit["entries"].as_array().expect("a list").iter();
    let became: Vec<_> = entries.filter(|entry| entry["approval"]["event_id"].is_string()).collect();
    assert_eq!(became.len(), 6, "two, one and the later one, two: {became:?}");
    house.arvia().verifies();
}

/// [O-7]: withdrawn while it waited, it leaves by no road any more, also after a kill in the midst of it; what went out on the
/// word of one stays owed.
#[test]
fn what_waits_is_withdrawn_for_good() {
    let mut house = House::strict();
    house.roll(1, "");
    let id = fresh_id();
    house.asks_in_vain(&id, "approval.needed", false);
    house.fine(&house.approves(&id, "duty-1", ""));
    let withdraws = format!("request withdraw-act {id} --reason asked-of-the-wrong-State");
    // It dies when that somebody withdrew it is on record and nothing is on the desk: nothing was acknowledged, it waits.
    house.killed_and_started(&[("COMITY_CRASH_AT", "audit.batch-synced")]);
    assert_ne!(house.does(&withdraws).0, 0);
    house.killed_and_started(&[]);
    assert_eq!(house.waiting()[0]["approvals"][0]["officer"], "duty-1");
    let said = house.fine(&withdraws);
    assert!(said.contains("PRES/request withdrawn"), "{said}");
    house.killed_and_started(&[]);
    assert!(house.waiting().is_empty(), "what was acknowledged is so");
    assert_eq!(house.fine(&withdraws), said, "withdrawn once");
    let listed = house.fine("request approvals --withdrawn");
    assert!(listed.contains("asked-of-the-wrong-State") && listed.contains(&id[..8]), "{listed}");

    for _ in 0..2 {
        house.refused(&house.approves(&id, "duty-2", ""), "approval.withdrawn");
        let (status, refused) = house.arvia().post(&format!("/v1/approvals/{id}/act"), &json!(null)).expect("answers");
        assert_eq!((status, &refused["code"]), (409, &json!("approval.withdrawn")), "{refused}");
        house.asks_in_vain(&id, "approval.withdrawn", false);
        house.killed_and_started(&[]);
    }

    let urgent = fresh_id();
    house.asks_in_vain(&urgent, "approval.needed", true);
    house.fine(&house.approves(&urgent, "duty-1", "--break-glass life-or-safety"));
    house.belmar_has(&urgent);
    house.refused(&format!("request withdraw-act {urgent} --reason none"), "approval.second-owed");
    house.killed_and_started(&[]);
    house.refused(&format!("request withdraw-act {urgent} --reason none"), "approval.second-owed");
    house.fine(&house.approves(&urgent, "duty-2", ""));
    let (status, refused) =
        house.arvia().post(&format!("/v1/approvals/{urgent}/withdraw"), &json!({ "reason": "none" })).expect("answers");
    assert_eq!((status, &refused["code"]), (409, &json!("approval.done")), "{refused}");
    let (_, belmar) = house.federation.nodes[1].get(&format!("/v1/requests/{id}")).expect("answers");
    assert_eq!(belmar["code"], "api.unknown-request", "it never left");
    house.arvia().verifies();
}
