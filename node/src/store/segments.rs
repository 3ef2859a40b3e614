//! A log: numbered segment files of one size, read by anyone, written by one [`Tail`].
//!
//! Decides when bytes count as stored and what an open makes of the files it finds. Knows nothing
//! of what the payloads mean. Serves SPEC `[F-*]`. Start with [`open`] and [`Tail::commit`].

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use super::{
    Damage, DamageKind, StoreFault,
    filler::Filler,
    frame::{self, Batch, COMMIT_FRAME, Commit, FRAME_HEAD, Mark, SEGMENT_HEAD},
    opening,
    outline::{self, Outline},
    scan::{Chapter, HOLE, Scan, Visit, segment_files, split_place},
};
use crate::disk::{Disk, DiskFile, crash::crash_point};

/// Segments a reader keeps open: a rebuild reads them in order, proofs and exports jump about.
const OPEN_FILES_MAX: usize = 64;
/// A first read takes this much: most records are below it, and a page costs no more than less.
const FIRST_READ: usize = 4096;

/// How one log differs from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Names the threads.
    pub(super) name: &'static str,
    /// Bytes of each segment file, below 4 GiB.
    pub(super) segment: u64,
    /// The crash points after write and after sync.
    pub(super) points: [&'static str; 2],
}

/// What an open found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Records, readable or not.
    pub(super) size: u64,
    /// Records whose chain is whole; all of them unless there is damage.
    pub(super) intact: u64,
    /// Root the last whole commit states.
    pub(super) root: [u8; 32],
    /// Bytes of an interrupted batch that were cut.
    pub(super) torn_bytes: u64,
    /// Bytes in segment files up to the end of the last commit.
    pub(super) damage: Option<Damage>,
}

/// Opens the log in `folder`, or makes it. Gives a tail to append with unless there is damage.
/// `known` is a size that some checkpoint vouches for.
///
/// # Errors
/// When files cannot be read or made.
pub(super) fn open(
    disk: &Disk,
    folder: &Path,
    shape: Shape,
    known: u64,
    visit: &mut dyn Visit,
) -> Result<(Option<Tail>, Arc<Shelf>, Found), StoreFault> {
    disk.folder(folder).map_err(|fault| StoreFault::preparing(folder, fault))?;
    disk.sweep(folder).map_err(StoreFault::unreadable(folder))?;
    let mut files = segment_files(folder)?;
    if files.is_empty() {
        let path = segment_path(folder, 0);
        let mark = Mark::new(super::random());
        create_segment(disk, folder, 0, shape.segment, mark)?;
        files.push((0, path));
    }
    let (size, mark) = mark_of(&files, shape)?;
    let scan = opening::read(disk, &files, mark, visit)?;
    let mut found = Found {
        size: scan.places.len() as u64,
        intact: scan.intact,
        root: scan.root,
        torn_bytes: 0,
        damage: scan.damage,
    };
    if found.damage.is_none() && known > scan.intact {
        let (segment, offset) = scan.end;
        found.damage = Some(Damage { kind: DamageKind::Missing { known }, record: scan.intact, segment, offset });
    }
    let tail = match found.damage {
        Some(_) => None,
        None => {
            found.torn_bytes = settle(disk, folder, &scan)?;
            Some(Tail::behind(disk, folder, shape, (size, mark), &scan)?)
        }
    };
    let held = RwLock::new(Held { places: scan.places, chapters: scan.chapters });
    let shelf = Shelf { disk: disk.clone(), folder: folder.to_owned(), mark, held, files: Mutex::default() };
    Ok((tail, Arc::new(shelf), found))
}

