//! Four eyes: the roll of officers, what waits for them, and what they say.
//!
//! An approval is signed elsewhere, with a key this node never sees; here it is only brought. Nothing is done by being
//! approved: the act is asked for again, by whoever asked first or by `act`, and done once. What waits is withdrawn by whoever
//! may ask for acts.

use axum::{
    Json,
    extract::{Extension, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use comity_core::{
    engine::ERASURE_STEP,
    ids::{Digest, RequestId},
    officer::Signed,
    profile::document_id,
    proto,
    wire::{DOCUMENT_MAX, strict},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{erasure, requests::created};
use crate::{
    api::{
        Api,
        act::{ActView, perform_prepared},
        audited::Unrecorded,
        extract::{JsonBody, Params, parse},
        fault::ApiFault,
        problem::Problem,
        views::erasure::ErasureView,
        views::officers::{ApprovalsView, RollView, WaitingView, WithdrawnView, roll},
    },
    handle::{EyesFault, REASON_BYTES_MAX, View, prepared, prepared_as, withdrawn, withdrawn_as},
    time,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, approve))
        .routes(routes!(show))
        .routes(routes!(act))
        .routes(routes!(withdraw))
        .routes(routes!(show_roll))
        .routes(routes!(install))
}

/// What waits for officers, what went out under break-glass and waits for the second of them, and what was withdrawn.
#[utoipa::path(get, path = "/v1/approvals", tag = "officers",
    responses((status = 200, description = "What waits.", body = ApprovalsView)))]
async fn list(State(api): State<Api>) -> Result<Json<ApprovalsView>, Problem> {
    let look = |view: &View| {
        let now = time::now();
        let rows = prepared(&view.desk).iter().map(|row| WaitingView::row(view, row, now)).collect();
        let withdrawn = withdrawn(&view.desk).into_iter().map(WithdrawnView::new).collect();
        Ok(ApprovalsView::new(rows, withdrawn))
    };
    api.look(look).await.map(Json)
}

/// One act that waits for officers, with the exact contents that would leave.
#[utoipa::path(get, path = "/v1/approvals/{command_id}", tag = "officers", params(("command_id" = String, Path)),
    responses((status = 200, description = "What is to be approved.", body = WaitingView)))]
async fn show(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<WaitingView>, Problem> {
    let command: RequestId = parse("command_id", &id)?;
    let look = move |view: &View| {
        let Some(row) = prepared_as(&view.desk, command.as_bytes()) else {
            let withdrawn = withdrawn_as(&view.desk, command.as_bytes()).is_some();
            return Err(if withdrawn { EyesFault::Withdrawn } else { EyesFault::Unknown }.into());
        };
        Ok(WaitingView::whole(view, &row, time::now()))
    };
    api.look(look).await.map(Json)
}

/// An officer's approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApproval {
    /// The bytes of an `Approval` (SPEC O-3), in base64.
    approval: String,
    /// The officer's Ed25519 signature over them, in base64.
    signature: String,
}

/// Brings an officer's approval. Answered once it is on record and kept; brought again, it is taken once.
#[utoipa::path(post, path = "/v1/approvals", tag = "officers", request_body = NewApproval,
    responses((status = 200, description = "It counts, and is kept.", body = WaitingView)))]
async fn approve(
    State(api): State<Api>,
    Extension(unrecorded): Extension<Unrecorded>,
    JsonBody(new): JsonBody<NewApproval>,
) -> Result<Json<WaitingView>, Problem> {
    let bytes = |name: &'static str, text: &str| {
        let why = "it is not base64".to_owned();
        STANDARD.decode(text).map_err(|_| ApiFault::BadParameter { name, why })
    };
    let approval = bytes("approval", &new.approval)?;
    let signature = bytes("signature", &new.signature)?;
    let signed = Signed::from_wire(&proto::SignedApproval { approval, signature });
    let signed = signed.map_err(|fault| Problem::new(fault.code(), &fault.to_string()))?;
    let request = signed.approval().request;
    match api.handle.view().approve(unrecorded.asked(), signed, time::now()).await {
        Ok(row) => api.look(move |view| Ok(WaitingView::whole(view, &row, time::now()))).await.map(Json),
        Err(fault) => {
            // It did not count, and that somebody tried is on record as any act.
            unrecorded.record(&api, request).await?;
            Err(fault.into())
        }
    }
}

