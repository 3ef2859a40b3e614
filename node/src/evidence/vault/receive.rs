//! Taking sealed objects in, as one stream brings them: group by group, each proved by whoever calls.
//!
//! What is written is found again after a kill: the partial pack is read from its beginning, frame by
//! frame; an item counts as far as its chunks authenticate under its key, which the catalogue has. So
//! going on trusts nothing but keys and digests, and needs nobody's word on how far it was.

use std::{path::PathBuf, sync::Arc};

use comity_core::{
    ids::{Digest, EventId, ItemId},
    object::{CHUNK, HEADER, ItemKey, ObjectFault, Opener, TAG, TreeBuilder},
};
use sha2::{Digest as _, Sha256};

use super::{
    Shelves, VaultFault,
    catalogue::{Row, SlotState},
    pack::{FRAME, PACK_MAX, Pack, Placed, frame, read_frame},
};

/// What one stream of a delivery brings.
pub struct Receiver {
    shelves: Arc<Shelves>,
    folder: PathBuf,
    name: String,
    pack: Option<Pack>,
    /// Whole items of the pack being written.
    whole: Vec<Placed>,
    unfinished: Option<Unfinished>,
}

/// The item at the end of the pack.
struct Unfinished {
    placed: Placed,
    row: Row,
    key: ItemKey,
    opener: Option<Opener>,
    /// Bytes of the header or chunk that is not whole yet.
    piece: Vec<u8>,
    next: u64,
    written: u64,
    tree: TreeBuilder,
    sha256: Sha256,
}

impl Receiver {
    pub(super) fn open(
        shelves: Arc<Shelves>,
        delivery: &EventId,
        lane: usize,
        sha256: &dyn Fn(&ItemId) -> Option<Digest>,
    ) -> Result<Self, VaultFault> {
        let name = format!("{delivery}-{lane}");
        let folder = shelves.folder.join("partial");
        let left = folder.join(format!("{name}.{}", super::pack::BODY)).exists();
        let mut receiver = Self { shelves, folder, name, pack: None, whole: Vec::new(), unfinished: None };
        if left {
            receiver.take_up(sha256)?;
        }
        Ok(receiver)
    }

    /// Reads what an earlier receiver left, as far as it holds.
    fn take_up(&mut self, sha256: &dyn Fn(&ItemId) -> Option<Digest>) -> Result<(), VaultFault> {
        self.pack = Some(Pack::open(&self.shelves.disk, &self.folder, &self.name)?);
        loop {
            let Some(pack) = &mut self.pack else { return Ok(()) };
            let mut head = [0; FRAME];
            let read = pack.read(&mut head)?;
            let Some((item, size)) = read_frame(&head[..read]) else { return Ok(()) };
            let known = self.shelves.catalogue.open_key(&item).ok();
            let Some((row, key)) = known.filter(|(row, _)| row.size == size && row.state == SlotState::Expected) else {
                return Ok(());
            };
            let placed = Placed { item, offset: pack.len(), hashes: pack.hashes_len() };
            pack.pass(FRAME as u64);
            let mut unfinished = Unfinished::new(placed, row, key);
            unfinished.take_up(pack)?;
            let is_whole = unfinished.written == size;
            self.unfinished = Some(unfinished);
            if !is_whole {
                return Ok(());
            }
            let Some(expected) = sha256(&item) else { return Ok(()) };
            // One that is not what was signed goes again; what comes after it is fetched anew.
            if self.finish(&expected).is_err() {
                return Ok(());
            }
        }
    }

    /// The item that is not whole yet, which goes on here and nowhere else.
    #[must_use]
    pub fn unfinished(&self) -> Option<ItemId> {
        self.unfinished.as_ref().map(|unfinished| unfinished.placed.item)
    }

