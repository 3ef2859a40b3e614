//! Debts and answers on the move: deliveries to peers, their receipts, our checkpoints, the clocks.
//!
//! Towards a peer nothing leaves that our newest signed checkpoint does not cover. One checkpoint
//! is signed at a time; each covers all that was committed while the one before was being signed.

use super::{Engine, EngineFault, Job, Notice, Output, Reply, Step, Ticket};
use crate::{
    case::Case,
    clock::{Alert, Running},
    event::PeerAnswer,
    ids::{EventId, LedgerIndex, PartyCode, RequestId, ThreadId, Time},
    index::{Index, IndexFault, Pairs},
    proto::{RecordKind, ThreadRow},
    record::{About, SignedRefusal, receipt, refusal},
};

/// A note that could not be kept is signed again after this: a full disk wants a person.
const SIGN_AGAIN_MS: u64 = 5_000;
/// Threads whose clocks are looked at in one tick: each costs some tens of microseconds, and commands and peers wait meanwhile.
/// Thousands of deadlines fall on one midnight.
const ALARMS_AT_ONCE: usize = 128;
/// Threads whose clocks are read at once when the engine opens.
const ALARM_PAGE: usize = 1024;

impl Engine {
    pub(super) fn on_up<P: Pairs>(&mut self, step: &mut Step<'_, P>, peer: &PartyCode) -> Result<(), EngineFault> {
        self.outbox.up(peer);
        self.pump(step, peer)
    }

    /// Delivers what is due to a peer and fits its window.
    pub(super) fn pump<P: Pairs>(&mut self, step: &mut Step<'_, P>, peer: &PartyCode) -> Result<(), EngineFault> {
        let due = self.outbox.next(peer, step.index, self.signed, step.now)?;
        step.out.extend(due.into_iter().map(|due| Output::Deliver(peer.clone(), due)));
        Ok(())
    }

    fn pump_all<P: Pairs>(&mut self, step: &mut Step<'_, P>) -> Result<(), EngineFault> {
        for peer in self.outbox.reachable() {
            self.pump(step, &peer)?;
        }
        Ok(())
    }

