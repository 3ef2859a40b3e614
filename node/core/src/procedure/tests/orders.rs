//! Tests of the orders: investigation, production and preservation orders of the Union, their enforcement, and direct orders for
//! subscriber information. Whole lives, the windows within which and after which a step may be taken, who is set aside.

use Side::{Requested as B, Requesting as A};

use super::play::{self, DAY, HOUR, START, at_once, bound, code, fit, id, plain, set, term, without};
use crate::clock::Running;
use crate::procedure::*;
use crate::proto::value::Kind;
use crate::rules::sample::{full, shipped};

const SECOND: u64 = 1_000;
/// From the start of the threads to the end of their first day.
const REST: u64 = 2_800 * SECOND;

/// A request that grows act by act. Times are milliseconds from the start of the thread.
#[derive(Clone)]
struct Life {
    procedure: ProcedureCode,
    acts: Vec<Act>,
}

fn said(text: &str) -> Kind {
    Kind::Code(text.to_owned())
}

fn at(ms: u64) -> Kind {
    Kind::TimeMs(START.0 + ms)
}

impl Life {
    fn of(procedure: &str) -> Self {
        Self { procedure: code(procedure), acts: Vec::new() }
    }

    /// The next act, fitted to its guards, signed at a time, saying this of some facts.
    fn draft(&self, time: u64, side: Side, step: &str, facts: &[(&str, Kind)]) -> Act {
        let number = u8::try_from(self.acts.len() + 1).expect("short threads");
        let parents: Vec<u8> = self.acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect();
        let mut act = plain(&self.procedure, number, side, step, &parents);
        act.time = START.plus_ms(time);
        fit(&mut act, &play::folded(&self.procedure, &self.acts));
        act.time = START.plus_ms(time);
        for (key, kind) in facts {
            set(&mut act, key, kind.clone());
        }
        act
    }

    fn then(self, time: u64, side: Side, step: &str) -> Self {
        self.saying(time, side, step, &[])
    }

    fn saying(mut self, time: u64, side: Side, step: &str, facts: &[(&str, Kind)]) -> Self {
        let act = self.draft(time, side, step, facts);
        play::judged(&self.procedure, &self.acts, &act).unwrap_or_else(|refusal| panic!("{step}: {refusal}"));
        self.acts.push(act);
        self
    }

    fn tried(&self, time: u64, side: Side, step: &str) -> Result<(), Refusal> {
        self.tried_saying(time, side, step, &[])
    }

    fn tried_saying(&self, time: u64, side: Side, step: &str, facts: &[(&str, Kind)]) -> Result<(), Refusal> {
        play::judged(&self.procedure, &self.acts, &self.draft(time, side, step, facts))
    }

    fn refused(&self, time: u64, side: Side, step: &str, saying: &str) {
        let text = self.tried(time, side, step).expect_err("a refusal").to_string();
        assert!(text.contains(saying), "{text}");
    }

    fn standing(&self, time: u64) -> Standing {
        fold(shipped(), &self.procedure, &self.acts, START.plus_ms(time)).expect("known")
    }

    fn state(&self) -> String {
        self.standing(0).course.state().to_string()
    }

    fn running(&self, time: u64) -> Vec<Running> {
        clocks(shipped(), &self.standing(time), &crate::clock::Reckoning::utc())
    }

    /// The clocks that run, and when they are over.
    fn due(&self, time: u64) -> Vec<(String, u64)> {
        self.running(time).iter().map(|clock| (clock.rule.to_string(), clock.due.since(START))).collect()
    }

    /// The taker accepts the terms and takes custody.
    fn taken_over(self, time: u64) -> Self {
        self.then(time, A, "accept-terms").then(time, A, "take-custody")
    }
}

fn named(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(rule, end)| ((*rule).to_owned(), *end)).collect()
}

// European Production Order.

/// An order for content, of which the enforcing authority is notified, in the hands of the provider from the start on.
fn ordered(facts: &[(&str, Kind)]) -> Life {
    let facts = [&[("data.categories.00", said("content"))], facts].concat();
    Life::of("EPOC").saying(0, A, "request", &facts).then(0, A, "transmit").then(0, B, "receive")
}

fn emergency() -> Life {
    ordered(&[("urgency.level", said("emergency"))])
}

