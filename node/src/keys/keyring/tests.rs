//! Key folders on a real disk. One folder is made per test binary (its lock costs half a second) and
//! copied for each test that damages it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::OnceLock};

use comity_core::{
    crypto::{HybridSigner, hpke_seal, verify_pair},
    event::{open_sealed, seal_body},
    founding::{self, Founder, PublicRoleKeys},
    ids::{NetworkName, PartyCode},
    profile::{CHARTER_TYPE, Charter, document_id},
    proto::{self, Algorithm},
};
use prost::Message as _;

use super::*;
use crate::keys::{OfflineKeys, OfflineSigner, Purpose};

/// Halves of the keys of a first generation: a file each.
const FILES: usize = 10;
/// When the profiles of these tests begin.
const START: Time = Time(1_800_000_000_000);
const DAY: u64 = 24 * 3600 * 1000;

fn named() -> (PartyCode, NetworkName) {
    (PartyCode::parse("XA").expect("code"), NetworkName::parse("keys.test").expect("a name"))
}

/// A profile that names these keys from one day to another, counted from [`START`]; no nodes.
fn profile(rows: &[(&Held, u64, u64)]) -> Profile {
    profile_with(rows, Vec::new())
}

/// The nodes of these generations, proved by them.
fn nodes<'h>(keys: &Keyring, held: impl IntoIterator<Item = &'h Held>) -> Vec<proto::Node> {
    let (party, network) = named();
    let node = |held: &Held| {
        let generation = keys.generations.iter().find(|generation| generation.held == *held).expect("it is there");
        let Private::Seed(seed) = &generation.private else { panic!("no transport key") };
        node_of(&network, &party, seed).expect("proved")
    };
    held.into_iter().map(node).collect()
}

fn profile_with(rows: &[(&Held, u64, u64)], nodes: Vec<proto::Node>) -> Profile {
    let (party, network) = named();
    let pair = |role, n: u8| {
        HybridSigner::new(role, &Seed::new([n; 32]), Algorithm::MlDsa65, &Seed::new([n + 1; 32])).expect("keys")
    };
    let (root, secretariat) = (pair(KeyRole::Root, 1), pair(KeyRole::Charter, 3));
    let founder = Founder { code: party.clone(), name: "Arvia".to_owned(), root: root.public().map(Clone::clone) };
    let charter = founding::charter(&network, true, secretariat.public(), &[founder], &["BC"], START);
    let signed = founding::sign_charter(&charter, &[&secretariat]).expect("signed");
    let charter = Charter::open(&signed, document_id(CHARTER_TYPE, &charter.encode_to_vec())).expect("charter");
    let nobody = PublicRoleKeys { keys: Vec::new(), node: None };
    let mut draft = founding::profile(&network, &party, &[], &["en"], &nobody, START);
    draft.nodes = nodes;
    for (held, from, until) in rows {
        let dated = |key| role_key(key, START.plus_ms(from * DAY), START.plus_ms(until * DAY));
        draft.keys.extend(held.public.iter().map(dated));
    }
    draft.nodes.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
    draft.keys.sort_by_key(|wire| PublicKey::from(wire).id());
    let signed = founding::sign_profile(&draft, &[&root]).expect("signed");
    Profile::open(&signed, &charter, START).expect("a profile")
}

fn role_key(key: &PublicKey, from: Time, until: Time) -> proto::RoleKey {
    proto::RoleKey {
        role: key.role as i32,
        algorithm: key.algorithm as i32,
        public_key: key.bytes.clone(),
        not_before_ms: from.0,
        not_after_ms: until.0,
    }
}

/// A profile that names all keys held, for a year.
fn all_of(keys: &Keyring) -> Profile {
    let (transport, others): (Vec<_>, Vec<_>) = keys.held().partition(|held| held.role == KeyRole::Transport);
    profile_with(&others.into_iter().map(|held| (held, 0, 365)).collect::<Vec<_>>(), nodes(keys, transport))
}

fn held(keys: &Keyring, role: KeyRole, number: u32) -> Held {
    keys.held().find(|held| held.role == role && held.number == number).expect("it is there").clone()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()), Purpose::Open).expect("usable")
}

fn good() -> Passphrase {
    passphrase("correct horse battery")
}

