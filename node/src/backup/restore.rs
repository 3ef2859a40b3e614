//! Putting a backup back (SPEC `[R-5]`).
//!
//! The list of erasures comes first: keys of what was erased since are destroyed in memory, before anything of them is
//! written. Everything is written beside its place, opened and verified there, and then moved; until the last move the
//! folder does not start. A rehearsal is the same into a folder that is thrown away.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use comity_core::{
    carry,
    ids::{Digest, NetworkName, PartyCode, RequestId, Time},
    proto::{Backup, BackupDesk, BackupDeskRow, BackupFile},
    wire::strict,
};
use tokio::runtime::Handle as Runtime;
use zeroize::Zeroizing;

use super::{
    BackupFault, Erased, ErasureList, NodeKey, Restored,
    chain::Chain,
    check::{each_piece, open, whole},
    create::{AUDIT, DESK, DOCUMENTS, ERASURES, LEDGER, SETTINGS, VAULT},
    restored::UNFINISHED_FOLDER,
};
use crate::{
    audit,
    conduct::PROOF_PREFIX,
    disk::Disk,
    evidence::vault::{Vault, erase_items},
    handle::{DRAFT_PREFIX, hold_key, prepared_contents, withdrawn_in},
    keys::{Keyring, RecoveryKey},
    store::{Desk, DeskChange, Folder, Ledger, LedgerKeys, Pending, erase_slots},
    time,
};

/// What must not be there before, beside what is put there.
const PLACES: [&str; 6] = [LEDGER, AUDIT, DESK, VAULT, DOCUMENTS, "index"];

/// What to put back, and where.
pub struct Restore<'r> {
    /// The folder of backups, or of one chain.
    pub from: &'r Path,
    /// Which backup; the newest if none is named.
    pub number: Option<u64>,
    /// A recovery key it was sealed to.
    pub recovery: &'r RecoveryKey,
    /// The node's own keys.
    pub keys: &'r Keyring,
    /// The list of erasures.
    pub erasures: &'r Path,
    /// The data folder to be.
    pub to: &'r Path,
}

