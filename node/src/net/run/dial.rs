//! Calling and being called in vain: when to dial whom, what a failed dial means, who was turned
//! away, and which connection has been silent too long. State and rules are in `peer`.

use std::time::Duration;

use comity_core::ids::PartyCode;
use libp2p::{
    Multiaddr, PeerId, TransportError,
    swarm::{ConnectionId, DialError, ListenError, dial_opts::DialOpts},
};
use tokio::time::Instant;

use super::{
    super::{
        LinkEnd, NetEvent,
        gate::{Barred, Unadmitted},
        ground::end_of,
        peer::Peer,
    },
    Run,
};

impl Run {
    /// When the next dial is due, or the next silence too long; far away if neither.
    pub(super) fn due(&self) -> Instant {
        let links = self.peers.values().flat_map(Peer::watched);
        let silent = links.map(|link| link.heard + self.silence).min();
        // With all dials in use, the end of one of them wakes the loop.
        let free = self.dials() < DIALS_MAX;
        let dial = self.peers.values().filter_map(Peer::due).min().filter(|_| free);
        let visit = self.lobby.values().map(|visit| visit.until).min();
        [silent, dial, visit].into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAR)
    }

    fn dials(&self) -> usize {
        self.peers.values().filter(|peer| peer.dialing.is_some()).count()
    }

    pub(super) fn on_due(&mut self) {
        let now = Instant::now();
        self.end_visits(now);
        let links = self.peers.values().flat_map(Peer::watched);
        let silent = links.filter(|link| link.heard + self.silence <= now);
        for id in silent.map(|link| link.id).collect::<Vec<_>>() {
            self.give_up(id, LinkEnd::Silent);
        }
        let due = self.peers.iter().filter(|(_, peer)| peer.due().is_some_and(|due| due <= now));
        let free = DIALS_MAX.saturating_sub(self.dials());
        for party in due.map(|(party, _)| party.clone()).take(free).collect::<Vec<_>>() {
            self.dial(party);
        }
    }

    fn dial(&mut self, party: PartyCode) {
        let Some(peer) = self.peers.get_mut(&party) else { return };
        let Some(address) = peer.next_address().cloned() else { return };
        // A port of its own: dialling from the listening port could meet the peer's own dial as a
        // simultaneous open, in which both would be TLS clients.
        let dial = DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build();
        let id = dial.connection_id();
        peer.dialing = Some((id, address));
        self.swarm.behaviour_mut().gate.expect(id, party);
        if let Err(error) = self.swarm.dial(dial) {
            self.on_dial_failed(id, dial_end(&error));
        }
    }

    pub(super) fn on_dial_failed(&mut self, id: ConnectionId, why: LinkEnd) {
        let mut dialing = self.peers.iter_mut().filter_map(|(party, peer)| {
            peer.dialing.take_if(|(dial, _)| *dial == id).map(|(_, address)| (party.clone(), address))
        });
        if let Some((party, address)) = dialing.next() {
            self.dial_failed(&party, &address, why);
        }
        self.purge();
    }

    pub(super) fn dial_failed(&mut self, party: &PartyCode, address: &Multiaddr, why: LinkEnd) {
        let Some(peer) = self.peers.get_mut(party) else { return };
        let pause = peer.failed(Instant::now(), entropy());
        let event = NetEvent::DialFailed {
            party: party.clone(),
            address: address.to_string(),
            code: why.code(),
            attempt: peer.attempt(),
            next_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        };
        self.tell(event);
    }

    pub(super) fn on_turned_away(&mut self, peer: Option<PeerId>, address: &Multiaddr, error: &ListenError) {
        let denied = matches!(error, ListenError::Denied { cause } if cause.downcast_ref::<Unadmitted>().is_some());
        let Some(peer) = peer.filter(|_| denied) else {
            tracing::debug!(target: "net", address = %address, %error, "connection not accepted");
            return;
        };
        let _ = self.handshakes.take(&peer, address);
        self.stranger(peer, address);
    }

    /// Tells of a stranger, as long as there are not too many.
    pub(super) fn stranger(&mut self, peer: PeerId, address: &Multiaddr) {
        let now = Instant::now();
        let (since, told) = &mut self.strangers;
        if now.duration_since(*since) >= Duration::from_secs(1) {
            (*since, *told) = (now, 0);
        }
        *told += 1;
        if *told <= STRANGERS_PER_SECOND {
            self.tell(NetEvent::Stranger { peer: peer.to_string(), address: address.to_string() });
        }
    }
}

pub(super) fn dial_end(error: &DialError) -> LinkEnd {
    match error {
        DialError::Denied { cause } if cause.downcast_ref::<Unadmitted>().is_some() => LinkEnd::WrongPeer,
        DialError::Denied { cause } if cause.downcast_ref::<Barred>().is_some() => LinkEnd::CutOff,
        DialError::Denied { .. } => LinkEnd::TooMany,
        DialError::LocalPeerId { .. } | DialError::WrongPeerId { .. } => LinkEnd::WrongPeer,
        DialError::Transport(tried) => match tried.last() {
            Some((_, TransportError::Other(error))) => end_of(error),
            Some((_, TransportError::MultiaddrNotSupported(_))) | None => LinkEnd::Unreachable,
        },
        DialError::NoAddresses | DialError::DialPeerConditionFalse(_) | DialError::Aborted => LinkEnd::Closed,
    }
}

/// Jitter needs no secrecy: without entropy all pauses are merely at their shortest.
pub(super) fn entropy() -> u32 {
    getrandom::u32().unwrap_or(0)
}

/// Dials in progress at once: enough to reach 200 Parties in seconds, few enough that a start
/// after a power cut does not drown the line.
const DIALS_MAX: usize = 16;
/// A flood of strangers must not fill the caller's queue; four a second tell the story.
const STRANGERS_PER_SECOND: u32 = 4;
/// A wake-up that means nothing.
const FAR: Duration = Duration::from_secs(3600);
