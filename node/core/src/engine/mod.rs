//! The single state machine of a node.
//!
//! [`Engine::step`] takes one [`Input`] with the present time and fresh entropy and gives back
//! [`Output`]s: append, sign, seal, deliver, answer, reply, wake. Nothing else moves it, and it
//! moves nothing itself. *Append first, speak second*: a delivery, an answer to a peer and a reply
//! to an operator are only put out once their records are on disk ([`Appended`]) and, towards
//! peers, covered by a signed checkpoint.
//!
//! One act of a thread is decided at a time; what arrives meanwhile waits in a short queue, so that
//! every act is judged against all that the ledger holds of its thread. `own` makes our events,
//! `custody` our statements about evidence, `erasure` lets go of requests and `hold` keeps them from it, `eyes` asks whether
//! enough officers have approved, `roster` takes in what is signed about Parties, `arrival` judges the events of peers, `exchange` keeps debts and answers moving.
//!
//! What a crash leaves: only what was appended. Jobs, queues and the outbox plan are forgotten;
//! commands are answered again by their id, deliveries by their event id, debts from the index.

mod arrival;
mod custody;
mod erasure;
mod exchange;
mod eyes;
mod hold;
mod own;
mod roster;

pub use custody::{Custody, release_command, verify_command};
pub use erasure::Erase;
pub use eyes::{ERASURE_STEP, ToApprove, erasure_body, erasure_command};
pub use hold::Hold;
pub use own::CLOCK_BEHIND_MS_MAX;
pub use roster::Change;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rand_core::{Rng as _, SeedableRng as _};

use crate::{
    crypto::PublicKey,
    event::{BodySecret, Delivery, EventFault, PeerAnswer, Returned, Verified},
    ids::{
        AuthorityId, Digest, EventId, LedgerIndex, Origin, PartyCode, ProcedureCode, RequestId, StepCode, ThreadId,
        Time,
    },
    index::{Index, IndexFault, Pairs},
    ledger::Appended,
    officer::{Roll, Signed},
    outbox::Outbox,
    profile::{Book, Document, News, Trust},
    proto::{self, ErasureRow, Lane, RecordKind, Signature},
    record::{Moment, Record},
    rules::{Code, Rules},
};

/// What waits for a thread that is busy: a peer's whole window and some commands.
const WAITING_MAX: usize = 2 * crate::outbox::WINDOW;
/// Jobs under way at once: each holds at most one envelope of 1 MiB.
const JOBS_MAX: usize = 1024;
/// A full disk wants a person: a peer need not come back at once.
const NOT_RECORDED_RETRY_MS: u32 = 10_000;

/// Names a job of the engine in what comes back to it.
pub type JobId = u64;
/// Names whoever waits for a reply or an answer; given by the driver.
pub type Ticket = u64;

/// An act an operator or a national system wants done.
#[derive(Clone)]
pub struct Act {
    /// Client-made: carrying the same command out twice has one effect.
    pub command_id: [u8; 16],
    /// The request; new if no thread of it is here.
    pub request: RequestId,
    /// The other members, when the act opens the request.
    pub recipients: BTreeSet<PartyCode>,
    /// The kind of demand.
    pub procedure: ProcedureCode,
    /// The act.
    pub step: StepCode,
    /// Which of our authorities acts.
    pub authority: AuthorityId,
    /// The contents of the step's form.
    pub body: proto::Body,
    /// How urgent its delivery is.
    pub lane: Lane,
    /// What officers have said of it; none where one suffices.
    pub approvals: Vec<Signed>,
}

