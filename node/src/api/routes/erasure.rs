//! Letting requests go, holding them back from that, and what is said of those that are gone.
//!
//! Neither act needs a command id: a request is erased once, held or not held, so asking twice is asking once.

use axum::{Json, extract::State, http::StatusCode};
use comity_core::{
    engine::{Erase, NotDone, erasure_command},
    ids::{AuthorityId, EventId, RequestId},
    index::IndexFault,
    proto::{self, ErasureRow, value::Kind},
    rules::Code,
};
use prost::Message as _;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        act::{put_before_officers, settled},
        cursor,
        extract::{Asked, JsonBody, Params, page, parse},
        fault::ApiFault,
        problem::Problem,
        views::erasure::{self, ErasureView, ErasuresView, HoldView, RetentionView},
    },
    handle::{EyesFault, View},
    time,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show, erase))
        .routes(routes!(hold, release))
        .routes(routes!(retention))
        .routes(routes!(list))
}

/// Which rows are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Where an earlier page ended.
    cursor: Option<String>,
    /// Rows, 1 to 500; 100 if left out.
    limit: Option<usize>,
}

/// How many rows are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Rows {
    /// Rows, 1 to 500; 100 if left out.
    limit: Option<usize>,
}

/// Why a request is to be erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewErasure {
    /// A ground of the rules, for example `retention-over`; see `/v1/retention`.
    ground: String,
    /// Whose officers approve it, where two must; that of our last act in the request if left out.
    #[serde(default)]
    authority: Option<String>,
}

/// Why a request is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHold {
    /// A reason of the rules, for example `proceedings`; see `/v1/retention`.
    reason: String,
}

/// How long things are kept, and which requests need not be kept any more.
#[utoipa::path(get, path = "/v1/retention", tag = "retention", params(Rows),
    responses((status = 200, description = "Rules, grounds, and requests whose time is over.", body = RetentionView)))]
async fn retention(State(api): State<Api>, Asked(rows): Asked<Rows>) -> Result<Json<RetentionView>, Problem> {
    let limit = page(rows.limit)?;
    api.look(move |view| erasure::retention(view, limit, time::now())).await.map(Json)
}

/// All requests that were erased, or are being erased.
#[utoipa::path(get, path = "/v1/erasures", tag = "retention", params(Wanted),
    responses((status = 200, description = "Erasures.", body = ErasuresView)))]
async fn list(State(api): State<Api>, Asked(wanted): Asked<Wanted>) -> Result<Json<ErasuresView>, Problem> {
    let limit = page(wanted.limit)?;
    let after = wanted.cursor.as_deref().map(cursor::read_request).transpose()?;
    let look = move |view: &View| Ok(ErasuresView::new(&view.index.erasures(after.as_ref(), limit)?, limit));
    api.look(look).await.map(Json)
}

/// That a request was erased: when, on which ground, and nothing else.
#[utoipa::path(get, path = "/v1/requests/{request_id}/erasure", tag = "retention", params(("request_id" = String, Path)),
    responses((status = 200, description = "The erasure.", body = ErasureView)))]
async fn show(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<ErasureView>, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let look = move |view: &View| match view.index.erasure(&id)? {
        Some(row) => Ok(ErasureView::new(&id, &row)),
        None if view.index.threads_of(&id)?.is_empty() => Err(ApiFault::UnknownRequest.into()),
        None => Err(ApiFault::NotErased.into()),
    };
    api.look(look).await.map(Json)
}

/// Erases a request for good. Answered once its keys are destroyed and that is on record; asked again, the answer is the
/// same, under whichever ground.
#[utoipa::path(post, path = "/v1/requests/{request_id}/erasure", tag = "retention", request_body = NewErasure,
    params(("request_id" = String, Path)),
    responses((status = 200, description = "It is erased.", body = ErasureView)))]
