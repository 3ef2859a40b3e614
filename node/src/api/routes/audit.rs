//! Who was shown what and did what at this node: the list, its checkpoint, its proofs, its verification.
//!
//! Reading the list is itself recorded.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use comity_core::ids::{LedgerIndex, RequestId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::ledger::walk;
use crate::{
    api::{
        Api, cursor,
        extract::{Asked, Params, page, parse},
        fault::ApiFault,
        problem::Problem,
        views::{
            audit::{self, AuditView},
            ledger::VerificationView,
        },
    },
    handle::View,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(checkpoint))
        .routes(routes!(tlog_proof))
        .routes(routes!(tlog))
        .routes(routes!(verify))
}

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only those that concern this request.
    request: Option<String>,
    /// Where an earlier page ended.
    cursor: Option<String>,
    /// Records, 1 to 500; 100 if left out.
    limit: Option<usize>,
}

/// Accesses and acts, the newest first. Of one request a page may be short, or even empty, before the last.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Wanted),
    responses((status = 200, description = "Accesses and acts.", body = AuditView)))]
async fn list(State(api): State<Api>, Asked(wanted): Asked<Wanted>) -> Result<Json<AuditView>, Problem> {
    let limit = page(wanted.limit)?;
    let before = wanted.cursor.as_deref().map(cursor::read_audited).transpose()?;
    let request: Option<RequestId> = wanted.request.as_deref().map(|id| parse("request", id)).transpose()?;
    api.look(move |view| audit::list(&view.audit, before, request, limit)).await.map(Json)
}

/// The newest signed checkpoint of the audit tree, a C2SP signed note.
#[utoipa::path(get, path = "/v1/audit/checkpoint", tag = "audit",
    responses((status = 200, description = "The checkpoint.", body = String, content_type = "text/plain")))]
async fn checkpoint(State(api): State<Api>) -> Result<Response, Problem> {
    file(&api, "checkpoint".to_owned()).await
}

/// The proof that a record stands under the newest checkpoint, as a C2SP tlog-proof; `extra` is the salt and the context.
#[utoipa::path(get, path = "/v1/audit/{index}/tlog-proof", tag = "audit", params(("index" = u64, Path)),
    responses((status = 200, description = "The proof.", body = String, content_type = "text/plain")))]
async fn tlog_proof(State(api): State<Api>, Params(index): Params<u64>) -> Result<String, Problem> {
    api.look(move |view| audit::tlog_proof(&view.audit, LedgerIndex(index))).await
}

/// The audit tree in the layout of C2SP tlog-tiles, and beside it `documents`, the signed charters and profiles its keys
/// follow from. It shows no record.
#[utoipa::path(get, path = "/v1/audit/tlog/{*path}", tag = "audit", params(("path" = String, Path)),
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn tlog(State(api): State<Api>, Params(path): Params<String>) -> Result<Response, Problem> {
    file(&api, path).await
}

async fn file(api: &Api, path: String) -> Result<Response, Problem> {
    let (kind, bytes) = api.look(move |view| audit::file(view, &path)).await?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// Reads the whole audit tree again and checks every checksum, leaf, commit and root. One at a time, this or the ledger.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, description = "What was found.", body = VerificationView)))]
async fn verify(State(api): State<Api>) -> Result<Json<VerificationView>, Problem> {
    let place = Arc::clone(&api.verifying).try_acquire_owned().map_err(|_| ApiFault::Verifying)?;
    let look = move |view: &View| {
        let _place = place;
        Ok(walk(view.audit.ledger()))
    };
    api.look(look).await.map(Json)
}
