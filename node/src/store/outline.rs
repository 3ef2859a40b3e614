//! What an open needs to know of a closed segment, in a file beside it, so that its records need not be read (SPEC
//! `[F-9]`).
//!
//! Nothing here is the truth. An outline is written without a sync once its segment is closed. It counts only if it is
//! whole, continues the log that was read before it, ends with the very commit that ends the segment, and nothing
//! follows that commit; else the segment is read frame by frame and its outline written anew. What an outline cannot
//! show is damage between the first frame and the last: that is for whoever walks the segments once the log is open.
//! Start with [`Outline::found`].
//!
//! ```text
//! outline = "comityol" | u32 LE version | u32 LE segment | mark (16) | commit before (72) | commit at its end (72)
//!         | u32 LE end | u32 LE records | u32 LE place of each frame | tree | u32 LE crc32c
//! commit  = u64 LE size | root (32) | running hash (32)
//! ```

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    frame::{self, COMMIT_FRAME, Commit, Frame, Mark, SEGMENT_HEAD},
    scan::{last_used, split_place},
};
use crate::disk::{Disk, crash::crash_point};

const MAGIC: &[u8; 8] = b"comityol";
const VERSION: u32 = 1;
/// Bytes that are read at once where zeros are expected.
const SLACK: usize = 64 << 10;

/// What is known of one closed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline {
    /// The segment.
    pub(super) segment: u32,
    /// The log's mark: of another log, or of an earlier life of this one, it says nothing.
    pub(super) mark: Mark,
    /// The commit before its first record.
    pub(super) before: Commit,
    /// Its last commit.
    pub(super) at: Commit,
    /// The byte behind that commit.
    pub(super) end: u32,
    /// Where each of its records' frames starts.
    pub(super) offsets: Vec<u32>,
    /// What whoever keeps the log needs to go on behind it.
    pub(super) tree: Vec<u8>,
}

impl Outline {
    /// Of a segment and the byte behind its last commit; the commits before it and at its end; the places of its records.
    pub(super) fn new(
        (segment, end): (u32, u64),
        mark: Mark,
        (before, at): (Commit, Commit),
        places: &[u64],
        tree: Vec<u8>,
    ) -> Self {
        let within = |byte: u64| u32::try_from(byte).expect("segments are below 4 GiB");
        let offsets = places.iter().map(|place| within(split_place(*place).1)).collect();
        Self { segment, mark, before, at, end: within(end), offsets, tree }
    }

    /// The outline of a segment if it is whole, continues what was read before it, and is of the file as it is.
    pub(super) fn found(segment: &Path, number: u32, mark: Mark, before: &Commit) -> Option<Self> {
        let outline = Self::parse(&fs::read(path(segment)).ok()?)?;
        let continues = (outline.segment, outline.mark, &outline.before) == (number, mark, before);
        (continues && outline.is_of(segment).ok()?).then_some(outline)
    }

    /// Whether the segment has its head, ends with the commit named here, and holds nothing behind it.
    fn is_of(&self, segment: &Path) -> io::Result<bool> {
        let file = File::open(segment)?;
        let len = file.metadata()?.len();
        let mut head = [0; SEGMENT_HEAD];
        file.read_exact_at(&mut head, 0)?;
        let mut commit = [0; COMMIT_FRAME];
        let Some(start) = u64::from(self.end).checked_sub(COMMIT_FRAME as u64) else { return Ok(false) };
        file.read_exact_at(&mut commit, start)?;
        let ends = matches!(frame::parse(&commit, self.mark), Some((Frame::Commit(found), _)) if found == self.at);
        let is_its_head = frame::parse_head(&head) == Some((self.segment, len, self.mark));
        Ok(is_its_head && ends && is_blank(&file, self.end.into(), len)?)
    }

