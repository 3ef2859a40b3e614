//! The longer bytes that cases share, by name: documents, keys, one event with all that travels
//! with it, and spoiled ones that had to be signed to be spoiled in one respect only.

use std::collections::BTreeMap;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::shapes::{Bytes, Change, Named};
use crate::{
    crypto::{HybridSigner, is_ed25519_key, pae},
    event::{
        EVENT_TYPE, Event, Header,
        tests::{
            NOW, PLACE, body, delivery_of, header, origin, proof, received, refused, sealed, sent, signed, slips,
            with_slip,
        },
        thread_id,
    },
    founding::{
        quorum, sign,
        tests::{
            CODES, START, add_keys, charter_after, charter_bytes, code, key_id, keys, named_seed, payload,
            profile_bytes, root,
        },
    },
    ids::{DAY_MS, Digest, NetworkName, Origin, Time, hex, unhex},
    ledger::Checkpoint,
    officer::{ROLL_TYPE, tests as house},
    profile::{
        CHARTER_TYPE, Charter, DIRECTORY_TYPE, HEAD_TYPE, PROFILE_TYPE, Profile, SUSPENSION_TYPE, Trust, document_id,
        node_of,
    },
    proto::{self, KeyRole, Ledger, Side},
};

/// The file of named bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaterialFile {
    pub(super) about: String,
    pub(super) bytes: BTreeMap<String, String>,
}

/// Named bytes, and the trust their charter and profiles make.
pub(super) struct Material {
    pub(super) bytes: BTreeMap<String, Vec<u8>>,
    charter: Charter,
    profiles: [Profile; 3],
    trust: Trust,
}

impl Material {
    pub(super) fn new(bytes: BTreeMap<String, Vec<u8>>) -> Self {
        let of = |name: &str| bytes.get(name).unwrap_or_else(|| panic!("material {name}"));
        let fingerprint = Digest::from_slice(of("charter-fingerprint")).expect("a digest");
        let charter = Charter::open(of("charter"), fingerprint).expect("a charter");
        let profiles = ["profile-xa", "profile-xb", "profile-xc"];
        let profiles = profiles.map(|name| Profile::open(of(name), &charter, START).expect("a profile"));
        let trust = Trust::new(charter.clone(), profiles.to_vec()).expect("trust");
        Self { bytes, charter, profiles, trust }
    }

    pub(super) fn read(file: &MaterialFile) -> Self {
        let bytes = |(name, text): (&String, &String)| (name.clone(), unhex(text, "material").expect("hexadecimal"));
        Self::new(file.bytes.iter().map(bytes).collect())
    }

    /// The same, but for what is kept already: signatures are made once.
    pub(super) fn but(mut self, kept: &MaterialFile) -> Self {
        let kept = Self::read(kept).bytes.into_iter().filter(|(name, _)| self.bytes.contains_key(name));
        let kept: Vec<_> = kept.collect();
        self.bytes.extend(kept);
        Self::new(self.bytes)
    }

