//! Data keys per request, in fixed slots of preallocated files, wrapped under the key-encryption key.
//!
//! Decides where a request's keys rest, under which generation of the key-encryption key, and that they can be
//! destroyed: a slot is overwritten in place, which a log could never do. Never decides when, nor when that key is turned:
//! an open wraps everything under the newest it is given. Slot 0 is the node itself; it holds the promise that this was
//! done, on which an old generation may be destroyed. Serves SPEC `[F-*]`. Start with [`Slots::ensure`]; the bytes are
//! in `slot`.

mod slot;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{crypto::DataKey, ids::RequestId};

use self::slot::{SLOT, Slot};
use super::{
    Damage, StoreFault,
    copy::{Part, slots_part},
};
use crate::disk::{Disk, DiskFile, crash::crash_point};

/// New slots that may be unsynced when a process ends: those of one batch, and of one that was refused before it,
/// with 256 records each at most.
const UNSYNCED_MAX: u32 = 512;
/// The folder of the key files, within that of the ledger.
pub(super) const FOLDER: &str = "slots";
/// Slots in one file: half a mebibyte, prepared in a few milliseconds, enough for months.
const SLOTS_PER_FILE: u32 = 4096;
/// Keys that are kept open: of the requests at work, so that their next record costs no reading and no unwrapping.
const OPEN_MAX: usize = 256;

/// The two keys of one request.
#[derive(Clone)]
pub(super) struct RequestKeys {
    /// For headers, salts and receipts: kept long.
    pub(super) proof: DataKey,
    /// For bodies and item keys.
    pub(super) content: DataKey,
}

/// The key files.
pub(super) struct Slots {
    disk: Disk,
    folder: PathBuf,
    /// By generation, the newest last.
    keks: BTreeMap<u32, DataKey>,
    newest: u32,
    state: Mutex<State>,
}

/// What the key files say without any key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotsSeen {
    /// The generation of the key-encryption key that all live slots were promised to be under; 0 if none ever was.
    pub promised: u32,
    /// Live slots by the generation that wraps them.
    pub live: BTreeMap<u32, u64>,
}

/// What an open found.
#[derive(Default)]
struct Found {
    promised: u32,
    /// Live slots with their requests, by the generation that wraps them.
    live: BTreeMap<u32, Vec<(u32, RequestId)>>,
    damage: Option<Damage>,
}

impl Found {
    fn note(&mut self, number: u32, slot: Slot) {
        match slot {
            Slot::Promise(generation) => self.promised = generation,
            Slot::Live(request, generation) => self.live.entry(generation).or_default().push((number, request)),
            Slot::Bad => drop(self.damage.get_or_insert(Damage::of_slot(number))),
            Slot::Free | Slot::Destroyed(_) => {}
        }
    }
}

struct State {
    files: Vec<Arc<DiskFile>>,
    by_request: BTreeMap<RequestId, u32>,
    /// The first slot never used.
    next: u32,
    /// Files written since the last sync.
    unsynced: Vec<Arc<DiskFile>>,
    /// Keys read lately, by slot. What is destroyed leaves before its slot is overwritten.
    open: BTreeMap<u32, RequestKeys>,
}

impl State {
    fn keep(&mut self, slot: u32, keys: &RequestKeys) {
        if self.open.len() >= OPEN_MAX {
            self.open.pop_first(); // of the oldest request
        }
        self.open.insert(slot, keys.clone());
    }
}

impl Slots {
    /// Opens the key files, or makes the first, and wraps every live slot under the newest of `keks`, with how many were
    /// wrapped anew. Damage in one slot leaves the others readable; beside it nothing is wrapped anew.
    ///
    /// # Errors
    /// When files cannot be read or made, or the keys do not open what is stored: [`StoreFault::KekGone`] if that is for
    /// want of a generation.
    pub(super) fn open(
        disk: &Disk,
        folder: &Path,
        keks: BTreeMap<u32, DataKey>,
    ) -> Result<(Self, u64, Option<Damage>), StoreFault> {
        let newest = *keks.keys().next_back().ok_or(StoreFault::WrongKey { what: "the data-key slots" })?;
        disk.folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        disk.sweep(folder).map_err(StoreFault::unreadable(folder))?;
        let (by_request, open) = (BTreeMap::new(), BTreeMap::new());
        let state = State { files: Vec::new(), by_request, next: 1, unsynced: Vec::new(), open };
        let slots = Self { disk: disk.clone(), folder: folder.to_owned(), keks, newest, state: Mutex::new(state) };
        let found = slots.load()?;
        slots.check_keys(&found)?;
        let turned = slots.turn(&found)?;
        Ok((slots, turned.unwrap_or(0), found.damage.or(turned.err())))
    }

