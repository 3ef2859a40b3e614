//! Fetching one delivery: the manifest, then the terms, the room for it, the keys, and the items over
//! several streams at once; and going on after whatever breaks.
//!
//! A fetch is asked for once and goes on by itself, over lost links and restarts of either side, until
//! everything is here and verified, a person pauses it, or it cannot go on. Nothing of an item moves
//! before its terms are accepted and there is room for all of it. Start with [`Fetch::run`].

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use comity_core::{
    engine::{Custody, verify_command},
    ids::{EventId, ItemId},
    manifest::{Item, KeyPage, Manifest},
    object::object_size,
    procedure::DeliveryState,
    proto::CustodyAct,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    EvidenceFault, Held, Room, SEAL_FORM,
    lane::{Lane, Wanted, Work, key_pages},
    pipe::Pipe,
    progress::{Progress, Stage},
    vault::{Expected, ItemKind, Receiver},
};
use crate::{handle::HandOver, net::EVIDENCE_MAX, time};

/// Streams of one delivery: enough that hashing one item and waiting for another overlap on a small
/// machine, and half of what a giver serves one Party.
const LANES: usize = 4;
/// Fetches from one Party at once: what it serves us in streams is enough for so many. One more would find no stream
/// and only try again and again.
pub(super) const AT_ONCE_MAX: usize = EVIDENCE_MAX / LANES;
/// Pauses between attempts: a link that comes back is noticed earlier, by its own event.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One delivery on its way here.
#[derive(Clone)]
pub(super) struct Fetch {
    pub(super) room: Arc<Room>,
    pub(super) delivery: EventId,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
    /// Where each lane stands: kept from one attempt to the next, so that nothing is read again when a
    /// link breaks.
    pub(super) receivers: Receivers,
}

/// One place for each lane's receiver while no lane has it.
pub(super) type Receivers = Arc<[Mutex<Option<Receiver>>; LANES]>;

impl Fetch {
    /// A delivery that is to be fetched.
    pub(super) fn new(room: Arc<Room>, delivery: EventId, progress: Arc<Progress>, stop: CancellationToken) -> Self {
        Self { room, delivery, progress, stop, receivers: Arc::default() }
    }

