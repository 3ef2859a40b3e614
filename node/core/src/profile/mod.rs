//! Who belongs to the network and who may do what, when: the charter, the Parties' profiles and
//! the questions asked of them. Serves SPEC `[C-*]` and `[P-*]`.
//!
//! [`Trust`] is the whole answer at one moment: a charter under a pinned fingerprint and one
//! current profile per Party. The charter says who is a Party; only the Party says who speaks for
//! it. Chains of versions, heads and suspension are walked elsewhere and end in a new [`Trust`].

mod book;
mod chain;
mod charter;
mod declared;
mod directory;
mod document;
mod hours;
mod lacking;
mod quorum;
mod suspension;
mod trust;

use std::cmp::Ordering;

use prost::Message as _;

use crate::{
    crypto::{CryptoFault, PublicKey, Seed, is_ed25519_key, pae, sha256, sign},
    ids::{Digest, Malformed, NetworkName, PartyCode},
    proto::{self, Algorithm, KeyRole},
    wire::{DOCUMENT_MAX, WireFault, strict},
};
pub use book::{Book, Judged, News};
pub use chain::{Mandate, REFOUNDING_MS, Succession};
pub use charter::{Charter, Party, witness_quorum};
pub use declared::{FOUR_EYES, PartyLedger, Profile};
pub use directory::{DIRECTORY_TYPE, Directory, FROZEN_MS, Freshness, HEAD_TYPE, Head, Held, STALE_MS};
pub use document::{Document, Kind, claimed};
pub use hours::Hours;
pub use lacking::Lacked;
pub use quorum::{Quorum, SignerFault, Signers};
pub use suspension::{SUSPENSION_TYPE, Suspension};
pub use trust::{Doubt, Trust};

/// Payload type of a charter.
pub const CHARTER_TYPE: &str = "application/vnd.comity.charter.v1";
/// Payload type of a profile.
pub const PROFILE_TYPE: &str = "application/vnd.comity.profile.v1";
/// Payload type of what a node's key signs to belong to a Party.
const NODE_TYPE: &str = "application/vnd.comity.node.v1";
/// Payload type of a document id, which is what its holders sign.
const DOCUMENT_ID_TYPE: &str = "application/vnd.comity.document-id.v1";

/// Witnesses of one ledger: with seven, two may collude and the others still decide.
pub const WITNESSES_MAX: usize = 7;

/// A PeerId of an Ed25519 key is the identity multihash of its protobuf form: this and the key.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// How far another clock may be ahead of ours: beyond ordinary skew, below any legal clock.
pub const AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

