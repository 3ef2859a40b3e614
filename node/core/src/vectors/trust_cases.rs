//! `charter.json`, `profile.json`: who belongs to a network and who speaks for a Party.

use super::{
    bad, computed, file,
    material::{Material, named, raw},
    shapes::{Bytes, Case, File, Input, Seen},
};
use crate::{
    crypto::{pae, sha256},
    event::tests::NOW,
    ids::DAY_MS,
    proto,
};
use prost::Message as _;

pub(super) fn files(m: &Material) -> Vec<File> {
    vec![
        file("charter", "Opening a charter under the fingerprint given by hand.", charters(m)),
        file("chain", "The charter that follows another one.", chain(m)),
        file("profile", "Opening a profile under the charter of material.json.", profiles(m)),
        file("directory", "What a Party's directory key and a root key sign alone.", changing(m)),
        file("walk", "Documents seen one after another, and the attacks on that.", walks(m)),
    ]
}

/// The fingerprint of a charter, whatever it says.
fn fingerprint(m: &Material, name: &str) -> Bytes {
    let envelope = proto::Envelope::decode(m.of(name)).expect("an envelope");
    raw(sha256(&[&pae("application/vnd.comity.charter.v1", &envelope.header)]).as_bytes())
}

fn signature_of(m: &Material, name: &str, place: usize) -> Vec<u8> {
    proto::Envelope::decode(m.of(name)).expect("an envelope").signatures[place].signature.clone()
}

fn charters(m: &Material) -> Vec<Case> {
    let open = |envelope, fingerprint| Input::OpenCharter { envelope, fingerprint };
    let own = |name: &str| open(named(name), fingerprint(m, name));
    let content = |name: &str, clause: &str, of: &str| bad(name, &[clause], own(of), "profile.bad-content", "");
    let unsigned = |place| {
        let forged = m.flipped_in("charter", &signature_of(m, "charter", place), 7);
        open(forged, named("charter-fingerprint"))
    };
    let network = m.flipped_in("charter", b"test.comity.test", 0);
    vec![
        computed(m, "three Parties", &["C-1", "C-2"], open(named("charter"), named("charter-fingerprint"))),
        computed(m, "no Party", &["C-1", "C-2"], own("charter-bare")),
        bad("another fingerprint", &["C-2"], open(named("charter"), raw([7; 32])), "profile.wrong-fingerprint", ""),
        bad(
            "a byte of the content changed",
            &["C-2"],
            open(network, named("charter-fingerprint")),
            "profile.wrong-fingerprint",
            "",
        ),
        bad("first signature forged", &["C-2", "S-4"], unsigned(0), "profile.threshold-not-met", ""),
        bad("second signature forged", &["C-2", "S-4"], unsigned(1), "profile.threshold-not-met", ""),
        bad(
            "signed over its bytes, not its id",
            &["C-2", "S-1"],
            open(named("charter-signed-whole"), named("charter-fingerprint")),
            "profile.threshold-not-met",
            "",
        ),
        bad("a profile", &["C-2"], open(named("profile-xa"), named("charter-fingerprint")), "profile.wrong-type", ""),
        bad(
            "bytes that are no envelope",
            &["C-2", "W-1"],
            open(raw([0xff]), named("charter-fingerprint")),
            "profile.malformed",
            "wire.undecodable",
        ),
        content("no signers", "C-2", "charter-without-signers"),
        content("a threshold of none", "S-4", "charter-threshold-0"),
        content("a threshold that can never be met", "S-4", "charter-threshold-beyond-keys"),
        content("a signer's key one byte short", "S-4", "charter-short-key"),
        content("version 0", "C-3", "charter-version-0"),
        content("version 1 naming one before it", "C-3", "charter-version-1-with-previous"),
        content("version 2 naming none before it", "C-3", "charter-version-2-without-previous"),
        content("expired when issued", "C-3", "charter-expires-before-issue"),
        content("one suite twice", "C-3", "charter-suites-repeat"),
        content("an instrument's status of a stranger", "C-3", "charter-instrument-of-no-party"),
        bad("a network in capitals", &["C-3", "K-3"], own("charter-network-in-capitals"), "profile.bad-name", ""),
    ]
}

