//! Walks a log from its first byte: checks every frame and the chain of commits, tells a torn tail
//! from damage, and finds what can still be read beyond damage. Changes nothing on disk.
//!
//! One batch is in flight at a time, and the next begins only once it is synced. So only the very
//! last batch can be torn, and what a power cut tears off are whole sectors that still hold the
//! zeros of the prepared file. Anything else that does not match is damage. Start at [`Scan::file`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Damage, DamageKind, StoreFault,
    frame::{self, COMMIT_FRAME, Commit, FRAME_HEAD, Frame, Mark, SEGMENT_HEAD},
    outline::Outline,
};

/// In the table of places: a record that cannot be read.
pub(super) const HOLE: u64 = u64::MAX;
/// What a disk writes whole or not at all, at least.
const SECTOR: usize = 512;

/// Sees what is intact, in order.
pub(super) trait Visit {
    /// One record of a batch whose commit is good.
    fn record(&mut self, index: u64, payload: &[u8]) -> Result<(), DamageKind>;
    /// The commit after them.
    fn commit(&mut self, _commit: &Commit) -> Result<(), DamageKind> {
        Ok(())
    }
    /// What an outline of what was seen so far must hold for [`Self::resume`]; none in a log without outlines.
    fn outlined(&self) -> Option<Vec<u8>> {
        None
    }
    /// Goes on behind a commit up to which nothing is shown. False, and nothing changes, if that cannot be.
    fn resume(&mut self, _at: &Commit, _outlined: &[u8]) -> bool {
        false
    }
}

/// A segment in use, and where the log stood before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chapter {
    pub(super) segment: u32,
    /// The commit before its first record.
    pub(super) before: Commit,
    /// Whether its frames were read, or written, since the log was opened.
    pub(super) is_read: bool,
}

/// A byte range of one segment that follows the last commit and is not zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) segment: u32,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// What a walk found.
pub(super) struct Scan {
    mark: Mark,
    /// Records are looked at until there are so many.
    pub(super) stop_at: u64,
    /// The chain is lost: what follows is kept for reading, but proves nothing.
    broken: bool,
    /// More records than this cannot be in files of this size.
    records_max: u64,
    /// Records before those walked.
    base: u64,
    /// Where each record's frame starts, from there on; [`HOLE`] if it cannot be read.
    pub(super) places: Vec<u64>,
    /// The segments in use, before any damage.
    pub(super) chapters: Vec<Chapter>,
    /// Records before any damage.
    pub(super) intact: u64,
    /// Root of the last commit before any damage.
    pub(super) root: [u8; 32],
    /// The chain there.
    pub(super) running: [u8; 32],
    /// Commits walked before any damage.
    pub(super) commits: u64,
    /// The segment and byte behind the last good commit.
    pub(super) end: (u32, u64),
    /// Where the batch of that commit begins, in the same segment.
    pub(super) last: u64,
    pub(super) damage: Option<Damage>,
    pub(super) torn: Option<Torn>,
}

/// Where a frame is, as one number.
pub(super) fn place(segment: u32, offset: usize) -> u64 {
    u64::from(segment) << 32 | offset as u64
}

/// The parts of [`place`].
pub(super) fn split_place(place: u64) -> (u32, u64) {
    (u32::try_from(place >> 32).expect("32 bits remain"), place & u64::from(u32::MAX))
}

