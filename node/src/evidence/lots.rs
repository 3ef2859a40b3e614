//! Lots: what is being put under seal together, file by file, until its manifest is sealed.
//!
//! Nothing of a lot counts before that: a lot that is discarded, or whose node is killed, leaves
//! nothing, and its files are put in anew under other keys. Then the vault has all of it on disk
//! before the custody statement that seals it is signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    engine::Custody,
    ids::{AuthorityId, Digest, ItemId, RequestId, Time},
    manifest::{ITEMS_MAX, Item, ItemPath, Manifest, Unsealed, manifest_digest},
    procedure::ManifestRef,
    proto::{self, CustodyAct},
};
use tokio::sync::mpsc;

use super::{
    EvidenceFault, Room,
    vault::{Intake, ItemIntake},
};
use crate::time;

/// Lots open at once: each holds a pack of small files and the keys of all of them in memory.
const LOTS_MAX: usize = 8;
/// So much of the beginning of a file shows what it is.
const HEAD: usize = 8 << 10;
/// Pieces of an upload waiting for the vault: with 64 KiB each, half a MiB for each upload.
pub(super) const PIECES_MAX: usize = 8;

/// Names an open lot.
pub type LotId = RequestId;

/// What is being put under seal together.
pub(super) struct Lot {
    request: RequestId,
    authority: AuthorityId,
    intake: Intake,
    items: Vec<Item>,
    unsealed: Vec<Unsealed>,
    paths: BTreeSet<ItemPath>,
    begun: Time,
}

/// A lot as others see it.
#[derive(Debug, Clone)]
pub struct LotLook {
    /// Its id.
    pub id: LotId,
    /// The request it is for.
    pub request: RequestId,
    /// Which of our authorities puts it under seal.
    pub authority: AuthorityId,
    /// When it was begun.
    pub begun: Time,
    /// Files in it.
    pub items: u64,
    /// Bytes of plaintext in it.
    pub bytes: u64,
}

/// What is known of a file besides its bytes.
#[derive(Debug, Clone)]
pub struct FileFacts {
    /// Where it lay.
    pub path: ItemPath,
    /// When it was last modified, as the file system said.
    pub modified_ms: i64,
    /// Items it was made from, ascending.
    pub derived_from: Vec<ItemId>,
}

/// A lot under seal.
#[derive(Debug, Clone)]
pub struct SealedLot {
    /// Its manifest, as deliveries name it.
    pub manifest: ManifestRef,
    /// The custody statement that seals it: its record id.
    pub record: Digest,
    /// Where that stands in our ledger.
    pub index: u64,
}

type Shared = Arc<Mutex<Option<Lot>>>;

/// The open lots.
#[derive(Default)]
pub(super) struct Lots(Mutex<BTreeMap<LotId, Shared>>);

impl Lots {
    fn all(&self) -> MutexGuard<'_, BTreeMap<LotId, Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lot that nobody else works on at this moment.
    fn take<'l>(&self, shared: &'l Shared) -> Result<MutexGuard<'l, Option<Lot>>, EvidenceFault> {
        match shared.try_lock() {
            Ok(lot) => Ok(lot),
            Err(std::sync::TryLockError::Poisoned(lot)) => Ok(lot.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => Err(EvidenceFault::LotBusy),
        }
    }

    /// Lets go of all lots of a request. One that somebody works on goes with its next file: its keys are gone.
    pub(super) fn discard_of(&self, request: &RequestId) {
        self.all().retain(|_, shared| {
            let lot = shared.try_lock();
            lot.map_or(true, |lot| lot.as_ref().is_some_and(|lot| lot.request != *request))
        });
    }

    fn find(&self, id: &LotId) -> Result<Shared, EvidenceFault> {
        self.all().get(id).cloned().ok_or(EvidenceFault::UnknownLot)
    }
}

impl Room {
    pub(super) fn begin_lot(&self, request: RequestId, authority: AuthorityId) -> Result<LotId, EvidenceFault> {
        let view = self.handle.view();
        if view.index.threads_of(&request)?.is_empty() {
            return Err(EvidenceFault::UnknownRequest);
        }
        let mut all = self.lots.all();
        if all.len() >= LOTS_MAX {
            return Err(EvidenceFault::TooManyLots);
        }
        let id = LotId::new(crate::store::random());
        let lot = Lot {
            request,
            authority,
            intake: self.vault.begin(request)?,
            items: Vec::new(),
            unsealed: Vec::new(),
            paths: BTreeSet::new(),
            begun: time::now(),
        };
        all.insert(id, Arc::new(Mutex::new(Some(lot))));
        Ok(id)
    }

    pub(super) fn look_at_lots(&self) -> Vec<LotLook> {
        let all = self.lots.all();
        let look = |(id, shared): (&LotId, &Shared)| {
            let lot = shared.lock().unwrap_or_else(PoisonError::into_inner);
            lot.as_ref().map(|lot| lot.look(*id))
        };
        all.iter().filter_map(look).collect()
    }

    /// Takes one file: its bytes come in pieces, the last of which is none.
    pub(super) fn put_file(
        &self,
        id: &LotId,
        facts: FileFacts,
        mut pieces: mpsc::Receiver<Result<Vec<u8>, EvidenceFault>>,
    ) -> Result<Item, EvidenceFault> {
        let shared = self.lots.find(id)?;
        let mut lot = self.lots.take(&shared)?;
        let lot = lot.as_mut().ok_or(EvidenceFault::UnknownLot)?;
        lot.check_path(&facts.path)?;
        let mut head = Vec::with_capacity(HEAD);
        let mut intake = lot.intake.open()?;
        while let Some(piece) = pieces.blocking_recv() {
            let piece = piece?;
            head.extend_from_slice(&piece[..piece.len().min(HEAD - head.len())]);
            intake.write(&piece)?;
        }
        let item = finish(intake, facts, &head)?;
        lot.paths.insert(item.path.clone());
        lot.items.push(item.clone());
        Ok(item)
    }

