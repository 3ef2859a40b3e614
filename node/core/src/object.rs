//! Sealed objects: how one item of evidence is encrypted, once, for rest and for travel.
//!
//! An item has a key of its own. Its ciphertext is cut into chunks that open alone, so that any range
//! can be read, and none can be cut off, moved, doubled or put into another item unnoticed. The
//! BLAKE3 root over the object's bytes is what both sides of a hand-over sign; [`TreeBuilder`] makes
//! it, and the hashes from which any group can be proved against it. Pure: it holds at most one chunk.
//! Serves SPEC `[V-*]`. Start with [`Sealer`] and [`Opener`].

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{
    crypto::{ChunkCipher, CryptoFault, DataKey, derive},
    ids::{Digest, ItemId},
};

/// The key of one item: 32 random bytes, used for nothing else.
pub type ItemKey = DataKey;

/// Plaintext of a full chunk. Larger ones would make a small range cost more; smaller ones more tags.
pub const CHUNK: usize = 64 << 10;
/// Bytes AES-GCM adds to a chunk.
pub const TAG: usize = 16;
/// What stands before the first chunk.
pub const HEADER: usize = 64;
/// A group of the tree: what is proved at once in transfer.
pub const GROUP: usize = 16 << 10;
/// Two chaining values.
const PAIR: u64 = 64;

/// A full chunk with its tag.
pub const SEALED_CHUNK: u64 = (CHUNK + TAG) as u64;
const MAGIC: &[u8; 8] = b"comityev";
const VERSION: u32 = 1;

/// Why an object does not open. Offsets are of the object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectFault {
    /// The header is not one, or of another version.
    #[error("object.bad-header: the item does not open; its header is not that of a sealed object; fetch it again")]
    Header,
    /// The object is another item's.
    #[error("object.other-item: the item does not open; the object is that of another item; fetch it again")]
    OtherItem,
    /// The key is not the one the object was sealed with.
    #[error("object.wrong-key: the item does not open; the key is not the one it was sealed with; ask the giver")]
    WrongKey,
    /// A chunk is not what was sealed.
    #[error(
        "object.bad-chunk: the item does not open; its bytes from {offset} on are not what was sealed; \
         restore them, or fetch it again"
    )]
    Chunk {
        /// Where the chunk begins.
        offset: u64,
    },
    /// No object has so many bytes.
    #[error("object.bad-size: the item does not open; no sealed object has {0} bytes; fetch it again")]
    Size(u64),
}

impl ObjectFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header => "object.bad-header",
            Self::OtherItem => "object.other-item",
            Self::WrongKey => "object.wrong-key",
            Self::Chunk { .. } => "object.bad-chunk",
            Self::Size(_) => "object.bad-size",
        }
    }
}

/// Chunks of so many bytes of plaintext: one even of none.
#[must_use]
pub const fn chunks(plain: u64) -> u64 {
    if plain == 0 { 1 } else { plain.div_ceil(CHUNK as u64) }
}

/// Bytes of the object of so many bytes of plaintext; none if 64 bits do not count them.
#[must_use]
pub fn object_size(plain: u64) -> Option<u64> {
    chunks(plain).checked_mul(TAG as u64)?.checked_add(plain)?.checked_add(HEADER as u64)
}

/// Bytes of plaintext in an object of so many bytes (SPEC `[V-1]`).
///
/// # Errors
/// When no object has so many.
pub fn plain_size(object: u64) -> Result<u64, ObjectFault> {
    let body = object.checked_sub(HEADER as u64).filter(|body| *body >= TAG as u64);
    let body = body.ok_or(ObjectFault::Size(object))?;
    let plain = body - body.div_ceil(SEALED_CHUNK) * TAG as u64;
    // A last chunk of nothing but its tag, or of less, belongs to no object but the empty one.
    if object_size(plain) == Some(object) { Ok(plain) } else { Err(ObjectFault::Size(object)) }
}

/// Where a chunk begins in the object.
#[must_use]
pub const fn chunk_offset(index: u64) -> u64 {
    HEADER as u64 + index * SEALED_CHUNK
}

/// Bytes of the hashes kept beside an object of so many bytes: one pair for each two groups joined.
#[must_use]
pub const fn outboard_size(object: u64) -> u64 {
    object.div_ceil(GROUP as u64).saturating_sub(1) * PAIR
}

fn commitment(item: &ItemId, key: &ItemKey) -> [u8; 32] {
    *derive(item.as_bytes(), key.expose(), "comity item commitment v1")
}

fn cipher(item: &ItemId, key: &ItemKey) -> ChunkCipher {
    ChunkCipher::new(&derive(item.as_bytes(), key.expose(), "comity item key v1"))
}

/// What ties a chunk to its item, its place, and the end.
fn binding(item: &ItemId, index: u64, last: bool) -> [u8; 41] {
    let mut bytes = [0; 41];
    bytes[..16].copy_from_slice(b"comity chunk v1\0");
    bytes[16..32].copy_from_slice(item.as_bytes());
    bytes[32..40].copy_from_slice(&index.to_be_bytes());
    bytes[40] = u8::from(last);
    bytes
}

fn nonce(index: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    bytes
}

/// The header of an object (SPEC `[V-1]`).
#[must_use]
pub fn header(item: &ItemId, key: &ItemKey) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&u32::try_from(CHUNK).expect("64 KiB").to_le_bytes());
    bytes[16..32].copy_from_slice(item.as_bytes());
    bytes[32..].copy_from_slice(&commitment(item, key));
    bytes
}

/// Encrypts one item, chunk after chunk.
pub struct Sealer {
    item: ItemId,
    cipher: ChunkCipher,
    next: u64,
}

