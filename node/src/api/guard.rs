//! The outer edge every request passes: a place, a time limit, an id, one log line.
//!
//! The log line names the method, the route's template, the status, the code of a problem, the time
//! taken and the request's id. Never the path itself, a query or a body: they hold ids and contents.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::{
    Api, audited,
    fault::ApiFault,
    problem::{Problem, render},
};

/// Requests under way at once: an office and its systems, with a page of files in hand each.
pub(super) const REQUESTS_MAX: usize = 64;
/// Readers of the feed that wait for news: fewer than all places, so that they never take all.
pub(super) const WAITING_MAX: usize = 32;
/// Items read out at once: each has a thread while its reader takes its time.
pub(super) const CONTENTS_MAX: usize = 8;
/// An act waits for a few syncs of the disk; what takes longer has lost its disk.
const ANSWER_S_MAX: u64 = 30;
/// The longest a reader of the feed may wait for news: shorter than proxies and firewalls forget.
pub(super) const WAIT_S_MAX: u64 = 55;
/// A walk over the whole ledger takes as long as it takes; its own lock keeps it to one.
const WHOLE_LEDGER: &str = "/v1/ledger/verify";
/// So does one over the whole audit tree.
const WHOLE_AUDIT: &str = "/v1/audit/verify";
/// All of the folder goes to another disk, or is read from there; the room itself keeps it to one.
const BACKUP: &str = "/v1/backups";
const BACKUP_VERIFY: &str = "/v1/backups/verify";
/// A file takes as long as its bytes do; the route itself ends one that stalls.
const UPLOAD: &str = "/v1/lots/{lot_id}/files";
/// All of a lot goes to the disk.
const SEAL: &str = "/v1/lots/{lot_id}/seal";
/// Its readers wait as long as they ask to.
const FEED: &str = "/v1/events";

pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = api.request_id();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or(audited::NO_ROUTE, MatchedPath::as_str).to_owned();
    let response = match (api.requests.try_acquire(), patience(&route)) {
        (Err(_), _) => ApiFault::Busy.into_response(),
        (Ok(_place), None) => audited::answer(&api, &route, &id, request, next).await,
        (Ok(_place), Some(most)) => {
            let answer = audited::answer(&api, &route, &id, request, next);
            timeout(most, answer).await.unwrap_or_else(|_| ApiFault::Timeout.into_response())
        }
    };
    note(&method, &route, &response, started, &id);
    render(response, &id)
}

/// How long an answer may take; what was begun then goes on, and is answered again by its command id.
fn patience(route: &str) -> Option<Duration> {
    match route {
        WHOLE_LEDGER | WHOLE_AUDIT | UPLOAD | SEAL | BACKUP | BACKUP_VERIFY => None,
        FEED => Some(Duration::from_secs(WAIT_S_MAX + ANSWER_S_MAX)),
        _ => Some(Duration::from_secs(ANSWER_S_MAX)),
    }
}

fn note(method: &Method, route: &str, response: &Response, started: Instant, id: &str) {
    let status = response.status().as_u16();
    let code = response.extensions().get::<Problem>().map_or("", |problem| problem.code);
    let ms = started.elapsed().as_millis();
    match (status, method.is_safe()) {
        (500.., _) => warn!(target: "api", %method, route, status, code, ms, id, "answered"),
        (_, true) => debug!(target: "api", %method, route, status, code, ms, id, "answered"),
        (_, false) => info!(target: "api", %method, route, status, code, ms, id, "answered"),
    }
}
