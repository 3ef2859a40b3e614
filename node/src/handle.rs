//! What the rest of the house may ask of a running node: act, and look.
//!
//! A handle is small and cloned freely. Acts go through the engine's bounded queue and come back
//! once they are on disk; looks read the ledger, the index and the desk directly and never wait for
//! the engine. It decides nothing. What lies on the desk and several rooms look at is in `kept`, and
//! what waits there for officers in `eyes`; what of that was withdrawn, in `withdrawn`.

mod eyes;
mod kept;
mod withdrawn;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use comity_core::{
    case::Case,
    clock::{ended_long_ago, kept_until},
    engine::{Act, Custody, Done, Erase, Hold, Identity, NotDone},
    event::{Header, open_body},
    ids::{AuthorityId, EventId, KeyId, LedgerIndex, PartyCode, ProcedureCode, RequestId, ThreadId, Time},
    index::{Index, IndexFault},
    ledger::{Context, Fork},
    procedure::{Delivery, DeliveryState},
    profile::{Doubt, News, Trust},
    proto::{self, ErasureRow, EventRow, RecordKind, ThreadRow},
    rules::{Code, Rules},
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub(crate) use eyes::{APPROVAL_PREFIX, keep_roll, prepared_contents};
pub use eyes::{EyesFault, Owed, approvals_of, kept_roll, owed, prepared, prepared_as};
pub use kept::{Alarm, DRAFT_PREFIX, hold_of, kept_alarms, kept_holds, last_backup};
pub(crate) use kept::{BACKUP_PREFIX, hold_key, hold_value, keep_last_backup};
pub use withdrawn::{Claim, REASON_BYTES_MAX, withdrawn, withdrawn_as};
pub(crate) use withdrawn::{Eyes, WITHDRAWN_PREFIX, withdrawn_in};

use crate::audit::Audit;
use crate::conduct::Conduct;
use crate::keys::{Held, KeyEncryption};
use crate::store::{Damage, Desk, Ledger, SledPairs, StoreFault, StoredRecord};

/// Ended threads of a procedure looked at for those that need not be kept: ten years of a large office.
const ENDED_MAX: usize = 100_000;
/// Commands waiting for the engine: an office types slower than this by far.
pub const COMMANDS_MAX: usize = 256;

/// A command on its way to the engine, with the way back.
pub enum Command {
    /// An act in a thread.
    Act(Box<Act>, Reply<Done>),
    /// A custody statement about evidence held here.
    Custody(Box<Custody>, Reply<Done>),
    /// A document of charter or Parties.
    Document(Vec<u8>, Reply<News>),
    /// What the peers say of our ledger: that they hold no more of it than is here, or what is wrong with it.
    LedgerKnown(Result<(), Damage>),
    /// An erasure.
    Erase(Box<Erase>, Reply<ErasureRow>),
    /// A hold for this reason, or a release.
    Hold(RequestId, Option<Code>, Reply<Option<Hold>>),
    /// A roll of this Party's officers.
    Roll(Vec<u8>, Reply<u64>),
}

/// Where the result of a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, NotDone>>;

/// Documents handed to the engine at once: each may have four MiB.
const DOCUMENTS_MAX: usize = 4;

/// A hand-over of evidence as its thread has it.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// The request.
    pub request: RequestId,
    /// Its procedure.
    pub procedure: ProcedureCode,
    /// The Party that hands over.
    pub giver: PartyCode,
    /// The authority of the giver that signed it.
    pub giver_authority: AuthorityId,
    /// The Party that takes.
    pub taker: PartyCode,
    /// The authority of the taker that accepted the terms, once it has.
    pub taker_authority: Option<AuthorityId>,
    /// What is handed over, and how far that is.
    pub delivery: Delivery,
}

/// What is known of a peer now.
#[derive(Debug, Clone, Default)]
pub struct PeerStatus {
    /// Whether a link is up.
    pub up: bool,
    /// Where it is, or was tried last.
    pub address: String,
    /// Whether the link's keys were exchanged with X25519MLKEM768.
    pub hybrid: bool,
    /// Since when the link is as it is.
    pub since: Time,
    /// Why it is down: a `net.*` code.
    pub why: &'static str,
    /// Emergencies of this peer beyond its budget, treated as ordinary ones.
    pub demoted: u64,
}

