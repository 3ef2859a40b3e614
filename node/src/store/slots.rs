//! Data keys per request, in fixed slots of preallocated files, wrapped under the key-encryption key.
//!
//! Decides where a request's keys rest and that they can be destroyed: a slot is overwritten in
//! place, which a log could never do. Never decides when. Slot 0 is the node itself and holds
//! nothing. Serves SPEC `[F-*]`. Start with [`Slots::ensure`].
//!
//! ```text
//! slot = version 1 | state | request id (16) | nonce (12) | AES-256-GCM(proof key, content key) (80) | zeros (14) | u32 LE crc32c
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use comity_core::{crypto::DataKey, ids::RequestId};
use zeroize::Zeroizing;

use super::{
    Damage, StoreFault,
    copy::{Content, Part},
};
use crate::disk::{Disk, DiskFile, crash::crash_point};

/// A quarter of a sector: a slot never lies across two, so a power cut leaves it old or new.
const SLOT: usize = 128;
/// New slots that may be unsynced when a process ends: those of one batch, and of one that was refused before it,
/// with 256 records each at most.
const UNSYNCED_MAX: u32 = 512;
/// Slots in one file: half a mebibyte, prepared in a few milliseconds, enough for months.
const SLOTS_PER_FILE: u32 = 4096;
/// Keys that are kept open: of the requests at work, so that their next record costs no reading and no unwrapping.
const OPEN_MAX: usize = 256;
const VERSION: u8 = 1;
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;
const REQUEST: std::ops::Range<usize> = 2..18;
const NONCE: std::ops::Range<usize> = 18..30;
const WRAPPED: std::ops::Range<usize> = 30..110;
const CRC: usize = SLOT - 4;

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
    kek: DataKey,
    state: Mutex<State>,
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
    /// Opens the key files, or makes the first. Damage in one slot leaves the others readable.
    ///
    /// # Errors
    /// When files cannot be read or made, or the key does not open what is stored.
    pub(super) fn open(disk: &Disk, folder: &Path, kek: DataKey) -> Result<(Self, Option<Damage>), StoreFault> {
        disk.folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
        disk.sweep(folder).map_err(StoreFault::unreadable(folder))?;
        let (by_request, open) = (BTreeMap::new(), BTreeMap::new());
        let state = State { files: Vec::new(), by_request, next: 1, unsynced: Vec::new(), open };
        let slots = Self { disk: disk.clone(), folder: folder.to_owned(), kek, state: Mutex::new(state) };
        let damage = slots.load()?;
        slots.check_key()?;
        Ok((slots, damage))
    }

    fn load(&self) -> Result<Option<Damage>, StoreFault> {
        let mut state = self.state();
        let mut damage = None;
        loop {
            let path = self.path(state.files.len());
            if !path.exists() {
                break;
            }
            let file = self.disk.open(&path).map_err(StoreFault::unreadable(&path))?;
            let bytes = fs::read(&path).map_err(StoreFault::unreadable(&path))?;
            let base = number_of(state.files.len(), 0);
            for (slot, bytes) in (base..).zip(bytes.chunks_exact(SLOT)) {
                match check(bytes) {
                    Slot::Free => continue,
                    Slot::Bad => drop(damage.get_or_insert(Damage::of_slot(slot))),
                    Slot::Used(request) => drop(state.by_request.insert(request, slot)),
                }
                state.next = slot + 1;
            }
            state.files.push(Arc::new(file));
        }
        if state.files.is_empty() {
            self.add_file(&mut state)?;
        }
        self.settle(&state)?;
        Ok(damage)
    }

    /// A killed process may have left slots and files in memory only, and a failed sync slots that the system will not
    /// write any more; what is believed must last.
    fn settle(&self, state: &State) -> Result<(), StoreFault> {
        self.disk.sync_folder(&self.folder).map_err(StoreFault::writing("syncing the names of key files"))?;
        for (number, file) in state.files.iter().enumerate() {
            let base = number_of(number, 0);
            let from = state.next.saturating_sub(UNSYNCED_MAX).clamp(base, base + SLOTS_PER_FILE) - base;
            let until = state.next.clamp(base, base + SLOTS_PER_FILE) - base;
            let bytes = |slots: u32| u64::from(slots) * SLOT as u64;
            file.renew(bytes(from), bytes(until)).map_err(StoreFault::writing("writing key slots again"))?;
            file.sync().map_err(StoreFault::writing("syncing key slots"))?;
        }
        Ok(())
    }

    fn check_key(&self) -> Result<(), StoreFault> {
        let slots: Vec<u32> = self.state().by_request.values().copied().collect();
        for slot in slots {
            match self.keys(slot) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(()),
                Err(StoreFault::Damaged(_)) => return Err(StoreFault::WrongKey { what: "the first data-key slot" }),
                Err(other) => return Err(other),
            }
        }
        Ok(())
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
        let mut secret = Zeroizing::new([0; 64]);
        secret[..32].copy_from_slice(keys.proof.expose());
        secret[32..].copy_from_slice(keys.content.expose());
        let nonce = super::random();
        let wrapped = self.kek.seal(nonce, &binding(slot, request), &secret[..]);
        let mut bytes = blank(LIVE, request);
        bytes[NONCE].copy_from_slice(&nonce);
        bytes[WRAPPED].copy_from_slice(&wrapped);
        seal(&mut bytes);
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
        let Slot::Used(request) = check(&bytes) else { return Err(bad) };
        if bytes[1] == DESTROYED {
            return Ok(None);
        }
        let nonce = bytes[NONCE].try_into().expect("twelve bytes");
        let secret = self.kek.open(nonce, &binding(slot, request), &bytes[WRAPPED]).map_err(|_| bad.clone())?;
        let (proof, content) = secret.split_first_chunk::<32>().ok_or_else(|| bad.clone())?;
        let content = content.try_into().map_err(|_| bad)?;
        let keys = RequestKeys { proof: DataKey::new(*proof), content: DataKey::new(content) };
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
        let mut bytes = blank(DESTROYED, request);
        seal(&mut bytes);
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
            let mut bytes = fs::read(&path).map_err(StoreFault::unreadable(&path))?;
            let space = bytes.len() as u64;
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(SLOT));
            bytes.truncate(used);
            let name = format!("slots/{}", path.file_name().unwrap_or_default().display());
            Ok(Part { name, content: Content::Bytes(bytes), space, is_final: false })
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
        self.folder.join(format!("{file:06}.keys"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Destroys the keys of these requests in the content of a key file.
pub(super) fn erase(bytes: &mut [u8], erased: &BTreeSet<RequestId>) {
    for slot in bytes.chunks_exact_mut(SLOT) {
        if let Slot::Used(request) = check(slot)
            && erased.contains(&request)
        {
            let mut blank = blank(DESTROYED, request);
            seal(&mut blank);
            slot.copy_from_slice(&blank);
        }
    }
}

enum Slot {
    Free,
    Used(RequestId),
    Bad,
}

fn check(bytes: &[u8]) -> Slot {
    if bytes.iter().all(|byte| *byte == 0) {
        return Slot::Free;
    }
    let crc = crc32c::crc32c(&bytes[..CRC]).to_le_bytes();
    let known = bytes[0] == VERSION && matches!(bytes[1], LIVE | DESTROYED) && bytes[CRC..] == crc;
    match RequestId::from_slice(&bytes[REQUEST]) {
        Ok(request) if known => Slot::Used(request),
        _ => Slot::Bad,
    }
}

fn blank(state: u8, request: RequestId) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[0] = VERSION;
    bytes[1] = state;
    bytes[REQUEST].copy_from_slice(request.as_bytes());
    bytes
}

fn seal(bytes: &mut [u8; SLOT]) {
    let crc = crc32c::crc32c(&bytes[..CRC]);
    bytes[CRC..].copy_from_slice(&crc.to_le_bytes());
}

/// Ties a wrapped pair to its place and request, so that slots cannot be exchanged.
fn binding(slot: u32, request: RequestId) -> Vec<u8> {
    [b"comity slot v1\0", &slot.to_be_bytes()[..], request.as_bytes()].concat()
}

fn place(slot: u32) -> (usize, u64) {
    ((slot / SLOTS_PER_FILE) as usize, u64::from(slot % SLOTS_PER_FILE) * SLOT as u64)
}

fn number_of(file: usize, within: u32) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX).saturating_mul(SLOTS_PER_FILE).saturating_add(within)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{super::DamageKind, *};

    fn request(n: u8) -> RequestId {
        RequestId::new([n; 16])
    }

    fn open(home: &TempDir, kek: u8) -> Result<(Slots, Option<Damage>), StoreFault> {
        Slots::open(&Disk::default(), &home.path().join("slots"), DataKey::new([kek; 32]))
    }

    fn exposed(keys: &RequestKeys) -> ([u8; 32], [u8; 32]) {
        (*keys.proof.expose(), *keys.content.expose())
    }

    #[test]
    fn keys_last_until_they_are_destroyed() {
        let home = tempfile::tempdir().expect("folder");
        let (slots, damage) = open(&home, 1).expect("opened");
        assert_eq!(damage, None);
        let (one, first) = slots.ensure(request(1)).expect("allocated");
        let (two, second) = slots.ensure(request(2)).expect("allocated");
        slots.sync().expect("synced");
        assert_eq!((one, two), (1, 2), "slot 0 is the node's own");
        assert_ne!(exposed(&first), exposed(&second));
        drop(slots);
        let (slots, _) = open(&home, 1).expect("opened");
        let (again, keys) = slots.ensure(request(1)).expect("found");
        assert_eq!((again, exposed(&keys)), (one, exposed(&first)));
        assert_eq!(slots.state().open.len(), 1, "kept open");
        slots.destroy(request(1)).expect("destroyed");
        assert!(slots.state().open.is_empty());
        assert!(slots.keys(one).expect("read").is_none(), "gone at once");
        slots.destroy(request(1)).expect("and once more");
        slots.destroy(request(9)).expect("never there");
        let after = fs::read(home.path().join("slots/000000.keys")).expect("read");
        assert_eq!(after[SLOT..][NONCE.start..CRC], [0; CRC - NONCE.start]);
        drop(slots);
        let (slots, _) = open(&home, 1).expect("opened");
        assert!(slots.keys(one).expect("read").is_none());
        assert_eq!(slots.ensure(request(1)).err().expect("refused").code(), "store.erased");
        assert_eq!(exposed(&slots.keys(two).expect("read").expect("live")), exposed(&second));
        assert_eq!(slots.ensure(request(3)).expect("allocated").0, 3, "a destroyed slot is not used again");
    }

    #[test]
    fn a_second_file_follows_the_first() {
        let home = tempfile::tempdir().expect("folder");
        let (slots, _) = open(&home, 1).expect("opened");
        slots.state().next = SLOTS_PER_FILE;
        let (slot, keys) = slots.ensure(request(1)).expect("allocated");
        slots.sync().expect("synced");
        assert_eq!(slot, SLOTS_PER_FILE);
        drop(slots);
        let (slots, _) = open(&home, 1).expect("opened");
        assert_eq!(exposed(&slots.keys(slot).expect("read").expect("live")), exposed(&keys));
        assert_eq!(slots.ensure(request(2)).expect("allocated").0, slot + 1);
    }

    #[test]
    fn only_so_many_are_kept_open() {
        let home = tempfile::tempdir().expect("folder");
        let (slots, _) = open(&home, 1).expect("opened");
        let of = |n: u16| RequestId::new(std::array::from_fn(|at| n.to_be_bytes()[at % 2]));
        let all: Vec<_> = (0..300).map(|n| slots.ensure(of(n)).expect("allocated")).collect();
        for (slot, keys) in &all {
            assert_eq!(exposed(&slots.keys(*slot).expect("read").expect("live")), exposed(keys));
        }
        assert_eq!(slots.state().open.len(), OPEN_MAX);
    }

    #[test]
    fn a_wrong_key_or_a_flipped_bit_is_named() {
        let home = tempfile::tempdir().expect("folder");
        let (slots, _) = open(&home, 1).expect("opened");
        slots.ensure(request(1)).expect("allocated");
        slots.ensure(request(2)).expect("allocated");
        slots.sync().expect("synced");
        drop(slots);
        assert_eq!(open(&home, 2).err().expect("refused").code(), "store.wrong-key");
        let path = home.path().join("slots/000000.keys");
        let whole = fs::read(&path).expect("read");
        for at in 2 * SLOT..3 * SLOT {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).expect("written");
            let (slots, damage) = open(&home, 1).expect("opened");
            let damage = damage.expect("damage");
            assert_eq!((damage.kind, damage.code()), (DamageKind::Slot { slot: 2 }, "store.bad-slot"));
            assert_eq!(slots.keys(2).err().expect("refused").code(), "store.bad-slot");
            assert!(slots.keys(1).expect("read").is_some());
        }
    }
}
