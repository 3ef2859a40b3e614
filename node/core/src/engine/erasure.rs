//! Erasing a request: from an operator's wish to the record that says it is done.
//!
//! Checked before anything is made: the ground, a hold, the end of the request, its time of retention, debts, acts under
//! way, and whether enough officers have approved. Then the intent is appended, which is the point of no return: from there on the index knows nothing more of the
//! request than that, and every act on it is refused. Then the keys are destroyed with what lies outside the ledger, and
//! last the erasure is appended. What is interrupted after the intent goes on at the next start, by this same road.
//! Nothing is ever erased by itself. Serves SPEC `[F-10]`.

use std::collections::BTreeMap;

use super::{Engine, EngineFault, Job, JobId, NotDone, Output, Step, Ticket, own::not_done};
use crate::{
    case::Case,
    clock::{day, kept_until},
    ids::{AuthorityId, Digest, EventId, PartyCode, ProcedureCode, RequestId, ThreadId, Time},
    index::{Index, IndexFault, Pairs},
    officer::Signed,
    proto::{ErasureRow, EventRow},
    record::erasure,
    rules::Code,
};

/// What could not be destroyed now wants a person, as a full disk does.
const AGAIN_MS: u64 = 60_000;
/// Whoever asks for an erasure under way is answered with the others; more than these ask in a loop.
const WAITING_MAX: usize = 64;

/// What an operator wants erased.
#[derive(Debug, Clone)]
pub struct Erase {
    /// The request, with all its threads.
    pub request: RequestId,
    /// On which ground of the rules.
    pub ground: Code,
    /// Whose officers approve it; that of our last act in the request if nobody says.
    pub authority: Option<AuthorityId>,
    /// What officers have said of it; none where one suffices.
    pub approvals: Vec<Signed>,
}

/// Why a request is not erased. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Spared {
    #[error("erase.unknown-ground: nothing was erased; {0} is no ground of the rules; see /v1/retention")]
    UnknownGround(Code),
    #[error("request.unknown: nothing was erased; no such request is here; correct the id")]
    UnknownRequest,
    #[error(
        "erase.held: nothing was erased; the request is held back ({0}); release the hold first if its reason is gone"
    )]
    Held(Code),
    #[error("erase.not-ended: nothing was erased; the request is {0} and may still go on; bring it to its end first")]
    NotEnded(String),
    #[error(
        "erase.too-early: nothing was erased; this ground waits for the end of retention, which is {0}; wait, or name a ground that does not"
    )]
    TooEarly(String),
    #[error(
        "erase.owed: nothing was erased; {0} has not answered an act of the request, or waits for our answer; wait for that"
    )]
    Owed(PartyCode),
    #[error(
        "erase.under-way: nothing was erased; an act or statement in the request is being recorded; try again in a moment"
    )]
    UnderWay,
}

impl Spared {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownGround(_) => "erase.unknown-ground",
            Self::UnknownRequest => "request.unknown",
            Self::Held(_) => "erase.held",
            Self::NotEnded(_) => "erase.not-ended",
            Self::TooEarly(_) => "erase.too-early",
            Self::Owed(_) => "erase.owed",
            Self::UnderWay => "erase.under-way",
        }
    }
}

/// An intent on its way to the disk. Its threads are occupied meanwhile.
pub(super) struct Intending {
    request: RequestId,
    threads: Vec<ThreadId>,
    begun: Begun,
}

/// An erasure whose intent is on disk.
pub(super) struct Begun {
    intent: Digest,
    ground: String,
    waiting: Vec<Ticket>,
    /// When it is tried again; none while it is worked on.
    again: Option<Time>,
}

/// Erasures that are not done.
pub(super) type Erasures = BTreeMap<RequestId, Begun>;

/// Those that a stop interrupted: they go on at once.
pub(super) fn interrupted<P: Pairs>(index: &Index<P>) -> Result<Erasures, IndexFault> {
    let read = |request: RequestId| {
        let row = index.erasure(&request)?.ok_or(IndexFault::Damaged)?;
        let intent = Digest::from_slice(&row.intent).map_err(|_| IndexFault::Damaged)?;
        Ok((request, Begun { intent, ground: row.ground, waiting: Vec::new(), again: Some(Time(0)) }))
    };
    index.erasures_begun()?.into_iter().map(read).collect()
}

pub(super) fn erased() -> NotDone {
    not_done("request.erased", "this request was erased, or is being erased; nothing can be added to it any more")
}

