//! Requests: all of them, those that wait, one of them whole, and the acts that move them.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Extension, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use comity_core::{
    ids::{ProcedureCode, RequestId, ThreadId, Time},
    index::IndexFault,
    proto::ThreadRow,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::erasure::missing;
use crate::{
    api::{
        Api,
        act::{ActView, NewRequest, NewStep, open, perform},
        audited::Unrecorded,
        cursor,
        extract::{Asked, IdempotencyKey, JsonBody, PAGE_MAX, Params, page, parse},
        problem::Problem,
        views::requests::{self, InboxView, RequestRowView, RequestView, RequestsView},
    },
    handle::View,
    time,
};

/// Threads read at a time while looking for those that fit.
const STRIDE: usize = 200;
/// Threads looked at for one answer: a tenth of a second of reading. What is left comes with the next page.
const LOOKED_AT_MAX: usize = 2_000;
/// Threads looked at for those that wait for us without a deadline.
const WAITING_LOOKED_AT_MAX: usize = 20_000;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(step))
        .routes(routes!(inbox))
}

/// Which requests are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Where an earlier page ended.
    cursor: Option<String>,
    /// Rows, 1 to 500; 100 if left out.
    limit: Option<usize>,
    /// Only those in this state, for example `preserved`.
    state: Option<String>,
    /// Only those of this procedure, for example `PRES`.
    procedure: Option<String>,
}

/// All requests.
#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(Wanted),
    responses((status = 200, description = "Requests.", body = RequestsView)))]
async fn list(State(api): State<Api>, Asked(wanted): Asked<Wanted>) -> Result<Json<RequestsView>, Problem> {
    let limit = page(wanted.limit)?;
    let after = wanted.cursor.as_deref().map(cursor::read_thread).transpose()?;
    api.look(move |view| find(view, after, limit, &wanted, time::now())).await.map(Json)
}

fn find(
    view: &View,
    mut after: Option<ThreadId>,
    limit: usize,
    wanted: &Wanted,
    now: Time,
) -> Result<RequestsView, Problem> {
    let mut found = Vec::new();
    for _ in 0..LOOKED_AT_MAX / STRIDE {
        let stride = view.index.threads(after.as_ref(), STRIDE)?;
        let ended = stride.len() < STRIDE;
        for (thread, row) in stride {
            if found.len() == limit {
                return Ok(RequestsView::new(found, after.as_ref()));
            }
            after = Some(thread);
            if wanted.procedure.as_ref().is_some_and(|wanted| *wanted != row.procedure) {
                continue;
            }
            let row = requests::row(view, &thread, row, now)?;
            if wanted.state.as_ref().is_none_or(|wanted| *wanted == row.state) {
                found.push(row);
            }
        }
        if ended {
            return Ok(RequestsView::new(found, None));
        }
    }
    Ok(RequestsView::new(found, after.as_ref()))
}

/// What is wanted of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Waiting {
    /// True: only requests with a deadline.
    due: Option<bool>,
    /// Rows, 1 to 500; 500 if left out.
    limit: Option<usize>,
}

/// Whose turn it is, and until when: the nearest deadline first, then what waits for us without one.
#[utoipa::path(get, path = "/v1/inbox", tag = "requests", params(Waiting),
    responses((status = 200, description = "What waits.", body = InboxView)))]
async fn inbox(State(api): State<Api>, Asked(wanted): Asked<Waiting>) -> Result<Json<InboxView>, Problem> {
    let limit = page(wanted.limit.or(Some(PAGE_MAX)))?;
    let due = wanted.due.unwrap_or(false);
    api.look(move |view| waiting(view, due, limit, time::now())).await.map(Json)
}

fn waiting(view: &View, due: bool, limit: usize, now: Time) -> Result<InboxView, Problem> {
    let dated = view.index.by_deadline(limit + 1)?;
    let mut more = dated.len() > limit;
    let mut rows: Vec<(ThreadId, ThreadRow)> = Vec::new();
    for (_, thread) in dated.into_iter().take(limit) {
        rows.push((thread, view.index.thread(&thread)?.ok_or(IndexFault::Damaged)?));
    }
    if !due && !more {
        let known: BTreeSet<ThreadId> = rows.iter().map(|(thread, _)| *thread).collect();
        let (undated, left) = undated(view, &known, limit - rows.len())?;
        more = left;
        rows.extend(undated);
    }
    let row = |(thread, row): (ThreadId, ThreadRow)| requests::row(view, &thread, row, now);
    let requests: Vec<RequestRowView> = rows.into_iter().map(row).collect::<Result<_, _>>()?;
    Ok(InboxView { schema: "comity/inbox/v1", requests, more })
}

