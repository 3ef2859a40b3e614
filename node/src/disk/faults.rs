//! A disk that misbehaves on request (tests only): it runs out of space, fails a write or a sync,
//! stops altogether after so many operations, and forgets sectors that were never synced.
//!
//! For the fault matrix it is watched: each call is counted by its kind and file, any one of them can be made to fail or
//! to be the last before the process is killed, and all that is done is written to a [`Journal`], from which `journal`
//! makes what a power cut could leave. A watched disk is synced on paper only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::journal::{Bytes, Journal, Step};

/// What a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;

/// The calls that change files, as the system knows them. None cuts a file short: what is no longer needed is zeroed, or
/// the file is begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    /// `open` of a file that is there.
    Open,
    /// `open` that makes or empties a file.
    Create,
    /// `pwrite`.
    Write,
    /// `fdatasync`, and `fsync` of files and folders.
    Sync,
    /// `rename`.
    Rename,
    /// `mkdir`.
    Mkdir,
    /// `unlink` and `rmdir`.
    Unlink,
}

/// How one call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// An error of the device.
    Eio,
    /// No space.
    Enospc,
    /// The process is killed: neither this call nor any after it is made.
    Kill,
    /// From this call on no file and no folder can be made, and none grows.
    Full,
    /// From this call on the system takes no change: it has remounted the disk.
    ReadOnly,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [Self::Eio, Self::Enospc, Self::Kill, Self::Full, Self::ReadOnly];

    /// True for what concerns one call, or ends with it: of a write half may then have been made.
    pub(crate) const fn is_sudden(self) -> bool {
        matches!(self, Self::Eio | Self::Enospc | Self::Kill)
    }

    fn error(self) -> io::Error {
        match self {
            Self::Eio => io::Error::from_raw_os_error(5),
            Self::Enospc | Self::Full => io::Error::from_raw_os_error(28),
            Self::ReadOnly => io::Error::from_raw_os_error(30),
            Self::Kill => killed(),
        }
    }
}

fn killed() -> io::Error {
    io::Error::other("the process was killed")
}

/// One call of a life: the nth of its kind on this file. Files are named from the watched folder on, so that the same
/// call of another run has the same name, whatever other threads did meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) call: Call,
    pub(crate) path: PathBuf,
    pub(crate) nth: u64,
}

/// What goes wrong, where. Of a write that fails half may have been written: whole sectors, since no system tears one.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) site: Site,
    pub(crate) fault: Fault,
    pub(crate) half: bool,
}

/// Whether a sync is to reach the real disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    Really,
    OnPaper,
}

#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Bytes by which files may still grow.
    space: Option<u64>,
    fail_writes: bool,
    fail_syncs: bool,
    /// Operations until nothing works any more.
    left: Option<u64>,
    unsynced: Vec<Write>,
    pub(crate) told: Vec<String>,
    watch: Option<Watch>,
}

struct Write {
    path: PathBuf,
    offset: u64,
    before: Vec<u8>,
}

/// What is kept of a watched disk.
struct Watch {
    root: PathBuf,
    counts: BTreeMap<(Call, PathBuf), u64>,
    plan: Option<Plan>,
    killed: bool,
    /// Full, or read-only, from some call on.
    state: Option<Fault>,
    /// Writes of which a sector may be there and another not.
    wide: BTreeSet<Site>,
    journal: Journal,
}

/// What a call may do.
enum Verdict {
    Go,
    /// A write: half of it, and then this.
    Half(io::Error),
}

impl Faults {
    pub(crate) fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    pub(crate) fn fail_writes(&self, fail: bool) {
        self.state().fail_writes = fail;
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// Everything fails after so many more operations, as if the power went.
    pub(crate) fn stop_after(&self, operations: u64) {
        self.state().left = Some(operations);
    }

    /// What was done so far, as `write <file>` and `sync <file>`.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.state().told)
    }

