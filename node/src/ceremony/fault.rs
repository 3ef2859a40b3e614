//! Why a ceremony stops, each with what to do: for officers who have nobody beside them to ask.

use std::{io, path::PathBuf};

use comity_core::profile::ProfileFault;

use crate::keys::KeyFault;

/// Why a step of a ceremony was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CeremonyFault {
    /// A file that should be read.
    #[error(
        "ceremony.unreadable: nothing was done: {path} cannot be read ({cause}). Check the name, or ask for the file again",
        path = .path.display()
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file far larger than any of its kind.
    #[error(
        "ceremony.too-large: nothing was done: {path} is longer than {max} bytes, and no such file is. Check that the right file was given",
        path = .path.display()
    )]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A file or folder stands where the new one should.
    #[error(
        "ceremony.exists: nothing was written: {path} is there already and is never overwritten. Choose another name, or move it away",
        path = .0.display()
    )]
    Exists(PathBuf),
    /// The system refused to write.
    #[error(
        "ceremony.disk: the step was not finished: could not {doing} {path}: {cause}. Correct that and do the step again",
        path = .path.display()
    )]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A draft that does not read.
    #[error(
        "ceremony.bad-draft: nothing was done: {path} does not read as a draft: {why}. Correct it there and try again",
        path = .path.display()
    )]
    Draft {
        /// The draft.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
    /// A public half that does not read, or is of another role.
    #[error(
        "ceremony.bad-holder: nothing was done: {path} is not the public half that is needed: {why}. Ask its holder for the .pub file again",
        path = .path.display()
    )]
    Holder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file that is no document of a charter or profile.
    #[error(
        "ceremony.no-document: nothing was done: {path} is no charter, profile, directory, suspension or kit. Check that the right file was given",
        path = .0.display()
    )]
    NoDocument(PathBuf),
    /// A document of another kind than this step is for.
    #[error(
        "ceremony.other-kind: nothing was done: {path} is a {found}, and a {wanted} is needed here. Check that the right file was given",
        path = .path.display()
    )]
    OtherKind {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A document whose content or signatures do not hold.
    #[error("{source} (file: {path})", path = .path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ProfileFault,
    },
    /// The document cannot be judged without another one.
    #[error(
        "ceremony.needs-other: nothing was done: a {kind} is judged beside {other}, which was not given. Give it with {option} FILE"
    )]
    Needs {
        /// Of the document at hand.
        kind: &'static str,
        /// What is needed.
        other: &'static str,
        /// How it is given.
        option: &'static str,
    },
    /// A copy of something else.
    #[error(
        "ceremony.other-content: nothing was written: {path} is no copy of the proposal: what it says is not the same. Somebody signed another text; compare both with `show` before anything else",
        path = .0.display()
    )]
    OtherContent(PathBuf),
    /// A signature by somebody who has no part in the document.
    #[error(
        "ceremony.stranger: nothing was written: {path} carries a signature of key {key}, which has no part in this document. Find out who signed; leave that copy out",
        path = .path.display()
    )]
    Stranger {
        /// Which file.
        path: PathBuf,
        /// The key, shortened.
        key: String,
    },
    /// A signature that does not verify.
    #[error(
        "ceremony.bad-signature: nothing was written: in {path} the signature of key {key} does not fit the text. The file was changed after it was signed; ask for it again",
        path = .path.display()
    )]
    BadSignature {
        /// Which file.
        path: PathBuf,
        /// The holder's mark.
        key: String,
    },
    /// Only one of the two signatures of a holder.
    #[error(
        "ceremony.half-signature: nothing was written: in {path} only one half of a pair has signed ({key}). Ask that holder to sign again",
        path = .path.display()
    )]
    Half {
        /// Which file.
        path: PathBuf,
        /// The key, shortened.
        key: String,
    },
    /// Signatures that are out of order or repeat.
    #[error(
        "ceremony.disordered: nothing was written: the signatures in {path} are out of order or repeat. The file was not made by this program; ask for it again",
        path = .0.display()
    )]
    Disordered(PathBuf),
    /// A holder who has no part in the document.
    #[error(
        "ceremony.not-a-signer: nothing was signed: the key {key} has no part in this document. Check that this is the right file and the right key folder"
    )]
    NotASigner {
        /// The holder's mark.
        key: String,
    },
    /// A holder who signed before.
    #[error(
        "ceremony.signed-already: nothing was signed: the key {key} has signed this copy before. Hand the copy on as it is"
    )]
    SignedAlready {
        /// The holder's mark.
        key: String,
    },
    /// A folder without keys that sign documents.
    #[error(
        "ceremony.no-keys: nothing was signed: {path} holds no root, charter or node keys. Name the folder that `comity key create` made",
        path = .0.display()
    )]
    NoKeys(PathBuf),
    /// Text that is no fingerprint.
    #[error(
        "ceremony.no-fingerprint: nothing was done: what was given is neither 64 lower-case hexadecimal digits nor the 24 words of a fingerprint: a word was misread, or one is missing. Read it again from the printed minutes"
    )]
    NoFingerprint,
    /// Another fingerprint than the one given by hand.
    #[error(
        "ceremony.other-fingerprint: nothing was done: {path} has the fingerprint {found}, which is not the one given. Do not use it; ask the secretariat by another way which one is right",
        path = .path.display()
    )]
    OtherFingerprint {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
    },
    /// A kit that lacks what it must have.
    #[error(
        "ceremony.bad-kit: nothing was made: {path} {why}. Ask the secretariat for the kit again",
        path = .path.display()
    )]
    Kit {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Keys or passphrase.
    #[error(transparent)]
    Keys(#[from] KeyFault),
}

impl CeremonyFault {
    /// The stable code, as in `comity explain CODE`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "ceremony.unreadable",
            Self::TooLarge { .. } => "ceremony.too-large",
            Self::Exists(_) => "ceremony.exists",
            Self::Disk { .. } => "ceremony.disk",
            Self::Draft { .. } => "ceremony.bad-draft",
            Self::Holder { .. } => "ceremony.bad-holder",
            Self::NoDocument(_) => "ceremony.no-document",
            Self::OtherKind { .. } => "ceremony.other-kind",
            Self::Document { source, .. } => source.code(),
            Self::Needs { .. } => "ceremony.needs-other",
            Self::OtherContent(_) => "ceremony.other-content",
            Self::Stranger { .. } => "ceremony.stranger",
            Self::BadSignature { .. } => "ceremony.bad-signature",
            Self::Half { .. } => "ceremony.half-signature",
            Self::Disordered(_) => "ceremony.disordered",
            Self::NotASigner { .. } => "ceremony.not-a-signer",
            Self::SignedAlready { .. } => "ceremony.signed-already",
            Self::NoKeys(_) => "ceremony.no-keys",
            Self::NoFingerprint => "ceremony.no-fingerprint",
            Self::OtherFingerprint { .. } => "ceremony.other-fingerprint",
            Self::Kit { .. } => "ceremony.bad-kit",
            Self::Keys(fault) => fault.code(),
        }
    }

    /// True if something given does not hold; else the step was not used as it is meant.
    pub(crate) fn is_finding(&self) -> bool {
        match self {
            Self::Document { .. }
            | Self::OtherContent(_)
            | Self::Stranger { .. }
            | Self::BadSignature { .. }
            | Self::Half { .. }
            | Self::Disordered(_)
            | Self::OtherFingerprint { .. }
            | Self::Kit { .. }
            | Self::Disk { .. } => true,
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Exists(_)
            | Self::Draft { .. }
            | Self::Holder { .. }
            | Self::NoDocument(_)
            | Self::OtherKind { .. }
            | Self::Needs { .. }
            | Self::NotASigner { .. }
            | Self::SignedAlready { .. }
            | Self::NoKeys(_)
            | Self::NoFingerprint
            | Self::Keys(_) => false,
        }
    }
}
