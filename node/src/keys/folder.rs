//! A folder of key files: made whole or not at all, opened only when nobody else can reach it.
//!
//! One passphrase opens `lock.pem`, which holds 256 random bits; every other file's password follows
//! from those and its name. So a start costs one slow key derivation, however many keys there are.
//! Files that belong together and come later lie in a folder within, which appears whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use comity_core::crypto::Seed;
use zeroize::Zeroizing;

use super::{
    KeyFault, Passphrase, encoding,
    file::{Content, Cost, FILE_BYTES_MAX, FolderSecret, Fresh, KeyFile},
};

/// The file the passphrase opens.
const LOCK: &str = "lock";

/// Ends the name of the file that says when another was made.
pub(super) const MADE: &str = "made";

/// Everybody but the owner.
const OTHERS: u32 = 0o077;

/// One secret of a folder: the folder within it lies in, if any; the file's name without `.pem`; what it holds.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) within: Option<String>,
    pub(super) name: String,
    pub(super) content: Content,
}

impl Slot {
    /// Its file in `dir`.
    pub(super) fn at(&self, dir: &Path) -> PathBuf {
        path_of(&self.within.as_ref().map_or_else(|| dir.to_owned(), |within| dir.join(within)), &self.name)
    }

    /// Beside it: when it was made, where that is kept.
    pub(super) fn made_at(&self, dir: &Path) -> PathBuf {
        self.at(dir).with_extension(MADE)
    }

    /// Whether the file of this slot lies in `dir`.
    pub(super) fn is_in(&self, dir: &Path) -> bool {
        self.at(dir).symlink_metadata().is_ok()
    }

    /// What the file of this slot in `dir` is not.
    pub(super) fn damaged(&self, dir: &Path, why: &'static str) -> KeyFault {
        KeyFault::Damaged { path: self.at(dir), why }
    }
}

/// What is to be written in a slot.
pub(super) type Entry = (Slot, Zeroizing<Vec<u8>>);

/// Makes the folder `dir` with these plaintexts, locked by `passphrase`.
///
/// Everything is written and synced beside it and renamed into place: a crash leaves either no folder
/// or a whole one. What an earlier crash left in `<dir>.new` was never used and is removed.
///
/// `public` are files beside them that hold no secret: name and text.
pub(super) fn create(
    dir: &Path,
    passphrase: &Passphrase,
    entries: &[Entry],
    public: &[(&str, &str)],
) -> Result<(), KeyFault> {
    if holds_something(dir)? {
        return Err(KeyFault::Exists { path: dir.to_owned() });
    }
    let secret = FolderSecret::new(Seed::new(*random::<32>()?));
    let new = beside(dir);
    remove_left_over(&new)?;
    let disk = |doing| disk(doing, &new);
    DirBuilder::new().mode(0o700).recursive(false).create(&new).map_err(disk("create"))?;
    let lock = seal(LOCK, Content::Secret, secret.expose(), passphrase.expose(), Cost::Passphrase, &secret)?;
    write_new(&path_of(&new, LOCK), &lock)?;
    write_all(&new, entries, &secret)?;
    public.iter().try_for_each(|(name, text)| write_text(&new.join(name), text))?;
    sync_dir(&new)?;
    fs::rename(&new, dir).map_err(|cause| match cause.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => KeyFault::Exists { path: dir.to_owned() },
        _ => KeyFault::Disk { doing: "put in place", path: dir.to_owned(), cause },
    })?;
    sync_dir(parent(dir))
}

