//! The audit tree in a running node: opened with the other shelves, signed every hour and at both ends of a life.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    audit::{Audit, open_ledger},
    config::Settings,
    handle::View,
    keys::Keyring,
    store::{LookOver, StoreFault},
    time,
};

/// Nobody waits for this checkpoint, and only this node keeps it: it bounds what could be cut off unseen.
const SIGNED_EVERY: Duration = Duration::from_secs(3600);

/// Opens it. A damaged one does not keep the node from receiving; what must be recorded first is then refused.
pub(super) fn open(settings: &Settings, keys: &Keyring) -> Result<Audit, StoreFault> {
    let (ledger, opened) = open_ledger(&settings.data, &keys.secrets().ledger)?;
    if opened.torn_bytes > 0 {
        info!(target: "audit", bytes = opened.torn_bytes, "an interrupted batch was cut");
    }
    if let Some(damage) = opened.read_only {
        warn!(target: "audit", code = damage.code(), "the audit tree is damaged: nothing of a case is shown or done");
    }
    Audit::new(ledger, &settings.party, &settings.network)
}

/// Looks over what the open took from outlines.
pub(super) fn look_over(audit: &Audit) -> Result<LookOver, StoreFault> {
    audit.ledger().look_over(|damage| {
        warn!(target: "audit", code = damage.code(), "the audit tree is damaged: nothing of a case is shown or done");
    })
}

/// Signs what is unsigned: now, every hour, and last when the node stops, after whoever could still ask.
pub(super) async fn keep(view: Arc<View>, keys: Arc<Keyring>, stop: CancellationToken) {
    loop {
        // Before it is signed, what was done and not said to be: the process, or who asked, had ended in between.
        if let Err(fault) = view.settle_all(time::now()).await {
            warn!(target: "audit", code = fault.code(), "approvals are not on record with their events; tried again");
        }
        sign(&view, &keys).await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(SIGNED_EVERY) => {}
        }
    }
    sign(&view, &keys).await;
}

async fn sign(view: &Arc<View>, keys: &Arc<Keyring>) {
    let (view, keys) = (Arc::clone(view), Arc::clone(keys));
    let signing = move || {
        let (now, trust) = (time::now(), view.trust());
        let Some(profile) = trust.profile(&view.us.party, now) else { return };
        let signer = match keys.checkpoint_signer(profile, now) {
            Ok((_, signer)) => signer,
            Err(fault) => return warn!(target: "audit", code = fault.code(), "not signed: {fault}"),
        };
        if let Err(fault) = view.audit.sign(signer, now) {
            warn!(target: "audit", code = fault.code(), "not signed; tried again in an hour");
        }
    };
    if tokio::task::spawn_blocking(signing).await.is_err() {
        warn!(target: "audit", "not signed; tried again in an hour"); // a panic, which the hook reported
    }
}
