//! What the tests of the law share: acts whose facts are those of the shipped forms, fitted to what their guards look at, so
//! that a form that does not give a guard its facts shows here; and every place a procedure's table leads to.

use super::super::windows::Window;
use super::super::*;
use crate::ids::hex;
use crate::law::closed;
use crate::proto::{Value, value};
use crate::rules::sample::{full, shipped};
use crate::rules::{Basis, GroundUse, Guard, StepRow};
use std::sync::Mutex;
use value::Kind;

pub(crate) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
/// The moment every sample field says, and an hour later, when the first act is signed.
pub(super) const SAMPLE: u64 = 1_700_000_000_000;
pub(super) const START: Time = Time(SAMPLE + HOUR);

pub(super) fn id(number: u8) -> EventId {
    EventId::new([number; 32])
}

pub(super) fn code(procedure: &str) -> ProcedureCode {
    ProcedureCode::parse(procedure).expect("code")
}

pub(super) fn term(text: &str) -> Code {
    Code::parse(text).expect("code")
}

/// Two Parties that every instrument binds; the one that is asked declared only what lets it bar a direct order at all, and what
/// lets a person renounce speciality.
pub(crate) fn bound() -> Setting {
    let in_force = shipped().instruments().map(|row| row.code.clone()).collect();
    Setting { in_force, reservations: BTreeSet::from([term("2AP.7.5"), term("ECE-P3.5")]) }
}

/// All procedures that are offered.
pub(crate) fn offered() -> Vec<ProcedureCode> {
    shipped().procedures().filter(|row| row.family.is_some()).map(|row| row.code.clone()).collect()
}

/// An act whose facts are those of its form, every field filled in.
pub(super) fn plain(procedure: &ProcedureCode, number: u8, side: Side, step: &str, parents: &[u8]) -> Act {
    let step = StepCode::parse(step).expect("step");
    let form = shipped().form(procedure, &step).unwrap_or_else(|| panic!("no form for {procedure}/{step}"));
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

/// Says another value of a fact the act has.
pub(crate) fn set(act: &mut Act, key: &str, kind: Kind) {
    let fact = act.facts.iter_mut().find(|fact| fact.key == key).unwrap_or_else(|| panic!("no fact {key}"));
    fact.value = Some(Value { kind: Some(kind) });
}

pub(super) fn says(act: &Act, key: &str) -> bool {
    act.facts.iter().any(|fact| fact.key == key)
}

pub(super) fn set_if(act: &mut Act, key: &str, kind: Kind) {
    if says(act, key) {
        set(act, key, kind);
    }
}

pub(super) fn without(act: &mut Act, key: &str) {
    act.facts.retain(|fact| !fact.key.starts_with(key));
}

/// The instrument a request of the tests is based on: the first the rules name for the procedure.
pub(super) fn basis(procedure: &ProcedureCode) -> &'static Basis {
    shipped().bases(procedure).next().unwrap_or_else(|| panic!("{procedure} has no basis"))
}

/// What the instrument that an act names, or its request has named, says of the procedure; of others the first the rules name.
fn based(act: &Act, standing: &Standing) -> &'static Basis {
    let key = "reference.instrument";
    let named = act.code_if_any(key).or_else(|| standing.course.code(key));
    let own = named.and_then(|instrument| shipped().basis(&standing.procedure, &instrument));
    own.unwrap_or_else(|| basis(&standing.procedure))
}

/// Gives an act what the guards of its row look at, where the request stands.
pub(crate) fn fit(act: &mut Act, standing: &Standing) {
    let row = standing
        .family
        .rows
        .iter()
        .find(|row| row.fits(standing.course.state().as_str(), act.side) && row.step == act.step);
    for guard in row.map(|row| row.guards.clone()).unwrap_or_default() {
        fit_to(act, guard, standing);
    }
    if act.step.as_str() == "answer"
        && let Some((question, _)) = standing.common.open_questions.iter().find(|(_, asker)| **asker != act.side)
    {
        set(act, "answer.to", Kind::Code(hex(question.as_bytes())));
    }
    if act.step.as_str() == "translation"
        && let Some((own, _)) = standing.common.signed.iter().find(|(_, signed)| signed.by == act.side)
    {
        set(act, "translation.of", Kind::Code(hex(own.as_bytes())));
    }
}

