//! A disk that misbehaves on request (tests only): it runs out of space, fails a write or a sync,
//! stops altogether after so many operations, and forgets sectors that were never synced.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

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
}

struct Write {
    path: PathBuf,
    offset: u64,
    before: Vec<u8>,
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

    pub(super) fn arrive(&self) -> io::Result<()> {
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

    pub(super) fn sync(&self, path: &Path) -> io::Result<()> {
        self.arrive()?;
        let mut state = self.state();
        if state.fail_syncs {
            return Err(io::Error::other("no sync"));
        }
        state.unsynced.retain(|write| write.path != path);
        state.told.push(format!("sync {}", name(path)));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while holding it")
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The parts of a write that fall into one sector each.
fn sectors(offset: u64, len: usize) -> Vec<(usize, usize)> {
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