/// Arvia's key folder, never changed, and the public keys it was made with.
fn arvia() -> &'static (tempfile::TempDir, Vec<PublicKey>) {
    static ARVIA: OnceLock<(tempfile::TempDir, Vec<PublicKey>)> = OnceLock::new();
    ARVIA.get_or_init(|| {
        let root = tempfile::tempdir().expect("folder");
        let keys = Keyring::create(&root.path().join("keys"), &good(), START).expect("created");
        let public = keys.public_keys().to_vec();
        (root, public)
    })
}

/// A copy that a test may damage.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("folder");
    let dir = root.path().join("keys");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("set");
    for name in names() {
        fs::copy(arvia().0.path().join("keys").join(&name), dir.join(&name)).expect("copied");
    }
    (root, dir)
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(arvia().0.path().join("keys")).expect("listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// Those of which nothing works without.
fn secrets() -> Vec<String> {
    names().into_iter().filter(|name| name.ends_with(".pem")).collect()
}

fn fault(dir: &Path, passphrase: &Passphrase) -> KeyFault {
    Keyring::open(dir, passphrase).err().expect("refused")
}

#[test]
fn a_folder_opens_to_the_keys_it_was_made_with() {
    let (root, public) = arvia();
    let keys = Keyring::open(&root.path().join("keys"), &good()).expect("opens");
    assert_eq!(keys.public_keys(), public);
    assert_eq!(public.len(), FILES);
    let held: Vec<_> = keys.held().map(|held| (held.role_name(), held.number, held.public.len())).collect();
    let expected = [
        ("transport", 1, 1),
        ("record", 1, 2),
        ("checkpoint", 1, 2),
        ("witness", 1, 2),
        ("directory", 1, 2),
        ("seal", 1, 1),
    ];
    assert_eq!(held, expected);
    let secrets = keys.secrets();
    assert_eq!(secrets.kek.keys().collect::<Vec<_>>(), [&1]);
    assert_ne!(secrets.ledger.expose(), secrets.kek[&1].expose());
    assert_ne!(secrets.kek[&1].expose(), secrets.desk.expose());
    assert_eq!(keys.key_encryption(), [KeyEncryption { number: 1, made: Some(START) }]);
}

#[test]
fn opened_keys_sign_and_open() {
    let (root, public) = arvia();
    let keys = Keyring::open(&root.path().join("keys"), &good()).expect("opens");
    let profile = all_of(&keys);
    let signatures = keys.sign_event(b"act", &profile, START).expect("signed");
    verify_pair(public.iter(), Algorithm::MlDsa65, b"act", &signatures).expect("verifies");
    let directory = Digest::new([5; 32]);
    let signatures = keys.sign_directory(&directory, &profile, START).expect("signed");
    verify_pair(public.iter(), Algorithm::MlDsa65, &signing_message(&directory), &signatures).expect("verifies");
    let (_, signer) = keys.checkpoint_signer(&profile, START).expect("one signs");
    let signatures = signer.sign_pair(b"size").expect("signed");
    verify_pair(public.iter(), Algorithm::MlDsa44, b"size", &signatures).expect("verifies");

    let seal = public.last().expect("the seal key stands last");
    let (enc, wrapped) = hpke_seal(seal, b"info", b"aad", &[9; 32], [4; 32]).expect("sealed");
    let opened = keys.open_wrap(&seal.id(), b"info", b"aad", &enc, &wrapped).expect("opens");
    assert_eq!(*opened, [9; 32]);
    let lifted = keys.open_wrap(&seal.id(), b"info", b"aae", &enc, &wrapped).expect_err("refused");
    assert_eq!(lifted.code(), "keys.does-not-open");
    let other = keys.open_wrap(&public[0].id(), b"info", b"aad", &enc, &wrapped).expect_err("refused");
    assert_eq!(other.code(), "keys.unknown-key");
}

#[test]
fn files_are_for_their_owner_alone() {
    let dir = arvia().0.path().join("keys");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(secrets().len(), 1 + FILES + NODE_SECRETS.len() + 1);
    assert_eq!(names().len(), secrets().len() + 1, "and when the key-encryption key was made");
    for name in names() {
        assert_eq!(mode(&dir.join(&name)), 0o600, "{name}");
    }
    assert!(!arvia().0.path().join("keys.new").exists());
}

#[test]
fn a_wrong_passphrase_says_so_and_changes_nothing() {
    let (_root, dir) = copy();
    let before: Vec<_> = names().iter().map(|name| fs::read(dir.join(name)).expect("read")).collect();
    assert_eq!(fault(&dir, &passphrase("correct horse batterz")).code(), "keys.wrong-passphrase");
    let after: Vec<_> = names().iter().map(|name| fs::read(dir.join(name)).expect("read")).collect();
    assert_eq!(before, after);
    Keyring::open(&dir, &good()).expect("still opens");
}

#[test]
fn one_flipped_bit_names_the_file() {
    let (_root, dir) = copy();
    for name in secrets() {
        let path = dir.join(&name);
        let whole = fs::read(&path).expect("read");
        for at in [0, 40, 120, 200, whole.len() / 2, whole.len() - 2] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).expect("written");
            let fault = fault(&dir, &good());
            assert!(matches!(&fault, KeyFault::Damaged { path: named, .. } if *named == path), "{name} {at}: {fault}");
        }
        fs::write(&path, whole).expect("written");
    }
    Keyring::open(&dir, &good()).expect("whole again");
}

