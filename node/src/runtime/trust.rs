//! Charter and profiles from the data folder: `charter/charter.dsse` and `charter/profiles/*.dsse`.
//!
//! Decides only where the files lie; whether they hold is for `profile` in core, under the
//! fingerprint pinned in the settings.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use comity_core::{
    ids::{Digest, PartyCode, Time},
    profile::{Charter, Profile, ProfileFault, Trust},
};

/// The charter within the data folder.
pub const CHARTER_FILE: &str = "charter/charter.dsse";
/// The profiles within the data folder, one file per Party.
pub const PROFILES_FOLDER: &str = "charter/profiles";

/// Why charter and profiles are not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A file is missing or cannot be read.
    #[error(
        "trust.unreadable: the node does not start; {path} cannot be read; restore it from the founding kit; {source}"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document does not hold.
    #[error("{code}: the node does not start; {path}: {source}", code = source.code())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ProfileFault,
    },
    /// The own profile is missing.
    #[error(
        "trust.no-own-profile: the node does not start; there is no current profile of {0}; put it into charter/profiles"
    )]
    NoOwnProfile(PartyCode),
}

impl TrustFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "trust.unreadable",
            Self::Document { source, .. } => source.code(),
            Self::NoOwnProfile(_) => "trust.no-own-profile",
        }
    }
}

/// Reads the charter under the pinned fingerprint and every profile beside it.
///
/// # Errors
/// When a file cannot be read or a document does not hold.
pub fn load(data: &Path, fingerprint: Digest, now: Time) -> Result<Trust, TrustFault> {
    let path = data.join(CHARTER_FILE);
    let document = |path: &Path| {
        let path = path.to_owned();
        move |source| TrustFault::Document { path, source }
    };
    let charter = Charter::open(&read(&path)?, fingerprint).map_err(document(&path))?;
    let mut profiles = Vec::new();
    for file in profile_files(&data.join(PROFILES_FOLDER))? {
        profiles.push(Profile::open(&read(&file)?, &charter, now).map_err(document(&file))?);
    }
    Trust::new(charter, profiles).map_err(document(&path))
}

fn read(path: &Path) -> Result<Vec<u8>, TrustFault> {
    fs::read(path).map_err(|source| TrustFault::Unreadable { path: path.to_owned(), source })
}

fn profile_files(folder: &Path) -> Result<Vec<PathBuf>, TrustFault> {
    let unreadable = |source| TrustFault::Unreadable { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dsse"))
        .collect();
    files.sort();
    Ok(files)
}
