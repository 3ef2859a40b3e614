//! What can go wrong with evidence on its way in, across and out, each with its stable code.
//!
//! What the vault itself finds keeps the vault's codes; what the law says keeps the engine's.

use comity_core::{engine::NotDone, index::IndexFault, manifest::ManifestFault};

use super::vault::VaultFault;
use crate::store::StoreFault;

/// Why something about evidence was not done.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The ledger or the desk.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexFault),
    /// A manifest that breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestFault),
    /// The engine would not sign.
    #[error("{code}: {detail}", code = .0.code, detail = .0.detail)]
    NotDone(Box<NotDone>),
    /// No such request.
    #[error("evidence.unknown-request: nothing was done; this node knows no such request; see: comity request list")]
    UnknownRequest,
    /// No such lot is open.
    #[error("evidence.unknown-lot: nothing was done; no such lot is open here; begin one, and put the files in anew")]
    UnknownLot,
    /// Too many lots are open.
    #[error("evidence.too-many-lots: no lot was begun; eight are open; put them under seal, or discard some")]
    TooManyLots,
    /// Somebody puts bytes into the lot at this moment.
    #[error("evidence.lot-busy: nothing was done; the lot takes one file at a time; wait for the one under way")]
    LotBusy,
    /// The lot has this path.
    #[error("evidence.path-taken: the file was not taken; its path is in the lot already; name it otherwise")]
    PathTaken,
    /// The path is none.
    #[error("evidence.bad-path: the file was not taken; its path {0}; name it otherwise")]
    BadPath(&'static str),
    /// The lot has as much as a manifest lists.
    #[error(
        "evidence.lot-full: the file was not taken; a lot holds 50000 entries; put it under seal and begin another"
    )]
    LotFull,
    /// The bytes did not arrive whole.
    #[error("evidence.broken-upload: the file was not taken; its bytes did not arrive whole; send it again")]
    BrokenUpload,
    /// No such manifest is held.
    #[error("evidence.unknown-manifest: nothing was done; no such manifest rests here; see: comity evidence list")]
    UnknownManifest,
    /// No such item is held.
    #[error("evidence.unknown-item: nothing was done; no such item rests here whole; see: comity evidence list")]
    UnknownItem,
    /// No such delivery stands.
    #[error("evidence.unknown-delivery: nothing was done; no such delivery stands here; see: comity evidence list")]
    UnknownDelivery,
    /// It is the other side's to do.
    #[error("evidence.wrong-side: nothing was done; this is for the other side of the delivery")]
    WrongSide,
    /// The terms are not accepted.
    #[error(
        "evidence.terms-not-accepted: nothing was handed over; the terms of this delivery are not accepted yet; \
         accept them: comity request act ID accept-terms"
    )]
    TermsNotAccepted,
    /// Not everything is here.
    #[error("evidence.incomplete: nothing was signed; not every item is here and verified; fetch the delivery first")]
    Incomplete,
    /// What is held came from the other side and custody is not taken.
    #[error("evidence.not-in-custody: nothing was opened; custody of this delivery is not taken yet; take it first")]
    NotInCustody,
    /// Something runs already.
    #[error("evidence.under-way: nothing was started; that runs already; wait for it, or pause it")]
    UnderWay,
    /// Its request cannot be erased meanwhile.
    #[error(
        "evidence.in-use: nothing was erased; evidence of the request is being put under seal or fetched; \
         finish that or pause it first"
    )]
    InUse,
    /// The giver's bytes are not under the root both sides signed.
    #[error(
        "evidence.wrong-group: the transfer was cut off; item {item} from the giver differs from its signed root \
         at byte {offset}; nothing of it was kept; ask the giver, or dispute the delivery"
    )]
    WrongGroup {
        /// Which item.
        item: String,
        /// The first byte that is not proved.
        offset: u64,
    },
    /// The giver says another size than what was signed.
    #[error(
        "evidence.wrong-size: the transfer was cut off; the giver sends item {item} in another size than was signed"
    )]
    WrongSize {
        /// Which item.
        item: String,
    },
    /// The giver refuses.
    #[error("evidence.denied: the giver does not hand over now; it says {0}; see: comity explain {0}")]
    Denied(String),
    /// An answer that is none.
    #[error("evidence.bad-grant: the transfer was cut off; the giver's answer does not read; it runs faulty software")]
    BadGrant,
    /// The page of keys does not open.
    #[error("evidence.bad-keys: the transfer was cut off; the keys the giver sent do not open; {0}")]
    BadKeys(String),
    /// The manifest is not the one signed, or says other than the event.
    #[error("evidence.other-manifest: the transfer was cut off; the manifest is not what the giver's event says; {0}")]
    OtherManifest(&'static str),
    /// Items whose plaintext is not what the manifest says.
    #[error(
        "evidence.mismatch: custody cannot be taken; {count} items are not what the manifest says, {first} the first; \
         dispute the delivery: comity request act ID dispute"
    )]
    Mismatch {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// The stream to the other side broke.
    #[error("evidence.broken-off: the transfer stands still; the link to the giver broke; it goes on by itself")]
    BrokenOff,
    /// The node is stopping, or a person paused it.
    #[error("evidence.stopped: it stands still; it was paused or the node stops; nothing is lost")]
    Stopped,
    /// A worker ended without a result.
    #[error("evidence.worker-lost: it was not done; a worker ended without a result; try again and report this")]
    WorkerLost,
}