/// What was put back.
#[derive(Debug, Clone)]
pub struct PutBack {
    /// When the backup was made.
    pub made: Time,
    /// Whose ledger it is.
    pub origin: String,
    /// Its records, all of them verified.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Records whose keys were destroyed.
    pub erased_records: u64,
    /// Requests in the list of erasures.
    pub erasures: usize,
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// Puts a backup back. `runtime` drives the vault while it is looked at.
///
/// # Errors
/// Says what is missing or does not hold. The data folder is then without what was to be put there, and the same command can
/// be given again.
pub fn restore(wanted: &Restore<'_>, runtime: Runtime) -> Result<PutBack, BackupFault> {
    let node = |generation| node_key(wanted.keys, generation);
    let (chain, list) = open(wanted.from, wanted.number, wanted.recovery, &node)?;
    let erased = erasures(wanted, &chain, &list)?;
    let disk = Disk::default();
    let folder = Folder::claim(wanted.to)?;
    let staging = make_room(&disk, folder.path())?;
    let gone: BTreeSet<RequestId> = erased.iter().map(|one| one.request).collect();
    let writing = Writing { disk: &disk, chain: &chain, staging: &staging, keys: wanted.keys, gone: &gone };
    for file in list.files.iter().filter(|file| file.path != ERASURES) {
        writing.file(file)?;
    }
    let root = Digest::from_slice(&list.root).map_err(|_| BackupFault::NotWhole("its root is none".to_owned()))?;
    let erased_records = look_at(&staging, (list.size, root), wanted.keys, runtime)?;
    let erasures = erased.len();
    sync_folders(&disk, &staging)?;
    let note = Restored { made: Time(list.made_ms), put_back: time::now(), size: list.size, root, erased };
    put_in_place(&disk, &staging, folder.path(), &note)?;
    Ok(PutBack {
        made: Time(list.made_ms),
        origin: list.origin,
        size: list.size,
        root,
        erased_records,
        erasures,
        files: list.files.len(),
        bytes: list.files.iter().map(|file| file.bytes).sum(),
    })
}

/// What the node's keys give a chain of this generation of the key-encryption key.
#[must_use]
pub fn node_key(keys: &Keyring, generation: u32) -> Option<NodeKey> {
    keys.secrets().kek.get(&generation).map(|kek| NodeKey::of(generation, kek))
}

/// The list of erasures: without it nothing is put back, and one that the backup is ahead of is not the newest.
fn erasures(wanted: &Restore<'_>, chain: &Chain, list: &Backup) -> Result<Vec<Erased>, BackupFault> {
    let bad = |why: &str| BackupFault::NoErasureList { path: wanted.erasures.to_owned(), why: why.to_owned() };
    let named = (PartyCode::parse(&chain.head.party), NetworkName::parse(&chain.head.network));
    let (Ok(party), Ok(network)) = named else { return Err(BackupFault::damaged(&chain.folder, "of no Party")) };
    let place = ErasureList::at(wanted.erasures, &party, &network);
    let found = place.read()?.ok_or_else(|| bad("there is none"))?;
    let then = list.files.iter().find(|file| file.path == ERASURES);
    let then = whole(chain, then.ok_or_else(|| BackupFault::damaged(&chain.folder, "without its list of erasures"))?)?;
    let then = std::str::from_utf8(&then).ok().and_then(|text| place.parse(text).ok());
    let then = then.ok_or_else(|| BackupFault::damaged(&chain.folder, "without its list of erasures"))?;
    let known: BTreeSet<RequestId> = found.iter().map(|one| one.request).collect();
    if then.iter().all(|one| known.contains(&one.request)) {
        Ok(found)
    } else {
        Err(BackupFault::OldErasureList(place.path().to_owned()))
    }
}

/// Makes the folder in which everything is written first, and removes what an interrupted restore left.
fn make_room(disk: &Disk, data: &Path) -> Result<PathBuf, BackupFault> {
    let staging = data.join(UNFINISHED_FOLDER);
    let note = data.join(super::RESTORED_FILE);
    let places = PLACES.map(|place| data.join(place));
    if staging.exists() {
        // The note comes before the first move: without it nothing here is of that restore.
        if note.exists() {
            for place in places.iter().filter(|place| place.exists()) {
                disk.remove_folder(place).map_err(BackupFault::disk(place))?;
            }
            disk.remove_file(&note).map_err(BackupFault::disk(&note))?;
        }
        disk.remove_folder(&staging).map_err(BackupFault::disk(&staging))?;
    }
    if let Some(taken) = places.into_iter().chain([note]).find(|place| place.exists()) {
        return Err(BackupFault::FolderInUse(taken));
    }
    disk.folder(&staging).map_err(BackupFault::disk(&staging))?;
    Ok(staging)
}

struct Writing<'w> {
    disk: &'w Disk,
    chain: &'w Chain,
    staging: &'w Path,
    keys: &'w Keyring,
    /// Requests that were erased.
    gone: &'w BTreeSet<RequestId>,
}

impl Writing<'_> {
    fn file(&self, file: &BackupFile) -> Result<(), BackupFault> {
        if file.path == DESK {
            return self.desk(&whole(self.chain, file)?);
        }
        let path = self.place(&file.path)?;
        let erase = match file.path.rsplit_once('/') {
            Some(("ledger/slots", _)) => Some(erase_slots as fn(&mut [u8], &BTreeSet<RequestId>)),
            Some(("vault/keys", _)) => Some(erase_items as fn(&mut [u8], &BTreeSet<RequestId>)),
            _ => None,
        };
        let target = self.disk.create(&path).map_err(BackupFault::disk(&path))?;
        let write = |bytes: &[u8], at| target.write_at(bytes, at).map_err(BackupFault::disk(&path));
        match erase {
            Some(erase) => {
                let mut bytes = whole(self.chain, file)?;
                erase(&mut bytes, self.gone);
                write(&bytes, 0)?;
            }
            None => each_piece(self.chain, file, &mut |at, piece| write(&piece, at))?,
        }
        let filled = target.zero(file.bytes, file.space).and_then(|()| target.sync_all());
        filled.map_err(BackupFault::disk(&path))
    }

    /// Where a file goes: below the folder, whatever its path says.
    fn place(&self, path: &str) -> Result<PathBuf, BackupFault> {
        let levels: Vec<&str> = path.split('/').collect();
        let plain = |level: &&str| !level.is_empty() && !level.starts_with('.') && !level.contains('\0');
        let (Some((name, folders)), true) = (levels.split_last(), levels.iter().all(plain)) else {
            return Err(BackupFault::damaged(&self.chain.folder, "not a list of files below one folder"));
        };
        let mut place = self.staging.to_owned();
        for folder in folders {
            place.push(folder);
            if !place.is_dir() {
                self.disk.folder(&place).map_err(BackupFault::disk(&place))?;
            }
        }
        Ok(place.join(name))
    }

    /// Lays out the desk anew, without drafts and holds of what was erased.
    fn desk(&self, rows: &[u8]) -> Result<(), BackupFault> {
        let rows: BackupDesk =
            strict(rows, usize::MAX).map_err(|_| BackupFault::damaged(&self.chain.folder, "without its desk"))?;
        let waiting: Vec<_> = rows.rows.iter().map(|row| (row.key.clone(), row.value.clone())).collect();
        let gone: BTreeSet<Vec<u8>> = self
            .gone
            .iter()
            .flat_map(|request| [[DRAFT_PREFIX, request.as_bytes()].concat(), hold_key(request)])
            .chain(self.gone.iter().flat_map(|request| prepared_contents(&waiting, request)))
            .chain(self.gone.iter().flat_map(|request| withdrawn_in(&waiting, request)))
            .collect();
        let kept = rows.rows.into_iter().filter(|row| !gone.contains(&row.key) && !self.shows(row));
        let changes = kept.map(|row| DeskChange::Put(row.key, Zeroizing::new(row.value)));
        let (desk, _) = Desk::open(&self.staging.join(DESK), self.keys.secrets().desk.clone())?;
        for part in DeskChange::parts(changes) {
            desk.apply(part).and_then(Pending::wait)?;
        }
        Ok(())
    }

    /// Whether a row is the proof of a wrong in which a delivery of an erased request lies.
    fn shows(&self, row: &BackupDeskRow) -> bool {
        let frame = row.value.get(8..).unwrap_or_default();
        row.key.starts_with(PROOF_PREFIX)
            && carry::request_named_by(frame).is_some_and(|request| self.gone.contains(&request))
    }
}