async fn erase(
    State(api): State<Api>,
    Params(id): Params<String>,
    JsonBody(new): JsonBody<NewErasure>,
) -> Result<Json<ErasureView>, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    let ground = code("ground", &new.ground)?;
    let evidence = api.evidence.clone();
    api.look(move |_| Ok(evidence.is_at_rest(&request)?)).await?;
    let authority = new.authority.as_deref().map(|id| parse("authority", id)).transpose()?;
    erase_seen(&api, request, ground, authority).await.map(Json)
}

/// Erases a request as that was put before officers.
pub(super) async fn erase_prepared(api: &Api, row: &proto::PreparedAct) -> Result<ErasureView, Problem> {
    let view = api.handle.view();
    let unknown = || Problem::from(EyesFault::Unknown);
    let matter = view.matter(row).ok_or_else(unknown)?;
    let body = proto::Body::decode(&row.body[..]).map_err(|_| unknown())?;
    let value = body.fields.first().and_then(|field| field.values.first()).and_then(|value| value.kind.clone());
    let ground = match value {
        Some(Kind::Code(ground)) => code("ground", &ground)?,
        _ => return Err(unknown()),
    };
    erase_seen(api, matter.request, ground, Some(matter.authority)).await
}

/// With what officers have said of it; what they must approve first is put before them.
async fn erase_seen(
    api: &Api,
    request: RequestId,
    ground: Code,
    authority: Option<AuthorityId>,
) -> Result<ErasureView, Problem> {
    let command = erasure_command(&request);
    let handle = api.handle.clone();
    let erasing = tokio::spawn(async move {
        let (approvals, claim) = handle.view().begin(&request, &command).await?;
        let row = match handle.erase(Erase { request, ground, authority, approvals }).await {
            Ok(row) => row,
            Err(refused) => {
                claim.into_iter().for_each(|claim| claim.refused(&refused));
                return Ok(Err(refused));
            }
        };
        if let Ok(intent) = EventId::from_slice(&row.intent) {
            settled(handle.view(), &request, &command, &intent).await;
        }
        Ok::<_, EyesFault>(Ok(row))
    });
    let erased: Result<ErasureRow, NotDone> = erasing.await.map_err(|_| ApiFault::Stopping)??;
    match erased {
        Ok(row) => Ok(ErasureView::new(&request, &row)),
        Err(refused) => Err(put_before_officers(api, refused, proto::Lane::Normal).await),
    }
}

/// Holds a request back from erasure, whatever rule or ground would let it go. Answered once that is on disk.
#[utoipa::path(put, path = "/v1/requests/{request_id}/hold", tag = "retention", request_body = NewHold,
    params(("request_id" = String, Path)),
    responses((status = 200, description = "It is held.", body = HoldView)))]
async fn hold(
    State(api): State<Api>,
    Params(id): Params<String>,
    JsonBody(new): JsonBody<NewHold>,
) -> Result<Json<HoldView>, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    let held = api.handle.hold(request, Some(code("reason", &new.reason)?)).await?;
    let held = held.ok_or(IndexFault::Damaged)?;
    Ok(Json(HoldView::new(&held)))
}

/// Releases a request that was held back. Answered once that is on disk.
#[utoipa::path(delete, path = "/v1/requests/{request_id}/hold", tag = "retention", params(("request_id" = String, Path)),
    responses((status = 204, description = "It is not held any more.")))]
async fn release(State(api): State<Api>, Params(id): Params<String>) -> Result<StatusCode, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    api.handle.hold(request, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn code(name: &'static str, text: &str) -> Result<Code, ApiFault> {
    let why = "a code is letters, digits and `. - _`, at most 64".to_owned();
    Code::parse(text).ok_or(ApiFault::BadParameter { name, why })
}

/// Why a request is not here: it never was, or it is erased.
pub(super) fn missing(view: &View, request: &RequestId) -> Problem {
    match view.index.erasure(request) {
        Ok(None) => ApiFault::UnknownRequest.into(),
        Ok(Some(row)) => {
            let erased = ErasureView::new(request, &row).to_string();
            Problem::new("request.erased", &format!("there is nothing to show or do; {erased}; see /v1/erasures"))
        }
        Err(fault) => fault.into(),
    }
}