impl EvidenceFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Vault(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Index(fault) => fault.code(),
            Self::Manifest(fault) => fault.code(),
            Self::NotDone(refused) => refused.code,
            Self::UnknownRequest => "evidence.unknown-request",
            Self::UnknownLot => "evidence.unknown-lot",
            Self::TooManyLots => "evidence.too-many-lots",
            Self::LotBusy => "evidence.lot-busy",
            Self::PathTaken => "evidence.path-taken",
            Self::BadPath(_) => "evidence.bad-path",
            Self::LotFull => "evidence.lot-full",
            Self::BrokenUpload => "evidence.broken-upload",
            Self::UnknownManifest => "evidence.unknown-manifest",
            Self::UnknownItem => "evidence.unknown-item",
            Self::UnknownDelivery => "evidence.unknown-delivery",
            Self::WrongSide => "evidence.wrong-side",
            Self::TermsNotAccepted => "evidence.terms-not-accepted",
            Self::Incomplete => "evidence.incomplete",
            Self::NotInCustody => "evidence.not-in-custody",
            Self::UnderWay => "evidence.under-way",
            Self::InUse => "evidence.in-use",
            Self::WrongGroup { .. } => "evidence.wrong-group",
            Self::WrongSize { .. } => "evidence.wrong-size",
            Self::Denied(_) => "evidence.denied",
            Self::BadGrant => "evidence.bad-grant",
            Self::BadKeys(_) => "evidence.bad-keys",
            Self::OtherManifest(_) => "evidence.other-manifest",
            Self::Mismatch { .. } => "evidence.mismatch",
            Self::BrokenOff => "evidence.broken-off",
            Self::Stopped => "evidence.stopped",
            Self::WorkerLost => "evidence.worker-lost",
        }
    }

    /// True for what an honest giver never does.
    #[must_use]
    pub(super) const fn is_misconduct(&self) -> bool {
        matches!(
            self,
            Self::WrongGroup { .. }
                | Self::WrongSize { .. }
                | Self::BadGrant
                | Self::BadKeys(_)
                | Self::OtherManifest(_)
        )
    }

    /// True for what passes by itself: a link that broke, a giver that is busy or has not yet what we
    /// sent it, an engine that has no room.
    #[must_use]
    pub(super) fn passes(&self) -> bool {
        let passing = |code: &str| {
            let (room, _) = code.split_once('.').unwrap_or_default();
            matches!(room, "engine" | "store" | "request") || code == "evidence.terms-not-accepted"
        };
        match self {
            Self::BrokenOff => true,
            Self::Denied(code) => passing(code),
            Self::NotDone(refused) => passing(refused.code),
            _ => false,
        }
    }
}

impl From<NotDone> for EvidenceFault {
    fn from(refused: NotDone) -> Self {
        Self::NotDone(Box::new(refused))
    }
}
