//! The ledger, one record of it, and the proof that the record stands in it.

use std::sync::Arc;

use comity_core::{
    carry::Stored,
    event::Header,
    ids::{Digest, LedgerIndex, hex},
    ledger::{RecordProof, Resource, Salt},
    profile::Trust,
    proto::{self, RecordKind},
};
use prost::Message as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::at;
use crate::{
    api::{fault::ApiFault, problem::Problem},
    handle::{OwnWitnessed, Status, View},
    roster,
    store::StoredRecord,
    time,
};

/// The ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ledger)]
pub(in crate::api) struct LedgerView {
    schema: &'static str,
    /// Its name.
    origin: String,
    /// Records on disk.
    size: u64,
    /// Of these, covered by the newest checkpoint.
    signed: u64,
    /// That checkpoint, a C2SP signed note; null before the first.
    checkpoint: Option<String>,
    /// How many witnesses the charter assigns to this ledger.
    witnesses_assigned: usize,
    /// How many of them must cosign; 0 where none is assigned.
    witnesses_needed: usize,
    /// The newest checkpoint that so many have cosigned; null before the first.
    witnessed: Option<WitnessedView>,
}

/// A checkpoint that witnesses have cosigned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Witnessed)]
struct WitnessedView {
    /// Records it covers.
    size: u64,
    /// The note, with the lines of the witnesses.
    checkpoint: String,
    /// Who cosigned.
    by: Vec<CosignedView>,
}

/// One who cosigned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cosigned)]
struct CosignedView {
    /// The Party.
    party: String,
    /// When, by its own clock.
    at: Option<String>,
}

/// A record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record)]
pub(in crate::api) struct RecordView {
    schema: &'static str,
    /// Where it stands.
    index: u64,
    /// For example `event-sent`.
    pub(in crate::api) kind: &'static str,
    /// When it was recorded.
    pub(in crate::api) recorded: Option<String>,
    /// Its id: the event's, the receipt's or the refusal's.
    pub(in crate::api) record_id: String,
    /// The leaf entry that stands in the tree.
    leaf: String,
    /// The request.
    pub(in crate::api) request_id: Option<String>,
    /// The thread.
    pub(in crate::api) thread_id: Option<String>,
    /// The other Party: author of an event received, or who answered.
    pub(in crate::api) peer: Option<String>,
    /// Receipts and refusals: the event they answer.
    pub(in crate::api) answers: Option<String>,
    /// Refusals: why.
    pub(in crate::api) code: Option<String>,
    /// Events: the procedure.
    pub(in crate::api) procedure: Option<String>,
    /// Events: the step.
    pub(in crate::api) step: Option<String>,
    /// Events: who signed them.
    pub(in crate::api) author: Option<String>,
    /// True if what it was about is erased.
    erased: bool,
}

/// The proof that a record stands in the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proof)]
pub(in crate::api) struct ProofView {
    schema: &'static str,
    /// Where it stands.
    index: u64,
    /// Its id.
    record_id: String,
    /// The exact bytes of its context, in hexadecimal.
    context: String,
    /// The salt of its leaf.
    salt: String,
    /// The path to the root, leaf side first.
    path: Vec<String>,
    /// The checkpoint the path leads to.
    checkpoint: String,
    /// All of it as it travels to others: `RecordProof` of the wire format, in hexadecimal.
    proof: String,
    /// Receipts and refusals taken: the other Party's proof, in hexadecimal.
    peer_proof: Option<String>,
}

/// What a verification found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub(in crate::api) struct VerificationView {
    pub(in crate::api) schema: &'static str,
    /// True if all is as it was written.
    pub(in crate::api) ok: bool,
    /// Records read.
    pub(in crate::api) records: u64,
    /// Commits they came in.
    pub(in crate::api) commits: u64,
    /// Records whose contents are erased; their leaves still verify.
    pub(in crate::api) erased: u64,
    /// What is wrong: a code.
    pub(in crate::api) code: Option<&'static str>,
    /// What is wrong, and what to do.
    pub(in crate::api) detail: Option<String>,
}

/// Reads what the ledger is.
pub(in crate::api) fn ledger(view: &View, status: &Status) -> LedgerView {
    let note = (!status.note.is_empty()).then(|| String::from_utf8_lossy(&status.note).into_owned());
    let (witnesses, witnesses_needed) = view.trust().charter().witnesses(&view.us.party);
    LedgerView {
        witnesses_assigned: witnesses.len(),
        witnesses_needed,
        witnessed: view.witnessing().own.as_ref().map(witnessed),
        schema: "comity/ledger/v1",
        origin: view.us.origin.to_string(),
        size: status.size,
        signed: status.signed,
        checkpoint: note,
    }
}

fn witnessed(own: &OwnWitnessed) -> WitnessedView {
    let by = own.by.iter().map(|(party, when)| CosignedView { party: party.to_string(), at: at(when.0) });
    let checkpoint = String::from_utf8_lossy(&own.note).into_owned();
    WitnessedView { size: own.size, checkpoint, by: by.collect() }
}

