//! A network of three Parties for tests: the ledger of XA is witnessed by XB and XC, and nobody else's by anybody.

use comity_core::{
    crypto::{HybridSigner, PublicKey, Seed, sha256},
    founding::{self, Founder, PublicRoleKeys},
    ids::{Digest, NetworkName, Origin, PartyCode, Time, WitnessName},
    ledger::{Checkpoint, Tree},
    profile::{CHARTER_TYPE, document_id},
    proto::{Algorithm, KeyRole, WitnessDuty},
};
use prost::Message as _;

pub(crate) const NOW: Time = Time(1_800_000_000_000);

pub(crate) fn party(code: &str) -> PartyCode {
    PartyCode::parse(code).expect("code")
}

fn network() -> NetworkName {
    NetworkName::parse("demo.test").expect("name")
}

pub(crate) fn origin(code: &str) -> Origin {
    Origin::of(&party(code), &network(), 1)
}

/// The pair of a role that somebody of this name has.
pub(crate) fn pair(role: KeyRole, name: &str) -> HybridSigner {
    let seed = |half: &str| Seed::new(*sha256(&[name.as_bytes(), &[role as u8], half.as_bytes()]).as_bytes());
    let notes = matches!(role, KeyRole::Checkpoint | KeyRole::Witness);
    let quantum = if notes { Algorithm::MlDsa44 } else { Algorithm::MlDsa65 };
    HybridSigner::new(role, &seed("a"), quantum, &seed("b")).expect("keys")
}

pub(crate) fn owned(signer: &HybridSigner) -> [PublicKey; 2] {
    signer.public().map(Clone::clone)
}

/// The charter, signed, and its fingerprint.
pub(crate) fn charter() -> (Vec<u8>, Digest) {
    let secretariat = pair(KeyRole::Charter, "secretariat");
    let founder =
        |code: &str| Founder { code: party(code), name: code.to_owned(), root: owned(&pair(KeyRole::Root, code)) };
    let founders = ["XA", "XB", "XC"].map(founder);
    let mut charter = founding::charter(&network(), true, secretariat.public(), &founders, &["BC"], NOW);
    let witnesses = vec!["XB".to_owned(), "XC".to_owned()];
    charter.witnesses = vec![WitnessDuty { party: "XA".to_owned(), witnesses, faulty: 0 }];
    let id = document_id(CHARTER_TYPE, &charter.encode_to_vec());
    (founding::sign_charter(&charter, &[&secretariat]).expect("signed"), id)
}

/// A Party's profile with its checkpoint and witness keys, under somebody's root key.
pub(crate) fn profile(code: &str, signed_by: &str) -> Vec<u8> {
    let pairs = [pair(KeyRole::Checkpoint, code), pair(KeyRole::Witness, code)];
    let keys = PublicRoleKeys { keys: pairs.iter().flat_map(owned).collect(), node: None };
    let profile = founding::profile(&network(), &party(code), &[], &["en"], &keys, NOW);
    founding::sign_profile(&profile, &[&pair(KeyRole::Root, signed_by)]).expect("signed")
}

/// The checkpoint of a Party's ledger over the first records of a tree.
pub(crate) fn checkpoint(code: &str, tree: &Tree, size: u64) -> Checkpoint {
    Checkpoint { origin: origin(code), size, root: tree.root_at(size).expect("held") }
}

/// The same, signed by a Party's keys and cosigned by witnesses, at this time.
pub(crate) fn cosigned(checkpoint: &Checkpoint, by: &str, witnesses: &[&str], at: Time) -> Vec<u8> {
    let mut note = checkpoint.sign(&pair(KeyRole::Checkpoint, by), NOW).expect("signed");
    for code in witnesses {
        let name = WitnessName::of(&party(code), &network());
        note += &checkpoint.cosign(&name, &pair(KeyRole::Witness, code), at).expect("cosigned");
    }
    note.into_bytes()
}