/// Segment size and mark, from the first head that is whole; the walk reports the others.
fn mark_of(files: &[(u32, PathBuf)], shape: Shape) -> Result<(u64, Mark), StoreFault> {
    let mut guess = Mark::new([0; 16]);
    for (_, path) in files {
        let mut head = [0; SEGMENT_HEAD];
        let file = File::open(path).map_err(StoreFault::unreadable(path))?;
        if file.read_exact_at(&mut head, 0).is_err() {
            continue;
        }
        if let Some((_, size, mark)) = frame::parse_head(&head) {
            return Ok((size, mark));
        }
        guess = frame::guess_mark(&head);
    }
    Ok((shape.segment, guess))
}

/// Makes what was found last, and cuts what was torn: a process killed between write and sync
/// leaves whole commits that so far exist in memory only, and segments whose names do. The last batch is the only one that
/// may not have been synced, or over which a sync may have failed: it is written once more. A crash just here leaves the
/// tail as it was, or partly cut, which the next start finds torn again.
fn settle(disk: &Disk, folder: &Path, scan: &Scan) -> Result<u64, StoreFault> {
    disk.sync_folder(folder).map_err(StoreFault::writing("syncing the names of segments"))?;
    let sync = |segment: u32, cut: Option<(u64, u64)>| {
        let path = segment_path(folder, segment);
        let file = disk.open(&path).map_err(StoreFault::unreadable(&path))?;
        if segment == scan.end.0 {
            file.renew(scan.last, scan.end.1).map_err(StoreFault::writing("writing the last batch again"))?;
        }
        if let Some((from, until)) = cut {
            file.zero(from, until).map_err(StoreFault::writing("cutting a torn tail"))?;
        }
        file.sync().map_err(StoreFault::writing("syncing what was found"))
    };
    let cut = scan.torn.map(|torn| (torn.segment, (torn.from, torn.until)));
    let Some((segment, (from, until))) = cut else {
        sync(scan.end.0, None)?;
        return Ok(0);
    };
    if segment != scan.end.0 {
        sync(scan.end.0, None)?;
    }
    sync(segment, Some((from, until)))?;
    crash_point("store.tail-cut");
    Ok(until - from)
}

/// The path of a segment.
pub(super) fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.seg"))
}

/// Makes segment `number`, all zeros behind its head and all on disk.
pub(super) fn create_segment(
    disk: &Disk,
    folder: &Path,
    number: u32,
    size: u64,
    mark: Mark,
) -> Result<DiskFile, StoreFault> {
    let path = segment_path(folder, number);
    let file = disk
        .create_filled(&path, &frame::segment_head(number, size, mark), size)
        .map_err(|fault| StoreFault::preparing(&path, fault))?;
    // A crash here leaves a blank segment, which the next start takes up as prepared ahead.
    crash_point("store.segment-created");
    Ok(file)
}

/// The end of a log, where the one writer appends.
pub(super) struct Tail {
    shape: Shape,
    segment: u64,
    mark: Mark,
    file: DiskFile,
    number: u32,
    at: u64,
    standing: Commit,
    filler: Filler,
}

/// A segment that nothing will be appended to any more, the byte behind its last commit, and that commit.
pub(super) struct Closed {
    number: u32,
    end: u64,
    at: Commit,
}

/// A batch that is on disk: where its records are, and the commit before it.
pub(super) struct Written {
    places: Vec<u64>,
    before: Commit,
}

impl Tail {
    fn behind(
        disk: &Disk,
        folder: &Path,
        shape: Shape,
        (segment, mark): (u64, Mark),
        scan: &Scan,
    ) -> Result<Self, StoreFault> {
        let (number, at) = scan.end;
        let path = segment_path(folder, number);
        let file = disk.open(&path).map_err(StoreFault::unreadable(&path))?;
        let mut filler = Filler::start(disk.clone(), folder.to_owned(), shape.name, segment, mark);
        filler.ask(number + 1);
        Ok(Self { shape, segment, mark, file, number, at, standing: scan.standing(), filler })
    }

    /// Records in the log.
    pub(super) fn size(&self) -> u64 {
        self.standing.size
    }

