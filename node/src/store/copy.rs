//! What a copy takes of an open ledger while it is written to, and how it lets go of requests before it is put back.
//!
//! The order makes it whole: the checkpoint first, then what is committed of the segments, then the keys, whose slots are
//! on disk before the first record that needs them. So no checkpoint counts more than is there, and no record
//! lacks its keys but for what was erased meanwhile. Tiles and outlines are left out: they are copies themselves.
//! Start with [`Ledger::copy`].

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use comity_core::ids::{Digest, RequestId};

use super::{Ledger, StoreFault};

/// One file as a copy takes it.
#[derive(Debug)]
pub struct Part {
    /// Its path below the folder that is copied, levels joined by `/`.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// How long the file is; what lies behind its content is zeros.
    pub space: u64,
    /// Whether a file of this name never changes once it has so much content.
    pub is_final: bool,
}

/// Where the content of a part is.
#[derive(Debug)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In the first so many bytes of a file, which do not change any more.
    File(PathBuf, u64),
}

impl Part {
    /// A part whose content was read already.
    #[must_use]
    pub fn of_bytes(name: String, bytes: Vec<u8>) -> Self {
        let space = bytes.len() as u64;
        Self { name, content: Content::Bytes(bytes), space, is_final: false }
    }
}

/// A file of slots as it is, up to the last that was ever used, below `folder`. Whoever calls keeps others from writing it
/// meanwhile.
///
/// # Errors
/// When it cannot be read.
pub fn slots_part(folder: &str, path: &Path, slot: usize) -> io::Result<Part> {
    let mut bytes = fs::read(path)?;
    let space = bytes.len() as u64;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(slot));
    bytes.truncate(used);
    let name = format!("{folder}/{}", path.file_name().unwrap_or_default().display());
    Ok(Part { name, content: Content::Bytes(bytes), space, is_final: false })
}

/// What a copy takes of a ledger.
pub struct LedgerCopy {
    /// Its records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Its files below the ledger's folder.
    pub parts: Vec<Part>,
}

impl Ledger {
    /// What a copy takes at this moment. Content of files is read later: it does not change any more.
    ///
    /// # Errors
    /// [`StoreFault::ReadOnly`] when something is damaged, or what the disk says.
    pub fn copy(&self) -> Result<LedgerCopy, StoreFault> {
        if let Some(damage) = self.read_only() {
            return Err(StoreFault::ReadOnly(damage));
        }
        let mut parts = self.copy_note()?;
        let (size, segments) = self.shelf.extents()?;
        parts.extend(segments.into_iter().map(|extent| {
            let name = format!("segments/{}", extent.path.file_name().unwrap_or_default().display());
            let content = Content::File(extent.path, extent.bytes);
            Part { name, content, space: extent.space, is_final: extent.is_closed }
        }));
        parts.extend(self.slots.copy()?);
        Ok(LedgerCopy { size, root: self.root_at(size)?, parts })
    }
}

/// Destroys the keys of these requests in the content of a key file (SPEC `[F-5]`), as the ledger itself would.
pub fn erase_slots(bytes: &mut [u8], erased: &BTreeSet<RequestId>) {
    super::slots::erase(bytes, erased);
}
