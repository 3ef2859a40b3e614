//! Asks and answers on a witness stream, from both sides.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use comity_core::{
    ids::{Origin, PartyCode, WitnessName},
    ledger::{Fork, NOTE_MAX, PATH_MAX},
    proto::{
        AddCheckpoint, ForkProof, Grown, Growth, Path, Retry, WitnessAnswer, WitnessAsk, witness_answer::Outcome,
        witness_ask::What,
    },
};
use prost::Message as _;
use tracing::{debug, error, info, warn};

use super::{
    hold::{Denied, Hold, Known, WAITING_MAX},
    own::Own,
    vouch::{self, Vouching},
};
use crate::{
    handle::{Handle, OwnWitnessed, View, Witnessing},
    keys::Keyring,
    net::{Line, MessageFault, receive, send},
    store::{DamageKind, StoreFault},
    time,
};

/// Sizes asked about at once: all that are kept waiting, and the one that is held.
const SIZES_MAX: usize = WAITING_MAX + 1;
/// An ask: a checkpoint and a path, sizes, or two checkpoints.
const ASK_MAX: usize = 2 * NOTE_MAX + (16 << 10);
/// An answer: two checkpoints, and a path for each size.
const ANSWER_MAX: usize = 2 * NOTE_MAX + (SIZES_MAX + 1) * (PATH_MAX * 34 + 8);
/// Asks on one stream: the growth of a ledger, its checkpoint to cosign, and that again after a conflict.
const ASKS_MAX: usize = 8;
/// Forks told at one beat; there should be none.
const FORKS_MAX: usize = 4;
/// Who is refused may come again at the next beat.
const RETRY_MS: u32 = 60_000;

/// Speaks with one after another.
pub(super) struct Speaker {
    pub(super) handle: Handle,
    pub(super) keys: Arc<Keyring>,
    pub(super) hold: Hold,
    pub(super) own: Own,
    pub(super) vouching: Vouching,
    /// Of which forks each peer was told, since the start.
    pub(super) told: Mutex<BTreeMap<PartyCode, BTreeSet<Origin>>>,
}

impl Speaker {
    fn view(&self) -> &View {
        self.handle.view()
    }

    /// Lets something be judged by what is known now.
    fn known<T>(&self, judge: impl FnOnce(Known<'_>) -> T) -> T {
        let view = self.view();
        judge(Known { trust: &view.trust(), us: &view.us.party, desk: &view.desk, now: time::now() })
    }

    /// The newest checkpoint of ours becomes the one that is cosigned.
    pub(super) fn begin_beat(&self) {
        let status = self.handle.status();
        let status = status.borrow();
        self.own.begin(status.signed, &status.note);
    }

    /// The ledger a Party writes now.
    fn origin(&self, party: &PartyCode) -> Option<Origin> {
        Some(self.view().trust().declared(party)?.ledger().origin.clone())
    }

    /// Whether a peer is to be asked at this beat: it witnesses us, or something of its ledger waits to be proven or
    /// witnessed.
    pub(super) fn has_reason(&self, party: &PartyCode) -> bool {
        let Some(origin) = self.origin(party) else { return false };
        let trust = self.view().trust();
        let assigned = |of: &PartyCode| trust.charter().witnesses(of).0;
        let witnesses_us = assigned(&self.view().us.party).contains(party) && self.own.due(party).is_some();
        let standing = self.hold.standing(&origin);
        let behind = !assigned(party).is_empty() && standing.witnessed < standing.size;
        let untold = !self.untold(party).is_empty();
        let due = self.vouching.is_due(party);
        due || witnesses_us || behind || untold || standing.unproven > 0 || self.waiting(party) > 0
    }

    /// How many checkpoints of a Party were seen and not yet looked at.
    pub(super) fn waiting(&self, party: &PartyCode) -> usize {
        self.view().trust().declared(party).map_or(0, |profile| profile.checkpoints().unproven())
    }

    /// Asks a peer everything there is reason to ask.
    pub(super) async fn ask(self: &Arc<Self>, party: &PartyCode, mut stream: impl Line) {
        let asked = async {
            self.ask_newest(party, &mut stream).await?;
            self.tell_forks(party, &mut stream).await?;
            match self.ask_growth(party, &mut stream).await {
                // It still witnesses us.
                Err(Ended::Denied(denied)) => self.denied(party, &denied, &[]),
                other => other?,
            }
            self.ask_cosignature(party, &mut stream).await
        };
        match asked.await {
            Ok(()) => {}
            Err(Ended::Denied(denied)) => self.denied(party, &denied, &[]),
            Err(Ended::Message(MessageFault::Wrong)) => self.wrong(party, "witness.malformed", None),
            Err(Ended::Message(fault)) => debug!(target: "witness", peer = %party, %fault, "ended early"),
        }
        self.vouching.asked(party, false);
        self.publish();
    }

    /// Once in a run: what is the largest checkpoint of our ledger that this peer has seen? If there is more than is here,
    /// or another, nothing is recorded any more until people have decided.
    async fn ask_newest(self: &Arc<Self>, party: &PartyCode, stream: &mut impl Line) -> Result<(), Ended> {
        if !self.vouching.is_due(party) {
            return Ok(());
        }
        let origin = self.view().us.origin.to_string();
        send(stream, &WitnessAsk { what: Some(What::Newest(origin)) }).await?;
        // Who is stopping, or hides what it holds, says nothing: no wrong, and no answer.
        let silent = || MessageFault::Line(io::ErrorKind::UnexpectedEof.into());
        let answer: WitnessAnswer = receive(stream, ANSWER_MAX).await?.ok_or_else(silent)?;
        let Some(Outcome::Newest(note)) = answer.outcome else { return Err(MessageFault::Wrong.into()) };
        let this = Arc::clone(self);
        let found = blocking(move || vouch::judge(this.view(), &note).map_err(Denied::Checkpoint)).await?;
        if let Some(damage) = found {
            error!(target: "witness", code = damage.code(), peer = %party, "a peer holds a checkpoint of ours that this ledger does not lead to: {damage}");
            self.handle.ledger_known(Err(damage)).await;
        }
        self.vouching.asked(party, true);
        Ok(())
    }

    /// Forks this peer has not been told of by us.
    fn untold(&self, party: &PartyCode) -> Vec<Fork> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.get(party);
        let untold = |fork: &Fork| known.is_none_or(|known| !known.contains(fork.origin()));
        self.hold.forks().into_iter().filter(untold).collect()
    }

