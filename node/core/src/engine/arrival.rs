//! A peer's event, from its checked delivery to our receipt or refusal on disk.
//!
//! What reaches this room is authentic: signed by the author, standing in its ledger, bound to its
//! slip. Here it is judged against its thread: known parents, no blindness to what the author had
//! receipted, the author's power, an open body, a complete form, a lawful step. A refusal is a
//! signed record and ends the debt; a missing parent is waited for a moment, then it is only a request to
//! try again.
//! What a peer gives back of our own is taken as it is: it happened. Serves SPEC `[D-4]` to `[D-6]` and `[D-9]`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Arrival, Engine, EngineFault, Job, Output, Reply, Returning, Step, Ticket, Waiting};
use crate::{
    case::{self, Case, Wish},
    crypto::pae,
    event::{Delivery, Event, REFUSAL_TYPE, Returned, Slip},
    ids::{EventId, LedgerIndex, PartyCode, RequestId, ThreadId, Time},
    index::{IndexFault, Pairs},
    profile::{Freshness, Profile},
    proto::{EventRow, Fact, Lane, RecordKind, Signature},
    record::{About, SignedRefusal, event_received, event_returned, receipt, refusal, refusal_bytes},
};

/// Deliveries of one window overtake each other, since both sides work on several at once: a parent mostly comes
/// within a few syncs. Far below the time after which an author sends again.
const EARLY_MS: u64 = 2_000;
/// Events that wait for a parent in memory; a peer has at most a window of them. One more is sent back.
const EARLY_MAX: usize = 4 * crate::outbox::WINDOW;
/// A parent that did not come meanwhile may be on another link: look again soon.
const PARENT_RETRY_MS: u32 = 250;
/// A head is on its way as soon as there is a link: it is asked for on every one.
const FROZEN_RETRY_MS: u32 = 10_000;
/// The house is full: give it time to drain.
const BUSY_RETRY_MS: u32 = 1_000;

/// Events of one author in one thread: ten times what a large case has, and little enough that
/// judging one more against all of them stays quick.
const AUTHOR_EVENTS_MAX: usize = 1_000;

/// A refusal under way.
pub(super) struct Refuse {
    pub(super) ticket: Ticket,
    pub(super) event: EventId,
    pub(super) thread: ThreadId,
    request: Option<RequestId>,
    peer: PartyCode,
    slip: Slip,
    code: &'static str,
    bytes: Vec<u8>,
}

/// An event that came before one it follows.
pub(super) struct Early {
    ticket: Ticket,
    arrival: Box<Arrival>,
    until: Time,
}

/// What the thread says to an event.
enum Judgement {
    Admit(Vec<Fact>),
    Refuse(&'static str),
    /// This parent is not here.
    Early(EventId),
}

impl Engine {
    pub(super) fn on_arrived<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        arrival: Box<Arrival>,
    ) -> Result<(), EngineFault> {
        let event = &arrival.delivery.get().event;
        let (id, thread) = (event.id, event.header.thread);
        if let Some(seen) = step.index.seen(&id)? {
            self.answer_again(step, ticket, id, LedgerIndex(seen.index), seen.kind());
            return Ok(());
        }
        if self.busy.contains_key(&thread) || self.jobs.len() >= super::JOBS_MAX {
            if self.wait(&thread, Waiting::Arrival(ticket, arrival)).is_err() {
                step.out.push(retry(ticket, id, "engine.busy", BUSY_RETRY_MS));
            }
            return Ok(());
        }
        if self.trust.freshness(&event.header.author, step.now) == Freshness::Frozen {
            step.out.push(retry(ticket, id, "profile.frozen", FROZEN_RETRY_MS));
            return Ok(());
        }
        match self.judge(step, &arrival)? {
            Judgement::Early(parent) => self.put_aside(step, parent, ticket, arrival),
            Judgement::Refuse(code) => self.refuse(step, ticket, arrival.delivery.get(), code)?,
            Judgement::Admit(facts) => self.receive(step, ticket, *arrival, facts),
        }
        Ok(())
    }

