//! Requests as rows of a list, and one request whole: where it stands, its events, who holds them.

use comity_core::{
    case::Case,
    ids::{EventId, LedgerIndex, Malformed, PartyCode, ThreadId, Time, hex},
    index::IndexFault,
    procedure::clocks,
    proto::{self, EventRow, RecordKind, ThreadRow},
    rules::Side,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    at,
    erasure::{KeptView, kept},
    parties::{self, ReachView},
    standing::{StandingView, standing, state_name, turn},
};
use crate::{
    api::{cursor, fault::ApiFault, fields, problem::Problem},
    handle::{Opened, View},
};

/// Sealed bodies in one answer: a large case in a few answers, and an answer in a moment.
const PAGE_BYTES_MAX: u64 = 8 << 20;

/// A request in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestRow)]
pub(in crate::api) struct RequestRowView {
    /// The request.
    pub(in crate::api) request_id: String,
    /// The request with its members.
    thread_id: String,
    /// For example `PRES`.
    procedure: String,
    /// The Parties in it.
    members: Vec<String>,
    /// The Party that asks.
    requesting: String,
    /// Our side: `requesting` or `requested`.
    our_side: &'static str,
    /// Where it stands, for example `preserved`.
    pub(in crate::api) state: String,
    /// The side whose act is awaited; null if nobody's.
    turn: Option<&'static str>,
    /// When its next clock ends; null if none runs.
    pub(in crate::api) due: Option<String>,
    /// True if that is past.
    overdue: bool,
    /// When its first event was recorded here.
    opened: Option<String>,
    /// When its last event was recorded here.
    updated: Option<String>,
}

/// Requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requests)]
pub(in crate::api) struct RequestsView {
    schema: &'static str,
    /// In a fixed order that means nothing.
    requests: Vec<RequestRowView>,
    /// Behind the last of them; null when there are no more. A page may be short, or even empty, before.
    next_cursor: Option<String>,
}

impl RequestsView {
    pub(in crate::api) fn new(requests: Vec<RequestRowView>, next: Option<&ThreadId>) -> Self {
        Self { schema: "comity/requests/v1", requests, next_cursor: next.map(cursor::after_thread) }
    }
}

/// What waits for somebody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inbox)]
pub(in crate::api) struct InboxView {
    pub(in crate::api) schema: &'static str,
    /// The nearest deadline first; then those without one that wait for us.
    pub(in crate::api) requests: Vec<RequestRowView>,
    /// True if there are more than an answer holds.
    pub(in crate::api) more: bool,
}

/// A request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(in crate::api) struct RequestView {
    schema: &'static str,
    #[serde(flatten)]
    row: RequestRowView,
    /// All threads of the request: more than one if there are linked audiences.
    threads: Vec<String>,
    /// Where it stands now.
    standing: StandingView,
    /// Its events, in the order of our ledger.
    events: Vec<EventView>,
    /// Behind the last of them; null when there are no more.
    next_cursor: Option<String>,
    /// How each other Party is reached now, and what it reads in this procedure.
    others: Vec<ReachView>,
    /// How long it is kept.
    kept: KeptView,
}

/// A signed event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::api) struct EventView {
    /// The event.
    event_id: String,
    /// Where it stands in our ledger.
    index: u64,
    /// Where it stands in its author's ledger, if that is another's.
    peer_index: Option<u64>,
    /// What it does.
    step: String,
    /// The Party that signed it.
    author: String,
    /// Its authority that acted.
    authority: String,
    /// When its author says it was signed.
    time: Option<String>,
    /// When it was recorded here.
    recorded: Option<String>,
    /// True if we signed it.
    own: bool,
    /// True if a member refused it, or something it follows.
    void: bool,
    /// Why it did not fit when its turn came: a code; null if it did.
    set_aside: Option<&'static str>,
    /// The events its author had seen.
    parents: Vec<String>,
    /// What stays readable when the contents are erased.
    #[schema(value_type = Object)]
    facts: Map<String, Value>,
    /// The contents of its form; null once erased.
    #[schema(value_type = Option<Object>)]
    fields: Option<Map<String, Value>>,
    /// Our own events: who holds them.
    receipts: Vec<ReceiptView>,
    /// Why people should look twice at it although it holds: `profile.disputed`, `charter.refounded`, `charter.expired`.
    marks: Vec<&'static str>,
}

