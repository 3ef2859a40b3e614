//! How the node is, whether it can work, its figures, its peers, and what it owes them.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use comity_core::ids::PartyCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        extract::{Params, parse},
        fault::ApiFault,
        problem::Problem,
        views::{
            metrics,
            node::{self, OutboxView, StatusView},
            peers::{self, FindingsView, PeerConductView, PeersView},
        },
    },
    doctor, time,
};

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(figures))
        .routes(routes!(peers))
        .routes(routes!(peer))
        .routes(routes!(proof))
        .routes(routes!(fork))
        .routes(routes!(readmit))
        .routes(routes!(examine))
        .routes(routes!(outbox))
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    schema: &'static str,
    /// `pass`: there is no other answer, only none.
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// How the node is.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses((status = 200, description = "How the node is.", body = StatusView)))]
async fn status(State(api): State<Api>) -> Result<Json<StatusView>, Problem> {
    let now = api.status();
    api.look(move |view| node::status(view, &now, time::now())).await.map(Json)
}

/// Whether the process lives: for a supervisor that restarts what does not answer.
#[utoipa::path(get, path = "/v1/health", tag = "node", responses((status = 200, description = "It does.", body = HealthView)))]
async fn health() -> Json<HealthView> {
    Json(HealthView { schema: "comity/health/v1", status: "pass", version: env!("CARGO_PKG_VERSION") })
}

/// Whether the node can do its work by itself: record, sign, listen. Restarting does not help if not.
#[utoipa::path(get, path = "/v1/ready", tag = "node", responses(
    (status = 200, description = "It can.", body = FindingsView),
    (status = 503, description = "It cannot; the steps say why.", body = FindingsView),
))]
async fn ready(State(api): State<Api>) -> Result<Response, Problem> {
    let status = api.status();
    let found = api.look(move |view| Ok(doctor::fitness(view, &status, time::now()))).await?;
    let view = FindingsView::new("comity/ready/v1", found);
    let code = if view.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((code, Json(view)).into_response())
}

/// Figures for a monitoring system, as OpenMetrics text.
#[utoipa::path(get, path = "/v1/metrics", tag = "node",
    responses((status = 200, description = "OpenMetrics text.", body = String, content_type = "application/openmetrics-text")))]
async fn figures(State(api): State<Api>) -> Result<Response, Problem> {
    let now = api.status();
    let text = api.look(move |view| metrics::metrics(view, &now, time::now())).await?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// The peers, each with its link.
#[utoipa::path(get, path = "/v1/peers", tag = "node", responses((status = 200, description = "The peers.", body = PeersView)))]
async fn peers(State(api): State<Api>) -> Result<Json<PeersView>, Problem> {
    let now = api.status();
    api.look(move |view| peers::peers(view, &now, time::now())).await.map(Json)
}

/// One peer, and what it did wrong.
#[utoipa::path(get, path = "/v1/peers/{party}", tag = "node", params(("party" = String, Path)),
    responses((status = 200, description = "The peer.", body = PeerConductView)))]
async fn peer(State(api): State<Api>, Params(party): Params<String>) -> Result<Json<PeerConductView>, Problem> {
    let (now, party) = (api.status(), parse::<PartyCode>("party", &party)?);
    api.look(move |view| peers::conduct(view, &now, &peers::other(view, party)?, time::now())).await.map(Json)
}

/// The frame that first showed a wrong of a peer, as it came over the line.
#[utoipa::path(get, path = "/v1/peers/{party}/proofs/{code}", tag = "node",
    params(("party" = String, Path), ("code" = String, Path)),
    responses((status = 200, description = "The frame.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn proof(State(api): State<Api>, Params((party, code)): Params<(String, String)>) -> Result<Response, Problem> {
    let party: PartyCode = parse("party", &party)?;
    let frame = api.look(move |view| peers::proof(view, &peers::other(view, party)?, &code)).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], frame).into_response())
}

/// The proof that a peer's ledger has forked: two signed checkpoints, and the documents from which their keys follow. It
/// is checked with `comity verify`, on any machine.
#[utoipa::path(get, path = "/v1/peers/{party}/fork", tag = "node", params(("party" = String, Path)),
    responses((status = 200, description = "A `ForkProof`.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn fork(State(api): State<Api>, Params(party): Params<String>) -> Result<Response, Problem> {
    let party: PartyCode = parse("party", &party)?;
    let file = api.look(move |view| peers::fork(view, &peers::other(view, party)?)).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], file).into_response())
}

/// Lets a peer in again that is cut off for its misconduct, before its time is over.
#[utoipa::path(post, path = "/v1/peers/{party}/readmit", tag = "node", params(("party" = String, Path)),
    responses((status = 200, description = "It is let in.", body = PeerConductView)))]
async fn readmit(State(api): State<Api>, Params(party): Params<String>) -> Result<Json<PeerConductView>, Problem> {
    let (now, party) = (api.status(), parse::<PartyCode>("party", &party)?);
    let readmitted = move |view: &crate::handle::View| {
        let party = peers::other(view, party)?;
        if !view.conduct.readmit(&party) {
            return Err(ApiFault::NotCutOff.into());
        }
        tracing::info!(target: "net", peer = %party, "let in again by a person");
        peers::conduct(view, &now, &party, time::now())
    };
    api.look(readmitted).await.map(Json)
}

/// Tries the whole path to a peer: name, port, key exchange, admission, round trip, clock.
#[utoipa::path(post, path = "/v1/peers/{party}/examine", tag = "node", params(("party" = String, Path)),
    responses((status = 200, description = "What was found, step by step.", body = FindingsView)))]
async fn examine(State(api): State<Api>, Params(party): Params<String>) -> Result<Json<FindingsView>, Problem> {
    let (status, view) = (api.status(), api.handle.view());
    let party = peers::other(view, parse("party", &party)?)?;
    let found = doctor::path(view, &status, &api.evidence, &party).await;
    Ok(Json(FindingsView::new("comity/path/v1", found)))
}

/// What is owed to each peer: events sent and not yet receipted.
#[utoipa::path(get, path = "/v1/outbox", tag = "node", responses((status = 200, description = "What is owed.", body = OutboxView)))]
async fn outbox(State(api): State<Api>) -> Result<Json<OutboxView>, Problem> {
    let now = api.status();
    api.look(move |view| node::outbox(view, &now)).await.map(Json)
}
