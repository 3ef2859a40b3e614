//! Tests of preservation: how its guards refuse, what holds at once, when it lapses, which clocks run.

use super::play::{
    self, DAY, HOUR, SAMPLE, START, at_once as at_once_of, bound, code, plain, refused as refused_in, set, term,
};
use crate::clock::Reckoning;
use crate::procedure::*;
use crate::proto::value;
use crate::rules::sample::shipped;

const CODE: &str = "PRES";

/// An act of a preservation, every field of its form filled in as its guard demands.
fn act(number: u8, side: Side, step: &str, parents: &[u8]) -> Act {
    let mut act = plain(&code(CODE), number, side, step, parents);
    match step {
        "preserve" => set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY)),
        "extend" => set(&mut act, "extension.until", value::Kind::TimeMs(SAMPLE + 90 * DAY)),
        "confirm-extension" => {
            set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 100 * DAY));
            play::without(&mut act, "measure.renewed");
        }
        "refuse" => {
            set(&mut act, "ground", value::Kind::Code("R-POL".into()));
            play::without(&mut act, "ground.reservation");
        }
        _ => {}
    }
    act
}

fn rq(number: u8, step: &str, parents: &[u8]) -> Act {
    act(number, Side::Requesting, step, parents)
}

fn rd(number: u8, step: &str, parents: &[u8]) -> Act {
    act(number, Side::Requested, step, parents)
}