/// Does an act that enough officers have approved, as it was put before them. Repeated, it is done once.
#[utoipa::path(post, path = "/v1/approvals/{command_id}/act", tag = "officers", params(("command_id" = String, Path)),
    responses((status = 201, description = "It is on disk.", body = ActView),
        (status = 200, description = "The request is erased.", body = ErasureView)))]
async fn act(State(api): State<Api>, Params(id): Params<String>) -> Result<Response, Problem> {
    let command: RequestId = parse("command_id", &id)?;
    let row = api.look(move |view| Ok(prepared_as(&view.desk, command.as_bytes()))).await?;
    match row {
        Some(row) if row.step == ERASURE_STEP => {
            let erased = erasure::erase_prepared(&api, &row).await?;
            Ok((StatusCode::OK, Json(erased)).into_response())
        }
        row => Ok(created(perform_prepared(&api, *command.as_bytes(), row).await?)),
    }
}

/// Why an act is withdrawn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Withdrawal {
    /// In words, at most 1000 bytes on one line. It stays at this node, and goes when the request is erased.
    reason: String,
}

/// Withdraws an act that waits for officers: its command does nothing any more, whoever approves it late. Answered once that
/// is on disk; asked again, the answer is the same. What is done, or went out under break-glass, stays as it is.
#[utoipa::path(post, path = "/v1/approvals/{command_id}/withdraw", tag = "officers", request_body = Withdrawal,
    params(("command_id" = String, Path)),
    responses((status = 200, description = "It is withdrawn.", body = WithdrawnView)))]
async fn withdraw(
    State(api): State<Api>,
    Params(id): Params<String>,
    JsonBody(new): JsonBody<Withdrawal>,
) -> Result<Json<WithdrawnView>, Problem> {
    let command: RequestId = parse("command_id", &id)?;
    let reason = new.reason.trim().to_owned();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX || reason.contains(char::is_control) {
        let why = format!("a reason is text on one line, at most {REASON_BYTES_MAX} bytes");
        return Err(ApiFault::BadParameter { name: "reason", why }.into());
    }
    let handle = api.handle.clone();
    // A task of its own: a row on its way to the disk stays locked also when the client that asked has gone.
    let withdrawing =
        tokio::spawn(async move { handle.view().withdraw(command.as_bytes(), &reason, time::now()).await });
    let row = withdrawing.await.map_err(|_| ApiFault::Stopping)??;
    Ok(Json(WithdrawnView::new(row)))
}

/// The roll of officers that counts.
#[utoipa::path(get, path = "/v1/roll", tag = "officers",
    responses((status = 200, description = "The roll.", body = RollView)))]
async fn show_roll(State(api): State<Api>) -> Result<Json<RollView>, Problem> {
    api.look(|view| roll(view, time::now()).ok_or_else(|| ApiFault::NoRollHere.into())).await.map(Json)
}

/// A roll of officers, signed by the Party's directory key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRoll {
    /// The envelope, in base64.
    envelope: String,
}

/// A roll that counts now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollInstalled)]
struct RollInstalledView {
    schema: &'static str,
    /// Its document id.
    id: String,
    /// Its number.
    version: u64,
}

/// Installs a roll in place of the one before; its id stands in the path, so that it is on record. Answered once it is on
/// disk and counts.
#[utoipa::path(put, path = "/v1/rolls/{roll_id}", tag = "officers", request_body = NewRoll,
    params(("roll_id" = String, Path)),
    responses((status = 200, description = "It counts.", body = RollInstalledView)))]
async fn install(
    State(api): State<Api>,
    Params(id): Params<String>,
    JsonBody(new): JsonBody<NewRoll>,
) -> Result<Json<RollInstalledView>, Problem> {
    let id: Digest = parse("roll_id", &id)?;
    let bad = |why: &str| ApiFault::BadParameter { name: "envelope", why: why.to_owned() };
    let envelope = STANDARD.decode(&new.envelope).map_err(|_| bad("it is not base64"))?;
    let named: proto::Envelope = strict(&envelope, DOCUMENT_MAX).map_err(|_| bad("it is no envelope"))?;
    if document_id(&named.payload_type, &named.header) != id {
        return Err(bad("the path names another roll").into());
    }
    let version = api.handle.roll(envelope).await?;
    Ok(Json(RollInstalledView { schema: "comity/roll-installed/v1", id: id.to_string(), version }))
}
