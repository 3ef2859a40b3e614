//! A profile as a draft.

use std::{collections::BTreeMap, path::Path};

use comity_core::{
    crypto::PublicKey,
    founding::{self, Office, PublicRoleKeys},
    ids::{DAY_MS, Digest, KeyId, NetworkName, Origin, PartyCode, Time},
    profile::{FOUR_EYES, node_key, peer_id},
    proto::{self, ActorKind, KeyRole},
};
use serde::{Deserialize, Serialize};

use super::{CeremonyFault, Hex, Moment, after, previous, previous_bytes, text_of};
use crate::{
    law,
    net::{peer_id_of, transport_key_of},
};

/// The format of the file.
pub(crate) const PROFILE_SCHEMA: &str = "comity/profile-draft/v1";
/// Keys that come into a later version are valid for two years, as those of a first one.
const KEY_MS: u64 = 2 * 365 * DAY_MS;

const COMMENTS: [(&str, &str); 8] = [
    (
        "schema",
        "Draft of a profile: who speaks for the Party, and with which keys. Nothing here counts before it is signed.\n\
         Edit it, then run: comity profile propose THIS-FILE --charter CHARTER --out proposal.dsse\n\
         Times are in UTC, such as \"2026-03-01T00:00:00Z\". A time that is left out is open. Lists may be in any order.",
    ),
    (
        "[[ledger]]",
        "The Party's ledgers, oldest first; the last is the one it writes. One after the first takes the place of one that was\n\
         restored, and begins with so many of its records, under this root.",
    ),
    (
        "[[node]]",
        "Its nodes, spares included: the PeerId, and the proof that the node's key gives; `comity profile draft --keys` writes both.",
    ),
    (
        "[[authority]]",
        "One entry per authority: its id, its name, its time zone, and what it may do on which side\n\
         (requesting or requested) from when until when. acts_as says in whose name it speaks: authority, provider,\n\
         review-body (a court, judge or minister), oversight; without it, in any. A court's step is taken through one that acts so.",
    ),
    ("[[language]]", "Languages requests may be in, most preferred first; without a procedure: for every procedure."),
    ("[[declaration]]", "Declarations and reservations of the Party, as code and value."),
    (
        "[[key]]",
        "The public keys of its nodes, made by `comity init --join`; each with the dates it may be used between.",
    ),
    ("[[revocation]]", "Keys that are no longer to be trusted: key = its id, from = since when, reason = a code."),
];

const MORE: &str = "\n\
# To declare something:\n\
# [[declaration]]\n# code = \"BC.29.4\"\n# value = \"yes\"\n\n\
# To revoke a key:\n\
# [[revocation]]\n# key = \"its id\"\n# from = \"2026-01-01T00:00:00Z\"\n# reason = \"lost\"\n";

/// The whole profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileDraft {
    schema: String,
    network: String,
    party: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Hex>,
    issued: Moment,
    ledger: Vec<LedgerRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    node: Vec<ProvedNode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    authority: Vec<Authority>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    language: Vec<Language>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    declaration: Vec<Declaration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<RoleKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revocation: Vec<Revocation>,
}

/// A node's PeerId, as its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Node(pub(super) Vec<u8>);

impl Node {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// A ledger of the Party; one after the first says with what of the one before it begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerRow {
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Hex>,
}

impl LedgerRow {
    fn of(wire: &proto::Ledger) -> Self {
        let root = (!wire.root.is_empty()).then(|| Hex(wire.root.clone()));
        Self { origin: wire.origin.clone(), size: (wire.size > 0).then_some(wire.size), root }
    }

    fn to_wire(&self) -> proto::Ledger {
        let root = self.root.as_ref().map(|root| root.0.clone()).unwrap_or_default();
        proto::Ledger { origin: self.origin.clone(), size: self.size.unwrap_or(0), root }
    }
}

/// A node and its own word that it belongs to the Party.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvedNode {
    node: Node,
    proof: Hex,
}

impl ProvedNode {
    fn of(wire: &proto::Node) -> Self {
        Self { node: Node::of(&wire.peer_id), proof: Hex(wire.proof.clone()) }
    }

    fn to_wire(&self) -> proto::Node {
        proto::Node { peer_id: self.node.0.clone(), proof: self.proof.0.clone() }
    }
}