#[test]
fn what_is_missing_or_open_to_others_is_named() {
    let (_root, dir) = copy();
    for name in secrets() {
        let path = dir.join(&name);
        let aside = dir.join("aside");
        fs::rename(&path, &aside).expect("moved");
        let missing = fault(&dir, &good());
        assert!(matches!(&missing, KeyFault::Missing { path: named } if *named == path), "{name}: {missing}");
        fs::rename(&aside, &path).expect("moved back");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let open = fault(&dir, &good());
            assert!(matches!(&open, KeyFault::TooOpen { path: named, .. } if *named == path), "{name}: {open}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).expect("set");
    assert_eq!(fault(&dir, &good()).code(), "keys.too-open");
    assert_eq!(fault(&dir.join("absent"), &good()).code(), "keys.missing");
}

#[test]
fn a_file_of_another_folder_is_refused() {
    let (_root, dir) = copy();
    let other = tempfile::tempdir().expect("folder");
    let other = other.path().join("keys");
    Keyring::create(&other, &good(), START).expect("created");
    fs::copy(other.join("record-ed25519.pem"), dir.join("record-ed25519.pem")).expect("copied");
    let fault = fault(&dir, &good());
    assert!(matches!(&fault, KeyFault::Damaged { path, .. } if path.ends_with("record-ed25519.pem")), "{fault}");
}

#[test]
fn creation_never_overwrites_and_survives_its_own_crash() {
    let (root, dir) = copy();
    let refused = Keyring::create(&dir, &good(), START).err().expect("refused");
    assert_eq!(refused.code(), "keys.exists");
    Keyring::open(&dir, &good()).expect("untouched");

    // A crash during an earlier creation left this behind; an installer made the empty folder.
    let fresh = root.path().join("root");
    fs::create_dir(root.path().join("root.new")).expect("made");
    fs::write(root.path().join("root.new/lock.pem"), "half").expect("written");
    fs::create_dir(&fresh).expect("made");
    let made = OfflineSigner::create(&fresh, OfflineKeys::Root, &good()).expect("created");
    let opened = OfflineSigner::open(&fresh, OfflineKeys::Root, &good()).expect("opens");
    assert_eq!(made.public(), opened.public());
    assert!(opened.public().iter().all(|key| key.role == KeyRole::Root));
    let document = Digest::new([7; 32]);
    let signatures = opened.sign(&document).expect("signed");
    verify_pair(made.public().into_iter(), Algorithm::MlDsa65, &signing_message(&document), &signatures)
        .expect("verifies");
    let other = OfflineSigner::open(&fresh, OfflineKeys::Charter, &good()).err().expect("refused");
    assert_eq!(other.code(), "keys.missing");
}

/// Arvia's keys with one more generation of this role.
fn rolled(role: KeyRole) -> (tempfile::TempDir, PathBuf, Keyring) {
    let (root, dir) = copy();
    assert_eq!(Keyring::roll(&dir, &good(), role, None).expect("rolled"), 2);
    let keys = Keyring::open(&dir, &good()).expect("opens");
    (root, dir, keys)
}

#[test]
fn a_new_generation_stands_beside_what_was_there() {
    let (_root, dir) = copy();
    let before: Vec<_> = names().iter().map(|name| fs::read(dir.join(name)).expect("read")).collect();
    for (role, name) in [(KeyRole::Record, "record"), (KeyRole::Seal, "seal"), (KeyRole::Transport, "transport")] {
        assert_eq!(Keyring::roll(&dir, &good(), role, None).expect("rolled"), 2);
        assert_eq!(Keyring::roll(&dir, &good(), role, None).expect("rolled"), 3);
        let place = dir.join(format!("{name}-2"));
        assert_eq!(fs::metadata(&place).expect("there").permissions().mode() & 0o777, 0o700);
        for file in fs::read_dir(&place).expect("listed").map(|entry| entry.expect("entry")) {
            assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
    let after: Vec<_> = names().iter().map(|name| fs::read(dir.join(name)).expect("read")).collect();
    assert_eq!(before, after);
    let keys = Keyring::open(&dir, &good()).expect("opens");
    let held: Vec<_> = keys.held().map(|held| (held.role_name(), held.number)).collect();
    let expected = ["transport", "record", "checkpoint", "witness", "directory", "seal"].iter().flat_map(|name| {
        let numbers = if matches!(*name, "checkpoint" | "witness" | "directory") { 1..=1 } else { 1..=3 };
        numbers.map(move |number| (*name, number))
    });
    assert_eq!(held, expected.collect::<Vec<_>>());
    let mut ids: Vec<_> = keys.public_keys().iter().map(PublicKey::id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), keys.public_keys().len(), "no key is made twice");

    let wrong = Keyring::roll(&dir, &passphrase("correct horse batterz"), KeyRole::Record, None).expect_err("refused");
    assert_eq!(wrong.code(), "keys.wrong-passphrase");
    assert!(!dir.join("record-4").exists() && !dir.join("record-4.new").exists());
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Root, None).expect_err("refused").code(), "keys.unknown-role");
}

#[test]
fn a_crash_while_a_generation_is_made_leaves_nothing_of_it() {
    let (_root, dir) = copy();
    let unfinished = dir.join("record-2.new");
    fs::create_dir(&unfinished).expect("made");
    fs::write(unfinished.join("record-2-ed25519.pem"), "half").expect("written");
    let keys = Keyring::open(&dir, &good()).expect("opens");
    assert_eq!(keys.held().filter(|held| held.role == KeyRole::Record).count(), 1);
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled"), 2);
    assert!(!unfinished.exists());
    Keyring::open(&dir, &good()).expect("opens");
}

#[test]
fn a_generation_does_not_open_in_the_place_of_another() {
    let (_root, dir) = copy();
    Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled");
    Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled");
    let (second, third) = (dir.join("record-2/record-2-ed25519.pem"), dir.join("record-3/record-3-ed25519.pem"));
    fs::copy(&second, &third).expect("copied");
    assert!(matches!(fault(&dir, &good()), KeyFault::Damaged { path, .. } if path == third));
}

#[test]
fn the_newest_that_the_profile_allows_signs() {
    let (_root, _, keys) = rolled(KeyRole::Record);
    let (first, second) = (held(&keys, KeyRole::Record, 1), held(&keys, KeyRole::Record, 2));
    let check = |rows: &[(&Held, u64, u64)], at: Time, expected: Option<&Held>| {
        let profile = profile(rows);
        match (keys.sign_event(b"act", &profile, at), expected) {
            (Ok(signatures), Some(held)) => {
                verify_pair(held.public.iter(), Algorithm::MlDsa65, b"act", &signatures).expect("that one signed");
            }
            (Err(fault), None) => assert_eq!(fault.code(), "keys.none-in-force"),
            (signed, _) => panic!("{}: {:?}", at.0, signed.map(|_| "signed")),
        }
    };
    let at = |days: u64, minutes: u64| START.plus_ms(days * DAY + minutes * 60_000);
    let turned = [(&first, 0, 40), (&second, 30, 365)];
    check(&[(&first, 0, 40)], at(1, 0), Some(&first));
    check(&turned, at(1, 0), Some(&first));
    check(&turned, at(30, 0), Some(&first)); // a peer whose clock is behind does not allow the other yet
    check(&turned, at(30, 5), Some(&second));
    check(&turned, at(364, 1439), Some(&second)); // nothing better is left
    check(&turned, at(365, 0), None);
    check(&[(&first, 0, 30), (&second, 30, 365)], at(30, 0), Some(&second)); // nor is there anything else here
    check(&[(&first, 0, 365), (&second, 0, 30)], at(30, 0), Some(&first));
    check(&[], at(1, 0), None);

    // A half alone is no key: neither is it used when the profile names one of the two only.
    let halved = Held { public: vec![second.public[0].clone()], ..second.clone() };
    check(&[(&first, 0, 365), (&halved, 0, 365)], at(1, 0), Some(&first));
}

#[test]
fn the_node_is_called_by_the_newest_name_in_the_profile() {
    let (_root, _, keys) = rolled(KeyRole::Transport);
    let (first, second) = (held(&keys, KeyRole::Transport, 1), held(&keys, KeyRole::Transport, 2));
    let check = |named: &[&Held], expected: Option<&Held>| {
        let profile = profile_with(&[], nodes(&keys, named.iter().copied()));
        let seed = keys.transport_seed(&profile);
        let public = seed.map(|seed| PublicKey::of(KeyRole::Transport, Algorithm::Ed25519, seed).expect("key"));
        assert_eq!(public, expected.map(|held| held.public[0].clone()));
    };
    check(&[&first], Some(&first));
    check(&[&first, &second], Some(&second));
    check(&[&second], Some(&second));
    check(&[], None);
}

#[test]
fn a_body_opens_with_whichever_seal_key_it_was_sealed_to() {
    let (_root, _, keys) = rolled(KeyRole::Seal);
    let binding = Digest::new([7; 32]);
    let other = PublicKey::of(KeyRole::Seal, Algorithm::Mlkem768X25519, &Seed::new([9; 32])).expect("key");
    for number in [1, 2] {
        let to = held(&keys, KeyRole::Seal, number).public[0].clone();
        let body = proto::Body::default().encode_to_vec();
        let (sealed, _) = seal_body(&body, &binding, &[to, other.clone()], &[3; 32]).expect("sealed");
        let secret = keys.unwrap(&sealed, &binding).expect("opens");
        let _: proto::Body = open_sealed(&sealed, &binding, &secret).expect("reads");
        assert!(keys.unwrap(&sealed, &Digest::new([8; 32])).is_err(), "bound to something else");
    }
    let (sealed, _) = seal_body(b"", &binding, &[other], &[3; 32]).expect("sealed");
    assert!(keys.unwrap(&sealed, &binding).is_err());
}

#[test]
fn what_the_profile_no_longer_allows_can_be_destroyed() {
    let (_root, dir, keys) = rolled(KeyRole::Record);
    let (first, second) = (held(&keys, KeyRole::Record, 1), held(&keys, KeyRole::Record, 2));
    let turned = profile(&[(&first, 0, 40), (&second, 30, 365)]);
    let day = |days: u64| START.plus_ms(days * DAY);
    let refused = |number, at| keys.retire(&dir, &turned, KeyRole::Record, number, at).expect_err("refused").code();
    assert_eq!(refused(3, day(50)), "keys.unknown-generation");
    assert_eq!(refused(1, day(39)), "keys.still-allowed");
    assert_eq!(refused(2, day(400)), "keys.still-needed", "the next profile may name the newest");
    keys.retire(&dir, &turned, KeyRole::Record, 1, day(40)).expect("destroyed");
    assert!(!dir.join("record-ed25519.pem").exists() && !dir.join("record-ml-dsa-65.pem").exists());

    let left = Keyring::open(&dir, &good()).expect("opens");
    let record = |keys: &Keyring| keys.held().filter(|held| held.role == KeyRole::Record).cloned().collect::<Vec<_>>();
    assert_eq!(record(&left), [second]);
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled"), 3);
    let keys = Keyring::open(&dir, &good()).expect("opens");
    keys.retire(&dir, &profile(&[]), KeyRole::Record, 2, day(1)).expect("the profile does not name it");
    assert!(!dir.join("record-2").exists());
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled"), 4, "no number is given twice");
}

#[test]
fn a_crash_while_a_generation_is_destroyed_leaves_files_that_nobody_reads() {
    let (_root, dir, _) = rolled(KeyRole::Record);
    for (number, gone) in [(1, "record-ed25519.pem"), (2, "record-2/record-2-ed25519.pem")] {
        fs::write(dir.join(format!("record-{number}.gone")), "destroyed").expect("written");
        fs::remove_file(dir.join(gone)).expect("removed");
    }
    assert_eq!(fault(&dir, &good()).code(), "keys.missing", "no record keys are left");
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("rolled"), 3);
    assert!(!dir.join("record-ml-dsa-65.pem").exists() && !dir.join("record-2").exists());
    Keyring::open(&dir, &good()).expect("opens");
}

