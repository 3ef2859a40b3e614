//! Evidence as clients see it: manifests, hand-overs, how far bytes are on their way.

use comity_core::{
    ids::{EventId, ItemId, PartyCode, RequestId},
    index::IndexFault,
    manifest::{Item, ItemPath, Unsealed},
    procedure::{DeliveryState, ManifestRef},
    proto::UnsealedKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    api::fields,
    evidence::{Finding, Held, Look, LotLook, SEAL_FORM, SealedLot, Stage, Verification},
    handle::{HandOver, View},
    time::rfc3339,
};

/// A lot that is open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lot)]
pub(in crate::api) struct LotView {
    schema: &'static str,
    /// Its id.
    lot_id: String,
    /// The request it is for.
    request_id: String,
    /// Which of our authorities puts it under seal.
    authority: String,
    /// When it was begun.
    begun: String,
    /// Files in it.
    items: u64,
    /// Bytes in it.
    bytes: u64,
}

impl LotView {
    pub(in crate::api) fn new(look: &LotLook) -> Self {
        Self {
            schema: "comity/lot/v1",
            lot_id: look.id.to_string(),
            request_id: look.request.to_string(),
            authority: look.authority.to_string(),
            begun: rfc3339(look.begun),
            items: look.items,
            bytes: look.bytes,
        }
    }
}

/// The open lots.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lots)]
pub(in crate::api) struct LotsView {
    schema: &'static str,
    /// Each of them.
    lots: Vec<LotView>,
}

impl LotsView {
    pub(in crate::api) fn new(looks: &[LotLook]) -> Self {
        Self { schema: "comity/lots/v1", lots: looks.iter().map(LotView::new).collect() }
    }
}

/// One piece of evidence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Item)]
pub(in crate::api) struct ItemView {
    /// Its id.
    item_id: String,
    /// Where it lay; `\xNN` stands for a byte that would not show as it is.
    path: String,
    /// Its names in hexadecimal, outermost first: the exact bytes.
    names: Vec<String>,
    /// Bytes.
    size: u64,
    /// SHA-256 of its bytes.
    sha256: String,
    /// BLAKE3 of the sealed object.
    root: String,
    /// When it was last modified, as the file system said, in milliseconds since 1970.
    modified_ms: i64,
    /// What its first bytes show; null if they show nothing.
    media_type: Option<String>,
    /// True if it changed while it was read.
    changed: bool,
    /// Items it was made from.
    derived_from: Vec<String>,
}

impl ItemView {
    pub(in crate::api) fn new(item: &Item) -> Self {
        Self {
            item_id: item.id.to_string(),
            path: item.path.to_string(),
            names: names(&item.path),
            size: item.size,
            sha256: item.sha256.to_string(),
            root: item.root.to_string(),
            modified_ms: item.modified_ms,
            media_type: Some(item.media_type.clone()).filter(|kind| !kind.is_empty()),
            changed: item.changed,
            derived_from: item.derived_from.iter().map(ItemId::to_string).collect(),
        }
    }
}

fn names(path: &ItemPath) -> Vec<String> {
    path.names().iter().map(|name| comity_core::ids::hex(name)).collect()
}

/// What can be found beside files.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UnsealedKind)]
pub(in crate::api) enum UnsealedName {
    /// A symbolic link: recorded, never followed.
    SymbolicLink,
    /// The system did not let it be read.
    Unreadable,
    /// A pipe, socket or device.
    Special,
    /// A folder with nothing in it.
    EmptyFolder,
}

impl UnsealedName {
    pub(in crate::api) const fn to_wire(self) -> UnsealedKind {
        match self {
            Self::SymbolicLink => UnsealedKind::SymbolicLink,
            Self::Unreadable => UnsealedKind::Unreadable,
            Self::Special => UnsealedKind::Special,
            Self::EmptyFolder => UnsealedKind::EmptyFolder,
        }
    }

    const fn of(kind: UnsealedKind) -> Option<Self> {
        match kind {
            UnsealedKind::Unspecified => None,
            UnsealedKind::SymbolicLink => Some(Self::SymbolicLink),
            UnsealedKind::Unreadable => Some(Self::Unreadable),
            UnsealedKind::Special => Some(Self::Special),
            UnsealedKind::EmptyFolder => Some(Self::EmptyFolder),
        }
    }
}

/// Something found that carries no bytes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unsealed)]
pub(in crate::api) struct UnsealedView {
    /// Where it lay.
    path: String,
    /// Its names in hexadecimal, outermost first.
    names: Vec<String>,
    /// What it is.
    kind: Option<UnsealedName>,
    /// Of a symbolic link: where it points.
    target: Option<String>,
}

