//! Hand-overs: the giver's step, and the taker's fetching, pausing and taking of custody.
//!
//! What such steps say of a manifest the node fills in itself, from what is under seal or verified
//! here; an officer says the rest. So nobody hands over, or takes, what is not there.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use comity_core::{
    engine::verify_command,
    ids::{EventId, ItemId, RequestId},
    procedure::ManifestRef,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::requests::{created, procedure_of};
use crate::{
    api::{
        Api,
        act::{ActView, LaneName, NewStep, perform},
        extract::{IdempotencyKey, JsonBody, Params, parse},
        problem::Problem,
        views::evidence::DeliveryView,
    },
    evidence::EvidenceFault,
    handle::{HandOver, View},
    time,
};

/// The step by which custody is taken.
const TAKE_CUSTODY: &str = "take-custody";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(deliver))
        .routes(routes!(show))
        .routes(routes!(fetch))
        .routes(routes!(pause))
        .routes(routes!(take_custody))
}

/// A hand-over to be signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDelivery {
    /// The id of this act: 16 random bytes in hexadecimal; `Idempotency-Key` serves as well.
    #[serde(default)]
    command_id: Option<String>,
    /// `deliver`, `deliver-part` or `redeliver`.
    step: String,
    /// The manifest of what is handed over: the object it rests in.
    manifest: String,
    /// Which of our authorities acts, as the profile names it.
    authority: String,
    /// How urgent the delivery is.
    #[serde(default)]
    lane: LaneName,
    /// The rest of the form, by field; the node fills in what it says of the manifest.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// Signs the hand-over of what is under seal here, and offers it. Nothing moves before the taker has
/// accepted the terms.
#[utoipa::path(post, path = "/v1/requests/{request_id}/deliveries", tag = "evidence", request_body = NewDelivery,
    params(
        ("request_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the body names none."),
    ),
    responses((status = 201, description = "It is on disk.", body = ActView)))]
async fn deliver(
    State(api): State<Api>,
    Params(id): Params<String>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(new): JsonBody<NewDelivery>,
) -> Result<Response, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    let manifest: ItemId = parse("manifest", &new.manifest)?;
    let held = api.evidence.manifest(manifest).await?;
    if held.manifest.request != request {
        return Err(EvidenceFault::UnknownManifest.into());
    }
    let named = api.evidence.named(manifest).await?;
    let procedure = api.look(move |view| procedure_of(view, &request)).await?;
    let step = NewStep {
        command_id: new.command_id,
        step: new.step,
        authority: new.authority,
        lane: new.lane,
        fields: new.fields,
    };
    let act = step.act_with(request, procedure, key, &api.handle.view().rules, manifest_fields(&named))?;
    Ok(created(perform(&api, act).await?))
}

/// What a hand-over says of its manifest.
fn manifest_fields(named: &ManifestRef) -> Map<String, Value> {
    members(json!({
        "manifest.item": named.item.to_string(),
        "manifest.digest": named.digest.to_string(),
        "manifest.root": named.root.to_string(),
        "manifest.size": named.size,
        "manifest.items": named.items,
        "manifest.bytes": named.bytes,
    }))
}

fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// One hand-over: what it is, how far the thread is with it, and how far its bytes are on their way here.
#[utoipa::path(get, path = "/v1/deliveries/{event_id}", tag = "evidence", params(("event_id" = String, Path)),
    responses((status = 200, description = "The hand-over.", body = DeliveryView)))]
async fn show(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<DeliveryView>, Problem> {
    let hand_over = find(&api, parse("event_id", &id)?).await?;
    let look = api.evidence.look(&hand_over).await?;
    Ok(Json(DeliveryView::new(&hand_over, &api.handle.view().us.party, &look)))
}

async fn find(api: &Api, delivery: EventId) -> Result<HandOver, Problem> {
    let look = move |view: &View| {
        let found = view.hand_over(&delivery, time::now())?;
        found.ok_or_else(|| Problem::from(EvidenceFault::UnknownDelivery))
    };
    api.look(look).await
}

/// Fetches a hand-over to us, in the background; asked again, it goes on where it stood.
#[utoipa::path(post, path = "/v1/deliveries/{event_id}/fetch", tag = "evidence", params(("event_id" = String, Path)),
    responses((status = 202, description = "It is under way.", body = DeliveryView)))]
async fn fetch(State(api): State<Api>, Params(id): Params<String>) -> Result<Response, Problem> {
    let delivery: EventId = parse("event_id", &id)?;
    api.evidence.fetch(delivery).await?;
    let shown = show(State(api), Params(id)).await?;
    Ok((StatusCode::ACCEPTED, shown).into_response())
}

/// Stops a fetch where it stands, until it is asked for again.
#[utoipa::path(post, path = "/v1/deliveries/{event_id}/pause", tag = "evidence", params(("event_id" = String, Path)),
    responses((status = 200, description = "It stands still.", body = DeliveryView)))]
async fn pause(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<DeliveryView>, Problem> {
    api.evidence.pause(parse("event_id", &id)?).await?;
    show(State(api), Params(id)).await
}

/// Custody to be taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCustody {
    /// The id of this act: 16 random bytes in hexadecimal; `Idempotency-Key` serves as well.
    #[serde(default)]
    command_id: Option<String>,
    /// Which of our authorities acts, as the profile names it.
    authority: String,
    /// The rest of the form, by field; the node fills in what was verified.
    #[serde(default)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// Signs that custody is taken: only of what is here whole, with both digests of every item verified.
#[utoipa::path(post, path = "/v1/deliveries/{event_id}/custody", tag = "evidence", request_body = NewCustody,
    params(
        ("event_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the body names none."),
    ),
    responses((status = 201, description = "It is on disk.", body = ActView)))]
async fn take_custody(
    State(api): State<Api>,
    Params(id): Params<String>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(new): JsonBody<NewCustody>,
) -> Result<Response, Problem> {
    let delivery: EventId = parse("event_id", &id)?;
    let hand_over = find(&api, delivery).await?;
    if !api.evidence.is_here(&hand_over).await? {
        return Err(EvidenceFault::Incomplete.into());
    }
    let record = api.look(move |view| Ok(view.index.command(&verify_command(&delivery))?)).await?;
    let record = record.ok_or(EvidenceFault::Incomplete)?;
    let named = &hand_over.delivery.manifest;
    let made = members(json!({
        "custody.manifest": named.digest.to_string(),
        "custody.items": named.items,
        "custody.bytes": named.bytes,
        "custody.record": record.to_string(),
    }));
    let mut fields = new.fields;
    fields.insert("delivery".to_owned(), Value::String(delivery.to_string()));
    let step = NewStep {
        command_id: new.command_id,
        step: TAKE_CUSTODY.to_owned(),
        authority: new.authority,
        lane: LaneName::Normal,
        fields,
    };
    let rules = &api.handle.view().rules;
    let act = step.act_with(hand_over.request, hand_over.procedure, key, rules, made)?;
    Ok(created(perform(&api, act).await?))
}
