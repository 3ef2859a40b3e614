//! The peers: their links, how they behave, and what was found on the way to them.

use comity_core::{
    ids::{PartyCode, Time},
    ledger::Fork,
    profile::Trust,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::node::{LANES, OwedView, missing, others, owed};
use crate::{
    api::{fault::ApiFault, problem::Problem},
    conduct::{Standing, proof_key},
    doctor::Finding,
    handle::{PeerLedger, PeerStatus, Status, View},
    roster,
};

/// A peer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Peer)]
pub(in crate::api) struct PeerView {
    /// Its Party.
    pub(super) party: String,
    /// The Party's name in the charter.
    name: String,
    /// Whether a link is up.
    pub(super) up: bool,
    /// Where it is, or was tried last.
    address: String,
    /// Whether the link's keys were exchanged with X25519MLKEM768.
    hybrid: bool,
    /// Since when the link is as it is.
    since: Option<String>,
    /// Why it is down: a code.
    why: &'static str,
    /// How often it broke the protocol or sent what is not authentic; nothing of that is recorded.
    pub(super) misconduct: u64,
    /// Until when it is cut off for that; null if it is not.
    cut_off_until: Option<String>,
    /// Emergencies beyond its budget, which were treated as ordinary ones here.
    demoted: u64,
    /// Deliveries the peer numbered that have not arrived.
    pub(super) missing: u64,
    /// The version of its profile known here; null if it has none and cannot act.
    profile: Option<u64>,
    /// What is owed to it.
    pub(super) owed: OwedView,
    /// What is proven of its ledger.
    ledger: PeerLedgerView,
}

/// What is proven here of a peer's ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeerLedger)]
struct PeerLedgerView {
    /// The size of its largest checkpoint that continues all that were seen of it.
    size: u64,
    /// Of these, witnessed as the charter demands.
    witnessed: u64,
    /// When that was reached.
    witnessed_at: Option<String>,
    /// Checkpoints seen that wait to be proven.
    unproven: usize,
    /// True if two of its checkpoints contradict each other; people must decide.
    forked: bool,
    /// True if it showed fewer records when last asked than it has signed before.
    rolled_back: bool,
}

impl From<PeerLedger> for PeerLedgerView {
    fn from(ledger: PeerLedger) -> Self {
        let PeerLedger { size, witnessed, since, forked, rolled_back, unproven } = ledger;
        let witnessed_at = since.and_then(|since| super::at(since.0));
        Self { size, witnessed, witnessed_at, unproven, forked, rolled_back }
    }
}

/// The peers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Peers)]
pub(in crate::api) struct PeersView {
    schema: &'static str,
    /// By Party.
    peers: Vec<PeerView>,
}

/// One peer and what it did wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeerConduct)]
pub(in crate::api) struct PeerConductView {
    schema: &'static str,
    /// The peer.
    peer: PeerView,
    /// Its wrongs, by code.
    wrongs: Vec<WrongView>,
}

/// One kind of wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wrong)]
struct WrongView {
    /// A stable code.
    code: String,
    /// How often.
    count: u64,
    /// The last time.
    last: Option<String>,
    /// Whether the frame that shows it first is kept, at `/v1/peers/{party}/proofs/{code}`.
    proof: bool,
}

/// What was found, step by step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Findings)]
pub(in crate::api) struct FindingsView {
    schema: &'static str,
    /// True if every step is in order.
    pub(in crate::api) ok: bool,
    /// In the order in which they were looked at.
    steps: Vec<FindingView>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingView {
    /// What was looked at.
    step: &'static str,
    /// A stable code if it is not in order; null if it is.
    code: Option<&'static str>,
    /// What was seen.
    seen: String,
}

impl FindingsView {
    pub(in crate::api) fn new(schema: &'static str, found: Vec<Finding>) -> Self {
        let step =
            |Finding { step, code, seen }| FindingView { step, code: Some(code).filter(|c| !c.is_empty()), seen };
        let steps: Vec<_> = found.into_iter().map(step).collect();
        Self { schema, ok: steps.iter().all(|step| step.code.is_none()), steps }
    }
}

/// Reads who the peers are.
pub(in crate::api) fn peers(view: &View, status: &Status, now: Time) -> Result<PeersView, Problem> {
    Ok(PeersView { schema: "comity/peers/v1", peers: peer_rows(view, status, now)? })
}

/// The proof that a ledger of a peer has forked, as a file.
pub(in crate::api) fn fork(view: &View, party: &PartyCode) -> Result<Vec<u8>, Problem> {
    let trust: &Trust = &view.trust();
    let of = |fork: &&Fork| trust.party_of(fork.origin()) == Some(party);
    let witnessing = view.witnessing();
    let found = witnessing.forks.iter().find(of).ok_or(ApiFault::NoSuchFork)?;
    Ok(found.to_file(roster::proving(view, trust, std::slice::from_ref(party))))
}

/// Reads one of them, with its wrongs.
pub(in crate::api) fn conduct(
    view: &View,
    status: &Status,
    party: &PartyCode,
    now: Time,
) -> Result<PeerConductView, Problem> {
    let Standing { wrongs, .. } = view.conduct.of(party);
    let wrong = |(code, seen): (String, crate::conduct::Seen)| WrongView {
        proof: view.desk.get(&proof_key(party, &code)).is_some(),
        code,
        count: seen.count,
        last: super::at(seen.last_ms),
    };
    Ok(PeerConductView {
        schema: "comity/peer/v1",
        peer: peer(view, party, link(status, party), now)?,
        wrongs: wrongs.into_iter().map(wrong).collect(),
    })
}

/// The frame that first showed a wrong, as it came.
pub(in crate::api) fn proof(view: &View, party: &PartyCode, code: &str) -> Result<Vec<u8>, Problem> {
    let kept = view.desk.get(&proof_key(party, code)).ok_or(ApiFault::NoSuchProof)?;
    Ok(kept.get(8..).unwrap_or_default().to_vec())
}

/// A Party the charter names besides ours.
pub(in crate::api) fn other(view: &View, party: PartyCode) -> Result<PartyCode, Problem> {
    let known = others(view).contains(&party);
    if known { Ok(party) } else { Err(ApiFault::UnknownParty.into()) }
}

pub(super) fn peer_rows(view: &View, status: &Status, now: Time) -> Result<Vec<PeerView>, Problem> {
    others(view).iter().map(|party| peer(view, party, link(status, party), now)).collect()
}

fn link<'s>(status: &'s Status, party: &PartyCode) -> Option<&'s PeerStatus> {
    status.peers.get(party)
}

fn peer(view: &View, party: &PartyCode, link: Option<&PeerStatus>, now: Time) -> Result<PeerView, Problem> {
    let link = link.cloned().unwrap_or_default();
    let mut gaps = 0;
    for (lane, _) in LANES {
        gaps += missing(view, party, lane)?;
    }
    let conduct = view.conduct.of(party);
    let trust = view.trust();
    let named = trust.charter().parties().get(party);
    Ok(PeerView {
        party: party.to_string(),
        name: named.map(|party| party.name.clone()).unwrap_or_default(),
        up: link.up,
        address: link.address,
        hybrid: link.hybrid,
        since: super::at(link.since.0),
        why: link.why,
        misconduct: conduct.count(),
        cut_off_until: conduct.until().and_then(|until| super::at(until.0)),
        demoted: link.demoted,
        missing: gaps,
        profile: trust.profile(party, now).map(|profile| profile.version),
        owed: owed(view, party)?,
        ledger: view.witnessing().peers.get(party).copied().unwrap_or_default().into(),
    })
}
