//! Where a request stands, as people and programs read it: state, turn, open steps, clocks, facts.

use std::collections::BTreeMap;

use comity_core::{
    case::Case,
    clock::Running,
    ids::Time,
    procedure::{Standing, State, assistance, next_steps, preservation, whose_turn},
    rules::{Actor, Rules, Side},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::time::rfc3339;

/// Where a request stands now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub(in crate::api) struct StandingView {
    /// For example `preserved`; `lapsed` if its time has run out, `void` if every member refused it.
    state: &'static str,
    /// True if only notes, questions and answers can follow.
    closed: bool,
    /// The side whose act is awaited; null if nobody's.
    turn: Option<&'static str>,
    /// The steps open to our side. Guards may still refuse one.
    next_steps: Vec<&'static str>,
    /// The clocks that run.
    clocks: Vec<ClockView>,
    /// What the state owns, for example `until`.
    #[schema(value_type = Object)]
    facts: BTreeMap<&'static str, Value>,
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
    /// The latest events: the parents of whatever is signed next.
    heads: Vec<String>,
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
pub(in crate::api) fn standing(case: &Case, standing: &Standing, side: Side, rules: &Rules) -> StandingView {
    let common = &standing.common;
    let question = |(event, asker): (&comity_core::ids::EventId, &Side)| QuestionView {
        event_id: event.to_string(),
        asked_by: asker.as_str(),
    };
    StandingView {
        state: state_name(case, standing),
        closed: standing.is_closed(),
        turn: turn(case, standing).map(Side::as_str),
        next_steps: next_steps(standing, side).iter().map(|row| row.step).collect(),
        clocks: case.clocks(rules, standing.now).iter().map(|running| clock(running, rules, standing.now)).collect(),
        facts: facts(&standing.state),
        urgency: common.urgency.as_ref().map(ToString::to_string),
        wish_by: common.wish_by.map(rfc3339),
        confidentiality: common.confidentiality.as_ref().map(ToString::to_string),
        progress: common.progress.as_ref().map(ToString::to_string),
        open_questions: common.open_questions.iter().map(question).collect(),
        heads: standing.heads.iter().map(ToString::to_string).collect(),
    }
}

/// The state's name, as the index names it.
pub(in crate::api) fn state_name(case: &Case, standing: &Standing) -> &'static str {
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

const fn actor(actor: Actor) -> &'static str {
    match actor {
        Actor::Requesting => "requesting",
        Actor::Requested => "requested",
        Actor::Provider => "provider",
        Actor::EnforcingAuthority => "enforcing-authority",
        Actor::ReviewBody => "review-body",
    }
}

fn facts(state: &State) -> BTreeMap<&'static str, Value> {
    match state {
        State::Preservation(state) => preservation_facts(state),
        State::Assistance(state) => assistance_facts(state),
    }
}

fn assistance_facts(state: &assistance::State) -> BTreeMap<&'static str, Value> {
    use assistance::{Phase, State};
    let State::Live { file, phase, since } = state else { return BTreeMap::new() };
    let request = &file.request;
    let mut facts = BTreeMap::from([
        ("requested_at", json!(rfc3339(request.at))),
        ("instrument", json!(request.instrument.to_string())),
        ("offences", codes(&request.offences)),
        ("follows_up", json!(request.preservation.map(|id| id.to_string()))),
        ("since", json!(rfc3339(*since))),
        ("consulted", json!(file.consulted)),
        ("conditions", codes(&file.conditions)),
        ("deliveries", json!(file.deliveries.iter().map(|one| one.event.to_string()).collect::<Vec<_>>())),
    ]);
    match phase {
        Phase::Consultation { about } => drop(facts.insert("about", codes(about))),
        Phase::ConditionsProposed { conditions } => drop(facts.insert("proposed", codes(conditions))),
        Phase::NotExecuted { outcome } => drop(facts.insert("outcome", json!(outcome.to_string()))),
        Phase::Refused { ground } | Phase::Postponed { ground } => {
            drop(facts.insert("ground", json!(ground.to_string())));
        }
        Phase::Issued
        | Phase::ReturnedIncomplete
        | Phase::Forwarded
        | Phase::UnderReview
        | Phase::Accepted
        | Phase::Executing
        | Phase::Suspended { .. }
        | Phase::PartiallyExecuted
        | Phase::Delivered
        | Phase::Disputed
        | Phase::Acknowledged
        | Phase::Closed
        | Phase::Withdrawn => {}
    }
    facts
}

fn codes(codes: &[comity_core::rules::Code]) -> Value {
    json!(codes.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn preservation_facts(state: &preservation::State) -> BTreeMap<&'static str, Value> {
    use preservation::State as S;
    let at = |time: &Time| json!(rfc3339(*time));
    let mut facts = BTreeMap::new();
    if let Some(request) = state.request() {
        facts.insert("requested_at", at(&request.at));
        facts.insert("instrument", json!(request.instrument.to_string()));
        facts.insert("offences", codes(&request.offences));
    }
    match state {
        S::Draft | S::Requested { .. } => {}
        S::Acknowledged { at: since, insisted, .. } => {
            facts.extend([("since", at(since)), ("insisted", json!(insisted))]);
        }
        S::Warned { kinds, at: since, .. } => facts.extend([("since", at(since)), ("warned_of", codes(kinds))]),
        S::Preserved { measure, .. } => facts.extend(measure_facts(measure)),
        S::ExtensionAsked { measure, until, .. } => {
            facts.extend(measure_facts(measure));
            facts.insert("asked_until", at(until));
        }
        S::FollowedUp { measure, linked, at: since, .. } => {
            facts.extend(measure_facts(measure));
            facts.extend([("since", at(since)), ("linked", json!(linked.map(|id| id.to_string())))]);
        }
        S::Refused { ground, at: since, .. } => {
            facts.extend([("since", at(since)), ("ground", json!(ground.to_string()))]);
        }
        S::CannotPreserve { outcome, at: since, .. } => {
            facts.extend([("since", at(since)), ("outcome", json!(outcome.to_string()))]);
        }
        S::Released { measure, at: since, .. } => {
            facts.extend(measure_facts(measure));
            facts.insert("since", at(since));
        }
        S::Withdrawn { at: since, .. } => drop(facts.insert("since", at(since))),
    }
    facts
}

fn measure_facts(measure: &preservation::Measure) -> [(&'static str, Value); 6] {
    [
        ("outcome", json!(measure.outcome.to_string())),
        ("taken", json!(rfc3339(measure.taken))),
        ("period_since", json!(rfc3339(measure.since))),
        ("until", json!(rfc3339(measure.until))),
        ("ordered", json!(rfc3339(measure.ordered))),
        ("paths", json!(measure.paths)),
    ]
}
