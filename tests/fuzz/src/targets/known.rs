//! What every run knows: the Parties, keys and signed bytes of `proto/vectors`, whose README says how the keys
//! follow from names.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use comity_core::{
    crypto::{HybridSigner, PublicKey, Seed, sha256},
    event::{BodySecret, EventFault, unwrap_body},
    founding::{Founder, Office, RoleKeys, charter, profile, sign_charter, sign_profile},
    ids::{Digest, KeyId, NetworkName, PartyCode, Time, unhex},
    ledger::Checkpoint,
    profile::{Book, CHARTER_TYPE, Charter, Profile, Trust, document_id},
    proto::{self, Algorithm, KeyRole, Signature},
    rules::{Rules, SHIPPED},
    wire::{DOCUMENT_MAX, strict},
};

/// When the network was founded.
const START: Time = Time(1_760_000_000_000);
/// One day later: when the known event was signed.
pub(crate) const NOW: Time = START.plus_ms(86_400_000);
/// The Parties of the known charter.
pub(crate) const PARTIES: [&str; 3] = ["XA", "XB", "XC"];

/// Bytes by name.
static MATERIAL: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let text = include_str!("../../../../proto/vectors/material.json");
    let file: serde_json::Value = serde_json::from_str(text).expect("the material is JSON");
    let bytes = file["bytes"].as_object().expect("the material holds bytes by name").iter();
    let read = |text: &serde_json::Value| unhex(text.as_str().expect("a text"), "material").expect("hexadecimal");
    bytes.map(|(name, text)| (name.clone(), read(text))).collect()
});

pub(crate) fn material(name: &str) -> &'static [u8] {
    MATERIAL.get(name).unwrap_or_else(|| panic!("material.json has no {name}"))
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::from_slice(material(name)).expect("a digest")
}

pub(crate) static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let charter = Charter::open(material("charter"), digest("charter-fingerprint")).expect("a charter");
    let profiles = ["profile-xa", "profile-xb", "profile-xc"];
    let profiles = profiles.map(|name| Profile::open(material(name), &charter, NOW).expect("a profile"));
    Trust::new(charter, profiles.to_vec()).expect("trust")
});

pub(crate) static RULES: LazyLock<Arc<Rules>> =
    LazyLock::new(|| Arc::new(Rules::parse(SHIPPED).expect("the shipped rules read")));

pub(crate) fn party(code: &str) -> PartyCode {
    PartyCode::parse(code).expect("a code")
}

pub(crate) fn seed(name: &str) -> Seed {
    Seed::new(*sha256(&[name.as_bytes()]).as_bytes())
}

/// The keys of a Party's node.
pub(crate) struct Keys {
    pub(crate) roles: RoleKeys,
    seal: KeyId,
}

impl Keys {
    pub(crate) fn unwrap(&self, sealed: &[u8], binding: &Digest) -> Result<BodySecret, EventFault> {
        unwrap_body(sealed, binding, &self.seal, &self.roles.seal)
    }
}

static KEYS: LazyLock<BTreeMap<&str, Keys>> = LazyLock::new(|| {
    let of = |code: &'static str| {
        let roles = RoleKeys::from_seeds(|name| seed(&format!("{code} {name}"))).expect("keys");
        let seal = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &roles.seal).expect("a seal key").id();
        (code, Keys { roles, seal })
    };
    PARTIES.into_iter().map(of).collect()
});

pub(crate) fn keys(code: &str) -> &'static Keys {
    KEYS.get(code).expect("one of the Parties")
}

/// The key pair that signs charters (`secretariat`) or a Party's profiles.
pub(crate) fn root(code: &str, role: KeyRole) -> HybridSigner {
    let half = |half| seed(&format!("{code} root {half}"));
    HybridSigner::new(role, &half("a"), Algorithm::MlDsa65, &half("b")).expect("keys")
}

/// What was signed before, by what it says: the same message gets the same signatures again, which is quicker, and
/// the same input always does the same.
struct Signed<T>(Mutex<BTreeMap<Digest, T>>);

/// Remembered of each kind, then all are forgotten: 4 KiB each.
const SIGNED_MAX: usize = 10_000;

impl<T: Clone> Signed<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn again_or(&self, says: &[&[u8]], sign: impl FnOnce() -> T) -> T {
        let mut signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.len() >= SIGNED_MAX {
            signed.clear();
        }
        signed.entry(sha256(says)).or_insert_with(sign).clone()
    }
}

static MESSAGES: Signed<Vec<Signature>> = Signed::new();
static NOTES: Signed<Vec<u8>> = Signed::new();

pub(crate) fn sign(name: &str, by: &HybridSigner, message: &[u8]) -> Vec<Signature> {
    MESSAGES.again_or(&[name.as_bytes(), b"\0", message], || by.sign_pair(message).expect("signed"))
}

/// The note of a Party over its ledger.
pub(crate) fn note(code: &str, checkpoint: &Checkpoint, now: Time) -> Vec<u8> {
    let sign = || checkpoint.sign(&keys(code).roles.checkpoint, now).expect("signed").into_bytes();
    NOTES.again_or(&[checkpoint.text().as_bytes(), &now.0.to_be_bytes()], sign)
}

/// The same Parties, founded anew with power in every shipped procedure: the known ones preserve only.
pub(crate) static FOUNDED: LazyLock<Trust> = LazyLock::new(|| BOOK.trust());

/// From what that is known.
pub(crate) static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let network = network();
    let secretariat = root("secretariat", KeyRole::Charter);
    let founders = PARTIES.map(|code| Founder {
        code: party(code),
        name: code.to_owned(),
        root: root(code, KeyRole::Root).public().map(Clone::clone),
    });
    let instruments: Vec<&str> = RULES.instruments().map(|instrument| instrument.code.as_str()).collect();
    let draft = charter(&network, true, secretariat.public(), &founders, &instruments, START);
    let bytes = sign_charter(&draft, &[&secretariat]).expect("signed");
    let envelope: proto::Envelope = strict(&bytes, DOCUMENT_MAX).expect("an envelope");
    let mut book = Book::found(&bytes, document_id(CHARTER_TYPE, &envelope.header)).expect("a charter");
    for code in PARTIES {
        let office = Office {
            id: "central".into(),
            name: "Central Authority".into(),
            time_zone: "Europe/Zurich".into(),
            procedures: RULES.procedures().map(|procedure| procedure.code.to_string()).collect(),
        };
        let public = keys(code).roles.public(&network, &party(code)).expect("public keys");
        let draft = profile(&network, &party(code), &[office], &["en"], &public, START);
        let bytes = sign_profile(&draft, &[&root(code, KeyRole::Root)]).expect("signed");
        book.accept(&bytes, START).expect("a profile");
    }
    book
});

pub(crate) fn network() -> NetworkName {
    NetworkName::parse("test.comity.test").expect("a name")
}
