//! The change feed: records of the ledger and alarms of clocks, each at least once, each under an id
//! that never changes.
//!
//! A reader keeps the cursor of the last page it has dealt with and asks from there. With `wait` the
//! answer comes as soon as there is news. The epoch is the ledger's origin: after a restore the
//! ledger has a successor, and readers begin anew. Serves ids and codes, never contents.

use std::time::Duration;

use axum::{Json, extract::State};
use comity_core::ids::{LedgerIndex, Time};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Api,
        cursor::FeedPlace,
        extract::{Asked, page},
        fault::ApiFault,
        guard::WAIT_S_MAX,
        problem::Problem,
        views::ledger::record,
    },
    handle::{Alarm, View, kept_alarms},
    time::rfc3339,
};

/// When alarms turn out to have been kept late, those of this long are told again.
const TOLD_AGAIN_MS: u64 = 24 * 3600 * 1000;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// From where, and how patiently.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct From {
    /// The cursor of the last page dealt with; from the beginning if left out.
    after: Option<String>,
    /// Seconds to wait for news if there is none, 0 to 55; 0 if left out.
    wait: Option<u64>,
    /// Items, 1 to 500; 100 if left out.
    limit: Option<usize>,
}

/// A page of the feed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Feed)]
struct FeedView {
    schema: &'static str,
    /// What the ids and cursors are about; changes after a restore.
    epoch: String,
    /// In the order of the ledger, alarms first.
    events: Vec<ItemView>,
    /// Where the next page begins. Keep it once these items are dealt with.
    cursor: String,
    /// True if there is more already.
    more: bool,
}

/// Something that happened.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = FeedItem)]
struct ItemView {
    /// Never changes; the same item may come twice.
    id: String,
    /// A kind of record, for example `event-received`, or `clock`.
    kind: &'static str,
    /// When it was recorded, or when the part of the clock had run.
    at: Option<String>,
    /// The thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Records: where it stands in our ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// Records: the event, or the one that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Events: the procedure.
    #[serde(skip_serializing_if = "Option::is_none")]
    procedure: Option<String>,
    /// Events: the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Events: who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Receipts and refusals: the other Party.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Refusals: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Clocks: the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Clocks: how much of it has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
}

/// What has happened since: records of the ledger and alarms of clocks.
#[utoipa::path(get, path = "/v1/events", tag = "feed", params(From),
    responses((status = 200, description = "A page of the feed.", body = FeedView)))]
async fn events(State(api): State<Api>, Asked(from): Asked<From>) -> Result<Json<FeedView>, Problem> {
    let limit = page(from.limit)?;
    let wait = from.wait.unwrap_or(0);
    if wait > WAIT_S_MAX {
        let why = format!("it must lie between 0 and {WAIT_S_MAX}");
        return Err(ApiFault::BadParameter { name: "wait", why }.into());
    }
    let origin = &api.handle.view().us.origin;
    let after = from.after.as_deref().map(|cursor| FeedPlace::from_cursor(cursor, origin)).transpose()?;
    let after = after.unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(wait);
    let mut place = None;
    let mut news = api.handle.status();
    loop {
        news.mark_unchanged(); // before looking: what comes meanwhile wakes us
        let found = api.look(move |view| read(view, after, limit)).await?;
        if !found.events.is_empty() || wait == 0 {
            return Ok(Json(found));
        }
        if place.is_none() {
            place = Some(api.waiting.try_acquire().map_err(|_| ApiFault::TooManyWaiting)?);
        }
        let stopped = api.stop.cancelled();
        tokio::select! {
            () = stopped => return Ok(Json(found)),
            changed = timeout_at(until, news.changed()) => match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(Json(found)), // the node is stopping, or the time is up
            },
        }
    }
}

fn read(view: &View, after: FeedPlace, limit: usize) -> Result<FeedView, Problem> {
    let alarms = kept_alarms(&view.desk);
    let (fresh, mut place) = alarms_since(&alarms, after, limit);
    let mut events: Vec<ItemView> = fresh.iter().map(clock_item).collect();
    let alarms_left = alarms.last().is_some_and(|last| last.at > place.until);
    // The index follows the ledger: what is told can be asked about.
    let (size, _) = view.index.applied()?;
    let room = limit.saturating_sub(events.len()) as u64;
    let end = size.min(after.record.saturating_add(room));
    for index in after.record..end {
        events.push(record_item(view, LedgerIndex(index))?);
    }
    place.record = end.max(after.record);
    Ok(FeedView {
        schema: "comity/events/v1",
        epoch: view.us.origin.to_string(),
        events,
        cursor: place.to_cursor(&view.us.origin),
        more: alarms_left || place.record < size,
    })
}

