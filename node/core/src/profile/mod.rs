//! Who belongs to the network and who may do what, when: the charter, the Parties' profiles and
//! the questions asked of them. Serves SPEC `[C-*]` and `[P-*]`.
//!
//! [`Trust`] is the whole answer at one moment: a charter under a pinned fingerprint and one
//! current profile per Party. The charter says who is a Party; only the Party says who speaks for
//! it. Chains of versions, heads and suspension are walked elsewhere and end in a new [`Trust`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prost::Message as _;

use crate::{
    crypto::{PublicKey, pae, sha256},
    ids::{AuthorityId, Digest, KeyId, Malformed, NetworkName, Origin, PartyCode, ProcedureCode, Time},
    ledger::{LatelyVerified, LedgerFault, VerifiedCheckpoint},
    proto::{self, Algorithm, KeyRole},
    rules::Side,
    wire::{DOCUMENT_MAX, WireFault, ascending, strict},
};

/// Payload type of a charter.
pub const CHARTER_TYPE: &str = "application/vnd.comity.charter.v1";
/// Payload type of a profile.
pub const PROFILE_TYPE: &str = "application/vnd.comity.profile.v1";

/// Witnesses of one ledger: with seven, two may collude and the others still decide.
const WITNESSES_MAX: usize = 7;

/// A PeerId of an Ed25519 key is the identity multihash of its protobuf form: this and the key.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

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
}

impl ProfileFault {
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
        }
    }
}

/// The id of a signed document: SHA-256 over its pre-authentication encoding, signatures apart.
#[must_use]
pub fn document_id(payload_type: &str, payload: &[u8]) -> Digest {
    sha256(&[&pae(payload_type, payload)])
}

/// A set of hybrid keys of which a threshold must sign.
#[derive(Debug, Clone)]
pub struct Quorum {
    holders: Vec<[PublicKey; 2]>,
    threshold: usize,
}

impl Quorum {
    /// Reads a quorum whose keys serve `role`.
    ///
    /// # Errors
    /// When empty, out of order, or with a threshold it can never meet.
    pub fn from_wire(quorum: &proto::Quorum, role: KeyRole) -> Result<Self, ProfileFault> {
        let threshold = quorum.threshold as usize;
        if threshold == 0 || threshold > quorum.keys.len() {
            return Err(ProfileFault::Content("a threshold must be between 1 and the number of keys"));
        }
        if !ascending(quorum.keys.iter().map(|key| &key.ed25519)) {
            return Err(ProfileFault::Content("the keys of a quorum must rise and not repeat"));
        }
        let quantum: BTreeSet<_> = quorum.keys.iter().map(|key| &key.ml_dsa_65).collect();
        if quantum.len() < quorum.keys.len() {
            return Err(ProfileFault::Content("the keys of a quorum must rise and not repeat"));
        }
        let half = |algorithm, bytes: &[u8]| PublicKey { role, algorithm, bytes: bytes.to_vec() };
        let holders: Vec<[PublicKey; 2]> = quorum
            .keys
            .iter()
            .map(|key| [half(Algorithm::Ed25519, &key.ed25519), half(Algorithm::MlDsa65, &key.ml_dsa_65)])
            .collect();
        if !holders.iter().flatten().all(PublicKey::fits_its_role) {
            return Err(ProfileFault::Content("a key of a quorum has not the length of its algorithm"));
        }
        Ok(Self { holders, threshold })
    }

    /// True if enough distinct holders signed `message` with both halves and nobody else signed.
    #[must_use]
    pub fn signed(&self, message: &[u8], signatures: &[proto::Signature]) -> bool {
        if !ascending(signatures.iter().map(|signature| &signature.key_id)) {
            return false;
        }
        let verifies = |key: &PublicKey| {
            signatures.iter().any(|signature| {
                signature.key_id == key.id().as_bytes() && key.verify(message, &signature.signature).is_ok()
            })
        };
        let signers = self.holders.iter().filter(|pair| pair.iter().all(verifies)).count();
        signers >= self.threshold && signers * 2 == signatures.len()
    }
}

