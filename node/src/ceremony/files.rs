//! Files of a ceremony: read within a limit, written whole under a name nobody had.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::CeremonyFault;

/// Reads a file of at most so many bytes.
pub(super) fn read(path: &Path, max: usize) -> Result<Vec<u8>, CeremonyFault> {
    let unreadable = |cause| CeremonyFault::Unreadable { path: path.to_owned(), cause };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > max { Err(CeremonyFault::TooLarge { path: path.to_owned(), max }) } else { Ok(bytes) }
}

/// Reads a text.
pub(super) fn read_text(path: &Path, max: usize) -> Result<String, CeremonyFault> {
    let why = "it is no text, as a draft (.toml) or a public half (.pub) is";
    let cause = || io::Error::new(io::ErrorKind::InvalidData, why);
    let not_text = |_| CeremonyFault::Unreadable { path: path.to_owned(), cause: cause() };
    String::from_utf8(read(path, max)?).map_err(not_text)
}

/// Writes a new file: on disk as a whole before it has its name, and never over another. What a crash left
/// under the other name was never used, and goes.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CeremonyFault> {
    refuse_existing(path)?;
    let unfinished = beside(path, ".new");
    remove(&unfinished)?;
    write(&unfinished, bytes)?;
    rename_new(&unfinished, path)
}

/// Writes a file for its owner and whoever it is handed to; private files have folders of their own.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CeremonyFault> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(disk("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk("write", path))
}

/// Gives a finished file or folder its name, which nothing else may have.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), CeremonyFault> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => return Err(CeremonyFault::Exists(to.to_owned())),
        // Some file systems of memory sticks cannot refuse to replace; that nothing is there was looked at before.
        Err(cause) if cause.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            fs::rename(from, to).map_err(disk("put in place", to))?;
        }
        other => other.map_err(disk("put in place", to))?,
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk("sync", folder))
}

/// Nothing may stand there.
pub(super) fn refuse_existing(path: &Path) -> Result<(), CeremonyFault> {
    if path.symlink_metadata().is_ok() { Err(CeremonyFault::Exists(path.to_owned())) } else { Ok(()) }
}

/// Makes a folder for its owner alone.
pub(super) fn folder(path: &Path) -> Result<(), CeremonyFault> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(disk("create", path))
}

/// Removes what a crash left.
pub(super) fn remove(path: &Path) -> Result<(), CeremonyFault> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(disk("remove", path)(cause)),
        _ => Ok(()),
    }
}

/// The same path with something added to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

pub(super) fn disk(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> CeremonyFault {
    move |cause| CeremonyFault::Disk { doing, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_read_within_its_limit() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("a.dsse");
        write_new(&path, b"first").expect("written");
        assert_eq!(write_new(&path, b"second").map_err(|fault| fault.code()), Err("ceremony.exists"));
        assert_eq!(read(&path, 5).expect("reads"), b"first");
        assert_eq!(read(&path, 4).map_err(|fault| fault.code()), Err("ceremony.too-large"));
        assert_eq!(read(&dir.path().join("b"), 4).map_err(|fault| fault.code()), Err("ceremony.unreadable"));
        fs::write(beside(&path, ".new"), b"left by a crash").expect("written");
        fs::remove_file(&path).expect("removed");
        write_new(&path, b"third").expect("written over what was never used");
        assert!(!beside(&path, ".new").exists());
    }
}
