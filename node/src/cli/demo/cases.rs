//! The other cases of the demo: an emergency at night, an extradition, a production order to a provider.
//!
//! Each is a list of acts, with what matters said; the rest of every form is filled in as the node's own forms ask, so that a
//! case cannot fall behind them. What the case shows is what the nodes say: it decides nothing.

use comity_core::ids::Time;
use serde_json::{Map, Value, json};

use super::{Act, Context, Node, Places, Played, examine, sample, settle, timeline::Timeline};
use crate::{
    cli::{
        client::Client,
        evidence,
        fault::CliFault,
        request::fresh_id,
        show::{list, number, text},
    },
    time::{self, rfc3339},
};

const DAY_MS: u64 = 24 * 3_600_000;

/// Which case is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    /// A life is at risk: data are disclosed between 24/7 points within hours (2AP 9).
    Emergency,
    /// A person is sought: court, minister, surrender, speciality (ECE).
    Extradition,
    /// A production order to a provider abroad, of which the enforcing authority is notified (EER).
    Epoc,
}

/// One move of a case.
enum Move {
    /// An act.
    Act(Act),
    /// Evidence is put under seal and handed over with this act, then taken over.
    HandOver(Act),
}

use Move::{Act as Do, HandOver};

const fn act(by: usize, step: &'static str, leads_to: &'static str, fields: fn(Time) -> Value) -> Act {
    Act { by, step, authority: "central", fields, leads_to }
}

fn nothing(_: Time) -> Value {
    json!({})
}

const EMERGENCY: [Move; 4] = [
    Do(act(0, "request", "issued", emergency)),
    Do(act(1, "acknowledge", "under_review", nothing)),
    HandOver(act(1, "deliver", "delivered", |_| json!({ "outcome": "executed_full" }))),
    Do(act(0, "close", "closed", nothing)),
];

fn emergency(_: Time) -> Value {
    json!({
        "reference.instrument": "2AP",
        "urgency.level": "emergency",
        "urgency.basis": "life-or-safety",
        "data.categories": ["subscriber", "traffic"],
    })
}

const EXTRADITION: [Move; 12] = [
    Do(act(0, "request", "request_received", extradition)),
    Do(act(1, "acknowledge", "request_received", nothing)),
    Do(act(1, "confirm-documents", "documents_complete", nothing)),
    Do(act(1, "open-hearing", "eligibility_hearing", nothing)),
    Do(act(1, "find-eligible", "eligible", nothing)),
    Do(act(1, "refer-to-executive", "executive_decision", nothing)),
    Do(act(1, "grant", "granted", |_| json!({ "accept.scope": "whole", "speciality.scope": ["CC-07"] }))),
    Do(act(1, "fix-surrender", "surrender_dated", |now| json!({ "surrender.date": rfc3339(now.plus_ms(5 * DAY_MS)) }))),
    Do(act(0, "confirm-date", "surrender_dated", nothing)),
    Do(act(1, "surrender", "surrendered", nothing)),
    Do(act(0, "confirm-surrender", "speciality_watch", nothing)),
    Do(act(0, "close", "closed", nothing)),
];

fn extradition(_: Time) -> Value {
    json!({
        "reference.instrument": "ECE",
        "person.status": "accused",
        "person.in-absentia": false,
        "offence.codes": ["CC-07"],
        "penalty.life": false,
        "penalty.most-months": 60,
        "documents.sent": ["conviction-or-warrant", "statement-of-offences", "text-of-law", "description-of-person", "translation"],
    })
}

const EPOC: [Move; 7] = [
    Do(act(0, "request", "validated", order)),
    Do(act(0, "transmit", "transmitted", nothing)),
    Do(act(1, "receive", "received_sp", |now| json!({ "received.at": rfc3339(now) }))),
    Do(act(1, "no-ground", "received_sp", nothing)),
    HandOver(act(1, "produce", "delivered", nothing)),
    Do(act(0, "notify-user", "user_notified", nothing)),
    Do(act(0, "close", "closed", nothing)),
];

