//! Tests of the law: every table as a table, and properties over random threads of every procedure.
//!
//! Two sides, `XA` asks and `XB` is asked. What only one procedure has is tested in a file of its own.

mod assistance;
mod extradition;
mod lifecycles;
mod orders;
pub(crate) mod play;
mod preservation;
mod scenarios;
mod second_protocol;

use super::*;
use crate::ids::hex;
use crate::proto::value;
use crate::rules::To;
use crate::rules::sample::shipped;
use play::{
    DAY, START, code, fit, folded, id, judged, last, next, offered, plain, refused, set, set_if, thread_to, walked,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

fn name(acts: &[Act], procedure: &ProcedureCode) -> String {
    folded(procedure, acts).course.state().to_string()
}

/// Each row of each table is taken somewhere, each state reached.
#[test]
fn every_state_is_reached_and_every_row_taken() {
    for procedure in offered() {
        let family = shipped().family(&procedure).expect("offered");
        let walked = walked(&procedure);
        let reached: BTreeSet<&str> = walked.ways.keys().map(|(state, ..)| state.as_str()).collect();
        let missed = family.states.iter().filter(|state| !reached.contains(state.name.as_str())).collect::<Vec<_>>();
        assert!(missed.is_empty(), "{procedure}: {missed:?}");
        let rows = family.rows.iter().enumerate();
        let idle = rows.filter(|(place, _)| !walked.taken.contains(place)).map(|(_, row)| &row.step);
        assert_eq!(idle.collect::<Vec<_>>(), Vec::<&StepCode>::new(), "{procedure}: rows nobody can take");
    }
}

/// One procedure of each life: another differs from it in its forms and instruments, and is walked as well.
fn of_each_family() -> Vec<ProcedureCode> {
    let mut seen = BTreeSet::new();
    let of = |code: &ProcedureCode| shipped().family(code).expect("offered").code.clone();
    offered().into_iter().filter(|code| seen.insert(of(code))).collect()
}

/// Where a step has a row it leads where the row says; where it has none it is refused by name.
#[test]
fn every_step_from_every_place_does_what_the_table_says_and_nothing_else() {
    for procedure in of_each_family() {
        let family = shipped().family(&procedure).expect("offered");
        for acts in walked(&procedure).ways.values() {
            let standing = folded(&procedure, acts);
            let state = standing.course.state();
            for row in &family.rows {
                let mut act = plain(&procedure, 200, row.by.side(), row.step.as_str(), &last(acts));
                fit(&mut act, &standing);
                let verdict = judged(&procedure, acts, &act);
                let own = family.rows.iter().find(|row| row.step == act.step && row.fits(state.as_str(), act.side));
                let Some(own) = own else {
                    let refusal = verdict.expect_err("no row");
                    assert_eq!(refusal.code(), "procedure.wrong-state", "{procedure} {state} {}", act.step);
                    continue;
                };
                if verdict.is_ok() {
                    let after = name(&[acts.clone(), vec![act]].concat(), &procedure);
                    let step = &own.step;
                    assert!(family.ends(own, state).contains(&after.as_str()), "{procedure} {state} {step} {after}");
                }
            }
        }
    }
}

#[test]
fn a_step_of_the_other_side_is_refused_by_name() {
    for procedure in offered() {
        let family = shipped().family(&procedure).expect("offered");
        for row in &family.rows {
            let other = row.by.side().other();
            if family.rows.iter().any(|own| own.step == row.step && own.by.side() == other) {
                continue;
            }
            let acts = thread_to(procedure.as_str(), row.from[0].as_str());
            let act = plain(&procedure, 200, other, row.step.as_str(), &last(&acts));
            assert_eq!(judged(&procedure, &acts, &act).expect_err("refused").code(), "procedure.wrong-side");
        }
    }
}

/// Compares a printed page with the one that is kept beside the tables, or keeps it.
fn printed(name: &str, page: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/families").join(name);
    if std::env::var_os("COMITY_BLESS").is_some() {
        std::fs::write(&path, page).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{name} differs from the table; run the test with COMITY_BLESS=1");
}

#[test]
fn the_pages_are_printed_from_the_tables() {
    for family in shipped().families() {
        printed(&format!("{}.md", family.code), &drawing(shipped(), family));
    }
}

fn asked() -> Vec<Act> {
    thread_to("PRES", "requested")
}

#[test]
fn a_void_act_and_what_follows_it_count_for_nothing() {
    let pres = code("PRES");
    let mut acts = thread_to("PRES", "released");
    acts[1].void = true;
    let standing = folded(&pres, &acts);
    assert_eq!((standing.name(), standing.heads.clone()), ("requested", vec![id(1)]));
    let act = plain(&pres, 9, Side::Requested, "acknowledge", &[3]);
    assert_eq!(judged(&pres, &acts, &act), Err(Refusal::VoidParent(id(2))));
}

#[test]
fn a_question_turns_the_table_until_it_is_answered() {
    let pres = code("PRES");
    let mut acts = [asked(), vec![plain(&pres, 2, Side::Requested, "question", &[1])]].concat();
    assert_eq!(whose_turn(&folded(&pres, &acts)), Some(Side::Requesting));
    let mut answer = plain(&pres, 3, Side::Requesting, "answer", &[2]);
    refused("PRES", &acts, &answer, "procedure.guard", "no open question");
    set(&mut answer, "answer.to", value::Kind::Code(hex(id(2).as_bytes())));
    assert_eq!(judged(&pres, &acts, &answer), Ok(()));
    acts.push(answer.clone());
    assert_eq!(whose_turn(&folded(&pres, &acts)), Some(Side::Requested));
    let again = Act { id: id(4), parents: vec![id(3)], ..answer };
    refused("PRES", &acts, &again, "procedure.guard", "no open question");
}

#[test]
fn each_side_translates_what_it_signed_itself() {
    let (pres, mut acts) = (code("PRES"), asked());
    let mut translation = plain(&pres, 2, Side::Requesting, "translation", &[1]);
    let set_of = |act: &mut Act, number: u8| {
        set(act, "translation.of", value::Kind::Code(hex(id(number).as_bytes())));
    };
    refused("PRES", &acts, &translation, "procedure.guard", "no act of this side");
    set_of(&mut translation, 1);
    let other = Act { side: Side::Requested, author: PartyCode::parse("XB").expect("code"), ..translation.clone() };
    refused("PRES", &acts, &other, "procedure.guard", "no act of this side");
    assert_eq!(judged(&pres, &acts, &translation), Ok(()));
    acts.push(translation);
    let mut again = plain(&pres, 3, Side::Requesting, "translation", &[2]);
    set_of(&mut again, 1);
    set(&mut again, "translation.language", value::Kind::Code("fr".into()));
    acts.push(again);
    let signed = folded(&pres, &acts).common.signed;
    let into: Vec<(&str, EventId)> = signed[&id(1)].translations.iter().map(|(l, e)| (l.as_str(), *e)).collect();
    assert_eq!(into, [("en", id(2)), ("fr", id(3))]);
    assert!(signed[&id(2)].translations.is_empty());
}

#[test]
fn common_steps_fit_every_state_but_a_draft() {
    for procedure in offered() {
        for state in &shipped().family(&procedure).expect("offered").states {
            let acts = thread_to(procedure.as_str(), state.name.as_str());
            for row in common::ROWS.iter().filter(|row| !["answer", "translation"].contains(&row.step)) {
                let mut act = plain(&procedure, 200, row.side, row.step, &last(&acts));
                if let Some(level) = folded(&procedure, &acts).common.urgency {
                    set_if(&mut act, "urgency.level", value::Kind::Code(level.to_string()));
                }
                let verdict = judged(&procedure, &acts, &act);
                assert_eq!(verdict.is_ok(), state.name.as_str() != "draft", "{procedure} {} {}", state.name, row.step);
            }
        }
    }
    let report = plain(&code("PRES"), 9, Side::Requesting, "status-report", &[1]);
    refused("PRES", &asked(), &report, "procedure.wrong-side", "requesting");
}

#[test]
fn what_is_unknown_is_refused_by_name() {
    let (pres, acts) = (code("PRES"), asked());
    let other = code("PURSUIT");
    assert_eq!(fold(shipped(), &other, &acts, START).err(), Some(Refusal::UnknownProcedure(other)));
    let rd = |step: &str, parents: &[u8]| plain(&pres, 9, Side::Requested, step, parents);
    refused("PRES", &acts, &rd("acknowledge", &[7]), "procedure.unknown-parent", "0707");
    let strange = Act { step: StepCode::parse("arrest").expect("code"), ..rd("acknowledge", &[1]) };
    refused("PRES", &acts, &strange, "procedure.unknown-step", "arrest");
    let bare = Act { facts: vec![], ..rd("preserve", &[1]) };
    refused("PRES", &acts, &bare, "procedure.missing-fact", "measure.taken");
    let again = next(&pres, &acts, 9, Side::Requesting, "request");
    refused("PRES", &acts, &again, "procedure.wrong-state", "requested");
}

/// An instrument that does not bind both is no basis, whatever the rules say of it.
#[test]
fn what_is_not_in_force_is_not_offered() {
    let pres = code("PRES");
    let act = next(&pres, &[], 1, Side::Requesting, "request");
    assert_eq!(judged(&pres, &[], &act), Ok(()));
    let verdict = permits(shipped(), &pres, &[], &act, &Setting::default());
    assert_eq!(verdict.err().map(|refusal| refusal.code()), Some("procedure.not-in-force"));
    // What was asked while it was in force goes on after it has ended.
    let acknowledge = next(&pres, std::slice::from_ref(&act), 2, Side::Requested, "acknowledge");
    assert_eq!(permits(shipped(), &pres, &[act], &acknowledge, &Setting::default()), Ok(()));
}

#[test]
fn no_act_is_lost_even_in_a_ring() {
    let pres = code("PRES");
    let rd = |number, step, parents: &[u8]| plain(&pres, number, Side::Requested, step, parents);
    let ring = [asked(), vec![rd(2, "acknowledge", &[3]), rd(3, "preserve", &[2])]].concat();
    let standing = folded(&pres, &ring);
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

/// Mostly a step that is open, sometimes any: refusals are wanted too, but not only. Ends would come too often if they were
/// chosen like any other step.
fn chosen(standing: &Standing, side: Side, choice: u8) -> String {
    let family = &standing.family;
    let ends = |step: &str| {
        let rows = family.rows.iter().filter(|row| row.step.as_str() == step && row.by.side() == side);
        rows.clone().any(|row| matches!(&row.to, To::State(state) if family.is_final(state.as_str())))
    };
    let open = next_steps(standing, side).into_iter().map(|open| open.step.to_owned());
    let open: Vec<_> = open.filter(|step| !common::knows(&StepCode::parse(step).expect("step"))).collect();
    let open: Vec<_> = open.into_iter().filter(|step| !ends(step) || choice.is_multiple_of(8)).collect();
    let shared = ["note", "question", "status-report"].map(str::to_owned);
    let all: Vec<_> = family.rows.iter().map(|row| row.step.to_string()).chain(shared).collect();
    let choices = if choice < 200 && !open.is_empty() { &open } else { &all };
    choices[usize::from(choice) % choices.len()].clone()
}

/// Two honest sides that act and learn at random; every act is lawful from what its author had seen.
fn play(procedure: &ProcedureCode, moves: &[Move]) -> Vec<Act> {
    let (mut seen, mut now) = ([Vec::<Act>::new(), Vec::new()], START);
    for (number, play) in moves.iter().enumerate() {
        let (own, side) = if play.side { (0, Side::Requesting) } else { (1, Side::Requested) };
        now = now.plus_ms(u64::from(play.days) * DAY + 1);
        let Some(choice) = play.step else {
            let news: Vec<Act> = seen[1 - own].iter().filter(|act| !seen[own].contains(act)).cloned().collect();
            seen[own].extend(news);
            continue;
        };
        let standing = fold(shipped(), procedure, &seen[own], now).expect("known");
        let mut next = plain(procedure, 0, side, &chosen(&standing, side, choice), &[]);
        let mut name = [play.id; 32];
        name[31] = u8::try_from(number).expect("few moves");
        (next.id, next.time, next.parents) = (EventId::new(name), now, standing.heads.clone());
        fit(&mut next, &standing);
        if judged(procedure, &seen[own], &next).is_ok() {
            seen[own].push(next);
        }
    }
    let [mut all, other] = seen;
    all.extend(other.into_iter().filter(|act| !all.iter().any(|known| known.id == act.id)).collect::<Vec<_>>());
    all
}

/// The states a thread passes through, each with the act that led there.
fn path<'a>(code: &ProcedureCode, acts: &'a [Act]) -> Vec<(Course, Option<&'a Act>)> {
    let (family, procedure) = known(shipped(), code).expect("known");
    let mut standing = folded(code, &[]);
    let mut path = vec![(standing.course.clone(), None)];
    for act in Line::of(acts, |act| rank(family, act)).acts {
        if take(&mut standing, act, shipped(), procedure).is_ok() {
            path.push((standing.course.clone(), Some(act)));
        }
    }
    path
}

/// So many random plays set acts aside, and reach more than the beginning, in every procedure.
#[test]
fn random_plays_go_far_and_set_acts_aside() {
    for procedure in offered() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let (mut states, mut aside) = (BTreeSet::new(), 0);
        for _ in 0..200 {
            let acts = play(&procedure, &moves().new_tree(&mut runner).expect("a play").current());
            states.extend(path(&procedure, &acts).into_iter().map(|(course, _)| course.state().to_string()));
            aside += usize::from(!folded(&procedure, &acts).set_aside.is_empty());
        }
        let all = shipped().family(&procedure).expect("offered").states.len();
        assert!(states.len() * 3 >= all, "{procedure}: {} of {all} states: {states:?}", states.len());
        assert!(aside > 0, "{procedure}");
    }
}

fn same_in_any_order(
    procedure: &ProcedureCode,
    moves: &[Move],
    order: u64,
    recorded: u64,
) -> Result<(), TestCaseError> {
    let acts = play(procedure, moves);
    let mut shuffled = acts.clone();
    shuffled.sort_by_key(|act| {
        act.id.as_bytes().iter().fold(order, |mixed, byte| mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte))
    });
    shuffled.iter_mut().for_each(|act| act.recorded = Time(recorded));
    shuffled.extend(acts.first().cloned());
    prop_assert_eq!(folded(procedure, &acts), folded(procedure, &shuffled));
    Ok(())
}