impl Engine {
    pub(super) fn on_erase<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        ticket: Ticket,
        wanted: &Erase,
    ) -> Result<(), EngineFault> {
        if let Some(row) = step.index.erasure(&wanted.request)? {
            self.join(step, ticket, &wanted.request, row);
            return Ok(());
        }
        match self.may_erase(step, wanted)? {
            Err(spared) => {
                let refused = not_done(spared.code(), &spared.to_string());
                step.out.push(Output::Erased(ticket, Err(refused)));
            }
            Ok(threads) => {
                let rows = threads.first().map(|thread| step.index.events(thread)).transpose()?.unwrap_or_default();
                match self.erasure_is_seen(step, wanted, &rows) {
                    Err(refused) => step.out.push(Output::Erased(ticket, Err(refused))),
                    Ok(()) => self.intend(step, ticket, wanted, threads),
                }
            }
        }
        Ok(())
    }

    /// Erasing twice is erasing once: whoever asks again is told the same, under whichever ground.
    fn join<P>(&mut self, step: &mut Step<'_, P>, ticket: Ticket, request: &RequestId, row: ErasureRow) {
        match self.erasures.get_mut(request) {
            // Its intent is on disk, and this engine is about to be told so.
            None if row.erased_ms == 0 => {
                let refused = not_done(Spared::UnderWay.code(), &Spared::UnderWay.to_string());
                step.out.push(Output::Erased(ticket, Err(refused)));
            }
            None => step.out.push(Output::Erased(ticket, Ok(row))),
            Some(begun) if begun.waiting.len() >= WAITING_MAX => {
                let busy = not_done("engine.busy", "this erasure is under way and many wait for it; ask again later");
                step.out.push(Output::Erased(ticket, Err(busy)));
            }
            Some(begun) => {
                begun.waiting.push(ticket);
                begun.again = begun.again.map(|_| step.now);
                self.go_on_erasing(step);
            }
        }
    }

    /// The threads of a request that may be erased now.
    fn may_erase<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        wanted: &Erase,
    ) -> Result<Result<Vec<ThreadId>, Spared>, EngineFault> {
        let Some(ground) = self.rules.erasure_ground(&wanted.ground) else {
            return Ok(Err(Spared::UnknownGround(wanted.ground.clone())));
        };
        let threads = step.index.threads_of(&wanted.request)?;
        if threads.is_empty() {
            return Ok(Err(Spared::UnknownRequest));
        }
        if let Some(hold) = self.holds.get(&wanted.request) {
            return Ok(Err(Spared::Held(hold.reason.clone())));
        }
        for thread in &threads {
            if let Some(spared) = self.spared(step, thread, ground.early)? {
                return Ok(Err(spared));
            }
        }
        if self.is_holding(&wanted.request) || threads.iter().any(|thread| self.is_acting(thread)) {
            return Ok(Err(Spared::UnderWay));
        }
        Ok(Ok(threads))
    }

    /// What in this thread speaks against it.
    fn spared<P: Pairs>(
        &self,
        step: &Step<'_, P>,
        thread: &ThreadId,
        early: bool,
    ) -> Result<Option<Spared>, EngineFault> {
        let row = step.index.thread(thread)?.ok_or(IndexFault::Damaged)?;
        let rows = step.index.events(thread)?;
        let case = Case::of(&rows).map_err(|_| IndexFault::Damaged)?;
        let standing = case.standing(&self.rules, step.now).map_err(|_| IndexFault::Damaged)?;
        if let Some(standing) = standing.filter(|standing| !case.is_void() && !standing.is_closed()) {
            return Ok(Some(Spared::NotEnded(standing.name().to_owned())));
        }
        let procedure = ProcedureCode::parse(&row.procedure).map_err(|_| IndexFault::Damaged)?;
        let kept = self.rules.retention(&procedure).map(|rule| kept_until(Time(row.ended_ms), rule));
        match kept {
            Some(until) if early || until <= step.now => {}
            None if early => {}
            Some(until) => return Ok(Some(Spared::TooEarly(day(until)))),
            None => return Ok(Some(Spared::TooEarly("not limited by the rules".to_owned()))),
        }
        Ok(self.owed_in(step, &rows)?.map(Spared::Owed))
    }

    /// A Party that owes an answer to an act of this thread, or is owed one by us.
    fn owed_in<P: Pairs>(&self, step: &Step<'_, P>, rows: &[EventRow]) -> Result<Option<PartyCode>, EngineFault> {
        let party = |code: &str| PartyCode::parse(code).map_err(|_| IndexFault::Damaged);
        for row in rows {
            let event = EventId::from_slice(&row.event_id).map_err(|_| IndexFault::Damaged)?;
            if row.author != self.us.party.as_str() {
                let waits = self.answers.values().flatten().any(|(_, waiting, _)| *waiting == event);
                if waits || row.lost {
                    return Ok(Some(party(&row.author)?));
                }
                continue;
            }
            for to in &row.recipients {
                let to = party(to)?;
                if step.index.answer(&event, &to)?.is_none() {
                    return Ok(Some(to));
                }
            }
        }
        Ok(None)
    }

    /// True while something of the thread is on its way to the disk.
    fn is_acting(&self, thread: &ThreadId) -> bool {
        let stating = |job: &Job| matches!(job, Job::Custody(stating) if stating.thread == *thread);
        self.busy.contains_key(thread) || self.jobs.values().any(stating)
    }

    /// True from the decision to erase until its intent is on disk and the index says so.
    pub(super) fn is_intending(&self, request: &RequestId) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Intend(intending) if intending.request == *request))
    }

    fn intend<P>(&mut self, step: &mut Step<'_, P>, ticket: Ticket, wanted: &Erase, threads: Vec<ThreadId>) {
        threads.iter().for_each(|thread| self.occupy(*thread));
        let (trust, us) = (self.trust.clone(), self.us.clone());
        let ground = wanted.ground.to_string();
        let moment = self.moment(&trust, step);
        let record = erasure(&moment, (&us.party, &us.origin), wanted.request, &ground, None);
        let intent = Digest::from_slice(&record.node.record_id).expect("a record id is a digest");
        let begun = Begun { intent, ground, waiting: vec![ticket], again: None };
        let intending = Intending { request: wanted.request, threads, begun };
        self.append(step, Job::Intend(Box::new(intending)), record);
    }

    /// From here on there is no way back. Who waited for the threads is told so.
    pub(super) fn intent_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        intending: Intending,
    ) -> Result<(), EngineFault> {
        let Intending { request, threads, begun } = intending;
        self.erasures.insert(request, begun);
        self.destroy(step, request);
        for thread in threads {
            self.clocks_changed(step, &thread)?;
            self.release(step, &thread)?;
        }
        Ok(())
    }

    pub(super) fn intent_failed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        intending: Intending,
        code: &'static str,
    ) -> Result<(), EngineFault> {
        let refused = not_done(code, "the erasure was not begun and nothing was erased; see: comity explain");
        let waiting = intending.begun.waiting.iter();
        step.out.extend(waiting.map(|ticket| Output::Erased(*ticket, Err(refused.clone()))));
        intending.threads.iter().try_for_each(|thread| self.release(step, thread))
    }

    fn destroy<P>(&mut self, step: &mut Step<'_, P>, request: RequestId) {
        let job = self.job(Job::Destroy(request));
        step.out.push(Output::Destroy { job, request });
    }

    pub(super) fn on_destroyed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        destroyed: Result<(), &'static str>,
    ) -> Result<(), EngineFault> {
        let Job::Destroy(request) = self.take_job(id)? else { return Err(EngineFault::UnknownJob(id)) };
        if let Err(code) = destroyed {
            self.put_off(step, &request, code);
            return Ok(());
        }
        let begun = self.erasures.get(&request).ok_or(EngineFault::UnknownJob(id))?;
        let (intent, ground) = (begun.intent, begun.ground.clone());
        let (trust, us) = (self.trust.clone(), self.us.clone());
        let moment = self.moment(&trust, step);
        let record = erasure(&moment, (&us.party, &us.origin), request, &ground, Some(&intent));
        self.append(step, Job::Erase(request), record);
        Ok(())
    }

    /// It is not lost: whoever waits is told so, and it is tried again.
    pub(super) fn put_off<P>(&mut self, step: &mut Step<'_, P>, request: &RequestId, code: &'static str) {
        let Some(begun) = self.erasures.get_mut(request) else { return };
        begun.again = Some(step.now.plus_ms(AGAIN_MS));
        let detail =
            "the erasure has begun and is not done yet; it goes on by itself, and at each start; see: comity explain";
        let waiting = std::mem::take(&mut begun.waiting).into_iter();
        step.out.extend(waiting.map(|ticket| Output::Erased(ticket, Err(not_done(code, detail)))));
    }

    pub(super) fn erasure_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        request: &RequestId,
    ) -> Result<(), EngineFault> {
        let row = step.index.erasure(request)?.ok_or(IndexFault::Damaged)?;
        let waiting = self.erasures.remove(request).map(|begun| begun.waiting).unwrap_or_default();
        step.out.extend(waiting.into_iter().map(|ticket| Output::Erased(ticket, Ok(row.clone()))));
        Ok(())
    }

    /// Takes up what was interrupted or put off. A wait beyond the longest was planned before the clock was set back.
    pub(super) fn go_on_erasing<P>(&mut self, step: &mut Step<'_, P>) {
        let now = step.now;
        let is_due = |at: Time| at <= now || at > now.plus_ms(AGAIN_MS);
        let due = self
            .erasures
            .iter_mut()
            .filter_map(|(request, begun)| begun.again.take_if(|at| is_due(*at)).map(|_| *request));
        for request in due.collect::<Vec<_>>() {
            self.destroy(step, request);
        }
    }

    pub(super) fn erase_again(&self) -> Option<Time> {
        self.erasures.values().filter_map(|begun| begun.again).min()
    }
}