    /// Bytes of record frames that still fit into this segment.
    pub(super) fn room(&self) -> usize {
        let left = (self.segment - self.at).saturating_sub(COMMIT_FRAME as u64);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// The largest batch a segment can hold.
    pub(super) fn batch_max(&self) -> usize {
        usize::try_from(self.segment).unwrap_or(usize::MAX) - SEGMENT_HEAD
    }

    /// Makes sure a batch of `bytes` has a place. Nothing is written to the log by this; a batch
    /// never spans two segments. Gives the segment that was left for it, if one was.
    ///
    /// # Errors
    /// [`StoreFault::DiskFull`] or another passing fault; a later call may succeed.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<Option<Closed>, StoreFault> {
        if bytes > self.batch_max() {
            return Err(StoreFault::TooLarge { bytes, max: self.batch_max() });
        }
        if self.at + bytes as u64 <= self.segment {
            return Ok(None);
        }
        self.file = self.filler.take(self.number + 1)?;
        let closed = Closed { number: self.number, end: self.at, at: self.standing };
        self.number += 1;
        self.at = SEGMENT_HEAD as u64;
        self.filler.ask(self.number + 1);
        Ok(Some(closed))
    }

    /// Writes one batch and its commit, and syncs.
    ///
    /// # Errors
    /// [`StoreFault::WriteFailed`]: whether the batch is on disk is unknown, and this tail must not
    /// be used again. A failed sync is never tried twice: the system may have dropped the bytes
    /// and would report success.
    pub(super) fn commit(&mut self, batch: Batch, root: [u8; 32]) -> Result<Written, StoreFault> {
        let base = usize::try_from(self.at).expect("segments are below 4 GiB");
        let places = batch.starts().iter().map(|start| super::scan::place(self.number, base + *start as usize));
        let places = places.collect();
        let before = self.standing;
        let size = before.size + batch.count();
        let (bytes, running) = batch.close(&before.running, size, root, self.mark);
        assert!(self.at + bytes.len() as u64 <= self.segment, "a batch is written only where it was reserved");
        self.file.write_at(&bytes, self.at).map_err(StoreFault::writing("writing a batch"))?;
        // A crash here leaves some of these sectors or all: without a whole commit frame they are
        // a torn tail; with it the batch counts, though nobody was told so.
        crash_point(self.shape.points[0]);
        self.file.sync().map_err(StoreFault::writing("syncing a batch"))?;
        // A crash here leaves a batch that counts and that nobody was told of.
        crash_point(self.shape.points[1]);
        self.at += bytes.len() as u64;
        self.standing = Commit { size, root, running };
        Ok(Written { places, before })
    }
}

/// The records of a log, for reading from any thread.
pub(super) struct Shelf {
    disk: Disk,
    folder: PathBuf,
    mark: Mark,
    held: RwLock<Held>,
    files: Mutex<BTreeMap<u32, Arc<File>>>,
}

struct Held {
    /// Where each record's frame starts.
    places: Vec<u64>,
    /// The segments in use; with damage only those before it.
    chapters: Vec<Chapter>,
}

impl Shelf {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that may be read: those whose batch is synced.
    pub(super) fn size(&self) -> u64 {
        self.held().places.len() as u64
    }

    /// Adds records that are on disk.
    pub(super) fn extend(&self, written: Written) {
        let Some((segment, _)) = written.places.first().map(|place| split_place(*place)) else { return };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.chapters.last().is_none_or(|chapter| chapter.segment != segment) {
            held.chapters.push(Chapter { segment, before: written.before, is_read: true });
        }
        held.places.extend(written.places);
    }

    /// Writes the outline of a segment that was just closed.
    pub(super) fn close(&self, closed: &Closed, tree: Vec<u8>) {
        let outline = {
            let held = self.held();
            let Some(chapter) = held.chapters.last().filter(|chapter| chapter.segment == closed.number) else { return };
            let first = usize::try_from(chapter.before.size).expect("no more than fit in memory");
            let commits = (chapter.before, closed.at);
            Outline::new((closed.number, closed.end), self.mark, commits, &held.places[first..], tree)
        };
        outline.write(&self.disk, &segment_path(&self.folder, closed.number));
    }

