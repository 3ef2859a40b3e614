//! Evidence on this machine and on its way: put under seal, handed over, fetched, verified, read.
//!
//! The room decides how bytes rest and travel; what was handed over, on which terms and by whom the
//! thread says, through the [`Handle`]. It never shows a byte of an item that is not this Party's to
//! see: not to a taker before the terms are accepted, not to our own people before custody is taken.
//!
//! `vault` is where objects rest; `lots` what is being put under seal; `serve` the giver's side of a
//! stream, `fetch` and `lane` the taker's; `bao` the verified groups between them. Start with [`Evidence`].

mod bao;
mod clock;
mod erase;
mod fault;
mod fetch;
mod lane;
mod lots;
mod pipe;
mod progress;
mod serve;
pub mod vault;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    ids::{AuthorityId, Digest, EventId, ItemId, PartyCode, RequestId},
    manifest::{Item, ItemPath, Manifest, Unsealed, manifest_digest},
    procedure::{DeliveryState, ManifestRef},
    proto,
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    handle::{HandOver, Handle},
    keys::Keyring,
    net::{Opener, SideStream},
    store::{DeskChange, Part, Pending},
    time,
};
use fetch::Fetch;
use lots::{Lots, PIECES_MAX};
use pipe::Pipe;
use progress::Progress;
use vault::{PlainReader, Vault};

pub use clock::{ClockFault, PeerClock};
pub use fault::EvidenceFault;
pub use lots::{FileFacts, LotId, LotLook, SealedLot};
pub use progress::{Look, Stage};
pub use verify::{Finding, Verification};

/// The form of what is put under seal, in every procedure that hands over evidence.
pub const SEAL_FORM: &str = "seal";
/// Streams of takers served at once: each has a thread and 128 KiB while it lasts.
const SERVED_MAX: usize = 64;
/// Encoded bytes of manifests kept read, since one is looked up for every stream and every item read out.
const MANIFESTS_KEPT: u64 = 8 << 20;
/// Where fetches that were asked for lie on the desk.
const FETCH_PREFIX: &[u8] = b"fetch/";

/// The evidence of a running node. Cloned freely.
#[derive(Clone)]
pub struct Evidence(Arc<Room>);

struct Room {
    handle: Handle,
    vault: Vault,
    keys: Arc<Keyring>,
    streams: Opener,
    runtime: Runtime,
    lots: Lots,
    jobs: Mutex<BTreeMap<EventId, Job>>,
    verifications: Mutex<BTreeMap<ItemId, Arc<Verification>>>,
    manifests: Mutex<Vec<Held>>,
    damaged: Mutex<BTreeSet<ItemId>>,
    serving: Arc<Semaphore>,
    /// Places for fetches from each Party.
    fetching: Mutex<BTreeMap<PartyCode, Arc<Semaphore>>>,
    stop: CancellationToken,
}

/// Takes the bytes of a file piece by piece, or the reason why no more come.
pub type Pieces = mpsc::Sender<Result<Vec<u8>, EvidenceFault>>;

/// A fetch that was asked for.
struct Job {
    progress: Arc<Progress>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A manifest held here.
#[derive(Debug, Clone)]
pub struct Held {
    /// The object it rests in.
    pub item: ItemId,
    /// Its digest, by which it is named.
    pub digest: Digest,
    /// Bytes of its encoding.
    pub size: u64,
    /// What it lists.
    pub manifest: Arc<Manifest>,
}

impl Evidence {
    /// Puts the room to work; call within the runtime that is to drive it.
    pub fn start(handle: Handle, vault: Vault, keys: Arc<Keyring>, streams: Opener) -> Self {
        let room = Room {
            handle,
            vault,
            keys,
            streams,
            runtime: Runtime::current(),
            lots: Lots::default(),
            jobs: Mutex::default(),
            verifications: Mutex::default(),
            manifests: Mutex::default(),
            damaged: Mutex::default(),
            serving: Arc::new(Semaphore::new(SERVED_MAX)),
            fetching: Mutex::default(),
            stop: CancellationToken::new(),
        };
        let evidence = Self(Arc::new(room));
        evidence.go_on();
        evidence
    }

    /// What a copy takes of the vault at this moment.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn copy(&self) -> Result<Vec<Part>, EvidenceFault> {
        Ok(self.0.vault.copy()?)
    }

    /// Goes on with every fetch that was asked for and is not done.
    fn go_on(&self) {
        for (key, _) in self.0.handle.view().desk.range(FETCH_PREFIX) {
            if let Ok(delivery) = EventId::from_slice(&key[FETCH_PREFIX.len()..]) {
                self.0.start_fetch(delivery);
            }
        }
    }

