//! What can be wrong with an exported ledger, or keep one from being written.

use std::{io, path::Path, path::PathBuf};

use comity_core::{ids::Origin, ledger::LedgerFault, profile::ProfileFault, wire::WireFault};

/// Why a ledger was not exported, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum TlogFault {
    /// Something stands where the folder should go.
    #[error("tlog.exists: nothing was exported; {} is there already; name a folder that is not", .0.display())]
    Exists(PathBuf),
    /// The disk did not take it.
    #[error("tlog.disk: the export was not finished; {}: {cause}; make room or choose another disk, and begin again", .path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file that must be there cannot be read, or is far too large.
    #[error(
        "tlog.unreadable: the ledger was not checked to its end; {} cannot be read: {cause}; have it exported again", .path.display()
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The documents are no bundle.
    #[error("tlog.no-documents: the ledger was not checked; its documents do not read: {0}; have it exported again")]
    NoDocuments(WireFault),
    /// No charter of this fingerprint is among the documents.
    #[error(
        "tlog.other-charter: the ledger was not checked; no charter among its documents has the fingerprint given; \
         compare that with the printed minutes"
    )]
    OtherCharter,
    /// The charter of the fingerprint does not hold, or one after it.
    #[error("tlog.bad-charter: the ledger was not checked; a charter among its documents does not hold: {0}")]
    BadCharter(ProfileFault),
    /// No profile that holds names the ledger.
    #[error(
        "tlog.unknown-ledger: the ledger does not hold; no profile among its documents names {0}, or none that holds; \
         have it exported again, with the Party's newest profile"
    )]
    UnknownLedger(Origin),
    /// The checkpoint is not signed as it must be.
    #[error("{0}; it is the checkpoint of the export")]
    Checkpoint(LedgerFault),
    /// Two checkpoints do not prove a fork.
    #[error("{0}; it is the proof of a fork")]
    Fork(LedgerFault),
    /// A tile or bundle does not read.
    #[error("{fault}; it is {}", .path.display())]
    Misread {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        fault: LedgerFault,
    },
    /// A tile is not what lies below it.
    #[error(
        "tlog.wrong-tile: the ledger does not hold; {} is not the tile that its entries give; keep it as evidence", .0.display()
    )]
    WrongTile(PathBuf),
    /// The entries have another root.
    #[error(
        "tlog.wrong-root: the ledger does not hold; its entries have another root than its checkpoint signs; keep it as evidence"
    )]
    WrongRoot,
}

impl TlogFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "tlog.exists",
            Self::Disk { .. } => "tlog.disk",
            Self::Unreadable { .. } => "tlog.unreadable",
            Self::NoDocuments(_) => "tlog.no-documents",
            Self::OtherCharter => "tlog.other-charter",
            Self::BadCharter(_) => "tlog.bad-charter",
            Self::UnknownLedger(_) => "tlog.unknown-ledger",
            Self::Checkpoint(fault) | Self::Fork(fault) | Self::Misread { fault, .. } => fault.code(),
            Self::WrongTile(_) => "tlog.wrong-tile",
            Self::WrongRoot => "tlog.wrong-root",
        }
    }

    /// True if the ledger was looked at and does not hold, and not merely that it could not be.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        match self {
            Self::Exists(_) | Self::Disk { .. } | Self::Unreadable { .. } => false,
            Self::NoDocuments(_)
            | Self::OtherCharter
            | Self::BadCharter(_)
            | Self::UnknownLedger(_)
            | Self::Checkpoint(_)
            | Self::Fork(_)
            | Self::Misread { .. }
            | Self::WrongTile(_)
            | Self::WrongRoot => true,
        }
    }

    pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |cause| Self::Disk { path, cause }
    }
}