    /// One record's payload, its checksum verified.
    ///
    /// # Errors
    /// [`StoreFault::NoSuchRecord`], [`StoreFault::Damaged`], or when the system cannot read.
    pub(super) fn read(&self, index: u64) -> Result<Vec<u8>, StoreFault> {
        let place = {
            let held = self.held();
            let at = usize::try_from(index).ok().and_then(|at| held.places.get(at));
            *at.ok_or(StoreFault::NoSuchRecord { index, size: held.places.len() as u64 })?
        };
        let bad =
            |segment, offset| StoreFault::Damaged(Damage { kind: DamageKind::Frame, record: index, segment, offset });
        if place == HOLE {
            return Err(bad(0, 0));
        }
        let (segment, offset) = split_place(place);
        let file = self.file(segment)?;
        let mut bytes = vec![0; FIRST_READ];
        let path = || segment_path(&self.folder, segment);
        let got = read_some(&file, &mut bytes, offset).map_err(|fault| StoreFault::unreadable(&path())(fault))?;
        bytes.truncate(got);
        let head = bytes.first_chunk().ok_or_else(|| bad(segment, offset))?;
        let len = FRAME_HEAD + frame::payload_len(head).ok_or_else(|| bad(segment, offset))?;
        if len > got {
            bytes.resize(len, 0);
            file.read_exact_at(&mut bytes[got..], offset + got as u64).map_err(|_| bad(segment, offset))?;
        }
        match frame::parse(&bytes, self.mark) {
            Some((frame::Frame::Record(_), len)) => {
                bytes.truncate(len);
                bytes.drain(..FRAME_HEAD);
                Ok(bytes)
            }
            Some((frame::Frame::Commit(_), _)) | None => Err(bad(segment, offset)),
        }
    }