/// Why a charter or profile is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// The bytes are not a strictly encoded document.
    #[error("profile.malformed: the document is not accepted; {0}; ask its Party or the secretariat for a fresh copy")]
    Wire(#[from] WireFault),
    /// A name in it is not well formed.
    #[error("profile.bad-name: the document is not accepted; {0}; ask its author to correct it")]
    Name(#[from] Malformed),
    /// A list is out of order, repeats, or names something it may not.
    #[error("profile.bad-content: the document is not accepted; {0}; ask its author to correct it")]
    Content(&'static str),
    /// The envelope is for another kind of document.
    #[error("profile.wrong-type: this file is not a {0}; check that the right file was given")]
    WrongType(&'static str),
    /// Fewer distinct keys signed than the threshold demands, or a stranger signed.
    #[error(
        "profile.threshold-not-met: the document is not accepted; it lacks valid signatures of enough distinct keys; do not use it and tell the secretariat"
    )]
    Threshold,
    /// The charter is not the one whose fingerprint was given by hand.
    #[error(
        "profile.wrong-fingerprint: the charter is not accepted; its fingerprint differs from the pinned one; compare it with the printed minutes of the founding"
    )]
    Fingerprint,
    /// A profile of a Party the charter does not name, or of another network.
    #[error("profile.not-chartered: the profile is not accepted; the charter does not name this Party")]
    NotChartered,
    /// It names a node that another Party's newest profile names as well, and both prove it: whoever holds that key has
    /// given it to both.
    #[error(
        "profile.node-taken: the profile is not accepted; another Party's newest profile names a node of it; ask both Parties which of them it is"
    )]
    NodeTaken,
    /// A directory or head of another Party or profile than the one held.
    #[error(
        "profile.other-profile: the document is not accepted; it belongs to another profile than the one held; fetch the profile it names"
    )]
    OtherProfile,
    /// Not signed by a directory key of the Party.
    #[error(
        "profile.not-directory-key: the document is not accepted; no directory key of its Party signed it; do not use it and tell the Party"
    )]
    NotDirectoryKey,
    /// A head from the future.
    #[error(
        "profile.ahead: the document is not accepted; it was issued more than five minutes ahead of this clock; check the clocks of both sides"
    )]
    Ahead,
    /// More of one Party than it has reason to sign in a day.
    #[error(
        "profile.too-many: the document is not accepted today; its Party has signed more than 64 in 24 hours; ask it why, by another way"
    )]
    TooMany,
    /// Two documents of one number.
    #[error(
        "profile.fork: the document is not accepted; its Party has signed two of this number; keep both and tell the Party and the secretariat"
    )]
    Fork(Box<Document>),
    /// Of a lower number or an earlier day than what is held.
    #[error("profile.roll-back: the document is not accepted; it is older than what is held; keep the newer one")]
    Older,
    /// A charter of another network, or of an exercise where this one is in earnest.
    #[error(
        "charter.other-network: the charter is not accepted; it is of another network; ask the secretariat for the right one"
    )]
    OtherNetwork,
    /// A charter no newer than the one in force.
    #[error(
        "charter.roll-back: the charter is not accepted; it is no newer than the one in force; keep the newer one and tell the secretariat who sent it"
    )]
    RollBack,
    /// The charter in force has expired.
    #[error(
        "charter.expired: the profile is not accepted; the charter in force has expired, and until the next one no Party or key role joins; fetch the charter that follows it"
    )]
    Expired,
    /// A charter with others missing before it.
    #[error(
        "charter.gap: the charter is not accepted yet; version {from} and those after it are missing; fetch them first"
    )]
    Gap {
        /// The first version that is missing.
        from: u64,
    },
    /// A charter that names another one before it.
    #[error(
        "charter.other-chain: the charter is not accepted; it follows another charter than the one in force; keep both and tell the secretariat, for there are two"
    )]
    OtherChain,
    /// The Parties may not go on without the signers yet.
    #[error(
        "charter.not-expired: the charter is not accepted; the Parties alone may follow an expired charter only; have the signers of the one in force sign it"
    )]
    NotExpired,
}

impl ProfileFault {
    /// People are shown what a document says before they sign it, and at every node: it must be what it looks like.
    pub(crate) const UNSHOWABLE: Self =
        Self::Content("a text in it is too long, or has characters that cannot be shown as they are");

    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(_) => "profile.malformed",
            Self::Name(_) => "profile.bad-name",
            Self::Content(_) => "profile.bad-content",
            Self::WrongType(_) => "profile.wrong-type",
            Self::Threshold => "profile.threshold-not-met",
            Self::Fingerprint => "profile.wrong-fingerprint",
            Self::NotChartered => "profile.not-chartered",
            Self::NodeTaken => "profile.node-taken",
            Self::OtherProfile => "profile.other-profile",
            Self::NotDirectoryKey => "profile.not-directory-key",
            Self::Ahead => "profile.ahead",
            Self::TooMany => "profile.too-many",
            Self::Fork(_) => "profile.fork",
            Self::Older => "profile.roll-back",
            Self::OtherNetwork => "charter.other-network",
            Self::Expired => "charter.expired",
            Self::RollBack => "charter.roll-back",
            Self::Gap { .. } => "charter.gap",
            Self::OtherChain => "charter.other-chain",
            Self::NotExpired => "charter.not-expired",
        }
    }
}

/// The id of a signed document: SHA-256 over its pre-authentication encoding, signatures apart.
#[must_use]
pub fn document_id(payload_type: &str, payload: &[u8]) -> Digest {
    sha256(&[&pae(payload_type, payload)])
}

/// What is signed of a document: its id. So a signature takes as long over a charter of megabytes as over a head, and an
/// officer signs the very fingerprint that was read aloud. SPEC `[S-1]`.
#[must_use]
pub fn signing_message(id: &Digest) -> Vec<u8> {
    pae(DOCUMENT_ID_TYPE, id.as_bytes())
}

