//! The roll, and what waits for officers, as clients see them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use comity_core::{
    engine::ToApprove,
    ids::{EventId, LedgerIndex, OfficerId, Time, hex},
    officer::{ROLL_TYPE, Signed},
    profile::{Profile, document_id},
    proto::{self, PreparedAct, WithdrawnAct},
    wire::{DOCUMENT_MAX, strict},
};
use prost::Message as _;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{at, side};
use crate::{
    api::fields,
    handle::{EyesFault, View, approvals_of, kept_roll},
    time::rfc3339,
};

/// What waits for officers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approvals)]
pub(in crate::api) struct ApprovalsView {
    schema: &'static str,
    /// All of it, without contents.
    waiting: Vec<WaitingView>,
    /// What was withdrawn while it waited.
    withdrawn: Vec<WithdrawnView>,
}

impl ApprovalsView {
    pub(in crate::api) fn new(waiting: Vec<WaitingView>, withdrawn: Vec<WithdrawnView>) -> Self {
        Self { schema: "comity/approvals/v1", waiting, withdrawn }
    }
}

/// An act that was withdrawn while it waited for officers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Withdrawn)]
pub(in crate::api) struct WithdrawnView {
    schema: &'static str,
    /// The command that would have done it; it does nothing any more. That of an erasure does, once that is asked for anew.
    command_id: String,
    /// The request.
    request_id: String,
    /// Which authority would have acted.
    authority: String,
    /// The procedure.
    procedure: String,
    /// The step; `erasure` if the request was to be erased.
    step: String,
    /// To whom it would have gone, ascending.
    recipients: Vec<String>,
    /// When it was put before officers first.
    prepared: Option<String>,
    /// When it was withdrawn.
    withdrawn: Option<String>,
    /// Why, in the words of whoever withdrew it.
    reason: String,
}

impl WithdrawnView {
    pub(in crate::api) fn new(row: WithdrawnAct) -> Self {
        Self {
            schema: "comity/withdrawn/v1",
            command_id: hex(&row.command_id),
            request_id: hex(&row.request_id),
            authority: row.authority,
            procedure: row.procedure,
            step: row.step,
            recipients: row.recipients,
            prepared: at(row.prepared_ms),
            withdrawn: at(row.withdrawn_ms),
            reason: row.reason,
        }
    }
}

/// An act that waits for officers, or one that went out under break-glass and waits for the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(in crate::api) struct WaitingView {
    schema: &'static str,
    /// The command that does it: an approval is of one.
    pub(in crate::api) command_id: String,
    /// The network.
    network: String,
    /// This Party.
    party: String,
    /// The request.
    request_id: String,
    /// Which authority acts.
    authority: String,
    /// The procedure.
    procedure: String,
    /// The step; `erasure` if the request is to be erased.
    step: String,
    /// To whom it goes, ascending.
    recipients: Vec<String>,
    /// On which side this Party stands.
    side: &'static str,
    /// True if one officer may break the glass.
    emergency: bool,
    /// When it was put before officers first.
    prepared: Option<String>,
    /// 32 bytes in hexadecimal.
    salt: String,
    /// SHA-256 over salt and body, in hexadecimal.
    digest: String,
    /// The exact bytes that are sealed, in base64; null in lists, and once the request is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The same, to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    fields: Option<Map<String, Value>>,
    /// Who has said what.
    approvals: Vec<ApprovalView>,
    /// True if these suffice as things are.
    ready: bool,
    /// The event, once it went out.
    event_id: Option<String>,
    /// Until when the second approval is due; null unless it is owed.
    due: Option<String>,
}

/// What an officer has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApprovalRow)]
struct ApprovalView {
    /// Who, as the roll names the post.
    officer: String,
    /// `first`, `second`, `break-glass` or `later`.
    kind: &'static str,
    /// When, by the officer's clock.
    time: String,
    /// Break-glass: why.
    reason: Option<String>,
}

impl WaitingView {
    /// Without contents.
    pub(in crate::api) fn row(view: &View, row: &PreparedAct, now: Time) -> Self {
        let approval = |signed: Signed| {
            let approval = signed.approval();
            ApprovalView {
                officer: approval.officer.to_string(),
                kind: approval.kind.as_str(),
                time: rfc3339(approval.time),
                reason: approval.reason.as_ref().map(ToString::to_string),
            }
        };
        Self {
            schema: "comity/waiting/v1",
            command_id: hex(&row.command_id),
            network: view.trust().charter().network.to_string(),
            party: view.us.party.to_string(),
            request_id: hex(&row.request_id),
            authority: row.authority.clone(),
            procedure: row.procedure.clone(),
            step: row.step.clone(),
            recipients: row.recipients.clone(),
            side: side(row.side),
            emergency: row.emergency,
            prepared: at(row.prepared_ms),
            salt: hex(&row.salt),
            digest: hex(&row.digest),
            body: None,
            fields: None,
            approvals: approvals_of(row).into_iter().map(approval).collect(),
            ready: row.event_id.is_empty() && view.suffices(row, now),
            event_id: (!row.event_id.is_empty()).then(|| hex(&row.event_id)),
            due: at(row.due_ms),
        }
    }

