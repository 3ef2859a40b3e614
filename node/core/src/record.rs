//! A record on its way into the ledger: its leaf, and the parts the store will encrypt apart.
//!
//! One constructor per kind, so that a leaf always says what the parts say. The node part is what
//! must be known for ever; the case part goes when the request is erased. Serves SPEC `[F-*]`.

use prost::Message as _;

use crate::{
    crypto::{pae, sha256},
    event::{BodySecret, Delivery, ERASED_TYPE, Event, RECEIPT_TYPE, REFUSAL_TYPE, Slip, slip_bytes},
    ids::{Digest, EventId, LedgerIndex, Origin, PartyCode, RequestId, ThreadId, Time},
    ledger::{Context, LeafEntry, Salt, leaf_entry, signatures_digest, slip_digest, slip_nonce},
    manifest::{CUSTODY_TYPE, Statement},
    officer::Signed,
    profile::{Document, Kind, Profile, Trust},
    proto::{self, CasePart, Fact, NodePart, RecordKind, Signature, SlipRow},
    wire::{DOCUMENT_MAX, PROOF_MAX, WireFault, strict},
};

/// A record ready to be appended.
#[derive(Clone)]
pub struct Record {
    /// One of the closed list.
    pub kind: RecordKind,
    /// The request under whose data keys the case part and the body secret go; none: the node's own.
    pub request: Option<RequestId>,
    /// The leaf entry, in clear.
    pub leaf: LeafEntry,
    /// What duplicate detection and replay need for ever.
    pub node: NodePart,
    /// What proves the record and goes with the request.
    pub case: CasePart,
    /// The sealed body as sent or received; empty if the record has none.
    pub body: Vec<u8>,
    /// What opens the body.
    pub secret: Option<BodySecret>,
}

/// Where and when a record is made.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// What is known of Parties and keys.
    pub trust: &'a Trust,
    /// The time of record.
    pub recorded: Time,
    /// Fresh entropy for the leaf's salt.
    pub salt: [u8; 32],
}

impl Moment<'_> {
    fn context(&self, kind: RecordKind, signer: &PartyCode, signatures: Digest, slips: Vec<Digest>) -> Context {
        let profile = self.trust.profile(signer, self.recorded).map_or(Digest::new([0; 32]), |profile| profile.id());
        Context { kind, recorded: self.recorded, charter: self.trust.charter().id(), profile, signatures, slips }
    }
}

/// The parts every kind of record gives.
struct Parts {
    record_id: Digest,
    request: Option<RequestId>,
    thread: Option<ThreadId>,
    context: Context,
    node: NodePart,
    case: CasePart,
}

fn assemble(moment: &Moment<'_>, parts: Parts) -> Record {
    let context = parts.context.to_bytes();
    let salt = Salt(moment.salt);
    let bytes = |id: Option<&[u8]>| id.map(<[u8]>::to_vec).unwrap_or_default();
    Record {
        kind: parts.context.kind,
        request: parts.request,
        leaf: leaf_entry(&salt, &parts.record_id, &context),
        node: NodePart {
            record_id: parts.record_id.as_bytes().to_vec(),
            recorded_ms: moment.recorded.0,
            thread_id: bytes(parts.thread.as_ref().map(|id| &id.as_bytes()[..])),
            request_id: bytes(parts.request.as_ref().map(|id| &id.as_bytes()[..])),
            ..parts.node
        },
        case: CasePart { salt: moment.salt.to_vec(), context, ..parts.case },
        body: Vec::new(),
        secret: None,
    }
}

/// The slips of an own event, one per recipient, in their order.
#[derive(Debug, Clone)]
pub struct Slips {
    /// From which the nonces follow.
    pub secret: [u8; 32],
    /// To whom, in which lane, under which number.
    pub rows: Vec<(PartyCode, Slip)>,
}

impl Slips {
    /// The slip's bytes for one recipient of an event in `origin`.
    #[must_use]
    pub fn bytes(&self, origin: &Origin, to: &PartyCode) -> Option<Vec<u8>> {
        let (_, slip) = self.rows.iter().find(|(party, _)| party == to)?;
        Some(slip_bytes(origin, to, slip, slip_nonce(&self.secret, to)))
    }

