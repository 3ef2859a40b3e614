//! Tests of what the Second Additional Protocol adds, and of the small procedures: which requests an instrument carries, which
//! declarations close it, which clocks run, and that what is offered under conditions waits for them.

use Side::{Requested as B, Requesting as A};

use super::play::{self, HOUR, START, code, folded, id, next, plain, refused, set, term, without};
use crate::procedure::*;
use crate::proto::value::Kind;
use crate::rules::sample::shipped;

fn text(code: &str) -> Kind {
    Kind::Code(code.into())
}

/// The opening of a request for these categories of data.
fn opening(procedure: &str, categories: &[&str]) -> Act {
    let mut act = next(&code(procedure), &[], 1, A, "request");
    let mut fact = act.facts.iter().find(|fact| fact.key == "data.categories.00").expect("categories").clone();
    without(&mut act, "data.categories");
    for (place, category) in categories.iter().enumerate() {
        fact.key = format!("data.categories.{place:02}");
        fact.value = Some(crate::proto::Value { kind: Some(text(category)) });
        act.facts.push(fact.clone());
    }
    act
}

fn asked(procedure: &str, categories: &[&str], declared: &[&str]) -> Result<(), &'static str> {
    let reservations = declared.iter().map(|code| term(code)).collect();
    let setting = Setting { reservations, ..play::bound() };
    let act = opening(procedure, categories);
    permits(shipped(), &code(procedure), &[], &act, &setting).map_err(|refusal| refusal.code())
}

#[test]
fn a_declaration_closes_what_it_says_and_no_more() {
    let closed = Err("procedure.closed-by-declaration");
    assert_eq!(asked("GIVE-EFFECT", &["subscriber", "traffic"], &[]), Ok(()));
    assert_eq!(asked("GIVE-EFFECT", &["subscriber"], &["2AP.8.traffic"]), Ok(()));
    assert_eq!(asked("GIVE-EFFECT", &["traffic"], &["2AP.8.traffic"]), closed);
    assert_eq!(asked("GIVE-EFFECT", &["subscriber", "traffic"], &["2AP.8.traffic"]), closed);
    // Article 9(1)b is about requests for subscriber information alone.
    assert_eq!(asked("EMERG-DISC", &["subscriber"], &[]), Ok(()));
    assert_eq!(asked("EMERG-DISC", &["subscriber"], &["2AP.9.1b"]), closed);
    assert_eq!(asked("EMERG-DISC", &["subscriber", "content"], &["2AP.9.1b"]), Ok(()));
    assert_eq!(asked("EMERG-DISC", &["content"], &["2AP.9.1b"]), Ok(()));
    assert_eq!(asked("EMERG-DISC", &["subscriber"], &["2AP.8.traffic"]), Ok(()));
}

#[test]
fn an_order_is_given_effect_for_subscriber_information_and_traffic_data_alone() {
    refused("GIVE-EFFECT", &[], &opening("GIVE-EFFECT", &["content"]), "procedure.guard", "does not reach content");
}

#[test]
fn emergencies_are_of_life_or_safety() {
    for procedure in ["EMERG-MLA", "EMERG-DISC"] {
        let act = next(&code(procedure), &[], 1, A, "request");
        assert_eq!(play::judged(&code(procedure), &[], &act), Ok(()));
        let mut other = act.clone();
        set(&mut other, "urgency.basis", text("critical-infrastructure"));
        refused(procedure, &[], &other, "procedure.guard", "for emergencies only");
        let mut none = act;
        without(&mut none, "urgency.basis");
        refused(procedure, &[], &none, "procedure.guard", "for emergencies only");
    }
}

