//! What tells one document of a charter or profile from another.

use super::{CHARTER_TYPE, DIRECTORY_TYPE, HEAD_TYPE, PROFILE_TYPE, ProfileFault, SUSPENSION_TYPE, document_id};
use crate::{
    ids::{Digest, PartyCode},
    proto,
    wire::{DOCUMENT_MAX, strict},
};

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
    /// Where it lies as a file among others of its network, one of a kind and Party in place of the one before; none
    /// for a head, which is out of date tomorrow.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        let party = self.party.as_ref().map_or("", PartyCode::as_str);
        match self.kind {
            Kind::Charter => Some(format!("charters/{:06}.dsse", self.version)),
            Kind::Profile => Some(format!("profiles/{party}.dsse")),
            Kind::Directory => Some(format!("directories/{party}.dsse")),
            Kind::Suspension => Some(format!("suspensions/{party}-{}.dsse", self.id.short())),
            Kind::Head => None,
        }
    }

    pub(super) fn of(kind: Kind, party: &PartyCode, version: u64, id: Digest) -> Self {
        Self { kind, party: Some(party.clone()), version, id }
    }
}

/// What an envelope says it is. Nothing is checked but its form: only to sort documents, and to pass over what is known.
///
/// # Errors
/// When it is no document of a charter or Party, or not well formed.
pub fn claimed(envelope: &[u8]) -> Result<Document, ProfileFault> {
    let proto::Envelope { payload_type, header, .. } = strict(envelope, DOCUMENT_MAX)?;
    let id = document_id(&payload_type, &header);
    let of = |kind, party: &str, version| Ok(Document::of(kind, &PartyCode::parse(party)?, version, id));
    match payload_type.as_str() {
        CHARTER_TYPE => {
            let wire: proto::Charter = strict(&header, DOCUMENT_MAX)?;
            Ok(Document { kind: Kind::Charter, party: None, version: wire.version, id })
        }
        PROFILE_TYPE => {
            let wire: proto::Profile = strict(&header, DOCUMENT_MAX)?;
            of(Kind::Profile, &wire.party, wire.version)
        }
        DIRECTORY_TYPE => {
            let wire: proto::Directory = strict(&header, DOCUMENT_MAX)?;
            of(Kind::Directory, &wire.party, wire.version)
        }
        SUSPENSION_TYPE => {
            let wire: proto::Suspension = strict(&header, DOCUMENT_MAX)?;
            of(Kind::Suspension, &wire.party, wire.profile_version)
        }
        HEAD_TYPE => {
            let wire: proto::ProfileHead = strict(&header, DOCUMENT_MAX)?;
            of(Kind::Head, &wire.party, wire.issued_ms)
        }
        _ => Err(ProfileFault::WrongType("document of a charter or profile")),
    }
}
