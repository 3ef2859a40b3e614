//! Side streams, ours and theirs, and those of strangers: counted here, carried elsewhere.

use std::{sync::Arc, time::Duration};

use comity_core::ids::PartyCode;
use libp2p::{Multiaddr, PeerId, Stream, swarm::ConnectionId};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        LinkEnd, NetEvent, SendFault, SideStream,
        gate::{Ask, Protocol},
        peer::Author,
        side::Opening,
    },
    Run,
};

impl Run {
    /// Somebody wants a stream: it is asked for on the connection in use, and answered from there.
    pub(super) fn on_wanted(
        &mut self,
        protocol: Protocol,
        party: &PartyCode,
        answer: oneshot::Sender<Result<SideStream, SendFault>>,
    ) {
        let link = self.peers.get(party).and_then(|peer| Some((peer.places(protocol)?, peer.up()?)));
        let Some((places, link)) = link else {
            // Whoever asked may have gone, here and below.
            let _ = answer.send(Err(SendFault::NotConnected));
            return;
        };
        match Arc::clone(&places.ours).try_acquire_owned() {
            Ok(place) => {
                let (peer_id, id, ask) = (link.peer, link.id, Ask::Side(protocol, Opening { answer, place }));
                self.swarm.behaviour_mut().gate.open(peer_id, id, ask);
            }
            Err(_) => {
                let _ = answer.send(Err(SendFault::StreamsFull));
            }
        }
    }

    /// A Party opened a stream. One beyond its places is dropped, which resets it.
    pub(super) fn on_side(&mut self, protocol: Protocol, party: PartyCode, stream: Stream, cut: CancellationToken) {
        let places = self.peers.get(&party).and_then(|peer| peer.places(protocol));
        let Some(Ok(place)) = places.map(|places| Arc::clone(&places.theirs).try_acquire_owned()) else {
            tracing::debug!(target: "net", party = %party, ?protocol, "stream beyond the limit");
            return;
        };
        let stream = SideStream::new(stream, cut, place);
        self.tell(match protocol {
            Protocol::Roster => NetEvent::Roster { party: Some(party), stream },
            Protocol::Witness => NetEvent::Witness { party, stream },
            Protocol::Evidence | Protocol::Deliver => NetEvent::Evidence { party, stream },
        });
    }

    /// The Party will not deliver with us. On a connection we dialled we are most likely a stranger to it: we may
    /// show it who we are, and try again when it knows.
    pub(super) fn on_unopened(&mut self, party: &PartyCode, id: ConnectionId) {
        let Some(peer) = self.peers.get_mut(party) else { return };
        let place = peer.places(Protocol::Roster).map(|places| Arc::clone(&places.ours).try_acquire_owned());
        let trial = peer.link(id).filter(|link| link.on_trial).map(|link| link.peer);
        let (Some(peer_id), Some(Ok(place))) = (trial, place) else {
            return self.give_up(id, LinkEnd::NoDeliver);
        };
        peer.author = Author::Outside(id);
        let (answer, stream) = oneshot::channel();
        self.swarm.behaviour_mut().gate.open(peer_id, id, Ask::Show(Opening { answer, place }));
        self.lobby.insert(id, Visit::begins());
        self.tell(NetEvent::Lobby { party: party.clone(), stream });
    }

    /// Somebody nobody names: in the lobby for a while, if the gate has found a place there.
    pub(super) fn on_stranger(&mut self, peer: PeerId, id: ConnectionId, address: &Multiaddr) {
        if !self.swarm.behaviour().gate.is_stranger(id) {
            self.swarm.close_connection(id);
            return;
        }
        self.lobby.insert(id, Visit::begins());
        self.stranger(peer, address);
    }

    /// A stranger wants to be known. It has one stream; any other is dropped, which resets it.
    pub(super) fn on_visit(&mut self, id: ConnectionId, stream: Stream, cut: CancellationToken) {
        let is_stranger = self.swarm.behaviour().gate.is_stranger(id);
        let Some(visit) = self.lobby.get_mut(&id).filter(|visit| is_stranger && !visit.has_spoken) else { return };
        if let Ok(place) = Arc::clone(&self.visits).try_acquire_owned() {
            visit.has_spoken = true;
            self.tell(NetEvent::Roster { party: None, stream: SideStream::new(stream, cut, place) });
        }
    }

    /// Strangers that a new roster names come in by the door.
    pub(super) fn show_in(&mut self) {
        for id in std::mem::take(&mut self.lobby).into_keys() {
            self.leave_lobby(id);
        }
    }

    /// Ends visits whose time is over.
    pub(super) fn end_visits(&mut self, now: Instant) {
        let over: Vec<ConnectionId> =
            self.lobby.iter().filter(|(_, visit)| visit.until <= now).map(|(id, _)| *id).collect();
        for id in over {
            self.lobby.remove(&id);
            self.leave_lobby(id);
        }
    }

    fn leave_lobby(&mut self, id: ConnectionId) {
        if self.homes.contains_key(&id) {
            self.give_up(id, LinkEnd::Refused);
        } else {
            self.swarm.close_connection(id);
        }
    }
}

/// A stranger's stay.
pub(super) struct Visit {
    pub(super) until: Instant,
    /// Whether it has had its stream.
    has_spoken: bool,
}

impl Visit {
    fn begins() -> Self {
        Self { until: Instant::now() + VISIT, has_spoken: false }
    }
}

/// How long a stranger may stay.
const VISIT: Duration = Duration::from_secs(10);
