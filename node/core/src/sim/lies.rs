//! Each kind of false frame told alone, without loss or delay: what an honest node says to it.
//!
//! ```text
//! XA (honest) --- XB (honest)
//!       \------- XC (hostile)
//! ```

use std::collections::BTreeSet;

use super::{
    scenarios::{PLAN, work},
    *,
};

const HONEST: usize = 0;
const HOSTILE: usize = 2;
/// Enough for every way in which a frame of a kind is spoiled.
const TRIES: usize = 80;

fn three() -> Sim {
    let mut sim = Sim::new(1, Plan { nodes: 3, hostile: true, ..PLAN });
    sim.faults = false;
    (0..3).for_each(|node| drop(work(&mut sim, node)));
    sim
}

/// The codes that so many false frames meet at an honest node, one after the other.
fn met(sim: &mut Sim, mut lie: impl FnMut(&mut Sim) -> Vec<(usize, Frame)>) -> BTreeSet<String> {
    let hostile = sim.nodes[HOSTILE].party.clone();
    for _ in 0..TRIES {
        sim.now = sim.now.plus_ms(1_000);
        for (to, frame) in lie(sim) {
            sim.nodes[to].receive(&hostile, &frame, Some(Trick::Sibling), sim.now);
            drop(work(sim, to));
        }
    }
    sim.check_always();
    let fates = sim.nodes.iter_mut().flat_map(|node| std::mem::take(&mut node.fates));
    fates.map(|(_, code)| code).collect()
}

/// Lies that meet these codes, and whatever else, while honest ledgers stay in order.
fn check(lie: impl FnMut(&mut Sim) -> Vec<(usize, Frame)>, expected: &[&str]) {
    let mut sim = three();
    let met = met(&mut sim, lie);
    assert!(expected.iter().all(|code| met.contains(*code)), "{expected:?}: {met:?}");
    for node in [HONEST, 1] {
        sim.check_lines(node);
        assert_eq!(sim.nodes[node].rebuilt().pairs(), sim.nodes[node].index.pairs());
    }
}

fn plain(frames: Vec<(usize, Frame, Trick)>) -> Vec<(usize, Frame)> {
    frames.into_iter().map(|(to, frame, _)| (to, frame)).collect()
}

/// SPEC `[D-4]`: of two siblings one is taken at most.
#[test]
fn of_two_siblings_one_is_taken() {
    check(|sim| plain(sim.siblings(HOSTILE, HONEST)), &["event.blind", "event.second-opening", "receipted"]);
}

#[test]
fn what_is_not_in_its_ledger_or_not_its_own_is_not_taken() {
    let mut sim = three();
    let met = met(&mut sim, |sim| {
        let frames = [sim.off_ledger(HOSTILE, HONEST), sim.impostor(HOSTILE, HONEST)];
        frames.map(|frame| (HONEST, frame)).into()
    });
    let expected = ["event.bad-header", "event.bad-signature", "event.not-in-ledger", "event.not-the-peer"];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(sim.nodes[HONEST].ledger().is_empty(), "nothing of it is recorded");
}

/// Old frames, to whom they were for and to others, change no ledger.
#[test]
fn what_was_said_before_changes_nothing() {
    let mut sim = three();
    let request = RequestId::new([7; 16]);
    sim.requests.push(Request { id: request, opener: HOSTILE, other: HONEST });
    let opening = sim.act(HOSTILE, request, "request");
    sim.nodes[HOSTILE].command(opening);
    let delivery = work(&mut sim, HOSTILE).remove(0).1;
    let hostile = sim.nodes[HOSTILE].party.clone();
    sim.nodes[HONEST].receive(&hostile, &delivery, None, sim.now);
    let receipt = work(&mut sim, HONEST).remove(0).1;
    drop(sim.twist(HOSTILE, HONEST, delivery));
    drop(sim.twist(HONEST, HOSTILE, receipt));
    let sizes = |sim: &Sim| sim.nodes.iter().map(|node| node.ledger().len()).collect::<Vec<_>>();
    let before = sizes(&sim);
    let mut tricks = BTreeSet::new();
    let met = met(&mut sim, |sim| {
        let to = sim.other_than(HOSTILE);
        let replayed = sim.replayed(to);
        tricks.extend(replayed.iter().map(|(_, _, trick)| *trick));
        replayed.map(|(to, frame, _)| (to, frame)).into_iter().collect()
    });
    assert_eq!(tricks, BTreeSet::from([Trick::Replayed, Trick::Misdirected]));
    let expected = ["event.bad-header", "event.not-for-us", "event.not-in-ledger", "receipted"];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(sizes(&sim), before, "nothing is recorded again");
}

/// A lie about an event that is owed to another Party ends no debt.
#[test]
fn nobody_answers_for_another() {
    let mut sim = three();
    let request = RequestId::new([7; 16]);
    let opening = sim.act(HONEST, request, "request");
    sim.nodes[HONEST].command(opening);
    drop(work(&mut sim, HONEST));
    assert!(!sim.owes_nothing(&sim.nodes[HONEST]));
    let lies = |sim: &mut Sim| {
        let frames = [sim.false_receipt(HOSTILE, HONEST), sim.false_answer(HOSTILE, HONEST)];
        frames.map(|frame| (HONEST, frame)).into()
    };
    let met = met(&mut sim, lies);
    assert!(met.contains("not awaited"), "whole lies reach the engine: {met:?}");
    assert!(!met.contains("taken as an answer"), "{met:?}");
    assert!(!sim.owes_nothing(&sim.nodes[HONEST]), "the debt to the other Party stands");
    assert_eq!(sim.nodes[HONEST].ledger().len(), 1);
}

/// Whatever is signed, the engine goes on: [`SimNode::turn`] demands it.
#[test]
fn absurd_contents_stop_nobody() {
    let mut sim = three();
    let met = met(&mut sim, |sim| {
        let header = sim.absurd_header(HOSTILE, HONEST);
        let body = sim.absurd_body(HOSTILE, HONEST);
        let slip = sim.bad_slip(HOSTILE, HONEST);
        [header, body, slip].map(|frame| (HONEST, frame)).into()
    });
    for code in ["event.bad-header", "event.bad-name", "event.bad-slip", "event.time-ahead", "form.incomplete"] {
        assert!(met.contains(code), "{code}: {met:?}");
    }
    sim.check_lines(HONEST);
}
