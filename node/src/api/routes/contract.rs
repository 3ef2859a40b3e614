//! The contract, served where it is in force.

use axum::{
    extract::State,
    http::{HeaderName, header},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::api::Api;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi))
}

/// This contract.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "node",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")))]
async fn openapi(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "application/json")], api.contract.clone())
}
