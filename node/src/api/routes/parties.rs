//! The Parties, and the documents that say who they are: handed over, and given out as one file.

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::header,
    response::{IntoResponse, Response},
};
use comity_core::{ids::PartyCode, profile::Trust, proto, wire::DOCUMENT_MAX};
use prost::Message as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        extract::{Params, parse},
        problem::Problem,
        views::parties::{self, PartiesView, PartyInFullView, TakenView},
    },
    roster, time,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    let documents = OpenApiRouter::new().routes(routes!(take)).layer(DefaultBodyLimit::max(DOCUMENT_MAX));
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one)).routes(routes!(bundle)).merge(documents)
}

/// The Parties of the network.
#[utoipa::path(get, path = "/v1/parties", tag = "parties",
    responses((status = 200, description = "The Parties.", body = PartiesView)))]
async fn all(State(api): State<Api>) -> Result<Json<PartiesView>, Problem> {
    api.look(move |view| Ok(parties::parties(view, time::now()))).await.map(Json)
}

/// One Party: who may act for it, in which languages, and who is on duty there now.
#[utoipa::path(get, path = "/v1/parties/{party}", tag = "parties", params(("party" = String, Path)),
    responses((status = 200, description = "The Party.", body = PartyInFullView)))]
async fn one(State(api): State<Api>, Params(party): Params<String>) -> Result<Json<PartyInFullView>, Problem> {
    let party = parse::<PartyCode>("party", &party)?;
    api.look(move |view| parties::party(view, &party, time::now())).await.map(Json)
}

/// Takes in one signed document of charter or Parties. It is judged, recorded, and told to the peers.
#[utoipa::path(put, path = "/v1/documents", tag = "parties",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "It holds.", body = TakenView)))]
async fn take(State(api): State<Api>, envelope: Bytes) -> Result<Json<TakenView>, Problem> {
    let news = api.handle.document(envelope.to_vec()).await?;
    TakenView::new(&envelope, &news).map(Json)
}

/// All that is newest of charter and Parties as one file, for a site without a line.
#[utoipa::path(get, path = "/v1/documents", tag = "parties",
    responses((status = 200, description = "A bundle of envelopes.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn bundle(State(api): State<Api>) -> Result<Response, Problem> {
    let bytes = api.look(|view| {
        let trust: &Trust = &view.trust();
        let envelopes = roster::newest(view, trust);
        Ok(proto::Bundle { envelopes }.encode_to_vec())
    });
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes.await?).into_response())
}
