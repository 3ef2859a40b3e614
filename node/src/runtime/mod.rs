//! The one room that knows every room: it opens them, joins them, and stops them in order.
//!
//! [`start`] claims the folder, reads charter and profiles under the pinned fingerprint, opens
//! ledger, desk and index (which is brought after the ledger, or rebuilt), and joins the network.
//! Then one task (`turn`) owns the engine and puts its outputs to work; `work` is what runs on
//! blocking workers. One batch of appends is in flight at a time; what arrives meanwhile makes the
//! next one (group commit). Nothing is awaited inside the loop that would produce it.

mod alarms;
mod arrivals;
mod audit;
mod conduct;
mod erasure;
mod restored;
mod trust;
mod turn;
mod work;

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, RwLock},
};

use comity_core::{
    engine::{Engine, EngineFault, Identity, Input, JobId, Ticket},
    event::{BodySecret, EventFault, PeerAnswer, Verified},
    ids::{EventId, LedgerIndex, Origin, PartyCode, RequestId, Time},
    index::{Index, IndexFault, RecordView, beginning},
    ledger::{Appended, LedgerFault},
    outbox::Due,
    profile::{Book, Profile},
    proto::{CasePart, KeyRole, NodePart, RecordKind, Signature},
    rules::Rules,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    audit::Audit,
    backup::{BackupFault, Backups, ErasureList, NodeKey, Restored},
    conduct::Conduct,
    config::{Address, Settings},
    evidence::{
        Evidence,
        vault::{Vault, VaultFault},
    },
    handle::{COMMANDS_MAX, Eyes, Handle, Status, View, kept_holds, kept_roll},
    keys::{KeyFault, Keyring, in_use},
    law::{self, LawFault},
    net::{self, NetFault, NetSettings},
    roster::{self, admitted},
    store::{Desk, Folder, Ledger, LedgerKeys, LookOver, SledPairs, StoreFault},
    time, witness,
};

use arrivals::Arrivals;
use trust::Shelves;
pub use trust::{CHARTER_FILE, PROFILES_FOLDER, TrustFault, load as load_trust};

/// Events of the network waiting for the loop: a few windows of a few peers.
const NET_EVENTS_MAX: usize = 512;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// Charter or profiles.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// Folder, ledger, desk or index.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The index does not follow.
    #[error(transparent)]
    Index(#[from] IndexFault),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineFault),
    /// The vault of evidence.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The note in a folder that was put back.
    #[error(transparent)]
    Restored(#[from] BackupFault),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetFault),
    /// The rule files.
    #[error(transparent)]
    Rules(#[from] LawFault),
    /// The keys here are not those the own profile names.
    #[error(
        "keys.not-in-profile: the node does not start; its {0} keys are not in this Party's profile; publish a profile with them, or restore the right keys folder"
    )]
    KeysNotInProfile(&'static str),
}

impl StartFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trust(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Index(fault) => fault.code(),
            Self::Engine(fault) => fault.code(),
            Self::Vault(fault) => fault.code(),
            Self::Restored(fault) => fault.code(),
            Self::Net(fault) => fault.code(),
            Self::Rules(fault) => fault.code(),
            Self::KeysNotInProfile(_) => "keys.not-in-profile",
        }
    }
}

