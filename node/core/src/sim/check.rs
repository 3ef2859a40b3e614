//! The promises, as questions to all ledgers: what was acknowledged and is gone, what was applied
//! twice, what somebody learned who is no member. Towards a hostile node an honest one promises nothing;
//! between honest ones everything holds, whatever the hostile one does.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::{Sim, SimNode, count::What, letting_go::is_through, node::Frame};
use crate::{
    case::Case,
    ids::{EventId, RequestId},
    proto::{EventRow, Lane, RecordKind},
};

const LANES: [Lane; 3] = [Lane::Emergency, Lane::Return, Lane::Normal];

/// Stands in every text of every body, and nowhere a body is not open.
pub(super) const MARKER: &str = "for-members-only";

/// True if these bytes stand in those.
pub(super) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(at, _)| bytes[at..].starts_with(part))
}

impl Sim {
    pub(super) fn check_always(&mut self) {
        self.count.one(What::Checks);
        let lost = self.lost_acts();
        assert_eq!(lost, 0, "an acknowledged act stays in the ledger, at its place");
        let twice: usize = self.nodes.iter().map(applied_twice).sum();
        assert_eq!(twice, 0, "nothing is applied twice");
        self.count.add(What::LostActs, lost);
        self.count.add(What::AppliedTwice, twice);
        for node in &self.nodes {
            let times: Vec<u64> = node.ledger().iter().map(|record| record.node.recorded_ms).collect();
            assert!(times.is_sorted(), "{}: the time of record never falls", node.party);
            node.check_erased();
            node.check_unharmed();
        }
    }

    fn lost_acts(&self) -> usize {
        let stands = |(node, done): &&(usize, crate::engine::Done)| {
            let place = usize::try_from(done.index.0).expect("small");
            let record = self.nodes[*node].ledger().get(place);
            record.is_some_and(|record| record.node.record_id == done.event.as_bytes())
        };
        self.acknowledged.values().filter(|act| !stands(act)).count()
    }

    /// Nothing is under way between honest nodes and none owes another anything.
    pub(super) fn is_quiet(&self) -> bool {
        let among_honest = |from, to| self.is_honest(from) && self.is_honest(to);
        let mut honest = (0..self.nodes.len()).filter(|node| self.is_honest(*node));
        self.air.iter().all(|flight| !among_honest(flight.from, flight.to))
            && honest.clone().all(|node| self.nodes[node].is_idle())
            && honest.all(|node| self.owes_nothing(&self.nodes[node]) && is_through(&self.nodes[node]))
    }

    /// What keeps a network from being quiet, for whoever replays it.
    pub(super) fn unrest(&self) -> String {
        let busy = |node: &SimNode| {
            format!(
                "{} takes it to be {}, idle {}, owes nothing {}; ",
                node.party,
                node.clock(self.now).0,
                node.is_idle(),
                self.owes_nothing(node)
            )
        };
        let nodes: String = self.nodes.iter().map(busy).collect();
        format!("{nodes}{} frames in the air", self.air.len())
    }

    /// True if nothing is owed to an honest peer.
    pub(super) fn owes_nothing(&self, node: &SimNode) -> bool {
        let peers = (0..self.nodes.len()).filter(|peer| self.is_honest(*peer)).map(|peer| &self.nodes[peer].party);
        peers
            .flat_map(|peer| LANES.map(|lane| (peer, lane)))
            .all(|(peer, lane)| node.index.owed(peer, lane, (0, 0), 1).expect("the index answers").is_empty())
    }

    pub(super) fn check_healed(&mut self) {
        for node in 0..self.nodes.len() {
            let node = &self.nodes[node];
            assert_eq!(node.rebuilt().pairs(), node.index.pairs(), "{}: the index is what the ledger says", node.party);
        }
        let undelivered = self.undelivered();
        assert_eq!(undelivered, 0, "every acknowledged act reached its recipient");
        self.count.add(What::LostActs, undelivered);
        for a in (0..self.nodes.len()).filter(|a| self.is_honest(*a)) {
            self.check_numbers(a);
            self.check_lines(a);
        }
        for request in &self.requests {
            if !self.is_honest(request.opener) || !self.is_honest(request.other) {
                continue;
            }
            let members = [request.opener, request.other].map(|node| &self.nodes[node]);
            let stories: BTreeSet<String> = members.iter().filter_map(|node| self.story(node, &request.id)).collect();
            assert!(stories.len() <= 1, "all members tell one story of {}: {stories:#?}", request.id);
        }
        self.check_secrets();
        // A hostile node is not waited for.
        (0..self.nodes.len()).filter(|node| self.is_honest(*node)).for_each(|node| self.nodes[node].check_finished());
    }

    /// Acknowledged acts between honest nodes that the other side neither holds nor refused.
    fn undelivered(&self) -> usize {
        let reached = |(author, done): &&(usize, crate::engine::Done)| {
            // Its author has erased it, which it may only after every answer to it is on record.
            let Some(row) = self.nodes[*author].index.thread(&done.thread).expect("answers") else { return true };
            let members =
                (0..self.nodes.len()).filter(|node| row.members.contains(&self.nodes[*node].party.to_string()));
            let others = members.filter(|node| node != author && self.is_honest(*author) && self.is_honest(*node));
            others.into_iter().all(|other| self.nodes[other].index.seen(&done.event).expect("answers").is_some())
        };
        self.acknowledged.values().filter(|act| !reached(act)).count()
    }

