//! What workers do: blocking and costly work on its own thread, without any state of the loop.
//!
//! Each function takes what it needs and gives back a [`Back`]. A worker that fails says so in its
//! result; none of them decides what follows.

use std::sync::Arc;

use comity_core::{
    carry::{self, Delivered, Stored},
    crypto::PublicKey,
    engine::{Input, JobId, Reply, Ticket},
    event::{BodySecret, EventFault, seal_body},
    ids::{Digest, EventId, LedgerIndex, PartyCode, Time},
    ledger::{Checkpoint, signatures_digest},
    outbox::Due,
    proto::Lane,
    record::Record,
};
use tracing::warn;

use super::{Back, Batched, WorkFault};
use crate::{
    handle::View,
    keys::Keyring,
    store::{Pending, RESERVE_BYTES, StoreFault, StoredRecord, disk_room},
    time,
};

/// A copy that is not authentic may be tried again after this long.
const TURNED_AWAY_MS: u32 = 30_000;

pub(super) fn seal(
    job: JobId,
    plaintext: &[u8],
    binding: &Digest,
    recipients: &[PublicKey],
    entropy: &[u8; 32],
) -> Back {
    Back::Sealed(job, seal_body(plaintext, binding, recipients, entropy).ok())
}

pub(super) fn sign(job: JobId, message: &[u8], view: &View, keys: &Keyring, now: Time) -> Back {
    let trust = view.trust();
    let profile = trust.profile(&view.us.party, now);
    let signed = profile.map(|profile| keys.sign_event(message, profile, now));
    if let Some(Err(fault)) = &signed {
        warn!(target: "keys", code = fault.code(), "{fault}");
    }
    Back::Signed(job, signed.and_then(Result::ok))
}

/// Signs the ledger at this size and keeps the note before anyone sees it: what a crash here leaves
/// is a note nobody has, and the same size and root are signed again at the next start.
pub(super) fn checkpoint(size: u64, view: &View, keys: &Keyring, now: Time) -> Back {
    let signed = || {
        let trust = view.trust();
        let profile = trust.profile(&view.us.party, now).ok_or(WorkFault::NoProfile)?;
        let (generation, signer) = keys.checkpoint_signer(profile, now)?;
        let root = view.ledger.root_at(size)?;
        let checkpoint = Checkpoint { origin: view.us.origin.clone(), size, root };
        let note = checkpoint.sign(signer, now)?;
        view.ledger.save_checkpoint(note.as_bytes())?;
        Ok((Arc::from(note.into_bytes()), generation))
    };
    Back::Checkpoint(size, signed())
}

pub(super) fn append(batch: Vec<Batched>, records: Vec<Record>, view: &View) -> Back {
    let full = disk_room(&view.data).is_some_and(|(free, _)| free < RESERVE_BYTES);
    let appended = if full { Err(StoreFault::DiskFull) } else { view.ledger.append(records) };
    let committed = appended.and_then(Pending::wait);
    Back::Committed(batch, committed.map(|committed| committed.appended().collect()))
}

/// A stored record with its proof under the newest checkpoint, made into bytes by `frame`.
fn framed(
    view: &View,
    index: LedgerIndex,
    note: &[u8],
    size: u64,
    frame: impl FnOnce(&Stored<'_>, Option<BodySecret>) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, WorkFault> {
    let StoredRecord { node, case, body, secret, .. } = view.ledger.read(index)?;
    let Some(case) = case else { return Ok(None) };
    let path = view.ledger.prove(index, size)?;
    Ok(frame(&Stored { node: &node, case: &case, body: &body, index, path: &path, note }, secret))
}

pub(super) fn delivery(peer: PartyCode, due: Due, view: &View, note: &[u8], size: u64) -> Back {
    let frame = match due.slip.lane {
        Lane::Return => given_back(&peer, due.index, view, note, size),
        Lane::Emergency | Lane::Normal | Lane::Unspecified => {
            framed(view, due.index, note, size, |stored, _| stored.delivery(&peer))
        }
    };
    Back::Outgoing { peer, due, frame }
}

/// Without a key to wrap for there is nothing to send now; there may be later.
fn given_back(
    peer: &PartyCode,
    index: LedgerIndex,
    view: &View,
    note: &[u8],
    size: u64,
) -> Result<Option<Vec<u8>>, WorkFault> {
    let trust = view.trust();
    let key = trust.seal_key(peer, time::now()).ok_or(WorkFault::NoSealKey)?;
    framed(view, index, note, size, |stored, secret| {
        let secret = secret?;
        stored.given_back(&secret, key, &crate::store::random())
    })
}

pub(super) fn answer(ticket: Ticket, event: &EventId, reply: &Reply, view: &View, note: &[u8], size: u64) -> Back {
    let erased = |frame: Option<Vec<u8>>| Some(frame.unwrap_or_else(|| carry::erased(event)));
    let frame = match reply {
        Reply::Retry { code, after_ms } => Ok(Some(carry::retry(event, code, *after_ms))),
        Reply::Receipt(index) => framed(view, *index, note, size, |stored, _| stored.receipt()).map(erased),
        Reply::Erased => Ok(Some(carry::erased(event))),
        Reply::Refusal(index) => framed(view, *index, note, size, |stored, _| stored.refusal()).map(erased),
    };
    Back::Answer(ticket, frame)
}

pub(super) fn read_delivery(
    ticket: Ticket,
    peer: PartyCode,
    frame: Vec<u8>,
    view: &View,
    keys: &Keyring,
    now: Time,
) -> Back {
    let unwrap = |body: &[u8], binding: &Digest| keys.unwrap(body, binding);
    let read = carry::read_delivery(&frame, &peer, &view.us.party, &view.trust(), now, unwrap);
    match read {
        Ok(Delivered::Arrival(arrival)) => Back::Read(Input::Arrived(ticket, Box::new(arrival))),
        Ok(Delivered::Returning(returning)) => Back::Read(Input::Returned(ticket, Box::new(returning))),
        Err(fault) => Back::TurnedAway { ticket, peer, answer: turned_away(&frame, &fault), fault, frame },
    }
}

/// An honest author whose copy was damaged learns why; to anyone else it says nothing new.
fn turned_away(frame: &[u8], fault: &EventFault) -> Option<Vec<u8>> {
    let event = carry::event_named_by(frame)?;
    Some(carry::retry(&event, fault.code(), TURNED_AWAY_MS))
}

pub(super) fn read_answer(peer: PartyCode, frame: Vec<u8>, view: &View, now: Time) -> Back {
    let delivered = |event: &EventId| {
        let seen = view.index.seen(event).ok().flatten()?;
        let record = view.ledger.read(LedgerIndex(seen.index)).ok()?;
        Some((record.kind, signatures_digest(&record.case?.signatures)))
    };
    let read = carry::read_answer(&frame, &peer, &view.us.party, &view.trust(), now, delivered);
    let read = read.map(|(event, answer)| (event, Box::new(answer)));
    Back::PeerAnswer(peer, read.map_err(|fault| (fault, frame)))
}
