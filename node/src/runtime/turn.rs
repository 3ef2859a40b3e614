//! The loop: one turn takes one thing in and puts to work what the engine says must happen.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use comity_core::{
    carry,
    engine::{Change, Done, Engine, Hold, Input, JobId, Output, Ticket},
    event::PeerAnswer,
    ids::{PartyCode, Time},
    index::Index,
    ledger::{Appended, LedgerFault},
    outbox::Due,
    profile::{Kind, News},
    proto::{ErasureRow, KeyRole, Lane},
    record::Record,
};
use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Back, Batched, RunFault, WorkFault, alarms,
    arrivals::{Arrivals, READING_MAX, Waiting},
    erasure, follow_on, work,
};
use crate::{
    backup::ErasureList,
    evidence::Evidence,
    handle::{self, Command, PeerStatus, Status, View},
    keys::{Keyring, in_use},
    net::{Net, NetEvent, Reply},
    roster::Registrar,
    store::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, SledPairs, StoreFault},
    time,
    witness::Bell,
};

/// Workers at once: more than the cores, since some wait for the disk.
const WORKERS_MAX: usize = 16;
/// What a frame holds beside its parts, generously.
const FRAME_REST: usize = 1 << 10;
/// A read-only node waits for a person.
const READ_ONLY_RETRY_MS: u32 = 30_000;
/// Without anything to wait for the loop still looks at the clock this often.
const IDLE_MS: u64 = 30_000;

/// While there is work the loop asks this often whether the key of the newest checkpoint still signs: a few comparisons,
/// and a key ends at a moment.
const KEYS_MS: u64 = 1_000;

/// What the index follows goes into its database this late: each transaction wakes its threads and writes its log, so
/// many commits share one. What a kill loses of it is replayed at the next start.
const SETTLE_MS: u64 = 250;

/// The loop and what it owns.
pub(super) struct Turn {
    pub(super) engine: Engine,
    pub(super) index: Index<SledPairs>,
    pub(super) view: Arc<View>,
    pub(super) keys: Arc<Keyring>,
    pub(super) evidence: Evidence,
    /// The list of erasures that the settings name.
    pub(super) second_place: Option<ErasureList>,
    pub(super) net: Net,
    pub(super) status: watch::Sender<Status>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) peers: mpsc::Receiver<NetEvent>,
    pub(super) arrivals: Arrivals,
    /// Deliveries that workers read now.
    pub(super) reading: usize,
    pub(super) workers: JoinSet<Back>,
    pub(super) appends: VecDeque<(JobId, Record)>,
    pub(super) committing: bool,
    pub(super) replies: BTreeMap<Ticket, handle::Reply<Done>>,
    pub(super) documents: BTreeMap<Ticket, handle::Reply<News>>,
    pub(super) erasures: BTreeMap<Ticket, handle::Reply<ErasureRow>>,
    pub(super) holds: BTreeMap<Ticket, handle::Reply<Option<Hold>>>,
    pub(super) rolls: BTreeMap<Ticket, handle::Reply<u64>>,
    pub(super) registrar: Registrar,
    pub(super) bell: Bell,
    pub(super) answers: BTreeMap<Ticket, Reply>,
    pub(super) next_ticket: Ticket,
    pub(super) wake: Time,
    /// When the index is settled next, if something waits for it.
    pub(super) settle: Option<Instant>,
    /// The generation of the checkpoint keys that signed the newest note.
    pub(super) signed_by: Option<u32>,
    /// When it was last asked whether that generation still signs.
    pub(super) keys_seen: Time,
}

