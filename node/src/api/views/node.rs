//! How the node is, whom it knows, and what it owes to whom.

use std::path::Path;

use comity_core::{
    crypto::role_name,
    ids::{PartyCode, Time, hex},
    profile::Profile,
    proto::Lane,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    parties::WarningView,
    peers::{PeerView, peer_rows},
};
use crate::{
    api::problem::Problem,
    handle::{Status, View},
    store::disk_room,
    time::rfc3339,
};

/// Debts counted to one peer and lane, and deadlines looked at: beyond it the number says "at least".
pub(super) const COUNTED_MAX: usize = 10_000;
/// Debts listed to one peer and lane.
const LISTED_MAX: usize = 100;

pub(super) const LANES: [(Lane, &str); 3] =
    [(Lane::Emergency, "emergency"), (Lane::Return, "return"), (Lane::Normal, "normal")];

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(in crate::api) struct StatusView {
    schema: &'static str,
    /// The Party it speaks for.
    party: String,
    /// The network.
    network: String,
    /// True when nothing here has legal effect.
    exercise: bool,
    /// Its ledger.
    origin: String,
    /// When it started.
    started: String,
    /// The program's version.
    version: &'static str,
    /// How large the ledger is.
    ledger: SizesView,
    /// Its peers.
    peers: Vec<PeerView>,
    /// What it owes to all of them.
    owed: OwedView,
    /// The disk of the data folder, if the system says.
    disk: Option<DiskView>,
    /// Why nothing can be recorded; null when all is well.
    read_only: Option<&'static str>,
    /// What expires next.
    next_expiry: Option<ExpiryView>,
    /// Deliveries turned away because their sender broke the protocol.
    misconduct: u64,
    /// Strangers turned away.
    strangers: u64,
    /// Where it listens for peers.
    listening: Vec<String>,
    /// The charter in force.
    charter: CharterView,
    /// What there is to look after before it hurts.
    warnings: Vec<WarningView>,
}

/// How large a ledger is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sizes)]
pub(in crate::api) struct SizesView {
    /// Records on disk.
    size: u64,
    /// Of these, covered by the newest signed checkpoint.
    signed: u64,
}

/// What is owed.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Owed)]
pub(in crate::api) struct OwedView {
    /// How many events; at least so many, if `more`.
    pub(super) count: usize,
    /// True if there are more than were counted.
    more: bool,
    /// Since when the oldest waits for its receipt.
    oldest_since: Option<String>,
}

/// A disk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Disk)]
pub(in crate::api) struct DiskView {
    /// What the node may still use.
    free_bytes: u64,
    /// How large it is.
    total_bytes: u64,
}

/// What expires.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Expiry)]
pub(in crate::api) struct ExpiryView {
    /// `charter`, or a key by its role, for example `seal key`.
    what: String,
    /// When.
    at: String,
}

/// A charter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Charter)]
pub(in crate::api) struct CharterView {
    /// Its fingerprint.
    id: String,
    /// Its version.
    version: u64,
    /// When it expires.
    expires: String,
}

/// What is owed, peer by peer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outbox)]
pub(in crate::api) struct OutboxView {
    schema: &'static str,
    /// Peers to which something is owed.
    peers: Vec<OutboxPeerView>,
}

/// What is owed to one peer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutboxPeer)]
pub(in crate::api) struct OutboxPeerView {
    /// Its Party.
    party: String,
    /// Whether a link is up.
    up: bool,
    /// All of it.
    owed: OwedView,
    /// The first hundred of each lane, in order.
    events: Vec<OwedEventView>,
}

/// An event that waits for its receipt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwedEvent)]
pub(in crate::api) struct OwedEventView {
    /// The event.
    event_id: String,
    /// Its thread.
    thread_id: String,
    /// Where it stands in our ledger.
    index: u64,
    /// `emergency`, `return` for what is given back to its author, or `normal`.
    lane: &'static str,
    /// Its number in that lane.
    number: u64,
    /// Since when.
    since: Option<String>,
}

/// Reads how the node is.
pub(in crate::api) fn status(view: &View, status: &Status, now: Time) -> Result<StatusView, Problem> {
    let trust = view.trust();
    let charter = trust.charter();
    let peers = peer_rows(view, status, now)?;
    let mut owed = OwedView::default();
    for peer in &peers {
        owed.add(&peer.owed);
    }
    Ok(StatusView {
        schema: "comity/status/v1",
        party: view.us.party.to_string(),
        network: charter.network.to_string(),
        exercise: charter.exercise,
        origin: view.us.origin.to_string(),
        started: rfc3339(view.started),
        version: env!("CARGO_PKG_VERSION"),
        ledger: sizes(status),
        misconduct: peers.iter().map(|peer| peer.misconduct).sum(),
        peers,
        owed,
        disk: disk(&view.data),
        read_only: view.read_only(),
        next_expiry: next_expiry(view, now),
        strangers: status.strangers,
        listening: view.listening.clone(),
        charter: CharterView {
            id: charter.id().to_string(),
            version: charter.version,
            expires: rfc3339(charter.expires),
        },
        warnings: super::parties::warnings(view, now),
    })
}