/// UNCC 35: evidence of another serious crime is one of four years or more; offences of the convention are under none.
#[test]
fn a_crime_outside_the_convention_must_be_serious() {
    let mut act = next(&code("MLA-GEN"), &[], 1, A, "request");
    set(&mut act, "reference.instrument", text("UNCC"));
    set(&mut act, "penalty.life", Kind::Flag(false));
    set(&mut act, "penalty.most-months", Kind::Integer(47));
    assert_eq!(play::judged(&code("MLA-GEN"), &[], &act), Ok(()), "CC-01");
    set(&mut act, "offence.codes.00", text("CC-90"));
    refused("MLA-GEN", &[], &act, "procedure.guard", "at least 48 months");
    set(&mut act, "penalty.most-months", Kind::Integer(48));
    assert_eq!(play::judged(&code("MLA-GEN"), &[], &act), Ok(()));
}

/// The 1959 Convention opens dual criminality only to a Party that reserved it, and has no ground the file does not name.
#[test]
fn a_ground_by_reservation_is_named_with_it() {
    let mut acts = vec![next(&code("MLA-GEN"), &[], 1, A, "request")];
    set(&mut acts[0], "reference.instrument", text("ETS30"));
    for (number, (side, step)) in (2..).zip([(B, "acknowledge"), (B, "consult"), (A, "answer-consultation")]) {
        acts.push(next(&code("MLA-GEN"), &acts, number, side, step));
    }
    let refuse = |ground: &str, reservation: Option<&str>| {
        let mut act = plain(&code("MLA-GEN"), 9, B, "refuse", &[4]);
        set(&mut act, "ground", text(ground));
        match reservation {
            Some(code) => set(&mut act, "ground.reservation", text(code)),
            None => without(&mut act, "ground.reservation"),
        }
        act
    };
    assert_eq!(play::judged(&code("MLA-GEN"), &acts, &refuse("R-ORD", None)), Ok(()));
    refused("MLA-GEN", &acts, &refuse("R-DUAL", None), "procedure.guard", "ETS30.5.1a");
    let named = refuse("R-DUAL", Some("ETS30.5.1a"));
    refused("MLA-GEN", &acts, &named, "procedure.no-reservation", "ETS30.5.1a");
    let reserved = Setting { reservations: [term("ETS30.5.1a")].into(), ..play::bound() };
    assert_eq!(permits(shipped(), &code("MLA-GEN"), &acts, &named, &reserved), Ok(()));
    refused("MLA-GEN", &acts, &refuse("R-DISC", None), "procedure.guard", "no ground in MLA-GEN");
}

fn running(procedure: &str, acts: &[Act]) -> Vec<(String, u64)> {
    let clocks = clocks(shipped(), &folded(&code(procedure), acts), &crate::clock::Reckoning::utc());
    clocks.iter().map(|clock| (clock.rule.to_string(), clock.due.since(START) / HOUR)).collect()
}

fn rules_of(running: &[(String, u64)]) -> Vec<&str> {
    running.iter().map(|(rule, _)| rule.as_str()).collect()
}

/// 2AP 8(6): one period to serve the provider, and from then on one for it to answer, by what is sought.
#[test]
fn the_clocks_of_an_order_change_with_its_service() {
    let check = |categories: &[&str], expected: &[(&str, u64)]| {
        let mut acts = vec![opening("GIVE-EFFECT", categories)];
        assert_eq!(rules_of(&running("GIVE-EFFECT", &acts)), ["D05", "D40-ACK"]);
        for (number, (side, step)) in (2..).zip([(B, "acknowledge"), (B, "accept")]) {
            acts.push(next(&code("GIVE-EFFECT"), &acts, number, side, step));
        }
        let before = running("GIVE-EFFECT", &acts);
        assert_eq!((rules_of(&before), before[0].1 / 24), (vec!["D05", "D40-STATUS"], 46));
        let mut serve = next(&code("GIVE-EFFECT"), &acts, 4, B, "serve");
        set(&mut serve, "served.at", Kind::TimeMs(START.0));
        acts.push(serve);
        let after = running("GIVE-EFFECT", &acts);
        let days: Vec<_> = after.iter().map(|(rule, hours)| (rule.as_str(), hours / 24)).take(expected.len()).collect();
        assert_eq!(days, expected);
        assert_eq!(after.len(), expected.len() + 1, "{after:?}");
    };
    // A period of days ends with its last day: it is served just before midnight, and was asked for just after.
    check(&["subscriber"], &[("D06", 20)]);
    check(&["traffic"], &[("D07", 45)]);
    check(&["subscriber", "traffic"], &[("D06", 20), ("D07", 45)]);
}

