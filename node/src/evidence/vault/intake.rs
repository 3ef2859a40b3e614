//! Taking plaintext in: one reading gives the object, its root, its hashes and the SHA-256.
//!
//! Nothing of an intake counts before its manifest is sealed: then its packs are on disk, then the
//! slots of its items, and last the slot of the manifest. What a crash before that leaves is swept.

use std::sync::Arc;

use comity_core::{
    ids::{Digest, ItemId, RequestId},
    object::{CHUNK, ItemKey, Sealer, TreeBuilder, header},
};
use sha2::{Digest as _, Sha256};

use super::{
    Shelves, VaultFault,
    catalogue::{ItemKind, Row, SlotState},
    pack::{FRAME, PACK_MAX, Pack, PackId, Placed, frame},
};
use crate::disk::crash::crash_point;

/// How partial packs of intakes are called: the next open removes them.
pub(super) const PREFIX: &str = "intake-";

/// What an item became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Its id.
    pub item: ItemId,
    /// Bytes of plaintext.
    pub size: u64,
    /// SHA-256 of the plaintext.
    pub sha256: Digest,
    /// BLAKE3 of the object.
    pub root: Digest,
}

/// A lot on its way in.
pub struct Intake {
    shelves: Arc<Shelves>,
    request: RequestId,
    batch: [u8; 8],
    pack: Option<Pack>,
    /// Items of the pack being written.
    packed: Vec<(Placed, Row, ItemKey)>,
    /// Items whose packs are shelved.
    rows: Vec<(ItemId, Row, ItemKey)>,
}

impl Intake {
    pub(super) fn begin(shelves: Arc<Shelves>, request: RequestId) -> Result<Self, VaultFault> {
        if !shelves.catalogue.has_key(&request) {
            return Err(VaultFault::NoContentKey(request));
        }
        let batch = crate::store::random();
        Ok(Self { shelves, request, batch, pack: None, packed: Vec::new(), rows: Vec::new() })
    }

    /// Begins one item; dropped before it is finished, nothing of it stays.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn open(&mut self) -> Result<ItemIntake<'_>, VaultFault> {
        self.item(ItemKind::Item)
    }

    fn item(&mut self, kind: ItemKind) -> Result<ItemIntake<'_>, VaultFault> {
        if self.pack.as_ref().is_some_and(|pack| pack.len() >= PACK_MAX) {
            self.shelve()?;
        }
        let name = format!("{PREFIX}{}", comity_core::ids::hex(&crate::store::random::<8>()));
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => Pack::open(&self.shelves.disk, &self.shelves.folder.join("partial"), &name)?,
        };
        let (item, key) = (ItemId::new(crate::store::random()), ItemKey::new(crate::store::random()));
        let placed = Placed { item, offset: pack.len(), hashes: pack.hashes_len() };
        let head = header(&item, &key);
        let mut tree = TreeBuilder::default();
        tree.update(&head, pack.hashes());
        // The frame is put in last, when the size is known.
        let begun = pack.append(&[0; FRAME]).and_then(|()| pack.append(&head));
        self.pack = Some(pack);
        begun?;
        let sealer = Sealer::new(item, &key);
        Ok(ItemIntake {
            intake: self,
            kind,
            placed,
            key,
            sealer,
            tree,
            sha256: Sha256::new(),
            chunk: Vec::with_capacity(CHUNK + 16),
            size: 0,
            done: false,
        })
    }

    /// Puts the pack being written on disk and in its place.
    fn shelve(&mut self) -> Result<(), VaultFault> {
        let Some(pack) = self.pack.take() else { return Ok(()) };
        let id = self.shelves.shelve(pack)?;
        for (placed, row, key) in self.packed.drain(..) {
            let row = Row { pack: id, offset: placed.offset, hashes: placed.hashes, ..row };
            self.rows.push((placed.item, row, key));
        }
        Ok(())
    }

    /// Seals the manifest and makes the whole lot count. All of it is on disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take it; then nothing of the lot counts.
    pub fn seal(mut self, manifest: &[u8]) -> Result<Sealed, VaultFault> {
        let mut own = self.item(ItemKind::Manifest)?;
        own.write(manifest)?;
        let sealed = own.finish()?;
        self.shelve()?;
        let rows: Vec<_> = self.rows.iter().map(|(item, row, key)| (*item, row.clone(), key)).collect();
        let (own, items) = rows.split_last().expect("the manifest was put in last");
        self.shelves.catalogue.add(items)?;
        // A crash here leaves items without their manifest, which the next open overwrites.
        crash_point("evidence.items-kept");
        self.shelves.catalogue.add(std::slice::from_ref(own))?;
        Ok(sealed)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Some(pack) = self.pack.take() {
            pack.remove(&self.shelves.disk);
        }
    }
}

/// One item on its way in.
pub struct ItemIntake<'i> {
    intake: &'i mut Intake,
    kind: ItemKind,
    placed: Placed,
    key: ItemKey,
    sealer: Sealer,
    tree: TreeBuilder,
    sha256: Sha256,
    chunk: Vec<u8>,
    size: u64,
    done: bool,
}

impl ItemIntake<'_> {
    /// Takes the next bytes of plaintext.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn write(&mut self, mut plain: &[u8]) -> Result<(), VaultFault> {
        self.sha256.update(plain);
        self.size += plain.len() as u64;
        while !plain.is_empty() {
            // A full chunk waits until it is known whether it is the last.
            if self.chunk.len() == CHUNK {
                self.put_chunk(false)?;
            }
            let take = plain.len().min(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(&plain[..take]);
            plain = &plain[take..];
        }
        Ok(())
    }

    fn put_chunk(&mut self, last: bool) -> Result<(), VaultFault> {
        self.sealer.seal(&mut self.chunk, last);
        let Some(pack) = &mut self.intake.pack else { return Err(VaultFault::NotHeld(self.placed.item)) };
        self.tree.update(&self.chunk, pack.hashes());
        pack.append(&self.chunk)?;
        self.chunk.clear();
        pack.keep_hashes()
    }

    /// Ends the item.
    ///
    /// # Errors
    /// When the disk does not take its end.
    pub fn finish(mut self) -> Result<Sealed, VaultFault> {
        self.put_chunk(true)?;
        let item = self.placed.item;
        let Some(pack) = &mut self.intake.pack else { return Err(VaultFault::NotHeld(item)) };
        let root = std::mem::take(&mut self.tree).finish(pack.hashes());
        let size = pack.len() - self.placed.offset - FRAME as u64;
        pack.put_frame(&frame(&item, size), self.placed.offset)?;
        self.done = true;
        let row = Row {
            request: self.intake.request,
            kind: self.kind,
            state: SlotState::Held,
            pack: PackId::NONE,
            offset: 0,
            hashes: 0,
            size,
            root,
            batch: self.intake.batch,
        };
        self.intake.packed.push((self.placed, row, self.key.clone()));
        let sha256 = Digest::new(std::mem::take(&mut self.sha256).finalize().into());
        Ok(Sealed { item, size: self.size, sha256, root })
    }
}

impl Drop for ItemIntake<'_> {
    fn drop(&mut self) {
        if !self.done
            && let Some(pack) = &mut self.intake.pack
        {
            pack.go_back(&self.placed);
        }
    }
}