/// Reads a record.
pub(in crate::api) fn record(view: &View, index: LedgerIndex) -> Result<RecordView, Problem> {
    let stored = view.record(index)?;
    let header = stored.case.as_ref().filter(|_| is_event(stored.kind));
    let header = header.and_then(|case| Header::from_wire(&case.header).ok());
    let node = &stored.node;
    let id = |bytes: &[u8]| (!bytes.is_empty()).then(|| hex(bytes));
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(RecordView {
        schema: "comity/record/v1",
        index: index.0,
        kind: kind(stored.kind),
        recorded: at(node.recorded_ms),
        record_id: hex(&node.record_id),
        leaf: hex(stored.leaf.as_bytes()),
        request_id: id(&node.request_id),
        thread_id: id(&node.thread_id),
        peer: text(&node.peer),
        answers: id(&node.answers),
        code: text(&node.code),
        procedure: header.as_ref().map(|header| header.procedure.to_string()),
        step: header.as_ref().map(|header| header.step.to_string()),
        author: header.as_ref().map(|header| header.author.to_string()),
        erased: stored.case.is_none(),
    })
}

const fn is_event(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::EventSent | RecordKind::EventReceived)
}

/// Proves a record under the newest checkpoint.
pub(in crate::api) fn proof(view: &View, status: &Status, index: LedgerIndex) -> Result<ProofView, Problem> {
    let (stored, path) = located(view, status.signed, index)?;
    let case = stored.case.as_ref().ok_or(ApiFault::NoProof)?;
    let proof = Stored { node: &stored.node, case, body: &stored.body, index, path: &path, note: &status.note }.proof();
    Ok(ProofView {
        schema: "comity/proof/v1",
        index: index.0,
        record_id: hex(&stored.node.record_id),
        context: hex(&case.context),
        salt: hex(&case.salt),
        path: path.iter().map(ToString::to_string).collect(),
        checkpoint: String::from_utf8_lossy(&status.note).into_owned(),
        proof: proof.map(|proof| hex(&proof)).ok_or(ApiFault::NoProof)?,
        peer_proof: (!case.proof.is_empty()).then(|| hex(&case.proof)),
    })
}

/// The checkpoint by which others are shown the ledger: the newest that its witnesses have cosigned, where the charter
/// assigns some and they have; else the newest.
fn shown_by(view: &View, status: &Status) -> (u64, Arc<[u8]>) {
    let own = view.witnessing().own.clone().filter(|own| own.size <= status.signed);
    own.map_or((status.signed, Arc::clone(&status.note)), |own| (own.size, own.note))
}

/// The same as a C2SP tlog-proof, under the newest checkpoint that covers it and that witnesses have cosigned, if there is
/// one.
pub(in crate::api) fn tlog_proof(view: &View, status: &Status, index: LedgerIndex) -> Result<String, Problem> {
    let (signed, note) = match shown_by(view, status) {
        (size, note) if index.0 < size => (size, note),
        _ => (status.signed, Arc::clone(&status.note)),
    };
    let (stored, path) = located(view, signed, index)?;
    let case = stored.case.ok_or(ApiFault::NoProof)?;
    let salt = case.salt.try_into().map(Salt).map_err(|_| ApiFault::NoProof)?;
    let id = Digest::from_slice(&stored.node.record_id).map_err(|_| ApiFault::NoProof)?;
    let proof = RecordProof::of(id, case.context, salt, index, path, note.to_vec());
    Ok(proof.map_err(|fault| Problem::new(fault.code(), &fault.to_string()))?.to_text())
}

/// A record and its path to the root of a checkpoint that must cover it.
fn located(view: &View, signed: u64, index: LedgerIndex) -> Result<(StoredRecord, Vec<Digest>), Problem> {
    let stored = view.record(index)?;
    if index.0 >= signed {
        return Err(ApiFault::NotCovered.into());
    }
    if stored.case.is_none() {
        return Err(ApiFault::NoProof.into());
    }
    Ok((stored, view.ledger.prove(index, signed)?))
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const BYTES: &str = "application/octet-stream";

/// A file of the ledger as others read it, and its type.
pub(in crate::api) fn file(view: &View, status: &Status, path: &str) -> Result<(&'static str, Vec<u8>), Problem> {
    let trust: &Trust = &view.trust();
    let found = match (path, Resource::parse(path)) {
        ("documents", _) => {
            let (witnesses, _) = trust.charter().witnesses(&view.us.party);
            let parties = [vec![view.us.party.clone()], witnesses].concat();
            let bundle = proto::Bundle { envelopes: roster::proving(view, trust, &parties) };
            Some((BYTES, bundle.encode_to_vec()))
        }
        ("policy", _) => {
            let policy = trust.policy(&view.us.origin, time::now()).and_then(|policy| policy.to_text());
            policy.map(|text| (TEXT, text.into_bytes()))
        }
        (_, None) => None,
        (_, Some(Resource::Checkpoint)) => {
            let (_, note) = shown_by(view, status);
            (!note.is_empty()).then(|| (TEXT, note.to_vec()))
        }
        (_, Some(resource)) => view.ledger.resource(resource, status.signed)?.map(|bytes| (BYTES, bytes)),
    };
    found.ok_or_else(|| ApiFault::NoSuchFile.into())
}

/// The kind of a record as lists and the feed name it.
pub(super) const fn kind(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Unspecified => "unknown",
        RecordKind::EventSent => "event-sent",
        RecordKind::EventReceived => "event-received",
        RecordKind::Receipt => "receipt",
        RecordKind::RefusalGiven => "refusal-given",
        RecordKind::RefusalTaken => "refusal-taken",
        RecordKind::Custody => "custody",
        RecordKind::ErasureIntent => "erasure-intent",
        RecordKind::Erasure => "erasure",
        RecordKind::RosterChange => "roster-change",
        RecordKind::WitnessNote => "witness-note",
        RecordKind::ForkProof => "fork-proof",
        RecordKind::Succession => "succession",
        RecordKind::Access => "access",
        RecordKind::Act => "act",
        RecordKind::Approval => "approval",
    }
}
