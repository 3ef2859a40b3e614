//! Chains of charters: each attack on them by its name, and what a change of root keys waits for.

use std::collections::BTreeSet;

use prost::Message as _;

use super::*;
use crate::{
    crypto::HybridSigner,
    founding::{
        sign_charter,
        tests::{START, charter_after, charter_bytes, code, root},
    },
    ids::DAY_MS,
    profile::{CHARTER_TYPE, document_id},
    proto::{self, KeyRole},
};

fn day(days: u64) -> Time {
    START.plus_ms(days * DAY_MS)
}

/// The founding charter, and its draft.
fn founded() -> (Charter, proto::Charter) {
    let bytes = charter_bytes();
    let envelope = proto::Envelope::decode(&bytes[..]).expect("decodes");
    let draft = proto::Charter::decode(&envelope.header[..]).expect("decodes");
    (Charter::open(&bytes, document_id(CHARTER_TYPE, &envelope.header)).expect("charter"), draft)
}

fn after(before: &proto::Charter, days: u64) -> proto::Charter {
    charter_after(before, day(days))
}

fn secretariat() -> HybridSigner {
    root("secretariat", KeyRole::Charter)
}

fn party_root(name: &str) -> HybridSigner {
    root(name, KeyRole::Root)
}

fn quorum(signers: &[&HybridSigner], threshold: u32) -> proto::Quorum {
    let pair = |signer: &&HybridSigner| {
        let [ed25519, ml_dsa_65] = signer.public().map(|key| key.bytes.clone());
        proto::HybridKey { ed25519, ml_dsa_65 }
    };
    let mut keys: Vec<_> = signers.iter().map(pair).collect();
    keys.sort_by(|a, b| a.ed25519.cmp(&b.ed25519));
    proto::Quorum { keys, threshold }
}

/// What becomes of a draft these signed, seen on a day.
fn next(
    before: &Charter,
    draft: &proto::Charter,
    signers: &[&HybridSigner],
    days: u64,
) -> Result<Succession, ProfileFault> {
    before.next(&sign_charter(draft, signers).expect("signed"), day(days))
}

fn refused(before: &Charter, draft: &proto::Charter, signers: &[&HybridSigner], days: u64) -> &'static str {
    next(before, draft, signers, days).expect_err("refused").code()
}

/// The draft with other root keys for a Party.
fn with_root(draft: &proto::Charter, party: &str, signers: &[&HybridSigner], threshold: u32) -> proto::Charter {
    let mut draft = draft.clone();
    let row = draft.parties.iter_mut().find(|row| row.code == party).expect("a Party");
    row.root = Some(quorum(signers, threshold));
    draft
}

/// [C-4].
#[test]
fn a_version_follows_the_one_before_and_nothing_else() {
    let (one, draft) = founded();
    let secretariat = secretariat();
    let second = after(&draft, 10);
    let two = next(&one, &second, &[&secretariat], 11).expect("follows");
    assert_eq!((two.mandate, two.charter.version, two.refounded), (Mandate::Signers, 2, BTreeSet::new()));
    let two = two.charter;
    let third = after(&second, 20);
    assert_eq!(refused(&two, &second, &[&secretariat], 20), "charter.roll-back");
    assert_eq!(refused(&one, &third, &[&secretariat], 20), "charter.gap");
    let other = proto::Charter { previous: vec![7; 32], ..second.clone() };
    assert_eq!(refused(&one, &other, &[&secretariat], 20), "charter.other-chain");
    for change in [
        (|draft: &mut proto::Charter| draft.network = "other.comity.test".into()) as fn(&mut proto::Charter),
        |draft| draft.exercise = false,
    ] {
        let mut foreign = second.clone();
        change(&mut foreign);
        assert_eq!(refused(&one, &foreign, &[&secretariat], 20), "charter.other-network");
    }
    let mut fewer = second.clone();
    fewer.parties.pop();
    fewer.instruments.retain(|row| row.party != "XC");
    assert_eq!(refused(&one, &fewer, &[&secretariat], 20), "profile.bad-content");
}