    /// Goes on until it is done, stopped, or cannot go on; the stage says which.
    pub(super) async fn run(self) {
        let mut pause = PAUSE_MIN;
        loop {
            let before = self.progress.look().fetched;
            let fault = match self.attempt().await {
                Ok(()) => return self.progress.set(Stage::Done, "", ""),
                Err(fault) => fault,
            };
            let stage = match &fault {
                EvidenceFault::Stopped => return self.progress.set(Stage::Paused, "", ""),
                EvidenceFault::TermsNotAccepted => Stage::Terms,
                fault if fault.passes() => Stage::Waiting,
                fault => {
                    self.give_up(fault);
                    return;
                }
            };
            self.progress.set(stage, fault.code(), &fault.to_string());
            let moved = self.progress.look().fetched > before;
            pause = if moved { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            self.wait(pause, stage).await;
            if self.stop.is_cancelled() {
                return self.progress.set(Stage::Paused, "", "");
            }
        }
    }

    fn give_up(&self, fault: &EvidenceFault) {
        tracing::warn!(target: "evidence", delivery = self.delivery.short(), code = fault.code(), "fetch cannot go on");
        if fault.is_misconduct()
            && let Ok(hand_over) = self.hand_over()
        {
            self.room.misconduct(&hand_over.giver, fault.code());
        }
        self.progress.set(Stage::Failed, fault.code(), &fault.to_string());
    }

    /// Until something may have changed: a record, a link, or the time of the next try.
    async fn wait(&self, pause: Duration, stage: Stage) {
        let mut status = self.room.handle.status();
        status.mark_unchanged();
        let news = async {
            // For a link that broke the pause comes first, so that a bad line is not hammered.
            if stage == Stage::Waiting {
                sleep(PAUSE_MIN).await;
            }
            // The node is stopping when nobody tells any more; the stop comes with it.
            drop(status.changed().await);
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = news => {}
            () = sleep(pause) => {}
        }
    }

    async fn attempt(&self) -> Result<(), EvidenceFault> {
        let hand_over = self.hand_over()?;
        let _place = tokio::select! {
            () = self.stop.cancelled() => return Err(EvidenceFault::Stopped),
            place = self.room.places(&hand_over.giver).acquire_owned() => place,
        };
        let manifest = self.manifest(&hand_over).await?;
        match hand_over.delivery.state {
            DeliveryState::TermsAccepted { .. } | DeliveryState::InCustody { .. } => {}
            DeliveryState::Offered => return Err(EvidenceFault::TermsNotAccepted),
            DeliveryState::Disputed { .. } | DeliveryState::Replaced { .. } => {
                return Err(EvidenceFault::UnknownDelivery);
            }
        }
        self.take_keys(&hand_over, &manifest).await?;
        let missing = self.missing(&manifest).await?;
        if !missing.is_empty() {
            self.room.vault.has_room(missing.bytes)?;
            self.progress.set(Stage::Working, "", "");
            self.take_items(&hand_over, missing).await?;
        }
        self.confirm(&hand_over, &manifest).await
    }

    fn hand_over(&self) -> Result<HandOver, EvidenceFault> {
        let view = self.room.handle.view();
        let found = view.hand_over(&self.delivery, time::now())?.ok_or(EvidenceFault::UnknownDelivery)?;
        if found.taker == view.us.party { Ok(found) } else { Err(EvidenceFault::WrongSide) }
    }

    /// The manifest of the delivery: from here, or fetched and held against the giver's event.
    async fn manifest(&self, hand_over: &HandOver) -> Result<Arc<Manifest>, EvidenceFault> {
        let named = hand_over.delivery.manifest.clone();
        if !self.room.vault.holds(&named.item) {
            self.progress.set(Stage::Manifest, "", "");
            self.take_manifest(hand_over).await?;
        }
        let (this, hand_over) = (self.clone(), hand_over.clone());
        self.worker(move || this.check_manifest(&hand_over)).await
    }

    /// What the manifest says must be what the giver's event says of it.
    fn check_manifest(&self, hand_over: &HandOver) -> Result<Arc<Manifest>, EvidenceFault> {
        let named = &hand_over.delivery.manifest;
        let Held { digest, manifest, .. } = self.room.held(named.item)?;
        let view = self.room.handle.view();
        let says = |right: bool, what| if right { Ok(()) } else { Err(EvidenceFault::OtherManifest(what)) };
        says(digest == named.digest, "its digest differs")?;
        says(manifest.network == view.trust().charter().network, "it is of another network")?;
        says(manifest.request == hand_over.request, "it answers another request")?;
        says(manifest.giver == hand_over.giver, "another Party sealed it")?;
        says(manifest.items.len() as u64 == named.items, "it lists another number of items")?;
        says(manifest.bytes() == named.bytes, "its items have another size")?;
        let form = comity_core::ids::StepCode::parse(SEAL_FORM).ok();
        let form = form.and_then(|step| view.rules.form(&hand_over.procedure, &step));
        says(form.is_some_and(|form| form.check(&manifest.record).is_empty()), "its record is not complete")?;
        Ok(manifest)
    }

    async fn take_manifest(&self, hand_over: &HandOver) -> Result<(), EvidenceFault> {
        let (this, named) = (self.clone(), hand_over.delivery.manifest.clone());
        let request = hand_over.request;
        let page = KeyPage { delivery: self.delivery, manifest: named.digest, own: true, first: 0 };
        let size = object_size(named.size).ok_or(EvidenceFault::OtherManifest("its size is none"))?;
        let wanted = Wanted { item: named.item, path: None, size, root: named.root, sha256: named.digest };
        let work = self.work(VecDeque::from([wanted]));
        self.on_stream(hand_over, move |lane| {
            let keys = lane.keys(&page, &[named.item])?;
            let (item, key) = keys.into_iter().next().ok_or(EvidenceFault::BadGrant)?;
            if this.room.vault.row(&item).is_none() {
                let expected = Expected { item, key, size, root: named.root, kind: ItemKind::Manifest };
                this.room.vault.expect(request, &[expected])?;
            }
            // Small and fetched first: a receiver of its own, beside those of the lanes.
            let mut receiver = this.room.vault.receiver(&this.delivery, LANES, &|_| Some(named.digest))?;
            lane.run(&mut receiver, None, &work)?;
            mismatch(&work)
        })
        .await
    }

    /// What is not here yet, the largest first so that no lane is left alone with it at the end; and the
    /// item each lane is at.
    async fn missing(&self, manifest: &Arc<Manifest>) -> Result<Missing, EvidenceFault> {
        let (this, manifest) = (self.clone(), Arc::clone(manifest));
        self.worker(move || this.look_for_missing(&manifest)).await
    }

    /// Work that waits for the disk, on a thread that may.
    async fn worker<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, EvidenceFault> + Send + 'static,
    ) -> Result<T, EvidenceFault> {
        self.room.runtime.spawn_blocking(work).await.unwrap_or(Err(EvidenceFault::WorkerLost))
    }

