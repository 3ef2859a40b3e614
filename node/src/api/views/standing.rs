//! Where a request stands, as people and programs read it: state, turn, open steps, clocks, facts.

use std::collections::BTreeMap;

use comity_core::{
    case::Case,
    clock::Running,
    ids::{EventId, Time},
    procedure::{Common, Course, Signed, Standing, clocks, next_steps, whose_turn},
    proto::value::Kind,
    rules::{Code, Rules, Side},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::law::{actor, told};
use crate::{api::problem::FieldError, handle::View, time::rfc3339};

/// Where a request stands now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub(in crate::api) struct StandingView {
    /// For example `preserved`; `lapsed` if its time has run out, `void` if every member refused it.
    state: String,
    /// True if only notes, questions and answers can follow.
    closed: bool,
    /// The side whose act is awaited; null if nobody's.
    turn: Option<&'static str>,
    /// The steps open to our side. Guards may still refuse one.
    next_steps: Vec<String>,
    /// The clocks that run.
    clocks: Vec<ClockView>,
    /// What its acts have said, the latest of each, for example `measure.until`; beside it `since` and `deliveries`.
    #[schema(value_type = Object)]
    facts: BTreeMap<String, Value>,
    /// How urgent it is.
    urgency: Option<String>,
    /// Until when an answer is wished for.
    wish_by: Option<String>,
    /// The level of confidentiality asked for.
    confidentiality: Option<String>,
    /// The latest word of the requested side on its progress.
    progress: Option<String>,
    /// Questions not yet answered.
    open_questions: Vec<QuestionView>,
    /// Translations, each an event of its own.
    translations: Vec<TranslationView>,
    /// What speaks against the request as it stands, though nothing forbids it; nothing once it is closed.
    warnings: Vec<FieldError>,
    /// The latest events: the parents of whatever is signed next.
    heads: Vec<String>,
}

/// The latest translation of an event into a language.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Translation)]
pub(in crate::api) struct TranslationView {
    /// The event whose texts it renders.
    of: String,
    /// The language it is in.
    language: String,
    /// The event it is.
    event_id: String,
}

/// A question not yet answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Question)]
pub(in crate::api) struct QuestionView {
    /// The event that asks it.
    event_id: String,
    /// The side that asks.
    asked_by: &'static str,
}

/// A clock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Clock)]
pub(in crate::api) struct ClockView {
    /// Its rule, for example `D01`.
    rule: String,
    /// What it is for.
    title: String,
    /// Whose clock it is.
    actor: &'static str,
    /// Since when it runs.
    started: String,
    /// The first moment at which it is over.
    due: String,
    /// True from then on.
    over: bool,
    /// What its end means.
    on_expiry: String,
    /// True if its end has an effect in law.
    legal_effect: bool,
    /// Where the rule is found.
    source: String,
    /// When people are told.
    alerts: Vec<AlertView>,
}

/// When people are told of a clock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
pub(in crate::api) struct AlertView {
    /// How much of the period is over then.
    percent: u8,
    /// When.
    at: String,
    /// True if that is past.
    past: bool,
}

/// Reads where a request stands for one side.
pub(in crate::api) fn standing(case: &Case, standing: &Standing, side: Side, view: &View) -> StandingView {
    let (rules, now) = (&view.rules, standing.now);
    let reckoning = case.reckoning(rules, &view.trust(), now);
    let common = &standing.common;
    let question =
        |(event, asker): (&EventId, &Side)| QuestionView { event_id: event.to_string(), asked_by: asker.as_str() };
    StandingView {
        state: state_name(case, standing).to_owned(),
        closed: standing.is_closed(),
        turn: turn(case, standing).map(Side::as_str),
        next_steps: next_steps(standing, side).iter().map(|open| open.step.to_owned()).collect(),
        clocks: clocks(rules, standing, &reckoning).iter().map(|running| clock(running, rules, now)).collect(),
        facts: facts(&standing.course),
        urgency: common.urgency.as_ref().map(ToString::to_string),
        wish_by: common.wish_by.map(rfc3339),
        confidentiality: common.confidentiality.as_ref().map(ToString::to_string),
        progress: common.progress.as_ref().map(ToString::to_string),
        open_questions: common.open_questions.iter().map(question).collect(),
        translations: translations(common),
        warnings: match standing.is_closed() {
            true => Vec::new(),
            false => told(case.warnings(rules, &view.trust(), standing, now)),
        },
        heads: standing.heads.iter().map(ToString::to_string).collect(),
    }
}

fn translations(common: &Common) -> Vec<TranslationView> {
    let of = |(of, signed): (&EventId, &Signed)| {
        let one = |(language, event): (&Code, &EventId)| TranslationView {
            of: of.to_string(),
            language: language.to_string(),
            event_id: event.to_string(),
        };
        signed.translations.iter().map(one).collect::<Vec<_>>()
    };
    common.signed.iter().flat_map(of).collect()
}

/// The state's name, as the index names it.
pub(in crate::api) fn state_name<'s>(case: &Case, standing: &'s Standing) -> &'s str {
    if case.is_void() { "void" } else { standing.name() }
}

/// Whose act is awaited.
pub(in crate::api) fn turn(case: &Case, standing: &Standing) -> Option<Side> {
    if case.is_void() { None } else { whose_turn(standing) }
}

fn clock(running: &Running, rules: &Rules, now: Time) -> ClockView {
    let rule = rules.clock(&running.rule);
    let alert = |alert: comity_core::clock::Alert| AlertView {
        percent: alert.percent,
        at: rfc3339(alert.at),
        past: alert.at <= now,
    };
    ClockView {
        rule: running.rule.to_string(),
        title: rule.map(|rule| rule.title.clone()).unwrap_or_default(),
        actor: actor(running.actor),
        started: rfc3339(running.started),
        due: rfc3339(running.due),
        over: running.is_over(now),
        on_expiry: running.on_expiry.to_string(),
        legal_effect: running.legal_effect,
        source: rule.map(|rule| rule.source.clone()).unwrap_or_default(),
        alerts: running.schedule(rules.alerts()).map(alert).collect(),
    }
}

/// What the acts have said, the latest of each fact; of a list an array.
fn facts(course: &Course) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::from([
        (
            "deliveries".to_owned(),
            json!(course.deliveries().iter().map(|one| one.event.to_string()).collect::<Vec<_>>()),
        ),
        ("since".to_owned(), json!(rfc3339(course.since()))),
    ]);
    for (key, said) in course.facts() {
        let value = plain(&said.value);
        match listed(key) {
            None => drop(facts.insert(key.clone(), value)),
            Some(list) => {
                if let Value::Array(values) = facts.entry(list.to_owned()).or_insert_with(|| json!([])) {
                    values.push(value);
                }
            }
        }
    }
    facts
}

/// The list a fact belongs to: its values are numbered with two digits.
fn listed(key: &str) -> Option<&str> {
    let (list, place) = key.rsplit_once('.')?;
    (place.len() == 2 && place.bytes().all(|b| b.is_ascii_digit())).then_some(list)
}

fn plain(kind: &Kind) -> Value {
    match kind {
        Kind::Text(text) => json!(text.text),
        Kind::Code(code) => json!(code),
        Kind::Integer(number) => json!(number),
        Kind::Flag(flag) => json!(flag),
        Kind::TimeMs(ms) => json!(rfc3339(Time(*ms))),
        Kind::Date(date) => json!(date),
    }
}