    /// Nothing is recorded or promised: an event that is lost with us here is owed to us as before.
    fn put_aside<P>(&mut self, step: &mut Step<'_, P>, parent: EventId, ticket: Ticket, arrival: Box<Arrival>) {
        if self.early.values().map(Vec::len).sum::<usize>() >= EARLY_MAX {
            return step.out.push(parent_missing(ticket, &arrival));
        }
        let until = step.now.plus_ms(EARLY_MS);
        self.early.entry(parent).or_default().push(Early { ticket, arrival, until });
    }

    /// An event was recorded or refused: those that waited for it are judged once its thread is free.
    pub(super) fn parent_came(&mut self, parent: &EventId, thread: ThreadId) {
        let early = self.early.remove(parent).unwrap_or_default();
        let queue = self.busy.entry(thread).or_default();
        early.into_iter().rev().for_each(|early| queue.push_front(Waiting::Arrival(early.ticket, early.arrival)));
    }

    /// Sends back what has waited long enough.
    pub(super) fn expire_early<P>(&mut self, step: &mut Step<'_, P>) {
        let now = step.now;
        for early in self.early.values_mut().flat_map(|early| early.extract_if(.., |early| early.until <= now)) {
            step.out.push(parent_missing(early.ticket, &early.arrival));
        }
        self.early.retain(|_, early| !early.is_empty());
    }

    /// When the first of them has.
    pub(super) fn early_until(&self) -> Option<Time> {
        self.early.values().flatten().map(|early| early.until).min()
    }

    fn judge<P: Pairs>(&self, step: &Step<'_, P>, arrival: &Arrival) -> Result<Judgement, EngineFault> {
        let delivery = arrival.delivery.get();
        let header = &delivery.event.header;
        if step.index.erasure(&header.request)?.is_some() {
            return Ok(Judgement::Refuse("event.request-erased"));
        }
        let rows = step.index.events(&header.thread)?;
        if let Some(judgement) = self.judge_parents(step, delivery, &rows)? {
            return Ok(judgement);
        }
        let body = match &arrival.opened {
            Ok((_, body)) => body,
            Err(fault) => return Ok(Judgement::Refuse(fault.code())),
        };
        let form = self.rules.form(&header.procedure, &header.step);
        let Some(form) = form else { return Ok(Judgement::Refuse("procedure.unknown")) };
        if !form.check(body).is_empty() {
            return Ok(Judgement::Refuse("form.incomplete"));
        }
        let facts = form.facts(body);
        let case = Case::of(&rows).map_err(|_| IndexFault::Damaged)?;
        let side = case.side_of(&header.author);
        let profile = self.trust.profile(&header.author, step.now);
        let may = |own: &Profile| {
            own.may(&header.authority, &header.procedure, side, step.now)
                && own.speaks_as(&header.authority, header.actor)
        };
        if !profile.is_some_and(may) {
            return Ok(Judgement::Refuse("profile.no-power"));
        }
        let wish = Wish {
            procedure: &header.procedure,
            step: &header.step,
            author: &header.author,
            actor: header.actor,
            parents: &header.parents,
            time: header.time,
            facts: &facts,
            body,
        };
        let members = header.members();
        let setting = case::setting(&self.rules, &self.trust, case.between(&members, &header.author), step.now);
        Ok(match case.permits(&self.rules, &wish, &setting) {
            Ok(()) => Judgement::Admit(facts),
            Err(refusal) => Judgement::Refuse(refusal.code()),
        })
    }