/// What moves the engine. It holds contents of cases, so it has no `Debug`.
pub enum Input {
    /// An operator's act.
    Command(Ticket, Box<Act>),
    /// A custody statement of the evidence room.
    Custody(Ticket, Box<Custody>),
    /// A peer's delivery, checked and opened by a worker.
    Arrived(Ticket, Box<Arrival>),
    /// An event of our own that a peer gives back, checked and opened by a worker.
    Returned(Ticket, Box<Returning>),
    /// A document of charter or Parties, from wherever it came.
    Document(Ticket, Vec<u8>),
    /// An operator wants a request erased.
    Erase(Ticket, Box<Erase>),
    /// Keys of a request, and whatever of it lies outside the ledger, are destroyed; or not yet, with the stable code of the
    /// reason.
    Destroyed(JobId, Result<(), &'static str>),
    /// An operator wants a request held back from erasure for this reason, or, without one, released.
    Hold(Ticket, RequestId, Option<Code>),
    /// A hold or its release is on disk; or not, with the stable code of the reason.
    HoldKept(JobId, Result<(), &'static str>),
    /// A roll of this Party's officers, from wherever it came.
    Roll(Ticket, Vec<u8>),
    /// A roll is on disk; or not, with the stable code of the reason.
    RollKept(JobId, Result<(), &'static str>),
    /// A peer's answer, checked by a worker.
    Answered(PartyCode, EventId, Box<Verified<PeerAnswer>>),
    /// A body was sealed, or could not be.
    Sealed(JobId, Option<(Vec<u8>, BodySecret)>),
    /// A message was signed, or could not be.
    Signed(JobId, Option<Vec<Signature>>),
    /// A record is on disk and the index follows it.
    Appended(JobId, Appended),
    /// All records put out and not yet on disk could not be appended (disk full, read-only): nothing of
    /// them was written. With the stable code of the reason.
    NotAppended(Vec<JobId>, &'static str),
    /// A checkpoint of this size is signed.
    CheckpointSigned(u64),
    /// A checkpoint could not be kept now.
    CheckpointFailed,
    /// The peers were asked, and none holds more of this ledger than is here: it may grow beyond what was signed.
    Vouched,
    /// The link could not take a delivery now.
    LinkBusy(PartyCode, EventId),
    /// A peer is reachable.
    Up(PartyCode),
    /// A peer is gone.
    Down(PartyCode),
    /// Time has passed.
    Tick,
}

/// A peer's event with what its body opened to.
#[derive(Clone)]
pub struct Arrival {
    /// The delivery, every part of it checked.
    pub delivery: Verified<Delivery>,
    /// The body and its secret, or why it did not open.
    pub opened: Result<(BodySecret, proto::Body), EventFault>,
}

/// An event of our own, as a peer gives it back, with what its body opened to.
#[derive(Clone)]
pub struct Returning {
    /// The event and the peer's receipt for it.
    pub returned: Verified<Returned>,
    /// What opens the body.
    pub secret: BodySecret,
    /// The body.
    pub body: proto::Body,
}

/// What must happen.
pub enum Output {
    /// Seal this body to these keys, bound to this digest.
    Seal {
        /// Comes back in `Sealed`.
        job: JobId,
        /// The canonical body.
        plaintext: Vec<u8>,
        /// What it is bound to.
        binding: Digest,
        /// The members' seal keys.
        recipients: Vec<PublicKey>,
        /// Fresh entropy for the secret and the wraps.
        entropy: [u8; 32],
    },
    /// Sign this with both record keys.
    Sign {
        /// Comes back in `Signed`.
        job: JobId,
        /// The pre-authentication encoding.
        message: Vec<u8>,
    },
    /// Append this record; records are appended in the order they are put out.
    Append {
        /// Comes back in `Appended` or `NotAppended`.
        job: JobId,
        /// The record.
        record: Box<Record>,
    },
    /// Sign a checkpoint of the ledger at this size.
    SignCheckpoint(u64),
    /// Deliver this event under our newest checkpoint.
    Deliver(PartyCode, crate::outbox::Due),
    /// Answer a delivery.
    Answer(Ticket, EventId, Reply),
    /// Reply to a command.
    Reply(Ticket, Result<Done, NotDone>),
    /// Destroy the keys of this request, and whatever of it lies outside the ledger. Done twice it is done once.
    Destroy {
        /// Comes back in `Destroyed`.
        job: JobId,
        /// The request, whose intent is on disk.
        request: RequestId,
    },
    /// What became of an erasure: what stands in the ledger of it, once all of it is done.
    Erased(Ticket, Result<ErasureRow, NotDone>),
    /// Keep this hold, or forget the one there is.
    KeepHold {
        /// Comes back in `HoldKept`.
        job: JobId,
        /// The request.
        request: RequestId,
        /// What is to stand of it.
        hold: Option<Hold>,
    },
    /// What became of a hold or release: what stands of it now.
    Held(Ticket, Result<Option<Hold>, NotDone>),
    /// Keep this roll in place of the one there is.
    KeepRoll {
        /// Comes back in `RollKept`.
        job: JobId,
        /// As it came.
        envelope: Vec<u8>,
    },
    /// What became of a roll: its number, once it counts.
    Rolled(Ticket, Result<u64, NotDone>),
    /// What became of a document.
    Documented(Ticket, Result<News, NotDone>),
    /// More is known of charter and Parties from now on.
    Trust(Box<Change>),
    /// A document contradicts what is known, and is on disk as proof of a fork: the peers are to see it too.
    Contradicted(Box<Document>, Arc<[u8]>),
    /// Tell people.
    Notify(Notice),
    /// Step again at this time at the latest.
    WakeAt(Time),
}

/// What a peer is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The receipt for the record at this place.
    Receipt(LedgerIndex),
    /// The refusal recorded at this place.
    Refusal(LedgerIndex),
    /// Its request was erased here.
    Erased,
    /// Nothing was recorded.
    Retry {
        /// Why.
        code: &'static str,
        /// When to try again, at the earliest.
        after_ms: u32,
    },
}

/// What a command has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The event.
    pub event: EventId,
    /// Its thread.
    pub thread: ThreadId,
    /// Where it stands in our ledger.
    pub index: LedgerIndex,
    /// True if it was done before, under the same command id: by this command sent again, or by another act.
    pub before: bool,
}

impl Done {
    /// What a command did before, if it did.
    ///
    /// # Errors
    /// When the index does not answer, or not with what belongs together.
    pub fn before<P: Pairs>(index: &Index<P>, command: &[u8; 16]) -> Result<Option<Self>, IndexFault> {
        let Some(event) = index.command(command)? else { return Ok(None) };
        let seen = index.seen(&event)?.ok_or(IndexFault::Damaged)?;
        let thread = ThreadId::from_slice(&seen.thread_id).map_err(|_| IndexFault::Damaged)?;
        Ok(Some(Self { event, thread, index: LedgerIndex(seen.index), before: true }))
    }
}

/// Why a command was not done. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDone {
    /// The stable code.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// What is wrong in each field of the form: (field, code, what to do).
    pub fields: Vec<(String, &'static str, String)>,
    /// What officers must approve first, if it is for them to let it be done.
    pub wanted: Option<Box<ToApprove>>,
}

/// What people should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A part of a clock has run.
    Clock {
        /// In which thread.
        thread: ThreadId,
        /// Which rule.
        rule: String,
        /// 50, 80, 95, or 100 when it has ended.
        percent: u8,
        /// When that was.
        at: Time,
    },
}

/// Why the engine cannot go on. The node stops; the next start replays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineFault {
    /// The index failed.
    #[error("engine.index: the node stops; {0}")]
    Index(#[from] IndexFault),
    /// Something came back that was never asked for.
    #[error("engine.unknown-job: the node stops; job {0} came back twice or was never given; report this as a bug")]
    UnknownJob(JobId),
}

impl EngineFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Index(fault) => fault.code(),
            Self::UnknownJob(_) => "engine.unknown-job",
        }
    }
}

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The Party it speaks for.
    pub party: PartyCode,
    /// Its ledger.
    pub origin: Origin,
}

