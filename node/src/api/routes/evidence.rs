//! Evidence held here: lots being put under seal, manifests, verification, and the bytes themselves.
//!
//! A file goes into a lot as the body of one request, as it is; its path stands in the query, as text
//! in which `\xNN` stands for a byte that is no text. Bytes pass through in pieces and are never
//! held whole.

use std::{io::Read as _, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use comity_core::{
    ids::{AuthorityId, ItemId, RequestId, StepCode},
    manifest::{ItemPath, Unsealed},
};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{sync::mpsc, time::timeout};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::requests::procedure_of;
use crate::{
    api::{
        Api,
        act::command_id,
        extract::{Asked, IdempotencyKey, JsonBody, Params, parse},
        fault::ApiFault,
        fields,
        problem::Problem,
        views::evidence::{
            EvidenceView, ItemView, LotView, LotsView, ManifestView, SealedView, UnsealedName, VerificationView,
        },
    },
    evidence::{EvidenceFault, FileFacts, LotId, Pieces, SEAL_FORM},
    time,
};

/// A client may stop for so long within an upload.
const UPLOAD_STALL: Duration = Duration::from_secs(60);
/// Pieces of an item waiting for a reader: with 64 KiB each, half a MiB for each.
const PIECES_MAX: usize = 8;
const PIECE: usize = 64 << 10;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(lots))
        .routes(routes!(put))
        .routes(routes!(note))
        .routes(routes!(changed))
        .routes(routes!(seal))
        .routes(routes!(discard))
        .routes(routes!(held))
        .routes(routes!(manifest))
        .routes(routes!(verification, verify))
        .routes(routes!(content))
}

/// A lot to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLot {
    /// Which of our authorities puts it under seal, as the profile names it.
    authority: String,
}

/// Begins a lot: files that are put under seal together.
#[utoipa::path(post, path = "/v1/requests/{request_id}/lots", tag = "evidence", request_body = NewLot,
    params(("request_id" = String, Path)),
    responses((status = 201, description = "It is open.", body = LotView)))]
async fn begin(
    State(api): State<Api>,
    Params(id): Params<String>,
    JsonBody(new): JsonBody<NewLot>,
) -> Result<Response, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    let authority: AuthorityId = parse("authority", &new.authority)?;
    let lot = api.evidence.begin(request, authority)?;
    let all = api.evidence.lots();
    let look = all.iter().find(|look| look.id == lot).ok_or(EvidenceFault::UnknownLot)?;
    Ok((StatusCode::CREATED, Json(LotView::new(look))).into_response())
}

/// The open lots.
#[utoipa::path(get, path = "/v1/lots", tag = "evidence",
    responses((status = 200, description = "Lots.", body = LotsView)))]
async fn lots(State(api): State<Api>) -> Json<LotsView> {
    Json(LotsView::new(&api.evidence.lots()))
}

/// What is known of a file besides its bytes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct File {
    /// Where it lay, below the folder that is put under seal.
    path: String,
    /// When it was last modified, in milliseconds since 1970; 0 if left out.
    modified_ms: Option<i64>,
    /// Ids of the items it was made from, separated by commas.
    derived_from: Option<String>,
}

/// Puts a file into a lot. Answered once all of it is encrypted; it counts once the lot is under seal.
#[utoipa::path(put, path = "/v1/lots/{lot_id}/files", tag = "evidence",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("lot_id" = String, Path), File),
    responses((status = 201, description = "It is in the lot.", body = ItemView)))]
async fn put(
    State(api): State<Api>,
    Params(lot): Params<String>,
    Asked(file): Asked<File>,
    body: Body,
) -> Result<Response, Problem> {
    let lot: LotId = parse("lot_id", &lot)?;
    let mut derived_from: Vec<ItemId> = match file.derived_from.as_deref() {
        None | Some("") => Vec::new(),
        Some(ids) => ids.split(',').map(|id| parse("derived_from", id)).collect::<Result<_, _>>()?,
    };
    derived_from.sort_unstable();
    let facts = FileFacts { path: path(&file.path)?, modified_ms: file.modified_ms.unwrap_or(0), derived_from };
    let (pieces, item) = api.evidence.put(lot, facts);
    pass_on(body, &pieces).await;
    drop(pieces);
    let item = item.await.unwrap_or(Err(EvidenceFault::WorkerLost))?;
    Ok((StatusCode::CREATED, Json(ItemView::new(&item))).into_response())
}

