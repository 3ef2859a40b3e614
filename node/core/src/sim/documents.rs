//! Documents of charter and Parties in a running exchange: they count once they are on disk, once only, and for ever.

use prost::Message as _;

use super::{
    scenarios::{PLAN, work},
    *,
};
use crate::{
    engine::NotDone,
    founding::{
        sign, sign_profile,
        tests::{add_keys, code, payload, profile_bytes, root},
    },
    ids::{DAY_MS, Digest},
    profile::{News, PROFILE_TYPE, SUSPENSION_TYPE, document_id},
    proto::{self, KeyRole},
};

fn sim() -> Sim {
    let mut sim = Sim::new(1, PLAN);
    sim.faults = false;
    work(&mut sim, 0);
    sim
}

/// The next profile of XB, revoking nothing and naming one declaration, so that two of one number differ.
fn profile(version: u64, previous: &Digest, says: &str) -> Vec<u8> {
    let first = proto::Profile::decode(&payload(&profile_bytes("XB", "XB"))[..]).expect("decodes");
    let declaration = proto::Declaration { code: "TEST".into(), value: says.into() };
    let (previous, declarations) = (previous.as_bytes().to_vec(), vec![declaration]);
    let draft = proto::Profile { version, previous, declarations, ..first };
    sign_profile(&draft, &[&root("XB", KeyRole::Root)]).expect("signed")
}

fn id_of(envelope: &[u8]) -> Digest {
    document_id(PROFILE_TYPE, &payload(envelope))
}

fn hand_over(sim: &mut Sim, envelope: &[u8]) -> Result<News, NotDone> {
    sim.nodes[0].document(envelope.to_vec());
    work(sim, 0);
    sim.nodes[0].documented.pop().expect("every document has an answer").1
}

fn version(sim: &Sim) -> u64 {
    let trust = sim.nodes[0].engine.trust();
    trust.profile(&code("XB"), sim.now).map_or(0, |profile| profile.version)
}

#[test]
fn a_document_counts_once_on_disk_and_after_every_start() {
    let mut sim = sim();
    let two = profile(2, &id_of(&profile_bytes("XB", "XB")), "two");
    sim.nodes[0].disk_full = true;
    assert_eq!(hand_over(&mut sim, &two).map_err(|fault| fault.code), Err("store.disk-full"));
    assert_eq!((version(&sim), sim.nodes[0].ledger().len()), (1, 0), "what is not on disk does not count");
    sim.nodes[0].disk_full = false;
    assert_eq!(hand_over(&mut sim, &two), Ok(News::Profile(code("XB"))));
    assert_eq!(hand_over(&mut sim, &two), Ok(News::Known));
    let three = profile(3, &id_of(&two), "three");
    assert_eq!(hand_over(&mut sim, &three), Ok(News::Profile(code("XB"))));
    assert_eq!((version(&sim), sim.nodes[0].ledger().len()), (3, 2));
    for lose_index in [false, true] {
        sim.nodes[0].crash(0, lose_index);
        work(&mut sim, 0);
        assert_eq!(version(&sim), 3);
    }
    assert_eq!(hand_over(&mut sim, &two).map_err(|fault| fault.code), Err("profile.roll-back"));
}

/// [P-10]: two of one number are proof; one such proof of a Party is enough.
#[test]
fn a_fork_is_kept_once() {
    let mut sim = sim();
    let first = id_of(&profile_bytes("XB", "XB"));
    hand_over(&mut sim, &profile(2, &first, "one")).expect("news");
    for says in ["other", "a third"] {
        let forked = hand_over(&mut sim, &profile(2, &first, says));
        assert_eq!(forked.map_err(|fault| fault.code), Err("profile.fork"));
        assert_eq!(sim.nodes[0].ledger().len(), 2, "{says}");
    }
    let kept = sim.nodes[0].index.documents(crate::profile::Kind::Profile, Some(&code("XB")), 0, true);
    assert_eq!(kept.expect("answers").len(), 1);
    assert_eq!(version(&sim), 2);
}

/// [P-7]: from its suspension on nobody speaks for a Party, also after a start, until its threshold says otherwise.
#[test]
fn a_suspended_party_is_heard_again_by_its_next_profile() {
    let mut sim = sim();
    let stop = proto::Suspension {
        network: crate::founding::tests::network().to_string(),
        party: "XB".into(),
        issued_ms: sim.now.0 - DAY_MS,
        profile_version: 1,
        reason: "key.stolen".into(),
        profile: id_of(&profile_bytes("XB", "XB")).as_bytes().to_vec(),
    };
    let stop = sign(SUSPENSION_TYPE, stop.encode_to_vec(), &[&root("XB", KeyRole::Root)]).expect("signed");
    assert_eq!(hand_over(&mut sim, &stop), Ok(News::Suspended(code("XB"))));
    sim.nodes[0].crash(0, false);
    work(&mut sim, 0);
    assert_eq!(version(&sim), 0);
    hand_over(&mut sim, &profile(2, &id_of(&profile_bytes("XB", "XB")), "again")).expect("news");
    assert_eq!(version(&sim), 2);
}

/// [P-6]: who has promised to speak every day and was silent for fourteen is neither heard nor written to, until it speaks.
#[test]
fn a_silent_party_is_not_heard_until_it_speaks() {
    let mut sim = sim();
    let first = proto::Profile::decode(&payload(&profile_bytes("XB", "XB"))[..]).expect("decodes");
    let speaker = root("XB", KeyRole::Directory);
    let previous = id_of(&profile_bytes("XB", "XB")).as_bytes().to_vec();
    let mut draft = proto::Profile { version: 2, previous, ..first };
    add_keys(&mut draft, &speaker, sim.now.plus_ms(365 * DAY_MS));
    let profile = sign_profile(&draft, &[&root("XB", KeyRole::Root)]).expect("signed");
    hand_over(&mut sim, &profile).expect("news");
    let request = |sim: &mut Sim, id: u8| {
        let id = RequestId::new([id; 16]);
        sim.requests.push(Request { id, opener: 0, other: 1 });
        let command = sim.act(0, id, "request");
        sim.nodes[0].command(command);
        work(sim, 0);
        sim.nodes[0].replies.pop().expect("a reply").1.map_err(|fault| fault.code)
    };
    assert!(request(&mut sim, 1).is_ok());
    sim.now = sim.now.plus_ms(14 * DAY_MS);
    assert_eq!(request(&mut sim, 2).expect_err("frozen"), "profile.frozen");
    let head = proto::ProfileHead {
        network: draft.network.clone(),
        party: "XB".into(),
        issued_ms: sim.now.0,
        profile_version: 2,
        profile: id_of(&profile).as_bytes().to_vec(),
        ..proto::ProfileHead::default()
    };
    let head = sign(crate::profile::HEAD_TYPE, head.encode_to_vec(), &[&speaker]).expect("signed");
    let records = sim.nodes[0].ledger().len();
    assert!(matches!(hand_over(&mut sim, &head), Ok(News::Head(..))));
    assert_eq!(sim.nodes[0].ledger().len(), records, "a head is no record");
    assert!(request(&mut sim, 3).is_ok());
}