    /// Slip numbers have no gaps: sent 1 to n, and as many received or refused.
    fn check_numbers(&self, node: usize) {
        let peers = (0..self.nodes.len()).filter(|peer| *peer != node && self.is_honest(*peer));
        let node = &self.nodes[node];
        for (peer, lane) in peers.map(|peer| &self.nodes[peer]).flat_map(|peer| LANES.map(|lane| (peer, lane))) {
            let sent = node.index.last_number(&peer.party, lane, 1).expect("answers");
            let seen = peer.index.numbers(&node.party, lane, 1).expect("answers");
            assert_eq!((seen.highest, seen.count), (sent, sent), "{} to {}", node.party, peer.party);
        }
    }

    /// What a node took of one author in a thread forms one line: of two siblings it took one at most.
    pub(super) fn check_lines(&self, node: usize) {
        let node = &self.nodes[node];
        for (thread, _) in node.index.threads(None, usize::MAX).expect("answers") {
            let rows = node.index.events(&thread).expect("answers");
            let mut past: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
            let mut of_author: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
            for row in rows.iter().filter(|row| !row.void) {
                let above = row.parents.iter().flat_map(|parent| past.get(&parent[..]).into_iter().flatten().copied());
                let mut above: BTreeSet<&[u8]> = above.collect();
                above.extend(row.parents.iter().map(|parent| &parent[..]));
                let own = of_author.entry(&row.author).or_default();
                assert!(own.iter().all(|id| above.contains(id)), "{}: {} forked its thread", node.party, row.author);
                own.push(&row.event_id);
                past.insert(&row.event_id, above);
            }
        }
    }

    /// Nobody holds a record of a thread it is no member of, and no record shows what a body says.
    fn check_secrets(&mut self) {
        let mut leaked = 0;
        let mut searched = 0;
        for (place, node) in self.nodes.iter().enumerate() {
            let foreign = self.foreign_to(place);
            for record in node.ledger() {
                searched += 1;
                let parts = [record.node.encode_to_vec(), record.case.encode_to_vec(), record.body.clone()];
                let shows = |secret: &[u8]| parts.iter().any(|part| holds(part, secret));
                leaked += usize::from(shows(MARKER.as_bytes()));
                leaked += foreign.iter().filter(|secret| shows(secret)).count();
            }
        }
        self.count.add(What::RecordsSearched, searched);
        self.count.add(What::Leaked, leaked);
        assert_eq!(leaked, 0, "who is no member holds nothing of a thread");
    }

    /// Ids of requests and threads this node is no member of. What a hostile member knows it may tell anybody.
    fn foreign_to(&self, node: usize) -> Vec<Vec<u8>> {
        let foreign = self.requests.iter().filter(|request| {
            let members = [request.opener, request.other];
            !members.contains(&node) && members.iter().all(|member| self.is_honest(*member))
        });
        foreign.flat_map(|request| [request.id.as_bytes().to_vec(), self.thread(request).as_bytes().to_vec()]).collect()
    }

    /// A frame as a node sends it: sealed, and about nothing its receiver has no part in.
    pub(super) fn check_frame(&mut self, from: usize, to: usize, frame: &Frame) {
        let (Frame::Delivery(bytes) | Frame::Answer(bytes)) = frame;
        let foreign = self.foreign_to(to);
        let leaked =
            usize::from(holds(bytes, MARKER.as_bytes())) + foreign.iter().filter(|secret| holds(bytes, secret)).count();
        self.count.one(What::FramesSearched);
        self.count.add(What::Leaked, leaked);
        assert_eq!(
            leaked, 0,
            "a frame from {} to {} shows what it must not",
            self.nodes[from].party, self.nodes[to].party
        );
    }

    /// What a node would tell of a request: its events and where it stands.
    pub(super) fn story(&self, node: &SimNode, request: &RequestId) -> Option<String> {
        let rows = self.rows(node, request)?;
        let case = Case::of(&rows).expect("reads");
        let standing = case.standing(&self.world.rules, self.now).expect("a known procedure")?;
        let id = |row: &EventRow| EventId::from_slice(&row.event_id).expect("id").to_string();
        let events: BTreeSet<String> = rows.iter().filter(|row| !row.void).map(id).collect();
        Some(format!("{:?} {:?} {:?}", standing.name(), standing.set_aside, events))
    }
}

/// Records, answers to one debt and effects of one command that stand in a ledger more than once.
fn applied_twice(node: &SimNode) -> usize {
    let (mut records, mut answered, mut commands) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut twice = 0;
    for record in node.ledger() {
        let part = &record.node;
        let own = record.kind == RecordKind::EventSent;
        let fresh = records.insert(&part.record_id)
            && (part.answers.is_empty() || answered.insert((&part.answers, &part.peer)))
            && (!own || commands.insert(&part.command_id));
        twice += usize::from(!fresh);
    }
    twice
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let check = |bytes: &str, found: bool| assert_eq!(holds(bytes.as_bytes(), b"aab"), found, "{bytes}");
    check("aab", true);
    check("xaaab", true);
    check("aabx", true);
    check("aaxab", false);
    check("aa", false);
    check("", false);
}
