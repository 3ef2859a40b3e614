//! The bytes of a log: segment heads, record frames, commit frames. Encoding and reading only;
//! no file is touched here. Serves SPEC `[F-*]`. Start at [`Batch`] and [`parse`].
//!
//! ```text
//! segment = head (64 bytes) batch* zeros
//! batch   = record-frame+ commit-frame
//! frame   = u32 LE payload length | u32 LE crc32c(length, type, payload) | u8 type | payload
//! commit  = u64 LE size | root (32) | running hash (32) | mark (16)
//! head    = "comitylg" | u32 LE version | u32 LE number | u64 LE segment size | mark (16) | zeros | u32 LE crc32c
//! running = SHA-256(running before | record frames | size | root); 32 zero bytes before the first
//! ```
//!
//! The mark is random, made with the log, known only to this disk. It ends every commit frame, so
//! that the end of a batch can be told from any bytes a peer may have put inside a record.

use sha2::{Digest as _, Sha256};

/// Bytes before a frame's payload.
pub(super) const FRAME_HEAD: usize = 9;
/// Bytes before a segment's first batch: one cache line, and never written again once synced.
pub(super) const SEGMENT_HEAD: usize = 64;
/// A whole commit frame.
pub(super) const COMMIT_FRAME: usize = FRAME_HEAD + COMMIT;
/// The largest payload: an envelope of 1 MiB, its answer, and four times as much to spare; a longer
/// length in a frame is damage, not something to allocate.
pub(super) const PAYLOAD_MAX: usize = 8 << 20;

const COMMIT: usize = 8 + 32 + 32 + MARK;
const MARK: usize = 16;
const RECORD: u8 = 1;
const COMMIT_TYPE: u8 = 2;
const MAGIC: &[u8; 8] = b"comitylg";
const VERSION: u32 = 1;
/// A mark read back with at most this many wrong bits is still the mark: a disk flips one or two,
/// while unrelated bytes differ in about 64 of 128.
const MARK_BITS_WRONG_MAX: u32 = 8;

/// Ends every commit frame of one log and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; MARK]);

impl Mark {
    /// Takes 16 random bytes.
    pub(super) fn new(mut random: [u8; MARK]) -> Self {
        // The last byte of a batch is never zero, not even with one bit flipped: so the last byte
        // that is not zero in a segment is where its last batch ends.
        random[MARK - 1] |= 0x81;
        Self(random)
    }

    /// Its bytes.
    pub(super) fn bytes(self) -> [u8; MARK] {
        self.0
    }

    /// Where the mark ends, at or after `from`.
    pub(super) fn find(self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        let found = rest.windows(MARK).position(|window| window == self.0)?;
        Some(from + found + MARK)
    }

    /// True if the bytes end with the mark, give or take a flipped bit.
    pub(super) fn ends(self, bytes: &[u8]) -> bool {
        let Some(last) = bytes.last_chunk::<MARK>() else { return false };
        let wrong: u32 = last.iter().zip(self.0).map(|(a, b)| (a ^ b).count_ones()).sum();
        wrong <= MARK_BITS_WRONG_MAX
    }
}

/// What a commit frame says; by default where a log stands before its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Commit {
    /// Records in the log up to here.
    pub(super) size: u64,
    /// Root of the tree over them; zeros in a log without a tree.
    pub(super) root: [u8; 32],
    /// The chain over all bytes up to here.
    pub(super) running: [u8; 32],
}

/// Continues the chain over the record frames of one batch.
pub(super) fn run_on(before: &[u8; 32], frames: &[u8], size: u64, root: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(frames);
    hash.update(size.to_le_bytes());
    hash.update(root);
    hash.finalize().into()
}

/// Record frames gathered for one write.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Batch {
    /// Adds one record.
    pub(super) fn push(&mut self, payload: &[u8]) {
        let start = u32::try_from(self.bytes.len()).expect("the writer keeps batches below a segment's size");
        self.starts.push(start);
        push_frame(&mut self.bytes, RECORD, payload);
    }

    /// Bytes on disk, the commit frame included.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + COMMIT_FRAME
    }

    /// Records in it.
    pub(super) fn count(&self) -> u64 {
        self.starts.len() as u64
    }

    /// Where each frame starts, counted from the start of the batch.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The bytes to write, and the chain after them.
    pub(super) fn close(mut self, before: &[u8; 32], size: u64, root: [u8; 32], mark: Mark) -> (Vec<u8>, [u8; 32]) {
        let running = run_on(before, &self.bytes, size, &root);
        let mut payload = [0; COMMIT];
        payload[..8].copy_from_slice(&size.to_le_bytes());
        payload[8..40].copy_from_slice(&root);
        payload[40..72].copy_from_slice(&running);
        payload[72..].copy_from_slice(&mark.0);
        push_frame(&mut self.bytes, COMMIT_TYPE, &payload);
        (self.bytes, running)
    }
}

