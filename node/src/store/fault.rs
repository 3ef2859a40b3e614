//! What can go wrong on disk, as the caller can act on it, and the codes people read.
//!
//! Passing faults leave the store as it was; fatal ones end the writer for good. Damage is neither:
//! the files themselves are wrong, the store stays open for reading, and a person decides.

use std::{fmt, io, path::Path, path::PathBuf, sync::Arc};

use comity_core::{ids::RequestId, ledger::LedgerFault};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreFault {
    /// Another process holds the data folder.
    #[error(
        "store.locked: the data folder {} was not opened; another process is using it. \
         Stop that process, or name another folder.", .folder.display()
    )]
    Locked {
        /// The folder both wanted.
        folder: PathBuf,
    },
    /// Others could read the data folder, or it is not ours.
    #[error(
        "store.exposed-folder: {} was not opened; {why}. \
         Run: chown and chmod 700 on it, as the user the node runs under.", .path.display()
    )]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No space for the next file. Nothing was written; the same append may succeed later.
    #[error(
        "store.disk-full: nothing was appended; the disk has no space left for the next file. \
         Free some space; the node goes on by itself."
    )]
    DiskFull,
    /// The queue to the writer is full. Nothing was written.
    #[error("store.busy: nothing was appended; too much is already waiting for the disk. Try again shortly.")]
    Busy,
    /// One append is larger than a batch may be.
    #[error("store.too-large: nothing was appended; {bytes} bytes in one append exceed the limit of {max}. Split it.")]
    TooLarge {
        /// What it would have taken.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The store is damaged and takes no more appends.
    #[error("store.read-only: nothing was appended, because of earlier damage. {0}")]
    ReadOnly(Damage),
    /// What was asked for is damaged.
    #[error("{0}")]
    Damaged(Damage),
    /// A write or sync failed. What was being appended may or may not be on disk; the writer has stopped.
    #[error(
        "store.write-failed: the append was not acknowledged and the writer has stopped; {what}: {source}. \
         Check the disk, then start the node again."
    )]
    WriteFailed {
        /// The step that failed.
        what: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A file or folder could not be opened, read or prepared. Nothing was changed.
    #[error("store.unreadable: {} could not be used: {source}. Check the disk and the permissions.", .path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The writer has ended.
    #[error("store.stopped: nothing was appended; the writer has ended. Start the node again.")]
    Stopped,
    /// The keys given do not open what is stored.
    #[error(
        "store.wrong-key: {what} was not opened; the key does not fit it. Give the keys this folder was made with."
    )]
    WrongKey {
        /// What did not open.
        what: &'static str,
    },
    /// Live slots are wrapped under a generation of the key-encryption key that is not here.
    #[error(
        "store.key-encryption-key-gone: the data folder was not opened; generation {generation} of the key-encryption key wraps \
         {slots} live data-key slots and is not in the key folder, which holds: {held}. Nothing was changed, and what other \
         generations wrap is whole. Put that generation back into the key folder, or newer files into ledger/slots; if it \
         was destroyed, what it wraps stays closed."
    )]
    KekGone {
        /// Which.
        generation: u32,
        /// How many slots it wraps.
        slots: usize,
        /// The generations that are here.
        held: String,
    },
    /// The data keys of the request have been destroyed.
    #[error("store.erased: nothing was appended; the data of request {request} has been erased.")]
    Erased {
        /// The request.
        request: RequestId,
    },
    /// What was to be saved is no checkpoint of this ledger.
    #[error(
        "store.not-a-checkpoint: nothing was saved; the note is malformed or counts more records than are on disk. \
         This is a fault of the program; report it."
    )]
    NotACheckpoint,
    /// No such record yet.
    #[error("store.no-such-record: record {index} was not read; the ledger holds {size}.")]
    NoSuchRecord {
        /// Asked for.
        index: u64,
        /// Held.
        size: u64,
    },
    /// The tree does not answer what was asked.
    #[error("{0}")]
    Tree(#[from] LedgerFault),
}

impl StoreFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store.locked",
            Self::Exposed { .. } => "store.exposed-folder",
            Self::DiskFull => "store.disk-full",
            Self::Busy => "store.busy",
            Self::TooLarge { .. } => "store.too-large",
            Self::ReadOnly(_) => "store.read-only",
            Self::Damaged(damage) => damage.code(),
            Self::WriteFailed { .. } => "store.write-failed",
            Self::Unreadable { .. } => "store.unreadable",
            Self::Stopped => "store.stopped",
            Self::WrongKey { .. } => "store.wrong-key",
            Self::KekGone { .. } => "store.key-encryption-key-gone",
            Self::Erased { .. } => "store.erased",
            Self::NotACheckpoint => "store.not-a-checkpoint",
            Self::NoSuchRecord { .. } => "store.no-such-record",
            Self::Tree(fault) => fault.code(),
        }
    }

    /// True if no later append can succeed: the process should end and start again.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::WriteFailed { .. } | Self::Stopped)
    }

    /// A failed preparation: no space, or something else about this path.
    pub(super) fn preparing(path: &Path, fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Unreadable { path: path.to_owned(), source: Arc::new(fault) },
        }
    }

    pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |fault| Self::Unreadable { path, source: Arc::new(fault) }
    }

    pub(super) fn writing(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |fault| Self::WriteFailed { what, source: Arc::new(fault) }
    }
}

