//! A chain: backups that share their pieces, under one secret, in one folder (SPEC `[R-1]` to `[R-3]`).
//!
//! Opening one takes two things that do not lie together: the secret, which each recipient can unwrap, and the
//! key-encryption key the node had then. With that key's destruction the whole chain is dead, and its folder may go. A piece
//! is named by a keyed hash of its content and sealed under a key that follows from its name: what is there already
//! is not written again. Start with [`Chain::make`], [`Chain::open`].

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use comity_core::{
    crypto::{DataKey, PublicKey, derive, hmac_sha256, hpke_seal},
    ids::{ItemId, KeyId, hex},
    object::{self, CHUNK, HEADER, ObjectFault, Opener, Sealer, TAG, chunks},
    proto::{Backup, BackupChain, BackupRecipient},
    wire::strict,
};
use prost::Message as _;
use zeroize::Zeroizing;

use super::BackupFault;
use crate::{disk::Disk, keys::RecoveryKey};

/// Content of a full piece: large enough to stream, small enough to hold in memory a few times.
pub(super) const PIECE: usize = 4 << 20;
/// The file that says whose the chain is.
const HEAD: &str = "chain";
const HEAD_MAX: usize = 1 << 20;
/// A list of a hundred million pieces.
const LIST_MAX: usize = 4 << 30;
const ENDING: &str = "backup";
const VERSION: u32 = 1;
const INFO: &[u8] = b"comity backup secret v1";

/// The name of a piece.
pub(super) type PieceName = [u8; 32];

/// What the node's key folder gives a chain: a key that follows from the key-encryption key.
#[derive(Clone)]
pub struct NodeKey {
    /// The generation of the key-encryption key.
    pub generation: u32,
    key: DataKey,
}

impl NodeKey {
    /// Of this generation.
    #[must_use]
    pub fn of(generation: u32, kek: &DataKey) -> Self {
        let key = derive(b"", kek.expose(), "comity backup node key v1");
        Self { generation, key: DataKey::new(*key) }
    }
}

/// The secret of a chain: with the node's key it opens everything in it.
#[derive(Clone)]
pub(super) struct Secret(pub(super) DataKey);

/// An open chain.
pub(super) struct Chain {
    disk: Disk,
    pub(super) folder: PathBuf,
    pub(super) head: BackupChain,
    /// Seals lists, and from it follow the keys of pieces.
    key: [u8; 32],
    /// Names pieces.
    names: [u8; 32],
}

impl Chain {
    /// Begins a chain in `root`: its folder appears whole or not at all.
    pub(super) fn make(
        disk: &Disk,
        root: &Path,
        mut head: BackupChain,
        recipients: &BTreeMap<KeyId, PublicKey>,
        (secret, node): (&Secret, &NodeKey),
    ) -> Result<Self, BackupFault> {
        head.version = VERSION;
        head.key_encryption = node.generation;
        let told = head.encode_to_vec();
        for (id, key) in recipients {
            let sealed = hpke_seal(key, INFO, &told, secret.0.expose(), crate::store::random());
            let (encapsulated, wrapped) = sealed.map_err(|_| BackupFault::BadRecipient {
                path: id.to_string().into(),
                why: "nothing can be sealed to it".to_owned(),
            })?;
            head.recipients.push(BackupRecipient { key_id: id.as_bytes().to_vec(), encapsulated, wrapped });
        }
        let folder = root.join(hex(&head.chain));
        let unfinished = folder.with_extension(crate::disk::UNFINISHED);
        if unfinished.exists() {
            disk.remove_folder(&unfinished).map_err(BackupFault::disk(&unfinished))?;
        }
        disk.folder(&unfinished).map_err(BackupFault::disk(&unfinished))?;
        disk.folder(&unfinished.join("pieces")).map_err(BackupFault::disk(&unfinished))?;
        write_whole(disk, &unfinished.join(HEAD), &head.encode_to_vec())?;
        disk.rename(&unfinished, &folder).map_err(BackupFault::disk(&folder))?;
        Ok(Self::with(disk, folder, head, secret, node))
    }

    /// Opens a chain whose secret is known.
    pub(super) fn open(disk: &Disk, folder: &Path, secret: &Secret, node: &NodeKey) -> Result<Self, BackupFault> {
        Ok(Self::with(disk, folder.to_owned(), read_head(folder)?, secret, node))
    }

