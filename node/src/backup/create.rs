//! Taking a backup of a running node.
//!
//! The order makes it whole: the desk first, so that nothing on it speaks of a record that is not there; then the ledger
//! (`store/copy.rs` says in which order); the audit tree; then the vault, whose keys are wrapped under those of the ledger. What is erased
//! meanwhile is in the list of erasures before its keys are gone. The list of files is written last: with it the backup exists.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use comity_core::proto::{Backup, BackupDesk, BackupDeskRow, BackupFile};
use prost::Message as _;

use super::{
    BackupFault, Digest, Pending, Room, Time,
    chain::{Chain, PIECE},
    complete, time,
};
use crate::{
    audit,
    handle::{BACKUP_PREFIX, keep_last_backup},
    store::{Content, Part},
};

/// The rows of the desk, in one file that is no file of the folder.
pub(super) const DESK: &str = "desk";
/// The list of erasures as it was.
pub(super) const ERASURES: &str = "erasures";
/// The settings, when they lie in the data folder.
pub(super) const SETTINGS: &str = "comity.toml";
/// Where the vault lies.
pub(super) const VAULT: &str = "vault";
/// Where the ledger lies.
pub(super) const LEDGER: &str = "ledger";
/// Where the audit tree lies.
pub(super) const AUDIT: &str = audit::FOLDER;
/// Where documents lie that came as files.
pub(super) const DOCUMENTS: &str = "charter";

/// A backup that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The folder of its chain.
    pub chain: PathBuf,
    /// Its number there.
    pub number: u64,
    /// When.
    pub made: Time,
    /// Records of the ledger in it.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that were written for it; the rest was there.
    pub written: u64,
    /// Erasures in the list.
    pub erasures: usize,
}

