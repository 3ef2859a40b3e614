//! Taking a backup and proving it. Both take as long as the disks take; asked again meanwhile, the answer is `backup.busy`.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        extract::JsonBody,
        fault::ApiFault,
        problem::Problem,
        views::backup::{BackupView, CheckedView},
    },
    backup::{BackupFault, Backups},
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(verify))
}

/// What to copy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBackup {
    /// Begin a new chain with a copy of everything, instead of what is new since the last backup.
    #[serde(default)]
    full: bool,
}

/// Makes a backup as the settings say. Answered once it is on its disk; a backup has no command id, since two are no harm.
#[utoipa::path(post, path = "/v1/backups", tag = "backup", request_body = NewBackup,
    responses((status = 200, description = "The backup.", body = BackupView)))]
async fn create(State(api): State<Api>, JsonBody(new): JsonBody<NewBackup>) -> Result<Json<BackupView>, Problem> {
    let made = work(&api, move |backups| backups.create(new.full)).await?;
    Ok(Json(BackupView::new(&made)))
}

/// Reads the newest backup whole and proves each piece of it.
#[utoipa::path(post, path = "/v1/backups/verify", tag = "backup",
    responses((status = 200, description = "It is whole.", body = CheckedView)))]
async fn verify(State(api): State<Api>) -> Result<Json<CheckedView>, Problem> {
    let checked = work(&api, Backups::verify).await?;
    Ok(Json(CheckedView::new(&checked)))
}

async fn work<T: Send + 'static>(
    api: &Api,
    ask: impl FnOnce(&Backups) -> Result<T, BackupFault> + Send + 'static,
) -> Result<T, Problem> {
    let backups = api.backups.clone();
    let worked = tokio::task::spawn_blocking(move || ask(&backups)).await.map_err(|_| ApiFault::Stopping)?;
    worked.map_err(|fault| Problem::new(fault.code(), &fault.to_string()))
}