    async fn tell_forks(&self, party: &PartyCode, stream: &mut impl Line) -> Result<(), Ended> {
        for fork in self.untold(party).into_iter().take(FORKS_MAX) {
            send(stream, &WitnessAsk { what: Some(What::Fork(fork.to_wire())) }).await?;
            let answer: WitnessAnswer = receive(stream, ANSWER_MAX).await?.ok_or(MessageFault::Wrong)?;
            match answer.outcome {
                Some(Outcome::Fork(_) | Outcome::Refused(_)) => {}
                _ => return Err(MessageFault::Wrong.into()),
            }
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.entry(party.clone()).or_default().insert(fork.origin().clone());
        }
        Ok(())
    }

    async fn ask_growth(self: &Arc<Self>, party: &PartyCode, stream: &mut impl Line) -> Result<(), Ended> {
        let Some(origin) = self.origin(party) else { return Ok(()) };
        let (seen, overlooked) = match self.view().trust().declared(party) {
            Some(profile) => profile.checkpoints().take_unproven(),
            None => return Ok(()),
        };
        if overlooked > 0 {
            warn!(target: "witness", code = "witness.overlooked", peer = %party, overlooked, "not all checkpoints were looked at");
        }
        let (this, of) = (Arc::clone(self), origin.clone());
        let sizes = blocking(move || this.known(|known| this.hold.sizes(known, &of, seen))).await?;
        send(stream, &WitnessAsk { what: Some(What::Growth(Growth { sizes: sizes.clone() })) }).await?;
        let answer: WitnessAnswer = receive(stream, ANSWER_MAX).await?.ok_or(MessageFault::Wrong)?;
        match answer.outcome {
            Some(Outcome::Grown(grown)) => {
                let this = Arc::clone(self);
                blocking(move || this.known(|known| this.hold.prove(known, &origin, &sizes, &grown))).await
            }
            Some(Outcome::Refused(refused)) => {
                debug!(target: "witness", peer = %party, code = %refused.code, "no proof of growth now");
                Ok(())
            }
            _ => Err(MessageFault::Wrong.into()),
        }
    }