/// The segment files of a folder by number, ascending.
pub(super) fn segment_files(folder: &Path) -> Result<Vec<(u32, PathBuf)>, StoreFault> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreFault::unreadable(folder))? {
        let path = entry.map_err(StoreFault::unreadable(folder))?.path();
        let is_segment = path.extension().is_some_and(|ending| ending == "seg");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (true, Some(number)) = (is_segment, number) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// One batch as it lies in a segment: payload ranges and what ends it.
enum Read {
    /// Only zeros from here on.
    Blank,
    /// Whole frames up to a commit that ends at `end`.
    Batch { records: Vec<(usize, usize)>, commit: Commit, end: usize },
    /// A frame at `at` does not match, after some that do.
    Bad { records: Vec<(usize, usize)>, at: usize },
}

impl Scan {
    /// Before the first byte of a log of these files.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn of(files: &[(u32, PathBuf)], mark: Mark) -> Result<Self, StoreFault> {
        let mut scan = Self::behind(Commit::default(), mark);
        for (_, path) in files {
            let bytes = fs::metadata(path).map_err(StoreFault::unreadable(path))?.len();
            scan.records_max += bytes / FRAME_HEAD as u64;
        }
        Ok(scan)
    }

    /// Behind a commit that is believed.
    pub(super) fn behind(commit: Commit, mark: Mark) -> Self {
        Self {
            mark,
            stop_at: u64::MAX,
            broken: false,
            records_max: commit.size,
            base: commit.size,
            places: Vec::new(),
            chapters: Vec::new(),
            intact: commit.size,
            root: commit.root,
            running: commit.running,
            commits: 0,
            end: (0, SEGMENT_HEAD as u64),
            last: SEGMENT_HEAD as u64,
            damage: None,
            torn: None,
        }
    }

    /// The last commit before any damage.
    pub(super) fn standing(&self) -> Commit {
        Commit { size: self.intact, root: self.root, running: self.running }
    }

    /// Reads and walks one segment; false when the log ends in it. Wrong content is not an error but [`Self::damage`].
    ///
    /// # Errors
    /// When the file, or one of the `later` ones, cannot be read.
    pub(super) fn file(
        &mut self,
        number: u32,
        path: &Path,
        later: &[(u32, PathBuf)],
        visit: &mut dyn Visit,
    ) -> Result<bool, StoreFault> {
        let bytes = fs::read(path).map_err(StoreFault::unreadable(path))?;
        self.records_max = self.records_max.max(self.counted() + (bytes.len() / FRAME_HEAD) as u64);
        if frame::parse_head(&bytes) != Some((number, bytes.len() as u64, self.mark)) {
            self.note(DamageKind::Segment, (number, 0));
        }
        self.segment(number, &bytes, later, visit)
    }

    /// Goes behind a segment as its outline says. Only before any damage.
    pub(super) fn skip(&mut self, outline: &Outline) {
        let Outline { segment, at, end, ref offsets, .. } = *outline;
        self.chapters.push(Chapter { segment, before: self.standing(), is_read: false });
        self.places.extend(offsets.iter().map(|offset| place(segment, *offset as usize)));
        (self.intact, self.root, self.running) = (at.size, at.root, at.running);
        // All of it was synced before the next segment was begun: nothing of it is written again.
        (self.last, self.end) = (end.into(), (segment, end.into()));
    }

    /// The outline of the segment in which the log stands.
    pub(super) fn outline(&self, tree: Vec<u8>) -> Option<Outline> {
        let Chapter { segment, before, .. } = *self.chapters.last()?;
        let first = usize::try_from(before.size - self.base).ok()?;
        Some(Outline::new((segment, self.end.1), self.mark, (before, self.standing()), &self.places[first..], tree))
    }

    /// Walks one segment; false when the log ends in it.
    fn segment(
        &mut self,
        number: u32,
        bytes: &[u8],
        later: &[(u32, PathBuf)],
        visit: &mut dyn Visit,
    ) -> Result<bool, StoreFault> {
        let mut at = SEGMENT_HEAD;
        loop {
            if self.intact >= self.stop_at {
                return Ok(false);
            }
            match read_batch(bytes, at, self.mark) {
                Read::Blank => return Ok(true),
                Read::Batch { records, commit, end } => {
                    self.batch(number, bytes, at, &records, commit, visit);
                    if !self.broken {
                        (self.last, self.end) = (at as u64, (number, end as u64));
                    }
                    at = end;
                }
                Read::Bad { records, at: bad } => {
                    if !self.broken && is_torn(&bytes[at..], at, self.mark) && blank(later)? {
                        let until = (at + last_used(&bytes[at..])) as u64;
                        self.torn = Some(Torn { segment: number, from: at as u64, until });
                        return Ok(false);
                    }
                    let record = self.counted() + records.len() as u64;
                    self.break_at(DamageKind::Frame, record, (number, bad as u64));
                    match self.salvage(number, bytes, &records, bad) {
                        Some(next) => at = next,
                        None => return Ok(true),
                    }
                }
            }
        }
    }

    /// Takes a batch whose frames are whole.
    fn batch(
        &mut self,
        number: u32,
        bytes: &[u8],
        start: usize,
        records: &[(usize, usize)],
        commit: Commit,
        visit: &mut dyn Visit,
    ) {
        if !self.broken {
            let size = self.intact + records.len() as u64;
            let frames_end = records.last().map_or(start, |(_, end)| *end);
            let running = frame::run_on(&self.running, &bytes[start..frames_end], size, &commit.root);
            if commit.size != size || commit.running != running {
                self.break_at(DamageKind::Chain, self.intact, (number, start as u64));
            }
        }
        if !self.broken {
            self.show(number, bytes, records, commit, visit);
        }
        // Beyond damage the records before a good commit are still numbered by it, from its end.
        self.settle(frames(number, records), commit.size);
    }

    fn show(&mut self, number: u32, bytes: &[u8], records: &[(usize, usize)], commit: Commit, visit: &mut dyn Visit) {
        for (at, (start, end)) in records.iter().enumerate() {
            let index = self.intact + at as u64;
            if let Err(kind) = visit.record(index, &bytes[*start..*end]) {
                return self.break_at(kind, index, (number, (start - FRAME_HEAD) as u64));
            }
        }
        if let Err(kind) = visit.commit(&commit) {
            let end = records.last().map_or(0, |(_, end)| *end as u64);
            return self.break_at(kind, commit.size, (number, end));
        }
        if self.chapters.last().is_none_or(|chapter| chapter.segment != number) {
            self.chapters.push(Chapter { segment: number, before: self.standing(), is_read: true });
        }
        (self.intact, self.root, self.running) = (commit.size, commit.root, commit.running);
        self.commits += 1;
    }

    /// Keeps what can still be read of a damaged batch, and says where the next one starts. Two
    /// runs of frames have sure numbers: the one from the last commit up to the bad frame, and the
    /// one that the next whole commit ends. What lies between is left out.
    fn salvage(&mut self, number: u32, bytes: &[u8], before: &[(usize, usize)], bad: usize) -> Option<usize> {
        self.places.extend(frames(number, before));
        let mut at = bad;
        while let Some(len) = frame::claimed(&bytes[at..]) {
            // The stated length is believed only if a whole frame follows.
            match read_batch(bytes, at + len, self.mark) {
                Read::Batch { records, commit, end } => {
                    self.settle(frames(number, &records), commit.size);
                    return Some(end);
                }
                Read::Bad { records, at: next } if !records.is_empty() => at = next,
                Read::Bad { .. } | Read::Blank => break,
            }
        }
        // The frames' boundaries are lost: the end of the batch is found by the mark.
        let end = self.mark.find(bytes, at)?;
        let start = end.checked_sub(COMMIT_FRAME)?;
        if let Some((Frame::Commit(commit), _)) = frame::parse(&bytes[start..end], self.mark) {
            self.settle(Vec::new(), commit.size);
        }
        Some(end)
    }

    /// Numbers records beyond damage by the commit that ends them.
    fn settle(&mut self, found: Vec<u64>, size: u64) {
        let first = size.saturating_sub(found.len() as u64);
        if size <= self.records_max && first >= self.counted() {
            self.places.resize(usize::try_from(first - self.base).expect("no more than fit in memory"), HOLE);
            self.places.extend(found);
        }
    }

    /// Records whose place is known, readable or not.
    fn counted(&self) -> u64 {
        self.base + self.places.len() as u64
    }

    /// Damage that leaves the chain whole.
    pub(super) fn note(&mut self, kind: DamageKind, (segment, offset): (u32, u64)) {
        self.damage.get_or_insert(Damage { kind, record: self.intact, segment, offset });
    }

    /// Damage that ends the chain.
    fn break_at(&mut self, kind: DamageKind, record: u64, (segment, offset): (u32, u64)) {
        self.damage.get_or_insert(Damage { kind, record, segment, offset });
        self.broken = true;
    }
}