fn profiles(m: &Material) -> Vec<Case> {
    let open = |name: &str| Input::OpenProfile { envelope: named(name) };
    let content = |name: &str, of: &str| bad(name, &["P-3"], open(of), "profile.bad-content", "");
    let forged =
        |place| Input::OpenProfile { envelope: m.flipped_in("profile-xa", &signature_of(m, "profile-xa", place), 7) };
    let changed = Input::OpenProfile { envelope: m.flipped_in("profile-xa", b"Central", 0) };
    vec![
        computed(m, "of XA", &["P-1", "P-2"], open("profile-xa")),
        computed(m, "of XB", &["P-1", "P-2"], open("profile-xb")),
        computed(m, "of XC", &["P-1", "P-2"], open("profile-xc")),
        computed(m, "without keys or authorities", &["P-1", "P-2"], open("profile-bare")),
        computed(m, "with a ledger in the place of another", &["P-3", "L-14"], open("profile-with-second-ledger")),
        bad("signed by another Party", &["P-2"], open("profile-xa-signed-by-xb"), "profile.threshold-not-met", ""),
        bad("a byte of the content changed", &["P-2"], changed, "profile.threshold-not-met", ""),
        bad("first signature forged", &["P-2", "S-4"], forged(0), "profile.threshold-not-met", ""),
        bad("second signature forged", &["P-2", "S-4"], forged(1), "profile.threshold-not-met", ""),
        bad(
            "signed over its bytes, not its id",
            &["P-2", "S-1"],
            open("profile-xa-signed-whole"),
            "profile.threshold-not-met",
            "",
        ),
        bad("a charter", &["P-2"], open("charter"), "profile.wrong-type", ""),
        bad("for another network", &["P-2"], open("profile-other-network"), "profile.not-chartered", ""),
        bad("of a Party the charter does not name", &["P-2"], open("profile-of-no-party"), "profile.not-chartered", ""),
        content("version 0", "profile-version-0"),
        content("no ledger", "profile-without-ledger"),
        content("a ledger of another Party", "profile-with-ledger-of-another"),
        content("ledgers not numbered from 1", "profile-with-second-ledger-only"),
        content("a successor of nothing", "profile-with-second-ledger-from-nothing"),
        content("a successor that does not say of what", "profile-with-second-ledger-without-root"),
        content("a first ledger with a beginning", "profile-with-first-ledger-from-another"),
        content("nodes that fall", "profile-nodes-fall"),
        content("a node that is no Ed25519 PeerId", "profile-node-of-another-kind"),
        content("a node whose key is no point", "profile-node-no-point"),
        content("a node that proves nothing", "profile-node-without-proof"),
        content("a node that belongs to another Party", "profile-node-of-another-party"),
        bad(
            "a text that hides what stands before it",
            &["C-8"],
            open("profile-text-that-hides"),
            "profile.bad-content",
            "",
        ),
        content("a key of an unknown role", "profile-key-of-unknown-role"),
        content("a root key", "profile-key-of-root-role"),
        content("a seal key that is an Ed25519 key", "profile-key-of-wrong-algorithm"),
        content("a key one byte short", "profile-key-too-short"),
        content("a key valid for no time", "profile-key-never-valid"),
        content("one key in two roles", "profile-key-in-two-roles"),
        content("keys that fall by key id", "profile-keys-fall"),
        content("a power on no side", "profile-power-of-no-side"),
        content("powers that fall", "profile-powers-fall"),
    ]
}

fn chain(m: &Material) -> Vec<Case> {
    let next = |before: &str, envelope| Input::NextCharter { before: named(before), envelope, seen_ms: NOW.0 };
    let follows = |before: &str, of: &str| next(before, named(of));
    let refused = |name: &str, clause: &str, before: &str, of: &str, code: &str| {
        bad(name, &[clause], follows(before, of), code, "")
    };
    let short = "profile.threshold-not-met";
    let forged = m.flipped_in("charter-2", &signature_of(m, "charter-2", 0), 7);
    vec![
        computed(m, "nothing changed", &["C-4", "C-5"], follows("charter", "charter-2")),
        computed(m, "the one after that", &["C-4", "C-5"], follows("charter-2", "charter-3")),
        computed(m, "other root keys, agreed to", &["C-6"], follows("charter", "charter-2-with-xbs-consent")),
        computed(m, "other root keys, not agreed to", &["C-6"], follows("charter", "charter-2-refounds-xb")),
        refused("the same version again", "C-4", "charter-2", "charter-2", "charter.roll-back"),
        refused("an earlier version", "C-4", "charter-3", "charter-2", "charter.roll-back"),
        refused("a version missing between", "C-4", "charter", "charter-3", "charter.gap"),
        refused("after another version 2", "C-4", "charter-2-refounds-xb", "charter-3", "charter.other-chain"),
        refused("in earnest after an exercise", "C-4", "charter", "charter-bare", "charter.other-network"),
        refused("a Party missing", "C-4", "charter", "charter-2-without-xc", "profile.bad-content"),
        refused("one officer's signatures twice", "C-5", "charter", "charter-2-signed-twice", short),
        refused("signed by a stranger", "C-5", "charter", "charter-2-by-a-stranger", short),
        bad("a signature forged", &["C-5"], next("charter", forged), short, ""),
        refused(
            "by two Parties before it expires",
            "C-7",
            "charter",
            "charter-2-by-two-parties",
            "charter.not-expired",
        ),
        refused("a profile", "C-4", "charter", "profile-xa", "profile.wrong-type"),
    ]
}