    /// Asks a witness of ours to cosign; after a conflict once more, from the size it holds.
    async fn ask_cosignature(self: &Arc<Self>, party: &PartyCode, stream: &mut impl Line) -> Result<(), Ended> {
        let us = &self.view().us.party;
        if !self.view().trust().charter().witnesses(us).0.contains(party) {
            return Ok(());
        }
        for _ in 0..2 {
            let Some((size, note, old)) = self.own.due(party) else { return Ok(()) };
            if old > size {
                warn!(target: "witness", code = "ledger.behind-witness", peer = %party, held = old, size, "a witness holds more of us");
                return Ok(());
            }
            let this = Arc::clone(self);
            let path =
                blocking(move || this.view().ledger.consistency(old, size).map_err(|fault| not_kept(&fault))).await?;
            let path = path.iter().map(|node| node.as_bytes().to_vec()).collect();
            let add = AddCheckpoint { old_size: old, path, checkpoint: note.to_vec() };
            send(stream, &WitnessAsk { what: Some(What::Add(add)) }).await?;
            let answer: WitnessAnswer = receive(stream, ANSWER_MAX).await?.ok_or(MessageFault::Wrong)?;
            match answer.outcome {
                Some(Outcome::Conflict(held)) => self.own.holds(party, held),
                Some(Outcome::Cosignatures(lines)) => return self.cosigned(party, size, lines).await,
                Some(Outcome::Refused(refused)) => {
                    warn!(target: "witness", peer = %party, code = %refused.code, "a witness does not cosign");
                    return Ok(());
                }
                _ => return Err(MessageFault::Wrong.into()),
            }
        }
        Ok(())
    }

    async fn cosigned(self: &Arc<Self>, party: &PartyCode, size: u64, lines: Vec<u8>) -> Result<(), Ended> {
        let lines = String::from_utf8(lines).map_err(|_| MessageFault::Wrong)?;
        let (this, by) = (Arc::clone(self), party.clone());
        let reached =
            blocking(move || this.own.add(this.view(), &by, size, &lines).map_err(Denied::Checkpoint)).await?;
        debug!(target: "witness", peer = %party, size, reached, "cosigned");
        Ok(())
    }

    /// Answers a peer until it has asked enough.
    pub(super) async fn serve(self: &Arc<Self>, party: &PartyCode, mut stream: impl Line) {
        let served = async {
            for _ in 0..ASKS_MAX {
                let Some(ask) = receive::<WitnessAsk>(&mut stream, ASK_MAX).await? else { return Ok(()) };
                let (this, from) = (Arc::clone(self), party.clone());
                let answer = tokio::task::spawn_blocking(move || this.answer(&from, ask.what)).await;
                let outcome = answer.unwrap_or_else(|_| refused("engine.stopped"));
                send(&mut stream, &WitnessAnswer { outcome: Some(outcome) }).await?;
            }
            Ok::<_, MessageFault>(())
        };
        match served.await {
            Ok(()) => {}
            Err(MessageFault::Wrong) => self.wrong(party, "witness.malformed", None),
            Err(fault) => debug!(target: "witness", peer = %party, %fault, "ended early"),
        }
        self.publish();
    }

    fn answer(&self, party: &PartyCode, what: Option<What>) -> Outcome {
        match what {
            Some(What::Add(add)) => self.add(party, &add),
            Some(What::Growth(growth)) => self.grown(&growth.sizes).unwrap_or_else(|fault| refused(fault.code())),
            Some(What::Newest(origin)) => match origin.parse() {
                Ok(origin) => Outcome::Newest(self.newest(&origin)),
                Err(_) => refused("event.bad-name"),
            },
            Some(What::Fork(fork)) => self.take_fork(party, &fork),
            None => refused("witness.malformed"),
        }
    }

    /// The largest checkpoint of a ledger that was seen, proven or not.
    fn newest(&self, origin: &Origin) -> Vec<u8> {
        let trust = self.view().trust();
        let profile = trust.party_of(origin).and_then(|party| trust.declared(party));
        let unproven = profile.and_then(|profile| profile.checkpoints().largest_unproven(origin));
        self.hold.newest(origin, unproven)
    }

    /// Whoever saw it first, everybody is to know it.
    fn take_fork(&self, party: &PartyCode, fork: &ForkProof) -> Outcome {
        let taken = Fork::from_wire(fork).map_err(Denied::Checkpoint);
        match taken.and_then(|fork| self.known(|known| self.hold.take_fork(known, fork))) {
            Ok(_) => Outcome::Fork(true),
            Err(denied) => {
                self.denied(party, &denied, &fork.encode_to_vec());
                refused(denied.code())
            }
        }
    }

