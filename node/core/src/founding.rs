//! Making the documents of a network: a charter and profiles, drafted from plain facts and signed.
//!
//! Pure drafting for exercises, rehearsals, simulation and the first day of a real network; who may
//! sign what, with which machine and in which ceremony, is decided by people. Start with
//! [`charter`] and [`profile`]; both are signed by [`sign`].

use prost::Message as _;

use crate::{
    crypto::{CryptoFault, HybridSigner, PublicKey, Seed},
    ids::{NetworkName, Origin, PartyCode, Time},
    profile::{CHARTER_TYPE, PROFILE_TYPE, WITNESSES_MAX, document, document_id, node_of, signing_message},
    proto::{self, Algorithm, KeyRole, Side},
};

/// How long role keys of a founding are valid: two years, the usual rhythm of key ceremonies.
const KEY_MS: u64 = 2 * 365 * 24 * 3600 * 1000;
/// How long a founding charter is valid, and the grace after it.
const CHARTER_MS: u64 = 2 * 365 * 24 * 3600 * 1000;
const GRACE_DAYS: u32 = 180;

/// The role keys a node works with, ready to sign and open.
pub struct RoleKeys {
    /// Signs events and refusals.
    pub record: HybridSigner,
    /// Signs checkpoints.
    pub checkpoint: HybridSigner,
    /// Opens bodies.
    pub seal: Seed,
    /// Names the node on the wire.
    pub transport: Seed,
}

impl RoleKeys {
    /// Derives all roles from one function giving a seed for each name. Names are fixed:
    /// `record-ed25519`, `record-ml-dsa-65`, `checkpoint-ed25519`, `checkpoint-ml-dsa-44`,
    /// `seal`, `transport`.
    ///
    /// # Errors
    /// When the library refuses a seed, which no seed causes.
    pub fn from_seeds(seed: impl Fn(&str) -> Seed) -> Result<Self, CryptoFault> {
        let pair = |role, name: &str, kind, half: &str| {
            HybridSigner::new(role, &seed(&format!("{name}-ed25519")), kind, &seed(&format!("{name}-{half}")))
        };
        Ok(Self {
            record: pair(KeyRole::Record, "record", Algorithm::MlDsa65, "ml-dsa-65")?,
            checkpoint: pair(KeyRole::Checkpoint, "checkpoint", Algorithm::MlDsa44, "ml-dsa-44")?,
            seal: seed("seal"),
            transport: seed("transport"),
        })
    }

    /// What goes into the profile of a Party.
    ///
    /// # Errors
    /// As [`Self::from_seeds`].
    pub fn public(&self, network: &NetworkName, party: &PartyCode) -> Result<PublicRoleKeys, CryptoFault> {
        let seal = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &self.seal)?;
        let keys = self.record.public().into_iter().chain(self.checkpoint.public()).cloned().chain([seal]).collect();
        Ok(PublicRoleKeys { keys, node: Some(node_of(network, party, &self.transport)?) })
    }
}

/// What a profile says of a node's keys.
#[derive(Debug, Clone)]
pub struct PublicRoleKeys {
    /// Record, checkpoint and seal keys.
    pub keys: Vec<PublicKey>,
    /// The node, proved by its transport key.
    pub node: Option<proto::Node>,
}

/// A Party at the founding.
#[derive(Debug, Clone)]
pub struct Founder {
    /// Its code.
    pub code: PartyCode,
    /// Its name.
    pub name: String,
    /// The public halves of its root key.
    pub root: [PublicKey; 2],
}

