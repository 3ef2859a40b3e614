//! How the node is, its peers, and what it owes them.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        problem::Problem,
        views::node::{self, OutboxView, PeersView, StatusView},
    },
    time,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(peers)).routes(routes!(outbox))
}

/// How the node is.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses((status = 200, description = "How the node is.", body = StatusView)))]
async fn status(State(api): State<Api>) -> Result<Json<StatusView>, Problem> {
    let now = api.status();
    api.look(move |view| node::status(view, &now, time::now())).await.map(Json)
}

/// The peers, each with its link.
#[utoipa::path(get, path = "/v1/peers", tag = "node", responses((status = 200, description = "The peers.", body = PeersView)))]
async fn peers(State(api): State<Api>) -> Result<Json<PeersView>, Problem> {
    let now = api.status();
    api.look(move |view| node::peers(view, &now, time::now())).await.map(Json)
}

/// What is owed to each peer: events sent and not yet receipted.
#[utoipa::path(get, path = "/v1/outbox", tag = "node", responses((status = 200, description = "What is owed.", body = OutboxView)))]
async fn outbox(State(api): State<Api>) -> Result<Json<OutboxView>, Problem> {
    let now = api.status();
    api.look(move |view| node::outbox(view, &now)).await.map(Json)
}
