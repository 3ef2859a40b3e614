//! Records of the audit tree as clients see them, and their proofs.

use std::collections::BTreeMap;

use comity_core::{
    ids::{Digest, LedgerIndex, RequestId, hex},
    ledger::{RecordProof, Resource, Salt, checkpoint},
    officer::Signed,
    proto::{self, RecordKind},
};
use prost::Message as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    at,
    ledger::{BYTES, TEXT, kind},
};
use crate::{
    api::{cursor, fault::ApiFault, problem::Problem},
    audit::{Audit, Audited},
    handle::View,
    roster,
};

/// Records looked at for one answer: a tenth of a second of reading and opening them.
const LOOKED_AT_MAX: u64 = 10_000;

/// Accesses and acts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Audit)]
pub(in crate::api) struct AuditView {
    schema: &'static str,
    /// The tree's name.
    origin: String,
    /// Records on disk, without the one about this answer.
    size: u64,
    /// Of these, covered by the newest checkpoint.
    signed: u64,
    /// The newest first.
    entries: Vec<AuditEntryView>,
    /// Behind the oldest of them; null when there are no more.
    next_cursor: Option<String>,
}

/// An access or act.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct AuditEntryView {
    /// Where it stands in the audit tree.
    index: u64,
    /// `access`, `act` or `approval`.
    kind: &'static str,
    /// When it was recorded: before it happened.
    at: Option<String>,
    /// The user id of the process that asked.
    user: u32,
    /// What names the call: `x-request-id` of its answer.
    call: String,
    /// For example `GET`.
    method: String,
    /// The template of the route.
    route: String,
    /// The ids in its path, by name.
    ids: BTreeMap<String, String>,
    /// The request it concerns, as far as that was known.
    request_id: Option<String>,
    /// Accesses: the status it was answered with. What became of an act the ledger says.
    status: Option<u32>,
    /// Accesses: why nothing was given out; null if something was.
    code: Option<String>,
    /// Approvals: what an officer said, and of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<AuditApprovalView>,
}

/// What an officer said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditApproval)]
struct AuditApprovalView {
    /// Who, as the roll names the post.
    officer: String,
    /// `first`, `second`, `break-glass` or `later`.
    kind: &'static str,
    /// Break-glass: why.
    reason: Option<String>,
    /// When, by the officer's clock.
    time: Option<String>,
    /// The step.
    step: String,
    /// To whom.
    recipients: Vec<String>,
    /// SHA-256 over salt and body.
    digest: String,
    /// The event it became; null in the record of the approval itself.
    event_id: Option<String>,
}

impl AuditApprovalView {
    fn new(entry: &proto::ApprovalEntry) -> Option<Self> {
        let signed = Signed::from_wire(entry.approval.as_ref()?).ok()?;
        let approval = signed.approval();
        Some(Self {
            officer: approval.officer.to_string(),
            kind: approval.kind.as_str(),
            reason: approval.reason.as_ref().map(ToString::to_string),
            time: at(approval.time.0),
            step: approval.step.to_string(),
            recipients: approval.recipients.iter().map(ToString::to_string).collect(),
            digest: approval.digest.to_string(),
            event_id: (!entry.event_id.is_empty()).then(|| hex(&entry.event_id)),
        })
    }
}

impl AuditEntryView {
    fn new(audited: Audited) -> Self {
        let Audited { index, kind: of, entry, approval } = audited;
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            index: index.0,
            kind: kind(of),
            at: at(entry.time_ms),
            user: entry.user,
            call: entry.call,
            method: entry.method,
            route: entry.route,
            ids: entry.ids.into_iter().map(|named| (named.name, named.id)).collect(),
            request_id: some(hex(&entry.request_id)),
            status: (of == RecordKind::Access).then_some(entry.status),
            code: some(entry.code),
            approval: approval.as_ref().and_then(AuditApprovalView::new),
        }
    }
}

/// A page of records before this index, the newest first; of one request only, if one is wanted.
pub(in crate::api) fn list(
    audit: &Audit,
    before: Option<u64>,
    request: Option<RequestId>,
    limit: usize,
) -> Result<AuditView, Problem> {
    let size = audit.ledger().size();
    let mut next = before.map_or(size, |before| before.min(size));
    let mut entries = Vec::new();
    for _ in 0..LOOKED_AT_MAX {
        if next == 0 || entries.len() == limit {
            break;
        }
        next -= 1;
        let audited = audit.read(LedgerIndex(next))?;
        if request.is_none_or(|wanted| audited.entry.request_id == wanted.as_bytes()) {
            entries.push(AuditEntryView::new(audited));
        }
    }
    Ok(AuditView {
        schema: "comity/audit/v1",
        origin: audit.origin().to_string(),
        size,
        signed: audit.ledger().signed(),
        entries,
        next_cursor: (next > 0).then(|| cursor::before_audited(next)),
    })
}

/// The newest checkpoint and its size.
fn newest(audit: &Audit) -> Option<(u64, Vec<u8>)> {
    let note = audit.ledger().checkpoint()?;
    let size = checkpoint::parse_unverified(&note).ok()?.size;
    Some((size, note))
}

/// Proves a record under the newest checkpoint.
pub(in crate::api) fn tlog_proof(audit: &Audit, index: LedgerIndex) -> Result<String, Problem> {
    let stored = audit.ledger().read(index)?;
    let (size, note) = newest(audit).filter(|(size, _)| index.0 < *size).ok_or(ApiFault::NotCovered)?;
    let case = stored.case.ok_or(ApiFault::NoProof)?;
    let salt = case.salt.try_into().map(Salt).map_err(|_| ApiFault::NoProof)?;
    let id = Digest::from_slice(&stored.node.record_id).map_err(|_| ApiFault::NoProof)?;
    let path = audit.ledger().prove(index, size)?;
    let proof = RecordProof::of(id, case.context, salt, index, path, note);
    Ok(proof.map_err(|fault| Problem::new(fault.code(), &fault.to_string()))?.to_text())
}

/// A file of the tree as others read it, and its type. It shows no record, and no peer is given it.
pub(in crate::api) fn file(view: &View, path: &str) -> Result<(&'static str, Vec<u8>), Problem> {
    let found = match (path, Resource::parse(path)) {
        ("documents", _) => {
            let ours = [view.us.party.clone()];
            let bundle = proto::Bundle { envelopes: roster::proving(view, &view.trust(), &ours) };
            Some((BYTES, bundle.encode_to_vec()))
        }
        (_, None) => None,
        (_, Some(Resource::Checkpoint)) => newest(&view.audit).map(|(_, note)| (TEXT, note)),
        (_, Some(resource)) => match newest(&view.audit) {
            Some((size, _)) => view.audit.ledger().resource(resource, size)?.map(|bytes| (BYTES, bytes)),
            None => None,
        },
    };
    found.ok_or_else(|| ApiFault::NoSuchFile.into())
}