/// Adds a folder with these plaintexts to the key folder `dir`, under the name their slots give.
///
/// A crash leaves either no such folder or a whole one; what stood there before is never touched. The caller
/// holds the folder ([`hold`]). `public` as in [`create`].
pub(super) fn add(
    dir: &Path,
    passphrase: &Passphrase,
    within: &str,
    entries: &[Entry],
    public: &[(&str, &str)],
) -> Result<(), KeyFault> {
    check_dir(dir)?;
    let place = dir.join(within);
    if holds_something(&place)? {
        return Err(KeyFault::Exists { path: place });
    }
    let secret = unlock(dir, &read_lock(dir)?, passphrase)?;
    let new = beside(&place);
    remove_left_over(&new)?;
    DirBuilder::new().mode(0o700).create(&new).map_err(disk("create", &new))?;
    write_all(&new, entries, &secret)?;
    public.iter().try_for_each(|(name, text)| write_text(&new.join(name), text))?;
    sync_dir(&new)?;
    fs::rename(&new, &place).map_err(disk("put in place", &place))?;
    sync_dir(dir)
}

/// Writes a public file for its owner alone, onto the disk; one of this name that is there already stays.
pub(super) fn note(path: &Path, text: &str) -> Result<(), KeyFault> {
    if path.exists() {
        return Ok(());
    }
    let new = beside(path);
    if new.exists() {
        fs::remove_file(&new).map_err(disk("remove", &new))?; // left by a crash
    }
    write_text(&new, text)?;
    fs::rename(&new, path).map_err(disk("put in place", path))?;
    sync_dir(parent(path))
}

/// Takes the folder for whoever adds or destroys keys, and waits for its turn; a node that only reads needs none.
pub(super) fn hold(dir: &Path) -> Result<File, KeyFault> {
    let held = File::open(dir).map_err(missing_or("open", dir))?;
    held.lock().map_err(disk("lock", dir))?;
    Ok(held)
}

/// Opens the folder and gives the plaintext of each slot, in order.
///
/// Presence, permissions and digests of all files are checked before the passphrase is tried.
pub(super) fn open(dir: &Path, passphrase: &Passphrase, slots: &[Slot]) -> Result<Vec<Zeroizing<Vec<u8>>>, KeyFault> {
    check_dir(dir)?;
    let lock = read_lock(dir)?;
    let files = slots.iter().map(|slot| read(dir, slot)).collect::<Result<Vec<_>, _>>()?;
    let secret = unlock(dir, &lock, passphrase)?;
    slots.iter().zip(files).map(|(slot, file)| open_one(dir, slot, &file, &secret)).collect()
}

/// Random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeyFault> {
    let mut bytes = Zeroizing::new([0; N]);
    let system = || PathBuf::from("the system's random source");
    getrandom::fill(&mut bytes[..]).map_err(|cause| KeyFault::Disk {
        doing: "read",
        path: system(),
        cause: io::Error::other(cause.to_string()),
    })?;
    Ok(bytes)
}

fn seal(
    name: &str,
    content: Content,
    plaintext: &[u8],
    password: &[u8],
    cost: Cost,
    secret: &FolderSecret,
) -> Result<KeyFile, KeyFault> {
    let fresh = Fresh { salt: *random()?, iv: *random()? };
    Ok(KeyFile::seal(name, content, plaintext, password, cost, &fresh, secret))
}

fn unlock(dir: &Path, lock: &KeyFile, passphrase: &Passphrase) -> Result<FolderSecret, KeyFault> {
    let wrong = || KeyFault::WrongPassphrase { folder: dir.to_owned() };
    let opened = lock
        .open(passphrase.expose(), Cost::Passphrase)
        .map_err(|why| KeyFault::Damaged { path: path_of(dir, LOCK), why })?;
    let secret = opened.and_then(|bytes| encoding::seed_from(&bytes)).map(FolderSecret::new).ok_or_else(wrong)?;
    // A wrong passphrase passes the padding once in 256 tries; the check is what decides.
    if lock.belongs_to(&secret) { Ok(secret) } else { Err(wrong()) }
}

fn open_one(dir: &Path, slot: &Slot, file: &KeyFile, secret: &FolderSecret) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    const ALIEN: &str = "was not written together with the other files of its folder";
    if !file.belongs_to(secret) {
        return Err(slot.damaged(dir, ALIEN));
    }
    let opened = file.open(secret.password(&slot.name).as_bytes(), Cost::Random);
    opened.map_err(|why| slot.damaged(dir, why))?.ok_or_else(|| slot.damaged(dir, ALIEN))
}

