//! Nodes that each have a network stack of their own: cables cut, routes dead in one direction or both, an
//! address that changes, a peer that was away. Where there may be no namespaces this is said aloud.
//!
//! ```text
//! arvia   belmar   corvia   dorvia   estria      five Parties, to and from Estria by IPv6
//!    \______ | _______ | _______ | _____/
//!                    bridge
//! ```

use crate::backlog::{Differences, Feed, Owed, Passed, owed, peer};
use crate::lan::Lan;
use crate::rig::{Federation, Node, now, tell, wait_until};
use crate::skip;
use crate::story::Case;

/// So many nodes, all linked; nothing if there may be no namespaces here.
fn housed(count: usize) -> Option<(Federation, Lan)> {
    let lan = Lan::of(count).map_err(|why| skip(&why)).ok()?;
    let mut federation = Federation::stopped(count);
    lan.house(&mut federation, (count == 5).then_some(4));
    federation.start();
    Some((federation, lan))
}

/// Whether a node has noticed by itself that a peer is silent.
fn is_silent(node: &Node, party: &str) -> bool {
    node.log().contains(&format!("peer down peer={party} why=\"net.silent\""))
}

/// Peers whose links went down at this node at any time, by its log.
fn lost_links(node: &Node, parties: &[&'static str]) -> Vec<&'static str> {
    let log = node.log();
    parties.iter().copied().filter(|party| log.contains(&format!("peer down peer={party} "))).collect()
}

#[track_caller]
fn all_verify(federation: &Federation) {
    for node in &federation.nodes {
        node.verifies();
    }
}

/// Corvia's cable is out: the others go on, what is owed stays, and arrives in order, each event once.
#[test]
fn a_cut_cable_costs_the_others_nothing() {
    let Some((federation, lan)) = housed(5) else { return };
    let [arvia, belmar, corvia, _, estria] = &federation.nodes[..] else { unreachable!("five") };
    for node in &federation.nodes {
        let status = node.look("/v1/status");
        let peers = status["peers"].as_array().expect("a list");
        assert!(peers.iter().all(|peer| peer["up"] == true && peer["hybrid"] == true), "{}: {status}", node.code);
    }
    assert!(peer(arvia, "XE")["address"].as_str().is_some_and(|at| at.starts_with("/ip6/fd77:")));

    lan.cable(2, false);
    let began = now();
    let from_arvia = Owed::record(arvia, "XC", 2, 3);
    let from_estria = Owed::record(estria, "XC", 1, 2);
    let from_corvia = Owed::record(corvia, "XA", 1, 2);
    let case = Case::new();
    case.complete(arvia, belmar);
    wait_until("everybody notices", || {
        let others = federation.nodes.iter().filter(|node| node.code != "XC");
        others.into_iter().all(|node| is_silent(node, "XC")) && corvia.links() == 0
    });
    tell(&format!("a cut cable was noticed by all after {} ms", now() - began));
    assert_eq!([owed(arvia, "XC"), owed(estria, "XC"), owed(corvia, "XA")], [Some(6), Some(2), Some(2)]);
    assert_eq!([0, 1, 3, 4].map(|place| federation.nodes[place].links()), [3; 4]);

    let began = now();
    lan.cable(2, true);
    federation.linked();
    wait_until("all is receipted", || {
        from_arvia.is_settled(arvia) && from_estria.is_settled(estria) && from_corvia.is_settled(corvia)
    });
    tell(&format!("all arrived {} ms after the cable was in again", now() - began));
    assert_eq!(from_arvia.differences(corvia), Differences::default());
    assert_eq!(from_estria.differences(corvia), Differences::default());
    assert_eq!(from_corvia.differences(arvia), Differences::default());
    let told = Feed::default().next(&federation.nodes[3]);
    assert!(told.iter().all(|event| event["kind"] == "roster-change"), "Dorvia was not concerned: {told:?}");
    for node in [arvia, belmar, &federation.nodes[3], estria] {
        assert_eq!(lost_links(node, &["XA", "XB", "XD", "XE"]), Vec::<&str>::new(), "{}", node.code);
    }
    all_verify(&federation);
}

/// From Arvia to Belmar nothing passes any more, between Corvia and Dorvia nothing either way.
#[test]
fn a_route_dead_one_way_or_both_is_noticed_and_comes_back() {
    let Some((federation, lan)) = housed(5) else { return };
    let [arvia, belmar, corvia, dorvia, estria] = &federation.nodes[..] else { unreachable!("five") };
    let ways = [(0, 1), (2, 3), (3, 2)];
    ways.iter().for_each(|(from, to)| lan.way(*from, *to, false));
    let began = now();
    let stuck = [Owed::record(arvia, "XB", 1, 2), Owed::record(dorvia, "XC", 1, 2)];
    wait_until("silence is noticed", || {
        let one_way = is_silent(arvia, "XB") || is_silent(belmar, "XA");
        one_way && is_silent(corvia, "XD") && is_silent(dorvia, "XC")
    });
    tell(&format!("dead routes were noticed after {} ms", now() - began));
    wait_until("the one-way link is down at both ends", || {
        peer(arvia, "XB")["up"] == false && peer(belmar, "XA")["up"] == false
    });
    let around = Owed::record(arvia, "XC", 1, 2);
    wait_until("other links work", || around.is_settled(arvia));
    assert_eq!([owed(arvia, "XB"), owed(dorvia, "XC")], [Some(2), Some(2)]);
    let all = ["XA", "XB", "XC", "XD", "XE"];
    let lost = [arvia, belmar, corvia, dorvia, estria].map(|node| lost_links(node, &all));
    assert_eq!(lost, [vec!["XB"], vec!["XA"], vec!["XD"], vec!["XC"], vec![]], "and no other link");

    let began = now();
    ways.iter().for_each(|(from, to)| lan.way(*from, *to, true));
    federation.linked();
    tell(&format!("linked again {} ms after the routes were back", now() - began));
    wait_until("all is receipted", || stuck[0].is_settled(arvia) && stuck[1].is_settled(dorvia));
    assert_eq!(stuck[0].differences(belmar), Differences::default());
    assert_eq!(stuck[1].differences(corvia).lost, 0);
    all_verify(&federation);
}

/// Deliveries for each event a peer was owed while it was away: one, and on a machine that is busy another for one
/// that waited too long for its parent.
const SENT_FOR_EACH_MAX: usize = 2;

/// Belmar moves to another address and is found there; then it is away while 200 events are recorded.
#[test]
fn a_peer_that_moved_or_was_away_is_found_and_given_what_it_is_owed() {
    let Some((mut federation, lan)) = housed(3) else { return };
    federation.nodes[1].stop();
    lan.readdress(1);
    let began = now();
    // It finds nobody itself: the others must come to it.
    let nowhere = ["XA", "XC"].map(|code| format!("COMITY_PEERS__{code}__ADDRESSES"));
    let nowhere = nowhere.each_ref().map(|name| (name.as_str(), "/ip4/10.77.0.250/tcp/9"));
    federation.nodes[1].start(&nowhere);
    assert!(federation.nodes[1].answers_or_ended(), "it starts");
    federation.linked();
    let at = peer(&federation.nodes[0], "XB")["address"].as_str().expect("an address").to_owned();
    assert_eq!(at, "/ip4/10.77.0.102/tcp/4810");
    tell(&format!("found at its new address after {} ms", now() - began));

    federation.nodes[1].stop();
    let owed = Owed::record(&federation.nodes[0], "XB", 8, 25);
    let [arvia, belmar, _] = &mut federation.nodes[..] else { unreachable!("three") };
    let passed = Passed::watch(arvia, belmar, &owed);
    tell(&passed.told());
    assert_eq!(passed.differences, Differences::default());
    assert!(passed.oldest < 64, "the oldest event is in the first window: {}", passed.told());
    assert!(passed.sent <= SENT_FOR_EACH_MAX * owed.count(), "no storm: {}", passed.told());
    all_verify(&federation);
}