#[test]
fn a_seal_key_is_kept_until_nothing_sealed_to_it_is_on_its_way() {
    let (_root, dir, keys) = rolled(KeyRole::Seal);
    let (first, second) = (held(&keys, KeyRole::Seal, 1), held(&keys, KeyRole::Seal, 2));
    let turned = profile(&[(&first, 0, 40), (&second, 30, 365)]);
    let day = |days: u64| START.plus_ms(days * DAY);
    let retire = |profile: &Profile, at| keys.retire(&dir, profile, KeyRole::Seal, 1, at).map_err(|fault| fault.code());
    assert_eq!(retire(&turned, day(39)), Err("keys.still-allowed"));
    assert_eq!(retire(&turned, day(53)), Err("keys.still-needed"));
    assert_eq!(
        retire(&profile(&[(&second, 30, 365)]), day(99)),
        Err("keys.still-needed"),
        "nothing says when it ended"
    );
    assert_eq!(retire(&turned, day(54)), Ok(()));
    assert!(!dir.join("seal-mlkem768-x25519.pem").exists());
}

#[test]
fn a_lost_generation_is_forgotten_and_the_others_open() {
    let (_root, dir) = copy();
    let whole = Keyring::forget(&dir, KeyRole::Record, 1).expect_err("its files are there");
    assert_eq!(whole.code(), "keys.still-needed");
    fs::remove_file(dir.join("record-ed25519.pem")).expect("lost");
    assert_eq!(fault(&dir, &good()).code(), "keys.missing");
    let none = Keyring::forget(&dir, KeyRole::Record, 2).expect_err("never made");
    assert_eq!(none.code(), "keys.unknown-generation");
    Keyring::forget(&dir, KeyRole::Record, 1).expect("taken down");
    assert!(!dir.join("record-ml-dsa-65.pem").exists(), "half a pair is of no use");
    assert_eq!(Keyring::roll(&dir, &good(), KeyRole::Record, None).expect("made"), 2);
    let keys = Keyring::open(&dir, &good()).expect("opens");
    let records: Vec<u32> = keys.held().filter(|held| held.role == KeyRole::Record).map(|held| held.number).collect();
    assert_eq!(records, [2]);
}

