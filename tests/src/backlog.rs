//! Many events for one peer: recorded while it is away, looked for when it is back. What counts is that
//! each arrives once and in the order of its thread; what it takes is told, never asserted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::lan::deliveries;
use crate::rig::{Node, fresh_id, now, smallest_request, wait_until};

/// The feed of a node, page by page.
#[derive(Default)]
pub(crate) struct Feed {
    after: String,
}

impl Feed {
    /// From now on.
    #[track_caller]
    pub(crate) fn from_now(node: &Node) -> Self {
        let mut feed = Self::default();
        while !feed.next(node).is_empty() {}
        feed
    }

    /// What came since the last call, at most a page; nothing also when the node does not answer.
    #[track_caller]
    pub(crate) fn next(&mut self, node: &Node) -> Vec<Value> {
        let Some((200, page)) = node.get(&format!("/v1/events?limit=500{}", self.after)) else { return Vec::new() };
        self.after = format!("&after={}", page["cursor"].as_str().expect("a cursor"));
        page["events"].as_array().cloned().expect("a list")
    }
}

/// All of a node's records of one kind, in the order of its ledger.
#[track_caller]
fn all(node: &Node, kind: &str) -> Vec<Value> {
    let (mut feed, mut found) = (Feed::default(), Vec::new());
    loop {
        let page = feed.next(node);
        if page.is_empty() {
            return found;
        }
        found.extend(page.into_iter().filter(|item| item["kind"] == kind));
    }
}

fn text(item: &Value, key: &str) -> String {
    item[key].as_str().unwrap_or_default().to_owned()
}

/// Requests to one Party with notes after them, as their author has them on disk.
pub(crate) struct Owed {
    from: &'static str,
    to: &'static str,
    /// The events of each thread in their order.
    threads: Vec<Vec<String>>,
}

impl Owed {
    /// Has `author` record `each` events in each of so many threads, eight threads at a time.
    #[track_caller]
    pub(crate) fn record(author: &Node, to: &'static str, threads: usize, each: usize) -> Self {
        let places: Vec<usize> = (0..threads).collect();
        let clerk = |share: &[usize]| share.iter().map(|_| one_thread(author, to, each)).collect::<Vec<_>>();
        let threads = std::thread::scope(|scope| {
            let clerks = places.chunks(threads.div_ceil(CLERKS)).map(|share| scope.spawn(move || clerk(share)));
            let clerks: Vec<_> = clerks.collect();
            clerks.into_iter().flat_map(|clerk| clerk.join().expect("recording does not fail")).collect()
        });
        Self { from: author.code, to, threads }
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.iter().map(Vec::len).sum()
    }

    /// Whether all is receipted.
    pub(crate) fn is_settled(&self, author: &Node) -> bool {
        owed(author, self.to) == Some(0)
    }

    /// How the recipient's ledger differs from what it should hold of ours: nothing missing, nothing twice,
    /// each thread in its order, no gap in the numbers.
    #[track_caller]
    pub(crate) fn differences(&self, recipient: &Node) -> Differences {
        let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for item in all(recipient, "event-received") {
            held.entry(text(&item, "thread_id")).or_default().push(text(&item, "event_id"));
        }
        let by_first: BTreeMap<&String, &Vec<String>> =
            held.values().filter_map(|events| Some((events.first()?, events))).collect();
        let flat: Vec<&String> = held.values().flatten().collect();
        let once: BTreeSet<&String> = flat.iter().copied().collect();
        let ours = || self.threads.iter().filter_map(|thread| Some((thread, thread.first()?)));
        Differences {
            lost: self.threads.iter().flatten().filter(|event| !once.contains(event)).count(),
            twice: flat.len() - once.len(),
            disordered: ours().filter(|(thread, first)| by_first.get(first) != Some(thread)).count(),
            gaps: peer(recipient, self.from)["missing"].as_u64().unwrap_or(u64::MAX),
        }
    }
}

