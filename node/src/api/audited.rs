//! What is recorded in the audit tree, and when: one table of all routes, and the edge that obeys it.
//!
//! Contents leave once it is on disk who was given them: the answer is made, recorded, and only then sent. An act is
//! recorded before it is handed on; what became of it the ledger says, and an act that was recorded and then refused
//! or cut off was still asked for. What cannot be recorded is refused. Nothing a client wrote is recorded but ids, and of
//! these only what reads as one. Serves SPEC `[A-2]`, `[A-3]`.
//!
//! Start with [`ROUTES`] and [`answer`].

use axum::{
    extract::{ConnectInfo, FromRequestParts as _, RawPathParams, Request},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use comity_core::{
    ids::{EventId, ItemId, LedgerIndex, PartyCode, RequestId, ThreadId},
    record::{Asked, Outcome},
};

use super::{Api, fault::ApiFault, problem::Problem, socket::Caller};
use crate::{
    audit::AuditFault,
    evidence::LotId,
    handle::{View, prepared_as, withdrawn_as},
};

/// What a call does, as far as it must be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It gives out what only people of a case should know, or what tells who was given it: recorded before it leaves.
    Content,
    /// It changes something: recorded before it is handed on.
    Act,
    /// An act whose request only its body names: the route records it once it has read that, by [`Unrecorded`].
    NamedAct,
    /// Neither: ids, codes, times and numbers; what is public; looks at the node itself.
    Neither,
}

use Class::{Act, Content, NamedAct, Neither};

/// Every route of the contract, once for each method.
pub(super) const ROUTES: &[(&str, &str, Class)] = &[
    ("GET", "/v1/approvals", Content),
    ("POST", "/v1/approvals", NamedAct),
    ("GET", "/v1/approvals/{command_id}", Content),
    ("POST", "/v1/approvals/{command_id}/act", Act),
    ("POST", "/v1/approvals/{command_id}/withdraw", Act),
    ("GET", "/v1/audit", Content),
    ("GET", "/v1/audit/checkpoint", Neither),
    ("GET", "/v1/audit/tlog/{*path}", Neither),
    ("POST", "/v1/audit/verify", Neither),
    ("GET", "/v1/audit/{index}/tlog-proof", Content),
    ("POST", "/v1/backups", Act),
    ("POST", "/v1/backups/verify", Neither),
    ("GET", "/v1/deliveries/{event_id}", Neither),
    ("POST", "/v1/deliveries/{event_id}/custody", Act),
    ("POST", "/v1/deliveries/{event_id}/fetch", Act),
    ("POST", "/v1/deliveries/{event_id}/pause", Act),
    ("GET", "/v1/documents", Neither),
    ("PUT", "/v1/documents", Act),
    ("GET", "/v1/drafts", Content),
    ("DELETE", "/v1/drafts/{request_id}", Act),
    ("GET", "/v1/drafts/{request_id}", Content),
    ("PUT", "/v1/drafts/{request_id}", Act),
    ("POST", "/v1/drafts/{request_id}/send", Act),
    ("GET", "/v1/erasures", Neither),
    ("GET", "/v1/events", Neither),
    ("GET", "/v1/forms/{procedure}/{step}", Neither),
    // What it is given it neither keeps nor gives out.
    ("POST", "/v1/forms/{procedure}/{step}/check", Neither),
    ("GET", "/v1/forms/{procedure}/{step}/schema", Neither),
    ("GET", "/v1/health", Neither),
    ("GET", "/v1/inbox", Neither),
    ("GET", "/v1/law", Neither),
    ("GET", "/v1/ledger", Neither),
    ("GET", "/v1/ledger/tlog/{*path}", Neither),
    ("POST", "/v1/ledger/verify", Neither),
    ("GET", "/v1/ledger/{index}", Neither),
    // What a leaf hides is given out with them.
    ("GET", "/v1/ledger/{index}/proof", Content),
    ("GET", "/v1/ledger/{index}/tlog-proof", Content),
    ("GET", "/v1/lots", Content),
    ("DELETE", "/v1/lots/{lot_id}", Act),
    // What fills a lot, thousands of times perhaps, is nothing before the lot is sealed, which is an act.
    ("POST", "/v1/lots/{lot_id}/changed", Neither),
    ("PUT", "/v1/lots/{lot_id}/files", Neither),
    ("POST", "/v1/lots/{lot_id}/seal", Act),
    ("POST", "/v1/lots/{lot_id}/unsealed", Neither),
    ("GET", "/v1/manifests/{manifest}", Content),
    ("GET", "/v1/manifests/{manifest}/items/{item}/content", Content),
    ("GET", "/v1/manifests/{manifest}/verification", Content),
    ("POST", "/v1/manifests/{manifest}/verification", Act),
    ("GET", "/v1/metrics", Neither),
    ("GET", "/v1/openapi.json", Neither),
    ("GET", "/v1/outbox", Neither),
    ("GET", "/v1/parties", Neither),
    ("GET", "/v1/parties/{party}", Neither),
    ("GET", "/v1/peers", Neither),
    ("GET", "/v1/peers/{party}", Neither),
    ("POST", "/v1/peers/{party}/examine", Neither),
    ("GET", "/v1/peers/{party}/fork", Neither),
    // Frames as they came: their bodies are sealed.
    ("GET", "/v1/peers/{party}/proofs/{code}", Neither),
    ("POST", "/v1/peers/{party}/readmit", Act),
    ("GET", "/v1/procedures", Neither),
    ("GET", "/v1/ready", Neither),
    ("GET", "/v1/requests", Neither),
    ("POST", "/v1/requests", NamedAct),
    ("GET", "/v1/requests/{request_id}", Content),
    ("POST", "/v1/requests/{request_id}/deliveries", Act),
    ("GET", "/v1/requests/{request_id}/erasure", Neither),
    ("POST", "/v1/requests/{request_id}/erasure", Act),
    ("GET", "/v1/requests/{request_id}/evidence", Content),
    ("DELETE", "/v1/requests/{request_id}/hold", Act),
    ("PUT", "/v1/requests/{request_id}/hold", Act),
    ("POST", "/v1/requests/{request_id}/lots", Act),
    ("POST", "/v1/requests/{request_id}/steps", Act),
    ("GET", "/v1/retention", Neither),
    ("GET", "/v1/roll", Content),
    ("PUT", "/v1/rolls/{roll_id}", Act),
    ("GET", "/v1/status", Neither),
];

