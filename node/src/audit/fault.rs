//! Why something is not shown or done: it could not be recorded first.

use crate::store::StoreFault;

/// What stands between an access or act and its record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditFault {
    /// No space for the record; it may come back.
    #[error(
        "audit.disk-full: nothing was shown or done; the disk has no space to record first who asked; \
         free some space, the node goes on by itself"
    )]
    DiskFull,
    /// Too much waits for the disk.
    #[error("audit.busy: nothing was shown or done; too many records wait for the disk; try again in a moment")]
    Busy,
    /// The files are not what was synced.
    #[error(
        "audit.damaged: nothing was shown or done; the audit tree is damaged ({0}), and takes no record of who asked; \
         run: comity audit verify"
    )]
    Damaged(&'static str),
    /// A write or sync failed, or the file system takes no change.
    #[error(
        "audit.not-written: nothing was shown or done; the record of who asked could not be written ({0}); \
         check the disk, then start the node again"
    )]
    NotWritten(&'static str),
}

impl AuditFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DiskFull => "audit.disk-full",
            Self::Busy => "audit.busy",
            Self::Damaged(_) => "audit.damaged",
            Self::NotWritten(_) => "audit.not-written",
        }
    }
}

impl From<StoreFault> for AuditFault {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::DiskFull => Self::DiskFull,
            StoreFault::Busy => Self::Busy,
            StoreFault::ReadOnly(damage) | StoreFault::Damaged(damage) => Self::Damaged(damage.code()),
            other => Self::NotWritten(other.code()),
        }
    }
}