    fn load(&self) -> Result<Found, StoreFault> {
        let mut state = self.state();
        let mut found = Found::default();
        loop {
            let path = self.path(state.files.len());
            if !path.exists() {
                break;
            }
            let file = self.disk.open(&path).map_err(StoreFault::unreadable(&path))?;
            let bytes = fs::read(&path).map_err(StoreFault::unreadable(&path))?;
            for (number, slot) in slots_in(state.files.len(), &bytes) {
                found.note(number, slot);
                match slot {
                    Slot::Free => continue,
                    Slot::Live(request, _) | Slot::Destroyed(request) => drop(state.by_request.insert(request, number)),
                    Slot::Promise(_) | Slot::Bad => {}
                }
                state.next = number + 1;
            }
            state.files.push(Arc::new(file));
        }
        if state.files.is_empty() {
            self.add_file(&mut state)?;
        }
        Ok(found)
    }

    /// Every generation that wraps anything must be here, and open the first slot it wraps.
    fn check_keys(&self, found: &Found) -> Result<(), StoreFault> {
        let gone = found.live.iter().find(|(generation, _)| !self.keks.contains_key(generation));
        if let Some((generation, live)) = gone {
            let held: Vec<String> = self.keks.keys().map(u32::to_string).collect();
            return Err(StoreFault::KekGone { generation: *generation, slots: live.len(), held: held.join(", ") });
        }
        for (number, _) in found.live.values().filter_map(|live| live.first()) {
            self.keys(*number).map_err(|fault| match fault {
                StoreFault::Damaged(_) => StoreFault::WrongKey { what: "the first data-key slot" },
                other => other,
            })?;
        }
        Ok(())
    }

    /// Wraps what is under older generations under the newest, in place, and promises it once all is on disk. Says how many
    /// slots that were, or which could not be opened: with damage nothing more is changed, and nothing promised.
    ///
    /// A failed sync leaves slots that are read as new and are not on disk. So as long as nothing is promised, all are
    /// written once more, and on the promise alone may an old generation be destroyed.
    fn turn(&self, found: &Found) -> Result<Result<u64, Damage>, StoreFault> {
        let older = || found.live.iter().filter(|(generation, _)| **generation != self.newest);
        let due = found.damage.is_none() && (found.promised != self.newest || older().next().is_some());
        if due && found.promised == self.newest {
            self.promise(0)?; // an old file was put back
        }
        let mut turned = 0;
        for (number, request) in older().filter(|_| due).flat_map(|(_, live)| live) {
            let keys = match self.keys(*number) {
                Err(StoreFault::Damaged(damage)) => return self.settle(false).map(|()| Err(damage)),
                other => other?,
            };
            let Some(keys) = keys else { continue };
            let (file, offset) = place(*number);
            let file = Arc::clone(&self.state().files[file]);
            let bytes = slot::live(*number, *request, self.wrapping(), &keys);
            file.write_at(&bytes, offset).map_err(StoreFault::writing("wrapping a key slot anew"))?;
            turned += 1;
            // A crash here leaves some slots under the old generation, some under the new; the next start goes on.
            crash_point("store.slot-turned");
        }
        self.settle(due)?;
        if due {
            // A crash here leaves all of them under the new generation; the next start writes them again and promises it.
            crash_point("store.slots-turned");
            self.promise(self.newest)?;
        }
        Ok(Ok(turned))
    }

    fn promise(&self, generation: u32) -> Result<(), StoreFault> {
        let file = Arc::clone(&self.state().files[0]);
        file.write_at(&slot::promise(generation), 0).map_err(StoreFault::writing("writing a key slot"))?;
        file.sync().map_err(StoreFault::writing("syncing key slots"))
    }