/// What a worker could not read, prove or sign.
#[derive(Debug, thiserror::Error)]
pub enum WorkFault {
    /// The own profile allows no key held here now; it may again.
    #[error(transparent)]
    Keys(#[from] KeyFault),
    /// This Party has no profile in force now; it may again.
    #[error("profile.none: no checkpoint is signed; this Party has no current profile; publish one")]
    NoProfile,
    /// A peer's own events cannot be given back to it now.
    #[error("profile.no-seal-key: nothing is given back; the peer has no valid seal key; fetch its newest profile")]
    NoSealKey,
    /// A record does not read, or a file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The tree does not give a proof it must have.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
}

/// Why a running node stops on its own. What was acknowledged is safe; the next start replays.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// The state machine cannot go on.
    #[error(transparent)]
    Engine(#[from] EngineFault),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The index cannot follow the ledger.
    #[error(transparent)]
    Index(#[from] IndexFault),
    /// A record or proof that must be there is not.
    #[error(transparent)]
    Work(#[from] WorkFault),
    /// A worker panicked; its work is lost and so is what waited for it.
    #[error("engine.worker-lost: the node stops; a worker ended without a result; start it again and report this")]
    Worker,
}

impl RunFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Index(fault) => fault.code(),
            Self::Work(WorkFault::Keys(fault)) => fault.code(),
            Self::Work(WorkFault::NoProfile) => "profile.none",
            Self::Work(WorkFault::NoSealKey) => "profile.no-seal-key",
            Self::Work(WorkFault::Store(fault)) => fault.code(),
            Self::Work(WorkFault::Ledger(fault)) => fault.code(),
            Self::Worker => "engine.worker-lost",
        }
    }
}

