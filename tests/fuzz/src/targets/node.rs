//! One node in memory for the engine's target: the real engine, and a disk, a line and keys that do what the input says.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use comity_core::{
    carry::{self, Delivered, Stored, read_answer, read_delivery},
    crypto::sha256,
    engine::{Act, Custody, Done, Engine, EngineFault, Identity, Input, JobId, NotDone, Output, Reply, Ticket},
    event::seal_body,
    ids::{Digest, EventId, LedgerIndex, Origin, PartyCode, Time},
    index::{Index, MemoryPairs, RecordView},
    ledger::{Appended, Checkpoint, Tree, leaf_hash, signatures_digest},
    proto::RecordKind,
    record::Record,
};

use super::known::{self, BOOK, FOUNDED, RULES, keys, network, party};

/// A frame on its way to another node.
#[derive(Clone)]
pub(crate) enum Frame {
    Delivery(Vec<u8>),
    Answer(Vec<u8>),
}

/// What of a node's surroundings fails now.
#[derive(Clone, Copy, Default)]
pub(crate) struct Failing {
    pub(crate) disk: bool,
    pub(crate) keys: bool,
    pub(crate) checkpoint: bool,
}

pub(crate) struct Node {
    pub(crate) code: &'static str,
    pub(crate) index: Index<MemoryPairs>,
    pub(crate) synced: Vec<Record>,
    pub(crate) out: Vec<(PartyCode, Frame)>,
    pub(crate) failing: Failing,
    engine: Engine,
    tree: Tree,
    note: Vec<u8>,
    signed: u64,
    queued: VecDeque<(JobId, Record)>,
    written: VecDeque<(JobId, Record)>,
    inbox: VecDeque<Input>,
    /// Commands without a reply yet.
    asked: BTreeMap<Ticket, [u8; 16]>,
    answering: BTreeMap<Ticket, PartyCode>,
    done: BTreeMap<[u8; 16], Done>,
    tickets: Ticket,
    steps: u64,
}

