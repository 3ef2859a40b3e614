//! A small network held in memory: three officers of whom two must sign, Parties with one root key each.

use std::path::Path;

use comity_core::{
    crypto::{HybridSigner, Seed, sha256},
    founding::{PublicRoleKeys, RoleKeys},
    ids::{NetworkName, PartyCode, Time},
    profile::signing_message,
    proto::{self, KeyRole},
};

use super::{
    holder::{Holder, tests::signer},
    standing::Part,
    *,
};

pub(super) const NOW: Time = Time(1_780_000_000_000);
const OFFICERS: [&str; 3] = ["officer 1", "officer 2", "officer 3"];

fn officer(n: usize) -> HybridSigner {
    signer(OFFICERS[n], KeyRole::Charter)
}

fn root(party: &str) -> HybridSigner {
    signer(&format!("root of {party}"), KeyRole::Root)
}

fn quorum(signers: &[HybridSigner], threshold: u32) -> proto::Quorum {
    let mut keys: Vec<proto::HybridKey> = signers.iter().map(|signer| Holder::of(signer.public()).key).collect();
    keys.sort_by(|a, b| a.ed25519.cmp(&b.ed25519));
    proto::Quorum { keys, threshold }
}

fn party(code: &str, name: &str) -> proto::Party {
    let root = Some(quorum(&[root(code)], 1));
    proto::Party { code: code.into(), name: name.into(), root, joined_ms: NOW.0, ..proto::Party::default() }
}

fn status(party: &str) -> proto::InstrumentStatus {
    let (instrument, party) = ("BC".into(), party.into());
    proto::InstrumentStatus { instrument, party, in_force_ms: NOW.0, ..proto::InstrumentStatus::default() }
}

/// Version 1, three officers of whom two must sign.
pub(super) fn charter() -> proto::Charter {
    proto::Charter {
        network: "ceremony.comity.test".into(),
        exercise: true,
        version: 1,
        issued_ms: NOW.0,
        expires_ms: NOW.0 + 1_000_000_000,
        grace_days: 30,
        signers: Some(quorum(&[officer(0), officer(1), officer(2)], 2)),
        parties: vec![party("XA", "Arvia"), party("XB", "Belmar"), party("XC", "Corvia")],
        instruments: vec![status("XA"), status("XB")],
        suites: vec![proto::SuiteDates { id: 1, from_ms: NOW.0, until_ms: 0 }],
        ..proto::Charter::default()
    }
}

/// With every field there is.
pub(super) fn full_charter() -> proto::Charter {
    let mut wire = charter();
    (wire.version, wire.previous) = (7, vec![7; 32]);
    wire.parties[1].suspended_ms = NOW.0 + 1;
    wire.parties[1].withdrawn_ms = NOW.0 + 2;
    wire.instruments[0].until_ms = NOW.0 + 3;
    wire.instruments[0].reservations = vec!["BC.1".into(), "BC.2".into()];
    wire.instruments[0].declarations = vec!["BC.3".into()];
    let exception = |party_b: &str, in_force_ms| proto::PairException {
        instrument: "BC".into(),
        party_a: "XA".into(),
        party_b: party_b.into(),
        in_force_ms,
    };
    wire.exceptions = vec![exception("XB", 0), exception("XC", NOW.0 + 4)];
    wire.suites.push(proto::SuiteDates { id: 2, from_ms: NOW.0, until_ms: NOW.0 + 5 });
    let witnesses = vec!["XB".into(), "XC".into()];
    wire.witnesses = vec![proto::WitnessDuty { party: "XA".into(), witnesses, faulty: 0 }];
    wire
}

/// What a profile of XA says of a node's keys.
pub(super) fn keys_of(name: &str) -> PublicRoleKeys {
    let seed = |half: &str| Seed::new(*sha256(&[name.as_bytes(), half.as_bytes()]).as_bytes());
    let network = NetworkName::parse("ceremony.comity.test").expect("name");
    let keys = RoleKeys::from_seeds(seed).expect("keys");
    keys.public(&network, &PartyCode::parse("XA").expect("code")).expect("public halves")
}