impl Sealer {
    /// A sealer for an item whose key was used for nothing yet.
    #[must_use]
    pub fn new(item: ItemId, key: &ItemKey) -> Self {
        Self { item, cipher: cipher(&item, key), next: 0 }
    }

    /// Encrypts the next chunk in place and appends its tag. All but the last are full.
    pub fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) {
        assert!(chunk.len() == CHUNK || (last && chunk.len() <= CHUNK), "only the last chunk is not full");
        self.cipher.seal(nonce(self.next), &binding(&self.item, self.next, last), chunk);
        self.next += 1;
    }
}

/// One chunk, sealed alone: for tests and checks that make a stretch of a huge object.
#[must_use]
pub fn seal_chunk(item: &ItemId, key: &ItemKey, index: u64, last: bool, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer { next: index, ..Sealer::new(*item, key) };
    let mut chunk = plain.to_vec();
    sealer.seal(&mut chunk, last);
    chunk
}

/// Opens the chunks of one object, in any order.
pub struct Opener {
    item: ItemId,
    cipher: ChunkCipher,
    chunks: u64,
}

impl Opener {
    /// Checks the header of an object of so many bytes against item and key, before anything is opened.
    ///
    /// # Errors
    /// When it is not the header of this item under this key, or no object has so many bytes.
    pub fn new(header: &[u8; HEADER], object: u64, item: ItemId, key: &ItemKey) -> Result<Self, ObjectFault> {
        let expected = self::header(&item, key);
        if header[..16] != expected[..16] {
            return Err(ObjectFault::Header);
        }
        if header[16..32] != expected[16..32] {
            return Err(ObjectFault::OtherItem);
        }
        if header[32..] != expected[32..] {
            return Err(ObjectFault::WrongKey);
        }
        Ok(Self { item, cipher: cipher(&item, key), chunks: chunks(plain_size(object)?) })
    }

    /// How many chunks there are.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Opens a chunk in place: its plaintext is the beginning of `sealed`.
    ///
    /// # Errors
    /// When it is not what was sealed there.
    pub fn open<'c>(&self, index: u64, sealed: &'c mut [u8]) -> Result<&'c mut [u8], ObjectFault> {
        let last = index + 1 == self.chunks;
        let opened = self.cipher.open(nonce(index), &binding(&self.item, index, last), sealed);
        opened.map_err(|_: CryptoFault| ObjectFault::Chunk { offset: chunk_offset(index) })
    }
}

/// Makes the root of an object and the hashes beside it, from its bytes in order (SPEC `[V-3]`).
///
/// Memory is one chaining value for each level of the tree, at most 40.
#[derive(Clone)]
pub struct TreeBuilder {
    group: blake3::Hasher,
    /// The hash of the group, when whoever proved it has said it: nothing is hashed then.
    proved: Option<ChainingValue>,
    in_group: usize,
    groups: u64,
    stack: Vec<ChainingValue>,
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self { group: blake3::Hasher::new(), proved: None, in_group: 0, groups: 0, stack: Vec::new() }
    }
}

impl TreeBuilder {
    /// Takes the next bytes; pairs of hashes that are complete are appended to `outboard`.
    pub fn update(&mut self, mut bytes: &[u8], outboard: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.in_group == GROUP {
                self.close_group(outboard);
            }
            let take = bytes.len().min(GROUP - self.in_group);
            self.group.update(&bytes[..take]);
            self.in_group += take;
            bytes = &bytes[take..];
        }
    }

    /// Takes the next group, whose hash was computed and held against the root by whoever calls: its chaining value, or
    /// the root itself where it is the only one. Bytes that are no group from its beginning on are hashed all the same.
    pub fn update_proved(&mut self, group: &[u8], hash: &Digest, outboard: &mut Vec<u8>) {
        if self.in_group == GROUP {
            self.close_group(outboard);
        }
        if self.in_group > 0 || group.is_empty() || group.len() > GROUP {
            return self.update(group, outboard);
        }
        (self.in_group, self.proved) = (group.len(), Some(*hash.as_bytes()));
    }

    /// A full group that is not the last: its hash joins the stack, and what it completes is joined.
    fn close_group(&mut self, outboard: &mut Vec<u8>) {
        self.stack.push(self.proved.take().unwrap_or_else(|| self.group.finalize_non_root()));
        self.groups += 1;
        // As many joins as the count of groups has trailing zeros: a binary counter.
        for _ in 0..self.groups.trailing_zeros() {
            let (right, left) = (self.stack.pop(), self.stack.pop());
            let (Some(left), Some(right)) = (left, right) else { break };
            push_pair(outboard, &left, &right);
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        self.group = blake3::Hasher::new();
        self.group.set_input_offset(self.groups * GROUP as u64);
        self.in_group = 0;
    }

    /// The root over all bytes; the last pairs are appended to `outboard`.
    #[must_use]
    pub fn finish(mut self, outboard: &mut Vec<u8>) -> Digest {
        let Some(mut left) = self.stack.pop() else {
            return Digest::new(self.proved.unwrap_or_else(|| *self.group.finalize().as_bytes()));
        };
        let mut right = self.proved.unwrap_or_else(|| self.group.finalize_non_root());
        loop {
            push_pair(outboard, &left, &right);
            match self.stack.pop() {
                None => return Digest::new(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()),
                Some(next) => (left, right) = (next, merge_subtrees_non_root(&left, &right, Mode::Hash)),
            }
        }
    }
}

fn push_pair(outboard: &mut Vec<u8>, left: &ChainingValue, right: &ChainingValue) {
    outboard.extend_from_slice(left);
    outboard.extend_from_slice(right);
}

#[cfg(test)]
pub(crate) mod tests;