impl UnsealedView {
    fn new(entry: &Unsealed) -> Self {
        let target = || comity_core::manifest::show_name(&entry.target);
        Self {
            path: entry.path.to_string(),
            names: names(&entry.path),
            kind: UnsealedName::of(entry.kind),
            target: (entry.kind == UnsealedKind::SymbolicLink).then(target),
        }
    }
}

/// How a manifest is named.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManifestRef)]
pub(in crate::api) struct NamedView {
    /// The object it rests in.
    manifest: String,
    /// SHA-256 of its bytes.
    digest: String,
    /// BLAKE3 of that object.
    root: String,
    /// Items it lists.
    items: u64,
    /// Bytes of all of them.
    bytes: u64,
}

impl NamedView {
    fn new(named: &ManifestRef) -> Self {
        Self {
            manifest: named.item.to_string(),
            digest: named.digest.to_string(),
            root: named.root.to_string(),
            items: named.items,
            bytes: named.bytes,
        }
    }
}

/// A lot under seal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sealed)]
pub(in crate::api) struct SealedView {
    schema: &'static str,
    #[serde(flatten)]
    named: NamedView,
    /// The custody statement that seals it: its record id.
    record_id: String,
    /// Where that stands in our ledger.
    index: u64,
}

impl SealedView {
    pub(in crate::api) fn new(sealed: &SealedLot) -> Self {
        Self {
            schema: "comity/sealed/v1",
            named: NamedView::new(&sealed.manifest),
            record_id: sealed.record.to_string(),
            index: sealed.index,
        }
    }
}

/// A manifest held here, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManifestRow)]
pub(in crate::api) struct ManifestRowView {
    /// The object it rests in.
    manifest: String,
    /// SHA-256 of its bytes.
    digest: String,
    /// The Party that sealed it.
    giver: String,
    /// When.
    sealed: String,
    /// Items it lists.
    items: u64,
    /// Bytes of all of them.
    bytes: u64,
    /// Entries without bytes.
    unsealed: u64,
}

impl ManifestRowView {
    fn new(held: &Held) -> Self {
        let manifest = &held.manifest;
        Self {
            manifest: held.item.to_string(),
            digest: held.digest.to_string(),
            giver: manifest.giver.to_string(),
            sealed: rfc3339(manifest.sealed),
            items: manifest.items.len() as u64,
            bytes: manifest.bytes(),
            unsealed: manifest.unsealed.len() as u64,
        }
    }
}

/// A manifest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Manifest)]
pub(in crate::api) struct ManifestView {
    schema: &'static str,
    #[serde(flatten)]
    row: ManifestRowView,
    /// The request it answers.
    request_id: String,
    /// Which authority sealed it.
    authority: String,
    /// Source, seizure and acquisition, by field.
    #[schema(value_type = Object)]
    record: Map<String, Value>,
    /// The items, by path.
    list: Vec<ItemView>,
    /// What was found beside them, by path.
    beside: Vec<UnsealedView>,
    /// Our custody statements about it: record ids, oldest first.
    statements: Vec<String>,
}

impl ManifestView {
    pub(in crate::api) fn new(view: &View, held: &Held) -> Result<Self, IndexFault> {
        let manifest = &held.manifest;
        let thread = view.index.threads_of(&manifest.request)?.first().copied();
        let row = thread.map(|thread| view.index.thread(&thread)).transpose()?.flatten();
        let procedure = row.and_then(|row| row.procedure.parse().ok());
        let step = SEAL_FORM.parse().ok();
        let form = procedure.zip(step).and_then(|(procedure, step)| view.rules.form(&procedure, &step));
        let statements = view.index.custody(&held.digest)?;
        Ok(Self {
            schema: "comity/manifest/v1",
            row: ManifestRowView::new(held),
            request_id: manifest.request.to_string(),
            authority: manifest.authority.to_string(),
            record: fields::show(form, &manifest.record),
            list: manifest.items.iter().map(ItemView::new).collect(),
            beside: manifest.unsealed.iter().map(UnsealedView::new).collect(),
            statements: statements.iter().map(ToString::to_string).collect(),
        })
    }
}

/// How far long work is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(in crate::api) struct ProgressView {
    /// `manifest`, `awaiting_terms`, `waiting`, `working`, `paused`, `done` or `failed`.
    stage: &'static str,
    /// Why it waits or failed: a stable code.
    code: Option<&'static str>,
    /// The same in words.
    detail: Option<String>,
    /// Items done.
    items: u64,
    /// Of so many.
    items_all: u64,
    /// Bytes of sealed objects done.
    bytes: u64,
    /// Of so many.
    bytes_all: u64,
    /// Bytes that came over the network since the node started, verified.
    fetched: u64,
    /// Bytes a second lately.
    rate: u64,
    /// Seconds left at this rate; null if nothing moves.
    seconds_left: Option<u64>,
}