    /// Items that are whole and not in their place yet.
    pub fn whole(&self) -> impl Iterator<Item = ItemId> + '_ {
        self.whole.iter().map(|placed| placed.item)
    }

    /// How many bytes of an item's object are here already.
    #[must_use]
    pub fn offset(&self, item: &ItemId) -> u64 {
        let same = self.unfinished.as_ref().filter(|unfinished| unfinished.placed.item == *item);
        same.map_or(0, |unfinished| unfinished.written)
    }

    /// Begins an item, or goes on with the one that is not whole.
    ///
    /// # Errors
    /// When another is not whole, the item is not expected, or the disk does not take it.
    pub fn begin(&mut self, item: &ItemId) -> Result<(), VaultFault> {
        match self.unfinished() {
            Some(same) if same == *item => return Ok(()),
            Some(other) => return Err(VaultFault::NotHeld(other)),
            None => {}
        }
        if self.pack.as_ref().is_some_and(|pack| pack.len() >= PACK_MAX) {
            self.shelve()?;
        }
        let (row, key) = self.shelves.catalogue.open_key(item)?;
        if self.pack.is_none() {
            self.pack = Some(Pack::open(&self.shelves.disk, &self.folder, &self.name)?);
        }
        let Some(pack) = &mut self.pack else { return Err(VaultFault::NotHeld(*item)) };
        let placed = Placed { item: *item, offset: pack.len(), hashes: pack.hashes_len() };
        pack.append(&frame(item, row.size))?;
        self.unfinished = Some(Unfinished::new(placed, row, key));
        Ok(())
    }

    /// Takes the next bytes of the object; `hash` is theirs where they are a group that was proved.
    ///
    /// # Errors
    /// When they are more than the object has, do not open under its key, or the disk does not take them. What lies on
    /// disk then is found by a new receiver; this one is of no more use.
    pub fn write(&mut self, bytes: &[u8], hash: Option<&Digest>) -> Result<(), VaultFault> {
        let (Some(pack), Some(unfinished)) = (&mut self.pack, &mut self.unfinished) else { return Ok(()) };
        if unfinished.written + bytes.len() as u64 > unfinished.row.size {
            return Err(VaultFault::TooLong(unfinished.placed.item));
        }
        pack.append(bytes)?;
        unfinished.absorb(bytes, hash, pack)
    }

    /// Ends the item: root and SHA-256 must be those that were signed.
    ///
    /// # Errors
    /// When they are not; nothing of the item stays then.
    pub fn finish(&mut self, sha256: &Digest) -> Result<(), VaultFault> {
        let (Some(pack), Some(unfinished)) = (&mut self.pack, self.unfinished.take()) else { return Ok(()) };
        let Unfinished { placed, row, tree, sha256: found, written, .. } = unfinished;
        let root = tree.finish(pack.hashes());
        let found = Digest::new(found.finalize().into());
        let fault = if root != row.root || written != row.size {
            VaultFault::WrongRoot(placed.item)
        } else if found != *sha256 {
            VaultFault::WrongDigest(placed.item)
        } else {
            self.whole.push(placed);
            return pack.keep_hashes();
        };
        pack.go_back(&placed);
        Err(fault)
    }

    /// Puts what is whole in its place, unless an item is not whole yet: then all of it waits.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn close(&mut self) -> Result<(), VaultFault> {
        if self.unfinished.is_some() { Ok(()) } else { self.shelve() }
    }

    fn shelve(&mut self) -> Result<(), VaultFault> {
        let Some(pack) = self.pack.take() else { return Ok(()) };
        if self.whole.is_empty() {
            pack.remove(&self.shelves.disk);
            return Ok(());
        }
        // Taken first: what the disk did not take is not here, whoever asks.
        let whole = std::mem::take(&mut self.whole);
        let id = self.shelves.shelve(pack)?;
        self.shelves.catalogue.hold(id, &whole)
    }
}

impl Unfinished {
    fn new(placed: Placed, row: Row, key: ItemKey) -> Self {
        Self {
            placed,
            row,
            key,
            opener: None,
            piece: Vec::with_capacity(CHUNK + TAG),
            next: 0,
            written: 0,
            tree: TreeBuilder::default(),
            sha256: Sha256::new(),
        }
    }

    /// Bytes of the header or chunk that comes next.
    fn piece_len(&self) -> usize {
        if self.opener.is_none() {
            return HEADER;
        }
        let begins = self.written - self.piece.len() as u64;
        usize::try_from(self.row.size - begins).map_or(CHUNK + TAG, |left| left.min(CHUNK + TAG))
    }

    fn absorb(&mut self, mut bytes: &[u8], hash: Option<&Digest>, pack: &mut Pack) -> Result<(), VaultFault> {
        match hash {
            Some(hash) => self.tree.update_proved(bytes, hash, pack.hashes()),
            None => self.tree.update(bytes, pack.hashes()),
        }
        while !bytes.is_empty() {
            let take = bytes.len().min(self.piece_len() - self.piece.len());
            self.piece.extend_from_slice(&bytes[..take]);
            self.written += take as u64;
            bytes = &bytes[take..];
            if self.piece.len() == self.piece_len() {
                self.open_piece().map_err(|fault| VaultFault::object(&self.placed.item, fault))?;
            }
        }
        pack.keep_hashes()
    }

    /// Opens a whole header or chunk: what it says goes into the SHA-256.
    fn open_piece(&mut self) -> Result<(), ObjectFault> {
        match &self.opener {
            None => {
                let head = self.piece.first_chunk().ok_or(ObjectFault::Header)?;
                self.opener = Some(Opener::new(head, self.row.size, self.placed.item, &self.key)?);
            }
            Some(opener) => {
                let plain = opener.open(self.next, &mut self.piece)?;
                self.sha256.update(plain);
                self.next += 1;
            }
        }
        self.piece.clear();
        Ok(())
    }

    /// Goes over what lies in the pack, piece by piece, up to the first that is not whole or does not open.
    fn take_up(&mut self, pack: &mut Pack) -> Result<(), VaultFault> {
        let mut buffer = vec![0; CHUNK + TAG];
        while self.written < self.row.size {
            let want = self.piece_len();
            let read = pack.read(&mut buffer[..want])?;
            if read < want {
                return Ok(());
            }
            self.piece.extend_from_slice(&buffer[..want]);
            if self.open_piece().is_err() {
                self.piece.clear();
                return Ok(());
            }
            self.tree.update(&buffer[..want], pack.hashes());
            pack.pass(want as u64);
            self.written += want as u64;
            pack.keep_hashes()?;
        }
        Ok(())
    }
}