    /// As a witness: judged, on disk, cosigned, in this order.
    fn add(&self, party: &PartyCode, add: &AddCheckpoint) -> Outcome {
        let view = self.view();
        // What is held of others is of when the backup was made: what was cosigned since is not known here.
        if let Some(damage) = view.ledger.read_only().filter(|damage| damage.kind == DamageKind::Restored) {
            return refused(damage.code());
        }
        let checkpoint = match self.known(|known| self.hold.add(known, party, add)) {
            Ok(checkpoint) => checkpoint,
            Err(Denied::Conflict(size)) => return Outcome::Conflict(size),
            Err(denied) => {
                self.denied(party, &denied, &add.checkpoint);
                return refused(denied.code());
            }
        };
        let (trust, now) = (view.trust(), time::now());
        let name = WitnessName::of(&view.us.party, &trust.charter().network);
        let signer = trust.profile(&view.us.party, now).map(|own| self.keys.witness_signer(own, now));
        match signer {
            None => refused("profile.none"),
            Some(Err(fault)) => refused(fault.code()),
            Some(Ok(signer)) => match checkpoint.cosign(&name, signer, now) {
                Ok(lines) => Outcome::Cosignatures(lines.into_bytes()),
                Err(fault) => refused(fault.code()),
            },
        }
    }

    /// That our ledger only grew, from each of these sizes to its newest checkpoint.
    fn grown(&self, sizes: &[u64]) -> Result<Outcome, StoreFault> {
        let view = self.view();
        let status = self.handle.status().borrow().clone();
        if sizes.len() > SIZES_MAX || !sizes.is_sorted() {
            return Ok(refused("witness.malformed"));
        }
        if status.signed == 0 {
            return Ok(refused("checkpoint.empty"));
        }
        // Sizes beyond it are of a ledger that is not ours any more: whoever asks sees the smaller checkpoint.
        let within = sizes.iter().take_while(|size| **size <= status.signed);
        let path = |size: u64| {
            let nodes = view.ledger.consistency(size, status.signed)?;
            Ok::<_, StoreFault>(Path { nodes: nodes.iter().map(|node| node.as_bytes().to_vec()).collect() })
        };
        let paths = within.map(|size| path(*size)).collect::<Result<_, _>>()?;
        let reached = self.own.reached().filter(|reached| reached.size <= status.signed);
        let (witnessed, witnessed_path) = match reached {
            Some(OwnWitnessed { size, note, .. }) => (note.to_vec(), Some(path(size)?)),
            None => (Vec::new(), None),
        };
        Ok(Outcome::Grown(Grown { checkpoint: status.note.to_vec(), paths, witnessed, witnessed_path }))
    }

    /// Lets everybody see how ledgers stand.
    pub(super) fn publish(&self) {
        let view = self.view();
        let trust = view.trust();
        let parties = trust.charter().parties().keys().filter(|party| **party != view.us.party);
        let of = |party: &PartyCode| Some((party.clone(), self.hold.standing(&self.origin(party)?)));
        let peers = parties.filter_map(of).collect();
        let now = Witnessing { own: self.own.reached(), peers, forks: self.hold.forks() };
        *view.witnessing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
    }

    fn denied(&self, party: &PartyCode, denied: &Denied, shown: &[u8]) {
        info!(target: "witness", peer = %party, code = denied.code(), "{denied}");
        if denied.is_wrong() {
            let proof = if let Denied::ForkSeen(both) = denied { both } else { shown };
            self.wrong(party, denied.code(), (!proof.is_empty()).then_some(proof));
        }
    }

    fn wrong(&self, party: &PartyCode, code: &'static str, proof: Option<&[u8]>) {
        self.view().conduct.wrong(party, code, proof, time::now());
    }
}

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Message(#[from] MessageFault),
    #[error(transparent)]
    Denied(#[from] Denied),
}

fn refused(code: &str) -> Outcome {
    Outcome::Refused(Retry { code: code.to_owned(), after_ms: RETRY_MS })
}

fn not_kept(fault: &StoreFault) -> Denied {
    Denied::NotKept(fault.code())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Denied> + Send + 'static) -> Result<T, Ended> {
    let worked = tokio::task::spawn_blocking(work).await;
    Ok(worked.unwrap_or(Err(Denied::NotKept("engine.stopped")))?)
}
