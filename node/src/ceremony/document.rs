//! A signed document, or one on its way to be: which kind it is, what it says, and who has put signatures to it.

use std::path::{Path, PathBuf};

use comity_core::{
    ids::Digest,
    profile::{
        CHARTER_TYPE, DIRECTORY_TYPE, HEAD_TYPE, PROFILE_TYPE, ProfileFault, SUSPENSION_TYPE, document, document_id,
    },
    proto::{self, Signature},
    wire::{DOCUMENT_MAX, strict},
};
use prost::Message as _;

use super::{CeremonyFault, files};

/// What a document says, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Paper {
    /// Who belongs to the network.
    Charter(Box<proto::Charter>),
    /// Who speaks for a Party.
    Profile(Box<proto::Profile>),
    /// How a Party is reached.
    Directory(proto::Directory),
    /// A Party's emergency brake.
    Suspension(proto::Suspension),
    /// What is newest of a Party.
    Head(proto::ProfileHead),
}

impl Paper {
    fn of(payload_type: &str, payload: &[u8]) -> Option<Result<Self, ProfileFault>> {
        fn read<M: prost::Message + Default>(
            payload: &[u8],
            paper: impl Fn(M) -> Paper,
        ) -> Result<Paper, ProfileFault> {
            Ok(strict(payload, DOCUMENT_MAX).map(paper)?)
        }
        Some(match payload_type {
            CHARTER_TYPE => read(payload, |wire| Self::Charter(Box::new(wire))),
            PROFILE_TYPE => read(payload, |wire| Self::Profile(Box::new(wire))),
            DIRECTORY_TYPE => read(payload, Self::Directory),
            SUSPENSION_TYPE => read(payload, Self::Suspension),
            HEAD_TYPE => read(payload, Self::Head),
            _ => return None,
        })
    }

    /// As people call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Charter(_) => "charter",
            Self::Profile(_) => "profile",
            Self::Directory(_) => "directory",
            Self::Suspension(_) => "suspension",
            Self::Head(_) => "profile head",
        }
    }

    /// The Party whose it is; a charter is of all.
    pub(crate) fn party(&self) -> Option<&str> {
        match self {
            Self::Charter(_) => None,
            Self::Profile(wire) => Some(&wire.party),
            Self::Directory(wire) => Some(&wire.party),
            Self::Suspension(wire) => Some(&wire.party),
            Self::Head(wire) => Some(&wire.party),
        }
    }

    fn payload_type(&self) -> &'static str {
        match self {
            Self::Charter(_) => CHARTER_TYPE,
            Self::Profile(_) => PROFILE_TYPE,
            Self::Directory(_) => DIRECTORY_TYPE,
            Self::Suspension(_) => SUSPENSION_TYPE,
            Self::Head(_) => HEAD_TYPE,
        }
    }

    fn payload(&self) -> Vec<u8> {
        match self {
            Self::Charter(wire) => wire.encode_to_vec(),
            Self::Profile(wire) => wire.encode_to_vec(),
            Self::Directory(wire) => wire.encode_to_vec(),
            Self::Suspension(wire) => wire.encode_to_vec(),
            Self::Head(wire) => wire.encode_to_vec(),
        }
    }
}

/// A document with the signatures it has so far. Nothing is proved by having one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// Where it was read, or will be written.
    pub(crate) path: PathBuf,
    pub(crate) paper: Paper,
    /// The exact bytes that are signed.
    payload: Vec<u8>,
    pub(crate) signatures: Vec<Signature>,
}

impl Document {
    /// A document nobody has signed.
    pub(crate) fn unsigned(path: &Path, paper: Paper) -> Self {
        Self { path: path.to_owned(), payload: paper.payload(), paper, signatures: Vec::new() }
    }

    /// The same, to be found under another name.
    pub(crate) fn at(mut self, path: PathBuf) -> Self {
        self.path = path;
        self
    }

    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, CeremonyFault> {
        Self::parse(path, &files::read(path, DOCUMENT_MAX)?)
    }

