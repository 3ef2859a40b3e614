//! Tests of extradition, provisional arrest and surrender: whole lives, the documents, speciality, the clocks of arrest by the
//! second, what holds at once.

use Side::{Requested as B, Requesting as A};

use super::play::{self, DAY, SAMPLE, code, id, last, refused, set, set_all, term, without};
use crate::clock::Running;
use crate::procedure::*;
use crate::proto::value::Kind;
use crate::rules::sample::shipped;

const EXTR: &str = "EXTR";
const EAW: &str = "EAW";
const ARREST: &str = "PROV-ARR";

/// What an extradition of the tests rests on beside the European convention: nothing.
const ALONE: &[&str] = &[];

/// The documents a request under an instrument names, whatever the person.
fn documents(procedure: &str, instrument: &str) -> Vec<Code> {
    let basis = shipped().basis(&code(procedure), &term(instrument)).expect("a basis");
    basis.documents.iter().map(|document| document.code.clone()).collect()
}

/// The next act of a straight thread under the European convention on extradition with these protocols.
fn next(procedure: &str, acts: &[Act], side: Side, step: &str, protocols: &[&str]) -> Act {
    let number = u8::try_from(acts.len() + 1).expect("short threads");
    let mut act = play::next(&code(procedure), acts, number, side, step);
    if step.starts_with("request") {
        set(&mut act, "person.status", Kind::Code("accused".into()));
        without(&mut act, "sentence.");
        without(&mut act, "reference.protocols");
        if procedure != EAW {
            set(&mut act, "reference.instrument", Kind::Code("ECE".into()));
            let protocols: Vec<Code> = protocols.iter().map(|code| term(code)).collect();
            set_all(&mut act, "reference.protocols", &protocols);
        }
    }
    if play::says(&act, "documents.sent.00") && procedure != EAW {
        let wanted = play::folded(&code(procedure), acts).course.codes("documents.wanted");
        set_all(&mut act, "documents.sent", &[documents(procedure, "ECE"), wanted].concat());
    }
    act
}

/// A straight thread; each act must be lawful.
fn line(procedure: &str, steps: &[(Side, &str)], protocols: &[&str]) -> Vec<Act> {
    let mut acts = Vec::new();
    for (side, step) in steps {
        let act = next(procedure, &acts, *side, step, protocols);
        play::judged(&code(procedure), &acts, &act).unwrap_or_else(|refusal| panic!("{step}: {refusal}"));
        acts.push(act);
    }
    acts
}

fn state(procedure: &str, acts: &[Act]) -> String {
    play::folded(&code(procedure), acts).name().to_owned()
}

fn running(procedure: &str, acts: &[Act]) -> Vec<Running> {
    clocks(shipped(), &play::folded(&code(procedure), acts), &crate::clock::Reckoning::utc())
}

fn rules(procedure: &str, acts: &[Act]) -> Vec<String> {
    running(procedure, acts).iter().map(|clock| clock.rule.to_string()).collect()
}

/// The clock of a rule; it must run.
fn clock(procedure: &str, acts: &[Act], rule: &str) -> Running {
    running(procedure, acts).into_iter().find(|clock| clock.rule.as_str() == rule).unwrap_or_else(|| panic!("{rule}"))
}

/// From the request for arrest to the court's hearing.
const HEARD: [(Side, &str); 5] =
    [(A, "request-arrest"), (B, "arrest"), (A, "request"), (B, "confirm-documents"), (B, "open-hearing")];