/// A profile of XA with every field there is.
pub(super) fn profile() -> proto::Profile {
    let network = NetworkName::parse("ceremony.comity.test").expect("name");
    let code = "XA".parse().expect("code");
    let mut draft = ProfileDraft::first(&network, &code, "Arvia", &keys_of("XA"), true, NOW);
    draft.add_keys(&keys_of("another node"), NOW);
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("profile.toml");
    write(&path, draft.to_text().as_bytes()).expect("written");
    let mut wire = ProfileDraft::read(&path).expect("reads");
    wire.authorities[0].powers[0].until_ms = NOW.0 + 1;
    wire.languages.push(proto::LanguageRule { procedure: "PRES".into(), urgent: true, languages: vec!["fr".into()] });
    let declaration = |code: &str| proto::Declaration { code: code.into(), value: "yes".into() };
    wire.declarations = vec![declaration("BC.1"), declaration("BC.2")];
    wire.revocations = vec![proto::Revocation { key_id: vec![3; 32], from_ms: NOW.0, reason: "lost".into() }];
    wire
}

pub(super) fn directory() -> proto::Directory {
    let contact = |office: &str| proto::Contact {
        authority: "central".into(),
        office: office.into(),
        email: "duty@authority.test".into(),
        phone: "+00 1".into(),
        hours: "24/7".into(),
        languages: vec!["fr".into(), "en".into()],
    };
    proto::Directory {
        network: "ceremony.comity.test".into(),
        party: "XA".into(),
        version: 3,
        issued_ms: NOW.0,
        profile: vec![1; 32],
        contacts: vec![contact("duty"), contact("night")],
        addresses: vec![proto::Address {
            node: profile().nodes[0].peer_id.clone(),
            multiaddrs: vec!["/dns/node.xa.test/tcp/4810".into()],
        }],
        holidays: vec!["2026-05-01".into(), "2026-12-25".into()],
    }
}

fn unsigned(paper: Paper) -> Document {
    Document::unsigned(Path::new("proposal.dsse"), paper)
}

fn signed(document: &Document, signers: &[HybridSigner]) -> Document {
    let pairs = signers.iter().flat_map(|signer| signer.sign_pair(&signing_message(&document.id())).expect("signed"));
    document.clone().with(&pairs.collect::<Vec<_>>())
}

/// Judged beside a charter that is the version before, or the one in force.
fn beside(dir: &Path, after: Option<&Document>, charter: Option<&Document>) -> Beside {
    let file = |name: &str, document: Option<&Document>| {
        let path = dir.join(name);
        document.map(|document| std::fs::write(&path, document.envelope()).map(|()| path).expect("written"))
    };
    let files = Files { after: file("after", after), charter: file("charter", charter), profile: None };
    Beside::read(&files, NOW).expect("opens")
}

fn code(result: Result<(Document, Standing), CeremonyFault>) -> &'static str {
    match result {
        Ok((_, standing)) => match standing.outcome {
            Outcome::Holds(refounded) if refounded.is_empty() => "complete",
            Outcome::Holds(_) => "re-founding",
            Outcome::Incomplete => "incomplete",
            Outcome::NotKnown => "not known",
        },
        Err(fault) => fault.code(),
    }
}

