//! Scenarios a lawyer can read: given what was done, when this is tried at that moment, then the law answers so.
//!
//! They stand in `tests/scenarios`, one file for each field of law. An act says what its form demands and no more, fitted to its
//! guards, and what is or was is now; what a scenario says of it is said in place of that. Each scenario names its article, and
//! the run prints with it the mark of every figure it rests on, so that nobody takes an unconfirmed rule for law. Of the law
//! before anything is asked there are questions, in the same files. What the scenarios together must have shown is in `coverage`.

mod coverage;
mod questions;

use super::play::{code, fit, plain, term};
use crate::clock::{Calendar, Reckoning};
use crate::ids::{EventId, ProcedureCode, Time};
use crate::procedure::*;
use crate::proto::{Fact, Value, value::Kind};
use crate::rules::sample::shipped;
use crate::rules::{Basis, FieldRule, Form, Instrument, Kind as Holds, Literal, Mark, Required};
use coverage::Shown;
use jiff::civil::Weekday;
use questions::Question;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scenario: Vec<Scenario>,
    #[serde(default)]
    question: Vec<Question>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows, as a sentence.
    name: String,
    /// The article it rests on.
    law: String,
    procedure: String,
    instrument: String,
    /// The instruments that bind both, and from when on; all, always, if it is left out. A model that is named stands for a
    /// treaty that follows it.
    in_force: Option<BTreeMap<String, String>>,
    /// The instruments that cease to bind one of them, and when.
    #[serde(default)]
    ended: BTreeMap<String, String>,
    /// What the requested Party has declared.
    #[serde(default)]
    declared: Vec<String>,
    /// Where and when authorities work.
    #[serde(default)]
    requesting: Place,
    #[serde(default)]
    requested: Place,
    /// Periods the requested Party has declared, per clock.
    #[serde(default)]
    periods: BTreeMap<String, u32>,
    given: Vec<Done>,
    #[serde(rename = "then")]
    answers: Vec<Answer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    zone: Option<String>,
    #[serde(default)]
    holidays: Vec<String>,
    /// Friday and Saturday instead of Saturday and Sunday.
    #[serde(default)]
    friday_rests: bool,
}

/// An act that was taken, or is tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    at: String,
    by: Side,
    step: String,
    /// What it says otherwise than its form's sample; an empty text takes the fact out.
    #[serde(default)]
    says: BTreeMap<String, toml::Value>,
    /// It was signed without having seen this many of the acts before it.
    #[serde(default)]
    unaware_of: usize,
}

/// What must be so at a moment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    at: String,
    state: Option<String>,
    turn: Option<String>,
    /// A clock runs and ends then, or does not run.
    clock: Option<String>,
    due: Option<String>,
    over: Option<bool>,
    #[serde(default)]
    not_running: bool,
    /// The rule by which a step has lengthened that clock.
    lengthened_by: Option<String>,
    /// The percents whose alerts have fallen by now.
    alerted: Option<Vec<u8>>,
    /// An act is tried: it is allowed, or refused with this code.
    by: Option<Side>,
    step: Option<String>,
    #[serde(default)]
    says: BTreeMap<String, toml::Value>,
    refused: Option<String>,
    because: Option<String>,
    /// These acts, counted from 1, are set aside.
    set_aside: Option<Vec<usize>>,
    /// These steps are open to the side `by`, or are not.
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    shut: Vec<String>,
}

fn moment(text: &str) -> Time {
    let at: jiff::Timestamp = text.parse().unwrap_or_else(|_| panic!("{text} is no moment"));
    Time(at.as_millisecond().try_into().expect("after 1970"))
}

fn calendar(place: &Place) -> Calendar {
    let weekend: &[Weekday] = if place.friday_rests { &[Weekday::Friday, Weekday::Saturday] } else { &[] };
    Calendar::of(place.zone.as_deref().unwrap_or("UTC"), place.holidays.iter().map(String::as_str), weekend)
}

impl Scenario {
    fn procedure(&self) -> ProcedureCode {
        code(&self.procedure)
    }