#[test]
fn an_emergency_is_acknowledged_within_an_hour_and_answered_within_eight() {
    for procedure in ["EMERG-MLA", "EMERG-DISC"] {
        let mut acts = vec![next(&code(procedure), &[], 1, A, "request")];
        let named = |rows: &[(&str, u64)]| rows.iter().map(|(rule, h)| ((*rule).to_owned(), *h)).collect::<Vec<_>>();
        // The request is signed an hour after the start.
        assert_eq!(running(procedure, &acts), named(&[("D08-ACK", 2), ("D08-ANSWER", 9)]));
        acts.push(next(&code(procedure), &acts, 2, B, "acknowledge"));
        assert_eq!(running(procedure, &acts)[0], ("D08-ANSWER".to_owned(), 9));
        acts.push(next(&code(procedure), &acts, 3, B, "accept"));
        assert!(!rules_of(&running(procedure, &acts)).contains(&"D08-ANSWER"));
    }
}

/// Directive 2013/40/EU, article 13: eight hours, and for urgent requests.
#[test]
fn an_urgent_request_to_a_point_is_answered_within_eight_hours() {
    let check = |instrument: &str, urgency: &str, expected: &[&str]| {
        let mut act = next(&code("P24"), &[], 1, A, "request");
        set(&mut act, "reference.instrument", text(instrument));
        set(&mut act, "urgency.level", text(urgency));
        let acts = [act];
        assert_eq!(play::judged(&code("P24"), &[], &acts[0]), Ok(()));
        assert_eq!(rules_of(&running("P24", &acts)), expected, "{instrument} {urgency}");
        let said = [acts.to_vec(), vec![next(&code("P24"), &acts, 2, B, "say-how")]].concat();
        assert_eq!(rules_of(&running("P24", &said)), Vec::<&str>::new());
    };
    check("DIR-2013-40", "urgent", &["D23"]);
    check("DIR-2013-40", "emergency", &["D23"]);
    check("DIR-2013-40", "normal", &[]);
    check("BC", "urgent", &[]);
    let mut fraud = next(&code("P24"), &[], 1, A, "request");
    set(&mut fraud, "reference.instrument", text("DIR-2013-40"));
    set(&mut fraud, "offence.codes.00", text("CC-07"));
    refused("P24", &[], &fraud, "procedure.guard", "it is for CC-01");
}

/// BC 26(2): the contents wait until the conditions are accepted; declined, the sender decides.
#[test]
fn information_waits_for_its_conditions() {
    let proposed = play::line("SPONT", &[(A, "request", 0), (A, "propose-conditions", 0)]);
    let early = plain(&code("SPONT"), 9, A, "inform", &[2]);
    refused("SPONT", &proposed, &early, "procedure.wrong-state", "conditions_proposed");
    let then = |steps: &[(Side, &str, u8)]| {
        let all = [&[(A, "request", 0), (A, "propose-conditions", 0)], steps].concat();
        folded(&code("SPONT"), &play::line("SPONT", &all)).name().to_owned()
    };
    assert_eq!(then(&[(B, "accept-conditions", 0), (A, "inform", 0)]), "informed");
    assert_eq!(then(&[(B, "decline-conditions", 0), (A, "inform", 0)]), "informed");
    assert_eq!(then(&[(B, "decline-conditions", 0), (A, "propose-conditions", 0)]), "conditions_proposed");
    let plainly = play::line("SPONT", &[(A, "request", 0), (A, "inform", 0), (B, "acknowledge", 0), (A, "inform", 0)]);
    assert_eq!(folded(&code("SPONT"), &plainly).name(), "acknowledged");
}