    /// Reads them back from the node part of a stored record.
    #[must_use]
    pub fn from_node_part(node: &NodePart) -> Option<Self> {
        let row = |row: &SlipRow| Some((PartyCode::parse(&row.to).ok()?, slip_of(row)));
        Some(Self {
            secret: node.slip_secret[..].try_into().ok()?,
            rows: node.slips.iter().map(row).collect::<Option<_>>()?,
        })
    }

    fn wire(&self) -> Vec<SlipRow> {
        self.rows.iter().map(|(to, slip)| SlipRow { to: to.to_string(), ..slip_row(slip) }).collect()
    }
}

fn event_case(event: &Event, facts: Vec<Fact>) -> CasePart {
    CasePart {
        payload_type: crate::event::EVENT_TYPE.into(),
        header: event.bytes.clone(),
        signatures: event.signatures.clone(),
        facts,
        ..CasePart::default()
    }
}

fn event_record(moment: &Moment<'_>, context: Context, node: NodePart, event: Event, facts: Vec<Fact>) -> Record {
    let parts = Parts {
        record_id: Digest::new(*event.id.as_bytes()),
        request: Some(event.header.request),
        thread: Some(event.header.thread),
        context,
        node,
        case: event_case(&event, facts),
    };
    Record { body: event.body, ..assemble(moment, parts) }
}

/// An event of our own, before it is sent.
#[must_use]
pub fn event_sent(
    moment: &Moment<'_>,
    event: Event,
    facts: Vec<Fact>,
    slips: &Slips,
    command_id: [u8; 16],
    secret: BodySecret,
) -> Record {
    let header = &event.header;
    let digests = slips
        .rows
        .iter()
        .map(|(to, slip)| slip_digest(&slip_bytes(&header.origin, to, slip, slip_nonce(&slips.secret, to))))
        .collect();
    let signatures = signatures_digest(&event.signatures);
    let context = moment.context(RecordKind::EventSent, &header.author, signatures, digests);
    let node = NodePart {
        slips: slips.wire(),
        slip_secret: slips.secret.to_vec(),
        command_id: command_id.to_vec(),
        ..NodePart::default()
    };
    Record { secret: Some(secret), ..event_record(moment, context, node, event, facts) }
}

/// A peer's event, before it is receipted.
#[must_use]
pub fn event_received(moment: &Moment<'_>, delivery: Delivery, facts: Vec<Fact>, secret: BodySecret) -> Record {
    let Delivery { event, slip, proven, .. } = delivery;
    let author = event.header.author.clone();
    let signatures = signatures_digest(&event.signatures);
    let context = moment.context(RecordKind::EventReceived, &author, signatures, Vec::new());
    let node = NodePart {
        peer: author.to_string(),
        slips: vec![slip_row(&slip)],
        peer_index: proven.index().0,
        ..NodePart::default()
    };
    Record { secret: Some(secret), ..event_record(moment, context, node, event, facts) }
}

/// An event of our own that this ledger had lost and a recipient gave back. It was delivered there, so it is owed to nobody;
/// with which slip is lost.
#[must_use]
pub fn event_returned(moment: &Moment<'_>, event: Event, facts: Vec<Fact>, secret: BodySecret) -> Record {
    let signatures = signatures_digest(&event.signatures);
    let context = moment.context(RecordKind::EventSent, &event.header.author, signatures, Vec::new());
    Record { secret: Some(secret), ..event_record(moment, context, NodePart::default(), event, facts) }
}

/// Which event of which request an answer is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The event answered.
    pub event: EventId,
    /// Its thread and request, when that request has keys here.
    pub thread: Option<(ThreadId, RequestId)>,
    /// The other Party: who receipted, refused, or is refused.
    pub peer: &'a PartyCode,
    /// The slip it was delivered with: its debt ends, or its number is consumed.
    pub slip: &'a Slip,
    /// Where the peer's ledger holds the event or the refusal; zero for our own refusals.
    pub peer_index: LedgerIndex,
}

