//! Tests of mutual assistance: whole lives of a request, how its guards refuse, what holds at once.

use Side::{Requested as B, Requesting as A};

use super::*;
use crate::ids::{Digest, hex};
use crate::procedure::tests::{self, DAY, START, Sample, act_of, id, judged, refused, set};
use crate::procedure::{DeliveryState, Standing, next_steps, whose_turn};
use crate::proto::value;
use crate::rules::sample::shipped;

impl Sample for Assistance {
    const CODE: &'static str = "MLA-STORED";
    const PLAYS: usize = 1500;

    fn act(number: u8, side: Side, step: &str, parents: &[u8], about: u8) -> Act {
        let mut act = act_of::<Self>(number, side, step, parents);
        let code = |text: &str| value::Kind::Code(text.to_owned());
        match step {
            "postpone" => set(&mut act, "ground", code("P-INV")),
            "accept" => act.facts.retain(|fact| fact.key != "ground"),
            _ => {}
        }
        if act.facts.iter().any(|fact| fact.key == "delivery") {
            set(&mut act, "delivery", code(&hex(id(about).as_bytes())));
        }
        act
    }

    fn way_to(kind: Kind, step: Option<Step>) -> Vec<(Side, &'static str, u8)> {
        if let Some(more) = step.and_then(|step| way_for(kind, step)) {
            return then(&more);
        }
        match kind {
            Kind::Draft => vec![],
            Kind::Issued => ASKED[..1].to_vec(),
            Kind::ReturnedIncomplete => then(&[(B, "return-incomplete", 0)]),
            Kind::Forwarded => then(&[(B, "forward", 0)]),
            Kind::UnderReview => then(&[]),
            Kind::Consultation => then(&[(B, "consult", 0)]),
            Kind::ConditionsProposed => then(&[(B, "accept-with-conditions", 0)]),
            Kind::Accepted => then(&[(B, "accept", 0)]),
            Kind::Executing => then(&[(B, "accept", 0), (B, "begin-execution", 0)]),
            Kind::Suspended => then(&[(B, "accept", 0), (B, "deliver-part", 0), (B, "suspend", 0)]),
            Kind::PartiallyExecuted => then(&[(B, "accept", 0), (B, "deliver-part", 0)]),
            Kind::Delivered => then(&[(B, "accept", 0), (B, "deliver", 0)]),
            Kind::Disputed => then(&[(B, "accept", 0), (B, "deliver", 0), (A, "dispute", 4)]),
            Kind::Acknowledged => {
                then(&[(B, "accept", 0), (B, "deliver", 0), (A, "accept-terms", 4), (A, "take-custody", 4)])
            }
            Kind::Closed => then(&[
                (B, "accept", 0),
                (B, "deliver", 0),
                (A, "accept-terms", 4),
                (A, "take-custody", 4),
                (A, "close", 0),
            ]),
            Kind::NotExecuted => then(&[(B, "cannot-execute", 0)]),
            Kind::Refused => then(&[(B, "consult", 0), (A, "answer-consultation", 0), (B, "refuse", 0)]),
            Kind::Postponed => then(&[(B, "consult", 0), (B, "end-consultation", 0), (B, "postpone", 0)]),
            Kind::Withdrawn => then(&[(A, "withdraw", 0)]),
        }
    }

    fn state(standing: &Standing) -> &State {
        let crate::procedure::State::Assistance(state) = &standing.state else { panic!("no assistance") };
        state
    }

    fn fit(act: &mut Act, standing: &Standing) {
        let wanted = |delivery: &&Delivery| match act.step.as_str() {
            "redeliver" => delivery.is_disputed(),
            "accept-terms" => delivery.is_offered(),
            "take-custody" => delivery.is_accepted(),
            _ => delivery.is_open(),
        };
        if let Some(delivery) = standing.deliveries().iter().find(wanted)
            && act.facts.iter().any(|fact| fact.key == "delivery")
        {
            set(act, "delivery", value::Kind::Code(delivery.event.to_string()));
        }
    }