fn fit_to(act: &mut Act, guard: Guard, standing: &Standing) {
    let now = act.time.0;
    let later = |days: u64| {
        Kind::TimeMs(standing.course.time("measure.until").map_or(now, |until| until.0.max(now)) + days * DAY)
    };
    match guard {
        Guard::BasedOnInstrument | Guard::ReachesThreshold => fit_request(act, based(act, standing)),
        Guard::HoldsLongEnough => {
            set(act, "measure.taken", Kind::TimeMs(now));
            set(act, "measure.until", Kind::TimeMs(now + 61 * DAY));
        }
        Guard::AsksForLonger => set(act, "extension.until", later(9)),
        Guard::EndsLater => set(act, "measure.until", later(9)),
        Guard::GroundIsOpen => fit_ground(act, standing),
        Guard::PartNamesGround => {
            set(act, "accept.scope", Kind::Code("whole".into()));
            without(act, "ground");
        }
        Guard::ReplacesDisputed => name(act, standing, Delivery::is_disputed),
        Guard::OffersTerms => name(act, standing, Delivery::is_offered),
        Guard::IsOpen => name(act, standing, Delivery::is_open),
        Guard::VerifiedWhole => name(act, standing, Delivery::is_accepted),
        Guard::ConditionsAreOpen => set_all(act, "conditions", &[condition(act, standing).expect("a condition")]),
        Guard::TermsAreOpen => set_all(act, "terms.codes", condition(act, standing).as_slice()),
        Guard::DocumentsComplete => fit_documents(act, standing),
        Guard::WithinSpeciality => {
            let scope = standing.course.codes("speciality.scope");
            set_all(act, "charge.codes", &scope);
            set(act, "charge.same-acts", Kind::Flag(true));
        }
        Guard::ReceivedByNow => set(act, "received.at", Kind::TimeMs(now.max(standing.course.since().0))),
        Guard::WindowIsOver => wait_for(act, standing, "ea-review"),
        Guard::AnswerIsOverdue => wait_for(act, standing, "answer"),
        Guard::ExtendsByRule => set(act, "measure.until", later(9)),
        Guard::StillHolds
        | Guard::NamesManifest
        | Guard::ConsultedWhereDue
        | Guard::WithinReview
        | Guard::WithinObjection => {}
    }
}

/// A condition that the instrument knows, if it knows one.
fn condition(act: &Act, standing: &Standing) -> Option<Code> {
    let mut known = based(act, standing).grounds.iter().map(|usage| &usage.code);
    known.find(|code| code.as_str().starts_with("C-")).cloned()
}

/// Signs no earlier than the window of the request that plays this part is over.
fn wait_for(act: &mut Act, standing: &Standing, part: &str) {
    let parts = [part];
    let window = Window::of(shipped(), based(act, standing), &standing.course, &parts);
    let end = window.and_then(|window| window.end(act.time));
    act.time = act.time.max(end.unwrap_or(act.time));
}

/// A request that reaches every threshold of the instrument it is based on.
fn fit_request(act: &mut Act, basis: &Basis) {
    set(act, "reference.instrument", Kind::Code(basis.instrument.to_string()));
    for key in ["penalty.most-months", "penalty.requested-months", "sentence.months"] {
        set_if(act, key, Kind::Integer(60));
    }
    let first = |codes: &[Code]| codes.first().map(|code| Kind::Code(code.to_string()));
    if let Some(category) = first(&basis.categories) {
        set_if(act, "data.categories.00", category);
    }
    if let Some(offence) = first(&basis.offences) {
        set_if(act, "offence.codes.00", offence);
    }
    if let Some(emergency) = first(&basis.emergencies) {
        set_if(act, "urgency.level", Kind::Code("emergency".into()));
        set_if(act, "urgency.basis", emergency);
    }
}

/// All documents the instrument knows, and all that were asked for.
fn fit_documents(act: &mut Act, standing: &Standing) {
    let of_basis = based(act, standing).documents.iter().map(|document| document.code.clone());
    let codes: BTreeSet<Code> = of_basis.chain(standing.course.codes("documents.wanted")).collect();
    if !codes.is_empty() {
        set_all(act, "documents.sent", &codes.into_iter().collect::<Vec<_>>());
    }
}

/// Says these values of a fact that is a list of codes.
pub(super) fn set_all(act: &mut Act, key: &str, codes: &[Code]) {
    without(act, &format!("{key}."));
    for (place, code) in codes.iter().enumerate() {
        let value = Some(Value { kind: Some(Kind::Code(code.to_string())) });
        act.facts.push(Fact { key: format!("{key}.{place:02}"), value });
    }
    act.facts.sort_by(|a, b| a.key.cmp(&b.key));
}

