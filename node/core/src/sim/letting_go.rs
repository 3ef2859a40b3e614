//! Letting go of requests as chance will have it: withdrawals, erasures, holds, releases, and frames that come long after.
//!
//! And what must hold of it in every run, asked of the ledger and not of the index: behind an intent stands nothing of its
//! request but its erasure, once; what went with its keys cannot be read; no other request has lost anything. SPEC `[F-10]`.

use std::collections::BTreeMap;

use super::{Frame, Given, Request, Sim, SimNode, count::What};
use crate::{
    ids::{RequestId, ThreadId},
    proto::RecordKind,
};

/// Frames kept to come again: as many as a small network sends while it lets go, so that copies are of any age.
const HEARD_MAX: usize = 512;

impl Sim {
    /// Half of what still goes on is withdrawn: few requests end by themselves.
    pub(super) fn end_some(&mut self) {
        for Request { id, opener, .. } in self.requests.clone() {
            if self.chance.one_in(2) && self.rows(&self.nodes[opener], &id).is_some() {
                let act = self.act(opener, id, "withdraw");
                self.give(Given { node: opener, act });
            }
        }
    }

    /// A member wants a request erased, held or released; whether that may be, its node says. While acts go on few have
    /// ended, so now and then one is withdrawn; while they are let go of, now and then an old frame comes again.
    pub(super) fn let_go(&mut self) {
        if self.letting_go && self.chance.one_in(3) {
            return self.come_again();
        }
        let Some(Request { id, opener, other }) = self.chance.pick(&self.requests).copied() else { return };
        if !self.letting_go && self.chance.one_in(6) {
            let act = self.act(opener, id, "withdraw");
            return self.give(Given { node: opener, act });
        }
        let keys_stay = self.chance.one_in(4);
        let node = &mut self.nodes[if self.chance.one_in(2) { opener } else { other }];
        node.keys_stay = keys_stay;
        match self.chance.below(8) {
            0 => node.hold(id, Some("proceedings")),
            1..=2 => node.hold(id, None),
            3 => node.erase(id, "retention-over"),
            _ => node.erase(id, "court-order"),
        }
    }

    pub(super) fn overhear(&mut self, from: usize, to: usize, frame: &Frame) {
        if self.heard.len() == HEARD_MAX {
            self.heard.swap_remove(self.chance.place(HEARD_MAX));
        }
        self.heard.push((from, to, frame.clone()));
    }

    /// Lines deliver late and twice; a peer that lost its index sends again what was answered long ago.
    fn come_again(&mut self) {
        if let Some((from, to, frame)) = self.chance.pick(&self.heard).cloned() {
            self.post(from, to, frame, None);
        }
    }

    pub(super) fn collect_erasures(&mut self) {
        for node in &mut self.nodes {
            for result in std::mem::take(&mut node.erased) {
                match result {
                    Ok(row) => assert!(row.erased_ms >= row.intent_ms && row.erased_index > row.intent_index),
                    Err(refused) => self.count.not_done(refused.code),
                }
            }
        }
    }

    pub(super) fn collect_holds(&mut self) {
        for node in &mut self.nodes {
            for result in std::mem::take(&mut node.held) {
                match result {
                    Ok(Some(_)) => self.count.one(What::Holds),
                    Ok(None) => self.count.one(What::Releases),
                    Err(refused) => self.count.not_done(refused.code),
                }
            }
        }
    }
}

impl SimNode {
    /// Requests with an intent on disk: where that stands, and where the erasures that name it do.
    fn intents(&self) -> BTreeMap<RequestId, (usize, Vec<usize>)> {
        let mut intents: BTreeMap<RequestId, (usize, Vec<usize>)> = BTreeMap::new();
        for (place, record) in self.ledger().iter().enumerate() {
            let request = || RequestId::from_slice(&record.node.request_id).expect("an id");
            if record.kind == RecordKind::ErasureIntent {
                let before = intents.insert(request(), (place, Vec::new()));
                assert!(before.is_none(), "{}: {} has one intent", self.party, request());
            } else if record.kind == RecordKind::Erasure {
                let (intent, done) = intents.get_mut(&request()).expect("an erasure stands behind its intent");
                assert_eq!(record.node.answers, self.ledger()[*intent].node.record_id, "{}", self.party);
                done.push(place);
            }
        }
        intents
    }

    /// From the intent on nothing is recorded of a request but its erasure; from the erasure on nothing of it opens.
    pub(super) fn check_erased(&self) {
        for (request, (intent, done)) in self.intents() {
            let is_of = |place: &usize| {
                let record = &self.ledger()[*place];
                record.request == Some(request) || record.node.request_id == request.as_bytes()
            };
            let behind: Vec<usize> = (intent + 1..self.ledger().len()).filter(is_of).collect();
            assert_eq!(behind, done, "{}: {request} is erased, and something was recorded of it", self.party);
            assert!(done.len() <= 1, "{}: {request} is erased once", self.party);
            assert!(self.index.threads_of(&request).expect("answers").is_empty(), "{}: {request}", self.party);
            let mut open = self.ledger().iter().filter(|record| record.request == Some(request));
            assert!(done.is_empty() || open.all(Self::is_closed), "{}: {request} opens", self.party);
        }
    }

    /// Every other request is here with all its events, and what is recorded of it opens.
    pub(super) fn check_unharmed(&self) {
        let intents = self.intents();
        let mut events: BTreeMap<ThreadId, usize> = BTreeMap::new();
        for record in self.ledger() {
            let Some(request) = record.request.filter(|request| !intents.contains_key(request)) else { continue };
            assert!(!self.has_destroyed(&request), "{}: the keys of {request} are here", self.party);
            assert!(!Self::is_closed(record), "{}: {request} does not open", self.party);
            if [RecordKind::EventSent, RecordKind::EventReceived].contains(&record.kind) {
                let thread = ThreadId::from_slice(&record.node.thread_id).expect("an id");
                *events.entry(thread).or_default() += 1;
            }
        }
        for (thread, recorded) in events {
            let rows = self.index.events(&thread).expect("the index answers").len();
            assert_eq!(rows, recorded, "{}: all events of {thread} are known", self.party);
        }
    }

    /// Healed, every erasure that was begun is done.
    pub(super) fn check_finished(&self) {
        for (request, (_, done)) in self.intents() {
            assert_eq!(done.len(), 1, "{}: the erasure of {request} was finished", self.party);
        }
    }
}

/// True if no erasure that was begun is left to be done.
pub(super) fn is_through(node: &SimNode) -> bool {
    node.index.erasures_begun().expect("the index answers").is_empty()
}