/// One Party as the charter names it.
#[derive(Debug, Clone)]
pub struct Party {
    /// Its name in the charter's language.
    pub name: String,
    /// Whose signatures its profiles need.
    pub root: Quorum,
    joined: Time,
    suspended: Option<Time>,
    withdrawn: Option<Time>,
}

impl Party {
    /// True if the Party takes part at this time: joined, not suspended, not withdrawn.
    #[must_use]
    pub fn takes_part(&self, at: Time) -> bool {
        self.joined <= at && self.suspended.is_none_or(|from| at < from) && self.withdrawn.is_none_or(|from| at < from)
    }
}

/// The founding document of a network, read and checked.
#[derive(Debug, Clone)]
pub struct Charter {
    /// The network's name.
    pub network: NetworkName,
    /// True when nothing here has legal effect.
    pub exercise: bool,
    /// Strictly increasing from 1.
    pub version: u64,
    /// After this no new Party or key role is accepted.
    pub expires: Time,
    id: Digest,
    parties: BTreeMap<PartyCode, Party>,
    instruments: Vec<proto::InstrumentStatus>,
    exceptions: Vec<proto::PairException>,
    suites: Vec<proto::SuiteDates>,
}

impl Charter {
    /// Reads an envelope, checks the signers' threshold and the pinned fingerprint (SPEC `[C-2]`).
    ///
    /// # Errors
    /// When anything about it is not as a charter must be.
    pub fn open(envelope: &[u8], fingerprint: Digest) -> Result<Self, ProfileFault> {
        let envelope: proto::Envelope = strict(envelope, DOCUMENT_MAX)?;
        if envelope.payload_type != CHARTER_TYPE || !envelope.body.is_empty() {
            return Err(ProfileFault::WrongType("charter"));
        }
        let wire: proto::Charter = strict(&envelope.header, DOCUMENT_MAX)?;
        let id = document_id(CHARTER_TYPE, &envelope.header);
        if id != fingerprint {
            return Err(ProfileFault::Fingerprint);
        }
        let signers = wire.signers.as_ref().ok_or(ProfileFault::Content("a charter must name its signers"))?;
        let message = pae(CHARTER_TYPE, &envelope.header);
        if !Quorum::from_wire(signers, KeyRole::Charter)?.signed(&message, &envelope.signatures) {
            return Err(ProfileFault::Threshold);
        }
        Self::from_wire(wire, id)
    }

    fn from_wire(wire: proto::Charter, id: Digest) -> Result<Self, ProfileFault> {
        if !names_the_one_before(wire.version, &wire.previous) {
            return Err(ProfileFault::Content("a charter starts at version 1 and names the version before it"));
        }
        let rising = ascending(wire.parties.iter().map(|party| &party.code))
            && ascending(wire.instruments.iter().map(|row| (&row.instrument, &row.party)))
            && ascending(wire.exceptions.iter().map(|row| (&row.instrument, &row.party_a, &row.party_b)))
            && ascending(wire.suites.iter().map(|suite| suite.id))
            && ascending(wire.witnesses.iter().map(|duty| &duty.party));
        if wire.expires_ms <= wire.issued_ms {
            return Err(ProfileFault::Content("a charter must expire after it was issued"));
        }
        if !rising {
            return Err(ProfileFault::Content("the lists of a charter must rise and not repeat"));
        }
        let parties = wire.parties.iter().map(read_party).collect::<Result<BTreeMap<_, _>, _>>()?;
        check_rows(&wire, &parties)?;
        Ok(Self {
            network: NetworkName::parse(&wire.network)?,
            exercise: wire.exercise,
            version: wire.version,
            expires: Time(wire.expires_ms),
            id,
            parties,
            instruments: wire.instruments,
            exceptions: wire.exceptions,
            suites: wire.suites,
        })
    }