fn stays_in_the_table(procedure: &ProcedureCode, moves: &[Move]) -> Result<(), TestCaseError> {
    let acts = play(procedure, moves);
    let path = path(procedure, &acts);
    let family = shipped().family(procedure).expect("offered");
    for pair in path.windows(2) {
        let ((from, _), (to, act)) = (&pair[0], &pair[1]);
        let act = act.expect("only the draft has none");
        if common::knows(&act.step) {
            prop_assert_eq!(from.state(), to.state());
            continue;
        }
        let row = family.rows.iter().find(|row| row.step == act.step && row.fits(from.state().as_str(), act.side));
        let fits = row.is_some_and(|row| family.ends(row, from.state()).contains(&to.state().as_str()));
        prop_assert!(fits, "{:?} {} {:?}", from.state(), act.step, to.state());
    }
    let end = folded(procedure, &acts);
    prop_assert_eq!(Some(&end.course), path.last().map(|(course, _)| course));
    Ok(())
}

fn sets_aside_the_asking_side_only(procedure: &ProcedureCode, moves: &[Move]) -> Result<(), TestCaseError> {
    let acts = play(procedure, moves);
    for aside in folded(procedure, &acts).set_aside {
        let act = acts.iter().find(|act| act.id == aside.id).expect("one of them");
        prop_assert_eq!(act.side, Side::Requesting, "{} {}", act.step, aside.refusal);
    }
    Ok(())
}

fn forgets_what_is_void(
    procedure: &ProcedureCode,
    moves: &[Move],
    which: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let mut acts = play(procedure, moves);
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
    prop_assert_eq!(folded(procedure, &acts), folded(procedure, &left));
    Ok(())
}

fn any_procedure() -> impl Strategy<Value = ProcedureCode> {
    proptest::sample::select(offered())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_arrival_does_not_matter(procedure in any_procedure(), moves in moves(), order in any::<u64>(), recorded in any::<u64>()) {
        same_in_any_order(&procedure, &moves, order, recorded)?;
    }

    #[test]
    fn no_path_leaves_the_table(procedure in any_procedure(), moves in moves()) {
        stays_in_the_table(&procedure, &moves)?;
    }

    #[test]
    fn no_lawful_act_of_the_requested_side_is_ever_set_aside(procedure in any_procedure(), moves in moves()) {
        sets_aside_the_asking_side_only(&procedure, &moves)?;
    }

    #[test]
    fn void_acts_might_as_well_not_have_arrived(procedure in any_procedure(), moves in moves(), which in any::<prop::sample::Index>()) {
        forgets_what_is_void(&procedure, &moves, which)?;
    }
}
