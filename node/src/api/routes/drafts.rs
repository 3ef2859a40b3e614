//! Drafts: requests begun and not yet signed. They lie encrypted on the node's desk; no peer learns of
//! them, and nothing of them is proven.
//!
//! A draft may be unfinished in every way; `errors` says what is missing. `ETag` and `If-Match` keep
//! two people from overwriting each other. Sending signs the draft and takes it off the desk: what a
//! crash between the two leaves is a draft that, sent again, gives the first answer.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use comity_core::{
    crypto::sha256,
    ids::{PartyCode, ProcedureCode, RequestId, StepCode, Time, hex},
    rules::{Form, Rules},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::requests::created;
use crate::{
    api::{
        Api,
        act::{ActView, LaneName, NewRequest, open, opening},
        extract::{Conditions, IdempotencyKey, JsonBody, Params, parse},
        fault::ApiFault,
        fields,
        problem::{FieldError, Problem},
        views::law,
    },
    handle::{DRAFT_PREFIX as PREFIX, View},
    time,
};

/// Drafts an office has in hand at once, with room to spare.
const DRAFTS_MAX: usize = 1_000;
/// Bytes of all drafts: the desk is held in memory.
const DRAFTS_BYTES_MAX: usize = 64 << 20;
/// Bytes of the digest in an entity tag: nobody makes two drafts to collide with themselves.
const TAG_BYTES: usize = 16;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, keep, discard)).routes(routes!(send))
}

/// A request not yet signed: everything may still be missing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Draft {
    /// The id it will have for ever; that of the path if left out.
    #[serde(default)]
    request_id: Option<String>,
    /// The id of the act that will send it; the request's id if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command_id: Option<String>,
    /// For example `PRES`.
    #[serde(default)]
    procedure: Option<String>,
    /// The step that will open it, where the procedure has several; the usual one, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// The Parties asked.
    #[serde(default)]
    recipients: Vec<String>,
    /// Which of our authorities acts.
    #[serde(default)]
    authority: Option<String>,
    /// How urgent the delivery is.
    #[serde(default)]
    lane: LaneName,
    /// The contents of the form, by field, as far as they are known.
    #[serde(default)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// A draft as it lies on the desk.
#[derive(Serialize, Deserialize)]
struct Stored {
    updated_ms: u64,
    draft: Draft,
}

/// A draft.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DraftView)]
struct DraftView {
    schema: &'static str,
    #[serde(flatten)]
    draft: Draft,
    /// When it was changed last.
    updated: String,
    /// Its entity tag, as in the head `ETag`.
    etag: String,
    /// What keeps it from being signed, field by field.
    errors: Vec<FieldError>,
    /// What speaks against sending it, though nothing forbids it.
    warnings: Vec<FieldError>,
}

/// A draft in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DraftRow)]
struct DraftRowView {
    /// The id it will have for ever.
    request_id: String,
    /// For example `PRES`.
    procedure: Option<String>,
    /// The Parties asked.
    recipients: Vec<String>,
    /// When it was changed last.
    updated: String,
    /// Its entity tag.
    etag: String,
}

/// Drafts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drafts)]
struct DraftsView {
    schema: &'static str,
    /// All of them: there are at most a thousand.
    drafts: Vec<DraftRowView>,
}

/// All drafts.
#[utoipa::path(get, path = "/v1/drafts", tag = "drafts", responses((status = 200, description = "All drafts.", body = DraftsView)))]
async fn list(State(api): State<Api>) -> Result<Json<DraftsView>, Problem> {
    let look = |view: &View| {
        let rows = view.desk.range(PREFIX);
        let drafts = rows.iter().filter_map(|(key, value)| row(key, value)).collect();
        Ok(DraftsView { schema: "comity/drafts/v1", drafts })
    };
    api.look(look).await.map(Json)
}

fn row(key: &[u8], value: &[u8]) -> Option<DraftRowView> {
    let stored: Stored = serde_json::from_slice(value).ok()?;
    Some(DraftRowView {
        request_id: hex(key.strip_prefix(PREFIX)?),
        procedure: stored.draft.procedure,
        recipients: stored.draft.recipients,
        updated: time::rfc3339(Time(stored.updated_ms)),
        etag: tag(value),
    })
}

/// One draft, and what it still lacks.
#[utoipa::path(get, path = "/v1/drafts/{request_id}", tag = "drafts", params(("request_id" = String, Path)),
    responses((status = 200, description = "The draft.", body = DraftView, headers(("ETag" = String)))))]
async fn show(State(api): State<Api>, Params(id): Params<String>) -> Result<Response, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let look = move |view: &View| {
        let value = view.desk.get(&key(&id)).ok_or(ApiFault::UnknownDraft)?;
        answer(&value, view).ok_or_else(|| ApiFault::UnknownDraft.into())
    };
    api.look(look).await.map(IntoResponse::into_response)
}

/// Puts a draft on the desk, over what lies there. Answered once it is on disk.
#[utoipa::path(put, path = "/v1/drafts/{request_id}", tag = "drafts", request_body = Draft,
    params(
        ("request_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only over a draft with this entity tag."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none."),
    ),
    responses((status = 200, description = "It is on disk.", body = DraftView, headers(("ETag" = String)))))]
