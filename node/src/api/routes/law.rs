//! The law as data: procedures, forms, and which law applies.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use comity_core::{
    ids::{PartyCode, ProcedureCode, StepCode, Time},
    law::{Question, Weighed},
    rules::{Code, Form, Literal},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::api::{
    Api,
    extract::{Asked, JsonBody, Params, parse},
    fault::ApiFault,
    fields,
    problem::Problem,
    views::{
        law::{self, FormCheckView, FormView, LawView, ProceduresView},
        schema,
    },
};
use crate::time;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(procedures))
        .routes(routes!(form))
        .routes(routes!(schema))
        .routes(routes!(check))
        .routes(routes!(explain))
}

/// The procedures this node knows.
#[utoipa::path(get, path = "/v1/procedures", tag = "law", responses((status = 200, description = "All procedures.", body = ProceduresView)))]
async fn procedures(State(api): State<Api>) -> Json<ProceduresView> {
    Json(law::procedures(&api.handle.view().rules))
}

/// The form of a step.
#[utoipa::path(get, path = "/v1/forms/{procedure}/{step}", tag = "law",
    params(("procedure" = String, Path), ("step" = String, Path)),
    responses((status = 200, description = "The form.", body = FormView)))]
async fn form(
    State(api): State<Api>,
    Params((procedure, step)): Params<(String, String)>,
) -> Result<Json<FormView>, Problem> {
    Ok(Json(law::form(form_of(&api, &procedure, &step)?)))
}

fn form_of<'a>(api: &'a Api, procedure: &str, step: &str) -> Result<&'a Form, ApiFault> {
    let procedure: ProcedureCode = parse("procedure", procedure)?;
    let step: StepCode = parse("step", step)?;
    api.handle.view().rules.form(&procedure, &step).ok_or(ApiFault::UnknownForm)
}

/// The form of a step as a JSON Schema (draft 2020-12) of its `fields`.
#[utoipa::path(get, path = "/v1/forms/{procedure}/{step}/schema", tag = "law",
    params(("procedure" = String, Path), ("step" = String, Path)),
    responses((status = 200, description = "A JSON Schema.", body = Object, content_type = "application/schema+json")))]
async fn schema(
    State(api): State<Api>,
    Params((procedure, step)): Params<(String, String)>,
) -> Result<Response, Problem> {
    let schema = schema::of(form_of(&api, &procedure, &step)?);
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response())
}

/// The contents of a form, to be looked over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// By field.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
    /// The Party it would go to: then it is also said what to look after.
    #[serde(default)]
    to: Option<String>,
}

/// Says everything that is wrong with the contents of a form. Nothing is kept.
#[utoipa::path(post, path = "/v1/forms/{procedure}/{step}/check", tag = "law", request_body = Contents,
    params(("procedure" = String, Path), ("step" = String, Path)),
    responses((status = 200, description = "What is wrong.", body = FormCheckView)))]
async fn check(
    State(api): State<Api>,
    Params((procedure, step)): Params<(String, String)>,
    JsonBody(contents): JsonBody<Contents>,
) -> Result<Json<FormCheckView>, Problem> {
    let form = form_of(&api, &procedure, &step)?;
    let to: Option<PartyCode> = contents.to.as_deref().map(|party| parse("to", party)).transpose()?;
    let (body, errors) = fields::look(form, &contents.fields);
    let warnings = to.map(|to| law::warnings(api.handle.view(), form, &body, &to)).unwrap_or_default();
    Ok(Json(FormCheckView::new(form, errors, warnings)))
}

