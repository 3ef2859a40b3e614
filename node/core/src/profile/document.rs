//! What tells one document of a charter or profile from another.

use crate::ids::{Digest, PartyCode};

/// The kinds of document, in the order in which some of each can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Who is a Party.
    Charter,
    /// Who speaks for a Party.
    Profile,
    /// Where and when a Party is reached.
    Directory,
    /// Nobody speaks for a Party for now.
    Suspension,
    /// What is newest of a Party. Not kept in the ledger.
    Head,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Charter, Self::Profile, Self::Directory, Self::Suspension, Self::Head];

    /// Its name in records and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Charter => "charter",
            Self::Profile => "profile",
            Self::Directory => "directory",
            Self::Suspension => "suspension",
            Self::Head => "head",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One document, named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Of which kind.
    pub kind: Kind,
    /// Whose; none if it is a charter.
    pub party: Option<PartyCode>,
    /// Its number: of a suspension the profile's, of a head the time it was issued.
    pub version: u64,
    /// The document id.
    pub id: Digest,
}

impl Document {
    pub(super) fn of(kind: Kind, party: &PartyCode, version: u64, id: Digest) -> Self {
        Self { kind, party: Some(party.clone()), version, id }
    }
}
