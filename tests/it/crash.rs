//! Power cuts: real processes killed at each named durable step, and at random, on either side. Every
//! time the case completes, what was acknowledged is there, and nothing is there twice.
//!
//! ```text
//! arvia --- request ---> belmar      one of them dies under way and is started again
//!       <- acknowledge -
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use comity::disk::crash::POINTS;
use serde_json::{Value, json};

use crate::evidence;
use crate::rig::{Federation, Node, Voice, fresh_id, pause, smallest_request, tell, wait_until};

/// Steps that every request meets on both sides, or that an office's drafts meet.
const DAILY: [&str; 8] = [
    "store.slot-written",
    "store.slot-synced",
    "store.batch-written",
    "store.batch-synced",
    "store.checkpoint-written",
    "store.checkpoint-synced",
    "store.desk-written",
    "store.desk-synced",
];
/// Steps that only the first start of a node meets.
const FIRST: [&str; 3] = ["store.segment-filled", "store.segment-created", "store.slots-created"];

/// Steps of compaction, of a torn tail and of erasure: the tests of faults in store and vault meet them.
const ELSEWHERE: [&str; 5] =
    ["store.desk-copied", "store.desk-renamed", "store.tail-cut", "store.slot-destroyed", "evidence.slot-destroyed"];

#[test]
fn every_named_step_is_met_somewhere() {
    let met: BTreeSet<&str> = DAILY.into_iter().chain(FIRST).chain(ELSEWHERE).chain(evidence::POINTS).collect();
    assert_eq!(met, BTreeSet::from(POINTS));
}

/// One request from Arvia to Belmar and its acknowledgement, each asked for until it is done.
struct Case {
    id: String,
    command: String,
    /// Events that were answered with success at any time: these exactly must be found at the end, since
    /// an event that was lost and made anew would have another id.
    acknowledged: Mutex<BTreeSet<String>>,
}

impl Case {
    fn new() -> Self {
        Self { id: fresh_id(), command: fresh_id(), acknowledged: Mutex::default() }
    }

    fn note(&self, done: &Value) {
        let id = done["event_id"].as_str().expect("an event id").to_owned();
        self.acknowledged.lock().expect("no test panics with it").insert(id);
    }

    /// Asks for both acts once, whatever comes of it.
    fn ask_once(&self, [arvia, belmar]: &[Voice; 2]) {
        let asked = [
            arvia.ask("POST", "/v1/requests", Some(&self.opening())),
            belmar.ask("POST", &format!("{}/steps", self.path()), Some(&self.answer())),
        ];
        for (_, done) in asked.into_iter().flatten().filter(|(status, _)| *status == 201) {
            self.note(&done);
        }
    }

    fn opening(&self) -> Value {
        json!({
            "request_id": self.id, "procedure": "PRES", "recipients": ["XB"], "authority": "central",
            "fields": smallest_request(),
        })
    }

    fn answer(&self) -> Value {
        let text = |text: &str| json!({ "lang": "en", "text": text });
        json!({
            "command_id": self.command, "step": "acknowledge", "authority": "central",
            "fields": { "handling.reference": text("7"), "handling.role": text("Duty officer") },
        })
    }

    fn path(&self) -> String {
        format!("/v1/requests/{}", self.id)
    }

    /// Both acts, asked for again and again; then both receipts.
    #[track_caller]
    fn complete(&self, arvia: &Node, belmar: &Node) {
        self.note(&arvia.insist("/v1/requests", &self.opening()));
        wait_until("the request arrives", || belmar.get(&self.path()).is_some_and(|(status, _)| status == 200));
        self.note(&belmar.insist(&format!("{}/steps", self.path()), &self.answer()));
        wait_until("both sides hold both events and receipts", || {
            self.is_settled(arvia, 2) && self.is_settled(belmar, 2)
        });
    }