fn line(steps: &[(Side, &'static str)]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for (number, (side, step)) in (1u8..).zip(steps) {
        let parents: &[u8] = if number == 1 { &[] } else { &[number - 1] };
        let next = act(number, *side, step, parents);
        play::judged(&code(CODE), &acts, &next).unwrap_or_else(|refusal| panic!("{number} {step}: {refusal}"));
        acts.push(next);
    }
    acts
}

fn thread_to(state: &str) -> Vec<Act> {
    use Side::{Requested as B, Requesting as A};
    line(match state {
        "requested" => &[(A, "request")],
        "warned" => &[(A, "request"), (B, "warn-insufficient")],
        "preserved" => &[(A, "request"), (B, "preserve")],
        "extension_asked" => &[(A, "request"), (B, "preserve"), (A, "extend")],
        "followed_up" => &[(A, "request"), (B, "preserve"), (A, "follow-up")],
        "released" => &[(A, "request"), (B, "preserve"), (A, "release")],
        other => panic!("no way to {other}"),
    })
}

fn folded(acts: &[Act]) -> Standing {
    play::folded(&code(CODE), acts)
}

fn refused(known: &[Act], act: &Act, with: &str, saying: &str) {
    refused_in(CODE, known, act, with, saying);
}

fn at_once(common: &[Act], one: Vec<Act>, two: Vec<Act>, expected: &str, aside: &[u8]) {
    at_once_of(CODE, common, one, two, expected, aside);
}

fn reserved() -> Setting {
    Setting { reservations: BTreeSet::from([term("BC.29.4")]), ..bound() }
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let asked = thread_to("requested");
    let withdraw = |number| vec![rq(number, "withdraw", &[1])];
    // Ids on either side of each other, for the id must not decide.
    for (low, high) in [(10, 20), (20, 10)] {
        at_once(&asked, withdraw(low), vec![rd(high, "preserve", &[1])], "released", &[]);
        at_once(&asked, withdraw(low), vec![rd(high, "refuse", &[1])], "refused", &[low]);
        at_once(&asked, withdraw(low), vec![rd(high, "cannot-preserve", &[1])], "cannot_preserve", &[low]);
        at_once(&asked, withdraw(low), vec![rd(high, "acknowledge", &[1])], "withdrawn", &[]);
        at_once(&asked, withdraw(low), vec![rd(high, "warn-insufficient", &[1])], "withdrawn", &[]);
        let two = vec![rd(high, "acknowledge", &[1]), rd(high + 1, "preserve", &[high])];
        at_once(&asked, withdraw(low), two, "released", &[]);
    }
    let warned = thread_to("warned");
    at_once(&warned, vec![rq(10, "proceed", &[2])], vec![rd(20, "refuse", &[2])], "refused", &[10]);
    at_once(&warned, vec![rq(20, "proceed", &[2])], vec![rd(10, "cannot-preserve", &[2])], "cannot_preserve", &[20]);
    let preserved = thread_to("preserved");
    at_once(&preserved, vec![rq(10, "release", &[2])], vec![rd(20, "disclose-path", &[2])], "released", &[]);
    let longer = thread_to("extension_asked");
    at_once(&longer, vec![rq(10, "follow-up", &[3])], vec![rd(20, "confirm-extension", &[3])], "followed_up", &[]);
    at_once(&longer, vec![rq(10, "release", &[3])], vec![rd(20, "confirm-extension", &[3])], "released", &[]);
}

#[test]
fn guards_refuse_in_words() {
    let asked = thread_to("requested");
    let mut preserve = rd(9, "preserve", &[1]);
    set(&mut preserve, "measure.until", value::Kind::TimeMs(SAMPLE + 59 * DAY));
    refused(&asked, &preserve, "procedure.guard", "60 times a day (BC 29(7))");
    let signed = preserve.time.0;
    set(&mut preserve, "measure.taken", value::Kind::TimeMs(signed + 1));
    refused(&asked, &preserve, "procedure.guard", "after the signature");
    let mut request = rq(9, "request", &[]);
    set(&mut request, "reference.instrument", value::Kind::Code("ECE".into()));
    refused(&[], &request, "procedure.guard", "no basis");
    let insisted =
        line(&[(Side::Requesting, "request"), (Side::Requested, "warn-insufficient"), (Side::Requesting, "proceed")]);
    refused(&insisted, &rd(9, "warn-insufficient", &[3]), "procedure.guard", "bars");
    let mut extend = rq(9, "extend", &[2]);
    set(&mut extend, "extension.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused(&thread_to("preserved"), &extend, "procedure.guard", "asks-for-longer");
    let mut confirm = rd(9, "confirm-extension", &[3]);
    set(&mut confirm, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused(&thread_to("extension_asked"), &confirm, "procedure.guard", "ends-later");
    let mut late = rq(9, "follow-up", &[2]);
    late.time = Time(SAMPLE + 61 * DAY);
    refused(&thread_to("preserved"), &late, "procedure.guard", "lapsed");
}

#[test]
fn dual_criminality_needs_the_reservation_and_an_offence_outside_articles_2_to_11() {
    let check = |offence: &str, reservation: Option<&str>, setting: &Setting, expected: Option<&str>| {
        let mut asked = thread_to("requested");
        set(&mut asked[0], "offence.codes.00", value::Kind::Code(offence.into()));
        let mut refuse = plain(&code(CODE), 9, Side::Requested, "refuse", &[1]);
        set(&mut refuse, "ground", value::Kind::Code("R-DUAL".into()));
        match reservation {
            Some(code) => set(&mut refuse, "ground.reservation", value::Kind::Code(code.into())),
            None => refuse.facts.retain(|fact| fact.key != "ground.reservation"),
        }
        let verdict = permits(shipped(), &code(CODE), &asked, &refuse, setting);
        assert_eq!(verdict.err().map(|refusal| refusal.code()), expected, "{offence} {reservation:?}");
    };
    check("CC-12", Some("BC.29.4"), &reserved(), None);
    check("CC-14", Some("BC.29.4"), &reserved(), None);
    check("CC-12", Some("BC.29.4"), &bound(), Some("procedure.no-reservation"));
    check("CC-12", None, &reserved(), Some("procedure.guard"));
    check("CC-01", Some("BC.29.4"), &reserved(), Some("procedure.guard"));
    check("CC-10", Some("BC.29.4"), &reserved(), Some("procedure.guard"));
}

#[test]
fn a_ground_of_another_procedure_is_closed() {
    let mut refuse = rd(9, "refuse", &[1]);
    set(&mut refuse, "ground", value::Kind::Code("R-NEBIS".into()));
    refused(&thread_to("requested"), &refuse, "procedure.guard", "no ground in PRES");
}

#[test]
fn preservation_lapses_by_the_clock_alone() {
    let acts = thread_to("preserved");
    let at = |ms| fold(shipped(), &code(CODE), &acts, Time(ms)).expect("known");
    let until = SAMPLE + 61 * DAY;
    let (before, after) = (at(until - 1), at(until));
    assert_eq!((before.name(), after.name()), ("preserved", "lapsed"));
    assert_eq!((before.is_closed(), after.is_closed()), (false, true));
    assert_eq!((whose_turn(&before), whose_turn(&after)), (Some(Side::Requesting), None));
    let steps =
        |standing| next_steps(standing, Side::Requesting).iter().map(|open| open.step.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(&before),
        ["extend", "follow-up", "release", "withdraw", "note", "question", "urgency-change", "translation"]
    );
    assert_eq!(steps(&after), ["release", "withdraw", "note", "question", "urgency-change", "translation"]);
    let followed = fold(shipped(), &code(CODE), &thread_to("followed_up"), Time(until)).expect("known");
    assert_eq!(followed.name(), "followed_up");
}

#[test]
fn clocks_run_from_the_measure_and_anew_from_an_extension() {
    let running = |acts: &[Act]| -> Vec<(String, u64, u64)> {
        let clocks = clocks(shipped(), &folded(acts), &Reckoning::utc());
        clocks.iter().map(|c| (c.rule.to_string(), (c.started.0 - SAMPLE) / HOUR, (c.due.0 - SAMPLE) / DAY)).collect()
    };
    assert_eq!(running(&thread_to("requested")), []);
    assert_eq!(running(&thread_to("preserved")), [("D01".to_owned(), 0, 61)]);
    let longer = [thread_to("extension_asked"), vec![rd(4, "confirm-extension", &[3])]].concat();
    assert_eq!(running(&longer), [("D01".to_owned(), 5, 100), ("D02".to_owned(), 0, 90)]);
    assert_eq!(running(&thread_to("followed_up")), [("D02".to_owned(), 0, 90)]);
    assert_eq!(running(&thread_to("released")), []);
    let alerts = clocks(shipped(), &folded(&longer), &Reckoning::utc());
    assert_eq!(alerts[0].alerts(shipped().alerts(), START, Time(SAMPLE + 101 * DAY)).len(), 4);
}

#[test]
fn a_warning_is_offered_once() {
    use Side::{Requested as B, Requesting as A};
    let open = |steps: &[(Side, &'static str)]| {
        next_steps(&folded(&line(steps)), B).iter().any(|open| open.step == "warn-insufficient")
    };
    assert!(open(&[(A, "request"), (B, "acknowledge")]));
    assert!(!open(&[(A, "request"), (B, "warn-insufficient"), (A, "proceed")]));
}