/// Reads what is owed.
pub(in crate::api) fn outbox(view: &View, status: &Status) -> Result<OutboxView, Problem> {
    let mut peers = Vec::new();
    for party in &others(view) {
        let owed = owed(view, party)?;
        if owed.count == 0 {
            continue;
        }
        let up = status.peers.get(party).is_some_and(|peer| peer.up);
        peers.push(OutboxPeerView { party: party.to_string(), up, owed, events: owed_events(view, party)? });
    }
    Ok(OutboxView { schema: "comity/outbox/v1", peers })
}

pub(in crate::api) fn sizes(status: &Status) -> SizesView {
    SizesView { size: status.size, signed: status.signed }
}

pub(super) fn others(view: &View) -> Vec<PartyCode> {
    let mut others: Vec<PartyCode> = view.trust().charter().parties().keys().cloned().collect();
    others.retain(|party| *party != view.us.party);
    others
}

/// Deliveries a peer numbered in a lane of the ledger it writes now that have not arrived. What a ledger before it lacked
/// is owed under that one's numbers, and what was refused there is missing for good.
pub(super) fn missing(view: &View, from: &PartyCode, lane: Lane) -> Result<u64, Problem> {
    let ledger = view.trust().declared(from).map_or(1, Profile::ledger_number);
    let numbers = view.index.numbers(from, lane, ledger)?;
    Ok(numbers.highest.saturating_sub(numbers.count))
}

pub(super) fn owed(view: &View, to: &PartyCode) -> Result<OwedView, Problem> {
    let mut all = OwedView::default();
    for (lane, _) in LANES {
        let rows = view.index.owed(to, lane, (0, 0), COUNTED_MAX)?;
        let oldest_since = rows.iter().map(|(_, row)| row.recorded_ms).min().and_then(super::at);
        all.add(&OwedView { count: rows.len(), more: rows.len() == COUNTED_MAX, oldest_since });
    }
    Ok(all)
}

impl OwedView {
    /// Times in one text form compare as texts.
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.more |= other.more;
        let oldest = self.oldest_since.iter().chain(&other.oldest_since).min().cloned();
        self.oldest_since = oldest;
    }
}

fn owed_events(view: &View, to: &PartyCode) -> Result<Vec<OwedEventView>, Problem> {
    let mut events = Vec::new();
    for (lane, name) in LANES {
        let rows = view.index.owed(to, lane, (0, 0), LISTED_MAX)?;
        events.extend(rows.into_iter().map(|(slip, row)| OwedEventView {
            event_id: hex(&row.event_id),
            thread_id: hex(&row.thread_id),
            index: row.index,
            lane: name,
            number: slip.number,
            since: super::at(row.recorded_ms),
        }));
    }
    Ok(events)
}

fn disk(folder: &Path) -> Option<DiskView> {
    let (free_bytes, total_bytes) = disk_room(folder)?;
    Some(DiskView { free_bytes, total_bytes })
}

fn next_expiry(view: &View, now: Time) -> Option<ExpiryView> {
    let (what, at) = expiries(view, now).into_iter().min_by_key(|(_, at)| *at)?;
    Some(ExpiryView { what, at: rfc3339(at) })
}

/// What ends, and when: the charter, and each of our own keys.
pub(super) fn expiries(view: &View, now: Time) -> Vec<(String, Time)> {
    let trust = view.trust();
    let charter = ("charter".to_owned(), trust.charter().expires);
    let keys = trust.profile(&view.us.party, now).into_iter().flat_map(|profile| profile.expiries(now));
    keys.map(|(role, at)| (format!("{} key", role_name(role)), at)).chain([charter]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_add_up_to_the_oldest() {
        let owed =
            |count, oldest: Option<&str>| OwedView { count, more: false, oldest_since: oldest.map(str::to_owned) };
        let mut all = OwedView::default();
        all.add(&owed(2, Some("2026-03-01T10:00:00.000Z")));
        all.add(&owed(0, None));
        all.add(&OwedView { more: true, ..owed(1, Some("2026-02-01T10:00:00.000Z")) });
        assert_eq!((all.count, all.more, all.oldest_since.as_deref()), (3, true, Some("2026-02-01T10:00:00.000Z")));
    }

    #[test]
    fn the_disk_of_a_folder_is_known() {
        let disk = disk(Path::new("/")).expect("every system has one");
        assert!(disk.total_bytes >= disk.free_bytes && disk.total_bytes > 0);
    }
}