/// Drafts version 1 of a charter with one signer and a threshold of one, every Party bound by the
/// given instruments from the founding on.
#[must_use]
pub fn charter(
    network: &NetworkName,
    exercise: bool,
    signer: [&PublicKey; 2],
    founders: &[Founder],
    instruments: &[&str],
    now: Time,
) -> proto::Charter {
    let mut founders: Vec<&Founder> = founders.iter().collect();
    founders.sort_by(|a, b| a.code.cmp(&b.code));
    let mut instruments: Vec<&&str> = instruments.iter().collect();
    instruments.sort();
    let status = |instrument: &str, party: &Founder| proto::InstrumentStatus {
        instrument: instrument.to_owned(),
        party: party.code.to_string(),
        in_force_ms: now.0,
        ..proto::InstrumentStatus::default()
    };
    proto::Charter {
        network: network.to_string(),
        exercise,
        version: 1,
        issued_ms: now.0,
        expires_ms: now.plus_ms(CHARTER_MS).0,
        grace_days: GRACE_DAYS,
        signers: Some(quorum(signer)),
        parties: founders.iter().map(|founder| party(founder, now)).collect(),
        instruments: instruments.iter().flat_map(|code| founders.iter().map(|party| status(code, party))).collect(),
        suites: vec![proto::SuiteDates { id: crate::event::SUITE_1, from_ms: now.0, until_ms: 0 }],
        ..proto::Charter::default()
    }
}

/// Who witnesses whom where nothing else is agreed: each ledger the next Parties by code, seven at most, none of them
/// taken to be faulty. Of two or three Parties that leaves no witness that may be away.
#[must_use]
pub fn witnesses(founders: &[Founder]) -> Vec<proto::WitnessDuty> {
    let mut codes: Vec<&PartyCode> = founders.iter().map(|founder| &founder.code).collect();
    codes.sort();
    let duty = |(place, code): (usize, &&PartyCode)| {
        let others = codes.iter().cycle().skip(place + 1).take((codes.len() - 1).min(WITNESSES_MAX));
        let mut witnesses: Vec<String> = others.map(ToString::to_string).collect();
        witnesses.sort();
        proto::WitnessDuty { party: code.to_string(), witnesses, faulty: 0 }
    };
    codes.iter().enumerate().map(duty).filter(|duty| !duty.witnesses.is_empty()).collect()
}

fn party(founder: &Founder, now: Time) -> proto::Party {
    proto::Party {
        code: founder.code.to_string(),
        name: founder.name.clone(),
        root: Some(quorum([&founder.root[0], &founder.root[1]])),
        joined_ms: now.0,
        ..proto::Party::default()
    }
}

/// One holder, who signs alone.
pub(crate) fn quorum(pair: [&PublicKey; 2]) -> proto::Quorum {
    let key = proto::HybridKey { ed25519: pair[0].bytes.clone(), ml_dsa_65: pair[1].bytes.clone() };
    proto::Quorum { keys: vec![key], threshold: 1 }
}

/// An authority as a profile declares it: it may act on both sides of these procedures.
#[derive(Debug, Clone)]
pub struct Office {
    /// Its id within the Party.
    pub id: String,
    /// Its name.
    pub name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// Procedure codes.
    pub procedures: Vec<String>,
}

/// Drafts version 1 of a profile.
#[must_use]
pub fn profile(
    network: &NetworkName,
    party: &PartyCode,
    offices: &[Office],
    languages: &[&str],
    keys: &PublicRoleKeys,
    now: Time,
) -> proto::Profile {
    let role_key = |key: &PublicKey| proto::RoleKey {
        role: key.role as i32,
        algorithm: key.algorithm as i32,
        public_key: key.bytes.clone(),
        not_before_ms: now.0,
        not_after_ms: now.plus_ms(KEY_MS).0,
    };
    let mut public: Vec<&PublicKey> = keys.keys.iter().collect();
    public.sort_by_key(|key| key.id());
    let mut authorities: Vec<proto::Authority> = offices.iter().map(|office| authority(office, now)).collect();
    authorities.sort_by(|a, b| a.id.cmp(&b.id));
    let rule = proto::LanguageRule {
        procedure: String::new(), // every procedure
        urgent: false,
        languages: languages.iter().map(|&language| language.to_owned()).collect(),
    };
    proto::Profile {
        network: network.to_string(),
        party: party.to_string(),
        version: 1,
        issued_ms: now.0,
        authorities,
        languages: vec![rule],
        nodes: keys.node.clone().into_iter().collect(),
        ledgers: vec![proto::Ledger { origin: Origin::of(party, network, 1).to_string(), ..proto::Ledger::default() }],
        keys: public.into_iter().map(role_key).collect(),
        ..proto::Profile::default()
    }
}