fn order(_: Time) -> Value {
    json!({
        "reference.instrument": "EER",
        "data.categories": ["traffic"],
        "offence.codes": ["CC-01"],
        "penalty.life": false,
        "penalty.most-months": 60,
        "validation.judge": "judge",
        "art8.notified": true,
    })
}

impl Case {
    const fn procedure(self) -> &'static str {
        match self {
            Self::Emergency => "EMERG-DISC",
            Self::Extradition => "EXTR",
            Self::Epoc => "EPOC",
        }
    }

    const fn moves(self) -> &'static [Move] {
        match self {
            Self::Emergency => &EMERGENCY,
            Self::Extradition => &EXTRADITION,
            Self::Epoc => &EPOC,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Emergency => {
                "A person has been taken hostage in Arvia; who spoke to the kidnappers is known to a provider in Belmar (2AP 9)"
            }
            Self::Extradition => "Arvia seeks a person accused of fraud who was found in Belmar (ECE)",
            Self::Epoc => "A court in Arvia orders a provider in Belmar to produce traffic data (EER 4, 8)",
        }
    }
}

/// Tells a case; true if all ledgers are whole and the third Party learned nothing.
pub(super) async fn tell(
    case: Case,
    nodes: &[Node],
    places: &Places,
    timeline: &Timeline,
    context: &Context,
) -> Result<bool, CliFault> {
    context.out.say(&format!("\n{}\n", case.title()));
    let telling = Telling { procedure: case.procedure(), nodes, places, timeline };
    let mut moves = case.moves().iter();
    let Some(Do(first)) = moves.next() else { return Ok(false) };
    let played = telling.open(first).await?;
    for next in moves {
        match next {
            Do(act) => telling.take(act, json!({}), &played).await?,
            HandOver(act) => telling.hand_over(act, &played).await?,
        }
    }
    examine(nodes, &[&played], timeline).await
}

struct Telling<'a> {
    procedure: &'static str,
    nodes: &'a [Node],
    places: &'a Places,
    timeline: &'a Timeline,
}