    /// The place of the event in its thread; nothing if it is in order.
    fn judge_parents<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        delivery: &Delivery,
        rows: &[EventRow],
    ) -> Result<Option<Judgement>, EngineFault> {
        let header = &delivery.event.header;
        let known = |id: &EventId| rows.iter().find(|row| row.event_id == id.as_bytes());
        if let Some(parent) = header.parents.iter().find(|parent| known(parent).is_none()) {
            return Ok(Some(match step.index.seen(parent)?.map(|seen| seen.kind()) {
                None => Judgement::Early(*parent),
                Some(RecordKind::RefusalGiven) => Judgement::Refuse("event.void-parent"),
                Some(_) => Judgement::Refuse("event.parent-elsewhere"),
            }));
        }
        if header.parents.iter().filter_map(known).any(|row| row.void) {
            return Ok(Some(Judgement::Refuse("event.void-parent")));
        }
        let charter = self.trust.charter();
        if header.recipients.len() != 1 {
            return Ok(Some(Judgement::Refuse("event.not-two-sided")));
        }
        if rows.is_empty() && !step.index.threads_of(&header.request)?.is_empty() {
            return Ok(Some(Judgement::Refuse("event.request-taken")));
        }
        if rows.iter().filter(|row| row.author == header.author.as_str()).count() >= AUTHOR_EVENTS_MAX {
            return Ok(Some(Judgement::Refuse("event.too-many")));
        }
        if rows.is_empty() && !header.members().iter().all(|member| charter.parties().contains_key(member)) {
            return Ok(Some(Judgement::Refuse("event.unknown-member")));
        }
        if header.parents.is_empty() && !rows.is_empty() {
            return Ok(Some(Judgement::Refuse("event.second-opening")));
        }
        Ok(self.judge_sight(step, delivery, rows)?.then_some(Judgement::Refuse("event.blind")))
    }

    /// True if the event does not descend from one that its author's ledger held before it: any other
    /// event of its own, or one of ours whose receipt by the author came earlier. One of its own that
    /// stands at its place or above was written blind to it, or in another ledger (SPEC `[D-4]`).
    fn judge_sight<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        delivery: &Delivery,
        rows: &[EventRow],
    ) -> Result<bool, EngineFault> {
        let header = &delivery.event.header;
        let seen = ancestors(&header.parents, rows);
        let before = delivery.proven.index().0;
        for row in rows.iter().filter(|row| !row.void) {
            let descends = seen.contains(&row.event_id[..]);
            if row.author == header.author.as_str() && !(descends && (row.lost || row.peer_index < before)) {
                return Ok(true);
            }
            if descends {
                continue;
            }
            let event = EventId::from_slice(&row.event_id).map_err(|_| IndexFault::Damaged)?;
            let answer = step.index.answer(&event, &header.author)?;
            let receipted = answer.filter(|answer| answer.kind() == RecordKind::Receipt && answer.peer_index < before);
            if row.author == self.us.party.as_str() && receipted.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn receive<P>(&mut self, step: &mut Step<'_, P>, ticket: Ticket, arrival: Arrival, facts: Vec<Fact>) {
        let Ok((secret, _)) = arrival.opened else { return };
        let delivery = arrival.delivery.into_inner();
        let (event, thread) = (delivery.event.id, delivery.event.header.thread);
        self.occupy(thread);
        let trust = self.trust.clone();
        let moment = self.moment(&trust, step);
        let record = event_received(&moment, delivery, facts, secret);
        self.append(step, Job::Receive { ticket, event, thread, kind: RecordKind::EventReceived }, record);
    }

    /// Our own event comes back from who holds it: our ledger had lost it. It was judged when it was made, so it is only put
    /// where it belongs, after those it follows, and with it the peer's receipt.
    pub(super) fn on_returned<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        returning: Box<Returning>,
    ) -> Result<(), EngineFault> {
        let header = &returning.returned.get().event.header;
        let (id, thread) = (returning.returned.get().event.id, header.thread);
        if let Some(seen) = step.index.seen(&id)? {
            self.answer_again(step, ticket, id, LedgerIndex(seen.index), seen.kind());
            return Ok(());
        }
        if self.busy.contains_key(&thread) || self.jobs.len() >= super::JOBS_MAX {
            if self.wait(&thread, Waiting::Returned(ticket, returning)).is_err() {
                step.out.push(retry(ticket, id, "engine.busy", BUSY_RETRY_MS));
            }
            return Ok(());
        }
        if step.index.erasure(&header.request)?.is_some() {
            step.out.push(Output::Answer(ticket, id, Reply::Erased));
            return Ok(());
        }
        let rows = step.index.events(&thread)?;
        let here = |parent: &EventId| rows.iter().any(|row| row.event_id == parent.as_bytes());
        if !header.parents.iter().all(here) {
            step.out.push(retry(ticket, id, "engine.parent-missing", PARENT_RETRY_MS));
            return Ok(());
        }
        let Some(form) = self.rules.form(&header.procedure, &header.step) else {
            step.out.push(retry(ticket, id, "procedure.unknown", FROZEN_RETRY_MS));
            return Ok(());
        };
        let facts = form.facts(&returning.body);
        self.take_back(step, ticket, *returning, facts);
        Ok(())
    }

    fn take_back<P>(&mut self, step: &mut Step<'_, P>, ticket: Ticket, returning: Returning, facts: Vec<Fact>) {
        let Returned { event, proof, proven, by } = returning.returned.into_inner();
        let (id, thread, request) = (event.id, event.header.thread, event.header.request);
        self.occupy(thread);
        let trust = self.trust.clone();
        let slip = Slip { ledger: event.header.origin.number(), lane: Lane::Return, number: 0 };
        let record = event_returned(&self.moment(&trust, step), event, facts, returning.secret);
        self.append(step, Job::Receive { ticket, event: id, thread, kind: RecordKind::EventSent }, record);
        let thread = Some((thread, request));
        let about = About { event: id, thread, peer: &by, slip: &slip, peer_index: proven.index() };
        let record = receipt(&self.moment(&trust, step), &about, proof);
        self.append(step, Job::Settle { peer: by, event: id }, record);
    }

    fn refuse<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        delivery: &Delivery,
        code: &'static str,
    ) -> Result<(), EngineFault> {
        let event = &delivery.event;
        let at = self.record_time(step.now);
        let bytes = refusal_bytes(&self.trust, &self.us.party, &self.us.origin, event, code, at);
        let message = pae(REFUSAL_TYPE, &bytes);
        self.occupy(event.header.thread);
        let known = step.index.thread(&event.header.thread)?.is_some();
        let refuse = Refuse {
            ticket,
            event: event.id,
            thread: event.header.thread,
            request: known.then_some(event.header.request),
            peer: event.header.author.clone(),
            slip: delivery.slip.clone(),
            code,
            bytes,
        };
        let job = self.job(Job::Refuse(Box::new(refuse)));
        step.out.push(Output::Sign { job, message });
        Ok(())
    }

    pub(super) fn refusal_signed<P>(&mut self, step: &mut Step<'_, P>, refuse: Refuse, signatures: Vec<Signature>) {
        let trust = self.trust.clone();
        let moment = self.moment(&trust, step);
        let about = About {
            event: refuse.event,
            thread: refuse.request.map(|request| (refuse.thread, request)),
            peer: &refuse.peer,
            slip: &refuse.slip,
            peer_index: LedgerIndex(0),
        };
        let signed = SignedRefusal {
            kind: RecordKind::RefusalGiven,
            code: refuse.code.to_owned(),
            bytes: refuse.bytes.clone(),
            signatures,
            proof: Vec::new(),
        };
        let record = refusal(&moment, &about, &self.us.party, signed);
        self.append(step, Job::Refuse(Box::new(refuse)), record);
    }

    pub(super) fn refusal_failed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        refuse: Refuse,
    ) -> Result<(), EngineFault> {
        step.out.push(retry(refuse.ticket, refuse.event, "engine.busy", BUSY_RETRY_MS));
        self.release(step, &refuse.thread)
    }
}

fn parent_missing(ticket: Ticket, arrival: &Arrival) -> Output {
    retry(ticket, arrival.delivery.get().event.id, "engine.parent-missing", PARENT_RETRY_MS)
}

fn retry(ticket: Ticket, event: EventId, code: &'static str, after_ms: u32) -> Output {
    Output::Answer(ticket, event, Reply::Retry { code, after_ms })
}

/// All events of the thread from which these descend, themselves included.
fn ancestors<'r>(parents: &'r [EventId], rows: &'r [EventRow]) -> BTreeSet<&'r [u8]> {
    let by_id: BTreeMap<&[u8], &EventRow> = rows.iter().map(|row| (&row.event_id[..], row)).collect();
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    let mut open: Vec<&[u8]> = parents.iter().map(|id| &id.as_bytes()[..]).collect();
    while let Some(id) = open.pop() {
        if seen.insert(id)
            && let Some(row) = by_id.get(id)
        {
            open.extend(row.parents.iter().map(|parent| &parent[..]));
        }
    }
    seen
}

/// The event of an arrival, for logs.
impl Arrival {
    /// The event that arrived.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.delivery.get().event
    }
}
