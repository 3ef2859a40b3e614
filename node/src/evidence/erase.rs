//! Letting go of all evidence of a request whose erasure is on record (SPEC `[F-10]`).
//!
//! By then the thread is unknown to the index, so nothing is served, fetched or sealed for it any more: what is still under
//! way fails by itself. Here its keys, bytes and whatever was kept in memory or mind of it go.

use std::sync::PoisonError;

use comity_core::{
    ids::{EventId, RequestId, ThreadId},
    index::IndexFault,
};

use super::{Evidence, EvidenceFault, FETCH_PREFIX, Room};
use crate::store::{DeskChange, Pending};

impl Evidence {
    /// Whether nothing of a request is being put under seal, fetched or read again at this moment.
    ///
    /// # Errors
    /// [`EvidenceFault::InUse`] if something is.
    pub fn is_at_rest(&self, request: &RequestId) -> Result<(), EvidenceFault> {
        let lot = self.lots().iter().any(|lot| lot.request == *request);
        let view = self.0.handle.view();
        let now = crate::time::now();
        let fetched: Vec<EventId> = {
            let jobs = self.0.jobs();
            jobs.iter().filter(|(_, job)| job.progress.stage().is_under_way()).map(|(event, _)| *event).collect()
        };
        for delivery in fetched {
            if view.hand_over(&delivery, now)?.is_some_and(|found| found.request == *request) {
                return Err(EvidenceFault::InUse);
            }
        }
        if lot { Err(EvidenceFault::InUse) } else { Ok(()) }
    }

    /// Destroys what is here of a request. It waits for the disk: call it from a worker. Fine if done before.
    ///
    /// # Errors
    /// When the disk or the index does not answer; then it is to be done again.
    pub fn erase(&self, request: &RequestId) -> Result<(), EvidenceFault> {
        self.0.erase(request)
    }
}

impl Room {
    fn erase(&self, request: &RequestId) -> Result<(), EvidenceFault> {
        self.lots.discard_of(request);
        let mut gone: Vec<EventId> = Vec::new();
        for (key, _) in self.handle.view().desk.range(FETCH_PREFIX) {
            let delivery = EventId::from_slice(&key[FETCH_PREFIX.len()..]).map_err(|_| IndexFault::Damaged)?;
            if !self.knows(&delivery)? {
                gone.push(delivery);
            }
        }
        let fetches: Vec<EventId> = self.jobs().keys().copied().collect();
        for delivery in fetches {
            if !self.knows(&delivery)?
                && let Some(job) = self.jobs().remove(&delivery)
            {
                job.stop.cancel(); // it ends by itself; what it still writes opens for nobody
            }
        }
        let forgotten = gone.iter().map(|delivery| DeskChange::Delete(super::fetch_key(delivery))).collect();
        self.handle.view().desk.apply(forgotten).and_then(Pending::wait)?;
        self.vault.erase(request, &|delivery| self.knows(delivery).unwrap_or(true))?;
        self.forget(request);
        Ok(())
    }

    /// What is kept in memory of manifests.
    fn forget(&self, request: &RequestId) {
        let mut kept = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let (gone, left) = kept.drain(..).partition(|held| held.manifest.request == *request);
        *kept = left;
        drop(kept);
        let gone: Vec<super::Held> = gone;
        let mut verifications = self.verifications.lock().unwrap_or_else(PoisonError::into_inner);
        verifications.retain(|manifest, _| !gone.iter().any(|held| held.item == *manifest));
    }

    /// True if the event belongs to a thread that is not erased.
    fn knows(&self, event: &EventId) -> Result<bool, IndexFault> {
        let index = &self.handle.view().index;
        let Some(seen) = index.seen(event)? else { return Ok(false) };
        let Ok(thread) = ThreadId::from_slice(&seen.thread_id) else { return Ok(false) };
        Ok(index.thread(&thread)?.is_some())
    }
}
