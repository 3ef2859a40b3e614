//! The newest signed checkpoint, in one file of two places that take turns (SPEC `[F-6]`).
//!
//! A checkpoint is on disk before anyone sees it, so this stands in the way of every receipt: here it costs
//! one write and one sync into a file that keeps its size, where a new file and its name would cost
//! three. Whatever a crash does to one place, the other holds the checkpoint before. Start with
//! [`Notes::read`]; which records a checkpoint speaks of is for the ledger to compare.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use comity_core::ledger::{Checkpoint, checkpoint::parse_unverified};

use super::{Damage, DamageKind, StoreFault};
use crate::disk::{Disk, DiskFile, crash::crash_point};

/// The file, in the ledger's folder.
pub(super) const FILE: &str = "checkpoint";
/// One place: twice the longest note that is read.
const PLACE: usize = 128 << 10;
/// Length and checksum before the note.
const HEAD: usize = 8;

/// The file of checkpoints, and where the newest stands.
pub(super) struct Notes {
    disk: Disk,
    path: PathBuf,
    /// Made with the first checkpoint.
    file: Option<DiskFile>,
    /// Its place and its size; none before the first.
    newest: Option<(usize, u64)>,
}

/// What stands in a place.
enum Found {
    Nothing,
    Note(Checkpoint),
    /// An interrupted write, or damage.
    Unreadable,
}

impl Notes {
    /// Reads what is kept in `folder`. Nothing is made.
    ///
    /// # Errors
    /// When the file cannot be read. Damage is the second answer: no place reads, and it is not the first
    /// checkpoint of all whose writing was interrupted.
    pub(super) fn read(disk: &Disk, folder: &Path) -> Result<(Self, Result<Option<Checkpoint>, Damage>), StoreFault> {
        let path = folder.join(FILE);
        let unreadable = || StoreFault::unreadable(&path);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { disk: disk.clone(), path, file: None, newest: None }, Ok(None)));
            }
            Err(fault) => return Err(unreadable()(fault)),
        };
        let places = [0, 1].map(|place| found(bytes.get(place * PLACE..).unwrap_or_default()));
        let whole = bytes.len() == 2 * PLACE && !matches!(places, [Found::Unreadable, Found::Unreadable]);
        let newest = (0..).zip(places).filter_map(|(place, found)| match found {
            Found::Note(checkpoint) => Some((place, checkpoint)),
            Found::Nothing | Found::Unreadable => None,
        });
        let newest = newest.max_by_key(|(_, checkpoint)| checkpoint.size);
        let file = disk.open(&path).map_err(unreadable())?;
        let at = newest.as_ref().map(|(place, checkpoint)| (*place, checkpoint.size));
        // What is believed must last, whatever the process before was stopped in, or told by the disk.
        if let Some((place, _)) = at.filter(|_| whole) {
            let renewed = file.renew((place * PLACE) as u64, ((place + 1) * PLACE) as u64).and_then(|()| file.sync());
            renewed.and_then(|()| disk.sync_folder(folder)).map_err(StoreFault::writing("syncing the checkpoint"))?;
        }
        let file = Some(file);
        let kept = if whole { Ok(newest.map(|(_, checkpoint)| checkpoint)) } else { Err(DAMAGED) };
        Ok((Self { disk: disk.clone(), path, file, newest: at }, kept))
    }

    /// The size of the newest; 0 before the first.
    pub(super) fn size(&self) -> u64 {
        self.newest.map_or(0, |(_, size)| size)
    }

    /// Keeps a note whose checkpoint has this size, in the place of the one before the newest.
    ///
    /// # Errors
    /// [`StoreFault::NotACheckpoint`] when it is too long; what the disk says, after which the newest is
    /// what it was.
    pub(super) fn keep(&mut self, note: &[u8], size: u64) -> Result<(), StoreFault> {
        let place = self.newest.map_or(0, |(place, _)| 1 - place);
        let bytes = framed(note).filter(|bytes| bytes.len() <= PLACE).ok_or(StoreFault::NotACheckpoint)?;
        let preparing = |fault| StoreFault::preparing(&self.path, fault);
        let file = match &self.file {
            Some(file) => file,
            None => {
                let made = self.disk.create_filled(&self.path, &[], 2 * PLACE as u64);
                self.file.insert(made.map_err(preparing)?)
            }
        };
        file.write_at(&bytes, (place * PLACE) as u64).map_err(preparing)?;
        // A crash here leaves this place whole or unreadable; the note reached nobody, the other place counts.
        crash_point("store.checkpoint-written");
        // A failed sync is never tried again, here as elsewhere: the system may have dropped the note and would report success.
        file.sync().map_err(StoreFault::writing("syncing a checkpoint"))?;
        // A crash here leaves the new checkpoint, whose records were on disk before it.
        crash_point("store.checkpoint-synced");
        self.newest = Some((place, size));
        Ok(())
    }

    /// The whole file; none before the first note.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn copy(&self) -> Result<Option<Vec<u8>>, StoreFault> {
        let read = |_: &DiskFile| fs::read(&self.path).map_err(StoreFault::unreadable(&self.path));
        self.file.as_ref().map(read).transpose()
    }

    /// The newest note, read anew.
    pub(super) fn note(&self) -> Option<Vec<u8>> {
        let (place, _) = self.newest?;
        note_in(fs::read(&self.path).ok()?.get(place * PLACE..)?).map(<[u8]>::to_vec)
    }
}