/// Something that waits for its thread.
enum Waiting {
    Command(Ticket, Box<Act>),
    Arrival(Ticket, Box<Arrival>),
    Returned(Ticket, Box<Returning>),
}

/// What a job is for and how far it is.
enum Job {
    Own(Box<own::Own>),
    /// An event of a peer, or one of ours that was given back.
    Receive {
        ticket: Ticket,
        event: EventId,
        thread: ThreadId,
        kind: RecordKind,
    },
    Refuse(Box<arrival::Refuse>),
    Settle {
        peer: PartyCode,
        event: EventId,
    },
    Custody(Box<custody::Stating>),
    Document(Box<roster::Entering>),
    Intend(Box<erasure::Intending>),
    Destroy(RequestId),
    Erase(RequestId),
    Hold(Box<hold::Holding>),
    Roll(Box<eyes::Rolling>),
}

/// The state machine. One task owns it.
pub struct Engine {
    us: Identity,
    book: Book,
    /// What the book says, for all who ask.
    trust: Arc<Trust>,
    /// Documents that wait for the one before them.
    offered: VecDeque<roster::Offered>,
    rules: Arc<Rules>,
    outbox: Outbox,
    jobs: BTreeMap<JobId, Job>,
    next_job: JobId,
    busy: BTreeMap<ThreadId, VecDeque<Waiting>>,
    /// By the event they wait for.
    early: BTreeMap<EventId, Vec<arrival::Early>>,
    commands: BTreeSet<[u8; 16]>,
    erasures: erasure::Erasures,
    holds: BTreeMap<RequestId, Hold>,
    roll: Option<Arc<Roll>>,
    numbers: BTreeMap<(PartyCode, i32), u64>,
    last_recorded: Time,
    size: u64,
    signed: u64,
    signing: bool,
    /// Until the peers were asked what they hold of this ledger, nothing larger is signed than was before.
    limit: Option<u64>,
    sign_after: Time,
    answers: BTreeMap<LedgerIndex, Vec<(Ticket, EventId, RecordKind)>>,
    alarms: BTreeSet<(Time, ThreadId)>,
    alarm_of: BTreeMap<ThreadId, Time>,
    alarmed: Time,
}