    fn look_for_missing(&self, manifest: &Manifest) -> Result<Missing, EvidenceFault> {
        let all = manifest.items.iter().map(wanted).collect::<Result<Vec<_>, _>>()?;
        let (items_all, bytes_all) = (all.len() as u64, all.iter().map(|wanted| wanted.size).sum());
        let digests: BTreeMap<ItemId, _> = all.iter().map(|wanted| (wanted.item, wanted.sha256)).collect();
        let mut here = BTreeMap::new();
        for (lane, place) in self.receivers.iter().enumerate() {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            let sha256 = |item: &ItemId| digests.get(item).copied();
            let left = place.take().map_or_else(|| self.room.vault.receiver(&self.delivery, lane, &sha256), Ok);
            let mut receiver = left?;
            // One whose disk refused does not come back to its place.
            receiver.close()?;
            here.extend(receiver.whole().map(|item| (item, None)));
            here.extend(receiver.unfinished().map(|item| (item, Some((lane, receiver.offset(&item))))));
            *place = Some(receiver);
        }
        let mut missing = Missing::default();
        let (mut items, mut bytes) = (0, 0);
        for wanted in all {
            match here.get(&wanted.item) {
                _ if self.room.vault.holds(&wanted.item) => (items, bytes) = (items + 1, bytes + wanted.size),
                Some(None) => (items, bytes) = (items + 1, bytes + wanted.size),
                Some(Some((lane, offset))) => {
                    bytes += offset;
                    missing.bytes += wanted.size - offset;
                    missing.first[*lane] = Some(wanted);
                }
                None => {
                    missing.bytes += wanted.size;
                    missing.queue.push(wanted);
                }
            }
        }
        missing.queue.sort_by(|a, b| b.size.cmp(&a.size).then(a.item.cmp(&b.item)));
        self.progress.measure((items, items_all), (bytes, bytes_all));
        Ok(missing)
    }

    /// The keys of what is not known here yet, page by page, each kept before the next is asked for.
    async fn take_keys(&self, hand_over: &HandOver, manifest: &Arc<Manifest>) -> Result<(), EvidenceFault> {
        let (this, manifest) = (self.clone(), Arc::clone(manifest));
        let (request, digest) = (hand_over.request, hand_over.delivery.manifest.digest);
        let unknown = move |room: &Room, item: &ItemId| room.vault.row(item).is_none();
        if !manifest.items.iter().any(|item| unknown(&self.room, &item.id)) {
            return Ok(());
        }
        self.on_stream(hand_over, move |lane| {
            let order: Vec<ItemId> = manifest.items.iter().map(|item| item.id).collect();
            let missing = |item: &ItemId| unknown(&this.room, item);
            for (first, items) in key_pages(&order, &missing) {
                let page = KeyPage { delivery: this.delivery, manifest: digest, own: false, first };
                let keys = lane.keys(&page, items)?;
                let listed = &manifest.items[usize::try_from(first).unwrap_or(usize::MAX)..];
                let expected = keys.into_iter().zip(listed).filter(|((item, _), _)| missing(item));
                let expected = expected.map(|((item, key), listed)| {
                    let size = wanted(listed)?.size;
                    Ok(Expected { item, key, size, root: listed.root, kind: ItemKind::Item })
                });
                let expected = expected.collect::<Result<Vec<_>, EvidenceFault>>()?;
                this.room.vault.expect(request, &expected)?;
            }
            Ok(())
        })
        .await
    }