/// BC 30(2): what is withheld is withheld on a ground of that article.
#[test]
fn a_path_is_withheld_on_a_ground() {
    let opening = |ground: Option<&str>| {
        let mut act = plain(&code("PRES-DISC"), 1, A, "request", &[]);
        set(&mut act, "accept.scope", text("part"));
        match ground {
            Some(code) => set(&mut act, "ground", text(code)),
            None => act.facts.retain(|fact| fact.key != "ground"),
        }
        act
    };
    assert_eq!(play::judged(&code("PRES-DISC"), &[], &opening(Some("R-ORD"))), Ok(()));
    refused("PRES-DISC", &[], &opening(Some("R-DUAL")), "procedure.guard", "no ground in PRES-DISC");
    refused("PRES-DISC", &[], &opening(None), "procedure.missing-fact", "ground");
}

/// What was sent by mistake is taken back, unless somebody has acknowledged it meanwhile.
#[test]
fn what_was_acknowledged_is_not_taken_back() {
    for (procedure, common) in [
        ("PRES-DISC", play::line("PRES-DISC", &[(A, "request", 0)])),
        ("SPONT", play::line("SPONT", &[(A, "request", 0), (A, "inform", 0)])),
    ] {
        let seen = play::last(&common);
        let take_back = vec![plain(&code(procedure), 30, A, "withdraw", &seen)];
        let acknowledge = vec![plain(&code(procedure), 40, B, "acknowledge", &seen)];
        play::at_once(procedure, &common, take_back, acknowledge, "acknowledged", &[30]);
    }
}

/// What was handed over binds beyond the end of the request.
#[test]
fn use_is_told_and_a_wider_use_asked_for_also_when_it_is_closed() {
    let life = [
        (A, "request", 0),
        (B, "acknowledge", 0),
        (B, "accept", 0),
        (B, "deliver", 0),
        (A, "accept-terms", 4),
        (A, "take-custody", 4),
        (A, "close", 0),
    ];
    let closed = play::line("MLA-STORED", &life);
    let unasked = next(&code("MLA-STORED"), &closed, 9, B, "answer-wider-use");
    refused("MLA-STORED", &closed, &unasked, "procedure.guard", "ask-wider-use");
    let told = [(A, "report-use", 4), (A, "report-incident", 4), (A, "ask-wider-use", 4), (B, "answer-wider-use", 0)];
    let after = folded(&code("MLA-STORED"), &play::line("MLA-STORED", &[&life[..], &told[..]].concat()));
    assert!(after.is_closed() && after.set_aside.is_empty());
    assert_eq!(after.name(), "closed");
}

/// An entity answers in its own name, the Party in which it is in that of an authority.
#[test]
fn a_registrar_answers_for_itself() {
    let actor = |step: &str| {
        let step = StepCode::parse(step).expect("step");
        actor_of(shipped(), &code("DOM"), &step, B).expect("known")
    };
    assert_eq!(actor("disclose"), ActorKind::Provider);
    assert_eq!(actor("answer-consultation"), ActorKind::Authority);
    assert_eq!(actor("question"), ActorKind::Authority);
    let acts =
        play::line("DOM", &[(A, "request", 0), (B, "decline", 0), (A, "seek-consultation", 0), (B, "disclose", 0)]);
    assert_eq!((folded(&code("DOM"), &acts).name(), acts[3].id), ("disclosed", id(4)));
}

/// Procedures without a life are known and cannot be asked for.
#[test]
fn what_is_not_offered_is_known_and_refused() {
    for name in ["VC", "JIT", "FREEZE", "XFER-PROC"] {
        let procedure = code(name);
        assert!(shipped().procedure(&procedure).is_some() && shipped().family(&procedure).is_none());
        assert!(shipped().bases(&procedure).next().is_some(), "{name}");
        let refusal = fold(shipped(), &procedure, &[], START).err().map(|refusal| refusal.code());
        assert_eq!(refusal, Some("procedure.unknown"));
    }
}
