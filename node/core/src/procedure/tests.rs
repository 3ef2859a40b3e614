//! Tests of the law: every table as a table, and properties over random threads of every family.
//!
//! Two sides, `XA` asks and `XB` is asked; facts come from the shipped forms, so that a form that does not
//! give a guard its facts shows here. What only one family has is tested beside it; [`Sample`] says what its tests share.

use super::drawing::ends;
use super::*;
use crate::ids::hex;
use crate::proto::{Value, value};
use crate::rules::sample::{full, shipped};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
/// The moment every sample field says, and an hour later, when the first act is signed.
pub(super) const SAMPLE: u64 = 1_700_000_000_000;
pub(super) const START: Time = Time(SAMPLE + HOUR);

/// What the tests must know of a family.
pub(super) trait Sample: Life {
    /// A procedure of the family.
    const CODE: &'static str;
    /// So many random plays reach every kind.
    const PLAYS: usize;

    /// An act as its guard demands it; `about` is the hand-over it names, if its form names one.
    fn act(number: u8, side: Side, step: &str, parents: &[u8], about: u8) -> Act;
    /// The steps to a kind; if a step is named, such that its guard holds there for the hand-over in act 4.
    fn way_to(kind: Self::Kind, step: Option<Self::Step>) -> Vec<(Side, &'static str, u8)>;
    fn state(standing: &Standing) -> &Self::State;
    /// Gives an act of a random play what its guard looks at.
    fn fit(act: &mut Act, standing: &Standing);
    /// True for ends, which would come too often if they were chosen like any other step.
    fn is_rare(step: &str) -> bool;
}

pub(super) fn id(number: u8) -> EventId {
    EventId::new([number; 32])
}

pub(super) fn code<L: Sample>() -> ProcedureCode {
    ProcedureCode::parse(L::CODE).expect("code")
}

/// An act whose facts are those of its form, every field filled in.
pub(super) fn act_of<L: Sample>(number: u8, side: Side, step: &str, parents: &[u8]) -> Act {
    let step = StepCode::parse(step).expect("step");
    let form = shipped().form(&code::<L>(), &step).unwrap_or_else(|| panic!("no form for {step}"));
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

pub(super) fn folded<L: Sample>(acts: &[Act]) -> Standing {
    fold(shipped(), &code::<L>(), acts, START).expect("known procedure")
}

pub(super) fn judged<L: Sample>(known: &[Act], act: &Act) -> Result<(), Refusal> {
    permits(shipped(), &code::<L>(), known, act, &Setting::default())
}

pub(super) fn refused<L: Sample>(known: &[Act], act: &Act, code: &str, says: &str) {
    let refusal = judged::<L>(known, act).expect_err("a refusal");
    assert_eq!(refusal.code(), code);
    let text = refusal.to_string();
    assert!(text.starts_with(code) && text.contains(says), "{text}");
}

/// A straight thread: each act follows the one before and must be lawful.
pub(super) fn line<L: Sample>(steps: &[(Side, &'static str, u8)]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for (number, (side, step, about)) in (1u8..).zip(steps) {
        let parents: &[u8] = if number == 1 { &[] } else { &[number - 1] };
        let next = L::act(number, *side, step, parents, *about);
        judged::<L>(&acts, &next).unwrap_or_else(|refusal| panic!("{number} {step}: {refusal}"));
        acts.push(next);
    }
    acts
}

/// A thread that ends in a kind.
pub(super) fn thread_to<L: Sample>(kind: L::Kind) -> Vec<Act> {
    line::<L>(&L::way_to(kind, None))
}

/// Two branches from one act: both orders of arrival give `expected`, and so many acts are set aside.
pub(super) fn at_once<L: Sample>(common: &[Act], one: Vec<Act>, two: Vec<Act>, expected: &str, aside: &[u8]) {
    let forth = folded::<L>(&[common, &one, &two].concat());
    let back = folded::<L>(&[&two, &one, common].concat());
    assert_eq!(forth, back);
    assert_eq!(forth.name(), expected);
    assert_eq!(forth.set_aside.iter().map(|a| a.id.as_bytes()[0]).collect::<Vec<_>>(), aside);
}

fn kind_of<L: Sample>(acts: &[Act]) -> L::Kind {
    L::kind(L::state(&folded::<L>(acts)))
}

fn last(acts: &[Act]) -> Vec<u8> {
    acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect()
}

#[test]
fn every_step_from_every_state_does_what_the_table_says_and_nothing_else() {
    fn check<L: Sample>(kind: L::Kind, step: L::Step, side: Side) {
        let acts = line::<L>(&L::way_to(kind, Some(step)));
        assert_eq!(kind_of::<L>(&acts), kind, "{step:?}");
        let next = L::act(99, side, L::code(step), &last(&acts), 4);
        let rows: Vec<_> = L::TABLE.iter().filter(|row| row.step == step && row.fits(kind, side)).collect();
        assert!(rows.len() <= 1, "two rows for {kind:?} {step:?}");
        let verdict = judged::<L>(&acts, &next);
        let Some(row) = rows.first() else {
            let code = verdict.expect_err("no row").code();
            assert!(matches!(code, "procedure.wrong-state" | "procedure.wrong-side"), "{kind:?} {step:?} {code}");
            return;
        };
        assert_eq!(verdict, Ok(()), "{kind:?} {step:?}");
        let after = L::name(kind_of::<L>(&[acts, vec![next]].concat()));
        assert!(ends::<L>(row.to, L::name(kind)).contains(&after), "{kind:?} {step:?} {after}");
    }
    fn every<L: Sample>() {
        for (kind, step) in L::KINDS.iter().flat_map(|kind| L::STEPS.iter().map(move |step| (*kind, *step))) {
            check::<L>(kind, step, Side::Requesting);
            check::<L>(kind, step, Side::Requested);
        }
    }
    every::<Preservation>();
    every::<Assistance>();
}

#[test]
fn every_row_has_a_form_and_every_form_but_a_record_a_row() {
    fn check<L: Sample>(records: &[&str]) {
        let procedure = code::<L>();
        let rows = L::TABLE.iter().map(|row| &row.row).chain(common::ROWS);
        let named: BTreeSet<&str> = rows.map(|row| row.step).collect();
        let forms = || shipped().forms().filter(|form| *form.procedure() == procedure);
        let of = |record: bool| -> BTreeSet<&str> {
            forms().filter(|form| form.is_record() == record).map(|form| form.step().as_str()).collect()
        };
        assert_eq!(of(false), named);
        assert_eq!(of(true), records.iter().copied().collect());
        assert!(L::STEPS.iter().all(|step| named.contains(L::code(*step))));
    }
    check::<Preservation>(&[]);
    check::<Assistance>(&["seal"]);
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

fn rq(number: u8, step: &str, parents: &[u8]) -> Act {
    Preservation::act(number, Side::Requesting, step, parents, 0)
}

fn rd(number: u8, step: &str, parents: &[u8]) -> Act {
    Preservation::act(number, Side::Requested, step, parents, 0)
}

fn asked() -> Vec<Act> {
    thread_to::<Preservation>(preservation::Kind::Requested)
}

#[test]
fn a_void_act_and_what_follows_it_count_for_nothing() {
    let mut acts = thread_to::<Preservation>(preservation::Kind::Released);
    acts[1].void = true;
    let standing = folded::<Preservation>(&acts);
    assert_eq!((standing.name(), standing.heads.clone()), ("requested", vec![id(1)]));
    let next = rd(9, "acknowledge", &[3]);
    assert_eq!(judged::<Preservation>(&acts, &next), Err(Refusal::VoidParent(id(2))));
}

#[test]
fn a_question_turns_the_table_until_it_is_answered() {
    let mut acts = [asked(), vec![rd(2, "question", &[1])]].concat();
    assert_eq!(whose_turn(&folded::<Preservation>(&acts)), Some(Side::Requesting));
    let mut answer = rq(3, "answer", &[2]);
    refused::<Preservation>(&acts, &answer, "procedure.guard", "no open question");
    set(&mut answer, "answer.to", value::Kind::Code(hex(id(2).as_bytes())));
    assert_eq!(judged::<Preservation>(&acts, &answer), Ok(()));
    acts.push(answer.clone());
    assert_eq!(whose_turn(&folded::<Preservation>(&acts)), Some(Side::Requested));
    let again = Act { id: id(4), parents: vec![id(3)], ..answer };
    refused::<Preservation>(&acts, &again, "procedure.guard", "no open question");
}

#[test]
fn common_steps_fit_every_state_but_a_draft() {
    fn check<L: Sample>() {
        for kind in L::KINDS {
            let acts = thread_to::<L>(*kind);
            for row in common::ROWS.iter().filter(|row| row.step != "answer") {
                let verdict = judged::<L>(&acts, &L::act(99, row.side, row.step, &last(&acts), 0));
                assert_eq!(verdict.is_ok(), L::name(*kind) != "draft", "{kind:?} {}", row.step);
            }
        }
    }
    check::<Preservation>();
    check::<Assistance>();
    refused::<Preservation>(&asked(), &rq(9, "status-report", &[1]), "procedure.wrong-side", "requesting");
}

#[test]
fn what_is_unknown_is_refused_by_name() {
    let acts = asked();
    let other = ProcedureCode::parse("EPOC").expect("code");
    assert_eq!(fold(shipped(), &other, &acts, START), Err(Refusal::UnknownProcedure(other)));
    refused::<Preservation>(&acts, &rd(9, "acknowledge", &[7]), "procedure.unknown-parent", "0707");
    let strange = Act { step: StepCode::parse("arrest").expect("code"), ..rd(9, "acknowledge", &[1]) };
    refused::<Preservation>(&acts, &strange, "procedure.unknown-step", "arrest");
    let bare = Act { facts: vec![], ..rd(9, "preserve", &[1]) };
    refused::<Preservation>(&acts, &bare, "procedure.missing-fact", "measure.taken");
    refused::<Preservation>(&acts, &rq(9, "request", &[1]), "procedure.wrong-state", "requested");
}

#[test]
fn no_act_is_lost_even_in_a_ring() {
    let ring = [rq(1, "request", &[]), rd(2, "acknowledge", &[3]), rd(3, "preserve", &[2])];
    let standing = folded::<Preservation>(&ring);
    assert_eq!(standing.name(), "requested");
    let aside: Vec<_> = standing.set_aside.iter().map(|aside| (aside.id, aside.refusal.code())).collect();
    assert_eq!(aside, [(id(2), "procedure.cycle"), (id(3), "procedure.cycle")]);
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
    proptest::collection::vec(one, 1..70)
}

/// Mostly a step that is open, sometimes any: refusals are wanted too, but not only.
fn chosen<L: Sample>(standing: &Standing, side: Side, choice: u8) -> &'static str {
    let rows = next_steps(standing, side).into_iter().map(|row| row.step);
    let of_family = rows.filter(|step| L::STEPS.iter().any(|known| L::code(*known) == *step));
    let open: Vec<_> = of_family.filter(|step| !L::is_rare(step) || choice.is_multiple_of(8)).collect();
    let all: Vec<_> = L::STEPS.iter().map(|step| L::code(*step)).chain(["note", "question", "status-report"]).collect();
    let choices = if choice < 200 && !open.is_empty() { &open } else { &all };
    choices[usize::from(choice) % choices.len()]
}

/// Two honest sides that act and learn at random; every act is lawful from what its author had seen.
fn play<L: Sample>(moves: &[Move]) -> Vec<Act> {
    let (mut seen, mut now) = ([Vec::<Act>::new(), Vec::new()], START);
    for (number, play) in moves.iter().enumerate() {
        let (own, side) = if play.side { (0, Side::Requesting) } else { (1, Side::Requested) };
        now = now.plus_ms(u64::from(play.days) * DAY + 1);
        let Some(choice) = play.step else {
            let news: Vec<Act> = seen[1 - own].iter().filter(|act| !seen[own].contains(act)).cloned().collect();
            seen[own].extend(news);
            continue;
        };
        let standing = fold(shipped(), &code::<L>(), &seen[own], now).expect("known");
        let mut next = L::act(0, side, chosen::<L>(&standing, side, choice), &[], 0);
        let mut name = [play.id; 32];
        name[31] = u8::try_from(number).expect("few moves");
        (next.id, next.time, next.parents) = (EventId::new(name), now, standing.heads.clone());
        L::fit(&mut next, &standing);
        if judged::<L>(&seen[own], &next).is_ok() {
            seen[own].push(next);
        }
    }
    let [mut all, other] = seen;
    all.extend(other.into_iter().filter(|act| !all.iter().any(|known| known.id == act.id)).collect::<Vec<_>>());
    all
}

/// The states a thread passes through, each with the act that led there.
fn path<L: Sample>(acts: &[Act]) -> Vec<(L::State, Option<&Act>)> {
    let rules = shipped();
    let (_, procedure) = Family::of(rules, &code::<L>()).expect("known");
    let mut path = vec![(L::DRAFT, None)];
    for act in Line::of(acts, L::rank).acts {
        let (state, _) = path.last().expect("begins with a draft");
        if let Ok(next) = (Judging::<L> { state, act, rules, procedure }).after() {
            path.push((next, Some(act)));
        }
    }
    path
}

#[test]
fn random_plays_reach_every_kind_and_set_acts_aside() {
    fn check<L: Sample>() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let (mut kinds, mut aside) = (BTreeSet::new(), 0);
        for _ in 0..L::PLAYS {
            let acts = play::<L>(&moves().new_tree(&mut runner).expect("a play").current());
            kinds.extend(path::<L>(&acts).into_iter().map(|(state, _)| L::kind(&state)));
            aside += usize::from(!folded::<L>(&acts).set_aside.is_empty());
        }
        assert_eq!(kinds.len(), L::KINDS.len(), "{kinds:?}");
        assert!(aside > 5, "{aside}");
    }
    check::<Preservation>();
    check::<Assistance>();
}

fn same_in_any_order<L: Sample>(moves: &[Move], order: u64, recorded: u64) -> Result<(), TestCaseError> {
    let acts = play::<L>(moves);
    let mut shuffled = acts.clone();
    shuffled.sort_by_key(|act| {
        act.id.as_bytes().iter().fold(order, |mixed, byte| mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte))
    });
    shuffled.iter_mut().for_each(|act| act.recorded = Time(recorded));
    shuffled.extend(acts.first().cloned());
    prop_assert_eq!(folded::<L>(&acts), folded::<L>(&shuffled));
    Ok(())
}

fn stays_in_the_table<L: Sample>(moves: &[Move]) -> Result<(), TestCaseError> {
    let acts = play::<L>(moves);
    let path = path::<L>(&acts);
    for pair in path.windows(2) {
        let ((from, _), (to, act)) = (&pair[0], &pair[1]);
        let act = act.expect("only the draft has none");
        let (from, to) = (L::kind(from), L::name(L::kind(to)));
        let row = L::TABLE.iter().find(|row| row.row.step == act.step.as_str() && row.fits(from, act.side));
        let fits = row.is_some_and(|row| ends::<L>(row.to, L::name(from)).contains(&to));
        prop_assert!(fits, "{:?} {} {}", from, act.step, to);
    }
    let end = folded::<L>(&acts);
    prop_assert_eq!(Some(L::state(&end)), path.last().map(|(state, _)| state));
    Ok(())
}

fn sets_aside_the_asking_side_only<L: Sample>(moves: &[Move]) -> Result<(), TestCaseError> {
    let acts = play::<L>(moves);
    for aside in folded::<L>(&acts).set_aside {
        let act = acts.iter().find(|act| act.id == aside.id).expect("one of them");
        prop_assert_eq!(act.side, Side::Requesting, "{} {}", act.step, aside.refusal);
    }
    Ok(())
}

fn forgets_what_is_void<L: Sample>(moves: &[Move], which: prop::sample::Index) -> Result<(), TestCaseError> {
    let mut acts = play::<L>(moves);
    if acts.is_empty() {
        return Ok(());
    }
    let place = which.index(acts.len());
    acts[place].void = true;
    let mut gone = BTreeSet::from([acts[place].id]);
    while let Some(more) = acts.iter().find(|a| !gone.contains(&a.id) && a.parents.iter().any(|p| gone.contains(p))) {
        gone.insert(more.id);
    }
    let left: Vec<Act> = acts.iter().filter(|act| !gone.contains(&act.id)).cloned().collect();
    prop_assert_eq!(folded::<L>(&acts), folded::<L>(&left));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_order_of_arrival_does_not_matter(moves in moves(), order in any::<u64>(), recorded in any::<u64>()) {
        same_in_any_order::<Preservation>(&moves, order, recorded)?;
        same_in_any_order::<Assistance>(&moves, order, recorded)?;
    }

    #[test]
    fn no_path_leaves_the_table(moves in moves()) {
        stays_in_the_table::<Preservation>(&moves)?;
        stays_in_the_table::<Assistance>(&moves)?;
    }

    #[test]
    fn no_lawful_act_of_the_requested_side_is_ever_set_aside(moves in moves()) {
        sets_aside_the_asking_side_only::<Preservation>(&moves)?;
        sets_aside_the_asking_side_only::<Assistance>(&moves)?;
    }

    #[test]
    fn void_acts_might_as_well_not_have_arrived(moves in moves(), which in any::<prop::sample::Index>()) {
        forgets_what_is_void::<Preservation>(&moves, which)?;
        forgets_what_is_void::<Assistance>(&moves, which)?;
    }
}