const DAMAGED: Damage = Damage { kind: DamageKind::Checkpoint, record: 0, segment: 0, offset: 0 };

/// Length and checksum, then the note.
fn framed(note: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(note.len()).ok()?.to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), note).to_le_bytes();
    Some([&length[..], &checksum, note].concat())
}

fn found(place: &[u8]) -> Found {
    if place.starts_with(&[0; HEAD]) {
        return Found::Nothing;
    }
    match note_in(place).map(parse_unverified) {
        Some(Ok(checkpoint)) => Found::Note(checkpoint),
        Some(Err(_)) | None => Found::Unreadable,
    }
}

/// The note of a place whose checksum fits.
fn note_in(place: &[u8]) -> Option<&[u8]> {
    let (length, _) = place.split_first_chunk()?;
    let note = place.get(HEAD..)?.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    framed(note).filter(|bytes| place.starts_with(bytes)).map(|_| note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(size: u64) -> Vec<u8> {
        let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        format!("xa.demo.test/ledger/1\n{size}\n{root}\n\n\u{2014} xa.demo.test/ledger/1 AAAAAAAAAAA=\n").into_bytes()
    }

    fn kept(folder: &Path) -> Result<u64, &'static str> {
        let (_, kept) = Notes::read(&Disk::default(), folder).expect("read");
        kept.map(|kept| kept.map_or(0, |kept| kept.size)).map_err(|damage| damage.code())
    }

    /// [F-6]: two places take turns; the larger that reads counts.
    #[test]
    fn whatever_happens_to_one_place_the_other_counts() {
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path();
        let (mut notes, none) = Notes::read(&Disk::default(), folder).expect("read");
        assert_eq!((none.expect("whole"), notes.size(), folder.join(FILE).exists()), (None, 0, false));
        for size in [3, 5, 9] {
            notes.keep(&note(size), size).expect("kept");
            assert_eq!((kept(folder), notes.size(), notes.note()), (Ok(size), size, Some(note(size))));
        }
        let whole = fs::read(folder.join(FILE)).expect("read");
        assert_eq!(whole.len(), 2 * PLACE);
        let check = |change: &[usize], expected| {
            let mut bytes = whole.clone();
            change.iter().for_each(|at| bytes[*at] ^= 1);
            fs::write(folder.join(FILE), bytes).expect("written");
            assert_eq!(kept(folder), expected, "{change:?}");
        };
        // 9 stands in the first place, 5 in the second.
        let last = HEAD + note(9).len() - 1;
        [0, 3, 4, HEAD, last].into_iter().for_each(|at| check(&[at], Ok(5)));
        check(&[PLACE + HEAD], Ok(9));
        check(&[HEAD, PLACE + HEAD], Err("store.bad-checkpoint"));
        check(&[last + 1, PLACE - 1], Ok(9));
        fs::write(folder.join(FILE), &whole[..PLACE + 1]).expect("written");
        assert_eq!(kept(folder), Err("store.bad-checkpoint"));
    }

    #[test]
    fn the_first_may_be_interrupted() {
        let home = tempfile::tempdir().expect("folder");
        let (mut notes, _) = Notes::read(&Disk::default(), home.path()).expect("read");
        notes.keep(&note(4), 4).expect("kept");
        let path = home.path().join(FILE);
        let mut bytes = fs::read(&path).expect("read");
        bytes[HEAD + 30..].fill(0);
        fs::write(&path, &bytes).expect("written");
        assert_eq!(kept(home.path()), Ok(0));
        let (mut notes, _) = Notes::read(&Disk::default(), home.path()).expect("read");
        notes.keep(&note(4), 4).expect("kept");
        assert_eq!(kept(home.path()), Ok(4));
    }

    #[test]
    fn what_is_no_note_or_too_long_is_refused_or_unreadable() {
        let home = tempfile::tempdir().expect("folder");
        let (mut notes, _) = Notes::read(&Disk::default(), home.path()).expect("read");
        let long = vec![b'\n'; PLACE];
        assert_eq!(notes.keep(&long, 1).expect_err("too long").code(), "store.not-a-checkpoint");
        assert!(matches!(found(&framed(b"rubbish").expect("short")), Found::Unreadable));
        assert!(matches!(found(&[]), Found::Unreadable));
    }
}