impl Room {
    pub(super) fn create(&self, full: bool) -> Result<Made, BackupFault> {
        let configured = self.configured()?;
        // An unmounted disk shows as a missing folder; it is never made here, or the backup would lie on the disk below.
        fs::read_dir(&configured.root).map_err(BackupFault::disk(&configured.root))?;
        let view = self.handle.view();
        let listed = complete(&configured.erasures, view)?;
        let chain = self.chain(&configured, full)?;
        let last = chain.numbers()?.pop();
        // One that does not open any more is no reason to make none: its pieces are then read again.
        let before = last.and_then(|number| chain.list(number).ok()).unwrap_or_default();
        let made = time::now();
        let mut parts = vec![self.desk()];
        let ledger = view.ledger.copy()?;
        parts.extend(ledger.parts.into_iter().map(|part| below(LEDGER, part)));
        parts.extend(view.audit.ledger().copy()?.parts.into_iter().map(|part| below(AUDIT, part)));
        parts.extend(self.evidence.copy()?.into_iter().map(|part| below(VAULT, part)));
        parts.extend(documents(&view.data)?);
        parts.push(Part::of_bytes(ERASURES.to_owned(), configured.erasures.text(&listed).into_bytes()));
        let mut copying = Copying { room: self, chain: &chain, before: by_path(&before), written: 0 };
        let mut files = Vec::new();
        for part in &parts {
            files.extend(copying.part(part)?);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let (count, bytes) = (files.len(), files.iter().map(|file| file.bytes).sum());
        let number = last.unwrap_or(0) + 1;
        let (origin, root) = (view.us.origin.to_string(), ledger.root.as_bytes().to_vec());
        let list = Backup { version: 1, number, made_ms: made.0, origin, size: ledger.size, root, files };
        chain.put_list(&list)?;
        keep_last_backup(&view.desk, made).and_then(Pending::wait)?;
        Ok(Made {
            chain: chain.folder.clone(),
            number,
            made,
            size: ledger.size,
            root: ledger.root,
            files: count,
            bytes,
            written: copying.written,
            erasures: listed.len(),
        })
    }

    /// Everything on the desk but what belongs to backups themselves.
    fn desk(&self) -> Part {
        let rows = self.handle.view().desk.range(b"").into_iter().filter(|(key, _)| !key.starts_with(BACKUP_PREFIX));
        let rows = rows.map(|(key, value)| BackupDeskRow { key, value: value.to_vec() }).collect();
        Part::of_bytes(DESK.to_owned(), BackupDesk { rows }.encode_to_vec())
    }

    fn goes_on(&self) -> Result<(), BackupFault> {
        if self.stop.is_cancelled() { Err(BackupFault::Stopped) } else { Ok(()) }
    }
}

fn below(folder: &str, part: Part) -> Part {
    Part { name: format!("{folder}/{}", part.name), ..part }
}

fn by_path(list: &Backup) -> BTreeMap<&str, &BackupFile> {
    list.files.iter().map(|file| (&file.path[..], file)).collect()
}

/// The documents of charter and Parties as files, and the settings if they lie here. None of them is secret.
fn documents(data: &Path) -> Result<Vec<Part>, BackupFault> {
    let (mut found, mut open) = (Vec::new(), vec![(data.join(DOCUMENTS), DOCUMENTS.to_owned())]);
    while let Some((folder, name)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(BackupFault::disk(&folder))? {
            let path = entry.map_err(BackupFault::disk(&folder))?.path();
            let name = format!("{name}/{}", path.file_name().unwrap_or_default().display());
            if path.is_dir() {
                open.push((path, name));
            } else if path.extension().is_some_and(|ending| ending == "dsse") {
                found.push(Part::of_bytes(name, fs::read(&path).map_err(BackupFault::disk(&path))?));
            }
        }
    }
    let settings = data.join(SETTINGS);
    match fs::read(&settings) {
        Ok(bytes) => found.push(Part::of_bytes(SETTINGS.to_owned(), bytes)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(BackupFault::disk(&settings)(fault)),
    }
    Ok(found)
}

/// Copying parts into a chain, beside what the backup before had of them.
struct Copying<'c> {
    room: &'c Room,
    chain: &'c Chain,
    before: BTreeMap<&'c str, &'c BackupFile>,
    written: u64,
}

impl Copying<'_> {
    /// Nothing for a file that was erased since it was named.
    fn part(&mut self, part: &Part) -> Result<Option<BackupFile>, BackupFault> {
        let file = |bytes, pieces| BackupFile { path: part.name.clone(), bytes, space: part.space, pieces };
        match &part.content {
            Content::Bytes(bytes) => {
                let pieces = bytes.chunks(PIECE).map(|piece| self.piece(piece)).collect::<Result<_, _>>()?;
                Ok(Some(file(bytes.len() as u64, pieces)))
            }
            Content::File(_, bytes) if part.is_final && self.is_there(&part.name, *bytes) => {
                Ok(self.before.get(&part.name[..]).map(|before| file(*bytes, before.pieces.clone())))
            }
            Content::File(path, bytes) => match File::open(path) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && self.is_gone(&part.name)? => Ok(None),
                opened => Ok(Some(file(*bytes, self.pieces(path, &opened.map_err(BackupFault::disk(path))?, *bytes)?))),
            },
        }
    }

    fn pieces(&mut self, path: &Path, mut file: &File, bytes: u64) -> Result<Vec<Vec<u8>>, BackupFault> {
        let (mut pieces, mut left) = (Vec::new(), bytes);
        while left > 0 {
            let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
            file.read_exact(&mut piece).map_err(BackupFault::disk(path))?;
            left -= piece.len() as u64;
            pieces.push(self.piece(&piece)?);
        }
        Ok(pieces)
    }

    fn piece(&mut self, plain: &[u8]) -> Result<Vec<u8>, BackupFault> {
        self.room.goes_on()?;
        let (name, written) = self.chain.put(plain)?;
        self.written += written;
        Ok(name.to_vec())
    }

    /// Whether the backup before has this file with all its pieces, which then need not be read again.
    fn is_there(&self, name: &str, bytes: u64) -> bool {
        let there = |(at, piece): (u64, &Vec<u8>)| {
            let plain = (bytes - at * PIECE as u64).min(PIECE as u64);
            piece[..].try_into().is_ok_and(|name| self.chain.holds(name, plain))
        };
        let all_there = |before: &&BackupFile| {
            before.pieces.len() as u64 == bytes.div_ceil(PIECE as u64) && (0..).zip(&before.pieces).all(there)
        };
        self.before.get(name).is_some_and(|before| before.bytes == bytes && all_there(before))
    }

    /// Whether the vault does not name this file any more.
    fn is_gone(&self, name: &str) -> Result<bool, BackupFault> {
        let Some(name) = name.strip_prefix(VAULT).and_then(|rest| rest.strip_prefix('/')) else { return Ok(false) };
        Ok(self.room.evidence.copy()?.iter().all(|part| part.name != name))
    }
}
