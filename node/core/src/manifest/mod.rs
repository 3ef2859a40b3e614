//! What is handed over and who held it: the manifest of sealed items, and custody statements.
//!
//! A [`Manifest`] lists what was put under seal together, with the record of how it was acquired. It is
//! not signed itself: the [`Statement`] that seals it and the event that hands it over name it by its
//! digest, and both are signed. Custody over the border is two-sided: the giver's event names the
//! manifest, the taker's event names it again once every item was read and both its digests held.
//! Decides what a manifest may say, above all about names ([`ItemPath`]); it never decides whether
//! a hand-over is lawful. Serves SPEC `[M-*]`.

mod keys;
mod path;
mod statement;

pub use crate::wire::MANIFEST_MAX;
pub use keys::{KEY_PAGE, KeyPage};
pub use path::{ItemPath, show_name, unescape};
pub use statement::{CUSTODY_TYPE, Statement};

use prost::Message as _;

use crate::{
    crypto::sha256,
    ids::{AuthorityId, Digest, ItemId, Malformed, NetworkName, PartyCode, RequestId, Time},
    proto::{self, UnsealedKind},
    wire::{WireFault, ascending, strict},
};

/// Items of one manifest: five times the ten thousand files of an ordinary export. More go into a
/// second delivery, so that a list stays something a person can look through.
pub const ITEMS_MAX: usize = 50_000;
/// Plaintext bytes of one item: one pebibyte, a hundred times the largest device image.
pub const ITEM_BYTES_MAX: u64 = 1 << 50;
/// Plaintext bytes of all items together: what the whole numbers of a form can say.
const BYTES_MAX: u64 = 1 << 62;
/// A media type as registered has at most 127 bytes on either side of the stroke (RFC 6838).
const MEDIA_TYPE_MAX: usize = 255;
/// Items one item was made from.
const SOURCES_MAX: usize = 1_000;

/// Why bytes are not an acceptable manifest or custody statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Bytes that are not a strictly encoded message.
    #[error("manifest.malformed: nothing was accepted; {0}; the giver runs faulty or foreign software")]
    Wire(#[from] WireFault),
    /// A name or id is not well formed.
    #[error("manifest.bad-name: nothing was accepted; {0}; the giver runs faulty or foreign software")]
    Name(#[from] Malformed),
    /// The path of an entry could lead out of a folder, or is no path at all.
    #[error("manifest.bad-path: nothing was accepted; the path of entry {place} {why}; ask for another manifest")]
    Path {
        /// Which entry, counted from 1.
        place: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries have one path, or one is a folder of the other, or they do not ascend.
    #[error("manifest.bad-order: nothing was accepted; {0}; the giver runs faulty or foreign software")]
    Order(&'static str),
    /// Another rule of content is broken.
    #[error("manifest.bad-content: nothing was accepted; {0}; the giver runs faulty or foreign software")]
    Content(&'static str),
}

impl ManifestFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Wire(_) => "manifest.malformed",
            Self::Name(_) => "manifest.bad-name",
            Self::Path { .. } => "manifest.bad-path",
            Self::Order(_) => "manifest.bad-order",
            Self::Content(_) => "manifest.bad-content",
        }
    }
}

/// What was put under seal together.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The network.
    pub network: NetworkName,
    /// The request it answers.
    pub request: RequestId,
    /// The Party that put the items under seal.
    pub giver: PartyCode,
    /// Which of its authorities.
    pub authority: AuthorityId,
    /// When, by that Party's clock.
    pub sealed: Time,
    /// Source, seizure and acquisition: the form `<procedure>/seal`.
    pub record: proto::Body,
    /// The items, ascending by path.
    pub items: Vec<Item>,
    /// What was found beside them and carries no bytes here, ascending by path.
    pub unsealed: Vec<Unsealed>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id, drawn when it was sealed.
    pub id: ItemId,
    /// Where it lay.
    pub path: ItemPath,
    /// Bytes of plaintext.
    pub size: u64,
    /// SHA-256 of the plaintext: for courts.
    pub sha256: Digest,
    /// BLAKE3 of the sealed object: for transfer and storage.
    pub root: Digest,
    /// When it was last modified, as the file system said: milliseconds since 1970, negative before.
    pub modified_ms: i64,
    /// As its first bytes show; empty if they show nothing.
    pub media_type: String,
    /// It changed while it was read; what was read is what is sealed.
    pub changed: bool,
    /// Items it was made from, ascending.
    pub derived_from: Vec<ItemId>,
}

/// Something found that carries no bytes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Where it lay.
    pub path: ItemPath,
    /// What it is.
    pub kind: UnsealedKind,
    /// Of a symbolic link: where it points. Recorded, never followed.
    pub target: Vec<u8>,
}