    /// With the contents, as far as they are here.
    pub(in crate::api) fn whole(view: &View, row: &PreparedAct, now: Time) -> Self {
        let bytes = if row.event_id.is_empty() { Some(row.body.clone()) } else { sent(view, row) };
        let body = bytes.as_deref().and_then(|bytes| proto::Body::decode(bytes).ok());
        let shown = body.map(|body| fields::show(view.rules.form_by_id(&body.form), &body));
        Self { body: bytes.map(|bytes| STANDARD.encode(bytes)), fields: shown, ..Self::row(view, row, now) }
    }
}

/// What went out, as the ledger has it.
fn sent(view: &View, row: &PreparedAct) -> Option<Vec<u8>> {
    let seen = view.index.seen(&EventId::from_slice(&row.event_id).ok()?).ok()??;
    let opened = view.open(LedgerIndex(seen.index)).ok()??;
    Some(opened.body?.encode_to_vec())
}

/// The roll of officers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Roll)]
pub(in crate::api) struct RollView {
    schema: &'static str,
    /// Its document id.
    id: String,
    /// Its number.
    version: u64,
    /// When it was issued.
    issued: Option<String>,
    /// Since when it counts here.
    installed: Option<String>,
    /// False if the profile does not name the directory key any more that signed it, or has revoked it.
    counts: bool,
    /// True if the profile requires two officers.
    required: bool,
    /// The officers.
    officers: Vec<OfficerView>,
    /// Who stands in for whom.
    deputies: Vec<DeputyView>,
    /// Who is away.
    absences: Vec<AbsenceView>,
    /// The envelope, in base64: what the next draft begins from.
    envelope: String,
}

/// An officer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Officer)]
struct OfficerView {
    /// The post.
    id: String,
    /// The Ed25519 key, in hexadecimal.
    public_key: String,
    /// For which authority.
    authority: String,
    /// In which procedures; empty: in all.
    procedures: Vec<String>,
    /// On which sides.
    sides: Vec<&'static str>,
    /// From when on.
    from: Option<String>,
    /// Until when; null: no end.
    until: Option<String>,
    /// True if on the roll now, and not away.
    present: bool,
}

/// Who stands in for whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deputy)]
struct DeputyView {
    /// For whom.
    of: String,
    /// Who.
    by: String,
    /// From when on.
    from: Option<String>,
    /// Until when; null: no end.
    until: Option<String>,
}

/// Who is away.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Absence)]
struct AbsenceView {
    /// Who.
    officer: String,
    /// From when on.
    from: Option<String>,
    /// Until when; null: no end.
    until: Option<String>,
}

/// The roll that is here.
pub(in crate::api) fn roll(view: &View, now: Time) -> Option<RollView> {
    let (envelope, installed) = kept_roll(&view.desk)?;
    let opened: proto::Envelope = strict(&envelope, DOCUMENT_MAX).ok()?;
    let wire: proto::Roll = strict(&opened.header, DOCUMENT_MAX).ok()?;
    let trust = view.trust();
    let profile = trust.declared(&view.us.party);
    let read = profile.and_then(|profile| view.roll(profile, now));
    let counts = read.as_ref().zip(profile).is_some_and(|(roll, profile)| roll.stands(profile, now));
    let present = |id: &str| {
        let id = OfficerId::parse(id).ok();
        id.zip(read.as_ref()).is_some_and(|(id, roll)| roll.key(&id, now).is_some() && !roll.is_absent(&id, now))
    };
    let officer = |row: &proto::Officer| OfficerView {
        id: row.id.clone(),
        public_key: hex(&row.public_key),
        authority: row.authority.clone(),
        procedures: row.procedures.clone(),
        sides: row.sides.iter().map(|wire| side(*wire)).collect(),
        from: at(row.from_ms),
        until: at(row.until_ms),
        present: present(&row.id),
    };
    let deputy = |row: &proto::Deputy| DeputyView {
        of: row.of.clone(),
        by: row.by.clone(),
        from: at(row.from_ms),
        until: at(row.until_ms),
    };
    let absence = |row: &proto::Absence| AbsenceView {
        officer: row.officer.clone(),
        from: at(row.from_ms),
        until: at(row.until_ms),
    };
    Some(RollView {
        schema: "comity/roll/v1",
        id: document_id(ROLL_TYPE, &opened.header).to_string(),
        version: wire.version,
        issued: at(wire.issued_ms),
        installed: at(installed.0),
        counts,
        required: profile.is_some_and(Profile::requires_four_eyes),
        officers: wire.officers.iter().map(officer).collect(),
        deputies: wire.deputies.iter().map(deputy).collect(),
        absences: wire.absences.iter().map(absence).collect(),
        envelope: STANDARD.encode(&envelope),
    })
}

/// What is to be approved, for whoever asked for the act.
pub(in crate::api) async fn wanted(
    view: &View,
    wanted: &ToApprove,
    lane: proto::Lane,
    now: Time,
) -> Result<WaitingView, EyesFault> {
    let row = view.prepare(wanted, lane, now).await?;
    Ok(WaitingView::whole(view, &row, now))
}