#[test]
fn data_go_out_when_the_window_of_the_notified_authority_is_over() {
    let order = ordered(&[]);
    assert_eq!(order.state(), "received_sp");
    let rows = [("D10", 10 * DAY + REST), ("D12", 10 * DAY + REST), ("D15", 10 * DAY + REST)];
    assert_eq!(order.due(0), named(&rows));
    // Wherever it is counted it is over when the eleventh day has passed, with the hour of winter time.
    let window = 11 * DAY + HOUR;
    order.refused(window - SECOND, B, "produce", "D12 runs 10 times a day (EER 12(1))");
    assert_eq!(order.tried(window, B, "produce"), Ok(()));
    assert_eq!(order.tried(window + SECOND, B, "produce"), Ok(()));
    let produced = order.then(12 * DAY, B, "produce").taken_over(12 * DAY);
    assert_eq!(produced.state(), "acknowledged");
    let told = produced.clone().then(13 * DAY, A, "notify-user");
    assert_eq!(told.state(), "user_notified");
    assert_eq!(told.then(14 * DAY, A, "close").state(), "closed");
    let later = produced.then(13 * DAY, A, "delay-notice");
    assert_eq!(later.state(), "notice_delayed");
    assert_eq!(later.clone().then(90 * DAY, A, "notify-user").state(), "user_notified");
    assert_eq!(later.then(90 * DAY, A, "close").state(), "closed");
}

#[test]
fn the_window_begins_with_the_receipt_that_is_stated_and_nobody_states_an_earlier_one() {
    let sent = Life::of("EPOC").saying(0, A, "request", &[]).then(DAY, A, "transmit");
    let early = [("received.at", at(DAY - SECOND))];
    let text = sent.tried_saying(5 * DAY, B, "receive", &early).expect_err("refused").to_string();
    assert!(text.contains("received-by-now"), "{text}");
    assert!(sent.tried_saying(5 * DAY, B, "receive", &[("received.at", at(5 * DAY + SECOND))]).is_err());
    let received = sent.clone().saying(5 * DAY, B, "receive", &[("received.at", at(2 * DAY))]);
    received.refused(13 * DAY + HOUR - SECOND, B, "produce", "window-is-over");
    assert_eq!(received.tried(13 * DAY + HOUR, B, "produce"), Ok(()));
    // Before the provider has said when it came, the authority's period counts from the transmission.
    assert_eq!(sent.due(DAY), named(&[("D10", 11 * DAY + REST), ("D12", 11 * DAY + REST)]));
}

#[test]
fn the_notified_authority_lets_the_data_go_early_or_holds_a_part_back() {
    let cleared = ordered(&[]).then(3 * DAY, B, "no-ground");
    assert_eq!(cleared.clone().then(3 * DAY, B, "produce").state(), "delivered");
    // Having said that it raises no ground, it raises none.
    let contacted = cleared.then(4 * DAY, B, "contact-issuer");
    contacted.refused(4 * DAY, B, "refuse", "within-review");
    let order = ordered(&[]);
    order.refused(DAY, B, "refuse-part", "contact-issuer must come before it");
    let asked = order.then(DAY, B, "contact-issuer");
    let part = |rest: bool| asked.clone().saying(2 * DAY, B, "refuse-part", &[("ea.cleared", Kind::Flag(rest))]);
    assert_eq!(part(true).tried(3 * DAY, B, "produce"), Ok(()));
    part(false).refused(3 * DAY, B, "produce", "window-is-over");
    assert_eq!(part(false).then(12 * DAY, B, "produce").state(), "delivered");
    assert_eq!(part(false).then(5 * DAY, B, "refuse").state(), "refused");
    assert_eq!(asked.then(2 * DAY, B, "refuse").state(), "refused");
}

#[test]
fn the_right_to_refuse_lapses() {
    let order = ordered(&[]).then(DAY, B, "contact-issuer");
    // Ten days to the end of the last, wherever it is counted, and the hour of winter time.
    let end = 11 * DAY + HOUR;
    assert_eq!(order.tried(end - SECOND, B, "refuse"), Ok(()));
    order.refused(end, B, "refuse", "D12 runs 10 times a day (EER 12(1)), which is over");
    order.refused(end, B, "no-ground", "which is over");
}