fn authority(office: &Office, now: Time) -> proto::Authority {
    let mut procedures = office.procedures.clone();
    procedures.sort();
    let power = |procedure: &String, side: Side| proto::Power {
        procedure: procedure.clone(),
        side: side as i32,
        from_ms: now.0,
        until_ms: 0,
    };
    proto::Authority {
        id: office.id.clone(),
        name: office.name.clone(),
        time_zone: office.time_zone.clone(),
        powers: procedures
            .iter()
            .flat_map(|procedure| [power(procedure, Side::Requesting), power(procedure, Side::Requested)])
            .collect(),
        actors: Vec::new(), // in any name: a drafted profile may say which
    }
}

/// Signs a drafted charter.
///
/// # Errors
/// When signing fails, which no input causes.
pub fn sign_charter(charter: &proto::Charter, signers: &[&HybridSigner]) -> Result<Vec<u8>, CryptoFault> {
    sign(CHARTER_TYPE, charter.encode_to_vec(), signers)
}

/// Signs a drafted profile with its Party's root keys.
///
/// # Errors
/// When signing fails, which no input causes.
pub fn sign_profile(profile: &proto::Profile, roots: &[&HybridSigner]) -> Result<Vec<u8>, CryptoFault> {
    sign(PROFILE_TYPE, profile.encode_to_vec(), roots)
}

