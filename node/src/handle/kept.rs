//! What lies on the desk and more than one room looks at: drafts by their prefix, alarms that were raised, holds.

use std::collections::BTreeMap;

use comity_core::{
    engine::Hold,
    ids::{RequestId, ThreadId, Time},
    rules::Code,
};

use crate::store::{Desk, Pending, StoreFault};

/// Where drafts lie on the desk, each under the id of the request it will be.
pub const DRAFT_PREFIX: &[u8] = b"draft/";
/// Where holds lie on the desk, each under its request: eight bytes of time, then the reason.
const HOLD_PREFIX: &[u8] = b"hold/";

/// Where the hold of a request lies.
#[must_use]
pub(crate) fn hold_key(request: &RequestId) -> Vec<u8> {
    [HOLD_PREFIX, request.as_bytes()].concat()
}

/// How a hold is kept.
#[must_use]
pub(crate) fn hold_value(hold: &Hold) -> Vec<u8> {
    [&hold.since.0.to_be_bytes()[..], hold.reason.as_str().as_bytes()].concat()
}

fn read_hold(value: &[u8]) -> Option<Hold> {
    let (since, reason) = value.split_first_chunk::<8>()?;
    Some(Hold { since: Time(u64::from_be_bytes(*since)), reason: Code::parse(std::str::from_utf8(reason).ok()?)? })
}

/// The hold of a request, if it is held.
#[must_use]
pub fn hold_of(desk: &Desk, request: &RequestId) -> Option<Hold> {
    read_hold(&desk.get(&hold_key(request))?)
}

/// All holds.
#[must_use]
pub fn kept_holds(desk: &Desk) -> BTreeMap<RequestId, Hold> {
    let read = |key: &[u8], value: &[u8]| {
        Some((RequestId::from_slice(key.strip_prefix(HOLD_PREFIX)?).ok()?, read_hold(value)?))
    };
    desk.range(HOLD_PREFIX).iter().filter_map(|(key, value)| read(key, value)).collect()
}

/// Where alarms lie on the desk.
const ALARM_PREFIX: &[u8] = b"alarm/";
/// Alarms looked at when the node starts.
const ALARMS_MAX: usize = 100_000;

/// An alarm that was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// When its part of the clock had run.
    pub at: Time,
    /// In which thread.
    pub thread: ThreadId,
    /// Which rule.
    pub rule: String,
    /// 50, 80, 95 or 100.
    pub percent: u8,
}

impl Alarm {
    /// Keys rise by time, so that a range of keys is a stretch of time.
    pub(crate) fn key(&self) -> Vec<u8> {
        let tail = format!("{}/{}", self.rule, self.percent);
        [ALARM_PREFIX, &self.at.0.to_be_bytes(), self.thread.as_bytes(), tail.as_bytes()].concat()
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        let (at, rest) = key.strip_prefix(ALARM_PREFIX)?.split_first_chunk::<8>()?;
        let (thread, tail) = rest.split_first_chunk::<32>()?;
        let (rule, percent) = std::str::from_utf8(tail).ok()?.rsplit_once('/')?;
        Some(Self {
            at: Time(u64::from_be_bytes(*at)),
            thread: ThreadId::new(*thread),
            rule: rule.to_owned(),
            percent: percent.parse().ok()?,
        })
    }
}

/// All alarms kept, oldest first.
#[must_use]
pub fn kept_alarms(desk: &Desk) -> Vec<Alarm> {
    desk.range(ALARM_PREFIX).into_iter().take(ALARMS_MAX).filter_map(|(key, _)| Alarm::from_key(&key)).collect()
}

/// Where on the desk stands what belongs to backups.
pub(crate) const BACKUP_PREFIX: &[u8] = b"backup/";
const LAST_BACKUP: &[u8] = b"backup/last";

/// When the newest backup of this node was made; none before the first.
#[must_use]
pub fn last_backup(desk: &Desk) -> Option<Time> {
    desk.get(LAST_BACKUP)?.first_chunk().map(|bytes| Time(u64::from_be_bytes(*bytes)))
}

/// That a backup was made.
pub(crate) fn keep_last_backup(desk: &Desk, made: Time) -> Result<Pending<()>, StoreFault> {
    desk.put(LAST_BACKUP, &made.0.to_be_bytes())
}