impl ProgressView {
    fn new(look: &Look) -> Self {
        Self {
            stage: look.stage.name(),
            code: Some(look.code).filter(|code| !code.is_empty()),
            detail: Some(look.detail.clone()).filter(|detail| !detail.is_empty()),
            items: look.items,
            items_all: look.items_all,
            bytes: look.bytes,
            bytes_all: look.bytes_all,
            fetched: look.fetched,
            rate: look.rate,
            seconds_left: look.seconds_left(),
        }
    }
}

/// A hand-over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::api) struct DeliveryView {
    schema: &'static str,
    /// The event that handed over.
    event_id: String,
    /// The request.
    request_id: String,
    /// The Party that hands over.
    giver: String,
    /// The Party that takes.
    taker: String,
    /// True if we are the taker.
    to_us: bool,
    /// Its manifest.
    #[serde(flatten)]
    named: NamedView,
    /// Codes of the terms it is handed over on.
    terms: Vec<String>,
    /// `offered`, `terms_accepted`, `disputed`, `in_custody` or `replaced`.
    state: &'static str,
    /// The event that accepted, disputed, took or replaced it.
    by_event: Option<String>,
    /// How far its bytes are on their way here; null at the giver.
    progress: Option<ProgressView>,
}

impl DeliveryView {
    pub(in crate::api) fn new(hand_over: &HandOver, us: &PartyCode, look: &Look) -> Self {
        let delivery = &hand_over.delivery;
        let (state, by) = state(&delivery.state);
        let to_us = hand_over.taker == *us;
        Self {
            schema: "comity/delivery/v1",
            event_id: delivery.event.to_string(),
            request_id: hand_over.request.to_string(),
            giver: hand_over.giver.to_string(),
            taker: hand_over.taker.to_string(),
            to_us,
            named: NamedView::new(&delivery.manifest),
            terms: delivery.terms.iter().map(ToString::to_string).collect(),
            state,
            by_event: by.map(|id| id.to_string()),
            progress: to_us.then(|| ProgressView::new(look)),
        }
    }
}

fn state(state: &DeliveryState) -> (&'static str, Option<EventId>) {
    match state {
        DeliveryState::Offered => ("offered", None),
        DeliveryState::TermsAccepted { acceptance } => ("terms_accepted", Some(*acceptance)),
        DeliveryState::Disputed { .. } => ("disputed", None),
        DeliveryState::InCustody { event, .. } => ("in_custody", Some(*event)),
        DeliveryState::Replaced { by } => ("replaced", Some(*by)),
    }
}

/// The evidence of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub(in crate::api) struct EvidenceView {
    schema: &'static str,
    /// The request.
    request_id: String,
    /// Manifests held here.
    manifests: Vec<ManifestRowView>,
    /// Hand-overs, in the order of the thread.
    deliveries: Vec<DeliveryView>,
}

impl EvidenceView {
    pub(in crate::api) fn new(
        request: &RequestId,
        us: &PartyCode,
        held: &[Held],
        hand_overs: &[(HandOver, Look)],
    ) -> Self {
        Self {
            schema: "comity/evidence/v1",
            request_id: request.to_string(),
            manifests: held.iter().map(ManifestRowView::new).collect(),
            deliveries: hand_overs.iter().map(|(one, look)| DeliveryView::new(one, us, look)).collect(),
        }
    }
}

/// An item that is not what its manifest says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingView {
    /// Where it lay.
    path: String,
    /// What was found.
    code: &'static str,
    /// The same in words.
    detail: String,
}

impl FindingView {
    fn new(finding: Finding) -> Self {
        Self { path: finding.path, code: finding.code, detail: finding.detail }
    }
}

/// Everything a manifest lists, read again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub(in crate::api) struct VerificationView {
    schema: &'static str,
    /// How far it is.
    progress: ProgressView,
    /// True once it is done and nothing was found.
    whole: bool,
    /// Items that are not what the manifest says; the first thousand.
    findings: Vec<FindingView>,
}

impl VerificationView {
    pub(in crate::api) fn new(verification: &Verification) -> Self {
        let look = verification.look();
        Self {
            schema: "comity/verification/v1",
            whole: look.stage == Stage::Done,
            progress: ProgressView::new(&look),
            findings: verification.findings().into_iter().map(FindingView::new).collect(),
        }
    }
}