    /// A killed process may have left slots and files in memory only, and a failed sync slots that the system will not
    /// write any more; what is believed must last. Those written last are written again, or all.
    fn settle(&self, all: bool) -> Result<(), StoreFault> {
        let state = self.state();
        self.disk.sync_folder(&self.folder).map_err(StoreFault::writing("syncing the names of key files"))?;
        let first = if all { 0 } else { state.next.saturating_sub(UNSYNCED_MAX) };
        for (number, file) in state.files.iter().enumerate() {
            let base = number_of(number, 0);
            let from = first.clamp(base, base + SLOTS_PER_FILE) - base;
            let until = state.next.clamp(base, base + SLOTS_PER_FILE) - base;
            let bytes = |slots: u32| u64::from(slots) * SLOT as u64;
            file.renew(bytes(from), bytes(until)).map_err(StoreFault::writing("writing key slots again"))?;
            file.sync().map_err(StoreFault::writing("syncing key slots"))?;
        }
        Ok(())
    }

    /// What new slots are wrapped under.
    fn wrapping(&self) -> (u32, &DataKey) {
        (self.newest, &self.keks[&self.newest])
    }

    /// The slot and keys of a request, drawn now if it has none. New ones are not on disk before
    /// [`Self::sync`].
    ///
    /// # Errors
    /// [`StoreFault::Erased`], [`StoreFault::DiskFull`], or as [`Self::keys`].
    pub(super) fn ensure(&self, request: RequestId) -> Result<(u32, RequestKeys), StoreFault> {
        if let Some(slot) = self.find(request) {
            return self.keys(slot)?.map(|keys| (slot, keys)).ok_or(StoreFault::Erased { request });
        }
        let keys = RequestKeys { proof: DataKey::new(super::random()), content: DataKey::new(super::random()) };
        Ok((self.allocate(request, &keys)?, keys))
    }

    fn allocate(&self, request: RequestId, keys: &RequestKeys) -> Result<u32, StoreFault> {
        let mut state = self.state();
        let slot = state.next;
        if place(slot).0 == state.files.len() {
            self.add_file(&mut state)?;
        }
        let bytes = slot::live(slot, request, self.wrapping(), keys);
        let (file, offset) = place(slot);
        let file = Arc::clone(&state.files[file]);
        file.write_at(&bytes, offset).map_err(StoreFault::writing("writing a key slot"))?;
        // A crash here leaves the slot free, or used for a request without records; its next
        // record takes it up.
        crash_point("store.slot-written");
        state.next = slot + 1;
        state.by_request.insert(request, slot);
        state.unsynced.push(file);
        Ok(slot)
    }

    /// Puts new slots on disk. Records under them may be written only after this.
    ///
    /// # Errors
    /// Fatal, when the sync fails.
    pub(super) fn sync(&self) -> Result<(), StoreFault> {
        let mut files = std::mem::take(&mut self.state().unsynced);
        files.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for file in files {
            file.sync().map_err(StoreFault::writing("syncing key slots"))?;
            // A crash here leaves a slot whose request has no records yet.
            crash_point("store.slot-synced");
        }
        Ok(())
    }

    /// The slot of a request.
    pub(super) fn find(&self, request: RequestId) -> Option<u32> {
        self.state().by_request.get(&request).copied()
    }

    /// The keys in a slot; none once they were destroyed.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] when the slot is not what was written.
    pub(super) fn keys(&self, slot: u32) -> Result<Option<RequestKeys>, StoreFault> {
        let (file, offset) = place(slot);
        let bad = StoreFault::Damaged(Damage::of_slot(slot));
        // Held until the keys are kept: between reading and keeping they could be destroyed.
        let mut state = self.state();
        if let Some(keys) = state.open.get(&slot) {
            return Ok(Some(keys.clone()));
        }
        let file = state.files.get(file).cloned().ok_or_else(|| bad.clone())?;
        let mut bytes = [0; SLOT];
        file.read_at(&mut bytes, offset).map_err(StoreFault::unreadable(file.path()))?;
        let (request, generation) = match slot::read(slot, &bytes) {
            Slot::Live(request, generation) => (request, generation),
            Slot::Destroyed(_) => return Ok(None),
            Slot::Free | Slot::Promise(_) | Slot::Bad => return Err(bad),
        };
        let kek = self.keks.get(&generation).ok_or_else(|| bad.clone())?;
        let keys = slot::unwrap(slot, &bytes, request, (generation, kek)).ok_or(bad)?;
        state.keep(slot, &keys);
        Ok(Some(keys))
    }