/// Signs a document with every given pair and encodes it as it is handed over.
///
/// # Errors
/// When signing fails, which no input causes.
pub fn sign(payload_type: &str, payload: Vec<u8>, signers: &[&HybridSigner]) -> Result<Vec<u8>, CryptoFault> {
    let message = signing_message(&document_id(payload_type, &payload));
    let pairs = signers.iter().map(|signer| signer.sign_pair(&message)).collect::<Result<Vec<_>, _>>()?;
    let mut signatures = pairs.concat();
    signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    Ok(document(payload_type, payload, signatures))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{
        crypto::sha256,
        profile::{Book, Charter, Profile, ProfileFault, Trust, document_id},
        wire::strict,
    };

    /// A seed that depends on nothing but its name.
    pub(crate) fn named_seed(name: &str) -> Seed {
        Seed::new(*sha256(&[name.as_bytes()]).as_bytes())
    }

    pub(crate) fn root(code: &str, role: KeyRole) -> HybridSigner {
        let seed = |half| named_seed(&format!("{code} root {half}"));
        HybridSigner::new(role, &seed("a"), Algorithm::MlDsa65, &seed("b")).expect("keys")
    }

    pub(crate) fn keys(code: &str) -> RoleKeys {
        RoleKeys::from_seeds(|name| named_seed(&format!("{code} {name}"))).expect("keys")
    }

    pub(crate) const START: Time = Time(1_760_000_000_000);
    pub(crate) const CODES: [&str; 3] = ["XA", "XB", "XC"];

    pub(crate) fn code(text: &str) -> PartyCode {
        PartyCode::parse(text).expect("code")
    }

    pub(crate) fn network() -> NetworkName {
        NetworkName::parse("test.comity.test").expect("name")
    }

    /// Codes of so many Parties, [`CODES`] first: what ISO 3166 leaves to its users.
    pub(crate) fn codes(count: usize) -> Vec<String> {
        let all = |first: char, from: u8| (from..=b'Z').map(move |second| format!("{first}{}", char::from(second)));
        all('X', b'A').chain(all('Q', b'M')).take(count).collect()
    }

    pub(crate) fn charter_bytes() -> Vec<u8> {
        charter_of(&CODES, &["BC"])
    }

    fn founders(parties: &[&str]) -> Vec<Founder> {
        let founder = |party: &&str| Founder {
            code: code(party),
            name: (*party).to_owned(),
            root: root(party, KeyRole::Root).public().map(Clone::clone),
        };
        parties.iter().map(founder).collect()
    }

    fn charter_of(parties: &[&str], instruments: &[&str]) -> Vec<u8> {
        let secretariat = root("secretariat", KeyRole::Charter);
        let founders = founders(parties);
        let draft = charter(&network(), true, secretariat.public(), &founders, instruments, START);
        sign_charter(&draft, &[&secretariat]).expect("signed")
    }

    pub(crate) fn profile_bytes(party: &str, signer: &str) -> Vec<u8> {
        profile_with(party, signer, &["PRES"], &[], &[])
    }

    /// A profile whose one authority may act in these procedures and these names, of a Party that declares so much.
    fn profile_with(
        party: &str,
        signer: &str,
        procedures: &[&str],
        declared: &[&str],
        actors: &[proto::ActorKind],
    ) -> Vec<u8> {
        let office = Office {
            id: "central".into(),
            name: format!("Central Authority of {party}"),
            time_zone: "Europe/Zurich".into(),
            procedures: procedures.iter().map(|&procedure| procedure.to_owned()).collect(),
        };
        let public = keys(party).public(&network(), &code(party)).expect("public keys");
        let mut draft = profile(&network(), &code(party), &[office], &["en"], &public, START);
        let declaration = |code: &&str| proto::Declaration { code: (*code).to_owned(), value: String::new() };
        draft.declarations = declared.iter().map(declaration).collect();
        draft.authorities[0].actors = actors.iter().map(|actor| *actor as i32).collect();
        sign_profile(&draft, &[&root(signer, KeyRole::Root)]).expect("signed")
    }

    /// What was signed of a document.
    pub(crate) fn payload(envelope: &[u8]) -> Vec<u8> {
        proto::Envelope::decode(envelope).expect("an envelope").header
    }

    /// The draft of the version after a charter, issued then.
    pub(crate) fn charter_after(before: &proto::Charter, issued: Time) -> proto::Charter {
        proto::Charter {
            version: before.version + 1,
            previous: document_id(CHARTER_TYPE, &before.encode_to_vec()).as_bytes().to_vec(),
            issued_ms: issued.0,
            expires_ms: issued.plus_ms(CHARTER_MS).0,
            ..before.clone()
        }
    }

    /// Adds both halves of a key to a profile, valid from [`START`] on.
    pub(crate) fn add_keys(draft: &mut proto::Profile, signer: &HybridSigner, until: Time) {
        draft.keys.extend(signer.public().map(|key| proto::RoleKey {
            role: key.role as i32,
            algorithm: key.algorithm as i32,
            public_key: key.bytes.clone(),
            not_before_ms: START.0,
            not_after_ms: until.0,
        }));
        draft.keys.sort_by_key(key_id);
    }

    /// The id of a key as a profile names it.
    pub(crate) fn key_id(wire: &proto::RoleKey) -> crate::ids::KeyId {
        PublicKey::from(wire).id()
    }

    fn fingerprint(envelope: &[u8]) -> crate::ids::Digest {
        let envelope: proto::Envelope = strict(envelope, 1 << 20).expect("envelope");
        document_id(CHARTER_TYPE, &envelope.header)
    }

    /// Three Parties, one exercise network.
    pub(crate) fn trust() -> Trust {
        found(&CODES).trust()
    }

    fn found(parties: &[&str]) -> Book {
        let bytes = charter_of(parties, &["BC"]);
        let mut book = Book::found(&bytes, fingerprint(&bytes)).expect("charter");
        for party in parties {
            book.accept(&profile_bytes(party, party), START).expect("profile");
        }
        book
    }

    /// A network of so many Parties: founded once, since keys and signatures of thirty take a while.
    pub(crate) fn book_of(count: usize) -> Book {
        static FOUNDED: Mutex<BTreeMap<usize, Book>> = Mutex::new(BTreeMap::new());
        let mut founded = FOUNDED.lock().expect("no founding fails");
        let codes = codes(count);
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        founded.entry(count).or_insert_with(|| found(&codes)).clone()
    }

    /// Two Parties towards each other bound by all of these instruments, each with power in all of these procedures; the
    /// second, which is asked, has declared so much and acts in these names.
    pub(crate) fn book_under(
        instruments: &[&str],
        procedures: &[&str],
        declared: &[&str],
        actors: &[proto::ActorKind],
    ) -> Book {
        let parties = &CODES[..2];
        let bytes = charter_of(parties, instruments);
        let mut book = Book::found(&bytes, fingerprint(&bytes)).expect("charter");
        for (party, (declared, actors)) in parties.iter().zip([(&[][..], &[][..]), (declared, actors)]) {
            book.accept(&profile_with(party, party, procedures, declared, actors), START).expect("profile");
        }
        book
    }

    /// The keys of a Party, made once.
    pub(crate) fn keys_of(party: &str) -> Arc<RoleKeys> {
        static MADE: Mutex<BTreeMap<String, Arc<RoleKeys>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().expect("no key fails");
        made.entry(party.to_owned()).or_insert_with(|| Arc::new(keys(party))).clone()
    }

    #[test]
    fn each_is_witnessed_by_the_next_ones() {
        let all = codes(12);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let duties = |count: usize| witnesses(&founders(&all[..count]));
        let named = |duty: &proto::WitnessDuty| (duty.party.clone(), duty.witnesses.join(" "));
        assert_eq!(duties(1), []);
        assert_eq!(
            duties(2).iter().map(named).collect::<Vec<_>>(),
            [("XA".into(), "XB".into()), ("XB".into(), "XA".into())]
        );
        assert_eq!(named(&duties(3)[1]), ("XB".into(), "XA XC".into()));
        let many = duties(12);
        assert!(many.iter().all(|duty| duty.witnesses.len() == 7 && !duty.witnesses.contains(&duty.party)));
        let charter: proto::Charter = strict(&payload(&charter_of(&all, &["BC"])), 1 << 20).expect("a charter");
        let charter = proto::Charter { witnesses: many, ..charter };
        let signed = sign_charter(&charter, &[&root("secretariat", KeyRole::Charter)]).expect("signed");
        let read = Charter::open(&signed, fingerprint(&signed)).expect("holds");
        assert_eq!(read.witnesses(&code("XA")).1, 4, "of seven, none of them faulty");
        assert_eq!(read.witnesses(&code("ZZ")), (vec![], 0));
    }

    #[test]
    fn a_founded_network_opens_and_answers() {
        let trust = trust();
        let profile = trust.profile(&code("XA"), START).expect("profile");
        let may = |authority: &str, procedure: &str, at| {
            let authority = crate::ids::AuthorityId::parse(authority).expect("id");
            let procedure = crate::ids::ProcedureCode::parse(procedure).expect("code");
            profile.may(&authority, &procedure, crate::rules::Side::Requesting, at)
        };
        assert!(may("central", "PRES", START));
        assert!(!may("central", "EXTR", START) && !may("other", "PRES", START));
        assert!(!may("central", "PRES", Time(START.0 - 1)));
        assert_eq!(profile.keys(KeyRole::Record, START).count(), 2);
        assert_eq!(profile.keys(KeyRole::Record, START.plus_ms(KEY_MS)).count(), 0);
        assert!(trust.seal_key(&code("XB"), START).is_some());
        assert!(trust.charter().binds("BC", &code("XA"), &code("XB"), START));
        assert!(!trust.charter().binds("2AP", &code("XA"), &code("XB"), START));
    }

    /// A profile of XA that names its keys, and no authority.
    fn bare_profile() -> proto::Profile {
        let public = keys("XA").public(&network(), &code("XA")).expect("public keys");
        profile(&network(), &code("XA"), &[], &[], &public, START)
    }

    /// [P-4]: while seal keys are turned, bodies go to the newest; a revoked key is no key.
    #[test]
    fn the_newest_valid_seal_key_is_used() {
        let bytes = charter_bytes();
        let charter = Charter::open(&bytes, fingerprint(&bytes)).expect("charter");
        let seal = |name: &str, days: u64| {
            let key = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &named_seed(name)).expect("key");
            let from = START.plus_ms(days * 86_400_000);
            let dates = (from.0, from.plus_ms(KEY_MS).0);
            let (role, algorithm) = (key.role as i32, key.algorithm as i32);
            let wire = proto::RoleKey {
                role,
                algorithm,
                public_key: key.bytes.clone(),
                not_before_ms: dates.0,
                not_after_ms: dates.1,
            };
            (key, wire)
        };
        let turned: Vec<_> = (0..6).map(|n| seal(&format!("XA seal {n}"), n)).collect();
        let mut draft = bare_profile();
        draft.keys = turned.iter().map(|(_, wire)| wire.clone()).collect();
        draft.keys.sort_by_key(key_id);
        let revoked = turned[5].0.id().as_bytes().to_vec();
        draft.revocations = vec![proto::Revocation { key_id: revoked, from_ms: START.0, reason: "lost".into() }];
        let signed = sign_profile(&draft, &[&root("XA", KeyRole::Root)]).expect("signed");
        let opened = Profile::open(&signed, &charter, START).expect("profile");
        let trust = Trust::new(charter, vec![opened]).expect("trust");
        for (day, (key, _)) in turned.iter().enumerate().take(5) {
            let at = START.plus_ms(day as u64 * 86_400_000 + 1);
            assert_eq!(trust.seal_key(&code("XA"), at), Some(key), "day {day}");
        }
        assert_eq!(
            trust.seal_key(&code("XA"), START.plus_ms(9 * 86_400_000)),
            Some(&turned[4].0),
            "the last is revoked"
        );
    }

    /// [P-4]: a checkpoint kept from before its key was turned still verifies as of the time it was received,
    /// under the profile that ends the key; one that comes now does not.
    #[test]
    fn checkpoints_under_a_turned_key_verify_as_of_their_time() {
        use crate::ledger::{Checkpoint, LedgerFault};
        let bytes = charter_bytes();
        let charter = Charter::open(&bytes, fingerprint(&bytes)).expect("charter");
        let turned = START.plus_ms(10 * 86_400_000);
        let half = |name: &str| named_seed(&format!("XA turned checkpoint {name}"));
        let new = HybridSigner::new(KeyRole::Checkpoint, &half("a"), Algorithm::MlDsa44, &half("b")).expect("keys");
        let mut draft = bare_profile();
        let old: Vec<_> = draft.keys.iter().filter(|key| key.role() == KeyRole::Checkpoint).map(key_id).collect();
        let revoke = |id: &crate::ids::KeyId| proto::Revocation {
            key_id: id.as_bytes().to_vec(),
            from_ms: turned.0,
            reason: "turned".into(),
        };
        draft.revocations = old.iter().map(revoke).collect();
        add_keys(&mut draft, &new, START.plus_ms(KEY_MS));
        let signed = sign_profile(&draft, &[&root("XA", KeyRole::Root)]).expect("signed");
        let profile = Profile::open(&signed, &charter, turned).expect("profile");
        let checkpoint = Checkpoint { origin: profile.ledger().origin.clone(), size: 7, root: sha256(&[b"root"]) };
        let note = |signer: &HybridSigner| checkpoint.sign(signer, START).expect("signed").into_bytes();
        let check = |note: &[u8], at: Time, expected: Result<(), LedgerFault>| {
            assert_eq!(profile.verify_checkpoint(note, at).map(|_| ()), expected, "{}", at.0);
        };
        let kept = note(&keys("XA").checkpoint);
        check(&kept, Time(turned.0 - 1), Ok(()));
        check(&kept, turned, Err(LedgerFault::NoEd25519));
        check(&note(&new), turned, Ok(()));
    }

    #[test]
    fn documents_of_strangers_are_refused() {
        let bytes = charter_bytes();
        let print = fingerprint(&bytes);
        let charter = Charter::open(&bytes, print).expect("charter");
        assert_eq!(Profile::open(&profile_bytes("XA", "XB"), &charter, START).err(), Some(ProfileFault::Threshold));
        let other = crate::ids::Digest::new([7; 32]);
        assert_eq!(Charter::open(&bytes, other).err(), Some(ProfileFault::Fingerprint));
        assert_eq!(Charter::open(&profile_bytes("XA", "XA"), print).err(), Some(ProfileFault::WrongType("charter")));
        for place in [40, bytes.len() / 2, bytes.len() - 3] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Charter::open(&changed, print).is_err(), "byte {place}");
        }
    }
}