/// Whether a member holds an event of ours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(in crate::api) struct ReceiptView {
    /// The member.
    party: String,
    /// `owed`, `receipted` or `refused`.
    delivery: &'static str,
    /// Where our ledger holds the receipt or refusal.
    index: Option<u64>,
    /// When that was recorded here.
    recorded_at: Option<String>,
    /// Where the member's ledger holds the event or refusal.
    peer_index: Option<u64>,
    /// True once witnesses of the member's ledger, as many as the charter demands, have cosigned it up to there: from then
    /// on it cannot show another ledger to others.
    witnessed: bool,
    /// Why it was refused: a code.
    code: Option<String>,
}

/// A request as a row: where its events left it, and what time and the calendars of both sides make of that.
pub(in crate::api) fn row(
    view: &View,
    thread: &ThreadId,
    row: ThreadRow,
    now: Time,
) -> Result<RequestRowView, Problem> {
    let case = case_of(&view.index.events(thread)?)?;
    let standing = standing_of(view, &case, now)?;
    let (state, turn) = (state_name(&case, &standing).to_owned(), turn(&case, &standing));
    let reckoning = case.reckoning(&view.rules, &view.trust(), now);
    let clocks = clocks(&view.rules, &standing, &reckoning);
    let due = clocks.iter().map(|clock| clock.due.0).min().unwrap_or(0);
    let overdue = due != 0 && due <= now.0;
    Ok(RequestRowView {
        request_id: hex(&row.request_id),
        thread_id: thread.to_string(),
        our_side: our_side(view, &row).as_str(),
        procedure: row.procedure,
        members: row.members,
        requesting: row.requesting,
        state,
        turn: turn.map(Side::as_str),
        due: at(due),
        overdue,
        opened: at(row.opened_ms),
        updated: at(row.updated_ms),
    })
}

/// True if our act is awaited as far as the index knows.
pub(in crate::api) fn waits_for_us(view: &View, row: &ThreadRow) -> bool {
    side_of(row.turn) == Some(our_side(view, row))
}

fn our_side(view: &View, row: &ThreadRow) -> Side {
    if row.requesting == view.us.party.as_str() { Side::Requesting } else { Side::Requested }
}

fn side_of(turn: u32) -> Option<Side> {
    i32::try_from(turn).ok().and_then(Side::read)
}

fn case_of(rows: &[EventRow]) -> Result<Case, IndexFault> {
    Case::of(rows).map_err(|_| IndexFault::Damaged)
}

fn standing_of(view: &View, case: &Case, now: Time) -> Result<comity_core::procedure::Standing, Problem> {
    let standing =
        case.standing(&view.rules, now).map_err(|refusal| Problem::new(refusal.code(), &refusal.to_string()))?;
    standing.ok_or_else(|| IndexFault::Damaged.into())
}

/// One request whole, its events from `skip` on.
pub(in crate::api) fn request(
    view: &View,
    threads: &[ThreadId],
    thread: &ThreadId,
    skip: u64,
    limit: usize,
    now: Time,
) -> Result<RequestView, Problem> {
    let (thread_row, rows) = view.thread(thread)?.ok_or(ApiFault::UnknownRequest)?;
    let case = case_of(&rows)?;
    let now_stands = standing_of(view, &case, now)?;
    let side = our_side(view, &thread_row);
    let others = others(view, &thread_row, now);
    let kept = kept(view, &thread_row)?;
    let (events, read) = events(view, &rows, &now_stands, usize::try_from(skip).unwrap_or(usize::MAX), limit)?;
    Ok(RequestView {
        schema: "comity/request/v1",
        row: row(view, thread, thread_row, now)?,
        threads: threads.iter().map(ToString::to_string).collect(),
        standing: standing(&case, &now_stands, side, view),
        events,
        next_cursor: (read < rows.len()).then(|| cursor::after_events(read as u64)),
        others,
        kept,
    })
}

