//! The vault: where sealed objects rest.
//!
//! An item is encrypted once, under a key of its own, when it comes in here or at the other side; that
//! object rests, travels and is verified, and is never encrypted anew. Objects lie in *packs*: small
//! ones many together, so that thousands of files cost a few syncs, large ones alone. The *catalogue*
//! says which item lies where and holds its key, wrapped under the content key of its request; an item
//! is here once its slot says so, and gone for good once its slot is overwritten.
//!
//! Packs are finished in `partial/` and moved into place over `object_store`, with its syncing switched
//! on; they are read through it in ranges. For storage of the S3 kind a finished pack would be uploaded
//! from `partial/` instead of being renamed; nothing else knows the difference.
//!
//! | Where | What |
//! |---|---|
//! | `objects/ab/cdef…` | packs, under random names that tell nothing and differ at each Party |
//! | `keys/000000.items` | the catalogue, in slots of 256 bytes |
//! | `partial/` | packs being written or received |
//!
//! Everything here waits for the disk: call it from a worker. Start with [`Vault`].

mod catalogue;
mod fault;
mod intake;
mod pack;
mod read;
mod receive;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use comity_core::{
    crypto::DataKey,
    ids::{Digest, EventId, ItemId, RequestId},
    manifest::MANIFEST_MAX,
    object::{ItemKey, ObjectFault},
};
use object_store::{ObjectStoreExt as _, local::LocalFileSystem, path::Path as ObjectPath};
use tokio::runtime::Handle as Runtime;

use crate::{
    disk::{Disk, crash::crash_point},
    store::{Content, Part, RESERVE_BYTES, disk_room},
};
use catalogue::Catalogue;
use pack::{Pack, PackId};

pub use catalogue::{ItemKind, Row, SlotState};
pub use fault::VaultFault;
pub use intake::{Intake, ItemIntake, Sealed};
pub use read::{PlainReader, StoredObject};
pub use receive::Receiver;

/// Gives a request's content key, as long as it exists.
pub type ContentKeys = Arc<dyn Fn(&RequestId) -> Option<DataKey> + Send + Sync>;

/// An item that is to come, as a delivery and its giver say.
pub struct Expected {
    /// The item.
    pub item: ItemId,
    /// Its key.
    pub key: ItemKey,
    /// Bytes of its object.
    pub size: u64,
    /// BLAKE3 of its object.
    pub root: Digest,
    /// Manifest or item.
    pub kind: ItemKind,
}

/// What an open found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultOpened {
    /// Items that rest here whole.
    pub held: usize,
    /// Slots of intakes that never came to their manifest, overwritten now.
    pub swept: usize,
}

/// An open vault. Shared by reference between workers.
#[derive(Clone)]
pub struct Vault(Arc<Shelves>);

pub(super) struct Shelves {
    folder: PathBuf,
    disk: Disk,
    objects: LocalFileSystem,
    catalogue: Catalogue,
    runtime: Runtime,
}

impl Vault {
    /// Opens the vault in `folder`, or makes it. What an interrupted intake left is swept.
    ///
    /// # Errors
    /// When files cannot be read or made, or a slot is damaged.
    pub fn open(folder: &Path, keys: ContentKeys, runtime: Runtime) -> Result<(Self, VaultOpened), VaultFault> {
        Self::open_on(&Disk::default(), folder, keys, runtime)
    }

