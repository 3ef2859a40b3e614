//! Reading what rests in the vault: sealed bytes and hashes for a taker, plaintext for those who may.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use comity_core::{
    ids::{Digest, ItemId},
    object::{CHUNK, HEADER, ItemKey, Opener, SEALED_CHUNK, TAG, TreeBuilder, chunk_offset, outboard_size, plain_size},
};
use object_store::path::Path as ObjectPath;
use sha2::{Digest as _, Sha256};

use super::{
    Shelves, VaultFault,
    catalogue::{Row, SlotState},
    pack::{FRAME, read_frame},
};

/// Read from the storage at once: many groups, and little enough that eight readers are a few MiB.
const WINDOW: u64 = 512 << 10;

/// A stretch of a stored file, read ahead.
struct Window {
    object: ObjectPath,
    /// Where the part that is ours begins and ends.
    base: u64,
    size: u64,
    held: Mutex<(u64, Bytes)>,
}

impl Window {
    fn new(object: ObjectPath, base: u64, size: u64) -> Self {
        Self { object, base, size, held: Mutex::new((0, Bytes::new())) }
    }

    fn read_at(&self, shelves: &Shelves, at: u64, buffer: &mut [u8]) -> Result<usize, VaultFault> {
        if at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, bytes) = &*held;
        if at < *from || at >= from + bytes.len() as u64 {
            let until = self.size.min(at + WINDOW.max(buffer.len() as u64));
            *held = (at, shelves.read(&self.object, self.base + at, self.base + until)?);
        }
        let (from, bytes) = &*held;
        let skip = usize::try_from(at - from).unwrap_or(bytes.len());
        let there = bytes.get(skip..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }
}

/// The sealed bytes of an item and the hashes beside them.
pub struct StoredObject {
    shelves: Arc<Shelves>,
    item: ItemId,
    row: Row,
    body: Window,
    hashes: Window,
}

impl StoredObject {
    pub(super) fn open(shelves: Arc<Shelves>, item: &ItemId) -> Result<Self, VaultFault> {
        let row = shelves.catalogue.row(item)?.filter(|row| row.state == SlotState::Held);
        let row = row.ok_or(VaultFault::NotHeld(*item))?;
        let (object, hashes) = (row.pack.object(), row.pack.hashes());
        let head = shelves.read(&object, row.offset, row.offset + FRAME as u64)?;
        if read_frame(&head) != Some((*item, row.size)) {
            return Err(VaultFault::BadFrame(*item));
        }
        let body = Window::new(object, row.offset + FRAME as u64, row.size);
        let hashes = Window::new(hashes, row.hashes, outboard_size(row.size));
        Ok(Self { shelves, item: *item, row, body, hashes })
    }

    /// Bytes of the object.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.row.size
    }

    /// BLAKE3 of the object, as it was signed.
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.row.root
    }

    /// Reads sealed bytes; fewer than asked at the end, or of what is read ahead.
    ///
    /// # Errors
    /// When the storage does not give them.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read_at(&self.shelves, at, buffer).map_err(io::Error::other)
    }

    /// Reads hashes in the same way.
    ///
    /// # Errors
    /// When the storage does not give them.
    pub fn outboard_read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.hashes.read_at(&self.shelves, at, buffer).map_err(io::Error::other)
    }

    /// Fills the buffer from the object, as far as it goes.
    fn fill(&self, mut at: u64, buffer: &mut [u8]) -> Result<usize, VaultFault> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = self.body.read_at(&self.shelves, at, &mut buffer[filled..])?;
            if read == 0 {
                break;
            }
            (filled, at) = (filled + read, at + read as u64);
        }
        Ok(filled)
    }

    fn opener(&self, key: &ItemKey) -> Result<(Opener, [u8; HEADER]), VaultFault> {
        let mut head = [0; HEADER];
        self.fill(0, &mut head)?;
        let opener = Opener::new(&head, self.row.size, self.item, key);
        Ok((opener.map_err(|fault| VaultFault::object(&self.item, fault))?, head))
    }
}

