//! What is held of the ledgers of others, on the desk: the largest checkpoint proven to continue all seen before it, how
//! far it was witnessed, and the two that contradict each other if there are such.
//!
//! One lock for all: what is judged against is what is kept, and it is on disk before anybody is told. Blocking; for
//! workers. Start with [`Hold::add`], the witness's side, and [`Hold::prove`], everybody's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    ids::{Digest, Origin, PartyCode, Time},
    ledger::{
        Checkpoint, Fork, LedgerFault, NotContinued, PATH_MAX, VerifiedCheckpoint, checkpoint, continues,
        verify_consistency,
    },
    profile::{PartyLedger, Trust},
    proto::{self, KeyRole, LedgerHeld},
    wire::strict,
};
use prost::Message as _;
use tracing::{error, warn};

use crate::{
    handle::PeerLedger,
    store::{Desk, Pending, StoreFault},
};

/// What is held of each ledger, on the desk: this and the origin.
const PREFIX: &[u8] = b"witness/";
/// Checkpoints of one ledger that wait to be proven, as many as one ask may name; with the held one that makes 1025.
pub(super) const WAITING_MAX: usize = 1024;
/// A state holds three notes at most.
const STATE_MAX: usize = 256 << 10;

/// Why a ledger's word was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// The size held.
    #[error("witness.conflict: not from there; {0} records are held")]
    Conflict(u64),
    #[error("witness.not-yours: the checkpoint is not of a ledger of the Party that asks")]
    NotYours,
    #[error("witness.not-assigned: the charter does not make this Party a witness of that ledger")]
    NotAssigned,
    #[error("ledger.forked: two checkpoints of this ledger contradict each other; nothing of it is cosigned")]
    Forked,
    /// These two, seen for the first time.
    #[error("ledger.forked: two checkpoints of this ledger contradict each other; nothing of it is cosigned any more")]
    ForkSeen(Vec<u8>),
    #[error("ledger.rolled-back: the ledger shows fewer records than it has signed before")]
    RolledBack,
    #[error("witness.unproven: what was shown does not continue what is held; {0}")]
    Unproven(LedgerFault),
    #[error("{0}")]
    Checkpoint(LedgerFault),
    #[error("{0}: not kept, so not said")]
    NotKept(&'static str),
}

impl Denied {
    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "witness.conflict",
            Self::NotYours => "witness.not-yours",
            Self::NotAssigned => "witness.not-assigned",
            Self::Forked | Self::ForkSeen(_) => "ledger.forked",
            Self::RolledBack => "ledger.rolled-back",
            Self::Unproven(_) => "witness.unproven",
            Self::Checkpoint(fault) => fault.code(),
            Self::NotKept(code) => code,
        }
    }

    /// True for what no honest peer does, whatever was lost on the way and whoever has the newer documents. A fork is
    /// counted once, when it is seen; after a roll-back, as a restored ledger shows it, people decide.
    pub(super) fn is_wrong(&self) -> bool {
        match self {
            Self::Unproven(_) | Self::ForkSeen(_) => true,
            Self::Checkpoint(fault) => !matches!(fault, LedgerFault::NoEd25519 | LedgerFault::NoMlDsa),
            Self::Conflict(_)
            | Self::NotYours
            | Self::NotAssigned
            | Self::Forked
            | Self::RolledBack
            | Self::NotKept(_) => false,
        }
    }
}

/// What a judgement rests on at this moment.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) trust: &'k Trust,
    pub(super) us: &'k PartyCode,
    pub(super) desk: &'k Desk,
    pub(super) now: Time,
}

/// One ledger.
#[derive(Debug, Clone, Default)]
struct Held {
    newest: Option<(Checkpoint, Vec<u8>)>,
    witnessed: u64,
    since: Option<Time>,
    fork: Option<Fork>,
    /// Seen and not proven yet, by size. Not on disk: a crash forgets them.
    waiting: BTreeMap<u64, Arc<VerifiedCheckpoint>>,
    /// At its last answer the ledger showed fewer records than it has signed before.
    rolled_back: bool,
}

