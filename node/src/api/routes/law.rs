//! The law as data: procedures and forms.

use axum::{Json, extract::State};
use comity_core::ids::{ProcedureCode, StepCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::api::{
    Api,
    extract::{Params, parse},
    fault::ApiFault,
    problem::Problem,
    views::law::{self, FormView, ProceduresView},
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(procedures)).routes(routes!(form))
}

/// The procedures this node knows.
#[utoipa::path(get, path = "/v1/procedures", tag = "law", responses((status = 200, description = "All procedures.", body = ProceduresView)))]
async fn procedures(State(api): State<Api>) -> Json<ProceduresView> {
    Json(law::procedures(&api.handle.view().rules))
}

/// The form of a step.
#[utoipa::path(get, path = "/v1/forms/{procedure}/{step}", tag = "law",
    params(("procedure" = String, Path), ("step" = String, Path)),
    responses((status = 200, description = "The form.", body = FormView)))]
async fn form(
    State(api): State<Api>,
    Params((procedure, step)): Params<(String, String)>,
) -> Result<Json<FormView>, Problem> {
    let procedure: ProcedureCode = parse("procedure", &procedure)?;
    let step: StepCode = parse("step", &step)?;
    let form = api.handle.view().rules.form(&procedure, &step).ok_or(ApiFault::UnknownForm)?;
    Ok(Json(law::form(form)))
}
