//! What a folder held when it was closed: name, length and checksum of each file. A database whose files are not just
//! those any more is not opened at all, since what it makes of them is not known.
//!
//! Neither the seal nor what it is over need be on disk after a power cut: whatever is left of them then does not fit
//! together, or fits. Start with [`put`] and [`take`].

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::disk::Disk;

/// Stands where the seal was while the folder is opened.
const OPENING: &[u8] = b"being opened\n";
/// Read at once.
const PIECE: usize = 1 << 20;

/// How a folder is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// As it was closed.
    Whole,
    /// Nobody closed it.
    Open,
    /// Something was changed after it was closed.
    Broken,
}

/// Seals a folder that nobody writes to any more.
pub(super) fn put(folder: &Path) -> io::Result<()> {
    let seal = of(folder)?;
    Disk::default().create(&beside(folder))?.write_at(seal.as_bytes(), 0)
}

/// Looks at the seal and breaks it. Until [`opened`] is called the folder counts as changed: if opening it ends the
/// process, the next start does not try again.
pub(super) fn take(folder: &Path) -> io::Result<Sealed> {
    let sealed = match fs::read(beside(folder)) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Sealed::Open,
        Ok(seal) if of(folder).is_ok_and(|now| now.as_bytes() == seal) => Sealed::Whole,
        Ok(_) | Err(_) => Sealed::Broken,
    };
    Disk::default().create(&beside(folder))?.write_at(OPENING, 0)?;
    Ok(sealed)
}

/// The folder opened, and will change from now on.
pub(super) fn opened(folder: &Path) -> io::Result<()> {
    Disk::default().remove_file(&beside(folder))
}

/// Where the seal of a folder is.
fn beside(folder: &Path) -> PathBuf {
    folder.with_extension("seal")
}

/// One line for each file, in order of names.
fn of(folder: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    list(folder, "", &mut lines)?;
    lines.sort();
    Ok(lines.concat())
}

fn list(folder: &Path, within: &str, lines: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{within}/{}", entry.file_name().display());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &name, lines)?;
        } else {
            let (bytes, checksum) = sum(&entry.path())?;
            lines.push(format!("{name} {bytes} {checksum:08x}\n"));
        }
    }
    Ok(())
}

fn sum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    let (mut bytes, mut checksum) = (0, 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((bytes, checksum)),
            read => {
                bytes += read as u64;
                checksum = crc32c::crc32c_append(checksum, &piece[..read]);
            }
        }
    }
}