    /// The document id: the fingerprint people compare.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The Parties by code.
    #[must_use]
    pub fn parties(&self) -> &BTreeMap<PartyCode, Party> {
        &self.parties
    }

    /// True if events may be signed and sealed with this suite at this time.
    #[must_use]
    pub fn allows_suite(&self, id: u32, at: Time) -> bool {
        let in_force = |row: &proto::SuiteDates| row.from_ms <= at.0 && (row.until_ms == 0 || at.0 < row.until_ms);
        self.suites.iter().any(|row| row.id == id && in_force(row))
    }

    /// The status of an instrument for a Party.
    pub fn instrument(&self, instrument: &str, party: &PartyCode) -> Option<&proto::InstrumentStatus> {
        self.instruments.iter().find(|row| row.instrument == instrument && row.party == party.as_str())
    }

    /// The reservations and declarations the charter records for a Party, of every instrument.
    pub fn reservations<'c>(&'c self, party: &'c PartyCode) -> impl Iterator<Item = &'c String> {
        let own = self.instruments.iter().filter(|row| row.party == party.as_str());
        own.flat_map(|row| row.reservations.iter().chain(&row.declarations))
    }

    /// True if the instrument binds both Parties towards each other at this time.
    #[must_use]
    pub fn binds(&self, instrument: &str, one: &PartyCode, other: &PartyCode, at: Time) -> bool {
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        let in_force = |party| {
            self.instrument(instrument, party)
                .is_some_and(|row| row.in_force_ms <= at.0 && (row.until_ms == 0 || at.0 < row.until_ms))
        };
        let excepted = self.exceptions.iter().any(|row| {
            row.instrument == instrument
                && row.party_a == low.as_str()
                && row.party_b == high.as_str()
                && (row.in_force_ms == 0 || at.0 < row.in_force_ms)
        });
        in_force(one) && in_force(other) && !excepted
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

/// What the rows of a charter may say of its Parties (SPEC `[C-3]`).
fn check_rows(wire: &proto::Charter, parties: &BTreeMap<PartyCode, Party>) -> Result<(), ProfileFault> {
    let known = |code: &String| PartyCode::parse(code).is_ok_and(|code| parties.contains_key(&code));
    let status = |row: &proto::InstrumentStatus| {
        known(&row.party) && ascending(&row.reservations) && ascending(&row.declarations)
    };
    let exception =
        |row: &proto::PairException| row.party_a < row.party_b && known(&row.party_a) && known(&row.party_b);
    let duty = |row: &proto::WitnessDuty| {
        let (witnesses, faulty) = (row.witnesses.len(), row.faulty as usize);
        let named = known(&row.party) && row.witnesses.iter().all(known) && !row.witnesses.contains(&row.party);
        // Of n witnesses with f faulty, floor((n + f) / 2) + 1 must sign.
        let reachable = faulty < witnesses && (witnesses + faulty) / 2 < witnesses;
        named && ascending(&row.witnesses) && witnesses <= WITNESSES_MAX && reachable
    };
    if !wire.instruments.iter().all(status) {
        return Err(ProfileFault::Content("an instrument's status is of a Party and lists codes that rise"));
    }
    if !wire.exceptions.iter().all(exception) {
        return Err(ProfileFault::Content("an exception is between two Parties, the lower code first"));
    }
    if !wire.witnesses.iter().all(duty) {
        return Err(ProfileFault::Content("a ledger has 1 to 7 other Parties as witnesses, enough of them not faulty"));
    }
    Ok(())
}

fn read_party(wire: &proto::Party) -> Result<(PartyCode, Party), ProfileFault> {
    let root = wire.root.as_ref().ok_or(ProfileFault::Content("a Party must have root keys"))?;
    let date = |ms: u64| (ms != 0).then_some(Time(ms));
    let party = Party {
        name: wire.name.clone(),
        root: Quorum::from_wire(root, KeyRole::Root)?,
        joined: Time(wire.joined_ms),
        suspended: date(wire.suspended_ms),
        withdrawn: date(wire.withdrawn_ms),
    };
    Ok((PartyCode::parse(&wire.code)?, party))
}

/// A key with the dates it may be used between.
#[derive(Debug, Clone)]
struct DatedKey {
    key: PublicKey,
    from: Time,
    until: Time,
    revoked: Option<Time>,
}

/// A Party's own declaration, read and checked against its root keys.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whose it is.
    pub party: PartyCode,
    /// Strictly increasing from 1.
    pub version: u64,
    id: Digest,
    authorities: BTreeMap<AuthorityId, proto::Authority>,
    declarations: Vec<proto::Declaration>,
    nodes: Vec<[u8; 32]>,
    ledgers: Vec<Origin>,
    keys: BTreeMap<KeyId, DatedKey>,
    checkpoints: LatelyVerified,
}

impl Profile {
    /// Reads an envelope and checks the Party's root threshold under `charter` (SPEC `[P-2]`).
    ///
    /// # Errors
    /// When anything about it is not as a profile must be.
    pub fn open(envelope: &[u8], charter: &Charter) -> Result<Self, ProfileFault> {
        let envelope: proto::Envelope = strict(envelope, DOCUMENT_MAX)?;
        if envelope.payload_type != PROFILE_TYPE || !envelope.body.is_empty() {
            return Err(ProfileFault::WrongType("profile"));
        }
        let wire: proto::Profile = strict(&envelope.header, DOCUMENT_MAX)?;
        let party = charter.parties.get(&PartyCode::parse(&wire.party)?).ok_or(ProfileFault::NotChartered)?;
        if wire.network != charter.network.as_str() {
            return Err(ProfileFault::NotChartered);
        }
        if !party.root.signed(&pae(PROFILE_TYPE, &envelope.header), &envelope.signatures) {
            return Err(ProfileFault::Threshold);
        }
        Self::from_wire(wire, document_id(PROFILE_TYPE, &envelope.header), charter)
    }