impl TryFrom<String> for Node {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bad = |_| format!("{text} is not the PeerId of a node, which begins 12D3KooW");
        transport_key_of(&text).map(|key| Self(peer_id(&key))).map_err(bad)
    }
}

impl From<Node> for String {
    fn from(node: Node) -> Self {
        node_text(&node.0)
    }
}

/// A PeerId as people read it; in hexadecimal if it is none.
pub(in crate::ceremony) fn node_text(bytes: &[u8]) -> String {
    let known = node_key(bytes).ok().and_then(|key| peer_id_of(&key).ok());
    known.unwrap_or_else(|| comity_core::ids::hex(bytes))
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authority {
    id: String,
    name: String,
    time_zone: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acts_as: Vec<ActsAs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    power: Vec<Power>,
}

/// In whose name an authority acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ActsAs {
    Authority,
    Provider,
    ReviewBody,
    Oversight,
}

impl ActsAs {
    const ALL: [(Self, ActorKind); 4] = [
        (Self::Authority, ActorKind::Authority),
        (Self::Provider, ActorKind::Provider),
        (Self::ReviewBody, ActorKind::ReviewBody),
        (Self::Oversight, ActorKind::Oversight),
    ];

    fn of(kind: ActorKind) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == kind).map(|(own, _)| *own)
    }

    fn kind(self) -> ActorKind {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or(ActorKind::Unspecified, |(_, kind)| *kind)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Power {
    procedure: String,
    side: Side,
    from: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Unspecified,
    Requesting,
    Requested,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Language {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    procedure: String,
    #[serde(default)]
    urgent: bool,
    languages: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    code: String,
    value: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleKey {
    role: Role,
    algorithm: Algorithm,
    from: Moment,
    until: Moment,
    public: Hex,
}

/// The roles a profile names keys of.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Directory,
    Record,
    Checkpoint,
    Witness,
    Seal,
    /// No profile that holds has it.
    Other,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "ml-dsa-65")]
    MlDsa65,
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
    #[serde(rename = "mlkem768-x25519")]
    Mlkem768X25519,
    #[serde(rename = "other")]
    Other,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    key: Hex,
    from: Moment,
    reason: String,
}

impl ProfileDraft {
    /// The first profile of a Party: one authority for every procedure, to be edited, and these keys.
    pub(crate) fn first(
        network: &NetworkName,
        party: &PartyCode,
        name: &str,
        keys: &PublicRoleKeys,
        exercise: bool,
        now: Time,
    ) -> Self {
        let office = Office {
            id: "central".to_owned(),
            name: format!("Central Authority of {name}"),
            time_zone: "UTC".to_owned(),
            procedures: law::offered(),
        };
        let mut wire = founding::profile(network, party, &[office], &["en"], keys, now);
        if !exercise {
            let (code, value) = (FOUR_EYES.to_owned(), "required".to_owned());
            wire.declarations = vec![proto::Declaration { code, value }];
        }
        Self::of(&wire)
    }

    /// The version after this profile, which says the same so far.
    pub(crate) fn next(before: &proto::Profile, id: Digest, now: Time) -> Self {
        let mut next = before.clone();
        after(&mut next.version, &mut next.previous, id);
        next.issued_ms = now.0;
        Self::of(&next)
    }

    /// Names one more ledger: it takes the place of the last one, and begins with so many of its records under this root.
    pub(crate) fn succeed(&mut self, network: &NetworkName, party: &PartyCode, size: u64, root: Digest) {
        let number = u32::try_from(self.ledger.len() + 1).unwrap_or(u32::MAX);
        let origin = Origin::of(party, network, number).to_string();
        self.ledger.push(LedgerRow { origin, size: Some(size), root: Some(Hex(root.as_bytes().to_vec())) });
    }

    /// Adds those of a node's keys it does not name yet.
    pub(crate) fn add_keys(&mut self, keys: &PublicRoleKeys, now: Time) {
        for key in &keys.keys {
            if !self.key.iter().any(|known| known.public.0 == key.bytes) {
                self.key.push(RoleKey::new(key, now, now.plus_ms(KEY_MS)));
            }
        }
        let known = |node: &ProvedNode| self.node.iter().any(|known| known.node == node.node);
        let new = keys.node.iter().map(ProvedNode::of).find(|node| !known(node));
        self.node.extend(new);
    }

