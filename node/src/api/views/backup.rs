//! Backups as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    backup::{Checked, Made},
    time::rfc3339,
};

/// A backup that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
pub(in crate::api) struct BackupView {
    schema: &'static str,
    /// The folder of its chain: the backups that share their pieces.
    chain: String,
    /// Its number there, from 1.
    number: u64,
    made: String,
    /// Records of the ledger in it.
    size: u64,
    /// The root over them.
    root: String,
    files: usize,
    /// Bytes of the files in it.
    bytes: u64,
    /// Bytes that were written for it; the rest was there from backups before.
    written: u64,
    /// Requests in the list of erasures.
    erasures: usize,
}

impl BackupView {
    pub(in crate::api) fn new(made: &Made) -> Self {
        Self {
            schema: "comity/backup/v1",
            chain: made.chain.display().to_string(),
            number: made.number,
            made: rfc3339(made.made),
            size: made.size,
            root: made.root.to_string(),
            files: made.files,
            bytes: made.bytes,
            written: made.written,
            erasures: made.erasures,
        }
    }
}

/// A backup that was read whole, every piece proved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackupVerification)]
pub(in crate::api) struct CheckedView {
    schema: &'static str,
    /// Its number in its chain.
    number: u64,
    made: String,
    /// Records of the ledger in it.
    size: u64,
    /// The root over them.
    root: String,
    files: usize,
    bytes: u64,
}

impl CheckedView {
    pub(in crate::api) fn new(checked: &Checked) -> Self {
        Self {
            schema: "comity/backup-verification/v1",
            number: checked.number,
            made: rfc3339(checked.made),
            size: checked.size,
            root: checked.root.to_string(),
            files: checked.files,
            bytes: checked.bytes,
        }
    }
}