    fn basis(&self) -> &'static Basis {
        let basis = shipped().basis(&self.procedure(), &term(&self.instrument));
        basis.unwrap_or_else(|| panic!("{}: {} is no basis for {}", self.name, self.instrument, self.procedure))
    }

    fn setting(&self, at: Time) -> Setting {
        let names = self.in_force.iter().flatten().map(|(code, _)| code).chain(self.ended.keys());
        let unknown = names.into_iter().find(|code| shipped().instrument(&term(code)).is_none());
        assert_eq!(unknown, None, "{}", self.name);
        let bind = |row: &Instrument| {
            let code = row.code.as_str();
            let begun = match &self.in_force {
                None => !row.model,
                Some(rows) => rows.get(code).is_some_and(|since| moment(since) <= at),
            };
            let applies = row.applies_from.as_ref().is_none_or(|date| crate::clock::day(at) >= *date);
            begun && applies && self.ended.get(code).is_none_or(|until| at < moment(until))
        };
        let whole = |row: &&Instrument| {
            let needed = |code: &Code| shipped().instrument(code).is_some_and(bind);
            bind(row) && row.needs.iter().all(needed)
        };
        let in_force = shipped().instruments().filter(whole).map(|row| row.code.clone()).collect();
        let reservations: BTreeSet<_> = self.declared.iter().map(|declared| term(declared)).collect();
        let unknown = reservations.iter().find(|declared| shipped().declaration(declared).is_none());
        assert_eq!(unknown, None, "{}", self.name);
        Setting { in_force, reservations }
    }

    fn reckoning(&self) -> Reckoning {
        Reckoning {
            requesting: calendar(&self.requesting),
            requested: calendar(&self.requested),
            periods: self.periods.iter().map(|(clock, count)| (term(clock), *count)).collect(),
        }
    }

    /// An act on these: it says what its form demands, fitted to its guards, and then what the scenario says.
    fn act(&self, acts: &[Act], at: Time, by: Side, step: &str, says: &BTreeMap<String, toml::Value>) -> Act {
        let (number, procedure) = (u8::try_from(acts.len() + 1).expect("short scenarios"), self.procedure());
        let standing = fold(shipped(), &procedure, acts, at).expect("known");
        let mut act = plain(&procedure, number, by, step, &[]);
        (act.time, act.recorded, act.parents) = (at, at, standing.heads.clone());
        let form = shipped().form(&procedure, &act.step).expect("a form");
        for fact in &mut act.facts {
            match fact.value.as_mut().and_then(|value| value.kind.as_mut()) {
                Some(Kind::TimeMs(ms)) => *ms = at.0,
                Some(Kind::Flag(flag)) if fact.key == "penalty.life" => *flag = false,
                _ => {}
            }
        }
        if form.field("reference.instrument").is_some() {
            say(&mut act, form, "reference.instrument", &toml::Value::String(self.instrument.clone()));
        }
        fit(&mut act, &standing);
        act.time = at;
        for (key, value) in says {
            say(&mut act, form, key, value);
        }
        leave_out_what_is_not_demanded(&mut act, form, says);
        act
    }

    fn given(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = Vec::new();
        for done in &self.given {
            let seen = &acts[..acts.len() - done.unaware_of];
            let at = moment(&done.at);
            let mut act = self.act(seen, at, done.by, &done.step, &done.says);
            self.takes(&done.step, &done.says);
            act.id = EventId::new([u8::try_from(acts.len() + 1).expect("short"); 32]);
            permits(shipped(), &self.procedure(), seen, &act, &self.setting(at))
                .unwrap_or_else(|refusal| panic!("{}: given {}: {refusal}", self.name, done.step));
            acts.push(act);
        }
        acts
    }

    /// What a lawful act says is what its form takes.
    fn takes(&self, step: &str, says: &BTreeMap<String, toml::Value>) {
        let form = shipped().form_by_id(&format!("{}/{step}", self.procedure)).expect("a form");
        for (key, value) in says {
            let rule = form.field(key).expect("said before");
            let (name, many) = (&self.name, value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
            for value in many.iter().filter(|value| value.as_str() != Some("")) {
                let listed = |code: &str| {
                    let only = rule.only.is_empty() || rule.only.iter().any(|only| only.as_str() == code);
                    only && form.codes(rule).is_none_or(|list| list.has(code))
                };
                let code = value.as_str().filter(|_| rule.kind == Holds::Code);
                assert!(code.is_none_or(listed), "{name}: {step} cannot say {value} of {key}");
                let flag = value.as_bool().zip(rule.must).is_none_or(|(said, must)| said == must);
                assert!(flag, "{name}: {step} cannot say {value} of {key}");
            }
        }
    }

    fn check(&self) -> usize {
        let acts = self.given();
        for answer in &self.answers {
            self.answer(&acts, answer);
        }
        self.answers.len()
    }

    fn answer(&self, acts: &[Act], answer: &Answer) {
        let (now, name) = (moment(&answer.at), format!("{} at {}", self.name, answer.at));
        let done: Vec<Act> = acts.iter().filter(|act| act.time <= now).cloned().collect();
        let standing = fold(shipped(), &self.procedure(), &done, now).expect("known");
        if let Some(state) = &answer.state {
            assert_eq!(standing.name(), state, "{name}");
        }
        if let Some(turn) = &answer.turn {
            let whose = whose_turn(&standing).map_or("nobody", Side::as_str);
            assert_eq!(whose, turn, "{name}");
        }
        if let Some(aside) = &answer.set_aside {
            let places = standing.set_aside.iter().map(|one| usize::from(one.id.as_bytes()[0]));
            assert_eq!(&places.collect::<Vec<_>>(), aside, "{name}");
        }
        if let Some(clock) = &answer.clock {
            self.clock(&standing, clock, answer, &name);
        }
        if let Some(by) = answer.by {
            let open: BTreeSet<&str> = next_steps(&standing, by).iter().map(|open| open.step).collect();
            assert!(answer.open.iter().all(|step| open.contains(step.as_str())), "{name}: {open:?}");
            assert!(answer.shut.iter().all(|step| !open.contains(step.as_str())), "{name}: {open:?}");
        } else {
            let empty = answer.open.is_empty() && answer.shut.is_empty() && answer.step.is_none();
            assert!(empty, "{name}: which side?");
        }
        if let (Some(by), Some(step)) = (answer.by, &answer.step) {
            let act = self.act(&done, now, by, step, &answer.says);
            let verdict = permits(shipped(), &self.procedure(), &done, &act, &self.setting(now));
            match (&answer.refused, verdict) {
                (None, verdict) => {
                    self.takes(step, &answer.says);
                    assert_eq!(verdict, Ok(()), "{name}: {step}");
                }
                (Some(code), Err(refusal)) => {
                    assert_eq!(refusal.code(), code, "{name}: {refusal}");
                    let because = answer.because.as_deref().unwrap_or_default();
                    assert!(refusal.to_string().contains(because), "{name}: {refusal}");
                }
                (Some(code), Ok(())) => panic!("{name}: {step} was allowed, not refused with {code}"),
            }
        }
    }

    fn clock(&self, standing: &Standing, clock: &str, answer: &Answer, name: &str) {
        let running = clocks(shipped(), standing, &self.reckoning());
        let found = running.iter().find(|running| running.rule.as_str() == clock);
        assert_eq!(found.is_none(), answer.not_running, "{name}: {clock} among {running:?}");
        let Some(found) = found else { return };
        if let Some(due) = &answer.due {
            assert_eq!(found.due, moment(due), "{name}: {clock} is due {} ms", found.due.0);
        }
        if let Some(rule) = &answer.lengthened_by {
            let uses = self.basis().clocks.iter().find(|usage| usage.clock.as_str() == clock);
            let longer = uses.and_then(|usage| usage.longer.as_ref()).expect("it can be lengthened");
            assert_eq!(longer.clock.as_str(), rule, "{name}: {clock}");
            assert!(standing.course.taken(longer.after.as_str()).is_some(), "{name}: {clock} was not lengthened");
        }
        if let Some(over) = answer.over {
            assert_eq!(found.is_over(standing.now), over, "{name}: {clock} is due {} ms", found.due.0);
        }
        if let Some(alerted) = &answer.alerted {
            let fallen = found.alerts(shipped().alerts(), Time(0), standing.now);
            assert_eq!(&fallen.iter().map(|alert| alert.percent).collect::<Vec<_>>(), alerted, "{name}: {clock}");
        }
    }

    /// The marks of what it rests on: the basis, the clocks and grounds its answers name.
    fn marks(&self) -> String {
        let (rules, basis) = (shipped(), self.basis());
        let mut marks = BTreeSet::from([format!("{} [{}]", basis.instrument, basis.mark.as_str())]);
        let mut note = |what: &str, mark: Mark| {
            marks.insert(format!("{what} [{}]", mark.as_str()));
        };
        for clock in self.answers.iter().filter_map(|answer| answer.clock.as_ref()) {
            let rule = rules.clock(&term(clock)).unwrap_or_else(|| panic!("{}: no clock {clock}", self.name));
            note(clock, rule.mark);
        }
        let said = self.given.iter().map(|done| &done.says).chain(self.answers.iter().map(|answer| &answer.says));
        for ground in said.filter_map(|says| says.get("ground")?.as_str()).filter(|ground| !ground.is_empty()) {
            let usage = basis.ground(&term(ground)).map(|usage| usage.mark);
            let row = rules.ground(&term(ground)).map(|row| row.mark);
            note(ground, usage.or(row).unwrap_or_else(|| panic!("{}: no ground {ground}", self.name)));
        }
        marks.into_iter().collect::<Vec<_>>().join(", ")
    }
}

