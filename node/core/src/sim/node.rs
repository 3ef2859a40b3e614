//! One simulated node: the real engine over a disk and an index in memory.
//!
//! The disk knows three ages of a record: put out, written, synced. A crash keeps what was synced,
//! may keep what was written (a torn tail is whole batches here, since the store refuses half
//! ones), and drops the rest with everything the process knew.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    carry::{self, Delivered, Stored},
    crypto::PublicKey,
    engine::{Act, Custody, Done, Engine, Erase, Hold, Identity, Input, JobId, NotDone, Notice, Output, Reply, Ticket},
    event::{EventFault, seal_body, unwrap_body},
    founding::{RoleKeys, tests as founded},
    ids::{Digest, EventId, KeyId, LedgerIndex, Origin, PartyCode, RequestId, Time},
    index::{Index, MemoryPairs, RecordView},
    ledger::{Appended, Checkpoint, Tree, leaf_hash, signatures_digest},
    officer::Signed,
    profile::{Book, News, Trust},
    proto::{Algorithm, CasePart, ErasureRow, KeyRole, Lane, RecordKind},
    record::{Moment, Record, document, document_envelope},
    rules::{Code, Rules},
};

use super::byzantine::Trick;

/// As the node answers a copy that is not authentic.
const TURNED_AWAY_MS: u32 = 30_000;
/// The node looks up this often at the latest.
const IDLE_MS: u64 = 30_000;

/// A frame on its way to another node.
#[derive(Clone)]
pub(super) enum Frame {
    Delivery(Vec<u8>),
    Answer(Vec<u8>),
}

/// What is common to all nodes of a simulated network.
#[derive(Clone)]
pub(super) struct World {
    pub(super) book: Book,
    pub(super) trust: Arc<Trust>,
    pub(super) rules: Arc<Rules>,
}

/// What became of a false frame: the stable code it met, or what it did.
pub(super) type Fate = (Trick, String);

/// What must survive a crash.
#[derive(Default)]
struct Disk {
    synced: Vec<Record>,
    /// Requests whose keys are destroyed: their case parts are bytes that nobody can read.
    destroyed: BTreeSet<RequestId>,
    holds: BTreeMap<RequestId, Hold>,
    roll: Option<Vec<u8>>,
    written: VecDeque<(JobId, Record)>,
    queued: VecDeque<(JobId, Record)>,
}

pub(super) struct SimNode {
    pub(super) party: PartyCode,
    pub(super) engine: Engine,
    pub(super) index: Index<MemoryPairs>,
    pub(super) documented: Vec<(Ticket, Result<News, NotDone>)>,
    pub(super) replies: Vec<(Ticket, Result<Done, NotDone>)>,
    pub(super) erased: Vec<Result<ErasureRow, NotDone>>,
    pub(super) held: Vec<Result<Option<Hold>, NotDone>>,
    pub(super) rolled: Vec<Result<u64, NotDone>>,
    /// What its officers have said of whatever it is asked to erase.
    pub(super) approvals: Vec<Signed>,
    /// True if no roll can be kept.
    pub(super) roll_fails: bool,
    /// How often a peer was told that what it sent was erased here.
    pub(super) told_erased: usize,
    /// True if keys cannot be destroyed now.
    pub(super) keys_stay: bool,
    pub(super) notices: Vec<Notice>,
    pub(super) wake: Option<Time>,
    pub(super) disk_full: bool,
    /// True if no checkpoint can be kept.
    pub(super) note_fails: bool,
    /// How far its clock is ahead of the true time, in milliseconds.
    pub(super) ahead: i64,
    /// What false frames met here.
    pub(super) fates: Vec<Fate>,
    pub(super) keys: Arc<RoleKeys>,
    world: World,
    seal: KeyId,
    us: Identity,
    disk: Disk,
    tree: Tree,
    note: Vec<u8>,
    signed: u64,
    alarmed: Time,
    inbox: VecDeque<(Input, Option<Trick>)>,
    out: Vec<(PartyCode, Frame)>,
    answering: BTreeMap<Ticket, (PartyCode, Option<Trick>)>,
    tickets: Ticket,
}