/// A folder with a second generation of the key-encryption key, made a day after the first.
fn kek_rolled() -> (tempfile::TempDir, PathBuf, Keyring) {
    let (root, dir) = copy();
    assert_eq!(KeyEncryption::roll(&dir, &good(), START.plus_ms(DAY)).expect("rolled"), 2);
    let keys = Keyring::open(&dir, &good()).expect("opens");
    (root, dir, keys)
}

#[test]
fn generations_of_the_key_encryption_key_are_held_with_their_dates() {
    let (_root, dir, keys) = kek_rolled();
    let first = Keyring::open(&arvia().0.path().join("keys"), &good()).expect("opens");
    let kek = &keys.secrets().kek;
    assert_eq!(kek.keys().collect::<Vec<_>>(), [&1, &2]);
    assert_eq!(kek[&1].expose(), first.secrets().kek[&1].expose());
    assert_ne!(kek[&1].expose(), kek[&2].expose());
    let dates = |dir: &Path| -> Vec<_> {
        KeyEncryption::held(dir).expect("listed").into_iter().map(|one| (one.number, one.made)).collect()
    };
    assert_eq!(dates(&dir), [(1, Some(START)), (2, Some(START.plus_ms(DAY)))]);
    for name in ["data-kek-2/data-kek-2.pem", "data-kek-2/data-kek-2.made"] {
        assert_eq!(fs::metadata(dir.join(name)).expect("there").permissions().mode() & 0o777, 0o600);
    }
    // Nothing rests on the date but a warning: without it the keys open, and nobody knows how old they are.
    fs::remove_file(dir.join("data-kek.made")).expect("removed");
    for text in ["yesterday\n", "", &"2026-03-01T13:05:09Z".repeat(20)] {
        fs::write(dir.join("data-kek-2/data-kek-2.made"), text).expect("written");
        assert_eq!(dates(&dir), [(1, None), (2, None)]);
    }
    Keyring::open(&dir, &good()).expect("opens");
    // The newer key does not open in the place of the older, nor the other way round.
    fs::copy(dir.join("data-kek-2/data-kek-2.pem"), dir.join("data-kek.pem")).expect("copied");
    assert!(matches!(fault(&dir, &good()), KeyFault::Damaged { path, .. } if path == dir.join("data-kek.pem")));
}