    fn from_wire(wire: proto::Profile, id: Digest, charter: &Charter) -> Result<Self, ProfileFault> {
        let party = PartyCode::parse(&wire.party)?;
        if !names_the_one_before(wire.version, &wire.previous) {
            return Err(ProfileFault::Content("a profile starts at version 1 and names the version before it"));
        }
        let rising = ascending(wire.authorities.iter().map(|authority| &authority.id))
            && ascending(wire.declarations.iter().map(|declaration| &declaration.code))
            && ascending(&wire.nodes)
            && ascending(wire.revocations.iter().map(|revocation| &revocation.key_id));
        if !rising {
            return Err(ProfileFault::Content("the lists of a profile must rise and not repeat"));
        }
        if !wire.authorities.iter().all(powers_in_order) {
            return Err(ProfileFault::Content("the powers of an authority must rise by procedure and side"));
        }
        let ledgers = wire.ledgers.iter().map(|origin| Origin::parse(origin)).collect::<Result<Vec<_>, _>>()?;
        let own = |(number, origin): (u32, &Origin)| *origin == Origin::of(&party, &charter.network, number);
        if ledgers.is_empty() || !(1..).zip(&ledgers).all(own) {
            return Err(ProfileFault::Content("a profile names its Party's own ledgers, numbered from 1"));
        }
        let authorities = wire
            .authorities
            .into_iter()
            .map(|authority| Ok((AuthorityId::parse(&authority.id)?, authority)))
            .collect::<Result<BTreeMap<_, _>, ProfileFault>>()?;
        Ok(Self {
            keys: read_keys(&wire.keys, &wire.revocations)?,
            checkpoints: LatelyVerified::default(),
            nodes: wire.nodes.iter().map(|node| node_key(node)).collect::<Result<_, _>>()?,
            declarations: wire.declarations,
            version: wire.version,
            authorities,
            ledgers,
            party,
            id,
        })
    }

    /// The document id.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The authorities by id.
    #[must_use]
    pub fn authorities(&self) -> &BTreeMap<AuthorityId, proto::Authority> {
        &self.authorities
    }

