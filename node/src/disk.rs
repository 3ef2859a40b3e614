//! The calls that change files of the store and the vault: create, write, sync, rename, remove.
//!
//! Decides permissions (files 0600, folders 0700) and that a new name is not relied on before its
//! folder is synced. In tests the same calls can run out of space, fail, end as if the process were killed, or lose what
//! was not synced; in the product they go straight to the system.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

pub mod crash;
#[cfg(test)]
pub(crate) mod faults;
#[cfg(test)]
pub(crate) mod journal;

#[cfg(test)]
use faults::{Call, Lasting};

/// Zeros are written in pieces of this size: large enough to stream, small enough to keep on hand.
const ZEROS: usize = 256 << 10;

/// A way to the disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// An open file that may be written.
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
    #[cfg(test)]
    faults: faults::Faults,
}

impl Disk {
    /// Makes a folder only its owner can enter; fine if it is there. Its name lasts when this returns: one that is found
    /// may be of a process that was killed before it synced it.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            #[cfg(test)]
            self.faults.change(Call::Mkdir, path)?;
            DirBuilder::new().mode(0o700).create(path)?;
        }
        path.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    /// Opens a file for reading and writing.
    pub(crate) fn open(&self, path: &Path) -> io::Result<DiskFile> {
        #[cfg(test)]
        self.faults.change(Call::Open, path)?;
        self.with(OpenOptions::new().read(true).write(true).open(path)?, path)
    }

    /// Makes an empty file only its owner can read, in place of any other of that name.
    pub(crate) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        #[cfg(test)]
        self.faults.change(Call::Create, path)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        self.with(file, path)
    }

    /// Makes a file of zeros that begins with `head`, all of it on disk before its name exists.
    ///
    /// A crash on the way leaves a `.new` file, which nobody reads and the next start removes.
    pub(crate) fn create_filled(&self, path: &Path, head: &[u8], size: u64) -> io::Result<DiskFile> {
        let unfinished = path.with_extension(UNFINISHED);
        let file = self.create(&unfinished)?;
        let filled = file.fill(head, size);
        if let Err(fault) = filled.and_then(|()| file.sync_all()) {
            // Space taken by a file that could not be finished is space others may need.
            self.remove_file(&unfinished).ok();
            return Err(fault);
        }
        crash::crash_point("store.segment-filled");
        self.rename(&unfinished, path)?;
        self.open(path)
    }

    /// Gives a finished file or folder its name. After a crash just here either name may be found,
    /// the content is whole under both.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.rename(from, to)?;
        fs::rename(from, to)?;
        to.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    /// Makes names in a folder last.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.sync_folder(path)? == Lasting::OnPaper {
            return Ok(());
        }
        File::open(path)?.sync_all()
    }

    /// Removes a file. Its name may come back after a power cut, until its folder is synced.
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.change(Call::Unlink, path)?;
        fs::remove_file(path)
    }

    /// Removes a folder with everything in it. A crash on the way leaves some of it.
    pub(crate) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let inside = entry.path();
            if entry.file_type()?.is_dir() { self.remove_folder(&inside)? } else { self.remove_file(&inside)? }
        }
        #[cfg(test)]
        self.faults.change(Call::Unlink, path)?;
        fs::remove_dir(path)
    }

    /// Removes what an interrupted [`Self::create_filled`] left.
    pub(crate) fn sweep(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == UNFINISHED) && path.is_file() {
                self.remove_file(&path)?;
            }
        }
        Ok(())
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests count this call"))]
    fn with(&self, file: File, path: &Path) -> io::Result<DiskFile> {
        Ok(DiskFile {
            file,
            path: path.to_owned(),
            #[cfg(test)]
            faults: self.faults.clone(),
        })
    }
}

/// The ending of files and folders still being made.
pub(crate) const UNFINISHED: &str = "new";

impl DiskFile {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all bytes at an offset. Not on disk before [`Self::sync`].
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        return self.faults.write(&self.file, &self.path, bytes, offset);
        #[cfg(not(test))]
        self.file.write_all_at(bytes, offset)
    }

    /// Reads exactly as many bytes as asked.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Asks the system to begin writing a range to the disk without waiting for it (posix_fadvise(2): advice not to keep
    /// it makes it begin; what is not on disk yet stays in memory until it is). Promises nothing: only a sync does.
    pub(crate) fn begin_writing_back(&self, from: u64, until: u64) {
        let len = std::num::NonZeroU64::new(until.saturating_sub(from));
        if let Err(fault) = rustix::fs::fadvise(&self.file, from, len, rustix::fs::Advice::DontNeed) {
            tracing::debug!(target: "store", %fault, "the system does not begin early; the sync takes longer");
        }
    }

    /// Makes what was written last (`fdatasync`). After an error nothing more may be believed.
    pub(crate) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.sync(&self.path)? == Lasting::OnPaper {
            return Ok(());
        }
        self.file.sync_data()
    }

    /// Writes once more what is read in a range, so that the next sync covers it. What is found at a start needs this:
    /// after a failed sync the system goes on showing bytes that it no longer means to write, and a later sync succeeds
    /// without them.
    pub(crate) fn renew(&self, from: u64, until: u64) -> io::Result<()> {
        let mut at = from;
        while at < until {
            let piece = usize::try_from(until - at).unwrap_or(ZEROS).min(ZEROS);
            let mut bytes = vec![0; piece];
            self.read_at(&mut bytes, at)?;
            self.write_at(&bytes, at)?;
            at += piece as u64;
        }
        Ok(())
    }

    /// Makes content and size last (`fsync`).
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.sync(&self.path)? == Lasting::OnPaper {
            return Ok(());
        }
        self.file.sync_all()
    }

    /// Overwrites a range with zeros.
    pub(crate) fn zero(&self, from: u64, until: u64) -> io::Result<()> {
        let zeros = vec![0; ZEROS];
        let mut at = from;
        while at < until {
            let piece = usize::try_from(until - at).unwrap_or(ZEROS).min(ZEROS);
            self.write_at(&zeros[..piece], at)?;
            at += piece as u64;
        }
        Ok(())
    }

    fn fill(&self, head: &[u8], size: u64) -> io::Result<()> {
        self.write_at(head, 0)?;
        self.zero(head.len() as u64, size)
    }
}