fn read_lock(dir: &Path) -> Result<KeyFile, KeyFault> {
    read(dir, &Slot { within: None, name: LOCK.to_owned(), content: Content::Secret })
}

fn read(dir: &Path, slot: &Slot) -> Result<KeyFile, KeyFault> {
    let path = slot.at(dir);
    let bytes = read_private(&path, FILE_BYTES_MAX)?;
    KeyFile::parse(&slot.name, slot.content, &bytes).map_err(|why| KeyFault::Damaged { path, why })
}

/// Reads a file that only its owner may reach, up to one byte more than `max`. Permissions are those of
/// the opened file, so that nothing can be put in its place between check and reading.
pub(super) fn read_private(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let file = File::open(path).map_err(missing_or("open", path))?;
    let mode = file.metadata().map_err(disk("look at", path))?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(KeyFault::TooOpen { path: path.to_owned(), mode: mode & 0o777 });
    }
    read_at_most(file, path, max)
}

/// Reads up to one byte more than `max`, so that the caller can tell that there was more.
pub(super) fn read_at_most(file: File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let room = usize::try_from(max).unwrap_or(0).saturating_add(1);
    // Room for all of it at once: a growing buffer would leave copies behind that are never wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(disk("read", path))?;
    Ok(bytes)
}

fn check_dir(dir: &Path) -> Result<(), KeyFault> {
    let mode = fs::metadata(dir).map_err(missing_or("look at", dir))?.permissions().mode();
    if mode & OTHERS == 0 { Ok(()) } else { Err(KeyFault::TooOpen { path: dir.to_owned(), mode: mode & 0o777 }) }
}

pub(super) fn holds_something(dir: &Path) -> Result<bool, KeyFault> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(disk("list", dir)(cause)),
    }
}

/// Overwrites a file and removes it; fine if there is none. Whether the device keeps what was written over is for
/// nobody here to say.
pub(super) fn destroy(path: &Path) -> Result<(), KeyFault> {
    let absent = |cause: &io::Error| cause.kind() == io::ErrorKind::NotFound;
    let overwritten = OpenOptions::new().write(true).open(path).and_then(|mut file| {
        let bytes = file.metadata()?.len().min(FILE_BYTES_MAX);
        file.write_all(&vec![0; usize::try_from(bytes).unwrap_or(0)])?;
        file.sync_all()
    });
    match overwritten.and_then(|()| fs::remove_file(path)) {
        Err(cause) if !absent(&cause) => Err(disk("destroy", path)(cause)),
        _ => Ok(()),
    }
}

pub(super) fn remove_left_over(new: &Path) -> Result<(), KeyFault> {
    match fs::remove_dir_all(new) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(disk("remove", new)(cause)),
        _ => Ok(()),
    }
}

fn write_all(dir: &Path, entries: &[Entry], secret: &FolderSecret) -> Result<(), KeyFault> {
    for (Slot { name, content, .. }, plaintext) in entries {
        let password = secret.password(name);
        write_new(&path_of(dir, name), &seal(name, *content, plaintext, password.as_bytes(), Cost::Random, secret)?)?;
    }
    Ok(())
}

fn write_new(path: &Path, file: &KeyFile) -> Result<(), KeyFault> {
    write_text(path, &file.to_text())
}

fn write_text(path: &Path, text: &str) -> Result<(), KeyFault> {
    let mut out =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(disk("create", path))?;
    out.write_all(text.as_bytes()).map_err(disk("write", path))?;
    out.sync_all().map_err(disk("sync", path))
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), KeyFault> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(disk("sync", dir))
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pem"))
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    dir.with_file_name(name)
}

/// The folder that holds `dir`; a bare name lies in the current one.
fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn disk(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFault {
    move |cause| KeyFault::Disk { doing, path: path.to_owned(), cause }
}

pub(super) fn missing_or(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFault {
    move |cause| match cause.kind() {
        io::ErrorKind::NotFound => KeyFault::Missing { path: path.to_owned() },
        _ => disk(doing, path)(cause),
    }
}