fn heard_and(more: &[(Side, &'static str)]) -> Vec<Act> {
    line(EXTR, &[&HEARD[..], more].concat(), ALONE)
}

/// From the request to the decision that the person is handed over.
const GRANTED: [(Side, &str); 5] =
    [(A, "request"), (B, "confirm-documents"), (B, "open-hearing"), (B, "find-eligible"), (B, "grant")];

fn granted_and(more: &[(Side, &'static str)], protocols: &[&str]) -> Vec<Act> {
    line(EXTR, &[&GRANTED[..], more].concat(), protocols)
}

/// Arrested before the request, found eligible on appeal, granted by the executive for assurances, handed over, watched, closed.
#[test]
fn an_extradition_goes_all_the_way() {
    let acts = heard_and(&[
        (B, "find-not-eligible"),
        (B, "appeal"),
        (B, "find-eligible"), // 8
        (B, "refer-to-executive"),
        (B, "grant-with-conditions"), // 10
        (A, "accept-conditions"),
        (B, "fix-surrender"), // 12
        (A, "confirm-date"),
        (B, "surrender"),
        (A, "confirm-surrender"), // 15
        (A, "close"),
    ]);
    let at = |count: usize| state(EXTR, &acts[..count]);
    assert_eq!([1, 2, 3].map(at), ["provisional_arrest_requested", "arrested", "request_received"]);
    assert_eq!(
        [4, 5, 6, 7, 8].map(at),
        ["documents_complete", "eligibility_hearing", "not_eligible", "eligibility_hearing", "eligible"]
    );
    assert_eq!(
        [9, 10, 11, 12].map(at),
        ["executive_decision", "granted_with_conditions", "granted", "surrender_dated"]
    );
    assert_eq!([14, 15, 16].map(at), ["surrendered", "speciality_watch", "closed"]);
    let end = play::folded(&code(EXTR), &acts);
    assert!(end.set_aside.is_empty() && end.is_closed());
    let days = end.course.said("custody.days").map(|said| said.value.clone());
    assert_eq!(days, Some(Kind::Integer(0)));
}

/// Where the law knows no decision of the executive, what the court found is enough; where there is one, it may refuse.
#[test]
fn the_court_and_the_executive_refuse_apart() {
    let eligible = heard_and(&[(B, "find-eligible")]);
    let grant = next(EXTR, &eligible, B, "grant", ALONE);
    assert_eq!(play::judged(&code(EXTR), &eligible, &grant), Ok(()));
    let refuse = play::plain(&code(EXTR), 99, B, "refuse", &last(&eligible));
    refused(EXTR, &eligible, &refuse, "procedure.wrong-state", "eligible");
    let by_executive = heard_and(&[(B, "find-eligible"), (B, "refer-to-executive"), (B, "refuse")]);
    let by_court = heard_and(&[(B, "find-eligible"), (B, "appeal"), (B, "find-not-eligible")]);
    assert_eq!([by_executive, by_court].map(|acts| state(EXTR, &acts)), ["refused", "not_eligible"]);
    let actor = |step: &str| {
        let step = StepCode::parse(step).expect("code");
        actor_of(shipped(), &code(EXTR), &step, B).expect("known")
    };
    assert_eq!([actor("find-not-eligible"), actor("refuse")], [ActorKind::ReviewBody, ActorKind::Authority]);
}

#[test]
fn prosecution_takes_the_place_of_extradition_and_its_outcome_is_told() {
    let acts = heard_and(&[
        (B, "find-not-eligible"),
        (A, "ask-prosecution"),
        (B, "submit-prosecution"),
        (B, "report-prosecution"),
    ]);
    let at = |count: usize| state(EXTR, &acts[..count]);
    assert_eq!([7, 8, 9].map(at), ["prosecution_asked", "prosecution_instead", "prosecuted"]);
    let declined = heard_and(&[(B, "find-not-eligible"), (A, "ask-prosecution"), (B, "decline-prosecution")]);
    assert_eq!(state(EXTR, &declined), "not_eligible");
}

/// The third protocol: the person says what it wants within 10 days of arrest, 20 more to decide, 10 to hand over.
#[test]
fn consent_makes_it_short() {
    let steps = [
        (A, "request-arrest"),
        (B, "arrest"),
        (B, "record-consent"),
        (B, "grant"),
        (B, "fix-surrender"),
        (B, "surrender"),
        (A, "confirm-surrender"),
    ];
    let acts = line(EXTR, &steps, &["ECE-P3"]);
    let at = |count: usize| rules(EXTR, &acts[..count]);
    assert_eq!(at(2), ["X01", "X02", "X03"]);
    assert_eq!((at(3), at(4)), (vec!["X04".to_owned()], vec!["X05A".to_owned()]));
    assert_eq!(at(5), ["X05A", "X06A", "X06B"]);
    assert_eq!(state(EXTR, &acts), "speciality_watch");
    // Without the protocol none of them runs; with the convention of 1995 there are 20 days to hand over.
    assert_eq!(rules(EXTR, &line(EXTR, &steps[..3], ALONE)), Vec::<String>::new());
    assert_eq!(rules(EXTR, &line(EXTR, &steps[..4], &["EU-SIMPL"])), ["X05B"]);
    // Who does not consent is heard in the ordinary way, and who revokes goes back to where it was.
    let silent = line(EXTR, &[steps[0], steps[1], (B, "record-no-consent")], &["ECE-P3"]);
    assert_eq!((state(EXTR, &silent).as_str(), rules(EXTR, &silent)), ("arrested", vec!["X01".into(), "X02".into()]));
    let revoked = line(EXTR, &[steps[0], steps[1], steps[2], (B, "revoke-consent")], &["ECE-P3"]);
    assert_eq!((state(EXTR, &revoked).as_str(), rules(EXTR, &revoked)), ("arrested", vec!["X01".into(), "X02".into()]));
}

/// Days count to the end of the last one: day 18 and day 40 are over at the midnight after them, not a second before.
#[test]
fn provisional_arrest_ends_by_the_second() {
    let midnight = |days: u64| Time((SAMPLE / DAY + days + 1) * DAY);
    let second_before = |time: Time| Time(time.0 - 1000);
    for (procedure, request) in [(EXTR, "request-arrest"), (ARREST, "request")] {
        let acts = line(procedure, &[(A, request), (B, "arrest")], ALONE);
        for (rule, days, effect) in [("X01", 18, false), ("X02", 40, true)] {
            let clock = clock(procedure, &acts, rule);
            assert_eq!((clock.started, clock.due, clock.legal_effect), (Time(SAMPLE), midnight(days), effect));
            assert!(!clock.is_over(midnight(days - 1)) && !clock.is_over(second_before(midnight(days))), "{rule}");
            assert!(clock.is_over(midnight(days)), "{rule}");
        }
        // The end releases nobody by itself: it is shown, and a person acts.
        let late = fold(shipped(), &code(procedure), &acts, midnight(41)).expect("known");
        assert_eq!((late.name(), late.is_closed()), ("arrested", false));
        let steps = [(A, request), (B, "arrest"), (B, "release"), (B, "rearrest")];
        let again = line(procedure, &steps, ALONE);
        assert_eq!(rules(procedure, &again[..3]), Vec::<String>::new());
        assert_eq!(clock(procedure, &again, "X02").due, midnight(40));
    }
    let followed = line(ARREST, &[(A, "request"), (B, "arrest"), (A, "follow-up")], ALONE);
    assert_eq!((state(ARREST, &followed).as_str(), rules(ARREST, &followed)), ("followed_up", vec![]));
}

#[test]
fn a_request_without_its_documents_is_not_sent() {
    let check = |status: &str, absent: bool, lacking: &str, refused_for: Option<&str>| {
        let mut act = next(EXTR, &[], A, "request", ALONE);
        set(&mut act, "person.status", Kind::Code(status.into()));
        set(&mut act, "person.in-absentia", Kind::Flag(absent));
        let mut sent = documents(EXTR, "ECE");
        sent.retain(|code| code.as_str() != lacking);
        set_all(&mut act, "documents.sent", &sent);
        match refused_for {
            Some(why) => refused(EXTR, &[], &act, "procedure.guard", why),
            None => assert_eq!(play::judged(&code(EXTR), &[], &act), Ok(()), "{status} {lacking}"),
        }
    };
    check("accused", false, "none", None);
    check("accused", false, "text-of-law", Some("not accompanied by text-of-law"));
    check("accused", false, "sentence-served", None);
    check("convicted", false, "sentence-served", Some("sentence-served"));
    check("convicted", false, "in-absentia-particulars", None);
    check("convicted", true, "in-absentia-particulars", Some("in-absentia-particulars"));
    check("accused", false, "translation", None);
    let basis = shipped().basis(&code(EXTR), &term("ECE")).expect("a basis");
    let person = crate::law::Person { convicted: true, in_absentia: false };
    let (must, should) = crate::law::lacking(basis, person, &[term("text-of-law"), term("statement-of-offences")], &[]);
    let names = |documents: Vec<&crate::rules::Document>| documents.iter().map(|row| row.code.to_string()).collect();
    let (must, should): (Vec<String>, Vec<String>) = (names(must), names(should));
    assert_eq!(must, ["conviction-or-warrant", "description-of-person", "sentence-served"]);
    assert_eq!(should, ["translation"]);
}

/// What the requested side asks for has its time, and the answer is whole or not taken.
#[test]
fn what_was_asked_for_is_added() {
    let mut acts = line(EXTR, &[(A, "request")], ALONE);
    let mut ask = next(EXTR, &acts, B, "ask-supplement", ALONE);
    set_all(&mut ask, "documents.wanted", &[term("supplementary-information")]);
    set(&mut ask, "supplement.by", Kind::TimeMs(SAMPLE + 12 * DAY));
    acts.push(ask);
    assert_eq!(state(EXTR, &acts), "documents_asked");
    assert_eq!(clock(EXTR, &acts, "X-SUPPLEMENT").due, Time(SAMPLE + 12 * DAY));
    let mut supplement = next(EXTR, &acts, A, "supplement", ALONE);
    set_all(&mut supplement, "documents.sent", &documents(EXTR, "ECE"));
    refused(EXTR, &acts, &supplement, "procedure.guard", "not accompanied by supplementary-information");
    let all = [documents(EXTR, "ECE"), vec![term("supplementary-information")]].concat();
    set_all(&mut supplement, "documents.sent", &all);
    assert_eq!(play::judged(&code(EXTR), &acts, &supplement), Ok(()));
    acts.push(supplement);
    assert_eq!(state(EXTR, &acts), "request_received");
    acts.push(next(EXTR, &acts, B, "confirm-documents", ALONE));
    assert_eq!(state(EXTR, &acts), "documents_complete");
}

/// A charge like the one the person was surrendered for, but for these offences and acts.
fn charge(acts: &[Act], codes: &[&str], same_acts: bool) -> Act {
    let mut act = next(EXTR, acts, A, "charge", ALONE);
    set_all(&mut act, "charge.codes", &codes.iter().map(|code| term(code)).collect::<Vec<_>>());
    set(&mut act, "charge.same-acts", Kind::Flag(same_acts));
    act
}

fn watched(protocols: &[&str]) -> Vec<Act> {
    granted_and(&[(B, "fix-surrender"), (B, "surrender"), (A, "confirm-surrender")], protocols)
}

#[test]
fn speciality_bars_a_charge_until_it_is_consented_to() {
    let mut acts = watched(&["ECE-P4"]);
    assert_eq!(play::judged(&code(EXTR), &acts, &charge(&acts, &["CC-01"], true)), Ok(()));
    refused(EXTR, &acts, &charge(&acts, &["CC-01"], false), "procedure.guard", "no consent covers it");
    refused(EXTR, &acts, &charge(&acts, &["CC-01", "CC-07"], true), "procedure.guard", "CC-01, CC-07");
    acts.push(next(EXTR, &acts, A, "ask-consent", ALONE));
    assert_eq!(rules(EXTR, &acts), ["X10-P4"]);
    refused(EXTR, &acts, &charge(&acts, &["CC-07"], false), "procedure.guard", "consent");
    let not = [acts.clone(), vec![next(EXTR, &acts, B, "refuse-consent", ALONE)]].concat();
    refused(EXTR, &not, &charge(&not, &["CC-07"], false), "procedure.guard", "consent");
    let mut consent = next(EXTR, &acts, B, "give-consent", ALONE);
    set_all(&mut consent, "speciality.consented", &[term("CC-07")]);
    acts.push(consent);
    assert_eq!((state(EXTR, &acts).as_str(), rules(EXTR, &acts)), ("speciality_watch", vec![]));
    assert_eq!(play::judged(&code(EXTR), &acts, &charge(&acts, &["CC-07"], false)), Ok(()));
    refused(EXTR, &acts, &charge(&acts, &["CC-08"], true), "procedure.guard", "CC-08");
}

/// 45 days under the convention, 30 under its fourth protocol, to the end of the last day wherever that ends.
#[test]
fn speciality_ends_for_whom_stays_or_comes_back() {
    let check = |protocols: &[&str], days: u64| {
        let mut acts = watched(protocols);
        let mut discharge = next(EXTR, &acts, A, "report-discharge", ALONE);
        set(&mut discharge, "speciality.returned", Kind::Flag(false));
        acts.push(discharge);
        let mut charge = charge(&acts, &["CC-08"], false);
        charge.time = Time(SAMPLE + days * DAY);
        refused(EXTR, &acts, &charge, "procedure.guard", "CC-08");
        charge.time = Time(SAMPLE + (days + 2) * DAY);
        assert_eq!(play::judged(&code(EXTR), &acts, &charge), Ok(()));
    };
    check(ALONE, 45);
    check(&["ECE-P4"], 30);
    let acts = watched(ALONE);
    let back = [acts.clone(), vec![next(EXTR, &acts, A, "report-discharge", ALONE)]].concat();
    assert_eq!(play::judged(&code(EXTR), &back, &charge(&back, &["CC-08"], false)), Ok(()));
}

#[test]
fn who_is_not_taken_over_is_released_or_dated_anew() {
    let acts = granted_and(&[(B, "fix-surrender"), (B, "report-not-taken-up")], ALONE);
    assert_eq!(rules(EXTR, &acts), ["X06A", "X06B"]);
    let (may, must) = (clock(EXTR, &acts, "X06A"), clock(EXTR, &acts, "X06B"));
    let days = |clock: &Running| clock.due.0 / DAY - SAMPLE / DAY - 1;
    assert_eq!([(days(&may), may.legal_effect), (days(&must), must.legal_effect)], [(15, false), (30, true)]);
    let more = |steps: &[(Side, &'static str)]| {
        let steps = [&[(B, "fix-surrender"), (B, "report-not-taken-up")], steps].concat();
        state(EXTR, &granted_and(&steps, ALONE))
    };
    assert_eq!(more(&[(B, "release")]), "not_taken_up");
    assert_eq!(more(&[(B, "release"), (B, "end-untaken")]), "surrender_lapsed");
    assert_eq!(more(&[(A, "report-obstacle")]), "granted");
    assert_eq!(more(&[(A, "report-obstacle"), (B, "fix-surrender"), (B, "surrender")]), "surrendered");
}

#[test]
fn surrender_waits_or_is_for_a_time() {
    let steps = [(B, "defer"), (B, "surrender-temporarily"), (A, "return-person"), (B, "fix-surrender")];
    let acts = granted_and(&steps, ALONE);
    let at = |count: usize| state(EXTR, &acts[..count]);
    assert_eq!([6, 7, 8, 9].map(at), ["deferred", "temporarily_surrendered", "returned", "surrender_dated"]);
    assert_eq!(rules(EXTR, &acts[..7]), ["X-RETURN"]);
    let ill = granted_and(&[(B, "postpone-humanitarian"), (B, "fix-surrender")], ALONE);
    assert_eq!(state(EXTR, &ill), "surrender_dated");
    let stopped = granted_and(&[(B, "fix-surrender"), (B, "suspend"), (B, "resume")], ALONE);
    assert_eq!(state(EXTR, &stopped), "surrender_dated");
}

#[test]
fn what_bars_a_request_is_said() {
    let asked = |change: &dyn Fn(&mut Act)| {
        let mut act = next(EXTR, &[], A, "request", ALONE);
        set(&mut act, "penalty.life", Kind::Flag(false));
        change(&mut act);
        act
    };
    let months = |key: &'static str, months: i64| move |act: &mut Act| set(act, key, Kind::Integer(months));
    for key in ["penalty.most-months", "penalty.requested-months"] {
        refused(EXTR, &[], &asked(&months(key, 11)), "procedure.guard", "in both States of at least 12 months, not 11");
        assert_eq!(play::judged(&code(EXTR), &[], &asked(&months(key, 12))), Ok(()));
    }
    let mut short = play::next(&code(EXTR), &[], 1, A, "request");
    set(&mut short, "reference.instrument", Kind::Code("ECE".into()));
    set(&mut short, "sentence.months", Kind::Integer(3));
    refused(EXTR, &[], &short, "procedure.guard", "a sentence of at least 4 months, not 3");
    // The protocols a request rests on bind both Parties, and so does the instrument of a request that follows an arrest.
    let alone = Setting { in_force: BTreeSet::from([term("ECE")]), ..Setting::default() };
    let judged = |acts: &[Act], act: &Act| {
        permits(shipped(), &code(EXTR), acts, act, &alone).err().map(|refusal| refusal.code())
    };
    assert_eq!(judged(&[], &asked(&|_| ())), None);
    let protocol = next(EXTR, &[], A, "request", &["ECE-P3"]);
    assert_eq!(judged(&[], &protocol), Some("procedure.not-in-force"));
    let arrested = line(EXTR, &[(A, "request-arrest"), (B, "arrest")], ALONE);
    let mut other = next(EXTR, &arrested, A, "request", ALONE);
    assert_eq!(judged(&arrested, &other), None);
    set(&mut other, "reference.instrument", Kind::Code("BC".into()));
    assert_eq!(judged(&arrested, &other), Some("procedure.not-in-force"));
}

#[test]
fn a_protocol_or_a_missing_reservation_closes_a_ground() {
    let check = |ground: &str, protocols: &[&str], expected: Option<&str>| {
        let acts = line(EXTR, &[(A, "request")], protocols);
        let mut refuse = next(EXTR, &acts, B, "refuse", ALONE);
        set(&mut refuse, "ground", Kind::Code(ground.into()));
        match expected {
            Some(why) => refused(EXTR, &acts, &refuse, "procedure.guard", why),
            None => assert_eq!(play::judged(&code(EXTR), &acts, &refuse), Ok(())),
        }
    };
    check("R-TAX", ALONE, None);
    check("R-TAX", &["ECE-P2"], Some("closed where ECE-P2 applies"));
    check("R-MIL", &["ECE-P2"], None);
    check("R-HUM", ALONE, Some("ECE.1.HUM"));
    check("R-ORD", ALONE, Some("no ground in EXTR"));
}

/// A warrant: consent gives 10 days, no consent 60 and 30 more with reasons; then 10 to hand over, and anew after an obstacle.
#[test]
fn a_warrant_goes_all_the_way() {
    let days = |acts: &[Act], rule: &str, since: u64| (clock(EAW, acts, rule).due.0 - since) / DAY;
    let steps = [
        (A, "request"),
        (B, "arrest"),
        (B, "record-consent"),
        (B, "grant"),
        (B, "fix-surrender"),
        (A, "report-obstacle"),
        (B, "fix-surrender"),
        (B, "surrender"),
        (A, "confirm-surrender"),
        (A, "ask-consent"),
        (B, "give-consent"),
        (A, "charge"),
        (A, "close"),
    ];
    let acts = line(EAW, &steps, ALONE);
    let at = |count: usize| state(EAW, &acts[..count]);
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(at),
        ["issued", "arrested", "simplified", "granted", "surrender_dated", "granted"]
    );
    assert_eq!(
        [8, 9, 10, 11, 13].map(at),
        ["surrendered", "speciality_watch", "speciality_consent_asked", "speciality_watch", "closed"]
    );
    let rules = |count: usize| rules(EAW, &acts[..count]);
    assert_eq!([2, 3, 4, 6, 10].map(rules), [["X08"], ["X07"], ["X09"], ["X09"], ["X10"]]);
    assert_eq!(days(&acts[..3], "X07", SAMPLE), 10);
    assert_eq!(clock(EAW, &acts[..6], "X09").started, acts[5].time);
    let mut late = line(EAW, &[(A, "request"), (B, "arrest"), (B, "open-hearing")], ALONE);
    assert_eq!(days(&late, "X08", SAMPLE), 60);
    late.push(next(EAW, &late, B, "explain-delay", ALONE));
    assert_eq!(days(&late, "X08", SAMPLE), 90);
    let refused_twice = [
        (A, "request"),
        (B, "arrest"),
        (B, "open-hearing"),
        (B, "refuse"),
        (B, "appeal"),
        (B, "refuse"),
        (B, "take-over"),
    ];
    assert_eq!(state(EAW, &line(EAW, &refused_twice, ALONE)), "taken_over");
    assert!(
        !shipped().family(&code(EAW)).expect("offered").knows(&StepCode::parse("refer-to-executive").expect("code"))
    );
    let arrested = line(EAW, &[(A, "request"), (B, "arrest")], ALONE);
    let mut political = next(EAW, &arrested, B, "refuse", ALONE);
    set(&mut political, "ground", Kind::Code("R-POL".into()));
    refused(EAW, &arrested, &political, "procedure.guard", "no ground in EAW");
}

/// Both sides act after the same past, whichever id is lower; `true` if the act of the asking side is set aside.
fn at_once(past: &[Act], asking: &str, asked: &str, expected: &str, aside: bool) {
    for (low, high) in [(200, 210), (210, 200)] {
        let named = |number: u8, side: Side, step: &str| {
            let mut act = next(EXTR, past, side, step, ALONE);
            act.id = id(number);
            vec![act]
        };
        let aside: Vec<u8> = aside.then_some(low).into_iter().collect();
        play::at_once(EXTR, past, named(low, A, asking), named(high, B, asked), expected, &aside);
    }
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let arrested = line(EXTR, &[(A, "request-arrest"), (B, "arrest")], ALONE);
    at_once(&arrested, "request", "release", "request_received", false);
    at_once(&arrested, "request", "record-consent", "simplified", true);
    at_once(&arrested, "withdraw", "release", "withdrawn", false);
    let eligible = heard_and(&[(B, "find-eligible")]);
    at_once(&eligible, "withdraw", "grant", "withdrawn", false);
    let executive = heard_and(&[(B, "find-eligible"), (B, "refer-to-executive")]);
    at_once(&executive, "withdraw", "refuse", "refused", true);
    at_once(&executive, "supplement", "grant", "granted", true);
    at_once(&heard_and(&[]), "withdraw", "find-not-eligible", "not_eligible", true);
    let dated = granted_and(&[(B, "fix-surrender")], ALONE);
    at_once(&dated, "withdraw", "surrender", "surrendered", true);
    at_once(&dated, "report-obstacle", "surrender", "surrendered", true);
    at_once(&dated, "report-obstacle", "report-not-taken-up", "granted", false);
    at_once(&dated, "report-obstacle", "report-obstacle", "granted", true);
    let untaken = granted_and(&[(B, "fix-surrender"), (B, "report-not-taken-up")], ALONE);
    at_once(&untaken, "report-obstacle", "end-untaken", "surrender_lapsed", true);
    let asked = line(EXTR, &[(A, "request"), (B, "ask-supplement")], ALONE);
    at_once(&asked, "supplement", "end-waiting", "request_received", false);
}
