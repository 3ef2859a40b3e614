//! Tests of preservation: how its guards refuse, what holds at once, when it lapses, which clocks run.

use super::*;
use crate::ids::Time;
use crate::procedure::tests::{self, DAY, HOUR, SAMPLE, START, Sample, act_of, at_once, refused, set};
use crate::procedure::{Setting, Standing, clocks, fold, next_steps, permits, whose_turn};
use crate::proto::value;
use crate::rules::{Code, sample::shipped};
use std::collections::BTreeSet;

impl Sample for Preservation {
    const CODE: &'static str = "PRES";
    const PLAYS: usize = 200;

    /// An act of a preservation, every field of its form filled in as its guard demands.
    fn act(number: u8, side: Side, step: &str, parents: &[u8], _: u8) -> Act {
        let mut act = act_of::<Self>(number, side, step, parents);
        match step {
            "preserve" => set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY)),
            "extend" => set(&mut act, "extension.until", value::Kind::TimeMs(SAMPLE + 90 * DAY)),
            "confirm-extension" => {
                set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 100 * DAY));
                act.facts.retain(|fact| fact.key != "measure.renewed");
            }
            _ => {}
        }
        act
    }

    fn way_to(kind: Kind, _: Option<Step>) -> Vec<(Side, &'static str, u8)> {
        use Side::{Requested as B, Requesting as A};
        let steps: &[(Side, &str)] = match kind {
            Kind::Draft => &[],
            Kind::Requested => &[(A, "request")],
            Kind::Acknowledged => &[(A, "request"), (B, "acknowledge")],
            Kind::Warned => &[(A, "request"), (B, "warn-insufficient")],
            Kind::Preserved => &[(A, "request"), (B, "preserve")],
            Kind::ExtensionAsked => &[(A, "request"), (B, "preserve"), (A, "extend")],
            Kind::FollowedUp => &[(A, "request"), (B, "preserve"), (A, "follow-up")],
            Kind::Refused => &[(A, "request"), (B, "refuse")],
            Kind::CannotPreserve => &[(A, "request"), (B, "cannot-preserve")],
            Kind::Released => &[(A, "request"), (B, "preserve"), (A, "release")],
            Kind::Withdrawn => &[(A, "request"), (A, "withdraw")],
        };
        steps.iter().map(|(side, step)| (*side, *step, 0)).collect()
    }

    fn state(standing: &Standing) -> &State {
        let crate::procedure::State::Preservation(state) = &standing.state else { panic!("no preservation") };
        state
    }

    fn fit(act: &mut Act, _: &Standing) {
        let wanted = match act.step.as_str() {
            "extend" => Some(("extension.until", 70)),
            "confirm-extension" => Some(("measure.until", 70)),
            "preserve" => Some(("measure.until", 61)),
            _ => None,
        };
        if let Some((key, days)) = wanted {
            let until = act.time.0 + days * DAY;
            set(act, key, value::Kind::TimeMs(until));
        }
    }

    fn is_rare(_: &str) -> bool {
        false
    }
}

fn rq(number: u8, step: &str, parents: &[u8]) -> Act {
    Preservation::act(number, Side::Requesting, step, parents, 0)
}

fn rd(number: u8, step: &str, parents: &[u8]) -> Act {
    Preservation::act(number, Side::Requested, step, parents, 0)
}