    /// Says of a file in the lot that it changed while it was read.
    pub(super) fn mark_changed(&self, id: &LotId, path: &ItemPath) -> Result<(), EvidenceFault> {
        let shared = self.lots.find(id)?;
        let mut lot = self.lots.take(&shared)?;
        let lot = lot.as_mut().ok_or(EvidenceFault::UnknownLot)?;
        let item = lot.items.iter_mut().rev().find(|item| item.path == *path);
        item.ok_or(EvidenceFault::UnknownItem)?.changed = true;
        Ok(())
    }

    pub(super) fn put_unsealed(&self, id: &LotId, entry: Unsealed) -> Result<(), EvidenceFault> {
        let shared = self.lots.find(id)?;
        let mut lot = self.lots.take(&shared)?;
        let lot = lot.as_mut().ok_or(EvidenceFault::UnknownLot)?;
        lot.check_path(&entry.path)?;
        lot.paths.insert(entry.path.clone());
        lot.unsealed.push(entry);
        Ok(())
    }

    pub(super) fn discard_lot(&self, id: &LotId) -> Result<(), EvidenceFault> {
        self.lots.all().remove(id).map(drop).ok_or(EvidenceFault::UnknownLot)
    }

    /// Writes the manifest, has all of the lot on disk, and then has the statement signed.
    pub(super) fn seal_lot(
        &self,
        id: &LotId,
        record: proto::Body,
        command_id: [u8; 16],
    ) -> Result<SealedLot, EvidenceFault> {
        let shared = self.lots.find(id)?;
        let mut held = self.lots.take(&shared)?;
        let lot = held.as_mut().ok_or(EvidenceFault::UnknownLot)?;
        let manifest = self.manifest_of(lot, record);
        let bytes = manifest.to_wire();
        // What we would refuse from a peer is not put under seal either.
        Manifest::from_wire(&bytes)?;
        let lot = held.take().ok_or(EvidenceFault::UnknownLot)?;
        self.lots.all().remove(id);
        let digest = manifest_digest(&bytes);
        let sealed = lot.intake.seal(&bytes)?;
        let (items, total) = (manifest.items.len() as u64, manifest.bytes());
        let custody = Custody {
            command_id,
            request: lot.request,
            authority: lot.authority,
            act: CustodyAct::Seal,
            manifest: digest,
            items,
            bytes: total,
            delivery: None,
        };
        let done = self.runtime.block_on(self.handle.state(custody));
        let done = done.map_err(|refused| self.unseal(&manifest, sealed.item, refused.into()))?;
        let manifest =
            ManifestRef { item: sealed.item, digest, root: sealed.root, size: sealed.size, items, bytes: total };
        Ok(SealedLot { manifest, record: Digest::new(*done.event.as_bytes()), index: done.index.0 })
    }

    fn manifest_of(&self, lot: &Lot, record: proto::Body) -> Manifest {
        let view = self.handle.view();
        let (mut items, mut unsealed) = (lot.items.clone(), lot.unsealed.clone());
        items.sort_by(|a, b| a.path.cmp(&b.path));
        unsealed.sort_by(|a, b| a.path.cmp(&b.path));
        Manifest {
            network: view.trust().charter().network.clone(),
            request: lot.request,
            giver: view.us.party.clone(),
            authority: lot.authority.clone(),
            sealed: time::now(),
            record,
            items,
            unsealed,
        }
    }

    /// What no statement seals is no evidence: its keys go again.
    fn unseal(&self, manifest: &Manifest, own: ItemId, why: EvidenceFault) -> EvidenceFault {
        for item in manifest.items.iter().map(|item| item.id).chain([own]) {
            if let Err(fault) = self.vault.destroy(&item) {
                tracing::warn!(target: "evidence", code = fault.code(), "an item without a seal was not removed");
            }
        }
        why
    }
}

impl Lot {
    fn check_path(&self, path: &ItemPath) -> Result<(), EvidenceFault> {
        if self.paths.len() >= ITEMS_MAX {
            return Err(EvidenceFault::LotFull);
        }
        let above = |path: &ItemPath| {
            let names = path.names();
            (1..names.len())
                .any(|depth| ItemPath::new(names[..depth].to_vec()).is_ok_and(|above| self.paths.contains(&above)))
        };
        let below = self.paths.range(path.clone()..).next().is_some_and(|next| path.holds(next));
        if below || above(path) { Err(EvidenceFault::PathTaken) } else { Ok(()) }
    }

    fn look(&self, id: LotId) -> LotLook {
        LotLook {
            id,
            request: self.request,
            authority: self.authority.clone(),
            begun: self.begun,
            items: self.items.len() as u64,
            bytes: self.items.iter().map(|item| item.size).sum(),
        }
    }
}

fn finish(intake: ItemIntake<'_>, facts: FileFacts, head: &[u8]) -> Result<Item, EvidenceFault> {
    let sealed = intake.finish()?;
    Ok(Item {
        id: sealed.item,
        path: facts.path,
        size: sealed.size,
        sha256: sealed.sha256,
        root: sealed.root,
        modified_ms: facts.modified_ms,
        media_type: infer::get(head).map_or("", |kind| kind.mime_type()).to_owned(),
        changed: false,
        derived_from: facts.derived_from,
    })
}