    pub(super) fn open_on(
        disk: &Disk,
        folder: &Path,
        keys: ContentKeys,
        runtime: Runtime,
    ) -> Result<(Self, VaultOpened), VaultFault> {
        for folder in [folder.to_owned(), folder.join("objects"), folder.join("partial")] {
            disk.folder(&folder).map_err(VaultFault::preparing(&folder))?;
        }
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|fault| VaultFault::store(&fault))?;
        let (catalogue, swept) = Catalogue::open(disk, &folder.join("keys"), keys)?;
        let shelves = Shelves {
            folder: folder.to_owned(),
            disk: disk.clone(),
            objects: objects.with_fsync(true),
            catalogue,
            runtime,
        };
        shelves.sweep()?;
        let held = shelves.catalogue.held();
        Ok((Self(Arc::new(shelves)), VaultOpened { held, swept }))
    }

    /// Begins to take plaintext in for a request.
    ///
    /// # Errors
    /// When the request has no content key, or the disk is full.
    pub fn begin(&self, request: RequestId) -> Result<Intake, VaultFault> {
        Intake::begin(Arc::clone(&self.0), request)
    }

    /// Keeps keys, sizes and roots of items that are to come. On disk when this returns.
    ///
    /// # Errors
    /// When the request has no content key, or the disk does not take them.
    pub fn expect(&self, request: RequestId, expected: &[Expected]) -> Result<(), VaultFault> {
        self.0.catalogue.expect(request, expected)
    }

    /// Takes in what one stream of a delivery brings. What an earlier one left is read again and taken
    /// up; `sha256` says what the plaintext of an item must be.
    ///
    /// # Errors
    /// When what was left cannot be read.
    pub fn receiver(
        &self,
        delivery: &EventId,
        lane: usize,
        sha256: &dyn Fn(&ItemId) -> Option<Digest>,
    ) -> Result<Receiver, VaultFault> {
        Receiver::open(Arc::clone(&self.0), delivery, lane, sha256)
    }

    /// What the catalogue says of an item.
    #[must_use]
    pub fn row(&self, item: &ItemId) -> Option<Row> {
        self.0.catalogue.row(item).ok().flatten()
    }

    /// True if an item rests here whole.
    #[must_use]
    pub fn holds(&self, item: &ItemId) -> bool {
        self.0.catalogue.state_of(item) == Some(SlotState::Held)
    }

    /// The manifests of a request that rest here, oldest first.
    #[must_use]
    pub fn manifests(&self, request: &RequestId) -> Vec<ItemId> {
        self.0.catalogue.manifests(request)
    }

    /// The key of an item.
    ///
    /// # Errors
    /// When the item is not known here, or its key is gone.
    pub fn key(&self, item: &ItemId) -> Result<ItemKey, VaultFault> {
        Ok(self.0.catalogue.open_key(item)?.1)
    }

    /// The sealed bytes of an item and the hashes beside them.
    ///
    /// # Errors
    /// When it does not rest here.
    pub fn object(&self, item: &ItemId) -> Result<StoredObject, VaultFault> {
        StoredObject::open(Arc::clone(&self.0), item)
    }

    /// The plaintext of an item.
    ///
    /// # Errors
    /// When it does not rest here, or does not open.
    pub fn plain(&self, item: &ItemId) -> Result<PlainReader, VaultFault> {
        PlainReader::open(self.object(item)?, self.key(item)?)
    }

    /// The bytes of a manifest.
    ///
    /// # Errors
    /// As [`Self::plain`], or when it is larger than any.
    pub fn read_manifest(&self, item: &ItemId) -> Result<Vec<u8>, VaultFault> {
        let mut reader = self.plain(item)?;
        if reader.size() > MANIFEST_MAX as u64 {
            return Err(VaultFault::object(item, ObjectFault::Size(reader.size())));
        }
        reader.read_whole()
    }

    /// Reads an item whole again: header, every chunk, SHA-256, root, and the hashes beside it.
    ///
    /// # Errors
    /// The first that is not what was sealed, with its place.
    pub fn verify(&self, item: &ItemId, sha256: &Digest) -> Result<(), VaultFault> {
        read::verify(self.object(item)?, &self.key(item)?, sha256)
    }

    /// Destroys the key of an item for ever; what rests of it opens for nobody. Fine if done before.
    ///
    /// # Errors
    /// When the disk does not confirm it.
    pub fn destroy(&self, item: &ItemId) -> Result<(), VaultFault> {
        self.0.catalogue.destroy(item)
    }

    /// Destroys the keys of everything that rests here for a request, and removes the bytes; also what came of deliveries that
    /// are not known any more. Fine if done before. What a crash leaves of bytes opens for nobody and goes at the next start.
    ///
    /// # Errors
    /// When the disk does not confirm it.
    pub fn erase(&self, request: &RequestId, is_known: &dyn Fn(&EventId) -> bool) -> Result<(), VaultFault> {
        let packs = self.0.catalogue.destroy_of(request)?;
        self.0.remove_packs(&packs)?;
        self.0.remove_partial(|name| {
            let delivery = name.split('-').next().and_then(|delivery| delivery.parse().ok());
            delivery.is_some_and(|delivery| !is_known(&delivery))
        })
    }

    /// What a copy takes at this moment, as files below the vault's folder: the catalogue first, then every pack it names.
    /// What is being received is left out: it is fetched again.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn copy(&self) -> Result<Vec<Part>, VaultFault> {
        let mut parts = self.0.catalogue.copy()?;
        for pack in self.0.catalogue.packs()? {
            for place in [pack.object(), pack.hashes()] {
                let name: &str = place.as_ref();
                let path = self.0.folder.join(name);
                match fs::metadata(&path) {
                    // Erased since: its slots are in the list by which the copy lets go of it.
                    Err(fault)
                        if fault.kind() == std::io::ErrorKind::NotFound
                            && !self.0.catalogue.packs()?.contains(&pack) => {}
                    Err(fault) => return Err(VaultFault::preparing(&path)(fault)),
                    Ok(found) => {
                        let content = Content::File(path, found.len());
                        parts.push(Part { name: name.to_owned(), content, space: found.len(), is_final: true });
                    }
                }
            }
        }
        Ok(parts)
    }

    /// Whether so many more bytes fit beside what must stay free.
    ///
    /// # Errors
    /// [`VaultFault::NoSpace`] if not.
    pub fn has_room(&self, bytes: u64) -> Result<(), VaultFault> {
        let Some((free, _)) = disk_room(&self.0.folder) else { return Ok(()) };
        let needed = bytes.saturating_add(bytes / 128).saturating_add(RESERVE_BYTES);
        if free < needed { Err(VaultFault::NoSpace { needed, free }) } else { Ok(()) }
    }
}

