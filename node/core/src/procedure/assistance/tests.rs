//! Tests of mutual assistance: the table as a table, whole lives of a request, and properties over random threads.

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree as _};

use super::*;
use crate::{
    ids::{Digest, EventId, ProcedureCode, hex},
    procedure::{
        Delivery, DeliveryState, Family, Refusal, Setting, Standing, State as Any, common, fold, next_steps,
        order::Line,
        permits,
        tests::{DAY, HOUR, START, act_of, id, set},
        whose_turn,
    },
    proto::value,
    rules::sample::shipped,
};

use Side::{Requested as B, Requesting as A};

fn mla() -> ProcedureCode {
    ProcedureCode::parse("MLA-STORED").expect("code")
}

/// An act of a request for assistance; `about` is the hand-over it names, if its form names one.
fn act(number: u8, side: Side, step: &str, parents: &[u8], about: u8) -> Act {
    let mut act = act_of(&mla(), number, side, step, parents);
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

fn folded(acts: &[Act]) -> Standing {
    fold(shipped(), &mla(), acts, START).expect("known procedure")
}

fn judged(known: &[Act], act: &Act) -> Result<(), Refusal> {
    permits(shipped(), &mla(), known, act, &Setting::default())
}

/// A straight thread: each act follows the one before and must be lawful. A step may name a hand-over by the
/// number of its act.
fn line(steps: &[(Side, &str, u8)]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for (number, (side, step, about)) in (1u8..).zip(steps) {
        let parents: &[u8] = if number == 1 { &[] } else { &[number - 1] };
        let next = act(number, *side, step, parents, *about);
        judged(&acts, &next).unwrap_or_else(|refusal| panic!("{number} {step}: {refusal}"));
        acts.push(next);
    }
    acts
}

const ASKED: [(Side, &str, u8); 2] = [(A, "request", 0), (B, "acknowledge", 0)];

fn then(more: &[(Side, &'static str, u8)]) -> Vec<(Side, &'static str, u8)> {
    [&ASKED[..], more].concat()
}

/// A thread that ends in each kind.
fn thread_to(kind: Kind) -> Vec<Act> {
    let steps = match kind {
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
    };
    line(&steps)
}

fn state_of(standing: &Standing) -> &State {
    let Any::Assistance(state) = &standing.state else { panic!("no assistance") };
    state
}

fn refused(known: &[Act], act: &Act, code: &str, says: &str) {
    let refusal = judged(known, act).expect_err("a refusal");
    let text = refusal.to_string();
    assert!(text.starts_with(code) && text.contains(says), "{text}");
}

#[test]
fn every_step_from_every_state_does_what_the_table_says_and_nothing_else() {
    for kind in Kind::ALL {
        let acts = thread_to(*kind);
        assert_eq!(state_of(&folded(&acts)).kind(), *kind);
        for (step, side) in Step::ALL.iter().flat_map(|step| [(step, A), (step, B)]) {
            let parents: Vec<u8> = acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect();
            let next = act(99, side, step.code(), &parents, 4);
            let rows: Vec<_> =
                TABLE.iter().filter(|r| r.step == *step && r.row.side == side && r.from.contains(kind)).collect();
            assert!(rows.len() <= 1, "two rows for {kind:?} {step:?}");
            let verdict = judged(&acts, &next).map_err(|refusal| refusal.code());
            let Some(row) = rows.first() else {
                let code = verdict.expect_err("no row");
                assert!(matches!(code, "procedure.wrong-state" | "procedure.wrong-side"), "{kind:?} {step:?} {code}");
                continue;
            };
            let after = state_of(&folded(&[acts.clone(), vec![next]].concat())).kind();
            match (verdict, row.to) {
                // Some guards do not hold in a thread as short as this; they have tests of their own.
                (Err(code), _) => assert_eq!((code, row.guard == Guard::None), ("procedure.guard", false), "{step:?}"),
                (Ok(()), To::Stays) => assert_eq!(after, *kind, "{kind:?} {step:?}"),
                (Ok(()), To::Kind(to)) => assert_eq!(after, to, "{kind:?} {step:?}"),
                (Ok(()), To::Settled) => {
                    assert!(matches!(after, Kind::Delivered | Kind::Disputed | Kind::Acknowledged), "{step:?}");
                }
                (Ok(()), To::Resumed) => assert_eq!(after, Kind::PartiallyExecuted),
            }
        }
    }
}

/// BC 27(6): consultation comes before refusal and postponement; a court needs none.
#[test]
fn nobody_is_refused_before_both_sides_consulted() {
    let reviewed = thread_to(Kind::UnderReview);
    refused(&reviewed, &act(9, B, "refuse", &[2], 0), "procedure.guard", "BC 27(6)");
    refused(&reviewed, &act(9, B, "postpone", &[2], 0), "procedure.guard", "BC 27(6)");
    let asked = thread_to(Kind::Consultation);
    refused(&asked, &act(9, B, "refuse", &[3], 0), "procedure.wrong-state", "consultation");
    let suspended = thread_to(Kind::Suspended);
    assert_eq!(judged(&suspended, &act(9, B, "refuse", &[5], 0)), Ok(()));
    let mut closed = act(9, B, "refuse", &[4], 0);
    set(&mut closed, "ground", value::Kind::Code("R-FISCAL".into()));
    let answered = line(&then(&[(B, "consult", 0), (A, "answer-consultation", 0)]));
    refused(&answered, &closed, "procedure.guard", "no ground in MLA-STORED");
    let offered = |acts: &[Act]| next_steps(&folded(acts), B).iter().any(|row| row.step == "refuse");
    assert!(!offered(&reviewed) && offered(&answered));
}

/// BC 28: conditions bind once they are accepted; declined, the requested side decides again.
#[test]
fn conditions_bind_or_are_declined() {
    let proposed = thread_to(Kind::ConditionsProposed);
    let accepted = [proposed.clone(), vec![act(4, A, "accept-conditions", &[3], 0)]].concat();
    let standing = folded(&accepted);
    let file = state_of(&standing).file().expect("live");
    assert_eq!((standing.name(), file.conditions.len()), ("accepted", 1));
    let declined = folded(&[proposed, vec![act(4, A, "decline-conditions", &[3], 0)]].concat());
    assert_eq!((declined.name(), whose_turn(&declined)), ("under_review", Some(B)));
    assert!(state_of(&declined).file().expect("live").conditions.is_empty());
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

#[test]
fn custody_is_taken_only_of_what_was_accepted_and_verified() {
    let delivered = thread_to(Kind::Delivered);
    refused(&delivered, &act(9, A, "take-custody", &[4], 4), "procedure.guard", "terms are accepted");
    let accepted = [delivered.clone(), vec![act(5, A, "accept-terms", &[4], 4)]].concat();
    assert_eq!(judged(&accepted, &act(9, A, "take-custody", &[5], 4)), Ok(()));
    let mut other = act(9, A, "take-custody", &[5], 4);
    set(&mut other, "custody.manifest", value::Kind::Code(Digest::new([9; 32]).to_string()));
    refused(&accepted, &other, "procedure.guard", "not the manifest");
    refused(&accepted, &act(9, A, "accept-terms", &[5], 4), "procedure.guard", "terms wait");
    refused(&accepted, &act(9, A, "take-custody", &[5], 3), "procedure.guard", "names no hand-over");
    refused(&thread_to(Kind::Acknowledged), &act(9, A, "dispute", &[6], 4), "procedure.wrong-state", "acknowledged");
    let mut bare = act(9, B, "deliver", &[3], 0);
    bare.facts.retain(|fact| fact.key != "manifest.root");
    refused(&thread_to(Kind::Accepted), &bare, "procedure.missing-fact", "manifest.root");
    let mut torn = act(9, B, "deliver", &[3], 0);
    set(&mut torn, "manifest.size", value::Kind::Integer(-1));
    refused(&thread_to(Kind::Accepted), &torn, "procedure.missing-fact", "manifest.size");
}

/// Two branches from one act: both orders of arrival give `expected`, and so many acts are set aside.
fn at_once(common: &[Act], one: Act, two: Act, expected: &str, aside: &[u8]) {
    let forth = folded(&[common, &[one.clone(), two.clone()]].concat());
    let back = folded(&[&[two, one], common].concat());
    assert_eq!(forth, back);
    assert_eq!(forth.name(), expected);
    assert_eq!(forth.set_aside.iter().map(|a| a.id.as_bytes()[0]).collect::<Vec<_>>(), aside);
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    for (low, high) in [(10, 20), (20, 10)] {
        let accepted = thread_to(Kind::Accepted);
        let withdraw = |at| act(low, A, "withdraw", &[at], 0);
        at_once(&accepted, withdraw(3), act(high, B, "deliver", &[3], 0), "delivered", &[low]);
        at_once(&accepted, withdraw(3), act(high, B, "begin-execution", &[3], 0), "withdrawn", &[]);
        at_once(&accepted, withdraw(3), act(high, B, "cannot-execute", &[3], 0), "not_executed", &[low]);
        let part = thread_to(Kind::PartiallyExecuted);
        at_once(&part, act(low, A, "accept-terms", &[4], 4), act(high, B, "suspend", &[4], 0), "suspended", &[]);
        at_once(&part, act(low, A, "dispute", &[4], 4), act(high, B, "deliver", &[4], 0), "disputed", &[]);
        let asked = thread_to(Kind::Consultation);
        let answer = act(low, A, "answer-consultation", &[3], 0);
        at_once(&asked, answer, act(high, B, "end-consultation", &[3], 0), "under_review", &[low]);
        let done = thread_to(Kind::Acknowledged);
        at_once(&done, act(low, A, "close", &[6], 0), act(high, B, "close", &[6], 0), "closed", &[low]);
    }
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
    assert_eq!(running(&thread_to(Kind::Delivered)), []);
    assert_eq!(running(&thread_to(Kind::Closed)), []);
}

/// One move of a random play: which side, what it does (`None`: it learns all the other signed), and the id.
type Move = (bool, Option<u8>, u8);

fn moves() -> impl Strategy<Value = Vec<Move>> {
    proptest::collection::vec((any::<bool>(), proptest::option::weighted(0.8, any::<u8>()), any::<u8>()), 1..70)
}

/// Two honest sides that act and learn at random; every act is lawful from what its author had seen.
fn play(moves: &[Move]) -> Vec<Act> {
    let mut seen = [Vec::<Act>::new(), Vec::new()];
    for (number, (asks, step, name)) in moves.iter().enumerate() {
        let (own, side) = if *asks { (0, A) } else { (1, B) };
        let Some(choice) = step else {
            let news: Vec<Act> = seen[1 - own].iter().filter(|act| !seen[own].contains(act)).cloned().collect();
            seen[own].extend(news);
            continue;
        };
        let now = START.plus_ms(number as u64 * HOUR);
        let standing = fold(shipped(), &mla(), &seen[own], now).expect("known");
        let open: Vec<&str> = next_steps(&standing, side)
            .iter()
            .map(|row| row.step)
            .filter(|step| !common::ROWS.iter().any(|row| row.step == *step))
            // Ends and disputes come often enough without being chosen as often as anything else.
            .filter(|step| {
                let rare = matches!(*step, "withdraw" | "forward" | "cannot-execute" | "dispute" | "suspend");
                !rare || choice % 8 == 0
            })
            .collect();
        let Some(step) = open.get(usize::from(*choice) % open.len().max(1)) else { continue };
        let mut next = act(0, side, step, &[], 0);
        let mut bytes = [*name; 32];
        bytes[31] = u8::try_from(number).expect("few moves");
        (next.id, next.time, next.parents) = (EventId::new(bytes), now, standing.heads.clone());
        let wanted = |delivery: &&Delivery| match *step {
            "redeliver" => delivery.is_disputed(),
            "accept-terms" => delivery.is_offered(),
            "take-custody" => delivery.is_accepted(),
            _ => delivery.is_open(),
        };
        if let Some(delivery) = standing.deliveries().iter().find(wanted)
            && next.facts.iter().any(|fact| fact.key == "delivery")
        {
            set(&mut next, "delivery", value::Kind::Code(delivery.event.to_string()));
        }
        if judged(&seen[own], &next).is_ok() {
            seen[own].push(next);
        }
    }
    let [mut all, other] = seen;
    all.extend(other.into_iter().filter(|act| !all.iter().any(|known| known.id == act.id)).collect::<Vec<_>>());
    all
}

/// The states a thread passes through, each with the act that led there.
fn path(acts: &[Act]) -> Vec<(State, Option<&Act>)> {
    let (_, procedure) = Family::of(shipped(), &mla()).expect("known");
    let mut path = vec![(State::Draft, None)];
    for act in Line::of(acts, rank).acts {
        let (state, _) = path.last().expect("begins with a draft");
        if let Ok(next) = after(state, act, shipped(), procedure) {
            path.push((next, Some(act)));
        }
    }
    path
}

#[test]
fn random_plays_reach_every_kind() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut aside) = (BTreeSet::new(), 0);
    for _ in 0..1500 {
        let acts = play(&moves().new_tree(&mut runner).expect("a play").current());
        kinds.extend(path(&acts).into_iter().map(|(state, _)| state.kind()));
        aside += usize::from(!folded(&acts).set_aside.is_empty());
    }
    assert_eq!(kinds.len(), Kind::ALL.len(), "{kinds:?}");
    assert!(aside > 5, "{aside}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_order_of_arrival_does_not_matter(moves in moves(), order in any::<u64>()) {
        let acts = play(&moves);
        let mut shuffled = acts.clone();
        shuffled.sort_by_key(|act| {
            act.id.as_bytes().iter().fold(order, |mixed, byte| mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte))
        });
        prop_assert_eq!(folded(&acts), folded(&shuffled));
    }

    #[test]
    fn no_path_leaves_the_table(moves in moves()) {
        let acts = play(&moves);
        for pair in path(&acts).windows(2) {
            let ((from, _), (to, act)) = (&pair[0], &pair[1]);
            let act = act.expect("only the draft has none");
            let row = TABLE.iter().find(|row| {
                row.from.contains(&from.kind()) && row.row.step == act.step.as_str() && row.row.side == act.side
            });
            let fits = match row.map(|row| row.to) {
                None => false,
                Some(To::Stays) => to.kind() == from.kind(),
                Some(To::Kind(kind)) => to.kind() == kind,
                Some(To::Settled) => matches!(to.kind(), Kind::Delivered | Kind::Disputed | Kind::Acknowledged),
                Some(To::Resumed) => matches!(to.kind(), Kind::Accepted | Kind::Executing | Kind::PartiallyExecuted),
            };
            prop_assert!(fits, "{:?} {} {:?}", from.kind(), act.step, to.kind());
        }
    }

    #[test]
    fn no_lawful_act_of_the_requested_side_is_ever_set_aside(moves in moves()) {
        let acts = play(&moves);
        for aside in folded(&acts).set_aside {
            let act = acts.iter().find(|act| act.id == aside.id).expect("one of them");
            prop_assert_eq!(act.side, A, "{} {}", act.step, aside.refusal);
        }
    }
}