/// How each other Party is reached now, and what it reads in this procedure.
fn others(view: &View, thread: &ThreadRow, now: Time) -> Vec<ReachView> {
    let members = thread.members.iter().filter_map(|code| PartyCode::parse(code).ok());
    let others = members.filter(|party| *party != view.us.party);
    others.map(|party| parties::reach(view, &party, &thread.procedure, now)).collect()
}

/// A page of events, and how many were read with it and before.
fn events(
    view: &View,
    rows: &[EventRow],
    standing: &comity_core::procedure::Standing,
    skip: usize,
    limit: usize,
) -> Result<(Vec<EventView>, usize), Problem> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for row in rows.iter().skip(skip).take(limit) {
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
        let opened = view.open(LedgerIndex(row.index))?;
        bytes += opened.as_ref().map_or(0, |opened| opened.header.body.size);
        page.push(event(view, row, opened, standing)?);
    }
    let read = skip.saturating_add(page.len());
    Ok((page, read))
}

fn event(
    view: &View,
    row: &EventRow,
    opened: Option<Opened>,
    standing: &comity_core::procedure::Standing,
) -> Result<EventView, Problem> {
    let id = EventId::from_slice(&row.event_id).map_err(damaged)?;
    let own = row.author == view.us.party.as_str();
    let set_aside = standing.set_aside.iter().find(|aside| aside.id == id).map(|aside| aside.refusal.code());
    let form = view.rules.form_by_id(&format!("{}/{}", row.procedure, row.step));
    let (body, marks) = opened.map_or((None, Vec::new()), |opened| (opened.body, opened.marks));
    let receipts = if own { row.recipients.as_slice() } else { &[] };
    Ok(EventView {
        event_id: id.to_string(),
        index: row.index,
        peer_index: (!own).then_some(row.peer_index),
        step: row.step.clone(),
        author: row.author.clone(),
        authority: row.authority.clone(),
        time: at(row.time_ms),
        recorded: at(row.recorded_ms),
        own,
        void: row.void,
        set_aside,
        parents: row.parents.iter().map(|id| hex(id)).collect(),
        facts: fields::show_facts(&row.facts),
        fields: body.map(|body| fields::show(form, &body)),
        receipts: receipts.iter().map(|party| receipt(view, &id, party)).collect::<Result<_, _>>()?,
        marks,
    })
}

fn receipt(view: &View, event: &EventId, party: &str) -> Result<ReceiptView, Problem> {
    let code = PartyCode::parse(party).map_err(damaged)?;
    let answer = view.index.answer(event, &code)?;
    let delivery = match answer.as_ref().map(proto::AnswerRow::kind) {
        None => "owed",
        Some(RecordKind::Receipt) => "receipted",
        Some(_) => "refused",
    };
    let refused = answer.as_ref().filter(|_| delivery == "refused");
    let witnessed = view.witnessing().peers.get(&code).map_or(0, |ledger| ledger.witnessed);
    Ok(ReceiptView {
        party: party.to_owned(),
        delivery,
        index: answer.as_ref().map(|answer| answer.index),
        recorded_at: answer.as_ref().and_then(|answer| at(answer.recorded_ms)),
        peer_index: answer.as_ref().map(|answer| answer.peer_index),
        witnessed: answer.as_ref().is_some_and(|answer| answer.peer_index < witnessed),
        code: refused.map(|answer| answer.code.clone()),
    })
}

fn damaged(_: Malformed) -> Problem {
    IndexFault::Damaged.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_the_index_are_sides() {
        assert_eq!(side_of(0), None);
        assert_eq!(side_of(1), Some(Side::Requesting));
        assert_eq!(side_of(2), Some(Side::Requested));
        assert_eq!(side_of(u32::MAX), None);
    }
}