/// Destroys the keys of everything of these requests in the content of a file of the catalogue, as the vault itself would.
pub fn erase_items(bytes: &mut [u8], erased: &BTreeSet<RequestId>) {
    catalogue::erase(bytes, erased);
}

impl Shelves {
    /// Syncs a finished pack and moves it to its place under a fresh name, its hashes first. All of
    /// that is on disk when this returns.
    fn shelve(&self, pack: Pack) -> Result<PackId, VaultFault> {
        let id = PackId::draw();
        let name = pack.finish()?;
        // A crash here leaves a whole partial pack: an intake's is swept, a receiver's taken up.
        crash_point("evidence.pack-synced");
        for (ending, object) in [(pack::HASHES, id.hashes()), (pack::BODY, id.object())] {
            let from = ObjectPath::from(format!("partial/{name}.{ending}"));
            let moved = self.runtime.block_on(self.objects.rename(&from, &object));
            moved.map_err(|fault| VaultFault::store(&fault))?;
        }
        // A crash here leaves a pack that no slot names; the next open removes it.
        crash_point("evidence.pack-shelved");
        Ok(id)
    }

    fn read(&self, object: &ObjectPath, from: u64, until: u64) -> Result<bytes::Bytes, VaultFault> {
        let read = self.runtime.block_on(self.objects.get_range(object, from..until));
        read.map_err(|fault| VaultFault::store(&fault))
    }

    /// Removes packs, unless another item rests in them.
    fn remove_packs(&self, packs: &BTreeSet<PackId>) -> Result<(), VaultFault> {
        let named = if packs.is_empty() { BTreeSet::new() } else { self.catalogue.packs()? };
        for pack in packs.difference(&named) {
            for place in [pack.object(), pack.hashes()] {
                let place: &str = place.as_ref();
                let path = self.folder.join(place);
                match fs::remove_file(&path) {
                    Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                        return Err(VaultFault::preparing(&path)(fault));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn remove_partial(&self, goes: impl Fn(&str) -> bool) -> Result<(), VaultFault> {
        let partial = self.folder.join("partial");
        for entry in fs::read_dir(&partial).map_err(VaultFault::preparing(&partial))? {
            let path = entry.map_err(VaultFault::preparing(&partial))?.path();
            if goes(path.file_name().and_then(|name| name.to_str()).unwrap_or_default()) {
                self.disk.remove_file(&path).map_err(VaultFault::preparing(&path))?;
            }
        }
        Ok(())
    }

    /// Removes packs that no slot names and intakes that were interrupted. What was being received
    /// stays: a receiver takes it up.
    fn sweep(&self) -> Result<(), VaultFault> {
        self.remove_partial(|name| name.starts_with(intake::PREFIX))?;
        let named: BTreeSet<PackId> = self.catalogue.packs()?;
        let objects = self.folder.join("objects");
        for shelf in fs::read_dir(&objects).map_err(VaultFault::preparing(&objects))? {
            let shelf = shelf.map_err(VaultFault::preparing(&objects))?.path();
            for pack in fs::read_dir(&shelf).map_err(VaultFault::preparing(&shelf))? {
                let path = pack.map_err(VaultFault::preparing(&shelf))?.path();
                if PackId::at(&path).is_some_and(|pack| !named.contains(&pack)) {
                    self.disk.remove_file(&path).map_err(VaultFault::preparing(&path))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