/// [C-5]: the thresholds of both versions, each of distinct keys, and nobody else.
#[test]
fn both_thresholds_sign_and_nobody_else() {
    let (one, draft) = founded();
    let [old, first, second, stranger] =
        ["secretariat", "officer 1", "officer 2", "stranger"].map(|name| root(name, KeyRole::Charter));
    let mut draft = after(&draft, 10);
    draft.signers = Some(quorum(&[&old, &first, &second], 2));
    let takes = |signers: &[&HybridSigner]| next(&one, &draft, signers, 11).map(|_| ()).map_err(|fault| fault.code());
    assert_eq!(takes(&[&old, &first]), Ok(()));
    assert_eq!(takes(&[&old, &first, &second]), Ok(()));
    let short = Err("profile.threshold-not-met");
    assert_eq!(takes(&[&old]), short, "its own threshold is two");
    assert_eq!(takes(&[&first, &second]), short, "the version before has a threshold too");
    assert_eq!(takes(&[&old, &first, &stranger]), short, "arbitrary signer");
    // The same keys in another role have other ids.
    assert_eq!(takes(&[&old, &root("officer 1", KeyRole::Root)]), short, "wrong role key");
    // One officer twice is one officer.
    let signed = sign_charter(&draft, &[&old, &old]).expect("signed");
    assert_eq!(one.next(&signed, day(11)).expect_err("refused").code(), "profile.threshold-not-met", "duplicates");
    let mut half =
        proto::Envelope::decode(&sign_charter(&draft, &[&old, &first]).expect("signed")[..]).expect("decodes");
    half.signatures.pop();
    assert_eq!(one.next(&half.encode_to_vec(), day(11)).expect_err("refused").code(), "profile.threshold-not-met");
}

/// [C-2]: who is given a later version opens it by its fingerprint, although others than its signers signed it too.
#[test]
fn a_late_joiner_opens_the_version_it_was_given() {
    let (_, draft) = founded();
    let [old, first, second] = ["secretariat", "officer 1", "officer 2"].map(|name| root(name, KeyRole::Charter));
    let mut draft = after(&draft, 10);
    draft.signers = Some(quorum(&[&first, &second], 2));
    let id = document_id(CHARTER_TYPE, &draft.encode_to_vec());
    let opens = |signers: &[&HybridSigner]| {
        Charter::open(&sign_charter(&draft, signers).expect("signed"), id).map(|_| ()).map_err(|fault| fault.code())
    };
    assert_eq!(opens(&[&old, &first, &second, &party_root("XB")]), Ok(()));
    assert_eq!(opens(&[&old, &first]), Err("profile.threshold-not-met"), "nobody else's signature counts");
}

/// [C-6]: with its old keys' consent a Party's root changes at once; without, everybody is told and it waits.
#[test]
fn nobody_but_a_party_changes_its_root_keys() {
    let (one, draft) = founded();
    let (secretariat, old, new) = (secretariat(), party_root("XB"), party_root("XB new"));
    let draft = with_root(&after(&draft, 10), "XB", &[&new], 1);
    let root_of = |charter: &Charter, days| charter.parties()[&code("XB")].root_at(day(days)).clone();
    let (before, changed) = (root_of(&one, 10), Quorum::from_wire(&quorum(&[&new], 1), KeyRole::Root).expect("quorum"));

    let agreed = next(&one, &draft, &[&secretariat, &old], 11).expect("follows");
    assert!(agreed.refounded.is_empty() && root_of(&agreed.charter, 11) == changed);
    assert_eq!(agreed.charter.parties()[&code("XB")].refounded(), None);

    let alone = next(&one, &draft, &[&secretariat], 12).expect("follows");
    assert_eq!(alone.refounded, BTreeSet::from([code("XB")]));
    assert_eq!(
        [41, 42].map(|days| root_of(&alone.charter, days)),
        [before.clone(), changed.clone()],
        "30 days from when it was seen"
    );
    // New keys do not agree for the Party, nor does another Party.
    for signers in [[&secretariat, &new], [&secretariat, &party_root("XC")]] {
        let told = next(&one, &draft, &signers, 12);
        assert!(told.is_err() || told.is_ok_and(|told| !told.refounded.is_empty()));
    }
    // Issued in the past, it waits from when it is seen; issued ahead, from then.
    let ahead = proto::Charter { issued_ms: day(20).0, expires_ms: day(900).0, ..draft.clone() };
    let ahead = next(&one, &ahead, &[&secretariat], 12).expect("follows");
    assert_eq!([49, 50].map(|days| root_of(&ahead.charter, days)), [before.clone(), changed.clone()]);

    // The next version neither shortens the wait nor prolongs it; one that goes back ends it.
    let third = after(&draft, 20);
    let third = next(&alone.charter, &third, &[&secretariat], 21).expect("follows");
    assert!(third.refounded.is_empty(), "everybody has been told");
    assert_eq!([41, 42].map(|days| root_of(&third.charter, days)), [before.clone(), changed.clone()]);
    let back = with_root(&after(&draft, 20), "XB", &[&old], 1);
    let back = next(&alone.charter, &back, &[&secretariat], 21).expect("follows");
    assert!(back.refounded.is_empty() && root_of(&back.charter, 60) == before);
    // The old keys may still agree to them, and others begin a wait of their own.
    let late = next(&alone.charter, &after(&draft, 20), &[&secretariat, &old], 21).expect("follows");
    assert!(root_of(&late.charter, 21) == changed);
    let newer = with_root(&after(&draft, 20), "XB", &[&party_root("XB newer")], 1);
    let newer = next(&alone.charter, &newer, &[&secretariat], 21).expect("follows");
    assert!(!newer.refounded.is_empty() && root_of(&newer.charter, 50) == before);
}