impl Manifest {
    /// Reads manifest bytes strictly and checks every rule of form (SPEC `[M-1]`, `[M-2]`).
    ///
    /// # Errors
    /// On the first rule broken.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, ManifestFault> {
        let wire: proto::Manifest = strict(bytes, MANIFEST_MAX)?;
        if wire.items.is_empty() && wire.unsealed.is_empty() {
            return Err(ManifestFault::Content("it lists nothing"));
        }
        if wire.items.len() + wire.unsealed.len() > ITEMS_MAX {
            return Err(ManifestFault::Content("it lists more than 50000 entries"));
        }
        let items = wire.items.into_iter().enumerate().map(|(n, item)| Item::from_wire(n + 1, item));
        let items: Vec<Item> = items.collect::<Result<_, _>>()?;
        let first = items.len() + 1;
        let unsealed = wire.unsealed.into_iter().enumerate().map(|(n, entry)| Unsealed::from_wire(first + n, entry));
        let manifest = Self {
            network: NetworkName::parse(&wire.network)?,
            request: RequestId::from_slice(&wire.request_id)?,
            giver: PartyCode::parse(&wire.giver)?,
            authority: AuthorityId::parse(&wire.authority)?,
            sealed: Time(wire.sealed_ms),
            record: wire.record.ok_or(ManifestFault::Content("it has no record of the acquisition"))?,
            items,
            unsealed: unsealed.collect::<Result<_, _>>()?,
        };
        manifest.check_whole()?;
        Ok(manifest)
    }

    /// The bytes whose digest is signed.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        proto::Manifest {
            network: self.network.to_string(),
            request_id: self.request.as_bytes().to_vec(),
            giver: self.giver.to_string(),
            authority: self.authority.to_string(),
            sealed_ms: self.sealed.0,
            record: Some(self.record.clone()),
            items: self.items.iter().map(Item::wire).collect(),
            unsealed: self.unsealed.iter().map(Unsealed::wire).collect(),
        }
        .encode_to_vec()
    }

    /// Bytes of plaintext, all items together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.size).sum()
    }

    /// What no single entry shows: order, one path for one entry, one id for one item.
    fn check_whole(&self) -> Result<(), ManifestFault> {
        if !ascending(self.items.iter().map(|item| &item.path)) {
            return Err(ManifestFault::Order("its items do not ascend by path"));
        }
        let all = self.items.iter().try_fold(0u64, |sum, item| sum.checked_add(item.size));
        if all.is_none_or(|all| all > BYTES_MAX) {
            return Err(ManifestFault::Content("its items are over four exbibytes together"));
        }
        if !ascending(self.unsealed.iter().map(|entry| &entry.path)) {
            return Err(ManifestFault::Order("what is not sealed does not ascend by path"));
        }
        let mut paths: Vec<&ItemPath> =
            self.items.iter().map(|item| &item.path).chain(self.unsealed.iter().map(|entry| &entry.path)).collect();
        paths.sort_unstable();
        if paths.windows(2).any(|pair| pair[0].holds(pair[1])) {
            return Err(ManifestFault::Order("a path stands twice, or lies below one that is no folder"));
        }
        let mut ids: Vec<ItemId> = self.items.iter().map(|item| item.id).collect();
        ids.sort_unstable();
        if !ascending(ids) {
            return Err(ManifestFault::Content("one item id stands twice"));
        }
        Ok(())
    }
}

/// The digest by which a manifest is named (SPEC `[M-3]`).
#[must_use]
pub fn manifest_digest(bytes: &[u8]) -> Digest {
    sha256(&[bytes])
}

impl Item {
    fn from_wire(place: usize, wire: proto::Item) -> Result<Self, ManifestFault> {
        if wire.size > ITEM_BYTES_MAX {
            return Err(ManifestFault::Content("an item is over one pebibyte"));
        }
        let plain = |byte: u8| byte.is_ascii_graphic();
        if wire.media_type.len() > MEDIA_TYPE_MAX || !wire.media_type.bytes().all(plain) {
            return Err(ManifestFault::Content("a media type is not one"));
        }
        if wire.derived_from.len() > SOURCES_MAX || !ascending(&wire.derived_from) {
            return Err(ManifestFault::Content("the sources of an item do not ascend, or are over 1000"));
        }
        Ok(Self {
            id: ItemId::from_slice(&wire.item_id)?,
            path: ItemPath::new(wire.path).map_err(|why| ManifestFault::Path { place, why })?,
            size: wire.size,
            sha256: Digest::from_slice(&wire.sha256)?,
            root: Digest::from_slice(&wire.root)?,
            modified_ms: wire.modified_ms,
            media_type: wire.media_type,
            changed: wire.changed,
            derived_from: wire.derived_from.iter().map(|id| ItemId::from_slice(id)).collect::<Result<_, _>>()?,
        })
    }

    fn wire(&self) -> proto::Item {
        proto::Item {
            item_id: self.id.as_bytes().to_vec(),
            path: self.path.names().to_vec(),
            size: self.size,
            sha256: self.sha256.as_bytes().to_vec(),
            root: self.root.as_bytes().to_vec(),
            modified_ms: self.modified_ms,
            media_type: self.media_type.clone(),
            changed: self.changed,
            derived_from: self.derived_from.iter().map(|id| id.as_bytes().to_vec()).collect(),
        }
    }
}

impl Unsealed {
    fn from_wire(place: usize, wire: proto::Unsealed) -> Result<Self, ManifestFault> {
        let kind = wire.kind();
        if kind == UnsealedKind::Unspecified || wire.kind != kind as i32 {
            return Err(ManifestFault::Content("what is not sealed has no known kind"));
        }
        if wire.target.len() > path::PATH_BYTES_MAX || (kind != UnsealedKind::SymbolicLink && !wire.target.is_empty()) {
            return Err(ManifestFault::Content("only a symbolic link has a target, of at most 4096 bytes"));
        }
        let path = ItemPath::new(wire.path).map_err(|why| ManifestFault::Path { place, why })?;
        Ok(Self { path, kind, target: wire.target })
    }

    fn wire(&self) -> proto::Unsealed {
        proto::Unsealed { path: self.path.names().to_vec(), kind: self.kind as i32, target: self.target.clone() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
