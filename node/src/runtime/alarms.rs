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

/// Up to when alarms were raised; `now` on a desk that has none.
pub(super) fn raised_until(desk: &Desk, now: Time) -> Time {
    kept_alarms(desk).last().map_or(now, |alarm| alarm.at)
}

/// Keeps an alarm and wakes whoever waits for news.
pub(super) fn keep(view: &View, notice: &Notice, status: &watch::Sender<Status>) {
    let Notice::Clock { thread, rule, percent, at } = notice;
    let alarm = Alarm { at: *at, thread: *thread, rule: rule.clone(), percent: *percent };
    let key = alarm.key();
    if view.desk.get(&key).is_some() {
        return;
    }
    match view.desk.put(&key, b"").and_then(crate::store::Pending::wait) {
        Ok(()) => status.send_modify(|status| status.notices += 1),
        Err(fault) => warn!(target: "runtime", code = fault.code(), "an alarm was not kept"),
    }
}