impl SimNode {
    pub(super) fn new(code: &str, world: &World, now: Time) -> Self {
        let party = founded::code(code);
        let us = Identity { party: party.clone(), origin: Origin::of(&party, &founded::network(), 1) };
        let index = Index::new(MemoryPairs::default());
        let engine =
            Engine::open(us.clone(), world.book.clone(), world.rules.clone(), &index, now, u64::MAX).expect("opens");
        let keys = founded::keys_of(code);
        let seal = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &keys.seal).expect("seal key").id();
        Self {
            party,
            engine,
            index,
            documented: Vec::new(),
            replies: Vec::new(),
            erased: Vec::new(),
            held: Vec::new(),
            rolled: Vec::new(),
            approvals: Vec::new(),
            roll_fails: false,
            told_erased: 0,
            keys_stay: false,
            notices: Vec::new(),
            wake: None,
            disk_full: false,
            note_fails: false,
            ahead: 0,
            fates: Vec::new(),
            keys,
            world: world.clone(),
            seal,
            us,
            disk: Disk::default(),
            tree: Tree::new(),
            note: Vec::new(),
            signed: 0,
            alarmed: now,
            inbox: VecDeque::new(),
            out: Vec::new(),
            answering: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// The records on disk, in order.
    pub(super) fn ledger(&self) -> &[Record] {
        &self.disk.synced
    }

    /// What this node takes the time to be.
    pub(super) fn clock(&self, now: Time) -> Time {
        Time(now.0.saturating_add_signed(self.ahead))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.us.origin
    }

    /// Inputs that wait: a busy node takes more of them at a time.
    pub(super) fn backlog(&self) -> usize {
        self.inbox.len()
    }

    fn take_in(&mut self, input: Input) {
        self.inbox.push_back((input, None));
    }

    /// Starts again under another law.
    pub(super) fn adopt(&mut self, rules: Arc<Rules>) {
        let (us, book) = (self.us.clone(), self.world.book.clone());
        self.engine = Engine::open(us, book, rules, &self.index, self.alarmed, u64::MAX).expect("opens");
        self.take_in(Input::Tick);
    }

    pub(super) fn command(&mut self, act: Act) -> Ticket {
        self.tickets += 1;
        self.take_in(Input::Command(self.tickets, Box::new(act)));
        self.tickets
    }

    pub(super) fn custody(&mut self, wanted: Custody) -> Ticket {
        self.tickets += 1;
        self.take_in(Input::Custody(self.tickets, Box::new(wanted)));
        self.tickets
    }

    pub(super) fn erase(&mut self, request: RequestId, ground: &str) {
        self.tickets += 1;
        let ground = Code::parse(ground).expect("a code");
        let wanted = Erase { request, ground, authority: None, approvals: self.approvals.clone() };
        self.take_in(Input::Erase(self.tickets, Box::new(wanted)));
    }

    pub(super) fn hold(&mut self, request: RequestId, reason: Option<&str>) {
        self.tickets += 1;
        let reason = reason.map(|reason| Code::parse(reason).expect("a code"));
        self.take_in(Input::Hold(self.tickets, request, reason));
    }

    pub(super) fn roll(&mut self, envelope: Vec<u8>) {
        self.tickets += 1;
        self.take_in(Input::Roll(self.tickets, envelope));
    }

    /// True if the keys of a record's request are gone.
    pub(super) fn is_destroyed(&self, record: &Record) -> bool {
        record.request.is_some_and(|request| self.has_destroyed(&request))
    }

    /// True if the keys of a request are gone.
    pub(super) fn has_destroyed(&self, request: &RequestId) -> bool {
        self.disk.destroyed.contains(request)
    }

    /// With its keys all that was under them is gone for good.
    fn destroy(&mut self, request: RequestId) {
        self.disk.destroyed.insert(request);
        for record in self.disk.synced.iter_mut().filter(|record| record.request == Some(request)) {
            (record.case, record.body, record.secret) = (CasePart::default(), Vec::new(), None);
        }
    }

    /// True if nothing of a record that goes with its request can be read.
    pub(super) fn is_closed(record: &Record) -> bool {
        record.case == CasePart::default() && record.body.is_empty() && record.secret.is_none()
    }

    fn case_of<'r>(&self, record: &'r Record) -> Option<&'r CasePart> {
        (!self.is_destroyed(record)).then_some(&record.case)
    }

    pub(super) fn link(&mut self, peer: &PartyCode, up: bool) {
        let peer = peer.clone();
        self.take_in(if up { Input::Up(peer) } else { Input::Down(peer) });
    }

    pub(super) fn tick(&mut self) {
        self.wake = None;
        self.take_in(Input::Tick);
    }

    /// A frame arrives: a worker checks it, or turns it away unrecorded.
    pub(super) fn receive(&mut self, from: &PartyCode, frame: &Frame, trick: Option<Trick>, now: Time) {
        let read = match frame {
            Frame::Delivery(bytes) => self.receive_delivery(from, bytes, trick, now),
            Frame::Answer(bytes) => self.receive_answer(from, bytes, trick, now),
        };
        if let (Err(fault), Some(trick)) = (read, trick) {
            self.fates.push((trick, fault.code().to_owned()));
        }
    }

    fn receive_delivery(
        &mut self,
        from: &PartyCode,
        bytes: &[u8],
        trick: Option<Trick>,
        now: Time,
    ) -> Result<(), EventFault> {
        let unwrap = |body: &[u8], binding: &_| unwrap_body(body, binding, &self.seal, &self.keys.seal);
        let read = carry::read_delivery(bytes, from, &self.party, &self.world.trust, self.clock(now), unwrap);
        match read {
            Ok(delivered) => {
                self.tickets += 1;
                self.answering.insert(self.tickets, (from.clone(), trick));
                self.take_in(match delivered {
                    Delivered::Arrival(arrival) => Input::Arrived(self.tickets, Box::new(arrival)),
                    Delivered::Returning(returning) => Input::Returned(self.tickets, Box::new(returning)),
                });
                Ok(())
            }
            Err(fault) => {
                let named = carry::event_named_by(bytes);
                let later = named.map(|event| carry::retry(&event, fault.code(), TURNED_AWAY_MS));
                self.out.extend(later.map(|answer| (from.clone(), Frame::Answer(answer))));
                Err(fault)
            }
        }
    }

    fn receive_answer(
        &mut self,
        from: &PartyCode,
        bytes: &[u8],
        trick: Option<Trick>,
        now: Time,
    ) -> Result<(), EventFault> {
        let delivered = |event: &EventId| {
            let seen = self.index.seen(event).ok().flatten()?;
            let record = self.disk.synced.get(usize::try_from(seen.index).ok()?)?;
            Some((record.kind, signatures_digest(&self.case_of(record)?.signatures)))
        };
        let (event, answer) =
            carry::read_answer(bytes, from, &self.party, &self.world.trust, self.clock(now), delivered)?;
        self.inbox.push_back((Input::Answered(from.clone(), event, Box::new(answer)), trick));
        Ok(())
    }

    /// Takes one input if one waits. False if none did.
    pub(super) fn turn(&mut self, now: Time, entropy: [u8; 32]) -> bool {
        let Some((input, trick)) = self.inbox.pop_front() else { return false };
        let local = self.clock(now);
        self.alarmed = self.alarmed.max(local);
        let outputs = self.engine.step(local, entropy, input, &self.index).expect("the engine goes on");
        if let Some(trick) = trick {
            let taken = outputs.iter().any(|output| matches!(output, Output::Append { .. }));
            self.fates.push((trick, if taken { "taken as an answer" } else { "not awaited" }.to_owned()));
        }
        outputs.into_iter().for_each(|output| self.put(output, now));
        true
    }

    fn put(&mut self, output: Output, now: Time) {
        match output {
            Output::Seal { job, plaintext, binding, recipients, entropy } => {
                let sealed = seal_body(&plaintext, &binding, &recipients, &entropy).ok();
                self.take_in(Input::Sealed(job, sealed));
            }
            Output::Sign { job, message } => {
                self.take_in(Input::Signed(job, self.keys.record.sign_pair(&message).ok()));
            }
            Output::Append { job, record } => self.disk.queued.push_back((job, *record)),
            Output::SignCheckpoint(_) if self.note_fails => self.take_in(Input::CheckpointFailed),
            Output::SignCheckpoint(size) => {
                let root = self.tree.root_at(size).expect("a size on disk");
                let checkpoint = Checkpoint { origin: self.us.origin.clone(), size, root };
                self.note = checkpoint.sign(&self.keys.checkpoint, self.clock(now)).expect("signed").into_bytes();
                self.signed = size;
                self.take_in(Input::CheckpointSigned(size));
            }
            Output::Deliver(peer, due) => {
                let delivery = match due.slip.lane {
                    Lane::Return => self.given_back(&peer, due.index, now),
                    Lane::Emergency | Lane::Normal | Lane::Unspecified => {
                        self.stored(due.index, |stored| stored.delivery(&peer))
                    }
                };
                self.out.extend(delivery.map(|delivery| (peer, Frame::Delivery(delivery))));
            }
            Output::Answer(ticket, event, reply) => {
                let Some((peer, trick)) = self.answering.remove(&ticket) else { return };
                if let Some(trick) = trick {
                    let fate = (trick, self.fate(&reply));
                    self.fates.push(fate);
                }
                let answer = match reply {
                    Reply::Receipt(index) => self.stored(index, |stored| stored.receipt()),
                    Reply::Refusal(index) => self.stored(index, |stored| stored.refusal()),
                    Reply::Erased => None,
                    Reply::Retry { code, after_ms } => Some(carry::retry(&event, code, after_ms)),
                };
                self.told_erased += usize::from(answer.is_none());
                let answer = answer.unwrap_or_else(|| carry::erased(&event));
                self.out.push((peer, Frame::Answer(answer)));
            }
            Output::Reply(ticket, result) => self.replies.push((ticket, result)),
            Output::Destroy { job, .. } if self.keys_stay => {
                self.take_in(Input::Destroyed(job, Err("store.busy")));
            }
            Output::Destroy { job, request } => {
                self.destroy(request);
                self.take_in(Input::Destroyed(job, Ok(())));
            }
            Output::Erased(_, result) => self.erased.push(result),
            Output::KeepHold { job, request, hold } => {
                match hold {
                    Some(hold) => drop(self.disk.holds.insert(request, hold)),
                    None => drop(self.disk.holds.remove(&request)),
                }
                self.take_in(Input::HoldKept(job, Ok(())));
            }
            Output::Held(_, result) => self.held.push(result),
            Output::KeepRoll { job, .. } if self.roll_fails => self.take_in(Input::RollKept(job, Err("store.busy"))),
            Output::KeepRoll { job, envelope } => {
                self.disk.roll = Some(envelope);
                self.take_in(Input::RollKept(job, Ok(())));
            }
            Output::Rolled(_, result) => self.rolled.push(result),
            Output::Notify(notice) => self.notices.push(notice),
            Output::Documented(ticket, result) => self.documented.push((ticket, result)),
            Output::Trust(change) => self.world.trust = change.trust,
            Output::Contradicted(..) => {} // asked of the engine
            Output::WakeAt(at) => self.wake = Some(now.plus_ms(at.since(self.clock(now)).min(IDLE_MS))),
        }
    }

    fn fate(&self, reply: &Reply) -> String {
        match reply {
            Reply::Receipt(_) => "receipted".to_owned(),
            Reply::Refusal(index) => {
                let place = usize::try_from(index.0).expect("small");
                self.disk.synced[place].node.code.clone()
            }
            Reply::Erased => "erased".to_owned(),
            Reply::Retry { code, .. } => (*code).to_owned(),
        }
    }

    fn given_back(&self, to: &PartyCode, index: LedgerIndex, now: Time) -> Option<Vec<u8>> {
        let record = &self.disk.synced[usize::try_from(index.0).expect("small")];
        let secret = record.secret.as_ref().expect("a received event has a body");
        let key = self.world.trust.seal_key(to, self.clock(now)).expect("a Party of the network");
        self.stored(index, |stored| stored.given_back(secret, key, &[7; 32]))
    }

    /// A record as it travels; nothing if its keys are gone.
    fn stored(&self, index: LedgerIndex, frame: impl FnOnce(&Stored<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let record = usize::try_from(index.0).ok().and_then(|place| self.disk.synced.get(place));
        let record = record.expect("only what is on disk is spoken of");
        let path = self.tree.inclusion(index, self.signed).expect("only what a checkpoint covers is spoken of");
        let stored = Stored {
            node: &record.node,
            case: self.case_of(record)?,
            body: &record.body,
            index,
            path: &path,
            note: &self.note,
        };
        Some(frame(&stored).expect("the record is of the kind it is used as"))
    }

    /// The disk writes some of what is queued, without syncing it; a full one refuses all of it, once
    /// nothing is in flight any more.
    pub(super) fn write(&mut self, count: usize) {
        if self.disk_full {
            if self.disk.written.is_empty() && !self.disk.queued.is_empty() {
                let jobs = self.disk.queued.drain(..).map(|(job, _)| job).collect();
                // As in the node: taken in before anything else, so that no number is given out between.
                self.inbox.push_front((Input::NotAppended(jobs, "store.disk-full"), None));
            }
            return;
        }
        let count = count.min(self.disk.queued.len());
        self.disk.written.extend(self.disk.queued.drain(..count));
    }

    /// The disk syncs what was written; the index follows; the engine learns.
    pub(super) fn sync(&mut self) {
        while let Some((job, record)) = self.disk.written.pop_front() {
            let appended = self.keep(record);
            self.take_in(Input::Appended(job, appended));
        }
    }

    fn keep(&mut self, record: Record) -> Appended {
        let index = self.tree.push(leaf_hash(&record.leaf));
        assert!(!self.is_destroyed(&record), "the store takes nothing under keys that are gone");
        follow(&mut self.index, &record, Some(&record.case), index, &self.world.rules);
        self.disk.synced.push(record);
        Appended::on_disk(index, self.tree.size())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.disk.queued.is_empty() && self.disk.written.is_empty() && self.out.is_empty()
    }

    pub(super) fn sent(&mut self) -> Vec<(PartyCode, Frame)> {
        std::mem::take(&mut self.out)
    }

    /// The process dies and starts again. `torn` of the written batches survive; the index is kept
    /// or lost.
    pub(super) fn crash(&mut self, torn: usize, lose_index: bool) {
        let survivors: Vec<Record> = self.disk.written.drain(..).take(torn).map(|(_, record)| record).collect();
        self.disk.queued.clear();
        self.inbox.clear();
        self.out.clear();
        self.answering.clear();
        self.wake = None;
        (self.note, self.signed) = (Vec::new(), 0);
        for record in survivors {
            self.keep(record);
        }
        if lose_index {
            self.index = self.rebuilt();
        }
        self.engine = Engine::open(
            self.us.clone(),
            self.resumed(),
            self.world.rules.clone(),
            &self.index,
            self.alarmed,
            u64::MAX,
        )
        .expect("opens");
        self.remember();
        self.take_in(Input::Tick);
    }

    /// What the desk keeps for the engine.
    fn remember(&mut self) {
        self.engine.remember_holds(self.disk.holds.clone());
        if let Some(roll) = &self.disk.roll {
            self.engine.remember_roll(roll, self.alarmed).expect("the roll still counts");
        }
    }

    /// The disk is replaced by an older copy of it, and the node starts again with a profile that names a ledger in the place
    /// of the one it wrote: what it recorded after the copy was made is lost.
    pub(super) fn restore(&mut self, size: usize, profile: &[u8], now: Time) {
        self.disk.synced.truncate(size);
        self.crash(0, true);
        self.tree = Tree::new();
        for record in &self.disk.synced {
            self.tree.push(leaf_hash(&record.leaf));
        }
        let mut book = self.resumed();
        let judged = book.judge(profile, now).expect("holds").expect("is new");
        let moment = Moment { trust: &self.world.trust.clone(), recorded: now, salt: [8; 32] };
        let record = document(&moment, RecordKind::Succession, judged.document(), profile).expect("an envelope");
        book.enter(judged);
        self.world.trust = Arc::new(book.trust());
        self.us.origin = self.world.trust.declared(&self.party).expect("its own").ledger().origin.clone();
        self.keep(record);
        self.engine =
            Engine::open(self.us.clone(), book, self.world.rules.clone(), &self.index, self.alarmed, u64::MAX)
                .expect("opens");
        self.remember();
        self.take_in(Input::Tick);
    }

    /// The newest checkpoint of its ledger, as it is spoken of.
    pub(super) fn note(&self) -> &[u8] {
        &self.note
    }

    /// The size and root of the ledger as it was after so many records.
    pub(super) fn root_at(&self, size: u64) -> Digest {
        self.tree.root_at(size).expect("held")
    }

    /// What the records say of charter and Parties, beside what the network was founded with.
    fn resumed(&self) -> Book {
        let mut book = self.world.book.clone();
        for index in self.index.standing_documents().expect("the index answers") {
            let record = &self.disk.synced[usize::try_from(index.0).expect("small")];
            let envelope = document_envelope(&record.case).expect("kept as it came");
            book.resume(&envelope, Time(record.node.recorded_ms)).expect("it was accepted then");
        }
        book
    }

    /// Hands a document to the node.
    pub(super) fn document(&mut self, envelope: Vec<u8>) -> Ticket {
        self.tickets += 1;
        self.take_in(Input::Document(self.tickets, envelope));
        self.tickets
    }

    /// An index made from nothing but the records.
    pub(super) fn rebuilt(&self) -> Index<MemoryPairs> {
        let mut index = Index::new(MemoryPairs::default());
        for (place, record) in (0..).map(LedgerIndex).zip(&self.disk.synced) {
            follow(&mut index, record, self.case_of(record), place, &self.world.rules);
        }
        index
    }
}

fn follow(index: &mut Index<MemoryPairs>, record: &Record, case: Option<&CasePart>, place: LedgerIndex, rules: &Rules) {
    let view = RecordView { index: place, kind: record.kind, node: &record.node, case };
    index.apply(view, rules).expect("the index follows");
}