#[test]
fn who_was_not_notified_neither_holds_nor_refuses() {
    let order = ordered(&[("art8.notified", Kind::Flag(false))]);
    assert_eq!(order.due(0), named(&[("D09", 10 * DAY + REST), ("D15", 10 * DAY + REST)]));
    assert_eq!(order.tried(HOUR, B, "produce"), Ok(()));
    let asked = order.then(HOUR, B, "contact-issuer");
    asked.refused(2 * HOUR, B, "refuse", "no authority may raise a ground");
    asked.refused(2 * HOUR, B, "no-ground", "no authority may raise a ground");
}

#[test]
fn in_an_emergency_the_data_go_out_at_once_and_a_later_refusal_bars_their_use() {
    let order = emergency();
    let due = [("D11", 8 * HOUR), ("D12-EMERGENCY", 96 * HOUR), ("D15", 10 * DAY + REST)];
    assert_eq!(order.due(0), named(&due));
    order.refused(8 * HOUR - SECOND, A, "request-enforcement", "D11 runs 8 times a hour");
    assert_eq!(order.tried(8 * HOUR, A, "request-enforcement"), Ok(()));
    let produced = order.then(2 * HOUR, B, "produce").taken_over(3 * HOUR);
    assert_eq!(produced.due(4 * HOUR), named(&[("D12-EMERGENCY", 96 * HOUR)]));
    produced.refused(96 * HOUR, B, "refuse", "which is over");
    let barred = produced.clone().then(96 * HOUR - SECOND, B, "refuse");
    assert_eq!((barred.state().as_str(), whose_turn(&barred.standing(0))), ("use_barred", Some(A)));
    assert_eq!(barred.then(97 * HOUR, A, "delete-data").state(), "data_deleted");
    // That the person was told does not take the authority's right from it.
    let told = produced.then(5 * HOUR, A, "notify-user");
    assert_eq!(told.then(50 * HOUR, B, "refuse").state(), "use_barred");
}

#[test]
fn an_order_in_an_emergency_is_validated_within_48_hours_or_withdrawn() {
    let order = Life::of("EPOC").then(0, A, "request-emergency");
    let rows = [("D11", 8 * HOUR), ("D17", 48 * HOUR)];
    assert_eq!(order.due(0), named(&rows));
    assert!(order.running(0)[1].is_over(START.plus_ms(48 * HOUR)));
    assert!(!order.running(0)[1].is_over(START.plus_ms(48 * HOUR - SECOND)));
    let received = order.then(HOUR, B, "receive");
    let validated = received.clone().then(40 * HOUR, A, "validate-after");
    assert!(validated.due(40 * HOUR).iter().all(|(rule, _)| rule != "D17"));
    validated.refused(41 * HOUR, A, "deny-validation", "validate-after was taken before");
    assert_eq!(received.clone().then(40 * HOUR, A, "deny-validation").state(), "withdrawn");
    let produced = received.then(3 * HOUR, B, "produce");
    assert!(produced.due(4 * HOUR).iter().any(|(rule, _)| rule == "D17"));
    let denied = produced.then(40 * HOUR, A, "deny-validation");
    assert_eq!(denied.state(), "use_barred");
    assert_eq!(denied.then(41 * HOUR, A, "delete-data").state(), "data_deleted");
    // Only what was transmitted without validation is validated afterwards.
    ordered(&[]).refused(HOUR, A, "validate-after", "request-emergency must come before it");
    // Its form takes no other data and no other urgency.
    let form = shipped().form_by_id("EPOC/request-emergency").expect("a form");
    let only = |key: &str| form.field(key).expect("a field").only.iter().map(Code::as_str).collect::<Vec<_>>();
    assert_eq!(only("data.categories"), ["subscriber", "identification_only"]);
    assert_eq!(only("urgency.level"), ["emergency"]);
}

#[test]
fn what_the_provider_files_is_answered_and_its_duty_waits() {
    let filed = ordered(&[]).then(2 * DAY, B, "file-nonexecution");
    // The authority that was notified is not held up by it.
    assert_eq!(filed.due(2 * DAY), named(&[("D12", 10 * DAY + REST), ("D16", 7 * DAY + REST)]));
    let clear = filed.clone().then(5 * DAY, A, "clarify");
    assert_eq!(clear.due(5 * DAY)[0], ("D10".to_owned(), 13 * DAY + REST));
    let overdue = 14 * DAY + HOUR;
    clear.refused(overdue - SECOND, A, "request-enforcement", "not over");
    assert_eq!(clear.tried(overdue, A, "request-enforcement"), Ok(()));
    assert_eq!(filed.clone().then(3 * DAY, A, "maintain").state(), "received_sp");
    assert_eq!(filed.clone().then(3 * DAY, A, "accept-nonexecution").state(), "not_executed");
    assert_eq!(filed.clone().then(3 * DAY, A, "withdraw").state(), "withdrawn");
    assert_eq!(filed.then(3 * DAY, A, "request-enforcement").state(), "enforcement_requested");
}

