//! What a document is judged beside: the version before it, the charter in force, the profile it belongs to.
//!
//! These are files a person names, and each is opened under its own id: it must be signed by those it names itself.
//! Whether it is the right one, the person tells by its fingerprint.

use std::path::PathBuf;

use comity_core::{
    ids::Time,
    profile::{Charter, Directory, Profile, ProfileFault, Quorum, Suspension, claimed},
    proto::{self, KeyRole},
};

use super::{CeremonyFault, Document, Paper};

/// The files a person names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// The version before, signed: to see what changes, and to count its signers.
    pub(crate) after: Option<PathBuf>,
    /// The charter in force, for everything that is of one Party.
    pub(crate) charter: Option<PathBuf>,
    /// The profile a directory belongs to.
    pub(crate) profile: Option<PathBuf>,
}

/// The same, read and opened.
pub(crate) struct Beside {
    pub(crate) before: Option<Document>,
    /// The version before is signed with root keys that do not count any more: who signed it cannot be told.
    pub(super) before_unproved: bool,
    charter_before: Option<Charter>,
    charter: Option<Charter>,
    profile: Option<Profile>,
    pub(crate) now: Time,
}

impl Beside {
    /// Reads the files that are named.
    pub(crate) fn read(files: &Files, now: Time) -> Result<Self, CeremonyFault> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(Document::read).transpose();
        let charter = read(&files.charter)?.map(|document| alone(&document)).transpose()?;
        let profile = read(&files.profile)?.map(|document| {
            let charter = charter.as_ref().ok_or_else(|| needs_charter("profile"))?;
            document.profile()?;
            Profile::open(&document.envelope(), charter, now).map_err(|source| document.fault(source))
        });
        let profile = profile.transpose()?;
        let mut beside = Self { before: None, before_unproved: false, charter_before: None, profile, charter, now };
        if let Some(before) = read(&files.after)? {
            beside.take_before(before)?;
        }
        Ok(beside)
    }

    fn take_before(&mut self, before: Document) -> Result<(), CeremonyFault> {
        match &before.paper {
            Paper::Charter(_) => self.charter_before = Some(alone(&before)?),
            Paper::Profile(_) => {
                let charter = self.charter("profile")?;
                match Profile::open(&before.envelope(), charter, self.now) {
                    // Signed with root keys that a later charter has changed: what was accepted stays.
                    Err(ProfileFault::Threshold) if charter.version > 1 && !before.signatures.is_empty() => {
                        Profile::check(before.profile()?, charter).map_err(|source| before.fault(source))?;
                        self.before_unproved = true;
                    }
                    opened => drop(opened.map_err(|source| before.fault(source))?),
                }
            }
            // Who signed an older directory does not matter to a newer one.
            Paper::Directory(_) => {}
            other @ (Paper::Suspension(_) | Paper::Head(_)) => {
                let (found, path) = (other.kind(), before.path.clone());
                return Err(CeremonyFault::OtherKind { path, found, wanted: "charter, profile or directory" });
            }
        }
        self.before = Some(before);
        Ok(())
    }

    /// The charter before the one at hand, if it was given.
    pub(crate) fn charter_before(&self) -> Option<&Charter> {
        self.charter_before.as_ref()
    }

    /// The charter in force.
    pub(crate) fn charter(&self, kind: &'static str) -> Result<&Charter, CeremonyFault> {
        self.charter.as_ref().ok_or_else(|| needs_charter(kind))
    }

    /// The profile a directory or head belongs to.
    pub(crate) fn profile(&self, kind: &'static str) -> Result<&Profile, CeremonyFault> {
        let needs = CeremonyFault::Needs { kind, other: "its profile", option: "--profile" };
        self.profile.as_ref().ok_or(needs)
    }

    /// Checks a document as far as it can be before anybody has signed.
    ///
    /// # Errors
    /// When its content does not hold, it does not follow the version before, or something needed was not given.
    pub(crate) fn check(&self, document: &Document) -> Result<(), CeremonyFault> {
        self.check_same_kind(document)?;
        let kind = document.paper.kind();
        let checked = match &document.paper {
            Paper::Charter(wire) => match self.charter_before() {
                Some(before) => before.check_next(wire),
                None => Charter::check(wire),
            },
            Paper::Profile(wire) => {
                let held = Profile::check(wire, self.charter(kind)?);
                held.and_then(|()| self.follows(wire, document))
            }
            Paper::Directory(wire) => Directory::check(wire, self.profile(kind)?),
            Paper::Suspension(wire) => Suspension::check(wire, self.charter(kind)?),
            Paper::Head(_) => Ok(()),
        };
        checked.map_err(|source| document.fault(source))
    }

    fn check_same_kind(&self, document: &Document) -> Result<(), CeremonyFault> {
        let Some(before) = &self.before else { return Ok(()) };
        let (found, wanted) = (before.paper.kind(), document.paper.kind());
        if found == wanted {
            return Ok(());
        }
        Err(CeremonyFault::OtherKind { path: before.path.clone(), found, wanted })
    }

    /// A profile given as the version before must be it.
    fn follows(&self, wire: &proto::Profile, document: &Document) -> Result<(), ProfileFault> {
        let Some(before) = &self.before else { return Ok(()) };
        let Paper::Profile(old) = &before.paper else { return Ok(()) };
        if old.party != wire.party {
            return Err(ProfileFault::OtherProfile);
        }
        if wire.version <= old.version {
            return Err(ProfileFault::Older);
        }
        let named = wire.version == old.version + 1 && wire.previous == before.id().as_bytes();
        if named { Ok(()) } else { Err(ProfileFault::Fork(Box::new(claimed(&document.envelope())?))) }
    }
}

/// Opens a charter by itself, under its own id: signed by those it names.
pub(crate) fn alone(document: &Document) -> Result<Charter, CeremonyFault> {
    document.charter()?;
    Charter::open(&document.envelope(), document.id()).map_err(|source| document.fault(source))
}

/// Who signs, as a charter says itself.
pub(super) fn signers_of(document: &Document) -> Result<Quorum, CeremonyFault> {
    let quorum = document.charter()?.signers.clone().unwrap_or_default();
    Quorum::from_wire(&quorum, KeyRole::Charter).map_err(|source| document.fault(source))
}

fn needs_charter(kind: &'static str) -> CeremonyFault {
    CeremonyFault::Needs { kind, other: "the charter in force", option: "--charter" }
}