/// What is asked of the law. Lists are codes separated by commas.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LawAsked {
    /// The Party that would ask.
    from: String,
    /// The Party that would be asked.
    to: String,
    /// The day, as `YYYY-MM-DD` in UTC; now, if left out.
    on: Option<String>,
    /// The procedure; all, if left out.
    procedure: Option<String>,
    /// Codes of the offences.
    offences: Option<String>,
    /// The highest penalty under the law of the Party that asks, in months.
    penalty_months: Option<u64>,
    /// The highest penalty for the same act under the law of the Party that is asked, in months.
    penalty_months_requested: Option<u64>,
    /// Imprisonment for life is possible.
    life: Option<bool>,
    /// The sentence imposed or left, in months.
    sentence_months: Option<u64>,
    /// Categories of data.
    data: Option<String>,
    /// The basis of an emergency.
    emergency: Option<String>,
    /// Protocols the request would rest on beside its instrument.
    protocols: Option<String>,
}

impl LawAsked {
    fn about(&self, rules: &comity_core::rules::Rules) -> Result<Weighed, ApiFault> {
        let list = |name: &'static str, text: &Option<String>, known: &dyn Fn(&Code) -> bool| {
            let words = text.as_deref().unwrap_or_default().split(',').filter(|word| !word.is_empty());
            let read = |word: &str| {
                let code = Code::parse(word).filter(|code| known(code));
                code.ok_or_else(|| ApiFault::BadParameter { name, why: format!("the rules know no code {word}") })
            };
            words.map(read).collect::<Result<Vec<Code>, ApiFault>>()
        };
        let in_list = |id: &'static str| {
            let list = Code::parse(id).and_then(|id| rules.list(&id));
            move |code: &Code| list.is_some_and(|list| list.has(code.as_str()))
        };
        let emergency = list("emergency", &self.emergency, &in_list("emergency-bases"))?;
        Ok(Weighed {
            offences: list("offences", &self.offences, &|code| rules.offence(code).is_some())?,
            life: self.life.unwrap_or_default(),
            penalty_months: self.penalty_months,
            penalty_months_requested: self.penalty_months_requested,
            sentence_months: self.sentence_months,
            categories: list("data", &self.data, &in_list("data-categories"))?,
            emergency: emergency.into_iter().next(),
            protocols: list("protocols", &self.protocols, &|code| rules.instrument(code).is_some())?,
        })
    }

    fn at(&self) -> Result<Time, ApiFault> {
        let bad = || ApiFault::BadParameter { name: "on", why: "it must be a day as YYYY-MM-DD".to_owned() };
        match &self.on {
            None => Ok(time::now()),
            // What begins on a day is in force at its noon.
            Some(day) => time::parse_rfc3339(&format!("{day}T12:00:00Z")).map_err(|_| bad()),
        }
    }
}

/// Which law applies: each instrument that could carry a request, whether it may, what it demands, which clocks would run,
/// which grounds are open, article by article.
#[utoipa::path(get, path = "/v1/law", tag = "law", params(LawAsked),
    responses((status = 200, description = "Each instrument of each procedure.", body = LawView)))]
async fn explain(State(api): State<Api>, Asked(asked): Asked<LawAsked>) -> Result<Json<LawView>, Problem> {
    let from: PartyCode = parse("from", &asked.from)?;
    let to: PartyCode = parse("to", &asked.to)?;
    let procedure = asked.procedure.as_deref().map(|code| parse::<ProcedureCode>("procedure", code)).transpose()?;
    api.look(move |view| {
        let trust = view.trust();
        for (name, party) in [("from", &from), ("to", &to)] {
            if !trust.charter().parties().contains_key(party) {
                return Err(ApiFault::BadParameter { name, why: format!("the charter knows no Party {party}") }.into());
            }
        }
        if let Some(code) = procedure.as_ref().filter(|code| view.rules.procedure(code).is_none()) {
            let why = format!("the rules know no procedure {code}");
            return Err(ApiFault::BadParameter { name: "procedure", why }.into());
        }
        let about = asked.about(&view.rules)?;
        let level = if about.emergency.is_some() { "emergency" } else { "normal" };
        let facts = BTreeMap::from([("urgency.level".to_owned(), Literal::Code(level.to_owned()))]);
        let question = Question { from: &from, to: &to, at: asked.at()?, procedure: procedure.as_ref(), about, facts };
        Ok(law::explained(&view.rules, &trust, &question))
    })
    .await
    .map(Json)
}