#[test]
fn a_conflict_with_the_law_of_a_third_country_goes_to_a_court() {
    let order = ordered(&[]);
    let end = 11 * DAY + HOUR;
    assert_eq!(order.tried(end - SECOND, B, "object-third-country"), Ok(()));
    order.refused(end, B, "object-third-country", "D15 runs 10 times a day (EER 17(2)), which is over");
    let objected = order.then(4 * DAY, B, "object-third-country");
    objected.refused(20 * DAY, B, "produce", "objection_filed");
    let court = objected.clone().then(5 * DAY, A, "ask-court");
    assert_eq!(court.state(), "court_review");
    // The notified authority goes on meanwhile.
    let upheld = court.clone().then(6 * DAY, B, "no-ground").then(24 * DAY, A, "uphold");
    assert_eq!(upheld.due(24 * DAY)[0], ("D10".to_owned(), 30 * DAY + REST));
    assert_eq!(upheld.then(25 * DAY, B, "produce").state(), "delivered");
    assert_eq!(court.then(24 * DAY, A, "lift").state(), "lifted");
    assert_eq!(objected.then(5 * DAY, A, "withdraw").state(), "withdrawn");
}

#[test]
fn an_order_that_is_not_complied_with_is_enforced() {
    let order = ordered(&[]).then(DAY, B, "no-ground");
    let asked = order.then(12 * DAY, A, "request-enforcement");
    // From a Sunday: five working days end with the Friday after.
    assert_eq!(asked.due(12 * DAY), named(&[("D14", 17 * DAY + REST)]));
    let granted = asked.clone().then(14 * DAY, B, "recognise-enforcement");
    assert_eq!(granted.clone().then(15 * DAY, B, "produce").state(), "delivered");
    let fined = granted.then(40 * DAY, B, "impose-penalty");
    assert_eq!(fined.state(), "penalty_imposed");
    assert_eq!(fined.clone().then(41 * DAY, B, "produce").state(), "delivered");
    assert_eq!(fined.then(60 * DAY, A, "close").state(), "closed");
    assert_eq!(asked.then(14 * DAY, B, "deny-enforcement").state(), "enforcement_denied");
    // The ceiling of the penalty stands in the form.
    let form = shipped().form_by_id("EPOC/impose-penalty").expect("a form");
    assert_eq!(form.field("fine.per-mille").and_then(|field| field.most), Some(20));
}

#[test]
fn an_order_reaches_its_threshold_or_names_a_listed_offence() {
    let check = |category: &str, offence: &str, months: i64, lawful: bool| {
        let facts = [
            ("data.categories.00", said(category)),
            ("offence.codes.00", said(offence)),
            ("penalty.life", Kind::Flag(false)),
            ("penalty.most-months", Kind::Integer(months)),
        ];
        let verdict = Life::of("EPOC").tried_saying(0, A, "request", &facts);
        assert_eq!(verdict.is_ok(), lawful, "{category} {offence} {months}: {verdict:?}");
        if let Err(refusal) = verdict {
            assert!(refusal.to_string().contains("at least 36 months"), "{refusal}");
        }
        // Preservation is for any offence.
        assert_eq!(Life::of("EPOC-PR").tried_saying(0, A, "request", &facts), Ok(()));
    };
    for category in ["traffic", "content"] {
        check(category, "CC-07", 35, false);
        check(category, "CC-07", 36, true);
        check(category, "CC-01", 12, true);
        check(category, "CC-08", 12, true);
        check(category, "CC-16", 12, false);
    }
    for category in ["subscriber", "identification_only"] {
        check(category, "CC-07", 1, true);
        check(category, "CC-16", 35, true);
    }
}

