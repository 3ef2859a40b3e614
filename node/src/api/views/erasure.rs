//! What is kept how long, what may go, and what is gone.

use std::fmt;

use comity_core::{
    clock::kept_until,
    engine::Hold,
    ids::{Malformed, ProcedureCode, RequestId, Time, hex},
    index::IndexFault,
    proto::{ErasureRow, ThreadRow},
    rules::{Code, ErasureGround, HOLD_REASONS, Listed, Retention},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::at;
use crate::{
    api::{cursor, problem::Problem},
    handle::{View, hold_of},
    time::rfc3339,
};

/// That a request was erased: all there is to say of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(in crate::api) struct ErasureView {
    schema: &'static str,
    /// The request.
    request_id: String,
    /// On which ground of the rules.
    ground: String,
    /// `erased`, or `begun`: it is being done, and no way leads back.
    state: &'static str,
    /// When the intent was recorded.
    begun: Option<String>,
    /// Where our ledger holds the intent.
    begun_index: u64,
    /// When it was done; null while it is not.
    erased: Option<String>,
    /// Where our ledger says so.
    erased_index: Option<u64>,
}

impl ErasureView {
    pub(in crate::api) fn new(request: &RequestId, row: &ErasureRow) -> Self {
        let done = row.erased_index != 0;
        Self {
            schema: "comity/erasure/v1",
            request_id: request.to_string(),
            ground: row.ground.clone(),
            state: if done { "erased" } else { "begun" },
            begun: at(row.intent_ms),
            begun_index: row.intent_index,
            erased: at(row.erased_ms),
            erased_index: done.then_some(row.erased_index),
        }
    }
}

impl fmt::Display for ErasureView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = self.erased.as_ref().or(self.begun.as_ref()).map_or("", String::as_str);
        let how = if self.erased_index.is_some() { "was erased" } else { "is being erased since" };
        write!(f, "this request {how} {when} on the ground {}", self.ground)
    }
}

/// Requests that were erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasures)]
pub(in crate::api) struct ErasuresView {
    schema: &'static str,
    /// In a fixed order that means nothing.
    erasures: Vec<ErasureView>,
    /// Behind the last of them; null when there are no more.
    next_cursor: Option<String>,
}

impl ErasuresView {
    pub(in crate::api) fn new(rows: &[(RequestId, ErasureRow)], limit: usize) -> Self {
        let next = rows.last().filter(|_| rows.len() == limit).map(|(request, _)| cursor::after_request(request));
        let erasures = rows.iter().map(|(request, row)| ErasureView::new(request, row)).collect();
        Self { schema: "comity/erasures/v1", erasures, next_cursor: next }
    }
}

/// That a request must be kept, whatever rule or ground would let it go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(in crate::api) struct HoldView {
    /// Why: a code of the rules.
    reason: String,
    /// Since when.
    since: String,
}

impl HoldView {
    pub(in crate::api) fn new(hold: &Hold) -> Self {
        Self { reason: hold.reason.to_string(), since: rfc3339(hold.since) }
    }
}

/// How long one request is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kept)]
pub(in crate::api) struct KeptView {
    /// When it ended, or will if nobody acts; null while somebody must act first.
    ended: Option<String>,
    /// Until when it is kept at the least; null before it ends, and if the rules name no time.
    until: Option<String>,
    /// Why it is kept whatever the rules say; null if it is not held.
    hold: Option<HoldView>,
}

pub(in crate::api) fn kept(view: &View, row: &ThreadRow) -> Result<KeptView, Problem> {
    let malformed = |_: Malformed| IndexFault::Damaged;
    let rule = view.rules.retention(&ProcedureCode::parse(&row.procedure).map_err(malformed)?);
    let until = rule.filter(|_| row.ended_ms != 0).map(|rule| rfc3339(kept_until(Time(row.ended_ms), rule)));
    let request = RequestId::from_slice(&row.request_id).map_err(malformed)?;
    let hold = hold_of(&view.desk, &request).as_ref().map(HoldView::new);
    Ok(KeptView { ended: at(row.ended_ms), until, hold })
}