fn answer_record(
    moment: &Moment<'_>,
    about: &About<'_>,
    record_id: Digest,
    context: Context,
    code: &str,
    case: CasePart,
) -> Record {
    let node = NodePart {
        peer: about.peer.to_string(),
        answers: about.event.as_bytes().to_vec(),
        slips: vec![slip_row(about.slip)],
        peer_index: about.peer_index.0,
        code: code.to_owned(),
        ..NodePart::default()
    };
    let (thread, request) = about.thread.unzip();
    assemble(moment, Parts { record_id, request, thread, context, node, case })
}

/// The peer's receipt for an event of ours. An empty proof says that the peer receipted it once and has
/// erased it since: the debt ends, the proof is lost, and the record is named by the event and the peer
/// instead, so that no two such records are one.
#[must_use]
pub fn receipt(moment: &Moment<'_>, about: &About<'_>, proof: Vec<u8>) -> Record {
    let context = moment.context(RecordKind::Receipt, about.peer, signatures_digest(&[]), Vec::new());
    let (payload_type, header) = match proof.is_empty() {
        false => (RECEIPT_TYPE, Vec::new()),
        true => (ERASED_TYPE, [&about.event.as_bytes()[..], about.peer.as_str().as_bytes()].concat()),
    };
    let record_id = sha256(&[&pae(payload_type, if proof.is_empty() { &header } else { &proof })]);
    let case = CasePart { payload_type: payload_type.into(), header, proof, ..CasePart::default() };
    answer_record(moment, about, record_id, context, "", case)
}

/// A refusal with its signatures: the peer's of our event (with its proof), or ours of the peer's.
#[derive(Debug, Clone)]
pub struct SignedRefusal {
    /// `RefusalGiven` or `RefusalTaken`.
    pub kind: RecordKind,
    /// The stable code.
    pub code: String,
    /// The refusal's exact bytes.
    pub bytes: Vec<u8>,
    /// Both signatures.
    pub signatures: Vec<Signature>,
    /// The peer's proof that it stands in its ledger; empty for our own.
    pub proof: Vec<u8>,
}

/// A refusal given or taken.
#[must_use]
pub fn refusal(moment: &Moment<'_>, about: &About<'_>, signer: &PartyCode, refusal: SignedRefusal) -> Record {
    let record_id = sha256(&[&pae(REFUSAL_TYPE, &refusal.bytes)]);
    let context = moment.context(refusal.kind, signer, signatures_digest(&refusal.signatures), Vec::new());
    let case = CasePart {
        payload_type: REFUSAL_TYPE.into(),
        header: refusal.bytes,
        signatures: refusal.signatures,
        proof: refusal.proof,
        ..CasePart::default()
    };
    answer_record(moment, about, record_id, context, &refusal.code, case)
}

/// A custody statement of our own.
#[must_use]
pub fn custody(
    moment: &Moment<'_>,
    statement: &Statement,
    thread: ThreadId,
    bytes: Vec<u8>,
    signatures: Vec<Signature>,
    command_id: [u8; 16],
) -> Record {
    let record_id = sha256(&[&pae(CUSTODY_TYPE, &bytes)]);
    let digest = signatures_digest(&signatures);
    let context = moment.context(RecordKind::Custody, &statement.party, digest, Vec::new());
    let node = NodePart {
        command_id: command_id.to_vec(),
        manifest: statement.manifest.as_bytes().to_vec(),
        ..NodePart::default()
    };
    let case = CasePart { payload_type: CUSTODY_TYPE.into(), header: bytes, signatures, ..CasePart::default() };
    let (request, thread) = (Some(statement.request), Some(thread));
    assemble(moment, Parts { record_id, request, thread, context, node, case })
}

/// Payload type under which an erasure and its intent get their record ids.
const ERASURE_TYPE: &str = "application/vnd.comity.erasure.v1";

