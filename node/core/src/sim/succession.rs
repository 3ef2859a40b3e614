//! A ledger put back from an older copy goes on under another name: what its Party had recorded since is owed to it again or
//! given back, and the cases go on. Serves SPEC `[D-9]`.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{
    scenarios::{act, act_only, exchange, hand_over, open, quiet, state, work},
    *,
};
use crate::{
    founding::{
        sign_profile,
        tests::{payload, profile_bytes, root},
    },
    ids::{Digest, Origin},
    profile::{News, PROFILE_TYPE, document_id},
    proto::{self, KeyRole},
};

/// The profile of XA that names a second ledger, which begins with so many records of the first.
fn successor(size: u64, root_then: Digest) -> Vec<u8> {
    let first = payload(&profile_bytes("XA", "XA"));
    let previous = document_id(PROFILE_TYPE, &first).as_bytes().to_vec();
    let mut draft = proto::Profile { version: 2, previous, ..proto::Profile::decode(&first[..]).expect("decodes") };
    let origin = Origin::of(&founded::code("XA"), &founded::network(), 2).to_string();
    draft.ledgers.push(proto::Ledger { origin, size, root: root_then.as_bytes().to_vec() });
    sign_profile(&draft, &[&root("XA", KeyRole::Root)]).expect("signed")
}

/// XA is put back to how it was after so many records, and both learn of its next ledger.
fn restore(sim: &mut Sim, size: usize) {
    sim.now = sim.now.plus_ms(60_000);
    let kept = u64::try_from(size).expect("small");
    let profile = successor(kept, sim.nodes[0].root_at(kept));
    let now = sim.now;
    sim.nodes[0].restore(size, &profile, now);
    for (node, peer) in [(0, "XB"), (1, "XA")] {
        sim.nodes[node].link(&founded::code(peer), false);
        sim.nodes[node].link(&founded::code(peer), true);
    }
    exchange(sim, 0); // before XB knows of it
    sim.nodes[1].document(profile);
    exchange(sim, 1);
    let told = sim.nodes[1].documented.pop().expect("every document has an answer").1;
    assert_eq!(told, Ok(News::Profile(founded::code("XA"))));
    for _ in 0..4 {
        sim.now = sim.now.plus_ms(60_000); // beyond every wait
        sim.nodes.iter_mut().for_each(|node| node.tick());
        exchange(sim, 0);
        exchange(sim, 1);
    }
}

fn told_alike(sim: &Sim, request: &RequestId, expected: &str) {
    for node in 0..2 {
        assert_eq!(state(sim, node, request), expected, "node {node}");
        assert_eq!(
            sim.nodes[node].rebuilt().pairs(),
            sim.nodes[node].index.pairs(),
            "the index is what the ledger says"
        );
        assert!(sim.owes_nothing(&sim.nodes[node]), "node {node} owes nothing");
    }
    let stories: BTreeSet<String> = sim.nodes.iter().filter_map(|node| sim.story(node, request)).collect();
    assert_eq!(stories.len(), 1, "both tell one story: {stories:#?}");
}

/// [D-9]
#[test]
fn what_was_lost_is_owed_again_and_given_back() {
    let mut sim = quiet();
    let request = open(&mut sim);
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    let copy = sim.nodes[0].ledger().len();
    let lost = [
        act(&mut sim, 1, request, "preserve").expect("preserved"),
        act(&mut sim, 0, request, "note").expect("noted"),
        act(&mut sim, 1, request, "note").expect("noted"),
    ];
    restore(&mut sim, copy);
    for done in &lost {
        assert!(sim.nodes[0].index.seen(&done.event).expect("answers").is_some(), "it has come back");
    }
    told_alike(&sim, &request, "preserved");
    act(&mut sim, 0, request, "extend").expect("the case goes on");
    act(&mut sim, 1, request, "confirm-extension").expect("on both sides");
    told_alike(&sim, &request, &state(&sim, 0, &request));
}

/// [D-9]: a request of which nothing was left comes back from its first event on.
#[test]
fn a_request_that_was_lost_whole_comes_back() {
    let mut sim = quiet();
    let copy = sim.nodes[0].ledger().len();
    assert_eq!(copy, 0, "the copy was made before anything");
    // A ledger never begins with nothing of the one before.
    let first = open(&mut sim);
    let copy = sim.nodes[0].ledger().len();
    let request = RequestId::new([8; 16]);
    sim.requests.push(Request { id: request, opener: 0, other: 1 });
    act(&mut sim, 0, request, "request").expect("asked");
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    act(&mut sim, 0, request, "note").expect("noted");
    restore(&mut sim, copy);
    told_alike(&sim, &first, "requested");
    told_alike(&sim, &request, &state(&sim, 1, &request));
    act(&mut sim, 1, request, "preserve").expect("the case goes on");
    told_alike(&sim, &request, "preserved");
}

/// What was on its way when the copy was made is still of the ledger before, and delivered as such.
#[test]
fn what_was_owed_before_is_delivered_under_its_old_name() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let (done, frames) = act_only(&mut sim, 0, request, "note").expect("noted");
    drop(frames);
    let copy = sim.nodes[0].ledger().len();
    act(&mut sim, 1, request, "acknowledge").expect("taken up");
    restore(&mut sim, copy);
    assert!(sim.nodes[1].index.seen(&done.event).expect("answers").is_some());
    told_alike(&sim, &request, &state(&sim, 1, &request));
}

/// Slip numbers begin anew with a ledger, and none is missing.
#[test]
fn numbers_begin_anew() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let copy = sim.nodes[0].ledger().len();
    act(&mut sim, 0, request, "note").expect("noted");
    restore(&mut sim, copy);
    act(&mut sim, 0, request, "note").expect("noted");
    let both = [Lane::Emergency, Lane::Normal].map(|lane| {
        let sent = sim.nodes[0].index.last_number(&founded::code("XB"), lane, 2).expect("answers");
        let seen = sim.nodes[1].index.numbers(&founded::code("XA"), lane, 2).expect("answers");
        assert_eq!((seen.highest, seen.count), (sent, sent));
        sent
    });
    assert_eq!(both.iter().sum::<u64>(), 1);
}

/// Nothing comes back twice, and nothing of the ledger that is written now.
#[test]
fn what_is_here_is_answered_and_not_taken_again() {
    let mut sim = quiet();
    let request = open(&mut sim);
    let copy = sim.nodes[0].ledger().len();
    act(&mut sim, 0, request, "note").expect("noted");
    restore(&mut sim, copy);
    let size = sim.nodes[0].ledger().len();
    sim.nodes[1].crash(0, true);
    sim.nodes[1].link(&founded::code("XA"), true);
    let again = work(&mut sim, 1);
    hand_over(&mut sim, 1, &again);
    exchange(&mut sim, 0);
    assert_eq!(sim.nodes[0].ledger().len(), size, "it is answered by the same record");
}