/// What is kept how long, on what it may be erased, and what need not be kept any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
pub(in crate::api) struct RetentionView {
    schema: &'static str,
    /// How long requests are kept after their end, by procedure.
    rules: Vec<RetentionRuleView>,
    /// On what a request may be erased once it has ended.
    grounds: Vec<ErasureGroundView>,
    /// Why a request may be held back from that.
    hold_reasons: Vec<HoldReasonView>,
    /// Requests that need not be kept any more. None is erased by itself.
    over: Vec<OverView>,
    /// True if there are more than an answer holds.
    more: bool,
}

/// How long requests of a procedure are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionRule)]
struct RetentionRuleView {
    /// For example `PRES`.
    procedure: String,
    /// How many.
    duration: u32,
    /// Of what: `hour`, `day`, `working day`, `month`.
    unit: &'static str,
    /// Where it is found.
    source: String,
    /// How well the source was seen: `s` seen, `g` general knowledge, `p` our own proposal.
    mark: &'static str,
}

impl RetentionRuleView {
    fn new(rule: &Retention) -> Self {
        Self {
            procedure: rule.procedure.to_string(),
            duration: rule.duration,
            unit: rule.unit.as_str(),
            source: rule.source.clone(),
            mark: rule.mark.as_str(),
        }
    }
}

/// On what a request may be erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureGround)]
struct ErasureGroundView {
    /// For example `retention-over`.
    code: String,
    /// In words.
    title: String,
    /// True if it does not wait for the end of retention.
    early: bool,
    /// Where it is found.
    source: String,
    /// How well the source was seen: `s` seen, `g` general knowledge, `p` our own proposal.
    mark: &'static str,
}

impl ErasureGroundView {
    fn new(ground: &ErasureGround) -> Self {
        Self {
            code: ground.code.to_string(),
            title: ground.title.clone(),
            early: ground.early,
            source: ground.source.clone(),
            mark: ground.mark.as_str(),
        }
    }
}

/// Why a request may be held back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HoldReason)]
struct HoldReasonView {
    /// For example `proceedings`.
    code: String,
    /// In words.
    title: String,
}

impl HoldReasonView {
    fn new(listed: &Listed) -> Self {
        Self { code: listed.code.to_string(), title: listed.label.clone() }
    }
}

/// A request that need not be kept any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Over)]
struct OverView {
    /// The request.
    request_id: String,
    /// For example `PRES`.
    procedure: String,
    /// When it ended.
    ended: Option<String>,
    /// Since when it need not be kept.
    since: String,
    /// Why it is kept nevertheless; null if it is not held.
    hold: Option<HoldView>,
}

impl OverView {
    fn new(view: &View, row: ThreadRow, since: Time) -> Self {
        let hold = RequestId::from_slice(&row.request_id).ok().and_then(|request| hold_of(&view.desk, &request));
        Self {
            request_id: hex(&row.request_id),
            ended: at(row.ended_ms),
            since: rfc3339(since),
            hold: hold.as_ref().map(HoldView::new),
            procedure: row.procedure,
        }
    }
}

pub(in crate::api) fn retention(view: &View, limit: usize, now: Time) -> Result<RetentionView, Problem> {
    let over = view.kept_long_enough(now, limit + 1)?;
    let more = over.len() > limit;
    let rules = view.rules.procedures().filter_map(|procedure| view.rules.retention(&procedure.code));
    let reasons = Code::parse(HOLD_REASONS).and_then(|id| view.rules.list(&id));
    Ok(RetentionView {
        schema: "comity/retention/v1",
        rules: rules.map(RetentionRuleView::new).collect(),
        grounds: view.rules.erasure_grounds().map(ErasureGroundView::new).collect(),
        hold_reasons: reasons.into_iter().flat_map(|list| &list.codes).map(HoldReasonView::new).collect(),
        over: over.into_iter().take(limit).map(|(_, row, since)| OverView::new(view, row, since)).collect(),
        more,
    })
}