#[test]
fn a_charter_is_complete_when_two_distinct_officers_signed_the_same_text() {
    let dir = tempfile::tempdir().expect("folder");
    let beside = beside(dir.path(), None, None);
    let proposal = unsigned(Paper::Charter(Box::new(charter())));
    let copy = |n: usize| signed(&proposal, &[officer(n)]);
    let check = |copies: &[Document], expected: &str| {
        assert_eq!(code(collect(&proposal, copies, &beside, "out".into())), expected);
    };
    check(&[], "incomplete");
    check(&[copy(0)], "incomplete");
    check(&[copy(0), copy(0)], "incomplete");
    check(&[copy(0), copy(2)], "complete");
    check(&[copy(0), copy(1), copy(2), copy(1)], "complete");
    check(&[copy(0), signed(&proposal, &[root("XA")])], "ceremony.stranger");
    let other = charter();
    let other = unsigned(Paper::Charter(Box::new(proto::Charter { grace_days: 31, ..other })));
    check(&[copy(0), signed(&other, &[officer(1)])], "ceremony.other-content");
    let mut tampered = copy(1);
    tampered.signatures[0].signature[9] ^= 1;
    check(&[copy(0), tampered], "ceremony.bad-signature");
    let mut half = copy(1);
    half.signatures.truncate(1);
    check(&[copy(0), half], "ceremony.half-signature");
    let mut twice = copy(1);
    twice.signatures = [twice.signatures.clone(), twice.signatures].concat();
    check(&[copy(0), twice], "ceremony.disordered");
}

#[test]
fn the_next_version_needs_the_old_officers_and_the_new() {
    let dir = tempfile::tempdir().expect("folder");
    let first = signed(&unsigned(Paper::Charter(Box::new(charter()))), &[officer(0), officer(1)]);
    let next = |change: &dyn Fn(&mut proto::Charter)| {
        let mut wire = charter();
        (wire.version, wire.previous) = (2, first.id().as_bytes().to_vec());
        change(&mut wire);
        unsigned(Paper::Charter(Box::new(wire)))
    };
    let new_officer = || signer("officer 4", KeyRole::Charter);
    let beside = beside(dir.path(), Some(&first), None);
    let check = |proposal: &Document, signers: &[HybridSigner], expected: &str| {
        assert_eq!(code(collect(proposal, &[signed(proposal, signers)], &beside, "out".into())), expected);
    };
    let replaced = next(&|wire| wire.signers = Some(quorum(&[officer(1), officer(2), new_officer()], 2)));
    check(&replaced, &[officer(1), new_officer()], "incomplete");
    check(&replaced, &[officer(0), officer(1)], "incomplete");
    check(&replaced, &[officer(0), officer(1), new_officer()], "complete");
    check(&replaced, &[officer(1), officer(2)], "complete");

    // The charter opens by itself though one who signed is no signer of it.
    let both = signed(&replaced, &[officer(0), officer(1), new_officer()]);
    assert!(open_alone(&both).is_ok());

    let hostile = next(&|wire| wire.parties[0].root = Some(quorum(&[root("a stranger")], 1)));
    check(&hostile, &[officer(0), officer(1)], "re-founding");
    check(&hostile, &[officer(0), officer(1), root("XA")], "complete");
    let standing = Standing::of(&hostile, &beside).expect("holds so far");
    assert!(standing.seats.iter().any(|seat| matches!(&seat.part, Part::Consent(party) if party.as_str() == "XA")));
    assert!(warnings(&standing)[0].contains("Party XA are changed WITHOUT ITS CONSENT"));

    let removed = next(&|wire| drop(wire.parties.remove(2)));
    check(&removed, &[officer(0), officer(1)], "profile.bad-content");
    let gap = next(&|wire| wire.version = 3);
    check(&gap, &[officer(0), officer(1)], "charter.gap");
}