async fn keep(
    State(api): State<Api>,
    Params(id): Params<String>,
    conditions: Conditions,
    JsonBody(mut draft): JsonBody<Draft>,
) -> Result<Response, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let named: Option<RequestId> = draft.request_id.as_deref().map(|text| parse("request_id", text)).transpose()?;
    if named.is_some_and(|named| named != id) {
        let why = "the body names another draft than the path".to_owned();
        return Err(ApiFault::BadParameter { name: "request_id", why }.into());
    }
    draft.request_id = Some(id.to_string());
    let stored = Stored { updated_ms: time::now().0, draft };
    let value = serde_json::to_vec(&stored).expect("texts and maps always become JSON");
    let _one_at_a_time = api.drafts.lock().await;
    let change = move |view: &View| {
        let now = view.desk.get(&key(&id));
        conditions.hold(now.as_deref().map(|now| tag(now)).as_deref())?;
        has_room(view, &id, value.len())?;
        view.desk.put(&key(&id), &value)?.wait()?;
        answer(&value, view).ok_or_else(|| ApiFault::UnknownDraft.into())
    };
    api.look(change).await.map(IntoResponse::into_response)
}

fn has_room(view: &View, id: &RequestId, bytes: usize) -> Result<(), ApiFault> {
    let rows = view.desk.range(PREFIX);
    let others = rows.iter().filter(|(other, _)| *other != key(id));
    let (count, held) = others.fold((0, 0), |(count, held), (_, value)| (count + 1, held + value.len()));
    if count >= DRAFTS_MAX || held + bytes > DRAFTS_BYTES_MAX { Err(ApiFault::DraftsFull) } else { Ok(()) }
}

/// Throws a draft away.
#[utoipa::path(delete, path = "/v1/drafts/{request_id}", tag = "drafts",
    params(
        ("request_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only a draft with this entity tag."),
    ),
    responses((status = 204, description = "It is gone.")))]
async fn discard(
    State(api): State<Api>,
    Params(id): Params<String>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let _one_at_a_time = api.drafts.lock().await;
    let change = move |view: &View| {
        let value = view.desk.get(&key(&id)).ok_or(ApiFault::UnknownDraft)?;
        conditions.hold(Some(&tag(&value)))?;
        Ok(view.desk.delete(&key(&id))?.wait()?)
    };
    api.look(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs and sends a draft, and takes it off the desk. Answered once that is on disk.
#[utoipa::path(post, path = "/v1/drafts/{request_id}/send", tag = "drafts",
    params(
        ("request_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only a draft with this entity tag."),
        ("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the draft names none."),
    ),
    responses((status = 201, description = "It is on disk.", body = ActView)))]
async fn send(
    State(api): State<Api>,
    Params(id): Params<String>,
    conditions: Conditions,
    IdempotencyKey(command): IdempotencyKey,
) -> Result<Response, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let _one_at_a_time = api.drafts.lock().await;
    let look = move |view: &View| {
        let value = view.desk.get(&key(&id)).ok_or(ApiFault::UnknownDraft)?;
        conditions.hold(Some(&tag(&value)))?;
        let stored: Stored = serde_json::from_slice(&value).map_err(|_| ApiFault::UnknownDraft)?;
        let whole = stored.draft.whole(&id)?;
        let act = whole.act(command, &view.rules)?;
        Ok((whole, act))
    };
    let (whole, act) = api.look(look).await?;
    let done = open(&api, &whole.fields, act).await?;
    // It is signed and on disk: that the draft stays would be no reason to say otherwise.
    let taken_off = api.look(move |view| Ok(view.desk.delete(&key(&id))?.wait()?)).await;
    if let Err(problem) = taken_off {
        tracing::warn!(target: "api", code = problem.code, "a draft that was sent stays on the desk");
    }
    Ok(created(done))
}

impl Draft {
    /// What it is once everything is said.
    fn whole(self, id: &RequestId) -> Result<NewRequest, ApiFault> {
        Ok(NewRequest {
            request_id: id.to_string(),
            command_id: self.command_id,
            procedure: self.procedure.ok_or(ApiFault::DraftUnfinished("its procedure"))?,
            step: self.step,
            recipients: self.recipients,
            authority: self.authority.ok_or(ApiFault::DraftUnfinished("its authority"))?,
            lane: self.lane,
            fields: self.fields,
        })
    }

    fn form<'r>(&self, rules: &'r Rules) -> Option<&'r Form> {
        let procedure = self.procedure.as_deref().and_then(|code| ProcedureCode::parse(code).ok())?;
        let step = match &self.step {
            Some(step) => StepCode::parse(step).ok(),
            None => opening(rules, &procedure),
        };
        rules.form(&procedure, &step?)
    }

    /// What keeps it from being signed, and what speaks against sending it.
    fn looked_over(&self, view: &View) -> (Vec<FieldError>, Vec<FieldError>) {
        let Some(form) = self.form(&view.rules) else { return Default::default() };
        let (body, errors) = fields::look(form, &self.fields);
        let to = self.recipients.first().and_then(|party| PartyCode::parse(party).ok());
        (errors, to.map(|to| law::warnings(view, form, &body, &to)).unwrap_or_default())
    }
}

type Answer = ([(HeaderName, String); 1], Json<DraftView>);

fn answer(value: &[u8], view: &View) -> Option<Answer> {
    let Stored { updated_ms, draft } = serde_json::from_slice(value).ok()?;
    let etag = tag(value);
    let (errors, warnings) = draft.looked_over(view);
    let updated = time::rfc3339(Time(updated_ms));
    let view = DraftView { schema: "comity/draft/v1", draft, updated, etag: etag.clone(), errors, warnings };
    Some(([(header::ETAG, etag)], Json(view)))
}

fn key(id: &RequestId) -> Vec<u8> {
    [PREFIX, id.as_bytes()].concat()
}

fn tag(value: &[u8]) -> String {
    format!("\"{}\"", hex(&sha256(&[value]).as_bytes()[..TAG_BYTES]))
}
