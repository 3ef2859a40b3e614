//! The shortest case there is, and what both ledgers must say of it in the end whatever happened on the way.
//! Start at [`Case::new`] and [`one_story`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::rig::{Federation, Node, Voice, fresh_id, pause, preservation, wait_until};

/// One request from Arvia to Belmar and its acknowledgement, each asked for until it is done.
pub(crate) struct Case {
    pub(crate) id: String,
    command: String,
    /// Events that were answered with success at any time: these exactly must be found at the end, since
    /// an event that was lost and made anew would have another id.
    pub(crate) acknowledged: Mutex<BTreeSet<String>>,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self { id: fresh_id(), command: fresh_id(), acknowledged: Mutex::default() }
    }

    pub(crate) fn note(&self, done: &Value) {
        let id = done["event_id"].as_str().expect("an event id").to_owned();
        self.acknowledged.lock().expect("no test panics with it").insert(id);
    }

    /// Asks for both acts once, whatever comes of it.
    pub(crate) fn ask_once(&self, [arvia, belmar]: &[Voice; 2]) {
        let asked = [
            arvia.ask("POST", "/v1/requests", Some(&self.opening())),
            belmar.ask("POST", &format!("{}/steps", self.path()), Some(&self.answer())),
        ];
        for (_, done) in asked.into_iter().flatten().filter(|(status, _)| *status == 201) {
            self.note(&done);
        }
    }

    pub(crate) fn opening(&self) -> Value {
        preservation(&self.id)
    }

    fn answer(&self) -> Value {
        let text = |text: &str| json!({ "lang": "en", "text": text });
        json!({
            "command_id": self.command, "step": "acknowledge", "authority": "central",
            "fields": { "handling.reference": text("7"), "handling.role": text("Duty officer") },
        })
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/requests/{}", self.id)
    }

    /// Both acts, asked for again and again; then both receipts.
    #[track_caller]
    pub(crate) fn complete(&self, arvia: &Node, belmar: &Node) {
        self.note(&arvia.insist("/v1/requests", &self.opening()));
        wait_until("the request arrives", || belmar.get(&self.path()).is_some_and(|(status, _)| status == 200));
        self.note(&belmar.insist(&format!("{}/steps", self.path()), &self.answer()));
        wait_until("both sides hold both events and receipts", || {
            self.is_settled(arvia, 2) && self.is_settled(belmar, 2)
        });
    }

    pub(crate) fn is_settled(&self, node: &Node, events: usize) -> bool {
        let Some((200, thread)) = node.get(&self.path()) else { return false };
        let rows = thread["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let receipts = rows.iter().flat_map(|event| event["receipts"].as_array().into_iter().flatten());
        let mut receipts = receipts.peekable();
        rows.len() == events && receipts.peek().is_some() && receipts.all(|receipt| receipt["delivery"] == "receipted")
    }
}

/// Kills Arvia or Belmar after `delay` while both acts are asked for without a pause.
pub(crate) fn kill_in_the_middle(federation: &mut Federation, side: usize, delay: Duration, case: &Case) {
    let voices = [federation.nodes[0].voice(), federation.nodes[1].voice()];
    let killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            while !killed.load(Ordering::Relaxed) {
                case.ask_once(&voices);
            }
        });
        pause(delay);
        federation.nodes[side].kill();
        killed.store(true, Ordering::Relaxed);
        asked.join().expect("asking does not panic");
    });
}

/// What is wrong with the ledgers after a run, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Events acknowledged to their author's office, or in one ledger, and not in both.
    pub(crate) lost: usize,
    /// Records that stand in a ledger more than once.
    pub(crate) twice: usize,
    /// Records at those who were not concerned.
    pub(crate) leaked: usize,
}

impl Tally {
    #[track_caller]
    pub(crate) fn of(nodes: &[Node], outsiders: &[Node], cases: &[Case]) -> Self {
        let ledgers: Vec<_> = nodes.iter().map(records).collect();
        let held: Vec<BTreeSet<String>> = ledgers.iter().map(events).collect();
        let promised = cases.iter().map(|case| case.acknowledged.lock().expect("no test panics with it").clone());
        let known: BTreeSet<String> = held.iter().cloned().chain(promised).flatten().collect();
        Self {
            lost: known.iter().filter(|event| !held.iter().all(|held| held.contains(*event))).count(),
            twice: ledgers.iter().flat_map(BTreeMap::values).filter(|count| **count != 1).count(),
            // What every Party records is who the Parties are.
            leaked: outsiders.iter().flat_map(records).filter(|((kind, _), _)| kind != "roster-change").count(),
        }
    }
}

fn events(ledger: &BTreeMap<(String, String), usize>) -> BTreeSet<String> {
    ledger.keys().filter(|(kind, _)| kind.starts_with("event-")).map(|(_, id)| id.clone()).collect()
}

/// Every record once; every event of one ledger in the other; every own event receipted once.
#[track_caller]
pub(crate) fn one_story(nodes: &[Node], cases: &[Case]) {
    let ledgers: Vec<BTreeMap<(String, String), usize>> = nodes.iter().map(records).collect();
    for ledger in &ledgers {
        let twice: Vec<_> = ledger.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "recorded more than once: {twice:?}");
    }
    assert_eq!(events(&ledgers[0]), events(&ledgers[1]), "both ledgers hold the same events");
    assert_eq!(events(&ledgers[0]).len(), 2 * cases.len(), "and exactly those of the cases");
    for case in cases {
        let [a, b] = [0, 1].map(|place: usize| nodes[place].look(&case.path()));
        let ids = |thread: &Value| {
            let events = thread["events"].as_array().into_iter().flatten();
            events.map(|event| event["event_id"].as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(ids(&a), ids(&b));
        let acknowledged = case.acknowledged.lock().expect("no test panics with it");
        assert_eq!(ids(&a), *acknowledged, "what was acknowledged is what is there");
        assert_eq!(a["standing"]["state"], "acknowledged");
        assert_eq!(b["standing"]["state"], "acknowledged");
    }
    for node in nodes {
        node.verifies();
    }
}

/// How often each record stands in a ledger: events by their id, receipts by what they answer.
#[track_caller]
fn records(node: &Node) -> BTreeMap<(String, String), usize> {
    let size = node.look("/v1/ledger")["size"].as_u64().expect("a size");
    let mut records = BTreeMap::new();
    for index in 0..size {
        let record = node.look(&format!("/v1/ledger/{index}"));
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let id = if record["kind"] == "receipt" { text("answers") + &text("peer") } else { text("record_id") };
        *records.entry((text("kind"), id)).or_default() += 1;
    }
    records
}