/// [C-7]: when the charter has expired, two thirds of its Parties stand in for its signers.
#[test]
fn the_parties_follow_signers_whose_charter_has_expired() {
    let dir = tempfile::tempdir().expect("folder");
    let old = proto::Charter { issued_ms: NOW.0 - 9, expires_ms: NOW.0 - 1, ..charter() };
    let first = signed(&unsigned(Paper::Charter(Box::new(old))), &[officer(0), officer(1)]);
    let new_officer = || signer("officer of the Parties", KeyRole::Charter);
    let previous = first.id().as_bytes().to_vec();
    let next = proto::Charter { version: 2, previous, signers: Some(quorum(&[new_officer()], 1)), ..charter() };
    let next = unsigned(Paper::Charter(Box::new(next)));
    let beside = beside(dir.path(), Some(&first), None);
    let check = |signers: &[HybridSigner], expected: &str| {
        assert_eq!(code(collect(&next, &[signed(&next, signers)], &beside, "out".into())), expected);
    };
    check(&[new_officer(), root("XA")], "incomplete");
    check(&[root("XA"), root("XB")], "incomplete");
    check(&[new_officer(), root("XA"), root("XB")], "complete");
    let standing = Standing::of(&next, &beside).expect("holds so far");
    assert!(shown(&next, &beside, &standing).contains("two thirds of its Parties"));
    assert!(warnings(&standing).is_empty());
}

#[test]
fn a_later_charter_alone_is_shown_and_not_collected() {
    let dir = tempfile::tempdir().expect("folder");
    let mut wire = full_charter();
    wire.version = 2;
    let later = signed(&unsigned(Paper::Charter(Box::new(wire))), &[officer(0), root("XA")]);
    let beside = beside(dir.path(), None, None);
    let standing = Standing::of(&later, &beside).expect("shown");
    assert_eq!((standing.outcome.clone(), standing.unknown), (Outcome::NotKnown, 2));
    assert!(shown(&later, &beside, &standing).contains("--after"));
    assert_eq!(code(collect(&later, &[], &beside, "out".into())), "ceremony.needs-other");
}

#[test]
fn a_profile_needs_its_roots_and_a_suspension_any_one_of_them() {
    let dir = tempfile::tempdir().expect("folder");
    let mut two = charter();
    two.parties[0].root = Some(quorum(&[root("XA"), root("XA too")], 2));
    let charter = signed(&unsigned(Paper::Charter(Box::new(two))), &[officer(0), officer(1)]);
    let beside = beside(dir.path(), None, Some(&charter));
    let check = |paper: Paper, signers: &[HybridSigner], expected: &str| {
        let proposal = unsigned(paper);
        assert_eq!(code(collect(&proposal, &[signed(&proposal, signers)], &beside, "out".into())), expected);
    };
    let mut wire = profile();
    wire.ledgers = vec![proto::Ledger { origin: "xa.ceremony.comity.test/ledger/1".into(), ..Default::default() }];
    let a_profile = Paper::Profile(Box::new(wire));
    check(a_profile.clone(), &[root("XA")], "incomplete");
    check(a_profile.clone(), &[root("XA"), root("XA too")], "complete");
    check(a_profile, &[root("XB")], "ceremony.stranger");
    let suspension = proto::Suspension {
        network: "ceremony.comity.test".into(),
        party: "XA".into(),
        issued_ms: NOW.0,
        profile_version: 1,
        reason: "key-lost".into(),
        profile: vec![7; 32],
    };
    check(Paper::Suspension(suspension.clone()), &[], "incomplete");
    check(Paper::Suspension(suspension.clone()), &[root("XA too")], "complete");
    check(Paper::Suspension(proto::Suspension { party: "XZ".into(), ..suspension }), &[], "profile.not-chartered");
}