/// Hands a body on piece by piece; one that breaks off is told as such. A vault that takes no more has
/// its own reason, which comes with its answer.
async fn pass_on(body: Body, pieces: &Pieces) {
    let mut stream = body.into_data_stream();
    loop {
        let piece = match timeout(UPLOAD_STALL, stream.next()).await {
            Ok(None) => return,
            Ok(Some(Ok(piece))) => Ok(piece.to_vec()),
            Ok(Some(Err(_))) | Err(_) => Err(EvidenceFault::BrokenUpload),
        };
        let ended = piece.is_err();
        if pieces.send(piece).await.is_err() || ended {
            return;
        }
    }
}

fn path(text: &str) -> Result<ItemPath, EvidenceFault> {
    ItemPath::parse(text).map_err(EvidenceFault::BadPath)
}

/// Something found that carries no bytes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Where it lay.
    path: String,
    /// What it is.
    kind: UnsealedName,
    /// Of a symbolic link: where it points, with `\xNN` for bytes that are no text.
    #[serde(default)]
    target: String,
}

/// Lists in a lot what was found beside its files: links, what cannot be read, empty folders.
#[utoipa::path(post, path = "/v1/lots/{lot_id}/unsealed", tag = "evidence", request_body = Found,
    params(("lot_id" = String, Path)),
    responses((status = 204, description = "It is listed.")))]
async fn note(
    State(api): State<Api>,
    Params(lot): Params<String>,
    JsonBody(found): JsonBody<Found>,
) -> Result<StatusCode, Problem> {
    let lot: LotId = parse("lot_id", &lot)?;
    let target = comity_core::manifest::unescape(&found.target).map_err(EvidenceFault::BadPath)?;
    let entry = Unsealed { path: path(&found.path)?, kind: found.kind.to_wire(), target };
    api.evidence.note(&lot, entry)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A file in a lot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Where it lay.
    path: String,
}

/// Says of a file in a lot that it changed while it was read.
#[utoipa::path(post, path = "/v1/lots/{lot_id}/changed", tag = "evidence", request_body = Named,
    params(("lot_id" = String, Path)),
    responses((status = 204, description = "It is marked.")))]
async fn changed(
    State(api): State<Api>,
    Params(lot): Params<String>,
    JsonBody(named): JsonBody<Named>,
) -> Result<StatusCode, Problem> {
    api.evidence.mark_changed(&parse("lot_id", &lot)?, &path(&named.path)?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a lot is put under seal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Seal {
    /// The id of this act: 16 random bytes in hexadecimal; `Idempotency-Key` serves as well.
    #[serde(default)]
    command_id: Option<String>,
    /// Source, seizure and acquisition, by field; see `/v1/forms/{procedure}/seal`.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// Puts a lot under seal. Answered once all of it is on disk and the statement about it on record.
#[utoipa::path(post, path = "/v1/lots/{lot_id}/seal", tag = "evidence", request_body = Seal,
    params(
        ("lot_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The id of this act, if the body names none."),
    ),
    responses((status = 201, description = "It is under seal.", body = SealedView)))]
async fn seal(
    State(api): State<Api>,
    Params(lot): Params<String>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(seal): JsonBody<Seal>,
) -> Result<Response, Problem> {
    let lot: LotId = parse("lot_id", &lot)?;
    let command = command_id(seal.command_id.as_deref(), key)?.ok_or(ApiFault::NoCommandId)?;
    let all = api.evidence.lots();
    let request = all.iter().find(|look| look.id == lot).ok_or(EvidenceFault::UnknownLot)?.request;
    let record = api
        .look(move |view| {
            let procedure = procedure_of(view, &request)?;
            let step = StepCode::parse(SEAL_FORM).ok();
            let form = step.and_then(|step| view.rules.form(&procedure, &step));
            let form = form.ok_or_else(|| Problem::from(ApiFault::UnknownForm))?;
            fields::read(form, &seal.fields).map_err(|errors| Problem::form(&form.id(), errors))
        })
        .await?;
    let sealed = api.evidence.seal(lot, record, command).await?;
    Ok((StatusCode::CREATED, Json(SealedView::new(&sealed))).into_response())
}

/// Lets a lot go; nothing of it stays.
#[utoipa::path(delete, path = "/v1/lots/{lot_id}", tag = "evidence", params(("lot_id" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
async fn discard(State(api): State<Api>, Params(lot): Params<String>) -> Result<StatusCode, Problem> {
    api.evidence.discard(&parse("lot_id", &lot)?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The evidence of a request: what is under seal here, and what was handed over or is on its way.
#[utoipa::path(get, path = "/v1/requests/{request_id}/evidence", tag = "evidence",
    params(("request_id" = String, Path)),
    responses((status = 200, description = "Evidence.", body = EvidenceView)))]
async fn held(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<EvidenceView>, Problem> {
    let request: RequestId = parse("request_id", &id)?;
    let hand_overs = api
        .look(move |view| {
            procedure_of(view, &request)?;
            Ok(view.hand_overs(&request, time::now())?)
        })
        .await?;
    let held = api.evidence.held(request).await?;
    let mut looked = Vec::with_capacity(hand_overs.len());
    for hand_over in hand_overs {
        let look = api.evidence.look(&hand_over).await?;
        looked.push((hand_over, look));
    }
    Ok(Json(EvidenceView::new(&request, &api.handle.view().us.party, &held, &looked)))
}

/// One manifest whole.
#[utoipa::path(get, path = "/v1/manifests/{manifest}", tag = "evidence", params(("manifest" = String, Path)),
    responses((status = 200, description = "The manifest.", body = ManifestView)))]
