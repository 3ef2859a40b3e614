//! Tests of the law: the table as a table, what may happen at once, and properties over random threads.
//!
//! Two sides, `XA` asks and `XB` is asked; facts come from the shipped forms, so that a form that does not
//! give a guard its facts shows here.

use super::preservation::{Kind, State as Pres, Step, TABLE};
use super::*;
use crate::ids::hex;
use crate::proto::{Value, value};
use crate::rules::sample::{full, shipped};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
/// The moment every sample field says, and an hour later, when the first act is signed.
const SAMPLE: u64 = 1_700_000_000_000;
pub(super) const START: Time = Time(SAMPLE + HOUR);

fn pres() -> ProcedureCode {
    ProcedureCode::parse("PRES").expect("code")
}

pub(super) fn id(number: u8) -> EventId {
    EventId::new([number; 32])
}

/// An act of a preservation, every field of its form filled in as its guard demands.
fn act(number: u8, side: Side, step: &str, parents: &[u8]) -> Act {
    let mut act = act_of(&pres(), number, side, step, parents);
    if act.step.as_str() == "preserve" {
        set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    }
    if act.step.as_str() == "extend" {
        set(&mut act, "extension.until", value::Kind::TimeMs(SAMPLE + 90 * DAY));
    }
    if act.step.as_str() == "confirm-extension" {
        set(&mut act, "measure.until", value::Kind::TimeMs(SAMPLE + 100 * DAY));
        act.facts.retain(|fact| fact.key != "measure.renewed");
    }
    act
}

/// An act whose facts are those of its form, every field filled in.
pub(super) fn act_of(procedure: &ProcedureCode, number: u8, side: Side, step: &str, parents: &[u8]) -> Act {
    let step = StepCode::parse(step).expect("step");
    let form = shipped().form(procedure, &step).unwrap_or_else(|| panic!("no form for {step}"));
    let time = START.plus_ms(u64::from(number) * HOUR);
    Act {
        id: id(number),
        step,
        author: PartyCode::parse(if side == Side::Requesting { "XA" } else { "XB" }).expect("code"),
        side,
        parents: parents.iter().map(|number| id(*number)).collect(),
        time,
        recorded: time,
        facts: form.facts(&full(form)),
        void: false,
    }
}

pub(super) fn set(act: &mut Act, key: &str, kind: value::Kind) {
    let fact = act.facts.iter_mut().find(|fact| fact.key == key).unwrap_or_else(|| panic!("no fact {key}"));
    fact.value = Some(Value { kind: Some(kind) });
}

fn rq(number: u8, step: &str, parents: &[u8]) -> Act {
    act(number, Side::Requesting, step, parents)
}

fn rd(number: u8, step: &str, parents: &[u8]) -> Act {
    act(number, Side::Requested, step, parents)
}

fn reserved() -> Setting {
    Setting { reservations: BTreeSet::from([Code::parse("BC.29.4").expect("code")]) }
}

fn folded(acts: &[Act]) -> Standing {
    fold(shipped(), &pres(), acts, START).expect("known procedure")
}

fn judged(known: &[Act], act: &Act) -> Result<(), Refusal> {
    permits(shipped(), &pres(), known, act, &Setting::default())
}

/// A straight thread: each act follows the one before and must be lawful.
fn line(steps: &[(Side, &str)]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for (number, (side, step)) in (1u8..).zip(steps) {
        let parents: &[u8] = if number == 1 { &[] } else { &[number - 1] };
        let next = act(number, *side, step, parents);
        judged(&acts, &next).unwrap_or_else(|refusal| panic!("{step}: {refusal}"));
        acts.push(next);
    }
    acts
}

/// A thread that ends in each kind.
fn thread_to(kind: Kind) -> Vec<Act> {
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
    line(steps)
}

fn kind_of(standing: &Standing) -> Kind {
    let State::Preservation(state) = &standing.state else { panic!("no preservation") };
    state.kind()
}

