//! Problem details (RFC 9457): every answer that is no success, from one table of codes.
//!
//! A code belongs to the room that gave it; this file only says which HTTP status it travels under.
//! A problem becomes bytes at the outer edge ([`render`]), where the request has its id.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use comity_core::{engine::NotDone, index::IndexFault};
use serde::Serialize;
use utoipa::ToSchema;

use super::{fault::ApiFault, views::officers::WaitingView};
use crate::{audit::AuditFault, evidence::EvidenceFault, handle::EyesFault, store::StoreFault};

/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// The name of the head that carries a request's id.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// What is wrong with one field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// The field's key.
    pub(super) field: String,
    /// A stable code, for example `form.missing-field`.
    pub(super) code: &'static str,
    /// What is wrong and what to do.
    pub(super) detail: String,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemView {
    /// `urn:comity:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What did not happen, why, and what to do.
    detail: String,
    /// A stable code; `comity explain CODE` says more.
    code: &'static str,
    /// Names this answer in the node's log.
    request_id: String,
    /// Field by field, if a form was not in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// What officers must approve first.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<WaitingView>,
}

/// A problem on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    approval: Option<Box<WaitingView>>,
}

impl Problem {
    /// The same, with what officers must approve first.
    pub(super) fn awaits(self, waiting: WaitingView) -> Self {
        Self { approval: Some(Box::new(waiting)), ..self }
    }

    /// A problem of another room, with its code and text.
    pub(super) fn new(code: &'static str, text: &str) -> Self {
        let detail = text.strip_prefix(code).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text);
        Self { code, detail: detail.to_owned(), errors: Vec::new(), approval: None }
    }

    /// A form that is not in order.
    pub(super) fn form(id: &str, errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new("form.incomplete", &format!("nothing was done; the form {id} is not complete")) }
    }
}