/// Where the frames of these payloads start.
fn frames(number: u32, payloads: &[(usize, usize)]) -> Vec<u64> {
    payloads.iter().map(|(start, _)| place(number, start - FRAME_HEAD)).collect()
}

fn read_batch(bytes: &[u8], from: usize, mark: Mark) -> Read {
    let mut records = Vec::new();
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match frame::parse(rest, mark) {
            Some((Frame::Record(_), len)) => {
                records.push((at + FRAME_HEAD, at + len));
                at += len;
            }
            Some((Frame::Commit(commit), len)) => return Read::Batch { records, commit, end: at + len },
            None if at == from && last_used(rest) == 0 => return Read::Blank,
            None => return Read::Bad { records, at },
        }
    }
}

/// How many bytes there are up to the last that is not zero.
pub(super) fn last_used(bytes: &[u8]) -> usize {
    // Whole pages are compared at once: most of a fresh segment is zeros.
    const PAGE: [u8; 4096] = [0; 4096];
    let blank = bytes.rchunks(PAGE.len()).take_while(|page| **page == PAGE[..page.len()]);
    let rest = bytes.len() - blank.map(<[u8]>::len).sum::<usize>();
    bytes[..rest].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// True if no segment of these was ever written behind its head.
fn blank(later: &[(u32, PathBuf)]) -> Result<bool, StoreFault> {
    for (_, path) in later {
        let bytes = fs::read(path).map_err(StoreFault::unreadable(path))?;
        if last_used(bytes.get(SEGMENT_HEAD..).unwrap_or_default()) != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// True if these bytes, which start a batch that does not read back, are one write that did not
/// arrive whole, rather than one that did and was changed later. `start` is their offset.
fn is_torn(bytes: &[u8], start: usize, mark: Mark) -> bool {
    let used = &bytes[..last_used(bytes)];
    let arrived = mark.ends(used);
    let before_end = if arrived { &used[..used.len() - 1] } else { used };
    if mark.find(before_end, 0).is_some() {
        return false; // The end of an earlier batch: this one was synced before the next began.
    }
    !arrived || misses_a_sector(used, start)
}

/// True if a sector still holds nothing but the zeros it was prepared with.
fn misses_a_sector(used: &[u8], start: usize) -> bool {
    let mut at = 0;
    while at < used.len() {
        let until = used.len().min(at + SECTOR - (start + at) % SECTOR);
        if last_used(&used[at..until]) == 0 {
            return true;
        }
        at = until;
    }
    false
}
