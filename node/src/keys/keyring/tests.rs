//! Key folders on a real disk. One folder is made per test binary (its lock costs half a second) and
//! copied for each test that damages it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::OnceLock};

use comity_core::crypto::{hpke_seal, verify_pair};

use super::*;
use crate::keys::Purpose;

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
        let keys = Keyring::create(&root.path().join("keys"), &good()).expect("created");
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

fn fault(dir: &Path, passphrase: &Passphrase) -> KeyFault {
    Keyring::open(dir, passphrase).err().expect("refused")
}

#[test]
fn a_folder_opens_to_the_keys_it_was_made_with() {
    let (root, public) = arvia();
    let keys = Keyring::open(&root.path().join("keys"), &good()).expect("opens");
    assert_eq!(keys.public_keys(), public);
    assert_eq!(public.len(), NODE.len());
    let places: Vec<_> = public.iter().map(|key| (key.role, key.algorithm)).collect();
    assert_eq!(places, NODE.map(|(_, role, algorithm)| (role, algorithm)));
    let secrets = keys.secrets();
    assert_ne!(secrets.ledger.expose(), secrets.kek.expose());
    assert_ne!(secrets.kek.expose(), secrets.desk.expose());
}

#[test]
fn opened_keys_sign_and_open() {
    let (root, public) = arvia();
    let keys = Keyring::open(&root.path().join("keys"), &good()).expect("opens");
    let signatures = keys.sign_event(b"act").expect("signed");
    verify_pair(public.iter(), Algorithm::MlDsa65, b"act", &signatures).expect("verifies");
    let signatures = keys.sign_directory(b"hours").expect("signed");
    verify_pair(public.iter(), Algorithm::MlDsa65, b"hours", &signatures).expect("verifies");
    let signatures = keys.checkpoint_signer().sign_pair(b"size").expect("signed");
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
    assert_eq!(names().len(), 1 + NODE.len() + NODE_SECRETS.len());
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
    for name in names() {
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
    for name in names() {
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
    Keyring::create(&other, &good()).expect("created");
    fs::copy(other.join("record-ed25519.pem"), dir.join("record-ed25519.pem")).expect("copied");
    let fault = fault(&dir, &good());
    assert!(matches!(&fault, KeyFault::Damaged { path, .. } if path.ends_with("record-ed25519.pem")), "{fault}");
}

#[test]
fn creation_never_overwrites_and_survives_its_own_crash() {
    let (root, dir) = copy();
    let refused = Keyring::create(&dir, &good()).err().expect("refused");
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
    let signatures = opened.sign(b"profile").expect("signed");
    verify_pair(made.public().into_iter(), Algorithm::MlDsa65, b"profile", &signatures).expect("verifies");
    let other = OfflineSigner::open(&fresh, OfflineKeys::Charter, &good()).err().expect("refused");
    assert_eq!(other.code(), "keys.missing");
}
