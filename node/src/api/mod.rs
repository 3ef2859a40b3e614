//! The local HTTP API: how officers, national systems and the command line act and look.
//!
//! It turns HTTP into acts and looks of a [`Handle`], and back. It decides nothing of a case: what may
//! be done the engine says, what is so the ledger and index say. It is served on a Unix socket only;
//! the socket's file permission is the only gate until credentials exist, so whoever opens it acts
//! for the Party. Nothing a client sends is logged.
//!
//! Start with [`serve`]. `routes/` has a file for each resource; `views` the shapes they answer with;
//! `fields` the contents of forms; `problem` every answer that is no success; `guard` the outer edge
//! (places, time limits, log); `audited` what is recorded before it is shown or done; `openapi` the contract, generated from the routes.

mod act;
mod audited;
mod cursor;
mod extract;
mod fault;
mod fields;
mod guard;
mod openapi;
mod problem;
mod routes;
mod socket;
mod views;

use std::{
    ops::Deref,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use comity_core::ids::hex;
use tokio::{sync::Mutex, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

pub use fault::ApiFault;

use crate::{
    backup::Backups,
    evidence::Evidence,
    handle::{Handle, Status, View},
};
use problem::Problem;

/// The largest body: the largest form (512 KiB) in JSON, whose texts may be escaped.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long requests under way may still take once the node stops.
const CLOSE_S_MAX: u64 = 5;

/// Opens the API on the socket at this path and serves it until `stop`; the task ends once what was
/// under way is answered or its time is up, and takes the socket's file with it.
///
/// # Errors
/// When the socket is in use, is something else, or cannot be made.
pub async fn serve(
    handle: Handle,
    evidence: Evidence,
    backups: Backups,
    socket: &Path,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, ApiFault> {
    let listening = socket::listen(socket).await?;
    let app = router(handle, evidence, backups, stop.clone());
    tracing::info!(target: "api", "listening");
    Ok(tokio::spawn(async move {
        let app = app.into_make_service_with_connect_info::<socket::Caller>();
        let graceful = axum::serve(listening.listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(CLOSE_S_MAX)).await;
        };
        tokio::select! {
            _ = graceful => {} // it ends when told to, and in no other way
            () = overdue => tracing::warn!(target: "api", "requests under way were cut off"),
        }
        listening.name.remove();
    }))
}

/// All routes with their edge, and the contract they make.
fn router(handle: Handle, evidence: Evidence, backups: Backups, stop: CancellationToken) -> Router {
    let (routes, contract) = described();
    let contract = contract.to_pretty_json().expect("the contract of these routes becomes JSON");
    let api = Api::new(handle, evidence, backups, stop, contract);
    routes
        .fallback(async || ApiFault::UnknownRoute)
        .method_not_allowed_fallback(async || ApiFault::WrongMethod)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), guard::guard))
        .with_state(api)
}

/// The routes and the contract generated from them.
fn described() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let (routes, contract) =
        OpenApiRouter::with_openapi(openapi::Contract::openapi()).merge(routes::all()).split_for_parts();
    (routes, openapi::complete(contract))
}

/// What all routes share.
#[derive(Clone)]
struct Api(Arc<Room>);

struct Room {
    handle: Handle,
    evidence: Evidence,
    backups: Backups,
    contract: String,
    stop: CancellationToken,
    requests: Semaphore,
    waiting: Semaphore,
    verifying: Arc<Semaphore>,
    contents: Arc<Semaphore>,
    drafts: Mutex<()>,
    process: [u8; 4],
    requests_seen: AtomicU64,
}

impl Deref for Api {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.0
    }
}

impl Api {
    fn new(handle: Handle, evidence: Evidence, backups: Backups, stop: CancellationToken, contract: String) -> Self {
        let mut process = [0; 4];
        getrandom::fill(&mut process).expect("the system gives entropy once it has booted");
        Self(Arc::new(Room {
            handle,
            evidence,
            backups,
            contract,
            stop,
            requests: Semaphore::new(guard::REQUESTS_MAX),
            waiting: Semaphore::new(guard::WAITING_MAX),
            verifying: Arc::new(Semaphore::new(1)),
            contents: Arc::new(Semaphore::new(guard::CONTENTS_MAX)),
            drafts: Mutex::new(()),
            process,
            requests_seen: AtomicU64::new(0),
        }))
    }

    /// Looks at what lies on disk, on a thread that may wait for it.
    async fn look<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&View) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let handle = self.handle.clone();
        let looked = tokio::task::spawn_blocking(move || ask(handle.view())).await;
        looked.unwrap_or_else(|_| Err(ApiFault::Stopping.into()))
    }
}

impl Room {
    /// How things are at this moment.
    fn status(&self) -> Status {
        self.handle.status().borrow().clone()
    }

    /// Names one request of one life of the process.
    fn request_id(&self) -> String {
        let count = self.requests_seen.fetch_add(1, Ordering::Relaxed);
        hex(&[&self.process[..], &count.to_be_bytes()].concat())
    }
}

#[cfg(test)]
mod tests;
