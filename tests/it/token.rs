//! Root keys whose classical half a PKCS#11 token makes and keeps, with SoftHSM in the place of a token.
//!
//! SoftHSM takes the folder of its tokens from the environment, which a test cannot change for itself: each
//! test sets up a token and runs itself again in a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use comity::keys::{KeyFault, OfflineKeys, OfflineSigner, Passphrase, Purpose, Token};
use comity_core::{
    crypto::{PublicKey, verify_pair},
    ids::Digest,
    profile::signing_message,
    proto::{Algorithm, KeyRole},
};

use crate::{
    rig::{Federation, private, run},
    rotation::{key, republish, roll},
    skip,
    story::{Case, one_story},
};

/// Where Debian, Fedora and others put it.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
/// Tells a test that it is the second process, and in which folder.
const INSIDE: &str = "TOKEN_TEST_FOLDER";
const LABEL: &str = "arvia root";

/// The folder of the second process; in the first one, sets up a token there and runs `test` in a second.
fn inside(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(folder));
    }
    let Some(_) = module() else {
        skip("there is no SoftHSM here (Debian: softhsm2)");
        return None;
    };
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("tokens")).expect("made");
    let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", at("tokens").display());
    fs::write(at("softhsm2.conf"), settings).expect("written");
    private(&at("pin"), b"271828\n");
    private(&at("wrong-pin"), b"314159\n");
    private(&at("passphrase"), b"correct horse battery staple\n");
    for label in [LABEL, "other", "twin", "twin"] {
        let mut set_up = Command::new("softhsm2-util");
        set_up.env("SOFTHSM2_CONF", at("softhsm2.conf")).args(["--init-token", "--free", "--label", label]);
        let done = set_up.args(["--pin", "271828", "--so-pin", "161803"]).output().expect("runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let mut again = Command::new(std::env::current_exe().expect("known"));
    again.args([&format!("token::{test}"), "--exact", "--nocapture"]);
    again.env("SOFTHSM2_CONF", at("softhsm2.conf")).env(INSIDE, folder.path());
    let done = again.output().expect("runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    None
}

fn module() -> Option<PathBuf> {
    MODULES.map(PathBuf::from).into_iter().find(|path| path.exists())
}

fn token(folder: &Path, label: &str, pin: &str) -> Token {
    let module = module().expect("looked for before");
    Token { module, label: label.to_owned(), pin_file: Some(folder.join(pin)) }
}

fn passphrase(folder: &Path) -> Passphrase {
    Passphrase::obtain(Some(&folder.join("passphrase")), Purpose::Open).expect("one")
}

fn open(folder: &Path, keys: &str) -> Result<OfflineSigner, KeyFault> {
    OfflineSigner::open(&folder.join(keys), OfflineKeys::Root, &passphrase(folder))
}

#[track_caller]
fn refused(made: Result<OfflineSigner, KeyFault>, code: &str) {
    let fault = made.err().expect("refused");
    assert_eq!(fault.code(), code, "{fault}");
    assert!(!fault.to_string().contains("271828") && !fault.to_string().contains("314159"), "{fault}");
}

#[test]
fn a_pair_with_one_half_in_a_token_signs_like_any_other() {
    let Some(folder) = inside("a_pair_with_one_half_in_a_token_signs_like_any_other") else { return };
    let create = |keys: &str, which| {
        let token = token(&folder, LABEL, "pin");
        OfflineSigner::create_in_token(&folder.join(keys), which, &passphrase(&folder), &token)
    };
    let made = create("root", OfflineKeys::Root).expect("made");
    let charter = create("charter", OfflineKeys::Charter).expect("made");
    let mut names: Vec<_> =
        fs::read_dir(folder.join("root")).expect("lists").map(|e| e.expect("one").file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock.pem", "root-ml-dsa-65.pem", "token.toml"], "the classical half is in no file");

    let opened = open(&folder, "root").expect("opens");
    assert_eq!(made.public(), opened.public());
    let [classical, quantum] = opened.public();
    assert_eq!((classical.role, classical.algorithm), (KeyRole::Root, Algorithm::Ed25519));
    assert_eq!((quantum.role, quantum.algorithm), (KeyRole::Root, Algorithm::MlDsa65));
    let check = |signer: &OfflineSigner, keys: [&PublicKey; 2]| {
        let document = Digest::new([7; 32]);
        let signatures = signer.sign(&document).expect("signed");
        verify_pair(keys.into_iter(), Algorithm::MlDsa65, &signing_message(&document), &signatures).is_ok()
    };
    assert!(check(&opened, made.public()) && check(&charter, charter.public()));
    assert!(!check(&charter, made.public()), "each folder has its own key");
}

#[test]
fn what_is_wrong_with_a_token_is_named() {
    let Some(folder) = inside("what_is_wrong_with_a_token_is_named") else { return };
    let create = |token: &Token| {
        OfflineSigner::create_in_token(&folder.join("root"), OfflineKeys::Root, &passphrase(&folder), token)
    };
    refused(create(&token(&folder, LABEL, "wrong-pin")), "keys.wrong-pin");
    refused(create(&token(&folder, "absent", "pin")), "keys.no-token");
    refused(create(&token(&folder, "twin", "pin")), "keys.no-token");
    refused(create(&token(&folder, LABEL, "no-such-file")), "keys.no-passphrase-file");
    let nothing = Token { module: folder.join("pin"), ..token(&folder, LABEL, "pin") };
    refused(create(&nothing), "keys.token");
    assert!(!folder.join("root").exists(), "nothing is left of what was not made");

    create(&token(&folder, LABEL, "pin")).expect("made");
    refused(create(&token(&folder, LABEL, "pin")), "keys.exists");
    let file = folder.join("root/token.toml");
    let text = fs::read_to_string(&file).expect("reads");
    let check = |changed: &str, code: &str| {
        assert_ne!(changed, text);
        private(&file, changed.as_bytes());
        refused(open(&folder, "root"), code);
    };
    check(&text.replace(LABEL, "other"), "keys.not-in-token");
    let key = text.split("public_key = \"").nth(1).expect("names a key")[..64].to_owned();
    check(&text.replace(&key, &"11".repeat(32)), "keys.not-in-token");
    check(&text.replace(&key, "11"), "keys.damaged");
    check(&format!("{text}more = 1\n"), "keys.damaged");
    private(&file, text.as_bytes());
    open(&folder, "root").expect("opens again");
    let mode = |bits| fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(bits)).expect("set");
    mode(0o644);
    refused(open(&folder, "root"), "keys.too-open");
    mode(0o600);
    fs::remove_file(&file).expect("removed");
    refused(open(&folder, "root"), "keys.missing");
}

/// The nodes of the second process are its children, so they find the same tokens.
#[test]
fn a_node_signs_events_and_checkpoints_with_a_token() {
    let Some(folder) = inside("a_node_signs_events_and_checkpoints_with_a_token") else { return };
    let mut federation = Federation::stopped(2);
    let (module, pin) = (module().expect("looked for before"), folder.join("pin"));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (module, pin) = (text(&module), text(&pin));
    let made = ["record", "checkpoint"]
        .map(|role| roll(&federation, &[role, "--token", &module, "--token-label", LABEL, "--pin-file", &pin]));
    let (code, _, said) = key(&federation, &["roll", "seal", "--token", &module, "--token-label", LABEL]);
    assert!(code == 2 && said.starts_with("keys.not-for-tokens: "), "{code} {said}");
    let keys = federation.nodes[1].data.join("keys/record-2");
    assert!(keys.join("token.toml").exists() && !keys.join("record-2-ed25519.pem").exists());

    republish(&federation, &made); // which revokes the pairs in files
    federation.start();
    let case = Case::new();
    case.complete(&federation.nodes[0], &federation.nodes[1]);
    one_story(&federation.nodes, &[case]);

    assert_eq!(federation.nodes[1].stop(), 0);
    private(&folder.join("pin"), b"314159\n");
    federation.nodes[1].start(&[]);
    assert!(!federation.nodes[1].answers_or_ended());
    let log = federation.nodes[1].log();
    assert!(log.contains("keys.wrong-pin: ") && !log.contains("314159"), "{log}");
}

/// An officer and the holder of a Party's root key have their halves in a token; what they sign holds like any other.
#[test]
fn a_ceremony_signs_with_pairs_in_a_token() {
    let Some(folder) = inside("a_ceremony_signs_with_pairs_in_a_token") else { return };
    let at = |name: &str| folder.join(name).to_str().expect("text").to_owned();
    let fine = |arguments: &str| {
        let arguments: Vec<String> = arguments.split(' ').map(|word| word.replace('@', &at(""))).collect();
        let (code, out, err) = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    let module = module().expect("looked for before").display().to_string();
    for (keys, role, label) in [("officer", "charter", "other"), ("root-XA", "root", "other")] {
        let made = fine(&format!(
            "key create @{keys} --role {role} --token {module} --token-label {label} --pin-file @pin \
             --passphrase-file @passphrase"
        ));
        assert!(made.contains("It signs only with") && folder.join(keys).join("token.toml").exists(), "{made}");
    }
    fine(
        "charter draft --network token.comity.test --exercise --threshold 1 --instrument BC --party XA:Arvia \
         --signer @officer.pub --out @charter.toml",
    );
    fine("charter propose @charter.toml --out @proposal.dsse");
    fine("charter sign @proposal.dsse --keys @officer --out @signed.dsse --passphrase-file @passphrase");
    let done = fine("charter collect @proposal.dsse @signed.dsse --out @charter.dsse");
    assert!(done.contains("This charter is complete"), "{done}");
    fine("profile draft --party XA --charter @charter.dsse --out @profile.toml");
    fine("profile propose @profile.toml --charter @charter.dsse --out @unsigned.dsse");
    fine(
        "profile sign @unsigned.dsse --charter @charter.dsse --keys @root-XA --out @one.dsse --passphrase-file @passphrase",
    );
    let done = fine("profile collect @unsigned.dsse @one.dsse --charter @charter.dsse --out @profile.dsse");
    assert!(done.contains("This profile is complete"), "{done}");

    // Without its PIN the token signs nothing, and no copy is left.
    private(&folder.join("pin"), b"314159\n");
    let (code, _, said) = run(&[
        "profile",
        "sign",
        &at("unsigned.dsse"),
        "--charter",
        &at("charter.dsse"),
        "--keys",
        &at("root-XA"),
        "--out",
        &at("two.dsse"),
        "--passphrase-file",
        &at("passphrase"),
    ]);
    assert!(code != 0 && said.contains("keys.wrong-pin: ") && !said.contains("314159"), "{code} {said}");
    assert!(!folder.join("two.dsse").exists());
}