    /// The Party's ledgers, oldest first; the last is the current one.
    #[must_use]
    pub fn ledgers(&self) -> &[Origin] {
        &self.ledgers
    }

    /// The Ed25519 transport keys of its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[[u8; 32]] {
        &self.nodes
    }

    /// The value of a declaration or reservation.
    #[must_use]
    pub fn declaration(&self, code: &str) -> Option<&str> {
        self.declarations.iter().find(|row| row.code == code).map(|row| row.value.as_str())
    }

    /// The codes of its declarations and reservations.
    pub fn declarations(&self) -> impl Iterator<Item = &str> {
        self.declarations.iter().map(|row| row.code.as_str())
    }

    /// The keys of a role that may be used at this time (SPEC `[P-4]`).
    pub fn keys(&self, role: KeyRole, at: Time) -> impl Iterator<Item = &PublicKey> + Clone {
        self.dated(role, at).map(|dated| &dated.key)
    }

    /// Checks a checkpoint of the Party's current ledger under the keys that may sign one at this time.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::verify`].
    pub fn verify_checkpoint(&self, note: &[u8], at: Time) -> Result<Arc<VerifiedCheckpoint>, LedgerFault> {
        let origin = self.ledgers.last().expect("a profile names a ledger");
        self.checkpoints.verify(note, origin, self.keys(KeyRole::Checkpoint, at))
    }

    fn dated(&self, role: KeyRole, at: Time) -> impl Iterator<Item = &DatedKey> + Clone {
        self.keys
            .values()
            .filter(move |dated| dated.key.role == role && dated.from <= at && at < dated.until)
            .filter(move |dated| dated.revoked.is_none_or(|from| at < from))
    }

    /// When each key that may be used at this time ends, and its role.
    pub fn expiries(&self, at: Time) -> impl Iterator<Item = (KeyRole, Time)> {
        let usable = move |dated: &&DatedKey| dated.from <= at && at < dated.until;
        let until = |dated: &DatedKey| dated.revoked.map_or(dated.until, |from| from.min(dated.until));
        self.keys
            .values()
            .filter(usable)
            .map(move |dated| (dated.key.role, until(dated)))
            .filter(move |(_, end)| at < *end)
    }

    /// True if the authority may act on this side of the procedure at this time.
    #[must_use]
    pub fn may(&self, authority: &AuthorityId, procedure: &ProcedureCode, side: Side, at: Time) -> bool {
        let side = proto::Side::from(side);
        self.authorities.get(authority).is_some_and(|authority| {
            authority.powers.iter().any(|power| {
                power.procedure == procedure.as_str()
                    && power.side() == side
                    && power.from_ms <= at.0
                    && (power.until_ms == 0 || at.0 < power.until_ms)
            })
        })
    }
}

fn read_keys(
    keys: &[proto::RoleKey],
    revocations: &[proto::Revocation],
) -> Result<BTreeMap<KeyId, DatedKey>, ProfileFault> {
    let mut read = BTreeMap::new();
    let mut last = None;
    let mut used = BTreeSet::new();
    for wire in keys {
        let key = PublicKey { role: wire.role(), algorithm: wire.algorithm(), bytes: wire.public_key.clone() };
        check_key(wire, &key)?;
        if !used.insert(&wire.public_key) {
            return Err(ProfileFault::Content("a key must serve one role only"));
        }
        let id = key.id();
        if last.is_some_and(|last| last >= id) {
            return Err(ProfileFault::Content("the keys of a profile must rise by key id and not repeat"));
        }
        last = Some(id);
        let revoked = revocations
            .iter()
            .find(|revocation| revocation.key_id == id.as_bytes())
            .map(|revocation| Time(revocation.from_ms));
        read.insert(id, DatedKey { key, from: Time(wire.not_before_ms), until: Time(wire.not_after_ms), revoked });
    }
    Ok(read)
}