/// One step: the present, entropy, the index, and what is to be put out.
struct Step<'i, P> {
    now: Time,
    rng: rand_chacha::ChaCha20Rng,
    index: &'i Index<P>,
    out: Vec<Output>,
}

impl<P> Step<'_, P> {
    fn fresh<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

impl Engine {
    /// An engine over a ledger, which the index follows. `alarmed` is the time up to which clock alarms were raised before,
    /// `signed` the size of the largest checkpoint that was signed as far as is known here: a restored ledger may have signed
    /// more, so nothing larger is before [`Input::Vouched`].
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn open<P: Pairs>(
        us: Identity,
        book: Book,
        rules: Arc<Rules>,
        index: &Index<P>,
        alarmed: Time,
        signed: u64,
    ) -> Result<Self, EngineFault> {
        let (size, last_recorded) = index.applied()?;
        let mut engine = Self {
            us,
            trust: Arc::new(book.trust()),
            book,
            offered: VecDeque::new(),
            rules,
            outbox: Outbox::default(),
            jobs: BTreeMap::new(),
            next_job: 1,
            busy: BTreeMap::new(),
            early: BTreeMap::new(),
            commands: BTreeSet::new(),
            erasures: erasure::interrupted(index)?,
            holds: BTreeMap::new(),
            roll: None,
            numbers: BTreeMap::new(),
            last_recorded,
            size,
            signed: 0,
            signing: false,
            limit: Some(signed),
            sign_after: Time(0),
            answers: BTreeMap::new(),
            alarms: BTreeSet::new(),
            alarm_of: BTreeMap::new(),
            alarmed,
        };
        engine.load_alarms(index)?;
        Ok(engine)
    }