/// Files that are not what was once synced: which kind, and where it was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// The first record it touches.
    pub record: u64,
    /// The segment file, by its number.
    pub segment: u32,
    /// The byte in that file.
    pub offset: u64,
}

/// What is wrong with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// A frame does not match its checksum although later commits exist.
    Frame,
    /// Frames are whole, but a commit does not continue the one before it.
    Chain,
    /// A commit's root is not the root of the leaves before it, or differs from the saved checkpoint's.
    Root,
    /// A frame is whole, but its content is not a record.
    Record,
    /// A record's leaf is not the one its content gives.
    Leaf,
    /// A segment file is missing, has the wrong size, or its head is wrong.
    Segment,
    /// A checkpoint is known that counts more records than are here.
    Missing {
        /// The size it knows.
        known: u64,
    },
    /// The folder was put back from a backup: what was recorded after it was made is not here.
    Restored,
    /// The saved checkpoint cannot be read.
    Checkpoint,
    /// A data-key slot does not match its checksum.
    Slot {
        /// Its number.
        slot: u32,
    },
}

impl Damage {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            DamageKind::Frame => "store.bad-frame",
            DamageKind::Chain => "store.bad-chain",
            DamageKind::Root => "store.bad-root",
            DamageKind::Record => "store.bad-record",
            DamageKind::Leaf => "store.bad-leaf",
            DamageKind::Segment => "store.bad-segment",
            DamageKind::Missing { .. } => "store.records-missing",
            DamageKind::Restored => "store.restored",
            DamageKind::Checkpoint => "store.bad-checkpoint",
            DamageKind::Slot { .. } => "store.bad-slot",
        }
    }

    pub(super) fn of_slot(slot: u32) -> Self {
        Self { kind: DamageKind::Slot { slot }, record: 0, segment: 0, offset: 0 }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, segment, offset, .. } = self;
        write!(f, "{}: ", self.code())?;
        match self.kind {
            DamageKind::Frame => {
                write!(f, "record {record} in segment {segment} at byte {offset} does not match its checksum")
            }
            DamageKind::Chain => {
                write!(f, "the commit after record {record} in segment {segment} does not continue the one before it")
            }
            DamageKind::Root => {
                write!(f, "the tree over the first {record} records has another root than was committed")
            }
            DamageKind::Record => write!(f, "record {record} in segment {segment} at byte {offset} is not a record"),
            DamageKind::Leaf => write!(f, "the leaf of record {record} is not the one its content gives"),
            DamageKind::Segment => write!(f, "segment {segment} is missing or is not the file that was made"),
            DamageKind::Missing { known } => {
                write!(f, "{record} records are here, but a checkpoint counts {known}; the rest is missing")
            }
            DamageKind::Restored => write!(f, "these {record} records were put back from a backup"),
            DamageKind::Checkpoint => write!(f, "the saved checkpoint cannot be read"),
            DamageKind::Slot { slot } => write!(f, "data-key slot {slot} does not match its checksum"),
        }?;
        match self.kind {
            DamageKind::Missing { .. } | DamageKind::Segment => {
                write!(f, ". The node stays read-only. Restore the missing files, or restore from a backup.")
            }
            DamageKind::Restored => write!(
                f,
                ". The node stays read-only until its profile names a successor of this ledger: see comity ledger show, and the runbook"
            ),
            DamageKind::Checkpoint | DamageKind::Slot { .. } => {
                write!(f, ". The node stays read-only. Restore the file from a backup.")
            }
            DamageKind::Frame | DamageKind::Chain | DamageKind::Root | DamageKind::Record | DamageKind::Leaf => {
                write!(f, ". The node stays read-only. Run: comity ledger verify")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_text_begins_with_its_own_code() {
        let damage = |kind| StoreFault::Damaged(Damage { kind, record: 1, segment: 2, offset: 3 });
        let path = PathBuf::from("ledger");
        let source = Arc::new(io::Error::other("no"));
        let all = [
            StoreFault::Locked { folder: path.clone() },
            StoreFault::Exposed { path: path.clone(), why: "it is not a folder" },
            StoreFault::DiskFull,
            StoreFault::Busy,
            StoreFault::TooLarge { bytes: 2, max: 1 },
            StoreFault::ReadOnly(Damage::of_slot(4)),
            damage(DamageKind::Frame),
            damage(DamageKind::Chain),
            damage(DamageKind::Root),
            damage(DamageKind::Record),
            damage(DamageKind::Leaf),
            damage(DamageKind::Segment),
            damage(DamageKind::Missing { known: 9 }),
            damage(DamageKind::Restored),
            damage(DamageKind::Checkpoint),
            damage(DamageKind::Slot { slot: 4 }),
            StoreFault::WriteFailed { what: "writing", source: source.clone() },
            StoreFault::Unreadable { path, source },
            StoreFault::Stopped,
            StoreFault::WrongKey { what: "the desk" },
            StoreFault::KekGone { generation: 1, slots: 2, held: "3".to_owned() },
            StoreFault::Erased { request: RequestId::new([1; 16]) },
            StoreFault::NotACheckpoint,
            StoreFault::NoSuchRecord { index: 2, size: 1 },
        ];
        for fault in &all {
            assert!(fault.to_string().starts_with(&format!("{}: ", fault.code())), "{fault}");
        }
        assert_eq!(all.iter().map(StoreFault::code).collect::<BTreeSet<_>>().len(), all.len());
    }
}