impl From<AuditFault> for Problem {
    fn from(fault: AuditFault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

impl From<EvidenceFault> for Problem {
    fn from(fault: EvidenceFault) -> Self {
        match fault {
            EvidenceFault::NotDone(refused) => (*refused).into(),
            other => Self::new(other.code(), &other.to_string()),
        }
    }
}

impl From<EyesFault> for Problem {
    fn from(fault: EyesFault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

impl From<ApiFault> for Problem {
    fn from(fault: ApiFault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

impl From<IndexFault> for Problem {
    fn from(fault: IndexFault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        Self::new(fault.code(), &fault.to_string())
    }
}

impl From<NotDone> for Problem {
    fn from(refused: NotDone) -> Self {
        let error = |(field, code, detail): (String, &'static str, String)| FieldError { field, code, detail };
        let errors = refused.fields.into_iter().map(error).collect();
        Self { errors, ..Self::new(refused.code, &refused.detail) }
    }
}

impl IntoResponse for Problem {
    /// The status, with the problem beside it; [`render`] writes the body.
    fn into_response(self) -> Response {
        let (status, retry_after) = status_of(self.code);
        let mut response = status.into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Gives every answer its request id, and a problem its body.
pub(super) fn render(mut response: Response, request_id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let status = response.status();
        let view = ProblemView {
            kind: format!("urn:comity:problem:{}", problem.code),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: problem.detail,
            code: problem.code,
            request_id: request_id.to_owned(),
            errors: problem.errors,
            approval: problem.approval.map(|waiting| *waiting),
        };
        let body = serde_json::to_vec(&view).expect("texts and numbers always become JSON");
        *response.body_mut() = body.into();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    }
    let id = HeaderValue::from_str(request_id).expect("a request id is hexadecimal digits");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Under which status a code travels, and after how many seconds it is worth trying again. The
/// first row that fits counts; a row that ends in a dot is for all codes of a room.
const TABLE: &[(&str, StatusCode, Option<u32>)] = &[
    ("form.", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("procedure.", StatusCode::CONFLICT, None),
    ("profile.no-power", StatusCode::FORBIDDEN, None),
    ("profile.malformed", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("profile.wrong-type", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("profile.bad-content", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("profile.", StatusCode::CONFLICT, None),
    ("charter.", StatusCode::CONFLICT, None),
    ("keys.expired", StatusCode::CONFLICT, None),
    ("request.in-progress", StatusCode::CONFLICT, Some(1)),
    ("request.too-large", StatusCode::PAYLOAD_TOO_LARGE, None),
    ("request.erased", StatusCode::GONE, None),
    ("request.", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("erase.unknown-ground", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("erase.under-way", StatusCode::CONFLICT, Some(1)),
    ("erase.", StatusCode::CONFLICT, None),
    ("hold.unknown-reason", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("hold.none", StatusCode::CONFLICT, None),
    ("approval.malformed", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("approval.unknown", StatusCode::NOT_FOUND, None),
    ("approval.under-way", StatusCode::CONFLICT, Some(1)),
    ("approval.", StatusCode::CONFLICT, None),
    ("backup.busy", StatusCode::CONFLICT, Some(60)),
    ("backup.stopped", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("backup.disk", StatusCode::INSUFFICIENT_STORAGE, None),
    ("backup.damaged", StatusCode::INTERNAL_SERVER_ERROR, None),
    ("backup.none", StatusCode::NOT_FOUND, None),
    ("backup.", StatusCode::CONFLICT, None),
    ("engine.busy", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("engine.stopped", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("index.", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("store.disk-full", StatusCode::INSUFFICIENT_STORAGE, Some(60)),
    ("store.busy", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("store.stopped", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("store.read-only", StatusCode::SERVICE_UNAVAILABLE, None),
    ("store.too-large", StatusCode::PAYLOAD_TOO_LARGE, None),
    ("store.erased", StatusCode::GONE, None),
    ("store.no-such-record", StatusCode::NOT_FOUND, None),
    ("audit.disk-full", StatusCode::INSUFFICIENT_STORAGE, Some(60)),
    ("audit.busy", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("audit.damaged", StatusCode::SERVICE_UNAVAILABLE, None),
    ("audit.not-written", StatusCode::SERVICE_UNAVAILABLE, None),
    ("evidence.unknown-request", StatusCode::NOT_FOUND, None),
    ("evidence.unknown-lot", StatusCode::NOT_FOUND, None),
    ("evidence.unknown-manifest", StatusCode::NOT_FOUND, None),
    ("evidence.unknown-item", StatusCode::NOT_FOUND, None),
    ("evidence.unknown-delivery", StatusCode::NOT_FOUND, None),
    ("evidence.too-many-lots", StatusCode::SERVICE_UNAVAILABLE, Some(60)),
    ("evidence.lot-busy", StatusCode::CONFLICT, Some(1)),
    ("evidence.broken-upload", StatusCode::BAD_REQUEST, None),
    ("evidence.bad-path", StatusCode::BAD_REQUEST, None),
    ("evidence.no-space", StatusCode::INSUFFICIENT_STORAGE, Some(60)),
    ("evidence.disk-full", StatusCode::INSUFFICIENT_STORAGE, Some(60)),
    ("evidence.not-in-custody", StatusCode::FORBIDDEN, None),
    ("evidence.worker-lost", StatusCode::INTERNAL_SERVER_ERROR, None),
    ("evidence.", StatusCode::CONFLICT, None),
    ("manifest.", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("object.", StatusCode::INTERNAL_SERVER_ERROR, None),
    ("api.made-by-node", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("api.unknown-route", StatusCode::NOT_FOUND, None),
    ("api.unknown-request", StatusCode::NOT_FOUND, None),
    ("api.not-erased", StatusCode::NOT_FOUND, None),
    ("api.unknown-draft", StatusCode::NOT_FOUND, None),
    ("api.unknown-user", StatusCode::FORBIDDEN, None),
    ("api.unknown-form", StatusCode::NOT_FOUND, None),
    ("api.no-such-file", StatusCode::NOT_FOUND, None),
    ("api.no-such-fork", StatusCode::NOT_FOUND, None),
    ("api.no-roll", StatusCode::NOT_FOUND, None),
    ("api.unknown-party", StatusCode::NOT_FOUND, None),
    ("api.no-such-proof", StatusCode::NOT_FOUND, None),
    ("api.not-cut-off", StatusCode::CONFLICT, None),
    ("api.wrong-method", StatusCode::METHOD_NOT_ALLOWED, None),
    ("api.wrong-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
    ("api.too-large", StatusCode::PAYLOAD_TOO_LARGE, None),
    ("api.draft-changed", StatusCode::PRECONDITION_FAILED, None),
    ("api.draft-exists", StatusCode::PRECONDITION_FAILED, None),
    ("api.drafts-full", StatusCode::CONFLICT, None),
    ("api.draft-unfinished", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("api.command-reused", StatusCode::UNPROCESSABLE_ENTITY, None),
    ("api.other-epoch", StatusCode::GONE, None),
    ("api.no-proof", StatusCode::GONE, None),
    ("api.not-covered", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("api.verifying", StatusCode::CONFLICT, Some(10)),
    ("api.busy", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("api.too-many-waiting", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("api.timeout", StatusCode::SERVICE_UNAVAILABLE, Some(1)),
    ("api.stopping", StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    ("api.", StatusCode::BAD_REQUEST, None),
];

/// The status of a code; one that no row knows is our own fault.
pub(super) fn status_of(code: &str) -> (StatusCode, Option<u32>) {
    let fits = |pattern: &str| if pattern.ends_with('.') { code.starts_with(pattern) } else { code == pattern };
    let row = TABLE.iter().find(|(pattern, _, _)| fits(pattern));
    row.map_or((StatusCode::INTERNAL_SERVER_ERROR, None), |(_, status, retry_after)| (*status, *retry_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, status: u16, retry_after: Option<u32>) {
        let (found, after) = status_of(code);
        assert_eq!((found.as_u16(), after), (status, retry_after), "{code}");
    }

    #[test]
    fn codes_travel_under_their_status() {
        check("procedure.wrong-state", 409, None);
        check("procedure.guard", 409, None);
        check("form.incomplete", 422, None);
        check("form.unknown", 422, None);
        check("profile.no-power", 403, None);
        check("profile.no-seal-key", 409, None);
        check("request.no-recipient", 422, None);
        check("request.in-progress", 409, Some(1));
        check("request.erased", 410, None);
        check("erase.held", 409, None);
        check("erase.unknown-ground", 422, None);
        check("approval.needed", 409, None);
        check("approval.unknown", 404, None);
        check("backup.busy", 409, Some(60));
        check("backup.not-configured", 409, None);
        check("engine.busy", 503, Some(1));
        check("engine.stopped", 503, Some(5));
        check("store.disk-full", 507, Some(60));
        check("store.read-only", 503, None);
        check("audit.disk-full", 507, Some(60));
        check("audit.damaged", 503, None);
        check("store.bad-frame", 500, None);
        check("store.erased", 410, None);
        check("index.damaged", 503, Some(5));
        check("keys.signing-failed", 500, None);
        check("api.draft-changed", 412, None);
        check("api.bad-json", 400, None);
        check("api.busy", 503, Some(1));
        check("something.else", 500, None);
        check("form", 500, None);
    }

    #[test]
    fn a_row_is_not_hidden_by_an_earlier_one() {
        for (at, (pattern, _, _)) in TABLE.iter().enumerate() {
            let hides = |(earlier, _, _): &&(&str, StatusCode, Option<u32>)| {
                pattern == earlier || earlier.ends_with('.') && pattern.starts_with(earlier)
            };
            assert_eq!(TABLE[..at].iter().find(hides), None, "{pattern}");
        }
    }

    #[test]
    fn a_refused_form_reads_field_by_field() {
        let refused = NotDone {
            code: "form.incomplete",
            detail: "the form PRES/request is not complete".to_owned(),
            fields: vec![("data.from".to_owned(), "form.missing-field", "fill it in".to_owned())],
            wanted: None,
        };
        let response = render(Problem::from(refused).into_response(), "0a0b");
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[REQUEST_ID], "0a0b");
    }

    #[test]
    fn a_code_is_said_once() {
        let problem = Problem::from(ApiFault::UnknownRequest);
        assert_eq!(problem.code, "api.unknown-request");
        assert!(problem.detail.starts_with("nothing was done; "), "{}", problem.detail);
    }
}