async fn manifest(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<ManifestView>, Problem> {
    let held = api.evidence.manifest(parse("manifest", &id)?).await?;
    api.look(move |view| Ok(ManifestView::new(view, &held)?)).await.map(Json)
}

/// How the last verification of a manifest's items went, or how far it is.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/verification", tag = "evidence",
    params(("manifest" = String, Path)),
    responses((status = 200, description = "The verification.", body = VerificationView)))]
async fn verification(State(api): State<Api>, Params(id): Params<String>) -> Result<Json<VerificationView>, Problem> {
    let verification = api.evidence.verification(&parse("manifest", &id)?);
    Ok(Json(VerificationView::new(&*verification.ok_or(EvidenceFault::UnknownManifest)?)))
}

/// Reads everything a manifest lists again, in the background.
#[utoipa::path(post, path = "/v1/manifests/{manifest}/verification", tag = "evidence",
    params(("manifest" = String, Path)),
    responses((status = 202, description = "It has begun.", body = VerificationView)))]
async fn verify(State(api): State<Api>, Params(id): Params<String>) -> Result<Response, Problem> {
    let verification = api.evidence.verify(parse("manifest", &id)?).await?;
    Ok((StatusCode::ACCEPTED, Json(VerificationView::new(&verification))).into_response())
}

/// The bytes of an item, if it is this Party's to read.
#[utoipa::path(get, path = "/v1/manifests/{manifest}/items/{item}/content", tag = "evidence",
    params(("manifest" = String, Path), ("item" = String, Path)),
    responses((status = 200, description = "The plaintext.", body = Vec<u8>, content_type = "application/octet-stream")))]
async fn content(
    State(api): State<Api>,
    Params((manifest, item)): Params<(String, String)>,
) -> Result<Response, Problem> {
    let place = api.contents.clone().try_acquire_owned().map_err(|_| ApiFault::Busy)?;
    let (listed, mut reader) = api.evidence.open(parse("manifest", &manifest)?, parse("item", &item)?).await?;
    // One more than it has, so that a small item is read at once.
    let piece_max = usize::try_from(listed.size).map_or(PIECE, |size| PIECE.min(size.saturating_add(1)));
    let (pieces, sent) = mpsc::channel::<Result<Bytes, std::io::Error>>(PIECES_MAX);
    // It ends with the body: a reader that goes away drops the other end.
    drop(tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; piece_max];
            let sent = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    piece.truncate(read);
                    pieces.blocking_send(Ok(piece.into()))
                }
                Err(fault) => pieces.blocking_send(Err(fault)),
            };
            if sent.is_err() {
                break;
            }
        }
        drop(place);
    }));
    let body = Body::from_stream(futures::stream::unfold(sent, |mut sent| async move {
        sent.recv().await.map(|piece| (piece, sent))
    }));
    let heads = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, listed.size.to_string()),
    ];
    Ok((heads, body).into_response())
}