fn line(steps: &[(Side, &'static str)]) -> Vec<Act> {
    let steps: Vec<_> = steps.iter().map(|(side, step)| (*side, *step, 0)).collect();
    tests::line::<Preservation>(&steps)
}

fn thread_to(kind: Kind) -> Vec<Act> {
    tests::thread_to::<Preservation>(kind)
}

fn folded(acts: &[Act]) -> Standing {
    tests::folded::<Preservation>(acts)
}

fn reserved() -> Setting {
    Setting { reservations: BTreeSet::from([Code::parse("BC.29.4").expect("code")]) }
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let asked = thread_to(Kind::Requested);
    let withdraw = |number| vec![rq(number, "withdraw", &[1])];
    // Ids on either side of each other, for the id must not decide.
    for (low, high) in [(10, 20), (20, 10)] {
        at_once::<Preservation>(&asked, withdraw(low), vec![rd(high, "preserve", &[1])], "released", &[]);
        at_once::<Preservation>(&asked, withdraw(low), vec![rd(high, "refuse", &[1])], "refused", &[low]);
        at_once::<Preservation>(
            &asked,
            withdraw(low),
            vec![rd(high, "cannot-preserve", &[1])],
            "cannot_preserve",
            &[low],
        );
        at_once::<Preservation>(&asked, withdraw(low), vec![rd(high, "acknowledge", &[1])], "withdrawn", &[]);
        at_once::<Preservation>(&asked, withdraw(low), vec![rd(high, "warn-insufficient", &[1])], "withdrawn", &[]);
        let two = vec![rd(high, "acknowledge", &[1]), rd(high + 1, "preserve", &[high])];
        at_once::<Preservation>(&asked, withdraw(low), two, "released", &[]);
    }
    let warned = thread_to(Kind::Warned);
    at_once::<Preservation>(&warned, vec![rq(10, "proceed", &[2])], vec![rd(20, "refuse", &[2])], "refused", &[10]);
    at_once::<Preservation>(
        &warned,
        vec![rq(20, "proceed", &[2])],
        vec![rd(10, "cannot-preserve", &[2])],
        "cannot_preserve",
        &[20],
    );
    let preserved = thread_to(Kind::Preserved);
    at_once::<Preservation>(
        &preserved,
        vec![rq(10, "release", &[2])],
        vec![rd(20, "disclose-path", &[2])],
        "released",
        &[],
    );
    let longer = thread_to(Kind::ExtensionAsked);
    at_once::<Preservation>(
        &longer,
        vec![rq(10, "follow-up", &[3])],
        vec![rd(20, "confirm-extension", &[3])],
        "followed_up",
        &[],
    );
    at_once::<Preservation>(
        &longer,
        vec![rq(10, "release", &[3])],
        vec![rd(20, "confirm-extension", &[3])],
        "released",
        &[],
    );
}

#[test]
fn guards_refuse_in_words() {
    let asked = thread_to(Kind::Requested);
    let mut preserve = rd(9, "preserve", &[1]);
    set(&mut preserve, "measure.until", value::Kind::TimeMs(SAMPLE + 59 * DAY));
    refused::<Preservation>(&asked, &preserve, "procedure.guard", "60 times a day (BC 29(7))");
    let signed = preserve.time.0;
    set(&mut preserve, "measure.taken", value::Kind::TimeMs(signed + 1));
    refused::<Preservation>(&asked, &preserve, "procedure.guard", "after the signature");
    let mut request = rq(9, "request", &[]);
    set(&mut request, "reference.instrument", value::Kind::Code("ECE".into()));
    refused::<Preservation>(&[], &request, "procedure.guard", "no basis");
    let insisted =
        line(&[(Side::Requesting, "request"), (Side::Requested, "warn-insufficient"), (Side::Requesting, "proceed")]);
    refused::<Preservation>(&insisted, &rd(9, "warn-insufficient", &[3]), "procedure.guard", "warns-once");
    let mut extend = rq(9, "extend", &[2]);
    set(&mut extend, "extension.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused::<Preservation>(&thread_to(Kind::Preserved), &extend, "procedure.guard", "asks-for-longer");
    let mut confirm = rd(9, "confirm-extension", &[3]);
    set(&mut confirm, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused::<Preservation>(&thread_to(Kind::ExtensionAsked), &confirm, "procedure.guard", "ends-later");
    let mut late = rq(9, "follow-up", &[2]);
    late.time = Time(SAMPLE + 61 * DAY);
    refused::<Preservation>(&thread_to(Kind::Preserved), &late, "procedure.guard", "lapsed");
}

#[test]
fn dual_criminality_needs_the_reservation_and_an_offence_outside_articles_2_to_11() {
    let check = |offence: &str, reservation: Option<&str>, setting: &Setting, expected: Option<&str>| {
        let mut asked = thread_to(Kind::Requested);
        set(&mut asked[0], "offence.codes.00", value::Kind::Code(offence.into()));
        let mut refuse = rd(9, "refuse", &[1]);
        set(&mut refuse, "ground", value::Kind::Code("R-DUAL".into()));
        match reservation {
            Some(code) => set(&mut refuse, "ground.reservation", value::Kind::Code(code.into())),
            None => refuse.facts.retain(|fact| fact.key != "ground.reservation"),
        }
        let verdict = permits(shipped(), &tests::code::<Preservation>(), &asked, &refuse, setting);
        assert_eq!(verdict.err().map(|refusal| refusal.code()), expected, "{offence} {reservation:?}");
    };
    check("CC-12", Some("BC.29.4"), &reserved(), None);
    check("CC-14", Some("BC.29.4"), &reserved(), None);
    check("CC-12", Some("BC.29.4"), &Setting::default(), Some("procedure.no-reservation"));
    check("CC-12", None, &reserved(), Some("procedure.guard"));
    check("CC-01", Some("BC.29.4"), &reserved(), Some("procedure.guard"));
    check("CC-10", Some("BC.29.4"), &reserved(), Some("procedure.guard"));
}

#[test]
fn a_ground_of_another_procedure_is_closed() {
    let mut refuse = rd(9, "refuse", &[1]);
    set(&mut refuse, "ground", value::Kind::Code("R-NEBIS".into()));
    refused::<Preservation>(&thread_to(Kind::Requested), &refuse, "procedure.guard", "no ground in PRES");
}

#[test]
fn preservation_lapses_by_the_clock_alone() {
    let acts = thread_to(Kind::Preserved);
    let at = |ms| fold(shipped(), &tests::code::<Preservation>(), &acts, Time(ms)).expect("known");
    let until = SAMPLE + 61 * DAY;
    let (before, after) = (at(until - 1), at(until));
    assert_eq!((before.name(), after.name()), ("preserved", "lapsed"));
    assert_eq!((before.is_closed(), after.is_closed()), (false, true));
    assert_eq!((whose_turn(&before), whose_turn(&after)), (Some(Side::Requesting), None));
    let steps = |standing| next_steps(standing, Side::Requesting).iter().map(|row| row.step).collect::<Vec<_>>();
    assert_eq!(steps(&before), ["extend", "follow-up", "release", "withdraw", "note", "question", "urgency-change"]);
    assert_eq!(steps(&after), ["release", "withdraw", "note", "question", "urgency-change"]);
    let followed =
        fold(shipped(), &tests::code::<Preservation>(), &thread_to(Kind::FollowedUp), Time(until)).expect("known");
    assert_eq!(followed.name(), "followed_up");
}

#[test]
fn clocks_run_from_the_measure_and_anew_from_an_extension() {
    let running = |acts: &[Act]| -> Vec<(String, u64, u64)> {
        let clocks = clocks(shipped(), &folded(acts), &Calendar::utc());
        clocks.iter().map(|c| (c.rule.to_string(), (c.started.0 - SAMPLE) / HOUR, (c.due.0 - SAMPLE) / DAY)).collect()
    };
    assert_eq!(running(&thread_to(Kind::Requested)), []);
    assert_eq!(running(&thread_to(Kind::Preserved)), [("D01".to_owned(), 0, 61)]);
    let longer = [thread_to(Kind::ExtensionAsked), vec![rd(4, "confirm-extension", &[3])]].concat();
    assert_eq!(running(&longer), [("D01".to_owned(), 5, 100), ("D02".to_owned(), 0, 90)]);
    assert_eq!(running(&thread_to(Kind::FollowedUp)), [("D02".to_owned(), 0, 90)]);
    assert_eq!(running(&thread_to(Kind::Released)), []);
    let alerts = clocks(shipped(), &folded(&longer), &Calendar::utc());
    assert_eq!(alerts[0].alerts(shipped().alerts(), START, Time(SAMPLE + 101 * DAY)).len(), 4);
}

#[test]
fn a_warning_is_offered_once() {
    use Side::{Requested as B, Requesting as A};
    let open = |steps: &[(Side, &'static str)]| {
        next_steps(&folded(&line(steps)), B).iter().any(|row| row.step == "warn-insufficient")
    };
    assert!(open(&[(A, "request"), (B, "acknowledge")]));
    assert!(!open(&[(A, "request"), (B, "warn-insufficient"), (A, "proceed")]));
}