    /// Each sector that was written but not synced is kept or lost, as `keep` says.
    pub(crate) fn lose_power(&self, mut keep: impl FnMut() -> bool) {
        let writes = std::mem::take(&mut self.state().unsynced);
        for write in writes.iter().rev() {
            let Ok(file) = OpenOptions::new().write(true).open(&write.path) else { continue };
            for (from, until) in sectors(write.offset, write.before.len()) {
                if !keep() {
                    let part = &write.before[from..until];
                    file.write_all_at(part, write.offset + from as u64).expect("the real disk works");
                }
            }
        }
    }

    /// From now on all calls below `root` are counted and written down, and one goes wrong if it is planned.
    pub(crate) fn watch(&self, root: &Path, plan: Option<Plan>) {
        let (root, counts, journal) = (root.to_owned(), BTreeMap::new(), Journal::default());
        self.state().watch =
            Some(Watch { root, counts, plan, killed: false, state: None, wide: BTreeSet::new(), journal });
    }

    /// The disk is sound again, for a process that starts anew on what the one before left. False if what was planned
    /// never happened.
    pub(crate) fn recover(&self) -> bool {
        let mut state = self.state();
        let watch = state.watch.as_mut().expect("it is watched");
        (watch.killed, watch.state) = (false, None);
        watch.plan.take().is_none_or(|plan| watch.counts.get(&place(&plan.site)).is_some_and(|n| *n > plan.site.nth))
    }

    /// True once the process counts as killed.
    pub(crate) fn is_killed(&self) -> bool {
        self.state().watch.as_ref().is_some_and(|watch| watch.killed)
    }

    /// Every call that was made, and whether half of it can be.
    pub(crate) fn sites(&self) -> Vec<(Site, bool)> {
        let state = self.state();
        let counts = state.watch.iter().flat_map(|watch| &watch.counts);
        let wide = |site: &Site| state.watch.as_ref().is_some_and(|watch| watch.wide.contains(site));
        let each = |((call, path), count): (&(Call, PathBuf), &u64)| {
            let (call, path) = (*call, path.clone());
            (0..*count).map(move |nth| Site { call, path: path.clone(), nth })
        };
        counts.flat_map(each).map(|site| (site.clone(), wide(&site))).collect()
    }

    /// Somebody was told of what is on disk by now: from here on it must last.
    pub(crate) fn mark(&self) {
        if let Some(watch) = &mut self.state().watch {
            watch.journal.steps.push(Step::Told);
        }
    }

    /// What was done since it is watched.
    pub(crate) fn journal(&self) -> Journal {
        self.state().watch.as_ref().expect("it is watched").journal.clone()
    }

    /// One call that is neither a write nor a sync nor a rename.
    pub(super) fn change(&self, call: Call, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let Verdict::Go = state.judge(call, path, matches!(call, Call::Create | Call::Mkdir))? else {
            unreachable!("half of a write only")
        };
        state.note(
            |path| match call {
                Call::Create => Some(Step::Create(path)),
                Call::Mkdir => Some(Step::Mkdir(path)),
                Call::Unlink => Some(Step::Unlink(path)),
                Call::Open | Call::Write | Call::Sync | Call::Rename => None,
            },
            path,
        );
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.arrive()?;
        let mut state = self.state();
        let Verdict::Go = state.judge(Call::Rename, from, false)? else { unreachable!("half of a write only") };
        let to = state.inside(to);
        state.note(|from| to.map(|to| Step::Rename(from, to)), from);
        Ok(())
    }

