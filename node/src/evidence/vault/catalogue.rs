//! The catalogue: which items rest here, where, and under which key.
//!
//! Fixed slots in preallocated files, overwritten in place, which is how a key is destroyed. The key of
//! an item is wrapped under its request's content key, so that destroying that one destroys all.
//!
//! Slots of one intake carry its batch and count only together with its manifest, whose slot is
//! written last: what a crash before that leaves is overwritten at the next open.
//!
//! ```text
//! slot = version 1 | state | kind | 0 | item (16) | request (16) | pack (16) | offset u64 LE | size u64 LE | root (32)
//!      | batch (8) | nonce (12) | AES-256-GCM(item key) (48) | hashes u64 LE | zeros | u32 LE crc32c
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{
    crypto::DataKey,
    ids::{Digest, ItemId, RequestId},
    object::ItemKey,
};

use super::{
    ContentKeys, Expected, VaultFault,
    pack::{PackId, Placed},
};
use crate::{
    disk::{Disk, DiskFile, crash::crash_point},
    store::{Part, slots_part},
};

/// Half a sector: a slot never lies across two, so a power cut leaves it old or new.
const SLOT: usize = 256;
/// Slots in one file: one mebibyte, prepared in milliseconds.
const SLOTS_PER_FILE: u32 = 4096;
const VERSION: u8 = 1;
const CRC: usize = SLOT - 4;

/// What a slot says of its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Its key is known and its bytes are to come.
    Expected,
    /// It rests here whole.
    Held,
    /// Its key is destroyed.
    Destroyed,
}

/// Manifest or item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A piece of evidence.
    Item,
    /// What lists such pieces.
    Manifest,
}

/// What the catalogue says of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The request it belongs to.
    pub request: RequestId,
    /// Manifest or item.
    pub kind: ItemKind,
    /// Whether it rests here.
    pub state: SlotState,
    /// In which pack.
    pub(super) pack: PackId,
    /// Where its frame begins there.
    pub(super) offset: u64,
    /// Where its hashes begin beside that pack.
    pub(super) hashes: u64,
    /// Bytes of its object.
    pub size: u64,
    /// BLAKE3 of its object.
    pub root: Digest,
    pub(super) batch: [u8; 8],
}

impl Row {
    /// What stays of an item: that there was one.
    fn destroyed(&self) -> Self {
        Self {
            request: self.request,
            kind: self.kind,
            state: SlotState::Destroyed,
            pack: PackId::NONE,
            offset: 0,
            hashes: 0,
            size: 0,
            root: Digest::new([0; 32]),
            batch: NO_BATCH,
        }
    }
}

/// Items received count each on its own.
pub(super) const NO_BATCH: [u8; 8] = [0; 8];

pub(super) struct Catalogue {
    disk: Disk,
    folder: PathBuf,
    keys: ContentKeys,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: Vec<Arc<DiskFile>>,
    by_item: BTreeMap<ItemId, (u32, SlotState)>,
    manifests: Vec<(RequestId, ItemId)>,
    /// The first slot never used.
    next: u32,
}

impl Catalogue {
    /// Opens the catalogue, or makes it; says how many slots of unfinished intakes were overwritten.
    pub(super) fn open(disk: &Disk, folder: &Path, keys: ContentKeys) -> Result<(Self, usize), VaultFault> {
        disk.folder(folder).map_err(VaultFault::preparing(folder))?;
        disk.sweep(folder).map_err(VaultFault::preparing(folder))?;
        let catalogue = Self { disk: disk.clone(), folder: folder.to_owned(), keys, state: Mutex::default() };
        let swept = catalogue.load()?;
        Ok((catalogue, swept))
    }