/// How the ledgers of this network stand with their witnesses, as far as this node has proof of it.
#[derive(Debug, Clone, Default)]
pub struct Witnessing {
    /// Our newest checkpoint that as many witnesses cosigned as the charter demands; none before the first, and where it
    /// demands none.
    pub own: Option<OwnWitnessed>,
    /// The ledgers of others, by Party.
    pub peers: BTreeMap<PartyCode, PeerLedger>,
    /// Proofs that ledgers have forked.
    pub forks: Vec<Fork>,
}

/// Our ledger at one moment, with those who cosigned it.
#[derive(Debug, Clone)]
pub struct OwnWitnessed {
    /// Its size then.
    pub size: u64,
    /// The checkpoint with all signature lines.
    pub note: Arc<[u8]>,
    /// Who cosigned, and when by their own clocks.
    pub by: BTreeMap<PartyCode, Time>,
    /// How many must.
    pub quorum: usize,
}

/// What is proven here of another Party's ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerLedger {
    /// Its largest checkpoint that continues all that were seen of it.
    pub size: u64,
    /// Its largest that was witnessed as the charter demands.
    pub witnessed: u64,
    /// When that was reached; none before the first.
    pub since: Option<Time>,
    /// True if two of its checkpoints contradict each other.
    pub forked: bool,
    /// True if it showed fewer records when last asked than it has signed before.
    pub rolled_back: bool,
    /// Checkpoints that wait to be proven.
    pub unproven: usize,
}

/// What changes while a node runs.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Records on disk.
    pub size: u64,
    /// Records covered by our newest signed checkpoint.
    pub signed: u64,
    /// That checkpoint; empty before the first.
    pub note: Arc<[u8]>,
    /// The peers by Party.
    pub peers: BTreeMap<PartyCode, PeerStatus>,
    /// Strangers turned away.
    pub strangers: u64,
    /// Alarms of clocks raised since the start; a feed reader wakes on it.
    pub notices: u64,
    /// Documents of charter and Parties that changed something since the start.
    pub documents: u64,
}

/// The node as its other rooms see it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) view: Arc<View>,
    /// Places for documents on their way.
    documents: Arc<Semaphore>,
}

/// What can be looked at without the engine.
pub struct View {
    /// Who this node is.
    pub us: Identity,
    /// Who may do what, as it is known now.
    pub(crate) trust: RwLock<Arc<Trust>>,
    /// The law as data.
    pub rules: Arc<Rules>,
    /// The public halves of the keys it holds.
    pub keys: Vec<Held>,
    /// The generation of the key-encryption key that wraps what is new.
    pub key_encryption: Option<KeyEncryption>,
    /// The truth.
    pub ledger: Arc<Ledger>,
    /// Who was shown what and did what at this node.
    pub audit: Audit,
    /// What can be asked quickly about it.
    pub index: Index<SledPairs>,
    /// Drafts and what else must last but proves nothing.
    pub desk: Arc<Desk>,
    /// Whoever changes what waits for officers.
    pub(crate) eyes: Eyes,
    /// How ledgers stand with their witnesses.
    pub(crate) witnessing: RwLock<Arc<Witnessing>>,
    /// How the peers behave.
    pub conduct: Conduct,
    /// Where the settings say each Party's nodes are.
    pub addresses: BTreeMap<PartyCode, Vec<String>>,
    /// Where the node listens.
    pub listening: Vec<String>,
    /// When it started.
    pub started: Time,
    /// The data folder.
    pub data: PathBuf,
    /// Where the local API is served.
    pub api_socket: PathBuf,
}

/// An event of ours or of a peer with its contents.
pub struct Opened {
    /// Where it stands.
    pub index: LedgerIndex,
    /// The header.
    pub header: Header,
    /// The form's contents; nothing if its request is erased.
    pub body: Option<proto::Body>,
    /// What people must know of it beside that it holds: stable codes.
    pub marks: Vec<&'static str>,
}

