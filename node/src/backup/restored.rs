//! The note that lies in a folder that was put back, until its ledger goes on under another name (SPEC `[R-6]`).
//!
//! What is put back looks whole from within. So the note says that it is not: no record is added before the Party's profile
//! names a successor that begins with what is here. It also carries the requests that were erased after the copy was made,
//! until their erasure is on record again.

use std::{fs, io, path::Path};

use comity_core::ids::{Digest, RequestId, Time};
use serde::{Deserialize, Serialize};

use super::{BackupFault, Erased, chain::write_whole};
use crate::{
    disk::Disk,
    time::{parse_rfc3339, rfc3339},
};

/// Its name in the data folder.
pub const RESTORED_FILE: &str = "restored";
/// What is being put back, until all of it is there.
pub(super) const UNFINISHED_FOLDER: &str = "restore.new";
const SCHEMA: &str = "comity/restored-folder/v1";

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was made.
    pub made: Time,
    /// When it was put back: a profile from before was signed for something else.
    pub put_back: Time,
    /// Its records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Requests of the list of erasures, in its order.
    pub erased: Vec<Erased>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    made: String,
    put_back: String,
    size: u64,
    root: String,
    #[serde(default)]
    erased: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    request: String,
    ground: String,
    begun: String,
}

impl Restored {
    /// What the note in a data folder says; nothing if there is none.
    ///
    /// # Errors
    /// When it does not read, or what was being put back is not finished.
    pub fn read(data: &Path) -> Result<Option<Self>, BackupFault> {
        if data.join(UNFINISHED_FOLDER).exists() {
            return Err(BackupFault::NotWhole(
                "it was interrupted: run the same comity backup restore again".to_owned(),
            ));
        }
        let path = data.join(RESTORED_FILE);
        let text = match fs::read_to_string(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(BackupFault::disk(&path))?,
        };
        Self::parse(&text).map(Some).ok_or_else(|| BackupFault::damaged(&path, "not what was written"))
    }

    fn parse(text: &str) -> Option<Self> {
        let file: File = toml::from_str(text).ok().filter(|file: &File| file.schema == SCHEMA)?;
        let line = |line: Line| {
            let request: RequestId = line.request.parse().ok()?;
            Some(Erased { request, ground: line.ground, begun: parse_rfc3339(&line.begun).ok()? })
        };
        Some(Self {
            made: parse_rfc3339(&file.made).ok()?,
            put_back: parse_rfc3339(&file.put_back).ok()?,
            size: file.size,
            root: file.root.parse().ok()?,
            erased: file.erased.into_iter().map(line).collect::<Option<_>>()?,
        })
    }

    pub(super) fn write(&self, disk: &Disk, folder: &Path) -> Result<(), BackupFault> {
        let line = |one: &Erased| Line {
            request: one.request.to_string(),
            ground: one.ground.clone(),
            begun: rfc3339(one.begun),
        };
        let file = File {
            schema: SCHEMA.to_owned(),
            made: rfc3339(self.made),
            put_back: rfc3339(self.put_back),
            size: self.size,
            root: self.root.to_string(),
            erased: self.erased.iter().map(line).collect(),
        };
        let text = toml::to_string(&file).expect("texts and numbers are TOML");
        write_whole(disk, &folder.join(RESTORED_FILE), text.as_bytes())
    }

    /// Takes the note away: the ledger goes on under another name, and what was erased is on record.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn done(data: &Path) -> Result<(), BackupFault> {
        let (disk, path) = (Disk::default(), data.join(RESTORED_FILE));
        disk.remove_file(&path).and_then(|()| disk.sync_folder(data)).map_err(BackupFault::disk(&path))
    }
}