    /// Stops every fetch where it stands and waits for that; the next start goes on.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let jobs = std::mem::take(&mut *self.0.jobs());
        for (_, job) in jobs {
            drop(job.task.await); // one that panicked has said so in the log
        }
    }

    /// Asks a peer for its time, over the line that evidence takes (SPEC `[T-5]`).
    ///
    /// # Errors
    /// When there is no link, or the peer does not answer as agreed within ten seconds.
    pub async fn clock(&self, peer: &PartyCode) -> Result<PeerClock, ClockFault> {
        let stream = self.0.streams.evidence(peer).await?;
        clock::ask(stream).await
    }

    /// Serves a taker's stream until it ends.
    pub fn serve(&self, taker: PartyCode, stream: SideStream) {
        let Ok(place) = Arc::clone(&self.0.serving).try_acquire_owned() else {
            tracing::warn!(target: "evidence", code = "evidence.busy", peer = %taker, "too many streams of takers");
            return;
        };
        let room = Arc::clone(&self.0);
        // Whoever stops the node drops the stream, which ends the worker.
        drop(self.0.runtime.spawn_blocking(move || {
            let pipe = Pipe::new(stream, &room.runtime);
            serve::Session::new(room, taker, pipe).run();
            drop(place);
        }));
    }

    /// Begins a lot of files to be put under seal for a request.
    ///
    /// # Errors
    /// When there is no such request, or too many lots are open.
    pub fn begin(&self, request: RequestId, authority: AuthorityId) -> Result<LotId, EvidenceFault> {
        self.0.begin_lot(request, authority)
    }

    /// The open lots.
    #[must_use]
    pub fn lots(&self) -> Vec<LotLook> {
        self.0.look_at_lots()
    }

    /// Puts one file into a lot. Its bytes go into the sender; the worker ends once that is dropped and
    /// all of them are encrypted.
    pub fn put(&self, lot: LotId, facts: FileFacts) -> (Pieces, JoinHandle<Result<Item, EvidenceFault>>) {
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        let room = Arc::clone(&self.0);
        (pieces, self.0.runtime.spawn_blocking(move || room.put_file(&lot, facts, taken)))
    }

    /// Says of a file in a lot that it changed while it was read.
    ///
    /// # Errors
    /// When lot or file are not there.
    pub fn mark_changed(&self, lot: &LotId, path: &ItemPath) -> Result<(), EvidenceFault> {
        self.0.mark_changed(lot, path)
    }

    /// Lists in a lot what was found and carries no bytes.
    ///
    /// # Errors
    /// When the lot is not there, or has the path already.
    pub fn note(&self, lot: &LotId, entry: Unsealed) -> Result<(), EvidenceFault> {
        self.0.put_unsealed(lot, entry)
    }

    /// Puts a lot under seal: on disk first, then on record.
    ///
    /// # Errors
    /// When it is not in order, the disk says no, or the engine does; then nothing is under seal.
    pub async fn seal(
        &self,
        lot: LotId,
        record: proto::Body,
        command_id: [u8; 16],
    ) -> Result<SealedLot, EvidenceFault> {
        self.blocking(move |room| room.seal_lot(&lot, record, command_id)).await
    }

    /// Lets a lot go; nothing of it stays.
    ///
    /// # Errors
    /// When it is not there.
    pub fn discard(&self, lot: &LotId) -> Result<(), EvidenceFault> {
        self.0.discard_lot(lot)
    }

    /// The request that a manifest or item held here belongs to.
    #[must_use]
    pub fn request_of(&self, item: &ItemId) -> Option<RequestId> {
        self.0.vault.row(item).map(|row| row.request)
    }

    /// The manifests of a request held here, ours and the other side's.
    ///
    /// # Errors
    /// When one does not read.
    pub async fn held(&self, request: RequestId) -> Result<Vec<Held>, EvidenceFault> {
        let read = move |room: &Room| {
            let items = room.vault.manifests(&request);
            items.into_iter().map(|item| room.held(item)).collect()
        };
        self.blocking(read).await
    }

    /// One manifest held here.
    ///
    /// # Errors
    /// When it is not, or does not read.
    pub async fn manifest(&self, item: ItemId) -> Result<Held, EvidenceFault> {
        self.blocking(move |room| room.held(item)).await
    }

    /// A manifest held here as a delivery names it.
    ///
    /// # Errors
    /// As [`Self::manifest`]; when it is not ours to give.
    pub async fn named(&self, item: ItemId) -> Result<ManifestRef, EvidenceFault> {
        self.blocking(move |room| room.named(item)).await
    }

    /// Fetches a delivery; asked for again, it goes on where it stood.
    ///
    /// # Errors
    /// When there is no such delivery to us, or it cannot be kept in mind.
    pub async fn fetch(&self, delivery: EventId) -> Result<(), EvidenceFault> {
        self.blocking(move |room| {
            let view = room.handle.view();
            let found = view.hand_over(&delivery, time::now())?.ok_or(EvidenceFault::UnknownDelivery)?;
            if found.taker != view.us.party {
                return Err(EvidenceFault::WrongSide);
            }
            let key = fetch_key(&delivery);
            view.desk.put(&key, b"").and_then(Pending::wait)?;
            Ok(())
        })
        .await?;
        self.0.start_fetch(delivery);
        Ok(())
    }

    /// Stops a fetch where it stands, until it is asked for again.
    ///
    /// # Errors
    /// When none runs, or it cannot be kept in mind.
    pub async fn pause(&self, delivery: EventId) -> Result<(), EvidenceFault> {
        let task = {
            let mut jobs = self.0.jobs();
            let job = jobs.get_mut(&delivery).ok_or(EvidenceFault::UnknownDelivery)?;
            job.stop.cancel();
            std::mem::replace(&mut job.task, self.0.runtime.spawn(async {}))
        };
        drop(task.await); // one that panicked has said so in the log
        self.blocking(move |room| room.forget_fetch(&delivery)).await
    }

    /// How far a delivery is on its way here.
    ///
    /// # Errors
    /// When its manifest does not read.
    pub async fn look(&self, hand_over: &HandOver) -> Result<Look, EvidenceFault> {
        if let Some(job) = self.0.jobs().get(&hand_over.delivery.event) {
            return Ok(job.progress.look());
        }
        let named = hand_over.delivery.manifest.clone();
        self.blocking(move |room| room.look_at_rest(&named)).await
    }

    /// True if all of a delivery is here and verified.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn is_here(&self, hand_over: &HandOver) -> Result<bool, EvidenceFault> {
        let named = hand_over.delivery.manifest.clone();
        self.blocking(move |room| Ok(room.look_at_rest(&named)?.stage == Stage::Done)).await
    }

    /// The plaintext of an item, if it is this Party's to read: put under seal here, or in custody here.
    ///
    /// # Errors
    /// When it is not, or is not held.
    pub async fn open(&self, manifest: ItemId, item: ItemId) -> Result<(Item, PlainReader), EvidenceFault> {
        self.blocking(move |room| room.open(manifest, item)).await
    }

    /// Reads everything a manifest lists again, in the background.
    ///
    /// # Errors
    /// When it is not held, or that runs already.
    pub async fn verify(&self, manifest: ItemId) -> Result<Arc<Verification>, EvidenceFault> {
        let held = self.manifest(manifest).await?;
        verify::start(&self.0, held)
    }

    /// The last verification of a manifest since the node started.
    #[must_use]
    pub fn verification(&self, manifest: &ItemId) -> Option<Arc<Verification>> {
        self.0.verifications.lock().unwrap_or_else(PoisonError::into_inner).get(manifest).cloned()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Room) -> Result<T, EvidenceFault> + Send + 'static,
    ) -> Result<T, EvidenceFault> {
        let room = Arc::clone(&self.0);
        let worker = self.0.runtime.spawn_blocking(move || work(&room));
        worker.await.unwrap_or(Err(EvidenceFault::WorkerLost))
    }
}