/// That a request is to be erased, or with its intent that it has been: under the node's own key, since it outlasts the
/// request's. Nobody signs it but the checkpoint it stands under.
#[must_use]
pub fn erasure(
    moment: &Moment<'_>,
    (us, origin): (&PartyCode, &Origin),
    request: RequestId,
    ground: &str,
    intent: Option<&Digest>,
) -> Record {
    let intent = intent.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let kind = if intent.is_empty() { RecordKind::ErasureIntent } else { RecordKind::Erasure };
    let header = proto::Erasure {
        network: moment.trust.charter().network.to_string(),
        party: us.to_string(),
        origin: origin.to_string(),
        request_id: request.as_bytes().to_vec(),
        ground: ground.to_owned(),
        time_ms: moment.recorded.0,
        intent: intent.clone(),
    }
    .encode_to_vec();
    let record_id = sha256(&[&pae(ERASURE_TYPE, &header)]);
    let context = moment.context(kind, us, signatures_digest(&[]), Vec::new());
    let node = NodePart { answers: intent, code: ground.to_owned(), ..NodePart::default() };
    let case = CasePart { payload_type: ERASURE_TYPE.into(), header, ..CasePart::default() };
    let mut record = assemble(moment, Parts { record_id, request: None, thread: None, context, node, case });
    record.node.request_id = request.as_bytes().to_vec();
    record
}

/// Payload type under which an audit record gets its id.
const AUDIT_TYPE: &str = "application/vnd.comity.audit.v1";
/// The same of an approval in it.
const AUDIT_APPROVAL_TYPE: &str = "application/vnd.comity.audit-approval.v1";

/// What somebody asked of this node, in the words of its own table of routes and by ids: no text, no contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The user id of the process that asked.
    pub user: u32,
    /// What names the call in its answer and in the log.
    pub call: String,
    /// For example `GET`.
    pub method: String,
    /// The template of the route, for example `/v1/requests/{request_id}`.
    pub route: String,
    /// What stood in the path, by name; nothing where it was no id.
    pub ids: Vec<(String, String)>,
    /// The request it concerns, as far as that is known.
    pub request: Option<RequestId>,
    /// What is answered; none of an act, which is recorded before it is done.
    pub outcome: Option<Outcome>,
}

/// How an access ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// Why nothing is given out; empty if something is.
    pub code: String,
}

impl Asked {
    fn entry(self, moment: &Moment<'_>, (us, origin): (&PartyCode, &Origin)) -> proto::AuditEntry {
        let (status, code) = self.outcome.map(|outcome| (outcome.status, outcome.code)).unwrap_or_default();
        proto::AuditEntry {
            network: moment.trust.charter().network.to_string(),
            party: us.to_string(),
            origin: origin.to_string(),
            time_ms: moment.recorded.0,
            user: self.user,
            call: self.call,
            method: self.method,
            route: self.route,
            ids: self.ids.into_iter().map(|(name, id)| proto::PathId { name, id }).collect(),
            request_id: self.request.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            status: status.into(),
            code,
        }
    }
}

/// An access to contents, or an act, of somebody at this node: a record of the audit tree (SPEC `[A-1]`). It stands
/// under the node's own key and outlasts the request it concerns.
#[must_use]
pub fn audit(moment: &Moment<'_>, us: (&PartyCode, &Origin), asked: Asked) -> Record {
    let kind = if asked.outcome.is_some() { RecordKind::Access } else { RecordKind::Act };
    let entry = asked.entry(moment, us);
    audited(moment, us.0, kind, AUDIT_TYPE, entry.request_id.clone(), entry.encode_to_vec())
}

/// That an officer approved something, and once that is on disk which event it became: a record of the audit tree (SPEC
/// `[O-6]`).
#[must_use]
pub fn approval(
    moment: &Moment<'_>,
    us: (&PartyCode, &Origin),
    asked: Asked,
    signed: &Signed,
    event: Option<&EventId>,
) -> Record {
    let asked = Asked { request: Some(signed.approval().request), outcome: None, ..asked }.entry(moment, us);
    let request_id = asked.request_id.clone();
    let entry = proto::ApprovalEntry {
        asked: Some(asked),
        approval: Some(signed.to_wire()),
        event_id: event.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
    };
    audited(moment, us.0, RecordKind::Approval, AUDIT_APPROVAL_TYPE, request_id, entry.encode_to_vec())
}