/// The first ground that the form takes, the instrument opens, and that needs no reservation but what is declared anyway.
fn fit_ground(act: &mut Act, standing: &Standing) {
    let rules = shipped();
    let form = rules.form(&standing.procedure, &act.step).expect("a form");
    let rule = form.field("ground").expect("a ground");
    let basis = based(act, standing);
    let about = crate::law::Weighed { offences: standing.course.codes("offence.codes"), ..Default::default() };
    let fits = |code: &&Code| rule.only.is_empty() || rule.only.contains(code);
    let open = |code: &&Code| basis.ground(code).is_some_and(|usage| closed(rules, usage, &about, None).is_none());
    let declared = |usage: &&GroundUse| {
        fits(&&usage.code) && usage.only_with.as_ref().is_some_and(|code| bound().reservations.contains(code))
    };
    if let Some(usage) = basis.grounds.iter().find(declared) {
        set(act, "ground", Kind::Code(usage.code.to_string()));
        set(act, "ground.reservation", Kind::Code(usage.only_with.as_ref().expect("declared").to_string()));
        return;
    }
    let ground = basis.grounds.iter().map(|usage| &usage.code).filter(fits).find(open);
    let ground = ground.unwrap_or_else(|| panic!("no ground for {}/{}", standing.procedure, act.step));
    set(act, "ground", Kind::Code(ground.to_string()));
    without(act, "ground.reservation");
}

fn name(act: &mut Act, standing: &Standing, fits: fn(&Delivery) -> bool) {
    if let Some(delivery) = standing.deliveries().iter().find(|delivery| fits(delivery)) {
        set(act, "delivery", Kind::Code(delivery.event.to_string()));
    }
}

pub(crate) fn folded(procedure: &ProcedureCode, acts: &[Act]) -> Standing {
    fold(shipped(), procedure, acts, START).expect("known procedure")
}

pub(super) fn judged(procedure: &ProcedureCode, known: &[Act], act: &Act) -> Result<(), Refusal> {
    permits(shipped(), procedure, known, act, &bound())
}

pub(super) fn last(acts: &[Act]) -> Vec<u8> {
    acts.last().map(|act| act.id.as_bytes()[0]).into_iter().collect()
}

/// The next act of a straight thread, fitted to it.
pub(super) fn next(procedure: &ProcedureCode, acts: &[Act], number: u8, side: Side, step: &str) -> Act {
    let mut act = plain(procedure, number, side, step, &last(acts));
    fit(&mut act, &folded(procedure, acts));
    act
}

/// A straight thread: each act follows the one before and must be lawful. `about` is the act whose hand-over it names; 0: as
/// fits.
pub(super) fn line(procedure: &str, steps: &[(Side, &str, u8)]) -> Vec<Act> {
    let procedure = code(procedure);
    let mut acts: Vec<Act> = Vec::new();
    for (number, (side, step, about)) in (1u8..).zip(steps) {
        let mut act = next(&procedure, &acts, number, *side, step);
        if *about > 0 {
            set(&mut act, "delivery", Kind::Code(hex(id(*about).as_bytes())));
        }
        judged(&procedure, &acts, &act).unwrap_or_else(|refusal| panic!("{number} {step}: {refusal}"));
        acts.push(act);
    }
    acts
}

pub(super) fn refused(procedure: &str, known: &[Act], act: &Act, with: &str, saying: &str) {
    let refusal = judged(&code(procedure), known, act).expect_err("a refusal");
    assert_eq!(refusal.code(), with);
    let text = refusal.to_string();
    assert!(text.starts_with(with) && text.contains(saying), "{text}");
}

/// Two branches from one act: both orders of arrival give `expected`, and so many acts are set aside.
pub(super) fn at_once(procedure: &str, common: &[Act], one: Vec<Act>, two: Vec<Act>, expected: &str, aside: &[u8]) {
    let procedure = code(procedure);
    let forth = folded(&procedure, &[common, &one, &two].concat());
    let back = folded(&procedure, &[&two, &one, common].concat());
    assert_eq!(forth, back);
    assert_eq!(forth.name(), expected);
    assert_eq!(forth.set_aside.iter().map(|a| a.id.as_bytes()[0]).collect::<Vec<_>>(), aside);
}

