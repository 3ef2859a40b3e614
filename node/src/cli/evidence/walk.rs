//! What of a folder is put under seal, and what is only listed.
//!
//! | Found | What happens |
//! |---|---|
//! | a file | its bytes are put under seal, also when there are none |
//! | a symbolic link | its target is recorded; it is never followed |
//! | a file or folder that cannot be read | listed as unreadable; the rest goes on |
//! | a pipe, socket or device | listed as special; it is never opened |
//! | a folder with nothing in it | listed, so that it can be made again |
//!
//! Folders are opened one level at a time without following links, so that nobody who can write there
//! leads the walk elsewhere; names are bytes.

use std::{
    ffi::OsStr,
    fs::{self, File, FileType, Metadata, OpenOptions},
    io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use comity_core::manifest::ItemPath;

use crate::cli::{fault::CliFault, found::disk};

/// Folders within folders: what a path of 4096 bytes can hold is far less than a stack.
const DEPTH_MAX: usize = 512;

/// Something found.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A file that can be opened.
    File(PathBuf, ItemPath),
    /// What carries no bytes: its kind as the API names it, and the target of a link.
    Unsealed(ItemPath, &'static str, Vec<u8>),
}

impl Entry {
    /// Bytes it has now.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::File(path, _) => path.symlink_metadata().map_or(0, |facts| facts.len()),
            Self::Unsealed(..) => 0,
        }
    }
}

/// Everything below a folder, or one file alone.
pub(crate) fn walk(root: &Path) -> Result<Vec<Entry>, CliFault> {
    let facts = fs::symlink_metadata(root).map_err(disk("look at", root))?;
    let mut found = Vec::new();
    if facts.is_dir() {
        let children = children(root).map_err(disk("read", root))?;
        for name in children {
            below(root, &mut vec![name], &mut found)?;
        }
    } else {
        let name = root.file_name().unwrap_or(OsStr::new("item")).as_bytes().to_vec();
        let above = root.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        below(above, &mut vec![name], &mut found)?;
    }
    Ok(found)
}

fn below(root: &Path, names: &mut Vec<Vec<u8>>, found: &mut Vec<Entry>) -> Result<(), CliFault> {
    let path = names.iter().fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(name)));
    let bad = |why: &str| CliFault::BadArgument { what: path.display().to_string(), why: format!("its path {why}") };
    let at = ItemPath::new(names.clone()).map_err(bad)?;
    if names.len() > DEPTH_MAX {
        return Err(bad("lies more than 512 folders deep"));
    }
    let unreadable = |at| Entry::Unsealed(at, "unreadable", Vec::new());
    let Ok(facts) = fs::symlink_metadata(&path) else {
        found.push(unreadable(at));
        return Ok(());
    };
    match kind(facts.file_type()) {
        Kind::Link => {
            let target = fs::read_link(&path).map(|target| target.into_os_string().into_vec());
            found.push(
                target.map_or_else(|_| unreadable(at.clone()), |to| Entry::Unsealed(at.clone(), "symbolic_link", to)),
            );
        }
        Kind::Special => found.push(Entry::Unsealed(at, "special", Vec::new())),
        Kind::File => found.push(if open(&path).is_ok() { Entry::File(path, at) } else { unreadable(at) }),
        Kind::Folder => match children(&path) {
            Err(_) => found.push(unreadable(at)),
            Ok(children) if children.is_empty() => found.push(Entry::Unsealed(at, "empty_folder", Vec::new())),
            Ok(children) => {
                for name in children {
                    names.push(name);
                    below(root, names, found)?;
                    names.pop();
                }
            }
        },
    }
    Ok(())
}

enum Kind {
    File,
    Folder,
    Link,
    Special,
}

fn kind(found: FileType) -> Kind {
    if found.is_symlink() {
        Kind::Link
    } else if found.is_dir() {
        Kind::Folder
    } else if found.is_fifo() || found.is_socket() || found.is_block_device() || found.is_char_device() {
        Kind::Special
    } else {
        Kind::File
    }
}

/// Names in a folder, ascending by their bytes.
fn children(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name().into_vec()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Opens a file that is one: no link, no pipe that waits for a writer.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or(0)).open(path)?;
    let facts = file.metadata()?;
    if facts.is_file() { Ok((file, facts)) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
}

/// When a file was last modified, in milliseconds since 1970; negative before.
pub(super) fn modified_ms(facts: &Metadata) -> i64 {
    facts.mtime().saturating_mul(1_000).saturating_add(facts.mtime_nsec() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_kind_of_entry_has_its_rule() {
        let home = tempfile::tempdir().expect("folder");
        let at = |name: &[u8]| home.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(at(b"deep/er")).expect("made");
        fs::create_dir(at(b"empty")).expect("made");
        for name in [&b"deep/er/file"[..], b"a b\nc", b"\xff", "\u{44f}".as_bytes()] {
            fs::write(at(name), b"x").expect("written");
        }
        symlink("/etc/passwd", at(b"link")).expect("linked");
        symlink("nowhere", at(b"deep/broken")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, at(b"pipe"), rustix::fs::Mode::RUSR).expect("made");
        let shown = |entry: &Entry| match entry {
            Entry::File(_, at) => format!("file {at}"),
            Entry::Unsealed(at, kind, target) => format!("{kind} {at} {}", String::from_utf8_lossy(target)),
        };
        let found: Vec<String> = walk(home.path()).expect("walked").iter().map(shown).collect();
        let expected = [
            "file a b\\x0ac",
            "symbolic_link deep/broken nowhere",
            "file deep/er/file",
            "empty_folder empty ",
            "symbolic_link link /etc/passwd",
            "special pipe ",
            "file \u{44f}",
            "file \\xff",
        ];
        assert_eq!(found, expected);
        assert!(
            matches!(walk(&at(b"deep/er/file")).expect("one file").as_slice(), [Entry::File(_, at)] if at.to_string() == "file")
        );
        assert!(open(&at(b"link")).is_err() && open(&at(b"pipe")).is_err());
    }
}