    fn load(&self) -> Result<usize, VaultFault> {
        let mut state = self.state();
        let mut rows: Vec<(u32, ItemId, Row)> = Vec::new();
        loop {
            let path = self.path(state.files.len());
            if !path.exists() {
                break;
            }
            let file = self.disk.open(&path).map_err(VaultFault::preparing(&path))?;
            // A killed process may have left slots in memory only; what is believed must last.
            file.sync().map_err(VaultFault::writing("syncing the catalogue"))?;
            let bytes = fs::read(&path).map_err(VaultFault::preparing(&path))?;
            let base = number_of(state.files.len());
            for (slot, bytes) in (base..).zip(bytes.chunks_exact(SLOT)) {
                if let Some((item, row)) = read(bytes).map_err(|()| VaultFault::BadSlot(slot))? {
                    rows.push((slot, item, row));
                    state.next = slot + 1;
                }
            }
            state.files.push(Arc::new(file));
        }
        let finished: BTreeSet<[u8; 8]> = rows
            .iter()
            .filter(|(_, _, row)| row.kind == ItemKind::Manifest && row.state == SlotState::Held)
            .map(|(_, _, row)| row.batch)
            .collect();
        let counts = |row: &Row| row.batch == NO_BATCH || finished.contains(&row.batch);
        let mut swept = 0;
        for (slot, item, row) in rows {
            if row.state != SlotState::Destroyed && !counts(&row) {
                write(&state.files, slot, &blank(&item, &row.destroyed()))?;
                swept += 1;
                continue;
            }
            remember(&mut state, slot, item, &row);
        }
        if swept > 0 {
            sync(&state.files)?;
        }
        Ok(swept)
    }