    fn is_rare(step: &str) -> bool {
        matches!(step, "withdraw" | "forward" | "cannot-execute" | "dispute" | "suspend")
    }
}

/// The way to a kind in which a step finds what it names, where the plain way does not lead to that.
fn way_for(kind: Kind, step: Step) -> Option<Vec<(Side, &'static str, u8)>> {
    let part = [(B, "accept", 0), (B, "deliver-part", 0)];
    let more: &[(Side, &str, u8)] = match (kind, step) {
        (Kind::UnderReview, Step::Refuse | Step::Postpone) => {
            return Some(vec![(B, "consult", 0), (A, "answer-consultation", 0)]);
        }
        (Kind::PartiallyExecuted, Step::Redeliver) => &[(A, "dispute", 4)],
        (Kind::PartiallyExecuted, Step::TakeCustody) => &[(A, "accept-terms", 4)],
        (Kind::Suspended, Step::TakeCustody) => &[(A, "accept-terms", 4), (B, "suspend", 0)],
        (Kind::Delivered, Step::TakeCustody) => &[(A, "accept-terms", 4), (B, "deliver", 0)],
        (Kind::Disputed, Step::AcceptTerms | Step::Dispute) => &[(B, "deliver", 0), (A, "dispute", 5)],
        (Kind::Disputed, Step::TakeCustody) => &[(A, "accept-terms", 4), (B, "deliver", 0), (A, "dispute", 6)],
        _ => return None,
    };
    Some([&part, more].concat())
}

/// An act of a request for assistance.
fn act(number: u8, side: Side, step: &str, parents: &[u8], about: u8) -> Act {
    Assistance::act(number, side, step, parents, about)
}

