//! Clock alarms that were raised, kept on the desk: each once, under a key that says which it is.
//!
//! After a restart the engine raises again what fell due since the newest alarm kept here; a key
//! that is already there is not written twice, so nobody is told twice.

use comity_core::{engine::Notice, ids::Time};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    handle::{Alarm, Status, View, kept_alarms},
    store::Desk,
};

/// Workers keep alarms side by side, so a crash may lose an older one than the newest kept.
const AGAIN_MS: u64 = 3_600_000;

/// From when on alarms are raised again: a little before the newest kept; from the start without any.
pub(super) fn raised_until(desk: &Desk) -> Time {
    kept_alarms(desk).last().map_or(Time(0), |alarm| Time(alarm.at.0.saturating_sub(AGAIN_MS)))
}

/// Keeps an alarm and wakes whoever waits for news.
pub(super) fn keep(view: &View, notice: &Notice, status: &watch::Sender<Status>) {
    let Notice::Clock { thread, rule, percent, at } = notice;
    let alarm = Alarm { at: *at, thread: *thread, rule: rule.clone(), percent: *percent };
    let key = alarm.key();
    if view.desk.get(&key).is_some() || matches!(view.index.thread(thread), Ok(None)) {
        return; // told before, or erased meanwhile
    }
    match view.desk.put(&key, b"").and_then(crate::store::Pending::wait) {
        Ok(()) => status.send_modify(|status| status.notices += 1),
        Err(fault) => warn!(target: "runtime", code = fault.code(), "an alarm was not kept"),
    }
}
