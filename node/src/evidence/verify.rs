//! Reading everything a manifest lists again: every byte from disk, both digests of every item.

use std::sync::{Arc, Mutex, PoisonError};

use comity_core::manifest::Item;

use super::{EvidenceFault, Held, Look, Room, Stage, progress::Progress};

/// Findings kept of one verification: more would not be read.
const FINDINGS_MAX: usize = 1_000;

/// A verification under way or done.
#[derive(Debug)]
pub struct Verification {
    progress: Progress,
    findings: Mutex<Vec<Finding>>,
}

/// An item that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it lay.
    pub path: String,
    /// What was found: a stable code.
    pub code: &'static str,
    /// The same in words, with the place in the object.
    pub detail: String,
}

impl Verification {
    /// How far it is.
    #[must_use]
    pub fn look(&self) -> Look {
        self.progress.look()
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Begins to read; what is found is in the verification that comes back.
pub(super) fn start(room: &Arc<Room>, held: Held) -> Result<Arc<Verification>, EvidenceFault> {
    let mut all = room.verifications.lock().unwrap_or_else(PoisonError::into_inner);
    if all.get(&held.item).is_some_and(|old| old.progress.stage().is_under_way()) {
        return Err(EvidenceFault::UnderWay);
    }
    let verification = Arc::new(Verification { progress: Progress::new(Stage::Working), findings: Mutex::default() });
    let items = &held.manifest.items;
    let bytes = items.iter().map(|item| item.size).sum();
    verification.progress.measure((0, items.len() as u64), (0, bytes));
    all.insert(held.item, Arc::clone(&verification));
    let (room, mine) = (Arc::clone(room), Arc::clone(&verification));
    let runtime = room.runtime.clone();
    // It is watched through the verification itself, and ends when the node stops.
    drop(runtime.spawn_blocking(move || mine.read_all(&room, &held)));
    Ok(verification)
}

impl Verification {
    fn read_all(&self, room: &Room, held: &Held) {
        for item in &held.manifest.items {
            if room.stop.is_cancelled() {
                return self.progress.set(Stage::Paused, "", "");
            }
            self.read(room, item);
            self.progress.moved(item.size);
            self.progress.finished_item();
        }
        let found = self.findings.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        match found {
            None => self.progress.set(Stage::Done, "", ""),
            Some(first) => self.progress.set(Stage::Failed, first.code, &first.detail),
        }
    }

    fn read(&self, room: &Room, item: &Item) {
        let Err(fault) = room.vault.verify(&item.id, &item.sha256) else { return };
        tracing::warn!(target: "evidence", item = item.id.short(), code = fault.code(), "an item does not verify");
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() < FINDINGS_MAX {
            let (path, detail) = (item.path.to_string(), fault.to_string());
            findings.push(Finding { path, code: fault.code(), detail });
        }
    }
}