impl Telling<'_> {
    async fn open(&self, act: &Act) -> Result<Played, CliFault> {
        let id = fresh_id();
        let client = &self.nodes[act.by].client;
        let fields = self.fields(act.step, (act.fields)(time::now()), client).await?;
        let lane = if fields["urgency.level"] == "emergency" { "emergency" } else { "normal" };
        let body = json!({
            "request_id": id, "procedure": self.procedure, "step": act.step, "recipients": [self.nodes[1].code],
            "authority": act.authority, "lane": lane, "fields": fields,
        });
        let first = client.post("/v1/requests", &body).await?;
        let played =
            Played { id, thread: text(&first, "/thread_id").to_owned(), first_index: number(&first, "/index") };
        settle(act, &first, self.nodes, &played, self.places, self.timeline).await?;
        Ok(played)
    }

    async fn take(&self, act: &Act, more: Value, played: &Played) -> Result<(), CliFault> {
        let client = &self.nodes[act.by].client;
        let mut says = (act.fields)(time::now());
        if let (Value::Object(says), Value::Object(more)) = (&mut says, more) {
            says.extend(more);
        }
        let fields = self.fields(act.step, says, client).await?;
        let body = json!({
            "command_id": fresh_id(), "step": act.step, "authority": act.authority, "lane": "normal", "fields": fields,
        });
        let done = client.post(&format!("/v1/requests/{}/steps", played.id), &body).await?;
        settle(act, &done, self.nodes, played, self.places, self.timeline).await
    }

    /// A folder is put under seal, handed over, its terms accepted, fetched, verified and taken over.
    async fn hand_over(&self, hands: &Act, played: &Played) -> Result<(), CliFault> {
        let [arvia, belmar, ..] = self.nodes else { return Ok(()) };
        let entries = evidence::walk(&sample::make(&self.places.sample)?)?;
        let shown = self.timeline.is_watched();
        let record = self.fields("seal", json!({}), &belmar.client).await?;
        let began = time::now();
        let sealed = evidence::seal(&belmar.client, &played.id, hands.authority, &[], &entries, record, shown).await?;
        self.timeline.sealed(belmar, &sealed, 0, time::now().since(began));
        let fields = self.fields(hands.step, (hands.fields)(time::now()), &belmar.client).await?;
        let body = json!({
            "command_id": fresh_id(), "step": hands.step, "manifest": text(&sealed, "/manifest"),
            "authority": hands.authority, "fields": fields,
        });
        let done = belmar.client.post(&format!("/v1/requests/{}/deliveries", played.id), &body).await?;
        settle(hands, &done, self.nodes, played, self.places, self.timeline).await?;
        let delivery = text(&done, "/event_id").to_owned();
        self.take(&act(0, "accept-terms", "delivered", nothing), json!({ "delivery": delivery }), played).await?;
        arvia.client.post_empty(&format!("/v1/deliveries/{delivery}/fetch")).await?;
        let began = time::now();
        let fetched = evidence::fetched(&delivery, &arvia.client, shown).await?;
        self.timeline.fetched(arvia, &fetched, time::now().since(began));
        let custody = act(0, "take-custody", "acknowledged", nothing);
        let body = json!({ "command_id": fresh_id(), "authority": custody.authority, "fields": {} });
        let done = arvia.client.post(&format!("/v1/deliveries/{delivery}/custody"), &body).await?;
        settle(&custody, &done, self.nodes, played, self.places, self.timeline).await
    }

    /// The contents of a form: what is said, and whatever else the node says is missing.
    async fn fields(&self, step: &str, says: Value, client: &Client) -> Result<Map<String, Value>, CliFault> {
        let path = format!("/v1/forms/{}/{step}", self.procedure);
        let form = client.get(&path).await?;
        let mut fields = says.as_object().cloned().unwrap_or_default();
        // Filling in one field may make another one necessary; no form leans on itself more often.
        for _ in 0..ROUNDS_MAX {
            let found = client.post(&format!("{path}/check"), &json!({ "fields": fields })).await?;
            let lacks = |error: &&Value| matches!(text(error, "/code"), "form.missing-field" | "form.missing-one-of");
            let missing: Vec<&Value> = list(&found, "/errors").iter().filter(lacks).collect();
            let mut filled = false;
            for error in missing {
                let rule = list(&form, "/fields").iter().find(|rule| text(rule, "/key") == text(error, "/field"));
                if let Some(rule) = rule.filter(|rule| rule["by_node"] != true) {
                    fields.insert(text(rule, "/key").to_owned(), usual(rule));
                    filled = true;
                }
            }
            if !filled {
                break;
            }
        }
        Ok(fields)
    }
}

const ROUNDS_MAX: usize = 8;

/// What an officer might write into a field.
fn usual(rule: &Value) -> Value {
    let codes = list(rule, "/codes/codes");
    match text(rule, "/kind") {
        "text" => json!({ "lang": "en", "text": format!("Exercise: {}.", text(rule, "/label")) }),
        "integer" => json!(rule["least"].as_i64().unwrap_or(1)),
        "flag" => json!(rule["must"].as_bool().unwrap_or(true)),
        "time" => json!(rfc3339(time::now())),
        "date" => json!(rfc3339(time::now()).chars().take("0000-00-00".len()).collect::<String>()),
        _ if !codes.is_empty() => codes[0]["code"].clone(),
        _ => match text(rule, "/codes/pattern") {
            "party" => json!("XC"),
            "language" => json!("en"),
            "time-zone" => json!("Europe/Vienna"),
            "event" | "digest" => json!("0".repeat(64)),
            "request" | "item" => json!("0".repeat(32)),
            _ => json!("central"),
        },
    }
}