    pub(super) fn held(&self) -> usize {
        self.state().by_item.values().filter(|(_, state)| *state == SlotState::Held).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an item rests here.
    pub(super) fn state_of(&self, item: &ItemId) -> Option<SlotState> {
        self.state().by_item.get(item).map(|(_, state)| *state)
    }

    pub(super) fn manifests(&self, request: &RequestId) -> Vec<ItemId> {
        let state = self.state();
        let held = |item: &ItemId| state.by_item.get(item).is_some_and(|(_, state)| *state == SlotState::Held);
        state.manifests.iter().filter(|(of, item)| of == request && held(item)).map(|(_, item)| *item).collect()
    }

    /// Every pack that a slot names.
    pub(super) fn packs(&self) -> Result<BTreeSet<PackId>, VaultFault> {
        let held: Vec<ItemId> = {
            let state = self.state();
            let held = state.by_item.iter().filter(|(_, (_, state))| *state == SlotState::Held);
            held.map(|(item, _)| *item).collect()
        };
        held.iter().filter_map(|item| self.row(item).transpose()).map(|row| row.map(|row| row.pack)).collect()
    }

    pub(super) fn row(&self, item: &ItemId) -> Result<Option<Row>, VaultFault> {
        Ok(self.slot(item)?.map(|(_, _, row)| row))
    }

    /// What the catalogue says of an item, and its key.
    pub(super) fn open_key(&self, item: &ItemId) -> Result<(Row, ItemKey), VaultFault> {
        let (slot, bytes, row) = self.slot(item)?.ok_or(VaultFault::NotHeld(*item))?;
        if row.state == SlotState::Destroyed {
            return Err(VaultFault::NotHeld(*item));
        }
        let content = self.content_key(row.request)?;
        let bad = || VaultFault::BadSlot(slot);
        let nonce = bytes[108..120].try_into().expect("twelve bytes");
        let opened = content.open(nonce, &binding(slot, item, &row), &bytes[120..168]).map_err(|_| bad())?;
        let key = opened.as_slice().try_into().map_err(|_| bad())?;
        Ok((row, ItemKey::new(key)))
    }

    fn slot(&self, item: &ItemId) -> Result<Option<(u32, [u8; SLOT], Row)>, VaultFault> {
        let (slot, file) = {
            let state = self.state();
            let Some((slot, _)) = state.by_item.get(item).copied() else { return Ok(None) };
            (slot, Arc::clone(&state.files[place(slot).0]))
        };
        let mut bytes = [0; SLOT];
        file.read_at(&mut bytes, place(slot).1).map_err(VaultFault::preparing(file.path()))?;
        match read(&bytes) {
            Ok(Some((found, row))) if found == *item => Ok(Some((slot, bytes, row))),
            _ => Err(VaultFault::BadSlot(slot)),
        }
    }

    fn content_key(&self, request: RequestId) -> Result<DataKey, VaultFault> {
        (self.keys)(&request).ok_or(VaultFault::NoContentKey(request))
    }

    /// True if the request has a content key at this moment.
    pub(super) fn has_key(&self, request: &RequestId) -> bool {
        (self.keys)(request).is_some()
    }

    /// Keeps what is to come.
    pub(super) fn expect(&self, request: RequestId, expected: &[Expected]) -> Result<(), VaultFault> {
        let row = |one: &Expected| Row {
            request,
            kind: one.kind,
            state: SlotState::Expected,
            pack: PackId::NONE,
            offset: 0,
            hashes: 0,
            size: one.size,
            root: one.root,
            batch: NO_BATCH,
        };
        let rows: Vec<(ItemId, Row, &ItemKey)> = expected.iter().map(|one| (one.item, row(one), &one.key)).collect();
        self.add(&rows)
    }

    /// Writes new slots in their order and syncs once.
    pub(super) fn add(&self, rows: &[(ItemId, Row, &ItemKey)]) -> Result<(), VaultFault> {
        let mut state = self.state();
        for (item, row, key) in rows {
            let slot = state.next;
            if place(slot).0 == state.files.len() {
                self.add_file(&mut state)?;
            }
            let content = self.content_key(row.request)?;
            let nonce = crate::store::random();
            let wrapped = content.seal(nonce, &binding(slot, item, row), key.expose());
            let mut bytes = blank(item, row);
            bytes[108..120].copy_from_slice(&nonce);
            bytes[120..168].copy_from_slice(&wrapped);
            seal(&mut bytes);
            write(&state.files, slot, &bytes)?;
            state.next = slot + 1;
            remember(&mut state, slot, *item, row);
        }
        // A crash here leaves slots that the next open believes only as far as the disk has them.
        crash_point("evidence.slots-written");
        sync(&state.files)
    }

    /// Says where expected items rest now, and syncs once. Their pack is on disk already.
    pub(super) fn hold(&self, pack: PackId, places: &[Placed]) -> Result<(), VaultFault> {
        for Placed { item, offset, hashes } in places {
            let found = self.slot(item)?.filter(|(_, _, row)| row.state != SlotState::Destroyed);
            let (slot, mut bytes, row) = found.ok_or(VaultFault::NotHeld(*item))?;
            bytes[1] = state_code(SlotState::Held);
            bytes[36..52].copy_from_slice(&pack.0);
            bytes[52..60].copy_from_slice(&offset.to_le_bytes());
            bytes[168..176].copy_from_slice(&hashes.to_le_bytes());
            seal(&mut bytes);
            let mut state = self.state();
            write(&state.files, slot, &bytes)?;
            remember(&mut state, slot, *item, &Row { state: SlotState::Held, ..row });
        }
        crash_point("evidence.slots-written");
        sync(&self.state().files)
    }

    pub(super) fn destroy(&self, item: &ItemId) -> Result<(), VaultFault> {
        let Some((slot, _, row)) = self.slot(item)? else { return Ok(()) };
        self.destroy_all(&[(slot, *item, row)])
    }

    /// Destroys the keys of all items of a request and syncs once; gives the packs in which they rested.
    pub(super) fn destroy_of(&self, request: &RequestId) -> Result<BTreeSet<PackId>, VaultFault> {
        let items: Vec<ItemId> = self.state().by_item.keys().copied().collect();
        let mut rows = Vec::new();
        for item in items {
            let slot = self.slot(&item)?.filter(|(_, _, row)| row.request == *request);
            rows.extend(slot.map(|(slot, _, row)| (slot, item, row)));
        }
        let packs = rows.iter().map(|(_, _, row)| row.pack).filter(|pack| *pack != PackId::NONE).collect();
        self.destroy_all(&rows)?;
        Ok(packs)
    }

    fn destroy_all(&self, rows: &[(u32, ItemId, Row)]) -> Result<(), VaultFault> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        for (slot, item, row) in rows {
            let destroyed = row.destroyed();
            write(&state.files, *slot, &blank(item, &destroyed))?;
            remember(&mut state, *slot, *item, &destroyed);
        }
        // A crash here leaves the keys or not; whoever asked was not answered and asks again.
        crash_point("evidence.slot-destroyed");
        sync(&state.files)
    }

    /// All slots as they are; none is read while it is written.
    pub(super) fn copy(&self) -> Result<Vec<Part>, VaultFault> {
        let read = |file: usize| {
            let _written_by_nobody = self.state();
            let path = self.path(file);
            slots_part("keys", &path, SLOT).map_err(VaultFault::preparing(&path))
        };
        let files = self.state().files.len();
        (0..files).map(read).collect()
    }

    fn add_file(&self, state: &mut State) -> Result<(), VaultFault> {
        let path = self.path(state.files.len());
        let size = u64::from(SLOTS_PER_FILE) * SLOT as u64;
        let file = self.disk.create_filled(&path, &[], size).map_err(VaultFault::preparing(&path))?;
        state.files.push(Arc::new(file));
        Ok(())
    }