/// What the form asks of the body of an order: who must have validated it, and when the other State must hear of it.
#[test]
fn content_needs_a_judge_and_a_word_to_the_other_state() {
    let form = shipped().form_by_id("EPOC/request").expect("a form");
    let check = |category: &str, gone: &[&str], expected: &[&str]| {
        let mut body = full(form);
        body.fields.retain(|field| !gone.contains(&field.key.as_str()));
        let field = body.fields.iter_mut().find(|field| field.key == "data.categories").expect("asked for");
        field.values = vec![crate::proto::Value { kind: Some(said(category)) }];
        let wrong: Vec<String> = form.check(&body).into_iter().map(|mistake| mistake.field).collect();
        assert_eq!(wrong, expected, "{category} {gone:?}");
    };
    for category in ["traffic", "content"] {
        check(category, &["validation.judge"], &["validation.judge"]);
        check(category, &["validation.prosecutor"], &[]);
        check(category, &["art8.notified"], &["art8.notified"]);
    }
    check("subscriber", &["validation.judge", "art8.notified", "art8.exception"], &[]);
    check("subscriber", &["validation.judge", "validation.prosecutor"], &["validation.judge"]);
}

#[test]
fn a_refusal_for_lack_of_dual_criminality_is_closed_for_listed_offences() {
    let check = |offence: &str, months: i64, lawful: bool| {
        let facts = [
            ("offence.codes.00", said(offence)),
            ("penalty.life", Kind::Flag(false)),
            ("penalty.most-months", Kind::Integer(months)),
        ];
        let epoc = ordered(&facts).then(DAY, B, "contact-issuer");
        let eio = Life::of("EIO").saying(0, A, "request", &facts).then(0, B, "acknowledge");
        for verdict in [
            epoc.tried_saying(2 * DAY, B, "refuse", &[("ground", said("R-DUAL"))]),
            eio.tried_saying(2 * DAY, B, "refuse-outright", &[("ground", said("R-DUAL"))]),
        ] {
            assert_eq!(verdict.is_ok(), lawful, "{offence} {months}: {verdict:?}");
        }
    };
    check("CC-01", 35, true);
    check("CC-01", 36, false);
    check("CC-12", 60, true);
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let order = ordered(&[]).then(DAY, B, "contact-issuer").then(DAY, B, "no-ground");
    let (last, acts) = (u8::try_from(order.acts.len()).expect("few"), &order.acts);
    let meet = |acts: &[Act], asking: &str, asked: &str, expected: &str, aside: bool| {
        for (low, high) in [(30, 40), (40, 30)] {
            let make = |number: u8, side: Side, step: &str| {
                let life = Life { procedure: order.procedure.clone(), acts: acts.to_vec() };
                vec![Act { id: id(number), ..life.draft(11 * DAY, side, step, &[]) }]
            };
            let aside: Vec<u8> = aside.then_some(low).into_iter().collect();
            at_once("EPOC", acts, make(low, A, asking), make(high, B, asked), expected, &aside);
        }
    };
    assert_eq!(last, 5);
    meet(acts, "withdraw", "produce", "delivered", true);
    meet(acts, "withdraw", "file-nonexecution", "withdrawn", false);
    meet(acts, "withdraw", "object-third-country", "withdrawn", false);
    meet(acts, "request-enforcement", "produce", "delivered", true);
    meet(acts, "request-enforcement", "object-third-country", "objection_filed", true);
    let notified = ordered(&[]).then(DAY, B, "contact-issuer");
    meet(&notified.acts, "withdraw", "refuse", "refused", true);
    meet(&notified.acts, "withdraw", "no-ground", "withdrawn", false);
    let court = ordered(&[]).then(DAY, B, "contact-issuer").then(DAY, B, "object-third-country");
    let court = court.then(2 * DAY, A, "ask-court");
    meet(&court.acts, "uphold", "refuse", "refused", true);
    meet(&court.acts, "uphold", "no-ground", "received_sp", false);
}

// Enforcement that begins with the enforcing authority.

#[test]
fn enforcement_can_be_a_request_of_its_own() {
    let asked = Life::of("EPOC-ENF").then(0, A, "request");
    // From a Tuesday: five working days end with the Tuesday after.
    assert_eq!(asked.due(0), named(&[("D14", 7 * DAY + REST)]));
    let received = asked.then(DAY, B, "acknowledge");
    assert_eq!(received.due(DAY), named(&[("D14", 8 * DAY + REST)]));
    received.refused(2 * DAY, B, "deny-enforcement", "contact-issuer must come before it");
    let denied = received.clone().then(2 * DAY, B, "contact-issuer").then(3 * DAY, B, "deny-enforcement");
    assert_eq!(denied.state(), "denied");
    let granted = received.then(3 * DAY, B, "recognise-enforcement");
    let fined = granted.clone().then(30 * DAY, B, "impose-penalty");
    assert_eq!(fined.clone().then(31 * DAY, A, "close").state(), "closed");
    let produced = fined.then(31 * DAY, B, "produce").taken_over(32 * DAY);
    assert_eq!(produced.then(33 * DAY, A, "close").state(), "closed");
    assert_eq!(granted.then(9 * DAY, B, "report-compliance").state(), "complied");
}