impl Held {
    /// Of a ledger that takes the place of another what that one had come to is held before anything is seen: it must lead
    /// on from there.
    fn beginning(trust: &Trust, origin: &Origin) -> Self {
        let profile = trust.party_of(origin).and_then(|party| trust.declared(party));
        let ledger = profile.and_then(|profile| profile.ledgers().iter().find(|ledger| ledger.origin == *origin));
        let newest = ledger.and_then(PartyLedger::beginning).map(|beginning| (beginning, Vec::new()));
        Self { newest, ..Self::default() }
    }

    fn from_wire(wire: LedgerHeld) -> Result<Self, LedgerFault> {
        let newest = match wire.checkpoint.is_empty() {
            true => None,
            false => Some((checkpoint::parse_unverified(&wire.checkpoint)?, wire.checkpoint)),
        };
        let fork = wire.fork.as_ref().map(Fork::from_wire).transpose()?;
        let since = (wire.witnessed > 0).then_some(Time(wire.witnessed_ms));
        Ok(Self { newest, witnessed: wire.witnessed, since, fork, ..Self::default() })
    }

    fn to_wire(&self) -> LedgerHeld {
        LedgerHeld {
            checkpoint: self.newest.as_ref().map(|(_, note)| note.clone()).unwrap_or_default(),
            witnessed: self.witnessed,
            witnessed_ms: self.since.map_or(0, |since| since.0),
            fork: self.fork.as_ref().map(Fork::to_wire),
        }
    }

    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.newest.as_ref().map(|(checkpoint, _)| checkpoint)
    }

    fn size(&self) -> u64 {
        self.checkpoint().map_or(0, |held| held.size)
    }

    /// A checkpoint of a size that is held or waits must have the same root; else these two are the proof of a fork.
    fn contradicted(&self, seen: &Checkpoint, note: &[u8]) -> Option<Fork> {
        let held = self.newest.as_ref().map(|(_, note)| &note[..]);
        let waiting = self.waiting.get(&seen.size).map(|other| other.note());
        [held, waiting].into_iter().flatten().find_map(|other| Fork::of(other, note))
    }
}

/// What is held of all ledgers.
pub(super) struct Hold(Mutex<BTreeMap<Origin, Held>>);