#[test]
fn every_step_from_every_state_does_what_the_table_says_and_nothing_else() {
    for kind in Kind::ALL {
        let acts = thread_to(*kind);
        assert_eq!(kind_of(&folded(&acts)), *kind);
        for (step, side) in Step::ALL.iter().flat_map(|step| [(step, Side::Requesting), (step, Side::Requested)]) {
            let parents: Vec<u8> = acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect();
            let next = act(99, side, step.code(), &parents);
            let rows: Vec<_> =
                TABLE.iter().filter(|r| r.step == *step && r.row.side == side && r.from.contains(kind)).collect();
            assert!(rows.len() <= 1, "two rows for {kind:?} {step:?}");
            let verdict = judged(&acts, &next);
            let Some(row) = rows.first() else {
                let code = verdict.expect_err("no row").code();
                assert!(matches!(code, "procedure.wrong-state" | "procedure.wrong-side"), "{kind:?} {step:?} {code}");
                continue;
            };
            assert_eq!(verdict, Ok(()), "{kind:?} {step:?}");
            let after = kind_of(&folded(&[acts.clone(), vec![next]].concat()));
            assert_eq!(after, row.to.unwrap_or(*kind), "{kind:?} {step:?}");
        }
    }
}

#[test]
fn every_row_has_a_form_and_every_form_a_row() {
    let check = |procedure: &str, rows: Vec<&StepRow>| {
        let procedure = ProcedureCode::parse(procedure).expect("code");
        let mut named: BTreeSet<String> = BTreeSet::new();
        for row in rows.into_iter().chain(common::ROWS) {
            let form = shipped().form(&procedure, &row.code()).unwrap_or_else(|| panic!("no form for {}", row.step));
            named.insert(form.id());
        }
        let forms = shipped().forms().filter(|form| *form.procedure() == procedure && !form.is_record());
        assert_eq!(forms.map(crate::rules::Form::id).collect::<BTreeSet<_>>(), named);
    };
    check("PRES", TABLE.iter().map(|row| &row.row).collect());
    check("MLA-STORED", assistance::TABLE.iter().map(|row| &row.row).collect());
}