    /// A peer's answer. One that was not awaited is a late copy and changes nothing.
    pub(super) fn on_answered<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        peer: &PartyCode,
        event: &EventId,
        answer: PeerAnswer,
    ) -> Result<(), EngineFault> {
        if let PeerAnswer::Retry { after_ms, .. } = answer {
            self.outbox.retry(peer, event, after_ms, step.now);
            return Ok(());
        }
        let Some(due) = self.outbox.answered(peer, event) else { return Ok(()) };
        let thread = thread_of(step.index, event)?;
        let trust = self.trust.clone();
        let moment = self.moment(&trust, step);
        let about = |slip, peer_index| About { event: *event, thread, peer, slip, peer_index };
        let record = match answer {
            PeerAnswer::Receipt { proof, proven } => receipt(&moment, &about(&due.slip, proven.index()), proof),
            PeerAnswer::Erased | PeerAnswer::Retry { .. } => {
                receipt(&moment, &about(&due.slip, LedgerIndex(0)), Vec::new())
            }
            PeerAnswer::Refusal { refusal: bytes, signatures, code, proof, proven } => {
                let signed = SignedRefusal { kind: RecordKind::RefusalTaken, code, bytes, signatures, proof };
                refusal(&moment, &about(&due.slip, proven.index()), peer, signed)
            }
        };
        self.append(step, Job::Settle { peer: peer.clone(), event: *event }, record);
        Ok(())
    }

    /// An event or refusal that stands here already is answered by the same record.
    pub(super) fn answer_again<P>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        event: EventId,
        index: LedgerIndex,
        kind: RecordKind,
    ) {
        if index.0 < self.signed {
            step.out.extend(answer(ticket, event, index, kind));
        } else {
            self.owe_answer(index, ticket, event, kind);
        }
    }

    /// The answer leaves with the next signed checkpoint.
    pub(super) fn owe_answer(&mut self, index: LedgerIndex, ticket: Ticket, event: EventId, kind: RecordKind) {
        self.answers.entry(index).or_default().push((ticket, event, kind));
    }

    /// Asks for a checkpoint when the ledger has outgrown the last one and none is being signed. A wait
    /// beyond the longest was planned before the clock was set back: it is over.
    pub(super) fn sign_checkpoint<P>(&mut self, step: &mut Step<'_, P>) {
        let waited = step.now >= self.sign_after || self.sign_after > step.now.plus_ms(SIGN_AGAIN_MS);
        if self.to_sign() > self.signed && !self.signing && waited {
            self.signing = true;
            step.out.push(Output::SignCheckpoint(self.to_sign()));
        }
    }

    fn to_sign(&self) -> u64 {
        self.limit.map_or(self.size, |limit| limit.min(self.size))
    }

    pub(super) fn on_checkpoint_signed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        size: u64,
    ) -> Result<(), EngineFault> {
        self.signing = false;
        self.signed = self.signed.max(size);
        let later = self.answers.split_off(&LedgerIndex(self.signed));
        for (index, waiting) in std::mem::replace(&mut self.answers, later) {
            let answers = waiting.into_iter().filter_map(|(ticket, event, kind)| answer(ticket, event, index, kind));
            step.out.extend(answers);
        }
        self.pump_all(step)
    }

    /// The note could not be kept: what waits for it waits on.
    pub(super) fn on_checkpoint_failed(&mut self, now: Time) {
        self.signing = false;
        self.sign_after = now.plus_ms(SIGN_AGAIN_MS);
    }

    pub(super) fn on_tick<P: Pairs>(&mut self, step: &mut Step<'_, P>) -> Result<(), EngineFault> {
        self.pump_all(step)?;
        self.expire_early(step);
        self.go_on_erasing(step);
        for _ in 0..ALARMS_AT_ONCE {
            let Some((at, thread)) = self.alarms.first().copied().filter(|(at, _)| *at <= step.now) else {
                self.alarmed = self.alarmed.max(step.now);
                return Ok(());
            };
            self.alarms.remove(&(at, thread));
            self.look_at_clocks(step, &thread, self.alarmed)?;
        }
        Ok(()) // what is left is due: the next tick follows at once, and nothing counts as raised before it is
    }

    /// A thread's clocks may have changed: marks that lie in the past already are raised now (whoever
    /// keeps alarms keeps each once), and the next one is watched for.
    pub(super) fn clocks_changed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        thread: &ThreadId,
    ) -> Result<(), EngineFault> {
        self.look_at_clocks(step, thread, Time(0))
    }

    /// Raises the alarms of a thread's clocks that fell due after `since`, and watches for the next one.
    fn look_at_clocks<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        thread: &ThreadId,
        since: Time,
    ) -> Result<(), EngineFault> {
        let clocks = self.clocks(step.index, thread, step.now)?;
        for clock in &clocks {
            let notice = |alert: Alert| Notice::Clock {
                thread: *thread,
                rule: clock.rule.to_string(),
                percent: alert.percent,
                at: alert.at,
            };
            let alerts = clock.alerts(self.rules.alerts(), since, step.now);
            step.out.extend(alerts.into_iter().map(|alert| Output::Notify(notice(alert))));
        }
        self.watch_clocks(&clocks, thread, step.now);
        Ok(())
    }

    /// The clocks of a thread that run.
    fn clocks<P: Pairs>(&self, index: &Index<P>, thread: &ThreadId, now: Time) -> Result<Vec<Running>, IndexFault> {
        let case = Case::of(&index.events(thread)?).map_err(|_| IndexFault::Damaged)?;
        Ok(case.clocks(&self.rules, &case.reckoning(&self.rules, &self.trust, now), now))
    }

    /// Remembers when the next alarm of a thread's clocks is due.
    fn watch_clocks(&mut self, clocks: &[Running], thread: &ThreadId, now: Time) {
        if let Some(at) = self.alarm_of.remove(thread) {
            self.alarms.remove(&(at, *thread));
        }
        let next = clocks.iter().filter_map(|clock| clock.next_alert(self.rules.alerts(), now));
        if let Some(at) = next.map(|alert| alert.at).min() {
            self.alarms.insert((at, *thread));
            self.alarm_of.insert(*thread, at);
        }
    }

    pub(super) fn load_alarms<P: Pairs>(&mut self, index: &Index<P>) -> Result<(), EngineFault> {
        self.each_thread(index, |engine, thread, _| {
            let clocks = engine.clocks(index, thread, engine.alarmed)?;
            engine.watch_clocks(&clocks, thread, engine.alarmed);
            Ok(())
        })
    }

    /// A Party counts by another calendar, or declares other periods, than it did: the clocks of its open requests are counted
    /// anew, and what lies in the past by the new count is raised.
    pub(super) fn count_anew<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        party: &PartyCode,
    ) -> Result<(), EngineFault> {
        let index = step.index;
        self.each_thread(index, |engine, thread, row| {
            let concerns = row.ended_ms == 0 && row.members.iter().any(|member| member == party.as_str());
            if concerns { engine.clocks_changed(step, thread) } else { Ok(()) }
        })
    }

    fn each_thread<P: Pairs>(
        &mut self,
        index: &Index<P>,
        mut look: impl FnMut(&mut Self, &ThreadId, &ThreadRow) -> Result<(), EngineFault>,
    ) -> Result<(), EngineFault> {
        let mut after = None;
        loop {
            let page: Vec<(ThreadId, ThreadRow)> = index.threads(after.as_ref(), ALARM_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (thread, row) in &page {
                look(self, thread, row)?;
            }
        }
    }

    pub(super) fn wake<P>(&self, step: &mut Step<'_, P>) {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let sign = (self.to_sign() > self.signed && !self.signing).then_some(self.sign_after);
        let wakes = self.outbox.wake_at().into_iter().chain(alarm).chain(sign).chain(self.early_until());
        let wakes = wakes.chain(self.erase_again());
        step.out.extend(wakes.min().map(Output::WakeAt));
    }
}

fn answer(ticket: Ticket, event: EventId, index: LedgerIndex, kind: RecordKind) -> Option<Output> {
    let reply = match kind {
        RecordKind::EventReceived | RecordKind::EventSent => Reply::Receipt(index),
        RecordKind::RefusalGiven => Reply::Refusal(index),
        RecordKind::Unspecified
        | RecordKind::Receipt
        | RecordKind::RefusalTaken
        | RecordKind::Custody
        | RecordKind::ErasureIntent
        | RecordKind::Erasure
        | RecordKind::RosterChange
        | RecordKind::WitnessNote
        | RecordKind::ForkProof
        | RecordKind::Succession
        | RecordKind::Access
        | RecordKind::Act
        | RecordKind::Approval => return None, // no event and no refusal: nothing to say
    };
    Some(Output::Answer(ticket, event, reply))
}

fn thread_of<P: Pairs>(index: &Index<P>, event: &EventId) -> Result<Option<(ThreadId, RequestId)>, IndexFault> {
    let Some(seen) = index.seen(event)? else { return Ok(None) };
    let thread = ThreadId::from_slice(&seen.thread_id).map_err(|_| IndexFault::Damaged)?;
    let Some(row) = index.thread(&thread)? else { return Ok(None) };
    let request = RequestId::from_slice(&row.request_id).map_err(|_| IndexFault::Damaged)?;
    Ok(Some((thread, request)))
}
