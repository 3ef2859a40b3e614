//! What can go wrong with backups, each with its stable code. No text holds a secret or a fact of a case.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use comity_core::index::IndexFault;

use crate::{evidence::EvidenceFault, keys::KeyFault, store::StoreFault};

/// Why a backup was not made, does not hold, or was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// The settings do not say where to.
    #[error(
        "backup.not-configured: nothing was copied; the settings do not name {0}; \
         set backup.folder, backup.recipients and backup.erasures, then start the node again"
    )]
    NotConfigured(&'static str),
    /// One recovery key alone would be one accident alone.
    #[error(
        "backup.too-few-recipients: nothing was copied; {0} recovery keys are named and at least two different ones must be; \
         add one to backup.recipients"
    )]
    TooFewRecipients(usize),
    /// A file is no public half of a recovery key.
    #[error("backup.bad-recipient: nothing was done; {path} is no public half of a recovery key: {why}", path = .path.display())]
    BadRecipient {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another backup is being made or verified.
    #[error("backup.busy: nothing was done; a backup is being made or verified at this moment; wait for it")]
    Busy,
    /// The node is stopping.
    #[error("backup.stopped: no backup was made; the node is stopping; what was written of it serves the next one")]
    Stopped,
    /// A file or folder does not do what it must.
    #[error("backup.disk: not done; {path} says: {source}; correct that and try again: what was there is as it was", path = .path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// No chain, or no backup in it.
    #[error("backup.none: nothing was done; there is no backup in {}; check the folder", .0.display())]
    None(PathBuf),
    /// The chain that goes on is not where it was.
    #[error(
        "backup.chain-missing: nothing was copied; the chain that was written to last is not in {}; mount that disk, \
         or begin a new chain with --full", .0.display()
    )]
    ChainMissing(PathBuf),
    /// A file of the backup is not what was written.
    #[error("backup.damaged: {path} is {why}; take another copy of the backup, or an older one; \
         a node begins a new chain with: comity backup create --full", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The recovery key is none of the recipients'.
    #[error("backup.not-a-recipient: nothing was opened; the backup was not made for this recovery key; name another")]
    NotARecipient,
    /// The key-encryption key it was made under was destroyed.
    #[error(
        "backup.dead: nothing was opened; it was made under generation {0} of the key-encryption key, which is not in this key \
         folder; use a newer backup, or a copy of the key folder that still has it"
    )]
    Dead(u32),
    /// Recovery key and key folder are right, and yet it does not open.
    #[error(
        "backup.wrong-keys: nothing was opened; the key folder is not that of the node the backup is of; name that one"
    )]
    WrongKeys,
    /// The list of erasures is missing or does not read.
    #[error(
        "backup.no-erasure-list: nothing was done; {path}: {why}; without the list of erasures what was erased would come back",
        path = .path.display()
    )]
    NoErasureList {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The list of erasures is older than the backup.
    #[error(
        "backup.old-erasure-list: nothing was put back; {} lacks erasures that the backup itself knows of; find the newest list",
        .0.display()
    )]
    OldErasureList(PathBuf),
    /// A folder that is to be made holds a node already.
    #[error(
        "backup.folder-in-use: nothing was put back; {} is there already and is never overwritten; name an empty data folder",
        .0.display()
    )]
    FolderInUse(PathBuf),
    /// What was put back is not what the backup says.
    #[error(
        "backup.not-whole: the folder was not put in place; {0}; take another copy of the backup, or an older backup"
    )]
    NotWhole(String),
    /// What was erased cannot be asked.
    #[error(transparent)]
    Index(#[from] IndexFault),
    /// What is copied.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// What is copied.
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyFault),
}

impl BackupFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured(_) => "backup.not-configured",
            Self::TooFewRecipients(_) => "backup.too-few-recipients",
            Self::BadRecipient { .. } => "backup.bad-recipient",
            Self::Busy => "backup.busy",
            Self::Stopped => "backup.stopped",
            Self::Disk { .. } => "backup.disk",
            Self::None(_) => "backup.none",
            Self::ChainMissing(_) => "backup.chain-missing",
            Self::Damaged { .. } => "backup.damaged",
            Self::NotARecipient => "backup.not-a-recipient",
            Self::Dead(_) => "backup.dead",
            Self::WrongKeys => "backup.wrong-keys",
            Self::NoErasureList { .. } => "backup.no-erasure-list",
            Self::OldErasureList(_) => "backup.old-erasure-list",
            Self::FolderInUse(_) => "backup.folder-in-use",
            Self::NotWhole(_) => "backup.not-whole",
            Self::Index(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Evidence(fault) => fault.code(),
            Self::Keys(fault) => fault.code(),
        }
    }

    /// True if a backup or a disk is not as it should be; the rest is for whoever gave the command to correct.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::NotWhole(_) | Self::Disk { .. } | Self::Store(_) | Self::Evidence(_)
        )
    }

    pub(super) fn disk(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path: path.clone(), source: Arc::new(source) }
    }

    pub(super) fn damaged(path: &Path, why: &'static str) -> Self {
        Self::Damaged { path: path.to_owned(), why }
    }
}