#[test]
fn the_pages_are_printed_from_the_tables() {
    for (family, name) in [(Family::Preservation, "preservation"), (Family::Assistance, "assistance")] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/procedure/{name}.md"));
        let page = drawing(family);
        if std::env::var_os("COMITY_BLESS").is_some() {
            std::fs::write(&path, &page).expect("written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == page, "{name}.md differs from the table; run the test with COMITY_BLESS=1");
    }
}

/// Two branches from one act: both orders of arrival give `expected`, and so many acts are set aside.
fn at_once(common: &[Act], one: Vec<Act>, two: Vec<Act>, expected: &str, aside: &[u8]) {
    let forth = folded(&[common, &one, &two].concat());
    let back = folded(&[&two, &one, common].concat());
    assert_eq!(forth, back);
    assert_eq!(forth.name(), expected);
    assert_eq!(forth.set_aside.iter().map(|a| a.id.as_bytes()[0]).collect::<Vec<_>>(), aside);
}

#[test]
fn what_happens_at_once_follows_the_written_rule() {
    let asked = thread_to(Kind::Requested);
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
    let warned = thread_to(Kind::Warned);
    at_once(&warned, vec![rq(10, "proceed", &[2])], vec![rd(20, "refuse", &[2])], "refused", &[10]);
    at_once(&warned, vec![rq(20, "proceed", &[2])], vec![rd(10, "cannot-preserve", &[2])], "cannot_preserve", &[20]);
    let preserved = thread_to(Kind::Preserved);
    at_once(&preserved, vec![rq(10, "release", &[2])], vec![rd(20, "disclose-path", &[2])], "released", &[]);
    let longer = thread_to(Kind::ExtensionAsked);
    at_once(&longer, vec![rq(10, "follow-up", &[3])], vec![rd(20, "confirm-extension", &[3])], "followed_up", &[]);
    at_once(&longer, vec![rq(10, "release", &[3])], vec![rd(20, "confirm-extension", &[3])], "released", &[]);
}

#[test]
fn a_void_act_and_what_follows_it_count_for_nothing() {
    let mut acts = line(&[(Side::Requesting, "request"), (Side::Requested, "preserve"), (Side::Requesting, "release")]);
    acts[1].void = true;
    let standing = folded(&acts);
    assert_eq!((standing.name(), standing.heads.clone()), ("requested", vec![id(1)]));
    let next = rd(9, "acknowledge", &[3]);
    assert_eq!(judged(&acts, &next), Err(Refusal::VoidParent(id(2))));
}

fn refused(known: &[Act], act: &Act, code: &str, says: &str) {
    let refusal = judged(known, act).expect_err("a refusal");
    assert_eq!(refusal.code(), code);
    let text = refusal.to_string();
    assert!(text.starts_with(code) && text.contains(says), "{text}");
}

#[test]
fn guards_refuse_in_words() {
    let asked = thread_to(Kind::Requested);
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
    refused(&insisted, &rd(9, "warn-insufficient", &[3]), "procedure.guard", "warns-once");
    let mut extend = rq(9, "extend", &[2]);
    set(&mut extend, "extension.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused(&thread_to(Kind::Preserved), &extend, "procedure.guard", "asks-for-longer");
    let mut confirm = rd(9, "confirm-extension", &[3]);
    set(&mut confirm, "measure.until", value::Kind::TimeMs(SAMPLE + 61 * DAY));
    refused(&thread_to(Kind::ExtensionAsked), &confirm, "procedure.guard", "ends-later");
    let mut late = rq(9, "follow-up", &[2]);
    late.time = Time(SAMPLE + 61 * DAY);
    refused(&thread_to(Kind::Preserved), &late, "procedure.guard", "lapsed");
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
        let verdict = permits(shipped(), &pres(), &asked, &refuse, setting);
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
    refused(&thread_to(Kind::Requested), &refuse, "procedure.guard", "no ground in PRES");
}

#[test]
fn preservation_lapses_by_the_clock_alone() {
    let acts = thread_to(Kind::Preserved);
    let at = |ms| fold(shipped(), &pres(), &acts, Time(ms)).expect("known");
    let until = SAMPLE + 61 * DAY;
    let (before, after) = (at(until - 1), at(until));
    assert_eq!((before.name(), after.name()), ("preserved", "lapsed"));
    assert_eq!((before.is_closed(), after.is_closed()), (false, true));
    assert_eq!((whose_turn(&before), whose_turn(&after)), (Some(Side::Requesting), None));
    let steps = |standing| next_steps(standing, Side::Requesting).iter().map(|row| row.step).collect::<Vec<_>>();
    assert_eq!(steps(&before), ["extend", "follow-up", "release", "withdraw", "note", "question", "urgency-change"]);
    assert_eq!(steps(&after), ["release", "withdraw", "note", "question", "urgency-change"]);
    let followed = fold(shipped(), &pres(), &thread_to(Kind::FollowedUp), Time(until)).expect("known");
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
fn a_question_turns_the_table_until_it_is_answered() {
    let mut acts = [thread_to(Kind::Requested), vec![rd(2, "question", &[1])]].concat();
    assert_eq!(whose_turn(&folded(&acts)), Some(Side::Requesting));
    let mut answer = rq(3, "answer", &[2]);
    refused(&acts, &answer, "procedure.guard", "no open question");
    set(&mut answer, "answer.to", value::Kind::Code(hex(id(2).as_bytes())));
    assert_eq!(judged(&acts, &answer), Ok(()));
    acts.push(answer.clone());
    assert_eq!(whose_turn(&folded(&acts)), Some(Side::Requested));
    let again = Act { id: id(4), parents: vec![id(3)], ..answer };
    refused(&acts, &again, "procedure.guard", "no open question");
}

#[test]
fn common_steps_fit_every_state_but_a_draft() {
    for kind in Kind::ALL {
        let acts = thread_to(*kind);
        let parents: Vec<u8> = acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect();
        for row in common::ROWS.iter().filter(|row| row.step != "answer") {
            let verdict = judged(&acts, &act(99, row.side, row.step, &parents));
            assert_eq!(verdict.is_ok(), *kind != Kind::Draft, "{kind:?} {}", row.step);
        }
    }
    refused(&thread_to(Kind::Requested), &rq(9, "status-report", &[1]), "procedure.wrong-side", "requesting");
}

#[test]
fn what_is_unknown_is_refused_by_name() {
    let acts = thread_to(Kind::Requested);
    let other = ProcedureCode::parse("EPOC").expect("code");
    assert_eq!(fold(shipped(), &other, &acts, START), Err(Refusal::UnknownProcedure(other)));
    refused(&acts, &rd(9, "acknowledge", &[7]), "procedure.unknown-parent", "0707");
    let strange = Act { step: StepCode::parse("arrest").expect("code"), ..rd(9, "acknowledge", &[1]) };
    refused(&acts, &strange, "procedure.unknown-step", "arrest");
    let bare = Act { facts: vec![], ..rd(9, "preserve", &[1]) };
    refused(&acts, &bare, "procedure.missing-fact", "measure.taken");
    refused(&acts, &rq(9, "request", &[1]), "procedure.wrong-state", "requested");
}

#[test]
fn no_act_is_lost_even_in_a_ring() {
    let ring = [rq(1, "request", &[]), rd(2, "acknowledge", &[3]), rd(3, "preserve", &[2])];
    let standing = folded(&ring);
    assert_eq!(standing.name(), "requested");
    let aside: Vec<_> = standing.set_aside.iter().map(|aside| (aside.id, aside.refusal.code())).collect();
    assert_eq!(aside, [(id(2), "procedure.cycle"), (id(3), "procedure.cycle")]);
}

#[test]
fn a_warning_is_offered_once() {
    use Side::{Requested as B, Requesting as A};
    let open =
        |steps: &[(Side, &str)]| next_steps(&folded(&line(steps)), B).iter().any(|row| row.step == "warn-insufficient");
    assert!(open(&[(A, "request"), (B, "acknowledge")]));
    assert!(!open(&[(A, "request"), (B, "warn-insufficient"), (A, "proceed")]));
}

/// One move of a random play.
#[derive(Debug, Clone)]
struct Move {
    side: bool,
    /// `None`: this side learns everything the other has signed.
    step: Option<u8>,
    id: u8,
    days: u8,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (any::<bool>(), proptest::option::weighted(0.8, any::<u8>()), any::<u8>(), 0u8..9)
        .prop_map(|(side, step, id, days)| Move { side, step, id, days });
    proptest::collection::vec(one, 1..60)
}

/// Two honest sides that act and learn at random; every act is lawful from what its author had seen.
fn play(moves: &[Move]) -> Vec<Act> {
    let steps: Vec<&str> =
        Step::ALL.iter().map(|step| step.code()).chain(["note", "question", "status-report"]).collect();
    let (mut seen, mut now) = ([Vec::<Act>::new(), Vec::new()], START);
    for (number, play) in moves.iter().enumerate() {
        let (own, side) = if play.side { (0, Side::Requesting) } else { (1, Side::Requested) };
        now = now.plus_ms(u64::from(play.days) * DAY + 1);
        let Some(choice) = play.step else {
            let news: Vec<Act> = seen[1 - own].iter().filter(|act| !seen[own].contains(act)).cloned().collect();
            seen[own].extend(news);
            continue;
        };
        let standing = fold(shipped(), &pres(), &seen[own], now).expect("known");
        // Mostly what is open, sometimes anything: refusals are wanted too, but not only.
        let open: Vec<&str> =
            next_steps(&standing, side).iter().map(|row| row.step).filter(|s| *s != "answer").collect();
        let choices = if choice < 200 && !open.is_empty() { &open } else { &steps };
        let mut next = act(0, side, choices[usize::from(choice) % choices.len()], &[]);
        let mut name = [play.id; 32];
        name[31] = u8::try_from(number).expect("few moves");
        (next.id, next.time, next.parents) = (EventId::new(name), now, standing.heads);
        for (step, key) in [("extend", "extension.until"), ("confirm-extension", "measure.until")] {
            if next.step.as_str() == step {
                set(&mut next, key, value::Kind::TimeMs(now.0 + 70 * DAY));
            }
        }
        if next.step.as_str() == "preserve" {
            set(&mut next, "measure.until", value::Kind::TimeMs(now.0 + 61 * DAY));
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
fn path(acts: &[Act]) -> Vec<(Pres, Option<&Act>)> {
    let (_, procedure) = Family::of(shipped(), &pres()).expect("known");
    let mut path = vec![(Pres::Draft, None)];
    for act in Line::of(acts, preservation::rank).acts {
        let (state, _) = path.last().expect("begins with a draft");
        if let Ok(next) = preservation::after(state, act, shipped(), procedure) {
            path.push((next, Some(act)));
        }
    }
    path
}

#[test]
fn random_plays_reach_every_kind_and_set_acts_aside() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut aside) = (BTreeSet::new(), 0);
    for _ in 0..200 {
        let moves = moves().new_tree(&mut runner).expect("a play").current();
        let acts = play(&moves);
        kinds.extend(path(&acts).into_iter().map(|(state, _)| state.kind()));
        aside += usize::from(!folded(&acts).set_aside.is_empty());
    }
    assert_eq!(kinds.len(), Kind::ALL.len(), "{kinds:?}");
    assert!(aside > 5, "{aside}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_order_of_arrival_does_not_matter(moves in moves(), order in any::<u64>(), recorded in any::<u64>()) {
        let acts = play(&moves);
        let mut shuffled = acts.clone();
        shuffled.sort_by_key(|act| {
            let mut mixed = order;
            act.id.as_bytes().iter().for_each(|byte| mixed = mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
            mixed
        });
        shuffled.iter_mut().for_each(|act| act.recorded = Time(recorded));
        shuffled.extend(acts.first().cloned());
        prop_assert_eq!(folded(&acts), folded(&shuffled));
    }

    #[test]
    fn no_path_leaves_the_table(moves in moves()) {
        let acts = play(&moves);
        let path = path(&acts);
        for pair in path.windows(2) {
            let ((from, _), (to, act)) = (&pair[0], &pair[1]);
            let act = act.expect("only the draft has none");
            let row = TABLE.iter().find(|row| {
                row.from.contains(&from.kind()) && row.row.step == act.step.as_str() && row.row.side == act.side
            });
            prop_assert_eq!(row.map(|row| row.to.unwrap_or(from.kind())), Some(to.kind()));
        }
        let State::Preservation(end) = folded(&acts).state else { panic!("no preservation") };
        prop_assert_eq!(Some(&end), path.last().map(|(state, _)| state));
    }

    #[test]
    fn no_lawful_act_of_the_requested_side_is_ever_set_aside(moves in moves()) {
        let acts = play(&moves);
        for aside in folded(&acts).set_aside {
            let act = acts.iter().find(|act| act.id == aside.id).expect("one of them");
            prop_assert_eq!(act.side, Side::Requesting, "{} {}", act.step, aside.refusal);
        }
    }

    #[test]
    fn void_acts_might_as_well_not_have_arrived(moves in moves(), which in any::<prop::sample::Index>()) {
        let mut acts = play(&moves);
        prop_assume!(!acts.is_empty());
        let place = which.index(acts.len());
        acts[place].void = true;
        let mut gone = BTreeSet::from([acts[place].id]);
        while let Some(more) = acts.iter().find(|a| !gone.contains(&a.id) && a.parents.iter().any(|p| gone.contains(p))) {
            gone.insert(more.id);
        }
        let left: Vec<Act> = acts.iter().filter(|act| !gone.contains(&act.id)).cloned().collect();
        prop_assert_eq!(folded(&acts), folded(&left));
    }
}