/// Threads that wait for us and have no deadline, and whether some were left out.
fn undated(
    view: &View,
    known: &BTreeSet<ThreadId>,
    room: usize,
) -> Result<(Vec<(ThreadId, ThreadRow)>, bool), IndexFault> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..WAITING_LOOKED_AT_MAX / STRIDE {
        let stride = view.index.threads(after.as_ref(), STRIDE)?;
        let ended = stride.len() < STRIDE;
        after = stride.last().map(|(thread, _)| *thread);
        let waits =
            |(thread, row): &(ThreadId, ThreadRow)| !known.contains(thread) && requests::waits_for_us(view, row);
        found.extend(stride.into_iter().filter(waits));
        if found.len() > room {
            found.truncate(room);
            return Ok((found, true));
        }
        if ended {
            return Ok((found, false));
        }
    }
    Ok((found, true))
}

/// Which part of a request is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// One thread of several; the first if left out.
    thread: Option<String>,
    /// Where an earlier page of events ended.
    cursor: Option<String>,
    /// Events, 1 to 500; 500 if left out.
    limit: Option<usize>,
}

/// One request whole: where it stands, its clocks, its events with their contents, who holds them.
#[utoipa::path(get, path = "/v1/requests/{request_id}", tag = "requests", params(("request_id" = String, Path), Part),
    responses((status = 200, description = "The request.", body = RequestView)))]
async fn show(
    State(api): State<Api>,
    Params(id): Params<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<RequestView>, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let wanted: Option<ThreadId> = part.thread.as_deref().map(|text| parse("thread", text)).transpose()?;
    let skip = part.cursor.as_deref().map(cursor::read_events).transpose()?.unwrap_or(0);
    let limit = page(part.limit.or(Some(PAGE_MAX)))?;
    let look = move |view: &View| {
        let threads = view.index.threads_of(&id)?;
        let thread = threads.iter().find(|thread| wanted.is_none_or(|wanted| wanted == **thread));
        let thread = *thread.ok_or_else(|| missing(view, &id))?;
        requests::request(view, &threads, &thread, skip, limit, time::now())
    };
    api.look(look).await.map(Json)
}

/// Signs and sends a request. Answered once it is on disk; repeating it gives the same answer.
#[utoipa::path(post, path = "/v1/requests", tag = "requests", request_body = NewRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the body names none.")),
    responses((status = 201, description = "It is on disk.", body = ActView)))]
async fn create(
    State(api): State<Api>,
    Extension(unrecorded): Extension<Unrecorded>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(new): JsonBody<NewRequest>,
) -> Result<Response, Problem> {
    let act = new.act(key, &api.handle.view().rules)?;
    unrecorded.record(&api, act.request).await?;
    Ok(created(open(&api, &new.fields, act).await?))
}

/// Signs and sends a step in a request. Answered once it is on disk; repeating it gives the same answer.
#[utoipa::path(post, path = "/v1/requests/{request_id}/steps", tag = "requests", request_body = NewStep,
    params(
        ("request_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the body names none."),
    ),
    responses((status = 201, description = "It is on disk.", body = ActView)))]
async fn step(
    State(api): State<Api>,
    Params(id): Params<String>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(new): JsonBody<NewStep>,
) -> Result<Response, Problem> {
    let id: RequestId = parse("request_id", &id)?;
    let procedure = api.look(move |view| procedure_of(view, &id)).await?;
    let act = new.act(id, procedure, key, &api.handle.view().rules)?;
    Ok(created(perform(&api, act).await?))
}

pub(super) fn procedure_of(view: &View, request: &RequestId) -> Result<ProcedureCode, Problem> {
    let threads = view.index.threads_of(request)?;
    let thread = threads.first().ok_or_else(|| missing(view, request))?;
    let row = view.index.thread(thread)?.ok_or(IndexFault::Damaged)?;
    Ok(ProcedureCode::parse(&row.procedure).map_err(|_| IndexFault::Damaged)?)
}

/// The answer to an act, with where its request is found.
pub(super) fn created(done: ActView) -> Response {
    let location = format!("/v1/requests/{}", done.request_id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(done)).into_response()
}