fn audited(
    moment: &Moment<'_>,
    us: &PartyCode,
    kind: RecordKind,
    payload_type: &str,
    request_id: Vec<u8>,
    header: Vec<u8>,
) -> Record {
    let record_id = sha256(&[&pae(payload_type, &header)]);
    let context = moment.context(kind, us, signatures_digest(&[]), Vec::new());
    let case = CasePart { payload_type: payload_type.into(), header, ..CasePart::default() };
    let node = NodePart::default();
    let mut record = assemble(moment, Parts { record_id, request: None, thread: None, context, node, case });
    record.node.request_id = request_id;
    record
}

/// What an audit record says; none if it does not read, or is another kind of record.
#[must_use]
pub fn audit_entry(case: &CasePart) -> Option<proto::AuditEntry> {
    match case.payload_type.as_str() {
        AUDIT_TYPE => strict(&case.header, PROOF_MAX).ok(),
        AUDIT_APPROVAL_TYPE => audit_approval(case)?.asked,
        _ => None,
    }
}

/// The approval an audit record holds; none if it holds none.
#[must_use]
pub fn audit_approval(case: &CasePart) -> Option<proto::ApprovalEntry> {
    strict(&case.header, PROOF_MAX).ok().filter(|_| case.payload_type == AUDIT_APPROVAL_TYPE)
}

/// A document of charter or Parties that holds (`RosterChange`), that names the ledger it stands in as the successor of the
/// one before (`Succession`), or that proves a fork with the one held here under its number (`ForkProof`). It belongs to no request and lasts as long as the ledger: a public leaf.
///
/// # Errors
/// When it is no envelope, which nothing is that was judged.
pub fn document(
    moment: &Moment<'_>,
    kind: RecordKind,
    document: &Document,
    envelope: &[u8],
) -> Result<Record, WireFault> {
    let envelope: proto::Envelope = strict(envelope, DOCUMENT_MAX)?;
    let profile = document.party.as_ref().and_then(|party| moment.trust.declared(party)).map(Profile::id);
    let begins = match document.kind {
        Kind::Profile => strict::<proto::Profile>(&envelope.header, DOCUMENT_MAX)?.ledgers,
        Kind::Charter | Kind::Directory | Kind::Suspension | Kind::Head => Vec::new(),
    };
    let context = Context {
        kind,
        recorded: moment.recorded,
        charter: moment.trust.charter().id(),
        profile: profile.unwrap_or(Digest::new([0; 32])),
        signatures: signatures_digest(&envelope.signatures),
        slips: Vec::new(),
    };
    let node = NodePart {
        peer: document.party.as_ref().map(PartyCode::to_string).unwrap_or_default(),
        code: document.kind.name().to_owned(),
        version: document.version,
        begins: begins.iter().skip(1).map(|ledger| ledger.size).collect(),
        ..NodePart::default()
    };
    let case = CasePart {
        payload_type: envelope.payload_type,
        header: envelope.header,
        signatures: envelope.signatures,
        ..CasePart::default()
    };
    Ok(assemble(moment, Parts { record_id: document.id, request: None, thread: None, context, node, case }))
}

/// The envelope of a document as it was taken in; none if the record holds none.
#[must_use]
pub fn document_envelope(case: &CasePart) -> Option<Vec<u8>> {
    let envelope = proto::Envelope {
        payload_type: case.payload_type.clone(),
        header: case.header.clone(),
        signatures: case.signatures.clone(),
        body: Vec::new(),
    };
    (!case.header.is_empty()).then(|| envelope.encode_to_vec())
}

fn slip_row(slip: &Slip) -> SlipRow {
    SlipRow { to: String::new(), lane: slip.lane as i32, number: slip.number, ledger: slip.ledger }
}

/// A slip as it was stored.
pub(crate) fn slip_of(row: &SlipRow) -> Slip {
    Slip { ledger: row.ledger, lane: row.lane(), number: row.number }
}

/// The bytes of a refusal, to be signed.
#[must_use]
pub fn refusal_bytes(trust: &Trust, us: &PartyCode, origin: &Origin, event: &Event, code: &str, at: Time) -> Vec<u8> {
    proto::Refusal {
        network: trust.charter().network.to_string(),
        event_id: event.id.as_bytes().to_vec(),
        author: event.header.author.to_string(),
        refuser: us.to_string(),
        origin: origin.to_string(),
        code: code.to_owned(),
        time_ms: at.0,
    }
    .encode_to_vec()
}