/// What one document says only beside those before it. A case is refused for its last document.
fn walks(m: &Material) -> Vec<Case> {
    let days = |n: u64| NOW.0 + n * DAY_MS;
    let walk = |party: &str, at_ms, documents: &[(&str, u64)]| Input::Walk {
        documents: documents.iter().map(|(of, seen_ms)| Seen { envelope: named(of), seen_ms: *seen_ms }).collect(),
        party: party.into(),
        at_ms,
    };
    let xa = |documents: &[&str]| {
        let documents: Vec<_> = documents.iter().map(|of| (*of, NOW.0)).collect();
        walk("XA", NOW.0, &documents)
    };
    let xb = |documents: &[(&str, u64)]| walk("XB", days(100), documents);
    let (with_key, refounds) = ("profile-xa-with-directory-key", "charter-2-refounds-xb");
    let refused = |name: &str, clause: &str, input, code: &str| bad(name, &[clause], input, code, "");
    let heard = |at_ms| walk("XA", at_ms, &[(with_key, NOW.0), ("head", NOW.0)]);
    let (by_new, ahead) = ("profile-xb-by-new-root", "charter-3-dated-after-the-wait");
    let threshold = "profile.threshold-not-met";
    vec![
        computed(m, "a profile, a directory, a head", &["P-8"], xa(&[with_key, "directory", "head"])),
        computed(m, "the next profile", &["P-8"], xa(&["profile-xa", "profile-xa-revokes-record-keys"])),
        refused("roll-back", "P-8", xa(&["profile-xa-revokes-record-keys", "profile-xa"]), "profile.roll-back"),
        refused("fork", "P-8", xa(&["profile-xa", with_key]), "profile.fork"),
        refused("mix-and-match", "P-5", xa(&["profile-xa", "directory"]), "profile.other-profile"),
        refused("expired", "P-8", walk("XA", days(800), &[("profile-xa", days(800))]), "charter.expired"),
        refused("fast-forward", "P-8", xa(&["profile-xa", "profile-xa-far-ahead"]), "profile.bad-content"),
        computed(m, "freeze: two days after the last head", &["P-6"], heard(days(2))),
        computed(m, "freeze: fourteen days after it", &["P-6"], heard(days(14))),
        computed(m, "suspended", &["P-7"], xa(&["profile-xa", "suspension"])),
        computed(m, "suspended, and its next profile", &["P-7"], {
            xa(&["profile-xa", "suspension", "profile-xa-revokes-record-keys"])
        }),
        refused("one holder stops all profiles to come", "P-7", xa(&["profile-xa", "suspension-of-all"]), {
            "profile.other-profile"
        }),
        refused("a stop of the profile before", "P-7", xa(&["profile-xa-revokes-record-keys", "suspension"]), {
            "profile.roll-back"
        }),
        computed(m, "re-founded", &["C-6"], xb(&[(refounds, days(0))])),
        refused(
            "re-founded, before the wait is over",
            "C-6",
            xb(&[(refounds, days(0)), (by_new, days(29))]),
            threshold,
        ),
        computed(m, "re-founded, when it is over", &["C-6"], xb(&[(refounds, days(0)), (by_new, days(30))])),
        refused(
            "a wait cut short by a date ahead",
            "C-6",
            xb(&[(refounds, days(0)), (ahead, days(0)), (by_new, days(1))]),
            threshold,
        ),
        computed(m, "a version after the wait", &["C-6"], {
            xb(&[(refounds, days(0)), (ahead, days(40)), (by_new, days(41))])
        }),
    ]
}

fn changing(m: &Material) -> Vec<Case> {
    let profile = || named("profile-xa-with-directory-key");
    let directory = |of: &str, now_ms| Input::OpenDirectory { profile: profile(), envelope: named(of), now_ms };
    let head = |of: &str, now_ms| Input::OpenHead { profile: profile(), envelope: named(of), now_ms };
    let suspension = |of: &str, now_ms| Input::OpenSuspension { envelope: named(of), now_ms };
    let (now, key) = (NOW.0, "profile.not-directory-key");
    vec![
        computed(m, "a directory", &["P-5"], directory("directory", now)),
        bad(
            "of another profile",
            &["P-5"],
            directory("directory-of-another-profile", now),
            "profile.other-profile",
            "",
        ),
        bad("a holiday that is no day", &["P-5"], directory("directory-with-no-day", now), "profile.bad-content", ""),
        bad("signed by a root key", &["P-5"], directory("directory-signed-by-root", now), key, ""),
        bad("signed over its bytes, not its id", &["P-5", "S-1"], directory("directory-signed-whole", now), key, ""),
        bad("when its key has ended", &["P-5"], directory("directory", now + 1), key, ""),
        bad("a head for a directory", &["P-5"], directory("head", now), "profile.wrong-type", ""),
        computed(m, "a head", &["P-6"], head("head", now)),
        computed(m, "a head that names a newer profile", &["P-6"], head("head-of-a-newer-profile", now)),
        bad(
            "a head that names another profile of the number",
            &["P-6"],
            head("head-of-a-fork", now),
            "profile.fork",
            "",
        ),
        computed(m, "a head five minutes ahead", &["P-6"], head("head", now - 300_000)),
        bad("a head further ahead", &["P-6"], head("head", now - 300_001), "profile.ahead", ""),
        computed(m, "a suspension, from when it was seen", &["P-7"], suspension("suspension", now)),
        bad(
            "a suspension by another Party",
            &["P-7"],
            suspension("suspension-by-xb", now),
            "profile.threshold-not-met",
            "",
        ),
    ]
}
