//! A request for assistance between Arvia and Belmar up to the hand-over of evidence, by commands and over
//! the API. Start at [`Case::new`].

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::rig::{Federation, Node, fresh_id, run, smallest_request, wait_until};

/// What a record of an acquisition must say at least.
pub(crate) const RECORD: [&str; 10] = [
    "exhibit.number=1",
    "exhibit.kind=mixed",
    "exhibit.description=Files",
    "source.description=A server",
    "data.categories=content",
    "acquisition.by=Examiner",
    "acquisition.from=2026-03-01T10:00:00Z",
    "acquisition.until=2026-03-01T11:00:00Z",
    "acquisition.method=file",
    "acquisition.tool=copy",
];

/// What a test asks Belmar to disclose: the smallest request for stored data its form allows.
pub(crate) fn assistance() -> Value {
    let mut fields = smallest_request();
    let members = fields.as_object_mut().expect("an object");
    members.retain(|key, _| !["necessity", "path.wanted"].contains(&key.as_str()) && !key.starts_with("follow-up"));
    let text = |text: &str| json!({ "lang": "en", "text": text });
    members.insert("assistance.kinds".into(), json!(["disclosure"]));
    members.insert("assistance.purpose".into(), text("To identify who did it."));
    members.insert("proceedings.subject".into(), text("Investigation of the Prosecution Office."));
    fields
}

