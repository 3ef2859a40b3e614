//! What can go wrong in the vault, each with its stable code.

use std::{io, path::Path, sync::Arc};

use comity_core::{
    ids::{ItemId, RequestId},
    object::ObjectFault,
};

/// Why the vault did not do something. Nothing that was promised is lost by any of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultFault {
    /// A file or folder does not do what it must.
    #[error("evidence.unreadable: the vault does not open; {path} says: {source}; correct that and try again")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The object store says no.
    #[error("evidence.storage-failed: the vault did not read or move an object; the storage says: {0}; try again")]
    Storage(String),
    /// A write or sync failed.
    #[error("evidence.write-failed: nothing was taken in; {what} failed: {source}; look at the disk, then try again")]
    Write {
        /// Of what.
        what: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is full.
    #[error("evidence.disk-full: nothing was taken in; the disk is full; make room, then try again: nothing is lost")]
    DiskFull,
    /// There would not be room for all of it.
    #[error(
        "evidence.no-space: nothing was fetched; {needed} bytes must be free on the vault's disk and {free} are; \
         make room, then try again"
    )]
    NoSpace {
        /// With what must stay free.
        needed: u64,
        /// As the system says.
        free: u64,
    },
    /// The request has no content key.
    #[error("evidence.no-content-key: nothing was done; the keys of request {0} do not exist or were destroyed")]
    NoContentKey(RequestId),
    /// No such item.
    #[error("evidence.not-held: nothing was opened; item {0} does not rest here whole; see: comity evidence list")]
    NotHeld(ItemId),
    /// A slot of the catalogue is not what was written.
    #[error(
        "evidence.bad-slot: the item does not open; slot {0} of the vault's catalogue is damaged; restore it from a backup"
    )]
    BadSlot(u32),
    /// The frame before an object in its pack is not what was written.
    #[error(
        "evidence.bad-frame: item {0} does not open; the frame before it in its pack is damaged; \
         restore the pack from a backup, or fetch the item again"
    )]
    BadFrame(ItemId),
    /// The object is not what was sealed.
    #[error("{code}: item {item}: {fault}", code = .fault.code())]
    Object {
        /// Which item.
        item: ItemId,
        /// What is wrong with it.
        fault: ObjectFault,
    },
    /// The object has another root.
    #[error("evidence.wrong-root: item {0} is not what was signed; its object has another BLAKE3 root; fetch it again")]
    WrongRoot(ItemId),
    /// The plaintext has another digest.
    #[error(
        "evidence.wrong-digest: item {0} is not what its manifest says; its plaintext has another SHA-256; \
         dispute the delivery"
    )]
    WrongDigest(ItemId),
    /// The hashes beside the object are not its own.
    #[error(
        "evidence.bad-hashes: item {item} cannot be handed on; the hashes beside it are damaged at byte {offset}; \
         the item itself is whole; restore its pack from a backup"
    )]
    BadHashes {
        /// Which item.
        item: ItemId,
        /// Where, in the hashes.
        offset: u64,
    },
    /// More bytes came than the object has.
    #[error("evidence.too-long: item {0} was not taken; more bytes came than its object has")]
    TooLong(ItemId),
}

impl VaultFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "evidence.unreadable",
            Self::Storage(_) => "evidence.storage-failed",
            Self::Write { .. } => "evidence.write-failed",
            Self::DiskFull => "evidence.disk-full",
            Self::NoSpace { .. } => "evidence.no-space",
            Self::NoContentKey(_) => "evidence.no-content-key",
            Self::NotHeld(_) => "evidence.not-held",
            Self::BadSlot(_) => "evidence.bad-slot",
            Self::BadFrame(_) => "evidence.bad-frame",
            Self::Object { fault, .. } => fault.code(),
            Self::WrongRoot(_) => "evidence.wrong-root",
            Self::WrongDigest(_) => "evidence.wrong-digest",
            Self::BadHashes { .. } => "evidence.bad-hashes",
            Self::TooLong(_) => "evidence.too-long",
        }
    }

    pub(super) fn preparing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        |fault| if is_full(&fault) { Self::DiskFull } else { Self::Unreadable { path, source: Arc::new(fault) } }
    }

    pub(super) fn writing(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |fault| if is_full(&fault) { Self::DiskFull } else { Self::Write { what, source: Arc::new(fault) } }
    }

    pub(super) fn store(fault: &object_store::Error) -> Self {
        Self::Storage(fault.to_string())
    }

    pub(super) fn object(item: &ItemId, fault: ObjectFault) -> Self {
        Self::Object { item: *item, fault }
    }
}

fn is_full(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