    /// Opens a chain with a recovery key.
    pub(super) fn recover(
        folder: &Path,
        recovery: &RecoveryKey,
        node: &dyn Fn(u32) -> Option<NodeKey>,
    ) -> Result<Self, BackupFault> {
        let head = read_head(folder)?;
        let id = recovery.public().id();
        let told = BackupChain { recipients: Vec::new(), ..head.clone() }.encode_to_vec();
        let ours = head.recipients.iter().find(|one| one.key_id == id.as_bytes());
        let ours = ours.ok_or(BackupFault::NotARecipient)?;
        let secret = recovery
            .unwrap((INFO, &told), &ours.encapsulated, &ours.wrapped)
            .map_err(|_| BackupFault::damaged(&folder.join(HEAD), "not what was written"))?;
        let node = node(head.key_encryption).ok_or(BackupFault::Dead(head.key_encryption))?;
        Ok(Self::with(&Disk::default(), folder.to_owned(), head, &Secret(DataKey::new(*secret)), &node))
    }

    fn with(disk: &Disk, folder: PathBuf, head: BackupChain, secret: &Secret, node: &NodeKey) -> Self {
        let both = derive(node.key.expose(), secret.0.expose(), "comity backup chain v1");
        let [key, names] =
            ["comity backup lists v1", "comity backup names v1"].map(|purpose| *derive(&head.chain, &both, purpose));
        Self { disk: disk.clone(), folder, head, key, names }
    }

    /// Puts a piece there, unless it is there already; gives its name and the bytes written.
    pub(super) fn put(&self, plain: &[u8]) -> Result<(PieceName, u64), BackupFault> {
        let name = hmac_sha256(&self.names, &[plain]);
        let path = self.path(&name);
        if self.holds(&name, plain.len() as u64) {
            return Ok((name, 0));
        }
        let (item, key) = self.piece_key(&name);
        if let Some(shelf) = path.parent() {
            self.disk.folder(shelf).map_err(BackupFault::disk(shelf))?;
        }
        let sealed = seal(item, &key, plain);
        write_whole(&self.disk, &path, &sealed)?;
        Ok((name, sealed.len() as u64))
    }

    /// Whether a piece of so much content lies here, as far as its length tells.
    pub(super) fn holds(&self, name: &PieceName, plain: u64) -> bool {
        fs::metadata(self.path(name)).is_ok_and(|found| Some(found.len()) == object::object_size(plain))
    }

    /// The content of a piece, proved to be what was put there.
    pub(super) fn get(&self, name: &[u8]) -> Result<Zeroizing<Vec<u8>>, BackupFault> {
        let damaged = |path: &Path| BackupFault::damaged(path, "not what was written");
        let name: PieceName = name.try_into().map_err(|_| damaged(&self.folder))?;
        let path = self.path(&name);
        let (item, key) = self.piece_key(&name);
        let plain = open(read(&path, (PIECE + (PIECE / CHUNK + 1) * TAG + HEADER) as u64)?, item, &key);
        let plain = plain.map_err(|_| damaged(&path))?;
        if hmac_sha256(&self.names, &[&plain]) == name { Ok(plain) } else { Err(damaged(&path)) }
    }

    /// The numbers of the backups in this chain, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, BackupFault> {
        numbers_in(&self.folder)
    }

    /// Writes the list of a backup: with its name it exists.
    pub(super) fn put_list(&self, list: &Backup) -> Result<PathBuf, BackupFault> {
        let path = self.list_path(list.number);
        let item = ItemId::new(crate::store::random());
        write_whole(&self.disk, &path, &seal(item, &self.list_key(&item), &list.encode_to_vec()))?;
        Ok(path)
    }

    /// The list of a backup.
    pub(super) fn list(&self, number: u64) -> Result<Backup, BackupFault> {
        let path = self.list_path(number);
        let damaged = || BackupFault::damaged(&path, "not what was written");
        let sealed = read(&path, LIST_MAX as u64)?;
        let item = sealed.get(16..32).and_then(|id| ItemId::from_slice(id).ok()).ok_or_else(damaged)?;
        let key = self.list_key(&item);
        let plain = open(sealed, item, &key).map_err(|fault| match fault {
            ObjectFault::WrongKey => BackupFault::WrongKeys,
            _ => damaged(),
        })?;
        let list: Backup = strict(&plain, LIST_MAX).map_err(|_| damaged())?;
        if list.version == VERSION && list.number == number { Ok(list) } else { Err(damaged()) }
    }

    /// Where a piece lies.
    pub(super) fn path(&self, name: &PieceName) -> PathBuf {
        let name = hex(name);
        self.folder.join("pieces").join(&name[..2]).join(&name[2..])
    }

    fn list_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}.{ENDING}"))
    }

    fn piece_key(&self, name: &PieceName) -> (ItemId, DataKey) {
        let mut item = [0; 16];
        item.copy_from_slice(&name[..16]);
        (ItemId::new(item), DataKey::new(*derive(name, &self.key, "comity backup piece v1")))
    }

    fn list_key(&self, item: &ItemId) -> DataKey {
        DataKey::new(*derive(item.as_bytes(), &self.key, "comity backup list v1"))
    }
}