fn fetch_key(delivery: &EventId) -> Vec<u8> {
    [FETCH_PREFIX, delivery.as_bytes()].concat()
}

impl Room {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<EventId, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_fetch(self: &Arc<Self>, delivery: EventId) {
        let mut jobs = self.jobs();
        if jobs.get(&delivery).is_some_and(|job| job.progress.stage().is_under_way()) {
            return;
        }
        let (progress, stop) = (Arc::new(Progress::new(Stage::Waiting)), self.stop.child_token());
        let fetch = Fetch::new(Arc::clone(self), delivery, Arc::clone(&progress), stop.clone());
        let room = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let progress = Arc::clone(&fetch.progress);
            fetch.run().await;
            if matches!(progress.stage(), Stage::Done | Stage::Failed) {
                let forgotten = tokio::task::spawn_blocking(move || room.forget_fetch(&delivery)).await;
                if let Ok(Err(fault)) = forgotten {
                    tracing::warn!(target: "evidence", code = fault.code(), "a fetch is asked for again at the next start");
                }
            }
        });
        jobs.insert(delivery, Job { progress, stop, task });
    }

    /// Where fetches from a Party take their place: as many as its streams are enough for, the others in turn.
    fn places(&self, giver: &PartyCode) -> Arc<Semaphore> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let places = fetching.entry(giver.clone()).or_insert_with(|| Arc::new(Semaphore::new(fetch::AT_ONCE_MAX)));
        Arc::clone(places)
    }

    fn forget_fetch(&self, delivery: &EventId) -> Result<(), EvidenceFault> {
        let change = DeskChange::Delete(fetch_key(delivery));
        Ok(self.handle.view().desk.apply(vec![change]).and_then(Pending::wait)?)
    }

    fn manifest(&self, item: &ItemId) -> Result<Arc<Manifest>, EvidenceFault> {
        Ok(self.held(*item)?.manifest)
    }

    /// A manifest held here, read once and kept for a while.
    fn held(&self, item: ItemId) -> Result<Held, EvidenceFault> {
        let kept = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = kept.iter().find(|held| held.item == item) {
            return Ok(held.clone());
        }
        drop(kept);
        if !self.vault.holds(&item) {
            return Err(EvidenceFault::UnknownManifest);
        }
        let bytes = self.vault.read_manifest(&item)?;
        let manifest = Arc::new(Manifest::from_wire(&bytes)?);
        let held = Held { item, digest: manifest_digest(&bytes), size: bytes.len() as u64, manifest };
        let mut kept = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(held.clone());
        while kept.len() > 1 && kept.iter().map(|held| held.size).sum::<u64>() > MANIFESTS_KEPT {
            kept.remove(0);
        }
        Ok(held)
    }

    fn named(&self, item: ItemId) -> Result<ManifestRef, EvidenceFault> {
        let Held { digest, size, manifest, .. } = self.held(item)?;
        if manifest.giver != self.handle.view().us.party {
            return Err(EvidenceFault::WrongSide);
        }
        let row = self.vault.row(&item).ok_or(EvidenceFault::UnknownManifest)?;
        let (items, bytes) = (manifest.items.len() as u64, manifest.bytes());
        Ok(ManifestRef { item, digest, root: row.root, size, items, bytes })
    }

    /// How far a delivery is that nobody fetches at this moment.
    fn look_at_rest(&self, named: &ManifestRef) -> Result<Look, EvidenceFault> {
        let progress = Progress::new(Stage::Paused);
        if !self.vault.holds(&named.item) {
            progress.measure((0, named.items), (0, 0));
            return Ok(progress.look());
        }
        let manifest = self.manifest(&named.item)?;
        let mut here = (0, 0);
        let mut all = (0, 0);
        for item in &manifest.items {
            let size = comity_core::object::object_size(item.size).unwrap_or(item.size);
            all = (all.0 + 1, all.1 + size);
            if self.vault.holds(&item.id) {
                here = (here.0 + 1, here.1 + size);
            }
        }
        progress.measure((here.0, all.0), (here.1, all.1));
        if here.0 == all.0 {
            progress.set(Stage::Done, "", "");
        }
        Ok(progress.look())
    }

    fn open(&self, manifest: ItemId, item: ItemId) -> Result<(Item, PlainReader), EvidenceFault> {
        let held = self.held(manifest)?;
        let listed = held.manifest.items.iter().find(|listed| listed.id == item);
        let listed = listed.ok_or(EvidenceFault::UnknownItem)?.clone();
        let view = self.handle.view();
        if held.manifest.giver != view.us.party {
            let all = view.hand_overs(&held.manifest.request, time::now())?;
            let taken = |hand_over: &HandOver| {
                let delivery = &hand_over.delivery;
                delivery.manifest.item == manifest && matches!(delivery.state, DeliveryState::InCustody { .. })
            };
            if !all.iter().any(taken) {
                return Err(EvidenceFault::NotInCustody);
            }
        }
        if !self.vault.holds(&item) {
            return Err(EvidenceFault::UnknownItem);
        }
        tracing::info!(target: "evidence", item = item.short(), manifest = manifest.short(), "opened");
        Ok((listed, self.vault.plain(&item)?))
    }

    /// Counted with the peer's other misconduct, and shown.
    fn misconduct(&self, party: &PartyCode, code: &'static str) {
        self.handle.view().conduct.wrong(party, code, None, time::now());
    }

    fn damaged(&self, item: ItemId) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(item);
    }

    fn is_damaged(&self, item: &ItemId) -> bool {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(item)
    }
}