/// [C-6]: a later version that is dated after the wait does not end it; and what was changed without a Party stays known
/// when it counts, also through versions its new keys agree to.
#[test]
fn a_date_ahead_ends_no_wait_and_a_mark_stays() {
    let (one, draft) = founded();
    let (secretariat, old, new, newer) =
        (secretariat(), party_root("XB"), party_root("XB new"), party_root("XB newer"));
    let root_of = |charter: &Charter, days| charter.parties()[&code("XB")].root_at(day(days)).clone();
    let refounded = |charter: &Charter| charter.parties()[&code("XB")].refounded();
    let before = root_of(&one, 10);
    let second = with_root(&after(&draft, 10), "XB", &[&new], 1);
    let two = next(&one, &second, &[&secretariat], 12).expect("follows").charter;
    let mut third = after(&second, 13);
    (third.issued_ms, third.expires_ms) = (day(44).0, day(900).0);
    let three = next(&two, &third, &[&secretariat], 13).expect("follows").charter;
    assert_eq!((root_of(&three, 41), refounded(&three)), (before, Some(day(42))));

    let mut fourth = after(&third, 50);
    fourth.issued_ms = day(50).0;
    let four = next(&three, &fourth, &[&secretariat], 50).expect("follows").charter;
    assert_eq!(refounded(&four), Some(day(42)), "the wait is over, and why is still known");
    let turned = with_root(&after(&fourth, 60), "XB", &[&newer], 1);
    let five = next(&four, &turned, &[&secretariat, &new], 60).expect("follows");
    assert!(five.refounded.is_empty() && five.charter.parties()[&code("XB")].refounded() == Some(day(42)));
    assert_eq!(root_of(&five.charter, 60), Quorum::from_wire(&quorum(&[&newer], 1), KeyRole::Root).expect("quorum"));
    assert!(next(&four, &turned, &[&secretariat, &old], 60).is_err(), "the keys from before are strangers now");
}

/// [C-6]: signatures are no part of a charter's id, so that whoever hands it on can leave some out.
#[test]
fn consent_that_comes_later_ends_the_wait() {
    let (one, draft) = founded();
    let [secretariat, xb, xc] = [secretariat(), party_root("XB"), party_root("XC")];
    let draft = with_root(&after(&draft, 10), "XB", &[&party_root("XB new")], 1);
    let draft = with_root(&draft, "XC", &[&party_root("XC new")], 1);
    let signed = |signers: &[&HybridSigner]| sign_charter(&draft, signers).expect("signed");
    let held = one.next(&signed(&[&secretariat]), day(12)).expect("follows");
    assert_eq!(held.refounded, BTreeSet::from([code("XB"), code("XC")]));
    let again = |signers: &[&HybridSigner]| one.next_again(&held, &signed(signers)).expect("the same");
    assert!(again(&[&secretariat]).is_none());
    let agreed = again(&[&secretariat, &xb]).expect("XB agrees");
    assert_eq!(agreed.refounded, BTreeSet::from([code("XC")]));
    let refounded = |next: &Succession, party| next.charter.parties()[&code(party)].refounded();
    assert_eq!(
        [refounded(&agreed, "XB"), refounded(&agreed, "XC")],
        [None, Some(day(42))],
        "the other waits as before"
    );
    assert!(one.next_again(&agreed, &signed(&[&secretariat])).expect("the same").is_none(), "and none is taken back");
    let both = one.next_again(&agreed, &signed(&[&secretariat, &xb, &xc])).expect("the same").expect("XC too");
    assert!(both.refounded.is_empty() && refounded(&both, "XC").is_none());
    let other = proto::Charter { issued_ms: day(11).0, ..draft.clone() };
    let fork = one.next_again(&held, &sign_charter(&other, &[&secretariat]).expect("signed"));
    assert!(matches!(fork, Err(ProfileFault::Fork(of)) if of.version == 2));
}