    pub(super) fn file(&self) -> MaterialFile {
        let about = "Bytes that the cases of the other files name. Signed with keys whose seeds are \
                     SHA-256 of their names; see README.md.";
        let bytes = self.bytes.iter().map(|(name, bytes)| (name.clone(), hex(bytes))).collect();
        MaterialFile { about: about.into(), bytes }
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same trust once a Party has published this profile.
    pub(super) fn trust_after(&self, newer: &Bytes) -> Trust {
        let newer = Profile::open(&self.bytes(newer), &self.charter, START).expect("a profile");
        let of = |kept: &Profile| if kept.party == newer.party { newer.clone() } else { kept.clone() };
        Trust::new(self.charter.clone(), self.profiles.iter().map(of).collect()).expect("trust")
    }

    pub(super) fn of(&self, name: &str) -> &[u8] {
        self.bytes.get(name).unwrap_or_else(|| panic!("material {name}"))
    }

    pub(super) fn bytes(&self, bytes: &Bytes) -> Vec<u8> {
        match bytes {
            Bytes::Hex(text) => unhex(text, "a vector").expect("hexadecimal"),
            Bytes::Named(Named { of, change }) => {
                let mut bytes = self.of(of).to_vec();
                for Change { at, put } in change {
                    let put = unhex(put, "a change").expect("hexadecimal");
                    bytes[*at..*at + put.len()].copy_from_slice(&put);
                }
                bytes
            }
        }
    }

    pub(super) fn array<const N: usize>(&self, bytes: &Bytes) -> [u8; N] {
        self.bytes(bytes).try_into().unwrap_or_else(|_| panic!("{N} bytes"))
    }

    /// `whole` with one bit changed in its byte number `at`.
    pub(super) fn flipped(&self, whole: &str, at: usize) -> Bytes {
        let put = hex(&[self.of(whole)[at] ^ 1]);
        Bytes::Named(Named { of: whole.into(), change: vec![Change { at, put }] })
    }

    /// `whole` with one bit changed in byte `n` of the part that stands in it.
    pub(super) fn flipped_in(&self, whole: &str, part: &[u8], n: usize) -> Bytes {
        let place = self.of(whole).windows(part.len()).position(|window| window == part);
        self.flipped(whole, place.unwrap_or_else(|| panic!("the part stands in {whole}")) + n)
    }
}

pub(super) fn named(of: &str) -> Bytes {
    Bytes::Named(Named { of: of.into(), change: Vec::new() })
}

pub(super) fn raw(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::Hex(hex(bytes.as_ref()))
}

type Pile = BTreeMap<String, Vec<u8>>;

/// Everything signed anew.
pub(super) fn fresh() -> Material {
    let mut pile = Pile::new();
    documents(&mut pile);
    bad_charters(&mut pile);
    bad_profiles(&mut pile);
    charter_chain(&mut pile);
    revoking(&mut pile);
    changing(&mut pile);
    key_bytes(&mut pile);
    let (event, _) = travel(&mut pile);
    bad_events(&mut pile, &event);
    notes(&mut pile);
    rolls(&mut pile);
    Material::new(pile)
}

/// A profile of XA that requires two officers, and rolls of these.
fn rolls(pile: &mut Pile) {
    let strict = house::signed_profile(&house::profile_draft("XA", Some("required")));
    let fingerprint = Digest::from_slice(&pile["charter-fingerprint"]).expect("a digest");
    let charter = Charter::open(&pile["charter"], fingerprint).expect("a charter");
    let profile = Profile::open(&strict, &charter, START).expect("a profile");
    let roll = house::roll_draft(&profile, ["one", "three", "two"].map(house::officer).to_vec());
    put(pile, "profile-xa-four-eyes", strict);
    put(pile, "roll", house::signed_roll(&roll));
    put(pile, "roll-of-another-profile", house::signed_roll(&proto::Roll { profile: vec![1; 32], ..roll.clone() }));
    let by_root = sign(ROLL_TYPE, roll.encode_to_vec(), &[&root("XA", KeyRole::Root)]).expect("signed");
    put(pile, "roll-signed-by-root", by_root);
    let mut stray = roll;
    stray.officers[0].authority = "police".into();
    put(pile, "roll-of-no-authority", house::signed_roll(&stray));
}

fn put(pile: &mut Pile, name: &str, bytes: impl Into<Vec<u8>>) {
    assert!(pile.insert(name.into(), bytes.into()).is_none(), "{name} is there already");
}

fn documents(pile: &mut Pile) {
    let charter = charter_bytes();
    put(pile, "charter-fingerprint", document_id(CHARTER_TYPE, &payload(&charter)).as_bytes());
    put(pile, "charter", charter);
    for party in CODES {
        put(pile, &format!("profile-{}", party.to_lowercase()), profile_bytes(party, party));
    }
    put(pile, "profile-xa-signed-by-xb", profile_bytes("XA", "XB"));
    for (of, role, signer) in [("charter", KeyRole::Charter, "secretariat"), ("profile-xa", KeyRole::Root, "XA")] {
        let whole = signed_whole(&pile[of], &root(signer, role));
        put(pile, &format!("{of}-signed-whole"), whole);
    }
}

/// The same document, its signatures over its bytes and not over its id.
fn signed_whole(envelope: &[u8], signer: &HybridSigner) -> Vec<u8> {
    let mut envelope = proto::Envelope::decode(envelope).expect("an envelope");
    envelope.signatures = signer.sign_pair(&pae(&envelope.payload_type, &envelope.header)).expect("signed");
    envelope.encode_to_vec()
}

/// Versions after the charter: one that changes nothing, the one after that, and two that give XB other root keys.
fn charter_chain(pile: &mut Pile) {
    let secretariat = root("secretariat", KeyRole::Charter);
    let (old, new) = (root("XB", KeyRole::Root), root("XB new", KeyRole::Root));
    let one = proto::Charter::decode(&payload(&pile["charter"])[..]).expect("a charter");
    let after = |before: &proto::Charter| charter_after(before, Time(before.issued_ms + DAY_MS));
    let two = after(&one);
    let mut changed = two.clone();
    changed.parties[1].root = Some(quorum(new.public()));
    let mut earlier = two.clone();
    earlier.parties.pop();
    earlier.instruments.pop();
    let signed = |charter: &proto::Charter, signers: &[&HybridSigner]| {
        sign(CHARTER_TYPE, charter.encode_to_vec(), signers).expect("signed")
    };
    put(pile, "charter-3", signed(&after(&two), &[&secretariat]));
    put(pile, "charter-2-with-xbs-consent", signed(&changed, &[&secretariat, &old]));
    put(pile, "charter-2-refounds-xb", signed(&changed, &[&secretariat]));
    put(pile, "charter-2-without-xc", signed(&earlier, &[&secretariat]));
    put(pile, "charter-2-by-two-parties", {
        let own = proto::Charter { signers: Some(quorum(new.public())), ..two.clone() };
        let officer = root("XB new", KeyRole::Charter);
        signed(&own, &[&officer, &root("XA", KeyRole::Root), &old])
    });
    put(pile, "charter-2-by-a-stranger", signed(&two, &[&root("XA", KeyRole::Charter)]));
    put(pile, "charter-2-signed-twice", signed(&two, &[&secretariat, &secretariat]));
    put(pile, "charter-2", signed(&two, &[&secretariat]));
    let mut ahead = after(&changed);
    ahead.issued_ms = NOW.0 + 40 * DAY_MS;
    put(pile, "charter-3-dated-after-the-wait", signed(&ahead, &[&secretariat]));
    let own = proto::Profile::decode(&payload(&pile["profile-xb"])[..]).expect("a profile");
    put(pile, "profile-xb-by-new-root", sign(PROFILE_TYPE, own.encode_to_vec(), &[&new]).expect("signed"));
}

/// When [`revoking`] profiles end a key: an hour after what it signed.
pub(super) const REVOKED: Time = NOW.plus_ms(3_600_000);

/// Second profiles: of XA without its record keys, of XB without its checkpoint keys.
fn revoking(pile: &mut Pile) {
    for (party, role, name) in [
        ("XA", KeyRole::Record, "profile-xa-revokes-record-keys"),
        ("XB", KeyRole::Checkpoint, "profile-xb-revokes-checkpoint-keys"),
    ] {
        let first = payload(&pile[&format!("profile-{}", party.to_lowercase())]);
        let mut profile = proto::Profile::decode(&first[..]).expect("a profile");
        (profile.version, profile.issued_ms) = (2, REVOKED.0);
        profile.previous = document_id(PROFILE_TYPE, &first).as_bytes().to_vec();
        let stolen = profile.keys.iter().filter(|key| key.role() == role);
        let revoke = |key| proto::Revocation {
            key_id: key_id(key).as_bytes().to_vec(),
            from_ms: REVOKED.0,
            reason: "key-stolen".into(),
        };
        profile.revocations = stolen.map(revoke).collect();
        put(pile, name, sign(PROFILE_TYPE, profile.encode_to_vec(), &[&root(party, KeyRole::Root)]).expect("signed"));
    }
}

/// A profile of XA with a directory key, what that key signs, and a suspension by its root key.
fn changing(pile: &mut Pile) {
    let [own_root, directory_key] =
        [("XA", KeyRole::Root), ("XA directory", KeyRole::Directory)].map(|(n, r)| root(n, r));
    let mut profile = proto::Profile::decode(&payload(&pile["profile-xa"])[..]).expect("a profile");
    add_keys(&mut profile, &directory_key, NOW.plus_ms(1));
    let profile_id = document_id(PROFILE_TYPE, &profile.encode_to_vec()).as_bytes().to_vec();
    put(
        pile,
        "profile-xa-with-directory-key",
        sign(PROFILE_TYPE, profile.encode_to_vec(), &[&own_root]).expect("signed"),
    );
    let contact = proto::Contact {
        authority: "central".into(),
        office: "registry".into(),
        email: "registry@central.xa.test".into(),
        phone: "+00 1 555 0101".into(),
        hours: "Mo-Fr 08:00-18:00".into(),
        languages: vec!["en".into(), "fr".into()],
    };
    let addresses = vec![proto::Address {
        node: profile.nodes[0].peer_id.clone(),
        multiaddrs: vec!["/dns/xa.test/tcp/4001".into()],
    }];
    let directory = proto::Directory {
        network: profile.network.clone(),
        party: "XA".into(),
        version: 1,
        issued_ms: START.0,
        profile: profile_id.clone(),
        contacts: vec![contact],
        addresses,
        holidays: vec!["2026-05-01".into()],
    };
    let directory_id = document_id(DIRECTORY_TYPE, &directory.encode_to_vec()).as_bytes().to_vec();
    let head = proto::ProfileHead {
        network: profile.network.clone(),
        party: "XA".into(),
        issued_ms: NOW.0,
        profile_version: 1,
        profile: profile_id,
        directory_version: 1,
        directory: directory_id,
    };
    let suspension = proto::Suspension {
        network: profile.network.clone(),
        party: "XA".into(),
        issued_ms: START.0,
        profile_version: 1,
        reason: "key-stolen".into(),
        profile: document_id(PROFILE_TYPE, &payload(&pile["profile-xa"])).as_bytes().to_vec(),
    };
    let by_directory = |kind: &str, bytes: Vec<u8>| sign(kind, bytes, &[&directory_key]).expect("signed");
    put(pile, "directory", by_directory(DIRECTORY_TYPE, directory.encode_to_vec()));
    let other = proto::Directory { profile: vec![7; 32], ..directory.clone() };
    put(pile, "directory-of-another-profile", by_directory(DIRECTORY_TYPE, other.encode_to_vec()));
    let ghost = proto::Directory { holidays: vec!["2026-02-29".into()], ..directory.clone() };
    put(pile, "directory-with-no-day", by_directory(DIRECTORY_TYPE, ghost.encode_to_vec()));
    put(
        pile,
        "directory-signed-by-root",
        sign(DIRECTORY_TYPE, directory.encode_to_vec(), &[&own_root]).expect("signed"),
    );
    let forked = proto::ProfileHead { profile: vec![7; 32], ..head.clone() };
    put(pile, "directory-signed-whole", signed_whole(&pile["directory"], &directory_key));
    put(pile, "head-of-a-fork", by_directory(HEAD_TYPE, forked.encode_to_vec()));
    let newer = proto::ProfileHead { profile_version: 2, profile: vec![8; 32], ..head.clone() };
    put(pile, "head-of-a-newer-profile", by_directory(HEAD_TYPE, newer.encode_to_vec()));
    put(pile, "head", by_directory(HEAD_TYPE, head.encode_to_vec()));
    let by = |signer: &HybridSigner| sign(SUSPENSION_TYPE, suspension.encode_to_vec(), &[signer]).expect("signed");
    let all = proto::Suspension { profile_version: u64::MAX, ..suspension.clone() };
    put(pile, "suspension-of-all", sign(SUSPENSION_TYPE, all.encode_to_vec(), &[&own_root]).expect("signed"));
    put(pile, "suspension", by(&own_root));
    put(pile, "suspension-by-xb", by(&root("XB", KeyRole::Root)));
}

/// Charters of no Party, so that each says one thing only; signed as it should be.
fn bad_charters(pile: &mut Pile) {
    let signer = root("secretariat", KeyRole::Charter);
    let good = proto::Charter {
        network: "test.comity.test".into(),
        version: 1,
        issued_ms: START.0,
        expires_ms: START.0 + 1,
        signers: Some(quorum(signer.public())),
        suites: vec![proto::SuiteDates { id: 1, from_ms: START.0, until_ms: 0 }],
        ..proto::Charter::default()
    };
    let mut one = |name: &str, change: &dyn Fn(&mut proto::Charter)| {
        let mut charter = good.clone();
        change(&mut charter);
        let bytes = sign(CHARTER_TYPE, charter.encode_to_vec(), &[&signer]).expect("signed");
        put(pile, name, bytes);
    };
    one("charter-bare", &|_| ());
    one("charter-version-0", &|c| c.version = 0);
    one("charter-version-1-with-previous", &|c| c.previous = vec![1; 32]);
    one("charter-version-2-without-previous", &|c| c.version = 2);
    one("charter-expires-before-issue", &|c| c.expires_ms = c.issued_ms);
    one("charter-suites-repeat", &|c| c.suites.push(c.suites[0]));
    one("charter-network-in-capitals", &|c| c.network = "Test.comity.test".into());
    one("charter-instrument-of-no-party", &|c| {
        let row = proto::InstrumentStatus { instrument: "BC".into(), party: "XA".into(), ..Default::default() };
        c.instruments.push(row);
    });
    one("charter-threshold-0", &|c| c.signers.as_mut().expect("signers").threshold = 0);
    one("charter-threshold-beyond-keys", &|c| c.signers.as_mut().expect("signers").threshold = 2);
    one("charter-short-key", &|c| {
        let extra = proto::HybridKey { ed25519: vec![0xff; 31], ml_dsa_65: vec![1; 1952] };
        c.signers.as_mut().expect("signers").keys.push(extra);
    });
    one("charter-without-signers", &|c| c.signers = None);
}

fn first_ledger(origin: &Origin) -> Ledger {
    Ledger { origin: origin.to_string(), ..Ledger::default() }
}

/// The one after it, which begins with seven of its records.
fn second_ledger() -> Ledger {
    Ledger { origin: "xa.test.comity.test/ledger/2".into(), size: 7, root: vec![7; 32] }
}

/// Profiles of XA that say little; signed as they should be.
fn bad_profiles(pile: &mut Pile) {
    let role = |role: KeyRole, algorithm, len, fill| proto::RoleKey {
        role: role as i32,
        algorithm,
        public_key: vec![fill; len],
        not_before_ms: 1,
        not_after_ms: 2,
    };
    let good = proto::Profile {
        network: "test.comity.test".into(),
        party: "XA".into(),
        version: 1,
        issued_ms: START.0,
        ledgers: vec![first_ledger(&origin("XA"))],
        ..proto::Profile::default()
    };
    let signer = root("XA", KeyRole::Root);
    let mut one = |name: &str, change: &dyn Fn(&mut proto::Profile)| {
        let mut profile = good.clone();
        change(&mut profile);
        put(pile, name, sign(PROFILE_TYPE, profile.encode_to_vec(), &[&signer]).expect("signed"));
    };
    one("profile-bare", &|_| ());
    one("profile-other-network", &|p| p.network = "other.test".into());
    one("profile-of-no-party", &|p| p.party = "XD".into());
    one("profile-version-0", &|p| p.version = 0);
    one("profile-without-ledger", &|p| p.ledgers.clear());
    one("profile-with-ledger-of-another", &|p| p.ledgers = vec![first_ledger(&origin("XB"))]);
    one("profile-with-second-ledger-only", &|p| p.ledgers = vec![second_ledger()]);
    one("profile-with-second-ledger", &|p| p.ledgers.push(second_ledger()));
    one("profile-with-second-ledger-from-nothing", &|p| p.ledgers.push(Ledger { size: 0, ..second_ledger() }));
    one("profile-with-second-ledger-without-root", &|p| p.ledgers.push(Ledger { root: Vec::new(), ..second_ledger() }));
    one("profile-with-first-ledger-from-another", &|p| p.ledgers[0].size = 7);
    let node = |party: &str, name: &str| {
        let network = NetworkName::parse("test.comity.test").expect("a name");
        node_of(&network, &code(party), &named_seed(name)).expect("a node")
    };
    one("profile-nodes-fall", &|p| {
        p.nodes = ["one node", "another"].map(|name| node("XA", name)).to_vec();
        p.nodes.sort_by(|a, b| b.peer_id.cmp(&a.peer_id));
    });
    let kind = proto::Node { peer_id: vec![0x12, 0x20, 1], ..node("XA", "one node") };
    one("profile-node-of-another-kind", &|p| p.nodes = vec![kind.clone()]);
    one("profile-node-without-proof", &|p| p.nodes = vec![proto::Node { proof: Vec::new(), ..node("XA", "one node") }]);
    one("profile-node-of-another-party", &|p| p.nodes = vec![node("XB", "one node")]);
    let no_point = (1..=u8::MAX).map(|n| [n; 32]).find(|bytes| !is_ed25519_key(bytes)).expect("half of them");
    let no_point = proto::Node { peer_id: crate::profile::peer_id(&no_point), ..node("XA", "one node") };
    one("profile-node-no-point", &|p| p.nodes = vec![no_point.clone()]);
    one("profile-text-that-hides", &|p| {
        let name = "Central Authority\u{1b}[2K\rall is well".into();
        p.authorities = vec![proto::Authority { id: "central".into(), name, ..proto::Authority::default() }];
    });
    one("profile-xa-far-ahead", &|p| (p.version, p.previous) = ((1 << 20) + 2, vec![7; 32]));
    one("profile-key-of-unknown-role", &|p| {
        p.keys = vec![proto::RoleKey { role: 99, ..role(KeyRole::Record, 1, 32, 1) }]
    });
    one("profile-key-of-root-role", &|p| p.keys = vec![role(KeyRole::Root, 1, 32, 1)]);
    one("profile-key-of-wrong-algorithm", &|p| p.keys = vec![role(KeyRole::Seal, 1, 32, 1)]);
    one("profile-key-too-short", &|p| p.keys = vec![role(KeyRole::Record, 1, 31, 1)]);
    one("profile-key-never-valid", &|p| {
        p.keys = vec![proto::RoleKey { not_after_ms: 1, ..role(KeyRole::Record, 1, 32, 1) }]
    });
    one("profile-key-in-two-roles", &|p| {
        p.keys = vec![role(KeyRole::Record, 1, 32, 1), role(KeyRole::Directory, 1, 32, 1)];
        p.keys.sort_by_key(key_id);
    });
    one("profile-keys-fall", &|p| {
        p.keys = vec![role(KeyRole::Record, 1, 32, 1), role(KeyRole::Record, 1, 32, 2)];
        p.keys.sort_by_key(|key| std::cmp::Reverse(key_id(key)));
    });
    one("profile-power-of-no-side", &|p| p.authorities = vec![authority(&[("PRES", Side::Unspecified)])]);
    one("profile-powers-fall", &|p| {
        p.authorities = vec![authority(&[("PRES", Side::Requested), ("PRES", Side::Requesting)])];
    });
}

fn authority(powers: &[(&str, Side)]) -> proto::Authority {
    let power = |(procedure, side): &(&str, Side)| proto::Power {
        procedure: (*procedure).into(),
        side: *side as i32,
        from_ms: START.0,
        until_ms: 0,
    };
    proto::Authority { id: "central".into(), powers: powers.iter().map(power).collect(), ..Default::default() }
}

fn key_bytes(pile: &mut Pile) {
    let mut halves = |name: &str, signer: &HybridSigner, second: &str| {
        let [one, two] = signer.public();
        put(pile, &format!("{name}-ed25519-key"), one.bytes.clone());
        put(pile, &format!("{name}-{second}-key"), two.bytes.clone());
    };
    halves("xa-record", &keys("XA").record, "ml-dsa-65");
    halves("xa-checkpoint", &keys("XA").checkpoint, "ml-dsa-44");
    halves("xb-checkpoint", &keys("XB").checkpoint, "ml-dsa-44");
    let pair = keys("XA").record.sign_pair(b"act").expect("signed");
    for (signature, half) in pair.iter().zip(["first", "second"]) {
        put(pile, &format!("pair-over-act-{half}-key-id"), signature.key_id.clone());
        put(pile, &format!("pair-over-act-{half}-signature"), signature.signature.clone());
    }
    put(pile, "xb-seal-seed", *named_seed("XB seal").expose());
    put(pile, "xc-seal-seed", *named_seed("XC seal").expose());
}

/// One event from XA to XB and XC, its delivery to XB, and XB's answers.
fn travel(pile: &mut Pile) -> (Event, Vec<u8>) {
    let (event, secret) = sealed(header(), &keys("XA"));
    let delivery = delivery_of(&event, &secret, "XB");
    let received = received(&event, &secret);
    let refusal = refused(&event, |_| ());
    put(pile, "event-id", event.id.as_bytes());
    put(pile, "header", event.bytes.clone());
    put(pile, "binding", event.header.binding().as_bytes());
    put(pile, "body", body().encode_to_vec());
    put(pile, "body-secret", *secret);
    put(pile, "sealed-body", event.body.clone());
    put(pile, "envelope", delivery.envelope.clone());
    put(pile, "slip", delivery.slip.clone());
    put(pile, "proof", delivery.proof.clone());
    put(pile, "context", sent(event.clone(), secret.clone()).case.context);
    put(pile, "delivery", delivery.encode_to_vec());
    put(pile, "signatures-digest", crate::ledger::signatures_digest(&event.signatures).as_bytes());
    put(pile, "receipt", proof("XB", &received));
    put(pile, "refusal-envelope", refusal.envelope);
    put(pile, "refusal-proof", refusal.proof);
    let other = refused(&event, |refusal| refusal.code = "Not a code".into());
    put(pile, "refusal-with-a-text-envelope", other.envelope);
    put(pile, "refusal-with-a-text-proof", other.proof);
    let for_xc = slips(&event.header.recipients).bytes(&event.header.origin, &code("XC")).expect("a recipient");
    put(pile, "delivery-with-slip-of-xc", proto::Delivery { slip: for_xc, ..delivery.clone() }.encode_to_vec());
    let above = with_slip(&delivery, |slip, _| slip.number = PLACE + 2);
    put(pile, "delivery-with-a-number-above", above.encode_to_vec());
    put(pile, "delivery-with-xbs-proof", {
        proto::Delivery { proof: proof("XA", &received), ..delivery.clone() }.encode_to_vec()
    });
    let again = signed(event.header.clone(), event.body.clone(), &keys("XA"));
    put(pile, "delivery-with-other-signatures", {
        proto::Delivery { envelope: again.to_envelope(), ..delivery.clone() }.encode_to_vec()
    });
    (event, delivery.envelope)
}

fn bad_events(pile: &mut Pile, good: &Event) {
    let body = good.body.clone();
    let mut of = |name: &str, change: &dyn Fn(&mut Header)| {
        let mut changed = good.header.clone();
        change(&mut changed);
        changed.thread = thread_id(&changed.network, &changed.request, &changed.members());
        put(pile, name, signed(changed, body.clone(), &keys("XA")).to_envelope());
    };
    of("envelope-other-network", &|h| h.network = NetworkName::parse("other.test").expect("name"));
    of("envelope-not-exercise", &|h| h.exercise = false);
    of("envelope-other-origin", &|h| h.origin = origin("XB"));
    of("envelope-author-xd", &|h| h.author = code("XD"));
    put(pile, "envelope-by-a-stranger", signed(good.header.clone(), good.body.clone(), &keys("XC")).to_envelope());
    let mut halves = [good.clone(), good.clone()];
    halves[0].signatures.truncate(1);
    halves[1].signatures.reverse();
    put(pile, "envelope-half-signed", halves[0].to_envelope());
    put(pile, "envelope-signatures-fall", halves[1].to_envelope());
    let as_refusal =
        keys("XA").record.sign_pair(&pae("application/vnd.comity.refusal.v1", &good.bytes)).expect("signed");
    put(pile, "envelope-signed-as-refusal", Event { signatures: as_refusal, ..good.clone() }.to_envelope());
    assert_eq!(EVENT_TYPE, "application/vnd.comity.event.v1");
}

fn notes(pile: &mut Pile) {
    let checkpoint = Checkpoint { origin: origin("XA"), size: 7, root: Digest::new([9; 32]) };
    let note = checkpoint.sign(&keys("XA").checkpoint, NOW).expect("signed");
    let later = checkpoint.sign(&keys("XA").checkpoint, Time(NOW.0 + 60_000)).expect("signed");
    put(pile, "checkpoint", note.as_bytes());
    let cosigned = format!("{note}\u{2014} witness.example/w1 {}\n", "AAAA".repeat(20));
    put(pile, "checkpoint-with-a-strangers-line", cosigned);
    let lines: Vec<&str> = note.lines().collect();
    put(pile, "checkpoint-without-ed25519", format!("{}\n\n{}\n", lines[..3].join("\n"), lines[5]));
    put(pile, "checkpoint-without-ml-dsa", format!("{}\n\n{}\n", lines[..3].join("\n"), lines[4]));
    put(pile, "checkpoint-line-twice", format!("{note}{}\n", lines[4]));
    let second = later.lines().nth(5).expect("two lines");
    put(pile, "checkpoint-two-times", format!("{note}{second}\n"));
    put(pile, "checkpoint-size-with-zero", note.replacen("\n7\n", "\n07\n", 1));
    put(pile, "checkpoint-empty", note.replacen("\n7\n", "\n0\n", 1));
    put(pile, "checkpoint-with-extension", note.replacen("\n\n", "\nextension\n\n", 1));
}
