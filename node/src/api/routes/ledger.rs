//! The signed record: its checkpoint, its records, their proofs, and its verification.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use comity_core::ids::LedgerIndex;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        extract::Params,
        fault::ApiFault,
        problem::Problem,
        views::ledger::{self, LedgerView, ProofView, RecordView, VerificationView},
    },
    handle::View,
    store::Ledger,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(ledger))
        .routes(routes!(record))
        .routes(routes!(proof))
        .routes(routes!(tlog_proof))
        .routes(routes!(tlog))
        .routes(routes!(verify))
}

/// The ledger's name, size and newest checkpoint.
#[utoipa::path(get, path = "/v1/ledger", tag = "ledger", responses((status = 200, description = "The ledger.", body = LedgerView)))]
async fn ledger(State(api): State<Api>) -> Json<LedgerView> {
    Json(ledger::ledger(api.handle.view(), &api.status()))
}

/// One record: what is known of it without opening any contents.
#[utoipa::path(get, path = "/v1/ledger/{index}", tag = "ledger", params(("index" = u64, Path)),
    responses((status = 200, description = "The record.", body = RecordView)))]
async fn record(State(api): State<Api>, Params(index): Params<u64>) -> Result<Json<RecordView>, Problem> {
    api.look(move |view| ledger::record(view, LedgerIndex(index))).await.map(Json)
}

/// The proof that a record stands in the ledger, under the newest checkpoint.
#[utoipa::path(get, path = "/v1/ledger/{index}/proof", tag = "ledger", params(("index" = u64, Path)),
    responses((status = 200, description = "The proof.", body = ProofView)))]
async fn proof(State(api): State<Api>, Params(index): Params<u64>) -> Result<Json<ProofView>, Problem> {
    let status = api.status();
    api.look(move |view| ledger::proof(view, &status, LedgerIndex(index))).await.map(Json)
}

/// The same proof as a C2SP tlog-proof, for tools that know nothing of this node; `extra` is the salt and the context.
#[utoipa::path(get, path = "/v1/ledger/{index}/tlog-proof", tag = "ledger", params(("index" = u64, Path)),
    responses((status = 200, description = "The proof.", body = String, content_type = "text/plain")))]
async fn tlog_proof(State(api): State<Api>, Params(index): Params<u64>) -> Result<String, Problem> {
    let status = api.status();
    api.look(move |view| ledger::tlog_proof(view, &status, LedgerIndex(index))).await
}

/// The ledger as others read it, in the layout of C2SP tlog-tiles: `checkpoint`, `tile/L/N`, `tile/entries/N`; and beside
/// them `documents`, the signed charters and profiles its keys follow from, and `policy`, a C2SP tlog-policy.
#[utoipa::path(get, path = "/v1/ledger/tlog/{*path}", tag = "ledger", params(("path" = String, Path)),
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn tlog(State(api): State<Api>, Params(path): Params<String>) -> Result<Response, Problem> {
    let status = api.status();
    let (kind, bytes) = api.look(move |view| ledger::file(view, &status, &path)).await?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// Reads the whole ledger again and checks every checksum, leaf, commit and root. One at a time; it
/// takes as long as the disk takes to read it all.
#[utoipa::path(post, path = "/v1/ledger/verify", tag = "ledger",
    responses((status = 200, description = "What was found.", body = VerificationView)))]
async fn verify(State(api): State<Api>) -> Result<Json<VerificationView>, Problem> {
    // The place goes with the work: a client that leaves does not make room for a second walk.
    let place = Arc::clone(&api.verifying).try_acquire_owned().map_err(|_| ApiFault::Verifying)?;
    let look = move |view: &View| {
        let _place = place;
        Ok(walk(&view.ledger))
    };
    api.look(look).await.map(Json)
}

/// Reads a whole ledger again.
pub(super) fn walk(ledger: &Ledger) -> VerificationView {
    let found = ledger.verify(&mut |_| {});
    let wrong = found.as_ref().err().map(|fault| (fault.code(), fault.to_string()));
    let (code, detail) = wrong.unzip();
    let whole = found.ok();
    VerificationView {
        schema: "comity/verification/v1",
        ok: whole.is_some(),
        records: whole.as_ref().map_or_else(|| ledger.size(), |found| found.records),
        commits: whole.as_ref().map_or(0, |found| found.commits),
        erased: whole.as_ref().map_or(0, |found| found.erased),
        code,
        detail,
    }
}