    /// Revokes the keys of a role that it names, but for the newest of these, from this time on; gives those of them that are
    /// not among these. Nodes have no dates: those of these that are no longer used are left out.
    pub(crate) fn revoke(&mut self, role: KeyRole, keys: &[PublicKey], reason: &str, from: Time) -> Vec<KeyId> {
        let of_role: Vec<&PublicKey> = keys.iter().filter(|key| key.role == role).collect();
        if let (KeyRole::Transport, [old @ .., _]) = (role, &of_role[..]) {
            let old: Vec<_> = old.iter().filter_map(|key| key.bytes.first_chunk().map(peer_id)).collect();
            self.node.retain(|node| !old.contains(&node.node.0));
            return Vec::new();
        }
        // Of a pair the newest of each half is the newest pair.
        let mut newest: BTreeMap<i32, &[u8]> = BTreeMap::new();
        newest.extend(of_role.iter().map(|key| (key.algorithm.into(), &key.bytes[..])));
        let mut foreign = Vec::new();
        for key in self.key.iter().map(RoleKey::to_wire).filter(|key| key.role() == role) {
            let id = Hex(key_id(&key).as_bytes().to_vec());
            let goes_on = newest.values().any(|bytes| *bytes == key.public_key);
            if !goes_on && !self.revocation.iter().any(|row| row.key == id) {
                self.revocation.push(Revocation { key: id, from: Moment(from.0), reason: reason.to_owned() });
                let held = of_role.iter().any(|held| held.bytes == key.public_key);
                foreign.extend((!held).then(|| key_id(&key)));
            }
        }
        foreign
    }

    /// What a profile says.
    pub(crate) fn of(wire: &proto::Profile) -> Self {
        let language = |rule: &proto::LanguageRule| Language {
            procedure: rule.procedure.clone(),
            urgent: rule.urgent,
            languages: rule.languages.clone(),
        };
        let revocation = |row: &proto::Revocation| Revocation {
            key: Hex(row.key_id.clone()),
            from: Moment(row.from_ms),
            reason: row.reason.clone(),
        };
        Self {
            schema: PROFILE_SCHEMA.to_owned(),
            network: wire.network.clone(),
            party: wire.party.clone(),
            version: wire.version,
            previous: previous(&wire.previous),
            issued: Moment(wire.issued_ms),
            ledger: wire.ledgers.iter().map(LedgerRow::of).collect(),
            node: wire.nodes.iter().map(ProvedNode::of).collect(),
            authority: wire.authorities.iter().map(Authority::of).collect(),
            language: wire.languages.iter().map(language).collect(),
            declaration: wire
                .declarations
                .iter()
                .map(|row| Declaration { code: row.code.clone(), value: row.value.clone() })
                .collect(),
            key: wire.keys.iter().map(RoleKey::of).collect(),
            revocation: wire.revocations.iter().map(revocation).collect(),
        }
    }

    /// Reads a draft file.
    pub(crate) fn read(path: &Path) -> Result<proto::Profile, CeremonyFault> {
        super::read::<Self>(path, PROFILE_SCHEMA).map(|draft| draft.to_wire())
    }

    /// The draft as text with comments.
    pub(crate) fn to_text(&self) -> String {
        let more = if self.version == 1 { MORE } else { "" };
        text_of(self, &COMMENTS) + more
    }

    fn to_wire(&self) -> proto::Profile {
        let language = |rule: &Language| proto::LanguageRule {
            procedure: rule.procedure.clone(),
            urgent: rule.urgent,
            languages: rule.languages.clone(),
        };
        let declaration = |row: &Declaration| proto::Declaration { code: row.code.clone(), value: row.value.clone() };
        let revocation = |row: &Revocation| proto::Revocation {
            key_id: row.key.0.clone(),
            from_ms: row.from.0,
            reason: row.reason.clone(),
        };
        let mut wire = proto::Profile {
            network: self.network.clone(),
            party: self.party.clone(),
            version: self.version,
            issued_ms: self.issued.0,
            previous: previous_bytes(self.previous.as_ref()),
            authorities: self.authority.iter().map(Authority::to_wire).collect(),
            languages: self.language.iter().map(language).collect(),
            declarations: self.declaration.iter().map(declaration).collect(),
            nodes: self.node.iter().map(ProvedNode::to_wire).collect(),
            ledgers: self.ledger.iter().map(LedgerRow::to_wire).collect(),
            keys: self.key.iter().map(RoleKey::to_wire).collect(),
            revocations: self.revocation.iter().map(revocation).collect(),
        };
        wire.authorities.sort_by(|a, b| a.id.cmp(&b.id));
        wire.declarations.sort_by(|a, b| a.code.cmp(&b.code));
        wire.nodes.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        wire.keys.sort_by_key(key_id);
        wire.revocations.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        wire
    }
}

