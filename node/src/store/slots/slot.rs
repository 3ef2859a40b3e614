//! The bytes of one slot (SPEC `[F-5]`). No disk here.
//!
//! ```text
//! slot = version 1 | state | request id (16) | nonce (12) | AES-256-GCM(proof key, content key) (80)
//!        | u32 LE generation of the key-encryption key | zeros (10) | u32 LE crc32c
//! ```

use comity_core::{crypto::DataKey, ids::RequestId};
use zeroize::Zeroizing;

use super::RequestKeys;

/// A quarter of a sector: a slot never lies across two, so a power cut leaves it old or new.
pub(super) const SLOT: usize = 128;
const VERSION: u8 = 1;
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;
/// Of slot 0 alone, which is no request's.
const PROMISE: u8 = 3;
const REQUEST: std::ops::Range<usize> = 2..18;
pub(super) const NONCE: std::ops::Range<usize> = 18..30;
const WRAPPED: std::ops::Range<usize> = 30..110;
pub(super) const GENERATION: std::ops::Range<usize> = 110..114;
pub(super) const CRC: usize = SLOT - 4;

/// What a slot is, as it says without any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Free,
    /// All live slots are on disk under this generation.
    Promise(u32),
    /// Keys, wrapped under this generation.
    Live(RequestId, u32),
    Destroyed(RequestId),
    Bad,
}

/// Reads the slot of this number.
pub(super) fn read(slot: u32, bytes: &[u8]) -> Slot {
    if bytes.iter().all(|byte| *byte == 0) {
        return Slot::Free;
    }
    let crc = crc32c::crc32c(&bytes[..CRC]).to_le_bytes();
    if bytes[0] != VERSION || bytes[CRC..] != crc {
        return Slot::Bad;
    }
    let generation = u32::from_le_bytes(bytes[GENERATION].try_into().expect("four bytes"));
    match (bytes[1], slot, RequestId::from_slice(&bytes[REQUEST])) {
        (PROMISE, 0, _) => Slot::Promise(generation),
        (LIVE, 1.., Ok(request)) if generation > 0 => Slot::Live(request, generation),
        (DESTROYED, 1.., Ok(request)) => Slot::Destroyed(request),
        _ => Slot::Bad,
    }
}

/// Wraps keys. The nonce is fresh each time.
pub(super) fn live(
    slot: u32,
    request: RequestId,
    (generation, kek): (u32, &DataKey),
    keys: &RequestKeys,
) -> [u8; SLOT] {
    let mut secret = Zeroizing::new([0; 64]);
    secret[..32].copy_from_slice(keys.proof.expose());
    secret[32..].copy_from_slice(keys.content.expose());
    let nonce = super::super::random();
    let wrapped = kek.seal(nonce, &binding(slot, request, generation), &secret[..]);
    let mut bytes = blank(LIVE, request.as_bytes(), generation);
    bytes[NONCE].copy_from_slice(&nonce);
    bytes[WRAPPED].copy_from_slice(&wrapped);
    sealed(bytes)
}

/// Opens the keys in a live slot; nothing if they were not wrapped under this key for this place, or were changed.
pub(super) fn unwrap(
    slot: u32,
    bytes: &[u8; SLOT],
    request: RequestId,
    (generation, kek): (u32, &DataKey),
) -> Option<RequestKeys> {
    let nonce = bytes[NONCE].try_into().expect("twelve bytes");
    let secret = kek.open(nonce, &binding(slot, request, generation), &bytes[WRAPPED]).ok()?;
    let (proof, content) = secret.split_first_chunk::<32>()?;
    Some(RequestKeys { proof: DataKey::new(*proof), content: DataKey::new(content.try_into().ok()?) })
}

pub(super) fn destroyed(request: RequestId) -> [u8; SLOT] {
    sealed(blank(DESTROYED, request.as_bytes(), 0))
}

pub(super) fn promise(generation: u32) -> [u8; SLOT] {
    sealed(blank(PROMISE, &[0; 16], generation))
}

fn blank(state: u8, request: &[u8; 16], generation: u32) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[0] = VERSION;
    bytes[1] = state;
    bytes[REQUEST].copy_from_slice(request);
    bytes[GENERATION].copy_from_slice(&generation.to_le_bytes());
    bytes
}

fn sealed(mut bytes: [u8; SLOT]) -> [u8; SLOT] {
    let crc = crc32c::crc32c(&bytes[..CRC]);
    bytes[CRC..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Ties a wrapped pair to its place, request and generation, so that slots cannot be exchanged nor said to be of another.
fn binding(slot: u32, request: RequestId, generation: u32) -> Vec<u8> {
    [b"comity slot v1\0", &slot.to_be_bytes()[..], request.as_bytes(), &generation.to_be_bytes()].concat()
}
