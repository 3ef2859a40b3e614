//! The data folder belongs to one user and one process at a time.
//!
//! Decides permissions (0700, ours) and the lock. Never looks inside. Start with [`Folder::claim`].

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

use super::StoreFault;

/// What must stay free on the disk of the data folder before anything is appended: room for the
/// index, the checkpoint and a compaction of the desk, which have no way to wait for it.
pub const RESERVE_BYTES: u64 = 64 << 20;

/// Free and total bytes of the disk a folder lies on; none when the system does not say.
#[must_use]
pub fn disk_room(folder: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}

/// Read, write and enter, for anyone but the owner.
const OTHERS: u32 = 0o077;

/// A data folder this process holds until it is dropped or the process ends, however it ends.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, checks that it is ours alone, and locks it.
    ///
    /// # Errors
    /// [`StoreFault::Locked`] when another process holds it, [`StoreFault::Exposed`] when others
    /// may enter it or own it, [`StoreFault::Unreadable`] when the system refuses.
    pub fn claim(path: &Path) -> Result<Self, StoreFault> {
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreFault::unreadable(path))?;
            // Else everything synced inside could still vanish together with the folder's name.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(StoreFault::unreadable(parent))?;
        }
        check(path)?;
        let name = path.join("lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(StoreFault::unreadable(&name))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(Errno::WOULDBLOCK) => Err(StoreFault::Locked { folder: path.to_owned() }),
            Err(errno) => Err(StoreFault::unreadable(&name)(errno.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check(path: &Path) -> Result<(), StoreFault> {
    let exposed = |why| StoreFault::Exposed { path: path.to_owned(), why };
    let facts = fs::metadata(path).map_err(StoreFault::unreadable(path))?;
    if !facts.is_dir() {
        return Err(exposed("it is not a folder"));
    }
    if facts.uid() != geteuid().as_raw() {
        return Err(exposed("it belongs to another user"));
    }
    if facts.mode() & OTHERS != 0 {
        return Err(exposed("other users may read or enter it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let home = tempfile::tempdir().expect("folder");
        let path = home.path().join("data");
        let held = Folder::claim(&path).expect("claimed");
        assert_eq!(fs::metadata(held.path()).expect("facts").mode() & 0o777, 0o700);
        // flock belongs to the open file, so a second open in this process stands for another one.
        let second = Folder::claim(&path).err().expect("refused");
        assert_eq!(second.code(), "store.locked");
        assert!(second.to_string().contains(path.to_str().expect("text")), "{second}");
        drop(held);
        Folder::claim(&path).expect("free again");
    }

    #[test]
    fn a_folder_others_may_enter_is_refused() {
        let home = tempfile::tempdir().expect("folder");
        let path = home.path().join("data");
        drop(Folder::claim(&path).expect("claimed"));
        for mode in [0o750, 0o701, 0o704] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(Folder::claim(&path).err().expect("refused").code(), "store.exposed-folder");
        }
        fs::write(home.path().join("file"), b"").expect("written");
        assert_eq!(Folder::claim(&home.path().join("file")).err().expect("refused").code(), "store.exposed-folder");
    }
}