    /// The segments in use, in order, as far as there is no damage.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let held = self.held();
        let size = held.places.len() as u64;
        let next = held.chapters.iter().skip(1).map(|chapter| Until::Closed(chapter.before, chapter.segment));
        let until = next.chain([Until::Open(size)]);
        held.chapters.iter().zip(until).map(|(chapter, until)| Stretch { chapter: *chapter, until }).collect()
    }

    /// How far each segment is committed, and the records in all of them.
    ///
    /// # Errors
    /// When a file cannot be read, or a frame that was written is not there.
    pub(super) fn extents(&self) -> Result<(u64, Vec<Extent>), StoreFault> {
        let (size, lasts) = {
            let held = self.held();
            let size = held.places.len();
            let before = |chapter: &Chapter| usize::try_from(chapter.before.size).unwrap_or(usize::MAX);
            let until = held.chapters.iter().skip(1).map(before).chain([size]);
            let last = |(chapter, until): (&Chapter, usize)| {
                let has_some = until > before(chapter);
                (chapter.segment, has_some.then(|| held.places[until - 1]))
            };
            (size as u64, held.chapters.iter().zip(until).map(last).collect::<Vec<_>>())
        };
        let open = lasts.last().map(|(segment, _)| *segment);
        let extent = |(segment, last): (u32, Option<u64>)| -> Result<Extent, StoreFault> {
            let (path, file) = (segment_path(&self.folder, segment), self.file(segment)?);
            let unreadable = || StoreFault::unreadable(&path);
            let bytes = match last {
                None => SEGMENT_HEAD as u64,
                Some(place) => {
                    let (_, offset) = split_place(place);
                    let mut head = [0; FRAME_HEAD];
                    file.read_exact_at(&mut head, offset).map_err(unreadable())?;
                    let damage = Damage { kind: DamageKind::Frame, record: size, segment, offset };
                    let len = frame::payload_len(&head).ok_or(StoreFault::Damaged(damage))?;
                    offset + (FRAME_HEAD + len + COMMIT_FRAME) as u64
                }
            };
            let space = file.metadata().map_err(unreadable())?.len();
            Ok(Extent { path, bytes, space, is_closed: Some(segment) != open })
        };
        Ok((size, lasts.into_iter().map(extent).collect::<Result<_, _>>()?))
    }

    /// What stands in the outline of a closed segment for whoever goes on behind it, and the commit there.
    pub(super) fn outlined(&self, chapter: &Chapter) -> Option<(Commit, Vec<u8>)> {
        let path = segment_path(&self.folder, chapter.segment);
        Outline::found(&path, chapter.segment, self.mark, &chapter.before).map(|outline| (outline.at, outline.tree))
    }

    /// Reads and walks one segment again, and says up to where it is whole and what is wrong there, if anything is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn walk(&self, stretch: &Stretch, visit: &mut dyn Visit) -> Result<Walked, StoreFault> {
        let Chapter { segment, before, .. } = stretch.chapter;
        let path = segment_path(&self.folder, segment);
        let mut scan = Scan::behind(before, self.mark);
        let later = match stretch.until {
            Until::Closed(_, next) => vec![(next, segment_path(&self.folder, next))],
            Until::Open(size) => {
                scan.stop_at = size;
                vec![]
            }
        };
        scan.file(segment, &path, &later, visit)?;
        let ends_as_known = match stretch.until {
            Until::Closed(at, _) => scan.standing() == at,
            Until::Open(size) => scan.intact == size,
        };
        let differs = || Damage { kind: DamageKind::Chain, record: scan.intact, segment, offset: scan.end.1 };
        let damage = scan.damage.or_else(|| (!ends_as_known).then(differs));
        if damage.is_none() {
            self.correct(&stretch.chapter, &scan.places);
        }
        Ok(Walked { standing: scan.standing(), commits: scan.commits, damage })
    }

    /// The places of a segment's records as its frames have them. That an outline had others with a good checksum is no
    /// accident, but nothing was shown for it: a record opens only where it was sealed for.
    fn correct(&self, chapter: &Chapter, places: &[u64]) {
        let first = usize::try_from(chapter.before.size).expect("no more than fit in memory");
        let all = first..first + places.len();
        if self.held().places.get(all.clone()) != Some(places) {
            tracing::warn!(target: "store", segment = chapter.segment, "an outline named wrong places and is made again");
            self.doubt(chapter.segment);
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            held.places.splice(all, places.iter().copied());
        }
    }

    /// From now on every open reads this segment, whatever its outline said.
    pub(super) fn doubt(&self, segment: u32) {
        outline::forget(&self.disk, &segment_path(&self.folder, segment));
    }

    fn file(&self, segment: u32) -> Result<Arc<File>, StoreFault> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let path = segment_path(&self.folder, segment);
        let file = Arc::new(File::open(&path).map_err(StoreFault::unreadable(&path))?);
        if files.len() >= OPEN_FILES_MAX {
            files.pop_first();
        }
        files.insert(segment, Arc::clone(&file));
        Ok(file)
    }
}

/// How much of a segment is committed.
pub(super) struct Extent {
    pub(super) path: PathBuf,
    /// Up to behind its last commit.
    pub(super) bytes: u64,
    /// The length of the file.
    pub(super) space: u64,
    /// Whether another follows, so that nothing is appended to it any more.
    pub(super) is_closed: bool,
}

/// One segment to be walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) chapter: Chapter,
    until: Until,
}

/// Where the walk of a segment ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// At its last commit; the next segment is this.
    Closed(Commit, u32),
    /// At so many records: more are being written.
    Open(u64),
}

/// What the walk of one segment found.
pub(super) struct Walked {
    /// The last commit before any damage.
    pub(super) standing: Commit,
    /// Commits in this segment.
    pub(super) commits: u64,
    pub(super) damage: Option<Damage>,
}

/// Reads as much as there is, up to the buffer's size.
fn read_some(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests;