    fn arrive(&self) -> io::Result<()> {
        match &mut self.state().left {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.arrive()?;
        let size = file.metadata()?.len();
        let mut state = self.state();
        let growth = (offset + bytes.len() as u64).saturating_sub(size);
        if state.space.is_some_and(|space| space < growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(space) = &mut state.space {
            *space -= growth;
        }
        if state.watch.is_some() {
            return state.watched_write(file, path, bytes, (offset, growth > 0));
        }
        if growth == 0 {
            let mut before = vec![0; bytes.len()];
            file.read_exact_at(&mut before, offset)?;
            state.unsynced.push(Write { path: path.to_owned(), offset, before });
            state.told.push(format!("write {}", name(path)));
        }
        if state.fail_writes {
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("half a write"));
        }
        file.write_all_at(bytes, offset)
    }

    pub(super) fn sync(&self, path: &Path) -> io::Result<Lasting> {
        self.arrive()?;
        let mut state = self.state();
        if state.fail_syncs {
            return Err(io::Error::other("no sync"));
        }
        if state.watch.is_some() {
            return state.watched_sync(path, |path, done| Some(Step::Sync(path, done)));
        }
        state.unsynced.retain(|write| write.path != path);
        state.told.push(format!("sync {}", name(path)));
        Ok(Lasting::Really)
    }

    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<Lasting> {
        self.arrive()?;
        let mut state = self.state();
        match state.watch {
            None => Ok(Lasting::Really),
            Some(_) => state.watched_sync(path, |path, done| done.then_some(Step::SyncFolder(path))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while holding it")
    }
}

impl State {
    /// The name of a file from the watched folder on; none if nothing is watched.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let watch = self.watch.as_ref()?;
        Some(path.strip_prefix(&watch.root).expect("all files of a watched disk lie below its root").to_owned())
    }

    /// Counts a call and says how it goes. `grows` if it takes room.
    fn judge(&mut self, call: Call, path: &Path, grows: bool) -> io::Result<Verdict> {
        let Some(path) = self.inside(path) else { return Ok(Verdict::Go) };
        let watch = self.watch.as_mut().expect("a path lies inside of something watched");
        if watch.killed {
            return Err(killed());
        }
        let count = watch.counts.entry((call, path.clone())).or_default();
        let site = Site { call, path, nth: *count };
        *count += 1;
        let met = watch.plan.as_ref().filter(|plan| plan.site == site);
        if let Some(plan) = met.filter(|plan| plan.fault.is_sudden()) {
            watch.killed = plan.fault == Fault::Kill;
            let error = plan.fault.error();
            return if plan.half { Ok(Verdict::Half(error)) } else { Err(error) };
        }
        watch.state = met.map(|plan| plan.fault).or(watch.state);
        match watch.state {
            Some(state) if grows || state == Fault::ReadOnly => Err(state.error()),
            _ => Ok(Verdict::Go),
        }
    }

    fn note(&mut self, step: impl FnOnce(PathBuf) -> Option<Step>, path: &Path) {
        let step = self.inside(path).and_then(step);
        if let Some(watch) = &mut self.watch {
            watch.journal.steps.extend(step);
        }
    }

    fn watched_write(
        &mut self,
        file: &File,
        path: &Path,
        bytes: &[u8],
        (offset, grows): (u64, bool),
    ) -> io::Result<()> {
        let parts = sectors(offset, bytes.len());
        let half = parts.get(parts.len() / 2).map_or(0, |(from, _)| *from);
        let (bytes, then) = match self.judge(Call::Write, path, grows)? {
            Verdict::Go => (bytes, Ok(())),
            Verdict::Half(error) => (&bytes[..half], Err(error)),
        };
        if half > 0 {
            self.note_wide(path);
        }
        self.note(|path| Some(Step::Write(path, offset, Bytes::of(bytes))), path);
        file.write_all_at(bytes, offset)?;
        then
    }

    fn note_wide(&mut self, path: &Path) {
        let path = self.inside(path).expect("it is watched");
        let watch = self.watch.as_mut().expect("it is watched");
        let nth = watch.counts[&(Call::Write, path.clone())] - 1;
        watch.wide.insert(Site { call: Call::Write, path, nth });
    }

    /// After a failed sync what it was to cover may be on disk or not, and no later sync will put it there.
    fn watched_sync(&mut self, path: &Path, step: fn(PathBuf, bool) -> Option<Step>) -> io::Result<Lasting> {
        let verdict = self.judge(Call::Sync, path, false);
        if !self.watch.as_ref().is_some_and(|watch| watch.killed) {
            self.note(|path| step(path, verdict.is_ok()), path);
        }
        verdict.map(|_| Lasting::OnPaper)
    }
}

fn place(site: &Site) -> (Call, PathBuf) {
    (site.call, site.path.clone())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The parts of a write that fall into one sector each.
pub(super) fn sectors(offset: u64, len: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < len {
        let rest = SECTOR - (offset + at as u64) % SECTOR;
        let until = len.min(at + usize::try_from(rest).expect("below 512"));
        parts.push((at, until));
        at = until;
    }
    parts
}