/// Opens and verifies what was written, as a node would, and gives the records whose keys are destroyed. Packs of evidence that
/// nothing names any more go with it.
fn look_at(staging: &Path, (size, root): (u64, Digest), keys: &Keyring, runtime: Runtime) -> Result<u64, BackupFault> {
    let differs = |what: &str| BackupFault::NotWhole(what.to_owned());
    let secrets = keys.secrets();
    let ledger_keys = LedgerKeys { node: secrets.ledger.clone(), kek: secrets.kek.clone() };
    let (ledger, opened) = Ledger::open(&staging.join(LEDGER), ledger_keys, None)?;
    if let Some(damage) = opened.read_only {
        return Err(differs(&damage.to_string()));
    }
    if (opened.size, opened.root, opened.torn_bytes) != (size, root, 0) {
        return Err(differs("its ledger is not the one that was copied"));
    }
    let verified = ledger.verify(&mut |_| ())?;
    let (audit, opened) = audit::open_ledger(staging, &secrets.ledger)?;
    if let Some(damage) = opened.read_only {
        return Err(differs(&damage.to_string()));
    }
    audit.verify(&mut |_| ())?;
    let ledger = Arc::new(ledger);
    let held = Arc::clone(&ledger);
    let content = Arc::new(move |request: &RequestId| held.content_key(*request).ok().flatten());
    let opened = Vault::open(&staging.join(VAULT), content, runtime);
    opened.map_err(|fault| BackupFault::Evidence(fault.into()))?;
    Ok(verified.erased)
}

/// Makes the names of all files last, before any of their folders is moved.
fn sync_folders(disk: &Disk, folder: &Path) -> Result<(), BackupFault> {
    for entry in fs::read_dir(folder).map_err(BackupFault::disk(folder))? {
        let path = entry.map_err(BackupFault::disk(folder))?.path();
        if path.is_dir() {
            sync_folders(disk, &path)?;
        }
    }
    disk.sync_folder(folder).map_err(BackupFault::disk(folder))
}

/// Moves everything to its place; the folder counts as put back once the one it was written in is gone.
fn put_in_place(disk: &Disk, staging: &Path, data: &Path, note: &Restored) -> Result<(), BackupFault> {
    note.write(disk, data)?;
    for place in PLACES {
        let (from, to) = (staging.join(place), data.join(place));
        if from.exists() {
            disk.rename(&from, &to).map_err(BackupFault::disk(&to))?;
        }
    }
    let (from, to) = (staging.join(SETTINGS), data.join(SETTINGS));
    if from.exists() && !to.exists() {
        disk.rename(&from, &to).map_err(BackupFault::disk(&to))?;
    }
    disk.sync_folder(staging).map_err(BackupFault::disk(staging))?;
    disk.remove_folder(staging).map_err(BackupFault::disk(staging))?;
    fs::File::open(data).and_then(|data| data.sync_all()).map_err(BackupFault::disk(data))
}
