//! A Party's profile: who speaks for it, with which powers and keys. Serves SPEC `[P-*]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prost::Message as _;

use super::{Charter, Opened, PROFILE_TYPE, Party, ProfileFault, document_id, names_the_one_before, own_node, read};
use crate::{
    crypto::PublicKey,
    ids::{AuthorityId, Digest, KeyId, LedgerIndex, NetworkName, Origin, PartyCode, ProcedureCode, Time},
    ledger::{Checkpoint, LatelyVerified, LedgerFault, VerifiedCheckpoint, checkpoint},
    proto::{self, ActorKind, KeyRole},
    rules::Side,
    wire::{ascending, showable},
};

/// The declaration by which a Party says whether two officers must approve what leaves it.
pub const FOUR_EYES: &str = "FOUR-EYES";
const FOUR_EYES_OFF: &str = "off";

/// A key with the dates it may be used between.
#[derive(Debug, Clone)]
pub(super) struct DatedKey {
    pub(super) key: PublicKey,
    pub(super) from: Time,
    until: Time,
    revoked: Option<Time>,
}

impl DatedKey {
    /// Its last date, or the moment it is revoked from if that is earlier.
    fn end(&self) -> Time {
        self.revoked.map_or(self.until, |from| from.min(self.until))
    }
}

/// A ledger of a Party. One after the first takes the place of the one before when that was restored: it begins with the
/// records that were left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyLedger {
    /// Its name.
    pub origin: Origin,
    /// How many of the records of the one before it begins with; 0 in the first.
    pub begins: u64,
    /// The root over these; the first has none.
    root: Option<Digest>,
}

impl PartyLedger {
    /// What the one before had come to when this one took its place, as a checkpoint of this one; none for the first.
    #[must_use]
    pub fn beginning(&self) -> Option<Checkpoint> {
        self.root.map(|root| Checkpoint { origin: self.origin.clone(), size: self.begins, root })
    }
}

/// A Party's own declaration, read and checked against its root keys.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whose it is.
    pub party: PartyCode,
    /// In which network.
    pub network: NetworkName,
    /// Strictly increasing from 1.
    pub version: u64,
    /// The id of the version before; none in version 1.
    pub previous: Option<Digest>,
    /// When it was issued, by the clock of who drafted it.
    pub issued: Time,
    id: Digest,
    authorities: BTreeMap<AuthorityId, proto::Authority>,
    languages: Vec<proto::LanguageRule>,
    declarations: Vec<proto::Declaration>,
    nodes: Vec<[u8; 32]>,
    ledgers: Vec<PartyLedger>,
    keys: BTreeMap<KeyId, DatedKey>,
    /// From when on, also of keys that are listed no longer.
    revoked: BTreeMap<KeyId, Time>,
    checkpoints: LatelyVerified,
}

impl Profile {
    /// Reads an envelope and checks the threshold of the root keys that count under `charter` at this time (SPEC
    /// `[P-2]`).
    ///
    /// # Errors
    /// When anything about it is not as a profile must be.
    pub fn open(envelope: &[u8], charter: &Charter, at: Time) -> Result<Self, ProfileFault> {
        Self::judge(read(envelope, PROFILE_TYPE, "profile")?, charter, at)
    }

    pub(super) fn judge(opened: Opened<proto::Profile>, charter: &Charter, at: Time) -> Result<Self, ProfileFault> {
        let Opened { wire, id, signatures } = opened;
        let party = Self::party_of(&wire, charter)?;
        if !party.root_at(at).signed(&id, &signatures) {
            return Err(ProfileFault::Threshold);
        }
        Self::from_wire(wire, id, charter)
    }

    /// Checks what can be checked of a profile before anybody has signed it (SPEC `[P-3]`).
    ///
    /// # Errors
    /// When it is of no Party of the charter, or its content is not as it must be.
    pub fn check(wire: &proto::Profile, charter: &Charter) -> Result<(), ProfileFault> {
        Self::party_of(wire, charter)?;
        let id = document_id(PROFILE_TYPE, &wire.encode_to_vec());
        Self::from_wire(wire.clone(), id, charter).map(|_| ())
    }