/// What stands for the route where none fits: nothing is shown or done there.
pub(super) const NO_ROUTE: &str = "-";
/// Below it indexes are those of the ledger.
const LEDGER: &str = "/v1/ledger/";
/// Digits of the longest id, a digest.
const ID_MAX: usize = 64;

/// The class of a call. A head alone tells as much as its answer; what the table does not know is treated as contents.
fn class(method: &Method, route: &str) -> Class {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let row = ROUTES.iter().find(|row| (row.0, row.1) == (method, route));
    match row {
        Some((_, _, class)) => *class,
        None if route == NO_ROUTE => Neither,
        None => Content,
    }
}

/// An act that its route must record before it hands it on.
#[derive(Debug, Clone)]
pub(super) struct Unrecorded(Asked);

impl Unrecorded {
    /// What was asked, for a record of another kind.
    pub(super) fn asked(&self) -> Asked {
        self.0.clone()
    }

    /// Records it as one in this request.
    pub(super) async fn record(self, api: &Api, request: RequestId) -> Result<(), AuditFault> {
        record(api, Asked { request: Some(request), ..self.0 }).await
    }
}

/// Answers a call, and records before what must be.
pub(super) async fn answer(api: &Api, route: &str, call: &str, request: Request, next: Next) -> Response {
    let class = class(request.method(), route);
    if class == Neither {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Some(user) = parts.extensions.get::<ConnectInfo<Caller>>().and_then(|ConnectInfo(caller)| caller.user) else {
        return ApiFault::UnknownUser.into_response();
    };
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let ids: Vec<(String, String)> =
        params.iter().flatten().map(|(name, id)| (name.to_owned(), id_or_nothing(id))).collect();
    let (method, route, call) = (parts.method.to_string(), route.to_owned(), call.to_owned());
    let found = match class {
        Act | Content => request_of(api, route.starts_with(LEDGER), ids.clone()).await,
        NamedAct | Neither => None,
    };
    let asked = Asked { user, call, method, route, ids, request: found, outcome: None };
    let mut request = Request::from_parts(parts, body);
    match class {
        Content => {
            let response = next.run(request).await;
            let outcome = Some(outcome(&response));
            match record(api, Asked { outcome, ..asked }).await {
                Ok(()) => response,
                Err(fault) => Problem::from(fault).into_response(), // what was to be shown is dropped with its body
            }
        }
        Act => match record(api, asked).await {
            Ok(()) => next.run(request).await,
            Err(fault) => Problem::from(fault).into_response(),
        },
        NamedAct => {
            request.extensions_mut().insert(Unrecorded(asked));
            next.run(request).await
        }
        Neither => next.run(request).await,
    }
}

async fn record(api: &Api, asked: Asked) -> Result<(), AuditFault> {
    let view = api.handle.view();
    view.audit.record(&view.trust(), asked).await
}

fn outcome(response: &Response) -> Outcome {
    let code = response.extensions().get::<Problem>().map_or("", |problem| problem.code);
    Outcome { status: response.status().as_u16(), code: code.to_owned() }
}

/// What stood in a path, if it is an id, an index or a Party: whatever else somebody typed there is nobody's to keep.
fn id_or_nothing(text: &str) -> String {
    let is_id = text.len() <= ID_MAX && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id || PartyCode::parse(text).is_ok() { text.to_owned() } else { String::new() }
}

/// The request that a call concerns, by what its path names.
async fn request_of(api: &Api, of_ledger: bool, ids: Vec<(String, String)>) -> Option<RequestId> {
    // Most paths name it themselves, or nothing at all: only for the others is anything looked up.
    if let Some((_, id)) = ids.iter().find(|(name, _)| name == "request_id") {
        return id.parse().ok();
    }
    if ids.is_empty() {
        return None;
    }
    let evidence = api.evidence.clone();
    let look = move |view: &View| {
        let of = |(name, id): &(String, String)| match name.as_str() {
            "event_id" => of_event(view, &id.parse().ok()?),
            "command_id" => {
                let command: RequestId = id.parse().ok()?;
                let waits = prepared_as(&view.desk, command.as_bytes()).map(|row| row.request_id);
                let request = waits.or_else(|| Some(withdrawn_as(&view.desk, command.as_bytes())?.request_id));
                request.and_then(|id| RequestId::from_slice(&id).ok())
            }
            "manifest" => evidence.request_of(&id.parse::<ItemId>().ok()?),
            "lot_id" => {
                let lot: LotId = id.parse().ok()?;
                evidence.lots().iter().find(|look| look.id == lot).map(|look| look.request)
            }
            // Of a record of the ledger; one of the audit tree is about whoever it names.
            "index" if of_ledger => {
                let record = view.record(LedgerIndex(id.parse().ok()?)).ok()?;
                RequestId::from_slice(&record.node.request_id).ok()
            }
            _ => None,
        };
        Ok(ids.iter().find_map(of))
    };
    api.look(look).await.ok().flatten()
}

fn of_event(view: &View, event: &EventId) -> Option<RequestId> {
    let seen = view.index.seen(event).ok()??;
    let thread = ThreadId::from_slice(&seen.thread_id).ok()?;
    let row = view.index.thread(&thread).ok()??;
    RequestId::from_slice(&row.request_id).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// a route that nobody put into the table fails here, and so does one that is there twice or gone.
    #[test]
    fn every_route_of_the_contract_has_one_class() {
        let (_, contract) = crate::api::described();
        let contract = serde_json::to_value(&contract).expect("JSON");
        let mut classes: BTreeMap<(String, String), Vec<Class>> = BTreeMap::new();
        for (path, methods) in contract["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                classes.insert((method.to_uppercase(), path.clone()), Vec::new());
            }
        }
        for (method, route, class) in ROUTES {
            let row = classes.get_mut(&((*method).to_owned(), route.replace("{*", "{")));
            row.unwrap_or_else(|| panic!("{method} {route} is in no contract")).push(*class);
        }
        for ((method, route), classes) in classes {
            assert_eq!(classes.len(), 1, "{method} {route}: one class in ROUTES");
            let reads = method == "GET";
            assert!(!reads || !matches!(classes[0], Act | NamedAct), "{method} {route} changes nothing");
            assert!(reads || classes[0] != Content, "{method} {route}: an act is recorded before it is done");
        }
    }

    /// what is not in the table is not shown unseen.
    #[test]
    fn what_the_table_does_not_know_is_recorded() {
        let check = |method: &str, route: &str, expected| {
            assert_eq!(class(&method.parse().expect("a method"), route), expected, "{method} {route}");
        };
        check("GET", "/v1/requests/{request_id}", Content);
        check("HEAD", "/v1/requests/{request_id}", Content);
        check("GET", "/v1/status", Neither);
        check("PATCH", "/v1/status", Content);
        check("GET", "/v1/attic", Content);
        check("GET", NO_ROUTE, Neither);
    }

    /// no text stands in a record because somebody put it into a path.
    #[test]
    fn only_ids_are_taken_from_a_path() {
        for id in ["000102030405060708090a0b0c0d0e0f", "41", "XB", ""] {
            assert_eq!(id_or_nothing(id), id);
        }
        for text in ["a name", "Hospital", "../x", "zz", &"a".repeat(65)] {
            assert_eq!(id_or_nothing(text), "", "{text}");
        }
    }
}