    fn path(&self, file: usize) -> PathBuf {
        self.folder.join(format!("{file:06}.items"))
    }
}

/// Destroys the keys of these requests in the content of a file of the catalogue.
pub(super) fn erase(bytes: &mut [u8], erased: &BTreeSet<RequestId>) {
    for slot in bytes.chunks_exact_mut(SLOT) {
        if let Ok(Some((item, row))) = read(slot)
            && erased.contains(&row.request)
        {
            slot.copy_from_slice(&blank(&item, &row.destroyed()));
        }
    }
}

fn remember(state: &mut State, slot: u32, item: ItemId, row: &Row) {
    let known = state.by_item.insert(item, (slot, row.state)).is_some();
    if !known && row.kind == ItemKind::Manifest {
        state.manifests.push((row.request, item));
    }
}

fn write(files: &[Arc<DiskFile>], slot: u32, bytes: &[u8; SLOT]) -> Result<(), VaultFault> {
    let (file, offset) = place(slot);
    files[file].write_at(bytes, offset).map_err(VaultFault::writing("writing the catalogue"))
}

fn sync(files: &[Arc<DiskFile>]) -> Result<(), VaultFault> {
    files.iter().try_for_each(|file| file.sync()).map_err(VaultFault::writing("syncing the catalogue"))
}

fn state_code(state: SlotState) -> u8 {
    match state {
        SlotState::Expected => 1,
        SlotState::Held => 2,
        SlotState::Destroyed => 3,
    }
}

fn blank(item: &ItemId, row: &Row) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[0] = VERSION;
    bytes[1] = state_code(row.state);
    bytes[2] = if row.kind == ItemKind::Item { 1 } else { 2 };
    bytes[4..20].copy_from_slice(item.as_bytes());
    bytes[20..36].copy_from_slice(row.request.as_bytes());
    bytes[36..52].copy_from_slice(&row.pack.0);
    bytes[52..60].copy_from_slice(&row.offset.to_le_bytes());
    bytes[60..68].copy_from_slice(&row.size.to_le_bytes());
    bytes[68..100].copy_from_slice(row.root.as_bytes());
    bytes[100..108].copy_from_slice(&row.batch);
    bytes[168..176].copy_from_slice(&row.hashes.to_le_bytes());
    seal(&mut bytes);
    bytes
}

fn seal(bytes: &mut [u8; SLOT]) {
    let crc = crc32c::crc32c(&bytes[..CRC]);
    bytes[CRC..].copy_from_slice(&crc.to_le_bytes());
}

/// Reads a slot; none if it is free.
fn read(bytes: &[u8]) -> Result<Option<(ItemId, Row)>, ()> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if bytes[0] != VERSION || bytes[CRC..] != crc32c::crc32c(&bytes[..CRC]).to_le_bytes() {
        return Err(());
    }
    let number = |at: usize| bytes[at..].first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
    let row = Row {
        request: RequestId::from_slice(&bytes[20..36]).map_err(|_| ())?,
        kind: match bytes[2] {
            1 => ItemKind::Item,
            2 => ItemKind::Manifest,
            _ => return Err(()),
        },
        state: match bytes[1] {
            1 => SlotState::Expected,
            2 => SlotState::Held,
            3 => SlotState::Destroyed,
            _ => return Err(()),
        },
        pack: PackId(bytes[36..52].try_into().map_err(|_| ())?),
        offset: number(52),
        hashes: number(168),
        size: number(60),
        root: Digest::from_slice(&bytes[68..100]).map_err(|_| ())?,
        batch: bytes[100..108].try_into().map_err(|_| ())?,
    };
    Ok(Some((ItemId::from_slice(&bytes[4..20]).map_err(|_| ())?, row)))
}

/// Ties a wrapped key to its slot, item, request and object, so that none can be exchanged.
fn binding(slot: u32, item: &ItemId, row: &Row) -> Vec<u8> {
    let parts: [&[u8]; 5] =
        [b"comity item slot v1\0", &slot.to_be_bytes(), item.as_bytes(), row.request.as_bytes(), row.root.as_bytes()];
    parts.concat()
}

fn place(slot: u32) -> (usize, u64) {
    ((slot / SLOTS_PER_FILE) as usize, u64::from(slot % SLOTS_PER_FILE) * SLOT as u64)
}

fn number_of(file: usize) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX).saturating_mul(SLOTS_PER_FILE)
}