/// A charter that changes a Party's root keys does not take its profiles from it.
#[test]
fn a_profile_goes_on_under_new_root_keys() {
    let dir = tempfile::tempdir().expect("folder");
    let later = |version: u64| {
        let mut wire = charter();
        (wire.version, wire.previous) = (version, if version > 1 { vec![5; 32] } else { Vec::new() });
        wire.parties[0].root = Some(quorum(&[root("XA anew")], 1));
        signed(&unsigned(Paper::Charter(Box::new(wire))), &[officer(0), officer(1)])
    };
    let held = signed(&unsigned(Paper::Profile(Box::new(profile()))), &[root("XA")]);
    let next = proto::Profile { version: 2, previous: held.id().as_bytes().to_vec(), ..profile() };
    let next = unsigned(Paper::Profile(Box::new(next)));
    let judged = beside(dir.path(), Some(&held), Some(&later(2)));
    assert_eq!(code(collect(&next, &[signed(&next, &[root("XA anew")])], &judged, "out".into())), "complete");
    let said = shown(&next, &judged, &Standing::of(&next, &judged).expect("holds so far"));
    assert!(said.contains("NOTE: who signed the version before cannot be checked here"), "{said}");
    let paths = ["after", "charter"].map(|name| dir.path().join(name));
    std::fs::write(&paths[1], later(1).envelope()).expect("written");
    let files = Files { after: Some(paths[0].clone()), charter: Some(paths[1].clone()), profile: None };
    let refused = Beside::read(&files, NOW).map(|_| ()).map_err(|fault| fault.code());
    assert_eq!(refused, Err("profile.threshold-not-met"), "under the first charter it was never signed");
}

/// Of a signed copy no byte can be changed unseen.
#[test]
fn every_changed_byte_is_found() {
    let dir = tempfile::tempdir().expect("folder");
    let beside = beside(dir.path(), None, None);
    let proposal = unsigned(Paper::Charter(Box::new(charter())));
    let bytes = signed(&proposal, &[officer(0), officer(2)]).envelope();
    for place in (0..bytes.len()).step_by(53) {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (place % 8);
        let read = Document::parse(Path::new("changed.dsse"), &changed);
        let counted = read.and_then(|copy| collect(&proposal, &[copy], &beside, "out".into()));
        assert!(counted.is_err(), "byte {place}");
    }
}

#[test]
fn a_profile_without_keys_is_noted() {
    let dir = tempfile::tempdir().expect("folder");
    let charter = signed(&unsigned(Paper::Charter(Box::new(charter()))), &[officer(0), officer(1)]);
    let beside = beside(dir.path(), None, Some(&charter));
    let said = |wire: proto::Profile| {
        let document = unsigned(Paper::Profile(Box::new(wire)));
        shown(&document, &beside, &Standing::of(&document, &beside).expect("holds so far"))
    };
    assert!(said(profile()).contains("NOTE: no directory is named"), "the keys of tests have no directory key");
    let bare = proto::Profile { keys: Vec::new(), nodes: Vec::new(), ..profile() };
    assert!(said(bare).contains("NOTE: no node, record, checkpoint, directory, seal is named"));
}

#[test]
fn minutes_have_the_fingerprint_and_no_invented_name() {
    let dir = tempfile::tempdir().expect("folder");
    let beside = beside(dir.path(), None, None);
    let document = signed(&unsigned(Paper::Charter(Box::new(charter()))), &[officer(0), officer(1)]);
    let standing = Standing::of(&document, &beside).expect("holds");
    let text = minutes(&document, &beside, &standing);
    assert!(text.contains(&document.id().to_string()) && text.contains("Place: ____"), "{text}");
    let spaced: Vec<&str> = text.split_whitespace().collect();
    let words = words::of(&document.id());
    let words: Vec<&str> = words.split(' ').collect();
    assert!(spaced.windows(24).any(|window| window == words), "{text}");
    assert!(text.contains(&Holder::of(officer(0).public()).mark()) && !text.contains(" \n"), "{text}");
    let object = shown_json(&document, &beside, &standing);
    assert_eq!((&object["outcome"], &object["kind"]), (&"complete".into(), &"charter".into()));
}

#[test]
fn a_fingerprint_is_read_in_digits_and_in_words() {
    let print = Digest::new([0xa5; 32]);
    for text in [print.to_string(), words::of(&print), format!("  {} ", words::of(&print).to_uppercase())] {
        assert_eq!(read_fingerprint(&text).ok(), Some(print), "{text}");
    }
    for wrong in ["", "a5", &words::of(&print).replacen(' ', " zoo ", 1)] {
        assert_eq!(read_fingerprint(wrong).map_err(|fault| fault.code()), Err("ceremony.no-fingerprint"));
    }
}
