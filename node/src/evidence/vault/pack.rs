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
/// Bytes are written in pieces of at least this size: four groups.
const PIECE: usize = 64 << 10;
/// The disk is asked to begin each time so many bytes are written.
const BEGIN: u64 = 8 << 20;
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
    body: Growing,
    hashes: Growing,
}

impl Pack {
    /// Opens the two files of a pack in `folder`, or makes them; its length counts from the beginning.
    pub(super) fn open(disk: &Disk, folder: &Path, name: &str) -> Result<Self, VaultFault> {
        let open = |ending: &str| {
            let path = folder.join(format!("{name}.{ending}"));
            let file = if path.exists() { disk.open(&path) } else { disk.create(&path) };
            file.map(Growing::new).map_err(VaultFault::preparing(&path))
        };
        Ok(Self { name: name.to_owned(), body: open(BODY)?, hashes: open(HASHES)? })
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> u64 {
        self.body.len()
    }

    /// Bytes of hashes beside it.
    pub(super) fn hashes_len(&self) -> u64 {
        self.hashes.len()
    }

    /// Appends bytes. After a fault what was appended last may be missing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), VaultFault> {
        self.body.waiting.extend_from_slice(bytes);
        self.body.write_pieces()
    }

    /// Puts in the frame of an object whose size is known now.
    pub(super) fn put_frame(&mut self, frame: &[u8; FRAME], offset: u64) -> Result<(), VaultFault> {
        let waits = offset.checked_sub(self.body.written).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = waits.and_then(|at| self.body.waiting.get_mut(at..)?.first_chunk_mut()) {
            *place = *frame;
            return Ok(());
        }
        self.body.file.write_at(frame, offset).map_err(VaultFault::writing("writing a pack"))
    }

    /// Goes over bytes that are there already.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.body.written += bytes;
    }

    /// Reads bytes that are there already, as many as there are.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, VaultFault> {
        let path = self.body.file.path();
        let file = std::fs::metadata(path).map_err(VaultFault::preparing(path))?;
        let there = file.len().saturating_sub(self.len()).min(buffer.len() as u64);
        let there = usize::try_from(there).unwrap_or(buffer.len());
        let read = self.body.file.read_at(&mut buffer[..there], self.len());
        read.map_err(VaultFault::preparing(path))?;
        Ok(there)
    }

    /// Where hashes go: they are written in pieces.
    pub(super) fn hashes(&mut self) -> &mut Vec<u8> {
        &mut self.hashes.waiting
    }

    /// Writes hashes if a piece of them is there.
    pub(super) fn keep_hashes(&mut self) -> Result<(), VaultFault> {
        self.hashes.write_pieces()
    }

    /// Goes back to where an item began that is not to stay.
    pub(super) fn go_back(&mut self, placed: &Placed) {
        self.body.go_back(placed.offset);
        self.hashes.go_back(placed.hashes);
    }

    /// Puts all of it on disk and gives its name in `partial/`.
    pub(super) fn finish(mut self) -> Result<String, VaultFault> {
        for growing in [&mut self.body, &mut self.hashes] {
            growing.write()?;
            growing.file.sync_all().map_err(VaultFault::writing("syncing a pack"))?;
        }
        Ok(self.name)
    }

    /// Removes it; what it held is not to be.
    pub(super) fn remove(self, disk: &Disk) {
        for file in [self.body.file.path(), self.hashes.file.path()] {
            if let Err(fault) = disk.remove_file(file) {
                tracing::debug!(target: "evidence", %fault, "a partial pack is removed at the next start");
            }
        }
    }
}

/// A file that grows: written in pieces, and on its way to the disk long before it is synced, so that the sync at the
/// end has little left to wait for.
struct Growing {
    file: DiskFile,
    written: u64,
    waiting: Vec<u8>,
    /// Up to here the system was asked to begin.
    begun: u64,
}

impl Growing {
    const fn new(file: DiskFile) -> Self {
        Self { file, written: 0, waiting: Vec::new(), begun: 0 }
    }

    fn len(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    fn write_pieces(&mut self) -> Result<(), VaultFault> {
        if self.waiting.len() >= PIECE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), VaultFault> {
        self.file.write_at(&self.waiting, self.written).map_err(VaultFault::writing("writing a pack"))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        if self.written - self.begun >= BEGIN {
            self.file.begin_writing_back(self.begun, self.written);
            self.begun = self.written;
        }
        Ok(())
    }

    fn go_back(&mut self, to: u64) {
        if to >= self.written {
            self.waiting.truncate(usize::try_from(to - self.written).unwrap_or(usize::MAX));
        } else {
            self.waiting.clear();
            (self.written, self.begun) = (to, self.begun.min(to));
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