/// A profile names keys of five roles; root and charter keys stand in the charter, transport keys
/// are nodes. Read from the wire's own numbers: an unknown one must not pass for another.
fn check_key(wire: &proto::RoleKey, key: &PublicKey) -> Result<(), ProfileFault> {
    let declared = match key.role {
        KeyRole::Directory | KeyRole::Record | KeyRole::Checkpoint | KeyRole::Witness | KeyRole::Seal => true,
        KeyRole::Unspecified | KeyRole::Root | KeyRole::Transport | KeyRole::Charter => false,
    };
    let known = wire.role == key.role as i32 && wire.algorithm == key.algorithm as i32;
    if !declared || !known || !key.fits_its_role() {
        return Err(ProfileFault::Content("a key's role, algorithm and length do not fit each other"));
    }
    if wire.not_before_ms >= wire.not_after_ms {
        return Err(ProfileFault::Content("a key must be valid from a time to a later one"));
    }
    Ok(())
}

/// True if the powers rise by procedure and side, and each is one that can be asked about.
fn powers_in_order(authority: &proto::Authority) -> bool {
    // An unknown side reads as none, whose number is zero.
    let known = |power: &proto::Power| {
        power.side != 0 && power.side == power.side() as i32 && ProcedureCode::parse(&power.procedure).is_ok()
    };
    authority.powers.iter().all(known) && ascending(authority.powers.iter().map(|power| (&power.procedure, power.side)))
}

/// The Ed25519 key inside a PeerId (libp2p: identity multihash of the protobuf-encoded key).
///
/// # Errors
/// When it is not the PeerId of an Ed25519 key.
pub fn node_key(peer_id: &[u8]) -> Result<[u8; 32], ProfileFault> {
    peer_id
        .strip_prefix(&PEER_ID_PREFIX)
        .and_then(|key| key.try_into().ok())
        .ok_or(ProfileFault::Content("a node must be the PeerId of an Ed25519 key"))
}

/// The PeerId of an Ed25519 transport key.
#[must_use]
pub fn peer_id(key: &[u8; 32]) -> Vec<u8> {
    [&PEER_ID_PREFIX[..], key].concat()
}

/// Everything known about who may do what, at one moment.
#[derive(Debug, Clone)]
pub struct Trust {
    charter: Charter,
    profiles: BTreeMap<PartyCode, Profile>,
}

impl Trust {
    /// Joins a charter and the current profiles; a Party without a profile cannot act.
    ///
    /// # Errors
    /// When a profile is not of a chartered Party, or two are of one.
    pub fn new(charter: Charter, profiles: Vec<Profile>) -> Result<Self, ProfileFault> {
        let mut by_party = BTreeMap::new();
        for profile in profiles {
            if !charter.parties.contains_key(&profile.party) {
                return Err(ProfileFault::NotChartered);
            }
            if by_party.insert(profile.party.clone(), profile).is_some() {
                return Err(ProfileFault::Content("two profiles of one Party were given"));
            }
        }
        Ok(Self { charter, profiles: by_party })
    }

    /// The charter in force.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// The current profile of a Party that takes part at this time.
    #[must_use]
    pub fn profile(&self, party: &PartyCode, at: Time) -> Option<&Profile> {
        self.charter.parties.get(party).filter(|party| party.takes_part(at))?;
        self.profiles.get(party)
    }

    /// The key a body for this Party is sealed to at this time: the newest of those valid (SPEC `[P-4]`).
    #[must_use]
    pub fn seal_key(&self, party: &PartyCode, at: Time) -> Option<&PublicKey> {
        let valid = self.profile(party, at)?.dated(KeyRole::Seal, at);
        valid.max_by_key(|dated| (dated.from, dated.key.id())).map(|dated| &dated.key)
    }
}

/// Encodes a signed document as it is kept and handed over.
#[must_use]
pub fn document(payload_type: &str, payload: Vec<u8>, signatures: Vec<proto::Signature>) -> Vec<u8> {
    proto::Envelope { payload_type: payload_type.into(), header: payload, signatures, body: Vec::new() }.encode_to_vec()
}
