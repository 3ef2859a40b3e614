//! What routes are handed: bodies, parameters and heads, read strictly. Whatever does not read is a
//! problem with a code; what a client sent is never repeated in a log.

use std::str::FromStr;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use comity_core::{crypto::sha256, ids::Malformed};
use serde::de::DeserializeOwned;

use super::fault::ApiFault;

/// Rows in one answer unless the client says otherwise, and at most.
pub(super) const PAGE: usize = 100;
/// What one answer may hold: half a megabyte of rows, and a page people still scroll.
pub(super) const PAGE_MAX: usize = 500;
/// An idempotency key is an id or a short text; longer ones are a mistake.
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// The number of rows to answer with.
pub(super) fn page(limit: Option<usize>) -> Result<usize, ApiFault> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        _ => Err(ApiFault::BadParameter { name: "limit", why: format!("it must lie between 1 and {PAGE_MAX}") }),
    }
}

/// Reads a parameter.
pub(super) fn parse<T: FromStr<Err = Malformed>>(name: &'static str, text: &str) -> Result<T, ApiFault> {
    text.parse().map_err(|bad: Malformed| ApiFault::BadParameter { name, why: bad.why.to_owned() })
}

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiFault;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFault> {
        if !is_json(request.headers()) {
            return Err(ApiFault::WrongType);
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|bad| match bad.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiFault::TooLarge,
            _ => ApiFault::BrokenBody,
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|bad| misread(&bad))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

fn misread(bad: &serde_json::Error) -> ApiFault {
    let text = bad.to_string();
    match bad.classify() {
        serde_json::error::Category::Data if text.starts_with("unknown field") => ApiFault::UnknownField(text),
        serde_json::error::Category::Data => ApiFault::WrongShape(text),
        _ => ApiFault::BadJson { line: bad.line(), column: bad.column() },
    }
}

/// The parameters of a path, not yet parsed.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = ApiFault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFault> {
        let bad = |bad: axum::extract::rejection::PathRejection| ApiFault::BadParameter {
            name: "the path",
            why: bad.body_text(),
        };
        Path::from_request_parts(parts, state).await.map(|Path(params)| Self(params)).map_err(bad)
    }
}

/// The parameters of a query.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiFault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFault> {
        let bad = |bad: axum::extract::rejection::QueryRejection| ApiFault::BadParameter {
            name: "the query",
            why: bad.body_text(),
        };
        Query::from_request_parts(parts, state).await.map(|Query(asked)| Self(asked)).map_err(bad)
    }
}

/// The head `Idempotency-Key` as the id of a command: one of our ids as it is, any other text by its
/// digest.
pub(super) struct IdempotencyKey(pub(super) Option<[u8; 16]>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiFault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFault> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let bad = || ApiFault::BadParameter {
            name: "Idempotency-Key",
            why: format!("it must be 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters"),
        };
        let key = value.to_str().map_err(|_| bad())?.trim_matches('"');
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX {
            return Err(bad());
        }
        Ok(Self(Some(command_of(key))))
    }
}

fn command_of(key: &str) -> [u8; 16] {
    key.parse().map_or_else(
        |_: Malformed| {
            let digest = sha256(&[b"comity idempotency key v1\0", key.as_bytes()]);
            *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
        },
        |id: comity_core::ids::RequestId| *id.as_bytes(),
    )
}

/// What a change is conditional on.
pub(super) struct Conditions {
    if_match: Option<String>,
    if_none: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = ApiFault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFault> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self { if_match: text(header::IF_MATCH), if_none: text(header::IF_NONE_MATCH).as_deref() == Some("*") })
    }
}

impl Conditions {
    /// Compares with what is there now: an entity tag with its quotes, or nothing.
    pub(super) fn hold(&self, now: Option<&str>) -> Result<(), ApiFault> {
        if self.if_none && now.is_some() {
            return Err(ApiFault::DraftExists);
        }
        let Some(wanted) = &self.if_match else { return Ok(()) };
        let fits = |now: &str| wanted.trim() == "*" || wanted.split(',').any(|tag| tag.trim() == now);
        if now.is_some_and(fits) { Ok(()) } else { Err(ApiFault::DraftChanged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_strongly() {
        let check = |if_match: Option<&str>, if_none, now: Option<&str>, expected: Option<&str>| {
            let conditions = Conditions { if_match: if_match.map(str::to_owned), if_none };
            let code = conditions.hold(now).err().map(|fault| fault.code());
            assert_eq!(code, expected, "{if_match:?} {if_none} {now:?}");
        };
        check(None, false, None, None);
        check(None, false, Some("\"a\""), None);
        check(Some("\"a\""), false, Some("\"a\""), None);
        check(Some("\"b\", \"a\""), false, Some("\"a\""), None);
        check(Some("*"), false, Some("\"a\""), None);
        check(Some("\"b\""), false, Some("\"a\""), Some("api.draft-changed"));
        check(Some("W/\"a\""), false, Some("\"a\""), Some("api.draft-changed"));
        check(Some("*"), false, None, Some("api.draft-changed"));
        check(None, true, None, None);
        check(None, true, Some("\"a\""), Some("api.draft-exists"));
    }

    #[test]
    fn our_own_ids_are_kept_and_other_keys_digested() {
        assert_eq!(command_of("000102030405060708090a0b0c0d0e0f")[..3], [0, 1, 2]);
        assert_ne!(command_of("case 7"), command_of("case 8"));
        assert_eq!(command_of("case 7"), command_of("case 7"));
    }

    #[test]
    fn pages_are_bounded() {
        assert_eq!(page(None).ok(), Some(PAGE));
        assert_eq!(page(Some(PAGE_MAX)).ok(), Some(PAGE_MAX));
        assert!(page(Some(0)).is_err() && page(Some(PAGE_MAX + 1)).is_err());
    }
}