/// An envelope of one kind of document, taken apart; no signature is checked yet.
pub(crate) struct Opened<M> {
    pub(crate) wire: M,
    pub(crate) id: Digest,
    pub(crate) signatures: Vec<proto::Signature>,
}

pub(crate) fn read<M: prost::Message + Default>(
    envelope: &[u8],
    payload_type: &'static str,
    name: &'static str,
) -> Result<Opened<M>, ProfileFault> {
    take_apart(strict(envelope, DOCUMENT_MAX)?, payload_type, name)
}

fn take_apart<M: prost::Message + Default>(
    envelope: proto::Envelope,
    payload_type: &'static str,
    name: &'static str,
) -> Result<Opened<M>, ProfileFault> {
    if envelope.payload_type != payload_type || !envelope.body.is_empty() {
        return Err(ProfileFault::WrongType(name));
    }
    let wire = strict(&envelope.header, DOCUMENT_MAX)?;
    Ok(Opened { wire, id: document_id(payload_type, &envelope.header), signatures: envelope.signatures })
}

/// True if a document is newer than the one held under this number and id, false if it is that one.
fn newer(held: (u64, Digest), other: &Document) -> Result<bool, ProfileFault> {
    match other.version.cmp(&held.0) {
        Ordering::Less => Err(ProfileFault::Older),
        Ordering::Equal if other.id != held.1 => Err(ProfileFault::Fork(Box::new(other.clone()))),
        Ordering::Equal => Ok(false),
        Ordering::Greater => Ok(true),
    }
}

/// Version 1 names nothing before it, every later one a document id.
fn names_the_one_before(version: u64, previous: &[u8]) -> bool {
    match version {
        0 => false,
        1 => previous.is_empty(),
        2.. => previous.len() == 32,
    }
}

/// The Ed25519 key inside a PeerId (libp2p: identity multihash of the protobuf-encoded key).
///
/// # Errors
/// When it is not the PeerId of an Ed25519 key.
pub fn node_key(peer_id: &[u8]) -> Result<[u8; 32], ProfileFault> {
    peer_id
        .strip_prefix(&PEER_ID_PREFIX)
        .and_then(|key| key.try_into().ok())
        .filter(is_ed25519_key)
        .ok_or(ProfileFault::Content("a node must be the PeerId of an Ed25519 key"))
}

/// What the key of a node signs to belong to a Party of a network, so that no other Party can name it (SPEC `[P-3]`).
fn node_claim(network: &NetworkName, party: &PartyCode) -> Vec<u8> {
    pae(NODE_TYPE, format!("{network}\n{party}").as_bytes())
}

/// A node as a profile names it, proved by its transport key.
///
/// # Errors
/// When the library refuses the seed, which no seed causes.
pub fn node_of(network: &NetworkName, party: &PartyCode, transport: &Seed) -> Result<proto::Node, CryptoFault> {
    let key = PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, transport)?;
    let key: &[u8; 32] = key.bytes.first_chunk().ok_or(CryptoFault::BadKey)?;
    let proof = sign(Algorithm::Ed25519, transport, &node_claim(network, party))?;
    Ok(proto::Node { peer_id: peer_id(key), proof })
}

/// The Ed25519 key of a node that belongs to this Party.
fn own_node(node: &proto::Node, network: &NetworkName, party: &PartyCode) -> Result<[u8; 32], ProfileFault> {
    let key = node_key(&node.peer_id)?;
    let public = PublicKey { role: KeyRole::Transport, algorithm: Algorithm::Ed25519, bytes: key.to_vec() };
    let proved = public.verify(&node_claim(network, party), &node.proof);
    proved.map_err(|_| ProfileFault::Content("a node must prove by its own key that it belongs to the Party"))?;
    Ok(key)
}

/// The PeerId of an Ed25519 transport key.
#[must_use]
pub fn peer_id(key: &[u8; 32]) -> Vec<u8> {
    [&PEER_ID_PREFIX[..], key].concat()
}

/// Encodes a signed document as it is kept and handed over.
#[must_use]
pub fn document(payload_type: &str, payload: Vec<u8>, signatures: Vec<proto::Signature>) -> Vec<u8> {
    proto::Envelope { payload_type: payload_type.into(), header: payload, signatures, body: Vec::new() }.encode_to_vec()
}