/// The plaintext of an item, chunk by chunk; every byte is authenticated before it is given.
pub struct PlainReader {
    object: StoredObject,
    opener: Opener,
    size: u64,
    at: u64,
    /// The chunk that was opened last.
    chunk: Option<u64>,
    plain: Vec<u8>,
}

impl PlainReader {
    pub(super) fn open(object: StoredObject, key: ItemKey) -> Result<Self, VaultFault> {
        let (opener, _) = object.opener(&key)?;
        let size = plain_size(object.size()).map_err(|fault| VaultFault::object(&object.item, fault))?;
        Ok(Self { object, opener, size, at: 0, chunk: None, plain: Vec::new() })
    }

    /// Bytes of plaintext.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// From where the next read reads.
    pub fn seek(&mut self, at: u64) {
        self.at = at.min(self.size);
    }

    /// Reads from where it stands to the end.
    ///
    /// # Errors
    /// When the storage does not give the bytes, or they do not open.
    pub fn read_whole(&mut self) -> Result<Vec<u8>, VaultFault> {
        let mut all = Vec::new();
        while self.at < self.size {
            let plain = self.piece()?;
            all.extend_from_slice(plain);
            let read = plain.len() as u64;
            self.at += read;
        }
        Ok(all)
    }

    /// What is left of the chunk where the reader stands.
    fn piece(&mut self) -> Result<&[u8], VaultFault> {
        let index = self.at / CHUNK as u64;
        if self.chunk != Some(index) {
            self.plain.resize(CHUNK + TAG, 0);
            let sealed = self.object.fill(chunk_offset(index), &mut self.plain)?;
            self.plain.truncate(sealed);
            let opened = self.opener.open(index, &mut self.plain);
            let len = opened.map_err(|fault| VaultFault::object(&self.object.item, fault))?.len();
            self.plain.truncate(len);
            self.chunk = Some(index);
        }
        let skip = usize::try_from(self.at % CHUNK as u64).unwrap_or(CHUNK);
        Ok(self.plain.get(skip..).unwrap_or_default())
    }
}

impl Read for PlainReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let plain = self.piece().map_err(io::Error::other)?;
        let read = plain.len().min(buffer.len());
        buffer[..read].copy_from_slice(&plain[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads everything of an item again.
pub(super) fn verify(object: StoredObject, key: &ItemKey, sha256: &Digest) -> Result<(), VaultFault> {
    let item = object.item;
    let (opener, head) = object.opener(key)?;
    let (mut tree, mut found, mut hashes) = (TreeBuilder::default(), Sha256::new(), Vec::new());
    let mut compared = 0;
    tree.update(&head, &mut hashes);
    let mut chunk = vec![0; CHUNK + TAG];
    for index in 0..opener.chunks() {
        let at = HEADER as u64 + index * SEALED_CHUNK;
        let sealed = object.fill(at, &mut chunk)?;
        tree.update(&chunk[..sealed], &mut hashes);
        let plain = opener.open(index, &mut chunk[..sealed]).map_err(|fault| VaultFault::object(&item, fault))?;
        found.update(plain);
        compared = compare(&object, &mut hashes, compared)?;
    }
    let root = tree.finish(&mut hashes);
    compare(&object, &mut hashes, compared)?;
    if root != object.row.root {
        return Err(VaultFault::WrongRoot(item));
    }
    if Digest::new(found.finalize().into()) != *sha256 {
        return Err(VaultFault::WrongDigest(item));
    }
    Ok(())
}

/// Holds hashes just made against those beside the object; says how many were compared so far.
fn compare(object: &StoredObject, made: &mut Vec<u8>, mut at: u64) -> Result<u64, VaultFault> {
    let mut kept = [0; 64];
    for pair in made.chunks_exact(64) {
        let mut filled = 0;
        while filled < kept.len() {
            let read = object.hashes.read_at(&object.shelves, at + filled as u64, &mut kept[filled..])?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        if kept != *pair || filled < kept.len() {
            return Err(VaultFault::BadHashes { item: object.item, offset: at });
        }
        at += 64;
    }
    made.clear();
    Ok(at)
}
