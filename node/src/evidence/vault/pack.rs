//! Packs: files of sealed objects, one after the other, and beside each the hashes of all of them.
//!
//! ```text
//! pack   = frame ‖ object ‖ frame ‖ object …
//! frame  = "comityfr" ‖ u32 LE version 1 ‖ u32 zero ‖ item (16) ‖ u64 LE object's bytes ‖ 20 zeros ‖ u32 LE crc32c
//! hashes = the pairs of hashes of each object (SPEC [V-3]), one object after the other
//! ```
//!
//! Both are only ever appended to while they lie in `partial/`, so that whatever a killed process wrote
//! is found again; frames say what it is.

use std::path::Path;

use comity_core::ids::{ItemId, hex};
use object_store::path::Path as ObjectPath;

use super::VaultFault;
use crate::disk::{Disk, DiskFile};

/// What stands before each object.
pub(super) const FRAME: usize = 64;
/// A pack this large takes nothing more: so many bytes are read again, at most, when a killed receiver
/// goes on, besides the one item it was at; and thousands of small files still share one sync.
pub(super) const PACK_MAX: u64 = 64 << 20;
/// Endings of the two files of a pack in `partial/`.
pub(super) const BODY: &str = "pack";
pub(super) const HASHES: &str = "hashes";
/// Hashes are written in pieces of this size.
const HASHES_PIECE: usize = 64 << 10;
const MAGIC: &[u8; 8] = b"comityfr";
const VERSION: u32 = 1;

/// The name of a pack: random, so that it tells nothing and differs at each Party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PackId(pub(super) [u8; 16]);

impl PackId {
    /// The pack of what is still to come.
    pub(super) const NONE: Self = Self([0; 16]);

    pub(super) fn draw() -> Self {
        Self(crate::store::random())
    }

    pub(super) fn object(&self) -> ObjectPath {
        let name = hex(&self.0);
        ObjectPath::from(format!("objects/{}/{}", &name[..2], &name[2..]))
    }

    pub(super) fn hashes(&self) -> ObjectPath {
        ObjectPath::from(format!("{}.{HASHES}", self.object()))
    }

    /// The pack whose file, or whose hashes, lie at this path.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let shelf = path.parent()?.file_name()?.to_str()?;
        let name = path.file_stem()?.to_str()?;
        let bytes = comity_core::ids::unhex(&format!("{shelf}{name}"), "pack").ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// Where an item lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) item: ItemId,
    pub(super) offset: u64,
    pub(super) hashes: u64,
}

/// The frame before an object.
pub(super) fn frame(item: &ItemId, size: u64) -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(item.as_bytes());
    bytes[32..40].copy_from_slice(&size.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The item and size a frame states, if it is one.
pub(super) fn read_frame(bytes: &[u8]) -> Option<(ItemId, u64)> {
    let item = ItemId::from_slice(bytes.get(16..32)?).ok()?;
    let size = u64::from_le_bytes(*bytes.get(32..)?.first_chunk()?);
    (bytes == frame(&item, size)).then_some((item, size))
}

/// A pack being written.
pub(super) struct Pack {
    name: String,
    body: DiskFile,
    len: u64,
    hashes: DiskFile,
    hashes_len: u64,
    waiting: Vec<u8>,
}

impl Pack {
    /// Opens the two files of a pack in `folder`, or makes them; its length counts from the beginning.
    pub(super) fn open(disk: &Disk, folder: &Path, name: &str) -> Result<Self, VaultFault> {
        let open = |ending: &str| {
            let path = folder.join(format!("{name}.{ending}"));
            let file = if path.exists() { disk.open(&path) } else { disk.create(&path) };
            file.map_err(VaultFault::preparing(&path))
        };
        let (body, hashes) = (open(BODY)?, open(HASHES)?);
        Ok(Self { name: name.to_owned(), body, len: 0, hashes, hashes_len: 0, waiting: Vec::new() })
    }

    /// Bytes in it.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of hashes beside it.
    pub(super) fn hashes_len(&self) -> u64 {
        self.hashes_len + self.waiting.len() as u64
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), VaultFault> {
        self.body.write_at(bytes, self.len).map_err(VaultFault::writing("writing a pack"))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Writes the frame of an object whose size is known now.
    pub(super) fn put_frame(&mut self, frame: &[u8; FRAME], offset: u64) -> Result<(), VaultFault> {
        self.body.write_at(frame, offset).map_err(VaultFault::writing("writing a pack"))
    }

    /// Goes over bytes that are there already.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.len += bytes;
    }

    /// Reads bytes that are there already, as many as there are.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, VaultFault> {
        let file = std::fs::metadata(self.body.path()).map_err(VaultFault::preparing(self.body.path()))?;
        let there = file.len().saturating_sub(self.len).min(buffer.len() as u64);
        let there = usize::try_from(there).unwrap_or(buffer.len());
        let read = self.body.read_at(&mut buffer[..there], self.len);
        read.map_err(VaultFault::preparing(self.body.path()))?;
        Ok(there)
    }

    /// Where hashes go: they are written in pieces.
    pub(super) fn hashes(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Writes hashes if a piece of them is there.
    pub(super) fn keep_hashes(&mut self) -> Result<(), VaultFault> {
        if self.waiting.len() >= HASHES_PIECE { self.write_hashes() } else { Ok(()) }
    }

    fn write_hashes(&mut self) -> Result<(), VaultFault> {
        self.hashes.write_at(&self.waiting, self.hashes_len).map_err(VaultFault::writing("writing hashes"))?;
        self.hashes_len += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Goes back to where an item began that is not to stay.
    pub(super) fn go_back(&mut self, placed: &Placed) {
        self.len = placed.offset;
        self.waiting.clear();
        self.hashes_len = placed.hashes;
    }

    /// Puts all of it on disk and gives its name in `partial/`.
    pub(super) fn finish(mut self) -> Result<String, VaultFault> {
        self.write_hashes()?;
        for file in [&self.body, &self.hashes] {
            file.sync_all().map_err(VaultFault::writing("syncing a pack"))?;
        }
        Ok(self.name)
    }

    /// Removes it; what it held is not to be.
    pub(super) fn remove(self) {
        for file in [self.body.path(), self.hashes.path()] {
            if let Err(fault) = std::fs::remove_file(file) {
                tracing::debug!(target: "evidence", %fault, "a partial pack is removed at the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_any_flipped_bit_shows() {
        let item = ItemId::new([7; 16]);
        for size in [0, 1, u64::MAX] {
            let whole = frame(&item, size);
            assert_eq!(read_frame(&whole), Some((item, size)));
            for bit in 0..whole.len() * 8 {
                let mut wrong = whole;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read_frame(&wrong), None, "bit {bit}");
            }
            let longer = [&whole[..], &[0]].concat();
            assert_eq!((0..FRAME).find(|len| read_frame(&whole[..*len]).is_some()), None);
            assert_eq!(read_frame(&longer), None);
        }
    }
}
