//! The gate: which PeerIds may stay connected, and the deliver streams of those that do.
//!
//! A connection whose PeerId the roster does not name, or that answers at another Party's address,
//! is refused right after its handshake, before any stream exists. (A lobby for strangers, who may
//! then speak the roster protocol and nothing else, takes its place here in `admit`.) For the
//! others the gate opens and accepts streams and hands them to the loop with the connection they
//! belong to. `libp2p-stream` would do nearly this, but picks any connection of a peer, drops
//! inbound streams when its one-place channel is full, and keeps a sender for every connection
//! that ever was.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll},
};

use comity_core::ids::PartyCode;
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::roster::Roster;

/// The protocol of deliveries and their answers.
pub(super) const DELIVER: StreamProtocol = StreamProtocol::new("/comity/deliver/1");

/// Something about the deliver streams of one connection.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) connection: ConnectionId,
    pub(super) what: What,
}

/// What came through.
#[derive(Debug)]
pub(super) enum What {
    /// The stream we asked for.
    Opened(Stream),
    /// The stream we asked for could not be opened.
    Unopened,
    /// A stream the peer opened.
    Accepted(Stream),
}

/// Why the gate did not let a connection through.
#[derive(Debug, thiserror::Error)]
#[error("this peer is not admitted")]
pub(super) struct Unadmitted;

/// Admission and deliver streams.
#[derive(Default)]
pub(super) struct Gate {
    roster: Roster,
    /// Whom we expect at the other end of a dial; one row per dial in progress.
    expected: BTreeMap<ConnectionId, PartyCode>,
    /// Requests to open a stream; at most one per connection.
    asked: VecDeque<(PeerId, ConnectionId)>,
    /// Streams on their way to the loop, which takes them before anything new is polled.
    passed: VecDeque<Passage>,
}

impl Gate {
    /// From now on admits by this roster. Closing what it no longer names is for the loop.
    pub(super) fn set_roster(&mut self, roster: Roster) {
        self.roster = roster;
    }

    /// The roster in force.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The connection to come must be one of this Party's.
    pub(super) fn expect(&mut self, connection: ConnectionId, party: PartyCode) {
        self.expected.insert(connection, party);
    }

    /// Asks for a deliver stream on a connection.
    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId) {
        self.asked.push_back((peer, connection));
    }

    fn admit(&mut self, connection: ConnectionId, peer: &PeerId) -> Result<Deliver, ConnectionDenied> {
        let expected = self.expected.remove(&connection);
        match self.roster.party(peer) {
            Some(party) if expected.is_none_or(|expected| expected == *party) => Ok(Deliver::default()),
            _ => Err(ConnectionDenied::new(Unadmitted)),
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Deliver;
    type ToSwarm = Passage;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Deliver, ConnectionDenied> {
        self.admit(connection, &peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Deliver, ConnectionDenied> {
        self.admit(connection, &peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::DialFailure(failed) = event {
            self.expected.remove(&failed.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, connection: ConnectionId, what: THandlerOutEvent<Self>) {
        self.passed.push_back(Passage { connection, what });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Passage, THandlerInEvent<Self>>> {
        if let Some(passage) = self.passed.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(passage));
        }
        match self.asked.pop_front() {
            Some((peer_id, connection)) => {
                let handler = NotifyHandler::One(connection);
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event: Open })
            }
            None => Poll::Pending,
        }
    }
}

/// Tells one connection to open its deliver stream.
#[derive(Debug)]
pub(super) struct Open;

/// The deliver streams of one connection.
#[derive(Default)]
pub(super) struct Deliver {
    wanted: bool,
    passed: VecDeque<What>,
}

/// Streams waiting to be handed over on one connection. A peer needs one; a second may cross the
/// end of the first.
const WAITING_MAX: usize = 4;

impl ConnectionHandler for Deliver {
    type FromBehaviour = Open;
    type ToBehaviour = What;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(DELIVER), ())
    }

    fn on_behaviour_event(&mut self, Open: Open) {
        self.wanted = true;
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), What>> {
        if let Some(what) = self.passed.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(what));
        }
        if std::mem::take(&mut self.wanted) {
            let protocol = self.listen_protocol();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. })
                if self.passed.len() < WAITING_MAX =>
            {
                self.passed.push_back(What::Accepted(protocol));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.passed.push_back(What::Opened(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { .. }) => self.passed.push_back(What::Unopened),
            // An inbound stream beyond the limit is dropped, which resets it: the peer is not playing
            // fair. Protocol lists and address changes mean nothing here.
            _ => {}
        }
    }
}