/// [C-7]: after expiry, and not before, two thirds of the Parties go on without the signers.
#[test]
fn two_thirds_of_the_parties_succeed_signers_who_are_gone() {
    let (one, draft) = founded();
    let expired = one.expires.since(START) / DAY_MS;
    let (xa, xb, xc) = (party_root("XA"), party_root("XB"), party_root("XC"));
    let own = [root("XA officer", KeyRole::Charter), root("XB officer", KeyRole::Charter)];
    let mut draft = after(&draft, expired + 1);
    draft.signers = Some(quorum(&[&own[0], &own[1]], 2));
    let takes = |draft: &proto::Charter, parties: &[&HybridSigner], days| {
        let signers: Vec<&HybridSigner> = own.iter().chain(parties.iter().copied()).collect();
        next(&one, draft, &signers, days).map(|next| next.mandate).map_err(|fault| fault.code())
    };
    assert_eq!(takes(&draft, &[&xa, &xb], expired + 2), Ok(Mandate::Parties));
    assert_eq!(takes(&draft, &[&xa, &xb, &xc], expired + 2), Ok(Mandate::Parties));
    assert_eq!(takes(&draft, &[&xa], expired + 2), Err("profile.threshold-not-met"));
    assert_eq!(takes(&draft, &[&xa, &xb], expired - 1), Err("charter.not-expired"), "seen before");
    let back_dated = proto::Charter { issued_ms: day(expired - 1).0, ..draft.clone() };
    assert_eq!(takes(&back_dated, &[&xa, &xb], expired + 2), Err("charter.not-expired"), "issued before");
    let alone = next(&one, &draft, &[&xa, &xb], expired + 2).expect_err("its own signers sign too");
    assert_eq!(alone.code(), "profile.threshold-not-met");
    // A Party that no longer takes part is not counted.
    let mut suspended = after(&founded().1, 5);
    for row in suspended.parties.iter_mut().filter(|row| row.code == "XC") {
        row.suspended_ms = day(6).0;
    }
    let two = next(&one, &suspended, &[&secretariat()], 5).expect("follows").charter;
    let mut third = after(&suspended, expired + 10);
    third.signers = draft.signers.clone();
    let signers = [&own[0], &own[1], &xa, &xb];
    assert_eq!(next(&two, &third, &signers, expired + 20).expect("two of two").mandate, Mandate::Parties);
}

/// Some hundred versions fit in memory, since what did not change is there once.
#[test]
fn versions_have_in_common_what_did_not_change() {
    let (one, draft) = founded();
    let mut second = with_root(&after(&draft, 10), "XB", &[&party_root("XB new")], 1);
    second.instruments[2].until_ms = day(400).0;
    let second = next(&one, &second, &[&secretariat(), &party_root("XB")], 10).expect("follows").charter;
    let roots = second.parties().values().zip(one.parties().values());
    let roots: Vec<bool> = roots.map(|(new, old)| Arc::ptr_eq(&new.root, &old.root)).collect();
    assert_eq!(roots, [true, false, true]);
    let rows = second.instruments.iter().zip(&one.instruments);
    let rows: Vec<bool> = rows.map(|(new, old)| Arc::ptr_eq(new, old)).collect();
    assert_eq!(rows, [true, true, false]);
    assert_eq!(second.instrument("BC", &code("XC")).map(|row| row.until_ms), Some(day(400).0));
    assert!(second.instrument("BC", &code("XD")).is_none() && second.instrument("AB", &code("XA")).is_none());
}