fn push_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("payloads are below PAYLOAD_MAX").to_le_bytes();
    out.reserve(FRAME_HEAD + payload.len());
    out.extend_from_slice(&len);
    out.extend_from_slice(&checksum(len, kind, payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
}

fn checksum(len: [u8; 4], kind: u8, payload: &[u8]) -> u32 {
    let head = [len[0], len[1], len[2], len[3], kind];
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// A frame that matches its checksum.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// One record's payload.
    Record(&'a [u8]),
    /// The end of a batch.
    Commit(Commit),
}

/// Reads the frame at the start of `bytes` and says how long it is. `None` when there is none or
/// it does not match its checksum.
pub(super) fn parse(bytes: &[u8], mark: Mark) -> Option<(Frame<'_>, usize)> {
    let (kind, payload) = shape(bytes)?;
    let len: [u8; 4] = *bytes.first_chunk()?;
    let crc = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    if checksum(len, kind, payload) != crc {
        return None;
    }
    let frame = match kind {
        RECORD => Frame::Record(payload),
        COMMIT_TYPE => Frame::Commit(commit(payload, mark)?),
        _ => return None,
    };
    Some((frame, FRAME_HEAD + payload.len()))
}

/// The payload's length as the frame's head states it, once nine bytes of it are there.
pub(super) fn payload_len(head: &[u8; FRAME_HEAD]) -> Option<usize> {
    let len = u32::from_le_bytes(*head.first_chunk().expect("nine bytes hold four")) as usize;
    (len <= PAYLOAD_MAX).then_some(len)
}

/// For a frame known to be bad: how long it claims to be.
pub(super) fn claimed(bytes: &[u8]) -> Option<usize> {
    shape(bytes).map(|(_, payload)| FRAME_HEAD + payload.len())
}

/// Splits off a frame by its stated length, unchecked.
fn shape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let head = bytes.first_chunk::<FRAME_HEAD>()?;
    let payload = bytes.get(FRAME_HEAD..FRAME_HEAD + payload_len(head)?)?;
    Some((head[8], payload))
}

fn commit(payload: &[u8], mark: Mark) -> Option<Commit> {
    let payload: &[u8; COMMIT] = payload.try_into().ok()?;
    let (size, rest) = payload.split_first_chunk::<8>()?;
    let (root, rest) = rest.split_first_chunk::<32>()?;
    let (running, ends) = rest.split_first_chunk::<32>()?;
    (ends == mark.0).then_some(Commit { size: u64::from_le_bytes(*size), root: *root, running: *running })
}

/// The first bytes of segment `number`.
pub(super) fn segment_head(number: u32, size: u64, mark: Mark) -> [u8; SEGMENT_HEAD] {
    let mut head = [0; SEGMENT_HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&number.to_le_bytes());
    head[16..24].copy_from_slice(&size.to_le_bytes());
    head[24..40].copy_from_slice(&mark.0);
    let crc = crc32c::crc32c(&head[..SEGMENT_HEAD - 4]);
    head[SEGMENT_HEAD - 4..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Number, size and mark out of a segment's first bytes, if they are whole.
pub(super) fn parse_head(bytes: &[u8]) -> Option<(u32, u64, Mark)> {
    let head = bytes.first_chunk::<SEGMENT_HEAD>()?;
    let number = u32::from_le_bytes(head[12..16].try_into().ok()?);
    let size = u64::from_le_bytes(head[16..24].try_into().ok()?);
    let mark = Mark(head[24..40].try_into().ok()?);
    (*head == segment_head(number, size, mark)).then_some((number, size, mark))
}

/// The mark in a head that may be damaged elsewhere: enough to look for readable records.
pub(super) fn guess_mark(head: &[u8; SEGMENT_HEAD]) -> Mark {
    Mark(*head[24..].first_chunk().expect("a head holds a mark"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark::new([7; 16])
    }

    #[test]
    fn frames_read_back_and_any_flipped_bit_shows() {
        let mut batch = Batch::default();
        batch.push(b"one");
        batch.push(b"");
        let (bytes, running) = batch.close(&[0; 32], 2, [5; 32], mark());
        let mut at = 0;
        let mut frames = Vec::new();
        while let Some((frame, len)) = parse(&bytes[at..], mark()) {
            frames.push(frame);
            at += len;
        }
        assert_eq!(at, bytes.len());
        let commit = Commit { size: 2, root: [5; 32], running };
        assert_eq!(frames, [Frame::Record(b"one"), Frame::Record(b""), Frame::Commit(commit)]);
        assert!(mark().ends(&bytes));
        for bit in 0..12 * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&wrong, mark()), None, "bit {bit}");
        }
    }

    #[test]
    fn another_logs_commit_is_no_commit() {
        let (bytes, _) = Batch::default().close(&[0; 32], 2, [5; 32], mark());
        assert_eq!(parse(&bytes, Mark::new([8; 16])), None);
    }

    #[test]
    fn heads_read_back_and_any_flipped_bit_shows() {
        let head = segment_head(3, 4096, mark());
        assert_eq!(parse_head(&head), Some((3, 4096, mark())));
        for bit in 0..head.len() * 8 {
            let mut wrong = head;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_head(&wrong), None, "bit {bit}");
        }
    }
}