/// The id of a key as a profile names it.
pub(in crate::ceremony) fn key_id(wire: &proto::RoleKey) -> KeyId {
    PublicKey::from(wire).id()
}

impl Authority {
    fn of(wire: &proto::Authority) -> Self {
        let power = |power: &proto::Power| Power {
            procedure: power.procedure.clone(),
            side: match power.side() {
                proto::Side::Requesting => Side::Requesting,
                proto::Side::Requested => Side::Requested,
                proto::Side::Unspecified => Side::Unspecified,
            },
            from: Moment(power.from_ms),
            until: Moment::open(power.until_ms),
        };
        Self {
            id: wire.id.clone(),
            name: wire.name.clone(),
            time_zone: wire.time_zone.clone(),
            acts_as: wire.actors().filter_map(ActsAs::of).collect(),
            power: wire.powers.iter().map(power).collect(),
        }
    }

    fn to_wire(&self) -> proto::Authority {
        let power = |power: &Power| proto::Power {
            procedure: power.procedure.clone(),
            side: match power.side {
                Side::Requesting => proto::Side::Requesting,
                Side::Requested => proto::Side::Requested,
                Side::Unspecified => proto::Side::Unspecified,
            } as i32,
            from_ms: power.from.0,
            until_ms: Moment::ms(power.until),
        };
        let mut powers: Vec<proto::Power> = self.power.iter().map(power).collect();
        powers.sort_by(|a, b| (&a.procedure, a.side).cmp(&(&b.procedure, b.side)));
        let mut actors: Vec<i32> = self.acts_as.iter().map(|own| own.kind() as i32).collect();
        actors.sort_unstable();
        proto::Authority {
            id: self.id.clone(),
            name: self.name.clone(),
            time_zone: self.time_zone.clone(),
            powers,
            actors,
        }
    }
}

impl RoleKey {
    fn new(key: &PublicKey, from: Time, until: Time) -> Self {
        Self::of(&proto::RoleKey {
            role: key.role as i32,
            algorithm: key.algorithm as i32,
            public_key: key.bytes.clone(),
            not_before_ms: from.0,
            not_after_ms: until.0,
        })
    }

    fn of(wire: &proto::RoleKey) -> Self {
        let role = match wire.role() {
            KeyRole::Directory => Role::Directory,
            KeyRole::Record => Role::Record,
            KeyRole::Checkpoint => Role::Checkpoint,
            KeyRole::Witness => Role::Witness,
            KeyRole::Seal => Role::Seal,
            KeyRole::Unspecified
            | KeyRole::Root
            | KeyRole::Transport
            | KeyRole::Charter
            | KeyRole::Recovery
            | KeyRole::Officer => Role::Other,
        };
        let algorithm = match wire.algorithm() {
            proto::Algorithm::Ed25519 => Algorithm::Ed25519,
            proto::Algorithm::MlDsa65 => Algorithm::MlDsa65,
            proto::Algorithm::MlDsa44 => Algorithm::MlDsa44,
            proto::Algorithm::Mlkem768X25519 => Algorithm::Mlkem768X25519,
            proto::Algorithm::Unspecified => Algorithm::Other,
        };
        let (from, until) = (Moment(wire.not_before_ms), Moment(wire.not_after_ms));
        Self { role, algorithm, from, until, public: Hex(wire.public_key.clone()) }
    }