// European Preservation Order.

#[test]
fn a_preservation_order_holds_sixty_days_and_thirty_more_once() {
    let sent = Life::of("EPOC-PR").then(0, A, "request").then(0, A, "transmit");
    let holds = |days: u64| {
        let facts = [("measure.taken", at(0)), ("measure.until", at(days * DAY))];
        (sent.tried_saying(HOUR, B, "preserve", &facts), facts)
    };
    assert!(holds(59).0.expect_err("short").to_string().contains("60 times a day (EER 11(1))"));
    let (verdict, facts) = holds(60);
    assert_eq!(verdict, Ok(()));
    let kept = sent.saying(HOUR, B, "preserve", &facts);
    assert_eq!(kept.due(HOUR), named(&[("D13", 60 * DAY)]));
    assert_eq!(kept.standing(60 * DAY - SECOND).name(), "preserved");
    assert_eq!(kept.standing(60 * DAY).name(), "lapsed");
    let longer = |life: &Life, time: u64, until: u64| {
        life.tried_saying(time, A, "extend", &[("measure.until", at(until))]).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(longer(&kept, 59 * DAY, 90 * DAY), Ok(()));
    assert!(longer(&kept, 59 * DAY, 60 * DAY).is_err_and(|why| why.contains("does not lie after")));
    assert!(longer(&kept, 59 * DAY, 92 * DAY).is_err_and(|why| why.contains("D13-MORE allows 30 times a day more")));
    assert!(longer(&kept, 60 * DAY, 90 * DAY).is_err_and(|why| why.contains("lapsed")));
    let extended = kept.clone().saying(59 * DAY, A, "extend", &[("measure.until", at(90 * DAY))]);
    assert_eq!(extended.standing(90 * DAY - SECOND).name(), "preserved");
    assert_eq!(extended.standing(90 * DAY).name(), "lapsed");
    extended.refused(80 * DAY, A, "extend", "extend was taken before");
    // From the confirmation on (Annex V) the data stay as long as production needs.
    let confirmed = extended.clone().then(89 * DAY, A, "confirm-production");
    assert_eq!((confirmed.standing(400 * DAY).name(), confirmed.due(400 * DAY)), ("kept_for_production", vec![]));
    assert_eq!(confirmed.then(200 * DAY, A, "release").state(), "released");
    extended.refused(90 * DAY, A, "confirm-production", "lapsed");
    assert_eq!(kept.then(5 * DAY, A, "withdraw").state(), "released");
}

// European Investigation Order.

fn received() -> Life {
    Life::of("EIO").then(0, A, "request").then(0, B, "acknowledge")
}

/// A whole life: completed, consulted about, recognised, held for a remedy, handed over in two parts, objects returned.
#[test]
fn an_investigation_order_goes_all_the_way() {
    let asked = Life::of("EIO").then(0, A, "request").then(0, B, "return-incomplete").then(DAY, A, "complete");
    let decided =
        asked.then(2 * DAY, B, "acknowledge").then(3 * DAY, B, "consult").then(4 * DAY, A, "answer-consultation");
    assert_eq!(decided.state(), "received");
    let executing = decided.then(5 * DAY, B, "recognise").then(6 * DAY, B, "begin-execution");
    assert_eq!(executing.state(), "executing");
    let held = executing.then(7 * DAY, B, "deliver-part").then(8 * DAY, B, "hold-for-remedy");
    assert_eq!(held.clone().then(9 * DAY, B, "annul").state(), "refused");
    let back = held.then(9 * DAY, A, "accept-terms").then(10 * DAY, B, "end-remedy").then(11 * DAY, A, "take-custody");
    assert_eq!(back.state(), "executing");
    let delivered = back.then(12 * DAY, B, "report-execution").then(13 * DAY, B, "deliver");
    assert_eq!(delivered.state(), "delivered");
    let disputed = delivered.then(14 * DAY, A, "dispute");
    assert_eq!(disputed.state(), "disputed");
    let taken = disputed.then(15 * DAY, B, "redeliver").taken_over(16 * DAY);
    assert_eq!(taken.state(), "acknowledged");
    let returned = taken.then(40 * DAY, A, "return-objects");
    assert_eq!(returned.state(), "objects_returned");
    assert_eq!(returned.then(41 * DAY, B, "close").state(), "closed");
}

#[test]
fn recognition_and_execution_have_their_clocks_to_the_second() {
    let asked = Life::of("EIO").saying(0, A, "request", &[("provisional.wanted", Kind::Flag(true))]);
    assert_eq!(asked.due(0), named(&[("D18", 7 * DAY + REST), ("D19", 30 * DAY + REST), ("D21", 24 * HOUR)]));
    let taken_up =
        asked.clone().then(HOUR, B, "decide-provisional").saying(DAY, B, "acknowledge", &[("received.at", at(0))]);
    assert_eq!(taken_up.due(DAY), named(&[("D19", 30 * DAY + REST)]));
    let over = |life: &Life, rule: &str, end: u64| {
        let clocks = life.running(end);
        let clock = clocks.iter().find(|clock| clock.rule.as_str() == rule).expect("it runs");
        (clock.is_over(START.plus_ms(end - SECOND)), clock.is_over(START.plus_ms(end)))
    };
    assert_eq!(over(&taken_up, "D19", 30 * DAY + REST), (false, true));
    // Thirty days more follow on the thirtieth, and come once.
    let longer = taken_up.then(29 * DAY, B, "extend-decision");
    assert_eq!(over(&longer, "D19", 60 * DAY + REST), (false, true));
    let again = longer.then(30 * DAY, B, "extend-decision");
    assert_eq!(again.due(30 * DAY), named(&[("D19", 60 * DAY + REST)]));
    let recognised = again.then(60 * DAY, B, "recognise");
    assert_eq!(over(&recognised, "D20", 150 * DAY + REST), (false, true));
    // While it is postponed the period stands still; a later time can be agreed.
    let postponed = recognised.then(70 * DAY, B, "postpone");
    assert_eq!(postponed.due(75 * DAY), []);
    let resumed = postponed.then(80 * DAY, B, "resume");
    assert_eq!((resumed.state().as_str(), resumed.due(80 * DAY)), ("recognised", named(&[("D20", 160 * DAY + REST)])));
    let agreed = resumed.then(100 * DAY, B, "consult-timing").saying(
        101 * DAY,
        A,
        "agree-timing",
        &[("timing.until", at(200 * DAY))],
    );
    assert_eq!(agreed.due(101 * DAY), named(&[("D20", 200 * DAY)]));
}

#[test]
fn some_refusals_need_consultation_and_others_do_not() {
    let received = received();
    received.refused(DAY, B, "refuse", "consult must come before it (EIO 11(1)(a), (b), (d), (e), (f), 11(4))");
    assert_eq!(received.tried_saying(DAY, B, "refuse-outright", &[("ground", said("R-DOM"))]), Ok(()));
    let consulted = received.clone().then(DAY, B, "consult");
    consulted.refused(DAY, B, "refuse", "consultation");
    let ended = consulted.then(9 * DAY, B, "end-consultation");
    assert_eq!(ended.tried_saying(9 * DAY, B, "refuse", &[("ground", said("R-NATSEC"))]), Ok(()));
    let closed = ended.tried_saying(9 * DAY, B, "refuse", &[("ground", said("R-POL"))]);
    assert!(closed.expect_err("no such ground").to_string().contains("no ground in EIO"));
    // Together the two forms take every ground of article 11, and none twice.
    let only = |step: &str| -> Vec<Code> {
        let form = shipped().form_by_id(&format!("EIO/{step}")).expect("a form");
        form.field("ground").expect("a ground").only.clone()
    };
    let mut all = [only("refuse"), only("refuse-outright")].concat();
    all.sort();
    let basis = shipped().basis(&code("EIO"), &term("EIO")).expect("a basis");
    let mut open: Vec<Code> = basis.grounds.iter().map(|usage| usage.code.clone()).collect();
    open.retain(|code| code.as_str().starts_with("R-"));
    open.sort();
    assert_eq!(all, open);
}

#[test]
fn another_measure_is_proposed_and_execution_goes_on_where_it_stood() {
    let executing = received().then(DAY, B, "recognise").then(2 * DAY, B, "begin-execution");
    let proposed = executing.then(3 * DAY, B, "propose-other-measure");
    assert_eq!(whose_turn(&proposed.standing(0)), Some(A));
    for (side, step) in [(A, "agree-measure"), (A, "supplement"), (B, "proceed-with-measure")] {
        assert_eq!(proposed.clone().then(4 * DAY, side, step).state(), "executing", "{step}");
    }
    assert_eq!(proposed.then(4 * DAY, A, "withdraw").state(), "withdrawn");
    assert_eq!(received().then(DAY, B, "refuse-formality").state(), "received");
    assert_eq!(received().then(DAY, B, "cannot-execute").state(), "not_executed");
}

// Direct orders for subscriber information.

fn direct(facts: &[(&str, Kind)]) -> Life {
    Life::of("SUBSC-DIRECT").saying(0, A, "request", facts).then(0, B, "receive")
}

#[test]
fn a_direct_order_is_answered_in_thirty_days_or_by_the_later_time_it_names() {
    let due = |reply: u64| direct(&[("reply.by", at(reply))]).due(0);
    assert_eq!(due(20 * DAY), named(&[("D04", 30 * DAY + REST)]));
    assert_eq!(due(40 * DAY), named(&[("D04", 40 * DAY)]));
    let order = direct(&[("reply.by", at(20 * DAY))]);
    order.refused(31 * DAY + HOUR - SECOND, A, "convert", "D04 runs 30 times a day");
    assert_eq!(order.tried(31 * DAY + HOUR, A, "convert"), Ok(()));
    // Nobody holds the data back.
    let produced = order.clone().then(HOUR, B, "produce").taken_over(2 * HOUR);
    assert_eq!(produced.then(3 * HOUR, A, "close").state(), "closed");
    assert_eq!(order.then(DAY, B, "decline").then(2 * DAY, A, "convert").state(), "converted");
}

#[test]
fn the_other_party_may_bar_disclosure_where_it_so_declared() {
    let order = direct(&[]);
    let barred = order.clone().saying(DAY, B, "bar-disclosure", &[("ground", said("P-INV"))]);
    barred.refused(2 * DAY, B, "produce", "disclosure_barred");
    assert_eq!(barred.clone().then(2 * DAY, B, "clear-disclosure").then(3 * DAY, B, "produce").state(), "delivered");
    assert_eq!(barred.then(2 * DAY, A, "convert").state(), "converted");
    // Without the declaration the ground is not open.
    let bar = order.draft(DAY, B, "bar-disclosure", &[("ground", said("P-INV"))]);
    let verdict =
        permits(shipped(), &order.procedure, &order.acts, &bar, &Setting { reservations: BTreeSet::new(), ..bound() });
    assert_eq!(verdict.expect_err("not declared").code(), "procedure.no-reservation");
    let mut unnamed = bar;
    without(&mut unnamed, "ground.reservation");
    play::refused("SUBSC-DIRECT", &order.acts, &unnamed, "procedure.guard", "must name the reservation");
}

#[test]
fn declarations_close_direct_orders_in_whole_in_part_or_unless_they_are_met() {
    let check = |declared: &str, facts: &[(&str, Kind)], lawful: bool| {
        let life = Life::of("SUBSC-DIRECT");
        let setting = Setting { reservations: BTreeSet::from([term(declared)]), ..bound() };
        let mut request = life.draft(0, A, "request", facts);
        if facts.iter().any(|(_, kind)| *kind == said("nobody")) {
            without(&mut request, "supervision.by");
        }
        let verdict = permits(shipped(), &life.procedure, &[], &request, &setting);
        let expected = if lawful { None } else { Some("procedure.closed-by-declaration") };
        assert_eq!(verdict.err().map(|refusal| refusal.code()), expected, "{declared} {facts:?}");
    };
    let category = |code: &str| ("data.categories.00", said(code));
    check("2AP.7.9a", &[], false);
    check("2AP.7.9b", &[category("subscriber")], true);
    check("2AP.7.9b", &[category("identification_only")], false);
    check("2AP.7.5", &[("notice.made", Kind::Flag(true))], true);
    check("2AP.7.5", &[("notice.made", Kind::Flag(false))], false);
    check("2AP.7.2b", &[("supervision.by", said("judge"))], true);
    check("2AP.7.2b", &[("supervision.by", said("nobody"))], false);
}
