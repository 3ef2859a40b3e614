//! How a record is sealed into a frame and opened again (SPEC `[F-*]`).
//!
//! Each part is AES-256-GCM under its own key, a random nonce before it, bound to kind, slot,
//! index and part: no part opens in another place. Start with [`seal`] and [`Opener::open`].

use std::sync::Arc;

use comity_core::{
    crypto::DataKey,
    ids::{Digest, LedgerIndex},
    ledger::{LeafEntry, Salt, leaf_entry},
    proto::{self, RecordKind},
    record::Record,
};
use prost::Message as _;
use zeroize::Zeroizing;

use super::{
    Damage, DamageKind, StoreFault,
    segments::Shelf,
    slots::{RequestKeys, Slots},
};

/// AES-GCM's nonce length, as everywhere.
const NONCE: usize = 12;
/// The node's own records need no slot.
pub(super) const NODE_SLOT: u32 = 0;

/// A record as read back.
pub struct StoredRecord {
    /// Where it stands.
    pub index: LedgerIndex,
    /// What it records.
    pub kind: RecordKind,
    /// What the tree shows of it.
    pub leaf: LeafEntry,
    /// What is kept for ever.
    pub node: proto::NodePart,
    /// What is kept as long as the proof key; none once it was destroyed.
    pub case: Option<proto::CasePart>,
    /// The sealed body as sent or received; empty once the content key was destroyed.
    pub body: Vec<u8>,
    /// What opens the body, while the content key exists.
    pub secret: Option<Zeroizing<[u8; 32]>>,
}

impl StoredRecord {
    /// The leaf its content gives; none once the salt was destroyed.
    #[must_use]
    pub fn expected_leaf(&self) -> Option<LeafEntry> {
        let case = self.case.as_ref()?;
        let salt = Salt(case.salt.as_slice().try_into().unwrap_or_default());
        let id = Digest::from_slice(&self.node.record_id).unwrap_or(Digest::new([0; 32]));
        Some(leaf_entry(&salt, &id, &case.context))
    }
}

/// Kind, slot and index of a record: what every part of it is bound to.
#[derive(Clone, Copy)]
struct Place {
    kind: i32,
    slot: u32,
    index: u64,
}

impl Place {
    fn binding(self, part: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + part.len());
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.slot.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
        bytes
    }

    fn seal(self, key: &DataKey, nonce: [u8; NONCE], part: &str, plaintext: &[u8]) -> Vec<u8> {
        let mut out = nonce.to_vec();
        out.append(&mut key.seal(nonce, &self.binding(part), plaintext));
        out
    }

    fn open(self, key: &DataKey, part: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DamageKind> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or(DamageKind::Record)?;
        key.open(*nonce, &self.binding(part), ciphertext).map_err(|_| DamageKind::Record)
    }
}

/// The payload of a record's frame at `index`.
pub(super) fn seal(record: Record, index: u64, slot: u32, node: &DataKey, keys: &RequestKeys) -> Vec<u8> {
    let place = Place { kind: record.kind.into(), slot, index };
    let case = Zeroizing::new(record.case.encode_to_vec());
    // Drawn at once: each call to the system costs as much as sealing a part.
    let drawn: [u8; 4 * NONCE] = super::random();
    let nonce = |part: usize| std::array::from_fn(|at| drawn[part * NONCE + at]);
    let content = |secret: Zeroizing<[u8; 32]>| place.seal(&keys.content, nonce(2), "content", &secret[..]);
    let body = |body: &[u8]| place.seal(&keys.content, nonce(3), "body", body);
    proto::Frame {
        kind: place.kind,
        slot,
        leaf: record.leaf.as_bytes().to_vec(),
        node: place.seal(node, nonce(0), "node", &record.node.encode_to_vec()),
        case: place.seal(&keys.proof, nonce(1), "case", &case),
        content: record.secret.map(content).unwrap_or_default(),
        // As it travelled it opens with a seal key for years: at rest only together with its request.
        body: if record.body.is_empty() { Vec::new() } else { body(&record.body) },
    }
    .encode_to_vec()
}

/// The leaf entry in a payload, without opening anything.
pub(super) fn leaf_of(payload: &[u8]) -> Result<LeafEntry, DamageKind> {
    let frame = proto::Frame::decode(payload).map_err(|_| DamageKind::Record)?;
    LeafEntry::from_slice(&frame.leaf).map_err(|_| DamageKind::Record)
}

/// Opens records.
#[derive(Clone)]
pub(super) struct Opener {
    /// The node's ledger key.
    pub(super) node: DataKey,
    /// Everybody else's.
    pub(super) slots: Arc<Slots>,
}

impl Opener {
    pub(super) fn new(node: DataKey, slots: Arc<Slots>) -> Self {
        Self { node, slots }
    }

    /// The keys of the node's own records: the one key in both places, told apart by the part's label.
    pub(super) fn own(&self) -> RequestKeys {
        RequestKeys { proof: self.node.clone(), content: self.node.clone() }
    }

    /// A wrong node key shows on the first record that can be read.
    pub(super) fn check_key(&self, shelf: &Shelf) -> Result<(), StoreFault> {
        let Ok(payload) = shelf.read(0) else { return Ok(()) };
        let Ok(frame) = proto::Frame::decode(&payload[..]) else { return Ok(()) };
        let place = Place { kind: frame.kind, slot: frame.slot, index: 0 };
        place.open(&self.node, "node", &frame.node).map_err(|_| StoreFault::WrongKey { what: "the ledger" })?;
        Ok(())
    }

    /// Opens the payload of the record at `index`.
    pub(super) fn open(&self, index: u64, payload: &[u8]) -> Result<StoredRecord, StoreFault> {
        let bad = |kind| StoreFault::Damaged(Damage { kind, record: index, segment: 0, offset: 0 });
        let frame = proto::Frame::decode(payload).map_err(|_| bad(DamageKind::Record))?;
        let place = Place { kind: frame.kind, slot: frame.slot, index };
        let node = place.open(&self.node, "node", &frame.node).map_err(bad)?;
        let keys = if frame.slot == NODE_SLOT { Some(self.own()) } else { self.slots.keys(frame.slot)? };
        let case = keys.as_ref().map(|keys| place.open(&keys.proof, "case", &frame.case)).transpose().map_err(bad)?;
        let case = case.map(|bytes| proto::CasePart::decode(&bytes[..])).transpose();
        let body = match &keys {
            Some(keys) if !frame.body.is_empty() => {
                let body = place.open(&keys.content, "body", &frame.body).map_err(bad)?;
                body.to_vec()
            }
            _ => Vec::new(),
        };
        let secret = match keys {
            Some(keys) if !frame.content.is_empty() => Some(secret(place, &keys, &frame.content).map_err(bad)?),
            _ => None,
        };
        Ok(StoredRecord {
            index: LedgerIndex(index),
            kind: RecordKind::try_from(frame.kind).map_err(|_| bad(DamageKind::Record))?,
            leaf: LeafEntry::from_slice(&frame.leaf).map_err(|_| bad(DamageKind::Record))?,
            node: proto::NodePart::decode(&node[..]).map_err(|_| bad(DamageKind::Record))?,
            case: case.map_err(|_| bad(DamageKind::Record))?,
            body,
            secret,
        })
    }
}

fn secret(place: Place, keys: &RequestKeys, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, DamageKind> {
    let opened = place.open(&keys.content, "content", sealed)?;
    let mut secret = Zeroizing::new([0; 32]);
    if opened.len() != secret.len() {
        return Err(DamageKind::Record);
    }
    secret.copy_from_slice(&opened);
    Ok(secret)
}