    /// Overwrites a request's keys for ever; returns once that is on disk. Fine if done before.
    ///
    /// # Errors
    /// Fatal, when writing or syncing fails: whether the keys still exist is then unknown.
    pub(super) fn destroy(&self, request: RequestId) -> Result<(), StoreFault> {
        let Some(slot) = self.find(request) else { return Ok(()) };
        let (file, offset) = place(slot);
        let bytes = slot::destroyed(request);
        let mut state = self.state();
        state.open.remove(&slot);
        let file = Arc::clone(&state.files[file]);
        file.write_at(&bytes, offset).map_err(StoreFault::writing("destroying a key slot"))?;
        drop(state);
        // A crash here leaves the keys or not; whoever asked was not answered and asks again.
        crash_point("store.slot-destroyed");
        file.sync().map_err(StoreFault::writing("syncing a destroyed key slot"))
    }

    /// All slots as they are; none is read while it is written.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn copy(&self) -> Result<Vec<Part>, StoreFault> {
        let read = |file: usize| {
            let _written_by_nobody = self.state();
            let path = self.path(file);
            slots_part("slots", &path, SLOT).map_err(StoreFault::unreadable(&path))
        };
        let files = self.state().files.len();
        (0..files).map(read).collect()
    }

    fn add_file(&self, state: &mut State) -> Result<(), StoreFault> {
        let path = self.path(state.files.len());
        let size = u64::from(SLOTS_PER_FILE) * SLOT as u64;
        let file = self.disk.create_filled(&path, &[], size).map_err(|fault| StoreFault::preparing(&path, fault))?;
        // A crash here leaves a file of free slots.
        crash_point("store.slots-created");
        state.files.push(Arc::new(file));
        Ok(())
    }

    fn path(&self, file: usize) -> PathBuf {
        path_in(&self.folder, file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Destroys the keys of these requests in the content of a key file.
pub(super) fn erase(bytes: &mut [u8], erased: &BTreeSet<RequestId>) {
    for bytes in bytes.chunks_exact_mut(SLOT) {
        // The number tells the node's own slot from all others, and that one names no request.
        if let Slot::Live(request, _) = slot::read(1, bytes)
            && erased.contains(&request)
        {
            bytes.copy_from_slice(&slot::destroyed(request));
        }
    }
}

/// Looks at the key files of the ledger in `folder`, also beside a node that runs. No key is needed: state and
/// generation stand in clear.
///
/// # Errors
/// When a file cannot be read; [`StoreFault::Damaged`] names a slot of which nothing can be said.
pub fn look_at_slots(folder: &Path) -> Result<SlotsSeen, StoreFault> {
    let mut found = seen_in(&folder.join(FOLDER))?;
    if found.damage.is_some() {
        found = seen_in(&folder.join(FOLDER))?; // a node may have been writing that slot
    }
    let live = found.live.iter().map(|(generation, live)| (*generation, live.len() as u64)).collect();
    found.damage.map_or(Ok(SlotsSeen { promised: found.promised, live }), |damage| Err(StoreFault::Damaged(damage)))
}

fn seen_in(folder: &Path) -> Result<Found, StoreFault> {
    let mut found = Found::default();
    for file in 0.. {
        let path = path_in(folder, file);
        let bytes = match fs::read(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => break,
            read => read.map_err(StoreFault::unreadable(&path))?,
        };
        slots_in(file, &bytes).for_each(|(number, slot)| found.note(number, slot));
    }
    Ok(found)
}

fn slots_in(file: usize, bytes: &[u8]) -> impl Iterator<Item = (u32, Slot)> {
    (number_of(file, 0)..).zip(bytes.chunks_exact(SLOT)).map(|(number, bytes)| (number, slot::read(number, bytes)))
}

fn path_in(folder: &Path, file: usize) -> PathBuf {
    folder.join(format!("{file:06}.keys"))
}

fn place(slot: u32) -> (usize, u64) {
    ((slot / SLOTS_PER_FILE) as usize, u64::from(slot % SLOTS_PER_FILE) * SLOT as u64)
}

fn number_of(file: usize, within: u32) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX).saturating_mul(SLOTS_PER_FILE).saturating_add(within)
}

#[cfg(test)]
mod tests;