    fn is_settled(&self, node: &Node, events: usize) -> bool {
        let Some((200, thread)) = node.get(&self.path()) else { return false };
        let rows = thread["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let receipts = rows.iter().flat_map(|event| event["receipts"].as_array().into_iter().flatten());
        let mut receipts = receipts.peekable();
        rows.len() == events && receipts.peek().is_some() && receipts.all(|receipt| receipt["delivery"] == "receipted")
    }
}

/// Every record once; every event of one ledger in the other; every own event receipted once.
#[track_caller]
fn one_story(nodes: &[Node], cases: &[Case]) {
    let ledgers: Vec<BTreeMap<(String, String), usize>> = nodes.iter().map(records).collect();
    let events = |ledger: &BTreeMap<(String, String), usize>| {
        let of = |((kind, id), _): (&(String, String), &usize)| kind.starts_with("event-").then(|| id.clone());
        ledger.iter().filter_map(of).collect::<BTreeSet<String>>()
    };
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
        let (_, verified) = node.voice().ask("POST", "/v1/ledger/verify", None).expect("answers");
        assert_eq!(verified["ok"], true, "{}: {verified}", node.code);
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

/// Starts a node that dies at `point`, works with it until it does, and starts it again. True if it died.
fn dies_at(point: &str, federation: &mut Federation, side: usize, case: &Case) -> bool {
    federation.nodes[side].stop();
    federation.nodes[side].start(&[("COMITY_CRASH_AT", point)]);
    if federation.nodes[side].answers_or_ended() {
        // Whatever is answered, or not, by a process that is about to die.
        let voices = voices(federation);
        work(&voices, case);
        let mut looks = 0;
        while !federation.nodes[side].has_ended() && looks < 500 && !settled(federation, case) {
            work(&voices, case);
            pause(Duration::from_millis(10));
            looks += 1;
        }
    }
    let died = federation.nodes[side].has_ended();
    federation.nodes[side].kill();
    federation.nodes[side].start(&[]);
    assert!(federation.nodes[side].answers_or_ended(), "{point}: it starts again");
    died
}

fn settled(federation: &Federation, case: &Case) -> bool {
    federation.nodes.iter().all(|node| case.is_settled(node, 2))
}

fn voices(federation: &Federation) -> [Voice; 2] {
    [federation.nodes[0].voice(), federation.nodes[1].voice()]
}

/// Both acts and a draft, once each, whatever comes of it.
fn work(voices: &[Voice; 2], case: &Case) {
    case.ask_once(voices);
    for voice in voices {
        let draft = json!({ "procedure": "PRES" });
        drop(voice.ask("PUT", &format!("/v1/drafts/{}", case.id), Some(&draft)));
    }
}

/// A process dies at each of the daily steps; returns those at which it did.
fn every_daily_step(side: usize) {
    let mut federation = Federation::of(2);
    let mut cases = Vec::new();
    let mut missed = Vec::new();
    for point in DAILY {
        let case = Case::new();
        if !dies_at(point, &mut federation, side, &case) {
            missed.push(point);
        }
        case.complete(&federation.nodes[0], &federation.nodes[1]);
        cases.push(case);
    }
    assert!(missed.is_empty(), "these steps were never met: {missed:?}");
    one_story(&federation.nodes, &cases);
}

#[test]
fn the_author_dies_at_every_daily_step() {
    every_daily_step(0);
}

#[test]
fn the_recipient_dies_at_every_daily_step() {
    every_daily_step(1);
}

#[test]
fn a_node_dies_at_every_step_of_its_first_start() {
    for point in FIRST {
        let mut federation = Federation::stopped(2);
        federation.nodes[1].start(&[]);
        let node = &mut federation.nodes[0];
        node.start(&[("COMITY_CRASH_AT", point)]);
        let case = Case::new();
        if node.answers_or_ended() {
            drop(node.post("/v1/requests", &case.opening()));
        }
        wait_until(&format!("it dies at {point}"), || node.has_ended());
        node.kill();
        node.start(&[]);
        case.complete(&federation.nodes[0], &federation.nodes[1]);
        one_story(&federation.nodes, &[case]);
    }
}

/// How many times a process is killed at random.
const KILLS: u64 = 20;

#[test]
fn twenty_random_kills_lose_nothing() {
    // Printed, so that a failure can be looked for again; when exactly a kill falls is up to the machine.
    let mut random: u64 = std::env::var("COMITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    tell(&format!("twenty_random_kills_lose_nothing: COMITY_SEED={random}"));
    let mut federation = Federation::of(2);
    let mut cases = Vec::new();
    let mut fell = [0; 3];
    for _ in 0..KILLS {
        let case = Case::new();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (side, delay) = (usize::from(random >> 63 == 1), (random >> 33) % 50);
        let voices = voices(&federation);
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                while !killed.load(Ordering::Relaxed) {
                    case.ask_once(&voices);
                }
            });
            pause(Duration::from_millis(delay));
            federation.nodes[side].kill();
            killed.store(true, Ordering::Relaxed);
            asked.join().expect("asking does not panic");
        });
        fell[case.acknowledged.lock().expect("no test panics with it").len()] += 1;
        federation.nodes[side].start(&[]);
        case.complete(&federation.nodes[0], &federation.nodes[1]);
        cases.push(case);
    }
    tell(&format!("kills with none, one, both of the acts acknowledged: {fell:?}"));
    one_story(&federation.nodes, &cases);
}