/// A request for assistance that Belmar has accepted.
pub(crate) struct Case {
    pub(crate) federation: Federation,
    pub(crate) id: String,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self::among(2)
    }

    /// The same, with so many nodes running.
    pub(crate) fn among(nodes: usize) -> Self {
        let federation = Federation::of(nodes);
        let case = Self { federation, id: fresh_id() };
        let fields = assistance();
        let body = json!({
            "request_id": case.id, "procedure": "MLA-STORED", "recipients": ["XB"], "authority": "central",
            "fields": fields,
        });
        case.arvia().insist("/v1/requests", &body);
        wait_until("the request arrives", || case.state_at(case.belmar()) == "issued");
        let text = |text: &str| json!({ "lang": "en", "text": text });
        let handling = json!({ "handling.reference": text("7"), "handling.role": text("Duty officer") });
        case.step(case.belmar(), "acknowledge", &handling);
        case.step(case.belmar(), "accept", &json!({ "accept.scope": "whole" }));
        wait_until("both sides have it accepted", || case.state_at(case.arvia()) == "accepted");
        case
    }

    pub(crate) fn arvia(&self) -> &Node {
        &self.federation.nodes[0]
    }

    pub(crate) fn belmar(&self) -> &Node {
        &self.federation.nodes[1]
    }

    pub(crate) fn state_at(&self, node: &Node) -> String {
        let thread = node.get(&format!("/v1/requests/{}", self.id)).map(|(_, thread)| thread).unwrap_or_default();
        thread["standing"]["state"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn step(&self, node: &Node, step: &str, fields: &Value) -> Value {
        let body = json!({ "command_id": fresh_id(), "step": step, "authority": "central", "fields": fields });
        node.insist(&format!("/v1/requests/{}/steps", self.id), &body)
    }

    /// A command of a Party, asked for JSON: exit code and last object.
    pub(crate) fn typed(&self, node: &Node, arguments: &[&str]) -> (i32, Value) {
        let data = node.data.to_str().expect("a plain path");
        let (code, out, err) = run(&[&["--json", "--data", data, "evidence"], arguments].concat());
        let last = out.lines().last().unwrap_or_default();
        (code, serde_json::from_str(last).unwrap_or_else(|_| json!({ "out": out, "err": err })))
    }

    /// Belmar puts a folder under seal; gives what it says of the manifest.
    pub(crate) fn seal(&self, folder: &Path, code: i32) -> Value {
        let (found, sealed) = self.try_to_seal(folder);
        assert_eq!(found, code, "{sealed}");
        sealed
    }

    pub(crate) fn try_to_seal(&self, folder: &Path) -> (i32, Value) {
        let mut arguments = vec!["add", &self.id, folder.to_str().expect("a plain path")];
        arguments.extend(RECORD.iter().flat_map(|set| ["--set", set]));
        self.typed(self.belmar(), &arguments)
    }

    /// Belmar hands a manifest over; Arvia has the event when this returns.
    pub(crate) fn deliver(&self, sealed: &Value, step: &str, more: &[&str]) -> String {
        let manifest = sealed["manifest"].as_str().expect("a manifest");
        let mut arguments = vec!["deliver", &self.id, manifest, "--step", step];
        arguments.extend(more.iter().flat_map(|set| ["--set", set]));
        let (code, done) = self.typed(self.belmar(), &arguments);
        assert_eq!(code, 0, "{done}");
        let event = done["event_id"].as_str().expect("an event").to_owned();
        wait_until("the hand-over arrives", || {
            self.arvia().get(&format!("/v1/deliveries/{event}")).is_some_and(|a| a.0 == 200)
        });
        event
    }

    pub(crate) fn accept_terms(&self, delivery: &str) {
        self.step(self.arvia(), "accept-terms", &json!({ "delivery": delivery, "terms.bound": true }));
    }

    /// Sealed, handed over and accepted.
    pub(crate) fn handed_over(&self, folder: &Path) -> String {
        let delivery = self.deliver(&self.seal(folder, 0), "deliver", &["outcome=executed_full"]);
        self.accept_terms(&delivery);
        delivery
    }

    /// One file of so many bytes, which `seed` tells from others, as a part of what is asked for: sealed, handed over and
    /// accepted.
    pub(crate) fn part_handed_over(&self, len: usize, seed: u64) -> String {
        let folder = self.federation.folder.path().join(format!("part{seed}"));
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("file"), bytes(len, seed)).expect("written");
        let sealed = self.seal(&folder, 0);
        fs::remove_dir_all(&folder).expect("removed");
        let part = ["outcome=executed_partial", "to-come=The other parts."];
        let delivery = self.deliver(&sealed, "deliver-part", &part);
        self.accept_terms(&delivery);
        delivery
    }

    pub(crate) fn ask_to_fetch(&self, delivery: &str) {
        let asked = self.arvia().post(&format!("/v1/deliveries/{delivery}/fetch"), &json!({}));
        assert!(asked.as_ref().is_none_or(|(status, _)| *status == 202), "{asked:?}");
    }

    pub(crate) fn progress(&self, delivery: &str) -> Value {
        let answer = self.arvia().get(&format!("/v1/deliveries/{delivery}"));
        answer.map(|(_, delivery)| delivery["progress"].clone()).unwrap_or_default()
    }

    /// Bytes that are here, and those of them that came since the process started.
    pub(crate) fn moved(&self, delivery: &str) -> (u64, u64) {
        let progress = self.progress(delivery);
        let count = |name: &str| progress[name].as_u64().unwrap_or(0);
        (count("bytes"), count("fetched").min(count("bytes")))
    }

    pub(crate) fn wait_for_stage(&self, delivery: &str, stage: &str) -> Value {
        let mut progress = Value::Null;
        wait_until(&format!("the fetch is {stage}"), || {
            progress = self.progress(delivery);
            progress["stage"] == stage
        });
        progress
    }

    pub(crate) fn take_custody(&self, delivery: &str) {
        let (code, done) = self.typed(self.arvia(), &["take-custody", &self.id, "--delivery", delivery]);
        assert_eq!(code, 0, "{done}");
    }

    /// Arvia writes what it holds into a new folder.
    pub(crate) fn export(&self, to: &Path) -> (i32, Value) {
        self.typed(self.arvia(), &["export", &self.id, to.to_str().expect("a plain path")])
    }

    pub(crate) fn kill_and_start(&mut self, place: usize, environment: &[(&str, &str)]) {
        let node = &mut self.federation.nodes[place];
        node.kill();
        node.start(environment);
        node.answers_or_ended();
    }
}

/// Bytes that no compression and no mistake in order leaves alike.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mix = |at: u64| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..len as u64).map(|at| mix(at).to_le_bytes()[5]).collect()
}