    /// Takes one input. The same engine, time, entropy, input and index give the same outputs.
    ///
    /// # Errors
    /// Only when the node cannot go on.
    pub fn step<P: Pairs>(
        &mut self,
        now: Time,
        entropy: [u8; 32],
        input: Input,
        index: &Index<P>,
    ) -> Result<Vec<Output>, EngineFault> {
        let rng = rand_chacha::ChaCha20Rng::from_seed(entropy);
        let mut step = Step { now, rng, index, out: Vec::new() };
        match input {
            Input::Command(ticket, act) => self.on_command(&mut step, ticket, act)?,
            Input::Custody(ticket, wanted) => self.on_custody(&mut step, ticket, &wanted)?,
            Input::Arrived(ticket, arrival) => self.on_arrived(&mut step, ticket, arrival)?,
            Input::Returned(ticket, returning) => self.on_returned(&mut step, ticket, returning)?,
            Input::Document(ticket, envelope) => self.on_document(&mut step, ticket, envelope)?,
            Input::Erase(ticket, wanted) => self.on_erase(&mut step, ticket, &wanted)?,
            Input::Destroyed(job, destroyed) => self.on_destroyed(&mut step, job, destroyed)?,
            Input::Hold(ticket, request, reason) => self.on_hold(&mut step, ticket, request, reason)?,
            Input::HoldKept(job, kept) => self.on_hold_kept(&mut step, job, kept)?,
            Input::Roll(ticket, envelope) => self.on_roll(&mut step, ticket, envelope),
            Input::RollKept(job, kept) => self.on_roll_kept(&mut step, job, kept)?,
            Input::Answered(peer, event, answer) => self.on_answered(&mut step, &peer, &event, answer.into_inner())?,
            Input::Sealed(job, sealed) => self.on_sealed(&mut step, job, sealed)?,
            Input::Signed(job, signatures) => self.on_signed(&mut step, job, signatures)?,
            Input::Appended(job, appended) => self.on_appended(&mut step, job, &appended)?,
            Input::NotAppended(jobs, code) => self.on_not_appended(&mut step, jobs, code)?,
            Input::CheckpointFailed => self.on_checkpoint_failed(now),
            Input::Vouched => self.limit = None,
            Input::CheckpointSigned(size) => self.on_checkpoint_signed(&mut step, size)?,
            Input::LinkBusy(peer, event) => self.outbox.retry(&peer, &event, 0, now),
            Input::Up(peer) => self.on_up(&mut step, &peer)?,
            Input::Down(peer) => self.outbox.down(&peer),
            Input::Tick => self.on_tick(&mut step)?,
        }
        self.sign_checkpoint(&mut step);
        self.wake(&mut step);
        Ok(step.out)
    }

