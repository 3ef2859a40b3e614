//! What an erasure destroys outside the ledger's records, and how holds and rolls are kept. On workers: all of it waits for the disk.
//!
//! The list of erasures in its second place comes first, so that no backup brings back what goes. Then the keys: from then on whatever is left of the request opens for nobody. Then what lies unencrypted, or under keys
//! the node keeps, goes too: evidence, desk, index. Each step may be done twice, so a crash between any two of them is
//! mended by doing all of it again at the next start.

use comity_core::{
    carry,
    engine::{Hold, JobId},
    ids::{RequestId, ThreadId, Time},
    index::{Index, IndexFault},
};
use tracing::warn;

use super::Back;
use crate::{
    backup::{self, BackupFault, ErasureList},
    conduct::PROOF_PREFIX,
    evidence::{Evidence, EvidenceFault},
    handle::{
        self, APPROVAL_PREFIX, DRAFT_PREFIX, View, WITHDRAWN_PREFIX, hold_key, hold_value, kept_alarms,
        prepared_contents, withdrawn_in,
    },
    store::{Desk, DeskChange, Pending, SledPairs, StoreFault},
};

/// Why it is not all destroyed yet.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    #[error(transparent)]
    Index(#[from] IndexFault),
    #[error(transparent)]
    List(#[from] BackupFault),
}

impl Left {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(fault) => fault.code(),
            Self::Evidence(fault) => fault.code(),
            Self::Index(fault) => fault.code(),
            Self::List(fault) => fault.code(),
        }
    }
}

/// Destroys what an erasure destroys. A fatal fault of the ledger's own files ends the node; any other is tried again.
pub(super) fn destroy(
    job: JobId,
    request: &RequestId,
    view: &View,
    evidence: &Evidence,
    list: Option<&ErasureList>,
) -> Back {
    match destroy_all(request, view, evidence, list) {
        Err(Left::Store(fault)) if fault.is_fatal() => Back::Destroyed(job, Err(fault)),
        Err(left) => {
            warn!(target: "runtime", code = left.code(), "an erasure is not done yet; tried again");
            Back::Destroyed(job, Ok(Err(left.code())))
        }
        Ok(()) => Back::Destroyed(job, Ok(Ok(()))),
    }
}

fn destroy_all(request: &RequestId, view: &View, evidence: &Evidence, list: Option<&ErasureList>) -> Result<(), Left> {
    if let Some(damage) = view.ledger.read_only() {
        return Err(StoreFault::ReadOnly(damage).into());
    }
    // Before the keys are gone: a backup of before still has them, and lets go of them by this list.
    if let Some(list) = list {
        backup::complete(list, view)?;
    }
    view.ledger.destroy_keys(*request)?;
    evidence.erase(request)?;
    clear_desk(&view.desk, &view.index, request)?;
    view.index.pairs().rewrite()?;
    Ok(())
}

/// Takes off the desk what lies there of the request and of threads the index does not know any more, and writes it anew.
fn clear_desk(desk: &Desk, index: &Index<SledPairs>, request: &RequestId) -> Result<(), Left> {
    let mut gone = vec![[DRAFT_PREFIX, request.as_bytes()].concat(), hold_key(request)];
    gone.extend(prepared_contents(&desk.range(APPROVAL_PREFIX), request));
    gone.extend(withdrawn_in(&desk.range(WITHDRAWN_PREFIX), request));
    for alarm in kept_alarms(desk) {
        if !knows(index, &alarm.thread)? {
            gone.push(alarm.key());
        }
    }
    // A frame is kept as it came: a delivery holds a body that our seal key still opens.
    let proofs = desk.range(PROOF_PREFIX).into_iter();
    let shows = |frame: &[u8]| carry::request_named_by(frame.get(8..).unwrap_or_default()) == Some(*request);
    gone.extend(proofs.filter(|(_, frame)| shows(frame)).map(|(key, _)| key));
    for part in DeskChange::parts(gone.into_iter().map(DeskChange::Delete)) {
        desk.apply(part).and_then(Pending::wait)?;
    }
    desk.rewrite().and_then(Pending::wait)?;
    Ok(())
}

fn knows(index: &Index<SledPairs>, thread: &ThreadId) -> Result<bool, IndexFault> {
    Ok(index.thread(thread)?.is_some())
}

/// Keeps a hold, or forgets the one there is.
pub(super) fn keep_hold(job: JobId, request: &RequestId, hold: Option<&Hold>, view: &View) -> Back {
    let change = match hold {
        Some(hold) => view.desk.put(&hold_key(request), &hold_value(hold)),
        None => view.desk.delete(&hold_key(request)),
    };
    Back::HoldKept(job, change.and_then(Pending::wait).map_err(|fault| fault.code()))
}

/// Keeps a roll of officers in place of the one there is.
pub(super) fn keep_roll(job: JobId, envelope: Vec<u8>, view: &View, now: Time) -> Back {
    let kept = handle::keep_roll(&view.desk, envelope, now).and_then(Pending::wait);
    Back::RollKept(job, kept.map_err(|fault| fault.code()))
}