    /// Writes it beside its segment. One that cannot be written is no loss: the next start reads the segment.
    pub(super) fn write(&self, disk: &Disk, segment: &Path) {
        let write = || {
            let file = disk.create(&path(segment))?;
            // A crash here, or before all of it is on disk, leaves an outline that is not whole: the next start reads
            // the segment and writes it anew.
            crash_point("store.outline-created");
            file.write_at(&self.to_bytes(), 0)
        };
        if let Err(fault) = write() {
            tracing::debug!(target: "store", segment = self.segment, %fault, "an outline was not written");
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.offsets.len()).expect("a segment is below 4 GiB");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.segment.to_le_bytes());
        bytes.extend(self.mark.bytes());
        for commit in [&self.before, &self.at] {
            bytes.extend(commit.size.to_le_bytes());
            bytes.extend(commit.root);
            bytes.extend(commit.running);
        }
        bytes.extend(self.end.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(self.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        bytes.extend(&self.tree);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = Rest(content);
        if rest.take()? != MAGIC || rest.number()? != VERSION {
            return None;
        }
        let (segment, mark) = (rest.number()?, Mark::new(*rest.take()?));
        let (before, at) = (rest.commit()?, rest.commit()?);
        let (end, count) = (rest.number()?, rest.number()?);
        let (offsets, tree) = rest.0.split_at_checked((count as usize).checked_mul(4)?)?;
        let offsets = offsets.as_chunks().0.iter().map(|offset| u32::from_le_bytes(*offset)).collect();
        let outline = Self { segment, mark, before, at, end, offsets, tree: tree.to_vec() };
        outline.is_sound().then_some(outline)
    }

    /// As many places as records, one after the other within the segment.
    fn is_sound(&self) -> bool {
        let head = u32::try_from(SEGMENT_HEAD).expect("one cache line");
        self.before.size.checked_add(self.offsets.len() as u64) == Some(self.at.size)
            && self.offsets.first().is_some_and(|first| *first >= head)
            && self.offsets.is_sorted_by(|one, next| one < next)
            && self.offsets.last().is_some_and(|last| *last < self.end)
    }
}

/// Makes the outline of a segment say nothing from now on: every later start reads the segment.
pub(super) fn forget(disk: &Disk, segment: &Path) {
    let path = path(segment);
    if let Err(fault) = disk.create(&path).and_then(|file| file.sync_all()) {
        tracing::warn!(target: "store", path = %path.display(), %fault, "an outline of a damaged segment stays");
    }
}

/// Beside the segment.
pub(super) fn path(segment: &Path) -> PathBuf {
    segment.with_extension("outline")
}

fn is_blank(file: &File, from: u64, until: u64) -> io::Result<bool> {
    let mut piece = vec![0; SLACK];
    let mut at = from;
    while at < until {
        let some = usize::try_from(until - at).unwrap_or(SLACK).min(SLACK);
        file.read_exact_at(&mut piece[..some], at)?;
        if last_used(&piece[..some]) > 0 {
            return Ok(false);
        }
        at += some as u64;
    }
    Ok(true)
}

/// What is left to read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn commit(&mut self) -> Option<Commit> {
        let size = u64::from_le_bytes(*self.take()?);
        Some(Commit { size, root: *self.take()?, running: *self.take()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Outline {
        let commit = |size, byte| Commit { size, root: [byte; 32], running: [byte + 1; 32] };
        Outline {
            segment: 3,
            mark: Mark::new([7; 16]),
            before: commit(9, 1),
            at: commit(12, 5),
            end: 900,
            offsets: vec![64, 200, 500],
            tree: b"whatever".to_vec(),
        }
    }

    /// [F-9]
    #[test]
    fn an_outline_reads_back_and_any_flipped_bit_or_missing_byte_shows() {
        let bytes = outline().to_bytes();
        assert_eq!(bytes.len(), 8 + 4 + 4 + 16 + 72 + 72 + 4 + 4 + 3 * 4 + 8 + 4);
        assert_eq!(Outline::parse(&bytes), Some(outline()));
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Outline::parse(&wrong), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Outline::parse(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn places_are_as_many_as_records_and_lie_within_the_segment() {
        let check = |change: &dyn Fn(&mut Outline)| {
            let mut wrong = outline();
            change(&mut wrong);
            assert_eq!(Outline::parse(&wrong.to_bytes()), None, "{wrong:?}");
        };
        check(&|outline| outline.at.size = 13);
        check(&|outline| outline.before.size = u64::MAX);
        check(&|outline| outline.offsets[0] = 63);
        check(&|outline| outline.offsets[1] = 500);
        check(&|outline| outline.offsets[2] = 900);
        check(&|outline| (outline.offsets, outline.at.size) = (vec![], 9));
    }
}