/// What tells one place a request can be in from another, as far as its table looks.
pub(crate) type Place = (String, Vec<String>, Vec<String>);

fn place(standing: &Standing) -> Place {
    let rows = &standing.family.rows;
    let looked_for: BTreeSet<&Code> = rows.iter().flat_map(|row| row.needs.iter().chain(&row.bars)).collect();
    let taken = looked_for.into_iter().filter(|step| standing.course.taken(step.as_str()).is_some());
    let state = |delivery: &Delivery| match delivery.state {
        DeliveryState::Offered => "offered",
        DeliveryState::TermsAccepted { .. } => "accepted",
        DeliveryState::Disputed { .. } => "disputed",
        DeliveryState::InCustody { .. } | DeliveryState::Replaced { .. } => "done",
    };
    let mut handed: Vec<String> = standing.deliveries().iter().map(|one| state(one).to_owned()).collect();
    handed.sort();
    handed.dedup();
    let urgency = standing.course.code(URGENCY).filter(|_| counts_urgency(&standing.procedure));
    let looked_at = taken.map(ToString::to_string).chain(urgency.map(|level| level.to_string()));
    (standing.course.state().to_string(), looked_at.collect(), handed)
}

/// What a procedure's table leads to.
#[derive(Default)]
pub(crate) struct Walked {
    /// The shortest thread to each place.
    pub(crate) ways: BTreeMap<Place, Vec<Act>>,
    /// The rows that were taken on the way, by their place in the table.
    pub(super) taken: BTreeSet<usize>,
}

/// How to come to every place of a procedure. Found once: many tests walk all of them.
pub(crate) fn walked(procedure: &ProcedureCode) -> Arc<Walked> {
    static FOUND: Mutex<BTreeMap<ProcedureCode, Arc<Walked>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Arc::clone(found.entry(procedure.clone()).or_insert_with(|| Arc::new(walk(procedure))))
}

fn walk(procedure: &ProcedureCode) -> Walked {
    let mut walked = Walked::default();
    walked.ways.insert(place(&folded(procedure, &[])), Vec::new());
    let mut open = std::collections::VecDeque::from([Vec::<Act>::new()]);
    while let Some(acts) = open.pop_front() {
        let standing = folded(procedure, &acts);
        let number = u8::try_from(acts.len() + 1).expect("short threads");
        let state = standing.course.state().as_str();
        let fits = |row: &StepRow| row.from.iter().any(|from| from.as_str() == state);
        for (row_place, row) in standing.family.rows.iter().enumerate().filter(|(_, row)| fits(row)) {
            let mut act = plain(procedure, number, row.by.side(), row.step.as_str(), &last(&acts));
            fit(&mut act, &standing);
            let urgent = Some(urgent(&act)).filter(|_| acts.is_empty() && counts_urgency(procedure));
            for act in [Some(act), urgent].into_iter().flatten() {
                let more = [&acts[..], std::slice::from_ref(&act)].concat();
                let there = place(&folded(procedure, &more));
                // What shows nothing new need not be judged: of a long table most leads where others led.
                let known = walked.ways.contains_key(&there) && walked.taken.contains(&row_place);
                if known || judged(procedure, &acts, &act).is_err() {
                    continue;
                }
                walked.taken.insert(row_place);
                if let std::collections::btree_map::Entry::Vacant(entry) = walked.ways.entry(there) {
                    entry.insert(more.clone());
                    open.push_back(more);
                }
            }
        }
    }
    walked
}

/// True if the clocks of the procedure look at the urgency: then an emergency leads to places of its own.
fn counts_urgency(procedure: &ProcedureCode) -> bool {
    basis(procedure).clocks.iter().flat_map(|usage| &usage.when).any(|when| when.fact == URGENCY)
}

pub(crate) const URGENCY: &str = "urgency.level";

/// The same in an emergency.
fn urgent(act: &Act) -> Act {
    let mut act = act.clone();
    set_if(&mut act, URGENCY, Kind::Code("emergency".into()));
    act
}

/// The shortest thread to a state.
pub(super) fn thread_to(procedure: &str, state: &str) -> Vec<Act> {
    let walked = walked(&code(procedure));
    let there = walked.ways.iter().filter(|((name, ..), _)| name == state).map(|(_, acts)| acts);
    there.min_by_key(|acts| acts.len()).unwrap_or_else(|| panic!("nothing leads to {state}")).clone()
}