    fn to_wire(&self) -> proto::RoleKey {
        let role = match self.role {
            Role::Directory => KeyRole::Directory,
            Role::Record => KeyRole::Record,
            Role::Checkpoint => KeyRole::Checkpoint,
            Role::Witness => KeyRole::Witness,
            Role::Seal => KeyRole::Seal,
            Role::Other => KeyRole::Unspecified,
        };
        let algorithm = match self.algorithm {
            Algorithm::Ed25519 => proto::Algorithm::Ed25519,
            Algorithm::MlDsa65 => proto::Algorithm::MlDsa65,
            Algorithm::MlDsa44 => proto::Algorithm::MlDsa44,
            Algorithm::Mlkem768X25519 => proto::Algorithm::Mlkem768X25519,
            Algorithm::Other => proto::Algorithm::Unspecified,
        };
        proto::RoleKey {
            role: role as i32,
            algorithm: algorithm as i32,
            public_key: self.public.0.clone(),
            not_before_ms: self.from.0,
            not_after_ms: self.until.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use prost::Message as _;

    use super::*;
    use crate::ceremony::tests::{keys_of, profile};

    #[test]
    fn a_profile_goes_through_a_draft_unchanged() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("profile.toml");
        let wire = profile();
        let mut draft = ProfileDraft::of(&wire);
        draft.authority.iter_mut().for_each(|authority| authority.power.reverse());
        draft.key.reverse();
        draft.node.reverse();
        draft.declaration.reverse();
        fs::write(&path, draft.to_text()).expect("written");
        let again = ProfileDraft::read(&path).expect("reads");
        assert_eq!(again.encode_to_vec(), wire.encode_to_vec(), "{again:?}");

        let changed = draft.to_text().replacen("12D3KooW", "12D3KooX", 1);
        fs::write(&path, changed).expect("written");
        assert!(ProfileDraft::read(&path).expect_err("no such node").to_string().contains("at line "));
    }

    #[test]
    fn a_new_node_is_added_and_a_known_one_is_not() {
        let wire = profile();
        let mut draft = ProfileDraft::next(&wire, Digest::new([9; 32]), Time(wire.issued_ms + 1));
        draft.add_keys(&keys_of("XA"), Time(5));
        assert_eq!((draft.key.len(), draft.node.len()), (wire.keys.len(), wire.nodes.len()));
        draft.add_keys(&keys_of("spare"), Time(5));
        assert_eq!((draft.key.len(), draft.node.len()), (wire.keys.len() + 5, wire.nodes.len() + 1));
        assert_eq!(draft.to_wire().version, 2);
    }

    /// A node that holds two generations of every key is named by the newest, and what is revoked is all but these.
    #[test]
    fn the_newest_generation_goes_on_and_the_others_of_its_role_end() {
        let wire = profile();
        let mut draft = ProfileDraft::next(&wire, Digest::new([9; 32]), Time(wire.issued_ms + 1));
        let (old, new) = (keys_of("XA"), keys_of("spare"));
        draft.add_keys(&old, Time(5));
        draft.add_keys(&new, Time(5));
        let transport = |keys: &PublicRoleKeys| {
            let bytes = node_key(&keys.node.as_ref().expect("a node").peer_id).expect("a key").to_vec();
            PublicKey { role: KeyRole::Transport, algorithm: proto::Algorithm::Ed25519, bytes }
        };
        let all = |keys: &PublicRoleKeys| [keys.keys.clone(), vec![transport(keys)]].concat();
        let both: Vec<PublicKey> = all(&old).into_iter().zip(all(&new)).flat_map(|(old, new)| [old, new]).collect();
        let named = |draft: &ProfileDraft, keys: &PublicRoleKeys| {
            draft.to_wire().nodes.contains(keys.node.as_ref().expect("one"))
        };
        assert!(named(&draft, &new));
        assert_eq!(draft.revoke(KeyRole::Transport, &both, "turned", Time(7)), []);
        assert!(named(&draft, &new) && !named(&draft, &old), "a node that is no longer used is left out");

        // A third node's key ends as well, and that is said; the second time nothing is left to revoke.
        let told = [(); 2].map(|()| draft.revoke(KeyRole::Seal, &both, "stolen", Time(7)).len());
        assert_eq!(told, [1, 0]);
        let seal = |keys: &PublicRoleKeys| keys.keys.iter().find(|key| key.role == KeyRole::Seal).expect("one").id();
        let revoked = draft.to_wire().revocations;
        let of_old: Vec<_> = revoked.iter().filter(|row| row.key_id == seal(&old).as_bytes()).collect();
        assert!(of_old.len() == 1 && (of_old[0].from_ms, &*of_old[0].reason) == (7, "stolen"), "{revoked:?}");
        assert!(revoked.iter().all(|row| row.key_id != seal(&new).as_bytes()));
    }
}
