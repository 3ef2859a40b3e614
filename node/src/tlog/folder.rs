//! The folder of an exported ledger: written beside its place and named when it is whole; read within limits.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use comity_core::ledger::{FORK_FILE_MAX, Fork, NOTE_MAX, Resource};

use super::TlogFault;

/// The signed charters and profiles, as a `Bundle`.
pub const DOCUMENTS: &str = "documents";
/// The keys and the quorum, as a C2SP tlog-policy.
pub const POLICY: &str = "policy";

/// Charters of some years and the profiles of a Party and its witnesses.
pub(super) const DOCUMENTS_MAX: usize = 64 << 20;
/// A tile has 8192 bytes, a bundle of our entries 8960.
const TILE_MAX: usize = 16 << 10;

/// An exported ledger on a disk.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// One that is being written, under another name.
#[derive(Debug)]
pub struct Unfinished {
    folder: PathBuf,
    into: PathBuf,
}

impl Folder {
    /// One that is there, to be read.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Begins one at a path where nothing is. What an export that was interrupted left is removed.
    ///
    /// # Errors
    /// [`TlogFault::Exists`], or when the disk refuses.
    pub fn begin(path: &Path) -> Result<Unfinished, TlogFault> {
        if path.symlink_metadata().is_ok() {
            return Err(TlogFault::Exists(path.to_owned()));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".exporting");
        let folder = path.with_file_name(name);
        match fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(TlogFault::disk(&folder)(cause)),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir(&folder).map_err(TlogFault::disk(&folder))?;
        Ok(Unfinished { folder, into: path.to_owned() })
    }

    pub(super) fn path(&self, resource: Resource) -> PathBuf {
        self.0.join(resource.to_string())
    }

    pub(super) fn resource(&self, resource: Resource) -> Result<Vec<u8>, TlogFault> {
        let max = if resource == Resource::Checkpoint { NOTE_MAX } else { TILE_MAX };
        read(&self.path(resource), max)
    }

    pub(super) fn documents(&self) -> Result<Vec<u8>, TlogFault> {
        read(&self.0.join(DOCUMENTS), DOCUMENTS_MAX)
    }

    /// The policy it comes with, if it does.
    pub(super) fn policy(&self) -> Option<Vec<u8>> {
        read(&self.0.join(POLICY), NOTE_MAX).ok()
    }
}

impl Unfinished {
    /// Writes one file of it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), TlogFault> {
        let path = self.folder.join(name);
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            File::create(&path)?.write_all(bytes)
        };
        write().map_err(TlogFault::disk(&path))
    }

    /// Puts all of it on disk and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<Folder, TlogFault> {
        // One call for thousands of small files.
        let sync = || rustix::fs::syncfs(File::open(&self.folder)?).map_err(io::Error::from);
        sync().map_err(TlogFault::disk(&self.folder))?;
        fs::rename(&self.folder, &self.into).map_err(TlogFault::disk(&self.into))?;
        let parent = self.into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(TlogFault::disk(parent))?;
        Ok(Folder(self.into))
    }
}

/// The bytes of a file, if it is the proof of a fork; no more of it is read than such a file may have.
#[must_use]
pub fn fork_in(path: &Path) -> Option<Vec<u8>> {
    let bytes = read(path, FORK_FILE_MAX).ok()?;
    Fork::parse(&bytes).is_ok().then_some(bytes)
}

fn read(path: &Path, max: usize) -> Result<Vec<u8>, TlogFault> {
    let unreadable = |cause| TlogFault::Unreadable { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > max {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any such file")));
    }
    Ok(bytes)
}
