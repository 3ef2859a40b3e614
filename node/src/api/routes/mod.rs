//! The routes, a file for each resource. A route reads what it was handed, looks or acts, and answers
//! with a view; what is decided is decided elsewhere.

#![allow(unused_qualifications, reason = "the description of a route names its parameters' types by path")]

mod audit;
mod backup;
mod contract;
mod deliveries;
mod drafts;
mod erasure;
mod events;
mod evidence;
mod law;
mod ledger;
mod node;
mod officers;
mod parties;
mod requests;

use utoipa_axum::router::OpenApiRouter;

use super::Api;

/// All routes and what the contract says of them.
pub(super) fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(node::routes())
        .merge(parties::routes())
        .merge(requests::routes())
        .merge(drafts::routes())
        .merge(erasure::routes())
        .merge(officers::routes())
        .merge(backup::routes())
        .merge(evidence::routes())
        .merge(deliveries::routes())
        .merge(events::routes())
        .merge(law::routes())
        .merge(ledger::routes())
        .merge(audit::routes())
        .merge(contract::routes())
}