impl Hold {
    /// Reads what is on the desk.
    pub(super) fn open(desk: &Desk) -> Self {
        let read = |(key, value): (Vec<u8>, zeroize::Zeroizing<Vec<u8>>)| {
            let origin = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?.parse::<Origin>().ok()?;
            let wire: LedgerHeld = strict(&value, STATE_MAX).ok()?;
            Some((origin, Held::from_wire(wire).ok()?))
        };
        Self(Mutex::new(desk.range(PREFIX).into_iter().filter_map(read).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Origin, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a checkpoint as a witness: when it returns, it is on disk, and may be cosigned.
    ///
    /// # Errors
    /// Why it may not.
    pub(super) fn add(
        &self,
        known: Known<'_>,
        from: &PartyCode,
        ask: &proto::AddCheckpoint,
    ) -> Result<Checkpoint, Denied> {
        let Known { trust, us, now, .. } = known;
        let origin = checkpoint::parse_unverified(&ask.checkpoint).map_err(Denied::Checkpoint)?.origin;
        let profile = trust.profile(from, now).filter(|profile| profile.ledger().origin == origin);
        let profile = profile.ok_or(Denied::NotYours)?;
        if !trust.charter().witnesses(from).0.contains(us) {
            return Err(Denied::NotAssigned);
        }
        let keys = profile.keys(KeyRole::Checkpoint, now);
        let verified = VerifiedCheckpoint::verify(&ask.checkpoint, &origin, keys).map_err(Denied::Checkpoint)?;
        let next = verified.checkpoint();
        let path = digests(&ask.path)?;
        let mut ledgers = self.lock();
        let held = ledgers.entry(origin.clone()).or_insert_with(|| Held::beginning(known.trust, &origin));
        if held.fork.is_some() {
            return Err(Denied::Forked);
        }
        if let Some(fork) = held.contradicted(next, verified.note()) {
            return Err(fork_seen(known, &origin, held, fork));
        }
        continues(held.checkpoint(), ask.old_size, &path, next).map_err(|why| match why {
            NotContinued::Conflict(size) => Denied::Conflict(size),
            NotContinued::Fork => Denied::Forked, // looked for before
            NotContinued::Unproven(fault) => Denied::Unproven(fault),
        })?;
        if held.size() < next.size {
            let grown = Held { newest: Some((next.clone(), verified.note().to_vec())), ..held.clone() };
            keep(known, &origin, &grown)?;
            *held = grown;
        }
        Ok(next.clone())
    }

    /// Takes in checkpoints of a Party that were seen since, and says at which sizes it has to prove that it grew.
    ///
    /// # Errors
    /// [`Denied::Forked`] when two of them contradict each other, or did before.
    pub(super) fn sizes(
        &self,
        known: Known<'_>,
        origin: &Origin,
        seen: Vec<Arc<VerifiedCheckpoint>>,
    ) -> Result<Vec<u64>, Denied> {
        let mut overlooked = 0_u64;
        let mut ledgers = self.lock();
        let held = ledgers.entry(origin.clone()).or_insert_with(|| Held::beginning(known.trust, origin));
        for one in seen.into_iter().filter(|one| one.checkpoint().origin == *origin) {
            if let Some(fork) = held.contradicted(one.checkpoint(), one.note()) {
                return Err(fork_seen(known, origin, held, fork));
            }
            let size = one.checkpoint().size;
            if size == held.size() || held.waiting.contains_key(&size) {
                continue;
            }
            if held.waiting.len() >= WAITING_MAX {
                overlooked += 1;
            } else {
                held.waiting.insert(size, one);
            }
        }
        if overlooked > 0 {
            warn!(target: "witness", code = "witness.overlooked", origin = %origin, overlooked, "a ledger proves nothing and signs on");
        }
        if held.fork.is_some() {
            return Err(Denied::Forked);
        }
        let mut sizes: Vec<u64> = held.waiting.keys().copied().collect();
        sizes.extend((held.size() > 0).then_some(held.size()));
        sizes.sort_unstable();
        Ok(sizes)
    }

    /// Takes a ledger's answer to [`Self::sizes`].
    ///
    /// # Errors
    /// When it does not prove what it must; what waits, waits on.
    pub(super) fn prove(
        &self,
        known: Known<'_>,
        origin: &Origin,
        sizes: &[u64],
        answer: &proto::Grown,
    ) -> Result<(), Denied> {
        let policy = known.trust.policy(origin, known.now).ok_or(Denied::NotYours)?;
        let newest = policy.judge(&answer.checkpoint).map_err(Denied::Checkpoint)?;
        let next = newest.checkpoint();
        let mut ledgers = self.lock();
        let held = ledgers.entry(origin.clone()).or_insert_with(|| Held::beginning(known.trust, origin));
        if let Some(fork) = held.contradicted(next, newest.verified.note()) {
            return Err(fork_seen(known, origin, held, fork));
        }
        held.rolled_back = sizes.last().is_some_and(|last| *last > next.size);
        if held.rolled_back {
            return Err(Denied::RolledBack);
        }
        if answer.paths.len() != sizes.len() {
            return Err(Denied::Unproven(LedgerFault::PathLength(answer.paths.len())));
        }
        for (size, path) in sizes.iter().zip(&answer.paths) {
            let waiting = held.waiting.get(size).map(|one| one.checkpoint());
            let older = waiting.or(held.checkpoint().filter(|held| held.size == *size));
            let Some(older) = older else { continue }; // proven meanwhile
            grew(older, next, path)?;
        }
        let mut grown = held.clone();
        sizes.iter().for_each(|size| drop(grown.waiting.remove(size)));
        if grown.size() < next.size {
            grown.newest = Some((next.clone(), answer.checkpoint.clone()));
        }
        if !answer.witnessed.is_empty() {
            let witnessed = policy.judge(&answer.witnessed).map_err(Denied::Checkpoint)?;
            let none = proto::Path::default();
            grew(witnessed.checkpoint(), next, answer.witnessed_path.as_ref().unwrap_or(&none))?;
            if witnessed.is_met() && witnessed.checkpoint().size > grown.witnessed {
                (grown.witnessed, grown.since) = (witnessed.checkpoint().size, witnessed.since());
            }
        }
        if grown.to_wire() != held.to_wire() {
            keep(known, origin, &grown)?;
        }
        *held = grown;
        Ok(())
    }

    /// Takes the proof of a fork that a peer shows. True if it is news.
    ///
    /// # Errors
    /// When it is none under the keys of the Party it is about.
    pub(super) fn take_fork(&self, known: Known<'_>, fork: Fork) -> Result<bool, Denied> {
        let origin = fork.origin().clone();
        let party = known.trust.party_of(&origin).ok_or(Denied::NotYours)?;
        let keys = known.trust.declared(party).map(|profile| profile.ever_signed()).ok_or(Denied::NotYours)?;
        fork.verify(keys).map_err(Denied::Checkpoint)?;
        let mut ledgers = self.lock();
        let held = ledgers.entry(origin.clone()).or_insert_with(|| Held::beginning(known.trust, &origin));
        let news = held.fork.is_none();
        if news {
            fork_seen(known, &origin, held, fork);
        }
        Ok(news)
    }

    /// The forks that are proven.
    pub(super) fn forks(&self) -> Vec<Fork> {
        self.lock().values().filter_map(|held| held.fork.clone()).collect()
    }

    /// The largest checkpoint of a ledger that was seen: the one held, one that waits, or this one.
    pub(super) fn newest(&self, origin: &Origin, seen: Option<Arc<VerifiedCheckpoint>>) -> Vec<u8> {
        let ledgers = self.lock();
        let held = ledgers.get(origin);
        let proven = held.and_then(|held| held.newest.as_ref()).map(|(newest, note)| (newest.size, &note[..]));
        let waiting = held.and_then(|held| held.waiting.values().next_back());
        let seen = waiting.into_iter().chain(&seen).map(|one| (one.checkpoint().size, one.note()));
        proven.into_iter().chain(seen).max_by_key(|(size, _)| *size).map(|(_, note)| note.to_vec()).unwrap_or_default()
    }

    /// How a ledger stands.
    pub(super) fn standing(&self, origin: &Origin) -> PeerLedger {
        let ledgers = self.lock();
        let Some(held) = ledgers.get(origin) else { return PeerLedger::default() };
        PeerLedger {
            size: held.size(),
            witnessed: held.witnessed,
            since: held.since,
            forked: held.fork.is_some(),
            rolled_back: held.rolled_back,
            unproven: held.waiting.len(),
        }
    }
}

/// Two signed checkpoints of one size: kept for ever, and people are told. From now on nothing of this ledger is cosigned.
fn fork_seen(known: Known<'_>, origin: &Origin, held: &mut Held, fork: Fork) -> Denied {
    error!(target: "witness", code = "ledger.forked", origin = %origin, "two checkpoints of one size contradict each other");
    let proof = fork.to_file(Vec::new());
    held.fork = Some(fork);
    if let Err(fault) = keep(known, origin, held) {
        warn!(target: "witness", code = fault.code(), "the proof of the fork is in memory only");
    }
    Denied::ForkSeen(proof)
}

fn keep(known: Known<'_>, origin: &Origin, held: &Held) -> Result<(), Denied> {
    let key = [PREFIX, origin.as_str().as_bytes()].concat();
    let kept = known.desk.put(&key, &held.to_wire().encode_to_vec()).and_then(Pending::wait);
    kept.map_err(|fault: StoreFault| Denied::NotKept(fault.code()))
}

fn grew(older: &Checkpoint, newer: &Checkpoint, path: &proto::Path) -> Result<(), Denied> {
    let path = digests(&path.nodes)?;
    verify_consistency(older.size, &older.root, newer.size, &newer.root, &path).map_err(Denied::Unproven)
}

fn digests(nodes: &[Vec<u8>]) -> Result<Vec<Digest>, Denied> {
    if nodes.len() > PATH_MAX {
        return Err(Denied::Unproven(LedgerFault::PathLength(nodes.len())));
    }
    let node = |node: &Vec<u8>| Digest::from_slice(node).map_err(|_| Denied::Unproven(LedgerFault::ProofField("path")));
    nodes.iter().map(node).collect()
}