    /// Deliveries, jobs and waiting threads under way: for status and tests.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.jobs.len() + self.answers.len()
    }

    fn job(&mut self, job: Job) -> JobId {
        let id = self.next_job;
        self.next_job += 1;
        self.jobs.insert(id, job);
        id
    }

    fn take_job(&mut self, id: JobId) -> Result<Job, EngineFault> {
        self.jobs.remove(&id).ok_or(EngineFault::UnknownJob(id))
    }

    fn append<P>(&mut self, step: &mut Step<'_, P>, job: Job, record: Record) {
        let job = self.job(job);
        step.out.push(Output::Append { job, record: Box::new(record) });
    }

    /// The time of record: never earlier than the record before (the index orders equals).
    fn record_time(&mut self, now: Time) -> Time {
        self.last_recorded = self.last_recorded.max(now);
        self.last_recorded
    }

    fn moment<'t, P>(&mut self, trust: &'t Trust, step: &mut Step<'_, P>) -> Moment<'t> {
        Moment { trust, recorded: self.record_time(step.now), salt: step.fresh() }
    }

    /// Marks a thread busy; whoever asks has seen that it is free.
    fn occupy(&mut self, thread: ThreadId) {
        self.busy.entry(thread).or_default();
    }

    /// Puts something behind a busy thread, or gives it back when there is no room.
    fn wait(&mut self, thread: &ThreadId, waiting: Waiting) -> Result<(), Waiting> {
        match self.busy.get_mut(thread) {
            Some(queue) if queue.len() < WAITING_MAX && self.jobs.len() < JOBS_MAX => {
                queue.push_back(waiting);
                Ok(())
            }
            Some(_) | None => Err(waiting),
        }
    }

    /// The thread is free again: what waited is taken up in order until it is busy once more.
    fn release<P: Pairs>(&mut self, step: &mut Step<'_, P>, thread: &ThreadId) -> Result<(), EngineFault> {
        let mut queue = self.busy.remove(thread).unwrap_or_default();
        while let Some(waiting) = queue.pop_front() {
            match waiting {
                Waiting::Command(ticket, act) => self.on_command(step, ticket, act)?,
                Waiting::Arrival(ticket, arrival) => self.on_arrived(step, ticket, arrival)?,
                Waiting::Returned(ticket, returning) => self.on_returned(step, ticket, returning)?,
            }
            if let Some(busy) = self.busy.get_mut(thread) {
                busy.append(&mut queue);
                break;
            }
        }
        Ok(())
    }

    fn on_signed<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        signatures: Option<Vec<Signature>>,
    ) -> Result<(), EngineFault> {
        match (self.take_job(id)?, signatures) {
            (Job::Own(own), Some(signatures)) => self.own_signed(step, *own, signatures),
            (Job::Own(own), None) => self.own_failed(step, *own, "keys.signing-failed"),
            (Job::Refuse(refuse), Some(signatures)) => {
                self.refusal_signed(step, *refuse, signatures);
                Ok(())
            }
            (Job::Refuse(refuse), None) => self.refusal_failed(step, *refuse),
            (Job::Custody(stating), Some(signatures)) => {
                self.custody_signed(step, *stating, signatures);
                Ok(())
            }
            (Job::Custody(stating), None) => {
                self.custody_failed(step, &stating, "keys.signing-failed");
                Ok(())
            }
            (
                Job::Receive { .. }
                | Job::Settle { .. }
                | Job::Document(_)
                | Job::Intend(_)
                | Job::Destroy(_)
                | Job::Erase(_)
                | Job::Hold(_)
                | Job::Roll(_),
                _,
            ) => Err(EngineFault::UnknownJob(id)),
        }
    }

    fn on_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        id: JobId,
        appended: &Appended,
    ) -> Result<(), EngineFault> {
        self.size = self.size.max(appended.size());
        let index = appended.index();
        match self.take_job(id)? {
            Job::Own(own) => self.own_appended(step, *own, index)?,
            Job::Receive { ticket, event, thread, kind } => {
                self.owe_answer(index, ticket, event, kind);
                self.clocks_changed(step, &thread)?;
                self.parent_came(&event, thread);
                self.release(step, &thread)?;
            }
            Job::Refuse(refuse) => {
                self.owe_answer(index, refuse.ticket, refuse.event, RecordKind::RefusalGiven);
                self.parent_came(&refuse.event, refuse.thread);
                self.release(step, &refuse.thread)?;
            }
            Job::Settle { peer, event } => {
                self.outbox.settled(&peer, &event, true);
                self.pump(step, &peer)?;
            }
            Job::Custody(stating) => self.custody_appended(step, &stating, index),
            Job::Document(entering) => self.document_appended(step, *entering)?,
            Job::Intend(intending) => self.intent_appended(step, *intending)?,
            Job::Erase(request) => self.erasure_appended(step, &request)?,
            Job::Destroy(_) | Job::Hold(_) | Job::Roll(_) => return Err(EngineFault::UnknownJob(id)),
        }
        Ok(())
    }

    /// Not recorded: all numbers given out since the last record on disk are taken back at once, and
    /// whoever waits is told to try again. No number is given out before this returns.
    fn on_not_appended<P: Pairs>(
        &mut self,
        step: &mut Step<'_, P>,
        jobs: Vec<JobId>,
        code: &'static str,
    ) -> Result<(), EngineFault> {
        self.numbers.clear();
        jobs.into_iter().try_for_each(|job| self.give_up(step, job, code))
    }

    fn give_up<P: Pairs>(&mut self, step: &mut Step<'_, P>, id: JobId, code: &'static str) -> Result<(), EngineFault> {
        match self.take_job(id)? {
            Job::Own(own) => self.own_failed(step, *own, code)?,
            Job::Receive { ticket, event, thread, .. } => {
                let later = Reply::Retry { code, after_ms: NOT_RECORDED_RETRY_MS };
                step.out.push(Output::Answer(ticket, event, later));
                self.release(step, &thread)?;
            }
            Job::Refuse(refuse) => self.refusal_failed(step, *refuse)?,
            Job::Settle { peer, event } => self.outbox.settled(&peer, &event, false),
            Job::Custody(stating) => self.custody_failed(step, &stating, code),
            Job::Document(entering) => self.document_failed(step, &entering, code)?,
            Job::Intend(intending) => self.intent_failed(step, *intending, code)?,
            Job::Erase(request) => self.put_off(step, &request, code),
            Job::Destroy(_) | Job::Hold(_) | Job::Roll(_) => return Err(EngineFault::UnknownJob(id)),
        }
        Ok(())
    }
}
