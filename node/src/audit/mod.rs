//! The audit tree: who at this node was given contents of a case, and who did what, each on disk before it happens.
//!
//! It is a second ledger of the node, of the same segments and tiles, in a folder of its own, under a key of its own and a
//! name that no profile lists. Decides when an access or act may go on: once its record is on disk, else not at all.
//! Never decides what is recorded, which the table of routes says, and never reads contents. No peer is shown any of it:
//! the rooms that speak to peers do not know this one. Serves SPEC `[A-*]`.
//!
//! Start with [`Audit::record`].

mod fault;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use comity_core::{
    crypto::{DataKey, Signer, hmac_sha256},
    ids::{EventId, LedgerIndex, NetworkName, Origin, PartyCode, Time},
    ledger::{Checkpoint, LedgerFault},
    officer::Signed,
    profile::Trust,
    proto::{ApprovalEntry, AuditEntry, RecordKind},
    record::{self, Asked, Moment, Record},
};

pub use fault::AuditFault;

use crate::{
    store::{Damage, DamageKind, Ledger, Opened, StoreFault, StoredRecord, random},
    time,
};

/// Its place in the data folder.
pub const FOLDER: &str = "audit";

/// The audit tree of a node.
pub struct Audit {
    ledger: Arc<Ledger>,
    party: PartyCode,
    origin: Origin,
    /// The time of the last record: none is earlier than the one before.
    last: Mutex<Time>,
    /// Why nothing can be written to it any more in this life of the node: a code of the store.
    failed: OnceLock<&'static str>,
}

/// One record, read.
#[derive(Debug)]
pub struct Audited {
    /// Where it stands.
    pub index: LedgerIndex,
    /// `Access`, `Act` or `Approval`.
    pub kind: RecordKind,
    /// Who asked for what.
    pub entry: AuditEntry,
    /// What an officer said, if that is what it is about.
    pub approval: Option<ApprovalEntry>,
}

/// Opens the tree's files in a data folder, or makes them.
///
/// # Errors
/// As [`Ledger::open_audit`].
pub fn open_ledger(data: &Path, ledger_key: &DataKey) -> Result<(Ledger, Opened), StoreFault> {
    Ledger::open_audit(&data.join(FOLDER), &key(ledger_key))
}

/// The key of all its records follows from the node's ledger key, so that there is no further secret to keep.
fn key(ledger_key: &DataKey) -> DataKey {
    DataKey::new(hmac_sha256(ledger_key.expose(), &[b"comity audit key v1\0"]))
}

impl Audit {
    /// Takes up an open tree as that of this Party.
    ///
    /// # Errors
    /// When its last record does not read though nothing is known to be damaged.
    pub fn new(ledger: Ledger, party: &PartyCode, network: &NetworkName) -> Result<Self, StoreFault> {
        let last = match ledger.size().checked_sub(1) {
            Some(last) if ledger.read_only().is_none() => Time(ledger.read(LedgerIndex(last))?.node.recorded_ms),
            Some(_) | None => Time(0),
        };
        let (party, origin) = (party.clone(), Origin::audit(party, network));
        Ok(Self { ledger: Arc::new(ledger), party, origin, last: Mutex::new(last), failed: OnceLock::new() })
    }

    /// Its name in checkpoints.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its records and their proofs.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Why nothing of a case is shown and nothing done, until a person has looked.
    #[must_use]
    pub fn fault(&self) -> Option<AuditFault> {
        let damaged = self.ledger.read_only().map(|damage| AuditFault::Damaged(damage.code()));
        damaged.or_else(|| self.failed.get().map(|code| AuditFault::NotWritten(code)))
    }

    /// Records what is asked. What is asked for may go on once this returns well: then it is on disk.
    ///
    /// # Errors
    /// When it cannot be recorded: then nothing may be given out or done.
    pub async fn record(&self, trust: &Trust, asked: Asked) -> Result<(), AuditFault> {
        self.append(trust, |moment| record::audit(moment, (&self.party, &self.origin), asked)).await
    }

    /// Records that an officer approved something, and which event it became if it has.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn approved(
        &self,
        trust: &Trust,
        asked: Asked,
        signed: &Signed,
        event: Option<&EventId>,
    ) -> Result<(), AuditFault> {
        self.append(trust, |moment| record::approval(moment, (&self.party, &self.origin), asked, signed, event)).await
    }

    async fn append(&self, trust: &Trust, record: impl FnOnce(&Moment<'_>) -> Record) -> Result<(), AuditFault> {
        let submitted = {
            // Handed over under the lock, so that the tree has the records in the order of their times.
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let recorded = time::now().max(*last);
            *last = recorded;
            let moment = Moment { trust, recorded, salt: random() };
            self.ledger.append(vec![record(&moment)])?
        };
        match submitted.await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_fatal() => Err(AuditFault::NotWritten(self.failed.get_or_init(|| fault.code()))),
            Err(fault) => Err(fault.into()),
        }
    }

    /// One record.
    ///
    /// # Errors
    /// When it is not there or does not read.
    pub fn read(&self, index: LedgerIndex) -> Result<Audited, StoreFault> {
        let StoredRecord { kind, case, .. } = self.ledger.read(index)?;
        let entry = case.as_ref().and_then(record::audit_entry);
        let bad = Damage { kind: DamageKind::Record, record: index.0, segment: 0, offset: 0 };
        let approval = case.as_ref().and_then(record::audit_approval);
        entry.map(|entry| Audited { index, kind, entry, approval }).ok_or(StoreFault::Damaged(bad))
    }

    /// Signs all records that are on disk and keeps the note, if any of them is unsigned and the tree is whole.
    ///
    /// A crash before the note is kept leaves the one before; nobody has seen the other.
    ///
    /// # Errors
    /// When the tree has no root, the signer none of the keys it needs, or the disk refuses. A note whose sync failed may
    /// be on disk or not: nothing more is recorded until the next start has looked.
    pub fn sign(&self, signer: &dyn Signer, now: Time) -> Result<(), AuditFault> {
        let size = self.ledger.size();
        if size <= self.ledger.signed() || self.ledger.read_only().is_some() {
            return Ok(());
        }
        let unsigned = |fault: LedgerFault| AuditFault::from(StoreFault::from(fault));
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root: self.ledger.root_at(size)? };
        let note = checkpoint.sign(signer, now).map_err(unsigned)?;
        let kept = self.ledger.save_checkpoint(note.as_bytes());
        if kept.as_ref().is_err_and(StoreFault::is_fatal) {
            self.ledger.forbid(Damage { kind: DamageKind::Checkpoint, record: size, segment: 0, offset: 0 });
        }
        Ok(kept?)
    }
}