/// One request and its notes.
fn one_thread(author: &Node, to: &str, each: usize) -> Vec<String> {
    let id = fresh_id();
    let opening = json!({
        "request_id": id, "procedure": "PRES", "recipients": [to], "authority": "central",
        "fields": smallest_request(),
    });
    let note = |n: usize| {
        let fields = json!({ "message": { "lang": "en", "text": format!("Note {n}") } });
        json!({ "command_id": fresh_id(), "step": "note", "authority": "central", "fields": fields })
    };
    let first = author.insist("/v1/requests", &opening);
    let notes = (1..each).map(|n| author.insist(&format!("/v1/requests/{id}/steps"), &note(n)));
    std::iter::once(first).chain(notes).map(|done| text(&done, "event_id")).collect()
}

/// Clients that record at once.
const CLERKS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Differences {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) disordered: usize,
    pub(crate) gaps: u64,
}

/// What one node's status says of a peer.
pub(crate) fn peer(node: &Node, party: &str) -> Value {
    let status = node.get("/v1/status").map(|(_, status)| status).unwrap_or_default();
    let mut peers = status["peers"].as_array().into_iter().flatten();
    peers.find(|peer| peer["party"] == party).cloned().unwrap_or_default()
}

/// How many events are owed to a peer.
pub(crate) fn owed(node: &Node, party: &str) -> Option<u64> {
    peer(node, party)["owed"]["count"].as_u64()
}

/// How a backlog went over.
pub(crate) struct Passed {
    pub(crate) events: usize,
    /// From the start of the process that was away, in milliseconds.
    pub(crate) link_ms: u64,
    pub(crate) first_ms: u64,
    pub(crate) all_ms: u64,
    /// The place of the oldest event among the receipts.
    pub(crate) oldest: usize,
    /// Deliveries sent for them.
    pub(crate) sent: usize,
    pub(crate) differences: Differences,
}

impl Passed {
    /// Starts the node that is away and waits until all of `owed` is receipted.
    #[track_caller]
    pub(crate) fn watch(author: &Node, away: &mut Node, owed: &Owed) -> Self {
        let before = deliveries(author, away.code);
        let oldest = all(author, "event-sent").into_iter().map(|item| text(&item, "event_id"));
        let ours: BTreeSet<&String> = owed.threads.iter().flatten().collect();
        let oldest = oldest.into_iter().find(|event| ours.contains(event)).expect("they are on disk");
        let mut feed = Feed::from_now(author);
        let mut receipts = Vec::new();
        let (began, mut link_ms, mut first_ms) = (now(), None, None);
        away.start(&[]);
        wait_until("all is receipted", || {
            link_ms = link_ms.or_else(|| (peer(author, away.code)["up"] == true).then(|| now() - began));
            let page = feed.next(author);
            let mine = page.iter().filter(|item| item["kind"] == "receipt").map(|item| text(item, "event_id"));
            receipts.extend(mine.filter(|event| ours.contains(event)));
            first_ms = first_ms.or_else(|| (!receipts.is_empty()).then(|| now() - began));
            receipts.len() >= owed.count()
        });
        let all_ms = now() - began;
        let differences = owed.differences(away);
        Self {
            events: owed.count(),
            link_ms: link_ms.unwrap_or(all_ms),
            first_ms: first_ms.unwrap_or(all_ms),
            all_ms,
            oldest: receipts.iter().position(|event| *event == oldest).expect("all are receipted"),
            sent: deliveries(author, away.code) - before,
            differences,
        }
    }

    pub(crate) fn told(&self) -> String {
        let Self { events, link_ms, first_ms, all_ms, oldest, sent, differences } = self;
        format!(
            "{events} events: link {link_ms} ms after the start, first receipt {first_ms} ms, all {all_ms} ms; \
             the oldest was receipt {oldest}; {sent} deliveries sent; {differences:?}"
        )
    }
}