fn line(steps: &[(Side, &'static str, u8)]) -> Vec<Act> {
    tests::line::<Assistance>(steps)
}

fn thread_to(kind: Kind) -> Vec<Act> {
    tests::thread_to::<Assistance>(kind)
}

fn folded(acts: &[Act]) -> Standing {
    tests::folded::<Assistance>(acts)
}

const ASKED: [(Side, &str, u8); 2] = [(A, "request", 0), (B, "acknowledge", 0)];

fn then(more: &[(Side, &'static str, u8)]) -> Vec<(Side, &'static str, u8)> {
    [&ASKED[..], more].concat()
}

/// BC 27(6): consultation comes before refusal and postponement; a court needs none.
#[test]
fn nobody_is_refused_before_both_sides_consulted() {
    let reviewed = thread_to(Kind::UnderReview);
    refused::<Assistance>(&reviewed, &act(9, B, "refuse", &[2], 0), "procedure.guard", "BC 27(6)");
    refused::<Assistance>(&reviewed, &act(9, B, "postpone", &[2], 0), "procedure.guard", "BC 27(6)");
    let asked = thread_to(Kind::Consultation);
    refused::<Assistance>(&asked, &act(9, B, "refuse", &[3], 0), "procedure.wrong-state", "consultation");
    let suspended = thread_to(Kind::Suspended);
    assert_eq!(judged::<Assistance>(&suspended, &act(9, B, "refuse", &[5], 0)), Ok(()));
    let mut closed = act(9, B, "refuse", &[4], 0);
    set(&mut closed, "ground", value::Kind::Code("R-FISCAL".into()));
    let answered = line(&then(&[(B, "consult", 0), (A, "answer-consultation", 0)]));
    refused::<Assistance>(&answered, &closed, "procedure.guard", "no ground in MLA-STORED");
    let offered = |acts: &[Act]| next_steps(&folded(acts), B).iter().any(|row| row.step == "refuse");
    assert!(!offered(&reviewed) && offered(&answered));
}

/// BC 28: conditions bind once they are accepted; declined, the requested side decides again.
#[test]
fn conditions_bind_or_are_declined() {
    let proposed = thread_to(Kind::ConditionsProposed);
    let accepted = [proposed.clone(), vec![act(4, A, "accept-conditions", &[3], 0)]].concat();
    let standing = folded(&accepted);
    let file = Assistance::state(&standing).file().expect("live");
    assert_eq!((standing.name(), file.conditions.len()), ("accepted", 1));
    let declined = folded(&[proposed, vec![act(4, A, "decline-conditions", &[3], 0)]].concat());
    assert_eq!((declined.name(), whose_turn(&declined)), ("under_review", Some(B)));
    assert!(Assistance::state(&declined).file().expect("live").conditions.is_empty());
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
    let at = |count: usize| folded(&acts[..count]).name();
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
    let at = |count: usize| folded(&acts[..count]).name();
    assert_eq!([2, 3, 4].map(at), ["returned_incomplete", "issued", "under_review"]);
    assert_eq!([5, 7, 8, 9].map(at), ["consultation", "conditions_proposed", "accepted", "executing"]);
    assert_eq!([10, 12, 13].map(at), ["partially_executed"; 3]);
    assert_eq!([14, 16, 18, 19].map(at), ["delivered", "delivered", "acknowledged", "closed"]);
    let end = folded(&acts);
    let file = Assistance::state(&end).file().expect("live");
    assert!(file.consulted && end.set_aside.is_empty() && end.is_closed());
    assert_eq!((file.conditions.len(), file.issued), (1, acts[2].time));
    let custody = |by| DeliveryState::InCustody { event: id(by) };
    assert_eq!(states(&acts), [DeliveryState::Replaced { by: id(13) }, custody(16), custody(18)]);
}

#[test]
fn a_suspension_ends_where_it_began() {
    for kind in [Kind::Accepted, Kind::Executing, Kind::PartiallyExecuted] {
        let before = Assistance::way_to(kind, None);
        let acts = line(&[&before[..], &[(B, "suspend", 0), (B, "resume", 0)]].concat());
        assert_eq!(folded(&acts).name(), kind.name());
    }
}

#[test]
fn a_decision_in_part_names_an_open_ground() {
    let reviewed = thread_to(Kind::UnderReview);
    let accept = |scope: &str, ground: Option<&str>| {
        let mut act = act_of::<Assistance>(9, B, "accept", &[2]);
        set(&mut act, "accept.scope", value::Kind::Code(scope.into()));
        match ground {
            Some(code) => set(&mut act, "ground", value::Kind::Code(code.into())),
            None => act.facts.retain(|fact| fact.key != "ground"),
        }
        act
    };
    assert_eq!(judged::<Assistance>(&reviewed, &accept("whole", None)), Ok(()));
    assert_eq!(judged::<Assistance>(&reviewed, &accept("part", Some("R-MIN"))), Ok(()));
    refused::<Assistance>(&reviewed, &accept("part", None), "procedure.missing-fact", "say ground");
    refused::<Assistance>(&reviewed, &accept("part", Some("R-FISCAL")), "procedure.guard", "no ground in MLA-STORED");
}

#[test]
fn what_a_state_keeps_must_be_said() {
    let check = |known: &[Act], step: (Side, &str, u8), key: &str| {
        let last = known.last().map(|act| act.id.as_bytes()[0]).expect("a past");
        let mut act = act(99, step.0, step.1, &[last], step.2);
        act.facts.retain(|fact| !fact.key.starts_with(key));
        refused::<Assistance>(known, &act, "procedure.missing-fact", key);
    };
    check(&thread_to(Kind::UnderReview), (B, "consult", 0), "consult.about");
    check(&thread_to(Kind::UnderReview), (B, "accept-with-conditions", 0), "conditions");
    check(&thread_to(Kind::Delivered), (A, "dispute", 4), "dispute.reasons");
    let bound = line(&Assistance::way_to(Kind::PartiallyExecuted, Some(Step::TakeCustody)));
    for key in ["custody.manifest", "custody.items", "custody.bytes", "custody.record"] {
        check(&bound, (A, "take-custody", 4), key);
    }
    for key in ["item", "digest", "root", "size", "items", "bytes"] {
        let key = format!("manifest.{key}");
        for step in ["deliver", "deliver-part"] {
            check(&thread_to(Kind::Accepted), (B, step, 0), &key);
        }
        check(&thread_to(Kind::Disputed), (B, "redeliver", 4), &key);
    }
}

#[test]
fn custody_is_taken_only_of_what_was_accepted_and_verified() {
    let delivered = thread_to(Kind::Delivered);
    refused::<Assistance>(&delivered, &act(9, A, "take-custody", &[4], 4), "procedure.guard", "terms are accepted");
    let accepted = [delivered.clone(), vec![act(5, A, "accept-terms", &[4], 4)]].concat();
    assert_eq!(judged::<Assistance>(&accepted, &act(9, A, "take-custody", &[5], 4)), Ok(()));
    let mut other = act(9, A, "take-custody", &[5], 4);
    set(&mut other, "custody.manifest", value::Kind::Code(Digest::new([9; 32]).to_string()));
    refused::<Assistance>(&accepted, &other, "procedure.guard", "not the manifest");
    refused::<Assistance>(&accepted, &act(9, A, "accept-terms", &[5], 4), "procedure.guard", "terms wait");
    refused::<Assistance>(&accepted, &act(9, A, "take-custody", &[5], 3), "procedure.guard", "names no hand-over");
    refused::<Assistance>(
        &thread_to(Kind::Acknowledged),
        &act(9, A, "dispute", &[6], 4),
        "procedure.wrong-state",
        "acknowledged",
    );
    let mut bare = act(9, B, "deliver", &[3], 0);
    bare.facts.retain(|fact| fact.key != "manifest.root");
    refused::<Assistance>(&thread_to(Kind::Accepted), &bare, "procedure.missing-fact", "manifest.root");
    let mut torn = act(9, B, "deliver", &[3], 0);
    set(&mut torn, "manifest.size", value::Kind::Integer(-1));
    refused::<Assistance>(&thread_to(Kind::Accepted), &torn, "procedure.missing-fact", "manifest.size");
}

/// The asking and the asked side act after the same past, whichever id is lower; `true` if the former is set aside.
fn at_once(past: &[Act], asking: (&str, u8), asked: (&str, u8), expected: &str, aside: bool) {
    let last = past.last().map(|act| act.id.as_bytes()[0]).expect("a past");
    for (low, high) in [(30, 40), (40, 30)] {
        let one = vec![act(low, A, asking.0, &[last], asking.1)];
        let two = vec![act(high, B, asked.0, &[last], asked.1)];
        let aside: Vec<u8> = aside.then_some(low).into_iter().collect();
        tests::at_once::<Assistance>(past, one, two, expected, &aside);
    }
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let withdraw = ("withdraw", 0);
    let accepted = thread_to(Kind::Accepted);
    at_once(&accepted, withdraw, ("deliver", 0), "delivered", true);
    at_once(&accepted, withdraw, ("deliver-part", 0), "withdrawn", false);
    at_once(&accepted, withdraw, ("begin-execution", 0), "withdrawn", false);
    at_once(&accepted, withdraw, ("cannot-execute", 0), "not_executed", true);
    let reviewed = thread_to(Kind::UnderReview);
    at_once(&reviewed, withdraw, ("accept", 0), "withdrawn", false);
    at_once(&reviewed, withdraw, ("return-incomplete", 0), "withdrawn", false);
    at_once(&reviewed, withdraw, ("forward", 0), "forwarded", true);
    let consulted = line(&Assistance::way_to(Kind::UnderReview, Some(Step::Refuse)));
    at_once(&consulted, withdraw, ("refuse", 0), "withdrawn", false);
    at_once(&consulted, withdraw, ("postpone", 0), "withdrawn", false);
    let asked = thread_to(Kind::Consultation);
    at_once(&asked, ("answer-consultation", 0), ("end-consultation", 0), "under_review", true);
    at_once(&thread_to(Kind::Postponed), ("reconsider", 0), ("resume-review", 0), "under_review", true);
    at_once(&thread_to(Kind::Acknowledged), ("close", 0), ("close", 0), "closed", true);
}

#[test]
fn hand_overs_do_not_stand_in_each_others_way() {
    let part = thread_to(Kind::PartiallyExecuted);
    at_once(&part, ("accept-terms", 4), ("suspend", 0), "suspended", false);
    at_once(&part, ("accept-terms", 4), ("deliver", 0), "delivered", false);
    at_once(&part, ("dispute", 4), ("deliver", 0), "disputed", false);
    at_once(&part, ("dispute", 4), ("suspend", 0), "suspended", false);
    let bound = line(&Assistance::way_to(Kind::PartiallyExecuted, Some(Step::TakeCustody)));
    at_once(&bound, ("take-custody", 4), ("deliver", 0), "delivered", false);
    // The giver replaces one hand-over while the taker disputes the other, or is bound by its terms.
    let two = line(&Assistance::way_to(Kind::Disputed, Some(Step::Dispute)));
    at_once(&two, ("dispute", 4), ("redeliver", 5), "disputed", false);
    at_once(&two, ("accept-terms", 4), ("redeliver", 5), "delivered", false);
    // A court ended execution before the taker signed: what was handed over is no longer taken over.
    let stopped = line(&Assistance::way_to(Kind::Suspended, Some(Step::TakeCustody)));
    at_once(&stopped, ("take-custody", 4), ("refuse", 0), "refused", true);
    let suspended = thread_to(Kind::Suspended);
    at_once(&suspended, ("accept-terms", 4), ("refuse", 0), "refused", true);
    at_once(&suspended, ("dispute", 4), ("refuse", 0), "refused", true);
}

#[test]
fn targets_run_until_they_are_met() {
    let running = |acts: &[Act]| -> Vec<(String, u64)> {
        let clocks = crate::procedure::clocks(shipped(), &folded(acts), &Calendar::utc());
        clocks.iter().map(|clock| (clock.rule.to_string(), clock.due.since(START) / DAY)).collect()
    };
    let named = |rows: &[(&str, u64)]| rows.iter().map(|(rule, days)| ((*rule).to_owned(), *days)).collect::<Vec<_>>();
    // The thread begins just after midnight, and a period counts to the end of its last day.
    assert_eq!(running(&thread_to(Kind::Issued)), named(&[("D40-ACK", 3), ("D40-COMPLETE", 11)]));
    assert_eq!(running(&thread_to(Kind::UnderReview)), named(&[("D40-COMPLETE", 11), ("D40-STATUS", 61)]));
    assert_eq!(running(&thread_to(Kind::Executing)), named(&[("D40-STATUS", 61)]));
    let mut report = act(5, B, "status-report", &[4], 0);
    report.time = START.plus_ms(30 * DAY);
    let reported = [thread_to(Kind::Executing), vec![report]].concat();
    assert_eq!(running(&reported), named(&[("D40-STATUS", 90)]));
    // What was returned and completed is checked anew.
    let mut returned = thread_to(Kind::ReturnedIncomplete);
    assert_eq!(running(&returned), []);
    let mut complete = act(4, A, "complete", &[3], 0);
    complete.time = START.plus_ms(20 * DAY);
    returned.push(complete);
    assert_eq!(running(&returned), named(&[("D40-ACK", 22), ("D40-COMPLETE", 30)]));
    let mut taken_up = act(5, B, "acknowledge", &[4], 0);
    taken_up.time = START.plus_ms(21 * DAY);
    returned.push(taken_up);
    assert_eq!(running(&returned), named(&[("D40-COMPLETE", 30), ("D40-STATUS", 81)]));
    assert_eq!(running(&thread_to(Kind::Delivered)), []);
    assert_eq!(running(&thread_to(Kind::Closed)), []);
}