impl Node {
    pub(crate) fn new(code: &'static str, now: Time) -> Self {
        let index = Index::new(MemoryPairs::default());
        Self {
            code,
            engine: open(code, &index, now),
            index,
            synced: Vec::new(),
            out: Vec::new(),
            failing: Failing::default(),
            tree: Tree::new(),
            note: Vec::new(),
            signed: 0,
            queued: VecDeque::new(),
            written: VecDeque::new(),
            inbox: VecDeque::new(),
            asked: BTreeMap::new(),
            answering: BTreeMap::new(),
            done: BTreeMap::new(),
            tickets: 0,
            steps: 0,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::of(&party(self.code), &network(), 1)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    pub(crate) fn command(&mut self, act: Act) {
        let ticket = self.ticket();
        self.asked.insert(ticket, act.command_id);
        self.inbox.push_back(Input::Command(ticket, Box::new(act)));
    }

    pub(crate) fn custody(&mut self, wanted: Custody) {
        let ticket = self.ticket();
        self.asked.insert(ticket, wanted.command_id);
        self.inbox.push_back(Input::Custody(ticket, Box::new(wanted)));
    }

    pub(crate) fn tell(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// A frame arrives, as a worker reads it. True if it was authentic.
    pub(crate) fn receive(&mut self, from: &PartyCode, frame: &Frame, now: Time) -> bool {
        let us = party(self.code);
        match frame {
            Frame::Delivery(bytes) => {
                let unwrap = |body: &[u8], binding: &Digest| keys(self.code).unwrap(body, binding);
                let read = read_delivery(bytes, from, &us, &FOUNDED, now, unwrap);
                let Some(arrival) = read.ok().and_then(Delivered::arrival) else { return false };
                let ticket = self.ticket();
                self.answering.insert(ticket, from.clone());
                self.inbox.push_back(Input::Arrived(ticket, Box::new(arrival)));
            }
            Frame::Answer(bytes) => {
                let signatures = |event: &EventId| {
                    let seen = self.index.seen(event).ok().flatten()?;
                    let record = self.synced.get(usize::try_from(seen.index).ok()?)?;
                    Some((record.kind, signatures_digest(&record.case.signatures)))
                };
                let read = read_answer(bytes, from, &us, &FOUNDED, now, signatures);
                let Ok((event, answer)) = read else { return false };
                self.inbox.push_back(Input::Answered(from.clone(), event, Box::new(answer)));
            }
        }
        true
    }

    /// Takes one input, the next or the last that waits. False if none does.
    pub(crate) fn turn(&mut self, now: Time, last: bool) -> bool {
        let input = if last && self.any_order() { self.inbox.pop_back() } else { self.inbox.pop_front() };
        let Some(input) = input else { return false };
        self.steps += 1;
        let entropy = *sha256(&[self.code.as_bytes(), &self.steps.to_be_bytes()]).as_bytes();
        match self.engine.step(now, entropy, input, &self.index) {
            Ok(outputs) => outputs.into_iter().for_each(|output| self.put(output, now)),
            Err(fault @ (EngineFault::Index(_) | EngineFault::UnknownJob(_))) => panic!("{}: {fault}", self.code),
        }
        true
    }

    /// What the disk did reaches the engine in order, and what it refused before all else; the rest may overtake.
    fn any_order(&self) -> bool {
        !matches!(self.inbox.front(), Some(Input::NotAppended(..)))
            && !matches!(self.inbox.back(), Some(Input::Appended(..)))
    }

    fn put(&mut self, output: Output, now: Time) {
        match output {
            Output::Seal { job, plaintext, binding, recipients, entropy } => {
                let sealed = seal_body(&plaintext, &binding, &recipients, &entropy).expect("keys of Parties");
                self.inbox.push_back(Input::Sealed(job, Some(sealed).filter(|_| !self.failing.keys)));
            }
            Output::Sign { job, message } => {
                let signatures = known::sign(self.code, &keys(self.code).roles.record, &message);
                self.inbox.push_back(Input::Signed(job, Some(signatures).filter(|_| !self.failing.keys)));
            }
            Output::Append { job, record } => self.queued.push_back((job, *record)),
            Output::SignCheckpoint(_) if self.failing.checkpoint => self.inbox.push_back(Input::CheckpointFailed),
            Output::SignCheckpoint(size) => {
                let root = self.tree.root_at(size).expect("no checkpoint beyond what is on disk");
                let checkpoint = Checkpoint { origin: self.origin(), size, root };
                self.note = known::note(self.code, &checkpoint, now);
                self.signed = size;
                self.inbox.push_back(Input::CheckpointSigned(size));
            }
            Output::Deliver(peer, due) => {
                let frame = self.stored(due.index, |stored| stored.delivery(&peer));
                self.out.push((peer, Frame::Delivery(frame)));
            }
            Output::Answer(ticket, event, reply) => {
                let peer = self.answering.remove(&ticket).expect("an arrival is answered at most once");
                let frame = match reply {
                    Reply::Receipt(index) => self.stored(index, |stored| stored.receipt()),
                    Reply::Refusal(index) => self.stored(index, |stored| stored.refusal()),
                    Reply::Erased => carry::erased(&event),
                    Reply::Retry { code, after_ms } => carry::retry(&event, code, after_ms),
                };
                self.out.push((peer, Frame::Answer(frame)));
            }
            Output::Reply(ticket, result) => self.replied(ticket, result),
            Output::Notify(_) | Output::WakeAt(_) => {}
            Output::Documented(..) | Output::Trust(_) | Output::Contradicted(..) => {
                unreachable!("no document is handed over")
            }
            Output::Destroy { .. }
            | Output::Erased(..)
            | Output::KeepHold { .. }
            | Output::Held(..)
            | Output::KeepRoll { .. }
            | Output::Rolled(..) => {
                unreachable!("nothing is erased or held")
            }
        }
    }

    fn replied(&mut self, ticket: Ticket, result: Result<Done, NotDone>) {
        let command = self.asked.remove(&ticket).expect("a command is replied to once");
        match result {
            Ok(done) => {
                let place = usize::try_from(done.index.0).expect("few");
                let record = self.synced.get(place).expect("what is said to be done is on disk");
                assert_eq!(record.node.record_id, done.event.as_bytes(), "at its place");
                match self.done.entry(command) {
                    Entry::Vacant(first) => {
                        first.insert(done);
                    }
                    // Who asks again while the record is already on disk may be answered before who asked first.
                    Entry::Occupied(mut first) => {
                        assert!(done.before || first.get().before, "a command done again is told so");
                        let before = done.before && first.get().before;
                        first.get_mut().before = before;
                        assert_eq!(Done { before, ..done }, *first.get(), "one command has one result");
                    }
                }
            }
            Err(refused) => assert!(refused.code.contains('.') && !refused.detail.is_empty()),
        }
    }

    fn stored(&self, index: LedgerIndex, frame: impl FnOnce(&Stored<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
        let record = usize::try_from(index.0).ok().and_then(|place| self.synced.get(place));
        let record = record.expect("only what is on disk is spoken of");
        let path = self.tree.inclusion(index, self.signed).expect("only what a checkpoint covers is spoken of");
        let (node, case, body) = (&record.node, &record.case, &record.body[..]);
        let stored = Stored { node, case, body, index, path: &path, note: &self.note };
        frame(&stored).expect("the record is of the kind it is used as")
    }

    /// The disk writes so many records, or refuses all once nothing is in flight.
    pub(crate) fn write(&mut self, count: usize) {
        if !self.failing.disk {
            let count = count.min(self.queued.len());
            self.written.extend(self.queued.drain(..count));
        } else if self.written.is_empty() && !self.queued.is_empty() {
            let jobs = self.queued.drain(..).map(|(job, _)| job).collect();
            // Before anything else, as in a node: no number is given out between.
            self.inbox.push_front(Input::NotAppended(jobs, "store.disk-full"));
        }
    }

    pub(crate) fn sync(&mut self) {
        while let Some((job, record)) = self.written.pop_front() {
            let appended = self.keep(record);
            self.inbox.push_back(Input::Appended(job, appended));
        }
    }

    fn keep(&mut self, record: Record) -> Appended {
        let index = self.tree.push(leaf_hash(&record.leaf));
        follow(&mut self.index, &record, index);
        self.synced.push(record);
        Appended::on_disk(index, self.tree.size())
    }

    /// The process ends and starts again; so many records that were written stay.
    pub(crate) fn restart(&mut self, torn: usize, now: Time) {
        let stay: Vec<Record> = self.written.drain(..).take(torn).map(|(_, record)| record).collect();
        self.queued.clear();
        self.inbox.clear();
        self.out.clear();
        self.asked.clear();
        self.answering.clear();
        (self.note, self.signed) = (Vec::new(), 0);
        for record in stay {
            self.keep(record);
        }
        self.engine = open(self.code, &self.index, now);
        self.inbox.push_back(Input::Tick);
    }

    /// Nothing waits here and nothing is under way.
    pub(crate) fn is_settled(&self) -> bool {
        let empty = self.inbox.is_empty() && self.queued.is_empty() && self.written.is_empty() && self.out.is_empty();
        empty && self.engine.under_way() == 0
    }

    pub(crate) fn owes_replies(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What holds at any time.
    pub(crate) fn check(&self) {
        let (mut ids, mut commands, mut answered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut numbers: BTreeMap<(&str, i32), u64> = BTreeMap::new();
        let mut last = 0;
        for record in &self.synced {
            let node = &record.node;
            let kinds =
                || self.synced.iter().filter(|other| other.node.record_id == node.record_id).map(|one| one.kind);
            let again = || kinds().collect::<Vec<_>>();
            assert!(ids.insert(&node.record_id), "{}: nothing is applied twice: {:?}", self.code, again());
            assert!(node.answers.is_empty() || answered.insert((&node.answers, &node.peer)), "one answer ends a debt");
            assert!(node.recorded_ms >= last, "the time of record never falls");
            last = node.recorded_ms;
            if matches!(record.kind, RecordKind::EventSent | RecordKind::Custody) {
                assert!(commands.insert(&node.command_id), "no command has two effects");
            }
            for slip in node.slips.iter().filter(|_| record.kind == RecordKind::EventSent) {
                let number = numbers.entry((&slip.to, slip.lane)).or_default();
                *number += 1;
                assert_eq!(slip.number, *number, "slip numbers have no gap");
            }
        }
        let mut again = Index::new(MemoryPairs::default());
        for (place, record) in (0..).map(LedgerIndex).zip(&self.synced) {
            follow(&mut again, record, place);
        }
        assert!(again.pairs() == self.index.pairs(), "{}: the index is what the ledger says", self.code);
    }
}

fn open(code: &str, index: &Index<MemoryPairs>, now: Time) -> Engine {
    let us = Identity { party: party(code), origin: Origin::of(&party(code), &network(), 1) };
    Engine::open(us, BOOK.clone(), RULES.clone(), index, now, u64::MAX).expect("an engine opens over its own index")
}

fn follow(index: &mut Index<MemoryPairs>, record: &Record, place: LedgerIndex) {
    let view = RecordView { index: place, kind: record.kind, node: &record.node, case: Some(&record.case) };
    index.apply(view, &RULES).expect("the index follows");
}