impl Turn {
    /// Runs until told to stop or until it cannot go on. What is under way then is not lost: it was
    /// either appended, or never acknowledged.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), RunFault> {
        let desk = Arc::clone(&self.view.desk);
        let ended = loop {
            let wake = self.sleep();
            let room = self.workers.len() < WORKERS_MAX;
            let turned = tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                fault = desk.failed() => break Err(fault.into()),
                Some(back) = self.workers.join_next() => self.on_back(back.unwrap_or(Back::Lost)),
                Some(command) = self.commands.recv(), if room => self.on_command(command),
                Some(event) = self.peers.recv(), if room && self.arrivals.has_room() => self.on_peer(event),
                () = tokio::time::sleep_until(wake) => self.step(Input::Tick),
            };
            if let Err(fault) = turned.and_then(|()| self.settle()) {
                break Err(fault);
            }
            self.commit();
        };
        self.close().await;
        ended
    }

    /// Lets what the disk is doing finish, then leaves the network.
    async fn close(mut self) {
        while self.committing {
            match self.workers.join_next().await {
                Some(Ok(Back::Committed(batch, result))) => {
                    self.committing = false;
                    if let Err(fault) = self.on_committed(batch, result) {
                        warn!(target: "runtime", code = fault.code(), "last batch not applied; replayed at start");
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        if let Err(fault) = self.index.pairs().close() {
            warn!(target: "store", code = fault.code(), "index not flushed; replayed at start");
        }
        self.net.stop().await;
    }

    fn sleep(&self) -> Instant {
        let ms = self.wake.since(time::now()).min(IDLE_MS);
        let wake = Instant::now() + Duration::from_millis(ms);
        self.settle.map_or(wake, |settle| settle.min(wake))
    }

    /// Puts what the index followed into its database, when it is time.
    fn settle(&mut self) -> Result<(), RunFault> {
        if self.settle.take_if(|at| *at <= Instant::now()).is_some() {
            self.index.pairs().settle()?;
        }
        Ok(())
    }

    fn step(&mut self, input: Input) -> Result<(), RunFault> {
        let now = time::now();
        self.wake = now.plus_ms(IDLE_MS);
        if now.since(self.keys_seen) >= KEYS_MS {
            self.keys_seen = now;
            self.renew_note(now);
        }
        let outputs = self.engine.step(now, crate::store::random(), input, &self.index)?;
        outputs.into_iter().for_each(|output| self.put(output));
        Ok(())
    }

    /// Has the newest checkpoint signed again when another generation of keys has come into use: peers would not
    /// take proofs under the old one for long.
    fn renew_note(&mut self, now: Time) {
        let trust = self.view.trust();
        let profile = trust.profile(&self.view.us.party, now);
        let signs = profile.and_then(|profile| in_use(self.view.keys.iter(), KeyRole::Checkpoint, profile, now));
        let (Some(signs), Some(signed_by)) = (signs, self.signed_by) else { return };
        if signs.number != signed_by {
            info!(target: "keys", generation = signs.number, "another generation of checkpoint keys signs from now on");
            let size = self.status.borrow().signed;
            self.put(Output::SignCheckpoint(size));
        }
    }

    /// Puts one output to work.
    fn put(&mut self, output: Output) {
        let (view, keys) = (Arc::clone(&self.view), Arc::clone(&self.keys));
        match output {
            Output::Seal { job, plaintext, binding, recipients, entropy } => {
                self.spawn(move || work::seal(job, &plaintext, &binding, &recipients, &entropy));
            }
            Output::Sign { job, message } => {
                let now = time::now();
                self.spawn(move || work::sign(job, &message, &view, &keys, now));
            }
            Output::Append { job, record } => self.appends.push_back((job, *record)),
            // A damaged ledger signs nothing: what it cannot show whole it must not vouch for.
            Output::SignCheckpoint(_) if self.view.read_only().is_some() => {}
            Output::SignCheckpoint(size) => {
                let now = time::now();
                self.spawn(move || work::checkpoint(size, &view, &keys, now));
            }
            Output::Deliver(peer, due) => {
                let (note, size) = self.newest();
                self.spawn(move || work::delivery(peer, due, &view, &note, size));
            }
            Output::Answer(ticket, event, reply) => {
                let (note, size) = self.newest();
                self.spawn(move || work::answer(ticket, &event, &reply, &view, &note, size));
            }
            Output::Reply(ticket, result) => {
                if let Some(waiting) = self.replies.remove(&ticket) {
                    drop(waiting.send(result)); // a client that went away asks again by its command id
                }
            }
            Output::Documented(ticket, result) => {
                if let Some(waiting) = self.documents.remove(&ticket) {
                    drop(waiting.send(result)); // whoever handed it over went away
                }
            }
            Output::Destroy { job, request } => {
                let evidence = self.evidence.clone();
                let list = self.second_place.clone();
                self.spawn(move || erasure::destroy(job, &request, &view, &evidence, list.as_ref()));
            }
            Output::Erased(ticket, result) => {
                if let Some(waiting) = self.erasures.remove(&ticket) {
                    drop(waiting.send(result)); // a client that went away asks again, and is told the same
                }
            }
            Output::KeepHold { job, request, hold } => {
                self.spawn(move || erasure::keep_hold(job, &request, hold.as_ref(), &view));
            }
            Output::Held(ticket, result) => {
                if let Some(waiting) = self.holds.remove(&ticket) {
                    drop(waiting.send(result)); // as above
                }
            }
            Output::KeepRoll { job, envelope } => {
                self.spawn(move || erasure::keep_roll(job, envelope, &view, time::now()));
            }
            Output::Rolled(ticket, result) => {
                if let Some(waiting) = self.rolls.remove(&ticket) {
                    drop(waiting.send(result)); // as above
                }
            }
            Output::Trust(change) => self.on_trust(*change),
            Output::Contradicted(document, envelope) => self.registrar.contradicted(*document, envelope),
            Output::Notify(notice) => {
                let status = self.status.clone();
                self.spawn(move || {
                    alarms::keep(&view, &notice, &status);
                    Back::Nothing
                });
            }
            Output::WakeAt(at) => self.wake = self.wake.min(at),
        }
    }

    fn newest(&self) -> (Arc<[u8]>, u64) {
        let status = self.status.borrow();
        (Arc::clone(&status.note), status.signed)
    }

    fn spawn(&mut self, work: impl FnOnce() -> Back + Send + 'static) {
        self.workers.spawn_blocking(work);
    }

    /// Starts the next batch when none is in flight.
    fn commit(&mut self) {
        if self.committing || self.appends.is_empty() {
            return;
        }
        let (batch, records) = self.next_batch();
        let view = Arc::clone(&self.view);
        self.committing = true;
        self.spawn(move || work::append(batch, records, &view));
    }

    fn next_batch(&mut self) -> (Vec<Batched>, Vec<Record>) {
        let (mut batch, mut records, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((_, next)) = self.appends.front() {
            bytes += next.body.len() + next.node.encoded_len() + next.case.encoded_len() + FRAME_REST;
            if !records.is_empty() && (records.len() >= BATCH_RECORDS_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            if let Some((job, record)) = self.appends.pop_front() {
                batch.push(Batched { job, kind: record.kind, node: record.node.clone(), case: record.case.clone() });
                records.push(record);
            }
        }
        (batch, records)
    }

    fn on_command(&mut self, command: Command) -> Result<(), RunFault> {
        let ticket = self.ticket();
        let input = match command {
            Command::Act(act, reply) => {
                self.replies.insert(ticket, reply);
                Input::Command(ticket, act)
            }
            Command::Custody(custody, reply) => {
                self.replies.insert(ticket, reply);
                Input::Custody(ticket, custody)
            }
            Command::Document(envelope, reply) => {
                self.documents.insert(ticket, reply);
                Input::Document(ticket, envelope)
            }
            Command::LedgerKnown(Ok(())) => Input::Vouched,
            Command::LedgerKnown(Err(damage)) => {
                self.view.ledger.forbid(damage);
                return Ok(());
            }
            Command::Erase(wanted, reply) => {
                self.erasures.insert(ticket, reply);
                Input::Erase(ticket, wanted)
            }
            Command::Hold(request, reason, reply) => {
                self.holds.insert(ticket, reply);
                Input::Hold(ticket, request, reason)
            }
            Command::Roll(envelope, reply) => {
                self.rolls.insert(ticket, reply);
                Input::Roll(ticket, envelope)
            }
        };
        self.step(input)
    }

    /// From now on this counts, for whoever asks; the network and the peers are told of it.
    fn on_trust(&mut self, change: Change) {
        self.view.set_trust(Arc::clone(&change.trust));
        if change.document.kind == Kind::Head {
            let (view, envelope) = (Arc::clone(&self.view), Arc::clone(&change.envelope));
            let head = change.document.clone();
            self.spawn(move || {
                crate::roster::keep_head(&view, &head, &envelope);
                Back::Nothing
            });
        }
        self.registrar.changed(change);
        self.status.send_modify(|status| status.documents += 1);
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn on_peer(&mut self, event: NetEvent) -> Result<(), RunFault> {
        match event {
            NetEvent::Up { party, address, hybrid, .. } => {
                info!(target: "net", peer = %party, hybrid, "peer up");
                self.peer(&party, |peer| {
                    *peer = PeerStatus { up: true, address, hybrid, since: time::now(), why: "", ..peer.clone() }
                });
                self.registrar.up(party.clone());
                self.step(Input::Up(party))
            }
            NetEvent::Down { party, why } => {
                info!(target: "net", peer = %party, why, "peer down");
                self.peer(&party, |peer| *peer = PeerStatus { up: false, since: time::now(), why, ..peer.clone() });
                self.step(Input::Down(party))
            }
            NetEvent::Delivery { party, frame, reply } => {
                let lane = carry::lane_named_by(&frame);
                let from = party.clone();
                if self.arrivals.push(Waiting { party, frame, reply }, lane, time::now()) {
                    debug!(target: "net", peer = %from, "an emergency beyond the budget waits like any other");
                    self.peer(&from, |peer| peer.demoted += 1);
                }
                self.read_more()
            }
            NetEvent::Answer { party, frame } => {
                let (view, now) = (Arc::clone(&self.view), time::now());
                self.spawn(move || work::read_answer(party, frame, &view, now));
                Ok(())
            }
            NetEvent::Unanswered { party } => {
                debug!(target: "net", peer = %party, "delivery left unanswered");
                Ok(())
            }
            NetEvent::Evidence { party, stream } => {
                self.evidence.serve(party, stream);
                Ok(())
            }
            NetEvent::Roster { party, stream } => {
                self.registrar.asked(party, stream);
                Ok(())
            }
            NetEvent::Witness { party, stream } => {
                self.bell.asked(party, stream);
                Ok(())
            }
            NetEvent::Lobby { party, stream } => {
                self.registrar.lobby(party, stream);
                Ok(())
            }
            NetEvent::Misconduct { party, code, count } => {
                (0..count).for_each(|_| self.view.conduct.wrong(&party, code, None, time::now()));
                Ok(())
            }
            NetEvent::Stranger { .. } => {
                self.status.send_modify(|status| status.strangers += 1);
                Ok(())
            }
            NetEvent::DialFailed { party, address, code, attempt, next_ms } => {
                debug!(target: "net", peer = %party, code, attempt, next_ms, "dial failed");
                self.peer(&party, |peer| (peer.address, peer.why) = (address, code));
                Ok(())
            }
        }
    }

    /// Has deliveries read that wait, as many at once as may be.
    fn read_more(&mut self) -> Result<(), RunFault> {
        while self.reading < READING_MAX {
            let Some(Waiting { party, frame, reply }) = self.arrivals.pop() else { break };
            let ticket = self.ticket();
            self.answers.insert(ticket, reply);
            if let Some(code) = self.view.read_only() {
                let event = carry::event_named_by(&frame);
                let answer = event.map(|event| carry::retry(&event, code, READ_ONLY_RETRY_MS));
                self.on_back(Back::Answer(ticket, Ok(answer)))?;
                continue;
            }
            self.reading += 1;
            let (view, keys, now) = (Arc::clone(&self.view), Arc::clone(&self.keys), time::now());
            self.spawn(move || work::read_delivery(ticket, party, frame, &view, &keys, now));
        }
        Ok(())
    }

    fn peer(&self, party: &PartyCode, change: impl FnOnce(&mut PeerStatus)) {
        self.status.send_modify(|status| change(status.peers.entry(party.clone()).or_default()));
    }

    fn on_back(&mut self, back: Back) -> Result<(), RunFault> {
        match back {
            Back::Sealed(job, sealed) => self.step(Input::Sealed(job, sealed)),
            Back::Signed(job, signatures) => self.step(Input::Signed(job, signatures)),
            Back::Committed(batch, result) => {
                self.committing = false;
                self.on_committed(batch, result)
            }
            Back::Checkpoint(size, note) => {
                let (note, generation) = match note {
                    Ok(signed) => signed,
                    Err(WorkFault::Store(fault)) if !fault.is_fatal() => {
                        warn!(target: "store", code = fault.code(), "checkpoint not kept; tried again");
                        return self.step(Input::CheckpointFailed);
                    }
                    // A profile may name another key; a node whose token is gone still answers, reads and says so.
                    Err(
                        fault
                        @ (WorkFault::Keys(_) | WorkFault::NoProfile | WorkFault::Ledger(LedgerFault::CannotSign)),
                    ) => {
                        warn!(target: "keys", %fault, "no checkpoint is signed; tried again");
                        return self.step(Input::CheckpointFailed);
                    }
                    Err(fault) => return Err(fault.into()),
                };
                // One signed again under other keys may come back after a larger one.
                if size >= self.status.borrow().signed {
                    self.signed_by = Some(generation);
                    self.status.send_modify(|status| (status.signed, status.note) = (size, note));
                }
                self.step(Input::CheckpointSigned(size))
            }
            Back::Outgoing { peer, due, frame } => self.on_outgoing(peer, due, frame),
            Back::Answer(ticket, frame) => {
                let frame = readable(frame)?;
                if let (Some(reply), Some(frame)) = (self.answers.remove(&ticket), frame) {
                    let _ = reply.send(frame); // a link that closed: the peer delivers again and is answered the same
                }
                Ok(())
            }
            Back::Read(input) => {
                self.reading -= 1;
                self.step(input)?;
                self.read_more()
            }
            Back::TurnedAway { ticket, peer, fault, frame, answer } => {
                self.reading -= 1;
                self.view.conduct.wrong(&peer, fault.code(), Some(&frame), time::now());
                if let (Some(reply), Some(answer)) = (self.answers.remove(&ticket), answer) {
                    let _ = reply.send(answer); // as above
                }
                self.read_more()
            }
            Back::PeerAnswer(peer, Ok((event, answer))) => {
                if let PeerAnswer::Retry { code, .. } = answer.get() {
                    debug!(target: "net", peer = %peer, event = event.short(), code, "peer asks to retry");
                }
                self.step(Input::Answered(peer, event, answer))
            }
            Back::PeerAnswer(peer, Err((fault, frame))) => {
                self.view.conduct.wrong(&peer, fault.code(), Some(&frame), time::now());
                Ok(())
            }
            Back::Destroyed(job, destroyed) => self.step(Input::Destroyed(job, destroyed?)),
            Back::HoldKept(job, kept) => self.step(Input::HoldKept(job, kept)),
            Back::RollKept(job, kept) => self.step(Input::RollKept(job, kept)),
            Back::Nothing => Ok(()),
            Back::Lost => Err(RunFault::Worker),
        }
    }

    fn on_outgoing(
        &mut self,
        peer: PartyCode,
        due: Due,
        frame: Result<Option<Vec<u8>>, WorkFault>,
    ) -> Result<(), RunFault> {
        let unreadable = frame.is_err();
        let Some(frame) = readable(frame)? else {
            // Erased meanwhile: nothing left to deliver. Unreadable: looked at again later.
            return if unreadable { self.step(Input::LinkBusy(peer, due.event)) } else { Ok(()) };
        };
        let urgent = due.slip.lane == Lane::Emergency;
        let sent = if urgent { self.net.send_urgent(&peer, frame) } else { self.net.send(&peer, frame) };
        if sent.is_ok() {
            let (event, number) = (due.event.short(), due.slip.number);
            debug!(target: "net", peer = %peer, event, number, "delivery sent");
            return Ok(());
        }
        self.step(Input::LinkBusy(peer, due.event))
    }

    /// A batch is on disk: the index follows record by record, and the engine learns of each.
    fn on_committed(&mut self, batch: Vec<Batched>, result: Result<Vec<Appended>, StoreFault>) -> Result<(), RunFault> {
        match result {
            Ok(tokens) => {
                for (batched, appended) in batch.into_iter().zip(tokens) {
                    self.follow(&batched, &appended)?;
                    self.status.send_modify(|status| status.size = appended.size());
                    self.step(Input::Appended(batched.job, appended))?;
                }
                self.settle.get_or_insert_with(|| Instant::now() + Duration::from_millis(SETTLE_MS));
                Ok(())
            }
            Err(fault) if fault.is_fatal() => Err(fault.into()),
            Err(fault) => {
                warn!(target: "store", code = fault.code(), "batch not recorded");
                // Whatever waits behind it fails too: the slip numbers given out are taken back together.
                let waiting = self.appends.drain(..).map(|(job, _)| job);
                let jobs = batch.into_iter().map(|batched| batched.job).chain(waiting).collect();
                self.step(Input::NotAppended(jobs, fault.code()))
            }
        }
    }

    fn follow(&mut self, batched: &Batched, appended: &Appended) -> Result<(), RunFault> {
        let Batched { kind, node, case, .. } = batched;
        Ok(follow_on(&mut self.index, appended.index(), *kind, node, case, &self.view.rules)?)
    }
}

/// One record that does not read must not stop the node: it is said in the log, and its peer waits.
fn readable(frame: Result<Option<Vec<u8>>, WorkFault>) -> Result<Option<Vec<u8>>, RunFault> {
    match frame {
        Ok(frame) => Ok(frame),
        Err(WorkFault::Store(fault)) if !fault.is_fatal() => {
            warn!(target: "store", code = fault.code(), "a record did not read");
            Ok(None)
        }
        Err(WorkFault::NoSealKey) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}