/// Says a fact of an act, in the kind its form holds; lists whole.
fn say(act: &mut Act, form: &Form, key: &str, value: &toml::Value) {
    let rule = form.field(key).unwrap_or_else(|| panic!("{} has no field {key}", form.id()));
    assert!(rule.fact, "{}: {key} is no fact and changes nothing", form.id());
    act.facts.retain(|fact| field_of(form, &fact.key).is_none_or(|held| held.key != key));
    if value.as_str() == Some("") {
        return;
    }
    let values: Vec<&toml::Value> = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
    for (place, value) in values.into_iter().enumerate() {
        let key = if rule.list == 1 { key.to_owned() } else { format!("{key}.{place:02}") };
        let kind = kind(rule.kind, value).unwrap_or_else(|| panic!("{}: {key} cannot be {value}", form.id()));
        act.facts.push(Fact { key, value: Some(Value { kind: Some(kind) }) });
    }
    act.facts.sort_by(|a, b| a.key.cmp(&b.key));
}

fn kind(holds: Holds, value: &toml::Value) -> Option<Kind> {
    Some(match holds {
        Holds::Text => return None,
        Holds::Code => Kind::Code(value.as_str()?.to_owned()),
        Holds::Integer => Kind::Integer(value.as_integer()?),
        Holds::Flag => Kind::Flag(value.as_bool()?),
        Holds::Time => Kind::TimeMs(moment(value.as_str()?).0),
        Holds::Date => Kind::Date(value.as_str()?.to_owned()),
    })
}