    fn party_of<'c>(wire: &proto::Profile, charter: &'c Charter) -> Result<&'c Party, ProfileFault> {
        let party = charter.parties.get(&PartyCode::parse(&wire.party)?).ok_or(ProfileFault::NotChartered)?;
        let same = wire.network == charter.network.as_str();
        if same { Ok(party) } else { Err(ProfileFault::NotChartered) }
    }

    fn from_wire(wire: proto::Profile, id: Digest, charter: &Charter) -> Result<Self, ProfileFault> {
        let party = PartyCode::parse(&wire.party)?;
        if !names_the_one_before(wire.version, &wire.previous) {
            return Err(ProfileFault::Content("a profile starts at version 1 and names the version before it"));
        }
        let rising = ascending(wire.authorities.iter().map(|authority| &authority.id))
            && ascending(wire.declarations.iter().map(|declaration| &declaration.code))
            && ascending(wire.nodes.iter().map(|node| &node.peer_id))
            && ascending(wire.revocations.iter().map(|revocation| &revocation.key_id));
        if !rising {
            return Err(ProfileFault::Content("the lists of a profile must rise and not repeat"));
        }
        if !showable(texts(&wire)) {
            return Err(ProfileFault::UNSHOWABLE);
        }
        if !wire.authorities.iter().all(powers_in_order) {
            return Err(ProfileFault::Content("the powers of an authority must rise by procedure and side"));
        }
        if !wire.authorities.iter().all(actors_in_order) {
            return Err(ProfileFault::Content("the kinds an authority acts as must be known, rise and not repeat"));
        }
        let ledgers = read_ledgers(&wire.ledgers, &party, &charter.network)?;
        let authorities = wire
            .authorities
            .into_iter()
            .map(|authority| Ok((AuthorityId::parse(&authority.id)?, authority)))
            .collect::<Result<BTreeMap<_, _>, ProfileFault>>()?;
        let revoked = read_revocations(&wire.revocations)?;
        Ok(Self {
            keys: read_keys(&wire.keys, &revoked)?,
            revoked,
            checkpoints: LatelyVerified::default(),
            nodes: wire.nodes.iter().map(|node| own_node(node, &charter.network, &party)).collect::<Result<_, _>>()?,
            languages: wire.languages,
            declarations: wire.declarations,
            version: wire.version,
            issued: Time(wire.issued_ms),
            previous: Digest::from_slice(&wire.previous).ok(),
            network: charter.network.clone(),
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
    pub fn ledgers(&self) -> &[PartyLedger] {
        &self.ledgers
    }

    /// The ledger the Party writes now.
    ///
    /// # Panics
    /// Never: a profile without a ledger is not read.
    #[must_use]
    pub fn ledger(&self) -> &PartyLedger {
        self.ledgers.last().expect("a profile names a ledger")
    }

    /// Its number, from 1.
    #[must_use]
    pub fn ledger_number(&self) -> u32 {
        u32::try_from(self.ledgers.len()).unwrap_or(u32::MAX)
    }

    /// True for a ledger of the Party, now or formerly.
    #[must_use]
    pub fn wrote(&self, origin: &Origin) -> bool {
        self.ledgers.iter().any(|ledger| ledger.origin == *origin)
    }

    /// True for a ledger of the Party after those it names: a later profile may.
    #[must_use]
    pub fn may_write(&self, origin: &Origin) -> bool {
        let number = origin.number();
        number > self.ledger_number() && *origin == Origin::of(&self.party, &self.network, number)
    }

    /// True for a checkpoint of such a ledger that the Party's keys signed: its profile is behind.
    #[must_use]
    pub fn signed_in_a_later_ledger(&self, note: &[u8], at: Time) -> bool {
        let shown = checkpoint::parse_unverified(note).ok().filter(|shown| self.may_write(&shown.origin));
        shown.is_some_and(|shown| {
            VerifiedCheckpoint::verify(note, &shown.origin, self.keys(KeyRole::Checkpoint, at)).is_ok()
        })
    }

    /// The number and name of the ledger in which the record was written that stands at a place of the current one.
    #[must_use]
    pub fn ledger_at(&self, index: LedgerIndex) -> (u32, &Origin) {
        let numbered = (1..).zip(&self.ledgers);
        let (number, ledger) =
            numbered.filter(|(_, ledger)| ledger.begins <= index.0).last().expect("the first begins at 0");
        (number, &ledger.origin)
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

    /// True if nothing leaves this Party without two officers (SPEC `[O-1]`). Any value but `off` asks for it: one that is
    /// misspelt must not open what its root keys meant to close.
    #[must_use]
    pub fn requires_four_eyes(&self) -> bool {
        self.declaration(FOUR_EYES).is_some_and(|value| value != FOUR_EYES_OFF)
    }

    /// The codes of its declarations and reservations.
    pub fn declarations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.declarations.iter().map(|row| (row.code.as_str(), row.value.as_str()))
    }

    /// The languages accepted in a procedure, most preferred first: those of the rule for it and its urgency, else of a
    /// rule for either, else of the rule for all.
    #[must_use]
    pub fn languages(&self, procedure: &str, urgent: bool) -> &[String] {
        let fits = |rule: &&proto::LanguageRule| {
            (rule.procedure.is_empty() || rule.procedure == procedure) && (urgent || !rule.urgent)
        };
        let rule = self.languages.iter().filter(fits).max_by_key(|rule| (!rule.procedure.is_empty(), rule.urgent));
        rule.map(|rule| &rule.languages[..]).unwrap_or_default()
    }

    /// The roles it names keys of, whenever they are valid.
    #[must_use]
    pub fn roles(&self) -> BTreeSet<KeyRole> {
        self.keys.values().map(|dated| dated.key.role).collect()
    }

    /// The keys of a role that may be used at this time (SPEC `[P-4]`).
    pub fn keys(&self, role: KeyRole, at: Time) -> impl Iterator<Item = &PublicKey> + Clone {
        self.dated(role, at).map(|dated| &dated.key)
    }

    /// The keys of a role that may be used at this time or might be earlier, whatever has ended them since.
    pub fn begun(&self, role: KeyRole, at: Time) -> impl Iterator<Item = &PublicKey> + Clone {
        self.keys.values().filter(move |dated| dated.key.role == role && dated.from <= at).map(|dated| &dated.key)
    }

    /// The keys that ever signed its checkpoints and are not revoked: those a fork is proven by.
    pub fn ever_signed(&self) -> impl Iterator<Item = &PublicKey> + Clone {
        let checkpoint = |dated: &&DatedKey| dated.key.role == KeyRole::Checkpoint && dated.revoked.is_none();
        self.keys.values().filter(checkpoint).map(|dated| &dated.key)
    }

    /// Checks a checkpoint of the Party's current ledger under the keys that may sign one at this time.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::verify`].
    pub fn verify_checkpoint(&self, note: &[u8], at: Time) -> Result<Arc<VerifiedCheckpoint>, LedgerFault> {
        self.checkpoints.verify(note, &self.ledger().origin, self.keys(KeyRole::Checkpoint, at))
    }

    /// Its Party's checkpoints that verified here, and those of them that wait to be proven.
    #[must_use]
    pub fn checkpoints(&self) -> &LatelyVerified {
        &self.checkpoints
    }

    /// What of its Party's checkpoints waits to be proven waits on under the next profile.
    pub(super) fn follow(&mut self, before: &Self) {
        self.checkpoints = before.checkpoints.clone();
    }

    pub(super) fn dated(&self, role: KeyRole, at: Time) -> impl Iterator<Item = &DatedKey> + Clone {
        self.keys.values().filter(move |dated| dated.key.role == role && dated.from <= at && at < dated.end())
    }

    /// When a key may be used: from when until when, what it is revoked from included. Nothing if this
    /// profile does not name the key.
    #[must_use]
    pub fn dates(&self, key: &PublicKey) -> Option<(Time, Time)> {
        let dated = self.keys.get(&key.id())?;
        Some((dated.from, dated.end()))
    }

    /// From when on a key is revoked, if it is.
    #[must_use]
    pub fn revoked(&self, key: &KeyId) -> Option<Time> {
        self.revoked.get(key).copied()
    }

    /// When each key that may be used at this time ends, and its role.
    pub fn expiries(&self, at: Time) -> impl Iterator<Item = (KeyRole, Time)> {
        let usable = move |dated: &&DatedKey| dated.from <= at && at < dated.until;
        self.keys.values().filter(usable).map(|dated| (dated.key.role, dated.end())).filter(move |(_, end)| at < *end)
    }

    /// True if the authority acts in the name of such an actor: of those it was declared to act for, or of any if of none.
    #[must_use]
    pub fn speaks_as(&self, authority: &AuthorityId, actor: ActorKind) -> bool {
        let authority = self.authorities.get(authority);
        authority.is_some_and(|row| row.actors.is_empty() || row.actors().any(|own| own == actor))
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

/// Every text of a profile that is no id by another rule.
fn texts(wire: &proto::Profile) -> impl Iterator<Item = &String> {
    let authorities = wire.authorities.iter().flat_map(|row| [&row.name, &row.time_zone]);
    let languages = wire.languages.iter().flat_map(|row| [&row.procedure].into_iter().chain(&row.languages));
    let declarations = wire.declarations.iter().flat_map(|row| [&row.code, &row.value]);
    authorities.chain(languages).chain(declarations).chain(wire.revocations.iter().map(|row| &row.reason))
}

fn read_ledgers(
    wire: &[proto::Ledger],
    party: &PartyCode,
    network: &NetworkName,
) -> Result<Vec<PartyLedger>, ProfileFault> {
    let read = |(number, ledger): (u32, &proto::Ledger)| {
        let root = if number == 1 { None } else { Digest::from_slice(&ledger.root).ok() };
        let origin = Origin::of(party, network, number);
        let named = ledger.origin == origin.as_str();
        let follows =
            if number == 1 { ledger.size == 0 && ledger.root.is_empty() } else { ledger.size > 0 && root.is_some() };
        (named && follows).then_some(PartyLedger { origin, begins: ledger.size, root })
    };
    let ledgers: Option<Vec<_>> = (1..).zip(wire).map(read).collect();
    ledgers.filter(|ledgers| !ledgers.is_empty()).ok_or(ProfileFault::Content(
        "a profile names its Party's own ledgers, numbered from 1, each after the first with the size and root it begins with",
    ))
}

fn read_revocations(wire: &[proto::Revocation]) -> Result<BTreeMap<KeyId, Time>, ProfileFault> {
    let read = wire.iter().map(|row| Ok((KeyId::from_slice(&row.key_id)?, Time(row.from_ms))));
    read.collect()
}

fn read_keys(
    keys: &[proto::RoleKey],
    revocations: &BTreeMap<KeyId, Time>,
) -> Result<BTreeMap<KeyId, DatedKey>, ProfileFault> {
    let mut read = BTreeMap::new();
    let mut last = None;
    let mut used = BTreeSet::new();
    for wire in keys {
        let key = PublicKey::from(wire);
        check_key(wire, &key)?;
        if !used.insert(&wire.public_key) {
            return Err(ProfileFault::Content("a key must serve one role only"));
        }
        let id = key.id();
        if last.is_some_and(|last| last >= id) {
            return Err(ProfileFault::Content("the keys of a profile must rise by key id and not repeat"));
        }
        last = Some(id);
        let revoked = revocations.get(&id).copied();
        read.insert(id, DatedKey { key, from: Time(wire.not_before_ms), until: Time(wire.not_after_ms), revoked });
    }
    Ok(read)
}

/// A profile names keys of five roles; root and charter keys stand in the charter, transport keys
/// are nodes. Read from the wire's own numbers: an unknown one must not pass for another.
fn check_key(wire: &proto::RoleKey, key: &PublicKey) -> Result<(), ProfileFault> {
    let declared = match key.role {
        KeyRole::Directory | KeyRole::Record | KeyRole::Checkpoint | KeyRole::Witness | KeyRole::Seal => true,
        KeyRole::Unspecified
        | KeyRole::Root
        | KeyRole::Transport
        | KeyRole::Charter
        | KeyRole::Recovery
        | KeyRole::Officer => false,
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

/// True if the kinds of actor rise and each is known.
fn actors_in_order(authority: &proto::Authority) -> bool {
    let known = |kind: &i32| ActorKind::try_from(*kind).is_ok_and(|kind| kind != ActorKind::Unspecified);
    authority.actors.iter().all(known) && ascending(authority.actors.iter())
}