/// What a worker brings back.
enum Back {
    Sealed(JobId, Option<(Vec<u8>, BodySecret)>),
    Signed(JobId, Option<Vec<Signature>>),
    Committed(Vec<Batched>, Result<Vec<Appended>, StoreFault>),
    /// The note, and the generation of the checkpoint keys that signed it.
    Checkpoint(u64, Result<(Arc<[u8]>, u32), WorkFault>),
    Outgoing {
        peer: PartyCode,
        due: Due,
        frame: Result<Option<Vec<u8>>, WorkFault>,
    },
    Answer(Ticket, Result<Option<Vec<u8>>, WorkFault>),
    /// A delivery was read: what the engine is to judge.
    Read(Input),
    /// Not authentic: the frame is the proof.
    TurnedAway {
        ticket: Ticket,
        peer: PartyCode,
        fault: EventFault,
        frame: Vec<u8>,
        answer: Option<Vec<u8>>,
    },
    PeerAnswer(PartyCode, Result<(EventId, Box<Verified<PeerAnswer>>), Unproven>),
    /// What an erasure destroys is destroyed, or not yet; a fault the node does not go on after stands outside.
    Destroyed(JobId, Result<Result<(), &'static str>, StoreFault>),
    HoldKept(JobId, Result<(), &'static str>),
    RollKept(JobId, Result<(), &'static str>),
    Nothing,
    Lost,
}

/// An answer that proves nothing: why, and the frame as it came.
type Unproven = (EventFault, Vec<u8>);

/// What stays of a record while the store writes it: enough to bring the index after it.
struct Batched {
    job: JobId,
    kind: RecordKind,
    node: NodePart,
    case: CasePart,
}

/// A running node.
pub struct Node {
    handle: Handle,
    evidence: Evidence,
    backups: Backups,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunFault>>,
    conduct: JoinHandle<()>,
    roster: JoinHandle<()>,
    witness: JoinHandle<()>,
    audit: JoinHandle<()>,
    looking: [LookOver; 2],
    _folder: Folder,
}

impl Node {
    /// What may be asked of it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The evidence it holds.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence.clone()
    }

    /// Its backups.
    #[must_use]
    pub fn backups(&self) -> Backups {
        self.backups.clone()
    }

    /// Waits until it stops on its own; it should not.
    ///
    /// # Errors
    /// Why it stopped.
    pub async fn ended(&mut self) -> Result<(), RunFault> {
        (&mut self.task).await.unwrap_or(Err(RunFault::Worker))
    }

    /// Stops it: what the disk is doing is finished, then the network is left.
    ///
    /// # Errors
    /// When it had failed before.
    pub async fn stop(mut self) -> Result<(), RunFault> {
        self.looking.iter().for_each(LookOver::end);
        self.evidence.stop().await;
        self.stop.cancel();
        let ended = self.ended().await;
        (&mut self.conduct).await.map_err(|_| RunFault::Worker)?;
        (&mut self.roster).await.map_err(|_| RunFault::Worker)?;
        (&mut self.witness).await.map_err(|_| RunFault::Worker)?;
        (&mut self.audit).await.map_err(|_| RunFault::Worker)?;
        ended
    }
}

/// Opens all rooms and starts the loop.
///
/// # Errors
/// The first room that does not open; nothing is left running.
pub async fn start(settings: &Settings, keys: Keyring) -> Result<Node, StartFault> {
    let folder = Folder::claim(&settings.data)?;
    let now = time::now();
    let rules = Arc::new(law::rules(&settings.data)?);
    let keys = Arc::new(keys);
    let (ledger, desk, audit, index, book) = open_shelves(settings, &keys, &rules, now).await?;
    let trust = Arc::new(book.trust());
    // A suspended Party's node starts: it must be able to take in what lets it go on.
    let profile = trust.declared(&settings.party).ok_or(TrustFault::NoOwnProfile(settings.party.clone()))?;
    let us = Identity { party: settings.party.clone(), origin: check_keys(profile, &keys, now)? };
    let transport = keys.transport_seed(profile).ok_or(StartFault::KeysNotInProfile("transport"))?;
    let alarmed = alarms::raised_until(&desk);
    let conduct = Conduct::new(conduct::kept(&desk), now);
    let mut engine = Engine::open(us.clone(), book, rules.clone(), &index, alarmed, ledger.signed())?;
    remember(&mut engine, &desk, now);
    let (events, peers) = mpsc::channel(NET_EVENTS_MAX);
    let net_settings = NetSettings {
        listen: settings.listen.iter().map(|address| address.as_str().to_owned()).collect(),
        require_hybrid: settings.require_hybrid,
        agent: format!("comity/{}", env!("CARGO_PKG_VERSION")),
        cut_off: conduct.cut_off(),
    };
    let net = net::start(net_settings, transport, admitted(&trust, &addresses(settings), now)?, events).await?;
    let listening = net.listen_addresses();
    info!(target: "runtime", party = %us.party, size = ledger.size(), "node started");
    let (status_in, status) = watch::channel(Status { size: ledger.size(), ..Status::default() });
    let view = Arc::new(View {
        us,
        trust: RwLock::new(trust.clone()),
        rules,
        keys: keys.held().cloned().collect(),
        key_encryption: keys.key_encryption().last().copied(),
        ledger: Arc::new(ledger),
        audit,
        index: Index::new(index.pairs().clone()),
        desk: Arc::new(desk),
        eyes: Eyes::default(),
        witnessing: RwLock::default(),
        conduct,
        addresses: addresses(settings),
        listening,
        started: now,
        api_socket: settings.api_socket.clone(),
        data: settings.data.clone(),
    });
    let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
    let handle = Handle::new(commands_in, status, view.clone());
    let (registrar, room) = roster::room();
    let (bell, witnesses) = witness::room();
    let (opener, admission) = (net.opener(), net.admission());
    let vault = open_vault(&settings.data, &view)?;
    let evidence = Evidence::start(handle.clone(), vault, Arc::clone(&keys), net.opener());
    let looking = view.ledger.look_over(|damage| warn!(target: "store", code = damage.code(), "{damage}"))?;
    let looking = [looking, audit::look_over(&view.audit)?];
    let list = settings.backup.erasures.as_deref();
    let second_place = list.map(|path| ErasureList::at(path, &settings.party, &settings.network));
    let turn = turn::Turn {
        engine,
        index,
        view: view.clone(),
        keys: Arc::clone(&keys),
        evidence: evidence.clone(),
        second_place: second_place.clone(),
        net,
        status: status_in,
        commands,
        peers,
        arrivals: Arrivals::default(),
        reading: 0,
        workers: JoinSet::new(),
        appends: VecDeque::new(),
        committing: false,
        replies: BTreeMap::new(),
        documents: BTreeMap::new(),
        erasures: BTreeMap::new(),
        holds: BTreeMap::new(),
        rolls: BTreeMap::new(),
        registrar,
        bell,
        answers: BTreeMap::new(),
        next_ticket: 0,
        wake: now,
        settle: None,
        signed_by: None,
        keys_seen: now,
    };
    let stop = CancellationToken::new();
    let newest = keys.secrets().kek.last_key_value().map(|(generation, kek)| NodeKey::of(*generation, kek));
    let newest = newest.ok_or(StartFault::KeysNotInProfile("key-encryption"))?;
    let backups =
        Backups::new((settings.backup.clone(), second_place), handle.clone(), evidence.clone(), newest, stop.clone());
    let task = tokio::spawn(turn.run(stop.clone()));
    let audit = tokio::spawn(audit::keep(Arc::clone(&view), Arc::clone(&keys), stop.clone()));
    let conduct = tokio::spawn(conduct::keep(view, stop.clone()));
    let (beat, watch) = (settings.witness_beat, (handle.clone(), Arc::clone(&keys), opener.clone()));
    let witness = tokio::spawn(witnesses.run(watch.0, watch.1, watch.2, beat, stop.clone()));
    let roster = tokio::spawn(room.run(handle.clone(), keys, opener, admission, stop.clone()));
    Ok(Node { handle, evidence, backups, stop, task, conduct, roster, witness, audit, looking, _folder: folder })
}

/// Gives the engine what the desk keeps for it.
fn remember(engine: &mut Engine, desk: &Desk, now: Time) {
    engine.remember_holds(kept_holds(desk));
    let Some((roll, _)) = kept_roll(desk) else { return };
    if let Err(fault) = engine.remember_roll(&roll, now) {
        warn!(target: "runtime", code = fault.code(), "the roll of officers does not count: {fault}");
    }
}

/// Ledger, desk and index, and what they say of charter and Parties. Reading and verifying them blocks.
async fn open_shelves(
    settings: &Settings,
    keys: &Arc<Keyring>,
    rules: &Arc<Rules>,
    now: Time,
) -> Result<(Ledger, Desk, Audit, Index<SledPairs>, Book), StartFault> {
    let settings = settings.clone();
    let (keys, rules) = (Arc::clone(keys), Arc::clone(rules));
    let opening = tokio::task::spawn_blocking(move || {
        let (data, us) = (&settings.data, &settings.party);
        let restored = Restored::read(data)?;
        let (ledger, desk) = open_store(data, &keys)?;
        let audit = audit::open(&settings, &keys)?;
        let mut index = open_index(data, &ledger, &rules)?;
        let restored = restored.as_ref();
        let mut shelves =
            Shelves { data, ledger: &ledger, index: &mut index, desk: &desk, rules: &rules, us, restored };
        let book = trust::open(&mut shelves, settings.charter, now)?;
        restored::settle(&mut shelves, &book, now)?;
        Ok((ledger, desk, audit, index, book))
    });
    opening.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The vault, which is given the content keys of requests by the ledger.
fn open_vault(data: &Path, view: &Arc<View>) -> Result<Vault, VaultFault> {
    let ledger = Arc::clone(&view.ledger);
    let keys = Arc::new(move |request: &RequestId| ledger.content_key(*request).ok().flatten());
    let (vault, opened) = Vault::open(&data.join("vault"), keys, tokio::runtime::Handle::current())?;
    if opened.swept > 0 {
        info!(target: "evidence", items = opened.swept, "what was not put under seal is gone");
    }
    Ok(vault)
}

/// Of each role one generation here must be allowed by the own profile now, or what it signs is refused
/// everywhere. Those that the profile does not name, or no longer or not yet allows, wait.
fn check_keys(profile: &Profile, keys: &Keyring, now: Time) -> Result<Origin, StartFault> {
    for (role, name) in [
        (KeyRole::Record, "record"),
        (KeyRole::Checkpoint, "checkpoint"),
        (KeyRole::Seal, "seal"),
        (KeyRole::Transport, "transport"),
    ] {
        if in_use(keys.held(), role, profile, now).is_none() {
            return Err(StartFault::KeysNotInProfile(name));
        }
    }
    Ok(profile.ledger().origin.clone())
}

fn open_store(data: &Path, keys: &Keyring) -> Result<(Ledger, Desk), StoreFault> {
    let secrets = keys.secrets();
    let ledger_keys = LedgerKeys { node: secrets.ledger.clone(), kek: secrets.kek.clone() };
    let (ledger, opened) = Ledger::open(&data.join("ledger"), ledger_keys, None)?;
    if opened.turned > 0 {
        info!(target: "store", slots = opened.turned, "key slots are wrapped under the newest key-encryption key");
    }
    if opened.torn_bytes > 0 {
        info!(target: "store", bytes = opened.torn_bytes, "an interrupted batch was cut");
    }
    if let Some(damage) = opened.read_only {
        warn!(target: "store", code = damage.code(), "{damage}");
    }
    let (desk, opened) = Desk::open(&data.join("desk"), secrets.desk.clone())?;
    if let Some(damage) = opened.read_only {
        warn!(target: "store", code = damage.code(), "the desk can be read only: {damage}");
    }
    Ok((ledger, desk))
}

/// Brings the index after the ledger; one that is ahead of it or does not read is built anew, and so is one that was made
/// under other rules. Until it is there again it says how far it is and under which, so a crash meanwhile is as any.
fn open_index(data: &Path, ledger: &Ledger, rules: &Rules) -> Result<Index<SledPairs>, StartFault> {
    let (pairs, opened) = SledPairs::open(&data.join("index"))?;
    let mut index = Index::new(pairs);
    let follows = matches!(index.applied(), Ok((size, _)) if size <= ledger.size()) && index_agrees(&index, ledger);
    let of_this_law = index.is_under(rules).unwrap_or(false);
    if !follows || !of_this_law {
        if follows {
            info!(
                target: "store", code = "store.index-rebuilt",
                "the index is built anew from the ledger: the rule files are others than when it was made"
            );
        }
        let mut pairs = index.into_pairs();
        let begun = follows.then(|| beginning(rules));
        pairs.clear(begun.as_slice())?;
        index = Index::new(pairs);
        if !follows {
            index.pairs().say_rebuilt("it did not agree with the ledger".to_owned());
        }
    }
    let (from, _) = index.applied()?;
    let begun = index.is_begun()?;
    match opened.set_aside {
        Some(aside) => {
            index.pairs().say_rebuilt(format!("what was there was damaged, and is now {}", aside.display()));
        }
        None if follows && !begun && ledger.size() > 0 => index.pairs().say_rebuilt("there was none".to_owned()),
        None => {}
    }
    for record in ledger.iterate(LedgerIndex(from)) {
        let record = match record {
            Err(_) if ledger.read_only().is_some() => break, // what follows the damage is not shown
            other => other?,
        };
        let view =
            RecordView { index: record.index, kind: record.kind, node: &record.node, case: record.case.as_ref() };
        index.apply(view, rules)?;
    }
    index.pairs().settle()?;
    Ok(index)
}

/// The index follows the ledger by one record.
fn follow_on(
    index: &mut Index<SledPairs>,
    at: LedgerIndex,
    kind: RecordKind,
    node: &NodePart,
    case: &CasePart,
    rules: &Rules,
) -> Result<(), IndexFault> {
    index.apply(RecordView { index: at, kind, node, case: Some(case) }, rules)
}

/// The last record the index claims to follow is the one that stands there.
fn index_agrees(index: &Index<SledPairs>, ledger: &Ledger) -> bool {
    let Ok((size, recorded)) = index.applied() else { return false };
    let Some(last) = size.checked_sub(1) else { return true };
    let Ok(record) = ledger.read(LedgerIndex(last)) else { return false };
    recorded.0 == record.node.recorded_ms
}

fn addresses(settings: &Settings) -> BTreeMap<PartyCode, Vec<String>> {
    let texts = |addresses: &Vec<Address>| addresses.iter().map(|address| address.as_str().to_owned()).collect();
    settings.peers.iter().map(|(party, addresses)| (party.clone(), texts(addresses))).collect()
}
