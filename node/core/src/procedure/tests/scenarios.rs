//! Scenarios a lawyer can read: given what was done, when this is tried at that moment, then the law answers so.
//!
//! They stand in `tests/scenarios`, one file for each field of law. Acts are filled in as their forms ask and fitted to their
//! guards; what a scenario says of an act is said in its place. Each scenario names its article, and the run prints with it the
//! mark of every figure it rests on, so that nobody takes an unconfirmed rule for law.

use super::play::{code, fit, plain, term, without};
use crate::clock::{Calendar, Reckoning};
use crate::ids::{EventId, PartyCode, ProcedureCode, StepCode, Time};
use crate::procedure::*;
use crate::proto::{Fact, Value, value::Kind};
use crate::rules::sample::shipped;
use crate::rules::{Basis, Kind as Holds, Mark};
use jiff::civil::Weekday;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
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
    /// The instruments that bind both, and from when on; all, always, if it is left out.
    in_force: Option<BTreeMap<String, String>>,
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
    /// These steps are open to a side, or are not.
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
        let in_force = match &self.in_force {
            None => shipped().instruments().map(|row| row.code.clone()).collect(),
            Some(rows) => {
                let begun = rows.iter().filter(|(_, since)| moment(since) <= at);
                begun.map(|(instrument, _)| term(instrument)).collect()
            }
        };
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

    /// An act on these; its form is filled in, its guards are fitted, then it says what the scenario says.
    fn act(&self, acts: &[Act], at: Time, by: Side, step: &str, says: &BTreeMap<String, toml::Value>) -> Act {
        let number = u8::try_from(acts.len() + 1).expect("short scenarios");
        let standing = fold(shipped(), &self.procedure(), acts, at).expect("known");
        let mut act = plain(&self.procedure(), number, by, step, &[]);
        (act.time, act.recorded, act.parents) = (at, at, standing.heads.clone());
        fit(&mut act, &standing);
        if acts.is_empty() {
            say(&mut act, "reference.instrument", &toml::Value::String(self.instrument.clone()), &self.procedure());
        }
        for (key, value) in says {
            say(&mut act, key, value, &self.procedure());
        }
        act
    }

    fn given(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = Vec::new();
        for done in &self.given {
            let seen = &acts[..acts.len() - done.unaware_of];
            let at = moment(&done.at);
            let mut act = self.act(seen, at, done.by, &done.step, &done.says);
            act.id = EventId::new([u8::try_from(acts.len() + 1).expect("short"); 32]);
            permits(shipped(), &self.procedure(), seen, &act, &self.setting(at))
                .unwrap_or_else(|refusal| panic!("{}: given {}: {refusal}", self.name, done.step));
            acts.push(act);
        }
        acts
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
        for side in [Side::Requesting, Side::Requested] {
            let open: BTreeSet<&str> = next_steps(&standing, side).iter().map(|open| open.step).collect();
            let asked = answer.by == Some(side) || answer.by.is_none();
            assert!(
                !asked || answer.by.is_none() || answer.open.iter().all(|step| open.contains(step.as_str())),
                "{name}: {open:?}"
            );
            assert!(!asked || answer.shut.iter().all(|step| !open.contains(step.as_str())), "{name}: {open:?}");
        }
        if let (Some(by), Some(step)) = (answer.by, &answer.step) {
            let act = self.act(&done, now, by, step, &answer.says);
            let verdict = permits(shipped(), &self.procedure(), &done, &act, &self.setting(now));
            match (&answer.refused, verdict) {
                (None, verdict) => assert_eq!(verdict, Ok(()), "{name}: {step}"),
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
fn say(act: &mut Act, key: &str, value: &toml::Value, procedure: &ProcedureCode) {
    let step: StepCode = act.step.clone();
    let form = shipped().form(procedure, &step).expect("a form");
    let rule = form.field(key).unwrap_or_else(|| panic!("{procedure}/{step} has no field {key}"));
    assert!(rule.fact, "{procedure}/{step}: {key} is no fact and changes nothing");
    without(act, key);
    let values: Vec<&toml::Value> = match value {
        toml::Value::Array(values) => values.iter().collect(),
        toml::Value::String(text) if text.is_empty() => return,
        one => vec![one],
    };
    for (place, value) in values.into_iter().enumerate() {
        let key = if rule.list == 1 { key.to_owned() } else { format!("{key}.{place:02}") };
        let kind = kind(rule.kind, value).unwrap_or_else(|| panic!("{procedure}/{step}: {key} cannot be {value}"));
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

#[test]
fn every_scenario_ends_as_the_law_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    let (mut scenarios, mut names) = (0, BTreeSet::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("reads");
        let file: File = toml::from_str(&text).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()));
        println!("\n{}", path.file_name().expect("a name").to_string_lossy());
        for scenario in file.scenario {
            assert!(names.insert(scenario.name.clone()), "two scenarios are called {}", scenario.name);
            assert!(!scenario.answers.is_empty(), "{} says nothing", scenario.name);
            let answers = scenario.check();
            println!("  {} - {} - {answers} answers; rests on {}", scenario.name, scenario.law, scenario.marks());
            scenarios += 1;
        }
    }
    println!("\n{scenarios} scenarios");
    assert!(PartyCode::parse("XA").is_ok() && scenarios > 0);
}