/// The chains in a folder, the newest first. One whose head does not read is passed over where others serve as well.
pub(super) fn chains(root: &Path, passes_over: bool) -> Result<Vec<(PathBuf, BackupChain)>, BackupFault> {
    if root.join(HEAD).exists() {
        return Ok(vec![(root.to_owned(), read_head(root)?)]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(BackupFault::disk(root))? {
        let folder = entry.map_err(BackupFault::disk(root))?.path();
        let unfinished = folder.extension().is_some_and(|ending| ending == crate::disk::UNFINISHED);
        if !unfinished && folder.join(HEAD).exists() {
            match read_head(&folder) {
                Err(fault) if passes_over => {
                    tracing::warn!(target: "backup", code = fault.code(), "a chain of backups is passed over");
                }
                head => found.push((folder, head?)),
            }
        }
    }
    found.sort_by_key(|(_, head)| std::cmp::Reverse(head.made_ms));
    Ok(found)
}

/// The numbers of the backups in the chain that this folder is, ascending. It takes no key to count them.
pub(super) fn numbers_in(folder: &Path) -> Result<Vec<u64>, BackupFault> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(BackupFault::disk(folder))? {
        let path = entry.map_err(BackupFault::disk(folder))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        numbers.extend(number.filter(|_| path.extension().is_some_and(|ending| ending == ENDING)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_head(folder: &Path) -> Result<BackupChain, BackupFault> {
    let path = folder.join(HEAD);
    let head: BackupChain = strict(&read(&path, HEAD_MAX as u64)?, HEAD_MAX)
        .map_err(|_| BackupFault::damaged(&path, "not what was written"))?;
    if head.version == VERSION {
        Ok(head)
    } else {
        Err(BackupFault::damaged(&path, "of another version of this program"))
    }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, BackupFault> {
    let missing = |fault: std::io::Error| match fault.kind() {
        std::io::ErrorKind::NotFound => BackupFault::damaged(path, "missing"),
        _ => BackupFault::disk(path)(fault),
    };
    let size = fs::metadata(path).map_err(missing)?.len();
    if size > max {
        Err(BackupFault::damaged(path, "longer than any such file"))
    } else {
        fs::read(path).map_err(missing)
    }
}

/// Writes a file that exists whole or not at all, and lasts when this returns.
pub(super) fn write_whole(disk: &Disk, path: &Path, bytes: &[u8]) -> Result<(), BackupFault> {
    let fault = BackupFault::disk(path);
    let unfinished = path.with_extension(crate::disk::UNFINISHED);
    let file = disk.create(&unfinished).map_err(&fault)?;
    let written = file.write_at(bytes, 0).and_then(|()| file.sync_all());
    if let Err(cause) = written {
        // Space taken by a file that could not be finished is space others may need.
        disk.remove_file(&unfinished).ok();
        return Err(fault(cause));
    }
    disk.rename(&unfinished, path).map_err(fault)
}

fn seal(item: ItemId, key: &DataKey, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(item, key);
    let mut out = object::header(&item, key).to_vec();
    let count = chunks(plain.len() as u64);
    for index in 0..count {
        let from = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(CHUNK);
        let mut chunk = plain[from..plain.len().min(from + CHUNK)].to_vec();
        sealer.seal(&mut chunk, index + 1 == count);
        out.extend(chunk);
    }
    out
}

fn open(mut sealed: Vec<u8>, item: ItemId, key: &DataKey) -> Result<Zeroizing<Vec<u8>>, ObjectFault> {
    let size = sealed.len() as u64;
    let (head, body) = sealed.split_first_chunk_mut::<HEADER>().ok_or(ObjectFault::Size(size))?;
    let opener = Opener::new(head, size, item, key)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(body.len()));
    for (index, chunk) in (0..).zip(body.chunks_mut(CHUNK + TAG)) {
        plain.extend_from_slice(opener.open(index, chunk)?);
    }
    Ok(plain)
}