#[test]
fn a_key_encryption_key_goes_when_nothing_needs_it() {
    let (_root, dir, keys) = kek_rolled();
    let retire =
        |number, live, promised| keys.retire_key_encryption(&dir, number, live, promised).map_err(|fault| fault.code());
    assert_eq!(retire(3, 0, 2), Err("keys.unknown-generation"));
    assert_eq!(retire(2, 0, 2), Err("keys.still-needed"), "the newest");
    assert_eq!(retire(1, 1, 2), Err("keys.still-needed"), "it wraps something");
    assert_eq!(retire(1, 0, 1), Err("keys.still-needed"), "a node that runs may still wrap under it");
    assert_eq!(retire(1, 0, 0), Err("keys.still-needed"), "no start has looked");
    assert_eq!(retire(1, 0, 2), Ok(()));
    for gone in ["data-kek.pem", "data-kek.made"] {
        assert!(!dir.join(gone).exists(), "{gone}");
    }
    let left = Keyring::open(&dir, &good()).expect("opens");
    assert_eq!(left.secrets().kek.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(KeyEncryption::roll(&dir, &good(), START).expect("rolled"), 3);
    let left = Keyring::open(&dir, &good()).expect("opens");
    left.retire_key_encryption(&dir, 2, 0, 3).expect("destroyed");
    assert!(!dir.join("data-kek-2").exists());
    assert_eq!(KeyEncryption::roll(&dir, &good(), START).expect("rolled"), 4, "no number is given twice");
    assert_eq!(Keyring::open(&dir, &good()).expect("opens").secrets().kek.len(), 2);
}

#[test]
fn a_crash_in_either_life_of_a_key_encryption_key_leaves_all_or_nothing() {
    let (_root, dir) = copy();
    // While it was made.
    fs::create_dir(dir.join("data-kek-2.new")).expect("made");
    fs::write(dir.join("data-kek-2.new/data-kek-2.pem"), "half").expect("written");
    assert_eq!(Keyring::open(&dir, &good()).expect("opens").secrets().kek.len(), 1);
    assert_eq!(KeyEncryption::roll(&dir, &good(), START).expect("rolled"), 2);
    // While it was destroyed: after the note, and after its file was overwritten.
    fs::write(dir.join("data-kek-1.gone"), "destroyed").expect("written");
    fs::write(dir.join("data-kek.pem"), [0; 600]).expect("overwritten");
    assert_eq!(Keyring::open(&dir, &good()).expect("opens").secrets().kek.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(KeyEncryption::roll(&dir, &good(), START).expect("rolled"), 3);
    assert!(!dir.join("data-kek.pem").exists());
}

#[test]
fn a_lost_key_encryption_key_is_taken_down_unless_it_wraps_anything() {
    let (_root, dir, _) = kek_rolled();
    let forget = |number, live| KeyEncryption::forget(&dir, number, live).map_err(|fault| fault.code());
    assert_eq!(forget(2, 0), Err("keys.still-needed"), "its file is there");
    assert_eq!(forget(3, 0), Err("keys.unknown-generation"));
    fs::remove_file(dir.join("data-kek-2/data-kek-2.pem")).expect("lost");
    assert_eq!(fault(&dir, &good()).code(), "keys.missing");
    assert_eq!(forget(2, 7), Err("keys.still-needed"), "only a copy of the file helps");
    assert_eq!(forget(2, 0), Ok(()));
    assert_eq!(Keyring::open(&dir, &good()).expect("opens").secrets().kek.keys().collect::<Vec<_>>(), [&1]);
}