    /// Reads what a file holds, strictly.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CeremonyFault> {
        let none = || CeremonyFault::NoDocument(path.to_owned());
        let envelope: proto::Envelope = strict(bytes, DOCUMENT_MAX).map_err(|_| none())?;
        if !envelope.body.is_empty() {
            return Err(none());
        }
        let paper = Paper::of(&envelope.payload_type, &envelope.header).ok_or_else(none)?;
        let paper = paper.map_err(|source| CeremonyFault::Document { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), paper, payload: envelope.header, signatures: envelope.signatures })
    }

    /// The document id: signatures apart, so that all copies have one. Of a charter, the fingerprint.
    pub(crate) fn id(&self) -> Digest {
        document_id(self.paper.payload_type(), &self.payload)
    }

    /// Of which kind and whose it is, in words.
    pub(crate) fn named(&self) -> String {
        let of = self.paper.party().map(|party| format!(" of {party}")).unwrap_or_default();
        format!("{}{of}", self.paper.kind())
    }

    /// As it is kept and handed over.
    pub(crate) fn envelope(&self) -> Vec<u8> {
        document(self.paper.payload_type(), self.payload.clone(), self.signatures.clone())
    }

    /// True if the other is a copy of it, whoever signed which.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.paper.payload_type() == other.paper.payload_type() && self.payload == other.payload
    }

    /// The same with these signatures besides; what stands in it already is not added again.
    pub(crate) fn with(mut self, signatures: &[Signature]) -> Self {
        for signature in signatures {
            if !self.signatures.iter().any(|own| own.key_id == signature.key_id) {
                self.signatures.push(signature.clone());
            }
        }
        self.signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        self
    }

    /// The same with only those signatures whose keys pass.
    pub(crate) fn only(&self, keys: impl Fn(&[u8]) -> bool) -> Self {
        let mut reduced = self.clone();
        reduced.signatures.retain(|signature| keys(&signature.key_id));
        reduced
    }

    /// The charter in it.
    pub(crate) fn charter(&self) -> Result<&proto::Charter, CeremonyFault> {
        match &self.paper {
            Paper::Charter(wire) => Ok(wire),
            other => Err(self.other_kind(other, "charter")),
        }
    }

    /// The profile in it.
    pub(crate) fn profile(&self) -> Result<&proto::Profile, CeremonyFault> {
        match &self.paper {
            Paper::Profile(wire) => Ok(wire),
            other => Err(self.other_kind(other, "profile")),
        }
    }

    /// The directory in it.
    pub(crate) fn directory(&self) -> Result<&proto::Directory, CeremonyFault> {
        match &self.paper {
            Paper::Directory(wire) => Ok(wire),
            other => Err(self.other_kind(other, "directory")),
        }
    }

    fn other_kind(&self, found: &Paper, wanted: &'static str) -> CeremonyFault {
        CeremonyFault::OtherKind { path: self.path.clone(), found: found.kind(), wanted }
    }

    pub(crate) fn fault(&self, source: ProfileFault) -> CeremonyFault {
        CeremonyFault::Document { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::tests::{charter, profile};

    #[test]
    fn a_document_reads_as_it_was_written_and_nothing_else_does() {
        let path = Path::new("a.dsse");
        for paper in [Paper::Charter(Box::new(charter())), Paper::Profile(Box::new(profile()))] {
            let document = Document::unsigned(path, paper);
            let bytes = document.envelope();
            assert_eq!(Document::parse(path, &bytes).expect("reads"), document);
            for wrong in [&bytes[1..], &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), b"", b"schema = 1\n"] {
                assert!(Document::parse(path, wrong).is_err());
            }
        }
    }

    #[test]
    fn a_signature_stands_once() {
        let document = Document::unsigned(Path::new("a"), Paper::Charter(Box::new(charter())));
        let signature = |n: u8| Signature { key_id: vec![n], signature: vec![n] };
        let signed = document.with(&[signature(2), signature(1)]).with(&[signature(1), signature(3)]);
        let ids: Vec<u8> = signed.signatures.iter().map(|signature| signature.key_id[0]).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(signed.only(|key| key == [2]).signatures, [signature(2)]);
    }
}
