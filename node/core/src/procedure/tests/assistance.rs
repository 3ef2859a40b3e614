//! Tests of mutual assistance: whole lives of a request, how its guards refuse, what holds at once.

use Side::{Requested as B, Requesting as A};

use super::play::{self, DAY, START, code, folded as folded_of, id, plain, refused, set, without};
use crate::clock::Reckoning;
use crate::ids::{Digest, hex};
use crate::procedure::*;
use crate::proto::value;
use crate::rules::sample::shipped;

const CODE: &str = "MLA-STORED";

/// An act of a request for assistance: `about` is the act whose hand-over it names.
fn act(number: u8, side: Side, step: &str, parents: &[u8], about: u8) -> Act {
    let mut act = plain(&code(CODE), number, side, step, parents);
    let text = |text: &str| value::Kind::Code(text.to_owned());
    match step {
        "postpone" => set(&mut act, "ground", text("P-INV")),
        "accept" => without(&mut act, "ground"),
        _ => {}
    }
    if play::says(&act, "delivery") {
        set(&mut act, "delivery", text(&hex(id(about).as_bytes())));
    }
    act
}

fn line(steps: &[(Side, &'static str, u8)]) -> Vec<Act> {
    play::line(CODE, steps)
}

fn judged(known: &[Act], act: &Act) -> Result<(), Refusal> {
    play::judged(&code(CODE), known, act)
}

fn thread_to(state: &str) -> Vec<Act> {
    then_line(match state {
        "issued" => return line(&ASKED[..1]),
        "under_review" => &[],
        "consultation" => &[(B, "consult", 0)],
        "conditions_proposed" => &[(B, "accept-with-conditions", 0)],
        "accepted" => &[(B, "accept", 0)],
        "executing" => &[(B, "accept", 0), (B, "begin-execution", 0)],
        "partially_executed" => &[(B, "accept", 0), (B, "deliver-part", 0)],
        "suspended" => &[(B, "accept", 0), (B, "deliver-part", 0), (B, "suspend", 0)],
        "delivered" => &[(B, "accept", 0), (B, "deliver", 0)],
        "disputed" => &[(B, "accept", 0), (B, "deliver", 0), (A, "dispute", 4)],
        other => return play::thread_to(CODE, other),
    })
}

fn then_line(more: &[(Side, &'static str, u8)]) -> Vec<Act> {
    line(&then(more))
}

/// Both sides consulted, and nothing is decided.
fn consulted() -> Vec<Act> {
    then_line(&[(B, "consult", 0), (A, "answer-consultation", 0)])
}

/// A part was handed over, its terms accepted.
fn part_accepted(more: &[(Side, &'static str, u8)]) -> Vec<Act> {
    then_line(&[&[(B, "accept", 0), (B, "deliver-part", 0), (A, "accept-terms", 4)], more].concat())
}

fn folded(acts: &[Act]) -> Standing {
    folded_of(&code(CODE), acts)
}

const ASKED: [(Side, &str, u8); 2] = [(A, "request", 0), (B, "acknowledge", 0)];

fn then(more: &[(Side, &'static str, u8)]) -> Vec<(Side, &'static str, u8)> {
    [&ASKED[..], more].concat()
}

/// BC 27(6): consultation comes before refusal and postponement; a court needs none.
#[test]
fn nobody_is_refused_before_both_sides_consulted() {
    let reviewed = thread_to("under_review");
    refused(CODE, &reviewed, &act(9, B, "refuse", &[2], 0), "procedure.guard", "27(6)");
    refused(CODE, &reviewed, &act(9, B, "postpone", &[2], 0), "procedure.guard", "27(6)");
    let asked = thread_to("consultation");
    refused(CODE, &asked, &act(9, B, "refuse", &[3], 0), "procedure.wrong-state", "consultation");
    let suspended = thread_to("suspended");
    assert_eq!(judged(&suspended, &act(9, B, "refuse", &[5], 0)), Ok(()));
    let mut closed = act(9, B, "refuse", &[4], 0);
    set(&mut closed, "ground", value::Kind::Code("R-FISCAL".into()));
    let answered = consulted();
    refused(CODE, &answered, &closed, "procedure.guard", "no ground in MLA-STORED");
    let offered = |acts: &[Act]| next_steps(&folded(acts), B).iter().any(|open| open.step == "refuse");
    assert!(!offered(&reviewed) && offered(&answered));
}

/// BC 28: conditions bind once they are accepted; declined, the requested side decides again.
#[test]
fn conditions_bind_or_are_declined() {
    let proposed = thread_to("conditions_proposed");
    let accepted = [proposed.clone(), vec![act(4, A, "accept-conditions", &[3], 0)]].concat();
    let standing = folded(&accepted);
    assert_eq!((standing.name(), standing.course.codes("conditions").len()), ("accepted", 1));
    assert!(standing.course.taken("accept-conditions").is_some());
    let declined = folded(&[proposed, vec![act(4, A, "decline-conditions", &[3], 0)]].concat());
    assert_eq!((declined.name(), whose_turn(&declined)), ("under_review", Some(B)));
    assert!(declined.course.taken("accept-conditions").is_none());
}

fn states(acts: &[Act]) -> Vec<DeliveryState> {
    folded(acts).deliveries().iter().map(|delivery: &Delivery| delivery.state.clone()).collect()
}

#[test]
fn a_part_a_dispute_and_what_stands_in_its_place_all_come_into_custody() {
    let acts = line(&then(&[
        (B, "accept", 0),
        (B, "deliver-part", 0),  // 4
        (A, "accept-terms", 4),  // 5
        (A, "take-custody", 4),  // 6
        (B, "deliver", 0),       // 7
        (A, "accept-terms", 7),  // 8
        (A, "dispute", 7),       // 9
        (B, "redeliver", 7),     // 10
        (A, "accept-terms", 10), // 11
        (A, "take-custody", 10), // 12
        (B, "close", 0),
    ]));
    let at = |count: usize| folded(&acts[..count]).name().to_owned();
    assert_eq!(
        [4, 6, 7, 9, 10, 12, 13].map(at),
        ["partially_executed", "partially_executed", "delivered", "disputed", "delivered", "acknowledged", "closed",]
    );
    let custody = |by| DeliveryState::InCustody { event: id(by) };
    assert_eq!(states(&acts), [custody(6), DeliveryState::Replaced { by: id(10) }, custody(12)]);
}

/// A whole life: returned and completed, consulted about, bound by conditions, handed over in two parts, one of them
/// disputed and replaced, all of it in custody, closed.
#[test]
fn a_request_goes_all_the_way() {
    let acts = line(&[
        (A, "request", 0),
        (B, "return-incomplete", 0),
        (A, "complete", 0),
        (B, "acknowledge", 0),
        (B, "consult", 0), // 5
        (A, "answer-consultation", 0),
        (B, "accept-with-conditions", 0),
        (A, "accept-conditions", 0), // 8
        (B, "begin-execution", 0),
        (B, "deliver-part", 0), // 10
        (A, "accept-terms", 10),
        (A, "dispute", 10), // 12
        (B, "redeliver", 10),
        (B, "deliver", 0), // 14
        (A, "accept-terms", 13),
        (A, "take-custody", 13), // 16
        (A, "accept-terms", 14),
        (A, "take-custody", 14), // 18
        (A, "close", 0),
    ]);
    let at = |count: usize| folded(&acts[..count]).name().to_owned();
    assert_eq!([2, 3, 4].map(at), ["returned_incomplete", "issued", "under_review"]);
    assert_eq!([5, 7, 8, 9].map(at), ["consultation", "conditions_proposed", "accepted", "executing"]);
    assert_eq!([10, 12, 13].map(at), ["partially_executed"; 3]);
    assert_eq!([14, 16, 18, 19].map(at), ["delivered", "delivered", "acknowledged", "closed"]);
    let end = folded(&acts);
    assert!(end.set_aside.is_empty() && end.is_closed());
    let completed = end.course.taken("complete").map(|taken| taken.at);
    assert_eq!((end.course.codes("conditions").len(), completed), (1, Some(acts[2].time)));
    let custody = |by| DeliveryState::InCustody { event: id(by) };
    assert_eq!(states(&acts), [DeliveryState::Replaced { by: id(13) }, custody(16), custody(18)]);
}

#[test]
fn a_suspension_ends_where_it_began() {
    let check = |before: &[(Side, &'static str, u8)], state: &str| {
        let acts = then_line(&[before, &[(B, "suspend", 0), (B, "resume", 0)]].concat());
        assert_eq!(folded(&acts).name(), state);
    };
    check(&[(B, "accept", 0)], "accepted");
    check(&[(B, "accept", 0), (B, "begin-execution", 0)], "executing");
    check(&[(B, "accept", 0), (B, "deliver-part", 0)], "partially_executed");
}

#[test]
fn a_decision_in_part_names_an_open_ground() {
    let reviewed = thread_to("under_review");
    let accept = |scope: &str, ground: Option<&str>| {
        let mut act = plain(&code(CODE), 9, B, "accept", &[2]);
        set(&mut act, "accept.scope", value::Kind::Code(scope.into()));
        match ground {
            Some(code) => set(&mut act, "ground", value::Kind::Code(code.into())),
            None => act.facts.retain(|fact| fact.key != "ground"),
        }
        act
    };
    assert_eq!(judged(&reviewed, &accept("whole", None)), Ok(()));
    assert_eq!(judged(&reviewed, &accept("part", Some("R-MIN"))), Ok(()));
    refused(CODE, &reviewed, &accept("part", None), "procedure.missing-fact", "say ground");
    refused(CODE, &reviewed, &accept("part", Some("R-FISCAL")), "procedure.guard", "no ground in MLA-STORED");
}

#[test]
fn what_a_state_keeps_must_be_said() {
    let check = |known: &[Act], step: (Side, &str, u8), key: &str| {
        let last = known.last().map(|act| act.id.as_bytes()[0]).expect("a past");
        let mut act = act(99, step.0, step.1, &[last], step.2);
        act.facts.retain(|fact| !fact.key.starts_with(key));
        refused(CODE, known, &act, "procedure.missing-fact", key);
    };
    check(&thread_to("delivered"), (A, "dispute", 4), "dispute.reasons");
    let bound = part_accepted(&[]);
    for key in ["custody.manifest", "custody.items", "custody.bytes", "custody.record"] {
        check(&bound, (A, "take-custody", 4), key);
    }
    for key in ["item", "digest", "root", "size", "items", "bytes"] {
        let key = format!("manifest.{key}");
        for step in ["deliver", "deliver-part"] {
            check(&thread_to("accepted"), (B, step, 0), &key);
        }
        check(&thread_to("disputed"), (B, "redeliver", 4), &key);
    }
}

#[test]
fn custody_is_taken_only_of_what_was_accepted_and_verified() {
    let delivered = thread_to("delivered");
    refused(CODE, &delivered, &act(9, A, "take-custody", &[4], 4), "procedure.guard", "terms are accepted");
    let accepted = [delivered.clone(), vec![act(5, A, "accept-terms", &[4], 4)]].concat();
    assert_eq!(judged(&accepted, &act(9, A, "take-custody", &[5], 4)), Ok(()));
    let mut other = act(9, A, "take-custody", &[5], 4);
    set(&mut other, "custody.manifest", value::Kind::Code(Digest::new([9; 32]).to_string()));
    refused(CODE, &accepted, &other, "procedure.guard", "not the manifest");
    refused(CODE, &accepted, &act(9, A, "accept-terms", &[5], 4), "procedure.guard", "terms wait");
    refused(CODE, &accepted, &act(9, A, "take-custody", &[5], 3), "procedure.guard", "names no hand-over");
    refused(CODE, &thread_to("acknowledged"), &act(9, A, "dispute", &[6], 4), "procedure.wrong-state", "acknowledged");
    let mut bare = act(9, B, "deliver", &[3], 0);
    bare.facts.retain(|fact| fact.key != "manifest.root");
    refused(CODE, &thread_to("accepted"), &bare, "procedure.missing-fact", "manifest.root");
    let mut torn = act(9, B, "deliver", &[3], 0);
    set(&mut torn, "manifest.size", value::Kind::Integer(-1));
    refused(CODE, &thread_to("accepted"), &torn, "procedure.missing-fact", "manifest.size");
}

/// The asking and the asked side act after the same past, whichever id is lower; `true` if the former is set aside.
fn at_once(past: &[Act], asking: (&str, u8), asked: (&str, u8), expected: &str, aside: bool) {
    let last = past.last().map(|act| act.id.as_bytes()[0]).expect("a past");
    for (low, high) in [(30, 40), (40, 30)] {
        let one = vec![act(low, A, asking.0, &[last], asking.1)];
        let two = vec![act(high, B, asked.0, &[last], asked.1)];
        let aside: Vec<u8> = aside.then_some(low).into_iter().collect();
        play::at_once(CODE, past, one, two, expected, &aside);
    }
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let withdraw = ("withdraw", 0);
    let accepted = thread_to("accepted");
    at_once(&accepted, withdraw, ("deliver", 0), "delivered", true);
    at_once(&accepted, withdraw, ("deliver-part", 0), "withdrawn", false);
    at_once(&accepted, withdraw, ("begin-execution", 0), "withdrawn", false);
    at_once(&accepted, withdraw, ("cannot-execute", 0), "not_executed", true);
    let reviewed = thread_to("under_review");
    at_once(&reviewed, withdraw, ("accept", 0), "withdrawn", false);
    at_once(&reviewed, withdraw, ("return-incomplete", 0), "withdrawn", false);
    at_once(&reviewed, withdraw, ("forward", 0), "forwarded", true);
    let consulted = consulted();
    at_once(&consulted, withdraw, ("refuse", 0), "withdrawn", false);
    at_once(&consulted, withdraw, ("postpone", 0), "withdrawn", false);
    let asked = thread_to("consultation");
    at_once(&asked, ("answer-consultation", 0), ("end-consultation", 0), "under_review", true);
    at_once(&thread_to("postponed"), ("reconsider", 0), ("resume-review", 0), "under_review", true);
    at_once(&thread_to("acknowledged"), ("close", 0), ("close", 0), "closed", true);
}

#[test]
fn hand_overs_do_not_stand_in_each_others_way() {
    let part = thread_to("partially_executed");
    at_once(&part, ("accept-terms", 4), ("suspend", 0), "suspended", false);
    at_once(&part, ("accept-terms", 4), ("deliver", 0), "delivered", false);
    at_once(&part, ("dispute", 4), ("deliver", 0), "disputed", false);
    at_once(&part, ("dispute", 4), ("suspend", 0), "suspended", false);
    let bound = part_accepted(&[]);
    at_once(&bound, ("take-custody", 4), ("deliver", 0), "delivered", false);
    // The giver replaces one hand-over while the taker disputes the other, or is bound by its terms.
    let two = then_line(&[(B, "accept", 0), (B, "deliver-part", 0), (B, "deliver", 0), (A, "dispute", 5)]);
    at_once(&two, ("dispute", 4), ("redeliver", 5), "disputed", false);
    at_once(&two, ("accept-terms", 4), ("redeliver", 5), "delivered", false);
    // A court ended execution before the taker signed: what was handed over is no longer taken over.
    let stopped = part_accepted(&[(B, "suspend", 0)]);
    at_once(&stopped, ("take-custody", 4), ("refuse", 0), "refused", true);
    let suspended = thread_to("suspended");
    at_once(&suspended, ("accept-terms", 4), ("refuse", 0), "refused", true);
    at_once(&suspended, ("dispute", 4), ("refuse", 0), "refused", true);
}

#[test]
fn targets_run_until_they_are_met() {
    let running = |acts: &[Act]| -> Vec<(String, u64)> {
        let clocks = clocks(shipped(), &folded(acts), &Reckoning::utc());
        clocks.iter().map(|clock| (clock.rule.to_string(), clock.due.since(START) / DAY)).collect()
    };
    let named = |rows: &[(&str, u64)]| rows.iter().map(|(rule, days)| ((*rule).to_owned(), *days)).collect::<Vec<_>>();
    // The thread begins just after midnight, and a period counts to the end of its last day.
    assert_eq!(running(&thread_to("issued")), named(&[("D40-ACK", 3), ("D40-COMPLETE", 11)]));
    assert_eq!(running(&thread_to("under_review")), named(&[("D40-COMPLETE", 11), ("D40-STATUS", 61)]));
    assert_eq!(running(&thread_to("executing")), named(&[("D40-STATUS", 61)]));
    let mut report = act(5, B, "status-report", &[4], 0);
    report.time = START.plus_ms(30 * DAY);
    let reported = [thread_to("executing"), vec![report]].concat();
    assert_eq!(running(&reported), named(&[("D40-STATUS", 90)]));
    // What was returned and completed is checked anew.
    let mut returned = thread_to("returned_incomplete");
    assert_eq!(running(&returned), []);
    let mut complete = act(4, A, "complete", &[3], 0);
    complete.time = START.plus_ms(20 * DAY);
    returned.push(complete);
    assert_eq!(running(&returned), named(&[("D40-ACK", 22), ("D40-COMPLETE", 30)]));
    let mut taken_up = act(5, B, "acknowledge", &[4], 0);
    taken_up.time = START.plus_ms(21 * DAY);
    returned.push(taken_up);
    assert_eq!(running(&returned), named(&[("D40-COMPLETE", 30), ("D40-STATUS", 81)]));
    assert_eq!(running(&thread_to("delivered")), []);
    assert_eq!(running(&thread_to("closed")), []);
}