/// The field that a fact is of: of a list, each value has a number.
fn field_of<'f>(form: &'f Form, fact: &str) -> Option<&'f FieldRule> {
    form.field(fact).or_else(|| form.field(fact.rsplit_once('.')?.0))
}

/// Takes out what the form does not demand of such an act and the scenario does not say.
fn leave_out_what_is_not_demanded(act: &mut Act, form: &Form, says: &BTreeMap<String, toml::Value>) {
    let before = act.facts.clone();
    let of = |key: &str| {
        let held = |fact: &&Fact| field_of(form, &fact.key).is_some_and(|rule| rule.key == key);
        before.iter().filter(held).collect::<Vec<_>>()
    };
    let is = |fact: &Fact, values: &[Literal]| {
        let kind = fact.value.as_ref().and_then(|value| value.kind.as_ref());
        kind.is_some_and(|kind| values.iter().any(|literal| literal.is(kind)))
    };
    act.facts.retain(|fact| {
        let Some(rule) = field_of(form, &fact.key) else { return false };
        let demanded = match &rule.required {
            Required::Always => true,
            Required::Never => false,
            Required::When { field, is: values } => of(field).into_iter().any(|fact| is(fact, values)),
            Required::With(field) => !of(field).is_empty(),
        };
        demanded || says.contains_key(&rule.key)
    });
}

/// A file of that folder that holds no scenarios: the reference tables of lifecycles.
const LIFECYCLES: &str = "lifecycles.toml";

/// Every file, by its name.
fn files() -> Vec<(String, File)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| !path.ends_with(LIFECYCLES));
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("reads");
        let file = toml::from_str(&text).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()));
        (path.file_name().expect("a name").to_string_lossy().into_owned(), file)
    };
    paths.into_iter().map(read).collect()
}

/// All of them are tried before the run fails, so that one wrong rule shows everything it turns.
#[test]
#[expect(clippy::print_stdout, reason = "whoever reads the scenarios reads what each rests on")]
fn every_scenario_ends_as_the_law_says() {
    let (mut names, mut failed, mut count) = (BTreeSet::new(), Vec::new(), (0, 0));
    for (path, file) in files() {
        println!("\n{path}");
        for scenario in &file.scenario {
            assert!(names.insert(scenario.name.clone()), "two scenarios are called {}", scenario.name);
            assert!(!scenario.answers.is_empty(), "{} says nothing", scenario.name);
            match catch_unwind(AssertUnwindSafe(|| (scenario.check(), scenario.marks()))) {
                Ok((answers, marks)) => {
                    println!("  {} - {} - {answers} answers; rests on {marks}", scenario.name, scenario.law);
                }
                Err(_) => failed.push(scenario.name.clone()),
            }
            count.0 += 1;
        }
        for question in &file.question {
            assert!(names.insert(question.name.clone()), "two questions are called {}", question.name);
            match catch_unwind(AssertUnwindSafe(|| question.check())) {
                Ok(marks) => println!("  {} - {} - rests on {marks}", question.name, question.law),
                Err(_) => failed.push(question.name.clone()),
            }
            count.1 += 1;
        }
    }
    println!("\n{} scenarios, {} questions", count.0, count.1);
    assert!(failed.is_empty() && count.0 > 0, "these do not hold: {failed:#?}");
}

/// What the scenarios leave unshown of clocks and grounds.
#[test]
fn scenarios_show_every_clock_and_every_ground() {
    let mut shown = Shown::default();
    for (_, file) in files() {
        file.scenario.iter().for_each(|scenario| shown.add(scenario));
    }
    assert_eq!(shown.missing(), Vec::<String>::new());
}