/// The alarms not yet told, oldest first, and where that leaves the reader. Alarms are kept by several
/// workers at once, so an older one may turn up behind a newer: the number of those told shows it.
/// Alarms of one moment are never parted, so a page may be a little longer than its limit.
fn alarms_since(alarms: &[Alarm], after: FeedPlace, limit: usize) -> (&[Alarm], FeedPlace) {
    let up_to = |time: Time| alarms.partition_point(|alarm| alarm.at <= time);
    let told = up_to(after.until);
    let from = if told as u64 == after.alarms {
        told
    } else {
        alarms.partition_point(|alarm| alarm.at.plus_ms(TOLD_AGAIN_MS) <= after.until)
    };
    let Some(last) = alarms[from..].iter().take(limit).next_back() else {
        return (&[], FeedPlace { alarms: told as u64, ..after });
    };
    // Told again, the page must reach beyond what was told, or the reader would never get on.
    let end = up_to(last.at.max(after.until));
    (&alarms[from..end], FeedPlace { until: last.at.max(after.until), alarms: end as u64, ..after })
}

fn clock_item(alarm: &Alarm) -> ItemView {
    let Alarm { at, thread, rule, percent } = alarm;
    ItemView {
        id: format!("clock/{thread}/{rule}/{percent}/{}", at.0),
        kind: "clock",
        at: Some(rfc3339(*at)),
        thread_id: Some(thread.to_string()),
        rule: Some(rule.clone()),
        percent: Some(*percent),
        ..ItemView::default()
    }
}

fn record_item(view: &View, index: LedgerIndex) -> Result<ItemView, Problem> {
    let record = record(view, index)?;
    let id = format!("{}/{}", view.us.origin, index.0);
    Ok(ItemView {
        id,
        kind: record.kind,
        at: record.recorded,
        thread_id: record.thread_id,
        request_id: record.request_id,
        index: Some(index.0),
        event_id: record.answers.or(record.author.is_some().then_some(record.record_id)),
        procedure: record.procedure,
        step: record.step,
        author: record.author,
        peer: record.peer,
        code: record.code,
        rule: None,
        percent: None,
    })
}

#[cfg(test)]
mod tests {
    use comity_core::ids::ThreadId;

    use super::*;

    fn alarm(at: u64) -> Alarm {
        Alarm { at: Time(at), thread: ThreadId::new([1; 32]), rule: "D01".to_owned(), percent: 50 }
    }

    /// Reads page after page until nothing is new; times of all alarms told, in order.
    fn told(alarms: &[Alarm], place: &mut FeedPlace, limit: usize) -> Vec<u64> {
        let mut told = Vec::new();
        for _ in 0..100 {
            let (fresh, next) = alarms_since(alarms, *place, limit);
            *place = next;
            if fresh.is_empty() {
                return told;
            }
            told.extend(fresh.iter().map(|alarm| alarm.at.0));
        }
        panic!("the reader never gets on");
    }

    #[test]
    fn each_alarm_is_told_and_readers_get_on() {
        for limit in [1, 2, 3, 100] {
            let mut place = FeedPlace::default();
            let mut alarms: Vec<Alarm> = [10, 20, 20, 20, 30].map(alarm).to_vec();
            assert_eq!(told(&alarms, &mut place, limit), [10, 20, 20, 20, 30], "limit {limit}");
            assert_eq!(told(&alarms, &mut place, limit), [0; 0], "limit {limit}");
            alarms.push(alarm(40));
            assert_eq!(told(&alarms, &mut place, limit), [40], "limit {limit}");
        }
    }

    #[test]
    fn an_alarm_kept_late_is_told_with_its_neighbours() {
        for limit in [1, 2, 100] {
            let mut place = FeedPlace::default();
            let old = alarm(5);
            let day = TOLD_AGAIN_MS;
            let mut alarms = vec![old, alarm(day + 10), alarm(day + 30)];
            told(&alarms, &mut place, limit);
            alarms.insert(2, alarm(day + 20));
            let again = told(&alarms, &mut place, limit);
            assert!(again.contains(&(day + 20)), "limit {limit}: {again:?}");
            assert_eq!(told(&alarms, &mut place, limit), [0; 0], "limit {limit}");
        }
    }

    #[test]
    fn alarms_taken_off_the_desk_do_not_stop_a_reader() {
        let mut place = FeedPlace::default();
        told(&[10, 20, 30].map(alarm), &mut place, 10);
        assert_eq!(told(&[30, 40].map(alarm), &mut place, 10), [30, 40]);
        assert_eq!(told(&[], &mut place, 10), [0; 0]);
    }
}