impl Handle {
    pub(crate) fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Status>, view: Arc<View>) -> Self {
        Self { commands, status, view, documents: Arc::new(Semaphore::new(DOCUMENTS_MAX)) }
    }

    /// Does an act. Returns once it is on disk, or with the reason why it is not.
    ///
    /// # Errors
    /// With the engine's own reasons, or `engine.busy` / `engine.stopped`.
    pub async fn act(&self, act: Act) -> Result<Done, NotDone> {
        self.ask(|reply| Command::Act(Box::new(act), reply)).await
    }

    /// Signs a custody statement. Returns once it is on disk, or with the reason why it is not.
    ///
    /// # Errors
    /// As [`Self::act`].
    pub async fn state(&self, custody: Custody) -> Result<Done, NotDone> {
        self.ask(|reply| Command::Custody(Box::new(custody), reply)).await
    }

    /// Erases a request. Returns once its keys are destroyed and that is on record, or with the reason why not yet.
    ///
    /// # Errors
    /// As [`Self::act`].
    pub async fn erase(&self, erase: Erase) -> Result<ErasureRow, NotDone> {
        self.ask(|reply| Command::Erase(Box::new(erase), reply)).await
    }

    /// Holds a request back from erasure, or releases it. Returns once that is on disk, or with the reason why it is not.
    ///
    /// # Errors
    /// As [`Self::act`].
    pub async fn hold(&self, request: RequestId, reason: Option<Code>) -> Result<Option<Hold>, NotDone> {
        self.ask(|reply| Command::Hold(request, reason, reply)).await
    }

    /// Hands over a roll of this Party's officers. Returns its number once it is on disk and counts, or the reason why not.
    ///
    /// # Errors
    /// As [`Self::act`], and with the roll's own faults.
    pub async fn roll(&self, envelope: Vec<u8>) -> Result<u64, NotDone> {
        self.ask(|reply| Command::Roll(envelope, reply)).await
    }

    /// Hands over a document of charter or Parties. Returns once it is on disk and counts, or with the reason why not.
    ///
    /// # Errors
    /// As [`Self::act`], and with the document's own faults.
    pub async fn document(&self, envelope: Vec<u8>) -> Result<News, NotDone> {
        let _place = self.documents.acquire().await;
        self.ask(|reply| Command::Document(envelope, reply)).await
    }

    /// Tells the node what the peers say of its ledger. Nobody waits for what it does then; one that stops needs no news.
    pub(crate) async fn ledger_known(&self, known: Result<(), Damage>) {
        let _ = self.commands.send(Command::LedgerKnown(known)).await;
    }

    /// The peers to whom a link is up.
    pub(crate) fn connected(&self) -> Vec<PartyCode> {
        let status = self.status.borrow();
        status.peers.iter().filter(|(_, peer)| peer.up).map(|(party, _)| party.clone()).collect()
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NotDone> {
        let (reply, result) = oneshot::channel();
        let refused =
            |code, detail: &str| NotDone { code, detail: detail.to_owned(), fields: Vec::new(), wanted: None };
        self.commands.try_send(command(reply)).map_err(|fault| match fault {
            mpsc::error::TrySendError::Full(_) => {
                refused("engine.busy", "too many commands are waiting; try again in a moment")
            }
            mpsc::error::TrySendError::Closed(_) => refused("engine.stopped", "the node is stopping; start it again"),
        })?;
        result
            .await
            .unwrap_or_else(|_| Err(refused("engine.stopped", "the node stopped before it was done; ask again")))
    }

    /// What can be looked at.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What changes while the node runs; wait on it for news.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

impl View {
    /// Why nothing can be recorded, as a stable code, if nothing can.
    #[must_use]
    pub fn read_only(&self) -> Option<&'static str> {
        self.ledger.read_only().map(|damage| damage.code())
    }

    /// Who may do what, as it is known now.
    #[must_use]
    pub fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_trust(&self, trust: Arc<Trust>) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// How ledgers stand with their witnesses now.
    #[must_use]
    pub fn witnessing(&self) -> Arc<Witnessing> {
        Arc::clone(&self.witnessing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads one record.
    ///
    /// # Errors
    /// When it is not there or does not read.
    pub fn record(&self, index: LedgerIndex) -> Result<StoredRecord, StoreFault> {
        self.ledger.read(index)
    }

    /// Where a thread stands and its events in ledger order.
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn thread(&self, thread: &ThreadId) -> Result<Option<(ThreadRow, Vec<EventRow>)>, IndexFault> {
        let Some(row) = self.index.thread(thread)? else { return Ok(None) };
        Ok(Some((row, self.index.events(thread)?)))
    }

    /// Threads whose time of retention is over, with when that was, those of one procedure after those of another; at most `max`.
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn kept_long_enough(&self, now: Time, max: usize) -> Result<Vec<(ThreadId, ThreadRow, Time)>, IndexFault> {
        let mut found = Vec::new();
        for rule in self.rules.procedures().filter_map(|procedure| self.rules.retention(&procedure.code)) {
            for (ended, thread) in self.index.ended(&rule.procedure, ended_long_ago(now, rule), ENDED_MAX)? {
                let until = kept_until(ended, rule);
                if found.len() == max {
                    return Ok(found);
                }
                if until <= now {
                    found.push((thread, self.index.thread(&thread)?.ok_or(IndexFault::Damaged)?, until));
                }
            }
        }
        Ok(found)
    }

    /// All hand-overs of a request, in the order of its thread.
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn hand_overs(&self, request: &RequestId, now: Time) -> Result<Vec<HandOver>, IndexFault> {
        let mut found = Vec::new();
        for thread in self.index.threads_of(request)? {
            found.extend(self.hand_overs_in(&thread, now)?);
        }
        Ok(found)
    }

    /// The hand-over an event made, if it made one that still stands in its thread.
    ///
    /// # Errors
    /// When the index does not answer.
    pub fn hand_over(&self, event: &EventId, now: Time) -> Result<Option<HandOver>, IndexFault> {
        let Some(seen) = self.index.seen(event)? else { return Ok(None) };
        let Ok(thread) = ThreadId::from_slice(&seen.thread_id) else { return Ok(None) };
        Ok(self.hand_overs_in(&thread, now)?.into_iter().find(|found| found.delivery.event == *event))
    }

    fn hand_overs_in(&self, thread: &ThreadId, now: Time) -> Result<Vec<HandOver>, IndexFault> {
        let Some((row, events)) = self.thread(thread)? else { return Ok(Vec::new()) };
        let damaged = |_| IndexFault::Damaged;
        let case = Case::of(&events).map_err(damaged)?;
        let standing = case.standing(&self.rules, now).map_err(|_| IndexFault::Damaged)?;
        let deliveries = standing.iter().flat_map(|standing| standing.deliveries().iter().cloned());
        let signer = |id: &EventId| events.iter().find(|row| row.event_id == id.as_bytes());
        let read = |delivery: Delivery| {
            let by = signer(&delivery.event).ok_or(IndexFault::Damaged)?;
            let accepted = match &delivery.state {
                DeliveryState::TermsAccepted { acceptance } => signer(acceptance),
                DeliveryState::InCustody { event, .. } => signer(event),
                DeliveryState::Offered | DeliveryState::Disputed { .. } | DeliveryState::Replaced { .. } => None,
            };
            let taker = row.members.iter().find(|member| **member != by.author).ok_or(IndexFault::Damaged)?;
            Ok(HandOver {
                request: RequestId::from_slice(&row.request_id).map_err(damaged)?,
                procedure: ProcedureCode::parse(&row.procedure).map_err(damaged)?,
                giver: PartyCode::parse(&by.author).map_err(damaged)?,
                giver_authority: AuthorityId::parse(&by.authority).map_err(damaged)?,
                taker: PartyCode::parse(taker).map_err(damaged)?,
                taker_authority: accepted.map(|row| AuthorityId::parse(&row.authority)).transpose().map_err(damaged)?,
                delivery,
            })
        };
        deliveries.map(read).collect()
    }

    /// Opens an event record with the secret kept under its request's content key.
    ///
    /// # Errors
    /// When the record is not there, does not read, or is no event.
    pub fn open(&self, index: LedgerIndex) -> Result<Option<Opened>, StoreFault> {
        let record = self.record(index)?;
        let is_event = matches!(record.kind, RecordKind::EventSent | RecordKind::EventReceived);
        let Some(case) = record.case.filter(|_| is_event) else { return Ok(None) };
        let Ok(header) = Header::from_wire(&case.header) else { return Ok(None) };
        let body = record.secret.and_then(|secret| open_body(&record.body, &header.binding(), &secret).ok());
        let marks = self.marks(&header.author, &case);
        Ok(Some(Opened { index, header, body, marks }))
    }

    /// Why people should look twice at an act that holds (SPEC `[P-10]`).
    fn marks(&self, author: &PartyCode, case: &proto::CasePart) -> Vec<&'static str> {
        let Ok(context) = Context::from_bytes(&case.context) else { return Vec::new() };
        let keys: Vec<KeyId> = case.signatures.iter().filter_map(|by| KeyId::from_slice(&by.key_id).ok()).collect();
        let doubts = self.trust().doubts(author, &keys, &context.charter, context.recorded);
        let code = |doubt| match doubt {
            Doubt::Disputed => "profile.disputed",
            Doubt::Refounded => "charter.refounded",
            Doubt::Expired => "charter.expired",
        };
        doubts.into_iter().map(code).collect()
    }
}