    /// All lanes at once. The first fault stops the others; what they proved stays.
    async fn take_items(&self, hand_over: &HandOver, missing: Missing) -> Result<(), EvidenceFault> {
        let work = self.work(missing.queue.into());
        let mut running = tokio::task::JoinSet::new();
        for (number, first) in missing.first.into_iter().enumerate() {
            let (this, hand_over, work) = (self.clone(), hand_over.clone(), Arc::clone(&work));
            running.spawn(async move {
                let (lane, receivers) = (Arc::clone(&work), Arc::clone(&this.receivers));
                let taken = this
                    .on_stream(&hand_over, move |open| {
                        let mut place = receivers[number].lock().unwrap_or_else(PoisonError::into_inner);
                        let receiver = place.as_mut().ok_or(EvidenceFault::WorkerLost)?;
                        let taken = open.run(receiver, first, &lane);
                        if matches!(taken, Err(EvidenceFault::Vault(_))) {
                            // What the disk has is read again; what this one thought it had is not believed.
                            *place = None;
                        }
                        taken
                    })
                    .await;
                if taken.is_err() {
                    work.stop.cancel();
                }
                taken
            });
        }
        let mut first = Ok(());
        while let Some(taken) = running.join_next().await {
            let taken = taken.unwrap_or(Err(EvidenceFault::WorkerLost));
            // Lanes that were stopped because another failed say so; that is not the reason.
            if first.is_ok() || matches!(first, Err(EvidenceFault::Stopped)) {
                first = taken;
            }
        }
        if self.stop.is_cancelled() {
            return Err(EvidenceFault::Stopped);
        }
        first?;
        mismatch(&work)
    }

    fn work(&self, queue: VecDeque<Wanted>) -> Arc<Work> {
        Arc::new(Work {
            queue: Mutex::new(queue),
            stop: self.stop.child_token(),
            progress: Arc::clone(&self.progress),
            mismatched: Mutex::new(Vec::new()),
        })
    }

    /// Opens a stream to the giver and works on it on a thread that may wait.
    async fn on_stream(
        &self,
        hand_over: &HandOver,
        work: impl FnOnce(&mut Lane<crate::net::SideStream>) -> Result<(), EvidenceFault> + Send + 'static,
    ) -> Result<(), EvidenceFault> {
        let stream = self.room.streams.evidence(&hand_over.giver).await.map_err(|_| EvidenceFault::BrokenOff)?;
        let (room, delivery) = (Arc::clone(&self.room), self.delivery);
        self.worker(move || {
            let pipe = Pipe::new(stream, &room.runtime);
            let mut lane = Lane { room, delivery, pipe };
            work(&mut lane)?;
            lane.leave();
            Ok(())
        })
        .await
    }

    /// Everything is here and both digests of every item held: that goes on record, once.
    async fn confirm(&self, hand_over: &HandOver, manifest: &Manifest) -> Result<(), EvidenceFault> {
        if let Some(item) = manifest.items.iter().find(|item| !self.room.vault.holds(&item.id)) {
            tracing::error!(target: "evidence", item = item.id.short(), "an item taken is not held");
            return Err(EvidenceFault::Incomplete);
        }
        let authority = hand_over.taker_authority.clone().ok_or(EvidenceFault::TermsNotAccepted)?;
        let delivery = &hand_over.delivery;
        let custody = Custody {
            command_id: verify_command(&delivery.event),
            request: hand_over.request,
            authority,
            act: CustodyAct::Verify,
            manifest: delivery.manifest.digest,
            items: delivery.manifest.items,
            bytes: delivery.manifest.bytes,
            delivery: Some(delivery.event),
        };
        self.room.handle.state(custody).await?;
        Ok(())
    }
}

/// What is not here yet.
#[derive(Default)]
struct Missing {
    queue: Vec<Wanted>,
    /// The item each lane is at.
    first: [Option<Wanted>; LANES],
    /// Bytes still to come.
    bytes: u64,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.first.iter().all(Option::is_none)
    }
}

fn wanted(item: &Item) -> Result<Wanted, EvidenceFault> {
    let size = object_size(item.size).ok_or(EvidenceFault::OtherManifest("the size of an item is none"))?;
    Ok(Wanted { item: item.id, path: Some(item.path.clone()), size, root: item.root, sha256: item.sha256 })
}

fn mismatch(work: &Work) -> Result<(), EvidenceFault> {
    let mismatched = work.mismatched.lock().unwrap_or_else(PoisonError::into_inner);
    match mismatched.first() {
        None => Ok(()),
        Some(first) => Err(EvidenceFault::Mismatch { count: mismatched.len(), first: first.clone() }),
    }
}
