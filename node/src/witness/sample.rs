//! A network of three Parties for tests: the ledger of XA is witnessed by XB and XC, and nobody else's by anybody.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use comity_core::{
    crypto::{HybridSigner, PublicKey, Seed, sha256},
    founding::{self, Founder, PublicRoleKeys},
    ids::{Digest, NetworkName, Origin, PartyCode, Time, WitnessName},
    ledger::{Checkpoint, Tree, checkpoint as notes},
    profile::{Book, CHARTER_TYPE, Trust, document_id},
    proto::{AddCheckpoint, Algorithm, KeyRole, WitnessDuty},
};
use prost::Message as _;

use super::hold::{Hold, Known};
use crate::store::Desk;

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

/// Belmar as a witness of Arvia's ledger, over any desk: what it holds, and what it answers.
pub(crate) struct Witness {
    trust: Trust,
    hold: Hold,
}

/// A ledger of Arvia's that only grows.
fn honest() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    let grown = || {
        let mut tree = Tree::new();
        for n in 0..64_u64 {
            tree.push(sha256(&[&n.to_be_bytes()]));
        }
        tree
    };
    TREE.get_or_init(grown)
}

impl Witness {
    /// Reads what is on the desk.
    pub(crate) fn open(desk: &Desk) -> Self {
        static TRUST: OnceLock<Trust> = OnceLock::new();
        let judged = || {
            let (signed, fingerprint) = charter();
            let mut book = Book::found(&signed, fingerprint).expect("holds");
            book.accept(&profile("XA", "XA"), NOW).expect("accepted");
            book.trust()
        };
        Self { trust: TRUST.get_or_init(judged).clone(), hold: Hold::open(desk) }
    }

    /// Arvia shows that its ledger grew to this size. What is answered, or the code of why not.
    pub(crate) fn add(&self, desk: &Desk, size: u64) -> Result<u64, &'static str> {
        static NOTES: Mutex<BTreeMap<u64, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let sign = || cosigned(&checkpoint("XA", honest(), size), "XA", &[], NOW);
        let note = NOTES.lock().expect("whole").entry(size).or_insert_with(sign).clone();
        let path = honest().consistency(self.held(), size).expect("it grows");
        let path = path.iter().map(|node| node.as_bytes().to_vec()).collect();
        let ask = AddCheckpoint { old_size: self.held(), path, checkpoint: note };
        let known = Known { trust: &self.trust, us: &party("XB"), desk, now: NOW };
        self.hold.add(known, &party("XA"), &ask).map(|taken| taken.size).map_err(|denied| denied.code())
    }

    /// How many records of Arvia's ledger are held; the note that is held is over just these.
    pub(crate) fn held(&self) -> u64 {
        let size = self.hold.standing(&origin("XA")).size;
        if size > 0 {
            let note = notes::parse_unverified(&self.hold.newest(&origin("XA"), None)).expect("a note");
            assert_eq!((note.size, note.root), (size, honest().root_at(size).expect("held")));
        }
        size
    }
}
